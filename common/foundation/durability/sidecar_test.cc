#include "common/foundation/durability/sidecar.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "common/foundation/base/rng.h"
#include "common/foundation/base/strings.h"

namespace megalith::durability {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string RandomBytes(size_t n, Rng& rng) {
  std::string out(n, '\0');
  for (char& c : out) c = static_cast<char>(rng.Next());
  return out;
}

void Flip(std::string* bytes, size_t at) { (*bytes)[at] = static_cast<char>((*bytes)[at] ^ 0x40); }

// Promised by docs/formats/raptorq-sidecar.md.
TEST(SidecarTest, GoldenBytes) {
  const std::string sidecar = *MakeSidecar("hello", {.overhead = 0.1, .min_burst_bytes = 0});
  EXPECT_EQ(sidecar.size(), 2 * 96 + 2 * 8 + 5 * (8 + 64u));
  EXPECT_EQ(Sha256::Of(sidecar).Hex(),
            "a30805a8dde3cf03b07138120996301e865a8fe0127dcb006f55daa149b0cf63");
}

TEST(SidecarTest, SizeIsKnownBeforehand) {
  Rng rng(1);
  for (const size_t n : {1u, 63u, 64u, 65u, 5'000u, 70'000u, 1'000'000u}) {
    for (const double overhead : {0.01, 0.1, 1.0}) {
      const SidecarOptions options{.overhead = overhead};
      const std::string sidecar = *MakeSidecar(RandomBytes(n, rng), options);
      EXPECT_EQ(sidecar.size(), SidecarBytes(n, options)) << n;
      const SidecarReport report = *CheckSidecar(sidecar);
      EXPECT_TRUE(report.intact);
      EXPECT_EQ(report.good_repair_symbols, report.header.repair_symbols);
    }
  }
}

TEST(SidecarTest, ObjectsThatCannotHaveOneAreRefused) {
  EXPECT_EQ(MakeSidecar("").status().code(), Code::kInvalidArgument);
  EXPECT_EQ(MakeSidecar("x", {.overhead = 0}).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(MakeSidecar("x", {.overhead = 5}).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(SidecarBytes(uint64_t{1} << 40), 0u);
  EXPECT_EQ(SidecarBytes(0), 0u);
}

TEST(SidecarTest, WholeObjectsAreReturnedAsTheyAre) {
  Rng rng(2);
  const std::string object = RandomBytes(3000, rng);
  const Restored restored = *RestoreObject(object, *MakeSidecar(object));
  EXPECT_EQ(restored.object, object);
  EXPECT_THAT(restored.proof.damaged, IsEmpty());
  EXPECT_EQ(restored.proof.digest_before, restored.proof.digest_after);
}

TEST(SidecarTest, DamageUpToTheOverheadIsRepairedBitForBit) {
  const uint64_t seed = 20260309;
  Rng rng(seed);
  for (int round = 0; round < 150; ++round) {
    const size_t n = 1 + rng.Below(round < 100 ? 20'000 : 2'000'000);
    const std::string object = RandomBytes(n, rng);
    const SidecarOptions options{.overhead = 0.02 + 0.3 * rng.Uniform()};
    const std::string sidecar = *MakeSidecar(object, options);
    const SidecarHeader h = CheckSidecar(sidecar)->header;
    const uint32_t allowed = std::min(h.repair_symbols - kSpareSymbols, h.source_symbols);
    EXPECT_GE(allowed, static_cast<uint32_t>(options.overhead * h.source_symbols));
    std::set<uint32_t> hit;
    while (hit.size() < allowed) hit.insert(static_cast<uint32_t>(rng.Below(h.source_symbols)));
    std::string damaged = object;
    for (const uint32_t i : hit) {
      const size_t begin = size_t{i} * h.symbol_bytes;
      Flip(&damaged, begin + rng.Below(std::min<size_t>(h.symbol_bytes, n - begin)));
    }
    const auto restored = RestoreObject(damaged, sidecar);
    ASSERT_TRUE(restored.ok()) << restored.status().ToString() << " seed " << seed << " round "
                               << round;
    ASSERT_TRUE(restored->object == object) << "seed " << seed << " round " << round;
    EXPECT_EQ(restored->proof.damaged, std::vector<uint32_t>(hit.begin(), hit.end()));
    EXPECT_EQ(restored->proof.digest_before, Sha256::Of(damaged));
    EXPECT_EQ(restored->proof.digest_after, Sha256::Of(object));
  }
}

TEST(SidecarTest, ABurstOfADiskBlockIsRepairedInObjectsOfAnySize) {
  Rng rng(4);
  for (const size_t n : {100u, 4096u, 9000u, 300'000u}) {
    const std::string object = RandomBytes(n, rng);
    const std::string sidecar = *MakeSidecar(object, {.overhead = 0.001});
    for (int round = 0; round < 20; ++round) {
      std::string damaged = object;
      const size_t begin = n <= 4096 ? 0 : rng.Below(n - 4096);
      const size_t bytes = std::min<size_t>(n, 4096);
      damaged.replace(begin, bytes, bytes, '\0');
      ASSERT_TRUE(RestoreObject(damaged, sidecar)->object == object) << n << " at " << begin;
    }
  }
}

TEST(SidecarTest, LostAndSurplusBytesAtTheEndAreRepaired) {
  Rng rng(5);
  const std::string object = RandomBytes(100'001, rng);
  const std::string sidecar = *MakeSidecar(object);
  EXPECT_TRUE(RestoreObject(object.substr(0, 92'000), sidecar)->object == object);
  EXPECT_TRUE(RestoreObject(object + "surplus", sidecar)->object == object);
}

TEST(SidecarTest, MoreDamageThanRepairSymbolsIsDataLoss) {
  Rng rng(6);
  const std::string object = RandomBytes(100'000, rng);
  const std::string sidecar = *MakeSidecar(object);
  const Status lost = RestoreObject(object.substr(0, 50'000), sidecar).status();
  EXPECT_EQ(lost.code(), Code::kDataLoss);
  EXPECT_THAT(lost.message(), HasSubstr("symbols are damaged and only"));
  EXPECT_EQ(RestoreObject("", sidecar).status().code(), Code::kDataLoss);
}

TEST(SidecarTest, EveryFlippedByteOfTheSidecarIsFoundAndSurvived) {
  Rng rng(7);
  const std::string object = RandomBytes(2500, rng);
  const std::string sidecar = *MakeSidecar(object, {.overhead = 1, .min_burst_bytes = 0});
  std::string damaged = object;
  Flip(&damaged, 1111);
  for (size_t i = 0; i < sidecar.size(); ++i) {
    std::string s = sidecar;
    Flip(&s, i);
    ASSERT_FALSE(CheckSidecar(s)->intact) << i;
    const auto restored = RestoreObject(damaged, s);
    ASSERT_TRUE(restored.ok()) << i << ": " << restored.status().ToString();
    ASSERT_TRUE(restored->object == object) << i;
  }
}

TEST(SidecarTest, EveryTruncationGivesTheObjectOrDataLoss) {
  Rng rng(8);
  const std::string object = RandomBytes(2500, rng);
  const std::string sidecar = *MakeSidecar(object, {.overhead = 0.5});
  std::string damaged = object;
  Flip(&damaged, 77);
  size_t restored_count = 0;
  for (size_t n = 0; n < sidecar.size(); ++n) {
    const auto restored = RestoreObject(damaged, std::string_view(sidecar).substr(0, n));
    if (restored.ok()) {
      ASSERT_TRUE(restored->object == object) << n;
      ++restored_count;
    } else {
      ASSERT_EQ(restored.status().code(), Code::kDataLoss) << n;
    }
  }
  EXPECT_GT(restored_count, sidecar.size() / 2);
}

TEST(SidecarTest, DamagedDigestsCostRepairSymbolsOnly) {
  Rng rng(9);
  const std::string object = RandomBytes(64 * 200, rng);
  std::string sidecar = *MakeSidecar(object, {.overhead = 0.5});
  Flip(&sidecar, kSidecarHeaderBytes + 5);
  std::string damaged = object;
  Flip(&damaged, 64 * 100);
  const Restored restored = *RestoreObject(damaged, sidecar);
  EXPECT_TRUE(restored.object == object);
  EXPECT_THAT(restored.proof.damaged, ElementsAre(100));
  EXPECT_EQ(RangesText(restored.proof.unverifiable), "0-31");
}

TEST(SidecarTest, TheSidecarOfAnotherObjectNeverChangesAnything) {
  Rng rng(10);
  const std::string a = RandomBytes(10'000, rng);
  const std::string b = RandomBytes(10'000, rng);
  EXPECT_EQ(RestoreObject(a, *MakeSidecar(b)).status().code(), Code::kDataLoss);
}

TEST(SidecarTest, RangesAreShort) {
  EXPECT_EQ(RangesText({}), "");
  EXPECT_EQ(RangesText({3}), "3");
  EXPECT_EQ(RangesText({0, 1, 2, 5, 7, 8}), "0-2,5,7-8");
}

}  // namespace
}  // namespace megalith::durability
