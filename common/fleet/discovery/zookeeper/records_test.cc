#include "common/fleet/discovery/zookeeper/records.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/foundation/base/strings.h"

namespace megalith::discovery {
namespace {

using ::testing::HasSubstr;

// Expectations are values that Monolith's agent, or Python's json module, has written.
TEST(RecordsTest, MeasuredReplicaIsWrittenByteForByte) {
  const ReplicaMeta meta{.address = "127.0.0.1:7105",
                         .address_ipv6 = "[::1]:7105",
                         .stat = 30,
                         .archon_address = "127.0.0.1:7107",
                         .archon_address_ipv6 = "[::1]:7107"};
  const std::string bytes =
      R"({"address": "127.0.0.1:7105", "address_ipv6": "[::1]:7105", "stat": 30, )"
      R"("model_name": null, "server_type": null, "task": -1, "replica": -1, )"
      R"("archon_address": "127.0.0.1:7107", "archon_address_ipv6": "[::1]:7107"})";
  EXPECT_EQ(bytes.size(), 212u);
  EXPECT_EQ(WriteRecord(meta), bytes);
  EXPECT_EQ(*ReadRecord<ReplicaMeta>(bytes), meta);
}

TEST(RecordsTest, DefaultsOfEveryTypeAreWritten) {
  EXPECT_EQ(WriteRecord(ModelMeta{}),
            R"({"model_name": null, "model_dir": null, "ckpt": null, "num_shard": -1, )"
            R"("action": "NONE", "spec_replicas": []})");
  EXPECT_EQ(WriteRecord(ResourceSpec{}),
            R"({"address": null, "shard_id": null, "replica_id": null, "memory": null, )"
            R"("cpu": -1.0, "network": -1.0, "work_load": -1.0})");
  EXPECT_EQ(WriteRecord(PublishMeta{}),
            R"({"shard_id": null, "replica_id": -1, "model_name": null, "num_ps": null, )"
            R"("total_publish_num": 1, "sub_models": null, "ptype": 1, "is_spec": false})");
  EXPECT_EQ(WriteRecord(SavedModelDeployConfig{}),
            R"({"model_base_path": null, "version_policy": null})");
  EXPECT_EQ(WriteRecord(ContainerServiceInfo{}),
            R"({"grpc": null, "http": null, "archon": null, "agent": null, "idc": null, )"
            R"("debug_info": null})");
}

TEST(RecordsTest, NestedValuesKeepTheirOrder) {
  const PublishMeta meta{.shard_id = 0,
                         .model_name = "m",
                         .num_ps = 2,
                         .total_publish_num = 4,
                         .sub_models = {{{"ps_1", "/p/1"}, {"entry", "/e/1"}}},
                         .ptype = PublishMeta::kUnload,
                         .is_spec = true};
  const std::string bytes =
      R"({"shard_id": 0, "replica_id": -1, "model_name": "m", "num_ps": 2, )"
      R"("total_publish_num": 4, "sub_models": {"ps_1": "/p/1", "entry": "/e/1"}, "ptype": 2, )"
      R"("is_spec": true})";
  EXPECT_EQ(WriteRecord(meta), bytes);
  EXPECT_EQ(*ReadRecord<PublishMeta>(bytes), meta);
}

TEST(RecordsTest, TextIsEscapedAsPythonDoes) {
  const ContainerServiceInfo info{.idc = "\xc3\xa9\xf0\x9f\x98\x80\x7f\n\x01",
                                  .debug_info = R"({"layout_path": "/x"})"};
  const std::string bytes = WriteRecord(info);
  EXPECT_THAT(bytes, HasSubstr(R"("idc": "\u00e9\ud83d\ude00)"
                               "\x7f"
                               R"(\n\u0001")"));
  EXPECT_THAT(bytes, HasSubstr(R"("debug_info": "{\"layout_path\": \"/x\"}")"));
  EXPECT_EQ(*ReadRecord<ContainerServiceInfo>(bytes), info);
}

// Spec 13.1.
TEST(RecordsTest, ReadersAreAsTolerantAsPython) {
  const auto read = [](std::string_view text) { return *ReadRecord<ReplicaMeta>(text); };
  EXPECT_EQ(read(R"({"address":"a:1","stat":30})"), (ReplicaMeta{.address = "a:1", .stat = 30}));
  EXPECT_EQ(read(R"({"address": "a:1", "stat": 30, "zone": {"x": [1]}})"),
            (ReplicaMeta{.address = "a:1", .stat = 30}));
  EXPECT_EQ(read(R"({"address": "a:1", "stat": "AVAILABLE"})"), (ReplicaMeta{.address = "a:1"}));
  EXPECT_EQ(read("{}"), ReplicaMeta{});
  EXPECT_EQ(read(R"({"address": null, "stat": 30.0, "task": null})"), ReplicaMeta{.stat = 30});
  EXPECT_EQ(read(R"({"stat": 20, "stat": 30})").stat, 30);
  EXPECT_EQ(read(" {\"stat\" : 1e1}\n").stat, 10);
  EXPECT_EQ(ReadRecord<ResourceSpec>(R"({"cpu": 3, "memory": 12345678901})")->memory, 12345678901);
}

TEST(RecordsTest, WhatIsNoObjectIsAnError) {
  for (const std::string_view text :
       {"", "x", "[]", "30", "null", "{", "{\"a\"}", "{\"a\": }", "{\"a\": 1,}", "{} {}",
        "{\"a\": \"\n\"}", "{\"a\": \"\\x\"}", "{\"a\": \"\\u12\"}", "{\"a\": \"", "{'a': 1}",
        "{\"a\": 01}", "{\"a\": .5}", "{\"a\": +1}", "{\"\xff\": 1}"}) {
    EXPECT_EQ(ReadRecord<ReplicaMeta>(text).status().code(), Code::kInvalidArgument) << text;
  }
  EXPECT_FALSE(ReadRecord<ReplicaMeta>(std::string(100'000, '[')).ok());
  EXPECT_FALSE(ReadRecord<ReplicaMeta>(std::string(2 << 20, ' ') + "{}").ok());
}

TEST(PythonJsonTest, ValuesArePrintedAsPythonPrintsThem) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"[1,2.50,-0,-0.0,1e5,1e16,1E-7]", "[1, 2.5, 0, -0.0, 100000.0, 1e+16, 1e-07]"},
      {"[NaN,Infinity,-Infinity,1e999,-1e999,1e-999]",
       "[NaN, Infinity, -Infinity, Infinity, -Infinity, 0.0]"},
      {"{\"a\":[],\"b\":{},\"c\":[true,false,null]}",
       "{\"a\": [], \"b\": {}, \"c\": [true, false, null]}"},
      {"\"\\/\\b\\f\\t\\ud83d\\ude00\"", "\"/\\b\\f\\t\\ud83d\\ude00\""},
      {"9223372036854775807", "9223372036854775807"}};
  for (const auto& [text, dumped] : cases) {
    const auto json = ParsePythonJson(text);
    ASSERT_TRUE(json.ok()) << text << ": " << json.status().ToString();
    EXPECT_EQ(DumpPythonJson(*json), dumped);
  }
}

TEST(ReplicaPathTest, BothFormsAreUnderstood) {
  const auto plain = ParseReplicaPath("/b-1/service/base_x/ps:3/7");
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->bzid, "b-1");
  EXPECT_EQ(plain->Location(), "");
  EXPECT_EQ(plain->Task(), "ps:3");
  EXPECT_EQ(plain->replica, 7);
  const auto located = ParseReplicaPath("/b/service/base/lf:default/entry:0/00000000002");
  ASSERT_TRUE(located);
  EXPECT_EQ(located->Location(), "lf:default");
  EXPECT_EQ(located->Task(), "entry:0");
  EXPECT_EQ(located->replica, 2);
  EXPECT_EQ(ParseReplicaPath("/b/service/base/ps:0")->replica, std::nullopt);
  EXPECT_EQ(ParseReplicaPath("/b/service/base/lf:default/ps:0")->Location(), "lf:default");
}

TEST(ReplicaPathTest, OthersAreSkipped) {
  for (const std::string_view path :
       {"", "/", "/b", "/b/service/base", "/b/service/ba.se/ps:0/1", "/b/service/base/ps:0/abc",
        "/b/service/base/ps:0/-1", "/b/service/base/ps:x/1", "/b/service/base/ps/1",
        "/b/portal/base/ps:0/1", "b/service/base/ps:0/1", "/b/service/base/lf:default/ps:0/1/2",
        "/b/service/base/lf/ps:0/1", "/b/service/base/p-s:0/1",
        "/b/service/base/ps:0/99999999999999999999"}) {
    EXPECT_FALSE(ParseReplicaPath(path)) << path;
  }
}

TEST(ReplicaPathTest, EntryNamesArePaddedToElevenDigits) {
  EXPECT_EQ(ReplicaName("entry", 2), "00000000002");
  EXPECT_EQ(ReplicaName("entry", 230747245398), "230747245398");
  EXPECT_EQ(ReplicaName("ps", 2), "2");
  EXPECT_EQ(ReplicaName("ps", -1), "-1");
}

}  // namespace
}  // namespace megalith::discovery
