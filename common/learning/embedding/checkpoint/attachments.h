// What a server saves beside its tables: opaque to checkpoints. Byte layout:
// docs/formats/tables.md.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "common/foundation/base/file_system.h"
#include "common/foundation/base/rng.h"
#include "common/foundation/base/status.h"

namespace megalith::embedding {

struct Attachments {
  // How far each client's updates are applied in the rows beside it.
  std::string watermark;
  // Dense variables and whatever else belongs to the same moment, by name. Shared, so that taking
  // them at the moment need not copy.
  std::map<std::string, std::shared_ptr<const std::string>> blobs;
  // Blobs whose bytes are only made when they are written. What they are made of must stay as it
  // was at the moment, such as a copy that is shared until somebody changes it.
  std::map<std::string, std::function<std::string()>> encoders;
};

// Errors: those of writing. A null blob counts as empty.
Status WriteAttachments(FileSystem& files, const std::string& path, const Attachments& attachments,
                        Rng& rng);
// Errors: kDataLoss  names the offset; those of reading.
Result<Attachments> ReadAttachments(FileSystem& files, const std::string& path);

}  // namespace megalith::embedding
