#include "common/programs/ir/check.h"

#include "common/foundation/base/strings.h"

namespace megalith::ir {
namespace {

std::string TypesKey(const std::vector<Aval>& inputs, const std::vector<Aval>& consts) {
  std::string key;
  for (const Aval& a : inputs) StrAppend(&key, a.Text(), a.weak_type ? "~" : "", ";");
  key += "|";
  for (const Aval& a : consts) StrAppend(&key, a.Text(), a.weak_type ? "~" : "", ";");
  return key;
}

bool HasSubJaxpr(const Params& params) {
  for (const ParamValue& v : params.values()) {
    if (v.kind() == ParamValue::Kind::kJaxpr) return true;
    for (const ParamValue& e : v.elements()) {
      if (e.kind() == ParamValue::Kind::kJaxpr) return true;
    }
  }
  return false;
}

}  // namespace

Status CheckSize(const Aval& aval) {
  // Dimensions count even beside a 0: rules add and multiply them one by one.
  int64_t bytes = 16;
  bool overflow = false;
  for (const int64_t d : aval.shape)
    overflow |= d < 0 || __builtin_mul_overflow(bytes, d == 0 ? 1 : d, &bytes);
  if (overflow) {
    return InvalidArgument(
        StrCat("an array of type ", aval.Text(), " is larger than any machine's memory"));
  }
  return OkStatus();
}

Result<JaxprPtr> TypeChecker::Check(const JaxprPtr& jaxpr, const std::vector<Aval>& inputs,
                                    const std::vector<Aval>& consts) {
  const std::pair<const Jaxpr*, std::string> key{jaxpr.get(), TypesKey(inputs, consts)};
  const auto it = done_.find(key);
  if (it != done_.end()) return it->second.second;
  if (depth_ >= max_depth_) {
    return ResourceExhausted(
        StrCat("jaxprs are nested deeper than ", max_depth_, " levels (limit max_depth)"));
  }
  ++depth_;
  Result<JaxprPtr> checked = CheckUncached(*jaxpr, inputs, consts);
  --depth_;
  if (checked.ok()) done_[key] = {jaxpr, *checked};
  return checked;
}

Result<JaxprPtr> TypeChecker::CheckUncached(const Jaxpr& jaxpr, const std::vector<Aval>& inputs,
                                            const std::vector<Aval>& consts) {
  if (inputs.size() != jaxpr.invars().size()) {
    return TypeError(
        StrCat("a jaxpr of ", jaxpr.invars().size(), " inputs is given ", inputs.size()));
  }
  JaxprAssembler out;
  std::vector<VarId> ids(jaxpr.num_vars());
  if (depth_ > 1 && jaxpr.num_open() > 0) {
    return InvalidArgument(
        "a nested program has constants whose values text does not carry; send the proto form");
  }
  for (size_t i = 0; i < jaxpr.constvars().size(); ++i) {
    const Aval& declared = jaxpr.aval(jaxpr.constvars()[i]);
    const Aval& given = i < consts.size() ? consts[i] : declared;
    if (!declared.SameType(given)) {
      return TypeError(StrCat("constant ", i, " has type ", given.Text(), ", its binder says ",
                              declared.Text()));
    }
    RETURN_IF_ERROR(CheckSize(given));
    ids[jaxpr.constvars()[i]] =
        i < jaxpr.num_open() ? out.AddConst(given)
                             : out.AddConst(given, jaxpr.const_values()[i - jaxpr.num_open()]);
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Aval& declared = jaxpr.aval(jaxpr.invars()[i]);
    if (!declared.SameType(inputs[i])) {
      return TypeError(StrCat("input ", i, " has type ", inputs[i].Text(), ", its binder says ",
                              declared.Text()));
    }
    RETURN_IF_ERROR(CheckSize(inputs[i]));
    ids[jaxpr.invars()[i]] = out.AddInput(inputs[i]);
  }
  const auto atom = [&](Atom a) {
    return a.is_literal() ? out.AddLiteral(jaxpr.literal(a)) : Atom::Var(ids[a.var()]);
  };
  std::vector<Atom> operands;
  std::vector<Aval> types;
  for (size_t i = 0; i < jaxpr.eqns().size(); ++i) {
    const Eqn& eqn = jaxpr.eqns()[i];
    operands.clear();
    types.clear();
    for (const Atom a : jaxpr.operands(eqn)) {
      operands.push_back(atom(a));
      types.push_back(out.current().aval(operands.back()));
    }
    const auto where = [&](const Status& s) {
      return s.Annotate(StrCat("eqn ", i, " (", eqn.op->name, ")"));
    };
    std::shared_ptr<const Params> params = eqn.params;
    if (eqn.op->retype != nullptr && HasSubJaxpr(*params)) {
      Result<Params> retyped = eqn.op->retype(*this, TypeArgs{*eqn.op, *params, types});
      if (!retyped.ok()) return where(retyped.status());
      params = std::make_shared<const Params>(*std::move(retyped));
    }
    if (eqn.op->type_rule == nullptr) {
      return where(NotImplementedError(StrCat("primitive '", eqn.op->name, "' is not supported")));
    }
    const Result<std::vector<Aval>> results = eqn.op->type_rule(TypeArgs{*eqn.op, *params, types});
    if (!results.ok()) return where(results.status());
    if (results->size() != eqn.num_results) {
      return where(TypeError(
          StrCat("gives ", results->size(), " results, the text binds ", eqn.num_results)));
    }
    for (uint32_t r = 0; r < eqn.num_results; ++r) {
      const Aval& declared = jaxpr.aval(eqn.first_result + r);
      if (!declared.SameType((*results)[r])) {
        return where(Status::WithClass(Code::kInvalidArgument, "JaxprTypeError",
                                       StrCat("result ", r, " has type ", (*results)[r].Text(),
                                              ", its binder says ", declared.Text())));
      }
      const Status size = CheckSize((*results)[r]);
      if (!size.ok()) return where(size);
    }
    const VarId first = out.AddEqn(eqn.op, std::move(params), operands, *results);
    for (uint32_t r = 0; r < eqn.num_results; ++r) ids[eqn.first_result + r] = first + r;
  }
  std::vector<Atom> outs;
  for (const Atom a : jaxpr.outs()) outs.push_back(atom(a));
  out.SetOuts(std::move(outs));
  return out.Finish();
}

Result<ClosedJaxpr> CheckProgram(const ClosedJaxpr& program, const std::vector<bool>& weak_inputs,
                                 int max_depth) {
  const Jaxpr& jaxpr = *program.jaxpr;
  if (program.consts.size() != jaxpr.constvars().size()) {
    return InvalidArgument(StrCat("the program has ", jaxpr.constvars().size(), " constvars but ",
                                  program.consts.size(), " constants were sent with it"));
  }
  if (!weak_inputs.empty() && weak_inputs.size() != jaxpr.invars().size()) {
    return InvalidArgument(StrCat(weak_inputs.size(), " weak-type flags were sent for ",
                                  jaxpr.invars().size(), " inputs"));
  }
  std::vector<Aval> consts;
  for (const tensor::Tensor& t : program.consts)
    consts.push_back(Aval{t.dtype(), false, t.shape()});
  std::vector<Aval> inputs = jaxpr.InAvals();
  for (size_t i = 0; i < weak_inputs.size(); ++i) inputs[i].weak_type = weak_inputs[i];
  TypeChecker checker(max_depth);
  ASSIGN_OR_RETURN(JaxprPtr checked, checker.Check(program.jaxpr, inputs, consts));
  return ClosedJaxpr{std::move(checked), program.consts};
}

}  // namespace megalith::ir
