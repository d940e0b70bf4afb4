// Which ops of a region are computed together: fusion, decided by what it saves.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/machines/codegen/kernel_builder.h"
#include "common/programs/stablehlo/module.h"

namespace megalith::codegen {

using stablehlo::Region;

enum class GroupKind : uint8_t {
  kMap,     // stores its roots at every point of their common shape
  kReduce,  // one stablehlo.reduce by a single operation, with what it reads
  kUpdate,  // a dynamic_update_slice: stores the update into its operand's array
  kPieces,  // a concatenate: every operand is computed where it lies in the result
  kAlone,   // any other op
};

struct Group {
  GroupKind kind = GroupKind::kMap;
  std::vector<const Op*> roots;  // kMap: in program order; otherwise one
  uint32_t position = 0;         // in the region, of the last root
  std::vector<uint32_t> after;   // groups whose results it reads, or that have an effect before it
  uint32_t ops = 0;              // evaluated in it
  uint32_t weight = 0;           // the same, those that take many instructions counted as several
};

// The reduction of a stablehlo.reduce whose body is one associative operation on its arguments.
struct SimpleReduce {
  runtime::ReduceKind kind = runtime::ReduceKind::kSum;
  bool valid = false;
};
SimpleReduce SimpleReduceOf(const Op& op, const Func& func);

// The groups of one region, in no particular order.
struct Grouping {
  std::vector<Group> groups;
  // Values defined in this region by fusible ops that become arrays; everything else that is
  // fusible is evaluated where it is used.
  std::unordered_map<ValueId, uint32_t> group_of;   // value in memory -> group that makes it
  std::unordered_map<ValueId, ValueId> same_array;  // reshape: result -> operand
};

// `is_splat(v)` tells constants every kernel can hold. Values of enclosing regions are in memory.
// A group of `most_ops` evaluated ops is not extended.
inline constexpr uint32_t kMostGroupOps = 320;
Grouping GroupRegion(const Region& region, const Func& func,
                     const std::unordered_map<ValueId, const Op*>& definitions,
                     uint32_t most_ops = kMostGroupOps);

// Calls `visit` for every value that ops in the regions of `op` read but do not define.
void ForEachCapture(const Op& op, const std::function<void(ValueId)>& visit);

}  // namespace megalith::codegen
