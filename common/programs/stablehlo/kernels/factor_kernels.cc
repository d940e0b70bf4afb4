// stablehlo.cholesky and stablehlo.triangular_solve, and LAPACK's names of them, by the textbook
// recurrences, in double (complex128) whatever the element type, rounded once at the end.
#include <limits>
#include <vector>

#include "common/programs/stablehlo/kernels/library_calls.h"
#include "common/programs/stablehlo/kernels/matrix.h"
#include "common/programs/stablehlo/kernels/prepare.h"
#include "common/programs/stablehlo/lapack_calls.h"
#include "common/programs/stablehlo/op_def.h"

namespace megalith::stablehlo {
namespace {

// a = L L^H of one matrix, reading its lower triangle. 0, or the order of the first leading minor
// that is not positive definite.
template <typename T>
int64_t Factor(int64_t n, T* a) {
  for (int64_t j = 0; j < n; ++j) {
    double pivot = RealOf(a[j * n + j]);
    for (int64_t k = 0; k < j; ++k) pivot -= std::norm(a[j * n + k]);
    if (!(pivot > 0)) return j + 1;
    const double root = std::sqrt(pivot);
    a[j * n + j] = root;
    for (int64_t i = j + 1; i < n; ++i) {
      T sum = a[i * n + j];
      for (int64_t k = 0; k < j; ++k) sum -= a[i * n + k] * Conj(a[j * n + k]);
      a[i * n + j] = sum / root;
    }
  }
  return 0;
}

// With a second result, as LAPACK's: that is Factor's, and the other triangle stays as it is given.
template <typename T>
Status RunCholesky(const TensorType& type, bool lower, KernelCall& call) {
  ASSIGN_OR_RETURN(call.out[0], call.run.Allocate(type));
  const int64_t n = type.shape.back();
  const bool with_info = call.out.size() > 1;
  if (with_info) {
    const TensorType info{DType::kI32, Shape(std::span(type.shape).first(type.rank() - 2))};
    ASSIGN_OR_RETURN(call.out[1], Tensor::Create(info.dtype, info.shape));
  }
  if (call.out[0].size() == 0) return OkStatus();
  std::vector<T> in(static_cast<size_t>(n * n)), a(static_cast<size_t>(n * n));
  for (int64_t first = 0; first < call.out[0].size(); first += n * n) {
    Load(call.in[0], first, n * n, in.data());
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        const auto at = static_cast<size_t>(i * n + j);
        a[at] = j > i ? T(0) : lower ? in[at] : Conj(in[static_cast<size_t>(j * n + i)]);
      }
    }
    const int64_t failed = Factor(n, a.data());
    if (with_info) call.out[1].SetInt(first / (n * n), failed);
    if (failed != 0) {
      for (int64_t i = 0; i < n; ++i) {
        for (int64_t j = 0; j <= i; ++j)
          a[static_cast<size_t>(i * n + j)] = std::numeric_limits<double>::quiet_NaN();
      }
    }
    if (!lower) {  // the result is the conjugate transpose
      for (int64_t i = 0; i < n; ++i) {
        for (int64_t j = 0; j <= i; ++j)
          in[static_cast<size_t>(j * n + i)] = Conj(a[static_cast<size_t>(i * n + j)]);
        for (int64_t j = 0; j < i; ++j) in[static_cast<size_t>(i * n + j)] = T(0);
      }
      a.swap(in);
    }
    if (with_info) {
      for (int64_t i = 0; i < n; ++i) {
        for (int64_t j = i + 1; j < n; ++j) {
          const int64_t at = lower ? i * n + j : j * n + i;
          Load(call.in[0], first + at, 1, &a[static_cast<size_t>(at)]);
        }
      }
    }
    Store(a.data(), first, n * n, &call.out[0]);
    RETURN_IF_ERROR(call.run.Poll());
  }
  return OkStatus();
}

struct SolvePlan {
  TensorType out;
  bool left = true, lower = true, unit = false;
  TransposeA transpose = TransposeA::kNoTranspose;
  int64_t n = 0, columns = 0;  // size of a, number of right-hand sides
};

// Solves op(a) x = b for one matrix; x has n rows and `columns` columns and comes in as b.
template <typename T>
void Solve(const SolvePlan& p, const std::vector<T>& a, std::vector<T>* x, bool transposed,
           bool conjugated) {
  const int64_t n = p.n;
  const auto at = [&](int64_t i, int64_t j) {
    const T v = transposed ? a[static_cast<size_t>(j * n + i)] : a[static_cast<size_t>(i * n + j)];
    return conjugated ? Conj(v) : v;
  };
  const bool forward = p.lower != transposed;
  for (int64_t step = 0; step < n; ++step) {
    const int64_t i = forward ? step : n - 1 - step;
    T* row = x->data() + i * p.columns;
    for (int64_t other = 0; other < step; ++other) {
      const int64_t j = forward ? other : n - 1 - other;
      const T factor = at(i, j);
      const T* solved = x->data() + j * p.columns;
      for (int64_t c = 0; c < p.columns; ++c) row[c] -= factor * solved[c];
    }
    if (p.unit) continue;
    const T diagonal = at(i, i);
    for (int64_t c = 0; c < p.columns; ++c) row[c] /= diagonal;
  }
}

template <typename T>
Status RunSolve(const SolvePlan& p, KernelCall& call) {
  ASSIGN_OR_RETURN(call.out[0], call.run.Allocate(p.out));
  if (call.out[0].size() == 0) return OkStatus();
  const int64_t size_a = p.n * p.n;
  const int64_t size_b = p.n * p.columns;
  std::vector<T> a(static_cast<size_t>(size_a)), b(static_cast<size_t>(size_b)),
      x(static_cast<size_t>(size_b));
  const bool transpose = p.transpose != TransposeA::kNoTranspose;
  const bool conjugate = p.transpose == TransposeA::kAdjoint;
  for (int64_t m = 0; m < call.out[0].size() / size_b; ++m) {
    Load(call.in[0], m * size_a, size_a, a.data());
    Load(call.in[1], m * size_b, size_b, b.data());
    if (p.left) {
      x = b;
      Solve(p, a, &x, transpose, conjugate);
      Store(x.data(), m * size_b, size_b, &call.out[0]);
    } else {
      // x op(a) = b is op(a)^T x^T = b^T.
      for (int64_t r = 0; r < p.columns; ++r) {
        for (int64_t i = 0; i < p.n; ++i)
          x[static_cast<size_t>(i * p.columns + r)] = b[static_cast<size_t>(r * p.n + i)];
      }
      Solve(p, a, &x, !transpose, conjugate);
      for (int64_t r = 0; r < p.columns; ++r) {
        for (int64_t i = 0; i < p.n; ++i)
          b[static_cast<size_t>(r * p.n + i)] = x[static_cast<size_t>(i * p.columns + r)];
      }
      Store(b.data(), m * size_b, size_b, &call.out[0]);
    }
    RETURN_IF_ERROR(call.run.Poll());
  }
  return OkStatus();
}

Kernel SolveKernel(const SolvePlan& p) {
  const auto run = tensor::IsComplex(p.out.dtype) ? RunSolve<c128> : RunSolve<double>;
  return Kernel{[p, run](KernelCall& call) { return run(p, call); }};
}

Kernel CholeskyKernel(const TensorType& type, bool lower) {
  const auto run = tensor::IsComplex(type.dtype) ? RunCholesky<c128> : RunCholesky<double>;
  return Kernel{[type, lower, run](KernelCall& call) { return run(type, lower, call); }};
}

}  // namespace

Result<Kernel> PrepareCholesky(Planner& planner, const Op& op) {
  return CholeskyKernel(planner.result(op), op.attr_or_default("lower", planner.func()).AsBool());
}

Result<Kernel> PreparePotrf(Planner& planner, const Op& op) {
  ASSIGN_OR_RETURN(const LapackCall call, ReadLapackCall(planner, op));
  return CholeskyKernel(planner.result(op), call.option(0) == 'L');
}

Result<Kernel> PrepareTrsm(Planner& planner, const Op& op) {
  ASSIGN_OR_RETURN(const LapackCall call, ReadLapackCall(planner, op));
  SolvePlan p;
  p.out = planner.result(op);
  p.left = call.option(0) == 'L';
  p.lower = call.option(1) == 'L';
  p.transpose = call.option(2) == 'N'   ? TransposeA::kNoTranspose
                : call.option(2) == 'T' ? TransposeA::kTranspose
                                        : TransposeA::kAdjoint;
  p.unit = call.option(3) == 'U';
  p.n = planner.operand(op, 0).shape.back();
  p.columns = p.out.shape[p.out.rank() - (p.left ? 1 : 2)];
  return SolveKernel(p);
}

Result<Kernel> PrepareTriangularSolve(Planner& planner, const Op& op) {
  SolvePlan p;
  p.out = planner.result(op);
  p.left = op.attr("left_side").AsBool();
  p.lower = op.attr("lower").AsBool();
  p.unit = op.attr("unit_diagonal").AsBool();
  p.transpose = static_cast<TransposeA>(op.attr("transpose_a").AsEnum());
  p.n = planner.operand(op, 0).shape.back();
  p.columns = p.out.shape[p.out.rank() - (p.left ? 1 : 2)];
  return SolveKernel(p);
}

}  // namespace megalith::stablehlo
