#include "common/machines/codegen/join_kernels.h"

#include <algorithm>

#include "common/machines/codegen/loop_dims.h"

namespace megalith::codegen {
namespace {

using kernels::ScalarOp;
using runtime::LoopAccess;
using runtime::LoopBuffer;
using runtime::LoopDim;
using runtime::LoopIndexTerm;
using runtime::LoopInstr;
using runtime::LoopKernel;
using runtime::LoopStage;
using runtime::LoopStore;

// Vectors along rows shorter than this are mostly empty. Two maps that fill vectors as they are
// need longer rows: it is tier 0 that takes time to begin each.
constexpr int64_t kShortestRow = 8;
constexpr int64_t kShortestRowOfMaps = 32;

// True if the kernel computes one element per point, so that any of its dimensions may be a row.
bool IsMap(const LoopKernel& kernel) {
  return kernel.vector_outer && kernel.stages.size() == 1 && kernel.stages[0].dims.empty();
}

bool HasPoints(const LoopKernel& kernel) {
  const auto zero = [](const LoopDim& d) { return d.extent == 0; };
  return kernel.OuterPoints() > 0 &&
         std::ranges::none_of(kernel.stages, [&](const LoopStage& stage) {
           return std::ranges::any_of(stage.dims, zero);
         });
}

bool Stores(const LoopStage& stage, LoopBuffer buffer) {
  return std::ranges::any_of(stage.stores,
                             [&](const LoopStore& s) { return s.to.buffer == buffer; });
}
bool Stores(const LoopKernel& kernel, LoopBuffer buffer) {
  return std::ranges::any_of(kernel.stages,
                             [&](const LoopStage& stage) { return Stores(stage, buffer); });
}
bool HasTermOf(const LoopStage& stage, LoopBuffer buffer) {
  bool found = false;
  ForEachAccess(stage, [&](const LoopAccess& access) {
    for (const LoopIndexTerm& term : access.terms) found = found || term.buffer == buffer;
  });
  return found;
}

// Gives both the same outer dimensions, those of the one whose stages have dimensions of their own.
bool AlignPoints(LoopKernel* a, LoopKernel* b) {
  if (IsMap(*a) && !IsMap(*b)) return AlignPoints(b, a);
  const auto extents = CommonExtents(a->outer, b->outer);
  if (!extents || !SplitOuter(*extents, a) || !SplitOuter(*extents, b)) return false;
  if (IsMap(*a) || !IsMap(*b) || a->vector_outer) {
    return a->vector_outer == b->vector_outer && a->outer == b->outer;
  }
  const bool row = b->outer.size() > extents->size();
  if (row && b->outer.back() < kShortestRow) return false;
  MoveInside(extents->size(), b);
  return true;
}

// Makes the dimensions that two maps do not have in common, or else the last, rows of both.
bool AlignRows(LoopKernel* a, LoopKernel* b) {
  if (!IsMap(*a) || !IsMap(*b) || a->outer.size() != b->outer.size()) return false;
  const auto unequal = std::ranges::mismatch(a->outer, b->outer).in1 - a->outer.begin();
  const auto count = std::min(static_cast<size_t>(unequal), a->outer.size() - 1);
  if (count == 0 || std::min(a->outer.back(), b->outer.back()) < kShortestRowOfMaps) return false;
  MoveInside(count, a);
  MoveInside(count, b);
  return true;
}

void RenumberBuffers(const std::vector<LoopBuffer>& number, LoopKernel* kernel) {
  for (LoopStage& stage : kernel->stages) {
    ForEachAccess(stage, [&](LoopAccess& access) {
      access.buffer = number[access.buffer];
      for (LoopIndexTerm& term : access.terms) term.buffer = number[term.buffer];
    });
  }
}

// Numbers the arguments of both alike: those of `a`, then what only `b` has; then the locals.
void ShareArguments(PlacedKernel* a, PlacedKernel* b) {
  const std::vector<uint32_t> of_a = a->places;
  std::vector<LoopBuffer> numbers_a, numbers_b;
  for (LoopBuffer i = 0; i < a->places.size(); ++i) numbers_a.push_back(i);
  for (const uint32_t place : b->places) {
    const auto it = std::ranges::find(a->places, place);
    numbers_b.push_back(static_cast<LoopBuffer>(it - a->places.begin()));
    if (it == a->places.end()) a->places.push_back(place);
  }
  const auto arguments = static_cast<LoopBuffer>(a->places.size());
  const auto locals = static_cast<LoopBuffer>(a->kernel.locals.size());
  for (LoopBuffer l = 0; l < locals; ++l) numbers_a.push_back(arguments + l);
  for (LoopBuffer l = 0; l < b->kernel.locals.size(); ++l) {
    numbers_b.push_back(arguments + locals + l);
  }
  RenumberBuffers(numbers_a, &a->kernel);
  RenumberBuffers(numbers_b, &b->kernel);
  a->kernel.buffers = b->kernel.buffers = arguments;
  a->kernel.locals.insert(a->kernel.locals.end(), b->kernel.locals.begin(), b->kernel.locals.end());
  b->kernel.locals = a->kernel.locals;
  b->places = a->places;
}

// The rows of one buffer, collected over accesses.
class RowWalker {
 public:
  explicit RowWalker(LoopBuffer buffer) : buffer_(buffer) {}

  void Visit(const LoopKernel& kernel) {
    for (const LoopStage& stage : kernel.stages) {
      ForEachAccess(stage, [&](const LoopAccess& access) {
        for (const LoopIndexTerm& term : access.terms) ok_ = ok_ && term.buffer != buffer_;
        if (access.buffer == buffer_) Visit(kernel, stage, access);
      });
    }
  }

  bool Touched() const { return !ok_ || range_.width != 0; }

  // None if nothing was visited, or if rows of different points meet.
  std::optional<RowRange> Result(const LoopKernel& kernel) const {
    if (!ok_ || range_.width == 0) return std::nullopt;
    if (buffer_ >= kernel.buffers) return range_;
    std::vector<std::pair<int64_t, int64_t>> dims;  // by distance
    for (size_t d = 0; d < kernel.outer.size(); ++d) {
      if (kernel.outer[d] > 1) dims.emplace_back(std::abs(outer_[d]), kernel.outer[d]);
    }
    std::ranges::sort(dims);
    int64_t span = range_.end - range_.begin;
    for (const auto& [stride, extent] : dims) {
      if (stride < span) return std::nullopt;
      span += stride * (extent - 1);
    }
    return range_;
  }

 private:
  void Visit(const LoopKernel& kernel, const LoopStage& stage, const LoopAccess& access) {
    const size_t outer = kernel.outer.size();
    const std::vector<int64_t> strides(access.strides.begin(),
                                       access.strides.begin() + static_cast<std::ptrdiff_t>(outer));
    const int width = tensor::ByteWidth(access.dtype);
    int64_t begin = access.offset, end = access.offset + 1;
    const auto reach = [&](int64_t distance) { (distance < 0 ? begin : end) += distance; };
    for (size_t d = 0; d < stage.dims.size(); ++d) {
      reach(access.strides[outer + d] * (stage.dims[d].extent - 1));
    }
    for (const LoopIndexTerm& term : access.terms) reach(term.max * term.stride);
    if (range_.width == 0) {
      range_ = {begin, end, width};
      outer_ = strides;
    }
    ok_ = ok_ && width == range_.width && strides == outer_;
    range_.begin = std::min(range_.begin, begin);
    range_.end = std::max(range_.end, end);
  }

  const LoopBuffer buffer_;
  bool ok_ = true;
  RowRange range_;
  std::vector<int64_t> outer_;
};

// True if no point of one touches what another point of the other writes.
bool PointsAreApart(const LoopKernel& a, const LoopKernel& b) {
  for (LoopBuffer i = 0; i < a.buffers; ++i) {
    if (!Stores(a, i) && !Stores(b, i)) continue;
    RowWalker rows(i);
    rows.Visit(a);
    RowWalker own = rows;
    rows.Visit(b);
    RowWalker others(i);
    others.Visit(b);
    const bool both = own.Touched() && others.Touched();
    if (both && !rows.Result(a)) return false;
  }
  return true;
}

// Adds the work of one stage to another that runs at the same points.
class StageMerger {
 public:
  StageMerger(const LoopStage& from, LoopStage* into) : from_(from), into_(*into) {}

  // False, with nothing changed, if what one stores gets in the way of the other.
  bool Merge() {
    if (from_.dims != into_.dims || from_.reductions.empty() != into_.reductions.empty()) {
      return false;
    }
    for (const LoopStore& store : into_.stores) {
      if (Stores(from_, store.to.buffer) || HasTermOf(from_, store.to.buffer)) return false;
      for (const LoopAccess& load : from_.loads) {
        if (load.buffer == store.to.buffer && (!into_.reductions.empty() || !(load == store.to))) {
          return false;
        }
      }
    }
    for (const LoopStore& store : from_.stores) {
      if (HasTermOf(into_, store.to.buffer)) return false;
      for (const LoopAccess& load : into_.loads) {
        if (load.buffer == store.to.buffer && (!into_.reductions.empty() || !(load == store.to))) {
          return false;
        }
      }
    }
    Append();
    return true;
  }

 private:
  void Append() {
    std::vector<uint32_t> number;
    for (LoopInstr instr : from_.instrs) {
      const int operands = kernels::OperandCount(kernels::FindScalarOp(instr.op)->shape);
      for (int k = 0; k < operands; ++k) instr.in[k] = number[instr.in[k]];
      number.push_back(instr.op == ScalarOp::kLoad ? Load(instr) : Find(instr));
    }
    const auto shift = static_cast<uint32_t>(into_.reductions.size());
    for (runtime::LoopReduction r : from_.reductions) {
      r.value = number[r.value];
      into_.reductions.push_back(r);
    }
    for (LoopStore s : from_.stores) {
      s.value = from_.reductions.empty() ? number[s.value] : s.value + shift;
      into_.stores.push_back(std::move(s));
    }
  }

  uint32_t Load(LoopInstr instr) {
    const LoopAccess& access = from_.loads[instr.imm];
    for (const LoopStore& s : into_.stores) {
      if (from_.reductions.empty() && s.to == access) return s.value;
    }
    const auto it = std::ranges::find(into_.loads, access);
    instr.imm = static_cast<uint64_t>(it - into_.loads.begin());
    if (it == into_.loads.end()) into_.loads.push_back(access);
    return Find(instr);
  }

  // The register of an equal instruction, or of a new one.
  uint32_t Find(const LoopInstr& instr) {
    const auto it = std::ranges::find(into_.instrs, instr);
    const auto found = static_cast<uint32_t>(it - into_.instrs.begin());
    if (it == into_.instrs.end()) into_.instrs.push_back(instr);
    return found;
  }

  const LoopStage& from_;
  LoopStage& into_;
};

}  // namespace

std::optional<RowRange> RowOf(const LoopKernel& kernel, LoopBuffer buffer) {
  RowWalker rows(buffer);
  rows.Visit(kernel);
  return rows.Result(kernel);
}

std::optional<PlacedKernel> JoinKernels(const PlacedKernel& first, const PlacedKernel& second) {
  for (const auto& align : {AlignPoints, AlignRows}) {
    PlacedKernel a = first, b = second;
    if (!HasPoints(a.kernel) || !HasPoints(b.kernel)) return std::nullopt;
    if (!DropUnitDims(&a.kernel) || !DropUnitDims(&b.kernel)) return std::nullopt;
    if (!align(&a.kernel, &b.kernel)) continue;
    ShareArguments(&a, &b);
    if (!PointsAreApart(a.kernel, b.kernel)) continue;
    for (LoopStage& stage : b.kernel.stages) {
      if (StageMerger(stage, &a.kernel.stages.back()).Merge()) continue;
      a.kernel.stages.push_back(std::move(stage));
    }
    return a;
  }
  return std::nullopt;
}

}  // namespace megalith::codegen
