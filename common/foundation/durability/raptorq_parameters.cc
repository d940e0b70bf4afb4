#include "common/foundation/durability/raptorq_parameters.h"

#include <algorithm>
#include <iterator>

#include "common/foundation/base/strings.h"

namespace megalith::durability {
namespace {

// Section 5.3.5.2: degree d is drawn if f[d-1] <= v < f[d].
constexpr uint32_t kDegreeTable[] = {0,       5243,    529531,  704294,  791675,  844104,  879057,
                                     904023,  922747,  937311,  948962,  958494,  966438,  973160,
                                     978921,  983914,  988283,  992138,  995565,  998631,  1001391,
                                     1003887, 1006157, 1008229, 1010129, 1011876, 1013490, 1014983,
                                     1016370, 1017662, 1048576};

uint32_t DegreeOf(uint32_t v, uint32_t lt_columns) {
  const auto* const at = std::upper_bound(std::begin(kDegreeTable), std::end(kDegreeTable), v);
  return std::min(static_cast<uint32_t>(at - std::begin(kDegreeTable)), lt_columns - 2);
}

bool IsPrime(uint32_t n) {
  if (n < 2) return false;
  for (uint32_t d = 2; d * d <= n; ++d) {
    if (n % d == 0) return false;
  }
  return true;
}

}  // namespace

Result<BlockParameters> ParametersOf(uint32_t source_symbols) {
  if (source_symbols == 0 || source_symbols > kMaxSourceSymbols) {
    return InvalidArgument(StrCat("a source block has 1 to ", kMaxSourceSymbols,
                                  " symbols, asked for were ", source_symbols));
  }
  const SystematicIndex* const row =
      std::lower_bound(std::begin(kSystematicIndices), std::end(kSystematicIndices), source_symbols,
                       [](const SystematicIndex& a, uint32_t k) { return a.padded_symbols < k; });
  BlockParameters block{.k = source_symbols,
                        .kp = row->padded_symbols,
                        .j = row->systematic,
                        .s = row->ldpc_rows,
                        .h = row->hdpc_rows,
                        .w = row->lt_columns};
  block.l = block.kp + block.s + block.h;
  block.p = block.l - block.w;
  block.b = block.w - block.s;
  block.p1 = block.p;
  while (!IsPrime(block.p1)) ++block.p1;
  return block;
}

uint32_t RandomOf(uint32_t y, uint32_t i, uint32_t m) {
  return (kRandomTables[0][(y + i) & 255] ^ kRandomTables[1][((y >> 8) + i) & 255] ^
          kRandomTables[2][((y >> 16) + i) & 255] ^ kRandomTables[3][((y >> 24) + i) & 255]) %
         m;
}

void AppendLtColumns(const BlockParameters& block, uint32_t internal_id,
                     std::vector<uint32_t>* columns) {
  // Tuple[K', X] of section 5.3.5.4.
  const uint32_t a_odd = (53591 + block.j * 997) | 1;
  const uint32_t y = 10267 * (block.j + 1) + internal_id * a_odd;
  const uint32_t degree = DegreeOf(RandomOf(y, 0, 1u << 20), block.w);
  const uint32_t a = 1 + RandomOf(y, 1, block.w - 1);
  uint32_t b = RandomOf(y, 2, block.w);
  const uint32_t degree1 = degree < 4 ? 2 + RandomOf(internal_id, 3, 2) : 2;
  const uint32_t a1 = 1 + RandomOf(internal_id, 4, block.p1 - 1);
  uint32_t b1 = RandomOf(internal_id, 5, block.p1);
  for (uint32_t i = 0; i < degree; ++i) {
    columns->push_back(b);
    b = (b + a) % block.w;
  }
  for (uint32_t i = 0; i < degree1; ++i) {
    while (b1 >= block.p) b1 = (b1 + a1) % block.p1;
    columns->push_back(block.w + b1);
    b1 = (b1 + a1) % block.p1;
  }
}

Partition PartitionOf(uint32_t things, uint32_t groups) {
  Partition out;
  out.small_size = things / groups;
  out.large_size = (things + groups - 1) / groups;
  out.large_count = things - out.small_size * groups;
  out.small_count = groups - out.large_count;
  return out;
}

}  // namespace megalith::durability
