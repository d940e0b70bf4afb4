// scatter and its combining forms: writing slices of an array at computed places.
#include <algorithm>
#include <array>

#include "common/foundation/base/strings.h"
#include "common/programs/ir/check.h"
#include "common/programs/ops/families.h"
#include "common/programs/ops/index_checks.h"
#include "common/programs/ops/indexing.h"
#include "common/programs/ops/lower.h"

namespace megalith::ops {
namespace {

using tensor::TupleText;

// ---- types ----

// The shape that updates have outside their windows: that of the index vectors.
Status CheckUpdates(const Aval& x, const Aval& indices, const Aval& updates,
                    const ScatterNumbers& s) {
  const Dims removed = ir::Concat(s.inserted_window_dims, s.operand_batching_dims);
  const size_t window = s.update_window_dims.size() + removed.size();
  if (x.rank() != window) {
    return TypeError(StrCat("Scatter op has window of size ", window,
                            "; doesn't match operand of rank ", x.rank(), "."));
  }
  const Shape limits = ir::Without(x.shape, removed);
  for (size_t i = 0; i < s.update_window_dims.size(); ++i) {
    const int64_t dim = s.update_window_dims[i];
    const int64_t bound = updates.shape[static_cast<size_t>(dim)];
    if (bound <= limits[i]) continue;
    return TypeError(
        StrCat("Bounds of the window dimensions of updates must not exceed the bounds of the "
               "corresponding dimensions of operand. For dimension ",
               dim, ", updates bound is ", bound, ", operand bound is ", limits[i], "."));
  }
  size_t seen = 0;
  for (size_t i = 0; i < updates.rank(); ++i) {
    if (ir::Contains(s.update_window_dims, static_cast<int64_t>(i))) continue;
    const int64_t want = indices.shape[seen++];
    if (updates.shape[i] == want) continue;
    return TypeError(
        StrCat("Bounds of the scatter dimensions of updates must be the same as the bounds of the "
               "corresponding dimensions of scatter indices. For scatter dimension ",
               i, ", updates bound is ", updates.shape[i], ", indices bound is ", want, "."));
  }
  return OkStatus();
}

Status CheckNumbers(const Aval& x, const Aval& indices, const Aval& updates,
                    const ScatterNumbers& s) {
  const IndexChecks check{"Scatter", "scatter"};
  const auto rank = static_cast<int64_t>(x.rank());
  RETURN_IF_ERROR(check.IndexVector(indices, "Scatter index leaf"));
  const size_t updates_rank = indices.rank() - 1 + s.update_window_dims.size();
  if (updates.rank() != updates_rank) {
    return TypeError(
        StrCat("Updates tensor must be of rank ", updates_rank, "; got ", updates.rank(), "."));
  }
  RETURN_IF_ERROR(check.Sorted(s.update_window_dims, "update_window_dims"));
  RETURN_IF_ERROR(check.Unique(s.update_window_dims, "update_window_dims"));
  RETURN_IF_ERROR(check.InRange(s.update_window_dims, "update_window_dims",
                                static_cast<int64_t>(updates.rank())));
  RETURN_IF_ERROR(check.Sorted(s.inserted_window_dims, "inserted_window_dims"));
  RETURN_IF_ERROR(check.Unique(s.inserted_window_dims, "inserted_window_dims"));
  RETURN_IF_ERROR(check.InRange(s.inserted_window_dims, "inserted_window_dims", rank));
  RETURN_IF_ERROR(check.Batching(x, indices, {s.operand_batching_dims, "operand_batching_dims"},
                                 {s.scatter_indices_batching_dims, "scatter_indices_batching_dims"},
                                 {s.inserted_window_dims, "inserted_window_dims"},
                                 {s.scatter_dims_to_operand_dims, "scatter_dims_to_operand_dims"}));
  RETURN_IF_ERROR(check.IndexMap(s.scatter_dims_to_operand_dims, "scatter_dims_to_operand_dims",
                                 indices, rank));
  return CheckUpdates(x, indices, updates, s);
}

// The program that combines an old and a new element, if there is one: two scalars to one.
Status CheckCombiner(const TypeArgs& a) {
  if (!a.params["update_consts"].elements().empty()) {
    return NotImplementedError(StrCat(a.op.name, " with update_consts is not supported"));
  }
  const ir::JaxprPtr& jaxpr = a.params.Sub("update_jaxpr");
  if (jaxpr == nullptr) {
    if (CombinerName(a.op.name).empty()) return OkStatus();
    return TypeError(StrCat(a.op.name, " needs an update_jaxpr"));
  }
  const Aval scalar{a.operands[0].dtype, false, {}};
  bool good =
      jaxpr->constvars().empty() && jaxpr->invars().size() == 2 && jaxpr->outs().size() == 1;
  for (const Aval& in : jaxpr->InAvals()) good = good && in.SameType(scalar);
  for (const Aval& out : jaxpr->OutAvals()) good = good && out.SameType(scalar);
  if (good) return OkStatus();
  return TypeError(StrCat("update_jaxpr of ", a.op.name, " must take two scalars of type ",
                          scalar.Text(), " and give one"));
}

Types ScatterType(const TypeArgs& a) {
  const Aval& x = a.operands[0];
  const Aval& indices = a.operands[1];
  const Aval& updates = a.operands[2];
  RETURN_IF_ERROR(ParseMode(a.params).status());
  ASSIGN_OR_RETURN(const ScatterNumbers s, ParseScatterNumbers(a.params["dimension_numbers"]));
  RETURN_IF_ERROR(CheckNumbers(x, indices, updates, s));
  if (!tensor::IsInteger(indices.dtype)) return ValueError("indices must have an integer type");
  const Aval pair[] = {x, updates};
  RETURN_IF_ERROR(CheckSameDTypes("scatter", pair));
  RETURN_IF_ERROR(CheckCombiner(a));
  return std::vector<Aval>{x};
}

// The combiner sees strong scalars, whatever the operands are.
Result<Params> RetypeScatter(ir::TypeChecker& checker, const TypeArgs& a) {
  Params out = a.params;
  const ir::JaxprPtr& jaxpr = a.params.Sub("update_jaxpr");
  if (jaxpr == nullptr || jaxpr->invars().size() != 2) return out;
  const Aval scalar{a.operands[0].dtype, false, {}};
  ASSIGN_OR_RETURN(ir::JaxprPtr checked, checker.Check(jaxpr, {scalar, scalar}));
  out.Set("update_jaxpr", ParamValue::SubJaxpr(std::move(checked)));
  return out;
}

// ---- derivatives ----

// What lax's helper functions take apart an equation into.
struct ScatterEqn {
  Value x;
  Value indices;
  Value updates;
  ScatterNumbers numbers;
  IndexOptions options;
  Dims slice_sizes;
};

ScatterEqn EqnOf(const Params& params, Value x, Value indices, Value updates) {
  ScatterEqn e{x, indices, updates, ScatterNumbersOf(params), OptionsOf(params), {}};
  e.slice_sizes = UpdateSliceSizes(e.numbers, x.rank(), updates.shape());
  return e;
}

// The slices of `x` where updates go, read without regard to bounds.
Value ReadBack(Builder& b, const ScatterEqn& e, Value x) {
  return Gather(b, x, e.indices, InverseOf(e.numbers), e.slice_sizes, IndexOptions{});
}

// Linear in operand and updates together.
JvpResult JvpLinearScatter(Builder& b, const JvpArgs& a) {
  JvpResult out{.primals = b.Emit(a.op, a.params, a.primals), .tangents = {}};
  const Value t_x = ir::InstantiateZeros(b, a.tangents[0], a.primals[0].aval());
  const Value t_updates = ir::InstantiateZeros(b, a.tangents[2], a.primals[2].aval());
  const Value operands[] = {t_x, a.primals[1], t_updates};
  out.tangents = b.Emit(a.op, a.params, operands);
  return out;
}

// Which of several updates of one place wins is not specified. So every update gets a positive id,
// the ids are scattered and read back, and what did not win is masked; then sums of what is left
// are exact and linear.
JvpResult JvpScatter(Builder& b, const JvpArgs& a) {
  if (a.params.Sub("update_jaxpr") != nullptr) {
    b.Fail(NotImplementedError("scatter_apply JVP not implemented"));
    return {};
  }
  if (a.params.Bool("unique_indices")) {
    const Value t_x = ir::InstantiateZeros(b, a.tangents[0], a.primals[0].aval());
    const Value t_updates = ir::InstantiateZeros(b, a.tangents[2], a.primals[2].aval());
    const Value operands[] = {t_x, a.primals[1], t_updates};
    JvpResult out{.primals = b.Emit(a.op, a.params, a.primals), .tangents = {}};
    out.tangents = b.Emit(a.op, a.params, operands);
    return out;
  }
  const ScatterEqn e = EqnOf(a.params, a.primals[0], a.primals[1], a.primals[2]);
  const Value t_x = ir::InstantiateZeros(b, a.tangents[0], e.x.aval());
  const Value t_updates = ir::InstantiateZeros(b, a.tangents[2], e.updates.aval());

  Shape ids_shape = e.updates.shape();
  for (const int64_t d : e.numbers.update_window_dims) ids_shape[static_cast<size_t>(d)] = 1;
  const int64_t num_ids = tensor::NumElements(ids_shape).value_or(0);
  const DType id_type = num_ids > int64_t{UINT32_MAX} ? DType::kU64 : DType::kU32;
  const Value counter = ir::Iota(b, id_type, Shape{num_ids}, 0);
  const Value shaped_counter = ir::Reshape(b, counter, ids_shape);
  const Value ones = ir::Full(b, e.updates.shape(), id_type, 1);
  const Value ids = ir::Add(b, shaped_counter, ones);
  const Value no_ids = ir::Full(b, e.x.shape(), id_type, 0);
  const Value scattered = Scatter(b, "scatter", no_ids, e.indices, ids, e.numbers, e.options);
  const Value winners = ReadBack(b, e, scattered);

  const auto untouched = [&](Value x) {
    const Value zero_ids = ir::FullLike(b, scattered, 0);
    const Value keep = b.Emit1("eq", {scattered, zero_ids});
    const Value zeros = ir::FullLike(b, x, 0);
    return ir::Select(b, keep, x, zeros);
  };
  const auto winning = [&](Value updates) {
    const Value won = b.Emit1("eq", {ids, winners});
    const Value zeros = ir::FullLike(b, updates, 0);
    return ir::Select(b, won, updates, zeros);
  };
  const Value kept_x = untouched(e.x);
  const Value kept_updates = winning(e.updates);
  const Value kept_t_x = untouched(t_x);
  const Value kept_t_updates = winning(t_updates);
  const Value y = Scatter(b, "scatter-add", kept_x, e.indices, kept_updates, e.numbers, e.options);
  const Value t =
      Scatter(b, "scatter-add", kept_t_x, e.indices, kept_t_updates, e.numbers, e.options);
  return {{y}, {t}};
}

Value JvpScatterMulLeft(Builder& b, Value t, Value, std::span<const Value> x,
                        const Params& params) {
  const Value operands[] = {t, x[1], x[2]};
  return b.Emit(*params.op(), params, operands)[0];
}

Value JvpScatterMulRight(Builder& b, Value t, Value, std::span<const Value> x,
                         const Params& params) {
  if (!params.Bool("unique_indices")) {
    b.Fail(
        NotImplementedError("scatter_mul gradients are only implemented if `unique_indices=True`"));
    return t;
  }
  const Value zeros = ir::FullLike(b, x[0], 0);
  const Value scattered =
      Scatter(b, "scatter-add", zeros, x[1], t, ScatterNumbersOf(params), OptionsOf(params));
  return ir::Mul(b, x[0], scattered);
}

// The tangent of a place is the mean of the tangents of the updates that attain its result, and of
// the old value if it does; written as a correction that is scatter-added to the operand's tangent.
JvpResult JvpScatterExtremum(Builder& b, const JvpArgs& a) {
  JvpResult out{.primals = b.Emit(a.op, a.params, a.primals), .tangents = {}};
  if (!b.ok()) return out;
  const ScatterEqn e = EqnOf(a.params, a.primals[0], a.primals[1], a.primals[2]);
  const Value t_x = ir::InstantiateZeros(b, a.tangents[0], e.x.aval());
  const Value t_updates = ir::InstantiateZeros(b, a.tangents[2], e.updates.aval());
  const IndexOptions plain{.mode = IndexMode::kFillOrDrop};
  const auto weak = [&](double v) { return ir::ScalarOf(b, e.x.dtype(), v, /*weak=*/true); };

  const Value before = ReadBack(b, e, e.x);
  const Value after = ReadBack(b, e, out.primals[0]);
  const Value won = b.Emit1("eq", {e.updates, after});
  const Value retained = b.Emit1("eq", {before, after});

  const auto count = [&](Value zeros, Value marks) {
    const Value sums = Scatter(b, "scatter-add", zeros, e.indices, marks, e.numbers, plain);
    return ReadBack(b, e, sums);
  };
  const Value zeros = ir::FullLike(b, e.x, 0);
  const Value one_marks = ir::FullLike(b, e.updates, 1);
  const Value zero_marks = ir::FullLike(b, e.updates, 0);
  const Value marks = ir::Select(b, won, one_marks, zero_marks);
  const Value num_updates = count(zeros, marks);
  const Value more_zeros = ir::FullLike(b, e.x, 0);
  const Value all_marks = ir::FullLike(b, e.updates, 1);
  const Value num_refs = count(more_zeros, all_marks);

  const Value with_old = ir::Add(b, num_updates, weak(1));
  const Value share_with_old = ir::Div(b, weak(1), with_old);
  const Value share = ir::Div(b, weak(1), num_updates);
  const Value normalizer = ir::Select(b, retained, share_with_old, share);
  const Value no_share = ir::FullLike(b, e.updates, 0);
  const Value update_coef = ir::Select(b, won, normalizer, no_share);

  const Value with_old_again = ir::Add(b, num_updates, weak(1));
  const Value old_share = ir::Div(b, weak(1), with_old_again);
  const Value no_old_share = ir::FullLike(b, num_updates, 0);
  const Value old_normalizer = ir::Select(b, retained, old_share, no_old_share);
  const Value correction = ir::Add(b, weak(-1), old_normalizer);
  const Value old_coef = ir::Div(b, correction, num_refs);

  const Value t_before = ReadBack(b, e, t_x);
  const Value from_old = ir::Mul(b, t_before, old_coef);
  const Value from_updates = ir::Mul(b, t_updates, update_coef);
  const Value change = ir::Add(b, from_old, from_updates);
  out.tangents = {Scatter(b, "scatter-add", t_x, e.indices, change, e.numbers, e.options)};
  return out;
}

Value GatherCotangent(Builder& b, const TransposeArgs& a, Value ct) {
  const ScatterNumbers numbers = ScatterNumbersOf(a.params);
  IndexOptions options;
  options.mode = ModeOf(a.params);
  options.fill_value = ParamValue::Int(0);
  return Gather(b, ct, a.operands[1].value, InverseOf(numbers),
                UpdateSliceSizes(numbers, ct.rank(), a.operands[2].aval.shape), options);
}

std::vector<Value> TransposeScatterAdd(Builder& b, const TransposeArgs& a) {
  std::vector<Value> out(3);
  if (!CheckKnown(b, a, 1)) return out;
  if (a.operands[0].linear) out[0] = a.cotangents[0];
  if (a.operands[2].linear) out[2] = GatherCotangent(b, a, a.cotangents[0]);
  return out;
}

std::vector<Value> TransposeScatterSub(Builder& b, const TransposeArgs& a) {
  std::vector<Value> out = TransposeScatterAdd(b, a);
  if (out[2]) out[2] = ir::Neg(b, out[2]);
  return out;
}

std::vector<Value> TransposeScatterMul(Builder& b, const TransposeArgs& a) {
  const Value& ct = a.cotangents[0];
  std::vector<Value> out(3);
  if (!CheckKnown(b, a, 1) || !CheckKnown(b, a, a.operands[0].linear ? 2 : 0)) return out;
  if (a.operands[0].linear) {
    out[0] = Scatter(b, "scatter-mul", ct, a.operands[1].value, a.operands[2].value,
                     ScatterNumbersOf(a.params), OptionsOf(a.params));
  }
  if (a.operands[2].linear) {
    if (!a.params.Bool("unique_indices")) {
      b.Fail(NotImplementedError(
          "scatter_mul gradients are only implemented if `unique_indices=True`"));
      return out;
    }
    const Value product = ir::Mul(b, ct, a.operands[0].value);
    out[2] = GatherCotangent(b, a, product);
  }
  return out;
}

// Linear only if no two updates meet: the operand's cotangent is zero where updates went.
std::vector<Value> TransposeScatter(Builder& b, const TransposeArgs& a) {
  if (!a.params.Bool("unique_indices")) {
    b.Fail(NotImplementedError("scatter transpose is only implemented where unique_indices=True"));
    return {};
  }
  const Value& ct = a.cotangents[0];
  std::vector<Value> out(3);
  if (!CheckKnown(b, a, 1)) return out;
  if (a.operands[0].linear) {
    const Value zeros = ir::Full(b, a.operands[2].aval.shape, ct.dtype(), 0);
    out[0] = Scatter(b, "scatter", ct, a.operands[1].value, zeros, ScatterNumbersOf(a.params),
                     OptionsOf(a.params));
  }
  if (a.operands[2].linear) out[2] = GatherCotangent(b, a, ct);
  return out;
}

BatchResult BatchScatterEqn(Builder& b, const BatchArgs& a) {
  return BatchScatter(b, a.op, a.params, a.values, a.dims, a.axis.size, ScatterNumbersOf(a.params));
}

// ---- lowering ----

// Indices moved so that every window fits: what mode CLIP means.
std::vector<Value> ClampedIndices(Builder& b, const Aval& x, const Aval& updates,
                                  const ScatterNumbers& numbers, Value indices) {
  const Dims sizes = UpdateSliceSizes(numbers, x.rank(), updates.shape);
  Dims last_starts;
  for (const int64_t d : numbers.scatter_dims_to_operand_dims) {
    const auto at = static_cast<size_t>(d);
    last_starts.push_back(x.shape[at] - sizes[at]);
  }
  const DType bound_type = IndexTypeOf(last_starts);
  // Of u64, the largest that a bound can be.
  const auto max_of = [](DType d) {
    return INT64_MAX >> std::max(0, 64 - tensor::BitWidth(d) - (tensor::IsSigned(d) ? 0 : 1));
  };
  const Value bounds = last_starts.empty() ? ir::Full(b, Shape{0}, bound_type, 0)
                                           : IndexVector(b, bound_type, last_starts);
  const DType index_type = indices.dtype();
  const Value most =
      b.Lit(Literal::Int(bound_type, std::min(max_of(bound_type), max_of(index_type))));
  const Value reachable = ir::Binary(b, "min", bounds, most);
  const Value converted = ir::ConvertElementType(b, reachable, index_type);
  const Value high = ir::BroadcastInDim(b, converted, indices.shape(),
                                        Dims{static_cast<int64_t>(indices.rank()) - 1});
  const Value low = ir::ScalarOf(b, index_type, 0);
  return {b.Emit1("clamp", {low, indices, high})};
}

// Of keys, every update takes the words too.
Status LowerScatter(LowerContext& c) {
  ScatterNumbers s = ScatterNumbersOf(c.params());
  for (int64_t i = 0; i < lowering::PhysicalRank(c.in_aval(0)); ++i) {
    s.update_window_dims.insert(s.update_window_dims.size(),
                                static_cast<int64_t>(c.in_aval(2).rank()) + i);
  }
  ValueId indices = c.in(1);
  if (ModeOf(c.params()) == IndexMode::kClip) {
    const TensorType x = lowering::PhysicalType(c.in_aval(0));
    const TensorType updates = lowering::PhysicalType(c.in_aval(2));
    indices = c.Traced({&indices, 1}, {c.in_aval(1)}, [&](Builder& b, std::span<const Value> in) {
      return ClampedIndices(b, Aval{x.dtype, false, x.shape},
                            Aval{updates.dtype, false, updates.shape}, s, in[0]);
    })[0];
  }
  const stablehlo::ScatterDims dims{
      s.update_window_dims,           s.inserted_window_dims,
      s.operand_batching_dims,        s.scatter_indices_batching_dims,
      s.scatter_dims_to_operand_dims, static_cast<int64_t>(c.in_aval(1).rank()) - 1};
  const ir::JaxprPtr combiner = c.params().Sub("update_jaxpr");
  const auto body = [&](std::span<const ValueId> args) -> Values {
    if (combiner == nullptr) return {args[1]};
    return c.Inline(combiner, args);
  };
  c.Out(c.b().Scatter(c.in(0), indices, c.in(2), dims, body, c.params().Bool("indices_are_sorted"),
                      c.params().Bool("unique_indices")));
  return OkStatus();
}

// ---- records ----

using Type = ParamSpec::Type;
using Show = ParamSpec::Show;

constexpr ParamSpec kScatterParams[] = {
    {"dimension_numbers", Type::kTuple},
    {"indices_are_sorted", Type::kBool},
    {"mode", Type::kText},
    {"unique_indices", Type::kBool},
    {"update_consts", Type::kTuple, Show::kAlways, "()"},
    {"update_jaxpr", Type::kJaxpr, Show::kAlways, "None", /*nullable=*/true},
};

// Samples differ between the primitives in the combiner only: what stands before it and after it,
// joined when compiled.
template <const std::string_view&... Pieces>
struct Joined {
  static constexpr auto kChars = [] {
    std::array<char, (Pieces.size() + ...)> out{};
    char* to = out.data();
    ((to = std::copy(Pieces.begin(), Pieces.end(), to)), ...);
    return out;
  }();
  static constexpr std::string_view kText{kChars.data(), kChars.size()};
};

// rows; some lie outside and are dropped
constexpr std::string_view kRows =
    "{ lambda ; a:f32[2,3] b:i32[4,1] c:f32[4,3]. let d:f32[2,3] = "
    "OP[dimension_numbers=ScatterDimensionNumbers("
    "update_window_dims=(1,), inserted_window_dims=(0,), scatter_dims_to_operand_dims=(0,), "
    "operand_batching_dims=(), "
    "scatter_indices_batching_dims=()) indices_are_sorted=False "
    "mode=GatherScatterMode.FILL_OR_DROP "
    "unique_indices=False update_consts=() update_jaxpr=";
// one window
constexpr std::string_view kWindow =
    "{ lambda ; a:f32[4,4] b:i32[2] c:f32[2,2]. let d:f32[4,4] = "
    "OP[dimension_numbers=ScatterDimensionNumbers("
    "update_window_dims=(0, 1), inserted_window_dims=(), scatter_dims_to_operand_dims=(1, 0), "
    "operand_batching_dims=(), scatter_indices_batching_dims=()) indices_are_sorted=True "
    "mode=GatherScatterMode.CLIP "
    "unique_indices=True update_consts=() update_jaxpr=";
// batching dimensions
constexpr std::string_view kBatches =
    "{ lambda ; a:f32[2,3] b:i32[4,2,1] c:f32[4,2]. let d:f32[2,3] = "
    "OP[dimension_numbers=ScatterDimensionNumbers("
    "update_window_dims=(), inserted_window_dims=(1,), scatter_dims_to_operand_dims=(1,), "
    "operand_batching_dims=(0,), "
    "scatter_indices_batching_dims=(1,)) indices_are_sorted=False "
    "mode=GatherScatterMode.PROMISE_IN_BOUNDS "
    "unique_indices=False update_consts=() update_jaxpr=";
// no update
constexpr std::string_view kNothing =
    "{ lambda ; a:f32[5] b:i32[0,1] c:f32[0]. let d:f32[5] = "
    "OP[dimension_numbers=ScatterDimensionNumbers("
    "update_window_dims=(), inserted_window_dims=(0,), scatter_dims_to_operand_dims=(0,), "
    "operand_batching_dims=(), "
    "scatter_indices_batching_dims=()) indices_are_sorted=False mode=GatherScatterMode.CLIP "
    "unique_indices=False "
    "update_consts=() update_jaxpr=";
constexpr std::string_view kEnd = "] a b c in (d,) }";
constexpr std::string_view kNoCombiner = "None";
constexpr std::string_view kAdd = "{ lambda ; e:f32[] f:f32[]. let g:f32[] = add e f in (g,) }";
constexpr std::string_view kSub = "{ lambda ; e:f32[] f:f32[]. let g:f32[] = sub e f in (g,) }";
constexpr std::string_view kMul = "{ lambda ; e:f32[] f:f32[]. let g:f32[] = mul e f in (g,) }";
constexpr std::string_view kMin = "{ lambda ; e:f32[] f:f32[]. let g:f32[] = min e f in (g,) }";
constexpr std::string_view kMax = "{ lambda ; e:f32[] f:f32[]. let g:f32[] = max e f in (g,) }";

template <const std::string_view& Combiner>
constexpr Sample kSamples[] = {
    {Joined<kRows, Combiner, kEnd>::kText, ir::Domain::kIndex},
    {Joined<kWindow, Combiner, kEnd>::kText, ir::Domain::kIndex},
    {Joined<kBatches, Combiner, kEnd>::kText, ir::Domain::kIndex},
    {Joined<kNothing, Combiner, kEnd>::kText, ir::Domain::kIndex},
};
constexpr Sample kScatterSamples[] = {
    kSamples<kNoCombiner>[0],
    kSamples<kNoCombiner>[1],
    kSamples<kNoCombiner>[2],
    kSamples<kNoCombiner>[3],
    // clamped indices of a narrow type, and keys
    {"{ lambda ; a:f32[2,3] b:u8[2] c:f32[2]. let d:f32[2,3] = "
     "OP[dimension_numbers=ScatterDimensionNumbers("
     "update_window_dims=(0,), inserted_window_dims=(0,), scatter_dims_to_operand_dims=(0, 1), "
     "operand_batching_dims=(), scatter_indices_batching_dims=()) indices_are_sorted=False "
     "mode=GatherScatterMode.CLIP unique_indices=False update_consts=() update_jaxpr=None] a b c "
     "in (d,) }",
     ir::Domain::kIndex},
    {"{ lambda ; a:key<fry>[2] b:i32[4,1] c:key<fry>[4]. let d:key<fry>[2] = OP[dimension_numbers="
     "ScatterDimensionNumbers(update_window_dims=(), inserted_window_dims=(0,), "
     "scatter_dims_to_operand_dims=(0,), "
     "operand_batching_dims=(), scatter_indices_batching_dims=()) indices_are_sorted=False "
     "mode=GatherScatterMode.CLIP unique_indices=False update_consts=() update_jaxpr=None] a b c "
     "in (d,) }",
     ir::Domain::kIndex},
};

constexpr ir::BatchRule kBatch = ir::BatchFull(BatchScatterEqn);
constexpr std::string_view kSpec = "primitives.md#scatter";

constexpr OpDef kOps[] = {
    {.name = "scatter",
     .arity = 3,
     .params = kScatterParams,
     .type_rule = ScatterType,
     .retype = RetypeScatter,
     .jvp = ir::JvpFull(JvpScatter),
     .transpose = TransposeScatter,
     .batch = kBatch,
     .lower = LowerScatter,
     .spec = kSpec,
     .samples = kScatterSamples},
    {.name = "scatter-add",
     .arity = 3,
     .params = kScatterParams,
     .type_rule = ScatterType,
     .retype = RetypeScatter,
     .jvp = ir::JvpFull(JvpLinearScatter),
     .transpose = TransposeScatterAdd,
     .batch = kBatch,
     .lower = LowerScatter,
     .spec = kSpec,
     .samples = kSamples<kAdd>},
    {.name = "scatter-sub",
     .arity = 3,
     .params = kScatterParams,
     .tier = 2,
     .type_rule = ScatterType,
     .retype = RetypeScatter,
     .jvp = ir::JvpFull(JvpLinearScatter),
     .transpose = TransposeScatterSub,
     .batch = kBatch,
     .lower = LowerScatter,
     .spec = kSpec,
     .samples = kSamples<kSub>},
    {.name = "scatter-mul",
     .arity = 3,
     .params = kScatterParams,
     .tier = 2,
     .type_rule = ScatterType,
     .retype = RetypeScatter,
     .jvp = ir::JvpTerms<JvpScatterMulLeft, nullptr, JvpScatterMulRight>(),
     .transpose = TransposeScatterMul,
     .batch = kBatch,
     .lower = LowerScatter,
     .spec = kSpec,
     .samples = kSamples<kMul>},
    {.name = "scatter-min",
     .arity = 3,
     .params = kScatterParams,
     .tier = 2,
     .type_rule = ScatterType,
     .retype = RetypeScatter,
     .jvp = ir::JvpFull(JvpScatterExtremum),
     .batch = kBatch,
     .lower = LowerScatter,
     .spec = kSpec,
     .samples = kSamples<kMin>},
    {.name = "scatter-max",
     .arity = 3,
     .params = kScatterParams,
     .tier = 2,
     .type_rule = ScatterType,
     .retype = RetypeScatter,
     .jvp = ir::JvpFull(JvpScatterExtremum),
     .batch = kBatch,
     .lower = LowerScatter,
     .spec = kSpec,
     .samples = kSamples<kMax>},
};

}  // namespace

std::span<const OpDef> ScatterOps() { return kOps; }

}  // namespace megalith::ops
