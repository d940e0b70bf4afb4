// Clients of the services that turn programs into results: trace, compile, execute. Requests and
// answers are the services' own messages; include their .pb.h to use them.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/fleet/rpc/channel.h"
#include "common/foundation/base/status.h"
#include "common/foundation/tensor/tensor.h"

namespace megalith::trace::v1 {
class TraceRequest;
class TraceResponse;
class LowerRequest;
class LowerResponse;
}  // namespace megalith::trace::v1
namespace megalith::compile::v1 {
class CompileRequest;
class CompileResult;
class Progress;
}  // namespace megalith::compile::v1
namespace megalith::execute::v1 {
class ExecuteRequest;
class ExecuteResponse;
class ExecuteStreamRequest;
class ExecuteStreamResponse;
class BufferInfo;
class LoadResponse;
}  // namespace megalith::execute::v1

namespace megalith::stubs {

// Thread-safe, as are the others. Errors: those of the services (their protos), and those of
// rpc::UnaryMethod.
class TraceClient {
 public:
  explicit TraceClient(std::shared_ptr<rpc::Channel> channel);
  ~TraceClient();
  Result<trace::v1::TraceResponse> Trace(const trace::v1::TraceRequest& request,
                                         const rpc::CallOptions& options = {}) const;
  Result<trace::v1::LowerResponse> Lower(const trace::v1::LowerRequest& request,
                                         const rpc::CallOptions& options = {}) const;

 private:
  struct Methods;
  std::unique_ptr<const Methods> methods_;
};

class CompileClient {
 public:
  explicit CompileClient(std::shared_ptr<rpc::Channel> channel);
  ~CompileClient();
  // `on_progress` may be empty; it is called on the calling thread. An attempt that fails before
  // the first event with kUnavailable is repeated once.
  Result<compile::v1::CompileResult> Compile(
      const compile::v1::CompileRequest& request,
      const std::function<void(const compile::v1::Progress&)>& on_progress,
      const rpc::CallOptions& options = {}) const;
  // The whole package.
  Result<std::string> GetExecutable(const std::string& key,
                                    const rpc::CallOptions& options = {}) const;

 private:
  struct Methods;
  std::unique_ptr<const Methods> methods_;
};

using ExecuteStreamCall =
    rpc::Stream<execute::v1::ExecuteStreamRequest, execute::v1::ExecuteStreamResponse>;

class ExecuteClient {
 public:
  explicit ExecuteClient(std::shared_ptr<rpc::Channel> channel);
  ~ExecuteClient();
  Result<execute::v1::ExecuteResponse> Execute(const execute::v1::ExecuteRequest& request,
                                               const rpc::CallOptions& options = {}) const;
  // Many runs on one stream; answers come in order.
  ExecuteStreamCall OpenStream(const rpc::CallOptions& options = {}) const;
  Result<execute::v1::LoadResponse> Load(const std::string& key,
                                         const rpc::CallOptions& options = {}) const;
  // True if it was loaded.
  Result<bool> Unload(const std::string& key, const rpc::CallOptions& options = {}) const;
  // Tensors of any size: large ones travel in chunks.
  Result<execute::v1::BufferInfo> PutBuffer(const tensor::Tensor& tensor,
                                            const rpc::CallOptions& options = {}) const;
  Result<tensor::Tensor> GetBuffer(const std::string& handle,
                                   const rpc::CallOptions& options = {}) const;
  // How many of them existed.
  Result<uint32_t> FreeBuffers(const std::vector<std::string>& handles,
                               const rpc::CallOptions& options = {}) const;

  // Tensors above this many bytes are sent in chunks of this size.
  static constexpr size_t kChunkBytes = 1 << 20;

 private:
  struct Methods;
  std::unique_ptr<const Methods> methods_;
};

}  // namespace megalith::stubs
