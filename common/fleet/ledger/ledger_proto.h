// Conversion between ledger entries and their wire form; nothing else.
#pragma once

#include "common/fleet/ledger/entry.h"
#include "common/fleet/ledger/ledger.h"
#include "common/foundation/base/status.h"
#include "megalith/ledger/v1/ledger.pb.h"

namespace megalith::ledger {

v1::Entry EntryToProto(const Entry& entry);
// Errors: kInvalidArgument  unspecified kind, a digest that is no SHA-256 in hexadecimal.
Result<Entry> EntryFromProto(const v1::Entry& proto);

Filter FilterFromProto(const v1::QueryRequest& request);
v1::VerifyResponse ReportToProto(const VerifyReport& report);
VerifyReport ReportFromProto(const v1::VerifyResponse& proto);

}  // namespace megalith::ledger
