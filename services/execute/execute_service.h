// megalith.execute.v1: runs programs on tensors and buffers.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/fleet/cache/single_flight.h"
#include "common/fleet/rpc/channel.h"
#include "common/fleet/rpc/service.h"
#include "common/fleet/stubs/cache_client.h"
#include "common/fleet/stubs/program_clients.h"
#include "megalith/execute/v1/execute.pb.h"
#include "services/common/lru_map.h"
#include "services/common/service_context.h"
#include "services/common/service_main.h"
#include "services/common/timings.h"
#include "services/execute/buffer_table.h"
#include "services/execute/config.h"
#include "services/execute/execute_engine.h"
#include "services/execute/run_slots.h"

namespace megalith::services {

// Channels to the services that a chain goes through.
struct ExecutePeers {
  std::shared_ptr<rpc::Channel> trace;
  std::shared_ptr<rpc::Channel> compile;
  std::shared_ptr<rpc::Channel> cache;
};

// Thread-safe. What each method promises: protos/megalith/execute/v1/execute.proto.
class ExecuteService final : public rpc::Service {
 public:
  ExecuteService(const ExecuteServiceConfig& config, std::shared_ptr<ExecuteEngine> engine,
                 const ExecutePeers& peers, ServiceContext& context);

  Result<execute::v1::LoadResponse> Load(const execute::v1::LoadRequest& request,
                                         const rpc::Call& call);
  Result<execute::v1::UnloadResponse> Unload(const execute::v1::UnloadRequest& request,
                                             const rpc::Call& call);
  Result<execute::v1::ExecuteResponse> Execute(const execute::v1::ExecuteRequest& request,
                                               const rpc::Call& call);
  // Runs small programs that are loaded at once.
  Result<std::optional<execute::v1::ExecuteResponse>> QuickExecute(
      const execute::v1::ExecuteRequest& request, const rpc::Call& call);
  Status ExecuteStream(rpc::Reader<execute::v1::ExecuteStreamRequest>& reader,
                       rpc::Writer<execute::v1::ExecuteStreamResponse>& writer,
                       const rpc::Call& call);
  Status RunSession(rpc::Reader<execute::v1::SessionRequest>& reader,
                    rpc::Writer<execute::v1::SessionResponse>& writer, const rpc::Call& call);
  Result<execute::v1::PutBufferResponse> PutBuffer(const execute::v1::PutBufferRequest& request,
                                                   const rpc::Call& call);
  Result<execute::v1::PutBufferResponse> PutBufferStream(
      rpc::Reader<execute::v1::PutBufferChunk>& reader, const rpc::Call& call);
  Result<execute::v1::GetBufferResponse> GetBuffer(const execute::v1::GetBufferRequest& request,
                                                   const rpc::Call& call);
  Status GetBufferStream(const execute::v1::GetBufferRequest& request,
                         rpc::Writer<execute::v1::GetBufferChunk>& writer, const rpc::Call& call);
  Result<execute::v1::FreeBufferResponse> FreeBuffer(const execute::v1::FreeBufferRequest& request,
                                                     const rpc::Call& call);

  // Small buffers are handled at once.
  Result<std::optional<execute::v1::PutBufferResponse>> QuickPutBuffer(
      const execute::v1::PutBufferRequest& request, const rpc::Call& call);
  Result<std::optional<execute::v1::GetBufferResponse>> QuickGetBuffer(
      const execute::v1::GetBufferRequest& request, const rpc::Call& call);
  Result<std::optional<execute::v1::FreeBufferResponse>> QuickFreeBuffer(
      const execute::v1::FreeBufferRequest& request, const rpc::Call& call);

 private:
  using ExecutablePtr = std::shared_ptr<const Executable>;
  struct Ready {
    ExecutablePtr executable;
    std::string key;
    bool was_loaded = false;
  };
  // A program in place of a key, the types of its arguments, and whom it is for.
  struct ChainTask {
    execute::v1::ProgramChain chain;
    std::vector<tensor::ArrayType> arguments;
    std::string client;
  };
  struct Chain {
    std::string key;
    std::string package;  // only if the cache could not store it
    double trace_seconds = 0, compile_seconds = 0;
  };
  // Decides what may be run: with a key of the fleet, what carries its seal for `key`; without one,
  // everything but the machine code in it.
  Result<ExecutablePtr> LoadPackage(const std::string& key, std::string_view bytes,
                                    const Cancellation& cancellation) const;
  Result<Ready> LoadByKey(const std::string& key, const rpc::Call& call);
  Result<Ready> LoadByChain(const execute::v1::ExecuteRequest& request, Timings* timings,
                            const rpc::Call& call);
  // The chain's program in a form that the compile service takes. Where the types of weak arguments
  // do not suit it, its own types.
  Status LowerChain(const ChainTask& task, const rpc::CallOptions& options,
                    compile::v1::CompileRequest* compile) const;
  Result<Chain> CompileChain(const ChainTask& task, const rpc::CallOptions& options) const;
  void Remember(const std::string& key, const ExecutablePtr& executable);
  Result<std::vector<tensor::Tensor>> ArgumentsOf(
      const google::protobuf::RepeatedPtrField<execute::v1::Argument>& arguments) const;
  // `wait_for_slot` is false on gRPC's threads, for programs that take no time.
  Result<execute::v1::ExecuteResponse> RunReady(const Ready& ready,
                                                const execute::v1::ExecuteRequest& request,
                                                bool wait_for_slot, Timings* timings,
                                                const rpc::Call& call);
  Result<execute::v1::BufferInfo> Keep(tensor::Tensor tensor);
  std::optional<uint64_t> Record(const rpc::Call& call, const std::string& decision,
                                 const std::string& key, const Status& outcome,
                                 double seconds) const;

  const ExecuteServiceConfig config_;
  const std::shared_ptr<ExecuteEngine> engine_;
  const stubs::TraceClient trace_;
  const stubs::CompileClient compile_;
  const stubs::CacheClient cache_;
  const cache::FleetKey fleet_key_;
  const Recorder recorder_;
  const Clock& clock_;
  const uint64_t max_response_bytes_;
  telemetry::Histogram& run_seconds_;
  telemetry::Gauge& loaded_gauge_;
  BufferTable buffers_;
  RunSlots run_slots_;
  LruMap<ExecutablePtr> loaded_;
  // Keys of chains that were compiled before, by the digest of the chain and its argument types.
  LruMap<std::string> chains_;
  cache::SingleFlight<ExecutablePtr> loads_;
  cache::SingleFlight<std::shared_ptr<const Chain>> compiles_;
};

// The process megalith-execute.
ServiceSpec ExecuteSpec(MakeExecuteEngine make_engine);

}  // namespace megalith::services
