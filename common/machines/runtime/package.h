// The container executables are stored and sent in: docs/formats/executable-package.md.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/machines/runtime/backend.h"
#include "common/machines/runtime/executable.h"

namespace megalith::runtime {

// Persistent: never change; a new layout gets a new version.
inline constexpr std::string_view kPackageMagic = "MGEXPACK";
inline constexpr uint32_t kPackageVersion = 1;

// What a backend made: a program in the backend's own form, cut into named sections, with
// everything that is needed to decide whether it may be used here.
struct Package {
  std::string backend, backend_version, target, key;
  Signature signature;
  CostSummary cost;
  struct Section {
    std::string name;  // at most 255 bytes, distinct
    std::string bytes;
  };
  std::vector<Section> sections;

  // kDataLoss if there is no section of that name.
  Result<std::string_view> Find(std::string_view name) const;
};

// Equal packages give equal bytes.
std::string EncodePackage(const Package& package);

// Checks everything: sizes, the header's and every section's SHA-256. Errors: kDataLoss (not a
// package, truncated or damaged; names the section, "header" for what precedes them),
// kFailedPrecondition (another version of the format). Cost: one pass over the bytes.
Result<Package> DecodePackage(std::string_view bytes);

// kFailedPrecondition unless `backend` made the package, in the version and for the target it has
// now.
Status CheckMadeBy(const Package& package, const Backend& backend);

}  // namespace megalith::runtime
