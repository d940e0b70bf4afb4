#include "clients/agent/python_text.h"

#include <cstdint>

#include "common/foundation/base/strings.h"

namespace megalith::agent_tools {
namespace {

// Single quotes, unless the text has them and no double ones.
std::string Quoted(std::string_view text, bool escape_high) {
  const bool single = text.find('\'') == text.npos || text.find('"') != text.npos;
  const char quote = single ? '\'' : '"';
  std::string out(1, quote);
  for (const char c : text) {
    const auto byte = static_cast<uint8_t>(c);
    if (c == quote || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (byte < 0x20 || byte == 0x7f || (escape_high && byte > 0x7f)) {
      StrAppend(&out, "\\x", HexEncode({&byte, 1}));
    } else {
      out += c;
    }
  }
  return out + quote;
}

void Indent(const discovery::Json& json, size_t depth, std::string* out) {
  const std::string inner(2 * (depth + 1), ' ');
  const std::string outer(2 * depth, ' ');
  if (const auto* const list = json.As<discovery::Json::List>();
      list != nullptr && !list->empty()) {
    *out += '[';
    for (size_t i = 0; i < list->size(); ++i) {
      StrAppend(out, i == 0 ? "\n" : ",\n", inner);
      Indent((*list)[i], depth + 1, out);
    }
    StrAppend(out, "\n", outer, "]");
    return;
  }
  const auto* const object = json.As<discovery::Json::Object>();
  if (object == nullptr || object->empty()) {
    *out += discovery::DumpPythonJson(json);
    return;
  }
  *out += '{';
  bool first = true;
  for (const auto& [name, value] : *object) {
    StrAppend(out, first ? "\n" : ",\n", inner, discovery::DumpPythonJson({name}), ": ");
    first = false;
    Indent(value, depth + 1, out);
  }
  StrAppend(out, "\n", outer, "}");
}

}  // namespace

std::string PythonRepr(std::string_view text) { return Quoted(text, /*escape_high=*/false); }

std::string PythonBytesRepr(std::string_view bytes) {
  return StrCat("b", Quoted(bytes, /*escape_high=*/true));
}

std::string PythonListRepr(std::span<const std::string> list) {
  std::vector<std::string> items;
  for (const std::string& item : list) items.push_back(PythonRepr(item));
  return StrCat("[", Join(items, ", "), "]");
}

std::string IndentedJson(const discovery::Json& json) {
  std::string out;
  Indent(json, 0, &out);
  return out;
}

}  // namespace megalith::agent_tools
