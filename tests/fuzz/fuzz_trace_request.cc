// TraceRequest and LowerRequest, which have the same fields, through the engine of the trace
// service.
#include <google/protobuf/stubs/logging.h>

#include <cstdint>
#include <string_view>

#include "services/trace/pipeline_engine.h"
#include "tests/fuzz/program_checks.h"

namespace megalith {
namespace {

void TestOne(std::string_view input) {
  static const auto previous = google::protobuf::SetLogHandler(nullptr);
  (void)previous;
  static const std::shared_ptr<services::TraceEngine> engine =
      services::MakePipelineEngine({.max_program_bytes = 1 << 20,
                                    .max_equations = 20'000,
                                    .max_depth = 30,
                                    .max_transforms = 4});
  trace::v1::TraceRequest request;
  if (!request.ParseFromArray(input.data(), static_cast<int>(input.size()))) return;
  while (request.stack_size() > 4)
    request.mutable_stack()->RemoveLast();  // the service's own limit
  std::vector<services::TraceStep> steps;
  const Cancellation cancel = fuzz::ShortDeadline();
  const auto traced = engine->Trace(request, Policy::kStrict, &steps, cancel);
  CHECK(traced.ok() || traced.status().code() != Code::kInternal);
  trace::v1::LowerRequest lower;
  CHECK(lower.ParseFromString(request.SerializeAsString()));
  const auto lowered = engine->Lower(lower, Policy::kHardened, &steps, cancel);
  CHECK(lowered.ok() || lowered.status().code() != Code::kInternal);
  if (!traced.ok() || traced->program_bytes().empty()) return;
  // What the service gives it takes back.
  trace::v1::TraceRequest again;
  again.mutable_source()->set_program_bytes(traced->program_bytes());
  const auto retraced = engine->Trace(again, Policy::kStrict, &steps, cancel);
  CHECK(retraced.ok() || retraced.status().code() == Code::kDeadlineExceeded ||
        retraced.status().code() == Code::kResourceExhausted);
}

}  // namespace
}  // namespace megalith

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  megalith::TestOne({reinterpret_cast<const char*>(data), size});
  return 0;
}
