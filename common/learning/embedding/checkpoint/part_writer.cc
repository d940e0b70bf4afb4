#include "common/learning/embedding/checkpoint/part_writer.h"

#include <algorithm>

#include "common/foundation/base/strings.h"
#include "common/foundation/durability/bundle.h"

namespace megalith::embedding {

PartWriter::~PartWriter() {
  if (kept_ || !begun_) return;
  files_.RemoveWritten();
  (void)real_.Remove(JoinPath(directory_, MarkerName(server_)));
  const Result<std::vector<FileInfo>> listing = real_.List(directory_);
  if (listing.ok() && listing->empty()) (void)real_.RemoveTree(directory_);
}

Status PartWriter::Begin(const std::vector<std::string>& bases) {
  begun_ = true;
  RETURN_IF_ERROR(real_.MakeDirectory(directory_));
  RETURN_IF_ERROR(real_.WriteAtomically(JoinPath(directory_, MarkerName(server_)), ""));
  ASSIGN_OR_RETURN(const std::vector<FileInfo> listing, real_.List(directory_));
  const std::vector<std::string> ours = {ManifestName(server_), AttachmentName(server_),
                                         SidecarName(server_)};
  for (const FileInfo& file : listing) {
    const bool of_base = std::any_of(bases.begin(), bases.end(), [&](const std::string& base) {
      return file.name.starts_with(StrCat(base, "-")) ||
             file.name.starts_with(StrCat(base, ".meta-")) || file.name == StrCat(base, ".hash");
    });
    const bool own = std::find(ours.begin(), ours.end(), file.name) != ours.end();
    if (!file.is_directory && (of_base || own))
      RETURN_IF_ERROR(real_.Remove(JoinPath(directory_, file.name)));
  }
  return OkStatus();
}

Result<Sha256Digest> PartWriter::Finish(Manifest manifest, const Attachments& attachments,
                                        const std::optional<durability::SidecarOptions>& sidecar,
                                        Rng& rng) {
  RETURN_IF_ERROR(
      WriteAttachments(files_, JoinPath(directory_, AttachmentName(server_)), attachments, rng));
  std::vector<std::string> names;
  for (const auto& [path, digest] : files_.Written()) {
    names.push_back(path.substr(path.rfind('/') + 1));
    manifest.files[names.back()] = digest;
  }
  const std::string text = PrintManifest(manifest);
  names.push_back(ManifestName(server_));
  RETURN_IF_ERROR(files_.WriteAtomically(JoinPath(directory_, names.back()), text));
  if (sidecar) {
    ASSIGN_OR_RETURN(const std::string bytes,
                     durability::MakeBundleSidecar(real_, directory_, names, *sidecar));
    RETURN_IF_ERROR(files_.WriteAtomically(JoinPath(directory_, SidecarName(server_)), bytes));
  }
  RETURN_IF_ERROR(real_.Remove(JoinPath(directory_, MarkerName(server_))));
  return Sha256::Of(text);
}

}  // namespace megalith::embedding
