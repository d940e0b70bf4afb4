#include "common/programs/ops/scan_loop.h"

#include "common/programs/staging/jaxpr_ops.h"

namespace megalith::ops {
namespace {

class ScanLoop {
 public:
  ScanLoop(Builder& b, const Params& params, DType index_type)
      : b_(b),
        scan_(params),
        reverse_(params.Bool("reverse")),
        unroll_(params.Int("unroll")),
        index_(index_type) {}

  std::vector<Value> Emit(std::span<const Value> operands) {
    const std::vector<Value> consts = Slice(operands, 0, scan_.num_consts);
    std::vector<Value> carry = Slice(operands, scan_.num_consts, scan_.first_x());
    std::vector<Value> xs = Slice(operands, scan_.first_x(), operands.size());
    int64_t trips = unroll_ == 0 ? 0 : scan_.length / unroll_;
    int64_t remainder = unroll_ == 0 ? scan_.length : scan_.length % unroll_;
    if (unroll_ != 1 && trips == 1 && remainder == 0) {
      trips = 0;
      remainder = scan_.length;
    }
    std::vector<Value> rest;
    if (unroll_ != 1 && remainder > 0) {
      const int64_t cut = reverse_ ? remainder : trips * unroll_;
      for (Value& x : xs) {
        const Value head = SliceLeading(x, 0, cut);
        const Value tail = SliceLeading(x, cut, scan_.length);
        rest.push_back(reverse_ ? head : tail);
        x = reverse_ ? tail : head;
      }
    }
    std::vector<Value> ys = EmptyResults(trips);
    if (unroll_ != 1 && trips > 0) {
      for (Value& x : xs) x = Regroup(x, {trips, unroll_}, 1);
    }
    if (trips > 0) Loop(trips, consts, xs, &carry, &ys);
    if (unroll_ != 1 && trips > 0) {
      for (Value& y : ys) y = Regroup(y, {trips * unroll_}, 2);
    }
    if (remainder > 0 && unroll_ != 1) {
      const std::vector<Value> more = Steps(b_, remainder, consts, &carry, rest);
      for (size_t i = 0; i < ys.size(); ++i) {
        const Value first = reverse_ ? more[i] : ys[i];
        const Value second = reverse_ ? ys[i] : more[i];
        ys[i] = b_.Emit1("concatenate", {first, second}, {{"dimension", ParamValue::Int(0)}});
      }
    }
    Append(&carry, ys);
    return carry;
  }

 private:
  Value SliceLeading(Value x, int64_t begin, int64_t end) {
    Dims start(x.rank(), 0);
    Dims limit = x.shape();
    start[0] = begin;
    limit[0] = end;
    return ir::Slice(b_, x, start, limit);
  }
  // Replaces the first `drop` dimensions by `lead`.
  Value Regroup(Value x, const Dims& lead, size_t drop) {
    Shape shape = lead;
    for (size_t i = drop; i < x.rank(); ++i) shape.push_back(x.shape()[i]);
    return ir::Reshape(b_, x, shape);
  }
  std::vector<Value> EmptyResults(int64_t trips) {
    std::vector<Value> out;
    for (size_t i = 0; i < scan_.num_ys; ++i) {
      const Aval y = scan_.body->aval(scan_.body->outs()[scan_.num_carry + i]);
      Shape shape = unroll_ == 1 ? Shape{scan_.length}
                    : trips > 0  ? Shape{trips, unroll_}
                                 : Shape{0};
      for (const int64_t d : y.shape) shape.push_back(d);
      out.push_back(ir::Full(b_, shape, y.dtype, 0));
    }
    return out;
  }
  std::vector<Value> Body(Builder& b, std::span<const Value> consts, std::span<const Value> carry,
                          std::span<const Value> x) {
    std::vector<Value> operands(consts.begin(), consts.end());
    operands.insert(operands.end(), carry.begin(), carry.end());
    operands.insert(operands.end(), x.begin(), x.end());
    return b.EmitN("closed_call", operands, {{"call_jaxpr", ParamValue::SubJaxpr(scan_.body)}});
  }
  // n steps written out, over sequences of n elements; gives the stacked results.
  std::vector<Value> Steps(Builder& b, int64_t n, std::span<const Value> consts,
                           std::vector<Value>* carry, std::span<const Value> xs) {
    std::vector<std::vector<Value>> ys(scan_.num_ys, std::vector<Value>(static_cast<size_t>(n)));
    for (int64_t k = 0; k < n && b.ok(); ++k) {
      const int64_t i = reverse_ ? n - k - 1 : k;
      std::vector<Value> x;
      for (const Value& v : xs) {
        Dims start(v.rank(), 0);
        Dims limit = v.shape();
        start[0] = i;
        limit[0] = i + 1;
        const Value element = ir::Slice(b, v, start, limit);
        x.push_back(ir::Squeeze(b, element, {0}));
      }
      const std::vector<Value> out = Body(b, consts, *carry, x);
      if (!b.ok()) return {};
      *carry = megalith::ops::Slice(out, 0, scan_.num_carry);
      for (size_t y = 0; y < scan_.num_ys; ++y)
        ys[y][static_cast<size_t>(i)] = out[scan_.num_carry + y];
    }
    std::vector<Value> stacked;
    for (std::vector<Value>& column : ys) {
      for (Value& v : column) v = ir::ExpandDims(b, v, {0});
      stacked.push_back(b.Emit1("concatenate", column, {{"dimension", ParamValue::Int(0)}}));
    }
    return stacked;
  }
  std::vector<Value> Index(Builder& b, Value i, size_t rank) {
    std::vector<Value> out(rank, ir::ScalarOf(b, index_, 0));
    out[0] = i;
    return out;
  }

  void Loop(int64_t trips, std::span<const Value> consts, std::span<const Value> xs,
            std::vector<Value>* carry, std::vector<Value>* ys) {
    ir::Session& session = b_.session();
    std::vector<Value> init = {ir::ScalarOf(b_, index_, 0)};
    Append(&init, *carry);
    Append(&init, *ys);
    Builder body(session);
    Builder cond(session);
    std::vector<Value> in;
    for (const Value& v : init) {
      in.push_back(body.Input(v.aval()));
      const Value c = cond.Input(v.aval());
      if (in.size() == 1) in_cond_ = c;
    }
    const Value step = in[0];
    Value i = step;
    if (reverse_) {
      i = ir::Sub(body, ir::ScalarOf(body, index_, static_cast<double>(trips)), step);
      i = ir::Sub(body, i, ir::ScalarOf(body, index_, 1));
    }
    std::vector<Value> x;
    for (const Value& v : xs) {
      std::vector<Value> operands = {v};
      Append(&operands, Index(body, i, v.rank()));
      Dims sizes = v.shape();
      sizes[0] = 1;
      const Value element =
          body.Emit1("dynamic_slice", operands, {{"slice_sizes", ParamValue::Ints(sizes)}});
      x.push_back(ir::Squeeze(body, element, {0}));
    }
    std::vector<Value> next_carry = megalith::ops::Slice(in, 1, 1 + scan_.num_carry);
    std::vector<Value> y;
    if (unroll_ == 1) {
      const std::vector<Value> out = Body(body, consts, next_carry, x);
      if (!body.ok()) return b_.Fail(body.status());
      next_carry = megalith::ops::Slice(out, 0, scan_.num_carry);
      y = megalith::ops::Slice(out, scan_.num_carry, out.size());
    } else {
      y = Steps(body, unroll_, consts, &next_carry, x);
    }
    std::vector<Value> outs;
    for (size_t k = 0; k < y.size(); ++k) {
      std::vector<Value> operands = {in[1 + scan_.num_carry + k], ir::ExpandDims(body, y[k], {0})};
      Append(&operands, Index(body, i, operands[0].rank()));
      outs.push_back(body.Emit1("dynamic_update_slice", operands));
    }
    std::vector<Value> body_outs = {ir::Add(body, step, ir::ScalarOf(body, index_, 1))};
    Append(&body_outs, next_carry);
    Append(&body_outs, outs);
    const Value more =
        cond.Emit1("lt", {in_cond_, ir::ScalarOf(cond, index_, static_cast<double>(trips))});
    std::vector<Value> captured;
    const auto body_jaxpr = body.Finish(body_outs, &captured);
    const auto cond_jaxpr = cond.Finish(std::vector<Value>{more});
    if (!body_jaxpr.ok()) return b_.Fail(body_jaxpr.status());
    if (!cond_jaxpr.ok()) return b_.Fail(cond_jaxpr.status());
    std::vector<Value> operands = captured;
    Append(&operands, init);
    const std::vector<Value> out =
        b_.EmitN("while", operands,
                 {{"body_jaxpr", ParamValue::SubJaxpr(staging::ConstsToInputs(*body_jaxpr))},
                  {"body_nconsts", ParamValue::Int(static_cast<int64_t>(captured.size()))},
                  {"cond_jaxpr", ParamValue::SubJaxpr(*cond_jaxpr)},
                  {"cond_nconsts", ParamValue::Int(0)}});
    if (!b_.ok()) return;
    *carry = megalith::ops::Slice(out, 1, 1 + scan_.num_carry);
    *ys = megalith::ops::Slice(out, 1 + scan_.num_carry, out.size());
  }

  Builder& b_;
  Scan scan_;
  bool reverse_;
  int64_t unroll_;
  DType index_;
  Value in_cond_;
};

}  // namespace

std::vector<Value> EmitScanLoop(Builder& b, const Params& params, DType index_type,
                                std::span<const Value> operands) {
  return ScanLoop(b, params, index_type).Emit(operands);
}

}  // namespace megalith::ops
