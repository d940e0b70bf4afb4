// Functions of the host process that programs call (`jax.debug.print`, `jax.pure_callback` and the
// like): the interface in C by which the Python package offers them, and what holds them here.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "common/foundation/base/host_calls.h"

extern "C" {

// An array of a call: row-major, without gaps.
struct MegalithHostArray {
  void* data;
  uint64_t bytes;
  const int64_t* dims;
  uint64_t num_dims;
};

// What the host offers. Everything is called from any thread, by several at once.
struct MegalithHostCallbacks {
  size_t struct_size;
  // A program that may call function `id` was compiled, or has gone. Every hold that returned 1 is
  // followed by one release; 0: there is no such function.
  int (*hold)(uint64_t id);
  void (*release)(uint64_t id);
  // Runs a function that is held. 0, or what failed: 1 the function, 2 it takes or gives other
  // arrays; then `error` gets a text that ends with a zero.
  int (*call)(uint64_t id, const MegalithHostArray* in, size_t num_in, const MegalithHostArray* out,
              size_t num_out, char* error, size_t error_size);
  // The lock of the host's interpreter, which `call` takes. A thread of the host that comes here
  // with it must not keep it while it waits for a program: whether this thread has it; giving it
  // back; taking it again, with what giving it back returned.
  int (*has_lock)();
  void* (*unlock)();
  void (*lock)(void* unlocked);
};

}  // extern "C"

namespace megalith::pjrt {

// Thread-safe.
class HostCallbacks final : public HostCalls {
 public:
  // Functions that a program may call; they exist at least as long as this.
  class Hold {
   public:
    Hold() = default;
    Hold(Hold&&) = default;
    Hold& operator=(Hold&&) = default;
    ~Hold();
    bool empty() const { return ids_.empty(); }

   private:
    friend class HostCallbacks;
    HostCallbacks* owner_ = nullptr;
    std::vector<uint64_t> ids_;
  };

  // Offers `table`, which is copied; null: no more, once the calls that are running have returned.
  void Set(const MegalithHostCallbacks* table);

  // Errors: kFailedPrecondition (the host offers no functions, or not this one).
  Result<Hold> Acquire(const std::vector<uint64_t>& ids);

  Status Call(uint64_t id, std::span<const Array> in, std::span<const Array> out) const override;

  // What waits for programs on a thread of the host, does so without the lock of its interpreter.
  class Unlocked {
   public:
    explicit Unlocked(const HostCallbacks& owner);
    ~Unlocked();
    Unlocked(const Unlocked&) = delete;
    Unlocked& operator=(const Unlocked&) = delete;

   private:
    void (*lock_)(void*) = nullptr;
    void* unlocked_ = nullptr;
  };

 private:
  class Use;  // of the table, which stays until the use ends

  mutable std::mutex mu_;
  mutable std::condition_variable idle_;
  MegalithHostCallbacks table_{};  // guarded by mu_
  bool offered_ = false;           // guarded by mu_
  mutable int uses_ = 0;           // guarded by mu_
};

// That of this process: a host offers its functions once, to all clients.
HostCallbacks& ProcessHostCallbacks();

}  // namespace megalith::pjrt
