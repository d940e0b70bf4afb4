// Inputs that callers give away, so that results can lie in their memory.
//
// A program says so in attributes of its entry function, which have no part in what it computes and
// are gone from its canonical form. So compilers are told by the setting `donate`, which like all
// settings is part of the key an executable is stored under.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/foundation/base/status.h"
#include "common/programs/stablehlo/module.h"

namespace megalith::stablehlo {

inline constexpr std::string_view kDonateSetting = "donate";

struct DonatedInput {
  uint32_t input = 0;
  uint32_t output = UINT32_MAX;  // which should lie there if it can; UINT32_MAX: any
  friend bool operator==(const DonatedInput&, const DonatedInput&) = default;
};

// The inputs that `entry` marks as its producer marks them: `tf.aliasing_output` names an output,
// `jax.buffer_donor` none. In order.
std::vector<DonatedInput> DonatedInputs(const Func& entry);

// "0:1,3": input 0, preferably for output 1, and input 3.
std::string DonateText(const std::vector<DonatedInput>& donated);
// Errors: kInvalidArgument (not such a list, or an input or output occurs twice).
Result<std::vector<DonatedInput>> ReadDonate(std::string_view text);

}  // namespace megalith::stablehlo
