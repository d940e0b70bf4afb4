// Executable packages: what decodes encodes to the same bytes. The checksums of the input are put
// right first, so that mutations reach what is behind them; and the bytes are taken for the
// sections of a package.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/foundation/base/bytes.h"
#include "common/foundation/base/sha256.h"
#include "common/machines/reference/reference.h"
#include "common/machines/runtime/package.h"

namespace megalith {
namespace {

constexpr size_t kHeaderAt = 16;  // magic, version, size of the header
constexpr size_t kDigestBytes = 32;

void Mend(std::string* bytes) {
  if (bytes->size() < kHeaderAt + kDigestBytes) return;
  ByteReader r(std::string_view(*bytes).substr(12));
  const size_t end = kHeaderAt + *r.U32();
  if (end > bytes->size() - kDigestBytes) return;
  const Sha256Digest digest = Sha256::Of(std::string_view(*bytes).substr(0, end));
  bytes->replace(end, kDigestBytes, AsText(digest.bytes));
}

void TestOne(const std::string& bytes) {
  const auto package = runtime::DecodePackage(bytes);
  if (package.ok()) CHECK(runtime::EncodePackage(*package) == bytes);
  static const auto backend = reference::MakeReferenceBackend();
  (void)backend->Load(bytes);
}

std::string PackageOf(std::string_view sections) {
  const size_t cut = std::min(sections.find('\0'), sections.size());
  static const auto backend = reference::MakeReferenceBackend();
  runtime::Package package;
  package.backend = backend->name();
  package.backend_version = backend->version();
  package.target = backend->target();
  package.sections = {
      {"settings", std::string(sections.substr(0, cut))},
      {"program", std::string(sections.substr(std::min(cut + 1, sections.size())))}};
  return runtime::EncodePackage(package);
}

}  // namespace
}  // namespace megalith

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace megalith;
  std::string bytes(reinterpret_cast<const char*>(data), size);
  TestOne(bytes);
  TestOne(PackageOf(bytes));
  Mend(&bytes);
  TestOne(bytes);
  return 0;
}
