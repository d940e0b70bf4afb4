#include "common/learning/embedding/embedding_proto.h"

#include <cmath>

#include "common/foundation/base/strings.h"
#include "common/learning/embedding/compressors/compressor.h"
#include "common/learning/embedding/fid.h"
#include "common/learning/embedding/initializers/initializer.h"
#include "common/learning/embedding/optimizers/optimizer.h"

namespace megalith::embedding {
namespace {

namespace proto = ::monolith::hash_table;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::OneofDescriptor;

// The oneof "type" of OptimizerConfig, InitializerConfig and FloatCompressorConfig.
const OneofDescriptor& ChoiceOf(const Message& message) {
  const OneofDescriptor* const choice = message.GetDescriptor()->FindOneofByName("type");
  CHECK(choice != nullptr);
  return *choice;
}

double NumberOf(const Message& message, const FieldDescriptor& field) {
  const auto& reflection = *message.GetReflection();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_FLOAT:
      return reflection.GetFloat(message, &field);
    case FieldDescriptor::CPPTYPE_INT32:
      return reflection.GetInt32(message, &field);
    case FieldDescriptor::CPPTYPE_INT64:
      return static_cast<double>(reflection.GetInt64(message, &field));
    case FieldDescriptor::CPPTYPE_BOOL:
      return reflection.GetBool(message, &field) ? 1 : 0;
    default:
      CHECK(false && "a field of a type that no record has");
      return 0;
  }
}

Status SetNumber(double value, const FieldDescriptor& field, Message* message) {
  const auto& reflection = *message->GetReflection();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_FLOAT:
      reflection.SetFloat(message, &field, static_cast<float>(value));
      return OkStatus();
    case FieldDescriptor::CPPTYPE_INT32:
      if (!(std::fabs(value) <= INT32_MAX)) {
        return InvalidArgument(StrCat("field '", field.name(), "' is ", value,
                                      ", which Monolith's message cannot hold"));
      }
      reflection.SetInt32(message, &field, static_cast<int32_t>(value));
      return OkStatus();
    case FieldDescriptor::CPPTYPE_INT64:
      reflection.SetInt64(message, &field, static_cast<int64_t>(value));
      return OkStatus();
    case FieldDescriptor::CPPTYPE_BOOL:
      reflection.SetBool(message, &field, value != 0);
      return OkStatus();
    default:
      CHECK(false && "a field of a type that no record has");
      return OkStatus();
  }
}

template <typename Def>
std::string NamesOf(std::span<const Def* const> records) {
  std::vector<std::string_view> names;
  for (const Def* record : records) names.push_back(record->name);
  return Join(names, ", ");
}

template <typename Def>
Result<RuleConfig> RuleFromProto(const Message& message, std::span<const Def* const> records,
                                 std::string_view what) {
  const auto& reflection = *message.GetReflection();
  const FieldDescriptor* const member =
      reflection.GetOneofFieldDescriptor(message, &ChoiceOf(message));
  if (member == nullptr) {
    return InvalidArgument(StrCat("the ", what, " is not set; wanted one of ", NamesOf(records)));
  }
  for (const Def* record : records) {
    if (record->config_number != member->number()) continue;
    RuleConfig out{.name = std::string(record->name)};
    const Message& fields = reflection.GetMessage(message, member);
    for (const FieldDef& def : record->fields) {
      const FieldDescriptor* const field = fields.GetDescriptor()->FindFieldByNumber(def.number);
      CHECK(field != nullptr);
      if (fields.GetReflection()->HasField(fields, field)) {
        out.fields.emplace_back(def.name, NumberOf(fields, *field));
      }
    }
    return out;
  }
  return Unimplemented(StrCat("no record of the ", what, " '", member->name(), "'"));
}

template <typename Def>
Status RuleToProto(const RuleConfig& rule, std::span<const Def* const> records,
                   std::string_view what, Message* message) {
  ASSIGN_OR_RETURN(const Def* record, FindRecord(records, rule.name, what));
  // Refuses what no field has, and integers and flags that are none.
  RETURN_IF_ERROR(BindFields(rule, record->fields));
  const FieldDescriptor* const member =
      message->GetDescriptor()->FindFieldByNumber(record->config_number);
  CHECK(member != nullptr);
  Message* const fields = message->GetReflection()->MutableMessage(message, member);
  for (const auto& [name, value] : rule.fields) {
    for (const FieldDef& def : record->fields) {
      if (def.name != name) continue;
      RETURN_IF_ERROR(
          SetNumber(value, *fields->GetDescriptor()->FindFieldByNumber(def.number), fields));
    }
  }
  return OkStatus();
}

Status NoBase(std::string_view name) {
  return Unimplemented(StrCat("Monolith's message has no place for what '", name,
                              "' wraps; such a table is configured with our own"));
}

Result<RuleConfig> OptimizerFromProto(const proto::OptimizerConfig& message) {
  ASSIGN_OR_RETURN(RuleConfig out, RuleFromProto(message, Optimizers(), "optimizer"));
  ASSIGN_OR_RETURN(const OptimizerDef* record, FindRecord(Optimizers(), out.name, "optimizer"));
  if (record->compensate) return NoBase(out.name);
  return out;
}

Result<SegmentConfig> SegmentFromProto(const proto::EntryConfig::Segment& message, EntryKind kind) {
  SegmentConfig out{.dim = message.dim_size()};
  const bool training = kind == EntryKind::kTraining;
  if (training && (!message.has_init_config() || !message.has_opt_config())) {
    return InvalidArgument("a segment of a training table needs init_config and opt_config");
  }
  if (!training && !message.has_comp_config()) {
    return InvalidArgument("a segment of a serving table needs comp_config");
  }
  if (message.has_init_config()) {
    ASSIGN_OR_RETURN(out.initializer,
                     RuleFromProto(message.init_config(), Initializers(), "initializer"));
  }
  if (message.has_opt_config()) {
    ASSIGN_OR_RETURN(out.optimizer, OptimizerFromProto(message.opt_config()));
    out.stochastic_rounding_float16 = message.opt_config().stochastic_rounding_float16();
  }
  if (message.has_comp_config()) {
    ASSIGN_OR_RETURN(out.compressor,
                     RuleFromProto(message.comp_config(), Compressors(), "compressor"));
  }
  return out;
}

Status SegmentToProto(const SegmentConfig& config, proto::EntryConfig::Segment* message) {
  if (config.dim < 1 || config.dim > INT32_MAX) {
    return InvalidArgument(StrCat("dim is ", config.dim, ", wanted 1 or more"));
  }
  message->set_dim_size(static_cast<int32_t>(config.dim));
  if (!config.optimizer.base.empty()) return NoBase(config.optimizer.name);
  RETURN_IF_ERROR(RuleToProto(config.initializer, Initializers(), "initializer",
                              message->mutable_init_config()));
  RETURN_IF_ERROR(
      RuleToProto(config.optimizer, Optimizers(), "optimizer", message->mutable_opt_config()));
  RETURN_IF_ERROR(
      RuleToProto(config.compressor, Compressors(), "compressor", message->mutable_comp_config()));
  if (config.stochastic_rounding_float16) {
    message->mutable_opt_config()->set_stochastic_rounding_float16(true);
  }
  return OkStatus();
}

Status CheckSlot(uint32_t slot) {
  if (slot < static_cast<uint32_t>(kSlotsV2)) return OkStatus();
  return InvalidArgument(StrCat("slot ", slot, " is none of a v2 fid: wanted 0 to ", kSlotsV2 - 1));
}

}  // namespace

Result<TableConfig> TableConfigFromProto(const proto::EmbeddingHashTableConfig& message,
                                         EvictionTimer* timer) {
  if (message.type_case() != proto::EmbeddingHashTableConfig::kCuckoo) {
    return InvalidArgument("the table's map type is not set or unknown; wanted cuckoo");
  }
  TableConfig out{.compatibility = Compatibility::kMonolith,
                  .initial_capacity = message.initial_capacity(),
                  .skip_zero_embedding = message.skip_zero_embedding()};
  switch (message.entry_config().entry_type()) {
    case proto::EntryConfig::TRAINING:
      out.kind = EntryKind::kTraining;
      break;
    case proto::EntryConfig::SERVING:
      out.kind = EntryKind::kServing;
      break;
    default:
      return InvalidArgument("entry_config.entry_type is UNKNOWN; wanted TRAINING or SERVING");
  }
  for (int i = 0; i < message.entry_config().segments_size(); ++i) {
    Result<SegmentConfig> segment = SegmentFromProto(message.entry_config().segments(i), out.kind);
    if (!segment.ok()) return segment.status().Annotate(StrCat("segment ", i));
    out.segments.push_back(*std::move(segment));
  }
  ASSIGN_OR_RETURN(out.expire, ExpireTimesFromProto(message.slot_expire_time_config()));
  if (timer != nullptr) {
    timer->enabled = message.enable_feature_eviction();
    timer->every_hours = message.feature_evict_every_n_hours();
    if (timer->enabled && timer->every_hours < 1) {
      return InvalidArgument(
          StrCat("feature_evict_every_n_hours is ", timer->every_hours, ", wanted 1 or more"));
    }
  }
  return out;
}

Result<proto::EmbeddingHashTableConfig> TableConfigToProto(const TableConfig& config,
                                                           const EvictionTimer& timer) {
  proto::EmbeddingHashTableConfig out;
  out.mutable_cuckoo();
  out.set_initial_capacity(config.initial_capacity);
  if (config.skip_zero_embedding) out.set_skip_zero_embedding(true);
  if (timer.enabled) {
    out.set_enable_feature_eviction(true);
    out.set_feature_evict_every_n_hours(timer.every_hours);
  }
  *out.mutable_slot_expire_time_config() = ExpireTimesToProto(config.expire);
  out.mutable_entry_config()->set_entry_type(config.kind == EntryKind::kServing
                                                 ? proto::EntryConfig::SERVING
                                                 : proto::EntryConfig::TRAINING);
  size_t index = 0;
  for (const SegmentConfig& segment : config.segments) {
    RETURN_IF_ERROR(SegmentToProto(segment, out.mutable_entry_config()->add_segments())
                        .Annotate(StrCat("segment ", index++)));
  }
  return out;
}

Result<std::map<std::string, TableConfig>> TableConfigsFromProto(
    const proto::MultiEmbeddingHashTableConfig& message) {
  if (message.names_size() != message.configs_size()) {
    return InvalidArgument(StrCat(message.names_size(), " names of tables for ",
                                  message.configs_size(), " configurations"));
  }
  std::map<std::string, TableConfig> out;
  for (int i = 0; i < message.names_size(); ++i) {
    const std::string& name = message.names(i);
    if (name.empty()) return InvalidArgument(StrCat("table ", i, " has no name"));
    Result<TableConfig> config = TableConfigFromProto(message.configs(i));
    if (!config.ok()) return config.status().Annotate(StrCat("table '", Printable(name), "'"));
    if (!out.emplace(name, *std::move(config)).second) {
      return InvalidArgument(StrCat("table '", Printable(name), "' appears twice"));
    }
  }
  return out;
}

Result<proto::MultiEmbeddingHashTableConfig> TableConfigsToProto(
    const std::map<std::string, TableConfig>& configs) {
  proto::MultiEmbeddingHashTableConfig out;
  for (const auto& [name, config] : configs) {
    Result<proto::EmbeddingHashTableConfig> message = TableConfigToProto(config);
    if (!message.ok()) return message.status().Annotate(StrCat("table '", Printable(name), "'"));
    out.add_names(name);
    *out.add_configs() = *std::move(message);
  }
  return out;
}

Result<ExpireTimes> ExpireTimesFromProto(const proto::SlotExpireTimeConfig& message) {
  ExpireTimes out{.default_days = message.default_expire_time()};
  for (const auto& slot : message.slot_expire_times()) {
    RETURN_IF_ERROR(CheckSlot(slot.slot()).Annotate("slot_expire_time_config"));
    out.days_of_slot[slot.slot()] = slot.expire_time();
  }
  return out;
}

proto::SlotExpireTimeConfig ExpireTimesToProto(const ExpireTimes& times) {
  proto::SlotExpireTimeConfig out;
  out.set_default_expire_time(times.default_days);
  for (const auto& [slot, days] : times.days_of_slot) {
    auto* const entry = out.add_slot_expire_times();
    entry->set_slot(slot);
    entry->set_expire_time(days);
  }
  return out;
}

Result<OccurrenceThresholds> OccurrenceThresholdsFromProto(
    const proto::SlotOccurrenceThresholdConfig& message) {
  OccurrenceThresholds out{.default_threshold = message.default_occurrence_threshold()};
  for (const auto& slot : message.slot_occurrence_thresholds()) {
    RETURN_IF_ERROR(CheckSlot(slot.slot()).Annotate("slot_occurrence_thresholds"));
    out.threshold_of_slot[slot.slot()] = slot.occurrence_threshold();
  }
  return out;
}

proto::SlotOccurrenceThresholdConfig OccurrenceThresholdsToProto(
    const OccurrenceThresholds& thresholds) {
  proto::SlotOccurrenceThresholdConfig out;
  out.set_default_occurrence_threshold(thresholds.default_threshold);
  for (const auto& [slot, threshold] : thresholds.threshold_of_slot) {
    auto* const entry = out.add_slot_occurrence_thresholds();
    entry->set_slot(slot);
    entry->set_occurrence_threshold(threshold);
  }
  return out;
}

}  // namespace megalith::embedding
