#include "common/programs/spmd/sharding.h"

#include <algorithm>
#include <charconv>

#include "common/foundation/base/strings.h"

namespace megalith::spmd {
namespace {

// No real mesh has more; keeps products of sizes in range.
constexpr int64_t kMostDevices = 1 << 20;

// Reads the text of an attribute from front to back.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text), rest_(text) {}

  bool TakeIf(std::string_view word) {
    Blank();
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    return true;
  }
  bool At(std::string_view word) {
    Blank();
    return rest_.starts_with(word);
  }
  Status Expect(std::string_view word) { return TakeIf(word) ? OkStatus() : Wrong(word); }
  bool AtEnd() {
    Blank();
    return rest_.empty();
  }
  Status ExpectEnd() { return AtEnd() ? OkStatus() : Wrong("the end"); }

  Result<std::string> Quoted() {
    RETURN_IF_ERROR(Expect("\""));
    const size_t end = rest_.find('"');
    if (end == std::string_view::npos) return Wrong("a closing quote");
    std::string out(rest_.substr(0, end));
    rest_.remove_prefix(end + 1);
    return out;
  }
  // A name after '@', quoted or not.
  Result<std::string> Symbol() {
    RETURN_IF_ERROR(Expect("@"));
    if (At("\"")) return Quoted();
    size_t n = 0;
    while (n < rest_.size() &&
           (std::isalnum(static_cast<unsigned char>(rest_[n])) != 0 ||
            std::string_view("_$.-").find(rest_[n]) != std::string_view::npos)) {
      ++n;
    }
    if (n == 0) return Wrong("a name");
    std::string out(rest_.substr(0, n));
    rest_.remove_prefix(n);
    return out;
  }
  Result<int64_t> Int() {
    Blank();
    int64_t v = 0;
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), v);
    if (error != std::errc()) return Wrong("a number");
    rest_.remove_prefix(static_cast<size_t>(end - rest_.data()));
    return v;
  }
  Status Wrong(std::string_view wanted) const {
    return InvalidArgument(StrCat("sharding '", Printable(text_, 200), "': at byte ",
                                  text_.size() - rest_.size(), ", wanted ", wanted));
  }

 private:
  void Blank() {
    while (!rest_.empty() && (rest_.front() == ' ' || rest_.front() == '\n')) {
      rest_.remove_prefix(1);
    }
  }
  std::string_view text_, rest_;
};

// <["x"=4, "y"=2], device_ids=[0, 2]>
Result<Mesh> ScanMesh(Scanner& in) {
  Mesh mesh;
  RETURN_IF_ERROR(in.Expect("<"));
  RETURN_IF_ERROR(in.Expect("["));
  int64_t devices = 1;
  while (!in.TakeIf("]")) {
    Mesh::Axis axis;
    ASSIGN_OR_RETURN(axis.name, in.Quoted());
    RETURN_IF_ERROR(in.Expect("="));
    ASSIGN_OR_RETURN(axis.size, in.Int());
    if (axis.size < 1 || axis.size > kMostDevices / devices) return in.Wrong("a sensible size");
    devices *= axis.size;
    mesh.axes.push_back(std::move(axis));
    if (!in.TakeIf(",") && !in.At("]")) return in.Wrong("',' or ']'");
  }
  if (in.TakeIf(",")) {
    RETURN_IF_ERROR(in.Expect("device_ids"));
    RETURN_IF_ERROR(in.Expect("="));
    RETURN_IF_ERROR(in.Expect("["));
    while (!in.TakeIf("]")) {
      ASSIGN_OR_RETURN(const int64_t id, in.Int());
      mesh.device_ids.push_back(id);
      if (!in.TakeIf(",") && !in.At("]")) return in.Wrong("',' or ']'");
    }
  }
  RETURN_IF_ERROR(in.Expect(">"));
  if (mesh.axes.empty()) {
    mesh.device_ids.clear();  // everything on one device: a copy on each does no harm
  } else if (!mesh.device_ids.empty() &&
             static_cast<int64_t>(mesh.device_ids.size()) != mesh.size()) {
    return in.Wrong("as many device ids as the mesh has places");
  }
  return mesh;
}

// "x" or "x":(2)4
Result<AxisRef> ScanAxis(Scanner& in, const Mesh& mesh) {
  AxisRef ref;
  ASSIGN_OR_RETURN(const std::string name, in.Quoted());
  const auto it = std::ranges::find(mesh.axes, name, &Mesh::Axis::name);
  if (it == mesh.axes.end()) return in.Wrong("an axis of the mesh");
  ref.axis = static_cast<size_t>(it - mesh.axes.begin());
  ref.size = it->size;
  if (in.TakeIf(":")) {
    RETURN_IF_ERROR(in.Expect("("));
    ASSIGN_OR_RETURN(ref.pre, in.Int());
    RETURN_IF_ERROR(in.Expect(")"));
    ASSIGN_OR_RETURN(ref.size, in.Int());
    if (ref.pre < 1 || ref.size < 1 || ref.pre > it->size || ref.size > it->size ||
        it->size % (ref.pre * ref.size) != 0) {
      return in.Wrong("a part that divides the axis");
    }
  }
  return ref;
}

// {"x", "y", ?}p1
Result<std::vector<AxisRef>> ScanDim(Scanner& in, const Mesh& mesh) {
  std::vector<AxisRef> axes;
  RETURN_IF_ERROR(in.Expect("{"));
  while (!in.TakeIf("}")) {
    if (!in.TakeIf("?")) {
      ASSIGN_OR_RETURN(const AxisRef ref, ScanAxis(in, mesh));
      axes.push_back(ref);
    }
    if (!in.TakeIf(",") && !in.At("}")) return in.Wrong("',' or '}'");
  }
  if (in.TakeIf("p")) RETURN_IF_ERROR(internal::StatusOf(in.Int()));
  return axes;
}

// <@mesh, [{"x"}, {}], replicated={"y"}, unreduced={...}>
Result<Sharding> ScanSharding(Scanner& in, const std::vector<Mesh>& meshes, size_t rank) {
  Sharding out;
  RETURN_IF_ERROR(in.Expect("<"));
  if (in.TakeIf("mesh")) {
    ASSIGN_OR_RETURN(out.mesh, ScanMesh(in));
  } else {
    ASSIGN_OR_RETURN(const std::string name, in.Symbol());
    const auto it = std::ranges::find(meshes, name, &Mesh::name);
    if (it == meshes.end()) return in.Wrong("a mesh that the module declares");
    out.mesh = *it;
  }
  RETURN_IF_ERROR(in.Expect(","));
  RETURN_IF_ERROR(in.Expect("["));
  while (!in.TakeIf("]")) {
    ASSIGN_OR_RETURN(std::vector<AxisRef> axes, ScanDim(in, out.mesh));
    out.dims.push_back(std::move(axes));
    if (!in.TakeIf(",") && !in.At("]")) return in.Wrong("',' or ']'");
  }
  if (out.dims.size() > rank) return in.Wrong(StrCat("at most ", rank, " dimensions"));
  while (in.TakeIf(",")) {
    const bool copies = in.TakeIf("replicated");
    if (!copies && !in.TakeIf("unreduced")) return in.Wrong("'replicated' or 'unreduced'");
    RETURN_IF_ERROR(in.Expect("="));
    ASSIGN_OR_RETURN(std::vector<AxisRef> axes, ScanDim(in, out.mesh));
    if (!copies) out.unreduced = std::move(axes);
  }
  RETURN_IF_ERROR(in.Expect(">"));
  return out;
}

// 1,2,3 up to `end`.
Result<std::vector<int64_t>> ScanInts(Scanner& in, std::string_view end) {
  std::vector<int64_t> out;
  while (!in.TakeIf(end)) {
    if (!out.empty()) RETURN_IF_ERROR(in.Expect(","));
    ASSIGN_OR_RETURN(const int64_t v, in.Int());
    if (v < 0 || v > kMostDevices || out.size() > static_cast<size_t>(kMostDevices)) {
      return in.Wrong("a sensible number");
    }
    out.push_back(v);
  }
  return out;
}

// <=[2,4]T(1,0): the devices in order, as a grid of these dimensions with its dimensions permuted.
Result<std::vector<int64_t>> ScanIota(Scanner& in, int64_t devices) {
  ASSIGN_OR_RETURN(const std::vector<int64_t> grid, ScanInts(in, "]"));
  std::vector<int64_t> order(grid.size());
  for (size_t d = 0; d < order.size(); ++d) order[d] = static_cast<int64_t>(d);
  if (in.TakeIf("T(")) {
    ASSIGN_OR_RETURN(order, ScanInts(in, ")"));
  }
  std::vector<int64_t> sorted = order;
  std::ranges::sort(sorted);
  int64_t count = 1;
  for (size_t d = 0; d < grid.size(); ++d) {
    if (sorted.size() != grid.size() || sorted[d] != static_cast<int64_t>(d) || grid[d] < 1 ||
        grid[d] > devices / count) {
      return in.Wrong("a permutation of the devices");
    }
    count *= grid[d];
  }
  std::vector<int64_t> ids;
  for (int64_t i = 0; i < count; ++i) {
    std::vector<int64_t> at(grid.size());
    int64_t rest = i;
    for (size_t d = grid.size(); d-- > 0;) {
      const auto from = static_cast<size_t>(order[d]);
      at[from] = rest % grid[from];
      rest /= grid[from];
    }
    int64_t id = 0;
    for (size_t d = 0; d < grid.size(); ++d) id = id * grid[d] + at[d];
    ids.push_back(id);
  }
  return ids;
}

// What the dimensions of a grid mean that come after those of the array.
Status ScanCopies(Scanner& in) {
  if (in.TakeIf("last_tile_dim_replicate")) return OkStatus();
  if (!in.TakeIf("last_tile_dims={")) return OkStatus();
  while (!in.TakeIf("}")) {
    if (in.At("manual")) return Unimplemented("a sharding of parts that a device has already");
    RETURN_IF_ERROR(in.Expect("replicated"));
    if (!in.TakeIf(",") && !in.At("}")) return in.Wrong("',' or '}'");
  }
  return OkStatus();
}

int64_t Product(const std::vector<AxisRef>& axes) {
  int64_t n = 1;
  for (const AxisRef& r : axes) n *= r.size;
  return n;
}

}  // namespace

int64_t Mesh::size() const {
  int64_t n = 1;
  for (const Axis& a : axes) n *= a.size;
  return n;
}

std::vector<int64_t> Mesh::CoordinatesOf(int64_t device) const {
  std::vector<int64_t> at(axes.size(), 0);
  int64_t position = device;
  if (!device_ids.empty()) {
    const auto it = std::ranges::find(device_ids, device);
    position = it == device_ids.end() ? 0 : it - device_ids.begin();
  }
  if (position >= size()) position = 0;
  for (size_t a = axes.size(); a-- > 0;) {
    at[a] = position % axes[a].size;
    position /= axes[a].size;
  }
  return at;
}

int64_t Sharding::Parts(size_t dim) const { return dim < dims.size() ? Product(dims[dim]) : 1; }

int64_t Sharding::PartOf(size_t dim, int64_t device) const {
  return dim < dims.size() ? PositionIn(dims[dim], device) : 0;
}

int64_t Sharding::Terms() const { return Product(unreduced); }

int64_t Sharding::TermOf(int64_t device) const { return PositionIn(unreduced, device); }

int64_t Sharding::PositionIn(const std::vector<AxisRef>& axes, int64_t device) const {
  if (axes.empty()) return 0;
  const std::vector<int64_t> at = mesh.CoordinatesOf(device);
  int64_t position = 0;
  for (const AxisRef& r : axes) {
    const int64_t inside = mesh.axes[r.axis].size / (r.pre * r.size);
    position = position * r.size + at[r.axis] / inside % r.size;
  }
  return position;
}

Sharding Sharding::Only(const std::vector<bool>& keep) const {
  Sharding out = *this;
  const auto other = [&](const AxisRef& r) { return !keep[r.axis]; };
  for (std::vector<AxisRef>& axes : out.dims) std::erase_if(axes, other);
  std::erase_if(out.unreduced, other);
  return out;
}

bool Sharding::IsReplicated() const {
  return std::ranges::all_of(dims, [](const auto& axes) { return axes.empty(); });
}

Result<Part> PartOf(const Sharding& sharding, const Shape& whole, int64_t device) {
  Part part;
  for (size_t d = 0; d < whole.size(); ++d) {
    const int64_t parts = sharding.Parts(d);
    if (whole[d] % parts != 0) {
      return InvalidArgument(StrCat("dimension ", d, " of ", whole[d],
                                    " elements cannot be split into ", parts, " equal parts"));
    }
    part.shape.push_back(whole[d] / parts);
    part.start.push_back(whole[d] / parts * sharding.PartOf(d, device));
  }
  return part;
}

Result<std::vector<Mesh>> MeshesOf(const stablehlo::Module& module) {
  std::vector<Mesh> meshes;
  for (const std::string& text : module.declarations) {
    Scanner in(text);
    RETURN_IF_ERROR(in.Expect("sdy.mesh"));
    ASSIGN_OR_RETURN(std::string name, in.Symbol());
    RETURN_IF_ERROR(in.Expect("="));
    ASSIGN_OR_RETURN(Mesh mesh, ScanMesh(in));
    RETURN_IF_ERROR(in.ExpectEnd());
    mesh.name = std::move(name);
    meshes.push_back(std::move(mesh));
  }
  return meshes;
}

Result<Sharding> ParseSharding(std::string_view text, const std::vector<Mesh>& meshes,
                               size_t rank) {
  Scanner in(text);
  RETURN_IF_ERROR(in.Expect("#sdy.sharding"));
  ASSIGN_OR_RETURN(Sharding sharding, ScanSharding(in, meshes, rank));
  RETURN_IF_ERROR(in.ExpectEnd());
  return sharding;
}

Result<std::vector<Sharding>> ParseShardings(std::string_view text, const std::vector<Mesh>& meshes,
                                             const std::vector<size_t>& ranks) {
  Scanner in(text);
  RETURN_IF_ERROR(in.Expect("#sdy.sharding_per_value<["));
  std::vector<Sharding> out;
  while (!in.TakeIf("]>")) {
    if (out.size() == ranks.size()) return in.Wrong("as many shardings as values");
    ASSIGN_OR_RETURN(Sharding sharding, ScanSharding(in, meshes, ranks[out.size()]));
    out.push_back(std::move(sharding));
    if (!in.TakeIf(",") && !in.At("]>")) return in.Wrong("',' or ']>'");
  }
  RETURN_IF_ERROR(in.ExpectEnd());
  if (out.size() != ranks.size()) return in.Wrong("as many shardings as values");
  return out;
}

Result<Sharding> ParseHloSharding(std::string_view text, size_t rank, int64_t devices) {
  Scanner in(text);
  RETURN_IF_ERROR(in.Expect("{"));
  Sharding out;
  if (in.At("manual")) return Unimplemented("a sharding of parts that a device has already");
  if (in.TakeIf("maximal device=")) {
    RETURN_IF_ERROR(internal::StatusOf(in.Int()));
  } else if (!in.TakeIf("replicated")) {
    RETURN_IF_ERROR(in.Expect("devices=["));
    ASSIGN_OR_RETURN(const std::vector<int64_t> tiles, ScanInts(in, "]"));
    if (tiles.size() < rank) return in.Wrong(StrCat("at least ", rank, " dimensions"));
    if (in.TakeIf("<=[")) {
      ASSIGN_OR_RETURN(out.mesh.device_ids, ScanIota(in, devices));
    } else {
      do {
        ASSIGN_OR_RETURN(const int64_t id, in.Int());
        if (id < 0 || id >= devices) return in.Wrong(StrCat("a device below ", devices));
        out.mesh.device_ids.push_back(id);
      } while (in.TakeIf(","));
    }
    RETURN_IF_ERROR(ScanCopies(in));
    int64_t cells = 1;
    for (size_t d = 0; d < tiles.size(); ++d) {
      if (tiles[d] < 1 || tiles[d] > devices / cells) return in.Wrong("as many devices as tiles");
      cells *= tiles[d];
      out.mesh.axes.push_back({StrCat("d", d), tiles[d]});
      if (d < rank) {
        out.dims.emplace_back();
        if (tiles[d] > 1) out.dims[d].push_back({.axis = d, .pre = 1, .size = tiles[d]});
      }
    }
    if (cells != static_cast<int64_t>(out.mesh.device_ids.size())) {
      return in.Wrong("as many devices as tiles");
    }
  }
  RETURN_IF_ERROR(in.Expect("}"));
  RETURN_IF_ERROR(in.ExpectEnd());
  return out;
}

Result<std::vector<std::string>> ParseManualAxes(std::string_view text) {
  Scanner in(text);
  RETURN_IF_ERROR(in.Expect("#sdy<manual_axes{"));
  std::vector<std::string> out;
  while (!in.TakeIf("}>")) {
    ASSIGN_OR_RETURN(std::string name, in.Quoted());
    out.push_back(std::move(name));
    if (!in.TakeIf(",") && !in.At("}>")) return in.Wrong("',' or '}>'");
  }
  RETURN_IF_ERROR(in.ExpectEnd());
  return out;
}

}  // namespace megalith::spmd
