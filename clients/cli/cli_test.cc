#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <sstream>

#include "clients/cli/session.h"
#include "common/fleet/stubs/cache_client.h"
#include "common/foundation/base/strings.h"
#include "tests/support/cli_fixture.h"

namespace megalith::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

TEST_F(CliTest, HelpComesFromTheTable) {
  EXPECT_EQ(Run({"help"}), 0);
  for (const CommandDef* command : AllCommands())
    EXPECT_THAT(Out(), HasSubstr(std::string(command->name)));
  EXPECT_THAT(Out(), AllOf(HasSubstr("Exit codes:"), HasSubstr("4  not found")));
  EXPECT_EQ(Run({"help", "cache", "put"}), 0);
  EXPECT_THAT(Out(), AllOf(HasSubstr("usage: megalithctl cache put FILE [flags]"),
                           HasSubstr("--component=NAME=TEXT")));
  with_data_ = false;
  EXPECT_EQ(Run({"cache"}), 0);
  EXPECT_THAT(Out(), AllOf(HasSubstr("cache get"), Not(HasSubstr("ledger verify"))));
  EXPECT_EQ(Run({"ledger", "verify", "--help"}), 0);
  EXPECT_THAT(Out(), HasSubstr("Exit code 1"));
}

TEST_F(CliTest, ServeTakesTheFlagsOfTensorFlowsModelServerOrSaysWhatToDo) {
  with_data_ = false;
  EXPECT_EQ(Run({"serve"}), 3);
  EXPECT_THAT(Err(), HasSubstr("needs a directory of models"));
  EXPECT_EQ(Run({"serve", "models", "--model_config_file=x"}), 3);
  EXPECT_THAT(Err(), HasSubstr("not both"));
  EXPECT_NE(Run({"serve", "models", "--ssl_config_file=x"}), 0);
  EXPECT_THAT(Err(), HasSubstr("flag --ssl_config_file is not supported: run megalith-execute"));
  EXPECT_EQ(Run({"serve", "models", "--port=70000"}), 3);
  EXPECT_EQ(Run({"serve", "models", "--rest_api_port", "many"}), 3);
  EXPECT_THAT(Err(), HasSubstr("flag --rest_api_port"));
  // The value of a switch may be left out; what means nothing here is taken.
  EXPECT_NE(Run({"serve", "--enable_batching", "--use_alts_credentials=false", "--num_tflite_pools",
                 "3", "--prefer_tflite_model", "/nonexistent/models"}),
            0);
  EXPECT_THAT(Err(), AllOf(HasSubstr("/nonexistent/models"),
                           HasSubstr("--num_tflite_pools has no effect here")));
  EXPECT_EQ(Run({"serve", "models", "--enable_btaching"}), 2);
  EXPECT_THAT(Err(), HasSubstr("did you mean --enable_batching?"));
}

// With its name as help prints it, and with dashes in place of underscores.
TEST(CommandLineTest, EveryFlagIsFound) {
  for (const CommandDef* command : AllCommands()) {
    for (const FlagDef& flag : command->flags) {
      for (const char separator : {'_', '-'}) {
        std::string name(flag.name);
        std::replace(name.begin(), name.end(), '_', separator);
        const std::string line = StrCat(command->name, " --", name, "=1");
        std::istringstream words(line);
        const auto parsed = ParseCommandLine(
            AllCommands(), std::vector<std::string>{std::istream_iterator<std::string>(words), {}});
        EXPECT_THAT(parsed.status().message(), Not(HasSubstr("has no flag"))) << line;
      }
    }
  }
}

TEST_F(CliTest, WrongCommandLinesExitWith2AndSuggest) {
  EXPECT_EQ(Run({"cahce", "get", "x"}), 2);
  EXPECT_THAT(Err(), HasSubstr("did you mean 'cache get'?"));
  EXPECT_EQ(Run({"cache", "get"}), 2);
  EXPECT_THAT(Err(), HasSubstr("usage: megalithctl cache get KEY"));
  EXPECT_EQ(Run({"ledger", "query", "--knd=cache"}), 2);
  EXPECT_THAT(Err(), HasSubstr("did you mean --kind?"));
  EXPECT_EQ(Run({"ledger", "query", "--kind=nope"}), 2);
  EXPECT_THAT(Err(), HasSubstr("expects one of transform, lower"));
  EXPECT_EQ(Run({"ledger", "query", "--limit"}), 3);  // takes --data_dir=... as its value
  EXPECT_EQ(Run({"services", "--json=1"}), 2);
  EXPECT_EQ(Run({"services", "--timeout_ms=1", "--timeout_ms=2"}), 2);
}

TEST_F(CliTest, FlagsOfEveryCommandMayStandBeforeIt) {
  ASSERT_EQ(Run({"--json", "--timeout_ms", "50000", "cache", "stat"}), 0) << Err();
  EXPECT_TRUE(OutJson().is_object()) << Out();
  EXPECT_EQ(Run({"--jsn", "cache", "stat"}), 2);
  EXPECT_THAT(Err(), HasSubstr("'megalithctl' has no flag --jsn; did you mean --json?"));
  EXPECT_EQ(Run({"--json", "cache", "stat", "--json"}), 2);
  EXPECT_EQ(Run({"--quiet"}), 2);
  EXPECT_THAT(Err(), HasSubstr("no command is given"));
}

TEST_F(CliTest, CacheKeepsFilesAndExplainsKeys) {
  const std::string file = WriteFile("a", std::string("bytes\0\n", 7));
  const std::string program = WriteFile("p", "program text");
  ASSERT_EQ(Run({"cache", "put", file, "--kind", "demo", "--component=program=@" + program,
                 "--component", "target=cpu"}),
            0)
      << Err();
  const std::string key = std::string(Trim(Out()));
  EXPECT_EQ(
      key,
      cache::KeyBuilder("demo").Add("program", "program text").Add("target", "cpu").Build().Hex());
  ASSERT_EQ(Run({"cache", "get", key}), 0) << Err();
  EXPECT_EQ(Out(), std::string("bytes\0\n", 7));
  const std::string copy = JoinPath(files_.path(), "copy");
  ASSERT_EQ(Run({"cache", "get", key, "--out", copy, "--json"}), 0);
  EXPECT_EQ(OutJson()["kind"], "demo");
  EXPECT_EQ(*RealFileSystem().Read(copy), std::string("bytes\0\n", 7));
  ASSERT_EQ(Run({"cache", "put", file, "--kind=demo", "--component=program=@" + program,
                 "--component=target=gpu", "--json"}),
            0);
  const std::string other = OutJson()["key"];
  ASSERT_EQ(Run({"cache", "explain", key, other}), 0);
  EXPECT_THAT(Out(), AllOf(HasSubstr("target"), HasSubstr("cpu"), HasSubstr("gpu"),
                           Not(HasSubstr("program"))));
  ASSERT_EQ(Run({"cache", "stat", key, "--json"}), 0);
  EXPECT_EQ(OutJson()["entries"], 2);
  EXPECT_EQ(OutJson()["found"][0]["components"][1]["text"], "cpu");
  ASSERT_EQ(Run({"cache", "evict", key}), 0);
  EXPECT_EQ(Run({"cache", "get", key}), 4);
  EXPECT_EQ(Run({"cache", "stat", key}), 4);
  ASSERT_EQ(Run({"cache", "missing", key, other}), 0);
  EXPECT_EQ(Trim(Out()), key);
}

TEST_F(CliTest, ErrorsHaveExitCodesAndJson) {
  EXPECT_EQ(Run({"cache", "get", "abc"}), 3);
  EXPECT_EQ(Run({"cache", "get", std::string(64, '0'), "--json"}), 4);
  EXPECT_EQ(Json::parse(Err())["error"]["code"], "NOT_FOUND");
  EXPECT_EQ(Run({"cache", "put", "/nonexistent"}), 4);
  EXPECT_EQ(Run({"cache", "put", WriteFile("x", ""), "--component=oops"}), 3);
  EXPECT_EQ(Run({"cache", "evict"}), 3);
  with_data_ = false;
  EXPECT_EQ(Run({"services", "--address=127.0.0.1:1", "--timeout_ms=2000"}), 5);
}

TEST_F(CliTest, LedgerIsQueriedAndVerified) {
  ASSERT_EQ(Run({"cache", "put", WriteFile("a", "a")}), 0);
  ASSERT_EQ(Run({"ledger", "query", "--kind=cache", "--json"}), 0);
  ASSERT_EQ(OutJson()["entries"].size(), 1u);
  EXPECT_EQ(OutJson()["entries"][0]["decision"], "store");
  ASSERT_EQ(Run({"ledger", "query", "--since=4000000000s"}), 0);
  EXPECT_THAT(Out(), Not(HasSubstr("store")));
  EXPECT_EQ(Run({"ledger", "query", "--since=yesterday"}), 3);
  ASSERT_EQ(Run({"ledger", "verify"}), 0);
  EXPECT_THAT(Out(), HasSubstr("intact, 1 entries"));
  const std::string segment = JoinPath(data_.path(), "ledger/ledger-00000000000000000000.log");
  std::string bytes = *RealFileSystem().Read(segment);
  bytes[110] = static_cast<char>(bytes[110] ^ 1);
  ASSERT_TRUE(RealFileSystem().WriteAtomically(segment, bytes).ok());
  EXPECT_EQ(Run({"ledger", "verify"}), 1) << Out();
  EXPECT_THAT(Err(), HasSubstr("entry 0 in ledger-00000000000000000000.log at offset 88"));
}

TEST_F(CliTest, ServicesTellsVersionsAndHealth) {
  ASSERT_EQ(Run({"services", "--json"}), 0);
  EXPECT_EQ(OutJson()["process"], "embedded");
  std::vector<std::string> names;
  const Json services = OutJson()["services"];
  for (const Json& s : services) {
    names.push_back(s["name"]);
    EXPECT_TRUE(s["serving"]);
  }
  EXPECT_THAT(names,
              ::testing::IsSupersetOf(
                  {"megalith.cache.v1.CacheService", "megalith.trace.v1.TraceService",
                   "megalith.compile.v1.CompileService", "megalith.execute.v1.ExecuteService"}));
}

TEST_F(CliTest, TalksToARunningFleet) {
  services::EmbeddedFleet::Options options;
  options.process.listen = {"127.0.0.1:0"};
  const auto fleet =
      *services::EmbeddedFleet::Start(std::move(options), testing::FakeEngines(&world_));
  with_data_ = false;
  ASSERT_EQ(Run({"services", "--address", fleet->server().addresses()[0]}), 0) << Err();
  EXPECT_THAT(Out(), HasSubstr("serving"));
}

TEST_F(CliTest, CompletionScriptsAreValid) {
  with_data_ = false;
  for (const char* shell : {"bash", "zsh", "fish"}) {
    ASSERT_EQ(Run({"completion", shell}), 0);
    EXPECT_THAT(Out(), HasSubstr("explain"));
    if (std::string(shell) != "bash") continue;
    const std::string script =
        WriteFile("completion.sh", Out() +
                                       "COMP_WORDS=(megalithctl cache ex); COMP_CWORD=2; "
                                       "COMP_LINE='megalithctl cache ex'; _megalithctl; "
                                       "[ \"${COMPREPLY[*]}\" = explain ]\n");
    EXPECT_EQ(std::system(("bash " + script).c_str()), 0);
  }
  EXPECT_EQ(Run({"completion", "powershell"}), 3);
}

TEST(ProgressBarTest, DrawsOnlyOnATerminalAndWipesItself) {
  std::ostringstream out;
  {
    ProgressBar(out, false, "x").Update(0.5, "note");
  }
  EXPECT_EQ(out.str(), "");
  {
    ProgressBar bar(out, true, "compile");
    bar.Update(0.5, "long note");
    bar.Update(0.5, "long note");
    bar.Update(1, "n");
  }
  EXPECT_THAT(out.str(), AllOf(HasSubstr("compile [###############...............] 50% long note"),
                               HasSubstr("100% n")));
  EXPECT_EQ(out.str().back(), '\r');
}

}  // namespace
}  // namespace megalith::cli
