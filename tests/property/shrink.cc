#include "tests/property/shrink.h"

#include <algorithm>
#include <optional>

#include "common/foundation/base/strings.h"
#include "common/programs/stablehlo/canonical.h"
#include "common/programs/stablehlo/evaluate.h"
#include "common/programs/stablehlo/op_def.h"
#include "common/programs/stablehlo/printer.h"
#include "common/programs/stablehlo/verify.h"

namespace megalith::property {
namespace {

using stablehlo::Func;
using stablehlo::kNoValue;
using stablehlo::Module;
using stablehlo::Op;
using stablehlo::Region;
using stablehlo::ValueId;

// Without its counter a loop may go on for ever.
constexpr uint64_t kMaxSteps = 20'000;

void MarkUses(const Region& region, std::vector<char>* used) {
  stablehlo::ForEachOp(region, [&](const Op& op) {
    for (const ValueId v : op.operands) (*used)[v] = 1;
  });
}

void Rename(Region* region, const std::vector<ValueId>& to) {
  for (ValueId& v : region->args) v = to[v];
  for (Op& op : region->ops) {
    for (ValueId& v : op.operands) v = to[v];
    if (op.num_results > 0) op.first_result = to[op.first_result];
    for (Region& inner : op.regions) Rename(&inner, to);
  }
}

void NumberRegion(const Region& region, const Func& old, std::vector<ValueId>* to,
                  std::vector<stablehlo::TensorType>* types) {
  const auto define = [&](ValueId v) {
    (*to)[v] = static_cast<ValueId>(types->size());
    types->push_back(old.type(v));
  };
  for (const ValueId v : region.args) define(v);
  for (const Op& op : region.ops) {
    for (const Region& inner : op.regions) NumberRegion(inner, old, to, types);
    for (uint32_t i = 0; i < op.num_results; ++i) define(op.result(i));
  }
}

// True if something was dropped; what only that used is unused now.
bool DropUnused(Region* region, const std::vector<char>& used) {
  const auto unused = [&](const Op& op) {
    if (op.def->has(stablehlo::kTerminator)) return false;
    for (uint32_t i = 0; i < op.num_results; ++i) {
      if (used[op.result(i)] != 0) return false;
    }
    return true;
  };
  bool changed = std::erase_if(region->ops, unused) != 0;
  for (Op& op : region->ops) {
    for (Region& inner : op.regions) changed = DropUnused(&inner, used) || changed;
  }
  return changed;
}

// The function without unused operations and arguments, values numbered anew; the inputs with it.
RandomProgram Tidied(Func func, const RandomProgram& from, std::vector<Tensor> inputs) {
  for (bool changed = true; changed;) {
    std::vector<char> used(func.types.size(), 0);
    MarkUses(func.body, &used);
    changed = DropUnused(&func.body, used);
  }
  std::vector<char> used(func.types.size(), 0);
  MarkUses(func.body, &used);
  std::vector<ValueId> args;
  std::vector<Tensor> kept;
  for (size_t i = 0; i < func.body.args.size(); ++i) {
    if (used[func.body.args[i]] == 0) continue;
    args.push_back(func.body.args[i]);
    kept.push_back(inputs[i]);
  }
  func.body.args = std::move(args);
  std::vector<ValueId> to(func.types.size(), kNoValue);
  std::vector<stablehlo::TensorType> types;
  NumberRegion(func.body, func, &to, &types);
  Rename(&func.body, to);
  func.types = std::move(types);
  func.results.clear();
  for (const ValueId v : func.body.ops.back().operands) func.results.push_back(func.type(v));
  func.arg_attrs.clear();
  func.result_attrs.clear();
  RandomProgram out;
  out.seed = from.seed;
  out.inputs = std::move(kept);
  (void)out.module.AddFunc(std::move(func));
  return out;
}

const Func& EntryOf(const RandomProgram& program) { return **program.module.Entry(); }

// Only these outputs.
RandomProgram WithOutputs(const RandomProgram& program, std::vector<ValueId> outputs) {
  Func func = EntryOf(program);
  func.body.ops.back().operands = std::move(outputs);
  return Tidied(std::move(func), program, program.inputs);
}

// Operation `at` replaced by new inputs that hold its results.
std::optional<RandomProgram> WithInputFor(const RandomProgram& program, size_t at) {
  const Op& op = EntryOf(program).body.ops[at];
  std::vector<ValueId> results;
  for (uint32_t i = 0; i < op.num_results; ++i) results.push_back(op.result(i));
  const RandomProgram up_to = WithOutputs(program, results);
  const auto values = stablehlo::Evaluate(up_to.module, up_to.inputs, {.max_steps = kMaxSteps});
  if (!values.ok()) return std::nullopt;
  Func func = EntryOf(program);
  std::vector<Tensor> inputs = program.inputs;
  for (size_t i = 0; i < results.size(); ++i) {
    func.body.args.push_back(results[i]);
    inputs.push_back((*values)[i]);
  }
  func.body.ops.erase(func.body.ops.begin() + static_cast<std::ptrdiff_t>(at));
  return Tidied(std::move(func), program, std::move(inputs));
}

// Uses of the result of operation `at` of `region` replaced by an operand of its type.
bool Bypass(Func* func, Region* region, size_t at, size_t which) {
  const Op& op = region->ops[at];
  if (op.num_results != 1 || which >= op.operands.size()) return false;
  const ValueId from = op.result();
  const ValueId to = op.operands[which];
  if (!(func->type(from) == func->type(to))) return false;
  std::vector<ValueId> names(func->types.size());
  for (ValueId v = 0; v < names.size(); ++v) names[v] = v == from ? to : v;
  region->ops.erase(region->ops.begin() + static_cast<std::ptrdiff_t>(at));
  Rename(region, names);
  return true;
}

// Operation `at` replaced by what one of its regions does: a branch taken for certain, the body of
// a loop run once.
std::optional<RandomProgram> WithRegionInlined(const RandomProgram& program, size_t at,
                                               size_t which) {
  Func func = EntryOf(program);
  const Op op = func.body.ops[at];
  const bool loops = op.name() == "stablehlo.while";
  if (!loops && op.name() != "stablehlo.if" && op.name() != "stablehlo.case") return std::nullopt;
  if (which >= op.regions.size() || (loops && which == 0)) return std::nullopt;
  Region inner = op.regions[which];
  std::vector<ValueId> names(func.types.size());
  for (ValueId v = 0; v < names.size(); ++v) names[v] = v;
  for (size_t i = 0; i < inner.args.size(); ++i) names[inner.args[i]] = op.operands[i];
  Rename(&inner, names);
  for (uint32_t i = 0; i < op.num_results; ++i) {
    names[op.result(i)] = inner.ops.back().operands[i];
  }
  inner.ops.pop_back();
  auto& ops = func.body.ops;
  ops.erase(ops.begin() + static_cast<std::ptrdiff_t>(at));
  for (size_t i = at; i < ops.size(); ++i) {
    for (ValueId& v : ops[i].operands) v = names[v];
    for (Region& r : ops[i].regions) Rename(&r, names);
  }
  ops.insert(ops.begin() + static_cast<std::ptrdiff_t>(at), inner.ops.begin(), inner.ops.end());
  return Tidied(std::move(func), program, program.inputs);
}

// All regions of the function, in a fixed order.
void ListRegions(Region* region, std::vector<Region*>* out) {
  out->push_back(region);
  for (Op& op : region->ops) {
    for (Region& inner : op.regions) ListRegions(&inner, out);
  }
}

class Shrinker {
 public:
  Shrinker(RandomProgram program, const std::function<bool(const RandomProgram&)>& fails,
           int max_tries)
      : best_(std::move(program)), fails_(fails), tries_left_(max_tries) {}

  RandomProgram Run() {
    bool progress = best_.module.funcs().size() == 1 || InlineCalls();
    while (progress && tries_left_ > 0) {
      progress = OneOutput() || DropLastOp() || InlineRegions() || CutOps() || BypassOps();
    }
    return std::move(best_);
  }

 private:
  size_t Size(const RandomProgram& p) const { return p.module.CountOps(); }

  bool Try(RandomProgram candidate) {
    if (tries_left_ <= 0 || !stablehlo::Verify(candidate.module).ok()) return false;
    --tries_left_;
    if (!stablehlo::Evaluate(candidate.module, candidate.inputs, {.max_steps = kMaxSteps}).ok() ||
        !fails_(candidate)) {
      return false;
    }
    best_ = std::move(candidate);
    return true;
  }

  // Everything below looks at one function only.
  bool InlineCalls() {
    auto inlined = stablehlo::Canonicalize(best_.module);
    if (!inlined.ok()) return false;
    RandomProgram candidate = best_;
    candidate.module = *std::move(inlined);
    return Try(std::move(candidate));
  }

  bool OneOutput() {
    const std::vector<ValueId> outputs = EntryOf(best_).body.ops.back().operands;
    if (outputs.size() < 2) return false;
    return std::any_of(outputs.begin(), outputs.end(),
                       [&](ValueId v) { return Try(WithOutputs(best_, {v})); });
  }

  // The operands of the operation that makes the only output, in place of it.
  bool DropLastOp() {
    const Func& func = EntryOf(best_);
    const ValueId output = func.body.ops.back().operands[0];
    for (const Op& op : func.body.ops) {
      if (op.num_results == 0 || output < op.result() || output > op.result(op.num_results - 1)) {
        continue;
      }
      return !op.operands.empty() && Try(WithOutputs(best_, op.operands));
    }
    return false;
  }

  bool InlineRegions() {
    for (size_t at = EntryOf(best_).body.ops.size(); at-- > 0;) {
      for (size_t which = 0; which < 4; ++which) {
        auto candidate = WithRegionInlined(best_, at, which);
        if (candidate && Try(*std::move(candidate))) return true;
      }
    }
    return false;
  }

  bool CutOps() {
    bool progress = false;
    for (size_t at = EntryOf(best_).body.ops.size() - 1; at-- > 0;) {
      if (at + 1 >= EntryOf(best_).body.ops.size()) continue;
      auto candidate = WithInputFor(best_, at);
      if (candidate && Size(*candidate) < Size(best_)) {
        progress = Try(*std::move(candidate)) || progress;
      }
    }
    return progress;
  }

  bool BypassOps() {
    bool progress = false;
    for (size_t r = RegionCount(); r-- > 0;) {
      for (size_t at = OpCount(r); at-- > 0 && tries_left_ > 0;) {
        for (size_t which = 0; which < 3; ++which) {
          if (!TryBypass(r, at, which)) continue;
          progress = true;
          break;
        }
      }
    }
    return progress;
  }

  size_t RegionCount() const {
    Func func = EntryOf(best_);
    std::vector<Region*> regions;
    ListRegions(&func.body, &regions);
    return regions.size();
  }

  size_t OpCount(size_t r) const {
    Func func = EntryOf(best_);
    std::vector<Region*> regions;
    ListRegions(&func.body, &regions);
    return r < regions.size() ? regions[r]->ops.size() : 0;
  }

  bool TryBypass(size_t r, size_t at, size_t which) {
    Func func = EntryOf(best_);
    std::vector<Region*> regions;
    ListRegions(&func.body, &regions);
    if (r >= regions.size() || at >= regions[r]->ops.size()) return false;
    if (!Bypass(&func, regions[r], at, which)) return false;
    return Try(Tidied(std::move(func), best_, best_.inputs));
  }

  RandomProgram best_;
  const std::function<bool(const RandomProgram&)>& fails_;
  int tries_left_;
};

}  // namespace

RandomProgram Shrink(RandomProgram program, const std::function<bool(const RandomProgram&)>& fails,
                     int max_tries) {
  return Shrinker(std::move(program), fails, max_tries).Run();
}

std::string ProgramText(const RandomProgram& program) {
  std::string out = stablehlo::PrintModule(program.module);
  for (size_t i = 0; i < program.inputs.size(); ++i) {
    const Tensor& t = program.inputs[i];
    StrAppend(&out, "input ", i, ": ", t.TypeText(), " ", tensor::ValueText(t, 256), "\n");
  }
  return out;
}

}  // namespace megalith::property
