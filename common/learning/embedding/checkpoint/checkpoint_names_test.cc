#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/foundation/base/strings.h"
#include "common/learning/embedding/checkpoint/file_names.h"
#include "common/learning/embedding/checkpoint/md5.h"
#include "common/learning/embedding/checkpoint/publish.h"

namespace megalith::embedding {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class NamesTest : public ::testing::Test {
 protected:
  void Touch(const std::string& name) { ASSERT_TRUE(files_.WriteAtomically(At(name), "x").ok()); }
  std::string At(const std::string& name) const { return JoinPath(directory_.path(), name); }
  std::vector<std::string> Listing() {
    const auto listing = files_.List(directory_.path());
    std::vector<std::string> out;
    for (const FileInfo& file : *listing) out.push_back(file.name);
    return out;
  }

  TempDirectory directory_;
  FileSystem& files_ = RealFileSystem();
};

TEST_F(NamesTest, BaseNamesAreMonoliths) {
  EXPECT_EQ(SingleTableBase("MonolithHashTable_0cc175b9c0f1b6a831c399e269772661_3"),
            "MonolithHashTable_0cc175b9c0f1b6a831c399e269772661_3");
  EXPECT_EQ(SingleTableBase("scope/table:0"), "scope-table-0");
  EXPECT_EQ(NativeTableBase(2), "MonolithMultiHashTable_2");
  EXPECT_EQ(NativeTableBase(std::nullopt), "MonolithMultiHashTable_");
  EXPECT_EQ(MetaBase(NativeTableBase(2)), "MonolithMultiHashTable_2.meta");
  EXPECT_EQ(HashFilterBase(0), "hash_filter_0");
  EXPECT_EQ(AssetDirectory("/m/model.ckpt-7"), "/m/model.ckpt-7.assets");
  EXPECT_EQ(ShardFileName("t", 3, 4), "t-00003-of-00004");
}

// RFC 1321, appendix A.5.
TEST_F(NamesTest, Md5IsTheRfcs) {
  EXPECT_EQ(Md5Hex(""), "d41d8cd98f00b204e9800998ecf8427e");
  EXPECT_EQ(Md5Hex("message digest"), "f96b697d7cb7938d525a2f31aaf161d0");
  std::string digits;
  for (int i = 0; i < 8; ++i) digits += "1234567890";
  EXPECT_EQ(Md5Hex(digits), "57edf4a22be3c955ac49da2e2107b67a");
}

TEST_F(NamesTest, MergedTablesAreNamedAfterTheirFeatures) {
  EXPECT_THAT(MergedTableBases({"b", "a"}, 3),
              ElementsAre(StrCat("MonolithHashTable_", Md5Hex("a,b"), "_3")));
  EXPECT_THAT(MergedTableBases({"fc_slot_2", "fc_slot_10", "fc_slot_x"}, std::nullopt),
              ElementsAre(StrCat("MonolithHashTable_", Md5Hex("fc_slot_10,fc_slot_2,fc_slot_x")),
                          StrCat("MonolithHashTable_", Md5Hex("slot_10,slot_2,fc_slot_x"))));
}

TEST_F(NamesTest, StepsAreReadFromPrefixes) {
  EXPECT_EQ(*StepOf("/m-2/model.ckpt-1024"), 1024);
  EXPECT_EQ(*StepOf("model.ckpt"), 0);
  EXPECT_EQ(StepOf("model-ckpt").status().code(), Code::kInvalidArgument);
  EXPECT_EQ(StepOf("model.ckpt-").status().code(), Code::kInvalidArgument);
}

TEST_F(NamesTest, ShardCountsFollowTheRows) {
  EXPECT_EQ(ShardCount(0, std::nullopt), 1u);
  EXPECT_EQ(ShardCount(1'999'999, std::nullopt), 1u);
  EXPECT_EQ(ShardCount(2'000'000, std::nullopt), 2u);
  EXPECT_EQ(ShardCount(1'000'000'000'000, std::nullopt), 4u);
  EXPECT_EQ(ShardCount(5, 7), 7u);
  EXPECT_EQ(ShardCount(5, 0), 1u);
}

TEST_F(NamesTest, OnlyWholeShardNamesParse) {
  EXPECT_EQ(ParseShardFileName("t-00001-of-00004", "t"), (ShardName{1, 4}));
  for (const std::string bad :
       {"t-0001-of-00004", "t-00001-of-0004", "t-000001-of-00004", "t-00001-of-00004-tmp-12",
        "t-00001-of-00004x", "t00001-of-00004", "t-00001-0f-00004", "t-0000a-of-00004",
        "u-00001-of-00004", "t.meta-00001-of-00004", "t-00000-of-00000", "t", ""}) {
    EXPECT_FALSE(ParseShardFileName(bad, "t").has_value()) << bad;
  }
  EXPECT_TRUE(ParseShardFileName("t.meta-00001-of-00004", "t.meta").has_value());
}

TEST_F(NamesTest, ShardsAreFoundInOrderAmongOtherFiles) {
  for (const std::string name :
       {"t-00001-of-00002", "t-00000-of-00002", "t-00000-of-00002-tmp-77", "t_1-00000-of-00001",
        "t.meta-00000-of-00001", "t-00000-of-00002.sidecar", "t-notes"})
    Touch(name);
  EXPECT_THAT(*FindShards(files_, directory_.path(), "t"),
              ElementsAre(At("t-00000-of-00002"), At("t-00001-of-00002")));
}

TEST_F(NamesTest, IncompleteOrMixedShardsAreRefusedByName) {
  Touch("t-00000-of-00003");
  Touch("t-00002-of-00003");
  const Status missing = FindShards(files_, directory_.path(), "t").status();
  EXPECT_EQ(missing.code(), Code::kInvalidArgument);
  EXPECT_THAT(missing.message(), HasSubstr("t-00001-of-00003' is missing"));
  Touch("t-00001-of-00003");
  EXPECT_TRUE(FindShards(files_, directory_.path(), "t").ok());
  Touch("t-00000-of-00001");
  const Status mixed = FindShards(files_, directory_.path(), "t").status();
  EXPECT_EQ(mixed.code(), Code::kInvalidArgument);
  EXPECT_THAT(mixed.message(), HasSubstr("'t-00000-of-00001' and 't-00000-of-00003'"));
  Touch("u-00002-of-00002");
  EXPECT_THAT(FindShards(files_, directory_.path(), "u").status().message(),
              HasSubstr("is shard 2 of 2"));
  EXPECT_EQ(FindShards(files_, directory_.path(), "v").status().code(), Code::kNotFound);
  EXPECT_EQ(FindShards(files_, At("none"), "t").status().code(), Code::kNotFound);
}

TEST_F(NamesTest, TheFirstOfSeveralNamesWithFilesCounts) {
  Touch("b-00000-of-00001");
  Touch("c-00000-of-00001");
  const auto found = FindFirstBase(files_, directory_.path(), {"a", "b", "c"});
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found->base, "b");
  EXPECT_THAT(found->shards, ElementsAre(At("b-00000-of-00001")));
  const Status none = FindFirstBase(files_, directory_.path(), {"x", "y"}).status();
  EXPECT_EQ(none.code(), Code::kNotFound);
  EXPECT_THAT(none.message(), HasSubstr("x, y"));
}

TEST_F(NamesTest, AStagedFileIsThereOnceItIsPublished) {
  Rng rng(1);
  auto file = StagedFile::Create(files_, At("t-00000-of-00001"), rng);
  ASSERT_TRUE(file.ok());
  const std::string large(1 << 20, 'y');
  ASSERT_TRUE((*file)->Append("hello ").ok());
  ASSERT_TRUE((*file)->Append(large).ok());
  EXPECT_EQ(FindShards(files_, directory_.path(), "t").status().code(), Code::kNotFound);
  EXPECT_THAT(Listing(), ElementsAre(HasSubstr("t-00000-of-00001-tmp-")));
  ASSERT_TRUE((*file)->Publish().ok());
  EXPECT_THAT(Listing(), ElementsAre("t-00000-of-00001"));
  EXPECT_EQ(*files_.Read(At("t-00000-of-00001")), "hello " + large);
}

TEST_F(NamesTest, AnAbandonedStagedFileLeavesTheOldOneAlone) {
  Touch("t");
  Rng rng(1);
  {
    auto file = StagedFile::Create(files_, At("t"), rng);
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE((*file)->Append("new").ok());
  }
  EXPECT_THAT(Listing(), ElementsAre("t"));
  EXPECT_EQ(*files_.Read(At("t")), "x");
}

TEST_F(NamesTest, StaleTemporariesOfAllWritersAreRemovedAndNothingElse) {
  const std::vector<std::string> stale = {"hash_filter_0-00000-of-00007-tmp-18446744073709551615",
                                          "monolith_checkpoint.tmp.123.4", "t-tmp-1"};
  const std::vector<std::string> kept = {"-tmp-1",           "a.tmp.1", "a.tmp.b.c",
                                         "t-00000-of-00001", "t-tmp-",  "t-tmp-1x"};
  for (const std::string& name : stale) Touch(name);
  for (const std::string& name : kept) Touch(name);
  ASSERT_TRUE(files_.MakeDirectory(At("d-tmp-5")).ok());
  const auto removed = RemoveStaleTemporaries(files_, directory_.path());
  ASSERT_TRUE(removed.ok());
  EXPECT_EQ(*removed, stale);
  EXPECT_EQ(Listing().size(), kept.size() + 1);
  EXPECT_THAT(*RemoveStaleTemporaries(files_, At("none")), IsEmpty());
}

}  // namespace
}  // namespace megalith::embedding
