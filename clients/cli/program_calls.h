// Calls of the three services that several commands make in the same way.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "clients/cli/array_spec.h"
#include "clients/cli/program_input.h"
#include "clients/cli/session.h"
#include "common/fleet/stubs/program_clients.h"
#include "common/foundation/base/status.h"
#include "common/foundation/tensor/tensor.h"
#include "megalith/execute/v1/execute.pb.h"

namespace megalith::cli {

// Thread-safe but for Compile, which draws a progress bar. The session must outlive it.
class ProgramCalls {
 public:
  static Result<ProgramCalls> Open(Session& session);

  // `arguments` may be nullptr: derived from the program.
  Result<trace::v1::LowerResponse> Lower(const ProgramInput& input,
                                         const trace::v1::ArgumentTypes* arguments) const;

  struct Compiled {
    compile::v1::CompileResult result;
    // Of programs that were traced first.
    std::string trace_key;
    google::protobuf::RepeatedPtrField<common::v1::Timing> trace_timings;
  };
  // Lowers what is not StableHLO, then compiles. `input` is no key.
  Result<Compiled> Compile(const ProgramInput& input, const trace::v1::ArgumentTypes* arguments,
                           const compile::v1::CompileOptions& options) const;
  // The executable of a compilation.
  Result<std::string> Package(const compile::v1::CompileResult& result) const;

  const stubs::TraceClient& trace() const { return *trace_; }
  const stubs::CompileClient& compile() const { return *compile_; }
  const stubs::ExecuteClient& execute() const { return *execute_; }
  const std::shared_ptr<rpc::Channel>& channel() const { return channel_; }
  const rpc::CallOptions& options() const { return options_; }

 private:
  ProgramCalls(Session& session, std::shared_ptr<rpc::Channel> channel, rpc::CallOptions options);

  Session* session_;
  std::shared_ptr<rpc::Channel> channel_;
  rpc::CallOptions options_;
  std::unique_ptr<stubs::TraceClient> trace_;
  std::unique_ptr<stubs::CompileClient> compile_;
  std::unique_ptr<stubs::ExecuteClient> execute_;
};

// Arguments as requests take them: small ones by value, large ones as buffers that are freed at the
// end.
class RequestArguments {
 public:
  static Result<RequestArguments> Make(const ProgramCalls& calls,
                                       const std::vector<ArrayValue>& values);
  RequestArguments(RequestArguments&&) noexcept = default;
  ~RequestArguments();

  void AddTo(execute::v1::ExecuteRequest* request) const;

 private:
  explicit RequestArguments(const ProgramCalls& calls) : calls_(&calls) {}
  const ProgramCalls* calls_;
  std::vector<execute::v1::Argument> arguments_;
  std::vector<std::string> handles_;
};

// One run. Results above the message limit travel as buffers.
struct Ran {
  std::vector<tensor::Tensor> results;
  execute::v1::ExecuteResponse response;  // without results
};
Result<Ran> Execute(const ProgramCalls& calls, const execute::v1::ExecuteRequest& request);

}  // namespace megalith::cli
