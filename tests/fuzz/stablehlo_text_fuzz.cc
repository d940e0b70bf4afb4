// Feeds arbitrary text to the StableHLO parser and, if it is a program, to everything behind it:
// print and parse again, canonical bytes and back, evaluation under tight limits. Nothing may
// crash, hang or contradict itself.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "common/foundation/base/strings.h"
#include "common/programs/stablehlo/canonical.h"
#include "common/programs/stablehlo/codec.h"
#include "common/programs/stablehlo/cost.h"
#include "common/programs/stablehlo/evaluate.h"
#include "common/programs/stablehlo/parser.h"
#include "common/programs/stablehlo/printer.h"

namespace megalith::stablehlo {
namespace {

Limits TightLimits() {
  Limits l;
  l.max_text_bytes = 1 << 20;
  l.max_ops = 5000;
  l.max_values = 20000;
  l.max_nesting = 16;
  l.max_call_depth = 16;
  l.max_elements = 1 << 14;
  return l;
}

void EvaluateUnderLimits(const Module& module) {
  EvalLimits limits;
  limits.max_bytes_per_value = 1 << 18;
  limits.max_live_bytes = 1 << 22;
  limits.max_steps = 2000;
  limits.max_flops_per_op = 1 << 20;
  const auto plan = Plan::Create(module, limits);
  if (!plan.ok()) return;
  std::vector<Tensor> inputs;
  for (const TensorType& t : plan->input_types()) {
    if (t.is_token) {
      inputs.push_back(*Tensor::Create(DType::kBool, Shape{0}));
      continue;
    }
    auto input = Tensor::Create(t.dtype, t.shape, limits.max_bytes_per_value);
    if (!input.ok()) return;
    for (int64_t i = 0; i < input->size(); ++i)
      input->SetDouble(i, static_cast<double>(i % 5) - 1.0);
    inputs.push_back(*std::move(input));
  }
  const auto out = plan->Run(inputs);
  if (!out.ok()) return;
  CHECK(out->size() == plan->output_types().size());
  for (size_t i = 0; i < out->size(); ++i) {
    const TensorType& want = plan->output_types()[i];
    CHECK(want.is_token || ((*out)[i].dtype() == want.dtype && (*out)[i].shape() == want.shape));
  }
}

void TestOneText(std::string_view text) {
  const Limits limits = TightLimits();
  const auto module = ParseModule(text, {.limits = limits});
  if (!module.ok()) {
    CHECK(!module.status().message().empty());
    return;
  }
  const std::string printed = PrintModule(*module);
  Limits reprint = limits;  // a pretty form may be longer than what it came from
  reprint.max_text_bytes *= 64;
  const auto again = ParseModule(printed, {.limits = reprint});
  CHECK(again.ok());
  CHECK(PrintModule(*again) == printed);
  CHECK(EstimateCost(*module).ok() == module->Entry().ok());
  const auto bytes = CanonicalBytes(*module, limits);
  if (bytes.ok()) {
    const auto decoded = DecodeModule(*bytes, limits);
    CHECK(decoded.ok());
    CHECK(*CanonicalBytes(*decoded, limits) == *bytes);
    EvaluateUnderLimits(*decoded);
  }
  EvaluateUnderLimits(*module);
}

}  // namespace
}  // namespace megalith::stablehlo

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  megalith::stablehlo::TestOneText({reinterpret_cast<const char*>(data), size});
  return 0;
}
