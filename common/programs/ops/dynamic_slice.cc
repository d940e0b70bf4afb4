// dynamic_slice and dynamic_update_slice: one box of an array, at a place known when the program
// runs. Starts are clamped so that the box lies inside.
#include <algorithm>

#include "common/foundation/base/strings.h"
#include "common/programs/ops/families.h"
#include "common/programs/ops/indexing.h"
#include "common/programs/ops/lower.h"

namespace megalith::ops {
namespace {

using tensor::TupleText;

// ---- types ----

// Start indices: scalars of one integer type, `rank` of them.
Status CheckStarts(std::string_view op, std::span<const Aval> starts, size_t rank) {
  if (starts.size() != rank) {
    return TypeError(StrCat(op, " needs one start index for each of ", rank, " dimensions, got ",
                            starts.size()));
  }
  for (const Aval& s : starts) {
    if (s.rank() == 0) continue;
    std::vector<std::string> texts;
    for (const Aval& each : starts) texts.push_back(each.Text());
    return TypeError(StrCat("start_indices arguments to ", op, " must be scalars, got indices ",
                            Join(texts, ", ")));
  }
  for (const Aval& s : starts) {
    if (tensor::IsInteger(s.dtype) && s.dtype == starts[0].dtype) continue;
    std::vector<std::string> texts;
    for (const Aval& each : starts) texts.push_back(DTypeText(each.dtype));
    return TypeError(StrCat("index arguments to ", op,
                            " must be integers of the same type, got: ", Join(texts, ", ")));
  }
  return OkStatus();
}

Types DynamicSliceType(const TypeArgs& a) {
  if (a.operands.empty()) return TypeError("dynamic_slice takes an operand and its start indices");
  const Aval& x = a.operands[0];
  const Dims sizes = a.params.Ints("slice_sizes");
  bool fits = sizes.size() == x.rank();
  for (size_t i = 0; i < sizes.size() && fits; ++i) fits = sizes[i] <= x.shape[i];
  if (!fits) {
    return TypeError(
        StrCat("slice slice_sizes must be less than or equal to operand shape, got slice_sizes ",
               TupleText(sizes), " for operand shape ", TupleText(x.shape), "."));
  }
  for (const int64_t s : sizes) {
    if (s < 0) {
      return TypeError(
          StrCat("slice slice_sizes must be greater than or equal to zero, got slice_sizes of ",
                 TupleText(sizes), "."));
    }
  }
  RETURN_IF_ERROR(CheckStarts("dynamic_slice", a.operands.subspan(1), x.rank()));
  return std::vector<Aval>{Aval{x.dtype, x.weak_type, sizes}};
}

Types DynamicUpdateSliceType(const TypeArgs& a) {
  if (a.operands.size() < 2)
    return TypeError("dynamic_update_slice takes an operand, an update and start indices");
  const Aval& x = a.operands[0];
  const Aval& update = a.operands[1];
  if (x.rank() != update.rank()) {
    return TypeError(
        StrCat("dynamic_update_slice update must have the same rank as operand, got update shape ",
               TupleText(update.shape), " for operand shape ", TupleText(x.shape), "."));
  }
  for (size_t i = 0; i < x.rank(); ++i) {
    if (update.shape[i] <= x.shape[i]) continue;
    return TypeError(StrCat(
        "dynamic_update_slice update shape must be smaller than operand shape, got update shape ",
        TupleText(update.shape), " for operand shape ", TupleText(x.shape), "."));
  }
  RETURN_IF_ERROR(CheckStarts("dynamic_update_slice", a.operands.subspan(2), x.rank()));
  RETURN_IF_ERROR(CheckSameDTypes("dynamic_update_slice", a.operands.first(2)));
  return std::vector<Aval>{Aval{x.dtype, AllWeak(a.operands), x.shape}};
}

// ---- dynamic_slice ----

// The values from `first` on are start indices.
std::vector<Value> WithStarts(std::initializer_list<Value> leading, std::span<const Value> operands,
                              size_t first) {
  std::vector<Value> out(leading);
  out.insert(out.end(), operands.begin() + static_cast<int64_t>(first), operands.end());
  return out;
}

// The tangent is sliced before the value, as JAX does.
JvpResult JvpDynamicSlice(Builder& b, const JvpArgs& a) {
  JvpResult out;
  out.tangents = {Value()};
  if (a.tangents[0])
    out.tangents = b.Emit(a.op, a.params, WithStarts({a.tangents[0]}, a.primals, 1));
  out.primals = b.Emit(a.op, a.params, a.primals);
  return out;
}

std::vector<Value> StartsOf(const TransposeArgs& a, size_t first,
                            std::initializer_list<Value> leading) {
  std::vector<Value> out(leading);
  for (size_t i = first; i < a.operands.size(); ++i) out.push_back(a.operands[i].value);
  return out;
}

std::vector<Value> TransposeDynamicSlice(Builder& b, const TransposeArgs& a) {
  const Aval& x = a.operands[0].aval;
  const Value zeros = ir::Full(b, x.shape, x.dtype, 0);
  return {b.Emit1("dynamic_update_slice", StartsOf(a, 1, {zeros, a.cotangents[0]}))};
}

// One index vector from scalar start indices; one per lane, with batch dimension 0, if any of them
// is batched.
Value StackStarts(Builder& b, std::span<const Value> starts, std::span<const int> dims,
                  int64_t size, int* batch_dim) {
  *batch_dim = kUnmapped;
  if (starts.empty()) return b.Const(*tensor::Tensor::Create(DType::kI32, Shape{0}));
  for (const int d : dims) {
    if (d != kUnmapped) *batch_dim = 0;
  }
  std::vector<Value> parts;
  for (size_t i = 0; i < starts.size(); ++i) {
    if (*batch_dim == kUnmapped) {
      parts.push_back(ir::Broadcast(b, starts[i], Dims{1}));
    } else {
      parts.push_back(ir::BroadcastInDim(b, starts[i], Shape{size, 1},
                                         dims[i] == kUnmapped ? Dims{} : Dims{0}));
    }
  }
  return ir::Concatenate(b, parts, *batch_dim == kUnmapped ? 0 : 1);
}

// A dynamic slice is a gather of one slice, with clamped indices.
BatchResult BatchDynamicSlice(Builder& b, const BatchArgs& a) {
  const Dims all = ir::Range(static_cast<int64_t>(a.params.Ints("slice_sizes").size()));
  int index_dim = kUnmapped;
  const Value index =
      StackStarts(b, a.values.subspan(1), a.dims.subspan(1), a.axis.size, &index_dim);
  const Value values[] = {a.values[0], index};
  const int dims[] = {a.dims[0], index_dim};
  return BatchGather(b, values, dims, a.axis.size, {all, Dims{}, all}, a.params.Ints("slice_sizes"),
                     {.mode = IndexMode::kClip, .sorted = true, .unique = true});
}

// ---- dynamic_update_slice ----

JvpResult JvpDynamicUpdateSlice(Builder& b, const JvpArgs& a) {
  JvpResult out{.primals = b.Emit(a.op, a.params, a.primals), .tangents = {}};
  const Value t_x = ir::InstantiateZeros(b, a.tangents[0], a.primals[0].aval());
  const Value t_update = ir::InstantiateZeros(b, a.tangents[1], a.primals[1].aval());
  out.tangents = b.Emit(a.op, a.params, WithStarts({t_x, t_update}, a.primals, 2));
  return out;
}

std::vector<Value> TransposeDynamicUpdateSlice(Builder& b, const TransposeArgs& a) {
  const Value& ct = a.cotangents[0];
  const Shape& shape = a.operands[1].aval.shape;
  std::vector<Value> out(2);
  const Value zeros = ir::Full(b, shape, ct.dtype(), 0, ct.aval().weak_type);
  if (a.operands[0].linear) out[0] = b.Emit1("dynamic_update_slice", StartsOf(a, 2, {ct, zeros}));
  if (a.operands[1].linear) {
    out[1] =
        b.Emit1("dynamic_slice", StartsOf(a, 2, {ct}), {{"slice_sizes", ParamValue::Ints(shape)}});
  }
  return out;
}

BatchResult BatchDynamicUpdateSlice(Builder& b, const BatchArgs& a) {
  const OpDef* scatter = b.session().ops().Find("scatter");
  if (scatter == nullptr) {
    b.Fail(Internal("no primitive 'scatter' in the table this session uses"));
    return {};
  }
  const size_t rank = a.values[1].rank() - (a.dims[1] == kUnmapped ? 0 : 1);
  const Dims all = ir::Range(static_cast<int64_t>(rank));
  int index_dim = kUnmapped;
  const Value index =
      StackStarts(b, a.values.subspan(2), a.dims.subspan(2), a.axis.size, &index_dim);
  const Value values[] = {a.values[0], index, a.values[1]};
  const int dims[] = {a.dims[0], index_dim, a.dims[1]};
  Params params(*scatter);
  params.Set("mode", ParamValue::Text("GatherScatterMode.CLIP"));
  params.Set("indices_are_sorted", ParamValue::Bool(true));
  params.Set("unique_indices", ParamValue::Bool(true));
  return BatchScatter(b, *scatter, std::move(params), values, dims, a.axis.size,
                      {all, Dims{}, all});
}

// ---- lowering ----

// The start indices, and zeros for the dimensions that only the physical form has.
Values PhysicalStarts(LowerContext& c, size_t first) {
  const auto given = c.ins().begin() + static_cast<int64_t>(std::min(first, c.num_operands()));
  Values starts(given, c.ins().end());
  const int64_t extra = lowering::PhysicalRank(c.in_aval(0));
  if (extra == 0) return starts;
  const DType dtype = starts.empty() ? DType::kI32 : c.b().dtype(starts[0]);
  starts.insert(starts.end(), static_cast<size_t>(extra), c.b().Scalar(dtype, 0));
  return starts;
}

Status LowerDynamicSlice(LowerContext& c) {
  const Values starts = PhysicalStarts(c, 1);
  c.Out(c.b().DynamicSlice(c.in(0), starts, c.out_type().shape));
  return OkStatus();
}

Status LowerDynamicUpdateSlice(LowerContext& c) {
  const Values starts = PhysicalStarts(c, 2);
  c.Out(c.b().DynamicUpdateSlice(c.in(0), c.in(1), starts));
  return OkStatus();
}

// ---- records ----

using Type = ParamSpec::Type;

constexpr ParamSpec kSliceParams[] = {{"slice_sizes", Type::kInts}};

constexpr Sample kSliceSamples[] = {
    {"{ lambda ; a:f32[5,4] b:i32[] c:i32[]. let d:f32[2,3] = OP[slice_sizes=(2, 3)] a b c in (d,) "
     "}",
     ir::Domain::kIndex},
    {"{ lambda ; a:f32[17] b:i32[]. let c:f32[0] = OP[slice_sizes=(0,)] a b in (c,) }",
     ir::Domain::kIndex},
    {"{ lambda ; a:f32[]. let b:f32[] = OP[slice_sizes=()] a in (b,) }"},
    {"{ lambda ; a:key<fry>[3,2] b:u8[] c:u8[]. let d:key<fry>[2,1] = OP[slice_sizes=(2, 1)] a b c "
     "in (d,) }",
     ir::Domain::kIndex},
    {"{ lambda ; a:key<fry>[]. let b:key<fry>[] = OP[slice_sizes=()] a in (b,) }"},
};
constexpr Sample kUpdateSamples[] = {
    {"{ lambda ; a:f32[5,4] b:f32[2,3] c:i32[] d:i32[]. let e:f32[5,4] = OP a b c d in (e,) }",
     ir::Domain::kIndex},
    {"{ lambda ; a:f32[17] b:f32[0] c:i32[]. let d:f32[17] = OP a b c in (d,) }",
     ir::Domain::kIndex},
    {"{ lambda ; a:f32[] b:f32[]. let c:f32[] = OP a b in (c,) }"},
    {"{ lambda ; a:key<fry>[3] b:key<fry>[2] c:i32[]. let d:key<fry>[3] = OP a b c in (d,) }",
     ir::Domain::kIndex},
};

constexpr OpDef kOps[] = {
    {.name = "dynamic_slice",
     .params = kSliceParams,
     .type_rule = DynamicSliceType,
     .jvp = ir::JvpFull(JvpDynamicSlice),
     .transpose = TransposeDynamicSlice,
     .batch = ir::BatchFull(BatchDynamicSlice),
     .lower = LowerDynamicSlice,
     .spec = "primitives.md#dynamic_slice",
     .samples = kSliceSamples},
    {.name = "dynamic_update_slice",
     .type_rule = DynamicUpdateSliceType,
     .jvp = ir::JvpFull(JvpDynamicUpdateSlice),
     .transpose = TransposeDynamicUpdateSlice,
     .batch = ir::BatchFull(BatchDynamicUpdateSlice),
     .lower = LowerDynamicUpdateSlice,
     .spec = "primitives.md#dynamic_update_slice",
     .samples = kUpdateSamples},
};

}  // namespace

std::span<const OpDef> DynamicSliceOps() { return kOps; }

}  // namespace megalith::ops
