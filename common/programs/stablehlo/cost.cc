#include "common/programs/stablehlo/cost.h"

#include <algorithm>
#include <unordered_map>

#include "common/programs/stablehlo/op_def.h"

namespace megalith::stablehlo {
namespace {

double Elements(const Func& func, ValueId v) {
  return static_cast<double>(std::max<int64_t>(ElementCount(func.type(v)), 0));
}
double Bytes(const Func& func, ValueId v) {
  return static_cast<double>(std::max<int64_t>(ByteCount(func.type(v)), 0));
}

OpCost Times(OpCost cost, double n) {
  return {cost.flops * n, cost.transcendentals * n, cost.bytes * n};
}

// The value of an integer constant scalar defined in `region`, as counted loops have it.
bool ConstantInt(const Region& region, ValueId v, int64_t* out) {
  for (const Op& op : region.ops) {
    if (!op.def->has(kConstantLike) || op.first_result != v) continue;
    const Dense& d = op.attr("value").AsDense();
    if (!tensor::IsInteger(d.type.dtype) || ElementCount(d.type) != 1) return false;
    *out = d.data.IntAt(0);
    return true;
  }
  return false;
}

class Estimator {
 public:
  Estimator(const Module& module, CostEstimate* estimate) : module_(module), estimate_(estimate) {}

  struct Total {
    OpCost cost;
    double peak = 0;  // bytes alive at once
  };

  Total OfFunc(const Func& func) {
    if (const auto it = done_.find(&func); it != done_.end()) return it->second;
    return done_[&func] = OfRegion(func.body, func, {});
  }

 private:
  using Scopes = std::vector<const Region*>;

  // Trip count of `for i = start; i < bound; i += step` written as a while; 0 if the loop has
  // another form.
  double TripCount(const Op& loop, const Func& func, Scopes scopes) {
    scopes.push_back(&loop.regions[0]);
    const auto constant = [&](ValueId v, int64_t* out) {
      return std::ranges::any_of(scopes, [&](const Region* r) { return ConstantInt(*r, v, out); });
    };
    const Region& condition = loop.regions[0];
    if (condition.ops.empty() || condition.ops.back().operands.size() != 1) return 0;
    for (const Op& op : condition.ops) {
      if (op.num_results != 1 || op.first_result != condition.ops.back().operands[0]) continue;
      const Attr& direction = op.attr("comparison_direction");
      if (!direction.present() || direction.AsEnum() != static_cast<int>(CompareDirection::kLt))
        return 0;
      const auto counter = std::ranges::find(condition.args, op.operands[0]);
      int64_t start = 0;
      int64_t bound = 0;
      if (counter == condition.args.end() || !constant(op.operands[1], &bound)) return 0;
      const auto i = static_cast<size_t>(counter - condition.args.begin());
      if (!constant(loop.operands[i], &start) ||
          !tensor::IsInteger(func.type(loop.operands[i]).dtype))
        return 0;
      return std::max(0.0, static_cast<double>(bound) - static_cast<double>(start));
    }
    return 0;
  }

  // Cost of the regions and callees of one op.
  Total OfNested(const Op& op, const Func& func, const Scopes& scopes) {
    Total t;
    if (op.def->has(kCallsFunction)) {
      const Attr& name = op.attr("callee").present() ? op.attr("callee") : op.attr("decomposition");
      if (const Func* callee = module_.Find(name.AsText())) t = OfFunc(*callee);
      return t;
    }
    const bool control = op.def->cost == nullptr && !op.regions.empty();
    if (!control) return t;  // bodies of reductions are part of the op's own estimate
    if (op.def->region_arg_name.empty()) {  // branches
      for (const Region& r : op.regions) {
        const Total branch = OfRegion(r, func, scopes);
        if (branch.cost.flops >= t.cost.flops) t.cost = branch.cost;
        t.peak = std::max(t.peak, branch.peak);
      }
      return t;
    }
    double trips = TripCount(op, func, scopes);
    if (trips == 0) {
      trips = 1;
      estimate_->exact_loops = false;
    }
    for (const Region& r : op.regions) {
      const Total part = OfRegion(r, func, scopes);
      t.cost += Times(part.cost, trips);
      t.peak = std::max(t.peak, part.peak);
    }
    return t;
  }

  Total OfRegion(const Region& region, const Func& func, Scopes scopes) {
    scopes.push_back(&region);
    std::unordered_map<ValueId, size_t> last;
    for (size_t i = 0; i < region.ops.size(); ++i) {
      const auto reads = [&](auto&& self, const Op& op) -> void {
        for (const ValueId v : op.operands) last[v] = i;
        for (const Region& r : op.regions) {
          for (const Op& inner : r.ops) self(self, inner);
        }
      };
      reads(reads, region.ops[i]);
    }
    std::vector<std::vector<ValueId>> dying(region.ops.size());
    Total total;
    double live = 0;
    for (size_t i = 0; i < region.ops.size(); ++i) {
      const Op& op = region.ops[i];
      ++estimate_->operations;
      total.cost += EstimateOp(op, func);
      const Total nested = OfNested(op, func, scopes);
      total.cost += nested.cost;
      total.peak = std::max(total.peak, live + nested.peak);
      for (uint32_t k = 0; k < op.num_results; ++k) {
        const ValueId v = op.result(k);
        const auto it = last.find(v);
        if (op.def->has(kConstantLike)) {
          estimate_->constant_bytes += Bytes(func, v);
          continue;
        }
        live += Bytes(func, v);
        dying[it == last.end() ? i : it->second].push_back(v);
      }
      total.peak = std::max(total.peak, live);
      for (const ValueId v : dying[i]) live -= Bytes(func, v);
    }
    return total;
  }

  const Module& module_;
  CostEstimate* estimate_;
  std::unordered_map<const Func*, Total> done_;
};

}  // namespace

OpCost EstimateOp(const Op& op, const Func& func) {
  OpCost cost;
  if (op.def->has(kTerminator) || op.def->has(kConstantLike)) return cost;
  double elements = 0;
  for (uint32_t i = 0; i < op.num_results; ++i) {
    elements += Elements(func, op.result(i));
    cost.bytes += Bytes(func, op.result(i));
  }
  for (const ValueId v : op.operands) cost.bytes += Bytes(func, v);
  if (op.def->has(kElementwise)) cost.flops = elements;
  if (op.def->has(kTranscendental)) cost.transcendentals = elements;
  if (op.def->cost != nullptr) op.def->cost(op, func, &cost);
  if (op.def->has(kIdentity) || op.def->has(kCallsFunction)) cost.bytes = 0;
  return cost;
}

Result<CostEstimate> EstimateCost(const Module& module) {
  ASSIGN_OR_RETURN(const Func* entry, module.Entry());
  CostEstimate estimate;
  const auto total = Estimator(module, &estimate).OfFunc(*entry);
  estimate.total = total.cost;
  estimate.peak_temporary_bytes = total.peak;
  return estimate;
}

}  // namespace megalith::stablehlo
