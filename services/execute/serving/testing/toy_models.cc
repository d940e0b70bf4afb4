#include "services/execute/serving/testing/toy_models.h"

#include <functional>

#include "common/foundation/base/strings.h"

namespace megalith::testing {
namespace {

using serving::DataType;
using serving::Field;
using serving::Program;
using serving::ProgramType;
using serving::Servable;
using serving::Shape;
using serving::Signature;
using serving::Value;
using tensor::DType;
using tensor::Tensor;

using Function = std::function<std::vector<Value>(const std::vector<Value>&)>;

class ToyProgram final : public Program {
 public:
  ToyProgram(std::vector<ProgramType> inputs, std::vector<ProgramType> outputs, Function function)
      : inputs_(std::move(inputs)), outputs_(std::move(outputs)), function_(std::move(function)) {}
  const std::vector<ProgramType>& inputs() const override { return inputs_; }
  const std::vector<ProgramType>& outputs() const override { return outputs_; }
  Result<std::vector<Value>> Run(std::vector<Value> arguments, const Cancellation&) const override {
    return function_(arguments);
  }

 private:
  const std::vector<ProgramType> inputs_;
  const std::vector<ProgramType> outputs_;
  const Function function_;
};

Field FieldOf(DataType dtype, std::vector<int64_t> dims, std::string tensor_name, size_t argument) {
  Field out;
  out.dtype = dtype;
  out.dims = std::move(dims);
  out.tensor_name = std::move(tensor_name);
  out.argument = argument;
  return out;
}

Tensor Floats(const Shape& shape) { return *Tensor::Create(DType::kF32, shape); }

std::vector<Value> HalfPlusTwo(const std::vector<Value>& in) {
  Tensor y = Floats(in[0].shape());
  for (int64_t i = 0; i < y.size(); ++i) y.SetDouble(i, 0.5 * in[0].tensor.DoubleAt(i) + 2);
  return {Value::Of(std::move(y))};
}

// a * scale, and the sum of each of its rows.
std::vector<Value> ScaleRows(const std::vector<Value>& in) {
  const int64_t rows = in[0].shape()[0], columns = in[0].shape()[1];
  Tensor scaled = Floats(in[0].shape()), total = Floats({rows});
  for (int64_t r = 0; r < rows; ++r) {
    double sum = 0;
    for (int64_t c = 0; c < columns; ++c) {
      const double v = in[0].tensor.DoubleAt(r * columns + c) * in[1].tensor.DoubleAt(r);
      scaled.SetDouble(r * columns + c, v);
      sum += v;
    }
    total.SetDouble(r, sum);
  }
  return {Value::Of(std::move(scaled)), Value::Of(std::move(total))};
}

std::vector<Value> DescribeText(const std::vector<Value>& in) {
  Tensor length = *Tensor::Create(DType::kI64, in[0].shape());
  std::vector<std::string> upper = in[0].strings;
  for (size_t i = 0; i < upper.size(); ++i) {
    length.SetInt(static_cast<int64_t>(i), static_cast<int64_t>(upper[i].size()));
    for (char& c : upper[i]) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  }
  return {Value::Of(std::move(length)), Value::OfStrings(in[0].shape(), std::move(upper))};
}

void AddHalfPlusTwo(Servable* out) {
  const ProgramType column{DataType::kFloat, {-1, 1}};
  const auto program =
      std::make_shared<ToyProgram>(std::vector{column}, std::vector{column}, HalfPlusTwo);
  Signature predict;
  predict.method = serving::kPredictMethod;
  predict.inputs["x"] = FieldOf(DataType::kFloat, {-1, 1}, "x:0", 0);
  predict.outputs["y"] = FieldOf(DataType::kFloat, {-1, 1}, "y:0", 0);
  predict.program = program;
  out->signatures["serving_default"] = predict;

  Signature examples;
  examples.inputs["inputs"] = FieldOf(DataType::kString, {}, "tf_example:0", 0);
  examples.inputs["inputs"].unknown_rank = true;
  examples.program = program;
  examples.features = {{.key = "x", .argument = 0, .dtype = DataType::kFloat, .length = 1}};
  Signature regress = examples, classify = examples;
  regress.method = serving::kRegressMethod;
  regress.outputs["outputs"] = predict.outputs["y"];
  classify.method = serving::kClassifyMethod;
  classify.outputs["scores"] = predict.outputs["y"];
  out->signatures["regress_x_to_y"] = regress;
  out->signatures["classify_x_to_y"] = classify;
}

void AddTwoInputs(Servable* out) {
  Signature s;
  s.method = serving::kPredictMethod;
  s.inputs["a"] = FieldOf(DataType::kFloat, {-1, 3}, "a:0", 0);
  s.inputs["scale"] = FieldOf(DataType::kFloat, {-1, 1}, "scale:0", 1);
  s.outputs["scaled"] = FieldOf(DataType::kFloat, {-1, 3}, "scaled:0", 0);
  s.outputs["total"] = FieldOf(DataType::kFloat, {-1}, "total:0", 1);
  s.program = std::make_shared<ToyProgram>(
      std::vector<ProgramType>{{DataType::kFloat, {-1, 3}}, {DataType::kFloat, {-1, 1}}},
      std::vector<ProgramType>{{DataType::kFloat, {-1, 3}}, {DataType::kFloat, {-1}}}, ScaleRows);
  out->signatures["serving_default"] = s;
}

void AddText(Servable* out) {
  Signature s;
  s.method = serving::kPredictMethod;
  s.inputs["text"] = FieldOf(DataType::kString, {-1}, "text:0", 0);
  s.outputs["length"] = FieldOf(DataType::kInt64, {-1}, "length:0", 0);
  s.outputs["upper_bytes"] = FieldOf(DataType::kString, {-1}, "upper:0", 1);
  s.program = std::make_shared<ToyProgram>(
      std::vector<ProgramType>{{DataType::kString, {-1}}},
      std::vector<ProgramType>{{DataType::kInt64, {-1}}, {DataType::kString, {-1}}}, DescribeText);
  out->signatures["serving_default"] = s;
}

class ToyLoader final : public serving::Loader {
 public:
  Result<std::shared_ptr<const Servable>> Load(const std::string& name, int64_t version,
                                               const std::string&, const Cancellation&) override {
    auto out = std::make_shared<Servable>();
    out->name = name;
    out->version = version;
    if (name == "half_plus_two") {
      AddHalfPlusTwo(out.get());
    } else if (name == "two_inputs") {
      AddTwoInputs(out.get());
    } else if (name == "text") {
      AddText(out.get());
    } else {
      return NotFound(StrCat("there is no toy model ", name));
    }
    return std::shared_ptr<const Servable>(std::move(out));
  }
};

}  // namespace

std::unique_ptr<serving::Loader> MakeToyLoader() { return std::make_unique<ToyLoader>(); }

}  // namespace megalith::testing
