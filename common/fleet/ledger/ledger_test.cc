#include "common/fleet/ledger/ledger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "common/fleet/ledger/segment.h"
#include "common/foundation/base/strings.h"
#include "common/foundation/telemetry/metric_table.h"

namespace megalith::ledger {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class ManualClock final : public Clock {
 public:
  std::chrono::nanoseconds Monotonic() const override {
    return std::chrono::steady_clock::now().time_since_epoch();
  }
  int64_t UnixNanos() const override { return now.load(); }
  std::atomic<int64_t> now{1000};
};

Entry MakeEntry(Kind kind, const std::string& decision) {
  Entry e;
  e.kind = kind;
  e.trace_id = "trace-" + decision;
  e.inputs = {{"program", Sha256::Of(decision)}};
  e.policy = "strict";
  e.alternatives = {"recompute", "refuse"};
  e.decision = decision;
  e.outcome = "ok";
  e.evidence = {{"seconds", "0.5"}};
  e.key = Sha256::Of("key " + decision).Hex();
  return e;
}

class LedgerTest : public ::testing::Test {
 protected:
  std::unique_ptr<Ledger> Open(uint64_t segment_bytes = 4 << 20) {
    auto ledger = Ledger::Open({.directory = directory_.path(),
                                .service = "demo",
                                .segment_bytes = segment_bytes,
                                .linger = std::chrono::milliseconds(1)},
                               metrics_, RealFileSystem(), clock_);
    EXPECT_TRUE(ledger.ok()) << ledger.status().ToString();
    return *std::move(ledger);
  }
  std::vector<std::string> SegmentPaths() {
    std::vector<std::string> out;
    const auto listing = *RealFileSystem().List(directory_.path());
    for (const FileInfo& f : listing) {
      if (FirstSequenceOf(f.name)) out.push_back(JoinPath(directory_.path(), f.name));
    }
    return out;
  }
  void Change(const std::string& path, const std::function<void(std::string&)>& change) {
    std::string file = *RealFileSystem().Read(path);
    change(file);
    ASSERT_TRUE(RealFileSystem().WriteAtomically(path, file).ok());
  }
  std::vector<std::string> Decisions(Ledger& ledger, const Filter& filter = {}) {
    std::vector<std::string> out;
    const Page page = *ledger.Query(filter, 0, 1000, none_);
    for (const Entry& e : page.entries) out.push_back(e.decision);
    return out;
  }

  TempDirectory directory_;
  telemetry::MetricRegistry metrics_;
  ManualClock clock_;
  Cancellation none_;
};

TEST_F(LedgerTest, EntriesSurviveReopening) {
  Appended second;
  {
    const auto ledger = Open();
    EXPECT_EQ(ledger->Append(MakeEntry(Kind::kCompile, "a"))->sequence, 0u);
    second = *ledger->Append(MakeEntry(Kind::kCache, "b"));
    EXPECT_EQ(second.sequence, 1u);
  }
  const auto ledger = Open();
  EXPECT_EQ(ledger->recovery().entries, 2u);
  const Page page = *ledger->Query({}, 0, 10, none_);
  ASSERT_THAT(page.entries, SizeIs(2));
  const Entry& b = page.entries[1];
  EXPECT_EQ(b.decision, "b");
  EXPECT_EQ(b.service, "demo");
  EXPECT_EQ(b.unix_nanos, 1000);
  EXPECT_EQ(b.hash, second.hash);
  EXPECT_EQ(b.previous_hash, page.entries[0].hash);
  EXPECT_EQ(b.inputs, MakeEntry(Kind::kCache, "b").inputs);
  EXPECT_EQ(b.evidence, MakeEntry(Kind::kCache, "b").evidence);
  EXPECT_EQ(b.alternatives, MakeEntry(Kind::kCache, "b").alternatives);
  const VerifyReport report = *ledger->Verify(none_);
  EXPECT_TRUE(report.intact);
  EXPECT_EQ(report.entries, 2u);
  EXPECT_EQ(report.head, second.hash);
}

TEST_F(LedgerTest, FiltersSelect) {
  const auto ledger = Open();
  for (const char* d : {"a", "b", "c"}) {
    ASSERT_TRUE(ledger->Append(MakeEntry(d[0] == 'b' ? Kind::kCache : Kind::kCompile, d)).ok());
    clock_.now += 10;
  }
  EXPECT_THAT(Decisions(*ledger, {.kind = Kind::kCompile}), ElementsAre("a", "c"));
  EXPECT_THAT(Decisions(*ledger, {.trace_id = "trace-b"}), ElementsAre("b"));
  EXPECT_THAT(Decisions(*ledger, {.key = Sha256::Of("key c").Hex()}), ElementsAre("c"));
  EXPECT_THAT(Decisions(*ledger, {.since_unix_nanos = 1010, .until_unix_nanos = 1020}),
              ElementsAre("b"));
  EXPECT_THAT(Decisions(*ledger, {.service = "other"}), ElementsAre());
}

TEST_F(LedgerTest, PagesFollowEachOther) {
  const auto ledger = Open(/*segment_bytes=*/600);
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(ledger->Append(MakeEntry(Kind::kCache, StrCat(i))).ok());
  EXPECT_GT(SegmentPaths().size(), 3u);
  std::vector<std::string> seen;
  uint64_t from = 0;
  while (true) {
    const Page page = *ledger->Query({}, from, 3, none_);
    EXPECT_LE(page.entries.size(), 3u);
    for (const Entry& e : page.entries) seen.push_back(e.decision);
    if (!page.next_sequence) break;
    from = *page.next_sequence;
  }
  EXPECT_THAT(seen, ElementsAre("0", "1", "2", "3", "4", "5", "6", "7", "8", "9"));
}

TEST_F(LedgerTest, ConcurrentAppendsFormOneChain) {
  const auto ledger = Open(/*segment_bytes=*/20'000);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&ledger, t] {
      for (int i = 0; i < 50; ++i) {
        Entry e = MakeEntry(Kind::kExecute, StrCat(t, "-", i));
        EXPECT_TRUE(
            (i % 2 == 0 ? ledger->Append(std::move(e)) : ledger->AppendLater(std::move(e))).ok());
      }
    });
  }
  for (std::thread& t : threads) t.join();
  const VerifyReport report = *ledger->Verify(none_);
  EXPECT_TRUE(report.intact) << report.reason;
  EXPECT_EQ(report.entries, 200u);
  EXPECT_EQ(metrics_.GetCounter(telemetry::kLedgerEntries, {"execute"}).value(), 200u);
}

TEST_F(LedgerTest, SecondProcessIsRefused) {
  const auto ledger = Open();
  const auto second = Ledger::Open({.directory = directory_.path(), .service = "demo"}, metrics_);
  EXPECT_EQ(second.status().code(), Code::kFailedPrecondition);
}

TEST_F(LedgerTest, TornTailIsCutOffWhereverItTears) {
  uint64_t whole = 0;
  uint64_t before_last = 0;
  {
    const auto ledger = Open();
    ASSERT_TRUE(ledger->Append(MakeEntry(Kind::kCache, "kept")).ok());
    before_last = RealFileSystem().Stat(SegmentPaths()[0])->size;
    ASSERT_TRUE(ledger->Append(MakeEntry(Kind::kCache, "torn")).ok());
    whole = RealFileSystem().Stat(SegmentPaths()[0])->size;
  }
  const std::string path = SegmentPaths()[0];
  const std::string original = *RealFileSystem().Read(path);
  for (uint64_t cut = before_last + 1; cut < whole; cut += 7) {
    ASSERT_TRUE(
        RealFileSystem().WriteAtomically(path, std::string_view(original).substr(0, cut)).ok());
    const auto ledger = Open();
    EXPECT_EQ(ledger->recovery().truncated_bytes, cut - before_last);
    EXPECT_THAT(Decisions(*ledger), ElementsAre("kept", "cut torn tail"));
    EXPECT_TRUE(ledger->Verify(none_)->intact);
  }
}

TEST_F(LedgerTest, SegmentCutShortInItsHeaderIsDropped) {
  {
    const auto ledger = Open();
    ASSERT_TRUE(ledger->Append(MakeEntry(Kind::kCache, "kept")).ok());
  }
  ASSERT_TRUE(
      RealFileSystem().WriteAtomically(JoinPath(directory_.path(), SegmentName(1)), "MGL").ok());
  const auto ledger = Open();
  EXPECT_THAT(Decisions(*ledger), ElementsAre("kept", "cut torn tail"));
  EXPECT_TRUE(ledger->Verify(none_)->intact);
}

TEST_F(LedgerTest, ChangedByteInTheMiddleIsFoundExactly) {
  std::vector<uint64_t> offsets;
  {
    const auto ledger = Open();
    for (const char* d : {"a", "b", "c", "d"}) {
      offsets.push_back(d[0] == 'a' ? kSegmentHeaderBytes
                                    : RealFileSystem().Stat(SegmentPaths()[0])->size);
      ASSERT_TRUE(ledger->Append(MakeEntry(Kind::kCache, d)).ok());
    }
  }
  const std::string path = SegmentPaths()[0];
  const std::string original = *RealFileSystem().Read(path);
  for (uint64_t at = offsets[1]; at < offsets[2]; at += 5) {
    std::string damaged = original;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x40);
    ASSERT_TRUE(RealFileSystem().WriteAtomically(path, damaged).ok());
    const auto ledger = Open();
    EXPECT_TRUE(ledger->recovery().damaged);
    EXPECT_EQ(ledger->recovery().truncated_bytes, 0u);
    const VerifyReport report = *ledger->Verify(none_);
    EXPECT_FALSE(report.intact);
    EXPECT_EQ(report.broken_sequence, 1u);
    EXPECT_EQ(report.broken_offset, offsets[1]);
    EXPECT_EQ(report.broken_segment, SegmentName(0));
    // What is not damaged is still readable, and the ledger goes on.
    EXPECT_THAT(Decisions(*ledger), ::testing::IsSupersetOf({"a", "d", "keep damaged entries"}));
  }
}

TEST_F(LedgerTest, ChangedLastEntryIsDamageNotATornTail) {
  {
    const auto ledger = Open();
    ASSERT_TRUE(ledger->Append(MakeEntry(Kind::kCache, "a")).ok());
  }
  Change(SegmentPaths()[0], [](std::string& file) {
    file[file.size() - 40] = static_cast<char>(file[file.size() - 40] ^ 1);
  });
  const auto ledger = Open();
  EXPECT_TRUE(ledger->recovery().damaged);
  EXPECT_EQ(ledger->recovery().truncated_bytes, 0u);
  EXPECT_EQ(ledger->Verify(none_)->broken_sequence, 0u);
  EXPECT_EQ(ledger->Append(MakeEntry(Kind::kCache, "b"))->sequence, 2u);
}

TEST_F(LedgerTest, ZerosAtTheEndAreATornTail) {
  {
    const auto ledger = Open();
    ASSERT_TRUE(ledger->Append(MakeEntry(Kind::kCache, "a")).ok());
  }
  Change(SegmentPaths()[0], [](std::string& file) { file.append(36, '\0'); });
  const auto ledger = Open();
  EXPECT_EQ(ledger->recovery().truncated_bytes, 36u);
  EXPECT_TRUE(ledger->Verify(none_)->intact);
}

TEST_F(LedgerTest, MissingSegmentIsFound) {
  {
    const auto ledger = Open(/*segment_bytes=*/100);
    for (int i = 0; i < 4; ++i)
      ASSERT_TRUE(ledger->Append(MakeEntry(Kind::kCache, StrCat(i))).ok());
  }
  ASSERT_TRUE(RealFileSystem().Remove(SegmentPaths()[1]).ok());
  const VerifyReport report = *Open()->Verify(none_);
  EXPECT_FALSE(report.intact);
  EXPECT_EQ(report.broken_sequence, 1u);
  EXPECT_THAT(report.reason, HasSubstr("begins with entry 2, expected 1"));
}

TEST_F(LedgerTest, RemovedEntriesAtTheEndShowInTheHead) {
  Appended last;
  {
    const auto ledger = Open();
    ASSERT_TRUE(ledger->Append(MakeEntry(Kind::kCache, "a")).ok());
    last = *ledger->Append(MakeEntry(Kind::kCache, "b"));
  }
  Change(SegmentPaths()[0], [](std::string& file) { file.resize(file.size() - 10); });
  EXPECT_NE(Open()->Verify(none_)->head, last.hash);
}

TEST_F(LedgerTest, BadEntriesAreRefused) {
  const auto ledger = Open();
  EXPECT_EQ(ledger->Append(Entry{.kind = Kind::kAny}).status().code(), Code::kInvalidArgument);
  Entry large = MakeEntry(Kind::kCache, "x");
  large.evidence.emplace_back("blob", std::string(kMaxEntryBytes, 'x'));
  EXPECT_EQ(ledger->Append(std::move(large)).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(ledger->Append(MakeEntry(Kind::kCache, "good"))->sequence, 0u);
}

// Fails writes on demand.
class FaultyFiles final : public FileSystem {
 public:
  Result<std::string> Read(const std::string& p, uint64_t m) override { return real_.Read(p, m); }
  Result<std::unique_ptr<ByteSource>> OpenRead(const std::string& p) override {
    return real_.OpenRead(p);
  }
  Status WriteAtomically(const std::string& p, std::string_view b) override {
    return real_.WriteAtomically(p, b);
  }
  Status WritePrivately(const std::string& p, std::string_view b) override {
    return real_.WritePrivately(p, b);
  }
  Result<std::unique_ptr<AppendFile>> OpenAppend(const std::string& p) override {
    ASSIGN_OR_RETURN(auto file, real_.OpenAppend(p));
    return std::unique_ptr<AppendFile>(std::make_unique<File>(std::move(file), this));
  }
  Status Truncate(const std::string& p, uint64_t s) override { return real_.Truncate(p, s); }
  Status Rename(const std::string& a, const std::string& b) override { return real_.Rename(a, b); }
  Status Remove(const std::string& p) override { return real_.Remove(p); }
  Status MakeDirectory(const std::string& p) override { return real_.MakeDirectory(p); }
  Result<std::vector<FileInfo>> List(const std::string& p) override { return real_.List(p); }
  Result<FileInfo> Stat(const std::string& p) override { return real_.Stat(p); }
  Status RemoveTree(const std::string& p) override { return real_.RemoveTree(p); }
  std::atomic<bool> full{false};

 private:
  class File final : public AppendFile {
   public:
    File(std::unique_ptr<AppendFile> real, FaultyFiles* owner)
        : real_(std::move(real)), owner_(owner) {}
    Status Append(std::string_view bytes) override {
      if (!owner_->full.load()) return real_->Append(bytes);
      RETURN_IF_ERROR(real_->Append(bytes.substr(0, bytes.size() / 2)));
      return ResourceExhausted("disk full");
    }
    Status Sync() override { return real_->Sync(); }

   private:
    std::unique_ptr<AppendFile> real_;
    FaultyFiles* owner_;
  };
  FileSystem& real_ = RealFileSystem();
};

TEST_F(LedgerTest, FullDiskFailsTheAppendAndLeavesTheChainWhole) {
  FaultyFiles files;
  const auto ledger =
      *Ledger::Open({.directory = directory_.path(), .service = "demo"}, metrics_, files, clock_);
  ASSERT_TRUE(ledger->Append(MakeEntry(Kind::kCache, "a")).ok());
  files.full = true;
  EXPECT_EQ(ledger->Append(MakeEntry(Kind::kCache, "lost")).status().code(),
            Code::kResourceExhausted);
  files.full = false;
  EXPECT_EQ(ledger->Append(MakeEntry(Kind::kCache, "b"))->sequence, 1u);
  EXPECT_THAT(Decisions(*ledger), ElementsAre("a", "b"));
  EXPECT_TRUE(ledger->Verify(none_)->intact);
}

TEST_F(LedgerTest, CancelledQueriesStop) {
  const auto ledger = Open();
  ASSERT_TRUE(ledger->Append(MakeEntry(Kind::kCache, "a")).ok());
  Cancellation cancelled;
  cancelled.Cancel();
  EXPECT_EQ(ledger->Query({}, 0, 10, cancelled).status().code(), Code::kCancelled);
  EXPECT_EQ(ledger->Verify(cancelled).status().code(), Code::kCancelled);
}

// The bytes on disk are promised in docs/formats/ledger.md.
TEST(LedgerFormatTest, GoldenEntry) {
  Entry e = MakeEntry(Kind::kCompile, "hit");
  e.sequence = 7;
  e.unix_nanos = 1'700'000'000'000'000'000;
  e.service = "compile";
  const std::string body = EncodeBody(e);
  EXPECT_EQ(body.size(), 272u);
  EXPECT_EQ(ChainHash(Sha256Digest(), body).Hex(),
            "284fd8029e41de406b8cd527f3d0a1e969a3b405057c55669cca341e7fd18123");
  const Entry back = *DecodeBody(body);
  EXPECT_EQ(EncodeBody(back), body);
  for (size_t n = 0; n < body.size(); ++n)
    EXPECT_FALSE(DecodeBody(std::string_view(body).substr(0, n)).ok());
}

}  // namespace
}  // namespace megalith::ledger
