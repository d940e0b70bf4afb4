// A program that can be run: what every backend hands out, and what services, the trainer and the
// PJRT plugin call.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/foundation/base/cancellation.h"
#include "common/foundation/base/status.h"
#include "common/foundation/tensor/tensor.h"

namespace megalith::runtime {

using tensor::DType;
using tensor::Shape;
using tensor::Tensor;

// Element type and shape of one input or output. A token of the program is an array bool[0].
struct TensorSpec {
  DType dtype = DType::kInvalid;
  Shape shape;
  friend bool operator==(const TensorSpec&, const TensorSpec&) = default;
};

struct Signature {
  std::vector<TensorSpec> inputs, outputs;
  friend bool operator==(const Signature&, const Signature&) = default;
};

// Estimates, from the program alone, of one run.
struct CostSummary {
  double flops = 0;
  double transcendentals = 0;
  double bytes_accessed = 0;
  double peak_temporary_bytes = 0;
  double constant_bytes = 0;
  uint64_t operations = 0;
  friend bool operator==(const CostSummary&, const CostSummary&) = default;
};

// Time spent per kind of operation in one run.
struct OpTime {
  std::string name;
  uint64_t calls = 0;
  double seconds = 0;
};

struct RunProfile;  // run_profile.h

struct RunOptions {
  const Cancellation* cancellation = nullptr;  // asked at least every 50 ms
  std::vector<OpTime>* profile = nullptr;      // appended to if the backend can tell, dearest first
  RunProfile* details = nullptr;               // filled if the backend can tell
};

// Immutable after loading. Threads: Run may be called concurrently, inputs are never written and
// outputs are new, but for what RunTaking is given.
class Executable {
 public:
  virtual ~Executable() = default;

  virtual const Signature& signature() const = 0;
  // What the package was stored under (KeyOf in backend.h); empty if it was never given one.
  virtual const std::string& key() const = 0;
  virtual std::string_view backend() const = 0;
  virtual const CostSummary& cost() const = 0;

  // Errors: kInvalidArgument (number, dtype or shape of the inputs: says which one, found and
  // wanted), kCancelled, kDeadlineExceeded, kResourceExhausted (memory or a limit given at
  // compilation).
  Result<std::vector<Tensor>> Run(std::span<const Tensor> inputs,
                                  const RunOptions& options = {}) const;
  // The same, but what is moved in and held by nobody else (Tensor::unique) may be overwritten and
  // become a result. Only programs compiled to be given an input make use of that
  // (programs/stablehlo/donation.h), and they copy such an input where somebody else holds it.
  Result<std::vector<Tensor>> RunTaking(std::vector<Tensor> inputs,
                                        const RunOptions& options = {}) const;
  // Bytes of results that lie in inputs when those are given.
  virtual uint64_t donated_bytes() const { return 0; }

 protected:
  // Inputs have been checked against the signature.
  virtual Result<std::vector<Tensor>> RunChecked(std::span<const Tensor> inputs,
                                                 const RunOptions& options) const = 0;
  virtual Result<std::vector<Tensor>> RunTakingChecked(std::vector<Tensor> inputs,
                                                       const RunOptions& options) const {
    return RunChecked(inputs, options);
  }
};

// kInvalidArgument if the tensors are not those of `specs`; `what` is "input" or the like.
Status CheckTensors(std::span<const Tensor> tensors, std::span<const TensorSpec> specs,
                    std::string_view what);

}  // namespace megalith::runtime
