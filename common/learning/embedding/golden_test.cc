// Combiners and schedules against what Monolith's own code answered (conformance/fixtures/layers).
#include <gtest/gtest.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "common/foundation/base/file_system.h"
#include "common/foundation/base/strings.h"
#include "common/learning/embedding/combiners.h"
#include "common/learning/embedding/learning_rate.h"

namespace megalith::embedding {
namespace {

using Json = nlohmann::json;

std::vector<Json> Lines(const std::string& name) {
  const std::string text =
      *RealFileSystem().Read(MEGALITH_SOURCE_DIR "/conformance/fixtures/layers/" + name, 1 << 24);
  std::vector<Json> out;
  for (const std::string_view line : Split(text, '\n')) {
    if (!line.empty()) out.push_back(Json::parse(line));
  }
  return out;
}

std::vector<float> FloatsOf(const Json& tensor) {
  const auto bytes = *Base64Decode(tensor["data"].get<std::string>());
  std::vector<float> out(bytes.size() / sizeof(float));
  std::memcpy(out.data(), bytes.data(), bytes.size());
  return out;
}

void ExpectClose(const std::vector<float>& got, const std::vector<float>& want, float tolerance) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) {
    EXPECT_NEAR(got[i], want[i], tolerance * (1 + std::fabs(want[i]))) << i;
  }
}

TEST(EmbeddingGoldenTest, CombinersAgreeForwardAndBackward) {
  const std::map<std::string, std::string> names = {{"ReduceSum", "sum"},
                                                    {"ReduceMean", "mean"},
                                                    {"reduce_sqrtn", "sqrtn"},
                                                    {"FirstN", "first_n"}};
  const std::vector<Json> lines = Lines("combiners.jsonl");
  EXPECT_EQ(lines.size(), 8U);
  for (const Json& line : lines) {
    SCOPED_TRACE(line["id"].get<std::string>());
    const Combiner combiner = *Combiner::Make(names.at(line["class"].get<std::string>()),
                                              line["config"].value("seq_length", 0));
    std::vector<int64_t> splits = {0};
    for (const Json& n : line["row_lengths"]) splits.push_back(splits.back() + n.get<int64_t>());
    const Json& embedding = line["inputs"]["embedding"];
    const Bags bags{.splits = splits, .dim = embedding["shape"][1].get<int64_t>()};
    const std::vector<float> rows = FloatsOf(embedding);
    const std::vector<float> wanted = FloatsOf(line["outputs"][0]);
    std::vector<float> out(wanted.size());
    ASSERT_TRUE(combiner.Forward(bags, rows, out).ok());
    ExpectClose(out, wanted, 1e-5F);
    std::vector<float> gradients(rows.size());
    ASSERT_TRUE(combiner.Backward(bags, rows, FloatsOf(line["cotangents"][0]), gradients).ok());
    ExpectClose(gradients, FloatsOf(line["grads"]["inputs"]["embedding"]), 1e-5F);
  }
}

TEST(EmbeddingGoldenTest, PolynomialDecaysAgree) {
  int checked = 0;
  for (const Json& line : Lines("schedules.jsonl")) {
    if (line["class"] != "PolynomialDecay") continue;
    SCOPED_TRACE(line["id"].get<std::string>());
    const Json& config = line["config"];
    PolynomialDecay schedule{.initial = config["initial_learning_rate"].get<float>(),
                             .decay_steps = config["decay_steps"].get<int64_t>()};
    schedule.end = config.value("end_learning_rate", schedule.end);
    schedule.power = config.value("power", schedule.power);
    schedule.cycle = config.value("cycle", schedule.cycle);
    ASSERT_TRUE(Check(schedule).ok());
    std::vector<float> got;
    for (const Json& step : line["steps"]) got.push_back(RateAt(schedule, step.get<int64_t>()));
    ExpectClose(got, FloatsOf(line["values"]), 1e-6F);
    ++checked;
  }
  EXPECT_EQ(checked, 2);
}

}  // namespace
}  // namespace megalith::embedding
