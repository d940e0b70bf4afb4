#include "common/foundation/durability/bundle.h"

#include <algorithm>
#include <utility>

#include "common/foundation/base/bytes.h"
#include "common/foundation/base/strings.h"

namespace megalith::durability {
namespace {

struct BundleFile {
  std::string name;
  uint64_t bytes = 0;
};

std::string_view Raw(const Sha256Digest& digest) {
  return {reinterpret_cast<const char*>(digest.bytes.data()), digest.bytes.size()};
}

// Relative, with forward slashes, without a way out.
bool IsInside(std::string_view name) {
  if (name.empty() || name.front() == '/' || name.find('\0') != std::string_view::npos)
    return false;
  for (const std::string_view part : Split(name, '/')) {
    if (part.empty() || part == "." || part == "..") return false;
  }
  return true;
}

std::string EncodeIndex(const std::vector<BundleFile>& files) {
  ByteWriter body;
  body.U32(static_cast<uint32_t>(files.size()));
  for (const BundleFile& file : files) {
    body.U64(file.bytes);
    body.Sized(file.name);
  }
  return body.Take();
}

Result<std::vector<BundleFile>> DecodeIndex(std::string_view body, std::string_view checksum) {
  if (Raw(Sha256::Of(body)) != checksum) return DataLoss("index does not match its checksum");
  ByteReader r(body);
  ASSIGN_OR_RETURN(const uint32_t n, r.U32());
  std::vector<BundleFile> files;
  uint64_t total = 0;
  for (uint32_t i = 0; i < n; ++i) {
    BundleFile file;
    ASSIGN_OR_RETURN(file.bytes, r.U64());
    ASSIGN_OR_RETURN(const std::string_view name, r.Sized());
    if (!IsInside(name))
      return DataLoss(StrCat("index names '", Printable(name), "', outside of the directory"));
    if (file.bytes > UINT64_MAX - total) return DataLoss("index names too many bytes");
    total += file.bytes;
    file.name = std::string(name);
    files.push_back(std::move(file));
  }
  if (r.left() != 0) return DataLoss("bytes after the index's last file");
  return files;
}

struct Bundle {
  std::vector<BundleFile> files;
  std::string_view sidecar;
  bool both_indices_good = false;
};

constexpr size_t kFrameBytes = 8 + 4 + 32;  // magic, length and checksum of an index

// The first index: magic, length, checksum, body.
Result<std::vector<BundleFile>> ReadFront(std::string_view bytes, size_t* size) {
  ByteReader r(bytes);
  ASSIGN_OR_RETURN(const std::string_view magic, r.Raw(kBundleMagic.size()));
  if (magic != kBundleMagic) return DataLoss("file does not start with MGBUNDL1");
  ASSIGN_OR_RETURN(const uint32_t length, r.U32());
  ASSIGN_OR_RETURN(const std::string_view checksum, r.Raw(32));
  ASSIGN_OR_RETURN(const std::string_view body, r.Raw(length));
  *size = kFrameBytes + length;
  return DecodeIndex(body, checksum);
}

// The last one is the same backwards: body, checksum, length, magic.
Result<std::vector<BundleFile>> ReadBack(std::string_view bytes, size_t* size) {
  if (bytes.size() < kFrameBytes || !bytes.ends_with(kBundleMagic))
    return DataLoss("file does not end with MGBUNDL1");
  ByteReader tail(bytes.substr(bytes.size() - kBundleMagic.size() - 4));
  const uint32_t length = *tail.U32();
  if (length > bytes.size() - kFrameBytes) return DataLoss("index is longer than the file");
  *size = kFrameBytes + length;
  const size_t begin = bytes.size() - *size;
  return DecodeIndex(bytes.substr(begin, length), bytes.substr(begin + length, 32));
}

Result<Bundle> ReadBundle(std::string_view bytes) {
  size_t size = 0;
  const Result<std::vector<BundleFile>> front = ReadFront(bytes, &size);
  Result<std::vector<BundleFile>> good = front;
  size_t other_size = 0;
  const Result<std::vector<BundleFile>> back = ReadBack(bytes, &other_size);
  if (!front.ok()) {
    if (!back.ok()) return front.status().Annotate("bundle sidecar");
    good = back;
    size = other_size;
  }
  if (bytes.size() < size) return DataLoss("bundle sidecar: nothing but an index");
  Bundle bundle{.files = *std::move(good), .both_indices_good = front.ok() && back.ok()};
  bundle.sidecar = bytes.substr(size);
  bundle.sidecar =
      bundle.sidecar.substr(0, bundle.sidecar.size() - std::min(size, bundle.sidecar.size()));
  return bundle;
}

// The files as they are, each with the size it had: cut off, or filled with zeros.
struct Contents {
  std::string joined;
  std::vector<bool> wrong_size;
};

Result<Contents> ReadContents(FileSystem& files, const std::string& directory,
                              const std::vector<BundleFile>& index) {
  Contents out;
  for (const BundleFile& file : index) {
    Result<std::string> bytes = files.Read(JoinPath(directory, file.name));
    if (!bytes.ok() && bytes.status().code() != Code::kNotFound) return bytes.status();
    const bool wrong = !bytes.ok() || bytes->size() != file.bytes;
    out.wrong_size.push_back(wrong);
    std::string piece = bytes.ok() ? *std::move(bytes) : std::string();
    piece.resize(file.bytes);
    out.joined += piece;
  }
  return out;
}

// Whatever an index claims, no more is read into memory than there are bytes on disk.
Status CheckEnoughIsThere(FileSystem& files, const std::string& directory, const Bundle& bundle,
                          const SidecarHeader& header) {
  uint64_t there = bundle.sidecar.size();
  for (const BundleFile& file : bundle.files) {
    const Result<FileInfo> info = files.Stat(JoinPath(directory, file.name));
    if (info.ok()) there += std::min(info->size, file.bytes);
  }
  if (there + header.symbol_bytes >= header.object_bytes) return OkStatus();
  return DataLoss("more of the files is missing than the sidecar can restore");
}

Result<BundleReport> Examine(FileSystem& files, const std::string& directory,
                             std::string_view sidecar, bool repair) {
  ASSIGN_OR_RETURN(const Bundle bundle, ReadBundle(sidecar));
  ASSIGN_OR_RETURN(const SidecarReport state, CheckSidecar(bundle.sidecar));
  uint64_t total = 0;
  for (const BundleFile& file : bundle.files) total += file.bytes;
  if (total != state.header.object_bytes)
    return DataLoss("bundle sidecar: index and repair symbols are of different files");
  RETURN_IF_ERROR(CheckEnoughIsThere(files, directory, bundle, state.header));
  ASSIGN_OR_RETURN(const Contents contents, ReadContents(files, directory, bundle.files));
  ASSIGN_OR_RETURN(Restored restored, RestoreObject(contents.joined, bundle.sidecar));
  BundleReport report{.sidecar_intact = bundle.both_indices_good && state.intact,
                      .proof = std::move(restored.proof)};
  const std::string_view before = contents.joined;
  const std::string_view after = restored.object;
  uint64_t at = 0;
  for (size_t i = 0; i < bundle.files.size(); ++i) {
    const BundleFile& file = bundle.files[i];
    report.names.push_back(file.name);
    const std::string_view piece = after.substr(at, file.bytes);
    const bool damaged = contents.wrong_size[i] || before.substr(at, file.bytes) != piece;
    at += file.bytes;
    if (!damaged) continue;
    report.damaged.push_back(file.name);
    if (!repair) continue;
    const std::string path = JoinPath(directory, file.name);
    RETURN_IF_ERROR(files.MakeDirectory(path.substr(0, path.rfind('/'))));
    RETURN_IF_ERROR(files.WriteAtomically(path, piece));
  }
  return report;
}

}  // namespace

Result<std::string> MakeBundleSidecar(FileSystem& files, const std::string& directory,
                                      const std::vector<std::string>& names,
                                      const SidecarOptions& options) {
  std::vector<BundleFile> index;
  std::string joined;
  for (const std::string& name : names) {
    if (!IsInside(name))
      return InvalidArgument(StrCat("'", Printable(name), "' is not a name inside the directory"));
    ASSIGN_OR_RETURN(const std::string bytes, files.Read(JoinPath(directory, name)));
    index.push_back({.name = name, .bytes = bytes.size()});
    joined += bytes;
  }
  ASSIGN_OR_RETURN(const std::string sidecar, MakeSidecar(joined, options).Annotate("bundle"));
  const std::string body = EncodeIndex(index);
  const Sha256Digest digest = Sha256::Of(body);
  ByteWriter out;
  out.Raw(kBundleMagic);
  out.U32(static_cast<uint32_t>(body.size()));
  out.Raw(Raw(digest));
  out.Raw(body);
  out.Raw(sidecar);
  out.Raw(body);
  out.Raw(Raw(digest));
  out.U32(static_cast<uint32_t>(body.size()));
  out.Raw(kBundleMagic);
  return out.Take();
}

Result<BundleReport> CheckBundle(FileSystem& files, const std::string& directory,
                                 std::string_view sidecar) {
  return Examine(files, directory, sidecar, /*repair=*/false);
}

Result<BundleReport> RepairBundle(FileSystem& files, const std::string& directory,
                                  std::string_view sidecar) {
  return Examine(files, directory, sidecar, /*repair=*/true);
}

}  // namespace megalith::durability
