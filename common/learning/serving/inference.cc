#include "common/learning/serving/inference.h"

#include <algorithm>
#include <set>

#include "common/foundation/base/strings.h"

namespace megalith::serving {
namespace {

template <typename Map>
std::vector<std::string> KeysOf(const Map& map) {
  std::vector<std::string> out;
  for (const auto& [key, value] : map) out.push_back(key);
  return out;
}

// The keys of `a` that `b` lacks.
template <typename A, typename B>
std::vector<std::string> Without(const A& a, const B& b) {
  std::vector<std::string> out;
  for (const auto& [key, value] : a)
    if (b.count(key) == 0) out.push_back(key);
  return out;
}

// For messages.
std::string Dump(const Signature& signature) {
  const auto fields = [](const std::map<std::string, Field>& of) {
    std::vector<std::string> out;
    for (const auto& [alias, field] : of)
      out.push_back(StrCat(alias, ": ", EnumNameOf(field.dtype)));
    return Join(out, ", ");
  };
  return StrCat("inputs { ", fields(signature.inputs), " } outputs { ", fields(signature.outputs),
                " } method_name: \"", signature.method, "\"");
}

bool HasDefaults(const Signature& signature) {
  return std::ranges::any_of(signature.inputs,
                             [](const auto& f) { return f.second.default_value.has_value(); });
}

Status CheckCount(const Signature& signature, const Inputs& inputs) {
  const size_t got = inputs.size(), want = signature.inputs.size();
  if (got == want || (got < want && HasDefaults(signature))) return OkStatus();
  return InvalidArgument(
      StrCat("input size does not match signature: ", got, "!=", want, " len({",
             Join(KeysOf(inputs), ","), "}) != len({", Join(KeysOf(signature.inputs), ","),
             "}). Sent extra: {", Join(Without(inputs, signature.inputs), ","),
             "}. Missing but required: {", Join(Without(signature.inputs, inputs), ","), "}."));
}

// The values to run with; defaults are left to RunSignature.
Result<std::map<std::string, Value>> TakeInputs(const Signature& signature, const Inputs& inputs) {
  std::map<std::string, Value> out;
  for (const auto& [alias, field] : signature.inputs) {
    const auto given = inputs.find(alias);
    if (given == inputs.end()) {
      if (field.default_value.has_value()) continue;
      std::vector<std::string> defaults;
      for (const auto& [name, f] : signature.inputs)
        if (f.default_value.has_value()) defaults.push_back(name);
      return InvalidArgument(StrCat(
          "Signature input alias: ", alias, "(feed name: ", field.tensor_name,
          ") not found in request and no default value provided. Inputs "
          "expected to be in the request {",
          Join(KeysOf(inputs), ","), "}, or default input alias set: ", Join(defaults, ",")));
    }
    if (given->second.status().code() == Code::kResourceExhausted) return given->second.status();
    if (!given->second.ok()) return InvalidArgument(StrCat("tensor parsing error: ", alias));
    out.emplace(alias, *given->second);
  }
  if (out.size() != inputs.size()) {
    return InvalidArgument(
        StrCat("Inputs contains invalid name. Used request inputs: ", Join(KeysOf(out), ","),
               ", request input: ", Join(KeysOf(inputs), ",")));
  }
  return out;
}

Result<std::vector<std::string>> WantedOutputs(const Signature& signature,
                                               const std::vector<std::string>& filter) {
  if (filter.empty()) return KeysOf(signature.outputs);
  std::set<std::string> seen;
  for (const std::string& alias : filter) {
    if (signature.outputs.count(alias) == 0) {
      return InvalidArgument(StrCat("output tensor alias not found in signature: ", alias,
                                    " Outputs expected to be in the set {",
                                    Join(KeysOf(signature.outputs), ","), "}."));
    }
    if (!seen.insert(alias).second)
      return InvalidArgument(StrCat("duplicate output tensor alias: ", alias));
  }
  return filter;
}

Status CheckMethod(const Signature& signature, std::string_view kind, std::string_view wanted,
                   const InferenceOptions& options) {
  if (!options.check_method_name || signature.method == wanted) return OkStatus();
  return InvalidArgument(StrCat("Expected ", kind, " signature method_name to be ", wanted,
                                ". Was: ", signature.method));
}

Result<const Signature*> FindForExamples(const Servable& servable, std::string_view name) {
  const auto found = servable.signatures.find(EffectiveSignature(name));
  if (found == servable.signatures.end()) {
    return InvalidArgument(
        StrCat("No signature was found with the name: ", EffectiveSignature(name)));
  }
  return &found->second;
}

Status CheckExamplesInput(const Signature& signature, std::string_view kind) {
  if (signature.inputs.size() != 1) return InvalidArgument("Expected one input Tensor.");
  if (signature.inputs.count(std::string(kExamplesInput)) == 0) {
    return InvalidArgument(StrCat("No ", kind, " inputs found in SignatureDef: ", Dump(signature)));
  }
  return OkStatus();
}

Result<Outputs> RunOnExamples(const Signature& signature, const std::vector<std::string>& examples,
                              const Cancellation& cancellation) {
  if (examples.empty()) return InvalidArgument("Input is empty.");
  const std::map<std::string, Value> inputs = {
      {std::string(kExamplesInput),
       Value::OfStrings({static_cast<int64_t>(examples.size())}, examples)}};
  return RunSignature(signature, inputs, KeysOf(signature.outputs), cancellation);
}

// The output `alias` of a classification, or nullptr. Checked for rank, type and rows.
Result<const Value*> ClassOutput(const Outputs& outputs, std::string_view alias, DataType dtype,
                                 size_t rows) {
  const auto found = outputs.find(std::string(alias));
  if (found == outputs.end()) return static_cast<const Value*>(nullptr);
  const Value& value = found->second;
  if (value.shape().size() != 2) {
    return InvalidArgument(StrCat("Expected Tensor shape: [batch_size num_classes] but got [",
                                  tensor::DimsText(value.shape()), "]"));
  }
  if (value.dtype != dtype) {
    return InvalidArgument(StrCat("Expected ", alias, " Tensor of ", EnumNameOf(dtype),
                                  ". Got: ", EnumNameOf(value.dtype)));
  }
  if (value.shape()[0] != static_cast<int64_t>(rows)) {
    return InvalidArgument(
        StrCat("Expected ", alias, " output batch size of ", rows, ". Got: ", value.shape()[0]));
  }
  return &value;
}

}  // namespace

std::string EffectiveSignature(std::string_view signature) {
  return std::string(signature.empty() ? kDefaultSignature : signature);
}

Result<Outputs> Predict(const Servable& servable, std::string_view signature, const Inputs& inputs,
                        const std::vector<std::string>& filter, const InferenceOptions& options,
                        const Cancellation& cancellation) {
  const auto found = servable.signatures.find(EffectiveSignature(signature));
  if (found == servable.signatures.end()) {
    return FailedPrecondition(
        StrCat("Serving signature key \"", EffectiveSignature(signature), "\" not found."));
  }
  const Signature& of = found->second;
  if (options.check_method_name && of.method != kPredictMethod && of.method != kClassifyMethod &&
      of.method != kRegressMethod) {
    return Internal(StrCat("Expected prediction signature method_name to be one of {",
                           kPredictMethod, ", ", kClassifyMethod, ", ", kRegressMethod,
                           "}. Was: ", of.method));
  }
  RETURN_IF_ERROR(CheckCount(of, inputs));
  ASSIGN_OR_RETURN(const auto values, TakeInputs(of, inputs));
  ASSIGN_OR_RETURN(const std::vector<std::string> wanted, WantedOutputs(of, filter));
  return RunSignature(of, values, wanted, cancellation);
}

Result<std::vector<std::vector<Class>>> Classify(const Servable& servable,
                                                 std::string_view signature,
                                                 const std::vector<std::string>& examples,
                                                 const InferenceOptions& options,
                                                 const Cancellation& cancellation) {
  ASSIGN_OR_RETURN(const Signature* of, FindForExamples(servable, signature));
  RETURN_IF_ERROR(CheckMethod(*of, "classification", kClassifyMethod, options));
  RETURN_IF_ERROR(CheckExamplesInput(*of, "classification"));
  if (of->outputs.empty() || of->outputs.size() > 2) {
    return InvalidArgument(
        StrCat("Expected one or two output Tensors, found ", of->outputs.size()));
  }
  if (of->outputs.count(std::string(kClassesOutput)) == 0 &&
      of->outputs.count(std::string(kScoresOutput)) == 0) {
    return InvalidArgument(
        StrCat("Expected classification signature outputs to contain at least "
               "one of \"classes\" or \"scores\". Signature was: ",
               Dump(*of)));
  }
  ASSIGN_OR_RETURN(const Outputs outputs, RunOnExamples(*of, examples, cancellation));
  const size_t rows = examples.size();
  ASSIGN_OR_RETURN(const Value* classes,
                   ClassOutput(outputs, kClassesOutput, DataType::kString, rows));
  ASSIGN_OR_RETURN(const Value* scores,
                   ClassOutput(outputs, kScoresOutput, DataType::kFloat, rows));
  if (classes != nullptr && scores != nullptr && classes->shape()[1] != scores->shape()[1]) {
    return InvalidArgument(StrCat("Tensors class and score should match in dim_size(1). Got ",
                                  classes->shape()[1], " vs. ", scores->shape()[1]));
  }
  const auto columns = static_cast<size_t>((classes != nullptr ? classes : scores)->shape()[1]);
  std::vector<std::vector<Class>> out(rows, std::vector<Class>(columns));
  for (size_t i = 0; i < rows * columns; ++i) {
    Class& to = out[i / columns][i % columns];
    if (classes != nullptr) to.label = classes->strings[i];
    if (scores != nullptr) to.score = scores->tensor.As<float>()[i];
  }
  return out;
}

Result<std::vector<float>> Regress(const Servable& servable, std::string_view signature,
                                   const std::vector<std::string>& examples,
                                   const InferenceOptions& options,
                                   const Cancellation& cancellation) {
  ASSIGN_OR_RETURN(const Signature* of, FindForExamples(servable, signature));
  RETURN_IF_ERROR(CheckMethod(*of, "regression", kRegressMethod, options));
  RETURN_IF_ERROR(CheckExamplesInput(*of, "regression"));
  if (of->outputs.size() != 1) return InvalidArgument("Expected one output Tensor.");
  if (of->outputs.count(std::string(kRegressOutput)) == 0) {
    return InvalidArgument(StrCat("No regression outputs found in SignatureDef: ", Dump(*of)));
  }
  ASSIGN_OR_RETURN(const Outputs outputs, RunOnExamples(*of, examples, cancellation));
  const Value& value = outputs.begin()->second;
  const Shape& shape = value.shape();
  if (shape.size() != 1 && (shape.size() != 2 || shape[1] != 1)) {
    return InvalidArgument(StrCat(
        "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got [",
        tensor::DimsText(shape), "]"));
  }
  if (shape[0] != static_cast<int64_t>(examples.size())) {
    return InvalidArgument(StrCat(
        "Input batch size did not match output batch size: ", examples.size(), " vs. ", shape[0]));
  }
  if (value.dtype != DataType::kFloat) {
    return InvalidArgument(
        StrCat("Expected output Tensor of DT_FLOAT.  Got: ", EnumNameOf(value.dtype)));
  }
  const std::span<const float> floats = value.tensor.As<float>();
  return std::vector<float>(floats.begin(), floats.end());
}

}  // namespace megalith::serving
