// Exports of JAX: what reads is a valid module.
#include <cstdint>
#include <string_view>

#include "common/programs/stablehlo/artifact/jax_export.h"
#include "common/programs/stablehlo/verify.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace megalith;
  stablehlo::artifact::ExportOptions options;
  options.artifact.limits.max_ops = 5000;
  options.artifact.limits.max_values = 20'000;
  options.artifact.limits.max_nesting = 16;
  options.artifact.limits.max_elements = 1 << 14;
  const auto read =
      stablehlo::artifact::ReadExport({reinterpret_cast<const char*>(data), size}, options);
  if (!read.ok()) {
    CHECK(!read.status().message().empty());
    CHECK(read.status().code() != Code::kInternal);
    return 0;
  }
  CHECK(stablehlo::Verify(read->module, options.artifact.limits).ok());
  return 0;
}
