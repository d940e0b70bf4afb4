// MD5, for names that Monolith derives from it; not for anything that must be safe.
#pragma once

#include <string>
#include <string_view>

namespace megalith::agent {

// 32 lower-case hexadecimal digits (RFC 1321).
std::string Md5Hex(std::string_view bytes);

}  // namespace megalith::agent
