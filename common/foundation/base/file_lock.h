// Makes sure that one process at a time uses a directory.
#pragma once

#include <memory>
#include <string>

#include "common/foundation/base/status.h"

namespace megalith {

// Holds a lock (flock) on `<directory>/lock` until destroyed; the operating system drops it when
// the process ends, however it ends.
class DirectoryLock {
 public:
  // `directory` must exist.
  // Errors: kFailedPrecondition  somebody else holds it, with their process id; those of opening
  // the file.
  static Result<std::unique_ptr<DirectoryLock>> Acquire(const std::string& directory);
  ~DirectoryLock();
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;

 private:
  explicit DirectoryLock(int fd) : fd_(fd) {}
  const int fd_;
};

}  // namespace megalith
