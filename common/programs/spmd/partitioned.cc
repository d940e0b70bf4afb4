#include "common/programs/spmd/partitioned.h"

#include <algorithm>
#include <utility>

#include "common/foundation/base/strings.h"
#include "common/programs/stablehlo/host_calls.h"
#include "common/programs/stablehlo/op_def.h"

namespace megalith::spmd {

using stablehlo::Op;
using stablehlo::TensorType;

namespace {

// Leading dimensions along which a call may be split, as it says itself: `num_batch_dims`.
size_t BatchDims(const Op& op) {
  const stablehlo::Attr& attrs = op.attr("mhlo.frontend_attributes");
  if (attrs.kind() != stablehlo::AttrKind::kDict) return 0;
  const stablehlo::Attr& n = stablehlo::FindAttr(attrs.AsDict(), "num_batch_dims");
  return n.kind() == stablehlo::AttrKind::kString ? ParseUint(n.AsText()).value_or(0) : 0;
}

}  // namespace

std::optional<Sharding> AfterMoving(const Op& op, const Shape& from, const Shape& to,
                                    const Sharding& operand) {
  Sharding out = operand;
  out.dims.resize(from.size());
  if (op.name() == "stablehlo.custom_call") {
    if (from == to && op.attr("call_target_name").AsText() == "LayoutConstraint") return out;
    const size_t batch = std::min({BatchDims(op), from.size(), to.size()});
    if (batch == 0) return std::nullopt;
    for (size_t d = 0; d < batch; ++d) {
      if (from[d] != to[d]) return std::nullopt;
    }
    out.dims.resize(batch);
    return out;
  }
  if (op.name() == "stablehlo.slice") {
    for (size_t d = 0; d < from.size(); ++d) {
      if (from[d] != to[d]) out.dims[d].clear();
    }
    return out;
  }
  if (op.name() == "stablehlo.transpose") {
    std::vector<std::vector<AxisRef>> dims;
    for (const int64_t d : op.attr("permutation").AsInts()) {
      dims.push_back(out.dims[static_cast<size_t>(d)]);
    }
    out.dims = std::move(dims);
    return out;
  }
  if (op.name() != "stablehlo.reshape") return std::nullopt;
  // Only dimensions of size 1 may come and go.
  std::vector<std::vector<AxisRef>> dims(to.size());
  size_t at = 0;
  for (size_t d = 0; d < from.size(); ++d) {
    if (from[d] == 1) continue;
    while (at < to.size() && to[at] == 1) ++at;
    if (at == to.size() || to[at] != from[d]) return std::nullopt;
    dims[at++] = std::move(out.dims[d]);
  }
  if (!std::all_of(to.begin() + static_cast<std::ptrdiff_t>(at), to.end(),
                   [](int64_t n) { return n == 1; })) {
    return std::nullopt;
  }
  out.dims = std::move(dims);
  return out;
}

bool TakesParts(const Op& op) {
  if (!stablehlo::IsHostCall(op)) return false;
  const stablehlo::Attr& config = op.attr("mhlo.backend_config");
  if (config.kind() != stablehlo::AttrKind::kDict) return false;
  const stablehlo::Attr& flag = stablehlo::FindAttr(config.AsDict(), "partitioned");
  return flag.kind() == stablehlo::AttrKind::kBool && flag.AsBool();
}

bool IsInspection(const Op& op) {
  return op.name() == "stablehlo.custom_call" && op.num_results == 0 && op.operands.size() == 1 &&
         op.attr("call_target_name").AsText() == "megalith.inspect_sharding";
}

Result<uint64_t> InspectionId(const Op& op) {
  const stablehlo::Attr& config = op.attr("mhlo.backend_config");
  if (config.kind() == stablehlo::AttrKind::kDict) {
    const stablehlo::Attr& id = stablehlo::FindAttr(config.AsDict(), "id");
    if (id.kind() == stablehlo::AttrKind::kInt) return static_cast<uint64_t>(id.AsInt());
  }
  return InvalidArgument("megalith.inspect_sharding has no number `id` in mhlo.backend_config");
}

Status WriteCallPerDevice(const Op& op, const std::vector<ValueId>& operands,
                          const std::vector<TensorType>& types,
                          const std::function<const Sharding*(ValueId)>& lies, int64_t devices,
                          FuncWriter* writer, std::vector<ValueId>* results) {
  const bool tokens = std::ranges::all_of(types, [](const TensorType& t) { return t.is_token; });
  if (!tokens || types.size() > 1) {
    return InvalidArgument("a call with the parts of arrays gives an array; only a token may be");
  }
  std::vector<ValueId> last;
  for (int64_t d = 0; d < devices; ++d) {
    Op call;
    call.def = op.def;
    call.attrs = op.attrs;
    call.line = op.line;
    for (const ValueId v : operands) {
      const Sharding* const sharding = lies(v);
      if (writer->Type(v).is_token) {
        call.operands.push_back(last.empty() ? v : last[0]);
      } else if (sharding == nullptr) {
        call.operands.push_back(v);
      } else {
        ASSIGN_OR_RETURN(const Part part, PartOf(*sharding, writer->Type(v).shape, d));
        call.operands.push_back(writer->Slice(v, part.start, part.shape));
      }
    }
    writer->SetResults(&call, types);
    last.clear();
    for (uint32_t r = 0; r < call.num_results; ++r) last.push_back(call.result(r));
    writer->ops().push_back(std::move(call));
  }
  results->insert(results->end(), last.begin(), last.end());
  return OkStatus();
}

}  // namespace megalith::spmd
