#include "common/foundation/config/loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/foundation/base/strings.h"

namespace megalith::config {

enum class Mode { kStrict, kHardened };
template <>
struct EnumWords<Mode> {
  static constexpr std::string_view kWords[] = {"strict", "hardened"};
};

namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct DemoConfig {
  bool verbose = false;
  int32_t shards = 4;
  int64_t max_bytes = 1 << 20;
  double ratio = 0.5;
  std::string listen = "127.0.0.1:0";
  std::vector<std::string> peers;
  std::chrono::milliseconds deadline{250};
  Mode mode = Mode::kStrict;
  std::string token;
};

constexpr ConfigField<DemoConfig> kDemoFields[] = {
    Field<&DemoConfig::verbose>("verbose", "print more"),
    Field<&DemoConfig::shards>("shards", "number of shards").Range(1, 64),
    Field<&DemoConfig::max_bytes>("max_bytes", "largest request"),
    Field<&DemoConfig::ratio>("ratio", "share of the pool").RangeDouble(0, 1),
    Field<&DemoConfig::listen>("listen", "host:port to serve on; port 0 picks a free one"),
    Field<&DemoConfig::peers>("peers", "addresses of other replicas"),
    Field<&DemoConfig::deadline>("deadline_ms", "used when a caller sets none"),
    Field<&DemoConfig::mode>("mode", "what to do with unknown options"),
    Field<&DemoConfig::token>("token", "password of the other side").Secret(),
};

class LoaderTest : public ::testing::Test {
 protected:
  LoaderTest() : loader_("demo", "A demonstration.") {
    loader_.Add<DemoConfig>(kDemoFields, &config_);
  }

  Status Load(std::vector<std::string> arguments, Environment environment = {}) {
    return loader_.Load(arguments, environment, RealFileSystem());
  }
  std::string WriteFile(std::string_view text) {
    const std::string path = JoinPath(directory_.path(), "demo.conf");
    CHECK(RealFileSystem().WriteAtomically(path, text).ok());
    return path;
  }

  TempDirectory directory_;
  DemoConfig config_;
  Loader loader_;
};

TEST_F(LoaderTest, FlagsSetEveryType) {
  ASSERT_TRUE(
      Load({"--verbose", "--shards=8", "--max_bytes=12", "--ratio=0.25", "--listen=unix:/tmp/x",
            "--peers=a:1, b:2", "--deadline_ms=9", "--mode=hardened", "--token=hush"})
          .ok());
  EXPECT_TRUE(config_.verbose);
  EXPECT_EQ(config_.shards, 8);
  EXPECT_EQ(config_.max_bytes, 12);
  EXPECT_EQ(config_.ratio, 0.25);
  EXPECT_EQ(config_.listen, "unix:/tmp/x");
  EXPECT_THAT(config_.peers, ElementsAre("a:1", "b:2"));
  EXPECT_EQ(config_.deadline, std::chrono::milliseconds(9));
  EXPECT_EQ(config_.mode, Mode::kHardened);
  EXPECT_EQ(config_.token, "hush");
}

TEST_F(LoaderTest, FlagBeatsEnvironmentBeatsFileBeatsDefault) {
  const std::string path =
      WriteFile("# a comment\nshards = 5 # five\nratio = 0.1\nlisten = file:1\n");
  ASSERT_TRUE(
      Load({"--config", path, "--listen=flag:1"},
           {{"MEGALITH_DEMO_RATIO", "0.2"}, {"MEGALITH_DEMO_LISTEN", "env:1"}, {"OTHER", "x"}})
          .ok());
  EXPECT_EQ(config_.shards, 5);
  EXPECT_EQ(config_.ratio, 0.2);
  EXPECT_EQ(config_.listen, "flag:1");
  EXPECT_EQ(config_.max_bytes, 1 << 20);
  std::map<std::string, Source> sources;
  for (const EffectiveValue& v : loader_.Effective()) sources[v.name] = v.source;
  EXPECT_EQ(sources["shards"], Source::kFile);
  EXPECT_EQ(sources["ratio"], Source::kEnvironment);
  EXPECT_EQ(sources["listen"], Source::kFlag);
  EXPECT_EQ(sources["max_bytes"], Source::kDefault);
}

TEST_F(LoaderTest, EnvironmentNamesTheFileToo) {
  ASSERT_TRUE(Load({}, {{"MEGALITH_DEMO_CONFIG", WriteFile("shards=7")}}).ok());
  EXPECT_EQ(config_.shards, 7);
}

TEST_F(LoaderTest, UnknownNamesSuggestTheNearestOne) {
  EXPECT_THAT(Load({"--shard=3"}).ToString(), HasSubstr("did you mean 'shards'?"));
  EXPECT_THAT(Load({}, {{"MEGALITH_DEMO_LISTN", "x"}}).ToString(),
              HasSubstr("did you mean 'listen'?"));
  EXPECT_THAT(Load({"--config=" + WriteFile("\nmod = strict\n")}).ToString(),
              AllOf(HasSubstr("line 2"), HasSubstr("did you mean 'mode'?")));
  EXPECT_THAT(Load({"--zzzzzzzzzzzz=3"}).ToString(), Not(HasSubstr("did you mean")));
}

TEST_F(LoaderTest, BadValuesNameTheSourceAndTheRange) {
  EXPECT_THAT(Load({"--shards=65"}).ToString(),
              HasSubstr("flag --shards: expects a number from 1 to 64, got 65"));
  EXPECT_THAT(Load({"--shards=4x"}).ToString(), HasSubstr("whole number"));
  EXPECT_THAT(Load({"--max_bytes=-1"}).ToString(), HasSubstr("from 0"));
  EXPECT_THAT(Load({"--ratio=nan"}).ToString(), HasSubstr("finite"));
  EXPECT_THAT(Load({"--mode=lax"}).ToString(),
              HasSubstr("expects one of strict, hardened; got 'lax'"));
  EXPECT_THAT(Load({"--verbose=maybe"}).ToString(), HasSubstr("true or false"));
  EXPECT_THAT(Load({"--listen=\xff"}).ToString(), HasSubstr("UTF-8"));
  EXPECT_THAT(Load({"--peers=a,,b"}).ToString(), HasSubstr("empty items"));
}

TEST_F(LoaderTest, ValueOutsideTheMembersTypeIsRefused) {
  struct Small {
    int16_t port = 0;
  } small;
  static constexpr ConfigField<Small> kFields[] = {Field<&Small::port>("port", "a port")};
  Loader loader("small", "");
  loader.Add<Small>(kFields, &small);
  const std::vector<std::string> arguments = {"--port=40000"};
  EXPECT_EQ(loader.Load(arguments, {}, RealFileSystem()).code(), Code::kInvalidArgument);
}

TEST_F(LoaderTest, ValuesMayBeWordsOfTheirOwn) {
  EXPECT_TRUE(Load({"--shards", "3"}).ok());
  EXPECT_THAT(Load({"--shards", "--shards=4"}).ToString(), HasSubstr("expects a value"));
}

TEST_F(LoaderTest, MalformedArgumentsAreErrors) {
  EXPECT_THAT(Load({"shards=3"}).ToString(), HasSubstr("is no flag"));
  EXPECT_THAT(Load({"--shards"}).ToString(), HasSubstr("expects a value"));
  EXPECT_THAT(Load({"--shards=3", "--shards=4"}).ToString(), HasSubstr("given twice"));
  EXPECT_THAT(Load({"--config"}).ToString(), HasSubstr("expects a file name"));
  EXPECT_EQ(Load({"--config=/nonexistent/x"}).code(), Code::kNotFound);
}

TEST_F(LoaderTest, MalformedFilesAreErrorsWithTheLine) {
  EXPECT_THAT(Load({"--config=" + WriteFile("shards 3")}).ToString(),
              HasSubstr("line 1: expects 'name = value'"));
  EXPECT_THAT(Load({"--config=" + WriteFile("shards=3\nshards=4")}).ToString(),
              HasSubstr("was given before, on line 1"));
  EXPECT_THAT(Load({"--config=" + WriteFile("token=\"abc")}).ToString(),
              HasSubstr("closing quote"));
}

TEST_F(LoaderTest, QuotedFileValuesKeepHashes) {
  ASSERT_TRUE(
      Load({"--config=" + WriteFile("token = \"a#b\\\"c\" # real comment\nlisten = h#1\n")}).ok());
  EXPECT_EQ(config_.token, "a#b\"c");
  EXPECT_EQ(config_.listen, "h#1");
}

TEST_F(LoaderTest, SecretsAreMasked) {
  ASSERT_TRUE(Load({"--token=hush"}).ok());
  for (const EffectiveValue& v : loader_.Effective()) {
    if (v.name == "token") {
      EXPECT_EQ(v.value, "(secret)");
    }
  }
}

TEST_F(LoaderTest, PrefixesSeparateTwoUsesOfOneTable) {
  DemoConfig other;
  loader_.Add<DemoConfig>(kDemoFields, &other, "other_");
  ASSERT_TRUE(Load({"--other_shards=9"}).ok());
  EXPECT_EQ(other.shards, 9);
  EXPECT_EQ(config_.shards, 4);
}

TEST_F(LoaderTest, HelpAndMarkdownComeFromTheTable) {
  ASSERT_TRUE(Load({"--help"}).ok());
  EXPECT_TRUE(loader_.help_requested());
  EXPECT_THAT(loader_.Help(), AllOf(HasSubstr("--shards=4"), HasSubstr("1 to 64"),
                                    HasSubstr("MEGALITH_DEMO_<NAME>")));
  EXPECT_THAT(
      loader_.Markdown(),
      HasSubstr("| `mode` | `strict` | strict, hardened | what to do with unknown options |"));
}

}  // namespace
}  // namespace megalith::config
