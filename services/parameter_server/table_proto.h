// Between megalith.table.v1 and the embedding library's own types.
#pragma once

#include "common/foundation/base/status.h"
#include "common/learning/embedding/server/value_format.h"
#include "common/learning/embedding/table.h"
#include "common/learning/embedding/table_config.h"
#include "megalith/table/v1/table.pb.h"

namespace megalith::services {

// Errors: kInvalidArgument  an unknown enumerator, a wrapped rule that wraps a rule that wraps.
Result<embedding::TableConfig> TableConfigFromProto(const table::v1::TableConfig& proto);
table::v1::TableConfig TableConfigToProto(const embedding::TableConfig& config);

Result<embedding::RuleConfig> RuleFromProto(const table::v1::Rule& proto);
table::v1::Rule RuleToProto(const embedding::RuleConfig& rule);

// Errors: kInvalidArgument  an unknown enumerator.
Result<embedding::ValueFormat> FormatFromProto(table::v1::ValueFormat proto);
Result<embedding::NonFinite> NonFiniteFromProto(table::v1::NonFinitePolicy proto,
                                                embedding::NonFinite unspecified);

table::v1::WriteReport ReportToProto(const embedding::WriteReport& report);
table::v1::TableStats StatsToProto(const std::string& name, const embedding::TableStats& stats);

}  // namespace megalith::services
