#include "common/learning/serving/signature.h"

#include <algorithm>

#include "common/foundation/base/strings.h"
#include "common/learning/serving/example_parser.h"

namespace megalith::serving {
namespace {

std::string DimsText(const std::vector<int64_t>& dims) {
  std::vector<std::string> out;
  for (const int64_t d : dims) out.push_back(d < 0 ? "?" : StrCat(d));
  return StrCat("[", Join(out, ","), "]");
}

// The rows that the inputs agree on.
struct Rows {
  int64_t rows = -1;
  std::string of;  // the input that says so
};

Status CheckInput(const std::string& alias, const Field& field, const Value& value, Rows* rows) {
  if (value.dtype != field.dtype) {
    return InvalidArgument(StrCat("Expects arg[", field.argument, "] to be ", NameOf(field.dtype),
                                  " but ", NameOf(value.dtype), " is provided"));
  }
  if (field.unknown_rank) return OkStatus();
  const Shape& shape = value.shape();
  bool fits = shape.size() == field.dims.size();
  for (size_t d = 0; fits && d < shape.size(); ++d)
    fits = field.dims[d] < 0 || field.dims[d] == shape[d];
  if (!fits) {
    return InvalidArgument(StrCat("input \"", alias, "\": expected shape ", DimsText(field.dims),
                                  ", got [", tensor::DimsText(shape), "]"));
  }
  if (field.dims.empty() || field.dims[0] >= 0) return OkStatus();
  if (rows->rows < 0) {
    *rows = {shape[0], alias};
  } else if (rows->rows != shape[0]) {
    return InvalidArgument(StrCat("inputs \"", rows->of, "\" and \"", alias,
                                  "\" disagree on dimension \"b\": ", rows->rows, " and ",
                                  shape[0]));
  }
  return OkStatus();
}

Result<std::vector<Value>> ArgumentsOf(const Signature& signature,
                                       const std::map<std::string, Value>& inputs) {
  std::vector<Value> arguments(signature.program->inputs().size());
  for (const auto& [position, value] : signature.fixed_arguments) arguments[position] = value;
  Rows rows;
  for (const auto& [alias, field] : signature.inputs) {
    const auto given = inputs.find(alias);
    const Value& value = given == inputs.end() ? *field.default_value : given->second;
    RETURN_IF_ERROR(CheckInput(alias, field, value, &rows));
    if (!signature.takes_examples()) arguments[field.argument] = value;
  }
  if (signature.takes_examples()) {
    const auto given = inputs.find(std::string(kExamplesInput));
    const Value& examples =
        given == inputs.end() ? *signature.inputs.begin()->second.default_value : given->second;
    if (examples.string_shape.size() != 1) {
      return InvalidArgument(StrCat("input \"", kExamplesInput, "\": expected shape [?], got [",
                                    tensor::DimsText(examples.string_shape), "]"));
    }
    RETURN_IF_ERROR(ParseExamples(signature.features, examples.strings, &arguments));
  }
  return arguments;
}

// `labels` for each of the rows that `scores` has.
Value RepeatedLabels(const std::vector<std::string>& labels, int64_t rows) {
  std::vector<std::string> all;
  all.reserve(labels.size() * static_cast<size_t>(rows));
  for (int64_t i = 0; i < rows; ++i) all.insert(all.end(), labels.begin(), labels.end());
  return Value::OfStrings({rows, static_cast<int64_t>(labels.size())}, std::move(all));
}

}  // namespace

Result<Outputs> RunSignature(const Signature& signature, const std::map<std::string, Value>& inputs,
                             const std::vector<std::string>& wanted,
                             const Cancellation& cancellation) {
  ASSIGN_OR_RETURN(std::vector<Value> arguments, ArgumentsOf(signature, inputs));
  ASSIGN_OR_RETURN(const std::vector<Value> results,
                   signature.program->Run(std::move(arguments), cancellation));
  Outputs outputs;
  for (const std::string& alias : wanted) {
    const Field& field = signature.outputs.at(alias);
    const Value& result = results[field.argument];
    const bool labels = !signature.class_labels.empty() && alias == kClassesOutput;
    outputs.emplace(alias,
                    labels ? RepeatedLabels(signature.class_labels, result.shape()[0]) : result);
  }
  return outputs;
}

}  // namespace megalith::serving
