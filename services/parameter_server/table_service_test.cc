#include "services/parameter_server/table_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <thread>

#include "common/fleet/rpc/channel.h"
#include "common/foundation/base/strings.h"
#include "common/foundation/telemetry/metric_table.h"
#include "common/learning/embedding/embedding_proto.h"
#include "tests/support/service_host.h"

namespace megalith::services {
namespace {

namespace v1 = table::v1;
using embedding::Fid;
using embedding::ValueFormat;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr char kService[] = "megalith.table.v1.TableService";

std::string Ids(const std::vector<Fid>& ids) {
  std::string out;
  embedding::AppendIds(ids, &out);
  return out;
}
std::string Values(const std::vector<float>& values, ValueFormat format = ValueFormat::kFp32) {
  std::string out;
  embedding::AppendValues(values, format, &out);
  return out;
}
std::vector<float> Floats(const std::string& bytes, ValueFormat format = ValueFormat::kFp32) {
  const auto values = embedding::UnpackValues(bytes, format);
  return {values->span().begin(), values->span().end()};
}

v1::CreateTableRequest SgdTable(const std::string& name, int64_t dim, double initial = 0) {
  v1::CreateTableRequest request;
  request.set_name(name);
  v1::Segment* segment = request.mutable_config()->add_segments();
  segment->set_dim(dim);
  segment->mutable_optimizer()->set_name("sgd");
  (*segment->mutable_optimizer()->mutable_fields())["learning_rate"] = 1;
  if (initial != 0) {
    segment->mutable_initializer()->set_name("constants");
    (*segment->mutable_initializer()->mutable_fields())["constant"] = initial;
  }
  return request;
}

class TableServiceTest : public ::testing::Test {
 protected:
  void Start(const ParameterServerConfig& config = {}) {
    host_.Start(
        [&config](ServiceContext& context) { return MakeParameterServer(config, context); });
  }
  template <typename Response, typename Request>
  Result<Response> Call(const std::string& method, const Request& request) {
    return rpc::UnaryMethod<Request, Response>(host_.channel(), kService, method)(request);
  }
  Status Create(const v1::CreateTableRequest& request) {
    return Call<v1::CreateTableResponse>("CreateTable", request).status();
  }
  Result<v1::LookupResponse> Lookup(const std::string& table, const std::vector<Fid>& ids,
                                    v1::ValueFormat format = v1::VALUE_FORMAT_FP32) {
    v1::LookupRequest request;
    request.set_format(format);
    request.add_parts()->set_table(table);
    request.mutable_parts(0)->set_ids(Ids(ids));
    return Call<v1::LookupResponse>("Lookup", request);
  }
  static v1::ApplyRequest Gradient(const std::string& table, const std::vector<Fid>& ids,
                                   const std::vector<float>& gradients) {
    v1::ApplyRequest request;
    v1::GradientBatch* part = request.add_parts();
    part->set_table(table);
    part->set_ids(Ids(ids));
    part->set_gradients(Values(gradients));
    return request;
  }
  Result<v1::ApplyResponse> Apply(const v1::ApplyRequest& request) {
    return Call<v1::ApplyResponse>("Apply", request);
  }

  testing::ServiceHost host_;
};

TEST_F(TableServiceTest, TablesAreMadeListedAlteredAndDropped) {
  Start();
  ASSERT_TRUE(Create(SgdTable("b", 2)).ok());
  ASSERT_TRUE(Create(SgdTable("a", 3)).ok());
  EXPECT_TRUE(Create(SgdTable("a", 3)).ok());
  EXPECT_EQ(Create(SgdTable("a", 4)).code(), Code::kAlreadyExists);
  auto list = Call<v1::ListTablesResponse>("ListTables", v1::ListTablesRequest());
  ASSERT_TRUE(list.ok());
  ASSERT_THAT(list->tables(), SizeIs(2));
  EXPECT_EQ(list->tables(0).name(), "a");
  EXPECT_EQ(list->tables(0).dim(), 3);
  EXPECT_EQ(list->tables(0).config().segments(0).optimizer().name(), "sgd");

  v1::AlterTableRequest alter;
  alter.set_name("a");
  *alter.mutable_config() = list->tables(0).config();
  alter.mutable_config()->set_expire_days(7);
  ASSERT_TRUE(Call<v1::AlterTableResponse>("AlterTable", alter).ok());
  list = Call<v1::ListTablesResponse>("ListTables", v1::ListTablesRequest());
  EXPECT_EQ(list->tables(0).config().expire_days(), 7u);
  alter.mutable_config()->mutable_segments(0)->set_dim(5);
  EXPECT_EQ(Call<v1::AlterTableResponse>("AlterTable", alter).status().code(),
            Code::kFailedPrecondition);

  v1::DropTableRequest drop;
  drop.set_name("a");
  EXPECT_TRUE(Call<v1::DropTableResponse>("DropTable", drop).ok());
  EXPECT_EQ(Call<v1::DropTableResponse>("DropTable", drop).status().code(), Code::kNotFound);
}

TEST_F(TableServiceTest, GradientsOfManyTablesComeBackAsRows) {
  Start();
  ASSERT_TRUE(Create(SgdTable("one", 1)).ok());
  ASSERT_TRUE(Create(SgdTable("two", 2, 10)).ok());
  v1::ApplyRequest request = Gradient("one", {7, 8}, {1, 2});
  *request.add_parts() = Gradient("two", {7}, {3, 4}).parts(0);
  const auto applied = Apply(request);
  ASSERT_TRUE(applied.ok()) << applied.status().ToString();
  EXPECT_EQ(applied->parts(0).created(), 2);
  EXPECT_EQ(applied->parts(1).applied(), 1);

  v1::LookupRequest lookup;
  lookup.add_parts()->set_table("two");
  lookup.mutable_parts(0)->set_ids(Ids({9, 7}));
  lookup.add_parts()->set_table("one");
  lookup.mutable_parts(1)->set_ids(Ids({8, 7, 8}));
  const auto rows = Call<v1::LookupResponse>("Lookup", lookup);
  ASSERT_TRUE(rows.ok()) << rows.status().ToString();
  EXPECT_THAT(Floats(rows->rows()), ElementsAre(0, 0, 7, 6, -2, -1, -2));
  EXPECT_EQ(rows->parts(0).hits(), 1);
  EXPECT_EQ(rows->parts(0).dim(), 2);
  EXPECT_EQ(rows->parts(1).hits(), 3);

  const auto stats = Call<v1::StatsResponse>("Stats", v1::StatsRequest());
  ASSERT_TRUE(stats.ok());
  EXPECT_EQ(stats->tables(0).name(), "one");
  EXPECT_EQ(stats->tables(0).rows(), 2u);
  EXPECT_EQ(stats->tables(1).lookups(), 2u);
  EXPECT_EQ(host_.metrics().GetGauge(telemetry::kTableRows, {"one"}).value(), 2);
  EXPECT_EQ(host_.metrics().GetCounter(telemetry::kTableHits, {"two"}).value(), 1u);
}

TEST_F(TableServiceTest, RowsTravelInTheFormatThatWasAskedFor) {
  Start();
  ASSERT_TRUE(Create(SgdTable("t", 2)).ok());
  v1::ApplyRequest request = Gradient("t", {1}, {});
  request.set_format(v1::VALUE_FORMAT_BF16);
  request.mutable_parts(0)->set_gradients(Values({-1.5, 0.25}, ValueFormat::kBf16));
  ASSERT_TRUE(Apply(request).ok());
  EXPECT_THAT(Floats(Lookup("t", {1}, v1::VALUE_FORMAT_FP16)->rows(), ValueFormat::kFp16),
              ElementsAre(1.5, -0.25));
  EXPECT_THAT(Floats(Lookup("t", {1}, v1::VALUE_FORMAT_BF16)->rows(), ValueFormat::kBf16),
              ElementsAre(1.5, -0.25));
  EXPECT_EQ(Lookup("t", {1}, static_cast<v1::ValueFormat>(9)).status().code(),
            Code::kInvalidArgument);
}

TEST_F(TableServiceTest, ARequestIsAppliedAsAWholeOrNotAtAll) {
  Start();
  ASSERT_TRUE(Create(SgdTable("a", 1)).ok());
  ASSERT_TRUE(Create(SgdTable("b", 1)).ok());
  const float nan = std::numeric_limits<float>::quiet_NaN();
  v1::ApplyRequest request = Gradient("a", {1}, {1});
  *request.add_parts() = Gradient("b", {1}, {nan}).parts(0);
  const auto refused = Apply(request);
  EXPECT_EQ(refused.status().code(), Code::kInvalidArgument);
  EXPECT_THAT(refused.status().message(), HasSubstr("part 1, table 'b'"));
  EXPECT_EQ(Lookup("a", {1})->parts(0).hits(), 0);
  request.set_non_finite(v1::NON_FINITE_SKIP);
  const auto applied = Apply(request);
  ASSERT_TRUE(applied.ok());
  EXPECT_EQ(applied->parts(1).non_finite(), 1);
  EXPECT_EQ(host_.metrics().GetCounter(telemetry::kTableNonFinite, {"b"}).value(), 1u);
  *request.mutable_parts(1) = Gradient("c", {1}, {1}).parts(0);
  EXPECT_EQ(Apply(request).status().code(), Code::kNotFound);
  EXPECT_THAT(Floats(Lookup("a", {1})->rows()), ElementsAre(-1));
}

TEST_F(TableServiceTest, RequestsThatMeanNothingAreRefused) {
  ParameterServerConfig config;
  config.max_ids = 10;
  config.shards = 2;
  config.shard = 1;
  Start(config);
  ASSERT_TRUE(Create(SgdTable("table", 2)).ok());
  EXPECT_EQ(Lookup("tabel", {1}).status().message(), "no table 'tabel'; is 'table' meant?");
  EXPECT_EQ(Lookup("table", {-1}).status().code(), Code::kInvalidArgument);
  EXPECT_THAT(Lookup("table", {1, 4}).status().message(), HasSubstr("belongs to shard 0"));
  EXPECT_EQ(Lookup("table", std::vector<Fid>(11, 1)).status().code(), Code::kResourceExhausted);
  EXPECT_EQ(Apply(Gradient("table", {1}, {1})).status().code(), Code::kInvalidArgument);
  v1::ApplyRequest rates = Gradient("table", {1}, {1, 1});
  rates.mutable_parts(0)->add_learning_rates(1);
  rates.mutable_parts(0)->add_learning_rates(1);
  EXPECT_EQ(Apply(rates).status().code(), Code::kInvalidArgument);
  v1::CreateTableRequest nested = SgdTable("nested", 1);
  v1::Rule* rule = nested.mutable_config()->mutable_segments(0)->mutable_optimizer();
  for (int i = 0; i < 5; ++i) rule = rule->mutable_base();
  EXPECT_EQ(Create(nested).code(), Code::kInvalidArgument);
  EXPECT_EQ(Create(SgdTable("bad name", 1)).code(), Code::kInvalidArgument);
  EXPECT_EQ(Create(SgdTable("none", 0)).code(), Code::kInvalidArgument);
}

TEST_F(TableServiceTest, AnAnswerThatWouldBeTooLargeIsRefusedByName) {
  host_.config().max_response_bytes = 1 << 20;
  Start();
  ASSERT_TRUE(Create(SgdTable("wide", 1 << 16)).ok());
  const auto rows = Lookup("wide", {1, 2, 3, 4});
  EXPECT_EQ(rows.status().code(), Code::kResourceExhausted);
  EXPECT_THAT(rows.status().message(), HasSubstr("max_response_bytes"));
}

TEST_F(TableServiceTest, AnUpdateThatComesAgainChangesNothing) {
  Start();
  ASSERT_TRUE(Create(SgdTable("t", 1)).ok());
  v1::ApplyRequest request = Gradient("t", {1}, {1});
  request.mutable_id()->set_client("trainer-1");
  request.mutable_id()->set_sequence(3);
  EXPECT_FALSE(Apply(request)->already_applied());
  EXPECT_TRUE(Apply(request)->already_applied());
  EXPECT_THAT(Floats(Lookup("t", {1})->rows()), ElementsAre(-1));
  EXPECT_EQ(host_.metrics().GetCounter(telemetry::kTableRepeated).value(), 1u);
  // One that was refused is not marked.
  request.mutable_id()->set_sequence(4);
  request.mutable_parts(0)->set_gradients("xyz");
  EXPECT_EQ(Apply(request).status().code(), Code::kInvalidArgument);
  request.mutable_parts(0)->set_gradients(Values({1}));
  EXPECT_FALSE(Apply(request)->already_applied());
  EXPECT_THAT(Floats(Lookup("t", {1})->rows()), ElementsAre(-2));
}

TEST_F(TableServiceTest, WithALogARestartHasEveryRowBitForBit) {
  ParameterServerConfig config;
  config.log = true;
  config.log_segment_bytes = 4096;
  Start(config);
  v1::CreateTableRequest create = SgdTable("t", 3);
  v1::Segment* segment = create.mutable_config()->mutable_segments(0);
  segment->mutable_optimizer()->set_name("adam");
  segment->mutable_optimizer()->clear_fields();
  segment->mutable_initializer()->set_name("random_uniform");
  ASSERT_TRUE(Create(create).ok());
  ASSERT_TRUE(Create(SgdTable("gone", 1)).ok());
  v1::DropTableRequest drop;
  drop.set_name("gone");
  ASSERT_TRUE(Call<v1::DropTableResponse>("DropTable", drop).ok());
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([this, t] {
      for (int i = 1; i <= 30; ++i) {
        v1::ApplyRequest request =
            Gradient("t", {1, 2, t}, std::vector<float>(9, 0.1F * static_cast<float>(i + t)));
        request.set_update_time(100 + i);
        request.mutable_id()->set_client(StrCat("client ", t));
        request.mutable_id()->set_sequence(static_cast<uint64_t>(i));
        EXPECT_TRUE(Apply(request).ok());
      }
    });
  }
  for (std::thread& t : threads) t.join();
  const std::string before = Lookup("t", {0, 1, 2, 3})->rows();
  host_.Stop();
  Start(config);
  EXPECT_EQ(Lookup("t", {0, 1, 2, 3})->rows(), before);
  EXPECT_EQ(Lookup("gone", {1}).status().code(), Code::kNotFound);
  v1::ApplyRequest again = Gradient("t", {1}, {1, 1, 1});
  again.mutable_id()->set_client("client 2");
  again.mutable_id()->set_sequence(30);
  EXPECT_TRUE(Apply(again)->already_applied());
  EXPECT_EQ(Lookup("t", {0, 1, 2, 3})->rows(), before);
}

TEST_F(TableServiceTest, RowsAreAssignedErasedMadeAnewAndEvicted) {
  Start();
  v1::CreateTableRequest create = SgdTable("t", 1, 5);
  create.mutable_config()->set_expire_days(1);
  ASSERT_TRUE(Create(create).ok());
  v1::AssignRequest assign;
  v1::ValueBatch* part = assign.add_parts();
  part->set_table("t");
  part->set_ids(Ids({1, 2}));
  part->set_values(Values({10, 20}));
  assign.set_update_time(100);
  assign.mutable_id()->set_client("c");
  assign.mutable_id()->set_sequence(1);
  ASSERT_TRUE(Call<v1::AssignResponse>("Assign", assign).ok());
  assign.mutable_id()->set_sequence(2);
  ASSERT_EQ(Call<v1::AssignResponse>("AssignAdd", assign)->parts(0).applied(), 2);
  EXPECT_TRUE(Call<v1::AssignResponse>("AssignAdd", assign)->already_applied());
  EXPECT_THAT(Floats(Lookup("t", {1, 2})->rows()), ElementsAre(20, 40));
  assign.clear_id();
  assign.mutable_parts(0)->set_values(Values({1}));
  EXPECT_EQ(Call<v1::AssignResponse>("Assign", assign).status().code(), Code::kInvalidArgument);
  assign.mutable_parts(0)->set_values(Values({1, std::numeric_limits<float>::infinity()}));
  EXPECT_EQ(Call<v1::AssignResponse>("Assign", assign).status().code(), Code::kInvalidArgument);

  v1::LookupEntriesRequest entries;
  entries.mutable_ids()->set_table("t");
  entries.mutable_ids()->set_ids(Ids({1, 9}));
  const auto dumps = Call<v1::LookupEntriesResponse>("LookupEntries", entries);
  ASSERT_TRUE(dumps.ok());
  EXPECT_FALSE(dumps->entries(0).empty());
  EXPECT_TRUE(dumps->entries(1).empty());

  v1::ReinitializeRequest anew;
  *anew.mutable_ids() = entries.ids();
  anew.set_now(200'000);
  EXPECT_THAT(Call<v1::ReinitializeResponse>("Reinitialize", anew)->statuses(), ElementsAre(1, 0));
  EXPECT_THAT(Floats(Lookup("t", {1, 9})->rows()), ElementsAre(5, 5));

  v1::EvictRequest evict;
  evict.set_table("t");
  EXPECT_EQ(Call<v1::EvictResponse>("Evict", evict)->evicted(), 1);
  EXPECT_EQ(Lookup("t", {2})->parts(0).hits(), 0);
  v1::EraseRequest erase;
  *erase.add_parts() = entries.ids();
  EXPECT_EQ(Call<v1::EraseResponse>("Erase", erase)->erased(), 2);
  EXPECT_EQ(Call<v1::EraseResponse>("Erase", erase)->erased(), 0);
}

TEST_F(TableServiceTest, MonolithsOwnConfigurationMakesATable) {
  Start();
  embedding::TableConfig config;
  config.segments.push_back({.dim = 4, .optimizer = {.name = "ftrl"}});
  v1::CreateTableRequest request;
  request.set_name("theirs");
  request.set_monolith_config(embedding::TableConfigToProto(config)->SerializeAsString());
  ASSERT_TRUE(Create(request).ok());
  const auto list = Call<v1::ListTablesResponse>("ListTables", v1::ListTablesRequest());
  EXPECT_EQ(list->tables(0).config().compatibility(), v1::TableConfig::COMPATIBILITY_MONOLITH);
  EXPECT_EQ(list->tables(0).config().segments(0).optimizer().name(), "ftrl");
  *request.mutable_config() = SgdTable("theirs", 1).config();
  EXPECT_EQ(Create(request).code(), Code::kInvalidArgument);
  request.clear_config();
  request.set_monolith_config("no message");
  EXPECT_EQ(Create(request).code(), Code::kInvalidArgument);
}

TEST_F(TableServiceTest, DenseVariablesTakeSteps) {
  ParameterServerConfig config;
  config.log = true;
  Start(config);
  v1::CreateVariableRequest create;
  create.set_name("w");
  for (const int64_t size : {4, 2}) create.mutable_config()->add_shape(size);
  create.mutable_config()->set_row_begin(1);
  create.mutable_config()->set_row_end(3);
  create.mutable_config()->mutable_optimizer()->set_name("adagrad");
  create.set_initial_values(Values({1, 2, 3, 4}));
  ASSERT_TRUE(Call<v1::CreateVariableResponse>("CreateVariable", create).ok());
  v1::ApplyVariablesRequest apply;
  v1::VariableValues* gradients = apply.add_gradients();
  gradients->set_name("w");
  gradients->set_values(Values({1, 1, 1, 1}));
  gradients->set_learning_rate(0.5);
  apply.mutable_id()->set_client("c");
  apply.mutable_id()->set_sequence(1);
  ASSERT_TRUE(Call<v1::ApplyVariablesResponse>("ApplyVariables", apply).ok());
  EXPECT_TRUE(Call<v1::ApplyVariablesResponse>("ApplyVariables", apply)->already_applied());
  apply.mutable_id()->set_sequence(2);
  apply.mutable_gradients(0)->set_values(Values({1}));
  EXPECT_EQ(Call<v1::ApplyVariablesResponse>("ApplyVariables", apply).status().code(),
            Code::kInvalidArgument);
  v1::AssignVariablesRequest assign;
  *assign.add_values() = *gradients;
  assign.mutable_values(0)->set_name("none");
  EXPECT_EQ(Call<v1::AssignVariablesResponse>("AssignVariables", assign).status().code(),
            Code::kNotFound);
  v1::ReadVariablesRequest read;
  read.add_names("w");
  const auto before = Call<v1::ReadVariablesResponse>("ReadVariables", read);
  ASSERT_TRUE(before.ok()) << before.status().ToString();
  EXPECT_EQ(before->variables(0).updates(), 1);
  EXPECT_EQ(before->variables(0).config().row_begin(), 1);
  EXPECT_NEAR(Floats(before->variables(0).values())[0], 1 - 0.5 / std::sqrt(1.1), 1e-6);

  host_.Stop();
  Start(config);
  const auto after = Call<v1::ReadVariablesResponse>("ReadVariables", read);
  ASSERT_TRUE(after.ok());
  EXPECT_EQ(after->variables(0).values(), before->variables(0).values());
  EXPECT_EQ(Call<v1::ListVariablesResponse>("ListVariables", v1::ListVariablesRequest())
                ->variables(0)
                .name(),
            "w");
  v1::DropVariableRequest drop;
  drop.set_name("w");
  EXPECT_TRUE(Call<v1::DropVariableResponse>("DropVariable", drop).ok());
  EXPECT_EQ(Call<v1::ReadVariablesResponse>("ReadVariables", read).status().code(),
            Code::kNotFound);
}

TEST_F(TableServiceTest, ACheckpointHasRowsMarksAndVariablesAndTheLogGoesOnFromIt) {
  TempDirectory checkpoints;
  ParameterServerConfig config;
  config.log = true;
  config.log_segment_bytes = 1024;
  config.checkpoint_dir = checkpoints.path();
  Start(config);
  ASSERT_TRUE(Create(SgdTable("t", 2)).ok());
  v1::CreateVariableRequest variable;
  variable.set_name("w");
  variable.mutable_config()->add_shape(1);
  variable.mutable_config()->set_row_end(1);
  variable.set_initial_values(Values({3}));
  ASSERT_TRUE(Call<v1::CreateVariableResponse>("CreateVariable", variable).ok());
  v1::ApplyRequest request = Gradient("t", {1, 2}, {1, 1, 1, 1});
  request.mutable_id()->set_client("c");
  const auto step = [&](uint64_t from, uint64_t to) {
    for (uint64_t i = from; i <= to; ++i) {
      request.mutable_id()->set_sequence(i);
      ASSERT_TRUE(Apply(request).ok());
    }
  };
  step(1, 50);
  // Rows that do not change any more, so that a delta is worth it.
  ASSERT_TRUE(Apply(Gradient("t", {3, 4, 5, 6}, std::vector<float>(8, 1))).ok());
  v1::SaveRequest save;
  save.set_step(7);
  const auto saved = Call<v1::SaveResponse>("Save", save);
  ASSERT_TRUE(saved.ok()) << saved.status().ToString();
  EXPECT_TRUE(saved->published());
  EXPECT_EQ(saved->rows(), 6u);
  EXPECT_EQ(Call<v1::SaveResponse>("Save", save).status().code(), Code::kAlreadyExists);
  step(51, 60);
  save.set_step(8);
  save.set_mode(v1::SAVE_MODE_DELTA);
  const auto delta = Call<v1::SaveResponse>("Save", save);
  ASSERT_TRUE(delta.ok()) << delta.status().ToString();
  EXPECT_TRUE(delta->delta());
  EXPECT_TRUE(delta->published());
  EXPECT_EQ(delta->rows(), 2u);
  save.set_mode(static_cast<v1::SaveMode>(9));
  EXPECT_EQ(Call<v1::SaveResponse>("Save", save).status().code(), Code::kInvalidArgument);
  host_.Stop();
  Start(config);
  EXPECT_THAT(Floats(Lookup("t", {1, 2})->rows()), Each(-60));
  for (const uint64_t i : {1, 50, 51, 60}) {
    request.mutable_id()->set_sequence(i);
    EXPECT_TRUE(Apply(request)->already_applied()) << i;
  }
  v1::ReadVariablesRequest read;
  read.add_names("w");
  EXPECT_THAT(Floats(Call<v1::ReadVariablesResponse>("ReadVariables", read)->variables(0).values()),
              ElementsAre(3));

  // A checkpoint that is restored while the server runs is there after a kill, too.
  step(61, 65);
  const auto rolled_back = Call<v1::RestoreResponse>("Restore", v1::RestoreRequest());
  ASSERT_TRUE(rolled_back.ok()) << rolled_back.status().ToString();
  EXPECT_EQ(rolled_back->step(), 8);
  EXPECT_THAT(Floats(Lookup("t", {1, 2})->rows()), Each(-60));
  host_.Stop();
  Start(config);
  EXPECT_THAT(Floats(Lookup("t", {1, 2})->rows()), Each(-60));
  step(61, 61);

  // Without a log the server has what the checkpoint has, and takes it again when asked.
  host_.Stop();
  config.log = false;
  Start(config);
  EXPECT_THAT(Floats(Lookup("t", {1, 2})->rows()), Each(-60));
  request.mutable_id()->set_sequence(61);
  EXPECT_FALSE(Apply(request)->already_applied());
  const auto restored = Call<v1::RestoreResponse>("Restore", v1::RestoreRequest());
  ASSERT_TRUE(restored.ok()) << restored.status().ToString();
  EXPECT_EQ(restored->step(), 8);
  EXPECT_THAT(Floats(Lookup("t", {1, 2})->rows()), Each(-60));
  EXPECT_FALSE(Apply(request)->already_applied());
  v1::RestoreRequest none;
  none.set_step(9);
  EXPECT_EQ(Call<v1::RestoreResponse>("Restore", none).status().code(), Code::kNotFound);
}

TEST_F(TableServiceTest, IdsOfATableComePartByPart) {
  Start();
  ASSERT_TRUE(Create(SgdTable("t", 1)).ok());
  std::vector<Fid> ids;
  for (Fid id = 1; id <= 30'000; ++id) ids.push_back(id);
  ASSERT_TRUE(Apply(Gradient("t", ids, std::vector<float>(ids.size(), 1))).ok());
  std::vector<Fid> found;
  v1::ScanIdsRequest request;
  request.set_table("t");
  int parts = 0;
  while (true) {
    const auto part = Call<v1::ScanIdsResponse>("ScanIds", request);
    ASSERT_TRUE(part.ok()) << part.status().ToString();
    const auto unpacked = embedding::UnpackIds(part->ids());
    found.insert(found.end(), unpacked->span().begin(), unpacked->span().end());
    ++parts;
    if (part->done()) break;
    request.set_cursor(part->cursor());
  }
  std::sort(found.begin(), found.end());
  EXPECT_EQ(found, ids);
  EXPECT_GT(parts, 2);
  request.set_cursor(UINT64_MAX);
  EXPECT_TRUE(Call<v1::ScanIdsResponse>("ScanIds", request)->done());
  request.set_table("none");
  EXPECT_EQ(Call<v1::ScanIdsResponse>("ScanIds", request).status().code(), Code::kNotFound);
}

TEST_F(TableServiceTest, WithoutAPlaceForThemThereAreNoCheckpoints) {
  Start();
  EXPECT_EQ(Call<v1::SaveResponse>("Save", v1::SaveRequest()).status().code(),
            Code::kFailedPrecondition);
  EXPECT_EQ(Call<v1::RestoreResponse>("Restore", v1::RestoreRequest()).status().code(),
            Code::kFailedPrecondition);
}

TEST_F(TableServiceTest, TrainersMeetAtABarrierAndPassItemsOn) {
  Start();
  const auto call = [this]<typename Request, typename Response>(const char* method,
                                                                const Request& request, Response*) {
    return rpc::UnaryMethod<Request, Response>(
        host_.channel(), "megalith.table.v1.CoordinationService", method)(request);
  };
  std::vector<std::thread> trainers;
  for (int t = 0; t < 8; ++t) {
    trainers.emplace_back([&, t] {
      v1::BarrierRequest request;
      request.set_name("step");
      request.set_participants(8);
      request.set_participant(StrCat(t));
      v1::BarrierResponse* type = nullptr;
      EXPECT_TRUE(call("Barrier", request, type).ok());
    });
  }
  for (std::thread& t : trainers) t.join();
  v1::PushRequest push;
  push.set_queue("q");
  push.set_capacity(1);
  push.set_producer("p");
  push.set_sequence(1);
  push.set_item("item");
  v1::PushResponse* pushed = nullptr;
  EXPECT_TRUE(call("Push", push, pushed).ok());
  v1::CloseQueueRequest close;
  close.set_queue("q");
  v1::CloseQueueResponse* closed = nullptr;
  EXPECT_TRUE(call("CloseQueue", close, closed).ok());
  v1::PopRequest pop;
  pop.set_queue("q");
  pop.set_consumer("c");
  pop.set_sequence(1);
  v1::PopResponse* popped = nullptr;
  EXPECT_EQ(call("Pop", pop, popped)->item(), "item");
  pop.set_sequence(2);
  EXPECT_EQ(call("Pop", pop, popped).status().code(), Code::kOutOfRange);
  v1::RemoveRequest remove;
  remove.set_name("q");
  v1::RemoveResponse* removed = nullptr;
  EXPECT_TRUE(call("Remove", remove, removed).ok());
}

}  // namespace
}  // namespace megalith::services
