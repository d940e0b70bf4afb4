// Rows that learn: float32 weights in segment order, then each segment's optimizer state.
#include <cstring>

#include "common/learning/embedding/entry_dump.h"
#include "common/learning/embedding/hashing.h"
#include "common/learning/embedding/layouts.h"
#include "common/learning/embedding/learning_rate.h"

namespace megalith::embedding {
namespace {

float* WeightsOf(std::byte* payload) { return reinterpret_cast<float*>(payload); }
const float* WeightsOf(const std::byte* payload) { return reinterpret_cast<const float*>(payload); }

float DefaultLearningRate(const Segment& s, int64_t global_step) {
  const OptimizerDef& optimizer = *s.optimizer;
  if (optimizer.learning_rate_field < 0) return 0;
  const auto rate = s.optimizer_params.f[static_cast<size_t>(optimizer.learning_rate_field)];
  if (optimizer.warmup_field < 0) return rate;
  const double steps = s.optimizer_params.d[static_cast<size_t>(optimizer.warmup_field)];
  return WarmedUp(rate, static_cast<int64_t>(steps), global_step);
}

class TrainingLayout final : public RowLayout {
 public:
  TrainingLayout(std::vector<Segment> segments, const TableConfig& config)
      : segments_(std::move(segments)),
        monolith_(config.compatibility == Compatibility::kMonolith),
        seed_(config.seed),
        codec_(segments_) {
    const Segment& last = segments_.back();
    dim_ = last.offset + last.dim;
    slices_ = static_cast<int64_t>(segments_.size());
    payload_bytes_ = last.state_offset + StateBytes(*last.optimizer, last.dim);
    kind_ = EntryKind::kTraining;
  }

  void Init(Fid fid, std::byte* payload) const override {
    const uint64_t row_key = Mix(seed_, static_cast<uint64_t>(fid));
    uint64_t index = 0;
    for (const Segment& s : segments_) {
      s.initializer->fill(s.initializer_params, Mix(row_key, index++), s.dim,
                          WeightsOf(payload) + s.offset);
      InitState(*s.optimizer, s.optimizer_params, s.dim, payload + s.state_offset);
    }
  }

  void Read(const std::byte* payload, float* out) const override {
    std::memcpy(out, payload, static_cast<size_t>(dim_) * sizeof(float));
  }

  void Assign(const float* values, std::byte* payload) const override {
    std::memcpy(payload, values, static_cast<size_t>(dim_) * sizeof(float));
  }

  void AssignAdd(const float* values, std::byte* payload) const override {
    float* const weights = WeightsOf(payload);
    for (int64_t i = 0; i < dim_; ++i) weights[i] += values[i];
  }

  StepOutcome Step(const StepInput& input, std::byte* payload) const override {
    StepOutcome out;
    RowStep row{.global_step = input.global_step, .monolith = monolith_};
    for (size_t i = 0; i < segments_.size(); ++i) {
      const Segment& s = segments_[i];
      row.weights = WeightsOf(payload) + s.offset;
      row.gradient = input.gradient.data() + s.offset;
      row.state = payload + s.state_offset;
      row.dim = s.dim;
      row.learning_rate = input.learning_rates[i];
      row.params = &s.optimizer_params;
      out.guarded |= s.step(row);
    }
    return out;
  }

  std::vector<float> DefaultLearningRates(int64_t global_step) const override {
    std::vector<float> out;
    for (const Segment& s : segments_) out.push_back(DefaultLearningRate(s, global_step));
    return out;
  }

  std::vector<float> Weights(const std::byte* payload) const override {
    return {WeightsOf(payload), WeightsOf(payload) + dim_};
  }

  std::vector<NamedState> State(const std::byte* payload) const override {
    std::vector<NamedState> out;
    for (const Segment& s : segments_) {
      const OptimizerDef& optimizer = *s.optimizer;
      NamedState named{.optimizer = optimizer.name, .arrays = {}};
      for (size_t i = 0; i < optimizer.state.size(); ++i) {
        const StateDef& def = optimizer.state[i];
        const std::byte* const at = payload + s.state_offset + StateOffset(optimizer, i, s.dim);
        NamedState::Array array{.name = def.name, .values = {}};
        if (def.kind == StateKind::kInt64) {
          int64_t value;
          std::memcpy(&value, at, sizeof(value));
          array.values = {static_cast<double>(value)};
        } else {
          const int64_t count = def.kind == StateKind::kPerElement ? s.dim : 1;
          array.values.assign(WeightsOf(at), WeightsOf(at) + count);
        }
        named.arrays.push_back(std::move(array));
      }
      out.push_back(std::move(named));
    }
    return out;
  }

  void AppendEntryDump(const Fid* fid, uint32_t timestamp, const std::byte* payload,
                       std::string& out) const override {
    codec_.Append(fid, timestamp, payload, out);
  }

  Result<ParsedEntry> ParseEntryDump(std::string_view dump, std::byte* payload) const override {
    ASSIGN_OR_RETURN(const ParsedEntry out, EntryDumpCodec::ReadHeader(dump));
    Init(out.fid, payload);
    const auto context = [&] { return StrCat("fid ", out.fid); };
    const std::span<float> weights(WeightsOf(payload), static_cast<size_t>(dim_));
    if (const Status s = codec_.ReadValues(dump, weights); !s.ok()) return s.Annotate(context());
    if (const Status s = codec_.ReadState(dump, payload); !s.ok()) return s.Annotate(context());
    return out;
  }

 private:
  const std::vector<Segment> segments_;
  const bool monolith_;
  const uint64_t seed_;
  const EntryDumpCodec codec_;
};

}  // namespace

std::unique_ptr<RowLayout> MakeTrainingLayout(std::vector<Segment> segments,
                                              const TableConfig& config) {
  return std::make_unique<TrainingLayout>(std::move(segments), config);
}

}  // namespace megalith::embedding
