// megalith.compile.v1: StableHLO in, an executable in the cache out.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "common/fleet/rpc/channel.h"
#include "common/fleet/rpc/service.h"
#include "common/fleet/stubs/cache_client.h"
#include "megalith/compile/v1/compile.pb.h"
#include "services/common/lru_map.h"
#include "services/common/service_context.h"
#include "services/common/service_main.h"
#include "services/compile/compile_engine.h"
#include "services/compile/compile_queue.h"
#include "services/compile/config.h"

namespace megalith::services {

// Thread-safe. What each method promises: protos/megalith/compile/v1/compile.proto.
class CompileService final : public rpc::Service {
 public:
  CompileService(const CompileServiceConfig& config, std::shared_ptr<CompileEngine> engine,
                 std::shared_ptr<rpc::Channel> cache, ServiceContext& context);

  Status Compile(const compile::v1::CompileRequest& request,
                 rpc::Writer<compile::v1::CompileEvent>& writer, const rpc::Call& call);
  Status GetExecutable(const compile::v1::GetExecutableRequest& request,
                       rpc::Writer<compile::v1::GetExecutableChunk>& writer, const rpc::Call& call);

 private:
  class Progress;
  class Seat;
  // What became of one request, for evidence.
  struct Obtained {
    CompileQueue::Outcome outcome;
    bool hit = false;  // no compilation was needed
  };
  Status CompileSeated(const compile::v1::CompileRequest& request, const std::string& client,
                       rpc::Writer<compile::v1::CompileEvent>& writer, const rpc::Call& call);
  Result<CompileInput> InputOf(const compile::v1::CompileRequest& request) const;
  Result<std::string> ClientOf(const compile::v1::CompileRequest& request,
                               const rpc::Call& call) const;
  Result<Obtained> Obtain(const std::shared_ptr<CompileJob>& job,
                          const compile::v1::CompileOptions& options, const std::string& client,
                          Progress& progress, const rpc::Call& call);
  // What the cache has, if a compiler of this fleet made it. Errors: kDataLoss  it has something
  // else; those of the cache.
  Result<CompiledPackagePtr> FromCache(const std::string& key,
                                       const rpc::CallOptions& options) const;
  CompiledPackagePtr FindStored(const std::string& key, const rpc::CallOptions& options);
  Result<CompiledPackagePtr> Build(CompileJob& job, const Status& lookup, bool ignore_cache,
                                   const StageProgress& progress, const Cancellation& cancellation,
                                   const telemetry::TraceContext& trace);
  std::optional<uint64_t> Record(const rpc::Call& call, const CompileJob& job,
                                 const CompileInput& input,
                                 const compile::v1::CompileRequest& request,
                                 const std::string& client, const Result<Obtained>& obtained,
                                 double seconds) const;
  void Count(std::string_view outcome) const;

  const CompileServiceConfig config_;
  const std::shared_ptr<CompileEngine> engine_;
  const stubs::CacheClient cache_;
  const cache::FleetKey fleet_key_;
  const Recorder recorder_;
  const Clock& clock_;
  telemetry::MetricRegistry& metrics_;
  std::mutex seats_mu_;
  std::map<std::string, int> seats_;  // guarded by seats_mu_; calls being served, by client
  // Keys stored lately: who looked before that and asks for a compilation after it looks again.
  LruMap<bool> stored_;
  CompileQueue queue_;  // last: what runs in it uses all of the above
};

// The process megalith-compile.
ServiceSpec CompileSpec(MakeCompileEngine make_engine);

}  // namespace megalith::services
