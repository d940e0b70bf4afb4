#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/foundation/base/strings.h"
#include "common/learning/embedding/checkpoint/file_names.h"
#include "common/learning/embedding/checkpoint/publish.h"
#include "common/learning/embedding/checkpoint/retention.h"
#include "common/learning/embedding/checkpoint/state_files.h"
#include "common/learning/embedding/checkpoint/state_proto.h"
#include "tests/support/faulty_files.h"

namespace megalith::embedding {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class StateTest : public ::testing::Test {
 protected:
  std::string At(const std::string& name) const { return JoinPath(directory_.path(), name); }
  void Write(const std::string& name, const std::string& text) {
    ASSERT_TRUE(files_.WriteAtomically(At(name), text).ok());
  }
  void MakeCheckpoint(const std::string& name) {
    ASSERT_TRUE(files_.MakeDirectory(At(name + ".assets")).ok());
    Write(name + ".assets/t-00000-of-00001", "rows");
    Write(name + ".index", "dense");
  }
  std::vector<std::string> Prefixes(const std::vector<CheckpointChoice>& choices) {
    std::vector<std::string> out;
    for (const CheckpointChoice& choice : choices) out.push_back(choice.prefix);
    return out;
  }

  TempDirectory directory_;
  FileSystem& files_ = RealFileSystem();
};

TEST_F(StateTest, TextIsWhatTensorFlowAndMonolithWrite) {
  EXPECT_EQ(
      ToText(CheckpointList{.newest = "model.ckpt-20", .all = {"model.ckpt-10", "model.ckpt-20"}}),
      "model_checkpoint_path: \"model.ckpt-20\"\n"
      "all_model_checkpoint_paths: \"model.ckpt-10\"\n"
      "all_model_checkpoint_paths: \"model.ckpt-20\"\n");
  EXPECT_EQ(ToText(MonolithState{.exempt = {"model.ckpt-10"},
                                 .last_save = 1622716114,
                                 .table_type = HashTableType::kNativeMulti}),
            "exempt_model_checkpoint_paths: \"model.ckpt-10\"\n"
            "last_checkpoint_save_timestamp: 1622716114\n"
            "builtin_hash_table_type: MULTI_CUCKOO_HASH_MAP\n");
  EXPECT_EQ(ToText(ExportList{{{"/e/1", 7}}}),
            "entries {\n  export_dir: \"/e/1\"\n  global_step: 7\n}\n");
  EXPECT_EQ(ToText(RowCounts{.by_slot = {{3, 5}}}), "slot_counts {\n  key: 3\n  value: 5\n}\n");
}

TEST_F(StateTest, WhatIsWrittenIsRead) {
  const CheckpointList list = {.newest = At("model.ckpt-20"),
                               .all = {"/elsewhere/model.ckpt-10", At("model.ckpt-20")},
                               .timestamps = {1.5, 2.5},
                               .last_preserved = 0.5};
  const MonolithState state = {.exempt = {At("model.ckpt-10")}, .last_save = 5};
  const RowCounts counts = {.by_slot = {{1, 2}}, .by_feature = {{"a b\"\n", 3}, {"", 4}}};
  const ExportList exports = {{{"/e/1", 7}, {"/e/2", 8}}};
  ASSERT_TRUE(WriteCheckpointList(files_, directory_.path(), list).ok());
  ASSERT_TRUE(WriteMonolithState(files_, directory_.path(), state).ok());
  ASSERT_TRUE(WriteRowCounts(files_, directory_.path(), 20, counts).ok());
  ASSERT_TRUE(WriteExportList(files_, directory_.path(), exports).ok());
  EXPECT_EQ(**ReadCheckpointList(files_, directory_.path()), list);
  EXPECT_EQ(**ReadMonolithState(files_, directory_.path()), state);
  EXPECT_EQ(**ReadRowCounts(files_, directory_.path(), 20), counts);
  EXPECT_EQ(**ReadExportList(files_, directory_.path()), exports);
  EXPECT_THAT(*files_.Read(At("checkpoint")), HasSubstr("path: \"model.ckpt-20\""));
}

TEST_F(StateTest, AbsentFilesAreNothingAndDamagedOnesAreNamed) {
  EXPECT_FALSE(ReadCheckpointList(files_, directory_.path())->has_value());
  EXPECT_FALSE(ReadRowCounts(files_, directory_.path(), 1)->has_value());
  Write("checkpoint", "model_checkpoint_path: \"a\"\nall_model_checkpoint_paths: 5\n");
  const Status damaged = ReadCheckpointList(files_, directory_.path()).status();
  EXPECT_EQ(damaged.code(), Code::kDataLoss);
  EXPECT_THAT(damaged.message(), HasSubstr(StrCat("'", At("checkpoint"), "': line 2, column ")));
}

TEST_F(StateTest, FieldsOfLaterVersionsAreSkipped) {
  Write("monolith_checkpoint", "some_new_field: 5\nlast_checkpoint_save_timestamp: 7\n");
  EXPECT_EQ((**ReadMonolithState(files_, directory_.path())).last_save, 7);
}

TEST_F(StateTest, MissingTimesComeFromTheFiles) {
  MakeCheckpoint("model.ckpt-1");
  Write("checkpoint",
        "model_checkpoint_path: \"model.ckpt-1\"\n"
        "all_model_checkpoint_paths: \"model.ckpt-0\"\n"
        "all_model_checkpoint_paths: \"model.ckpt-1\"\n");
  const CheckpointList list = **ReadCheckpointList(files_, directory_.path());
  ASSERT_EQ(list.timestamps.size(), 2u);
  EXPECT_EQ(list.timestamps[0], 0);
  EXPECT_GT(list.timestamps[1], 1e9);
}

TEST_F(StateTest, TheNewestComesFirstThenTheOthersThatExist) {
  for (const std::string name : {"model.ckpt-1", "model.ckpt-2", "model.ckpt-3"})
    MakeCheckpoint(name);
  ASSERT_TRUE(WriteCheckpointList(files_, directory_.path(),
                                  {.newest = At("model.ckpt-2"),
                                   .all = {At("model.ckpt-1"), At("model.ckpt-2"),
                                           At("model.ckpt-3"), At("model.ckpt-4")}})
                  .ok());
  const auto choices = ChooseCheckpoints(files_, directory_.path());
  ASSERT_TRUE(choices.ok());
  EXPECT_THAT(Prefixes(*choices),
              ElementsAre(At("model.ckpt-2"), At("model.ckpt-3"), At("model.ckpt-1")));
  EXPECT_EQ((*choices)[0].step, 2);
  EXPECT_FALSE((*choices)[0].sparse_only);
}

TEST_F(StateTest, WithoutAListTheOneAssetDirectoryCounts) {
  EXPECT_THAT(*ChooseCheckpoints(files_, directory_.path()), IsEmpty());
  EXPECT_THAT(*ChooseCheckpoints(files_, At("none")), IsEmpty());
  // An empty one is of a save that has just begun.
  ASSERT_TRUE(files_.MakeDirectory(At("model.ckpt-7.assets")).ok());
  EXPECT_THAT(*ChooseCheckpoints(files_, directory_.path()), IsEmpty());
  ASSERT_TRUE(files_.WriteAtomically(At("model.ckpt-7.assets/t-00000-of-00001"), "").ok());
  EXPECT_THAT(*ChooseCheckpoints(files_, directory_.path()),
              ElementsAre(CheckpointChoice{At("model.ckpt-7"), 7, true}));
  ASSERT_TRUE(files_.MakeDirectory(At("other.assets")).ok());
  ASSERT_TRUE(files_.WriteAtomically(At("other.assets/t-00000-of-00001"), "").ok());
  const Status several = ChooseCheckpoints(files_, directory_.path()).status();
  EXPECT_EQ(several.code(), Code::kFailedPrecondition);
  EXPECT_THAT(several.message(), HasSubstr("model.ckpt-7.assets, other.assets"));
}

std::string Prefix(int step) { return StrCat("/m/model.ckpt-", step); }

// Saves steps 0, 1, ... at the given times and applies every decision.
struct History {
  CheckpointList list;
  std::vector<std::string> removed;
  std::vector<std::string> preserved;

  void Save(int step, double time, const std::vector<std::string>& exempt,
            const RetentionRules& rules) {
    const RetentionDecision decision = Retain(list, Prefix(step), time, exempt, rules);
    EXPECT_EQ(decision.kept.newest, Prefix(step));
    EXPECT_EQ(decision.kept.all.size(), decision.kept.timestamps.size());
    list = decision.kept;
    removed.insert(removed.end(), decision.remove.begin(), decision.remove.end());
    preserved.insert(preserved.end(), decision.preserved.begin(), decision.preserved.end());
  }
};

TEST_F(StateTest, TheNewestStayAndOneADayIsPreserved) {
  History history;
  const RetentionRules rules = {.keep = 2, .keep_one_every = 100};
  for (int step = 0; step < 8; ++step) history.Save(step, 1000 + step * 40.0, {}, rules);
  // Times 1000, 1040, ...: the first 100 seconds after 1000 end at step 3 (1120), then 6 (1240).
  EXPECT_THAT(history.list.all, ElementsAre(Prefix(6), Prefix(7)));
  EXPECT_THAT(history.preserved, ElementsAre(Prefix(3)));
  EXPECT_THAT(history.removed, ElementsAre(Prefix(0), Prefix(1), Prefix(2), Prefix(4), Prefix(5)));
  EXPECT_EQ(history.list.last_preserved, 1120);
}

TEST_F(StateTest, ExemptCheckpointsStayBeyondTheCountByBaseName) {
  History history;
  const RetentionRules rules = {.keep = 2, .keep_one_every = 1e9};
  const std::vector<std::string> exempt = {"/old/place/model.ckpt-1"};
  for (int step = 0; step < 5; ++step) history.Save(step, step, exempt, rules);
  EXPECT_THAT(history.list.all, ElementsAre(Prefix(1), Prefix(3), Prefix(4)));
  EXPECT_THAT(history.removed, ElementsAre(Prefix(0), Prefix(2)));
}

TEST_F(StateTest, SavingTheSameStepAgainListsItOnce) {
  History history;
  history.Save(1, 1, {}, {});
  history.Save(2, 2, {}, {});
  history.Save(1, 3, {}, {});
  EXPECT_THAT(history.list.all, ElementsAre(Prefix(2), Prefix(1)));
}

TEST_F(StateTest, RemovingACheckpointTakesAllOfItAndNoOther) {
  MakeCheckpoint("model.ckpt-1");
  MakeCheckpoint("model.ckpt-10");
  ASSERT_TRUE(RemoveCheckpoint(files_, At("model.ckpt-1")).ok());
  EXPECT_FALSE(files_.Stat(At("model.ckpt-1.assets")).ok());
  EXPECT_FALSE(files_.Stat(At("model.ckpt-1.index")).ok());
  EXPECT_TRUE(files_.Stat(At("model.ckpt-10.assets/t-00000-of-00001")).ok());
  EXPECT_TRUE(RemoveCheckpoint(files_, At("model.ckpt-1")).ok());
}

TEST_F(StateTest, ExportsGoWithTheirCheckpoints) {
  const ExportDecision decision = RetainExports({{{"/e/1", 1}, {"/e/2", 2}}}, {2, 3});
  EXPECT_THAT(decision.remove, ElementsAre("/e/1"));
  EXPECT_EQ(decision.kept, (ExportList{{{"/e/2", 2}}}));
}

// A crash at any change leaves the old file or the new one under the name, and only temporaries
// beside it.
TEST_F(StateTest, ACrashWhilePublishingLeavesOldOrNew) {
  using Crash = testing::FaultyFiles::Crash;
  for (const Crash crash : {Crash::kBefore, Crash::kTorn, Crash::kAfter}) {
    for (uint64_t operations = 0; operations < 4; ++operations) {
      Write("t", "old");
      testing::FaultyFiles faulty;
      faulty.CrashAfter(operations, crash);
      Rng rng(operations + 1);
      bool published = false;
      {
        auto file = StagedFile::Create(faulty, At("t"), rng);
        if (file.ok() && (*file)->Append("new").ok()) published = (*file)->Publish().ok();
      }
      const std::string content = *files_.Read(At("t"));
      EXPECT_TRUE(content == "new" || (content == "old" && !published));
      ASSERT_TRUE(RemoveStaleTemporaries(files_, directory_.path()).ok());
      EXPECT_EQ(files_.List(directory_.path())->size(), 1u);
    }
  }
}

}  // namespace
}  // namespace megalith::embedding
