// sort, top_k and approx_top_k: order along one dimension.
#include <algorithm>
#include <cmath>
#include <limits>

#include "common/foundation/base/strings.h"
#include "common/programs/ops/families.h"
#include "common/programs/ops/indexing.h"
#include "common/programs/ops/linalg.h"
#include "common/programs/ops/lower.h"

namespace megalith::ops {
namespace {

using tensor::TupleText;

// ---- sort ----

Types SortType(const TypeArgs& a) {
  if (a.operands.empty()) return TypeError("sort takes at least one operand");
  for (size_t i = 0; i < a.operands.size(); ++i) {
    RETURN_IF_ERROR(CheckAccepts(a, i));
    if (a.operands[i].shape == a.operands[0].shape) continue;
    std::vector<std::string> shapes;
    for (const Aval& x : a.operands) shapes.push_back(TupleText(x.shape));
    return TypeError(StrCat("Arguments to sort must have equal shapes, got: ", Join(shapes, " ")));
  }
  const int64_t dimension = a.params.Int("dimension");
  if (dimension < 0 || dimension >= static_cast<int64_t>(a.operands[0].rank())) {
    return ValueError(StrCat("axis ", dimension, " is out of bounds for array of dimension ",
                             a.operands[0].rank()));
  }
  const int64_t num_keys = a.params.Int("num_keys");
  if (num_keys < 1 || num_keys > static_cast<int64_t>(a.operands.size())) {
    return ValueError(
        StrCat("num_keys=", num_keys, " must be between 1 and len(operand)=", a.operands.size()));
  }
  for (size_t i = 0; i < static_cast<size_t>(num_keys); ++i) {
    if (tensor::IsKey(a.operands[i].dtype)) return TypeError("PRNG keys have no order to sort by");
  }
  return std::vector<Aval>(a.operands.begin(), a.operands.end());
}

// Positions are sorted along; tangents are gathered at them.
JvpResult JvpSort(Builder& b, const JvpArgs& a) {
  const Shape& shape = a.primals[0].shape();
  const int64_t dimension = a.params.Int("dimension");
  const auto rank = static_cast<int64_t>(shape.size());
  DType index_type = DType::kU32;
  for (const int64_t d : shape) {
    if (d > int64_t{UINT32_MAX}) index_type = DType::kU64;
  }
  std::vector<Value> operands(a.primals.begin(), a.primals.end());
  operands.push_back(ir::Iota(b, index_type, shape, dimension));
  JvpResult out{.primals = b.Emit(a.op, a.params, operands), .tangents = {}};
  if (!b.ok()) return out;
  const Value order = out.primals.back();
  out.primals.pop_back();
  const ir::IntTuple others = ir::IntTuple::Numpy(ir::Without(ir::Range(rank), Dims{dimension}));
  const GatherNumbers numbers{{}, {dimension}, {dimension}, others, others};
  const Value indices = ir::ExpandDims(b, order, Dims{rank});
  for (const Value& t : a.tangents) {
    out.tangents.push_back(t ? Gather(b, t, indices, numbers, Dims(shape.size(), 1), IndexOptions{})
                             : Value());
  }
  return out;
}

// All operands get their batch dimension where the first batched one has it.
BatchResult BatchSort(Builder& b, const BatchArgs& a) {
  size_t first = 0;
  while (a.dims[first] == kUnmapped) ++first;
  const int dim = a.dims[first];
  const Shape& shape = a.values[first].shape();
  const Dims others = ir::Without(ir::Range(static_cast<int64_t>(shape.size())), Dims{dim});
  std::vector<Value> operands;
  for (size_t i = 0; i < a.values.size(); ++i) {
    operands.push_back(a.dims[i] == kUnmapped ? ir::BroadcastInDim(b, a.values[i], shape, others)
                                              : ir::MoveAxis(b, a.values[i], a.dims[i], dim));
  }
  const int64_t dimension = a.params.Int("dimension");
  Params params = a.params;
  params.Set("dimension", ParamValue::Int(dim <= dimension ? dimension + 1 : dimension));
  BatchResult out{b.Emit(a.op, std::move(params), operands), {}};
  out.dims.assign(out.values.size(), dim);
  return out;
}

// One value for both zeros and one for every NaN, so that equal elements keep their order under a
// total order.
Value UniformFloat(Builder& b, Value x) {
  const Value is_zero = ir::Binary(b, "eq", x, ir::ScalarLike(b, x, 0));
  const Value zero = ir::FullLike(b, x, 0);
  const Value result = ir::Select(b, is_zero, zero, x);
  const Value is_nan = ir::Binary(b, "ne", x, x);
  const Value nan = ir::FullLike(b, result, std::numeric_limits<double>::quiet_NaN());
  return ir::Select(b, is_nan, nan, result);
}

// The keys of both sides, most significant first. Complex numbers are ordered by real, then by
// imaginary part.
void AppendKeys(Builder& b, Value x, Value y, std::vector<Value>* x_keys,
                std::vector<Value>* y_keys) {
  if (tensor::IsComplex(x.dtype())) {
    for (std::vector<Value>* keys : {x_keys, y_keys}) {
      const Value& from = keys == x_keys ? x : y;
      const Value re = ir::Unary(b, "real", from);
      keys->push_back(UniformFloat(b, re));
      const Value im = ir::Unary(b, "imag", from);
      keys->push_back(UniformFloat(b, im));
    }
    return;
  }
  const bool is_float = tensor::IsFloat(x.dtype());
  x_keys->push_back(is_float ? UniformFloat(b, x) : x);
  y_keys->push_back(is_float ? UniformFloat(b, y) : y);
}

// `operands` are pairs of elements. NaN comes last; both zeros are equal.
std::vector<Value> ComesBefore(Builder& b, std::span<const Value> operands, int64_t num_keys) {
  std::vector<Value> x;
  std::vector<Value> y;
  for (size_t k = 0; k < static_cast<size_t>(num_keys); ++k) {
    AppendKeys(b, operands[2 * k], operands[2 * k + 1], &x, &y);
  }
  Value before;
  for (size_t k = x.size(); k-- > 0;) {
    const Value less = ir::Binary(b, "lt_to", x[k], y[k]);
    if (!before) {
      before = less;
      continue;
    }
    const Value equal = ir::Binary(b, "eq_to", x[k], y[k]);
    const Value later = ir::Binary(b, "and", equal, before);
    before = ir::Binary(b, "or", less, later);
  }
  return {before};
}

Status LowerSort(LowerContext& c) {
  std::vector<Aval> pairs;
  for (const Aval& a : c.in_avals()) {
    if (tensor::IsKey(a.dtype)) return NotImplementedError("sorting PRNG keys is not supported");
    pairs.insert(pairs.end(), 2, Aval{a.dtype, a.weak_type, {}});
  }
  const int64_t num_keys = c.params().Int("num_keys");
  c.Out(c.b().Sort(c.ins(), c.params().Int("dimension"), c.params().Bool("is_stable"),
                   [&](std::span<const ValueId> args) {
                     return c.Traced(args, pairs, [&](Builder& b, std::span<const Value> v) {
                       return ComesBefore(b, v, num_keys);
                     });
                   }));
  return OkStatus();
}

// ---- top_k ----

Types TopKType(const TypeArgs& a) {
  const Aval& x = a.operands[0];
  const int64_t k = a.params.Int("k");
  const int64_t axis = a.params.Int("axis");
  if (tensor::IsComplex(x.dtype)) return ValueError("top_k is not compatible with complex inputs.");
  RETURN_IF_ERROR(CheckAccepts(a, 0));
  if (k < 0) return ValueError(StrCat("k argument to top_k must be nonnegative, got ", k));
  if (x.rank() == 0) return TypeError("top_k operand must have >= 1 dimension, got ()");
  if (axis < 0 || axis >= static_cast<int64_t>(x.rank())) {
    return ValueError(StrCat("axis argument out of range: axis=", axis,
                             " for operand.shape=", TupleText(x.shape)));
  }
  Shape shape = x.shape;
  int64_t& size = shape[static_cast<size_t>(axis)];
  if (size < k) {
    return ValueError(StrCat("k argument to top_k must be no larger than size along axis; got k=",
                             k, " with shape=[", Join(x.shape, ", "), "] and axis=", axis));
  }
  if (size > int64_t{INT32_MAX} + 1) {
    return ValueError(StrCat(
        "top_k returns int32 indices, which will overflow for array dimensions larger than the "
        "maximum int32 (",
        INT32_MAX, "). Got operand.shape=", TupleText(x.shape)));
  }
  size = k;
  return std::vector<Aval>{Aval{x.dtype, x.weak_type, shape},
                           Aval{DType::kI32, x.weak_type, shape}};
}

JvpResult JvpTopK(Builder& b, const JvpArgs& a) {
  JvpResult out{.primals = b.Emit(a.op, a.params, a.primals), .tangents = {}};
  if (!b.ok()) return out;
  const Value k_indices = out.primals[1];
  const auto rank = static_cast<int64_t>(k_indices.rank());
  const int64_t axis = a.params.Int("axis");
  const Dims others = ir::Without(ir::Range(rank), Dims{axis});
  const Value indices = ir::Reshape(b, k_indices, ir::Concat(k_indices.shape(), Dims{1}));
  const GatherNumbers numbers{{}, {axis}, {axis}, others, others};
  const Dims sizes(static_cast<size_t>(rank), 1);
  out.tangents = {Gather(b, a.tangents[0], indices, numbers, sizes, IndexOptions{}), Value()};
  return out;
}

BatchResult BatchTopK(Builder& b, const BatchArgs& a) {
  const int64_t axis = a.params.Int("axis");
  Params params = a.params;
  params.Set("axis", ParamValue::Int(a.dims[0] <= axis ? axis + 1 : axis));
  return {b.Emit(a.op, std::move(params), a.values), {a.dims[0], a.dims[0]}};
}

// The axis changes places with the last one, along which chlo.top_k looks.
Status LowerTopK(LowerContext& c) {
  const auto rank = static_cast<int64_t>(c.in_aval(0).rank());
  const int64_t axis = c.params().Int("axis");
  Dims swap = ir::Range(rank);
  std::swap(swap[static_cast<size_t>(axis)], swap[static_cast<size_t>(rank - 1)]);
  const bool last = axis == rank - 1;
  const ValueId x = last ? c.in(0) : c.b().Transpose(c.in(0), swap);
  stablehlo::AttrDict attrs;
  SetAttr(&attrs, "k", stablehlo::Attr::Int(c.params().Int("k")));
  const Values found = c.b().Emit("chlo.top_k", {x}, std::move(attrs));
  for (size_t i = 0; i < 2; ++i) c.Out(last ? found[i] : c.b().Transpose(found[i], swap));
  return OkStatus();
}

// ---- approx_top_k ----

// How many candidates an approximate top-k keeps that is not aggregated: XLA's formula, with tiles
// of 1024 elements for vectors and of 128 otherwise.
Result<int64_t> CandidateCount(int64_t size, size_t rank, int64_t k, double recall,
                               int64_t size_override) {
  if (!(recall > 0.0 && recall <= 1.0)) {
    return ValueError(StrCat("recall_target should range in (0,1], got ", PythonFloat(recall)));
  }
  if (size_override > -1 && size > size_override) {
    return ValueError(StrCat("reduction_input_size_override: ", size_override,
                             " should be greater than size: ", size));
  }
  const int64_t tiling = rank == 1 ? 1024 : 128;
  if (size <= tiling) return size;
  if (k == 1) return tiling;
  // The expected share of the top k elements that do not collide in m windows is at least recall if
  // m is this large.
  const double windows =
      (1.0 - static_cast<double>(k)) / std::log(static_cast<double>(static_cast<float>(recall)));
  const auto m = static_cast<int64_t>(
      std::min(std::max(windows, static_cast<double>(tiling)), static_cast<double>(size)));
  const int64_t logical = size_override >= 0 ? size_override : size;
  int log2_reduction = 0;
  while ((logical / m) >> (log2_reduction + 1) != 0) ++log2_reduction;
  if (log2_reduction == 0) return size;
  int log2_tiles = 0;
  while ((int64_t{1} << log2_tiles) < size / tiling) ++log2_tiles;
  log2_reduction = std::min(log2_reduction, log2_tiles);
  const int64_t tiles = (size - 1) / tiling + 1;
  return tiling * ((tiles - 1) / (int64_t{1} << log2_reduction) + 1);
}

int64_t ReductionDimension(const Params& params, size_t rank) {
  const int64_t d = params.Int("reduction_dimension");
  return d < 0 ? d + static_cast<int64_t>(rank) : d;
}

Types ApproxTopKType(const TypeArgs& a) {
  const Aval& x = a.operands[0];
  const int64_t k = a.params.Int("k");
  if (k <= 0) return ValueError(StrCat("k must be positive, got ", k));
  if (x.rank() == 0) return TypeError("approx_top_k operand must have >= 1 dimension, got ()");
  const int64_t dim = ReductionDimension(a.params, x.rank());
  if (dim < 0 || dim >= static_cast<int64_t>(x.rank())) {
    return ValueError(StrCat("reduction_dimension ", a.params.Int("reduction_dimension"),
                             " is out of bounds for array of dimension ", x.rank()));
  }
  Shape shape = x.shape;
  int64_t& size = shape[static_cast<size_t>(dim)];
  if (size < k)
    return ValueError(
        StrCat("k must be smaller than the size of reduction_dim ", size, ", got ", k));
  if (!tensor::IsFloat(x.dtype)) return ValueError("operand must be a floating type");
  if (a.params.Bool("aggregate_to_topk")) {
    size = k;
  } else {
    ASSIGN_OR_RETURN(size, CandidateCount(size, x.rank(), k, a.params["recall_target"].AsFloat(),
                                          a.params.Int("reduction_input_size_override")));
  }
  return std::vector<Aval>{Aval{x.dtype, x.weak_type, shape},
                           Aval{DType::kI32, x.weak_type, shape}};
}

// What jnp.take_along_axis emits for indices that differ from x in the size of `axis` only;
// out-of-range ones give NaN.
Value TakeAlongAxisBody(Builder& b, Value x, Value indices, int64_t axis) {
  const Shape& shape = indices.shape();
  const auto at = static_cast<size_t>(axis);
  const Value ints =
      ir::ConvertElementType(b, indices, b.session().x64() ? DType::kI64 : DType::kI32);
  const Value wrapped = WrapIndices(b, ints, x.shape()[at]);
  // Dimensions of size 1 are taken whole; the others run along with the indices.
  Dims offset_dims;
  Dims batching_dims;
  Dims index_batching_dims;
  Dims sizes;
  Shape index_shape;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i != at && shape[i] == 1) {
      offset_dims.push_back(static_cast<int64_t>(i));
      sizes.push_back(1);
      continue;
    }
    if (i != at) {
      batching_dims.push_back(static_cast<int64_t>(i));
      index_batching_dims.push_back(static_cast<int64_t>(index_shape.size()));
    }
    sizes.push_back(i != at && shape[i] == 0 ? 0 : 1);
    index_shape.push_back(shape[i]);
  }
  index_shape.push_back(1);
  const Value vectors = ir::Reshape(b, wrapped, index_shape);
  return Gather(b, x, vectors, {offset_dims, {axis}, {axis}, batching_dims, index_batching_dims},
                sizes, {.mode = IndexMode::kFillOrDrop});
}

Value TakeAlongAxis(Builder& b, Value x, Value indices, int64_t axis) {
  const Value operands[] = {x, indices};
  return EmitJit(b, "take_along_axis", StrCat(axis), operands,
                 [axis](Builder& inner, std::span<const Value> in) {
                   return std::vector<Value>{TakeAlongAxisBody(inner, in[0], in[1], axis)};
                 })[0];
}

JvpResult JvpApproxTopK(Builder& b, const JvpArgs& a) {
  JvpResult out{.primals = b.Emit(a.op, a.params, a.primals), .tangents = {}};
  if (!b.ok()) return out;
  const Value indices = out.primals[1];
  out.tangents = {
      TakeAlongAxis(b, a.tangents[0], indices, ReductionDimension(a.params, indices.rank())),
      Value()};
  return out;
}

BatchResult BatchApproxTopK(Builder& b, const BatchArgs& a) {
  const int64_t dim = ReductionDimension(a.params, a.values[0].rank() - 1);
  Params params = a.params;
  params.Set("reduction_dimension", ParamValue::Int(dim < a.dims[0] ? dim : dim + 1));
  return {b.Emit(a.op, std::move(params), a.values), {a.dims[0], a.dims[0]}};
}

// JAX emits a custom call here, of which platforms without a method of their own make this: the
// exact answer, as many of the first elements in order as the approximate one has candidates.
Status LowerApproxTopK(LowerContext& c) {
  const Shape& shape = c.in_aval(0).shape;
  const int64_t dim = ReductionDimension(c.params(), shape.size());
  const auto direction = c.params().Bool("is_max_k") ? stablehlo::CompareDirection::kGt
                                                     : stablehlo::CompareDirection::kLt;
  const ValueId positions = c.b().Iota({DType::kI32, shape}, dim);
  const Values sorted = c.b().Sort(
      Values{c.in(0), positions}, dim, /*is_stable=*/true,
      [&](std::span<const ValueId> v) { return Values{c.b().Compare(direction, v[0], v[1])}; });
  for (size_t i = 0; i < 2; ++i)
    c.Out(c.b().Slice(sorted[i], Dims(shape.size(), 0), c.out_aval(i).shape));
  return OkStatus();
}

// ---- records ----

using Type = ParamSpec::Type;

constexpr ParamSpec kSortParams[] = {
    {"dimension", Type::kInt}, {"is_stable", Type::kBool}, {"num_keys", Type::kInt}};
constexpr ParamSpec kTopKParams[] = {{"axis", Type::kInt}, {"k", Type::kInt}};
constexpr ParamSpec kApproxTopKParams[] = {
    {"aggregate_to_topk", Type::kBool},
    {"is_max_k", Type::kBool},
    {"k", Type::kInt},
    {"recall_target", Type::kFloat},
    {"reduction_dimension", Type::kInt},
    {"reduction_input_size_override", Type::kInt},
};

constexpr Sample kSortSamples[] = {
    {"{ lambda ; a:f32[3,7]. let b:f32[3,7] = OP[dimension=1 is_stable=True num_keys=1] a in (b,) "
     "}"},
    {"{ lambda ; a:f32[5,2] b:f32[5,2]. let c:f32[5,2] d:f32[5,2] = OP[dimension=0 is_stable=True "
     "num_keys=1] a b "
     "in (c, d) }"},
    {"{ lambda ; a:f32[5] b:f32[5]. let c:f32[5] d:f32[5] = OP[dimension=0 is_stable=True "
     "num_keys=2] a b "
     "in (c, d) }"},
    {"{ lambda ; a:f32[0]. let b:f32[0] = OP[dimension=0 is_stable=True num_keys=1] a in (b,) }"},
    {"{ lambda ; a:i32[67] b:f32[67] c:f32[67]. let d:i32[67] e:f32[67] f:f32[67] = OP[dimension=0 "
     "is_stable=True "
     "num_keys=2] a b c in (d, e, f) }"},
};
constexpr Sample kTopKSamples[] = {
    {"{ lambda ; a:f32[3,7]. let b:f32[3,2] c:i32[3,2] = OP[axis=1 k=2] a in (b, c) }"},
    {"{ lambda ; a:f32[7,2]. let b:f32[3,2] c:i32[3,2] = OP[axis=0 k=3] a in (b, c) }"},
    {"{ lambda ; a:f32[4]. let b:f32[0] c:i32[0] = OP[axis=0 k=0] a in (b, c) }"},
};
constexpr Sample kApproxTopKSamples[] = {
    {"{ lambda ; a:f32[3,7]. let b:f32[3,2] c:i32[3,2] = OP[aggregate_to_topk=True is_max_k=True "
     "k=2 "
     "recall_target=0.95 reduction_dimension=-1 reduction_input_size_override=-1] a in (b, c) }"},
    {"{ lambda ; a:f32[9,2]. let b:f32[9,2] c:i32[9,2] = OP[aggregate_to_topk=False is_max_k=False "
     "k=2 "
     "recall_target=0.95 reduction_dimension=0 reduction_input_size_override=-1] a in (b, c) }"},
};

constexpr uint16_t kOrderedOrKey = ir::kAcceptsOrdered | ir::kAcceptsComplex | ir::kAcceptsKey;

constexpr OpDef kOps[] = {
    {.name = "sort",
     .results = -1,
     .params = kSortParams,
     .accepts = kOrderedOrKey,
     .type_rule = SortType,
     .jvp = ir::JvpFull(JvpSort),
     .batch = ir::BatchFull(BatchSort),
     .lower = LowerSort,
     .spec = "primitives.md#sort",
     .samples = kSortSamples},
    {.name = "top_k",
     .arity = 1,
     .results = 2,
     .params = kTopKParams,
     .accepts = ir::kAcceptsOrdered,
     .type_rule = TopKType,
     .jvp = ir::JvpFull(JvpTopK),
     .batch = ir::BatchFull(BatchTopK),
     .lower = LowerTopK,
     .spec = "primitives.md#top_k",
     .samples = kTopKSamples},
    {.name = "approx_top_k",
     .arity = 1,
     .results = 2,
     .params = kApproxTopKParams,
     .accepts = ir::kAcceptsFloat,
     .tier = 2,
     .type_rule = ApproxTopKType,
     .jvp = ir::JvpFull(JvpApproxTopK),
     .batch = ir::BatchFull(BatchApproxTopK),
     .lower = LowerApproxTopK,
     .spec = "primitives.md#approx_top_k",
     .samples = kApproxTopKSamples},
};

}  // namespace

std::span<const OpDef> SortingOps() { return kOps; }

}  // namespace megalith::ops
