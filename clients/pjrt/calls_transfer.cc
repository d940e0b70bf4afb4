// Transfers in pieces: buffers that exist before their elements do.
#include <cstring>
#include <mutex>
#include <utility>

#include "clients/pjrt/buffer.h"
#include "clients/pjrt/calls.h"
#include "common/foundation/base/strings.h"

namespace megalith::pjrt {
namespace {

// One buffer that is being filled.
struct Slot {
  TensorSpec spec;
  OrderPtr order;
  Tensor host;  // as it is stored
  ValuePtr value;
  bool finished = false;
};

}  // namespace
}  // namespace megalith::pjrt

namespace megalith::pjrt::abi {

struct TransferManager {
  Memory* memory = nullptr;
  std::mutex mu;  // guards slots
  std::vector<Slot> slots;
};

// A buffer whose value another one will give.
struct FulfillAliasBuffer {
  ValuePtr value;
  OrderPtr order;
};

struct CopyToDeviceStream {};

}  // namespace megalith::pjrt::abi

namespace megalith::pjrt {
namespace {

Result<Slot*> SlotAt(abi::TransferManager* manager, int32_t index) {
  if (index < 0 || static_cast<size_t>(index) >= manager->slots.size()) {
    return InvalidArgument(
        StrCat("there is no buffer ", index, " in a transfer of ", manager->slots.size()));
  }
  Slot* slot = &manager->slots[static_cast<size_t>(index)];
  if (slot->finished) return FailedPrecondition(StrCat("buffer ", index, " is complete already"));
  return slot;
}

Result<TensorSpec> SpecOf(const abi::ShapeSpec& s) {
  ASSIGN_OR_RETURN(const DType dtype, DTypeOf(s.element_type));
  return TensorSpec{dtype, Shape(std::span<const int64_t>(s.dims, s.num_dims))};
}

Status Finish(abi::TransferManager* manager, Slot* slot) {
  slot->finished = true;
  ASSIGN_OR_RETURN(ArrayPtr array,
                   manager->memory->client->engine->Put(manager->memory->device->description->id,
                                                        std::move(slot->host)));
  slot->value->Set(std::move(array));
  return OkStatus();
}

Status NoStream() { return Unimplemented("streams from the host are not offered"); }

}  // namespace

MEGALITH_PJRT_CALL(Client_CreateBuffersForAsyncHostToDevice) {
  auto made = std::make_unique<abi::TransferManager>();
  made->memory = args.memory;
  for (size_t i = 0; i < args.num_shape_specs; ++i) {
    Slot slot;
    ASSIGN_OR_RETURN(slot.spec, SpecOf(args.shape_specs[i]));
    if (i < args.num_device_layouts) {
      ASSIGN_OR_RETURN(slot.order, OrderOfLayout(args.device_layouts[i], slot.spec));
    }
    ASSIGN_OR_RETURN(slot.host, Tensor::CreateUninitialized(slot.spec.dtype,
                                                            StoredShape(slot.spec, slot.order)));
    slot.value = std::make_shared<Value>();
    made->slots.push_back(std::move(slot));
  }
  args.transfer_manager = made.release();
  return OkStatus();
}

MEGALITH_PJRT_CALL(AsyncHostToDeviceTransferManager_Destroy) {
  for (const Slot& slot : args.transfer_manager->slots) {
    if (!slot.finished) {
      slot.value->Fail(Cancelled("the transfer ended before all elements had been sent"));
    }
  }
  delete args.transfer_manager;
  return OkStatus();
}

MEGALITH_PJRT_CALL(AsyncHostToDeviceTransferManager_TransferData) {
  const std::lock_guard lock(args.transfer_manager->mu);
  ASSIGN_OR_RETURN(Slot* const slot, SlotAt(args.transfer_manager, args.buffer_index));
  const uint64_t size = slot->host.byte_size();
  if (args.offset < 0 || static_cast<uint64_t>(args.offset) > size ||
      args.transfer_size > size - static_cast<uint64_t>(args.offset)) {
    return InvalidArgument(StrCat("a piece at byte ", args.offset, " of ", args.transfer_size,
                                  " bytes is outside a buffer of ", size));
  }
  std::memcpy(static_cast<char*>(slot->host.mutable_data()) + args.offset, args.data,
              args.transfer_size);
  if (args.is_last_transfer) RETURN_IF_ERROR(Finish(args.transfer_manager, slot));
  args.done_with_h2d_transfer = NewEvent(DoneEvent());
  return OkStatus();
}

MEGALITH_PJRT_CALL(AsyncHostToDeviceTransferManager_TransferLiteral) {
  const std::lock_guard lock(args.transfer_manager->mu);
  ASSIGN_OR_RETURN(Slot* const slot, SlotAt(args.transfer_manager, args.buffer_index));
  ASSIGN_OR_RETURN(const OrderPtr from, OrderOfLayout(args.shape_layout, slot->spec));
  if (slot->host.byte_size() > 0) {
    const auto width = static_cast<size_t>(tensor::ByteWidth(slot->spec.dtype));
    CopyStrided(static_cast<const char*>(args.data), slot->host.shape(),
                StoredStrides(slot->spec, from, slot->order), width,
                static_cast<char*>(slot->host.mutable_data()));
  }
  RETURN_IF_ERROR(Finish(args.transfer_manager, slot));
  args.done_with_h2d_transfer = NewEvent(DoneEvent());
  return OkStatus();
}

MEGALITH_PJRT_CALL(AsyncHostToDeviceTransferManager_RetrieveBuffer) {
  const std::lock_guard lock(args.transfer_manager->mu);
  const auto i = static_cast<size_t>(args.buffer_index);
  if (args.buffer_index < 0 || i >= args.transfer_manager->slots.size()) {
    return InvalidArgument(StrCat("there is no buffer ", args.buffer_index));
  }
  const Slot& slot = args.transfer_manager->slots[i];
  args.buffer_out =
      NewBuffer(args.transfer_manager->memory, slot.spec, slot.value, false, slot.order);
  return OkStatus();
}

MEGALITH_PJRT_CALL(AsyncHostToDeviceTransferManager_Device) {
  args.device_out = args.transfer_manager->memory->device;
  return OkStatus();
}

MEGALITH_PJRT_CALL(AsyncHostToDeviceTransferManager_BufferCount) {
  args.buffer_count = args.transfer_manager->slots.size();
  return OkStatus();
}

MEGALITH_PJRT_CALL(AsyncHostToDeviceTransferManager_BufferSize) {
  const std::lock_guard lock(args.transfer_manager->mu);
  ASSIGN_OR_RETURN(const Slot* const slot, SlotAt(args.transfer_manager, args.buffer_index));
  args.buffer_size = slot->host.byte_size();
  return OkStatus();
}

MEGALITH_PJRT_CALL(AsyncHostToDeviceTransferManager_SetBufferError) {
  const std::lock_guard lock(args.transfer_manager->mu);
  ASSIGN_OR_RETURN(Slot* const slot, SlotAt(args.transfer_manager, args.buffer_index));
  slot->finished = true;
  const bool known = args.error_code > 0 && args.error_code <= 16;
  slot->value->Fail(Status(known ? static_cast<Code>(args.error_code) : Code::kUnknown,
                           std::string(args.error_message, args.error_message_size)));
  return OkStatus();
}

MEGALITH_PJRT_CALL(AsyncHostToDeviceTransferManager_AddMetadata) { return OkStatus(); }

MEGALITH_PJRT_CALL(Client_CreateAliasBuffer) {
  ASSIGN_OR_RETURN(const DType dtype, DTypeOf(args.shape_element_type));
  TensorSpec spec{dtype, Shape(std::span<const int64_t>(args.shape_dims, args.shape_num_dims))};
  ASSIGN_OR_RETURN(const OrderPtr order, OrderOfLayout(args.shape_layout, spec));
  auto value = std::make_shared<Value>();
  args.fulfill_alias_buffer_cb = new abi::FulfillAliasBuffer{value, order};
  args.alias_buffer = NewBuffer(args.memory, std::move(spec), std::move(value), false, order);
  return OkStatus();
}

MEGALITH_PJRT_CALL(Client_FulfillAliasBuffer) {
  const std::unique_ptr<abi::FulfillAliasBuffer> alias(args.fulfill_alias_buffer_cb);
  if (args.status_code != 0) {
    const bool known = args.status_code > 0 && args.status_code <= 16;
    alias->value->Fail(Status(known ? static_cast<Code>(args.status_code) : Code::kUnknown,
                              std::string(args.error_message, args.error_message_size)));
    return OkStatus();
  }
  ASSIGN_OR_RETURN(ValuePtr from, args.buffer->Get());
  if (!SameOrder(args.buffer->order, alias->order)) {
    from = InOrder(*args.buffer, from, alias->order);
  }
  from->named()->OnReady([from, to = alias->value](const Status& s) {
    if (s.ok()) {
      to->Set(from->array());
    } else {
      to->Fail(s);
    }
  });
  return OkStatus();
}

MEGALITH_PJRT_CALL(CopyToDeviceStream_Destroy) {
  delete args.stream;
  return OkStatus();
}
MEGALITH_PJRT_CALL(CopyToDeviceStream_AddChunk) { return NoStream(); }
MEGALITH_PJRT_CALL(CopyToDeviceStream_TotalBytes) { return NoStream(); }
MEGALITH_PJRT_CALL(CopyToDeviceStream_GranuleSize) { return NoStream(); }
MEGALITH_PJRT_CALL(CopyToDeviceStream_CurrentBytes) { return NoStream(); }

}  // namespace megalith::pjrt
