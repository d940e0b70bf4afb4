#include "common/fleet/agent/model_servers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/fleet/agent/serving_text.h"
#include "common/foundation/base/strings.h"

namespace megalith::agent {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class ModelServersTest : public ::testing::Test {
 protected:
  ModelServersTest() {
    options_.data_directory = directory_.path();
    options_.home = JoinPath(directory_.path(), "home");
    config_.base_path = "/models";
    config_.shard_id = 0;
    config_.deploy_type = DeployType::kMixed;
    config_.agent_port = 99;
    config_.serving = {{"platform_config_file", ""}};
  }
  void Touch(const std::string& path) {
    ASSERT_TRUE(RealFileSystem().MakeDirectory(path.substr(0, path.rfind('/'))).ok());
    ASSERT_TRUE(RealFileSystem().WriteAtomically(path, "").ok());
  }
  std::string Read(const std::string& path) {
    const auto text = RealFileSystem().Read(path);
    return text.ok() ? *text : "";
  }
  TempDirectory directory_;
  AgentConfig config_;
  ModelServerOptions options_;
};

TEST_F(ModelServersTest, BinaryIsTheFirstThatIsThere) {
  EXPECT_EQ(ModelServerBinary(config_, options_), "");
  options_.ours = JoinPath(directory_.path(), "megalith-execute");
  EXPECT_EQ(ModelServerBinary(config_, options_), "");
  Touch(options_.ours);
  EXPECT_EQ(ModelServerBinary(config_, options_), options_.ours);
  const std::string theirs = JoinPath(options_.home, "bin/tensorflow_model_server");
  Touch(theirs);
  EXPECT_EQ(ModelServerBinary(config_, options_), theirs);
  config_.serving_binary = "/b";
  EXPECT_EQ(ModelServerBinary(config_, options_), "/b");
  options_.binary = "/c";
  EXPECT_EQ(ModelServerBinary(config_, options_), "/c");
  options_.binary = "none";
  EXPECT_EQ(ModelServerBinary(config_, options_), "");
}

TEST_F(ModelServersTest, ServersOfVersion1HaveTheirModelsAndFiles) {
  const std::string binary = JoinPath(options_.home, "bin/tensorflow_model_server");
  Touch(binary);
  Touch(JoinPath(options_.home, "conf/x"));
  bool asked = false;
  const auto specs = *PlanModelServers(config_, options_, binary, [&] { return asked = true; });
  ASSERT_EQ(specs.size(), 2u);
  EXPECT_EQ(specs[0].name, "ps");
  EXPECT_EQ(specs[0].directory, JoinPath(options_.home, "bin"));
  EXPECT_EQ(specs[0].output, "/var/log/ps_tfs.std.log");
  EXPECT_FALSE(specs[0].may_start);
  EXPECT_THAT(specs[0].environment, IsEmpty());
  const std::string file = JoinPath(directory_.path(), "models_ps.config");
  EXPECT_THAT(specs[0].command, Contains("--model_config_file=" + file));
  EXPECT_EQ(Read(file), *ModelConfigText(*ModelsOf(config_, "ps")));
  EXPECT_EQ(Read(JoinPath(options_.home, "conf/platform_config_file.cfg")),
            PlatformConfigText(config_));
  EXPECT_EQ(specs[1].name, "entry");
  EXPECT_EQ(specs[1].environment.at("PORT2"), "99");
  EXPECT_TRUE(specs[1].may_start() && asked);
}

TEST_F(ModelServersTest, OursTakesItsOwnCommand) {
  config_.deploy_type = DeployType::kUnified;
  config_.agent_version = 3;
  config_.inherit_output = true;
  const auto specs = *PlanModelServers(config_, options_, "/x/megalith-execute", nullptr);
  ASSERT_EQ(specs.size(), 1u);
  EXPECT_THAT(Join(specs[0].command, " "), HasSubstr("--listen=[::]:"));
  EXPECT_EQ(specs[0].output, "");
  EXPECT_EQ(specs[0].directory, "");
  // Whoever follows the layout writes it.
  EXPECT_EQ(Read(ModelConfigFile(options_, "unified")), "");
}

TEST_F(ModelServersTest, MissingFolderOfModelsIsAnError) {
  config_.base_path = "";
  EXPECT_THAT(PlanModelServers(config_, options_, "/b", nullptr).status().ToString(),
              HasSubstr("base_path"));
}

// A server that reads an old file would be worse than one that finds none.
TEST_F(ModelServersTest, PlatformFileThatCannotBeWrittenIsNoError) {
  config_.serving[0].value = JoinPath(directory_.path(), "none/platform.cfg");
  EXPECT_TRUE(PlanModelServers(config_, options_, "/b", nullptr).ok());
}

}  // namespace
}  // namespace megalith::agent
