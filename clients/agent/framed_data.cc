#include "clients/agent/framed_data.h"

#include <bit>
#include <cstdint>
#include <cstring>
#include <optional>

#include "common/foundation/base/strings.h"
#include "common/learning/records/wire.h"

namespace megalith::agent_tools {
namespace {

using records::WireReader;
using records::WireType;
using records::WireWriter;

constexpr uint64_t kMaxFileBytes = 1ull << 30;
constexpr uint64_t kNoSize = 0xFEFEFEFE;  // what broken writers leave
constexpr int64_t kMaxRows = 1'000'000;
constexpr int kV1Shift = 54;  // slot of a v1 id, and of a v2 id below
constexpr int kV2Shift = 48;
constexpr uint64_t kLow48 = (1ull << kV2Shift) - 1;

// Takes little-endian numbers and runs of bytes off the front of a file.
class Cursor {
 public:
  Cursor(std::string_view bytes, const std::string& path) : bytes_(bytes), path_(path) {}
  bool done() const { return at_ == bytes_.size(); }
  Result<uint64_t> Number() {
    ASSIGN_OR_RETURN(const std::string_view raw, Take(sizeof(uint64_t)));
    uint64_t value = 0;
    for (size_t i = raw.size(); i-- > 0;) value = value << 8 | static_cast<uint8_t>(raw[i]);
    return value;
  }
  Result<std::string_view> Take(uint64_t size) {
    if (size > bytes_.size() - at_) {
      return DataLoss(StrCat(path_, " ends inside the record at byte ", at_, ": ", size,
                             " bytes are announced, ", bytes_.size() - at_,
                             " are left; do the flags tell its framing?"));
    }
    const std::string_view out = bytes_.substr(at_, size);
    at_ += size;
    return out;
  }

 private:
  const std::string_view bytes_;
  const std::string& path_;
  size_t at_ = 0;
};

Status SkipHeader(const FramingOptions& options, Cursor* in) {
  if (options.lagrangex_header) return in->Number().status();
  uint64_t sort_id_bytes = 0;
  if (options.kafka_dump_prefix) {
    ASSIGN_OR_RETURN(sort_id_bytes, in->Number());
    if (sort_id_bytes == 0) RETURN_IF_ERROR(in->Number().status());
  }
  if (options.has_sort_id) {
    if (sort_id_bytes == 0) {
      ASSIGN_OR_RETURN(sort_id_bytes, in->Number());
    }
    RETURN_IF_ERROR(in->Take(sort_id_bytes).status());
  }
  if (options.kafka_dump) return in->Number().status();
  return OkStatus();
}

// Fields of Feature's oneof (persistent: never change).
enum FeatureKind : uint32_t {
  kFidV1 = 1,
  kFidV2 = 2,
  kFloat = 3,
  kDouble = 4,
  kInt64 = 5,
  kBytes = 6,
};

// The list of one Feature: field 1 of the message that is set.
struct FeatureList {
  uint32_t kind = 0;
  std::string_view message;
};

Result<FeatureList> ListOf(std::string_view feature) {
  FeatureList out;
  WireReader in(feature);
  while (in.Next()) {
    if (in.field().type == WireType::kBytes && in.field().number <= kBytes) {
      out = {.kind = in.field().number, .message = in.field().bytes};
    }
  }
  RETURN_IF_ERROR(in.status());
  return out;
}

// Numbers of eight or four bytes, packed or not.
template <typename T>
Result<std::vector<T>> Fixed(std::string_view list) {
  std::vector<T> out;
  WireReader in(list);
  while (in.Next()) {
    if (in.field().number != 1) continue;
    if (in.field().type != WireType::kBytes) {
      if constexpr (sizeof(T) == sizeof(uint64_t)) {
        out.push_back(std::bit_cast<T>(in.field().value));
      } else {
        out.push_back(std::bit_cast<T>(static_cast<uint32_t>(in.field().value)));
      }
      continue;
    }
    const std::string_view packed = in.field().bytes;
    if (packed.size() % sizeof(T) != 0) return DataLoss("a packed list of numbers is cut");
    const size_t before = out.size();
    out.resize(before + packed.size() / sizeof(T));
    std::memcpy(out.data() + before, packed.data(), packed.size());
  }
  RETURN_IF_ERROR(in.status());
  return out;
}

template <typename T>
std::string Packed(const std::vector<T>& values) {
  return std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
}

// Writes the list as fields of an Instance's Feature. Whether there was anything in it.
Status WriteList(const FeatureList& list, WireWriter* out) {
  switch (list.kind) {
    case kFidV1:
    case kFidV2: {
      ASSIGN_OR_RETURN(auto fids, Fixed<uint64_t>(list.message));
      if (list.kind == kFidV1) {
        for (uint64_t& fid : fids) fid = (fid >> kV1Shift) << kV2Shift | (fid & kLow48);
      }
      if (!fids.empty()) out->Bytes(2, Packed(fids));
      return OkStatus();
    }
    case kFloat: {
      ASSIGN_OR_RETURN(const auto values, Fixed<float>(list.message));
      if (!values.empty()) out->Bytes(3, Packed(values));
      return OkStatus();
    }
    case kDouble: {
      ASSIGN_OR_RETURN(const auto values, Fixed<double>(list.message));
      const std::vector<float> narrow(values.begin(), values.end());
      if (!narrow.empty()) out->Bytes(3, Packed(narrow));
      return OkStatus();
    }
    default:
      break;
  }
  // Integers are varints, which stay what they are; texts are copied.
  WireReader in(list.message);
  while (in.Next()) {
    if (in.field().number != 1) continue;
    if (list.kind == kBytes) {
      out->Bytes(5, in.field().bytes);
    } else if (in.field().type == WireType::kBytes) {
      out->Bytes(4, in.field().bytes);
    } else {
      out->Varint(4, in.field().value);
    }
  }
  return in.status();
}

struct Column {
  std::string_view name;
  std::vector<std::string_view> features;
  bool shared = false;
};

Result<Column> ColumnOf(std::string_view message) {
  Column out;
  WireReader in(message);
  while (in.Next()) {
    if (in.field().number == 1) out.name = in.field().bytes;
    if (in.field().number == 2) out.features.push_back(in.field().bytes);
    if (in.field().number == 3) out.shared = in.field().value == 1;
  }
  RETURN_IF_ERROR(in.status());
  return out;
}

// One row of all columns, in the order of the fields of Instance.
Result<std::string> InstanceOf(const std::vector<Column>& columns, size_t row) {
  std::string labels;
  std::string line_id;
  std::string features;
  WireWriter label_out(&labels);
  WireWriter line_out(&line_id);
  WireWriter feature_out(&features);
  for (const Column& column : columns) {
    ASSIGN_OR_RETURN(const FeatureList list, ListOf(column.features[column.shared ? 0 : row]));
    if (column.name == "__LABEL__") {
      ASSIGN_OR_RETURN(const auto values, Fixed<float>(list.kind == kFloat ? list.message : ""));
      if (!values.empty()) label_out.Bytes(3, Packed(values));
    } else if (column.name == "__LINE_ID__") {
      WireReader in(list.kind == kBytes ? list.message : "");
      if (in.Next()) line_out.Bytes(5, in.field().bytes);
      RETURN_IF_ERROR(in.status());
    } else if (list.kind != 0) {
      const size_t begun = feature_out.Begin(9);
      feature_out.Bytes(1, column.name);
      RETURN_IF_ERROR(WriteList(list, &feature_out));
      feature_out.End(begun);
    }
  }
  return StrCat(labels, line_id, features);
}

}  // namespace

Result<std::vector<std::string>> ReadFramed(const std::string& path, const FramingOptions& options,
                                            size_t count, FileSystem& files) {
  ASSIGN_OR_RETURN(const std::string bytes, files.Read(path, kMaxFileBytes));
  Cursor in(bytes, path);
  std::vector<std::string> out;
  while (out.size() < count && !in.done()) {
    RETURN_IF_ERROR(SkipHeader(options, &in));
    ASSIGN_OR_RETURN(const uint64_t size, in.Number());
    if (size == kNoSize) return InvalidArgument(StrCat(path, ": a record without a size"));
    ASSIGN_OR_RETURN(const std::string_view record, in.Take(size));
    out.emplace_back(record);
  }
  if (out.empty()) return InvalidArgument(StrCat(path, " has no record"));
  return out;
}

Result<std::vector<std::string>> InstancesOfExampleBatch(std::string_view batch) {
  std::vector<Column> columns;
  int64_t rows = 0;
  WireReader in(batch);
  while (in.Next()) {
    if (in.field().number == 1 && in.field().type == WireType::kBytes) {
      ASSIGN_OR_RETURN(columns.emplace_back(), ColumnOf(in.field().bytes));
    }
    if (in.field().number == 3) rows = static_cast<int64_t>(in.field().value);
  }
  RETURN_IF_ERROR(in.status().Annotate("ExampleBatch"));
  if (rows < 0 || rows > kMaxRows) {
    return ResourceExhausted(StrCat("an ExampleBatch has at most ", kMaxRows, " rows, got ", rows));
  }
  for (const Column& column : columns) {
    const size_t wanted = column.shared ? 1 : static_cast<size_t>(rows);
    if (column.features.size() == wanted || (column.shared && !column.features.empty())) continue;
    return InvalidArgument(StrCat("column '", Printable(column.name), "' has ",
                                  column.features.size(), " features, expected ", wanted));
  }
  std::vector<std::string> out;
  for (int64_t row = 0; row < rows; ++row) {
    ASSIGN_OR_RETURN(out.emplace_back(), InstanceOf(columns, static_cast<size_t>(row)));
  }
  return out;
}

}  // namespace megalith::agent_tools
