#pragma once

// The state of lowering, shared by the files that lower one kind of thing each; not for others.
//
//   lower.cc          regions, the order of steps, results
//   lower_kernels.cc  fused groups become loop kernels
//   lower_steps.cc    single ops become library calls, control flow and evaluated ops

#include <algorithm>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "common/machines/codegen/grouping.h"
#include "common/machines/codegen/kernel_builder.h"
#include "common/machines/codegen/library_ops.h"
#include "common/machines/codegen/lower.h"
#include "common/machines/codegen/memory.h"
#include "common/programs/stablehlo/op_def.h"

namespace megalith::codegen {

using runtime::BufferKind;
using runtime::LoopDim;
using runtime::LoopKernel;
using runtime::Plan;
using runtime::PlanRegion;
using runtime::PlanStep;
using runtime::StepKind;
using runtime::TensorSpec;
using stablehlo::Attr;
using stablehlo::Module;
using stablehlo::TensorType;

constexpr uint32_t kNone = UINT32_MAX;

// Tokens are empty arrays in a plan.
inline TensorSpec SpecOf(const TensorType& t) {
  if (t.is_token) return {DType::kBool, {0}};
  return {t.dtype, t.shape};
}

// 0 for tokens.
inline uint64_t BytesOf(const TensorType& t) {
  return static_cast<uint64_t>(std::max<int64_t>(stablehlo::ByteCount(t), 0));
}

// One lowering of one function; used once, by one thread.
class Lowering {
 public:
  // `most_ops`: of a fused kernel.
  Lowering(const Func& func, const LowerOptions& options, LowerReport* report, uint32_t most_ops)
      : func_(func), options_(options), report_(report), most_ops_(most_ops) {}

  // As Lower; kOutOfRange if a fused kernel got too large, which fewer ops in one prevent.
  Result<Plan> Run();

 private:
  // What is known while the steps of one region are made.
  struct Scope {
    const Region* region;
    Grouping grouping;
    std::unordered_map<uint32_t, int> readers_left;  // by place: reads not yet done
    std::unordered_set<uint32_t> owned;              // places this region may overwrite
    std::unordered_map<ValueId, uint32_t>
        wanted_at;  // result of the region -> place it should have
    PlanRegion* steps;
  };

  void Define(const Region& region);
  Result<uint32_t> ArrayOf(ValueId v);
  Status LowerRegion(const Region& region, PlanRegion* steps,
                     const std::unordered_set<uint32_t>& owned, const std::vector<uint32_t>& wanted,
                     std::vector<uint32_t>* results);
  std::vector<uint32_t> Order(const Scope& scope) const;
  void ReadDonatedFirst(const std::vector<std::vector<ValueId>>& reads_of, Scope* scope) const;
  Status TakeDonated(std::unordered_set<uint32_t>* owned, std::vector<uint32_t>* wanted);
  std::vector<ValueId> ReadsOf(const Scope& scope, const Group& group) const;
  Status LowerGroup(Scope* scope, const Group& group);
  Status LowerKernel(Scope* scope, const Group& group);
  Status LowerUpdate(Scope* scope, const Group& group);
  Result<bool> SeparateUpdate(Scope* scope, const Group& group);
  Status LowerPieces(Scope* scope, const Group& group);
  uint32_t PlaceApart(Scope* scope, ValueId result, const std::vector<ValueId>& arguments);
  Status LowerAlone(Scope* scope, const Group& group);
  Status LowerLibrary(Scope* scope, const Op& op, LibraryCall call);
  Result<uint32_t> Transposed(Scope* scope, ValueId v, const Dims& permutation,
                              tensor::Shape* shape);
  Status LowerReference(Scope* scope, const Op& op);
  Status LowerWhile(Scope* scope, const Op& op);
  Status LowerBranch(Scope* scope, const Op& op);
  Result<uint32_t> Carried(Scope* scope, ValueId init, std::unordered_set<uint32_t>* taken);
  void Copy(PlanRegion* steps, uint32_t from, uint32_t to);
  bool MayOverwrite(const Scope& scope, uint32_t place) const;
  uint32_t NewArray(Scope* scope, ValueId v);
  void PlaceResult(Scope* scope, const LoopKernel& kernel, const std::vector<ValueId>& arguments,
                   ValueId result, std::unordered_set<uint32_t>* taken);
  Result<std::vector<uint32_t>> ArraysOf(const std::vector<ValueId>& values);
  Status EmitKernel(Scope* scope, LoopKernel kernel, const std::vector<uint32_t>& arguments,
                    uint64_t ops);
  Status EmitReduction(Scope* scope, LoopKernel kernel, std::vector<uint32_t> arguments,
                       uint64_t ops);
  KernelBuilder::FindSource SourceFor(const Scope& scope, const Group& group) const;
  Status PlaceOutputs(const std::vector<uint32_t>& results);
  bool IsTheProgram(const Scope& scope) const { return scope.region == &func_.body; }

  const Func& func_;
  const LowerOptions& options_;
  LowerReport* report_;
  const uint32_t most_ops_;
  Plan plan_;
  Arrays arrays_;
  std::unordered_map<ValueId, const Op*> definitions_;
  std::unordered_map<ValueId, uint32_t> array_of_;
  std::unordered_set<uint32_t> takes_epilogue_;  // library calls
};

}  // namespace megalith::codegen
