// Configuration of the parameter server.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "common/foundation/config/field.h"
#include "common/learning/embedding/gradients.h"
#include "services/parameter_server/serving/sync_config.h"

namespace megalith::services {

// Which words are ids: layout v2 has bit 63 clear.
enum class IdLayout : uint8_t { kV1 = 0, kV2 = 1 };

struct ParameterServerConfig {
  IdLayout id_layout = IdLayout::kV2;
  int32_t shard = 0;
  int32_t shards = 1;
  int64_t max_tables = 1 << 16;
  int64_t max_ids = 1 << 22;
  embedding::NonFinite non_finite = embedding::NonFinite::kReject;
  std::string filter;
  int64_t filter_capacity = 300'000'000;
  int32_t filter_splits = 7;
  int32_t filter_threshold = 0;
  std::vector<std::string> filter_thresholds;
  int32_t lookup_helpers = 3;
  int64_t max_dense_bytes = 4ll << 30;
  int32_t coordination_threads = 64;
  int64_t max_queued_item_bytes = 256ll << 20;
  int64_t max_clients = 4096;
  int64_t update_window = 4096;
  bool log = false;
  int64_t log_segment_bytes = 64ll << 20;
  std::string checkpoint_dir;
  int32_t checkpoint_keep = 10;
  std::chrono::seconds checkpoint_interval{0};
  int32_t checkpoint_whole_every = 12;
  int32_t checkpoint_max_deltas = 24;
  int64_t checkpoint_max_changes = 4 << 20;
  std::string cold_dir;
  SyncConfig sync;  // its fields carry the prefix "sync_"
};

}  // namespace megalith::services

namespace megalith::config {

template <>
struct EnumWords<services::IdLayout> {
  static constexpr std::string_view kWords[] = {"v1", "v2"};
};

template <>
struct EnumWords<embedding::NonFinite> {
  static constexpr std::string_view kWords[] = {"reject", "skip", "clip"};
};

}  // namespace megalith::config

namespace megalith::services {

inline constexpr config::ConfigField<ParameterServerConfig> kParameterServerFields[] = {
    config::Field<&ParameterServerConfig::id_layout>(
        "id_layout", "v2: ids with bit 63 set are refused; v1: every 64-bit word is an id"),
    config::Field<&ParameterServerConfig::shard>(
        "shard", "which shard this server is; ids of other shards are refused"),
    config::Field<&ParameterServerConfig::shards>("shards",
                                                  "servers that the ids are divided among")
        .Range(1, 1 << 16),
    config::Field<&ParameterServerConfig::max_tables>("max_tables", "tables of one server")
        .Range(1, 1 << 20),
    config::Field<&ParameterServerConfig::max_ids>("max_ids", "ids of one request")
        .Range(1, 1 << 28),
    config::Field<&ParameterServerConfig::non_finite>(
        "non_finite",
        "what is done with gradients that are not finite, where a request does not "
        "say: the request is refused, the row left out, or its values clipped"),
    config::Field<&ParameterServerConfig::filter>(
        "filter",
        "admission filter: sliding_hash_filter, probabilistic_filter or no_filter; empty: "
        "sliding_hash_filter if a threshold is above 0"),
    config::Field<&ParameterServerConfig::filter_capacity>(
        "filter_capacity", "ids that the sliding filter tells apart before it forgets the oldest")
        .Range(1, int64_t{1} << 40),
    config::Field<&ParameterServerConfig::filter_splits>(
        "filter_splits", "parts in which the sliding filter forgets")
        .Range(1, 1000),
    config::Field<&ParameterServerConfig::filter_threshold>(
        "filter_threshold", "how often an id is turned away before it gets a row"),
    config::Field<&ParameterServerConfig::filter_thresholds>(
        "filter_thresholds", "the same for slots that differ, as slot:threshold"),
    config::Field<&ParameterServerConfig::lookup_helpers>(
        "lookup_helpers", "threads that help with large lookups of several tables")
        .Range(0, 256),
    config::Field<&ParameterServerConfig::max_dense_bytes>(
        "max_dense_bytes", "values and optimizer state of all dense variables"),
    config::Field<&ParameterServerConfig::coordination_threads>(
        "coordination_threads", "calls that wait at barriers and queues at the same time")
        .Range(1, 10'000),
    config::Field<&ParameterServerConfig::max_queued_item_bytes>("max_queued_item_bytes",
                                                                 "items of all queues"),
    config::Field<&ParameterServerConfig::max_clients>(
        "max_clients", "clients whose updates are told apart, so that none is applied twice")
        .Range(1, 1 << 20),
    config::Field<&ParameterServerConfig::update_window>(
        "update_window",
        "how far behind a client's newest update an older one may arrive; a multiple of 64")
        .Range(64, 1 << 20),
    config::Field<&ParameterServerConfig::log>(
        "log",
        "whether changes are on the device before they are answered, so that a server that "
        "is killed loses none"),
    config::Field<&ParameterServerConfig::log_segment_bytes>(
        "log_segment_bytes", "size after which the log goes on in a new file")
        .Range(1 << 10, int64_t{1} << 40),
    config::Field<&ParameterServerConfig::checkpoint_dir>(
        "checkpoint_dir",
        "where checkpoints are saved and, at the start, the newest is restored "
        "from; all shards share it; empty: none"),
    config::Field<&ParameterServerConfig::checkpoint_keep>("checkpoint_keep",
                                                           "newest checkpoints that are kept")
        .Range(1, 1'000'000),
    config::Field<&ParameterServerConfig::checkpoint_interval>(
        "checkpoint_interval_s",
        "time between checkpoints that the server saves by itself, at multiples of it, under the "
        "unix time as the step; 0: only those that are asked for")
        .Range(0, 30 * 24 * 3600),
    config::Field<&ParameterServerConfig::checkpoint_whole_every>(
        "checkpoint_whole_every",
        "of so many of those one is whole, the others are deltas of the rows that changed")
        .Range(1, 1'000'000),
    config::Field<&ParameterServerConfig::checkpoint_max_deltas>(
        "checkpoint_max_deltas", "deltas that follow one whole checkpoint at most")
        .Range(1, 10'000),
    config::Field<&ParameterServerConfig::checkpoint_max_changes>(
        "checkpoint_max_changes",
        "rows changed since the last save that are kept track of, 22 bytes each; with more the "
        "next is a whole one; 0: no deltas")
        .Range(0, int64_t{1} << 32),
    config::Field<&ParameterServerConfig::cold_dir>(
        "cold_dir",
        "on a local disk, where tables with a cold tier keep the rows that memory has no room for; "
        "what it holds is dropped at the start, for checkpoints and log are what lasts; empty: "
        "such tables are refused"),
};

}  // namespace megalith::services
