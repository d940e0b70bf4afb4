#include "services/execute/weak_arguments.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace megalith::services {
namespace {

using tensor::ArrayType;
using tensor::DType;
using tensor::Shape;
using tensor::Tensor;
using ::testing::HasSubstr;

// What becomes of a weak scalar where an argument of type `want` is expected.
Result<Tensor> Adapted(Tensor from, DType want, Shape shape = {}) {
  std::vector<Tensor> arguments = {std::move(from)};
  RETURN_IF_ERROR(AdaptWeak({ArrayType{want, std::move(shape), false}}, {true}, &arguments));
  return arguments[0];
}

TEST(AdaptWeakTest, IntegersBecomeEveryKindOfNumber) {
  const Tensor three = Tensor::Scalar(DType::kI32, 3);
  for (const DType want : {DType::kI8, DType::kU8, DType::kI64, DType::kU64, DType::kF16,
                           DType::kBF16, DType::kF32, DType::kF64, DType::kC64, DType::kC128}) {
    const auto got = Adapted(three, want);
    ASSERT_TRUE(got.ok()) << got.status().ToString();
    EXPECT_EQ(got->dtype(), want) << tensor::Name(want);
    EXPECT_EQ(got->ComplexAt(0), 3.0) << tensor::Name(want);
  }
}

TEST(AdaptWeakTest, FloatsAreRounded) {
  EXPECT_EQ(Adapted(Tensor::Scalar(DType::kF64, 0.1), DType::kF32)->DoubleAt(0), 0.1f);
  EXPECT_EQ(Adapted(Tensor::Scalar(DType::kF64, 1e300), DType::kF32)->DoubleAt(0), INFINITY);
  EXPECT_TRUE(std::isnan(Adapted(Tensor::Scalar(DType::kF32, NAN), DType::kF64)->DoubleAt(0)));
  EXPECT_EQ(Adapted(Tensor::Scalar(DType::kF32, 0.5), DType::kC64)->ComplexAt(0), 0.5);
}

// Promotion goes up only, and booleans are no numbers.
TEST(AdaptWeakTest, WhatWouldLoseItsKindStays) {
  EXPECT_EQ(Adapted(Tensor::Scalar(DType::kF32, 1.0), DType::kI32)->dtype(), DType::kF32);
  EXPECT_EQ(Adapted(Tensor::Scalar(DType::kC64, std::complex<double>(1)), DType::kF32)->dtype(),
            DType::kC64);
  EXPECT_EQ(Adapted(Tensor::Scalar(DType::kI32, 1), DType::kBool)->dtype(), DType::kI32);
  EXPECT_EQ(Adapted(Tensor::Scalar(DType::kBool, 1), DType::kF32)->dtype(), DType::kBool);
  EXPECT_EQ(Adapted(Tensor::Scalar(DType::kI32, 1), DType::kF32, {1})->dtype(), DType::kI32);
}

TEST(AdaptWeakTest, IntegersThatDoNotFitAreRefused) {
  const auto refused = [](DType from, int64_t value, DType want) {
    const auto got = Adapted(Tensor::Scalar(from, value), want);
    EXPECT_EQ(got.status().code(), Code::kInvalidArgument) << value << tensor::Name(want);
    return std::string(got.status().message());
  };
  EXPECT_THAT(refused(DType::kI32, 300, DType::kI8), HasSubstr("argument 0"));
  EXPECT_THAT(refused(DType::kI32, 300, DType::kI8), HasSubstr("300 does not fit i8"));
  refused(DType::kI64, int64_t{1} << 40, DType::kI32);
  refused(DType::kI32, -1, DType::kU8);
  refused(DType::kI32, -1, DType::kU64);
  EXPECT_THAT(refused(DType::kU64, -1, DType::kI64), HasSubstr("18446744073709551615"));
  EXPECT_EQ(Adapted(Tensor::Scalar(DType::kU64, int64_t{-1}), DType::kF64)->DoubleAt(0), 0x1p64);
}

TEST(AdaptWeakTest, StrongArgumentsStay) {
  std::vector<Tensor> arguments = {Tensor::Scalar(DType::kI32, 1), Tensor::Scalar(DType::kI32, 1)};
  const ArrayType f32{DType::kF32, {}, false};
  ASSERT_TRUE(AdaptWeak({f32, f32}, {false}, &arguments).ok());
  for (const Tensor& t : arguments) EXPECT_EQ(t.dtype(), DType::kI32);
}

}  // namespace
}  // namespace megalith::services
