// The scalar operations fused kernels are made of, in one table.
//
// A fused kernel (machines/runtime/loop.h) is a sequence of these on registers. The tile
// interpreter (tier 0) and the code generator (tier 1) both read this table, and take the
// expressions of the transcendental ones from one place (vector_math.h), so that the tiers agree.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "common/foundation/tensor/dtype.h"

namespace megalith::kernels {

using tensor::DType;

// Registers hold elements of kBool (0 or 1), the 8- to 64-bit integers, kF32 or kF64. bf16 and f16
// are loaded into f32 registers and stored from them; kRoundTo puts the rounding where the program
// has it. Arithmetic is that of StableHLO's reference evaluator: integers wrap, division by zero
// gives -1 (all ones; remainder: the dividend), INT_MIN / -1 gives INT_MIN (remainder 0), shifts by
// the width or more give 0 (arithmetic: the sign), maximum and minimum propagate NaN, comparisons
// with NaN are false but for kNe, products and sums are never contracted.
// Numbers appear in packages (persistent: never change, append only).
enum class ScalarOp : uint8_t {
  // Sources.
  kLoad = 0,      // element of access `imm`; bf16 and f16 give f32, everything else its own type
  kConstant = 1,  // the bits of `imm`, zero-extended from the type
  kIndex = 2,     // the position along loop dimension `imm`, in the type of the result

  // One operand, result of the same type.
  kNegate = 10,
  kAbs = 11,
  kSign = 12,
  kFloor = 13,
  kCeil = 14,
  kRoundAway = 15,  // halves away from zero
  kRoundEven = 16,
  kSqrt = 17,
  kRsqrt = 18,
  kCbrt = 19,
  kExp = 20,
  kExpm1 = 21,
  kLog = 22,
  kLog1p = 23,
  kSine = 24,
  kCosine = 25,
  kTan = 26,
  kTanh = 27,
  kLogistic = 28,
  kErf = 29,
  kErfc = 30,
  kErfInv = 31,
  kLgamma = 32,
  kDigamma = 33,
  kAsin = 34,
  kAcos = 35,
  kAtan = 36,
  kSinh = 37,
  kCosh = 38,
  kAsinh = 39,
  kAcosh = 40,
  kAtanh = 41,
  kNot = 42,  // bitwise; logical for kBool
  kPopcount = 43,
  kCountLeadingZeros = 44,
  kReducePrecision = 45,  // imm = exponent bits * 256 + mantissa bits
  kRoundTo = 46,          // f32 rounded to the narrower DType `imm` (kBF16, kF16), kept as f32

  // One operand, result kBool.
  kIsFinite = 60,

  // One operand, result of another type.
  kConvert = 61,  // as stablehlo.convert; float to integer saturates, NaN gives 0
  kBitcast = 62,  // to a type of the same width

  // Two operands of the type of the result.
  kAdd = 80,
  kSubtract = 81,
  kMultiply = 82,
  kDivide = 83,
  kRemainder = 84,
  kMaximum = 85,  // kBool: or
  kMinimum = 86,  // kBool: and
  kPower = 87,
  kAtan2 = 88,
  kAnd = 89,
  kOr = 90,
  kXor = 91,
  kShiftLeft = 92,
  kShiftRightArithmetic = 93,
  kShiftRightLogical = 94,
  kNextAfter = 95,
  kRotateLeft = 96,  // by the second modulo the width

  // Two operands of one type, result kBool. Signedness is that of the operand's type.
  kEqual = 110,
  kNotEqual = 111,
  kLess = 112,
  kLessEqual = 113,
  kGreater = 114,
  kGreaterEqual = 115,

  // kBool, then two operands of the type of the result.
  kSelect = 120,
};

// How the type of a result follows from those of the operands.
enum class ScalarShape : uint8_t {
  kSource,     // no operands
  kUnary,      // T -> T
  kPredicate,  // T -> kBool
  kCast,       // T -> U
  kBinary,     // T, T -> T
  kCompare,    // T, T -> kBool
  kSelect,     // kBool, T, T -> T
};

// Classes of register types, or-ed together.
enum ScalarTypes : uint8_t { kOnBool = 1, kOnSigned = 2, kOnUnsigned = 4, kOnFloat = 8 };

struct ScalarOpInfo {
  ScalarOp op;
  std::string_view name;  // "add"
  ScalarShape shape;
  uint8_t types;  // ScalarTypes of the operands (kSelect: of the second; sources: of the result)
  double cost;    // of one element, in additions of f32; for the cost model
};

// nullptr for a number without a row.
const ScalarOpInfo* FindScalarOp(ScalarOp op);
std::span<const ScalarOpInfo> AllScalarOps();
int OperandCount(ScalarShape shape);

// True for the types a register can have.
bool IsRegisterType(DType type);
// The register type of elements stored as `storage`; kInvalid if fused kernels do not know them.
DType RegisterType(DType storage);
// True if `op` is defined on operands of register type `operand`.
bool Accepts(const ScalarOpInfo& op, DType operand);

}  // namespace megalith::kernels
