// megalith.cache.v1: common/fleet/cache behind gRPC.
#pragma once

#include <memory>
#include <string>

#include "common/fleet/cache/cache.h"
#include "common/fleet/cache/scrubber.h"
#include "common/fleet/rpc/service.h"
#include "megalith/cache/v1/cache.pb.h"
#include "services/cache/config.h"
#include "services/common/service_context.h"
#include "services/common/service_main.h"

namespace megalith::services {

// Thread-safe. What each method promises: protos/megalith/cache/v1/cache.proto.
class CacheService final : public rpc::Service {
 public:
  // Opens the store in `<data_directory>/cache`. Errors: those of cache::Cache::Open.
  static Result<std::unique_ptr<CacheService>> Make(const CacheServiceConfig& config,
                                                    ServiceContext& context);

  Result<cache::v1::GetResponse> Get(const cache::v1::GetRequest& request, const rpc::Call& call);
  // Answers from the memory tier at once.
  Result<std::optional<cache::v1::GetResponse>> QuickGet(const cache::v1::GetRequest& request,
                                                         const rpc::Call& call);
  Status GetStream(const cache::v1::GetRequest& request, rpc::Writer<cache::v1::GetChunk>& writer,
                   const rpc::Call& call);
  Result<cache::v1::PutResponse> Put(const cache::v1::PutRequest& request, const rpc::Call& call);
  Result<cache::v1::PutResponse> PutStream(rpc::Reader<cache::v1::PutChunk>& reader,
                                           const rpc::Call& call);
  Result<cache::v1::FindMissingResponse> FindMissing(const cache::v1::FindMissingRequest& request,
                                                     const rpc::Call& call);
  Result<cache::v1::StatResponse> Stat(const cache::v1::StatRequest& request,
                                       const rpc::Call& call);
  Result<cache::v1::EvictResponse> Evict(const cache::v1::EvictRequest& request,
                                         const rpc::Call& call);
  Result<cache::v1::ExplainResponse> Explain(const cache::v1::ExplainRequest& request,
                                             const rpc::Call& call);
  Status Scrub(const cache::v1::ScrubRequest& request, rpc::Writer<cache::v1::ScrubStatus>& writer,
               const rpc::Call& call);
  Result<cache::v1::ScrubStatus> ControlScrub(const cache::v1::ControlScrubRequest& request,
                                              const rpc::Call& call);

 private:
  CacheService(const CacheServiceConfig& config, std::unique_ptr<cache::Cache> cache,
               ServiceContext& context);
  void RecordRepair(const cache::Repair& repair, const rpc::Call& call) const;
  Result<cache::Entry> Find(const std::string& hex, const rpc::Call& call);
  Result<cache::v1::PutResponse> Store(const cache::v1::PutRequest& header, std::string value,
                                       const rpc::Call& call);

  const CacheServiceConfig config_;
  const uint64_t max_response_bytes_;
  const std::unique_ptr<cache::Cache> cache_;
  const Recorder recorder_;
  const std::unique_ptr<cache::Scrubber> scrubber_;  // ends before the cache and the recorder
};

// The process megalith-cache.
ServiceSpec CacheSpec();

}  // namespace megalith::services
