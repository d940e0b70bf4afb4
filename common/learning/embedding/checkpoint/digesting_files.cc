#include "common/learning/embedding/checkpoint/digesting_files.h"

#include <utility>

#include "common/foundation/base/crc32c.h"

namespace megalith::embedding {
namespace {

constexpr size_t kReadBytes = 256 << 10;

}  // namespace

Result<FileDigest> DigestFile(FileSystem& files, const std::string& path) {
  ASSIGN_OR_RETURN(const std::unique_ptr<ByteSource> source, files.OpenRead(path));
  std::vector<char> buffer(kReadBytes);
  FileDigest digest;
  Sha256 sha;
  while (true) {
    ASSIGN_OR_RETURN(const size_t n, source->Read(buffer));
    const std::string_view piece(buffer.data(), n);
    sha.Update(piece);
    digest.crc32c = ExtendCrc32c(digest.crc32c, piece);
    digest.bytes += n;
    if (n < buffer.size()) break;
  }
  digest.sha256 = sha.Finish();
  return digest;
}

// A file on its way. The writer has it for itself until it is closed.
struct DigestingFiles::Progress {
  FileDigest digest;
  Sha256 sha;
};

class DigestingFiles::File final : public AppendFile {
 public:
  File(std::unique_ptr<AppendFile> file, std::shared_ptr<Progress> progress,
       std::atomic<uint64_t>* bytes)
      : file_(std::move(file)), progress_(std::move(progress)), bytes_(bytes) {}
  ~File() override { progress_->digest.sha256 = progress_->sha.Finish(); }
  Status Append(std::string_view bytes) override {
    progress_->sha.Update(bytes);
    progress_->digest.crc32c = ExtendCrc32c(progress_->digest.crc32c, bytes);
    progress_->digest.bytes += bytes.size();
    bytes_->fetch_add(bytes.size(), std::memory_order_relaxed);
    return file_->Append(bytes);
  }
  Status Sync() override { return file_->Sync(); }

 private:
  std::unique_ptr<AppendFile> file_;
  std::shared_ptr<Progress> progress_;
  std::atomic<uint64_t>* bytes_;
};

std::map<std::string, FileDigest> DigestingFiles::Written() const {
  const std::lock_guard lock(mu_);
  std::map<std::string, FileDigest> out;
  for (const auto& [path, progress] : written_) out.emplace(path, progress->digest);
  return out;
}

void DigestingFiles::RemoveWritten() {
  const std::lock_guard lock(mu_);
  for (const auto& [path, progress] : written_) (void)files_.Remove(path);
  written_.clear();
}

Status DigestingFiles::Note(const std::string& path, std::string_view bytes,
                            const Status& written) {
  // A failed write may have left the new file all the same: it counts as written.
  auto progress = std::make_shared<Progress>();
  progress->digest = {.bytes = bytes.size(), .crc32c = Crc32c(bytes), .sha256 = Sha256::Of(bytes)};
  bytes_.fetch_add(bytes.size(), std::memory_order_relaxed);
  const std::lock_guard lock(mu_);
  written_[path] = std::move(progress);
  return written;
}

Status DigestingFiles::WriteAtomically(const std::string& path, std::string_view bytes) {
  return Note(path, bytes, files_.WriteAtomically(path, bytes));
}

Status DigestingFiles::WritePrivately(const std::string& path, std::string_view bytes) {
  return Note(path, bytes, files_.WritePrivately(path, bytes));
}

Result<std::unique_ptr<AppendFile>> DigestingFiles::OpenAppend(const std::string& path) {
  ASSIGN_OR_RETURN(std::unique_ptr<AppendFile> file, files_.OpenAppend(path));
  auto progress = std::make_shared<Progress>();
  {
    const std::lock_guard lock(mu_);
    written_[path] = progress;
  }
  return std::unique_ptr<AppendFile>(
      std::make_unique<File>(std::move(file), std::move(progress), &bytes_));
}

Status DigestingFiles::Rename(const std::string& from, const std::string& to) {
  const Status renamed = files_.Rename(from, to);
  const std::lock_guard lock(mu_);
  const auto found = written_.find(from);
  if (found == written_.end()) return renamed;
  // After an error it may have either name.
  written_[to] = found->second;
  if (renamed.ok()) written_.erase(from);
  return renamed;
}

Status DigestingFiles::Remove(const std::string& path) {
  RETURN_IF_ERROR(files_.Remove(path));
  const std::lock_guard lock(mu_);
  written_.erase(path);
  return OkStatus();
}

}  // namespace megalith::embedding
