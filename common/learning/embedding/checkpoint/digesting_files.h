// A file system that notes what it writes: size and digests of every file, and which to take away
// again when the work as a whole fails.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "common/foundation/base/file_system.h"
#include "common/foundation/base/sha256.h"
#include "common/foundation/base/status.h"

namespace megalith::embedding {

// What tells that a file is as it was written.
struct FileDigest {
  uint64_t bytes = 0;
  uint32_t crc32c = 0;
  Sha256Digest sha256;
  friend bool operator==(const FileDigest&, const FileDigest&) = default;
};

// Reads the file once, in pieces. Errors: those of reading.
Result<FileDigest> DigestFile(FileSystem& files, const std::string& path);

// Passes everything on to `files`, which must outlive it. Thread-safe; each file that is open is
// written by one thread at a time.
class DigestingFiles final : public FileSystem {
 public:
  explicit DigestingFiles(FileSystem& files) : files_(files) {}

  // Files that were written and are there, by path. Files that were appended to must have been new.
  std::map<std::string, FileDigest> Written() const;
  // Bytes handed to files so far.
  uint64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }
  // Removes everything that was written. What cannot be removed stays.
  void RemoveWritten();

  Result<std::string> Read(const std::string& path, uint64_t max_bytes) override {
    return files_.Read(path, max_bytes);
  }
  Result<std::unique_ptr<ByteSource>> OpenRead(const std::string& path) override {
    return files_.OpenRead(path);
  }
  Status WriteAtomically(const std::string& path, std::string_view bytes) override;
  Status WritePrivately(const std::string& path, std::string_view bytes) override;
  Result<std::unique_ptr<AppendFile>> OpenAppend(const std::string& path) override;
  Status Truncate(const std::string& path, uint64_t size) override {
    return files_.Truncate(path, size);
  }
  Status Rename(const std::string& from, const std::string& to) override;
  Status Remove(const std::string& path) override;
  Status MakeDirectory(const std::string& path) override { return files_.MakeDirectory(path); }
  Result<std::vector<FileInfo>> List(const std::string& path) override { return files_.List(path); }
  Result<FileInfo> Stat(const std::string& path) override { return files_.Stat(path); }
  Status RemoveTree(const std::string& path) override { return files_.RemoveTree(path); }

 private:
  class File;
  struct Progress;
  Status Note(const std::string& path, std::string_view bytes, const Status& written);

  FileSystem& files_;
  std::atomic<uint64_t> bytes_{0};
  mutable std::mutex mu_;
  std::map<std::string, std::shared_ptr<Progress>> written_;  // guarded by mu_
};

}  // namespace megalith::embedding
