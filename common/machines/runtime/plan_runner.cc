#include "common/machines/runtime/plan_runner.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>
#include <optional>

#include "common/foundation/base/large_memory.h"
#include "common/foundation/base/strings.h"
#include "common/machines/runtime/loop_tiles.h"
#include "common/machines/runtime/run_profile.h"

namespace megalith::runtime {
namespace {

// Memory of at least the size last asked for, aligned to 64 bytes.
class Block {
 public:
  Block() = default;
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;
  ~Block() { std::free(data_); }

  // nullptr if the machine has no more.
  void* Reserve(uint64_t bytes) {
    if (bytes <= bytes_) return data_;
    std::free(data_);
    bytes_ = 0;
    data_ = AllocateArray(bytes);
    if (data_ != nullptr) bytes_ = bytes;
    return data_;
  }

 private:
  void* data_ = nullptr;
  uint64_t bytes_ = 0;
};

// Scratch of loop kernels on this thread. Kernels do not nest, so one block serves all.
thread_local Block loop_scratch;

// What one run needs besides its results; kept for the next run.
struct RunState {
  Block arena;
  std::vector<Block> own;        // by donation: in place of an input that was not given
  std::vector<void*> donated;    // by input: what buffers kDonated lie in
  std::vector<void*> base;       // address of each buffer
  std::vector<void*> arguments;  // of the step that runs
};

struct Loop {
  Loop(const LoopKernel& kernel)
      : tiles(kernel), points(kernel.OuterPoints()), point_cost(kernel.PointCost()) {}
  TileProgram tiles;
  int64_t points;
  double point_cost;
  double cost() const { return point_cost * static_cast<double>(points); }
  std::atomic<LoopFn> native{nullptr};
  std::atomic<uint64_t> native_scratch{0};
  bool clear_scratch = false;  // before each use: Impl::origin

  // Of one call on this thread. nullptr if the machine has no more.
  void* Scratch(uint64_t bytes) const {
    void* scratch = loop_scratch.Reserve(bytes);
    if (clear_scratch && scratch != nullptr) std::memset(scratch, 0, bytes);
    return scratch;
  }
};

// Machine code of Plan::whiles.
struct WhileCode {
  std::atomic<WhileFn> native{nullptr};
  std::atomic<uint64_t> scratch{0};
};

// Below this many additions (some 20 microseconds) work stays on the calling thread.
constexpr double kSplitCost = 300000;
// Turns of loops, step by step, that make a run a long one: some milliseconds.
constexpr int64_t kLongTurns = 1 << 13;
// Turns between two questions whether to stop, or whether there is machine code now.
constexpr int64_t kTurnsBetween = 16;
// Least work worth handing to another thread.
constexpr double kGrainCost = 75000;
// Longer loops (some 7 milliseconds) ask between parts whether the caller still waits.
constexpr double kPollCost = 1e8;

// Short steps are not worth a question each.
constexpr uint64_t kStepsPerPoll = 64;

}  // namespace

struct PlanRunner::Impl {
  Impl(Plan p, kernels::WorkPool& work_pool, Origin from)
      : plan(std::move(p)),
        pool(work_pool),
        strange(from == Origin::kStranger),
        whiles(plan.whiles.size()) {}

  Plan plan;
  kernels::WorkPool& pool;
  const bool strange;  // its memory is cleared
  std::vector<std::unique_ptr<Loop>> loops;
  std::vector<WhileCode> whiles;
  std::vector<kernels::PreparedKernel> library;
  std::vector<bool> output_written;  // outputs that no alias stands for
  std::function<void()> on_long_loop;

  mutable std::mutex mu;
  mutable std::vector<std::unique_ptr<RunState>> idle;  // guarded by mu
  std::vector<std::shared_ptr<const LoadedCode>> code;  // guarded by mu; kept while we live

  std::unique_ptr<RunState> Acquire() const {
    std::lock_guard lock(mu);
    if (idle.empty()) return std::make_unique<RunState>();
    auto state = std::move(idle.back());
    idle.pop_back();
    return state;
  }
  void Release(std::unique_ptr<RunState> state) const {
    std::lock_guard lock(mu);
    if (idle.size() < 4) idle.push_back(std::move(state));
  }
};

namespace {

// One run of a plan.
class Walk {
 public:
  Walk(const Plan& plan, const std::vector<std::unique_ptr<Loop>>& loops,
       const std::vector<WhileCode>& whiles, const std::vector<kernels::PreparedKernel>& library,
       const std::function<void()>& on_long_loop, kernels::WorkPool& pool, bool clear,
       RunState& state, const RunOptions& options, ProfileRecorder* recorder)
      : plan_(plan),
        loops_(loops),
        whiles_(whiles),
        library_(library),
        on_long_loop_(on_long_loop),
        pool_(pool),
        clear_(clear),
        base_(state.base.data()),
        arguments_(state.arguments),
        cancellation_(options.cancellation),
        recorder_(recorder) {}

  Status Region(const PlanRegion& region) {
    for (const PlanStep& step : region.steps) {
      if (++steps_ % kStepsPerPoll == 0) RETURN_IF_ERROR(Poll());
      if (recorder_ != nullptr) {
        RETURN_IF_ERROR(Timed(step));
      } else {
        RETURN_IF_ERROR(Step(step));
      }
    }
    return OkStatus();
  }

 private:
  Status Poll() const { return cancellation_ == nullptr ? OkStatus() : cancellation_->Check(); }

  Status Timed(const PlanStep& step) {
    recorder_->Begin(step, IsMachineCode(step));
    const Status s = Step(step);
    recorder_->End();
    return s;
  }

  bool IsMachineCode(const PlanStep& step) const {
    if (step.kind == StepKind::kLoop) return loops_[step.index]->native.load() != nullptr;
    return step.kind == StepKind::kWhile && whiles_[step.index].native.load() != nullptr;
  }

  Status Step(const PlanStep& step) {
    switch (step.kind) {
      case StepKind::kLoop: {
        size_t n = 0;
        for (const uint32_t b : step.in) arguments_[n++] = base_[b];
        for (const uint32_t b : step.out) arguments_[n++] = base_[b];
        const Loop& loop = *loops_[step.index];
        RunLoop(loop, arguments_.data());
        // Only long kernels are worth a question, and those have taken long enough to ask.
        return loop.points > 1024 || loop.cost() > kPollCost ? Poll() : OkStatus();
      }
      case StepKind::kLibrary:
        return Library(step);
      case StepKind::kCopy:
        if (base_[step.in[0]] != base_[step.out[0]]) {
          std::memmove(base_[step.out[0]], base_[step.in[0]], plan_.buffers[step.out[0]].bytes);
        }
        return OkStatus();
      case StepKind::kWhile:
        return While(plan_.whiles[step.index], whiles_[step.index]);
      case StepKind::kBranch:
        return Branch(plan_.branches[step.index]);
    }
    return Internal("unknown step");
  }

  static void RunRange(const Loop& loop, void* const* arguments, int64_t begin, int64_t end) {
    if (const LoopFn native = loop.native.load(std::memory_order_acquire); native != nullptr) {
      void* scratch = loop.Scratch(loop.native_scratch.load(std::memory_order_relaxed));
      native(arguments, begin, end, scratch);
      return;
    }
    loop.tiles.Run(arguments, begin, end, loop.Scratch(loop.tiles.scratch_bytes()));
  }

  // In parts of some milliseconds, and no further once the caller has given up.
  void RunParts(const Loop& loop, void* const* arguments, int64_t begin, int64_t end) const {
    if (cancellation_ == nullptr || loop.cost() <= kPollCost)
      return RunRange(loop, arguments, begin, end);
    const auto part = std::max<int64_t>(1, static_cast<int64_t>(kPollCost / loop.point_cost));
    for (int64_t at = begin; at < end && Poll().ok(); at += part)
      RunRange(loop, arguments, at, std::min(at + part, end));
  }

  void RunLoop(const Loop& loop, void* const* arguments) const {
    if (loop.points == 0) return;
    const double cost = loop.cost();
    if (cost < kSplitCost || pool_.threads() == 1) {
      RunParts(loop, arguments, 0, loop.points);
      return;
    }
    // A few ranges per thread, so that a thread that is held up delays little.
    const double pieces = std::min(cost / kGrainCost, 4.0 * pool_.threads());
    const auto grain =
        std::max<int64_t>(1, static_cast<int64_t>(static_cast<double>(loop.points) / pieces));
    pool_.For(loop.points, grain,
              [&](int64_t begin, int64_t end) { RunParts(loop, arguments, begin, end); });
  }

  Status Library(const PlanStep& step) {
    const kernels::PreparedKernel& kernel = library_[step.index];
    const size_t ins = step.in.size(), outs = step.out.size();
    size_t n = 0;
    for (const uint32_t b : step.in) arguments_[n++] = base_[b];
    for (const uint32_t b : step.out) arguments_[n++] = base_[b];
    for (const uint32_t b : step.epilogue_buffers) arguments_[n++] = base_[b];
    struct Tail {
      const Loop* loop;
      void* const* arguments;
      int64_t row;
    } tail{};
    kernels::RowEpilogue epilogue;
    if (step.epilogue != UINT32_MAX) {
      const tensor::Shape& shape = plan_.library[step.index].out[0].shape;
      tail = {loops_[step.epilogue].get(), arguments_.data() + ins + outs,
              shape.empty() ? 1 : shape.back()};
      epilogue.arg = &tail;
      epilogue.run = [](void* arg, int64_t begin, int64_t end) {
        const Tail& t = *static_cast<const Tail*>(arg);
        RunRange(*t.loop, t.arguments, begin * t.row, end * t.row);
      };
    }
    const kernels::KernelCall call{
        .in = arguments_.data(),
        .out = arguments_.data() + ins,
        .scratch = step.scratch == UINT32_MAX ? nullptr : base_[step.scratch],
        .pool = pool_,
        .cancellation = cancellation_,
        .epilogue = step.epilogue == UINT32_MAX ? nullptr : &epilogue};
    return kernel.run(kernel.state.get(), call);
  }

  Status NativeWhile(const WhileCode& code, int64_t turns) const {
    const auto stop = [](void* walk) { return !static_cast<const Walk*>(walk)->Poll().ok(); };
    const uint64_t bytes = code.scratch.load(std::memory_order_relaxed);
    void* scratch = loop_scratch.Reserve(bytes);
    if (clear_ && scratch != nullptr) std::memset(scratch, 0, bytes);
    if (code.native.load()(base_, turns, stop, const_cast<Walk*>(this), scratch)) return OkStatus();
    const Status s = Poll();
    return s.ok() ? Cancelled("the loop was stopped") : s;
  }

  // Asked every few turns. True: machine code is to run what is left.
  Result<bool> BetweenTurns(const WhileCode& code) {
    if (code.native.load(std::memory_order_acquire) != nullptr) return true;
    RETURN_IF_ERROR(Poll());
    const int64_t before = turns_;
    turns_ += kTurnsBetween;
    if (before < kLongTurns && turns_ >= kLongTurns && on_long_loop_) on_long_loop_();
    return false;
  }

  Status While(const PlanWhile& w, const WhileCode& code) {
    const bool counted = w.trip_count >= 0;
    for (int64_t i = 0; !counted || i < w.trip_count; ++i) {
      if (i % kTurnsBetween == 0) {
        ASSIGN_OR_RETURN(const bool native, BetweenTurns(code));
        if (native) return NativeWhile(code, counted ? w.trip_count - i : 0);
      }
      if (!counted) {
        RETURN_IF_ERROR(Turn(w.condition, i));
        if (*static_cast<const uint8_t*>(base_[w.predicate]) == 0) return OkStatus();
      }
      RETURN_IF_ERROR(Turn(w.body, i));
    }
    return OkStatus();
  }

  Status Turn(const PlanRegion& region, int64_t turn) {
    const bool mute = recorder_ != nullptr && turn >= RunProfile::kTracedTurns;
    if (mute) recorder_->Mute();
    const Status s = Region(region);
    if (mute) recorder_->Unmute();
    return s;
  }

  Status Branch(const PlanBranch& b) {
    size_t which = 0;
    if (b.is_bool) {
      which = *static_cast<const uint8_t*>(base_[b.selector]) != 0 ? 0 : 1;
    } else {
      int32_t index = 0;
      std::memcpy(&index, base_[b.selector], sizeof index);
      const auto last = static_cast<int32_t>(b.regions.size()) - 1;
      which = static_cast<size_t>(index < 0 || index > last ? last : index);
    }
    return Region(b.regions[which]);
  }

  const Plan& plan_;
  const std::vector<std::unique_ptr<Loop>>& loops_;
  const std::vector<WhileCode>& whiles_;
  const std::vector<kernels::PreparedKernel>& library_;
  const std::function<void()>& on_long_loop_;
  kernels::WorkPool& pool_;
  const bool clear_;  // scratch of machine code
  void** base_;
  std::vector<void*>& arguments_;
  const Cancellation* cancellation_;
  ProfileRecorder* const recorder_;  // nullptr: not asked for
  int64_t turns_ = 0;                // of all loops, step by step
  uint64_t steps_ = 0;
};

size_t MostArguments(const Plan& plan) {
  size_t most = 0;
  const auto region = [&](const PlanRegion& r) {
    for (const PlanStep& s : r.steps) {
      most = std::max(most, s.in.size() + s.out.size() + s.epilogue_buffers.size());
    }
  };
  region(plan.entry);
  for (const PlanWhile& w : plan.whiles) {
    region(w.condition);
    region(w.body);
  }
  for (const PlanBranch& b : plan.branches) {
    for (const PlanRegion& r : b.regions) region(r);
  }
  return most;
}

void AddOpTimes(const RunProfile& details, std::vector<OpTime>* profile) {
  for (const KernelProfile& k : details.kernels) {
    profile->push_back({k.name, k.calls, k.seconds});
  }
  std::ranges::sort(*profile, [](const OpTime& a, const OpTime& b) {
    return a.seconds != b.seconds ? a.seconds > b.seconds : a.name < b.name;
  });
}

// A library kernel's operands lie apart from its results, but for those it says may be where the
// first result is: it checks indices once and may read them again.
Status CheckOperands(Plan* plan, const std::vector<kernels::PreparedKernel>& library) {
  Status status;
  ForEachRegion(plan, [&](const PlanRegion& region) {
    for (const PlanStep& step : region.steps) {
      if (step.kind != StepKind::kLibrary) continue;
      const uint32_t in_place = library[step.index].in_place;
      for (size_t o = 0; o < step.out.size(); ++o) {
        for (size_t i = 0; i < step.in.size(); ++i) {
          const bool may = o == 0 && i < 32 && (in_place >> i & 1) != 0;
          if (may || !BuffersOverlap(*plan, step.in[i], step.out[o])) continue;
          status = DataLoss(StrCat("operand ", i, " of kernel '", plan->library[step.index].kernel,
                                   "' lies in a result, which that kernel does not allow"));
        }
      }
    }
  });
  return status;
}

std::vector<kernels::ArraySpec> SpecsOf(const std::vector<TensorSpec>& specs) {
  std::vector<kernels::ArraySpec> out;
  for (const TensorSpec& s : specs) out.push_back({s.dtype, s.shape});
  return out;
}

}  // namespace

PlanRunner::PlanRunner(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
PlanRunner::~PlanRunner() = default;

const Plan& PlanRunner::plan() const { return impl_->plan; }

Result<std::unique_ptr<PlanRunner>> PlanRunner::Create(Plan plan, const FindKernel& find,
                                                       kernels::WorkPool& pool, Origin origin) {
  auto impl = std::make_unique<Impl>(std::move(plan), pool, origin);
  for (const LoopKernel& kernel : impl->plan.loops) {
    impl->loops.push_back(std::make_unique<Loop>(kernel));
    impl->loops.back()->clear_scratch = impl->strange;
  }
  for (const LibraryUse& use : impl->plan.library) {
    const kernels::LibraryKernel* kernel = find(use.kernel);
    if (kernel == nullptr) {
      return FailedPrecondition(StrCat("this build has no kernel '", Printable(use.kernel), "'"));
    }
    auto prepared = kernel->prepare(use.params, SpecsOf(use.in), SpecsOf(use.out));
    if (prepared.status().code() == Code::kUnimplemented) {
      // Accepted where the plan was made: that machine has a library that this one lacks.
      return FailedPrecondition(prepared.status().message()).Annotate(use.kernel);
    }
    if (!prepared.ok()) return DataLoss(prepared.status().message()).Annotate(use.kernel);
    if (prepared->scratch_bytes > use.scratch_bytes) {
      return FailedPrecondition(StrCat("kernel '", use.kernel, "' needs ", prepared->scratch_bytes,
                                       " bytes of scratch, the plan has ", use.scratch_bytes));
    }
    impl->library.push_back(*std::move(prepared));
  }
  RETURN_IF_ERROR(CheckOperands(&impl->plan, impl->library));
  impl->output_written.assign(impl->plan.signature.outputs.size(), true);
  for (const OutputAlias& a : impl->plan.aliases) impl->output_written[a.output] = false;
  return std::unique_ptr<PlanRunner>(new PlanRunner(std::move(impl)));
}

namespace {

// Gives outputs that lie in inputs their memory, and `state` that of other donations.
Status PlaceDonations(const Plan& plan, std::span<const Tensor> inputs,
                      const std::vector<bool>& may_take, bool clear, RunState* state,
                      std::vector<Tensor>* outputs) {
  if (state->own.empty()) {
    state->own = std::vector<Block>(plan.donations.size());
    state->donated.resize(inputs.size());
  }
  for (size_t i = 0; i < plan.donations.size(); ++i) {
    const Donation& d = plan.donations[i];
    const Tensor& input = inputs[d.input];
    const bool take = !may_take.empty() && may_take[i];
    void* own = nullptr;  // memory that is not the input's
    if (d.output != UINT32_MAX) {
      const TensorSpec& spec = plan.signature.outputs[d.output];
      Tensor& output = (*outputs)[d.output];
      if (take) {
        output = input.Reinterpreted(spec.dtype).Reshaped(spec.shape);
        continue;
      }
      ASSIGN_OR_RETURN(output, Tensor::CreateUninitialized(spec.dtype, spec.shape));
      own = output.mutable_data();
    } else if (take) {
      state->donated[d.input] = const_cast<void*>(input.data());
    } else {
      own = state->donated[d.input] = state->own[i].Reserve(input.byte_size());
      if (own == nullptr && input.byte_size() > 0) {
        return ResourceExhausted(StrCat("no memory for a copy of input ", d.input, " (",
                                        input.byte_size(), " bytes), which was not given"));
      }
    }
    if (own == nullptr || input.byte_size() == 0) continue;
    if (d.filled) {
      std::memcpy(own, input.data(), input.byte_size());
    } else if (clear) {
      std::memset(own, 0, input.byte_size());
    }
  }
  return OkStatus();
}

}  // namespace

Result<std::vector<Tensor>> PlanRunner::Run(std::span<const Tensor> inputs,
                                            const RunOptions& options) const {
  return Run(inputs, {}, options);
}

Result<std::vector<Tensor>> PlanRunner::RunTaking(std::vector<Tensor> inputs,
                                                  const RunOptions& options) const {
  std::vector<bool> may_take;
  for (const Donation& d : impl_->plan.donations) {
    may_take.push_back(inputs[d.input].unique());
    // Whoever held it has read it before letting go: counting up and down orders that before what
    // the run writes, which looking at the count does not.
    if (may_take.back()) const Tensor counted = inputs[d.input];
  }
  return Run(inputs, may_take, options);
}

Result<std::vector<Tensor>> PlanRunner::Run(std::span<const Tensor> inputs,
                                            const std::vector<bool>& may_take,
                                            const RunOptions& options) const {
  const Impl& impl = *impl_;
  const Plan& plan = impl.plan;
  if (options.cancellation != nullptr) RETURN_IF_ERROR(options.cancellation->Check());
  std::vector<Tensor> outputs(plan.signature.outputs.size());
  std::unique_ptr<RunState> state = impl.Acquire();
  if (!plan.donations.empty()) {
    RETURN_IF_ERROR(PlaceDonations(plan, inputs, may_take, impl.strange, state.get(), &outputs));
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (!impl.output_written[i] || outputs[i].valid()) continue;
    const TensorSpec& spec = plan.signature.outputs[i];
    ASSIGN_OR_RETURN(outputs[i], impl.strange
                                     ? Tensor::Create(spec.dtype, spec.shape)
                                     : Tensor::CreateUninitialized(spec.dtype, spec.shape));
  }
  auto* arena = static_cast<std::byte*>(state->arena.Reserve(plan.arena_bytes));
  if (arena == nullptr && plan.arena_bytes > 0) {
    return ResourceExhausted(
        StrCat("no memory for the ", plan.arena_bytes, " bytes of temporaries the program needs"));
  }
  if (impl.strange && arena != nullptr) std::memset(arena, 0, plan.arena_bytes);
  if (state->base.empty()) {
    state->base.resize(plan.buffers.size());
    state->arguments.resize(MostArguments(plan));
  }
  for (size_t i = 0; i < plan.buffers.size(); ++i) {
    const PlanBuffer& b = plan.buffers[i];
    void* at = nullptr;
    switch (b.kind) {
      case BufferKind::kInput:  // CheckPlan made sure that nothing writes there
        at = const_cast<void*>(inputs[b.index].data());
        break;
      case BufferKind::kOutput:
        at = static_cast<std::byte*>(outputs[b.index].mutable_data()) + b.offset;
        break;
      case BufferKind::kConstant:
        at = const_cast<char*>(plan.constants[b.index].bytes.data());
        break;
      case BufferKind::kArena:
        at = arena + b.offset;
        break;
      case BufferKind::kDonated:
        at = static_cast<std::byte*>(state->donated[b.index]) + b.offset;
        break;
    }
    state->base[i] = at;
  }
  RunProfile own;
  RunProfile* const details = options.details != nullptr   ? options.details
                              : options.profile != nullptr ? &own
                                                           : nullptr;
  Status s;
  {
    std::optional<ProfileRecorder> recorder;
    if (details != nullptr) recorder.emplace(plan, details);
    Walk walk(plan, impl.loops, impl.whiles, impl.library, impl.on_long_loop, impl.pool,
              impl.strange, *state, options, recorder ? &*recorder : nullptr);
    s = walk.Region(plan.entry);
  }
  impl.Release(std::move(state));
  if (options.profile != nullptr) AddOpTimes(*details, options.profile);
  RETURN_IF_ERROR(s);
  for (const OutputAlias& a : plan.aliases) {
    const PlanConstant* c = a.kind == BufferKind::kConstant ? &plan.constants[a.index] : nullptr;
    if (c == nullptr) {
      outputs[a.output] = inputs[a.index];
    } else {
      ASSIGN_OR_RETURN(outputs[a.output],
                       Tensor::FromBytes(c->spec.dtype, c->spec.shape, c->bytes));
    }
  }
  return outputs;
}

void PlanRunner::OnLongLoop(std::function<void()> ask) { impl_->on_long_loop = std::move(ask); }

void PlanRunner::UseCode(std::shared_ptr<const LoadedCode> code) {
  {
    std::lock_guard lock(impl_->mu);
    impl_->code.push_back(code);
  }
  for (uint32_t i = 0; i < impl_->loops.size(); ++i) {
    const LoadedCode::Function f = code->Find(i);
    if (f.run == nullptr) continue;
    impl_->loops[i]->native_scratch.store(f.scratch_bytes, std::memory_order_relaxed);
    impl_->loops[i]->native.store(f.run, std::memory_order_release);
  }
  for (uint32_t i = 0; i < impl_->whiles.size(); ++i) {
    const LoadedCode::Loop f = code->FindWhile(i);
    if (f.run == nullptr) continue;
    impl_->whiles[i].scratch.store(f.scratch_bytes, std::memory_order_relaxed);
    impl_->whiles[i].native.store(f.run);
  }
}

size_t PlanRunner::NativeKernels() const {
  size_t n = 0;
  for (const auto& loop : impl_->loops) n += loop->native.load() != nullptr ? 1 : 0;
  return n;
}

}  // namespace megalith::runtime
