// What engines have in common: from what a host sends to programs of one device.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "clients/pjrt/engine.h"

namespace megalith::stablehlo {
class Module;
}

namespace megalith::pjrt {

// What a program says beyond what it computes.
struct Description {
  std::string name;
  std::vector<bool> donated;        // per input
  std::vector<bool> token_outputs;  // per output
};

// Serialized: name and flags (a byte each), every one after its size in four bytes.
void AppendDescription(const Description& description, std::string* out);
// Takes one off the front. Errors: kDataLoss.
Result<Description> TakeDescription(std::string_view* serialized);

// The setting `donate` (programs/stablehlo/donation.h) of a program; empty if it is given nothing.
std::string DonationSetting(const stablehlo::Module& module);

// Compiles a program of one device. `source` is what the host sent if that is this very module,
// else empty.
using CompileWhole = std::function<Result<std::shared_ptr<const LoadedProgram>>(
    const stablehlo::Module& module, std::string_view source, Description description)>;

// Reads `module`, and makes one program of it, also if it is for several devices (spmd_program.h).
// Errors: those of the readers; kUnimplemented for several replicas; those of `compile_whole`.
Result<std::shared_ptr<const LoadedProgram>> CompileFront(std::string_view module,
                                                          const ProgramOptions& options,
                                                          const CompileWhole& compile_whole);

}  // namespace megalith::pjrt
