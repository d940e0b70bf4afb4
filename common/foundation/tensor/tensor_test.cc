#include "common/foundation/tensor/tensor.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace megalith::tensor {
namespace {

TEST(DTypeTest, NamesRoundTripForEveryDType) {
  for (int i = 1; i < kNumDTypes; ++i) {
    const auto d = static_cast<DType>(i);
    EXPECT_EQ(Info(d).dtype, d);
    EXPECT_EQ(DTypeFromName(Name(d)), d);
    EXPECT_EQ(DTypeFromNumpyName(NumpyName(d)), d);
    if (!MlirName(d).empty()) {
      EXPECT_EQ(DTypeFromMlirName(MlirName(d)), d);
    }
  }
  EXPECT_EQ(DTypeFromName("f33"), std::nullopt);
}

TEST(DimsTest, InsertsAndErasesAcrossTheInlineLimit) {
  Dims d;
  std::vector<int64_t> model;
  for (int64_t i = 0; i < 9; ++i) {
    d.insert(d.size() / 2, i);
    model.insert(model.begin() + static_cast<int64_t>(model.size() / 2), i);
    EXPECT_EQ(std::vector<int64_t>(d.begin(), d.end()), model);
  }
  while (!model.empty()) {
    d.erase(model.size() / 3);
    model.erase(model.begin() + static_cast<int64_t>(model.size() / 3));
    EXPECT_EQ(std::vector<int64_t>(d.begin(), d.end()), model);
  }
  EXPECT_EQ(TupleText(Dims{2}), "(2,)");
  EXPECT_EQ(TupleText(Dims{}), "()");
}

TEST(DimsTest, ElementCountDetectsOverflow) {
  EXPECT_EQ(NumElements(Shape{1ll << 62, 2}), std::nullopt);
  EXPECT_EQ(NumElements(Shape{1ll << 62, 2, 0}), 0);
  EXPECT_EQ(NumElements(Shape{}), 1);
}

// Every encoding of every small float decodes to a value that encodes back to the same bits (NaNs
// to some NaN).
TEST(SmallFloatTest, DecodeEncodeRoundTripsForEveryPattern) {
  for (const DType d : {DType::kF4E2M1FN, DType::kF8E3M4, DType::kF8E4M3, DType::kF8E4M3B11FNUZ,
                        DType::kF8E4M3FN, DType::kF8E4M3FNUZ, DType::kF8E5M2, DType::kF8E5M2FNUZ,
                        DType::kF8E8M0FNU, DType::kF16, DType::kBF16}) {
    for (uint32_t bits = 0; bits < (1u << BitWidth(d)); ++bits) {
      const double v = DecodeSmallFloat(d, static_cast<uint16_t>(bits));
      const uint16_t back = EncodeSmallFloat(d, v);
      if (std::isnan(v)) {
        EXPECT_TRUE(std::isnan(DecodeSmallFloat(d, back))) << Name(d) << " " << bits;
      } else {
        EXPECT_EQ(back, bits) << Name(d) << " " << v;
      }
    }
  }
}

TEST(SmallFloatTest, RoundsToNearestEven) {
  // Halfway between each pair of neighbours goes to the even one; a nudge decides otherwise.
  for (const DType d : {DType::kF8E4M3FN, DType::kF8E5M2, DType::kF16, DType::kBF16}) {
    const uint32_t end = 1u << (BitWidth(d) - 1);
    for (uint32_t bits = 0; bits + 1 < end; ++bits) {
      const double a = DecodeSmallFloat(d, static_cast<uint16_t>(bits));
      const double b = DecodeSmallFloat(d, static_cast<uint16_t>(bits + 1));
      if (!std::isfinite(a) || !std::isfinite(b)) continue;
      const double middle = (a + b) / 2;
      EXPECT_EQ(EncodeSmallFloat(d, middle), bits % 2 == 0 ? bits : bits + 1)
          << Name(d) << " " << bits;
      EXPECT_EQ(EncodeSmallFloat(d, std::nextafter(middle, b)), bits + 1);
      EXPECT_EQ(EncodeSmallFloat(d, std::nextafter(middle, a)), bits);
    }
  }
}

TEST(SmallFloatTest, FastHalfConversionsAgreeWithTheGeneralOnes) {
  for (uint32_t i = 0; i < (1u << 20); ++i) {
    const float v = std::bit_cast<float>(i * 4099u);
    const auto h = F16(v).bits;
    const auto b = BF16(v).bits;
    if (std::isnan(v)) {
      EXPECT_TRUE(std::isnan(static_cast<float>(F16(v))));
      EXPECT_TRUE(std::isnan(static_cast<float>(BF16(v))));
      continue;
    }
    ASSERT_EQ(h, EncodeSmallFloat(DType::kF16, v)) << v;
    ASSERT_EQ(b, EncodeSmallFloat(DType::kBF16, v)) << v;
  }
  for (uint32_t i = 0; i < 65536; ++i) {
    F16 h;
    h.bits = static_cast<uint16_t>(i);
    const double want = DecodeSmallFloat(DType::kF16, h.bits);
    if (!std::isnan(want)) {
      ASSERT_EQ(static_cast<float>(h), want);
    }
  }
}

TEST(TensorTest, CreateRefusesWhatCannotExist) {
  EXPECT_EQ(Tensor::Create(DType::kF32, Shape{-1}).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(Tensor::Create(DType::kF32, Shape{INT64_MAX, 2}).status().code(),
            Code::kResourceExhausted);
  EXPECT_EQ(Tensor::Create(DType::kF32, Shape{1024}, 1000).status().code(),
            Code::kResourceExhausted);
  EXPECT_EQ(Tensor::FromBytes(DType::kBool, Shape{1}, "\x02").status().code(),
            Code::kInvalidArgument);
  EXPECT_EQ(Tensor::FromBytes(DType::kF32, Shape{2}, "1234").status().code(),
            Code::kInvalidArgument);
}

TEST(TensorTest, ElementsRoundTripForEveryNumericDType) {
  for (int i = 1; i < kNumDTypes; ++i) {
    const auto d = static_cast<DType>(i);
    if (IsKey(d) || IsFloat0(d)) continue;
    Tensor t = *Tensor::Create(d, Shape{2});
    t.SetDouble(1, 1.0);
    EXPECT_EQ(t.DoubleAt(1), 1.0) << Name(d);
    if (d != DType::kF8E8M0FNU) {
      EXPECT_EQ(t.DoubleAt(0), 0.0) << Name(d);
    }
    if (IsSigned(d)) {
      t.SetInt(0, -1);
      EXPECT_EQ(t.IntAt(0), -1) << Name(d);
    }
  }
}

TEST(TensorTest, SharesStorageUntilMadeUnique) {
  Tensor a = *Tensor::Create(DType::kI32, Shape{3});
  Tensor b = a;
  EXPECT_FALSE(a.unique());
  ASSERT_TRUE(b.MakeUnique().ok());
  b.SetInt(0, 5);
  EXPECT_EQ(a.IntAt(0), 0);
  EXPECT_EQ(ValueText(b), "[5, 0, 0]");
  EXPECT_EQ(b.TypeText(), "i32[3]");
}

}  // namespace
}  // namespace megalith::tensor
