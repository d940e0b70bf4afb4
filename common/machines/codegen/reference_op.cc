#include "common/machines/codegen/reference_op.h"

#include <cstring>
#include <unordered_map>

#include "common/foundation/base/strings.h"
#include "common/programs/stablehlo/builder.h"
#include "common/programs/stablehlo/codec.h"
#include "common/programs/stablehlo/evaluate.h"
#include "common/programs/stablehlo/op_def.h"

namespace megalith::codegen {
namespace {

using stablehlo::Func;
using stablehlo::Op;
using stablehlo::Region;
using stablehlo::ValueId;
using tensor::Tensor;

// Copies ops from one function to another, numbering values anew.
class Copier {
 public:
  Copier(const Func& from, Func* to) : from_(from), to_(to) {}

  void Bind(ValueId from, ValueId to) { map_[from] = to; }
  ValueId Fresh(ValueId v) { return map_[v] = to_->AddValue(from_.type(v)); }

  Op Copy(const Op& op) {
    Op out = op;
    for (ValueId& v : out.operands) v = map_.at(v);
    out.regions.clear();
    for (const Region& r : op.regions) out.regions.push_back(CopyRegion(r));
    for (uint32_t i = 0; i < op.num_results; ++i) {
      const ValueId fresh = Fresh(op.result(i));
      if (i == 0) out.first_result = fresh;
    }
    return out;
  }

 private:
  Region CopyRegion(const Region& region) {
    Region out;
    for (const ValueId v : region.args) out.args.push_back(Fresh(v));
    for (const Op& op : region.ops) out.ops.push_back(Copy(op));
    return out;
  }

  const Func& from_;
  Func* to_;
  std::unordered_map<ValueId, ValueId> map_;
};

struct State {
  stablehlo::Plan plan;
  std::vector<kernels::ArraySpec> in, out;
};

Status RunReference(const void* state, const kernels::KernelCall& call) {
  const State& s = *static_cast<const State*>(state);
  std::vector<Tensor> inputs;
  for (size_t i = 0; i < s.in.size(); ++i) {
    // The arrays outlive the call, which keeps none of them.
    inputs.push_back(
        Tensor::View(s.in[i].dtype, s.in[i].shape, call.in[i],
                     std::shared_ptr<const void>(std::shared_ptr<const void>(), call.in[i])));
  }
  stablehlo::EvalOptions options;
  options.cancellation = call.cancellation;
  ASSIGN_OR_RETURN(const std::vector<Tensor> results, s.plan.Run(inputs, options));
  for (size_t i = 0; i < results.size(); ++i) {
    if (results[i].byte_size() > 0) {
      std::memcpy(call.out[i], results[i].data(), results[i].byte_size());
    }
  }
  return OkStatus();
}

kernels::ArraySpec SpecOf(const stablehlo::TensorType& t) {
  if (t.is_token) return {tensor::DType::kBool, {0}};
  return {t.dtype, t.shape};
}

Result<kernels::PreparedKernel> PrepareReference(std::string_view params,
                                                 std::span<const kernels::ArraySpec> in,
                                                 std::span<const kernels::ArraySpec> out) {
  ASSIGN_OR_RETURN(const stablehlo::Module module, stablehlo::DecodeModule(params));
  ASSIGN_OR_RETURN(stablehlo::Plan plan, stablehlo::Plan::Create(module));
  const auto same = [](std::span<const kernels::ArraySpec> specs,
                       const std::vector<stablehlo::TensorType>& types) {
    if (specs.size() != types.size()) return false;
    for (size_t i = 0; i < types.size(); ++i) {
      const kernels::ArraySpec want = SpecOf(types[i]);
      if (specs[i].dtype != want.dtype || !(specs[i].shape == want.shape)) return false;
    }
    return true;
  };
  if (!same(in, plan.input_types()) || !same(out, plan.output_types())) {
    return InvalidArgument("the program does not have the arrays of the call");
  }
  auto state = std::make_shared<State>(
      State{std::move(plan), {in.begin(), in.end()}, {out.begin(), out.end()}});
  kernels::PreparedKernel kernel;
  kernel.state = std::move(state);
  kernel.run = RunReference;
  return kernel;
}

}  // namespace

const kernels::LibraryKernel kReferenceKernel = {"stablehlo", PrepareReference};

Result<std::string> ReferenceParams(const Op& op, const Func& func,
                                    std::span<const ValueId> captured) {
  Func f;
  f.name = "main";
  f.visibility = stablehlo::Visibility::kPublic;
  Copier copier(func, &f);
  const auto bind = [&](ValueId v) {
    const ValueId p = f.AddValue(func.type(v));
    f.body.args.push_back(p);
    copier.Bind(v, p);
    return p;
  };
  // An operand that occurs twice is two parameters.
  std::vector<ValueId> operands;
  for (const ValueId v : op.operands) operands.push_back(bind(v));
  for (const ValueId v : captured) bind(v);
  Op copy = copier.Copy(op);
  copy.operands = operands;
  Op end;
  end.def = stablehlo::FindOp("func.return");
  for (uint32_t i = 0; i < op.num_results; ++i) {
    end.operands.push_back(copy.result(i));
    f.results.push_back(func.type(op.result(i)));
  }
  f.body.ops.push_back(std::move(copy));
  f.body.ops.push_back(std::move(end));
  stablehlo::Module module;
  RETURN_IF_ERROR(module.AddFunc(std::move(f)).status());
  return stablehlo::EncodeModule(module);
}

}  // namespace megalith::codegen
