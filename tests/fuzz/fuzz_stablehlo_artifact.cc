// Portable artifacts: what reads is written for readers of some version, reads back to the same
// canonical form, and can be planned.
#include <cstdint>
#include <string_view>

#include "common/programs/stablehlo/artifact/artifact.h"
#include "common/programs/stablehlo/canonical.h"
#include "common/programs/stablehlo/evaluate.h"
#include "common/programs/stablehlo/printer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace megalith;
  stablehlo::artifact::ReadOptions options;
  options.limits.max_ops = 5000;
  options.limits.max_values = 20'000;
  options.limits.max_nesting = 16;
  options.limits.max_call_depth = 16;
  options.limits.max_elements = 1 << 14;
  const auto module =
      stablehlo::artifact::ReadArtifact({reinterpret_cast<const char*>(data), size}, options);
  if (!module.ok()) {
    CHECK(!module.status().message().empty());
    CHECK(module.status().code() != Code::kInternal);
    return 0;
  }
  CHECK(!stablehlo::PrintModule(*module).empty());
  const auto canonical = stablehlo::CanonicalBytes(*module, options.limits);
  for (const stablehlo::artifact::Version version : {9'000u, 14'000u, 1'013'000u, 1'020'000u}) {
    const auto bytes = stablehlo::artifact::WriteArtifact(*module, {.version = version});
    if (!bytes.ok()) {
      CHECK(bytes.status().code() != Code::kInternal);
      continue;
    }
    const auto again = stablehlo::artifact::ReadArtifact(*bytes, options);
    CHECK(again.ok());
    if (canonical.ok()) CHECK(*stablehlo::CanonicalBytes(*again, options.limits) == *canonical);
  }
  (void)stablehlo::Plan::Create(*module,
                                {.max_bytes_per_value = 1 << 18, .max_live_bytes = 1 << 22});
  return 0;
}
