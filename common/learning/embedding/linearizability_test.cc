// Histories of operations from many threads are each equivalent to some sequential history.
//
// Rows do not depend on each other, so a history is sequential if that of every fid is. Per fid,
// operations are recorded with the moments between which they ran; a search (Wing and Gong,
// "Testing and verifying concurrent objects", 1993) looks for an order that respects those moments
// and in which a plain model gives every answer that was observed.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <optional>
#include <set>
#include <thread>
#include <vector>

#include "common/foundation/base/rng.h"
#include "common/learning/embedding/cold/testing/memory_cold_store.h"
#include "common/learning/embedding/table.h"

namespace megalith::embedding {
namespace {

enum class Kind { kLookup, kAssign, kAdd, kStep, kErase, kReinitialize };

struct Operation {
  Kind kind;
  float argument = 0;
  std::optional<float> observed;  // lookup: the value, none for no row
  int64_t count = 0;              // erase and reinitialize: rows that were there
  uint64_t begin = 0, end = 0;
};

// One weight that starts at 1 and steps by plain descent with rate 1. Small integers, so exact.
using Model = std::optional<float>;

// Moves `state` on by `op`; false if `op` could not have been answered so.
bool Apply(const Operation& op, Model& state) {
  const int64_t rows = state.has_value() ? 1 : 0;
  switch (op.kind) {
    case Kind::kLookup:
      return state == op.observed;
    case Kind::kAssign:
      state = op.argument;
      return true;
    case Kind::kAdd:
      state = state.value_or(1) + op.argument;
      return true;
    case Kind::kStep:
      state = state.value_or(1) - op.argument;
      return true;
    case Kind::kErase:
      state.reset();
      return rows == op.count;
    case Kind::kReinitialize:
      state = 1.0F;
      return rows == op.count;
  }
  return false;
}

class Search {
 public:
  explicit Search(std::vector<Operation> operations) : ops_(std::move(operations)) {
    std::sort(ops_.begin(), ops_.end(),
              [](const Operation& a, const Operation& b) { return a.begin < b.begin; });
  }
  bool Sequential() { return From(0, {}, Model()); }

 private:
  // Operations before `first` are done, and those in `done`; the next may be any that began before
  // the earliest end of what is left.
  bool From(size_t first, std::set<size_t> done, Model state) {
    while (first < ops_.size() && done.erase(first) == 1) ++first;
    if (first == ops_.size()) return true;
    if (!seen_.insert({first, done, state.value_or(-1e30F)}).second) return false;
    uint64_t horizon = UINT64_MAX;
    for (size_t i = first; i < ops_.size() && ops_[i].begin <= horizon; ++i) {
      if (!done.contains(i)) horizon = std::min(horizon, ops_[i].end);
    }
    for (size_t i = first; i < ops_.size() && ops_[i].begin <= horizon; ++i) {
      if (done.contains(i)) continue;
      Model next = state;
      if (!Apply(ops_[i], next)) continue;
      std::set<size_t> with = done;
      with.insert(i);
      if (From(first, std::move(with), next)) return true;
    }
    return false;
  }

  std::vector<Operation> ops_;
  std::set<std::tuple<size_t, std::set<size_t>, float>> seen_;
};

// With a store of cold rows, at most a few rows are in memory.
std::unique_ptr<Table> MakeTable(MemoryColdStore::Control* cold) {
  TableConfig config;
  if (cold != nullptr) config.cold_tier = {.directory = "t", .memory_budget_bytes = 240};
  Table::Options options;
  if (cold != nullptr) options.open_cold_store = MemoryColdStore::Opener(*cold);
  config.segments = {{.dim = 1}};
  config.segments[0].initializer.name = "ones";
  auto table = Table::Make(config, std::move(options));
  EXPECT_TRUE(table.ok());
  return *std::move(table);
}

class Client {
 public:
  Client(Table& table, std::atomic<uint64_t>& clock, uint64_t seed)
      : table_(table), clock_(clock), rng_(seed) {}

  void Run(int operations, uint64_t fids) {
    for (int i = 0; i < operations; ++i) {
      const auto fid = static_cast<Fid>(rng_.Below(fids));
      Operation op{.kind = static_cast<Kind>(rng_.Below(6)),
                   .argument = static_cast<float>(rng_.Below(5)) - 2,
                   .observed = {}};
      op.begin = clock_.fetch_add(1);
      Do(fid, op);
      op.end = clock_.fetch_add(1);
      history[fid].push_back(op);
    }
  }
  std::map<Fid, std::vector<Operation>> history;

 private:
  void Do(Fid fid, Operation& op) {
    const std::span<const Fid> one(&fid, 1);
    const std::span<const float> argument(&op.argument, 1);
    const float rate = 1;
    switch (op.kind) {
      case Kind::kLookup: {
        float value = 0;
        const auto hits = table_.Lookup(one, std::span(&value, 1));
        if (*hits == 1) op.observed = value;
        break;
      }
      case Kind::kAssign:
        ASSERT_TRUE(table_.Assign(one, argument, 0).ok());
        break;
      case Kind::kAdd:
        ASSERT_TRUE(table_.AssignAdd(one, argument, 0).ok());
        break;
      case Kind::kStep:
        ASSERT_TRUE(table_
                        .Optimize({.fids = one,
                                   .values = argument,
                                   .learning_rates = std::span(&rate, 1),
                                   .snapshots = {}})
                        .ok());
        break;
      case Kind::kErase:
        op.count = table_.Erase(one);
        break;
      case Kind::kReinitialize:
        op.count = table_.Reinitialize(one, 0).value()[0];
        break;
    }
  }

  Table& table_;
  std::atomic<uint64_t>& clock_;
  Rng rng_;
};

void CheckHistories(bool with_cold_tier) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    MemoryColdStore::Control cold;
    const auto table = MakeTable(with_cold_tier ? &cold : nullptr);
    std::atomic<uint64_t> clock{0};
    std::vector<Client> clients;
    for (uint64_t t = 0; t < 4; ++t) clients.emplace_back(*table, clock, seed * 100 + t);
    {
      std::vector<std::jthread> threads;
      for (Client& client : clients) threads.emplace_back([&] { client.Run(300, 12); });
    }
    std::map<Fid, std::vector<Operation>> history;
    for (const Client& client : clients) {
      for (const auto& [fid, operations] : client.history) {
        auto& all = history[fid];
        all.insert(all.end(), operations.begin(), operations.end());
      }
    }
    for (auto& [fid, operations] : history) {
      ASSERT_TRUE(Search(std::move(operations)).Sequential()) << "seed " << seed << " fid " << fid;
    }
    if (with_cold_tier) {
      EXPECT_GT(table->Stats().cold->promotions, 0u);
    }
  }
}

TEST(LinearizabilityTest, HistoriesOfManyThreadsAreSequentialForSomeOrder) {
  CheckHistories(false);
}

TEST(LinearizabilityTest, SoAreHistoriesOfATableWhoseRowsAreMostlyOnDisk) { CheckHistories(true); }

// The search itself: a history that no order explains is told from one that some order does.
TEST(LinearizabilityTest, TheSearchTellsLostUpdates) {
  const auto add = [](uint64_t begin, uint64_t end) {
    return Operation{.kind = Kind::kAdd, .argument = 1, .observed = {}, .begin = begin, .end = end};
  };
  const auto read = [](float value, uint64_t begin, uint64_t end) {
    return Operation{.kind = Kind::kLookup, .observed = value, .begin = begin, .end = end};
  };
  EXPECT_TRUE(Search({add(0, 3), add(1, 2), read(3, 4, 5)}).Sequential());
  EXPECT_TRUE(Search({add(0, 3), read(2, 1, 2), add(4, 5), read(3, 6, 7)}).Sequential());
  EXPECT_FALSE(Search({add(0, 3), add(1, 2), read(2, 4, 5)}).Sequential());
  EXPECT_FALSE(Search({read(2, 0, 1), add(2, 3)}).Sequential());
}

}  // namespace
}  // namespace megalith::embedding
