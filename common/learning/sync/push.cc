#include "common/learning/sync/push.h"

#include <algorithm>
#include <bit>

namespace megalith::sync {
namespace {

int64_t VarintBytes(uint64_t value) { return (std::bit_width(value | 1) + 6) / 7; }

int64_t TextBytes(std::string_view text) {
  return 1 + VarintBytes(text.size()) + static_cast<int64_t>(text.size());
}

}  // namespace

int64_t Push::fids() const {
  int64_t count = 0;
  for (const TableRows& rows : tables) count += static_cast<int64_t>(rows.fids.size());
  return count;
}

// The lists of PushRequest are not packed: a tag of one byte before every number.
int64_t RowBytes(Fid fid, int64_t dim) {
  return 1 + VarintBytes(static_cast<uint64_t>(fid)) + 5 * dim;
}

int64_t PushRequestBytes(const PushSpec& spec, std::span<const TableShape> tables) {
  int64_t bytes = TextBytes(spec.model) + TextBytes(spec.WireSignature()) + 1 +
                  VarintBytes(static_cast<uint64_t>(spec.timeout.count()));
  for (const TableShape& table : tables) {
    int64_t inner = TextBytes(table.table) + 1 + VarintBytes(static_cast<uint64_t>(table.dim));
    for (const Fid fid : table.fids) inner += RowBytes(fid, table.dim);
    bytes += 1 + VarintBytes(static_cast<uint64_t>(inner)) + inner;
  }
  return bytes;
}

int64_t PushRequestBytes(const PushSpec& spec, const Push& push) {
  std::vector<TableShape> shapes;
  for (const TableRows& rows : push.tables) {
    shapes.push_back({.table = rows.table, .dim = rows.dim, .fids = rows.fids});
  }
  return PushRequestBytes(spec, shapes);
}

int64_t PartsOf(int64_t bytes, int64_t max_part_bytes) {
  return bytes <= max_part_bytes ? 1 : (bytes + max_part_bytes - 1) / max_part_bytes;
}

// Section 3.1: equal runs, and what is left over goes to the last.
std::pair<size_t, size_t> PartRange(size_t fids, int64_t part, int64_t parts) {
  const size_t run = fids / static_cast<size_t>(parts);
  const size_t begin = run * static_cast<size_t>(part);
  return {begin, part + 1 == parts ? fids : begin + run};
}

PushPlan::PushPlan(const PushSpec& spec,
                   std::map<std::string, std::shared_ptr<embedding::Table>> tables,
                   std::vector<TableKeys> keys, int64_t max_part_bytes)
    : spec_(spec) {
  for (auto& [name, table] : tables) {
    members_.push_back({.name = name, .table = std::move(table), .fids = {}});
  }
  for (TableKeys& of_table : keys) {
    const auto found = std::lower_bound(
        members_.begin(), members_.end(), of_table.table,
        [](const Member& member, const std::string& name) { return member.name < name; });
    if (found == members_.end() || found->name != of_table.table) continue;
    if (found->fids.empty()) {
      found->fids = std::move(of_table.fids);
    } else {
      found->fids.insert(found->fids.end(), of_table.fids.begin(), of_table.fids.end());
    }
  }
  std::vector<TableShape> shapes;
  for (const Member& member : members_) {
    shapes.push_back({.table = member.name, .dim = member.table->dim(), .fids = member.fids});
  }
  parts_ = PartsOf(PushRequestBytes(spec_, shapes), max_part_bytes);
}

Result<Push> PushPlan::Build(int64_t part) const {
  Push push{.model = spec_.model,
            .signature = spec_.WireSignature(),
            .form = spec_.form,
            .timeout = spec_.timeout,
            .tables = {}};
  for (const Member& member : members_) {
    const auto [begin, end] = PartRange(member.fids.size(), part, parts_);
    TableRows rows{.table = member.name,
                   .dim = member.table->dim(),
                   .fids = {member.fids.begin() + static_cast<ptrdiff_t>(begin),
                            member.fids.begin() + static_cast<ptrdiff_t>(end)},
                   .values = {}};
    rows.values.resize(rows.fids.size() * static_cast<size_t>(rows.dim));
    auto hits = member.table->Lookup(rows.fids, rows.values);
    if (!hits.ok()) return hits.status().Annotate("table '" + member.name + "'");
    push.tables.push_back(std::move(rows));
  }
  return push;
}

KeySource::KeySource(std::shared_ptr<const Delta> delta, const embedding::TableSet& set)
    : delta_(std::move(delta)), set_(set) {
  walks_ = delta_->all ? set_.Names() : delta_->full_tables;
}

bool KeySource::NextListed(int64_t max_bytes, int64_t* bytes, std::vector<TableKeys>* keys) {
  for (; table_ < delta_->keys.size(); ++table_, fid_ = 0) {
    const TableKeys& listed = delta_->keys[table_];
    const auto table = set_.Get(listed.table);
    if (!table.ok()) continue;  // dropped: nobody can be told
    TableKeys taken{.table = listed.table, .fids = {}};
    for (; fid_ < listed.fids.size() && *bytes < max_bytes; ++fid_) {
      taken.fids.push_back(listed.fids[fid_]);
      *bytes += RowBytes(listed.fids[fid_], (*table)->dim());
    }
    if (!taken.fids.empty()) keys->push_back(std::move(taken));
    if (fid_ < listed.fids.size()) return true;
  }
  return !keys->empty();
}

bool KeySource::NextWalked(int64_t max_bytes, int64_t* bytes, std::vector<TableKeys>* keys) {
  for (; walk_ < walks_.size(); ++walk_) {
    if (walked_ == nullptr) {
      auto table = set_.Get(walks_[walk_]);
      if (!table.ok()) continue;
      walked_ = *std::move(table);
      cursor_ = 0;
    }
    TableKeys taken{.table = walks_[walk_], .fids = {}};
    bool more = true;
    for (size_t counted = 0; more && *bytes < max_bytes; counted = taken.fids.size()) {
      more = walked_->ScanFids(&cursor_, &taken.fids);
      for (size_t i = counted; i < taken.fids.size(); ++i) {
        *bytes += RowBytes(taken.fids[i], walked_->dim());
      }
    }
    if (!taken.fids.empty()) keys->push_back(std::move(taken));
    if (more) return true;
    walked_ = nullptr;
  }
  return !keys->empty();
}

bool KeySource::Next(int64_t max_bytes, std::vector<TableKeys>* keys) {
  keys->clear();
  int64_t bytes = 0;
  // Rows that may be gone come before the walk: a fid that is in both has its row by then.
  if (NextListed(max_bytes, &bytes, keys) && bytes >= max_bytes) return true;
  return NextWalked(max_bytes, &bytes, keys) || !keys->empty();
}

}  // namespace megalith::sync
