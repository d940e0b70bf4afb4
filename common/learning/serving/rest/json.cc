#include "common/learning/serving/rest/json.h"

#include <bit>
#include <charconv>
#include <cmath>
#include <limits>

#include "common/foundation/base/strings.h"

namespace megalith::serving {

// Offsets in messages are those that the stock server's parser reports, so that tools that show
// them agree: of the byte that did not fit, of the backslash in strings, of the beginning of
// numbers that are too big.
class JsonParser {
 public:
  JsonParser(std::string_view text, JsonDocument* out) : text_(text), out_(out) {}

  Status Run() {
    SkipBlanks();
    if (at_ == text_.size()) return Fail("The document is empty.", at_);
    return Value(0);
  }

 private:
  using Node = JsonDocument::Node;

  static Status Fail(std::string_view what, size_t offset) {
    return InvalidArgument(StrCat("JSON Parse error: ", what, " at offset: ", offset));
  }

  char Peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool Consume(char c) {
    if (Peek() != c || at_ == text_.size()) return false;
    ++at_;
    return true;
  }
  // Takes the letters of `word` as far as they are there; true if all are.
  bool ConsumeWord(std::string_view word) {
    for (const char c : word)
      if (!Consume(c)) return false;
    return true;
  }
  void SkipBlanks() {
    while (at_ < text_.size() &&
           (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\r' || text_[at_] == '\t'))
      ++at_;
  }

  uint32_t Add(Node node) {
    out_->nodes_.push_back(node);
    const auto index = static_cast<uint32_t>(out_->nodes_.size() - 1);
    out_->nodes_.back().end = index + 1;
    return index;
  }

  Status Word(std::string_view word, JsonKind kind) {
    if (!ConsumeWord(word)) return Fail("Invalid value.", at_);
    Add({.kind = kind});
    return OkStatus();
  }

  Status Value(uint32_t depth) {
    switch (Peek()) {
      case 'n':
        return Word("null", JsonKind::kNull);
      case 't':
        return Word("true", JsonKind::kTrue);
      case 'f':
        return Word("false", JsonKind::kFalse);
      case '"':
        return String();
      case '[':
        return Array(depth + 1);
      case '{':
        return Object(depth + 1);
      default:
        return Number();
    }
  }

  Status CheckDepth(uint32_t depth) const {
    if (depth <= JsonDocument::kMaxDepth) return OkStatus();
    return Fail(
        StrCat("Lists and objects are nested more than ", JsonDocument::kMaxDepth, " levels deep."),
        at_);
  }

  // Closes a list or object that began at `index`.
  void Close(uint32_t index, uint32_t count) {
    Node& node = out_->nodes_[index];
    node.count = count;
    node.end = static_cast<uint32_t>(out_->nodes_.size());
  }

  Status Array(uint32_t depth) {
    RETURN_IF_ERROR(CheckDepth(depth));
    ++at_;
    const uint32_t index = Add({.kind = JsonKind::kArray});
    uint32_t count = 0;
    SkipBlanks();
    if (!Consume(']')) {
      while (true) {
        RETURN_IF_ERROR(Value(depth));
        ++count;
        SkipBlanks();
        if (Consume(']')) break;
        if (!Consume(',')) return Fail("Missing a comma or ] after an array element.", at_);
        SkipBlanks();
      }
    }
    Close(index, count);
    return OkStatus();
  }

  Status Object(uint32_t depth) {
    RETURN_IF_ERROR(CheckDepth(depth));
    ++at_;
    const uint32_t index = Add({.kind = JsonKind::kObject});
    uint32_t count = 0;
    SkipBlanks();
    if (!Consume('}')) {
      while (true) {
        if (Peek() != '"') return Fail("Missing a name for object member.", at_);
        RETURN_IF_ERROR(String());
        SkipBlanks();
        if (!Consume(':')) return Fail("Missing a colon after a name of object member.", at_);
        SkipBlanks();
        RETURN_IF_ERROR(Value(depth));
        ++count;
        SkipBlanks();
        if (Consume('}')) break;
        if (!Consume(',')) return Fail("Missing a comma or } after an object member.", at_);
        SkipBlanks();
      }
    }
    Close(index, count);
    return OkStatus();
  }

  Status String() {
    const size_t begin = ++at_;
    while (at_ < text_.size() && text_[at_] != '"' && text_[at_] != '\\' && !IsControl(text_[at_]))
      ++at_;
    std::string_view text = text_.substr(begin, at_ - begin);
    if (!Consume('"')) {
      std::string& copy = out_->unescaped_.emplace_back(text);
      RETURN_IF_ERROR(RestOfString(&copy));
      text = copy;
    }
    Add({.kind = JsonKind::kString,
         .bits = reinterpret_cast<uintptr_t>(text.data()),
         .count = static_cast<uint32_t>(text.size())});
    return OkStatus();
  }

  static bool IsControl(char c) { return static_cast<unsigned char>(c) < 0x20; }

  Status RestOfString(std::string* out) {
    while (true) {
      if (at_ == text_.size() || text_[at_] == '\0')
        return Fail("Missing a closing quotation mark in string.", at_);
      const char c = text_[at_];
      if (IsControl(c)) return Fail("Invalid encoding in string.", at_);
      if (c == '\\') {
        RETURN_IF_ERROR(Escape(out));
        continue;
      }
      ++at_;
      if (c == '"') return OkStatus();
      out->push_back(c);
    }
  }

  Status Escape(std::string* out) {
    const size_t begin = at_;
    ++at_;
    constexpr std::string_view kLetters = "\"\\/bfnrt", kMeanings = "\"\\/\b\f\n\r\t";
    const size_t letter = at_ < text_.size() ? kLetters.find(text_[at_]) : std::string_view::npos;
    if (letter != std::string_view::npos) {
      ++at_;
      out->push_back(kMeanings[letter]);
      return OkStatus();
    }
    if (!Consume('u')) return Fail("Invalid escape character in string.", begin);
    constexpr std::string_view kBadHex = "Incorrect hex digit after \\u escape in string.";
    constexpr std::string_view kBadPair = "The surrogate pair in string is invalid.";
    std::optional<uint32_t> code = FourDigits();
    if (!code) return Fail(kBadHex, begin);
    if (*code >= 0xD800 && *code < 0xE000) {
      if (*code >= 0xDC00 || !ConsumeWord("\\u")) return Fail(kBadPair, begin);
      const std::optional<uint32_t> low = FourDigits();
      if (!low) return Fail(kBadHex, begin);
      if (*low < 0xDC00 || *low >= 0xE000) return Fail(kBadPair, begin);
      code = 0x10000 + ((*code - 0xD800) << 10) + (*low - 0xDC00);
    }
    AppendUtf8(*code, out);
    return OkStatus();
  }

  std::optional<uint32_t> FourDigits() {
    uint32_t out = 0;
    if (text_.size() - at_ < 4) return std::nullopt;
    const auto r = std::from_chars(text_.data() + at_, text_.data() + at_ + 4, out, 16);
    if (r.ec != std::errc() || r.ptr != text_.data() + at_ + 4) return std::nullopt;
    at_ += 4;
    return out;
  }

  static void AppendUtf8(uint32_t code, std::string* out) {
    const auto put = [out](uint32_t byte) { out->push_back(static_cast<char>(byte)); };
    if (code < 0x80) {
      put(code);
    } else if (code < 0x800) {
      put(0xC0 | code >> 6);
      put(0x80 | (code & 0x3F));
    } else if (code < 0x10000) {
      put(0xE0 | code >> 12);
      put(0x80 | (code >> 6 & 0x3F));
      put(0x80 | (code & 0x3F));
    } else {
      put(0xF0 | code >> 18);
      put(0x80 | (code >> 12 & 0x3F));
      put(0x80 | (code >> 6 & 0x3F));
      put(0x80 | (code & 0x3F));
    }
  }

  bool TakeDigits() {
    const size_t begin = at_;
    while (Peek() >= '0' && Peek() <= '9') ++at_;
    return at_ > begin;
  }

  void AddDouble(double value) {
    Add({.kind = JsonKind::kDouble, .bits = std::bit_cast<uint64_t>(value)});
  }

  Status Number() {
    const size_t begin = at_;
    const bool negative = Consume('-');
    if (!Consume('0') && !TakeDigits()) return NotFinite(negative);
    const size_t digits_end = at_;
    if (Consume('.') && !TakeDigits()) return Fail("Miss fraction part in number.", at_);
    if (Peek() == 'e' || Peek() == 'E') {
      ++at_;
      if (Peek() == '+' || Peek() == '-') ++at_;
      if (!TakeDigits()) return Fail("Miss exponent in number.", at_);
    }
    const char* const first = text_.data() + begin;
    if (at_ == digits_end) {
      uint64_t magnitude = 0;
      const auto r = std::from_chars(first + (negative ? 1 : 0), text_.data() + at_, magnitude);
      if (r.ec == std::errc() && (!negative || magnitude <= uint64_t{1} << 63)) {
        Add({.kind = JsonKind::kInteger, .negative = negative, .bits = magnitude});
        return OkStatus();
      }
    }
    double value = 0;
    const auto r = std::from_chars(first, text_.data() + at_, value);
    if (r.ec == std::errc::result_out_of_range) {
      // Too large or too small; the latter is zero.
      if (!IsTiny(std::string_view(first, at_ - begin)))
        return Fail("Number too big to be stored in double.", begin);
      value = negative ? -0.0 : 0.0;
    }
    AddDouble(value);
    return OkStatus();
  }

  // Of a number beyond the range of double: true if it is below it. The place of its first digit
  // that is not 0 decides, together with the exponent.
  static bool IsTiny(std::string_view number) {
    const size_t e = number.find_first_of("eE");
    const std::string_view digits = number.substr(0, e);
    int64_t exponent = 0;
    if (e != std::string_view::npos) {
      std::string_view text = number.substr(e + 1);
      const bool below = text.starts_with('-');
      if (below || text.starts_with('+')) text.remove_prefix(1);
      if (std::from_chars(text.data(), text.data() + text.size(), exponent).ec != std::errc())
        exponent = std::numeric_limits<int64_t>::max() / 2;
      if (below) exponent = -exponent;
    }
    const size_t point = std::min(digits.find('.'), digits.size());
    const size_t first = digits.find_first_of("123456789");
    if (first == std::string_view::npos) return true;
    return static_cast<int64_t>(point) - static_cast<int64_t>(first) + exponent < 0;
  }

  Status NotFinite(bool negative) {
    double value = 0;
    if (Consume('N')) {
      if (!ConsumeWord("aN")) return Fail("Invalid value.", at_);
      value = std::numeric_limits<double>::quiet_NaN();
    } else if (Consume('I')) {
      if (!ConsumeWord("nf")) return Fail("Invalid value.", at_);
      if (Peek() == 'i' && !ConsumeWord("inity")) return Fail("Invalid value.", at_);
      value = std::numeric_limits<double>::infinity();
    } else {
      return Fail("Invalid value.", at_);
    }
    AddDouble(negative ? -value : value);
    return OkStatus();
  }

  const std::string_view text_;
  JsonDocument* const out_;
  size_t at_ = 0;
};

Result<JsonDocument> JsonDocument::Parse(std::string_view text) {
  if (text.empty()) return InvalidArgument("JSON Parse error: The document is empty");
  // Every value has at least one byte, so that indices and sizes fit their 32 bits.
  if (text.size() > std::numeric_limits<uint32_t>::max())
    return InvalidArgument("JSON Parse error: the text is longer than 4 GiB");
  JsonDocument out;
  JsonParser parser(text, &out);
  RETURN_IF_ERROR(parser.Run());
  return out;
}

JsonValue JsonDocument::root() const { return JsonValue(this, 0); }

std::string_view JsonValue::text() const {
  return {reinterpret_cast<const char*>(static_cast<uintptr_t>(node().bits)), node().count};
}

double JsonValue::number() const {
  if (kind() == JsonKind::kDouble) return std::bit_cast<double>(node().bits);
  const auto magnitude = static_cast<double>(node().bits);
  return node().negative ? -magnitude : magnitude;
}

std::optional<int64_t> JsonValue::as_int64() const {
  if (node().negative) return static_cast<int64_t>(~node().bits + 1);
  if (node().bits > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return std::nullopt;
  return static_cast<int64_t>(node().bits);
}

std::optional<uint64_t> JsonValue::as_uint64() const {
  if (node().negative && node().bits != 0) return std::nullopt;
  return node().bits;
}

std::optional<JsonValue> JsonValue::Find(std::string_view key) const {
  if (!is_object()) return std::nullopt;
  JsonValue at(document_, index_ + 1);
  for (uint32_t i = 0; i < size(); ++i) {
    const bool found = at.text() == key;
    at.index_ = at.node().end;
    if (found) return at;
    at.index_ = at.node().end;
  }
  return std::nullopt;
}

std::string_view JsonTypeName(JsonValue value) {
  switch (value.kind()) {
    case JsonKind::kNull:
      return "Null";
    case JsonKind::kFalse:
      return "False";
    case JsonKind::kTrue:
      return "True";
    case JsonKind::kInteger:
    case JsonKind::kDouble:
      return "Number";
    case JsonKind::kString:
      return "String";
    case JsonKind::kArray:
      return "Array";
    case JsonKind::kObject:
      break;
  }
  return "Object";
}

namespace {
constexpr std::string_view kBase64Key = "b64";
}

bool IsBase64Object(JsonValue value) {
  if (!value.is_object() || value.size() != 1) return false;
  const std::optional<JsonValue> text = value.Find(kBase64Key);
  return text && text->is_string();
}

Result<std::string> Base64Of(JsonValue value) {
  std::string digits;
  for (const char c : value.Find(kBase64Key)->text())
    if (c != ' ' && c != '\n' && c != '\r' && c != '\t') digits.push_back(c);
  while (!digits.ends_with('=') && digits.size() % 4 != 0) digits.push_back('=');
  const auto bytes = Base64Decode(digits);
  if (!bytes) return InvalidArgument("Unable to base64 decode");
  return std::string(bytes->begin(), bytes->end());
}

}  // namespace megalith::serving
