#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "clients/cli/session.h"
#include "common/foundation/base/strings.h"
#include "common/foundation/tensor/npy.h"
#include "common/learning/embedding/checkpoint/incremental_saver.h"
#include "common/learning/embedding/checkpoint/table_checkpoint.h"
#include "services/allinone/fleet.h"
#include "tests/support/cli_fixture.h"
#include "tests/support/fake_engines.h"

namespace megalith::cli {
namespace {

using embedding::Fid;
using ::testing::AllOf;
using ::testing::HasSubstr;

class TableCliTest : public CliTest {
 protected:
  TableCliTest() : changes_(1000) {
    embedding::TableSet::Options options;
    options.observer = &changes_;
    set_ = *embedding::TableSet::Make(std::move(options));
    saver_ = std::make_unique<embedding::IncrementalSaver>(
        *set_, changes_, embedding::IncrementalSaver::Options{.max_changed_share = 1});
    embedding::TableConfig config;
    config.segments.resize(1);
    config.segments[0].dim = 2;
    config.segments[0].optimizer.name = "adagrad";
    CHECK(set_->Create("user", config).ok());
    Put({1, 2, 3, 4, (Fid{7} << 48) | 123}, 1000);
  }
  void Put(const std::vector<Fid>& fids, int64_t time) {
    std::vector<float> values;
    for (const Fid fid : fids) {
      values.push_back(static_cast<float>(fid % 1000));
      values.push_back(0.5f);
    }
    ASSERT_TRUE((*set_->Get("user"))->Assign(fids, values, time).ok());
  }
  void Save(int64_t step) {
    embedding::SaveOptions save;
    save.directory = Model();
    save.step = step;
    const auto saved = saver_->Save(save);
    ASSERT_TRUE(saved.ok()) << saved.status().ToString();
  }
  std::string Model() const { return files_.path(); }

  embedding::ChangeLog changes_;
  std::unique_ptr<embedding::TableSet> set_;
  std::unique_ptr<embedding::IncrementalSaver> saver_;
};

TEST_F(TableCliTest, CheckpointsAreListedAndExplainedWithoutAServer) {
  Save(12);
  ASSERT_EQ(Run({"table", "ls", "--checkpoint", Model()}), 0) << Err();
  EXPECT_THAT(Out(), AllOf(HasSubstr("user"), HasSubstr("5"), HasSubstr("2:adagrad")));
  ASSERT_EQ(
      Run({"table", "stat", "--verify", "--json", "--checkpoint", Model() + "/model.ckpt-12"}), 0)
      << Err();
  EXPECT_EQ(OutJson()["written_by"], "megalith");
  EXPECT_EQ(OutJson()["step"], 12);
  EXPECT_GE(OutJson()["verified_files"].get<int>(), 3);
  const std::string file =
      JoinPath(Model(), "model.ckpt-12.assets/MonolithMultiHashTable_-00000-of-00001");
  std::string bytes = *RealFileSystem().Read(file);
  bytes[40] = static_cast<char>(bytes[40] ^ 1);
  ASSERT_TRUE(RealFileSystem().WriteAtomically(file, bytes).ok());
  EXPECT_NE(Run({"table", "stat", "--verify", "--checkpoint", Model()}), 0);
  EXPECT_THAT(Err(), AllOf(HasSubstr(file), HasSubstr("offset")));
}

TEST_F(TableCliTest, RowsAreShownWithTheirState) {
  Save(1);
  ASSERT_EQ(Run({"table", "get", "user", "3", "7:123", "99", "--checkpoint", Model()}), 0) << Err();
  EXPECT_THAT(Out(), AllOf(HasSubstr("id 3 (slot 0, signature 3)"), HasSubstr("values   3 0.5"),
                           HasSubstr("adagrad"), HasSubstr("norm  0.1 0.1"),
                           HasSubstr("(slot 7, signature 123)"), HasSubstr("id 99: no row"),
                           HasSubstr("1970-01-01T00:16:40Z")));
  EXPECT_EQ(Run({"table", "get", "user", "99", "--checkpoint", Model()}), 4);
  EXPECT_EQ(Run({"table", "get", "usr", "1", "--checkpoint", Model()}), 4);
  EXPECT_THAT(Err(), HasSubstr("it has user"));
  EXPECT_EQ(Run({"table", "get", "user", "x", "--checkpoint", Model()}), 3);
  EXPECT_THAT(Err(), HasSubstr("'x' is no id"));
}

TEST_F(TableCliTest, RowsOfDeltasCountAndCompactionKeepsThem) {
  Save(1);
  Put({2, 6}, 2000);
  ASSERT_TRUE((*set_->Get("user"))->Erase(std::vector<Fid>{4}) == 1);
  Save(2);
  ASSERT_EQ(Run({"table", "get", "user", "6", "--json", "--checkpoint", Model()}), 0) << Err();
  EXPECT_EQ(OutJson()["rows"][0]["update_time"], 2000);
  EXPECT_EQ(Run({"table", "get", "user", "4", "--checkpoint", Model()}), 4);
  EXPECT_NE(Run({"table", "reshard", Model(), Model() + "/to", "--servers=2"}), 0);
  EXPECT_THAT(Err(), HasSubstr("table compact"));
  ASSERT_EQ(Run({"table", "compact", Model(), "--json"}), 0) << Err();
  EXPECT_EQ(OutJson()["rows"], 5);
  ASSERT_EQ(Run({"table", "diff", Model() + "/model.ckpt-1", Model() + "/model.ckpt-2", "--json"}),
            0)
      << Err();
  EXPECT_EQ(OutJson()["tables"]["user"]["equal"], 5);
}

TEST_F(TableCliTest, CheckpointsAreComparedAndResharded) {
  Save(1);
  const std::string to = JoinPath(Model(), "wide.assets");
  ASSERT_EQ(Run({"table", "reshard", Model() + "/model.ckpt-1", to, "--servers=3"}), 0) << Err();
  EXPECT_THAT(Out(), HasSubstr("5 rows of 1 tables moved from 1 servers to 3"));
  EXPECT_EQ(Run({"table", "diff", Model() + "/model.ckpt-1", to}), 0) << Err();
  Put({2}, 1500);
  Put({8}, 1500);
  ASSERT_TRUE(saver_
                  ->SaveWhole([&] {
                    embedding::SaveOptions save;
                    save.directory = Model();
                    save.step = 5;
                    return save;
                  }())
                  .ok());
  EXPECT_EQ(Run({"table", "diff", to, Model() + "/model.ckpt-5"}), 1);
  EXPECT_THAT(Out(), AllOf(HasSubstr("4 equal"), HasSubstr("only on the right: 1 (8)"),
                           HasSubstr("different: 1 (2)")));
}

TEST_F(TableCliTest, TablesAreExportedForNumPyAndAsText) {
  Save(1);
  const std::string out = JoinPath(Model(), "rows");
  ASSERT_EQ(Run({"table", "export", "user", "--checkpoint", Model(), "-o", out}), 0) << Err();
  const auto ids = tensor::ParseNpy(*RealFileSystem().Read(out + ".ids.npy"));
  ASSERT_TRUE(ids.ok()) << ids.status().ToString();
  const auto values = tensor::ParseNpy(*RealFileSystem().Read(out + ".values.npy"));
  ASSERT_TRUE(values.ok()) << values.status().ToString();
  ASSERT_EQ(Run({"table", "export", "user", "--checkpoint", Model(), "-o", out, "--format=tsv"}), 0)
      << Err();
  const std::string text = *RealFileSystem().Read(out + ".tsv");
  EXPECT_THAT(text,
              AllOf(HasSubstr("id\tupdate_time\tv0\tv1\n"), HasSubstr("\n3\t1000\t3\t0.5\n")));
  EXPECT_EQ(Run({"table", "export", "user"}), 3);
}

TEST_F(TableCliTest, WithoutACheckpointAServerIsNeeded) {
  for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
           {"ls"}, {"stat"}, {"get", "user", "1"}, {"put", "user", "1=1,2"}, {"evict", "user"}}) {
    std::vector<std::string> command{"table"};
    command.insert(command.end(), words.begin(), words.end());
    EXPECT_EQ(Run(command), 3) << words[0];
    EXPECT_THAT(Err(), HasSubstr("give --address"));
  }
}

class TableServerCliTest : public CliTest {
 protected:
  TableServerCliTest() {
    services::EmbeddedFleet::Options options;
    options.process.listen = {"127.0.0.1:0"};
    options.fleet.tables.checkpoint_dir = JoinPath(files_.path(), "model");
    options.fleet.tables.cold_dir = JoinPath(files_.path(), "cold");
    fleet_ = *services::EmbeddedFleet::Start(std::move(options), testing::FakeEngines(&world_));
  }
  // With the server's address.
  int On(std::vector<std::string> words) {
    words.push_back("--address=" + fleet_->server().addresses()[0]);
    return Run(words);
  }
  testing::FakeWorld world_;
  std::unique_ptr<services::EmbeddedFleet> fleet_;
};

TEST_F(TableServerCliTest, AServerWithoutTablesSaysSo) {
  ASSERT_EQ(On({"table", "ls", "--json"}), 0) << Err();
  EXPECT_EQ(OutJson()["tables"].size(), 0u);
  EXPECT_EQ(On({"table", "stat"}), 0) << Err();
  EXPECT_EQ(On({"table", "get", "user", "1"}), 4) << Err();
  EXPECT_EQ(On({"table", "put", "user", "1=1,2"}), 4) << Err();
  EXPECT_EQ(On({"table", "put", "user", "1=1,x"}), 3);
  EXPECT_EQ(On({"table", "evict", "user"}), 4) << Err();
  EXPECT_EQ(On({"table", "evict", "user", "5"}), 4) << Err();
}

TEST_F(TableServerCliTest, SegmentsOfAnotherFormAreRefused) {
  EXPECT_EQ(On({"table", "create", "item"}), 3);
  EXPECT_THAT(Err(), HasSubstr("--segment is missing"));
  EXPECT_EQ(On({"table", "create", "item", "--segment=x"}), 3);
  EXPECT_EQ(On({"table", "create", "item", "--segment=2,optimiser=sgd"}), 3);
  EXPECT_THAT(Err(), HasSubstr("'optimiser=sgd' in a segment"));
  EXPECT_EQ(On({"table", "create", "item", "--segment=2,optimizer=sdg"}), 3) << Err();
}

TEST_F(TableServerCliTest, ATableIsMadeFilledSavedAndRestored) {
  ASSERT_EQ(On({"table", "create", "item", "--segment=2,optimizer=adagrad",
                "--segment=1,optimizer=ftrl,optimizer.beta=1"}),
            0)
      << Err();
  ASSERT_EQ(On({"table", "put", "item", "7=1,2,3", "8=4,5,6", "--time=50"}), 0) << Err();
  ASSERT_EQ(On({"table", "get", "item", "7"}), 0) << Err();
  EXPECT_THAT(Out(), AllOf(HasSubstr("adagrad"), HasSubstr("ftrl")));
  EXPECT_EQ(On({"table", "save"}), 3);
  EXPECT_THAT(Err(), HasSubstr("--step is missing"));
  ASSERT_EQ(On({"table", "save", "--step=3", "--json"}), 0) << Err();
  EXPECT_EQ(OutJson()["rows"], 2);
  EXPECT_EQ(OutJson()["published"], true);
  ASSERT_EQ(On({"table", "evict", "item", "7"}), 0) << Err();
  EXPECT_EQ(On({"table", "get", "item", "7"}), 4);
  EXPECT_EQ(On({"table", "diff", JoinPath(files_.path(), "model")}), 1) << Err();
  ASSERT_EQ(On({"table", "restore"}), 0) << Err();
  EXPECT_THAT(Out(), HasSubstr("2 rows of 1 tables (item) restored from"));
  EXPECT_EQ(On({"table", "get", "item", "7"}), 0) << Err();
  EXPECT_EQ(On({"table", "diff", JoinPath(files_.path(), "model")}), 0) << Out() << Err();
}

// Rows beyond the budget of memory lie on disk, and are shown and counted with the others.
TEST_F(TableServerCliTest, ATableOfTwoTiersTellsWhereItsRowsAre) {
  ASSERT_EQ(On({"table", "create", "item", "--segment=16", "--memory-budget=100000"}), 0) << Err();
  const std::string values = "=1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16";
  for (int from = 0; from < 20'000; from += 5000) {
    std::vector<std::string> put = {"table", "put", "item", "--time=50"};
    for (int id = from; id < from + 5000; ++id) put.push_back(StrCat(id, values));
    ASSERT_EQ(On(std::move(put)), 0) << Err();
  }
  ASSERT_EQ(On({"table", "stat", "--json"}), 0) << Err();
  const Json table = OutJson()["tables"][0];
  EXPECT_EQ(table["rows"], 20'000);
  const Json& cold = table["cold"];
  EXPECT_EQ(cold["hot_rows"].get<int>() + cold["cold_rows"].get<int>(), 20'000);
  EXPECT_GT(cold["cold_rows"], 10'000);
  EXPECT_GT(cold["demotions"], 10'000);
  EXPECT_EQ(cold["read_errors"], 0);
  ASSERT_EQ(On({"table", "stat"}), 0) << Err();
  EXPECT_THAT(Out(), AllOf(HasSubstr("two tiers"),
                           HasSubstr(std::to_string(cold["cold_rows"].get<int>()))));
  ASSERT_EQ(On({"table", "get", "item", "0", "--json"}), 0) << Err();
  EXPECT_EQ(OutJson()["rows"][0]["id"], 0);
}

// Two servers of one model.
class TableShardsCliTest : public CliTest {
 protected:
  TableShardsCliTest() {
    for (int shard = 0; shard < 2; ++shard) {
      services::EmbeddedFleet::Options options;
      options.process.listen = {"127.0.0.1:0"};
      options.fleet.tables.checkpoint_dir = JoinPath(files_.path(), "model");
      options.fleet.tables.shards = 2;
      options.fleet.tables.shard = shard;
      fleets_.push_back(
          *services::EmbeddedFleet::Start(std::move(options), testing::FakeEngines(&world_)));
    }
  }
  int On(std::vector<std::string> words) {
    words.push_back(StrCat("--address=", fleets_[0]->server().addresses()[0], ",",
                           fleets_[1]->server().addresses()[0]));
    return Run(words);
  }
  testing::FakeWorld world_;
  std::vector<std::unique_ptr<services::EmbeddedFleet>> fleets_;
};

TEST_F(TableShardsCliTest, CommandsSpeakToAllServers) {
  ASSERT_EQ(On({"table", "create", "item", "--segment=1"}), 0) << Err();
  ASSERT_EQ(On({"table", "put", "item", "1=1", "2=2", "3=3", "4=4", "5=5", "6=6", "--time=50"}), 0)
      << Err();
  EXPECT_THAT(Out(), HasSubstr("6 rows written"));
  ASSERT_EQ(On({"table", "ls", "--json"}), 0) << Err();
  EXPECT_EQ(OutJson()["tables"].size(), 1u);
  EXPECT_EQ(OutJson()["tables"][0]["rows"], 6);
  ASSERT_EQ(On({"table", "stat", "--json"}), 0) << Err();
  EXPECT_EQ(OutJson()["tables"][0]["updates"], 6);
  ASSERT_EQ(On({"table", "get", "item", "3", "2", "--json"}), 0) << Err();
  EXPECT_EQ(OutJson()["rows"][0]["id"], 3);
  EXPECT_EQ(OutJson()["rows"][1]["id"], 2);
  ASSERT_EQ(On({"table", "export", "item", "--format=tsv", "-o", JoinPath(files_.path(), "x")}), 0)
      << Err();
  EXPECT_EQ(*RealFileSystem().Read(JoinPath(files_.path(), "x.tsv")),
            "id\tupdate_time\tv0\n1\t50\t1\n2\t50\t2\n3\t50\t3\n"
            "4\t50\t4\n5\t50\t5\n6\t50\t6\n");
  // The first save after a start is a whole one, whatever was asked for.
  ASSERT_EQ(On({"table", "save", "--step=1", "--delta", "--json"}), 0) << Err();
  EXPECT_EQ(OutJson()["delta"], false);
  EXPECT_EQ(OutJson()["published"], true);
  EXPECT_EQ(OutJson()["rows"], 6);
  ASSERT_EQ(On({"table", "put", "item", "2=20", "--time=60"}), 0) << Err();
  ASSERT_EQ(On({"table", "save", "--step=2", "--delta", "--json"}), 0) << Err();
  EXPECT_EQ(OutJson()["delta"], true);
  EXPECT_EQ(OutJson()["published"], true);
  EXPECT_EQ(OutJson()["rows"], 1);
  ASSERT_EQ(On({"table", "evict", "item", "1", "2"}), 0) << Err();
  EXPECT_THAT(Out(), HasSubstr("2 rows dropped"));
  EXPECT_EQ(On({"table", "diff", JoinPath(files_.path(), "model")}), 1) << Err();
  EXPECT_THAT(Out(), HasSubstr("only on the left: 2"));
  ASSERT_EQ(On({"table", "restore", "--json"}), 0) << Err();
  EXPECT_EQ(OutJson()["step"], 2);
  EXPECT_EQ(On({"table", "diff", JoinPath(files_.path(), "model")}), 0) << Out() << Err();
  EXPECT_EQ(Run({"table", "ls", "--address=127.0.0.1:1,,"}), 3);
}

}  // namespace
}  // namespace megalith::cli
