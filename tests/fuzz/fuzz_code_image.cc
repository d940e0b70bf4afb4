// Code images: what decodes encodes to the same bytes, and loads so that every entry lies in the
// code. Nothing is executed. The input is the bytes of an image; and damage to a sound one.
#include "common/machines/runtime/cpu/code_image.h"
#include "tests/fuzz/plan_samples.h"

namespace megalith::fuzz {
namespace {

void TestOne(std::string_view bytes) {
  const auto image = runtime::DecodeCodeImage(bytes);
  if (!image.ok()) {
    CHECK(image.status().code() == Code::kDataLoss ||
          image.status().code() == Code::kFailedPrecondition);
    return;
  }
  CHECK(runtime::EncodeCodeImage(*image) == bytes);
  const auto code = runtime::LoadedCode::Load(*image);
  if (!code.ok()) return;
  for (const runtime::CodeImage::Entry& entry : image->entries) {
    const void* first = nullptr;
    uint64_t scratch = 0;
    if (entry.kind == runtime::CodeKind::kKernel) {
      const auto kernel = (*code)->Find(entry.loop);
      first = reinterpret_cast<const void*>(kernel.run);
      scratch = kernel.scratch_bytes;
    } else {
      const auto loop = (*code)->FindWhile(entry.loop);
      first = reinterpret_cast<const void*>(loop.run);
      scratch = loop.scratch_bytes;
    }
    CHECK(first != nullptr && scratch == entry.scratch_bytes);
    CHECK(*static_cast<const volatile char*>(first) == image->bytes[entry.offset]);
  }
}

std::string Sound() {
  runtime::CodeImage image;
  image.bytes = std::string(5000, '\xC3');
  image.entries = {{0, 0, 64}, {3, 16, 0}, {1, 4096, 4096}, {0, 32, 0, runtime::CodeKind::kWhile}};
  image.target = "x86-64";
  image.compiler = "none";
  return runtime::EncodeCodeImage(image);
}

}  // namespace
}  // namespace megalith::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace megalith::fuzz;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  TestOne(input);
  static const std::string sound = Sound();
  TestOne(Damaged(sound, input));
  // The header alone, where nearly everything is.
  TestOne(Damaged(sound.substr(0, 96), input) + sound.substr(96));
  return 0;
}
