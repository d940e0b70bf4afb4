// A model server as its configuration makes it: the REST port, batches, metrics, reloads.
#include "services/execute/serving/model_serving.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

#include "common/fleet/http/testing/raw_client.h"
#include "common/foundation/base/strings.h"
#include "common/machines/backends/backends.h"

namespace megalith::services {
namespace {

namespace tfs = tensorflow::serving;
using ::megalith::testing::HttpAnswer;
using ::megalith::testing::RawHttpClient;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kProgram[] = R"(module @m {
  func.func public @main(%arg0: tensor<4x1xf32>) -> tensor<4x1xf32> {
    %0 = stablehlo.add %arg0, %arg0 : tensor<4x1xf32>
    return %0 : tensor<4x1xf32>
  }
}
)";

constexpr char kSignatures[] = R"(format: 1
signature {
  name: "serving_default" method: PREDICT program: "model.mlir"
  input { name: "x" argument: 0 dtype: DT_FLOAT dim: "b" dim: "1" }
  output { name: "y" argument: 0 dtype: DT_FLOAT dim: "b" dim: "1" }
  batch_size: 4
}
)";

constexpr char kPredict[] = "/v1/models/default:predict";
constexpr char kMetrics[] = "/monitoring/prometheus/metrics";

class ModelServingTest : public ::testing::Test {
 protected:
  std::string Write(const std::string& name, std::string_view text) {
    const std::string path = JoinPath(root_.path(), name);
    EXPECT_TRUE(RealFileSystem().WriteAtomically(path, text).ok());
    return path;
  }

  Status Start(ModelServingConfig config) {
    EXPECT_TRUE(RealFileSystem().MakeDirectory(JoinPath(root_.path(), "m/1")).ok());
    Write("m/1/model.mlir", kProgram);
    Write("m/1/signatures.pbtxt", kSignatures);
    config.model_base_path = JoinPath(root_.path(), "m");
    config.max_num_load_retries = 0;
    auto serving = ModelServing::Start(config, machines::AllBackends(), RealFileSystem(),
                                       RealClock(), Cancellation());
    RETURN_IF_ERROR(serving.status());
    serving_ = *std::move(serving);
    return serving_->StartRest({}, /*port=*/0);
  }

  HttpAnswer Ask(std::string_view method, std::string_view path, std::string_view body = "") {
    RawHttpClient client(serving_->rest_address());
    return client.Ask(method, path, body).value_or(HttpAnswer());
  }

  TempDirectory root_;
  std::unique_ptr<ModelServing> serving_;
};

TEST_F(ModelServingTest, RequestsOfSeveralCallersRunTogether) {
  const std::string file = Write("batching", R"(
      max_batch_size { value: 4 } batch_timeout_micros { value: 60000000 }
      thread_pool_name { value: "pool" } num_batch_threads { value: 1 })");
  ModelServingConfig config;
  config.enable_batching = true;
  config.batching_parameters_file = file;
  ASSERT_TRUE(Start(config).ok());
  // The batch of four is full with the fourth of them; none alone would run for a minute.
  std::vector<std::future<std::string>> answers;
  for (int i = 0; i < 4; ++i) {
    answers.push_back(std::async(std::launch::async, [this, i] {
      return Ask("POST", kPredict, StrCat("{\"instances\": [[", i, "]]}")).body;
    }));
  }
  for (int i = 0; i < 4; ++i)
    EXPECT_THAT(answers[static_cast<size_t>(i)].get(), HasSubstr(StrCat("[[", 2 * i, ".0]")));
  EXPECT_THAT(
      serving_->metrics().Render(),
      AllOf(HasSubstr("batching_session:wrapped_run_count{} 4\n"),
            HasSubstr("batching_session:queuing_latency_count{thread_pool_name=\"pool\"} 1\n"),
            HasSubstr("batching_session:processed_batch_size_sum{} 4\n")));
}

TEST_F(ModelServingTest, MetricsHaveTheirNamesOnTheRestPort) {
  const std::string file = Write("monitoring", "prometheus_config { enable: true }");
  ModelServingConfig config;
  config.monitoring_config_file = file;
  ASSERT_TRUE(Start(config).ok());
  EXPECT_EQ(Ask("POST", kPredict, R"({"instances": [[1.0]]})").status, 200);
  EXPECT_EQ(Ask("POST", kPredict, "{}").status, 400);
  const HttpAnswer metrics = Ask("GET", kMetrics);
  EXPECT_EQ(metrics.status, 200);
  EXPECT_EQ(metrics.headers.at("content-type"), "text/plain");
  EXPECT_THAT(
      metrics.body,
      AllOf(HasSubstr("request_count{model_name=\"default\",status=\"OK\"} 1\n"),
            HasSubstr("request_count{model_name=\"default\",status=\"INVALID_ARGUMENT\"} 1\n"),
            HasSubstr("request_latency_count{model_name=\"default\",API=\"predict\","
                      "entrypoint=\"REST\"} 1\n"),
            HasSubstr("runtime_latency_count{model_name=\"default\",API=\"predict\","
                      "runtime=\"TF1\"} 1\n")));
  const HttpAnswer below = Ask("GET", StrCat(kMetrics, "/x"));
  EXPECT_EQ(below.status, 400);
  EXPECT_EQ(below.body, StrCat("Unexpected path: ", kMetrics, "/x. Should be ", kMetrics));
}

TEST_F(ModelServingTest, MetricsAreNotOfferedUnlessAskedFor) {
  ASSERT_TRUE(Start({}).ok());
  EXPECT_EQ(Ask("GET", kMetrics).status, 404);
}

TEST_F(ModelServingTest, SettingsThatContradictEachOtherAreRefused) {
  ModelServingConfig config;
  config.batching_parameters_file = Write("batching", "");
  EXPECT_THAT(Start(config).message(), HasSubstr("without enable_batching"));
  config.enable_batching = true;
  config.batching_parameters_file =
      Write("batching", "max_batch_size { value: 8 } allowed_batch_sizes: 4");
  EXPECT_THAT(Start(config).message(), HasSubstr("last entry was 4; expected 8"));
  config.batching_parameters_file = Write("batching", "max_batch_size: 8");
  EXPECT_THAT(Start(config).message(), HasSubstr("line 1, column"));
  config = {};
  config.monitoring_config_file = Write("monitoring", "prometheus_config { enable: true }");
  ASSERT_TRUE(Start(config).ok());
  EXPECT_THAT(serving_->StartRest({}).message(), HasSubstr("give rest_api_port too"));
}

TEST_F(ModelServingTest, TheRestPortIsNotThatOfGrpc) {
  ModelServingConfig config;
  config.rest_api_port = 8500;
  ASSERT_TRUE(Start(config).ok());
  EXPECT_THAT(serving_->StartRest({"127.0.0.1:8500"}).message(),
              HasSubstr("rest_api_port must be another one"));
}

TEST_F(ModelServingTest, AVersionWithoutItsOwnParametersIsNotBatched) {
  ModelServingConfig config;
  config.enable_per_model_batching_parameters = true;
  ASSERT_TRUE(Start(config).ok());
  EXPECT_EQ(Ask("POST", kPredict, R"({"instances": [[1.0]]})").status, 200);
  EXPECT_THAT(serving_->metrics().Render(), Not(HasSubstr("batching_session")));
}

TEST_F(ModelServingTest, AVersionHasItsOwnParameters) {
  ASSERT_TRUE(RealFileSystem().MakeDirectory(JoinPath(root_.path(), "m/1")).ok());
  Write("m/1/batching_params.pbtxt", "max_batch_size { value: 2 }");
  ModelServingConfig config;
  config.enable_per_model_batching_parameters = true;
  ASSERT_TRUE(Start(config).ok());
  const HttpAnswer answer = Ask("POST", kPredict, R"({"instances": [[1], [2], [3]]})");
  EXPECT_EQ(answer.status, 400);
  EXPECT_THAT(answer.body, HasSubstr("Task size 3 is larger than maximum input batch size 2"));
}

TEST_F(ModelServingTest, AReloadTellsWhatMetricsGained) {
  ASSERT_TRUE(Start({}).ok());
  EXPECT_EQ(Ask("POST", kPredict, R"({"instances": [[1.0]]})").status, 200);
  tfs::ReloadConfigRequest request;
  auto* model = request.mutable_config()->mutable_model_config_list()->add_config();
  model->set_name("default");
  model->set_base_path(JoinPath(root_.path(), "m"));
  model->set_model_platform("tensorflow");
  request.add_metric_names("/tensorflow/serving/request_count");
  request.add_metric_names("/nonsense");
  const auto response = serving_->server().HandleReloadConfig(request, Cancellation());
  ASSERT_TRUE(response.ok()) << response.status().ToString();
  ASSERT_EQ(response->metric_size(), 2);
  EXPECT_EQ(response->metric(0).name(), "/tensorflow/serving/request_count");
  EXPECT_EQ(response->metric(0).int64_value_increase(), 0);  // no request came meanwhile
}

TEST_F(ModelServingTest, TheDrainAnswersNobodyAfterwards) {
  ASSERT_TRUE(Start({}).ok());
  const std::string address = serving_->rest_address();
  serving_->DrainRest(std::chrono::milliseconds(1000));
  EXPECT_FALSE(RawHttpClient(address).connected());
}

}  // namespace
}  // namespace megalith::services
