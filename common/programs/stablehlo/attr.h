// Attributes: the constant parameters of StableHLO operations, functions and modules.
//
// An Attr is a small value (32 bytes); lists, tensors, dictionaries and dimension-number records
// are shared and immutable, so copying an Attr never copies them. Safe to read from any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/foundation/tensor/tensor.h"
#include "common/programs/stablehlo/types.h"

namespace megalith::stablehlo {

using tensor::Tensor;

// Numbers appear in encoded modules (persistent: never change, append only).
enum class AttrKind : uint8_t {
  kNone = 0,  // absent
  kUnit = 1,  // present, without a value
  kBool = 2,
  kInt = 3,    // with an integer dtype, i64 unless said otherwise; kInvalid stands for `index`
  kFloat = 4,  // with a float dtype
  kString = 5,
  kSymbol = 6,    // @name
  kType = 7,      // a tensor, token or scalar type
  kFuncType = 8,  // (types) -> types
  kInts = 9,      // array<i64: ...>
  kBools = 10,    // array<i1: ...>
  kDense = 11,    // dense<...> : tensor<...>
  kEnum = 12,     // #stablehlo<precision DEFAULT>
  kDict = 13,
  kList = 14,
  // Records of the stablehlo dialect, #stablehlo.gather<...> and so on.
  kGather = 15,
  kScatter = 16,
  kDot = 17,
  kConv = 18,
  kDotAlgorithm = 19,
  kChannel = 20,
  kResultAccuracy = 21,
  kOperandAlias = 22,
  kOpaque = 23,  // an attribute of a dialect we only carry along, kept as its text
};

// Enumerations. Numbers are those of the portable bytecode (persistent: never change).
enum class CompareDirection : uint8_t { kEq = 0, kNe = 1, kGe = 2, kGt = 3, kLe = 4, kLt = 5 };
enum class CompareType : uint8_t {
  kNoType = 0,
  kFloat = 1,
  kTotalOrder = 2,
  kSigned = 3,
  kUnsigned = 4
};
enum class Precision : uint8_t { kDefault = 0, kHigh = 1, kHighest = 2 };
enum class FftType : uint8_t { kFft = 0, kIfft = 1, kRfft = 2, kIrfft = 3 };
enum class TransposeA : uint8_t { kInvalid = 0, kNoTranspose = 1, kTranspose = 2, kAdjoint = 3 };
enum class RngDistribution : uint8_t { kUniform = 1, kNormal = 2 };
enum class RngAlgorithm : uint8_t { kDefault = 0, kThreeFry = 1, kPhilox = 2 };
enum class AccuracyMode : uint8_t { kDefault = 0, kHighest = 1, kTolerance = 2 };

// Which enumeration an attribute of kind kEnum belongs to (persistent: never change, append only).
enum class EnumId : uint8_t {
  kCompareDirection = 0,
  kCompareType = 1,
  kPrecision = 2,
  kFftType = 3,
  kTransposeA = 4,
  kRngDistribution = 5,
  kRngAlgorithm = 6,
  kAccuracyMode = 7,
};

// One row per enumeration: the word in the text and its values.
struct EnumValueInfo {
  std::string_view name;
  int value;
};
struct EnumInfo {
  EnumId id;
  std::string_view mnemonic;  // "comparison_direction"
  std::span<const EnumValueInfo> values;
};
const EnumInfo& InfoOf(EnumId id);
const EnumInfo* FindEnum(std::string_view mnemonic);

// Dimension numbers of stablehlo.gather and stablehlo.scatter, named as in the specification.
struct GatherDims {
  Dims offset_dims, collapsed_slice_dims, operand_batching_dims, start_indices_batching_dims,
      start_index_map;
  int64_t index_vector_dim = 0;
};
struct ScatterDims {
  Dims update_window_dims, inserted_window_dims, input_batching_dims, scatter_indices_batching_dims,
      scatter_dims_to_operand_dims;
  int64_t index_vector_dim = 0;
};
struct DotDims {
  Dims lhs_batch, rhs_batch, lhs_contract, rhs_contract;
};
struct ConvDims {
  int64_t input_batch = 0, input_feature = 0;
  Dims input_spatial;
  int64_t kernel_input_feature = 0, kernel_output_feature = 0;
  Dims kernel_spatial;
  int64_t output_batch = 0, output_feature = 0;
  Dims output_spatial;
};
struct PrecisionType {
  DType dtype = DType::kF32;
  bool tf32 = false;  // tf32, which is a precision and not an element type; dtype is f32 then
  friend bool operator==(const PrecisionType&, const PrecisionType&) = default;
};
struct DotAlgorithm {
  PrecisionType lhs, rhs, accumulation;
  int64_t lhs_components = 1, rhs_components = 1, primitive_operations = 1;
  bool allow_imprecise = false;
};
struct ChannelHandle {
  int64_t handle = 0, type = 0;
};
struct ResultAccuracy {
  double atol = 0, rtol = 0;
  int64_t ulps = 0;
  AccuracyMode mode = AccuracyMode::kDefault;
};
struct OperandAlias {
  Dims output_tuple_indices;
  int64_t operand_index = 0;
  Dims operand_tuple_indices;
};
struct FuncType {
  std::vector<TensorType> inputs, results;
};

// Elements of a dense attribute. A splat keeps one element, whatever the shape, so that a huge
// constant costs nothing until it is evaluated.
struct Dense {
  TensorType type;
  Tensor data;  // shape of `type`, or rank 0 if `splat`
  bool splat = false;
  bool is_index = false;  // element type printed as `index`; held as i64

  // All elements. Errors: kResourceExhausted (more than `max_bytes`).
  Result<Tensor> Materialize(uint64_t max_bytes = UINT64_MAX) const;
};

class Attr;
struct NamedAttr;
// Sorted by name, names distinct (AttrDict functions below keep it so).
using AttrDict = std::vector<NamedAttr>;

class Attr {
 public:
  Attr() = default;
  static Attr Unit();
  static Attr Bool(bool v);
  static Attr Int(int64_t v, DType dtype = DType::kI64);
  static Attr Float(double v, DType dtype = DType::kF64);
  static Attr String(std::string_view v);
  static Attr Symbol(std::string_view name);
  static Attr Type(TensorType type);
  // The type `f32` rather than `tensor<f32>`.
  static Attr ScalarType(DType dtype);
  static Attr Function(FuncType type);
  static Attr Ints(std::span<const int64_t> v);
  static Attr Ints(std::initializer_list<int64_t> v) {
    return Ints(std::span<const int64_t>(v.begin(), v.size()));
  }
  static Attr Bools(std::span<const bool> v);
  static Attr OfDense(Dense v);
  // A dense attribute holding `t`; all-equal elements (bitwise) become a splat.
  static Attr OfTensor(const Tensor& t);
  static Attr Enum(EnumId id, int value);
  static Attr Of(CompareDirection v) {
    return Enum(EnumId::kCompareDirection, static_cast<int>(v));
  }
  static Attr Of(CompareType v) { return Enum(EnumId::kCompareType, static_cast<int>(v)); }
  static Attr Of(Precision v) { return Enum(EnumId::kPrecision, static_cast<int>(v)); }
  static Attr Of(FftType v) { return Enum(EnumId::kFftType, static_cast<int>(v)); }
  static Attr Of(TransposeA v) { return Enum(EnumId::kTransposeA, static_cast<int>(v)); }
  static Attr Of(RngDistribution v) { return Enum(EnumId::kRngDistribution, static_cast<int>(v)); }
  static Attr Of(RngAlgorithm v) { return Enum(EnumId::kRngAlgorithm, static_cast<int>(v)); }
  static Attr Of(GatherDims v);
  static Attr Of(ScatterDims v);
  static Attr Of(DotDims v);
  static Attr Of(ConvDims v);
  static Attr Of(DotAlgorithm v);
  static Attr Of(ChannelHandle v);
  static Attr Of(ResultAccuracy v);
  static Attr Of(OperandAlias v);
  static Attr Dict(AttrDict v);
  static Attr List(std::vector<Attr> v);
  static Attr Opaque(std::string_view text);

  AttrKind kind() const { return kind_; }
  bool present() const { return kind_ != AttrKind::kNone; }

  // Each accessor requires the kind it names; the verifier has checked kinds before rules and
  // kernels run.
  bool AsBool() const { return scalar_ != 0; }
  int64_t AsInt() const { return scalar_; }
  double AsFloat() const;
  DType dtype() const { return dtype_; }  // of kInt and kFloat, of a scalar kType
  const std::string& AsText() const;      // kString, kSymbol, kOpaque
  const TensorType& AsType() const;
  bool is_scalar_type() const { return kind_ == AttrKind::kType && scalar_ != 0; }
  const FuncType& AsFuncType() const;
  std::span<const int64_t> AsInts() const;  // kInts and kBools
  const Dense& AsDense() const;
  EnumId enum_id() const { return static_cast<EnumId>(scalar_ >> 8); }
  int AsEnum() const { return static_cast<int>(scalar_ & 0xFF); }
  std::string_view EnumName() const;
  const AttrDict& AsDict() const;
  const std::vector<Attr>& AsList() const;
  const GatherDims& AsGather() const;
  const ScatterDims& AsScatter() const;
  const DotDims& AsDot() const;
  const ConvDims& AsConv() const;
  const DotAlgorithm& AsDotAlgorithm() const;
  const ChannelHandle& AsChannel() const;
  const ResultAccuracy& AsResultAccuracy() const;
  const OperandAlias& AsOperandAlias() const;

  // By value, dense elements bit by bit.
  friend bool operator==(const Attr& a, const Attr& b);

 private:
  struct Payload;
  template <typename T>
  static Attr Make(AttrKind kind, T value);
  template <typename T>
  const T& Get() const;

  AttrKind kind_ = AttrKind::kNone;
  DType dtype_ = DType::kInvalid;
  int64_t scalar_ = 0;
  std::shared_ptr<const Payload> payload_;
};

struct NamedAttr {
  std::string name;
  Attr value;
};

// The value of `name`, or an absent Attr.
const Attr& FindAttr(const AttrDict& dict, std::string_view name);
// Inserts or replaces; an absent value removes the entry.
void SetAttr(AttrDict* dict, std::string_view name, Attr value);

// "integer", "dense elements" and so on, for messages.
std::string_view KindName(AttrKind kind);
// "gather", "dot_algorithm": what follows "#stablehlo." in the text; "" if `kind` is not one of a
// record.
std::string_view RecordName(AttrKind kind);

}  // namespace megalith::stablehlo
