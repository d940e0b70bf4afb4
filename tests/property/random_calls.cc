// Random calls: functions, composites, collectives of one device, and factorizations by target.
#include <algorithm>

#include "tests/property/generator.h"

namespace megalith::property {
namespace {

using stablehlo::Attr;
using stablehlo::AttrDict;

std::vector<ValueId> SomeValues(Generator& g) {
  std::vector<ValueId> out;
  for (int64_t i = Between(g.rng(), 1, 3); i > 0; --i) out.push_back(g.Any());
  return out;
}

std::vector<TensorType> TypesOf(Generator& g, std::span<const ValueId> values) {
  std::vector<TensorType> out;
  for (const ValueId v : values) out.push_back(g.type(v));
  return out;
}

// One function, called once or twice.
void EmitCall(Generator& g) {
  const std::vector<ValueId> first = SomeValues(g);
  const std::vector<TensorType> types = TypesOf(g, first);
  std::vector<TensorType> results;
  const std::string callee = g.Function(types, &results);
  if (callee.empty()) return;
  g.Keep(g.b().Call(callee, first, results));
  if (OneIn(g.rng(), 2)) return;
  std::vector<ValueId> second;
  for (const TensorType& t : types) second.push_back(g.OfType(t));
  g.Keep(g.b().Call(callee, second, results));
}

void EmitComposite(Generator& g) {
  const std::vector<ValueId> operands = SomeValues(g);
  std::vector<TensorType> results;
  const std::string body = g.Function(TypesOf(g, operands), &results);
  if (!body.empty()) g.Keep(g.b().Composite("megalith.test", body, operands, results));
}

// What a collective does on the only device: nothing.
void EmitCollective(Generator& g) {
  const ValueId x = g.OfClass(stablehlo::kAnyOk, 1);
  const TensorType t = g.type(x);
  FuncBuilder& b = g.b();
  const Attr groups = Attr::OfTensor(*Tensor::Create(DType::kI64, {1, 1}));
  const Attr pairs = Attr::OfTensor(*Tensor::Create(DType::kI64, {1, 2}));
  const Attr zero = Attr::Int(0);
  const TensorType scalars[] = {TensorType::Scalar(t.dtype), TensorType::Scalar(t.dtype)};
  const auto sum = [&] {
    std::vector<stablehlo::Region> body;
    body.push_back(b.BuildRegion(
        scalars, [&](std::span<const ValueId> a) -> Values { return {b.Add(a[0], a[1])}; }));
    return body;
  };
  switch (g.rng().Below(6)) {
    case 0:
      return g.Keep(b.Emit("stablehlo.all_reduce", {x}, {{"replica_groups", groups}}, {}, sum()));
    case 1:
      return g.Keep(b.Emit("stablehlo.all_gather", {x},
                           {{"all_gather_dim", zero}, {"replica_groups", groups}}, {t}));
    case 2:
      return g.Keep(b.Emit("stablehlo.reduce_scatter", {x},
                           {{"replica_groups", groups}, {"scatter_dimension", zero}}, {t}, sum()));
    case 3:
      return g.Keep(b.Emit("stablehlo.all_to_all", {x},
                           {{"concat_dimension", zero},
                            {"replica_groups", groups},
                            {"split_count", Attr::Int(1)},
                            {"split_dimension", zero}}));
    case 4:
      return g.Keep(b.Emit("stablehlo.collective_broadcast", {x}, {{"replica_groups", groups}}));
    default:
      return g.Keep(b.Emit("stablehlo.collective_permute", {x}, {{"source_target_pairs", pairs}}));
  }
}

// Numbers of this device, and a token nobody needs.
void EmitDevice(Generator& g) {
  FuncBuilder& b = g.b();
  g.Keep(b.Emit("stablehlo.partition_id", {}));
  g.Keep(b.Emit("stablehlo.replica_id", {}));
  const ValueId token = b.Emit("stablehlo.create_token", {})[0];
  b.Emit("stablehlo.after_all", {token, token});
}

void EmitSharding(Generator& g) {
  const ValueId x = g.Any();
  const TensorType t = g.type(x);
  g.Keep(g.b().CustomCall("Sharding", {&x, 1}, {t}));
}

// A tame matrix whose diagonal outweighs the rest, so that the order of its columns by size, and
// its distance from singular ones, do not hang on roundings.
ValueId Dominant(Generator& g, const TensorType& t) {
  FuncBuilder& b = g.b();
  const auto rank = static_cast<int64_t>(t.rank());
  const ValueId x = g.Tamed(g.OfType(t), 1);
  const TensorType index = t.With(DType::kI32);
  const ValueId row = b.Iota(index, rank - 2);
  const ValueId on_diagonal =
      b.Compare(stablehlo::CompareDirection::kEq, row, b.Iota(index, rank - 1));
  const ValueId size = b.Convert(b.Add(row, b.Splat(index, 20)), t.dtype);
  return b.Add(x, b.Select(on_diagonal, size, b.Splat(t, 0.0)));
}

AttrDict Flags(AttrDict flags) {
  return {{"api_version", Attr::Int(4, DType::kI32)},
          {"mhlo.backend_config", Attr::Dict(std::move(flags))}};
}

// Factorizations of which the results are unique but for rounding: QR with the signs of LAPACK,
// eigenvalues of Hermitian matrices, singular values.
void EmitFactorization(Generator& g) {
  Rng& rng = g.rng();
  FuncBuilder& b = g.b();
  const DType dtype = PickOf(
      rng, (const DType[]){DType::kF32, DType::kF32, DType::kF64, DType::kC64, DType::kC128});
  const DType real = tensor::IsComplex(dtype) ? tensor::RealPart(dtype) : dtype;
  const Shape batch = OneIn(rng, 3) ? RandomShape(rng, 1, 3) : Shape{};
  const int64_t m = Between(rng, 1, 8);
  const int64_t n = OneIn(rng, 2) ? m : Between(rng, 1, 8);
  const auto with = [&](DType d, std::initializer_list<int64_t> sizes) {
    TensorType t{d, batch};
    for (const int64_t size : sizes) t.shape.push_back(size);
    return t;
  };
  const int64_t k = std::min(m, n);
  const TensorType wide = with(dtype, {m, n});
  switch (rng.Below(3)) {
    case 0: {
      const ValueId x = Dominant(g, wide);
      const Values qr = b.CustomCall("Qr", {&x, 1}, {wide, with(dtype, {k})},
                                     {{"backend_config", Attr::String("")}});
      g.Keep(qr);
      if (m < n) return;
      g.Keep(b.CustomCall("ProductOfElementaryHouseholderReflectors", qr, {wide},
                          {{"backend_config", Attr::String("")}}));
      return;
    }
    case 1: {
      const TensorType square = with(dtype, {m, m});
      const ValueId x = Dominant(g, square);
      const AttrDict flags = {{"lower", Attr::Bool(OneIn(rng, 2))}};
      g.Keep(b.CustomCall("megalith.eigh", {&x, 1}, {square, with(real, {m})}, Flags(flags))[1]);
      return;
    }
    default: {
      const ValueId x = Dominant(g, wide);
      g.Keep(b.CustomCall("megalith.svd", {&x, 1}, {with(real, {k})}, Flags({})));
      return;
    }
  }
}

constexpr FamilyRow kRows[] = {
    {"call", 2, EmitCall, true},       {"composite", 1, EmitComposite, true},
    {"collective", 1, EmitCollective}, {"device", 1, EmitDevice},
    {"sharding", 1, EmitSharding},     {"factorization", 1, EmitFactorization},
};

}  // namespace

std::span<const FamilyRow> CallFamilies() { return kRows; }

}  // namespace megalith::property
