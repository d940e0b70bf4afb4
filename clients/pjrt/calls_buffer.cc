// Arrays: from the host, to the host, and what they are.
#include <cstring>
#include <utility>

#include "clients/pjrt/buffer.h"
#include "clients/pjrt/calls.h"
#include "clients/pjrt/host_callbacks.h"
#include "common/foundation/base/strings.h"
#include "common/foundation/tensor/narrow.h"

namespace megalith::pjrt {
namespace {

using tensor::Dims;

// Up to this size a copy costs less than remembering whose memory it is.
constexpr int64_t kCopyBytes = 4096;

Result<TensorSpec> SpecOf(abi::Buffer_Type type, const int64_t* dims, size_t num_dims) {
  ASSIGN_OR_RETURN(const DType dtype, DTypeOf(type));
  if (num_dims > 64) return InvalidArgument(StrCat("an array of rank ", num_dims, " is too deep"));
  TensorSpec spec{dtype, Shape(std::span<const int64_t>(dims, num_dims))};
  for (const int64_t n : spec.shape) {
    if (n < 0) return InvalidArgument(StrCat("a dimension of ", n, " elements"));
  }
  if (!tensor::NumElements(spec.shape)) {
    return ResourceExhausted("an array has more elements than can be counted");
  }
  return spec;
}

Result<abi::Memory*> MemoryOf(abi::Device* device, abi::Memory* memory) {
  if (memory != nullptr) return memory;
  if (device != nullptr) return device->memories[0];
  return InvalidArgument("neither a device nor a memory was named for the array");
}

bool IsRowMajor(const Shape& shape, std::span<const int64_t> strides, size_t width) {
  if (strides.empty()) return true;
  auto expected = static_cast<int64_t>(width);
  for (size_t d = shape.size(); d-- > 0;) {
    if (shape[d] != 1 && strides[d] != expected) return false;
    expected *= shape[d];
  }
  return true;
}

// Writes elements in row-major order to memory laid out by `strides`.
void Scatter(const char* from, const Shape& shape, std::span<const int64_t> strides, size_t width,
             char* out) {
  const int64_t n = tensor::NumElements(shape).value_or(0);
  Shape at(shape.size(), 0);
  for (int64_t i = 0; i < n; ++i, from += width) {
    std::memcpy(out, from, width);
    for (size_t d = shape.size(); d-- > 0;) {
      out += strides[d];
      if (++at[d] < shape[d]) break;
      out -= strides[d] * shape[d];
      at[d] = 0;
    }
  }
}

void CopyOut(const Tensor& t, const Dims& strides, size_t width, char* dst) {
  if (strides.empty() || IsRowMajor(t.shape(), strides, width)) {
    std::memcpy(dst, t.data(), t.byte_size());
  } else {
    Scatter(static_cast<const char*>(t.data()), t.shape(), strides, width, dst);
  }
}

// WhenFetched for what cannot fail; the event tells how the rest went.
abi::Event* When(const ValuePtr& value, std::function<void(const Tensor&)> f) {
  auto done = std::make_shared<EventState>();
  WhenFetched(value, [done, f = std::move(f)](const Result<Tensor>& t) {
    if (t.ok()) f(*t);
    done->Set(t.status());
  });
  return NewEvent(std::move(done));
}

// Waits for an array without the lock that a function of the host may need to make it.
Status WaitUnlocked(const Value& value) {
  if (!value.named()->ready()) {
    const HostCallbacks::Unlocked unlocked(ProcessHostCallbacks());
    (void)value.named()->Wait();
  }
  return value.named()->Wait();
}

// The elements of a buffer in this process. The pointer is good until the array is deleted or
// donated; that of a copy of a remote array, until the buffer dies.
Result<const void*> PointerTo(abi::Buffer* buffer) {
  ASSIGN_OR_RETURN(const ValuePtr value, buffer->Get());
  RETURN_IF_ERROR(WaitUnlocked(*value));
  if (const Tensor* here = value->array()->local(); here != nullptr) return here->data();
  ASSIGN_OR_RETURN(Tensor t, FetchNow(*value->array()));
  const std::lock_guard lock(buffer->mu);
  if (!buffer->pinned.valid()) buffer->pinned = std::move(t);
  return buffer->pinned.data();
}

// Keeps the elements also when the array is deleted, and from being overwritten when it is donated.
Status AddReference(abi::Buffer* buffer) {
  ASSIGN_OR_RETURN(const ValuePtr value, buffer->Get());
  RETURN_IF_ERROR(WaitUnlocked(*value));
  ASSIGN_OR_RETURN(Tensor t, FetchNow(*value->array()));
  const std::lock_guard lock(buffer->mu);
  if (!buffer->pinned.valid()) buffer->pinned = std::move(t);
  ++buffer->external_references;
  return OkStatus();
}

void DropReference(abi::Buffer* buffer) {
  Tensor last;  // dies outside the lock: memory borrowed from the host is given back to it
  const std::lock_guard lock(buffer->mu);
  if (buffer->external_references == 0 || --buffer->external_references > 0) return;
  if (!buffer->memory->client->engine->remote()) last = std::exchange(buffer->pinned, Tensor());
}

ValuePtr NewValue(abi::Device* device, const TensorSpec& spec, ArrayPtr array) {
  auto value = std::make_shared<Value>(std::move(array));
  value->Count(device->count,
               tensor::NumElements(spec.shape).value_or(0) * tensor::ByteWidth(spec.dtype));
  return value;
}

}  // namespace

MEGALITH_PJRT_CALL(Client_BufferFromHostBuffer) {
  ASSIGN_OR_RETURN(TensorSpec spec, SpecOf(args.type, args.dims, args.num_dims));
  ASSIGN_OR_RETURN(abi::Memory* const memory, MemoryOf(args.device, args.memory));
  ASSIGN_OR_RETURN(OrderPtr order, OrderOfLayout(args.device_layout, spec));
  const auto width = static_cast<size_t>(tensor::ByteWidth(spec.dtype));
  Dims strides(std::span<const int64_t>(args.byte_strides, args.num_byte_strides));
  if (!strides.empty() && strides.size() != spec.shape.size()) {
    return InvalidArgument(
        StrCat(strides.size(), " strides for an array of rank ", spec.shape.size()));
  }
  const int64_t bytes = *tensor::NumElements(spec.shape) * static_cast<int64_t>(width);
  const Shape stored = StoredShape(spec, order);
  if (order != nullptr) {
    strides = strides.empty() ? StoredStrides(spec, nullptr, order) : Stored(strides, *order);
  }
  const bool dense = IsRowMajor(stored, strides, width);
  const bool borrow = args.host_buffer_semantics >= abi::kImmutableZeroCopy && dense &&
                      bytes > kCopyBytes &&
                      reinterpret_cast<uintptr_t>(args.data) % std::max<size_t>(width, 1) == 0;
  Tensor host;
  EventPtr released = DoneEvent();
  if (borrow) {
    released = std::make_shared<EventState>();
    const std::shared_ptr<const void> owner(args.data,
                                            [released](const void*) { released->Set(OkStatus()); });
    host = Tensor::View(spec.dtype, stored, args.data, owner);
  } else {
    ASSIGN_OR_RETURN(host, Tensor::CreateUninitialized(spec.dtype, stored));
    if (bytes > 0 && dense) {
      std::memcpy(host.mutable_data(), args.data, static_cast<size_t>(bytes));
    } else if (bytes > 0) {
      CopyStrided(static_cast<const char*>(args.data), stored, strides, width,
                  static_cast<char*>(host.mutable_data()));
    }
  }
  RETURN_IF_ERROR(tensor::NormalizeElements(&host));
  abi::Device* device = memory->device;
  ASSIGN_OR_RETURN(ArrayPtr array,
                   memory->client->engine->Put(device->description->id, std::move(host)));
  ValuePtr value = NewValue(device, spec, std::move(array));
  args.buffer = NewBuffer(memory, std::move(spec), std::move(value), false, std::move(order));
  args.done_with_host_buffer = NewEvent(std::move(released));
  return OkStatus();
}

MEGALITH_PJRT_CALL(Client_CreateViewOfDeviceBuffer) {
  ASSIGN_OR_RETURN(TensorSpec spec, SpecOf(args.element_type, args.dims, args.num_dims));
  ASSIGN_OR_RETURN(abi::Memory* const memory,
                   MemoryOf(args.device, MEGALITH_PJRT_HAS(args, memory) ? args.memory : nullptr));
  ASSIGN_OR_RETURN(OrderPtr order, OrderOfLayout(args.layout, spec));
  const std::shared_ptr<const void> owner(
      args.device_buffer_ptr,
      [callback = args.on_delete_callback, user = args.on_delete_callback_arg](const void* p) {
        if (callback != nullptr) callback(const_cast<void*>(p), user);
      });
  Tensor view = Tensor::View(spec.dtype, StoredShape(spec, order), args.device_buffer_ptr, owner);
  RETURN_IF_ERROR(tensor::NormalizeElements(&view));
  ASSIGN_OR_RETURN(ArrayPtr array,
                   memory->client->engine->Put(memory->device->description->id, std::move(view)));
  ValuePtr value = NewValue(memory->device, spec, std::move(array));
  args.buffer = NewBuffer(memory, std::move(spec), std::move(value), false, std::move(order));
  return OkStatus();
}

MEGALITH_PJRT_CALL(Client_CreateUninitializedBuffer) {
  ASSIGN_OR_RETURN(TensorSpec spec,
                   SpecOf(args.shape_element_type, args.shape_dims, args.shape_num_dims));
  ASSIGN_OR_RETURN(abi::Memory* const memory, MemoryOf(args.device, args.memory));
  ASSIGN_OR_RETURN(OrderPtr order, OrderOfLayout(args.shape_layout, spec));
  ASSIGN_OR_RETURN(Tensor zeros, Tensor::Create(spec.dtype, StoredShape(spec, order)));
  ASSIGN_OR_RETURN(ArrayPtr array,
                   memory->client->engine->Put(memory->device->description->id, std::move(zeros)));
  ValuePtr value = NewValue(memory->device, spec, std::move(array));
  args.buffer = NewBuffer(memory, std::move(spec), std::move(value), false, std::move(order));
  return OkStatus();
}

MEGALITH_PJRT_CALL(Client_CreateErrorBuffer) {
  ASSIGN_OR_RETURN(TensorSpec spec,
                   SpecOf(args.shape_element_type, args.shape_dims, args.shape_num_dims));
  ASSIGN_OR_RETURN(OrderPtr order, OrderOfLayout(args.shape_layout, spec));
  const bool known = args.error_code > 0 && args.error_code <= 16;
  auto value = std::make_shared<Value>();
  value->Fail(Status(known ? static_cast<Code>(args.error_code) : Code::kUnknown,
                     std::string(args.error_message, args.error_message_size)));
  args.buffer = NewBuffer(args.memory, std::move(spec), std::move(value), false, std::move(order));
  return OkStatus();
}

MEGALITH_PJRT_CALL(Buffer_Destroy) {
  delete args.buffer;
  return OkStatus();
}

MEGALITH_PJRT_CALL(Buffer_ElementType) {
  args.type = args.buffer->token ? abi::kToken : TypeOf(args.buffer->spec.dtype);
  return OkStatus();
}

MEGALITH_PJRT_CALL(Buffer_Dimensions) {
  args.dims = args.buffer->spec.shape.data();
  args.num_dims = args.buffer->token ? 0 : args.buffer->spec.shape.size();
  return OkStatus();
}

MEGALITH_PJRT_CALL(Buffer_UnpaddedDimensions) {
  args.unpadded_dims = args.buffer->spec.shape.data();
  args.num_dims = args.buffer->token ? 0 : args.buffer->spec.shape.size();
  return OkStatus();
}

MEGALITH_PJRT_CALL(Buffer_DynamicDimensionIndices) {
  args.dynamic_dim_indices = nullptr;
  args.num_dynamic_dims = 0;
  return OkStatus();
}

MEGALITH_PJRT_CALL(Buffer_GetMemoryLayout) {
  // Row-major for every rank that an array can have: the first `rank` entries from the back.
  static const auto kOrder = [] {
    std::array<int64_t, 64> order{};
    for (size_t i = 0; i < order.size(); ++i) {
      order[i] = static_cast<int64_t>(order.size() - 1 - i);
    }
    return order;
  }();
  const size_t rank = args.buffer->token ? 0 : args.buffer->spec.shape.size();
  const OrderPtr& order = args.buffer->order;
  args.layout = {};
  args.layout.struct_size = sizeof(args.layout);
  args.layout.type = abi::kLayoutTiled;
  args.layout.tiled.struct_size = sizeof(args.layout.tiled);
  args.layout.tiled.minor_to_major =
      order != nullptr ? order->data() : kOrder.data() + (kOrder.size() - rank);
  args.layout.tiled.minor_to_major_size = rank;
  return OkStatus();
}

MEGALITH_PJRT_CALL(Buffer_OnDeviceSizeInBytes) {
  const TensorSpec& spec = args.buffer->spec;
  args.on_device_size_in_bytes = static_cast<size_t>(tensor::NumElements(spec.shape).value_or(0)) *
                                 static_cast<size_t>(tensor::ByteWidth(spec.dtype));
  return OkStatus();
}

MEGALITH_PJRT_CALL(Buffer_Device) {
  args.device = args.buffer->memory->device;
  return OkStatus();
}

MEGALITH_PJRT_CALL(Buffer_Memory) {
  args.memory = args.buffer->memory;
  return OkStatus();
}

MEGALITH_PJRT_CALL(Buffer_Delete) {
  args.buffer->Take();
  return OkStatus();
}

MEGALITH_PJRT_CALL(Buffer_IsDeleted) {
  const std::lock_guard lock(args.buffer->mu);
  args.is_deleted = args.buffer->value == nullptr;
  return OkStatus();
}

MEGALITH_PJRT_CALL(Buffer_CopyToMemory) {
  ASSIGN_OR_RETURN(const ValuePtr value, args.buffer->Get());
  abi::Memory* const memory = args.dst_memory;
  auto copy = std::make_shared<Value>();
  const TensorSpec& spec = args.buffer->spec;
  copy->Count(memory->device->count,
              tensor::NumElements(spec.shape).value_or(0) * tensor::ByteWidth(spec.dtype));
  args.dst_buffer = NewBuffer(memory, spec, copy, false, args.buffer->order);
  WhenFetched(value, [copy, memory](const Result<Tensor>& t) {
    if (!t.ok()) return copy->Fail(t.status());
    Result<ArrayPtr> array = memory->client->engine->Put(memory->device->description->id, *t);
    if (!array.ok()) return copy->Fail(array.status());
    copy->Set(*std::move(array));
  });
  return OkStatus();
}

MEGALITH_PJRT_CALL(Buffer_CopyToDevice) {
  abi::Buffer_CopyToMemory_Args to{};
  to.struct_size = sizeof(to);
  to.buffer = args.buffer;
  to.dst_memory = args.dst_device->memories[0];
  RETURN_IF_ERROR(DoBuffer_CopyToMemory(to));
  args.dst_buffer = to.dst_buffer;
  return OkStatus();
}

MEGALITH_PJRT_CALL(Buffer_ToHostBuffer) {
  ASSIGN_OR_RETURN(const ValuePtr value, args.src->Get());
  const TensorSpec& spec = args.src->spec;
  const auto width = static_cast<size_t>(tensor::ByteWidth(spec.dtype));
  const size_t bytes = static_cast<size_t>(tensor::NumElements(spec.shape).value_or(0)) * width;
  if (args.dst == nullptr) {
    args.dst_size = bytes;
    args.event = bytes == 0 ? NewEvent(DoneEvent()) : nullptr;  // an empty array may have no place
    return OkStatus();
  }
  if (args.dst_size < bytes) {
    return InvalidArgument(
        StrCat("the array has ", bytes, " bytes; room for ", args.dst_size, " was given"));
  }
  Dims strides;
  if (args.host_layout != nullptr && args.host_layout->type == abi::kLayoutStrides) {
    const abi::Buffer_MemoryLayout_Strides& given = args.host_layout->strides;
    strides = Dims(std::span<const int64_t>(given.byte_strides, given.num_byte_strides));
    if (strides.size() != spec.shape.size()) {
      return InvalidArgument(
          StrCat(strides.size(), " strides for an array of rank ", spec.shape.size()));
    }
  } else {
    ASSIGN_OR_RETURN(const OrderPtr wanted, OrderOfLayout(args.host_layout, spec));
    strides = StoredStrides(spec, wanted, nullptr);
  }
  if (args.src->order != nullptr) strides = Stored(strides, *args.src->order);
  args.event =
      When(value, [strides = std::move(strides), width, dst = static_cast<char*>(args.dst)](
                      const Tensor& t) { CopyOut(t, strides, width, dst); });
  return OkStatus();
}

static Status CheckRange(const abi::Buffer& buffer, int64_t offset, size_t size) {
  const auto bytes = static_cast<uint64_t>(tensor::NumElements(buffer.spec.shape).value_or(0)) *
                     static_cast<uint64_t>(tensor::ByteWidth(buffer.spec.dtype));
  if (offset < 0 || static_cast<uint64_t>(offset) > bytes ||
      size > bytes - static_cast<uint64_t>(offset)) {
    return InvalidArgument(StrCat("bytes ", offset, " to ", offset, "+", size,
                                  " are outside an array of ", bytes, " bytes"));
  }
  return OkStatus();
}

MEGALITH_PJRT_CALL(Buffer_CopyRawToHost) {
  ASSIGN_OR_RETURN(const ValuePtr value, args.buffer->Get());
  RETURN_IF_ERROR(CheckRange(*args.buffer, args.offset, args.transfer_size));
  args.event = When(
      value, [dst = args.dst, offset = args.offset, size = args.transfer_size](const Tensor& t) {
        std::memcpy(dst, static_cast<const char*>(t.data()) + offset, size);
      });
  return OkStatus();
}

MEGALITH_PJRT_CALL(Buffer_CopyRawToHostFuture) {
  ASSIGN_OR_RETURN(const ValuePtr value, args.buffer->Get());
  RETURN_IF_ERROR(CheckRange(*args.buffer, args.offset, args.transfer_size));
  // The host calls back with the place to write to, as soon as it has one.
  struct Pending {
    ValuePtr value;
    int64_t offset;
    size_t size;
    EventPtr done;
  };
  auto done = std::make_shared<EventState>();
  args.callback_data = new Pending{value, args.offset, args.transfer_size, done};
  args.future_ready_callback = [](abi::Buffer_CopyRawToHostFuture_Callback_Args* call) {
    const std::unique_ptr<Pending> p(static_cast<Pending*>(call->callback_data));
    if (call->error_code != 0) {
      p->done->Set(
          Status(Code::kUnknown, std::string(call->error_message, call->error_message_size)));
      return;
    }
    WhenFetched(p->value, [done = p->done, offset = p->offset, size = p->size,
                           dst = call->dst](const Result<Tensor>& t) {
      if (!t.ok()) return done->Set(t.status());
      std::memcpy(dst, static_cast<const char*>(t->data()) + offset, size);
      done->Set(OkStatus());
    });
  };
  args.event = NewEvent(std::move(done));
  return OkStatus();
}

MEGALITH_PJRT_CALL(Buffer_IsOnCpu) {
  args.is_on_cpu = !args.buffer->memory->client->engine->remote();
  return OkStatus();
}

MEGALITH_PJRT_CALL(Buffer_ReadyEvent) {
  ASSIGN_OR_RETURN(const ValuePtr value, args.buffer->Get());
  args.event = NewEvent(value->ready());
  return OkStatus();
}

MEGALITH_PJRT_CALL(Buffer_UnsafePointer) {
  ASSIGN_OR_RETURN(const void* const p, PointerTo(args.buffer));
  args.buffer_pointer = const_cast<void*>(p);
  return OkStatus();
}

MEGALITH_PJRT_CALL(Buffer_OpaqueDeviceMemoryDataPointer) {
  ASSIGN_OR_RETURN(const void* const p, PointerTo(args.buffer));
  args.device_memory_ptr = const_cast<void*>(p);
  return OkStatus();
}

MEGALITH_PJRT_CALL(Buffer_IncreaseExternalReferenceCount) { return AddReference(args.buffer); }
MEGALITH_PJRT_CALL(Buffer_DecreaseExternalReferenceCount) {
  DropReference(args.buffer);
  return OkStatus();
}

MEGALITH_PJRT_CALL(Buffer_DonateWithControlDependency) {
  ValuePtr value = args.buffer->Take();
  if (value == nullptr) return args.buffer->Get().status();
  auto moved = std::make_shared<Value>();
  struct Pending {
    ValuePtr from, to;
  };
  args.out_buffer = NewBuffer(args.buffer->memory, args.buffer->spec, moved, args.buffer->token,
                              args.buffer->order);
  args.callback_data = new Pending{std::move(value), std::move(moved)};
  args.dependency_ready_callback = [](abi::Buffer_DonateWithControlDependency_Callback_Args* call) {
    const std::unique_ptr<Pending> p(static_cast<Pending*>(call->callback_data));
    if (call->error_code != 0) {
      p->to->Fail(
          Status(Code::kUnknown, std::string(call->error_message, call->error_message_size)));
      return;
    }
    p->from->named()->OnReady([from = p->from, to = p->to](const Status& s) {
      if (s.ok()) {
        to->Set(from->array());
      } else {
        to->Fail(s);
      }
    });
  };
  return OkStatus();
}

}  // namespace megalith::pjrt
