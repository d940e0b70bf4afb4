#include "common/fleet/cache/entry_file.h"

#include <algorithm>

#include "common/foundation/base/bytes.h"
#include "common/foundation/base/strings.h"

namespace megalith::cache {
namespace {

std::string_view Raw(const Sha256Digest& digest) {
  return {reinterpret_cast<const char*>(digest.bytes.data()), digest.bytes.size()};
}

Result<Sha256Digest> ReadDigest(ByteReader& reader) {
  ASSIGN_OR_RETURN(const std::string_view raw, reader.Raw(32));
  Sha256Digest digest;
  std::copy(raw.begin(), raw.end(), digest.bytes.begin());
  return digest;
}

// What the header's checksum covers.
Result<EntryHeader> DecodeBody(std::string_view body) {
  ByteReader r(body);
  EntryHeader header;
  ASSIGN_OR_RETURN(header.key.digest, ReadDigest(r));
  ASSIGN_OR_RETURN(const std::string_view kind, r.Sized());
  header.key.kind = std::string(kind);
  ASSIGN_OR_RETURN(const uint64_t created, r.U64());
  header.created_unix_nanos = static_cast<int64_t>(created);
  ASSIGN_OR_RETURN(header.value_bytes, r.U64());
  ASSIGN_OR_RETURN(header.value_digest, ReadDigest(r));
  ASSIGN_OR_RETURN(const uint32_t n, r.U32());
  if (n > r.left()) return DataLoss("more components than bytes");
  for (uint32_t i = 0; i < n; ++i) {
    Component c;
    ASSIGN_OR_RETURN(const std::string_view name, r.Sized());
    ASSIGN_OR_RETURN(c.digest, ReadDigest(r));
    ASSIGN_OR_RETURN(const std::string_view text, r.Sized());
    c.name = std::string(name);
    c.text = std::string(text);
    header.key.components.push_back(std::move(c));
  }
  if (r.left() != 0) return DataLoss("bytes after the last component");
  const Result<Sha256Digest> digest = DigestOf(header.key.kind, header.key.components);
  if (!digest.ok() || *digest != header.key.digest)
    return DataLoss("components do not hash to the key");
  return header;
}

}  // namespace

std::string EncodeEntry(const Key& key, int64_t created_unix_nanos, std::string_view value) {
  ByteWriter body;
  body.Raw(Raw(key.digest));
  body.Sized(key.kind);
  body.I64(created_unix_nanos);
  body.U64(value.size());
  body.Raw(Raw(Sha256::Of(value)));
  body.U32(static_cast<uint32_t>(key.components.size()));
  for (const Component& c : key.components) {
    body.Sized(c.name);
    body.Raw(Raw(c.digest));
    body.Sized(c.text);
  }
  ByteWriter file;
  file.Raw(kEntryMagic);
  file.U32(static_cast<uint32_t>(body.data().size()));
  file.Raw(Raw(Sha256::Of(body.data())));
  file.Raw(body.data());
  file.Raw(value);
  return file.Take();
}

Result<EntryHeader> DecodeHeader(std::string_view file) {
  ByteReader r(file);
  ASSIGN_OR_RETURN(const std::string_view magic, r.Raw(kEntryMagic.size()));
  if (magic != kEntryMagic) return DataLoss("file does not start with MGCACHE1");
  ASSIGN_OR_RETURN(const uint32_t size, r.U32());
  if (size > kMaxEntryHeaderBytes) return DataLoss(StrCat("header claims ", size, " bytes"));
  ASSIGN_OR_RETURN(const Sha256Digest stored, ReadDigest(r));
  ASSIGN_OR_RETURN(const std::string_view body, r.Raw(size));
  if (Sha256::Of(body) != stored) return DataLoss("header does not match its checksum");
  return DecodeBody(body);
}

Result<DecodedEntry> DecodeEntry(std::string_view file) {
  ASSIGN_OR_RETURN(EntryHeader header, DecodeHeader(file));
  ByteReader r(file.substr(kEntryMagic.size()));
  const uint64_t begin = kEntryPrefixBytes + *r.U32();
  const std::string_view value = file.substr(begin);
  if (value.size() != header.value_bytes) {
    return DataLoss(StrCat("value has ", value.size(), " bytes, expected ", header.value_bytes));
  }
  if (Sha256::Of(value) != header.value_digest)
    return DataLoss("value does not match its checksum");
  return DecodedEntry{.header = std::move(header), .value = value};
}

}  // namespace megalith::cache
