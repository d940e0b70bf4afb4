#include "clients/agent/deployment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "clients/agent/flags.h"
#include "clients/agent/framed_data.h"
#include "clients/agent/python_text.h"
#include "common/fleet/discovery/zookeeper/testing/zookeeper_fixture.h"
#include "common/foundation/base/strings.h"
#include "common/learning/records/wire.h"

namespace megalith::agent_tools {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(PythonTextTest, ReprIsPythons) {
  EXPECT_EQ(PythonRepr("a'b"), R"("a'b")");
  EXPECT_EQ(PythonRepr(R"(a'"b)"), R"('a\'"b')");
  EXPECT_EQ(PythonBytesRepr(std::string("{\"a\": 1}\n\xff\0", 11)), R"(b'{"a": 1}\n\xff\x00')");
  const std::vector<std::string> list = {"a:1", "b:2"};
  EXPECT_EQ(PythonListRepr(list), "['a:1', 'b:2']");
}

TEST(PythonTextTest, JsonIsIndentedAsByTwo) {
  const auto json = *discovery::ParsePythonJson(R"({"a": {}, "b": [1, {"c": null}], "d": []})");
  EXPECT_EQ(IndentedJson(json), R"({
  "a": {},
  "b": [
    1,
    {
      "c": null
    }
  ],
  "d": []
})");
}

TEST(GlobTest, PatternsMatchAsInPython) {
  EXPECT_TRUE(MatchesGlob("ps_10", "ps_*"));
  EXPECT_TRUE(MatchesGlob("ps_1", "ps_?"));
  EXPECT_FALSE(MatchesGlob("ps_10", "ps_?"));
  EXPECT_TRUE(MatchesGlob("ps_7", "*_[5-9]"));
  EXPECT_FALSE(MatchesGlob("ps_7", "*_[!5-9]"));
  EXPECT_TRUE(MatchesGlob("a[b", "a[b"));
  EXPECT_TRUE(MatchesGlob("", "*"));
  EXPECT_FALSE(MatchesGlob("entry", "ps*"));
  EXPECT_FALSE(MatchesGlob(std::string(3000, 'a'), "*a*a*a*a*a*a*b"));
}

class ToolFlagsTest : public ::testing::Test {
 protected:
  static constexpr ToolFlag kTable[] = {
      {.name = "cmd", .fallback = "hb", .words = "hb gr"},
      {.name = "task", .kind = FlagKind::kNumber, .fallback = "0"},
      {.name = "deep", .kind = FlagKind::kSwitch, .fallback = "false"},
  };
  static Result<ToolFlags> Parse(std::vector<std::string> words) {
    return ToolFlags::Parse(kTable, words, RealFileSystem());
  }
};

TEST_F(ToolFlagsTest, EveryFormIsRead) {
  const auto flags = *Parse({"--cmd=gr", "-task", "3", "rest", "--deep", "--", "--cmd=x"});
  EXPECT_EQ(flags.Text("cmd"), "gr");
  EXPECT_EQ(flags.Number("task"), 3);
  EXPECT_TRUE(flags.Switch("deep"));
  EXPECT_THAT(flags.rest(), ElementsAre("rest", "--cmd=x"));
  EXPECT_FALSE(Parse({"--deep", "--nodeep"})->Switch("deep"));
  EXPECT_TRUE(Parse({"--deep=True"})->Switch("deep"));
  EXPECT_FALSE(Parse({})->Has("cmd"));
}

TEST_F(ToolFlagsTest, FilesOfFlagsAreRead) {
  TempDirectory folder;
  const std::string path = JoinPath(folder.path(), "flags");
  ASSERT_TRUE(RealFileSystem().WriteAtomically(path, "# of mine\n--task=7\n\n--deep\n").ok());
  EXPECT_EQ(Parse({"--flagfile", path})->Number("task"), 7);
  ASSERT_TRUE(RealFileSystem().WriteAtomically(path, StrCat("--flagfile=", path)).ok());
  EXPECT_THAT(Parse({StrCat("--flagfile=", path)}).status().message(), HasSubstr("each other"));
}

TEST_F(ToolFlagsTest, WrongFlagsAreErrors) {
  EXPECT_THAT(Parse({"--cmmd=gr"}).status().message(),
              HasSubstr("Unknown command line flag 'cmmd'. Did you mean: cmd"));
  EXPECT_THAT(Parse({"--cmd=x"}).status().message(), HasSubstr("one of <hb|gr>"));
  EXPECT_THAT(Parse({"--task=x"}).status().message(), HasSubstr("whole number"));
  EXPECT_THAT(Parse({"--task"}).status().message(), HasSubstr("Missing value"));
  EXPECT_THAT(Parse({"--notask"}).status().message(), HasSubstr("Unknown"));
}

class ExportTest : public testing::ZooKeeperTest {
 protected:
  void SetUp() override {
    export_ = JoinPath(folder_.path(), "exported");
    // SavedModel{meta_graphs{graph_def{node{op attr{model_name}}}}}.
    std::string graph;
    records::WireWriter out(&graph);
    const size_t meta_graph = out.Begin(2);
    const size_t graph_def = out.Begin(2);
    for (const char* op : {"Const", "TfServingRemotePredict"}) {
      const size_t node = out.Begin(1);
      out.Bytes(1, "n");
      out.Bytes(2, op);
      const size_t attribute = out.Begin(5);
      out.Bytes(1, "model_name");
      const size_t value = out.Begin(2);
      out.Bytes(2, StrCat(op[0] == 'T' ? "recommend" : "wrong", ":ps_0"));
      out.End(value);
      out.End(attribute);
      out.End(node);
    }
    out.End(graph_def);
    out.End(meta_graph);
    Write("entry/1/saved_model.pb", graph);
    Write("ps_0/1/data", "12345");
    Write("ps_0/3/data", "123");
    Write("ps_1/1/variables/data", "1234567");
    Write("../model.ckpt-5.assets/table_1-00000-of-00001", "ten bytes!");
  }
  void Write(const std::string& name, const std::string& data) {
    const std::string path = JoinPath(export_, name);
    std::filesystem::create_directories(path.substr(0, path.rfind('/')));
    ASSERT_TRUE(RealFileSystem().WriteAtomically(path, data).ok());
  }
  TempDirectory folder_;
  std::string export_;
};

TEST_F(ExportTest, EntryGraphNamesTheModel) {
  EXPECT_EQ(*ModelNameOfExport(export_, RealFileSystem()), "recommend");
  Write("entry/0/saved_model.pb", "\x12\x7fno message");
  const Status damaged = ModelNameOfExport(export_, RealFileSystem()).status();
  EXPECT_EQ(damaged.code(), Code::kDataLoss);
  EXPECT_THAT(damaged.message(), HasSubstr("entry/0/saved_model.pb"));
  Write("entry/0/saved_model.pb", "");
  EXPECT_EQ(*ModelNameOfExport(export_, RealFileSystem()), std::nullopt);
}

TEST_F(ExportTest, DeclaredModelsAreWhatTheReferenceWrites) {
  const auto client = Connect();
  Deployment deployment(*client, "b");
  EXPECT_EQ(*deployment.Declare(export_, "", false, RealFileSystem()), "recommend");
  EXPECT_EQ(
      server_.Data("/b/saved_models/recommend/entry"),
      StrCat("{\"model_base_path\": \"", export_, "/entry\", \"version_policy\": \"latest\"}"));
  EXPECT_EQ(
      server_.Data("/b/saved_models/recommend/ps_1"),
      StrCat("{\"model_base_path\": \"", export_, "/ps_1\", \"version_policy\": \"latest_once\"}"));
  EXPECT_EQ(deployment.Declare(export_, "", false, RealFileSystem()).status().code(),
            Code::kAlreadyExists);
  EXPECT_TRUE(deployment.Declare(export_, "", true, RealFileSystem()).ok());
}

TEST_F(ExportTest, LayoutsHoldWhatMatches) {
  const auto client = Connect();
  Deployment deployment(*client, "b");
  ASSERT_TRUE(deployment.Declare(export_, "m", false, RealFileSystem()).ok());
  EXPECT_THAT(*deployment.Publish("m:ps_*", "l", true), ElementsAre("m:ps_0", "m:ps_1"));
  EXPECT_THAT(*deployment.Publish("m:*", "l", true), ::testing::SizeIs(3));  // again is no error
  EXPECT_EQ(server_.Data("/b/layouts/l/m:ps_0"), "");
  EXPECT_THAT(*deployment.Publish("m:ps_0", "l", false), ElementsAre("m:ps_0"));
  EXPECT_THAT(server_.Children("/b/layouts/l"), ElementsAre("m:entry", "m:ps_1"));
  EXPECT_THAT(*deployment.Publish("other:*", "l", true), IsEmpty());
  EXPECT_EQ(deployment.Publish("m", "l", true).status().code(), Code::kInvalidArgument);
}

TEST_F(ExportTest, InfoHasTheReferencesShape) {
  const auto client = Connect();
  Deployment deployment(*client, "b");
  server_.Put("/b/saved_models/m/entry", "C");
  server_.Put("/b/saved_models/m/ps_0", "C");
  server_.Put("/b/container_service/psm;lf;default:pod", "S");
  server_.Put("/b/binding/m/ps_0:psm;lf;default:pod", "");
  server_.Put("/b/layouts/l/m:ps_0", "");
  EXPECT_EQ(IndentedJson(*deployment.Info()), R"({
  "model_info": {
    "m": {
      "entry": {
        "deploy_config": "C"
      },
      "ps_0": {
        "deploy_config": "C",
        "bindings": [
          "psm;lf;default:pod"
        ]
      },
      "sub_graphs_available": 1,
      "sub_graphs_total": 2
    }
  },
  "container_info": {
    "psm;lf;default": {
      "pod": {
        "service_info": "S",
        "saved_models": [
          "m:ps_0"
        ]
      }
    }
  },
  "layout_info": {
    "l": [
      "m:ps_0"
    ]
  }
})");
  EXPECT_EQ(discovery::DumpPythonJson(*Deployment(*client, "none").Info()),
            R"({"model_info": {}, "container_info": {}, "layout_info": {}})");
}

TEST(FramedDataTest, EveryFramingIsRead) {
  TempDirectory folder;
  const std::string path = JoinPath(folder.path(), "data");
  const auto number = [](uint64_t v) {
    return std::string(reinterpret_cast<const char*>(&v), sizeof(v));
  };
  const auto read = [&](const std::string& bytes, const FramingOptions& options) {
    EXPECT_TRUE(RealFileSystem().WriteAtomically(path, bytes).ok());
    return ReadFramed(path, options, 2, RealFileSystem());
  };
  const std::string body = number(2) + "ab";
  EXPECT_THAT(*read(body + body + body, {}), ElementsAre("ab", "ab"));
  EXPECT_THAT(*read(number(5) + body, {.lagrangex_header = true}), ElementsAre("ab"));
  EXPECT_THAT(*read(number(3) + "sid" + body, {.has_sort_id = true}), ElementsAre("ab"));
  EXPECT_THAT(*read(number(3) + "sid" + body, {.kafka_dump_prefix = true, .has_sort_id = true}),
              ElementsAre("ab"));
  EXPECT_THAT(*read(number(0) + number(9) + number(1) + "s" + number(9) + body,
                    {.kafka_dump_prefix = true, .has_sort_id = true, .kafka_dump = true}),
              ElementsAre("ab"));
  EXPECT_EQ(read(number(1ull << 60) + "ab", {}).status().code(), Code::kDataLoss);
  EXPECT_EQ(read("", {}).status().code(), Code::kInvalidArgument);
  for (size_t cut = 1; cut < body.size(); ++cut) {
    EXPECT_EQ(read(body.substr(0, cut), {}).status().code(), Code::kDataLoss) << cut;
  }
}

// The text instance of spec data-formats.md, 1.3, less what an ExampleBatch has no place for.
TEST(FramedDataTest, BatchesBecomeInstances) {
  std::string batch;
  records::WireWriter out(&batch);
  const auto column = [&](std::string_view name, bool shared, auto write) {
    const size_t list = out.Begin(1);
    out.Bytes(1, name);
    const size_t feature = out.Begin(2);
    write();
    out.End(feature);
    if (shared) out.Varint(3, 1);
    out.End(list);
  };
  column("a", true, [&] {
    const size_t fids = out.Begin(1);
    out.Fixed64(1, (7ull << 54) | 3);
    out.End(fids);
  });
  column("__LABEL__", false, [&] {
    const size_t floats = out.Begin(3);
    out.Float(1, 0.0F);
    out.Float(1, 1.0F);
    out.End(floats);
  });
  column("__LINE_ID__", false, [&] {
    const size_t bytes = out.Begin(6);
    out.Bytes(1, std::string("\x32\x01\x01", 3));
    out.End(bytes);
  });
  std::string with_rows = batch;
  records::WireWriter(&with_rows).Varint(3, 1);
  const auto instances = *InstancesOfExampleBatch(with_rows);
  ASSERT_EQ(instances.size(), 1U);
  EXPECT_EQ(HexEncode({reinterpret_cast<const uint8_t*>(instances[0].data()), instances[0].size()}),
            "1a08000000000000803f2a033201014a0d0a016112080300000000000700");
  records::WireWriter(&batch).Varint(3, 2);
  EXPECT_THAT(InstancesOfExampleBatch(batch).status().message(), HasSubstr("column '__LABEL__'"));
  EXPECT_EQ(InstancesOfExampleBatch("\xff").status().code(), Code::kDataLoss);
}

}  // namespace
}  // namespace megalith::agent_tools
