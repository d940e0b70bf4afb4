#include "common/machines/codegen/epilogues.h"

#include <algorithm>
#include <vector>

#include "common/machines/codegen/in_place.h"
#include "common/machines/kernels/library.h"

namespace megalith::codegen {

using runtime::LoopKernel;
using runtime::PlanStep;
using runtime::StepKind;

void FuseEpilogues(const runtime::Plan& plan, const Arrays& arrays,
                   const std::unordered_set<uint32_t>& takes_epilogue,
                   runtime::PlanRegion* region) {
  constexpr size_t kFarthest = 8;
  std::vector<PlanStep>& steps = region->steps;
  for (size_t i = 0; i < steps.size(); ++i) {
    if (steps[i].kind != StepKind::kLibrary || !takes_epilogue.contains(steps[i].index) ||
        steps[i].out.size() != 1) {
      continue;
    }
    const uint32_t product = arrays.Find(steps[i].out[0]);
    std::unordered_set<uint32_t> read, written;  // by the steps from i on
    const auto note = [&](const PlanStep& s) {
      for (const uint32_t a : s.in) read.insert(arrays.Find(a));
      for (const uint32_t a : s.out) written.insert(arrays.Find(a));
      for (const uint32_t a : s.epilogue_buffers) {
        read.insert(arrays.Find(a));
        written.insert(arrays.Find(a));
      }
    };
    note(steps[i]);
    for (size_t j = i + 1; j < steps.size() && j <= i + kFarthest; ++j) {
      PlanStep& next = steps[j];
      const bool touches =
          std::ranges::any_of(next.in, [&](uint32_t a) { return arrays.Find(a) == product; }) ||
          std::ranges::any_of(next.out, [&](uint32_t a) { return arrays.Find(a) == product; });
      if (next.kind == StepKind::kWhile || next.kind == StepKind::kBranch) break;
      if (!touches || next.kind != StepKind::kLoop) {
        if (touches) break;
        note(next);
        continue;
      }
      const LoopKernel& kernel = plan.loops[next.index];
      const auto elements = tensor::NumElements(plan.library[steps[i].index].out[0].shape);
      std::vector<uint32_t> arguments = next.in;
      arguments.insert(arguments.end(), next.out.begin(), next.out.end());
      bool joins = kernel.OuterPoints() == elements.value_or(-1) && elements.value_or(0) > 0;
      for (uint32_t a = 0; a < arguments.size() && joins; ++a) {
        const uint32_t place = arrays.Find(arguments[a]);
        const bool stores = a >= next.in.size();
        if (place == product) {
          joins = FollowsRows(kernel, a);
        } else {
          joins = !written.contains(place) && (!stores || !read.contains(place));
        }
      }
      if (!joins) break;
      steps[i].epilogue = next.index;
      steps[i].epilogue_buffers = std::move(arguments);
      steps.erase(steps.begin() + static_cast<std::ptrdiff_t>(j));
      break;
    }
  }
}

}  // namespace megalith::codegen
