#include "services/cache/cache_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <thread>

#include "common/fleet/stubs/cache_client.h"
#include "common/fleet/stubs/ledger_client.h"
#include "common/foundation/base/strings.h"
#include "tests/support/service_host.h"

namespace megalith::services {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

cache::Key MakeKey(const std::string& program, const std::string& target = "cpu") {
  return cache::KeyBuilder("executable").Add("program", program).Add("target", target).Build();
}

class CacheServiceTest : public ::testing::Test {
 protected:
  void Start(const CacheServiceConfig& config = {}) {
    host_.Start([&config](ServiceContext& context) -> Result<ServiceList> {
      ASSIGN_OR_RETURN(auto service, CacheService::Make(config, context));
      ServiceList list;
      list.push_back(std::move(service));
      return list;
    });
    client_ = std::make_unique<stubs::CacheClient>(host_.channel());
    ledger_ = std::make_unique<stubs::LedgerClient>(host_.channel());
  }
  std::string EntryPath(const cache::Key& key, const char* folder = "objects") {
    const std::string hex = key.Hex();
    return StrCat(host_.data_directory(), "/cache/", folder, "/", hex.substr(0, 2), "/", hex);
  }
  void WaitForSidecar(const cache::Key& key) {
    while (!RealFileSystem().Stat(EntryPath(key, "sidecars")).ok()) std::this_thread::yield();
  }
  // Overwrites `bytes` bytes from `begin` on, and returns what the file was.
  static std::string Damage(const std::string& path, size_t begin, size_t bytes) {
    const std::string before = *RealFileSystem().Read(path);
    std::string after = before;
    after.replace(begin, bytes, bytes, '!');
    EXPECT_TRUE(RealFileSystem().WriteAtomically(path, after).ok());
    return before;
  }
  std::vector<std::string> Decisions() {
    EXPECT_TRUE(ledger_->Verify()->intact);  // flushes
    std::vector<std::string> out;
    const auto entries = *ledger_->Query({}, 100);
    for (const ledger::Entry& e : entries) out.push_back(e.decision);
    return out;
  }

  testing::ServiceHost host_;
  std::unique_ptr<stubs::CacheClient> client_;
  std::unique_ptr<stubs::LedgerClient> ledger_;
};

TEST_F(CacheServiceTest, StoresAndReturnsValues) {
  Start();
  const cache::Key key = MakeKey("p");
  EXPECT_EQ(client_->Get(key.Hex()).status().code(), Code::kNotFound);
  EXPECT_FALSE(*client_->Put(key, "value"));
  EXPECT_TRUE(*client_->Put(key, "value"));
  const cache::Entry entry = *client_->Get(key.Hex());
  EXPECT_EQ(*entry.value, "value");
  EXPECT_EQ(entry.key.components, key.components);
  EXPECT_THAT(*client_->FindMissing({MakeKey("q").Hex(), key.Hex()}),
              ElementsAre(MakeKey("q").Hex()));
  const auto status = *client_->Stat({key.Hex(), MakeKey("q").Hex()});
  EXPECT_EQ(status.stats.entries, 1u);
  ASSERT_THAT(status.found, SizeIs(1));
  EXPECT_EQ(status.found[0].value_bytes, 5u);
}

TEST_F(CacheServiceTest, LargeValuesTravelInChunks) {
  host_.config().max_request_bytes = 2 << 20;
  host_.config().max_response_bytes = 2 << 20;
  Start();
  std::string value(5'000'001, 'x');
  value[4'000'000] = 'y';
  ASSERT_TRUE(client_->Put(MakeKey("big"), value).ok());
  EXPECT_EQ(*client_->Get(MakeKey("big").Hex())->value, value);
}

TEST_F(CacheServiceTest, RefusesWhatDoesNotFitTogether) {
  Start({.max_value_bytes = 2 << 20});
  cache::Key forged = MakeKey("p");
  forged.digest.bytes[0] ^= 1;
  EXPECT_THAT(client_->Put(forged, "x").status().ToString(), HasSubstr("components hash to"));
  EXPECT_THAT(client_->Get("abc").status().ToString(),
              HasSubstr("64 lower-case hexadecimal digits, got 'abc'"));
  EXPECT_THAT(client_->Put(MakeKey("big"), std::string(3 << 20, 'x')).status().ToString(),
              HasSubstr("max_value_bytes"));
  EXPECT_EQ(client_->Stat({})->stats.entries, 0u);
}

TEST_F(CacheServiceTest, StreamThatEndsEarlyStoresNothing) {
  Start();
  const rpc::StreamMethod<cache::v1::PutChunk, cache::v1::PutResponse> put(
      host_.channel(), "megalith.cache.v1.CacheService", "PutStream");
  cache::v1::PutChunk chunk;
  EXPECT_THAT(put.Open().Close().status().ToString(), HasSubstr("first chunk carries no key"));
  chunk.mutable_first()->set_key(MakeKey("p").Hex());
  chunk.set_total_bytes(10);
  chunk.set_data("12345");
  auto stream = put.Open();
  ASSERT_TRUE(stream.Write(chunk).ok());
  EXPECT_THAT(stream.Close().status().ToString(), HasSubstr("carried 5 bytes, announced were 10"));
  EXPECT_EQ(client_->Stat({})->stats.entries, 0u);
}

TEST_F(CacheServiceTest, ExplainNamesTheComponentThatDiffers) {
  Start();
  ASSERT_TRUE(client_->Put(MakeKey("p", "cpu"), "a").ok());
  ASSERT_TRUE(client_->Put(MakeKey("p", "gpu"), "b").ok());
  const auto explanation = *client_->Explain(MakeKey("p", "cpu").Hex(), MakeKey("p", "gpu").Hex());
  ASSERT_THAT(explanation.differences, SizeIs(1));
  EXPECT_EQ(explanation.differences[0].name, "target");
  EXPECT_EQ(explanation.differences[0].left->text, "cpu");
  EXPECT_EQ(explanation.differences[0].right->text, "gpu");
  EXPECT_EQ(client_->Explain(MakeKey("p").Hex(), MakeKey("q").Hex()).status().code(),
            Code::kNotFound);
}

TEST_F(CacheServiceTest, StoresAndEvictionsAreInTheLedger) {
  Start();
  ASSERT_TRUE(client_->Put(MakeKey("p"), "a").ok());
  ASSERT_TRUE(client_->Put(MakeKey("q"), "b").ok());
  EXPECT_EQ(client_->Evict({MakeKey("p").Hex()}, std::nullopt)->removed, 1u);
  EXPECT_EQ(client_->Evict({}, 0)->removed, 1u);
  EXPECT_THAT(Decisions(), ElementsAre("store", "store", "evict", "evict"));
  const auto stores = *ledger_->Query({.key = MakeKey("q").Hex()}, 10);
  ASSERT_THAT(stores, SizeIs(1));
  EXPECT_EQ(stores[0].service, "cache");
  EXPECT_EQ(stores[0].inputs[0].second, Sha256::Of("q"));
}

TEST_F(CacheServiceTest, DamageThatCannotBeRepairedIsAnErrorOnceAndEvidence) {
  const CacheServiceConfig config{.sidecar_overhead_percent = 0};
  Start(config);
  ASSERT_TRUE(client_->Put(MakeKey("p"), "a").ok());
  host_.Stop();
  const std::string path = EntryPath(MakeKey("p"));
  ASSERT_TRUE(RealFileSystem().Truncate(path, RealFileSystem().Stat(path)->size - 1).ok());
  Start(config);
  const std::string hex = MakeKey("p").Hex();
  EXPECT_EQ(client_->Get(hex).status().code(), Code::kDataLoss);
  EXPECT_EQ(client_->Get(hex).status().code(), Code::kNotFound);
  EXPECT_THAT(Decisions(), ElementsAre("store", "quarantine entry"));
}

TEST_F(CacheServiceTest, DamageIsRepairedWhenReadWithAProofInTheLedger) {
  Start();
  ASSERT_TRUE(client_->Put(MakeKey("p"), std::string(20'000, 'a')).ok());
  WaitForSidecar(MakeKey("p"));
  host_.Stop();
  Damage(EntryPath(MakeKey("p")), 1000, 500);
  Start();
  EXPECT_EQ(*client_->Get(MakeKey("p").Hex())->value, std::string(20'000, 'a'));
  EXPECT_THAT(Decisions(), ElementsAre("store", "repair entry"));
  const auto entries = *ledger_->Query({.kind = ledger::Kind::kRepair}, 10);
  ASSERT_THAT(entries, SizeIs(1));
  EXPECT_EQ(entries[0].key, MakeKey("p").Hex());
  ASSERT_THAT(entries[0].inputs, SizeIs(2));
  const std::string file = *RealFileSystem().Read(EntryPath(MakeKey("p")));
  EXPECT_EQ(entries[0].inputs[1].second, Sha256::Of(file));
  EXPECT_EQ(client_->Stat({})->stats.repaired, 1u);
}

TEST_F(CacheServiceTest, ScrubRepairsPutsAsideAndTells) {
  Start({.max_memory_bytes = 1});
  for (const char* p : {"p", "q", "r"}) {
    ASSERT_TRUE(client_->Put(MakeKey(p), std::string(20'000, p[0])).ok());
    WaitForSidecar(MakeKey(p));
  }
  const std::string whole = Damage(EntryPath(MakeKey("p")), 1000, 500);
  Damage(EntryPath(MakeKey("q")), 1000, 15'000);
  int reports = 0;
  const stubs::ScrubReport report =
      *client_->Scrub(1 << 30, [&](const stubs::ScrubReport&) { ++reports; });
  EXPECT_GE(reports, 1);
  EXPECT_EQ(report.state, "idle");
  EXPECT_EQ(report.entries_done, 3u);
  EXPECT_EQ(report.good, 1u);
  EXPECT_EQ(report.repaired, 1u);
  EXPECT_EQ(report.quarantined, 1u);
  ASSERT_THAT(report.proofs, SizeIs(2));
  const auto& proof = report.proofs[0].repaired ? report.proofs[0] : report.proofs[1];
  EXPECT_EQ(proof.key, MakeKey("p").Hex());
  EXPECT_EQ(proof.sha256_after, Sha256::Of(whole).Hex());
  EXPECT_TRUE(RealFileSystem().Stat(proof.proof_file).ok());
  EXPECT_EQ(*RealFileSystem().Read(EntryPath(MakeKey("p"))), whole);
  EXPECT_EQ(client_->Get(MakeKey("q").Hex()).status().code(), Code::kNotFound);
  std::vector<std::string> decisions = Decisions();
  std::sort(decisions.begin(), decisions.end());
  EXPECT_THAT(decisions,
              ElementsAre("quarantine entry", "repair entry", "store", "store", "store"));
}

TEST_F(CacheServiceTest, ScrubIsPausedAndStopped) {
  Start();
  ASSERT_TRUE(client_->Put(MakeKey("p"), "a").ok());
  ASSERT_TRUE(client_->ControlScrub(stubs::ScrubAction::kPause, 0).ok());
  std::vector<std::string> states;
  // Stopped by the first report that it is paused.
  const auto report = client_->Scrub(0, [&](const stubs::ScrubReport& r) {
    states.push_back(r.state);
    if (r.state == "paused") (void)client_->ControlScrub(stubs::ScrubAction::kStop, 0);
  });
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  EXPECT_EQ(states.front(), "paused");
  EXPECT_TRUE(report->stopped);
  EXPECT_EQ(report->entries_done, 0u);
  EXPECT_EQ(client_->ControlScrub(stubs::ScrubAction::kResume, 0)->state, "idle");
  EXPECT_EQ(client_->Scrub(0, nullptr)->entries_done, 1u);
}

TEST_F(CacheServiceTest, LedgerAnswersOverTheWire) {
  Start();
  ledger::Entry entry;
  entry.kind = ledger::Kind::kCompile;
  entry.service = "forged";
  entry.decision = "by hand";
  const auto appended = *ledger_->Append(entry);
  EXPECT_EQ(appended.sequence, 0u);
  const auto entries = *ledger_->Query({.kind = ledger::Kind::kCompile}, 10);
  ASSERT_THAT(entries, SizeIs(1));
  EXPECT_EQ(entries[0].hash, appended.hash);
  EXPECT_EQ(entries[0].service, "test");
  EXPECT_EQ(entries[0].trace_id.size(), 32u);
  entry.kind = ledger::Kind::kAny;
  EXPECT_EQ(ledger_->Append(entry).status().code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace megalith::services
