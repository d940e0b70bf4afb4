#include "services/parameter_server/serving/sync_role.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "common/foundation/base/strings.h"
#include "common/learning/sync/testing/fake_fleet.h"
#include "tests/support/service_host.h"

namespace megalith::services {
namespace {

using embedding::EntryKind;
using embedding::Fid;

class SyncRoleTest : public ::testing::Test {
 protected:
  static SyncConfig ConfigOf(SyncRoleKind role) {
    SyncConfig config;
    config.role = role;
    config.model = "m";
    config.interval = std::chrono::milliseconds(5);
    return config;
  }
};

// Two processes that share nothing but an address and a discovery that lists it.
TEST_F(SyncRoleTest, ATrainingServerFindsAServingServerAndItsRowsArrive) {
  TempDirectory directory;
  const std::string address = StrCat("unix:", directory.path(), "/serving");
  std::unique_ptr<embedding::TableSet> serving_tables =
      sync::testing::MakeTables(EntryKind::kServing);
  std::unique_ptr<SyncRole> serving;
  testing::ServiceHost serving_host;
  serving_host.config().listen = {address};
  serving_host.Start([&](ServiceContext& context) -> Result<ServiceList> {
    ASSIGN_OR_RETURN(serving, SyncRole::Make(ConfigOf(SyncRoleKind::kServing), 3, context));
    EXPECT_EQ(serving->observer(), nullptr);
    return serving->Attach(*serving_tables);
  });

  std::unique_ptr<SyncRole> training;
  std::unique_ptr<embedding::TableSet> tables;
  std::unique_ptr<discovery::Handle> listed;
  testing::ServiceHost training_host;
  training_host.Start([&](ServiceContext& context) -> Result<ServiceList> {
    ASSIGN_OR_RETURN(
        listed, context.process.discovery().Register({.service = "m:ps_3", .address = address}));
    ASSIGN_OR_RETURN(training, SyncRole::Make(ConfigOf(SyncRoleKind::kTrain), 3, context));
    tables = sync::testing::MakeTables(EntryKind::kTraining, training->observer());
    return training->Attach(*tables);
  });
  const std::vector<Fid> fids = {1, 2};
  ASSERT_TRUE((*tables->Get("b"))->Assign(fids, std::vector<float>{5, 6}, 1).ok());
  const auto arrived = [&](const char* table) {
    return sync::testing::RowsOf(*serving_tables, table) == sync::testing::RowsOf(*tables, table);
  };
  while (!arrived("b")) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  (*tables->Get("b"))->Erase(std::span(fids).first(1));
  while (!arrived("b")) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_EQ(training->syncer()->Targets().size(), 1U);
  training->Stop();
  training_host.Stop();
  serving_host.Stop();
  listed = nullptr;
}

TEST_F(SyncRoleTest, WithoutARoleThereIsNothing) {
  testing::ServiceHost host;
  host.Start([](ServiceContext& context) -> Result<ServiceList> {
    ASSIGN_OR_RETURN(const auto role, SyncRole::Make({}, 0, context));
    const auto tables = sync::testing::MakeTables(EntryKind::kTraining);
    EXPECT_EQ(role->observer(), nullptr);
    return role->Attach(*tables);
  });
  SyncConfig nameless = ConfigOf(SyncRoleKind::kTrain);
  nameless.model.clear();
  testing::ServiceHost other;
  other.Start([&](ServiceContext& context) -> Result<ServiceList> {
    EXPECT_EQ(SyncRole::Make(nameless, 0, context).status().code(), Code::kInvalidArgument);
    return ServiceList();
  });
}

}  // namespace
}  // namespace megalith::services
