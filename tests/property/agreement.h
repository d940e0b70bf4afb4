// Does every backend give what the reference evaluator gives?
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/machines/runtime/backend.h"
#include "tests/property/random_program.h"

namespace megalith::property {

// A backend with settings: what a program is run on.
struct Engine {
  std::shared_ptr<const runtime::Backend> backend;
  std::map<std::string, std::string> settings;
  std::string Text() const;  // "cpu tier=0"
};

// Every backend there is; one that has a setting `tier` once for each of the tiers 0 and 1.
std::vector<Engine> AllEngines();

struct Disagreement {
  enum class Stage : uint8_t { kEvaluator, kCompile, kLoad, kRun, kResult, kCrash };
  Stage stage = Stage::kResult;
  std::string engine;
  std::string message;
  size_t output = 0;  // of kResult
};

// What the evaluator gives, and what another may give; perturbed.h says how that is found out.
class Expectation {
 public:
  // Errors: of the evaluator, and kInternal if it disagrees with itself run operation by operation.
  static Result<Expectation> Of(const RandomProgram& program);
  // "" if `got` is a right answer for output `i`. NaN equals NaN; where there is only one right
  // answer, zeros agree in sign.
  std::string Difference(size_t i, const Tensor& got) const;
  const std::vector<Tensor>& outputs() const { return outputs_; }
  // Takes this many perturbed evaluations instead of the few that Of takes, with movements `scale`
  // times as large. False if the program has no inexact operation.
  Result<bool> Widen(const RandomProgram& program, int variants, double scale);

 private:
  std::vector<Tensor> outputs_;
  std::vector<std::vector<Tensor>> variants_;  // by variant, by output
};

// The first disagreement of an engine with the evaluator. A difference that a few perturbed
// evaluations do not explain is looked at again with many.
std::optional<Disagreement> Check(const RandomProgram& program, const std::vector<Engine>& engines);

}  // namespace megalith::property
