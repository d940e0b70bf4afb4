#include "common/programs/spmd/assemble.h"

#include <algorithm>
#include <utility>

namespace megalith::spmd {
namespace {

// Which part of the grid a device has, the last dimension fastest.
size_t CellOf(const Sharding& sharding, size_t rank, int64_t device) {
  size_t cell = 0;
  for (size_t d = 0; d < rank; ++d) {
    cell = cell * static_cast<size_t>(sharding.Parts(d)) +
           static_cast<size_t>(sharding.PartOf(d, device));
  }
  return cell;
}

}  // namespace

Given GivenBy(const Frame& inner, ValueId v) {
  Given given{{}, inner.instances->device};
  for (size_t k = 0; k < inner.instances->size(); ++k) given.values.push_back(inner.Get(v, k));
  return given;
}

Result<ValueId> Assemble(const Given& given, const Sharding& sharding, const Set& members,
                         FuncWriter* writer) {
  const ValueId first = given.values[members[0]];
  if (writer->Type(first).is_token) return first;
  const size_t rank = writer->Type(first).rank();
  size_t cells = 1;
  for (size_t d = 0; d < rank; ++d) cells *= static_cast<size_t>(sharding.Parts(d));
  std::vector<ValueId> grid(cells, kNoValue);
  for (size_t m = members.size(); m-- > 0;) {
    const size_t k = members[m];
    grid[CellOf(sharding, rank, given.devices[k])] = given.values[k];
  }
  if (std::ranges::find(grid, kNoValue) != grid.end()) {
    return InvalidArgument("a part of a result is on no device");
  }
  for (size_t d = rank; d-- > 0;) {
    const auto n = static_cast<size_t>(sharding.Parts(d));
    std::vector<ValueId> next;
    for (size_t i = 0; i < grid.size(); i += n) {
      next.push_back(writer->Concat(
          {grid.begin() + static_cast<ptrdiff_t>(i), grid.begin() + static_cast<ptrdiff_t>(i + n)},
          d));
    }
    grid = std::move(next);
  }
  return grid[0];
}

std::optional<Copies> CopiesOf(Given given, Sharding out, const Mesh& mesh,
                               const std::vector<bool>& manual) {
  std::vector<bool> used(mesh.axes.size(), false);
  for (const std::vector<AxisRef>& axes : out.dims) {
    for (const AxisRef& ref : axes) {
      if (ref.size != mesh.axes[ref.axis].size) return std::nullopt;
      used[ref.axis] = true;
    }
  }
  out.mesh = mesh;
  for (size_t a = 0; a < mesh.axes.size(); ++a) {
    if (manual[a] && !used[a] && mesh.axes[a].size > 1) {
      out.unreduced.push_back({a, 1, mesh.axes[a].size});
    }
  }
  const size_t rank = out.dims.size();
  for (size_t k = 0; k < given.values.size(); ++k) {
    for (size_t j = 0; j < k; ++j) {
      if (given.values[j] == given.values[k]) continue;
      if (CellOf(out, rank, given.devices[j]) == CellOf(out, rank, given.devices[k])) {
        return Copies{std::move(given), std::move(out)};
      }
    }
  }
  return std::nullopt;
}

}  // namespace megalith::spmd
