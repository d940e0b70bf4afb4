#include "common/learning/embedding/checkpoint/publish.h"

#include <algorithm>

#include "common/foundation/base/strings.h"

namespace megalith::embedding {
namespace {

bool IsNumber(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// "<anything>-tmp-<number>" or "<anything>.tmp.<number>.<number>".
bool IsTemporary(std::string_view name) {
  const size_t dashed = name.rfind("-tmp-");
  if (dashed != std::string_view::npos && dashed > 0 && IsNumber(name.substr(dashed + 5)))
    return true;
  const size_t dotted = name.rfind(".tmp.");
  if (dotted == std::string_view::npos || dotted == 0) return false;
  const std::vector<std::string_view> numbers = Split(name.substr(dotted + 5), '.');
  return numbers.size() == 2 && IsNumber(numbers[0]) && IsNumber(numbers[1]);
}

}  // namespace

StagedFile::StagedFile(FileSystem& files, std::string path, std::string temporary,
                       std::unique_ptr<AppendFile> file)
    : files_(files),
      path_(std::move(path)),
      temporary_(std::move(temporary)),
      file_(std::move(file)),
      buffer_(file_.get()) {}

Result<std::unique_ptr<StagedFile>> StagedFile::Create(FileSystem& files, const std::string& path,
                                                       Rng& rng) {
  std::string temporary = StrCat(path, "-tmp-", rng.Next());
  ASSIGN_OR_RETURN(std::unique_ptr<AppendFile> file, files.OpenAppend(temporary));
  return std::unique_ptr<StagedFile>(
      new StagedFile(files, path, std::move(temporary), std::move(file)));
}

StagedFile::~StagedFile() {
  if (published_) return;
  file_.reset();
  // What cannot be removed now is found by RemoveStaleTemporaries.
  (void)files_.Remove(temporary_);
}

Status StagedFile::Append(std::string_view bytes) {
  if (!failed_.ok()) return failed_;
  failed_ = buffer_.Append(bytes);
  return failed_;
}

Status StagedFile::Publish() {
  CHECK(!published_);
  if (failed_.ok()) failed_ = buffer_.Flush();
  if (failed_.ok()) failed_ = file_->Sync();
  RETURN_IF_ERROR(failed_);
  file_.reset();
  failed_ = files_.Rename(temporary_, path_);
  published_ = failed_.ok();
  return failed_;
}

Result<std::vector<std::string>> RemoveStaleTemporaries(FileSystem& files,
                                                        const std::string& directory) {
  std::vector<std::string> removed;
  const Result<std::vector<FileInfo>> listing = files.List(directory);
  if (!listing.ok() && listing.status().code() == Code::kNotFound) return removed;
  RETURN_IF_ERROR(listing);
  for (const FileInfo& file : *listing) {
    if (file.is_directory || !IsTemporary(file.name)) continue;
    RETURN_IF_ERROR(files.Remove(JoinPath(directory, file.name)));
    removed.push_back(file.name);
  }
  return removed;
}

}  // namespace megalith::embedding
