#include "common/learning/embedding/write_gate.h"

#include "common/foundation/base/status.h"

namespace megalith::embedding {
namespace {

// The gate that this thread holds shared, if any. One is enough: no code writes to two sets at
// once, and if it did the outer hold would simply be taken again after the inner.
thread_local WriteGate* held_gate = nullptr;

}  // namespace

WriteGate::Shared::Shared(WriteGate& gate) : gate_(nullptr), outer_(held_gate) {
  if (held_gate == &gate) return;
  gate.Enter();
  gate_ = &gate;
  held_gate = &gate;
}

WriteGate::Shared::Shared(WriteGate& gate, std::try_to_lock_t) : gate_(nullptr), outer_(held_gate) {
  if (held_gate == &gate) return;
  held_ = gate.TryEnter();
  if (!held_) return;
  gate_ = &gate;
  held_gate = &gate;
}

WriteGate::Shared::~Shared() {
  if (gate_ == nullptr) return;
  held_gate = outer_;
  gate_->Leave();
}

void WriteGate::Enter() {
  while (!TryEnter()) closed_.wait(1);
}

bool WriteGate::TryEnter() {
  // Sequentially consistent, as in Exclusive: either we see it closed, or it sees us inside.
  writers_.fetch_add(1, std::memory_order_seq_cst);
  if (closed_.load(std::memory_order_seq_cst) == 0) return true;
  Leave();
  return false;
}

void WriteGate::Leave() {
  if (writers_.fetch_sub(1, std::memory_order_seq_cst) == 1 &&
      closed_.load(std::memory_order_seq_cst) != 0) {
    writers_.notify_all();
  }
}

WriteGate::Exclusive::Exclusive(WriteGate& gate) : gate_(gate) {
  CHECK(held_gate != &gate);
  gate_.mu_.lock();
  gate_.closed_.store(1, std::memory_order_seq_cst);
  for (uint32_t inside = gate_.writers_.load(std::memory_order_seq_cst); inside != 0;
       inside = gate_.writers_.load(std::memory_order_seq_cst)) {
    gate_.writers_.wait(inside);
  }
}

WriteGate::Exclusive::~Exclusive() {
  gate_.closed_.store(0, std::memory_order_seq_cst);
  gate_.closed_.notify_all();
  gate_.mu_.unlock();
}

}  // namespace megalith::embedding
