// Whole arrays from what instances have of them; not for users of the library.
#pragma once

#include <optional>
#include <vector>

#include "common/programs/spmd/frame.h"
#include "common/programs/spmd/writer.h"

namespace megalith::spmd {

// What the instances of a manual computation give as one result.
struct Given {
  std::vector<ValueId> values;   // by instance
  std::vector<int64_t> devices;  // the one each instance stands for

  bool operator==(const Given&) const = default;
};
Given GivenBy(const Frame& inner, ValueId v);

// The parts of the instances in `members` put together; of those for the same place the first.
// Errors: kInvalidArgument if a part is missing.
Result<ValueId> Assemble(const Given& given, const Sharding& sharding, const Set& members,
                         FuncWriter* writer);

// A result that is declared equal along manual axes, although instances compute it apart: whether
// they agree only the program knows. The sharding has those axes as `unreduced`, so that there is a
// term for each version.
struct Copies {
  Given given;
  Sharding sharding;
};
// nullopt if it is the same value everywhere, or `out` splits an axis.
std::optional<Copies> CopiesOf(Given given, Sharding out, const Mesh& mesh,
                               const std::vector<bool>& manual);

}  // namespace megalith::spmd
