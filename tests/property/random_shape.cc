// Random operations that move elements.
#include <algorithm>
#include <numeric>

#include "tests/property/generator.h"

namespace megalith::property {
namespace {

void EmitBroadcast(Generator& g) {
  const ValueId x = g.Any();
  const Shape& from = g.type(x).shape;
  if (from.size() > 8) return;
  // New dimensions in between; those of size 1 may grow. Now and then in another order.
  const size_t rank = from.size() + g.rng().Below(from.size() < 5 ? 6 - from.size() : 2);
  std::vector<int64_t> places(rank);
  std::iota(places.begin(), places.end(), 0);
  for (size_t i = rank; i > 1; --i) std::swap(places[i - 1], places[g.rng().Below(i)]);
  places.resize(from.size());
  if (!OneIn(g.rng(), 4)) std::sort(places.begin(), places.end());
  int64_t n = std::max<int64_t>(g.elements(x), 1);
  Shape to(rank, 0);
  for (size_t i = 0; i < rank; ++i) {
    const auto at = std::find(places.begin(), places.end(), static_cast<int64_t>(i));
    const int64_t size = at == places.end() ? 1 : from[static_cast<size_t>(at - places.begin())];
    to[i] = size;
    if (size != 1) continue;
    const int64_t grown = PickOf(g.rng(), (const int64_t[]){1, 2, 3, 5, 8, 33});
    if (n * grown > g.max_elements()) continue;
    n *= grown;
    to[i] = grown;
  }
  g.Keep(g.b().BroadcastInDim(x, to, Dims(std::span<const int64_t>(places))));
}

void EmitReshape(Generator& g) {
  const ValueId x = g.Any();
  std::vector<int64_t> sizes(g.type(x).shape.begin(), g.type(x).shape.end());
  for (int64_t i = Between(g.rng(), 1, 3); i > 0; --i) {
    const size_t at = g.rng().Below(sizes.size() + 1);
    if (OneIn(g.rng(), 3) && sizes.size() < 8) {  // a dimension of 1
      sizes.insert(sizes.begin() + static_cast<std::ptrdiff_t>(at), 1);
    } else if (at + 1 < sizes.size() && OneIn(g.rng(), 2)) {  // two joined
      sizes[at] *= sizes[at + 1];
      sizes.erase(sizes.begin() + static_cast<std::ptrdiff_t>(at) + 1);
    } else if (at < sizes.size() && sizes[at] == 1) {
      sizes.erase(sizes.begin() + static_cast<std::ptrdiff_t>(at));
    } else if (at < sizes.size() && sizes.size() < 8) {  // one split
      for (const int64_t d : {2, 3, 5, 7}) {
        if (sizes[at] % d != 0 || sizes[at] == 0) continue;
        sizes[at] /= d;
        sizes.insert(sizes.begin() + static_cast<std::ptrdiff_t>(at), d);
        break;
      }
    }
  }
  g.Keep(g.b().Reshape(x, Shape(std::span<const int64_t>(sizes))));
}

void EmitTranspose(Generator& g) {
  const ValueId x = g.Any();
  std::vector<int64_t> order(g.type(x).rank());
  std::iota(order.begin(), order.end(), 0);
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[g.rng().Below(i)]);
  g.Keep(g.b().Transpose(x, Dims(std::span<const int64_t>(order))));
}

void EmitReverse(Generator& g) {
  const ValueId x = g.Any();
  Dims dims;
  for (size_t i = 0; i < g.type(x).rank(); ++i) {
    if (OneIn(g.rng(), 2)) dims.push_back(static_cast<int64_t>(i));
  }
  g.Keep(g.b().Reverse(x, dims));
}

void EmitSlice(Generator& g) {
  const ValueId x = g.Any();
  Dims start, limit, strides;
  for (const int64_t size : g.type(x).shape) {
    const int64_t low = OneIn(g.rng(), 2) ? 0 : Between(g.rng(), 0, size);
    start.push_back(low);
    limit.push_back(OneIn(g.rng(), 2) ? size : Between(g.rng(), low, size));
    strides.push_back(OneIn(g.rng(), 2) ? 1 : Between(g.rng(), 1, 3));
  }
  g.Keep(g.b().Slice(x, start, limit, strides));
}

void EmitPad(Generator& g) {
  const ValueId x = g.Any();
  Dims low, high, interior;
  int64_t n = 1;
  for (const int64_t size : g.type(x).shape) {
    interior.push_back(OneIn(g.rng(), 2) ? 0 : Between(g.rng(), 0, 2));
    const int64_t inner = size + std::max<int64_t>(size - 1, 0) * interior.back();
    low.push_back(Between(g.rng(), -std::min<int64_t>(inner / 2, 2), 3));
    high.push_back(Between(g.rng(), -std::min<int64_t>(inner / 2, 2), 3));
    n *= std::max<int64_t>(inner + low.back() + high.back(), 1);
  }
  if (n > g.max_elements() * 2) return;
  g.Keep(g.b().Pad(x, g.OfType(TensorType::Scalar(g.type(x).dtype)), low, high, interior));
}

void EmitConcatenate(Generator& g) {
  const ValueId x = g.OfClass(stablehlo::kAnyOk, 1);
  const size_t d = g.rng().Below(g.type(x).rank());
  std::vector<ValueId> parts = {x};
  for (int64_t i = Between(g.rng(), 0, 3); i > 0; --i) {
    const auto fits = [&](const TensorType& t) {
      if (t.dtype != g.type(x).dtype || t.rank() != g.type(x).rank()) return false;
      Shape other = t.shape;
      other[d] = g.type(x).shape[d];
      return other == g.type(x).shape;
    };
    const auto found = g.Where(fits);
    parts.push_back(found ? *found : g.OfType(g.type(x)));
  }
  if (OneIn(g.rng(), 2)) std::swap(parts.front(), parts.back());
  g.Keep(g.b().Concatenate(parts, static_cast<int64_t>(d)));
}

void EmitIota(Generator& g) {
  const TensorType t{
      RandomDType(g.rng(), stablehlo::kNumberOk),
      OneIn(g.rng(), 2) ? g.type(g.Any()).shape : RandomShape(g.rng(), g.max_elements())};
  if (t.rank() == 0) return;
  g.Keep(g.b().Iota(t, static_cast<int64_t>(g.rng().Below(t.rank()))));
}

void EmitDynamicSlice(Generator& g) {
  const ValueId x = g.Any();
  Dims sizes;
  for (const int64_t size : g.type(x).shape) sizes.push_back(Between(g.rng(), 0, size));
  if (!OneIn(g.rng(), 10)) {
    for (size_t i = 0; i < sizes.size(); ++i) {
      sizes[i] = std::max<int64_t>(sizes[i], std::min<int64_t>(g.type(x).shape[i], 1));
    }
  }
  g.Keep(g.b().DynamicSlice(x, g.Starts(g.type(x).shape), sizes));
}

void EmitDynamicUpdateSlice(Generator& g) {
  const ValueId x = g.Any();
  Shape sizes;
  for (const int64_t size : g.type(x).shape) sizes.push_back(Between(g.rng(), size / 2, size));
  const ValueId update = g.OfType({g.type(x).dtype, sizes});
  g.Keep(g.b().DynamicUpdateSlice(x, update, g.Starts(g.type(x).shape)));
}

void EmitDimensionSize(Generator& g) {
  const ValueId x = g.OfClass(stablehlo::kAnyOk, 1);
  g.Keep(g.b().Emit("stablehlo.get_dimension_size", {x},
                    {{"dimension", stablehlo::Attr::Int(
                                       static_cast<int64_t>(g.rng().Below(g.type(x).rank())))}}));
}

void EmitBarrier(Generator& g) {
  const ValueId xs[] = {g.Any(), g.Any()};
  g.Keep(g.b().OptimizationBarrier(xs));
}

void EmitConstant(Generator& g) {
  g.Keep(g.Constant({RandomDType(g.rng()), RandomShape(g.rng(), g.max_elements())}));
}

constexpr FamilyRow kRows[] = {
    {"broadcast", 8, EmitBroadcast},
    {"reshape", 6, EmitReshape},
    {"transpose", 6, EmitTranspose},
    {"reverse", 2, EmitReverse},
    {"slice", 4, EmitSlice},
    {"pad", 3, EmitPad},
    {"concatenate", 3, EmitConcatenate},
    {"iota", 2, EmitIota},
    {"dynamic_slice", 3, EmitDynamicSlice},
    {"dynamic_update_slice", 3, EmitDynamicUpdateSlice},
    {"get_dimension_size", 1, EmitDimensionSize},
    {"optimization_barrier", 1, EmitBarrier},
    {"constant", 2, EmitConstant},
};

}  // namespace

std::span<const FamilyRow> ShapeFamilies() { return kRows; }

}  // namespace megalith::property
