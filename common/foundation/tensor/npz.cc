#include "common/foundation/tensor/npz.h"

#include <zlib.h>

#include <set>

#include "common/foundation/base/bytes.h"
#include "common/foundation/base/strings.h"

namespace megalith::tensor {
namespace {

// Signatures and fixed sizes of PKWARE's APPNOTE 6.3.
constexpr uint32_t kLocalSignature = 0x04034b50;
constexpr uint32_t kCentralSignature = 0x02014b50;
constexpr uint32_t kEndSignature = 0x06054b50;
constexpr size_t kLocalBytes = 30;
constexpr size_t kCentralBytes = 46;
constexpr size_t kEndBytes = 22;
constexpr size_t kMaxMembers = 100'000;
constexpr uint16_t kStored = 0;
constexpr uint16_t kDeflated = 8;
constexpr uint16_t kZip64Extra = 1;
constexpr uint32_t kSeeZip64 = 0xffffffff;
constexpr std::string_view kSuffix = ".npy";

struct Member {
  std::string name;
  uint16_t method = kStored;
  uint32_t crc = 0;
  uint64_t packed_bytes = 0;
  uint64_t bytes = 0;
  uint64_t local_offset = 0;
};

// Little-endian numbers at fixed places; the caller has checked the size.
uint16_t U16At(std::string_view s, size_t at) {
  return static_cast<uint16_t>(static_cast<uint8_t>(s[at]) | static_cast<uint8_t>(s[at + 1]) << 8);
}
uint32_t U32At(std::string_view s, size_t at) {
  return static_cast<uint32_t>(U16At(s, at)) | static_cast<uint32_t>(U16At(s, at + 2)) << 16;
}
uint64_t U64At(std::string_view s, size_t at) {
  return static_cast<uint64_t>(U32At(s, at)) | static_cast<uint64_t>(U32At(s, at + 4)) << 32;
}
void PutU16(std::string* out, uint16_t v) {
  *out += static_cast<char>(v & 0xff);
  *out += static_cast<char>(v >> 8);
}
void PutU32(std::string* out, uint32_t v) {
  PutU16(out, static_cast<uint16_t>(v & 0xffff));
  PutU16(out, static_cast<uint16_t>(v >> 16));
}

Status Damaged(std::string_view what) {
  return InvalidArgument(StrCat(".npz archive is damaged: ", what));
}

// Sizes and offset that did not fit into 32 bits stand in an extra field, in this order.
Status ReadZip64(std::string_view extra, Member* member) {
  while (extra.size() >= 4) {
    const uint16_t id = U16At(extra, 0);
    const size_t size = U16At(extra, 2);
    extra.remove_prefix(4);
    if (size > extra.size()) return Damaged("an extra field is cut off");
    if (id == kZip64Extra) {
      std::string_view field = extra.substr(0, size);
      for (uint64_t* value : {&member->bytes, &member->packed_bytes, &member->local_offset}) {
        if (*value != kSeeZip64) continue;
        if (field.size() < 8) return Damaged("a zip64 field is cut off");
        *value = U64At(field, 0);
        field.remove_prefix(8);
      }
    }
    extra.remove_prefix(size);
  }
  return OkStatus();
}

Result<std::vector<Member>> ReadDirectory(std::string_view file) {
  if (file.size() < kEndBytes) return InvalidArgument("file is too short to be a .npz archive");
  // The end record may be followed by a comment of up to 64 KiB.
  size_t end = std::string_view::npos;
  const size_t stop = file.size() > kEndBytes + 0xffff ? file.size() - kEndBytes - 0xffff : 0;
  for (size_t at = file.size() - kEndBytes + 1; at-- > stop;) {
    if (U32At(file, at) == kEndSignature) {
      end = at;
      break;
    }
  }
  if (end == std::string_view::npos)
    return InvalidArgument("file has no directory of a .npz archive; is it truncated?");
  const size_t count = U16At(file, end + 10);
  uint64_t at = U32At(file, end + 16);
  if (count > kMaxMembers) return ResourceExhausted(StrCat(".npz archive has ", count, " members"));
  std::vector<Member> members;
  for (size_t i = 0; i < count; ++i) {
    if (at > file.size() || file.size() - at < kCentralBytes ||
        U32At(file, at) != kCentralSignature) {
      return Damaged(StrCat("directory entry ", i, " is missing"));
    }
    const std::string_view entry = file.substr(at);
    const size_t name_bytes = U16At(entry, 28);
    const size_t extra_bytes = U16At(entry, 30);
    const size_t comment_bytes = U16At(entry, 32);
    if (entry.size() < kCentralBytes + name_bytes + extra_bytes + comment_bytes)
      return Damaged("the directory is cut off");
    Member member{.name = std::string(entry.substr(kCentralBytes, name_bytes)),
                  .method = U16At(entry, 10),
                  .crc = U32At(entry, 16),
                  .packed_bytes = U32At(entry, 20),
                  .bytes = U32At(entry, 24),
                  .local_offset = U32At(entry, 42)};
    if ((U16At(entry, 8) & 1) != 0)
      return Unimplemented(
          StrCat("member '", Printable(member.name), "' of the .npz archive is encrypted"));
    RETURN_IF_ERROR(ReadZip64(entry.substr(kCentralBytes + name_bytes, extra_bytes), &member));
    members.push_back(std::move(member));
    at += kCentralBytes + name_bytes + extra_bytes + comment_bytes;
  }
  return members;
}

Result<std::string> Inflate(std::string_view packed, uint64_t bytes) {
  std::string out(bytes, '\0');
  z_stream stream{};
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) return Internal("zlib cannot be initialised");
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int code = inflate(&stream, Z_FINISH);
  const bool whole = code == Z_STREAM_END && stream.avail_out == 0;
  inflateEnd(&stream);
  if (!whole) return Damaged("compressed bytes do not give what the directory promises");
  return out;
}

Result<std::string> ReadMember(std::string_view file, const Member& member) {
  if (member.local_offset > file.size() || file.size() - member.local_offset < kLocalBytes ||
      U32At(file, member.local_offset) != kLocalSignature) {
    return Damaged("its local header is missing");
  }
  const std::string_view local = file.substr(member.local_offset);
  const uint64_t start = kLocalBytes + uint64_t{U16At(local, 26)} + U16At(local, 28);
  if (start > local.size() || member.packed_bytes > local.size() - start)
    return Damaged("its bytes are cut off");
  const std::string_view packed = local.substr(start, member.packed_bytes);
  std::string bytes;
  if (member.method == kStored) {
    if (member.bytes != member.packed_bytes) return Damaged("its two sizes differ");
    bytes = std::string(packed);
  } else if (member.method == kDeflated) {
    if (member.bytes > UINT32_MAX || member.packed_bytes > UINT32_MAX)
      return Unimplemented("members above 4 GiB");
    ASSIGN_OR_RETURN(bytes, Inflate(packed, member.bytes));
  } else {
    return Unimplemented(StrCat("compression method ", member.method));
  }
  if (crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()) != member.crc) {
    return Damaged("its checksum is wrong");
  }
  return bytes;
}

Result<std::string> Deflate(const std::string& bytes) {
  z_stream stream{};
  if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) !=
      Z_OK) {
    return Internal("zlib cannot be initialised");
  }
  std::string out(deflateBound(&stream, bytes.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int code = deflate(&stream, Z_FINISH);
  out.erase(stream.total_out);
  deflateEnd(&stream);
  if (code != Z_STREAM_END) return Internal("zlib could not compress");
  return out;
}

// The fields that local header and directory entry share, from "version needed" to "length of extra
// field".
std::string SharedFields(const Member& member) {
  std::string out;
  PutU16(&out, 20);       // version needed: 2.0
  PutU16(&out, 1 << 11);  // names are UTF-8
  PutU16(&out, member.method);
  PutU16(&out, 0);     // time
  PutU16(&out, 0x21);  // 1980-01-01: equal arrays give equal files
  PutU32(&out, member.crc);
  PutU32(&out, static_cast<uint32_t>(member.packed_bytes));
  PutU32(&out, static_cast<uint32_t>(member.bytes));
  PutU16(&out, static_cast<uint16_t>(member.name.size()));
  PutU16(&out, 0);
  return out;
}

}  // namespace

Result<NamedTensors> ParseNpz(std::string_view file, const NpyOptions& options) {
  ASSIGN_OR_RETURN(const std::vector<Member> members, ReadDirectory(file));
  NamedTensors out;
  uint64_t left = options.max_bytes;
  for (const Member& member : members) {
    const std::string where = StrCat("member '", Printable(member.name), "'");
    if (!member.name.ends_with(kSuffix)) return InvalidArgument(StrCat(where, " is no .npy file"));
    if (member.bytes > left + (64 << 10)) {
      return ResourceExhausted(StrCat(where, " has ", member.bytes,
                                      " bytes, the limit for the archive is ", options.max_bytes));
    }
    ASSIGN_OR_RETURN(const std::string npy, ReadMember(file, member).Annotate(where));
    NpyOptions member_options = options;
    member_options.max_bytes = left;
    ASSIGN_OR_RETURN(Tensor tensor, ParseNpy(npy, member_options).Annotate(where));
    left -= tensor.byte_size();
    out.emplace_back(member.name.substr(0, member.name.size() - kSuffix.size()), std::move(tensor));
  }
  return out;
}

Result<std::string> EncodeNpz(const NamedTensors& tensors, bool compress) {
  std::string out;
  std::string directory;
  std::set<std::string> names;
  for (const auto& [name, tensor] : tensors) {
    if (!names.insert(name).second)
      return InvalidArgument(StrCat("two arrays are called '", Printable(name), "'"));
    ASSIGN_OR_RETURN(std::string bytes,
                     EncodeNpy(tensor).Annotate(StrCat("array '", Printable(name), "'")));
    Member member{.name = name + std::string(kSuffix), .method = compress ? kDeflated : kStored};
    member.crc = static_cast<uint32_t>(
        crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
    member.bytes = bytes.size();
    member.local_offset = out.size();
    if (bytes.size() + out.size() > UINT32_MAX - (uint64_t{1} << 20) ||
        member.name.size() > 0xffff) {
      return InvalidArgument(".npz archive would be above 4 GiB; save the arrays as .npy files");
    }
    if (compress) {
      ASSIGN_OR_RETURN(bytes, Deflate(bytes));
    }
    member.packed_bytes = bytes.size();
    PutU32(&out, kLocalSignature);
    out += SharedFields(member) + member.name + bytes;
    PutU32(&directory, kCentralSignature);
    PutU16(&directory, 20);  // version made by
    directory += SharedFields(member);
    PutU16(&directory, 0);  // comment
    PutU16(&directory, 0);  // disk
    PutU16(&directory, 0);  // internal attributes
    PutU32(&directory, 0);  // external attributes
    PutU32(&directory, static_cast<uint32_t>(member.local_offset));
    directory += member.name;
  }
  const size_t start = out.size();
  out += directory;
  PutU32(&out, kEndSignature);
  PutU32(&out, 0);  // disks
  PutU16(&out, static_cast<uint16_t>(tensors.size()));
  PutU16(&out, static_cast<uint16_t>(tensors.size()));
  PutU32(&out, static_cast<uint32_t>(directory.size()));
  PutU32(&out, static_cast<uint32_t>(start));
  PutU16(&out, 0);  // comment
  return out;
}

}  // namespace megalith::tensor
