#include "common/foundation/durability/raptorq.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "common/foundation/base/bytes.h"
#include "common/foundation/base/strings.h"
#include "common/foundation/durability/raptorq_elimination.h"

namespace megalith::durability {
namespace {

// All intermediate symbols of a stripe stay in the second- or third-level cache; wider stripes read
// the block in longer runs. Chosen among 192 KiB to 1.5 MiB by bench/durability_bench.
constexpr size_t kStripeTargetBytes = 1536 << 10;
constexpr size_t kMinStripeBytes = 512;

}  // namespace

struct SymbolSolver::Plan {
  Elimination e;
  std::vector<uint32_t> symbol_of_row;  // index into the received ones, kZero for constraints
  uint32_t inactive = 0;
  static constexpr uint32_t kZero = UINT32_MAX;
};

namespace {

// One run over one stripe of the symbols' bytes.
class StripeRun {
 public:
  StripeRun(const Elimination& e, std::span<const uint32_t> symbol_of_row,
            const Gf256Kernels& kernels, size_t stripe_bytes)
      : e_(e),
        symbol_of_row_(symbol_of_row),
        kernels_(kernels),
        pitch_(stripe_bytes),
        columns_(e.block.l * stripe_bytes) {}

  void Solve(std::span<const uint8_t* const> symbols, size_t offset, size_t bytes) {
    symbols_ = symbols;
    offset_ = offset;
    bytes_ = bytes;
    for (const Elimination::Pivot& p : e_.pivots) SumRow(p, /*solved_only=*/true);
    for (const Elimination::Pivot& p : e_.dense_rows) SumRow(p, /*solved_only=*/true);
    if (!e_.hdpc_rows.empty()) SumHdpcRows();
    RunSteps();
    for (const Elimination::Pivot& p : e_.pivots) SumRow(p, /*solved_only=*/false);
  }

  // The sum of columns that an encoding symbol is.
  void Encode(std::span<const uint32_t> columns, uint8_t* out) {
    sources_.clear();
    for (const uint32_t c : columns) sources_.push_back(Column(c));
    kernels_.sum(out, sources_.data(), sources_.size(), bytes_, true);
  }

 private:
  uint8_t* Column(uint32_t c) { return columns_.data() + c * pitch_; }

  void SumRow(const Elimination::Pivot& p, bool solved_only) {
    sources_.clear();
    const uint32_t symbol = symbol_of_row_[p.row];
    if (symbol < symbols_.size()) sources_.push_back(symbols_[symbol] + offset_);
    for (const uint32_t c : e_.rows.row(p.row)) {
      if (c == p.column || (solved_only && e_.inactive[c])) continue;
      sources_.push_back(Column(c));
    }
    kernels_.sum(Column(p.column), sources_.data(), sources_.size(), bytes_, true);
  }

  // G_HDPC = MT * GAMMA: prefixes over the columns, each added to two rows, the last to all.
  void SumHdpcRows() {
    const BlockParameters& b = e_.block;
    hdpc_.assign((b.h + 1) * pitch_, 0);
    uint8_t* const prefix = hdpc_.data() + b.h * pitch_;
    const uint8_t* const source = prefix;
    const uint32_t last = b.kp + b.s - 1;
    for (uint32_t c = 0; c <= last; ++c) {
      kernels_.double_add(prefix, e_.inactive[c] ? nullptr : Column(c), bytes_);
      if (c == last) break;
      const HdpcPair pair = HdpcRowsOf(b, c);
      kernels_.sum(hdpc_.data() + pair.first * pitch_, &source, 1, bytes_, false);
      kernels_.sum(hdpc_.data() + pair.second * pitch_, &source, 1, bytes_, false);
    }
    for (const Elimination::Pivot& p : e_.hdpc_rows) {
      uint8_t* const row = hdpc_.data() + p.row * pitch_;
      kernels_.multiply_add(row, prefix, Gf256Power(p.row), bytes_);
      std::memcpy(Column(p.column), row, bytes_);
    }
  }

  // Runs of plain sums into one row become one pass over it.
  void RunSteps() {
    for (size_t i = 0; i < e_.steps.size();) {
      const DenseStep& step = e_.steps[i];
      uint8_t* const into = Column(step.into);
      if (step.into == step.from) {
        kernels_.scale(into, step.factor, bytes_);
        ++i;
      } else if (step.factor != 1) {
        kernels_.multiply_add(into, Column(step.from), step.factor, bytes_);
        ++i;
      } else {
        sources_.clear();
        for (; i < e_.steps.size(); ++i) {
          const DenseStep& next = e_.steps[i];
          if (next.into != step.into || next.from == next.into || next.factor != 1) break;
          sources_.push_back(Column(next.from));
        }
        kernels_.sum(into, sources_.data(), sources_.size(), bytes_, false);
      }
    }
  }

  const Elimination& e_;
  const std::span<const uint32_t> symbol_of_row_;
  const Gf256Kernels& kernels_;
  const size_t pitch_;
  std::vector<uint8_t> columns_;
  std::vector<uint8_t> hdpc_;
  std::vector<const uint8_t*> sources_;
  std::span<const uint8_t* const> symbols_;
  size_t offset_ = 0;
  size_t bytes_ = 0;
};

}  // namespace

SymbolSolver::SymbolSolver(std::unique_ptr<const Plan> plan) : plan_(std::move(plan)) {}
SymbolSolver::~SymbolSolver() = default;
SymbolSolver::SymbolSolver(SymbolSolver&&) noexcept = default;
SymbolSolver& SymbolSolver::operator=(SymbolSolver&&) noexcept = default;

Result<SymbolSolver> SymbolSolver::Make(uint32_t source_symbols,
                                        std::span<const uint32_t> received) {
  ASSIGN_OR_RETURN(const BlockParameters block, ParametersOf(source_symbols));
  std::vector<uint32_t> sorted(received.begin(), received.end());
  std::sort(sorted.begin(), sorted.end());
  if (std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end())
    return InvalidArgument("an encoding symbol is given twice");
  if (!sorted.empty() && sorted.back() > kMaxEncodingSymbolId) {
    return InvalidArgument(
        StrCat("encoding symbol id ", sorted.back(), " is above ", kMaxEncodingSymbolId));
  }
  if (received.size() < block.k)
    return DataLoss(StrCat("have ", received.size(), " symbols of a block of ", block.k));
  auto plan = std::make_unique<Plan>();
  plan->symbol_of_row.assign(block.s, Plan::kZero);
  std::vector<uint32_t> ids;
  for (uint32_t id = block.k; id < block.kp; ++id) {
    ids.push_back(id);
    plan->symbol_of_row.push_back(Plan::kZero);
  }
  for (uint32_t i = 0; i < received.size(); ++i) {
    ids.push_back(InternalId(block, received[i]));
    plan->symbol_of_row.push_back(i);
  }
  ASSIGN_OR_RETURN(plan->e, Eliminate(block, ConstraintRows(block, ids)));
  plan->inactive =
      static_cast<uint32_t>(std::count(plan->e.inactive.begin(), plan->e.inactive.end(), true));
  return SymbolSolver(std::move(plan));
}

void SymbolSolver::Run(std::span<const uint8_t* const> symbols, size_t symbol_bytes,
                       std::span<const uint32_t> wanted, uint8_t* out,
                       const Gf256Kernels& kernels) const {
  const BlockParameters& block = plan_->e.block;
  std::vector<std::vector<uint32_t>> columns(wanted.size());
  for (size_t i = 0; i < wanted.size(); ++i)
    AppendLtColumns(block, InternalId(block, wanted[i]), &columns[i]);
  const size_t target = std::max(kMinStripeBytes, kStripeTargetBytes / block.l / 64 * 64);
  const size_t stripe = std::min(symbol_bytes, target);
  StripeRun run(plan_->e, plan_->symbol_of_row, kernels, stripe);
  for (size_t offset = 0; offset < symbol_bytes; offset += stripe) {
    const size_t bytes = std::min(stripe, symbol_bytes - offset);
    run.Solve(symbols, offset, bytes);
    for (size_t i = 0; i < wanted.size(); ++i)
      run.Encode(columns[i], out + i * symbol_bytes + offset);
  }
}

uint32_t SymbolSolver::inactive_columns() const { return plan_->inactive; }

Result<std::string> EncodeRepairSymbols(std::string_view block, size_t symbol_bytes,
                                        uint32_t count) {
  if (block.empty() || symbol_bytes == 0)
    return InvalidArgument("a block has at least one byte and symbols of at least one");
  const uint64_t symbols = (block.size() - 1) / symbol_bytes + 1;
  if (symbols > kMaxSourceSymbols || symbols + count > kMaxEncodingSymbolId) {
    return InvalidArgument(StrCat(symbols, " source and ", count,
                                  " repair symbols, the limits are ", kMaxSourceSymbols, " and ",
                                  kMaxEncodingSymbolId));
  }
  std::vector<uint32_t> source(symbols);
  std::vector<uint32_t> wanted(count);
  std::vector<const uint8_t*> pointers(symbols);
  const uint8_t* const data = AsBytes(block).data();
  for (uint32_t i = 0; i < symbols; ++i) {
    source[i] = i;
    pointers[i] = data + i * symbol_bytes;
  }
  std::vector<uint8_t> last(symbol_bytes);
  const size_t last_begin = (symbols - 1) * symbol_bytes;
  std::memcpy(last.data(), data + last_begin, block.size() - last_begin);
  pointers.back() = last.data();
  for (uint32_t i = 0; i < count; ++i) wanted[i] = static_cast<uint32_t>(symbols) + i;
  ASSIGN_OR_RETURN(const SymbolSolver solver,
                   SymbolSolver::Make(static_cast<uint32_t>(symbols), source));
  std::string out(count * symbol_bytes, '\0');
  solver.Run(pointers, symbol_bytes, wanted, reinterpret_cast<uint8_t*>(out.data()));
  return out;
}

}  // namespace megalith::durability
