#include "common/programs/ir/ir_proto.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>
#include <unordered_map>

#include "common/foundation/base/strings.h"
#include "common/foundation/tensor/tensor_proto.h"
#include "common/programs/ir/op_def.h"

namespace megalith::ir {
namespace {

constexpr uint32_t kVersion = 1;

common::v1::TypeProto AvalToProto(const Aval& aval) {
  return tensor::TypeToProto(
      {.dtype = aval.dtype, .shape = aval.shape, .weak_type = aval.weak_type});
}

Result<Aval> AvalFromProto(const common::v1::TypeProto& proto) {
  ASSIGN_OR_RETURN(tensor::ArrayType type, tensor::TypeFromProto(proto));
  return Aval{type.dtype, type.weak_type, std::move(type.shape)};
}

Status Prefixed(const Status& status, std::string_view where) {
  return Status(status.code(), StrCat(where, ": ", status.message()));
}

class Encoder {
 public:
  Encoder(Session& session, const ProtoLimits& limits, v1::Program* out)
      : session_(session), limits_(limits), out_(*out) {}

  Status Encode(const Program& program) {
    out_.set_version(kVersion);
    out_.set_fun_name(program.fun_name);
    out_.set_main(AddJaxpr(program.closed.jaxpr));
    AddOpenConsts(program.closed, out_.mutable_consts());
    // Bodies refer to further rules, so this list grows while it is worked off.
    for (size_t i = 0; i < pending_.size(); ++i) {
      if (pending_.size() > limits_.max_rules) {
        return ResourceExhausted(StrCat("the program has more than ", limits_.max_rules,
                                        " custom rules (limit max_rules)"));
      }
      const std::shared_ptr<const CustomRule> rule = pending_[i];
      ASSIGN_OR_RETURN(const RuleBodies bodies, rule->make(session_, *rule));
      v1::CustomRule encoded = EncodeRule(bodies);
      *out_.add_rules() = std::move(encoded);
    }
    return OkStatus();
  }

 private:
  static void AddOpenConsts(const ClosedJaxpr& closed,
                            google::protobuf::RepeatedPtrField<common::v1::TensorProto>* out) {
    for (size_t i = 0; i < closed.jaxpr->num_open(); ++i)
      *out->Add() = tensor::TensorToProto(closed.consts[i]);
  }

  uint32_t AddJaxpr(const JaxprPtr& jaxpr) {
    if (const auto it = index_.find(jaxpr.get()); it != index_.end()) return it->second;
    v1::Jaxpr proto = EncodeJaxpr(*jaxpr);
    const auto index = static_cast<uint32_t>(out_.jaxprs_size());
    *out_.add_jaxprs() = std::move(proto);
    index_.emplace(jaxpr.get(), index);
    kept_.push_back(jaxpr);
    return index;
  }

  v1::Jaxpr EncodeJaxpr(const Jaxpr& jaxpr) {
    v1::Jaxpr proto;
    // Variables are renumbered: constvars and inputs first, then results.
    std::vector<uint32_t> number(jaxpr.num_vars());
    const auto define = [&](VarId v) {
      number[v] = static_cast<uint32_t>(proto.vars_size());
      *proto.add_vars() = AvalToProto(jaxpr.aval(v));
    };
    const auto atom = [&](Atom a, v1::Atom* out) {
      if (a.is_literal()) {
        EncodeLiteral(jaxpr.literal(a), out->mutable_literal());
      } else {
        out->set_var(number[a.var()]);
      }
    };
    for (const VarId v : jaxpr.constvars()) define(v);
    for (const VarId v : jaxpr.invars()) define(v);
    proto.set_num_constvars(static_cast<uint32_t>(jaxpr.constvars().size()));
    proto.set_num_invars(static_cast<uint32_t>(jaxpr.invars().size()));
    for (const tensor::Tensor& t : jaxpr.const_values())
      *proto.add_const_values() = tensor::TensorToProto(t);
    for (const Eqn& eqn : jaxpr.eqns()) {
      v1::Eqn& out = *proto.add_eqns();
      out.set_primitive(std::string(eqn.op->name));
      EncodeParams(*eqn.params, &out);
      for (const Atom a : jaxpr.operands(eqn)) atom(a, out.add_operands());
      out.set_num_results(eqn.num_results);
      for (uint32_t r = 0; r < eqn.num_results; ++r) define(eqn.first_result + r);
    }
    for (const Atom a : jaxpr.outs()) atom(a, proto.add_outs());
    return proto;
  }

  static void EncodeLiteral(const Literal& literal, v1::Literal* out) {
    *out->mutable_value() = tensor::TensorToProto(literal.ToTensor());
    out->set_weak_type(literal.weak());
    const std::optional<double> python = literal.PythonValue();
    if (python && !std::isnan(*python) &&
        *python != literal.AsDouble()) {  // a NaN's element says more than "nan"
      out->set_python_value(*python);
    }
  }

  void EncodeParams(const Params& params, v1::Eqn* out) {
    const Params defaults(*params.op());
    std::vector<size_t> order;
    for (size_t i = 0; i < params.values().size(); ++i) {
      if (!(params.values()[i] == defaults.values()[i]) || params.op()->params[i].fallback.empty())
        order.push_back(i);
    }
    std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
      return params.op()->params[a].name < params.op()->params[b].name;
    });
    for (const size_t i : order) {
      v1::NamedParam& param = *out->add_params();
      param.set_name(std::string(params.op()->params[i].name));
      EncodeValue(params.values()[i], param.mutable_value());
    }
  }

  void EncodeValue(const ParamValue& v, v1::Param* out) {
    using Kind = ParamValue::Kind;
    switch (v.kind()) {
      case Kind::kNone:
        out->set_none(true);
        break;
      case Kind::kBool:
        out->set_boolean(v.AsBool());
        break;
      case Kind::kInt:
        out->mutable_integer()->set_value(v.AsInt());
        out->mutable_integer()->set_numpy(v.numpy());
        break;
      case Kind::kFloat:
        out->set_real(v.AsFloat());
        break;
      case Kind::kText:
        out->set_text(v.AsText());
        break;
      case Kind::kDType:
        out->set_dtype(std::string(tensor::Name(v.AsDType())));
        break;
      case Kind::kTuple:
        EncodeElements(v, out->mutable_tuple()->mutable_elements());
        break;
      case Kind::kList:
        EncodeElements(v, out->mutable_list()->mutable_elements());
        break;
      case Kind::kNamedTuple: {
        v1::NamedTuple& tuple = *out->mutable_named_tuple();
        tuple.set_name(v.tuple_name());
        for (const std::string& field : v.fields()) tuple.add_fields(field);
        EncodeElements(v, tuple.mutable_elements());
        break;
      }
      case Kind::kJaxpr:
        out->set_jaxpr(AddJaxpr(v.AsJaxpr()));
        break;
      case Kind::kCustomRule:
        out->set_custom_rule(AddRule(v.AsRule()));
        break;
    }
  }

  void EncodeElements(const ParamValue& v, google::protobuf::RepeatedPtrField<v1::Param>* out) {
    for (const ParamValue& e : v.elements()) EncodeValue(e, out->Add());
  }

  uint32_t AddRule(const std::shared_ptr<const CustomRule>& rule) {
    const auto [it, fresh] =
        rules_.emplace(std::tuple(rule->set.get(), rule->index, rule->derivation),
                       static_cast<uint32_t>(pending_.size()));
    if (fresh) pending_.push_back(rule);
    return it->second;
  }

  v1::ClosedJaxpr EncodeClosed(const ClosedJaxpr& closed) {
    v1::ClosedJaxpr out;
    out.set_jaxpr(AddJaxpr(closed.jaxpr));
    AddOpenConsts(closed, out.mutable_consts());
    return out;
  }

  v1::CustomRule EncodeRule(const RuleBodies& bodies) {
    v1::CustomRule out;
    out.set_name(bodies.name);
    if (bodies.is_vjp) {
      v1::CustomVjp& vjp = *out.mutable_vjp();
      *vjp.mutable_fwd() = EncodeClosed(bodies.fwd);
      *vjp.mutable_bwd() = EncodeClosed(bodies.bwd);
      vjp.set_num_res(static_cast<uint32_t>(bodies.num_res));
      for (const int64_t i : bodies.input_fwds) vjp.add_input_fwds(i);
      for (const bool z : bodies.bwd_zeros) vjp.add_bwd_zeros(z);
    } else {
      *out.mutable_jvp()->mutable_jvp() = EncodeClosed(bodies.jvp);
      for (const bool z : bodies.out_zeros) out.mutable_jvp()->add_out_zeros(z);
    }
    return out;
  }

  Session& session_;
  const ProtoLimits& limits_;
  v1::Program& out_;
  std::unordered_map<const Jaxpr*, uint32_t> index_;
  std::vector<JaxprPtr> kept_;  // bodies made here live as long as `index_` knows their address
  std::map<std::tuple<const RuleSet*, size_t, std::string>, uint32_t> rules_;
  std::vector<std::shared_ptr<const CustomRule>> pending_;
};

class Decoder {
 public:
  Decoder(const v1::Program& proto, const OpTable& ops, const ProtoLimits& limits)
      : proto_(proto), ops_(ops), limits_(limits) {}

  Result<DecodedProgram> Decode() {
    if (proto_.version() != kVersion) {
      return InvalidArgument(StrCat("program has format version ", proto_.version(),
                                    ", this build reads version ", kVersion));
    }
    if (static_cast<size_t>(proto_.rules_size()) > limits_.max_rules) {
      return ResourceExhausted(StrCat("program has ", proto_.rules_size(),
                                      " custom rules, the limit max_rules is ", limits_.max_rules));
    }
    for (int i = 0; i < proto_.jaxprs_size(); ++i) {
      Result<JaxprPtr> jaxpr = DecodeJaxpr(proto_.jaxprs(i));
      if (!jaxpr.ok()) return Prefixed(jaxpr.status(), StrCat("jaxpr ", i));
      jaxprs_.push_back(*std::move(jaxpr));
    }
    DecodedProgram out;
    ASSIGN_OR_RETURN(out.program.closed, Closed(proto_.main(), proto_.consts(), "main"));
    if (!proto_.fun_name().empty()) out.program.fun_name = proto_.fun_name();
    if (FindInvalidUtf8(out.program.fun_name)) return InvalidArgument("fun_name is not UTF-8");
    for (int i = 0; i < proto_.rules_size(); ++i) {
      Result<RuleBodies> rule = DecodeRule(proto_.rules(i));
      if (!rule.ok()) return Prefixed(rule.status(), StrCat("rule ", i));
      out.rules.push_back(*std::move(rule));
    }
    return out;
  }

 private:
  Result<ClosedJaxpr> Closed(
      uint32_t index,
      const google::protobuf::RepeatedPtrField<common::v1::TensorProto>& open_consts,
      std::string_view what) {
    if (index >= jaxprs_.size())
      return InvalidArgument(StrCat(what, " is jaxpr ", index, ", which does not exist"));
    ClosedJaxpr out{jaxprs_[index], {}};
    if (static_cast<size_t>(open_consts.size()) != out.jaxpr->num_open()) {
      return InvalidArgument(StrCat(what, " has ", open_consts.size(),
                                    " constants, its jaxpr needs ", out.jaxpr->num_open()));
    }
    for (const common::v1::TensorProto& t : open_consts) {
      ASSIGN_OR_RETURN(tensor::Tensor value, tensor::TensorFromProto(t));
      out.consts.push_back(std::move(value));
    }
    const auto inside = out.jaxpr->const_values();
    out.consts.insert(out.consts.end(), inside.begin(), inside.end());
    return out;
  }

  Result<JaxprPtr> DecodeJaxpr(const v1::Jaxpr& proto) {
    height_ = 1;
    const auto total = static_cast<uint32_t>(proto.vars_size());
    uint64_t num_vars = uint64_t{proto.num_constvars()} + proto.num_invars();
    for (const v1::Eqn& eqn : proto.eqns()) num_vars += eqn.num_results();
    if (num_vars != total) {
      return InvalidArgument(StrCat("has types for ", total, " variables but defines ", num_vars));
    }
    num_eqns_ += static_cast<uint64_t>(proto.eqns_size());
    if (num_eqns_ > limits_.max_eqns) {
      return ResourceExhausted(
          StrCat("program has more than ", limits_.max_eqns, " equations (limit max_eqns)"));
    }
    std::vector<Aval> avals;
    for (const common::v1::TypeProto& t : proto.vars()) {
      ASSIGN_OR_RETURN(Aval aval, AvalFromProto(t));
      avals.push_back(std::move(aval));
    }
    if (proto.const_values_size() >
        static_cast<int>(std::min<uint32_t>(proto.num_constvars(), INT32_MAX))) {
      return InvalidArgument("has more constant values than constvars");
    }
    JaxprAssembler out;
    uint32_t next = 0;
    const auto open = proto.num_constvars() - static_cast<uint32_t>(proto.const_values_size());
    for (; next < proto.num_constvars(); ++next) {
      if (next < open) {
        out.AddConst(avals[next]);
        continue;
      }
      ASSIGN_OR_RETURN(tensor::Tensor value,
                       tensor::TensorFromProto(proto.const_values(static_cast<int>(next - open))));
      if (value.dtype() != avals[next].dtype || value.shape() != avals[next].shape) {
        return InvalidArgument(StrCat("constant ", next, " is ", value.TypeText(),
                                      ", its variable ", avals[next].Text()));
      }
      out.AddConst(avals[next], std::move(value));
    }
    for (uint32_t i = 0; i < proto.num_invars(); ++i) out.AddInput(avals[next++]);
    std::vector<Atom> operands;
    for (int i = 0; i < proto.eqns_size(); ++i) {
      const v1::Eqn& eqn = proto.eqns(i);
      const auto fail = [&](const Status& status) {
        return Prefixed(status, StrCat("eqn ", i, " (", Printable(eqn.primitive()), ")"));
      };
      const OpDef* op = ops_.Find(eqn.primitive());
      if (op == nullptr) {
        return Status::WithClass(
            Code::kUnimplemented, "NotImplementedError",
            StrCat("primitive '", Printable(eqn.primitive()), "' is not supported"));
      }
      operands.clear();
      for (const v1::Atom& a : eqn.operands()) {
        const Result<Atom> atom = DecodeAtom(a, next, &out);
        if (!atom.ok()) return fail(atom.status());
        operands.push_back(*atom);
      }
      if (op->arity >= 0 && operands.size() != static_cast<size_t>(op->arity)) {
        return fail(
            InvalidArgument(StrCat("takes ", op->arity, " operands, got ", operands.size())));
      }
      if (op->results >= 0 && eqn.num_results() != static_cast<uint32_t>(op->results)) {
        return fail(
            InvalidArgument(StrCat("gives ", op->results, " results, not ", eqn.num_results())));
      }
      Result<Params> params = DecodeParams(*op, eqn);
      if (!params.ok()) return fail(params.status());
      out.AddEqn(op, std::make_shared<const Params>(*std::move(params)), operands,
                 std::span(avals).subspan(next, eqn.num_results()));
      next += eqn.num_results();
    }
    std::vector<Atom> outs;
    for (const v1::Atom& a : proto.outs()) {
      ASSIGN_OR_RETURN(const Atom atom, DecodeAtom(a, next, &out));
      outs.push_back(atom);
    }
    out.SetOuts(std::move(outs));
    if (height_ > limits_.max_depth) {
      return ResourceExhausted(
          StrCat("jaxprs are nested deeper than ", limits_.max_depth, " levels (limit max_depth)"));
    }
    heights_.push_back(height_);
    return out.Finish();
  }

  static Result<Atom> DecodeAtom(const v1::Atom& proto, uint32_t defined, JaxprAssembler* out) {
    if (proto.kind_case() == v1::Atom::kVar) {
      if (proto.var() >= defined)
        return InvalidArgument(StrCat("variable ", proto.var(), " is not defined yet"));
      return Atom::Var(proto.var());
    }
    if (proto.kind_case() != v1::Atom::kLiteral)
      return InvalidArgument("operand is neither variable nor literal");
    const v1::Literal& literal = proto.literal();
    ASSIGN_OR_RETURN(const tensor::Tensor value, tensor::TensorFromProto(literal.value()));
    if (value.rank() != 0 || tensor::IsKey(value.dtype())) {
      return InvalidArgument(StrCat("literal of type ", value.TypeText(), " is no scalar"));
    }
    const Literal plain = Literal::FromTensor(value, literal.weak_type());
    if (!literal.has_python_value()) return out->AddLiteral(plain);
    const Literal python =
        tensor::IsFloat(value.dtype())
            ? Literal::Float(value.dtype(), literal.python_value(), literal.weak_type())
            : Literal();
    if (!(python == plain))
      return InvalidArgument("literal's python_value does not round to its value");
    return out->AddLiteral(python);
  }

  Result<Params> DecodeParams(const OpDef& op, const v1::Eqn& eqn) {
    Params out(op);
    std::string_view before;
    for (const v1::NamedParam& p : eqn.params()) {
      const auto spec = std::find_if(op.params.begin(), op.params.end(),
                                     [&](const ParamSpec& s) { return s.name == p.name(); });
      if (spec == op.params.end()) {
        return InvalidArgument(StrCat("unknown parameter '", Printable(p.name()), "'"));
      }
      if (!before.empty() && p.name() <= before)
        return InvalidArgument("parameters are not sorted by name");
      before = p.name();
      ASSIGN_OR_RETURN(ParamValue value, DecodeValue(p.value(), 0));
      out.Set(spec->name, std::move(value));
    }
    RETURN_IF_ERROR(out.Validate());
    return out;
  }

  Result<ParamValue> DecodeValue(const v1::Param& proto, int depth) {
    if (depth > limits_.max_value_depth) {
      return ResourceExhausted(StrCat("a parameter is nested deeper than ", limits_.max_value_depth,
                                      " levels (limit max_value_depth)"));
    }
    switch (proto.kind_case()) {
      case v1::Param::kNone:
        return ParamValue::None();
      case v1::Param::kBoolean:
        return ParamValue::Bool(proto.boolean());
      case v1::Param::kInteger:
        return ParamValue::Int(proto.integer().value(), proto.integer().numpy());
      case v1::Param::kReal:
        return ParamValue::Float(proto.real());
      case v1::Param::kText:
        if (FindInvalidUtf8(proto.text())) return InvalidArgument("parameter text is not UTF-8");
        return ParamValue::Text(proto.text());
      case v1::Param::kDtype: {
        const std::optional<DType> dtype = tensor::DTypeFromName(proto.dtype());
        if (!dtype)
          return InvalidArgument(StrCat("unknown dtype '", Printable(proto.dtype()), "'"));
        return ParamValue::Type(*dtype);
      }
      case v1::Param::kTuple: {
        ASSIGN_OR_RETURN(ParamValues values, DecodeElements(proto.tuple().elements(), depth));
        return ParamValue::Tuple(std::move(values));
      }
      case v1::Param::kList: {
        ASSIGN_OR_RETURN(ParamValues values, DecodeElements(proto.list().elements(), depth));
        return ParamValue::List(std::move(values));
      }
      case v1::Param::kNamedTuple: {
        const v1::NamedTuple& tuple = proto.named_tuple();
        if (tuple.fields_size() != tuple.elements_size()) {
          return InvalidArgument(StrCat("named tuple has ", tuple.fields_size(), " fields and ",
                                        tuple.elements_size(), " elements"));
        }
        ASSIGN_OR_RETURN(ParamValues values, DecodeElements(tuple.elements(), depth));
        return ParamValue::NamedTuple(tuple.name(), {tuple.fields().begin(), tuple.fields().end()},
                                      std::move(values));
      }
      case v1::Param::kJaxpr:
        if (proto.jaxpr() >= jaxprs_.size()) {
          return InvalidArgument(
              StrCat("refers to jaxpr ", proto.jaxpr(), ", which is not defined before it"));
        }
        height_ = std::max(height_, heights_[proto.jaxpr()] + 1);
        return ParamValue::SubJaxpr(jaxprs_[proto.jaxpr()]);
      case v1::Param::kCustomRule: {
        if (proto.custom_rule() >= static_cast<uint32_t>(proto_.rules_size())) {
          return InvalidArgument(
              StrCat("refers to rule ", proto.custom_rule(), ", which does not exist"));
        }
        auto rule = std::make_shared<CustomRule>();
        rule->index = proto.custom_rule();
        return ParamValue::Rule(std::move(rule));
      }
      case v1::Param::KIND_NOT_SET:
        break;
    }
    return InvalidArgument("a parameter has no value that this build knows");
  }

  Result<ParamValues> DecodeElements(const google::protobuf::RepeatedPtrField<v1::Param>& elements,
                                     int depth) {
    ParamValues out;
    for (const v1::Param& e : elements) {
      ASSIGN_OR_RETURN(ParamValue value, DecodeValue(e, depth + 1));
      out.push_back(std::move(value));
    }
    return out;
  }

  Result<RuleBodies> DecodeRule(const v1::CustomRule& proto) {
    RuleBodies out;
    out.name = proto.name();
    if (proto.kind_case() == v1::CustomRule::kVjp) {
      const v1::CustomVjp& vjp = proto.vjp();
      out.is_vjp = true;
      ASSIGN_OR_RETURN(out.fwd, Closed(vjp.fwd().jaxpr(), vjp.fwd().consts(), "fwd"));
      ASSIGN_OR_RETURN(out.bwd, Closed(vjp.bwd().jaxpr(), vjp.bwd().consts(), "bwd"));
      out.num_res = vjp.num_res();
      out.input_fwds.assign(vjp.input_fwds().begin(), vjp.input_fwds().end());
      out.bwd_zeros.assign(vjp.bwd_zeros().begin(), vjp.bwd_zeros().end());
      return out;
    }
    if (proto.kind_case() != v1::CustomRule::kJvp)
      return InvalidArgument("is of no kind that this build knows");
    ASSIGN_OR_RETURN(out.jvp, Closed(proto.jvp().jvp().jaxpr(), proto.jvp().jvp().consts(), "jvp"));
    out.out_zeros.assign(proto.jvp().out_zeros().begin(), proto.jvp().out_zeros().end());
    return out;
  }

  const v1::Program& proto_;
  const OpTable& ops_;
  const ProtoLimits& limits_;
  std::vector<JaxprPtr> jaxprs_;
  std::vector<int> heights_;  // of each jaxpr: 1 without nested ones
  int height_ = 1;            // of the one being decoded
  uint64_t num_eqns_ = 0;
};

}  // namespace

Result<v1::Program> ProgramToProto(Session& session, const Program& program,
                                   const ProtoLimits& limits) {
  v1::Program out;
  RETURN_IF_ERROR(Encoder(session, limits, &out).Encode(program));
  return out;
}

Result<DecodedProgram> ProgramFromProto(const v1::Program& proto, const OpTable& ops,
                                        const ProtoLimits& limits) {
  return Decoder(proto, ops, limits).Decode();
}

}  // namespace megalith::ir
