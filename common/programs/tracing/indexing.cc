#include "common/programs/tracing/indexing.h"

#include <algorithm>
#include <limits>

#include "common/foundation/base/strings.h"
#include "common/programs/ops/indexing.h"
#include "common/programs/ops/rules.h"
#include "common/programs/tracing/numpy_internal.h"
#include "common/programs/tracing/promotion.h"

namespace megalith::tracing {
namespace {

using ir::Literal;

// A negative index of an array counts from the end: select(i < 0, i + size, i).
Value Wrapped(Builder& b, Value index, int64_t size) {
  const DType dtype = index.dtype();
  const Value negative = b.Emit1("lt", {index, b.Lit(Literal::Int(dtype, 0))});
  const Value shifted = b.Emit1("add", {index, b.Lit(Literal::Int(dtype, size))});
  return b.Emit1("select_n", {negative, index, shifted});
}

// Start indices of one integer type; numbers are resolved here, arrays when the program runs.
Values StartIndices(Trace& t, Builder& b, const Value& x, const Arrays& starts,
                    const Place& where) {
  if (starts.size() != x.rank()) {
    b.Fail(ValueError(StrCat("Length of slice indices must match number of operand dimensions (",
                             starts.size(), " vs ", tensor::TupleText(x.shape()), ")")));
    return {};
  }
  DType dtype = t.x64() ? DType::kI64 : DType::kI32;
  for (const Array& s : starts) {
    if (!s.number() && tensor::IsInteger(s.dtype())) dtype = s.dtype();
  }
  Values out;
  for (size_t i = 0; i < starts.size(); ++i) {
    const int64_t size = x.shape()[i];
    if (const auto& n = starts[i].number()) {
      out.push_back(b.Scalar(Literal::Int(dtype, n->integer < 0 ? n->integer + size : n->integer)));
    } else {
      const Value v = t.Use(starts[i], where);
      out.push_back(tensor::IsUnsigned(v.dtype()) ? v : Wrapped(b, v, size));
    }
  }
  return out;
}

// What jnp.take gives outside: NaN, the smallest signed or the largest unsigned integer, true.
ParamValue FillValue(DType dtype) {
  const int bits = tensor::BitWidth(dtype);
  if (tensor::IsInexact(dtype)) return ParamValue::Float(std::numeric_limits<double>::quiet_NaN());
  if (tensor::IsBool(dtype)) return ParamValue::Bool(true);
  if (tensor::IsSigned(dtype)) return ParamValue::Int(INT64_MIN >> (64 - bits));
  return tensor::IsUnsigned(dtype) && bits < 64 ? ParamValue::Int((int64_t{1} << bits) - 1)
                                                : ParamValue();
}

Value TakeBody(Trace& t, Builder& b, Value x, Value indices, std::optional<int64_t> axis,
               TakeMode mode) {
  if (!axis) {
    x = ir::Reshape(b, x, Shape{tensor::NumElements(x.shape()).value_or(0)});
    axis = 0;
  }
  const auto at = static_cast<size_t>(*axis);
  if (mode == TakeMode::kFill && !tensor::IsUnsigned(indices.dtype())) {
    const Literal zero = Literal::Int(indices.dtype(), 0);
    const Value negative = b.Emit1("lt", {indices, b.Lit(zero)});
    const Value shifted =
        b.Emit1("add", {indices, b.Lit(Literal::Int(indices.dtype(), x.shape()[at]))});
    indices = EmitWhere(t, b, negative, shifted, indices);
  }
  const auto rank = static_cast<int64_t>(indices.rank());
  ops::GatherNumbers numbers;
  Dims offset;
  Dims sizes = x.shape();
  for (int64_t i = 0; i < static_cast<int64_t>(x.rank()); ++i) {
    if (i != *axis) offset.push_back(i < *axis ? i : i + rank - 1);
  }
  sizes[at] = 1;
  numbers.offset_dims = offset;
  numbers.collapsed_slice_dims = Dims{*axis};
  numbers.start_index_map = Dims{*axis};
  ops::IndexOptions options;
  options.mode = mode == TakeMode::kFill ? ops::IndexMode::kFillOrDrop : ops::IndexMode::kClip;
  if (mode == TakeMode::kFill) options.fill_value = FillValue(x.dtype());
  const Value vectors = ir::ExpandDims(b, indices, {rank});
  return ops::Gather(b, x, vectors, numbers, sizes, options);
}

Value IndexLeading(Trace& t, Builder& b, Value x, const Operand& index) {
  if (x.rank() == 0) {
    b.Fail(Status::WithClass(Code::kInvalidArgument, "IndexError",
                             "Too many indices: array is 0-dimensional"));
    return x;
  }
  const int64_t size = x.shape()[0];
  if (const auto& n = index.array.number()) {
    const int64_t i = n->integer < 0 ? n->integer + size : n->integer;
    if (i < 0 || i >= size) {
      b.Fail(Status::WithClass(
          Code::kInvalidArgument, "IndexError",
          StrCat("index ", n->integer, " is out of bounds for axis 0 with size ", size)));
      return x;
    }
    Dims start(x.rank(), 0);
    Dims limit = x.shape();
    start[0] = i;
    limit[0] = i + 1;
    return ir::Squeeze(b, ir::Slice(b, x, start, limit), {0});
  }
  const Value i = t.Use(index.array, index.where);
  if (!tensor::IsInteger(i.dtype())) {
    b.Fail(TypeError(StrCat("Indexer must have integer or boolean type, got indexer with type ",
                            tensor::NumpyName(i.dtype()))));
    return x;
  }
  const Value wrapped = Wrapped(b, i, size);
  if (i.rank() == 0) {
    Values operands = {x, wrapped};
    Dims sizes = x.shape();
    sizes[0] = 1;
    // jnp computes the other starts from 0 by the same steps.
    for (size_t d = 1; d < x.rank(); ++d) {
      operands.push_back(Wrapped(b, b.Lit(Literal::Int(i.dtype(), 0)), x.shape()[d]));
    }
    const Value box =
        b.Emit1("dynamic_slice", operands, {{"slice_sizes", ParamValue::Ints(sizes)}});
    return ir::Squeeze(b, box, {0});
  }
  const auto rank = static_cast<int64_t>(i.rank());
  ops::GatherNumbers numbers;
  numbers.offset_dims = ir::Range(rank, rank + static_cast<int64_t>(x.rank()) - 1);
  numbers.collapsed_slice_dims = Dims{0};
  numbers.start_index_map = Dims{0};
  Dims sizes = x.shape();
  sizes[0] = 1;
  const Value vectors = ir::ExpandDims(b, wrapped, {rank});
  return ops::Gather(b, x, vectors, numbers, sizes, {});
}

}  // namespace

Array Array::operator[](Operand index) const {
  return Operation(index.where, [&](Trace& t, Builder& b) {
    return IndexLeading(t, b, t.Use(*this, index.where), index);
  });
}

Array Slice(Operand x, std::initializer_list<Range> ranges) {
  return Operation(x.where, [&](Trace& t, Builder& b) {
    const Value v = t.Use(x.array, x.where);
    if (ranges.size() > v.rank()) {
      b.Fail(Status::WithClass(
          Code::kInvalidArgument, "IndexError",
          StrCat("Too many indices: ", v.rank(), "-dimensional array indexed with ", ranges.size(),
                 " regular indices.")));
      return v;
    }
    Dims start(v.rank(), 0);
    Dims limit = v.shape();
    Dims strides(v.rank(), 1);
    size_t i = 0;
    bool strided = false;
    for (const Range& r : ranges) {
      const int64_t size = v.shape()[i];
      const auto place = [&](int64_t p) {
        return std::clamp<int64_t>(p < 0 ? p + size : p, 0, size);
      };
      start[i] = place(r.begin.value_or(0));
      limit[i] = std::max(start[i], place(r.end.value_or(size)));
      strides[i] = r.step;
      if (r.step < 1) b.Fail(ValueError(StrCat("slice step must be positive, got ", r.step)));
      strided = strided || r.step != 1;
      ++i;
    }
    if (!strided && start == Dims(v.rank(), 0) && limit == v.shape()) return v;
    return ir::Slice(b, v, start, limit, strided ? ir::IntTuple(strides) : ir::IntTuple());
  });
}

Array Take(Operand x, Operand indices, std::optional<int64_t> axis, TakeMode mode) {
  return Operation(x.where, [&](Trace& t, Builder& b) {
    const Value v = t.Use(x.array, x.where);
    const Value i = t.Use(indices.array, indices.where);
    if (axis) {
      const Result<Dims> resolved = ResolveAxes(Dims{*axis}, v.rank());
      if (!resolved.ok()) {
        b.Fail(resolved.status());
        return v;
      }
      axis = (*resolved)[0];
    }
    if (!tensor::IsInteger(i.dtype())) {
      b.Fail(TypeError("take requires an integer array as indices"));
      return v;
    }
    const Values in = {v, i};
    const std::string key = StrCat(axis ? *axis : -1, mode == TakeMode::kFill ? " fill" : " clip");
    return ops::EmitJit(b, "_take", key, in, [&](Builder& inner, std::span<const Value> operands) {
      return Values{TakeBody(t, inner, operands[0], operands[1], axis, mode)};
    })[0];
  });
}

Array DynamicSlice(Operand x, const Arrays& starts, const Shape& sizes) {
  return Operation(x.where, [&](Trace& t, Builder& b) {
    Values operands = {t.Use(x.array, x.where)};
    const Values indices = StartIndices(t, b, operands[0], starts, x.where);
    operands.insert(operands.end(), indices.begin(), indices.end());
    return b.Emit1("dynamic_slice", operands, {{"slice_sizes", ParamValue::Ints(sizes)}});
  });
}

Array DynamicUpdateSlice(Operand x, Operand update, const Arrays& starts) {
  return Operation(x.where, [&](Trace& t, Builder& b) {
    Values operands = {t.Use(x.array, x.where), t.Use(update.array, update.where)};
    const Values indices = StartIndices(t, b, operands[0], starts, x.where);
    operands.insert(operands.end(), indices.begin(), indices.end());
    return b.Emit1("dynamic_update_slice", operands);
  });
}

Array DynamicIndex(Operand x, Operand index, int64_t axis, bool keepdims) {
  return Operation(x.where, [&](Trace& t, Builder& b) {
    const Value v = t.Use(x.array, x.where);
    const Result<Dims> at = ResolveAxes(Dims{axis}, v.rank());
    if (!at.ok()) {
      b.Fail(at.status());
      return v;
    }
    Arrays starts(v.rank(), Array(0));
    starts[static_cast<size_t>((*at)[0])] = index.array;
    Dims sizes = v.shape();
    sizes[static_cast<size_t>((*at)[0])] = 1;
    Values operands = {v};
    const Values indices = StartIndices(t, b, v, starts, index.where);
    operands.insert(operands.end(), indices.begin(), indices.end());
    const Value box =
        b.Emit1("dynamic_slice", operands, {{"slice_sizes", ParamValue::Ints(sizes)}});
    return keepdims ? box : ir::Squeeze(b, box, *at);
  });
}

}  // namespace megalith::tracing
