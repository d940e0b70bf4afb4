// What the type rules of all op families share. For ops_*.cc only.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/foundation/base/strings.h"
#include "common/programs/stablehlo/op_def.h"

namespace megalith::stablehlo {

using Types = std::vector<TensorType>;

// Classes of element types, or-ed together.
enum DTypeMask : uint32_t { kBoolOk = 1, kIntOk = 2, kFloatOk = 4, kComplexOk = 8 };
inline constexpr uint32_t kInexactOk = kFloatOk | kComplexOk;
inline constexpr uint32_t kNumberOk = kIntOk | kInexactOk;
inline constexpr uint32_t kAnyOk = kBoolOk | kNumberOk;

bool Matches(DType dtype, uint32_t mask);
std::string MaskText(uint32_t mask);

// "operand 1 has element type i32, wanted float".
Status WantDType(const TypeQuery& q, size_t operand, uint32_t mask);
// Operand `i` has the type of operand 0.
Status WantSameType(const TypeQuery& q, size_t i);
Status WantSameShape(const TypeQuery& q, size_t i);
// Operands [from, end) are scalar integers of one type.
Status WantIndexScalars(const TypeQuery& q, size_t from);
// Exactly `count` result types are written.
Status WantDeclared(const TypeQuery& q, size_t count);
// `dims` has `want` entries (no check if want < 0), all in [0, rank) and distinct if `distinct`.
Status WantDims(std::string_view what, std::span<const int64_t> dims, int64_t want, int64_t rank,
                bool distinct);
// Paddings beyond this are refused, so that positions can be computed without overflow.
inline bool IsModest(int64_t v) { return v >= -(int64_t{1} << 60) && v <= (int64_t{1} << 60); }
inline Dims DimsOf(const Attr& a) { return a.present() ? Dims(a.AsInts()) : Dims(); }

// Types of a region's arguments and of what it returns.
struct RegionTypes {
  Types args, results;
};
RegionTypes TypesOf(const Region& region, const Func& func);
// The region takes `args` and returns `results`.
Status WantRegion(const TypeQuery& q, size_t index, std::string_view what, const Types& args,
                  const Types& results);

// Rules for ops whose result is like operand 0, elements from `mask`, all operands of one type.
template <uint32_t mask, int operands>
Status SameTypeRule(const TypeQuery& q, Types* results) {
  RETURN_IF_ERROR(WantDType(q, 0, mask));
  for (size_t i = 1; i < static_cast<size_t>(operands); ++i) RETURN_IF_ERROR(WantSameType(q, i));
  results->push_back(q.operand(0));
  return OkStatus();
}

// Fallback values of attributes.
template <int64_t value>
Attr IntDefault(const Op&, const Func&) {
  return Attr::Int(value);
}
template <int64_t value>
Attr Int32Default(const Op&, const Func&) {
  return Attr::Int(value, DType::kI32);
}
template <bool value>
Attr BoolDefault(const Op&, const Func&) {
  return Attr::Bool(value);
}
// Ones, one per dimension of operand 0.
Attr OnesPerDim(const Op& op, const Func& func);
// Zeros, one row [low, high] per dimension of operand 0.
Attr NoPadding(const Op& op, const Func& func);
// DEFAULT for each of two operands.
Attr DefaultPrecision(const Op& op, const Func& func);
// The rows of a padding attribute: low, high of each dimension. Errors: the shape is not [rank, 2].
Status ReadPadding(const Attr& padding, int64_t rank,
                   std::vector<std::pair<int64_t, int64_t>>* out);

// For OpDef::no_op: the type says it all.
inline bool AlwaysNoOp(const Op&, const Func&) { return true; }
// An integer list 0, 1, 2, ...
bool IsIota(const Attr& ints);

// One dimension of a window that slides over a padded, dilated input.
struct WindowDim {
  int64_t size = 1, stride = 1, pad_low = 0, pad_high = 0, base_dilation = 1, window_dilation = 1;
  bool reversal = false;
};
// Positions of the window along a dimension of `input` elements; errors if the parameters are not
// positive or the padded size overflows.
Result<int64_t> WindowOutput(const WindowDim& w, int64_t input);
// A window over one whole axis with all padding on one side, as cumulative sums are written: output
// i sees inputs 0 to i along `dim`, or i to the end if `reverse`. nullopt for any other window.
struct Recurrence {
  size_t dim = 0;
  bool reverse = false;
};
std::optional<Recurrence> FindRecurrence(std::span<const WindowDim> window, const Shape& input);
// The window parameters of reduce_window.
Result<std::vector<WindowDim>> ReadWindow(const Op& op, const Func& func);
// The window of a convolution, by spatial dimension.
Result<std::vector<WindowDim>> ReadConvWindow(const Op& op, const Func& func);

// The families, each a list of rows.
std::span<const OpDef> ElementwiseOps();
std::span<const OpDef> ShapeOps();
std::span<const OpDef> IndexOps();
std::span<const OpDef> ReductionOps();
std::span<const OpDef> LinalgOps();
std::span<const OpDef> ControlOps();
std::span<const OpDef> EffectOps();
std::span<const OpDef> ChloOps();
std::span<const OpDef> RefusedOps();

}  // namespace megalith::stablehlo
