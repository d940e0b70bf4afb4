#include "common/fleet/ledger/ledger_proto.h"

#include <algorithm>

#include "common/foundation/base/strings.h"

namespace megalith::ledger {
namespace {

Result<Sha256Digest> DigestFromHex(const std::string& hex) {
  const auto bytes = HexDecode(hex);
  if (hex.size() != 64 || !bytes) {
    return InvalidArgument(StrCat("expects a SHA-256 in 64 lower-case hexadecimal digits, got '",
                                  Printable(hex), "'"));
  }
  Sha256Digest digest;
  std::copy(bytes->begin(), bytes->end(), digest.bytes.begin());
  return digest;
}

}  // namespace

v1::Entry EntryToProto(const Entry& entry) {
  v1::Entry proto;
  proto.set_sequence(entry.sequence);
  proto.set_unix_nanos(entry.unix_nanos);
  proto.set_service(entry.service);
  proto.set_kind(static_cast<v1::Kind>(entry.kind));
  proto.set_trace_id(entry.trace_id);
  for (const auto& [name, digest] : entry.inputs) {
    v1::Digest* d = proto.add_inputs();
    d->set_name(name);
    d->set_sha256(digest.Hex());
  }
  proto.set_policy(entry.policy);
  for (const std::string& a : entry.alternatives) proto.add_alternatives(a);
  proto.set_decision(entry.decision);
  proto.set_outcome(entry.outcome);
  for (const auto& [name, value] : entry.evidence) {
    v1::Evidence* e = proto.add_evidence();
    e->set_name(name);
    e->set_value(value);
  }
  proto.set_key(entry.key);
  proto.set_previous_sha256(entry.previous_hash.Hex());
  proto.set_sha256(entry.hash.Hex());
  return proto;
}

Result<Entry> EntryFromProto(const v1::Entry& proto) {
  if (proto.kind() <= 0 || proto.kind() >= kNumKinds) {
    return InvalidArgument(
        StrCat("ledger entry has no known kind (", static_cast<int>(proto.kind()), ")"));
  }
  Entry entry;
  entry.sequence = proto.sequence();
  entry.unix_nanos = proto.unix_nanos();
  entry.service = proto.service();
  entry.kind = static_cast<Kind>(proto.kind());
  entry.trace_id = proto.trace_id();
  for (const v1::Digest& d : proto.inputs()) {
    ASSIGN_OR_RETURN(const Sha256Digest digest,
                     DigestFromHex(d.sha256()).Annotate(StrCat("input '", d.name(), "'")));
    entry.inputs.emplace_back(d.name(), digest);
  }
  entry.policy = proto.policy();
  entry.alternatives.assign(proto.alternatives().begin(), proto.alternatives().end());
  entry.decision = proto.decision();
  entry.outcome = proto.outcome();
  for (const v1::Evidence& e : proto.evidence()) entry.evidence.emplace_back(e.name(), e.value());
  entry.key = proto.key();
  if (!proto.previous_sha256().empty()) {
    ASSIGN_OR_RETURN(entry.previous_hash,
                     DigestFromHex(proto.previous_sha256()).Annotate("previous_sha256"));
  }
  if (!proto.sha256().empty()) {
    ASSIGN_OR_RETURN(entry.hash, DigestFromHex(proto.sha256()).Annotate("sha256"));
  }
  return entry;
}

Filter FilterFromProto(const v1::QueryRequest& request) {
  Filter filter;
  if (request.kind() > 0 && request.kind() < kNumKinds)
    filter.kind = static_cast<Kind>(request.kind());
  filter.service = request.service();
  filter.trace_id = request.trace_id();
  filter.key = request.key();
  if (request.since_unix_nanos() != 0) filter.since_unix_nanos = request.since_unix_nanos();
  if (request.until_unix_nanos() != 0) filter.until_unix_nanos = request.until_unix_nanos();
  return filter;
}

v1::VerifyResponse ReportToProto(const VerifyReport& report) {
  v1::VerifyResponse proto;
  proto.set_intact(report.intact);
  proto.set_entries(report.entries);
  proto.set_head_sha256(report.head.Hex());
  proto.set_broken_sequence(report.broken_sequence);
  proto.set_broken_segment(report.broken_segment);
  proto.set_broken_offset(report.broken_offset);
  proto.set_reason(report.reason);
  return proto;
}

VerifyReport ReportFromProto(const v1::VerifyResponse& proto) {
  VerifyReport report{.intact = proto.intact(),
                      .entries = proto.entries(),
                      .head = {},
                      .broken_sequence = proto.broken_sequence(),
                      .broken_segment = proto.broken_segment(),
                      .broken_offset = proto.broken_offset(),
                      .reason = proto.reason()};
  if (const Result<Sha256Digest> head = DigestFromHex(proto.head_sha256()); head.ok())
    report.head = *head;
  return report;
}

}  // namespace megalith::ledger
