// One sidecar for a directory of files, so that many small files share their repair symbols. Byte
// layout: docs/formats/raptorq-sidecar.md.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/foundation/base/file_system.h"
#include "common/foundation/base/status.h"
#include "common/foundation/durability/sidecar.h"

namespace megalith::durability {

// Persistent: never change.
inline constexpr std::string_view kBundleMagic = "MGBUNDL1";

// The sidecar of the files `names`, relative to `directory`, in this order.
// Errors: kInvalidArgument  no names, one that leaves the directory, files that are all empty;
// those of the file system.
Result<std::string> MakeBundleSidecar(FileSystem& files, const std::string& directory,
                                      const std::vector<std::string>& names,
                                      const SidecarOptions& options);

struct BundleReport {
  std::vector<std::string> names;    // of all files
  std::vector<std::string> damaged;  // names of files that are missing or not as they were
  bool sidecar_intact = false;
  DecodeProof proof;  // over the files one after the other; empty if nothing was damaged
};

// Compares the files with what they were; changes nothing. Files that cannot be restored are
// errors: kDataLoss, also if both indices of the sidecar are damaged; those of the file system.
Result<BundleReport> CheckBundle(FileSystem& files, const std::string& directory,
                                 std::string_view sidecar);

// The same, and writes what was damaged as it was, one file after the other, each atomically.
Result<BundleReport> RepairBundle(FileSystem& files, const std::string& directory,
                                  std::string_view sidecar);

}  // namespace megalith::durability
