#include "common/machines/codegen/library_ops.h"

#include <algorithm>
#include <cmath>

#include "common/machines/codegen/comparators.h"
#include "common/machines/codegen/custom_calls.h"
#include "common/machines/kernels/combine.h"
#include "common/machines/kernels/convolution.h"
#include "common/machines/kernels/dot.h"
#include "common/machines/kernels/fft.h"
#include "common/machines/kernels/library.h"
#include "common/machines/kernels/rng_bits.h"
#include "common/machines/kernels/window_kernels.h"
#include "common/programs/stablehlo/op_def.h"

namespace megalith::codegen {
namespace {

using kernels::CombineKind;
using stablehlo::Attr;
using stablehlo::Dims;
using stablehlo::Func;
using stablehlo::Op;
using stablehlo::Region;
using stablehlo::TensorType;
using stablehlo::ValueId;

// What a row of the table below is given.
struct Context {
  const Op& op;
  const Func& func;
  const Definitions& definitions;

  const TensorType& operand(size_t i) const { return func.type(op.operands[i]); }
  Attr attr(std::string_view name) const { return op.attr_or_default(name, func); }
};
using Call = std::optional<LibraryCall>;

void Append(std::vector<int64_t>* params, std::span<const int64_t> list) {
  params->push_back(static_cast<int64_t>(list.size()));
  params->insert(params->end(), list.begin(), list.end());
}

LibraryCall CallOf(const Context& c, std::string_view kernel, std::span<const int64_t> params) {
  return {std::string(kernel), kernels::PackParams(params), c.op.operands};
}

struct CombineRow {
  std::string_view op;
  CombineKind kind;
};
constexpr CombineRow kCombineRows[] = {
    {"stablehlo.add", CombineKind::kAdd},         {"stablehlo.multiply", CombineKind::kMultiply},
    {"stablehlo.maximum", CombineKind::kMaximum}, {"stablehlo.minimum", CombineKind::kMinimum},
    {"stablehlo.and", CombineKind::kAnd},         {"stablehlo.or", CombineKind::kOr},
    {"stablehlo.xor", CombineKind::kXor},
};

// A body that combines its two arguments by one operation, or returns the second.
std::optional<CombineKind> CombineOf(const Region& body) {
  if (body.args.size() != 2) return std::nullopt;
  const Op& end = body.ops.back();
  if (end.operands.size() != 1) return std::nullopt;
  if (body.ops.size() == 1) {
    return end.operands[0] == body.args[1] ? std::optional(CombineKind::kReplace) : std::nullopt;
  }
  const Op& op = body.ops[0];
  if (body.ops.size() != 2 || op.operands.size() != 2 || end.operands[0] != op.result()) {
    return std::nullopt;
  }
  const bool in_order = op.operands[0] == body.args[0] && op.operands[1] == body.args[1];
  const bool swapped = op.operands[0] == body.args[1] && op.operands[1] == body.args[0];
  if (!in_order && !swapped) return std::nullopt;
  for (const CombineRow& row : kCombineRows) {
    if (row.op == op.def->name) return row.kind;
  }
  return std::nullopt;
}

// Brings an operand of dot_general into the order batch, first, second.
Dims Arranged(size_t rank, const Dims& batch, const Dims& contract, bool contract_last) {
  Dims free;
  for (size_t d = 0; d < rank; ++d) {
    const auto has = [&](const Dims& dims) {
      return std::ranges::find(dims, static_cast<int64_t>(d)) != dims.end();
    };
    if (!has(batch) && !has(contract)) free.push_back(static_cast<int64_t>(d));
  }
  Dims out = batch;
  for (const int64_t d : contract_last ? free : contract) out.push_back(d);
  for (const int64_t d : contract_last ? contract : free) out.push_back(d);
  return out;
}

Call DotCall(const Context& c) {
  if (c.op.attr("algorithm").present()) return std::nullopt;
  const stablehlo::DotDims& d = c.op.attr("dot_dimension_numbers").AsDot();
  const kernels::DotDimensions dims{d.lhs_batch, d.rhs_batch, d.lhs_contract, d.rhs_contract};
  const TensorType &lhs = c.operand(0), &rhs = c.operand(1);
  if (const auto params = kernels::CanonicalDot(lhs.shape, rhs.shape, dims)) {
    return LibraryCall{"dot", params->Pack(), c.op.operands};
  }
  LibraryCall call{"dot", "", c.op.operands};
  call.permutations = {Arranged(lhs.rank(), d.lhs_batch, d.lhs_contract, true),
                       Arranged(rhs.rank(), d.rhs_batch, d.rhs_contract, false)};
  kernels::DotParams p;
  const auto size = [](const TensorType& t, const Dims& which) {
    int64_t n = 1;
    for (const int64_t i : which) n *= t.shape[static_cast<size_t>(i)];
    return n;
  };
  p.batch = size(lhs, d.lhs_batch);
  p.k = size(lhs, d.lhs_contract);
  const int64_t lhs_batch_k = p.batch * p.k;
  if (lhs_batch_k == 0) return std::nullopt;
  p.m = stablehlo::ElementCount(lhs) / lhs_batch_k;
  p.n = stablehlo::ElementCount(rhs) / lhs_batch_k;
  p.lhs_batch = p.m * p.k;
  p.lhs_row = p.k;
  p.lhs_col = 1;
  p.rhs_batch = p.k * p.n;
  p.rhs_row = p.n;
  p.rhs_col = 1;
  call.params = p.Pack();
  return call;
}

std::vector<int64_t> ListOf(const Dims& dims) { return {dims.begin(), dims.end()}; }

// Element i of a list attribute, or `missing` if it is absent.
int64_t At(const Attr& list, size_t i, int64_t missing) {
  return list.present() && i < list.AsInts().size() ? list.AsInts()[i] : missing;
}
// Low or high padding of dimension i: attributes hold pairs.
int64_t PaddingAt(const Attr& padding, size_t i, size_t side) {
  if (!padding.present()) return 0;
  const tensor::Tensor t = *padding.AsDense().Materialize();
  return t.IntAt(static_cast<int64_t>(2 * i + side));
}

Call ConvolutionCall(const Context& c) {
  const stablehlo::ConvDims& d = c.op.attr("dimension_numbers").AsConv();
  kernels::ConvParams p;
  p.input_batch = d.input_batch;
  p.input_feature = d.input_feature;
  p.input_spatial = ListOf(d.input_spatial);
  p.kernel_input_feature = d.kernel_input_feature;
  p.kernel_output_feature = d.kernel_output_feature;
  p.kernel_spatial = ListOf(d.kernel_spatial);
  p.output_batch = d.output_batch;
  p.output_feature = d.output_feature;
  p.output_spatial = ListOf(d.output_spatial);
  const Attr padding = c.attr("padding"), reversal = c.attr("window_reversal");
  for (size_t i = 0; i < p.input_spatial.size(); ++i) {
    p.window.push_back({At(c.attr("window_strides"), i, 1), PaddingAt(padding, i, 0),
                        PaddingAt(padding, i, 1), At(c.attr("lhs_dilation"), i, 1),
                        At(c.attr("rhs_dilation"), i, 1), At(reversal, i, 0) != 0});
  }
  p.feature_groups = c.attr("feature_group_count").AsInt();
  p.batch_groups = c.attr("batch_group_count").AsInt();
  return LibraryCall{"convolution", p.Pack(), c.op.operands};
}

Call FftCall(const Context& c) {
  const auto length = c.op.attr("fft_length").AsInts();
  std::vector<int64_t> params = {c.op.attr("fft_type").AsEnum()};
  Append(&params, length);
  return CallOf(c, "fft", params);
}

Call CholeskyCall(const Context& c) {
  const Attr lower = c.attr("lower");
  const int64_t params[] = {lower.present() && lower.AsBool() ? 1 : 0};
  return CallOf(c, "cholesky", params);
}

Call TriangularCall(const Context& c) {
  int64_t transpose = 0;
  switch (static_cast<stablehlo::TransposeA>(c.attr("transpose_a").AsEnum())) {
    case stablehlo::TransposeA::kTranspose:
      transpose = 1;
      break;
    case stablehlo::TransposeA::kAdjoint:
      transpose = 2;
      break;
    default:
      break;
  }
  const int64_t params[] = {c.attr("left_side").AsBool(), c.attr("lower").AsBool(),
                            c.attr("unit_diagonal").AsBool(), transpose};
  return CallOf(c, "triangular_solve", params);
}

Call ScatterCall(const Context& c) {
  if (c.op.num_results != 1) return std::nullopt;
  const std::optional<CombineKind> combine = CombineOf(c.op.regions[0]);
  if (!combine.has_value()) return std::nullopt;
  const stablehlo::ScatterDims& d = c.op.attr("scatter_dimension_numbers").AsScatter();
  std::vector<int64_t> params;
  for (const Dims* list : {&d.update_window_dims, &d.inserted_window_dims, &d.input_batching_dims,
                           &d.scatter_indices_batching_dims, &d.scatter_dims_to_operand_dims}) {
    Append(&params, *list);
  }
  params.push_back(d.index_vector_dim);
  params.push_back(static_cast<int64_t>(*combine));
  return CallOf(c, "scatter", params);
}

Call SortCall(const Context& c) {
  const std::optional<std::vector<SortKey>> keys = KeysOf(c.op, c.func, c.definitions);
  if (!keys.has_value()) return std::nullopt;
  std::vector<int64_t> params = {c.attr("dimension").AsInt(), static_cast<int64_t>(keys->size())};
  if (params[0] < 0) params[0] += static_cast<int64_t>(c.operand(0).rank());
  for (const SortKey& k : *keys) {
    params.push_back(k.operand);
    params.push_back(static_cast<int64_t>(k.order));
    params.push_back(k.descending ? 1 : 0);
  }
  return CallOf(c, "sort", params);
}

Call TopKCall(const Context& c) { return CallOf(c, "top_k", {}); }

// The six lists of a window: sizes, strides, padding before and after, dilations.
void AppendWindow(const Context& c, size_t rank, bool dilations, std::vector<int64_t>* params) {
  const Attr padding = c.attr("padding");
  std::vector<int64_t> sizes, strides, low, high, base, window;
  for (size_t i = 0; i < rank; ++i) {
    sizes.push_back(At(c.attr("window_dimensions"), i, 1));
    strides.push_back(At(c.attr("window_strides"), i, 1));
    low.push_back(PaddingAt(padding, i, 0));
    high.push_back(PaddingAt(padding, i, 1));
    base.push_back(At(c.attr("base_dilations"), i, 1));
    window.push_back(At(c.attr("window_dilations"), i, 1));
  }
  for (const auto* list : {&sizes, &strides, &low, &high}) {
    Append(params, *list);
  }
  if (!dilations) return;
  Append(params, base);
  Append(params, window);
}

Call ReduceWindowCall(const Context& c) {
  if (c.op.num_results != 1) return std::nullopt;
  const std::optional<CombineKind> combine = CombineOf(c.op.regions[0]);
  if (!combine.has_value() || *combine == CombineKind::kReplace) return std::nullopt;
  std::vector<int64_t> params = {static_cast<int64_t>(*combine)};
  AppendWindow(c, c.operand(0).rank(), true, &params);
  return CallOf(c, "reduce_window", params);
}

Call SelectAndScatterCall(const Context& c) {
  const Region& select = c.op.regions[0];
  const std::optional<CombineKind> combine = CombineOf(c.op.regions[1]);
  if (!combine.has_value() || *combine == CombineKind::kReplace) return std::nullopt;
  const Op& compare = select.ops[0];
  if (select.ops.size() != 2 || compare.def->name != "stablehlo.compare" ||
      select.ops[1].operands[0] != compare.result() || compare.operands[0] != select.args[0] ||
      compare.operands[1] != select.args[1]) {
    return std::nullopt;
  }
  kernels::SelectKind kind = kernels::SelectKind::kGreaterEqual;
  switch (static_cast<stablehlo::CompareDirection>(compare.attr("comparison_direction").AsEnum())) {
    case stablehlo::CompareDirection::kGe:
      break;
    case stablehlo::CompareDirection::kLe:
      kind = kernels::SelectKind::kLessEqual;
      break;
    case stablehlo::CompareDirection::kGt:
      kind = kernels::SelectKind::kGreater;
      break;
    case stablehlo::CompareDirection::kLt:
      kind = kernels::SelectKind::kLess;
      break;
    default:
      return std::nullopt;
  }
  std::vector<int64_t> params = {static_cast<int64_t>(kind), static_cast<int64_t>(*combine)};
  AppendWindow(c, c.operand(0).rank(), false, &params);
  return CallOf(c, "select_and_scatter", params);
}

Call RngBitsCall(const Context& c) {
  const auto algorithm = static_cast<stablehlo::RngAlgorithm>(c.op.attr("rng_algorithm").AsEnum());
  // The default is Philox, as in the evaluator.
  const bool threefry = algorithm == stablehlo::RngAlgorithm::kThreeFry;
  const int64_t params[] = {
      static_cast<int64_t>(threefry ? kernels::RngKind::kThreeFry : kernels::RngKind::kPhilox)};
  return CallOf(c, "rng_bit_generator", params);
}

void AppendPiece(const Dims& sizes, int64_t to, const Dims& to_strides, int64_t from,
                 const Dims& from_strides, std::vector<int64_t>* params) {
  Append(params, sizes);
  params->push_back(to);
  Append(params, to_strides);
  params->push_back(from);
  Append(params, from_strides);
}

Call ConcatenateCall(const Context& c) {
  const auto dim = static_cast<size_t>(c.op.attr("dimension").AsInt());
  const Dims to = tensor::RowMajorStrides(c.func.type(c.op.result()).shape);
  std::vector<int64_t> params = {0};
  int64_t at = 0;
  for (size_t i = 0; i < c.op.operands.size(); ++i) {
    const tensor::Shape& shape = c.operand(i).shape;
    AppendPiece(shape, at * to[dim], to, 0, tensor::RowMajorStrides(shape), &params);
    at += shape[dim];
  }
  return CallOf(c, "strided_copy", params);
}

Call TransposeCall(const Context& c) {
  tensor::Shape to;
  return LibraryCall{"strided_copy",
                     TransposeParams(c.operand(0).shape, c.op.attr("permutation").AsInts(), &to),
                     c.op.operands};
}

Call PadCall(const Context& c) {
  const auto low = c.op.attr("edge_padding_low").AsInts();
  const auto interior = c.op.attr("interior_padding").AsInts();
  const tensor::Shape& from = c.operand(0).shape;
  const tensor::Shape& to = c.func.type(c.op.result()).shape;
  const Dims from_strides = tensor::RowMajorStrides(from), to_strides = tensor::RowMajorStrides(to);
  Dims sizes, steps;
  int64_t start_to = 0, start_from = 0;
  for (size_t j = 0; j < from.size(); ++j) {
    // Element i lies at low + i * step; those inside [0, to) are copied.
    const int64_t step = interior[j] + 1;
    const int64_t first = low[j] >= 0 ? 0 : (-low[j] + step - 1) / step;
    const int64_t end = to[j] <= low[j] ? 0 : std::min(from[j], (to[j] - low[j] + step - 1) / step);
    sizes.push_back(std::max<int64_t>(end - first, 0));
    start_from += first * from_strides[j];
    start_to += (low[j] + first * step) * to_strides[j];
    steps.push_back(step * to_strides[j]);
  }
  std::vector<int64_t> params = {1};
  if (std::ranges::any_of(sizes, [](int64_t n) { return n == 0; })) start_to = start_from = 0;
  AppendPiece(sizes, start_to, steps, start_from, from_strides, &params);
  return CallOf(c, "strided_copy", params);
}

Call ArgMinMaxCall(const Context& c) {
  const std::optional<ArgReduce> found = ArgReduceOf(c.op, c.func, c.definitions);
  if (!found.has_value()) return std::nullopt;
  const int64_t params[] = {found->dimension, found->smallest ? 1 : 0};
  LibraryCall call = CallOf(c, "argminmax", params);
  call.in = {c.op.operands[0]};
  return call;
}

Call CustomCall(const Context& c) { return CustomLibraryCall(c.op, c.func); }

struct Row {
  std::string_view op;
  Call (*call)(const Context& context);
};
constexpr Row kRows[] = {
    {"stablehlo.dot_general", DotCall},
    {"stablehlo.convolution", ConvolutionCall},
    {"stablehlo.fft", FftCall},
    {"stablehlo.cholesky", CholeskyCall},
    {"stablehlo.triangular_solve", TriangularCall},
    {"stablehlo.scatter", ScatterCall},
    {"stablehlo.sort", SortCall},
    {"chlo.top_k", TopKCall},
    {"stablehlo.reduce", ArgMinMaxCall},
    {"stablehlo.reduce_window", ReduceWindowCall},
    {"stablehlo.select_and_scatter", SelectAndScatterCall},
    {"stablehlo.rng_bit_generator", RngBitsCall},
    {"stablehlo.concatenate", ConcatenateCall},
    {"stablehlo.pad", PadCall},
    {"stablehlo.custom_call", CustomCall},
    {"stablehlo.transpose", TransposeCall},
};

}  // namespace

bool HasLibraryKernel(std::string_view op) {
  return std::ranges::any_of(kRows, [&](const Row& row) { return row.op == op; });
}

std::optional<LibraryCall> LibraryCallFor(const Op& op, const Func& func,
                                          const Definitions& definitions) {
  for (const Row& row : kRows) {
    if (row.op == op.def->name) return row.call({op, func, definitions});
  }
  return std::nullopt;
}

std::string TransposeParams(const tensor::Shape& shape, std::span<const int64_t> permutation,
                            tensor::Shape* to) {
  const Dims strides = tensor::RowMajorStrides(shape);
  *to = {};
  Dims from;
  for (const int64_t d : permutation) {
    to->push_back(shape[static_cast<size_t>(d)]);
    from.push_back(strides[static_cast<size_t>(d)]);
  }
  std::vector<int64_t> params = {0};
  AppendPiece(*to, 0, tensor::RowMajorStrides(*to), 0, from, &params);
  return kernels::PackParams(params);
}

}  // namespace megalith::codegen
