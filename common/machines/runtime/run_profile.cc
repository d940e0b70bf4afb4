#include "common/machines/runtime/run_profile.h"

#include <algorithm>
#include <bit>

#include "common/foundation/base/strings.h"
#include "common/foundation/tensor/tensor.h"
#include "common/machines/kernels/library.h"

namespace megalith::runtime {
namespace {

double Product(const std::vector<int64_t>& dims) {
  double n = 1;
  for (const int64_t d : dims) n *= static_cast<double>(d);
  return n;
}

// Instructions that compute, times the points they run at.
double FlopsOf(const LoopKernel& kernel) {
  double flops = 0;
  for (const LoopStage& stage : kernel.stages) {
    double points = 1;
    for (const LoopDim& dim : stage.dims) points *= static_cast<double>(dim.extent);
    auto ops = static_cast<double>(stage.reductions.size());
    for (const LoopInstr& instr : stage.instrs) {
      const bool moves = instr.op == ScalarOp::kLoad || instr.op == ScalarOp::kConstant ||
                         instr.op == ScalarOp::kIndex;
      if (!moves) ++ops;
    }
    flops += ops * points;
  }
  return flops * Product(kernel.outer);
}

// Two per term of a matrix product; the parameters begin with batch, inner, m, n, k (dot.h).
double FlopsOf(const LibraryUse& use) {
  if (use.kernel != "dot") return 0;
  const auto params = kernels::UnpackParams(use.params);
  if (!params.ok() || params->size() < 5) return 0;
  return 2 * Product({params->begin(), params->begin() + 5});
}

// Element types of a kernel's arguments as its accesses tell them.
std::vector<DType> TypesOf(const LoopKernel& kernel) {
  std::vector<DType> types(kernel.buffers, DType::kInvalid);
  const auto note = [&](const LoopAccess& access) {
    if (access.buffer < types.size()) types[access.buffer] = access.dtype;
  };
  for (const LoopStage& stage : kernel.stages) {
    for (const LoopAccess& load : stage.loads) note(load);
    for (const LoopStore& store : stage.stores) note(store.to);
  }
  return types;
}

std::string ShapesOf(const std::vector<TensorSpec>& in, const std::vector<TensorSpec>& out) {
  std::string text;
  for (const TensorSpec& s : in) StrAppend(&text, tensor::TypeText(s.dtype, s.shape), " ");
  text += "->";
  for (const TensorSpec& s : out) StrAppend(&text, " ", tensor::TypeText(s.dtype, s.shape));
  return text;
}

}  // namespace

ProfileRecorder::ProfileRecorder(const Plan& plan, RunProfile* profile)
    : plan_(plan),
      profile_(profile),
      start_(std::chrono::steady_clock::now()),
      observer_{.helped = Helped, .argument = this},
      before_(kernels::WatchWork(&observer_)) {}

ProfileRecorder::~ProfileRecorder() {
  kernels::WatchWork(before_);
  profile_->seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
}

KernelProfile ProfileRecorder::Describe(const PlanStep& step, bool machine_code) const {
  KernelProfile k;
  if (step.kind != StepKind::kWhile && step.kind != StepKind::kBranch) {
    for (const uint32_t b : step.in) k.bytes += static_cast<double>(plan_.buffers[b].bytes);
    for (const uint32_t b : step.out) k.bytes += static_cast<double>(plan_.buffers[b].bytes);
  }
  switch (step.kind) {
    case StepKind::kLoop: {
      const LoopKernel& kernel = plan_.loops[step.index];
      const std::vector<DType> types = TypesOf(kernel);
      size_t n = 0;
      const auto add = [&](uint32_t buffer) {
        const DType type = n < types.size() ? types[n] : DType::kInvalid;
        ++n;
        const int64_t width = type == DType::kInvalid ? 0 : tensor::ByteWidth(type);
        StrAppend(&k.shapes, width == 0 ? "bytes" : tensor::Name(type), "[",
                  plan_.buffers[buffer].bytes / std::max<uint64_t>(width, 1), "] ");
      };
      for (const uint32_t b : step.in) add(b);
      k.shapes += "-> ";
      for (const uint32_t b : step.out) add(b);
      StrAppend(&k.shapes, "over [", Join(kernel.outer, ","), "]");
      k.name = kernel.name;
      k.kind = "loop";
      k.tier = machine_code ? "1" : "0";
      k.flops = FlopsOf(kernel);
      break;
    }
    case StepKind::kLibrary: {
      const LibraryUse& use = plan_.library[step.index];
      k.name = use.kernel;
      k.kind = "library";
      k.tier = "library";
      k.shapes = ShapesOf(use.in, use.out);
      k.flops = FlopsOf(use);
      if (step.epilogue != UINT32_MAX) {
        k.name += StrCat(" + ", plan_.loops[step.epilogue].name);
        k.flops += FlopsOf(plan_.loops[step.epilogue]);
      }
      break;
    }
    case StepKind::kWhile: {
      const int64_t turns = plan_.whiles[step.index].trip_count;
      k.kind = k.name = "while";
      k.tier = machine_code ? "1" : "";
      k.shapes = turns < 0 ? "any number of turns" : StrCat(turns, " turns");
      // Its kernels do not show: they run within the one function.
      if (machine_code && turns > 0) {
        for (const PlanStep& s : plan_.whiles[step.index].body.steps) {
          if (s.kind == StepKind::kLoop)
            k.flops += static_cast<double>(turns) * FlopsOf(plan_.loops[s.index]);
        }
      }
      break;
    }
    case StepKind::kBranch:
      k.kind = k.name = "branch";
      k.shapes = StrCat(plan_.branches[step.index].regions.size(), " regions");
      break;
    case StepKind::kCopy:
      k.kind = k.name = "copy";
      k.bytes = 2 * static_cast<double>(plan_.buffers[step.out[0]].bytes);
      break;
  }
  return k;
}

void ProfileRecorder::Begin(const PlanStep& step, bool machine_code) {
  const uint32_t number =
      step.kind == StepKind::kCopy ? (step.out.empty() ? 0 : step.out[0]) : step.index;
  const auto [at, is_new] =
      known_.emplace(std::pair(step.kind, number), static_cast<uint32_t>(known_.size()));
  if (is_new) profile_->kernels.push_back(Describe(step, machine_code));
  KernelProfile& kernel = profile_->kernels[at->second];
  if (machine_code) kernel.tier = "1";  // it may have come during the run
  {
    const std::lock_guard<std::mutex> lock(mu_);
    helped_ = 0;
  }
  open_.push_back({.kernel = at->second, .begin = std::chrono::steady_clock::now()});
}

void ProfileRecorder::End() {
  const Time end = std::chrono::steady_clock::now();
  const Open step = open_.back();
  open_.pop_back();
  KernelProfile& kernel = profile_->kernels[step.kernel];
  ++kernel.calls;
  kernel.seconds += std::chrono::duration<double>(end - step.begin - step.within).count();
  if (!open_.empty()) open_.back().within += end - step.begin;
  const std::lock_guard<std::mutex> lock(mu_);
  kernel.threads = std::max(kernel.threads, 1 + std::popcount(helped_));
  Keep(step.kernel, 0, step.begin, end);
}

void ProfileRecorder::Helped(void* self, int worker, Time begin, Time end) {
  auto* recorder = static_cast<ProfileRecorder*>(self);
  if (recorder->open_.empty()) return;  // constant while helpers work
  const std::lock_guard<std::mutex> lock(recorder->mu_);
  recorder->helped_ |= uint64_t{1} << (worker % 64);
  recorder->Keep(recorder->open_.back().kernel, worker, begin, end);
}

void ProfileRecorder::Keep(uint32_t kernel, int worker, Time begin, Time end) {
  if (muted_ > 0 || profile_->events.size() == RunProfile::kMaxEvents) {
    ++profile_->left_out;
    return;
  }
  const auto since = [this](Time t) {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(t - start_).count();
  };
  profile_->events.push_back(
      {.kernel = kernel, .worker = worker, .begin_ns = since(begin), .end_ns = since(end)});
}

}  // namespace megalith::runtime
