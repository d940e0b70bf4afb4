#include "common/fleet/cache/cache_proto.h"

#include "common/foundation/base/strings.h"

namespace megalith::cache {

common::v1::KeyComponent ComponentToProto(const Component& component) {
  common::v1::KeyComponent proto;
  proto.set_name(component.name);
  proto.set_digest(component.digest.Hex());
  proto.set_text(component.text);
  return proto;
}

Result<Component> ComponentFromProto(const common::v1::KeyComponent& proto) {
  Component component{.name = proto.name(), .digest = {}, .text = proto.text()};
  ASSIGN_OR_RETURN(component.digest,
                   ParseKey(proto.digest()).Annotate(StrCat("component '", proto.name(), "'")));
  if (component.text.size() > kMaxComponentText) {
    return InvalidArgument(StrCat("component '", Printable(proto.name()), "' has ",
                                  component.text.size(), " bytes of text, the limit is ",
                                  kMaxComponentText));
  }
  if (!component.text.empty() && Sha256::Of(component.text) != component.digest) {
    return InvalidArgument(
        StrCat("text of component '", Printable(proto.name()), "' does not match its digest"));
  }
  return component;
}

Result<Key> KeyFromProto(
    const std::string& hex, const std::string& kind,
    const google::protobuf::RepeatedPtrField<common::v1::KeyComponent>& components) {
  Key key{.kind = kind, .components = {}, .digest = {}};
  ASSIGN_OR_RETURN(key.digest, ParseKey(hex));
  for (const common::v1::KeyComponent& c : components) {
    ASSIGN_OR_RETURN(Component component, ComponentFromProto(c));
    key.components.push_back(std::move(component));
  }
  ASSIGN_OR_RETURN(const Sha256Digest digest, DigestOf(key.kind, key.components));
  if (digest != key.digest)
    return InvalidArgument(StrCat("components hash to ", digest.Hex(), ", the key given is ", hex));
  return key;
}

v1::EntryInfo InfoToProto(const EntryInfo& info) {
  v1::EntryInfo proto;
  proto.set_key(info.key.Hex());
  proto.set_kind(info.key.kind);
  for (const Component& c : info.key.components) *proto.add_components() = ComponentToProto(c);
  proto.set_value_bytes(info.value_bytes);
  proto.set_created_unix_nanos(info.created_unix_nanos);
  proto.set_in_memory(info.in_memory);
  return proto;
}

Result<EntryInfo> InfoFromProto(const v1::EntryInfo& proto) {
  EntryInfo info{.key = {},
                 .created_unix_nanos = proto.created_unix_nanos(),
                 .value_bytes = proto.value_bytes(),
                 .in_memory = proto.in_memory()};
  ASSIGN_OR_RETURN(info.key, KeyFromProto(proto.key(), proto.kind(), proto.components()));
  return info;
}

v1::Repair RepairToProto(const Repair& repair) {
  const durability::DecodeProof& p = repair.proof;
  v1::Repair proto;
  proto.set_key(repair.key.Hex());
  proto.set_unix_nanos(repair.unix_nanos);
  proto.set_repaired(repair.repaired);
  proto.set_reason(repair.reason);
  proto.set_source(repair.source);
  proto.set_failure(repair.failure);
  proto.set_sha256_before(p.digest_before.Hex());
  proto.set_bytes_before(p.bytes_before);
  if (repair.repaired) {
    proto.set_sha256_after(p.digest_after.Hex());
    proto.set_bytes_after(p.bytes_after);
  }
  proto.set_symbol_bytes(p.symbol_bytes);
  proto.set_source_symbols(p.source_symbols);
  proto.set_damaged_symbols(durability::RangesText(p.damaged));
  proto.set_unverifiable_symbols(durability::RangesText(p.unverifiable));
  proto.set_used_repair_symbols(durability::RangesText(p.used_repair));
  proto.set_damaged_repair_symbols(durability::RangesText(p.damaged_repair));
  proto.set_proof_file(repair.proof_file);
  proto.set_quarantine_file(repair.quarantine_file);
  return proto;
}

v1::ScrubStatus ScrubStatusToProto(const ScrubStatus& status) {
  const auto count = [&](ScrubOutcome o) { return status.outcomes[static_cast<size_t>(o)]; };
  v1::ScrubStatus proto;
  proto.set_state(static_cast<v1::ScrubStatus::State>(static_cast<int>(status.state) + 1));
  proto.set_pass(status.pass);
  proto.set_stopped(status.stopped);
  proto.set_entries_total(status.entries_total);
  proto.set_entries_done(status.entries_done);
  proto.set_bytes_done(status.bytes_done);
  proto.set_good(count(ScrubOutcome::kGood));
  proto.set_repaired(count(ScrubOutcome::kRepaired));
  proto.set_quarantined(count(ScrubOutcome::kQuarantined));
  proto.set_sidecars_written(count(ScrubOutcome::kSidecarWritten));
  proto.set_unreadable(count(ScrubOutcome::kUnreadable));
  proto.set_gone(count(ScrubOutcome::kGone));
  proto.set_started_unix_nanos(status.started_unix_nanos);
  proto.set_ended_unix_nanos(status.ended_unix_nanos);
  if (status.state != ScrubStatus::State::kIdle) return proto;
  for (const auto& repair : status.repairs) *proto.add_repairs() = RepairToProto(*repair);
  return proto;
}

v1::ComponentDifference DifferenceToProto(const Difference& difference) {
  v1::ComponentDifference proto;
  proto.set_name(difference.name);
  if (difference.left) *proto.mutable_left() = ComponentToProto(*difference.left);
  if (difference.right) *proto.mutable_right() = ComponentToProto(*difference.right);
  return proto;
}

Result<Difference> DifferenceFromProto(const v1::ComponentDifference& proto) {
  Difference difference{.name = proto.name(), .left = std::nullopt, .right = std::nullopt};
  if (proto.has_left()) {
    ASSIGN_OR_RETURN(difference.left, ComponentFromProto(proto.left()));
  }
  if (proto.has_right()) {
    ASSIGN_OR_RETURN(difference.right, ComponentFromProto(proto.right()));
  }
  return difference;
}

}  // namespace megalith::cache
