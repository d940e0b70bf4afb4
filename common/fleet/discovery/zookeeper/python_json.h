// JSON as Python's json module reads and writes it: what Monolith's nodes in ZooKeeper hold.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "common/foundation/base/status.h"

namespace megalith::discovery {

// One value. Members of objects keep their order; of equal names the last one counts.
struct Json {
  using List = std::vector<Json>;
  using Object = std::vector<std::pair<std::string, Json>>;
  std::variant<std::monostate, bool, int64_t, double, std::string, List, Object> value;

  // nullptr unless the value has this type.
  template <typename T>
  const T* As() const {
    return std::get_if<T>(&value);
  }
  // Of an object; nullptr if there is none.
  const Json* Find(std::string_view name) const;
};

// The whole of `text`. Accepts what json.loads accepts, NaN and Infinity included, except that
// integers beyond 64 bits become floats, lone surrogates U+FFFD, and nesting ends at 64 levels.
// Errors: kInvalidArgument  with the offset.
Result<Json> ParsePythonJson(std::string_view text);

// Byte for byte what json.dumps writes by default: ", " and ": ", non-ASCII as \uXXXX, floats as
// repr prints them.
std::string DumpPythonJson(const Json& json);

}  // namespace megalith::discovery
