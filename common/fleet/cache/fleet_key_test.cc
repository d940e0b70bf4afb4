#include "common/fleet/cache/fleet_key.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "common/foundation/base/sha256.h"

namespace megalith::cache {
namespace {

using ::testing::HasSubstr;

const std::string kKey(64, '7');

class FleetKeyTest : public ::testing::Test {
 protected:
  std::string Path(std::string_view name) const { return JoinPath(directory_.path(), name); }
  FleetKey Of(std::string_view name, std::string_view secret) {
    EXPECT_TRUE(files_.WriteAtomically(Path(name), secret).ok());
    auto key = FleetKey::Read(Path(name), files_);
    EXPECT_TRUE(key.ok()) << key.status().ToString();
    return *key;
  }

  TempDirectory directory_;
  FileSystem& files_ = RealFileSystem();
};

TEST_F(FleetKeyTest, OpensWhatItSealed) {
  const FleetKey key = Of("a", std::string(32, 'a'));
  for (const std::string& value : {std::string(), std::string("package"), std::string(5000, 'x')}) {
    const std::string sealed = key.Seal(kKey, value);
    EXPECT_EQ(sealed.size(), value.size() + kSealBytes);
    const auto opened = key.Open(kKey, sealed);
    ASSERT_TRUE(opened.ok()) << opened.status().ToString();
    EXPECT_EQ(*opened, value);
    EXPECT_EQ(WithoutSeal(sealed), value);
  }
}

// The bytes of a seal: persistent.
TEST_F(FleetKeyTest, SealsAreWhatTheyWere) {
  const std::string sealed = Of("a", std::string(32, 'a')).Seal(kKey, "package");
  EXPECT_EQ(Sha256::Of(sealed).Hex(),
            "bc2db37a096acc70417c9fa5c2804e1762a2c7af6667f00800adc3d998613e38");
}

TEST_F(FleetKeyTest, RefusesWhatOthersSealed) {
  const FleetKey key = Of("a", std::string(32, 'a'));
  const std::string theirs = Of("b", std::string(32, 'b')).Seal(kKey, "package");
  EXPECT_EQ(key.Open(kKey, theirs).status().code(), Code::kDataLoss);
  EXPECT_THAT(key.Open(kKey, theirs).status().message(), HasSubstr("another fleet"));
}

TEST_F(FleetKeyTest, RefusesWhatNobodySealed) {
  const FleetKey key = Of("a", std::string(32, 'a'));
  for (const std::string& bytes : {std::string(), std::string("package"), std::string(100, 'x')}) {
    EXPECT_EQ(key.Open(kKey, bytes).status().code(), Code::kDataLoss);
    EXPECT_EQ(WithoutSeal(bytes), bytes);
  }
}

// A package of one program under the key of another would give its results.
TEST_F(FleetKeyTest, RefusesThePackageOfAnotherProgram) {
  const FleetKey key = Of("a", std::string(32, 'a'));
  const std::string sealed = key.Seal(kKey, "package");
  EXPECT_EQ(key.Open(std::string(64, '8'), sealed).status().code(), Code::kDataLoss);
  EXPECT_EQ(key.Open("", sealed).status().code(), Code::kDataLoss);
}

TEST_F(FleetKeyTest, RefusesEveryChangedByte) {
  const FleetKey key = Of("a", std::string(32, 'a'));
  const std::string sealed = key.Seal(kKey, "package");
  for (size_t i = 0; i < sealed.size(); ++i) {
    std::string changed = sealed;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    EXPECT_FALSE(key.Open(kKey, changed).ok()) << i;
    EXPECT_FALSE(key.Open(kKey, sealed.substr(0, i)).ok()) << i;
  }
}

TEST_F(FleetKeyTest, WithoutASecretNothingIsSealed) {
  const FleetKey none;
  EXPECT_FALSE(none.present());
  EXPECT_EQ(none.Seal(kKey, "package"), "package");
  EXPECT_EQ(none.Open(kKey, "package").status().code(), Code::kFailedPrecondition);
}

TEST_F(FleetKeyTest, LineEndsAreNotPartOfTheSecret) {
  const std::string sealed = Of("a", std::string(32, 'a')).Seal(kKey, "package");
  EXPECT_TRUE(Of("b", std::string(32, 'a') + " \r\n").Open(kKey, sealed).ok());
}

TEST_F(FleetKeyTest, RefusesShortSecretsAndSaysHowToMakeOne) {
  ASSERT_TRUE(files_.WriteAtomically(Path("short"), std::string(31, 'a') + "\n").ok());
  const auto key = FleetKey::Read(Path("short"), files_);
  EXPECT_EQ(key.status().code(), Code::kInvalidArgument);
  EXPECT_THAT(key.status().message(), HasSubstr("openssl rand -hex 32"));
  EXPECT_EQ(FleetKey::Read(Path("absent"), files_).status().code(), Code::kNotFound);
}

TEST_F(FleetKeyTest, WhatItMakesStaysAndIsPrivate) {
  const auto made = FleetKey::ReadOrMake(Path("fleet.key"), files_);
  ASSERT_TRUE(made.ok()) << made.status().ToString();
  const auto again = FleetKey::ReadOrMake(Path("fleet.key"), files_);
  EXPECT_TRUE(again->Open(kKey, made->Seal(kKey, "package")).ok());
  struct stat info{};
  ASSERT_EQ(::stat(Path("fleet.key").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0077, 0u);
  const auto other = FleetKey::ReadOrMake(Path("other.key"), files_);
  EXPECT_FALSE(other->Open(kKey, made->Seal(kKey, "package")).ok());
}

// A short one is not replaced behind the operator's back.
TEST_F(FleetKeyTest, DoesNotReplaceAKeyThatIsWrong) {
  ASSERT_TRUE(files_.WriteAtomically(Path("fleet.key"), "x").ok());
  EXPECT_EQ(FleetKey::ReadOrMake(Path("fleet.key"), files_).status().code(),
            Code::kInvalidArgument);
  EXPECT_EQ(*files_.Read(Path("fleet.key")), "x");
}

}  // namespace
}  // namespace megalith::cache
