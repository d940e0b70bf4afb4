// The part of a ParameterStore that reads and writes rows.
#include <algorithm>
#include <memory>
#include <utility>

#include "common/foundation/base/strings.h"
#include "services/parameter_server/store_change.h"
#include "services/parameter_server/table_proto.h"

namespace megalith::services {

namespace v1 = table::v1;
using embedding::Fid;
using embedding::Table;
using embedding::Unpacked;
using embedding::ValueFormat;

namespace {

// Room for everything but the rows in an answer.
constexpr uint64_t kHeaderRoomBytes = 64 << 10;
// Below this a lookup is over before a helper has woken up.
constexpr size_t kFloatsWorthHelp = 32 << 10;

}  // namespace

Result<Unpacked<Fid>> ParameterStore::Ids(const std::string& bytes, int64_t* at_most) const {
  ASSIGN_OR_RETURN(Unpacked<Fid> ids, embedding::UnpackIds(bytes));
  *at_most -= static_cast<int64_t>(ids.size());
  if (*at_most < 0) {
    return ResourceExhausted(
        StrCat("the request has more ids than max_ids (", config_.max_ids, "); send several"));
  }
  const std::span<const Fid> span = ids.span();
  if (config_.id_layout == IdLayout::kV2) {
    Fid any = 0;
    for (const Fid id : span) any |= id;
    if (any < 0) {
      const auto bad = std::find_if(span.begin(), span.end(), [](Fid id) { return id < 0; });
      return InvalidArgument(StrCat("id ", bad - span.begin(), " is ", static_cast<uint64_t>(*bad),
                                    ": bit 63 is set, which no id of layout v2 has; a server of "
                                    "v1 ids is started with id_layout=v1"));
    }
  }
  if (config_.shards > 1) {
    for (const Fid id : span) {
      const int owner = embedding::ShardOf(id, config_.shards);
      if (owner == config_.shard) continue;
      return InvalidArgument(StrCat("id ", static_cast<uint64_t>(id), " belongs to shard ", owner,
                                    " of ", config_.shards, ", this is shard ", config_.shard));
    }
  }
  return ids;
}

Result<v1::LookupResponse> ParameterStore::Lookup(const v1::LookupRequest& request) {
  struct Part {
    std::shared_ptr<Table> table;
    Unpacked<Fid> ids;
    size_t at = 0;  // in floats
    int64_t hits = 0;
    Status status;
  };
  ASSIGN_OR_RETURN(const ValueFormat format, FormatFromProto(request.format()));
  int64_t at_most = config_.max_ids;
  size_t floats = 0;
  std::vector<Part> parts;
  for (const v1::IdBatch& batch : request.parts()) {
    ASSIGN_OR_RETURN(std::shared_ptr<Table> table, store_->tables().Get(batch.table()));
    ASSIGN_OR_RETURN(Unpacked<Fid> ids, Ids(batch.ids(), &at_most));
    // At most 2^28 ids of 2^16 values.
    const size_t size = ids.size() * static_cast<size_t>(table->dim());
    parts.push_back({.table = std::move(table), .ids = std::move(ids), .at = floats});
    floats += size;
  }
  const uint64_t bytes = floats * BytesOf(format);
  if (bytes + kHeaderRoomBytes > max_response_bytes_) {
    return ResourceExhausted(StrCat("the rows have ", bytes, " bytes, above max_response_bytes (",
                                    max_response_bytes_, "); ask for fewer ids at a time"));
  }
  v1::LookupResponse response;
  std::string* const rows = response.mutable_rows();
  rows->resize(bytes);
  const auto look = [&](size_t i) {
    Part& part = parts[i];
    const size_t size = part.ids.size() * static_cast<size_t>(part.table->dim());
    char* const to = rows->data() + part.at * BytesOf(format);
    std::vector<float> unpacked(format == ValueFormat::kFp32 ? 0 : size);
    const std::span<float> values =
        unpacked.empty() ? std::span(reinterpret_cast<float*>(to), size) : std::span(unpacked);
    const Result<int64_t> hits = part.table->Lookup(part.ids.span(), values);
    part.status = hits.status();
    if (!hits.ok()) return;
    part.hits = *hits;
    if (!unpacked.empty()) embedding::PackValues(unpacked, format, to);
  };
  if (floats >= kFloatsWorthHelp) {
    helpers_.Run(parts.size(), look);
  } else {
    for (size_t i = 0; i < parts.size(); ++i) look(i);
  }
  for (size_t i = 0; i < parts.size(); ++i) {
    RETURN_IF_ERROR(parts[i].status.Annotate(
        StrCat("part ", i, ", table '", request.parts(static_cast<int>(i)).table(), "'")));
    v1::LookupResponse::Part* to = response.add_parts();
    to->set_dim(parts[i].table->dim());
    to->set_hits(parts[i].hits);
    metrics_.LookedUp(request.parts(static_cast<int>(i)).table(), parts[i].ids.size(),
                      static_cast<uint64_t>(parts[i].hits));
  }
  return response;
}

namespace {

// The steps of one request, made ready without a lock.
struct Steps {
  struct Part {
    Unpacked<Fid> ids;
    Unpacked<float> gradients;
    Unpacked<float> snapshots;
    std::shared_ptr<Table> table;
    embedding::PreparedGradients prepared;
    embedding::WriteReport report;
  };
  embedding::NonFinite non_finite = embedding::NonFinite::kReject;
  std::vector<Part> parts;

  // For the tables there are now; nothing where they are still the same.
  Status Prepare(const embedding::TableSet& tables, const v1::ApplyRequest& request) {
    for (size_t i = 0; i < parts.size(); ++i) {
      const v1::GradientBatch& batch = request.parts(static_cast<int>(i));
      Part& part = parts[i];
      ASSIGN_OR_RETURN(std::shared_ptr<Table> table, tables.Get(batch.table()));
      if (table == part.table) continue;
      Result<embedding::PreparedGradients> prepared =
          table->Prepare({.fids = part.ids.span(),
                          .values = part.gradients.span(),
                          .learning_rates = {batch.learning_rates().data(),
                                             static_cast<size_t>(batch.learning_rates().size())},
                          .snapshots = part.snapshots.span(),
                          .update_time = request.update_time(),
                          .global_step = request.global_step(),
                          .dedup = request.dedup(),
                          .non_finite = non_finite});
      if (!prepared.ok()) {
        return prepared.status().Annotate(StrCat("part ", i, ", table '", batch.table(), "'"));
      }
      part.prepared = *std::move(prepared);
      part.table = std::move(table);
    }
    return OkStatus();
  }
};

}  // namespace

Result<ParameterStore::Plan<v1::ApplyResponse>> ParameterStore::PlanApply(
    const v1::ApplyRequest& request) {
  ASSIGN_OR_RETURN(const ValueFormat format, FormatFromProto(request.format()));
  const auto steps = std::make_shared<Steps>();
  ASSIGN_OR_RETURN(steps->non_finite, NonFiniteFromProto(request.non_finite(), config_.non_finite));
  Plan<v1::ApplyResponse> plan;
  int64_t at_most = config_.max_ids;
  for (const v1::GradientBatch& batch : request.parts()) {
    Steps::Part& part = steps->parts.emplace_back();
    ASSIGN_OR_RETURN(part.ids, Ids(batch.ids(), &at_most));
    ASSIGN_OR_RETURN(part.gradients, embedding::UnpackValues(batch.gradients(), format));
    ASSIGN_OR_RETURN(part.snapshots, embedding::UnpackValues(batch.snapshots(), format));
    plan.tables.push_back(batch.table());
  }
  plan.prepare = [this, &request, steps] { return steps->Prepare(store_->tables(), request); };
  plan.check = plan.prepare;
  plan.part = [steps](size_t i) {
    Steps::Part& part = steps->parts[i];
    part.report = part.table->Apply(part.prepared);
  };
  plan.finish = [this, &request, steps] {
    v1::ApplyResponse response;
    for (size_t i = 0; i < steps->parts.size(); ++i) {
      const std::string& name = request.parts(static_cast<int>(i)).table();
      const Steps::Part& part = steps->parts[i];
      *response.add_parts() = ReportToProto(part.report);
      metrics_.Written(name, part.report);
      metrics_.Holds(name, *part.table);
    }
    return response;
  };
  return plan;
}

Result<v1::ApplyResponse> ParameterStore::Apply(const v1::ApplyRequest& request,
                                                const Cancellation& cancellation) {
  return Change(Kind::kApply, request, &ParameterStore::PlanApply, cancellation);
}

Result<ParameterStore::Plan<v1::AssignResponse>> ParameterStore::PlanWrite(
    const v1::AssignRequest& request, bool add) {
  struct Part {
    Unpacked<Fid> ids;
    Unpacked<float> values;
  };
  ASSIGN_OR_RETURN(const ValueFormat format, FormatFromProto(request.format()));
  auto parts = std::make_shared<std::vector<Part>>();
  Plan<v1::AssignResponse> plan;
  int64_t at_most = config_.max_ids;
  for (const v1::ValueBatch& batch : request.parts()) {
    Part part;
    ASSIGN_OR_RETURN(part.ids, Ids(batch.ids(), &at_most));
    ASSIGN_OR_RETURN(part.values, embedding::UnpackValues(batch.values(), format));
    const size_t bad = embedding::FirstNonFinite(part.values.span());
    if (bad != part.values.size()) {
      return InvalidArgument(StrCat("table '", batch.table(), "': value ", bad, " of ",
                                    part.values.size(), " is not finite"));
    }
    parts->push_back(std::move(part));
    plan.tables.push_back(batch.table());
  }
  plan.run = [this, &request, parts, add]() -> Result<v1::AssignResponse> {
    std::vector<std::shared_ptr<Table>> tables;
    for (size_t i = 0; i < parts->size(); ++i) {
      const v1::ValueBatch& batch = request.parts(static_cast<int>(i));
      ASSIGN_OR_RETURN(std::shared_ptr<Table> table, store_->tables().Get(batch.table()));
      const size_t wanted = (*parts)[i].ids.size() * static_cast<size_t>(table->dim());
      if ((*parts)[i].values.size() != wanted) {
        return InvalidArgument(StrCat("table '", batch.table(), "': ", (*parts)[i].ids.size(),
                                      " ids of dim ", table->dim(), " need ", wanted,
                                      " values, got ", (*parts)[i].values.size()));
      }
      // A disk that fails does so before the first part is written.
      RETURN_IF_ERROR(
          table->Prefetch((*parts)[i].ids.span()).Annotate(StrCat("table '", batch.table(), "'")));
      tables.push_back(std::move(table));
    }
    v1::AssignResponse response;
    for (size_t i = 0; i < tables.size(); ++i) {
      const std::string& name = request.parts(static_cast<int>(i)).table();
      const Part& part = (*parts)[i];
      ASSIGN_OR_RETURN(
          const embedding::WriteReport report,
          add ? tables[i]->AssignAdd(part.ids.span(), part.values.span(), request.update_time())
              : tables[i]->Assign(part.ids.span(), part.values.span(), request.update_time()));
      *response.add_parts() = ReportToProto(report);
      metrics_.Written(name, report);
      metrics_.Holds(name, *tables[i]);
    }
    return response;
  };
  return plan;
}

Result<ParameterStore::Plan<v1::AssignResponse>> ParameterStore::PlanAssign(
    const v1::AssignRequest& request) {
  return PlanWrite(request, false);
}

Result<ParameterStore::Plan<v1::AssignResponse>> ParameterStore::PlanAssignAdd(
    const v1::AssignRequest& request) {
  return PlanWrite(request, true);
}

Result<v1::AssignResponse> ParameterStore::Assign(const v1::AssignRequest& request,
                                                  const Cancellation& cancellation) {
  return Change(Kind::kAssign, request, &ParameterStore::PlanAssign, cancellation);
}

Result<v1::AssignResponse> ParameterStore::AssignAdd(const v1::AssignRequest& request,
                                                     const Cancellation& cancellation) {
  return Change(Kind::kAssignAdd, request, &ParameterStore::PlanAssignAdd, cancellation);
}

Result<ParameterStore::Plan<v1::ReinitializeResponse>> ParameterStore::PlanReinitialize(
    const v1::ReinitializeRequest& request) {
  int64_t at_most = config_.max_ids;
  ASSIGN_OR_RETURN(Unpacked<Fid> unpacked, Ids(request.ids().ids(), &at_most));
  const auto ids = std::make_shared<Unpacked<Fid>>(std::move(unpacked));
  Plan<v1::ReinitializeResponse> plan;
  plan.tables.push_back(request.ids().table());
  plan.run = [this, &request, ids]() -> Result<v1::ReinitializeResponse> {
    ASSIGN_OR_RETURN(const std::shared_ptr<Table> table,
                     store_->tables().Get(request.ids().table()));
    ASSIGN_OR_RETURN(const std::vector<int32_t> statuses,
                     table->Reinitialize(ids->span(), request.now()));
    v1::ReinitializeResponse response;
    response.mutable_statuses()->Add(statuses.begin(), statuses.end());
    metrics_.Holds(request.ids().table(), *table);
    return response;
  };
  return plan;
}

Result<v1::ReinitializeResponse> ParameterStore::Reinitialize(
    const v1::ReinitializeRequest& request, const Cancellation& cancellation) {
  // A replay must find the same time.
  v1::ReinitializeRequest timed = request;
  if (timed.now() == 0) timed.set_now(clock_.UnixNanos() / 1'000'000'000);
  return Change(Kind::kReinitialize, timed, &ParameterStore::PlanReinitialize, cancellation);
}

Result<ParameterStore::Plan<v1::EraseResponse>> ParameterStore::PlanErase(
    const v1::EraseRequest& request) {
  auto parts = std::make_shared<std::vector<Unpacked<Fid>>>();
  Plan<v1::EraseResponse> plan;
  int64_t at_most = config_.max_ids;
  for (const v1::IdBatch& batch : request.parts()) {
    ASSIGN_OR_RETURN(Unpacked<Fid> ids, Ids(batch.ids(), &at_most));
    parts->push_back(std::move(ids));
    plan.tables.push_back(batch.table());
  }
  plan.run = [this, &request, parts]() -> Result<v1::EraseResponse> {
    std::vector<std::shared_ptr<Table>> tables;
    for (const v1::IdBatch& batch : request.parts()) {
      ASSIGN_OR_RETURN(std::shared_ptr<Table> table, store_->tables().Get(batch.table()));
      tables.push_back(std::move(table));
    }
    v1::EraseResponse response;
    for (size_t i = 0; i < tables.size(); ++i) {
      response.set_erased(response.erased() + tables[i]->Erase((*parts)[i].span()));
      metrics_.Holds(request.parts(static_cast<int>(i)).table(), *tables[i]);
    }
    return response;
  };
  return plan;
}

Result<v1::EraseResponse> ParameterStore::Erase(const v1::EraseRequest& request,
                                                const Cancellation& cancellation) {
  return Change(Kind::kErase, request, &ParameterStore::PlanErase, cancellation);
}

Result<ParameterStore::Plan<v1::EvictResponse>> ParameterStore::PlanEvict(
    const v1::EvictRequest& request) {
  Plan<v1::EvictResponse> plan;
  plan.tables.push_back(request.table());
  plan.run = [this, &request]() -> Result<v1::EvictResponse> {
    ASSIGN_OR_RETURN(const std::shared_ptr<Table> table, store_->tables().Get(request.table()));
    v1::EvictResponse response;
    response.set_evicted(request.has_now() ? table->Evict(request.now()) : table->Evict());
    metrics_.Evicted(request.table(), static_cast<uint64_t>(response.evicted()));
    metrics_.Holds(request.table(), *table);
    return response;
  };
  return plan;
}

Result<v1::EvictResponse> ParameterStore::Evict(const v1::EvictRequest& request,
                                                const Cancellation& cancellation) {
  return Change(Kind::kEvict, request, &ParameterStore::PlanEvict, cancellation);
}

Result<v1::LookupEntriesResponse> ParameterStore::LookupEntries(
    const v1::LookupEntriesRequest& request) {
  int64_t at_most = config_.max_ids;
  ASSIGN_OR_RETURN(const std::shared_ptr<Table> table, store_->tables().Get(request.ids().table()));
  ASSIGN_OR_RETURN(const Unpacked<Fid> ids, Ids(request.ids().ids(), &at_most));
  // A dump has the payload's numbers and a few bytes around each array.
  const uint64_t bytes = ids.size() * (table->layout().payload_bytes() + 64);
  if (bytes + kHeaderRoomBytes > max_response_bytes_) {
    return ResourceExhausted(StrCat("the entries may have ", bytes,
                                    " bytes, above max_response_bytes (", max_response_bytes_,
                                    "); ask for fewer ids at a time"));
  }
  ASSIGN_OR_RETURN(std::vector<std::string> entries, table->LookupEntries(ids.span()));
  v1::LookupEntriesResponse response;
  for (std::string& entry : entries) response.add_entries(std::move(entry));
  return response;
}

Result<v1::ScanIdsResponse> ParameterStore::ScanIds(const v1::ScanIdsRequest& request) {
  ASSIGN_OR_RETURN(const std::shared_ptr<Table> table, store_->tables().Get(request.table()));
  uint64_t cursor = request.cursor();
  std::vector<Fid> ids;
  v1::ScanIdsResponse response;
  response.set_done(!table->ScanFids(&cursor, &ids));
  response.set_cursor(cursor);
  embedding::AppendIds(ids, response.mutable_ids());
  return response;
}

}  // namespace megalith::services
