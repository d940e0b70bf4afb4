// Commands of megalithctl table that work on files of checkpoints.
#pragma once

#include "clients/cli/session.h"

namespace megalith::cli {

Status RunTableExport(Session& session, const Arguments& arguments);
Status RunTableDiff(Session& session, const Arguments& arguments);
Status RunTableReshard(Session& session, const Arguments& arguments);
Status RunTableCompact(Session& session, const Arguments& arguments);

}  // namespace megalith::cli
