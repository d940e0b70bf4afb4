#include "services/parameter_server/table_proto.h"

#include <algorithm>

#include "common/foundation/base/strings.h"
#include "common/learning/embedding/embedding_proto.h"

namespace megalith::services {

namespace v1 = table::v1;
using embedding::NonFinite;
using embedding::RuleConfig;
using embedding::SegmentConfig;
using embedding::TableConfig;
using embedding::ValueFormat;

namespace {

// Rules wrap one level deep; what is deeper is refused before it is copied.
constexpr int kMaxWrapping = 2;

Result<RuleConfig> RuleAt(const v1::Rule& proto, int depth) {
  if (depth > kMaxWrapping) {
    return InvalidArgument(StrCat("rules wrap at most ", kMaxWrapping, " deep"));
  }
  RuleConfig rule;
  rule.name = proto.name();
  for (const auto& [name, value] : proto.fields()) rule.fields.emplace_back(name, value);
  std::sort(rule.fields.begin(), rule.fields.end());
  if (proto.has_base()) {
    ASSIGN_OR_RETURN(RuleConfig base, RuleAt(proto.base(), depth + 1));
    rule.base.push_back(std::move(base));
  }
  return rule;
}

Status RuleInto(const v1::Rule& proto, RuleConfig* rule) {
  if (proto.name().empty() && proto.fields().empty()) return OkStatus();
  ASSIGN_OR_RETURN(*rule, RuleAt(proto, 1));
  return OkStatus();
}

Result<SegmentConfig> SegmentFromProto(const v1::Segment& proto) {
  SegmentConfig segment;
  segment.dim = proto.dim();
  RETURN_IF_ERROR(RuleInto(proto.initializer(), &segment.initializer));
  RETURN_IF_ERROR(RuleInto(proto.optimizer(), &segment.optimizer));
  RETURN_IF_ERROR(RuleInto(proto.compressor(), &segment.compressor));
  segment.stochastic_rounding_float16 = proto.stochastic_rounding_float16();
  return segment;
}

v1::Rule RuleToProto(const RuleConfig& rule) {
  v1::Rule proto;
  proto.set_name(rule.name);
  for (const auto& [name, value] : rule.fields) (*proto.mutable_fields())[name] = value;
  if (!rule.base.empty()) *proto.mutable_base() = RuleToProto(rule.base[0]);
  return proto;
}

Result<embedding::Compatibility> CompatibilityFrom(v1::TableConfig::Compatibility proto) {
  switch (proto) {
    case v1::TableConfig::COMPATIBILITY_UNSPECIFIED:
    case v1::TableConfig::COMPATIBILITY_CORRECTED:
      return embedding::Compatibility::kCorrected;
    case v1::TableConfig::COMPATIBILITY_MONOLITH:
      return embedding::Compatibility::kMonolith;
    default:
      return InvalidArgument(StrCat("compatibility ", static_cast<int>(proto), " is unknown"));
  }
}

v1::TableConfig::Compatibility CompatibilityTo(embedding::Compatibility compatibility) {
  return compatibility == embedding::Compatibility::kCorrected
             ? v1::TableConfig::COMPATIBILITY_CORRECTED
             : v1::TableConfig::COMPATIBILITY_MONOLITH;
}

}  // namespace

Result<embedding::DenseConfig> VariableConfigFromProto(const v1::VariableConfig& proto) {
  embedding::DenseConfig config;
  config.shape.assign(proto.shape().begin(), proto.shape().end());
  config.row_begin = proto.row_begin();
  config.row_end = proto.row_end();
  RETURN_IF_ERROR(RuleInto(proto.optimizer(), &config.optimizer));
  ASSIGN_OR_RETURN(config.compatibility, CompatibilityFrom(proto.compatibility()));
  return config;
}

v1::VariableConfig VariableConfigToProto(const embedding::DenseConfig& config) {
  v1::VariableConfig proto;
  proto.mutable_shape()->Add(config.shape.begin(), config.shape.end());
  proto.set_row_begin(config.row_begin);
  proto.set_row_end(config.row_end);
  *proto.mutable_optimizer() = RuleToProto(config.optimizer);
  proto.set_compatibility(CompatibilityTo(config.compatibility));
  return proto;
}

Result<TableConfig> TableConfigFromProto(const v1::TableConfig& proto) {
  TableConfig config;
  for (const v1::Segment& segment : proto.segments()) {
    ASSIGN_OR_RETURN(SegmentConfig converted, SegmentFromProto(segment));
    config.segments.push_back(std::move(converted));
  }
  switch (proto.kind()) {
    case v1::TableConfig::KIND_UNSPECIFIED:
    case v1::TableConfig::KIND_TRAINING:
      config.kind = embedding::EntryKind::kTraining;
      break;
    case v1::TableConfig::KIND_SERVING:
      config.kind = embedding::EntryKind::kServing;
      break;
    default:
      return InvalidArgument(StrCat("kind ", static_cast<int>(proto.kind()), " is unknown"));
  }
  ASSIGN_OR_RETURN(config.compatibility, CompatibilityFrom(proto.compatibility()));
  config.initial_capacity = std::max<uint64_t>(proto.initial_capacity(), 1);
  config.skip_zero_embedding = proto.skip_zero_embedding();
  if (proto.has_expire_days()) config.expire.default_days = proto.expire_days();
  for (const auto& [slot, days] : proto.expire_days_of_slot()) {
    config.expire.days_of_slot.emplace(slot, days);
  }
  if (proto.has_max_bytes()) config.max_bytes = proto.max_bytes();
  config.seed = proto.seed();
  if (proto.has_cold_tier()) {
    embedding::ColdTierConfig& cold = config.cold_tier.emplace();
    cold.directory = proto.cold_tier().directory();
    cold.memory_budget_bytes = proto.cold_tier().memory_budget_bytes();
    if (proto.cold_tier().cache_bytes() != 0) cold.cache_bytes = proto.cold_tier().cache_bytes();
    if (proto.cold_tier().has_max_disk_bytes()) {
      cold.max_disk_bytes = proto.cold_tier().max_disk_bytes();
    }
  }
  return config;
}

Result<TableConfig> TableConfigOf(const v1::TableConfig& ours, const std::string& monolith) {
  if (monolith.empty()) return TableConfigFromProto(ours);
  if (!ours.segments().empty()) {
    return InvalidArgument("the request has both config and monolith_config");
  }
  ::monolith::hash_table::EmbeddingHashTableConfig proto;
  if (!proto.ParseFromString(monolith)) {
    return InvalidArgument("monolith_config is no EmbeddingHashTableConfig");
  }
  return embedding::TableConfigFromProto(proto).Annotate("monolith_config");
}

v1::TableConfig TableConfigToProto(const TableConfig& config) {
  v1::TableConfig proto;
  for (const SegmentConfig& segment : config.segments) {
    v1::Segment* to = proto.add_segments();
    to->set_dim(segment.dim);
    *to->mutable_initializer() = RuleToProto(segment.initializer);
    *to->mutable_optimizer() = RuleToProto(segment.optimizer);
    *to->mutable_compressor() = RuleToProto(segment.compressor);
    to->set_stochastic_rounding_float16(segment.stochastic_rounding_float16);
  }
  proto.set_kind(config.kind == embedding::EntryKind::kTraining ? v1::TableConfig::KIND_TRAINING
                                                                : v1::TableConfig::KIND_SERVING);
  proto.set_compatibility(CompatibilityTo(config.compatibility));
  proto.set_initial_capacity(config.initial_capacity);
  proto.set_skip_zero_embedding(config.skip_zero_embedding);
  proto.set_expire_days(config.expire.default_days);
  for (const auto& [slot, days] : config.expire.days_of_slot) {
    (*proto.mutable_expire_days_of_slot())[slot] = days;
  }
  if (config.max_bytes != UINT64_MAX) proto.set_max_bytes(config.max_bytes);
  proto.set_seed(config.seed);
  if (config.cold_tier) {
    v1::ColdTier& cold = *proto.mutable_cold_tier();
    cold.set_directory(config.cold_tier->directory);
    cold.set_memory_budget_bytes(config.cold_tier->memory_budget_bytes);
    cold.set_cache_bytes(config.cold_tier->cache_bytes);
    if (config.cold_tier->max_disk_bytes != UINT64_MAX) {
      cold.set_max_disk_bytes(config.cold_tier->max_disk_bytes);
    }
  }
  return proto;
}

Result<ValueFormat> FormatFromProto(v1::ValueFormat proto) {
  switch (proto) {
    case v1::VALUE_FORMAT_UNSPECIFIED:
    case v1::VALUE_FORMAT_FP32:
      return ValueFormat::kFp32;
    case v1::VALUE_FORMAT_FP16:
      return ValueFormat::kFp16;
    case v1::VALUE_FORMAT_BF16:
      return ValueFormat::kBf16;
    default:
      return InvalidArgument(StrCat("value format ", static_cast<int>(proto), " is unknown"));
  }
}

Result<NonFinite> NonFiniteFromProto(v1::NonFinitePolicy proto, NonFinite unspecified) {
  switch (proto) {
    case v1::NON_FINITE_UNSPECIFIED:
      return unspecified;
    case v1::NON_FINITE_REJECT:
      return NonFinite::kReject;
    case v1::NON_FINITE_SKIP:
      return NonFinite::kSkip;
    case v1::NON_FINITE_CLIP:
      return NonFinite::kClip;
    default:
      return InvalidArgument(StrCat("non-finite policy ", static_cast<int>(proto), " is unknown"));
  }
}

v1::WriteReport ReportToProto(const embedding::WriteReport& report) {
  v1::WriteReport proto;
  proto.set_applied(report.applied);
  proto.set_created(report.created);
  proto.set_erased(report.erased);
  proto.set_filtered(report.filtered);
  proto.set_refused(report.refused);
  proto.set_non_finite(report.non_finite);
  proto.set_guarded(report.guarded);
  proto.set_snapshot_missing(report.snapshot_missing);
  proto.set_unreadable(report.unreadable);
  return proto;
}

v1::TableStats StatsToProto(const std::string& name, const embedding::TableStats& stats) {
  v1::TableStats proto;
  proto.set_name(name);
  proto.set_rows(stats.rows);
  proto.set_bytes(stats.bytes);
  proto.set_payload_bytes(stats.payload_bytes);
  proto.set_load_factor(stats.load_factor);
  proto.set_lookups(stats.lookups);
  proto.set_hits(stats.hits);
  proto.set_evicted(stats.evicted);
  *proto.mutable_writes() = ReportToProto(stats.writes);
  proto.set_max_update_time(stats.max_update_time);
  if (stats.cold) {
    v1::ColdTierStats& cold = *proto.mutable_cold();
    cold.set_hot_rows(stats.cold->hot_rows);
    cold.set_cold_rows(stats.cold->cold_rows);
    cold.set_hot_bytes(stats.cold->hot_bytes);
    cold.set_disk_bytes(stats.cold->disk_bytes);
    cold.set_cache_bytes(stats.cold->cache_bytes);
    cold.set_cold_lookups(stats.cold->cold_lookups);
    cold.set_cold_hits(stats.cold->cold_hits);
    cold.set_promotions(stats.cold->promotions);
    cold.set_demotions(stats.cold->demotions);
    cold.set_read_errors(stats.cold->read_errors);
    cold.set_write_errors(stats.cold->write_errors);
  }
  return proto;
}

}  // namespace megalith::services
