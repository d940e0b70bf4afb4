// Operations that move elements about: constants, broadcasts, slices, padding.
#include <algorithm>

#include "common/programs/stablehlo/kernels/prepare.h"
#include "common/programs/stablehlo/kernels/spans.h"
#include "common/programs/stablehlo/rules.h"
#include "common/programs/stablehlo/text.h"

namespace megalith::stablehlo {
namespace {

constexpr AttrSpec kConstantAttrs[] = {
    {.name = "value", .kind = AttrKind::kDense, .required = true}};
constexpr AttrSpec kBroadcastAttrs[] = {
    {.name = "broadcast_dimensions", .kind = AttrKind::kInts, .required = true}};
constexpr AttrSpec kTransposeAttrs[] = {
    {.name = "permutation", .kind = AttrKind::kInts, .required = true}};
constexpr AttrSpec kReverseAttrs[] = {
    {.name = "dimensions", .kind = AttrKind::kInts, .required = true}};
constexpr AttrSpec kConcatenateAttrs[] = {
    {.name = "dimension", .kind = AttrKind::kInt, .required = true}};
constexpr AttrSpec kIotaAttrs[] = {
    {.name = "iota_dimension", .kind = AttrKind::kInt, .required = true}};
constexpr AttrSpec kSizeAttrs[] = {{.name = "dimension", .kind = AttrKind::kInt, .required = true}};
constexpr AttrSpec kSliceAttrs[] = {
    {.name = "start_indices", .kind = AttrKind::kInts, .required = true},
    {.name = "limit_indices", .kind = AttrKind::kInts, .required = true},
    {.name = "strides", .kind = AttrKind::kInts, .required = true},
};
constexpr AttrSpec kDynamicSliceAttrs[] = {
    {.name = "slice_sizes", .kind = AttrKind::kInts, .required = true}};
constexpr AttrSpec kPadAttrs[] = {
    {.name = "edge_padding_low", .kind = AttrKind::kInts, .required = true},
    {.name = "edge_padding_high", .kind = AttrKind::kInts, .required = true},
    {.name = "interior_padding", .kind = AttrKind::kInts, .required = true},
};

Status ConstantRule(const TypeQuery& q, Types* results) {
  const Dense& d = q.op.attr("value").AsDense();
  if (d.is_index) return InvalidArgument("constants of index type are not supported");
  results->push_back(d.type);
  return OkStatus();
}

Status BroadcastRule(const TypeQuery& q, Types* results) {
  RETURN_IF_ERROR(WantDType(q, 0, kAnyOk));
  RETURN_IF_ERROR(WantDeclared(q, 1));
  const TensorType& in = q.operand(0);
  const TensorType& out = q.declared[0];
  const auto dims = q.op.attr("broadcast_dimensions").AsInts();
  RETURN_IF_ERROR(WantDims("broadcast_dimensions", dims, static_cast<int64_t>(in.rank()),
                           static_cast<int64_t>(out.rank()), true));
  for (size_t i = 0; i < dims.size(); ++i) {
    const int64_t size = in.shape[i];
    if (size != 1 && size != out.shape[static_cast<size_t>(dims[i])]) {
      return InvalidArgument(StrCat("dimension ", i, " of ", in.Text(),
                                    " does not broadcast to dimension ", dims[i], " of ",
                                    out.Text()));
    }
  }
  results->push_back(TensorType{in.dtype, out.shape});
  return OkStatus();
}

Status ReshapeRule(const TypeQuery& q, Types* results) {
  RETURN_IF_ERROR(WantDType(q, 0, kAnyOk));
  RETURN_IF_ERROR(WantDeclared(q, 1));
  if (q.declared[0].is_token || ElementCount(q.declared[0]) != ElementCount(q.operand(0))) {
    return InvalidArgument(StrCat("cannot reshape ", q.operand(0).Text(), " to ",
                                  q.declared[0].Text(), ": different numbers of elements"));
  }
  results->push_back(TensorType{q.operand(0).dtype, q.declared[0].shape});
  return OkStatus();
}

Status BitcastRule(const TypeQuery& q, Types* results) {
  RETURN_IF_ERROR(WantDType(q, 0, kAnyOk));
  RETURN_IF_ERROR(WantDeclared(q, 1));
  const TensorType& in = q.operand(0);
  const TensorType& out = q.declared[0];
  if (out.is_token) return InvalidArgument("the result is a token, wanted a tensor");
  if (tensor::IsComplex(in.dtype) != tensor::IsComplex(out.dtype)) {
    return InvalidArgument("a bitcast between real and complex elements is not defined");
  }
  const int from = tensor::BitWidth(in.dtype);
  const int to = tensor::BitWidth(out.dtype);
  Shape want = in.shape;
  if (from > to) {
    if (from % to != 0) return InvalidArgument("element widths do not divide each other");
    want.push_back(from / to);
  } else if (from < to) {
    if (to % from != 0 || want.empty() || want.back() != to / from) {
      return InvalidArgument(
          StrCat("the last dimension of ", in.Text(), " must hold one element of ", out.Text()));
    }
    want.erase(want.size() - 1);
  }
  if (from != to && (in.dtype == DType::kBool || out.dtype == DType::kBool)) {
    return Unimplemented("bitcast_convert between booleans and other elements is not supported");
  }
  results->push_back(TensorType{out.dtype, want});
  return OkStatus();
}

Status TransposeRule(const TypeQuery& q, Types* results) {
  RETURN_IF_ERROR(WantDType(q, 0, kAnyOk));
  const TensorType& in = q.operand(0);
  const auto perm = q.op.attr("permutation").AsInts();
  const auto rank = static_cast<int64_t>(in.rank());
  RETURN_IF_ERROR(WantDims("permutation", perm, rank, rank, true));
  TensorType out{in.dtype, Shape{}};
  for (const int64_t d : perm) out.shape.push_back(in.shape[static_cast<size_t>(d)]);
  results->push_back(std::move(out));
  return OkStatus();
}

Status ReverseRule(const TypeQuery& q, Types* results) {
  RETURN_IF_ERROR(WantDType(q, 0, kAnyOk));
  RETURN_IF_ERROR(WantDims("dimensions", q.op.attr("dimensions").AsInts(), -1,
                           static_cast<int64_t>(q.operand(0).rank()), true));
  results->push_back(q.operand(0));
  return OkStatus();
}

Status SliceRule(const TypeQuery& q, Types* results) {
  RETURN_IF_ERROR(WantDType(q, 0, kAnyOk));
  const TensorType& in = q.operand(0);
  const auto start = q.op.attr("start_indices").AsInts();
  const auto limit = q.op.attr("limit_indices").AsInts();
  const auto strides = q.op.attr("strides").AsInts();
  if (start.size() != in.rank() || limit.size() != in.rank() || strides.size() != in.rank()) {
    return InvalidArgument(StrCat("slice bounds have ", start.size(), ", ", limit.size(), " and ",
                                  strides.size(), " entries, wanted ", in.rank()));
  }
  TensorType out{in.dtype, Shape{}};
  for (size_t i = 0; i < in.rank(); ++i) {
    if (start[i] < 0 || start[i] > limit[i] || limit[i] > in.shape[i] || strides[i] < 1) {
      return InvalidArgument(StrCat("slice [", start[i], ":", limit[i], ":", strides[i],
                                    "] of dimension ", i, " of ", in.Text(), " is out of range"));
    }
    const int64_t length = limit[i] - start[i];
    out.shape.push_back(length / strides[i] + (length % strides[i] != 0 ? 1 : 0));
  }
  results->push_back(std::move(out));
  return OkStatus();
}

Status DynamicSliceRule(const TypeQuery& q, Types* results) {
  RETURN_IF_ERROR(WantDType(q, 0, kAnyOk));
  const TensorType& in = q.operand(0);
  if (q.num_operands() != in.rank() + 1) {
    return InvalidArgument(StrCat(q.num_operands() - 1, " start indices, wanted ", in.rank()));
  }
  RETURN_IF_ERROR(WantIndexScalars(q, 1));
  const auto sizes = q.op.attr("slice_sizes").AsInts();
  if (sizes.size() != in.rank()) {
    return InvalidArgument(
        StrCat("slice_sizes has ", sizes.size(), " entries, wanted ", in.rank()));
  }
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] < 0 || sizes[i] > in.shape[i]) {
      return InvalidArgument(
          StrCat("slice_sizes[", i, "] is ", sizes[i], ", wanted [0, ", in.shape[i], "]"));
    }
  }
  results->push_back(TensorType{in.dtype, Shape(sizes)});
  return OkStatus();
}

Status DynamicUpdateSliceRule(const TypeQuery& q, Types* results) {
  RETURN_IF_ERROR(WantDType(q, 0, kAnyOk));
  const TensorType& in = q.operand(0);
  const TensorType& update = q.operand(1);
  bool fits = !update.is_token && update.dtype == in.dtype && update.rank() == in.rank();
  for (size_t i = 0; fits && i < in.rank(); ++i) fits = update.shape[i] <= in.shape[i];
  if (!fits) {
    return InvalidArgument(
        StrCat("update has type ", update.Text(), ", which does not fit into ", in.Text()));
  }
  if (q.num_operands() != in.rank() + 2) {
    return InvalidArgument(StrCat(q.num_operands() - 2, " start indices, wanted ", in.rank()));
  }
  RETURN_IF_ERROR(WantIndexScalars(q, 2));
  results->push_back(in);
  return OkStatus();
}

Status ConcatenateRule(const TypeQuery& q, Types* results) {
  RETURN_IF_ERROR(WantDType(q, 0, kAnyOk));
  TensorType out = q.operand(0);
  const int64_t dim = q.op.attr("dimension").AsInt();
  RETURN_IF_ERROR(
      WantDims("dimension", std::span(&dim, 1), 1, static_cast<int64_t>(out.rank()), false));
  const auto d = static_cast<size_t>(dim);
  for (size_t i = 1; i < q.num_operands(); ++i) {
    const TensorType& t = q.operand(i);
    bool fits = !t.is_token && t.dtype == out.dtype && t.rank() == out.rank();
    for (size_t k = 0; fits && k < out.rank(); ++k) fits = k == d || t.shape[k] == out.shape[k];
    if (!fits) {
      return InvalidArgument(StrCat("operand ", i, " has type ", t.Text(),
                                    ", which does not concatenate with ", q.operand(0).Text(),
                                    " along dimension ", dim));
    }
    int64_t sum = 0;
    if (__builtin_add_overflow(out.shape[d], t.shape[d], &sum))
      return InvalidArgument("the result is too large");
    out.shape[d] = sum;
  }
  results->push_back(std::move(out));
  return OkStatus();
}

Status PadRule(const TypeQuery& q, Types* results) {
  RETURN_IF_ERROR(WantDType(q, 0, kAnyOk));
  const TensorType& in = q.operand(0);
  if (!(q.operand(1) == TensorType::Scalar(in.dtype))) {
    return InvalidArgument(StrCat("padding value has type ", q.operand(1).Text(), ", wanted ",
                                  TensorType::Scalar(in.dtype).Text()));
  }
  const auto low = q.op.attr("edge_padding_low").AsInts();
  const auto high = q.op.attr("edge_padding_high").AsInts();
  const auto interior = q.op.attr("interior_padding").AsInts();
  if (low.size() != in.rank() || high.size() != in.rank() || interior.size() != in.rank()) {
    return InvalidArgument(StrCat("padding lists have ", low.size(), ", ", high.size(), " and ",
                                  interior.size(), " entries, wanted ", in.rank()));
  }
  TensorType out{in.dtype, Shape{}};
  for (size_t i = 0; i < in.rank(); ++i) {
    const int64_t gaps = std::max<int64_t>(in.shape[i] - 1, 0);
    int64_t size = 0;
    if (!IsModest(low[i]) || !IsModest(high[i]) || !IsModest(interior[i]) || interior[i] < 0 ||
        __builtin_mul_overflow(gaps, interior[i], &size) ||
        __builtin_add_overflow(size, in.shape[i], &size) ||
        __builtin_add_overflow(size, low[i], &size) ||
        __builtin_add_overflow(size, high[i], &size) || size < 0) {
      return InvalidArgument(StrCat("padding (", low[i], ", ", high[i], ", ", interior[i],
                                    ") of dimension ", i, " of ", in.Text(), " is out of range"));
    }
    out.shape.push_back(size);
  }
  results->push_back(std::move(out));
  return OkStatus();
}

Status IotaRule(const TypeQuery& q, Types* results) {
  RETURN_IF_ERROR(WantDeclared(q, 1));
  if (q.declared[0].is_token || !Matches(q.declared[0].dtype, kNumberOk)) {
    return InvalidArgument(
        StrCat("result has type ", q.declared[0].Text(), ", wanted ", MaskText(kNumberOk)));
  }
  const int64_t dim = q.op.attr("iota_dimension").AsInt();
  RETURN_IF_ERROR(WantDims("iota_dimension", std::span(&dim, 1), 1,
                           static_cast<int64_t>(q.declared[0].rank()), false));
  results->push_back(q.declared[0]);
  return OkStatus();
}

Status DimensionSizeRule(const TypeQuery& q, Types* results) {
  RETURN_IF_ERROR(WantDType(q, 0, kAnyOk));
  const int64_t dim = q.op.attr("dimension").AsInt();
  RETURN_IF_ERROR(WantDims("dimension", std::span(&dim, 1), 1,
                           static_cast<int64_t>(q.operand(0).rank()), false));
  results->push_back(TensorType::Scalar(DType::kI32));
  return OkStatus();
}

// --- when these do nothing ---

bool AllZero(const Attr& ints) {
  return std::ranges::all_of(ints.AsInts(), [](int64_t v) { return v == 0; });
}
bool TransposesNothing(const Op& op, const Func&) { return IsIota(op.attr("permutation")); }
bool BroadcastsNothing(const Op& op, const Func&) {
  return IsIota(op.attr("broadcast_dimensions"));
}
bool ReversesNothing(const Op& op, const Func& func) {
  return std::ranges::all_of(op.attr("dimensions").AsInts(), [&](int64_t d) {
    return func.type(op.result()).shape[static_cast<size_t>(d)] <= 1;
  });
}
bool PadsNothing(const Op& op, const Func&) {
  return AllZero(op.attr("edge_padding_low")) && AllZero(op.attr("edge_padding_high")) &&
         AllZero(op.attr("interior_padding"));
}
bool JoinsNothing(const Op& op, const Func&) { return op.operands.size() == 1; }

Status ParseConstant(OpParser& p, Op* op, Types* results) {
  RETURN_IF_ERROR(p.ParseOptionalDict(op));
  const Token at = p.peek();
  ASSIGN_OR_RETURN(Attr value, p.ParseAttr());
  if (value.kind() != AttrKind::kDense) return p.ErrorAt(at, "expected dense<...>");
  results->push_back(value.AsDense().type);
  SetAttr(&op->attrs, "value", std::move(value));
  return OkStatus();
}

void PrintConstant(OpPrinter& p, const Op& op) {
  constexpr std::string_view kShown[] = {"value"};
  p.OptionalDict(op, kShown);
  p.Write(" ");
  p.PrintAttr(op.attr("value"));
}
constexpr CustomText kConstantText = {ParseConstant, PrintConstant};

constexpr OpDef kRows[] = {
    {.name = "stablehlo.constant",
     .attrs = kConstantAttrs,
     .traits = kPure | kConstantLike,
     .type_rule = ConstantRule,
     .text = &kConstantText,
     .result_names = "cst",
     .prepare = PrepareConstant},
    {.name = "stablehlo.iota",
     .attrs = kIotaAttrs,
     .traits = kPure,
     .type_rule = IotaRule,
     .format = " dim = @iota_dimension{} : <results>",
     .prepare = PrepareIota},
    {.name = "stablehlo.broadcast_in_dim",
     .operands = 1,
     .attrs = kBroadcastAttrs,
     .traits = kPure,
     .type_rule = BroadcastRule,
     .format = " $0, dims = @broadcast_dimensions{} : <func>",
     .prepare = PrepareBroadcast,
     .no_op = BroadcastsNothing},
    {.name = "stablehlo.reshape",
     .operands = 1,
     .traits = kPure,
     .type_rule = ReshapeRule,
     .format = " $0{} : <func>",
     .prepare = PrepareReshape,
     .no_op = AlwaysNoOp},
    {.name = "stablehlo.bitcast_convert",
     .operands = 1,
     .traits = kPure,
     .type_rule = BitcastRule,
     .format = " $0{} : <func>",
     .prepare = PrepareBitcast,
     .no_op = AlwaysNoOp},
    {.name = "stablehlo.transpose",
     .operands = 1,
     .attrs = kTransposeAttrs,
     .traits = kPure,
     .type_rule = TransposeRule,
     .format = " $0, dims = @permutation{} : <func>",
     .prepare = PrepareTranspose,
     .no_op = TransposesNothing},
    {.name = "stablehlo.reverse",
     .operands = 1,
     .attrs = kReverseAttrs,
     .traits = kPure,
     .type_rule = ReverseRule,
     .format = " $0, dims = @dimensions{} : <results>",
     .prepare = PrepareReverse,
     .no_op = ReversesNothing},
    {.name = "stablehlo.slice",
     .operands = 1,
     .attrs = kSliceAttrs,
     .traits = kPure,
     .type_rule = SliceRule,
     .format = " $0 <slices>{} : <func>",
     .prepare = PrepareSlice,
     .no_op = AlwaysNoOp},
    {.name = "stablehlo.dynamic_slice",
     .operands = 1,
     .more_operands = true,
     .attrs = kDynamicSliceAttrs,
     .traits = kPure,
     .type_rule = DynamicSliceRule,
     .format = " $0, $1*, sizes = @slice_sizes{} : <func>",
     .prepare = PrepareDynamicSlice},
    {.name = "stablehlo.dynamic_update_slice",
     .operands = 2,
     .more_operands = true,
     .traits = kPure | kUpdatesInPlace,
     .type_rule = DynamicUpdateSliceRule,
     .format = " $*{} : <func>",
     .prepare = PrepareDynamicUpdateSlice},
    {.name = "stablehlo.concatenate",
     .operands = 1,
     .more_operands = true,
     .attrs = kConcatenateAttrs,
     .traits = kPure,
     .type_rule = ConcatenateRule,
     .format = " $*, dim = @dimension{} : <func>",
     .prepare = PrepareConcatenate,
     .no_op = JoinsNothing},
    {.name = "stablehlo.pad",
     .operands = 2,
     .attrs = kPadAttrs,
     .traits = kPure,
     .type_rule = PadRule,
     .format = " $0, $1, low = @edge_padding_low, high = @edge_padding_high, interior = "
               "@interior_padding{} : <func>",
     .prepare = PreparePad,
     .no_op = PadsNothing},
    {.name = "stablehlo.get_dimension_size",
     .operands = 1,
     .attrs = kSizeAttrs,
     .traits = kPure,
     .type_rule = DimensionSizeRule,
     .format = " $0, dim = @dimension{} : <func>",
     .prepare = PrepareGetDimensionSize},
};

}  // namespace

std::span<const OpDef> ShapeOps() { return kRows; }

}  // namespace megalith::stablehlo
