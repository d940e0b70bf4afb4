// Factorisations of matrices: LU, QR, eigenvalues, singular values, and the reductions they are
// made of.
#include <algorithm>

#include "common/foundation/base/strings.h"
#include "common/programs/ops/factor_lowering.h"
#include "common/programs/ops/families.h"
#include "common/programs/ops/indexing.h"
#include "common/programs/ops/linalg.h"

namespace megalith::ops {
namespace {

using tensor::TupleText;

Status CheckSquare(const Shape& dims, std::string_view before, std::string_view after) {
  if (dims[0] == dims[1]) return OkStatus();
  return ValueError(StrCat(before, TupleText(dims), after));
}

// ---- lu ----

Types LuType(const TypeArgs& a) {
  ASSIGN_OR_RETURN(const MatrixShapes m, SplitBatch(a, {2}));
  const int64_t rows = m.dims[0][0];
  const int64_t columns = m.dims[0][1];
  return std::vector<Aval>{a.operands[0], WithBatch(a, m, DType::kI32, {std::min(rows, columns)}),
                           WithBatch(a, m, DType::kI32, {rows})};
}

// The tangent of the packed factors of one matrix: with M = inv(L) A' inv(U), L' = L tril(M, -1)
// and U' = triu(M) U. Factors of matrices that are not square are extended by the identity.
Value LuTangent(Builder& b, Value lu, Value t, Value permutation) {
  if (!b.ok()) return t;
  const DType dtype = t.dtype();
  const int64_t m = t.shape()[0];
  const int64_t n = t.shape()[1];
  const int64_t k = std::min(m, n);
  const Value zero = ir::ScalarLike(b, lu, 0);
  const auto pad = [&](Value x, int64_t low, int64_t high_rows, int64_t high_columns) {
    const ir::Padding config[] = {{low, high_rows, 0}, {low, high_columns, 0}};
    return ir::Pad(b, x, zero, config);
  };
  const Value left = k < n ? ir::Slice(b, lu, Dims{0, 0}, Dims{m, k}) : lu;
  const Value strict = Tril(b, left, -1);
  const Value l_padded = pad(strict, 0, 0, m - k);
  const Value l_eye = Eye(b, dtype, m, m);
  const Value l = NumpyOp(b, "add", l_padded, l_eye);
  const Value rest_eye = Eye(b, dtype, n - k, n - k);
  const Value u_eye = pad(rest_eye, k, 0, 0);
  const Value top = k < m ? ir::Slice(b, lu, Dims{0, 0}, Dims{k, n}) : lu;
  const Value upper = Triu(b, top);
  const Value u_padded = pad(upper, 0, n - k, 0);
  const Value u = NumpyOp(b, "add", u_padded, u_eye);
  const Value permuted = TakeRows(b, t, permutation, 0);
  const Value la =
      TriangularSolve(b, l, permuted, {.left_side = true, .lower = true, .unit_diagonal = true});
  const Value lau = TriangularSolve(b, u, la, {});
  const Value below = Tril(b, lau, -1);
  const Value l_dot = NumpyMatMul(b, l, below, HighestPrecision());
  const Value above = Triu(b, lau);
  const Value u_dot = NumpyMatMul(b, above, u, HighestPrecision());
  return NumpyOp(b, "add", l_dot, u_dot);
}

JvpResult JvpLu(Builder& b, const JvpArgs& a) {
  JvpResult out{.primals = b.Emit(a.op, a.params, a.primals), .tangents = {}};
  if (!b.ok()) return out;
  const Value operands[] = {out.primals[0], a.tangents[0], out.primals[2]};
  const Shape& shape = a.primals[0].shape();
  const Shape batch(std::span<const int64_t>(shape).first(shape.size() - 2));
  const std::vector<Value> tangent = OverBatch(
      b, operands, {true, true, true}, batch, [](Builder& inner, std::span<const Value> v) {
        return std::vector<Value>{LuTangent(inner, v[0], v[1], v[2])};
      });
  out.tangents = {tangent[0], Value(), Value()};
  return out;
}

Types PivotsType(const TypeArgs& a) {
  ASSIGN_OR_RETURN(const MatrixShapes m, SplitBatch(a, {1}));
  if (a.operands[0].dtype != DType::kI32) {
    return TypeError(StrCat("lu_pivots_to_permutation does not accept dtype ",
                            DTypeText(a.operands[0].dtype),
                            ". Accepted dtypes are subtypes of int32."));
  }
  const int64_t size = a.params.Int("permutation_size");
  if (size < m.dims[0][0]) {
    return ValueError(StrCat("Output permutation size ", size,
                             " has to exceed the trailing dimension of the pivots. "
                             "Got pivots size ",
                             m.dims[0][0]));
  }
  return std::vector<Aval>{WithBatch(a, m, DType::kI32, {size})};
}

// ---- qr ----

Types QrType(const TypeArgs& a) {
  ASSIGN_OR_RETURN(const MatrixShapes m, SplitBatch(a, {2}));
  const int64_t rows = m.dims[0][0];
  const int64_t columns = m.dims[0][1];
  const int64_t k = a.params.Bool("full_matrices") ? rows : std::min(rows, columns);
  const DType dtype = a.operands[0].dtype;
  std::vector<Aval> out = {WithBatch(a, m, dtype, {rows, k}), WithBatch(a, m, dtype, {k, columns})};
  if (a.params.Bool("pivoting")) out.push_back(WithBatch(a, m, DType::kI32, {columns}));
  return out;
}

// From https://j-towns.github.io/papers/qr-derivative.pdf; the diagonal is corrected for complex
// matrices.
JvpResult JvpQr(Builder& b, const JvpArgs& a) {
  Params params = a.params;
  params.Set("full_matrices", ParamValue::Bool(false));
  JvpResult out{.primals = b.Emit(a.op, std::move(params), a.primals), .tangents = {}};
  if (!b.ok()) return out;
  const Shape& shape = a.primals[0].shape();
  const int64_t m = shape[shape.size() - 2];
  const int64_t n = shape[shape.size() - 1];
  if (m < n || (a.params.Bool("full_matrices") && m != n)) {
    b.Fail(NotImplementedError("Unimplemented case of QR decomposition derivative"));
    return out;
  }
  const Value q = out.primals[0];
  const Value r = out.primals[1];
  Value dx = a.tangents[0];
  const bool pivoting = a.params.Bool("pivoting");
  if (pivoting) {
    if (shape.size() > 2) {
      b.Fail(NotImplementedError(
          "derivatives of QR decompositions with pivoting of batches of matrices"));
      return out;
    }
    dx = TakeRows(b, dx, out.primals[2], 1);
  }
  const Value dx_rinv = TriangularSolve(b, r, dx, {});
  const Value qt = Adjoint(b, q);
  const Value qt_dx = NumpyMatMul(b, qt, dx_rinv);
  const Value lower = Tril(b, qt_dx, -1);
  const Value lower_adjoint = Adjoint(b, lower);
  Value d_omega = NumpyOp(b, "sub", lower, lower_adjoint);
  const Value eye = EyeOfRank(b, d_omega.dtype(), n, qt_dx.rank());
  const Value real = RealOrSame(b, qt_dx);
  const Value imaginary = NumpyOp(b, "sub", qt_dx, AsType(b, real, qt_dx.dtype()));
  const Value correction = NumpyOp(b, "mul", eye, imaginary);
  d_omega = NumpyOp(b, "add", d_omega, correction);
  const Value rotation = NumpyOp(b, "sub", d_omega, qt_dx);
  const Value rotated = NumpyMatMul(b, q, rotation);
  const Value dq = NumpyOp(b, "add", rotated, dx_rinv);
  const Value change = NumpyOp(b, "sub", qt_dx, d_omega);
  const Value dr = NumpyMatMul(b, change, r);
  out.tangents = {dq, dr};
  if (pivoting) out.tangents.push_back(Value());
  return out;
}

Types GeqrfType(const TypeArgs& a) {
  ASSIGN_OR_RETURN(const MatrixShapes m, SplitBatch(a, {2}));
  return std::vector<Aval>{
      a.operands[0], WithBatch(a, m, a.operands[0].dtype, {std::min(m.dims[0][0], m.dims[0][1])})};
}

Types Geqp3Type(const TypeArgs& a) {
  ASSIGN_OR_RETURN(const MatrixShapes m, SplitBatch(a, {2, 1}, /*same_dtypes=*/false));
  RETURN_IF_ERROR(CheckAccepts(a, 0));
  if (!tensor::IsInteger(a.operands[1].dtype)) {
    return TypeError(
        StrCat("geqp3 does not accept dtype ", DTypeText(a.operands[1].dtype),
               " at position 1. Accepted dtypes at position 1 are subtypes of integer."));
  }
  const bool weak = AllWeak(a.operands);
  return std::vector<Aval>{
      Aval{a.operands[0].dtype, weak, a.operands[0].shape},
      Aval{a.operands[1].dtype, weak, a.operands[1].shape},
      WithBatch(a, m, a.operands[0].dtype, {std::min(m.dims[0][0], m.dims[0][1])})};
}

Types HouseholderProductType(const TypeArgs& a) {
  ASSIGN_OR_RETURN(const MatrixShapes m, SplitBatch(a, {2, 1}));
  const Shape& x = m.dims[0];
  if (x[0] < x[1]) {
    return ValueError(StrCat(
        "The first argument to householder_product must have at least as many rows as columns, "
        "got shape ",
        TupleText(x)));
  }
  if (m.dims[1][0] > x[1]) {
    return ValueError(
        "The second argument to householder_product must not have more rows than the minimum of "
        "the "
        "first argument's rows and columns.");
  }
  return std::vector<Aval>{Aval{a.operands[0].dtype, AllWeak(a.operands), a.operands[0].shape}};
}

// ---- eigenvalues ----

// None, or (from, to).
Result<std::pair<int64_t, int64_t>> Subset(const Params& params, int64_t size) {
  const ParamValue& v = params["subset_by_index"];
  if (v.is_none()) return std::pair<int64_t, int64_t>{0, size};
  const Dims range = v.AsInts();
  if (range.size() != 2 || range[0] < 0 || range[1] < range[0] || range[1] > size) {
    return ValueError(StrCat("subset_by_index must be a range within ", size, " values, got ",
                             Printable(v.PythonText())));
  }
  return std::pair<int64_t, int64_t>{range[0], range[1]};
}

Types EighType(const TypeArgs& a) {
  ASSIGN_OR_RETURN(const MatrixShapes m, SplitBatch(a, {2}));
  RETURN_IF_ERROR(
      CheckSquare(m.dims[0],
                  "Argument to symmetric eigendecomposition must have shape [..., n, n], got "
                  "shape ",
                  ""));
  const int64_t n = m.dims[0][0];
  ASSIGN_OR_RETURN(const auto subset, Subset(a.params, n));
  const int64_t d = subset.second - subset.first;
  const DType dtype = a.operands[0].dtype;
  return std::vector<Aval>{WithBatch(a, m, dtype, {n, d}),
                           WithBatch(a, m, tensor::RealPart(dtype), {d})};
}

// First-order perturbation of distinct eigenvalues: V' = V (F o (V^H A' V)), w' = diag(V^H A' V).
JvpResult JvpEigh(Builder& b, const JvpArgs& a) {
  const Value x = a.primals[0];
  const int64_t n = x.shape()[x.rank() - 1];
  const ParamValue& subset = a.params["subset_by_index"];
  if (!subset.is_none() && !(subset.AsInts() == Dims{0, n})) {
    b.Fail(NotImplementedError("Derivatives not defined for partial eigen decomposition."));
    return {};
  }
  const Value adjoint = Adjoint(b, x);
  const Value twice = NumpyOp(b, "add", x, adjoint);
  const Value symmetric = ir::Div(b, twice, ir::ScalarOf(b, x.dtype(), 2, /*weak=*/true));
  JvpResult out{.primals = b.Emit(a.op, a.params, {&symmetric, 1}), .tangents = {}};
  if (!b.ok()) return out;
  const Value v = out.primals[0];
  const Value w = AsType(b, out.primals[1], x.dtype());
  const auto rank = static_cast<int64_t>(x.rank());
  const Value eye = Eye(b, x.dtype(), n, n);
  const Value as_row = ir::ExpandDims(b, w, Dims{rank - 2});
  const Value eye_plus = NumpyOp(b, "add", eye, as_row);
  const Value as_column = ir::ExpandDims(b, w, Dims{rank - 1});
  const Value gaps = NumpyOp(b, "sub", eye_plus, as_column);
  const Value inverse = ir::IntegerPow(b, gaps, -1);
  const Value f = NumpyOp(b, "sub", inverse, eye);
  const Value v_adjoint = Adjoint(b, v);
  const Value left = DotHighest(b, v_adjoint, a.tangents[0]);
  const Value inner = DotHighest(b, left, v);
  const Value scaled = NumpyOp(b, "mul", f, inner);
  const Value dv = DotHighest(b, v, scaled);
  const Value real = RealOrSame(b, inner);
  const Value dw = ExtractDiagonal(b, real);
  out.tangents = {dv, dw};
  return out;
}

Types EigType(const TypeArgs& a) {
  ASSIGN_OR_RETURN(const MatrixShapes m, SplitBatch(a, {2}));
  RETURN_IF_ERROR(
      CheckSquare(m.dims[0], "The input to eig must be a square matrix. Got shape ", "."));
  const int64_t n = m.dims[0][0];
  const DType given = a.operands[0].dtype;
  const DType dtype = tensor::IsComplex(given) ? given
                      : given == DType::kF64   ? DType::kC128
                                               : DType::kC64;
  std::vector<Aval> out = {WithBatch(a, m, dtype, {n})};
  for (const std::string_view side : {"compute_left_eigenvectors", "compute_right_eigenvectors"}) {
    if (a.params.Bool(side)) out.push_back(WithBatch(a, m, dtype, {n, n}));
  }
  return out;
}

// ---- svd ----

Types SvdType(const TypeArgs& a) {
  ASSIGN_OR_RETURN(const MatrixShapes m, SplitBatch(a, {2}));
  const int64_t rows = m.dims[0][0];
  const int64_t columns = m.dims[0][1];
  const bool full = a.params.Bool("full_matrices");
  int64_t rank = std::min(rows, columns);
  ASSIGN_OR_RETURN(const auto subset, Subset(a.params, rank));
  const int64_t count = subset.second - subset.first;
  if (full && count != rank)
    return ValueError("full_matrices and subset_by_index cannot both be set");
  rank = count;
  const DType dtype = a.operands[0].dtype;
  std::vector<Aval> out = {WithBatch(a, m, tensor::RealPart(dtype), {rank})};
  if (a.params.Bool("compute_uv")) {
    out.push_back(WithBatch(a, m, dtype, {rows, full ? rows : rank}));
    out.push_back(WithBatch(a, m, dtype, {full ? columns : rank, columns}));
  }
  return out;
}

// The parts of the derivative that are the same on both sides.
struct SvdParts {
  Value s_row;  // singular values as a row
  Value ds;     // U^H A' V
  DType dtype;
};

// 1 / (s_j^2 - s_i^2), zero on the diagonal.
Value InverseGaps(Builder& b, Value s, Value s_row) {
  const Value s_column = MatrixTranspose(b, s_row);
  const Value sum = NumpyOp(b, "add", s_row, s_column);
  const Value s_column_again = MatrixTranspose(b, s_row);
  const Value difference = NumpyOp(b, "sub", s_row, s_column_again);
  const Value gaps = NumpyOp(b, "mul", sum, difference);
  const Value eye = EyeOfRank(b, s.dtype(), s.shape()[s.rank() - 1], gaps.rank());
  const Value guarded = NumpyOp(b, "add", gaps, eye);
  const Value inverse = ir::Div(b, ir::ScalarOf(b, s.dtype(), 1, /*weak=*/true), guarded);
  return NumpyOp(b, "sub", inverse, eye);
}

// 1 / s, zero where s is.
Value InverseOrZero(Builder& b, Value s) {
  const Value is_zero = b.Emit1("eq", {s, ir::ScalarOf(b, s.dtype(), 0, /*weak=*/true)});
  const Value zeros = AsType(b, is_zero, s.dtype());
  const Value guarded = NumpyOp(b, "add", s, zeros);
  const Value inverse = ir::Div(b, ir::ScalarOf(b, s.dtype(), 1, /*weak=*/true), guarded);
  return NumpyOp(b, "sub", inverse, zeros);
}

// F o (x + x^H).
Value Symmetrized(Builder& b, Value f, Value x) {
  const Value weights = AsType(b, f, x.dtype());
  const Value adjoint = Adjoint(b, x);
  const Value sum = NumpyOp(b, "add", x, adjoint);
  return NumpyOp(b, "mul", weights, sum);
}

// What a tangent outside the span of the factor adds: (t - q (q^H t)) / s.
Value OutsideSpan(Builder& b, Value factor_tangent, Value t, Value q, Value q_adjoint,
                  const SvdParts& p) {
  const Value inner = NumpyMatMul(b, q_adjoint, t, HighestPrecision());
  const Value inside = NumpyMatMul(b, q, inner, HighestPrecision());
  const Value outside = NumpyOp(b, "sub", t, inside);
  const Value s = AsType(b, p.s_row, p.dtype);
  const Value scaled = NumpyOp(b, "div", outside, s);
  return NumpyOp(b, "add", factor_tangent, scaled);
}

JvpResult JvpSvd(Builder& b, const JvpArgs& a) {
  const Value x = a.primals[0];
  const Value t = a.tangents[0];
  const int64_t m = x.shape()[x.rank() - 2];
  const int64_t n = x.shape()[x.rank() - 1];
  const bool compute_uv = a.params.Bool("compute_uv");
  Params params = a.params;
  params.Set("full_matrices", ParamValue::Bool(false)).Set("compute_uv", ParamValue::Bool(true));
  const std::vector<Value> factors = b.Emit(a.op, std::move(params), a.primals);
  if (!b.ok()) return {};
  if (compute_uv && a.params.Bool("full_matrices") && m != n) {
    b.Fail(
        NotImplementedError("Singular value decomposition JVP not implemented for full matrices"));
    return {};
  }
  const Value s = factors[0], u = factors[1], vt = factors[2];
  const ParamValue precision = HighestPrecision();
  const Value ut = Adjoint(b, u);
  const Value v = Adjoint(b, vt);
  SvdParts p{ir::ExpandDims(b, s, Dims{static_cast<int64_t>(x.rank()) - 2}), Value(), x.dtype()};
  const Value left = NumpyMatMul(b, ut, t, precision);
  p.ds = NumpyMatMul(b, left, v, precision);
  const Value real = RealOrSame(b, p.ds);
  const Value s_dot = ExtractDiagonal(b, real);
  if (!compute_uv) return {{s}, {s_dot}};

  const Value f = InverseGaps(b, s, p.s_row);
  const Value s_right = AsType(b, p.s_row, p.dtype);
  const Value ds_s = NumpyOp(b, "mul", s_right, p.ds);
  const Value s_again = AsType(b, p.s_row, p.dtype);
  const Value s_left = MatrixTranspose(b, s_again);
  const Value s_ds = NumpyOp(b, "mul", s_left, p.ds);
  const Value inverse = InverseOrZero(b, s);
  const Value inverse_matrix = ConstructDiagonal(b, inverse);
  const Value ds_adjoint = Adjoint(b, p.ds);
  const Value skew = NumpyOp(b, "sub", p.ds, ds_adjoint);
  const Value half =
      ir::Mul(b, b.Scalar(ir::ScalarOf(b, p.dtype, 0.5, /*weak=*/true).literal()), skew);
  const Value inverse_cast = AsType(b, inverse_matrix, p.dtype);
  const Value diagonal = NumpyOp(b, "mul", half, inverse_cast);
  const Value u_symmetric = Symmetrized(b, f, ds_s);
  const Value u_inner = NumpyOp(b, "add", u_symmetric, diagonal);
  Value du = NumpyMatMul(b, u, u_inner, precision);
  const Value v_inner = Symmetrized(b, f, s_ds);
  Value dv = NumpyMatMul(b, v, v_inner, precision);
  if (m > n) {
    const Value outer = NumpyMatMul(b, t, v, precision);
    du = OutsideSpan(b, du, outer, u, ut, p);
  }
  if (n > m) {
    const Value t_adjoint = Adjoint(b, t);
    const Value outer = NumpyMatMul(b, t_adjoint, u, precision);
    dv = OutsideSpan(b, dv, outer, v, vt, p);
  }
  return {factors, {s_dot, du, Adjoint(b, dv)}};
}

// ---- reductions to simpler forms ----

Types SchurType(const TypeArgs& a) {
  ASSIGN_OR_RETURN(const MatrixShapes m, SplitBatch(a, {2}));
  RETURN_IF_ERROR(
      CheckSquare(m.dims[0], "The input to schur must be a square matrix. Got shape ", "."));
  return std::vector<Aval>(a.params.Bool("compute_schur_vectors") ? 2 : 1, a.operands[0]);
}

Types HessenbergType(const TypeArgs& a) {
  ASSIGN_OR_RETURN(const MatrixShapes m, SplitBatch(a, {2}));
  RETURN_IF_ERROR(CheckSquare(
      m.dims[0], "Argument to Hessenberg reduction must have shape [..., n, n], got shape ", ""));
  if (m.dims[0][0] == 0) return ValueError("Hessenberg reduction of matrices without elements");
  return std::vector<Aval>{a.operands[0], WithBatch(a, m, a.operands[0].dtype, {m.dims[0][0] - 1})};
}

Types TridiagonalType(const TypeArgs& a) {
  ASSIGN_OR_RETURN(const MatrixShapes m, SplitBatch(a, {2}));
  const int64_t n = m.dims[0][0];
  if (n != m.dims[0][1] || n == 0) {
    return ValueError(StrCat("The input to tridiagonal must be a square matrix. Got shape ",
                             TupleText(m.dims[0]), "."));
  }
  const DType dtype = a.operands[0].dtype;
  const DType real = tensor::RealPart(dtype);
  return std::vector<Aval>{a.operands[0], WithBatch(a, m, real, {n}),
                           WithBatch(a, m, real, {n - 1}), WithBatch(a, m, dtype, {n - 1})};
}

Types CholeskyUpdateType(const TypeArgs& a) {
  ASSIGN_OR_RETURN(const MatrixShapes m, SplitBatch(a, {2, 1}));
  const Shape& r = m.dims[0];
  if (!m.batch.empty()) {
    return TypeError(
        StrCat("Input 0 to cholesky_update must have a rank of exactly 2, but got shape=",
               TupleText(a.operands[0].shape)));
  }
  if (r[0] != r[1] || m.dims[1][0] != r[1]) {
    return ValueError(StrCat(
        "Rank-1 update to Cholesky decomposition takes a square matrix and a vector of the same "
        "size as input. Got shapes ",
        TupleText(r), " and ", TupleText(m.dims[1]), " instead"));
  }
  return std::vector<Aval>{Aval{a.operands[0].dtype, AllWeak(a.operands), a.operands[0].shape}};
}

Types SymmetricProductType(const TypeArgs& a) {
  ASSIGN_OR_RETURN(const MatrixShapes m, SplitBatch(a, {2, 2}));
  const Shape& x = m.dims[0];
  const Shape& c = m.dims[1];
  if (x[0] != c[1] || c[0] != c[1]) {
    return ValueError(StrCat(
        "symmetric_update expects a rectangular matrix of shape (m, n) and a square matrix of "
        "shape (n, n). Got shapes ",
        TupleText(x), " and ", TupleText(c), "."));
  }
  return std::vector<Aval>{Aval{a.operands[0].dtype, AllWeak(a.operands), a.operands[1].shape}};
}

// ---- records ----

using Type = ParamSpec::Type;
using Show = ParamSpec::Show;

constexpr ParamSpec kPivotsParams[] = {{"permutation_size", Type::kInt}};
constexpr ParamSpec kQrParams[] = {{"full_matrices", Type::kBool},
                                   {"pivoting", Type::kBool},
                                   {"use_magma", Type::kAny, Show::kAlways, "None"}};
constexpr ParamSpec kGeqp3Params[] = {{"use_magma", Type::kAny, Show::kAlways, "None"}};
constexpr ParamSpec kEighParams[] = {
    {"algorithm", Type::kAny, Show::kAlways, "None"},
    {"lower", Type::kBool},
    {"sort_eigenvalues", Type::kBool},
    {"subset_by_index", Type::kInts, Show::kAlways, "None"},
};
constexpr ParamSpec kEigParams[] = {
    {"compute_left_eigenvectors", Type::kBool},
    {"compute_right_eigenvectors", Type::kBool},
    {"implementation", Type::kAny, Show::kAlways, "None"},
};
constexpr ParamSpec kSvdParams[] = {
    {"algorithm", Type::kAny, Show::kAlways, "None"},
    {"compute_uv", Type::kBool},
    {"full_matrices", Type::kBool},
    {"subset_by_index", Type::kInts, Show::kAlways, "None"},
};
constexpr ParamSpec kSchurParams[] = {
    {"compute_schur_vectors", Type::kBool},
    {"select_callable", Type::kAny, Show::kAlways, "None"},
    {"sort_eig_vals", Type::kBool},
};
constexpr ParamSpec kTridiagonalParams[] = {{"lower", Type::kBool}};
constexpr ParamSpec kProductParams[] = {
    {"alpha", Type::kFloat},
    {"beta", Type::kFloat},
    {"symmetrize_output", Type::kAny, Show::kUnlessDefault, "None"}};

constexpr Sample kLuSamples[] = {
    {"{ lambda ; a:f32[3,3]. let b:f32[3,3] c:i32[3] d:i32[3] = OP a in (b, c, d) }"},
    {"{ lambda ; a:f32[4,2]. let b:f32[4,2] c:i32[2] d:i32[4] = OP a in (b, c, d) }"},
    {"{ lambda ; a:f32[2,3,5]. let b:f32[2,3,5] c:i32[2,3] d:i32[2,3] = OP a in (b, c, d) }"},
    {"{ lambda ; a:c64[2,2]. let b:c64[2,2] c:i32[2] d:i32[2] = OP a in (b, c, d) }"},
    {"{ lambda ; a:f32[1,1]. let b:f32[1,1] c:i32[1] d:i32[1] = OP a in (b, c, d) }"},
    {"{ lambda ; a:f32[0,3]. let b:f32[0,3] c:i32[0] d:i32[0] = OP a in (b, c, d) }"},
};
constexpr Sample kPivotsSamples[] = {
    {"{ lambda ; a:i32[3]. let b:i32[5] = OP[permutation_size=5] a in (b,) }", ir::Domain::kIndex},
    {"{ lambda ; a:i32[2,2]. let b:i32[2,2] = OP[permutation_size=2] a in (b,) }",
     ir::Domain::kIndex},
    {"{ lambda ; a:i32[0]. let b:i32[3] = OP[permutation_size=3] a in (b,) }", ir::Domain::kIndex},
};
constexpr Sample kQrSamples[] = {
    {"{ lambda ; a:f32[4,3]. let b:f32[4,3] c:f32[3,3] = OP[full_matrices=False pivoting=False "
     "use_magma=None] a "
     "in (b, c) }"},
    {"{ lambda ; a:f32[2,3,3]. let b:f32[2,3,3] c:f32[2,3,3] = OP[full_matrices=True "
     "pivoting=False use_magma=None] a "
     "in (b, c) }"},
    {"{ lambda ; a:f32[4,2]. let b:f32[4,4] c:f32[4,2] = OP[full_matrices=True pivoting=False "
     "use_magma=None] a "
     "in (b, c) }"},
    {"{ lambda ; a:f32[2,5]. let b:f32[2,2] c:f32[2,5] = OP[full_matrices=False pivoting=False "
     "use_magma=None] a "
     "in (b, c) }"},
    {"{ lambda ; a:c64[3,2]. let b:c64[3,2] c:c64[2,2] = OP[full_matrices=False pivoting=False "
     "use_magma=None] a "
     "in (b, c) }"},
    {"{ lambda ; a:f32[4,3]. let b:f32[4,3] c:f32[3,3] d:i32[3] = OP[full_matrices=False "
     "pivoting=True "
     "use_magma=None] a in (b, c, d) }"},
    {"{ lambda ; a:f32[3,0]. let b:f32[3,3] c:f32[3,0] = OP[full_matrices=True pivoting=False "
     "use_magma=None] a "
     "in (b, c) }"},
};
constexpr Sample kGeqrfSamples[] = {
    {"{ lambda ; a:f32[4,3]. let b:f32[4,3] c:f32[3] = OP a in (b, c) }"},
    {"{ lambda ; a:c64[2,3]. let b:c64[2,3] c:c64[2] = OP a in (b, c) }"},
    {"{ lambda ; a:f32[0,3]. let b:f32[0,3] c:f32[0] = OP a in (b, c) }"},
};
constexpr Sample kGeqp3Samples[] = {
    {"{ lambda ; a:f32[4,3] b:i32[3]. let c:f32[4,3] d:i32[3] e:f32[3] = OP[use_magma=None] a b in "
     "(c, d, e) }",
     ir::Domain::kIndex},
};
constexpr Sample kHouseholderSamples[] = {
    {"{ lambda ; a:f32[4,3] b:f32[2]. let c:f32[4,3] = OP a b in (c,) }"},
    {"{ lambda ; a:c64[2,3,3] b:c64[2,3]. let c:c64[2,3,3] = OP a b in (c,) }"},
};
// Symmetric by construction: the derivative is that of symmetric matrices.
constexpr Sample kEighSamples[] = {
    {"{ lambda ; a:f32[3,3]. let b:f32[3,3] = transpose[permutation=(1, 0)] a c:f32[3,3] = add a b "
     "d:f32[3,3] e:f32[3] = OP[algorithm=None lower=True sort_eigenvalues=True "
     "subset_by_index=None] c in (d, e) }"},
    {"{ lambda ; a:f32[2,2,2]. let b:f32[2,2,2] = transpose[permutation=(0, 2, 1)] a c:f32[2,2,2] "
     "= add a b "
     "d:f32[2,2,2] e:f32[2,2] = OP[algorithm=None lower=False sort_eigenvalues=True "
     "subset_by_index=None] c "
     "in (d, e) }"},
    {"{ lambda ; a:f32[0,0]. let b:f32[0,0] c:f32[0] = OP[algorithm=None lower=True "
     "sort_eigenvalues=True "
     "subset_by_index=None] a in (b, c) }"},
    {"{ lambda ; a:f32[1,1]. let b:f32[1,1] c:f32[1] = OP[algorithm=None lower=True "
     "sort_eigenvalues=True "
     "subset_by_index=None] a in (b, c) }"},
};
constexpr Sample kSvdSamples[] = {
    {"{ lambda ; a:f32[3,2]. let b:f32[2] c:f32[3,2] d:f32[2,2] = OP[algorithm=None "
     "compute_uv=True "
     "full_matrices=False subset_by_index=None] a in (b, c, d) }"},
    {"{ lambda ; a:f32[2,4]. let b:f32[2] c:f32[2,2] d:f32[2,4] = OP[algorithm=None "
     "compute_uv=True "
     "full_matrices=False subset_by_index=None] a in (b, c, d) }"},
    {"{ lambda ; a:f32[2,3,3]. let b:f32[2,3] = OP[algorithm=None compute_uv=False "
     "full_matrices=False "
     "subset_by_index=None] a in (b,) }"},
    {"{ lambda ; a:f32[2,4]. let b:f32[2] c:f32[2,2] d:f32[4,4] = OP[algorithm=None "
     "compute_uv=True "
     "full_matrices=True subset_by_index=None] a in (b, c, d) }"},
    {"{ lambda ; a:f32[0,3]. let b:f32[0] c:f32[0,0] d:f32[3,3] = OP[algorithm=None "
     "compute_uv=True "
     "full_matrices=True subset_by_index=None] a in (b, c, d) }"},
};
constexpr Sample kEigSamples[] = {
    {"{ lambda ; a:f32[4,4]. let b:c64[4] c:c64[4,4] d:c64[4,4] = "
     "OP[compute_left_eigenvectors=True "
     "compute_right_eigenvectors=True implementation=None] a in (b, c, d) }"},
    {"{ lambda ; a:c64[2,3,3]. let b:c64[2,3] c:c64[2,3,3] = OP[compute_left_eigenvectors=False "
     "compute_right_eigenvectors=True implementation=None] a in (b, c) }"},
    {"{ lambda ; a:f32[0,0]. let b:c64[0] = OP[compute_left_eigenvectors=False "
     "compute_right_eigenvectors=False "
     "implementation=None] a in (b,) }"},
};
constexpr Sample kSchurSamples[] = {
    {"{ lambda ; a:f32[4,4]. let b:f32[4,4] c:f32[4,4] = OP[compute_schur_vectors=True "
     "select_callable=None "
     "sort_eig_vals=False] a in (b, c) }"},
    {"{ lambda ; a:c64[2,3,3]. let b:c64[2,3,3] = OP[compute_schur_vectors=False "
     "select_callable=None "
     "sort_eig_vals=False] a in (b,) }"},
};
constexpr Sample kHessenbergSamples[] = {
    {"{ lambda ; a:f32[4,4]. let b:f32[4,4] c:f32[3] = OP a in (b, c) }"},
    {"{ lambda ; a:c64[2,3,3]. let b:c64[2,3,3] c:c64[2,2] = OP a in (b, c) }"},
};
constexpr Sample kTridiagonalSamples[] = {
    {"{ lambda ; a:f32[4,4]. let b:f32[4,4] c:f32[4] d:f32[3] e:f32[3] = OP[lower=True] a in (b, "
     "c, d, e) }"},
    {"{ lambda ; a:f32[2,3,3]. let b:f32[2,3,3] c:f32[2,3] d:f32[2,2] e:f32[2,2] = OP[lower=False] "
     "a "
     "in (b, c, d, e) }"},
};
constexpr Sample kCholeskyUpdateSamples[] = {
    {"{ lambda ; a:f32[3,3] b:f32[3]. let c:f32[3,3] = OP a b in (c,) }", ir::Domain::kPositive},
    {"{ lambda ; a:f32[0,0] b:f32[0]. let c:f32[0,0] = OP a b in (c,) }"},
};
constexpr Sample kProductSamples[] = {
    {"{ lambda ; a:f32[3,2] b:f32[3,3]. let c:f32[3,3] = OP[alpha=1.5 beta=2.0] a b in (c,) }"},
    {"{ lambda ; a:f32[2,3,1] b:f32[2,3,3]. let c:f32[2,3,3] = OP[alpha=1.0 beta=0.0] a b in (c,) "
     "}"},
};

constexpr ir::BatchRule kBatch = ir::BatchFull(BatchLeading);

constexpr OpDef kOps[] = {
    {.name = "lu",
     .arity = 1,
     .results = 3,
     .accepts = ir::kAcceptsInexact,
     .tier = 2,
     .type_rule = LuType,
     .jvp = ir::JvpFull(JvpLu),
     .batch = kBatch,
     .lower = LowerLu,
     .spec = "primitives.md#lu",
     .samples = kLuSamples},
    {.name = "lu_pivots_to_permutation",
     .arity = 1,
     .params = kPivotsParams,
     .accepts = ir::kAcceptsInt,
     .tier = 2,
     .type_rule = PivotsType,
     .batch = kBatch,
     .lower = LowerPivots,
     .spec = "primitives.md#lu_pivots_to_permutation",
     .samples = kPivotsSamples},
    {.name = "qr",
     .arity = 1,
     .results = -1,
     .params = kQrParams,
     .accepts = ir::kAcceptsInexact,
     .tier = 2,
     .type_rule = QrType,
     .jvp = ir::JvpFull(JvpQr),
     .batch = kBatch,
     .lower = LowerQr,
     .spec = "primitives.md#qr",
     .samples = kQrSamples},
    {.name = "geqrf",
     .arity = 1,
     .results = 2,
     .accepts = ir::kAcceptsInexact,
     .tier = 2,
     .type_rule = GeqrfType,
     .batch = kBatch,
     .lower = LowerGeqrf,
     .spec = "primitives.md#geqrf",
     .samples = kGeqrfSamples},
    {.name = "geqp3",
     .arity = 2,
     .results = 3,
     .params = kGeqp3Params,
     .accepts = ir::kAcceptsInexact,
     .tier = 2,
     .type_rule = Geqp3Type,
     .batch = kBatch,
     .lower = LowerGeqp3,
     .spec = "primitives.md#geqp3",
     .samples = kGeqp3Samples},
    {.name = "householder_product",
     .arity = 2,
     .accepts = ir::kAcceptsInexact,
     .tier = 2,
     .type_rule = HouseholderProductType,
     .batch = kBatch,
     .lower = LowerHouseholderProduct,
     .spec = "primitives.md#householder_product",
     .samples = kHouseholderSamples},
    {.name = "eigh",
     .arity = 1,
     .results = 2,
     .params = kEighParams,
     .accepts = ir::kAcceptsInexact,
     .tier = 2,
     .type_rule = EighType,
     .jvp = ir::JvpFull(JvpEigh),
     .batch = kBatch,
     .lower = LowerEigh,
     .spec = "primitives.md#eigh",
     .samples = kEighSamples},
    {.name = "eig",
     .arity = 1,
     .results = -1,
     .params = kEigParams,
     .accepts = ir::kAcceptsInexact,
     .tier = 2,
     .type_rule = EigType,
     .batch = kBatch,
     .lower = LowerEig,
     .spec = "primitives.md#eig",
     .samples = kEigSamples},
    {.name = "svd",
     .arity = 1,
     .results = -1,
     .params = kSvdParams,
     .accepts = ir::kAcceptsInexact,
     .tier = 2,
     .type_rule = SvdType,
     .jvp = ir::JvpFull(JvpSvd),
     .batch = kBatch,
     .lower = LowerSvd,
     .spec = "primitives.md#svd",
     .samples = kSvdSamples},
    {.name = "schur",
     .arity = 1,
     .results = -1,
     .params = kSchurParams,
     .accepts = ir::kAcceptsInexact,
     .tier = 2,
     .type_rule = SchurType,
     .batch = kBatch,
     .lower = LowerSchur,
     .spec = "primitives.md#schur",
     .samples = kSchurSamples},
    {.name = "hessenberg",
     .arity = 1,
     .results = 2,
     .accepts = ir::kAcceptsInexact,
     .tier = 2,
     .type_rule = HessenbergType,
     .batch = kBatch,
     .lower = LowerHessenberg,
     .spec = "primitives.md#hessenberg",
     .samples = kHessenbergSamples},
    {.name = "tridiagonal",
     .arity = 1,
     .results = 4,
     .params = kTridiagonalParams,
     .accepts = ir::kAcceptsInexact,
     .tier = 2,
     .type_rule = TridiagonalType,
     .batch = kBatch,
     .lower = LowerTridiagonal,
     .spec = "primitives.md#tridiagonal",
     .samples = kTridiagonalSamples},
    {.name = "cholesky_update",
     .arity = 2,
     .accepts = ir::kAcceptsFloat,
     .tier = 2,
     .type_rule = CholeskyUpdateType,
     .lower = LowerCholeskyUpdate,
     .spec = "primitives.md#cholesky_update",
     .samples = kCholeskyUpdateSamples},
    {.name = "symmetric_product",
     .arity = 2,
     .params = kProductParams,
     .accepts = ir::kAcceptsFloat,
     .tier = 2,
     .type_rule = SymmetricProductType,
     .batch = kBatch,
     .lower = LowerSymmetricProduct,
     .spec = "primitives.md#symmetric_product",
     .samples = kProductSamples},
};

}  // namespace

std::span<const OpDef> FactorizationOps() { return kOps; }

}  // namespace megalith::ops
