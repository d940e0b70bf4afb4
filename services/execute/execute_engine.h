// What the execute service needs from a runtime. The service owns keys, buffers, evidence and wire;
// the engine owns packages and code.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "common/foundation/base/cancellation.h"
#include "common/foundation/base/status.h"
#include "common/foundation/tensor/array_type.h"
#include "common/foundation/tensor/tensor.h"

namespace megalith::runtime {
struct RunProfile;
enum class Origin : uint8_t;
}  // namespace megalith::runtime

namespace megalith::services {

// A program ready to run. Thread-safe: several runs may be in progress at the same time.
class Executable {
 public:
  virtual ~Executable() = default;
  virtual const std::vector<tensor::ArrayType>& inputs() const = 0;
  virtual const std::vector<tensor::ArrayType>& outputs() const = 0;
  // True if a run takes no more than about 100 microseconds and never blocks, so that it may happen
  // on a thread of gRPC's.
  virtual bool quick() const = 0;
  // `arguments` have the types of inputs(). `profile` may be nullptr: not asked for. Errors:
  // kResourceExhausted; those of `cancellation`; kInternal.
  virtual Result<std::vector<tensor::Tensor>> Run(std::span<const tensor::Tensor> arguments,
                                                  const Cancellation& cancellation,
                                                  runtime::RunProfile* profile) const = 0;
  // The same, but may use the memory of arguments that nobody else holds.
  virtual Result<std::vector<tensor::Tensor>> RunTaking(std::vector<tensor::Tensor> arguments,
                                                        const Cancellation& cancellation,
                                                        runtime::RunProfile* profile) const {
    return Run(arguments, cancellation, profile);
  }
};

// Thread-safe.
class ExecuteEngine {
 public:
  virtual ~ExecuteEngine() = default;
  // `origin`: whether machine code in the package may be run. Errors: kDataLoss  bytes that are no
  // package; kUnimplemented  a package for another machine.
  virtual Result<std::shared_ptr<const Executable>> Load(std::string_view package,
                                                         runtime::Origin origin,
                                                         const Cancellation& cancellation) = 0;
};

using MakeExecuteEngine = std::function<Result<std::shared_ptr<ExecuteEngine>>()>;

}  // namespace megalith::services
