// Builds StableHLO functions operation by operation. This is what lowering writes against.
//
//   Module module;
//   FuncBuilder b("main", Visibility::kPublic);
//   const ValueId x = b.Arg({DType::kF32, {4}});
//   const ValueId y = b.Add(x, b.Splat(b.type(x), 1.0));
//   b.Return({y});
//   RETURN_IF_ERROR(b.FinishInto(&module));
//
// Result types are inferred by the rule in the op's row. Errors are sticky: the first one is kept,
// everything emitted after it is harmless (kNoValue in, kNoValue out), and Finish reports it. So
// callers need not check each step. Not thread-safe. Cost: one append per op, plus the op's type
// rule.
#pragma once

#include <complex>
#include <functional>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/programs/stablehlo/module.h"

namespace megalith::stablehlo {

// Results of an op. Reading past the end gives kNoValue, so that code after an error needs no
// checks.
struct Values : std::vector<ValueId> {
  using std::vector<ValueId>::vector;
  ValueId operator[](size_t i) const { return i < size() ? data()[i] : kNoValue; }
};

// Fills a region: receives the region's arguments, emits with the same builder, returns the
// terminator's operands.
using RegionFn = std::function<Values(std::span<const ValueId> args)>;

// Window parameters of reduce_window, select_and_scatter and convolution. An empty list means all
// ones (padding: zeros); `padding` holds low, high of each dimension, so twice as many numbers.
struct Window {
  Dims dimensions;
  Dims strides = {};
  Dims padding = {};
  Dims base_dilations = {};
  Dims window_dilations = {};
};

class FuncBuilder {
 public:
  explicit FuncBuilder(std::string name, Visibility visibility = Visibility::kPublic);

  // --- the function
  // -----------------------------------------------------------------------------------------------
  ValueId Arg(const TensorType& type, AttrDict attrs = {});
  // Ends the function. `result_attrs` is empty or one dictionary per result (jax.result_info and
  // the like).
  void Return(std::span<const ValueId> values, std::vector<AttrDict> result_attrs = {});
  void Return(std::initializer_list<ValueId> values, std::vector<AttrDict> result_attrs = {}) {
    Return(std::span(values.begin(), values.size()), std::move(result_attrs));
  }
  // The finished function, or the first error. Call once, after Return.
  Result<Func> Finish();
  // Finish, then module->AddFunc.
  Status FinishInto(Module* module);

  const Status& status() const { return status_; }
  // Records an error of the caller's own; ignored if there is one already.
  void Fail(Status status);
  // The type of a value; an invalid type for kNoValue.
  const TensorType& type(ValueId v) const;
  DType dtype(ValueId v) const { return type(v).dtype; }
  const Shape& shape(ValueId v) const { return type(v).shape; }

  // --- any operation by name
  // --------------------------------------------------------------------------------------
  // `results` may be empty where the op's rule infers them; required for iota, reshape, convert,
  // custom_call and others whose result type is free. Regions are built with BuildRegion
  // beforehand.
  Values Emit(std::string_view op, std::span<const ValueId> operands, AttrDict attrs = {},
              std::vector<TensorType> results = {}, std::vector<Region> regions = {});
  Values Emit(std::string_view op, std::initializer_list<ValueId> operands, AttrDict attrs = {},
              std::vector<TensorType> results = {}, std::vector<Region> regions = {}) {
    return Emit(op, std::span(operands.begin(), operands.size()), std::move(attrs),
                std::move(results), std::move(regions));
  }
  // The same for ops with one result.
  ValueId Emit1(std::string_view op, std::initializer_list<ValueId> operands, AttrDict attrs = {});
  ValueId Emit1(std::string_view op, std::initializer_list<ValueId> operands, AttrDict attrs,
                TensorType result);
  ValueId Emit1(std::string_view op, std::span<const ValueId> operands, AttrDict attrs,
                TensorType result);

  // Opens a region with these arguments, runs `body`, closes it with a stablehlo.return of what it
  // returned.
  Region BuildRegion(std::span<const TensorType> arg_types, const RegionFn& body);
  // The same in two steps, for callers that cannot use a lambda. Regions nest; values of outer
  // regions may be used.
  std::span<const ValueId> BeginRegion(std::span<const TensorType> arg_types);
  Region EndRegion(std::span<const ValueId> returned);

  // --- constants
  // --------------------------------------------------------------------------------------------------
  ValueId Constant(const Tensor& value);
  // Every element the same, rounded to the dtype; costs one element whatever the shape.
  ValueId Splat(const TensorType& type, double value);
  ValueId Splat(const TensorType& type, int64_t value);
  ValueId Splat(const TensorType& type, int value) {
    return Splat(type, static_cast<int64_t>(value));
  }
  ValueId Splat(const TensorType& type, bool value) {
    return Splat(type, static_cast<int64_t>(value));
  }
  ValueId Splat(const TensorType& type, std::complex<double> value);
  ValueId Splat(const TensorType& type, const Tensor& scalar);  // rank 0, dtype of `type`
  ValueId Scalar(DType dtype, double value) { return Splat(TensorType::Scalar(dtype), value); }
  ValueId Scalar(DType dtype, int64_t value) { return Splat(TensorType::Scalar(dtype), value); }
  ValueId Scalar(DType dtype, int value) { return Splat(TensorType::Scalar(dtype), value); }
  ValueId Iota(const TensorType& type, int64_t dimension);

  // --- elementwise
  // ------------------------------------------------------------------------------------------------
  // Any one-operand op with the operand's type as result ("stablehlo.tanh", "chlo.erf").
  ValueId Unary(std::string_view op, ValueId x) { return Emit1(op, {x}); }
  ValueId Binary(std::string_view op, ValueId x, ValueId y) { return Emit1(op, {x, y}); }
  ValueId Add(ValueId x, ValueId y) { return Binary("stablehlo.add", x, y); }
  ValueId Sub(ValueId x, ValueId y) { return Binary("stablehlo.subtract", x, y); }
  ValueId Mul(ValueId x, ValueId y) { return Binary("stablehlo.multiply", x, y); }
  ValueId Div(ValueId x, ValueId y) { return Binary("stablehlo.divide", x, y); }
  ValueId Rem(ValueId x, ValueId y) { return Binary("stablehlo.remainder", x, y); }
  ValueId Pow(ValueId x, ValueId y) { return Binary("stablehlo.power", x, y); }
  ValueId Max(ValueId x, ValueId y) { return Binary("stablehlo.maximum", x, y); }
  ValueId Min(ValueId x, ValueId y) { return Binary("stablehlo.minimum", x, y); }
  ValueId Atan2(ValueId x, ValueId y) { return Binary("stablehlo.atan2", x, y); }
  ValueId And(ValueId x, ValueId y) { return Binary("stablehlo.and", x, y); }
  ValueId Or(ValueId x, ValueId y) { return Binary("stablehlo.or", x, y); }
  ValueId Xor(ValueId x, ValueId y) { return Binary("stablehlo.xor", x, y); }
  ValueId ShiftLeft(ValueId x, ValueId y) { return Binary("stablehlo.shift_left", x, y); }
  ValueId ShiftRightLogical(ValueId x, ValueId y) {
    return Binary("stablehlo.shift_right_logical", x, y);
  }
  ValueId ShiftRightArithmetic(ValueId x, ValueId y) {
    return Binary("stablehlo.shift_right_arithmetic", x, y);
  }
  ValueId Complex(ValueId re, ValueId im) { return Binary("stablehlo.complex", re, im); }
  ValueId Not(ValueId x) { return Unary("stablehlo.not", x); }
  ValueId Neg(ValueId x) { return Unary("stablehlo.negate", x); }
  ValueId Abs(ValueId x) { return Unary("stablehlo.abs", x); }
  ValueId Exp(ValueId x) { return Unary("stablehlo.exponential", x); }
  ValueId Log(ValueId x) { return Unary("stablehlo.log", x); }
  ValueId Sqrt(ValueId x) { return Unary("stablehlo.sqrt", x); }
  ValueId Real(ValueId x) { return Unary("stablehlo.real", x); }
  ValueId Imag(ValueId x) { return Unary("stablehlo.imag", x); }
  ValueId IsFinite(ValueId x) { return Unary("stablehlo.is_finite", x); }
  // The comparison type follows the dtype (FLOAT, SIGNED, UNSIGNED, none for complex) unless one is
  // given.
  ValueId Compare(CompareDirection direction, ValueId x, ValueId y);
  ValueId Compare(CompareDirection direction, ValueId x, ValueId y, CompareType type);
  // `predicate` has the shape of the branches or is a scalar.
  ValueId Select(ValueId predicate, ValueId on_true, ValueId on_false);
  ValueId Clamp(ValueId low, ValueId x, ValueId high);
  // A convert to the same dtype is emitted too, as JAX does.
  ValueId Convert(ValueId x, DType dtype);
  ValueId BitcastConvert(ValueId x, const TensorType& result);
  ValueId ReducePrecision(ValueId x, int exponent_bits, int mantissa_bits);

  // --- shape
  // ------------------------------------------------------------------------------------------------------
  ValueId BroadcastInDim(ValueId x, const Shape& shape, const Dims& dims);
  // A scalar to any shape.
  ValueId BroadcastScalar(ValueId x, const Shape& shape) { return BroadcastInDim(x, shape, {}); }
  ValueId Reshape(ValueId x, const Shape& shape);
  ValueId Transpose(ValueId x, const Dims& permutation);
  ValueId Reverse(ValueId x, const Dims& dims);
  ValueId Slice(ValueId x, const Dims& start, const Dims& limit, const Dims& strides = {});
  ValueId DynamicSlice(ValueId x, std::span<const ValueId> starts, const Dims& sizes);
  ValueId DynamicUpdateSlice(ValueId x, ValueId update, std::span<const ValueId> starts);
  ValueId Concatenate(std::span<const ValueId> xs, int64_t dimension);
  ValueId Pad(ValueId x, ValueId value, const Dims& low, const Dims& high, const Dims& interior);
  ValueId Gather(ValueId x, ValueId indices, const GatherDims& dims, const Dims& slice_sizes,
                 bool indices_are_sorted = false);
  // `body` combines the old element (first argument) with the update (second); both scalars.
  ValueId Scatter(ValueId x, ValueId indices, ValueId updates, const ScatterDims& dims,
                  const RegionFn& body, bool indices_are_sorted = false,
                  bool unique_indices = false);
  // The body is one binary op ("stablehlo.add"); an empty name returns the update.
  ValueId Scatter(ValueId x, ValueId indices, ValueId updates, const ScatterDims& dims,
                  std::string_view body_op, bool indices_are_sorted = false,
                  bool unique_indices = false);

  // --- reductions
  // -------------------------------------------------------------------------------------------------
  // One-op reduction of one operand: Reduce(x, zero, {0}, "stablehlo.add").
  ValueId Reduce(ValueId x, ValueId init, const Dims& dims, std::string_view body_op);
  // General form: the body gets the accumulators of all operands, then their elements, and returns
  // the accumulators.
  Values Reduce(std::span<const ValueId> xs, std::span<const ValueId> inits, const Dims& dims,
                const RegionFn& body);
  ValueId ReduceWindow(ValueId x, ValueId init, const Window& window, std::string_view body_op);
  Values ReduceWindow(std::span<const ValueId> xs, std::span<const ValueId> inits,
                      const Window& window, const RegionFn& body);
  ValueId SelectAndScatter(ValueId x, ValueId source, ValueId init, const Window& window,
                           CompareDirection select, std::string_view scatter_op);
  // The comparator gets a pair of elements of each operand, in order, and returns one boolean.
  Values Sort(std::span<const ValueId> xs, int64_t dimension, bool is_stable,
              const RegionFn& comparator);

  // --- linear algebra and transforms
  // ------------------------------------------------------------------------------ `result` gives
  // the element type of the product; its precision list is empty or one entry per side.
  ValueId DotGeneral(ValueId x, ValueId y, const DotDims& dims, DType result,
                     std::initializer_list<Precision> precision = {});
  // `window` needs strides, padding, base_dilations (of x) and window_dilations (of the kernel)
  // only.
  ValueId Convolution(ValueId x, ValueId kernel, const ConvDims& dims, const Window& window,
                      DType result, int64_t feature_groups = 1, int64_t batch_groups = 1,
                      std::initializer_list<Precision> precision = {},
                      std::span<const bool> reversal = {});
  ValueId Fft(ValueId x, FftType type, const Dims& length);
  ValueId Cholesky(ValueId x, bool lower);
  ValueId TriangularSolve(ValueId a, ValueId b, bool left_side, bool lower, bool unit_diagonal,
                          TransposeA transpose);

  // --- random numbers
  // ---------------------------------------------------------------------------------------------
  // Returns {new state, bits}.
  Values RngBitGenerator(ValueId state, RngAlgorithm algorithm, const TensorType& bits);

  // --- control and calls
  // ------------------------------------------------------------------------------------------ Both
  // functions get the carried values; `condition` returns one boolean scalar, `body` the next
  // carried values.
  Values While(std::span<const ValueId> init, const RegionFn& condition, const RegionFn& body);
  // `index` is an i32 scalar; out of range selects the last branch.
  Values Case(ValueId index, std::span<const RegionFn> branches);
  Values If(ValueId predicate, const RegionFn& on_true, const RegionFn& on_false);
  // The callee may be added to the module later, so its result types are given.
  Values Call(std::string_view callee, std::span<const ValueId> operands,
              std::vector<TensorType> results);
  Values CustomCall(std::string_view target, std::span<const ValueId> operands,
                    std::vector<TensorType> results, AttrDict attrs = {});
  Values Composite(std::string_view name, std::string_view decomposition,
                   std::span<const ValueId> operands, std::vector<TensorType> results,
                   AttrDict composite_attrs = {}, int64_t version = 0);
  Values OptimizationBarrier(std::span<const ValueId> xs) {
    return Emit("stablehlo.optimization_barrier", xs);
  }

 private:
  Values EmitOp(std::string_view name, std::span<const ValueId> operands, AttrDict attrs,
                std::vector<TensorType> results, std::vector<Region> regions);
  bool UsableType(const TensorType& type);
  Region OneOpRegion(std::span<const TensorType> arg_types, std::string_view op);
  Region& current() { return open_.back(); }

  Func func_;
  std::vector<Region> open_;  // the function's body, then the regions being built
  Status status_;
  bool returned_ = false;
};

}  // namespace megalith::stablehlo
