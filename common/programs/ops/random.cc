// Random numbers: keys and what is drawn from them.
#include "common/foundation/base/strings.h"
#include "common/programs/ops/families.h"
#include "common/programs/ops/rules.h"

namespace megalith::ops {
namespace {

// ---- key types ----

// The key dtype of an `impl` parameter.
Result<DType> KeyOfImpl(std::string_view impl) {
  if (impl == "fry") return DType::kKeyFry;
  if (impl == "rbg") return DType::kKeyRbg;
  if (impl == "urbg") return DType::kKeyUrbg;
  return ValueError(StrCat("unknown PRNG implementation '", Printable(impl), "'; known are fry, rbg and urbg"));
}

int64_t KeyWords(DType key) { return tensor::ByteWidth(key) / 4; }

Status CheckKey(const TypeArgs& a) {
  if (tensor::IsKey(a.operands[0].dtype)) return OkStatus();
  return TypeError(StrCat(a.op.name, " takes key array operand, got keys.dtype=", DTypeText(a.operands[0].dtype)));
}

Shape Appended(Shape shape, const Dims& more) {
  for (const int64_t d : more) shape.push_back(d);
  return shape;
}

Status CheckSizes(const TypeArgs& a, const Dims& shape) {
  for (const int64_t d : shape) {
    if (d >= 0) continue;
    return ValueError(StrCat(a.op.name, " needs a shape of non-negative sizes, got ", tensor::TupleText(shape)));
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
    return TypeError(StrCat("random_fold_in takes integers to fold into keys, got ", DTypeText(data)));
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
    case 8: bits = DType::kU8; break;
    case 16: bits = DType::kU16; break;
    case 32: bits = DType::kU32; break;
    case 64: bits = DType::kU64; break;
    default: return TypeError("requires 8-, 16-, 32- or 64-bit field width.");
  }
  return std::vector<Aval>{Aval{bits, false, Appended(a.operands[0].shape, shape)}};
}

Types WrapType(const TypeArgs& a) {
  ASSIGN_OR_RETURN(const DType key, KeyOfImpl(a.params.Text("impl")));
  const Aval& words = a.operands[0];
  if (words.dtype != DType::kU32) {
    return TypeError(StrCat("JAX encountered invalid PRNG key data: expected key_data.dtype = uint32; got dtype=",
                            DTypeText(words.dtype)));
  }
  if (words.rank() < 1) {
    return TypeError(StrCat("JAX encountered invalid PRNG key data: expected key_data.ndim >= 1; got ndim=0"));
  }
  if (words.shape.back() != KeyWords(key)) {
    return TypeError(StrCat("JAX encountered invalid PRNG key data: expected key_data.shape to end with (",
                            KeyWords(key), ",); got shape=", tensor::TupleText(words.shape), " for impl=",
                            a.params.Text("impl")));
  }
  Shape shape = words.shape;
  shape.erase(shape.size() - 1);
  return std::vector<Aval>{Aval{key, false, std::move(shape)}};
}

Types UnwrapType(const TypeArgs& a) {
  RETURN_IF_ERROR(CheckKey(a));
  const Aval& keys = a.operands[0];
  return std::vector<Aval>{Aval{DType::kU32, false, Appended(keys.shape, Dims{KeyWords(keys.dtype)})}};
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
    return TypeError(StrCat("rng_bit_generator takes a key of type u32[4] or u64[2], got ", key.Text()));
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
    return ValueError(StrCat("Arguments to rng_uniform must have identical dtypes, got ", DTypeText(low.dtype),
                             " and ", DTypeText(high.dtype), "."));
  }
  if (low.rank() > 0 || high.rank() > 0) {
    return ValueError(StrCat("Arguments to rng_uniform must be scalars; got shapes ", tensor::TupleText(low.shape),
                             " and ", tensor::TupleText(high.shape), "."));
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

// ---- rows ----

using Type = ParamSpec::Type;

constexpr ParamSpec kImpl[] = {{"impl", Type::kText}};
constexpr ParamSpec kShape[] = {{"shape", Type::kInts}};
constexpr ParamSpec kBitsParams[] = {{"bit_width", Type::kInt}, {"shape", Type::kInts}};
constexpr ParamSpec kGeneratorParams[] = {{"algorithm", Type::kText},
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
constexpr Sample kWrapSamples[] = {{"{ lambda ; a:u32[3,2]. let b:key<fry>[3] = OP[impl=fry] a in (b,) }"}};
constexpr Sample kUnwrapSamples[] = {{"{ lambda ; a:key<fry>[3]. let b:u32[3,2] = OP a in (b,) }"}};
constexpr Sample kCloneSamples[] = {{"{ lambda ; a:key<fry>[3]. let b:key<fry>[3] = OP a in (b,) }"}};
constexpr Sample kThreefrySamples[] = {
    {"{ lambda ; a:u32[] b:u32[] c:u32[5] d:u32[5]. let e:u32[5] f:u32[5] = OP a b c d in (e, f) }"}};
constexpr Sample kCounterSamples[] = {
    {"{ lambda ; . let a:u32[2,3] b:u32[2,3] = OP[shape=(2, 3)]  in (a, b) }"}};

constexpr OpDef kOps[] = {
    {.name = "random_seed", .arity = 1, .params = kImpl, .accepts = ir::kAcceptsInt, .type_rule = SeedType,
     .jvp = ir::JvpZero(), .batch = ir::BatchElementwise(), .spec = "primitives.md#random_seed",
     .samples = kSeedSamples},
    {.name = "random_split", .arity = 1, .params = kShape, .accepts = ir::kAcceptsKey, .type_rule = SplitType,
     .jvp = ir::JvpZero(), .batch = ir::BatchElementwise(), .spec = "primitives.md#random_split",
     .samples = kSplitSamples},
    {.name = "random_fold_in", .arity = 2, .accepts = ir::kAcceptsKey, .type_rule = FoldInType,
     .jvp = ir::JvpZero(), .batch = ir::BatchBroadcasting(), .spec = "primitives.md#random_fold_in",
     .samples = kFoldInSamples},
    {.name = "random_bits", .arity = 1, .params = kBitsParams, .accepts = ir::kAcceptsKey, .type_rule = BitsType,
     .jvp = ir::JvpZero(), .batch = ir::BatchElementwise(), .spec = "primitives.md#random_bits",
     .samples = kBitsSamples},
    {.name = "random_wrap", .arity = 1, .params = kImpl, .accepts = ir::kAcceptsUnsigned, .type_rule = WrapType,
     .jvp = ir::JvpZero(), .batch = ir::BatchFull(BatchWrap), .spec = "primitives.md#random_wrap",
     .samples = kWrapSamples},
    {.name = "random_unwrap", .arity = 1, .accepts = ir::kAcceptsKey, .type_rule = UnwrapType,
     .jvp = ir::JvpZero(), .batch = ir::BatchElementwise(), .spec = "primitives.md#random_unwrap",
     .samples = kUnwrapSamples},
    {.name = "random_clone", .arity = 1, .accepts = ir::kAcceptsKey, .tier = 2, .type_rule = CloneType,
     .batch = ir::BatchElementwise(), .spec = "primitives.md#random_clone", .samples = kCloneSamples},
    {.name = "threefry2x32", .arity = 4, .results = 2, .accepts = ir::kAcceptsUnsigned, .type_rule = ThreefryType,
     .batch = ir::BatchBroadcasting(), .spec = "primitives.md#threefry2x32", .samples = kThreefrySamples},
    {.name = "iota_2x32_shape", .arity = 0, .results = 2, .params = kShape, .accepts = ir::kAcceptsUnsigned,
     .type_rule = CountersType, .spec = "primitives.md#iota_2x32_shape", .samples = kCounterSamples},
    {.name = "rng_bit_generator", .arity = 1, .results = 2, .params = kGeneratorParams,
     .accepts = ir::kAcceptsUnsigned, .tier = 2, .type_rule = BitGeneratorType,
     .batch = ir::BatchFull(BatchBitGenerator), .spec = "primitives.md#rng_bit_generator"},
    {.name = "rng_uniform", .arity = 2, .params = kShape, .accepts = ir::kAcceptsReal, .tier = 2,
     .type_rule = UniformType, .spec = "primitives.md#rng_uniform"},
};

}  // namespace

std::span<const OpDef> RandomOps() { return kOps; }

}  // namespace megalith::ops
