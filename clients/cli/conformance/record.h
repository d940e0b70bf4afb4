// Oracle records: one JSON object per line, as written by conformance generators (schema in
// conformance/fixtures/jax/README.md).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/foundation/base/status.h"
#include "common/foundation/tensor/tensor.h"
#include "common/programs/pipeline/pipeline.h"
#include "common/programs/pipeline/transform.h"

namespace megalith::conformance {

// How two arrays are compared: |got - want| <= atol * max(1, max finite |want|) + rtol * |want|, NaN equal to NaN,
// infinities equal with sign; or bit for bit.
struct Tolerance {
  bool exact = false;
  double rtol = 0;
  double atol = 0;
};

// What the oracle says; the runner reads it only after it has executed the case.
struct Expectation {
  std::string result_jaxpr;
  std::vector<tensor::Tensor> result_consts;
  std::vector<tensor::Tensor> outputs;
  std::vector<Tolerance> tolerances;
  // Of a case that must fail:
  bool is_error = false;
  std::string error_class;
  std::vector<std::string> error_bases;
  std::string error_stage;
  std::string error_key;
};

struct Record {
  std::string id;
  std::string family;
  bool x64 = false;
  pipeline::Source source;
  std::vector<pipeline::Transform> stack;
  std::vector<tensor::Tensor> inputs;
  std::vector<bool> input_weak;
  bool has_inputs = false;
  std::string expectation_json;  // the raw line; see ReadExpectation
};

// Parses one line. Errors: kInvalidArgument naming the field.
Result<Record> ReadRecord(std::string_view line);
Result<Expectation> ReadExpectation(const Record& record);

// One stack entry of the schema, {"t":"grad","argnums":0}.
Result<pipeline::Transform> TransformFromJson(std::string_view json);

// OK if the arrays agree, otherwise a sentence saying where they differ.
Status CompareTensors(const tensor::Tensor& got, const tensor::Tensor& want, const Tolerance& tolerance);

}  // namespace megalith::conformance
