#include "clients/cli/conformance/record.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "common/foundation/base/bytes.h"
#include "common/foundation/base/strings.h"
#include "common/programs/ir/parse.h"
#include "common/programs/ops/registry.h"

namespace megalith::conformance {
namespace {

using Json = nlohmann::json;
using pipeline::Transform;
using tensor::DType;
using tensor::Shape;
using tensor::Tensor;

Status Bad(std::string_view field, std::string_view what) {
  return InvalidArgument(StrCat("record field '", field, "': ", what));
}

Result<Json> ParseJson(std::string_view text) {
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded() || !json.is_object()) return InvalidArgument("the record is not a JSON object");
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
  if (!dtype) return InvalidArgument(StrCat("unknown dtype '", Printable(Text(json, "dtype")), "'"));
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

Result<ir::ClosedJaxpr> ReadBody(const Json& json, const char* jaxpr_key, const char* consts_key) {
  ir::ClosedJaxpr out;
  const std::string text = Text(json, jaxpr_key);
  if (text.empty()) return out;
  ASSIGN_OR_RETURN(out.jaxpr, ir::ParseJaxpr(text, ops::AllOps()).Annotate(jaxpr_key));
  ASSIGN_OR_RETURN(out.consts, ReadTensors(json, consts_key));
  if (out.consts.size() != out.jaxpr->constvars().size()) return Bad(consts_key, "does not fit the constvars");
  return out;
}

Result<ir::RuleBodies> ReadRule(const Json& json) {
  ir::RuleBodies rule;
  rule.name = Text(json, "name");
  rule.is_vjp = Text(json, "kind") == "custom_vjp";
  ASSIGN_OR_RETURN(rule.jvp, ReadBody(json, "jvp_jaxpr", "jvp_consts"));
  ASSIGN_OR_RETURN(rule.fwd, ReadBody(json, "fwd_jaxpr", "fwd_consts"));
  ASSIGN_OR_RETURN(rule.bwd, ReadBody(json, "bwd_jaxpr", "bwd_consts"));
  rule.out_zeros = ReadBools(json, "out_zeros");
  rule.bwd_zeros = ReadBools(json, "bwd_zeros");
  rule.num_res = json.value("num_res", static_cast<int64_t>(0));
  if (json.contains("input_fwds")) {
    for (const Json& f : json["input_fwds"]) rule.input_fwds.push_back(f.is_null() ? -1 : f.get<int64_t>());
  }
  return rule;
}

std::optional<int64_t> Axis(const Json& json) {
  return json.is_number_integer() ? std::optional<int64_t>(json.get<int64_t>()) : std::nullopt;
}

void ReadAxes(const Json& json, const char* key, pipeline::Axes* axes, bool* is_list) {
  const auto it = json.find(key);
  if (it == json.end()) return;
  *is_list = it->is_array();
  axes->clear();
  if (it->is_array()) {
    for (const Json& a : *it) axes->push_back(Axis(a));
  } else {
    axes->push_back(Axis(*it));
  }
}

Result<Transform> ReadTransform(const Json& json) {
  Transform t;
  t.name = Text(json, "t");
  if (!pipeline::IsTransform(t.name)) return Bad("stack", StrCat("unknown transform '", Printable(t.name), "'"));
  if (const auto it = json.find("argnums"); it != json.end() && !it->is_null()) {
    t.argnums.clear();
    t.argnums_is_list = it->is_array();
    if (it->is_array()) {
      for (const Json& a : *it) t.argnums.push_back(a.get<int64_t>());
    } else if (it->is_number_integer()) {
      t.argnums.push_back(it->get<int64_t>());
    }
  }
  t.has_aux = json.value("has_aux", false);
  ReadAxes(json, "in_axes", &t.in_axes, &t.in_axes_is_list);
  ReadAxes(json, "out_axes", &t.out_axes, &t.out_axes_is_list);
  t.axis_name = Text(json, "axis_name");
  if (const auto it = json.find("axis_size"); it != json.end() && it->is_number_integer()) {
    t.axis_size = it->get<int64_t>();
  }
  t.num_primals = json.value("num_primals", static_cast<int64_t>(0));
  t.policy = Text(json, "policy");
  t.prevent_cse = json.value("prevent_cse", true);
  return t;
}

}  // namespace

Result<Transform> TransformFromJson(std::string_view text) {
  ASSIGN_OR_RETURN(const Json json, ParseJson(text));
  return ReadTransform(json);
}

Result<Record> ReadRecord(std::string_view line) {
  ASSIGN_OR_RETURN(const Json json, ParseJson(line));
  Record r;
  r.id = Text(json, "id");
  r.family = Text(json, "family");
  if (r.family.empty()) r.family = r.id.substr(0, r.id.find('/'));
  r.x64 = json.value("x64", false);
  r.source.text = Text(json, "jaxpr");
  r.source.fun_name = Text(json, "fun_name");
  ASSIGN_OR_RETURN(r.source.consts, ReadTensors(json, "consts"));
  if (json.contains("in_avals")) {
    for (const Json& a : json["in_avals"]) r.source.weak_inputs.push_back(a.value("weak_type", false));
  }
  r.expectation_json = std::string(line);
  if (json.contains("rules") && json["rules"].is_array()) {
    for (const Json& rule : json["rules"]) {
      ASSIGN_OR_RETURN(ir::RuleBodies bodies, ReadRule(rule));
      r.source.rules.push_back(std::move(bodies));
    }
  }
  if (json.contains("stack")) {
    for (const Json& t : json["stack"]) {
      ASSIGN_OR_RETURN(Transform transform, ReadTransform(t));
      r.stack.push_back(std::move(transform));
    }
  }
  r.has_inputs = json.contains("inputs");
  ASSIGN_OR_RETURN(r.inputs, ReadTensors(json, "inputs"));
  r.input_weak = ReadBools(json, "input_weak");
  return r;
}

Result<Expectation> ReadExpectation(const Record& record) {
  ASSIGN_OR_RETURN(const Json json, ParseJson(record.expectation_json));
  Expectation e;
  if (const auto it = json.find("error"); it != json.end() && it->is_object()) {
    e.is_error = true;
    e.error_class = Text(*it, "class");
    e.error_stage = Text(*it, "stage");
    e.error_key = Text(*it, "key");
    if (it->contains("bases")) {
      for (const Json& b : (*it)["bases"]) e.error_bases.push_back(b.get<std::string>());
    }
    return e;
  }
  e.result_jaxpr = Text(json, "result_jaxpr");
  ASSIGN_OR_RETURN(e.result_consts, ReadTensors(json, "result_consts"));
  ASSIGN_OR_RETURN(e.outputs, ReadTensors(json, "outputs"));
  if (const auto it = json.find("tolerance"); it != json.end()) {
    for (const Json& t : *it) {
      e.tolerances.push_back({t.value("exact", false), t.value("rtol", 0.0), t.value("atol", 0.0)});
    }
  }
  return e;
}

namespace {

// Distance of two numbers as the tolerance sees it; NaN agrees with NaN.
bool Close(double got, double want, double scale, const Tolerance& t) {
  if (std::isnan(want) || std::isnan(got)) return std::isnan(want) && std::isnan(got);
  if (std::isinf(want) || std::isinf(got)) return got == want;
  return std::fabs(got - want) <= t.atol * scale + t.rtol * std::fabs(want);
}

}  // namespace

Status CompareTensors(const Tensor& got, const Tensor& want, const Tolerance& tolerance) {
  if (got.dtype() != want.dtype() || !(got.shape() == want.shape())) {
    return InvalidArgument(StrCat("type is ", got.TypeText(), ", expected ", want.TypeText()));
  }
  const bool numeric = tensor::IsInexact(got.dtype());
  if (tolerance.exact || !numeric) {
    for (int64_t i = 0; i < got.size(); ++i) {
      const auto width = static_cast<size_t>(tensor::ByteWidth(got.dtype()));
      const size_t at = static_cast<size_t>(i) * width;
      if (got.bytes().substr(at, width) == want.bytes().substr(at, width)) continue;
      if (numeric && std::isnan(got.DoubleAt(i)) && std::isnan(want.DoubleAt(i))) continue;
      return InvalidArgument(StrCat("element ", i, " is ", got.DoubleAt(i), ", expected exactly ", want.DoubleAt(i)));
    }
    return OkStatus();
  }
  double largest = 0;
  for (int64_t i = 0; i < want.size(); ++i) {
    const double m = std::abs(want.ComplexAt(i));
    if (std::isfinite(m)) largest = std::max(largest, m);
  }
  const double scale = std::max(1.0, largest);
  for (int64_t i = 0; i < got.size(); ++i) {
    const std::complex<double> g = got.ComplexAt(i);
    const std::complex<double> w = want.ComplexAt(i);
    bool close = Close(g.real(), w.real(), scale, tolerance) && Close(g.imag(), w.imag(), scale, tolerance);
    if (!close && tensor::IsComplex(got.dtype()) && std::isfinite(std::abs(w)) && std::isfinite(std::abs(g))) {
      close = std::abs(g - w) <= tolerance.atol * scale + tolerance.rtol * std::abs(w);
    }
    if (close) continue;
    return InvalidArgument(StrCat("element ", i, " is ", g.real(),
                                  tensor::IsComplex(got.dtype()) ? StrCat("+", g.imag(), "j") : "", ", expected ",
                                  w.real(), tensor::IsComplex(got.dtype()) ? StrCat("+", w.imag(), "j") : "",
                                  " (rtol ", tolerance.rtol, ", atol ", tolerance.atol, ")"));
  }
  return OkStatus();
}

}  // namespace megalith::conformance
