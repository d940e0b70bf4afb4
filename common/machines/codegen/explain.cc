#include "common/machines/codegen/explain.h"

#include "common/foundation/base/strings.h"
#include "common/machines/codegen/memory.h"
#include "common/programs/stablehlo/printer.h"

namespace megalith::codegen {
namespace {

struct Word {
  std::string_view name;
  bool Explain::* field;
};
constexpr Word kWords[] = {{"passes", &Explain::passes},
                           {"plan", &Explain::plan},
                           {"ir", &Explain::ir},
                           {"assembly", &Explain::assembly}};

std::string Heading(std::string_view title) { return StrCat("\n=== ", title, " ===\n"); }

std::string Milliseconds(double seconds) {
  return StrCat(static_cast<double>(static_cast<int64_t>(seconds * 1e6)) / 1e3, " ms");
}

uint64_t BytesOf(const runtime::TensorSpec& t) {
  return static_cast<uint64_t>(tensor::NumElements(t.shape).value_or(0)) *
         static_cast<uint64_t>(tensor::ByteWidth(t.dtype));
}

}  // namespace

Status ReadExplain(std::string_view words, Explain* explain) {
  for (const std::string_view word : Split(words, ',')) {
    bool known = word == "all";
    for (const Word& w : kWords) {
      if (word != "all" && word != w.name) continue;
      explain->*w.field = true;
      known = true;
    }
    if (!known) {
      return InvalidArgument(
          StrCat("explain knows passes, plan, ir, assembly and all, not '", Printable(word), "'"));
    }
  }
  return OkStatus();
}

void Explanation::Add(std::string_view title, const stablehlo::Module& module) {
  if (!wanted_.passes) return;
  StrAppend(&text_, Heading(title), stablehlo::PrintModule(module));
}

void Explanation::Add(const std::vector<PassRecord>& passes) {
  if (!wanted_.passes) return;
  for (const PassRecord& p : passes) {
    StrAppend(&text_, Heading(StrCat("pass ", p.name)), p.rewrites, " rewrites, ", p.ops_before,
              " operations before, ", p.ops_after, " after, ", Milliseconds(p.seconds), "\n",
              p.text_after);
  }
}

void Explanation::Add(const LowerReport& report, const runtime::Plan& plan) {
  if (!wanted_.plan) return;
  StrAppend(&text_, Heading("fused kernels"));
  for (const LowerReport::Group& g : report.groups) {
    StrAppend(&text_, g.name, ": ", g.ops, " operations, cost ", g.cost, ", ", g.bytes, " bytes\n");
  }
  for (const std::string& op : report.evaluated) {
    StrAppend(&text_, op, ": run by the reference evaluator\n");
  }
  uint64_t inputs = 0, outputs = 0, constants = 0;
  for (const runtime::TensorSpec& t : plan.signature.inputs) inputs += BytesOf(t);
  for (const runtime::TensorSpec& t : plan.signature.outputs) outputs += BytesOf(t);
  for (const runtime::PlanConstant& c : plan.constants) constants += c.bytes.size();
  StrAppend(&text_, Heading("memory"), inputs, " bytes of inputs, ", outputs, " of outputs, ",
            constants, " of constants, ", plan.arena_bytes,
            " of temporaries at the peak, scratch of library kernels included\n");
  StrAppend(&text_, Heading("plan"), runtime::PlanText(plan));
  StrAppend(&text_, Heading("peak of temporary memory"), PeakText(plan));
  for (size_t i = 0; i < plan.loops.size(); ++i) {
    StrAppend(&text_, Heading(StrCat("kernel ", i)), runtime::LoopText(plan.loops[i]));
  }
}

void Explanation::Add(const std::vector<EmittedKernel>& kernels) {
  for (const EmittedKernel& k : kernels) {
    const std::string name =
        StrCat(k.kind == runtime::CodeKind::kWhile ? "loop " : "kernel ", k.loop);
    if (wanted_.ir) {
      StrAppend(&text_, Heading(StrCat("LLVM IR of ", name)), k.ir);
    }
    if (wanted_.assembly) {
      StrAppend(&text_, Heading(StrCat("machine code of ", name)), k.assembly);
    }
  }
}

}  // namespace megalith::codegen
