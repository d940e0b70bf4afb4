#include "common/fleet/http/gzip.h"

#include <zlib.h>

#include <limits>
#include <memory>

#include "common/foundation/base/strings.h"

namespace megalith::http {
namespace {

// 15 bits of window, and the header tells gzip from zlib.
constexpr int kWindowBits = 15 + 32;
constexpr size_t kPiece = 64 << 10;

}  // namespace

Result<std::string> Inflate(std::string_view bytes, uint64_t max_bytes) {
  if (bytes.size() > std::numeric_limits<uInt>::max())
    return ResourceExhausted("a compressed body is longer than 4 GiB");
  z_stream stream = {};
  if (inflateInit2(&stream, kWindowBits) != Z_OK)
    return ResourceExhausted("there is no memory to inflate a body");
  const std::unique_ptr<z_stream, int (*)(z_stream*)> ended(&stream, inflateEnd);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  std::string out;
  char piece[kPiece];
  while (true) {
    stream.next_out = reinterpret_cast<Bytef*>(piece);
    stream.avail_out = kPiece;
    const int rc = inflate(&stream, Z_NO_FLUSH);
    if (rc != Z_OK && rc != Z_STREAM_END)
      return InvalidArgument("the body is no complete gzip stream, which its headers announce");
    const size_t got = kPiece - stream.avail_out;
    if (out.size() + got > max_bytes)
      return ResourceExhausted(StrCat("the body inflates to more than ", max_bytes, " bytes"));
    out.append(piece, got);
    if (rc == Z_STREAM_END) return out;
    if (got == 0 && stream.avail_in == 0)
      return InvalidArgument("the body is no complete gzip stream, which its headers announce");
  }
}

}  // namespace megalith::http
