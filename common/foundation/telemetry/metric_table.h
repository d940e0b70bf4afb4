// Every metric that the code may export, one row each; docs/events.md is printed from Metrics().
#pragma once

#include <span>
#include <string>

#include "common/foundation/telemetry/metrics.h"

namespace megalith::telemetry {

// Seconds, from 50 microseconds (a call in one process) to 100 seconds (a large compile).
inline constexpr double kLatencyBuckets[] = {0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025,
                                             0.005,   0.01,   0.025,   0.05,   0.1,   0.25,
                                             0.5,     1,      2.5,     5,      10,    100};

// Process.
inline constexpr MetricDef kBuildInfo{.name = "megalith_build_info",
                                      .kind = MetricKind::kGauge,
                                      .labels = {"service", "version"},
                                      .help = "Always 1; the labels tell what is running."};

// RPC. code is gRPC's name, such as OK or INVALID_ARGUMENT.
inline constexpr MetricDef kRpcHandled{.name = "megalith_rpc_handled_total",
                                       .kind = MetricKind::kCounter,
                                       .labels = {"service", "method", "code"},
                                       .help = "Calls that the server has finished."};
inline constexpr MetricDef kRpcSeconds{.name = "megalith_rpc_handling_seconds",
                                       .kind = MetricKind::kHistogram,
                                       .labels = {"service", "method"},
                                       .help = "Time from the arrival of a request to its status.",
                                       .buckets = kLatencyBuckets};
inline constexpr MetricDef kRpcInFlight{.name = "megalith_rpc_in_flight",
                                        .kind = MetricKind::kGauge,
                                        .labels = {},
                                        .help = "Calls that have arrived and are not finished."};
inline constexpr MetricDef kRpcRejected{
    .name = "megalith_rpc_rejected_total",
    .kind = MetricKind::kCounter,
    .labels = {"reason"},
    .help = "Calls refused before their handler ran: queue_full, draining, expired."};
inline constexpr MetricDef kClientCalls{
    .name = "megalith_rpc_client_calls_total",
    .kind = MetricKind::kCounter,
    .labels = {"service", "method", "code"},
    .help = "Outgoing calls that have ended, after their retries."};
inline constexpr MetricDef kClientRetries{
    .name = "megalith_rpc_client_retries_total",
    .kind = MetricKind::kCounter,
    .labels = {"service", "method"},
    .help = "Attempts after the first one of outgoing calls."};

// Cache.
inline constexpr MetricDef kCacheLookups{
    .name = "megalith_cache_lookups_total",
    .kind = MetricKind::kCounter,
    .labels = {"result"},
    .help = "Lookups by result: memory_hit, disk_hit, miss, corrupt."};
inline constexpr MetricDef kCacheBytes{.name = "megalith_cache_bytes",
                                       .kind = MetricKind::kGauge,
                                       .labels = {"tier"},
                                       .help = "Bytes held by the memory and the disk tier."};
inline constexpr MetricDef kCacheEntries{.name = "megalith_cache_entries",
                                         .kind = MetricKind::kGauge,
                                         .labels = {"tier"},
                                         .help = "Entries held by the memory and the disk tier."};
inline constexpr MetricDef kCacheEvictions{
    .name = "megalith_cache_evictions_total",
    .kind = MetricKind::kCounter,
    .labels = {"tier"},
    .help = "Entries removed to stay within the byte budget."};
inline constexpr MetricDef kCacheRepairs{
    .name = "megalith_cache_repairs_total",
    .kind = MetricKind::kCounter,
    .labels = {"result"},
    .help = "Damaged entries by what became of them: repaired, quarantined."};
inline constexpr MetricDef kCacheScrubbed{
    .name = "megalith_cache_scrubbed_total",
    .kind = MetricKind::kCounter,
    .labels = {"result"},
    .help =
        "Entries checked by the scrub: good, repaired, quarantined, sidecar_written, "
        "unreadable, gone."};
inline constexpr MetricDef kCacheScrubbedBytes{
    .name = "megalith_cache_scrubbed_bytes_total",
    .kind = MetricKind::kCounter,
    .labels = {},
    .help = "Bytes of entries and sidecars that the scrub read."};
inline constexpr MetricDef kCacheSidecarBytes{
    .name = "megalith_cache_sidecar_bytes",
    .kind = MetricKind::kGauge,
    .labels = {},
    .help = "Bytes of sidecars; part of the disk tier's bytes."};
inline constexpr MetricDef kCacheSidecars{.name = "megalith_cache_sidecars_total",
                                          .kind = MetricKind::kCounter,
                                          .labels = {"result"},
                                          .help = "Sidecars of entries: written, failed."};
inline constexpr MetricDef kCacheSingleFlight{
    .name = "megalith_cache_shared_computations_total",
    .kind = MetricKind::kCounter,
    .labels = {},
    .help = "Callers that waited for another caller's computation."};

// Ledger.
inline constexpr MetricDef kLedgerEntries{.name = "megalith_ledger_entries_total",
                                          .kind = MetricKind::kCounter,
                                          .labels = {"kind"},
                                          .help = "Entries appended."};
inline constexpr MetricDef kLedgerSyncSeconds{.name = "megalith_ledger_sync_seconds",
                                              .kind = MetricKind::kHistogram,
                                              .labels = {},
                                              .help = "Time of one group commit to the device.",
                                              .buckets = kLatencyBuckets};

// Programs.
inline constexpr MetricDef kTraceSeconds{.name = "megalith_trace_seconds",
                                         .kind = MetricKind::kHistogram,
                                         .labels = {},
                                         .help = "Time to trace or lower one program.",
                                         .buckets = kLatencyBuckets};
inline constexpr MetricDef kCompileSeconds{
    .name = "megalith_compile_seconds",
    .kind = MetricKind::kHistogram,
    .labels = {"tier"},
    .help = "Time of one compilation, without lookups and storing.",
    .buckets = kLatencyBuckets};
inline constexpr MetricDef kCompileQueueLength{.name = "megalith_compile_queue_length",
                                               .kind = MetricKind::kGauge,
                                               .labels = {},
                                               .help = "Programs that wait for a compiler."};
inline constexpr MetricDef kCompileQueueSeconds{.name = "megalith_compile_queue_seconds",
                                                .kind = MetricKind::kHistogram,
                                                .labels = {"priority"},
                                                .help = "Time a program waited for a compiler.",
                                                .buckets = kLatencyBuckets};
inline constexpr MetricDef kCompileRequests{
    .name = "megalith_compile_requests_total",
    .kind = MetricKind::kCounter,
    .labels = {"outcome"},
    .help =
        "Requests by how they ended: hit, compiled, shared, cancelled, over_limit (a budget or a "
        "full queue), failed."};
inline constexpr MetricDef kCompileRunning{
    .name = "megalith_compile_running",
    .kind = MetricKind::kGauge,
    .labels = {},
    .help = "Compilations that run, those included that nobody waits for any more."};
inline constexpr MetricDef kCompileShared{
    .name = "megalith_compile_shared_total",
    .kind = MetricKind::kCounter,
    .labels = {},
    .help = "Callers that joined a compilation another caller had asked for."};
inline constexpr MetricDef kCompileStarted{.name = "megalith_compile_started_total",
                                           .kind = MetricKind::kCounter,
                                           .labels = {},
                                           .help = "Programs that a compiler began with."};
inline constexpr MetricDef kExecuteSeconds{.name = "megalith_execute_seconds",
                                           .kind = MetricKind::kHistogram,
                                           .labels = {},
                                           .help = "Time of one run of an executable.",
                                           .buckets = kLatencyBuckets};
inline constexpr MetricDef kExecuteLoaded{.name = "megalith_execute_loaded_programs",
                                          .kind = MetricKind::kGauge,
                                          .labels = {},
                                          .help = "Executables that are ready in memory."};
inline constexpr MetricDef kBufferBytes{
    .name = "megalith_buffer_bytes",
    .kind = MetricKind::kGauge,
    .labels = {},
    .help = "Bytes of tensors that clients keep with the service."};
inline constexpr MetricDef kBuffers{.name = "megalith_buffers",
                                    .kind = MetricKind::kGauge,
                                    .labels = {},
                                    .help = "Tensors that clients keep with the service."};

// Embedding tables.
inline constexpr MetricDef kTableRows{.name = "megalith_table_rows",
                                      .kind = MetricKind::kGauge,
                                      .labels = {"table"},
                                      .help = "Rows of a table."};
inline constexpr MetricDef kTableBytes{.name = "megalith_table_bytes",
                                       .kind = MetricKind::kGauge,
                                       .labels = {"table"},
                                       .help = "Bytes of a table's rows and index."};
inline constexpr MetricDef kTableColdRows{.name = "megalith_table_cold_rows",
                                          .kind = MetricKind::kGauge,
                                          .labels = {"table"},
                                          .help = "Rows of a table that only its disk has."};
inline constexpr MetricDef kTableColdBytes{.name = "megalith_table_cold_bytes",
                                           .kind = MetricKind::kGauge,
                                           .labels = {"table"},
                                           .help = "Bytes of a table's files of cold rows."};
inline constexpr MetricDef kTableColdLookups{
    .name = "megalith_table_cold_lookups_total",
    .kind = MetricKind::kCounter,
    .labels = {"table"},
    .help = "Ids looked up that memory did not have, in tables with a cold tier."};
inline constexpr MetricDef kTableColdHits{.name = "megalith_table_cold_hits_total",
                                          .kind = MetricKind::kCounter,
                                          .labels = {"table"},
                                          .help = "Ids looked up that the disk had and memory did not."};
inline constexpr MetricDef kTablePromoted{.name = "megalith_table_promoted_total",
                                          .kind = MetricKind::kCounter,
                                          .labels = {"table"},
                                          .help = "Rows brought from the disk to memory."};
inline constexpr MetricDef kTableDemoted{.name = "megalith_table_demoted_total",
                                         .kind = MetricKind::kCounter,
                                         .labels = {"table"},
                                         .help = "Rows that left memory for the disk."};
inline constexpr MetricDef kTableColdErrors{
    .name = "megalith_table_cold_errors_total",
    .kind = MetricKind::kCounter,
    .labels = {"table", "operation"},
    .help = "Reads and writes of cold rows that failed; rows not written stay in memory."};
inline constexpr MetricDef kTableLookups{.name = "megalith_table_lookups_total",
                                         .kind = MetricKind::kCounter,
                                         .labels = {"table"},
                                         .help = "Ids looked up."};
inline constexpr MetricDef kTableHits{.name = "megalith_table_hits_total",
                                      .kind = MetricKind::kCounter,
                                      .labels = {"table"},
                                      .help = "Ids looked up that had a row."};
inline constexpr MetricDef kTableApplied{.name = "megalith_table_applied_total",
                                         .kind = MetricKind::kCounter,
                                         .labels = {"table"},
                                         .help = "Rows written: steps and assigned values."};
inline constexpr MetricDef kTableFiltered{
    .name = "megalith_table_filtered_total",
    .kind = MetricKind::kCounter,
    .labels = {"table"},
    .help = "Writes to new ids that the admission filter held back."};
inline constexpr MetricDef kTableRefused{
    .name = "megalith_table_refused_total",
    .kind = MetricKind::kCounter,
    .labels = {"table"},
    .help = "Writes to new ids for which the table's max_bytes had no room."};
inline constexpr MetricDef kTableNonFinite{
    .name = "megalith_table_non_finite_total",
    .kind = MetricKind::kCounter,
    .labels = {"table"},
    .help = "Gradients that were skipped or clipped because they were not finite."};
inline constexpr MetricDef kTableEvicted{.name = "megalith_table_evicted_total",
                                         .kind = MetricKind::kCounter,
                                         .labels = {"table"},
                                         .help = "Rows dropped because they had expired."};
inline constexpr MetricDef kTableRepeated{
    .name = "megalith_table_repeated_updates_total",
    .kind = MetricKind::kCounter,
    .labels = {},
    .help = "Updates that came again after they were applied, and changed nothing."};
inline constexpr MetricDef kTableLogSeconds{
    .name = "megalith_table_log_seconds",
    .kind = MetricKind::kHistogram,
    .labels = {},
    .help = "Time of one write of the update log to the device.",
    .buckets = kLatencyBuckets};
inline constexpr MetricDef kTableLogBytes{.name = "megalith_table_log_bytes_total",
                                          .kind = MetricKind::kCounter,
                                          .labels = {},
                                          .help = "Bytes written to the update log."};
inline constexpr MetricDef kTableLogRecords{.name = "megalith_table_log_records_total",
                                            .kind = MetricKind::kCounter,
                                            .labels = {},
                                            .help = "Changes written to the update log."};

// Parameter sync, sender. target is the address that discovery lists, status OK or KO, idc
// "<idc>:<cluster>" or NA.
inline constexpr MetricDef kSyncBootstraps{
    .name = "megalith_sync_bootstraps_total",
    .kind = MetricKind::kCounter,
    .labels = {"reason", "from"},
    .help =
        "Targets that were sent more than changes: reason new, restarted, version, "
        "unreachable; from all_rows or checkpoint."};
inline constexpr MetricDef kSyncBytes{.name = "megalith_sync_bytes_total",
                                      .kind = MetricKind::kCounter,
                                      .labels = {"target", "status", "idc"},
                                      .help = "Bytes of the push requests sent to a target."};
inline constexpr MetricDef kSyncDropped{
    .name = "megalith_sync_dropped_total",
    .kind = MetricKind::kCounter,
    .labels = {},
    .help =
        "Erased rows that targets will not be told of; 0 unless erased rows alone exceed "
        "max_keys."};
inline constexpr MetricDef kSyncFids{.name = "megalith_sync_fids_total",
                                     .kind = MetricKind::kCounter,
                                     .labels = {"target", "status", "idc"},
                                     .help = "Rows sent to a target."};
inline constexpr MetricDef kSyncKeys{
    .name = "megalith_sync_keys",
    .kind = MetricKind::kGauge,
    .labels = {},
    .help = "Rows that some target lacks and that are remembered one by one."};
inline constexpr MetricDef kSyncLag{
    .name = "megalith_sync_lag_seconds",
    .kind = MetricKind::kGauge,
    .labels = {"target"},
    .help = "Age of the oldest change that the target has not acknowledged."};
inline constexpr MetricDef kSyncOverflows{
    .name = "megalith_sync_overflows_total",
    .kind = MetricKind::kCounter,
    .labels = {"what"},
    .help =
        "Full sets of keys: what = target (one behind will be sent every row) or table (every "
        "row of one will be sent to all)."};
inline constexpr MetricDef kSyncPushSeconds{.name = "megalith_sync_push_seconds",
                                            .kind = MetricKind::kHistogram,
                                            .labels = {"target", "status", "idc"},
                                            .help = "Time of one part of a push.",
                                            .buckets = kLatencyBuckets};
inline constexpr MetricDef kSyncReceived{
    .name = "megalith_sync_received_total",
    .kind = MetricKind::kCounter,
    .labels = {"result"},
    .help =
        "Rows taken from training servers, on a serving server: assigned, erased, or refused "
        "for want of room."};
inline constexpr MetricDef kSyncTargets{
    .name = "megalith_sync_targets",
    .kind = MetricKind::kGauge,
    .labels = {"state"},
    .help = "Targets that discovery lists, and of those the failing and the resending ones."};

// Agent.
inline constexpr MetricDef kAgentDamagedNodes{
    .name = "megalith_agent_damaged_nodes",
    .kind = MetricKind::kGauge,
    .labels = {},
    .help = "Nodes of replicas, met since the start, that could not be read or understood."};
inline constexpr MetricDef kAgentProcessEnds{
    .name = "megalith_agent_process_ends_total",
    .kind = MetricKind::kCounter,
    .labels = {"process"},
    .help = "Model servers that ended by themselves or did not start, and were started again."};
inline constexpr MetricDef kAgentReplicas{.name = "megalith_agent_replicas",
                                          .kind = MetricKind::kGauge,
                                          .labels = {},
                                          .help = "Replicas in ZooKeeper, available or not."};
inline constexpr MetricDef kAgentStale{
    .name = "megalith_agent_stale_seconds",
    .kind = MetricKind::kGauge,
    .labels = {},
    .help = "Age of what the agent answers from; 0 while it follows ZooKeeper."};

// Every row above, by name. A row that is missing here is not documented, and a test says so.
std::span<const MetricDef* const> Metrics();

// The markdown table of docs/events.md.
std::string MetricsMarkdown();

}  // namespace megalith::telemetry
