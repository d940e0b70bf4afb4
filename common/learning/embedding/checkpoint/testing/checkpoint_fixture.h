// What tests of checkpoints share: sets of tables with content, and what they hold as plain data.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/foundation/base/rng.h"
#include "common/foundation/base/strings.h"
#include "common/learning/embedding/checkpoint/shard_workers.h"
#include "common/learning/embedding/checkpoint/table_checkpoint.h"
#include "common/learning/embedding/optimizers/optimizer.h"
#include "common/learning/embedding/table_set.h"

namespace megalith::embedding {

// Rows as EntryDumps, by table and fid.
using Rows = std::map<Fid, std::string>;
using Content = std::map<std::string, Rows>;

inline Content ContentOf(TableSet& set) {
  Content out;
  auto snapshot = set.TakeSnapshot({});
  CHECK(snapshot.ok());
  for (const auto& [name, table] : (*snapshot)->tables()) {
    Rows& rows = out[name];
    const Status read =
        (*snapshot)->Read(name, [&](std::span<const Table::RowView> batch) -> Status {
          for (const Table::RowView& row : batch) AppendEntry(table->layout(), row, rows[row.fid]);
          return OkStatus();
        });
    CHECK(read.ok());
  }
  return out;
}

// Rows of all of `parts`, which have none in common.
inline Content Union(const std::vector<Content>& parts) {
  Content out;
  for (const Content& part : parts)
    for (const auto& [name, rows] : part) out[name].insert(rows.begin(), rows.end());
  return out;
}

inline TableConfig ConfigOf(const std::vector<std::string>& optimizers, int64_t dim) {
  TableConfig config;
  for (const std::string& optimizer : optimizers) {
    SegmentConfig segment;
    segment.dim = optimizer == "batch_softmax" ? 1 : dim;
    segment.initializer = {.name = "random_uniform", .fields = {}, .base = {}};
    if (optimizer == "batch_softmax") segment.initializer.name = "ones";
    segment.optimizer = {.name = optimizer, .fields = {}, .base = {}};
    if (optimizer == "dc") segment.optimizer.base = {{.name = "adagrad", .fields = {}, .base = {}}};
    segment.compressor.name = "fp16";
    config.segments.push_back(segment);
  }
  config.seed = 7;
  return config;
}

inline std::unique_ptr<TableSet> MakeSet(const std::map<std::string, TableConfig>& tables,
                                         TableSet::Options options = {}) {
  auto set = TableSet::Make(std::move(options));
  CHECK(set.ok());
  for (const auto& [name, config] : tables) {
    const Status created = (*set)->Create(name, config);
    EXPECT_TRUE(created.ok()) << created.ToString();
  }
  return *std::move(set);
}

// One step for `count` fids of this server, from `first` on.
inline void Train(Table& table, Fid first, int64_t count, Rng& rng, int64_t time = 1000,
                  const Placement& placement = {}) {
  std::vector<Fid> fids;
  for (Fid fid = first; fid < first + count; ++fid) {
    if (static_cast<uint32_t>(ShardOf(fid, static_cast<int>(placement.servers))) ==
        placement.server.value_or(0))
      fids.push_back(fid);
  }
  std::vector<float> gradients(fids.size() * static_cast<size_t>(table.dim()));
  for (float& g : gradients) g = static_cast<float>(rng.Normal());
  Gradients batch;
  batch.fids = fids;
  batch.values = gradients;
  batch.update_time = time;
  batch.global_step = 3;
  const auto report = table.Optimize(batch);
  EXPECT_TRUE(report.ok()) << report.status().ToString();
}

class CheckpointTest : public ::testing::Test {
 protected:
  std::string Dir() const { return directory_.path(); }
  SaveOptions Save(int64_t step) const {
    SaveOptions options;
    options.directory = Dir();
    options.step = step;
    return options;
  }
  RestoreOptions Restore() const {
    RestoreOptions options;
    options.directory = Dir();
    return options;
  }
  // What a new process would have: a set that the files alone fill.
  Content Restored(RestoreOptions options, RestoreReport* report = nullptr) {
    const auto set = MakeSet({});
    const auto restored = RestoreTables(*set, options);
    EXPECT_TRUE(restored.ok()) << restored.status().ToString();
    if (report != nullptr && restored.ok()) *report = *restored;
    return ContentOf(*set);
  }
  std::vector<std::string> FilesIn(const std::string& directory) {
    std::vector<std::string> out;
    const auto listing = RealFileSystem().List(directory);
    if (listing.ok())
      for (const FileInfo& file : *listing) out.push_back(file.name);
    return out;
  }
  void Flip(const std::string& path, size_t at) {
    std::string bytes = *RealFileSystem().Read(path);
    bytes[at] = static_cast<char>(bytes[at] ^ 0x10);
    ASSERT_TRUE(RealFileSystem().WriteAtomically(path, bytes).ok());
  }

  TempDirectory directory_;
  Rng rng_{42};
};

}  // namespace megalith::embedding
