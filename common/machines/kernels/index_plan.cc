#include "common/machines/kernels/index_plan.h"

#include <algorithm>

#include "common/foundation/base/strings.h"
#include "common/machines/kernels/isa.h"
#include "common/machines/kernels/strided.h"

namespace megalith::kernels {
namespace {

bool Contains(const Dims& dims, int64_t d) {
  return std::find(dims.begin(), dims.end(), d) != dims.end();
}

// Appends a dimension of the batch that is inside all before it.
void Append(BatchOffset* offset, int64_t size, int64_t stride) {
  for (BatchOffset::Dim& d : offset->dims) d.divisor *= size;
  if (!offset->dims.empty() && offset->dims.back().divisor == size &&
      offset->dims.back().stride == stride * size) {
    offset->dims.back() = {1, offset->dims.back().size * size, stride};
  } else {
    offset->dims.push_back({1, size, stride});
  }
}

Status CheckDims(std::string_view kernel, const IndexDims& d, const ArraySpec& operand,
                 const ArraySpec& indices, const ArraySpec& array) {
  const auto fail = [&](std::string_view what) {
    return InvalidArgument(StrCat(kernel, ": ", what));
  };
  const auto rank = static_cast<int64_t>(operand.shape.size());
  const auto indices_rank = static_cast<int64_t>(indices.shape.size());
  if (!tensor::IsInteger(indices.dtype) || tensor::BitWidth(indices.dtype) < 8)
    return Unimplemented(StrCat(kernel, ": indices of type ", tensor::Name(indices.dtype)));
  if (operand.dtype != array.dtype) return fail("operand and array differ in type");
  for (const int64_t dim : d.operand_batching) {
    if (Contains(d.collapsed, dim) || Contains(d.index_map, dim))
      return fail("a batching dimension is also something else");
  }
  if (d.operand_batching.size() != d.indices_batching.size())
    return fail("batching dimensions do not pair up");
  for (size_t i = 0; i < d.operand_batching.size(); ++i) {
    const int64_t of_indices = d.indices_batching[i];
    if (of_indices == d.index_vector_dim ||
        operand.shape[static_cast<size_t>(d.operand_batching[i])] !=
            indices.shape[static_cast<size_t>(of_indices)]) {
      return fail("batching dimensions do not fit");
    }
  }
  const int64_t components = d.index_vector_dim < indices_rank
                                 ? indices.shape[static_cast<size_t>(d.index_vector_dim)]
                                 : 1;
  if (components != static_cast<int64_t>(d.index_map.size()))
    return fail("index vectors have another length than the index map");
  const int64_t window_rank = rank - static_cast<int64_t>(d.collapsed.size()) -
                              static_cast<int64_t>(d.operand_batching.size());
  const int64_t batch_rank = indices_rank - (d.index_vector_dim < indices_rank ? 1 : 0);
  if (static_cast<int64_t>(d.offset_dims.size()) != window_rank ||
      static_cast<int64_t>(array.shape.size()) != window_rank + batch_rank ||
      !std::is_sorted(d.offset_dims.begin(), d.offset_dims.end())) {
    return fail("window dimensions do not fit");
  }
  return OkStatus();
}

}  // namespace

Result<IndexPlan> IndexPlan::Create(std::string_view kernel, const IndexDims& d,
                                    const ArraySpec& operand, const ArraySpec& indices,
                                    const ArraySpec& array, Dims window) {
  RETURN_IF_ERROR(CheckDims(kernel, d, operand, indices, array));
  const auto fail = [&](std::string_view what) {
    return InvalidArgument(StrCat(kernel, ": ", what));
  };
  const size_t rank = operand.shape.size();
  const int width = tensor::ByteWidth(operand.dtype);
  if (!window.empty() && window.size() != rank) return fail("slice sizes do not fit");
  IndexPlan p;
  p.index_dtype_ = indices.dtype;
  p.operand_strides_ = ByteStrides(operand.shape, width);
  const Dims strides = ByteStrides(array.shape, width);
  p.array_strides_ = Dims(rank, 0);
  p.window_ = Dims(rank, 1);
  size_t next = 0;
  for (size_t i = 0; i < rank; ++i) {
    const auto dim = static_cast<int64_t>(i);
    const bool dropped = Contains(d.collapsed, dim) || Contains(d.operand_batching, dim);
    if (!dropped) {
      const auto at = static_cast<size_t>(d.offset_dims[next++]);
      p.window_[i] = array.shape[at];
      p.array_strides_[i] = strides[at];
    }
    if (!window.empty() && (window[i] != p.window_[i]))
      return fail("slice sizes differ from those of the result");
    if (p.window_[i] > operand.shape[i]) return fail("a slice is greater than the operand");
  }
  // The batch: dimensions of the indices without the vector, in order those of the array that are
  // no window dimensions.
  size_t array_dim = 0;
  p.count_ = 1;
  for (size_t i = 0; i < indices.shape.size(); ++i) {
    if (static_cast<int64_t>(i) == d.index_vector_dim) continue;
    while (Contains(d.offset_dims, static_cast<int64_t>(array_dim))) ++array_dim;
    const int64_t size = indices.shape[i];
    if (array.shape[array_dim] != size) return fail("the indices do not fit the array");
    p.count_ *= size;
    if (static_cast<int64_t>(i) > d.index_vector_dim) p.inner_ *= size;
    Append(&p.array_offset_, size, strides[array_dim++]);
    int64_t stride = 0;
    for (size_t k = 0; k < d.indices_batching.size(); ++k) {
      if (d.indices_batching[k] == static_cast<int64_t>(i))
        stride = p.operand_strides_[static_cast<size_t>(d.operand_batching[k])];
    }
    Append(&p.batched_, size, stride);
  }
  if (d.operand_batching.empty()) p.batched_.dims.clear();
  for (const int64_t dim : d.index_map) {
    const auto i = static_cast<size_t>(dim);
    p.components_.push_back({operand.shape[i] - p.window_[i], p.operand_strides_[i]});
    p.disjoint_ = p.disjoint_ && (p.window_[i] == 1 || p.window_[i] == operand.shape[i]);
  }
  return p;
}

template <typename T>
void IndexPlan::OffsetsOf(const T* indices, int64_t begin, int64_t n, bool drop,
                          int64_t* offsets) const {
  const auto m = static_cast<int64_t>(components_.size());
  if (m == 1 && inner_ == 1 && batched_.dims.empty()) {
    const auto limit = static_cast<uint64_t>(components_[0].limit);
    const auto stride = static_cast<uint64_t>(components_[0].stride);
    indices += begin;
    OnBestIsa([&]() __attribute__((always_inline)) {
      for (int64_t i = 0; i < n; ++i) {
        // A negative index is a great one here; sign extension keeps it beyond every limit.
        const auto raw = static_cast<uint64_t>(indices[i]);
        const uint64_t low = indices[i] < 0 ? 0 : limit;
        const uint64_t start = raw > limit ? low : raw;
        const uint64_t offset = start * stride;
        offsets[i] = drop && raw > limit ? -1 : static_cast<int64_t>(offset);
      }
    });
    return;
  }
  for (int64_t i = 0; i < n; ++i) {
    const int64_t b = begin + i;
    const T* vector =
        inner_ == 1 ? indices + b * m : indices + b / inner_ * inner_ * m + b % inner_;
    int64_t offset = batched_.dims.empty() ? 0 : batched_.At(b);
    bool fits = true;
    for (int64_t k = 0; k < m; ++k) {
      const Component& c = components_[static_cast<size_t>(k)];
      const T raw = vector[k * inner_];
      const bool low = raw < 0;
      const bool high = !low && static_cast<uint64_t>(raw) > static_cast<uint64_t>(c.limit);
      fits = fits && !low && !high;
      offset += (low ? 0 : high ? c.limit : static_cast<int64_t>(raw)) * c.stride;
    }
    offsets[i] = drop && !fits ? -1 : offset;
  }
}

void IndexPlan::Offsets(const void* indices, int64_t begin, int64_t n, bool drop,
                        int64_t* offsets) const {
  switch (index_dtype_) {
    case DType::kI8:
      return OffsetsOf(static_cast<const int8_t*>(indices), begin, n, drop, offsets);
    case DType::kI16:
      return OffsetsOf(static_cast<const int16_t*>(indices), begin, n, drop, offsets);
    case DType::kI32:
      return OffsetsOf(static_cast<const int32_t*>(indices), begin, n, drop, offsets);
    case DType::kI64:
      return OffsetsOf(static_cast<const int64_t*>(indices), begin, n, drop, offsets);
    case DType::kU8:
      return OffsetsOf(static_cast<const uint8_t*>(indices), begin, n, drop, offsets);
    case DType::kU16:
      return OffsetsOf(static_cast<const uint16_t*>(indices), begin, n, drop, offsets);
    case DType::kU32:
      return OffsetsOf(static_cast<const uint32_t*>(indices), begin, n, drop, offsets);
    default:
      return OffsetsOf(static_cast<const uint64_t*>(indices), begin, n, drop, offsets);
  }
}

}  // namespace megalith::kernels
