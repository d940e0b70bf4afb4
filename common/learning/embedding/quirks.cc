#include "common/learning/embedding/quirks.h"

namespace megalith::embedding {
namespace {

constexpr Quirk kQuirks[] = {
    {1, "signed and unsigned remainder give a fid with bit 63 set to different servers",
     "the signed remainder everywhere", ""},
    {4,
     "adagrad, and dynamic_wd_adagrad unless decoupled, step without the decay in whole groups of "
     "eight elements",
     "reproduced", "the decay is in the step of every element"},
    {5, "rmsprop takes its configured rate and ignores schedules", "reproduced",
     "the rate of the step"},
    {6, "ftrl's l1 leaves weights of positive zero as they are and enlarges the others",
     "reproduced", "both sides shrink"},
    {7, "adam restores beta1_power from beta2_power", "both as dumped", ""},
    {10, "the mean of no rows is NaN, and its gradient may write out of bounds", "zeros", ""},
    {12, "one_bit changes the caller's gradient", "a private copy", ""},
    {16, "group_adagrad makes NaN of a row whose z is zero when l2 is", "w = 0", ""},
    {17,
     "ftrl, group_ftrl and group_adagrad with a rate of 0, and adagrad with accumulator and "
     "gradient 0, give NaN or infinity",
     "the row stays as it is; adagrad: the element does",
     "the same, but group_adagrad's accumulator advances"},
    {18, "stochastic rounding loses the global step and rounds the segments behind it too",
     "its own segment, with the step", ""},
    {19, "group_ftrl subtracts l2*lr in whole groups of eight elements", "reproduced",
     "l2*lr is added"},
};

}  // namespace

std::span<const Quirk> Quirks() { return kQuirks; }

}  // namespace megalith::embedding
