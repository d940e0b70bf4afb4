// RaptorQ (RFC 6330): any K of a block's encoding symbols, or one or two more, give all the others.
//
// The code is systematic: symbols 0..K-1 are the data itself, K and above are repair symbols. One
// sub-block per block; blocks of an object are split as PartitionOf says.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "common/foundation/base/status.h"
#include "common/foundation/durability/gf256.h"

namespace megalith::durability {

// How some symbols of a block follow from others: the linear system of section 5.4.2.2 solved by
// inactivation decoding, once for all bytes. Immutable after Make; thread-safe.
//
// Cost for K symbols: Make about K * 10 small steps and a dense elimination of about
// sqrt(K) * 2 columns; Run about 20 sums of a symbol per source symbol. Run's memory is one stripe
// of one or two megabytes.
class SymbolSolver {
 public:
  // `received` are encoding symbol ids without repetition, in any order.
  // Errors: kInvalidArgument  bad count or id, an id twice; kDataLoss  they do not determine the
  //   block: fewer than K, or (rarely, if they are just K) dependent.
  static Result<SymbolSolver> Make(uint32_t source_symbols, std::span<const uint32_t> received);
  ~SymbolSolver();
  SymbolSolver(SymbolSolver&&) noexcept;
  SymbolSolver& operator=(SymbolSolver&&) noexcept;

  // Computes the symbols `wanted` (any ids) of a block. `symbols` are the received ones in the
  // order given to Make, `symbol_bytes` each; `out` gets wanted.size() * symbol_bytes bytes and may
  // overlap none of them.
  void Run(std::span<const uint8_t* const> symbols, size_t symbol_bytes,
           std::span<const uint32_t> wanted, uint8_t* out,
           const Gf256Kernels& kernels = BestGf256Kernels()) const;

  // Columns of the dense part; for tests and benchmarks.
  uint32_t inactive_columns() const;

 private:
  struct Plan;
  explicit SymbolSolver(std::unique_ptr<const Plan> plan);
  std::unique_ptr<const Plan> plan_;
};

// The repair symbols K, K+1, ... of a block, `count` of them, one after the other. A last source
// symbol that is not full counts as padded with zeros.
// Errors: kInvalidArgument  no data, symbol_bytes 0, too many symbols.
Result<std::string> EncodeRepairSymbols(std::string_view block, size_t symbol_bytes,
                                        uint32_t count);

}  // namespace megalith::durability
