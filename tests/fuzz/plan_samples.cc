#include "tests/fuzz/plan_samples.h"

#include <algorithm>
#include <chrono>
#include <map>

#include "common/foundation/base/cancellation.h"
#include "common/foundation/base/clock.h"
#include "common/machines/codegen/cpu_backend.h"
#include "common/programs/stablehlo/codec.h"
#include "common/programs/stablehlo/donation.h"
#include "tests/property/random_program.h"

namespace megalith::fuzz {
namespace {

constexpr uint64_t kMostBytes = 1 << 22;
constexpr int64_t kMostPoints = 1 << 16;
constexpr int64_t kMostTurns = 1000;

// n * factor, or very many.
int64_t Times(int64_t n, int64_t factor) {
  return __builtin_mul_overflow(n, std::max<int64_t>(factor, 1), &n) ? INT64_MAX : n;
}

// True if loops over the kernel's points end soon.
bool IsSmall(const runtime::LoopKernel& kernel) {
  int64_t points = 1;
  for (const int64_t d : kernel.outer) points = Times(points, d);
  return std::all_of(kernel.stages.begin(), kernel.stages.end(), [&](const runtime::LoopStage& s) {
    int64_t inner = points;
    for (const runtime::LoopDim& d : s.dims) inner = Times(inner, d.extent);
    return inner <= kMostPoints;
  });
}

bool IsSmall(const std::vector<runtime::TensorSpec>& specs) {
  return std::all_of(specs.begin(), specs.end(), [](const runtime::TensorSpec& s) {
    const auto n = tensor::NumElements(s.shape);
    return n && *n <= static_cast<int64_t>(kMostBytes / 16);
  });
}

std::string EveryInput(const property::RandomProgram& program) {
  std::vector<stablehlo::DonatedInput> donated;
  for (uint32_t i = 0; i < program.inputs.size(); ++i) donated.push_back({i, UINT32_MAX});
  return stablehlo::DonateText(donated);
}

}  // namespace

const runtime::Package& SamplePackage(uint8_t number) {
  static std::map<uint8_t, runtime::Package> samples;
  const auto known = samples.find(number);
  if (known != samples.end()) return known->second;
  static const auto backend = codegen::MakeCpuBackend();
  const auto program =
      property::MakeRandomProgram(900 + number, {.max_ops = 14, .max_elements = 200});
  CHECK(program.ok());
  runtime::CompileOptions options;
  options.settings["tier"] = "0";
  if (number % 2 == 1) options.settings["donate"] = EveryInput(*program);
  const auto bytes = backend->Compile(stablehlo::EncodeModule(program->module), options, nullptr);
  CHECK(bytes.ok());
  auto package = runtime::DecodePackage(*bytes);
  CHECK(package.ok());
  return samples.emplace(number, *std::move(package)).first->second;
}

std::string Damaged(std::string bytes, std::string_view edits) {
  for (; edits.size() >= 4 && !bytes.empty(); edits.remove_prefix(4)) {
    const auto byte = [&](size_t i) { return static_cast<size_t>(static_cast<uint8_t>(edits[i])); };
    const size_t at = (byte(0) | byte(1) << 8) * bytes.size() >> 16;
    const char value = edits[3];
    switch (byte(2) % 7) {
      case 0:
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << (byte(3) % 8)));
        break;
      case 1:
        bytes[at] = value;
        break;
      case 2:
        bytes[at] = static_cast<char>(bytes[at] + static_cast<int8_t>(value));
        break;
      case 3:  // a whole number, most of its bytes at once
        for (size_t i = at; i < std::min(at + 1 + byte(3) % 8, bytes.size()); ++i)
          bytes[i] = '\xFF';
        break;
      case 4:
        bytes.erase(at, 1 + byte(3) % 16);
        break;
      case 5:
        bytes.insert(at, bytes.substr(at, 1 + byte(3)));
        break;
      default:  // a number from elsewhere
        for (size_t i = 0; i < 8 && at + i < bytes.size(); ++i) {
          bytes[at + i] = bytes[(at + i + 8 * byte(3)) % bytes.size()];
        }
    }
  }
  return bytes;
}

bool IsSmall(const runtime::Plan& plan) {
  uint64_t bytes = plan.arena_bytes;
  for (const runtime::PlanBuffer& b : plan.buffers) bytes += std::min(b.bytes, kMostBytes + 1);
  bool small = bytes <= kMostBytes;
  for (const runtime::PlanWhile& w : plan.whiles) small = small && w.trip_count <= kMostTurns;
  for (const runtime::LoopKernel& k : plan.loops) small = small && IsSmall(k);
  for (const runtime::LibraryUse& use : plan.library) {
    small = small && use.scratch_bytes <= kMostBytes && IsSmall(use.in) && IsSmall(use.out);
  }
  return small && IsSmall(plan.signature.inputs) && IsSmall(plan.signature.outputs);
}

std::vector<tensor::Tensor> Zeros(const runtime::Signature& signature) {
  std::vector<tensor::Tensor> out;
  for (const runtime::TensorSpec& spec : signature.inputs) {
    out.push_back(*tensor::Tensor::Create(spec.dtype, spec.shape));
  }
  return out;
}

void RunOnZeros(const runtime::Executable& executable) {
  const Cancellation deadline(RealClock().Monotonic() + std::chrono::milliseconds(200));
  runtime::RunOptions options;
  options.cancellation = &deadline;
  (void)executable.Run(Zeros(executable.signature()), options);
  (void)executable.RunTaking(Zeros(executable.signature()), options);
}

}  // namespace megalith::fuzz
