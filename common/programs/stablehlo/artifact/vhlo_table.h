// Operations of the VHLO dialect: their revisions, and which attributes each revision has.
//
// What an operation is, StableHLO's own op table says (op_def.h); here is only how artifacts spell
// it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "common/foundation/base/status.h"

namespace megalith::stablehlo::artifact {

// A version of VHLO, "1.13.7" as 1'013'007.
using Version = uint32_t;
inline constexpr Version kOldestVersion = 9'000;
inline constexpr Version kNewestVersion = 1'020'000;

std::string VersionText(Version v);
// Of "1.13.7". Errors: kInvalidArgument.
Result<Version> ParseVersion(std::string_view text);

// One revision: valid for artifacts of the versions `since` to `until`, patches of which do not
// count. `fields` are the names of its attributes, comma-separated, in the order of the encoding,
// which is alphabetical.
struct Revision {
  int number = 0;  // the n of "add_vn"; 0 ends a list of revisions
  Version since = 0, until = 0;
  std::string_view fields;

  // Calls visit(name) for each field in order, until one fails.
  template <typename Visit>
  Status ForEachField(const Visit& visit) const {
    for (std::string_view rest = fields; !rest.empty();) {
      const size_t comma = std::min(rest.find(','), rest.size());
      const Status status = visit(rest.substr(0, comma));
      if (!status.ok()) return status;
      rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
    return OkStatus();
  }
  bool Has(std::string_view field) const;
};

struct VhloOp {
  std::string_view name;  // "add"
  Revision revisions[2];

  // The revision of this number, or the one valid at a version; null if there is none.
  const Revision* Find(int number) const;
  const Revision* At(Version version) const;
  // The row in StableHLO's table: "stablehlo.add", "func.call".
  std::string StablehloName() const;
};

// Of "add"; null if there is none.
const VhloOp* FindVhloOp(std::string_view name);
// All rows, sorted by name.
std::span<const VhloOp> AllVhloOps();

}  // namespace megalith::stablehlo::artifact
