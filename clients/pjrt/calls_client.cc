// Clients, devices, memories and topologies.
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>

#include "clients/pjrt/calls.h"
#include "clients/pjrt/client.h"
#include "clients/pjrt/client_options.h"
#include "clients/pjrt/embedded_engine.h"
#include "clients/pjrt/remote_library.h"
#include "common/foundation/base/strings.h"

namespace megalith::pjrt {
MEGALITH_PJRT_CALL(Client_Create) {
  ASSIGN_OR_RETURN(const ClientOptions options,
                   ParseClientOptions(args.create_options, args.num_options));
  ASSIGN_OR_RETURN(std::shared_ptr<Engine> engine,
                   options.remote.address.empty()
                       ? MakeEmbeddedEngine(options.remote.backend, ProcessHostCallbacks())
                       : OpenRemoteEngine(options.remote));
  args.client = MakeClient(std::move(engine), static_cast<int>(options.devices)).release();
  return OkStatus();
}

MEGALITH_PJRT_CALL(Client_Destroy) {
  delete args.client;
  return OkStatus();
}

MEGALITH_PJRT_CALL(Client_PlatformName) {
  args.platform_name = kPlatform.data();
  args.platform_name_size = kPlatform.size();
  return OkStatus();
}

MEGALITH_PJRT_CALL(Client_ProcessIndex) {
  args.process_index = 0;
  return OkStatus();
}

MEGALITH_PJRT_CALL(Client_PlatformVersion) {
  SetText(args.client->version, &args.platform_version, &args.platform_version_size);
  return OkStatus();
}

MEGALITH_PJRT_CALL(Client_TopologyDescription) {
  args.topology = &args.client->topology;
  return OkStatus();
}

MEGALITH_PJRT_CALL(Client_Devices) {
  args.devices = args.client->devices.data();
  args.num_devices = args.client->devices.size();
  return OkStatus();
}

MEGALITH_PJRT_CALL(Client_AddressableDevices) {
  args.addressable_devices = args.client->devices.data();
  args.num_addressable_devices = args.client->devices.size();
  return OkStatus();
}

static Result<abi::Device*> DeviceAt(abi::Client* client, int32_t id) {
  if (id < 0 || static_cast<size_t>(id) >= client->devices.size()) {
    return InvalidArgument(
        StrCat("there is no device ", id, "; the client has ", client->devices.size()));
  }
  return client->devices[static_cast<size_t>(id)];
}

MEGALITH_PJRT_CALL(Client_LookupDevice) {
  ASSIGN_OR_RETURN(args.device, DeviceAt(args.client, args.id));
  return OkStatus();
}

MEGALITH_PJRT_CALL(Client_LookupAddressableDevice) {
  ASSIGN_OR_RETURN(args.addressable_device, DeviceAt(args.client, args.local_hardware_id));
  return OkStatus();
}

MEGALITH_PJRT_CALL(Client_AddressableMemories) {
  args.addressable_memories = args.client->memories.data();
  args.num_addressable_memories = args.client->memories.size();
  return OkStatus();
}

MEGALITH_PJRT_CALL(Client_DefaultDeviceAssignment) {
  const int64_t wanted = int64_t{args.num_replicas} * args.num_partitions;
  if (args.num_replicas < 1 || args.num_partitions < 1 ||
      wanted > static_cast<int64_t>(args.client->devices.size())) {
    return InvalidArgument(StrCat(args.num_replicas, " replicas of ", args.num_partitions,
                                  " partitions need more devices than the client's ",
                                  args.client->devices.size()));
  }
  if (args.default_assignment_size < static_cast<size_t>(wanted)) {
    return InvalidArgument("the array for the device assignment is too short");
  }
  for (int64_t i = 0; i < wanted; ++i) args.default_assignment[i] = static_cast<int32_t>(i);
  return OkStatus();
}

MEGALITH_PJRT_CALL(Client_UpdateGlobalProcessInfo) { return OkStatus(); }
MEGALITH_PJRT_CALL(Client_DmaMap) { return OkStatus(); }  // host memory is device memory
MEGALITH_PJRT_CALL(Client_DmaUnmap) { return OkStatus(); }

MEGALITH_PJRT_CALL(DeviceDescription_Id) {
  args.id = args.device_description->id;
  return OkStatus();
}

MEGALITH_PJRT_CALL(DeviceDescription_ProcessIndex) {
  args.process_index = 0;
  return OkStatus();
}

MEGALITH_PJRT_CALL(DeviceDescription_Attributes) {
  args.attributes = nullptr;
  args.num_attributes = 0;
  return OkStatus();
}

MEGALITH_PJRT_CALL(DeviceDescription_Kind) {
  SetText(args.device_description->kind, &args.device_kind, &args.device_kind_size);
  return OkStatus();
}

MEGALITH_PJRT_CALL(DeviceDescription_DebugString) {
  SetText(args.device_description->debug_string, &args.debug_string, &args.debug_string_size);
  return OkStatus();
}

MEGALITH_PJRT_CALL(DeviceDescription_ToString) {
  SetText(args.device_description->to_string, &args.to_string, &args.to_string_size);
  return OkStatus();
}

MEGALITH_PJRT_CALL(Device_GetDescription) {
  args.device_description = args.device->description;
  return OkStatus();
}

MEGALITH_PJRT_CALL(Device_IsAddressable) {
  args.is_addressable = true;
  return OkStatus();
}

MEGALITH_PJRT_CALL(Device_LocalHardwareId) {
  args.local_hardware_id = args.device->description->id;
  return OkStatus();
}

MEGALITH_PJRT_CALL(Device_AddressableMemories) {
  args.memories = args.device->memories.data();
  args.num_memories = args.device->memories.size();
  return OkStatus();
}

MEGALITH_PJRT_CALL(Device_DefaultMemory) {
  args.memory = args.device->memories[0];
  return OkStatus();
}

MEGALITH_PJRT_CALL(Device_MemoryStats) {
  const MemoryCount& count = *args.device->count;
  args.bytes_in_use = count.bytes.load();
  args.peak_bytes_in_use = count.peak.load();
  args.peak_bytes_in_use_is_set = true;
  args.num_allocs = count.allocations.load();
  args.num_allocs_is_set = true;
  args.largest_alloc_size = count.largest.load();
  args.largest_alloc_size_is_set = true;
  // Devices share the machine's memory.
  args.bytes_limit = int64_t{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGESIZE);
  args.bytes_reservable_limit = args.bytes_limit;
  args.bytes_limit_is_set = args.bytes_reservable_limit_is_set = true;
  args.bytes_reserved_is_set = args.peak_bytes_reserved_is_set = false;
  args.largest_free_block_bytes_is_set = false;
  if (MEGALITH_PJRT_HAS(args, pool_bytes_is_set)) args.pool_bytes_is_set = false;
  if (MEGALITH_PJRT_HAS(args, peak_pool_bytes_is_set)) args.peak_pool_bytes_is_set = false;
  return OkStatus();
}

MEGALITH_PJRT_CALL(Device_PoisonExecution) {
  args.poisoned = false;  // what was launched runs to its end
  return OkStatus();
}

MEGALITH_PJRT_CALL(Device_CreateAsyncTrackingEvent) {
  args.event = NewEvent(std::make_shared<EventState>());
  return OkStatus();
}

MEGALITH_PJRT_CALL(AsyncTrackingEvent_Destroy) {
  DestroyEvent(args.event);
  return OkStatus();
}

MEGALITH_PJRT_CALL(Memory_Id) {
  args.id = args.memory->id;
  return OkStatus();
}

MEGALITH_PJRT_CALL(Memory_Kind) {
  SetText(args.memory->kind, &args.kind, &args.kind_size);
  return OkStatus();
}

MEGALITH_PJRT_CALL(Memory_Kind_Id) {
  args.kind_id = args.memory->kind_id;
  return OkStatus();
}

MEGALITH_PJRT_CALL(Memory_DebugString) {
  SetText(args.memory->to_string, &args.debug_string, &args.debug_string_size);
  return OkStatus();
}

MEGALITH_PJRT_CALL(Memory_ToString) {
  SetText(args.memory->to_string, &args.to_string, &args.to_string_size);
  return OkStatus();
}

MEGALITH_PJRT_CALL(Memory_AddressableByDevices) {
  args.devices = args.memory->devices.data();
  args.num_devices = args.memory->devices.size();
  return OkStatus();
}

}  // namespace megalith::pjrt
