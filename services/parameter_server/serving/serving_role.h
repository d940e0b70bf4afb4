// The serving role of a parameter server: takes rows from training servers and answers lookups, as
// a TensorFlow Serving with Monolith's exported sub-graph `ps_<i>` does (parameter-sync.md section
// 3.2, embedding-tables.md section 11, tf-serving.md section 3).
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "common/fleet/rpc/service.h"
#include "common/foundation/base/cancellation.h"
#include "common/foundation/telemetry/metrics.h"
#include "common/learning/embedding/table_set.h"
#include "common/learning/sync/sync_proto.h"
#include "services/common/service_main.h"
#include "tensorflow_serving/apis/get_model_status.pb.h"
#include "tensorflow_serving/apis/predict.pb.h"

namespace megalith::services {

struct ServingRoleOptions {
  // Names under which the sub-graph is asked for: "<model>:ps_<i>", and "ps_<i>" of older clients.
  std::vector<std::string> models;
  // "MonolithMultiHashTable_<i>"; empty: no signatures of native multi-tables.
  std::string resource;
  int64_t version = 1;            // of the model, until SetVersion
  int64_t max_floats = 16 << 20;  // of one answer
  uint64_t instance = 0;          // another number in every run of the process
};

// What the two services do, without gRPC. Rows are replaced one at a time under their readers: a
// lookup sees each row as it was or as it is.
//
// Signatures: `hashtable_assign` and `lookup` with each table under its own name;
// `<resource>/raw_assign` and `raw_lookup` with all tables in the order of their names.
// Thread-safe.
class ServingRole {
 public:
  // `set` and `metrics` outlive the role.
  ServingRole(ServingRoleOptions options, embedding::TableSet& set,
              telemetry::MetricRegistry& metrics);

  // Errors: kInvalidArgument     no model_spec or name, inputs that do not fit; nothing has
  // changed;
  //         kNotFound            another model or version;
  //         kFailedPrecondition  no such signature;
  //         kResourceExhausted   the answer would be above max_floats.
  // Rows are assigned one request at a time, and not once the caller has given up: a request that
  // was held up must not undo what its sender has sent since. Errors besides: those of
  // Cancellation::Check.
  Result<tensorflow::serving::PredictResponse> Predict(
      const tensorflow::serving::PredictRequest& request,
      const Cancellation& cancellation = Cancellation());
  // Errors: kInvalidArgument, kNotFound as above.
  Result<tensorflow::serving::GetModelStatusResponse> GetModelStatus(
      const tensorflow::serving::GetModelStatusRequest& request) const;

  // The checkpoint that was restored: what training servers go by when they decide which rows this
  // server lacks.
  void SetVersion(int64_t version) { version_.store(version, std::memory_order_relaxed); }

 private:
  enum class Kind { kSingleAssign, kNativeAssign, kSingleLookup, kNativeLookup };

  Status CheckModel(bool present, const tensorflow::serving::ModelSpec& spec) const;
  Result<Kind> KindOf(const std::string& signature) const;
  Status Assign(const std::vector<sync::TableRows>& rows,
                const std::map<std::string, std::shared_ptr<embedding::Table>>& tables,
                const Cancellation& cancellation);

  const ServingRoleOptions options_;
  embedding::TableSet& set_;
  std::atomic<int64_t> version_;
  std::mutex assign_mu_;  // held by who assigns
  telemetry::Counter& assigned_;
  telemetry::Counter& erased_;
  telemetry::Counter& refused_;
};

// tensorflow.serving.PredictionService and ModelService over one role; what they do not implement
// answers UNIMPLEMENTED.
ServiceList MakeServingRole(std::shared_ptr<ServingRole> role, rpc::ServiceThreads threads);

}  // namespace megalith::services
