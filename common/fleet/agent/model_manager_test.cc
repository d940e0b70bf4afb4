#include "common/fleet/agent/model_manager.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/fleet/discovery/zookeeper/testing/zookeeper_fixture.h"
#include "common/foundation/base/strings.h"

namespace megalith::agent {
namespace {

using ::testing::ElementsAre;
using testing::Eventually;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class ModelManagerTest : public ::testing::Test {
 protected:
  ModelManagerTest() {
    options_.model_name = "rough";
    options_.source_path = JoinPath(directory_.path(), "p2p");
    options_.receive_path = JoinPath(directory_.path(), "models");
    options_.keep_versions = 2;
  }
  void Put(const std::string& path, std::string_view text = "") {
    const std::string full = JoinPath(options_.source_path, path);
    ASSERT_TRUE(RealFileSystem().MakeDirectory(full.substr(0, full.rfind('/'))).ok());
    ASSERT_TRUE(RealFileSystem().WriteAtomically(full, text).ok());
  }
  void Deliver(const std::string& version, bool done = true) {
    const std::string root = StrCat("rough@", version);
    for (const char* sub_model : {"ps_0", "entry"}) {
      Put(StrCat(root, "/rough/", sub_model, "/", version, "/a/b"), version);
    }
    if (done) Put(StrCat(root, ".write.done"));
  }
  std::vector<std::string> Served(const std::string& path) {
    std::vector<std::string> out;
    const auto entries = RealFileSystem().List(JoinPath(options_.receive_path, path));
    if (entries.ok()) {
      for (const FileInfo& entry : *entries) out.push_back(entry.name);
    }
    return out;
  }
  std::vector<std::string> Sources() {
    std::vector<std::string> out;
    const auto entries = RealFileSystem().List(options_.source_path);
    for (const FileInfo& entry : *entries) out.push_back(entry.name);
    return out;
  }
  TempDirectory directory_;
  ModelManagerOptions options_;
};

TEST_F(ModelManagerTest, CopiesTheLastCompleteVersion) {
  Deliver("100");
  Deliver("200");
  Deliver("300", /*done=*/false);
  Put("other@400.write.done");
  Put("rough@1@2/x");
  Put("rough@1@2.write.done");
  const auto manager = *ModelManager::Make(options_);
  EXPECT_EQ(*manager->LoopOnce(), 1);
  EXPECT_TRUE(manager->ready());
  EXPECT_THAT(Served("rough"), ElementsAre("entry", "ps_0"));
  EXPECT_THAT(Served("rough/ps_0"), ElementsAre("200"));
  EXPECT_EQ(*RealFileSystem().Read(JoinPath(options_.receive_path, "rough/ps_0/200/a/b")), "200");
  EXPECT_EQ(*manager->LoopOnce(), 0);
  // An older one that comes late is of no use.
  Deliver("150");
  EXPECT_EQ(*manager->LoopOnce(), 0);
  EXPECT_THAT(Sources(), ::testing::Not(::testing::Contains(HasSubstr(".read.lock"))));
}

TEST_F(ModelManagerTest, KeepsTheLastVersions) {
  const auto manager = [this] {
    Deliver("1");
    return *ModelManager::Make(options_);
  }();
  for (const char* version : {"1", "2", "3"}) {
    Deliver(version);
    EXPECT_EQ(*manager->LoopOnce(), 1);
  }
  EXPECT_THAT(Served("rough/ps_0"), ElementsAre("2", "3"));
  EXPECT_THAT(Served("rough/entry"), ElementsAre("2", "3"));
}

TEST_F(ModelManagerTest, VersionThatIsNotWholeIsNotSeen) {
  Deliver("1");
  Put("rough@1/rough/ps_1/2/a");  // lacks the directory of version 1
  const auto manager = *ModelManager::Make(options_);
  EXPECT_FALSE(manager->LoopOnce().ok());
  EXPECT_FALSE(manager->ready());
  for (const char* sub_model : {"ps_0", "ps_1", "entry"}) {
    EXPECT_THAT(Served(StrCat("rough/", sub_model)), IsEmpty()) << sub_model;
  }
  Put("rough@1/rough/ps_1/1/a");
  EXPECT_EQ(*manager->LoopOnce(), 1);
}

// What a run that was killed has left is copied again.
TEST_F(ModelManagerTest, LeftoversAreNotServed) {
  Deliver("1");
  const auto manager = *ModelManager::Make(options_);
  const std::string leftover = JoinPath(options_.receive_path, "rough/ps_0/1-temp");
  ASSERT_TRUE(RealFileSystem().MakeDirectory(leftover).ok());
  EXPECT_EQ(*manager->LoopOnce(), 1);
  EXPECT_THAT(Served("rough/ps_0"), ElementsAre("1"));
  EXPECT_EQ(*RealFileSystem().Read(JoinPath(options_.receive_path, "rough/ps_0/1/a/b")), "1");
}

// D11.
TEST_F(ModelManagerTest, LocksOfOthersStay) {
  Deliver("1");
  Put("rough@1.read.lock");
  Put("x.read.lock");
  EXPECT_EQ(*(*ModelManager::Make(options_))->LoopOnce(), 1);
  EXPECT_THAT(Sources(),
              ElementsAre("rough@1", "rough@1.read.lock", "rough@1.write.done", "x.read.lock"));
}

TEST_F(ModelManagerTest, WhatWasReceivedBeforeIsRemovedAtTheStart) {
  ASSERT_TRUE(RealFileSystem().MakeDirectory(JoinPath(options_.receive_path, "old")).ok());
  (void)*ModelManager::Make(options_);
  EXPECT_THAT(Served(""), IsEmpty());
}

TEST_F(ModelManagerTest, PathsThatHoldEachOtherAreRefused) {
  for (const auto& [source, receive] :
       {std::pair("/a/b", "/a"), std::pair("/a", "/a/b"), std::pair("/a", "/"), std::pair("/a", ""),
        std::pair("", "/b"), std::pair("/a", "b"), std::pair("/a", "/b/../../a")}) {
    options_.source_path = source;
    options_.receive_path = receive;
    EXPECT_EQ(ModelManager::Make(options_).status().code(), Code::kFailedPrecondition)
        << source << " " << receive;
  }
}

TEST_F(ModelManagerTest, WaitsForItsFirstVersion) {
  options_.first_interval = std::chrono::milliseconds(1);
  options_.wait_limit = std::chrono::milliseconds(0);
  const auto manager = *ModelManager::Make(options_);
  EXPECT_FALSE(manager->LoopOnce().ok());  // the source is not there yet
  manager->Start();
  Deliver("1");
  Eventually([&] { return manager->ready(); });
}

}  // namespace
}  // namespace megalith::agent
