// JSON as TensorFlow Serving's REST API writes it, byte for byte: indented by four blanks, lists on
// one line where asked, numbers as short as they read back.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/learning/serving/rest/json.h"

namespace megalith::serving {

// Appends to a string that outlives it. The caller's calls nest properly; inside an object keys and
// values alternate. Not thread-safe.
class JsonWriter {
 public:
  explicit JsonWriter(std::string* out) : out_(out) {}

  // From now on lists put their elements on one line, or each on its own.
  void set_lists_on_one_line(bool on) { one_line_ = on; }

  void BeginObject() { Open('{', false); }
  void EndObject() { Close('}'); }
  void BeginArray() { Open('[', true); }
  void EndArray() { Close(']'); }
  void Key(std::string_view key) { String(key); }
  // Bytes that are no UTF-8 are written as they are.
  void String(std::string_view text);
  // 6 digits if they read back equal, else 9 (double: 17); "1.0", "NaN", "Infinity".
  void Float(float value);
  void Double(double value);
  void Int(int64_t value) { Raw(std::to_string(value)); }
  void Uint(uint64_t value) { Raw(std::to_string(value)); }
  void Bool(bool value) { Raw(value ? "true" : "false"); }
  void Raw(std::string_view text);
  // Writes until the text has `max_bytes` or more.
  void Copy(JsonValue value, size_t max_bytes);

 private:
  struct Level {
    bool array = false;
    uint64_t values = 0;  // keys count
  };
  void Open(char bracket, bool array);
  void Close(char bracket);
  void Prefix();
  void Indent() { out_->append(levels_.size() * 4, ' '); }

  std::string* const out_;
  bool one_line_ = false;
  std::vector<Level> levels_;
};

// For messages: about the first 256 bytes of the value as JsonWriter writes it.
std::string JsonTextOf(JsonValue value);

}  // namespace megalith::serving
