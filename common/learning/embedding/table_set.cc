#include "common/learning/embedding/table_set.h"

#include <algorithm>
#include <mutex>
#include <utility>

#include "common/foundation/base/nearest_name.h"
#include "common/foundation/base/rng.h"
#include "common/foundation/base/strings.h"
#include "common/learning/embedding/hashing.h"

namespace megalith::embedding {
namespace {

constexpr size_t kMaxNameBytes = 255;

Status CheckName(std::string_view name) {
  if (name.empty() || name.size() > kMaxNameBytes) {
    return InvalidArgument(
        StrCat("a table's name has 1 to ", kMaxNameBytes, " bytes, got ", name.size()));
  }
  for (const char c : name) {
    const bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    std::string_view("_-.:/").find(c) != std::string_view::npos;
    if (!ok) {
      return InvalidArgument(StrCat("a table's name is made of letters, digits and _ - . : /, got ",
                                    static_cast<int>(static_cast<unsigned char>(c)), " in it"));
    }
  }
  return OkStatus();
}

}  // namespace

// Passes a table's changes on under its name, once the table is the set's.
class TableSet::NamedObserver : public WriteObserver {
 public:
  NamedObserver(std::string name, SetObserver* to) : name_(std::move(name)), to_(to) {}
  void Written(std::span<const Fid> fids) override {
    if (live_.load(std::memory_order_acquire)) to_->Written(name_, fids);
  }
  void Erased(std::span<const Fid> fids) override {
    if (live_.load(std::memory_order_acquire)) to_->Erased(name_, fids);
  }
  void SetLive(bool live) { live_.store(live, std::memory_order_release); }

 private:
  const std::string name_;
  SetObserver* const to_;
  std::atomic<bool> live_{false};
};

Result<std::unique_ptr<TableSet>> TableSet::Make(Options options) {
  ASSIGN_OR_RETURN(std::unique_ptr<AdmissionFilter> filter, MakeFilter(options.filter));
  std::unique_ptr<TableSet> set(new TableSet(std::move(options)));
  set->filter_ = std::move(filter);
  return set;
}

TableSet::TableSet(Options options)
    : options_(std::move(options)), gate_(std::make_shared<WriteGate>()) {}

TableSet::~TableSet() = default;

Result<TableSet::Member> TableSet::MakeMember(const std::string& name, TableConfig config,
                                              uint64_t hash_seed) const {
  Member member;
  Table::Options options{.filter = filter_,
                         .observer = nullptr,
                         .gate = gate_,
                         .hash_seed = hash_seed,
                         .open_cold_store = nullptr};
  if (options_.observer != nullptr) {
    member.observer = std::make_shared<NamedObserver>(name, options_.observer);
    options.observer = member.observer;
  }
  if (options_.open_cold_store != nullptr) {
    options.open_cold_store = [name, &open = options_.open_cold_store](const ColdTierConfig& config,
                                                                       size_t payload_bytes) {
      ColdTierConfig named = config;
      if (named.directory.empty()) named.directory = name;
      return open(name, named, payload_bytes);
    };
  }
  ASSIGN_OR_RETURN(std::unique_ptr<Table> table,
                   Table::Make(std::move(config), std::move(options)));
  member.table = std::move(table);
  return member;
}

Status TableSet::Create(const std::string& name, TableConfig config) {
  RETURN_IF_ERROR(CheckName(name));
  const std::unique_lock lock(mu_);
  const auto found = members_.find(name);
  if (found != members_.end()) {
    if (found->second.table->config() == config) return OkStatus();
    return Status(
        Code::kAlreadyExists,
        StrCat("table '", name, "' exists with another configuration; alter it, or drop it first"));
  }
  if (members_.size() >= options_.max_tables) {
    return ResourceExhausted(
        StrCat("the server has ", options_.max_tables, " tables, which is its max_tables"));
  }
  // A seed of its own: rows that are read in the order of one table's index and written to another
  // of equal seed would all begin in the same buckets of the growing index.
  auto member = MakeMember(name, std::move(config), Mix(options_.hash_seed, ++created_));
  if (!member.ok()) return member.status().Annotate(StrCat("table '", name, "'"));
  if (member->observer != nullptr) member->observer->SetLive(true);
  members_.emplace(name, *std::move(member));
  return OkStatus();
}

Status TableSet::Alter(const std::string& name, TableConfig config) {
  const std::unique_lock lock(mu_);
  const auto found = members_.find(name);
  if (found == members_.end()) return Missing(name);
  auto table = found->second.table->Reconfigured(std::move(config));
  if (!table.ok()) return table.status().Annotate(StrCat("table '", name, "'"));
  found->second.table = *std::move(table);
  return OkStatus();
}

Status TableSet::Drop(const std::string& name) {
  Member member;
  {
    const std::unique_lock lock(mu_);
    const auto found = members_.find(name);
    if (found == members_.end()) return Missing(name);
    member = std::move(found->second);
    members_.erase(found);
  }
  if (member.observer != nullptr) {
    member.observer->SetLive(false);
    options_.observer->Replaced(name);
  }
  return OkStatus();
}

Status TableSet::Missing(std::string_view name) const {
  std::vector<std::string> names;
  for (const auto& [known, member] : members_) names.push_back(known);
  const std::string_view near = NearestName(name, names);
  return NotFound(near.empty() ? StrCat("no table '", name, "'")
                               : StrCat("no table '", name, "'; is '", near, "' meant?"));
}

Result<std::shared_ptr<Table>> TableSet::Get(std::string_view name) const {
  const std::shared_lock lock(mu_);
  const auto found = members_.find(name);
  if (found == members_.end()) return Missing(name);
  return found->second.table;
}

std::vector<std::string> TableSet::Names() const {
  const std::shared_lock lock(mu_);
  std::vector<std::string> names;
  for (const auto& [name, member] : members_) names.push_back(name);
  return names;
}

std::map<std::string, std::shared_ptr<Table>> TableSet::Tables() const {
  const std::shared_lock lock(mu_);
  std::map<std::string, std::shared_ptr<Table>> tables;
  for (const auto& [name, member] : members_) tables.emplace(name, member.table);
  return tables;
}

Result<std::shared_ptr<Table>> TableSet::MakeAside(const std::string& name, TableConfig config) {
  RETURN_IF_ERROR(CheckName(name));
  ASSIGN_OR_RETURN(Member member, MakeMember(name, std::move(config), EntropySeed()));
  const std::unique_lock lock(mu_);
  std::erase_if(aside_, [](const auto& entry) { return entry.second.first.expired(); });
  aside_[member.table.get()] = {member.table, member.observer};
  return member.table;
}

void TableSet::Replace(std::map<std::string, std::shared_ptr<Table>> tables,
                       const std::function<void()>& also) {
  // With the gate closed no write is between finding its table and changing it.
  const WriteGate::Exclusive gate(*gate_);
  const std::unique_lock lock(mu_);
  for (auto& [name, table] : tables) {
    Member member{.table = table, .observer = nullptr};
    if (const auto made = aside_.find(table.get()); made != aside_.end()) {
      member.observer = made->second.second;
      aside_.erase(made);
    }
    Member& place = members_[name];
    if (place.observer != nullptr) place.observer->SetLive(false);
    if (member.observer != nullptr) member.observer->SetLive(true);
    place = std::move(member);
  }
  if (options_.observer != nullptr) {
    for (const auto& [name, table] : tables) options_.observer->Replaced(name);
  }
  if (also) also();
}

void TableSet::Snapshot::EndFilter() {
  if (filter_ != nullptr) filter_->EndMoment();
  filter_ = nullptr;
}

TableSet::Snapshot::~Snapshot() {
  EndFilter();
  for (const auto& [name, moment] : moments_) {
    if (moment.read) continue;
    (void)tables_.at(name)->ReadSnapshot(
        [](std::span<const Table::RowView>) { return Cancelled("the snapshot is not wanted"); });
  }
}

uint64_t TableSet::Snapshot::rows(const std::string& table) const {
  const auto found = moments_.find(table);
  return found == moments_.end() ? 0 : found->second.rows;
}

int64_t TableSet::Snapshot::max_update_time(const std::string& table) const {
  const auto found = moments_.find(table);
  return found == moments_.end() ? 0 : found->second.max_update_time;
}

Status TableSet::Snapshot::Read(
    const std::string& table,
    const std::function<Status(std::span<const Table::RowView> rows)>& sink) {
  const auto found = moments_.find(table);
  if (found == moments_.end()) return NotFound(StrCat("no table '", table, "' in the snapshot"));
  {
    const std::lock_guard lock(mu_);
    if (found->second.read) {
      return FailedPrecondition(StrCat("the snapshot of table '", table, "' has been read"));
    }
    found->second.read = true;
  }
  return tables_.at(table)->ReadSnapshot(sink);
}

Result<std::unique_ptr<TableSet::Snapshot>> TableSet::TakeSnapshot(
    const std::function<void()>& at_moment) {
  auto snapshot = std::unique_ptr<Snapshot>(new Snapshot);
  const WriteGate::Exclusive gate(*gate_);
  for (const auto& [name, table] : Tables()) {
    // On failure the destructor ends those that have begun.
    RETURN_IF_ERROR(table->BeginSnapshot().Annotate(StrCat("table '", name, "'")));
    snapshot->tables_.emplace(name, table);
    snapshot->moments_[name] = {
        .rows = table->size(), .max_update_time = table->max_update_time(), .read = false};
  }
  RETURN_IF_ERROR(filter_->BeginMoment());
  snapshot->filter_ = filter_;
  if (at_moment) at_moment();
  return snapshot;
}

Result<TableSet::Fused> TableSet::Fuse(const TableMap& tables, std::span<const int64_t> sizes,
                                       int64_t shards, int64_t max_floats) const {
  if (tables.empty()) return FailedPrecondition("the server has no tables");
  const auto count = static_cast<int64_t>(tables.size());
  if (shards < 1 || static_cast<int64_t>(sizes.size()) / count != shards ||
      static_cast<int64_t>(sizes.size()) % count != 0) {
    return InvalidArgument(StrCat("sizes of ", shards, " shards of ", count, " tables are ", shards,
                                  " * ", count, " numbers, got ", sizes.size()));
  }
  Fused fused;
  fused.layout.key_offsets = {0};
  fused.layout.emb_offsets = {0};
  size_t at = 0;
  for (int64_t shard = 0; shard < shards; ++shard) {
    const int64_t shard_begin = fused.layout.emb_offsets.back();
    for (const auto& [name, table] : tables) {
      const int64_t size = sizes[at++];
      const int64_t before = fused.layout.emb_offsets.back();
      if (size < 0 || size > (max_floats - before) / table->dim()) {
        return InvalidArgument(StrCat("table '", name, "' of shard ", shard, " has ", size,
                                      " fids; together at most ", max_floats,
                                      " floats are allowed"));
      }
      fused.layout.key_offsets.push_back(fused.layout.key_offsets.back() + size);
      fused.layout.emb_offsets.push_back(before + size * table->dim());
    }
    fused.layout.emb_splits.push_back(fused.layout.emb_offsets.back() - shard_begin);
  }
  for (const auto& [name, table] : tables) fused.tables.push_back(table.get());
  return fused;
}

Result<TableSet::FusedLayout> TableSet::Fuse(std::span<const int64_t> sizes, int64_t shards,
                                             int64_t max_floats) const {
  const TableMap tables = Tables();
  ASSIGN_OR_RETURN(Fused fused, Fuse(tables, sizes, shards, max_floats));
  return std::move(fused.layout);
}

namespace {

Status CheckKeys(size_t fids, const TableSet::FusedLayout& layout) {
  if (static_cast<int64_t>(fids) == layout.key_offsets.back()) return OkStatus();
  return InvalidArgument(
      StrCat("the sizes add up to ", layout.key_offsets.back(), " fids, got ", fids));
}

size_t At(const std::vector<int64_t>& offsets, size_t i) { return static_cast<size_t>(offsets[i]); }

}  // namespace

Result<std::vector<float>> TableSet::FusedLookup(std::span<const Fid> fids,
                                                 std::span<const int64_t> sizes, int64_t shards,
                                                 int64_t max_floats) const {
  const TableMap tables = Tables();
  ASSIGN_OR_RETURN(const Fused fused, Fuse(tables, sizes, shards, max_floats));
  const FusedLayout& layout = fused.layout;
  RETURN_IF_ERROR(CheckKeys(fids.size(), layout));
  std::vector<float> rows(static_cast<size_t>(layout.emb_offsets.back()));
  for (size_t i = 0; i + 1 < layout.key_offsets.size(); ++i) {
    const size_t key = At(layout.key_offsets, i);
    const size_t emb = At(layout.emb_offsets, i);
    ASSIGN_OR_RETURN([[maybe_unused]] const int64_t hits,
                     fused.tables[i % fused.tables.size()]->Lookup(
                         fids.subspan(key, At(layout.key_offsets, i + 1) - key),
                         std::span(rows).subspan(emb, At(layout.emb_offsets, i + 1) - emb)));
  }
  return rows;
}

Result<std::vector<WriteReport>> TableSet::FusedOptimize(const FusedGradients& batch) {
  // Held around all tables, so that a snapshot has the whole call or nothing, and before the tables
  // are looked up, so that none is replaced in between.
  const WriteGate::Shared gate(*gate_);
  const TableMap tables = Tables();
  ASSIGN_OR_RETURN(const Fused fused, Fuse(tables, batch.sizes, batch.shards,
                                           static_cast<int64_t>(batch.gradients.size())));
  const FusedLayout& layout = fused.layout;
  RETURN_IF_ERROR(CheckKeys(batch.fids.size(), layout));
  if (layout.emb_offsets.back() != static_cast<int64_t>(batch.gradients.size())) {
    return InvalidArgument(StrCat("the rows have ", layout.emb_offsets.back(),
                                  " floats, got gradients of ", batch.gradients.size()));
  }
  size_t rates = 0;
  for (const Table* table : fused.tables) rates += static_cast<size_t>(table->slices());
  if (!batch.learning_rates.empty() && batch.learning_rates.size() != rates) {
    return InvalidArgument(StrCat("the tables have ", rates, " segments, got ",
                                  batch.learning_rates.size(), " learning rates"));
  }
  std::vector<PreparedGradients> parts;
  size_t rate = 0;
  for (size_t i = 0; i + 1 < layout.key_offsets.size(); ++i) {
    const size_t table = i % fused.tables.size();
    if (table == 0) rate = 0;
    const auto slices = static_cast<size_t>(fused.tables[table]->slices());
    const size_t key = At(layout.key_offsets, i);
    const size_t emb = At(layout.emb_offsets, i);
    Gradients part{.fids = batch.fids.subspan(key, At(layout.key_offsets, i + 1) - key),
                   .values = batch.gradients.subspan(emb, At(layout.emb_offsets, i + 1) - emb),
                   .learning_rates = {},
                   .snapshots = {},
                   .update_time = batch.update_time,
                   .global_step = batch.global_step,
                   .dedup = batch.dedup,
                   .non_finite = batch.non_finite};
    if (!batch.learning_rates.empty()) {
      part.learning_rates = batch.learning_rates.subspan(rate, slices);
    }
    rate += slices;
    ASSIGN_OR_RETURN(PreparedGradients prepared, fused.tables[table]->Prepare(part));
    parts.push_back(std::move(prepared));
  }
  std::vector<WriteReport> reports(fused.tables.size());
  for (size_t i = 0; i < parts.size(); ++i) {
    const size_t table = i % fused.tables.size();
    reports[table] += fused.tables[table]->Apply(parts[i]);
  }
  return reports;
}

}  // namespace megalith::embedding
