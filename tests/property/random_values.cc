#include "tests/property/random_values.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "common/programs/stablehlo/rules.h"

namespace megalith::property {
namespace {

struct Weight {
  DType dtype;
  int weight;
};
constexpr Weight kDTypes[] = {
    {DType::kBool, 4},
    {DType::kI2, 1},
    {DType::kI4, 2},
    {DType::kI8, 3},
    {DType::kI16, 2},
    {DType::kI32, 10},
    {DType::kI64, 4},
    {DType::kU2, 1},
    {DType::kU4, 1},
    {DType::kU8, 3},
    {DType::kU16, 2},
    {DType::kU32, 6},
    {DType::kU64, 3},
    {DType::kF4E2M1FN, 1},
    {DType::kF8E3M4, 1},
    {DType::kF8E4M3, 1},
    {DType::kF8E4M3B11FNUZ, 1},
    {DType::kF8E4M3FN, 2},
    {DType::kF8E4M3FNUZ, 1},
    {DType::kF8E5M2, 2},
    {DType::kF8E5M2FNUZ, 1},
    {DType::kF8E8M0FNU, 1},
    {DType::kF16, 5},
    {DType::kBF16, 8},
    {DType::kF32, 30},
    {DType::kF64, 8},
    {DType::kC64, 4},
    {DType::kC128, 2},
};

constexpr double kInf = std::numeric_limits<double>::infinity();

double SpecialFloat(Rng& rng, DType dtype) {
  const tensor::FloatLimits& l = tensor::Limits(dtype);
  switch (rng.Below(10)) {
    case 0:
      return std::numeric_limits<double>::quiet_NaN();
    case 1:
      return kInf;
    case 2:
      return -kInf;
    case 3:
      return -0.0;
    case 4:
      return l.tiny * l.eps;  // the smallest denormal
    case 5:
      return -l.tiny / 2;
    case 6:
      return l.max;
    case 7:
      return l.lowest;
    case 8:
      return 0;
    default:  // any exponent
      return (rng.Below(2) != 0 ? 1 : -1) *
             std::exp2(std::log2(l.tiny) + rng.Uniform() * (std::log2(l.max) - std::log2(l.tiny)));
  }
}

double FloatElement(Rng& rng, DType dtype, Mood mood) {
  switch (mood) {
    case Mood::kTame:
      return rng.Normal();
    case Mood::kWhole:
      return static_cast<double>(rng.Below(9)) - 4;
    case Mood::kMixed:
      return OneIn(rng, 12) ? SpecialFloat(rng, dtype) : rng.Normal() * 2;
    case Mood::kSpecial:
      return SpecialFloat(rng, dtype);
    default:
      return 0;
  }
}

int64_t IntegerElement(Rng& rng, DType dtype, Mood mood) {
  const int bits = tensor::BitWidth(dtype);
  const bool is_signed = tensor::IsSigned(dtype);
  if (mood == Mood::kZero) return 0;
  if (mood == Mood::kSpecial || (mood == Mood::kMixed && OneIn(rng, 8))) {
    const uint64_t top = uint64_t{1} << (bits - 1);
    switch (rng.Below(5)) {
      case 0:
        return is_signed ? -1 : 0;
      case 1:  // the smallest, or the middle of the range
        return is_signed && bits < 64 ? -static_cast<int64_t>(top) : static_cast<int64_t>(top);
      case 2:
        return static_cast<int64_t>(top - 1);
      case 3:
        return is_signed ? 0 : static_cast<int64_t>(top | (top - 1));
      default: {
        const int64_t any = static_cast<int64_t>(rng.Next());
        if (bits == 64) return any;
        const uint64_t kept = static_cast<uint64_t>(any) & (2 * top - 1);
        return static_cast<int64_t>(kept) -
               (is_signed && kept >= top ? static_cast<int64_t>(2 * top) : 0);
      }
    }
  }
  const int64_t reach = bits <= 2 ? 1 : bits <= 4 ? 3 : 9;
  return is_signed ? Between(rng, -reach, reach) : Between(rng, 0, reach);
}

}  // namespace

int64_t Between(Rng& rng, int64_t low, int64_t high) {
  return low + static_cast<int64_t>(rng.Below(static_cast<uint64_t>(high - low + 1)));
}

Mood RandomMood(Rng& rng) {
  const uint64_t r = rng.Below(20);
  if (r < 9) return Mood::kTame;
  if (r < 13) return Mood::kWhole;
  if (r < 17) return Mood::kMixed;
  return r < 19 ? Mood::kSpecial : Mood::kZero;
}

DType RandomDType(Rng& rng) {
  return RandomDType(
      rng, stablehlo::kBoolOk | stablehlo::kIntOk | stablehlo::kFloatOk | stablehlo::kComplexOk);
}

DType RandomDType(Rng& rng, uint32_t mask) {
  int total = 0;
  for (const Weight& w : kDTypes) total += stablehlo::Matches(w.dtype, mask) ? w.weight : 0;
  auto at = static_cast<int>(rng.Below(static_cast<uint64_t>(total)));
  for (const Weight& w : kDTypes) {
    if (!stablehlo::Matches(w.dtype, mask)) continue;
    if (at < w.weight) return w.dtype;
    at -= w.weight;
  }
  return DType::kF32;
}

Shape RandomShape(Rng& rng, size_t rank, int64_t max_elements) {
  constexpr int64_t kSizes[] = {1, 1, 2, 3, 4, 5, 7, 8, 16, 17, 31, 33};
  Shape shape;
  int64_t room = std::max<int64_t>(max_elements, 1);
  for (size_t i = 0; i < rank; ++i) {
    int64_t size = kSizes[rng.Below(std::size(kSizes))];
    if (room > 256 && i + 1 == rank && OneIn(rng, 2)) size = Between(rng, room / 2, room);
    size = std::min(size, room);
    room = std::max<int64_t>(room / std::max<int64_t>(size, 1), 1);
    shape.push_back(size);
  }
  if (rank > 0 && OneIn(rng, 25)) shape[rng.Below(rank)] = 0;
  // The long dimension is not always the last one.
  if (rank > 1 && OneIn(rng, 3)) std::swap(shape[0], shape[rank - 1]);
  return shape;
}

Shape RandomShape(Rng& rng, int64_t max_elements) {
  if (OneIn(rng, 30)) return RandomShape(rng, 6 + rng.Below(3), max_elements);
  constexpr size_t kRanks[] = {0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 4, 5};
  return RandomShape(rng, kRanks[rng.Below(std::size(kRanks))], max_elements);
}

Tensor RandomTensor(Rng& rng, DType dtype, const Shape& shape, Mood mood) {
  Tensor t = *Tensor::Create(dtype, shape);
  for (int64_t i = 0; i < t.size(); ++i) {
    if (tensor::IsBool(dtype)) {
      t.SetInt(i, mood == Mood::kZero ? 0 : static_cast<int64_t>(rng.Below(2)));
    } else if (tensor::IsInteger(dtype)) {
      t.SetInt(i, IntegerElement(rng, dtype, mood));
    } else if (tensor::IsComplex(dtype)) {
      const DType part = tensor::RealPart(dtype);
      const double re = FloatElement(rng, part, mood);
      t.SetComplex(i, {re, FloatElement(rng, part, mood)});
    } else {
      t.SetDouble(i, FloatElement(rng, dtype, mood));
    }
  }
  return t;
}

}  // namespace megalith::property
