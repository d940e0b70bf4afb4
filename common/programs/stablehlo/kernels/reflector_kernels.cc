// Library calls that are made of elementary reflectors: QR with and without pivots, products,
// reductions to Hessenberg and tridiagonal form. In double (complex128) whatever the element type,
// rounded once at the end.
#include "common/programs/stablehlo/kernels/batched_call.h"
#include "common/programs/stablehlo/kernels/householder.h"
#include "common/programs/stablehlo/kernels/library_calls.h"

namespace megalith::stablehlo {
namespace {

// Calls `make` with a value of the type that elements of `dtype` are computed in.
template <typename Make>
Kernel ForDType(DType dtype, Make make) {
  return tensor::IsComplex(dtype) ? make(c128{}) : make(double{});
}

}  // namespace

Result<Kernel> PrepareQr(Planner& planner, const Op& op) {
  ASSIGN_OR_RETURN(const BatchedCall call, ReadBatchedCall(planner, op, {2}));
  const int64_t k = std::min(call.dim(0, 0), call.dim(0, 1));
  RETURN_IF_ERROR(WantResults(call, {call.operands[0], call.Type(call.dtype(), {k})}));
  return ForDType(call.dtype(), [&]<typename T>(T) {
    return BatchKernel(call, [](const BatchElement& e) -> Status {
      Matrix<T> a = e.In<T>(0);
      std::vector<T> taus;
      RETURN_IF_ERROR(QrInPlace(e.run(), &a, &taus));
      e.Out(0, a);
      e.Out(1, taus);
      return OkStatus();
    });
  });
}

Result<Kernel> PrepareReflectorProduct(Planner& planner, const Op& op) {
  ASSIGN_OR_RETURN(const BatchedCall call, ReadBatchedCall(planner, op, {2, 1}));
  const int64_t n = call.dim(0, 1);
  if (call.operands[1].dtype != call.dtype() || call.dim(1, 0) > n || n > call.dim(0, 0)) {
    return InvalidArgument(StrCat("no product of reflectors for ", call.operands[0].Text(), " and ",
                                  call.operands[1].Text()));
  }
  RETURN_IF_ERROR(WantResults(call, {call.operands[0]}));
  return ForDType(call.dtype(), [&]<typename T>(T) {
    return BatchKernel(call, [](const BatchElement& e) -> Status {
      Matrix<T> a = e.In<T>(0);
      RETURN_IF_ERROR(ReflectorProduct(e.run(), &a, e.InVector<T>(1)));
      e.Out(0, a);
      return OkStatus();
    });
  });
}

Result<Kernel> PreparePivotedQr(Planner& planner, const Op& op) {
  ASSIGN_OR_RETURN(const BatchedCall call, ReadBatchedCall(planner, op, {2, 1}));
  const TensorType& pivots = call.operands[1];
  const int64_t k = std::min(call.dim(0, 0), call.dim(0, 1));
  if (!tensor::IsInteger(pivots.dtype) || call.dim(1, 0) != call.dim(0, 1)) {
    return InvalidArgument(StrCat("operand 1 has type ", pivots.Text(),
                                  ", wanted an integer per column of ", call.operands[0].Text()));
  }
  RETURN_IF_ERROR(WantResults(call, {call.operands[0], pivots, call.Type(call.dtype(), {k})}));
  return ForDType(call.dtype(), [&]<typename T>(T) {
    return BatchKernel(call, [](const BatchElement& e) -> Status {
      Matrix<T> a = e.In<T>(0);
      std::vector<bool> first;
      for (const double pivot : e.InVector<double>(1)) first.push_back(pivot != 0);
      std::vector<T> taus;
      std::vector<int64_t> order;
      RETURN_IF_ERROR(QrWithPivots(e.run(), &a, &taus, &order, first));
      for (int64_t& column : order) ++column;  // LAPACK counts from one
      e.Out(0, a);
      e.OutInts(1, order);
      e.Out(2, taus);
      return OkStatus();
    });
  });
}

// The upper form is the lower one of the matrix read from its last element to its first.
Result<Kernel> PrepareTridiagonal(Planner& planner, const Op& op) {
  ASSIGN_OR_RETURN(const BatchedCall call, ReadBatchedCall(planner, op, {2}));
  RETURN_IF_ERROR(WantSquare(call));
  const int64_t n = call.dim(0, 0);
  if (n == 0) return InvalidArgument("no tridiagonal form of matrices without elements");
  const DType real = tensor::RealPart(call.dtype());
  RETURN_IF_ERROR(WantResults(call, {call.operands[0], call.Type(real, {n}),
                                     call.Type(real, {n - 1}), call.Type(call.dtype(), {n - 1})}));
  const bool lower = ConfigFlag(op, "lower");
  return ForDType(call.dtype(), [&]<typename T>(T) {
    return BatchKernel(call, [lower](const BatchElement& e) -> Status {
      const Matrix<T> given = e.In<T>(0);
      Matrix<T> a = lower ? given : given.Reversed();
      Tridiagonal<T> t;
      RETURN_IF_ERROR(TridiagonalInPlace(e.run(), &a, &t));
      // The results hold the form on the diagonal and beside it; the other triangle is as it was
      // given.
      for (size_t i = 0; i < t.d.size(); ++i) {
        const auto k = static_cast<int64_t>(i);
        a(k, k) = T(t.d[i]);
      }
      if (!lower) {
        a = a.Reversed();
        std::reverse(t.d.begin(), t.d.end());
        std::reverse(t.e.begin(), t.e.end());
        std::reverse(t.taus.begin(), t.taus.end());
      }
      e.Out(0, a);
      e.Out(1, t.d);
      e.Out(2, t.e);
      e.Out(3, t.taus);
      return OkStatus();
    });
  });
}

Result<Kernel> PrepareHessenberg(Planner& planner, const Op& op) {
  ASSIGN_OR_RETURN(const BatchedCall call, ReadBatchedCall(planner, op, {2}));
  RETURN_IF_ERROR(WantSquare(call));
  const int64_t n = call.dim(0, 0);
  if (n == 0) return InvalidArgument("no Hessenberg form of matrices without elements");
  RETURN_IF_ERROR(WantResults(call, {call.operands[0], call.Type(call.dtype(), {n - 1})}));
  return ForDType(call.dtype(), [&]<typename T>(T) {
    return BatchKernel(call, [](const BatchElement& e) -> Status {
      Matrix<T> a = e.In<T>(0);
      std::vector<T> taus;
      RETURN_IF_ERROR(HessenbergInPlace(e.run(), &a, &taus));
      e.Out(0, a);
      e.Out(1, taus);
      return OkStatus();
    });
  });
}

}  // namespace megalith::stablehlo
