// Programs in the hands of the host, and how they are launched.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "clients/pjrt/buffer.h"
#include "clients/pjrt/options.h"

namespace megalith::pjrt::abi {

struct MemoryLayout {
  std::string text;
};

}  // namespace megalith::pjrt::abi

namespace megalith::pjrt {

// What a program and its description share. Immutable after making.
struct ProgramInfo {
  std::shared_ptr<const LoadedProgram> program;
  HostCompileOptions options;
  std::string options_bytes;  // as the host sent them
  // Of the arrays of one device, as the host sees them.
  std::vector<TensorSpec> inputs, outputs;
  std::vector<OrderPtr> input_orders, output_orders;
  // In the form the interface wants.
  std::vector<abi::Buffer_Type> output_types;
  std::vector<int64_t> output_dims;
  std::vector<size_t> output_ranks;
  std::vector<const char*> memory_kinds;
  std::vector<size_t> memory_kind_sizes;
  std::vector<abi::NamedValue> cost;
  std::string device_assignment;
  std::vector<abi::MemoryLayout> input_layouts, output_layouts;
  std::vector<abi::MemoryLayout*> input_layout_pointers, output_layout_pointers;
  // True if a launch may run it on its own thread (LaunchNow).
  bool runs_at_once = false;

  // The program in the form in which hosts read it (hlo_program.h). Thread-safe.
  const std::string& Hlo() const;

  ProgramInfo(std::shared_ptr<const LoadedProgram> loaded, HostCompileOptions host_options,
              std::string host_options_bytes);
  ProgramInfo(const ProgramInfo&) = delete;
  ProgramInfo& operator=(const ProgramInfo&) = delete;

 private:
  mutable std::once_flag hlo_once_;
  mutable std::string hlo_;
};

// Compiles for `client`. Errors: those of the engine; kUnimplemented for more devices than one
// program can use here.
Result<std::shared_ptr<const ProgramInfo>> CompileProgram(abi::Client* client,
                                                          std::string_view module,
                                                          std::string_view options);

// A program with its options in one string, and back.
Result<std::string> SerializeProgram(const ProgramInfo& info);
Result<std::shared_ptr<const ProgramInfo>> DeserializeProgram(abi::Client* client,
                                                              std::string_view bytes);

}  // namespace megalith::pjrt

namespace megalith::pjrt::abi {

struct Executable {
  std::shared_ptr<const ProgramInfo> info;
};

struct LoadedExecutable {
  Client* client = nullptr;
  std::shared_ptr<const ProgramInfo> info;
  std::vector<Device*> devices;
  std::atomic<bool> deleted{false};
};

}  // namespace megalith::pjrt::abi

namespace megalith::pjrt {

// On the devices its options name, or the first ones.
Result<abi::LoadedExecutable*> NewLoadedExecutable(abi::Client* client,
                                                   std::shared_ptr<const ProgramInfo> info);

// The short way through Launch for one device: if the program is cheap and takes no array away from
// its owner, and all of `arguments` exist, runs it on this thread, fills `outputs` with one new
// buffer per result, and returns the event of the launch. In all other cases, errors in the
// arguments included, does nothing and returns null: then Launch does what is right.
EventPtr LaunchNow(const abi::LoadedExecutable& executable, abi::Device* device,
                   std::span<abi::Buffer* const> arguments, abi::Buffer** outputs);

// Launches the program on its devices: cheap programs whose inputs exist run at once on this
// thread, others on the queue of the first device, so that the caller goes on. `arguments[d]` are
// the buffers of device d; `outputs[d]` receives one new buffer per result, and the event of the
// launch is returned; outputs are left alone on an error. Inputs that the program was compiled to
// be given are taken from their buffers unless `keep` lists them. Arguments that are stored in
// another order than the program takes are copied. Errors: kInvalidArgument (wrong
// number, type or shape of arguments, a deleted buffer, one buffer given away and used twice).
Result<EventPtr> Launch(const abi::LoadedExecutable& executable,
                        std::span<abi::Device* const> devices,
                        std::span<const std::span<abi::Buffer* const>> arguments,
                        std::span<const int64_t> keep,
                        std::vector<std::vector<abi::Buffer*>>* outputs);

}  // namespace megalith::pjrt
