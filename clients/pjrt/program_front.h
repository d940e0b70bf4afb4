// What engines have in common: from what a host sends to programs of one device.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
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
  Orders orders;
  std::string computations;  // hlo_program.h
};

// Serialized: name, flags (a byte each), orders of inputs and of outputs (a byte per dimension,
// each order after its size), computations, every one after its size in four bytes.
void AppendDescription(const Description& description, std::string* out);
// Takes one off the front. Errors: kDataLoss.
Result<Description> TakeDescription(std::string_view* serialized);

// A program of one device, with what its description says.
class WholeProgram : public LoadedProgram {
 public:
  explicit WholeProgram(Description description) : description_(std::move(description)) {}

  const std::string& name() const override { return description_.name; }
  const std::vector<bool>& donated() const override { return description_.donated; }
  const std::vector<bool>& token_outputs() const override { return description_.token_outputs; }
  const Orders& orders() const override { return description_.orders; }
  const std::string& computations() const override { return description_.computations; }
  const std::string& shardings() const override {
    static const std::string kNone;
    return kNone;
  }

 protected:
  // What Serialize begins with.
  std::string SerializedDescription() const {
    std::string out;
    AppendDescription(description_, &out);
    return out;
  }
  // Inputs and outputs that the description says nothing of are neither donated nor tokens.
  void FitDescription(const Signature& signature) {
    description_.donated.resize(signature.inputs.size(), false);
    description_.token_outputs.resize(signature.outputs.size(), false);
  }

 private:
  Description description_;
};

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
