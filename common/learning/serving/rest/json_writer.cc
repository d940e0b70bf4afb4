#include "common/learning/serving/rest/json_writer.h"

#include <charconv>
#include <cmath>
#include <limits>

namespace megalith::serving {
namespace {

constexpr size_t kMaxQuoted = 256;

template <typename T>
std::string Decimal(T value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
  const auto print = [value](int digits) {
    char text[40];
    const auto r =
        std::to_chars(text, text + sizeof(text), value, std::chars_format::general, digits);
    return std::string(text, r.ptr);
  };
  std::string out = print(6);
  T back = 0;
  std::from_chars(out.data(), out.data() + out.size(), back);
  if (back != value) out = print(std::numeric_limits<T>::max_digits10);
  if (out.find('.') == std::string::npos && out.find('e') == std::string::npos) out += ".0";
  return out;
}

}  // namespace

void JsonWriter::Prefix() {
  if (levels_.empty()) return;
  Level& level = levels_.back();
  if (level.array) {
    if (level.values > 0) *out_ += one_line_ ? ", " : ",";
    if (!one_line_) {
      *out_ += '\n';
      Indent();
    }
  } else if (level.values % 2 == 1) {
    *out_ += ": ";
  } else {
    *out_ += level.values == 0 ? "\n" : ",\n";
    Indent();
  }
  ++level.values;
}

void JsonWriter::Open(char bracket, bool array) {
  Prefix();
  *out_ += bracket;
  levels_.push_back({.array = array});
}

void JsonWriter::Close(char bracket) {
  const Level level = levels_.back();
  levels_.pop_back();
  if (level.values > 0 && !(level.array && one_line_)) {
    *out_ += '\n';
    Indent();
  }
  *out_ += bracket;
}

void JsonWriter::Raw(std::string_view text) {
  Prefix();
  *out_ += text;
}

void JsonWriter::String(std::string_view text) {
  Prefix();
  *out_ += '"';
  for (const char c : text) {
    constexpr std::string_view kEscaped = "\"\\\b\f\n\r\t", kLetters = "\"\\bfnrt";
    const size_t at = kEscaped.find(c);
    if (at != std::string_view::npos) {
      *out_ += '\\';
      *out_ += kLetters[at];
    } else if (static_cast<unsigned char>(c) < 0x20) {
      constexpr char kDigits[] = "0123456789ABCDEF";
      *out_ += "\\u00";
      *out_ += kDigits[c >> 4];
      *out_ += kDigits[c & 15];
    } else {
      *out_ += c;
    }
  }
  *out_ += '"';
}

void JsonWriter::Float(float value) { Raw(Decimal(value)); }

void JsonWriter::Double(double value) { Raw(Decimal(value)); }

void JsonWriter::Copy(JsonValue value, size_t max_bytes) {
  if (out_->size() >= max_bytes) return;
  switch (value.kind()) {
    case JsonKind::kNull:
      return Raw("null");
    case JsonKind::kFalse:
    case JsonKind::kTrue:
      return Bool(value.kind() == JsonKind::kTrue);
    case JsonKind::kInteger:
      if (const auto small = value.as_int64()) return Int(*small);
      return Uint(*value.as_uint64());
    case JsonKind::kDouble:
      return Double(value.number());
    case JsonKind::kString:
      return String(value.text().substr(0, max_bytes));
    case JsonKind::kArray:
    case JsonKind::kObject:
      break;
  }
  // An error of ours ends the walk when there is enough.
  const auto enough = [this, max_bytes] {
    return out_->size() >= max_bytes ? Cancelled("enough") : OkStatus();
  };
  if (value.is_array()) {
    BeginArray();
    (void)value.ForEach([&](JsonValue element) {
      Copy(element, max_bytes);
      return enough();
    });
    return EndArray();
  }
  BeginObject();
  (void)value.ForEachMember([&](std::string_view key, JsonValue member) {
    Key(key.substr(0, max_bytes));
    Copy(member, max_bytes);
    return enough();
  });
  EndObject();
}

std::string JsonTextOf(JsonValue value) {
  std::string out;
  JsonWriter(&out).Copy(value, kMaxQuoted);
  if (out.size() > kMaxQuoted) {
    out.resize(kMaxQuoted);
    out += "...";
  }
  return out;
}

}  // namespace megalith::serving
