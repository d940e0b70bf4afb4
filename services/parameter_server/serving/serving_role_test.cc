#include "services/parameter_server/serving/serving_role.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/fleet/stubs/sync_target.h"
#include "common/learning/sync/syncer.h"
#include "tests/support/service_host.h"

namespace megalith::services {
namespace {

using embedding::Fid;
using embedding::TableConfig;
using embedding::TableSet;
using tensorflow::serving::PredictRequest;
using tensorflow::serving::PredictResponse;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TableConfig Dim(int64_t dim, bool serving) {
  TableConfig config;
  config.segments = {{.dim = dim}};
  config.segments[0].optimizer = {.name = "sgd", .fields = {{"learning_rate", 1}}, .base = {}};
  if (serving) {
    config.kind = embedding::EntryKind::kServing;
    config.skip_zero_embedding = true;
  }
  return config;
}

std::unique_ptr<TableSet> MakeTables(bool serving, embedding::SetObserver* observer = nullptr) {
  TableSet::Options options;
  options.observer = observer;
  auto set = *TableSet::Make(std::move(options));
  EXPECT_TRUE(set->Create("A", Dim(2, serving)).ok());
  EXPECT_TRUE(set->Create("B", Dim(1, serving)).ok());
  return set;
}

std::vector<float> Row(const TableSet& set, const std::string& table, Fid fid) {
  const auto found = *set.Get(table);
  std::vector<float> row(static_cast<size_t>(found->dim()));
  EXPECT_TRUE(found->Lookup(std::span(&fid, 1), row).ok());
  return row;
}

class ServingRoleTest : public ::testing::Test {
 protected:
  void SetUp() override {
    role_ = std::make_shared<ServingRole>(ServingRoleOptions{.models = {"m:ps_0", "ps_0"},
                                                             .resource = "MonolithMultiHashTable_0",
                                                             .version = 7,
                                                             .max_floats = 100,
                                                             .instance = 99},
                                          *set_, metrics_);
  }
  static PredictRequest Request(const std::string& signature) {
    PredictRequest request;
    request.mutable_model_spec()->set_name("m:ps_0");
    request.mutable_model_spec()->set_signature_name(signature);
    return request;
  }
  static PredictRequest Assign(sync::WireForm form) {
    return sync::ToPredictRequest(
        {.model = "m:ps_0",
         .signature = form == sync::WireForm::kSingle ? "hashtable_assign"
                                                      : "MonolithMultiHashTable_0/raw_assign",
         .form = form,
         .tables = {{.table = "A", .dim = 2, .fids = {1, 2}, .values = {1, 2, 3, 4}},
                    {.table = "B", .dim = 1, .fids = {7}, .values = {5}}}});
  }
  static void SetIds(std::vector<int64_t> ids, tensorflow::TensorProto* tensor) {
    tensor->set_dtype(tensorflow::DT_INT64);
    tensor->mutable_tensor_shape()->add_dim()->set_size(static_cast<int64_t>(ids.size()));
    tensor->mutable_int64_val()->Add(ids.begin(), ids.end());
  }

  telemetry::MetricRegistry metrics_;
  std::unique_ptr<TableSet> set_ = MakeTables(/*serving=*/true);
  std::shared_ptr<ServingRole> role_;
};

TEST_F(ServingRoleTest, TakesRowsInBothForms) {
  for (const sync::WireForm form : {sync::WireForm::kSingle, sync::WireForm::kNative}) {
    ASSERT_TRUE((*set_->Get("A"))->Clear().ok());
    const auto response = role_->Predict(Assign(form));
    ASSERT_TRUE(response.ok()) << response.status().ToString();
    EXPECT_THAT(Row(*set_, "A", 2), ElementsAre(3, 4));
    EXPECT_THAT(Row(*set_, "B", 7), ElementsAre(5));
    EXPECT_EQ(sync::InstanceOf(*response), 99U);
    EXPECT_EQ(response->model_spec().version().value(), 7);
    if (form == sync::WireForm::kSingle) {
      EXPECT_EQ(response->outputs().at("A_result").int_val(0), 2);
      EXPECT_EQ(response->outputs().at("A_result").tensor_shape().dim_size(), 0);
    } else {
      EXPECT_EQ(response->outputs().at("result").int_val(0), 0);
    }
  }
}

TEST_F(ServingRoleTest, ARowOfZerosErases) {
  ASSERT_TRUE(role_->Predict(Assign(sync::WireForm::kNative)).ok());
  PredictRequest request = Assign(sync::WireForm::kNative);
  auto* values = (*request.mutable_inputs())["flat_value"].mutable_float_val();
  values->Set(0, 0);
  values->Set(1, 0);
  ASSERT_TRUE(role_->Predict(request).ok());
  EXPECT_FALSE((*set_->Get("A"))->Contains(1));
  EXPECT_TRUE((*set_->Get("A"))->Contains(2));
}

TEST_F(ServingRoleTest, BadInputChangesNothing) {
  PredictRequest split = Assign(sync::WireForm::kNative);
  (*split.mutable_inputs())["id_split"].set_int64_val(1, 3);
  PredictRequest extra = Assign(sync::WireForm::kSingle);
  SetIds({1}, &(*extra.mutable_inputs())["C_id"]);
  PredictRequest infinite = Assign(sync::WireForm::kSingle);
  (*infinite.mutable_inputs())["B_value"].set_float_val(0, INFINITY);
  PredictRequest dim = Assign(sync::WireForm::kSingle);
  (*dim.mutable_inputs())["A_value"].mutable_tensor_shape()->mutable_dim(1)->set_size(3);
  PredictRequest filter = Assign(sync::WireForm::kSingle);
  filter.add_output_filter("nothing");
  for (const PredictRequest& request : {split, extra, infinite, dim, filter}) {
    EXPECT_EQ(role_->Predict(request).status().code(), Code::kInvalidArgument);
    EXPECT_EQ((*set_->Get("A"))->size(), 0U);
    EXPECT_EQ((*set_->Get("B"))->size(), 0U);
  }
}

TEST_F(ServingRoleTest, ARequestWhoseSenderHasGivenUpChangesNothing) {
  Cancellation given_up;
  given_up.Cancel();
  EXPECT_EQ(role_->Predict(Assign(sync::WireForm::kNative), given_up).status().code(),
            Code::kCancelled);
  EXPECT_EQ((*set_->Get("A"))->size(), 0U);
}

TEST_F(ServingRoleTest, LooksUpRowsInBothForms) {
  ASSERT_TRUE(role_->Predict(Assign(sync::WireForm::kNative)).ok());
  PredictRequest single = Request("lookup");
  SetIds({2, 9}, &(*single.mutable_inputs())["A"]);
  const auto rows = role_->Predict(single);
  ASSERT_TRUE(rows.ok()) << rows.status().ToString();
  EXPECT_THAT(rows->outputs().at("A").float_val(), ElementsAre(3, 4, 0, 0));
  EXPECT_EQ(rows->outputs().size(), 1U);

  PredictRequest native = Request("raw_lookup");
  SetIds({1, 7, 8}, &(*native.mutable_inputs())["id"]);
  SetIds({0, 1, 3}, &(*native.mutable_inputs())["id_split"]);
  const auto flat = role_->Predict(native);
  ASSERT_TRUE(flat.ok()) << flat.status().ToString();
  EXPECT_THAT(flat->outputs().at("flat_emb").float_val(), ElementsAre(1, 2, 5, 0));

  SetIds(std::vector<int64_t>(60, 1), &(*single.mutable_inputs())["A"]);
  single.mutable_inputs()->at("A").mutable_tensor_shape()->clear_dim();
  single.mutable_inputs()->at("A").mutable_int64_val()->Clear();
  SetIds(std::vector<int64_t>(60, 1), &(*single.mutable_inputs())["A"]);
  EXPECT_EQ(role_->Predict(single).status().code(), Code::kResourceExhausted);
}

TEST_F(ServingRoleTest, OtherModelsVersionsAndSignaturesAreRefusedAsStockServersDo) {
  PredictRequest request = Assign(sync::WireForm::kSingle);
  request.mutable_model_spec()->set_name("m:ps_1");
  EXPECT_EQ(role_->Predict(request).status().message(),
            "Servable not found for request: Latest(m:ps_1)");
  request.mutable_model_spec()->set_name("ps_0");
  EXPECT_TRUE(role_->Predict(request).ok());
  request.mutable_model_spec()->mutable_version()->set_value(8);
  EXPECT_EQ(role_->Predict(request).status().message(),
            "Servable not found for request: Specific(ps_0, 8)");
  request.clear_model_spec();
  EXPECT_EQ(role_->Predict(request).status().message(), "Missing ModelSpec");
  const Status signature = role_->Predict(Request("nothing")).status();
  EXPECT_EQ(signature.code(), Code::kFailedPrecondition);
  EXPECT_EQ(signature.message(), "Serving signature key \"nothing\" not found.");
}

TEST_F(ServingRoleTest, TellsItsStatus) {
  tensorflow::serving::GetModelStatusRequest request;
  request.mutable_model_spec()->set_name("m:ps_0");
  role_->SetVersion(8);
  const auto status = role_->GetModelStatus(request);
  ASSERT_TRUE(status.ok());
  EXPECT_EQ(status->model_version_status(0).version(), 8);
  EXPECT_EQ(status->model_version_status(0).state(),
            tensorflow::serving::ModelVersionStatus::AVAILABLE);
  request.mutable_model_spec()->set_name("other");
  EXPECT_EQ(role_->GetModelStatus(request).status().code(), Code::kNotFound);
}

TEST_F(ServingRoleTest, ATrainingServerReachesItOverGrpc) {
  testing::ServiceHost host;
  host.Start([this](ServiceContext& context) -> Result<ServiceList> {
    return MakeServingRole(role_, context.process.threads());
  });
  sync::TouchedSet touched({});
  const auto trainer = MakeTables(/*serving=*/false, &touched);
  sync::SyncOptions options;
  options.push = {
      .model = "m:ps_0", .form = sync::WireForm::kNative, .resource = "MonolithMultiHashTable_0"};
  options.interval = std::chrono::milliseconds(1);
  const auto syncer = *sync::Syncer::Make(
      options,
      {.set = *trainer,
       .touched = touched,
       .resolve = [] { return std::vector<sync::TargetAddress>{{.address = "replica"}}; },
       .connect =
           [&host](const sync::TargetAddress&) { return stubs::MakeSyncTarget(host.channel()); },
       .metrics = metrics_,
       .clock = RealClock()});
  const std::vector<Fid> fids = {1, 2, 3};
  const std::vector<float> values = {1, 2, 3, 4, 5, 6};
  ASSERT_TRUE((*trainer->Get("A"))->Assign(fids, values, 10).ok());
  const auto settle = [&] {
    do {
      syncer->RunOnce();
    } while (touched.GetStats().keys != 0 || syncer->Targets()[0].state.lag_seconds != 0);
  };
  settle();
  EXPECT_THAT(Row(*set_, "A", 3), ElementsAre(5, 6));
  const Fid gone = 2;
  (*trainer->Get("A"))->Erase(std::span(&gone, 1));
  settle();
  EXPECT_FALSE((*set_->Get("A"))->Contains(2));
  EXPECT_TRUE((*set_->Get("A"))->Contains(1));
}

}  // namespace
}  // namespace megalith::services
