// The gate that lets a snapshot have its moment: writers pass it together, a moment has it alone.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>

namespace megalith::embedding {

// Threads: any. A waiting Exclusive keeps new writers out, so that it gets its turn under any load;
// it should be held for microseconds. Cost of Shared: two atomic additions.
class WriteGate {
 public:
  WriteGate() = default;
  WriteGate(const WriteGate&) = delete;
  WriteGate& operator=(const WriteGate&) = delete;

  // Writes belong together while one of these lives: a snapshot holds all of them or none. Nests
  // within a thread: an inner one of the same gate does nothing.
  class Shared {
   public:
    explicit Shared(WriteGate& gate);
    // Does not wait; held() says whether the gate was open.
    Shared(WriteGate& gate, std::try_to_lock_t);
    ~Shared();
    bool held() const { return held_; }
    Shared(const Shared&) = delete;
    Shared& operator=(const Shared&) = delete;

   private:
    WriteGate* gate_;  // null: an outer one holds it
    WriteGate* outer_;
    bool held_ = true;
  };

  // No write goes on while one of these lives. Must not be made by a thread that holds a Shared.
  class Exclusive {
   public:
    explicit Exclusive(WriteGate& gate);
    ~Exclusive();
    Exclusive(const Exclusive&) = delete;
    Exclusive& operator=(const Exclusive&) = delete;

   private:
    WriteGate& gate_;
  };

 private:
  void Enter();
  bool TryEnter();
  void Leave();

  std::mutex mu_;  // held by the Exclusive
  std::atomic<uint32_t> closed_{0};
  std::atomic<uint32_t> writers_{0};
};

}  // namespace megalith::embedding
