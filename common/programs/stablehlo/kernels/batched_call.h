// How kernels of library calls see batches: types checked once, then one matrix after another. For
// kernels/*.cc only.
#pragma once

#include <initializer_list>
#include <vector>

#include "common/foundation/base/strings.h"
#include "common/programs/stablehlo/kernels/matrix.h"
#include "common/programs/stablehlo/op_def.h"

namespace megalith::stablehlo {

// A call whose operands and results are batches of arrays of fixed ranks.
struct BatchedCall {
  Shape batch;
  std::vector<TensorType> operands, results;

  int64_t dim(size_t operand, size_t i) const { return operands[operand].shape[batch.size() + i]; }
  DType dtype() const { return operands[0].dtype; }
  // A type with the batch dimensions.
  TensorType Type(DType dtype, std::initializer_list<int64_t> dims) const {
    TensorType out{dtype, batch};
    for (const int64_t d : dims) out.shape.push_back(d);
    return out;
  }
};

// Reads the types of a call with operands of these ranks, of which the first holds float or complex
// matrices. Errors: kInvalidArgument for other ranks, batch dimensions that differ, other element
// types.
Result<BatchedCall> ReadBatchedCall(Planner& planner, const Op& op,
                                    std::initializer_list<size_t> ranks);
// kInvalidArgument unless the call has these results.
Status WantResults(const BatchedCall& call, std::initializer_list<TensorType> want);

// kInvalidArgument unless the first operand holds square matrices.
Status WantSquare(const BatchedCall& call);

// The accuracy at which iterations for elements of this type stop: half the distance from 1 to the
// next number of the type, or of f32 for narrower ones.
double IterationEps(DType dtype);

// A boolean of the call's configuration, false if it is not there.
bool ConfigFlag(const Op& op, std::string_view name);

// Operands and results of one matrix: positions of tensors that belong to one batch element.
class BatchElement {
 public:
  BatchElement(const BatchedCall& call, KernelCall& kernel, int64_t index)
      : call_(call), kernel_(kernel), index_(index) {}
  const Run& run() const { return kernel_.run; }

  template <typename T>
  Matrix<T> In(size_t i) const {
    Matrix<T> out(call_.dim(i, 0), call_.dim(i, 1));
    Load(kernel_.in[i], index_ * out.size(), out.size(), out.data());
    return out;
  }
  template <typename T>
  std::vector<T> InVector(size_t i) const {
    std::vector<T> out(static_cast<size_t>(call_.dim(i, 0)));
    Load(kernel_.in[i], index_ * call_.dim(i, 0), call_.dim(i, 0), out.data());
    return out;
  }
  template <typename T>
  void Out(size_t i, const Matrix<T>& value) const {
    Store(value.data(), index_ * value.size(), value.size(), &kernel_.out[i]);
  }
  template <typename T>
  void Out(size_t i, const std::vector<T>& value) const {
    const auto n = static_cast<int64_t>(value.size());
    Store(value.data(), index_ * n, n, &kernel_.out[i]);
  }
  void OutInts(size_t i, const std::vector<int64_t>& value) const {
    const auto n = static_cast<int64_t>(value.size());
    for (int64_t k = 0; k < n; ++k)
      kernel_.out[i].SetInt(index_ * n + k, value[static_cast<size_t>(k)]);
  }
  // All results but integers NaN: the algorithm failed, or was given something that is not finite.
  void OutNan() const;

 private:
  const BatchedCall& call_;
  KernelCall& kernel_;
  int64_t index_;
};

template <typename T>
bool AllFinite(const Matrix<T>& m) {
  bool finite = true;
  for (int64_t i = 0; i < m.size(); ++i) {
    finite = finite && std::isfinite(RealOf(m.data()[i])) && std::isfinite(ImagOf(m.data()[i]));
  }
  return finite;
}

// A kernel that runs `body(element)` for every element of the batch, results being allocated.
template <typename Body>
Kernel BatchKernel(BatchedCall call, Body body) {
  return Kernel{[call = std::move(call), body = std::move(body)](KernelCall& kernel) -> Status {
    for (size_t i = 0; i < call.results.size(); ++i) {
      ASSIGN_OR_RETURN(kernel.out[i], kernel.run.Allocate(call.results[i]));
    }
    int64_t count = 1;
    for (const int64_t d : call.batch) count *= d;
    for (int64_t i = 0; i < count; ++i) {
      RETURN_IF_ERROR(body(BatchElement(call, kernel, i)));
      RETURN_IF_ERROR(kernel.run.Poll());
    }
    return OkStatus();
  }};
}

}  // namespace megalith::stablehlo
