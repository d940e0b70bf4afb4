// A planned program: steps over the slots of a frame.
#pragma once

#include <chrono>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/programs/stablehlo/kernels/kernel.h"

namespace megalith::stablehlo {

// An operand: a slot of the frame, or a constant of the function.
struct SlotUse {
  int32_t slot = -1;  // >= 0: slot; < 0: constant number -slot - 1
  bool dies = false;  // last use: the value is moved out of the slot
};

struct PlanStep {
  Kernel kernel;
  const OpDef* def = nullptr;
  std::vector<SlotUse> in;
  std::vector<int32_t> out;      // -1: nobody needs this result
  std::vector<int32_t> release;  // slots of values captured by a region here for the last time
};

// One region, or the body of a function.
struct RegionPlan {
  std::vector<int32_t> args;  // slot of each argument, -1 if unused
  std::vector<PlanStep> steps;
  std::vector<SlotUse> returns;
  std::shared_ptr<const std::vector<Tensor>> constants;  // of the function
};

struct FuncPlan {
  RegionPlan body;
  std::string name;
  int32_t num_slots = 0;
  double peak_bytes = 0;  // of values alive at once, callees included
};

// Collects time per op name while a program runs.
struct Profiler {
  struct Entry {
    uint64_t calls = 0;
    double seconds = 0;
  };
  std::unordered_map<std::string_view, Entry> entries;
};

}  // namespace megalith::stablehlo
