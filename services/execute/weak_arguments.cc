#include "services/execute/weak_arguments.h"

#include <algorithm>

#include "common/foundation/base/strings.h"

namespace megalith::services {
namespace {

using tensor::DType;
using tensor::Tensor;

// Integer, float, complex: a weak number may go up. -1: nothing else is a number.
int Kind(DType dtype) {
  if (tensor::IsInteger(dtype)) return 0;
  if (tensor::IsFloat(dtype)) return 1;
  return tensor::IsComplex(dtype) ? 2 : -1;
}

// Element i of an integer as a double.
double IntegerAt(const Tensor& t, int64_t i) {
  const int64_t value = t.IntAt(i);
  return t.dtype() == DType::kU64 ? static_cast<double>(static_cast<uint64_t>(value))
                                  : static_cast<double>(value);
}

// False if it does not fit.
bool SetInteger(const Tensor& from, int64_t i, Tensor* to) {
  const int64_t value = from.IntAt(i);
  to->SetInt(i, value);
  const bool large = from.dtype() == DType::kU64 && value < 0;  // above the largest i64
  if (to->dtype() == DType::kU64) return large || value >= 0;
  return !large && to->IntAt(i) == value;
}

Result<Tensor> Converted(const Tensor& from, DType dtype) {
  ASSIGN_OR_RETURN(Tensor to, Tensor::Create(dtype, from.shape()));
  for (int64_t i = 0; i < from.size(); ++i) {
    if (tensor::IsInteger(dtype)) {
      if (SetInteger(from, i, &to)) continue;
      const std::string number = from.dtype() == DType::kU64
                                     ? StrCat(static_cast<uint64_t>(from.IntAt(i)))
                                     : StrCat(from.IntAt(i));
      return InvalidArgument(StrCat("the number ", number, " does not fit ", tensor::Name(dtype)));
    }
    if (tensor::IsComplex(dtype) && tensor::IsComplex(from.dtype())) {
      to.SetComplex(i, from.ComplexAt(i));
      continue;
    }
    const double value = tensor::IsInteger(from.dtype()) ? IntegerAt(from, i) : from.DoubleAt(i);
    if (tensor::IsComplex(dtype)) {
      to.SetComplex(i, value);
    } else {
      to.SetDouble(i, value);
    }
  }
  return to;
}

}  // namespace

Status AdaptWeak(const std::vector<tensor::ArrayType>& want, const std::vector<bool>& weak,
                 std::vector<Tensor>* arguments) {
  const size_t n = std::min({want.size(), weak.size(), arguments->size()});
  for (size_t i = 0; i < n; ++i) {
    Tensor& argument = (*arguments)[i];
    if (!weak[i] || argument.dtype() == want[i].dtype || !(argument.shape() == want[i].shape)) {
      continue;
    }
    const int from = Kind(argument.dtype());
    if (from < 0 || from > Kind(want[i].dtype)) continue;
    ASSIGN_OR_RETURN(argument, Converted(argument, want[i].dtype).Annotate(StrCat("argument ", i)));
  }
  return OkStatus();
}

}  // namespace megalith::services
