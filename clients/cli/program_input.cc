#include "clients/cli/program_input.h"

#include <nlohmann/json.hpp>

#include "clients/cli/session.h"
#include "common/fleet/cache/key.h"
#include "common/foundation/base/bytes.h"
#include "common/foundation/base/strings.h"
#include "common/foundation/tensor/tensor_proto.h"
#include "common/programs/pipeline/transform_text.h"
#include "common/programs/stablehlo/artifact/jax_export.h"

namespace megalith::cli {
namespace {

using Json = nlohmann::json;
using pipeline::Transform;
namespace v1 = trace::v1;

// Programs are text that people write; services have limits of their own.
constexpr uint64_t kMaxProgramBytes = uint64_t{1} << 30;

void SetArgnums(const Transform& t, v1::ArgNums* out) {
  for (const int64_t n : t.argnums) out->add_index(n);
  out->set_is_tuple(t.argnums_is_list);
}

void SetAxes(const pipeline::Axes& axes, bool is_list, v1::Axes* out) {
  out->set_uniform(!is_list);
  for (const std::optional<int64_t>& axis : axes) {
    v1::Axis* entry = out->add_axis();
    if (axis) entry->set_index(*axis);
  }
}

void SetJit(const Transform&, v1::Transform* out) { out->mutable_jit(); }
void SetJvp(const Transform&, v1::Transform* out) { out->mutable_jvp(); }
void SetLinearize(const Transform&, v1::Transform* out) { out->mutable_linearize(); }
template <v1::Grad* (v1::Transform::*kField)()>
void SetGrad(const Transform& t, v1::Transform* out) {
  v1::Grad* grad = (out->*kField)();
  SetArgnums(t, grad->mutable_argnums());
  grad->set_has_aux(t.has_aux);
}
template <v1::Jacobian* (v1::Transform::*kField)()>
void SetJacobian(const Transform& t, v1::Transform* out) {
  SetArgnums(t, (out->*kField)()->mutable_argnums());
}
void SetVmap(const Transform& t, v1::Transform* out) {
  v1::Vmap* vmap = out->mutable_vmap();
  SetAxes(t.in_axes, t.in_axes_is_list, vmap->mutable_in_axes());
  SetAxes(t.out_axes, t.out_axes_is_list, vmap->mutable_out_axes());
  if (t.axis_size) vmap->set_axis_size(*t.axis_size);
  if (!t.axis_name.empty()) vmap->set_axis_name(t.axis_name);
}
void SetVjp(const Transform& t, v1::Transform* out) {
  out->mutable_vjp()->set_num_primals(static_cast<uint32_t>(t.num_primals));
}
void SetLinearTranspose(const Transform& t, v1::Transform* out) {
  out->mutable_linear_transpose()->set_num_primals(static_cast<uint32_t>(t.num_primals));
}
void SetCheckpoint(const Transform& t, v1::Transform* out) {
  v1::Checkpoint* checkpoint = out->mutable_checkpoint();
  if (!t.policy.empty()) checkpoint->set_policy(t.policy);
  checkpoint->set_prevent_cse(t.prevent_cse);
}

struct WireRow {
  std::string_view name;
  void (*set)(const Transform&, v1::Transform*);
};

constexpr WireRow kWire[] = {
    {"jit", SetJit},
    {"grad", SetGrad<&v1::Transform::mutable_grad>},
    {"value_and_grad", SetGrad<&v1::Transform::mutable_value_and_grad>},
    {"vmap", SetVmap},
    {"jvp", SetJvp},
    {"linearize", SetLinearize},
    {"vjp", SetVjp},
    {"linear_transpose", SetLinearTranspose},
    {"jacfwd", SetJacobian<&v1::Transform::mutable_jacfwd>},
    {"jacrev", SetJacobian<&v1::Transform::mutable_jacrev>},
    {"hessian", SetJacobian<&v1::Transform::mutable_hessian>},
    {"checkpoint", SetCheckpoint},
};

Result<v1::Transform> WireTransform(const std::string& text) {
  ASSIGN_OR_RETURN(const Transform t, pipeline::ParseTransform(text).Annotate(
                                          StrCat("--transform '", Printable(text), "'")));
  v1::Transform out;
  for (const WireRow& row : kWire) {
    if (row.name == t.name) row.set(t, &out);
  }
  return out;
}

std::string Text(const Json& json, const char* key) {
  const auto it = json.find(key);
  return it != json.end() && it->is_string() ? it->get<std::string>() : "";
}

// {"dtype":"f32","shape":[2],"data":"<base64>"}.
Result<common::v1::TensorProto> TensorFromJson(const Json& json) {
  const auto bytes = Base64Decode(Text(json, "data"));
  const auto shape = json.find("shape");
  if (!json.is_object() || shape == json.end() || !shape->is_array() || !bytes)
    return InvalidArgument("an array needs dtype, shape and base64 data");
  common::v1::TensorProto proto;
  proto.set_dtype(Text(json, "dtype"));
  for (const Json& d : *shape) {
    if (!d.is_number_integer()) return InvalidArgument("a shape holds whole numbers");
    proto.add_dims(d.get<int64_t>());
  }
  proto.set_data(bytes->data(), bytes->size());
  return proto;
}

Status ReadBody(const Json& json, const char* text_key, const char* consts_key, std::string* text,
                google::protobuf::RepeatedPtrField<common::v1::TensorProto>* consts) {
  *text = Text(json, text_key);
  if (text->empty()) return InvalidArgument(StrCat("field '", text_key, "' is missing"));
  const auto it = json.find(consts_key);
  if (it == json.end()) return OkStatus();
  for (const Json& array : *it) {
    ASSIGN_OR_RETURN(*consts->Add(), TensorFromJson(array).Annotate(consts_key));
  }
  return OkStatus();
}

Status ReadBools(const Json& json, const char* key, google::protobuf::RepeatedField<bool>* out) {
  const auto it = json.find(key);
  if (it == json.end() || it->is_null()) return OkStatus();
  if (!it->is_array()) return InvalidArgument(StrCat("field '", key, "' is no list"));
  for (const Json& b : *it) {
    if (!b.is_boolean()) return InvalidArgument(StrCat("field '", key, "' holds true and false"));
    out->Add(b.get<bool>());
  }
  return OkStatus();
}

Status ReadVjp(const Json& json, v1::VjpRuleSource* vjp) {
  RETURN_IF_ERROR(ReadBody(json, "fwd_jaxpr", "fwd_consts", vjp->mutable_fwd_jaxpr(),
                           vjp->mutable_fwd_consts()));
  RETURN_IF_ERROR(ReadBody(json, "bwd_jaxpr", "bwd_consts", vjp->mutable_bwd_jaxpr(),
                           vjp->mutable_bwd_consts()));
  RETURN_IF_ERROR(ReadBools(json, "bwd_zeros", vjp->mutable_bwd_zeros()));
  const auto num_res = json.find("num_res");
  if (num_res == json.end() || !num_res->is_number_unsigned() ||
      num_res->get<uint64_t>() > UINT32_MAX)
    return InvalidArgument("field 'num_res' is no number of residuals");
  vjp->set_num_res(num_res->get<uint32_t>());
  const auto forwards = json.find("input_fwds");
  if (forwards == json.end() || !forwards->is_array()) return OkStatus();
  for (const Json& f : *forwards) {
    if (!f.is_null() && !f.is_number_integer())
      return InvalidArgument("field 'input_fwds' holds numbers and null");
    vjp->add_input_fwds(f.is_null() ? -1 : f.get<int64_t>());
  }
  return OkStatus();
}

Status ReadRule(const Json& json, v1::RuleSource* rule) {
  if (!json.is_object()) return InvalidArgument("a rule is a JSON object");
  rule->set_name(Text(json, "name"));
  const std::string kind = Text(json, "kind");
  if (kind == "custom_vjp") return ReadVjp(json, rule->mutable_vjp());
  if (kind != "custom_jvp")
    return InvalidArgument(
        StrCat("field 'kind' is custom_jvp or custom_vjp, got '", Printable(kind), "'"));
  v1::JvpRuleSource* jvp = rule->mutable_jvp();
  RETURN_IF_ERROR(ReadBody(json, "jvp_jaxpr", "jvp_consts", jvp->mutable_jvp_jaxpr(),
                           jvp->mutable_jvp_consts()));
  return ReadBools(json, "out_zeros", jvp->mutable_out_zeros());
}

// A rule, or a list of rules.
Status ReadRules(Session& session, const std::string& path, v1::ProgramSource* source) {
  ASSIGN_OR_RETURN(const std::string text, session.files().Read(path, kMaxProgramBytes));
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return InvalidArgument(StrCat("'", Printable(path), "' is not JSON"));
  const Json list = json.is_array() ? json : Json::array({json});
  for (size_t i = 0; i < list.size(); ++i)
    RETURN_IF_ERROR(ReadRule(list[i], source->add_rules())
                        .Annotate(StrCat("'", Printable(path), "', rule ", i)));
  return OkStatus();
}

common::v1::Policy PolicyOf(const Arguments& arguments) {
  const std::string policy = arguments.Get("policy");
  return policy == "strict"     ? common::v1::POLICY_STRICT
         : policy == "hardened" ? common::v1::POLICY_HARDENED
                                : common::v1::POLICY_UNSPECIFIED;
}

Status FillSource(Session& session, const Arguments& arguments, ProgramInput* input) {
  for (const std::string& word : arguments.GetAll("const")) {
    ASSIGN_OR_RETURN(const auto arrays, ReadArrays(word, session.files(), arguments.Has("x64")));
    for (const ArrayValue& a : arrays)
      *input->source.add_consts() = tensor::TensorToProto(a.tensor);
  }
  for (const std::string& path : arguments.GetAll("rule"))
    RETURN_IF_ERROR(ReadRules(session, path, &input->source));
  input->source.set_fun_name(arguments.Get("fun_name"));
  input->source.set_x64(arguments.Has("x64"));
  for (const std::string& text : arguments.GetAll("transform")) {
    ASSIGN_OR_RETURN(v1::Transform t, WireTransform(text));
    input->stack.push_back(std::move(t));
  }
  input->trace_options.set_policy(PolicyOf(arguments));
  ASSIGN_OR_RETURN(const auto options, arguments.GetPairs("trace_option"));
  input->trace_options.mutable_extra()->insert(options.begin(), options.end());
  return OkStatus();
}

// StableHLO begins with a module, a function, or an alias (#loc, !type).
bool LooksLikeStablehlo(std::string_view text) {
  while (true) {
    text = Trim(text);
    if (!text.starts_with("//")) break;
    text.remove_prefix(std::min(text.find('\n'), text.size()));
  }
  for (const std::string_view start : {"module", "func.func", "\"builtin.module\"", "#", "!"}) {
    if (text.starts_with(start)) return true;
  }
  return false;
}

bool IsKey(Session& session, const std::string& word) {
  return cache::ParseKey(word).ok() && !session.files().Stat(word).ok();
}

Status CheckUtf8(const std::string& name, std::string_view text) {
  const std::optional<size_t> at = FindInvalidUtf8(text);
  if (!at) return OkStatus();
  return InvalidArgument(StrCat("'", Printable(name), "' is no text: byte ", *at, " is not UTF-8"));
}

// A flag for what only a jaxpr lacks.
Status RefuseJaxprFlags(const Arguments& arguments, std::string_view what) {
  for (const char* name : {"const", "rule"}) {
    if (arguments.Has(name))
      return InvalidArgument(StrCat("flag --", name, " needs a jaxpr; ", what));
  }
  return OkStatus();
}

// A flag that says how to trace what cannot be traced.
Status RefuseTraceFlags(const Arguments& arguments, std::string_view what) {
  for (const FlagDef& f : kTraceFlags) {
    if (arguments.Has(f.name))
      return InvalidArgument(StrCat("flag --", f.name, " needs a jaxpr; ", what));
  }
  return OkStatus();
}

}  // namespace

void ProgramInput::SetProgramOf(compile::v1::CompileRequest* request) const {
  if (source.stablehlo_artifact().empty()) {
    request->set_stablehlo_text(source.stablehlo_text());
  } else {
    request->set_stablehlo_artifact(source.stablehlo_artifact());
  }
}

Result<ProgramInput> ReadProgram(Session& session, const Arguments& arguments,
                                 const std::string& word) {
  ProgramInput input;
  input.name = word;
  if (IsKey(session, word)) {
    input.form = ProgramInput::Form::kKey;
    input.key = word;
    RETURN_IF_ERROR(RefuseTraceFlags(arguments, "a key names a compiled program"));
    return input;
  }
  ASSIGN_OR_RETURN(std::string bytes, word == "-" ? session.ReadInput(kMaxProgramBytes)
                                                  : session.files().Read(word, kMaxProgramBytes));
  if (Trim(bytes).empty()) return InvalidArgument(StrCat("'", Printable(word), "' is empty"));
  const bool is_artifact =
      stablehlo::artifact::LooksLikeArtifact(bytes) || stablehlo::artifact::LooksLikeExport(bytes);
  if (is_artifact || word.ends_with(".mlir") || LooksLikeStablehlo(bytes)) {
    if (!is_artifact) RETURN_IF_ERROR(CheckUtf8(word, bytes));
    RETURN_IF_ERROR(RefuseJaxprFlags(arguments, StrCat("'", Printable(word), "' is StableHLO")));
    (is_artifact ? *input.source.mutable_stablehlo_artifact()
                 : *input.source.mutable_stablehlo_text()) = std::move(bytes);
    RETURN_IF_ERROR(FillSource(session, arguments, &input));
    input.form = ProgramInput::Form::kStablehlo;
    return input;
  }
  if (word.ends_with(".pb")) {
    input.source.set_program_bytes(std::move(bytes));
  } else {
    RETURN_IF_ERROR(CheckUtf8(word, bytes));
    input.source.set_jaxpr_text(std::move(bytes));
  }
  RETURN_IF_ERROR(FillSource(session, arguments, &input));
  return input;
}

Result<std::vector<ArrayValue>> ReadProgramArguments(Session& session, const Arguments& arguments,
                                                     const ProgramInput& input) {
  std::vector<ArrayValue> values;
  for (const std::string& word : arguments.GetAll("arg")) {
    ASSIGN_OR_RETURN(auto arrays, ReadArrays(word, session.files(), arguments.Has("x64")));
    if (!input.NeedsTrace() && arrays.size() == 1 && arrays[0].weak_type) {
      ASSIGN_OR_RETURN(arrays, ReadArrays(word, session.files(), /*x64=*/true));
    }
    values.insert(values.end(), arrays.begin(), arrays.end());
  }
  return values;
}

Result<compile::v1::CompileOptions> CompileOptionsOf(const Arguments& arguments) {
  compile::v1::CompileOptions options;
  options.set_target(arguments.Get("target"));
  options.set_policy(PolicyOf(arguments));
  options.set_ignore_cache(arguments.Has("ignore_cache"));
  const std::string priority = arguments.Get("priority");
  if (priority == "interactive") options.set_priority(compile::v1::PRIORITY_INTERACTIVE);
  if (priority == "batch") options.set_priority(compile::v1::PRIORITY_BATCH);
  if (priority == "background") options.set_priority(compile::v1::PRIORITY_BACKGROUND);
  options.set_client(arguments.Get("client"));
  ASSIGN_OR_RETURN(const auto extra, arguments.GetPairs("option"));
  options.mutable_extra()->insert(extra.begin(), extra.end());
  return options;
}

Status SetArgumentTypes(const Arguments& arguments, v1::ArgumentTypes* out) {
  for (const std::string& text : arguments.GetAll("arg_type")) {
    ASSIGN_OR_RETURN(const tensor::ArrayType type, ParseArrayType(text).Annotate("--arg_type"));
    *out->add_types() = tensor::TypeToProto(type);
  }
  return OkStatus();
}

}  // namespace megalith::cli
