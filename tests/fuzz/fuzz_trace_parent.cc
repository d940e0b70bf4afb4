// traceparent headers: what parses prints as it was read, up to version and further fields.
#include <cstdint>
#include <string_view>

#include "common/foundation/base/status.h"
#include "common/foundation/telemetry/trace_context.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto context =
      megalith::telemetry::ParseTraceParent({reinterpret_cast<const char*>(data), size});
  if (context) CHECK(megalith::telemetry::ParseTraceParent(context->ToHeader()) == context);
  return 0;
}
