// Random reductions, windows and sorts.
#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/property/generator.h"

namespace megalith::property {
namespace {

using stablehlo::CompareDirection;
using stablehlo::CompareType;
using stablehlo::Window;

// A commutative op for elements of this dtype, and what a reduction starts from.
struct Fold {
  std::string_view op;
  ValueId init;
};
Fold RandomFold(Generator& g, DType dtype) {
  Rng& rng = g.rng();
  const TensorType scalar = TensorType::Scalar(dtype);
  const bool bits = tensor::IsBool(dtype) || tensor::IsInteger(dtype);
  const uint64_t kind = rng.Below(tensor::IsComplex(dtype) ? 4 : bits ? 11 : 8);
  if (kind < 3) return {"stablehlo.add", g.b().Splat(scalar, 0)};
  if (kind == 3) return {"stablehlo.multiply", g.b().Splat(scalar, 1)};
  if (kind < 8) {
    const bool max = kind < 6;
    const double limit = tensor::Limits(dtype).has_infinity ? HUGE_VAL : tensor::Limits(dtype).max;
    const ValueId init = tensor::IsFloat(dtype) && OneIn(rng, 2)
                             ? g.b().Splat(scalar, max ? -limit : limit)
                             : g.Constant(scalar);
    return {max ? "stablehlo.maximum" : "stablehlo.minimum", init};
  }
  constexpr std::string_view kBits[] = {"stablehlo.and", "stablehlo.or", "stablehlo.xor"};
  return {kBits[kind - 8], g.Constant(scalar, kind == 8 ? Mood::kSpecial : Mood::kZero)};
}

Dims SomeDims(Rng& rng, size_t rank) {
  Dims dims;
  const uint64_t style = rng.Below(4);
  for (size_t i = 0; i < rank; ++i) {
    const bool in = style == 0   ? true
                    : style == 1 ? i + 1 == rank
                    : style == 2 ? i == 0
                                 : OneIn(rng, 2);
    if (in) dims.push_back(static_cast<int64_t>(i));
  }
  return dims;
}

// The larger one by comparison and choice; integers only, because NaN would make order matter.
void EmitReduceByChoice(Generator& g) {
  const auto x =
      g.Where([](const TensorType& t) { return t.rank() > 0 && tensor::IsInteger(t.dtype); });
  if (!x) return;
  FuncBuilder& b = g.b();
  const ValueId xs[] = {*x};
  const ValueId inits[] = {g.Constant(TensorType::Scalar(g.type(*x).dtype))};
  const bool max = OneIn(g.rng(), 2);
  g.Keep(b.Reduce(xs, inits, SomeDims(g.rng(), g.type(*x).rank()),
                  [&](std::span<const ValueId> a) -> Values {
                    const auto better = max ? CompareDirection::kGe : CompareDirection::kLt;
                    return {b.Select(b.Compare(better, a[0], a[1]), a[0], a[1])};
                  }));
}

void EmitReduce(Generator& g) {
  const ValueId x = g.OfClass(stablehlo::kAnyOk, OneIn(g.rng(), 10) ? 0 : 1);
  const Fold fold = RandomFold(g, g.type(x).dtype);
  g.Keep(g.b().Reduce(x, fold.init, SomeDims(g.rng(), g.type(x).rank()), fold.op));
}

// The usual shape of a normalisation: a reduction broadcast back against its operand.
void EmitReduceBroadcast(Generator& g) {
  const ValueId x = g.OfClass(stablehlo::kFloatOk, 1);
  const TensorType t = g.type(x);
  const Fold fold = RandomFold(g, t.dtype);
  const Dims dims = SomeDims(g.rng(), t.rank());
  Dims kept;
  for (size_t i = 0; i < t.rank(); ++i) {
    const auto d = static_cast<int64_t>(i);
    if (std::find(dims.begin(), dims.end(), d) == dims.end()) kept.push_back(d);
  }
  const ValueId r = g.b().Reduce(x, fold.init, dims, fold.op);
  const ValueId wide = g.b().BroadcastInDim(r, t.shape, kept);
  const ValueId y = OneIn(g.rng(), 2) ? g.b().Sub(x, wide) : g.b().Div(x, wide);
  g.Keep(r);
  g.Keep(OneIn(g.rng(), 2) ? g.b().Exp(y) : y);
}

// Index of the largest or smallest element, as JAX writes argmax and argmin.
void EmitArgReduce(Generator& g) {
  const auto found = g.Where([](const TensorType& t) {
    return t.rank() > 0 && !tensor::IsComplex(t.dtype) && !tensor::IsBool(t.dtype);
  });
  if (!found) return;
  FuncBuilder& b = g.b();
  const TensorType t = g.type(*found);
  const auto d = static_cast<int64_t>(g.rng().Below(t.rank()));
  const bool max = OneIn(g.rng(), 2);
  const ValueId index = b.Iota(t.With(DType::kI32), d);
  const ValueId xs[] = {*found, index};
  const ValueId inits[] = {g.Constant(TensorType::Scalar(t.dtype)), b.Scalar(DType::kI32, 0)};
  g.Keep(b.Reduce(xs, inits, {d}, [&](std::span<const ValueId> a) -> Values {
    const auto direction = max ? CompareDirection::kGt : CompareDirection::kLt;
    const ValueId better = b.Compare(direction, a[0], a[2]);
    const ValueId nan = b.Compare(CompareDirection::kNe, a[0], a[0]);
    const ValueId first = b.Or(better, nan);
    const ValueId same = b.Compare(CompareDirection::kEq, a[0], a[2]);
    const ValueId earlier = b.And(same, b.Compare(CompareDirection::kLt, a[1], a[3]));
    return {b.Select(first, a[0], a[2]), b.Select(b.Or(first, earlier), a[1], a[3])};
  }));
}

// Several sums at once; the body does more than one op.
void EmitVariadicReduce(Generator& g) {
  const ValueId x = g.OfClass(stablehlo::kNumberOk, 1);
  const ValueId y = g.OfType(g.type(x));
  FuncBuilder& b = g.b();
  const TensorType scalar = TensorType::Scalar(g.type(x).dtype);
  const ValueId xs[] = {x, y};
  const ValueId zero = b.Splat(scalar, 0);
  const ValueId inits[] = {zero, zero};
  g.Keep(b.Reduce(xs, inits, SomeDims(g.rng(), g.type(x).rank()),
                  [&](std::span<const ValueId> a) -> Values {
                    return {b.Add(a[0], a[2]), b.Max(a[1], a[3])};
                  }));
}

// Two integer arrays that are numbers of functions x -> a x + b, and what applies one after the
// other: the order of elements counts.
struct Affine {
  std::vector<ValueId> xs, inits;
};
std::optional<Affine> RandomAffine(Generator& g) {
  const auto x =
      g.Where([](const TensorType& t) { return t.rank() > 0 && tensor::IsInteger(t.dtype); });
  if (!x) return std::nullopt;
  const TensorType scalar = TensorType::Scalar(g.type(*x).dtype);
  const bool neutral = !OneIn(g.rng(), 4);
  return Affine{{*x, g.OfType(g.type(*x))},
                {neutral ? g.b().Splat(scalar, 1) : g.Constant(scalar), g.b().Splat(scalar, 0)}};
}
Values ApplyBoth(FuncBuilder& b, std::span<const ValueId> a) {
  return {b.Mul(a[0], a[2]), b.Add(b.Mul(a[2], a[1]), a[3])};
}

void EmitReduceAffine(Generator& g) {
  const auto f = RandomAffine(g);
  if (!f) return;
  FuncBuilder& b = g.b();
  g.Keep(b.Reduce(f->xs, f->inits, SomeDims(g.rng(), g.type(f->xs[0]).rank()),
                  [&](std::span<const ValueId> a) { return ApplyBoth(b, a); }));
}

// A window over at most three dimensions, small enough for its results to be few.
std::optional<Window> RandomWindow(Generator& g, const Shape& shape, bool dilated) {
  Rng& rng = g.rng();
  Window w;
  int64_t outputs = 1, work = 1;
  for (const int64_t size : shape) {
    const bool plain = OneIn(rng, 2);
    const int64_t window =
        plain ? 1 : Between(rng, 1, std::min<int64_t>(std::max<int64_t>(size, 1), 4));
    const int64_t base = dilated && !plain && OneIn(rng, 6) ? 2 : 1;
    const int64_t spread = dilated && !plain && OneIn(rng, 6) ? 2 : 1;
    const int64_t stride = plain ? 1 : Between(rng, 1, 3);
    const int64_t least = dilated && OneIn(rng, 8) && size > 2 ? -1 : 0;  // crops
    const int64_t low = plain ? 0 : Between(rng, least, window - 1);
    const int64_t high = plain ? 0 : Between(rng, least, window - 1);
    w.dimensions.push_back(window);
    w.strides.push_back(stride);
    w.padding.push_back(low);
    w.padding.push_back(high);
    w.base_dilations.push_back(base);
    w.window_dilations.push_back(spread);
    const int64_t span = (size == 0 ? 0 : (size - 1) * base + 1) + low + high;
    const int64_t reach = (window - 1) * spread + 1;
    outputs *= span < reach ? 1 : (span - reach) / stride + 1;
    work *= window;
  }
  if (outputs * work > 4 * g.max_elements()) return std::nullopt;
  return w;
}

void EmitReduceWindow(Generator& g) {
  const ValueId x = g.OfClass(stablehlo::kAnyOk, 1);
  const auto window = RandomWindow(g, g.type(x).shape, true);
  if (!window) return;
  const Fold fold = RandomFold(g, g.type(x).dtype);
  g.Keep(g.b().ReduceWindow(x, fold.init, *window, fold.op));
}

// Two arrays under one window, a sum of one and the larger of the other.
void EmitVariadicWindow(Generator& g) {
  const ValueId x = g.OfClass(stablehlo::kNumberOk, 1);
  const auto window = RandomWindow(g, g.type(x).shape, true);
  if (!window) return;
  FuncBuilder& b = g.b();
  const ValueId xs[] = {x, g.OfType(g.type(x))};
  const ValueId zero = b.Splat(TensorType::Scalar(g.type(x).dtype), 0);
  const ValueId inits[] = {zero, zero};
  g.Keep(b.ReduceWindow(xs, inits, *window, [&](std::span<const ValueId> a) -> Values {
    return {b.Add(a[0], a[2]), b.Max(a[1], a[3])};
  }));
}

// cumsum and its kin, as JAX lowers them on CPU: a window over all that came before.
void EmitCumulative(Generator& g) {
  const ValueId x = g.OfClass(stablehlo::kNumberOk, 1);
  const TensorType t = g.type(x);
  const size_t d = g.rng().Below(t.rank());
  if (t.shape[d] == 0 || t.shape[d] > 600) return;
  Window w;
  w.dimensions = Dims(t.rank(), 1);
  w.dimensions[d] = t.shape[d];
  w.padding = Dims(2 * t.rank(), 0);
  w.padding[2 * d + (OneIn(g.rng(), 3) ? 1 : 0)] = t.shape[d] - 1;
  const Fold fold = RandomFold(g, t.dtype);
  g.Keep(g.b().ReduceWindow(x, fold.init, w, fold.op));
}

// The same of functions applied one after the other, and in a small window.
void EmitWindowAffine(Generator& g) {
  const auto f = RandomAffine(g);
  if (!f) return;
  FuncBuilder& b = g.b();
  const TensorType t = g.type(f->xs[0]);
  auto w = RandomWindow(g, t.shape, true);
  const size_t d = g.rng().Below(t.rank());
  if (OneIn(g.rng(), 2) && t.shape[d] > 0 && t.shape[d] < 600) {
    w.emplace();
    w->dimensions = Dims(t.rank(), 1);
    w->dimensions[d] = t.shape[d];
    w->padding = Dims(2 * t.rank(), 0);
    w->padding[2 * d + (OneIn(g.rng(), 2) ? 1 : 0)] = t.shape[d] - 1;
  }
  if (!w) return;
  g.Keep(b.ReduceWindow(f->xs, f->inits, *w,
                        [&](std::span<const ValueId> a) { return ApplyBoth(b, a); }));
}

void EmitSelectAndScatter(Generator& g) {
  const auto x = g.Where([&](const TensorType& t) {
    return t.rank() > 0 && !tensor::IsComplex(t.dtype) && !tensor::IsBool(t.dtype);
  });
  if (!x) return;
  const auto window = RandomWindow(g, g.type(*x).shape, false);
  if (!window) return;
  Shape source;
  for (size_t i = 0; i < g.type(*x).rank(); ++i) {
    const int64_t span = g.type(*x).shape[i] + window->padding[2 * i] + window->padding[2 * i + 1];
    const int64_t size = window->dimensions[i];
    source.push_back(span < size ? 0 : (span - size) / window->strides[i] + 1);
  }
  const DType dtype = g.type(*x).dtype;
  const ValueId s = g.OfType({dtype, source});
  const auto select =
      PickOf(g.rng(), (const CompareDirection[]){CompareDirection::kGe, CompareDirection::kGt,
                                                 CompareDirection::kLe, CompareDirection::kLt});
  const auto scatter =
      PickOf(g.rng(), (const std::string_view[]){"stablehlo.add", "stablehlo.add",
                                                 "stablehlo.maximum", "stablehlo.minimum"});
  const ValueId init = OneIn(g.rng(), 3) ? g.OfType(TensorType::Scalar(dtype))
                                         : g.b().Splat(TensorType::Scalar(dtype), 0);
  g.Keep(g.b().SelectAndScatter(*x, s, init, *window, select, scatter));
}

// As JAX compares: total order on floats with -0 and NaN made equal to their like.
ValueId Ordered(FuncBuilder& b, ValueId x) {
  const TensorType t = b.type(x);
  const ValueId zero = b.Splat(t, 0.0);
  const ValueId plain = b.Select(b.Compare(CompareDirection::kEq, x, zero), zero, x);
  const ValueId nan = b.Compare(CompareDirection::kNe, x, x);
  return b.Select(nan, b.Splat(t, std::numeric_limits<double>::quiet_NaN()), plain);
}

void EmitSort(Generator& g) {
  const auto key =
      g.Where([](const TensorType& t) { return t.rank() > 0 && !tensor::IsComplex(t.dtype); });
  if (!key) return;
  FuncBuilder& b = g.b();
  const TensorType t = g.type(*key);
  const size_t d = g.rng().Below(t.rank());
  std::vector<ValueId> xs = {*key};
  const uint64_t style = g.rng().Below(4);
  if (style == 1 || style == 2) xs.push_back(b.Iota(t.With(DType::kI32), static_cast<int64_t>(d)));
  if (style == 2) {
    const auto other = g.Where([&](const TensorType& o) { return o.shape == t.shape; });
    if (other) xs.push_back(*other);
  }
  // Unstable sorts of one operand only: nothing then tells equal keys apart but NaN and zeros,
  // which the comparator below does not order.
  const bool total = tensor::IsFloat(t.dtype);
  const bool less = OneIn(g.rng(), 2);
  const bool canonical = total && !OneIn(g.rng(), 3);
  g.Keep(b.Sort(xs, static_cast<int64_t>(d), true, [&](std::span<const ValueId> a) -> Values {
    const auto direction = less ? CompareDirection::kLt : CompareDirection::kGt;
    const ValueId x = canonical ? Ordered(b, a[0]) : a[0];
    const ValueId y = canonical ? Ordered(b, a[1]) : a[1];
    return {total ? b.Compare(direction, x, y, CompareType::kTotalOrder)
                  : b.Compare(direction, x, y)};
  }));
}

// Two keys: the second decides where the first is equal.
void EmitSortByTwo(Generator& g) {
  const auto first =
      g.Where([](const TensorType& t) { return t.rank() > 0 && tensor::IsInteger(t.dtype); });
  if (!first) return;
  FuncBuilder& b = g.b();
  const TensorType t = g.type(*first);
  const auto d = static_cast<int64_t>(g.rng().Below(t.rank()));
  const ValueId xs[] = {*first, g.OfType(t), b.Iota(t.With(DType::kU32), d)};
  g.Keep(b.Sort(xs, d, true, [&](std::span<const ValueId> a) -> Values {
    const ValueId by_second = b.And(b.Compare(CompareDirection::kEq, a[0], a[1]),
                                    b.Compare(CompareDirection::kLt, a[2], a[3]));
    return {b.Or(b.Compare(CompareDirection::kLt, a[0], a[1]), by_second)};
  }));
}

// Integers by what is computed from them.
void EmitSortByComputed(Generator& g) {
  const auto key =
      g.Where([](const TensorType& t) { return t.rank() > 0 && tensor::IsInteger(t.dtype); });
  if (!key) return;
  FuncBuilder& b = g.b();
  const TensorType t = g.type(*key);
  const auto d = static_cast<int64_t>(g.rng().Below(t.rank()));
  const ValueId xs[] = {*key, g.OfType(t), b.Iota(t.With(DType::kU32), d)};
  const bool turned = OneIn(g.rng(), 2);
  g.Keep(b.Sort(xs, d, true, [&](std::span<const ValueId> a) -> Values {
    const ValueId x = b.Xor(a[0], a[2]), y = b.Xor(a[1], a[3]);
    return {turned ? b.Compare(CompareDirection::kLt, y, x)
                   : b.Compare(CompareDirection::kGt, y, x)};
  }));
}

// Complex numbers by their real parts, then by their imaginary parts.
void EmitSortComplex(Generator& g) {
  const auto key =
      g.Where([](const TensorType& t) { return t.rank() > 0 && tensor::IsComplex(t.dtype); });
  if (!key) return;
  FuncBuilder& b = g.b();
  const auto d = static_cast<int64_t>(g.rng().Below(g.type(*key).rank()));
  const ValueId xs[] = {*key};
  g.Keep(b.Sort(xs, d, true, [&](std::span<const ValueId> a) -> Values {
    const ValueId x = Ordered(b, b.Real(a[0])), y = Ordered(b, b.Real(a[1]));
    const ValueId u = Ordered(b, b.Imag(a[0])), v = Ordered(b, b.Imag(a[1]));
    const auto less = [&](ValueId p, ValueId q) {
      return b.Compare(CompareDirection::kLt, p, q, CompareType::kTotalOrder);
    };
    const ValueId same = b.Compare(CompareDirection::kEq, x, y, CompareType::kTotalOrder);
    return {b.Or(less(x, y), b.And(same, less(u, v)))};
  }));
}

// Equal integers cannot be told apart, so the order of an unstable sort is that of a stable one.
void EmitSortUnstable(Generator& g) {
  const auto key = g.Where([](const TensorType& t) {
    return t.rank() > 0 && (tensor::IsInteger(t.dtype) || tensor::IsBool(t.dtype));
  });
  if (!key) return;
  FuncBuilder& b = g.b();
  const auto d = static_cast<int64_t>(g.rng().Below(g.type(*key).rank()));
  const ValueId xs[] = {*key};
  g.Keep(b.Sort(xs, d, false, [&](std::span<const ValueId> a) -> Values {
    return {b.Compare(CompareDirection::kLt, a[0], a[1])};
  }));
}

void EmitTopK(Generator& g) {
  const auto x =
      g.Where([](const TensorType& t) { return t.rank() > 0 && !tensor::IsComplex(t.dtype); });
  if (!x) return;
  const int64_t k = Between(g.rng(), 0, std::min<int64_t>(g.type(*x).shape.back(), 20));
  g.Keep(g.b().Emit("chlo.top_k", {*x}, {{"k", stablehlo::Attr::Int(k)}}));
}

constexpr FamilyRow kRows[] = {
    {"reduce", 9, EmitReduce},
    {"reduce_by_choice", 1, EmitReduceByChoice},
    {"reduce_broadcast", 4, EmitReduceBroadcast},
    {"arg_reduce", 2, EmitArgReduce},
    {"variadic_reduce", 2, EmitVariadicReduce},
    {"reduce_affine", 2, EmitReduceAffine},
    {"window_affine", 2, EmitWindowAffine},
    {"reduce_window", 3, EmitReduceWindow},
    {"variadic_window", 1, EmitVariadicWindow},
    {"cumulative", 3, EmitCumulative},
    {"select_and_scatter", 2, EmitSelectAndScatter},
    {"sort", 3, EmitSort},
    {"sort_by_two", 1, EmitSortByTwo},
    {"sort_by_computed", 1, EmitSortByComputed},
    {"sort_complex", 1, EmitSortComplex},
    {"sort_unstable", 1, EmitSortUnstable},
    {"top_k", 1, EmitTopK},
};

}  // namespace

std::span<const FamilyRow> ReductionFamilies() { return kRows; }

}  // namespace megalith::property
