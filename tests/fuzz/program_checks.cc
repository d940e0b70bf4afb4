#include "tests/fuzz/program_checks.h"

#include <chrono>

#include "common/foundation/base/clock.h"
#include "common/programs/ir/compare.h"
#include "common/programs/ir/print.h"
#include "common/programs/ops/registry.h"
#include "common/programs/stablehlo/canonical.h"
#include "common/programs/stablehlo/codec.h"
#include "common/programs/stablehlo/evaluate.h"
#include "common/programs/stablehlo/verify.h"

namespace megalith::fuzz {
namespace {

pipeline::Transform Mapped(pipeline::Axes in, int64_t size) {
  pipeline::Transform t{.name = "vmap", .in_axes = std::move(in)};
  t.axis_size = size;
  return t;
}

// One transform of each kind, and some of their fields.
const std::vector<pipeline::Transform>& Menu() {
  static const std::vector<pipeline::Transform> menu = {
      {.name = "jit"},
      {.name = "grad"},
      {.name = "value_and_grad", .argnums = {-1}, .has_aux = true},
      {.name = "jvp"},
      {.name = "linearize"},
      {.name = "vjp", .num_primals = 1},
      {.name = "vjp", .num_primals = 2},
      {.name = "linear_transpose", .num_primals = 1},
      Mapped({0}, 3),
      Mapped({-1}, 0),
      Mapped({std::nullopt}, 2),
      {.name = "jacfwd"},
      {.name = "jacrev", .argnums = {0, 1}, .argnums_is_list = true},
      {.name = "hessian"},
      {.name = "checkpoint"},
      {.name = "checkpoint", .policy = "dots_saveable", .prevent_cse = false},
  };
  return menu;
}

// Plans what lowering gave; a program that lowers is a program that verifies.
void CheckLowered(const stablehlo::Module& module) {
  stablehlo::Limits limits;
  limits.max_ops = 20'000;
  limits.max_values = 80'000;
  const Status verified = stablehlo::Verify(module, limits);
  CHECK(verified.ok() || verified.code() == Code::kResourceExhausted);
  if (!verified.ok()) return;
  const auto canonical = stablehlo::Canonicalize(module, limits);
  if (!canonical.ok()) return;
  const std::string bytes = stablehlo::EncodeModule(*canonical);
  const auto decoded = stablehlo::DecodeModule(bytes, limits);
  CHECK(decoded.ok());
  CHECK(stablehlo::EncodeModule(*decoded) == bytes);
  (void)stablehlo::Plan::Create(*decoded,
                                {.max_bytes_per_value = 1 << 20, .max_live_bytes = 1 << 24});
}

}  // namespace

std::vector<pipeline::Transform> StackFromBytes(std::string_view bytes) {
  std::vector<pipeline::Transform> stack;
  const size_t n = bytes.empty() ? 0 : static_cast<uint8_t>(bytes[0]) % kStackBytes;
  for (size_t i = 1; i <= n && i < bytes.size(); ++i) {
    stack.push_back(Menu()[static_cast<uint8_t>(bytes[i]) % Menu().size()]);
  }
  return stack;
}

Cancellation ShortDeadline() {
  return Cancellation(RealClock().Monotonic() + std::chrono::milliseconds(500));
}

pipeline::TraceOptions SmallOptions(const Cancellation* cancel) {
  pipeline::TraceOptions options;
  options.parse_limits.max_bytes = 1 << 20;
  options.parse_limits.max_eqns = 2000;
  options.limits.max_eqns = 20'000;
  options.cancel = cancel;
  return options;
}

void CheckProgram(const ir::Program& program, const std::vector<pipeline::Transform>& stack,
                  const pipeline::TraceOptions& options) {
  (void)pipeline::TraceKey(program, stack, options);
  const auto traced = pipeline::Apply(program, stack, options);
  if (!traced.ok()) {
    CHECK(!traced.status().message().empty());
    CHECK(traced.status().code() != Code::kInternal);
    return;
  }
  const ir::JaxprPtr& jaxpr = traced->program.closed.jaxpr;
  ir::ParseLimits wide;
  wide.guess_dropped = true;
  const std::string text = ir::Print(jaxpr);
  const auto again = ir::ParseJaxpr(text, ops::AllOps(), wide);
  if (again.ok()) (void)ir::SameDag(*jaxpr, **again);
  const auto module = pipeline::LowerToStablehlo(traced->program, options);
  if (module.ok()) CheckLowered(*module);
}

}  // namespace megalith::fuzz
