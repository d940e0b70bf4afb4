#include "clients/cli/program_calls.h"

#include "common/foundation/base/strings.h"
#include "common/foundation/tensor/tensor_proto.h"

namespace megalith::cli {
namespace {

// Arguments above this many bytes together travel as buffers: messages have a limit of 64 MiB by
// default.
constexpr size_t kMaxInlineBytes = 16 << 20;

}  // namespace

ProgramCalls::ProgramCalls(Session& session, std::shared_ptr<rpc::Channel> channel,
                           rpc::CallOptions options)
    : session_(&session),
      channel_(std::move(channel)),
      options_(std::move(options)),
      trace_(std::make_unique<stubs::TraceClient>(channel_)),
      compile_(std::make_unique<stubs::CompileClient>(channel_)),
      execute_(std::make_unique<stubs::ExecuteClient>(channel_)) {}

Result<ProgramCalls> ProgramCalls::Open(Session& session) {
  ASSIGN_OR_RETURN(auto channel, session.Fleet());
  ASSIGN_OR_RETURN(rpc::CallOptions options, session.CallOptions());
  return ProgramCalls(session, std::move(channel), std::move(options));
}

Result<trace::v1::LowerResponse> ProgramCalls::Lower(
    const ProgramInput& input, const trace::v1::ArgumentTypes* arguments) const {
  auto request = input.RequestOf<trace::v1::LowerRequest>();
  if (arguments != nullptr) *request.mutable_arguments() = *arguments;
  return trace_->Lower(request, options_);
}

Result<ProgramCalls::Compiled> ProgramCalls::Compile(
    const ProgramInput& input, const trace::v1::ArgumentTypes* arguments,
    const compile::v1::CompileOptions& options) const {
  const auto bar = session_->Progress(StrCat("compile ", Printable(input.name, 30)));
  bar->Update(0, "trace");
  Compiled out;
  compile::v1::CompileRequest request;
  *request.mutable_options() = options;
  if (input.NeedsTrace()) {
    ASSIGN_OR_RETURN(trace::v1::LowerResponse lowered, Lower(input, arguments));
    request.set_stablehlo_text(std::move(*lowered.mutable_stablehlo_text()));
    out.trace_key = lowered.key();
    out.trace_timings = lowered.timings();
  } else {
    input.SetProgramOf(&request);
  }
  const auto on_progress = [&bar](const compile::v1::Progress& p) {
    bar->Update(p.fraction(), p.stage());
  };
  ASSIGN_OR_RETURN(out.result, compile_->Compile(request, on_progress, options_));
  return out;
}

Result<std::string> ProgramCalls::Package(const compile::v1::CompileResult& result) const {
  if (!result.package().empty()) return result.package();
  return compile_->GetExecutable(result.key(), options_);
}

Result<RequestArguments> RequestArguments::Make(const ProgramCalls& calls,
                                                const std::vector<ArrayValue>& values) {
  RequestArguments out(calls);
  size_t inline_bytes = 0;
  for (const ArrayValue& value : values) {
    execute::v1::Argument argument;
    inline_bytes += value.tensor.byte_size();
    if (inline_bytes <= kMaxInlineBytes) {
      *argument.mutable_tensor() = tensor::TensorToProto(value.tensor);
    } else {
      inline_bytes -= value.tensor.byte_size();
      ASSIGN_OR_RETURN(const execute::v1::BufferInfo buffer,
                       calls.execute().PutBuffer(value.tensor, calls.options()));
      argument.set_buffer(buffer.handle());
      out.handles_.push_back(buffer.handle());
    }
    argument.set_weak(value.weak_type);
    out.arguments_.push_back(std::move(argument));
  }
  return out;
}

RequestArguments::~RequestArguments() {
  // A buffer that is not freed goes when its service does.
  if (!handles_.empty()) (void)calls_->execute().FreeBuffers(handles_, {});
}

void RequestArguments::AddTo(execute::v1::ExecuteRequest* request) const {
  for (const execute::v1::Argument& argument : arguments_) *request->add_arguments() = argument;
}

Result<Ran> Execute(const ProgramCalls& calls, const execute::v1::ExecuteRequest& request) {
  Result<execute::v1::ExecuteResponse> response = calls.execute().Execute(request, calls.options());
  if (response.status().code() == Code::kResourceExhausted && !request.return_buffers()) {
    execute::v1::ExecuteRequest buffered = request;
    buffered.set_return_buffers(true);
    response = calls.execute().Execute(buffered, calls.options());
  }
  if (!response.ok()) return response.status();
  Ran out;
  std::vector<std::string> handles;
  Status fetched;
  for (const execute::v1::ResultValue& value : response->results()) {
    if (value.has_buffer()) handles.push_back(value.buffer().handle());
    Result<tensor::Tensor> t =
        value.has_buffer() ? calls.execute().GetBuffer(value.buffer().handle(), calls.options())
                           : tensor::TensorFromProto(value.tensor());
    if (!t.ok() && fetched.ok())
      fetched = t.status().Annotate(StrCat("result ", out.results.size()));
    out.results.push_back(t.ok() ? *std::move(t) : tensor::Tensor());
  }
  if (!handles.empty()) (void)calls.execute().FreeBuffers(handles, {});
  RETURN_IF_ERROR(fetched);
  response->clear_results();
  out.response = *std::move(response);
  return out;
}

}  // namespace megalith::cli
