#include "common/programs/batching/batching.h"

#include <algorithm>

#include "common/foundation/base/strings.h"
#include "common/programs/ir/emit.h"

namespace megalith::batching {

using ir::Aval;
using ir::AxisData;
using ir::BatchArgs;
using ir::BatchResult;
using ir::BatchRule;
using ir::Builder;
using ir::Dims;
using ir::JaxprPtr;
using ir::kUnmapped;
using ir::Value;

namespace {

BatchResult Unbatched(Builder& b, const BatchArgs& a) {
  BatchResult out;
  out.values = b.Emit(a.op, a.params, a.values);
  out.dims.assign(out.values.size(), kUnmapped);
  return out;
}

// Rank-n operands get the batch dimension first (size 1 if they have none); the primitive
// broadcasts the rest.
BatchResult Broadcasting(Builder& b, const BatchArgs& a) {
  size_t first = 0;
  while (a.dims[first] == kUnmapped) ++first;
  const int dim = a.dims[first];
  bool agree = true;
  for (size_t i = 0; i < a.values.size(); ++i) {
    if (a.values[i].rank() == 0) continue;
    agree = agree && a.values[i].shape() == a.values[first].shape() && a.dims[i] == dim;
  }
  BatchResult out;
  if (agree) {
    out.values = b.Emit(a.op, a.params, a.values);
    out.dims.assign(out.values.size(), dim);
    return out;
  }
  std::vector<Value> args;
  size_t rank = 0;
  for (size_t i = 0; i < a.values.size(); ++i) {
    args.push_back(a.values[i].rank() == 0 ? a.values[i]
                                           : ir::BatchAtFront(b, a.values[i], a.dims[i], 1));
    rank = std::max(rank, args.back().rank());
  }
  for (size_t i = 0; i < args.size(); ++i) {
    if (a.dims[i] == kUnmapped || args[i].rank() == rank) continue;
    args[i] = ir::ExpandDims(
        b, args[i], ir::Range(static_cast<int64_t>(args[i].rank()), static_cast<int64_t>(rank)));
  }
  out.values = b.Emit(a.op, a.params, args);
  out.dims.assign(out.values.size(), 0);
  return out;
}

BatchResult Reducer(Builder& b, const BatchArgs& a) {
  const int dim = a.dims[0];
  Dims axes;
  int out_dim = dim;
  for (const int64_t axis : a.params.Ints("axes")) {
    axes.push_back(axis < dim ? axis : axis + 1);
    if (axis < dim) --out_dim;
  }
  ir::Params params = a.params;
  params.Set("axes", ir::ParamValue::Ints(axes, /*numpy=*/true));
  BatchResult out;
  out.values = b.Emit(a.op, std::move(params), a.values);
  out.dims.assign(out.values.size(), out_dim);
  return out;
}

std::string DimsKey(const std::vector<int>& dims) { return Join(dims, ","); }

}  // namespace

BatchResult BatchEqn(Builder& b, const BatchArgs& a) {
  const bool unbatched =
      std::all_of(a.dims.begin(), a.dims.end(), [](int d) { return d == kUnmapped; });
  if (unbatched && !a.op.batch.always) return Unbatched(b, a);
  switch (a.op.batch.kind) {
    case BatchRule::Kind::kMissing:
      break;
    case BatchRule::Kind::kElementwise: {
      BatchResult out;
      out.values = b.Emit(a.op, a.params, a.values);
      out.dims.assign(out.values.size(), a.dims[0]);
      return out;
    }
    case BatchRule::Kind::kBroadcasting:
      return Broadcasting(b, a);
    case BatchRule::Kind::kReducer:
      return Reducer(b, a);
    case BatchRule::Kind::kFull:
      return a.op.batch.full(b, a);
  }
  b.Fail(NotImplementedError(StrCat("Batching rule for '", a.op.name, "' not implemented")));
  return {};
}

BatchResult EvalBatched(Builder& b, const ir::Jaxpr& jaxpr, std::span<const Value> consts,
                        std::span<const Value> values, std::span<const int> dims,
                        const AxisData& axis) {
  std::vector<Value> env(jaxpr.num_vars());
  std::vector<int> dim_env(jaxpr.num_vars(), kUnmapped);
  const std::vector<Value> all_consts = b.BindConsts(jaxpr, consts);
  for (size_t i = 0; i < all_consts.size(); ++i) env[jaxpr.constvars()[i]] = all_consts[i];
  for (size_t i = 0; i < values.size(); ++i) {
    env[jaxpr.invars()[i]] = values[i];
    dim_env[jaxpr.invars()[i]] = dims[i];
  }
  std::vector<Value> xs;
  std::vector<int> ds;
  for (const ir::Eqn& eqn : jaxpr.eqns()) {
    xs.clear();
    ds.clear();
    for (const ir::Atom a : jaxpr.operands(eqn)) {
      xs.push_back(a.is_literal() ? b.Lit(jaxpr.literal(a)) : env[a.var()]);
      ds.push_back(a.is_literal() ? kUnmapped : dim_env[a.var()]);
    }
    const BatchResult results = BatchEqn(b, BatchArgs{*eqn.op, *eqn.params, xs, ds, axis});
    if (!b.ok()) return {};
    for (uint32_t r = 0; r < eqn.num_results; ++r) {
      env[eqn.first_result + r] = results.values[r];
      dim_env[eqn.first_result + r] = results.dims[r];
    }
  }
  BatchResult out;
  for (const ir::Atom a : jaxpr.outs()) {
    out.values.push_back(a.is_literal() ? b.Lit(jaxpr.literal(a)) : env[a.var()]);
    out.dims.push_back(a.is_literal() ? kUnmapped : dim_env[a.var()]);
  }
  return out;
}

Aval BatchedAval(const Aval& aval, int dim, int64_t size) {
  Aval out = aval;
  if (dim != kUnmapped) out.shape.insert(static_cast<size_t>(dim), size);
  return out;
}

Value MatchAxis(Builder& b, Value x, int from, int to, int64_t size) {
  if (from == to) return x;
  if (from == kUnmapped) return ir::BroadcastAxis(b, x, size, to);
  return ir::MoveAxis(b, x, from, to);
}

Result<BatchedJaxpr> BatchJaxpr(ir::Session& session, const JaxprPtr& jaxpr,
                                const std::vector<int>& in_dims, const AxisData& axis) {
  const std::string key = StrCat("batch ", axis.size, " ", axis.name, " ", DimsKey(in_dims));
  if (const auto* done = session.Find<BatchedJaxpr>(jaxpr, key)) return *done;
  Builder b(session);
  std::vector<Value> inputs;
  for (size_t i = 0; i < in_dims.size(); ++i) {
    inputs.push_back(b.Input(BatchedAval(jaxpr->aval(jaxpr->invars()[i]), in_dims[i], axis.size)));
  }
  const BatchResult results = EvalBatched(b, *jaxpr, {}, inputs, in_dims, axis);
  RETURN_IF_ERROR(b.status());
  BatchedJaxpr out;
  out.out_dims = results.dims;
  ASSIGN_OR_RETURN(out.jaxpr, b.Finish(results.values));
  return session.Remember(jaxpr, key, std::move(out));
}

Result<BatchedJaxpr> BatchJaxprTo(ir::Session& session, const JaxprPtr& jaxpr,
                                  const std::vector<int>& in_dims, const AxisData& axis,
                                  const std::vector<OutDim>& dests) {
  std::string key = StrCat("batchto ", axis.size, " ", axis.name, " ", DimsKey(in_dims), " :");
  for (const OutDim& d : dests) StrAppend(&key, " ", static_cast<int>(d.kind), ".", d.dim);
  if (const auto* done = session.Find<BatchedJaxpr>(jaxpr, key)) return *done;
  Builder b(session);
  std::vector<Value> inputs;
  for (size_t i = 0; i < in_dims.size(); ++i) {
    inputs.push_back(b.Input(BatchedAval(jaxpr->aval(jaxpr->invars()[i]), in_dims[i], axis.size)));
  }
  BatchResult results = EvalBatched(b, *jaxpr, {}, inputs, in_dims, axis);
  RETURN_IF_ERROR(b.status());
  BatchedJaxpr out;
  for (size_t i = 0; i < results.values.size(); ++i) {
    int to = results.dims[i];
    switch (dests[i].kind) {
      case OutDim::Kind::kAt:
        to = dests[i].dim;
        break;
      case OutDim::Kind::kZeroIfMapped:
        to = results.dims[i] == kUnmapped ? kUnmapped : 0;
        break;
      case OutDim::Kind::kUnmapped:
        if (results.dims[i] != kUnmapped) return Internal("an output that must not be batched is");
        break;
    }
    results.values[i] = MatchAxis(b, results.values[i], results.dims[i], to, axis.size);
    out.out_dims.push_back(to);
  }
  ASSIGN_OR_RETURN(out.jaxpr, b.Finish(results.values));
  return session.Remember(jaxpr, key, std::move(out));
}

}  // namespace megalith::batching
