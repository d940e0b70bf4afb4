// What one server says about its part of a checkpoint: files with their digests, tables with their
// configuration, and what a delta builds on. A text file of ours beside Monolith's files, which
// Monolith ignores. Byte layout: docs/formats/tables.md.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/foundation/base/file_system.h"
#include "common/foundation/base/status.h"
#include "common/learning/embedding/checkpoint/digesting_files.h"
#include "common/learning/embedding/checkpoint/entry_files.h"
#include "common/learning/embedding/table_config.h"

namespace megalith::embedding {

struct ManifestTable {
  std::string base;  // of the files its rows are in
  uint64_t rows = 0;
  int64_t max_update_time = 0;
  TableConfig config;
  friend bool operator==(const ManifestTable&, const ManifestTable&) = default;
};

// A delta holds what changed since `previous`.
struct DeltaLink {
  int64_t base_step = 0;
  int64_t previous_step = 0;
  Sha256Digest previous_manifest;  // of the same server
  friend bool operator==(const DeltaLink&, const DeltaLink&) = default;
};

struct Manifest {
  int64_t step = 0;
  std::optional<uint32_t> server;  // nothing: without parameter servers
  uint32_t servers = 1;
  TableLayout layout = TableLayout::kNative;
  int64_t unix_nanos = 0;  // of the moment
  std::optional<DeltaLink> delta;
  std::map<std::string, ManifestTable> tables;
  std::map<int32_t, int64_t> rows_of_slot;  // v2, of all tables
  std::map<std::string, FileDigest> files;  // by name in the directory
  friend bool operator==(const Manifest&, const Manifest&) = default;
};

// Names of our files in an asset or delta directory (persistent: never change).
std::string ManifestName(std::optional<uint32_t> server);    // "megalith_manifest_0"
std::string AttachmentName(std::optional<uint32_t> server);  // "megalith_state_0"
std::string SidecarName(std::optional<uint32_t> server);     // "megalith_sidecar_0"
// Is there while a server writes its part, and stays if it does not come to an end.
std::string MarkerName(std::optional<uint32_t> server);  // "megalith_saving_0"

std::string PrintManifest(const Manifest& manifest);
// `path` is for messages. Errors: kDataLoss  the checksum or a line is wrong; names the line or the
// offset; kUnimplemented  of a later version.
Result<Manifest> ParseManifest(const std::string& path, std::string_view text);

struct FoundManifest {
  Manifest manifest;
  Sha256Digest digest;  // of its file
};
// All manifests of a directory, by server; empty: none. Errors: kDataLoss; kInvalidArgument  they
// contradict each other; those of the file system.
Result<std::map<uint32_t, FoundManifest>> ReadManifests(FileSystem& files,
                                                        const std::string& directory);

// The lines of a configuration, each with `indent` in front and a line end.
std::string PrintTableConfig(const TableConfig& config, std::string_view indent);

}  // namespace megalith::embedding
