#include "common/learning/embedding/row_map.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <map>
#include <numeric>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "common/foundation/base/rng.h"
#include "common/learning/embedding/hashing.h"

namespace megalith::embedding {
namespace {

constexpr size_t kPayload = 8;
constexpr uint32_t kSmallShard = 256;  // so that shards split all the time

uint64_t WordOf(const std::byte* row) {
  uint64_t word;
  std::memcpy(&word, row, sizeof(word));
  return word;
}

Status Set(RowMap& map, std::span<const Fid> fids, uint64_t word) {
  return map.Update(
      fids, [](size_t) { return RowMap::Missing::kInsert; },
      [&](size_t, std::byte* row, uint32_t& timestamp, bool) {
        timestamp = static_cast<uint32_t>(word) + 7;
        std::memcpy(row, &word, sizeof(word));
      },
      [](size_t) {});
}

// Calls on_row(i, row) with a copy of each row, null where there is none.
template <typename OnRow>
void Visit(const RowMap& map, std::span<const Fid> fids, OnRow&& on_row) {
  std::vector<uint64_t> copy(map.row_bytes() / 8);
  auto* row = reinterpret_cast<std::byte*>(copy.data());
  map.Visit(
      fids, map.row_bytes(), [&](size_t) { return row; },
      [&](size_t i, bool found, uint32_t) {
        on_row(i, found ? static_cast<const std::byte*>(row) : nullptr);
      });
}

std::map<Fid, uint64_t> Contents(RowMap& map) {
  std::map<Fid, uint64_t> out;
  EXPECT_TRUE(map.BeginSnapshot().ok());
  EXPECT_TRUE(map.ReadSnapshot([&](std::span<const RowMap::RowView> rows) {
                   for (const RowMap::RowView& row : rows) {
                     EXPECT_EQ(row.timestamp, WordOf(row.payload) + 7);
                     EXPECT_TRUE(out.emplace(row.fid, WordOf(row.payload)).second);
                   }
                   return OkStatus();
                 })
                  .ok());
  return out;
}

TEST(RowMapTest, BehavesAsAnOrdinaryMapUnderARandomHistory) {
  RowMap map(kPayload, UINT64_MAX, 1, kSmallShard);
  std::map<Fid, uint64_t> model;
  Rng rng(20261121);
  for (int round = 0; round < 3000; ++round) {
    std::vector<Fid> fids(rng.Below(100));
    for (Fid& fid : fids) fid = static_cast<Fid>(rng.Below(60000)) - 100;
    switch (rng.Below(4)) {
      case 0:
        for (const Fid fid : fids) EXPECT_EQ(map.Erase(fid), model.erase(fid) == 1);
        break;
      case 1:
        Visit(map, fids, [&](size_t i, const std::byte* row) {
          const auto found = model.find(fids[i]);
          ASSERT_EQ(row != nullptr, found != model.end());
          if (row != nullptr) {
            EXPECT_EQ(WordOf(row), found->second);
          }
        });
        break;
      default:
        EXPECT_TRUE(Set(map, fids, static_cast<uint64_t>(round)).ok());
        for (const Fid fid : fids) model[fid] = static_cast<uint64_t>(round);
    }
    ASSERT_EQ(map.rows(), model.size());
  }
  EXPECT_EQ(Contents(map), model);
}

TEST(RowMapTest, GrowsThroughManySplitsWithinItsMemoryBound) {
  RowMap map(128, UINT64_MAX, 2);
  std::vector<Fid> fids(1000);
  for (int batch = 0; batch < 700; ++batch) {
    for (size_t i = 0; i < fids.size(); ++i) fids[i] = static_cast<Fid>(batch * 1000 + i);
    ASSERT_TRUE(Set(map, fids, 1).ok());
  }
  ASSERT_EQ(map.rows(), 700000U);
  const double beyond = static_cast<double>(map.bytes()) / 700000 - 128;
  EXPECT_LE(beyond, 24.0);
  EXPECT_GT(map.load_factor(), 0.7);
}

TEST(RowMapTest, RoomReservedAheadHoldsTheSameRows) {
  RowMap map(kPayload, UINT64_MAX, 3);
  ASSERT_TRUE(map.Reserve(200000).ok());
  std::vector<Fid> fids(100000);
  for (size_t i = 0; i < fids.size(); ++i) fids[i] = static_cast<Fid>(i * 7919);
  ASSERT_TRUE(Set(map, fids, 5).ok());
  EXPECT_EQ(map.rows(), fids.size());
  EXPECT_EQ(Contents(map).size(), fids.size());
}

TEST(RowMapTest, MemoryOfErasedRowsIsUsedAgain) {
  RowMap map(kPayload, UINT64_MAX, 4, 4096);
  std::vector<Fid> fids(20000);
  uint64_t bytes = 0;
  for (int round = 0; round < 20; ++round) {
    for (size_t i = 0; i < fids.size(); ++i) fids[i] = static_cast<Fid>(round * 100000 + i);
    ASSERT_TRUE(Set(map, fids, 1).ok());
    if (round == 1) bytes = map.bytes();
    std::vector<Fid> dropped;
    map.EraseIf([](Fid, uint32_t) { return true; }, &dropped);
    ASSERT_EQ(dropped.size(), fids.size());
    ASSERT_EQ(map.rows(), 0U);
  }
  // Rows freed in one shard are not used by another, hence not exactly equal.
  EXPECT_LE(map.bytes(), bytes + bytes / 4);
}

TEST(RowMapTest, ClearGivesAnEmptyMapThatWorks) {
  RowMap map(kPayload, UINT64_MAX, 5);
  std::vector<Fid> fids(50000);
  for (size_t i = 0; i < fids.size(); ++i) fids[i] = static_cast<Fid>(i);
  ASSERT_TRUE(Set(map, fids, 1).ok());
  ASSERT_TRUE(map.Clear().ok());
  EXPECT_EQ(map.rows(), 0U);
  EXPECT_TRUE(Contents(map).empty());
  ASSERT_TRUE(Set(map, fids, 2).ok());
  EXPECT_EQ(Contents(map).size(), fids.size());
}

TEST(RowMapTest, RefusesNewRowsBeyondItsByteBudgetAndKeepsServingOldOnes) {
  RowMap map(kPayload, 4096, 6);
  std::vector<Fid> fids(1000);
  for (size_t i = 0; i < fids.size(); ++i) fids[i] = static_cast<Fid>(i);
  const Status status = Set(map, fids, 1);
  EXPECT_EQ(status.code(), Code::kResourceExhausted);
  EXPECT_NE(status.message().find("max_bytes of 4096"), std::string::npos) << status.message();
  EXPECT_LE(map.bytes(), 4096U);
  const uint64_t rows = map.rows();
  EXPECT_GT(rows, 100U);
  EXPECT_TRUE(Set(map, std::span(fids).first(rows / 2), 2).ok());
  ASSERT_TRUE(map.Erase(0));
  const Fid other = 123456;
  EXPECT_TRUE(Set(map, std::span(&other, 1), 3).ok());
}

// The y with odd * y = 1 modulo 2^64, by Newton's method: each step doubles the right bits.
constexpr uint64_t Inverse(uint64_t odd) {
  uint64_t y = odd;
  for (int i = 0; i < 5; ++i) y *= 2 - odd * y;
  return y;
}

// The fid that has hash `h` under seed 0: Mix run backwards.
Fid FidWithHash(uint64_t h) {
  h ^= h >> 31 ^ h >> 62;
  h *= Inverse(0x94D049BB133111EBu);
  h ^= h >> 27 ^ h >> 54;
  h *= Inverse(0xBF58476D1CE4E5B9u);
  h ^= h >> 30 ^ h >> 60;
  const uint64_t fid = h - 0x9E3779B97F4A7C15u;
  return static_cast<Fid>(fid);
}

TEST(RowMapTest, FidsChosenToCollideStillHaveRowsOfTheirOwn) {
  RowMap map(kPayload, UINT64_MAX, 0, kSmallShard);
  std::set<Fid> fids;
  // Equal leading bits, which choose the shard, and equal bits that choose the bucket.
  ASSERT_EQ(Mix(static_cast<uint64_t>(FidWithHash(12345))), 12345U);
  for (uint64_t i = 0; i < 500; ++i) fids.insert(FidWithHash((uint64_t{0xabc} << 52) | i << 32));
  for (uint64_t i = 0; i < 3000; ++i) fids.insert(FidWithHash((uint64_t{0xdef} << 52) | i << 14));
  const std::vector<Fid> list(fids.begin(), fids.end());
  ASSERT_TRUE(Set(map, list, 9).ok());
  EXPECT_EQ(map.rows(), list.size());
  Visit(map, list, [&](size_t i, const std::byte* row) {
    ASSERT_NE(row, nullptr) << list[i];
    EXPECT_EQ(WordOf(row), 9U);
  });
}

TEST(RowMapTest, ReservingMoreRowsThanAMapHoldsIsRefused) {
  RowMap map(kPayload, UINT64_MAX, 0);
  for (const uint64_t rows : {uint64_t{RowArena::kMaxRows} + 1, UINT64_MAX / 64, UINT64_MAX}) {
    EXPECT_EQ(map.Reserve(rows).code(), Code::kInvalidArgument) << rows;
  }
  // Room that is never used is address space, not memory.
  ASSERT_TRUE(map.Reserve(uint64_t{1} << 26).ok());
  const std::vector<Fid> fids{1, 2, 3};
  ASSERT_TRUE(Set(map, fids, 5).ok());
  EXPECT_EQ(map.rows(), 3U);
}

TEST(RowMapTest, ReservedRoomIsTakenBeforeTheMapGrows) {
  for (const uint64_t rows : {100, 5000}) {
    RowMap map(kPayload, UINT64_MAX, 0, kSmallShard);
    ASSERT_TRUE(map.Reserve(rows).ok());
    const uint64_t index_bytes = map.bytes();
    std::vector<Fid> fids(rows * 3 / 4);
    std::iota(fids.begin(), fids.end(), 0);
    ASSERT_TRUE(Set(map, fids, 1).ok());
    EXPECT_GE(index_bytes, rows * 16);
    EXPECT_LT(map.bytes() - index_bytes, 2 * fids.size() * map.row_bytes() + 64 * map.row_bytes());
  }
}

TEST(RowMapTest, ASnapshotIsOneMomentWhileWritersGoOn) {
  RowMap map(kPayload, UINT64_MAX, 7, kSmallShard);
  std::vector<Fid> fids(60000);
  for (size_t i = 0; i < fids.size(); ++i) fids[i] = static_cast<Fid>(i);
  ASSERT_TRUE(Set(map, fids, 1).ok());
  ASSERT_TRUE(map.BeginSnapshot().ok());
  EXPECT_EQ(map.BeginSnapshot().code(), Code::kFailedPrecondition);
  EXPECT_EQ(map.Clear().code(), Code::kFailedPrecondition);

  std::atomic<bool> stop{false};
  std::thread writer([&] {
    Rng rng(8);
    while (!stop) {
      std::vector<Fid> batch(64);
      for (Fid& fid : batch) fid = static_cast<Fid>(rng.Below(200000));
      (void)Set(map, batch, 2);
      for (int i = 0; i < 16; ++i) map.Erase(static_cast<Fid>(rng.Below(60000)));
    }
  });
  std::map<Fid, uint64_t> seen;
  ASSERT_TRUE(map.ReadSnapshot([&](std::span<const RowMap::RowView> rows) {
                   for (const RowMap::RowView& row : rows) {
                     EXPECT_EQ(row.timestamp, WordOf(row.payload) + 7);
                     EXPECT_TRUE(seen.emplace(row.fid, WordOf(row.payload)).second);
                   }
                   return OkStatus();
                 })
                  .ok());
  stop = true;
  writer.join();
  ASSERT_EQ(seen.size(), fids.size());
  for (const auto& [fid, word] : seen) {
    ASSERT_LT(fid, 60000);
    ASSERT_EQ(word, 1U);
  }
  // And the next one sees what the writer left.
  EXPECT_EQ(Contents(map).size(), map.rows());
}

TEST(RowMapTest, AFailedReaderEndsItsSnapshot) {
  RowMap map(kPayload, UINT64_MAX, 9);
  std::vector<Fid> fids(5000);
  for (size_t i = 0; i < fids.size(); ++i) fids[i] = static_cast<Fid>(i);
  ASSERT_TRUE(Set(map, fids, 1).ok());
  ASSERT_TRUE(map.BeginSnapshot().ok());
  const Status status = map.ReadSnapshot(
      [](std::span<const RowMap::RowView>) { return ResourceExhausted("no space left"); });
  EXPECT_EQ(status.code(), Code::kResourceExhausted);
  EXPECT_EQ(Contents(map).size(), fids.size());
}

TEST(RowMapTest, ManyThreadsNeverSeeHalfARow) {
  RowMap map(64, UINT64_MAX, 10, kSmallShard);
  std::atomic<int> torn{0};
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      Rng rng(t + 100);
      for (int round = 0; round < 300; ++round) {
        std::vector<Fid> fids(200);
        for (Fid& fid : fids) fid = static_cast<Fid>(rng.Below(40000));
        (void)map.Update(
            fids, [](size_t) { return RowMap::Missing::kInsert; },
            [&](size_t i, std::byte* row, uint32_t&, bool) {
              std::memset(row, static_cast<int>(i & 0x7f), 64);
            },
            [](size_t) {});
        Visit(map, fids, [&](size_t, const std::byte* row) {
          if (row == nullptr) return;
          if (std::any_of(row, row + 64, [&](std::byte b) { return b != row[0]; })) ++torn;
        });
        map.Erase(fids[0]);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(torn, 0);
}

}  // namespace
}  // namespace megalith::embedding
