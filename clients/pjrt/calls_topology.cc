// Topologies without a client: compilation ahead of time.
#include <algorithm>
#include <charconv>
#include <string>

#include "clients/pjrt/calls.h"
#include "clients/pjrt/client.h"
#include "clients/pjrt/embedded_engine.h"
#include "clients/pjrt/executable.h"
#include "common/foundation/base/strings.h"

namespace megalith::pjrt::abi {

struct SerializedTopology {
  std::string bytes;
};

}  // namespace megalith::pjrt::abi

namespace megalith::pjrt {
namespace {

// A topology is its number of devices: "MGTOPO1 4".
constexpr std::string_view kTopologyMagic = "MGTOPO1 ";

Result<abi::TopologyDescription*> NewTopology(int64_t devices) {
  if (devices < 1 || devices > kMostDevices) {
    return InvalidArgument(StrCat("a topology has 1 to ", kMostDevices, " devices"));
  }
  ASSIGN_OR_RETURN(const std::shared_ptr<Engine> engine,
                   MakeEmbeddedEngine("cpu", ProcessHostCallbacks()));
  auto topology = std::make_unique<abi::TopologyDescription>();
  FillTopology(static_cast<int>(devices), engine->version(), topology.get());
  return topology.release();
}

Result<int64_t> ParseCount(std::string_view text) {
  int64_t n = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (error != std::errc() || stop != text.data() + text.size()) {
    return InvalidArgument(StrCat("'", Printable(text), "' is no number of devices"));
  }
  return n;
}

}  // namespace

MEGALITH_PJRT_CALL(TopologyDescription_Create) {
  int64_t devices = 1;
  for (size_t i = 0; i < args.num_options; ++i) {
    const abi::NamedValue& v = args.create_options[i];
    if (std::string_view(v.name, v.name_size) == "num_devices" && v.type == abi::kNamedInt64) {
      devices = v.int64_value;
    }
  }
  ASSIGN_OR_RETURN(args.topology, NewTopology(devices));
  return OkStatus();
}

MEGALITH_PJRT_CALL(TopologyDescription_Destroy) {
  delete args.topology;
  return OkStatus();
}

MEGALITH_PJRT_CALL(TopologyDescription_PlatformName) {
  args.platform_name = kPlatform.data();
  args.platform_name_size = kPlatform.size();
  return OkStatus();
}

MEGALITH_PJRT_CALL(TopologyDescription_PlatformVersion) {
  args.platform_version = args.topology->version.data();
  args.platform_version_size = args.topology->version.size();
  return OkStatus();
}

MEGALITH_PJRT_CALL(TopologyDescription_GetDeviceDescriptions) {
  args.descriptions = args.topology->devices.data();
  args.num_descriptions = args.topology->devices.size();
  return OkStatus();
}

MEGALITH_PJRT_CALL(TopologyDescription_Attributes) {
  args.attributes = nullptr;
  args.num_attributes = 0;
  return OkStatus();
}

MEGALITH_PJRT_CALL(TopologyDescription_Serialize) {
  auto made = std::make_unique<abi::SerializedTopology>();
  made->bytes = StrCat(kTopologyMagic, args.topology->devices.size());
  args.serialized_bytes = made->bytes.data();
  args.serialized_bytes_size = made->bytes.size();
  args.serialized_topology_deleter = [](abi::SerializedTopology* t) { delete t; };
  args.serialized_topology = made.release();
  return OkStatus();
}

MEGALITH_PJRT_CALL(TopologyDescription_Deserialize) {
  const std::string_view bytes(args.serialized_topology, args.serialized_topology_size);
  if (!bytes.starts_with(kTopologyMagic)) {
    return InvalidArgument("these bytes are no topology that this plugin serialized");
  }
  ASSIGN_OR_RETURN(const int64_t devices, ParseCount(bytes.substr(kTopologyMagic.size())));
  ASSIGN_OR_RETURN(args.topology, NewTopology(devices));
  return OkStatus();
}

MEGALITH_PJRT_CALL(Compile) {
  std::unique_ptr<abi::Client> own;
  abi::Client* client = args.client;
  if (client == nullptr) {
    ASSIGN_OR_RETURN(std::shared_ptr<Engine> engine,
                     MakeEmbeddedEngine("cpu", ProcessHostCallbacks()));
    own = MakeClient(std::move(engine), static_cast<int>(args.topology->devices.size()));
    client = own.get();
  }
  ASSIGN_OR_RETURN(std::shared_ptr<const ProgramInfo> info,
                   CompileProgram(client, {args.program->code, args.program->code_size},
                                  {args.compile_options, args.compile_options_size}));
  args.executable = new abi::Executable{std::move(info)};
  return OkStatus();
}

}  // namespace megalith::pjrt
