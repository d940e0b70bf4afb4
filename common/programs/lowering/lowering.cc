#include "common/programs/lowering/lowering.h"

#include <map>
#include <unordered_map>

#include "common/foundation/base/strings.h"
#include "common/foundation/tensor/physical.h"
#include "common/programs/ir/builder.h"
#include "common/programs/lowering/context.h"

namespace megalith::lowering {

using ir::Atom;
using ir::Aval;
using ir::Jaxpr;
using ir::JaxprPtr;
using stablehlo::Module;
using tensor::DType;
using tensor::Shape;
using tensor::Tensor;

TensorType PhysicalType(const Aval& aval) {
  tensor::ArrayType type =
      tensor::PhysicalType({.dtype = aval.dtype, .shape = aval.shape, .weak_type = false});
  return {type.dtype, std::move(type.shape)};
}

int64_t PhysicalRank(const Aval& aval) { return tensor::IsKey(aval.dtype) ? 1 : 0; }

// Lowers one program; owns the module and the functions made for nested programs.
class ModuleLowering {
 public:
  ModuleLowering(const ir::OpTable& ops, const LowerOptions& options)
      : ops_(ops), options_(options) {}

  Result<Module> Run(const ir::Program& program) {
    FuncBuilder b("main");
    Values inputs;
    for (const ir::VarId v : program.closed.jaxpr->invars()) {
      inputs.push_back(b.Arg(PhysicalType(program.closed.jaxpr->aval(v))));
    }
    Values consts;
    for (const Tensor& t : program.closed.consts)
      consts.push_back(b.Constant(tensor::ToPhysical(t)));
    const Values outs = Equations(b, *program.closed.jaxpr, consts, inputs);
    RETURN_IF_ERROR(status_);
    b.Return(outs);
    RETURN_IF_ERROR(b.FinishInto(&module_));
    for (stablehlo::Func& f : functions_) RETURN_IF_ERROR(module_.AddFunc(std::move(f)));
    return std::move(module_);
  }

  Values Equations(FuncBuilder& b, const Jaxpr& jaxpr, std::span<const ValueId> consts,
                   std::span<const ValueId> inputs) {
    std::vector<ValueId> env(jaxpr.num_vars(), stablehlo::kNoValue);
    for (size_t i = 0; i < consts.size(); ++i) env[jaxpr.constvars()[i]] = consts[i];
    for (size_t i = consts.size(); i < jaxpr.constvars().size(); ++i) {
      if (i < jaxpr.num_open())
        return Fail(InvalidArgument("a nested program has constants without values"));
      env[jaxpr.constvars()[i]] =
          b.Constant(tensor::ToPhysical(jaxpr.const_values()[i - jaxpr.num_open()]));
    }
    for (size_t i = 0; i < inputs.size(); ++i) env[jaxpr.invars()[i]] = inputs[i];
    const auto read = [&](Atom a) {
      return a.is_literal() ? Literal(b, jaxpr.literal(a)) : env[a.var()];
    };
    for (size_t i = 0; i < jaxpr.eqns().size() && status_.ok(); ++i) {
      const ir::Eqn& eqn = jaxpr.eqns()[i];
      std::vector<Aval> in_avals;
      Values ins;
      for (const Atom a : jaxpr.operands(eqn)) {
        in_avals.push_back(jaxpr.aval(a));
        ins.push_back(read(a));
      }
      std::vector<Aval> out_avals;
      for (uint32_t r = 0; r < eqn.num_results; ++r)
        out_avals.push_back(jaxpr.aval(eqn.first_result + r));
      const Values outs = Equation(b, *eqn.op, *eqn.params, std::move(in_avals), std::move(ins),
                                   std::move(out_avals));
      for (size_t r = 0; r < outs.size(); ++r) env[eqn.first_result + r] = outs[r];
    }
    Values outs;
    for (const Atom a : jaxpr.outs()) outs.push_back(read(a));
    return outs;
  }

  Values Equation(FuncBuilder& b, const ir::OpDef& op, const ir::Params& params,
                  std::vector<Aval> in_avals, Values ins, std::vector<Aval> out_avals) {
    if (!status_.ok()) return {};
    if (++ops_emitted_ > options_.max_ops) {
      return Fail(ResourceExhausted(StrCat("the lowered program has more than ", options_.max_ops,
                                           " operations (limit max_ops)")));
    }
    if (options_.cancel != nullptr && (ops_emitted_ & 1023) == 0) {
      const Status live = options_.cancel->Check();
      if (!live.ok()) return Fail(live);
    }
    if (op.lower == nullptr) {
      return Fail(NotImplementedError(StrCat("MLIR translation rule for primitive '", op.name,
                                             "' not found for platform megalith")));
    }
    const size_t results = out_avals.size();
    LowerContext context(*this, b, op, params, std::move(in_avals), std::move(ins),
                         std::move(out_avals));
    Status status = op.lower(context);
    if (status.ok()) status = b.status();
    if (status.ok() && context.outs().size() != results) {
      status = Internal(
          StrCat("lowering gives ", context.outs().size(), " values for ", results, " results"));
    }
    if (!status.ok()) return Fail(status.Annotate(StrCat("lowering ", op.name)));
    return context.outs();
  }

  // Private function of a nested program, made once per object and name.
  Values Call(FuncBuilder& b, std::string_view name, const JaxprPtr& jaxpr,
              std::span<const ValueId> inputs) {
    const std::pair<const Jaxpr*, std::string> key{jaxpr.get(), std::string(name)};
    auto it = called_.find(key);
    if (it == called_.end()) {
      const std::string unique = FreshName(name);
      FuncBuilder f(unique, stablehlo::Visibility::kPrivate);
      Values args;
      for (const ir::VarId v : jaxpr->invars()) args.push_back(f.Arg(PhysicalType(jaxpr->aval(v))));
      const Values outs = Equations(f, *jaxpr, {}, args);
      if (!status_.ok()) return {};
      f.Return(outs);
      Result<stablehlo::Func> finished = f.Finish();
      if (!finished.ok()) return Fail(finished.status());
      functions_.push_back(*std::move(finished));
      it = called_.emplace(key, std::pair{jaxpr, unique}).first;
    }
    std::vector<TensorType> types;
    for (const Aval& a : jaxpr->OutAvals()) types.push_back(PhysicalType(a));
    return b.Call(it->second.second, inputs, std::move(types));
  }

  // Private function of one equation, made once per primitive, parameters and types.
  Result<Values> Outlined(LowerContext& c, const std::function<Status(LowerContext&)>& body) {
    std::string key = StrCat(c.op().name);
    for (const ir::ParamValue& v : c.params().values()) StrAppend(&key, " ", v.PythonText());
    for (const Aval& a : c.in_avals()) StrAppend(&key, " ", a.Text());
    auto it = outlined_.find(key);
    if (it == outlined_.end()) {
      const std::string unique = FreshName(c.op().name);
      FuncBuilder f(unique, stablehlo::Visibility::kPrivate);
      Values args;
      for (const Aval& a : c.in_avals()) args.push_back(f.Arg(PhysicalType(a)));
      LowerContext inner(*this, f, c.op(), c.params(), c.in_avals(), std::move(args),
                         c.out_avals());
      RETURN_IF_ERROR(body(inner));
      RETURN_IF_ERROR(status_);
      f.Return(inner.outs());
      ASSIGN_OR_RETURN(stablehlo::Func finished, f.Finish());
      functions_.push_back(std::move(finished));
      it = outlined_.emplace(std::move(key), unique).first;
    }
    std::vector<TensorType> types;
    for (const Aval& a : c.out_avals()) types.push_back(PhysicalType(a));
    return c.b().Call(it->second, c.ins(), std::move(types));
  }

  Values Fail(Status status) {
    if (status_.ok()) status_ = std::move(status);
    return {};
  }
  const Status& status() const { return status_; }
  const ir::OpTable& ops() const { return ops_; }
  const LowerOptions& options() const { return options_; }

 private:
  // One constant op per distinct literal and function would save text; canonicalisation merges them
  // anyway.
  static ValueId Literal(FuncBuilder& b, const ir::Literal& literal) {
    return b.Constant(tensor::ToPhysical(literal.ToTensor()));
  }

  std::string FreshName(std::string_view hint) {
    std::string base;
    for (const char c : hint) {
      const bool word =
          (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
      base += word ? c : '_';
    }
    if (base.empty() || base == "main") base += "_";
    const int n = name_counts_[base]++;
    return n == 0 ? base : StrCat(base, "_", n);
  }

  const ir::OpTable& ops_;
  const LowerOptions& options_;
  Module module_;
  std::vector<stablehlo::Func> functions_;
  std::map<std::pair<const Jaxpr*, std::string>, std::pair<JaxprPtr, std::string>> called_;
  std::map<std::string, std::string> outlined_;
  std::map<std::string, int> name_counts_;
  uint64_t ops_emitted_ = 0;
  Status status_;
};

bool LowerContext::x64() const { return module_.options().x64; }

Values LowerContext::BroadcastOperands() {
  Values out;
  for (size_t i = 0; i < ins_.size(); ++i) out.push_back(BroadcastTo(ins_[i], out_type(0).shape));
  return out;
}

ValueId LowerContext::BroadcastTo(ValueId x, const Shape& shape) {
  const Shape& from = builder_.shape(x);
  if (from == shape) return x;
  tensor::Dims dims;
  for (size_t i = 0; i < from.size(); ++i)
    dims.push_back(static_cast<int64_t>(shape.size() - from.size() + i));
  return builder_.BroadcastInDim(x, shape, dims);
}

Values LowerContext::Inline(const JaxprPtr& jaxpr, std::span<const ValueId> inputs) {
  return module_.Equations(builder_, *jaxpr, {}, inputs);
}

Values LowerContext::Call(std::string_view name, const JaxprPtr& jaxpr,
                          std::span<const ValueId> inputs) {
  return module_.Call(builder_, name, jaxpr, inputs);
}

Status LowerContext::Outlined(const std::function<Status(LowerContext&)>& body) {
  ASSIGN_OR_RETURN(const Values results, module_.Outlined(*this, body));
  Out(results);
  return OkStatus();
}

Values LowerContext::Emit(
    std::string_view name, std::span<const ValueId> operands,
    const std::vector<Aval>& operand_avals,
    std::initializer_list<std::pair<std::string_view, ir::ParamValue>> named) {
  const ir::OpDef* op = module_.ops().Find(name);
  if (op == nullptr) return module_.Fail(Internal(StrCat("no primitive '", name, "'")));
  ir::Params params(*op);
  for (const auto& [key, value] : named) params.Set(key, value);
  Result<std::vector<Aval>> results = op->type_rule(ir::TypeArgs{*op, params, operand_avals});
  if (!results.ok()) return module_.Fail(results.status());
  return module_.Equation(builder_, *op, params, operand_avals,
                          Values(operands.begin(), operands.end()), *std::move(results));
}

Values LowerContext::Traced(
    std::span<const ValueId> operands, const std::vector<Aval>& operand_avals,
    const std::function<std::vector<ir::Value>(ir::Builder&, std::span<const ir::Value>)>& body) {
  ir::Session session(module_.ops());
  session.set_x64(x64());
  ir::Builder b(session);
  std::vector<ir::Value> inputs;
  for (const Aval& a : operand_avals) inputs.push_back(b.Input(a));
  const std::vector<ir::Value> outs = body(b, inputs);
  Result<JaxprPtr> jaxpr = b.Finish(outs);
  if (!jaxpr.ok()) return module_.Fail(jaxpr.status());
  return module_.Equations(builder_, **jaxpr, {}, operands);
}

Result<Module> Lower(const ir::Program& program, const ir::OpTable& ops,
                     const LowerOptions& options) {
  return ModuleLowering(ops, options).Run(program);
}

}  // namespace megalith::lowering
