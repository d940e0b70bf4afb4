#include "common/fleet/agent/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/fleet/agent/expression.h"
#include "common/fleet/agent/md5.h"

namespace megalith::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class AgentConfigTest : public ::testing::Test {
 protected:
  std::string Write(const std::string& name, std::string_view text) {
    const std::string path = JoinPath(directory_.path(), name);
    EXPECT_TRUE(RealFileSystem().WriteAtomically(path, text).ok());
    return path;
  }
  Result<AgentConfig> Load(std::string_view text, const Environment& environment = {}) {
    int next = 20000;
    const HostFacts host{.free_port = [&next] { return next++; }, .ipv4 = "10.0.0.9", .ipv6 = ""};
    return LoadAgentConfig(Write("agent.conf", text), environment, host, RealFileSystem());
  }
  TempDirectory directory_;
};

TEST_F(AgentConfigTest, GrammarIsTheReferences) {
  const std::string more = Write("more.conf", "num_ps=7\n");
  const AgentConfig config = *Load(
      "# a comment\n\n"
      "deploy_type\tps # trailing\n"
      "bzid = b1\nbase_name  my_model\n"
      "include " +
      more +
      "\n"
      "load_retry_interval_micros 60 * 1000 * 1000\n"
      "max_num_load_retries 2*(3+4)\n"
      "layout_pattern none\n"
      "unknown_key whatever\n"
      "dc_aware Yes\n");
  EXPECT_EQ(config.deploy_type, DeployType::kPs);
  EXPECT_EQ(config.bzid, "b1");
  EXPECT_EQ(config.base_name, "my_model");
  EXPECT_EQ(config.num_ps, 7);
  EXPECT_EQ(config.layout_pattern, "");
  EXPECT_TRUE(config.dc_aware);
  EXPECT_EQ(config.Option("load_retry_interval_micros")->value, "60000000");
  EXPECT_FALSE(config.Option("load_retry_interval_micros")->changed);
  EXPECT_EQ(config.Option("max_num_load_retries")->value, "14");
  EXPECT_TRUE(config.Option("max_num_load_retries")->changed);
}

// D5.
TEST_F(AgentConfigTest, EveryRepetitionOfAListIsKept) {
  EXPECT_THAT(Load("deploy_type unified\nlayout_filters a;True\nlayout_filters b;True\n"
                   "layout_filters c;True\n")
                  ->layout_filters,
              ElementsAre("a;True", "b;True", "c;True"));
}

TEST_F(AgentConfigTest, ErrorsNameTheLine) {
  const std::pair<const char*, const char*> cases[] = {
      {"deploy_type ps\ndc_aware ture\n", "line 2: dc_aware expects true"},
      {"deploy_type ps\nnum_ps 1\nnum_ps 2\n", "line 3: num_ps was given before"},
      {"deploy_type ps\nnum_ps many\n", "line 2: num_ps expects a number"},
      {"deploy_type ps\nnum_load_threads 1/0\n", "line 2: num_load_threads expects a number"},
      {"deploy_type ps\nagent_port 70000\n", "line 2: agent_port expects a port"},
      {"deploy_type\n", "line 1: expects 'key value'"},
      {"include\n", "line 1: expects 'include FILE'"},
      {"include /does/not/exist\n", "line 1"},
      {"bzid b\n", "deploy_type must be"},
      {"deploy_type psx\n", "deploy_type must be"},
      {"deploy_type dense\n", "needs dense_alone"},
      {"deploy_type ps\nnum_shard 3\n", "MONOLITH_HOST_SHARD_N says 1"},
      {"deploy_type ps\nnum_ps -1\n", "num_ps must be"}};
  for (const auto& [text, wanted] : cases) {
    EXPECT_THAT(Load(text).status().ToString(), HasSubstr(wanted)) << text;
  }
  EXPECT_THAT(Load("deploy_type ps\n", {{"SHARD_ID", "x"}}).status().ToString(),
              HasSubstr("SHARD_ID expects an integer"));
}

TEST_F(AgentConfigTest, FileThatIncludesItselfIsAnError) {
  const std::string path = JoinPath(directory_.path(), "agent.conf");
  EXPECT_THAT(Load("include " + path + "\n").status().ToString(), HasSubstr("levels deep"));
}

TEST_F(AgentConfigTest, ManyIncludesOfOneFileAreAnError) {
  const std::string leaf = Write("leaf.conf", "# nothing\n");
  std::string text;
  for (int i = 0; i < 300; ++i) text += "include " + leaf + "\n";
  EXPECT_THAT(Load(text).status().ToString(), HasSubstr("more than 256 files"));
}

TEST_F(AgentConfigTest, DenseContainersHaveSeveralServers) {
  const Environment environment = {{"PORT", "1"}, {"PORT3", "3"}, {"PORT4", "4"}};
  const AgentConfig config = *Load("deploy_type dense\ndense_alone 1\n", environment);
  EXPECT_EQ(config.PortsOf("dense").grpc, 3);
  ASSERT_EQ(config.more_dense.size(), 2u);
  EXPECT_GE(config.PortsOf("dense.1").grpc, 20000);
  EXPECT_NE(config.PortsOf("dense.1").grpc, config.PortsOf("dense.2").grpc);
  // Somebody has divided them among agents already.
  const AgentConfig one = *Load("deploy_type dense\ndense_alone 1\n", {{"DENSE_SERVICE_IDX", "1"}});
  EXPECT_TRUE(one.more_dense.empty());
  EXPECT_GE(one.dense.grpc, 20000);
  EXPECT_THAT(Load("deploy_type ps\ndense_service_num 0\n").status().ToString(),
              HasSubstr("dense_service_num must be"));
}

TEST_F(AgentConfigTest, HostWithIpv6OnlyReachesNoIpv4Servers) {
  const Environment ipv6 = {{"MY_HOST_IPV6", "fe80::1"}};
  EXPECT_THAT(Load("deploy_type ps\nzk_servers zk1:2181,10.0.0.1:2181\n", ipv6).status().ToString(),
              HasSubstr("IPv4 address 10.0.0.1"));
  EXPECT_TRUE(Load("deploy_type ps\nzk_servers zk1:2181,[fe80::2]:2181\n", ipv6).ok());
  EXPECT_TRUE(Load("deploy_type ps\nzk_servers 10.0.0.1:2181\n").ok());
}

// D12.
TEST_F(AgentConfigTest, NumberOfShardsHasOneName) {
  EXPECT_EQ(Load("deploy_type ps\n", {{"byterec_host_shard_n", "3"}})->num_shard, 1);
  EXPECT_EQ(Load("deploy_type ps\n", {{"MONOLITH_HOST_SHARD_N", "3"}})->num_shard, 3);
}

TEST_F(AgentConfigTest, ContainerOfALayoutHasItsName) {
  const AgentConfig bare =
      *Load("deploy_type unified\nagent_version 3\nbzid b\nlayout_pattern l\n");
  EXPECT_EQ(bare.Container(), "unknown;None;None:10.0.0.9");
  EXPECT_EQ(*bare.LayoutPath(), "/b/layouts/l");
  const AgentConfig config =
      *Load("deploy_type unified\nlayout_pattern /x/y\n", {{"TCE_PSM", "p"},
                                                           {"TCE_INTERNAL_IDC", "LF"},
                                                           {"TCE_CLUSTER", "Default"},
                                                           {"MY_POD_NAME", "pod-a"}});
  EXPECT_EQ(config.Container(), "p;lf;default:pod-a");
  EXPECT_EQ(*config.LayoutPath(), "/x/y");
  EXPECT_EQ(Load("deploy_type unified\n")->LayoutPath().status().code(), Code::kFailedPrecondition);
  // Addresses of the loopback interface are of no use to others.
  EXPECT_EQ(Load("deploy_type ps\n", {{"MY_HOST_IP", "127.0.0.1"}})->local_ip, "localhost");
}

TEST_F(AgentConfigTest, OldNameAndStandAloneDecideTheDeployType) {
  EXPECT_EQ(Load("server_type entry\n")->deploy_type, DeployType::kEntry);
  EXPECT_EQ(Load("server_type entry\ndeploy_type ps\n")->deploy_type, DeployType::kPs);
  EXPECT_EQ(Load("stand_alone_serving true\n")->deploy_type, DeployType::kMixed);
}

// Spec 8.1.
TEST_F(AgentConfigTest, PortsFollowTheMap) {
  const Environment environment = {{"PORT", "1"},  {"PORT2", "2"},  {"PORT3", "3"}, {"PORT4", "4"},
                                   {"PORT5", "5"}, {"PORT6", "6"},  {"PORT7", "7"}, {"PORT8", "8"},
                                   {"PORT9", "9"}, {"PORT10", "10"}};
  const AgentConfig mixed = *Load("deploy_type mixed\ndense_alone 1\n", environment);
  EXPECT_THAT((std::vector<int>{mixed.entry.archon, mixed.entry.grpc, mixed.entry.http}),
              ElementsAre(1, 3, 4));
  EXPECT_THAT((std::vector<int>{mixed.ps.archon, mixed.ps.grpc, mixed.ps.http}),
              ElementsAre(7, 5, 6));
  EXPECT_THAT((std::vector<int>{mixed.dense.archon, mixed.dense.grpc, mixed.dense.http}),
              ElementsAre(10, 8, 9));
  EXPECT_EQ(mixed.agent_port, 2);
  const AgentConfig ps = *Load("deploy_type ps\nagent_port 77\n", environment);
  EXPECT_EQ(ps.ps.grpc, 3);
  EXPECT_GE(ps.entry.grpc, 20000);
  EXPECT_EQ(ps.agent_port, 77);
  EXPECT_GE(Load("deploy_type ps\n")->agent_port, 20000);
}

TEST_F(AgentConfigTest, IdentityComesFromTheEnvironment) {
  const AgentConfig config = *Load("deploy_type ps\n", {{"MY_POD_NAME", "pod-a"},
                                                        {"TCE_INTERNAL_IDC", "LF"},
                                                        {"TCE_CLUSTER", "Default"},
                                                        {"SHARD_ID", "2"},
                                                        {"MY_HOST_IP", "10.1.2.3"},
                                                        {"ZK_AUTH", "u:p"}});
  EXPECT_EQ(config.replica_id, 230747245398);
  EXPECT_EQ(config.idc, "lf");
  EXPECT_EQ(config.cluster, "default");
  EXPECT_EQ(config.shard_id, 2);
  EXPECT_EQ(config.host_ip, "10.1.2.3");
  EXPECT_EQ(config.host_ipv6, "::");
  EXPECT_FALSE(config.ipv6_only);
  EXPECT_EQ(config.zk_auth, "u:p");
  EXPECT_EQ(Load("deploy_type ps\n")->host_ip, "10.0.0.9");
  EXPECT_EQ(Load("deploy_type ps\n", {{"REPLICA_ID", "5"}, {"MY_POD_NAME", "x"}})->replica_id, 5);
  EXPECT_TRUE(Load("deploy_type ps\n", {{"MY_HOST_IPV6", "fe80::1"}})->ipv6_only);
}

TEST(EvaluateNumberTest, ExpressionsAreArithmetic) {
  EXPECT_EQ(EvaluateNumber(" 60 * 1000 * 1000 "), 60e6);
  EXPECT_EQ(EvaluateNumber("-(1 + 2) * 3 / 4"), -2.25);
  EXPECT_EQ(EvaluateNumber("0.5"), 0.5);
  for (const std::string text :
       {"", "1 +", "(1", "1)", "a", "1/0", "1..2", "2 3", "1e400", "99999999999999999999"}) {
    EXPECT_FALSE(EvaluateNumber(text)) << text;
  }
  EXPECT_FALSE(EvaluateNumber(std::string(100'000, '(')));
}

TEST(Md5Test, ValuesAreTheRfcs) {
  EXPECT_EQ(Md5Hex(""), "d41d8cd98f00b204e9800998ecf8427e");
  EXPECT_EQ(Md5Hex("message digest"), "f96b697d7cb7938d525a2f31aaf161d0");
  EXPECT_EQ(
      Md5Hex("12345678901234567890123456789012345678901234567890123456789012345678901234567890"),
      "57edf4a22be3c955ac49da2e2107b67a");
}

}  // namespace
}  // namespace megalith::agent
