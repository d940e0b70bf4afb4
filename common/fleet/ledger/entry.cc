#include "common/fleet/ledger/entry.h"

#include "common/foundation/base/bytes.h"
#include "common/foundation/base/strings.h"

namespace megalith::ledger {
namespace {

Result<std::string> Text(ByteReader& reader) {
  ASSIGN_OR_RETURN(const std::string_view text, reader.Sized());
  return std::string(text);
}

// A list's length; each element takes at least one byte, which bounds what a damaged length can ask
// for.
Result<uint32_t> Count(ByteReader& reader) {
  ASSIGN_OR_RETURN(const uint32_t n, reader.U32());
  if (n > reader.left())
    return DataLoss(StrCat("a list of ", n, " elements has ", reader.left(), " bytes"));
  return n;
}

}  // namespace

std::string_view KindName(Kind kind) {
  constexpr std::string_view kNames[] = {"",      "transform", "lower",  "compile",
                                         "cache", "execute",   "repair", "lifecycle"};
  return kNames[static_cast<size_t>(kind)];
}

std::string EncodeBody(const Entry& e) {
  ByteWriter w;
  w.U64(e.sequence);
  w.I64(e.unix_nanos);
  w.U8(static_cast<uint8_t>(e.kind));
  w.Sized(e.service);
  w.Sized(e.trace_id);
  w.U32(static_cast<uint32_t>(e.inputs.size()));
  for (const auto& [name, digest] : e.inputs) {
    w.Sized(name);
    w.Raw({reinterpret_cast<const char*>(digest.bytes.data()), digest.bytes.size()});
  }
  w.Sized(e.policy);
  w.U32(static_cast<uint32_t>(e.alternatives.size()));
  for (const std::string& a : e.alternatives) w.Sized(a);
  w.Sized(e.decision);
  w.Sized(e.outcome);
  w.U32(static_cast<uint32_t>(e.evidence.size()));
  for (const auto& [name, value] : e.evidence) {
    w.Sized(name);
    w.Sized(value);
  }
  w.Sized(e.key);
  return w.Take();
}

Result<Entry> DecodeBody(std::string_view body) {
  ByteReader r(body);
  Entry e;
  ASSIGN_OR_RETURN(e.sequence, r.U64());
  ASSIGN_OR_RETURN(const uint64_t nanos, r.U64());
  e.unix_nanos = static_cast<int64_t>(nanos);
  ASSIGN_OR_RETURN(const uint8_t kind, r.U8());
  if (kind == 0 || kind >= kNumKinds) return DataLoss(StrCat("entry has unknown kind ", kind));
  e.kind = static_cast<Kind>(kind);
  ASSIGN_OR_RETURN(e.service, Text(r));
  ASSIGN_OR_RETURN(e.trace_id, Text(r));
  ASSIGN_OR_RETURN(const uint32_t inputs, Count(r));
  for (uint32_t i = 0; i < inputs; ++i) {
    ASSIGN_OR_RETURN(std::string name, Text(r));
    ASSIGN_OR_RETURN(const std::string_view raw, r.Raw(32));
    Sha256Digest digest;
    std::copy(raw.begin(), raw.end(), digest.bytes.begin());
    e.inputs.emplace_back(std::move(name), digest);
  }
  ASSIGN_OR_RETURN(e.policy, Text(r));
  ASSIGN_OR_RETURN(const uint32_t alternatives, Count(r));
  for (uint32_t i = 0; i < alternatives; ++i) {
    ASSIGN_OR_RETURN(std::string a, Text(r));
    e.alternatives.push_back(std::move(a));
  }
  ASSIGN_OR_RETURN(e.decision, Text(r));
  ASSIGN_OR_RETURN(e.outcome, Text(r));
  ASSIGN_OR_RETURN(const uint32_t evidence, Count(r));
  for (uint32_t i = 0; i < evidence; ++i) {
    ASSIGN_OR_RETURN(std::string name, Text(r));
    ASSIGN_OR_RETURN(std::string value, Text(r));
    e.evidence.emplace_back(std::move(name), std::move(value));
  }
  ASSIGN_OR_RETURN(e.key, Text(r));
  if (r.left() != 0) return DataLoss(StrCat("entry has ", r.left(), " bytes after its last field"));
  return e;
}

Sha256Digest ChainHash(const Sha256Digest& previous, std::string_view body) {
  ByteWriter prefix;
  prefix.Raw({reinterpret_cast<const char*>(previous.bytes.data()), previous.bytes.size()});
  prefix.U32(static_cast<uint32_t>(body.size()));
  Sha256 sha;
  sha.Update(prefix.data());
  sha.Update(body);
  return sha.Finish();
}

}  // namespace megalith::ledger
