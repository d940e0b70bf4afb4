// Programs of several devices as programs of one: what every device does, side by side.
//
// Outside of manual computations a program says what happens to whole arrays, and where their parts
// lie changes no value: it stays as it is. The body of a manual computation (`shard_map`, `pmap`)
// says what one device does with its parts. Here it is written once per device, on slices of the
// whole arrays; a collective becomes arithmetic on the values of all devices, and `partition_id` a
// constant.
#pragma once

#include <vector>

#include "common/programs/spmd/sharding.h"

namespace megalith::spmd {

// Where a value lies of which a program asks so: `megalith.inspect_sharding`.
struct Inspection {
  uint64_t id = 0;  // that the program gave it
  Sharding sharding;
  size_t rank = 0;
  bool manual = false;  // a value of each device, inside of a manual computation
};

struct Unrolled {
  stablehlo::Module module;  // of one device, one function, no calls
  // Of the arguments and results of the program; replicated where it says nothing. One of which
  // devices have terms is an array of all terms in the module, along a first dimension.
  std::vector<Sharding> inputs, outputs;
  // How the results of `module` hold those of the program: as `outputs`, but of a result that is
  // declared equal on devices which compute it apart (`out_specs=P()` with `check_vma=False`), each
  // has its own, as a term.
  std::vector<Sharding> stored;
  std::vector<Inspection> inspections;  // in program order; the calls are gone
};

// Requires a module that stablehlo::Verify accepts. `devices` is the number of partitions.
// Errors: kInvalidArgument (shardings that do not parse or do not divide; sizes that disagree with
// them), kUnimplemented (a collective that not all devices reach, or that combines by more than
// elementwise operations), kResourceExhausted (more than kMostOps operations).
// Cost: the size of manual computations times their devices.
Result<Unrolled> Unroll(const stablehlo::Module& module, int64_t devices);

inline constexpr size_t kMostOps = 1'000'000;

}  // namespace megalith::spmd
