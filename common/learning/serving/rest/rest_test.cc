#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "common/foundation/base/strings.h"
#include "common/learning/serving/rest/json_writer.h"
#include "common/learning/serving/rest/rest_request.h"
#include "common/learning/serving/rest/rest_response.h"
#include "common/learning/serving/rest/rest_url.h"

namespace megalith::serving {
namespace {

std::string FloatText(float value) {
  std::string out;
  JsonWriter(&out).Float(value);
  return out;
}

std::string DoubleText(double value) {
  std::string out;
  JsonWriter(&out).Double(value);
  return out;
}

TEST(JsonWriterTest, NumbersAreAsShortAsTheyReadBack) {
  EXPECT_EQ(FloatText(2.5f), "2.5");
  EXPECT_EQ(FloatText(3), "3.0");
  EXPECT_EQ(FloatText(-0.0f), "-0.0");
  EXPECT_EQ(FloatText(0.2f), "0.2");
  EXPECT_EQ(FloatText(9e6f), "9e+06");
  EXPECT_EQ(FloatText(3e-5f), "3e-05");
  EXPECT_EQ(FloatText(1.0f / 3), "0.333333343");
  EXPECT_EQ(FloatText(16777217), "16777216.0");
  EXPECT_EQ(DoubleText(1.0 / 3), "0.33333333333333331");
  EXPECT_EQ(DoubleText(0.1), "0.1");
  EXPECT_EQ(FloatText(std::nanf("")), "NaN");
  EXPECT_EQ(DoubleText(-std::numeric_limits<double>::infinity()), "-Infinity");
}

TEST(JsonWriterTest, OnlyWhatJsonForbidsIsEscaped) {
  std::string out;
  JsonWriter(&out).String("a\"\\\n\x01\x1f/\xff\xc3\xa9");
  EXPECT_EQ(out, "\"a\\\"\\\\\\n\\u0001\\u001F/\xff\xc3\xa9\"");
}

// The message of a text that is no JSON, after its beginning.
std::string ParseError(std::string_view text) {
  const auto document = JsonDocument::Parse(text);
  if (document.ok()) return "(none)";
  return document.status().message().substr(std::string_view("JSON Parse error: ").size());
}

TEST(JsonDocumentTest, ErrorsSayWhatAndWhere) {
  EXPECT_EQ(ParseError(""), "The document is empty");
  EXPECT_EQ(ParseError("  "), "The document is empty. at offset: 2");
  EXPECT_EQ(ParseError("nul"), "Invalid value. at offset: 3");
  EXPECT_EQ(ParseError("[1,]"), "Invalid value. at offset: 3");
  EXPECT_EQ(ParseError("[1 2]"), "Missing a comma or ] after an array element. at offset: 3");
  EXPECT_EQ(ParseError("{\"a\" 1}"), "Missing a colon after a name of object member. at offset: 5");
  EXPECT_EQ(ParseError("{\"a\": 1"), "Missing a comma or } after an object member. at offset: 7");
  EXPECT_EQ(ParseError("{a: 1}"), "Missing a name for object member. at offset: 1");
  EXPECT_EQ(ParseError("[1.]"), "Miss fraction part in number. at offset: 3");
  EXPECT_EQ(ParseError("[1e]"), "Miss exponent in number. at offset: 3");
  EXPECT_EQ(ParseError("[1e999]"), "Number too big to be stored in double. at offset: 1");
  EXPECT_EQ(ParseError("[\"a"), "Missing a closing quotation mark in string. at offset: 3");
  EXPECT_EQ(ParseError("[\"\\x\"]"), "Invalid escape character in string. at offset: 2");
  EXPECT_EQ(ParseError("[\"\\u12g4\"]"),
            "Incorrect hex digit after \\u escape in string. at offset: 2");
  EXPECT_EQ(ParseError("[\"\\udc00\"]"), "The surrogate pair in string is invalid. at offset: 2");
  EXPECT_EQ(ParseError("{} and more"), "(none)");
}

TEST(JsonDocumentTest, NumbersAreWhatTheySay) {
  const auto document = JsonDocument::Parse(
      "[-9223372036854775808, 18446744073709551615, 18446744073709551616, 1e-400, -Inf, NaN, 1.0]");
  ASSERT_TRUE(document.ok());
  std::vector<JsonValue> values;
  ASSERT_TRUE(document->root()
                  .ForEach([&](JsonValue v) {
                    values.push_back(v);
                    return OkStatus();
                  })
                  .ok());
  EXPECT_EQ(values[0].as_int64(), std::numeric_limits<int64_t>::min());
  EXPECT_EQ(values[1].as_uint64(), std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(values[1].as_int64(), std::nullopt);
  EXPECT_EQ(values[2].kind(), JsonKind::kDouble);
  EXPECT_EQ(values[3].number(), 0.0);
  EXPECT_EQ(values[4].number(), -std::numeric_limits<double>::infinity());
  EXPECT_TRUE(std::isnan(values[5].number()));
  EXPECT_EQ(values[6].kind(), JsonKind::kDouble);
}

TEST(JsonDocumentTest, NestingHasALimit) {
  const std::string deep(JsonDocument::kMaxDepth, '[');
  EXPECT_TRUE(JsonDocument::Parse(deep + std::string(deep.size(), ']')).ok());
  EXPECT_EQ(JsonDocument::Parse(std::string(1 << 20, '[')).status().code(), Code::kInvalidArgument);
}

TEST(JsonDocumentTest, StringsAreUnescaped) {
  const auto document = JsonDocument::Parse("\"\\u00e9\\ud83d\\ude00\\t/\"");
  ASSERT_TRUE(document.ok());
  EXPECT_EQ(document->root().text(), "\xc3\xa9\xf0\x9f\x98\x80\t/");
}

TEST(JsonTextTest, LongValuesAreCut) {
  const auto document = JsonDocument::Parse(StrCat("\"", std::string(100'000, 'a'), "\""));
  ASSERT_TRUE(document.ok());
  EXPECT_LT(JsonTextOf(document->root()).size(), 300u);
}

TEST(RestResponseTest, TypesWithoutJsonAreRefused) {
  Outputs outputs;
  outputs["y"] = Value::Of(*tensor::Tensor::Create(tensor::DType::kF16, {1}));
  const auto body = RestPredictions(outputs, RestFormat::kRows);
  EXPECT_EQ(body.status().message(), "Failed to write JSON value for tensor type: half");
  outputs["y"] = Value::Of(*tensor::Tensor::Create(tensor::DType::kF32, {}));
  EXPECT_EQ(RestPredictions(outputs, RestFormat::kRows).status().message(),
            "Tensor name: y has no shape information ");
  outputs["y"] = Value::Of(*tensor::Tensor::Create(tensor::DType::kF32, {2}));
  outputs["z"] = Value::Of(*tensor::Tensor::Create(tensor::DType::kF32, {3}));
  EXPECT_EQ(RestPredictions(outputs, RestFormat::kRows).status().message(),
            "Tensor name: z has inconsistent batch size: 3 expecting: 2");
}

TEST(RestUrlTest, VersionsAndLabelsAreTold) {
  const auto version = ParseRestPath("POST", "/V1/MODELS/Ranker/VERSIONS/0007:Predict");
  ASSERT_TRUE(version.ok()) << version.status().ToString();
  EXPECT_EQ(version->servable.name, "Ranker");
  EXPECT_EQ(version->servable.version, 7);
  const auto label = ParseRestPath("GET", "/v1/models/m/labels/a-b/metadata");
  ASSERT_TRUE(label.ok()) << label.status().ToString();
  EXPECT_EQ(label->servable.label, "a-b");
  EXPECT_EQ(label->action, RestAction::kMetadata);
  // A model may be called so.
  EXPECT_EQ(ParseRestPath("GET", "/v1/models/metadata")->servable.name, "metadata");
  for (const char* path :
       {"/v1/models/m:train", "/v1/models/:predict", "/v1/models/m/versions/x:predict",
        "/v1/models/m/more/1:predict", "/v1/models/m/:predict", "/v1/models/m"})
    EXPECT_FALSE(ParseRestPath("POST", path).ok()) << path;
}

}  // namespace
}  // namespace megalith::serving
