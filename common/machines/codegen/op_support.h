// How the CPU backend runs each operation of the StableHLO table, for documentation and tests.
#pragma once

#include <string>
#include <string_view>

namespace megalith::codegen {

enum class OpHandling {
  kFused,      // part of a fused kernel
  kKernel,     // a kernel of its own
  kStructure,  // a step of the plan, or nothing at run time
  kEvaluator,  // the reference evaluator, as one step or as the whole program
  kRefused,    // no program with it is accepted
  kUnlisted,   // nobody said: an error of ours
};

struct OpSupport {
  OpHandling handling = OpHandling::kUnlisted;
  std::string_view remark;  // what goes to the evaluator although others do not, and why
};

// Of an operation by its full name.
OpSupport SupportOf(std::string_view op);
// Every remark is about an operation of the table.
bool RemarksAreKnown();
// The table of docs/cpu.md.
std::string OpSupportMarkdown();

}  // namespace megalith::codegen
