// What the small text files of a model's directory say, as plain data. Text: state_proto.h; files:
// state_files.h.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace megalith::embedding {

// TensorFlow's file `checkpoint`: which checkpoints there are.
struct CheckpointList {
  std::string newest;              // prefix; empty if there is none
  std::vector<std::string> all;    // prefixes of all that may be dropped one day, oldest first
  std::vector<double> timestamps;  // unix seconds, one for each of `all`; or empty if not known
  // Unix seconds of the last checkpoint that was kept for good; 0 if none was.
  double last_preserved = 0;
  friend bool operator==(const CheckpointList&, const CheckpointList&) = default;
};

// Numbers are Monolith's (persistent: never change).
enum class HashTableType : int { kUnknown = 0, kSingle = 1, kNativeMulti = 2 };

// Monolith's file `monolith_checkpoint`.
struct MonolithState {
  std::vector<std::string> exempt;  // checkpoints that are never dropped
  int64_t last_save = 0;            // unix seconds
  HashTableType table_type = HashTableType::kUnknown;
  friend bool operator==(const MonolithState&, const MonolithState&) = default;
};

// Monolith's file `ckpt.info-<step>`: rows by v2 slot (single tables) or by feature (native).
struct RowCounts {
  std::map<int32_t, int64_t> by_slot;
  std::map<std::string, int64_t> by_feature;
  friend bool operator==(const RowCounts&, const RowCounts&) = default;
};

// Monolith's file `ExportSaverListenerState`.
struct ExportList {
  struct Export {
    std::string directory;
    int64_t step = 0;
    friend bool operator==(const Export&, const Export&) = default;
  };
  std::vector<Export> exports;
  friend bool operator==(const ExportList&, const ExportList&) = default;
};

}  // namespace megalith::embedding
