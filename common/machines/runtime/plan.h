// A compiled program: buffers, kernels, and the steps that run kernels on buffers.
//
// The compiler (machines/codegen) makes a plan, a package carries it, PlanRunner (plan_runner.h)
// runs it. A plan says everything: shapes, places, order. Nothing is decided while it runs but
// branches, trip counts and how work is split over threads.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/foundation/base/status.h"
#include "common/machines/runtime/executable.h"
#include "common/machines/runtime/loop.h"

namespace megalith::runtime {

// Persistent: never change, append only.
enum class BufferKind : uint8_t {
  kInput = 0,   // `index` of the signature; never written
  kOutput = 1,  // `index` of the signature, from `offset` on: the output, or a temporary before it
  kConstant = 2,  // `index` of Plan::constants
  kArena = 3,     // `offset` bytes into the temporary memory of one run
  kDonated = 4,   // memory of input `index`, from `offset` on, that may be written: Plan::donations
};

// A place that holds an array. Several buffers may share bytes of the arena, or of an output, in
// turn.
struct PlanBuffer {
  BufferKind kind = BufferKind::kArena;
  uint32_t index = 0;
  uint64_t offset = 0;  // kArena, kOutput, kDonated: multiple of 64, scalars of 8; else 0
  uint64_t bytes = 0;
  friend bool operator==(const PlanBuffer&, const PlanBuffer&) = default;
};

// Persistent: never change, append only.
enum class StepKind : uint8_t {
  kLoop = 0,     // Plan::loops[index] on `in` followed by `out`, the kernel's arguments in order
  kLibrary = 1,  // Plan::library[index]
  kWhile = 2,    // Plan::whiles[index]
  kBranch = 3,   // Plan::branches[index]
  kCopy = 4,     // the bytes of in[0] to out[0]; nothing if both are one place
};

struct PlanStep {
  StepKind kind = StepKind::kLoop;
  uint32_t index = 0;
  std::vector<uint32_t> in, out;   // numbers of buffers
  uint32_t scratch = UINT32_MAX;   // buffer, for library kernels that need one
  uint32_t epilogue = UINT32_MAX;  // kLibrary: a kernel of Plan::loops run on rows of out[0]
  std::vector<uint32_t> epilogue_buffers;  // its arguments in order
  friend bool operator==(const PlanStep&, const PlanStep&) = default;
};

struct PlanRegion {
  std::vector<PlanStep> steps;
  friend bool operator==(const PlanRegion&, const PlanRegion&) = default;
};

// Runs `condition`, then, while the bool at `predicate` is true, `body` and `condition` again. What
// is carried lies in buffers that the regions read and write. With a known number of turns
// `condition` is empty and not run.
struct PlanWhile {
  PlanRegion condition, body;
  uint32_t predicate = UINT32_MAX;
  int64_t trip_count = -1;  // -1: unknown
  friend bool operator==(const PlanWhile&, const PlanWhile&) = default;
};

// Runs the region the index selects: an i32 at `selector`, out of range the last (stablehlo.case);
// or a bool, false the second of two (stablehlo.if).
struct PlanBranch {
  uint32_t selector = 0;
  bool is_bool = false;
  std::vector<PlanRegion> regions;
  friend bool operator==(const PlanBranch&, const PlanBranch&) = default;
};

struct LibraryUse {
  std::string kernel;  // kernels::LibraryKernel::name, or one the backend adds
  std::string params;
  std::vector<TensorSpec> in, out;
  uint64_t scratch_bytes = 0;  // what `prepare` asked for when the plan was made
  friend bool operator==(const LibraryUse&, const LibraryUse&) = default;
};

struct PlanConstant {
  TensorSpec spec;
  std::string bytes;
  friend bool operator==(const PlanConstant&, const PlanConstant&) = default;
};

// Where output `i` of the program comes from when no step writes it: an input or a constant, shared
// and not copied.
struct OutputAlias {
  uint32_t output = 0;
  BufferKind kind = BufferKind::kInput;
  uint32_t index = 0;
  friend bool operator==(const OutputAlias&, const OutputAlias&) = default;
};

// Memory that a run takes over from the caller who gives input `input` away. If it is not given,
// the run has as much memory of its own in its place.
struct Donation {
  uint32_t input = 0;
  // Lies there: as many elements of as many bytes. UINT32_MAX: buffers kDonated do.
  uint32_t output = UINT32_MAX;
  bool filled =
      false;  // the plan reads the input there, so that memory of its own begins as a copy
  friend bool operator==(const Donation&, const Donation&) = default;
};

// True if an array of one type can become one of the other where it lies.
bool FitsInPlaceOf(const TensorSpec& input, const TensorSpec& output);

struct Plan {
  Signature signature;
  std::vector<PlanBuffer> buffers;
  std::vector<PlanConstant> constants;
  std::vector<LoopKernel> loops;
  std::vector<LibraryUse> library;
  std::vector<PlanWhile> whiles;
  std::vector<PlanBranch> branches;
  PlanRegion entry;
  std::vector<OutputAlias> aliases;
  std::vector<Donation> donations;
  // Peak temporary memory of one run that is given its donations, scratch of libraries included.
  uint64_t arena_bytes = 0;
  friend bool operator==(const Plan&, const Plan&) = default;
};

// Calls `visit` with every region: the entry, loops' and branches'.
template <typename Visit>
void ForEachRegion(Plan* plan, const Visit& visit) {
  visit(plan->entry);
  for (PlanWhile& w : plan->whiles) {
    visit(w.condition);
    visit(w.body);
  }
  for (PlanBranch& b : plan->branches) {
    for (PlanRegion& r : b.regions) visit(r);
  }
}

// True if the two buffers share bytes in some run.
bool BuffersOverlap(const Plan& plan, uint32_t a, uint32_t b);

// Errors: kDataLoss unless every number is in range, every buffer lies in what it is part of, every
// kernel belongs to a step and passes CheckLoopKernel for its buffers, no step writes inputs that
// are not donated or constants, arrays of a library call overlap only where an operand lies in the
// place of a result, no array stands for two, and regions nest without cycles (at most
// kMaxRegionDepth deep).
inline constexpr int kMaxRegionDepth = 64;
Status CheckPlan(const Plan& plan);

// Bytes of the section "plan" of a package: docs/formats/executable-package.md.
std::string EncodePlan(const Plan& plan);
// Decodes and checks. Errors: kDataLoss.
Result<Plan> DecodePlan(std::string_view bytes);

// Steps, kernels and buffers as text, for `--explain`.
std::string PlanText(const Plan& plan);

}  // namespace megalith::runtime
