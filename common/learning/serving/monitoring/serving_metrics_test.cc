#include "common/learning/serving/monitoring/serving_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace megalith::serving {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(ServingMetricsTest, RequestsAreCountedByModelAndStatus) {
  ServingMetrics metrics;
  metrics.OnRequest("ranker", Code::kOk, "Predict", "GRPC", 0.001);
  metrics.OnRequest("a\"b\\c", Code::kNotFound, "Predict", "GRPC", 0.001);
  const std::string text = metrics.Render();
  EXPECT_THAT(text, HasSubstr("# TYPE :tensorflow:serving:request_count counter\n"));
  EXPECT_THAT(
      text,
      HasSubstr(":tensorflow:serving:request_count{model_name=\"ranker\",status=\"OK\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("{model_name=\"a\\\"b\\\\c\",status=\"NOT_FOUND\"} 1\n"));
  EXPECT_THAT(text, Not(HasSubstr("# HELP")));
}

TEST(ServingMetricsTest, OnlySuccessesHaveALatency) {
  ServingMetrics metrics;
  metrics.OnRequest("ranker", Code::kNotFound, "Predict", "GRPC", 0.001);
  EXPECT_THAT(metrics.Render(), Not(HasSubstr("request_latency")));
  metrics.OnRequest("ranker", Code::kOk, "predict", "REST", 15e-6);
  const std::string labels = R"(model_name="ranker",API="predict",entrypoint="REST")";
  EXPECT_THAT(
      metrics.Render(),
      AllOf(HasSubstr(":tensorflow:serving:request_latency_bucket{" + labels + ",le=\"10\"} 0\n"),
            HasSubstr(":tensorflow:serving:request_latency_bucket{" + labels + ",le=\"18\"} 1\n"),
            HasSubstr(":tensorflow:serving:request_latency_bucket{" + labels + ",le=\"+Inf\"} 1\n"),
            HasSubstr(":tensorflow:serving:request_latency_sum{" + labels + "} 15\n"),
            HasSubstr(":tensorflow:serving:request_latency_count{" + labels + "} 1\n")));
}

TEST(ServingMetricsTest, ScalarsWithoutLabelsHaveBraces) {
  ServingMetrics metrics;
  BatchMetrics batches(metrics, "batch_threads");
  batches.OnRequest(3);
  batches.OnBatch(3, 4, std::chrono::microseconds(7));
  EXPECT_THAT(metrics.Render(),
              AllOf(HasSubstr(":tensorflow:serving:batching_session:wrapped_run_count{} 1\n"),
                    HasSubstr("queuing_latency_count{thread_pool_name=\"batch_threads\"} 1\n"),
                    HasSubstr("padding_size_sum{execution_batch_size=\"4\"} 1\n"),
                    HasSubstr("processed_batch_size_bucket{le=\"4\"} 1\n")));
}

TEST(ServingMetricsTest, AMetricIsFoundByItsInternalName) {
  ServingMetrics metrics;
  EXPECT_EQ(metrics.FirstValueOf("/tensorflow/serving/request_count"), 0);
  metrics.OnRequest("ranker", Code::kOk, "Predict", "GRPC", 0.001);
  EXPECT_EQ(metrics.FirstValueOf("/tensorflow/serving/request_count"), 1);
  EXPECT_EQ(metrics.FirstValueOf("/nonsense"), 0);
}

}  // namespace
}  // namespace megalith::serving
