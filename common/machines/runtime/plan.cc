#include "common/machines/runtime/plan.h"

#include <algorithm>

#include "common/foundation/base/strings.h"
#include "common/machines/runtime/archive.h"

namespace megalith::runtime {

template <typename A>
void Visit(A& a, TensorSpec& s) {
  a(s.dtype, s.shape);
}
template <typename A>
void Visit(A& a, Signature& s) {
  a(s.inputs, s.outputs);
}
template <typename A>
void Visit(A& a, PlanBuffer& b) {
  a(b.kind, b.index, b.offset, b.bytes);
}
template <typename A>
void Visit(A& a, PlanStep& s) {
  a(s.kind, s.index, s.in, s.out, s.scratch, s.epilogue, s.epilogue_buffers);
}
template <typename A>
void Visit(A& a, PlanRegion& r) {
  a(r.steps);
}
template <typename A>
void Visit(A& a, PlanWhile& w) {
  a(w.condition, w.body, w.predicate, w.trip_count);
}
template <typename A>
void Visit(A& a, PlanBranch& b) {
  a(b.selector, b.is_bool, b.regions);
}
template <typename A>
void Visit(A& a, LibraryUse& u) {
  a(u.kernel, u.params, u.in, u.out, u.scratch_bytes);
}
template <typename A>
void Visit(A& a, PlanConstant& c) {
  a(c.spec, c.bytes);
}
template <typename A>
void Visit(A& a, OutputAlias& o) {
  a(o.output, o.kind, o.index);
}
template <typename A>
void Visit(A& a, Donation& d) {
  a(d.input, d.output, d.filled);
}
inline void Visit(Writer& a, LoopKernel& k) { EncodeLoopKernel(k, &a.bytes()); }
inline void Visit(Reader& a, LoopKernel& k) {
  if (!a.status().ok()) return;
  auto kernel = DecodeLoopKernel(&a.bytes());
  if (kernel.ok()) {
    k = *std::move(kernel);
  } else {
    a.Fail(kernel.status());
  }
}
template <typename A>
void Visit(A& a, Plan& p) {
  a(p.signature, p.buffers, p.constants, p.loops, p.library, p.whiles, p.branches, p.entry,
    p.aliases, p.donations, p.arena_bytes);
}

namespace {

constexpr uint64_t kMaxBytes = uint64_t{1} << 46;

Result<uint64_t> BytesOf(const TensorSpec& spec) {
  if (spec.dtype == DType::kInvalid || static_cast<int>(spec.dtype) >= tensor::kNumDTypes) {
    return DataLoss(StrCat("unknown element type ", static_cast<int>(spec.dtype)));
  }
  for (const int64_t d : spec.shape) {
    if (d < 0) return DataLoss("negative dimension");
  }
  const auto n = tensor::NumElements(spec.shape);
  const auto width = static_cast<uint64_t>(tensor::ByteWidth(spec.dtype));
  if (!n || static_cast<uint64_t>(*n) > kMaxBytes / std::max<uint64_t>(width, 1)) {
    return DataLoss("an array has too many elements");
  }
  return static_cast<uint64_t>(*n) * width;
}

// Memory that is donated is known by the input.
PlanBuffer InWhatIsGiven(const Plan& plan, PlanBuffer b) {
  if (b.kind == BufferKind::kDonated) b.kind = BufferKind::kInput;
  if (b.kind != BufferKind::kOutput) return b;
  const auto it = std::ranges::find(plan.donations, b.index, &Donation::output);
  if (it == plan.donations.end()) return b;
  b.kind = BufferKind::kInput;
  b.index = it->input;
  return b;
}

class Checker {
 public:
  explicit Checker(const Plan& plan) : plan_(plan) {}

  Status Run() {
    RETURN_IF_ERROR(CheckDonations());
    RETURN_IF_ERROR(CheckPlaces());
    RETURN_IF_ERROR(CheckOutputs());
    visits_.assign(plan_.whiles.size() + plan_.branches.size(), 0);
    loop_runs_.assign(plan_.loops.size(), false);
    library_runs_.assign(plan_.library.size(), false);
    RETURN_IF_ERROR(CheckRegion(plan_.entry, 0));
    // What no step runs has not been checked, and running a plan prepares all of it.
    for (const auto* runs : {&loop_runs_, &library_runs_}) {
      const auto idle = std::find(runs->begin(), runs->end(), false);
      if (idle != runs->end()) {
        return DataLoss(StrCat(runs == &loop_runs_ ? "kernel " : "library call ",
                               idle - runs->begin(), " belongs to no step"));
      }
    }
    return OkStatus();
  }

 private:
  Status CheckPlaces() {
    for (const PlanConstant& c : plan_.constants) {
      ASSIGN_OR_RETURN(const uint64_t bytes, BytesOf(c.spec));
      if (bytes != c.bytes.size()) return DataLoss("a constant has a wrong number of bytes");
    }
    for (const TensorSpec& s : plan_.signature.inputs) RETURN_IF_ERROR(BytesOf(s).status());
    for (const TensorSpec& s : plan_.signature.outputs) RETURN_IF_ERROR(BytesOf(s).status());
    for (size_t i = 0; i < plan_.buffers.size(); ++i) {
      const PlanBuffer& b = plan_.buffers[i];
      ASSIGN_OR_RETURN(const uint64_t room, RoomOf(b));
      if (b.offset > room || b.bytes > room - b.offset) {
        return DataLoss(StrCat("buffer ", i, " is larger than what it lies in"));
      }
      if (b.offset % (b.bytes <= 8 ? 8 : 64) != 0) {
        return DataLoss(StrCat("buffer ", i, " lies between places where it may lie"));
      }
    }
    return OkStatus();
  }

  // Such an output has no memory of its own.
  bool IsAliased(uint32_t output) const {
    return std::ranges::any_of(plan_.aliases,
                               [&](const OutputAlias& a) { return a.output == output; });
  }

  // Bytes of what the buffer is part of.
  Result<uint64_t> RoomOf(const PlanBuffer& b) const {
    switch (b.kind) {
      case BufferKind::kInput:
        if (b.index >= plan_.signature.inputs.size()) break;
        return BytesOf(plan_.signature.inputs[b.index]);
      case BufferKind::kOutput:
        if (b.index >= plan_.signature.outputs.size()) break;
        if (IsAliased(b.index)) {
          return DataLoss("a buffer lies in an output that stands for another array");
        }
        return BytesOf(plan_.signature.outputs[b.index]);
      case BufferKind::kConstant:
        if (b.index >= plan_.constants.size()) break;
        return plan_.constants[b.index].bytes.size();
      case BufferKind::kArena:
        if (plan_.arena_bytes > kMaxBytes) break;
        return plan_.arena_bytes;
      case BufferKind::kDonated: {
        const Donation* d = DonationOf(b.index);
        if (d == nullptr || d->output != UINT32_MAX) break;
        return BytesOf(plan_.signature.inputs[b.index]);
      }
    }
    return DataLoss("a buffer lies in nothing");
  }

  const Donation* DonationOf(uint32_t input) const {
    const auto it = std::ranges::find(plan_.donations, input, &Donation::input);
    return it == plan_.donations.end() ? nullptr : &*it;
  }

  Status CheckDonations() {
    const Signature& s = plan_.signature;
    std::vector<bool> output_lies(s.outputs.size(), false), input_given(s.inputs.size(), false);
    for (const Donation& d : plan_.donations) {
      const bool alone = d.output == UINT32_MAX;
      if (d.input >= s.inputs.size() || (!alone && d.output >= s.outputs.size())) {
        return DataLoss("something is donated that is not there");
      }
      if (input_given[d.input]) return DataLoss(StrCat("input ", d.input, " is donated twice"));
      input_given[d.input] = true;
      if (alone) continue;
      if (output_lies[d.output])
        return DataLoss(StrCat("output ", d.output, " lies in two inputs"));
      output_lies[d.output] = true;
      RETURN_IF_ERROR(BytesOf(s.inputs[d.input]).status());
      RETURN_IF_ERROR(BytesOf(s.outputs[d.output]).status());
      if (!FitsInPlaceOf(s.inputs[d.input], s.outputs[d.output])) {
        return DataLoss("an output lies in an input of another size");
      }
      if (IsAliased(d.output))
        return DataLoss("an output lies in an input and stands for an array");
    }
    for (const OutputAlias& a : plan_.aliases) {
      if (a.kind == BufferKind::kInput && DonationOf(a.index) != nullptr) {
        return DataLoss("an output stands for an input that is donated");
      }
    }
    return OkStatus();
  }

  Status CheckOutputs() const {
    std::vector<bool> aliased(plan_.signature.outputs.size(), false);
    for (const OutputAlias& a : plan_.aliases) {
      const bool input = a.kind == BufferKind::kInput && a.index < plan_.signature.inputs.size();
      const bool constant = a.kind == BufferKind::kConstant && a.index < plan_.constants.size();
      if (a.output >= plan_.signature.outputs.size() || (!input && !constant)) {
        return DataLoss("an output stands for something that is not there");
      }
      const TensorSpec& from =
          input ? plan_.signature.inputs[a.index] : plan_.constants[a.index].spec;
      if (!(from == plan_.signature.outputs[a.output])) {
        return DataLoss("an output stands for an array of another type");
      }
      if (aliased[a.output]) return DataLoss(StrCat("output ", a.output, " stands for two arrays"));
      aliased[a.output] = true;
    }
    return OkStatus();
  }

  Status CheckBuffers(const std::vector<uint32_t>& list) const {
    for (const uint32_t b : list) {
      if (b >= plan_.buffers.size()) return DataLoss(StrCat("there is no buffer ", b));
    }
    return OkStatus();
  }

  // Of a step's results: only outputs, temporaries and what is donated are written.
  Status CheckWritable(uint32_t buffer) const {
    const BufferKind kind = plan_.buffers[buffer].kind;
    if (kind != BufferKind::kInput && kind != BufferKind::kConstant) return OkStatus();
    return DataLoss(StrCat("a step writes buffer ", buffer, ", which is an input or a constant"));
  }

  bool Overlap(uint32_t x, uint32_t y) const { return BuffersOverlap(plan_, x, y); }
  bool SamePlace(uint32_t x, uint32_t y) const {
    return plan_.buffers[x].offset == plan_.buffers[y].offset;
  }

  // Library kernels rely on this: nothing changes while they read it but an operand that lies where
  // the result does.
  Status CheckOverlaps(const PlanStep& step, bool scratch) const {
    const auto refuse = [] { return DataLoss("arrays of a library call overlap"); };
    for (size_t i = 0; i < step.out.size(); ++i) {
      const uint32_t out = step.out[i];
      for (const uint32_t in : step.in) {
        if (Overlap(in, out) && !SamePlace(in, out)) return refuse();
      }
      for (size_t j = 0; j < i; ++j) {
        if (Overlap(step.out[j], out)) return refuse();
      }
    }
    if (!scratch) return OkStatus();
    for (const auto* list : {&step.in, &step.out, &step.epilogue_buffers}) {
      for (const uint32_t b : *list) {
        if (Overlap(b, step.scratch)) return refuse();
      }
    }
    return OkStatus();
  }

  Status CheckLoop(uint32_t index, const std::vector<uint32_t>& arguments) {
    if (index >= plan_.loops.size()) return DataLoss(StrCat("there is no kernel ", index));
    loop_runs_[index] = true;
    const LoopKernel& kernel = plan_.loops[index];
    if (kernel.buffers != arguments.size()) {
      return DataLoss(
          StrCat("kernel ", index, " wants ", kernel.buffers, " arrays, got ", arguments.size()));
    }
    std::vector<LoopBufferSize> sizes;
    for (const uint32_t b : arguments) sizes.push_back({plan_.buffers[b].bytes});
    const Status s = CheckLoopKernel(kernel, sizes);
    if (!s.ok()) return DataLoss(StrCat("kernel ", index, ": ", s.message()));
    for (const LoopStage& stage : kernel.stages) {
      for (const LoopStore& store : stage.stores) {
        if (store.to.buffer < arguments.size()) {
          RETURN_IF_ERROR(CheckWritable(arguments[store.to.buffer]));
        }
      }
    }
    return OkStatus();
  }

  Status CheckLibrary(const PlanStep& step) {
    if (step.index >= plan_.library.size()) {
      return DataLoss(StrCat("there is no library call ", step.index));
    }
    library_runs_[step.index] = true;
    const LibraryUse& use = plan_.library[step.index];
    if (use.in.size() != step.in.size() || use.out.size() != step.out.size()) {
      return DataLoss(StrCat("kernel ", Printable(use.kernel), " has a wrong number of arrays"));
    }
    for (size_t i = 0; i < use.in.size(); ++i) {
      ASSIGN_OR_RETURN(const uint64_t bytes, BytesOf(use.in[i]));
      if (bytes > plan_.buffers[step.in[i]].bytes) return DataLoss("an operand is too small");
    }
    for (size_t i = 0; i < use.out.size(); ++i) {
      ASSIGN_OR_RETURN(const uint64_t bytes, BytesOf(use.out[i]));
      if (bytes > plan_.buffers[step.out[i]].bytes) return DataLoss("a result is too small");
    }
    const bool scratch = use.scratch_bytes > 0 || step.scratch != UINT32_MAX;
    if (scratch) {
      if (step.scratch >= plan_.buffers.size() || !CheckWritable(step.scratch).ok() ||
          plan_.buffers[step.scratch].bytes < use.scratch_bytes) {
        return DataLoss(StrCat("kernel ", Printable(use.kernel), " lacks scratch memory"));
      }
    }
    if (step.epilogue != UINT32_MAX) RETURN_IF_ERROR(CheckEpilogue(step, use));
    return CheckOverlaps(step, scratch);
  }

  Status CheckEpilogue(const PlanStep& step, const LibraryUse& use) {
    RETURN_IF_ERROR(CheckBuffers(step.epilogue_buffers));
    RETURN_IF_ERROR(CheckLoop(step.epilogue, step.epilogue_buffers));
    if (use.out.empty()) return DataLoss("an epilogue follows no result");
    const LoopKernel& kernel = plan_.loops[step.epilogue];
    const auto elements = tensor::NumElements(use.out[0].shape);
    if (!kernel.vector_outer || kernel.OuterPoints() != elements.value_or(-1)) {
      return DataLoss("an epilogue does not cover the result it follows");
    }
    return OkStatus();
  }

  Status CheckStep(const PlanStep& step, int depth) {
    RETURN_IF_ERROR(CheckBuffers(step.in));
    RETURN_IF_ERROR(CheckBuffers(step.out));
    if (step.kind != StepKind::kLoop) {
      for (const uint32_t b : step.out) RETURN_IF_ERROR(CheckWritable(b));
    }
    const bool more =
        step.scratch != UINT32_MAX || step.epilogue != UINT32_MAX || !step.epilogue_buffers.empty();
    if (more && step.kind != StepKind::kLibrary) {
      return DataLoss("a step that is no library call has scratch memory or an epilogue");
    }
    switch (step.kind) {
      case StepKind::kLoop: {
        std::vector<uint32_t> arguments = step.in;
        arguments.insert(arguments.end(), step.out.begin(), step.out.end());
        return CheckLoop(step.index, arguments);
      }
      case StepKind::kLibrary:
        return CheckLibrary(step);
      case StepKind::kCopy:
        if (step.in.size() != 1 || step.out.size() != 1 ||
            plan_.buffers[step.in[0]].bytes != plan_.buffers[step.out[0]].bytes) {
          return DataLoss("a copy joins buffers of different sizes");
        }
        return OkStatus();
      case StepKind::kWhile:
        return CheckWhile(step.index, depth);
      case StepKind::kBranch:
        return CheckBranch(step.index, depth);
    }
    return DataLoss(StrCat("unknown kind of step ", static_cast<int>(step.kind)));
  }

  // Each loop and branch belongs to one step, so that regions cannot contain themselves.
  Status Enter(size_t slot, int depth) {
    if (++visits_[slot] > 1) return DataLoss("a region is used twice");
    if (depth >= kMaxRegionDepth) return DataLoss("regions nest too deep");
    return OkStatus();
  }

  Status CheckWhile(uint32_t index, int depth) {
    if (index >= plan_.whiles.size()) return DataLoss(StrCat("there is no loop ", index));
    RETURN_IF_ERROR(Enter(index, depth));
    const PlanWhile& w = plan_.whiles[index];
    if (w.trip_count < -1) return DataLoss("a loop has a negative trip count");
    if (w.trip_count < 0 &&
        (w.predicate >= plan_.buffers.size() || plan_.buffers[w.predicate].bytes < 1)) {
      return DataLoss("a loop has no predicate");
    }
    RETURN_IF_ERROR(CheckRegion(w.condition, depth + 1));
    return CheckRegion(w.body, depth + 1);
  }

  Status CheckBranch(uint32_t index, int depth) {
    if (index >= plan_.branches.size()) return DataLoss(StrCat("there is no branch ", index));
    RETURN_IF_ERROR(Enter(plan_.whiles.size() + index, depth));
    const PlanBranch& b = plan_.branches[index];
    const uint64_t wanted = b.is_bool ? 1 : 4;
    if (b.selector >= plan_.buffers.size() || plan_.buffers[b.selector].bytes < wanted ||
        b.regions.empty() || (b.is_bool && b.regions.size() != 2)) {
      return DataLoss("a branch lacks its selector or regions");
    }
    for (const PlanRegion& r : b.regions) RETURN_IF_ERROR(CheckRegion(r, depth + 1));
    return OkStatus();
  }

  Status CheckRegion(const PlanRegion& region, int depth) {
    for (size_t i = 0; i < region.steps.size(); ++i) {
      const Status s = CheckStep(region.steps[i], depth);
      if (!s.ok()) return s.Annotate(StrCat("step ", i));
    }
    return OkStatus();
  }

  const Plan& plan_;
  std::vector<int> visits_;
  std::vector<bool> loop_runs_, library_runs_;  // by index: some step does
};

class Describer {
 public:
  explicit Describer(const Plan& plan) : plan_(plan) {}

  std::string Run() {
    StrAppend(&text_, "temporary bytes: ", plan_.arena_bytes, "\n");
    for (const Donation& d : plan_.donations) {
      StrAppend(&text_,
                d.output == UINT32_MAX ? "temporaries lie" : StrCat("output ", d.output, " lies"),
                " in input ", d.input, d.filled ? "" : ", when it has been read", "\n");
    }
    Region(plan_.entry, 0);
    return std::move(text_);
  }

 private:
  static std::string Part(std::string_view what, const PlanBuffer& b, const TensorSpec& whole) {
    const Result<uint64_t> bytes = BytesOf(whole);
    std::string text = StrCat(what, b.index);
    if (b.offset == 0 && bytes.ok() && b.bytes == *bytes) return text;
    return StrCat(text, "[", b.offset, "+", b.bytes, "]");
  }
  std::string Place(uint32_t buffer) const {
    const PlanBuffer& b = plan_.buffers[buffer];
    switch (b.kind) {
      case BufferKind::kInput:
        return StrCat("input ", b.index);
      case BufferKind::kOutput:
        return Part("output ", b, plan_.signature.outputs[b.index]);
      case BufferKind::kDonated:
        return Part("donated ", b, plan_.signature.inputs[b.index]);
      case BufferKind::kConstant:
        return StrCat("constant ", b.index);
      case BufferKind::kArena:
        return StrCat("[", b.offset, "+", b.bytes, "]");
    }
    return "?";
  }
  std::string Places(const std::vector<uint32_t>& buffers) const {
    std::string text;
    for (const uint32_t b : buffers) StrAppend(&text, text.empty() ? "" : ", ", Place(b));
    return text;
  }
  void Region(const PlanRegion& region, int depth) {
    const std::string indent(static_cast<size_t>(depth) * 2, ' ');
    for (const PlanStep& s : region.steps) {
      StrAppend(&text_, indent, Places(s.out), s.out.empty() ? "" : " = ");
      switch (s.kind) {
        case StepKind::kLoop:
          StrAppend(&text_, "kernel ", s.index, " '", plan_.loops[s.index].name, "'");
          break;
        case StepKind::kLibrary:
          StrAppend(&text_, plan_.library[s.index].kernel);
          break;
        case StepKind::kCopy:
          StrAppend(&text_, "copy");
          break;
        case StepKind::kWhile:
          StrAppend(&text_, "while");
          break;
        case StepKind::kBranch:
          StrAppend(&text_, "branch on ", Place(plan_.branches[s.index].selector));
          break;
      }
      StrAppend(&text_, s.in.empty() ? "" : " of ", Places(s.in));
      if (s.epilogue != UINT32_MAX) {
        StrAppend(&text_, " then kernel ", s.epilogue, " '", plan_.loops[s.epilogue].name, "' on ",
                  Places(s.epilogue_buffers));
      }
      StrAppend(&text_, "\n");
      if (s.kind == StepKind::kWhile) {
        const PlanWhile& w = plan_.whiles[s.index];
        if (w.trip_count >= 0) {
          StrAppend(&text_, indent, "  ", w.trip_count, " turns of\n");
        } else {
          StrAppend(&text_, indent, "  while ", Place(w.predicate), " of\n");
          Region(w.condition, depth + 2);
          StrAppend(&text_, indent, "  do\n");
        }
        Region(w.body, depth + 2);
      }
      if (s.kind == StepKind::kBranch) {
        for (const PlanRegion& r : plan_.branches[s.index].regions) {
          StrAppend(&text_, indent, "  case\n");
          Region(r, depth + 2);
        }
      }
    }
  }

  const Plan& plan_;
  std::string text_;
};

}  // namespace

bool FitsInPlaceOf(const TensorSpec& input, const TensorSpec& output) {
  return tensor::ByteWidth(input.dtype) == tensor::ByteWidth(output.dtype) &&
         tensor::NumElements(input.shape) == tensor::NumElements(output.shape);
}

bool BuffersOverlap(const Plan& plan, uint32_t x, uint32_t y) {
  const PlanBuffer a = InWhatIsGiven(plan, plan.buffers[x]);
  const PlanBuffer b = InWhatIsGiven(plan, plan.buffers[y]);
  if (a.kind != b.kind || a.bytes == 0 || b.bytes == 0) return false;
  if (a.kind != BufferKind::kArena && a.index != b.index) return false;
  return a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes;
}

Status CheckPlan(const Plan& plan) { return Checker(plan).Run(); }

std::string EncodePlan(const Plan& plan) {
  Writer w;
  w(const_cast<Plan&>(plan));  // a writer changes nothing
  return w.Take();
}

Result<Plan> DecodePlan(std::string_view bytes) {
  Reader r(bytes);
  Plan plan;
  r(plan);
  RETURN_IF_ERROR(r.Finish());
  RETURN_IF_ERROR(CheckPlan(plan));
  return plan;
}

std::string PlanText(const Plan& plan) { return Describer(plan).Run(); }

}  // namespace megalith::runtime
