#include "common/fleet/stubs/program_clients.h"

#include <optional>

#include "common/foundation/tensor/tensor_proto.h"
#include "megalith/compile/v1/compile.pb.h"
#include "megalith/execute/v1/execute.pb.h"
#include "megalith/trace/v1/trace.pb.h"

namespace megalith::stubs {
namespace {

constexpr char kTrace[] = "megalith.trace.v1.TraceService";
constexpr char kCompile[] = "megalith.compile.v1.CompileService";
constexpr char kExecute[] = "megalith.execute.v1.ExecuteService";

}  // namespace

struct TraceClient::Methods {
  explicit Methods(const std::shared_ptr<rpc::Channel>& c)
      : trace(c, kTrace, "Trace"), lower(c, kTrace, "Lower") {}
  rpc::UnaryMethod<trace::v1::TraceRequest, trace::v1::TraceResponse> trace;
  rpc::UnaryMethod<trace::v1::LowerRequest, trace::v1::LowerResponse> lower;
};

TraceClient::TraceClient(std::shared_ptr<rpc::Channel> channel)
    : methods_(std::make_unique<const Methods>(channel)) {}
TraceClient::~TraceClient() = default;

Result<trace::v1::TraceResponse> TraceClient::Trace(const trace::v1::TraceRequest& request,
                                                    const rpc::CallOptions& options) const {
  return methods_->trace(request, options);
}

Result<trace::v1::LowerResponse> TraceClient::Lower(const trace::v1::LowerRequest& request,
                                                    const rpc::CallOptions& options) const {
  return methods_->lower(request, options);
}

struct CompileClient::Methods {
  explicit Methods(const std::shared_ptr<rpc::Channel>& c)
      : compile(c, kCompile, "Compile"), get_executable(c, kCompile, "GetExecutable") {}
  rpc::StreamMethod<compile::v1::CompileRequest, compile::v1::CompileEvent> compile;
  rpc::StreamMethod<compile::v1::GetExecutableRequest, compile::v1::GetExecutableChunk>
      get_executable;
};

CompileClient::CompileClient(std::shared_ptr<rpc::Channel> channel)
    : methods_(std::make_unique<const Methods>(channel)) {}
CompileClient::~CompileClient() = default;

Result<compile::v1::CompileResult> CompileClient::Compile(
    const compile::v1::CompileRequest& request,
    const std::function<void(const compile::v1::Progress&)>& on_progress,
    const rpc::CallOptions& options) const {
  for (int attempt = 1;; ++attempt) {
    bool begun = false;
    const auto once = [&]() -> Result<compile::v1::CompileResult> {
      ASSIGN_OR_RETURN(auto stream, methods_->compile.Start(request, options));
      std::optional<compile::v1::CompileResult> result;
      while (true) {
        ASSIGN_OR_RETURN(const std::optional<compile::v1::CompileEvent> event, stream.Read());
        if (!event) break;
        begun = true;
        if (event->has_progress() && on_progress) on_progress(event->progress());
        if (event->has_result()) result = event->result();
      }
      if (!result) return Internal("the compile service ended the stream without a result");
      return *std::move(result);
    };
    Result<compile::v1::CompileResult> result = once();
    if (result.ok() || begun || attempt == 2 || !rpc::IsRetryable(result.status().code()))
      return result;
  }
}

Result<std::string> CompileClient::GetExecutable(const std::string& key,
                                                 const rpc::CallOptions& options) const {
  compile::v1::GetExecutableRequest request;
  request.set_key(key);
  ASSIGN_OR_RETURN(auto stream, methods_->get_executable.Start(request, options));
  std::string package;
  uint64_t total = 0;
  while (true) {
    ASSIGN_OR_RETURN(const std::optional<compile::v1::GetExecutableChunk> chunk, stream.Read());
    if (!chunk) break;
    if (chunk->total_bytes() != 0) total = chunk->total_bytes();
    package += chunk->data();
  }
  if (package.size() != total) return DataLoss("the stream ended before the package was whole");
  return package;
}

struct ExecuteClient::Methods {
  explicit Methods(const std::shared_ptr<rpc::Channel>& c)
      : load(c, kExecute, "Load"),
        unload(c, kExecute, "Unload"),
        execute(c, kExecute, "Execute"),
        execute_stream(c, kExecute, "ExecuteStream"),
        put(c, kExecute, "PutBuffer"),
        put_stream(c, kExecute, "PutBufferStream"),
        get(c, kExecute, "GetBuffer"),
        get_stream(c, kExecute, "GetBufferStream"),
        free(c, kExecute, "FreeBuffer") {}
  rpc::UnaryMethod<execute::v1::LoadRequest, execute::v1::LoadResponse> load;
  rpc::UnaryMethod<execute::v1::UnloadRequest, execute::v1::UnloadResponse> unload;
  rpc::UnaryMethod<execute::v1::ExecuteRequest, execute::v1::ExecuteResponse> execute;
  rpc::StreamMethod<execute::v1::ExecuteStreamRequest, execute::v1::ExecuteStreamResponse>
      execute_stream;
  rpc::UnaryMethod<execute::v1::PutBufferRequest, execute::v1::PutBufferResponse> put;
  rpc::StreamMethod<execute::v1::PutBufferChunk, execute::v1::PutBufferResponse> put_stream;
  rpc::UnaryMethod<execute::v1::GetBufferRequest, execute::v1::GetBufferResponse> get;
  rpc::StreamMethod<execute::v1::GetBufferRequest, execute::v1::GetBufferChunk> get_stream;
  rpc::UnaryMethod<execute::v1::FreeBufferRequest, execute::v1::FreeBufferResponse> free;
};

ExecuteClient::ExecuteClient(std::shared_ptr<rpc::Channel> channel)
    : methods_(std::make_unique<const Methods>(channel)) {}
ExecuteClient::~ExecuteClient() = default;

Result<execute::v1::ExecuteResponse> ExecuteClient::Execute(
    const execute::v1::ExecuteRequest& request, const rpc::CallOptions& options) const {
  return methods_->execute(request, options);
}

ExecuteStreamCall ExecuteClient::OpenStream(const rpc::CallOptions& options) const {
  return methods_->execute_stream.Open(options);
}

Result<execute::v1::LoadResponse> ExecuteClient::Load(const std::string& key,
                                                      const rpc::CallOptions& options) const {
  execute::v1::LoadRequest request;
  request.set_key(key);
  return methods_->load(request, options);
}

Result<bool> ExecuteClient::Unload(const std::string& key, const rpc::CallOptions& options) const {
  execute::v1::UnloadRequest request;
  request.set_key(key);
  ASSIGN_OR_RETURN(const execute::v1::UnloadResponse response, methods_->unload(request, options));
  return response.was_loaded();
}

Result<execute::v1::BufferInfo> ExecuteClient::PutBuffer(const tensor::Tensor& tensor,
                                                         const rpc::CallOptions& options) const {
  if (tensor.byte_size() <= kChunkBytes) {
    execute::v1::PutBufferRequest request;
    *request.mutable_tensor() = tensor::TensorToProto(tensor);
    ASSIGN_OR_RETURN(const execute::v1::PutBufferResponse response,
                     methods_->put(request, options));
    return response.buffer();
  }
  auto stream = methods_->put_stream.Open(options);
  const std::string_view bytes = tensor.bytes();
  for (size_t at = 0; at < bytes.size(); at += kChunkBytes) {
    execute::v1::PutBufferChunk chunk;
    if (at == 0)
      *chunk.mutable_type() = tensor::TypeToProto({tensor.dtype(), tensor.shape(), false});
    chunk.set_data(std::string(bytes.substr(at, kChunkBytes)));
    RETURN_IF_ERROR(stream.Write(chunk));
  }
  ASSIGN_OR_RETURN(const execute::v1::PutBufferResponse response, stream.Close());
  return response.buffer();
}

Result<tensor::Tensor> ExecuteClient::GetBuffer(const std::string& handle,
                                                const rpc::CallOptions& options) const {
  execute::v1::GetBufferRequest request;
  request.set_handle(handle);
  const Result<execute::v1::GetBufferResponse> response = methods_->get(request, options);
  if (response.ok()) return tensor::TensorFromProto(response->tensor());
  if (response.status().code() != Code::kResourceExhausted) return response.status();
  ASSIGN_OR_RETURN(auto stream, methods_->get_stream.Start(request, options));
  common::v1::TensorProto tensor;
  while (true) {
    ASSIGN_OR_RETURN(const std::optional<execute::v1::GetBufferChunk> chunk, stream.Read());
    if (!chunk) break;
    if (chunk->has_type()) {
      tensor.set_dtype(chunk->type().dtype());
      *tensor.mutable_dims() = chunk->type().dims();
    }
    tensor.mutable_data()->append(chunk->data());
  }
  return tensor::TensorFromProto(tensor);
}

Result<uint32_t> ExecuteClient::FreeBuffers(const std::vector<std::string>& handles,
                                            const rpc::CallOptions& options) const {
  execute::v1::FreeBufferRequest request;
  for (const std::string& handle : handles) request.add_handles(handle);
  ASSIGN_OR_RETURN(const execute::v1::FreeBufferResponse response,
                   methods_->free(request, options));
  return response.freed();
}

}  // namespace megalith::stubs
