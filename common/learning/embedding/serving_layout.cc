// Rows that are only read: each segment's compressed values, one after the other.
#include <cstring>

#include "common/learning/embedding/entry_dump.h"
#include "common/learning/embedding/layouts.h"

namespace megalith::embedding {
namespace {

class ServingLayout final : public RowLayout {
 public:
  explicit ServingLayout(std::vector<Segment> segments)
      : segments_(std::move(segments)), codec_(segments_) {
    const Segment& last = segments_.back();
    dim_ = last.offset + last.dim;
    slices_ = static_cast<int64_t>(segments_.size());
    payload_bytes_ = last.stored_offset + last.compressor->bytes(last.dim);
    read_bytes_ = payload_bytes_;
    kind_ = EntryKind::kServing;
    for (const Segment& s : segments_) {
      coders_.push_back({s.compressor->encode.Best(), s.compressor->decode.Best()});
    }
  }

  void Init(Fid, std::byte* payload) const override { std::memset(payload, 0, payload_bytes_); }

  void Read(const std::byte* payload, float* out) const override {
    for (size_t i = 0; i < segments_.size(); ++i) {
      const Segment& s = segments_[i];
      coders_[i].decode({.params = &s.compressor_params,
                         .stored = payload + s.stored_offset,
                         .values = out + s.offset,
                         .dim = s.dim});
    }
  }

  void Assign(const float* values, std::byte* payload) const override {
    for (size_t i = 0; i < segments_.size(); ++i) {
      const Segment& s = segments_[i];
      coders_[i].encode({.params = &s.compressor_params,
                         .values = values + s.offset,
                         .stored = payload + s.stored_offset,
                         .dim = s.dim});
    }
  }

  void AssignAdd(const float* values, std::byte* payload) const override {
    std::vector<float> sum(static_cast<size_t>(dim_));
    Read(payload, sum.data());
    for (size_t i = 0; i < sum.size(); ++i) sum[i] += values[i];
    Assign(sum.data(), payload);
  }

  // Training only; see the interface.
  StepOutcome Step(const StepInput&, std::byte*) const override { return {}; }
  std::vector<float> DefaultLearningRates(int64_t) const override { return {}; }
  std::vector<float> Weights(const std::byte*) const override { return {}; }
  std::vector<NamedState> State(const std::byte*) const override { return {}; }
  void AppendEntryDump(const Fid*, uint32_t, const std::byte*, std::string&) const override {}

  Result<ParsedEntry> ParseEntryDump(std::string_view dump, std::byte* payload) const override {
    ASSIGN_OR_RETURN(ParsedEntry out, EntryDumpCodec::ReadHeader(dump));
    std::vector<float> values(static_cast<size_t>(dim_));
    if (const Status s = codec_.ReadValues(dump, values); !s.ok()) {
      return s.Annotate(StrCat("fid ", out.fid));
    }
    Assign(values.data(), payload);
    out.timestamp = 0;
    return out;
  }

 private:
  struct Coder {
    Leveled<int, Encoding>::Function encode;
    Leveled<int, Decoding>::Function decode;
  };
  const std::vector<Segment> segments_;
  const EntryDumpCodec codec_;
  std::vector<Coder> coders_;
};

}  // namespace

std::unique_ptr<RowLayout> MakeServingLayout(std::vector<Segment> segments) {
  return std::make_unique<ServingLayout>(std::move(segments));
}

}  // namespace megalith::embedding
