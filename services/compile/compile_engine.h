// What the compile service needs from a compiler. The service owns keys' use, cache, single flight,
// evidence and wire; the engine owns StableHLO and packages.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/fleet/cache/key.h"
#include "common/foundation/base/cancellation.h"
#include "common/foundation/base/policy.h"
#include "common/foundation/base/status.h"
#include "common/foundation/tensor/array_type.h"

namespace megalith::services {

struct Signature {
  std::vector<tensor::ArrayType> inputs;
  std::vector<tensor::ArrayType> outputs;
};

struct CostEstimate {
  double flops = 0;
  double transcendentals = 0;
  double bytes_accessed = 0;
  double peak_bytes = 0;
};

struct CompileInput {
  std::string_view text;      // StableHLO text, or
  std::string_view artifact;  // an artifact or an export; exactly one is not empty
  std::string target;         // never empty
  Policy policy = Policy::kStrict;
  std::map<std::string, std::string> options;
  uint64_t memory_budget_bytes = UINT64_MAX;  // what compiling may take
};

// A program that is parsed, verified and made canonical. Used by one thread at a time.
class CompileJob {
 public:
  virtual ~CompileJob() = default;
  // Kind "executable"; covers canonical StableHLO, options, target and compiler version.
  virtual const cache::Key& key() const = 0;
  virtual const Signature& signature() const = 0;
  virtual const CostEstimate& cost() const = 0;
  // What compiling takes, estimated from the program.
  virtual uint64_t memory_bytes() const = 0;
  // Of what is made: "0", "1", "auto", or the backend's name if it has none. For metrics.
  virtual std::string tier() const = 0;
  // The package's bytes. `progress` takes the share of this step that is done, 0 to 1.
  // Errors: kUnimplemented  an op without code for the target; kResourceExhausted, also if it turns
  // out to take more than CompileInput::memory_budget_bytes; those of `cancellation`.
  virtual Result<std::string> Compile(const std::function<void(double)>& progress,
                                      const Cancellation& cancellation) = 0;
};

// Thread-safe.
class CompileEngine {
 public:
  virtual ~CompileEngine() = default;
  // Views of `input` need not outlive the call.
  // Errors: kInvalidArgument with line and column; kUnimplemented; kResourceExhausted; those of
  // `cancellation`.
  virtual Result<std::unique_ptr<CompileJob>> Prepare(const CompileInput& input,
                                                      const Cancellation& cancellation) = 0;
  // Of a package that Compile made. Errors: kDataLoss.
  virtual Result<Signature> SignatureOf(std::string_view package) = 0;
  // Of requests that name none.
  virtual std::string default_target() const = 0;
};

using MakeCompileEngine = std::function<Result<std::shared_ptr<CompileEngine>>()>;

}  // namespace megalith::services
