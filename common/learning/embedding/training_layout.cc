// Rows that learn: float32 weights in segment order, then each segment's optimizer state.
#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>

#include "common/learning/embedding/entry_dump.h"
#include "common/learning/embedding/hashing.h"
#include "common/learning/embedding/layouts.h"
#include "common/learning/embedding/learning_rate.h"
#include "common/learning/embedding/stochastic_half.h"

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

// Room for one segment's floats, without an allocation for the dims that are common.
class Scratch {
 public:
  float* Of(int64_t count) {
    if (count <= static_cast<int64_t>(small_.size())) return small_.data();
    large_.resize(static_cast<size_t>(count));
    return large_.data();
  }

 private:
  std::array<float, 256> small_;
  std::vector<float> large_;
};

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
    read_bytes_ = static_cast<size_t>(dim_) * sizeof(float);
    reads_plainly_ = true;
    kind_ = EntryKind::kTraining;
    scales_ = std::make_unique<std::atomic<float>[]>(segments_.size());
    for (size_t i = 0; i < segments_.size(); ++i) {
      const Segment& s = segments_[i];
      const CompressorDef& c = *s.compressor;
      Path path{.read = c.training_read.Best(), .rewrite_gradient = c.rewrite_gradient.Best()};
      if (s.wrapper != nullptr) path.compensate = s.wrapper->compensate.Best();
      paths_.push_back(path);
      if (path.read != nullptr) reads_plainly_ = false;
      if (c.initial_scale != nullptr) scales_[i] = c.initial_scale(s.compressor_params);
      const bool special = path.changes_gradient() || s.rounds_to_half;
      plain_.push_back({.step = s.step,
                        .params = &s.optimizer_params,
                        .offset = s.offset,
                        .dim = s.dim,
                        .state_offset = s.state_offset,
                        .special = special ? static_cast<int>(i) : -1});
    }
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
    if (reads_plainly_) return;
    for (size_t i = 0; i < segments_.size(); ++i) {
      if (paths_[i].read != nullptr) ReadSegment(i, WeightsOf(payload), out + segments_[i].offset);
    }
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
    const float* rate = input.learning_rates.data();
    for (const Plain& p : plain_) {
      RowStep row{.weights = WeightsOf(payload) + p.offset,
                  .gradient = input.gradient.data() + p.offset,
                  .state = payload + p.state_offset,
                  .dim = p.dim,
                  .learning_rate = *rate++,
                  .global_step = input.global_step,
                  .monolith = monolith_,
                  .params = p.params};
      out.guarded |= p.special < 0 ? p.step(row) : SpecialStep(p, input, row, &out);
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
    ParsedEntry canonical;
    if (codec_.ReadCanonical(dump, payload, &canonical)) return canonical;
    ASSIGN_OR_RETURN(const ParsedEntry out, EntryDumpCodec::ReadHeader(dump));
    Init(out.fid, payload);
    const auto context = [&] { return StrCat("fid ", out.fid); };
    const std::span<float> weights(WeightsOf(payload), static_cast<size_t>(dim_));
    if (const Status s = codec_.ReadValues(dump, weights); !s.ok()) return s.Annotate(context());
    if (const Status s = codec_.ReadState(dump, payload); !s.ok()) return s.Annotate(context());
    return out;
  }

 private:
  // What happens to a segment between its weights and the trainer, in both directions; null:
  // nothing.
  struct Path {
    Leveled<int, TrainingRead>::Function read = nullptr;
    Leveled<int, TrainingRead>::Function rewrite_gradient = nullptr;
    Leveled<int, Compensation>::Function compensate = nullptr;
    bool changes_gradient() const { return rewrite_gradient != nullptr || compensate != nullptr; }
  };

  // What a step reads of a segment, close together.
  struct Plain {
    Leveled<bool, RowStep>::Function step = nullptr;
    const Params* params = nullptr;
    int64_t offset = 0;
    int64_t dim = 0;
    size_t state_offset = 0;
    int special = -1;  // the segment's index, if its step is more than `step`
  };

  [[gnu::noinline]] bool SpecialStep(const Plain& p, const StepInput& input, RowStep& row,
                                     StepOutcome* out) const {
    const auto i = static_cast<size_t>(p.special);
    const bool guarded = paths_[i].changes_gradient()
                             ? StepWithOwnGradient(i, input, row, &out->snapshot_missing)
                             : p.step(row);
    if (segments_[i].rounds_to_half) {
      const uint64_t draw = draws_.fetch_add(1, std::memory_order_relaxed);
      RoundToHalfAtRandom(Mix(seed_, draw), p.dim, row.weights);
    }
    return guarded;
  }

  TrainingRead ReadOf(size_t i) const {
    return {.params = &segments_[i].compressor_params,
            .scale = scales_[i].load(std::memory_order_relaxed),
            .dim = segments_[i].dim};
  }

  void ReadSegment(size_t i, const float* weights, float* out) const {
    TrainingRead read = ReadOf(i);
    read.weights = weights + segments_[i].offset;
    read.out = out;
    paths_[i].read(read);
  }

  // A step along a private copy of the gradient (quirk 12: the original changes the caller's).
  bool StepWithOwnGradient(size_t i, const StepInput& input, RowStep& row,
                           bool* snapshot_missing) const {
    const Segment& s = segments_[i];
    const Path& path = paths_[i];
    Scratch gradient_room;
    float* const gradient = gradient_room.Of(s.dim);
    std::copy_n(input.gradient.data() + s.offset, s.dim, gradient);
    if (path.compensate != nullptr && input.snapshot.empty()) *snapshot_missing = true;
    if (path.compensate != nullptr && !input.snapshot.empty()) {
      // The snapshot is what the trainer read, so it is compared with what a reader gets now.
      Scratch read_room;
      const float* now = row.weights;
      if (path.read != nullptr) {
        float* const read = read_room.Of(s.dim);
        ReadSegment(i, row.weights - s.offset, read);
        now = read;
      }
      path.compensate({.gradient = gradient,
                       .weights = now,
                       .snapshot = input.snapshot.data() + s.offset,
                       .out = gradient,
                       .dim = s.dim,
                       .params = &s.wrapper_params});
    }
    if (path.rewrite_gradient != nullptr) {
      const CompressorDef& c = *s.compressor;
      if (c.next_scale != nullptr) {
        const float scale = scales_[i].load(std::memory_order_relaxed);
        const float next = c.next_scale(s.compressor_params, scale, input.global_step);
        if (next != scale) scales_[i].store(next, std::memory_order_relaxed);
      }
      TrainingRead rewrite = ReadOf(i);
      rewrite.weights = row.weights;
      rewrite.gradient = gradient;
      rewrite.out = gradient;
      path.rewrite_gradient(rewrite);
    }
    row.gradient = gradient;
    return s.step(row);
  }

  const std::vector<Segment> segments_;
  const bool monolith_;
  const uint64_t seed_;
  const EntryDumpCodec codec_;
  std::vector<Plain> plain_;
  std::vector<Path> paths_;
  // The scale that all rows of a segment share; not part of files.
  std::unique_ptr<std::atomic<float>[]> scales_;
  // Stochastic roundings so far: each draws its own random numbers.
  mutable std::atomic<uint64_t> draws_{0};
};

}  // namespace

std::unique_ptr<RowLayout> MakeTrainingLayout(std::vector<Segment> segments,
                                              const TableConfig& config) {
  return std::make_unique<TrainingLayout>(std::move(segments), config);
}

}  // namespace megalith::embedding
