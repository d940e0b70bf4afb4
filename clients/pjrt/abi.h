// The binary interface between JAX and a plugin: PJRT's C API, minor version 90, as far as names,
// order, types and offsets go (docs/pjrt.md). Declared here because no package ships the header;
// abi_layout.cc holds every offset against the measured ones.
#pragma once

#include <cstddef>
#include <cstdint>

namespace megalith::pjrt::abi {

inline constexpr int32_t kMajorVersion = 0;
inline constexpr int32_t kMinorVersion = 90;

// Objects behind these names belong to the plugin; the host sees pointers alone.
struct Error;
struct Event;
struct Client;
struct Device;
struct Memory;
struct Buffer;
struct Executable;
struct LoadedExecutable;
struct TopologyDescription;
struct DeviceDescription;
struct TransferManager;
struct ExecuteContext;
struct CopyToDeviceStream;
struct SerializedExecutable;
struct SerializedTopology;
struct SerializedCompileOptions;
struct SerializedDeviceAssignment;
struct FulfillAliasBuffer;
struct MemoryLayout;
struct SerializedLayout;
struct Chunk;

struct Extension {
  size_t struct_size;
  int32_t type;
  Extension* next;
};

enum NamedValue_Type : int32_t {
  kNamedString,
  kNamedInt64,
  kNamedInt64List,
  kNamedFloat,
  kNamedBool
};
enum HostBufferSemantics : int32_t {
  kImmutableOnlyDuringCall,
  kImmutableUntilTransferCompletes,
  kImmutableZeroCopy,
  kMutableZeroCopy
};
enum Buffer_MemoryLayout_Type : int32_t { kLayoutTiled, kLayoutStrides };
enum Buffer_Type : int32_t {
  kInvalid,
  kPred,
  kS8,
  kS16,
  kS32,
  kS64,
  kU8,
  kU16,
  kU32,
  kU64,
  kF16,
  kF32,
  kF64,
  kBf16,
  kC64,
  kC128,
  kF8E5M2,
  kF8E4M3FN,
  kF8E4M3B11FNUZ,
  kF8E5M2FNUZ,
  kF8E4M3FNUZ,
  kS4,
  kU4,
  kToken,
  kS2,
  kU2,
  kF8E4M3,
  kF8E3M4,
  kF8E8M0FNU,
  kF4E2M1FN
};

// Every argument struct begins so. The host writes the size of the struct as its header has it: a
// field beyond that must not be touched.
#define HEADER        \
  size_t struct_size; \
  Extension* extension_start;

// clang-format off
struct Api_Version { HEADER int32_t major_version; int32_t minor_version; };
struct Error_Destroy_Args { HEADER Error* error; };
struct Error_Message_Args { HEADER Error* error; const char* message; size_t message_size; };
struct Error_GetCode_Args { HEADER Error* error; int32_t code; };
struct NamedValue { HEADER const char* name; size_t name_size; NamedValue_Type type; union {
  const char* string_value; int64_t int64_value; const int64_t* int64_array_value;
  float float_value; bool bool_value; }; size_t value_size; };
struct Plugin_Initialize_Args { HEADER };
struct Plugin_Attributes_Args { HEADER const NamedValue* attributes; size_t num_attributes; };
struct Event_Destroy_Args { HEADER Event* event; };
struct Event_IsReady_Args { HEADER Event* event; bool is_ready; };
struct Event_Error_Args { HEADER Event* event; };
struct Event_Await_Args { HEADER Event* event; };
struct Event_OnReady_Args { HEADER Event* event; void (*callback)(Error* error, void* user_arg);
  void* user_arg; };
struct Event_Create_Args { HEADER Event* event; };
struct Event_Set_Args { HEADER Event* event; int32_t error_code; const char* error_message;
  size_t error_message_size; };
struct KeyValueGetCallback_Args { HEADER const char* key; size_t key_size; int32_t timeout_in_ms;
  void* callback_error; void* user_arg; const char* value; size_t value_size;
  void* value_deleter_callback; };
struct KeyValueTryGetCallback_Args { HEADER const char* key; size_t key_size; void* callback_error;
  void* user_arg; const char* value; size_t value_size; void* value_deleter_callback; };
struct KeyValuePutCallback_Args { HEADER const char* key; size_t key_size; const char* value;
  size_t value_size; void* callback_error; void* user_arg; };
struct Client_Create_Args { HEADER const NamedValue* create_options; size_t num_options;
  void* kv_get_callback; void* kv_get_user_arg; void* kv_put_callback; void* kv_put_user_arg;
  Client* client; void* kv_try_get_callback; void* kv_try_get_user_arg; };
struct Client_Destroy_Args { HEADER Client* client; };
struct Client_PlatformName_Args { HEADER Client* client; const char* platform_name;
  size_t platform_name_size; };
struct Client_ProcessIndex_Args { HEADER Client* client; int32_t process_index; };
struct Client_PlatformVersion_Args { HEADER Client* client; const char* platform_version;
  size_t platform_version_size; };
struct Client_TopologyDescription_Args { HEADER Client* client; TopologyDescription* topology; };
struct Client_Devices_Args { HEADER Client* client; Device* const* devices; size_t num_devices; };
struct Client_AddressableDevices_Args { HEADER Client* client; Device* const* addressable_devices;
  size_t num_addressable_devices; };
struct Client_LookupDevice_Args { HEADER Client* client; int32_t id; Device* device; };
struct Client_LookupAddressableDevice_Args { HEADER Client* client; int32_t local_hardware_id;
  Device* addressable_device; };
struct ProcessInfo { size_t struct_size; int32_t task_id; uint64_t incarnation_id; int32_t state;
  int32_t error_code; const char* error_message; size_t error_message_size; };
struct Client_UpdateGlobalProcessInfo_Args { HEADER Client* client; ProcessInfo* process_infos;
  size_t num_process_infos; };
struct Client_AddressableMemories_Args { HEADER Client* client;
  Memory* const* addressable_memories; size_t num_addressable_memories; };
struct Program { HEADER const char* code; size_t code_size; const char* format; size_t format_size; };
struct Client_Compile_Args { HEADER Client* client; Program* program; const char* compile_options;
  size_t compile_options_size; LoadedExecutable* executable; };
struct Client_DefaultDeviceAssignment_Args { HEADER Client* client; int32_t num_replicas;
  int32_t num_partitions; size_t default_assignment_size; int32_t* default_assignment; };
struct Client_DmaMap_Args { HEADER Client* client; const void* data; size_t size; };
struct Client_DmaUnmap_Args { HEADER Client* client; const void* data; };
struct AsyncHostToDeviceTransferManager_Destroy_Args { HEADER TransferManager* transfer_manager; };
struct AsyncHostToDeviceTransferManager_TransferData_Args { HEADER
  TransferManager* transfer_manager; int32_t buffer_index; const void* data; int64_t offset;
  size_t transfer_size; bool is_last_transfer; Event* done_with_h2d_transfer; };
struct AsyncHostToDeviceTransferManager_RetrieveBuffer_Args { HEADER
  TransferManager* transfer_manager; int32_t buffer_index; Buffer* buffer_out; };
struct AsyncHostToDeviceTransferManager_Device_Args { HEADER TransferManager* transfer_manager;
  Device* device_out; };
struct AsyncHostToDeviceTransferManager_BufferCount_Args { HEADER
  TransferManager* transfer_manager; size_t buffer_count; };
struct AsyncHostToDeviceTransferManager_BufferSize_Args { HEADER TransferManager* transfer_manager;
  int32_t buffer_index; size_t buffer_size; };
struct AsyncHostToDeviceTransferManager_SetBufferError_Args { HEADER
  TransferManager* transfer_manager; int32_t buffer_index; int32_t error_code;
  const char* error_message; size_t error_message_size; };
struct AsyncHostToDeviceTransferManager_AddMetadata_Args { HEADER
  TransferManager* transfer_manager; const NamedValue* transfer_metadata; size_t num_metadata; };
struct Buffer_MemoryLayout_Tiled { HEADER const int64_t* minor_to_major;
  size_t minor_to_major_size; const int64_t* tile_dims; const size_t* tile_dim_sizes;
  size_t num_tiles; };
struct Buffer_MemoryLayout_Strides { HEADER const int64_t* byte_strides; size_t num_byte_strides; };
struct Buffer_MemoryLayout { HEADER union { Buffer_MemoryLayout_Tiled tiled;
  Buffer_MemoryLayout_Strides strides; }; Buffer_MemoryLayout_Type type; };
struct AsyncHostToDeviceTransferManager_TransferLiteral_Args { HEADER
  TransferManager* transfer_manager; int32_t buffer_index; const void* data;
  const int64_t* shape_dims; size_t shape_num_dims; Buffer_Type shape_element_type;
  Buffer_MemoryLayout* shape_layout; Event* done_with_h2d_transfer; };
struct Client_CreateUninitializedBuffer_Args { HEADER Client* client; const int64_t* shape_dims;
  size_t shape_num_dims; Buffer_Type shape_element_type; Buffer_MemoryLayout* shape_layout;
  Device* device; Memory* memory; Buffer* buffer; };
struct Client_CreateErrorBuffer_Args { HEADER Client* client; int32_t error_code;
  const char* error_message; size_t error_message_size; const int64_t* shape_dims;
  size_t shape_num_dims; Buffer_Type shape_element_type; Buffer_MemoryLayout* shape_layout;
  Memory* memory; Buffer* buffer; };
struct Client_CreateAliasBuffer_Args { HEADER Client* client; Memory* memory;
  const int64_t* shape_dims; size_t shape_num_dims; Buffer_Type shape_element_type;
  Buffer_MemoryLayout* shape_layout; Buffer* alias_buffer;
  FulfillAliasBuffer* fulfill_alias_buffer_cb; };
struct Client_FulfillAliasBuffer_Args { HEADER Client* client; Buffer* buffer; int32_t status_code;
  const char* error_message; size_t error_message_size;
  FulfillAliasBuffer* fulfill_alias_buffer_cb; };
struct Client_BufferFromHostBuffer_Args { HEADER Client* client; const void* data;
  Buffer_Type type; const int64_t* dims; size_t num_dims; const int64_t* byte_strides;
  size_t num_byte_strides; HostBufferSemantics host_buffer_semantics; Device* device;
  Memory* memory; Buffer_MemoryLayout* device_layout; Event* done_with_host_buffer; Buffer* buffer; };
struct Client_CreateViewOfDeviceBuffer_Args { HEADER Client* client; void* device_buffer_ptr;
  const int64_t* dims; size_t num_dims; Buffer_Type element_type; Buffer_MemoryLayout* layout;
  Device* device; void (*on_delete_callback)(void* device_buffer_ptr, void* user_arg);
  void* on_delete_callback_arg; intptr_t stream; Buffer* buffer; Memory* memory; };
struct ShapeSpec { HEADER const int64_t* dims; size_t num_dims; Buffer_Type element_type; };
struct Client_CreateBuffersForAsyncHostToDevice_Args { HEADER Client* client;
  ShapeSpec* shape_specs; size_t num_shape_specs; Buffer_MemoryLayout** device_layouts;
  size_t num_device_layouts; Memory* memory; TransferManager* transfer_manager; };
struct DeviceDescription_Id_Args { HEADER DeviceDescription* device_description; int32_t id; };
struct DeviceDescription_ProcessIndex_Args { HEADER DeviceDescription* device_description;
  int32_t process_index; };
struct DeviceDescription_Attributes_Args { HEADER DeviceDescription* device_description;
  size_t num_attributes; const NamedValue* attributes; };
struct DeviceDescription_Kind_Args { HEADER DeviceDescription* device_description;
  const char* device_kind; size_t device_kind_size; };
struct DeviceDescription_DebugString_Args { HEADER DeviceDescription* device_description;
  const char* debug_string; size_t debug_string_size; };
struct DeviceDescription_ToString_Args { HEADER DeviceDescription* device_description;
  const char* to_string; size_t to_string_size; };
struct Device_GetDescription_Args { HEADER Device* device; DeviceDescription* device_description; };
struct Device_IsAddressable_Args { HEADER Device* device; bool is_addressable; };
struct Device_LocalHardwareId_Args { HEADER Device* device; int32_t local_hardware_id; };
struct Device_AddressableMemories_Args { HEADER Device* device; Memory* const* memories;
  size_t num_memories; };
struct Device_DefaultMemory_Args { HEADER Device* device; Memory* memory; };
struct Device_MemoryStats_Args { HEADER Device* device; int64_t bytes_in_use;
  int64_t peak_bytes_in_use; bool peak_bytes_in_use_is_set; int64_t num_allocs;
  bool num_allocs_is_set; int64_t largest_alloc_size; bool largest_alloc_size_is_set;
  int64_t bytes_limit; bool bytes_limit_is_set; int64_t bytes_reserved; bool bytes_reserved_is_set;
  int64_t peak_bytes_reserved; bool peak_bytes_reserved_is_set; int64_t bytes_reservable_limit;
  bool bytes_reservable_limit_is_set; int64_t largest_free_block_bytes;
  bool largest_free_block_bytes_is_set; int64_t pool_bytes; bool pool_bytes_is_set;
  int64_t peak_pool_bytes; bool peak_pool_bytes_is_set; };
struct Device_PoisonExecution_Args { HEADER Device* device; int32_t launch_id; int32_t error_code;
  const char* error_message; size_t error_message_size; bool poisoned; };
struct Device_CreateAsyncTrackingEvent_Args { HEADER Device* device; const char* description;
  size_t description_size; Event* event; };
struct AsyncTrackingEvent_Destroy_Args { HEADER Event* event; };
struct Memory_Id_Args { HEADER Memory* memory; int32_t id; };
struct Memory_Kind_Args { HEADER Memory* memory; const char* kind; size_t kind_size; };
struct Memory_Kind_Id_Args { HEADER Memory* memory; int32_t kind_id; };
struct Memory_DebugString_Args { HEADER Memory* memory; const char* debug_string;
  size_t debug_string_size; };
struct Memory_ToString_Args { HEADER Memory* memory; const char* to_string; size_t to_string_size; };
struct Memory_AddressableByDevices_Args { HEADER Memory* memory; Device* const* devices;
  size_t num_devices; };
struct ExecuteContext_Create_Args { HEADER ExecuteContext* context; };
struct ExecuteContext_Destroy_Args { HEADER ExecuteContext* context; };
struct Executable_Destroy_Args { HEADER Executable* executable; };
struct LoadedExecutable_Destroy_Args { HEADER LoadedExecutable* executable; };
struct LoadedExecutable_GetExecutable_Args { HEADER LoadedExecutable* loaded_executable;
  Executable* executable; };
struct LoadedExecutable_GetDeviceAssignment_Args { HEADER LoadedExecutable* executable;
  const char* serialized_bytes; size_t serialized_bytes_size;
  SerializedDeviceAssignment* serialized_device_assignment;
  void (*serialized_device_assignment_deleter)(SerializedDeviceAssignment*); };
struct Executable_Name_Args { HEADER Executable* executable; const char* executable_name;
  size_t executable_name_size; };
struct Executable_NumReplicas_Args { HEADER Executable* executable; size_t num_replicas; };
struct Executable_NumPartitions_Args { HEADER Executable* executable; size_t num_partitions; };
struct LoadedExecutable_AddressableDevices_Args { HEADER LoadedExecutable* executable;
  Device* const* addressable_devices; size_t num_addressable_devices; };
struct Executable_OptimizedProgram_Args { HEADER Executable* executable; Program* program; };
struct LoadedExecutable_Delete_Args { HEADER LoadedExecutable* executable; };
struct LoadedExecutable_IsDeleted_Args { HEADER LoadedExecutable* executable; bool is_deleted; };
struct SendCallbackInfo { int64_t channel_id; void* user_arg; void* send_callback; };
struct RecvCallbackInfo { int64_t channel_id; void* user_arg; void* recv_callback; };
struct ExecuteOptions { HEADER void* send_callbacks; void* recv_callbacks; size_t num_send_ops;
  size_t num_recv_ops; int32_t launch_id; const int64_t* non_donatable_input_indices;
  size_t num_non_donatable_input_indices; ExecuteContext* context; const char* call_location;
  size_t num_tasks; int* task_ids; int64_t* incarnation_ids; };
struct LoadedExecutable_Execute_Args { HEADER LoadedExecutable* executable;
  ExecuteOptions* options; Buffer* const* const* argument_lists; size_t num_devices;
  size_t num_args; Buffer** const* output_lists; Event** device_complete_events;
  Device* execute_device; };
struct Executable_NumOutputs_Args { HEADER Executable* executable; size_t num_outputs; };
struct Executable_SizeOfGeneratedCodeInBytes_Args { HEADER Executable* executable;
  size_t size_in_bytes; };
struct Executable_Fingerprint_Args { HEADER Executable* executable;
  const char* executable_fingerprint; size_t executable_fingerprint_size; };
struct Executable_GetCostAnalysis_Args { HEADER Executable* executable; size_t num_properties;
  const NamedValue* properties; };
struct Executable_GetCompiledMemoryStats_Args { HEADER Executable* executable;
  int64_t generated_code_size_in_bytes; int64_t argument_size_in_bytes;
  int64_t output_size_in_bytes; int64_t alias_size_in_bytes; int64_t temp_size_in_bytes;
  int64_t host_generated_code_size_in_bytes; int64_t host_argument_size_in_bytes;
  int64_t host_output_size_in_bytes; int64_t host_alias_size_in_bytes;
  int64_t host_temp_size_in_bytes; int64_t peak_memory_in_bytes; int64_t total_size_in_bytes; };
struct Executable_OutputElementTypes_Args { HEADER Executable* executable;
  Buffer_Type* output_types; size_t num_output_types; };
struct Executable_OutputDimensions_Args { HEADER Executable* executable; size_t num_outputs;
  const int64_t* dims; const size_t* dim_sizes; };
struct Executable_OutputMemoryKinds_Args { HEADER Executable* executable; size_t num_outputs;
  const char* const* memory_kinds; const size_t* memory_kind_sizes; };
struct Executable_Serialize_Args { HEADER Executable* executable; const char* serialized_bytes;
  size_t serialized_bytes_size; SerializedExecutable* serialized_executable;
  void (*serialized_executable_deleter)(SerializedExecutable*); };
struct Executable_GetCompileOptions_Args { HEADER Executable* executable;
  const char* serialized_bytes; size_t serialized_bytes_size;
  SerializedCompileOptions* serialized_compile_options;
  void (*serialized_compile_options_deleter)(SerializedCompileOptions*); };
struct Executable_DeserializeAndLoad_Args { HEADER Client* client;
  const char* serialized_executable; size_t serialized_executable_size;
  LoadedExecutable* loaded_executable; const char* overridden_serialized_compile_options;
  size_t overridden_serialized_compile_options_size; };
struct LoadedExecutable_Fingerprint_Args { HEADER LoadedExecutable* executable;
  const char* executable_fingerprint; size_t executable_fingerprint_size; };
struct Buffer_Destroy_Args { HEADER Buffer* buffer; };
struct Buffer_ElementType_Args { HEADER Buffer* buffer; Buffer_Type type; };
struct Buffer_Dimensions_Args { HEADER Buffer* buffer; const int64_t* dims; size_t num_dims; };
struct Buffer_UnpaddedDimensions_Args { HEADER Buffer* buffer; const int64_t* unpadded_dims;
  size_t num_dims; };
struct Buffer_DynamicDimensionIndices_Args { HEADER Buffer* buffer;
  const size_t* dynamic_dim_indices; size_t num_dynamic_dims; };
struct Buffer_GetMemoryLayout_Args { HEADER Buffer* buffer; Buffer_MemoryLayout layout; };
struct Buffer_ToHostBuffer_Args { HEADER Buffer* src; Buffer_MemoryLayout* host_layout; void* dst;
  size_t dst_size; Event* event; };
struct Buffer_OnDeviceSizeInBytes_Args { HEADER Buffer* buffer; size_t on_device_size_in_bytes; };
struct Buffer_Delete_Args { HEADER Buffer* buffer; };
struct Buffer_IsDeleted_Args { HEADER Buffer* buffer; bool is_deleted; };
struct Buffer_CopyRawToHost_Args { HEADER Buffer* buffer; void* dst; int64_t offset;
  size_t transfer_size; Event* event; };
struct Buffer_CopyRawToHostFuture_Callback_Args { size_t struct_size; void* callback_data;
  int32_t error_code; const char* error_message; size_t error_message_size; void* dst; };
struct Buffer_CopyRawToHostFuture_Args { HEADER Buffer* buffer; int64_t offset;
  size_t transfer_size; Event* event; void* callback_data;
  void (*future_ready_callback)(Buffer_CopyRawToHostFuture_Callback_Args*); };
struct Buffer_CopyToDevice_Args { HEADER Buffer* buffer; Device* dst_device; Buffer* dst_buffer; };
struct Buffer_CopyToMemory_Args { HEADER Buffer* buffer; Memory* dst_memory; Buffer* dst_buffer; };
struct Buffer_IsOnCpu_Args { HEADER Buffer* buffer; bool is_on_cpu; };
struct Buffer_Device_Args { HEADER Buffer* buffer; Device* device; };
struct Buffer_Memory_Args { HEADER Buffer* buffer; Memory* memory; };
struct Buffer_ReadyEvent_Args { HEADER Buffer* buffer; Event* event; };
struct Buffer_UnsafePointer_Args { HEADER Buffer* buffer; void* buffer_pointer; };
struct Buffer_IncreaseExternalReferenceCount_Args { HEADER Buffer* buffer; };
struct Buffer_DecreaseExternalReferenceCount_Args { HEADER Buffer* buffer; };
struct Buffer_OpaqueDeviceMemoryDataPointer_Args { HEADER Buffer* buffer; void* device_memory_ptr; };
struct Buffer_DonateWithControlDependency_Callback_Args { size_t struct_size; void* callback_data;
  int32_t error_code; const char* error_message; size_t error_message_size; };
struct Buffer_DonateWithControlDependency_Args { HEADER Buffer* buffer; void* callback_data;
  void (*dependency_ready_callback)(Buffer_DonateWithControlDependency_Callback_Args*);
  Buffer* out_buffer; };
struct CopyToDeviceStream_Destroy_Args { HEADER CopyToDeviceStream* stream; };
struct CopyToDeviceStream_AddChunk_Args { HEADER CopyToDeviceStream* stream; Chunk* chunk;
  Event* transfer_complete; };
struct CopyToDeviceStream_TotalBytes_Args { HEADER CopyToDeviceStream* stream; int64_t total_bytes; };
struct CopyToDeviceStream_GranuleSize_Args { HEADER CopyToDeviceStream* stream;
  int64_t granule_size_in_bytes; };
struct CopyToDeviceStream_CurrentBytes_Args { HEADER CopyToDeviceStream* stream;
  int64_t current_bytes; };
struct TopologyDescription_Create_Args { HEADER const char* topology_name;
  size_t topology_name_size; const NamedValue* create_options; size_t num_options;
  TopologyDescription* topology; };
struct TopologyDescription_Destroy_Args { HEADER TopologyDescription* topology; };
struct TopologyDescription_PlatformVersion_Args { HEADER TopologyDescription* topology;
  const char* platform_version; size_t platform_version_size; };
struct TopologyDescription_PlatformName_Args { HEADER TopologyDescription* topology;
  const char* platform_name; size_t platform_name_size; };
struct TopologyDescription_GetDeviceDescriptions_Args { HEADER TopologyDescription* topology;
  DeviceDescription* const* descriptions; size_t num_descriptions; };
struct TopologyDescription_Serialize_Args { HEADER TopologyDescription* topology;
  const char* serialized_bytes; size_t serialized_bytes_size;
  SerializedTopology* serialized_topology;
  void (*serialized_topology_deleter)(SerializedTopology*); };
struct TopologyDescription_Deserialize_Args { HEADER const char* serialized_topology;
  size_t serialized_topology_size; TopologyDescription* topology; };
struct TopologyDescription_Attributes_Args { HEADER TopologyDescription* topology;
  const NamedValue* attributes; size_t num_attributes; };
struct Compile_Args { HEADER TopologyDescription* topology; Program* program;
  const char* compile_options; size_t compile_options_size; Client* client; Executable* executable; };
// Of the Layouts extension.
struct Layouts_MemoryLayout_Destroy_Args { HEADER MemoryLayout* layout; };
struct Layouts_MemoryLayout_Serialize_Args { HEADER MemoryLayout* layout;
  const char* serialized_bytes; size_t serialized_bytes_size; SerializedLayout* serialized_layout;
  void (*serialized_layout_deleter)(SerializedLayout*); };
struct Layouts_Client_GetDefaultLayout_Args { HEADER Client* client; Buffer_Type type;
  const int64_t* dims; size_t num_dims; MemoryLayout* layout; };
struct Layouts_Buffer_MemoryLayout_Args { HEADER Buffer* buffer; MemoryLayout* layout; };
struct Layouts_Topology_GetDefaultLayout_Args { HEADER TopologyDescription* topology;
  Buffer_Type type; const int64_t* dims; size_t num_dims; MemoryLayout* layout; };
struct Layouts_Executable_GetOutputLayouts_Args { HEADER Executable* executable;
  size_t num_outputs; MemoryLayout* const* layouts; };
struct Layouts_Executable_GetParameterLayouts_Args { HEADER Executable* executable;
  size_t num_parameters; MemoryLayout* const* layouts; };
#undef HEADER

// The functions in the order of the table. All take a pointer to NAME_Args and return an error that
// the caller destroys, or null; Error_Destroy and Error_Message return nothing.
#define MEGALITH_PJRT_FUNCTIONS(X) \
    X(Error_Destroy) X(Error_Message) X(Error_GetCode) X(Plugin_Initialize) \
  X(Plugin_Attributes) X(Event_Destroy) X(Event_IsReady) X(Event_Error) X(Event_Await) \
  X(Event_OnReady) X(Client_Create) X(Client_Destroy) X(Client_PlatformName) \
  X(Client_ProcessIndex) X(Client_PlatformVersion) X(Client_Devices) \
  X(Client_AddressableDevices) X(Client_LookupDevice) X(Client_LookupAddressableDevice) \
  X(Client_AddressableMemories) X(Client_Compile) X(Client_DefaultDeviceAssignment) \
  X(Client_BufferFromHostBuffer) X(DeviceDescription_Id) X(DeviceDescription_ProcessIndex) \
  X(DeviceDescription_Attributes) X(DeviceDescription_Kind) X(DeviceDescription_DebugString) \
  X(DeviceDescription_ToString) X(Device_GetDescription) X(Device_IsAddressable) \
  X(Device_LocalHardwareId) X(Device_AddressableMemories) X(Device_DefaultMemory) \
  X(Device_MemoryStats) X(Memory_Id) X(Memory_Kind) X(Memory_DebugString) X(Memory_ToString) \
  X(Memory_AddressableByDevices) X(Executable_Destroy) X(Executable_Name) \
  X(Executable_NumReplicas) X(Executable_NumPartitions) X(Executable_NumOutputs) \
  X(Executable_SizeOfGeneratedCodeInBytes) X(Executable_GetCostAnalysis) \
  X(Executable_OutputMemoryKinds) X(Executable_OptimizedProgram) X(Executable_Serialize) \
  X(LoadedExecutable_Destroy) X(LoadedExecutable_GetExecutable) \
  X(LoadedExecutable_AddressableDevices) X(LoadedExecutable_Delete) \
  X(LoadedExecutable_IsDeleted) X(LoadedExecutable_Execute) X(Executable_DeserializeAndLoad) \
  X(LoadedExecutable_Fingerprint) X(Buffer_Destroy) X(Buffer_ElementType) \
  X(Buffer_Dimensions) X(Buffer_UnpaddedDimensions) X(Buffer_DynamicDimensionIndices) \
  X(Buffer_GetMemoryLayout) X(Buffer_OnDeviceSizeInBytes) X(Buffer_Device) X(Buffer_Memory) \
  X(Buffer_Delete) X(Buffer_IsDeleted) X(Buffer_CopyToDevice) X(Buffer_ToHostBuffer) \
  X(Buffer_IsOnCpu) X(Buffer_ReadyEvent) X(Buffer_UnsafePointer) \
  X(Buffer_IncreaseExternalReferenceCount) X(Buffer_DecreaseExternalReferenceCount) \
  X(Buffer_OpaqueDeviceMemoryDataPointer) X(CopyToDeviceStream_Destroy) \
  X(CopyToDeviceStream_AddChunk) X(CopyToDeviceStream_TotalBytes) \
  X(CopyToDeviceStream_GranuleSize) X(CopyToDeviceStream_CurrentBytes) \
  X(TopologyDescription_Create) X(TopologyDescription_Destroy) \
  X(TopologyDescription_PlatformName) X(TopologyDescription_PlatformVersion) \
  X(TopologyDescription_GetDeviceDescriptions) X(TopologyDescription_Serialize) \
  X(TopologyDescription_Attributes) X(Compile) X(Executable_OutputElementTypes) \
  X(Executable_OutputDimensions) X(Buffer_CopyToMemory) X(Client_CreateViewOfDeviceBuffer) \
  X(Executable_Fingerprint) X(Client_TopologyDescription) \
  X(Executable_GetCompiledMemoryStats) X(Memory_Kind_Id) X(ExecuteContext_Create) \
  X(ExecuteContext_Destroy) X(Buffer_CopyRawToHost) \
  X(AsyncHostToDeviceTransferManager_Destroy) \
  X(AsyncHostToDeviceTransferManager_TransferData) \
  X(Client_CreateBuffersForAsyncHostToDevice) \
  X(AsyncHostToDeviceTransferManager_RetrieveBuffer) \
  X(AsyncHostToDeviceTransferManager_Device) X(AsyncHostToDeviceTransferManager_BufferCount) \
  X(AsyncHostToDeviceTransferManager_BufferSize) \
  X(AsyncHostToDeviceTransferManager_SetBufferError) \
  X(AsyncHostToDeviceTransferManager_AddMetadata) X(Client_DmaMap) X(Client_DmaUnmap) \
  X(Client_CreateUninitializedBuffer) X(Client_UpdateGlobalProcessInfo) \
  X(TopologyDescription_Deserialize) X(Client_CreateAliasBuffer) \
  X(Client_FulfillAliasBuffer) X(LoadedExecutable_GetDeviceAssignment) \
  X(Client_CreateErrorBuffer) X(AsyncHostToDeviceTransferManager_TransferLiteral) \
  X(Buffer_CopyRawToHostFuture) X(Device_PoisonExecution) X(Device_CreateAsyncTrackingEvent) \
  X(AsyncTrackingEvent_Destroy) X(Executable_GetCompileOptions) \
  X(Buffer_DonateWithControlDependency) X(Event_Create) X(Event_Set)
// Those of the Layouts extension, also in its order.
#define MEGALITH_PJRT_LAYOUTS_FUNCTIONS(X) \
    X(Layouts_MemoryLayout_Destroy) X(Layouts_MemoryLayout_Serialize) \
  X(Layouts_Client_GetDefaultLayout) X(Layouts_Buffer_MemoryLayout) \
  X(Layouts_Topology_GetDefaultLayout) X(Layouts_Executable_GetOutputLayouts) \
  X(Layouts_Executable_GetParameterLayouts)
// clang-format on

// What a slot holds, whatever its arguments are.
using Api_Function = Error* (*)(void* args);

struct Api {
  size_t struct_size;
  Extension* extension_start;
  Api_Version version;
#define MEGALITH_PJRT_SLOT(name) Api_Function name;
  MEGALITH_PJRT_FUNCTIONS(MEGALITH_PJRT_SLOT)
};

inline constexpr int32_t kLayoutsExtension = 4;  // Extension::type
struct LayoutsExtension {
  Extension base;
  MEGALITH_PJRT_LAYOUTS_FUNCTIONS(MEGALITH_PJRT_SLOT)
};
#undef MEGALITH_PJRT_SLOT

}  // namespace megalith::pjrt::abi
