// Tokens, random numbers, calls out of the program, and collectives, which on one device mean the
// identity.
#include "common/programs/stablehlo/cost.h"
#include "common/programs/stablehlo/kernels/prepare.h"
#include "common/programs/stablehlo/lapack_calls.h"
#include "common/programs/stablehlo/rules.h"

namespace megalith::stablehlo {
namespace {

constexpr AttrSpec kRngAttrs[] = {{.name = "rng_distribution",
                                   .kind = AttrKind::kEnum,
                                   .required = true,
                                   .enum_id = EnumId::kRngDistribution}};
constexpr AttrSpec kRngBitAttrs[] = {{.name = "rng_algorithm",
                                      .kind = AttrKind::kEnum,
                                      .required = true,
                                      .enum_id = EnumId::kRngAlgorithm}};
Attr EmptyList(const Op&, const Func&) { return Attr::List({}); }
constexpr AttrSpec kCustomCallAttrs[] = {
    {.name = "api_version", .kind = AttrKind::kInt, .fallback = Int32Default<1>, .elided = true},
    {.name = "call_target_name", .kind = AttrKind::kString, .required = true},
    {.name = "called_computations", .kind = AttrKind::kList, .fallback = EmptyList, .elided = true},
    {.name = "has_side_effect",
     .kind = AttrKind::kBool,
     .fallback = BoolDefault<false>,
     .elided = true},
    {.name = "output_operand_aliases",
     .kind = AttrKind::kList,
     .fallback = EmptyList,
     .elided = true},
};
constexpr AttrSpec kGatherAttrs[] = {
    {.name = "all_gather_dim", .kind = AttrKind::kInt, .required = true},
    {.name = "channel_handle", .kind = AttrKind::kChannel, .meaningless = true},
    {.name = "replica_groups", .kind = AttrKind::kDense, .required = true},
    {.name = "use_global_device_ids", .kind = AttrKind::kUnit, .meaningless = true},
};
constexpr AttrSpec kReduceAttrs[] = {
    {.name = "channel_handle", .kind = AttrKind::kChannel, .meaningless = true},
    {.name = "replica_groups", .kind = AttrKind::kDense, .required = true},
    {.name = "use_global_device_ids", .kind = AttrKind::kUnit, .meaningless = true},
};
constexpr AttrSpec kReduceScatterAttrs[] = {
    {.name = "channel_handle", .kind = AttrKind::kChannel, .meaningless = true},
    {.name = "replica_groups", .kind = AttrKind::kDense, .required = true},
    {.name = "scatter_dimension", .kind = AttrKind::kInt, .required = true},
    {.name = "use_global_device_ids", .kind = AttrKind::kUnit, .meaningless = true},
};
constexpr AttrSpec kAllToAllAttrs[] = {
    {.name = "channel_handle", .kind = AttrKind::kChannel, .meaningless = true},
    {.name = "concat_dimension", .kind = AttrKind::kInt, .required = true},
    {.name = "replica_groups", .kind = AttrKind::kDense, .required = true},
    {.name = "split_count", .kind = AttrKind::kInt, .required = true},
    {.name = "split_dimension", .kind = AttrKind::kInt, .required = true},
};
constexpr AttrSpec kPermuteAttrs[] = {
    {.name = "channel_handle", .kind = AttrKind::kChannel, .meaningless = true},
    {.name = "source_target_pairs", .kind = AttrKind::kDense, .required = true},
};
constexpr AttrSpec kBroadcastAttrs[] = {
    {.name = "channel_handle", .kind = AttrKind::kChannel, .meaningless = true},
    {.name = "replica_groups", .kind = AttrKind::kDense, .required = true},
};
constexpr AttrSpec kShardingAttrs[] = {
    {.name = "sharding", .kind = AttrKind::kOpaque, .required = true, .meaningless = true}};

Status TokenRule(const TypeQuery& q, Types* results) {
  for (size_t i = 0; i < q.num_operands(); ++i) {
    if (!q.operand(i).is_token) return InvalidArgument(StrCat("operand ", i, " is not a token"));
  }
  results->push_back(TensorType::Token());
  return OkStatus();
}

Status IdRule(const TypeQuery&, Types* results) {
  results->push_back(TensorType::Scalar(DType::kU32));
  return OkStatus();
}

Status RngRule(const TypeQuery& q, Types* results) {
  RETURN_IF_ERROR(WantDType(q, 0, kBoolOk | kIntOk | kFloatOk));
  RETURN_IF_ERROR(WantSameType(q, 1));
  RETURN_IF_ERROR(WantDType(q, 2, kIntOk));
  RETURN_IF_ERROR(WantDeclared(q, 1));
  const TensorType& shape = q.operand(2);
  const TensorType& out = q.declared[0];
  if (q.operand(0).rank() != 0 || shape.rank() != 1 || out.is_token ||
      out.dtype != q.operand(0).dtype || shape.shape[0] != static_cast<int64_t>(out.rank())) {
    return InvalidArgument(StrCat("bounds ", q.operand(0).Text(), " and shape ", shape.Text(),
                                  " do not fit result ", out.Text()));
  }
  if (q.op.attr("rng_distribution").AsEnum() == static_cast<int>(RngDistribution::kNormal)) {
    RETURN_IF_ERROR(WantDType(q, 0, kFloatOk));
  }
  results->push_back(out);
  return OkStatus();
}

Status RngBitRule(const TypeQuery& q, Types* results) {
  RETURN_IF_ERROR(WantDeclared(q, 2));
  const auto algorithm = static_cast<RngAlgorithm>(q.op.attr("rng_algorithm").AsEnum());
  const TensorType& state = q.operand(0);
  const bool fits =
      state.dtype == DType::kU64 && state.rank() == 1 &&
      (state.shape[0] == 2 || (state.shape[0] == 3 && algorithm != RngAlgorithm::kThreeFry));
  if (!fits) {
    return InvalidArgument(
        StrCat("state has type ", state.Text(), ", wanted tensor<2xui64>",
               algorithm == RngAlgorithm::kThreeFry ? "" : " or tensor<3xui64>"));
  }
  const TensorType& out = q.declared[1];
  if (out.is_token || !Matches(out.dtype, kIntOk | kFloatOk)) {
    return InvalidArgument(
        StrCat("output has type ", out.Text(), ", wanted integer or float elements"));
  }
  results->push_back(state);
  results->push_back(out);
  return OkStatus();
}

Status CustomCallRule(const TypeQuery& q, Types* results) {
  results->assign(q.declared.begin(), q.declared.end());
  const std::string& target = q.op.attr("call_target_name").AsText();
  if (FindLapackRow(target) == nullptr) return OkStatus();
  return ReadLapackCall(q.op, q.func, q.declared).status().Annotate(StrCat("@", target));
}

Status SameAsOperands(const TypeQuery& q, Types* results) {
  for (size_t i = 0; i < q.num_operands(); ++i) results->push_back(q.operand(i));
  return OkStatus();
}

// One process that takes part alone: the only group is [[0]] (or nothing at all).
Status CheckLonely(const TypeQuery& q, std::string_view attr) {
  const Dense& groups = q.op.attr(attr).AsDense();
  const int64_t n = ElementCount(groups.type);
  const bool lonely = n == 0 || (n == 1 && groups.data.IntAt(0) == 0);
  if (lonely) return OkStatus();
  return Unimplemented(StrCat("collectives over several devices are not supported (", attr, " is ",
                              groups.type.Text(), ")"));
}

Status CollectiveRule(const TypeQuery& q, Types* results) {
  RETURN_IF_ERROR(CheckLonely(q, "replica_groups"));
  return SameAsOperands(q, results);
}

Status PermuteRule(const TypeQuery& q, Types* results) {
  const Dense& pairs = q.op.attr("source_target_pairs").AsDense();
  const int64_t n = ElementCount(pairs.type);
  for (int64_t i = 0; i < n; ++i) {
    if (pairs.data.IntAt(pairs.splat ? 0 : i) != 0) {
      return Unimplemented("collective_permute between several devices is not supported");
    }
  }
  return SameAsOperands(q, results);
}

bool IsSharding(const Op& op, const Func&) {
  return op.attr("call_target_name").AsText() == "Sharding" && op.operands.size() == 1;
}

void RngCost(const Op& op, const Func& func, OpCost* cost) {
  cost->flops = 40 * static_cast<double>(ElementCount(func.type(op.result(op.num_results - 1))));
}

constexpr OpDef kRows[] = {
    {.name = "stablehlo.create_token",
     .traits = kPure,
     .type_rule = TokenRule,
     .format = "{} : <results>",
     .prepare = PrepareToken},
    {.name = "stablehlo.after_all",
     .more_operands = true,
     .traits = kPure,
     .type_rule = TokenRule,
     .format = " $*{} : <same>",
     .prepare = PrepareToken},
    {.name = "stablehlo.partition_id",
     .traits = kPure,
     .type_rule = IdRule,
     .format = "{} : <results>",
     .prepare = PrepareDeviceId},
    {.name = "stablehlo.replica_id",
     .traits = kPure,
     .type_rule = IdRule,
     .format = "{} : <results>",
     .prepare = PrepareDeviceId},
    {.name = "stablehlo.rng",
     .operands = 3,
     .attrs = kRngAttrs,
     .traits = kPure | kIndeterminate,
     .type_rule = RngRule,
     .format = " $0, $1, $2, distribution = @rng_distribution{} : <func>",
     .prepare = PrepareRng,
     .cost = RngCost},
    {.name = "stablehlo.rng_bit_generator",
     .operands = 1,
     .attrs = kRngBitAttrs,
     .traits = kPure,
     .type_rule = RngBitRule,
     .format = " $0, algorithm = @rng_algorithm{} : <func>",
     .result_names = "output_state,output",
     .prepare = PrepareRngBitGenerator,
     .cost = RngCost},
    {.name = "stablehlo.custom_call",
     .more_operands = true,
     .more_regions = true,
     .attrs = kCustomCallAttrs,
     .type_rule = CustomCallRule,
     .format = " <target>($*){} : <func>",
     .prepare = PrepareCustomCall,
     .no_op = IsSharding},
    {.name = "stablehlo.all_reduce",
     .operands = 1,
     .more_operands = true,
     .regions = 1,
     .attrs = kReduceAttrs,
     .traits = kPure | kIdentity,
     .type_rule = CollectiveRule,
     .prepare = PrepareIdentity},
    {.name = "stablehlo.all_gather",
     .operands = 1,
     .more_operands = true,
     .attrs = kGatherAttrs,
     .traits = kPure | kIdentity,
     .type_rule = CollectiveRule,
     .prepare = PrepareIdentity},
    {.name = "stablehlo.all_to_all",
     .operands = 1,
     .more_operands = true,
     .attrs = kAllToAllAttrs,
     .traits = kPure | kIdentity,
     .type_rule = CollectiveRule,
     .prepare = PrepareIdentity},
    {.name = "stablehlo.reduce_scatter",
     .operands = 1,
     .regions = 1,
     .attrs = kReduceScatterAttrs,
     .traits = kPure | kIdentity,
     .type_rule = CollectiveRule,
     .prepare = PrepareIdentity},
    {.name = "stablehlo.collective_broadcast",
     .operands = 1,
     .attrs = kBroadcastAttrs,
     .traits = kPure | kIdentity,
     .type_rule = CollectiveRule,
     .prepare = PrepareIdentity},
    {.name = "stablehlo.collective_permute",
     .operands = 1,
     .attrs = kPermuteAttrs,
     .traits = kPure,
     .type_rule = PermuteRule,
     .prepare = PrepareCollectivePermute},
    {.name = "sdy.sharding_constraint",
     .operands = 1,
     .attrs = kShardingAttrs,
     .traits = kPure | kIdentity,
     .type_rule = SameAsOperands,
     .format = " $0 <sharding>{} : <same>",
     .prepare = PrepareIdentity},
};

}  // namespace

std::span<const OpDef> EffectOps() { return kRows; }

}  // namespace megalith::stablehlo
