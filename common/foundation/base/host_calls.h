// Functions of the process that programs call while they run.
#pragma once

#include <cstdint>
#include <span>

#include "common/foundation/base/status.h"

namespace megalith {

// Whoever compiles and runs programs whose custom calls `megalith.host_call` name functions by
// number (docs/formats/custom-calls.md) has one of these, and nobody else can. Thread-safe.
class HostCalls {
 public:
  // The elements of one operand or result, row-major, without gaps.
  struct Array {
    void* data = nullptr;
    uint64_t bytes = 0;
    const int64_t* dims = nullptr;
    uint64_t num_dims = 0;
  };

  virtual ~HostCalls() = default;
  // Calls function `id`: it reads `in`, which it must not keep, and writes all of `out`. Blocks as
  // long as the function runs. Errors: kInternal (the function failed; the message is what it
  // says), kInvalidArgument (it takes or gives other arrays), kFailedPrecondition (there is no such
  // function).
  virtual Status Call(uint64_t id, std::span<const Array> in, std::span<const Array> out) const = 0;

  // Offers functions to what this thread compiles and runs until the end of the scope, which
  // `calls` outlives; null: none. Everything else that compiles and runs programs needs no
  // parameter for them, and refuses such calls. Scopes nest: a function may run programs.
  class Scope {
   public:
    explicit Scope(const HostCalls* calls);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    const HostCalls* const before_;
  };
  // Those of the innermost scope of this thread; null if there is none.
  static const HostCalls* Offered();
};

}  // namespace megalith
