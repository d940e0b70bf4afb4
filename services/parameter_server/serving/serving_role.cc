#include "services/parameter_server/serving/serving_role.h"

#include <algorithm>
#include <set>
#include <utility>

#include "common/foundation/base/strings.h"
#include "common/foundation/telemetry/metric_table.h"

namespace megalith::services {

using embedding::Table;
using sync::TableDim;
using sync::TableRows;
using tensorflow::serving::GetModelStatusRequest;
using tensorflow::serving::GetModelStatusResponse;
using tensorflow::serving::ModelSpec;
using tensorflow::serving::ModelVersionStatus;
using tensorflow::serving::PredictRequest;
using tensorflow::serving::PredictResponse;

namespace {

using TableMap = std::map<std::string, std::shared_ptr<Table>>;

constexpr char kDefaultSignature[] = "serving_default";

// tf-serving.md section 3.2, step 6.
Status CheckOutputFilter(const PredictRequest& request, const std::set<std::string>& outputs) {
  std::set<std::string> seen;
  for (const std::string& alias : request.output_filter()) {
    if (outputs.count(alias) == 0) {
      return InvalidArgument(
          StrCat("output tensor alias not found in signature: ", Printable(alias),
                 " Outputs expected to be in the set {", Join(outputs, ","), "}."));
    }
    if (!seen.insert(alias).second) {
      return InvalidArgument(StrCat("duplicate output tensor alias: ", alias));
    }
  }
  return OkStatus();
}

Status ReadRows(const TableMap& tables, std::vector<TableRows>* rows) {
  for (TableRows& of_table : *rows) {
    of_table.values.resize(of_table.fids.size() * static_cast<size_t>(of_table.dim));
    RETURN_IF_ERROR(tables.at(of_table.table)->Lookup(of_table.fids, of_table.values));
  }
  return OkStatus();
}

class PredictionService final : public rpc::Service {
 public:
  PredictionService(std::shared_ptr<ServingRole> role, rpc::ServiceThreads threads)
      : Service("tensorflow.serving.PredictionService", threads), role_(std::move(role)) {
    Unary("Predict", this, &PredictionService::Predict);
  }
  Result<PredictResponse> Predict(const PredictRequest& request, const rpc::Call& call) {
    return role_->Predict(request, call.cancellation());
  }

 private:
  const std::shared_ptr<ServingRole> role_;
};

class ModelService final : public rpc::Service {
 public:
  ModelService(std::shared_ptr<ServingRole> role, rpc::ServiceThreads threads)
      : Service("tensorflow.serving.ModelService", threads), role_(std::move(role)) {
    Unary("GetModelStatus", this, &ModelService::GetModelStatus);
  }
  Result<GetModelStatusResponse> GetModelStatus(const GetModelStatusRequest& request,
                                                const rpc::Call&) {
    return role_->GetModelStatus(request);
  }

 private:
  const std::shared_ptr<ServingRole> role_;
};

}  // namespace

ServingRole::ServingRole(ServingRoleOptions options, embedding::TableSet& set,
                         telemetry::MetricRegistry& metrics)
    : options_(std::move(options)),
      set_(set),
      version_(options_.version),
      assigned_(metrics.GetCounter(telemetry::kSyncReceived, {"assigned"})),
      erased_(metrics.GetCounter(telemetry::kSyncReceived, {"erased"})),
      refused_(metrics.GetCounter(telemetry::kSyncReceived, {"refused"})) {}

Status ServingRole::CheckModel(bool present, const ModelSpec& spec) const {
  if (!present) return InvalidArgument("Missing ModelSpec");
  if (spec.name().empty()) return InvalidArgument("ModelSpec has no name specified.");
  const std::string name = Printable(spec.name());
  const bool known = std::find(options_.models.begin(), options_.models.end(), spec.name()) !=
                     options_.models.end();
  if (spec.version_choice_case() == ModelSpec::kVersionLabel) {
    return InvalidArgument(
        StrCat("Unrecognized servable version label: ", Printable(spec.version_label())));
  }
  if (spec.has_version()) {
    const int64_t version = spec.version().value();
    if (known && version == version_.load(std::memory_order_relaxed)) return OkStatus();
    return NotFound(StrCat("Servable not found for request: Specific(", name, ", ", version, ")"));
  }
  if (!known) return NotFound(StrCat("Servable not found for request: Latest(", name, ")"));
  return OkStatus();
}

Result<ServingRole::Kind> ServingRole::KindOf(const std::string& signature) const {
  if (signature == "hashtable_assign") return Kind::kSingleAssign;
  if (signature == "lookup") return Kind::kSingleLookup;
  if (!options_.resource.empty()) {
    if (signature == "raw_lookup") return Kind::kNativeLookup;
    if (signature == options_.resource + "/raw_assign") return Kind::kNativeAssign;
  }
  return FailedPrecondition(StrCat("Serving signature key \"",
                                   signature.empty() ? kDefaultSignature : Printable(signature),
                                   "\" not found."));
}

Status ServingRole::Assign(const std::vector<TableRows>& rows, const TableMap& tables,
                           const Cancellation& cancellation) {
  const std::lock_guard lock(assign_mu_);
  RETURN_IF_ERROR(cancellation.Check());
  // A snapshot has the whole message or nothing of it.
  const embedding::WriteGate::Shared gate(set_.gate());
  for (const TableRows& of_table : rows) {
    if (of_table.fids.empty()) continue;
    ASSIGN_OR_RETURN(const embedding::WriteReport report,
                     tables.at(of_table.table)->Assign(of_table.fids, of_table.values, 0));
    assigned_.Add(static_cast<uint64_t>(report.applied));
    erased_.Add(static_cast<uint64_t>(report.erased));
    refused_.Add(static_cast<uint64_t>(report.refused + report.filtered));
  }
  return OkStatus();
}

Result<PredictResponse> ServingRole::Predict(const PredictRequest& request,
                                             const Cancellation& cancellation) {
  RETURN_IF_ERROR(CheckModel(request.has_model_spec(), request.model_spec()));
  ASSIGN_OR_RETURN(const Kind kind, KindOf(request.model_spec().signature_name()));
  const TableMap tables = set_.Tables();
  std::vector<TableDim> dims;
  for (const auto& [name, table] : tables) dims.push_back({.table = name, .dim = table->dim()});

  PredictResponse response;
  std::vector<TableRows> rows;
  std::set<std::string> outputs;
  switch (kind) {
    case Kind::kSingleAssign: {
      ASSIGN_OR_RETURN(rows, sync::ParseSingleAssign(request, dims));
      for (const TableDim& table : dims) outputs.insert(table.table + "_result");
      RETURN_IF_ERROR(CheckOutputFilter(request, outputs));
      RETURN_IF_ERROR(Assign(rows, tables, cancellation));
      sync::FillSingleAssigned(rows, &response);
      break;
    }
    case Kind::kNativeAssign: {
      ASSIGN_OR_RETURN(rows, sync::ParseNativeAssign(request, dims));
      RETURN_IF_ERROR(CheckOutputFilter(request, {"result"}));
      RETURN_IF_ERROR(Assign(rows, tables, cancellation));
      sync::FillNativeAssigned(&response);
      break;
    }
    case Kind::kSingleLookup: {
      ASSIGN_OR_RETURN(rows, sync::ParseSingleLookup(request, dims, options_.max_floats));
      for (const TableRows& of_table : rows) outputs.insert(of_table.table);
      RETURN_IF_ERROR(CheckOutputFilter(request, outputs));
      RETURN_IF_ERROR(ReadRows(tables, &rows));
      sync::FillSingleRows(rows, &response);
      break;
    }
    case Kind::kNativeLookup: {
      ASSIGN_OR_RETURN(rows, sync::ParseNativeLookup(request, dims, options_.max_floats));
      RETURN_IF_ERROR(CheckOutputFilter(request, {"flat_emb"}));
      RETURN_IF_ERROR(ReadRows(tables, &rows));
      sync::FillNativeRows(rows, &response);
      break;
    }
  }
  if (request.output_filter_size() > 0) {
    const std::set<std::string> wanted(request.output_filter().begin(),
                                       request.output_filter().end());
    for (const std::string& output : outputs) {
      if (wanted.count(output) == 0) response.mutable_outputs()->erase(output);
    }
  } else if (kind == Kind::kSingleAssign || kind == Kind::kNativeAssign) {
    sync::FillInstance(options_.instance, &response);
  }
  ModelSpec& spec = *response.mutable_model_spec();
  spec.set_name(request.model_spec().name());
  spec.set_signature_name(request.model_spec().signature_name());
  spec.mutable_version()->set_value(version_.load(std::memory_order_relaxed));
  return response;
}

Result<GetModelStatusResponse> ServingRole::GetModelStatus(
    const GetModelStatusRequest& request) const {
  RETURN_IF_ERROR(CheckModel(request.has_model_spec(), request.model_spec()));
  GetModelStatusResponse response;
  ModelVersionStatus& status = *response.add_model_version_status();
  status.set_version(version_.load(std::memory_order_relaxed));
  status.set_state(ModelVersionStatus::AVAILABLE);
  status.mutable_status();
  return response;
}

ServiceList MakeServingRole(std::shared_ptr<ServingRole> role, rpc::ServiceThreads threads) {
  ServiceList services;
  services.push_back(std::make_unique<PredictionService>(role, threads));
  services.push_back(std::make_unique<ModelService>(std::move(role), threads));
  return services;
}

}  // namespace megalith::services
