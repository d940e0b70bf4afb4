#include "common/foundation/durability/sidecar.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>
#include <utility>

#include "common/foundation/base/bytes.h"
#include "common/foundation/base/strings.h"
#include "common/foundation/durability/raptorq.h"
#include "common/foundation/durability/raptorq_parameters.h"

namespace megalith::durability {
namespace {

// Persistent: never change.
constexpr size_t kDigestBytes = 8;  // of a symbol or group: the first bytes of a SHA-256
constexpr uint32_t kGroupSymbols = 32;
constexpr uint32_t kGroupMark = 0x80000000;  // tells digests of groups from those of symbols
constexpr uint32_t kMaxSymbolBytes = 1 << 20;

// About 512 symbols: small enough a symbol to keep damage local, few enough to keep digests and
// elimination cheap.
constexpr uint64_t kTargetSymbols = 512;
constexpr uint64_t kMinSymbolBytes = 64;
constexpr uint64_t kUsualMaxSymbolBytes = 64 << 10;

std::string_view Raw(const Sha256Digest& digest) {
  return {reinterpret_cast<const char*>(digest.bytes.data()), digest.bytes.size()};
}

// A symbol is bound to its number, so that one in the place of another is damage.
std::string ShortDigest(uint32_t number, std::string_view bytes) {
  Sha256 hash;
  char prefix[4];
  std::memcpy(prefix, &number, sizeof(prefix));
  hash.Update({prefix, sizeof(prefix)});
  hash.Update(bytes);
  return std::string(Raw(hash.Finish()).substr(0, kDigestBytes));
}

// How symbols of an object are cut out of its bytes.
class SymbolView {
 public:
  SymbolView(std::string_view object, const SidecarHeader& header)
      : object_(object.substr(0, header.object_bytes)), header_(header) {
    const uint64_t last = uint64_t{header.source_symbols - 1} * header.symbol_bytes;
    if (object_.size() < header.object_bytes || last >= object_.size()) return;
    padded_last_ = std::string(object_.substr(last));
    padded_last_.resize(header.symbol_bytes);
  }
  // nullopt if bytes of it are missing. Valid as long as the view.
  std::optional<std::string_view> Symbol(uint32_t i) const {
    const uint64_t begin = uint64_t{i} * header_.symbol_bytes;
    if (i + 1 == header_.source_symbols) {
      if (padded_last_.empty()) return std::nullopt;
      return padded_last_;
    }
    if (begin + header_.symbol_bytes > object_.size()) return std::nullopt;
    return object_.substr(begin, header_.symbol_bytes);
  }

 private:
  const std::string_view object_;
  const SidecarHeader& header_;
  std::string padded_last_;
};

SidecarHeader LayoutOf(uint64_t object_bytes, const SidecarOptions& options) {
  SidecarHeader h{.object_bytes = object_bytes};
  const uint64_t wanted = (object_bytes + kTargetSymbols - 1) / kTargetSymbols;
  uint64_t symbol = std::clamp((wanted + 63) / 64 * 64, kMinSymbolBytes, kUsualMaxSymbolBytes);
  while (symbol < kMaxSymbolBytes && (object_bytes - 1) / symbol >= kMaxSourceSymbols) symbol *= 2;
  const uint64_t symbols = (object_bytes - 1) / symbol + 1;
  if (symbols > kMaxSourceSymbols) return h;
  const auto share =
      static_cast<uint64_t>(std::ceil(static_cast<double>(symbols) * options.overhead));
  // A burst that starts within a symbol touches one more; no more than all can be damaged.
  const uint64_t burst = std::min(symbols, (options.min_burst_bytes + symbol - 1) / symbol + 1);
  h.symbol_bytes = static_cast<uint32_t>(symbol);
  h.source_symbols = static_cast<uint32_t>(symbols);
  h.repair_symbols = static_cast<uint32_t>(
      std::max(share, options.min_burst_bytes > 0 ? burst : 0) + kSpareSymbols);
  return h;
}

uint64_t GroupCount(const SidecarHeader& h) {
  return (uint64_t{h.source_symbols} + kGroupSymbols - 1) / kGroupSymbols;
}
uint64_t DigestTableBytes(const SidecarHeader& h) {
  return (uint64_t{h.source_symbols} + GroupCount(h)) * kDigestBytes;
}
uint64_t RecordBytes(const SidecarHeader& h) { return kDigestBytes + uint64_t{h.symbol_bytes}; }
uint64_t WholeBytes(const SidecarHeader& h) {
  return 2 * kSidecarHeaderBytes + DigestTableBytes(h) + h.repair_symbols * RecordBytes(h);
}

std::string EncodeHeader(const SidecarHeader& h) {
  ByteWriter out;
  out.Raw(kSidecarMagic);
  out.U32(kSidecarVersion);
  out.U32(h.symbol_bytes);
  out.U64(h.object_bytes);
  out.U32(h.source_symbols);
  out.U32(h.repair_symbols);
  out.Raw(Raw(h.object_digest));
  out.Raw(Raw(Sha256::Of(out.data())));
  return out.Take();
}

Result<SidecarHeader> DecodeHeader(std::string_view bytes) {
  ByteReader r(bytes);
  ASSIGN_OR_RETURN(const std::string_view magic, r.Raw(kSidecarMagic.size()));
  if (magic != kSidecarMagic) return DataLoss("no header that starts with MGRAPTQ1");
  ASSIGN_OR_RETURN(const uint32_t version, r.U32());
  SidecarHeader h;
  ASSIGN_OR_RETURN(h.symbol_bytes, r.U32());
  ASSIGN_OR_RETURN(h.object_bytes, r.U64());
  ASSIGN_OR_RETURN(h.source_symbols, r.U32());
  ASSIGN_OR_RETURN(h.repair_symbols, r.U32());
  ASSIGN_OR_RETURN(const std::string_view digest, r.Raw(32));
  std::copy(digest.begin(), digest.end(), h.object_digest.bytes.begin());
  const size_t covered = r.offset();
  ASSIGN_OR_RETURN(const std::string_view checksum, r.Raw(32));
  if (Raw(Sha256::Of(bytes.substr(0, covered))) != checksum)
    return DataLoss("header does not match its checksum");
  if (version != kSidecarVersion)
    return DataLoss(StrCat("version ", version, " of the format is not known"));
  if (h.object_bytes == 0 || h.symbol_bytes == 0 || h.symbol_bytes > kMaxSymbolBytes ||
      h.source_symbols == 0 || h.source_symbols > kMaxSourceSymbols ||
      (h.object_bytes - 1) / h.symbol_bytes + 1 != h.source_symbols ||
      h.repair_symbols > kMaxEncodingSymbolId - h.source_symbols) {
    return DataLoss("header describes no object");
  }
  return h;
}

// The first copy of the header that is good; the second one ends the file.
Result<SidecarHeader> FindHeader(std::string_view sidecar, bool* both_good) {
  const Result<SidecarHeader> first = DecodeHeader(sidecar.substr(0, kSidecarHeaderBytes));
  const size_t tail = std::min<size_t>(sidecar.size(), kSidecarHeaderBytes);
  const Result<SidecarHeader> last = DecodeHeader(sidecar.substr(sidecar.size() - tail));
  *both_good = first.ok() && last.ok() && *first == *last;
  if (first.ok()) return first;
  if (last.ok()) return last;
  return first.status().Annotate("sidecar");
}

// Reads what is there of a sidecar, every piece checked by its own digest.
class SidecarReader {
 public:
  SidecarReader(std::string_view sidecar, const SidecarHeader& header)
      : sidecar_(sidecar), h_(header) {}

  // The digests of group `g`, one after the other; nullopt if they are damaged or missing.
  std::optional<std::string_view> Group(uint64_t g) const {
    const uint64_t begin = kSidecarHeaderBytes + g * (kGroupSymbols + 1) * kDigestBytes;
    const uint64_t n = std::min<uint64_t>(kGroupSymbols, h_.source_symbols - g * kGroupSymbols);
    const std::optional<std::string_view> digests = Piece(begin, n * kDigestBytes);
    const auto check = Piece(begin + n * kDigestBytes, kDigestBytes);
    if (!digests || !check) return std::nullopt;
    if (GroupDigest(h_, static_cast<uint32_t>(g), *digests) != *check) return std::nullopt;
    return digests;
  }

  // The bytes of repair symbol `i`, counted from 0; nullopt if they are damaged or missing.
  std::optional<std::string_view> Repair(uint32_t i) const {
    const uint64_t begin = kSidecarHeaderBytes + DigestTableBytes(h_) + i * RecordBytes(h_);
    const auto digest = Piece(begin, kDigestBytes);
    const auto bytes = Piece(begin + kDigestBytes, h_.symbol_bytes);
    if (!digest || !bytes) return std::nullopt;
    if (ShortDigest(h_.source_symbols + i, *bytes) != *digest) return std::nullopt;
    return bytes;
  }

  // How many repair symbols the bytes have room for: a header may claim more.
  uint32_t repair_symbols() const {
    const uint64_t begin = kSidecarHeaderBytes + DigestTableBytes(h_);
    const uint64_t there =
        sidecar_.size() > begin ? (sidecar_.size() - begin) / RecordBytes(h_) : 0;
    return static_cast<uint32_t>(std::min<uint64_t>(there, h_.repair_symbols));
  }

  static std::string GroupDigest(const SidecarHeader& h, uint32_t g, std::string_view digests) {
    return ShortDigest(kGroupMark | g, StrCat(Raw(h.object_digest), digests));
  }

 private:
  std::optional<std::string_view> Piece(uint64_t begin, uint64_t bytes) const {
    if (begin > sidecar_.size() || sidecar_.size() - begin < bytes) return std::nullopt;
    return sidecar_.substr(begin, bytes);
  }
  const std::string_view sidecar_;
  const SidecarHeader& h_;
};

// The symbols of an object and its sidecar that are good.
struct GoodSymbols {
  std::vector<uint32_t> ids;
  std::vector<const uint8_t*> bytes;
  void Add(uint32_t id, std::string_view symbol) {
    ids.push_back(id);
    bytes.push_back(AsBytes(symbol).data());
  }
};

void SortSourceSymbols(const SymbolView& view, const SidecarReader& reader, const SidecarHeader& h,
                       GoodSymbols* good, DecodeProof* proof) {
  std::optional<std::string_view> digests;
  for (uint32_t i = 0; i < h.source_symbols; ++i) {
    if (i % kGroupSymbols == 0) digests = reader.Group(i / kGroupSymbols);
    const std::optional<std::string_view> symbol = view.Symbol(i);
    if (!symbol) {
      proof->damaged.push_back(i);
    } else if (!digests) {
      proof->unverifiable.push_back(i);
    } else if (ShortDigest(i, *symbol) !=
               digests->substr(i % kGroupSymbols * kDigestBytes, kDigestBytes)) {
      proof->damaged.push_back(i);
    } else {
      good->Add(i, *symbol);
    }
  }
}

// Puts the lost symbols of an object in place; `found` holds them one after the other.
std::string Assemble(const SymbolView& view, const SidecarHeader& h,
                     const std::vector<uint32_t>& lost, std::string_view found) {
  std::string object;
  object.reserve(uint64_t{h.source_symbols} * h.symbol_bytes);
  size_t next = 0;
  for (uint32_t i = 0; i < h.source_symbols; ++i) {
    if (next < lost.size() && lost[next] == i) {
      object += found.substr(next * h.symbol_bytes, h.symbol_bytes);
      ++next;
    } else {
      object += *view.Symbol(i);
    }
  }
  object.resize(h.object_bytes);
  return object;
}

}  // namespace

Result<std::string> MakeSidecar(std::string_view object, const SidecarOptions& options) {
  if (object.empty()) return InvalidArgument("an empty object needs no sidecar");
  if (!(options.overhead > 0 && options.overhead <= 4)) {
    return InvalidArgument(StrCat("an overhead is above 0 and at most 4, got ", options.overhead));
  }
  SidecarHeader h = LayoutOf(object.size(), options);
  if (h.source_symbols == 0) {
    return InvalidArgument(StrCat("an object of ", object.size(), " bytes is too large for ",
                                  kMaxSourceSymbols, " symbols of ", kMaxSymbolBytes, " bytes"));
  }
  h.object_digest = Sha256::Of(object);
  ASSIGN_OR_RETURN(const std::string repair,
                   EncodeRepairSymbols(object, h.symbol_bytes, h.repair_symbols));
  const SymbolView view(object, h);
  const std::string header = EncodeHeader(h);
  std::string out = header;
  out.reserve(WholeBytes(h));
  std::string group;
  for (uint32_t i = 0; i < h.source_symbols; ++i) {
    group += ShortDigest(i, *view.Symbol(i));
    if ((i + 1) % kGroupSymbols != 0 && i + 1 != h.source_symbols) continue;
    out += group;
    out += SidecarReader::GroupDigest(h, i / kGroupSymbols, group);
    group.clear();
  }
  for (uint32_t i = 0; i < h.repair_symbols; ++i) {
    const auto symbol =
        std::string_view(repair).substr(uint64_t{i} * h.symbol_bytes, h.symbol_bytes);
    out += ShortDigest(h.source_symbols + i, symbol);
    out += symbol;
  }
  out += header;
  return out;
}

uint64_t SidecarBytes(uint64_t object_bytes, const SidecarOptions& options) {
  if (object_bytes == 0) return 0;
  const SidecarHeader h = LayoutOf(object_bytes, options);
  return h.source_symbols == 0 ? 0 : WholeBytes(h);
}

Result<SidecarReport> CheckSidecar(std::string_view sidecar) {
  SidecarReport report;
  bool headers_good = false;
  ASSIGN_OR_RETURN(report.header, FindHeader(sidecar, &headers_good));
  const SidecarReader reader(sidecar, report.header);
  bool groups_good = true;
  for (uint64_t g = 0; g < GroupCount(report.header) && groups_good; ++g)
    groups_good = reader.Group(g).has_value();
  for (uint32_t i = 0; i < reader.repair_symbols(); ++i)
    report.good_repair_symbols += reader.Repair(i).has_value() ? 1 : 0;
  report.intact = headers_good && groups_good && sidecar.size() == WholeBytes(report.header) &&
                  report.good_repair_symbols == report.header.repair_symbols;
  return report;
}

Result<Restored> RestoreObject(std::string_view object, std::string_view sidecar) {
  bool headers_good = false;
  ASSIGN_OR_RETURN(const SidecarHeader h, FindHeader(sidecar, &headers_good));
  Restored out;
  DecodeProof& proof = out.proof;
  proof.source_symbols = h.source_symbols;
  proof.symbol_bytes = h.symbol_bytes;
  proof.bytes_before = object.size();
  proof.bytes_after = h.object_bytes;
  proof.digest_before = Sha256::Of(object);
  proof.digest_after = h.object_digest;
  if (proof.digest_before == h.object_digest && object.size() == h.object_bytes) {
    out.object = std::string(object);
    return out;
  }
  const SymbolView view(object, h);
  const SidecarReader reader(sidecar, h);
  GoodSymbols good;
  SortSourceSymbols(view, reader, h, &good, &proof);
  std::vector<uint32_t> lost;
  std::merge(proof.damaged.begin(), proof.damaged.end(), proof.unverifiable.begin(),
             proof.unverifiable.end(), std::back_inserter(lost));
  for (uint32_t i = 0; i < reader.repair_symbols() && !lost.empty(); ++i) {
    const auto symbol = reader.Repair(i);
    const uint32_t id = h.source_symbols + i;
    if (!symbol) {
      proof.damaged_repair.push_back(id);
      continue;
    }
    good.Add(id, *symbol);
    proof.used_repair.push_back(id);
  }
  if (proof.used_repair.size() < lost.size()) {
    return DataLoss(StrCat(lost.size(), " of ", h.source_symbols, " symbols are damaged and only ",
                           proof.used_repair.size(), " repair symbols are good"));
  }
  // Every good symbol is backed by bytes of the caller: what is allocated from here on is no
  // larger.
  std::string found(lost.size() * uint64_t{h.symbol_bytes}, '\0');
  if (!lost.empty()) {
    ASSIGN_OR_RETURN(const SymbolSolver solver, SymbolSolver::Make(h.source_symbols, good.ids));
    solver.Run(good.bytes, h.symbol_bytes, lost, reinterpret_cast<uint8_t*>(found.data()));
  }
  out.object = Assemble(view, h, lost, found);
  if (Sha256::Of(out.object) != h.object_digest)
    return DataLoss("the decoded object does not match its digest");
  return out;
}

std::string RangesText(const std::vector<uint32_t>& numbers) {
  std::string out;
  for (size_t i = 0; i < numbers.size();) {
    size_t end = i + 1;
    while (end < numbers.size() && numbers[end] == numbers[end - 1] + 1) ++end;
    StrAppend(&out, out.empty() ? "" : ",", numbers[i]);
    if (end - i > 1) StrAppend(&out, "-", numbers[end - 1]);
    i = end;
  }
  return out;
}

}  // namespace megalith::durability
