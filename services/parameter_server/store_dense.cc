// The part of a ParameterStore that holds dense variables.
#include <memory>
#include <utility>

#include "common/foundation/base/strings.h"
#include "services/parameter_server/store_change.h"
#include "services/parameter_server/table_proto.h"

namespace megalith::services {

namespace v1 = table::v1;
using embedding::DenseStore;
using embedding::Unpacked;
using embedding::ValueFormat;

namespace {

// Room for everything but the values in an answer.
constexpr uint64_t kHeaderRoomBytes = 64 << 10;

v1::Variable InfoOf(const std::string& name, const DenseStore::Variable& variable) {
  v1::Variable info;
  info.set_name(name);
  *info.mutable_config() = VariableConfigToProto(variable.config);
  info.set_updates(variable.state->updates);
  return info;
}

}  // namespace

Result<ParameterStore::Plan<v1::CreateVariableResponse>> ParameterStore::PlanCreateVariable(
    const v1::CreateVariableRequest& request) {
  ASSIGN_OR_RETURN(embedding::DenseConfig config, VariableConfigFromProto(request.config()));
  ASSIGN_OR_RETURN(const ValueFormat format, FormatFromProto(request.format()));
  ASSIGN_OR_RETURN(Unpacked<float> unpacked,
                   embedding::UnpackValues(request.initial_values(), format));
  const auto initial = std::make_shared<Unpacked<float>>(std::move(unpacked));
  Plan<v1::CreateVariableResponse> plan;
  plan.tables.push_back(request.name());
  plan.run = [this, &request, config = std::move(config),
              initial]() -> Result<v1::CreateVariableResponse> {
    RETURN_IF_ERROR(store_->dense().Create(request.name(), config, initial->span()));
    return v1::CreateVariableResponse();
  };
  return plan;
}

Result<ParameterStore::Plan<v1::DropVariableResponse>> ParameterStore::PlanDropVariable(
    const v1::DropVariableRequest& request) {
  Plan<v1::DropVariableResponse> plan;
  plan.tables.push_back(request.name());
  plan.run = [this, &request]() -> Result<v1::DropVariableResponse> {
    RETURN_IF_ERROR(store_->dense().Drop(request.name()));
    return v1::DropVariableResponse();
  };
  return plan;
}

Result<ParameterStore::Plan<v1::ApplyVariablesResponse>> ParameterStore::PlanApplyVariables(
    const v1::ApplyVariablesRequest& request) {
  ASSIGN_OR_RETURN(const ValueFormat format, FormatFromProto(request.format()));
  ASSIGN_OR_RETURN(const embedding::NonFinite non_finite,
                   NonFiniteFromProto(request.non_finite(), config_.non_finite));
  auto gradients = std::make_shared<std::vector<Unpacked<float>>>();
  Plan<v1::ApplyVariablesResponse> plan;
  for (const v1::VariableValues& values : request.gradients()) {
    ASSIGN_OR_RETURN(Unpacked<float> unpacked, embedding::UnpackValues(values.values(), format));
    gradients->push_back(std::move(unpacked));
    plan.tables.push_back(values.name());
  }
  plan.run = [this, &request, non_finite, gradients]() -> Result<v1::ApplyVariablesResponse> {
    const auto gradient = [&](int i) {
      const v1::VariableValues& values = request.gradients(i);
      return embedding::DenseGradient{.values = (*gradients)[static_cast<size_t>(i)].span(),
                                      .learning_rate = values.learning_rate(),
                                      .has_learning_rate = values.has_learning_rate(),
                                      .global_step = request.global_step(),
                                      .non_finite = non_finite};
    };
    for (int i = 0; i < request.gradients_size(); ++i) {
      RETURN_IF_ERROR(store_->dense().Check(request.gradients(i).name(), gradient(i)));
    }
    v1::ApplyVariablesResponse response;
    for (int i = 0; i < request.gradients_size(); ++i) {
      // After the check only a drop at the same time can come between; the step is lost with it.
      const auto report = store_->dense().Apply(request.gradients(i).name(), gradient(i));
      if (report.ok()) response.set_non_finite(response.non_finite() + report->non_finite);
    }
    return response;
  };
  return plan;
}

Result<ParameterStore::Plan<v1::AssignVariablesResponse>> ParameterStore::PlanAssignVariables(
    const v1::AssignVariablesRequest& request) {
  ASSIGN_OR_RETURN(const ValueFormat format, FormatFromProto(request.format()));
  auto values = std::make_shared<std::vector<Unpacked<float>>>();
  Plan<v1::AssignVariablesResponse> plan;
  for (const v1::VariableValues& part : request.values()) {
    ASSIGN_OR_RETURN(Unpacked<float> unpacked, embedding::UnpackValues(part.values(), format));
    values->push_back(std::move(unpacked));
    plan.tables.push_back(part.name());
  }
  plan.run = [this, &request, values]() -> Result<v1::AssignVariablesResponse> {
    for (int i = 0; i < request.values_size(); ++i) {
      RETURN_IF_ERROR(store_->dense().Check(request.values(i).name(),
                                            {.values = (*values)[static_cast<size_t>(i)].span()}));
    }
    for (int i = 0; i < request.values_size(); ++i) {
      // As in a step: only a drop can come between.
      (void)store_->dense().Assign(request.values(i).name(),
                                   (*values)[static_cast<size_t>(i)].span());
    }
    return v1::AssignVariablesResponse();
  };
  return plan;
}

Result<v1::CreateVariableResponse> ParameterStore::CreateVariable(
    const v1::CreateVariableRequest& request, const Cancellation& cancellation) {
  return Change(Kind::kCreateVariable, request, &ParameterStore::PlanCreateVariable, cancellation);
}

Result<v1::DropVariableResponse> ParameterStore::DropVariable(
    const v1::DropVariableRequest& request, const Cancellation& cancellation) {
  return Change(Kind::kDropVariable, request, &ParameterStore::PlanDropVariable, cancellation);
}

Result<v1::ApplyVariablesResponse> ParameterStore::ApplyVariables(
    const v1::ApplyVariablesRequest& request, const Cancellation& cancellation) {
  return Change(Kind::kApplyVariables, request, &ParameterStore::PlanApplyVariables, cancellation);
}

Result<v1::AssignVariablesResponse> ParameterStore::AssignVariables(
    const v1::AssignVariablesRequest& request, const Cancellation& cancellation) {
  return Change(Kind::kAssignVariables, request, &ParameterStore::PlanAssignVariables,
                cancellation);
}

Result<v1::ListVariablesResponse> ParameterStore::ListVariables(const v1::ListVariablesRequest&) {
  v1::ListVariablesResponse response;
  for (const auto& [name, variable] : store_->dense().Snapshot()) {
    *response.add_variables() = InfoOf(name, variable);
  }
  return response;
}

Result<v1::ReadVariablesResponse> ParameterStore::ReadVariables(
    const v1::ReadVariablesRequest& request) {
  ASSIGN_OR_RETURN(const ValueFormat format, FormatFromProto(request.format()));
  v1::ReadVariablesResponse response;
  uint64_t bytes = kHeaderRoomBytes;
  for (const std::string& name : request.names()) {
    ASSIGN_OR_RETURN(const DenseStore::Variable variable, store_->dense().Get(name));
    bytes += variable.state->values.size() * BytesOf(format);
    if (bytes > max_response_bytes_) {
      return ResourceExhausted(StrCat("the values up to variable '", name, "' have ", bytes,
                                      " bytes, above max_response_bytes (", max_response_bytes_,
                                      "); ask for fewer at a time, or divide it among servers"));
    }
    v1::Variable* to = response.add_variables();
    *to = InfoOf(name, variable);
    embedding::AppendValues(variable.state->values, format, to->mutable_values());
  }
  return response;
}

}  // namespace megalith::services
