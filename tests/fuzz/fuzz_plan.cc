// Plans: what decodes encodes to the same bytes, and is safe to run. The input is the bytes of a
// plan; and, its first byte naming a sample, damage to that.
#include <chrono>

#include "common/foundation/base/clock.h"
#include "common/machines/codegen/reference_op.h"
#include "common/machines/kernels/library.h"
#include "common/machines/runtime/plan_runner.h"
#include "tests/fuzz/plan_samples.h"

namespace megalith::fuzz {
namespace {

const kernels::LibraryKernel* FindKernel(std::string_view name) {
  return name == codegen::kReferenceKernel.name ? &codegen::kReferenceKernel
                                                : kernels::FindLibraryKernel(name);
}

void TestOne(std::string_view bytes) {
  auto plan = runtime::DecodePlan(bytes);
  if (!plan.ok()) {
    CHECK(plan.status().code() == Code::kDataLoss);
    return;
  }
  CHECK(runtime::EncodePlan(*plan) == bytes);
  (void)runtime::PlanText(*plan);
  if (!IsSmall(*plan)) return;
  static kernels::WorkPool pool(1);
  auto inputs = Zeros(plan->signature);
  const auto runner = runtime::PlanRunner::Create(*std::move(plan), FindKernel, pool);
  if (!runner.ok()) return;
  const Cancellation deadline(RealClock().Monotonic() + std::chrono::milliseconds(200));
  runtime::RunOptions options;
  options.cancellation = &deadline;
  (void)(*runner)->Run(inputs, options);
  (void)(*runner)->RunTaking(std::move(inputs), options);
}

}  // namespace
}  // namespace megalith::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace megalith::fuzz;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  TestOne(input);
  if (input.empty()) return 0;
  const auto plan = SamplePackage(static_cast<uint8_t>(input[0])).Find("plan");
  TestOne(Damaged(std::string(*plan), input.substr(1)));
  return 0;
}
