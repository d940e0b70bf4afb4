// Files that are there as a whole or not at all, for files too large to hold in memory.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/foundation/base/byte_stream.h"
#include "common/foundation/base/file_system.h"
#include "common/foundation/base/rng.h"
#include "common/foundation/base/status.h"

namespace megalith::embedding {

// A file that is being written under a temporary name beside its own, as Monolith does:
// "<name>-tmp-<random number>". Destroyed before Publish, it leaves nothing. Not thread-safe.
class StagedFile final : public ByteSink {
 public:
  // `files` must outlive the file; its directory must exist. Errors: those of opening a file.
  static Result<std::unique_ptr<StagedFile>> Create(FileSystem& files, const std::string& path,
                                                    Rng& rng);
  ~StagedFile() override;
  StagedFile(const StagedFile&) = delete;
  StagedFile& operator=(const StagedFile&) = delete;

  // Collects small pieces. Errors: those of writing, kResourceExhausted for a full disk; the file
  // can then not be published any more.
  Status Append(std::string_view bytes) override;

  // Makes the file visible under its name in place of what had it, once its bytes are on the
  // device. May be called once. Errors: as Append; then the old file, if any, is as it was, unless
  // the last step, syncing the directory, failed.
  Status Publish();

  const std::string& path() const { return path_; }

 private:
  StagedFile(FileSystem& files, std::string path, std::string temporary,
             std::unique_ptr<AppendFile> file);

  FileSystem& files_;
  const std::string path_;
  const std::string temporary_;
  std::unique_ptr<AppendFile> file_;
  BufferedSink buffer_;
  Status failed_;
  bool published_ = false;
};

// Removes what writers left in `directory` that did not come to an end: temporaries of StagedFile,
// of Monolith, and of FileSystem::WriteAtomically. Returns their names. Call it while nobody writes
// there: it cannot tell a file that is still being written. A directory that is not there has none.
// Errors: those of the file system.
Result<std::vector<std::string>> RemoveStaleTemporaries(FileSystem& files,
                                                        const std::string& directory);

}  // namespace megalith::embedding
