#include "clients/cli/conformance/record.h"

#include <nlohmann/json.hpp>

#include "common/foundation/base/bytes.h"
#include "common/foundation/base/strings.h"
#include "common/foundation/tensor/tensor_proto.h"
#include "common/programs/ir/parse.h"

namespace megalith::conformance {
namespace {

using Json = nlohmann::json;
namespace v1 = trace::v1;
using tensor::DType;
using tensor::Shape;
using tensor::Tensor;

Status Bad(std::string_view field, std::string_view what) {
  return InvalidArgument(StrCat("record field '", field, "': ", what));
}

Result<Json> ParseJson(std::string_view text) {
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded() || !json.is_object())
    return InvalidArgument("the record is not a JSON object");
  return json;
}

std::string Text(const Json& json, const char* key) {
  const auto it = json.find(key);
  return it != json.end() && it->is_string() ? it->get<std::string>() : "";
}

Result<Tensor> ReadTensor(const Json& json) {
  if (!json.is_object() || !json.contains("dtype") || !json.contains("shape")) {
    return InvalidArgument("an array needs dtype and shape");
  }
  const auto dtype = tensor::DTypeFromName(Text(json, "dtype"));
  if (!dtype)
    return InvalidArgument(StrCat("unknown dtype '", Printable(Text(json, "dtype")), "'"));
  Shape shape;
  for (const Json& d : json["shape"]) {
    if (!d.is_number_integer()) return InvalidArgument("a shape must hold integers");
    shape.push_back(d.get<int64_t>());
  }
  const auto bytes = Base64Decode(Text(json, "data"));
  if (!bytes) return InvalidArgument("array data is not base64");
  return Tensor::FromBytes(*dtype, shape, AsText(*bytes));
}

Result<std::vector<Tensor>> ReadTensors(const Json& json, const char* key) {
  std::vector<Tensor> out;
  const auto it = json.find(key);
  if (it == json.end() || it->is_null()) return out;
  if (!it->is_array()) return Bad(key, "must be a list");
  for (const Json& t : *it) {
    Result<Tensor> tensor = ReadTensor(t);
    if (!tensor.ok()) return Bad(key, tensor.status().message());
    out.push_back(*std::move(tensor));
  }
  return out;
}

std::vector<bool> ReadBools(const Json& json, const char* key) {
  std::vector<bool> out;
  const auto it = json.find(key);
  if (it == json.end() || !it->is_array()) return out;
  for (const Json& b : *it) out.push_back(b.is_boolean() && b.get<bool>());
  return out;
}

Status ReadConsts(const Json& json, const char* key,
                  google::protobuf::RepeatedPtrField<common::v1::TensorProto>* out) {
  ASSIGN_OR_RETURN(const std::vector<Tensor> tensors, ReadTensors(json, key));
  for (const Tensor& t : tensors) *out->Add() = tensor::TensorToProto(t);
  return OkStatus();
}

Status ReadRule(const Json& json, v1::RuleSource* rule) {
  rule->set_name(Text(json, "name"));
  if (json.contains("jvp_jaxpr")) {
    v1::JvpRuleSource* jvp = rule->mutable_jvp();
    jvp->set_jvp_jaxpr(Text(json, "jvp_jaxpr"));
    for (const bool zero : ReadBools(json, "out_zeros")) jvp->add_out_zeros(zero);
    return ReadConsts(json, "jvp_consts", jvp->mutable_jvp_consts());
  }
  v1::VjpRuleSource* vjp = rule->mutable_vjp();
  vjp->set_fwd_jaxpr(Text(json, "fwd_jaxpr"));
  vjp->set_bwd_jaxpr(Text(json, "bwd_jaxpr"));
  vjp->set_num_res(json.value("num_res", 0U));
  for (const Json& f : json.value("input_fwds", Json::array()))
    vjp->add_input_fwds(f.is_null() ? -1 : f.get<int64_t>());
  for (const bool zero : ReadBools(json, "bwd_zeros")) vjp->add_bwd_zeros(zero);
  RETURN_IF_ERROR(ReadConsts(json, "fwd_consts", vjp->mutable_fwd_consts()));
  return ReadConsts(json, "bwd_consts", vjp->mutable_bwd_consts());
}

void ReadArgnums(const Json& json, v1::ArgNums* out) {
  const auto it = json.find("argnums");
  if (it == json.end() || it->is_null()) return;
  out->set_is_tuple(it->is_array());
  for (const Json& a : it->is_array() ? *it : Json::array({*it})) out->add_index(a.get<int64_t>());
}

void ReadGrad(const Json& json, v1::Grad* out) {
  ReadArgnums(json, out->mutable_argnums());
  out->set_has_aux(json.value("has_aux", false));
}

void ReadAxes(const Json& axes, v1::Axes* out) {
  out->set_uniform(!axes.is_array());
  for (const Json& a : axes.is_array() ? axes : Json::array({axes})) {
    v1::Axis* axis = out->add_axis();
    if (!a.is_null()) axis->set_index(a.get<int64_t>());
  }
}

void ReadVmap(const Json& json, v1::Vmap* out) {
  if (const auto it = json.find("in_axes"); it != json.end()) ReadAxes(*it, out->mutable_in_axes());
  if (const auto it = json.find("out_axes"); it != json.end())
    ReadAxes(*it, out->mutable_out_axes());
  if (const auto it = json.find("axis_size"); it != json.end() && !it->is_null())
    out->set_axis_size(it->get<int64_t>());
  if (const std::string name = Text(json, "axis_name"); !name.empty()) out->set_axis_name(name);
}

void ReadCheckpoint(const Json& json, v1::Checkpoint* out) {
  if (const std::string policy = Text(json, "policy"); !policy.empty()) out->set_policy(policy);
  out->set_prevent_cse(json.value("prevent_cse", true));
}

// What the schema calls a transform and how its fields are read.
struct TransformRow {
  std::string_view name;
  void (*read)(const Json& json, v1::Transform* out);
};
constexpr TransformRow kTransforms[] = {
    {"jit", [](const Json&, v1::Transform* t) { t->mutable_jit(); }},
    {"grad", [](const Json& j, v1::Transform* t) { ReadGrad(j, t->mutable_grad()); }},
    {"value_and_grad",
     [](const Json& j, v1::Transform* t) { ReadGrad(j, t->mutable_value_and_grad()); }},
    {"vmap", [](const Json& j, v1::Transform* t) { ReadVmap(j, t->mutable_vmap()); }},
    {"jvp", [](const Json&, v1::Transform* t) { t->mutable_jvp(); }},
    {"linearize", [](const Json&, v1::Transform* t) { t->mutable_linearize(); }},
    {"vjp",
     [](const Json& j, v1::Transform* t) {
       t->mutable_vjp()->set_num_primals(j.value("num_primals", 0U));
     }},
    {"linear_transpose",
     [](const Json& j, v1::Transform* t) {
       t->mutable_linear_transpose()->set_num_primals(j.value("num_primals", 0U));
     }},
    {"jacfwd", [](const Json& j,
                  v1::Transform* t) { ReadArgnums(j, t->mutable_jacfwd()->mutable_argnums()); }},
    {"jacrev", [](const Json& j,
                  v1::Transform* t) { ReadArgnums(j, t->mutable_jacrev()->mutable_argnums()); }},
    {"hessian", [](const Json& j,
                   v1::Transform* t) { ReadArgnums(j, t->mutable_hessian()->mutable_argnums()); }},
    {"checkpoint",
     [](const Json& j, v1::Transform* t) { ReadCheckpoint(j, t->mutable_checkpoint()); }},
};

Status ReadTransform(const Json& json, v1::Transform* out) {
  const std::string name = Text(json, "t");
  for (const TransformRow& row : kTransforms) {
    if (row.name != name) continue;
    row.read(json, out);
    return OkStatus();
  }
  return Bad("stack", StrCat("unknown transform '", Printable(name), "'"));
}

Status ReadSource(const Json& json, Record* r) {
  v1::ProgramSource& source = r->source;
  source.set_jaxpr_text(Text(json, "jaxpr"));
  source.set_fun_name(Text(json, "fun_name"));
  source.set_x64(json.value("x64", false));
  for (const Json& a : json.value("in_avals", Json::array())) {
    ASSIGN_OR_RETURN(ir::Aval aval,
                     ir::ParseAval(Text(a, "type")).Annotate("record field 'in_avals'"));
    *source.add_in_avals() =
        tensor::TypeToProto({aval.dtype, aval.shape, a.value("weak_type", false)});
  }
  RETURN_IF_ERROR(ReadConsts(json, "consts", source.mutable_consts()));
  for (const Json& rule : json.value("rules", Json::array()))
    RETURN_IF_ERROR(ReadRule(rule, source.add_rules()));
  for (const Json& t : json.value("stack", Json::array()))
    RETURN_IF_ERROR(ReadTransform(t, r->stack.Add()));
  return OkStatus();
}

Status ReadFields(const Json& json, Record* r) {
  r->id = Text(json, "id");
  r->family = Text(json, "family");
  if (r->family.empty()) r->family = r->id.substr(0, r->id.find('/'));
  RETURN_IF_ERROR(ReadSource(json, r));
  r->has_inputs = json.contains("inputs");
  ASSIGN_OR_RETURN(r->inputs, ReadTensors(json, "inputs"));
  r->input_weak = ReadBools(json, "input_weak");
  return OkStatus();
}

Status ReadExpected(const Json& json, Expectation* e) {
  if (const auto it = json.find("error"); it != json.end() && it->is_object()) {
    e->is_error = true;
    e->error_class = Text(*it, "class");
    e->error_stage = Text(*it, "stage");
    e->error_key = Text(*it, "key");
    for (const Json& b : it->value("bases", Json::array()))
      e->error_bases.push_back(b.get<std::string>());
    return OkStatus();
  }
  e->result_jaxpr = Text(json, "result_jaxpr");
  ASSIGN_OR_RETURN(e->outputs, ReadTensors(json, "outputs"));
  for (const Json& t : json.value("tolerance", Json::array())) {
    e->tolerances.push_back({t.value("exact", false), t.value("rtol", 0.0), t.value("atol", 0.0)});
  }
  if (e->tolerances.size() != e->outputs.size())
    return Bad("tolerance", "must have one entry per output");
  return OkStatus();
}

// Runs `read` on the parsed line; a field of another type than the schema's is an error like any
// other.
template <typename T>
Result<T> ReadLine(std::string_view line, Status (*read)(const Json&, T*)) {
  ASSIGN_OR_RETURN(const Json json, ParseJson(line));
  T out;
  try {
    RETURN_IF_ERROR(read(json, &out));
  } catch (const Json::exception& e) {
    return InvalidArgument(StrCat("the record has a field of a wrong type: ", Printable(e.what())));
  }
  return out;
}

}  // namespace

Result<Record> ReadRecord(std::string_view line) {
  ASSIGN_OR_RETURN(Record record, ReadLine<Record>(line, ReadFields));
  record.line = std::string(line);
  return record;
}

Result<Expectation> ReadExpectation(const Record& record) {
  return ReadLine<Expectation>(record.line, ReadExpected);
}

}  // namespace megalith::conformance
