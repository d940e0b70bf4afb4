// JSON as TensorFlow Serving's REST API reads it: RFC 8259 and NaN, Infinity, -Infinity, Inf, -Inf.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/foundation/base/status.h"

namespace megalith::serving {

enum class JsonKind : uint8_t {
  kNull,
  kFalse,
  kTrue,
  kInteger,  // without point and exponent, -2^63 to 2^64-1
  kDouble,   // any other number
  kString,
  kArray,
  kObject,
};

class JsonValue;

// A parsed text: its values one after the other, 24 bytes each, those inside a list or object right
// behind it. Immutable; values borrow from it and from the text, which outlive them.
class JsonDocument {
 public:
  // Lists and objects inside each other, so that no text exhausts the stack.
  static constexpr uint32_t kMaxDepth = 64;

  // The first value of `text`; what follows it is ignored, as the stock server does.
  // Errors: kInvalidArgument  "JSON Parse error: Invalid value. at offset: 12", with the sentences
  //         of the stock server's parser; text of 4 GiB or more.
  static Result<JsonDocument> Parse(std::string_view text);

  JsonValue root() const;

 private:
  friend class JsonParser;
  friend class JsonValue;
  struct Node {
    JsonKind kind = JsonKind::kNull;
    bool negative = false;  // of an integer
    uint32_t end = 0;       // index behind the value and all that is in it
    uint64_t bits = 0;      // magnitude of an integer, a double's bits, a string's address
    uint32_t count = 0;     // elements, members, or bytes of a string
  };
  std::vector<Node> nodes_;
  std::deque<std::string> unescaped_;  // strings that do not stand in the text as they are
};

// One value of a document; a pointer and an index.
class JsonValue {
 public:
  JsonKind kind() const { return node().kind; }
  bool is_array() const { return kind() == JsonKind::kArray; }
  bool is_object() const { return kind() == JsonKind::kObject; }
  bool is_string() const { return kind() == JsonKind::kString; }
  bool is_number() const { return kind() == JsonKind::kInteger || kind() == JsonKind::kDouble; }
  bool is_bool() const { return kind() == JsonKind::kTrue || kind() == JsonKind::kFalse; }

  // Elements of a list or members of an object.
  uint32_t size() const { return node().count; }
  // Requires is_string().
  std::string_view text() const;
  // Requires is_number().
  double number() const;
  // Requires kInteger; nullopt if it does not fit.
  std::optional<int64_t> as_int64() const;
  std::optional<uint64_t> as_uint64() const;

  // Walks a list's elements, or an object's members with their keys: `f(value)`, `f(key, value)`,
  // until one returns an error.
  template <typename F>
  Status ForEach(F&& f) const {
    JsonValue at(document_, index_ + 1);
    for (uint32_t i = 0; i < size(); ++i, at.index_ = at.node().end) RETURN_IF_ERROR(f(at));
    return OkStatus();
  }
  template <typename F>
  Status ForEachMember(F&& f) const {
    JsonValue at(document_, index_ + 1);
    for (uint32_t i = 0; i < size(); ++i) {
      const std::string_view key = at.text();
      at.index_ = at.node().end;
      RETURN_IF_ERROR(f(key, at));
      at.index_ = at.node().end;
    }
    return OkStatus();
  }
  // Requires a list with elements.
  JsonValue front() const { return JsonValue(document_, index_ + 1); }
  // The first member of that name; nullopt if there is none or this is no object.
  std::optional<JsonValue> Find(std::string_view key) const;

 private:
  friend class JsonDocument;
  JsonValue(const JsonDocument* document, uint32_t index) : document_(document), index_(index) {}
  const JsonDocument::Node& node() const { return document_->nodes_[index_]; }

  const JsonDocument* document_;
  uint32_t index_;
};

// "Null", "False", "True", "Number", "String", "Array" or "Object".
std::string_view JsonTypeName(JsonValue value);

// {"b64": "..."}: an object with this one key, whose value is a string.
bool IsBase64Object(JsonValue value);
// The bytes of such an object. The standard alphabet; white space is skipped, padding may be
// missing. Errors: kInvalidArgument.
Result<std::string> Base64Of(JsonValue value);

}  // namespace megalith::serving
