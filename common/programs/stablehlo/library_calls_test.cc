// Custom calls with a meaning of their own, by what their results must satisfy.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "common/foundation/base/strings.h"
#include "common/programs/stablehlo/evaluate.h"
#include "common/programs/stablehlo/test_util.h"

namespace megalith::stablehlo {
namespace {

using Doubles = std::vector<double>;

Tensor F64(const Shape& shape, const Doubles& values) {
  Tensor t = *Tensor::Create(DType::kF64, shape);
  for (size_t i = 0; i < values.size(); ++i) t.SetDouble(static_cast<int64_t>(i), values[i]);
  return t;
}
Doubles Values(const Tensor& t) {
  Doubles out;
  for (int64_t i = 0; i < t.size(); ++i) out.push_back(t.DoubleAt(i));
  return out;
}

// One call of a target on one operand of type `in`.
Result<std::vector<Tensor>> Call(std::string_view call, std::string_view in,
                                 std::vector<std::string> results, const Tensor& x) {
  std::string types, names;
  for (size_t i = 0; i < results.size(); ++i) {
    types += StrCat(i == 0 ? "" : ", ", results[i]);
    names += StrCat(i == 0 ? "" : ", ", results.size() == 1 ? std::string("%0") : StrCat("%0#", i));
  }
  const std::string binder = results.size() == 1 ? "%0" : StrCat("%0:", results.size());
  const std::string text = StrCat("func.func @main(%x: ", in, ") -> (", types, ") {\n  ", binder,
                                  " = stablehlo.custom_call ", call, " : (", in, ") -> (", types,
                                  ")\n  return ", names, " : ", types, "\n}");
  ASSIGN_OR_RETURN(const Module module, ParseModule(text));
  return Evaluate(module, std::vector<Tensor>{x});
}

// x y for row-major m-by-k and k-by-n matrices.
Doubles Product(const Doubles& x, const Doubles& y, size_t m, size_t k, size_t n) {
  Doubles out(m * n);
  for (size_t i = 0; i < m; ++i) {
    for (size_t l = 0; l < k; ++l) {
      for (size_t j = 0; j < n; ++j) out[i * n + j] += x[i * k + l] * y[l * n + j];
    }
  }
  return out;
}
void ExpectNear(const Doubles& got, const Doubles& want) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], want[i], 1e-12) << "element " << i;
}

TEST(LibraryCallTest, QrHasTheSignsOfLapack) {
  const auto out = Call("@Qr(%x) {backend_config = \"\"}", "tensor<2x2xf64>",
                        {"tensor<2x2xf64>", "tensor<2xf64>"}, F64({2, 2}, {3, 1, 4, 2}));
  ASSERT_TRUE(out.ok()) << out.status().ToString();
  // The first column becomes (-5, 0), by v = (1, 4 / 8) and tau = 8 / 5.
  ExpectNear(Values((*out)[0]), {-5, -2.2, 0.5, 0.4});
  ExpectNear(Values((*out)[1]), {1.6, 0});
}

TEST(LibraryCallTest, EighReadsOneTriangleAndSortsAscending) {
  const auto out =
      Call("@megalith.eigh(%x) {api_version = 4 : i32, mhlo.backend_config = {lower = true}}",
           "tensor<2x2xf64>", {"tensor<2x2xf64>", "tensor<2xf64>"}, F64({2, 2}, {2, 99, 1, 2}));
  ASSERT_TRUE(out.ok()) << out.status().ToString();
  ExpectNear(Values((*out)[1]), {1, 3});
  const Doubles v = Values((*out)[0]);
  ExpectNear(Product({2, 1, 1, 2}, v, 2, 2, 2), {v[0], 3 * v[1], v[2], 3 * v[3]});
}

TEST(LibraryCallTest, SvdFactorsMultiplyToTheMatrix) {
  const Doubles a = {1, 2, 3, 4, 5, 7};
  const auto out =
      Call("@megalith.svd(%x) {api_version = 4 : i32, mhlo.backend_config = {}}", "tensor<3x2xf64>",
           {"tensor<2xf64>", "tensor<3x2xf64>", "tensor<2x2xf64>"}, F64({3, 2}, a));
  ASSERT_TRUE(out.ok()) << out.status().ToString();
  const Doubles s = Values((*out)[0]);
  EXPECT_GE(s[0], s[1]);
  const Doubles scaled = Product(Values((*out)[1]), {s[0], 0, 0, s[1]}, 3, 2, 2);
  ExpectNear(Product(scaled, Values((*out)[2]), 3, 2, 2), a);
}

// What reflectors divided by had an infinite reciprocal.
TEST(LibraryCallTest, SubnormalRowsBesideOrdinaryOnesDoNotMakeSvdNan) {
  const double tiny = std::numeric_limits<double>::denorm_min();
  Tensor a = *Tensor::Create(DType::kC128, {2, 4});
  for (int64_t i = 0; i < a.size(); ++i) a.SetComplex(i, {0, tiny});
  a.SetComplex(0, {20, tiny});
  a.SetComplex(5, {21, tiny});
  const auto out = Call("@megalith.svd(%x) {api_version = 4 : i32, mhlo.backend_config = {}}",
                        "tensor<2x4xcomplex<f64>>", {"tensor<2xf64>"}, a);
  ASSERT_TRUE(out.ok()) << out.status().ToString();
  ExpectNear(Values((*out)[0]), {21, 20});
}

TEST(LibraryCallTest, QrOfSubnormalNumbersIsAsOfOrdinaryOnes) {
  const double tiny = 0x1p-1060;
  const auto out = Call("@Qr(%x) {backend_config = \"\"}", "tensor<2x2xf64>",
                        {"tensor<2x2xf64>", "tensor<2xf64>"},
                        F64({2, 2}, {3 * tiny, 1 * tiny, 4 * tiny, 2 * tiny}));
  ASSERT_TRUE(out.ok()) << out.status().ToString();
  const Doubles r = Values((*out)[0]);
  EXPECT_EQ(r[0], -5 * tiny);
  EXPECT_NEAR(r[1] / tiny, -2.2, 1e-3);  // tiny has 14 bits below it
  EXPECT_NEAR(r[2], 0.5, 1e-12);
  EXPECT_NEAR(r[3] / tiny, 0.4, 1e-3);
  ExpectNear(Values((*out)[1]), {1.6, 0});
}

TEST(LibraryCallTest, SchurFormOfRealMatricesIsReal) {
  // Eigenvalues 1 and +-2i.
  const Doubles a = {0, -4, 1, 1, 0, 2, 0, 0, 1};
  const auto out = Call("@megalith.schur(%x) {api_version = 4 : i32, mhlo.backend_config = {}}",
                        "tensor<3x3xf64>", {"tensor<3x3xf64>", "tensor<3x3xf64>"}, F64({3, 3}, a));
  ASSERT_TRUE(out.ok()) << out.status().ToString();
  const Doubles s = Values((*out)[0]);
  const Doubles z = Values((*out)[1]);
  EXPECT_EQ(s[6], 0);
  ExpectNear(Product(a, z, 3, 3, 3), Product(z, s, 3, 3, 3));
}

TEST(LibraryCallTest, EigenvectorsHaveLengthOneAndARealComponent) {
  const auto out =
      Call("@megalith.eig(%x) {api_version = 4 : i32, mhlo.backend_config = {right = true}}",
           "tensor<2x2xf64>", {"tensor<2xcomplex<f64>>", "tensor<2x2xcomplex<f64>>"},
           F64({2, 2}, {0, -1, 1, 0}));
  ASSERT_TRUE(out.ok()) << out.status().ToString();
  EXPECT_NEAR(std::abs((*out)[0].ComplexAt(0) - std::complex<double>(0, 1)), 0, 1e-14);
  EXPECT_NEAR(std::abs((*out)[1].ComplexAt(0)), std::sqrt(0.5), 1e-14);
  EXPECT_EQ((*out)[1].ComplexAt(0).imag() * (*out)[1].ComplexAt(2).imag(), 0);
}

TEST(LibraryCallTest, WhatIsNotFiniteGivesNan) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto out =
      Call("@megalith.eigh(%x) {api_version = 4 : i32, mhlo.backend_config = {lower = true}}",
           "tensor<1x1xf64>", {"tensor<1x1xf64>", "tensor<1xf64>"}, F64({1, 1}, {nan}));
  ASSERT_TRUE(out.ok()) << out.status().ToString();
  EXPECT_TRUE(std::isnan((*out)[0].DoubleAt(0)));
  EXPECT_TRUE(std::isnan((*out)[1].DoubleAt(0)));
}

TEST(LibraryCallTest, RefusesResultsOfOtherTypes) {
  const auto out =
      Call("@Qr(%x)", "tensor<2x3xf64>", {"tensor<2x3xf64>", "tensor<3xf64>"}, F64({2, 3}, {}));
  EXPECT_EQ(out.status().code(), Code::kInvalidArgument);
  EXPECT_NE(
      out.status().message().find("@Qr: result 1 has type tensor<3xf64>, wanted tensor<2xf64>"),
      std::string::npos)
      << out.status().message();
}

// 1 + 2^-9 is not a bf16 number; XLA on CPUs gives it nevertheless if the sum goes to f32 at once.
TEST(ExcessPrecisionTest, ConvertTakesASumBeforeRounding) {
  const Module module = *ParseModule(R"(
func.func @main(%x: tensor<bf16>, %y: tensor<bf16>) -> (tensor<f32>, tensor<f32>) {
  %0 = stablehlo.add %x, %y : tensor<bf16>
  %1 = stablehlo.convert %0 : (tensor<bf16>) -> tensor<f32>
  %2 = stablehlo.reshape %0 : (tensor<bf16>) -> tensor<bf16>
  %3 = stablehlo.abs %2 : tensor<bf16>
  %4 = stablehlo.convert %3 : (tensor<bf16>) -> tensor<f32>
  return %1, %4 : tensor<f32>, tensor<f32>
})");
  Tensor one = *Tensor::Create(DType::kBF16, {});
  Tensor small = *Tensor::Create(DType::kBF16, {});
  one.SetDouble(0, 1);
  small.SetDouble(0, std::ldexp(1, -9));
  const auto out = Evaluate(module, std::vector<Tensor>{one, small});
  ASSERT_TRUE(out.ok()) << out.status().ToString();
  EXPECT_EQ((*out)[0].DoubleAt(0), 1 + std::ldexp(1, -9));
  EXPECT_EQ((*out)[1].DoubleAt(0), 1);
}

}  // namespace
}  // namespace megalith::stablehlo
