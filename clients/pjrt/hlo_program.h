// Programs as hosts read them: xla.HloModuleProtoWithConfig, which is what they print, and where
// they look for layouts of parameters and for shardings.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "clients/pjrt/layouts.h"
#include "common/machines/runtime/executable.h"
#include "common/programs/stablehlo/module.h"

namespace megalith::pjrt {

// The operations of the entry function, and of functions and regions that it runs, as serialized
// computations of a module: one instruction each. Operations that HLO spells otherwise than by
// operands and dimensions become custom calls of their StableHLO name, with their regions as called
// computations; constants of more than a few elements lose their elements. Functions of more than
// kMostHloOps operations in all give an empty string. Requires a module that stablehlo::Verify
// accepts.
std::string HloComputations(const stablehlo::Module& module);
inline constexpr size_t kMostHloOps = 20'000;

// An argument or a result of one device, and the array that the program takes or gives: stored, and
// whole if this is a part. A token has no specs that matter.
struct HloArray {
  runtime::TensorSpec spec, stored;
  Order order;
  bool token = false;
};

// The whole message. `computations` is what HloComputations gave for the program of whole arrays as
// they are stored, or empty: then the module says nothing but names and types. `shardings` holds
// fields of HloModuleProto (hlo_shardings.h), of programs on several devices.
struct HloProgram {
  std::string_view name;
  std::vector<HloArray> inputs, outputs;
  std::string_view computations;
  std::string_view shardings;
  int num_partitions = 1;
};
std::string EncodeHloProgram(const HloProgram& program);

}  // namespace megalith::pjrt
