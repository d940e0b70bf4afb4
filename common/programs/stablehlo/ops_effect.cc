// Tokens, random numbers, calls out of the program, and what happens between devices.
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
constexpr AttrSpec kManualAttrs[] = {
    {.name = "in_shardings", .kind = AttrKind::kOpaque, .required = true},
    {.name = "manual_axes", .kind = AttrKind::kOpaque, .required = true},
    {.name = "out_shardings", .kind = AttrKind::kOpaque, .required = true}};
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
bool IsLonely(const Dense& groups) {
  const int64_t n = ElementCount(groups.type);
  return n == 0 || (n == 1 && groups.data.IntAt(0) == 0);
}
bool IsLonelyCollective(const Op& op, const Func&) {
  return IsLonely(op.attr("replica_groups").AsDense());
}
bool IsLonelyPermute(const Op& op, const Func&) {
  const Dense& pairs = op.attr("source_target_pairs").AsDense();
  return ElementCount(pairs.type) == 2 && pairs.data.IntAt(0) == 0 &&
         pairs.data.IntAt(pairs.splat ? 0 : 1) == 0;
}

// Devices per group.
Result<int64_t> GroupSize(const TypeQuery& q) {
  const TensorType& groups = q.op.attr("replica_groups").AsDense().type;
  if (groups.rank() != 2) {
    return InvalidArgument(StrCat("replica_groups has type ", groups.Text(), ", wanted rank 2"));
  }
  return std::max<int64_t>(groups.shape[1], 1);
}

Status CheckDimension(const TypeQuery& q, std::string_view attr, size_t operand, size_t* d) {
  const int64_t v = q.op.attr(attr).AsInt();
  if (v < 0 || v >= static_cast<int64_t>(q.operand(operand).rank())) {
    return InvalidArgument(
        StrCat(attr, " = ", v, " is no dimension of ", q.operand(operand).Text()));
  }
  *d = static_cast<size_t>(v);
  return OkStatus();
}

Status AllReduceRule(const TypeQuery& q, Types* results) {
  RETURN_IF_ERROR(internal::StatusOf(GroupSize(q)));
  return SameAsOperands(q, results);
}

Status AllGatherRule(const TypeQuery& q, Types* results) {
  ASSIGN_OR_RETURN(const int64_t size, GroupSize(q));
  for (size_t i = 0; i < q.num_operands(); ++i) {
    size_t d = 0;
    RETURN_IF_ERROR(CheckDimension(q, "all_gather_dim", i, &d));
    TensorType type = q.operand(i);
    type.shape[d] *= size;
    results->push_back(type);
  }
  return OkStatus();
}

Status ReduceScatterRule(const TypeQuery& q, Types* results) {
  ASSIGN_OR_RETURN(const int64_t size, GroupSize(q));
  size_t d = 0;
  RETURN_IF_ERROR(CheckDimension(q, "scatter_dimension", 0, &d));
  TensorType type = q.operand(0);
  if (type.shape[d] % size != 0) {
    return InvalidArgument(
        StrCat("dimension ", d, " of ", type.Text(), " cannot be split among ", size, " devices"));
  }
  type.shape[d] /= size;
  results->push_back(type);
  return OkStatus();
}

Status AllToAllRule(const TypeQuery& q, Types* results) {
  const int64_t count = q.op.attr("split_count").AsInt();
  for (size_t i = 0; i < q.num_operands(); ++i) {
    size_t split = 0, concat = 0;
    RETURN_IF_ERROR(CheckDimension(q, "split_dimension", i, &split));
    RETURN_IF_ERROR(CheckDimension(q, "concat_dimension", i, &concat));
    TensorType type = q.operand(i);
    if (count < 1 || type.shape[split] % count != 0) {
      return InvalidArgument(
          StrCat("dimension ", split, " of ", type.Text(), " cannot be split into ", count));
    }
    type.shape[split] /= count;
    type.shape[concat] *= count;
    results->push_back(type);
  }
  return OkStatus();
}

// The types are what is declared: the body's arguments are local, the operands global.
Status ManualRule(const TypeQuery& q, Types* results) {
  if (q.op.regions[0].args.size() != q.num_operands() ||
      q.op.regions[0].ops.back().operands.size() != q.op.num_results) {
    return InvalidArgument("the body takes or returns another number of values");
  }
  results->assign(q.declared.begin(), q.declared.end());
  return OkStatus();
}

// On one device; programs of several are rewritten before (programs/spmd).
Result<Kernel> PrepareCollective(Planner& planner, const Op& op) {
  if (!IsLonely(op.attr("replica_groups").AsDense())) {
    return Unimplemented("collectives between several devices are not run one by one");
  }
  return PrepareIdentity(planner, op);
}
Result<Kernel> PrepareManual(Planner&, const Op&) {
  return Unimplemented("a manual computation runs on a client that has several devices");
}
Result<Kernel> PreparePermute(Planner& planner, const Op& op) {
  const Dense& pairs = op.attr("source_target_pairs").AsDense();
  for (int64_t i = 0; i < ElementCount(pairs.type); ++i) {
    if (pairs.data.IntAt(pairs.splat ? 0 : i) != 0) {
      return Unimplemented("collectives between several devices are not run one by one");
    }
  }
  return PrepareCollectivePermute(planner, op);
}

// What says to compilers of other kinds where its operand lies.
bool IsAnnotation(const Op& op, const Func& func) {
  const std::string& target = op.attr("call_target_name").AsText();
  if (op.operands.size() != 1) return false;
  return target == "Sharding" || (target == "LayoutConstraint" && op.num_results == 1 &&
                                  func.type(op.operands[0]) == func.type(op.result()));
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
     .no_op = IsAnnotation},
    {.name = "stablehlo.all_reduce",
     .operands = 1,
     .more_operands = true,
     .regions = 1,
     .attrs = kReduceAttrs,
     .traits = kPure,
     .type_rule = AllReduceRule,
     .prepare = PrepareCollective,
     .no_op = IsLonelyCollective},
    {.name = "stablehlo.all_gather",
     .operands = 1,
     .more_operands = true,
     .attrs = kGatherAttrs,
     .traits = kPure,
     .type_rule = AllGatherRule,
     .prepare = PrepareCollective,
     .no_op = IsLonelyCollective},
    {.name = "stablehlo.all_to_all",
     .operands = 1,
     .more_operands = true,
     .attrs = kAllToAllAttrs,
     .traits = kPure,
     .type_rule = AllToAllRule,
     .prepare = PrepareCollective,
     .no_op = IsLonelyCollective},
    {.name = "stablehlo.reduce_scatter",
     .operands = 1,
     .regions = 1,
     .attrs = kReduceScatterAttrs,
     .traits = kPure,
     .type_rule = ReduceScatterRule,
     .prepare = PrepareCollective,
     .no_op = IsLonelyCollective},
    {.name = "stablehlo.collective_broadcast",
     .operands = 1,
     .attrs = kBroadcastAttrs,
     .traits = kPure,
     .type_rule = AllReduceRule,
     .prepare = PrepareCollective,
     .no_op = IsLonelyCollective},
    {.name = "stablehlo.collective_permute",
     .operands = 1,
     .attrs = kPermuteAttrs,
     .traits = kPure,
     .type_rule = SameAsOperands,
     .prepare = PreparePermute,
     .no_op = IsLonelyPermute},
    {.name = "sdy.manual_computation",
     .more_operands = true,
     .regions = 1,
     .attrs = kManualAttrs,
     .type_rule = ManualRule,
     .prepare = PrepareManual},
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
