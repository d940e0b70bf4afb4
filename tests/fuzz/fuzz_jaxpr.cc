// Jaxpr text: what parses and checks prints, and the print parses to the same text; then a stack
// chosen by the first bytes, and lowering.
#include <cstdint>
#include <string_view>

#include "common/programs/ir/compare.h"
#include "common/programs/ir/print.h"
#include "common/programs/ops/registry.h"
#include "tests/fuzz/program_checks.h"

namespace megalith {
namespace {

void PrintAndParseAgain(const ir::JaxprPtr& jaxpr) {
  const std::string printed = ir::Print(jaxpr);
  ir::ParseLimits wide;
  wide.guess_dropped = true;
  const auto again = ir::ParseJaxpr(printed, ops::AllOps(), wide);
  CHECK(again.ok());
  CHECK(ir::Print(*again) == printed);
}

void TestOne(std::string_view input) {
  if (input.size() < fuzz::kStackBytes) return;
  const Cancellation cancel = fuzz::ShortDeadline();
  const pipeline::TraceOptions options = fuzz::SmallOptions(&cancel);
  pipeline::Source source;
  source.text = input.substr(fuzz::kStackBytes);
  const auto parsed = ir::ParseJaxpr(source.text, ops::AllOps(), options.parse_limits);
  if (!parsed.ok()) {
    CHECK(!parsed.status().message().empty());
    return;
  }
  const auto program = pipeline::Load(source, options);
  if (!program.ok()) return;
  PrintAndParseAgain(*parsed);
  fuzz::CheckProgram(*program, fuzz::StackFromBytes(input.substr(0, fuzz::kStackBytes)), options);
}

}  // namespace
}  // namespace megalith

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  megalith::TestOne({reinterpret_cast<const char*>(data), size});
  return 0;
}
