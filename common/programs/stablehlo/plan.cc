// Plans: kernels for every op, slots for every value, and when each value dies.
#include <algorithm>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "common/foundation/base/strings.h"
#include "common/programs/stablehlo/canonical.h"
#include "common/programs/stablehlo/cost.h"
#include "common/programs/stablehlo/evaluate.h"
#include "common/programs/stablehlo/excess_precision.h"
#include "common/programs/stablehlo/kernels/plan_types.h"
#include "common/programs/stablehlo/kernels/prepare.h"
#include "common/programs/stablehlo/kernels/span_program.h"
#include "common/programs/stablehlo/op_def.h"

namespace megalith::stablehlo {
namespace {

// Calls `visit` for every value that `op` or an op inside its regions reads, values defined in
// those regions included.
template <typename Visit>
void ForEachRead(const Op& op, const Visit& visit) {
  for (const ValueId v : op.operands) visit(v);
  for (const Region& r : op.regions) {
    for (const Op& inner : r.ops) ForEachRead(inner, visit);
  }
}

// Plans of the functions of one module, made on demand.
class ModulePlanner {
 public:
  ModulePlanner(const Module& module, const EvalLimits& limits)
      : module_(module), limits_(limits) {}
  Result<std::shared_ptr<const FuncPlan>> Plan(const Func& func);
  const Module& module() const { return module_; }
  const EvalLimits& limits() const { return limits_; }

 private:
  const Module& module_;
  const EvalLimits& limits_;
  std::unordered_map<const Func*, std::shared_ptr<const FuncPlan>> done_;
};

// Puts ops that overwrite an operand behind the other readers of that operand where the data flow
// allows, so that they need not copy it. Returns the order as indices into region.ops.
std::vector<uint32_t> OrderForInPlace(const Region& region) {
  std::vector<uint32_t> order;
  order.reserve(region.ops.size());
  bool any = false;
  for (const Op& op : region.ops) any = any || op.def->has(kUpdatesInPlace);
  if (!any) {
    for (uint32_t i = 0; i < region.ops.size(); ++i) order.push_back(i);
    return order;
  }
  std::unordered_map<ValueId, uint32_t> last_read;  // over all ops
  for (uint32_t i = 0; i < region.ops.size(); ++i) {
    ForEachRead(region.ops[i], [&](ValueId v) { last_read[v] = i; });
  }
  constexpr size_t kMaxWaiting = 1000;            // bounds the recursion below
  std::unordered_map<ValueId, uint32_t> waiting;  // result of a held-back op -> the op
  std::vector<bool> emitted(region.ops.size(), false);
  const auto emit = [&](auto&& self, uint32_t i) -> void {
    if (emitted[i]) return;
    emitted[i] = true;
    if (!waiting.empty()) {
      std::vector<uint32_t> first;
      ForEachRead(region.ops[i], [&](ValueId v) {
        if (const auto it = waiting.find(v); it != waiting.end()) first.push_back(it->second);
      });
      for (const uint32_t w : first) {
        waiting.erase(region.ops[w].first_result);
        self(self, w);
      }
    }
    order.push_back(i);
  };
  for (uint32_t i = 0; i < region.ops.size(); ++i) {
    const Op& op = region.ops[i];
    if (op.def->has(kUpdatesInPlace) && op.num_results == 1 && last_read[op.operands[0]] > i &&
        waiting.size() < kMaxWaiting) {
      waiting[op.first_result] = i;
    } else if (!op.def->has(kTerminator)) {
      emit(emit, i);
    }
  }
  std::vector<uint32_t> rest;
  for (const auto& [value, i] : waiting) rest.push_back(i);
  std::ranges::sort(rest);
  waiting.clear();
  for (const uint32_t i : rest) emit(emit, i);
  for (uint32_t i = 0; i < region.ops.size(); ++i) {
    if (!emitted[i]) order.push_back(i);  // the terminator
  }
  return order;
}

class FuncPlanner final : public Planner {
 public:
  FuncPlanner(ModulePlanner& modules, const Func& func)
      : modules_(modules),
        func_(func),
        slot_(func.types.size(), kNoSlot),
        constants_(std::make_shared<std::vector<Tensor>>()) {}

  Result<std::shared_ptr<const FuncPlan>> Run() {
    auto plan = std::make_shared<FuncPlan>();
    plan->name = func_.name;
    RETURN_IF_ERROR(PlanInto(func_.body, &plan->body).Annotate(StrCat("@", func_.name)));
    plan->num_slots = next_slot_;
    plan->peak_bytes = peak_bytes_;
    return std::shared_ptr<const FuncPlan>(std::move(plan));
  }

  const Func& func() const override { return func_; }
  Result<std::shared_ptr<const RegionPlan>> PlanRegion(const Region& region) override {
    auto plan = std::make_shared<RegionPlan>();
    RETURN_IF_ERROR(PlanInto(region, plan.get()));
    return std::shared_ptr<const RegionPlan>(std::move(plan));
  }
  Result<std::shared_ptr<const SpanProgram>> CompileSpan(const Region& region) override;
  Result<std::shared_ptr<const FuncPlan>> PlanCallee(std::string_view name) override {
    const Func* callee = modules_.module().Find(name);
    if (callee == nullptr) return InvalidArgument(StrCat("there is no function @", name));
    auto plan = modules_.Plan(*callee);
    if (plan.ok()) peak_bytes_ = std::max(peak_bytes_, live_bytes_ + (*plan)->peak_bytes);
    return plan;
  }
  Result<Tensor> ConstantValue(ValueId v) override {
    if (slot_[v] >= 0 || slot_[v] == kNoSlot) return Tensor();
    return (*constants_)[static_cast<size_t>(-slot_[v] - 1)];
  }
  int32_t SlotOf(ValueId v) const override { return slot_[v] >= 0 ? slot_[v] : -1; }

 private:
  // Slots as in SlotUse; this marks values that have none (yet).
  static constexpr int32_t kNoSlot = INT32_MIN;

  Status PlanInto(const Region& region, RegionPlan* plan);
  Status PlanOp(const Op& op, RegionPlan* plan, const std::unordered_map<ValueId, uint32_t>& last,
                uint32_t position);
  Result<Kernel> MakeKernel(const Op& op);
  Status AddConstant(const Op& op);
  Status CompileInto(const Region& region, const Func& func,
                     std::unordered_map<ValueId, uint32_t>* registers, SpanProgram* program,
                     bool* possible);

  int32_t Acquire(ValueId v) {
    if (free_.empty()) free_.push_back(next_slot_++);
    slot_[v] = free_.back();
    free_.pop_back();
    live_bytes_ += static_cast<double>(std::max<int64_t>(ByteCount(type(v)), 0));
    peak_bytes_ = std::max(peak_bytes_, live_bytes_);
    return slot_[v];
  }
  void Release(ValueId v) {
    if (borrowed_.contains(v)) return;  // the region that defines it gives the slot back
    free_.push_back(slot_[v]);
    live_bytes_ -= static_cast<double>(std::max<int64_t>(ByteCount(type(v)), 0));
  }

  ModulePlanner& modules_;
  const Func& func_;
  std::vector<int32_t> slot_;
  std::vector<int32_t> free_;
  int32_t next_slot_ = 0;
  std::shared_ptr<std::vector<Tensor>> constants_;
  double live_bytes_ = 0;
  double peak_bytes_ = 0;
  // Values of enclosing regions that die with the op being planned, whose regions run at most once:
  // each of its regions may treat them as its own.
  std::unordered_set<ValueId> bequest_;
  std::unordered_set<ValueId>
      borrowed_;  // values so treated, in the region being planned and those around it
};

Status FuncPlanner::AddConstant(const Op& op) {
  auto value = op.attr("value").AsDense().Materialize(modules_.limits().max_bytes_per_value);
  if (!value.ok()) return value.status().Annotate("stablehlo.constant");
  constants_->push_back(*std::move(value));
  slot_[op.result()] = -static_cast<int32_t>(constants_->size());
  return OkStatus();
}

Result<Kernel> FuncPlanner::MakeKernel(const Op& op) {
  const OpDef& def = *op.def;
  if (def.prepare == nullptr && def.span == nullptr) {
    return Unimplemented(
        StrCat(op.name(), def.refusal.empty() ? " cannot be executed" : ": ", def.refusal));
  }
  const OpCost cost = EstimateOp(op, func_);
  if (cost.flops > modules_.limits().max_flops_per_op) {
    return ResourceExhausted(
        StrCat(op.name(), " needs ", cost.flops,
               " operations, more than max_flops_per_op = ", modules_.limits().max_flops_per_op));
  }
  return def.span != nullptr ? PrepareElementwise(*this, op) : def.prepare(*this, op);
}

Status FuncPlanner::PlanOp(const Op& op, RegionPlan* plan,
                           const std::unordered_map<ValueId, uint32_t>& last, uint32_t position) {
  PlanStep step;
  step.def = op.def;
  // Which of the values read here are read for the last time. Values of enclosing regions have no
  // entry in `last` unless they were bequeathed: they outlive this region.
  const auto dies = [&](ValueId v) {
    const auto it = last.find(v);
    return it != last.end() && it->second == position && slot_[v] >= 0;
  };
  if (op.def->has(kRunsRegionsOnce)) {
    for (const Region& r : op.regions) {
      for (const Op& inner : r.ops) {
        ForEachRead(inner, [&](ValueId v) {
          const bool passed = std::ranges::find(op.operands, v) != op.operands.end();
          if (dies(v) && !passed) bequest_.insert(v);
        });
      }
    }
  }
  ASSIGN_OR_RETURN(step.kernel, MakeKernel(op));
  bequest_.clear();
  std::unordered_set<ValueId> moved;
  step.in.resize(op.operands.size());
  for (size_t i = op.operands.size(); i-- > 0;) {
    const ValueId v = op.operands[i];
    step.in[i] = {slot_[v], dies(v) && moved.insert(v).second};
  }
  std::unordered_set<ValueId> captured;
  for (const Region& r : op.regions) {
    for (const Op& inner : r.ops) {
      ForEachRead(inner, [&](ValueId v) {
        if (!dies(v) || !captured.insert(v).second) return;
        // Captured as well as passed: the region needs it in its slot until the end.
        for (size_t i = 0; i < op.operands.size(); ++i) {
          if (op.operands[i] == v) step.in[i].dies = false;
        }
        moved.erase(v);
        step.release.push_back(slot_[v]);
      });
    }
  }
  for (const ValueId v : moved) Release(v);
  for (const ValueId v : captured) Release(v);
  for (uint32_t i = 0; i < op.num_results; ++i) {
    const bool needed = last.contains(op.result(i));
    step.out.push_back(needed ? Acquire(op.result(i)) : -1);
  }
  plan->steps.push_back(std::move(step));
  return OkStatus();
}

Status FuncPlanner::PlanInto(const Region& region, RegionPlan* plan) {
  plan->constants = constants_;
  const std::vector<uint32_t> order = OrderForInPlace(region);
  // Values defined here or left to this region, and the position (in the new order) of their last
  // reader.
  std::unordered_map<ValueId, uint32_t> last;
  const std::unordered_set<ValueId> bequest = std::exchange(bequest_, {});
  const std::unordered_set<ValueId> outer_borrowed = borrowed_;
  borrowed_.insert(bequest.begin(), bequest.end());
  std::unordered_set<ValueId> mine = bequest;
  mine.insert(region.args.begin(), region.args.end());
  for (const Op& op : region.ops) {
    for (uint32_t i = 0; i < op.num_results; ++i) mine.insert(op.result(i));
  }
  for (uint32_t position = 0; position < order.size(); ++position) {
    ForEachRead(region.ops[order[position]], [&](ValueId v) {
      if (mine.contains(v)) last[v] = position;
    });
  }
  for (const ValueId arg : region.args)
    plan->args.push_back(last.contains(arg) ? Acquire(arg) : -1);
  for (uint32_t position = 0; position < order.size(); ++position) {
    const Op& op = region.ops[order[position]];
    if (op.def->has(kTerminator)) {
      std::unordered_set<ValueId> moved;
      plan->returns.resize(op.operands.size());
      for (size_t i = op.operands.size(); i-- > 0;) {
        const ValueId v = op.operands[i];
        const bool own = slot_[v] >= 0 && last.contains(v);
        plan->returns[i] = {slot_[v], own && moved.insert(v).second};
      }
      for (const ValueId v : moved) Release(v);
      break;
    }
    if (op.def->has(kConstantLike)) {
      if (last.contains(op.result())) RETURN_IF_ERROR(AddConstant(op));
      continue;
    }
    const Status s = PlanOp(op, plan, last, position);
    if (!s.ok()) return op.line > 0 ? s.Annotate(StrCat("line ", op.line)) : s;
  }
  borrowed_ = outer_borrowed;
  bequest_ = bequest;  // for the next branch
  return OkStatus();
}

// --- scalar regions ---

Status FuncPlanner::CompileInto(const Region& region, const Func& func,
                                std::unordered_map<ValueId, uint32_t>* registers,
                                SpanProgram* program, bool* possible) {
  constexpr size_t kMaxSteps = 1000;
  // The register of a value; captured values get one when first met. -1 if the value cannot be one.
  const auto find = [&](ValueId v) -> int64_t {
    if (const auto it = registers->find(v); it != registers->end()) return it->second;
    if (&func != &func_ || func.type(v).is_token || func.type(v).rank() != 0) return -1;
    SpanProgram::Register r{func.type(v).dtype, SpanProgram::Source::kCaptured, 0, {}};
    if (slot_[v] == kNoSlot) return -1;
    if (slot_[v] >= 0) {
      r.index = static_cast<uint32_t>(slot_[v]);
    } else {
      r.source = SpanProgram::Source::kConstant;
      r.constant = (*constants_)[static_cast<size_t>(-slot_[v] - 1)];
    }
    program->registers.push_back(std::move(r));
    return (*registers)[v] = static_cast<uint32_t>(program->registers.size() - 1);
  };
  *possible = false;
  for (const Op& op : region.ops) {
    if (op.def->has(kTerminator)) {
      for (const ValueId v : op.operands) {
        const int64_t r = find(v);
        if (r < 0) return OkStatus();
        program->results.push_back(static_cast<uint32_t>(r));
      }
      *possible = true;
      return OkStatus();
    }
    if (op.def->has(kConstantLike)) {
      const Dense& d = op.attr("value").AsDense();
      if (d.type.rank() != 0) return OkStatus();
      program->registers.push_back(
          {d.type.dtype, SpanProgram::Source::kConstant, 0, d.data.Reshaped(Shape{})});
      (*registers)[op.result()] = static_cast<uint32_t>(program->registers.size() - 1);
      continue;
    }
    std::vector<uint32_t> in;
    std::vector<DType> dtypes;
    for (const ValueId v : op.operands) {
      const int64_t r = find(v);
      if (r < 0) return OkStatus();
      in.push_back(static_cast<uint32_t>(r));
      dtypes.push_back(func.type(v).dtype);
    }
    if (op.def->has(kCallsFunction)) {  // inlined
      const Attr& name = op.attr("callee").present() ? op.attr("callee") : op.attr("decomposition");
      const Func* callee = modules_.module().Find(name.AsText());
      if (callee == nullptr) return OkStatus();
      std::unordered_map<ValueId, uint32_t> inner;
      for (size_t i = 0; i < in.size(); ++i) inner[callee->body.args[i]] = in[i];
      SpanProgram* same = program;
      const std::vector<uint32_t> outer_results = std::move(same->results);
      same->results.clear();
      RETURN_IF_ERROR(CompileInto(callee->body, *callee, &inner, same, possible));
      if (!*possible) return OkStatus();
      *possible = false;
      for (uint32_t i = 0; i < op.num_results; ++i) (*registers)[op.result(i)] = same->results[i];
      same->results = outer_results;
      continue;
    }
    const bool scalar = op.num_results == 1 && func.type(op.result()).rank() == 0;
    if (op.def->span == nullptr || !scalar || op.operands.size() > kMaxSpanOperands ||
        program->steps.size() >= kMaxSteps) {
      return OkStatus();
    }
    SpanProgram::Step step;
    const DType result = func.type(op.result()).dtype;
    ASSIGN_OR_RETURN(step.kernel, op.def->span(op, dtypes, result));
    step.num_in = static_cast<uint32_t>(in.size());
    std::copy(in.begin(), in.end(), step.in);
    step.out = static_cast<uint32_t>(program->registers.size());
    program->registers.push_back({result, SpanProgram::Source::kComputed, 0, {}});
    (*registers)[op.result()] = step.out;
    program->steps.push_back(std::move(step));
  }
  return OkStatus();
}

Result<std::shared_ptr<const SpanProgram>> FuncPlanner::CompileSpan(const Region& region) {
  auto program = std::make_shared<SpanProgram>();
  std::unordered_map<ValueId, uint32_t> registers;
  for (uint32_t i = 0; i < region.args.size(); ++i) {
    const TensorType& t = type(region.args[i]);
    if (t.is_token || t.rank() != 0) return std::shared_ptr<const SpanProgram>();
    registers[region.args[i]] = i;
    program->registers.push_back({t.dtype, SpanProgram::Source::kArgument, i, {}});
  }
  program->num_arguments = region.args.size();
  bool possible = false;
  RETURN_IF_ERROR(CompileInto(region, func_, &registers, program.get(), &possible));
  if (!possible) program.reset();
  return std::shared_ptr<const SpanProgram>(std::move(program));
}

Result<std::shared_ptr<const FuncPlan>> ModulePlanner::Plan(const Func& func) {
  if (const auto it = done_.find(&func); it != done_.end()) return it->second;
  ASSIGN_OR_RETURN(auto plan, FuncPlanner(*this, func).Run());
  done_[&func] = plan;
  return plan;
}

}  // namespace

struct Plan::State {
  std::shared_ptr<const FuncPlan> entry;
  std::vector<TensorType> inputs, outputs;
  EvalLimits limits;
};

Result<Plan> Plan::Create(const Module& given, const EvalLimits& limits) {
  std::optional<Module> widened;
  if (ConvertsFromBf16(given)) {
    // Without the inlining, if that is refused: the same up to the rounding of what calls return.
    Result<Module> inlined = Canonicalize(given);
    widened = WithoutBf16Rounding(inlined.ok() ? *std::move(inlined) : given);
  }
  const Module& module = widened.has_value() ? *widened : given;
  ASSIGN_OR_RETURN(const Func* entry, module.Entry());
  ModulePlanner planner(module, limits);
  auto state = std::make_shared<State>();
  ASSIGN_OR_RETURN(state->entry, planner.Plan(*entry));
  if (state->entry->peak_bytes > static_cast<double>(limits.max_live_bytes)) {
    return ResourceExhausted(
        StrCat("the program keeps ", state->entry->peak_bytes,
               " bytes alive at once, more than max_live_bytes = ", limits.max_live_bytes));
  }
  state->inputs = entry->input_types();
  state->outputs = entry->results;
  state->limits = limits;
  Plan plan;
  plan.state_ = std::move(state);
  return plan;
}

const std::vector<TensorType>& Plan::input_types() const { return state_->inputs; }
const std::vector<TensorType>& Plan::output_types() const { return state_->outputs; }

Result<std::vector<Tensor>> Plan::Run(std::span<const Tensor> inputs,
                                      const EvalOptions& options) const {
  if (inputs.size() != state_->inputs.size()) {
    return InvalidArgument(
        StrCat("got ", inputs.size(), " inputs, wanted ", state_->inputs.size()));
  }
  std::vector<Tensor> args;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const TensorType& want = state_->inputs[i];
    if (!want.is_token && (inputs[i].dtype() != want.dtype || !(inputs[i].shape() == want.shape))) {
      return InvalidArgument(StrCat("input ", i, " is ", inputs[i].TypeText(), ", wanted ",
                                    tensor::TypeText(want.dtype, want.shape)));
    }
    args.push_back(inputs[i]);
  }
  stablehlo::Run run;
  run.cancellation = options.cancellation;
  run.max_bytes_per_value = state_->limits.max_bytes_per_value;
  run.steps_left = std::min(options.max_steps, state_->limits.max_steps);
  Profiler profiler;
  if (options.profile != nullptr) run.profiler = &profiler;
  RETURN_IF_ERROR(run.Poll());
  std::vector<Tensor> results;
  const Status s = RunFunc(*state_->entry, run, args, &results);
  if (options.profile != nullptr) {
    for (const auto& [name, entry] : profiler.entries) {
      options.profile->push_back({std::string(name), entry.calls, entry.seconds});
    }
    std::ranges::sort(*options.profile, [](const ProfileRow& a, const ProfileRow& b) {
      return a.seconds != b.seconds ? a.seconds > b.seconds : a.name < b.name;
    });
  }
  if (!s.ok()) return s;
  return results;
}

Result<std::vector<Tensor>> Evaluate(const Module& module, std::span<const Tensor> inputs,
                                     const EvalOptions& options, const EvalLimits& limits) {
  ASSIGN_OR_RETURN(const Plan plan, Plan::Create(module, limits));
  return plan.Run(inputs, options);
}

}  // namespace megalith::stablehlo
