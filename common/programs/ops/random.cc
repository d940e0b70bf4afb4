// Random numbers: keys and what is drawn from them.
#include <algorithm>
#include <functional>

#include "common/foundation/base/strings.h"
#include "common/programs/batching/batching.h"
#include "common/programs/ops/families.h"
#include "common/programs/ops/lower.h"
#include "common/programs/ops/random_lowering.h"
#include "common/programs/ops/rules.h"

namespace megalith::ops {
namespace {

// ---- key types ----

// The key dtype of an `impl` parameter.
Result<DType> KeyOfImpl(std::string_view impl) {
  if (impl == "fry") return DType::kKeyFry;
  if (impl == "rbg") return DType::kKeyRbg;
  if (impl == "urbg") return DType::kKeyUrbg;
  return ValueError(
      StrCat("unknown PRNG implementation '", Printable(impl), "'; known are fry, rbg and urbg"));
}

int64_t KeyWords(DType key) { return tensor::ByteWidth(key) / 4; }

Status CheckKey(const TypeArgs& a) {
  if (tensor::IsKey(a.operands[0].dtype)) return OkStatus();
  return TypeError(StrCat(
      a.op.name, " takes key array operand, got keys.dtype=", DTypeText(a.operands[0].dtype)));
}

Shape Appended(Shape shape, const Dims& more) {
  for (const int64_t d : more) shape.push_back(d);
  return shape;
}

Status CheckSizes(const TypeArgs& a, const Dims& shape) {
  for (const int64_t d : shape) {
    if (d >= 0) continue;
    return ValueError(
        StrCat(a.op.name, " needs a shape of non-negative sizes, got ", tensor::TupleText(shape)));
  }
  return OkStatus();
}

Types SeedType(const TypeArgs& a) {
  ASSIGN_OR_RETURN(const DType key, KeyOfImpl(a.params.Text("impl")));
  const Aval& seed = a.operands[0];
  if (!tensor::IsInteger(seed.dtype)) {
    return TypeError(StrCat("PRNG key seed must be an integer; got ", seed.Text()));
  }
  return std::vector<Aval>{Aval{key, false, seed.shape}};
}

Types SplitType(const TypeArgs& a) {
  RETURN_IF_ERROR(CheckKey(a));
  const Dims shape = a.params.Ints("shape");
  RETURN_IF_ERROR(CheckSizes(a, shape));
  return std::vector<Aval>{Aval{a.operands[0].dtype, false, Appended(a.operands[0].shape, shape)}};
}

Types FoldInType(const TypeArgs& a) {
  RETURN_IF_ERROR(CheckKey(a));
  const DType data = a.operands[1].dtype;
  if (!tensor::IsInteger(data) && !tensor::IsBool(data)) {
    return TypeError(
        StrCat("random_fold_in takes integers to fold into keys, got ", DTypeText(data)));
  }
  ASSIGN_OR_RETURN(Shape shape, BroadcastShapes("random_fold_in", a.operands));
  return std::vector<Aval>{Aval{a.operands[0].dtype, false, std::move(shape)}};
}

Types BitsType(const TypeArgs& a) {
  RETURN_IF_ERROR(CheckKey(a));
  const Dims shape = a.params.Ints("shape");
  RETURN_IF_ERROR(CheckSizes(a, shape));
  DType bits = DType::kInvalid;
  switch (a.params.Int("bit_width")) {
    case 8:
      bits = DType::kU8;
      break;
    case 16:
      bits = DType::kU16;
      break;
    case 32:
      bits = DType::kU32;
      break;
    case 64:
      bits = DType::kU64;
      break;
    default:
      return TypeError("requires 8-, 16-, 32- or 64-bit field width.");
  }
  return std::vector<Aval>{Aval{bits, false, Appended(a.operands[0].shape, shape)}};
}

Types WrapType(const TypeArgs& a) {
  ASSIGN_OR_RETURN(const DType key, KeyOfImpl(a.params.Text("impl")));
  const Aval& words = a.operands[0];
  if (words.dtype != DType::kU32) {
    return TypeError(StrCat(
        "JAX encountered invalid PRNG key data: expected key_data.dtype = uint32; got dtype=",
        DTypeText(words.dtype)));
  }
  if (words.rank() < 1) {
    return TypeError(
        StrCat("JAX encountered invalid PRNG key data: expected key_data.ndim >= 1; got ndim=0"));
  }
  if (words.shape.back() != KeyWords(key)) {
    return TypeError(
        StrCat("JAX encountered invalid PRNG key data: expected key_data.shape to end with (",
               KeyWords(key), ",); got shape=", tensor::TupleText(words.shape),
               " for impl=", a.params.Text("impl")));
  }
  Shape shape = words.shape;
  shape.erase(shape.size() - 1);
  return std::vector<Aval>{Aval{key, false, std::move(shape)}};
}

Types UnwrapType(const TypeArgs& a) {
  RETURN_IF_ERROR(CheckKey(a));
  const Aval& keys = a.operands[0];
  return std::vector<Aval>{
      Aval{DType::kU32, false, Appended(keys.shape, Dims{KeyWords(keys.dtype)})}};
}

Types CloneType(const TypeArgs& a) {
  RETURN_IF_ERROR(CheckKey(a));
  return std::vector<Aval>{a.operands[0]};
}

// ---- generators below keys ----

Types ThreefryType(const TypeArgs& a) {
  for (const Aval& x : a.operands) {
    if (x.dtype == DType::kU32) continue;
    return TypeError(StrCat("Arguments to threefry2x32 must have uint32 type, got ", x.Text()));
  }
  ASSIGN_OR_RETURN(const Shape shape, BroadcastShapes("threefry2x32", a.operands));
  return std::vector<Aval>(2, Aval{DType::kU32, false, shape});
}

Types CountersType(const TypeArgs& a) {
  const Dims shape = a.params.Ints("shape");
  RETURN_IF_ERROR(CheckSizes(a, shape));
  return std::vector<Aval>(2, Aval{DType::kU32, false, shape});
}

Types BitGeneratorType(const TypeArgs& a) {
  RETURN_IF_ERROR(CheckUnsharded(a, "out_sharding"));
  const Aval& key = a.operands[0];
  const bool words = key.dtype == DType::kU32 && key.shape == Shape{4};
  const bool long_words = key.dtype == DType::kU64 && key.shape == Shape{2};
  if (!words && !long_words) {
    return TypeError(
        StrCat("rng_bit_generator takes a key of type u32[4] or u64[2], got ", key.Text()));
  }
  const DType dtype = a.params.Type("dtype");
  if (!tensor::IsUnsigned(dtype) || tensor::BitWidth(dtype) < 8) {
    return TypeError(StrCat("rng_bit_generator: unsupported dtype ", DTypeText(dtype)));
  }
  const std::string_view algorithm = a.params.Text("algorithm");
  if (algorithm != "RNG_DEFAULT" && algorithm != "RNG_THREE_FRY" && algorithm != "RNG_PHILOX") {
    return ValueError(StrCat("rng_bit_generator has no algorithm ", Printable(algorithm)));
  }
  const Dims shape = a.params.Ints("shape");
  RETURN_IF_ERROR(CheckSizes(a, shape));
  return std::vector<Aval>{key, Aval{dtype, false, shape}};
}

Types UniformType(const TypeArgs& a) {
  const Aval& low = a.operands[0];
  const Aval& high = a.operands[1];
  if (low.dtype != high.dtype) {
    return ValueError(StrCat("Arguments to rng_uniform must have identical dtypes, got ",
                             DTypeText(low.dtype), " and ", DTypeText(high.dtype), "."));
  }
  if (low.rank() > 0 || high.rank() > 0) {
    return ValueError(StrCat("Arguments to rng_uniform must be scalars; got shapes ",
                             tensor::TupleText(low.shape), " and ", tensor::TupleText(high.shape),
                             "."));
  }
  const Dims shape = a.params.Ints("shape");
  RETURN_IF_ERROR(CheckSizes(a, shape));
  return std::vector<Aval>{Aval{low.dtype, AllWeak(a.operands), shape}};
}

// ---- batching ----

BatchResult BatchWrap(Builder& b, const BatchArgs& a) {
  const Value words = ir::MoveAxis(b, a.values[0], a.dims[0], 0);
  return {b.Emit(a.op, a.params, std::vector<Value>{words}), {0}};
}

// All bits come from the first key of the batch; the other keys stay as they are.
BatchResult BatchBitGenerator(Builder& b, const BatchArgs& a) {
  const Value keys = ir::MoveAxis(b, a.values[0], a.dims[0], 0);
  Dims limits = keys.shape();
  limits[0] = 1;
  const Value first = ir::Slice(b, keys, Dims(keys.rank(), 0), limits);
  const Value key = ir::Squeeze(b, first, Dims{0});
  Params params = a.params;
  Dims shape{a.axis.size};
  for (const int64_t d : a.params.Ints("shape")) shape.push_back(d);
  params.Set("shape", ParamValue::Ints(shape));
  const std::vector<Value> results = b.Emit(a.op, std::move(params), std::vector<Value>{key});
  if (!b.ok()) return {};
  const Value row = ir::ExpandDims(b, results[0], Dims{0});
  std::vector<Value> operands{keys, row};
  for (size_t i = 0; i < keys.rank(); ++i) operands.push_back(ir::ScalarOf(b, DType::kI32, 0));
  const Value new_keys = b.Emit1("dynamic_update_slice", operands);
  return {{new_keys, results[1]}, {0, 0}};
}

// ---- lowering: functions of one key, mapped over arrays of keys ----

using Operands = std::span<const Value>;
// A function of one key's words and perhaps a scalar.
using KeyFn = std::function<Value(Builder&, Operands)>;

// `fn` applied along the leading dimensions of its operands, of which operand i has the shape
// shapes[i] and then those of one application. Dimensions of size 1 beside larger ones, and
// operands of rank 0, are used again and again.
Value MapOver(Builder& b, const KeyFn& fn, std::vector<Value> operands, std::vector<Shape> shapes) {
  size_t rank = 0;
  int64_t size = 1;
  for (const Shape& s : shapes) {
    rank = std::max(rank, s.size());
    if (!s.empty() && s[0] != 1) size = s[0];
  }
  if (rank == 0) return fn(b, operands);
  std::vector<int> dims;
  for (size_t i = 0; i < operands.size(); ++i) {
    const bool mapped = !shapes[i].empty() && shapes[i][0] == size;
    dims.push_back(mapped ? 0 : kUnmapped);
    if (!mapped && !shapes[i].empty()) operands[i] = ir::Squeeze(b, operands[i], Dims{0});
    if (!shapes[i].empty()) shapes[i].erase(0);
  }
  Builder inner(b.session());
  std::vector<Value> inputs;
  for (size_t i = 0; i < operands.size(); ++i) {
    Aval aval = operands[i].aval();
    if (dims[i] == 0) aval.shape.erase(0);
    inputs.push_back(inner.Input(aval));
  }
  const Value out = MapOver(inner, fn, inputs, shapes);
  const Result<ir::JaxprPtr> jaxpr = inner.Finish({&out, 1});
  if (!jaxpr.ok()) {
    b.Fail(jaxpr.status());
    return operands[0];
  }
  const ir::AxisData axis{.name = {}, .size = size};
  const BatchResult mapped = batching::EvalBatched(b, **jaxpr, {}, operands, dims, axis);
  if (!b.ok()) return operands[0];
  return batching::MatchAxis(b, mapped.values[0], mapped.dims[0], 0, size);
}

Status LowerMapped(LowerContext& c, const KeyFn& fn) {
  std::vector<Aval> avals;
  std::vector<Shape> shapes;
  for (const Aval& a : c.in_avals()) {
    const TensorType type = lowering::PhysicalType(a);
    avals.push_back(Aval{type.dtype, false, type.shape});
    shapes.push_back(a.shape);
  }
  c.Out(c.Traced(c.ins(), avals, [&](Builder& b, Operands v) {
    return std::vector<Value>{MapOver(b, fn, std::vector<Value>(v.begin(), v.end()), shapes)};
  }));
  return OkStatus();
}

Status LowerSeed(LowerContext& c) {
  const DType key = c.out_aval().dtype;
  return LowerMapped(c, [&](Builder& b, Operands v) { return SeedKey(b, key, v[0], c.x64()); });
}

Status LowerSplit(LowerContext& c) {
  const DType key = c.out_aval().dtype;
  return LowerMapped(
      c, [&](Builder& b, Operands v) { return SplitKey(b, key, v[0], c.params().Ints("shape")); });
}

Status LowerFoldIn(LowerContext& c) {
  const DType key = c.out_aval().dtype;
  return LowerMapped(c, [&](Builder& b, Operands v) { return FoldIntoKey(b, key, v[0], v[1]); });
}

Status LowerBits(LowerContext& c) {
  const DType key = c.in_aval(0).dtype;
  const DType bits = c.out_aval().dtype;
  return LowerMapped(c, [&](Builder& b, Operands v) {
    return DrawBits(b, key, v[0], c.params().Ints("shape"), bits);
  });
}

// ---- lowering of the generators ----

// x + y, or another operation, on u32 arrays of shapes that broadcast against each other.
ValueId Combine(LowerContext& c, std::string_view op, ValueId x, ValueId y) {
  Shape shape = c.b().shape(x).size() >= c.b().shape(y).size() ? c.b().shape(x) : c.b().shape(y);
  if (c.b().shape(x).size() == c.b().shape(y).size()) {
    for (size_t i = 0; i < shape.size(); ++i) {
      if (shape[i] == 1) shape[i] = c.b().shape(y)[i];
    }
  }
  const ValueId left = c.BroadcastTo(x, shape);
  return c.b().Binary(op, left, c.BroadcastTo(y, shape));
}

ValueId Rotated(LowerContext& c, ValueId x, int64_t by) {
  const TensorType word = TensorType::Scalar(DType::kU32);
  const ValueId left = Combine(c, "stablehlo.shift_left", x, c.b().Splat(word, by));
  const ValueId right = Combine(c, "stablehlo.shift_right_logical", x, c.b().Splat(word, 32 - by));
  return c.b().Or(left, right);
}

// Twenty rounds in five groups; after each the key is added in rotation, and the group's number.
Status ThreefryBody(LowerContext& c) {
  constexpr int64_t kParity = 0x1BD11BDA;
  constexpr int64_t kRotations[2][4] = {{13, 15, 26, 6}, {17, 29, 16, 24}};
  constexpr std::string_view kAdd = "stablehlo.add";
  const TensorType word = TensorType::Scalar(DType::kU32);
  const ValueId both = Combine(c, "stablehlo.xor", c.in(0), c.in(1));
  const ValueId keys[] = {c.in(0), c.in(1),
                          Combine(c, "stablehlo.xor", both, c.b().Splat(word, kParity))};
  ValueId x0 = Combine(c, kAdd, c.in(2), keys[0]);
  ValueId x1 = Combine(c, kAdd, c.in(3), keys[1]);
  for (int64_t group = 0; group < 5; ++group) {
    for (const int64_t by : kRotations[group % 2]) {
      x0 = Combine(c, kAdd, x0, x1);
      x1 = Combine(c, "stablehlo.xor", x0, Rotated(c, x1, by));
    }
    x0 = Combine(c, kAdd, x0, keys[(group + 1) % 3]);
    x1 = Combine(c, kAdd, x1, keys[(group + 2) % 3]);
    x1 = Combine(c, kAdd, x1, c.b().Splat(word, group + 1));
  }
  c.Out(c.BroadcastTo(x0, c.out_aval().shape));
  c.Out(c.BroadcastTo(x1, c.out_aval().shape));
  return OkStatus();
}

Status LowerThreefry(LowerContext& c) { return c.Outlined(ThreefryBody); }

// The row-major position of each element as 64 bits, in two words.
Status LowerCounters(LowerContext& c) {
  FuncBuilder& b = c.b();
  const TensorType counters{DType::kU64, c.out_aval().shape};
  const auto full = [&](int64_t value) {
    return b.BroadcastScalar(b.Splat(TensorType::Scalar(DType::kU64), value), counters.shape);
  };
  const Dims strides = tensor::RowMajorStrides(counters.shape);
  ValueId sum = stablehlo::kNoValue;
  for (size_t d = 0; d < strides.size(); ++d) {
    const ValueId stride = full(strides[d]);
    const ValueId term = b.Mul(stride, b.Iota(counters, static_cast<int64_t>(d)));
    sum = d == 0 ? term : b.Add(sum, term);
  }
  if (strides.empty()) sum = full(0);
  const ValueId high = b.ShiftRightLogical(sum, full(32));
  const ValueId low_words = b.Convert(sum, DType::kU32);
  c.Out(b.Convert(high, DType::kU32));
  c.Out(low_words);
  return OkStatus();
}

// The generator takes keys of two 64-bit words.
Status LowerBitGenerator(LowerContext& c) {
  FuncBuilder& b = c.b();
  const std::string_view name = c.params().Text("algorithm");
  const auto algorithm = name == "RNG_PHILOX"      ? stablehlo::RngAlgorithm::kPhilox
                         : name == "RNG_THREE_FRY" ? stablehlo::RngAlgorithm::kThreeFry
                                                   : stablehlo::RngAlgorithm::kDefault;
  const bool narrow = c.in_aval(0).dtype == DType::kU32;
  ValueId state = c.in(0);
  if (narrow) state = b.BitcastConvert(b.Reshape(state, Shape{2, 2}), {DType::kU64, Shape{2}});
  const Values out = b.RngBitGenerator(state, algorithm, c.out_type(1));
  if (out.size() != 2) return OkStatus();
  c.Out(narrow ? b.Reshape(b.BitcastConvert(out[0], {DType::kU32, Shape{2, 2}}), Shape{4})
               : out[0]);
  c.Out(out[1]);
  return OkStatus();
}

Status LowerUniform(LowerContext& c) {
  const Shape& sizes = c.out_aval().shape;
  ASSIGN_OR_RETURN(tensor::Tensor shape,
                   tensor::Tensor::Create(DType::kI64, Shape{static_cast<int64_t>(sizes.size())}));
  for (size_t i = 0; i < sizes.size(); ++i) shape.SetInt(static_cast<int64_t>(i), sizes[i]);
  stablehlo::AttrDict attrs;
  SetAttr(&attrs, "rng_distribution", stablehlo::Attr::Of(stablehlo::RngDistribution::kUniform));
  const ValueId dims = c.b().Constant(shape);
  c.Out(c.b().Emit1("stablehlo.rng", {c.in(0), c.in(1), dims}, std::move(attrs), c.out_type()));
  return OkStatus();
}

// ---- rows ----

using Type = ParamSpec::Type;

constexpr ParamSpec kImpl[] = {{"impl", Type::kText}};
constexpr ParamSpec kShape[] = {{"shape", Type::kInts}};
constexpr ParamSpec kBitsParams[] = {{"bit_width", Type::kInt}, {"shape", Type::kInts}};
constexpr ParamSpec kGeneratorParams[] = {
    {"algorithm", Type::kText},
    {"dtype", Type::kDType},
    {"out_sharding", Type::kAny, ParamSpec::Show::kAlways, "None"},
    {"shape", Type::kInts}};

constexpr Sample kSeedSamples[] = {
    {"{ lambda ; a:i32[]. let b:key<fry>[] = OP[impl=fry] a in (b,) }"},
    {"{ lambda ; a:u32[3]. let b:key<fry>[3] = OP[impl=fry] a in (b,) }"},
};
constexpr Sample kSplitSamples[] = {
    {"{ lambda ; a:key<fry>[]. let b:key<fry>[2] = OP[shape=(2,)] a in (b,) }"},
    {"{ lambda ; a:key<fry>[3]. let b:key<fry>[3,2,3] = OP[shape=(2, 3)] a in (b,) }"},
};
constexpr Sample kFoldInSamples[] = {
    {"{ lambda ; a:key<fry>[] b:u32[]. let c:key<fry>[] = OP a b in (c,) }"},
    {"{ lambda ; a:key<fry>[3] b:i32[3]. let c:key<fry>[3] = OP a b in (c,) }"},
};
constexpr Sample kBitsSamples[] = {
    {"{ lambda ; a:key<fry>[]. let b:u32[5] = OP[bit_width=32 shape=(5,)] a in (b,) }"},
    {"{ lambda ; a:key<fry>[2]. let b:u8[2,3,5] = OP[bit_width=8 shape=(3, 5)] a in (b,) }"},
    {"{ lambda ; a:key<fry>[]. let b:u64[7] = OP[bit_width=64 shape=(7,)] a in (b,) }"},
    {"{ lambda ; a:key<fry>[]. let b:u16[] = OP[bit_width=16 shape=()] a in (b,) }"},
};
constexpr Sample kWrapSamples[] = {
    {"{ lambda ; a:u32[3,2]. let b:key<fry>[3] = OP[impl=fry] a in (b,) }"}};
constexpr Sample kUnwrapSamples[] = {{"{ lambda ; a:key<fry>[3]. let b:u32[3,2] = OP a in (b,) }"}};
constexpr Sample kCloneSamples[] = {
    {"{ lambda ; a:key<fry>[3]. let b:key<fry>[3] = OP a in (b,) }"}};
constexpr Sample kThreefrySamples[] = {
    {"{ lambda ; a:u32[] b:u32[] c:u32[5] d:u32[5]. let e:u32[5] f:u32[5] = OP a b c d in (e, f) "
     "}"}};
constexpr Sample kCounterSamples[] = {
    {"{ lambda ; . let a:u32[2,3] b:u32[2,3] = OP[shape=(2, 3)]  in (a, b) }"}};

constexpr OpDef kOps[] = {
    {.name = "random_seed",
     .arity = 1,
     .params = kImpl,
     .accepts = ir::kAcceptsInt,
     .type_rule = SeedType,
     .jvp = ir::JvpZero(),
     .batch = ir::BatchElementwise(),
     .lower = LowerSeed,
     .spec = "primitives.md#random_seed",
     .samples = kSeedSamples},
    {.name = "random_split",
     .arity = 1,
     .params = kShape,
     .accepts = ir::kAcceptsKey,
     .type_rule = SplitType,
     .jvp = ir::JvpZero(),
     .batch = ir::BatchElementwise(),
     .lower = LowerSplit,
     .spec = "primitives.md#random_split",
     .samples = kSplitSamples},
    {.name = "random_fold_in",
     .arity = 2,
     .accepts = ir::kAcceptsKey,
     .type_rule = FoldInType,
     .jvp = ir::JvpZero(),
     .batch = ir::BatchBroadcasting(),
     .lower = LowerFoldIn,
     .spec = "primitives.md#random_fold_in",
     .samples = kFoldInSamples},
    {.name = "random_bits",
     .arity = 1,
     .params = kBitsParams,
     .accepts = ir::kAcceptsKey,
     .type_rule = BitsType,
     .jvp = ir::JvpZero(),
     .batch = ir::BatchElementwise(),
     .lower = LowerBits,
     .spec = "primitives.md#random_bits",
     .samples = kBitsSamples},
    {.name = "random_wrap",
     .arity = 1,
     .params = kImpl,
     .accepts = ir::kAcceptsUnsigned,
     .type_rule = WrapType,
     .jvp = ir::JvpZero(),
     .batch = ir::BatchFull(BatchWrap),
     .lower = LowerIdentity,
     .spec = "primitives.md#random_wrap",
     .samples = kWrapSamples},
    {.name = "random_unwrap",
     .arity = 1,
     .accepts = ir::kAcceptsKey,
     .type_rule = UnwrapType,
     .jvp = ir::JvpZero(),
     .batch = ir::BatchElementwise(),
     .lower = LowerIdentity,
     .spec = "primitives.md#random_unwrap",
     .samples = kUnwrapSamples},
    {.name = "random_clone",
     .arity = 1,
     .accepts = ir::kAcceptsKey,
     .tier = 2,
     .type_rule = CloneType,
     .batch = ir::BatchElementwise(),
     .lower = LowerIdentity,
     .spec = "primitives.md#random_clone",
     .samples = kCloneSamples},
    {.name = "threefry2x32",
     .arity = 4,
     .results = 2,
     .accepts = ir::kAcceptsUnsigned,
     .type_rule = ThreefryType,
     .batch = ir::BatchBroadcasting(),
     .lower = LowerThreefry,
     .spec = "primitives.md#threefry2x32",
     .samples = kThreefrySamples},
    {.name = "iota_2x32_shape",
     .arity = 0,
     .results = 2,
     .params = kShape,
     .accepts = ir::kAcceptsUnsigned,
     .type_rule = CountersType,
     .lower = LowerCounters,
     .spec = "primitives.md#iota_2x32_shape",
     .samples = kCounterSamples},
    {.name = "rng_bit_generator",
     .arity = 1,
     .results = 2,
     .params = kGeneratorParams,
     .accepts = ir::kAcceptsUnsigned,
     .tier = 2,
     .type_rule = BitGeneratorType,
     .batch = ir::BatchFull(BatchBitGenerator),
     .lower = LowerBitGenerator,
     .spec = "primitives.md#rng_bit_generator"},
    {.name = "rng_uniform",
     .arity = 2,
     .params = kShape,
     .accepts = ir::kAcceptsReal,
     .tier = 2,
     .type_rule = UniformType,
     .lower = LowerUniform,
     .spec = "primitives.md#rng_uniform"},
};

}  // namespace

std::span<const OpDef> RandomOps() { return kOps; }

}  // namespace megalith::ops
