// What signatures.pbtxt says about the programs of a version folder, and signatures made from it
// (tf-serving.md section 10, docs/formats/signatures.md).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/learning/serving/signature.h"

namespace megalith::serving {

enum class Method : uint8_t { kPredict = 0, kClassify = 1, kRegress = 2 };

struct TensorSpec {
  std::string name;
  size_t argument = 0;
  DataType dtype = DataType::kInvalid;
  std::vector<std::string> dims;  // decimal, or the batch symbol at position 0
  std::optional<Value> default_value;
};

struct FeatureSpec {
  std::string key;
  std::string input;
  uint32_t length = 0;  // 0: a scalar per row
  bool required = false;
  std::optional<Value> default_value;
};

struct SignatureSpec {
  std::string name;
  Method method = Method::kPredict;
  std::string program;  // file in the folder
  std::string entry = "main";
  std::vector<TensorSpec> inputs;
  std::vector<TensorSpec> outputs;
  std::string batch_dim = "b";
  std::vector<int64_t> batch_sizes;
  std::vector<FeatureSpec> features;
  std::vector<std::string> class_labels;
  std::string class_label_file;
};

// The signature of `spec` over its program. Where the program has a fixed number of rows and the
// spec says the batch symbol, any number of rows is served (MakeRowwise).
// Errors: kInvalidArgument  rules 1 to 3 of tf-serving.md section 10 are broken; the message names
//         the signature and the tensor. kUnimplemented  an entry other than main.
Result<Signature> MakeSignature(const SignatureSpec& spec, std::shared_ptr<const Program> program);

// Of a program that no file describes: Predict, inputs args_0, args_1, ..., outputs output_0, ...
SignatureSpec DeriveSpec(std::string name, std::string program_file, const Program& program);

}  // namespace megalith::serving
