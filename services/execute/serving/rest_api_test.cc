// Requests and answers of TensorFlow Serving's REST API (conformance/fixtures/tf-serving/rest),
// asked through a socket.
#include "services/execute/serving/rest_api.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "common/fleet/http/testing/raw_client.h"
#include "common/foundation/base/strings.h"
#include "services/execute/serving/testing/toy_models.h"

namespace megalith::services {
namespace {

using ::megalith::testing::HttpAnswer;
using ::megalith::testing::RawHttpClient;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr char kPredict[] = "/v1/models/half_plus_two:predict";

class RestApiTest : public ::testing::Test {
 protected:
  void SetUp() override {
    models_ = std::make_unique<serving::ModelManager>(
        serving::ManagerOptions{.poll_interval = std::chrono::milliseconds(5),
                                .max_load_retries = 0},
        testing::MakeToyLoader(), RealFileSystem(), RealClock());
    std::vector<serving::ModelConfig> configs;
    for (const char* name : {"half_plus_two", "two_inputs", "text"}) {
      const std::string base = JoinPath(root_.path(), name);
      ASSERT_TRUE(RealFileSystem().MakeDirectory(JoinPath(base, "123")).ok());
      configs.push_back({.name = name, .base_path = base, .platform = "tensorflow"});
    }
    ASSERT_TRUE(models_->Configure(configs, Cancellation()).ok());
    for (serving::ModelConfig& config : configs) config.labels = {{"stable", 123}};
    ASSERT_TRUE(models_->Configure(configs, Cancellation()).ok());
  }

  void Start(RestApiOptions rest = {}, http::ServerOptions options = {}) {
    api_ = std::make_unique<RestApi>(rest, *models_);
    auto server = http::Server::Start(
        options,
        [this](const http::Request& request, const Cancellation& cancellation) {
          return api_->Handle(request, cancellation);
        },
        [this](int status, std::string_view what) { return api_->Refuse(status, what); });
    ASSERT_TRUE(server.ok()) << server.status().ToString();
    server_ = *std::move(server);
  }

  HttpAnswer Ask(std::string_view method, std::string_view path, std::string_view body = "",
                 std::string_view headers = "") {
    RawHttpClient client(server_->address());
    return client.Ask(method, path, body, headers).value_or(HttpAnswer());
  }
  // The sentence of an error, after its HTTP status.
  std::string ErrorOf(std::string_view path, std::string_view body) {
    const HttpAnswer answer = Ask("POST", path, body);
    const auto json = nlohmann::json::parse(answer.body, nullptr, /*allow_exceptions=*/false);
    return StrCat(answer.status, " ", json.value("error", "(no error)"));
  }

  TempDirectory root_;
  std::unique_ptr<serving::ModelManager> models_;
  std::unique_ptr<RestApi> api_;
  std::unique_ptr<http::Server> server_;
};

TEST_F(RestApiTest, AnswersAsTensorFlowServing) {
  Start();
  const std::string folder = StrCat(MEGALITH_SOURCE_DIR, "/conformance/fixtures/tf-serving/rest");
  size_t asked = 0;
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    const auto fixture = nlohmann::json::parse(*RealFileSystem().Read(file.path().string()));
    const std::string name = fixture["case"];
    SCOPED_TRACE(name);
    if (name == "08-status") continue;  // of versions in other states; it has a test of its own
    ++asked;
    const HttpAnswer got =
        Ask(fixture["method"].get<std::string>(), fixture["path"].get<std::string>(),
            fixture["request_body"].get<std::string>());
    EXPECT_EQ(got.status, fixture["http_status"].get<int>());
    EXPECT_EQ(got.headers.at("content-type"), fixture["content_type"].get<std::string>());
    if (fixture["compare"] == "bytes") {
      EXPECT_EQ(got.body, fixture["response_body"].get<std::string>());
    } else {
      EXPECT_EQ(nlohmann::json::parse(got.body), fixture["response_body"]);
    }
  }
  EXPECT_EQ(asked, 13u);
}

TEST_F(RestApiTest, StatusTellsOfEveryVersion) {
  Start();
  const auto want = nlohmann::json::parse(R"({"model_version_status": [{"version": "123",
      "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}]})");
  for (const char* path :
       {"/v1/models/text", "/V1/Models/text/Versions/123", "/v1/models/text/labels/unknown"}) {
    const HttpAnswer got = Ask("GET", path);
    EXPECT_EQ(got.status, 200);
    EXPECT_EQ(nlohmann::json::parse(got.body), want) << path;
  }
  EXPECT_EQ(Ask("GET", "/v1/models/text/versions/9").status, 404);
}

TEST_F(RestApiTest, PathsAndMethodsThatMeanNothingAreRefused) {
  Start();
  EXPECT_EQ(ErrorOf("/v1/models/text", ""), "400 Malformed request: POST /v1/models/text");
  EXPECT_THAT(Ask("GET", kPredict).body, HasSubstr(StrCat("Malformed request: GET ", kPredict)));
  EXPECT_THAT(Ask("DELETE", kPredict).body, HasSubstr("Malformed request: DELETE"));
  EXPECT_THAT(Ask("GET", "/v1/models").body, HasSubstr("Missing model name in request."));
  EXPECT_THAT(Ask("GET", "/v1/models/m/versions/99999999999999999999").body,
              HasSubstr("Failed to convert version: 99999999999999999999 to numeric."));
  EXPECT_EQ(Ask("GET", "/").status, 404);
  EXPECT_EQ(Ask("GET", "/v2/models/text").status, 404);
}

TEST_F(RestApiTest, NamesArePercentDecoded) {
  Start();
  EXPECT_EQ(ErrorOf("/v1/models/a%20b%2F:predict", R"({"instances": [1]})"),
            "404 Servable not found for request: Latest(a b/)");
}

TEST_F(RestApiTest, TensorsThatDoNotFitAreNamed) {
  Start();
  const std::pair<const char*, const char*> cases[] = {
      {"", "400 JSON Parse error: The document is empty"},
      {"{\"instances\": [nan]}", "400 JSON Parse error: Invalid value. at offset: 16"},
      {"{instances: 1}", "400 JSON Parse error: Missing a name for object member. at offset: 1"},
      {"[1]", "400 JSON Value: [\n    1\n] Is not object"},
      {R"({"instances": 1})", "Expecting 'instances' to be an list/array"},
      {R"({"instances": []})", "No values in 'instances' array"},
      {R"({"instances": [1], "inputs": 1})", "Not formatted correctly expecting only one of"},
      {R"({"signature_name": 1})", "'signature_name' key must be a string value."},
      {R"({"instances": [[1], [1, 2]]})",
       "400 Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: "
       "Expecting tensor size: 1 but got: 2"},
      {R"({"instances": [[1], [[1]]]})",
       "400 Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: "
       "Expecting shape [1] but got: [1,1]"},
      {R"({"inputs": [[1, 2], [3]]})",
       "400 Encountered list at unexpected size: 1 at level: 1 expected size: 2"},
      {R"({"instances": [{"z": 1}]})", "key: z of 'instances' list"},
      {R"({"instances": [[1], {"x": [1]}]})",
       "400 Expecting value/list but got object at item 1 of input list"},
      {R"({"inputs": {"z": 1}})", "400 Missing named input: x in 'inputs' object."},
      {R"({"inputs": [1, 2]})", "400 input \"x\": expected shape [?,1], got [2]"},
  };
  for (const auto& [body, want] : cases) EXPECT_THAT(ErrorOf(kPredict, body), HasSubstr(want));
  EXPECT_THAT(ErrorOf("/v1/models/two_inputs:predict", R"({"instances": [[1, 2, 3]]})"),
              HasSubstr("instances is a plain list, but expecting list of objects"));
  EXPECT_THAT(ErrorOf("/v1/models/two_inputs:predict", R"({"inputs": [[1, 2, 3]]})"),
              HasSubstr("inputs is a plain value/list, but expecting an object"));
  EXPECT_THAT(ErrorOf("/v1/models/two_inputs:predict", R"({"instances": [{"a": [1, 2, 3]}]})"),
              HasSubstr("keys must be equal to: a,scale"));
}

TEST_F(RestApiTest, OneInputMayBeNamed) {
  Start();
  EXPECT_EQ(Ask("POST", kPredict, R"({"inputs": {"x": [[1]], "more": 3}})").body,
            "{\n    \"outputs\": [\n        [\n            2.5\n        ]\n    ]\n}");
  EXPECT_EQ(Ask("POST", kPredict, R"({"instances": [{"x": [1]}]})").body,
            "{\n    \"predictions\": [[2.5]\n    ]\n}");
}

TEST_F(RestApiTest, ExamplesThatDoNotFitAreNamed) {
  Start();
  const std::string path = "/v1/models/half_plus_two:regress";
  const auto error = [&](const std::string& rest) {
    return ErrorOf(path, StrCat(R"({"signature_name": "regress_x_to_y")", rest, "}"));
  };
  EXPECT_THAT(error(""), HasSubstr("When method is classify, key 'examples' is expected"));
  EXPECT_THAT(error(R"(, "examples": [])"), HasSubstr("'examples' value is an empty array"));
  EXPECT_EQ(error(R"(, "examples": [1])"), "400 Example must be JSON object but got JSON Number");
  EXPECT_EQ(error(R"(, "examples": [{"x": [1, "a"]}])"),
            "400 Unexpected element type in feature: x expecting type: int64");
  EXPECT_EQ(error(R"(, "examples": [{"x": null}])"),
            "400 Feature: x has element with unexpected JSON type: Null");
  EXPECT_THAT(error(R"(, "examples": [{"x": 1}])"), HasSubstr("Data types don't match."));
  EXPECT_THAT(ErrorOf(path, R"({"signature_name": "nope", "examples": [{}]})"),
              HasSubstr("No signature was found with the name: nope"));
}

TEST_F(RestApiTest, PagesOfOtherOriginsMayAsk) {
  Start({.cors = true});
  const HttpAnswer answer = Ask("GET", "/v1/models/text");
  EXPECT_EQ(answer.headers.at("access-control-allow-origin"), "*");
  EXPECT_EQ(answer.headers.at("access-control-allow-methods"), "POST, GET");
  EXPECT_EQ(Ask("OPTIONS", kPredict, "", "Origin: https://example.org\r\n").status, 200);
  EXPECT_EQ(Ask("OPTIONS", kPredict).status, 400);
}

TEST_F(RestApiTest, WhatNeverReachesTheModelsIsRefusedAsJson) {
  Start({}, {.max_body_bytes = 1000});
  EXPECT_EQ(ErrorOf(kPredict, std::string(2000, ' ')), "413 the body is longer than 1000 bytes");
}

TEST_F(RestApiTest, TensorsBeyondTheLimitAreRefused) {
  Start({.max_input_bytes = 8});
  EXPECT_THAT(ErrorOf(kPredict, R"({"instances": [[1], [2], [3]]})"),
              StartsWith("429 the tensors of the request take more memory"));
}

}  // namespace
}  // namespace megalith::services
