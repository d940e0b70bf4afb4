// "Did you mean ...?" for names that users type.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace megalith {

// The element of `known` that a user most likely meant, or "" if none is near (edit distance above
// a third).
std::string_view NearestName(std::string_view name, std::span<const std::string> known);

}  // namespace megalith
