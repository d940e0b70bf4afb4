#include "common/fleet/agent/serving_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/foundation/base/strings.h"

namespace megalith::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class ServingCommandTest : public ::testing::Test {
 protected:
  AgentConfig Load(std::string_view text) {
    const std::string path = JoinPath(directory_.path(), "agent.conf");
    EXPECT_TRUE(RealFileSystem().WriteAtomically(path, text).ok());
    const Environment environment = {{"PORT", "1"},
                                     {"PORT2", "2"},
                                     {"PORT3", "3"},
                                     {"PORT4", "4"},
                                     {"PORT5", "5"},
                                     {"PORT6", "6"},
                                     {"PORT7", "7"},
                                     {"PORT8", "8"},
                                     {"PORT9", "9"},
                                     {"PORT10", "10"},
                                     {"SHARD_ID", "0"},
                                     {"TCE_PSM", "p.s.m"},
                                     {"TCE_CLUSTER", "Default"}};
    const HostFacts host{.free_port = [] { return 9999; }, .ipv4 = "10.0.0.9", .ipv6 = ""};
    return *LoadAgentConfig(path, environment, host, RealFileSystem());
  }
  std::string Command(std::string_view text, std::string_view type) {
    return Join(ServingCommand(Load(text), type, files_), " ");
  }
  TempDirectory directory_;
  const ServingFiles files_{"BIN", "F", "PLAT"};
};

// Spec 8.2: arguments in this order.
TEST_F(ServingCommandTest, PsIsTheReferences) {
  EXPECT_EQ(Command("deploy_type mixed\nnum_load_threads 4\nenable_profiler no\n", "ps"),
            "BIN --model_config_file=F --archon_rpc_psm=p.s.m_ps --archon_rpc_cluster=Default "
            "--metrics_namespace_prefix=p.s.m_ps --log_conf=../conf/log4j_ps.properties --port=5 "
            "--rest_api_port=6 --archon_port=7 --num_load_threads=4 "
            "--file_system_poll_wait_seconds=0 --platform_config_file=PLAT "
            "--enable_profiler=false");
  EXPECT_THAT(Command("deploy_type ps\n", "ps"),
              HasSubstr("--archon_rpc_psm=p.s.m --archon_rpc_cluster=Default "
                        "--metrics_namespace_prefix=p.s.m --log_conf=../conf/log4j.properties "
                        "--port=3 --rest_api_port=4 --archon_port=1"));
}

TEST_F(ServingCommandTest, EntryIsTheReferences) {
  EXPECT_EQ(Command("deploy_type mixed\nfetch_ps_long_conn_enable false\n"
                    "file_system_poll_wait_seconds 5\nper_process_gpu_memory_fraction 0.5\n",
                    "entry"),
            "BIN --model_config_file=F --archon_rpc_psm=p.s.m --archon_rpc_cluster=Default "
            "--metrics_namespace_prefix=p.s.m --log_conf=../conf/log4j.properties --port=3 "
            "--rest_api_port=4 --archon_port=1 --archon_entry_to_ps_rpc_timeout=200 "
            "--archon_entry_to_ps_long_conn_num=100 --archon_entry_to_ps_rpc_retry=2 "
            "--archon_async_dispatcher_threads=30 --archon_entry_to_ps_long_conn_enable=false "
            "--file_system_poll_wait_seconds=5 --platform_config_file=PLAT "
            "--per_process_gpu_memory_fraction=0.5");
  EXPECT_THAT(Command("deploy_type entry\n", "entry"),
              Not(HasSubstr("file_system_poll_wait_seconds")));
}

TEST_F(ServingCommandTest, DenseTellsBatchingTwice) {
  EXPECT_EQ(Command("deploy_type mixed\ndense_alone true\nenable_batching true\n", "dense"),
            "BIN --model_config_file=F --archon_rpc_psm=p.s.m_dense --archon_rpc_cluster=Default "
            "--metrics_namespace_prefix=p.s.m_dense --log_conf=../conf/log4j_dense.properties "
            "--port=8 --rest_api_port=9 --archon_port=10 --enable_batching=true "
            "--archon_entry_to_ps_rpc_timeout=200 --archon_entry_to_ps_long_conn_num=100 "
            "--archon_entry_to_ps_rpc_retry=2 --archon_async_dispatcher_threads=30 "
            "--enable_batching=true --platform_config_file=PLAT");
}

TEST_F(ServingCommandTest, Version2PollsNothing) {
  const std::string command =
      Command("deploy_type ps\nagent_version 2\nfile_system_poll_wait_seconds 5\n", "ps");
  EXPECT_THAT(command, HasSubstr("--archon_port=1 --model_config_file_poll_wait_seconds=0 "));
  EXPECT_THAT(command, Not(HasSubstr("file_system_poll")));
}

// Spec 8.3.
TEST_F(ServingCommandTest, UnifiedIsTheReferences) {
  const AgentConfig config =
      Load("deploy_type unified\nagent_version 3\nlayout_pattern l\nnum_load_threads 2\n");
  const std::string head =
      "BIN --model_config_file=F --port=3 --rest_api_port=4 "
      "--model_config_file_poll_wait_seconds=60 --archon_port=1 --archon_rpc_psm=p.s.m "
      "--archon_rpc_cluster=Default --metrics_namespace_prefix=p.s.m ";
  const std::string tail =
      "--conf_file=conf/service.conf --log_conf=conf/log4j.properties --num_load_threads=2 "
      "--platform_config_file=PLAT";
  EXPECT_EQ(Join(UnifiedCommand(config, files_, true), " "), head + tail);
  EXPECT_EQ(Join(UnifiedCommand(config, files_, false), " "),
            head + "--archon_entry_to_ps_rpc_timeout=200 " + tail);
}

TEST_F(ServingCommandTest, OursHasTheOptionsThatItKnows) {
  const AgentConfig config =
      Load("deploy_type unified\nagent_version 3\nnum_load_threads 2\nenable_profiler no\n");
  EXPECT_THAT(MegalithCommand(config, "unified", files_),
              ElementsAre("BIN", "--model_config_file=F", "--listen=[::]:3", "--rest_api_port=4",
                          "--model_config_file_poll_wait_seconds=1", "--num_load_threads=2"));
  EXPECT_THAT(MegalithCommand(Load("deploy_type ps\n"), "ps", files_),
              ElementsAre("BIN", "--model_config_file=F", "--listen=[::]:3", "--rest_api_port=4",
                          "--file_system_poll_wait_seconds=0"));
}

TEST_F(ServingCommandTest, ServersStartInTheReferencesOrder) {
  EXPECT_THAT(ServerTypes(Load("deploy_type mixed\n")), ElementsAre("ps", "entry"));
  EXPECT_THAT(ServerTypes(Load("deploy_type mixed\ndense_alone 1\n")),
              ElementsAre("ps", "dense", "entry"));
  EXPECT_THAT(ServerTypes(Load("deploy_type unified\n")), ElementsAre("unified"));
  const AgentConfig dense = Load("deploy_type dense\ndense_alone 1\ndense_service_num 2\n");
  EXPECT_THAT(ServerTypes(dense), ElementsAre("dense", "dense.1"));
  EXPECT_THAT(Join(ServingCommand(dense, "dense.1", files_), " "),
              HasSubstr("--archon_rpc_psm=p.s.m --archon_rpc_cluster=Default "
                        "--metrics_namespace_prefix=p.s.m --log_conf=../conf/log4j.properties "
                        "--port=9999 "));
  EXPECT_THAT(ServerTypes(Load("deploy_type entry\n")), ElementsAre("entry"));
}

TEST_F(ServingCommandTest, OutputHasAFileForEachServer) {
  AgentConfig config = Load("deploy_type mixed\n");
  EXPECT_EQ(ServingLogFile(config, "/var/log/tfs.std.log", "ps"), "/var/log/ps_tfs.std.log");
  EXPECT_EQ(ServingLogFile(config, "tfs.log", "entry"), "entry_tfs.log");
  EXPECT_EQ(ServingLogFile(config, "/l/t.log", "unified"), "/l/t.log");
  config.deploy_type = DeployType::kDense;
  config.dense_service_index = 2;
  EXPECT_EQ(ServingLogFile(config, "/l/t.log", "dense"), "/l/dense_t.log.mps2");
  EXPECT_EQ(ServingLogFile(config, "/l/t.log", "dense.1"), "/l/dense_t.log.mps1");
}

TEST_F(ServingCommandTest, GrpcIsSeenInTheBinarysText) {
  const std::string path = JoinPath(directory_.path(), "binary");
  std::string text((1 << 20) - 5, 'x');  // the text lies across two chunks
  text += "PredictionServiceGrpc";
  ASSERT_TRUE(RealFileSystem().WriteAtomically(path, text).ok());
  EXPECT_TRUE(*SpeaksGrpc(path, RealFileSystem()));
  ASSERT_TRUE(RealFileSystem().WriteAtomically(path, "PredictionServiceGrp").ok());
  EXPECT_FALSE(*SpeaksGrpc(path, RealFileSystem()));
  EXPECT_EQ(SpeaksGrpc(path + "x", RealFileSystem()).status().code(), Code::kNotFound);
}

}  // namespace
}  // namespace megalith::agent
