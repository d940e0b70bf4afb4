#include "common/foundation/durability/bundle.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "common/foundation/base/rng.h"
#include "common/foundation/base/strings.h"

namespace megalith::durability {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class BundleTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Rng rng(1);
    for (const auto& [name, n] : std::map<std::string, size_t>{
             {"a.txt", 3000}, {"b/c.bin", 40'000}, {"b/d.bin", 1}, {"empty", 0}, {"z", 20'000}}) {
      std::string bytes(n, '\0');
      for (char& c : bytes) c = static_cast<char>(rng.Next());
      Write(name, bytes);
      names_.push_back(name);
      contents_[name] = bytes;
    }
    sidecar_ = *MakeBundleSidecar(files_, directory_.path(), names_, {.overhead = 0.1});
  }
  std::string Path(const std::string& name) const { return JoinPath(directory_.path(), name); }
  void Write(const std::string& name, const std::string& bytes) {
    const std::string path = Path(name);
    ASSERT_TRUE(files_.MakeDirectory(path.substr(0, path.rfind('/'))).ok());
    ASSERT_TRUE(files_.WriteAtomically(path, bytes).ok());
  }
  void ExpectWhole() {
    for (const std::string& name : names_)
      EXPECT_TRUE(*files_.Read(Path(name)) == contents_[name]) << name;
  }

  FileSystem& files_ = RealFileSystem();
  TempDirectory directory_;
  std::vector<std::string> names_;
  std::map<std::string, std::string> contents_;
  std::string sidecar_;
};

TEST_F(BundleTest, WholeFilesAreFoundWhole) {
  const BundleReport report = *CheckBundle(files_, directory_.path(), sidecar_);
  EXPECT_EQ(report.names, names_);
  EXPECT_THAT(report.damaged, IsEmpty());
  EXPECT_TRUE(report.sidecar_intact);
}

TEST_F(BundleTest, DamagedCutLengthenedAndMissingFilesAreRestored) {
  std::string z = contents_["z"];
  z.replace(5000, 700, 700, '!');
  Write("z", z);
  Write("b/c.bin", contents_["b/c.bin"].substr(0, 38'000));
  Write("a.txt", contents_["a.txt"] + "more");
  ASSERT_TRUE(files_.Remove(Path("b/d.bin")).ok());
  ASSERT_TRUE(files_.Remove(Path("empty")).ok());
  EXPECT_THAT(CheckBundle(files_, directory_.path(), sidecar_)->damaged,
              ElementsAre("a.txt", "b/c.bin", "b/d.bin", "empty", "z"));
  const BundleReport report = *RepairBundle(files_, directory_.path(), sidecar_);
  EXPECT_EQ(report.damaged.size(), 5u);
  EXPECT_FALSE(report.proof.damaged.empty());
  ExpectWhole();
  EXPECT_THAT(CheckBundle(files_, directory_.path(), sidecar_)->damaged, IsEmpty());
}

TEST_F(BundleTest, ALostDirectoryOfSmallFilesIsRestored) {
  ASSERT_TRUE(files_.Remove(Path("a.txt")).ok());
  EXPECT_TRUE(RepairBundle(files_, directory_.path(), sidecar_).ok());
  ExpectWhole();
}

TEST_F(BundleTest, TooMuchDamageChangesNothing) {
  ASSERT_TRUE(files_.Remove(Path("b/c.bin")).ok());
  EXPECT_EQ(RepairBundle(files_, directory_.path(), sidecar_).status().code(), Code::kDataLoss);
  EXPECT_FALSE(files_.Stat(Path("b/c.bin")).ok());
}

TEST_F(BundleTest, EitherIndexIsEnough) {
  for (const bool front : {true, false}) {
    Write("a.txt", "lost");
    std::string damaged = sidecar_;
    const size_t at = front ? 20 : damaged.size() - 20;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    const BundleReport report = *RepairBundle(files_, directory_.path(), damaged);
    EXPECT_FALSE(report.sidecar_intact);
    ExpectWhole();
  }
}

TEST_F(BundleTest, EveryTruncationIsAnErrorOrWhole) {
  for (size_t n = 0; n < sidecar_.size(); n += 97) {
    const auto report =
        CheckBundle(files_, directory_.path(), std::string_view(sidecar_).substr(0, n));
    if (report.ok()) {
      EXPECT_FALSE(report->sidecar_intact) << n;
    } else {
      EXPECT_EQ(report.status().code(), Code::kDataLoss) << n;
    }
  }
}

TEST_F(BundleTest, NamesOutsideOfTheDirectoryAreRefused) {
  for (const std::string name : {"", "/etc/passwd", "../x", "b/../../x", "b//d", "./a.txt"}) {
    EXPECT_EQ(MakeBundleSidecar(files_, directory_.path(), {name}, {}).status().code(),
              Code::kInvalidArgument)
        << name;
  }
}

}  // namespace
}  // namespace megalith::durability
