// Clients of dense variables, barriers and queues against real services.
#include "common/fleet/stubs/variable_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "common/fleet/stubs/coordination_client.h"
#include "common/foundation/base/strings.h"
#include "services/parameter_server/table_service.h"
#include "tests/support/service_host.h"

namespace megalith::services {
namespace {

using std::chrono::milliseconds;
using stubs::CoordinationClient;
using stubs::VariableClient;
using stubs::VariableGradient;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const Cancellation kForever;
constexpr milliseconds kLong{60'000};

class VariableClientTest : public ::testing::Test {
 protected:
  static constexpr int kServers = 3;

  VariableClientTest() {
    for (testing::ServiceHost& host : hosts_) {
      host.Start([](ServiceContext& context) { return MakeParameterServer({}, context); });
    }
  }
  std::unique_ptr<VariableClient> Client(int servers = kServers) {
    std::vector<std::shared_ptr<rpc::Channel>> channels;
    for (int i = 0; i < servers; ++i) channels.push_back(hosts_[i].channel());
    return *VariableClient::Make(std::move(channels), {});
  }
  static stubs::VariableSpec Sgd(std::vector<int64_t> shape) {
    return {.shape = std::move(shape),
            .optimizer = {.name = "sgd", .fields = {{"learning_rate", 1}}, .base = {}}};
  }

  testing::ServiceHost hosts_[kServers];
};

TEST_F(VariableClientTest, RowsAreDividedAndComeBackInOrder) {
  const auto client = Client();
  std::vector<float> values;
  for (int i = 0; i < 8; ++i) values.push_back(static_cast<float>(i));
  ASSERT_TRUE(client->Create("w", Sgd({4, 2}), values, kForever).ok());
  ASSERT_TRUE(client->Create("scalar", Sgd({}), {}, kForever).ok());
  EXPECT_EQ(*client->Read("w", kForever), values);
  EXPECT_EQ(*client->Shape("w", kForever), (std::vector<int64_t>{4, 2}));

  // Another client learns what there is from the servers.
  const auto other = Client();
  const std::vector<float> ones(8, 1);
  const std::vector<float> one(1, 1);
  const VariableGradient gradients[] = {{.name = "w", .values = ones, .learning_rate = {}},
                                        {.name = "scalar", .values = one, .learning_rate = 3.0F}};
  embedding::UpdateTicket ticket;
  embedding::ApplyOptions options;
  options.ticket = &ticket;
  ASSERT_TRUE(other->Apply(gradients, options, kForever).ok());
  // The same update again: nobody takes it twice.
  ASSERT_TRUE(other->Apply(gradients, options, kForever).ok());
  EXPECT_THAT(*client->Read("w", kForever), ElementsAre(-1, 0, 1, 2, 3, 4, 5, 6));
  EXPECT_THAT(*client->Read("scalar", kForever), ElementsAre(-3));
  ASSERT_TRUE(client->Assign("w", ones, kForever).ok());
  EXPECT_THAT(*other->Read("w", kForever), Each(1));
}

TEST_F(VariableClientTest, WhatDoesNotFitIsRefusedBeforeAnythingChanges) {
  const auto client = Client();
  const std::vector<float> three(3, 1);
  EXPECT_EQ(client->Create("w", Sgd({2, -1}), {}, kForever).code(), Code::kInvalidArgument);
  EXPECT_EQ(client->Create("w", Sgd({2}), three, kForever).code(), Code::kInvalidArgument);
  EXPECT_EQ(client->Create("w", Sgd({1, int64_t{1} << 40, int64_t{1} << 40}), {}, kForever).code(),
            Code::kInvalidArgument);
  ASSERT_TRUE(client->Create("w", Sgd({2}), {}, kForever).ok());
  EXPECT_EQ(client->Create("w", Sgd({3}), {}, kForever).code(), Code::kAlreadyExists);
  EXPECT_EQ(client->Assign("w", three, kForever).code(), Code::kInvalidArgument);
  const VariableGradient gradient{.name = "w", .values = three, .learning_rate = {}};
  EXPECT_EQ(client->Apply({&gradient, 1}, {}, kForever).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(client->Read("v", kForever).status().code(), Code::kNotFound);
  EXPECT_THAT(*client->Read("w", kForever), ElementsAre(0, 0));
  // Fewer servers than made it.
  ASSERT_TRUE(client->Create("divided", Sgd({5}), {}, kForever).ok());
  const auto fewer = Client(2);
  EXPECT_EQ(fewer->Read("divided", kForever).status().code(), Code::kFailedPrecondition);
  EXPECT_FALSE(VariableClient::Make({}, {}).ok());
}

TEST_F(VariableClientTest, AVariableThatWasMadeAnewIsLearntAnew) {
  const auto client = Client();
  const auto other = Client();
  ASSERT_TRUE(client->Create("w", Sgd({2}), {}, kForever).ok());
  ASSERT_TRUE(other->Read("w", kForever).ok());
  ASSERT_TRUE(client->Drop("w", kForever).ok());
  EXPECT_EQ(client->Drop("w", kForever).code(), Code::kNotFound);
  ASSERT_TRUE(client->Create("w", Sgd({6}), {}, kForever).ok());
  EXPECT_FALSE(other->Read("w", kForever).ok());
  EXPECT_EQ(other->Read("w", kForever)->size(), 6u);
}

TEST_F(VariableClientTest, TrainersMeetRoundAfterRoundAndPassItemsOn) {
  std::vector<std::thread> trainers;
  std::atomic<int> arrived{0};
  for (int t = 0; t < 4; ++t) {
    trainers.emplace_back([&] {
      CoordinationClient client(hosts_[0].channel(), {});
      for (int round = 1; round <= 5; ++round) {
        ++arrived;
        const Status met = client.Barrier("step", 4, kLong, kForever);
        EXPECT_TRUE(met.ok()) << met.ToString();
        EXPECT_GE(arrived, 4 * round);
      }
    });
  }
  for (std::thread& t : trainers) t.join();

  CoordinationClient producer(hosts_[0].channel(), {});
  CoordinationClient consumer(hosts_[0].channel(), {});
  std::thread items([&] {
    for (int i = 0; i < 5; ++i) {
      EXPECT_TRUE(producer.Push("q", 2, StrCat("item ", i), kLong, kForever).ok());
    }
    EXPECT_TRUE(producer.CloseQueue("q", kForever).ok());
  });
  for (int i = 0; i < 5; ++i) EXPECT_EQ(*consumer.Pop("q", kLong, kForever), StrCat("item ", i));
  items.join();
  EXPECT_EQ(consumer.Pop("q", kLong, kForever).status().code(), Code::kOutOfRange);
  EXPECT_TRUE(consumer.Remove("q", kForever).ok());
}

TEST_F(VariableClientTest, WaitingEndsAtItsDeadlineAndGoesOnInTheSameRound) {
  CoordinationClient one(hosts_[0].channel(), {.attempt_timeout = milliseconds(20)});
  const Status alone = one.Barrier("step", 2, milliseconds(100), kForever);
  EXPECT_EQ(alone.code(), Code::kDeadlineExceeded);
  CoordinationClient two(hosts_[0].channel(), {});
  std::thread second([&] { EXPECT_TRUE(two.Barrier("step", 2, kLong, kForever).ok()); });
  EXPECT_TRUE(one.Barrier("step", 2, kLong, kForever).ok());
  second.join();
  EXPECT_EQ(one.Pop("q", milliseconds(50), kForever).status().code(), Code::kDeadlineExceeded);
  ASSERT_TRUE(two.Push("q", 1, "for the same call", kLong, kForever).ok());
  EXPECT_EQ(*one.Pop("q", kLong, kForever), "for the same call");
  // Full: the item is not in, and the next one is another.
  ASSERT_TRUE(two.Push("full", 1, "first", kLong, kForever).ok());
  EXPECT_EQ(two.Push("full", 1, "second", milliseconds(50), kForever).code(),
            Code::kDeadlineExceeded);
  EXPECT_EQ(*one.Pop("full", kLong, kForever), "first");
  Cancellation cancelled;
  cancelled.Cancel();
  EXPECT_EQ(one.Pop("q", kLong, cancelled).status().code(), Code::kCancelled);
}

}  // namespace
}  // namespace megalith::services
