// Primitives that only move elements: broadcasts, reshapes, transposes, slices, joins and pads, and
// iota.
#include <algorithm>

#include "common/foundation/base/strings.h"
#include "common/programs/ops/families.h"
#include "common/programs/ops/lower.h"
#include "common/programs/ops/rules.h"

namespace megalith::ops {
namespace {

using ir::IntTuple;
using tensor::TupleText;

int64_t Rank(const Aval& a) { return static_cast<int64_t>(a.rank()); }
int64_t Rank(Value v) { return static_cast<int64_t>(v.rank()); }

Types One(DType dtype, bool weak, Shape shape) {
  return std::vector<Aval>{Aval{dtype, weak, std::move(shape)}};
}
Types Reshaped(const Aval& operand, Shape shape) {
  return One(operand.dtype, operand.weak_type, std::move(shape));
}

// JAX's check of tuples that are shapes or lists of dimensions.
Status CheckNonNegative(std::string_view op, std::string_view what, const Dims& values) {
  for (const int64_t v : values) {
    if (v < 0) {
      return TypeError(StrCat(op, " ", what, " must have every element be nonnegative, got ",
                              TupleText(values), "."));
    }
  }
  return OkStatus();
}

bool HasDuplicates(Dims dims) {
  std::sort(dims.begin(), dims.end());
  return std::adjacent_find(dims.begin(), dims.end()) != dims.end();
}

bool IsPermutation(Dims dims, int64_t rank) {
  std::sort(dims.begin(), dims.end());
  return dims == ir::Range(rank);
}

std::string ShapesText(std::span<const Aval> avals) {
  std::vector<std::string> texts;
  for (const Aval& a : avals) texts.push_back(TupleText(a.shape));
  return Join(texts, ", ");
}

// ---- broadcast_in_dim ----

Types BroadcastInDimType(const TypeArgs& a) {
  RETURN_IF_ERROR(CheckUnsharded(a, "sharding"));
  const Aval& x = a.operands[0];
  const Shape shape = a.params.Ints("shape");
  const Dims dims = a.params.Ints("broadcast_dimensions");
  RETURN_IF_ERROR(CheckNonNegative("broadcast_in_dim", "shape", shape));
  RETURN_IF_ERROR(CheckNonNegative("broadcast_in_dim", "broadcast_dimensions", dims));
  if (dims.size() != x.rank()) {
    return TypeError(
        StrCat("broadcast_in_dim broadcast_dimensions must have length equal to operand ndim; got "
               "broadcast_dimensions ",
               TupleText(dims), " for operand ndim ", x.rank(), "."));
  }
  if (shape.size() < x.rank()) {
    return TypeError(StrCat(
        "broadcast_in_dim target broadcast shape must have equal or higher rank to the operand "
        "shape; got operand ndim ",
        x.rank(), " and target broadcast ndim ", shape.size(), "."));
  }
  for (size_t i = 0; i < dims.size(); ++i) {
    if (dims[i] >= static_cast<int64_t>(shape.size())) {
      return TypeError(StrCat(
          "broadcast_in_dim broadcast_dimensions must be a subset of output dimensions, got ",
          TupleText(dims), " for operand ndim ", x.rank(), " and shape ", TupleText(shape), "."));
    }
  }
  for (size_t i = 0; i < dims.size(); ++i) {
    if (x.shape[i] != 1 && x.shape[i] != shape[static_cast<size_t>(dims[i])]) {
      return TypeError(
          StrCat("broadcast_in_dim operand dimension sizes must either be 1, or be equal to their "
                 "corresponding dimensions in the target broadcast shape; got operand of shape ",
                 TupleText(x.shape), ", target broadcast shape ", TupleText(shape),
                 ", broadcast_dimensions ", TupleText(dims), " "));
    }
  }
  if (std::adjacent_find(dims.begin(), dims.end(), std::greater_equal<>()) != dims.end()) {
    return TypeError(
        StrCat("broadcast_in_dim broadcast_dimensions must be strictly increasing; got "
               "broadcast_dimensions ",
               TupleText(dims)));
  }
  return Reshaped(x, shape);
}

int ForwardBroadcast(const TypeArgs& a) {
  return a.operands[0].shape == a.params.Ints("shape") && a.params["sharding"].is_none() ? 0 : -1;
}

// Sums over the dimensions that the operand lacks or has in size 1.
std::vector<Value> TransposeBroadcast(Builder& b, const TransposeArgs& a) {
  const Shape& shape = a.operands[0].aval.shape;
  const Dims dims = a.params.Ints("broadcast_dimensions");
  Dims unit;
  Dims kept;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] == 1) {
      unit.push_back(static_cast<int64_t>(i));
    } else {
      kept.push_back(dims[i]);
    }
  }
  const Value summed =
      ir::ReduceSum(b, a.cotangents[0], ir::Without(ir::Range(Rank(a.results[0])), kept));
  return {ir::ExpandDims(b, summed, unit)};
}

BatchResult BatchBroadcastInDim(Builder& b, const BatchArgs& a) {
  const Value x = ir::MoveAxis(b, a.values[0], a.dims[0], 0);
  const Shape shape = ir::Concat(Dims{a.axis.size}, a.params.Ints("shape"));
  IntTuple dims = IntTuple::Numpy(ir::Shifted(a.params.Ints("broadcast_dimensions"), 1));
  dims.insert(0, 0);
  return {{ir::BroadcastInDim(b, x, shape, dims)}, {0}};
}

// ---- reshape ----

Types ReshapeType(const TypeArgs& a) {
  RETURN_IF_ERROR(CheckUnsharded(a, "sharding"));
  const Aval& x = a.operands[0];
  const Shape shape = a.params.Ints("new_sizes");
  for (const int64_t d : shape) {
    if (d < 0)
      return TypeError(
          StrCat("reshape new_sizes must all be positive, got ", TupleText(shape), "."));
  }
  const ParamValue& dimensions = a.params["dimensions"];
  if (!dimensions.is_none() && !IsPermutation(dimensions.AsInts(), Rank(x))) {
    return TypeError(
        StrCat("reshape dimensions must be a permutation of operand dimensions, got dimensions ",
               TupleText(dimensions.AsInts()), " for shape ", TupleText(x.shape), "."));
  }
  // JAX leaves this to the compiler; a program that cannot run is refused here (spec/transforms.md
  // section 8).
  const auto have = tensor::NumElements(x.shape);
  const auto want = tensor::NumElements(shape);
  if (!want || have != want) {
    return TypeError(StrCat("cannot reshape array of shape ", TupleText(x.shape), " (size ",
                            have.value_or(0), ") into shape ", TupleText(shape), " (size ",
                            want ? StrCat(*want) : std::string("over 2^63"), ")"));
  }
  return Reshaped(x, shape);
}

std::vector<Value> TransposeReshape(Builder& b, const TransposeArgs& a) {
  const Shape& shape = a.operands[0].aval.shape;
  const ParamValue& dimensions = a.params["dimensions"];
  if (dimensions.is_none()) return {ir::Reshape(b, a.cotangents[0], shape)};
  const Dims order = dimensions.AsInts();
  Shape permuted;
  for (const int64_t d : order) permuted.push_back(shape[static_cast<size_t>(d)]);
  const Value ct = ir::Reshape(b, a.cotangents[0], permuted);
  return {ir::Transpose(b, ct, ir::InversePermutation(order))};
}

BatchResult BatchReshape(Builder& b, const BatchArgs& a) {
  const Value x = ir::MoveAxis(b, a.values[0], a.dims[0], 0);
  const Shape shape = ir::Concat(Dims{a.axis.size}, a.params.Ints("new_sizes"));
  const ParamValue& dimensions = a.params["dimensions"];
  if (dimensions.is_none()) return {{ir::Reshape(b, x, shape)}, {0}};
  return {{ir::Reshape(b, x, shape, ir::Concat(Dims{0}, ir::Shifted(dimensions.AsInts(), 1)))},
          {0}};
}

// ---- transpose, rev, squeeze ----

Types TransposeType(const TypeArgs& a) {
  const Aval& x = a.operands[0];
  const Dims permutation = a.params.Ints("permutation");
  if (!IsPermutation(permutation, Rank(x))) {
    return TypeError(
        StrCat("transpose permutation isn't a permutation of operand dimensions, got permutation ",
               TupleText(permutation), " for operand shape ", TupleText(x.shape), "."));
  }
  Shape shape;
  for (const int64_t d : permutation) shape.push_back(x.shape[static_cast<size_t>(d)]);
  return Reshaped(x, shape);
}

std::vector<Value> TransposeTranspose(Builder& b, const TransposeArgs& a) {
  return {ir::Transpose(b, a.cotangents[0], ir::InversePermutation(a.params.Ints("permutation")))};
}

BatchResult BatchTranspose(Builder& b, const BatchArgs& a) {
  const Dims permutation =
      ir::Concat(Dims{a.dims[0]}, ir::PastBatchDim(a.params.Ints("permutation"), a.dims[0]));
  return {{ir::Transpose(b, a.values[0], permutation)}, {0}};
}

Types RevType(const TypeArgs& a) {
  const Dims dims = a.params.Ints("dimensions");
  RETURN_IF_ERROR(CheckNonNegative("rev", "dimensions", dims));
  if (HasDuplicates(dims))
    return TypeError(StrCat("rev dimensions must be unique, got ", TupleText(dims), "."));
  if (!dims.empty() && *std::max_element(dims.begin(), dims.end()) >= Rank(a.operands[0])) {
    return TypeError(StrCat("rev dimensions must all be less than operand ndim, got dimensions ",
                            TupleText(dims), " for operand ndim ", a.operands[0].rank(), "."));
  }
  return std::vector<Aval>{a.operands[0]};
}

BatchResult BatchRev(Builder& b, const BatchArgs& a) {
  const Dims dims = ir::PastBatchDim(a.params.Ints("dimensions"), a.dims[0]);
  return {{ir::Rev(b, a.values[0], dims)}, {a.dims[0]}};
}

Types SqueezeType(const TypeArgs& a) {
  const Aval& x = a.operands[0];
  const Dims dims = a.params.Ints("dimensions");
  if (HasDuplicates(dims))
    return ValueError(StrCat("dimensions are not unique: ", TupleText(dims)));
  for (const int64_t d : dims) {
    if (d < 0 || d >= Rank(x))
      return ValueError(StrCat("dimensions outside range [0, ndim): ", TupleText(dims)));
  }
  for (const int64_t d : dims) {
    if (x.shape[static_cast<size_t>(d)] != 1) {
      return ValueError(
          StrCat("cannot select an axis to squeeze out which has size not equal to one, got shape=",
                 TupleText(x.shape), " and dimensions=", TupleText(dims)));
    }
  }
  return Reshaped(x, ir::Without(x.shape, dims));
}

std::vector<Value> TransposeSqueeze(Builder& b, const TransposeArgs& a) {
  return {ir::ExpandDims(b, a.cotangents[0], a.params.Ints("dimensions"))};
}

BatchResult BatchSqueeze(Builder& b, const BatchArgs& a) {
  const Value x = ir::MoveAxis(b, a.values[0], a.dims[0], 0);
  return {{ir::Squeeze(b, x, ir::Shifted(a.params.Ints("dimensions"), 1))}, {0}};
}

// ---- concatenate, split ----

Types ConcatenateType(const TypeArgs& a) {
  if (a.operands.empty()) return TypeError("concatenate expects at least one operand, got 0.");
  const Aval& first = a.operands[0];
  const int64_t dimension = a.params.Int("dimension");
  for (const Aval& x : a.operands) {
    if (x.rank() != first.rank()) {
      return TypeError(
          StrCat("Cannot concatenate arrays with different numbers of dimensions: got ",
                 ShapesText(a.operands), "."));
    }
  }
  if (dimension < 0 || dimension >= Rank(first)) {
    return TypeError(StrCat("concatenate dimension out of bounds: dimension ", dimension,
                            " for shapes ", ShapesText(a.operands), "."));
  }
  const auto d = static_cast<size_t>(dimension);
  Shape shape = first.shape;
  shape[d] = 0;
  for (const Aval& x : a.operands) {
    Shape same = x.shape;
    same[d] = shape[d];
    if (!(same == shape)) {
      return TypeError(StrCat(
          "Cannot concatenate arrays with shapes that differ in dimensions other than the one "
          "being concatenated: concatenating along dimension ",
          dimension, " for shapes ", ShapesText(a.operands), "."));
    }
    if (__builtin_add_overflow(shape[d], x.shape[d], &shape[d])) {
      return TypeError(StrCat("concatenate makes dimension ", dimension, " larger than 2^63 - 1"));
    }
  }
  RETURN_IF_ERROR(CheckSameDTypes("concatenate", a.operands));
  return One(first.dtype, AllWeak(a.operands), shape);
}

std::vector<Value> TransposeConcatenate(Builder& b, const TransposeArgs& a) {
  const int64_t dimension = a.params.Int("dimension");
  Dims sizes;
  for (const LinearOperand& x : a.operands)
    sizes.push_back(x.aval.shape[static_cast<size_t>(dimension)]);
  return ir::Split(b, a.cotangents[0], sizes, dimension);
}

BatchResult BatchConcatenate(Builder& b, const BatchArgs& a) {
  std::vector<Value> xs;
  for (size_t i = 0; i < a.values.size(); ++i) {
    xs.push_back(a.dims[i] == kUnmapped ? ir::Broadcast(b, a.values[i], Dims{a.axis.size})
                                        : ir::MoveAxis(b, a.values[i], a.dims[i], 0));
  }
  return {{ir::Concatenate(b, xs, a.params.Int("dimension") + 1)}, {0}};
}

Types SplitType(const TypeArgs& a) {
  const Aval& x = a.operands[0];
  const Dims sizes = a.params.Ints("sizes");
  const int64_t axis = a.params.Int("axis");
  if (axis < 0 || axis >= Rank(x)) {
    return ValueError(StrCat("axis ", axis, " is out of bounds for array of dimension ", x.rank()));
  }
  const std::string sizes_text = StrCat("[", Join(sizes, ", "), "]");
  int64_t sum = 0;
  bool overflow = false;
  for (const int64_t s : sizes) {
    if (s < 0)
      return ValueError(StrCat("Sizes passed to split must be nonnegative, got ", sizes_text));
    overflow |= __builtin_add_overflow(sum, s, &sum);
  }
  if (overflow || sum != x.shape[static_cast<size_t>(axis)]) {
    return ValueError(StrCat("Sum of sizes ", sum, " must be equal to dimension ", axis,
                             " of the operand shape [", Join(x.shape, ", "), "]"));
  }
  std::vector<Aval> results;
  for (const int64_t s : sizes) {
    results.push_back(x);
    results.back().shape[static_cast<size_t>(axis)] = s;
  }
  return results;
}

std::vector<Value> TransposeSplit(Builder& b, const TransposeArgs& a) {
  std::vector<Value> cts;
  for (size_t i = 0; i < a.cotangents.size(); ++i) {
    cts.push_back(ir::InstantiateZeros(b, a.cotangents[i], a.results[i]));
  }
  return {ir::Concatenate(b, cts, a.params.Int("axis"))};
}

BatchResult BatchSplit(Builder& b, const BatchArgs& a) {
  const int64_t axis = a.params.Int("axis");
  Params params = a.params;
  params.Set("axis", ParamValue::Int(axis >= a.dims[0] ? axis + 1 : axis));
  BatchResult out;
  out.values = b.Emit(a.op, std::move(params), a.values);
  if (!b.ok()) out.values.assign(a.params.Ints("sizes").size(), a.values[0]);
  out.dims.assign(out.values.size(), a.dims[0]);
  return out;
}

// ---- pad ----

// Beyond this, sums of sizes and paddings could leave int64.
constexpr int64_t kMaxPadding = int64_t{1} << 61;

Result<std::vector<IntTuple>> PaddingConfig(const Params& params) {
  std::vector<IntTuple> out;
  for (const ParamValue& v : params["padding_config"].elements()) {
    if (!v.is_sequence() || v.elements().size() != 3) {
      return ValueError("padding_config must hold (low, high, interior) for every dimension");
    }
    for (const ParamValue& e : v.elements()) {
      if (e.kind() != ParamValue::Kind::kInt || e.AsInt() > kMaxPadding ||
          e.AsInt() < -kMaxPadding) {
        return ValueError("padding_config must hold integers between -2^61 and 2^61");
      }
    }
    out.push_back(IntTuple(v));
  }
  return out;
}

Types PadType(const TypeArgs& a) {
  const Aval& x = a.operands[0];
  const Aval& value = a.operands[1];
  ASSIGN_OR_RETURN(const std::vector<IntTuple> config, PaddingConfig(a.params));
  const std::string config_text = a.params["padding_config"].PythonText();
  if (value.rank() != 0) {
    return ValueError(StrCat("padding_value must be a scalar; got np.shape(padding_value)=",
                             TupleText(value.shape)));
  }
  if (config.size() != x.rank()) {
    return ValueError(StrCat(
        "length of padding_config must equal the number of axes of operand, got padding_config ",
        config_text, " for operand shape ", TupleText(x.shape)));
  }
  Shape shape;
  bool negative = false;
  for (size_t i = 0; i < config.size(); ++i) {
    const int64_t interior = config[i][2];
    if (interior < 0) {
      return ValueError(
          StrCat("interior padding in padding_config must be nonnegative, got padding_config ",
                 config_text));
    }
    // Exact: |low|, |high| and interior are bounded, the size is below 2^63.
    const __int128 dilated = x.shape[i] == 0 ? 0 : 1 + (__int128{interior} + 1) * (x.shape[i] - 1);
    const __int128 size = dilated + config[i][0] + config[i][1];
    if (size > INT64_MAX)
      return ValueError(StrCat("pad makes dimension ", i, " larger than 2^63 - 1"));
    negative = negative || size < 0;
    shape.push_back(static_cast<int64_t>(size < INT64_MIN ? INT64_MIN : size));
  }
  if (negative) {
    return ValueError(StrCat("Dimension size after padding is not at least 0, got result shape ",
                             TupleText(shape), ", for padding_config ", config_text,
                             " and operand shape ", TupleText(x.shape)));
  }
  if (x.dtype != value.dtype) {
    return TypeError(StrCat("pad operand and padding_value must be same dtype: got ",
                            DTypeText(x.dtype), " and ", DTypeText(value.dtype), "."));
  }
  return One(x.dtype, AllWeak(a.operands), shape);
}

// The operand's cotangent is cut out of ct; the padding value gets the rest of the sum.
std::vector<Value> TransposePad(Builder& b, const TransposeArgs& a) {
  const Value& ct = a.cotangents[0];
  const std::vector<IntTuple> config = *PaddingConfig(a.params);
  const Dims all = ir::Range(Rank(ct));
  std::vector<Value> out(2);
  if (a.operands[0].linear) {
    std::vector<IntTuple> negated;
    Dims strides;
    for (const IntTuple& p : config) {
      negated.push_back(IntTuple::Numpy(Dims{-p[0], -p[1], 0}));
      strides.push_back(p[2] + 1);
    }
    const Value unpadded = ir::Pad(b, ct, ir::ScalarLike(b, ct, 0), negated);
    // Strides are a tuple, not None, of rank 0 too.
    out[0] = b.Emit1("slice", {unpadded},
                     {{"start_indices", ParamValue::Ints(Dims(config.size(), 0), /*numpy=*/true)},
                      {"limit_indices", ParamValue::Ints(unpadded.shape())},
                      {"strides", ParamValue::Ints(strides, /*numpy=*/true)}});
  }
  if (a.operands[1].linear) {
    const Value total = ir::ReduceSum(b, ct, all);
    // JAX's rule fails here when the operand is not linear; without an operand there is nothing to
    // subtract.
    out[1] = total;
    if (out[0]) {
      const Value inside = ir::ReduceSum(b, out[0], all);
      out[1] = ir::Sub(b, total, inside);
    }
  }
  return out;
}

BatchResult BatchPad(Builder& b, const BatchArgs& a) {
  Value x = a.values[0];
  int dim = a.dims[0];
  if (dim == kUnmapped) {
    dim = 0;
    x = ir::Broadcast(b, x, Dims{a.axis.size});
  }
  std::vector<IntTuple> config = *PaddingConfig(a.params);
  config.insert(config.begin() + dim, IntTuple{0, 0, 0});
  if (a.dims[1] == kUnmapped) return {{ir::Pad(b, x, a.values[1], config)}, {dim}};
  // One padding value per lane: pad with zeros, and choose by a mask that is padded the same way.
  const Value padded = ir::Pad(b, x, ir::ScalarLike(b, x, 0), config);
  const Value ones = ir::Full(b, x.shape(), DType::kBool, 1);
  const Value mask = ir::Pad(b, ones, ir::ScalarOf(b, DType::kBool, 0), config);
  const Value values = ir::BroadcastInDim(b, a.values[1], padded.shape(), Dims{dim});
  return {{ir::Select(b, mask, padded, values)}, {dim}};
}

// ---- slice ----

Types SliceType(const TypeArgs& a) {
  const Aval& x = a.operands[0];
  const Dims start = a.params.Ints("start_indices");
  const Dims limit = a.params.Ints("limit_indices");
  RETURN_IF_ERROR(CheckNonNegative("slice", "start_indices", start));
  RETURN_IF_ERROR(CheckNonNegative("slice", "limit_indices", limit));
  if (start.size() != x.rank()) {
    return TypeError(StrCat(
        "slice start_indices must have length equal to the number of dimensions of the operand, "
        "got indices ",
        TupleText(start), " for operand shape ", TupleText(x.shape), "."));
  }
  if (start.size() != limit.size()) {
    return TypeError(
        StrCat("slice limit_indices must have the same length as start_indices, got start_indices ",
               TupleText(start), " and limit_indices ", TupleText(limit), "."));
  }
  for (size_t i = 0; i < limit.size(); ++i) {
    if (limit[i] > x.shape[i]) {
      return TypeError(StrCat(
          "slice limit_indices must be less than or equal to operand shape, got limit_indices ",
          TupleText(limit), " for operand shape ", TupleText(x.shape), "."));
    }
  }
  for (size_t i = 0; i < limit.size(); ++i) {
    if (limit[i] < start[i]) {
      return TypeError(StrCat(
          "slice limit_indices must be greater than or equal to start_indices, got start_indices ",
          TupleText(start), " and limit_indices ", TupleText(limit), "."));
    }
  }
  const ParamValue& given = a.params["strides"];
  const Dims strides = given.is_none() ? Dims(x.rank(), 1) : given.AsInts();
  RETURN_IF_ERROR(CheckNonNegative("slice", "strides", strides));
  if (strides.size() != x.rank()) {
    return TypeError(StrCat(
        "slice strides must have length equal to the number of dimensions of the operand, got "
        "strides ",
        TupleText(strides), " for operand shape ", TupleText(x.shape), "."));
  }
  Shape shape;
  for (size_t i = 0; i < limit.size(); ++i) {
    if (strides[i] == 0)
      return TypeError(StrCat("slice strides must be positive, got ", TupleText(strides)));
    const int64_t length = limit[i] - start[i];
    shape.push_back(length == 0 ? 0 : (length - 1) / strides[i] + 1);
  }
  return Reshaped(x, shape);
}

std::vector<Value> TransposeSlice(Builder& b, const TransposeArgs& a) {
  const Value& ct = a.cotangents[0];
  const Shape& shape = a.operands[0].aval.shape;
  const ir::ParamValues& start = a.params["start_indices"].elements();
  const Dims limit = a.params.Ints("limit_indices");
  const Dims strides =
      a.params["strides"].is_none() ? Dims(shape.size(), 1) : a.params.Ints("strides");
  const bool plain = strides == Dims(shape.size(), 1);
  std::vector<IntTuple> config;
  for (size_t i = 0; i < shape.size(); ++i) {
    const int64_t n = ct.shape()[i];
    const int64_t end =
        plain ? limit[i] : start[i].AsInt() + (n == 0 ? 0 : 1 + (n - 1) * strides[i]);
    config.push_back(
        IntTuple(ParamValue::Tuple({start[i], ParamValue::Int(shape[i] - end, /*numpy=*/true),
                                    ParamValue::Int(strides[i] - 1, /*numpy=*/!plain)})));
  }
  const Value zero = ir::ScalarLike(b, ct, 0);
  return {ir::Pad(b, ct, zero, config)};
}

BatchResult BatchSlice(Builder& b, const BatchArgs& a) {
  const auto dim = static_cast<size_t>(a.dims[0]);
  IntTuple start(a.params["start_indices"]);
  Dims limit = a.params.Ints("limit_indices");
  start.insert(dim, 0);
  limit.insert(dim, a.axis.size);
  IntTuple strides(a.params["strides"]);
  if (!a.params["strides"].is_none()) strides.insert(dim, 1);
  return {{ir::Slice(b, a.values[0], start, limit, strides)}, {a.dims[0]}};
}

// ---- iota, tile ----

Types IotaType(const TypeArgs& a) {
  RETURN_IF_ERROR(CheckUnsharded(a, "sharding"));
  const Shape shape = a.params.Ints("shape");
  const DType dtype = a.params.Type("dtype");
  const int64_t dimension = a.params.Int("dimension");
  RETURN_IF_ERROR(CheckNonNegative("iota", "shape", shape));
  if (!tensor::IsInteger(dtype) && !tensor::IsInexact(dtype)) {
    return TypeError(
        StrCat("iota does not accept dtype ", DTypeText(dtype),
               ". Accepted dtypes are subtypes of integer, floating, complexfloating."));
  }
  if (dimension < 0 || dimension >= static_cast<int64_t>(shape.size())) {
    return ValueError(StrCat("iota dimension must be between 0 and len(shape), got dimension=",
                             dimension, " for shape=", TupleText(shape)));
  }
  return One(dtype, false, shape);
}

Types TileType(const TypeArgs& a) {
  const Aval& x = a.operands[0];
  const Dims reps = a.params.Ints("reps");
  if (reps.size() != x.rank()) {
    return TypeError(StrCat("reps length must be equal to the ndim of x, got len(reps)=",
                            reps.size(), " and x.ndim=", x.rank(), "."));
  }
  RETURN_IF_ERROR(CheckNonNegative("tile", "reps", reps));
  Shape shape = x.shape;
  for (size_t i = 0; i < reps.size(); ++i) {
    if (__builtin_mul_overflow(shape[i], reps[i], &shape[i])) {
      return TypeError(StrCat("tile makes dimension ", i, " larger than 2^63 - 1"));
    }
  }
  return Reshaped(x, shape);
}

std::vector<Value> TransposeTile(Builder& b, const TransposeArgs& a) {
  const Shape& shape = a.operands[0].aval.shape;
  const Dims reps = a.params.Ints("reps");
  Shape split;
  Dims axes;
  for (size_t i = 0; i < reps.size(); ++i) {
    axes.push_back(static_cast<int64_t>(split.size()));
    split.push_back(reps[i]);
    split.push_back(shape[i]);
  }
  return {ir::ReduceSum(b, ir::Reshape(b, a.cotangents[0], split), axes)};
}

BatchResult BatchTile(Builder& b, const BatchArgs& a) {
  Dims reps = a.params.Ints("reps");
  reps.insert(static_cast<size_t>(a.dims[0]), 1);
  return {{b.Emit1("tile", {a.values[0]}, {{"reps", ParamValue::Ints(reps)}})}, {a.dims[0]}};
}

// ---- lowering ----
// Keys carry their words in trailing dimensions, which move along.

// `dims`, then the trailing dimensions of the physical form of `x`.
Dims WithPhysical(const Aval& x, const Dims& dims, int64_t first) {
  return ir::Concat(dims, ir::Range(first, first + lowering::PhysicalRank(x)));
}

Status LowerBroadcastInDim(LowerContext& c) {
  const Aval& out = c.out_aval();
  const Dims dims = WithPhysical(out, c.params().Ints("broadcast_dimensions"), Rank(out));
  c.Out(c.b().BroadcastInDim(c.in(0), c.out_type().shape, dims));
  return OkStatus();
}

Status LowerReshape(LowerContext& c) {
  ValueId x = c.in(0);
  const ParamValue& dimensions = c.params()["dimensions"];
  if (!dimensions.is_none())
    x = c.b().Transpose(x, WithPhysical(c.in_aval(0), dimensions.AsInts(), Rank(c.in_aval(0))));
  c.Out(c.b().Reshape(x, c.out_type().shape));
  return OkStatus();
}

Status LowerSqueeze(LowerContext& c) {
  c.Out(c.b().Reshape(c.in(0), c.out_type().shape));
  return OkStatus();
}

Status LowerTranspose(LowerContext& c) {
  const Aval& out = c.out_aval();
  c.Out(c.b().Transpose(c.in(0), WithPhysical(out, c.params().Ints("permutation"), Rank(out))));
  return OkStatus();
}

Status LowerRev(LowerContext& c) {
  c.Out(c.b().Reverse(c.in(0), c.params().Ints("dimensions")));
  return OkStatus();
}

Status LowerConcatenate(LowerContext& c) {
  c.Out(c.b().Concatenate(c.ins(), c.params().Int("dimension")));
  return OkStatus();
}

// A slice of the leading dimensions; trailing ones are taken whole.
ValueId SliceOf(LowerContext& c, Dims start, Dims limit, Dims strides) {
  const Shape& shape = c.b().shape(c.in(0));
  for (size_t i = start.size(); i < shape.size(); ++i) {
    start.push_back(0);
    limit.push_back(shape[i]);
    strides.push_back(1);
  }
  return c.b().Slice(c.in(0), start, limit, strides);
}

Status LowerSplit(LowerContext& c) {
  const auto axis = static_cast<size_t>(c.params().Int("axis"));
  const size_t rank = c.in_aval(0).rank();
  Dims start(rank, 0);
  Dims limit = c.in_aval(0).shape;
  for (const Aval& part : c.out_avals()) {
    limit[axis] = start[axis] + part.shape[axis];
    c.Out(SliceOf(c, start, limit, Dims(rank, 1)));
    start[axis] = limit[axis];
  }
  return OkStatus();
}

Status LowerPad(LowerContext& c) {
  const std::vector<IntTuple> config = *PaddingConfig(c.params());
  Dims low, high, interior;
  for (const IntTuple& p : config) {
    low.push_back(p[0]);
    high.push_back(p[1]);
    interior.push_back(p[2]);
  }
  c.Out(c.b().Pad(c.in(0), c.in(1), low, high, interior));
  return OkStatus();
}

Status LowerSlice(LowerContext& c) {
  const ParamValue& strides = c.params()["strides"];
  c.Out(SliceOf(c, c.params().Ints("start_indices"), c.params().Ints("limit_indices"),
                strides.is_none() ? Dims(c.in_aval(0).rank(), 1) : strides.AsInts()));
  return OkStatus();
}

Status LowerIota(LowerContext& c) {
  c.Out(c.b().Iota(c.out_type(), c.params().Int("dimension")));
  return OkStatus();
}

Status LowerTile(LowerContext& c) {
  const Dims reps = c.params().Ints("reps");
  const Shape& shape = c.in_aval(0).shape;
  Shape ones, tiled;
  for (size_t i = 0; i < reps.size(); ++i) {
    ones.push_back(1);
    ones.push_back(shape[i]);
    tiled.push_back(reps[i]);
    tiled.push_back(shape[i]);
  }
  const ValueId spread = c.b().Reshape(c.in(0), ones);
  const ValueId repeated =
      c.b().BroadcastInDim(spread, tiled, ir::Range(static_cast<int64_t>(tiled.size())));
  c.Out(c.b().Reshape(repeated, c.out_type().shape));
  return OkStatus();
}

// ---- records ----

using Type = ParamSpec::Type;
using Show = ParamSpec::Show;

constexpr ParamSpec kBroadcastParams[] = {
    {"broadcast_dimensions", Type::kInts, Show::kUnlessDefault, "()"},
    {"shape", Type::kInts, Show::kNever, "()"},
    {"sharding", Type::kAny, Show::kUnlessDefault, "None"},
};
constexpr ParamSpec kReshapeParams[] = {
    {"dimensions", Type::kInts, Show::kAlways, "None"},
    {"new_sizes", Type::kInts},
    {"sharding", Type::kAny, Show::kAlways, "None"},
};
constexpr ParamSpec kTransposeParams[] = {{"permutation", Type::kInts}};
constexpr ParamSpec kDimensionsParams[] = {{"dimensions", Type::kInts}};
constexpr ParamSpec kConcatenateParams[] = {{"dimension", Type::kInt}};
constexpr ParamSpec kSplitParams[] = {{"axis", Type::kInt}, {"sizes", Type::kInts}};
constexpr ParamSpec kPadParams[] = {{"padding_config", Type::kTuple}};
constexpr ParamSpec kSliceParams[] = {
    {"limit_indices", Type::kInts},
    {"start_indices", Type::kInts},
    {"strides", Type::kInts, Show::kAlways, "None"},
};
constexpr ParamSpec kIotaParams[] = {
    {"dimension", Type::kInt},
    {"dtype", Type::kDType},
    {"shape", Type::kInts},
    {"sharding", Type::kAny, Show::kAlways, "None"},
};
constexpr ParamSpec kTileParams[] = {{"reps", Type::kInts}};

constexpr Sample kBroadcastSamples[] = {
    {"{ lambda ; a:f32[3]. let b:f32[2,3,4] = OP[broadcast_dimensions=(1,)] a in (b,) }"},
    {"{ lambda ; a:f32[]. let b:f32[2,3] = OP a in (b,) }"},
    {"{ lambda ; a:f32[1,3]. let b:f32[5,3] = OP[broadcast_dimensions=(0, 1)] a in (b,) }"},
    {"{ lambda ; a:f32[0]. let b:f32[0,2] = OP[broadcast_dimensions=(0,)] a in (b,) }"},
};
constexpr Sample kReshapeSamples[] = {
    {"{ lambda ; a:f32[2,6]. let b:f32[3,4] = OP[dimensions=None new_sizes=(3, 4) sharding=None] a "
     "in (b,) }"},
    {"{ lambda ; a:f32[2,3]. let b:f32[6] = OP[dimensions=(1, 0) new_sizes=(6,) sharding=None] a "
     "in (b,) }"},
    {"{ lambda ; a:f32[]. let b:f32[1] = OP[dimensions=None new_sizes=(1,) sharding=None] a in "
     "(b,) }"},
    {"{ lambda ; a:f32[0,3]. let b:f32[0] = OP[dimensions=None new_sizes=(0,) sharding=None] a in "
     "(b,) }"},
};
constexpr Sample kTransposeSamples[] = {
    {"{ lambda ; a:f32[2,3,5]. let b:f32[5,2,3] = OP[permutation=(2, 0, 1)] a in (b,) }"},
    {"{ lambda ; a:f32[0,3]. let b:f32[3,0] = OP[permutation=(1, 0)] a in (b,) }"},
};
constexpr Sample kRevSamples[] = {
    {"{ lambda ; a:f32[2,3,5]. let b:f32[2,3,5] = OP[dimensions=(0, 2)] a in (b,) }"},
    {"{ lambda ; a:f32[0]. let b:f32[0] = OP[dimensions=(0,)] a in (b,) }"},
};
constexpr Sample kSqueezeSamples[] = {
    {"{ lambda ; a:f32[1,3,1]. let b:f32[3] = OP[dimensions=(0, 2)] a in (b,) }"},
    {"{ lambda ; a:f32[1]. let b:f32[] = OP[dimensions=(0,)] a in (b,) }"},
};
constexpr Sample kConcatenateSamples[] = {
    {"{ lambda ; a:f32[2,3] b:f32[2,4] c:f32[2,0]. let d:f32[2,7] = OP[dimension=1] a b c in (d,) "
     "}"},
    {"{ lambda ; a:f32[1] b:f32[17]. let c:f32[18] = OP[dimension=0] a b in (c,) }"},
};
constexpr Sample kSplitSamples[] = {
    {"{ lambda ; a:f32[2,7]. let b:f32[2,3] c:f32[2,0] d:f32[2,4] = OP[axis=1 sizes=(3, 0, 4)] a "
     "in (b, c, d) }"},
    {"{ lambda ; a:f32[17]. let b:f32[17] = OP[axis=0 sizes=(17,)] a in (b,) }"},
};
constexpr Sample kPadSamples[] = {
    {"{ lambda ; a:f32[3,4] b:f32[]. let c:f32[7,3] = OP[padding_config=((1, 1, 1), (-1, 0, 0))] a "
     "b in (c,) }"},
    {"{ lambda ; a:f32[5] b:f32[]. let c:f32[4] = OP[padding_config=((-2, -3, 1),)] a b in (c,) }"},
    {"{ lambda ; a:f32[0] b:f32[]. let c:f32[3] = OP[padding_config=((1, 2, 3),)] a b in (c,) }"},
};
constexpr Sample kSliceSamples[] = {
    {"{ lambda ; a:f32[4,7]. let b:f32[2,3] = OP[limit_indices=(3, 7) start_indices=(1, 1) "
     "strides=(1, 2)] a in (b,) }"},
    {"{ lambda ; a:f32[4,7]. let b:f32[2,0] = OP[limit_indices=(4, 3) start_indices=(2, 3) "
     "strides=None] a in (b,) }"},
    {"{ lambda ; a:f32[9]. let b:f32[3] = OP[limit_indices=(8,) start_indices=(0,) strides=(3,)] a "
     "in (b,) }"},
};
constexpr Sample kIotaSamples[] = {
    {"{ lambda ; . let a:f32[3,5] = OP[dimension=1 dtype=float32 shape=(3, 5) sharding=None]  in "
     "(a,) }"},
    {"{ lambda ; . let a:i32[17] = OP[dimension=0 dtype=int32 shape=(17,) sharding=None]  in (a,) "
     "}"},
};
constexpr Sample kTileSamples[] = {
    {"{ lambda ; a:f32[2,3]. let b:f32[6,3] = OP[reps=(3, 1)] a in (b,) }"},
    {"{ lambda ; a:f32[2]. let b:f32[0] = OP[reps=(0,)] a in (b,) }"},
};

constexpr OpDef kOps[] = {
    {.name = "broadcast_in_dim",
     .arity = 1,
     .params = kBroadcastParams,
     .type_rule = BroadcastInDimType,
     .jvp = ir::JvpLinear(),
     .transpose = TransposeBroadcast,
     .batch = ir::BatchFull(BatchBroadcastInDim),
     .forward = ForwardBroadcast,
     .lower = LowerBroadcastInDim,
     .spec = "primitives.md#broadcast_in_dim",
     .samples = kBroadcastSamples},
    {.name = "reshape",
     .arity = 1,
     .params = kReshapeParams,
     .type_rule = ReshapeType,
     .jvp = ir::JvpLinear(),
     .transpose = TransposeReshape,
     .batch = ir::BatchFull(BatchReshape),
     .lower = LowerReshape,
     .spec = "primitives.md#reshape",
     .samples = kReshapeSamples},
    {.name = "transpose",
     .arity = 1,
     .params = kTransposeParams,
     .type_rule = TransposeType,
     .jvp = ir::JvpLinear(),
     .transpose = TransposeTranspose,
     .batch = ir::BatchFull(BatchTranspose),
     .lower = LowerTranspose,
     .spec = "primitives.md#transpose",
     .samples = kTransposeSamples},
    {.name = "rev",
     .arity = 1,
     .params = kDimensionsParams,
     .type_rule = RevType,
     .jvp = ir::JvpLinear(),
     .transpose = TransposeSame,
     .batch = ir::BatchFull(BatchRev),
     .lower = LowerRev,
     .spec = "primitives.md#rev",
     .samples = kRevSamples},
    {.name = "squeeze",
     .arity = 1,
     .params = kDimensionsParams,
     .type_rule = SqueezeType,
     .jvp = ir::JvpLinear(),
     .transpose = TransposeSqueeze,
     .batch = ir::BatchFull(BatchSqueeze),
     .lower = LowerSqueeze,
     .spec = "primitives.md#squeeze",
     .samples = kSqueezeSamples},
    {.name = "concatenate",
     .params = kConcatenateParams,
     .type_rule = ConcatenateType,
     .jvp = ir::JvpLinear(),
     .transpose = TransposeConcatenate,
     .batch = ir::BatchFull(BatchConcatenate),
     .lower = LowerConcatenate,
     .spec = "primitives.md#concatenate",
     .samples = kConcatenateSamples},
    {.name = "split",
     .arity = 1,
     .results = -1,
     .params = kSplitParams,
     .type_rule = SplitType,
     .jvp = ir::JvpLinear(),
     .transpose = TransposeSplit,
     .batch = ir::BatchFull(BatchSplit),
     .lower = LowerSplit,
     .spec = "primitives.md#split",
     .samples = kSplitSamples},
    {.name = "pad",
     .arity = 2,
     .params = kPadParams,
     .type_rule = PadType,
     .jvp = ir::JvpLinear(),
     .transpose = TransposePad,
     .batch = ir::BatchFull(BatchPad),
     .lower = LowerPad,
     .spec = "primitives.md#pad",
     .samples = kPadSamples},
    {.name = "slice",
     .arity = 1,
     .params = kSliceParams,
     .type_rule = SliceType,
     .jvp = ir::JvpLinear(),
     .transpose = TransposeSlice,
     .batch = ir::BatchFull(BatchSlice),
     .lower = LowerSlice,
     .spec = "primitives.md#slice",
     .samples = kSliceSamples},
    {.name = "iota",
     .arity = 0,
     .params = kIotaParams,
     .type_rule = IotaType,
     .jvp = ir::JvpZero(),
     .lower = LowerIota,
     .spec = "primitives.md#iota",
     .samples = kIotaSamples},
    {.name = "tile",
     .arity = 1,
     .params = kTileParams,
     .tier = 2,
     .type_rule = TileType,
     .jvp = ir::JvpLinear(),
     .transpose = TransposeTile,
     .batch = ir::BatchFull(BatchTile),
     .lower = LowerTile,
     .spec = "primitives.md#tile",
     .samples = kTileSamples},
};

}  // namespace

std::span<const OpDef> ShapeOps() { return kOps; }

}  // namespace megalith::ops
