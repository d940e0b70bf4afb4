// Conversion between cache keys, entries and their wire form; nothing else.
#pragma once

#include "common/fleet/cache/cache.h"
#include "common/fleet/cache/key.h"
#include "common/fleet/cache/scrubber.h"
#include "common/foundation/base/status.h"
#include "megalith/cache/v1/cache.pb.h"
#include "megalith/common/v1/common.pb.h"

namespace megalith::cache {

common::v1::KeyComponent ComponentToProto(const Component& component);
// Errors: kInvalidArgument  a digest that is no SHA-256 in hexadecimal.
Result<Component> ComponentFromProto(const common::v1::KeyComponent& proto);

// `hex`, `kind` and components as they stand in PutRequest and EntryInfo.
// Errors: kInvalidArgument  malformed; they do not hash to the key.
Result<Key> KeyFromProto(
    const std::string& hex, const std::string& kind,
    const google::protobuf::RepeatedPtrField<common::v1::KeyComponent>& components);

v1::EntryInfo InfoToProto(const EntryInfo& info);
Result<EntryInfo> InfoFromProto(const v1::EntryInfo& proto);
v1::Repair RepairToProto(const Repair& repair);
// Without repairs unless the pass has ended.
v1::ScrubStatus ScrubStatusToProto(const ScrubStatus& status);
v1::ComponentDifference DifferenceToProto(const Difference& difference);
Result<Difference> DifferenceFromProto(const v1::ComponentDifference& proto);

}  // namespace megalith::cache
