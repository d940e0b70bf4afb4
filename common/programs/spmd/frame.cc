#include "common/programs/spmd/frame.h"

#include <algorithm>

#include "common/foundation/base/strings.h"

namespace megalith::spmd {

Result<Mesh> MeshOf(const std::vector<Sharding>& in, const std::vector<Sharding>& out,
                    int64_t devices) {
  Mesh mesh;
  for (const std::vector<Sharding>* all : {&in, &out}) {
    for (const Sharding& s : *all) {
      if (s.mesh.axes.empty()) continue;
      if (mesh.axes.empty()) mesh = s.mesh;
      if (!(s.mesh.axes == mesh.axes) || s.mesh.device_ids != mesh.device_ids) {
        return Unimplemented("a manual computation over two meshes");
      }
    }
  }
  if (mesh.size() > devices) {
    return InvalidArgument(
        StrCat("a mesh of ", mesh.size(), " devices in a program for ", devices));
  }
  std::vector<bool> seen(static_cast<size_t>(devices), false);
  for (const int64_t device : mesh.device_ids) {
    if (device < 0 || device >= devices || seen[static_cast<size_t>(device)]) {
      return InvalidArgument(StrCat("a mesh names device ", device, " twice or in a program for ",
                                    devices, " devices"));
    }
    seen[static_cast<size_t>(device)] = true;
  }
  return mesh;
}

Instances InstancesOf(const Mesh& mesh, const std::vector<bool>& manual, int64_t devices) {
  Instances out;
  out.manual = true;
  out.axes = manual;
  out.of_device.assign(static_cast<size_t>(devices), 0);
  std::vector<std::vector<int64_t>> seen;  // manual coordinates, by instance
  const int64_t n = mesh.size();
  for (int64_t position = 0; position < n; ++position) {
    const int64_t device =
        mesh.device_ids.empty() ? position : mesh.device_ids[static_cast<size_t>(position)];
    std::vector<int64_t> at = mesh.CoordinatesOf(device);
    for (size_t a = 0; a < at.size(); ++a) {
      if (!manual[a]) at[a] = 0;
    }
    const auto it = std::ranges::find(seen, at);
    const auto k = static_cast<size_t>(it - seen.begin());
    if (it == seen.end()) {
      seen.push_back(std::move(at));
      out.device.push_back(device);
    }
    out.of_device[static_cast<size_t>(device)] = k;
  }
  return out;
}

}  // namespace megalith::spmd
