// Oracle records: one JSON object per line, as written by conformance generators (schema in
// conformance/fixtures/jax/README.md).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "clients/cli/conformance/compare.h"
#include "common/foundation/base/status.h"
#include "common/foundation/tensor/tensor.h"
#include "megalith/trace/v1/trace.pb.h"

namespace megalith::conformance {

// What the oracle says; the runner reads it only after it has executed the case.
struct Expectation {
  std::string result_jaxpr;
  std::vector<tensor::Tensor> outputs;
  std::vector<Tolerance> tolerances;  // one per output
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
  trace::v1::ProgramSource source;
  google::protobuf::RepeatedPtrField<trace::v1::Transform> stack;
  std::vector<tensor::Tensor> inputs;
  std::vector<bool> input_weak;
  bool has_inputs = false;
  std::string line;  // the record itself, for ReadExpectation
};

// Parses one line. Errors: kInvalidArgument naming the field.
Result<Record> ReadRecord(std::string_view line);
Result<Expectation> ReadExpectation(const Record& record);

}  // namespace megalith::conformance
