// Tables whose rows lie mostly on the server's disk, over gRPC.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "common/fleet/rpc/channel.h"
#include "common/foundation/telemetry/metric_table.h"
#include "common/learning/embedding/server/value_format.h"
#include "services/parameter_server/table_service.h"
#include "tests/support/service_host.h"

namespace megalith::services {
namespace {

namespace v1 = table::v1;
using embedding::Fid;
using ::testing::Each;
using ::testing::HasSubstr;

constexpr Fid kRows = 20'000;

std::string Ids(Fid from, Fid to) {
  std::vector<Fid> ids;
  for (Fid id = from; id < to; ++id) ids.push_back(id);
  std::string out;
  embedding::AppendIds(ids, &out);
  return out;
}

class ColdTierServiceTest : public ::testing::Test {
 protected:
  void Start(testing::ServiceHost& host, const ParameterServerConfig& config) {
    host.Start([&config](ServiceContext& context) { return MakeParameterServer(config, context); });
  }
  template <typename Response, typename Request>
  Result<Response> Call(testing::ServiceHost& host, const std::string& method,
                        const Request& request) {
    return rpc::UnaryMethod<Request, Response>(host.channel(), "megalith.table.v1.TableService",
                                               method)(request);
  }
  static v1::CreateTableRequest Table() {
    v1::CreateTableRequest request;
    request.set_name("user/clicks");
    v1::Segment* segment = request.mutable_config()->add_segments();
    segment->set_dim(4);
    segment->mutable_optimizer()->set_name("adagrad");
    request.mutable_config()->mutable_cold_tier()->set_memory_budget_bytes(100'000);
    return request;
  }
  void Assign(testing::ServiceHost& host, Fid from, Fid to) {
    v1::AssignRequest request;
    request.set_format(v1::VALUE_FORMAT_FP32);
    v1::ValueBatch* part = request.add_parts();
    part->set_table("user/clicks");
    part->set_ids(Ids(from, to));
    const std::vector<float> values(static_cast<size_t>(to - from) * 4, 2.0F);
    embedding::AppendValues(values, embedding::ValueFormat::kFp32, part->mutable_values());
    const auto assigned = Call<v1::AssignResponse>(host, "Assign", request);
    ASSERT_TRUE(assigned.ok()) << assigned.status().ToString();
  }
  std::vector<float> Lookup(testing::ServiceHost& host, Fid from, Fid to) {
    v1::LookupRequest request;
    request.add_parts()->set_table("user/clicks");
    request.mutable_parts(0)->set_ids(Ids(from, to));
    const auto rows = Call<v1::LookupResponse>(host, "Lookup", request);
    EXPECT_TRUE(rows.ok()) << rows.status().ToString();
    const auto values = embedding::UnpackValues(rows->rows(), embedding::ValueFormat::kFp32);
    return {values->span().begin(), values->span().end()};
  }
  v1::TableStats Stats(testing::ServiceHost& host) {
    const auto stats = Call<v1::StatsResponse>(host, "Stats", v1::StatsRequest());
    EXPECT_TRUE(stats.ok()) << stats.status().ToString();
    return stats->tables(0);
  }

  TempDirectory cold_, checkpoints_;
};

TEST_F(ColdTierServiceTest, NeedsADirectory) {
  testing::ServiceHost host;
  Start(host, {});
  const Status made = Call<v1::CreateTableResponse>(host, "CreateTable", Table()).status();
  EXPECT_EQ(made.code(), Code::kFailedPrecondition);
  EXPECT_THAT(made.message(), HasSubstr("cold_dir"));
}

TEST_F(ColdTierServiceTest, RowsThatMemoryHasNoRoomForAreThereAllTheSame) {
  testing::ServiceHost host;
  ParameterServerConfig config;
  config.cold_dir = cold_.path();
  Start(host, config);
  ASSERT_TRUE(Call<v1::CreateTableResponse>(host, "CreateTable", Table()).ok());
  for (Fid from = 0; from < kRows; from += 1000) Assign(host, from, from + 1000);
  EXPECT_THAT(Lookup(host, 0, kRows), Each(2.0F));
  const v1::TableStats stats = Stats(host);
  EXPECT_EQ(stats.rows(), static_cast<uint64_t>(kRows));
  EXPECT_LE(stats.bytes(), 125'000u + (1 << 20));
  EXPECT_GT(stats.cold().cold_rows(), 15'000u);
  EXPECT_EQ(stats.cold().hot_rows() + stats.cold().cold_rows(), stats.rows());
  EXPECT_GT(stats.cold().cold_hits(), 15'000u);
  EXPECT_EQ(host.metrics().GetGauge(telemetry::kTableColdRows, {"user/clicks"}).value(),
            static_cast<double>(stats.cold().cold_rows()));
  EXPECT_EQ(host.metrics().GetCounter(telemetry::kTableDemoted, {"user/clicks"}).value(),
            stats.cold().demotions());
}

TEST_F(ColdTierServiceTest, ARestartedServerHasTheTierAndTheRowsOfTheCheckpoint) {
  ParameterServerConfig config;
  config.cold_dir = cold_.path();
  config.checkpoint_dir = checkpoints_.path();
  {
    testing::ServiceHost host;
    Start(host, config);
    ASSERT_TRUE(Call<v1::CreateTableResponse>(host, "CreateTable", Table()).ok());
    for (Fid from = 0; from < kRows; from += 1000) Assign(host, from, from + 1000);
    v1::SaveRequest save;
    save.set_step(1);
    const auto saved = Call<v1::SaveResponse>(host, "Save", save);
    ASSERT_TRUE(saved.ok()) << saved.status().ToString();
    EXPECT_EQ(saved->rows(), static_cast<uint64_t>(kRows));
    // The table that replaces this one is filled beside it, in the same directory.
    const auto restored = Call<v1::RestoreResponse>(host, "Restore", v1::RestoreRequest());
    ASSERT_TRUE(restored.ok()) << restored.status().ToString();
    EXPECT_THAT(Lookup(host, 0, kRows), Each(2.0F));
    EXPECT_GT(Stats(host).cold().cold_rows(), 15'000u);
  }
  testing::ServiceHost host;
  Start(host, config);
  const v1::TableStats stats = Stats(host);
  EXPECT_EQ(stats.rows(), static_cast<uint64_t>(kRows));
  EXPECT_GT(stats.cold().cold_rows(), 15'000u);
  EXPECT_THAT(Lookup(host, 0, kRows), Each(2.0F));
  const auto list = Call<v1::ListTablesResponse>(host, "ListTables", v1::ListTablesRequest());
  EXPECT_EQ(list->tables(0).config().cold_tier().memory_budget_bytes(), 100'000u);
}

}  // namespace
}  // namespace megalith::services
