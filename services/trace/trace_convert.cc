#include "services/trace/trace_convert.h"

#include "common/foundation/base/strings.h"
#include "common/foundation/tensor/tensor_proto.h"
#include "common/programs/ir/ir_proto.h"
#include "common/programs/ir/parse.h"
#include "common/programs/ops/registry.h"

namespace megalith::services {
namespace {

namespace v1 = trace::v1;
using Tensors = google::protobuf::RepeatedPtrField<common::v1::TensorProto>;

Result<std::vector<tensor::Tensor>> TensorsFromProto(const Tensors& protos,
                                                     std::string_view field) {
  std::vector<tensor::Tensor> out;
  for (const common::v1::TensorProto& proto : protos) {
    ASSIGN_OR_RETURN(tensor::Tensor t,
                     tensor::TensorFromProto(proto).Annotate(StrCat(field, "[", out.size(), "]")));
    out.push_back(std::move(t));
  }
  return out;
}

Result<ir::ClosedJaxpr> BodyFromProto(const std::string& text, const Tensors& consts,
                                      std::string_view field, const ir::ParseLimits& limits) {
  ir::ClosedJaxpr body;
  ASSIGN_OR_RETURN(body.jaxpr, ir::ParseJaxpr(text, ops::AllOps(), limits).Annotate(field));
  ASSIGN_OR_RETURN(body.consts, TensorsFromProto(consts, field));
  if (body.consts.size() != body.jaxpr->constvars().size()) {
    return InvalidArgument(StrCat(field, " has ", body.jaxpr->constvars().size(),
                                  " constvars, got ", body.consts.size(), " values"));
  }
  return body;
}

Result<ir::RuleBodies> RuleFromProto(const v1::RuleSource& proto, const ir::ParseLimits& limits) {
  ir::RuleBodies rule;
  rule.name = proto.name();
  if (proto.has_jvp()) {
    ASSIGN_OR_RETURN(rule.jvp, BodyFromProto(proto.jvp().jvp_jaxpr(), proto.jvp().jvp_consts(),
                                             "jvp_jaxpr", limits));
    rule.out_zeros.assign(proto.jvp().out_zeros().begin(), proto.jvp().out_zeros().end());
    return rule;
  }
  if (!proto.has_vjp()) return InvalidArgument("rule has neither jvp nor vjp");
  const v1::VjpRuleSource& vjp = proto.vjp();
  rule.is_vjp = true;
  ASSIGN_OR_RETURN(rule.fwd, BodyFromProto(vjp.fwd_jaxpr(), vjp.fwd_consts(), "fwd_jaxpr", limits));
  ASSIGN_OR_RETURN(rule.bwd, BodyFromProto(vjp.bwd_jaxpr(), vjp.bwd_consts(), "bwd_jaxpr", limits));
  rule.num_res = vjp.num_res();
  rule.input_fwds.assign(vjp.input_fwds().begin(), vjp.input_fwds().end());
  rule.bwd_zeros.assign(vjp.bwd_zeros().begin(), vjp.bwd_zeros().end());
  return rule;
}

// The two forms that carry everything.
Result<pipeline::Source> SourceFromProgram(const v1::ProgramSource& proto,
                                           const ir::ParseLimits& limits) {
  ir::v1::Program parsed;
  const ir::v1::Program* program = &proto.program();
  if (proto.form_case() == v1::ProgramSource::kProgramBytes) {
    if (!parsed.ParseFromString(proto.program_bytes())) {
      return InvalidArgument("program_bytes are no megalith.ir.v1.Program");
    }
    program = &parsed;
  }
  if (!proto.consts().empty() || !proto.rules().empty()) {
    return InvalidArgument("consts and rules belong to jaxpr_text; a program carries its own");
  }
  const ir::ProtoLimits proto_limits{.max_eqns = limits.max_eqns, .max_depth = limits.max_depth};
  ASSIGN_OR_RETURN(ir::DecodedProgram decoded,
                   ir::ProgramFromProto(*program, ops::AllOps(), proto_limits));
  pipeline::Source source;
  source.jaxpr = std::move(decoded.program.closed.jaxpr);
  source.consts = std::move(decoded.program.closed.consts);
  source.rules = std::move(decoded.rules);
  source.fun_name = proto.fun_name().empty() ? decoded.program.fun_name : proto.fun_name();
  return source;
}

void SetArgNums(const v1::ArgNums& argnums, pipeline::Transform* t) {
  t->argnums_is_list = argnums.is_tuple() || argnums.index_size() > 1;
  if (argnums.index_size() > 0) t->argnums.assign(argnums.index().begin(), argnums.index().end());
}

Status SetAxes(const v1::Axes& proto, std::string_view field, pipeline::Axes* axes, bool* is_list) {
  if (proto.uniform() && proto.axis_size() != 1) {
    return InvalidArgument(
        StrCat(field, " is uniform and has ", proto.axis_size(), " entries, expected 1"));
  }
  *is_list = !proto.uniform();
  axes->clear();
  for (const v1::Axis& a : proto.axis()) {
    axes->push_back(a.has_index() ? std::optional<int64_t>(a.index()) : std::nullopt);
  }
  return OkStatus();
}

Status SetVmap(const v1::Vmap& vmap, pipeline::Transform* t) {
  if (vmap.has_in_axes())
    RETURN_IF_ERROR(SetAxes(vmap.in_axes(), "in_axes", &t->in_axes, &t->in_axes_is_list));
  if (vmap.has_out_axes())
    RETURN_IF_ERROR(SetAxes(vmap.out_axes(), "out_axes", &t->out_axes, &t->out_axes_is_list));
  if (vmap.has_axis_size()) t->axis_size = vmap.axis_size();
  t->axis_name = vmap.axis_name();
  return OkStatus();
}

void SetGrad(const v1::Grad& grad, pipeline::Transform* t) {
  SetArgNums(grad.argnums(), t);
  t->has_aux = grad.has_aux();
}

Result<pipeline::Transform> TransformFromProto(const v1::Transform& proto) {
  using K = v1::Transform::KindCase;
  pipeline::Transform t;
  switch (proto.kind_case()) {
    case K::kJit:
      t.name = "jit";
      break;
    case K::kGrad:
      t.name = "grad";
      SetGrad(proto.grad(), &t);
      break;
    case K::kValueAndGrad:
      t.name = "value_and_grad";
      SetGrad(proto.value_and_grad(), &t);
      break;
    case K::kVmap:
      t.name = "vmap";
      RETURN_IF_ERROR(SetVmap(proto.vmap(), &t));
      break;
    case K::kJvp:
      t.name = "jvp";
      break;
    case K::kLinearize:
      t.name = "linearize";
      break;
    case K::kVjp:
      t.name = "vjp";
      t.num_primals = proto.vjp().num_primals();
      break;
    case K::kLinearTranspose:
      t.name = "linear_transpose";
      t.num_primals = proto.linear_transpose().num_primals();
      break;
    case K::kJacfwd:
      t.name = "jacfwd";
      SetArgNums(proto.jacfwd().argnums(), &t);
      break;
    case K::kJacrev:
      t.name = "jacrev";
      SetArgNums(proto.jacrev().argnums(), &t);
      break;
    case K::kHessian:
      t.name = "hessian";
      SetArgNums(proto.hessian().argnums(), &t);
      break;
    case K::kCheckpoint:
      t.name = "checkpoint";
      t.policy = proto.checkpoint().policy();
      t.prevent_cse = !proto.checkpoint().has_prevent_cse() || proto.checkpoint().prevent_cse();
      break;
    case K::KIND_NOT_SET:
      return InvalidArgument("is none that this build knows");
  }
  return t;
}

}  // namespace

common::v1::TypeProto AvalToProto(const ir::Aval& aval) {
  return tensor::TypeToProto(
      {.dtype = aval.dtype, .shape = aval.shape, .weak_type = aval.weak_type});
}

Result<ir::Aval> AvalFromProto(const common::v1::TypeProto& proto) {
  ASSIGN_OR_RETURN(const tensor::ArrayType type, tensor::TypeFromProto(proto));
  return ir::Aval{.dtype = type.dtype, .weak_type = type.weak_type, .shape = type.shape};
}

Result<std::vector<pipeline::Transform>> StackFromProto(
    const google::protobuf::RepeatedPtrField<v1::Transform>& stack) {
  std::vector<pipeline::Transform> out;
  for (const v1::Transform& proto : stack) {
    ASSIGN_OR_RETURN(pipeline::Transform t, TransformFromProto(proto).Annotate(
                                                StrCat("transform ", out.size(), " of the stack")));
    out.push_back(std::move(t));
  }
  return out;
}

Result<pipeline::Source> SourceFromProto(const v1::ProgramSource& proto,
                                         const ir::ParseLimits& limits) {
  if (proto.form_case() != v1::ProgramSource::kJaxprText) return SourceFromProgram(proto, limits);
  pipeline::Source source;
  source.text = proto.jaxpr_text();
  if (!proto.fun_name().empty()) source.fun_name = proto.fun_name();
  for (const common::v1::TypeProto& type : proto.in_avals()) {
    ASSIGN_OR_RETURN(const ir::Aval aval, AvalFromProto(type).Annotate("in_avals"));
    source.weak_inputs.push_back(aval.weak_type);
  }
  ASSIGN_OR_RETURN(source.consts, TensorsFromProto(proto.consts(), "consts"));
  for (const v1::RuleSource& rule : proto.rules()) {
    ASSIGN_OR_RETURN(
        ir::RuleBodies bodies,
        RuleFromProto(rule, limits)
            .Annotate(StrCat("rule ", source.rules.size(), " ('", Printable(rule.name()), "')")));
    source.rules.push_back(std::move(bodies));
  }
  return source;
}

}  // namespace megalith::services
