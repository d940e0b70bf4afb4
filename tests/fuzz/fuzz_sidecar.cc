// Sidecars of any bytes: restoring gives the bytes that the header names, or an error. The input is
// a u16 length of the damaged object, the object, and the sidecar. Mutations hardly ever meet the
// checksum of the header, so the sidecar is tried with a right one as well.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "common/foundation/durability/sidecar.h"

namespace {

using megalith::Sha256;
using megalith::Sha256Digest;
using megalith::durability::kSidecarHeaderBytes;
using megalith::durability::kSidecarMagic;

void Restore(std::string_view object, std::string_view sidecar) {
  const auto report = megalith::durability::CheckSidecar(sidecar);
  const auto restored = megalith::durability::RestoreObject(object, sidecar);
  if (!restored.ok()) return;
  CHECK(report.ok());
  CHECK(Sha256::Of(restored->object) == report->header.object_digest);
  CHECK(restored->object.size() == report->header.object_bytes);
}

std::string WithRightHeader(std::string sidecar) {
  if (sidecar.size() < kSidecarHeaderBytes) return sidecar;
  std::copy(kSidecarMagic.begin(), kSidecarMagic.end(), sidecar.begin());
  const size_t covered = kSidecarHeaderBytes - sizeof(Sha256Digest);
  const Sha256Digest digest = Sha256::Of(std::string_view(sidecar).substr(0, covered));
  std::memcpy(sidecar.data() + covered, digest.bytes.data(), digest.bytes.size());
  return sidecar;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  uint16_t length = 0;
  if (size < sizeof(length)) return 0;
  std::memcpy(&length, data, sizeof(length));
  const std::string_view rest(reinterpret_cast<const char*>(data) + sizeof(length),
                              size - sizeof(length));
  const std::string_view object = rest.substr(0, length);
  const std::string sidecar(rest.substr(object.size()));
  Restore(object, sidecar);
  Restore(object, WithRightHeader(sidecar));
  return 0;
}
