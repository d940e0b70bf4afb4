// Signs, rounding, absolute values, integer powers and the parts of complex numbers.
#include "common/foundation/base/strings.h"
#include "common/programs/ops/families.h"
#include "common/programs/ops/lower.h"
#include "common/programs/ops/rules.h"

namespace megalith::ops {
namespace {

using ir::Mul;
using ir::Neg;
using ir::ScalarLike;
using ir::Unary;

using Operands = std::span<const Value>;

// ---- abs ----

Types AbsType(const TypeArgs& a) {
  RETURN_IF_ERROR(CheckAccepts(a, 0));
  const DType d = a.operands[0].dtype;
  if (tensor::IsInteger(d) && tensor::BitWidth(d) < 8) {
    return TypeError(StrCat(
        "abs does not accept dtype ", DTypeText(d),
        ". Support for narrow-width integers is platform-dependent and limited to a few specific "
        "operations, e.g. basic arithmetic and type casting."));
  }
  return std::vector<Aval>{Aval{tensor::RealPart(d), a.operands[0].weak_type, a.operands[0].shape}};
}

// Real: the tangent with the operand's sign. Complex: the real part of t * conj(x) / |x|, with 1 in
// place of |x| = 0.
Value JvpAbs(Builder& b, Value t, Value y, Operands x, const Params&) {
  if (!tensor::IsComplex(x[0].dtype())) {
    const Value is_positive = ir::Binary(b, "ge", x[0], ir::WeakScalarLike(b, x[0], 0));
    return ir::Select(b, is_positive, t, Neg(b, t));
  }
  const Value conj = ir::Conj(b, x[0]);
  const Value size = ir::ConvertElementType(b, y, x[0].dtype());
  const Value is_zero = ir::Binary(b, "eq", size, ScalarLike(b, size, 0));
  const Value ones = ir::FullLike(b, size, 1);
  const Value direction = ir::Div(b, conj, ir::Select(b, is_zero, ones, size));
  return Unary(b, "real", Mul(b, t, direction));
}

// ---- powers ----

Value JvpSquare(Builder& b, Value t, Value, Operands x, const Params&) {
  return Mul(b, t, Mul(b, ScalarLike(b, x[0], 2), x[0]));
}

Types IntegerPowType(const TypeArgs& a) {
  RETURN_IF_ERROR(CheckAccepts(a, 0));
  const int64_t y = a.params.Int("y");
  if (y < 0 && tensor::IsInteger(a.operands[0].dtype)) {
    return TypeError(StrCat("Integers cannot be raised to negative powers, got integer_pow(",
                            a.operands[0].Text(), ", ", y, ")"));
  }
  return std::vector<Aval>{a.operands[0]};
}

Value JvpIntegerPow(Builder& b, Value t, Value, Operands x, const Params& p) {
  const int64_t y = p.Int("y");
  if (y == 0) return ir::FullLike(b, t, 0);
  if (y == INT64_MIN) {
    b.Fail(InvalidArgument("integer_pow: the exponent is out of range"));
    return t;
  }
  const Value power = ir::IntegerPow(b, x[0], y - 1);
  return Mul(b, t, Mul(b, ScalarLike(b, x[0], static_cast<double>(y)), power));
}

std::vector<Value> TransposeNeg(Builder& b, const TransposeArgs& a) {
  return {Neg(b, a.cotangents[0])};
}

// ---- rounding ----

Types RoundType(const TypeArgs& a) {
  const int64_t method = a.params.Int("rounding_method");
  if (method != 0 && method != 1) {
    return ValueError(
        StrCat("round has no rounding_method ", method, "; 0 is away from zero, 1 to even"));
  }
  return SameAsOperand(a);
}

// ---- complex, real, imag, conj ----

Status CheckComplexElement(std::string_view name, const Aval& x, std::string_view where) {
  if (tensor::ComplexOf(x.dtype) != DType::kInvalid) return OkStatus();
  return TypeError(StrCat(name, " does not accept dtype ", DTypeText(x.dtype), where,
                          ". Accepted dtypes", where, " are subtypes of float32, float64."));
}

Types ComplexType(const TypeArgs& a) {
  RETURN_IF_ERROR(CheckComplexElement("complex", a.operands[0], " at position 0"));
  RETURN_IF_ERROR(CheckComplexElement("complex", a.operands[1], " at position 1"));
  ASSIGN_OR_RETURN(std::vector<Aval> out, NaryType(a));
  out[0].dtype = tensor::ComplexOf(out[0].dtype);
  return out;
}

std::vector<Value> TransposeComplex(Builder& b, const TransposeArgs& a) {
  std::vector<Value> out(2);
  const Value& ct = a.cotangents[0];
  if (a.operands[0].linear) out[0] = Unbroadcast(b, a.operands[0].aval, Unary(b, "real", ct));
  if (a.operands[1].linear)
    out[1] = Unbroadcast(b, a.operands[1].aval, Unary(b, "imag", Neg(b, ct)));
  return out;
}

Types PartType(const TypeArgs& a) {
  RETURN_IF_ERROR(CheckAccepts(a, 0));
  return std::vector<Aval>{
      Aval{tensor::RealPart(a.operands[0].dtype), a.operands[0].weak_type, a.operands[0].shape}};
}

std::vector<Value> TransposeReal(Builder& b, const TransposeArgs& a) {
  const Value& ct = a.cotangents[0];
  return {ir::Binary(b, "complex", ct, ScalarLike(b, ct, 0))};
}

std::vector<Value> TransposeImag(Builder& b, const TransposeArgs& a) {
  const Value& ct = a.cotangents[0];
  return {ir::Binary(b, "complex", ScalarLike(b, ct, 0), Neg(b, ct))};
}

Types ConjType(const TypeArgs& a) {
  const Aval& x = a.operands[0];
  if (!tensor::IsComplex(x.dtype)) RETURN_IF_ERROR(CheckComplexElement("conj", x, ""));
  if (a.params.Type("input_dtype") != x.dtype) {
    return TypeError(StrCat("conj has input_dtype=", DTypeText(a.params.Type("input_dtype")),
                            " and an operand of ", DTypeText(x.dtype)));
  }
  return std::vector<Aval>{Aval{tensor::IsComplex(x.dtype) ? x.dtype : tensor::ComplexOf(x.dtype),
                                x.weak_type, x.shape}};
}

std::vector<Value> TransposeConj(Builder& b, const TransposeArgs& a) {
  const bool complex = tensor::IsComplex(a.params.Type("input_dtype"));
  return {complex ? ir::Conj(b, a.cotangents[0]) : Unary(b, "real", a.cotangents[0])};
}

// ---- lowering ----

Status LowerSign(LowerContext& c) {
  if (!tensor::IsUnsigned(c.in_aval(0).dtype)) return LowerElementwise(c, "stablehlo.sign");
  const TensorType type = c.out_type();
  const ValueId is_zero =
      c.b().Compare(stablehlo::CompareDirection::kEq, c.in(0), FullOf(c.b(), type, 0));
  const ValueId zero = FullOf(c.b(), type, 0);
  const ValueId one = FullOf(c.b(), type, 1);
  c.Out(c.b().Select(is_zero, zero, one));
  return OkStatus();
}

Status LowerRound(LowerContext& c) {
  const bool to_even = c.params().Int("rounding_method") == 1;
  return LowerElementwise(c,
                          to_even ? "stablehlo.round_nearest_even" : "stablehlo.round_nearest_afz");
}

Status LowerSquare(LowerContext& c) {
  if (!tensor::IsInteger(c.in_aval(0).dtype)) return LowerElementwise(c, "chlo.square");
  c.Out(c.b().Mul(c.in(0), c.in(0)));
  return OkStatus();
}

// Repeated squaring, for y > 0.
ValueId PowerOf(FuncBuilder& b, ValueId x, uint64_t y) {
  ValueId product = stablehlo::kNoValue;
  while (true) {
    if (y & 1) product = product == stablehlo::kNoValue ? x : b.Mul(product, x);
    y >>= 1;
    if (y == 0) return product;
    x = b.Mul(x, x);
  }
}

Status LowerIntegerPow(LowerContext& c) {
  const int64_t y = c.params().Int("y");
  const ValueId x = c.in(0);
  if (y == 0) {
    c.Out(FullOf(c.b(), c.out_type(), 1));
  } else if (y == 3) {
    c.Out(c.b().Mul(c.b().Mul(x, x), x));
  } else if (y > 0) {
    c.Out(PowerOf(c.b(), x, static_cast<uint64_t>(y)));
  } else {
    const ValueId power = PowerOf(c.b(), x, uint64_t{0} - static_cast<uint64_t>(y));
    c.Out(c.b().Div(FullOf(c.b(), c.out_type(), 1), power));
  }
  return OkStatus();
}

Status LowerConj(LowerContext& c) {
  const ValueId x = c.in(0);
  if (tensor::IsComplex(c.in_aval(0).dtype)) {
    const ValueId real = c.b().Real(x);
    c.Out(c.b().Complex(real, c.b().Neg(c.b().Imag(x))));
  } else {
    c.Out(c.b().Complex(x, FullOf(c.b(), c.b().type(x), 0)));
  }
  return OkStatus();
}

// ---- rows ----

using Type = ParamSpec::Type;

constexpr ParamSpec kRoundParams[] = {{"rounding_method", Type::kInt}};
constexpr ParamSpec kIntegerPowParams[] = {{"y", Type::kInt}};
constexpr ParamSpec kConjParams[] = {{"input_dtype", Type::kDType}};

constexpr Sample kSamples[] = {{"{ lambda ; a:f32[3,5]. let b:f32[3,5] = OP a in (b,) }"},
                               {"{ lambda ; a:f32[]. let b:f32[] = OP a in (b,) }"},
                               {"{ lambda ; a:f32[0]. let b:f32[0] = OP a in (b,) }"}};
constexpr Sample kIntegerPowSamples[] = {
    {"{ lambda ; a:f32[3,5]. let b:f32[3,5] = OP[y=2] a in (b,) }"},
    {"{ lambda ; a:f32[7]. let b:f32[7] = OP[y=7] a in (b,) }"},
    {"{ lambda ; a:f32[7]. let b:f32[7] = OP[y=0] a in (b,) }"},
    {"{ lambda ; a:f32[7]. let b:f32[7] = OP[y=-3] a in (b,) }", ir::Domain::kNonZero},
};
constexpr Sample kRoundSamples[] = {
    {"{ lambda ; a:f32[3,5]. let b:f32[3,5] = OP[rounding_method=0] a in (b,) }"},
    {"{ lambda ; a:f32[3,5]. let b:f32[3,5] = OP[rounding_method=1] a in (b,) }"}};
constexpr Sample kPredicateSamples[] = {
    {"{ lambda ; a:f32[3,5]. let b:bool[3,5] = OP a in (b,) }"}};
constexpr Sample kComplexSamples[] = {
    {"{ lambda ; a:f32[3,5] b:f32[3,5]. let c:c64[3,5] = OP a b in (c,) }"},
    {"{ lambda ; a:f32[] b:f32[7]. let c:c64[7] = OP a b in (c,) }"},
};
constexpr Sample kPartSamples[] = {{"{ lambda ; a:c64[3,5]. let b:f32[3,5] = OP a in (b,) }"}};
constexpr Sample kConjSamples[] = {
    {"{ lambda ; a:c64[3,5]. let b:c64[3,5] = OP[input_dtype=complex64] a in (b,) }"},
    {"{ lambda ; a:f32[3,5]. let b:c64[3,5] = OP[input_dtype=float32] a in (b,) }"},
};
constexpr Sample kAbsSamples[] = {
    {"{ lambda ; a:f32[3,5]. let b:f32[3,5] = OP a in (b,) }", ir::Domain::kNonZero},
    {"{ lambda ; a:c64[3,5]. let b:f32[3,5] = OP a in (b,) }", ir::Domain::kNonZero}};

constexpr OpDef kOps[] = {
    {.name = "neg",
     .arity = 1,
     .accepts = ir::kAcceptsNumber,
     .type_rule = SameAsOperand,
     .jvp = ir::JvpLinear(),
     .transpose = TransposeNeg,
     .batch = ir::BatchElementwise(),
     .lower = LowerTo<"stablehlo.negate">,
     .spec = "primitives.md#neg",
     .samples = kSamples},
    {.name = "sign",
     .arity = 1,
     .accepts = ir::kAcceptsNumber,
     .type_rule = SameAsOperand,
     .jvp = ir::JvpZero(),
     .batch = ir::BatchElementwise(),
     .lower = LowerSign,
     .spec = "primitives.md#sign",
     .samples = kSamples},
    {.name = "floor",
     .arity = 1,
     .accepts = ir::kAcceptsFloat,
     .tier = 2,
     .type_rule = SameAsOperand,
     .jvp = ir::JvpZero(),
     .batch = ir::BatchElementwise(),
     .lower = LowerTo<"stablehlo.floor">,
     .spec = "primitives.md#floor",
     .samples = kSamples},
    {.name = "ceil",
     .arity = 1,
     .accepts = ir::kAcceptsFloat,
     .tier = 2,
     .type_rule = SameAsOperand,
     .jvp = ir::JvpZero(),
     .batch = ir::BatchElementwise(),
     .lower = LowerTo<"stablehlo.ceil">,
     .spec = "primitives.md#ceil",
     .samples = kSamples},
    {.name = "round",
     .arity = 1,
     .params = kRoundParams,
     .accepts = ir::kAcceptsFloat,
     .tier = 2,
     .type_rule = RoundType,
     .jvp = ir::JvpZero(),
     .batch = ir::BatchElementwise(),
     .lower = LowerRound,
     .spec = "primitives.md#round",
     .samples = kRoundSamples},
    {.name = "is_finite",
     .arity = 1,
     .accepts = ir::kAcceptsFloat,
     .tier = 2,
     .type_rule = PredicateType,
     .jvp = ir::JvpZero(),
     .batch = ir::BatchElementwise(),
     .lower = LowerTo<"stablehlo.is_finite">,
     .spec = "primitives.md#is_finite",
     .samples = kPredicateSamples},
    {.name = "abs",
     .arity = 1,
     .accepts = ir::kAcceptsSigned | ir::kAcceptsFloat | ir::kAcceptsComplex,
     .type_rule = AbsType,
     .jvp = ir::JvpTerms<JvpAbs>(),
     .batch = ir::BatchElementwise(),
     .lower = LowerTo<"stablehlo.abs">,
     .spec = "primitives.md#abs",
     .samples = kAbsSamples},
    {.name = "square",
     .arity = 1,
     .accepts = ir::kAcceptsNumber,
     .type_rule = SameAsOperand,
     .jvp = ir::JvpTerms<JvpSquare>(),
     .batch = ir::BatchElementwise(),
     .lower = LowerSquare,
     .spec = "primitives.md#square",
     .samples = kSamples},
    {.name = "integer_pow",
     .arity = 1,
     .params = kIntegerPowParams,
     .accepts = ir::kAcceptsNumber,
     .type_rule = IntegerPowType,
     .jvp = ir::JvpTerms<JvpIntegerPow>(),
     .batch = ir::BatchElementwise(),
     .lower = LowerIntegerPow,
     .spec = "primitives.md#integer_pow",
     .samples = kIntegerPowSamples},
    {.name = "complex",
     .arity = 2,
     .accepts = ir::kAcceptsFloat,
     .tier = 2,
     .type_rule = ComplexType,
     .jvp = ir::JvpLinear(),
     .transpose = TransposeComplex,
     .batch = ir::BatchBroadcasting(),
     .lower = LowerTo<"stablehlo.complex">,
     .spec = "primitives.md#complex",
     .samples = kComplexSamples},
    {.name = "real",
     .arity = 1,
     .accepts = ir::kAcceptsComplex,
     .tier = 2,
     .type_rule = PartType,
     .jvp = ir::JvpLinear(),
     .transpose = TransposeReal,
     .batch = ir::BatchElementwise(),
     .lower = LowerTo<"stablehlo.real">,
     .spec = "primitives.md#real",
     .samples = kPartSamples},
    {.name = "imag",
     .arity = 1,
     .accepts = ir::kAcceptsComplex,
     .tier = 2,
     .type_rule = PartType,
     .jvp = ir::JvpLinear(),
     .transpose = TransposeImag,
     .batch = ir::BatchElementwise(),
     .lower = LowerTo<"stablehlo.imag">,
     .spec = "primitives.md#imag",
     .samples = kPartSamples},
    {.name = "conj",
     .arity = 1,
     .params = kConjParams,
     .accepts = ir::kAcceptsInexact,
     .tier = 2,
     .type_rule = ConjType,
     .jvp = ir::JvpLinear(),
     .transpose = TransposeConj,
     .batch = ir::BatchElementwise(),
     .lower = LowerConj,
     .spec = "primitives.md#conj",
     .samples = kConjSamples},
};

}  // namespace

std::span<const OpDef> UnaryOps() { return kOps; }

}  // namespace megalith::ops
