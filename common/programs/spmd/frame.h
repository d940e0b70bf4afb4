// Values of a program while it is written for several devices; not for users of the library.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "common/programs/spmd/sharding.h"
#include "common/programs/stablehlo/module.h"

namespace megalith::spmd {

using stablehlo::kNoValue;
using stablehlo::ValueId;

// Devices that run side by side. Outside of manual computations there is one instance.
struct Instances {
  // The device each instance stands for: one of those that differ in free axes alone.
  std::vector<int64_t> device;
  std::vector<size_t> of_device;  // by device
  std::vector<bool> axes;         // of the mesh: true if instances differ along it
  bool manual = false;

  size_t size() const { return device.size(); }
};

// The mesh of a manual computation of these shardings, which must be one; shardings without axes
// fit every mesh. Errors: kUnimplemented (two meshes), kInvalidArgument (it names a device twice,
// or one that a program for `devices` does not have).
Result<Mesh> MeshOf(const std::vector<Sharding>& in, const std::vector<Sharding>& out,
                    int64_t devices);

// Instances that differ along the axes in `manual`. Requires a mesh that MeshOf gave.
Instances InstancesOf(const Mesh& mesh, const std::vector<bool>& manual, int64_t devices);

// One function, or one manual computation, being written: its values per instance.
struct Frame {
  const stablehlo::Func* func;
  const Instances* instances;
  std::unordered_map<ValueId, std::vector<ValueId>> values;

  ValueId Get(ValueId v, size_t k) const {
    const auto it = values.find(v);
    return it == values.end() ? kNoValue : it->second[k];
  }
  void Set(ValueId v, size_t k, ValueId made) {
    std::vector<ValueId>& all = values[v];
    all.resize(instances->size(), kNoValue);
    all[k] = made;
  }
};

// Instances, by number.
using Set = std::vector<size_t>;

}  // namespace megalith::spmd
