#include "tests/support/service_host.h"

#include <grpcpp/channel.h>
#include <gtest/gtest.h>

#include "services/common/info_service.h"

namespace megalith::testing {

ServiceHost::ServiceHost() { config_.listen.clear(); }
ServiceHost::~ServiceHost() { Stop(); }

void ServiceHost::Start(
    const std::function<Result<services::ServiceList>(services::ServiceContext&)>& make) {
  Stop();
  process_ =
      std::make_unique<rpc::Process>(config_, metrics_, discovery_, RealFileSystem(), RealClock());
  auto ledger = ledger::Ledger::Open(
      {.directory = JoinPath(directory_.path(), "ledger"), .service = "test"}, metrics_);
  ASSERT_TRUE(ledger.ok()) << ledger.status().ToString();
  ledger_ = *std::move(ledger);
  context_ = std::make_unique<services::ServiceContext>(services::ServiceContext{
      .process = *process_, .ledger = *ledger_, .data_directory = directory_.path()});
  auto list = make(*context_);
  ASSERT_TRUE(list.ok()) << list.status().ToString();
  services::AddCommonServices("test", *context_, &*list);
  auto server = rpc::Server::Start(rpc::ServerOptionsOf(config_), *std::move(list), metrics_);
  ASSERT_TRUE(server.ok()) << server.status().ToString();
  server_ = *std::move(server);
  ASSERT_TRUE(process_->BindLocal(*server_, /*through_socket=*/false).ok());
  channel_ = rpc::Channel::Wrap(server_->InProcessChannel(), {});
}

void ServiceHost::Stop() {
  channel_ = nullptr;
  server_ = nullptr;
  context_ = nullptr;
  ledger_ = nullptr;
  process_ = nullptr;
}

}  // namespace megalith::testing
