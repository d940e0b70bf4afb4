#include "common/fleet/cache/cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "common/fleet/cache/entry_file.h"
#include "common/foundation/base/rng.h"
#include "common/foundation/base/strings.h"
#include "common/foundation/telemetry/metric_table.h"

namespace megalith::cache {
namespace {

using ::testing::HasSubstr;

Key MakeKey(const std::string& program) {
  return KeyBuilder("executable").Add("program", program).Add("target", "cpu").Build();
}

// Keys are promised: a change would make every cache in the field useless.
TEST(KeyTest, GoldenKey) {
  const Key key = KeyBuilder("executable")
                      .Add("target", "cpu")
                      .Add("program", "module {}")
                      .Add("compiler_version", "0.1.0")
                      .Add("options", "")
                      .Build();
  EXPECT_EQ(key.Hex(), "f452e04b2155e61c275e3d60ce55f41625d289cc5b0d6e9dea01f0cd74f2754e");
}

TEST(KeyTest, OrderOfAddingDoesNotMatterAllElseDoes) {
  const Key key = KeyBuilder("k").Add("a", "1").Add("b", "2").Build();
  EXPECT_EQ(key, KeyBuilder("k").Add("b", "2").Add("a", "1").Build());
  EXPECT_EQ(key, KeyBuilder("k").AddDigest("a", Sha256::Of("1")).Add("b", "2").Build());
  EXPECT_FALSE(key == KeyBuilder("j").Add("a", "1").Add("b", "2").Build());
  EXPECT_FALSE(key == KeyBuilder("k").Add("a", "2").Add("b", "1").Build());
  EXPECT_FALSE(key == KeyBuilder("k").Add("a", "1").Build());
  EXPECT_FALSE(key == KeyBuilder("k").Add("a", "1").Add("c", "2").Build());
}

TEST(KeyTest, LongOrBinaryComponentsKeepOnlyTheirDigest) {
  const Key key =
      KeyBuilder("k").Add("a", std::string(300, 'x')).Add("b", "\xff").Add("c", "short").Build();
  EXPECT_EQ(key.components[0].text, "");
  EXPECT_EQ(key.components[1].text, "");
  EXPECT_EQ(key.components[2].text, "short");
}

TEST(KeyTest, ParseRejectsWhatIsNoKey) {
  EXPECT_EQ(*ParseKey(MakeKey("p").Hex()), MakeKey("p").digest);
  for (const std::string bad : {"", "12", "zz"}) EXPECT_FALSE(ParseKey(bad).ok());
  EXPECT_FALSE(ParseKey(std::string(64, 'G')).ok());
  EXPECT_FALSE(ParseKey(AsciiLower(MakeKey("p").Hex()) + "0").ok());
}

TEST(KeyTest, ExplainNamesTheComponentsThatDiffer) {
  const Key a =
      KeyBuilder("k").Add("options", "x").Add("program", "p").Add("target", "cpu").Build();
  const Key b = KeyBuilder("k").Add("options", "y").Add("program", "p").Add("version", "2").Build();
  const auto differences = Explain(a, b);
  ASSERT_EQ(differences.size(), 3u);
  EXPECT_EQ(differences[0].name, "options");
  EXPECT_EQ(differences[0].left->text, "x");
  EXPECT_EQ(differences[0].right->text, "y");
  EXPECT_EQ(differences[1].name, "target");
  EXPECT_FALSE(differences[1].right.has_value());
  EXPECT_EQ(differences[2].name, "version");
  EXPECT_FALSE(differences[2].left.has_value());
  EXPECT_TRUE(Explain(a, a).empty());
  EXPECT_EQ(Explain(KeyBuilder("k").Build(), KeyBuilder("l").Build())[0].name, "kind");
}

TEST(EntryFileTest, EveryTruncationAndEveryFlippedByteIsFound) {
  const std::string file = EncodeEntry(MakeKey("p"), 5, "value");
  ASSERT_EQ(DecodeEntry(file)->value, "value");
  EXPECT_EQ(DecodeEntry(file)->header.created_unix_nanos, 5);
  for (size_t n = 0; n < file.size(); ++n) {
    EXPECT_EQ(DecodeEntry(std::string_view(file).substr(0, n)).status().code(), Code::kDataLoss)
        << n;
    std::string damaged = file;
    damaged[n] = static_cast<char>(damaged[n] ^ 1);
    EXPECT_EQ(DecodeEntry(damaged).status().code(), Code::kDataLoss) << n;
  }
  EXPECT_FALSE(DecodeEntry(file + "x").ok());
}

class CacheTest : public ::testing::Test {
 protected:
  std::unique_ptr<Cache> Open(CacheOptions options = {}) {
    options.directory = directory_.path();
    auto cache = Cache::Open(options, metrics_);
    EXPECT_TRUE(cache.ok()) << cache.status().ToString();
    return *std::move(cache);
  }
  std::vector<std::string> Files() {
    std::vector<std::string> out;
    const std::string objects = JoinPath(directory_.path(), "objects");
    const auto folders = *RealFileSystem().List(objects);
    for (const FileInfo& folder : folders) {
      const auto files = *RealFileSystem().List(JoinPath(objects, folder.name));
      for (const FileInfo& f : files) out.push_back(StrCat(objects, "/", folder.name, "/", f.name));
    }
    return out;
  }
  uint64_t Lookups(const char* result) {
    return metrics_.GetCounter(telemetry::kCacheLookups, {result}).value();
  }

  TempDirectory directory_;
  telemetry::MetricRegistry metrics_;
  Cancellation none_;
};

TEST_F(CacheTest, EntriesSurviveReopening) {
  const Key key = MakeKey("p");
  {
    const auto cache = Open();
    EXPECT_EQ(cache->Get(key.digest).status().code(), Code::kNotFound);
    EXPECT_FALSE(*cache->Put(key, "value"));
    EXPECT_TRUE(*cache->Put(key, "value"));
    EXPECT_TRUE(cache->Get(key.digest)->from_memory);
  }
  const auto cache = Open();
  const Entry entry = *cache->Get(key.digest);
  EXPECT_EQ(*entry.value, "value");
  EXPECT_FALSE(entry.from_memory);
  EXPECT_EQ(entry.key.components, key.components);
  EXPECT_TRUE(cache->Get(key.digest)->from_memory);
  EXPECT_EQ(Lookups("memory_hit"), 2u);
  EXPECT_EQ(Lookups("disk_hit"), 1u);
  EXPECT_EQ(Lookups("miss"), 1u);
}

TEST_F(CacheTest, KeyThatDoesNotMatchItsComponentsIsRefused) {
  Key key = MakeKey("p");
  key.components[0].digest.bytes[0] ^= 1;
  EXPECT_EQ(Open()->Put(key, "x").status().code(), Code::kInvalidArgument);
}

TEST_F(CacheTest, LeastRecentlyUsedEntriesAreEvictedFirst) {
  const uint64_t one = EncodeEntry(MakeKey("0"), 0, std::string(1000, 'x')).size();
  const auto cache = Open({.max_disk_bytes = 3 * one, .max_memory_bytes = 1});
  for (const char* p : {"0", "1", "2"})
    ASSERT_TRUE(cache->Put(MakeKey(p), std::string(1000, p[0])).ok());
  ASSERT_TRUE(cache->Get(MakeKey("0").digest).ok());
  ASSERT_TRUE(cache->Put(MakeKey("3"), std::string(1000, '3')).ok());
  EXPECT_TRUE(cache->Contains(MakeKey("0").digest));
  EXPECT_FALSE(cache->Contains(MakeKey("1").digest));
  EXPECT_EQ(Files().size(), 3u);
  EXPECT_EQ(cache->GetStats().evictions, 1u);
  EXPECT_EQ(cache->EvictTo(one).removed, 2u);
  EXPECT_TRUE(cache->Contains(MakeKey("3").digest));
  EXPECT_EQ(cache->Put(MakeKey("big"), std::string(4 * one, 'x')).status().code(),
            Code::kResourceExhausted);
}

TEST_F(CacheTest, MemoryTierKeepsToItsBudget) {
  const auto cache = Open({.max_memory_bytes = 2500});
  for (const char* p : {"0", "1", "2"})
    ASSERT_TRUE(cache->Put(MakeKey(p), std::string(1000, 'x')).ok());
  EXPECT_EQ(cache->GetStats().memory_bytes, 2000u);
  EXPECT_FALSE(cache->Get(MakeKey("0").digest)->from_memory);
  EXPECT_TRUE(cache->Get(MakeKey("2").digest)->from_memory);
  EXPECT_FALSE(cache->Get(MakeKey("1").digest)->from_memory);
}

TEST_F(CacheTest, WorksWithoutADirectory) {
  const auto cache = *Cache::Open({.max_memory_bytes = 2500}, metrics_);
  for (const char* p : {"0", "1", "2"})
    ASSERT_TRUE(cache->Put(MakeKey(p), std::string(1000, 'x')).ok());
  EXPECT_FALSE(cache->Contains(MakeKey("0").digest));
  EXPECT_TRUE(cache->Get(MakeKey("2").digest)->from_memory);
  EXPECT_EQ(cache->Put(MakeKey("big"), std::string(3000, 'x')).status().code(),
            Code::kResourceExhausted);
}

TEST_F(CacheTest, RemoveForgetsMemoryAndDisk) {
  const auto cache = Open();
  ASSERT_TRUE(cache->Put(MakeKey("p"), "value").ok());
  EXPECT_EQ(cache->Remove({MakeKey("p").digest, MakeKey("q").digest}).removed, 1u);
  EXPECT_EQ(cache->Get(MakeKey("p").digest).status().code(), Code::kNotFound);
  EXPECT_TRUE(Files().empty());
}

TEST_F(CacheTest, DamagedEntryIsDroppedAndComputedAgain) {
  const Key key = MakeKey("p");
  {
    const auto cache = Open();
    ASSERT_TRUE(cache->Put(key, "value").ok());
  }
  std::string file = *RealFileSystem().Read(Files()[0]);
  file.back() = static_cast<char>(file.back() ^ 1);
  ASSERT_TRUE(RealFileSystem().WriteAtomically(Files()[0], file).ok());
  {
    const auto cache = Open();
    EXPECT_EQ(cache->Get(key.digest).status().code(), Code::kDataLoss);
    EXPECT_EQ(cache->Get(key.digest).status().code(), Code::kNotFound);
    EXPECT_EQ(Lookups("corrupt"), 1u);
    EXPECT_TRUE(Files().empty());
    ASSERT_TRUE(cache->Put(key, "value").ok());
  }
  ASSERT_TRUE(RealFileSystem().WriteAtomically(Files()[0], file).ok());
  const auto cache = Open();
  const auto computed =
      cache->GetOrCompute(key, none_, [](const Cancellation&) { return std::string("value"); });
  EXPECT_EQ(computed->source, Source::kRepaired);
  EXPECT_EQ(*cache->Get(key.digest)->value, "value");
}

TEST_F(CacheTest, EntryUnderTheWrongNameIsDamage) {
  const auto wrong = MakeKey("q").Hex();
  {
    const auto cache = Open();
    ASSERT_TRUE(cache->Put(MakeKey("p"), "value").ok());
  }
  const std::string folder = StrCat(directory_.path(), "/objects/", wrong.substr(0, 2));
  ASSERT_TRUE(RealFileSystem().MakeDirectory(folder).ok());
  ASSERT_TRUE(RealFileSystem().Rename(Files()[0], StrCat(folder, "/", wrong)).ok());
  EXPECT_EQ(Open()->Get(MakeKey("q").digest).status().code(), Code::kDataLoss);
}

TEST_F(CacheTest, ScanSurvivesLeftovers) {
  {
    const auto cache = Open();
    ASSERT_TRUE(cache->Put(MakeKey("p"), "value").ok());
  }
  const std::string folder = Files()[0].substr(0, Files()[0].rfind('/'));
  ASSERT_TRUE(RealFileSystem().WriteAtomically(Files()[0] + ".tmp.1.2", "half").ok());
  ASSERT_TRUE(
      RealFileSystem().WriteAtomically(JoinPath(folder, std::string(64, 'a')), "short").ok());
  const auto cache = Open();
  EXPECT_EQ(cache->GetStats().entries, 1u);
  EXPECT_EQ(Files().size(), 1u);
}

TEST_F(CacheTest, FileRemovedBehindOurBackIsAMiss) {
  {
    const auto cache = Open();
    ASSERT_TRUE(cache->Put(MakeKey("p"), "value").ok());
  }
  const auto cache = Open();
  ASSERT_TRUE(RealFileSystem().Remove(Files()[0]).ok());
  EXPECT_EQ(cache->Get(MakeKey("p").digest).status().code(), Code::kNotFound);
  EXPECT_FALSE(cache->Contains(MakeKey("p").digest));
}

TEST_F(CacheTest, SecondProcessIsRefused) {
  const auto cache = Open();
  EXPECT_EQ(Cache::Open({.directory = directory_.path()}, metrics_).status().code(),
            Code::kFailedPrecondition);
}

// Lets the test hold a computation until all callers have joined.
class Latch {
 public:
  void Open() { open_ = true; }
  void Wait(const Cancellation* c = nullptr) {
    while (!open_.load() && (c == nullptr || c->Check().ok())) std::this_thread::yield();
  }

 private:
  std::atomic<bool> open_{false};
};

TEST_F(CacheTest, ManyCallersOfOneMissingKeyCauseOneComputation) {
  const auto cache = Open();
  std::atomic<int> computations{0};
  std::atomic<int> computed{0};
  std::atomic<int> callers_started{0};
  Latch latch;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      ++callers_started;
      const auto result =
          cache->GetOrCompute(MakeKey("p"), none_, [&](const Cancellation&) -> Result<std::string> {
            ++computations;
            latch.Wait();
            return std::string("value");
          });
      EXPECT_EQ(*result->value, "value");
      if (result->source == Source::kComputed) ++computed;
    });
  }
  while (callers_started.load() < 8 || computations.load() < 1) std::this_thread::yield();
  latch.Open();
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(computations.load(), 1);
  EXPECT_EQ(computed.load(), 1);
}

TEST_F(CacheTest, ErrorsReachAllWaitersAndAreNotCached) {
  const auto cache = Open();
  const auto fail = [](const Cancellation&) -> Result<std::string> {
    return Unimplemented("no rule");
  };
  EXPECT_EQ(cache->GetOrCompute(MakeKey("p"), none_, fail).status().code(), Code::kUnimplemented);
  const auto ok = cache->GetOrCompute(MakeKey("p"), none_,
                                      [](const Cancellation&) { return std::string("v"); });
  EXPECT_EQ(ok->source, Source::kComputed);
  EXPECT_EQ(cache->GetOrCompute(MakeKey("p"), none_, fail)->source, Source::kMemory);
}

TEST_F(CacheTest, CancelledWaiterLeavesTheOthersAlone) {
  const auto cache = Open();
  Latch started;
  Latch finish;
  const auto compute = [&](const Cancellation& c) -> Result<std::string> {
    started.Open();
    finish.Wait(&c);
    RETURN_IF_ERROR(c.Check());
    return std::string("value");
  };
  Cancellation leader_cancellation;
  Cancellation waiter_cancellation;
  std::thread leader(
      [&] { EXPECT_TRUE(cache->GetOrCompute(MakeKey("p"), leader_cancellation, compute).ok()); });
  started.Wait();
  // Asked once before its caller joins the computation, and again while that waits.
  std::atomic<int> asked{0};
  const auto count = [](const void* n) {
    static_cast<std::atomic<int>*>(const_cast<void*>(n))->fetch_add(1);
    return false;
  };
  const Cancellation patience(std::nullopt, RealClock(), count, &asked);
  std::thread patient(
      [&] { EXPECT_EQ(*cache->GetOrCompute(MakeKey("p"), patience, compute)->value, "value"); });
  while (asked.load() < 2) std::this_thread::yield();
  std::thread impatient([&] {
    EXPECT_EQ(cache->GetOrCompute(MakeKey("p"), waiter_cancellation, compute).status().code(),
              Code::kCancelled);
  });
  waiter_cancellation.Cancel();
  impatient.join();
  // Even the caller that computes may go: the patient one still gets its value.
  leader_cancellation.Cancel();
  finish.Open();
  leader.join();
  patient.join();
}

TEST_F(CacheTest, ComputationStopsWhenEverybodyIsGone) {
  const auto cache = Open();
  Cancellation cancellation;
  Latch started;
  std::thread caller([&] {
    const auto result = cache->GetOrCompute(MakeKey("p"), cancellation,
                                            [&](const Cancellation& c) -> Result<std::string> {
                                              started.Open();
                                              while (c.Check().ok()) std::this_thread::yield();
                                              return c.Check();
                                            });
    EXPECT_EQ(result.status().code(), Code::kCancelled);
  });
  started.Wait();
  cancellation.Cancel();
  caller.join();
}

TEST_F(CacheTest, ValueThatCannotBeStoredIsReturnedAllTheSame) {
  const auto cache = Open({.max_disk_bytes = 10});
  const auto computed = cache->GetOrCompute(
      MakeKey("p"), none_, [](const Cancellation&) { return std::string("value"); });
  EXPECT_EQ(*computed->value, "value");
  EXPECT_EQ(computed->store_error.code(), Code::kResourceExhausted);
}

TEST_F(CacheTest, ConcurrentUseKeepsTheBooksStraight) {
  const auto cache = Open({.max_disk_bytes = 20'000, .max_memory_bytes = 5'000});
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&cache, t] {
      Rng rng(static_cast<uint64_t>(t));
      for (int i = 0; i < 100; ++i) {
        const Key key = MakeKey(StrCat(rng.Below(40)));
        if (rng.Below(3) == 0) {
          ASSERT_TRUE(cache->Put(key, std::string(500 + rng.Below(500), 'x')).ok());
        } else if (rng.Below(10) == 0) {
          cache->Remove({key.digest});
        } else {
          const auto entry = cache->Get(key.digest);
          EXPECT_TRUE(entry.ok() || entry.status().code() == Code::kNotFound)
              << entry.status().ToString();
        }
      }
    });
  }
  for (std::thread& t : threads) t.join();
  const Stats stats = cache->GetStats();
  EXPECT_LE(stats.disk_bytes, 20'000u);
  EXPECT_LE(stats.memory_bytes, 5'000u);
  cache->EvictTo(0);
  EXPECT_EQ(cache->GetStats().entries, 0u);
  EXPECT_EQ(cache->GetStats().disk_bytes, 0u);
  EXPECT_EQ(cache->GetStats().memory_bytes, 0u);
}

}  // namespace
}  // namespace megalith::cache
