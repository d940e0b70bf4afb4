#include "common/programs/ir/emit.h"

#include <algorithm>

#include "common/foundation/base/strings.h"

namespace megalith::ir {

Value ScalarOf(Builder& b, DType dtype, double value, bool weak) {
  if (dtype == DType::kFloat0) return b.Lit(Literal::Float0());
  if (dtype == DType::kInvalid || tensor::IsKey(dtype)) {
    b.Fail(TypeError(StrCat("there is no number of type ",
                            dtype == DType::kInvalid ? "none" : tensor::Name(dtype))));
    dtype = DType::kF32;
  }
  return b.Lit(Literal::Float(dtype, value, weak));
}

namespace {
// The dtypes Python numbers have, in either 64-bit mode.
bool IsPythonDType(DType d) {
  return tensor::IsBool(d) || d == DType::kI32 || d == DType::kI64 || d == DType::kF32 ||
         d == DType::kF64 || tensor::IsComplex(d);
}
}  // namespace

Value ScalarLike(Builder& b, Value x, double value) {
  return ScalarOf(b, x.dtype(), value,
                  x.rank() == 0 && x.aval().weak_type && IsPythonDType(x.dtype()));
}

Value WeakScalarLike(Builder& b, Value x, double value) {
  return ScalarOf(b, x.dtype(), value, x.aval().weak_type);
}

Value Full(Builder& b, const Shape& shape, DType dtype, double value, bool weak) {
  const Value scalar = ScalarOf(b, dtype, value, weak);
  if (shape.empty()) return b.Scalar(scalar.literal());
  return b.Emit1(
      "broadcast_in_dim", {scalar},
      {{"shape", ParamValue::Ints(shape)}, {"broadcast_dimensions", ParamValue::Ints(Dims{})}});
}

Value FullLike(Builder& b, Value x, double value) {
  return Full(b, x.shape(), x.dtype(), value, x.aval().weak_type);
}

Value Zeros(Builder& b, const Aval& aval) {
  return Full(b, aval.shape, aval.dtype, 0, aval.weak_type);
}

Value InstantiateZeros(Builder& b, Value tangent, const Aval& primal) {
  return tangent ? tangent : Zeros(b, primal.Tangent());
}

Value Unary(Builder& b, std::string_view op, Value x) { return b.Emit1(op, {x}); }
Value Binary(Builder& b, std::string_view op, Value x, Value y) { return b.Emit1(op, {x, y}); }
Value Add(Builder& b, Value x, Value y) { return b.Emit1("add", {x, y}); }
Value Sub(Builder& b, Value x, Value y) { return b.Emit1("sub", {x, y}); }
Value Mul(Builder& b, Value x, Value y) { return b.Emit1("mul", {x, y}); }
Value Div(Builder& b, Value x, Value y) { return b.Emit1("div", {x, y}); }
Value Neg(Builder& b, Value x) { return b.Emit1("neg", {x}); }

Value AddTangents(Builder& b, Value x, Value y) {
  if (!x) return y;
  if (!y) return x;
  return b.Emit1("add_any", {x, y});
}

Value Select(Builder& b, Value pred, Value on_true, Value on_false) {
  return b.Emit1("select_n", {pred, on_false, on_true});
}

Value ConvertElementType(Builder& b, Value x, DType dtype, bool weak) {
  if (x.dtype() == dtype && x.aval().weak_type == weak) return x;
  return b.Emit1("convert_element_type", {x},
                 {{"new_dtype", ParamValue::Type(dtype)}, {"weak_type", ParamValue::Bool(weak)}});
}

Value IntegerPow(Builder& b, Value x, int64_t y) {
  return b.Emit1("integer_pow", {x}, {{"y", ParamValue::Int(y)}});
}

Value Conj(Builder& b, Value x) {
  return b.Emit1("conj", {x}, {{"input_dtype", ParamValue::Type(x.dtype())}});
}

Value BroadcastInDim(Builder& b, Value x, const Shape& shape,
                     const IntTuple& broadcast_dimensions) {
  if (shape.empty() && x.rank() == 0) return x;
  return b.Emit1(
      "broadcast_in_dim", {x},
      {{"shape", ParamValue::Ints(shape)}, {"broadcast_dimensions", broadcast_dimensions.Param()}});
}

Value Broadcast(Builder& b, Value x, const Dims& sizes) {
  if (sizes.empty()) return x;
  Shape shape = sizes;
  for (const int64_t d : x.shape()) shape.push_back(d);
  const auto n = static_cast<int64_t>(sizes.size());
  return BroadcastInDim(b, x, shape, Range(n, n + static_cast<int64_t>(x.rank())));
}

Value ExpandDims(Builder& b, Value x, const Dims& dimensions) {
  if (!b.ok()) return x;
  Dims sorted = dimensions;
  std::sort(sorted.begin(), sorted.end());
  Shape shape = x.shape();
  for (const int64_t d : sorted) {
    if (d < 0 || static_cast<size_t>(d) > shape.size()) {
      b.Fail(Internal("expand_dims beyond the rank"));
      return x;
    }
    shape.insert(static_cast<size_t>(d), 1);
  }
  Dims kept;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (!Contains(sorted, static_cast<int64_t>(i))) kept.push_back(static_cast<int64_t>(i));
  }
  return BroadcastInDim(b, x, shape, kept);
}

Value Reshape(Builder& b, Value x, const Shape& shape) {
  if (x.rank() > 0 && x.shape() == shape) return x;
  return b.Emit1("reshape", {x}, {{"new_sizes", ParamValue::Ints(shape)}});
}

Value Reshape(Builder& b, Value x, const Shape& shape, const Dims& dimensions) {
  if (dimensions == Range(static_cast<int64_t>(x.rank()))) return Reshape(b, x, shape);
  return b.Emit1(
      "reshape", {x},
      {{"new_sizes", ParamValue::Ints(shape)}, {"dimensions", ParamValue::Ints(dimensions)}});
}

Value Squeeze(Builder& b, Value x, const Dims& dimensions) {
  if (dimensions.empty()) return x;
  Dims sorted = dimensions;
  std::sort(sorted.begin(), sorted.end());
  return b.Emit1("squeeze", {x}, {{"dimensions", ParamValue::Ints(sorted)}});
}

Value Transpose(Builder& b, Value x, const Dims& permutation) {
  if (permutation == Range(static_cast<int64_t>(x.rank()))) return x;
  return b.Emit1("transpose", {x}, {{"permutation", ParamValue::Ints(permutation)}});
}

Value MoveAxis(Builder& b, Value x, int64_t from, int64_t to) {
  if (from == to || !b.ok()) return x;
  Dims permutation;
  for (size_t i = 0; i < x.rank(); ++i) {
    if (static_cast<int64_t>(i) != from) permutation.push_back(static_cast<int64_t>(i));
  }
  permutation.insert(static_cast<size_t>(to), from);
  return Transpose(b, x, permutation);
}

Value ReduceSum(Builder& b, Value x, const Dims& axes) {
  return b.Emit1("reduce_sum", {x}, {{"axes", ParamValue::Ints(axes)}});
}

Value Slice(Builder& b, Value x, const IntTuple& start, const Dims& limit,
            const IntTuple& strides) {
  return b.Emit1("slice", {x},
                 {{"start_indices", start.Param()},
                  {"limit_indices", ParamValue::Ints(limit)},
                  {"strides", strides.size() == 0 ? ParamValue::None() : strides.Param()}});
}

Value Iota(Builder& b, DType dtype, const Shape& shape, int64_t dimension) {
  return b.Emit1("iota", std::span<const Value>(),
                 {{"dtype", ParamValue::Type(dtype)},
                  {"shape", ParamValue::Ints(shape)},
                  {"dimension", ParamValue::Int(dimension)}});
}

Value Rev(Builder& b, Value x, const Dims& dimensions) {
  return b.Emit1("rev", {x}, {{"dimensions", ParamValue::Ints(dimensions)}});
}

Value Concatenate(Builder& b, std::span<const Value> xs, int64_t dimension) {
  if (xs.size() == 1) return xs[0];
  return b.Emit1("concatenate", xs, {{"dimension", ParamValue::Int(dimension)}});
}

std::vector<Value> Split(Builder& b, Value x, const Dims& sizes, int64_t axis) {
  std::vector<Value> parts = b.EmitN(
      "split", {&x, 1}, {{"sizes", ParamValue::Ints(sizes)}, {"axis", ParamValue::Int(axis)}});
  if (!b.ok()) parts.assign(sizes.size(), x);
  return parts;
}

Value Pad(Builder& b, Value x, Value padding_value, std::span<const Padding> config) {
  std::vector<IntTuple> dims;
  for (const Padding& p : config) dims.push_back({p.low, p.high, p.interior});
  return Pad(b, x, padding_value, dims);
}

Value Pad(Builder& b, Value x, Value padding_value, std::span<const IntTuple> config) {
  ParamValues dims;
  for (const IntTuple& p : config) dims.push_back(p.Param());
  return b.Emit1("pad", {x, padding_value},
                 {{"padding_config", ParamValue::Tuple(std::move(dims))}});
}

ParamValue DotDimsParam(const DotDims& dims) {
  const auto list = [](const Dims& d) {
    ParamValues values;
    for (const int64_t i : d) values.push_back(ParamValue::Int(i));
    return ParamValue::List(std::move(values));
  };
  return ParamValue::Tuple({ParamValue::Tuple({list(dims.lhs_contract), list(dims.rhs_contract)}),
                            ParamValue::Tuple({list(dims.lhs_batch), list(dims.rhs_batch)})});
}

Value MatMul(Builder& b, Value x, Value y) {
  const auto rank = static_cast<int64_t>(x.rank());
  const Dims batch = Range(rank - 2);
  return DotGeneral(b, x, y, {Dims{rank - 1}, Dims{rank - 2}, batch, batch});
}

Value DotGeneral(Builder& b, Value x, Value y, const DotDims& dims, ParamValue precision,
                 ParamValue preferred_element_type) {
  return b.Emit1("dot_general", {x, y},
                 {{"dimension_numbers", DotDimsParam(dims)},
                  {"precision", std::move(precision)},
                  {"preferred_element_type", std::move(preferred_element_type)}});
}

Value BroadcastAxis(Builder& b, Value x, int64_t size, int64_t axis) {
  if (!b.ok()) return x;
  Shape shape = x.shape();
  shape.insert(static_cast<size_t>(axis), size);
  Dims dims;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (static_cast<int64_t>(i) != axis) dims.push_back(static_cast<int64_t>(i));
  }
  return BroadcastInDim(b, x, shape, IntTuple::Numpy(dims));
}

Value BatchAtFront(Builder& b, Value x, int dim, int64_t size) {
  return dim == kUnmapped ? BroadcastAxis(b, x, size, 0) : MoveAxis(b, x, dim, 0);
}

Dims Range(int64_t begin, int64_t end) {
  Dims out;
  for (int64_t i = begin; i < end; ++i) out.push_back(i);
  return out;
}
Dims Range(int64_t n) { return Range(0, n); }

Dims Shifted(std::span<const int64_t> dims, int64_t by) {
  Dims out;
  for (const int64_t d : dims) out.push_back(d + by);
  return out;
}

Dims PastBatchDim(std::span<const int64_t> dims, int64_t batch_dim) {
  Dims out;
  for (const int64_t d : dims) out.push_back(d < batch_dim ? d : d + 1);
  return out;
}

Dims Concat(std::span<const int64_t> a, std::span<const int64_t> b) {
  Dims out(a);
  for (const int64_t d : b) out.push_back(d);
  return out;
}

Dims Without(std::span<const int64_t> dims, std::span<const int64_t> positions) {
  Dims out;
  for (size_t i = 0; i < dims.size(); ++i) {
    if (!Contains(positions, static_cast<int64_t>(i))) out.push_back(dims[i]);
  }
  return out;
}

bool Contains(std::span<const int64_t> dims, int64_t d) {
  return std::find(dims.begin(), dims.end(), d) != dims.end();
}

Dims InversePermutation(std::span<const int64_t> p) {
  Dims out(p.size(), 0);
  for (size_t i = 0; i < p.size(); ++i) out[static_cast<size_t>(p[i])] = static_cast<int64_t>(i);
  return out;
}

}  // namespace megalith::ir
