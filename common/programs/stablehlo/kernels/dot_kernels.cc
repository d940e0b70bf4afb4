// stablehlo.dot_general: a batch of matrix products.
#include <algorithm>

#include "common/foundation/base/strings.h"
#include "common/programs/stablehlo/kernels/gemm.h"
#include "common/programs/stablehlo/kernels/prepare.h"
#include "common/programs/stablehlo/kernels/product.h"
#include "common/programs/stablehlo/op_def.h"

namespace megalith::stablehlo {
namespace {

struct DotPlan {
  TensorType out;
  Dims lhs_order, rhs_order;  // dimensions as [batch, rows, depth] and [batch, depth, columns]
  DType product = DType::kF32;
  DType round_lhs = DType::kInvalid, round_rhs = DType::kInvalid;
  int64_t batch = 1, rows = 1, columns = 1, depth = 1;
};

Dims FreeDims(const Shape& shape, const Dims& batch, const Dims& contract) {
  Dims free;
  for (size_t i = 0; i < shape.size(); ++i) {
    const auto d = static_cast<int64_t>(i);
    const bool used = std::find(batch.begin(), batch.end(), d) != batch.end() ||
                      std::find(contract.begin(), contract.end(), d) != contract.end();
    if (!used) free.push_back(d);
  }
  return free;
}

int64_t Product(const Shape& shape, const Dims& dims) {
  int64_t n = 1;
  for (const int64_t d : dims) n *= shape[static_cast<size_t>(d)];
  return n;
}

// An algorithm that takes its operands in fewer bits rounds them first; bf16x3 and its kin amount
// to full f32.
DType RoundTo(DType operand, PrecisionType precision, int64_t components) {
  const bool narrower = tensor::IsFloat(precision.dtype) &&
                        tensor::BitWidth(precision.dtype) < tensor::BitWidth(operand);
  return narrower && !precision.tf32 && components == 1 ? precision.dtype : DType::kInvalid;
}

Status RunDot(const DotPlan& p, KernelCall& call) {
  if (p.batch == 0 || p.rows == 0 || p.columns == 0) {
    ASSIGN_OR_RETURN(call.out[0], call.run.Allocate(p.out));
    return OkStatus();
  }
  ASSIGN_OR_RETURN(const Planes lhs,
                   ToPlanes(call.in[0], p.lhs_order, p.product, p.round_lhs, call.run));
  ASSIGN_OR_RETURN(const Planes rhs,
                   ToPlanes(call.in[1], p.rhs_order, p.product, p.round_rhs, call.run));
  const auto multiply = [&](const Tensor& a, const Tensor& b, Tensor* c) {
    return VisitProductType(p.product, [&]<typename T>(T*) -> Status {
      const T* x = static_cast<const T*>(a.data());
      const T* y = static_cast<const T*>(b.data());
      T* z = static_cast<T*>(c->mutable_data());
      for (int64_t i = 0; i < p.batch; ++i) {
        RETURN_IF_ERROR(
            Gemm<T>(p.rows, p.columns, p.depth, x, p.depth, y, p.columns, z, p.columns, call.run));
        x += p.rows * p.depth;
        y += p.depth * p.columns;
        z += p.rows * p.columns;
      }
      return OkStatus();
    });
  };
  ASSIGN_OR_RETURN(Planes out,
                   MultiplyPlanes(lhs, rhs, {p.product, p.out.shape}, call.run, multiply));
  Dims identity;
  for (size_t i = 0; i < p.out.rank(); ++i) identity.push_back(static_cast<int64_t>(i));
  ASSIGN_OR_RETURN(call.out[0], FromPlanes(std::move(out), p.out.shape, identity, p.out, call.run));
  return OkStatus();
}

}  // namespace

Result<Kernel> PrepareDotGeneral(Planner& planner, const Op& op) {
  const DotDims& d = op.attr("dot_dimension_numbers").AsDot();
  const TensorType& lhs = planner.operand(op, 0);
  const TensorType& rhs = planner.operand(op, 1);
  auto p = std::make_shared<DotPlan>();
  p->out = planner.result(op);
  p->product = ProductType(lhs.dtype, rhs.dtype, p->out.dtype);
  const Dims lhs_free = FreeDims(lhs.shape, d.lhs_batch, d.lhs_contract);
  const Dims rhs_free = FreeDims(rhs.shape, d.rhs_batch, d.rhs_contract);
  for (const Dims* part : {&d.lhs_batch, &lhs_free, &d.lhs_contract}) {
    for (const int64_t x : *part) p->lhs_order.push_back(x);
  }
  for (const Dims* part : {&d.rhs_batch, &d.rhs_contract, &rhs_free}) {
    for (const int64_t x : *part) p->rhs_order.push_back(x);
  }
  p->batch = Product(lhs.shape, d.lhs_batch);
  p->rows = Product(lhs.shape, lhs_free);
  p->columns = Product(rhs.shape, rhs_free);
  p->depth = Product(lhs.shape, d.lhs_contract);
  if (const Attr& a = op.attr("algorithm"); a.present()) {
    const DotAlgorithm& algorithm = a.AsDotAlgorithm();
    p->round_lhs = RoundTo(lhs.dtype, algorithm.lhs, algorithm.lhs_components);
    p->round_rhs = RoundTo(rhs.dtype, algorithm.rhs, algorithm.rhs_components);
  }
  return Kernel{[p](KernelCall& call) { return RunDot(*p, call); }};
}

}  // namespace megalith::stablehlo
