#include "common/learning/embedding/entry_dump.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>

#include "common/foundation/base/strings.h"
#include "common/learning/records/wire.h"

namespace megalith::embedding {
namespace {

using records::WireField;
using records::WireReader;
using records::WireType;

// Of EntryDump and OptimizerDump (persistent: never change).
constexpr int kId = 1;
constexpr int kNum = 2;
constexpr int kOpt = 3;
constexpr int kTimestamp = 4;
constexpr int kDump = 1;

size_t VarintBytes(uint64_t value) {
  return static_cast<size_t>(std::bit_width(value | 1) + 6) / 7;
}

// Field numbers of all messages here are below 16, so every tag is one byte.
constexpr uint8_t Tag(int number, WireType type) {
  return static_cast<uint8_t>(number << 3 | static_cast<int>(type));
}
constexpr size_t kFloatBytes = 1 + sizeof(float);

// Writes where there is known to be room.
class Out {
 public:
  explicit Out(char* at) : at_(at) {}

  void Byte(uint8_t value) { *at_++ = static_cast<char>(value); }
  void Varint(uint64_t value) {
    for (; value >= 0x80; value >>= 7) Byte(static_cast<uint8_t>(value | 0x80));
    Byte(static_cast<uint8_t>(value));
  }
  void Copy(const void* from, size_t bytes) {
    std::memcpy(at_, from, bytes);
    at_ += bytes;
  }
  // The floats at `from`, which need not be aligned, each with its tag.
  void Floats(int number, const std::byte* from, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      Byte(Tag(number, WireType::kFixed32));
      Copy(from + i * static_cast<int64_t>(sizeof(float)), sizeof(float));
    }
  }
  const char* at() const { return at_; }

 private:
  char* at_;
};

// Reads what Out wrote; every method is false where the bytes are something else.
class In {
 public:
  explicit In(std::string_view bytes) : at_(bytes.data()), end_(at_ + bytes.size()) {}

  bool Byte(uint8_t wanted) {
    if (at_ == end_ || static_cast<uint8_t>(*at_) != wanted) return false;
    ++at_;
    return true;
  }
  bool Varint(uint64_t* out) {
    uint64_t value = 0;
    for (int shift = 0; shift < 64 && at_ != end_; shift += 7) {
      const auto byte = static_cast<uint8_t>(*at_++);
      if (shift == 63 && byte > 1) return false;
      value |= static_cast<uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) {
        *out = value;
        return true;
      }
    }
    return false;
  }
  bool Copy(void* to, size_t bytes) {
    if (left() < bytes) return false;
    std::memcpy(to, at_, bytes);
    at_ += bytes;
    return true;
  }
  bool Floats(int number, int64_t count, std::byte* to) {
    if (left() / kFloatBytes < static_cast<size_t>(count)) return false;
    const char tag = static_cast<char>(Tag(number, WireType::kFixed32));
    int differs = 0;
    for (int64_t i = 0; i < count; ++i) {
      differs |= at_[0] ^ tag;
      std::memcpy(to + i * static_cast<int64_t>(sizeof(float)), at_ + 1, sizeof(float));
      at_ += kFloatBytes;
    }
    return differs == 0;
  }
  size_t left() const { return static_cast<size_t>(end_ - at_); }

 private:
  const char* at_;
  const char* end_;
};

uint64_t LoadInt64(const std::byte* at) {
  uint64_t value;
  std::memcpy(&value, at, sizeof(value));
  return value;
}

Status WrongType(std::string_view name) {
  return DataLoss(StrCat("field '", name, "' has another type than its schema says"));
}

// Calls put(i, bytes) for the floats of one repeated field, packed or not, `i` counting from
// *count; put returns a status.
template <typename Put>
Status EachFloat(const WireField& field, std::string_view name, int64_t* count, Put put) {
  if (field.type == WireType::kFixed32) {
    const auto bits = static_cast<uint32_t>(field.value);
    return put((*count)++, reinterpret_cast<const char*>(&bits));
  }
  if (field.type != WireType::kBytes || field.bytes.size() % sizeof(float) != 0) {
    return WrongType(name);
  }
  for (size_t at = 0; at < field.bytes.size(); at += sizeof(float)) {
    RETURN_IF_ERROR(put((*count)++, field.bytes.data() + at));
  }
  return OkStatus();
}

// The SingleOptimizerDump messages of an EntryDump.
Result<std::vector<std::string_view>> OptimizerDumps(std::string_view dump) {
  std::vector<std::string_view> out;
  WireReader entry(dump);
  while (entry.Next()) {
    if (entry.field().number != kOpt) continue;
    if (entry.field().type != WireType::kBytes) return WrongType("opt");
    WireReader opt(entry.field().bytes);
    while (opt.Next()) {
      if (opt.field().number != kDump) continue;
      if (opt.field().type != WireType::kBytes) return WrongType("opt.dump");
      out.push_back(opt.field().bytes);
    }
    RETURN_IF_ERROR(opt.status());
  }
  RETURN_IF_ERROR(entry.status());
  return out;
}

}  // namespace

EntryDumpCodec::EntryDumpCodec(std::span<const Segment> segments) {
  for (size_t s = 0; s < segments.size(); ++s) {
    const Segment& segment = segments[s];
    const OptimizerDef& optimizer = *segment.optimizer;
    dim_ += segment.dim;
    if (optimizer.dump_number == 0) continue;
    Element element{
        .segment = s, .optimizer = optimizer.name, .number = optimizer.dump_number, .fields = {}};
    for (size_t i = 0; i < optimizer.state.size(); ++i) {
      const StateDef& def = optimizer.state[i];
      element.fields.push_back(
          {.def = def,
           .offset = segment.state_offset + StateOffset(optimizer, i, segment.dim),
           .count = def.kind == StateKind::kPerElement ? segment.dim : 1});
      if (def.kind != StateKind::kInt64) {
        element.fixed_bytes += static_cast<size_t>(element.fields.back().count) * kFloatBytes;
      }
    }
    std::ranges::sort(element.fields, {}, [](const Field& f) { return f.def.number; });
    elements_.push_back(std::move(element));
  }
}

size_t EntryDumpCodec::BodyBytes(const Element& element, const std::byte* payload) const {
  size_t bytes = element.fixed_bytes;
  for (const Field& field : element.fields) {
    if (field.def.kind == StateKind::kInt64) {
      bytes += 1 + VarintBytes(LoadInt64(payload + field.offset));
    }
  }
  return bytes;
}

void EntryDumpCodec::Append(const Fid* fid, uint32_t timestamp, const std::byte* payload,
                            std::string& out) const {
  size_t opt_bytes = 0;
  for (const Element& element : elements_) {
    const size_t body = BodyBytes(element, payload);
    const size_t single = 1 + VarintBytes(body) + body;
    opt_bytes += 1 + VarintBytes(single) + single;
  }
  const size_t total = (fid == nullptr ? 0 : 1 + sizeof(Fid)) +
                       static_cast<size_t>(dim_) * kFloatBytes + 1 + VarintBytes(opt_bytes) +
                       opt_bytes + 1 + VarintBytes(timestamp);
  const size_t begin = out.size();
  out.resize(begin + total);
  Out to(out.data() + begin);
  if (fid != nullptr) {
    to.Byte(Tag(kId, WireType::kFixed64));
    to.Copy(fid, sizeof(Fid));
  }
  to.Floats(kNum, payload, dim_);
  to.Byte(Tag(kOpt, WireType::kBytes));
  to.Varint(opt_bytes);
  for (const Element& element : elements_) {
    const size_t body = BodyBytes(element, payload);
    to.Byte(Tag(kDump, WireType::kBytes));
    to.Varint(1 + VarintBytes(body) + body);
    to.Byte(Tag(element.number, WireType::kBytes));
    to.Varint(body);
    for (const Field& field : element.fields) {
      if (field.def.kind == StateKind::kInt64) {
        to.Byte(Tag(field.def.number, WireType::kVarint));
        to.Varint(LoadInt64(payload + field.offset));
      } else {
        to.Floats(field.def.number, payload + field.offset, field.count);
      }
    }
  }
  to.Byte(Tag(kTimestamp, WireType::kVarint));
  to.Varint(timestamp);
  CHECK(to.at() == out.data() + out.size());
}

bool EntryDumpCodec::ReadCanonical(std::string_view dump, std::byte* payload,
                                   RowLayout::ParsedEntry* entry) const {
  In in(dump);
  if (!in.Byte(Tag(kId, WireType::kFixed64)) || !in.Copy(&entry->fid, sizeof(Fid))) return false;
  if (!in.Floats(kNum, dim_, payload)) return false;
  uint64_t opt_bytes = 0;
  if (!in.Byte(Tag(kOpt, WireType::kBytes)) || !in.Varint(&opt_bytes)) return false;
  if (opt_bytes > in.left()) return false;
  const size_t after_opt = in.left() - opt_bytes;
  for (const Element& element : elements_) {
    uint64_t single = 0;
    uint64_t body = 0;
    if (!in.Byte(Tag(kDump, WireType::kBytes)) || !in.Varint(&single) ||
        !in.Byte(Tag(element.number, WireType::kBytes)) || !in.Varint(&body) || body > in.left() ||
        single != 1 + VarintBytes(body) + body) {
      return false;
    }
    const size_t after_body = in.left() - body;
    for (const Field& field : element.fields) {
      std::byte* const to = payload + field.offset;
      if (field.def.kind == StateKind::kInt64) {
        uint64_t value = 0;
        if (!in.Byte(Tag(field.def.number, WireType::kVarint)) || !in.Varint(&value)) return false;
        std::memcpy(to, &value, sizeof(value));
      } else if (!in.Floats(field.def.number, field.count, to)) {
        return false;
      }
    }
    if (in.left() != after_body) return false;
  }
  uint64_t timestamp = 0;
  if (in.left() != after_opt || !in.Byte(Tag(kTimestamp, WireType::kVarint)) ||
      !in.Varint(&timestamp) || in.left() != 0) {
    return false;
  }
  entry->timestamp = static_cast<int64_t>(timestamp);
  return true;
}

Result<RowLayout::ParsedEntry> EntryDumpCodec::ReadHeader(std::string_view dump) {
  RowLayout::ParsedEntry out;
  bool has_id = false;
  WireReader in(dump);
  while (in.Next()) {
    const WireField& field = in.field();
    if (field.number == kId) {
      if (field.type != WireType::kFixed64) return WrongType("id");
      out.fid = static_cast<Fid>(field.value);
      has_id = true;
    } else if (field.number == kTimestamp) {
      if (field.type != WireType::kVarint) return WrongType("last_update_ts_sec");
      out.timestamp = static_cast<int64_t>(field.value);
    }
  }
  RETURN_IF_ERROR(in.status());
  if (!has_id) return InvalidArgument("an entry has no id");
  return out;
}

Status EntryDumpCodec::ReadValues(std::string_view dump, std::span<float> values) const {
  int64_t count = 0;
  const auto size = static_cast<int64_t>(values.size());
  WireReader in(dump);
  while (in.Next()) {
    if (in.field().number != kNum) continue;
    RETURN_IF_ERROR(EachFloat(in.field(), "num", &count, [&](int64_t i, const char* bits) {
      if (i >= size) {
        return InvalidArgument(StrCat("more values than the table's dim, ", size));
      }
      std::memcpy(&values[static_cast<size_t>(i)], bits, sizeof(float));
      return OkStatus();
    }));
  }
  return in.status();
}

Status EntryDumpCodec::ReadState(std::string_view dump, std::byte* payload) const {
  ASSIGN_OR_RETURN(const std::vector<std::string_view> dumps, OptimizerDumps(dump));
  if (dumps.empty()) return OkStatus();
  if (dumps.size() != elements_.size()) {
    return InvalidArgument(
        StrCat("optimizer state of ", dumps.size(), " segments, wanted ", elements_.size()));
  }
  for (size_t i = 0; i < dumps.size(); ++i) {
    RETURN_IF_ERROR(ReadElement(elements_[i], dumps[i], payload)
                        .Annotate(StrCat("segment ", elements_[i].segment)));
  }
  return OkStatus();
}

Status EntryDumpCodec::ReadElement(const Element& element, std::string_view dump,
                                   std::byte* payload) {
  // The last member of the oneof counts.
  std::optional<WireField> member;
  WireReader in(dump);
  while (in.Next()) member = in.field();
  RETURN_IF_ERROR(in.status());
  if (!member || member->number != static_cast<uint32_t>(element.number)) {
    return InvalidArgument(StrCat(
        "the state is of ", member ? StrCat("optimizer dump ", member->number) : "no optimizer",
        ", wanted that of '", element.optimizer, "' (", element.number, ")"));
  }
  if (member->type != WireType::kBytes) return WrongType(element.optimizer);
  std::vector<int64_t> counts(element.fields.size());
  WireReader body(member->bytes);
  while (body.Next()) {
    const WireField& wire = body.field();
    const auto found = std::ranges::find_if(element.fields, [&](const Field& f) {
      return static_cast<uint32_t>(f.def.number) == wire.number;
    });
    if (found == element.fields.end()) continue;
    int64_t& count = counts[static_cast<size_t>(found - element.fields.begin())];
    std::byte* const at = payload + found->offset;
    if (found->def.kind != StateKind::kPerElement) count = 0;  // the last one counts
    if (found->def.kind == StateKind::kInt64) {
      if (wire.type != WireType::kVarint) return WrongType(found->def.name);
      std::memcpy(at, &wire.value, sizeof(wire.value));
      ++count;
      continue;
    }
    RETURN_IF_ERROR(EachFloat(wire, found->def.name, &count, [&](int64_t i, const char* bits) {
      if (i >= found->count) {
        return InvalidArgument(
            StrCat("'", found->def.name, "' has more numbers than ", found->count));
      }
      std::memcpy(at + i * static_cast<int64_t>(sizeof(float)), bits, sizeof(float));
      return OkStatus();
    }));
  }
  RETURN_IF_ERROR(body.status());
  for (size_t i = 0; i < counts.size(); ++i) {
    const Field& field = element.fields[i];
    if (counts[i] == field.count || (field.def.optional && counts[i] == 0)) continue;
    return InvalidArgument(
        StrCat("'", field.def.name, "' has ", counts[i], " numbers, wanted ", field.count));
  }
  return OkStatus();
}

}  // namespace megalith::embedding
