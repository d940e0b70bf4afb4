// Encoded modules: what decodes encodes to the same bytes, has a canonical form and can be planned.
#include <cstdint>
#include <string_view>

#include "common/programs/stablehlo/canonical.h"
#include "common/programs/stablehlo/codec.h"
#include "common/programs/stablehlo/evaluate.h"
#include "common/programs/stablehlo/verify.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace megalith::stablehlo;
  Limits limits;
  limits.max_ops = 5000;
  limits.max_values = 20'000;
  limits.max_nesting = 16;
  limits.max_call_depth = 16;
  limits.max_elements = 1 << 14;
  const auto module = DecodeModule({reinterpret_cast<const char*>(data), size}, limits);
  if (!module.ok()) {
    CHECK(!module.status().message().empty());
    return 0;
  }
  const std::string bytes = EncodeModule(*module);
  const auto again = DecodeModule(bytes, limits);
  CHECK(again.ok());
  CHECK(EncodeModule(*again) == bytes);
  const auto canonical = Canonicalize(*module, limits);
  if (!canonical.ok()) return 0;
  CHECK(Verify(*canonical, limits).ok());
  CHECK(EncodeModule(*Canonicalize(*canonical, limits)) == EncodeModule(*canonical));
  (void)Plan::Create(*canonical, {.max_bytes_per_value = 1 << 18, .max_live_bytes = 1 << 22});
  return 0;
}
