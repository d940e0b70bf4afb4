#include "common/programs/ops/factor_programs.h"

#include <algorithm>

#include "common/programs/ops/indexing.h"
#include "common/programs/ops/linalg.h"
#include "common/programs/ops/loops.h"

namespace megalith::ops {
namespace {

// x[..., :rows, :columns].
Value Leading(Builder& b, Value x, int64_t rows, int64_t columns) {
  if (!b.ok()) return x;
  Dims limit = x.shape();
  limit[x.rank() - 2] = rows;
  limit[x.rank() - 1] = columns;
  return limit == x.shape() ? x : ir::Slice(b, x, Dims(x.rank(), 0), limit);
}

// x[i] and x[from:] along the first dimension, for constants.
Value ElementOf(Builder& b, Value x, int64_t i) {
  if (!b.ok()) return x;
  Dims start(x.rank(), 0);
  Dims limit = x.shape();
  start[0] = i;
  limit[0] = i + 1;
  return ir::Squeeze(b, ir::Slice(b, x, start, limit), Dims{0});
}
Value TailOf(Builder& b, Value x, int64_t from) {
  if (!b.ok() || from == 0) return x;
  Dims start(x.rank(), 0);
  start[0] = from;
  return ir::Slice(b, x, start, x.shape());
}

std::vector<Value> EmptyQr(Builder& b, Value x, bool full, bool pivoting) {
  const Shape batch(std::span<const int64_t>(x.shape()).first(x.rank() - 2));
  const int64_t m = x.shape()[x.rank() - 2];
  const int64_t n = x.shape()[x.rank() - 1];
  const int64_t k = full ? m : std::min(m, n);
  const auto last = static_cast<int64_t>(batch.size());
  const Value eye = Eye(b, x.dtype(), m, k);
  const Value q = ir::BroadcastInDim(b, eye, ir::Concat(batch, Dims{m, k}), Dims{last, last + 1});
  std::vector<Value> out = {q, ir::Full(b, ir::Concat(batch, Dims{k, n}), x.dtype(), 0)};
  if (pivoting) out.push_back(ir::Full(b, ir::Concat(batch, Dims{n}), DType::kI32, 0));
  return out;
}

// ---- tridiagonal systems ----

// One system; the Thomas algorithm. Divisions and products in JAX's order.
Value SolveTridiagonal(Builder& b, std::span<const Value> v) {
  const Value dl = v[0], d = v[1], du = v[2], rhs = v[3];
  const int64_t n = d.shape()[0];
  const Value du0 = ElementOf(b, du, 0);
  const Value first_c = ir::Div(b, du0, ElementOf(b, d, 0));
  const Value rhs0 = ElementOf(b, rhs, 0);
  const Value first_d = ir::Div(b, rhs0, ElementOf(b, d, 0));
  const Value dl_tail = TailOf(b, dl, 1);
  const Value d_tail = TailOf(b, d, 1);
  const Value du_tail = TailOf(b, du, 1);
  const Value rhs_tail = TailOf(b, rhs, 1);
  const auto forward = [](Builder& f, std::span<const Value> in) {
    const Value cp = in[0], dp = in[1], below = in[2], diagonal = in[3], above = in[4],
                right = in[5];
    const Value pivot = ir::Sub(f, diagonal, ir::Mul(f, below, cp));
    const Value next_c = ir::Div(f, above, pivot);
    const Value rest = ir::Sub(f, right, ir::Mul(f, below, dp));
    const Value pivot_again = ir::Sub(f, diagonal, ir::Mul(f, below, cp));
    return std::vector<Value>{next_c, ir::Div(f, rest, pivot_again), cp, dp};
  };
  const std::vector<Value> eliminated = EmitScan(
      b, n - 1, {first_c, first_d}, {dl_tail, d_tail, du_tail, rhs_tail}, false, 32, forward);
  if (!b.ok()) return rhs;
  const auto backward = [](Builder& f, std::span<const Value> in) {
    return std::vector<Value>{ir::Sub(f, in[2], ir::Mul(f, in[1], in[0])), in[0]};
  };
  const std::vector<Value> solved =
      EmitScan(b, n - 1, {eliminated[1]}, {eliminated[2], eliminated[3]}, true, 32, backward);
  if (!b.ok()) return rhs;
  const Value parts[] = {ir::ExpandDims(b, solved[0], Dims{0}), solved[1]};
  return ir::Concatenate(b, parts, 0);
}

// ---- cholesky_update ----

// Cosine and sine of the rotation that makes y zero, for y != 0.
std::vector<Value> RotationProgram(Builder& b, std::span<const Value> v) {
  const Value abs_x = ir::Unary(b, "abs", v[0]);
  const Value abs_y = ir::Unary(b, "abs", v[1]);
  const Value larger = ir::Binary(b, "gt", abs_x, abs_y);
  const Value scale = ir::Select(b, larger, abs_x, abs_y);
  const Value x = ir::Div(b, v[0], scale);
  const Value y = ir::Div(b, v[1], scale);
  const Value xx = ir::IntegerPow(b, x, 2);
  const Value yy = ir::IntegerPow(b, y, 2);
  const Value norm = ir::Unary(b, "sqrt", ir::Add(b, xx, yy));
  const Value inverse = ir::Div(b, ir::ScalarOf(b, norm.dtype(), 1), norm);
  const Value c = ir::Mul(b, x, inverse);
  return {c, ir::Mul(b, ir::Neg(b, y), inverse)};
}

std::vector<Value> RotationOrNone(Builder& b, Value x, Value y) {
  const Value none = b.Emit1("eq", {y, ir::ScalarOf(b, y.dtype(), 0)});
  const Value index = ir::ConvertElementType(b, none, DType::kI32);
  if (!b.ok()) return {x, y};
  const auto identity = [](Builder& f, std::span<const Value> v) {
    return std::vector<Value>{ir::ScalarOf(f, v[0].dtype(), 1), ir::ScalarOf(f, v[0].dtype(), 0)};
  };
  const Value like[] = {x, y};
  std::vector<Value> captured;
  const Result<ir::JaxprPtr> rotate = TraceNested(b.session(), like, RotationProgram, &captured);
  const Result<ir::JaxprPtr> keep = TraceNested(b.session(), like, identity, &captured);
  b.Fail(rotate.status());
  b.Fail(keep.status());
  if (!b.ok()) return {x, y};
  const Value operands[] = {index, x, y};
  std::vector<Value> out =
      b.EmitN("cond", operands,
              {{"branches",
                ParamValue::Tuple({ParamValue::SubJaxpr(*rotate), ParamValue::SubJaxpr(*keep)})}});
  return b.ok() ? out : std::vector<Value>{x, y};
}

}  // namespace

std::vector<Value> QrProgram(Builder& b, Value x, const Params& params) {
  const int64_t m = x.shape()[x.rank() - 2];
  const int64_t n = x.shape()[x.rank() - 1];
  const bool full = params.Bool("full_matrices");
  const bool pivoting = params.Bool("pivoting");
  if (m == 0 || n == 0) return EmptyQr(b, x, full, pivoting);
  std::vector<Value> packed;
  Value order;
  if (pivoting) {
    const Shape batch(std::span<const int64_t>(x.shape()).first(x.rank() - 2));
    const Value free = ir::Full(b, ir::Concat(batch, Dims{n}), DType::kI32, 0);
    const Value operands[] = {x, free};
    packed = b.EmitN("geqp3", operands, {{"use_magma", params["use_magma"]}});
    if (!b.ok()) return {};
    order = ir::Sub(b, packed[1], b.Lit(Literal::Int(DType::kI32, 1)));
  } else {
    packed = b.EmitN("geqrf", {&x, 1});
    if (!b.ok()) return {};
  }
  Value r = packed[0];
  const Value taus = packed.back();
  Value q = r;
  if (m < n) {
    q = Leading(b, r, m, m);
  } else if (full) {
    std::vector<ir::Padding> config(x.rank());
    config.back().high = m - n;
    q = ir::Pad(b, r, ir::ScalarLike(b, r, 0), config);
  }
  q = b.Emit1("householder_product", {q, taus});
  if (m >= n && !full) r = Leading(b, r, n, n);
  r = Triu(b, r);
  if (pivoting) return {q, r, order};
  return {q, r};
}

Value TridiagonalSolveProgram(Builder& b, std::span<const Value> operands) {
  const Shape& shape = operands[1].shape();
  if (shape[shape.size() - 1] == 0) return operands[3];
  const Shape batch(std::span<const int64_t>(shape).first(shape.size() - 1));
  const std::vector<Value> out = OverBatch(b, operands, {true, true, true, true}, batch,
                                           [](Builder& inner, std::span<const Value> v) {
                                             return std::vector<Value>{SolveTridiagonal(inner, v)};
                                           });
  return out[0];
}

Value CholeskyUpdateProgram(Builder& b, Value r, Value w) {
  const int64_t n = w.shape()[0];
  for (int64_t k = 0; k < n && b.ok(); ++k) {
    const Value pivot = ir::Squeeze(b, ir::Slice(b, r, Dims{k, k}, Dims{k + 1, k + 1}), Dims{0, 1});
    const std::vector<Value> rotation = RotationOrNone(b, pivot, ElementOf(b, w, k));
    const Value c = rotation[0];
    const Value s = rotation[1];
    const Value row = ElementOf(b, r, k);
    const Value c_row = ir::Mul(b, c, row);
    const Value s_w = ir::Mul(b, s, w);
    const Value new_row = ir::Sub(b, c_row, s_w);
    const Value c_w = ir::Mul(b, c, w);
    const Value s_row = ir::Mul(b, s, row);
    w = ir::Add(b, c_w, s_row);
    const Value index = ir::Broadcast(b, b.Lit(Literal::Int(DType::kI32, k)), Dims{1});
    r = Scatter(b, "scatter", r, index, new_row, {{0}, {0}, {0}},
                {.mode = IndexMode::kFillOrDrop, .sorted = true, .unique = true});
  }
  return r;
}

Value SymmetricProductProgram(Builder& b, Value a, Value c, double alpha, double beta) {
  const Value transposed = MatrixTranspose(b, a);
  const Value product = DotHighest(b, a, transposed);
  const Value scaled = ir::Mul(b, ir::ScalarOf(b, a.dtype(), alpha), product);
  const Value kept = ir::Mul(b, ir::ScalarOf(b, c.dtype(), beta), c);
  return ir::Add(b, scaled, kept);
}

}  // namespace megalith::ops
