// The tile routines of every instruction set this processor has: functions against the C library
// in more precision, all else against the table of results an op has, and what splats and lengths
// do.
#include "common/machines/kernels/tiles.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "common/foundation/tensor/small_float.h"
#include "common/machines/kernels/math_reference.h"
#include "common/machines/kernels/tile_sets.h"

namespace megalith::kernels {
namespace {

constexpr int64_t kSamples = 60000;

template <typename T>
std::vector<T> Samples(int64_t count) {
  std::vector<T> samples;
  for (int64_t i = 0; i < count; ++i) {
    if constexpr (sizeof(T) == 4) {
      samples.push_back(SampleF32(i, count));
    } else {
      samples.push_back(SampleF64(i, count));
    }
  }
  return samples;
}
template <typename T>
constexpr DType kType = sizeof(T) == 4 ? DType::kF32 : DType::kF64;

// Pairs whose second operand walks through the samples at another pace.
template <typename T>
std::vector<T> Seconds(const std::vector<T>& x) {
  std::vector<T> y(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    y[i] = i < 900 ? x[i / 30] : x[(i * 7919 + i / 97) % x.size()];
  }
  return y;
}

template <typename T>
std::vector<T> Firsts(std::vector<T> x) {
  for (size_t i = 900; i-- > 30;) x[i] = x[i % 30];
  return x;
}

template <typename T>
double Off(const MathReference& r, T got, T x, T y) {
  if constexpr (sizeof(T) == 4) {
    return UlpsOff(got, r.of1 != nullptr ? r.of1(x) : r.of2(x, y));
  } else {
    return UlpsOff(got, r.wide1 != nullptr ? r.wide1(x) : r.wide2(x, y), r.f64_floor);
  }
}

template <typename T>
void ExpectAccurate(const TileSet& set, const MathReference& r) {
  const std::vector<T> samples = Samples<T>(kSamples);
  const std::vector<T> x = r.of1 != nullptr ? samples : Firsts(samples);
  const std::vector<T> y = Seconds(samples);
  std::vector<T> out(x.size());
  const void* in[] = {x.data(), y.data()};
  const TileFn fn = FindIn(set, r.op, kType<T>, kType<T>);
  ASSERT_NE(fn, nullptr);
  fn(in, 0, out.data(), static_cast<int64_t>(x.size()), 0);
  double worst = 0;
  size_t at = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double off = Off(r, out[i], x[i], y[i]);
    if (off > worst) {
      worst = off;
      at = i;
    }
  }
  EXPECT_LE(worst, sizeof(T) == 4 ? r.f32_ulps : r.f64_ulps)
      << set.name << " " << FindScalarOp(r.op)->name << (sizeof(T) == 4 ? " f32" : " f64") << "("
      << x[at] << ", " << y[at] << ") = " << out[at];
}

TEST(VectorMathTest, F32StaysWithinItsBounds) {
  for (const TileSet& set : TileSetsHere()) {
    for (const MathReference& r : MathReferences()) ExpectAccurate<float>(set, r);
  }
}

TEST(VectorMathTest, F64StaysWithinItsBounds) {
  for (const TileSet& set : TileSetsHere()) {
    for (const MathReference& r : MathReferences()) ExpectAccurate<double>(set, r);
  }
}

// Every type an operation accepts has a routine in every set.
TEST(TilesTest, EveryOperationHasRoutines) {
  constexpr DType kTypes[] = {DType::kBool, DType::kI8,  DType::kI16, DType::kI32,
                              DType::kI64,  DType::kU8,  DType::kU16, DType::kU32,
                              DType::kU64,  DType::kF32, DType::kF64};
  for (const TileSet& set : TileSetsHere()) {
    for (const ScalarOpInfo& op : AllScalarOps()) {
      if (op.shape == ScalarShape::kSource) continue;
      for (const DType d : kTypes) {
        if (!Accepts(op, d)) continue;
        if (op.op == ScalarOp::kRoundTo && d != DType::kF32) continue;
        for (const DType to : kTypes) {
          if (op.op != ScalarOp::kConvert && to != d) continue;
          EXPECT_NE(FindIn(set, op.op, d, to), nullptr)
              << set.name << " " << op.name << " " << tensor::Name(d) << " " << tensor::Name(to);
        }
      }
    }
  }
}

// Lengths around every register size leave what lies behind alone, and splats stand for arrays.
TEST(TilesTest, LengthsAndSplats) {
  for (const TileSet& set : TileSetsHere()) {
    const TileFn add = FindIn(set, ScalarOp::kAdd, DType::kF32, DType::kF32);
    for (int64_t n = 0; n <= 70; ++n) {
      std::vector<float> a(static_cast<size_t>(n)), out(static_cast<size_t>(n) + 1, -1);
      for (size_t i = 0; i < a.size(); ++i) a[i] = static_cast<float>(i);
      const std::vector<float> splat(kSplatBytes / sizeof(float), 0.5f);
      const void* in[] = {a.data(), splat.data()};
      add(in, 2, out.data(), n, 0);
      for (size_t i = 0; i < a.size(); ++i) ASSERT_EQ(out[i], a[i] + 0.5f) << set.name << n;
      ASSERT_EQ(out.back(), -1) << set.name << " " << n;
    }
  }
}

TEST(TilesTest, Bf16AndF16RoundTripEveryPattern) {
  for (const TileSet& set : TileSetsHere()) {
    for (const DType d : {DType::kBF16, DType::kF16}) {
      std::vector<uint16_t> bits(65536), back(65536);
      for (size_t i = 0; i < bits.size(); ++i) bits[i] = static_cast<uint16_t>(i);
      std::vector<float> values(65536);
      const void* in[] = {bits.data()};
      set.convert(d, DType::kF32)(in, 0, values.data(), 65536, 0);
      const void* out[] = {values.data()};
      set.convert(DType::kF32, d)(out, 0, back.data(), 65536, 0);
      for (size_t i = 0; i < bits.size(); ++i) {
        const double want = tensor::DecodeSmallFloat(d, bits[i]);
        if (std::isnan(want)) {
          ASSERT_TRUE(std::isnan(values[i]) && std::isnan(tensor::DecodeSmallFloat(d, back[i])));
          continue;
        }
        ASSERT_EQ(static_cast<double>(values[i]), want) << set.name << " " << i;
        ASSERT_EQ(back[i], bits[i]) << set.name << " " << i;
      }
    }
  }
}

TEST(TilesTest, Bf16AndF16RoundToNearestEven) {
  for (const TileSet& set : TileSetsHere()) {
    const std::vector<float> values = Samples<float>(100000);
    for (const DType d : {DType::kBF16, DType::kF16}) {
      std::vector<uint16_t> bits(values.size());
      const void* in[] = {values.data()};
      set.convert(DType::kF32, d)(in, 0, bits.data(), static_cast<int64_t>(values.size()), 0);
      for (size_t i = 0; i < values.size(); ++i) {
        if (std::isnan(values[i])) continue;
        ASSERT_EQ(bits[i], tensor::EncodeSmallFloat(d, static_cast<double>(values[i])))
            << set.name << " " << values[i];
      }
    }
  }
}

}  // namespace
}  // namespace megalith::kernels
