// Changes of element type, and the identities: copy, name, stop_gradient, optimization_barrier.
#include <cmath>

#include "common/foundation/base/strings.h"
#include "common/programs/ops/families.h"
#include "common/programs/ops/lower.h"
#include "common/programs/ops/rules.h"

namespace megalith::ops {
namespace {

using Operands = std::span<const Value>;

// ---- convert_element_type ----

Types ConvertType(const TypeArgs& a) {
  const Aval& x = a.operands[0];
  const DType to = a.params.Type("new_dtype");
  if (to != x.dtype && (tensor::IsKey(to) || tensor::IsKey(x.dtype))) {
    return ValueError(
        StrCat("Cannot convert_element_type from ", DTypeText(x.dtype), " to ", DTypeText(to)));
  }
  return std::vector<Aval>{Aval{to, a.params.Bool("weak_type"), x.shape}};
}

Value JvpConvert(Builder& b, Value t, Value, Operands, const Params& p) {
  const DType to = tensor::TangentDType(p.Type("new_dtype"));
  if (tensor::IsFloat0(to)) return Value();
  return b.Emit1("convert_element_type", {t},
                 {{"new_dtype", ParamValue::Type(to)},
                  {"weak_type", p["weak_type"]},
                  {"sharding", p["sharding"]},
                  {"placed", p["placed"]}});
}

std::vector<Value> TransposeConvert(Builder& b, const TransposeArgs& a) {
  const Aval& x = a.operands[0].aval;
  if (!tensor::IsInexact(x.dtype)) return {Value()};
  return {ir::ConvertElementType(b, a.cotangents[0], x.dtype, x.weak_type)};
}

int ForwardConvert(const TypeArgs& a) {
  const Aval& x = a.operands[0];
  const bool same = x.dtype == a.params.Type("new_dtype") &&
                    x.weak_type == a.params.Bool("weak_type") && !tensor::IsKey(x.dtype) &&
                    a.params["sharding"].is_none() && !a.params.Bool("placed");
  return same ? 0 : -1;
}

// A float as an integer, cut towards zero. What does not fit gives what the x86 conversion
// instructions give, because literals are folded by NumPy.
int64_t TruncateTo(DType to, double v) {
  constexpr int64_t kIndefinite64 = INT64_MIN;
  constexpr double kTwo63 = 9223372036854775808.0;
  if (to == DType::kU64 && v >= kTwo63 && v < 2 * kTwo63) {
    return static_cast<int64_t>(static_cast<uint64_t>(v));
  }
  const bool wide = to == DType::kI64 || to == DType::kU64 || to == DType::kU32;
  if (wide) return v >= -kTwo63 && v < kTwo63 ? static_cast<int64_t>(v) : kIndefinite64;
  const double cut = std::trunc(v);
  return cut >= INT32_MIN && cut <= INT32_MAX ? static_cast<int64_t>(cut) : INT32_MIN;
}

Literal FoldConvert(std::span<const Literal> operands, const Params& p) {
  const Literal& from = operands[0];
  const DType to = p.Type("new_dtype");
  const bool weak = p.Bool("weak_type");
  if (tensor::IsFloat0(from.dtype()) || tensor::IsFloat0(to) || tensor::IsKey(to)) return Literal();
  if (!p["sharding"].is_none() || p.Bool("placed")) return Literal();
  if (tensor::IsComplex(to)) return Literal::Complex(to, from.AsComplex(), weak);
  const bool integral = tensor::IsInteger(from.dtype()) || tensor::IsBool(from.dtype());
  if (tensor::IsBool(to)) {
    const bool set = integral ? from.AsInt() != 0 : from.AsDouble() != 0;
    return Literal::Int(to, set ? 1 : 0, weak);
  }
  if (tensor::IsInteger(to))
    return Literal::Int(to, integral ? from.AsInt() : TruncateTo(to, from.AsDouble()), weak);
  if (from.dtype() == DType::kU64)
    return Literal::Float(to, static_cast<double>(uint64_t(from.AsInt())), weak);
  return Literal::Float(to, integral ? static_cast<double>(from.AsInt()) : from.AsDouble(), weak);
}

// ---- bitcast_convert_type ----

Types BitcastType(const TypeArgs& a) {
  const Aval& x = a.operands[0];
  const DType to = a.params.Type("new_dtype");
  const auto plain = [](DType d) { return tensor::IsInteger(d) || tensor::IsFloat(d); };
  if (x.dtype != to && !(plain(x.dtype) && plain(to))) {
    return TypeError(StrCat(
        "lax.bitcast_convert_type does not support bool or complex values unless the operand and "
        "destination types match. Got operand dtype=",
        DTypeText(x.dtype), ", new_dtype=", DTypeText(to), "."));
  }
  Shape shape = x.shape;
  const int from_bits = tensor::BitWidth(x.dtype);
  const int to_bits = tensor::BitWidth(to);
  if (from_bits > to_bits) {
    shape.push_back(from_bits / to_bits);
  } else if (from_bits < to_bits) {
    const int64_t last = shape.empty() ? 1 : shape.back();
    if (last != to_bits / from_bits || to_bits % from_bits != 0) {
      return ValueError(StrCat("Attempting to convert array of shape ", tensor::TupleText(x.shape),
                               " from ", DTypeText(x.dtype), " of size ", from_bits, " bits to ",
                               DTypeText(to), " of size ", to_bits, ", bits but ", last, " * ",
                               from_bits, " != ", to_bits));
    }
    shape.erase(shape.size() - 1);
  }
  return std::vector<Aval>{Aval{to, false, std::move(shape)}};
}

// The dimension that a wider result swallows must stay the last one.
BatchResult BatchBitcast(Builder& b, const BatchArgs& a) {
  Value x = a.values[0];
  int dim = a.dims[0];
  const bool widens = tensor::BitWidth(a.params.Type("new_dtype")) > tensor::BitWidth(x.dtype());
  if (widens && dim == static_cast<int>(x.rank()) - 1) {
    x = ir::MoveAxis(b, x, dim, 0);
    dim = 0;
  }
  return {b.Emit(a.op, a.params, std::vector<Value>{x}), {dim}};
}

// ---- reduce_precision ----

Types ReducePrecisionType(const TypeArgs& a) {
  const int64_t exponent = a.params.Int("exponent_bits");
  const int64_t mantissa = a.params.Int("mantissa_bits");
  if (exponent < 1) {
    return ValueError(StrCat("reduce_precision: exponent_bits must be positive; got ", exponent));
  }
  if (mantissa < 0) {
    return ValueError(
        StrCat("reduce_precision: mantissa_bits must be non-negative; got ", mantissa));
  }
  if (exponent > INT32_MAX || mantissa > INT32_MAX) {
    return ValueError("reduce_precision: exponent_bits and mantissa_bits must fit into 32 bits");
  }
  return SameAsOperand(a);
}

// ---- identities ----

Types IdentityType(const TypeArgs& a) {
  return std::vector<Aval>(a.operands.begin(), a.operands.end());
}

// Only the primal keeps the name.
JvpResult JvpName(Builder& b, const JvpArgs& a) {
  return {.primals = b.Emit(a.op, a.params, a.primals), .tangents = {a.tangents[0]}};
}

// Keys have no gradient to stop: lax leaves the equation out.
BatchResult BatchStopGradient(Builder& b, const BatchArgs& a) {
  if (tensor::IsKey(a.values[0].dtype())) return {{a.values[0]}, {a.dims[0]}};
  return {b.Emit(a.op, a.params, a.values), {a.dims[0]}};
}

JvpResult JvpBarrier(Builder& b, const JvpArgs& a) {
  std::vector<Value> tangents;
  for (size_t i = 0; i < a.tangents.size(); ++i) {
    tangents.push_back(ir::InstantiateZeros(b, a.tangents[i], a.primals[i].aval()));
  }
  JvpResult out{.primals = b.Emit(a.op, a.params, a.primals), .tangents = {}};
  out.tangents = b.Emit(a.op, a.params, tangents);
  return out;
}

std::vector<Value> TransposeBarrier(Builder& b, const TransposeArgs& a) {
  std::vector<Value> cts;
  for (size_t i = 0; i < a.cotangents.size(); ++i) {
    cts.push_back(ir::InstantiateZeros(b, a.cotangents[i], a.results[i]));
  }
  return b.Emit(a.op, a.params, cts);
}

BatchResult BatchBarrier(Builder& b, const BatchArgs& a) {
  return {b.Emit(a.op, a.params, a.values), std::vector<int>(a.dims.begin(), a.dims.end())};
}

// ---- lowering ----

Status LowerConvert(LowerContext& c) {
  const DType from = c.in_aval(0).dtype;
  const DType to = c.out_aval().dtype;
  ValueId x = c.in(0);
  if (tensor::IsKey(to)) return LowerIdentity(c);
  if (tensor::IsComplex(from) && !tensor::IsComplex(to)) x = c.b().Real(x);
  if (tensor::IsBool(to)) {
    const ValueId zero = FullOf(c.b(), c.b().type(x), 0);
    x = c.b().Compare(stablehlo::CompareDirection::kNe, x, zero);
  }
  c.Out(c.b().Convert(x, to));
  return OkStatus();
}

Status LowerBitcast(LowerContext& c) {
  c.Out(c.b().BitcastConvert(c.in(0), c.out_type()));
  return OkStatus();
}

Status LowerReducePrecision(LowerContext& c) {
  c.Out(c.b().ReducePrecision(c.in(0), static_cast<int>(c.params().Int("exponent_bits")),
                              static_cast<int>(c.params().Int("mantissa_bits"))));
  return OkStatus();
}

Status LowerBarrier(LowerContext& c) {
  c.Out(c.b().OptimizationBarrier(c.ins()));
  return OkStatus();
}

// ---- rows ----

using Type = ParamSpec::Type;
using Show = ParamSpec::Show;

// `placed` marks a conversion asked for with a place for its result, which lax keeps even when it
// changes nothing.
constexpr ParamSpec kConvertParams[] = {{"new_dtype", Type::kDType},
                                        {"sharding", Type::kAny, Show::kUnlessDefault, "None"},
                                        {"weak_type", Type::kBool, Show::kAlways, "False"},
                                        {"placed", Type::kBool, Show::kNever, "False"}};
constexpr ParamSpec kBitcastParams[] = {{"new_dtype", Type::kDType}};
constexpr ParamSpec kPrecisionParams[] = {{"exponent_bits", Type::kInt},
                                          {"mantissa_bits", Type::kInt}};
constexpr ParamSpec kNameParams[] = {{"name", Type::kText}};

constexpr Sample kSamples[] = {{"{ lambda ; a:f32[3,5]. let b:f32[3,5] = OP a in (b,) }"},
                               {"{ lambda ; a:f32[]. let b:f32[] = OP a in (b,) }"},
                               {"{ lambda ; a:f32[0]. let b:f32[0] = OP a in (b,) }"}};
constexpr Sample kConvertSamples[] = {
    {"{ lambda ; a:f32[3,5]. let b:f64[3,5] = OP[new_dtype=float64 weak_type=False] a in (b,) }"},
    {"{ lambda ; a:f64[3,5]. let b:f32[3,5] = OP[new_dtype=float32 weak_type=False] a in (b,) }"},
    {"{ lambda ; a:f32[7]. let b:i32[7] = OP[new_dtype=int32 weak_type=False] a in (b,) }"},
    {"{ lambda ; a:f32[7]. let b:c64[7] = OP[new_dtype=complex64 weak_type=False] a in (b,) }"},
    {"{ lambda ; a:c64[7]. let b:f32[7] = OP[new_dtype=float32 weak_type=False] a in (b,) }"},
    {"{ lambda ; a:f32[7]. let b:bool[7] = OP[new_dtype=bool weak_type=False] a in (b,) }"},
    {"{ lambda ; a:bool[7]. let b:f32[7] = OP[new_dtype=float32 weak_type=False] a in (b,) }"},
};
constexpr Sample kBitcastSamples[] = {
    {"{ lambda ; a:f32[3,5]. let b:u32[3,5] = OP[new_dtype=uint32] a in (b,) }"},
    {"{ lambda ; a:u32[3]. let b:u8[3,4] = OP[new_dtype=uint8] a in (b,) }"},
    {"{ lambda ; a:u8[3,4]. let b:f32[3] = OP[new_dtype=float32] a in (b,) }"},
};
// The first keeps everything of a double; the second rounds values and tangents alike.
constexpr Sample kPrecisionSamples[] = {
    {"{ lambda ; a:f32[3,5]. let b:f32[3,5] = OP[exponent_bits=11 mantissa_bits=52] a in (b,) }"},
    {"{ lambda ; a:f32[3,5]. let b:f32[3,5] = OP[exponent_bits=5 mantissa_bits=10] a in (b,) }",
     ir::Domain::kReal, false}};
constexpr Sample kStopSamples[] = {
    {"{ lambda ; a:f32[3,5]. let b:f32[3,5] = OP a in (b,) }", ir::Domain::kReal, false},
    {"{ lambda ; a:f32[0]. let b:f32[0] = OP a in (b,) }", ir::Domain::kReal, false}};
constexpr Sample kNameSamples[] = {
    {"{ lambda ; a:f32[3,5]. let b:f32[3,5] = OP[name=kept] a in (b,) }"}};
constexpr Sample kBarrierSamples[] = {
    {"{ lambda ; a:f32[3,5] b:f32[]. let c:f32[3,5] d:f32[] = OP a b in (c, d) }"}};

constexpr OpDef kOps[] = {
    {.name = "convert_element_type",
     .arity = 1,
     .params = kConvertParams,
     .type_rule = ConvertType,
     .jvp = ir::JvpTerms<JvpConvert>(),
     .transpose = TransposeConvert,
     .batch = ir::BatchElementwise(),
     .forward = ForwardConvert,
     .fold = FoldConvert,
     .lower = LowerConvert,
     .spec = "primitives.md#convert_element_type",
     .samples = kConvertSamples},
    {.name = "bitcast_convert_type",
     .arity = 1,
     .params = kBitcastParams,
     .type_rule = BitcastType,
     .jvp = ir::JvpZero(),
     .batch = ir::BatchFull(BatchBitcast),
     .lower = LowerBitcast,
     .spec = "primitives.md#bitcast_convert_type",
     .samples = kBitcastSamples},
    {.name = "reduce_precision",
     .arity = 1,
     .params = kPrecisionParams,
     .accepts = ir::kAcceptsFloat,
     .tier = 2,
     .type_rule = ReducePrecisionType,
     .jvp = ir::JvpLinear(),
     .transpose = TransposeSame,
     .batch = ir::BatchElementwise(),
     .lower = LowerReducePrecision,
     .spec = "primitives.md#reduce_precision",
     .samples = kPrecisionSamples},
    {.name = "copy",
     .arity = 1,
     .type_rule = IdentityType,
     .jvp = ir::JvpLinear(),
     .transpose = TransposeSame,
     .batch = ir::BatchElementwise(),
     .lower = LowerIdentity,
     .spec = "primitives.md#copy",
     .samples = kSamples},
    {.name = "name",
     .arity = 1,
     .params = kNameParams,
     .tier = 2,
     .type_rule = IdentityType,
     .jvp = ir::JvpFull(JvpName),
     .batch = ir::BatchElementwise(),
     .lower = LowerIdentity,
     .spec = "primitives.md#name",
     .samples = kNameSamples},
    {.name = "stop_gradient",
     .arity = 1,
     .type_rule = IdentityType,
     .jvp = ir::JvpZero(),
     .batch = ir::BatchFull(BatchStopGradient),
     .lower = LowerIdentity,
     .spec = "primitives.md#stop_gradient",
     .samples = kStopSamples},
    {.name = "optimization_barrier",
     .results = -1,
     .type_rule = IdentityType,
     .jvp = ir::JvpFull(JvpBarrier),
     .transpose = TransposeBarrier,
     .batch = ir::BatchFull(BatchBarrier),
     .lower = LowerBarrier,
     .spec = "primitives.md#optimization_barrier",
     .samples = kBarrierSamples},
};

}  // namespace

std::span<const OpDef> ConvertOps() { return kOps; }

}  // namespace megalith::ops
