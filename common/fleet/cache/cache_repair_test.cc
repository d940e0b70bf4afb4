// Damage, repair and scrub of the cache.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "common/fleet/cache/cache.h"
#include "common/fleet/cache/entry_file.h"
#include "common/fleet/cache/scrubber.h"
#include "common/foundation/base/rng.h"
#include "common/foundation/base/strings.h"
#include "common/foundation/telemetry/metric_table.h"
#include "tests/support/faulty_files.h"

namespace megalith::cache {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr double kOverhead = 0.1;

Key MakeKey(const std::string& program) {
  return KeyBuilder("executable").Add("program", program).Build();
}

std::string ValueOf(const std::string& program, size_t n = 60'000) {
  Rng rng(static_cast<uint64_t>(program[0]));
  std::string out(n, '\0');
  for (char& c : out) c = static_cast<char>(rng.Next());
  return out;
}

class CacheRepairTest : public ::testing::Test {
 protected:
  std::unique_ptr<Cache> Open(CacheOptions options = {.max_memory_bytes = 1,
                                                      .sidecar_overhead = kOverhead},
                              FileSystem& files = RealFileSystem()) {
    options.directory = directory_.path();
    auto cache = Cache::Open(options, metrics_, files);
    EXPECT_TRUE(cache.ok()) << cache.status().ToString();
    return *std::move(cache);
  }
  std::string PathOf(const std::string& folder, const Key& key) const {
    return StrCat(directory_.path(), "/", folder, "/", key.Hex().substr(0, 2), "/", key.Hex());
  }
  std::string EntryPath(const Key& key) const { return PathOf("objects", key); }
  std::string SidecarPath(const Key& key) const { return PathOf("sidecars", key); }
  static bool Exists(const std::string& path) { return RealFileSystem().Stat(path).ok(); }
  // Overwrites `bytes` bytes from `begin` on, and returns what the file was.
  static std::string Damage(const std::string& path, size_t begin, size_t bytes) {
    const std::string before = *RealFileSystem().Read(path);
    std::string after = before;
    for (size_t i = begin; i < begin + bytes && i < after.size(); ++i)
      after[i] = static_cast<char>(after[i] ^ 0x55);
    EXPECT_TRUE(RealFileSystem().WriteAtomically(path, after).ok());
    return before;
  }
  std::vector<std::string> Names(const std::string& folder) const {
    std::vector<std::string> names;
    const auto listing = RealFileSystem().List(JoinPath(directory_.path(), folder));
    if (!listing.ok()) return names;
    for (const FileInfo& file : *listing) names.push_back(file.name);
    return names;
  }
  uint64_t Repairs(const char* result) {
    return metrics_.GetCounter(telemetry::kCacheRepairs, {result}).value();
  }

  TempDirectory directory_;
  telemetry::MetricRegistry metrics_;
  Cancellation none_;
};

TEST_F(CacheRepairTest, ReadingADamagedEntryRestoresItBitForBit) {
  const Key key = MakeKey("p");
  const auto cache = Open();
  ASSERT_TRUE(cache->Put(key, ValueOf("p")).ok());
  const std::string file = Damage(EntryPath(key), 3000, 4096);
  const Entry entry = *cache->Get(key.digest);
  EXPECT_EQ(*entry.value, ValueOf("p"));
  EXPECT_EQ(*RealFileSystem().Read(EntryPath(key)), file);
  ASSERT_NE(entry.repair, nullptr);
  EXPECT_EQ(entry.repair->source, "sidecar");
  EXPECT_EQ(entry.repair->proof.digest_after, Sha256::Of(file));
  EXPECT_FALSE(entry.repair->proof.damaged.empty());
  EXPECT_EQ(cache->Get(key.digest)->repair, nullptr);
  EXPECT_EQ(Repairs("repaired"), 1u);
  EXPECT_EQ(cache->GetStats().corrupt, 0u);
}

TEST_F(CacheRepairTest, AProofFileTellsWhatWasDamagedAndUsed) {
  const Key key = MakeKey("p");
  const auto cache = Open();
  ASSERT_TRUE(cache->Put(key, ValueOf("p")).ok());
  const std::string file = Damage(EntryPath(key), 0, 1);
  const Entry entry = *cache->Get(key.digest);
  const std::string proof = *RealFileSystem().Read(entry.repair->proof_file);
  EXPECT_EQ(proof, RepairJson(*entry.repair));
  EXPECT_THAT(proof, HasSubstr(StrCat("\"key\": \"", key.Hex(), "\"")));
  EXPECT_THAT(proof, HasSubstr("\"damaged_symbols\": \"0\""));
  EXPECT_THAT(proof, HasSubstr(StrCat("\"sha256_after\": \"", Sha256::Of(file).Hex(), "\"")));
}

TEST_F(CacheRepairTest, AnyPositionOfDamageIsRepaired) {
  const Key key = MakeKey("p");
  const auto cache = Open();
  ASSERT_TRUE(cache->Put(key, ValueOf("p", 20'000)).ok());
  const size_t size = RealFileSystem().Read(EntryPath(key))->size();
  for (size_t begin = 0; begin < size; begin += 2777) {
    const std::string file = Damage(EntryPath(key), begin, 512);
    ASSERT_TRUE(cache->Get(key.digest).ok()) << begin;
    ASSERT_TRUE(*RealFileSystem().Read(EntryPath(key)) == file) << begin;
  }
}

TEST_F(CacheRepairTest, DamageBeyondTheOverheadIsPutAsideAndComputedAgain) {
  const Key key = MakeKey("p");
  const auto cache = Open();
  ASSERT_TRUE(cache->Put(key, ValueOf("p")).ok());
  Damage(EntryPath(key), 1000, 30'000);
  const std::string damaged = *RealFileSystem().Read(EntryPath(key));
  const auto computed =
      cache->GetOrCompute(key, none_, [](const Cancellation&) { return ValueOf("p"); });
  EXPECT_EQ(computed->source, Source::kRepaired);
  EXPECT_EQ(*cache->Get(key.digest)->value, ValueOf("p"));
  EXPECT_EQ(Repairs("quarantined"), 1u);
  ASSERT_THAT(Names("quarantine"), SizeIs(2));
  EXPECT_EQ(*RealFileSystem().Read(
                JoinPath(JoinPath(directory_.path(), "quarantine"), Names("quarantine")[0])),
            damaged);
  EXPECT_THAT(Names("proofs"), SizeIs(1));
  EXPECT_TRUE(Exists(SidecarPath(key)));
}

TEST_F(CacheRepairTest, WithoutASidecarDamageIsPutAside) {
  const Key key = MakeKey("p");
  const auto cache = Open({.max_memory_bytes = 1});
  ASSERT_TRUE(cache->Put(key, "value").ok());
  EXPECT_FALSE(Exists(SidecarPath(key)));
  Damage(EntryPath(key), 100, 1);
  EXPECT_EQ(cache->Get(key.digest).status().code(), Code::kDataLoss);
  EXPECT_EQ(cache->Get(key.digest).status().code(), Code::kNotFound);
  EXPECT_THAT(Names("quarantine"), SizeIs(1));
}

TEST_F(CacheRepairTest, TheMemoryTierRestoresWhatTheSidecarCannot) {
  const Key key = MakeKey("p");
  const auto cache = Open({.sidecar_overhead = kOverhead});
  ASSERT_TRUE(cache->Put(key, ValueOf("p")).ok());
  const std::string file = Damage(EntryPath(key), 0, 60'000);
  const Scrubbed scrubbed = cache->Scrub(key.digest);
  EXPECT_EQ(scrubbed.outcome, ScrubOutcome::kRepaired);
  EXPECT_EQ(scrubbed.repair->source, "memory");
  EXPECT_TRUE(*RealFileSystem().Read(EntryPath(key)) == file);
}

TEST_F(CacheRepairTest, ScrubRebuildsMissingAndDamagedSidecars) {
  const Key key = MakeKey("p");
  const auto cache = Open();
  ASSERT_TRUE(cache->Put(key, ValueOf("p")).ok());
  EXPECT_EQ(cache->Scrub(key.digest).outcome, ScrubOutcome::kGood);
  const std::string sidecar = Damage(SidecarPath(key), 5000, 1);
  EXPECT_EQ(cache->Scrub(key.digest).outcome, ScrubOutcome::kSidecarWritten);
  EXPECT_TRUE(*RealFileSystem().Read(SidecarPath(key)) == sidecar);
  ASSERT_TRUE(RealFileSystem().Remove(SidecarPath(key)).ok());
  EXPECT_EQ(cache->Scrub(key.digest).outcome, ScrubOutcome::kSidecarWritten);
  EXPECT_TRUE(*RealFileSystem().Read(SidecarPath(key)) == sidecar);
  EXPECT_EQ(cache->Scrub(MakeKey("q").digest).outcome, ScrubOutcome::kGone);
}

TEST_F(CacheRepairTest, DamageToBothFilesIsRepairedTogether) {
  const Key key = MakeKey("p");
  const auto cache = Open();
  ASSERT_TRUE(cache->Put(key, ValueOf("p")).ok());
  const std::string file = Damage(EntryPath(key), 8000, 200);
  const std::string sidecar = Damage(SidecarPath(key), 0, 96);
  EXPECT_EQ(cache->Scrub(key.digest).outcome, ScrubOutcome::kRepaired);
  EXPECT_TRUE(*RealFileSystem().Read(EntryPath(key)) == file);
  EXPECT_TRUE(*RealFileSystem().Read(SidecarPath(key)) == sidecar);
}

TEST_F(CacheRepairTest, SidecarsCountInTheBudgetAndGoWithTheirEntries) {
  const auto cache = Open();
  for (const char* p : {"0", "1", "2"}) ASSERT_TRUE(cache->Put(MakeKey(p), ValueOf(p)).ok());
  const Stats stats = cache->GetStats();
  uint64_t bytes = 0;
  for (const char* p : {"0", "1", "2"}) {
    bytes += RealFileSystem().Stat(EntryPath(MakeKey(p)))->size +
             RealFileSystem().Stat(SidecarPath(MakeKey(p)))->size;
  }
  EXPECT_EQ(stats.disk_bytes, bytes);
  EXPECT_EQ(stats.sidecar_bytes, bytes - 3 * RealFileSystem().Stat(EntryPath(MakeKey("0")))->size);
  EXPECT_EQ(cache->EvictTo(bytes - 1).freed_bytes, bytes / 3);
  EXPECT_FALSE(Exists(SidecarPath(MakeKey("0"))));
  EXPECT_EQ(cache->Remove({MakeKey("1").digest}).removed, 1u);
  EXPECT_FALSE(Exists(SidecarPath(MakeKey("1"))));
  EXPECT_EQ(cache->GetStats().disk_bytes, bytes / 3);
}

TEST_F(CacheRepairTest, ReopeningCountsSidecarsAndRemovesThoseWithoutEntries) {
  uint64_t bytes = 0;
  {
    const auto cache = Open();
    ASSERT_TRUE(cache->Put(MakeKey("p"), ValueOf("p")).ok());
    ASSERT_TRUE(cache->Put(MakeKey("q"), ValueOf("q")).ok());
    bytes = cache->GetStats().disk_bytes;
  }
  ASSERT_TRUE(RealFileSystem().Remove(EntryPath(MakeKey("q"))).ok());
  const auto cache = Open();
  EXPECT_EQ(cache->GetStats().disk_bytes, bytes / 2);
  EXPECT_FALSE(Exists(SidecarPath(MakeKey("q"))));
  EXPECT_THAT(cache->Keys(/*without_sidecar=*/true), IsEmpty());
}

TEST_F(CacheRepairTest, ASmallEntryThatWasCutOffIsRestoredAfterARestart) {
  const Key key = MakeKey("p");
  {
    const auto cache = Open();
    ASSERT_TRUE(cache->Put(key, "value").ok());
  }
  ASSERT_TRUE(RealFileSystem().Truncate(EntryPath(key), 0).ok());
  EXPECT_EQ(*Open()->Get(key.digest)->value, "value");
}

TEST_F(CacheRepairTest, AnEntryIsNotEvictedForItsOwnSidecar) {
  const uint64_t one = EncodeEntry(MakeKey("p"), 0, ValueOf("p")).size();
  const auto cache =
      Open({.max_disk_bytes = one + 100, .max_memory_bytes = 1, .sidecar_overhead = kOverhead});
  ASSERT_TRUE(cache->Put(MakeKey("p"), ValueOf("p")).ok());
  EXPECT_TRUE(cache->Contains(MakeKey("p").digest));
  EXPECT_FALSE(Exists(SidecarPath(MakeKey("p"))));
}

// A cache with entries, of which one is damaged a little, one too much, and one has lost its
// sidecar, does all kinds of writes; the machine stops at each of them in turn. Afterwards
// everything that was acknowledged is there.
TEST_F(CacheRepairTest, ACrashAtAnyPointOfAWriteLeavesAUsableCache) {
  using Crash = testing::FaultyFiles::Crash;
  constexpr size_t kBytes = 9000;
  {
    const auto cache = Open();
    for (const std::string p : {"a", "b", "c"})
      ASSERT_TRUE(cache->Put(MakeKey(p), ValueOf(p, kBytes)).ok());
  }
  Damage(EntryPath(MakeKey("a")), 500, 300);
  Damage(EntryPath(MakeKey("b")), 0, kBytes);
  ASSERT_TRUE(RealFileSystem().Remove(SidecarPath(MakeKey("c"))).ok());
  const TempDirectory original;
  std::filesystem::copy(directory_.path(), original.path(),
                        std::filesystem::copy_options::recursive);
  // kBefore leaves what kAfter does one operation earlier.
  for (const Crash crash : {Crash::kTorn, Crash::kAfter}) {
    bool crashed = true;
    for (uint64_t operations = 0; crashed; ++operations) {
      SCOPED_TRACE(StrCat("crash ", static_cast<int>(crash), " after ", operations));
      ASSERT_TRUE(RealFileSystem().RemoveTree(directory_.path()).ok());
      std::filesystem::copy(original.path(), directory_.path(),
                            std::filesystem::copy_options::recursive);
      std::set<std::string> acknowledged = {"a", "c"};
      testing::FaultyFiles files;
      {
        const auto cache = Open({.max_memory_bytes = 1, .sidecar_overhead = kOverhead}, files);
        files.CrashAfter(operations, crash);
        for (const std::string p : {"d", "b"}) {
          for (const std::string q : {"a", "b", "c"}) (void)cache->Scrub(MakeKey(q).digest);
          const auto stored = cache->Put(MakeKey(p), ValueOf(p, kBytes));
          if (stored.ok() && !*stored) acknowledged.insert(p);
        }
        crashed = files.crashed();
      }
      const auto cache = Open();
      for (const std::string& p : acknowledged) {
        const auto entry = cache->Get(MakeKey(p).digest);
        ASSERT_TRUE(entry.ok()) << p << ": " << entry.status().ToString();
        ASSERT_TRUE(*entry->value == ValueOf(p, kBytes)) << p;
      }
      for (const std::string p : {"a", "b", "c", "d"}) {
        const auto computed = cache->GetOrCompute(
            MakeKey(p), none_, [&](const Cancellation&) { return ValueOf(p, kBytes); });
        ASSERT_TRUE(computed.ok() && computed->store_error.ok()) << p;
        ASSERT_NE(cache->Scrub(MakeKey(p).digest).outcome, ScrubOutcome::kUnreadable) << p;
        ASSERT_EQ(cache->Scrub(MakeKey(p).digest).outcome, ScrubOutcome::kGood) << p;
      }
    }
  }
}

class ScrubberTest : public CacheRepairTest {
 protected:
  // Without a bound on the rate.
  std::unique_ptr<Scrubber> Make(Cache& cache,
                                 ScrubOptions options = {.bytes_per_second = 1ull << 50}) {
    return std::make_unique<Scrubber>(cache, options, metrics_, [this](const Repair& r) {
      const std::lock_guard<std::mutex> lock(mu_);
      told_.push_back(r.key);
    });
  }
  static ScrubStatus WaitForEnd(const Scrubber& scrubber) {
    ScrubStatus status = scrubber.Progress();
    while (status.state != ScrubStatus::State::kIdle)
      status = scrubber.WaitForChange(status.version, std::chrono::seconds(10));
    return status;
  }
  static uint64_t Count(const ScrubStatus& status, ScrubOutcome outcome) {
    return status.outcomes[static_cast<size_t>(outcome)];
  }
  std::mutex mu_;
  std::vector<Sha256Digest> told_;
};

TEST_F(ScrubberTest, APassRepairsQuarantinesAndRebuilds) {
  const auto cache = Open();
  for (int i = 0; i < 6; ++i) ASSERT_TRUE(cache->Put(MakeKey(StrCat(i)), ValueOf(StrCat(i))).ok());
  Damage(EntryPath(MakeKey("1")), 100, 2000);
  Damage(EntryPath(MakeKey("2")), 100, 50'000);
  Damage(SidecarPath(MakeKey("3")), 100, 10);
  const auto scrubber = Make(*cache);
  EXPECT_EQ(scrubber->Start(), 1u);
  const ScrubStatus status = WaitForEnd(*scrubber);
  EXPECT_EQ(status.entries_done, 6u);
  EXPECT_EQ(Count(status, ScrubOutcome::kGood), 3u);
  EXPECT_EQ(Count(status, ScrubOutcome::kRepaired), 1u);
  EXPECT_EQ(Count(status, ScrubOutcome::kQuarantined), 1u);
  EXPECT_EQ(Count(status, ScrubOutcome::kSidecarWritten), 1u);
  EXPECT_THAT(status.repairs, SizeIs(2));
  EXPECT_GT(status.bytes_done, 300'000u);
  EXPECT_THAT(told_, SizeIs(2));
  scrubber->Start();
  const ScrubStatus again = WaitForEnd(*scrubber);
  EXPECT_EQ(again.pass, 2u);
  EXPECT_EQ(Count(again, ScrubOutcome::kGood), 5u);
}

TEST_F(ScrubberTest, SidecarsOfNewEntriesAreWrittenInTheBackground) {
  const auto cache = Open();
  const auto scrubber = Make(*cache);
  ASSERT_TRUE(cache->Put(MakeKey("p"), ValueOf("p")).ok());
  scrubber->WaitForSidecars();
  EXPECT_TRUE(Exists(SidecarPath(MakeKey("p"))));
}

TEST_F(ScrubberTest, EntriesThatACrashLeftWithoutSidecarsGetThemAtTheStart) {
  {
    const auto cache = Open({.max_memory_bytes = 1});
    ASSERT_TRUE(cache->Put(MakeKey("p"), ValueOf("p")).ok());
  }
  const auto cache = Open();
  const auto scrubber = Make(*cache);
  scrubber->WaitForSidecars();
  EXPECT_TRUE(Exists(SidecarPath(MakeKey("p"))));
}

TEST_F(ScrubberTest, APausedPassWaitsAndAStoppedOneEnds) {
  const auto cache = Open();
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(cache->Put(MakeKey(StrCat(i)), "value").ok());
  const auto scrubber = Make(*cache);
  scrubber->Pause();
  scrubber->Start();
  EXPECT_EQ(scrubber->Progress().state, ScrubStatus::State::kPaused);
  EXPECT_EQ(scrubber->Progress().entries_done, 0u);
  EXPECT_EQ(scrubber->Start(), 1u);
  scrubber->Resume();
  EXPECT_EQ(WaitForEnd(*scrubber).entries_done, 3u);
  scrubber->Pause();
  scrubber->Start();
  scrubber->Stop();
  EXPECT_TRUE(scrubber->Progress().stopped);
  EXPECT_EQ(scrubber->Progress().entries_done, 0u);
}

TEST_F(ScrubberTest, TheRateHoldsBackAndCanBeRaised) {
  const auto cache = Open();
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(cache->Put(MakeKey(StrCat(i)), ValueOf("v")).ok());
  const auto scrubber = Make(*cache, {.bytes_per_second = 1});
  scrubber->Start();
  ScrubStatus status = scrubber->Progress();
  while (status.entries_done == 0)
    status = scrubber->WaitForChange(status.version, std::chrono::seconds(10));
  // Tens of thousands of seconds are due for what was read.
  EXPECT_EQ(status.entries_done, 1u);
  EXPECT_EQ(status.state, ScrubStatus::State::kRunning);
  scrubber->SetRate(1ull << 50);
  EXPECT_EQ(WaitForEnd(*scrubber).entries_done, 3u);
}

TEST_F(ScrubberTest, PassesFollowEachOtherByThemselves) {
  const auto cache = Open();
  ASSERT_TRUE(cache->Put(MakeKey("p"), "value").ok());
  const auto scrubber =
      Make(*cache, {.bytes_per_second = 1ull << 50, .interval = std::chrono::milliseconds(1)});
  ScrubStatus status = scrubber->Progress();
  while (status.pass < 3)
    status = scrubber->WaitForChange(status.version, std::chrono::seconds(10));
}

TEST_F(ScrubberTest, APassOverNothingEndsAtOnce) {
  const auto cache = Open();
  const auto scrubber = Make(*cache);
  EXPECT_EQ(scrubber->Start(), 1u);
  EXPECT_EQ(scrubber->Progress().state, ScrubStatus::State::kIdle);
  EXPECT_FALSE(scrubber->Progress().stopped);
}

}  // namespace
}  // namespace megalith::cache
