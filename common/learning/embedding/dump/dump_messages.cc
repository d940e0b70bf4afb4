#include "common/learning/embedding/dump/dump_messages.h"

#include "common/foundation/base/strings.h"
#include "common/learning/records/wire.h"

namespace megalith::embedding {
namespace {

using records::ExpectType;
using records::WireField;
using records::WireReader;
using records::WireType;
using records::WireWriter;

// Hands every field of a message to `take`, which returns the error that stops it.
template <typename Take>
Status ForEachField(std::string_view bytes, std::string_view message, const Take& take) {
  WireReader in(bytes);
  while (in.Next()) {
    const Status taken = take(in.field());
    if (!taken.ok()) return taken.Annotate(message);
  }
  return in.status().Annotate(message);
}

template <typename Number>
Status TakeVarint(const WireField& field, Number* out) {
  RETURN_IF_ERROR(ExpectType(field, WireType::kVarint));
  // A number that is too wide is cut, as protobuf does.
  *out = static_cast<Number>(field.value);
  return OkStatus();
}

Result<SlidingFilterMeta> DecodeSlidingFilterMeta(std::string_view bytes) {
  SlidingFilterMeta out;
  RETURN_IF_ERROR(
      ForEachField(bytes, "SlidingHashFilterMetaDump", [&](const WireField& field) -> Status {
        switch (field.number) {
          case 1:
            return TakeVarint(field, &out.split_num);
          case 2:
            return TakeVarint(field, &out.max_forward_step);
          case 3:
            return TakeVarint(field, &out.max_backward_step);
          case 4:
            return TakeVarint(field, &out.max_step);
          case 5:
            return TakeVarint(field, &out.head);
          case 6:
            return TakeVarint(field, &out.head_increment);
          case 7:
            return TakeVarint(field, &out.failure_count);
          default:
            return OkStatus();
        }
      }));
  return out;
}

}  // namespace

std::string Encode(const MultiTableMeta& message) {
  std::string out;
  WireWriter writer(&out);
  writer.Bytes(1, message.table_name);
  writer.Varint(2, message.num_entries);
  return out;
}

std::string Encode(const FilterSplitMeta& message) {
  std::string out;
  WireWriter writer(&out);
  writer.Varint(1, message.failure_count);
  writer.Varint(2, message.total_size);
  writer.Varint(3, message.num_elements);
  writer.Double(4, message.fill_rate);
  if (message.sliding) {
    const size_t begun = writer.Begin(5);
    writer.Varint(1, message.sliding->split_num);
    writer.Varint(2, message.sliding->max_forward_step);
    writer.Varint(3, message.sliding->max_backward_step);
    writer.Varint(4, message.sliding->max_step);
    writer.Varint(5, message.sliding->head);
    writer.Varint(6, message.sliding->head_increment);
    writer.Varint(7, message.sliding->failure_count);
    writer.End(begun);
  }
  return out;
}

std::string Encode(const FilterSplitData& message) {
  std::string out;
  WireWriter writer(&out);
  writer.Varint(1, message.offset);
  for (const uint16_t cell : message.cells) writer.Varint(2, cell);
  return out;
}

Result<MultiTableMeta> DecodeMultiTableMeta(std::string_view bytes) {
  MultiTableMeta out;
  RETURN_IF_ERROR(
      ForEachField(bytes, "MultiHashTableMetadata", [&](const WireField& field) -> Status {
        if (field.number == 1) {
          RETURN_IF_ERROR(ExpectType(field, WireType::kBytes));
          out.table_name = field.bytes;
        } else if (field.number == 2) {
          return TakeVarint(field, &out.num_entries);
        }
        return OkStatus();
      }));
  return out;
}

Result<FilterSplitMeta> DecodeFilterSplitMeta(std::string_view bytes) {
  FilterSplitMeta out;
  RETURN_IF_ERROR(
      ForEachField(bytes, "HashFilterSplitMetaDump", [&](const WireField& field) -> Status {
        switch (field.number) {
          case 1:
            return TakeVarint(field, &out.failure_count);
          case 2:
            return TakeVarint(field, &out.total_size);
          case 3:
            return TakeVarint(field, &out.num_elements);
          case 4:
            RETURN_IF_ERROR(ExpectType(field, WireType::kFixed64));
            out.fill_rate = field.AsDouble();
            return OkStatus();
          case 5: {
            RETURN_IF_ERROR(ExpectType(field, WireType::kBytes));
            ASSIGN_OR_RETURN(out.sliding, DecodeSlidingFilterMeta(field.bytes));
            return OkStatus();
          }
          default:
            return OkStatus();
        }
      }));
  return out;
}

Result<FilterSplitData> DecodeFilterSplitData(std::string_view bytes) {
  FilterSplitData out;
  std::vector<uint64_t> cells;
  RETURN_IF_ERROR(
      ForEachField(bytes, "HashFilterSplitDataDump", [&](const WireField& field) -> Status {
        if (field.number == 1) return TakeVarint(field, &out.offset);
        if (field.number == 2) return records::AppendVarints(field, &cells);
        return OkStatus();
      }));
  out.cells.reserve(cells.size());
  for (const uint64_t cell : cells) {
    if (cell > UINT16_MAX)
      return DataLoss(StrCat("HashFilterSplitDataDump: cell ", out.cells.size(), " is ", cell,
                             ", cells have 16 bits"));
    out.cells.push_back(static_cast<uint16_t>(cell));
  }
  return out;
}

}  // namespace megalith::embedding
