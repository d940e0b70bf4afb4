// Inactivation decoding. Rows with one open column give that column ("peeling"); when there is
// none, a column is set aside ("inactivated") and treated as known. All solved columns are then
// sums of data and inactive columns, and the rows left over and the HDPC rows make a small dense
// system for the inactive ones, solved by Gaussian elimination over GF(256).
#include "common/foundation/durability/raptorq_elimination.h"

#include <algorithm>
#include <numeric>
#include <queue>
#include <utility>

#include "common/foundation/base/strings.h"
#include "common/foundation/durability/gf256.h"

namespace megalith::durability {
namespace {

enum class ColumnState : uint8_t { kOpen, kSolved, kInactive };

// Finds the order of pivots and the columns to inactivate.
class Peeler {
 public:
  Peeler(const BlockParameters& block, const SparseRows& rows)
      : rows_(rows), open_columns_(block.w), state_(block.l, ColumnState::kOpen) {
    std::fill(state_.begin() + block.w, state_.end(), ColumnState::kInactive);
    IndexColumns(block);
    parent_.resize(block.w);
    std::iota(parent_.begin(), parent_.end(), 0u);
    component_size_.assign(block.w, 1);
    open_count_.assign(rows.size(), 0);
    open_sum_.assign(rows.size(), 0);
    used_.assign(rows.size(), false);
    for (uint32_t r = 0; r < rows.size(); ++r) {
      for (const uint32_t c : rows.row(r)) {
        if (c >= block.w) continue;
        ++open_count_[r];
        open_sum_[r] ^= c;
      }
    }
    for (uint32_t r = 0; r < rows.size(); ++r) File(r);
  }

  void Run() {
    while (open_columns_ > 0) {
      if (!single_.empty()) {
        const uint32_t r = single_.back();
        single_.pop_back();
        if (used_[r] || open_count_[r] != 1) continue;
        const uint32_t column = open_sum_[r];
        used_[r] = true;
        pivots.push_back({.row = r, .column = column});
        Close(column, ColumnState::kSolved);
      } else {
        Close(ChooseInactive(), ColumnState::kInactive);
      }
    }
  }

  bool inactive(uint32_t column) const { return state_[column] == ColumnState::kInactive; }
  bool used(uint32_t row) const { return used_[row]; }
  std::vector<Elimination::Pivot> pivots;

 private:
  void IndexColumns(const BlockParameters& block) {
    column_begin_.assign(block.w + 1, 0);
    for (const uint32_t c : rows_.columns) {
      if (c < block.w) ++column_begin_[c + 1];
    }
    std::partial_sum(column_begin_.begin(), column_begin_.end(), column_begin_.begin());
    column_rows_.resize(column_begin_.back());
    std::vector<uint32_t> at(column_begin_.begin(), column_begin_.end() - 1);
    for (uint32_t r = 0; r < rows_.size(); ++r) {
      for (const uint32_t c : rows_.row(r)) {
        if (c < block.w) column_rows_[at[c]++] = r;
      }
    }
  }

  uint32_t Root(uint32_t c) {
    while (parent_[c] != c) c = parent_[c] = parent_[parent_[c]];
    return c;
  }

  // Puts a row where its number of open columns says.
  void File(uint32_t r) {
    const uint32_t n = open_count_[r];
    if (n == 0) return;
    if (n == 1) {
      single_.push_back(r);
    } else if (n == 2) {
      Join(r);
    } else {
      if (by_count_.size() <= n) by_count_.resize(n + 1);
      by_count_[n].push_back(r);
    }
  }

  // The open columns of rows with two of them are the edges of a graph; once one column of a
  // component is known, peeling gives all of it. Hence components only ever grow, or go at once.
  void Join(uint32_t r) {
    for (const uint32_t c : rows_.row(r)) {
      if (c >= parent_.size() || state_[c] != ColumnState::kOpen) continue;
      uint32_t a = Root(c);
      uint32_t b = Root(open_sum_[r] ^ c);
      if (a == b) return;
      if (component_size_[a] < component_size_[b]) std::swap(a, b);
      parent_[b] = a;
      component_size_[a] += component_size_[b];
      largest_.emplace(component_size_[a], a);
      return;
    }
  }

  void Close(uint32_t column, ColumnState state) {
    state_[column] = state;
    --open_columns_;
    for (uint32_t i = column_begin_[column]; i < column_begin_[column + 1]; ++i) {
      const uint32_t r = column_rows_[i];
      if (used_[r]) continue;
      --open_count_[r];
      open_sum_[r] ^= column;
      File(r);
    }
  }

  // A column of the largest component; without components, one of a row with few open columns;
  // without rows, any.
  uint32_t ChooseInactive() {
    while (!largest_.empty()) {
      const auto [size, root] = largest_.top();
      if (parent_[root] == root && component_size_[root] == size &&
          state_[root] == ColumnState::kOpen)
        return root;
      largest_.pop();
    }
    for (uint32_t n = 3; n < by_count_.size(); ++n) {
      while (!by_count_[n].empty()) {
        const uint32_t r = by_count_[n].back();
        if (!used_[r] && open_count_[r] == n) return BusiestColumn(r);
        by_count_[n].pop_back();
      }
    }
    while (state_[next_open_] != ColumnState::kOpen) ++next_open_;
    return next_open_;
  }

  uint32_t BusiestColumn(uint32_t r) const {
    uint32_t best = 0;
    uint32_t best_rows = 0;
    for (const uint32_t c : rows_.row(r)) {
      if (c >= parent_.size() || state_[c] != ColumnState::kOpen) continue;
      const uint32_t n = column_begin_[c + 1] - column_begin_[c];
      if (n >= best_rows) {
        best = c;
        best_rows = n;
      }
    }
    return best;
  }

  const SparseRows& rows_;
  uint32_t open_columns_;
  std::vector<ColumnState> state_;
  std::vector<uint32_t> column_begin_;  // into column_rows_
  std::vector<uint32_t> column_rows_;
  std::vector<uint32_t> open_count_;  // per row
  std::vector<uint32_t> open_sum_;    // per row: XOR of its open columns
  std::vector<bool> used_;            // per row: has a pivot
  std::vector<uint32_t> single_;      // rows that had one open column when filed
  std::vector<std::vector<uint32_t>> by_count_;
  std::vector<uint32_t> parent_;
  std::vector<uint32_t> component_size_;
  std::priority_queue<std::pair<uint32_t, uint32_t>> largest_;
  uint32_t next_open_ = 0;
};

// The system of the inactive columns, one row after the other.
class DenseSystem {
 public:
  // `names` are the inactive columns.
  explicit DenseSystem(std::vector<uint32_t> names)
      : names_(std::move(names)), kernels_(BestGf256Kernels()) {}

  size_t width() const { return names_.size(); }
  bool full() const { return rows_.size() == names_.size(); }

  // Takes a row of width() coefficients; true if it says something new. `column` is then the
  // inactive column that the row is named by.
  bool Add(std::vector<uint8_t> row, uint32_t* column) {
    std::vector<std::pair<uint32_t, uint8_t>> sources;
    for (const Row& known : rows_) {
      const uint8_t factor = row[known.pivot];
      if (factor == 0) continue;
      AddTimes(&row, known.coefficients, factor);
      sources.emplace_back(names_[known.pivot], factor);
    }
    const auto pivot = std::find_if(row.begin(), row.end(), [](uint8_t c) { return c != 0; });
    if (pivot == row.end()) return false;
    const auto at = static_cast<uint32_t>(pivot - row.begin());
    *column = names_[at];
    for (const auto& [from, factor] : sources)
      steps_.push_back({.into = *column, .from = from, .factor = factor});
    if (*pivot != 1) {
      const uint8_t factor = Gf256Inverse(*pivot);
      kernels_.scale(row.data(), factor, row.size());
      steps_.push_back({.into = *column, .from = *column, .factor = factor});
    }
    rows_.push_back({.pivot = at, .coefficients = std::move(row)});
    return true;
  }

  // A row knows nothing of the pivots before it; from the last one backwards, the others go.
  std::vector<DenseStep> Finish() {
    for (size_t i = rows_.size(); i-- > 0;) {
      for (size_t j = i + 1; j < rows_.size(); ++j) {
        const uint8_t factor = rows_[i].coefficients[rows_[j].pivot];
        if (factor == 0) continue;
        steps_.push_back(
            {.into = names_[rows_[i].pivot], .from = names_[rows_[j].pivot], .factor = factor});
      }
    }
    return std::move(steps_);
  }

 private:
  struct Row {
    uint32_t pivot = 0;  // index into names_
    std::vector<uint8_t> coefficients;
  };
  void AddTimes(std::vector<uint8_t>* into, const std::vector<uint8_t>& from, uint8_t factor) {
    const uint8_t* const source = from.data();
    if (factor == 1) {
      kernels_.sum(into->data(), &source, 1, into->size(), false);
    } else {
      kernels_.multiply_add(into->data(), source, factor, into->size());
    }
  }

  const std::vector<uint32_t> names_;
  const Gf256Kernels& kernels_;
  std::vector<Row> rows_;
  std::vector<DenseStep> steps_;
};

// Every column as a combination of the inactive ones, `width` coefficients each.
class Combinations {
 public:
  Combinations(const Elimination& e, std::vector<uint32_t> inactive_columns)
      : width_(inactive_columns.size()),
        place_(e.block.l, kNone),
        bytes_(e.pivots.size() * width_) {
    index_.assign(e.block.l, kNone);
    for (uint32_t i = 0; i < inactive_columns.size(); ++i) index_[inactive_columns[i]] = i;
    for (uint32_t i = 0; i < e.pivots.size(); ++i) {
      uint8_t* const row = bytes_.data() + i * width_;
      AddRow(e.rows.row(e.pivots[i].row), row);
      place_[e.pivots[i].column] = i;
    }
  }

  // into += the columns of a sparse row; the one it is the pivot of is not solved yet and left out.
  void AddRow(std::span<const uint32_t> columns, uint8_t* into) {
    sources_.clear();
    for (const uint32_t c : columns) {
      if (place_[c] != kNone) {
        sources_.push_back(bytes_.data() + place_[c] * width_);
      } else if (index_[c] != kNone) {
        into[index_[c]] ^= 1;
      }
    }
    kernels_.sum(into, sources_.data(), sources_.size(), width_, false);
  }

  // G_HDPC's rows over the inactive columns; the identity at their end included.
  std::vector<std::vector<uint8_t>> HdpcRows(const BlockParameters& block) const {
    std::vector<std::vector<uint8_t>> rows(block.h, std::vector<uint8_t>(width_));
    std::vector<uint8_t> prefix(width_);
    const uint32_t last = block.kp + block.s - 1;
    for (uint32_t c = 0; c <= last; ++c) {
      const bool solved = place_[c] != kNone;
      kernels_.double_add(prefix.data(), solved ? bytes_.data() + place_[c] * width_ : nullptr,
                          width_);
      if (!solved) prefix[index_[c]] ^= 1;
      const uint8_t* const source = prefix.data();
      if (c < last) {
        const HdpcPair pair = HdpcRowsOf(block, c);
        kernels_.sum(rows[pair.first].data(), &source, 1, width_, false);
        kernels_.sum(rows[pair.second].data(), &source, 1, width_, false);
      } else {
        for (uint32_t i = 0; i < block.h; ++i)
          kernels_.multiply_add(rows[i].data(), source, Gf256Power(i), width_);
      }
    }
    for (uint32_t i = 0; i < block.h; ++i) rows[i][index_[last + 1 + i]] ^= 1;
    return rows;
  }

  size_t width() const { return width_; }

 private:
  static constexpr uint32_t kNone = UINT32_MAX;
  const size_t width_;
  std::vector<uint32_t> place_;  // per column: its row of bytes_, if it is solved
  std::vector<uint32_t> index_;  // per column: its coefficient, if it is inactive
  std::vector<uint8_t> bytes_;
  std::vector<const uint8_t*> sources_;
  const Gf256Kernels& kernels_ = BestGf256Kernels();
};

}  // namespace

SparseRows ConstraintRows(const BlockParameters& block, std::span<const uint32_t> internal_ids) {
  std::vector<std::vector<uint32_t>> ldpc(block.s);
  for (uint32_t i = 0; i < block.b; ++i) {
    const uint32_t a = 1 + i / block.s;
    uint32_t at = i % block.s;
    for (int n = 0; n < 3; ++n) {
      ldpc[at].push_back(i);
      at = (at + a) % block.s;
    }
  }
  SparseRows rows;
  for (uint32_t i = 0; i < block.s; ++i) {
    rows.columns.insert(rows.columns.end(), ldpc[i].begin(), ldpc[i].end());
    rows.columns.push_back(block.b + i);
    rows.columns.push_back(block.w + i % block.p);
    rows.columns.push_back(block.w + (i + 1) % block.p);
    rows.EndRow();
  }
  for (const uint32_t id : internal_ids) {
    AppendLtColumns(block, id, &rows.columns);
    rows.EndRow();
  }
  return rows;
}

HdpcPair HdpcRowsOf(const BlockParameters& block, uint32_t column) {
  const uint32_t first = RandomOf(column + 1, 6, block.h);
  return {.first = first, .second = (first + RandomOf(column + 1, 7, block.h - 1) + 1) % block.h};
}

Result<Elimination> Eliminate(const BlockParameters& block, SparseRows rows) {
  Elimination e{.block = block, .rows = std::move(rows)};
  Peeler peeler(block, e.rows);
  peeler.Run();
  e.pivots = std::move(peeler.pivots);
  std::vector<uint32_t> inactive_columns;
  e.inactive.resize(block.l);
  for (uint32_t c = 0; c < block.l; ++c) {
    e.inactive[c] = peeler.inactive(c);
    if (e.inactive[c]) inactive_columns.push_back(c);
  }
  Combinations combinations(e, inactive_columns);
  DenseSystem dense(inactive_columns);
  uint32_t column = 0;
  for (uint32_t r = 0; r < e.rows.size() && !dense.full(); ++r) {
    if (peeler.used(r)) continue;
    std::vector<uint8_t> row(dense.width());
    combinations.AddRow(e.rows.row(r), row.data());
    if (dense.Add(std::move(row), &column)) e.dense_rows.push_back({.row = r, .column = column});
  }
  if (!dense.full()) {
    std::vector<std::vector<uint8_t>> hdpc = combinations.HdpcRows(block);
    for (uint32_t i = 0; i < block.h && !dense.full(); ++i) {
      if (dense.Add(std::move(hdpc[i]), &column))
        e.hdpc_rows.push_back({.row = i, .column = column});
    }
  }
  if (!dense.full()) return DataLoss("the symbols received do not determine the block");
  e.steps = dense.Finish();
  return e;
}

}  // namespace megalith::durability
