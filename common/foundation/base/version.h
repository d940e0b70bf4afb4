// Version of this build; a test holds it against CMakeLists.txt. It is part of compile keys.
#pragma once

#include <string_view>

namespace megalith {

inline constexpr std::string_view kVersion = "0.1.0";

}  // namespace megalith
