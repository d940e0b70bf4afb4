// Ids and values as they travel: packed little-endian numbers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/foundation/base/status.h"
#include "common/learning/embedding/fid.h"

namespace megalith::embedding {

// How a float is written. Persistent: numbers are those of megalith.table.v1.ValueFormat.
enum class ValueFormat : uint8_t { kFp32 = 1, kFp16 = 2, kBf16 = 3 };

inline size_t BytesOf(ValueFormat format) { return format == ValueFormat::kFp32 ? 4 : 2; }

// Writes `values` to `to`, which has room for values.size() * BytesOf(format) bytes. fp16 beyond
// its range becomes an infinity.
void PackValues(std::span<const float> values, ValueFormat format, char* to);

// Appends `values`, as PackValues writes them.
void AppendValues(std::span<const float> values, ValueFormat format, std::string* out);

// Numbers that lie in somebody else's bytes where those can be used as they are, else a copy.
template <typename T>
class Unpacked {
 public:
  std::span<const T> span() const { return copy_.empty() ? view_ : std::span<const T>(copy_); }
  size_t size() const { return span().size(); }

  std::span<const T> view_;
  std::vector<T> copy_;
};

// The values in `bytes`, which must outlive the result.
// Errors: kInvalidArgument  the bytes are no whole number of values.
Result<Unpacked<float>> UnpackValues(std::string_view bytes, ValueFormat format);

// The ids in `bytes`, which must outlive the result.
// Errors: kInvalidArgument  the bytes are no whole number of ids.
Result<Unpacked<Fid>> UnpackIds(std::string_view bytes);

// Appends ids as UnpackIds reads them.
void AppendIds(std::span<const Fid> ids, std::string* out);

}  // namespace megalith::embedding
