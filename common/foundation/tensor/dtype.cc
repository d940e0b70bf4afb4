#include "common/foundation/tensor/dtype.h"

#include <array>

#include "common/foundation/base/status.h"

namespace megalith::tensor {
namespace {

using C = DTypeClass;
constexpr std::array<DTypeInfo, kNumDTypes> kInfos = {{
    {DType::kInvalid, "invalid", "invalid", "", C::kNone, 0, 0},
    {DType::kBool, "bool", "bool", "i1", C::kBool, 1, 1},
    {DType::kI2, "i2", "int2", "i2", C::kSigned, 2, 1},
    {DType::kI4, "i4", "int4", "i4", C::kSigned, 4, 1},
    {DType::kI8, "i8", "int8", "i8", C::kSigned, 8, 1},
    {DType::kI16, "i16", "int16", "i16", C::kSigned, 16, 2},
    {DType::kI32, "i32", "int32", "i32", C::kSigned, 32, 4},
    {DType::kI64, "i64", "int64", "i64", C::kSigned, 64, 8},
    {DType::kU2, "u2", "uint2", "ui2", C::kUnsigned, 2, 1},
    {DType::kU4, "u4", "uint4", "ui4", C::kUnsigned, 4, 1},
    {DType::kU8, "u8", "uint8", "ui8", C::kUnsigned, 8, 1},
    {DType::kU16, "u16", "uint16", "ui16", C::kUnsigned, 16, 2},
    {DType::kU32, "u32", "uint32", "ui32", C::kUnsigned, 32, 4},
    {DType::kU64, "u64", "uint64", "ui64", C::kUnsigned, 64, 8},
    {DType::kF4E2M1FN, "f4_e2m1fn", "float4_e2m1fn", "f4E2M1FN", C::kFloat, 4, 1},
    {DType::kF8E3M4, "f8_e3m4", "float8_e3m4", "f8E3M4", C::kFloat, 8, 1},
    {DType::kF8E4M3, "f8_e4m3", "float8_e4m3", "f8E4M3", C::kFloat, 8, 1},
    {DType::kF8E4M3B11FNUZ, "f8_e4m3b11fnuz", "float8_e4m3b11fnuz", "f8E4M3B11FNUZ", C::kFloat, 8,
     1},
    {DType::kF8E4M3FN, "f8_e4m3fn", "float8_e4m3fn", "f8E4M3FN", C::kFloat, 8, 1},
    {DType::kF8E4M3FNUZ, "f8_e4m3fnuz", "float8_e4m3fnuz", "f8E4M3FNUZ", C::kFloat, 8, 1},
    {DType::kF8E5M2, "f8_e5m2", "float8_e5m2", "f8E5M2", C::kFloat, 8, 1},
    {DType::kF8E5M2FNUZ, "f8_e5m2fnuz", "float8_e5m2fnuz", "f8E5M2FNUZ", C::kFloat, 8, 1},
    {DType::kF8E8M0FNU, "f8_e8m0fnu", "float8_e8m0fnu", "f8E8M0FNU", C::kFloat, 8, 1},
    {DType::kF16, "f16", "float16", "f16", C::kFloat, 16, 2},
    {DType::kBF16, "bf16", "bfloat16", "bf16", C::kFloat, 16, 2},
    {DType::kF32, "f32", "float32", "f32", C::kFloat, 32, 4},
    {DType::kF64, "f64", "float64", "f64", C::kFloat, 64, 8},
    {DType::kC64, "c64", "complex64", "complex<f32>", C::kComplex, 64, 8},
    {DType::kC128, "c128", "complex128", "complex<f64>", C::kComplex, 128, 16},
    {DType::kFloat0, "float0", "float0", "", C::kFloat0, 0, 0},
    {DType::kKeyFry, "key<fry>", "key<fry>", "", C::kKey, 64, 8},
    {DType::kKeyRbg, "key<rbg>", "key<rbg>", "", C::kKey, 128, 16},
    {DType::kKeyUrbg, "key<urbg>", "key<urbg>", "", C::kKey, 128, 16},
}};

constexpr FloatLimits kLimits[] = {
    {DType::kF64, 0x1p-52, 0x1p-1022, 0x1.fffffffffffffp1023, -0x1.fffffffffffffp1023, true},
    {DType::kF32, 0x1p-23, 0x1p-126, 0x1.fffffep127, -0x1.fffffep127, true},
    {DType::kBF16, 0x1p-7, 0x1p-126, 0x1.fep127, -0x1.fep127, true},
    {DType::kF16, 0x1p-10, 0x1p-14, 65504, -65504, true},
    {DType::kF4E2M1FN, 0.5, 1, 6, -6, false},
    {DType::kF8E3M4, 0x1p-4, 0.25, 15.5, -15.5, true},
    {DType::kF8E4M3, 0x1p-3, 0x1p-6, 240, -240, true},
    {DType::kF8E4M3B11FNUZ, 0x1p-3, 0x1p-10, 30, -30, false},
    {DType::kF8E4M3FN, 0x1p-3, 0x1p-6, 448, -448, false},
    {DType::kF8E4M3FNUZ, 0x1p-3, 0x1p-7, 240, -240, false},
    {DType::kF8E5M2, 0.25, 0x1p-14, 57344, -57344, true},
    {DType::kF8E5M2FNUZ, 0.25, 0x1p-15, 57344, -57344, false},
    {DType::kF8E8M0FNU, 1, 0x1p-127, 0x1p127, 0x1p-127, false},
};

std::optional<DType> Find(std::string_view name, std::string_view DTypeInfo::* field) {
  if (name.empty()) return std::nullopt;
  for (const DTypeInfo& info : kInfos) {
    if (info.dtype != DType::kInvalid && info.*field == name) return info.dtype;
  }
  return std::nullopt;
}

}  // namespace

const DTypeInfo& Info(DType dtype) {
  const auto i = static_cast<size_t>(dtype);
  return kInfos[i < kInfos.size() ? i : 0];
}

std::optional<DType> DTypeFromName(std::string_view n) { return Find(n, &DTypeInfo::name); }
std::optional<DType> DTypeFromNumpyName(std::string_view n) {
  return Find(n, &DTypeInfo::numpy_name);
}
std::optional<DType> DTypeFromMlirName(std::string_view n) {
  return Find(n, &DTypeInfo::mlir_name);
}

const FloatLimits& Limits(DType dtype) {
  const DType part = RealPart(dtype);
  for (const FloatLimits& limits : kLimits) {
    if (limits.dtype == part) return limits;
  }
  return kLimits[0];
}

DType RealPart(DType d) {
  if (d == DType::kC64) return DType::kF32;
  if (d == DType::kC128) return DType::kF64;
  return d;
}

DType ComplexOf(DType d) {
  if (d == DType::kF32) return DType::kC64;
  if (d == DType::kF64) return DType::kC128;
  return DType::kInvalid;
}

}  // namespace megalith::tensor
