// Signatures: the named entry points of a model and what they take and give (tf-serving.md sections
// 3 and 10).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/learning/serving/program.h"
#include "common/learning/serving/value.h"

namespace megalith::serving {

// Names on the wire (persistent: owned by TensorFlow Serving, never change).
inline constexpr std::string_view kPredictMethod = "tensorflow/serving/predict";
inline constexpr std::string_view kClassifyMethod = "tensorflow/serving/classify";
inline constexpr std::string_view kRegressMethod = "tensorflow/serving/regress";
inline constexpr std::string_view kDefaultSignature = "serving_default";
inline constexpr std::string_view kExamplesInput = "inputs";
inline constexpr std::string_view kClassesOutput = "classes";
inline constexpr std::string_view kScoresOutput = "scores";
inline constexpr std::string_view kRegressOutput = "outputs";

// One input or output as callers see it.
struct Field {
  DataType dtype = DataType::kInvalid;
  std::vector<int64_t> dims;  // -1: any size
  bool unknown_rank = false;
  std::string tensor_name;  // what metadata shows; no meaning here
  size_t argument = 0;      // position among the program's arguments or results
  std::optional<Value> default_value;
};

// How one feature of an Example becomes an argument of the program.
struct Feature {
  std::string key;
  size_t argument = 0;
  DataType dtype = DataType::kInvalid;  // kFloat, kInt64 or kString: the kinds that Examples have;
                                        // or a type that one of these is converted to
  int64_t length = 0;                   // values per Example
  bool scalar = false;                  // no dimension but that of rows
  bool required = true;
  std::optional<Value> default_value;  // `length` values; nullopt: zeros
};

// Immutable once made.
struct Signature {
  std::string method;                    // kPredictMethod or another
  std::map<std::string, Field> inputs;   // by alias
  std::map<std::string, Field> outputs;  // by alias
  std::shared_ptr<const Program> program;
  std::map<size_t, Value> fixed_arguments;  // of arguments that no input names
  // Not empty: the one input is `inputs`, serialized Examples, and these make the arguments.
  std::vector<Feature> features;
  // Not empty: `classes` is an output, this for each row.
  std::vector<std::string> class_labels;

  bool takes_examples() const { return !features.empty(); }
};

// One version of one model, ready to answer. Immutable; shared by the calls that use it.
struct Servable {
  std::string name;
  int64_t version = 0;
  std::map<std::string, Signature> signatures;
};

// Outputs by alias.
using Outputs = std::map<std::string, Value>;

// Runs a signature on inputs by alias; every input is there or has a default. Computes `wanted`
// outputs, which exist. Source: tf-serving.md sections 3.2 (run time) and 3.3 (Examples).
// Errors: kInvalidArgument  another type ("Expects arg[0] to be float but double is provided") or
//         shape than the program takes, Examples that cannot be parsed; those of the program.
Result<Outputs> RunSignature(const Signature& signature, const std::map<std::string, Value>& inputs,
                             const std::vector<std::string>& wanted,
                             const Cancellation& cancellation);

}  // namespace megalith::serving
