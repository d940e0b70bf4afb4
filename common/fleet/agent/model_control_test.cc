#include "common/fleet/agent/model_control.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace megalith::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class FakeControl final : public ModelControl {
 public:
  Result<std::vector<ModelVersion>> GetModelStatus(const std::string& type,
                                                   const std::string& model) override {
    asked.push_back(type + " " + model);
    if (model == "m:ps_1") return Unavailable("nobody listens");
    if (model == "m:ps_2") return std::vector<ModelVersion>();
    return std::vector<ModelVersion>{{.version = 7, .state = 30}, {.version = 9, .state = 20}};
  }
  Status Reload(const std::string& type, const std::vector<ModelEntry>& models) override {
    for (const ModelEntry& m : models) reloaded.push_back(type + " " + m.name + " " + m.base_path);
    return OkStatus();
  }
  std::vector<std::string> asked;
  std::vector<std::string> reloaded;
};

discovery::PublishMeta Publish() {
  discovery::PublishMeta publish;
  publish.model_name = "m";
  publish.sub_models = {{"ps_0", "/x/ps_0/7"},   {"ps_1", "/x/ps_1/7"},
                        {"ps_2", "/x/ps_2/7"},   {"ps_3", "/x/ps_3/latest"},
                        {"entry", "/x/entry/7"}, {"dense_0", "/x/dense_0/7"},
                        {"other", "/x/other/7"}};
  return publish;
}

AgentConfig Mixed() {
  AgentConfig config;
  config.deploy_type = DeployType::kMixed;
  return config;
}

TEST(ServerTypeOfTest, DeployTypeDecides) {
  AgentConfig config = Mixed();
  EXPECT_EQ(ServerTypeOf(config, "ps_1"), "ps");
  EXPECT_EQ(ServerTypeOf(config, "entry"), "entry");
  EXPECT_EQ(ServerTypeOf(config, "dense_0"), "dense");
  EXPECT_EQ(ServerTypeOf(config, "x"), "");
  config.deploy_type = DeployType::kEntry;
  EXPECT_EQ(ServerTypeOf(config, "ps_1"), "");
  EXPECT_EQ(ServerTypeOf(config, "entry"), "entry");
}

// Spec 10.
TEST(StatusOfTest, StatesAreMappedAsTheReferenceDoes) {
  FakeControl control;
  const auto states = StatusOf(Mixed(), Publish(), false, control);
  ASSERT_EQ(states.size(), 5u);
  EXPECT_EQ(states.at("m:ps_0").version.version, 7);
  EXPECT_EQ(states.at("m:ps_0").version.state, 30);
  EXPECT_EQ(states.at("m:ps_0").version_path, "/x/ps_0/7");
  EXPECT_EQ(states.at("m:ps_1").version.state, 0);
  EXPECT_EQ(states.at("m:ps_1").version.error_code, static_cast<int64_t>(Code::kUnavailable));
  EXPECT_EQ(states.at("m:ps_1").version.error, "nobody listens");
  EXPECT_EQ(states.at("m:ps_2").version.error_code, static_cast<int64_t>(Code::kNotFound));
  EXPECT_EQ(states.at("m:ps_2").version.error, "m:ps_2 not found");
  // The dense node takes the highest version unless it is fixed.
  EXPECT_EQ(states.at("m:entry").version.version, 9);
  EXPECT_EQ(StatusOf(Mixed(), Publish(), true, control).at("m:entry").version.version, 7);
}

TEST(ConfigsOfTest, DenseNodeFollowsTheLatestAndOthersAreFixed) {
  AgentConfig config = Mixed();
  discovery::PublishMeta unload = Publish();
  unload.ptype = discovery::PublishMeta::kUnload;
  auto configs = ConfigsOf(config, {Publish(), unload}, false);
  EXPECT_THAT(configs.at("ps"), ElementsAre(ModelEntry{"m:ps_0", "/x/ps_0", "specific", {7}},
                                            ModelEntry{"m:ps_1", "/x/ps_1", "specific", {7}},
                                            ModelEntry{"m:ps_2", "/x/ps_2", "specific", {7}}));
  EXPECT_THAT(configs.at("entry"), ElementsAre(ModelEntry{"m:entry", "/x/entry", "latest", {1}}));
  EXPECT_FALSE(configs.contains("dense"));
  config.dense_alone = true;
  configs = ConfigsOf(config, {Publish()}, false);
  EXPECT_THAT(configs.at("dense"),
              ElementsAre(ModelEntry{"m:dense_0", "/x/dense_0", "latest", {1}}));
  EXPECT_THAT(configs.at("entry"), ElementsAre(ModelEntry{"m:entry", "/x/entry", "specific", {7}}));
  EXPECT_THAT(ConfigsOf(config, {}, false).at("ps"), IsEmpty());
}

TEST(QueriesOfTest, PathsWithoutAVersionAreCounted) {
  size_t skipped = 0;
  QueriesOf(Mixed(), Publish(), false, &skipped);
  EXPECT_EQ(skipped, 1u);
  EXPECT_THAT(QueriesOf(Mixed(), {}, false), IsEmpty());
}

TEST(ReloadWithDefaultTest, ServerAlwaysHasADefaultModel) {
  FakeControl control;
  ASSERT_TRUE(ReloadWithDefault("ps", {{.name = "m:ps_0", .base_path = "/x"}}, control).ok());
  ASSERT_TRUE(ReloadWithDefault("entry", {{.name = "default", .base_path = "/d"}}, control).ok());
  EXPECT_THAT(
      control.reloaded,
      ElementsAre("ps m:ps_0 /x", "ps default /opt/tiger/monolith_serving/dat/saved_models/entry",
                  "entry default /d"));
}

}  // namespace
}  // namespace megalith::agent
