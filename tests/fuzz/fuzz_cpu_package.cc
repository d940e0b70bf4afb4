// Packages of the CPU backend, through its loader: nothing that a package holds may crash it, and
// what it loads is safe to run. The first byte names a sample, the second what is damaged: the
// package as a whole, or one section, with the checksums put right.
#include "common/machines/codegen/cpu_backend.h"
#include "common/machines/runtime/cpu/code_image.h"
#include "tests/fuzz/plan_samples.h"

namespace megalith::fuzz {
namespace {

// `small`: runs end soon. Machine code is run of nobody: own packages with code are only loaded.
void TestOne(const std::string& bytes, bool small, bool with_code) {
  static const auto backend = codegen::MakeCpuBackend();
  const auto executable = backend->Load(bytes);
  if (executable.ok() && small && !with_code) RunOnZeros(**executable);
  const auto strange = backend->Load(bytes, runtime::Origin::kStranger);
  if (strange.ok() && small) RunOnZeros(**strange);
}

// Code that would not do what the kernels do it belongs to, the first ones, whatever they are.
std::string SomeCode() {
  runtime::CodeImage image;
  image.bytes = std::string(64, '\xCC');
  image.entries = {{0, 0, 64}, {1, 16, 128}};
  image.target = "x86-64";
  return runtime::EncodeCodeImage(image);
}

}  // namespace
}  // namespace megalith::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace megalith;
  using namespace megalith::fuzz;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  TestOne(std::string(input), false, false);
  if (size < 2) return 0;
  runtime::Package package = SamplePackage(data[0]);
  const std::string_view edits = input.substr(2);
  const bool with_code = (data[1] & 0x80) != 0;
  if (with_code) package.sections.push_back({"code", SomeCode()});
  TestOne(Damaged(runtime::EncodePackage(package), edits), false, with_code);
  runtime::Package::Section& section = package.sections[data[1] % package.sections.size()];
  section.bytes = Damaged(std::move(section.bytes), edits);
  const auto plan = package.Find("plan");
  const auto decoded = plan.ok() ? runtime::DecodePlan(*plan) : plan.status();
  if (decoded.ok()) package.signature = decoded->signature;
  TestOne(runtime::EncodePackage(package), decoded.ok() && IsSmall(*decoded), with_code);
  return 0;
}
