// Cholesky factors, triangular and tridiagonal systems.
#include "common/foundation/base/strings.h"
#include "common/programs/ops/factor_programs.h"
#include "common/programs/ops/families.h"
#include "common/programs/ops/indexing.h"
#include "common/programs/ops/linalg.h"
#include "common/programs/ops/lower.h"

namespace megalith::ops {
namespace {

using tensor::TupleText;

Types CholeskyType(const TypeArgs& a) {
  ASSIGN_OR_RETURN(const MatrixShapes m, SplitBatch(a, {2}));
  if (m.dims[0][0] != m.dims[0][1]) {
    return ValueError(StrCat("The input to cholesky must be a square matrix. Got shape ",
                             TupleText(m.dims[0]), "."));
  }
  return std::vector<Aval>{a.operands[0]};
}

// L' = L phi(inv(L) X' inv(L)^H), where phi takes the lower triangle with half of the diagonal
// (arXiv 1602.07527).
JvpResult JvpCholesky(Builder& b, const JvpArgs& a) {
  const Value factor = b.Emit(a.op, a.params, a.primals)[0];
  const Value l = Tril(b, factor);
  const Value right = TriangularSolve(b, l, a.tangents[0],
                                      {.lower = true, .transpose_a = true, .conjugate_a = true});
  const Value both = TriangularSolve(b, l, right, {.left_side = true, .lower = true});
  const Value lower = Tril(b, both);
  if (!b.ok()) return {};
  const int64_t n = l.shape()[l.rank() - 1];
  const Value eye = Eye(b, both.dtype(), n, n);
  const Value one_plus_eye = ir::Add(b, ir::ScalarLike(b, both, 1), eye);
  const Value halves =
      ir::ExpandDims(b, one_plus_eye, ir::Range(static_cast<int64_t>(lower.rank()) - 2));
  const Value phi = NumpyBinary(b, "div", lower, halves);
  return {{l}, {DotHighest(b, l, phi)}};
}

// ---- triangular_solve ----

Types TriangularSolveType(const TypeArgs& a) {
  ASSIGN_OR_RETURN(const MatrixShapes m, SplitBatch(a, {2, 2}));
  const Shape& x = m.dims[0];
  const Shape& rhs = m.dims[1];
  if (x[0] != x[1]) {
    return ValueError(
        StrCat("The first input to triangular_solve must be a square matrix. Got shape ",
               TupleText(x), "."));
  }
  if (x[1] != rhs[a.params.Bool("left_side") ? 0 : 1]) {
    return ValueError(StrCat("Incompatible shapes for arguments to triangular_solve: ",
                             TupleText(x), " and ", TupleText(rhs), "."));
  }
  return std::vector<Aval>{Aval{a.operands[0].dtype, AllWeak(a.operands), a.operands[1].shape}};
}

TriangularSolveOptions OptionsOf(const Params& params) {
  return {params.Bool("left_side"), params.Bool("lower"), params.Bool("transpose_a"),
          params.Bool("conjugate_a"), params.Bool("unit_diagonal")};
}

// -inv(A) A' X on the left, -X A' inv(A) on the right; the product and the solve in the order that
// is cheaper.
Value JvpSolveMatrix(Builder& b, Value t, Value y, std::span<const Value> x, const Params& params) {
  const TriangularSolveOptions o = OptionsOf(params);
  const int64_t k = o.unit_diagonal ? 1 : 0;
  Value ta = o.lower ? Tril(b, t, -k) : Triu(b, t, k);
  ta = ir::Neg(b, ta);
  if (o.transpose_a) ta = MatrixTranspose(b, ta);
  if (o.conjugate_a) ta = ConjOrSame(b, ta);
  const int64_t rows = x[1].shape()[x[1].rank() - 2];
  const int64_t columns = x[1].shape()[x[1].rank() - 1];
  const auto product = [&](Value left, Value right) {
    return o.left_side ? DotHighest(b, left, right) : DotHighest(b, right, left);
  };
  if (o.left_side ? rows > columns : rows < columns) {
    const Value changed = product(ta, y);
    return TriangularSolve(b, x[0], changed, o);
  }
  const Value solved = TriangularSolve(b, x[0], ta, o);
  return product(solved, y);
}

Value JvpSolveRhs(Builder& b, Value t, Value, std::span<const Value> x, const Params& params) {
  return TriangularSolve(b, x[0], t, OptionsOf(params));
}

std::vector<Value> TransposeSolve(Builder& b, const TransposeArgs& a) {
  if (!CheckKnown(b, a, 0)) return {};
  TriangularSolveOptions o = OptionsOf(a.params);
  o.transpose_a = !o.transpose_a;
  return {Value(), TriangularSolve(b, a.operands[0].value, a.cotangents[0], o)};
}

// Many right-hand sides of one matrix are more columns (or rows) of one.
BatchResult BatchSolve(Builder& b, const BatchArgs& a) {
  if (a.dims[0] != kUnmapped) return BatchLeading(b, a);
  const TriangularSolveOptions o = OptionsOf(a.params);
  const auto rank = static_cast<int64_t>(a.values[1].rank());
  const int64_t to = o.left_side ? rank - 1 : rank - 2;
  const Value rhs = ir::MoveAxis(b, a.values[1], a.dims[1], to);
  if (!b.ok()) return {};
  // The batch dimension is merged with the one before it.
  Shape flat = rhs.shape();
  const auto at = static_cast<size_t>(to);
  flat[at - 1] *= flat[at];
  flat.erase(at);
  const Value flat_rhs = ir::Reshape(b, rhs, flat);
  const Value out = TriangularSolve(b, a.values[0], flat_rhs, o);
  return {{ir::Reshape(b, out, rhs.shape())}, {static_cast<int>(to)}};
}

// ---- tridiagonal_solve ----

Types TridiagonalSolveType(const TypeArgs& a) {
  ASSIGN_OR_RETURN(const MatrixShapes m, SplitBatch(a, {1, 1, 1, 2}));
  if (!(m.dims[0] == m.dims[1]) || !(m.dims[0] == m.dims[2])) {
    return TypeError("tridiagonal_solve requires that all diagonal arguments have the same shape.");
  }
  if (m.dims[0][0] != m.dims[3][0]) {
    return TypeError(
        "tridiagonal_solve requires that the leading ndim-1 dimensions of b equal the dimensions "
        "of the "
        "diagonal arguments.");
  }
  return std::vector<Aval>{Aval{a.operands[0].dtype, AllWeak(a.operands), a.operands[3].shape}};
}

// x[..., first : last] along the last dimension but `from_end`.
Value SliceDim(Builder& b, Value x, int64_t from_end, int64_t first, int64_t last) {
  if (!b.ok()) return x;
  const size_t at = x.rank() - 1 - static_cast<size_t>(from_end);
  Dims start(x.rank(), 0);
  Dims limit = x.shape();
  start[at] = first;
  limit[at] = last;
  return ir::Slice(b, x, start, limit);
}

// y.at[..., first : first + size, :].add(rows).
Value AddRows(Builder& b, Value y, int64_t first, Value rows) {
  const auto rank = static_cast<int64_t>(y.rank());
  const Value index = ir::Broadcast(b, b.Lit(Literal::Int(DType::kI32, first)), Dims{1});
  return Scatter(b, "scatter-add", y, index, rows, {ir::Range(rank), {}, {rank - 2}},
                 {.mode = IndexMode::kFillOrDrop, .sorted = true, .unique = true});
}

// The tridiagonal matrix with these diagonals times x.
Value TridiagonalProduct(Builder& b, Value dl, Value d, Value du, Value x) {
  if (!b.ok()) return x;
  const int64_t n = d.shape()[d.rank() - 1];
  const Value column = ir::Reshape(b, d, ir::Concat(d.shape(), Dims{1}));
  const Value middle = NumpyBinary(b, "mul", column, x);
  const auto rows = [&](Value v, int64_t from_end, int64_t first) {
    return SliceDim(b, v, from_end, first, first + n - 1);
  };
  const Value lower = rows(dl, 0, 1);
  const Value lower_column = ir::ExpandDims(b, lower, Dims{static_cast<int64_t>(d.rank())});
  const Value above = rows(x, 1, 0);
  const Value from_above = NumpyBinary(b, "mul", lower_column, above);
  const Value with_lower = AddRows(b, middle, 1, from_above);
  const Value upper = rows(du, 0, 0);
  const Value upper_column = ir::ExpandDims(b, upper, Dims{static_cast<int64_t>(d.rank())});
  const Value below = rows(x, 1, 1);
  const Value from_below = NumpyBinary(b, "mul", upper_column, below);
  return AddRows(b, with_lower, 0, from_below);
}

// A x' = b' - A' x.
JvpResult JvpTridiagonal(Builder& b, const JvpArgs& a) {
  JvpResult out{.primals = b.Emit(a.op, a.params, a.primals), .tangents = {}};
  Value rhs = a.tangents[3];
  if (a.tangents[0] || a.tangents[1] || a.tangents[2]) {
    Value diagonals[3];
    for (size_t i = 0; i < 3; ++i)
      diagonals[i] = ir::InstantiateZeros(b, a.tangents[i], a.primals[i].aval());
    const Value product =
        TridiagonalProduct(b, diagonals[0], diagonals[1], diagonals[2], out.primals[0]);
    const Value negated = ir::Neg(b, product);
    rhs = ir::AddTangents(b, rhs, negated);
  }
  const Value operands[] = {a.primals[0], a.primals[1], a.primals[2], rhs};
  out.tangents = b.Emit(a.op, a.params, operands);
  return out;
}

std::vector<Value> TransposeTridiagonal(Builder& b, const TransposeArgs& a) {
  for (const size_t i : {0, 1, 2}) {
    if (!CheckKnown(b, a, i)) return {};
  }
  const Value& dl = a.operands[0].value;
  const Value& du = a.operands[2].value;
  const auto last = static_cast<int64_t>(du.rank()) - 1;
  const int64_t n = du.shape()[du.rank() - 1];
  const auto zero_of = [&](Value x) {
    Shape shape = x.shape();
    shape[x.rank() - 1] = 1;
    return ir::Full(b, shape, x.dtype(), 0, x.aval().weak_type);
  };
  SliceDim(b, du, 0, n - 1, n);  // only its shape is used; the equation is part of JAX's text
  const Value upper_zero = zero_of(du);
  const Value upper[] = {upper_zero, SliceDim(b, du, 0, 0, n - 1)};
  const Value dl_transposed = ir::Concatenate(b, upper, last);
  const Value rest = SliceDim(b, dl, 0, 1, n);
  SliceDim(b, dl, 0, 0, 1);
  const Value lower[] = {rest, zero_of(dl)};
  const Value du_transposed = ir::Concatenate(b, lower, last);
  return {Value(), Value(), Value(),
          b.Emit1("tridiagonal_solve",
                  {dl_transposed, a.operands[1].value, du_transposed, a.cotangents[0]})};
}

BatchResult BatchTridiagonal(Builder& b, const BatchArgs& a) {
  if (a.dims[0] != kUnmapped || a.dims[1] != kUnmapped || a.dims[2] != kUnmapped)
    return BatchLeading(b, a);
  const auto to = static_cast<int64_t>(a.values[3].rank()) - 2;
  const Value rhs = ir::MoveAxis(b, a.values[3], a.dims[3], to);
  if (!b.ok()) return {};
  Shape flat = rhs.shape();
  const auto at = static_cast<size_t>(to);
  flat[at] *= flat[at + 1];
  flat.erase(at + 1);
  const Value flat_rhs = ir::Reshape(b, rhs, flat);
  const Value out = b.Emit1("tridiagonal_solve", {a.values[0], a.values[1], a.values[2], flat_rhs});
  return {{ir::Reshape(b, out, rhs.shape())}, {static_cast<int>(to)}};
}

// ---- lowering ----

Status LowerCholesky(LowerContext& c) {
  c.Out(c.b().Cholesky(c.in(0), /*lower=*/true));
  return OkStatus();
}

Status LowerTriangularSolve(LowerContext& c) {
  const TriangularSolveOptions o = OptionsOf(c.params());
  ValueId a = c.in(0);
  if (o.conjugate_a && !o.transpose_a) a = c.b().Unary("chlo.conj", a);
  const stablehlo::TransposeA transpose = !o.transpose_a  ? stablehlo::TransposeA::kNoTranspose
                                          : o.conjugate_a ? stablehlo::TransposeA::kAdjoint
                                                          : stablehlo::TransposeA::kTranspose;
  c.Out(c.b().TriangularSolve(a, c.in(1), o.left_side, o.lower, o.unit_diagonal, transpose));
  return OkStatus();
}

Status LowerTridiagonalSolve(LowerContext& c) {
  c.Out(c.Traced(c.ins(), c.in_avals(), [](Builder& b, std::span<const Value> v) {
    return std::vector<Value>{TridiagonalSolveProgram(b, v)};
  }));
  return OkStatus();
}

// ---- records ----

using Type = ParamSpec::Type;

constexpr ParamSpec kSolveParams[] = {
    {"conjugate_a", Type::kBool}, {"left_side", Type::kBool},     {"lower", Type::kBool},
    {"transpose_a", Type::kBool}, {"unit_diagonal", Type::kBool},
};

constexpr Sample kSolveSamples[] = {
    {"{ lambda ; a:f32[3,3] b:f32[3,2]. let c:f32[3,2] = OP[conjugate_a=False left_side=True "
     "lower=True "
     "transpose_a=False unit_diagonal=False] a b in (c,) }",
     ir::Domain::kPositive},
    {"{ lambda ; a:f32[2,3,3] b:f32[2,2,3]. let c:f32[2,2,3] = OP[conjugate_a=False "
     "left_side=False lower=False "
     "transpose_a=True unit_diagonal=True] a b in (c,) }",
     ir::Domain::kPositive},
    {"{ lambda ; a:c64[3,3] b:c64[3,1]. let c:c64[3,1] = OP[conjugate_a=True left_side=True "
     "lower=False "
     "transpose_a=True unit_diagonal=False] a b in (c,) }",
     ir::Domain::kPositive},
};

// A product of a wide matrix with its transpose is positive definite, and well enough so.
constexpr Sample kCholeskySamples[] = {
    {"{ lambda ; a:f32[3,8]. let b:f32[3,3] = dot_general[dimension_numbers=(([1], [1]), ([], "
     "[]))] a a "
     "c:f32[3,3] = OP b in (c,) }"},
    {"{ lambda ; a:f32[2,3,9]. let b:f32[2,3,3] = dot_general[dimension_numbers=(([2], [2]), ([0], "
     "[0]))] a a "
     "c:f32[2,3,3] = OP b in (c,) }"},
    {"{ lambda ; a:f32[1,1]. let b:f32[1,1] = OP a in (b,) }", ir::Domain::kPositive},
    {"{ lambda ; a:c64[1,1]. let b:c64[1,1] = OP a in (b,) }", ir::Domain::kReal,
     /*has_slope=*/false},
    {"{ lambda ; a:f32[2,0,0]. let b:f32[2,0,0] = OP a in (b,) }"},
};
constexpr Sample kTridiagonalSamples[] = {
    {"{ lambda ; a:f32[4] b:f32[4] c:f32[4] d:f32[4,2]. let e:f32[4,2] = OP a b c d in (e,) }",
     ir::Domain::kAboveOne},
    {"{ lambda ; a:f32[1] b:f32[1] c:f32[1] d:f32[1,3]. let e:f32[1,3] = OP a b c d in (e,) }",
     ir::Domain::kPositive},
    {"{ lambda ; a:f32[2,3] b:f32[2,3] c:f32[2,3] d:f32[2,3,1]. let e:f32[2,3,1] = OP a b c d in "
     "(e,) }",
     ir::Domain::kAboveOne},
};

constexpr OpDef kOps[] = {
    {.name = "cholesky",
     .arity = 1,
     .accepts = ir::kAcceptsInexact,
     .type_rule = CholeskyType,
     .jvp = ir::JvpFull(JvpCholesky),
     .batch = ir::BatchFull(BatchLeading),
     .lower = LowerCholesky,
     .spec = "primitives.md#cholesky",
     .samples = kCholeskySamples},
    {.name = "triangular_solve",
     .arity = 2,
     .params = kSolveParams,
     .accepts = ir::kAcceptsInexact,
     .type_rule = TriangularSolveType,
     .jvp = ir::JvpTerms<JvpSolveMatrix, JvpSolveRhs>(),
     .transpose = TransposeSolve,
     .batch = ir::BatchFull(BatchSolve),
     .lower = LowerTriangularSolve,
     .spec = "primitives.md#triangular_solve",
     .samples = kSolveSamples},
    {.name = "tridiagonal_solve",
     .arity = 4,
     .accepts = ir::kAcceptsInexact,
     .tier = 2,
     .type_rule = TridiagonalSolveType,
     .jvp = ir::JvpFull(JvpTridiagonal),
     .transpose = TransposeTridiagonal,
     .batch = ir::BatchFull(BatchTridiagonal),
     .lower = LowerTridiagonalSolve,
     .spec = "primitives.md#tridiagonal_solve",
     .samples = kTridiagonalSamples},
};

}  // namespace

std::span<const OpDef> SolveOps() { return kOps; }

}  // namespace megalith::ops
