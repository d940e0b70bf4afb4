#include "common/programs/stablehlo/artifact/codes.h"

namespace megalith::stablehlo::artifact {
namespace {

using stablehlo::EnumId;

struct ElementRow {
  uint64_t code;
  DType dtype;
  uint32_t since;
};

constexpr ElementRow kElements[] = {
    {0, DType::kBool, 9'000},          {2, DType::kBF16, 9'000},
    {3, DType::kF16, 9'000},           {4, DType::kF32, 9'000},
    {5, DType::kF64, 9'000},           {6, DType::kF8E4M3FN, 9'000},
    {7, DType::kF8E5M2, 9'000},        {10, DType::kI4, 9'000},
    {11, DType::kI8, 9'000},           {12, DType::kI16, 9'000},
    {13, DType::kI32, 9'000},          {14, DType::kI64, 9'000},
    {15, DType::kU4, 9'000},           {16, DType::kU8, 9'000},
    {17, DType::kU16, 9'000},          {18, DType::kU32, 9'000},
    {19, DType::kU64, 9'000},          {27, DType::kF8E4M3FNUZ, 10'000},
    {28, DType::kF8E5M2FNUZ, 10'000},  {29, DType::kF8E4M3B11FNUZ, 11'000},
    {31, DType::kI2, 1'002'000},       {32, DType::kU2, 1'002'000},
    {35, DType::kF8E4M3, 1'007'000},   {36, DType::kF8E3M4, 1'007'000},
    {37, DType::kF4E2M1FN, 1'008'000}, {40, DType::kF8E8M0FNU, 1'008'000},
};

constexpr struct {
  uint64_t code;
  EnumId id;
} kEnums[] = {
    {vhlo::kComparisonDirection, EnumId::kCompareDirection},
    {vhlo::kComparisonType, EnumId::kCompareType},
    {vhlo::kFftType, EnumId::kFftType},
    {vhlo::kPrecision, EnumId::kPrecision},
    {vhlo::kRngAlgorithm, EnumId::kRngAlgorithm},
    {vhlo::kRngDistribution, EnumId::kRngDistribution},
    {vhlo::kTranspose, EnumId::kTransposeA},
    {vhlo::kAccuracyMode, EnumId::kAccuracyMode},
};

constexpr struct {
  uint64_t width;
  DType with_sign, without;
} kIntegers[] = {
    {2, DType::kI2, DType::kU2},    {4, DType::kI4, DType::kU4},    {8, DType::kI8, DType::kU8},
    {16, DType::kI16, DType::kU16}, {32, DType::kI32, DType::kU32}, {64, DType::kI64, DType::kU64},
};

}  // namespace

DType ElementOfVhloCode(uint64_t code) {
  for (const ElementRow& row : kElements) {
    if (row.code == code) return row.dtype;
  }
  return DType::kInvalid;
}

std::optional<uint64_t> VhloCodeOfElement(DType dtype) {
  for (const ElementRow& row : kElements) {
    if (row.dtype == dtype) return row.code;
  }
  return std::nullopt;
}

uint32_t FirstVersionOfElement(DType dtype) {
  for (const ElementRow& row : kElements) {
    if (row.dtype == dtype) return row.since;
  }
  return 9'000;
}

DType ElementOfBuiltinCode(uint64_t code) {
  switch (code) {
    case builtin::kBf16:
      return DType::kBF16;
    case builtin::kF16:
      return DType::kF16;
    case builtin::kF32:
      return DType::kF32;
    case builtin::kF64:
      return DType::kF64;
    default:
      return DType::kInvalid;
  }
}

DType IntegerOf(uint64_t width, bool is_unsigned) {
  if (width == 1 && !is_unsigned) return DType::kBool;
  for (const auto& row : kIntegers) {
    if (row.width == width) return is_unsigned ? row.without : row.with_sign;
  }
  return DType::kInvalid;
}

std::optional<EnumId> EnumOfVhloCode(uint64_t code) {
  for (const auto& row : kEnums) {
    if (row.code == code) return row.id;
  }
  return std::nullopt;
}

uint64_t VhloCodeOfEnum(EnumId id) {
  for (const auto& row : kEnums) {
    if (row.id == id) return row.code;
  }
  return 0;
}

}  // namespace megalith::stablehlo::artifact
