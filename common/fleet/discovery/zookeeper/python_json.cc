#include "common/fleet/discovery/zookeeper/python_json.h"

#include <charconv>
#include <cmath>
#include <limits>

#include "common/foundation/base/strings.h"

namespace megalith::discovery {
namespace {

constexpr int kMaxDepth = 64;

void AppendUtf8(uint32_t c, std::string* out) {
  if (c < 0x80) {
    *out += static_cast<char>(c);
  } else if (c < 0x800) {
    *out += static_cast<char>(0xc0 | c >> 6);
    *out += static_cast<char>(0x80 | (c & 0x3f));
  } else if (c < 0x10000) {
    *out += static_cast<char>(0xe0 | c >> 12);
    *out += static_cast<char>(0x80 | (c >> 6 & 0x3f));
    *out += static_cast<char>(0x80 | (c & 0x3f));
  } else {
    *out += static_cast<char>(0xf0 | c >> 18);
    *out += static_cast<char>(0x80 | (c >> 12 & 0x3f));
    *out += static_cast<char>(0x80 | (c >> 6 & 0x3f));
    *out += static_cast<char>(0x80 | (c & 0x3f));
  }
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Result<Json> All() {
    Json out;
    RETURN_IF_ERROR(Value(&out, 0));
    Blanks();
    if (at_ != text_.size()) return Bad("the end");
    return out;
  }

 private:
  Status Bad(std::string_view wanted) const {
    return InvalidArgument(StrCat("JSON, offset ", at_, ": expects ", wanted));
  }
  void Blanks() {
    while (at_ < text_.size() && std::string_view(" \t\n\r").find(text_[at_]) != text_.npos) ++at_;
  }
  bool Take(std::string_view word) {
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }

  Status Value(Json* out, int depth) {
    if (depth > kMaxDepth) return Bad("fewer levels");
    Blanks();
    const char c = at_ < text_.size() ? text_[at_] : '\0';
    if (c == '{') return Object(out, depth);
    if (c == '[') return List(out, depth);
    if (c == '"') return String(&out->value.emplace<std::string>());
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    if (Take("null")) {
      out->value = std::monostate();
    } else if (Take("true")) {
      out->value = true;
    } else if (Take("false")) {
      out->value = false;
    } else if (Take("NaN")) {
      out->value = std::numeric_limits<double>::quiet_NaN();
    } else if (Take("Infinity")) {
      out->value = kInfinity;
    } else if (Take("-Infinity")) {
      out->value = -kInfinity;
    } else {
      return Number(out);
    }
    return OkStatus();
  }

  size_t Digits() {
    const size_t begin = at_;
    while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') ++at_;
    return at_ - begin;
  }

  Status Number(Json* out) {
    const size_t begin = at_;
    (void)Take("-");
    const bool zero = at_ < text_.size() && text_[at_] == '0';
    const size_t digits = zero ? (++at_, size_t{1}) : Digits();
    if (digits == 0) return Bad("a value");
    bool integer = true;
    // As in Python, what does not complete a fraction or an exponent is not part of the number.
    size_t end = at_;
    if (Take(".") && Digits() > 0) {
      integer = false;
      end = at_;
    }
    at_ = end;
    if (Take("e") || Take("E")) {
      if (!Take("+")) (void)Take("-");
      if (Digits() > 0) {
        integer = false;
        end = at_;
      }
    }
    at_ = end;
    const std::string_view number = text_.substr(begin, end - begin);
    if (const auto value = ParseInt(number); integer && value) {
      out->value = *value;
      return OkStatus();
    }
    double value = 0;
    const auto parsed = std::from_chars(number.data(), number.data() + number.size(), value);
    if (parsed.ec == std::errc::result_out_of_range) {
      // Too large reads as infinity, too small as zero: the exponent's sign tells.
      const bool small = number.find("e-") != number.npos || number.find("E-") != number.npos;
      value = small ? 0.0 : std::numeric_limits<double>::infinity();
      if (number[0] == '-') value = -value;
    }
    out->value = value;
    return OkStatus();
  }

  Status Hex4(uint32_t* out) {
    const std::string_view digits = text_.substr(std::min(at_, text_.size()), 4);
    const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), *out, 16);
    if (digits.size() != 4 || parsed.ptr != digits.data() + 4) return Bad("four hex digits");
    at_ += 4;
    return OkStatus();
  }

  Status Escape(std::string* out) {
    constexpr std::string_view kNames = "\"\\/bfnrt";
    constexpr std::string_view kValues = "\"\\/\b\f\n\r\t";
    const char c = at_ < text_.size() ? text_[at_] : '\0';
    if (const size_t i = kNames.find(c); i != kNames.npos && c != '\0') {
      *out += kValues[i];
      ++at_;
      return OkStatus();
    }
    if (!Take("u")) return Bad("an escape");
    uint32_t code = 0;
    RETURN_IF_ERROR(Hex4(&code));
    if (code >= 0xd800 && code < 0xdc00 && text_.substr(at_).starts_with("\\u")) {
      const size_t before = at_;
      at_ += 2;
      uint32_t low = 0;
      RETURN_IF_ERROR(Hex4(&low));
      if (low >= 0xdc00 && low < 0xe000) {
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
      } else {
        at_ = before;
      }
    }
    AppendUtf8(code >= 0xd800 && code < 0xe000 ? 0xfffd : code, out);
    return OkStatus();
  }

  Status String(std::string* out) {
    ++at_;
    while (at_ < text_.size() && text_[at_] != '"') {
      const char c = text_[at_];
      if (static_cast<unsigned char>(c) < 0x20) return Bad("no control character in text");
      ++at_;
      if (c == '\\') {
        RETURN_IF_ERROR(Escape(out));
      } else {
        *out += c;
      }
    }
    if (!Take("\"")) return Bad("the end of the text");
    return OkStatus();
  }

  Status List(Json* out, int depth) {
    ++at_;
    auto& list = out->value.emplace<Json::List>();
    Blanks();
    if (Take("]")) return OkStatus();
    do {
      RETURN_IF_ERROR(Value(&list.emplace_back(), depth + 1));
      Blanks();
    } while (Take(","));
    return Take("]") ? OkStatus() : Bad("',' or ']'");
  }

  Status Object(Json* out, int depth) {
    ++at_;
    auto& object = out->value.emplace<Json::Object>();
    Blanks();
    if (Take("}")) return OkStatus();
    do {
      Blanks();
      if (at_ >= text_.size() || text_[at_] != '"') return Bad("a name in quotes");
      auto& [name, value] = object.emplace_back();
      RETURN_IF_ERROR(String(&name));
      Blanks();
      if (!Take(":")) return Bad("':'");
      RETURN_IF_ERROR(Value(&value, depth + 1));
      Blanks();
    } while (Take(","));
    return Take("}") ? OkStatus() : Bad("',' or '}'");
  }

  const std::string_view text_;
  size_t at_ = 0;
};

void DumpUnit(uint32_t unit, std::string* out) {
  constexpr char kHex[] = "0123456789abcdef";
  *out += "\\u";
  for (int shift = 12; shift >= 0; shift -= 4) *out += kHex[unit >> shift & 15];
}

void DumpString(std::string_view text, std::string* out) {
  *out += '"';
  for (size_t i = 0; i < text.size();) {
    const auto byte = static_cast<unsigned char>(text[i]);
    constexpr std::string_view kValues = "\"\\\b\f\n\r\t";
    constexpr std::string_view kNames = "\"\\bfnrt";
    if (const size_t e = kValues.find(text[i]); e != kValues.npos) {
      *out += '\\';
      *out += kNames[e];
      ++i;
    } else if (byte < 0x20) {
      DumpUnit(byte, out);
      ++i;
    } else if (byte < 0x80) {
      *out += text[i++];
    } else {
      const size_t size = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
      if (FindInvalidUtf8(text.substr(i, size))) {
        DumpUnit(0xfffd, out);
        ++i;
        continue;
      }
      uint32_t code = size == 4 ? byte & 0x07 : size == 3 ? byte & 0x0f : byte & 0x1f;
      for (size_t k = 1; k < size; ++k) {
        code = code << 6 | (static_cast<unsigned char>(text[i + k]) & 0x3f);
      }
      i += size;
      if (code >= 0x10000) {
        DumpUnit(0xd800 + ((code - 0x10000) >> 10), out);
        DumpUnit(0xdc00 + ((code - 0x10000) & 0x3ff), out);
      } else {
        DumpUnit(code, out);
      }
    }
  }
  *out += '"';
}

void Dump(const Json& json, std::string* out) {
  if (json.As<std::monostate>()) {
    *out += "null";
  } else if (const auto* flag = json.As<bool>()) {
    *out += *flag ? "true" : "false";
  } else if (const auto* integer = json.As<int64_t>()) {
    StrAppend(out, *integer);
  } else if (const auto* real = json.As<double>()) {
    if (std::isnan(*real)) {
      *out += "NaN";
    } else if (std::isinf(*real)) {
      *out += *real > 0 ? "Infinity" : "-Infinity";
    } else {
      *out += PythonFloat(*real);
    }
  } else if (const auto* text = json.As<std::string>()) {
    DumpString(*text, out);
  } else if (const auto* list = json.As<Json::List>()) {
    *out += '[';
    for (size_t i = 0; i < list->size(); ++i) {
      if (i > 0) *out += ", ";
      Dump((*list)[i], out);
    }
    *out += ']';
  } else if (const auto* object = json.As<Json::Object>()) {
    *out += '{';
    for (size_t i = 0; i < object->size(); ++i) {
      if (i > 0) *out += ", ";
      DumpString((*object)[i].first, out);
      *out += ": ";
      Dump((*object)[i].second, out);
    }
    *out += '}';
  }
}

}  // namespace

const Json* Json::Find(std::string_view name) const {
  const auto* object = As<Object>();
  if (object == nullptr) return nullptr;
  for (auto at = object->rbegin(); at != object->rend(); ++at) {
    if (at->first == name) return &at->second;
  }
  return nullptr;
}

Result<Json> ParsePythonJson(std::string_view text) {
  if (const auto bad = FindInvalidUtf8(text)) {
    return InvalidArgument(StrCat("JSON, offset ", *bad, ": expects UTF-8"));
  }
  return Parser(text).All();
}

std::string DumpPythonJson(const Json& json) {
  std::string out;
  Dump(json, &out);
  return out;
}

}  // namespace megalith::discovery
