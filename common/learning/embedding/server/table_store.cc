#include "common/learning/embedding/server/table_store.h"

#include <algorithm>
#include <utility>

#include "common/foundation/base/strings.h"

namespace megalith::embedding {

// Tells both who keeps track of changes for deltas and whoever the owner named.
class TableStore::Observers final : public SetObserver {
 public:
  Observers(ChangeLog& changes, SetObserver* other) : changes_(changes), other_(other) {}
  void Written(const std::string& table, std::span<const Fid> fids) override {
    changes_.Written(table, fids);
    if (other_ != nullptr) other_->Written(table, fids);
  }
  void Erased(const std::string& table, std::span<const Fid> fids) override {
    changes_.Erased(table, fids);
    if (other_ != nullptr) other_->Erased(table, fids);
  }
  void Replaced(const std::string& table) override {
    changes_.Replaced(table);
    if (other_ != nullptr) other_->Replaced(table);
  }

 private:
  ChangeLog& changes_;
  SetObserver* const other_;
};

Result<std::unique_ptr<TableStore>> TableStore::Make(Options options) {
  std::unique_ptr<TableStore> store(new TableStore(std::move(options)));
  const Options& own = store->options_;
  TableSet::Options tables = own.tables;
  // Without deltas nobody keeps track, and nobody pays for it.
  if (own.max_changed_rows != 0 && !own.checkpoint_directory.empty()) {
    store->changes_ = std::make_unique<ChangeLog>(own.max_changed_rows, "nothing was saved yet");
    store->observers_ = std::make_unique<Observers>(*store->changes_, tables.observer);
    tables.observer = store->observers_.get();
  }
  ASSIGN_OR_RETURN(store->tables_, TableSet::Make(std::move(tables)));
  if (store->changes_ != nullptr) {
    store->saver_ =
        std::make_unique<IncrementalSaver>(*store->tables_, *store->changes_, own.deltas);
  }
  return store;
}

TableStore::TableStore(Options options)
    : options_(std::move(options)),
      dense_(options_.dense),
      applied_(options_.updates, *options_.clock) {}

TableStore::~TableStore() = default;

void TableStore::Listen(Listener listener) {
  listener_ = std::move(listener);
  if (restored_step_ && listener_.restored) listener_.restored(*restored_step_);
}

Result<TableStore::OpenReport> TableStore::Open(
    const std::function<Status(std::string_view)>& replay) {
  OpenReport report;
  UpdateLog::Options log{.directory = options_.log_directory,
                         .segment_bytes = options_.log_segment_bytes,
                         .checkpointed = 0,
                         .identity = "",
                         .begins_at = "",
                         .on_commit = options_.on_log_commit};
  if (!options_.checkpoint_directory.empty()) {
    ASSIGN_OR_RETURN(report.restored, RestoreAtStart(&log));
  }
  if (log.directory.empty()) return report;
  const Stopwatch watch(*options_.clock);
  const auto again = [&](uint64_t, std::string_view record) {
    if (!record.empty() && record[0] == kOwnRecord) return RestoreAgain(record.substr(1));
    return replay(record);
  };
  ASSIGN_OR_RETURN(log_, UpdateLog::Open(std::move(log), *options_.files, again, &report.log));
  report.log_seconds = watch.Seconds();
  return report;
}

// --- changes ---

void TableStore::Way::MoveTo(size_t place) {
  for (; at_ < place; ++at_) {
    std::unique_lock<std::mutex> next(store_.places_[at_ + 1]);
    locks_.back() = std::move(next);
  }
}

void TableStore::Way::Keep(std::span<const size_t> places) {
  for (const size_t place : places) {
    if (place == at_) continue;
    locks_.emplace_back(store_.places_[++at_]);
    MoveTo(place);
  }
}

std::vector<size_t> TableStore::PlacesOf(const Change& change) const {
  std::vector<size_t> places;
  // A filter counts over all tables, so that its answers depend on the order among tables too.
  const bool filtered = tables_->filter_config().thresholds.Max() > 0;
  for (const std::string_view table : change.tables) {
    places.push_back(filtered ? 0 : 1 + std::hash<std::string_view>()(table) % (kPlaces - 1));
  }
  return places;
}

Status TableStore::RunAlone(const Change& change) {
  if (change.run) return change.run();
  RETURN_IF_ERROR(change.check());
  for (size_t i = 0; i < change.tables.size(); ++i) change.part(i);
  return OkStatus();
}

Result<bool> TableStore::RunInOrder(const Change& change, AppliedSequences::Ticket& ticket,
                                    const std::string& record, uint64_t* number) {
  std::vector<size_t> places = PlacesOf(change);
  const bool filtered = std::find(places.begin(), places.end(), 0) != places.end();
  if (change.part && !filtered) return RunParts(change, ticket, record, number);
  if (change.catalog) {
    places.clear();
    for (size_t i = 1; i < kPlaces; ++i) places.push_back(i);
  }
  std::sort(places.begin(), places.end());
  places.erase(std::unique(places.begin(), places.end()), places.end());
  Way way(*this);
  way.Keep(places);
  // A snapshot has the rows, the mark and the record's number, or none of them. What changes the
  // catalog may do so twice, so that it needs no such step.
  std::optional<WriteGate::Shared> gate;
  if (!change.catalog) gate.emplace(tables_->gate());
  if (!change.client.empty()) {
    ASSIGN_OR_RETURN(const bool is_new, applied_.IsNew(ticket));
    if (!is_new) return false;
  }
  RETURN_IF_ERROR(RunAlone(change));
  if (!change.client.empty()) ticket.Commit();
  *number = log_->Append(record);
  return true;
}

// Takes its place in the log where everybody comes by, and from then on only follows those before.
Result<bool> TableStore::RunParts(const Change& change, AppliedSequences::Ticket& ticket,
                                  const std::string& record, uint64_t* number) {
  const std::vector<size_t> places = PlacesOf(change);
  std::vector<size_t> order(places.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return places[a] < places[b]; });
  Way way(*this);
  const WriteGate::Shared gate(tables_->gate());
  if (!change.client.empty()) {
    ASSIGN_OR_RETURN(const bool is_new, applied_.IsNew(ticket));
    if (!is_new) return false;
  }
  RETURN_IF_ERROR(change.check());
  if (!change.client.empty()) ticket.Commit();
  *number = log_->Append(record);
  for (const size_t i : order) {
    way.MoveTo(places[i]);
    change.part(i);
  }
  return true;
}

Result<bool> TableStore::Make(const Change& change, const Cancellation& cancellation) {
  AppliedSequences::Ticket ticket;
  // Whoever applied it may not have waited for the log.
  const auto before = [this]() -> Result<bool> {
    if (log_ != nullptr) RETURN_IF_ERROR(log_->Wait(log_->last()));
    return false;
  };
  if (!change.client.empty()) {
    ASSIGN_OR_RETURN(ticket, applied_.Begin(change.client, change.sequence, cancellation));
    if (ticket.already_applied()) return before();
  }
  if (change.prepare) RETURN_IF_ERROR(change.prepare());
  if (log_ != nullptr) {
    RETURN_IF_ERROR(log_->Ready());
    ASSIGN_OR_RETURN(const std::string record, change.record());
    RETURN_IF_ERROR(cancellation.Check());
    uint64_t number = 0;
    ASSIGN_OR_RETURN(const bool is_new, RunInOrder(change, ticket, record, &number));
    if (!is_new) return before();
    RETURN_IF_ERROR(log_->Wait(number));
    return true;
  }
  RETURN_IF_ERROR(cancellation.Check());
  std::optional<WriteGate::Shared> gate;
  if (!change.catalog) gate.emplace(tables_->gate());
  if (!change.client.empty()) {
    ASSIGN_OR_RETURN(const bool is_new, applied_.IsNew(ticket));
    if (!is_new) return false;
  }
  RETURN_IF_ERROR(RunAlone(change));
  if (!change.client.empty()) ticket.Commit();
  return true;
}

Status TableStore::MakeAgain(const Change& change) {
  if (change.prepare) RETURN_IF_ERROR(change.prepare());
  RETURN_IF_ERROR(RunAlone(change));
  if (!change.client.empty()) applied_.Record(change.client, change.sequence);
  return OkStatus();
}

}  // namespace megalith::embedding
