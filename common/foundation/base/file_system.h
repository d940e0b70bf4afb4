// Files as a dependency. Everything that must survive a crash goes through WriteAtomically or
// Append + Sync.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/foundation/base/byte_stream.h"
#include "common/foundation/base/status.h"

namespace megalith {

// An open file that only grows. Not thread-safe.
class AppendFile : public ByteSink {
 public:
  // Returns once the bytes are on the device.
  virtual Status Sync() = 0;
};

struct FileInfo {
  std::string name;   // last component
  uint64_t size = 0;  // bytes
  bool is_directory = false;
  int64_t modified_unix_nanos = 0;
};

// Thread-safe. Errors: kNotFound, kPermissionDenied, kResourceExhausted (disk full), kUnavailable
// (other I/O errors); the message names the path and the operating system's reason.
class FileSystem {
 public:
  virtual ~FileSystem() = default;
  // kResourceExhausted if the file holds more than `max_bytes`.
  virtual Result<std::string> Read(const std::string& path, uint64_t max_bytes = UINT64_MAX) = 0;
  // Opens for reading from the start on, without holding more of the file than is asked for.
  virtual Result<std::unique_ptr<ByteSource>> OpenRead(const std::string& path) = 0;
  // All of the new content or all of the old, whatever happens in between: temporary name in the
  // same directory, fsync, rename, fsync of the directory.
  virtual Status WriteAtomically(const std::string& path, std::string_view bytes) = 0;
  // The same, for secrets: only the user who runs this process may read the file.
  virtual Status WritePrivately(const std::string& path, std::string_view bytes) = 0;
  // Opens for appending, creating the file if needed.
  virtual Result<std::unique_ptr<AppendFile>> OpenAppend(const std::string& path) = 0;
  virtual Status Truncate(const std::string& path, uint64_t size) = 0;
  virtual Status Rename(const std::string& from, const std::string& to) = 0;
  // OK if it is already absent.
  virtual Status Remove(const std::string& path) = 0;
  // With parents; OK if it exists.
  virtual Status MakeDirectory(const std::string& path) = 0;
  // Sorted by name; without "." and "..".
  virtual Result<std::vector<FileInfo>> List(const std::string& path) = 0;
  virtual Result<FileInfo> Stat(const std::string& path) = 0;
  virtual Status RemoveTree(const std::string& path) = 0;
};

// The machine's file system; lives for the whole process.
FileSystem& RealFileSystem();

std::string JoinPath(std::string_view directory, std::string_view name);

// A fresh directory that is removed with its content on destruction; for tests and spill files.
class TempDirectory {
 public:
  TempDirectory();
  ~TempDirectory();
  TempDirectory(const TempDirectory&) = delete;
  TempDirectory& operator=(const TempDirectory&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace megalith
