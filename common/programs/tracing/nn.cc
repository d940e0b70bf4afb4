#include "common/programs/tracing/nn.h"

#include <cmath>

#include "common/foundation/base/strings.h"
#include "common/programs/ops/rules.h"
#include "common/programs/tracing/custom.h"
#include "common/programs/tracing/numpy_internal.h"
#include "common/programs/tracing/promotion.h"
#include "common/programs/tracing/transforms.h"

namespace megalith::tracing {
namespace {

using ir::Literal;

// The largest elements along axes, kept as dimensions, without a derivative.
Value StoppedMax(Builder& b, Value x, const Dims& axes) {
  const Value largest = b.Emit1("reduce_max", {x}, {{"axes", ParamValue::Ints(axes)}});
  const Value floor = b.Lit(Literal::Float(x.dtype(), -INFINITY));
  const Value bounded = b.Emit1("max", {floor, largest});
  const Value kept = ir::ExpandDims(b, bounded, axes);
  return b.Emit1("stop_gradient", {kept});
}

Dims ResolvedAxes(Builder& b, const Axes& axes, size_t rank) {
  if (axes.all) return ir::Range(static_cast<int64_t>(rank));
  const Result<Dims> dims = ResolveAxes(axes.dims, rank);
  if (!dims.ok()) b.Fail(dims.status());
  return dims.ok() ? *dims : Dims();
}

}  // namespace

Array Relu(Operand x) {
  static const Function jitted = Jit(Named("relu", [](Array v) { return Maximum(v, 0); }));
  static const Function relu = CustomJvp(
      Named("relu", [](Array v) { return jitted(v); }), Named("jvp", [](Array v, Array tangent) {
        const Array value = Relu(v);
        const Array positive = v > 0;
        const Array zero = ZerosLike(tangent);
        return std::tuple{value, lax::Select(positive, tangent, zero)};
      }));
  return relu(x.array);
}

Array Silu(Operand x) {
  static const Function silu = Jit(Named("silu", [](Array v) {
    Array gate = Sigmoid(v);
    return v * gate;
  }));
  return silu(x.array);
}

Array Gelu(Operand x) {
  const Array v = x.array;
  const double scale = std::sqrt(2.0 / M_PI);
  const Array cube = 0.044715 * Pow(Operand(v, x.where), 3);
  const Array tanh = Tanh(scale * (v + cube));
  return v * (0.5 * (1.0 + tanh));
}

Array Softplus(Operand x) {
  static const Function softplus =
      Jit(Named("softplus", [](Array v) { return Logaddexp(v, 0.0); }));
  return softplus(x.array);
}

Array Softmax(Operand x, Axes axes) {
  return Operation(x.where, [&](Trace& t, Builder& b) {
    const Value v = t.Use(x.array, x.where);
    const Dims dims = ResolvedAxes(b, axes, v.rank());
    const Value shift = StoppedMax(b, v, dims);
    const Value shifted = b.Emit1("sub", {v, shift});
    const Value unnormalized = b.Emit1("exp", {shifted});
    const Value sum = ir::ReduceSum(b, unnormalized, dims);
    const Value kept = ir::ExpandDims(b, sum, dims);
    return b.Emit1("div", {unnormalized, kept});
  });
}

Array LogSoftmax(Operand x, Axes axes) {
  return Operation(x.where, [&](Trace& t, Builder& b) {
    const Value v = t.Use(x.array, x.where);
    const Dims dims = ResolvedAxes(b, axes, v.rank());
    const Values in = {v};
    return ops::EmitJit(b, "log_softmax", tensor::TupleText(dims), in,
                        [&](Builder& inner, std::span<const Value> operands) {
                          const Value shift = StoppedMax(inner, operands[0], dims);
                          const Value shifted = inner.Emit1("sub", {operands[0], shift});
                          const Value exps = inner.Emit1("exp", {shifted});
                          const Value sum = ir::ReduceSum(inner, exps, dims);
                          const Value kept = ir::ExpandDims(inner, sum, dims);
                          const Value log = inner.Emit1("log", {kept});
                          return Values{inner.Emit1("sub", {shifted, log})};
                        })[0];
  });
}

Array LogSumExp(Operand x, Axes axes, bool keepdims) {
  return Operation(x.where, [&](Trace& t, Builder& b) {
    const Value v = t.Use(x.array, x.where);
    const Dims dims = ResolvedAxes(b, axes, v.rank());
    Value largest = b.Emit1("reduce_max", {v}, {{"axes", ParamValue::Ints(dims)}});
    largest = b.Emit1("max", {b.Lit(Literal::Float(v.dtype(), -INFINITY)), largest});
    if (keepdims) largest = ir::ExpandDims(b, largest, dims);
    const Value finite = b.Emit1("is_finite", {largest});
    const Value zero = ir::Full(b, largest.shape(), v.dtype(), 0);
    const Value chosen = ir::Select(b, finite, largest, zero);
    const Value shift = b.Emit1("stop_gradient", {chosen});
    const Value wide = keepdims ? shift : ir::ExpandDims(b, shift, dims);
    const Value shifted = b.Emit1("sub", {v, wide});
    const Value exps = b.Emit1("exp", {shifted});
    Value sum = ir::ReduceSum(b, exps, dims);
    if (keepdims) sum = ir::ExpandDims(b, sum, dims);
    b.Emit1("sign", {sum});  // lax computes the sign of a signed sum, here and unused
    const Value magnitude = b.Emit1("abs", {sum});
    const Value log = b.Emit1("log", {magnitude});
    return b.Emit1("add", {log, shift});
  });
}

Array OneHot(Operand x, int64_t classes, DType dtype) {
  return Operation(x.where, [&](Trace& t, Builder& b) {
    const Values in = {t.Use(x.array, x.where)};
    const std::string key = StrCat(classes, " ", tensor::Name(dtype));
    return ops::EmitJit(b, "_one_hot", key, in,
                        [&](Builder& inner, std::span<const Value> operands) {
                          const auto last = static_cast<int64_t>(operands[0].rank());
                          const Value column = ir::ExpandDims(inner, operands[0], {last});
                          Shape shape(operands[0].rank(), 1);
                          shape.push_back(classes);
                          const Value numbers = ir::Iota(inner, operands[0].dtype(), shape, last);
                          const Value equal = inner.Emit1("eq", {column, numbers});
                          return Values{ir::ConvertElementType(inner, equal, dtype)};
                        })[0];
  });
}

}  // namespace megalith::tracing
