// megalith.compile.v1: StableHLO in, an executable in the cache out.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "common/fleet/cache/single_flight.h"
#include "common/fleet/rpc/channel.h"
#include "common/fleet/rpc/service.h"
#include "common/fleet/stubs/cache_client.h"
#include "megalith/compile/v1/compile.pb.h"
#include "services/common/service_context.h"
#include "services/common/service_main.h"
#include "services/compile/compile_engine.h"
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
  // A package and how it was come by.
  struct Package {
    cache::Value bytes;
    compile::v1::CacheOutcome outcome = compile::v1::CACHE_OUTCOME_UNSPECIFIED;
    Status store_error;
  };
  Result<CompileInput> InputOf(const compile::v1::CompileRequest& request) const;
  Result<Package> Obtain(CompileJob& job, bool ignore_cache, Progress& progress,
                         const rpc::Call& call);
  Result<Package> Build(CompileJob& job, const Status& lookup, bool ignore_cache,
                        Progress& progress, const Cancellation& cancellation,
                        const rpc::Call& call);
  std::optional<uint64_t> Record(const rpc::Call& call, const CompileJob& job,
                                 const CompileInput& input, const Result<Package>& package,
                                 double seconds) const;

  const CompileServiceConfig config_;
  const std::shared_ptr<CompileEngine> engine_;
  const stubs::CacheClient cache_;
  const Recorder recorder_;
  const Clock& clock_;
  telemetry::Histogram& compile_seconds_;
  cache::SingleFlight<std::shared_ptr<const Package>> flights_;
};

using MakeCompileEngine = std::function<Result<std::shared_ptr<CompileEngine>>()>;

// The process megalith-compile.
ServiceSpec CompileSpec(MakeCompileEngine make_engine);

}  // namespace megalith::services
