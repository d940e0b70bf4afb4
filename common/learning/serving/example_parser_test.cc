#include "common/learning/serving/example_parser.h"

#include <gtest/gtest.h>

#include "common/foundation/base/strings.h"
#include "common/learning/records/wire.h"

namespace megalith::serving {
namespace {

using records::WireWriter;

// A serialized Example of one feature, whose kind is 1 (bytes), 2 (float) or 3 (int64).
template <typename WriteValues>
std::string Example(const std::string& key, uint32_t kind, const WriteValues& write) {
  std::string out;
  WireWriter writer(&out);
  const size_t features = writer.Begin(1);
  const size_t entry = writer.Begin(1);
  writer.Bytes(1, key);
  const size_t feature = writer.Begin(2);
  const size_t list = writer.Begin(kind);
  write(writer);
  for (const size_t begun : {list, feature, entry, features}) writer.End(begun);
  return out;
}

std::string Floats(const std::string& key, const std::vector<float>& values) {
  return Example(key, 2, [&](WireWriter& w) { w.UnpackedFloats(1, values); });
}

std::string Ints(const std::string& key, int64_t value) {
  return Example(key, 3, [&](WireWriter& w) { w.Varint(1, static_cast<uint64_t>(value)); });
}

Feature X() { return {.key = "x", .dtype = DataType::kFloat, .length = 1}; }

Status Parse(const Feature& feature, const std::vector<std::string>& examples, Value* out) {
  std::vector<Value> arguments(1);
  const Status status = ParseExamples({feature}, examples, &arguments);
  *out = arguments[0];
  return status;
}

TEST(ParseExamplesTest, OneRowForEachExample) {
  Value value;
  ASSERT_TRUE(Parse(X(), {Floats("x", {1}), Floats("x", {-2.5})}, &value).ok());
  EXPECT_EQ(value.tensor.TypeText(), "f32[2,1]");
  EXPECT_EQ(tensor::ValueText(value.tensor), "[[1], [-2.5]]");
}

TEST(ParseExamplesTest, AScalarFeatureHasNoDimensionOfItsOwn) {
  Value value;
  Feature feature = {.key = "n", .dtype = DataType::kInt32, .length = 1, .scalar = true};
  ASSERT_TRUE(Parse(feature, {Ints("n", -7), Ints("n", 8)}, &value).ok());
  EXPECT_EQ(value.tensor.TypeText(), "i32[2]");
  EXPECT_EQ(value.tensor.IntAt(0), -7);
}

TEST(ParseExamplesTest, TheExamplesOwnFeatureWinsOverThatInFrontOfIt) {
  Value value;
  ASSERT_TRUE(Parse(X(), {Floats("x", {1}) + Floats("x", {2})}, &value).ok());
  EXPECT_EQ(tensor::ValueText(value.tensor), "[[2]]");
}

TEST(ParseExamplesTest, OthersFeaturesAreSkipped) {
  Value value;
  EXPECT_TRUE(Parse(X(), {Ints("other", 1) + Floats("x", {2})}, &value).ok());
}

TEST(ParseExamplesTest, TextsAreThoseOfTensorFlow) {
  Value value;
  EXPECT_EQ(Parse(X(), {Ints("x", 1)}, &value).message(),
            "Name: <unknown>, Key: x, Index: 0.  Data types don't match. Data type: int64 but "
            "expected type: float");
  EXPECT_EQ(Parse(X(), {Floats("y", {1})}, &value).message(),
            "Name: <unknown>, Feature: x (data type: float) is required but could not be found.");
  EXPECT_EQ(Parse(X(), {Floats("x", {1, 2})}, &value).message(),
            "Name: <unknown>, Key: x, Index: 0.  Number of float values != expected.  Values size: "
            "2 but output shape: [1]");
}

TEST(ParseExamplesTest, WhatIsMissingIsItsDefault) {
  Feature feature = X();
  feature.required = false;
  Value value;
  ASSERT_TRUE(Parse(feature, {Floats("x", {1}), ""}, &value).ok());
  EXPECT_EQ(tensor::ValueText(value.tensor), "[[1], [0]]");
  tensor::Tensor nine = *tensor::Tensor::Create(tensor::DType::kF32, {1});
  nine.SetDouble(0, 9);
  feature.default_value = Value::Of(nine);
  ASSERT_TRUE(Parse(feature, {"", Floats("x", {1})}, &value).ok());
  EXPECT_EQ(tensor::ValueText(value.tensor), "[[9], [1]]");
}

TEST(ParseExamplesTest, StringsKeepTheirBytes) {
  Value value;
  const std::string bytes("\xff\0a", 3);
  const Feature feature = {.key = "s", .dtype = DataType::kString, .length = 1, .scalar = true};
  ASSERT_TRUE(
      Parse(feature, {Example("s", 1, [&](WireWriter& w) { w.Bytes(1, bytes); })}, &value).ok());
  EXPECT_EQ(value.strings, std::vector<std::string>{bytes});
}

TEST(ParseExamplesTest, EveryCutIsRefusedOrRead) {
  const std::string whole = Floats("x", {1, 2, 3});
  Value value;
  for (size_t size = 0; size < whole.size(); ++size) {
    const Status status = Parse(X(), {whole.substr(0, size)}, &value);
    EXPECT_EQ(status.code(), Code::kInvalidArgument) << size;
  }
}

TEST(ParseExamplesTest, AFeatureOfAnyLengthCannotTakeAllMemory) {
  Feature feature = X();
  feature.length = int64_t{1} << 40;
  Value value;
  EXPECT_EQ(Parse(feature, {"", "", ""}, &value).code(), Code::kResourceExhausted);
}

}  // namespace
}  // namespace megalith::serving
