#include "common/machines/kernels/params.h"

#include <algorithm>
#include <utility>

#include "common/foundation/base/strings.h"

namespace megalith::kernels {

Result<ParamReader> ParamReader::Create(std::string_view kernel, std::string_view params) {
  ASSIGN_OR_RETURN(std::vector<int64_t> values, UnpackParams(params));
  return ParamReader(kernel, std::move(values));
}

Result<int64_t> ParamReader::Next(std::string_view what, int64_t low, int64_t high) {
  if (next_ >= values_.size()) {
    next_ = values_.size() + 1;
    return InvalidArgument(StrCat(kernel_, ": parameters end before ", what));
  }
  const int64_t v = values_[next_++];
  if (v < low || v > high) {
    return InvalidArgument(StrCat(kernel_, ": ", what, " is ", v, ", wanted ", low, " to ", high));
  }
  return v;
}

Result<Dims> ParamReader::NextList(std::string_view what, int64_t most, int64_t low, int64_t high) {
  ASSIGN_OR_RETURN(const int64_t n, Next(what, 0, most));
  Dims list;
  for (int64_t i = 0; i < n; ++i) {
    ASSIGN_OR_RETURN(const int64_t v, Next(what, low, high));
    list.push_back(v);
  }
  return list;
}

Result<Dims> ParamReader::NextDims(std::string_view what, int64_t rank) {
  ASSIGN_OR_RETURN(Dims list, NextList(what, rank, 0, rank - 1));
  for (size_t i = 0; i < list.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (list[i] == list[j]) {
        return InvalidArgument(StrCat(kernel_, ": ", what, " names dimension ", list[i], " twice"));
      }
    }
  }
  return list;
}

Status ParamReader::Done() const {
  if (next_ == values_.size()) return OkStatus();
  return InvalidArgument(StrCat(kernel_, ": wanted ", next_, " parameters, got ", values_.size()));
}

Status CheckArrays(std::string_view kernel, std::span<const ArraySpec> in, size_t num_in,
                   std::span<const ArraySpec> out, size_t num_out) {
  if (in.size() != num_in || out.size() != num_out) {
    return InvalidArgument(StrCat(kernel, ": got ", in.size(), " operands and ", out.size(),
                                  " results, wanted ", num_in, " and ", num_out));
  }
  for (const std::span<const ArraySpec> list : {in, out}) {
    for (const ArraySpec& a : list) {
      if (static_cast<int>(a.dtype) >= tensor::kNumDTypes || tensor::ByteWidth(a.dtype) == 0) {
        return Unimplemented(StrCat(kernel, ": an array of elements without bytes"));
      }
      if (a.shape.size() > kMaxRank) {
        return Unimplemented(StrCat(kernel, ": more than ", kMaxRank, " dimensions"));
      }
      // Also where one size is zero no product of others may overflow.
      int64_t bytes = tensor::ByteWidth(a.dtype);
      for (size_t i = 0; i < a.shape.size(); ++i) {
        if (a.shape[i] < 0) return InvalidArgument(StrCat(kernel, ": a negative size"));
        if (__builtin_mul_overflow(bytes, std::max<int64_t>(a.shape[i], 1), &bytes))
          return InvalidArgument(StrCat(kernel, ": an array of more than 2^63 bytes"));
      }
    }
  }
  return OkStatus();
}

Status CheckSame(std::string_view what, const ArraySpec& a, const ArraySpec& b) {
  if (a.dtype == b.dtype && a.shape == b.shape) return OkStatus();
  return InvalidArgument(StrCat(what, ": ", tensor::Name(a.dtype), "[", tensor::DimsText(a.shape),
                                "] and ", tensor::Name(b.dtype), "[", tensor::DimsText(b.shape),
                                "], wanted equal types"));
}

int64_t Elements(const Shape& shape) { return tensor::NumElements(shape).value_or(0); }
int64_t Bytes(const ArraySpec& a) { return Elements(a.shape) * tensor::ByteWidth(a.dtype); }

LineLayout LinesAlong(const Shape& shape, size_t dim) {
  if (Elements(shape) == 0) return {0, 0, 0};
  LineLayout l;
  for (size_t i = 0; i < shape.size(); ++i)
    (i < dim ? l.outer : i > dim ? l.inner : l.length) *= shape[i];
  return l;
}

}  // namespace megalith::kernels
