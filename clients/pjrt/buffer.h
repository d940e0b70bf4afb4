// Arrays in the hands of the host.
#pragma once

#include <memory>
#include <mutex>

#include "clients/pjrt/client.h"
#include "clients/pjrt/event.h"

namespace megalith::pjrt {

// An array that exists or is being made. Buffers share it. Thread-safe.
class Value {
 public:
  explicit Value(ArrayPtr array) : array_(std::move(array)) { ready_ = DoneEvent(); }
  // To be made: Set or Fail follows. `early`: programs of a remote engine may take the array before
  // it is ready.
  explicit Value(bool early = false)
      : ready_(std::make_shared<EventState>()),
        named_(early ? std::make_shared<EventState>() : nullptr) {}
  ~Value();

  void Set(ArrayPtr array);
  void Fail(Status status);
  // When the elements exist where the engine keeps them.
  const EventPtr& ready() const { return ready_; }
  // When array() may be used, also if its elements do not exist yet.
  const EventPtr& named() const { return named_ != nullptr ? named_ : ready_; }
  // Requires named() to have succeeded.
  const ArrayPtr& array() const { return array_; }
  // Counts `bytes` against a device until the value dies.
  void Count(std::shared_ptr<MemoryCount> count, int64_t bytes);

 private:
  ArrayPtr array_;
  EventPtr ready_;
  EventPtr named_;  // null: the same as ready_
  std::shared_ptr<MemoryCount> count_;
  int64_t bytes_ = 0;
};
using ValuePtr = std::shared_ptr<Value>;

// A token has no dimensions and no elements that could be read; its `spec` is bool[0].
abi::Buffer* NewBuffer(abi::Memory* memory, TensorSpec spec, ValuePtr value, bool token = false);

}  // namespace megalith::pjrt

namespace megalith::pjrt::abi {

struct Buffer {
  Memory* memory = nullptr;
  TensorSpec spec;
  bool token = false;
  std::mutex mu;   // guards the rest
  ValuePtr value;  // null once deleted or given away
  // Fetched for somebody who was given a pointer; lives as long as the buffer.
  Tensor pinned;

  // The value, or an error that says what became of it.
  Result<ValuePtr> Get();
  // The array if nobody has to wait for it and nothing went wrong, else null.
  ArrayPtr IfExists();
  // The value, which the buffer loses.
  ValuePtr Take();
};

}  // namespace megalith::pjrt::abi

namespace megalith::pjrt {

// Type codes of the interface. kInvalidArgument for what has no array type here.
Result<DType> DTypeOf(abi::Buffer_Type type);
abi::Buffer_Type TypeOf(DType dtype);

// A copy of `bytes` laid out by `strides` (bytes; may be negative; `data` is element [0,...,0]) in
// row-major order. Requires strides.size() == shape.size().
void CopyStrided(const char* data, const Shape& shape, std::span<const int64_t> strides,
                 size_t width, char* out);

}  // namespace megalith::pjrt
