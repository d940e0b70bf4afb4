#include "common/programs/stablehlo/excess_precision.h"

#include <algorithm>
#include <unordered_map>

#include "common/programs/stablehlo/op_def.h"

namespace megalith::stablehlo {
namespace {

bool IsFromBf16(const Op& op, const Func& func) {
  return op.name() == "stablehlo.convert" && func.type(op.operands[0]).dtype == DType::kBF16 &&
         func.type(op.result()).dtype == DType::kF32;
}

// An operation with one bf16 result that is computed in f32 and rounded.
bool Rounds(const Op& op, const Func& func) {
  if (op.num_results != 1 || op.operands.empty() || func.type(op.result()).dtype != DType::kBF16)
    return false;
  const bool all_bf16 = std::all_of(op.operands.begin(), op.operands.end(),
                                    [&](ValueId v) { return func.type(v).dtype == DType::kBF16; });
  return all_bf16 && (op.def->has(kElementwise) || op.def->has(kWidensProducts));
}

class Widener {
 public:
  explicit Widener(Func& func) : func_(func) {}

  void Rewrite(Region& region) {
    std::unordered_map<ValueId, const Op*> makers;
    for (Op& op : region.ops) {
      for (Region& inner : op.regions) Rewrite(inner);
      if (Rounds(op, func_)) makers[op.result()] = &op;
    }
    std::vector<Op> out;
    out.reserve(region.ops.size());
    for (const Op& op : region.ops) {
      const auto maker = IsFromBf16(op, func_) ? makers.find(op.operands[0]) : makers.end();
      if (maker == makers.end()) {
        out.push_back(op);
      } else {
        EmitWide(*maker->second, op, &out);
      }
    }
    region.ops = std::move(out);
  }

 private:
  // `maker` again, giving the result of `convert`.
  void EmitWide(const Op& maker, const Op& convert, std::vector<Op>* out) {
    Op wide = maker;
    wide.first_result = convert.first_result;
    for (ValueId& operand : wide.operands) {
      if (maker.def->has(kWidensProducts)) break;  // takes bf16 operands and gives f32 by itself
      Op widen = convert;
      widen.operands = {operand};
      widen.first_result = func_.AddValue({DType::kF32, func_.type(operand).shape});
      operand = widen.first_result;
      out->push_back(std::move(widen));
    }
    out->push_back(std::move(wide));
  }

  Func& func_;
};

}  // namespace

bool ConvertsFromBf16(const Module& module) {
  bool found = false;
  for (const Func& func : module.funcs()) {
    ForEachOp(func.body, [&](const Op& op) { found = found || IsFromBf16(op, func); });
  }
  return found;
}

Module WithoutBf16Rounding(Module module) {
  for (Func& func : module.mutable_funcs()) Widener(func).Rewrite(func.body);
  return module;
}

}  // namespace megalith::stablehlo
