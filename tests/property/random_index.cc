// Random gathers and scatters.
#include <algorithm>

#include "tests/property/generator.h"

namespace megalith::property {
namespace {

using stablehlo::GatherDims;
using stablehlo::kNoValue;
using stablehlo::ScatterDims;

// How index vectors name positions of an operand.
struct Indexing {
  ValueId indices = kNoValue;
  Dims operand_batch, indices_batch, map;
  int64_t vector_dim = 0;
  Shape batch;  // dimensions of the indices without the vector
};

// Index values: nearly all in range, some below and above it.
ValueId IndexValues(Generator& g, DType dtype, const Shape& shape, int64_t limit) {
  Tensor t = *Tensor::Create(dtype, shape);
  const int64_t top = std::min<int64_t>(limit, tensor::BitWidth(dtype) <= 8 ? 60 : 1 << 20);
  for (int64_t i = 0; i < t.size(); ++i) {
    const bool wild = OneIn(g.rng(), 10);
    const int64_t low = wild && tensor::IsSigned(dtype) ? -2 : 0;
    t.SetInt(i, Between(g.rng(), low, std::max<int64_t>(wild ? top + 2 : top - 1, 0)));
  }
  return g.b().Constant(t);
}

Indexing MakeIndexing(Generator& g, const Shape& operand) {
  Rng& rng = g.rng();
  Indexing out;
  const DType dtype =
      PickOf(rng, (const DType[]){DType::kI32, DType::kI32, DType::kI64, DType::kU32, DType::kI8});
  std::vector<int64_t> free;
  for (size_t i = 0; i < operand.size(); ++i) free.push_back(static_cast<int64_t>(i));
  if (operand.size() > 1 && OneIn(rng, 4)) {
    out.operand_batch.push_back(0);
    free.erase(free.begin());
  }
  for (size_t i = free.size(); i > 1; --i) std::swap(free[i - 1], free[rng.Below(i)]);
  const size_t mapped = free.empty() ? 0 : 1 + rng.Below(std::min<size_t>(free.size(), 2));
  int64_t limit = 1;
  for (size_t i = 0; i < mapped; ++i) {
    out.map.push_back(free[i]);
    limit = std::max(limit, operand[static_cast<size_t>(free[i])]);
  }
  if (!out.operand_batch.empty()) {
    out.indices_batch.push_back(0);
    out.batch.push_back(operand[0]);
  }
  const Shape more = RandomShape(rng, rng.Below(3), 12);
  for (const int64_t n : more) out.batch.push_back(n);
  Shape shape = out.batch;
  if (mapped == 1 && OneIn(rng, 3)) {
    out.vector_dim = static_cast<int64_t>(shape.size());  // implicit
  } else {
    const size_t least = out.indices_batch.size();
    const size_t at = OneIn(rng, 3) ? least + rng.Below(shape.size() - least + 1) : shape.size();
    shape.insert(at, static_cast<int64_t>(mapped));
    out.vector_dim = static_cast<int64_t>(at);
  }
  // Sometimes indices that the program computes.
  const auto computed = OneIn(rng, 3) ? g.Where([&](const TensorType& t) {
    return tensor::IsInteger(t.dtype) && t.shape == shape;
  })
                                      : std::nullopt;
  out.indices = computed ? *computed : IndexValues(g, dtype, shape, limit);
  return out;
}

bool Has(const Dims& dims, size_t d) {
  return std::find(dims.begin(), dims.end(), static_cast<int64_t>(d)) != dims.end();
}

// Sizes of the window in the operand's dimensions; `gone` gets those of size 1 that are left out.
Shape WindowSizes(Generator& g, const Shape& operand, const Indexing& x, Dims* gone) {
  Shape sizes;
  for (size_t i = 0; i < operand.size(); ++i) {
    if (Has(x.operand_batch, i)) {
      sizes.push_back(std::min<int64_t>(operand[i], 1));
      continue;
    }
    const bool point = Has(x.map, i) && OneIn(g.rng(), 2);
    int64_t size = point || !OneIn(g.rng(), 2) ? operand[i] : Between(g.rng(), 0, operand[i]);
    if (point) size = std::min<int64_t>(operand[i], 1);
    if (size == 1 && OneIn(g.rng(), 2)) gone->push_back(static_cast<int64_t>(i));
    sizes.push_back(size);
  }
  return sizes;
}

// Positions of the window among the result's dimensions: all last, or all first.
Dims WindowPlaces(Rng& rng, size_t window, size_t batch) {
  Dims places;
  const size_t first = OneIn(rng, 3) ? 0 : batch;
  for (size_t i = 0; i < window; ++i) places.push_back(static_cast<int64_t>(first + i));
  return places;
}

void EmitGather(Generator& g) {
  const ValueId x = g.OfClass(stablehlo::kAnyOk, 1);
  const Shape operand = g.type(x).shape;
  const Indexing in = MakeIndexing(g, operand);
  GatherDims d;
  const Shape sizes = WindowSizes(g, operand, in, &d.collapsed_slice_dims);
  size_t window = 0;
  int64_t n = 1;
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (Has(d.collapsed_slice_dims, i) || Has(in.operand_batch, i)) continue;
    ++window;
    n *= std::max<int64_t>(sizes[i], 1);
  }
  for (const int64_t size : in.batch) n *= std::max<int64_t>(size, 1);
  if (n > 2 * g.max_elements() || window + in.batch.size() > 9) return;
  d.operand_batching_dims = in.operand_batch;
  d.start_indices_batching_dims = in.indices_batch;
  d.start_index_map = in.map;
  d.index_vector_dim = in.vector_dim;
  d.offset_dims = WindowPlaces(g.rng(), window, in.batch.size());
  g.Keep(g.b().Gather(x, in.indices, d, sizes));
}

void EmitScatter(Generator& g) {
  const ValueId x = g.OfClass(stablehlo::kAnyOk, 1);
  const TensorType t = g.type(x);
  const Indexing in = MakeIndexing(g, t.shape);
  ScatterDims d;
  const Shape sizes = WindowSizes(g, t.shape, in, &d.inserted_window_dims);
  std::vector<int64_t> window;
  int64_t n = 1;
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (Has(d.inserted_window_dims, i) || Has(in.operand_batch, i)) continue;
    window.push_back(sizes[i]);
    n *= std::max<int64_t>(sizes[i], 1);
  }
  for (const int64_t size : in.batch) n *= std::max<int64_t>(size, 1);
  if (n > g.max_elements() || window.size() + in.batch.size() > 9) return;
  d.input_batching_dims = in.operand_batch;
  d.scatter_indices_batching_dims = in.indices_batch;
  d.scatter_dims_to_operand_dims = in.map;
  d.index_vector_dim = in.vector_dim;
  d.update_window_dims = WindowPlaces(g.rng(), window.size(), in.batch.size());
  Shape updates;
  size_t next_window = 0, next_batch = 0;
  for (size_t i = 0; i < window.size() + in.batch.size(); ++i) {
    updates.push_back(Has(d.update_window_dims, i) ? window[next_window++]
                                                   : in.batch[next_batch++]);
  }
  const ValueId u = g.OfType({t.dtype, updates});
  // An overwrite depends on the order of equal indices, which the evaluator fixes and StableHLO
  // does not; the others commute.
  const bool ordered = tensor::IsComplex(t.dtype);
  const std::string_view bodies[] = {"stablehlo.add", "stablehlo.add", "stablehlo.multiply",
                                     "stablehlo.maximum", "stablehlo.minimum"};
  g.Keep(g.b().Scatter(x, in.indices, u, d, bodies[g.rng().Below(ordered ? 2 : 5)]));
}

// Two arrays at the same places: sums into one, the larger into the other.
void EmitScatterTwo(Generator& g) {
  const ValueId x = g.OfClass(stablehlo::kNumberOk, 1);
  const TensorType t = g.type(x);
  const ValueId y = g.OfType({RandomDType(g.rng(), stablehlo::kIntOk), t.shape});
  const DType other = g.type(y).dtype;
  const int64_t count = Between(g.rng(), 0, 12);
  Shape updates = t.shape;
  updates[0] = count;
  if (count * std::max<int64_t>(g.elements(x), 1) > 4 * g.max_elements()) return;
  ScatterDims d;
  d.inserted_window_dims = {0};
  d.scatter_dims_to_operand_dims = {0};
  d.index_vector_dim = 1;
  for (size_t i = 1; i < t.rank(); ++i) d.update_window_dims.push_back(static_cast<int64_t>(i));
  const ValueId at = IndexValues(g, DType::kI32, {count, 1}, t.shape[0]);
  const ValueId u = g.OfType({t.dtype, updates}), v = g.OfType({other, updates});
  FuncBuilder& b = g.b();
  const TensorType p = TensorType::Scalar(t.dtype), q = TensorType::Scalar(other);
  const TensorType types[] = {p, q, p, q};
  std::vector<stablehlo::Region> body;
  body.push_back(b.BuildRegion(types, [&](std::span<const ValueId> a) -> Values {
    return {b.Add(a[0], a[2]), b.Max(a[1], a[3])};
  }));
  g.Keep(b.Emit("stablehlo.scatter", {x, y, at, u, v},
                {{"scatter_dimension_numbers", stablehlo::Attr::Of(d)}}, {}, std::move(body)));
}

// Rows overwritten at places that are all different, or combined with what is there.
void EmitScatterUnique(Generator& g) {
  const ValueId x = g.OfClass(stablehlo::kAnyOk, 1);
  const TensorType t = g.type(x);
  const int64_t rows = t.shape[0];
  std::vector<int64_t> order;
  for (int64_t i = 0; i < std::min<int64_t>(rows + 2, 40); ++i) order.push_back(i);
  const bool sorted = OneIn(g.rng(), 3);
  for (size_t i = sorted ? 0 : order.size(); i > 1; --i) {
    std::swap(order[i - 1], order[g.rng().Below(i)]);
  }
  const auto count = static_cast<int64_t>(g.rng().Below(order.size() + 1));
  Tensor at = *Tensor::Create(DType::kI32, {count, 1});
  for (int64_t i = 0; i < count; ++i) at.SetInt(i, order[static_cast<size_t>(i)]);
  ScatterDims d;
  d.inserted_window_dims = {0};
  d.scatter_dims_to_operand_dims = {0};
  d.index_vector_dim = 1;
  Shape updates = t.shape;
  updates[0] = count;
  for (size_t i = 1; i < t.rank(); ++i) d.update_window_dims.push_back(static_cast<int64_t>(i));
  const bool combines = !tensor::IsBool(t.dtype) && OneIn(g.rng(), 3);
  const std::string_view bodies[] = {"stablehlo.subtract", "stablehlo.multiply"};
  const std::string_view body = combines ? bodies[g.rng().Below(2)] : "";
  g.Keep(g.b().Scatter(x, g.b().Constant(at), g.OfType({t.dtype, updates}), d, body, sorted, true));
}

constexpr FamilyRow kRows[] = {
    {"gather", 5, EmitGather},
    {"scatter", 4, EmitScatter},
    {"scatter_two", 1, EmitScatterTwo},
    {"scatter_unique", 2, EmitScatterUnique},
};

}  // namespace

std::span<const FamilyRow> IndexFamilies() { return kRows; }

}  // namespace megalith::property
