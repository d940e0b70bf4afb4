#include "common/learning/serving/model_manager.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

#include "common/foundation/base/strings.h"

namespace megalith::serving {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

// Versions that a test lets fail.
struct Faults {
  std::mutex mu;
  std::set<int64_t> broken;  // guarded by mu
};

class FakeLoader final : public Loader {
 public:
  explicit FakeLoader(std::shared_ptr<Faults> faults) : faults_(std::move(faults)) {}
  Result<std::shared_ptr<const Servable>> Load(const std::string& name, int64_t version,
                                               const std::string&, const Cancellation&) override {
    const std::lock_guard<std::mutex> lock(faults_->mu);
    if (faults_->broken.count(version) != 0) return DataLoss(StrCat("version ", version));
    auto out = std::make_shared<Servable>();
    out->name = name;
    out->version = version;
    return std::shared_ptr<const Servable>(std::move(out));
  }

 private:
  const std::shared_ptr<Faults> faults_;
};

class ModelManagerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    manager_ = std::make_unique<ModelManager>(
        ManagerOptions{.poll_interval = std::chrono::milliseconds(1), .max_load_retries = 0},
        std::make_unique<FakeLoader>(faults_), RealFileSystem(), RealClock());
  }
  std::string Base(const std::string& name = "m") const { return JoinPath(root_.path(), name); }
  void Make(int64_t version, const std::string& name = "m") {
    ASSERT_TRUE(RealFileSystem().MakeDirectory(JoinPath(Base(name), StrCat(version))).ok());
  }
  void Drop(int64_t version) {
    ASSERT_TRUE(RealFileSystem().RemoveTree(JoinPath(Base(), StrCat(version))).ok());
  }
  ModelConfig Config(VersionPolicy policy = {}) const {
    return {.name = "m", .base_path = Base(), .platform = "tensorflow", .policy = policy};
  }
  Status Configure(const ModelConfig& config) {
    return manager_->Configure({config}, Cancellation());
  }
  void Break(std::set<int64_t> versions) {
    const std::lock_guard<std::mutex> lock(faults_->mu);
    faults_->broken = std::move(versions);
  }
  // Waits until the model's versions are in these states.
  void Await(const std::map<int64_t, VersionState>& want) {
    std::map<int64_t, VersionState> got;
    do {
      got.clear();
      const auto statuses = manager_->StatusOf("m", std::nullopt);
      if (statuses.ok())
        for (const VersionStatus& s : *statuses) got[s.version] = s.state;
      std::this_thread::yield();
    } while (got != want);
  }
  int64_t Latest() const {
    const auto found = manager_->Find({.name = "m", .version = {}, .label = {}});
    return found.ok() ? (*found)->version : -1;
  }

  TempDirectory root_;
  std::shared_ptr<Faults> faults_ = std::make_shared<Faults>();
  std::unique_ptr<ModelManager> manager_;
};

constexpr auto kAvailable = VersionState::kAvailable;
constexpr auto kEnd = VersionState::kEnd;

TEST(ChooseVersionsTest, FollowsThePolicy) {
  const std::map<int64_t, std::string> offered = {{1, "1"}, {2, "2"}, {10, "10"}};
  using Kind = VersionPolicy::Kind;
  EXPECT_THAT(ChooseVersions({}, offered, {}), ElementsAre(10));
  EXPECT_THAT(ChooseVersions({.kind = Kind::kLatest, .count = 2}, offered, {}), ElementsAre(2, 10));
  EXPECT_THAT(ChooseVersions({.kind = Kind::kAll}, offered, {}), ElementsAre(1, 2, 10));
  EXPECT_THAT(ChooseVersions({.kind = Kind::kSpecific, .versions = {2, 3}}, offered, {}),
              ElementsAre(2));
  EXPECT_THAT(ChooseVersions({.kind = Kind::kLatestOnce}, offered, {}), ElementsAre(10));
  EXPECT_THAT(ChooseVersions({.kind = Kind::kLatestOnce}, offered, 2), ElementsAre(2));
}

TEST_F(ModelManagerTest, ANewVersionReplacesTheOldOne) {
  Make(1);
  ASSERT_TRUE(Configure(Config()).ok());
  EXPECT_EQ(Latest(), 1);
  Make(2);
  Await({{1, kEnd}, {2, kAvailable}});
  EXPECT_EQ(Latest(), 2);
}

TEST_F(ModelManagerTest, AVersionEndsWithTheLastRequestThatHoldsIt) {
  Make(1);
  ASSERT_TRUE(Configure(Config()).ok());
  auto held = *manager_->Find({.name = "m", .version = {}, .label = {}});
  Make(2);
  Await({{1, VersionState::kUnloading}, {2, kAvailable}});
  EXPECT_EQ(held->version, 1);
  held = nullptr;
  Await({{1, kEnd}, {2, kAvailable}});
}

TEST_F(ModelManagerTest, ABrokenVersionLeavesTheOldOneServing) {
  Make(1);
  ASSERT_TRUE(Configure(Config()).ok());
  Break({2});
  Make(2);
  Await({{1, kAvailable}, {2, kEnd}});
  EXPECT_EQ(Latest(), 1);
  EXPECT_EQ((*manager_->StatusOf("m", 2))[0].status.code(), Code::kDataLoss);
}

TEST_F(ModelManagerTest, ABrokenVersionIsTriedAgainOnceItWasTakenAwayAndPutBack) {
  Make(1);
  ASSERT_TRUE(Configure(Config()).ok());
  Break({2});
  Make(2);
  Await({{1, kAvailable}, {2, kEnd}});
  Break({});
  Drop(2);
  // Only version 3 tells that the folder was looked at without 2.
  Make(3);
  Await({{1, kEnd}, {2, kEnd}, {3, kAvailable}});
  Drop(3);
  Make(2);
  Await({{1, kEnd}, {2, kAvailable}, {3, kEnd}});
}

TEST_F(ModelManagerTest, LatestOnceKeepsWhatItFound) {
  Make(4);
  ModelConfig config = Config({.kind = VersionPolicy::Kind::kLatestOnce});
  ASSERT_TRUE(Configure(config).ok());
  Make(5);
  Make(1, "other");
  // A second model whose version appears only with a later look at all folders.
  ModelConfig other = config;
  other.name = "other";
  other.base_path = Base("other");
  ASSERT_TRUE(manager_->Configure({config, other}, Cancellation()).ok());
  EXPECT_EQ(Latest(), 4);
}

TEST_F(ModelManagerTest, AModelThatIsNoLongerListedIsUnloaded) {
  Make(1);
  ASSERT_TRUE(Configure(Config()).ok());
  ASSERT_TRUE(manager_->Configure({}, Cancellation()).ok());
  Await({{1, kEnd}});
  EXPECT_EQ(manager_->Find({.name = "m", .version = {}, .label = {}}).status().message(),
            "Servable not found for request: Latest(m)");
}

TEST_F(ModelManagerTest, LabelsNeedAvailableVersions) {
  Make(1);
  ModelConfig config = Config();
  config.labels = {{"stable", 1}};
  const Status refused = Configure(config);
  EXPECT_EQ(refused.code(), Code::kFailedPrecondition);
  EXPECT_EQ(refused.message(),
            "Request to assign label to version 1 of model m, which is not currently available for "
            "inference");
  ASSERT_TRUE(Configure(Config()).ok());
  ASSERT_TRUE(Configure(config).ok());
  const auto found = manager_->Find({.name = "m", .version = {}, .label = "stable"});
  ASSERT_TRUE(found.ok());
  EXPECT_EQ((*found)->version, 1);
  EXPECT_EQ(manager_->Find({.name = "m", .version = {}, .label = "canary"}).status().message(),
            "Unrecognized servable version label: canary");
}

TEST_F(ModelManagerTest, AFirstVersionThatFailsFailsTheConfiguration) {
  Make(1);
  Break({1});
  const Status status = Configure(Config());
  EXPECT_EQ(status.code(), Code::kUnknown);
  EXPECT_EQ(status.message(),
            "1 servable(s) did not become available: {{{name: m version: 1} due to error: "
            "DATA_LOSS: version 1}, }");
}

TEST_F(ModelManagerTest, AWaitForAModelWithoutVersionsEndsWithItsCaller) {
  ASSERT_TRUE(RealFileSystem().MakeDirectory(Base()).ok());
  Cancellation cancellation;
  std::future<Status> configured =
      std::async(std::launch::async, [&] { return manager_->Configure({Config()}, cancellation); });
  cancellation.Cancel();
  EXPECT_EQ(configured.get().code(), Code::kCancelled);
}

TEST_F(ModelManagerTest, ConfigurationsAreCheckedBeforeAnythingChanges) {
  Make(1);
  ASSERT_TRUE(Configure(Config()).ok());
  ModelConfig bad = Config();
  EXPECT_THAT(manager_->Configure({bad, bad}, Cancellation()).message(),
              HasSubstr("Illegal to list model m multiple times in config list"));
  bad.platform = "megalith";
  EXPECT_THAT(Configure(bad).message(), HasSubstr("Illegal to change a model's platform"));
  bad = Config();
  bad.name = "n";
  bad.base_path = "relative";
  EXPECT_THAT(Configure(bad).message(),
              HasSubstr("Expected model n to have an absolute path or URI; got base_path()="));
  bad.platform = "caffe";
  EXPECT_THAT(Configure(bad).message(), HasSubstr("requests unsupported platform caffe"));
  EXPECT_EQ(Latest(), 1);
}

TEST_F(ModelManagerTest, AMissingFolderUnloadsNothing) {
  Make(1);
  ASSERT_TRUE(Configure(Config()).ok());
  ASSERT_TRUE(RealFileSystem().Rename(Base(), Base("away")).ok());
  Make(1, "other");
  ModelConfig other = Config();
  other.name = "other";
  other.base_path = Base("other");
  // Once this model is there, the folders have been looked at.
  ASSERT_TRUE(manager_->Configure({Config(), other}, Cancellation()).ok());
  EXPECT_EQ(Latest(), 1);
}

TEST(FindModelsTest, TellsModelsFromVersionsAndPrograms) {
  TempDirectory root;
  FileSystem& files = RealFileSystem();
  ASSERT_TRUE(files.MakeDirectory(JoinPath(root.path(), "all/a/1")).ok());
  ASSERT_TRUE(files.MakeDirectory(JoinPath(root.path(), "all/empty")).ok());
  ASSERT_TRUE(files.WriteAtomically(JoinPath(root.path(), "all/b.jaxexp"), "x").ok());
  ASSERT_TRUE(files.WriteAtomically(JoinPath(root.path(), "all/notes.txt"), "x").ok());
  const auto names = [&](const std::string& path) {
    std::vector<std::string> out;
    const auto found = FindModels(files, JoinPath(root.path(), path));
    EXPECT_TRUE(found.ok()) << found.status().ToString();
    if (found.ok())
      for (const ModelConfig& model : *found) out.push_back(model.name);
    return out;
  };
  EXPECT_THAT(names("all"), UnorderedElementsAre("a", "b"));
  EXPECT_THAT(names("all/a"), ElementsAre("a"));
  EXPECT_EQ(FindModels(files, JoinPath(root.path(), "all/empty")).status().code(), Code::kNotFound);
}

}  // namespace
}  // namespace megalith::serving
