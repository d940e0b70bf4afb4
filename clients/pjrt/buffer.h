// Arrays in the hands of the host.
#pragma once

#include <atomic>
#include <functional>
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
  // Before that, because the array was given to a program, whose results are counted.
  void CountNoMore();

 private:
  ArrayPtr array_;
  EventPtr ready_;
  EventPtr named_;  // null: the same as ready_
  std::shared_ptr<MemoryCount> count_;
  std::atomic<int64_t> bytes_{0};
};
using ValuePtr = std::shared_ptr<Value>;

using OrderPtr = std::shared_ptr<const Order>;  // null: row-major
OrderPtr Shared(const Order& order);
inline bool SameOrder(const OrderPtr& a, const OrderPtr& b) {
  return a == b || (a != nullptr && b != nullptr && *a == *b);
}
// An array as it is stored (layouts.h) in `order`.
Shape StoredShape(const TensorSpec& spec, const OrderPtr& order);

// A token has no dimensions and no elements that could be read; its `spec` is bool[0]. The elements
// of `value` are stored in `order`.
abi::Buffer* NewBuffer(abi::Memory* memory, TensorSpec spec, ValuePtr value, bool token = false,
                       OrderPtr order = nullptr);

// Calls `f` on the elements, as they are stored, once they are here, or on why they never will be.
void WhenFetched(const ValuePtr& value, std::function<void(const Result<Tensor>&)> f);

// The order of dimensions that a host asks for; null asks for row-major. Errors: kInvalidArgument
// (no permutation), kUnimplemented (tiles, or strides with gaps).
Result<OrderPtr> OrderOfLayout(const abi::Buffer_MemoryLayout* layout, const TensorSpec& spec);

// Strides in bytes of an array that lies dense in the order `from`, dimension by dimension as it is
// stored in the order `to`.
tensor::Dims StoredStrides(const TensorSpec& spec, const OrderPtr& from, const OrderPtr& to);

// The same array in another order.
ValuePtr InOrder(const abi::Buffer& buffer, const ValuePtr& value, OrderPtr to);

}  // namespace megalith::pjrt

namespace megalith::pjrt::abi {

struct Buffer {
  Memory* memory = nullptr;
  TensorSpec spec;
  OrderPtr order;
  bool token = false;
  std::mutex mu;   // guards the rest
  ValuePtr value;  // null once deleted or given away
  // What somebody was given a pointer to: of a remote engine's array as long as the buffer lives,
  // else while there are external references, which outlive the deletion of the array.
  Tensor pinned;
  int external_references = 0;

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
