#include "common/foundation/base/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "common/foundation/base/file_system.h"
#include "common/foundation/base/strings.h"

namespace megalith {

Result<std::unique_ptr<DirectoryLock>> DirectoryLock::Acquire(const std::string& directory) {
  const std::string path = JoinPath(directory, "lock");
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0)
    return Unavailable(StrCat("open '", Printable(path, 200), "': ", std::strerror(errno)));
  std::unique_ptr<DirectoryLock> lock(new DirectoryLock(fd));
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    char holder[32] = {};
    const ssize_t n = ::pread(fd, holder, sizeof(holder) - 1, 0);
    return FailedPrecondition(StrCat("directory '", Printable(directory, 200),
                                     "' is in use by process ",
                                     n > 0 ? Trim(holder) : std::string_view("(unknown)")));
  }
  const std::string pid = StrCat(::getpid(), "\n");
  if (::ftruncate(fd, 0) != 0 || ::pwrite(fd, pid.data(), pid.size(), 0) < 0) {
    return Unavailable(StrCat("write '", Printable(path, 200), "': ", std::strerror(errno)));
  }
  return lock;
}

DirectoryLock::~DirectoryLock() { ::close(fd_); }

}  // namespace megalith
