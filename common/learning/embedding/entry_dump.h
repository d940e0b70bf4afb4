// Monolith's EntryDump messages written and read by hand, driven by the optimizers' records
// (checkpoint-format.md section 4; persistent: never change).
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/foundation/base/status.h"
#include "common/learning/embedding/row_layout.h"
#include "common/learning/embedding/segment.h"

namespace megalith::embedding {

class EntryDumpCodec {
 public:
  explicit EntryDumpCodec(std::span<const Segment> segments);

  // Appends the message: unpacked floats, fields in ascending order, `payload` of a training row.
  void Append(const Fid* fid, uint32_t timestamp, const std::byte* payload, std::string& out) const;

  // Reads a message that is written exactly as Append writes the rows of this layout, as nearly all
  // are: every weight and state of `payload` is overwritten, so it needs no initial values. False
  // if the message is of any other form; `payload` is then partly overwritten.
  bool ReadCanonical(std::string_view dump, std::byte* payload,
                     RowLayout::ParsedEntry* entry) const;

  // Finds what a reader needs before it can make the row. Errors: as RowLayout::ParseEntryDump.
  static Result<RowLayout::ParsedEntry> ReadHeader(std::string_view dump);

  // Overwrites the first values of `values` (dim) with those of the message.
  // Errors: as RowLayout::ParseEntryDump.
  Status ReadValues(std::string_view dump, std::span<float> values) const;

  // Overwrites the state of each segment in a training `payload`. A message without any state
  // leaves it as it is. Errors: as RowLayout::ParseEntryDump.
  Status ReadState(std::string_view dump, std::byte* payload) const;

 private:
  // One state of one segment.
  struct Field {
    StateDef def;
    size_t offset = 0;  // in a training payload
    int64_t count = 0;  // numbers
  };
  struct Element {
    size_t segment = 0;
    std::string_view optimizer;
    int number = 0;             // in SingleOptimizerDump
    std::vector<Field> fields;  // by ascending number
    size_t fixed_bytes = 0;     // of all fields but integers, whose size varies
  };

  size_t BodyBytes(const Element& element, const std::byte* payload) const;
  static Status ReadElement(const Element& element, std::string_view dump, std::byte* payload);

  int64_t dim_ = 0;
  std::vector<Element> elements_;
};

}  // namespace megalith::embedding
