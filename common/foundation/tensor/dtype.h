// Element types of arrays: every dtype JAX 0.9.2 prints, with its names, width and class, in one
// table.
//
// Source: ../shared/spec/jaxpr.md section 2 (names); ml_dtypes for the layouts of small floats.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace megalith::tensor {

// Numbers appear in cache keys and protos (persistent: never change, append only).
enum class DType : uint8_t {
  kInvalid = 0,
  kBool = 1,
  kI2 = 2,
  kI4 = 3,
  kI8 = 4,
  kI16 = 5,
  kI32 = 6,
  kI64 = 7,
  kU2 = 8,
  kU4 = 9,
  kU8 = 10,
  kU16 = 11,
  kU32 = 12,
  kU64 = 13,
  kF4E2M1FN = 14,
  kF8E3M4 = 15,
  kF8E4M3 = 16,
  kF8E4M3B11FNUZ = 17,
  kF8E4M3FN = 18,
  kF8E4M3FNUZ = 19,
  kF8E5M2 = 20,
  kF8E5M2FNUZ = 21,
  kF8E8M0FNU = 22,
  kF16 = 23,
  kBF16 = 24,
  kF32 = 25,
  kF64 = 26,
  kC64 = 27,
  kC128 = 28,
  // Tangents of integers, booleans and keys: no bytes per element.
  kFloat0 = 29,
  // PRNG keys: an element is 2 (fry) or 4 (rbg, urbg) u32 words.
  kKeyFry = 30,
  kKeyRbg = 31,
  kKeyUrbg = 32,
};
inline constexpr int kNumDTypes = 33;

enum class DTypeClass : uint8_t {
  kNone,
  kBool,
  kSigned,
  kUnsigned,
  kFloat,
  kComplex,
  kFloat0,
  kKey
};

// One row per dtype. `bits` is the information width (4 for i4); `bytes` what one element occupies
// in a Tensor, where sub-byte types take one byte each.
struct DTypeInfo {
  DType dtype;
  std::string_view name;        // JAX's short name: "f32", "key<fry>"
  std::string_view numpy_name;  // "float32"; keys and float0 keep the short name
  std::string_view mlir_name;   // "f32", "ui8", "i1", "complex<f32>"; empty if StableHLO has none
  DTypeClass cls;
  int bits;
  int bytes;
};

const DTypeInfo& Info(DType dtype);
inline std::string_view Name(DType dtype) { return Info(dtype).name; }
inline std::string_view NumpyName(DType dtype) { return Info(dtype).numpy_name; }
inline std::string_view MlirName(DType dtype) { return Info(dtype).mlir_name; }
inline int ByteWidth(DType dtype) { return Info(dtype).bytes; }
inline int BitWidth(DType dtype) { return Info(dtype).bits; }

// nullopt if no dtype has this name.
std::optional<DType> DTypeFromName(std::string_view short_name);
std::optional<DType> DTypeFromNumpyName(std::string_view numpy_name);
std::optional<DType> DTypeFromMlirName(std::string_view mlir_name);

// What the values of a floating dtype are like (of a complex one: its parts).
struct FloatLimits {
  DType dtype;
  double eps;     // distance from 1 to the next number
  double tiny;    // smallest positive normal number
  double max;     // largest finite number
  double lowest;  // smallest finite number
  bool has_infinity;
};
// Of a dtype that is neither floating nor complex: those of f64.
const FloatLimits& Limits(DType dtype);

inline bool IsBool(DType d) { return d == DType::kBool; }
inline bool IsSigned(DType d) { return Info(d).cls == DTypeClass::kSigned; }
inline bool IsUnsigned(DType d) { return Info(d).cls == DTypeClass::kUnsigned; }
inline bool IsInteger(DType d) { return IsSigned(d) || IsUnsigned(d); }
inline bool IsFloat(DType d) { return Info(d).cls == DTypeClass::kFloat; }
inline bool IsComplex(DType d) { return Info(d).cls == DTypeClass::kComplex; }
// Floating or complex: what NumPy calls inexact, the types that have derivatives.
inline bool IsInexact(DType d) { return IsFloat(d) || IsComplex(d); }
inline bool IsKey(DType d) { return Info(d).cls == DTypeClass::kKey; }
inline bool IsFloat0(DType d) { return d == DType::kFloat0; }

// c64 -> f32, c128 -> f64; others unchanged.
DType RealPart(DType d);
// f32 -> c64, f64 -> c128; kInvalid otherwise.
DType ComplexOf(DType d);
// Inexact types keep theirs; integers, booleans and keys have float0 tangents.
inline DType TangentDType(DType d) { return IsInexact(d) ? d : DType::kFloat0; }

}  // namespace megalith::tensor
