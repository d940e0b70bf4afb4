#include "common/fleet/ledger/segment.h"

#include <algorithm>

#include "common/foundation/base/bytes.h"
#include "common/foundation/base/strings.h"

namespace megalith::ledger {
namespace {

constexpr std::string_view kPrefix = "ledger-";
constexpr std::string_view kSuffix = ".log";
constexpr size_t kDigits = 20;
constexpr uint64_t kMinBodyBytes = 8 + 8 + 1;

std::string_view HashText(const Sha256Digest& digest) {
  return {reinterpret_cast<const char*>(digest.bytes.data()), digest.bytes.size()};
}

Sha256Digest HashFrom(std::string_view raw) {
  Sha256Digest digest;
  std::copy(raw.begin(), raw.end(), digest.bytes.begin());
  return digest;
}

}  // namespace

std::string EncodeSegmentHeader(const SegmentHeader& header) {
  ByteWriter w;
  w.Raw(kSegmentMagic);
  w.U64(header.first_sequence);
  w.I64(header.created_unix_nanos);
  w.Raw(HashText(header.previous_hash));
  w.Raw(HashText(Sha256::Of(w.data())));
  return w.Take();
}

Result<SegmentHeader> DecodeSegmentHeader(std::string_view bytes) {
  if (bytes.size() < kSegmentHeaderBytes) {
    return DataLoss(StrCat("segment has ", bytes.size(), " bytes, its header alone needs ",
                           kSegmentHeaderBytes));
  }
  ByteReader r(bytes.substr(0, kSegmentHeaderBytes));
  ASSIGN_OR_RETURN(const std::string_view magic, r.Raw(kSegmentMagic.size()));
  if (magic != kSegmentMagic) return DataLoss("segment does not start with MGLEDGR1");
  SegmentHeader header;
  ASSIGN_OR_RETURN(header.first_sequence, r.U64());
  ASSIGN_OR_RETURN(const uint64_t created, r.U64());
  header.created_unix_nanos = static_cast<int64_t>(created);
  ASSIGN_OR_RETURN(const std::string_view previous, r.Raw(32));
  header.previous_hash = HashFrom(previous);
  const Sha256Digest sum = Sha256::Of(bytes.substr(0, r.offset()));
  ASSIGN_OR_RETURN(const std::string_view stored, r.Raw(32));
  if (HashFrom(stored) != sum) return DataLoss("segment header does not match its hash");
  return header;
}

std::string SegmentName(uint64_t first_sequence) {
  const std::string digits = StrCat(first_sequence);
  return StrCat(kPrefix, std::string(kDigits - digits.size(), '0'), digits, kSuffix);
}

std::optional<uint64_t> FirstSequenceOf(std::string_view name) {
  if (name.size() != kPrefix.size() + kDigits + kSuffix.size() || !name.starts_with(kPrefix) ||
      !name.ends_with(kSuffix)) {
    return std::nullopt;
  }
  return ParseUint(name.substr(kPrefix.size(), kDigits));
}

std::string EncodeFrame(std::string_view body, const Sha256Digest& hash) {
  ByteWriter w;
  w.U32(static_cast<uint32_t>(body.size()));
  w.Raw(body);
  w.Raw(HashText(hash));
  return w.Take();
}

Result<Frame> ReadFrame(std::string_view file, uint64_t offset, const Sha256Digest& previous) {
  ByteReader r(file.substr(std::min<uint64_t>(offset, file.size())));
  ASSIGN_OR_RETURN(const uint32_t size, r.U32().Annotate("frame length"));
  if (size > kMaxEntryBytes)
    return DataLoss(StrCat("frame claims ", size, " bytes, the limit is ", kMaxEntryBytes));
  ASSIGN_OR_RETURN(const std::string_view body, r.Raw(size).Annotate("frame body"));
  ASSIGN_OR_RETURN(const std::string_view stored, r.Raw(32).Annotate("frame hash"));
  const Sha256Digest hash = HashFrom(stored);
  if (ChainHash(previous, body) != hash)
    return DataLoss("entry does not match its hash or does not follow the one before");
  Frame frame{.offset = offset, .size = r.offset(), .entry = {}};
  ASSIGN_OR_RETURN(frame.entry, DecodeBody(body));
  frame.entry.previous_hash = previous;
  frame.entry.hash = hash;
  return frame;
}

std::optional<uint64_t> FindFrame(std::string_view file, uint64_t from, uint64_t min_sequence) {
  for (uint64_t at = std::max<uint64_t>(from, 32);
       at + kFrameOverheadBytes + kMinBodyBytes <= file.size(); ++at) {
    // Cheap tests first: hashing at every offset would take minutes.
    ByteReader r(file.substr(at, 12));
    const uint32_t size = *r.U32();
    const uint64_t sequence = *r.U64();
    if (size < kMinBodyBytes || size > kMaxEntryBytes ||
        at + kFrameOverheadBytes + size > file.size())
      continue;
    if (sequence < min_sequence || sequence - min_sequence > file.size()) continue;
    if (ReadFrame(file, at, HashBefore(file, at)).ok()) return at;
  }
  return std::nullopt;
}

bool EndsWithWholeFrame(std::string_view file, uint64_t offset) {
  if (offset + kFrameOverheadBytes > file.size()) return false;
  ByteReader r(file.substr(offset));
  if (offset + kFrameOverheadBytes + *r.U32() != file.size()) return false;
  return file.substr(offset).find_first_not_of('\0') != std::string_view::npos;
}

Sha256Digest HashBefore(std::string_view file, uint64_t offset) {
  return HashFrom(file.substr(offset - 32, 32));
}

}  // namespace megalith::ledger
