// Bodies that come with Content-Encoding: gzip.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/foundation/base/status.h"

namespace megalith::http {

// The content of a gzip (or zlib) stream. Errors: kInvalidArgument  it is none, or is cut;
// kResourceExhausted  more than `max_bytes`, before they are allocated.
Result<std::string> Inflate(std::string_view bytes, uint64_t max_bytes);

}  // namespace megalith::http
