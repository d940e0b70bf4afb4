#include "common/fleet/cache/repair.h"

#include <utility>
#include <vector>

#include "common/foundation/base/strings.h"

namespace megalith::cache {
namespace {

std::string Quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte >= 0x7f) {
      constexpr char kDigits[] = "0123456789abcdef";
      out += "\\u00";
      out += kDigits[byte >> 4];
      out += kDigits[byte & 15];
    } else {
      out += c;
    }
  }
  return out + '"';
}

}  // namespace

std::string RepairJson(const Repair& repair) {
  const durability::DecodeProof& p = repair.proof;
  const std::vector<std::pair<std::string_view, std::string>> members = {
      {"key", Quoted(repair.key.Hex())},
      {"unix_nanos", StrCat(repair.unix_nanos)},
      {"result", Quoted(repair.repaired ? "repaired" : "quarantined")},
      {"reason", Quoted(repair.reason)},
      {"source", Quoted(repair.source)},
      {"failure", Quoted(repair.failure)},
      {"sha256_before", Quoted(p.digest_before.Hex())},
      {"sha256_after", Quoted(repair.repaired ? p.digest_after.Hex() : "")},
      {"bytes_before", StrCat(p.bytes_before)},
      {"bytes_after", StrCat(repair.repaired ? p.bytes_after : 0)},
      {"symbol_bytes", StrCat(p.symbol_bytes)},
      {"source_symbols", StrCat(p.source_symbols)},
      {"damaged_symbols", Quoted(durability::RangesText(p.damaged))},
      {"unverifiable_symbols", Quoted(durability::RangesText(p.unverifiable))},
      {"used_repair_symbols", Quoted(durability::RangesText(p.used_repair))},
      {"damaged_repair_symbols", Quoted(durability::RangesText(p.damaged_repair))},
      {"quarantine_file", Quoted(repair.quarantine_file)},
  };
  std::string out = "{";
  for (const auto& [name, value] : members)
    StrAppend(&out, out.size() > 1 ? ",\n " : "\n ", Quoted(name), ": ", value);
  return out + "\n}\n";
}

}  // namespace megalith::cache
