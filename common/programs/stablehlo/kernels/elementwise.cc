// Runs the loop of an elementwise op over whole arrays.
#include <algorithm>
#include <array>

#include "common/programs/stablehlo/kernels/prepare.h"
#include "common/programs/stablehlo/kernels/strided.h"
#include "common/programs/stablehlo/op_def.h"

namespace megalith::stablehlo {
namespace {

// A scalar among larger operands (a select's predicate, a clamp's bounds) is spread out over this
// many elements.
constexpr int64_t kChunk = 1024;

Status RunWhole(const SpanKernel& span, const TensorType& type, KernelCall& call) {
  Tensor* reuse = nullptr;
  for (Tensor& t : call.in) {
    if (t.unique() && tensor::ByteWidth(t.dtype()) == tensor::ByteWidth(type.dtype) &&
        t.shape() == type.shape) {
      reuse = &t;
      break;
    }
  }
  if (reuse != nullptr) {
    ASSIGN_OR_RETURN(call.out[0], ReuseOrAllocate(call.run, *reuse, type));
  } else {
    ASSIGN_OR_RETURN(call.out[0], call.run.Allocate(type));
  }
  const void* in[kMaxSpanOperands] = {};
  for (size_t i = 0; i < call.in.size(); ++i) in[i] = call.in[i].data();
  // In pieces, so that a caller who gave up on a huge array is heard.
  constexpr int64_t kPiece = int64_t{1} << 20;
  const int64_t n = call.out[0].size();
  char* out = static_cast<char*>(call.out[0].mutable_data());
  for (int64_t at = 0; at < n; at += kPiece) {
    const void* piece[kMaxSpanOperands] = {};
    for (size_t i = 0; i < call.in.size(); ++i) {
      piece[i] = static_cast<const char*>(in[i]) + at * tensor::ByteWidth(call.in[i].dtype());
    }
    span(piece, out + at * tensor::ByteWidth(type.dtype), std::min(kPiece, n - at));
    if (at > 0) RETURN_IF_ERROR(call.run.Poll());
  }
  return OkStatus();
}

Status RunWithScalars(const SpanKernel& span, const TensorType& type, KernelCall& call) {
  ASSIGN_OR_RETURN(call.out[0], call.run.Allocate(type));
  const int64_t n = call.out[0].size();
  alignas(64) std::array<std::array<char, kChunk * 16>, kMaxSpanOperands> spread;
  for (size_t i = 0; i < call.in.size(); ++i) {
    if (call.in[i].rank() == 0) {
      Fill(spread[i].data(), call.in[i].data(), std::min(n, kChunk),
           tensor::ByteWidth(call.in[i].dtype()));
    }
  }
  char* out = static_cast<char*>(call.out[0].mutable_data());
  for (int64_t at = 0; at < n; at += kChunk) {
    const void* in[kMaxSpanOperands] = {};
    for (size_t i = 0; i < call.in.size(); ++i) {
      const Tensor& t = call.in[i];
      in[i] = t.rank() == 0
                  ? spread[i].data()
                  : static_cast<const char*>(t.data()) + at * tensor::ByteWidth(t.dtype());
    }
    span(in, out + at * tensor::ByteWidth(type.dtype), std::min(kChunk, n - at));
  }
  return OkStatus();
}

}  // namespace

Result<Kernel> PrepareElementwise(Planner& planner, const Op& op) {
  const TensorType type = planner.result(op);
  std::vector<DType> dtypes;
  bool scalars = false;
  for (size_t i = 0; i < op.operands.size(); ++i) {
    dtypes.push_back(planner.operand(op, i).dtype);
    scalars = scalars || planner.operand(op, i).rank() != type.rank();
  }
  ASSIGN_OR_RETURN(SpanKernel span, op.def->span(op, dtypes, type.dtype));
  if (scalars) {
    return Kernel{[span = std::move(span), type](KernelCall& call) {
      return RunWithScalars(span, type, call);
    }};
  }
  return Kernel{
      [span = std::move(span), type](KernelCall& call) { return RunWhole(span, type, call); }};
}

}  // namespace megalith::stablehlo
