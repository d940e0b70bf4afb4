#include "common/learning/serving/batching/batch_merge.h"

#include <algorithm>
#include <cstring>

#include "common/foundation/base/strings.h"

namespace megalith::serving {
namespace {

using tensor::Tensor;

bool SameRowShape(const Shape& a, const Shape& b) {
  if (a.size() != b.size()) return false;
  for (size_t d = 1; d < a.size(); ++d)
    if (a[d] != b[d]) return false;
  return true;
}

// Calls f(from, to, n): n elements beginning at `from` of a tensor of shape `small` go to `to` of
// one of shape `large`, which is nowhere smaller.
template <typename F>
void ForEachRun(const Shape& small, const Shape& large, size_t dim, int64_t from, int64_t to,
                const F& f) {
  int64_t from_stride = 1, to_stride = 1;
  for (size_t d = dim + 1; d < small.size(); ++d) {
    from_stride *= small[d];
    to_stride *= large[d];
  }
  if (dim + 1 == small.size()) return f(from, to, small[dim]);
  for (int64_t i = 0; i < small[dim]; ++i)
    ForEachRun(small, large, dim + 1, from + i * from_stride, to + i * to_stride, f);
}

// `value` with dimensions `shape`; what is new has the first element of the value, or zero.
Result<Value> PaddedTo(const Value& value, const Shape& shape) {
  const auto elements = tensor::NumElements(shape);
  if (!elements) return ResourceExhausted("the batch would have more elements than can be counted");
  if (value.dtype == DataType::kString) {
    std::vector<std::string> out(static_cast<size_t>(*elements),
                                 value.strings.empty() ? "" : value.strings.front());
    ForEachRun(value.string_shape, shape, 0, 0, 0, [&](int64_t from, int64_t to, int64_t n) {
      std::copy_n(value.strings.begin() + from, n, out.begin() + to);
    });
    return Value::OfStrings(shape, std::move(out));
  }
  ASSIGN_OR_RETURN(Tensor out, Tensor::Create(value.tensor.dtype(), shape));
  const auto width = static_cast<size_t>(tensor::ByteWidth(out.dtype()));
  auto* const to = static_cast<char*>(out.mutable_data());
  const std::string_view from = value.tensor.bytes();
  for (int64_t i = 0; !from.empty() && i < out.size(); ++i)
    std::memcpy(to + static_cast<size_t>(i) * width, from.data(), width);
  ForEachRun(value.shape(), shape, 0, 0, 0, [&](int64_t source, int64_t target, int64_t n) {
    if (n > 0) {
      std::memcpy(to + static_cast<size_t>(target) * width,
                  from.data() + static_cast<size_t>(source) * width,
                  static_cast<size_t>(n) * width);
    }
  });
  return Value::Of(std::move(out));
}

// Makes all shapes but the rows equal.
Status PadAll(std::vector<Value>* values) {
  Shape largest = values->front().shape();
  for (const Value& value : *values) {
    if (value.shape().size() != largest.size())
      return FailedPrecondition("Tensors from different tasks have different ranks");
    for (size_t d = 1; d < largest.size(); ++d) largest[d] = std::max(largest[d], value.shape()[d]);
  }
  for (Value& value : *values) {
    if (SameRowShape(value.shape(), largest)) continue;
    Shape shape = largest;
    shape[0] = value.shape()[0];
    ASSIGN_OR_RETURN(value, PaddedTo(value, shape));
  }
  return OkStatus();
}

// Argument `argument` of all parts.
Result<Value> MergeOne(const std::vector<BatchPart>& parts, size_t argument, int64_t fill,
                       bool pad) {
  std::vector<Value> values;
  bool differ = false;
  for (const BatchPart& part : parts) {
    const Value& whole = (*part.arguments)[argument];
    const bool all = part.begin == 0 && part.end == whole.shape()[0];
    ASSIGN_OR_RETURN(Value rows,
                     all ? Result<Value>(whole) : SliceRows(whole, part.begin, part.end));
    differ = differ || !SameRowShape(rows.shape(), (*parts[0].arguments)[argument].shape());
    values.push_back(std::move(rows));
  }
  if (differ && !pad) {
    return FailedPrecondition(
        StrCat("Tensors with name 'argument ", argument,
               "' from different tasks have different shapes and padding is turned off. Set "
               "pad_variable_length_inputs to true, or send tensors of one shape"));
  }
  if (differ) RETURN_IF_ERROR(PadAll(&values));
  if (fill > 0) {
    ASSIGN_OR_RETURN(const Value first, SliceRows(values.back(), 0, 1));
    values.insert(values.end(), static_cast<size_t>(fill), first);
  }
  return ConcatenateRows(values);
}

}  // namespace

Result<std::vector<Value>> MergeArguments(const std::vector<BatchPart>& parts, int64_t rows,
                                          bool pad) {
  int64_t fill = rows;
  for (const BatchPart& part : parts) fill -= part.end - part.begin;
  std::vector<Value> out;
  for (size_t argument = 0; argument < parts.front().arguments->size(); ++argument) {
    ASSIGN_OR_RETURN(Value value, MergeOne(parts, argument, fill, pad));
    out.push_back(std::move(value));
  }
  return out;
}

Result<std::vector<Value>> RowsOfResults(const std::vector<Value>& values, int64_t begin,
                                         int64_t end) {
  std::vector<Value> out;
  for (const Value& value : values) {
    const bool all = begin == 0 && end == value.shape()[0];
    ASSIGN_OR_RETURN(Value rows, all ? Result<Value>(value) : SliceRows(value, begin, end));
    out.push_back(std::move(rows));
  }
  return out;
}

Result<std::vector<Value>> JoinResults(const std::vector<std::vector<Value>>& pieces) {
  std::vector<Value> out;
  for (size_t result = 0; result < pieces.front().size(); ++result) {
    std::vector<Value> values;
    for (const std::vector<Value>& piece : pieces) values.push_back(piece[result]);
    ASSIGN_OR_RETURN(Value joined, ConcatenateRows(values));
    out.push_back(std::move(joined));
  }
  return out;
}

}  // namespace megalith::serving
