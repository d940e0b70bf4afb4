#include "clients/pjrt/buffer.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "common/foundation/base/strings.h"

namespace megalith::pjrt {
namespace {

// By code of the interface.
constexpr std::array<DType, 30> kTypes = {
    DType::kInvalid,    DType::kBool,   DType::kI8,       DType::kI16,           DType::kI32,
    DType::kI64,        DType::kU8,     DType::kU16,      DType::kU32,           DType::kU64,
    DType::kF16,        DType::kF32,    DType::kF64,      DType::kBF16,          DType::kC64,
    DType::kC128,       DType::kF8E5M2, DType::kF8E4M3FN, DType::kF8E4M3B11FNUZ, DType::kF8E5M2FNUZ,
    DType::kF8E4M3FNUZ, DType::kI4,     DType::kU4,       DType::kInvalid,       DType::kI2,
    DType::kU2,         DType::kF8E4M3, DType::kF8E3M4,   DType::kF8E8M0FNU,     DType::kF4E2M1FN};

}  // namespace

Value::~Value() { CountNoMore(); }

void Value::Set(ArrayPtr array) {
  array_ = std::move(array);
  const EventPtr made = array_->ready();
  if (named_ != nullptr) named_->Set(OkStatus());
  if (made == nullptr) {
    ready_->Set(OkStatus());
  } else {
    made->OnReady([ready = ready_](const Status& s) { ready->Set(s); });
  }
}

void Value::Fail(Status status) {
  if (named_ != nullptr) named_->Set(status);
  ready_->Set(std::move(status));
}

void Value::CountNoMore() {
  if (count_ != nullptr) count_->Remove(bytes_.exchange(0));
}

void Value::Count(std::shared_ptr<MemoryCount> count, int64_t bytes) {
  count_ = std::move(count);
  bytes_ = bytes;
  count_->Add(bytes);
}

OrderPtr Shared(const Order& order) {
  return order.empty() ? nullptr : std::make_shared<const Order>(order);
}

Shape StoredShape(const TensorSpec& spec, const OrderPtr& order) {
  return order == nullptr ? spec.shape : Stored(spec.shape, *order);
}

void WhenFetched(const ValuePtr& value, std::function<void(const Result<Tensor>&)> f) {
  value->named()->OnReady([value, f = std::move(f)](const Status& s) {
    if (!s.ok()) return f(s);
    if (const Tensor* here = value->array()->local(); here != nullptr) return f(*here);
    value->array()->Fetch(f);
  });
}

Result<OrderPtr> OrderOfLayout(const abi::Buffer_MemoryLayout* layout, const TensorSpec& spec) {
  if (layout == nullptr) return OrderPtr();
  const size_t rank = spec.shape.size();
  if (layout->type == abi::kLayoutTiled) {
    const abi::Buffer_MemoryLayout_Tiled& tiled = layout->tiled;
    if (tiled.num_tiles != 0) {
      return Unimplemented("tiled layouts are not kept; ask for a dense one");
    }
    ASSIGN_OR_RETURN(const Order order,
                     OrderOf({tiled.minor_to_major, tiled.minor_to_major_size}, rank));
    return Shared(order);
  }
  const std::span<const int64_t> strides(layout->strides.byte_strides,
                                         layout->strides.num_byte_strides);
  if (strides.size() != rank) {
    return InvalidArgument(StrCat(strides.size(), " strides for an array of rank ", rank));
  }
  // Of equal strides all but one belong to dimensions of size 1, of which the last is the fastest.
  std::vector<int64_t> fastest_first;
  for (size_t d = rank; d-- > 0;) fastest_first.push_back(static_cast<int64_t>(d));
  std::ranges::stable_sort(fastest_first, {},
                           [&](int64_t d) { return strides[static_cast<size_t>(d)]; });
  int64_t dense = tensor::ByteWidth(spec.dtype);
  for (const int64_t d : fastest_first) {
    const int64_t n = spec.shape[static_cast<size_t>(d)];
    if (n != 1 && strides[static_cast<size_t>(d)] != dense) {
      return Unimplemented("layouts whose strides leave gaps are not kept; ask for a dense one");
    }
    dense *= n;
  }
  ASSIGN_OR_RETURN(const Order order, OrderOf(fastest_first, rank));
  return Shared(order);
}

tensor::Dims StoredStrides(const TensorSpec& spec, const OrderPtr& from, const OrderPtr& to) {
  tensor::Dims strides = tensor::RowMajorStrides(StoredShape(spec, from));
  for (int64_t& n : strides) n *= tensor::ByteWidth(spec.dtype);
  if (from != nullptr) strides = Logical(strides, *from);
  return to == nullptr ? strides : Stored(strides, *to);
}

ValuePtr InOrder(const abi::Buffer& buffer, const ValuePtr& value, OrderPtr to) {
  auto made = std::make_shared<Value>();
  abi::Memory* const memory = buffer.memory;
  const auto relay = [memory, spec = buffer.spec, from = buffer.order,
                      to = std::move(to)](const Tensor& t) -> Result<ArrayPtr> {
    ASSIGN_OR_RETURN(Tensor out, Tensor::CreateUninitialized(spec.dtype, StoredShape(spec, to)));
    if (out.byte_size() > 0) {
      CopyStrided(static_cast<const char*>(t.data()), out.shape(), StoredStrides(spec, from, to),
                  static_cast<size_t>(tensor::ByteWidth(spec.dtype)),
                  static_cast<char*>(out.mutable_data()));
    }
    return memory->client->engine->Put(memory->device->description->id, std::move(out));
  };
  WhenFetched(value, [made, relay](const Result<Tensor>& t) {
    if (!t.ok()) return made->Fail(t.status());
    Result<ArrayPtr> array = relay(*t);
    if (!array.ok()) return made->Fail(array.status());
    made->Set(*std::move(array));
  });
  return made;
}

abi::Buffer* NewBuffer(abi::Memory* memory, TensorSpec spec, ValuePtr value, bool token,
                       OrderPtr order) {
  auto* b = new abi::Buffer;
  b->memory = memory;
  b->spec = std::move(spec);
  b->value = std::move(value);
  b->token = token;
  b->order = std::move(order);
  return b;
}

namespace abi {

Result<ValuePtr> Buffer::Get() {
  const std::lock_guard lock(mu);
  if (value == nullptr) {
    return InvalidArgument(StrCat("the buffer of an array ",
                                  tensor::TypeText(spec.dtype, spec.shape),
                                  " was deleted or donated; keep a copy if it is still needed"));
  }
  return value;
}

ArrayPtr Buffer::IfExists() {
  const std::lock_guard lock(mu);
  if (value == nullptr || !value->ready()->ready() || !value->ready()->status().ok())
    return nullptr;
  return value->array();
}

ValuePtr Buffer::Take() {
  const std::lock_guard lock(mu);
  return std::exchange(value, nullptr);
}

}  // namespace abi

Result<DType> DTypeOf(abi::Buffer_Type type) {
  const auto code = static_cast<size_t>(type);
  if (code >= kTypes.size() || kTypes[code] == DType::kInvalid) {
    return InvalidArgument(StrCat("element type ", code, " of the interface is not supported"));
  }
  return kTypes[code];
}

abi::Buffer_Type TypeOf(DType dtype) {
  for (size_t i = 0; i < kTypes.size(); ++i) {
    if (kTypes[i] == dtype) return static_cast<abi::Buffer_Type>(i);
  }
  return abi::kInvalid;
}

void CopyStrided(const char* data, const Shape& shape, std::span<const int64_t> strides,
                 size_t width, char* out) {
  const size_t rank = shape.size();
  if (rank == 0) {
    std::memcpy(out, data, width);
    return;
  }
  int64_t total = 1;
  for (const int64_t n : shape) total *= n;
  if (total == 0) return;
  const auto row = static_cast<size_t>(shape[rank - 1]);
  const int64_t step = strides[rank - 1];
  Shape at(rank, 0);
  while (true) {
    if (step == static_cast<int64_t>(width)) {
      std::memcpy(out, data, row * width);
    } else {
      const char* from = data;
      for (size_t i = 0; i < row; ++i, from += step) std::memcpy(out + i * width, from, width);
    }
    out += row * width;
    size_t d = rank - 1;
    while (true) {
      if (d == 0) return;
      --d;
      data += strides[d];
      if (++at[d] < shape[d]) break;
      data -= strides[d] * shape[d];
      at[d] = 0;
    }
  }
}

}  // namespace megalith::pjrt
