#include "common/fleet/agent/scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "common/foundation/base/strings.h"

namespace megalith::agent {
namespace {

using discovery::PublishMeta;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

WantedModel Model(const std::string& name, int64_t num_ps, int64_t groups, int64_t ps_bytes = 10,
                  int64_t version = 7) {
  WantedModel out{.name = name, .num_groups = groups};
  for (int64_t k = 0; k < num_ps; ++k) {
    out.sub_models.push_back(
        {StrCat("ps_", k), ps_bytes, StrCat("/", name, "/ps_", k, "/", version)});
  }
  out.sub_models.push_back({"entry", 1, StrCat("/", name, "/entry/", version)});
  return out;
}

std::vector<LiveReplica> Replicas(int64_t shards, int64_t each, int64_t memory = 1000) {
  std::vector<LiveReplica> out;
  for (int64_t s = 0; s < shards; ++s) {
    for (int64_t r = 0; r < each; ++r) out.push_back({.shard = s, .replica = r, .memory = memory});
  }
  return out;
}

std::string Parts(const PublishMeta& publish) {
  std::string out;
  for (const auto& [name, path] : *publish.sub_models) StrAppend(&out, name, " ");
  return out;
}

std::vector<PublishMeta> All(const Schedule& schedule) {
  std::vector<PublishMeta> out;
  for (const auto& [name, publishes] : schedule.publishes) {
    out.insert(out.end(), publishes.begin(), publishes.end());
  }
  return out;
}

std::set<int64_t> ShardsOf(const std::vector<PublishMeta>& publishes) {
  std::set<int64_t> out;
  for (const PublishMeta& publish : publishes) out.insert(*publish.shard_id);
  return out;
}

// What the reference's test shows (spec 7): 10 ps in 5 groups over 10 shards, 3 replicas each.
TEST(MakeScheduleTest, GroupsAreTheReferences) {
  const Schedule schedule = MakeSchedule({Model("m", 10, 5)}, Replicas(10, 3), {});
  const auto& publishes = schedule.publishes.at("m");
  ASSERT_EQ(publishes.size(), 15u);
  EXPECT_EQ(ShardsOf(publishes).size(), 5u);
  std::set<std::string> groups;
  for (const PublishMeta& publish : publishes) {
    EXPECT_EQ(publish.total_publish_num, 15);
    EXPECT_EQ(publish.num_ps, 10);
    EXPECT_FALSE(publish.is_spec);
    groups.insert(Parts(publish));
  }
  EXPECT_THAT(groups, ElementsAre("ps_0 ps_5 entry ", "ps_1 ps_6 entry ", "ps_2 ps_7 entry ",
                                  "ps_3 ps_8 entry ", "ps_4 ps_9 entry "));
  EXPECT_EQ(publishes[0].sub_models->back().second, "/m/entry/7");
}

TEST(MakeScheduleTest, MemoryDecidesWhereAndTheSmallestReplicaCounts) {
  std::vector<LiveReplica> replicas = Replicas(3, 2, 100);
  replicas[2].memory = 30;  // shard 1
  replicas[5].memory = 60;  // shard 2
  const Schedule schedule =
      MakeSchedule({Model("a", 1, 1, 50), Model("b", 1, 1, 50)}, replicas, {});
  EXPECT_THAT(ShardsOf(schedule.publishes.at("a")), ElementsAre(0));
  EXPECT_THAT(ShardsOf(schedule.publishes.at("b")), ElementsAre(2));
  const Schedule full = MakeSchedule({Model("c", 1, 1, 500)}, replicas, All(schedule));
  EXPECT_THAT(full.unplaced.at("c").ToString(), HasSubstr("no shard has 501 bytes left for ps_0"));
  EXPECT_FALSE(full.publishes.contains("c"));
}

TEST(MakeScheduleTest, GroupsOfAModelSpreadBeforeTheyShare) {
  const Schedule spread = MakeSchedule({Model("m", 4, 4)}, Replicas(4, 1), {});
  EXPECT_EQ(ShardsOf(spread.publishes.at("m")).size(), 4u);
  const Schedule shared = MakeSchedule({Model("m", 4, 4)}, Replicas(2, 1), {});
  ASSERT_EQ(shared.publishes.at("m").size(), 2u);
  // One node for each container, which carries entry once.
  EXPECT_EQ(shared.publishes.at("m")[0].sub_models->size(), 3u);
  EXPECT_EQ(shared.publishes.at("m")[0].sub_models->back().first, "entry");
}

TEST(MakeScheduleTest, WhatIsPublishedStaysWhereItIs) {
  const auto wanted = std::vector<WantedModel>{Model("m", 4, 2)};
  const Schedule first = MakeSchedule(wanted, Replicas(3, 2), {});
  std::vector<LiveReplica> fewer = Replicas(3, 2, 0);  // loaded: nothing is left
  fewer.pop_back();
  EXPECT_EQ(MakeSchedule(wanted, fewer, All(first)).publishes, first.publishes);
  // A new version takes the same shards.
  const Schedule next = MakeSchedule({Model("m", 4, 2, 10, 8)}, Replicas(3, 2), All(first));
  EXPECT_EQ(ShardsOf(next.publishes.at("m")), ShardsOf(first.publishes.at("m")));
  EXPECT_THAT(next.publishes.at("m")[0].sub_models->front().second, HasSubstr("/8"));
}

TEST(MakeScheduleTest, GroupsMoveWhenTheirShardDies) {
  const auto wanted = std::vector<WantedModel>{Model("m", 4, 2)};
  const Schedule first = MakeSchedule(wanted, Replicas(2, 2), {});
  ASSERT_THAT(ShardsOf(first.publishes.at("m")), ElementsAre(0, 1));
  std::vector<LiveReplica> left = Replicas(3, 2);
  std::erase_if(left, [](const LiveReplica& replica) { return replica.shard == 0; });
  const Schedule moved = MakeSchedule(wanted, left, All(first));
  EXPECT_THAT(ShardsOf(moved.publishes.at("m")), ElementsAre(1, 2));
  // The shard that lives keeps its parts.
  const auto on = [](const Schedule& schedule, int64_t shard) {
    for (const PublishMeta& publish : schedule.publishes.at("m")) {
      if (publish.shard_id == shard) return Parts(publish);
    }
    return std::string();
  };
  EXPECT_EQ(on(moved, 1), on(first, 1));
  EXPECT_EQ(on(moved, 2), on(first, 0));
  // Nowhere to go: what is published stays.
  const Schedule stuck = MakeSchedule(wanted, {}, All(first));
  EXPECT_EQ(stuck.publishes, first.publishes);
  EXPECT_EQ(stuck.unplaced.at("m").code(), Code::kUnavailable);
}

// Found by fuzzing: one node of several had another count, and was left so.
TEST(MakeScheduleTest, PublishesThatDisagreeAboutTheirNumberAreWrittenAnew) {
  const std::vector<WantedModel> wanted = {Model("m", 2, 2)};
  const Schedule whole = MakeSchedule(wanted, Replicas(2, 1), {});
  std::vector<PublishMeta> current = All(whole);
  current.back().total_publish_num = 9;
  EXPECT_EQ(MakeSchedule(wanted, Replicas(2, 1), current).publishes, whole.publishes);
}

TEST(MakeScheduleTest, PublishedButNotLoadedIsOwed) {
  const Schedule first = MakeSchedule({Model("a", 1, 1, 60)}, Replicas(1, 1, 100), {});
  std::vector<LiveReplica> replicas = Replicas(1, 1, 100);
  const std::vector<WantedModel> both = {Model("a", 1, 1, 60), Model("b", 1, 1, 60)};
  EXPECT_TRUE(MakeSchedule(both, replicas, All(first)).unplaced.contains("b"));
  replicas[0].loaded = {"a"};
  EXPECT_FALSE(MakeSchedule(both, replicas, All(first)).unplaced.contains("b"));
}

TEST(MakeScheduleTest, SpecialReplicasAreTheOnlyOnes) {
  WantedModel model = Model("m", 2, 1);
  model.spec_replicas = {"1:0"};
  const Schedule schedule = MakeSchedule({model}, Replicas(2, 2), {});
  ASSERT_EQ(schedule.publishes.at("m").size(), 1u);
  EXPECT_EQ(schedule.publishes.at("m")[0].shard_id, 1);
  EXPECT_TRUE(schedule.publishes.at("m")[0].is_spec);
}

TEST(MakeScheduleTest, ModelsThatCannotBePublishedSayWhy) {
  WantedModel negative = Model("n", 1, 1, -5);
  const Schedule schedule =
      MakeSchedule({{.name = "e"}, negative, Model("h", 1, 1, INT64_MAX)}, Replicas(1, 1), {});
  EXPECT_EQ(schedule.unplaced.size(), 3u);
  EXPECT_EQ(schedule.unplaced.at("e").code(), Code::kInvalidArgument);
  EXPECT_EQ(schedule.unplaced.at("h").code(), Code::kResourceExhausted);
  EXPECT_THAT(schedule.publishes, IsEmpty());
}

// Whatever happens, every placed model is whole, counts its publishes, and fits.
TEST(MakeScheduleTest, RandomHistoriesKeepTheInvariants) {
  for (uint32_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(StrCat("seed ", seed));
    std::mt19937 random(seed);
    const auto below = [&](int n) {
      return static_cast<int64_t>(random() % static_cast<unsigned>(n));
    };
    std::vector<WantedModel> wanted;
    for (int64_t i = 0; i <= below(4); ++i) {
      wanted.push_back(Model(StrCat("m", i), below(9), below(5) - 1, 1 + below(40)));
    }
    std::vector<PublishMeta> current;
    for (int step = 0; step < 4; ++step) {
      std::vector<LiveReplica> replicas = Replicas(1 + below(4), 1 + below(3), 200);
      std::erase_if(replicas, [&](const LiveReplica&) { return below(4) == 0; });
      const Schedule schedule = MakeSchedule(wanted, replicas, current);
      for (const WantedModel& model : wanted) {
        if (schedule.unplaced.contains(model.name)) continue;
        const auto& publishes = schedule.publishes.at(model.name);
        std::set<std::string> live;
        std::set<std::pair<int64_t, int64_t>> nodes;
        for (const PublishMeta& publish : publishes) {
          EXPECT_EQ(publish.total_publish_num, static_cast<int64_t>(publishes.size()));
          EXPECT_TRUE(nodes.insert({*publish.shard_id, publish.replica_id}).second);
          const bool alive = std::any_of(replicas.begin(), replicas.end(), [&](const auto& r) {
            return r.shard == *publish.shard_id;
          });
          for (const auto& [name, path] : *publish.sub_models) {
            if (alive) live.insert(name);
          }
        }
        EXPECT_EQ(live.size(), model.sub_models.size());
      }
      EXPECT_EQ(MakeSchedule(wanted, replicas, All(schedule)).publishes, schedule.publishes);
      current = All(schedule);
    }
  }
}

TEST(ExpectedLoadingTest, OwnThenSiblingThenEntry) {
  const std::vector<PublishMeta> publishes =
      All(MakeSchedule({Model("m", 4, 2)}, Replicas(2, 2), {}));
  EXPECT_EQ(Parts(ExpectedLoading(publishes, 0, 1, {}).at("m")), "ps_0 ps_2 entry ");
  // A replica that came later takes what its shard has.
  const PublishMeta late = ExpectedLoading(publishes, 1, 9, {}).at("m");
  EXPECT_EQ(Parts(late), "ps_1 ps_3 entry ");
  EXPECT_EQ(late.replica_id, 9);
  const PublishMeta entry = ExpectedLoading(publishes, -1, 5, {}).at("m");
  EXPECT_EQ(Parts(entry), "entry ");
  EXPECT_EQ(entry.shard_id, -1);
}

TEST(ExpectedLoadingTest, SpecialPublishesAreForTheirReplicasOnly) {
  WantedModel model = Model("m", 1, 1);
  model.spec_replicas = {"0:0"};
  const auto publishes = All(MakeSchedule({model}, Replicas(1, 2), {}));
  EXPECT_EQ(Parts(ExpectedLoading(publishes, 0, 0, {}).at("m")), "ps_0 entry ");
  EXPECT_EQ(Parts(ExpectedLoading(publishes, 0, 1, {}).at("m")), "entry ");
}

TEST(ExpectedLoadingTest, WhatIsLoadedStaysWhilePublishesAreOnTheirWay) {
  auto publishes = All(MakeSchedule({Model("m", 2, 2)}, Replicas(2, 1), {}));
  const auto whole = ExpectedLoading(publishes, 0, 0, {});
  publishes.pop_back();
  EXPECT_THAT(ExpectedLoading(publishes, 0, 0, {}), IsEmpty());
  EXPECT_EQ(ExpectedLoading(publishes, 0, 0, whole), whole);
  EXPECT_THAT(ExpectedLoading({}, 0, 0, whole), IsEmpty());
  publishes[0].ptype = PublishMeta::kUnload;
  EXPECT_THAT(ExpectedLoading(publishes, 0, 0, whole), IsEmpty());
}

}  // namespace
}  // namespace megalith::agent
