#include "clients/cli/conformance/runner.h"

#include <atomic>
#include <mutex>
#include <thread>

#include "common/foundation/base/strings.h"
#include "common/foundation/tensor/physical.h"
#include "common/foundation/tensor/tensor_proto.h"
#include "common/programs/ir/compare.h"
#include "common/programs/ir/parse.h"
#include "common/programs/ops/registry.h"
#include "megalith/compile/v1/compile.pb.h"
#include "megalith/execute/v1/execute.pb.h"

namespace megalith::conformance {
namespace {

using tensor::Tensor;

// Class and phrase of an error.
Status CheckError(const Expectation& want, const Status& got) {
  const std::string expected = StrCat("expected ", want.error_class, " \"", want.error_key, "\"");
  if (got.ok()) return InvalidArgument(StrCat(expected, ", but the program ran"));
  if (got.python_class() != want.error_class ||
      got.message().find(want.error_key) == std::string::npos) {
    return InvalidArgument(StrCat(expected, ", got ", got.ToString()));
  }
  return OkStatus();
}

Status CheckDag(const std::string& got_text, const std::string& want_text) {
  const ir::ParseLimits limits{.guess_dropped = true};
  ASSIGN_OR_RETURN(const ir::JaxprPtr got,
                   ir::ParseJaxpr(got_text, ops::AllOps(), limits).Annotate("our text"));
  ASSIGN_OR_RETURN(const ir::JaxprPtr want,
                   ir::ParseJaxpr(want_text, ops::AllOps(), limits).Annotate("expected text"));
  if (ir::SameDag(*got, *want)) return OkStatus();
  return InvalidArgument(ir::ExplainDag(*want, *got, 4));
}

Status CheckValues(const Expectation& want, const std::vector<Tensor>& got) {
  if (got.size() != want.outputs.size()) {
    return InvalidArgument(
        StrCat("program has ", got.size(), " outputs, expected ", want.outputs.size()));
  }
  for (size_t i = 0; i < got.size(); ++i) {
    RETURN_IF_ERROR(
        CompareTensors(got[i], want.outputs[i], want.tolerances[i]).Annotate(StrCat("output ", i)));
  }
  return OkStatus();
}

}  // namespace

Runner::Runner(const std::shared_ptr<rpc::Channel>& channel, rpc::CallOptions options,
               compile::v1::CompileOptions compile)
    : trace_(channel),
      compile_(channel),
      execute_(channel),
      options_(options),
      compile_options_(std::move(compile)) {}

Result<std::vector<Tensor>> Runner::Execute(const Record& record,
                                            const trace::v1::TraceRequest& request,
                                            const trace::v1::TraceResponse& traced) const {
  trace::v1::LowerRequest lower;
  *lower.mutable_source() = request.source();
  *lower.mutable_stack() = request.stack();
  if (request.has_arguments()) *lower.mutable_arguments() = request.arguments();
  ASSIGN_OR_RETURN(const trace::v1::LowerResponse lowered, trace_.Lower(lower, options_));
  compile::v1::CompileRequest compile;
  compile.set_stablehlo_text(lowered.stablehlo_text());
  *compile.mutable_options() = compile_options_;
  ASSIGN_OR_RETURN(const compile::v1::CompileResult compiled,
                   compile_.Compile(compile, nullptr, options_));
  if (!record.has_inputs) return std::vector<Tensor>();
  execute::v1::ExecuteRequest execute;
  execute.set_key(compiled.key());
  for (const Tensor& t : record.inputs)
    *execute.add_arguments()->mutable_tensor() = tensor::TensorToProto(t);
  ASSIGN_OR_RETURN(const execute::v1::ExecuteResponse done, execute_.Execute(execute, options_));
  if (done.results_size() != traced.out_avals_size()) {
    return Internal(StrCat("execute gave ", done.results_size(), " results, trace promised ",
                           traced.out_avals_size()));
  }
  std::vector<Tensor> out;
  for (int i = 0; i < done.results_size(); ++i) {
    ASSIGN_OR_RETURN(const Tensor physical, tensor::TensorFromProto(done.results(i).tensor()));
    ASSIGN_OR_RETURN(const tensor::ArrayType type, tensor::TypeFromProto(traced.out_avals(i)));
    ASSIGN_OR_RETURN(Tensor t, tensor::FromPhysical(physical, type));
    out.push_back(std::move(t));
  }
  return out;
}

Runner::Answer Runner::Ask(const Record& record) const {
  trace::v1::TraceRequest request;
  *request.mutable_source() = record.source;
  *request.mutable_stack() = record.stack;
  request.mutable_options()->set_omit_program(true);
  if (record.has_inputs) request.mutable_arguments();
  for (size_t i = 0; i < record.inputs.size(); ++i) {
    const bool weak = i < record.input_weak.size() && record.input_weak[i];
    *request.mutable_arguments()->add_types() =
        tensor::TypeToProto({record.inputs[i].dtype(), record.inputs[i].shape(), weak});
  }
  const Result<trace::v1::TraceResponse> traced = trace_.Trace(request, options_);
  if (!traced.ok()) return {.text = traced.status(), .outputs = traced.status()};
  return {.text = traced->jaxpr_text(), .outputs = Execute(record, request, *traced)};
}

Outcome Runner::Run(std::string_view line, std::string_view where) const {
  Outcome out;
  const Result<Record> record = ReadRecord(line);
  if (!record.ok()) {
    out.failures.push_back({std::string(where), "record", record.status().ToString()});
    return out;
  }
  const Answer answer = Ask(*record);
  const Result<Expectation> want = ReadExpectation(*record);
  if (!want.ok()) {
    out.failures.push_back({record->id, "record", want.status().ToString()});
    return out;
  }
  const auto check = [&](std::string_view level, const Status& status) {
    if (!status.ok()) out.failures.push_back({record->id, std::string(level), status.ToString()});
    return std::optional<bool>(status.ok());
  };
  if (want->is_error) {
    out.error = check("error", CheckError(*want, answer.outputs.status()));
    return out;
  }
  if (!want->result_jaxpr.empty()) {
    out.dag = check("dag", answer.text.ok() ? CheckDag(*answer.text, want->result_jaxpr)
                                            : answer.text.status());
    out.text = answer.text.ok() &&
               ir::NormalizeText(*answer.text) == ir::NormalizeText(want->result_jaxpr);
    if (*out.dag && !*out.text) check("text", InvalidArgument("the same program in other words"));
  }
  if (record->has_inputs) {
    out.values = check("values", answer.outputs.ok() ? CheckValues(*want, *answer.outputs)
                                                     : answer.outputs.status());
  }
  return out;
}

Reports RunAll(const Runner& runner, const std::vector<Line>& lines, int threads,
               const std::function<void(size_t done)>& on_done) {
  std::vector<Outcome> outcomes(lines.size());
  std::atomic<size_t> next{0};
  std::mutex mu;
  size_t done = 0;  // guarded by mu
  const auto work = [&] {
    for (size_t i = next.fetch_add(1); i < lines.size(); i = next.fetch_add(1)) {
      outcomes[i] = runner.Run(lines[i].text, lines[i].where);
      const std::lock_guard<std::mutex> lock(mu);
      on_done(++done);
    }
  };
  std::vector<std::thread> pool;
  for (int t = 1; t < threads; ++t) pool.emplace_back(work);
  work();
  for (std::thread& t : pool) t.join();
  Reports out;
  for (size_t i = 0; i < lines.size(); ++i) out[lines[i].family].Add(outcomes[i]);
  return out;
}

}  // namespace megalith::conformance
