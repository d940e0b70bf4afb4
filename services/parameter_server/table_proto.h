// Between megalith.table.v1 and the embedding library's own types.
#pragma once

#include <string>

#include "common/foundation/base/status.h"
#include "common/learning/embedding/server/dense_store.h"
#include "common/learning/embedding/server/value_format.h"
#include "common/learning/embedding/table.h"
#include "common/learning/embedding/table_config.h"
#include "megalith/table/v1/table.pb.h"

namespace megalith::services {

// Errors: kInvalidArgument  an unknown enumerator, a wrapped rule that wraps a rule that wraps.
Result<embedding::TableConfig> TableConfigFromProto(const table::v1::TableConfig& proto);
// The configuration that a request has in one of its two forms.
// Errors: those of TableConfigFromProto of either kind; kInvalidArgument  both forms, or bytes that
//         are no message.
Result<embedding::TableConfig> TableConfigOf(const table::v1::TableConfig& ours,
                                             const std::string& monolith);
table::v1::TableConfig TableConfigToProto(const embedding::TableConfig& config);

// Errors: as TableConfigFromProto.
Result<embedding::DenseConfig> VariableConfigFromProto(const table::v1::VariableConfig& proto);
table::v1::VariableConfig VariableConfigToProto(const embedding::DenseConfig& config);

// Errors: kInvalidArgument  an unknown enumerator.
Result<embedding::ValueFormat> FormatFromProto(table::v1::ValueFormat proto);
Result<embedding::NonFinite> NonFiniteFromProto(table::v1::NonFinitePolicy proto,
                                                embedding::NonFinite unspecified);

table::v1::WriteReport ReportToProto(const embedding::WriteReport& report);
table::v1::TableStats StatsToProto(const std::string& name, const embedding::TableStats& stats);

}  // namespace megalith::services
