// Numbers of types and attributes in artifacts, for the reader and the writer (persistent: owned by
// StableHLO and MLIR, never change).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "common/programs/stablehlo/attr.h"

namespace megalith::stablehlo::artifact {

using stablehlo::DType;

namespace builtin {
enum AttrCode : uint64_t {
  kArray = 0,
  kDictionary = 1,
  kString = 2,
  kTypedString = 3,
  kFlatSymbol = 4,
  kType = 6,
  kUnit = 7,
  kInteger = 8,
  kFloat = 9,
  kCallSiteLoc = 10,
  kFileLineLoc = 11,
  kFusedLoc = 12,
  kFusedMetadataLoc = 13,
  kNameLoc = 14,
  kUnknownLoc = 15,
  kFileRangeLoc = 22,
};
enum TypeCode : uint64_t {
  kIntegerType = 0,
  kIndexType = 1,
  kFunctionType = 2,
  kBf16 = 3,
  kF16 = 4,
  kF32 = 5,
  kF64 = 6,
  kComplexType = 9,
  kNoneType = 12,
  kTensorType = 13,
};
}  // namespace builtin

namespace vhlo {
enum AttrCode : uint64_t {
  kArray = 1,
  kBoolean = 2,
  kComparisonDirection = 3,
  kComparisonType = 4,
  kApiVersion = 5,
  kDictionary = 6,
  kFftType = 7,
  kFloat = 8,
  kInteger = 9,
  kOperandAlias = 10,
  kPrecision = 11,
  kRngAlgorithm = 12,
  kRngDistribution = 13,
  kString = 14,
  kTensor = 15,
  kTranspose = 16,
  kTypeAttr = 17,
  kTypeExtensions = 18,
  kAccuracyMode = 19,
  kResultAccuracy = 20,
  kNewestAttr = 25,
};
enum TypeCode : uint64_t {
  kComplexType = 1,
  kFunctionType = 8,
  kIndexType = 9,
  kTensorType = 20,
  kEncodedTensorType = 21,
  kTokenType = 22,
  kTupleType = 23,
  kQuantizedType = 24,
  kUnrankedType = 25,
  kWitnessType = 26,
  kAxisQuantizedType = 30,
  kNoneType = 33,
  kTf32Type = 34,
  kF6E2M3Type = 38,
  kF6E3M2Type = 39,
  kBufferType = 41,
  kFutureType = 42,
};
}  // namespace vhlo

namespace sdy {
enum AttrCode : uint64_t {
  kManualAxes = 0,
  kMeshAxis = 1,
  kMesh = 2,
  kSubAxis = 3,
  kAxisRef = 4,
  kDimSharding = 5,
  kSharding = 6,
  kShardingPerValue = 7,
  kDimMapping = 8,
  kTensorMapping = 9,
  kShardingRule = 10,
  kUnreducedSharding = 15,
  kUnreducedShardingPerValue = 16,
  kReducingSharding = 17,
};
}  // namespace sdy

// Element types of fixed meaning. kInvalid and nullopt if there is none.
DType ElementOfVhloCode(uint64_t code);
std::optional<uint64_t> VhloCodeOfElement(DType dtype);
DType ElementOfBuiltinCode(uint64_t code);  // floats
// A signless or signed integer of `width` bits, or an unsigned one.
DType IntegerOf(uint64_t width, bool is_unsigned);

// Codes of the attributes that are a number of an enumeration.
std::optional<stablehlo::EnumId> EnumOfVhloCode(uint64_t code);
uint64_t VhloCodeOfEnum(stablehlo::EnumId id);

// The version of VHLO in which a type appeared, as major * 1'000'000 + minor * 1'000 + patch; 9'000
// for the first.
uint32_t FirstVersionOfElement(DType dtype);

}  // namespace megalith::stablehlo::artifact
