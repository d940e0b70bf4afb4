#include "common/programs/stablehlo/canonical_rules.h"

#include "common/foundation/base/strings.h"
#include "common/programs/stablehlo/op_def.h"

namespace megalith::stablehlo {
namespace {

// Attributes of the row with a value or a default; of others only those that an op of an unknown
// kind (a custom call) may read. `written` are the attributes given.
AttrDict MeaningfulAttrs(const OpDef& def, const AttrDict& written, const Op& op,
                         const Func& func) {
  AttrDict out;
  for (const AttrSpec& spec : def.attrs) {
    if (spec.meaningless) continue;
    Attr value = FindAttr(written, spec.name);
    const bool unspecified = value.kind() == AttrKind::kEnum &&
                             value.enum_id() == EnumId::kCompareType &&
                             value.AsEnum() == static_cast<int>(CompareType::kNoType);
    if ((!value.present() || unspecified) && spec.fallback != nullptr)
      value = spec.fallback(op, func);
    if (value.kind() == AttrKind::kDense && !value.AsDense().splat && !value.AsDense().is_index) {
      value = Attr::OfTensor(value.AsDense().data);
    }
    SetAttr(&out, spec.name, std::move(value));
  }
  if (def.has(kPure)) return out;
  for (const NamedAttr& a : written) {
    const bool carried = a.name.starts_with("jax.") || a.name == "mhlo.sharding";
    if (def.FindAttr(a.name) == nullptr && !carried) SetAttr(&out, a.name, a.value);
  }
  return out;
}

// The chlo op that a composite names, if we have it and it fits; null otherwise.
const OpDef* NamedByComposite(const Op& op, const Func& func, Op* direct) {
  const std::string& name = op.attr("name").AsText();
  const OpDef* def = name.starts_with("chlo.") ? FindOp(name) : nullptr;
  if (def == nullptr || def->type_rule == nullptr ||
      static_cast<int>(op.operands.size()) != def->operands) {
    return nullptr;
  }
  direct->def = def;
  direct->operands = op.operands;
  direct->first_result = op.first_result;
  direct->num_results = op.num_results;
  direct->attrs = op.attr_or_default("composite_attributes", func).AsDict();
  for (const AttrSpec& spec : def->attrs) {
    if (direct->attr(spec.name).kind() != spec.kind) return nullptr;
  }
  std::vector<TensorType> types, declared;
  for (uint32_t i = 0; i < op.num_results; ++i) declared.push_back(func.type(op.result(i)));
  const Status s = def->type_rule(TypeQuery{*direct, func, nullptr, declared}, &types);
  return s.ok() && types == declared ? def : nullptr;
}

}  // namespace

bool IsNoOp(const Op& op, const Func& func) {
  if (op.def->has(kIdentity)) return true;
  return op.def->no_op != nullptr && op.num_results == 1 && !op.operands.empty() &&
         func.type(op.operands[0]) == func.type(op.result()) && op.def->no_op(op, func);
}

Result<CanonicalOp> CanonicalOf(const Op& op, const Func& func) {
  CanonicalOp out;
  out.def = op.def;
  if (op.def->has(kCallsFunction)) {
    Op direct;
    if (op.attr("callee").present()) {
      out.callee = op.attr("callee").AsText();
      return out;
    }
    if (NamedByComposite(op, func, &direct) != nullptr) return CanonicalOf(direct, func);
    out.callee = op.attr("decomposition").AsText();
    return out;
  }
  if (op.def->respelling != nullptr) {
    out.def = FindOp(op.def->respelling->op);
    out.operands = op.def->respelling->operands(op, func);
    out.attrs = MeaningfulAttrs(*out.def, {}, op, func);
    return out;
  }
  for (size_t i = 0; i < op.operands.size(); ++i) out.operands.push_back({i, {}});
  out.attrs = MeaningfulAttrs(*op.def, op.attrs, op, func);
  if (const Attr& called = op.attr("called_computations");
      called.present() && !called.AsList().empty()) {
    return Unimplemented(
        StrCat("custom call target @", op.attr("call_target_name").AsText(), " is not supported"));
  }
  const Attr& effect = op.attr("has_side_effect");
  out.no_effect =
      op.def->FindAttr("has_side_effect") != nullptr && !(effect.present() && effect.AsBool());
  return out;
}

}  // namespace megalith::stablehlo
