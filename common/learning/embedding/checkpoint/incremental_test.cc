#include "common/learning/embedding/checkpoint/compact.h"
#include "common/learning/embedding/checkpoint/delta_files.h"
#include "common/learning/embedding/checkpoint/incremental_saver.h"
#include "common/learning/embedding/checkpoint/testing/checkpoint_fixture.h"

namespace megalith::embedding {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class IncrementalTest : public CheckpointTest {
 protected:
  struct Server {
    explicit Server(const std::map<std::string, TableConfig>& configs, uint64_t max_changes = 1000)
        : changes(max_changes) {
      TableSet::Options options;
      options.observer = &changes;
      set = MakeSet(configs, std::move(options));
      saver = std::make_unique<IncrementalSaver>(
          *set, changes, IncrementalSaver::Options{.max_deltas = 6, .max_changed_share = 0.9});
    }
    ChangeLog changes;
    std::unique_ptr<TableSet> set;
    std::unique_ptr<IncrementalSaver> saver;
  };

  SaveReport MustSave(Server& server, const SaveOptions& options) {
    const auto saved = server.saver->Save(options);
    EXPECT_TRUE(saved.ok()) << saved.status().ToString();
    return saved.ok() ? *saved : SaveReport{};
  }

  // Some steps, assignments, evictions and erasures.
  void Change(TableSet& set, int64_t now) {
    for (const auto& [name, table] : set.Tables()) {
      for (int i = 0; i < 3; ++i) {
        const Fid first = static_cast<Fid>(rng_.Below(200)) - 20;
        switch (rng_.Below(5)) {
          case 0:
            table->Erase(std::vector<Fid>{first, first + 1, first + 2});
            break;
          case 1:
            ASSERT_TRUE(table->Reinitialize(std::vector<Fid>{first, 500 + first}, now).ok());
            break;
          case 2:
            table->Evict(now - 3 * 86'400);
            break;
          default:
            Train(*table, first, 12, rng_, now);
        }
      }
    }
  }

  const std::map<std::string, TableConfig> configs_ = [] {
    std::map<std::string, TableConfig> out = {{"a", ConfigOf({"adagrad"}, 4)},
                                              {"b", ConfigOf({"ftrl", "sgd"}, 2)}};
    out["a"].expire.default_days = 2;
    return out;
  }();
};

TEST_F(IncrementalTest, ChainsRestoreToWhatWasSavedAtEveryStep) {
  for (const TableLayout layout : {TableLayout::kNative, TableLayout::kSingle}) {
    TempDirectory directory;
    Server server(configs_);
    for (const char* name : {"a", "b"}) Train(**server.set->Get(name), 0, 300, rng_, 10);
    SaveOptions save = Save(0);
    save.directory = directory.path();
    save.layout = layout;
    save.shards = 2;
    save.leave_out_expired = false;
    int deltas = 0;
    for (int64_t step = 1; step <= 20; ++step) {
      SCOPED_TRACE(step);
      Change(*server.set, step * 86'400);
      if (step == 9) {
        ASSERT_TRUE(server.set->Create("late", ConfigOf({"adam"}, 3)).ok());
      }
      if (step == 13) {
        const auto compacted = CompactCheckpoint({.directory = directory.path(), .base = ""});
        ASSERT_TRUE(compacted.ok()) << compacted.status().ToString();
        EXPECT_THAT(compacted->prefix, HasSubstr("model.ckpt-12"));
      }
      save.step = step;
      save.capture = [&] { return Attachments{.watermark = StrCat("w", step), .blobs = {}}; };
      const SaveReport report = MustSave(server, save);
      deltas += report.delta ? 1 : 0;
      RestoreOptions restore = Restore();
      restore.directory = directory.path();
      RestoreReport restored;
      EXPECT_EQ(Restored(restore, &restored), ContentOf(*server.set));
      EXPECT_EQ(restored.step, step);
      EXPECT_EQ(restored.attachments.at(0).watermark, StrCat("w", step));
      EXPECT_THAT(restored.notes, IsEmpty());
    }
    EXPECT_GT(deltas, 12);
  }
}

TEST_F(IncrementalTest, CompactionRestoresToTheSameAndCanBeResharded) {
  std::vector<std::unique_ptr<Server>> servers;
  for (uint32_t i = 0; i < 2; ++i) servers.push_back(std::make_unique<Server>(configs_));
  for (int64_t step = 1; step <= 4; ++step) {
    for (uint32_t i = 0; i < 2; ++i) {
      SaveOptions save = Save(step);
      save.placement = {.server = i, .servers = 2};
      for (const auto& [name, table] : servers[i]->set->Tables())
        Train(*table, step * 7, step == 1 ? 400 : 30, rng_, 5, save.placement);
      EXPECT_EQ(MustSave(*servers[i], save).delta, step > 1);
    }
  }
  const Content all = Union({ContentOf(*servers[0]->set), ContentOf(*servers[1]->set)});
  const auto parts = [&] {
    std::vector<Content> out;
    for (uint32_t i = 0; i < 3; ++i) {
      RestoreOptions restore = Restore();
      restore.placement = {.server = i, .servers = 3};
      out.push_back(Restored(restore));
    }
    return Union(out);
  };
  EXPECT_EQ(parts(), all);
  const auto compacted = CompactCheckpoint({.directory = Dir(), .base = ""});
  ASSERT_TRUE(compacted.ok()) << compacted.status().ToString();
  EXPECT_EQ(compacted->deltas, 3u);
  EXPECT_EQ(parts(), all);
  RestoreReport report;
  RestoreOptions restore = Restore();
  restore.placement = {.server = 0, .servers = 2};
  EXPECT_EQ(Restored(restore, &report), ContentOf(*servers[0]->set));
  EXPECT_EQ(report.deltas, 0u);
  EXPECT_EQ(report.step, 4);
}

TEST_F(IncrementalTest, DeltasHaveTheFilterAsItWasAtTheirMoment) {
  FilterConfig filter;
  filter.thresholds.default_threshold = 3;
  filter.capacity = 1000;
  ChangeLog changes(1000);
  TableSet::Options options{.filter = filter, .observer = &changes};
  const auto set = MakeSet({{"a", ConfigOf({"sgd"}, 1)}}, std::move(options));
  IncrementalSaver saver(*set, changes, {.max_deltas = 6, .max_changed_share = 1});
  const auto see = [](TableSet& of, Fid fid) {
    Rng rng(1);
    Train(**of.Get("a"), fid, 1, rng);
    return (*of.Get("a"))->Contains(fid);
  };
  for (int i = 0; i < 4; ++i) see(*set, 1);
  ASSERT_TRUE(saver.Save(Save(1)).ok());
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(see(*set, 2));
  SaveOptions second = Save(2);
  // What is counted after the moment is not in it.
  second.capture = [&] {
    return Attachments{.watermark = "", .blobs = {}, .encoders = {{"late", [&] {
                                                                     EXPECT_TRUE(see(*set, 2));
                                                                     return std::string("bytes");
                                                                   }}}};
  };
  const auto saved = saver.Save(second);
  ASSERT_TRUE(saved.ok()) << saved.status().ToString();
  EXPECT_TRUE(saved->delta);
  for (const bool compacted : {false, true}) {
    SCOPED_TRACE(compacted);
    if (compacted) {
      ASSERT_TRUE(CompactCheckpoint({.directory = Dir(), .base = ""}).ok());
    }
    const auto fresh = MakeSet({}, {.filter = filter});
    const auto restored = RestoreTables(*fresh, Restore());
    ASSERT_TRUE(restored.ok()) << restored.status().ToString();
    EXPECT_TRUE(restored->filter);
    EXPECT_EQ(*restored->attachments.at(0).blobs.at("late"), "bytes");
    EXPECT_FALSE((*fresh->Get("a"))->Contains(2));
    EXPECT_TRUE(see(*fresh, 2));
  }
}

TEST_F(IncrementalTest, ABrokenLinkFallsBackToTheWholePrefix) {
  Server server(configs_);
  std::vector<Content> at;
  for (int64_t step = 1; step <= 4; ++step) {
    for (const auto& [name, table] : server.set->Tables())
      Train(*table, step, step == 1 ? 100 : 5, rng_);
    MustSave(server, Save(step));
    at.push_back(ContentOf(*server.set));
  }
  const std::string third = DeltaDirectory(CheckpointPrefix(Dir(), 1), 3);
  for (const std::string& name : FilesIn(third)) {
    SCOPED_TRACE(name);
    const std::string path = JoinPath(third, name);
    const std::string bytes = *RealFileSystem().Read(path);
    for (int trial = 0; trial < 6; ++trial) {
      if (trial == 0) {
        ASSERT_TRUE(RealFileSystem().Remove(path).ok());
      } else if (trial % 2 == 0) {
        ASSERT_TRUE(RealFileSystem().Truncate(path, rng_.Below(bytes.size())).ok());
      } else {
        Flip(path, rng_.Below(bytes.size()));
      }
      RestoreReport report;
      EXPECT_EQ(Restored(Restore(), &report), at[1]);
      EXPECT_EQ(report.step, 2);
      EXPECT_THAT(report.notes, Contains(HasSubstr(name)));
      ASSERT_TRUE(RealFileSystem().WriteAtomically(path, bytes).ok());
    }
  }
  EXPECT_EQ(Restored(Restore()), at[3]);
  // One that is missing altogether.
  ASSERT_TRUE(RealFileSystem().RemoveTree(third).ok());
  RestoreReport report;
  EXPECT_EQ(Restored(Restore(), &report), at[1]);
  EXPECT_THAT(report.notes, Contains(HasSubstr("does not build on step 2")));
}

TEST_F(IncrementalTest, TooManyChangesAndReplacedTablesMakeAWholeOne) {
  Server server(configs_, 50);
  Train(**server.set->Get("a"), 0, 100, rng_);
  EXPECT_FALSE(MustSave(server, Save(1)).delta);
  Train(**server.set->Get("a"), 0, 10, rng_);
  EXPECT_TRUE(MustSave(server, Save(2)).delta);
  Train(**server.set->Get("a"), 0, 51, rng_);
  EXPECT_EQ(server.saver->SaveDelta(Save(3)).status().code(), Code::kFailedPrecondition);
  EXPECT_FALSE(MustSave(server, Save(3)).delta);
  ASSERT_TRUE(server.set->Drop("b").ok());
  EXPECT_FALSE(MustSave(server, Save(4)).delta);
  EXPECT_EQ(Restored(Restore()), ContentOf(*server.set));
  EXPECT_EQ(server.saver->Save(Save(4)).status().code(), Code::kInvalidArgument);
}

TEST_F(IncrementalTest, ChangesOfAFailedDeltaAreInTheNext) {
  Server server(configs_);
  Train(**server.set->Get("a"), 0, 100, rng_);
  MustSave(server, Save(1));
  Train(**server.set->Get("a"), 0, 10, rng_);
  Cancellation cancelled;
  cancelled.Cancel();
  SaveOptions save = Save(2);
  save.cancellation = &cancelled;
  EXPECT_EQ(server.saver->Save(save).status().code(), Code::kCancelled);
  EXPECT_THAT(FilesIn(DeltaDirectory(CheckpointPrefix(Dir(), 1), 2)), IsEmpty());
  const SaveReport next = MustSave(server, Save(3));
  EXPECT_TRUE(next.delta);
  EXPECT_EQ(next.rows, 10u);
  EXPECT_EQ(Restored(Restore()), ContentOf(*server.set));
}

}  // namespace
}  // namespace megalith::embedding
