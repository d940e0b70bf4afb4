#include "tests/property/agreement.h"

#include <algorithm>
#include <cmath>
#include <complex>
#include <limits>
#include <random>

#include "common/foundation/base/strings.h"
#include "common/machines/backends/backends.h"
#include "common/programs/stablehlo/codec.h"
#include "common/programs/stablehlo/donation.h"
#include "common/programs/stablehlo/evaluate.h"
#include "common/programs/stablehlo/printer.h"
#include "tests/property/movement.h"
#include "tests/property/perturbed.h"

namespace megalith::property {
namespace {

// A result may be this many times as far away as a perturbed one.
constexpr double kSlack = 4;
constexpr int kFewVariants = 4;
constexpr uint64_t kMaxSteps = 100'000;  // shrinking makes endless loops
constexpr int kManyVariants = 64;

bool IsNaN(const Tensor& t, int64_t i) {
  if (tensor::IsComplex(t.dtype())) {
    const std::complex<double> z = t.ComplexAt(i);
    return std::isnan(z.real()) && std::isnan(z.imag());
  }
  return tensor::IsFloat(t.dtype()) && std::isnan(t.DoubleAt(i));
}

// Equal as answers: the same bits, or both NaN.
bool SameElement(const Tensor& a, const Tensor& b, int64_t i) {
  const auto width = static_cast<size_t>(tensor::ByteWidth(a.dtype()));
  const size_t at = static_cast<size_t>(i) * width;
  if (a.bytes().substr(at, width) == b.bytes().substr(at, width)) return true;
  if (!tensor::IsComplex(a.dtype())) return IsNaN(a, i) && IsNaN(b, i);
  const auto same = [](double x, double y) {
    return (std::isnan(x) && std::isnan(y)) || (x == y && std::signbit(x) == std::signbit(y));
  };
  const std::complex<double> x = a.ComplexAt(i), y = b.ComplexAt(i);
  return same(x.real(), y.real()) && same(x.imag(), y.imag());
}

// Infinity unless both are finite.
double Distance(const Tensor& a, const Tensor& b, int64_t i) {
  if (SameElement(a, b, i)) return 0;
  const double d = tensor::IsComplex(a.dtype()) ? std::abs(a.ComplexAt(i) - b.ComplexAt(i))
                                                : std::abs(a.DoubleAt(i) - b.DoubleAt(i));
  if (d == 0) return std::numeric_limits<double>::denorm_min();  // zeros that differ in sign
  return std::isfinite(d) ? d : HUGE_VAL;
}

// Two units in the last place of the modulus.
double Granule(const Tensor& t, int64_t i) {
  if (tensor::IsComplex(t.dtype())) {
    return 2 * UlpOf(std::abs(t.ComplexAt(i)), tensor::RealPart(t.dtype()));
  }
  return 2 * UlpOf(t.DoubleAt(i), t.dtype());
}

std::string ElementText(const Tensor& t, int64_t i) {
  if (tensor::IsComplex(t.dtype())) {
    const std::complex<double> z = t.ComplexAt(i);
    return StrCat("(", z.real(), ", ", z.imag(), ")");
  }
  if (tensor::IsFloat(t.dtype())) {
    const double v = t.DoubleAt(i);
    return v == 0 && std::signbit(v) ? "-0" : StrCat(v);
  }
  return StrCat(t.IntAt(i));
}

}  // namespace

std::string Engine::Text() const {
  std::string out(backend->name());
  for (const auto& [name, value] : settings) StrAppend(&out, " ", name, "=", value);
  return out;
}

std::vector<Engine> AllEngines() {
  std::vector<Engine> out;
  const auto registry = machines::AllBackends();
  for (const std::string& name : registry->Names()) {
    const auto backend = *registry->Find(name);
    if (!backend->HasSetting("tier")) {
      out.push_back({backend, {}});
      continue;
    }
    for (const char* tier : {"0", "1"}) out.push_back({backend, {{"tier", tier}}});
  }
  return out;
}

Result<bool> Expectation::Widen(const RandomProgram& program, int variants, double scale) {
  ASSIGN_OR_RETURN(PerturbedProgram perturbed, PerturbedProgram::Create(program.module));
  ASSIGN_OR_RETURN(const std::vector<Tensor> unmoved, perturbed.Run(program.inputs, 0));
  variants_.clear();
  for (int v = 1; perturbed.inexact() && v <= variants; ++v) {
    ASSIGN_OR_RETURN(std::vector<Tensor> moved, perturbed.Run(program.inputs, v, scale));
    variants_.push_back(std::move(moved));
  }
  for (size_t i = 0; i < outputs_.size(); ++i) {
    const std::string difference = Difference(i, unmoved[i]);
    if (!difference.empty()) {
      return Internal(StrCat("output ", i, ", operation by operation: ", difference));
    }
  }
  return !variants_.empty();
}

Result<Expectation> Expectation::Of(const RandomProgram& program) {
  Expectation out;
  ASSIGN_OR_RETURN(out.outputs_,
                   stablehlo::Evaluate(program.module, program.inputs, {.max_steps = kMaxSteps}));
  RETURN_IF_ERROR(out.Widen(program, kFewVariants, 1).status());
  return out;
}

std::string Expectation::Difference(size_t i, const Tensor& got) const {
  const Tensor& want = outputs_[i];
  if (got.dtype() != want.dtype() || !(got.shape() == want.shape())) {
    return StrCat("has type ", got.TypeText(), ", wanted ", want.TypeText());
  }
  for (int64_t k = 0; k < want.size(); ++k) {
    if (SameElement(got, want, k)) continue;
    double spread = 0;
    for (const auto& variant : variants_) {
      spread = std::max(spread, Distance(variant[i], want, k));
    }
    const bool any_answer = !std::isfinite(spread);
    const bool exact = spread == 0 || !tensor::IsInexact(want.dtype());
    if (any_answer || (exact && spread != 0)) continue;  // a branch on an inexact value
    const double allowed = exact ? 0 : kSlack * spread + Granule(want, k);
    if (!exact && Distance(got, want, k) <= allowed) continue;
    return StrCat("element ", k, " is ", ElementText(got, k), ", wanted ", ElementText(want, k),
                  exact ? " exactly" : StrCat(" within ", allowed));
  }
  return "";
}

namespace {

// Inputs that every second program is given to keep, some with the output they should become. In
// programs of one seed the same, so that shrinking finds them again.
std::string DonateTextFor(const RandomProgram& program) {
  std::mt19937_64 random(program.seed * 0x9E3779B97F4A7C15);
  const auto below = [&](size_t n) { return static_cast<uint32_t>(random() % n); };
  std::vector<stablehlo::DonatedInput> donated;
  const auto entry = program.module.Entry();
  if (!entry.ok() || below(2) == 0) return "";
  std::vector<bool> taken((*entry)->results.size(), false);
  for (uint32_t i = 0; i < program.inputs.size(); ++i) {
    if (below(4) == 0) continue;
    stablehlo::DonatedInput d{i, UINT32_MAX};
    // One of its type, if there is one left.
    for (uint32_t o = 0; o < taken.size() && below(3) != 0; ++o) {
      if (taken[o] || !((*entry)->results[o] == (*entry)->input_types()[i])) continue;
      taken[o] = true;
      d.output = o;
      break;
    }
    donated.push_back(d);
  }
  return stablehlo::DonateText(donated);
}

bool SameBytes(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  return std::ranges::equal(a, b, [](const Tensor& x, const Tensor& y) { return x.BitEquals(y); });
}

// Runs a program that inputs are donated to once more, with the inputs given away. "" if it gives
// what it gave before, and left alone what it was not given then.
std::string RunGiven(const runtime::Executable& executable, const std::vector<Tensor>& inputs,
                     const std::vector<Tensor>& copies, const std::vector<Tensor>& wanted) {
  if (!SameBytes(inputs, copies)) return "an input that was not given has changed";
  std::vector<Tensor> given;
  for (const Tensor& t : inputs) {
    given.push_back(*Tensor::CreateUninitialized(t.dtype(), t.shape()));
    std::ranges::copy(t.bytes(), static_cast<char*>(given.back().mutable_data()));
  }
  const auto got = executable.RunTaking(std::move(given));
  if (!got.ok()) return got.status().ToString();
  return SameBytes(*got, wanted) ? "" : "results differ when inputs are given away";
}

// What one engine gives, or where it fails.
std::optional<Disagreement> RunOn(const Engine& engine, const RandomProgram& program,
                                  std::vector<Tensor>* out) {
  using Stage = Disagreement::Stage;
  const auto failed = [&](Stage stage, const Status& s) {
    return Disagreement{stage, engine.Text(), s.ToString()};
  };
  // Both forms programs come in.
  const std::string text = program.seed % 2 == 0 ? stablehlo::PrintModule(program.module)
                                                 : stablehlo::EncodeModule(program.module);
  runtime::CompileOptions options;
  options.settings = engine.settings;
  std::string donate;
  if (engine.backend->HasSetting(stablehlo::kDonateSetting)) donate = DonateTextFor(program);
  if (!donate.empty()) options.settings[std::string(stablehlo::kDonateSetting)] = donate;
  std::vector<Tensor> copies;
  for (const Tensor& t : program.inputs) {
    copies.push_back(t);
    if (!donate.empty() && !copies.back().MakeUnique().ok()) donate.clear();
  }
  const auto package = engine.backend->Compile(text, options, nullptr);
  if (!package.ok()) return failed(Stage::kCompile, package.status());
  const auto executable = engine.backend->Load(*package);
  if (!executable.ok()) return failed(Stage::kLoad, executable.status());
  auto result = (*executable)->Run(program.inputs);
  if (!result.ok()) return failed(Stage::kRun, result.status());
  *out = *std::move(result);
  if (donate.empty()) return std::nullopt;
  const std::string difference = RunGiven(**executable, program.inputs, copies, *out);
  if (difference.empty()) return std::nullopt;
  return failed(Stage::kRun, Internal(StrCat(difference, " (donate=", donate, ")")));
}

}  // namespace

std::optional<Disagreement> Check(const RandomProgram& program,
                                  const std::vector<Engine>& engines) {
  using Stage = Disagreement::Stage;
  auto expectation = Expectation::Of(program);
  if (!expectation.ok()) {
    return Disagreement{Stage::kEvaluator, "evaluator", expectation.status().ToString()};
  }
  for (const Engine& engine : engines) {
    std::vector<Tensor> got;
    if (auto d = RunOn(engine, program, &got)) return d;
    if (got.size() != expectation->outputs().size()) {
      return Disagreement{Stage::kResult, engine.Text(), StrCat("gave ", got.size(), " outputs")};
    }
    for (size_t i = 0; i < got.size(); ++i) {
      if (expectation->Difference(i, got[i]).empty()) continue;
      const Status again = expectation->Widen(program, kManyVariants, 2).status();
      if (!again.ok()) return Disagreement{Stage::kEvaluator, "evaluator", again.ToString(), i};
      const std::string difference = expectation->Difference(i, got[i]);
      if (!difference.empty()) {
        return Disagreement{Stage::kResult, engine.Text(), StrCat("output ", i, ": ", difference),
                            i};
      }
    }
  }
  return std::nullopt;
}

}  // namespace megalith::property
