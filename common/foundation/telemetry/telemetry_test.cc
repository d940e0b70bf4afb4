#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <thread>

#include "common/foundation/base/strings.h"
#include "common/foundation/telemetry/event_table.h"
#include "common/foundation/telemetry/log.h"
#include "common/foundation/telemetry/metric_table.h"
#include "common/foundation/telemetry/metrics.h"
#include "common/foundation/telemetry/trace_context.h"

namespace megalith::telemetry {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class SinkGuard {
 public:
  SinkGuard() : sink_(std::make_shared<MemorySink>()), previous_(SetLogSink(sink_)) {}
  ~SinkGuard() {
    SetLogSink(previous_);
    SetLogLevel(Level::info);
  }
  std::vector<std::string> Lines() const { return sink_->Lines(); }

 private:
  std::shared_ptr<MemorySink> sink_;
  std::shared_ptr<LogSink> previous_;
};

TEST(LogTest, JsonKeepsTypesAndEscapesText) {
  const LogField fields[] = {{"text", "a\"b\n"}, {"int", -3},           {"big", ~0ull},
                             {"real", 0.5},      {"nan", std::nan("")}, {"yes", true}};
  EXPECT_EQ(FormatJson({.unix_nanos = 1'700'000'000'012'000'000,
                        .level = Level::warn,
                        .event = "e",
                        .fields = fields}),
            "{\"time\":\"2023-11-14T22:13:20.012Z\",\"level\":\"warn\",\"event\":\"e\",\"text\":"
            "\"a\\\"b\\u000a\","
            "\"int\":-3,\"big\":18446744073709551615,\"real\":0.5,\"nan\":null,\"yes\":true}");
}

TEST(LogTest, TextQuotesOnlyWhatNeedsIt) {
  const LogField fields[] = {{"plain", "abc"}, {"spaced", "a b"}, {"empty", ""}, {"n", 7}};
  EXPECT_EQ(FormatText({.unix_nanos = 0, .level = Level::info, .event = "e", .fields = fields}),
            "1970-01-01T00:00:00.000Z info e plain=abc spaced=\"a b\" empty=\"\" n=7");
}

TEST(LogTest, LevelFiltersEntries) {
  const SinkGuard guard;
  Log(Level::debug, "rpc_access");
  EXPECT_THAT(guard.Lines(), IsEmpty());
  SetLogLevel(Level::debug);
  Log(Level::debug, "rpc_access", {{"method", "Echo"}});
  EXPECT_THAT(guard.Lines(), ElementsAre(HasSubstr("\"method\":\"Echo\"")));
}

class ManualClock final : public Clock {
 public:
  std::chrono::nanoseconds Monotonic() const override { return now; }
  int64_t UnixNanos() const override { return now.count(); }
  std::chrono::nanoseconds now{0};
};

TEST(LogSamplerTest, AdmitsSoManyPerSecondAndReportsTheRest) {
  ManualClock clock;
  LogSampler sampler(2, clock);
  EXPECT_TRUE(sampler.Admit().admit);
  EXPECT_TRUE(sampler.Admit().admit);
  EXPECT_FALSE(sampler.Admit().admit);
  EXPECT_FALSE(sampler.Admit().admit);
  clock.now += std::chrono::seconds(1);
  const LogSampler::Verdict verdict = sampler.Admit();
  EXPECT_TRUE(verdict.admit);
  EXPECT_EQ(verdict.suppressed, 2u);
}

TEST(EventTableTest, IsSortedAndUnique) {
  const auto events = Events();
  for (size_t i = 1; i < events.size(); ++i) EXPECT_LT(events[i - 1].name, events[i].name);
  EXPECT_NE(FindEvent("server_started"), nullptr);
  EXPECT_EQ(FindEvent("no_such_event"), nullptr);
  EXPECT_THAT(EventsMarkdown(), HasSubstr("| `server_started` | info |"));
}

TEST(MetricTableTest, NamesFollowTheRules) {
  std::set<std::string_view> names;
  for (const MetricDef* m : Metrics()) {
    EXPECT_TRUE(names.insert(m->name).second) << m->name;
    EXPECT_TRUE(m->name.starts_with("megalith_")) << m->name;
    EXPECT_EQ(m->kind == MetricKind::kCounter, m->name.ends_with("_total")) << m->name;
    EXPECT_EQ(m->kind == MetricKind::kHistogram, !m->buckets.empty()) << m->name;
    EXPECT_FALSE(m->help.empty()) << m->name;
  }
}

TEST(MetricRegistryTest, CellsAreSharedByLabelValues) {
  MetricRegistry registry;
  Counter& a = registry.GetCounter(kCacheLookups, {"miss"});
  EXPECT_EQ(&a, &registry.GetCounter(kCacheLookups, {"miss"}));
  EXPECT_NE(&a, &registry.GetCounter(kCacheLookups, {"disk_hit"}));
  a.Add(3);
  const auto snapshot = registry.Snapshot();
  ASSERT_EQ(snapshot.size(), 1u);
  ASSERT_EQ(snapshot[0].samples.size(), 2u);
  EXPECT_THAT(snapshot[0].samples[1].labels, ElementsAre("miss"));
  EXPECT_EQ(snapshot[0].samples[1].value, 3);
}

TEST(MetricRegistryTest, HistogramPutsBoundsIntoTheLowerBucket) {
  static constexpr double kBounds[] = {1, 2};
  static constexpr MetricDef kDef{.name = "megalith_test_seconds",
                                  .kind = MetricKind::kHistogram,
                                  .labels = {},
                                  .help = "h",
                                  .buckets = kBounds};
  MetricRegistry registry;
  Histogram& h = registry.GetHistogram(kDef);
  for (const double v : {0.5, 1.0, 1.5, 9.0}) h.Observe(v);
  EXPECT_EQ(h.count(0), 2u);
  EXPECT_EQ(h.count(1), 1u);
  EXPECT_EQ(h.count(2), 1u);
  EXPECT_EQ(h.total(), 4u);
  EXPECT_EQ(h.sum(), 12.0);
}

TEST(MetricRegistryTest, LabelsFromOutsideCannotGrowWithoutBound) {
  MetricRegistry registry;
  for (size_t i = 0; i < 2 * MetricRegistry::kMaxCells; ++i)
    registry.GetCounter(kCacheLookups, {StrCat("v", i)}).Add();
  const auto snapshot = registry.Snapshot();
  EXPECT_EQ(snapshot[0].samples.size(), MetricRegistry::kMaxCells + 1);
  EXPECT_EQ(registry.GetCounter(kCacheLookups, {"other"}).value(), MetricRegistry::kMaxCells);
}

TEST(MetricRegistryTest, CountsFromManyThreads) {
  MetricRegistry registry;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&registry] {
      for (int i = 0; i < 1000; ++i) registry.GetCounter(kCacheLookups, {"miss"}).Add();
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(registry.GetCounter(kCacheLookups, {"miss"}).value(), 4000u);
}

TEST(TraceContextTest, HeaderRoundTrips) {
  Rng rng(7);
  TraceContext context = TraceContext::Generate(rng);
  context.sampled = true;
  EXPECT_TRUE(context.valid());
  EXPECT_EQ(ParseTraceParent(context.ToHeader()), context);
  const TraceContext child = context.Child(rng);
  EXPECT_EQ(child.trace_id, context.trace_id);
  EXPECT_NE(child.span_id, context.span_id);
}

TEST(TraceContextTest, RejectsWhatW3cForbids) {
  const std::string good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  EXPECT_EQ(ParseTraceParent(good)->TraceIdText(), "0af7651916cd43dd8448eb211c80319c");
  EXPECT_TRUE(ParseTraceParent("cc" + good.substr(2) + "-extra").has_value());
  const std::vector<std::string> malformed = {
      "",
      "00",
      good.substr(0, 54),
      "ff" + good.substr(2),
      good + "-extra",
      "00-00000000000000000000000000000000-b7ad6b7169203331-01",
      "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
      "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
      "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"};
  for (const std::string& bad : malformed) {
    EXPECT_EQ(ParseTraceParent(bad), std::nullopt) << bad;
  }
}

}  // namespace
}  // namespace megalith::telemetry
