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

TableStore::Order::Order(TableStore& store, std::span<const std::string_view> tables, bool all) {
  // A filter counts over all tables, so that its answers depend on the order among tables too.
  const bool filtered = store.tables_->filter_config().thresholds.Max() > 0;
  std::vector<size_t> indexes;
  if (all) {
    for (size_t i = 0; i < kOrders; ++i) indexes.push_back(i);
  } else if (filtered) {
    indexes.push_back(0);
  } else {
    for (const std::string_view table : tables) {
      indexes.push_back(std::hash<std::string_view>()(table) % kOrders);
    }
    std::sort(indexes.begin(), indexes.end());
    indexes.erase(std::unique(indexes.begin(), indexes.end()), indexes.end());
  }
  for (const size_t i : indexes) locks_.emplace_back(store.orders_[i]);
}

Status TableStore::RunAll(const Change& change) {
  if (change.run) return change.run();
  RETURN_IF_ERROR(change.check());
  for (size_t i = 0; i < change.tables.size(); ++i) change.part(i);
  return OkStatus();
}

Result<bool> TableStore::ApplyAndMark(const Change& change, AppliedSequences::Ticket& ticket,
                                      const std::function<void()>& applied) {
  // A snapshot has the rows, the mark and the record's number, or none of them. What changes the
  // catalog may do so twice, so that it needs no such step.
  std::optional<WriteGate::Shared> gate;
  if (!change.catalog) gate.emplace(tables_->gate());
  if (!change.client.empty()) {
    ASSIGN_OR_RETURN(const bool is_new, applied_.IsNew(ticket));
    if (!is_new) return false;
  }
  RETURN_IF_ERROR(RunAll(change));
  if (!change.client.empty()) ticket.Commit();
  applied();
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
  std::string record;
  if (log_ != nullptr) {
    RETURN_IF_ERROR(log_->Ready());
    ASSIGN_OR_RETURN(record, change.record());
  }
  RETURN_IF_ERROR(cancellation.Check());
  uint64_t number = 0;
  std::optional<Order> order;
  if (log_ != nullptr) order.emplace(*this, change.tables, change.catalog);
  ASSIGN_OR_RETURN(const bool is_new, ApplyAndMark(change, ticket, [&] {
                     if (log_ != nullptr) number = log_->Append(record);
                   }));
  order.reset();
  if (!is_new) return before();
  if (log_ != nullptr) RETURN_IF_ERROR(log_->Wait(number));
  return true;
}

Status TableStore::MakeAgain(const Change& change) {
  if (change.prepare) RETURN_IF_ERROR(change.prepare());
  RETURN_IF_ERROR(RunAll(change));
  if (!change.client.empty()) applied_.Record(change.client, change.sequence);
  return OkStatus();
}

}  // namespace megalith::embedding
