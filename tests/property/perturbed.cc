#include "tests/property/perturbed.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <map>
#include <unordered_map>

#include "common/foundation/base/strings.h"
#include "common/programs/stablehlo/canonical.h"
#include "common/programs/stablehlo/evaluate.h"
#include "common/programs/stablehlo/excess_precision.h"
#include "common/programs/stablehlo/op_def.h"
#include "tests/property/movement.h"

namespace megalith::property {
namespace {

using stablehlo::Func;
using stablehlo::Module;
using stablehlo::Op;
using stablehlo::Plan;
using stablehlo::Region;
using stablehlo::TensorType;
using stablehlo::ValueId;

// Values of `region` and those below it that are defined outside of it, in order of first use.
void FindCaptures(const Region& region, std::vector<char>* inside, std::vector<ValueId>* captured) {
  for (const ValueId v : region.args) (*inside)[v] = 1;
  for (const Op& op : region.ops) {
    for (const ValueId v : op.operands) {
      if ((*inside)[v] == 0) {
        (*inside)[v] = 1;
        captured->push_back(v);
      }
    }
    for (const Region& inner : op.regions) FindCaptures(inner, inside, captured);
    for (uint32_t i = 0; i < op.num_results; ++i) (*inside)[op.result(i)] = 1;
  }
}

constexpr uint64_t kMaxSteps = 100'000;

bool Interprets(const Op& op) {
  return op.name() == "stablehlo.while" || op.name() == "stablehlo.case" ||
         op.name() == "stablehlo.if";
}

// One operation as a program of its own.
struct Step {
  Plan plan;
  std::vector<ValueId> arguments;
  Inexactness inexactness;
  std::unique_ptr<Plan> magnitude;  // the same on magnitudes of its operands
};

}  // namespace

struct PerturbedProgram::State {
  Module module;
  const Func* func = nullptr;
  std::unordered_map<const Op*, Step> steps;
  std::vector<Tensor> values;  // by ValueId
  bool inexact = false;
  int variant = 0;
  double scale = 1;
  uint64_t executed = 0;

  Result<Plan> PlanOf(const Op& op, const std::vector<ValueId>& arguments) const;
  Result<const Step*> StepOf(const Op& op);
  Status RunRegion(const Region& region, std::vector<Tensor>* returned);
  Status RunOp(const Op& op);
  Status RunWhile(const Op& op);
  Status RunBranch(const Op& op);
  Status Move(const Step& step, const Op& op, std::span<const Tensor> in, std::vector<Tensor>* out);
};

Result<Plan> PerturbedProgram::State::PlanOf(const Op& op,
                                             const std::vector<ValueId>& arguments) const {
  Func one;
  one.name = "main";
  one.visibility = stablehlo::Visibility::kPublic;
  one.types = func->types;
  one.body.args = arguments;
  one.body.ops.push_back(op);
  Op end;
  end.def = stablehlo::FindOp("func.return");
  for (uint32_t i = 0; i < op.num_results; ++i) {
    end.operands.push_back(op.result(i));
    one.results.push_back(func->type(op.result(i)));
  }
  one.body.ops.push_back(std::move(end));
  Module m;
  RETURN_IF_ERROR(m.AddFunc(std::move(one)).status());
  return Plan::Create(m);
}

Result<const Step*> PerturbedProgram::State::StepOf(const Op& op) {
  const auto known = steps.find(&op);
  if (known != steps.end()) return &known->second;
  std::vector<char> inside(func->types.size(), 0);
  std::vector<ValueId> arguments;
  Region alone;
  for (const ValueId v : op.operands) {
    if (inside[v] == 0) arguments.push_back(v);
    inside[v] = 1;
  }
  for (const Region& r : op.regions) FindCaptures(r, &inside, &arguments);
  ASSIGN_OR_RETURN(Plan plan, PlanOf(op, arguments));
  Step step{std::move(plan), std::move(arguments), InexactnessOf(op, *func), nullptr};
  if (step.inexactness.kind == Inexactness::kSum ||
      step.inexactness.kind == Inexactness::kProduct) {
    ASSIGN_OR_RETURN(Plan magnitude, PlanOf(op, step.arguments));
    step.magnitude = std::make_unique<Plan>(std::move(magnitude));
  }
  return &steps.emplace(&op, std::move(step)).first->second;
}

Status PerturbedProgram::State::RunRegion(const Region& region, std::vector<Tensor>* returned) {
  for (const Op& op : region.ops) {
    if (op.def->has(stablehlo::kTerminator)) {
      returned->clear();
      for (const ValueId v : op.operands) returned->push_back(values[v]);
      return OkStatus();
    }
    RETURN_IF_ERROR(RunOp(op));
  }
  return Internal("a region without terminator");
}

Status PerturbedProgram::State::RunWhile(const Op& op) {
  std::vector<Tensor> carried;
  for (const ValueId v : op.operands) carried.push_back(values[v]);
  while (true) {
    for (const Region& r : op.regions) {
      for (size_t i = 0; i < carried.size(); ++i) values[r.args[i]] = carried[i];
    }
    std::vector<Tensor> goes_on;
    RETURN_IF_ERROR(RunRegion(op.regions[0], &goes_on));
    if (goes_on[0].IntAt(0) == 0) break;
    if (executed > kMaxSteps) return ResourceExhausted("too many steps");
    RETURN_IF_ERROR(RunRegion(op.regions[1], &carried));
  }
  for (uint32_t i = 0; i < op.num_results; ++i) values[op.result(i)] = carried[i];
  return OkStatus();
}

Status PerturbedProgram::State::RunBranch(const Op& op) {
  const int64_t given = values[op.operands[0]].IntAt(0);
  const auto count = static_cast<int64_t>(op.regions.size());
  int64_t chosen = given < 0 || given >= count ? count - 1 : given;
  if (op.name() == "stablehlo.if") chosen = given != 0 ? 0 : 1;
  std::vector<Tensor> out;
  RETURN_IF_ERROR(RunRegion(op.regions[static_cast<size_t>(chosen)], &out));
  for (uint32_t i = 0; i < op.num_results; ++i) values[op.result(i)] = out[i];
  return OkStatus();
}

// Of every result, infinity where a product in another order may leave the range of its type.
Result<std::vector<Tensor>> ReachOfProducts(const Plan& plan, std::span<const Tensor> in) {
  std::vector<Tensor> large, small;
  for (const Tensor& t : in) {
    large.push_back(FactorMagnitude(t, true));
    small.push_back(FactorMagnitude(t, false));
  }
  ASSIGN_OR_RETURN(const std::vector<Tensor> most, plan.Run(large));
  ASSIGN_OR_RETURN(const std::vector<Tensor> least, plan.Run(small));
  std::vector<Tensor> out;
  for (size_t i = 0; i < most.size(); ++i) {
    out.push_back(*Tensor::Create(DType::kF64, most[i].shape()));
    if (!tensor::IsFloat(most[i].dtype())) continue;
    const double tiny = tensor::Limits(most[i].dtype()).tiny;
    for (int64_t k = 0; k < most[i].size(); ++k) {
      const bool stays = std::isfinite(most[i].DoubleAt(k)) && least[i].DoubleAt(k) >= tiny;
      out.back().SetDouble(k, stays ? 0 : HUGE_VAL);
    }
  }
  return out;
}

Status PerturbedProgram::State::Move(const Step& step, const Op& op, std::span<const Tensor> in,
                                     std::vector<Tensor>* out) {
  inexact = true;
  if (variant == 0) return OkStatus();
  Movement movement;
  movement.pair = (variant - 1) / 2;
  movement.opposite = variant % 2 == 0;
  movement.salt = executed;
  movement.scale = scale;
  std::vector<Tensor> magnitudes;
  if (step.inexactness.kind == Inexactness::kProduct) {
    ASSIGN_OR_RETURN(magnitudes, ReachOfProducts(*step.magnitude, in));
  } else if (step.magnitude != nullptr) {
    std::vector<Tensor> absolute;
    // What select_and_scatter selects by stays.
    const bool selects = op.name() == "stablehlo.select_and_scatter";
    for (size_t i = 0; i < in.size(); ++i) {
      absolute.push_back(selects && i == 0 ? in[i] : FiniteMagnitude(in[i]));
    }
    ASSIGN_OR_RETURN(magnitudes, step.magnitude->Run(absolute));
  }
  std::vector<Tensor> operands;
  for (const ValueId v : op.operands) operands.push_back(values[v]);
  for (size_t i = 0; i < out->size(); ++i) {
    movement.salt = executed * 31 + i;
    MoveElements(step.inexactness, movement, operands,
                 magnitudes.empty() ? nullptr : &magnitudes[i], &(*out)[i]);
  }
  return OkStatus();
}

// IEEE 754 leaves the sign of a NaN that arithmetic gives open (section 6.3), and bitcasts and
// total order can see it: variants of the first pair take either, of further pairs element by
// element.
bool NanIsNegative(int variant, uint64_t salt, int64_t i) {
  if (variant <= 2) return variant % 2 == 0;
  const uint64_t bits = (salt * 64 + static_cast<uint64_t>(variant - 1) / 2) * 0x9E3779B97F4A7C15u ^
                        static_cast<uint64_t>(i + 1) * 0xBF58476D1CE4E5B9u;
  return ((bits * 0x94D049BB133111EBu >> 63) != 0) != (variant % 2 == 0);
}

// Variant 0 changes nothing. True if there are NaNs.
template <typename Bits>
bool SetNanSigns(int variant, uint64_t salt, int64_t parts, Tensor* t) {
  constexpr Bits sign = Bits{1} << (sizeof(Bits) * 8 - 1);
  auto* bits = static_cast<Bits*>(t->mutable_data());
  const auto is_nan = [&](Bits b) {
    if constexpr (sizeof(Bits) == 8) return std::isnan(std::bit_cast<double>(b));
    if constexpr (sizeof(Bits) == 4) return std::isnan(std::bit_cast<float>(b));
    const int mantissa = t->dtype() == DType::kBF16 ? 7 : 10;
    const auto infinity = static_cast<Bits>(0x7FFFu >> mantissa << mantissa);
    return static_cast<Bits>(b & 0x7FFF) > infinity;
  };
  bool found = false;
  for (int64_t i = 0; i < t->size() * parts; ++i) {
    if (!is_nan(bits[i])) continue;
    found = true;
    if (variant == 0) return true;
    bits[i] = static_cast<Bits>(NanIsNegative(variant, salt, i) ? bits[i] | sign : bits[i] & ~sign);
  }
  return found;
}

// The same of floats of 8 bits. Of those without a zero of either sign, a NaN has none either.
bool SetNarrowNanSigns(int variant, uint64_t salt, Tensor* t) {
  Tensor zero = *Tensor::Create(t->dtype(), {});
  zero.SetDouble(0, -0.0);
  const bool is_signed = std::signbit(zero.DoubleAt(0));
  auto* bits = static_cast<uint8_t*>(t->mutable_data());
  bool found = false;
  for (int64_t i = 0; is_signed && i < t->size(); ++i) {
    if (!std::isnan(t->DoubleAt(i))) continue;
    found = true;
    if (variant == 0) return true;
    const bool negative = NanIsNegative(variant, salt, i);
    bits[i] = static_cast<uint8_t>(negative ? bits[i] | 0x80u : bits[i] & 0x7Fu);
  }
  return found;
}

// True for ops whose results are numbers, not bits moved or their sign changed.
bool IsArithmetic(const Op& op) {
  constexpr std::string_view kBitwise[] = {"stablehlo.abs", "stablehlo.negate", "stablehlo.select",
                                           "chlo.conj"};
  if (std::ranges::find(kBitwise, op.name()) != std::end(kBitwise)) return false;
  return op.def->has(stablehlo::kElementwise);
}

Result<bool> ChooseNanSigns(int variant, uint64_t salt, std::vector<Tensor>* out) {
  bool found = false;
  for (Tensor& t : *out) {
    const bool complex = tensor::IsComplex(t.dtype());
    if (!complex && !tensor::IsFloat(t.dtype())) continue;
    RETURN_IF_ERROR(t.MakeUnique());
    const int64_t parts = complex ? 2 : 1;
    switch (tensor::ByteWidth(t.dtype()) / parts) {
      case 8:
        found = SetNanSigns<uint64_t>(variant, salt, parts, &t) || found;
        break;
      case 4:
        found = SetNanSigns<uint32_t>(variant, salt, parts, &t) || found;
        break;
      case 2:
        found = SetNanSigns<uint16_t>(variant, salt, parts, &t) || found;
        break;
      case 1:
        found = SetNarrowNanSigns(variant, salt, &t) || found;
        break;
      default:
        break;
    }
  }
  return found;
}

Status PerturbedProgram::State::RunOp(const Op& op) {
  ++executed;
  if (op.name() == "stablehlo.while") return RunWhile(op);
  if (Interprets(op)) return RunBranch(op);
  ASSIGN_OR_RETURN(const Step* step, StepOf(op));
  std::vector<Tensor> in;
  for (const ValueId v : step->arguments) in.push_back(values[v]);
  ASSIGN_OR_RETURN(std::vector<Tensor> out, step->plan.Run(in));
  if (step->inexactness.kind != Inexactness::kExact) {
    RETURN_IF_ERROR(Move(*step, op, in, &out));
  }
  if (step->inexactness.kind != Inexactness::kExact || IsArithmetic(op)) {
    ASSIGN_OR_RETURN(const bool found, ChooseNanSigns(variant, executed, &out));
    inexact = inexact || found;
  }
  for (uint32_t i = 0; i < op.num_results; ++i) values[op.result(i)] = std::move(out[i]);
  return OkStatus();
}

PerturbedProgram::PerturbedProgram(std::unique_ptr<State> state) : state_(std::move(state)) {}
PerturbedProgram::~PerturbedProgram() = default;
PerturbedProgram::PerturbedProgram(PerturbedProgram&&) noexcept = default;

Result<PerturbedProgram> PerturbedProgram::Create(const Module& module) {
  auto state = std::make_unique<State>();
  ASSIGN_OR_RETURN(Module canonical, stablehlo::Canonicalize(module));
  state->module = stablehlo::ConvertsFromBf16(canonical)
                      ? stablehlo::WithoutBf16Rounding(std::move(canonical))
                      : std::move(canonical);
  ASSIGN_OR_RETURN(state->func, state->module.Entry());
  return PerturbedProgram(std::move(state));
}

bool PerturbedProgram::inexact() const { return state_->inexact; }

Result<std::vector<Tensor>> PerturbedProgram::Run(std::span<const Tensor> inputs, int variant,
                                                  double scale) {
  State& s = *state_;
  s.variant = variant;
  s.scale = scale;
  s.inexact = false;
  s.executed = 0;
  s.values.assign(s.func->types.size(), Tensor());
  for (size_t i = 0; i < inputs.size(); ++i) s.values[s.func->body.args[i]] = inputs[i];
  std::vector<Tensor> out;
  RETURN_IF_ERROR(s.RunRegion(s.func->body, &out));
  s.values.clear();
  return out;
}

}  // namespace megalith::property
