// What tests of the ZooKeeper layer share: a server of the test's own, and clients of it.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "common/fleet/discovery/zookeeper/client.h"
#include "tests/support/zookeeper_server.h"

namespace megalith::testing {

// Waits for something that other threads bring about; fails the test if it takes a minute.
inline void Eventually(const std::function<bool()>& condition) {
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!condition()) {
    ASSERT_LT(std::chrono::steady_clock::now(), limit) << "the condition did not come true";
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

class ZooKeeperTest : public ::testing::Test {
 protected:
  std::unique_ptr<discovery::ZkClient> Connect(discovery::ZkOptions options = {}) {
    if (options.servers.empty()) options.servers = server_.address();
    auto client = *discovery::ZkClient::Open(options);
    EXPECT_TRUE(client->WaitConnected(std::chrono::seconds(60)).ok());
    return client;
  }
  ZooKeeperServer server_;
};

}  // namespace megalith::testing
