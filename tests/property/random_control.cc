// Random loops and branches, with operations of all families inside.
#include "tests/property/generator.h"

namespace megalith::property {
namespace {

using stablehlo::CompareDirection;
using stablehlo::RegionFn;

std::vector<ValueId> Carried(Generator& g) {
  std::vector<ValueId> init;
  for (int64_t i = Between(g.rng(), 1, 3); i > 0; --i) init.push_back(g.Any());
  return init;
}

// Values of these types after a few operations.
Values NextOf(Generator& g, std::span<const ValueId> like) {
  std::vector<TensorType> types;
  for (const ValueId v : like) types.push_back(g.type(v));
  g.EmitSome(static_cast<int>(Between(g.rng(), 1, 4)));
  Values out;
  for (const TensorType& t : types) out.push_back(g.OfType(t));
  return out;
}

// As JAX writes fori_loop and scan: a counter from 0 to a constant.
void EmitCounted(Generator& g) {
  FuncBuilder& b = g.b();
  std::vector<ValueId> init = Carried(g);
  const DType counter = OneIn(g.rng(), 4) ? DType::kI64 : DType::kI32;
  const int64_t turns = Between(g.rng(), 0, g.depth() == 0 && OneIn(g.rng(), 10) ? 30 : 7);
  const bool down = OneIn(g.rng(), 6);  // and by steps that need not divide
  const int64_t step = OneIn(g.rng(), 6) ? 3 : 1;
  init.insert(init.begin(), b.Scalar(counter, down ? turns : 0));
  const Values out = b.While(
      init,
      [&](std::span<const ValueId> a) -> Values {
        return {down ? b.Compare(CompareDirection::kGt, a[0], b.Scalar(counter, 0))
                     : b.Compare(CompareDirection::kLt, a[0], b.Scalar(counter, turns))};
      },
      [&](std::span<const ValueId> args) -> Values {
        const std::vector<ValueId> a(args.begin(), args.end());
        Values next = g.Inside(a, [&] { return NextOf(g, std::span(a).subspan(1)); });
        next.insert(next.begin(), b.Add(a[0], b.Scalar(counter, down ? -step : step)));
        return next;
      });
  g.Keep(out);
}

// Rows of an array one after the other: slices in, rows of a result out.
void EmitScan(Generator& g) {
  FuncBuilder& b = g.b();
  const auto xs = g.Where(
      [](const TensorType& t) { return t.rank() > 0 && t.shape[0] > 0 && t.shape[0] <= 20; });
  if (!xs) return;
  const TensorType all = g.type(*xs);
  TensorType row = all;
  row.shape.erase(0);
  Dims sizes = all.shape;
  sizes[0] = 1;
  const ValueId state = g.OfType(row);
  const ValueId init[] = {b.Scalar(DType::kI32, 0), state, b.Splat(all, 0)};
  const Values out = b.While(
      init,
      [&](std::span<const ValueId> a) -> Values {
        return {b.Compare(CompareDirection::kLt, a[0], b.Scalar(DType::kI32, all.shape[0]))};
      },
      [&](std::span<const ValueId> args) -> Values {
        const std::vector<ValueId> a(args.begin(), args.end());
        std::vector<ValueId> at(all.rank(), b.Scalar(DType::kI32, 0));
        at[0] = a[0];
        const ValueId x = b.Reshape(b.DynamicSlice(*xs, at, sizes), row.shape);
        const ValueId inner[] = {a[1], x};
        const ValueId next = g.Inside(inner, [&] { return NextOf(g, std::span(&a[1], 1))[0]; });
        const ValueId y = b.DynamicUpdateSlice(a[2], b.Reshape(next, sizes), at);
        return {b.Add(a[0], b.Scalar(DType::kI32, 1)), next, y};
      });
  g.Keep(out);
}

// Stops when the data says so, or after a few turns.
void EmitUntil(Generator& g) {
  FuncBuilder& b = g.b();
  std::vector<ValueId> init = Carried(g);
  init.insert(init.begin(), b.Scalar(DType::kI32, 0));
  const ValueId stop = g.OfType(TensorType::Scalar(DType::kI32));
  const Values out = b.While(
      init,
      [&](std::span<const ValueId> args) -> Values {
        const std::vector<ValueId> a(args.begin(), args.end());
        const ValueId in_time = b.Compare(CompareDirection::kLt, a[0], b.Scalar(DType::kI32, 6));
        return g.Inside(a, [&]() -> Values {
          if (OneIn(g.rng(), 2)) g.EmitSome(1);
          const ValueId more = OneIn(g.rng(), 2) ? b.Compare(CompareDirection::kNe, a[0], stop)
                                                 : g.OfType(TensorType::Scalar(DType::kBool));
          return {b.And(in_time, more)};
        });
      },
      [&](std::span<const ValueId> args) -> Values {
        const std::vector<ValueId> a(args.begin(), args.end());
        Values next = g.Inside(a, [&] { return NextOf(g, std::span(a).subspan(1)); });
        next.insert(next.begin(), b.Add(a[0], b.Scalar(DType::kI32, 1)));
        return next;
      });
  g.Keep(out);
}

// A branch that captures what is in scope.
RegionFn Branch(Generator& g, const std::vector<ValueId>& like) {
  return [&g, like](std::span<const ValueId>) -> Values {
    return g.Inside({}, [&] { return NextOf(g, like); });
  };
}

void EmitCase(Generator& g) {
  const std::vector<ValueId> like = Carried(g);
  std::vector<RegionFn> branches;
  for (int64_t i = Between(g.rng(), 1, 4); i > 0; --i) branches.push_back(Branch(g, like));
  const ValueId index = g.OfType(TensorType::Scalar(DType::kI32));
  g.Keep(g.b().Case(index, branches));
}

void EmitIf(Generator& g) {
  const std::vector<ValueId> like = Carried(g);
  const ValueId p = g.OfType(TensorType::Scalar(DType::kBool));
  g.Keep(g.b().If(p, Branch(g, like), Branch(g, like)));
}

constexpr FamilyRow kRows[] = {
    {"counted_loop", 2, EmitCounted, true},
    {"scan", 2, EmitScan, true},
    {"until", 1, EmitUntil, true},
    {"case", 1, EmitCase, true},
    {"if", 2, EmitIf, true},
};

}  // namespace

std::span<const FamilyRow> ControlFamilies() { return kRows; }

}  // namespace megalith::property
