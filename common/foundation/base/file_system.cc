#include "common/foundation/base/file_system.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "common/foundation/base/strings.h"

namespace megalith {
namespace {

namespace fs = std::filesystem;

Status ErrnoStatus(int error, std::string_view what, const std::string& path) {
  Code code = Code::kUnavailable;
  if (error == ENOENT || error == ENOTDIR) code = Code::kNotFound;
  if (error == EACCES || error == EPERM || error == EROFS) code = Code::kPermissionDenied;
  if (error == ENOSPC || error == EDQUOT || error == EFBIG || error == EMFILE)
    code = Code::kResourceExhausted;
  return Status(code, StrCat(what, " '", Printable(path, 200), "': ", std::strerror(error)));
}

Status ErrorCodeStatus(const std::error_code& error, std::string_view what,
                       const std::string& path) {
  return ErrnoStatus(error.value(), what, path);
}

Status WriteAll(int fd, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0) {
      if (errno == EINTR) continue;
      return ErrnoStatus(errno, "write", path);
    }
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return OkStatus();
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

class PosixAppendFile final : public AppendFile {
 public:
  PosixAppendFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  Status Append(std::string_view bytes) override { return WriteAll(fd_.get(), bytes, path_); }
  Status Sync() override {
    return ::fdatasync(fd_.get()) == 0 ? OkStatus() : ErrnoStatus(errno, "fdatasync", path_);
  }

 private:
  Descriptor fd_;
  std::string path_;
};

class PosixReadFile final : public ByteSource {
 public:
  PosixReadFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  Result<size_t> Read(std::span<char> into) override {
    size_t done = 0;
    while (done < into.size()) {
      const ssize_t n = ::read(fd_.get(), into.data() + done, into.size() - done);
      if (n < 0) {
        if (errno == EINTR) continue;
        return ErrnoStatus(errno, "read", path_);
      }
      if (n == 0) break;
      done += static_cast<size_t>(n);
    }
    return done;
  }

 private:
  Descriptor fd_;
  std::string path_;
};

Status SyncDirectoryOf(const std::string& path) {
  const std::string directory = fs::path(path).parent_path().string();
  const Descriptor fd(
      ::open(directory.empty() ? "." : directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() < 0) return ErrnoStatus(errno, "open directory", directory);
  if (::fsync(fd.get()) != 0) return ErrnoStatus(errno, "fsync", directory);
  return OkStatus();
}

class PosixFileSystem final : public FileSystem {
 public:
  Result<std::string> Read(const std::string& path, uint64_t max_bytes) override {
    const Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (fd.get() < 0) return ErrnoStatus(errno, "open", path);
    struct stat info{};
    if (::fstat(fd.get(), &info) != 0) return ErrnoStatus(errno, "stat", path);
    if (S_ISDIR(info.st_mode)) return ErrnoStatus(EISDIR, "read", path);
    std::string out;
    if (S_ISREG(info.st_mode))
      out.reserve(std::min<uint64_t>(static_cast<uint64_t>(info.st_size), max_bytes));
    char buffer[1 << 16];
    while (true) {
      const ssize_t n = ::read(fd.get(), buffer, sizeof(buffer));
      if (n < 0) {
        if (errno == EINTR) continue;
        return ErrnoStatus(errno, "read", path);
      }
      if (n == 0) return out;
      if (out.size() + static_cast<uint64_t>(n) > max_bytes) {
        return ResourceExhausted(
            StrCat("file '", Printable(path, 200), "' is larger than ", max_bytes, " bytes"));
      }
      out.append(buffer, static_cast<size_t>(n));
    }
  }

  Result<std::unique_ptr<ByteSource>> OpenRead(const std::string& path) override {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return ErrnoStatus(errno, "open", path);
    return std::unique_ptr<ByteSource>(std::make_unique<PosixReadFile>(fd, path));
  }

  Status WriteAtomically(const std::string& path, std::string_view bytes) override {
    return Write(path, bytes, 0644);
  }
  Status WritePrivately(const std::string& path, std::string_view bytes) override {
    return Write(path, bytes, 0600);
  }

  Result<std::unique_ptr<AppendFile>> OpenAppend(const std::string& path) override {
    const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0) return ErrnoStatus(errno, "open", path);
    return std::unique_ptr<AppendFile>(std::make_unique<PosixAppendFile>(fd, path));
  }

  Status Truncate(const std::string& path, uint64_t size) override {
    return ::truncate(path.c_str(), static_cast<off_t>(size)) == 0
               ? OkStatus()
               : ErrnoStatus(errno, "truncate", path);
  }

  Status Rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0) return ErrnoStatus(errno, "rename", from);
    return SyncDirectoryOf(to);
  }

  Status Remove(const std::string& path) override {
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) return ErrnoStatus(errno, "remove", path);
    return OkStatus();
  }

  Status MakeDirectory(const std::string& path) override {
    std::error_code error;
    fs::create_directories(path, error);
    return error ? ErrorCodeStatus(error, "make directory", path) : OkStatus();
  }

  Result<std::vector<FileInfo>> List(const std::string& path) override {
    std::error_code error;
    fs::directory_iterator it(path, error);
    if (error) return ErrorCodeStatus(error, "list", path);
    std::vector<FileInfo> out;
    for (; it != fs::directory_iterator(); it.increment(error)) {
      // A file may vanish between the listing and the question for its size: it is then not listed.
      Result<FileInfo> info = Stat(it->path().string());
      if (info.ok()) out.push_back(*std::move(info));
      if (error) return ErrorCodeStatus(error, "list", path);
    }
    std::sort(out.begin(), out.end(),
              [](const FileInfo& a, const FileInfo& b) { return a.name < b.name; });
    return out;
  }

  Result<FileInfo> Stat(const std::string& path) override {
    struct stat info{};
    if (::stat(path.c_str(), &info) != 0) return ErrnoStatus(errno, "stat", path);
    return FileInfo{
        .name = fs::path(path).filename().string(),
        .size = static_cast<uint64_t>(info.st_size),
        .is_directory = S_ISDIR(info.st_mode),
        .modified_unix_nanos = info.st_mtim.tv_sec * 1'000'000'000 + info.st_mtim.tv_nsec};
  }

  Status RemoveTree(const std::string& path) override {
    std::error_code error;
    fs::remove_all(path, error);
    return error ? ErrorCodeStatus(error, "remove", path) : OkStatus();
  }

 private:
  static Status Write(const std::string& path, std::string_view bytes, mode_t mode) {
    static std::atomic<uint64_t> counter{0};
    const std::string temporary = StrCat(path, ".tmp.", ::getpid(), ".", counter.fetch_add(1));
    const Status written = WriteAndSync(temporary, bytes, mode);
    if (!written.ok()) {
      ::unlink(temporary.c_str());
      return written;
    }
    if (::rename(temporary.c_str(), path.c_str()) != 0) {
      const Status failed = ErrnoStatus(errno, "rename to", path);
      ::unlink(temporary.c_str());
      return failed;
    }
    return SyncDirectoryOf(path);
  }
  static Status WriteAndSync(const std::string& path, std::string_view bytes, mode_t mode) {
    const Descriptor fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode));
    if (fd.get() < 0) return ErrnoStatus(errno, "create", path);
    RETURN_IF_ERROR(WriteAll(fd.get(), bytes, path));
    return ::fsync(fd.get()) == 0 ? OkStatus() : ErrnoStatus(errno, "fsync", path);
  }
};

}  // namespace

FileSystem& RealFileSystem() {
  static PosixFileSystem file_system;
  return file_system;
}

std::string JoinPath(std::string_view directory, std::string_view name) {
  if (directory.empty()) return std::string(name);
  if (directory.back() == '/') return StrCat(directory, name);
  return StrCat(directory, "/", name);
}

TempDirectory::TempDirectory() {
  std::error_code error;
  std::string pattern = JoinPath(fs::temp_directory_path(error).string(), "megalith.XXXXXX");
  CHECK(::mkdtemp(pattern.data()) != nullptr);
  path_ = pattern;
}

TempDirectory::~TempDirectory() {
  std::error_code error;
  fs::remove_all(path_, error);
}

}  // namespace megalith
