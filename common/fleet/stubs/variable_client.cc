#include "common/fleet/stubs/variable_client.h"

#include <algorithm>
#include <utility>

#include "common/fleet/stubs/table_proto.h"
#include "common/foundation/base/rng.h"
#include "common/foundation/base/strings.h"
#include "megalith/table/v1/table.pb.h"

namespace megalith::stubs {

namespace v1 = table::v1;

namespace {

constexpr char kService[] = "megalith.table.v1.TableService";
// Elements of one variable that a client handles.
constexpr int64_t kMaxElements = int64_t{1} << 36;

Status WrongSize(const std::string& name, int64_t wanted, size_t got) {
  return InvalidArgument(StrCat("variable '", name, "' has ", wanted, " elements, got ", got));
}

}  // namespace

struct VariableClient::Server {
  explicit Server(const std::shared_ptr<rpc::Channel>& c)
      : create(c, kService, "CreateVariable"),
        drop(c, kService, "DropVariable"),
        list(c, kService, "ListVariables"),
        read(c, kService, "ReadVariables"),
        apply(c, kService, "ApplyVariables"),
        assign(c, kService, "AssignVariables") {}
  rpc::UnaryMethod<v1::CreateVariableRequest, v1::CreateVariableResponse> create;
  rpc::UnaryMethod<v1::DropVariableRequest, v1::DropVariableResponse> drop;
  rpc::UnaryMethod<v1::ListVariablesRequest, v1::ListVariablesResponse> list;
  rpc::UnaryMethod<v1::ReadVariablesRequest, v1::ReadVariablesResponse> read;
  rpc::UnaryMethod<v1::ApplyVariablesRequest, v1::ApplyVariablesResponse> apply;
  rpc::UnaryMethod<v1::AssignVariablesRequest, v1::AssignVariablesResponse> assign;
  std::atomic<uint64_t> next_sequence{1};
};

Result<std::unique_ptr<VariableClient>> VariableClient::Make(
    std::vector<std::shared_ptr<rpc::Channel>> servers, VariableClientOptions options) {
  if (servers.empty()) return InvalidArgument("variables need at least one server, got none");
  if (options.calls.seed == 0) options.calls.seed = EntropySeed();
  if (options.client_id.empty()) options.client_id = RandomClientId(options.calls.seed);
  return std::unique_ptr<VariableClient>(
      new VariableClient(std::move(servers), std::move(options)));
}

VariableClient::VariableClient(std::vector<std::shared_ptr<rpc::Channel>> servers,
                               VariableClientOptions options)
    : options_(std::move(options)), calls_(options_.calls) {
  for (const auto& channel : servers) servers_.push_back(std::make_unique<Server>(channel));
}

VariableClient::~VariableClient() { calls_.Shutdown(); }

Result<VariableClient::Size> VariableClient::SizeOf(const std::vector<int64_t>& shape) {
  Size size{.shape = shape, .rows = shape.empty() ? 1 : shape[0], .row = 1};
  if (size.rows < 0) return InvalidArgument(StrCat("axis 0 has size ", size.rows));
  for (size_t i = 1; i < shape.size(); ++i) {
    if (shape[i] < 0) return InvalidArgument(StrCat("axis ", i, " has size ", shape[i]));
    if (shape[i] != 0 && size.row > kMaxElements / shape[i]) {
      return InvalidArgument(StrCat("a row has more than ", kMaxElements, " elements"));
    }
    size.row *= shape[i];
  }
  if (size.row != 0 && size.rows > kMaxElements / size.row) {
    return InvalidArgument(StrCat("the variable has more than ", kMaxElements, " elements"));
  }
  return size;
}

std::span<const float> VariableClient::PartOf(std::span<const float> values, const Size& size,
                                              size_t s) const {
  const embedding::RowRange rows =
      embedding::RowsOfPart(size.rows, static_cast<int>(s), static_cast<int>(servers_.size()));
  return values.subspan(static_cast<size_t>(rows.begin * size.row),
                        static_cast<size_t>((rows.end - rows.begin) * size.row));
}

void VariableClient::Forget(const std::string& name) {
  const std::lock_guard<std::mutex> lock(mu_);
  known_.erase(name);
}

Result<VariableClient::Size> VariableClient::Known(const std::string& name,
                                                   const Cancellation& cancellation) {
  {
    const std::lock_guard<std::mutex> lock(mu_);
    if (const auto found = known_.find(name); found != known_.end()) return found->second;
  }
  ASSIGN_OR_RETURN(Size size, Ask(name, cancellation));
  const std::lock_guard<std::mutex> lock(mu_);
  return known_[name] = std::move(size);
}

Result<VariableClient::Size> VariableClient::Ask(const std::string& name,
                                                 const Cancellation& cancellation) {
  std::vector<v1::VariableConfig> configs(servers_.size());
  RETURN_IF_ERROR(calls_.OnAll(servers_.size(), [&](size_t s) {
    return calls_.Retry(cancellation, [&](const rpc::CallOptions& call) -> Status {
      ASSIGN_OR_RETURN(const v1::ListVariablesResponse response, servers_[s]->list({}, call));
      for (const v1::Variable& variable : response.variables()) {
        if (variable.name() != name) continue;
        configs[s] = variable.config();
        return OkStatus();
      }
      return NotFound(StrCat("no variable '", Printable(name), "'"));
    });
  }));
  ASSIGN_OR_RETURN(Size size, SizeOf({configs[0].shape().begin(), configs[0].shape().end()}));
  for (size_t s = 0; s < servers_.size(); ++s) {
    const embedding::RowRange rows =
        embedding::RowsOfPart(size.rows, static_cast<int>(s), static_cast<int>(servers_.size()));
    if (configs[s].row_begin() == rows.begin && configs[s].row_end() == rows.end) continue;
    return FailedPrecondition(StrCat("variable '", name, "': server ", s, " holds rows ",
                                     configs[s].row_begin(), " to ", configs[s].row_end(), ", of ",
                                     servers_.size(), " servers it has ", rows.begin, " to ",
                                     rows.end, "; name all servers, in their order"));
  }
  return size;
}

Status VariableClient::Create(const std::string& name, const VariableSpec& spec,
                              std::span<const float> initial, const Cancellation& cancellation) {
  ASSIGN_OR_RETURN(const Size size, SizeOf(spec.shape));
  if (!initial.empty() && static_cast<int64_t>(initial.size()) != size.elements()) {
    return WrongSize(name, size.elements(), initial.size());
  }
  Forget(name);
  return calls_.OnAll(servers_.size(), [&](size_t s) {
    const embedding::RowRange rows =
        embedding::RowsOfPart(size.rows, static_cast<int>(s), static_cast<int>(servers_.size()));
    v1::CreateVariableRequest request;
    request.set_name(name);
    v1::VariableConfig& config = *request.mutable_config();
    config.mutable_shape()->Add(spec.shape.begin(), spec.shape.end());
    config.set_row_begin(rows.begin);
    config.set_row_end(rows.end);
    config.mutable_optimizer()->set_name(spec.optimizer.name);
    for (const auto& [field, value] : spec.optimizer.fields)
      (*config.mutable_optimizer()->mutable_fields())[field] = value;
    config.set_compatibility(spec.compatibility == embedding::Compatibility::kMonolith
                                 ? v1::TableConfig::COMPATIBILITY_MONOLITH
                                 : v1::TableConfig::COMPATIBILITY_CORRECTED);
    request.set_format(static_cast<v1::ValueFormat>(options_.format));
    if (!initial.empty()) {
      embedding::AppendValues(PartOf(initial, size, s), options_.format,
                              request.mutable_initial_values());
    }
    return calls_.Retry(cancellation, [&](const rpc::CallOptions& call) {
      return servers_[s]->create(request, call).status();
    });
  });
}

Status VariableClient::Drop(const std::string& name, const Cancellation& cancellation) {
  Forget(name);
  v1::DropVariableRequest request;
  request.set_name(name);
  std::atomic<size_t> missing{0};
  RETURN_IF_ERROR(calls_.OnAll(servers_.size(), [&](size_t s) {
    bool again = false;
    return calls_.Retry(cancellation, [&](const rpc::CallOptions& call) -> Status {
      const Status status = servers_[s]->drop(request, call).status();
      if (status.code() != Code::kNotFound) {
        again = true;
        return status;
      }
      // An attempt whose answer was lost may have dropped it.
      if (!again) missing.fetch_add(1);
      return OkStatus();
    });
  }));
  if (missing == servers_.size()) return NotFound(StrCat("no variable '", Printable(name), "'"));
  return OkStatus();
}

Result<std::vector<int64_t>> VariableClient::Shape(const std::string& name,
                                                   const Cancellation& cancellation) {
  ASSIGN_OR_RETURN(const Size size, Known(name, cancellation));
  return size.shape;
}

Result<std::vector<float>> VariableClient::Read(const std::string& name,
                                                const Cancellation& cancellation) {
  ASSIGN_OR_RETURN(const Size size, Known(name, cancellation));
  std::vector<float> values(static_cast<size_t>(size.elements()));
  v1::ReadVariablesRequest request;
  request.add_names(name);
  request.set_format(static_cast<v1::ValueFormat>(options_.format));
  const Status status = calls_.OnAll(servers_.size(), [&](size_t s) -> Status {
    const std::span<const float> part = PartOf(values, size, s);
    v1::ReadVariablesResponse response;
    RETURN_IF_ERROR(calls_.Retry(cancellation, [&](const rpc::CallOptions& call) -> Status {
      ASSIGN_OR_RETURN(response, servers_[s]->read(request, call));
      return OkStatus();
    }));
    if (response.variables_size() != 1) return DataLoss("the answer has not one variable");
    ASSIGN_OR_RETURN(const auto read,
                     embedding::UnpackValues(response.variables(0).values(), options_.format));
    if (read.size() != part.size()) {
      return FailedPrecondition(
          StrCat("variable '", name, "' has ", read.size(), " values here, wanted ", part.size()));
    }
    const auto at = static_cast<std::ptrdiff_t>(part.data() - values.data());
    std::copy(read.span().begin(), read.span().end(), values.begin() + at);
    return OkStatus();
  });
  if (!status.ok()) {
    Forget(name);  // somebody may have made it anew with another shape
    return status;
  }
  return values;
}

Result<int64_t> VariableClient::Apply(std::span<const VariableGradient> gradients,
                                      const embedding::ApplyOptions& options,
                                      const Cancellation& cancellation) {
  std::vector<Size> sizes;
  for (const VariableGradient& gradient : gradients) {
    ASSIGN_OR_RETURN(sizes.emplace_back(), Known(gradient.name, cancellation));
    if (static_cast<int64_t>(gradient.values.size()) != sizes.back().elements()) {
      Forget(gradient.name);
      return WrongSize(gradient.name, sizes.back().elements(), gradient.values.size());
    }
  }
  embedding::UpdateTicket own;
  embedding::UpdateTicket& ticket = options.ticket != nullptr ? *options.ticket : own;
  ticket.sequences.resize(servers_.size());
  for (size_t s = 0; s < servers_.size(); ++s) {
    if (ticket.sequences[s] == 0) ticket.sequences[s] = servers_[s]->next_sequence.fetch_add(1);
  }
  std::atomic<int64_t> non_finite{0};
  RETURN_IF_ERROR(calls_.OnAll(servers_.size(), [&](size_t s) {
    v1::ApplyVariablesRequest request;
    for (size_t i = 0; i < gradients.size(); ++i) {
      v1::VariableValues* part = request.add_gradients();
      part->set_name(gradients[i].name);
      embedding::AppendValues(PartOf(gradients[i].values, sizes[i], s), options_.format,
                              part->mutable_values());
      if (gradients[i].learning_rate) part->set_learning_rate(*gradients[i].learning_rate);
    }
    request.set_format(static_cast<v1::ValueFormat>(options_.format));
    request.set_global_step(options.global_step);
    request.set_non_finite(PolicyOf(options.non_finite));
    request.mutable_id()->set_client(options_.client_id);
    request.mutable_id()->set_sequence(ticket.sequences[s]);
    return calls_.Retry(cancellation, [&](const rpc::CallOptions& call) -> Status {
      ASSIGN_OR_RETURN(const v1::ApplyVariablesResponse response,
                       servers_[s]->apply(request, call));
      non_finite.fetch_add(response.non_finite());
      return OkStatus();
    });
  }));
  return non_finite.load();
}

Status VariableClient::Assign(const std::string& name, std::span<const float> values,
                              const Cancellation& cancellation) {
  ASSIGN_OR_RETURN(const Size size, Known(name, cancellation));
  if (static_cast<int64_t>(values.size()) != size.elements()) {
    Forget(name);
    return WrongSize(name, size.elements(), values.size());
  }
  return calls_.OnAll(servers_.size(), [&](size_t s) {
    v1::AssignVariablesRequest request;
    v1::VariableValues* part = request.add_values();
    part->set_name(name);
    embedding::AppendValues(PartOf(values, size, s), options_.format, part->mutable_values());
    request.set_format(static_cast<v1::ValueFormat>(options_.format));
    request.mutable_id()->set_client(options_.client_id);
    request.mutable_id()->set_sequence(servers_[s]->next_sequence.fetch_add(1));
    return calls_.Retry(cancellation, [&](const rpc::CallOptions& call) {
      return servers_[s]->assign(request, call).status();
    });
  });
}

}  // namespace megalith::stubs
