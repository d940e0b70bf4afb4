#include "common/programs/spmd/collectives.h"

#include <algorithm>
#include <numeric>
#include <unordered_map>
#include <utility>

#include "common/foundation/base/strings.h"
#include "common/programs/stablehlo/op_def.h"

namespace megalith::spmd {
namespace {

using stablehlo::Dense;
using stablehlo::Op;
using stablehlo::Region;
using stablehlo::TensorType;

// Groups of instances, in their order. Groups that stand for the same instances are merged.
Result<std::vector<Set>> GroupsOf(const Frame& frame, const Op& op, int64_t devices) {
  const Instances& instances = *frame.instances;
  const Dense& dense = op.attr("replica_groups").AsDense();
  std::vector<Set> groups;
  if (dense.type.rank() == 2) {
    const int64_t rows = dense.type.shape[0], columns = dense.type.shape[1];
    for (int64_t r = 0; r < rows; ++r) {
      Set group;
      for (int64_t c = 0; c < columns; ++c) {
        const int64_t device = dense.data.IntAt(dense.splat ? 0 : r * columns + c);
        if (device < 0) continue;  // padding of uneven groups
        if (device >= devices) {
          return InvalidArgument(StrCat("device ", device, " of ", devices, " in a group"));
        }
        const size_t k = instances.of_device[static_cast<size_t>(device)];
        if (std::ranges::find(group, k) == group.end()) group.push_back(k);
      }
      if (std::ranges::find(groups, group) == groups.end()) groups.push_back(std::move(group));
    }
  }
  if (groups.empty()) {
    groups.emplace_back(instances.size());
    std::iota(groups[0].begin(), groups[0].end(), size_t{0});
  }
  std::vector<bool> in_group(instances.size(), false);
  for (const Set& g : groups) {
    for (const size_t k : g) {
      if (in_group[k]) return InvalidArgument("a device is in two groups");
      in_group[k] = true;
    }
  }
  if (std::ranges::find(in_group, false) != in_group.end()) {
    return InvalidArgument("a device is in no group");
  }
  return groups;
}

// The body of a reduction, which is about scalars, applied to arrays element by element.
Result<ValueId> Combine(const Frame& frame, const Region& body, ValueId a, ValueId b,
                        FuncWriter* w) {
  if (body.args.size() != 2) return InvalidArgument("a reduction of other than two arguments");
  std::unordered_map<ValueId, ValueId> made = {{body.args[0], a}, {body.args[1], b}};
  const Shape shape = w->Type(a).shape;
  for (size_t i = 0; i + 1 < body.ops.size(); ++i) {
    const Op& op = body.ops[i];
    if (op.name() == "sdy.sharding_constraint" && made.contains(op.operands[0])) {
      made[op.result()] = made.at(op.operands[0]);
      continue;
    }
    const bool constant = op.def->has(stablehlo::kConstantLike);
    if (op.num_results != 1 || (!constant && !op.def->has(stablehlo::kElementwise))) {
      return Unimplemented(StrCat("a reduction over devices by ", op.name()));
    }
    const TensorType type{frame.func->type(op.result()).dtype, shape};
    if (constant) {
      ASSIGN_OR_RETURN(const tensor::Tensor scalar, op.attr("value").AsDense().Materialize());
      made[op.result()] = w->Splat(type, scalar);
      continue;
    }
    std::vector<ValueId> operands;
    for (const ValueId v : op.operands) {
      const auto it = made.find(v);
      if (it == made.end()) return Unimplemented("a reduction over devices by outer values");
      operands.push_back(it->second);
    }
    made[op.result()] = w->Add(op.name(), std::move(operands), op.attrs, {type}).result();
  }
  const auto it = made.find(body.ops.back().operands[0]);
  if (it == made.end()) return Unimplemented("a reduction over devices by outer values");
  return it->second;
}

Status InGroup(Frame& frame, const Op& op, uint32_t i, const Set& group, FuncWriter* w) {
  const auto n = static_cast<int64_t>(group.size());
  std::vector<ValueId> values;
  for (const size_t k : group) values.push_back(frame.Get(op.operands[i], k));
  if (op.name() == "stablehlo.all_to_all") {
    const auto split = static_cast<size_t>(op.attr("split_dimension").AsInt());
    const auto concat = static_cast<size_t>(op.attr("concat_dimension").AsInt());
    if (op.attr("split_count").AsInt() != n) {
      return InvalidArgument(StrCat("split_count is not the size of the group, ", n));
    }
    for (int64_t to = 0; to < n; ++to) {
      std::vector<ValueId> parts;
      for (const ValueId from : values) parts.push_back(w->Chunk(from, split, n, to));
      frame.Set(op.result(i), group[static_cast<size_t>(to)], w->Concat(parts, concat));
    }
    return OkStatus();
  }
  ValueId made = values[0];  // collective_broadcast: what the first one has
  if (op.name() == "stablehlo.all_gather") {
    made = w->Concat(values, static_cast<size_t>(op.attr("all_gather_dim").AsInt()));
  } else if (!op.regions.empty()) {
    for (size_t k = 1; k < values.size(); ++k) {
      ASSIGN_OR_RETURN(made, Combine(frame, op.regions[0], made, values[k], w));
    }
  }
  for (int64_t k = 0; k < n; ++k) {
    ValueId mine = made;
    if (op.name() == "stablehlo.reduce_scatter") {
      mine = w->Chunk(made, static_cast<size_t>(op.attr("scatter_dimension").AsInt()), n, k);
    }
    frame.Set(op.result(i), group[static_cast<size_t>(k)], mine);
  }
  return OkStatus();
}

// Devices that nobody sends to get zeros.
Status Permute(Frame& frame, const Op& op, int64_t devices, FuncWriter* w) {
  const Dense& pairs = op.attr("source_target_pairs").AsDense();
  const Instances& instances = *frame.instances;
  std::vector<ValueId> got(instances.size(), kNoValue);
  const int64_t n = stablehlo::ElementCount(pairs.type) / 2;
  for (int64_t i = 0; i < n; ++i) {
    const int64_t from = pairs.data.IntAt(pairs.splat ? 0 : 2 * i);
    const int64_t to = pairs.data.IntAt(pairs.splat ? 0 : 2 * i + 1);
    if (from < 0 || to < 0 || from >= devices || to >= devices) {
      return InvalidArgument(StrCat("a permutation names a device beyond ", devices));
    }
    got[instances.of_device[static_cast<size_t>(to)]] =
        frame.Get(op.operands[0], instances.of_device[static_cast<size_t>(from)]);
  }
  const TensorType& type = frame.func->type(op.result());
  ValueId zero = kNoValue;
  for (size_t k = 0; k < got.size(); ++k) {
    if (got[k] == kNoValue && zero == kNoValue) {
      ASSIGN_OR_RETURN(zero, w->Zeros(type));
    }
    frame.Set(op.result(), k, got[k] == kNoValue ? zero : got[k]);
  }
  return OkStatus();
}

}  // namespace

bool IsCollective(const Op& op) {
  static constexpr std::string_view kNames[] = {
      "stablehlo.all_reduce",     "stablehlo.all_gather",           "stablehlo.all_to_all",
      "stablehlo.reduce_scatter", "stablehlo.collective_broadcast", "stablehlo.collective_permute"};
  return std::ranges::find(kNames, op.name()) != std::end(kNames);
}

Status WriteCollective(Frame& frame, const Op& op, const Set& set, int64_t devices, FuncWriter* w) {
  if (set.size() != frame.instances->size()) {
    return Unimplemented("a collective that not all devices reach together");
  }
  if (op.name() == "stablehlo.collective_permute") return Permute(frame, op, devices, w);
  ASSIGN_OR_RETURN(const std::vector<Set> groups, GroupsOf(frame, op, devices));
  for (const Set& group : groups) {
    for (size_t i = 0; i < op.operands.size(); ++i) {
      RETURN_IF_ERROR(InGroup(frame, op, static_cast<uint32_t>(i), group, w));
    }
  }
  return OkStatus();
}

}  // namespace megalith::spmd
