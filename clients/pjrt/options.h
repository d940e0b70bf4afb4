// What a host says about a compilation: the fields of xla.CompileOptionsProto that change what is
// made. The rest, nearly all of it debug options of another compiler, is skipped.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/foundation/base/status.h"

namespace megalith::pjrt {

struct HostCompileOptions {
  int num_replicas = 1;
  int num_partitions = 1;
  // Device ids, [partition][replica] as sent, or empty.
  std::vector<std::vector<int64_t>> device_assignment;
  // `compiler_options=` of jax.jit: values as text.
  std::map<std::string, std::string> overrides;
  bool use_shardy = false;
};

// Errors: kInvalidArgument (malformed; counts that no client here has).
Result<HostCompileOptions> ParseCompileOptions(std::string_view bytes);

// xla.DeviceAssignmentProto: ids[partition][replica].
std::string EncodeDeviceAssignment(const std::vector<std::vector<int64_t>>& ids);

}  // namespace megalith::pjrt
