// Where the parts of an array lie on several devices: meshes and shardings of the Shardy dialect.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/foundation/base/status.h"
#include "common/programs/stablehlo/module.h"

namespace megalith::spmd {

using stablehlo::Dims;
using stablehlo::Shape;

// Devices as a grid of named axes, the last one fastest.
struct Mesh {
  struct Axis {
    std::string name;
    int64_t size = 1;

    bool operator==(const Axis&) const = default;
  };
  std::string name;
  std::vector<Axis> axes;
  std::vector<int64_t> device_ids;  // by position in the grid; empty: equal to the position

  int64_t size() const;
  // Coordinates of a device along every axis; zeros for one that is not in the mesh.
  std::vector<int64_t> CoordinatesOf(int64_t device) const;
};

// An axis, or a part of one: of its size, `pre` times `size` divide it, `pre` outside.
struct AxisRef {
  size_t axis = 0;
  int64_t pre = 1;
  int64_t size = 1;
};

// Per dimension the axes that split it, outermost first. Dimensions beyond are not split.
struct Sharding {
  Mesh mesh;
  std::vector<std::vector<AxisRef>> dims;
  // Devices that differ along these have terms: the array is their sum.
  std::vector<AxisRef> unreduced;

  // Parts along a dimension.
  int64_t Parts(size_t dim) const;
  // Which of them a device has.
  int64_t PartOf(size_t dim, int64_t device) const;
  // Terms of the sum, 1 if there is none, and which of them a device has.
  int64_t Terms() const;
  int64_t TermOf(int64_t device) const;
  // The same without the axes that `keep` (by axis) does not have.
  Sharding Only(const std::vector<bool>& keep) const;
  // True if every device has all elements (of its term).
  bool IsReplicated() const;

 private:
  int64_t PositionIn(const std::vector<AxisRef>& axes, int64_t device) const;
};

// A box in an array.
struct Part {
  Dims start;
  Shape shape;
};
// kInvalidArgument if a dimension does not divide.
Result<Part> PartOf(const Sharding& sharding, const Shape& whole, int64_t device);

// What a module declares: `sdy.mesh @mesh = <["x"=4, "y"=2]>`, by name.
Result<std::vector<Mesh>> MeshesOf(const stablehlo::Module& module);

// `#sdy.sharding<@mesh, [{"x"}, {}]>` of an array of `rank` dimensions. Axes that only say where
// copies lie are dropped, other than those of `unreduced`. kInvalidArgument for another form or an
// unknown mesh or axis.
Result<Sharding> ParseSharding(std::string_view text, const std::vector<Mesh>& meshes, size_t rank);

// `#sdy.sharding_per_value<[<...>, <...>]>`, for arrays of these ranks.
Result<std::vector<Sharding>> ParseShardings(std::string_view text, const std::vector<Mesh>& meshes,
                                             const std::vector<size_t>& ranks);

// XLA's notation, as programs have it that were exported before Shardy: `{replicated}`,
// `{devices=[2,1,2]<=[4] last_tile_dim_replicate}`. What is for one device lies everywhere.
// kInvalidArgument for another form, kUnimplemented for shardings inside of manual computations.
Result<Sharding> ParseHloSharding(std::string_view text, size_t rank, int64_t devices);

// `#sdy<manual_axes{"x", "y"}>`.
Result<std::vector<std::string>> ParseManualAxes(std::string_view text);

}  // namespace megalith::spmd
