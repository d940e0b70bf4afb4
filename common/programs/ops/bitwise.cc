// Bitwise logic, shifts and bit counts on integers and booleans.
#include "common/programs/ops/families.h"
#include "common/programs/ops/lower.h"
#include "common/programs/ops/rules.h"

namespace megalith::ops {
namespace {

constexpr uint16_t kBits = ir::kAcceptsBool | ir::kAcceptsInt;

constexpr Sample kBinarySamples[] = {
    {"{ lambda ; a:i32[3,5] b:i32[3,5]. let c:i32[3,5] = OP a b in (c,) }"},
    {"{ lambda ; a:i32[] b:i32[7]. let c:i32[7] = OP a b in (c,) }"},
    {"{ lambda ; a:bool[3,5] b:bool[3,5]. let c:bool[3,5] = OP a b in (c,) }"},
};
constexpr Sample kShiftSamples[] = {
    {"{ lambda ; a:i32[3,5] b:i32[3,5]. let c:i32[3,5] = OP a b in (c,) }", ir::Domain::kSmallInt},
    {"{ lambda ; a:u8[40] b:u8[]. let c:u8[40] = OP a b in (c,) }"},
};
constexpr Sample kNotSamples[] = {{"{ lambda ; a:i32[3,5]. let b:i32[3,5] = OP a in (b,) }"},
                                  {"{ lambda ; a:bool[3,5]. let b:bool[3,5] = OP a in (b,) }"}};
constexpr Sample kCountSamples[] = {{"{ lambda ; a:i32[3,5]. let b:i32[3,5] = OP a in (b,) }"},
                                    {"{ lambda ; a:u8[]. let b:u8[] = OP a in (b,) }"}};

constexpr OpDef kOps[] = {
    {.name = "not",
     .arity = 1,
     .accepts = kBits,
     .type_rule = SameAsOperand,
     .jvp = ir::JvpZero(),
     .batch = ir::BatchElementwise(),
     .lower = LowerTo<"stablehlo.not">,
     .spec = "primitives.md#not",
     .samples = kNotSamples},
    {.name = "and",
     .arity = 2,
     .accepts = kBits,
     .type_rule = NaryType,
     .jvp = ir::JvpZero(),
     .batch = ir::BatchBroadcasting(),
     .lower = LowerTo<"stablehlo.and">,
     .spec = "primitives.md#and",
     .samples = kBinarySamples},
    {.name = "or",
     .arity = 2,
     .accepts = kBits,
     .type_rule = NaryType,
     .jvp = ir::JvpZero(),
     .batch = ir::BatchBroadcasting(),
     .lower = LowerTo<"stablehlo.or">,
     .spec = "primitives.md#or",
     .samples = kBinarySamples},
    {.name = "xor",
     .arity = 2,
     .accepts = kBits,
     .type_rule = NaryType,
     .jvp = ir::JvpZero(),
     .batch = ir::BatchBroadcasting(),
     .lower = LowerTo<"stablehlo.xor">,
     .spec = "primitives.md#xor",
     .samples = kBinarySamples},
    {.name = "shift_left",
     .arity = 2,
     .accepts = ir::kAcceptsInt,
     .type_rule = NaryType,
     .jvp = ir::JvpZero(),
     .batch = ir::BatchBroadcasting(),
     .lower = LowerTo<"stablehlo.shift_left">,
     .spec = "primitives.md#shift_left",
     .samples = kShiftSamples},
    {.name = "shift_right_logical",
     .arity = 2,
     .accepts = ir::kAcceptsInt,
     .type_rule = NaryType,
     .jvp = ir::JvpZero(),
     .batch = ir::BatchBroadcasting(),
     .lower = LowerTo<"stablehlo.shift_right_logical">,
     .spec = "primitives.md#shift_right_logical",
     .samples = kShiftSamples},
    {.name = "shift_right_arithmetic",
     .arity = 2,
     .accepts = ir::kAcceptsInt,
     .tier = 2,
     .type_rule = NaryType,
     .jvp = ir::JvpZero(),
     .batch = ir::BatchBroadcasting(),
     .lower = LowerTo<"stablehlo.shift_right_arithmetic">,
     .spec = "primitives.md#shift_right_arithmetic",
     .samples = kShiftSamples},
    {.name = "population_count",
     .arity = 1,
     .accepts = ir::kAcceptsInt,
     .tier = 2,
     .type_rule = SameAsOperand,
     .batch = ir::BatchElementwise(),
     .lower = LowerTo<"stablehlo.popcnt">,
     .spec = "primitives.md#population_count",
     .samples = kCountSamples},
    {.name = "clz",
     .arity = 1,
     .accepts = ir::kAcceptsInt,
     .tier = 2,
     .type_rule = SameAsOperand,
     .batch = ir::BatchElementwise(),
     .lower = LowerTo<"stablehlo.count_leading_zeros">,
     .spec = "primitives.md#clz",
     .samples = kCountSamples},
};

}  // namespace

std::span<const OpDef> BitwiseOps() { return kOps; }

}  // namespace megalith::ops
