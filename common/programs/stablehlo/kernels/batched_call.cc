#include "common/programs/stablehlo/kernels/batched_call.h"

#include <limits>

namespace megalith::stablehlo {

Result<BatchedCall> ReadBatchedCall(Planner& planner, const Op& op,
                                    std::initializer_list<size_t> ranks) {
  BatchedCall call;
  if (op.operands.size() != ranks.size()) {
    return InvalidArgument(StrCat(op.operands.size(), " operands, wanted ", ranks.size()));
  }
  size_t i = 0;
  for (const size_t rank : ranks) {
    const TensorType& type = planner.operand(op, i);
    if (type.is_token || type.rank() < rank) {
      return InvalidArgument(
          StrCat("operand ", i, " has type ", type.Text(), ", wanted a rank of at least ", rank));
    }
    const Shape batch(std::span<const int64_t>(type.shape).first(type.rank() - rank));
    if (i == 0) call.batch = batch;
    if (!(batch == call.batch)) {
      return InvalidArgument(StrCat("operand ", i, " has type ", type.Text(),
                                    ", which does not fit ", planner.operand(op, 0).Text()));
    }
    call.operands.push_back(type);
    ++i;
  }
  if (!tensor::IsInexact(call.dtype())) {
    return InvalidArgument(StrCat("operand 0 has type ", call.operands[0].Text(),
                                  ", wanted float or complex elements"));
  }
  for (uint32_t r = 0; r < op.num_results; ++r) call.results.push_back(planner.result(op, r));
  return call;
}

Status WantResults(const BatchedCall& call, std::initializer_list<TensorType> want) {
  if (call.results.size() != want.size()) {
    return InvalidArgument(StrCat(call.results.size(), " results, wanted ", want.size()));
  }
  size_t i = 0;
  for (const TensorType& type : want) {
    if (!(call.results[i] == type)) {
      return InvalidArgument(
          StrCat("result ", i, " has type ", call.results[i].Text(), ", wanted ", type.Text()));
    }
    ++i;
  }
  return OkStatus();
}

Status WantSquare(const BatchedCall& call) {
  if (call.dim(0, 0) == call.dim(0, 1)) return OkStatus();
  return InvalidArgument(
      StrCat("operand 0 has type ", call.operands[0].Text(), ", wanted square matrices"));
}

double IterationEps(DType dtype) {
  if (tensor::RealPart(dtype) == DType::kF64) return std::numeric_limits<double>::epsilon() / 2;
  return std::numeric_limits<float>::epsilon() / 2;
}

bool ConfigFlag(const Op& op, std::string_view name) {
  const Attr& config = op.attr("mhlo.backend_config");
  if (config.kind() != AttrKind::kDict) return false;
  const Attr& value = FindAttr(config.AsDict(), name);
  return value.kind() == AttrKind::kBool && value.AsBool();
}

void BatchElement::OutNan() const {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  for (size_t i = 0; i < call_.results.size(); ++i) {
    const TensorType& type = call_.results[i];
    if (!tensor::IsInexact(type.dtype)) continue;
    int64_t size = 1;
    for (size_t d = call_.batch.size(); d < type.rank(); ++d) size *= type.shape[d];
    for (int64_t k = index_ * size; k < (index_ + 1) * size; ++k) {
      if (tensor::IsComplex(type.dtype))
        kernel_.out[i].SetComplex(k, {kNan, kNan});
      else
        kernel_.out[i].SetDouble(k, kNan);
    }
  }
}

}  // namespace megalith::stablehlo
