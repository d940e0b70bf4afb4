// Branches and loops.
#include "common/programs/ops/loops.h"
#include "common/programs/raising/context.h"

namespace megalith::raising {
namespace {

using stablehlo::Op;
using stablehlo::Region;

// ---- branches ----

Status RaiseBranches(RaiseContext& c, const Value& index, std::span<const Region* const> branches) {
  const std::vector<ValueId> ids = c.Captures();
  Values operands{index};
  for (const ValueId v : ids) operands.push_back(c.ValueOf(v));
  std::vector<ir::JaxprPtr> jaxprs;
  for (const Region* branch : branches) {
    std::vector<Value> consts;
    ASSIGN_OR_RETURN(ir::JaxprPtr jaxpr,
                     ops::TraceNested(
                         c.b().session(), std::span<const Value>(operands).subspan(1),
                         [&](Builder& b, std::span<const Value> in) {
                           return c.InlineOver(b, *branch, {}, ids, in);
                         },
                         &consts));
    if (!consts.empty()) return Internal("a branch uses values that were not passed to it");
    jaxprs.push_back(std::move(jaxpr));
  }
  c.Out(c.b().EmitN("cond", operands, {{"branches", ParamValue::SubJaxprs(jaxprs)}}));
  return OkStatus();
}

Status RaiseCase(RaiseContext& c) {
  std::vector<const Region*> branches;
  for (const Region& r : c.op().regions) branches.push_back(&r);
  return RaiseBranches(c, c.in(0), branches);
}

// The branch for true comes first here and second there.
Status RaiseIf(RaiseContext& c) {
  const Value index = ir::ConvertElementType(c.b(), c.in(0), DType::kI32);
  const Region* const branches[] = {&c.op().regions[1], &c.op().regions[0]};
  return RaiseBranches(c, index, branches);
}

// ---- loops ----

// A whole number that is known: a literal, possibly one from around the loop.
std::optional<int64_t> KnownNumber(const RaiseContext& c, ValueId v) {
  const Value& value = c.ValueOf(v);
  if (!value || !value.is_literal() || !tensor::IsInteger(value.dtype())) return std::nullopt;
  return value.literal().AsInt();
}

// How often a loop runs that counts one of its values up by one to a constant; nullopt for others.
std::optional<int64_t> TripCount(const RaiseContext& c) {
  const Region& cond = c.op().regions[0];
  const Region& body = c.op().regions[1];
  if (cond.ops.size() != 2 || cond.ops[0].name() != "stablehlo.compare") return std::nullopt;
  const Op& compare = cond.ops[0];
  if (cond.ops[1].operands[0] != compare.result() ||
      compare.attr("comparison_direction").AsEnum() !=
          static_cast<int>(stablehlo::CompareDirection::kLt))
    return std::nullopt;
  const auto counter = std::find(cond.args.begin(), cond.args.end(), compare.operands[0]);
  if (counter == cond.args.end()) return std::nullopt;
  const auto at = static_cast<size_t>(counter - cond.args.begin());
  const std::optional<int64_t> limit = KnownNumber(c, compare.operands[1]);
  const std::optional<int64_t> start = KnownNumber(c, c.op().operands[at]);
  const Op* step = c.Definition(body.ops.back().operands[at]);
  if (!limit || !start || step == nullptr || step->name() != "stablehlo.add") return std::nullopt;
  const bool first = step->operands[0] == body.args[at];
  if (!first && step->operands[1] != body.args[at]) return std::nullopt;
  if (KnownNumber(c, step->operands[first ? 1 : 0]) != 1) return std::nullopt;
  return std::max<int64_t>(0, *limit - *start);
}

Status RaiseWhile(RaiseContext& c) {
  const Values init(c.ins().begin(), c.ins().end());
  const auto part = [&](size_t region) {
    return [&c, region](Builder& b, std::span<const Value> carry) {
      return c.Inline(b, c.op().regions[region], carry);
    };
  };
  if (const std::optional<int64_t> trips = TripCount(c)) {
    c.Out(ops::EmitScan(c.b(), *trips, init, {}, /*reverse=*/false, /*unroll=*/1, part(1)));
  } else {
    c.Out(ops::WhileLoop(c.b(), init, part(0), part(1)));
  }
  return OkStatus();
}

// ---- others ----

Status RaiseBarrier(RaiseContext& c) {
  c.Out(c.b().EmitN("optimization_barrier", c.ins()));
  return OkStatus();
}

constexpr RaiseDef kRules[] = {
    {"stablehlo.case", RaiseCase},
    {"stablehlo.if", RaiseIf},
    {"stablehlo.while", RaiseWhile},
    {"stablehlo.optimization_barrier", RaiseBarrier},
};

}  // namespace

std::span<const RaiseDef> ControlRules() { return kRules; }

}  // namespace megalith::raising
