// Runs golden cases of sparse optimizers (conformance/fixtures/optimizers.json) against the rows of
// embedding tables, without a server.
#pragma once

#include <string_view>

#include "clients/cli/conformance/report.h"
#include "common/foundation/base/status.h"

namespace megalith::conformance {

// Whether `text` is a file of such cases, by its schema field.
bool IsOptimizerCases(std::string_view text);

// Runs every case in each mode it names; levels are "values" only. Families are
// "optimizers/monolith", "optimizers/corrected" (a case of both counts in each) and "schedules".
// Errors: kInvalidArgument  the file is not of the schema. A case that cannot be read or bound is
// a failure of its family.
Result<Reports> RunOptimizerCases(std::string_view text);

}  // namespace megalith::conformance
