#include "common/foundation/tensor/tensor_proto.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/foundation/base/strings.h"

namespace megalith::tensor {
namespace {

using ::testing::HasSubstr;

common::v1::TensorProto Wire(const std::string& dtype, std::initializer_list<int64_t> dims,
                             size_t bytes) {
  common::v1::TensorProto proto;
  proto.set_dtype(dtype);
  for (const int64_t d : dims) proto.add_dims(d);
  proto.set_data(std::string(bytes, '\0'));
  return proto;
}

TEST(TensorProtoTest, EveryDTypeRoundTrips) {
  for (int i = 1; i < kNumDTypes; ++i) {
    const auto dtype = static_cast<DType>(i);
    const Result<Tensor> t = Tensor::Create(dtype, Shape{2, 3});
    ASSERT_TRUE(t.ok()) << Name(dtype);
    const Result<Tensor> back = TensorFromProto(TensorToProto(*t));
    ASSERT_TRUE(back.ok()) << back.status().ToString();
    EXPECT_TRUE(back->BitEquals(*t)) << Name(dtype);
  }
}

TEST(TensorProtoTest, TypesKeepTheWeakFlag) {
  const ArrayType type{.dtype = DType::kBF16, .shape = Shape{4, 0}, .weak_type = true};
  EXPECT_EQ(*TypeFromProto(TypeToProto(type)), type);
}

TEST(TensorProtoTest, MalformedArraysAreErrors) {
  EXPECT_THAT(TensorFromProto(Wire("f99", {}, 4)).status().ToString(),
              HasSubstr("unknown dtype 'f99'"));
  EXPECT_EQ(TensorFromProto(Wire("f32", {2}, 7)).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(TensorFromProto(Wire("f32", {-1}, 0)).status().code(), Code::kInvalidArgument);
  EXPECT_FALSE(TensorFromProto(Wire("f32", {INT64_MAX, INT64_MAX}, 4)).ok());
  EXPECT_EQ(TensorFromProto(Wire("f32", {2}, 8), 7).status().code(), Code::kResourceExhausted);
  common::v1::TensorProto deep = Wire("f32", {}, 4);
  for (int i = 0; i <= kMaxWireRank; ++i) deep.add_dims(1);
  EXPECT_THAT(TensorFromProto(deep).status().ToString(), HasSubstr("65 dimensions"));
  common::v1::TensorProto two = Wire("bool", {}, 1);
  two.set_data("\x02");
  EXPECT_EQ(TensorFromProto(two).status().code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace megalith::tensor
