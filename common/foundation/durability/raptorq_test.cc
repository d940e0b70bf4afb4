#include "common/foundation/durability/raptorq.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>

#include "common/foundation/base/rng.h"
#include "common/foundation/base/sha256.h"
#include "common/foundation/base/strings.h"
#include "common/foundation/durability/raptorq_parameters.h"

namespace megalith::durability {
namespace {

using Json = nlohmann::json;

std::string HexOf(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) {
    constexpr char kDigits[] = "0123456789abcdef";
    out += kDigits[static_cast<uint8_t>(c) >> 4];
    out += kDigits[static_cast<uint8_t>(c) & 15];
  }
  return out;
}

std::string RandomBytes(size_t n, Rng& rng) {
  std::string out(n, '\0');
  for (char& c : out) c = static_cast<char>(rng.Next());
  return out;
}

std::string Padded(std::string block, size_t symbol_bytes) {
  block.resize((block.size() + symbol_bytes - 1) / symbol_bytes * symbol_bytes);
  return block;
}

// Decodes `padded` of K symbols from the source symbols outside `lost` and from repair symbols.
Result<std::string> Recover(const std::string& padded, size_t t, const std::set<uint32_t>& lost,
                            const std::string& repair, uint32_t repair_count,
                            const Gf256Kernels& kernels = BestGf256Kernels()) {
  const auto k = static_cast<uint32_t>(padded.size() / t);
  std::vector<uint32_t> ids;
  std::vector<const uint8_t*> symbols;
  for (uint32_t i = 0; i < k + repair_count; ++i) {
    if (lost.contains(i)) continue;
    const std::string& from = i < k ? padded : repair;
    ids.push_back(i);
    symbols.push_back(reinterpret_cast<const uint8_t*>(from.data()) + (i < k ? i : i - k) * t);
  }
  ASSIGN_OR_RETURN(const SymbolSolver solver, SymbolSolver::Make(k, ids));
  const std::vector<uint32_t> wanted(lost.begin(), lost.end());
  std::string found(wanted.size() * t, '\0');
  solver.Run(symbols, t, wanted, reinterpret_cast<uint8_t*>(found.data()), kernels);
  std::string out = padded;
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i] < k) out.replace(wanted[i] * t, t, found, i * t, t);
  }
  return out;
}

class VectorTest : public ::testing::TestWithParam<size_t> {
 protected:
  static const Json& Cases() {
    static const Json cases = [] {
      std::ifstream in(MEGALITH_SOURCE_DIR "/conformance/fixtures/raptorq.json");
      return Json::parse(in)["cases"];
    }();
    return cases;
  }
};

std::string DataOf(const Json& c) {
  uint32_t x = c["lcg_seed"];
  std::string data(c["transfer_length"].get<size_t>(), '\0');
  for (char& b : data) {
    x = (1103515245u * x + 12345u) & 0x7fffffffu;
    b = static_cast<char>(x >> 16);
  }
  return data;
}

std::string Header(uint32_t block, uint32_t id) {
  return {static_cast<char>(block), static_cast<char>(id >> 16), static_cast<char>(id >> 8),
          static_cast<char>(id)};
}

TEST_P(VectorTest, PacketsAndDecodingEqualTheOracle) {
  const Json& c = Cases()[GetParam()];
  SCOPED_TRACE(c["name"].get<std::string>());
  const std::string data = DataOf(c);
  ASSERT_EQ(Sha256::Of(data).Hex(), c["data_sha256"].get<std::string>());
  const size_t t = c["symbol_size"];
  const uint32_t blocks = c["source_blocks"];
  const uint32_t repair_count = c["repair_per_block"];
  const std::string padded = Padded(data, t);
  const Partition partition = PartitionOf(static_cast<uint32_t>(padded.size() / t), blocks);
  std::string all;
  std::string repairs;
  std::map<std::pair<uint32_t, uint32_t>, std::string> packets;
  size_t at = 0;
  for (uint32_t b = 0; b < blocks; ++b) {
    const uint32_t k = b < partition.large_count ? partition.large_size : partition.small_size;
    ASSERT_EQ(k, c["source_symbols_per_block"][b].get<uint32_t>());
    const std::string block = padded.substr(at, k * t);
    at += k * t;
    const std::string repair = *EncodeRepairSymbols(block, t, repair_count);
    for (uint32_t i = 0; i < k + repair_count; ++i) {
      std::string packet =
          Header(b, i) + (i < k ? block.substr(i * t, t) : repair.substr((i - k) * t, t));
      all += packet;
      if (i < k) continue;
      repairs += packet;
      packets[{b, i}] = std::move(packet);
    }
    std::set<uint32_t> lost;
    for (uint32_t i = 0; i < k && lost.size() + 2 < std::max(repair_count, 3u); i += 3)
      lost.insert(i);
    const auto decoded = Recover(block, t, lost, repair, repair_count);
    ASSERT_TRUE(decoded.ok()) << decoded.status().ToString();
    EXPECT_TRUE(*decoded == block);
  }
  EXPECT_EQ(Sha256::Of(all).Hex(), c["all_packets_sha256"].get<std::string>());
  EXPECT_EQ(Sha256::Of(repairs).Hex(), c["repair_packets_sha256"].get<std::string>());
  for (const Json& p : c["repair_packets"]) {
    EXPECT_EQ(HexOf(packets[{p["sbn"], p["esi"]}]), p["packet_hex"].get<std::string>());
  }
}

INSTANTIATE_TEST_SUITE_P(Fixtures, VectorTest, ::testing::Range<size_t>(0, 10));

// All rows up to 8000 symbols, and every 25th above: the whole table takes a minute unoptimised.
TEST(RaptorQTest, RowsOfTheTableMakeSolvableBlocks) {
  for (uint32_t i = 0; i < kSystematicIndexCount;
       i += kSystematicIndices[i].padded_symbols < 8000 ? 1 : 25) {
    const uint32_t k = kSystematicIndices[i].padded_symbols;
    std::vector<uint32_t> ids(k);
    std::iota(ids.begin(), ids.end(), 0u);
    const auto solver = SymbolSolver::Make(k, ids);
    ASSERT_TRUE(solver.ok()) << k << ": " << solver.status().ToString();
  }
}

TEST(RaptorQTest, RandomLossesAreRecoveredOnAllInstructionSets) {
  const uint64_t seed = 20260307;
  Rng rng(seed);
  for (int round = 0; round < 120; ++round) {
    const uint32_t k = 1 + static_cast<uint32_t>(rng.Below(round < 80 ? 60 : 900));
    const size_t t = 1 + rng.Below(300);
    const std::string block = RandomBytes(k * t, rng);
    const auto repair_count = static_cast<uint32_t>(4 + rng.Below(k / 2 + 4));
    const std::string repair = *EncodeRepairSymbols(block, t, repair_count);
    std::set<uint32_t> lost;
    const uint64_t losses = rng.Below(repair_count - 2);
    while (lost.size() < losses) lost.insert(static_cast<uint32_t>(rng.Below(k + repair_count)));
    for (const Gf256Kernels* kernels : AllGf256Kernels()) {
      const auto decoded = Recover(block, t, lost, repair, repair_count, *kernels);
      ASSERT_TRUE(decoded.ok()) << "seed " << seed << " round " << round;
      ASSERT_TRUE(*decoded == block) << kernels->name << " seed " << seed << " round " << round;
    }
  }
}

// RFC 6330 promises failure rates of about 1e-2, 1e-4 and 1e-6 with 0, 1 and 2 symbols more than K.
TEST(RaptorQTest, TwoSymbolsMoreThanKPracticallyAlwaysSuffice) {
  Rng rng(7);
  int failed_without_more = 0;
  for (int round = 0; round < 400; ++round) {
    const uint32_t k = 10 + static_cast<uint32_t>(rng.Below(50));
    std::set<uint32_t> ids;
    while (ids.size() < k + 2) ids.insert(static_cast<uint32_t>(rng.Below(3 * k)));
    std::vector<uint32_t> received(ids.begin(), ids.end());
    EXPECT_TRUE(SymbolSolver::Make(k, received).ok()) << round;
    received.resize(k);
    if (!SymbolSolver::Make(k, received).ok()) ++failed_without_more;
  }
  EXPECT_LT(failed_without_more, 20);
}

TEST(RaptorQTest, RepairSymbolsAloneGiveTheBlock) {
  Rng rng(3);
  for (const uint32_t k : {1u, 2u, 9u, 10u, 11u, 100u, 1003u}) {
    const std::string block = RandomBytes(k * 24, rng);
    const uint32_t repair_count = k + 3;
    const std::string repair = *EncodeRepairSymbols(block, 24, repair_count);
    std::set<uint32_t> lost;
    for (uint32_t i = 0; i < k; ++i) lost.insert(i);
    EXPECT_TRUE(*Recover(block, 24, lost, repair, repair_count) == block) << k;
  }
}

TEST(RaptorQTest, SeveralMegabytesAreRecovered) {
  Rng rng(5);
  const size_t t = 4096;
  const std::string block = Padded(RandomBytes(5'000'001, rng), t);
  const auto k = static_cast<uint32_t>(block.size() / t);
  const uint32_t repair_count = k / 10;
  const std::string repair = *EncodeRepairSymbols(block, t, repair_count);
  std::set<uint32_t> lost;
  while (lost.size() < repair_count - 2) lost.insert(static_cast<uint32_t>(rng.Below(k)));
  EXPECT_TRUE(*Recover(block, t, lost, repair, repair_count) == block);
}

TEST(RaptorQTest, TooFewSymbolsAreDataLoss) {
  const std::vector<uint32_t> ids = {0, 1, 2, 5};
  EXPECT_EQ(SymbolSolver::Make(5, ids).status().code(), Code::kDataLoss);
  EXPECT_EQ(SymbolSolver::Make(5, {}).status().code(), Code::kDataLoss);
}

TEST(RaptorQTest, ImpossibleBlocksAreRefused) {
  EXPECT_EQ(SymbolSolver::Make(0, {}).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(SymbolSolver::Make(kMaxSourceSymbols + 1, {}).status().code(), Code::kInvalidArgument);
  const std::vector<uint32_t> twice = {1, 1};
  EXPECT_EQ(SymbolSolver::Make(1, twice).status().code(), Code::kInvalidArgument);
  const std::vector<uint32_t> large = {1u << 24};
  EXPECT_EQ(SymbolSolver::Make(1, large).status().code(), Code::kInvalidArgument);
  EXPECT_FALSE(EncodeRepairSymbols("", 8, 1).ok());
  EXPECT_FALSE(EncodeRepairSymbols("x", 0, 1).ok());
  EXPECT_FALSE(EncodeRepairSymbols(std::string(kMaxSourceSymbols + 1, 'x'), 1, 1).ok());
}

TEST(Gf256Test, EveryKernelEqualsPlainArithmetic) {
  Rng rng(11);
  for (const Gf256Kernels* kernels : AllGf256Kernels()) {
    for (const size_t n : {0u, 1u, 7u, 8u, 15u, 16u, 31u, 33u, 64u, 127u, 128u, 129u, 300u}) {
      const std::string a = RandomBytes(n, rng);
      const std::string b = RandomBytes(n, rng);
      const std::string c = RandomBytes(n, rng);
      for (const uint32_t factor : {0u, 1u, 2u, 3u, 0x1du, 0x80u, 0xffu}) {
        const auto f = static_cast<uint8_t>(factor);
        std::string added = a;
        std::string scaled = a;
        std::string doubled = a;
        std::string summed = a;
        std::string fresh = a;
        const auto bytes = [](std::string& s) { return reinterpret_cast<uint8_t*>(s.data()); };
        const auto* const bp = reinterpret_cast<const uint8_t*>(b.data());
        const uint8_t* const sources[] = {bp, reinterpret_cast<const uint8_t*>(c.data())};
        kernels->multiply_add(bytes(added), bp, f, n);
        kernels->scale(bytes(scaled), f, n);
        kernels->double_add(bytes(doubled), bp, n);
        kernels->sum(bytes(summed), sources, 2, n, false);
        kernels->sum(bytes(fresh), sources, 2, n, true);
        for (size_t i = 0; i < n; ++i) {
          const auto x = static_cast<uint8_t>(a[i]);
          const auto y = static_cast<uint8_t>(b[i]);
          const auto z = static_cast<uint8_t>(c[i]);
          ASSERT_EQ(static_cast<uint8_t>(added[i]), x ^ Gf256Multiply(f, y)) << kernels->name;
          ASSERT_EQ(static_cast<uint8_t>(scaled[i]), Gf256Multiply(f, x)) << kernels->name;
          ASSERT_EQ(static_cast<uint8_t>(doubled[i]), Gf256Multiply(2, x) ^ y) << kernels->name;
          ASSERT_EQ(static_cast<uint8_t>(summed[i]), x ^ y ^ z) << kernels->name;
          ASSERT_EQ(static_cast<uint8_t>(fresh[i]), y ^ z) << kernels->name;
        }
      }
    }
  }
}

}  // namespace
}  // namespace megalith::durability
