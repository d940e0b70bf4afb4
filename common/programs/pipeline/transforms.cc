#include "common/programs/pipeline/transforms.h"

#include <algorithm>
#include <cctype>

#include "common/foundation/base/strings.h"
#include "common/programs/autodiff/jvp.h"
#include "common/programs/autodiff/linearize.h"
#include "common/programs/autodiff/transpose.h"
#include "common/programs/batching/batching.h"
#include "common/programs/ir/emit.h"
#include "common/programs/pipeline/jacobian.h"
#include "common/programs/staging/jaxpr_ops.h"
#include "common/programs/staging/partial_eval.h"

namespace megalith::pipeline {
namespace {

using ir::Aval;
using ir::Builder;
using ir::DType;
using ir::ParamValue;
using ir::Value;
using Avals = std::vector<Aval>;
using Values = std::vector<Value>;

std::string DTypeText(DType d) { return std::string(tensor::NumpyName(d)); }

// The values of all constvars.
Values Constants(Builder& b, const Callee& f) { return b.BindConsts(*f.jaxpr, f.captured); }

Result<Avals> SameArgs(const Transform&, const Avals& args) { return args; }
Result<Avals> SameArgsOut(const Transform&, const Avals& args, const Avals&) { return args; }

// ---- jit ----

// Calls the function as a nested program, which keeps its array constants; captured values are
// leading operands.
Result<Values> ApplyJit(Builder& b, const Transform&, const Callee& inner,
                        std::span<const Value> args) {
  Values operands = inner.captured;
  operands.insert(operands.end(), args.begin(), args.end());
  return b.EmitN("jit", operands,
                 {{"name", ParamValue::Text(inner.fun_name)},
                  {"jaxpr", ParamValue::SubJaxpr(staging::ConstsToInputs(inner.jaxpr))}});
}

// ---- grad ----

Status CheckReverseInput(std::string_view name, const Aval& aval) {
  if (tensor::IsInexact(aval.dtype)) return OkStatus();
  return TypeError(StrCat(
      name,
      " requires real- or complex-valued inputs (input dtype that is a sub-dtype of "
      "np.inexact), but got ",
      DTypeText(aval.dtype),
      ". If you want to use Boolean- or integer-valued inputs, use vjp or set allow_int to True."));
}

Status CheckReverseOutput(std::string_view name, const Aval& aval) {
  if (tensor::IsFloat(aval.dtype)) return OkStatus();
  if (tensor::IsKey(aval.dtype))
    return TypeError(StrCat(name, " with output element type ", DTypeText(aval.dtype)));
  return TypeError(StrCat(
      name,
      " requires real-valued outputs (output dtype that is a sub-dtype of np.floating), but "
      "got ",
      DTypeText(aval.dtype), ". For differentiation of functions with ",
      tensor::IsComplex(aval.dtype) ? "complex" : "integer", " outputs, use jax.vjp directly."));
}

Result<Avals> InnerOfReverse(std::string_view name, const Transform& t, const Avals& args) {
  ASSIGN_OR_RETURN(const std::vector<size_t> argnums, ResolveArgnums(t, args.size()));
  for (const size_t i : argnums) RETURN_IF_ERROR(CheckReverseInput(name, args[i]));
  return args;
}

Result<Avals> InnerOfGrad(const Transform& t, const Avals& args) {
  return InnerOfReverse("grad", t, args);
}
Result<Avals> InnerOfJacrev(const Transform& t, const Avals& args) {
  return InnerOfReverse("jacrev", t, args);
}

// Value, aux outputs and gradients.
struct ValueAndGrad {
  Value value;
  Values aux;
  Values grads;
};

Result<ValueAndGrad> EmitValueAndGrad(Builder& b, const Transform& t, const Callee& inner,
                                      std::span<const Value> args) {
  ASSIGN_OR_RETURN(const std::vector<size_t> argnums, ResolveArgnums(t, args.size()));
  const Avals out_avals = inner.jaxpr->OutAvals();
  if (t.has_aux && out_avals.size() < 2) {
    return TypeError(
        "expected function with aux output to return a two-element tuple, but got a single output");
  }
  if (out_avals.empty() || (!t.has_aux && out_avals.size() != 1)) {
    return TypeError(StrCat("Gradient only defined for scalar-output functions. Output was ",
                            out_avals.size(), " values."));
  }
  const Aval& out = out_avals[0];
  if (out.rank() != 0) {
    return TypeError(StrCat("Gradient only defined for scalar-output functions. Output had shape: ",
                            tensor::TupleText(out.shape), "."));
  }
  RETURN_IF_ERROR(CheckReverseOutput("grad", out));
  std::vector<bool> wanted(args.size(), false);
  for (const size_t i : argnums) wanted[i] = true;
  const Values consts = Constants(b, inner);
  Values outs;
  ASSIGN_OR_RETURN(const autodiff::LinearMap map,
                   autodiff::Linearize(b, *inner.jaxpr, consts, args, wanted, &outs));
  Values cts;
  for (size_t i = 0; i < outs.size(); ++i) {
    if (!map.nonzero_out[i]) continue;
    // Aux outputs are not differentiated: no cotangent arrives at them.
    cts.push_back(i == 0 ? ir::ScalarOf(b, outs[0].dtype(), 1, outs[0].aval().weak_type) : Value());
  }
  std::vector<ir::LinearOperand> inputs;
  for (const ir::VarId v : map.jaxpr->invars())
    inputs.push_back({Value(), map.jaxpr->aval(v), true});
  const Values in_cts = autodiff::BackwardPass(b, *map.jaxpr, map.residuals, inputs, cts);
  RETURN_IF_ERROR(b.status());
  ValueAndGrad result;
  result.value = outs[0];
  result.aux.assign(outs.begin() + 1, outs.end());
  // Inputs of the linear map are the wanted arguments in argument order; zeros are instantiated in
  // that order too.
  std::vector<Value> by_arg(args.size());
  size_t next = 0;
  for (size_t i = 0; i < args.size(); ++i) {
    if (!wanted[i]) continue;
    by_arg[i] = in_cts[next] ? in_cts[next] : ir::Zeros(b, inputs[next].aval);
    ++next;
  }
  for (const size_t i : argnums) result.grads.push_back(by_arg[i]);
  return result;
}

Result<Values> ApplyGrad(Builder& b, const Transform& t, const Callee& inner,
                         std::span<const Value> args) {
  ASSIGN_OR_RETURN(ValueAndGrad r, EmitValueAndGrad(b, t, inner, args));
  Values out = std::move(r.grads);
  out.insert(out.end(), r.aux.begin(), r.aux.end());
  return out;
}

Result<Values> ApplyValueAndGrad(Builder& b, const Transform& t, const Callee& inner,
                                 std::span<const Value> args) {
  ASSIGN_OR_RETURN(ValueAndGrad r, EmitValueAndGrad(b, t, inner, args));
  Values out = {r.value};
  out.insert(out.end(), r.aux.begin(), r.aux.end());
  out.insert(out.end(), r.grads.begin(), r.grads.end());
  return out;
}

// ---- jvp, linearize ----

Result<Avals> InnerOfJvp(const Transform& t, const Avals& args) {
  if (args.size() % 2 != 0) {
    return TypeError(
        StrCat(t.name, " takes as many tangents as primals, got ", args.size(), " arguments"));
  }
  const size_t n = args.size() / 2;
  for (size_t i = 0; i < n; ++i) {
    const Aval& p = args[i];
    const Aval& tangent = args[n + i];
    if (tensor::TangentDType(p.dtype) != tangent.dtype) {
      return TypeError(StrCat(
          "primal and tangent arguments to jax.jvp do not match; dtypes must be equal, or in case "
          "of int/bool primal dtype the tangent dtype must be float0.Got primal dtype ",
          DTypeText(p.dtype), " and so expected tangent dtype ",
          DTypeText(tensor::TangentDType(p.dtype)), ", but got tangent dtype ",
          DTypeText(tangent.dtype), " instead."));
    }
    if (!(p.shape == tangent.shape)) {
      return ValueError(StrCat(
          "jvp called with different primal and tangent shapes;Got primal shape ",
          tensor::TupleText(p.shape), " and tangent shape as ", tensor::TupleText(tangent.shape)));
    }
  }
  return Avals(args.begin(), args.begin() + static_cast<int64_t>(n));
}

Result<Avals> OuterOfJvp(const Transform&, const Avals& inner, const Avals&) {
  Avals out = inner;
  for (const Aval& a : inner) out.push_back(a.Tangent().Strong());
  return out;
}

Result<Values> ApplyJvp(Builder& b, const Transform&, const Callee& inner,
                        std::span<const Value> args) {
  const size_t n = args.size() / 2;
  const Values consts = Constants(b, inner);
  const ir::JvpResult r =
      autodiff::EvalJvp(b, *inner.jaxpr, consts, args.subspan(0, n), args.subspan(n));
  RETURN_IF_ERROR(b.status());
  Values out = r.primals;
  for (size_t i = 0; i < r.tangents.size(); ++i) {
    out.push_back(ir::InstantiateZeros(b, r.tangents[i], r.primals[i].aval()));
  }
  return out;
}

Result<Values> ApplyLinearize(Builder& b, const Transform&, const Callee& inner,
                              std::span<const Value> args) {
  const size_t n = args.size() / 2;
  const Values consts = Constants(b, inner);
  Values outs;
  ASSIGN_OR_RETURN(const autodiff::LinearMap map,
                   autodiff::Linearize(b, *inner.jaxpr, consts, args.subspan(0, n),
                                       std::vector<bool>(n, true), &outs));
  Values tangents(outs.size());
  for (size_t i = 0; i < outs.size(); ++i) {
    if (!map.nonzero_out[i]) tangents[i] = ir::Zeros(b, outs[i].aval().Tangent());
  }
  const Values nonzero = b.Inline(*map.jaxpr, map.residuals, args.subspan(n));
  RETURN_IF_ERROR(b.status());
  size_t next = 0;
  for (Value& t : tangents) {
    if (!t) t = nonzero[next++];
  }
  outs.insert(outs.end(), tangents.begin(), tangents.end());
  return outs;
}

// ---- vjp, linear_transpose ----

Result<Avals> InnerOfVjp(const Transform& t, const Avals& args) {
  if (t.num_primals < 0 || static_cast<size_t>(t.num_primals) > args.size()) {
    return InvalidArgument(
        StrCat(t.name, " has num_primals=", t.num_primals, " but ", args.size(), " arguments"));
  }
  return Avals(args.begin(), args.begin() + t.num_primals);
}

Result<Avals> OuterOfVjp(const Transform&, const Avals& inner, const Avals& outs) {
  Avals out = inner;
  for (const Aval& a : outs) out.push_back(a.Tangent().Strong());
  return out;
}

Status CheckCotangents(const Values& outs, std::span<const Value> cts) {
  if (outs.size() != cts.size()) {
    return ValueError(StrCat("unexpected tree structure. The function has ", outs.size(),
                             " outputs, but ", cts.size(), " cotangents were given."));
  }
  for (size_t i = 0; i < outs.size(); ++i) {
    const Aval want = outs[i].aval().Tangent();
    if (want.SameType(cts[i].aval())) continue;
    return ValueError(
        StrCat("unexpected JAX type (e.g. shape/dtype) for argument to VJP function: got ",
               cts[i].aval().Text(), ", but expected ", want.Text(),
               " because the corresponding output of the differentiated function had JAX type ",
               outs[i].aval().Text()));
  }
  return OkStatus();
}

Result<Values> ApplyVjp(Builder& b, const Transform& t, const Callee& inner,
                        std::span<const Value> args) {
  const auto n = static_cast<size_t>(t.num_primals);
  const Values consts = Constants(b, inner);
  Values outs;
  ASSIGN_OR_RETURN(const autodiff::LinearMap map,
                   autodiff::Linearize(b, *inner.jaxpr, consts, args.subspan(0, n),
                                       std::vector<bool>(n, true), &outs));
  RETURN_IF_ERROR(CheckCotangents(outs, args.subspan(n)));
  Values cts;
  for (size_t i = 0; i < outs.size(); ++i) {
    if (map.nonzero_out[i]) cts.push_back(args[n + i]);
  }
  std::vector<ir::LinearOperand> inputs;
  for (const ir::VarId v : map.jaxpr->invars())
    inputs.push_back({Value(), map.jaxpr->aval(v), true});
  Values in_cts = autodiff::BackwardPass(b, *map.jaxpr, map.residuals, inputs, cts);
  RETURN_IF_ERROR(b.status());
  for (size_t i = 0; i < n; ++i) {
    if (!in_cts[i]) in_cts[i] = ir::Zeros(b, inputs[i].aval);
  }
  outs.insert(outs.end(), in_cts.begin(), in_cts.end());
  return outs;
}

Result<Values> ApplyLinearTranspose(Builder& b, const Transform& t, const Callee& inner,
                                    std::span<const Value> args) {
  const auto n = static_cast<size_t>(t.num_primals);
  const ir::JaxprPtr& jaxpr = inner.jaxpr;
  bool all_inexact = true;
  bool all_integer = true;
  for (const Avals& avals : {jaxpr->InAvals(), jaxpr->OutAvals()}) {
    for (const Aval& a : avals) {
      all_inexact = all_inexact && tensor::IsInexact(a.dtype);
      all_integer = all_integer && tensor::IsInteger(a.dtype);
    }
  }
  if (!all_inexact && !all_integer) {
    return TypeError(
        "linear_transpose only supports [float or complex] -> [float or complex], and integer -> "
        "integer "
        "functions");
  }
  const Avals outs = jaxpr->OutAvals();
  if (args.size() != n + outs.size()) {
    return TypeError(StrCat("cotangent tree does not match function output: ", outs.size(),
                            " outputs, ", args.size() - n, " cotangents"));
  }
  for (size_t i = 0; i < outs.size(); ++i) {
    if (!outs[i].SameType(args[n + i].aval())) {
      return TypeError(StrCat("cotangent type does not match function output, expected ",
                              outs[i].Text(), " but got ", args[n + i].aval().Text()));
    }
  }
  // What does not depend on the arguments is evaluated first; what does is the linear program.
  Builder linear(b.session());
  staging::SplitBuilder split(b, linear);
  Values unknown;
  for (const Aval& aval : jaxpr->InAvals()) unknown.push_back(linear.Input(aval));
  const Values results = split.Inline(*jaxpr, Constants(b, inner), unknown);
  RETURN_IF_ERROR(split.status());
  Values consts;
  ASSIGN_OR_RETURN(const ir::JaxprPtr program, linear.Finish(results, &consts, /*remove_dead=*/true,
                                                             Builder::CaptureOrder::kSearch));
  std::vector<ir::LinearOperand> inputs;
  for (const Aval& aval : jaxpr->InAvals()) inputs.push_back({Value(), aval, true});
  Values in_cts = autodiff::BackwardPass(b, *program, consts, inputs, args.subspan(n));
  RETURN_IF_ERROR(b.status());
  for (size_t i = 0; i < in_cts.size(); ++i) {
    if (!in_cts[i]) in_cts[i] = ir::Zeros(b, inputs[i].aval);
  }
  return in_cts;
}

// ---- vmap ----

Result<std::vector<int>> InDims(const Transform& t, const Avals& args) {
  if (t.in_axes_is_list && t.in_axes.size() != args.size()) {
    return ValueError(
        StrCat("vmap in_axes must be an int, None, or a tuple of entries corresponding to the "
               "positional arguments passed to the function, but got len(in_axes)=",
               t.in_axes.size(), ", len(args)=", args.size()));
  }
  std::vector<int> dims;
  for (size_t i = 0; i < args.size(); ++i) {
    const std::optional<int64_t> axis = t.in_axes_is_list ? t.in_axes[i] : t.in_axes[0];
    if (!axis) {
      dims.push_back(ir::kUnmapped);
      continue;
    }
    const auto rank = static_cast<int64_t>(args[i].rank());
    if (*axis >= rank || *axis < -rank) {
      return ValueError(StrCat("vmap was requested to map its argument along axis ", *axis,
                               ", which implies that its rank should be at least ",
                               *axis >= 0 ? *axis + 1 : -*axis, ", but is only ", rank,
                               " (its shape is ", tensor::TupleText(args[i].shape), ")"));
    }
    dims.push_back(static_cast<int>(*axis < 0 ? *axis + rank : *axis));
  }
  return dims;
}

Result<int64_t> MappedSize(const Transform& t, const Avals& args, const std::vector<int>& dims) {
  std::optional<int64_t> size = t.axis_size;
  std::string sizes;
  bool consistent = true;
  for (size_t i = 0; i < args.size(); ++i) {
    if (dims[i] == ir::kUnmapped) continue;
    const int64_t n = args[i].shape[static_cast<size_t>(dims[i])];
    StrAppend(&sizes, "\n  * axis ", dims[i], " of argument ", i, " of type ", args[i].Text(),
              " has size ", n);
    if (!size) size = n;
    consistent = consistent && *size == n;
  }
  if (!size) return ValueError("vmap must have at least one non-None value in in_axes");
  if (!consistent)
    return ValueError(StrCat("vmap got inconsistent sizes for array axes to be mapped:", sizes));
  if (*size < 0) return ValueError("vmap axis_size must not be negative");
  return *size;
}

Result<Avals> InnerOfVmap(const Transform& t, const Avals& args) {
  ASSIGN_OR_RETURN(const std::vector<int> dims, InDims(t, args));
  RETURN_IF_ERROR(MappedSize(t, args, dims));
  Avals out = args;
  for (size_t i = 0; i < out.size(); ++i) {
    if (dims[i] != ir::kUnmapped) out[i].shape.erase(static_cast<size_t>(dims[i]));
  }
  return out;
}

Result<Avals> OuterOfVmap(const Transform& t, const Avals& inner, const Avals&) {
  if (!t.axis_size) {
    return InvalidArgument(
        "vmap needs axis_size, or the types of the arguments, when a program is traced without "
        "them");
  }
  if (*t.axis_size < 0) return ValueError("vmap axis_size must not be negative");
  Avals out = inner;
  for (size_t i = 0; i < out.size(); ++i) {
    const std::optional<int64_t> axis =
        t.in_axes_is_list ? (i < t.in_axes.size() ? t.in_axes[i] : std::nullopt) : t.in_axes[0];
    if (!axis) continue;
    const auto rank = static_cast<int64_t>(out[i].rank()) + 1;
    if (*axis >= rank || *axis < -rank)
      return ValueError(StrCat("vmap in_axes ", *axis, " is out of range"));
    out[i].shape.insert(static_cast<size_t>(*axis < 0 ? *axis + rank : *axis), *t.axis_size);
  }
  return out;
}

Result<Values> ApplyVmap(Builder& b, const Transform& t, const Callee& inner,
                         std::span<const Value> args) {
  Avals arg_avals;
  for (const Value& v : args) arg_avals.push_back(v.aval());
  ASSIGN_OR_RETURN(const std::vector<int> dims, InDims(t, arg_avals));
  ASSIGN_OR_RETURN(const int64_t size, MappedSize(t, arg_avals, dims));
  const ir::AxisData axis{t.axis_name, size};
  const Values consts = Constants(b, inner);
  ir::BatchResult r = batching::EvalBatched(b, *inner.jaxpr, consts, args, dims, axis);
  RETURN_IF_ERROR(b.status());
  if (t.out_axes_is_list && t.out_axes.size() != r.values.size()) {
    return ValueError(
        StrCat("vmap out_axes specification must be a tree prefix of the corresponding value, got ",
               t.out_axes.size(), " entries for ", r.values.size(), " outputs"));
  }
  for (size_t i = 0; i < r.values.size(); ++i) {
    const std::optional<int64_t> to = t.out_axes_is_list ? t.out_axes[i] : t.out_axes[0];
    const std::string where = t.out_axes_is_list ? StrCat("[", i, "]") : "";
    if (!to) {
      if (r.dims[i] == ir::kUnmapped) continue;
      return ValueError(StrCat("at vmap out_axes", where,
                               ", got axis spec None but output was batched on axis ", r.dims[i]));
    }
    const auto rank =
        static_cast<int64_t>(r.values[i].rank()) + (r.dims[i] == ir::kUnmapped ? 1 : 0);
    if (*to >= rank || *to < -rank) {
      return ValueError(StrCat("axis ", *to, " is out of bounds for array of dimension ", rank));
    }
    r.values[i] = batching::MatchAxis(b, r.values[i], r.dims[i],
                                      static_cast<int>(*to < 0 ? *to + rank : *to), size);
  }
  RETURN_IF_ERROR(b.status());
  return r.values;
}

// ---- Jacobians ----

Result<Avals> InnerOfJacfwd(const Transform& t, const Avals& args) {
  ASSIGN_OR_RETURN(const std::vector<size_t> argnums, ResolveArgnums(t, args.size()));
  for (const size_t i : argnums) {
    if (tensor::IsFloat(args[i].dtype)) continue;
    return TypeError(StrCat(
        "jacfwd requires real-valued inputs (input dtype that is a sub-dtype of np.floating), but "
        "got ",
        DTypeText(args[i].dtype),
        ". For differentiation of functions involving complex inputs or integer inputs, use "
        "jax.jvp directly."));
  }
  return args;
}

Result<Values> ApplyJacfwd(Builder& b, const Transform& t, const Callee& inner,
                           std::span<const Value> args) {
  return EmitJacfwd(b, t, inner, args);
}

Result<Values> ApplyJacrev(Builder& b, const Transform& t, const Callee& inner,
                           std::span<const Value> args) {
  for (const Aval& a : inner.jaxpr->OutAvals()) RETURN_IF_ERROR(CheckReverseOutput("jacrev", a));
  return EmitJacrev(b, t, inner, args);
}

// hessian(f) = jacfwd(jacrev(f)).
Result<Avals> InnerOfHessian(const Transform& t, const Avals& args) {
  RETURN_IF_ERROR(InnerOfJacfwd(t, args));
  return InnerOfJacrev(t, args);
}

Result<Values> ApplyHessian(Builder& b, const Transform& t, const Callee& inner,
                            std::span<const Value> args) {
  Builder rev(b.session());
  Values inputs;
  for (const Value& v : args) inputs.push_back(rev.Input(v.aval()));
  ASSIGN_OR_RETURN(const Values outs, ApplyJacrev(rev, t, inner, inputs));
  Callee gradient;
  ASSIGN_OR_RETURN(gradient.jaxpr, rev.Finish(outs, &gradient.captured));
  return EmitJacfwd(b, t, gradient, args);
}

// ---- checkpoint ----

// Array constants come before the arguments: remat2 takes an open jaxpr.
ir::JaxprPtr AllConstsToInputs(const ir::JaxprPtr& jaxpr) {
  ir::JaxprAssembler open(*jaxpr);
  open.SetConstValues({});
  return staging::ConstsToInputs(open.Finish());
}

Result<Values> ApplyCheckpoint(Builder& b, const Transform& t, const Callee& inner,
                               std::span<const Value> args) {
  Values operands = Constants(b, inner);
  operands.insert(operands.end(), args.begin(), args.end());
  const ParamValue policy = t.policy.empty()
                                ? ParamValue::None()
                                : ParamValue::Text(StrCat("<function ", t.policy, " at 0x0>"));
  return b.EmitN("remat2", operands,
                 {{"jaxpr", ParamValue::SubJaxpr(AllConstsToInputs(inner.jaxpr))},
                  {"policy", policy},
                  {"prevent_cse", ParamValue::Bool(t.prevent_cse)},
                  {"differentiated", ParamValue::Bool(false)}});
}

constexpr TransformDef kTransforms[] = {
    {"jit", SameArgs, SameArgsOut, ApplyJit},
    {"grad", InnerOfGrad, SameArgsOut, ApplyGrad},
    {"value_and_grad", InnerOfGrad, SameArgsOut, ApplyValueAndGrad},
    {"jvp", InnerOfJvp, OuterOfJvp, ApplyJvp, false},
    {"linearize", InnerOfJvp, OuterOfJvp, ApplyLinearize, false},
    {"vjp", InnerOfVjp, OuterOfVjp, ApplyVjp, false},
    {"linear_transpose", InnerOfVjp, OuterOfVjp, ApplyLinearTranspose, false},
    {"vmap", InnerOfVmap, OuterOfVmap, ApplyVmap},
    {"jacfwd", InnerOfJacfwd, SameArgsOut, ApplyJacfwd},
    {"jacrev", InnerOfJacrev, SameArgsOut, ApplyJacrev},
    {"hessian", InnerOfHessian, SameArgsOut, ApplyHessian},
    {"checkpoint", SameArgs, SameArgsOut, ApplyCheckpoint},
};

}  // namespace

Callee CalleeOf(const ir::Program& program) {
  const ir::JaxprPtr& jaxpr = program.closed.jaxpr;
  return {jaxpr->num_open() == 0 ? jaxpr : ir::WithConstValues(jaxpr, program.closed.consts),
          {},
          program.fun_name};
}

const TransformDef* FindTransform(std::string_view name) {
  for (const TransformDef& t : kTransforms) {
    if (t.name == name) return &t;
  }
  return nullptr;
}

std::vector<std::string_view> TransformNames() {
  std::vector<std::string_view> out;
  for (const TransformDef& t : kTransforms) out.push_back(t.name);
  return out;
}

bool IsTransform(std::string_view name) { return FindTransform(name) != nullptr; }

namespace {
std::string AxesText(const Axes& axes, bool is_list) {
  std::vector<std::string> texts;
  for (const auto& a : axes) texts.push_back(a ? StrCat(*a) : "None");
  return is_list ? StrCat("[", Join(texts, ","), "]") : texts.empty() ? "" : texts[0];
}
}  // namespace

std::string Transform::Text() const {
  std::vector<std::string> fields;
  const bool differentiates = name == "grad" || name == "value_and_grad" || name == "jacfwd" ||
                              name == "jacrev" || name == "hessian";
  if (differentiates) {
    fields.push_back(StrCat("argnums=", argnums_is_list ? "[" : "", Join(argnums, ","),
                            argnums_is_list ? "]" : ""));
    if (has_aux) fields.push_back("has_aux=True");
  }
  if (name == "vmap") {
    fields.push_back(StrCat("in_axes=", AxesText(in_axes, in_axes_is_list)));
    fields.push_back(StrCat("out_axes=", AxesText(out_axes, out_axes_is_list)));
    // Any text may be a name; quoted it cannot pass for another field or transform, so that keys
    // stay apart.
    const auto is_plain = [](char c) {
      return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
    };
    const bool plain = std::all_of(axis_name.begin(), axis_name.end(), is_plain);
    if (!axis_name.empty())
      fields.push_back(StrCat("axis_name=", plain ? axis_name : JsonQuote(axis_name)));
    if (axis_size) fields.push_back(StrCat("axis_size=", *axis_size));
  }
  if (name == "vjp" || name == "linear_transpose")
    fields.push_back(StrCat("num_primals=", num_primals));
  if (name == "checkpoint") {
    fields.push_back(StrCat("policy=", policy.empty() ? "None" : policy));
    fields.push_back(StrCat("prevent_cse=", prevent_cse ? "True" : "False"));
  }
  return StrCat(name, "(", Join(fields, ", "), ")");
}

}  // namespace megalith::pipeline
