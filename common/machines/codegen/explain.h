// What the compiler did, as text for people: the section "explain" of a package.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/machines/codegen/cpu/emit.h"
#include "common/machines/codegen/lower.h"
#include "common/machines/codegen/passes/passes.h"
#include "common/machines/runtime/plan.h"
#include "common/programs/stablehlo/module.h"

namespace megalith::codegen {

// What is wanted: the setting "explain", a list of these words separated by commas.
struct Explain {
  bool passes = false;    // the program before and after each pass
  bool plan = false;      // groups with their costs, kernels, steps and buffers
  bool ir = false;        // LLVM IR of each kernel (tier 1)
  bool assembly = false;  // machine code of each kernel (tier 1)
  bool any() const { return passes || plan || ir || assembly; }
};

// kInvalidArgument for a word that is not one of passes, plan, ir, assembly and all.
Status ReadExplain(std::string_view words, Explain* explain);

// Collects the text. Does nothing for what is not wanted. Not thread-safe.
class Explanation {
 public:
  explicit Explanation(const Explain& wanted) : wanted_(wanted) {}

  const Explain& wanted() const { return wanted_; }
  void Add(std::string_view title, const stablehlo::Module& module);
  void Add(const std::vector<PassRecord>& passes);
  void Add(const LowerReport& report, const runtime::Plan& plan);
  void Add(const std::vector<EmittedKernel>& kernels);
  std::string Take() { return std::move(text_); }

 private:
  Explain wanted_;
  std::string text_;
};

}  // namespace megalith::codegen
