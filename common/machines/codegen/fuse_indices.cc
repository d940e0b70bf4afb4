#include "common/machines/codegen/fuse_indices.h"

#include <algorithm>
#include <optional>
#include <unordered_map>

#include "common/foundation/base/strings.h"

namespace megalith::codegen {
namespace {

using runtime::DType;
using runtime::LoopAccess;
using runtime::LoopBuffer;
using runtime::LoopDim;
using runtime::LoopIndexTerm;
using runtime::LoopKernel;
using runtime::LoopStage;
using runtime::Plan;
using runtime::PlanRegion;
using runtime::PlanStep;
using runtime::ScalarOp;
using runtime::StepKind;

// Rows made together: enough for vectors and for what a tile costs, few enough for the first-level
// cache.
constexpr int64_t kFewestRows = 16, kMostRows = 512;

// How many steps name each place.
std::unordered_map<uint32_t, int> CountMentions(const Arrays& arrays, Plan* plan) {
  std::unordered_map<uint32_t, int> mentions;
  const auto note = [&](uint32_t a) {
    if (a != UINT32_MAX) ++mentions[arrays.Find(a)];
  };
  runtime::ForEachRegion(plan, [&](const PlanRegion& region) {
    for (const PlanStep& step : region.steps) {
      std::ranges::for_each(step.in, note);
      std::ranges::for_each(step.out, note);
      std::ranges::for_each(step.epilogue_buffers, note);
      note(step.scratch);
    }
  });
  for (const runtime::PlanWhile& w : plan->whiles) note(w.predicate);
  for (const runtime::PlanBranch& b : plan->branches) note(b.selector);
  return mentions;
}

// A kernel of one stage whose points are all outer ones, and the first dimension of which can be
// cut: nothing depends on positions along it but addresses.
bool IsPlainMap(const LoopKernel& kernel) {
  if (kernel.stages.size() != 1 || !kernel.locals.empty() || kernel.outer.empty()) return false;
  const LoopStage& stage = kernel.stages[0];
  if (!stage.dims.empty()) return false;
  const bool guarded = std::ranges::any_of(stage.loads, [](const LoopAccess& a) {
    return std::ranges::any_of(a.guards, [](const runtime::LoopGuard& g) { return g.dim == 0; });
  });
  return !guarded && std::ranges::none_of(stage.instrs, [](const runtime::LoopInstr& i) {
    return i.op == ScalarOp::kIndex && i.imm == 0;
  });
}

// The store of a kernel that makes one whole array in order, and reads none of it.
const LoopAccess* DenseStore(const LoopKernel& kernel) {
  if (kernel.stages[0].stores.size() != 1) return nullptr;
  const LoopAccess& to = kernel.stages[0].stores[0].to;
  int64_t stride = 1;
  for (size_t d = kernel.outer.size(); d-- > 0; stride *= kernel.outer[d]) {
    if (kernel.outer[d] != 1 && to.strides[d] != stride) return nullptr;
  }
  const bool read = std::ranges::any_of(kernel.stages[0].loads, [&](const LoopAccess& a) {
    return a.buffer == to.buffer || std::ranges::any_of(a.terms, [&](const LoopIndexTerm& t) {
             return t.buffer == to.buffer;
           });
  });
  return to.offset == 0 && to.terms.empty() && !read ? &to : nullptr;
}

// True if `kernel` reads argument `array` (of `row` elements to each position of the first
// dimension) only as indices, each point those of its own row.
bool ReadsOnlyIndices(const LoopKernel& kernel, LoopBuffer array, DType dtype, int64_t row) {
  bool reads = false;
  for (const runtime::LoopStore& s : kernel.stages[0].stores) {
    if (s.to.buffer == array || !s.to.terms.empty()) return false;
  }
  for (const LoopAccess& a : kernel.stages[0].loads) {
    if (a.buffer == array) return false;
    for (const LoopIndexTerm& t : a.terms) {
      if (t.buffer != array) continue;
      reads = true;
      if (t.dtype != dtype || t.offset < 0 || t.offset >= row || t.strides[0] != row) return false;
      for (size_t d = 1; d < t.strides.size(); ++d) {
        if (t.strides[d] != 0 && kernel.outer[d] != 1) return false;
      }
    }
  }
  return reads;
}

int64_t RowsTogether(int64_t rows) {
  for (int64_t n = std::min(rows, kMostRows); n >= kFewestRows; --n) {
    if (rows % n == 0) return n;
  }
  return 0;
}

// Strides over (rows, rest...) as strides over (blocks of rows, rows of a block, rest...).
void Cut(std::vector<int64_t>* strides, int64_t rows) {
  const int64_t row = (*strides)[0];
  strides->insert(strides->begin(), row * rows);
}

// The stage with its points inside, `rows` of the first dimension at a time.
LoopStage CutStage(const LoopKernel& kernel, int64_t rows) {
  LoopStage stage = kernel.stages[0];
  stage.dims.push_back({rows});
  for (size_t d = 1; d < kernel.outer.size(); ++d) stage.dims.push_back({kernel.outer[d]});
  const auto cut = [&](LoopAccess& a) {
    Cut(&a.strides, rows);
    for (LoopIndexTerm& t : a.terms) Cut(&t.strides, rows);
    for (runtime::LoopGuard& g : a.guards) ++g.dim;
  };
  for (LoopAccess& a : stage.loads) cut(a);
  for (runtime::LoopStore& s : stage.stores) cut(s.to);
  for (runtime::LoopInstr& i : stage.instrs) {
    if (i.op == ScalarOp::kIndex) ++i.imm;
  }
  return stage;
}

class Fuser {
 public:
  Fuser(const Arrays& arrays, Plan* plan)
      : arrays_(arrays), plan_(*plan), mentions_(CountMentions(arrays, plan)) {}

  void Run(PlanRegion* region) {
    for (size_t i = 0; i < region->steps.size();) {
      if (!FuseFrom(region, i)) ++i;  // else the step is gone
    }
  }

 private:
  uint32_t PlaceOf(uint32_t array) const { return arrays_.Find(array); }
  bool Names(const std::vector<uint32_t>& list, uint32_t place) const {
    return std::ranges::any_of(list, [&](uint32_t a) { return PlaceOf(a) == place; });
  }

  // The step after `i` that alone reads what `i` makes; 0 if it cannot be joined to it.
  size_t ReaderOf(const PlanRegion& region, size_t i) const {
    const PlanStep& maker = region.steps[i];
    if (maker.kind != StepKind::kLoop || maker.out.size() != 1) return 0;
    const uint32_t made = PlaceOf(maker.out[0]);
    const auto mentions = mentions_.find(made);
    if (!arrays_.IsTemporary(made) || mentions == mentions_.end() || mentions->second != 2) {
      return 0;
    }
    for (size_t j = i + 1; j < region.steps.size(); ++j) {
      const PlanStep& step = region.steps[j];
      if (step.kind == StepKind::kWhile || step.kind == StepKind::kBranch) return 0;
      // What the indices are made of must still be there.
      for (const uint32_t a : maker.in) {
        if (Names(step.out, PlaceOf(a)) || Names(step.epilogue_buffers, PlaceOf(a))) return 0;
      }
      if (!Names(step.in, made)) continue;
      return step.kind == StepKind::kLoop ? j : 0;
    }
    return 0;
  }

  bool FuseFrom(PlanRegion* region, size_t i) {
    const size_t j = ReaderOf(*region, i);
    if (j == 0) return false;
    const PlanStep& maker = region->steps[i];
    PlanStep& reader = region->steps[j];
    const LoopKernel &first = plan_.loops[maker.index], &second = plan_.loops[reader.index];
    if (!IsPlainMap(first) || !IsPlainMap(second) || first.outer[0] != second.outer[0]) {
      return false;
    }
    const LoopAccess* store = DenseStore(first);
    const int64_t rows = RowsTogether(second.outer[0]);
    if (store == nullptr || rows == 0) return false;
    const int64_t row = first.OuterPoints() / first.outer[0];
    const auto index = static_cast<LoopBuffer>(
        std::ranges::find_if(reader.in, [&](uint32_t a) { return Names(maker.out, PlaceOf(a)); }) -
        reader.in.begin());
    if (!ReadsOnlyIndices(second, index, store->dtype, row)) return false;
    Join(first, second, index, rows, row, maker, &reader);
    region->steps.erase(region->steps.begin() + static_cast<std::ptrdiff_t>(i));
    return true;
  }

  void Join(const LoopKernel& first, const LoopKernel& second, LoopBuffer index, int64_t rows,
            int64_t row, const PlanStep& maker, PlanStep* reader) {
    LoopKernel out;
    out.name = StrCat(second.name, " with indices");
    out.outer = {second.outer[0] / rows};
    out.vector_outer = false;
    out.stages = {CutStage(first, rows), CutStage(second, rows)};
    const DType dtype = out.stages[0].stores[0].to.dtype;
    out.locals = {static_cast<uint64_t>(rows * row * tensor::ByteWidth(dtype))};
    // Arguments of both, each place once; what is written comes last.
    std::vector<uint32_t> in;
    const auto number = [&](uint32_t array) {
      const auto at = std::ranges::find(in, PlaceOf(array));
      if (at == in.end()) in.push_back(PlaceOf(array));
      return static_cast<LoopBuffer>(std::ranges::find(in, PlaceOf(array)) - in.begin());
    };
    std::vector<LoopBuffer> of_first, of_second;
    for (const uint32_t a : maker.in) of_first.push_back(number(a));
    for (LoopBuffer b = 0; b < reader->in.size(); ++b) {
      of_second.push_back(b == index ? 0 : number(reader->in[b]));
    }
    for (LoopBuffer b = 0; b < reader->out.size(); ++b) {
      of_second.push_back(static_cast<LoopBuffer>(in.size()) + b);
    }
    out.buffers = static_cast<uint32_t>(in.size() + reader->out.size());
    const LoopBuffer local = out.buffers;
    of_first.push_back(local);
    of_second[index] = local;
    const auto renumber = [&](LoopStage* stage, const std::vector<LoopBuffer>& of) {
      const auto place = [&](LoopBuffer* buffer, std::vector<int64_t>* strides) {
        *buffer = of[*buffer];
        if (*buffer == local) strides->front() = 0;
      };
      const auto access = [&](LoopAccess& a) {
        place(&a.buffer, &a.strides);
        for (LoopIndexTerm& t : a.terms) place(&t.buffer, &t.strides);
      };
      for (LoopAccess& a : stage->loads) access(a);
      for (runtime::LoopStore& s : stage->stores) access(s.to);
    };
    renumber(&out.stages[0], of_first);
    renumber(&out.stages[1], of_second);
    reader->in = std::move(in);
    reader->index = static_cast<uint32_t>(plan_.loops.size());
    plan_.loops.push_back(std::move(out));
  }

  const Arrays& arrays_;
  Plan& plan_;
  const std::unordered_map<uint32_t, int> mentions_;
};

}  // namespace

void FuseIndices(const Arrays& arrays, Plan* plan) {
  Fuser fuser(arrays, plan);
  runtime::ForEachRegion(plan, [&](PlanRegion& region) { fuser.Run(&region); });
}

}  // namespace megalith::codegen
