// Reductions, shapes and new arrays of numpy.h.
#include <algorithm>

#include "common/foundation/base/strings.h"
#include "common/programs/ops/rules.h"
#include "common/programs/tracing/numpy.h"
#include "common/programs/tracing/numpy_internal.h"
#include "common/programs/tracing/promotion.h"

namespace megalith::tracing {
namespace {

// An axis in [0, rank), or an error at the builder.
int64_t ResolveAxis(Builder& b, int64_t axis, size_t rank) {
  const auto n = static_cast<int64_t>(rank);
  if (axis >= -n && axis < n) return axis < 0 ? axis + n : axis;
  b.Fail(ValueError(StrCat("axis ", axis, " is out of bounds for array of dimension ", n)));
  return 0;
}

Dims AxesOf(Builder& b, const Axes& axes, size_t rank) {
  if (axes.all) return ir::Range(static_cast<int64_t>(rank));
  const Result<Dims> resolved = ResolveAxes(axes.dims, rank);
  if (resolved.ok()) return *resolved;
  b.Fail(resolved.status());
  return Dims();
}

Value Keep(Builder& b, Value x, const Dims& axes, bool keepdims) {
  return keepdims && !axes.empty() ? ir::ExpandDims(b, x, axes) : x;
}

struct Reduction {
  Value value;
  Dims axes;
};

// f16 and bf16 are summed in f32; booleans are counted.
Value SumValue(Trace& t, Builder& b, Value x, const Dims& axes, bool keepdims) {
  if (tensor::IsBool(x.dtype())) {
    x = ir::ConvertElementType(b, x, t.x64() ? DType::kI64 : DType::kI32);
  }
  const DType own = x.dtype();
  const bool small = tensor::IsFloat(own) && tensor::BitWidth(own) < 32;
  if (small) x = ir::ConvertElementType(b, x, DType::kF32);
  Value out = ir::ReduceSum(b, x, axes);
  out = Keep(b, out, axes, keepdims);
  return small ? ir::ConvertElementType(b, out, own) : out;
}

Array Reduce(std::string_view primitive, const Operand& x, const Axes& axes, bool keepdims,
             bool to_bool = false) {
  return Operation(x.where, [&](Trace& t, Builder& b) {
    Value v = t.Use(x.array, x.where);
    const Dims dims = AxesOf(b, axes, v.rank());
    if (to_bool) v = ir::ConvertElementType(b, v, DType::kBool);
    const Value out = b.Emit1(primitive, {v}, {{"axes", ParamValue::Ints(dims)}});
    return Keep(b, out, dims, keepdims);
  });
}

Array ArgReduce(std::string_view primitive, const Operand& x, std::optional<int64_t> axis) {
  return Operation(x.where, [&](Trace& t, Builder& b) {
    Value v = t.Use(x.array, x.where);
    int64_t at = 0;
    if (axis) {
      at = ResolveAxis(b, *axis, v.rank());
    } else {
      v = ir::Reshape(b, v, Shape{tensor::NumElements(v.shape()).value_or(0)});
    }
    return b.Emit1(primitive, {v},
                   {{"axes", ParamValue::Ints(Dims{at})},
                    {"index_dtype", ParamValue::Type(t.x64() ? DType::kI64 : DType::kI32)}});
  });
}

// A function of one array that JAX jits itself.
template <typename Body>
Value Jitted(Builder& b, std::string_view name, const std::string& key, Value x, Body body) {
  const Values in = {x};
  return ops::EmitJit(b, name, key, in, [&](Builder& inner, std::span<const Value> v) {
    return Values{body(inner, v[0])};
  })[0];
}

}  // namespace

Result<Dims> ResolveAxes(const Dims& axes, size_t rank) {
  const auto n = static_cast<int64_t>(rank);
  Dims out;
  for (const int64_t axis : axes) {
    if (axis < -n || axis >= n) {
      return ValueError(StrCat("axis ", axis, " is out of bounds for array of dimension ", n));
    }
    const int64_t resolved = axis < 0 ? axis + n : axis;
    if (ir::Contains(out, resolved)) {
      return ValueError(StrCat("duplicate value in 'axis': ", tensor::TupleText(axes)));
    }
    out.push_back(resolved);
  }
  std::sort(out.begin(), out.end());
  return out;
}

// ---- reductions ----

Array Sum(Operand x, Axes axes, bool keepdims) {
  return Operation(x.where, [&](Trace& t, Builder& b) {
    const Value v = t.Use(x.array, x.where);
    return SumValue(t, b, v, AxesOf(b, axes, v.rank()), keepdims);
  });
}

Array Mean(Operand x, Axes axes, bool keepdims) {
  return Operation(x.where, [&](Trace& t, Builder& b) {
    Value v = t.Use(x.array, x.where);
    const Dims dims = AxesOf(b, axes, v.rank());
    double count = 1;
    for (const int64_t d : dims) count *= static_cast<double>(v.shape()[static_cast<size_t>(d)]);
    const PromotedType type = InexactType({v.dtype(), false}, t.x64());
    const bool small = tensor::IsFloat(type.dtype) && tensor::BitWidth(type.dtype) < 32;
    v = ir::ConvertElementType(b, v, small ? DType::kF32 : type.dtype,
                               v.aval().weak_type && !small);
    Value sum = ir::ReduceSum(b, v, dims);
    sum = Keep(b, sum, dims, keepdims);
    const Value mean = ir::Div(b, sum, ir::ScalarOf(b, sum.dtype(), count));
    return small ? ir::ConvertElementType(b, mean, type.dtype) : mean;
  });
}

Array Prod(Operand x, Axes axes, bool keepdims) { return Reduce("reduce_prod", x, axes, keepdims); }
Array Max(Operand x, Axes axes, bool keepdims) { return Reduce("reduce_max", x, axes, keepdims); }
Array Min(Operand x, Axes axes, bool keepdims) { return Reduce("reduce_min", x, axes, keepdims); }
Array Any(Operand x, Axes axes, bool keepdims) {
  return Reduce("reduce_or", x, axes, keepdims, true);
}
Array All(Operand x, Axes axes, bool keepdims) {
  return Reduce("reduce_and", x, axes, keepdims, true);
}
Array Argmax(Operand x, std::optional<int64_t> axis) { return ArgReduce("argmax", x, axis); }
Array Argmin(Operand x, std::optional<int64_t> axis) { return ArgReduce("argmin", x, axis); }

Array Cumsum(Operand x, int64_t axis) {
  return Operation(x.where, [&](Trace& t, Builder& b) {
    const Value v = t.Use(x.array, x.where);
    const int64_t at = ResolveAxis(b, axis, v.rank());
    return Jitted(b, "cumsum", StrCat(at), v, [&](Builder& inner, Value in) {
      return inner.Emit1("cumsum", {in},
                         {{"axis", ParamValue::Int(at)}, {"reverse", ParamValue::Bool(false)}});
    });
  });
}

Array Sort(Operand x, int64_t axis) {
  return Operation(x.where, [&](Trace& t, Builder& b) {
    const Value v = t.Use(x.array, x.where);
    const int64_t at = ResolveAxis(b, axis, v.rank());
    return Jitted(b, "sort", StrCat(at), v, [&](Builder& inner, Value in) {
      return inner.Emit1("sort", {in},
                         {{"dimension", ParamValue::Int(at)},
                          {"is_stable", ParamValue::Bool(true)},
                          {"num_keys", ParamValue::Int(1)}});
    });
  });
}

// ---- shapes ----

Array Reshape(Operand x, const Shape& shape) {
  return Operation(x.where, [&](Trace& t, Builder& b) {
    const Value v = t.Use(x.array, x.where);
    const int64_t size = tensor::NumElements(v.shape()).value_or(0);
    int64_t known = 1;
    int64_t unknown = 0;
    for (const int64_t d : shape) {
      unknown += d == -1 ? 1 : 0;
      known *= d == -1 ? 1 : d;
    }
    Shape out = shape;
    if (unknown == 1 && known > 0 && size % known == 0) {
      std::replace(out.begin(), out.end(), int64_t{-1}, size / known);
    } else if (unknown != 0 || known != size) {
      b.Fail(TypeError(StrCat("cannot reshape array of shape ", tensor::TupleText(v.shape()),
                              " (size ", size, ") into shape ", tensor::TupleText(shape), " (size ",
                              known, ")")));
    }
    return v.shape() == out ? v : ir::Reshape(b, v, out);
  });
}

Array Ravel(Operand x) { return Reshape(x, Shape{-1}); }

Array Transpose(Operand x, const Dims& permutation) {
  return Operation(x.where, [&](Trace& t, Builder& b) {
    const Value v = t.Use(x.array, x.where);
    Dims p;
    for (const int64_t axis : permutation) p.push_back(ResolveAxis(b, axis, v.rank()));
    return ir::Transpose(b, v, p);
  });
}

Array Transpose(Operand x) {
  Dims p = ir::Range(static_cast<int64_t>(x.array.rank()));
  std::reverse(p.begin(), p.end());
  return Transpose(x, p);
}

Array SwapAxes(Operand x, int64_t a, int64_t b) {
  return Operation(x.where, [&](Trace& t, Builder& builder) {
    const Value v = t.Use(x.array, x.where);
    const auto i = static_cast<size_t>(ResolveAxis(builder, a, v.rank()));
    const auto j = static_cast<size_t>(ResolveAxis(builder, b, v.rank()));
    Dims p = ir::Range(static_cast<int64_t>(v.rank()));
    std::swap(p[i], p[j]);
    return ir::Transpose(builder, v, p);
  });
}

Array MoveAxis(Operand x, int64_t from, int64_t to) {
  return Operation(x.where, [&](Trace& t, Builder& b) {
    const Value v = t.Use(x.array, x.where);
    const int64_t source = ResolveAxis(b, from, v.rank());
    return ir::MoveAxis(b, v, source, ResolveAxis(b, to, v.rank()));
  });
}

Array ExpandDims(Operand x, Axes axes) {
  return Operation(x.where, [&](Trace& t, Builder& b) {
    const Value v = t.Use(x.array, x.where);
    const Dims dims = AxesOf(b, axes, v.rank() + axes.dims.size());
    return dims.empty() ? v : ir::ExpandDims(b, v, dims);
  });
}

Array Squeeze(Operand x, Axes axes) {
  return Operation(x.where, [&](Trace& t, Builder& b) {
    const Value v = t.Use(x.array, x.where);
    Dims dims;
    if (axes.all) {
      for (size_t i = 0; i < v.rank(); ++i) {
        if (v.shape()[i] == 1) dims.push_back(static_cast<int64_t>(i));
      }
    } else {
      dims = AxesOf(b, axes, v.rank());
    }
    return ir::Squeeze(b, v, dims);
  });
}

Array BroadcastTo(Operand x, const Shape& shape) {
  return Operation(x.where, [&](Trace& t, Builder& b) {
    const Value v = t.Use(x.array, x.where);
    const Result<Shape> common = BroadcastShape(std::vector<Shape>{v.shape(), shape});
    if (!common.ok() || !(*common == shape)) {
      b.Fail(
          ValueError(StrCat("Incompatible shapes for broadcasting: ", tensor::TupleText(v.shape()),
                            " and requested shape ", tensor::TupleText(shape))));
      return v;
    }
    return BroadcastTo(b, v, shape);
  });
}

Array Flip(Operand x, int64_t axis) {
  return Operation(x.where, [&](Trace& t, Builder& b) {
    const Value v = t.Use(x.array, x.where);
    const int64_t at = ResolveAxis(b, axis, v.rank());
    return Jitted(b, "_flip", StrCat(at), v,
                  [&](Builder& inner, Value in) { return ir::Rev(inner, in, {at}); });
  });
}

namespace {
Value EmitConcatenate(Trace& t, Builder& b, const Values& values, int64_t axis) {
  Avals types;
  for (const Value& v : values) types.push_back(v.aval());
  const Result<PromotedType> type = ResultType(types, t.x64());
  if (!type.ok()) {
    b.Fail(type.status());
    return Value();
  }
  Values converted;
  for (const Value& v : values) converted.push_back(ConvertTo(b, v, *type));
  return b.Emit1("concatenate", converted, {{"dimension", ParamValue::Int(axis)}});
}
}  // namespace

Array Concatenate(const Arrays& xs, int64_t axis, Place where) {
  return Operation(where, [&](Trace& t, Builder& b) {
    if (xs.empty()) {
      b.Fail(ValueError("Need at least one array to concatenate."));
      return Value();
    }
    const Values values = t.UseAll(xs);
    if (values[0].rank() == 0)
      b.Fail(ValueError("Zero-dimensional arrays cannot be concatenated."));
    return EmitConcatenate(t, b, values,
                           ResolveAxis(b, axis, std::max<size_t>(values[0].rank(), 1)));
  });
}

Array Stack(const Arrays& xs, int64_t axis, Place where) {
  return Operation(where, [&](Trace& t, Builder& b) {
    if (xs.empty()) {
      b.Fail(ValueError("Need at least one array to stack."));
      return Value();
    }
    Values values = t.UseAll(xs);
    const Shape shape = values[0].shape();
    const int64_t at = ResolveAxis(b, axis, shape.size() + 1);
    for (Value& v : values) {
      if (!(v.shape() == shape)) b.Fail(ValueError("All input arrays must have the same shape."));
      v = ir::ExpandDims(b, v, {at});
    }
    return EmitConcatenate(t, b, values, at);
  });
}

Arrays Split(Operand x, int64_t parts, int64_t axis) {
  return Operations(x.where, [&](Trace& t, Builder& b) {
    const Value v = t.Use(x.array, x.where);
    const int64_t at = ResolveAxis(b, axis, v.rank());
    const int64_t size = v.shape()[static_cast<size_t>(at)];
    if (parts <= 0 || size % parts != 0) {
      b.Fail(ValueError("array split does not result in an equal division"));
      return Values();
    }
    const Dims sizes(static_cast<size_t>(parts), size / parts);
    const Values in = {v};
    return b.EmitN("split", in,
                   {{"sizes", ir::IntTuple::Numpy(sizes).Param()}, {"axis", ParamValue::Int(at)}});
  });
}

// ---- new arrays ----

Array Full(const Shape& shape, Operand value, DType dtype) {
  return Operation(value.where, [&](Trace& t, Builder& b) {
    Operands v(t, {&value});
    const Aval type = v.avals()[0];
    const Value scalar = v.Converted({dtype == DType::kInvalid ? type.dtype : dtype,
                                      dtype == DType::kInvalid && type.weak_type})[0];
    return shape.empty() ? scalar : BroadcastTo(b, scalar, shape);
  });
}

Array Zeros(const Shape& shape, DType dtype, Place where) {
  return Full(shape, Operand(0, where), dtype);
}
Array Ones(const Shape& shape, DType dtype, Place where) {
  return Full(shape, Operand(1, where), dtype);
}

Array ZerosLike(Operand x) {
  return Operation(
      x.where, [&](Trace& t, Builder& b) { return ir::FullLike(b, t.Use(x.array, x.where), 0); });
}
Array OnesLike(Operand x) {
  return Operation(
      x.where, [&](Trace& t, Builder& b) { return ir::FullLike(b, t.Use(x.array, x.where), 1); });
}

Array Arange(int64_t n, DType dtype, Place where) { return Iota(Shape{n}, 0, dtype, where); }

Array Iota(const Shape& shape, int64_t dimension, DType dtype, Place where) {
  return Operation(where, [&](Trace&, Builder& b) { return ir::Iota(b, dtype, shape, dimension); });
}

}  // namespace megalith::tracing
