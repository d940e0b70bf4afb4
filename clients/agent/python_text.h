// Values as Python prints them: what scripts around Monolith's tools read.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "common/fleet/discovery/zookeeper/python_json.h"

namespace megalith::agent_tools {

// repr of a str: 'a', "it's", control characters and '\' escaped. Bytes that are not UTF-8 are
// kept.
std::string PythonRepr(std::string_view text);
// repr of bytes: b'a\xff'.
std::string PythonBytesRepr(std::string_view bytes);
// repr of a list of str: ['a', 'b'].
std::string PythonListRepr(std::span<const std::string> list);
// json.dumps(value, indent=2).
std::string IndentedJson(const discovery::Json& json);

}  // namespace megalith::agent_tools
