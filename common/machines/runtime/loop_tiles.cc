#include "common/machines/runtime/loop_tiles.h"

#include <algorithm>
#include <cstring>

#include "common/machines/runtime/tile_stage.h"

namespace megalith::runtime {
namespace {

// Lanes of a tile: long enough to hide what a step costs beside its lanes, short enough for some
// ten registers to stay in the first-level cache.
constexpr int64_t kTile = 512;
// Private arrays of all lanes of a tile should stay in the second-level cache.
constexpr uint64_t kLocalBytes = 256 << 10;
// Tiles end with rows only if rows are at least this long.
constexpr int64_t kLongRow = 128;
// An inner loop shorter than this is run with the outer points as lanes.
constexpr int64_t kShortInner = 64;
constexpr int64_t kFewPoints = 16;

int64_t InnerPoints(const LoopStage& stage) {
  int64_t points = 1;
  for (const LoopDim& d : stage.dims) points *= d.extent;
  return points;
}

// Points are independent, so either way is right; which one is quick is a matter of extents.
bool LanesAreOuter(const LoopKernel& kernel) {
  const int64_t points = kernel.OuterPoints();
  bool all_short = true, all_long = true;
  for (const LoopStage& stage : kernel.stages) {
    all_short &= InnerPoints(stage) <= kShortInner;
    all_long &= !stage.dims.empty() && stage.dims.back().extent >= kLongRow;
  }
  if (kernel.vector_outer) return !(all_long && points <= kFewPoints);
  return all_short && points > kFewPoints;
}

// The next positions of [begin, end), row-major; false after the last.
bool Advance(int64_t* seq, const std::vector<int64_t>& extents, uint32_t begin, uint32_t end) {
  for (uint32_t d = end; d-- > begin;) {
    if (++seq[d] < extents[d]) return true;
    seq[d] = 0;
  }
  return false;
}
bool AnyZero(const std::vector<int64_t>& extents, uint32_t begin, uint32_t end) {
  return std::find(extents.begin() + begin, extents.begin() + end, 0) != extents.begin() + end;
}

template <typename T>
void IndexLanes(const TileStep& step, int64_t lane, int64_t count, void* out) {
  T* to = static_cast<T*>(out);
  int64_t position = lane / step.inner % step.extent;
  int64_t left = step.inner - lane % step.inner;
  for (int64_t i = 0; i < count;) {
    const int64_t run = std::min(left, count - i);
    for (const int64_t end = i + run; i < end; ++i) to[i] = static_cast<T>(position);
    left = step.inner;
    if (++position == step.extent) position = 0;
  }
}

void Index(const TileStep& step, int64_t lane, int64_t count, void* out) {
  switch (step.type) {
    case DType::kF32:
      return IndexLanes<float>(step, lane, count, out);
    case DType::kF64:
      return IndexLanes<double>(step, lane, count, out);
    default:
      break;
  }
  switch (step.width) {
    case 1:
      return IndexLanes<uint8_t>(step, lane, count, out);
    case 2:
      return IndexLanes<uint16_t>(step, lane, count, out);
    case 4:
      return IndexLanes<uint32_t>(step, lane, count, out);
    default:
      return IndexLanes<uint64_t>(step, lane, count, out);
  }
}

// One run of a range, on one thread.
class Runner {
 public:
  Runner(const TileLayout& layout, void* const* buffers, void* scratch)
      : layout_(layout), scratch_(static_cast<char*>(scratch)) {
    pointers_ = reinterpret_cast<const void**>(scratch_ + layout.pointers);
    auto table = reinterpret_cast<void**>(scratch_ + layout.buffer_table);
    for (uint32_t b = 0; b < layout.buffers; ++b) table[b] = buffers[b];
    for (size_t l = 0; l < layout.locals.size(); ++l) {
      table[layout.buffers + l] = scratch_ + layout.locals[l];
    }
    for (size_t r = 0; r < layout.registers.size(); ++r) {
      const TileRegister& reg = layout.registers[r];
      pointers_[r] = reg.constant ? static_cast<const void*>(&layout.constants[reg.place])
                                  : scratch_ + reg.place;
    }
    place_.buffers = table;
    place_.seq = seq_;
  }

  int64_t* seq() { return seq_; }

  // Lanes [begin, end) at the positions set before.
  void RunStage(const TileStage& stage, int64_t begin, int64_t end) {
    const auto last = static_cast<uint32_t>(stage.seq_extents.size());
    if (AnyZero(stage.seq_extents, stage.first, stage.reduced)) return;
    const bool empty = AnyZero(stage.seq_extents, stage.reduced, last);
    const int64_t row = stage.row >= kLongRow && !layout_.outer_lanes ? stage.row : 0;
    std::fill(seq_ + stage.first, seq_ + last, 0);
    do {
      if (stage.horizontal) {
        filled_ = 0;
        if (!empty) {
          do {
            ForTiles(begin, end, row, [&] { ReduceLanes(stage); });
          } while (Advance(seq_, stage.seq_extents, stage.reduced, last));
        }
        StoreReduced(stage);
      } else if (!stage.reductions.empty()) {
        ForTiles(begin, end, row, [&] {
          StartLanes(stage);
          if (!empty) {
            do {
              Steps(stage);
              CombineLanes(stage);
            } while (Advance(seq_, stage.seq_extents, stage.reduced, last));
          }
          for (const TileStoreStep& s : stage.stores) {
            Store(s, scratch_ + stage.reductions[s.value].acc, false);
          }
        });
      } else {
        ForTiles(begin, end, row, [&] {
          Steps(stage);
          for (const TileStoreStep& s : stage.stores) {
            if (!s.direct) Store(s, pointers_[s.value], s.splat);
          }
        });
      }
    } while (Advance(seq_, stage.seq_extents, stage.first, stage.reduced));
  }

 private:
  template <typename F>
  void ForTiles(int64_t begin, int64_t end, int64_t row, F&& f) {
    for (int64_t lane = begin; lane < end; lane += place_.count) {
      place_.lane = lane;
      place_.count = std::min(end - lane, layout_.tile);
      if (row != 0) place_.count = std::min(place_.count, row - lane % row);
      f();
    }
  }

  void Steps(const TileStage& stage) {
    for (const TileStep& step : stage.steps) {
      switch (step.kind) {
        case TileStepKind::kCompute:
          Compute(stage, step);
          break;
        case TileStepKind::kLoad:
          Load(stage, step);
          break;
        case TileStepKind::kIndex:
          if (step.of_lanes) {
            Index(step, place_.lane, place_.count, Slot(step.reg));
          } else {  // the block of that position
            Index(step, seq_[step.seq] * step.inner, kernels::kSplatBytes / step.width,
                  Slot(step.reg));
          }
          break;
      }
    }
  }

  void* Slot(uint32_t reg) { return scratch_ + layout_.registers[reg].place; }

  void Compute(const TileStage& stage, const TileStep& step) {
    const void* in[3] = {pointers_[step.in[0]], pointers_[step.in[1]], pointers_[step.in[2]]};
    void* out = Slot(step.reg);
    if (layout_.single && step.direct_store < 0) {
      step.fn(in, 0, out, 1, step.imm);
      return;
    }
    int64_t count = step.splat ? kernels::kSplatBytes / step.width : place_.count;
    if (step.direct_store >= 0) {
      int64_t stride = 0;
      out = EvenLanes(stage.stores[static_cast<size_t>(step.direct_store)].to, place_, &stride);
    }
    step.fn(in, step.splats, out, count, step.imm);
  }

  void Load(const TileStage& stage, const TileStep& step) {
    const TileAccess& access = stage.loads[step.access];
    void* slot = Slot(step.reg);
    if (layout_.single && LoadOne(access, step, slot)) return;
    const int64_t lanes = place_.count;
    if (step.splat) place_.count = 1;
    LoadLanes(access, step, slot);
    if (step.splat) {
      GatherStrided(step.width, slot, 0, kernels::kSplatBytes / step.width, slot);
      place_.count = lanes;
    }
  }

  // The element of a kernel with one point; false if it has to be looked for.
  bool LoadOne(const TileAccess& access, const TileStep& step, void* slot) {
    if (step.fn != nullptr || !Reads(access, place_)) return false;
    int64_t stride = 0;
    const void* from = EvenLanes(access, place_, &stride);
    if (from == nullptr) return false;
    pointers_[step.reg] = slot;
    switch (step.width) {
      case 1:
        std::memcpy(slot, from, 1);
        break;
      case 2:
        std::memcpy(slot, from, 2);
        break;
      case 4:
        std::memcpy(slot, from, 4);
        break;
      default:
        std::memcpy(slot, from, 8);
    }
    return true;
  }

  void LoadLanes(const TileAccess& access, const TileStep& step, void* slot) {
    pointers_[step.reg] = slot;
    if (!Reads(access, place_)) {
      GatherStrided(step.width, &step.imm, 0, place_.count, slot);
      return;
    }
    int64_t stride = 0;
    const void* from = EvenLanes(access, place_, &stride);
    const bool in_place = from != nullptr && stride == 1;
    if (step.fn == nullptr) {
      if (in_place && !step.splat) {
        pointers_[step.reg] = from;
      } else if (from != nullptr) {
        GatherStrided(access.width, from, stride, place_.count, slot);
      } else {
        GatherLanes(access, place_, step.imm, slot);
      }
      return;
    }
    if (!in_place) {
      void* raw = step.splat ? slot : scratch_ + step.raw;
      if (from != nullptr) {
        GatherStrided(access.width, from, stride, place_.count, raw);
      } else {
        GatherLanes(access, place_, 0, raw);
      }
      const void* in[] = {raw};
      step.fn(in, 0, slot, place_.count, 0);
      if (from == nullptr) FillOutside(access, place_, step.width, step.imm, slot);
      return;
    }
    const void* in[] = {from};
    step.fn(in, 0, slot, place_.count, 0);
  }

  // --- reductions over steps: one result per lane ---

  void StartLanes(const TileStage& stage) {
    for (const TileReduction& r : stage.reductions) {
      r.copy(&pointers_[r.init], 1, scratch_ + r.acc, place_.count, 0);
    }
  }
  void CombineLanes(const TileStage& stage) {
    for (const TileReduction& r : stage.reductions) {
      void* acc = scratch_ + r.acc;
      const void* in[] = {acc, pointers_[r.value]};
      r.fn(in, r.splat ? 2 : 0, acc, place_.count, 0);
    }
  }

  // --- reductions over lanes: one result ---

  void ReduceLanes(const TileStage& stage) {
    Steps(stage);
    const int64_t both = std::min(filled_, place_.count);
    for (const TileReduction& r : stage.reductions) {
      char* acc = scratch_ + r.acc;
      const char* value = static_cast<const char*>(pointers_[r.value]);
      if (both > 0) {
        const void* in[] = {acc, value};
        r.fn(in, r.splat ? 2 : 0, acc, both, 0);
      }
      if (both < place_.count) {
        const void* rest[] = {r.splat ? value : value + both * r.width};
        r.copy(rest, r.splat ? 1 : 0, acc + both * r.width, place_.count - both, 0);
      }
    }
    filled_ = std::max(filled_, place_.count);
  }

  // All lanes, by halves where no routine takes them at once, then the start.
  void StoreReduced(const TileStage& stage) {
    for (const TileReduction& r : stage.reductions) {
      char* acc = scratch_ + r.acc;
      if (r.all != nullptr && filled_ > 0) {
        const void* in[] = {acc};
        r.all(in, 0, acc, filled_, 0);
      }
      for (int64_t n = r.all != nullptr ? 1 : filled_; n > 1; n = (n + 1) / 2) {
        const int64_t half = n / 2;
        const void* in[] = {acc, acc + (n + 1) / 2 * r.width};
        r.fn(in, 0, acc, half, 0);
      }
      const void* in[] = {filled_ > 0 ? acc : pointers_[r.init], pointers_[r.init]};
      if (filled_ > 0) {
        r.fn(in, 2, acc, 1, 0);
      } else {
        r.copy(in, 1, acc, 1, 0);
      }
    }
    place_.lane = 0;
    place_.count = 1;
    for (const TileStoreStep& s : stage.stores) {
      Store(s, scratch_ + stage.reductions[s.value].acc, false);
    }
  }

  void Store(const TileStoreStep& s, const void* value, bool splat) {
    int64_t stride = 0;
    char* to = EvenLanes(s.to, place_, &stride);
    if (to != nullptr && (stride == 1 || place_.count == 1)) {
      s.copy(&value, splat ? 1 : 0, to, place_.count, 0);
      return;
    }
    void* raw = scratch_ + s.raw;
    s.copy(&value, splat ? 1 : 0, raw, place_.count, 0);
    ScatterLanes(s.to, place_, raw);
  }

  const TileLayout& layout_;
  char* scratch_;
  const void** pointers_;
  TilePlace place_;
  int64_t seq_[kMaxLoopDims] = {};
  int64_t filled_ = 0;  // lanes of the accumulators that hold something
};

}  // namespace

struct TileProgram::Impl {
  TileLayout layout;
  std::vector<int64_t> outer;
  std::vector<TileStage> stages;
  int64_t row = 0;
};

TileProgram::TileProgram(const LoopKernel& kernel) {
  auto impl = std::make_unique<Impl>();
  TileLayout& layout = impl->layout;
  impl->outer = kernel.outer;
  layout.outer_lanes = LanesAreOuter(kernel);
  layout.single = layout.outer_lanes && kernel.OuterPoints() == 1 &&
                  std::ranges::all_of(kernel.stages, [](const LoopStage& stage) {
                    return stage.dims.empty() && stage.reductions.empty();
                  });
  layout.buffers = kernel.buffers;
  uint64_t local_bytes = 0;
  for (const uint64_t bytes : kernel.locals) local_bytes += bytes;
  layout.tile = kTile;
  if (layout.outer_lanes) {
    while (layout.tile > 16 && local_bytes * static_cast<uint64_t>(layout.tile) > kLocalBytes) {
      layout.tile /= 2;
    }
  }
  for (const uint64_t bytes : kernel.locals) {
    layout.locals.push_back(layout.scratch_bytes);
    const uint64_t all = layout.outer_lanes ? bytes * static_cast<uint64_t>(layout.tile) : bytes;
    layout.scratch_bytes += (all + 63) / 64 * 64;
  }
  for (const LoopStage& stage : kernel.stages) {
    impl->stages.push_back(PrepareStage(kernel, stage, &layout));
    const int64_t row = impl->stages.back().row;
    if (row != 0) impl->row = impl->row == 0 ? row : std::min(impl->row, row);
  }
  if (!layout.outer_lanes || impl->row < kLongRow) impl->row = 0;
  layout.pointers = layout.scratch_bytes;
  layout.buffer_table = layout.pointers + layout.registers.size() * sizeof(void*);
  layout.scratch_bytes =
      layout.buffer_table + (kernel.buffers + kernel.locals.size()) * sizeof(void*);
  impl_ = std::move(impl);
}

TileProgram::~TileProgram() = default;
TileProgram::TileProgram(TileProgram&&) noexcept = default;

uint64_t TileProgram::scratch_bytes() const { return impl_->layout.scratch_bytes; }

void TileProgram::Run(void* const* buffers, int64_t begin, int64_t end, void* scratch) const {
  const TileLayout& layout = impl_->layout;
  Runner runner(layout, buffers, scratch);
  if (layout.outer_lanes) {
    for (int64_t lane = begin; lane < end;) {
      int64_t count = std::min(end - lane, layout.tile);
      if (impl_->row != 0) count = std::min(count, impl_->row - lane % impl_->row);
      for (const TileStage& stage : impl_->stages) runner.RunStage(stage, lane, lane + count);
      lane += count;
    }
    return;
  }
  for (int64_t point = begin; point < end; ++point) {
    int64_t rest = point;
    for (size_t d = impl_->outer.size(); d-- > 0;) {
      runner.seq()[d] = rest % impl_->outer[d];
      rest /= impl_->outer[d];
    }
    for (const TileStage& stage : impl_->stages) runner.RunStage(stage, 0, stage.lanes);
  }
}

}  // namespace megalith::runtime
