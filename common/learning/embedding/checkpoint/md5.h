// MD5 (RFC 1321): only for names of tables that Monolith derives with it. No protection against
// anybody.
#pragma once

#include <string>
#include <string_view>

namespace megalith::embedding {

// 32 lower-case hexadecimal digits.
std::string Md5Hex(std::string_view bytes);

}  // namespace megalith::embedding
