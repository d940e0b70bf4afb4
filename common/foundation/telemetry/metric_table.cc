#include "common/foundation/telemetry/metric_table.h"

#include "common/foundation/base/strings.h"

namespace megalith::telemetry {
namespace {

constexpr const MetricDef* kMetrics[] = {
    &kAgentDamagedNodes,
    &kAgentProcessEnds,
    &kAgentReplicas,
    &kAgentStale,
    &kBufferBytes,
    &kBuffers,
    &kBuildInfo,
    &kCacheBytes,
    &kCacheEntries,
    &kCacheEvictions,
    &kCacheLookups,
    &kCacheRepairs,
    &kCacheScrubbed,
    &kCacheScrubbedBytes,
    &kCacheSingleFlight,
    &kCacheSidecarBytes,
    &kCacheSidecars,
    &kCompileQueueLength,
    &kCompileQueueSeconds,
    &kCompileRequests,
    &kCompileRunning,
    &kCompileSeconds,
    &kCompileShared,
    &kCompileStarted,
    &kExecuteLoaded,
    &kExecuteSeconds,
    &kLedgerEntries,
    &kLedgerSyncSeconds,
    &kClientCalls,
    &kClientRetries,
    &kRpcHandled,
    &kRpcSeconds,
    &kRpcInFlight,
    &kRpcRejected,
    &kSyncBootstraps,
    &kSyncBytes,
    &kSyncDropped,
    &kSyncFids,
    &kSyncKeys,
    &kSyncLag,
    &kSyncOverflows,
    &kSyncPushSeconds,
    &kSyncReceived,
    &kSyncTargets,
    &kTableApplied,
    &kTableBytes,
    &kTableColdBytes,
    &kTableColdErrors,
    &kTableColdHits,
    &kTableColdLookups,
    &kTableColdRows,
    &kTableDemoted,
    &kTableEvicted,
    &kTableFiltered,
    &kTableHits,
    &kTableLogBytes,
    &kTableLogRecords,
    &kTableLogSeconds,
    &kTableLookups,
    &kTableNonFinite,
    &kTablePromoted,
    &kTableRefused,
    &kTableRepeated,
    &kTableRows,
    &kTraceSeconds,
};

}  // namespace

std::span<const MetricDef* const> Metrics() { return kMetrics; }

std::string MetricsMarkdown() {
  constexpr std::string_view kKinds[] = {"counter", "gauge", "histogram"};
  std::string out = "| metric | kind | labels | meaning |\n|---|---|---|---|\n";
  for (const MetricDef* m : kMetrics) {
    std::vector<std::string_view> labels;
    for (const std::string_view label : m->labels) {
      if (!label.empty()) labels.push_back(label);
    }
    StrAppend(&out, "| `", m->name, "` | ", kKinds[static_cast<size_t>(m->kind)], " | ",
              Join(labels, " "), " | ", m->help, " |\n");
  }
  return out;
}

}  // namespace megalith::telemetry
