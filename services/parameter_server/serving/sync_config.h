// Configuration of parameter sync in a parameter server. The owner of the process's configuration
// adds the fields under a prefix of its own, such as "sync_".
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "common/foundation/config/field.h"
#include "common/learning/sync/push.h"

namespace megalith::services {

enum class SyncRoleKind : uint8_t {
  kNone = 0,     // neither sends nor receives rows
  kTrain = 1,    // sends changed rows to the serving servers that discovery lists
  kServing = 2,  // takes rows and answers lookups
};

struct SyncConfig {
  SyncRoleKind role = SyncRoleKind::kNone;
  std::string model;
  sync::WireForm form = sync::WireForm::kSingle;
  std::string resource = "MonolithMultiHashTable";
  std::string targets;
  std::chrono::milliseconds interval{10'000};
  std::chrono::milliseconds timeout{3000};
  int64_t max_keys = 2'097'152;
  int64_t resend_bytes_per_second = 64 << 20;
  int32_t max_parallel = 16;
  int64_t version = 1;
};

}  // namespace megalith::services

namespace megalith::config {

template <>
struct EnumWords<services::SyncRoleKind> {
  static constexpr std::string_view kWords[] = {"none", "train", "serving"};
};

template <>
struct EnumWords<sync::WireForm> {
  static constexpr std::string_view kWords[] = {"single", "native"};
};

}  // namespace megalith::config

namespace megalith::services {

inline constexpr config::ConfigField<SyncConfig> kSyncFields[] = {
    config::Field<&SyncConfig::role>(
        "role",
        "train: sends changed rows to serving servers; serving: takes them and answers "
        "TensorFlow Serving's lookups; none: neither"),
    config::Field<&SyncConfig::model>("model",
                                      "name of the model; on the wire it is <model>:ps_<shard>"),
    config::Field<&SyncConfig::form>(
        "form", "single: every table under its own name; native: one multi-table"),
    config::Field<&SyncConfig::resource>(
        "resource", "name of the native multi-table; on the wire it is <resource>_<shard>"),
    config::Field<&SyncConfig::targets>(
        "targets",
        "train: what discovery calls the serving servers of this shard; empty: "
        "<model>:ps_<shard>"),
    config::Field<&SyncConfig::interval>("interval_ms", "train: from one round to the next"),
    config::Field<&SyncConfig::timeout>("timeout_ms", "train: deadline of one part of a push"),
    config::Field<&SyncConfig::max_keys>(
        "max_keys", "train: changed rows remembered one by one; beyond, whole tables are resent")
        .Range(1024, int64_t{1} << 32),
    config::Field<&SyncConfig::resend_bytes_per_second>(
        "resend_bytes_per_second", "train: rate at which a target is sent every row")
        .Range(1, INT64_MAX),
    config::Field<&SyncConfig::max_parallel>("max_parallel", "train: targets served at once")
        .Range(1, 1024),
    config::Field<&SyncConfig::version>(
        "version",
        "serving: version of the model that is announced until a checkpoint says another"),
};

}  // namespace megalith::services
