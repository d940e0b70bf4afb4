// Command lines as Monolith's programs take them (absl flags): --name=value, --name value, -name,
// --noname, --flagfile=FILE, -- before what is no flag.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/foundation/base/file_system.h"
#include "common/foundation/base/status.h"

namespace megalith::agent_tools {

enum class FlagKind : uint8_t { kText, kNumber, kSwitch };

struct ToolFlag {
  std::string_view name;
  FlagKind kind = FlagKind::kText;
  std::string_view fallback = "";  // the default
  std::string_view help;
  std::string_view words = "";  // admitted values, divided by blanks; empty: any
};

// The values of one command line. Asking for a flag that the table lacks is a bug.
class ToolFlags {
 public:
  // `arguments` without the program's name. A later value wins over an earlier one. Errors:
  // kInvalidArgument  a flag that is not in the table, a value that is not admitted; those of
  // reading a flag file.
  static Result<ToolFlags> Parse(std::span<const ToolFlag> table,
                                 std::span<const std::string> arguments, FileSystem& files);

  // Whether it was given.
  bool Has(std::string_view name) const { return given_.contains(name); }
  const std::string& Text(std::string_view name) const;
  int64_t Number(std::string_view name) const;
  bool Switch(std::string_view name) const { return Text(name) == "true"; }
  bool help() const { return help_; }
  const std::vector<std::string>& rest() const { return rest_; }

 private:
  Status Read(std::span<const ToolFlag> table, std::span<const std::string> arguments,
              FileSystem& files, int depth);
  Status Set(const ToolFlag& flag, std::string value);

  std::map<std::string, std::string, std::less<>> values_;
  std::map<std::string, bool, std::less<>> given_;
  std::vector<std::string> rest_;
  bool help_ = false;
};

// For --help.
std::string FlagHelp(std::span<const ToolFlag> table);

}  // namespace megalith::agent_tools
