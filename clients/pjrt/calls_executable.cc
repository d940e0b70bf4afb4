// Compiling, describing and running programs.
#include <algorithm>
#include <string>

#include "clients/pjrt/calls.h"
#include "clients/pjrt/executable.h"
#include "common/foundation/base/strings.h"

namespace megalith::pjrt::abi {

struct SerializedExecutable {
  std::string bytes;
};
struct SerializedCompileOptions {};  // the bytes belong to the executable
struct SerializedDeviceAssignment {};
struct ExecuteContext {};

}  // namespace megalith::pjrt::abi

namespace megalith::pjrt {
namespace {

int64_t BytesOf(const std::vector<TensorSpec>& specs) {
  int64_t bytes = 0;
  for (const TensorSpec& s : specs) {
    bytes += tensor::NumElements(s.shape).value_or(0) * tensor::ByteWidth(s.dtype);
  }
  return bytes;
}

Status CheckAlive(const abi::LoadedExecutable& executable) {
  if (!executable.deleted.load()) return OkStatus();
  return InvalidArgument("the executable was deleted");
}

}  // namespace

MEGALITH_PJRT_CALL(Client_Compile) {
  const std::string_view format(args.program->format, args.program->format_size);
  if (format != "mlir") {
    return Unimplemented(StrCat("programs of format '", Printable(format),
                                "' are not compiled; send StableHLO (format 'mlir')"));
  }
  ASSIGN_OR_RETURN(std::shared_ptr<const ProgramInfo> info,
                   CompileProgram(args.client, {args.program->code, args.program->code_size},
                                  {args.compile_options, args.compile_options_size}));
  ASSIGN_OR_RETURN(args.executable, NewLoadedExecutable(args.client, std::move(info)));
  return OkStatus();
}

MEGALITH_PJRT_CALL(Executable_DeserializeAndLoad) {
  ASSIGN_OR_RETURN(std::shared_ptr<const ProgramInfo> info,
                   DeserializeProgram(
                       args.client, {args.serialized_executable, args.serialized_executable_size}));
  ASSIGN_OR_RETURN(args.loaded_executable, NewLoadedExecutable(args.client, std::move(info)));
  return OkStatus();
}

MEGALITH_PJRT_CALL(Executable_Destroy) {
  delete args.executable;
  return OkStatus();
}

MEGALITH_PJRT_CALL(Executable_Name) {
  SetText(args.executable->info->program->name(), &args.executable_name,
          &args.executable_name_size);
  return OkStatus();
}

MEGALITH_PJRT_CALL(Executable_NumReplicas) {
  args.num_replicas = static_cast<size_t>(args.executable->info->options.num_replicas);
  return OkStatus();
}

MEGALITH_PJRT_CALL(Executable_NumPartitions) {
  args.num_partitions = static_cast<size_t>(args.executable->info->options.num_partitions);
  return OkStatus();
}

MEGALITH_PJRT_CALL(Executable_NumOutputs) {
  args.num_outputs = args.executable->info->program->signature().outputs.size();
  return OkStatus();
}

MEGALITH_PJRT_CALL(Executable_SizeOfGeneratedCodeInBytes) {
  args.size_in_bytes = 0;  // kernels are made, and dropped, while programs run
  return OkStatus();
}

MEGALITH_PJRT_CALL(Executable_GetCostAnalysis) {
  args.properties = args.executable->info->cost.data();
  args.num_properties = args.executable->info->cost.size();
  return OkStatus();
}

MEGALITH_PJRT_CALL(Executable_OutputMemoryKinds) {
  const ProgramInfo& info = *args.executable->info;
  args.num_outputs = info.memory_kinds.size();
  args.memory_kinds = info.memory_kinds.data();
  args.memory_kind_sizes = info.memory_kind_sizes.data();
  return OkStatus();
}

MEGALITH_PJRT_CALL(Executable_OutputElementTypes) {
  const ProgramInfo& info = *args.executable->info;
  args.num_output_types = info.output_types.size();
  args.output_types = const_cast<abi::Buffer_Type*>(info.output_types.data());
  return OkStatus();
}

MEGALITH_PJRT_CALL(Executable_OutputDimensions) {
  const ProgramInfo& info = *args.executable->info;
  args.num_outputs = info.output_ranks.size();
  args.dims = info.output_dims.data();
  args.dim_sizes = info.output_ranks.data();
  return OkStatus();
}

// Hosts ask several times at every compilation, for shardings and layouts; in this form they need
// not run a compiler of theirs to read the answer.
MEGALITH_PJRT_CALL(Executable_OptimizedProgram) {
  constexpr std::string_view kFormat = "hlo_with_config";
  const std::string& code = args.executable->info->Hlo();
  args.program->format = kFormat.data();
  args.program->format_size = kFormat.size();
  if (args.program->code == nullptr) {
    args.program->code_size = code.size();
    return OkStatus();
  }
  if (args.program->code_size < code.size()) {
    return InvalidArgument(StrCat("the program has ", code.size(), " bytes; room for ",
                                  args.program->code_size, " was given"));
  }
  std::ranges::copy(code, const_cast<char*>(args.program->code));
  args.program->code_size = code.size();
  return OkStatus();
}

MEGALITH_PJRT_CALL(Executable_Serialize) {
  auto made = std::make_unique<abi::SerializedExecutable>();
  ASSIGN_OR_RETURN(made->bytes, SerializeProgram(*args.executable->info));
  SetText(made->bytes, &args.serialized_bytes, &args.serialized_bytes_size);
  args.serialized_executable_deleter = [](abi::SerializedExecutable* s) { delete s; };
  args.serialized_executable = made.release();
  return OkStatus();
}

MEGALITH_PJRT_CALL(Executable_GetCompileOptions) {
  SetText(args.executable->info->options_bytes, &args.serialized_bytes,
          &args.serialized_bytes_size);
  args.serialized_compile_options = new abi::SerializedCompileOptions;
  args.serialized_compile_options_deleter = [](abi::SerializedCompileOptions* s) { delete s; };
  return OkStatus();
}

MEGALITH_PJRT_CALL(Executable_Fingerprint) {
  SetText(args.executable->info->program->fingerprint(), &args.executable_fingerprint,
          &args.executable_fingerprint_size);
  return OkStatus();
}

MEGALITH_PJRT_CALL(Executable_GetCompiledMemoryStats) {
  const LoadedProgram& program = *args.executable->info->program;
  args.generated_code_size_in_bytes = 0;
  args.argument_size_in_bytes = BytesOf(program.signature().inputs);
  args.output_size_in_bytes = BytesOf(program.signature().outputs);
  args.alias_size_in_bytes = static_cast<int64_t>(program.donated_bytes());
  args.temp_size_in_bytes = static_cast<int64_t>(program.cost().peak_temporary_bytes);
  args.host_generated_code_size_in_bytes = args.host_argument_size_in_bytes = 0;
  args.host_output_size_in_bytes = args.host_alias_size_in_bytes = 0;
  args.host_temp_size_in_bytes = 0;
  const int64_t total = args.argument_size_in_bytes + args.output_size_in_bytes +
                        args.temp_size_in_bytes - args.alias_size_in_bytes;
  if (MEGALITH_PJRT_HAS(args, peak_memory_in_bytes)) args.peak_memory_in_bytes = total;
  if (MEGALITH_PJRT_HAS(args, total_size_in_bytes)) args.total_size_in_bytes = total;
  return OkStatus();
}

MEGALITH_PJRT_CALL(LoadedExecutable_Destroy) {
  delete args.executable;
  return OkStatus();
}

MEGALITH_PJRT_CALL(LoadedExecutable_GetExecutable) {
  args.executable = new abi::Executable{args.loaded_executable->info};
  return OkStatus();
}

MEGALITH_PJRT_CALL(LoadedExecutable_AddressableDevices) {
  args.addressable_devices = args.executable->devices.data();
  args.num_addressable_devices = args.executable->devices.size();
  return OkStatus();
}

MEGALITH_PJRT_CALL(LoadedExecutable_GetDeviceAssignment) {
  SetText(args.executable->info->device_assignment, &args.serialized_bytes,
          &args.serialized_bytes_size);
  args.serialized_device_assignment = new abi::SerializedDeviceAssignment;
  args.serialized_device_assignment_deleter = [](abi::SerializedDeviceAssignment* s) { delete s; };
  return OkStatus();
}

MEGALITH_PJRT_CALL(LoadedExecutable_Delete) {
  args.executable->deleted.store(true);
  return OkStatus();
}

MEGALITH_PJRT_CALL(LoadedExecutable_IsDeleted) {
  args.is_deleted = args.executable->deleted.load();
  return OkStatus();
}

MEGALITH_PJRT_CALL(LoadedExecutable_Fingerprint) {
  SetText(args.executable->info->program->fingerprint(), &args.executable_fingerprint,
          &args.executable_fingerprint_size);
  return OkStatus();
}

MEGALITH_PJRT_CALL(LoadedExecutable_Execute) {
  RETURN_IF_ERROR(CheckAlive(*args.executable));
  const abi::ExecuteOptions& options = *args.options;
  if (options.num_send_ops + options.num_recv_ops != 0) {
    return Unimplemented("programs that send to or receive from the host are not run");
  }
  const std::span<const int64_t> keep(options.non_donatable_input_indices,
                                      options.num_non_donatable_input_indices);
  const std::vector<abi::Device*>& own = args.executable->devices;
  const std::span<abi::Device* const> devices =
      args.execute_device != nullptr ? std::span<abi::Device* const>(&args.execute_device, 1) : own;
  if (args.num_devices != devices.size() || (args.execute_device != nullptr && own.size() != 1)) {
    return InvalidArgument(StrCat("the program runs on ", own.size(), " devices; arguments for ",
                                  args.num_devices, " were given"));
  }
  if (devices.size() == 1) {
    if (const EventPtr done =
            LaunchNow(*args.executable, devices[0], {args.argument_lists[0], args.num_args},
                      args.output_lists[0])) {
      if (args.device_complete_events != nullptr) args.device_complete_events[0] = NewEvent(done);
      return OkStatus();
    }
  }
  std::vector<std::span<abi::Buffer* const>> arguments;
  for (size_t d = 0; d < args.num_devices; ++d) {
    arguments.emplace_back(args.argument_lists[d], args.num_args);
  }
  std::vector<std::vector<abi::Buffer*>> made;
  ASSIGN_OR_RETURN(const EventPtr done, Launch(*args.executable, devices, arguments, keep, &made));
  for (size_t d = 0; d < args.num_devices; ++d) {
    std::ranges::copy(made[d], args.output_lists[d]);
    if (args.device_complete_events != nullptr) {
      args.device_complete_events[d] = NewEvent(done);
    }
  }
  return OkStatus();
}

MEGALITH_PJRT_CALL(ExecuteContext_Create) {
  args.context = new abi::ExecuteContext;
  return OkStatus();
}

MEGALITH_PJRT_CALL(ExecuteContext_Destroy) {
  delete args.context;
  return OkStatus();
}

}  // namespace megalith::pjrt
