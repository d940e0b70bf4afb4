#include "common/fleet/agent/model_info.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/foundation/base/strings.h"

namespace megalith::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ModelInfoTest : public ::testing::Test {
 protected:
  void Put(const std::string& path, std::string_view text = "") {
    const std::string full = JoinPath(directory_.path(), path);
    ASSERT_TRUE(RealFileSystem().MakeDirectory(full.substr(0, full.rfind('/'))).ok());
    ASSERT_TRUE(RealFileSystem().WriteAtomically(full, text).ok());
  }
  std::vector<std::string> Info(const std::string& checkpoint = "",
                                std::optional<int64_t> version = std::nullopt) {
    const auto parts =
        ExportedSubModels(directory_.path() + "/exported/", checkpoint, version, RealFileSystem());
    if (!parts.ok()) return {parts.status().ToString()};
    std::vector<std::string> out;
    for (const SubModel& part : *parts) {
      out.push_back(StrCat(part.name, " ", part.bytes, " ",
                           part.version_path.substr(directory_.path().size())));
    }
    return out;
  }
  TempDirectory directory_;
};

TEST_F(ModelInfoTest, HighestCommonVersionAndItsSizes) {
  for (const char* version : {"9", "10", "11"}) {
    Put(StrCat("exported/ps_0/", version, "/v/a"), "12345");
    if (version != std::string("11")) Put(StrCat("exported/entry/", version, "/b"), "123");
  }
  Put("exported/.hidden/9/x", "1");
  Put("exported/entry/temp/x", "1");
  EXPECT_THAT(Info(), ElementsAre("entry 3 /exported/entry/10", "ps_0 5 /exported/ps_0/10"));
  EXPECT_THAT(Info("", 9), ElementsAre("entry 3 /exported/entry/9", "ps_0 5 /exported/ps_0/9"));
  EXPECT_THAT(Info("", 12), ElementsAre(HasSubstr("NOT_FOUND")));
}

TEST_F(ModelInfoTest, VersionOfTheCheckpointsStepAndItsAssets) {
  Put("checkpoint",
      "model_checkpoint_path: \"model.ckpt-61\"\nall_model_checkpoint_paths: \"model.ckpt-30\"\n");
  for (const char* part : {"entry", "ps_0"}) {
    Put(StrCat("exported/", part, "/100/a"), "1");
    Put(StrCat("exported/", part, "/200/a"), "12");
    Put(StrCat("exported/", part, "/ExportSaverListenerState"),
        "entries {\n  export_dir: \"/x/100\"\n  global_step: 30\n}\n"
        "entries {\n  export_dir: \"/x/200/\"\n  global_step: 61\n}\n");
  }
  Put("model.ckpt-61.assets/table_0-00000-of-00002", "1234567890");
  Put("model.ckpt-61.assets/table_7-00000-of-00002", "1");
  Put("model.ckpt-61.assets/other", "1");
  EXPECT_THAT(Info(), ElementsAre("entry 2 /exported/entry/200", "ps_0 12 /exported/ps_0/200"));
  EXPECT_THAT(Info("model.ckpt-30"),
              ElementsAre("entry 1 /exported/entry/100", "ps_0 1 /exported/ps_0/100"));
  Put("exported/ps_0/ExportSaverListenerState",
      "entries { export_dir: \"/x/100\" global_step: 61 }");
  EXPECT_THAT(Info(), ElementsAre(HasSubstr("ps_0 has version 100 of step 61")));
}

TEST_F(ModelInfoTest, WhatIsNotThereIsAnError) {
  EXPECT_THAT(Info(), ElementsAre(HasSubstr("NOT_FOUND")));
  Put("exported/x", "");
  EXPECT_THAT(Info(), ElementsAre(HasSubstr("has no sub-model")));
  Put("exported/a/1/x", "");
  Put("exported/b/2/x", "");
  EXPECT_THAT(Info(), ElementsAre(HasSubstr("no version that every sub-model has")));
}

}  // namespace
}  // namespace megalith::agent
