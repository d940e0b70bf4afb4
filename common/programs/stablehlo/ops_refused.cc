// Operations that are known and not executed, so that a program with one gets an answer that says
// why.
#include "common/programs/stablehlo/rules.h"

namespace megalith::stablehlo {
namespace {

constexpr std::string_view kDynamic =
    "shapes that depend on values are not supported: fix the symbolic dimensions";
constexpr std::string_view kHost = "host transfers (infeed, outfeed, send, recv) are not supported";
constexpr std::string_view kSharded = "programs over several devices are not supported";
constexpr std::string_view kTuples = "tuples are not supported";
constexpr std::string_view kLegacy =
    "no current JAX lowering produces this operation, and it is not supported";

consteval OpDef Refuse(std::string_view name, std::string_view why) {
  return {.name = name, .more_operands = true, .more_regions = true, .refusal = why};
}

constexpr OpDef kRows[] = {
    Refuse("stablehlo.dynamic_broadcast_in_dim", kDynamic),
    Refuse("stablehlo.dynamic_conv", kDynamic),
    Refuse("stablehlo.dynamic_gather", kDynamic),
    Refuse("stablehlo.dynamic_iota", kDynamic),
    Refuse("stablehlo.dynamic_pad", kDynamic),
    Refuse("stablehlo.dynamic_reshape", kDynamic),
    Refuse("stablehlo.real_dynamic_slice", kDynamic),
    Refuse("stablehlo.set_dimension_size", kDynamic),
    Refuse("stablehlo.infeed", kHost),
    Refuse("stablehlo.outfeed", kHost),
    Refuse("stablehlo.recv", kHost),
    Refuse("stablehlo.send", kHost),
    Refuse("stablehlo.async_done", kSharded),
    Refuse("stablehlo.async_start", kSharded),
    Refuse("sdy.all_gather", kSharded),
    Refuse("sdy.all_reduce", kSharded),
    Refuse("sdy.all_slice", kSharded),
    Refuse("sdy.collective_permute", kSharded),
    Refuse("sdy.named_computation", kSharded),
    Refuse("sdy.reshard", kSharded),
    Refuse("sdy.return", kSharded),
    Refuse("stablehlo.get_tuple_element", kTuples),
    Refuse("stablehlo.tuple", kTuples),
    Refuse("stablehlo.batch_norm_grad", kLegacy),
    Refuse("stablehlo.batch_norm_inference", kLegacy),
    Refuse("stablehlo.batch_norm_training", kLegacy),
    Refuse("stablehlo.broadcast", kLegacy),
    Refuse("stablehlo.cross-replica-sum", kLegacy),
    Refuse("stablehlo.dot", kLegacy),
    Refuse("stablehlo.einsum", kLegacy),
    Refuse("stablehlo.map", kLegacy),
    Refuse("stablehlo.torch_index_select", kLegacy),
    Refuse("stablehlo.unary_einsum", kLegacy),
    Refuse("stablehlo.uniform_dequantize", "quantized types are not supported"),
    Refuse("stablehlo.uniform_quantize", "quantized types are not supported"),
    Refuse("chlo.ragged_dot", kLegacy),
};

}  // namespace

std::span<const OpDef> RefusedOps() { return kRows; }

}  // namespace megalith::stablehlo
