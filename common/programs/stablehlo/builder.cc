#include "common/programs/stablehlo/builder.h"

#include <utility>

#include "common/foundation/base/strings.h"
#include "common/programs/stablehlo/op_def.h"
#include "common/programs/stablehlo/verify.h"

namespace megalith::stablehlo {
namespace {

NamedAttr Named(std::string_view name, Attr value) { return {std::string(name), std::move(value)}; }

AttrDict Attrs(std::initializer_list<NamedAttr> list) {
  AttrDict dict;
  for (const NamedAttr& a : list) SetAttr(&dict, a.name, a.value);
  return dict;
}

Attr PaddingAttr(const Dims& flat) {
  Tensor t = *Tensor::Create(DType::kI64, Shape{static_cast<int64_t>(flat.size() / 2), 2});
  for (size_t i = 0; i < flat.size(); ++i) t.SetInt(static_cast<int64_t>(i), flat[i]);
  return Attr::OfTensor(t);
}

void SetInts(AttrDict* dict, std::string_view name, const Dims& dims) {
  if (!dims.empty()) SetAttr(dict, name, Attr::Ints(dims));
}

AttrDict WindowAttrs(const Window& w) {
  AttrDict dict;
  SetAttr(&dict, "window_dimensions", Attr::Ints(w.dimensions));
  SetInts(&dict, "window_strides", w.strides);
  SetInts(&dict, "base_dilations", w.base_dilations);
  SetInts(&dict, "window_dilations", w.window_dilations);
  if (!w.padding.empty()) SetAttr(&dict, "padding", PaddingAttr(w.padding));
  return dict;
}

Attr PrecisionAttr(std::initializer_list<Precision> precision) {
  std::vector<Attr> list;
  for (const Precision p : precision) list.push_back(Attr::Of(p));
  return Attr::List(std::move(list));
}

Values Concat(std::span<const ValueId> a, std::span<const ValueId> b) {
  Values out(a.begin(), a.end());
  out.insert(out.end(), b.begin(), b.end());
  return out;
}

}  // namespace

FuncBuilder::FuncBuilder(std::string name, Visibility visibility) {
  func_.name = std::move(name);
  func_.visibility = visibility;
  open_.emplace_back();
}

void FuncBuilder::Fail(Status status) {
  if (status_.ok() && !status.ok()) status_ = status.Annotate(StrCat("@", func_.name));
}

const TensorType& FuncBuilder::type(ValueId v) const {
  static const TensorType kInvalid;
  return v < func_.types.size() ? func_.types[v] : kInvalid;
}

ValueId FuncBuilder::Arg(const TensorType& type, AttrDict attrs) {
  if (open_.size() != 1 || returned_) {
    Fail(InvalidArgument("arguments must be declared outside of regions and before Return"));
    return kNoValue;
  }
  const ValueId v = func_.AddValue(type);
  current().args.push_back(v);
  func_.arg_attrs.push_back(std::move(attrs));
  return v;
}

void FuncBuilder::Return(std::span<const ValueId> values, std::vector<AttrDict> result_attrs) {
  if (returned_ || open_.size() != 1)
    Fail(InvalidArgument("Return is called twice or inside a region"));
  returned_ = true;
  EmitOp("func.return", values, {}, {}, {});
  for (const ValueId v : values) func_.results.push_back(type(v));
  if (!result_attrs.empty() && result_attrs.size() != values.size()) {
    Fail(InvalidArgument(
        StrCat(result_attrs.size(), " result attributes for ", values.size(), " results")));
  }
  func_.result_attrs = std::move(result_attrs);
}

Result<Func> FuncBuilder::Finish() {
  if (!returned_) Fail(InvalidArgument("the function was not ended by Return"));
  if (!status_.ok()) return status_;
  func_.body = std::move(open_[0]);
  return std::move(func_);
}

Status FuncBuilder::FinishInto(Module* module) {
  ASSIGN_OR_RETURN(Func func, Finish());
  return internal::StatusOf(module->AddFunc(std::move(func)));
}

// --- emitting ---

Values FuncBuilder::EmitOp(std::string_view name, std::span<const ValueId> operands, AttrDict attrs,
                           std::vector<TensorType> results, std::vector<Region> regions) {
  if (!status_.ok()) return {};
  Op op;
  op.def = FindOp(name);
  if (op.def == nullptr) {
    Fail(Unimplemented(StrCat("operation ", name, " is not supported")));
    return {};
  }
  for (const ValueId v : operands) {
    if (v >= func_.types.size()) {
      Fail(InvalidArgument(StrCat(name, " gets an operand that is not a value of this function")));
      return {};
    }
  }
  op.operands.assign(operands.begin(), operands.end());
  for (NamedAttr& a : attrs) SetAttr(&op.attrs, a.name, std::move(a.value));
  op.regions = std::move(regions);
  std::vector<TensorType> types;
  const Status s = VerifyOp(op, func_, nullptr, results, &types);
  if (!s.ok()) {
    Fail(s.Annotate(StrCat("op ", current().ops.size(), " (", name, ")")));
    return {};
  }
  op.first_result = static_cast<ValueId>(func_.types.size());
  op.num_results = static_cast<uint32_t>(types.size());
  Values out;
  out.reserve(types.size());
  for (TensorType& t : types) out.push_back(func_.AddValue(std::move(t)));
  current().ops.push_back(std::move(op));
  return out;
}

Values FuncBuilder::Emit(std::string_view op, std::span<const ValueId> operands, AttrDict attrs,
                         std::vector<TensorType> results, std::vector<Region> regions) {
  return EmitOp(op, operands, std::move(attrs), std::move(results), std::move(regions));
}

ValueId FuncBuilder::Emit1(std::string_view op, std::initializer_list<ValueId> operands,
                           AttrDict attrs) {
  const Values v =
      EmitOp(op, std::span(operands.begin(), operands.size()), std::move(attrs), {}, {});
  if (v.size() == 1) return v[0];
  Fail(InvalidArgument(StrCat(op, " has ", v.size(), " results, wanted one")));
  return kNoValue;
}

ValueId FuncBuilder::Emit1(std::string_view op, std::initializer_list<ValueId> operands,
                           AttrDict attrs, TensorType result) {
  return Emit1(op, std::span(operands.begin(), operands.size()), std::move(attrs),
               std::move(result));
}

ValueId FuncBuilder::Emit1(std::string_view op, std::span<const ValueId> operands, AttrDict attrs,
                           TensorType result) {
  const Values v = EmitOp(op, operands, std::move(attrs), {std::move(result)}, {});
  return v.empty() ? kNoValue : v[0];
}

std::span<const ValueId> FuncBuilder::BeginRegion(std::span<const TensorType> arg_types) {
  open_.emplace_back();
  for (const TensorType& t : arg_types) current().args.push_back(func_.AddValue(t));
  return current().args;
}

Region FuncBuilder::EndRegion(std::span<const ValueId> returned) {
  if (open_.size() < 2) {
    Fail(InvalidArgument("EndRegion without BeginRegion"));
    return {};
  }
  EmitOp("stablehlo.return", returned, {}, {}, {});
  Region region = std::move(open_.back());
  open_.pop_back();
  return region;
}

Region FuncBuilder::BuildRegion(std::span<const TensorType> arg_types, const RegionFn& body) {
  return EndRegion(body(BeginRegion(arg_types)));
}

Region FuncBuilder::OneOpRegion(std::span<const TensorType> arg_types, std::string_view op) {
  return BuildRegion(arg_types, [&](std::span<const ValueId> a) -> Values {
    if (op.empty()) return {a[1]};
    return {Binary(op, a[0], a[1])};
  });
}

// --- constants ---

ValueId FuncBuilder::Constant(const Tensor& value) {
  return Emit1("stablehlo.constant", {}, Attrs({Named("value", Attr::OfTensor(value))}));
}

ValueId FuncBuilder::Splat(const TensorType& type, const Tensor& scalar) {
  if (scalar.dtype() != type.dtype || scalar.size() != 1) {
    Fail(InvalidArgument(StrCat("cannot splat ", scalar.TypeText(), " to ", type.Text())));
    return kNoValue;
  }
  Dense d;
  d.type = type;
  d.splat = ElementCount(type) != 0;
  if (d.splat) {
    d.data = scalar.Reshaped(Shape{});
  } else {
    d.data = *Tensor::Create(type.dtype, type.shape);
  }
  return Emit1("stablehlo.constant", {}, Attrs({Named("value", Attr::OfDense(std::move(d)))}));
}

bool FuncBuilder::UsableType(const TensorType& type) {
  const bool usable = type.dtype != DType::kInvalid && !tensor::MlirName(type.dtype).empty();
  if (!usable) Fail(InvalidArgument(StrCat("no constant of type ", type.Text())));
  return usable;
}

ValueId FuncBuilder::Splat(const TensorType& type, double value) {
  if (!UsableType(type)) return kNoValue;
  Tensor t = *Tensor::Create(type.dtype, Shape{});
  t.SetDouble(0, value);
  return Splat(type, t);
}

ValueId FuncBuilder::Splat(const TensorType& type, int64_t value) {
  if (!UsableType(type)) return kNoValue;
  Tensor t = *Tensor::Create(type.dtype, Shape{});
  t.SetInt(0, value);
  return Splat(type, t);
}

ValueId FuncBuilder::Splat(const TensorType& type, std::complex<double> value) {
  if (!UsableType(type)) return kNoValue;
  Tensor t = *Tensor::Create(type.dtype, Shape{});
  t.SetComplex(0, value);
  return Splat(type, t);
}

ValueId FuncBuilder::Iota(const TensorType& type, int64_t dimension) {
  return Emit1("stablehlo.iota", {}, Attrs({Named("iota_dimension", Attr::Int(dimension))}), type);
}

// --- elementwise ---

ValueId FuncBuilder::Compare(CompareDirection direction, ValueId x, ValueId y) {
  const DType d = dtype(x);
  const CompareType type = tensor::IsInexact(d)  ? CompareType::kFloat
                           : tensor::IsSigned(d) ? CompareType::kSigned
                                                 : CompareType::kUnsigned;
  return Compare(direction, x, y, type);
}

ValueId FuncBuilder::Compare(CompareDirection direction, ValueId x, ValueId y, CompareType type) {
  return Emit1("stablehlo.compare", {x, y},
               Attrs({Named("comparison_direction", Attr::Of(direction)),
                      Named("compare_type", Attr::Of(type))}));
}

ValueId FuncBuilder::Select(ValueId predicate, ValueId on_true, ValueId on_false) {
  return Emit1("stablehlo.select", {predicate, on_true, on_false});
}

ValueId FuncBuilder::Clamp(ValueId low, ValueId x, ValueId high) {
  return Emit1("stablehlo.clamp", {low, x, high});
}

ValueId FuncBuilder::Convert(ValueId x, DType dtype) {
  return Emit1("stablehlo.convert", {x}, {}, type(x).With(dtype));
}

ValueId FuncBuilder::BitcastConvert(ValueId x, const TensorType& result) {
  return Emit1("stablehlo.bitcast_convert", {x}, {}, result);
}

ValueId FuncBuilder::ReducePrecision(ValueId x, int exponent_bits, int mantissa_bits) {
  return Emit1("stablehlo.reduce_precision", {x},
               Attrs({Named("exponent_bits", Attr::Int(exponent_bits, DType::kI32)),
                      Named("mantissa_bits", Attr::Int(mantissa_bits, DType::kI32))}));
}

// --- shape ---

ValueId FuncBuilder::BroadcastInDim(ValueId x, const Shape& shape, const Dims& dims) {
  return Emit1("stablehlo.broadcast_in_dim", {x},
               Attrs({Named("broadcast_dimensions", Attr::Ints(dims))}),
               TensorType{dtype(x), shape});
}

ValueId FuncBuilder::Reshape(ValueId x, const Shape& shape) {
  return Emit1("stablehlo.reshape", {x}, {}, TensorType{dtype(x), shape});
}

ValueId FuncBuilder::Transpose(ValueId x, const Dims& permutation) {
  return Emit1("stablehlo.transpose", {x}, Attrs({Named("permutation", Attr::Ints(permutation))}));
}

ValueId FuncBuilder::Reverse(ValueId x, const Dims& dims) {
  return Emit1("stablehlo.reverse", {x}, Attrs({Named("dimensions", Attr::Ints(dims))}));
}

ValueId FuncBuilder::Slice(ValueId x, const Dims& start, const Dims& limit, const Dims& strides) {
  return Emit1(
      "stablehlo.slice", {x},
      Attrs({Named("start_indices", Attr::Ints(start)), Named("limit_indices", Attr::Ints(limit)),
             Named("strides", Attr::Ints(strides.empty() ? Dims(start.size(), 1) : strides))}));
}

ValueId FuncBuilder::DynamicSlice(ValueId x, std::span<const ValueId> starts, const Dims& sizes) {
  const ValueId first[] = {x};
  return Emit1("stablehlo.dynamic_slice", Concat(first, starts),
               Attrs({Named("slice_sizes", Attr::Ints(sizes))}), TensorType{dtype(x), sizes});
}

ValueId FuncBuilder::DynamicUpdateSlice(ValueId x, ValueId update,
                                        std::span<const ValueId> starts) {
  const ValueId first[] = {x, update};
  return Emit1("stablehlo.dynamic_update_slice", Concat(first, starts), {}, type(x));
}

ValueId FuncBuilder::Concatenate(std::span<const ValueId> xs, int64_t dimension) {
  const Values v = EmitOp("stablehlo.concatenate", xs,
                          Attrs({Named("dimension", Attr::Int(dimension))}), {}, {});
  return v.empty() ? kNoValue : v[0];
}

ValueId FuncBuilder::Pad(ValueId x, ValueId value, const Dims& low, const Dims& high,
                         const Dims& interior) {
  return Emit1("stablehlo.pad", {x, value},
               Attrs({Named("edge_padding_low", Attr::Ints(low)),
                      Named("edge_padding_high", Attr::Ints(high)),
                      Named("interior_padding", Attr::Ints(interior))}));
}

ValueId FuncBuilder::Gather(ValueId x, ValueId indices, const GatherDims& dims,
                            const Dims& slice_sizes, bool indices_are_sorted) {
  return Emit1("stablehlo.gather", {x, indices},
               Attrs({Named("dimension_numbers", Attr::Of(dims)),
                      Named("slice_sizes", Attr::Ints(slice_sizes)),
                      Named("indices_are_sorted", Attr::Bool(indices_are_sorted))}));
}

ValueId FuncBuilder::Scatter(ValueId x, ValueId indices, ValueId updates, const ScatterDims& dims,
                             const RegionFn& body, bool indices_are_sorted, bool unique_indices) {
  const TensorType scalar = TensorType::Scalar(dtype(x));
  const TensorType args[] = {scalar, scalar};
  std::vector<Region> regions;
  regions.push_back(BuildRegion(args, body));
  const ValueId operands[] = {x, indices, updates};
  const Values v = EmitOp("stablehlo.scatter", operands,
                          Attrs({Named("scatter_dimension_numbers", Attr::Of(dims)),
                                 Named("indices_are_sorted", Attr::Bool(indices_are_sorted)),
                                 Named("unique_indices", Attr::Bool(unique_indices))}),
                          {}, std::move(regions));
  return v.empty() ? kNoValue : v[0];
}

ValueId FuncBuilder::Scatter(ValueId x, ValueId indices, ValueId updates, const ScatterDims& dims,
                             std::string_view body_op, bool indices_are_sorted,
                             bool unique_indices) {
  return Scatter(
      x, indices, updates, dims,
      [&](std::span<const ValueId> a) -> Values {
        if (body_op.empty()) return {a[1]};
        return {Binary(body_op, a[0], a[1])};
      },
      indices_are_sorted, unique_indices);
}

// --- reductions ---

ValueId FuncBuilder::Reduce(ValueId x, ValueId init, const Dims& dims, std::string_view body_op) {
  const ValueId xs[] = {x};
  const ValueId inits[] = {init};
  const Values v = Reduce(xs, inits, dims, [&](std::span<const ValueId> a) -> Values {
    return {Binary(body_op, a[0], a[1])};
  });
  return v.empty() ? kNoValue : v[0];
}

namespace {
std::vector<TensorType> ScalarPairs(const FuncBuilder& b, std::span<const ValueId> xs) {
  std::vector<TensorType> types;
  for (int twice = 0; twice < 2; ++twice) {
    for (const ValueId x : xs) types.push_back(TensorType::Scalar(b.dtype(x)));
  }
  return types;
}
}  // namespace

Values FuncBuilder::Reduce(std::span<const ValueId> xs, std::span<const ValueId> inits,
                           const Dims& dims, const RegionFn& body) {
  std::vector<Region> regions;
  regions.push_back(BuildRegion(ScalarPairs(*this, xs), body));
  return EmitOp("stablehlo.reduce", Concat(xs, inits),
                Attrs({Named("dimensions", Attr::Ints(dims))}), {}, std::move(regions));
}

ValueId FuncBuilder::ReduceWindow(ValueId x, ValueId init, const Window& window,
                                  std::string_view body_op) {
  const ValueId xs[] = {x};
  const ValueId inits[] = {init};
  const Values v = ReduceWindow(xs, inits, window, [&](std::span<const ValueId> a) -> Values {
    return {Binary(body_op, a[0], a[1])};
  });
  return v.empty() ? kNoValue : v[0];
}

Values FuncBuilder::ReduceWindow(std::span<const ValueId> xs, std::span<const ValueId> inits,
                                 const Window& window, const RegionFn& body) {
  std::vector<Region> regions;
  regions.push_back(BuildRegion(ScalarPairs(*this, xs), body));
  return EmitOp("stablehlo.reduce_window", Concat(xs, inits), WindowAttrs(window), {},
                std::move(regions));
}

ValueId FuncBuilder::SelectAndScatter(ValueId x, ValueId source, ValueId init, const Window& window,
                                      CompareDirection select, std::string_view scatter_op) {
  const TensorType scalar = TensorType::Scalar(dtype(x));
  const TensorType args[] = {scalar, scalar};
  std::vector<Region> regions;
  regions.push_back(BuildRegion(
      args, [&](std::span<const ValueId> a) -> Values { return {Compare(select, a[0], a[1])}; }));
  regions.push_back(OneOpRegion(args, scatter_op));
  const ValueId operands[] = {x, source, init};
  const Values v =
      EmitOp("stablehlo.select_and_scatter", operands, WindowAttrs(window), {}, std::move(regions));
  return v.empty() ? kNoValue : v[0];
}

Values FuncBuilder::Sort(std::span<const ValueId> xs, int64_t dimension, bool is_stable,
                         const RegionFn& comparator) {
  std::vector<TensorType> args;
  for (const ValueId x : xs) args.insert(args.end(), 2, TensorType::Scalar(dtype(x)));
  std::vector<Region> regions;
  regions.push_back(BuildRegion(args, comparator));
  return EmitOp(
      "stablehlo.sort", xs,
      Attrs({Named("dimension", Attr::Int(dimension)), Named("is_stable", Attr::Bool(is_stable))}),
      {}, std::move(regions));
}

// --- linear algebra ---

ValueId FuncBuilder::DotGeneral(ValueId x, ValueId y, const DotDims& dims, DType result,
                                std::initializer_list<Precision> precision) {
  AttrDict attrs = Attrs({Named("dot_dimension_numbers", Attr::Of(dims))});
  if (precision.size() > 0) SetAttr(&attrs, "precision_config", PrecisionAttr(precision));
  // The rule finds the shape; the element type is the caller's.
  Op probe;
  probe.def = FindOp("stablehlo.dot_general");
  probe.operands = {x, y};
  probe.attrs = attrs;
  std::vector<TensorType> inferred;
  if (status_.ok() && x < func_.types.size() && y < func_.types.size()) {
    const Status s = VerifyOp(probe, func_, nullptr, {}, &inferred);
    if (!s.ok()) Fail(s.Annotate("stablehlo.dot_general"));
  }
  return Emit1("stablehlo.dot_general", {x, y}, std::move(attrs),
               inferred.empty() ? TensorType() : inferred[0].With(result));
}

ValueId FuncBuilder::Convolution(ValueId x, ValueId kernel, const ConvDims& dims,
                                 const Window& window, DType result, int64_t feature_groups,
                                 int64_t batch_groups, std::initializer_list<Precision> precision,
                                 std::span<const bool> reversal) {
  AttrDict attrs = Attrs({Named("dimension_numbers", Attr::Of(dims)),
                          Named("feature_group_count", Attr::Int(feature_groups)),
                          Named("batch_group_count", Attr::Int(batch_groups))});
  SetInts(&attrs, "window_strides", window.strides);
  SetInts(&attrs, "lhs_dilation", window.base_dilations);
  SetInts(&attrs, "rhs_dilation", window.window_dilations);
  if (!window.padding.empty()) SetAttr(&attrs, "padding", PaddingAttr(window.padding));
  if (!reversal.empty()) SetAttr(&attrs, "window_reversal", Attr::Bools(reversal));
  if (precision.size() > 0) SetAttr(&attrs, "precision_config", PrecisionAttr(precision));
  Op probe;
  probe.def = FindOp("stablehlo.convolution");
  probe.operands = {x, kernel};
  probe.attrs = attrs;
  std::vector<TensorType> inferred;
  if (status_.ok() && x < func_.types.size() && kernel < func_.types.size()) {
    const Status s = VerifyOp(probe, func_, nullptr, {}, &inferred);
    if (!s.ok()) Fail(s.Annotate("stablehlo.convolution"));
  }
  return Emit1("stablehlo.convolution", {x, kernel}, std::move(attrs),
               inferred.empty() ? TensorType() : inferred[0].With(result));
}

ValueId FuncBuilder::Fft(ValueId x, FftType type, const Dims& length) {
  return Emit1("stablehlo.fft", {x},
               Attrs({Named("fft_type", Attr::Of(type)), Named("fft_length", Attr::Ints(length))}));
}

ValueId FuncBuilder::Cholesky(ValueId x, bool lower) {
  return Emit1("stablehlo.cholesky", {x}, Attrs({Named("lower", Attr::Bool(lower))}));
}

ValueId FuncBuilder::TriangularSolve(ValueId a, ValueId b, bool left_side, bool lower,
                                     bool unit_diagonal, TransposeA transpose) {
  return Emit1("stablehlo.triangular_solve", {a, b},
               Attrs({Named("left_side", Attr::Bool(left_side)), Named("lower", Attr::Bool(lower)),
                      Named("unit_diagonal", Attr::Bool(unit_diagonal)),
                      Named("transpose_a", Attr::Of(transpose))}));
}

Values FuncBuilder::RngBitGenerator(ValueId state, RngAlgorithm algorithm, const TensorType& bits) {
  const ValueId operands[] = {state};
  Values v = EmitOp("stablehlo.rng_bit_generator", operands,
                    Attrs({Named("rng_algorithm", Attr::Of(algorithm))}), {type(state), bits}, {});
  return v.empty() ? Values{kNoValue, kNoValue} : v;
}

// --- control and calls ---

Values FuncBuilder::While(std::span<const ValueId> init, const RegionFn& condition,
                          const RegionFn& body) {
  std::vector<TensorType> types;
  for (const ValueId v : init) types.push_back(type(v));
  std::vector<Region> regions;
  regions.push_back(BuildRegion(types, condition));
  regions.push_back(BuildRegion(types, body));
  return EmitOp("stablehlo.while", init, {}, {}, std::move(regions));
}

Values FuncBuilder::Case(ValueId index, std::span<const RegionFn> branches) {
  std::vector<Region> regions;
  for (const RegionFn& branch : branches) regions.push_back(BuildRegion({}, branch));
  const ValueId operands[] = {index};
  return EmitOp("stablehlo.case", operands, {}, {}, std::move(regions));
}

Values FuncBuilder::If(ValueId predicate, const RegionFn& on_true, const RegionFn& on_false) {
  std::vector<Region> regions;
  regions.push_back(BuildRegion({}, on_true));
  regions.push_back(BuildRegion({}, on_false));
  const ValueId operands[] = {predicate};
  return EmitOp("stablehlo.if", operands, {}, {}, std::move(regions));
}

Values FuncBuilder::Call(std::string_view callee, std::span<const ValueId> operands,
                         std::vector<TensorType> results) {
  return EmitOp("func.call", operands, Attrs({Named("callee", Attr::Symbol(callee))}),
                std::move(results), {});
}

Values FuncBuilder::CustomCall(std::string_view target, std::span<const ValueId> operands,
                               std::vector<TensorType> results, AttrDict attrs) {
  SetAttr(&attrs, "call_target_name", Attr::String(target));
  return EmitOp("stablehlo.custom_call", operands, std::move(attrs), std::move(results), {});
}

Values FuncBuilder::Composite(std::string_view name, std::string_view decomposition,
                              std::span<const ValueId> operands, std::vector<TensorType> results,
                              AttrDict composite_attrs, int64_t version) {
  AttrDict attrs = Attrs(
      {Named("name", Attr::String(name)), Named("decomposition", Attr::Symbol(decomposition))});
  if (!composite_attrs.empty())
    SetAttr(&attrs, "composite_attributes", Attr::Dict(std::move(composite_attrs)));
  if (version != 0) SetAttr(&attrs, "version", Attr::Int(version, DType::kI32));
  return EmitOp("stablehlo.composite", operands, std::move(attrs), std::move(results), {});
}

}  // namespace megalith::stablehlo
