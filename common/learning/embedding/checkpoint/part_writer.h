// One server's part of a checkpoint or delta on its way into a directory that several servers may
// write to: the order of steps in which nothing half-written ever looks whole.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/foundation/base/file_system.h"
#include "common/foundation/base/rng.h"
#include "common/foundation/base/status.h"
#include "common/foundation/durability/sidecar.h"
#include "common/learning/embedding/checkpoint/attachments.h"
#include "common/learning/embedding/checkpoint/digesting_files.h"
#include "common/learning/embedding/checkpoint/manifest.h"

namespace megalith::embedding {

// Not thread-safe, except for files(). Destroyed before Keep, it removes what it wrote.
class PartWriter {
 public:
  // `files` must outlive it.
  PartWriter(FileSystem& files, std::string directory, std::optional<uint32_t> server)
      : real_(files), files_(files), directory_(std::move(directory)), server_(server) {}
  ~PartWriter();
  PartWriter(const PartWriter&) = delete;
  PartWriter& operator=(const PartWriter&) = delete;

  // Makes the directory, marks the part as unfinished and removes what an earlier attempt left of
  // the server's files: those of `bases` and ours. Errors: those of the file system.
  Status Begin(const std::vector<std::string>& bases);
  // Where the files of the part are written through.
  DigestingFiles& files() { return files_; }
  const std::string& directory() const { return directory_; }
  std::optional<uint32_t> server() const { return server_; }

  // Writes attachments, manifest (whose `files` it fills in) and, if asked for, the sidecar; then
  // the part counts as whole. Returns the digest of the manifest.
  Result<Sha256Digest> Finish(Manifest manifest, const Attachments& attachments,
                              const std::optional<durability::SidecarOptions>& sidecar, Rng& rng);
  void Keep() { kept_ = true; }

 private:
  FileSystem& real_;
  DigestingFiles files_;
  const std::string directory_;
  const std::optional<uint32_t> server_;
  bool begun_ = false;
  bool kept_ = false;
};

}  // namespace megalith::embedding
