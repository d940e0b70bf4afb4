#include "common/learning/embedding/checkpoint/table_checkpoint.h"

#include <atomic>
#include <thread>

#include "common/learning/embedding/checkpoint/state_files.h"
#include "common/learning/embedding/checkpoint/testing/checkpoint_fixture.h"

namespace megalith::embedding {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST_F(CheckpointTest, OneTableComesBackThroughFilesOnly) {
  const auto set = MakeSet({{"user", ConfigOf({"adagrad", "ftrl"}, 5)}});
  Train(**set->Get("user"), 0, 1000, rng_);
  const auto saved = SaveTables(*set, Save(12));
  ASSERT_TRUE(saved.ok()) << saved.status().ToString();
  EXPECT_TRUE(saved->published);
  EXPECT_EQ(saved->rows, 1000u);
  RestoreReport report;
  EXPECT_EQ(Restored(Restore(), &report), ContentOf(*set));
  EXPECT_EQ(report.step, 12);
  EXPECT_EQ(report.rows, 1000u);
  EXPECT_THAT(report.tables, ElementsAre("user"));
}

TEST_F(CheckpointTest, EveryOptimizerComesBackInEitherLayoutAndAnyNumberOfShards) {
  std::map<std::string, TableConfig> configs;
  for (const OptimizerDef* optimizer : Optimizers()) {
    const std::string name(optimizer->name);
    configs[name] = ConfigOf({name, "sgd", name}, 3);
  }
  const auto set = MakeSet(configs);
  for (const auto& [name, config] : configs) Train(**set->Get(name), -50, 120, rng_);
  const Content content = ContentOf(*set);
  int64_t step = 0;
  for (const TableLayout layout : {TableLayout::kNative, TableLayout::kSingle}) {
    for (uint32_t shards = 1; shards <= 4; ++shards) {
      SaveOptions save = Save(++step);
      save.layout = layout;
      save.shards = shards;
      const auto saved = SaveTables(*set, save);
      ASSERT_TRUE(saved.ok()) << saved.status().ToString();
      EXPECT_EQ(Restored(Restore()), content) << "step " << step;
    }
  }
}

TEST_F(CheckpointTest, ServingTablesComeBackAndTrainingTablesRestoreAsServing) {
  TableConfig serving = ConfigOf({"adagrad", "adagrad", "adagrad"}, 8);
  serving.segments[1].compressor.name = "fixed_r8";
  serving.segments[2].compressor.name = "one_bit";
  const TableConfig training = serving;
  serving.kind = EntryKind::kServing;
  const auto trained = MakeSet({{"t", training}});
  Train(**trained->Get("t"), 0, 500, rng_);
  ASSERT_TRUE(SaveTables(*trained, Save(1)).ok());
  const auto set = MakeSet({{"t", serving}});
  ASSERT_TRUE(RestoreTables(*set, Restore()).ok());
  EXPECT_EQ((*set->Get("t"))->size(), 500u);
  ASSERT_TRUE(SaveTables(*set, Save(2)).ok());
  EXPECT_EQ(Restored(Restore()), ContentOf(*set));
}

TEST_F(CheckpointTest, ServingTablesSkipZeroRowsIfAskedTo) {
  TableConfig config = ConfigOf({"sgd"}, 2);
  const auto trained = MakeSet({{"t", config}});
  ASSERT_TRUE(
      (*trained->Get("t"))->Assign(std::vector<Fid>{1, 2}, std::vector<float>{0, 0, 0, 1}, 5).ok());
  ASSERT_TRUE(SaveTables(*trained, Save(1)).ok());
  config.kind = EntryKind::kServing;
  config.skip_zero_embedding = true;
  const auto set = MakeSet({{"t", config}});
  const auto restored = RestoreTables(*set, Restore());
  ASSERT_TRUE(restored.ok());
  EXPECT_EQ(restored->skipped_rows, 1u);
  EXPECT_EQ((*set->Get("t"))->size(), 1u);
}

TEST_F(CheckpointTest, OtherNumbersOfServersReadTheirRows) {
  const std::map<std::string, TableConfig> configs = {{"a", ConfigOf({"adagrad"}, 4)},
                                                      {"b", ConfigOf({"ftrl"}, 2)}};
  int64_t step = 0;
  for (const auto& [before, after] : std::vector<std::pair<uint32_t, uint32_t>>{
           {1, 2}, {2, 1}, {2, 3}, {3, 2}, {2, 4}, {4, 2}, {4, 6}, {3, 3}}) {
    ++step;
    std::vector<Content> parts;
    for (uint32_t server = 0; server < before; ++server) {
      const auto set = MakeSet(configs);
      SaveOptions save = Save(step);
      save.placement = {.server = server, .servers = before};
      save.layout = step % 2 == 0 ? TableLayout::kSingle : TableLayout::kNative;
      save.shards = 2;
      save.capture = [&] { return Attachments{.watermark = StrCat("w", server), .blobs = {}}; };
      for (const auto& [name, config] : configs)
        Train(**set->Get(name), -300, 600, rng_, 1000, save.placement);
      const auto saved = SaveTables(*set, save);
      ASSERT_TRUE(saved.ok()) << saved.status().ToString();
      EXPECT_EQ(saved->published, server + 1 == before);
      parts.push_back(ContentOf(*set));
    }
    std::vector<Content> restored;
    for (uint32_t server = 0; server < after; ++server) {
      RestoreOptions options = Restore();
      options.placement = {.server = server, .servers = after};
      RestoreReport report;
      restored.push_back(Restored(options, &report));
      EXPECT_EQ(report.servers, before);
      for (const auto& [from, attachments] : report.attachments)
        EXPECT_EQ(attachments.watermark, StrCat("w", from));
      for (const auto& [name, rows] : restored.back()) {
        for (const auto& [fid, row] : rows)
          EXPECT_EQ(ShardOf(fid, static_cast<int>(after)), static_cast<int>(server));
      }
    }
    EXPECT_EQ(Union(restored), Union(parts)) << before << " to " << after;
  }
}

TEST_F(CheckpointTest, ASaveHoldsOneMomentWhileWritersGoOn) {
  const auto set = MakeSet({{"a", ConfigOf({"sgd"}, 1)}, {"b", ConfigOf({"sgd"}, 1)}});
  constexpr Fid kFids = 20'000;
  std::vector<Fid> fids(kFids);
  for (Fid fid = 0; fid < kFids; ++fid) fids[static_cast<size_t>(fid)] = fid;
  std::atomic<bool> stop{false};
  std::atomic<int64_t> round{0};
  const auto write = [&] {
    const int64_t now = round.load() + 1;
    const std::vector<float> values(kFids, static_cast<float>(now));
    const WriteGate::Shared together(set->gate());
    for (const char* name : {"a", "b"})
      EXPECT_TRUE((*set->Get(name))->Assign(fids, values, now).ok());
    round.store(now);
  };
  write();
  std::thread writer([&] {
    while (!stop.load()) write();
  });
  for (int64_t step = 1; step <= 5; ++step) {
    SaveOptions save = Save(step);
    save.capture = [&] { return Attachments{.watermark = StrCat(round.load()), .blobs = {}}; };
    const auto saved = SaveTables(*set, save);
    EXPECT_TRUE(saved.ok()) << saved.status().ToString();
    const auto copy = MakeSet({});
    const auto restored = RestoreTables(*copy, Restore());
    ASSERT_TRUE(restored.ok()) << restored.status().ToString();
    const auto wanted = static_cast<float>(*ParseInt(restored->attachments.at(0).watermark));
    for (const char* name : {"a", "b"}) {
      std::vector<float> out(kFids);
      EXPECT_EQ(*(*copy->Get(name))->Lookup(fids, out), kFids);
      for (const float v : out) ASSERT_EQ(v, wanted);
    }
  }
  stop = true;
  writer.join();
}

TEST_F(CheckpointTest, AttachmentsComeBack) {
  const auto set = MakeSet({{"a", ConfigOf({"sgd"}, 1)}});
  SaveOptions save = Save(1);
  save.capture = [] {
    Attachments out{.watermark = std::string("w\0m", 3), .blobs = {}};
    out.blobs["dense/kernel"] = std::make_shared<std::string>(std::string(40 << 20, 'x'));
    out.blobs[""] = std::make_shared<std::string>("nameless");
    out.blobs["empty"] = nullptr;
    return out;
  };
  ASSERT_TRUE(SaveTables(*set, save).ok());
  RestoreReport report;
  Restored(Restore(), &report);
  const Attachments& back = report.attachments.at(0);
  EXPECT_EQ(back.watermark, std::string("w\0m", 3));
  ASSERT_EQ(back.blobs.size(), 3u);
  EXPECT_EQ(*back.blobs.at("dense/kernel"), std::string(40 << 20, 'x'));
  EXPECT_EQ(*back.blobs.at(""), "nameless");
  EXPECT_EQ(*back.blobs.at("empty"), "");
}

TEST_F(CheckpointTest, ExpiredRowsStayOutOfTheFilesAndInMemory) {
  TableConfig config = ConfigOf({"sgd"}, 1);
  config.expire.default_days = 1;
  const auto set = MakeSet({{"a", config}});
  Train(**set->Get("a"), 0, 10, rng_, 0);
  Train(**set->Get("a"), 10, 5, rng_, 86'400);
  const auto saved = SaveTables(*set, Save(1));
  ASSERT_TRUE(saved.ok());
  EXPECT_EQ(saved->rows, 5u);
  EXPECT_EQ(saved->expired_rows, 10u);
  EXPECT_EQ((*set->Get("a"))->size(), 15u);
  SaveOptions all = Save(2);
  all.leave_out_expired = false;
  ASSERT_TRUE(SaveTables(*set, all).ok());
  RestoreOptions restore = Restore();
  EXPECT_EQ(Restored(restore)["a"].size(), 15u);
  restore.drop_expired = true;
  RestoreReport report;
  EXPECT_EQ(Restored(restore, &report)["a"].size(), 5u);
  EXPECT_EQ(report.expired_rows, 10u);
}

TEST_F(CheckpointTest, TablesAndSlotsCanBeChosenAndMergedOrReplaced) {
  const std::map<std::string, TableConfig> configs = {{"a", ConfigOf({"sgd"}, 1)},
                                                      {"b", ConfigOf({"sgd"}, 1)}};
  const auto set = MakeSet(configs);
  const Fid slot7 = *MakeFidV2(7, 1);
  const Fid slot8 = *MakeFidV2(8, 1);
  for (const char* name : {"a", "b"}) {
    ASSERT_TRUE((*set->Get(name))
                    ->Assign(std::vector<Fid>{slot7, slot8}, std::vector<float>{7, 8}, 5)
                    .ok());
  }
  ASSERT_TRUE(SaveTables(*set, Save(1)).ok());
  const auto live = MakeSet(configs);
  const std::vector<Fid> mine = {slot7, 1};
  for (const char* name : {"a", "b"})
    ASSERT_TRUE((*live->Get(name))->Assign(mine, std::vector<float>{1, 1}, 5).ok());
  RestoreOptions options = Restore();
  options.tables = {"a"};
  options.slots = {7};
  options.mode = RestoreMode::kMerge;
  const auto merged = RestoreTables(*live, options);
  ASSERT_TRUE(merged.ok()) << merged.status().ToString();
  EXPECT_EQ(merged->rows, 1u);
  EXPECT_EQ(merged->skipped_rows, 1u);
  EXPECT_THAT(merged->unknown, ElementsAre("b"));
  std::vector<float> out(3);
  const std::vector<Fid> look = {slot7, slot8, 1};
  ASSERT_TRUE((*live->Get("a"))->Lookup(look, out).ok());
  EXPECT_THAT(out, ElementsAre(7, 0, 1));
  options.mode = RestoreMode::kReplace;
  ASSERT_TRUE(RestoreTables(*live, options).ok());
  ASSERT_TRUE((*live->Get("a"))->Lookup(look, out).ok());
  EXPECT_THAT(out, ElementsAre(7, 0, 0));
  ASSERT_TRUE((*live->Get("b"))->Lookup(look, out).ok());
  EXPECT_THAT(out, ElementsAre(1, 0, 1));
  options.tables = {"c"};
  EXPECT_THAT(RestoreTables(*live, options).status().ToString(),
              AllOf(HasSubstr("NOT_FOUND"), HasSubstr("no table 'c'; it has a, b")));
}

TEST_F(CheckpointTest, ATableIsFoundUnderItsOtherNames) {
  const TableConfig config = ConfigOf({"sgd"}, 2);
  const auto old = MakeSet({{"MonolithHashTable_0123", config}});
  Train(**old->Get("MonolithHashTable_0123"), 0, 20, rng_);
  SaveOptions save = Save(1);
  save.layout = TableLayout::kSingle;
  ASSERT_TRUE(SaveTables(*old, save).ok());
  const auto set = MakeSet({{"user", config}});
  RestoreOptions options = Restore();
  options.other_names["user"] = {"MonolithHashTable_abc", "MonolithHashTable_0123"};
  const auto restored = RestoreTables(*set, options);
  ASSERT_TRUE(restored.ok()) << restored.status().ToString();
  EXPECT_EQ(ContentOf(*set)["user"], ContentOf(*old)["MonolithHashTable_0123"]);
}

TEST_F(CheckpointTest, FilesWithoutManifestsRestoreAsMonoliths) {
  const std::map<std::string, TableConfig> configs = {{"a", ConfigOf({"adam"}, 4)},
                                                      {"b", ConfigOf({"ftrl"}, 2)}};
  for (const TableLayout layout : {TableLayout::kNative, TableLayout::kSingle}) {
    TempDirectory directory;
    const auto set = MakeSet(configs);
    for (const auto& [name, config] : configs) Train(**set->Get(name), 0, 100, rng_);
    SaveOptions save = Save(1);
    save.directory = directory.path();
    save.layout = layout;
    save.placement = {.server = 0, .servers = 1};
    ASSERT_TRUE(SaveTables(*set, save).ok());
    const std::string assets = JoinPath(directory.path(), "model.ckpt-1.assets");
    for (const std::string& name : FilesIn(assets)) {
      if (!name.starts_with("megalith_")) continue;
      ASSERT_TRUE(RealFileSystem().Remove(JoinPath(assets, name)).ok());
    }
    const auto copy = MakeSet(configs);
    RestoreOptions restore = Restore();
    restore.directory = directory.path();
    const auto restored = RestoreTables(*copy, restore);
    ASSERT_TRUE(restored.ok()) << restored.status().ToString();
    EXPECT_EQ(ContentOf(*copy), ContentOf(*set));
  }
}

TEST_F(CheckpointTest, RowsThatDoNotFitAreRefusedWithTheirPlace) {
  const auto set = MakeSet({{"a", ConfigOf({"adagrad"}, 4)}});
  Train(**set->Get("a"), 5, 1, rng_);
  ASSERT_TRUE(SaveTables(*set, Save(1)).ok());
  const auto other_state = MakeSet({{"a", ConfigOf({"adam"}, 4)}});
  const Content before = ContentOf(*other_state);
  EXPECT_THAT(RestoreTables(*other_state, Restore()).status().ToString(),
              AllOf(HasSubstr("FAILED_PRECONDITION"), HasSubstr("offset 0"), HasSubstr("-of-00001"),
                    HasSubstr("table 'a'"), HasSubstr("segment 0"), HasSubstr("5")));
  EXPECT_EQ(ContentOf(*other_state), before);
  const auto other_dim = MakeSet({{"a", ConfigOf({"adagrad"}, 3)}});
  EXPECT_THAT(RestoreTables(*other_dim, Restore()).status().ToString(),
              AllOf(HasSubstr("table 'a' segment 0 has 4 dims"), HasSubstr("has 3")));
}

TEST_F(CheckpointTest, OldCheckpointsAreDroppedAndAStepIsSavedOnce) {
  const auto set = MakeSet({{"a", ConfigOf({"sgd"}, 1)}});
  for (int64_t step = 1; step <= 4; ++step) {
    SaveOptions save = Save(step);
    save.retention.keep = 2;
    const auto saved = SaveTables(*set, save);
    ASSERT_TRUE(saved.ok()) << saved.status().ToString();
    EXPECT_EQ(saved->removed.size(), step > 2 ? 1u : 0u);
  }
  EXPECT_THAT(FilesIn(Dir()),
              ElementsAre("checkpoint", "ckpt.info-3", "ckpt.info-4", "lock", "model.ckpt-3.assets",
                          "model.ckpt-4.assets", "monolith_checkpoint"));
  EXPECT_EQ(SaveTables(*set, Save(4)).status().code(), Code::kAlreadyExists);
  EXPECT_EQ(Restored(Restore()), ContentOf(*set));
}

TEST_F(CheckpointTest, ACancelledSaveLeavesNothing) {
  const auto set = MakeSet({{"a", ConfigOf({"sgd"}, 1)}});
  Train(**set->Get("a"), 0, 5000, rng_);
  Cancellation cancellation;
  SaveOptions save = Save(1);
  save.cancellation = &cancellation;
  cancellation.Cancel();
  EXPECT_EQ(SaveTables(*set, save).status().code(), Code::kCancelled);
  EXPECT_THAT(FilesIn(Dir()), IsEmpty());
  save.cancellation = nullptr;
  EXPECT_TRUE(SaveTables(*set, save).ok());
}

TEST_F(CheckpointTest, TheHashFilterComesBack) {
  TableSet::Options options;
  options.filter.thresholds.default_threshold = 2;
  options.filter.capacity = 1000;
  const auto set = MakeSet({{"a", ConfigOf({"sgd"}, 1)}}, options);
  Train(**set->Get("a"), 0, 10, rng_);
  Train(**set->Get("a"), 0, 10, rng_);
  EXPECT_EQ((*set->Get("a"))->size(), 0u);
  ASSERT_TRUE(SaveTables(*set, Save(1)).ok());
  const auto copy = MakeSet({}, options);
  const auto restored = RestoreTables(*copy, Restore());
  ASSERT_TRUE(restored.ok()) << restored.status().ToString();
  EXPECT_TRUE(restored->filter);
  Train(**copy->Get("a"), 0, 10, rng_);
  EXPECT_EQ((*copy->Get("a"))->size(), 10u);
}

}  // namespace
}  // namespace megalith::embedding
