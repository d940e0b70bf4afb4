// Monolith's configuration messages as tables' own, and back. Driven by the records' numbers: a new
// optimizer, initializer or compressor needs nothing here.
#pragma once

#include <map>
#include <string>

#include "common/foundation/base/status.h"
#include "common/learning/embedding/filters/filter.h"
#include "common/learning/embedding/table_config.h"
#include "monolith/native_training/runtime/hash_table/embedding_hash_table.pb.h"

namespace megalith::embedding {

// When a table looks for expired rows by itself.
struct EvictionTimer {
  bool enabled = false;
  int32_t every_hours = 240;
};

// Fields that are unset keep the record's defaults, which are the message's. The result is
// kMonolith and not yet checked against the records' limits (RowLayout::Make does that).
// Errors: kInvalidArgument  a map type other than cuckoo; an unknown entry type; a training segment
//                           without initializer or optimizer or a serving one without compressor;
//                           a choice that is there but empty; what ExpireTimesFromProto refuses;
//         kUnimplemented    an optimizer that the message cannot describe ("dc" has no base).
Result<TableConfig> TableConfigFromProto(
    const ::monolith::hash_table::EmbeddingHashTableConfig& proto, EvictionTimer* timer = nullptr);

// What only our tables have is left out: compatibility, budget of bytes, seed.
// Errors: kInvalidArgument  an unknown record or field, a value its field cannot hold;
//         kUnimplemented    an optimizer that the message cannot describe.
Result<::monolith::hash_table::EmbeddingHashTableConfig> TableConfigToProto(
    const TableConfig& config, const EvictionTimer& timer = {});

// Tables by name, which is the order of their parts in a batch.
// Errors: kInvalidArgument  not one config per name, an empty or repeated name, and those of
//                           TableConfigFromProto naming the table.
Result<std::map<std::string, TableConfig>> TableConfigsFromProto(
    const ::monolith::hash_table::MultiEmbeddingHashTableConfig& proto);
Result<::monolith::hash_table::MultiEmbeddingHashTableConfig> TableConfigsToProto(
    const std::map<std::string, TableConfig>& configs);

// A slot that appears twice keeps what comes last.
// Errors: kInvalidArgument  a slot that no v2 fid has.
Result<ExpireTimes> ExpireTimesFromProto(const ::monolith::hash_table::SlotExpireTimeConfig& proto);
::monolith::hash_table::SlotExpireTimeConfig ExpireTimesToProto(const ExpireTimes& times);

Result<OccurrenceThresholds> OccurrenceThresholdsFromProto(
    const ::monolith::hash_table::SlotOccurrenceThresholdConfig& proto);
::monolith::hash_table::SlotOccurrenceThresholdConfig OccurrenceThresholdsToProto(
    const OccurrenceThresholds& thresholds);

}  // namespace megalith::embedding
