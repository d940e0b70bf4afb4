#include "common/fleet/agent/serving_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace megalith::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

std::vector<std::string> Names(const std::vector<ModelEntry>& models) {
  std::vector<std::string> out;
  for (const ModelEntry& model : models) out.push_back(model.name + " " + model.base_path);
  return out;
}

// Spec 8.4.
TEST(ModelConfigTextTest, IsTheReferences) {
  EXPECT_EQ(
      *ModelConfigText(
          {{.name = "m:entry", .base_path = "/a \"b\""},
           {.name = "ps_0", .base_path = "/p", .version_policy = "ALL"},
           {.name = "ps_1", .base_path = "/p", .version_policy = "specific", .versions = {3, 5}}}),
      R"(model_config_list {
  config {
    name: "m:entry"
    base_path: "/a \"b\""
    model_platform: "tensorflow"
    model_version_policy {
      latest {
        num_versions: 1
      }
    }
  }
  config {
    name: "ps_0"
    base_path: "/p"
    model_platform: "tensorflow"
    model_version_policy {
      all {
      }
    }
  }
  config {
    name: "ps_1"
    base_path: "/p"
    model_platform: "tensorflow"
    model_version_policy {
      specific {
        versions: 3
        versions: 5
      }
    }
  }
}
)");
  EXPECT_EQ(*ModelConfigText({}), "model_config_list {\n}\n");
}

// D2.
TEST(ModelConfigTextTest, LatestOnceIsWrittenAndOtherPoliciesAreErrors) {
  EXPECT_THAT(*ModelConfigText({{.name = "p", .base_path = "", .version_policy = "latest_once"}}),
              HasSubstr("      latest_once {\n        num_versions: 1\n      }\n"));
  EXPECT_THAT(ModelConfigText({{.name = "p", .base_path = "", .version_policy = "newest"}})
                  .status()
                  .ToString(),
              HasSubstr("'newest' is none of"));
  EXPECT_FALSE(ModelConfigText({{.name = "p", .base_path = "", .versions = {1, 2}}}).ok());
}

TEST(ModelsOfTest, ServersLoadTheirShards) {
  AgentConfig config;
  config.base_path = "/m";
  config.num_ps = 5;
  config.num_shard = 2;
  config.shard_id = 1;
  EXPECT_THAT(Names(*ModelsOf(config, "ps")), ElementsAre("ps_1 /m/ps_1", "ps_3 /m/ps_3"));
  EXPECT_THAT(Names(*ModelsOf(config, "entry")), ElementsAre("entry /m/entry"));
  EXPECT_THAT(Names(*ModelsOf(config, "dense")), ElementsAre("dense_0 /m/dense_0"));
  config.version_data = "many";
  EXPECT_FALSE(ModelsOf(config, "ps").ok());
}

TEST(ModelsOfTest, RoughSortModelIsLoadedBesideTheServersOwn) {
  AgentConfig config;
  config.base_path = "/m";
  config.shard_id = 0;
  config.rough_sort_model_name = "r";
  config.rough_sort_model_local_path = "/l";
  EXPECT_THAT(Names(*ModelsOf(config, "entry")),
              ElementsAre("entry /m/entry", "entry_item_embedding_0 /l/r/entry_item_embedding_0"));
  EXPECT_THAT(Names(*ModelsOf(config, "ps")), ElementsAre("ps_0 /m/ps_0"));
  config.rough_sort_resource_constrained = true;
  EXPECT_THAT(Names(*ModelsOf(config, "entry")),
              ElementsAre("entry /m/entry", "entry_item_embedding_0 /m/entry_item_embedding_0"));
  config.rough_sort_model_loaded_server = "ps";
  EXPECT_THAT(Names(*ModelsOf(config, "ps")),
              ElementsAre("ps_0 /m/ps_0", "ps_item_embedding_0 /l/r/ps_item_embedding_0"));
}

TEST(ParseVersionDataTest, NumbersAndLists) {
  EXPECT_THAT(*ParseVersionData("2"), ElementsAre(2));
  EXPECT_THAT(*ParseVersionData("[1, 2,3]"), ElementsAre(1, 2, 3));
  for (const char* text : {"", "a", "-1", "1,,2", "1e99"})
    EXPECT_FALSE(ParseVersionData(text).ok());
}

// Spec 8.5.
TEST(PlatformConfigTextTest, IsTheReferences) {
  AgentConfig config;
  config.serving = {{"enable_batching", "false"},
                    {"allow_growth", "true"},
                    {"enable_model_warmup", "true"},
                    {"tensorflow_inter_op_parallelism", "4"}};
  EXPECT_EQ(PlatformConfigText(config), R"(platform_configs {
  key: "tensorflow"
  value {
    source_adapter_config {
      [type.googleapis.com/tensorflow.serving.SavedModelBundleSourceAdapterConfig] {
        legacy_config {
          session_config {
            intra_op_parallelism_threads: 16
            inter_op_parallelism_threads: 4
            gpu_options {
              allow_growth: true
            }
            allow_soft_placement: true
          }
          enable_model_warmup: true
        }
      }
    }
  }
}
)");
  config.serving[0].value = "true";
  EXPECT_THAT(PlatformConfigText(config), Not(HasSubstr("batching_parameters")));
  config.dense_alone = true;
  config.cpu_limit = 8;
  EXPECT_THAT(PlatformConfigText(config), HasSubstr("intra_op_parallelism_threads: 8"));
  EXPECT_THAT(PlatformConfigText(config),
              HasSubstr("            num_batch_threads {\n              value: 8\n            }\n"
                        "            support_diff_dim_size_inputs: true\n          }\n"
                        "          enable_model_warmup"));
}

}  // namespace
}  // namespace megalith::agent
