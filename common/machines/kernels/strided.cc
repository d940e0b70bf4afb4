// Rows that are contiguous on both sides are copied whole; short ones become wider elements. Where
// the reading side is contiguous along another dimension than the writing side, blocks of one
// cache line by as many are transposed in registers.
#include "common/machines/kernels/strided.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "common/machines/kernels/streaming.h"

namespace megalith::kernels {
namespace {

struct Wide {
  uint64_t words[2];
};

constexpr int64_t kLine = 64;                  // bytes of a cache line
constexpr int64_t kParallelBytes = 512 << 10;  // below, splitting costs more than it gives
constexpr int64_t kPartBytes = 128 << 10;

// Lanes of 16 bytes: what every x86-64 has.
template <typename T>
struct LanesOf {
  typedef T Type __attribute__((vector_size(16)));
};

template <typename V>
[[gnu::always_inline]] inline V InterleaveLow(V a, V b) {
  if constexpr (sizeof(a[0]) == 1) {
    return __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  } else if constexpr (sizeof(a[0]) == 2) {
    return __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
  } else if constexpr (sizeof(a[0]) == 4) {
    return __builtin_shufflevector(a, b, 0, 4, 1, 5);
  } else {
    return __builtin_shufflevector(a, b, 0, 2);
  }
}

template <typename V>
[[gnu::always_inline]] inline V InterleaveHigh(V a, V b) {
  if constexpr (sizeof(a[0]) == 1) {
    return __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15,
                                   31);
  } else if constexpr (sizeof(a[0]) == 2) {
    return __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
  } else if constexpr (sizeof(a[0]) == 4) {
    return __builtin_shufflevector(a, b, 2, 6, 3, 7);
  } else {
    return __builtin_shufflevector(a, b, 1, 3);
  }
}

// A square of 16 bytes by as many rows. Interleaving row i with row i + half, as often as the
// number of rows can be halved, transposes.
template <typename T>
[[gnu::always_inline]] inline void TransposeSquare(char* to, int64_t to_stride, const char* from,
                                                   int64_t from_stride) {
  if constexpr (sizeof(T) == 16) {
    std::memcpy(to, from, 16);
  } else {
    using V = typename LanesOf<T>::Type;
    constexpr int kRows = 16 / sizeof(T);
    V a[kRows], b[kRows];
    for (int i = 0; i < kRows; ++i) std::memcpy(&a[i], from + i * from_stride, 16);
    for (int step = 1; step < kRows; step *= 2) {
      for (int i = 0; i < kRows / 2; ++i) {
        b[2 * i] = InterleaveLow(a[i], a[i + kRows / 2]);
        b[2 * i + 1] = InterleaveHigh(a[i], a[i + kRows / 2]);
      }
      for (int i = 0; i < kRows; ++i) a[i] = b[i];
    }
    for (int i = 0; i < kRows; ++i) std::memcpy(to + i * to_stride, &a[i], 16);
  }
}

// A cache line by as many rows. Goes through a buffer so that lines are written whole: rows a
// power of two apart share few places in the cache. What comes next is fetched ahead: more rows
// than the processor follows by itself.
template <typename T>
void TransposeLines(char* to, int64_t to_stride, const char* from, int64_t from_stride,
                    bool stream) {
  constexpr int64_t kSide = kLine / sizeof(T);
  constexpr int64_t kSquare = 16 / sizeof(T);
  alignas(64) char buffer[kSide * kLine];
  for (int64_t j = 0; j < kSide; j += kSquare) {
    for (int64_t jj = j; jj < j + kSquare; ++jj)
      __builtin_prefetch(from + jj * from_stride + 2 * kLine);
    for (int64_t i = 0; i < kSide; i += kSquare) {
      TransposeSquare<T>(buffer + i * kLine + j * static_cast<int64_t>(sizeof(T)), kLine,
                         from + j * from_stride + i * static_cast<int64_t>(sizeof(T)), from_stride);
    }
  }
  if (stream) {
    for (int64_t i = 0; i < kSide; ++i) StreamLines(to + i * to_stride, buffer + i * kLine, kLine);
  } else {
    for (int64_t i = 0; i < kSide; ++i) std::memcpy(to + i * to_stride, buffer + i * kLine, kLine);
  }
}

template <typename T>
void CopyBlock(char* to, int64_t to_stride, const char* from, int64_t from_stride, int64_t rows,
               int64_t columns) {
  constexpr auto kWidth = static_cast<int64_t>(sizeof(T));
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j)
      std::memcpy(to + i * to_stride + j * kWidth, from + j * from_stride + i * kWidth, sizeof(T));
  }
}

// to[i][j] = from[j][i]: columns are contiguous in `to`, rows in `from`.
template <typename T>
void Transpose(char* to, int64_t to_stride, const char* from, int64_t from_stride, int64_t rows,
               int64_t columns, bool stream) {
  constexpr auto kWidth = static_cast<int64_t>(sizeof(T));
  constexpr int64_t kSide = kLine / kWidth;
  constexpr int64_t kBlock = 512;  // few enough rows for the table of pages
  for (int64_t i0 = 0; i0 < rows; i0 += kBlock) {
    for (int64_t j = 0; j < columns; j += kSide) {
      for (int64_t i = i0; i < std::min(i0 + kBlock, rows); i += kSide) {
        char* t = to + i * to_stride + j * kWidth;
        const char* f = from + j * from_stride + i * kWidth;
        if (i + kSide <= rows && j + kSide <= columns) {
          TransposeLines<T>(t, to_stride, f, from_stride, stream);
        } else {
          CopyBlock<T>(t, to_stride, f, from_stride, std::min(kSide, rows - i),
                       std::min(kSide, columns - j));
        }
      }
    }
  }
}

template <typename T>
void CopyRow(char* to, int64_t to_stride, const char* from, int64_t from_stride, int64_t n) {
  constexpr auto kWidth = static_cast<int64_t>(sizeof(T));
  if (to_stride == kWidth && from_stride == kWidth) {
    std::memcpy(to, from, static_cast<size_t>(n * kWidth));
  } else if (to_stride == kWidth && from_stride == 0) {
    T v;
    std::memcpy(&v, from, sizeof(T));
    for (int64_t i = 0; i < n; ++i) std::memcpy(to + i * kWidth, &v, sizeof(T));
  } else if (to_stride == kWidth && from_stride == -kWidth) {
    for (int64_t i = 0; i < n; ++i) std::memcpy(to + i * kWidth, from - i * kWidth, sizeof(T));
  } else if (to_stride == kWidth) {
    for (int64_t i = 0; i < n; ++i) std::memcpy(to + i * kWidth, from + i * from_stride, sizeof(T));
  } else {
    for (int64_t i = 0; i < n; ++i)
      std::memcpy(to + i * to_stride, from + i * from_stride, sizeof(T));
  }
}

}  // namespace

StridedCopy::StridedCopy(const tensor::Shape& shape, const tensor::Dims& to_strides,
                         const tensor::Dims& from_strides, int width)
    : width_(width), bytes_(width) {
  for (size_t i = 0; i < shape.size(); ++i) {
    bytes_ *= shape[i];
    if (bytes_ == 0) return;
    if (shape[i] == 1) continue;
    const Dim d{shape[i], to_strides[i], from_strides[i]};
    if (!dims_.empty() && dims_.back().to == d.to * d.size &&
        dims_.back().from == d.from * d.size) {
      dims_.back() = {dims_.back().size * d.size, d.to, d.from};
    } else {
      dims_.push_back(d);
    }
  }
  // A short row is one wider element.
  while (!dims_.empty() && dims_.back().to == width_ && dims_.back().from == width_ &&
         width_ * dims_.back().size <= 16 &&
         std::has_single_bit(static_cast<uint64_t>(dims_.back().size))) {
    width_ *= static_cast<int>(dims_.back().size);
    dims_.pop_back();
  }
  transposed_ = dims_.size();
  if (dims_.size() < 2 || dims_.back().to != width_ || dims_.back().from == width_ ||
      dims_.back().size < 4) {
    return;
  }
  for (size_t d = 0; d + 1 < dims_.size(); ++d) {
    if (dims_[d].from == width_ && dims_[d].size >= 4) transposed_ = d;
  }
}

template <typename T>
void StridedCopy::RunAs(char* to, const char* from, const Sizes& sizes) const {
  const size_t rank = dims_.size();
  if (rank == 0) {
    std::memcpy(to, from, sizeof(T));
    return;
  }
  const bool transposes = transposed_ < rank;
  const Dim& last = dims_[rank - 1];
  bool stream = transposes && bytes_ >= kStreamingBytes;
  for (const Dim& d : dims_) {
    if (&d != &last) stream = stream && d.to % kLine == 0;
  }
  // Lines start where the whole copy starts, or whole lines after.
  stream = stream && reinterpret_cast<uintptr_t>(to) % kLine == 0;
  std::array<int64_t, 16> index{};
  while (true) {
    if (transposes) {
      Transpose<T>(to, dims_[transposed_].to, from, last.from, sizes[transposed_], sizes[rank - 1],
                   stream);
    } else {
      CopyRow<T>(to, last.to, from, last.from, sizes[rank - 1]);
    }
    size_t d = rank - 1;
    for (; d > 0; --d) {
      const Dim& dim = dims_[d - 1];
      if (d - 1 == transposed_) continue;
      to += dim.to;
      from += dim.from;
      if (++index[d - 1] < sizes[d - 1]) break;
      to -= dim.to * sizes[d - 1];
      from -= dim.from * sizes[d - 1];
      index[d - 1] = 0;
    }
    if (d == 0) break;
  }
  if (stream) FinishStreaming();
}

void StridedCopy::RunPart(char* to, const char* from, size_t dim, int64_t begin,
                          int64_t end) const {
  Sizes sizes{};
  for (size_t d = 0; d < dims_.size(); ++d) sizes[d] = dims_[d].size;
  if (!dims_.empty()) {
    sizes[dim] = end - begin;
    to += begin * dims_[dim].to;
    from += begin * dims_[dim].from;
  }
  switch (width_) {
    case 1:
      return RunAs<uint8_t>(to, from, sizes);
    case 2:
      return RunAs<uint16_t>(to, from, sizes);
    case 4:
      return RunAs<uint32_t>(to, from, sizes);
    case 8:
      return RunAs<uint64_t>(to, from, sizes);
    default:
      return RunAs<Wide>(to, from, sizes);
  }
}

void StridedCopy::Run(void* to, const void* from) const {
  if (bytes_ == 0) return;
  RunPart(static_cast<char*>(to), static_cast<const char*>(from), 0, 0,
          dims_.empty() ? 1 : dims_[0].size);
}

void StridedCopy::Run(void* to, const void* from, WorkPool& pool) const {
  if (bytes_ < kParallelBytes || dims_.empty()) return Run(to, from);
  // The outermost dimension if it is long enough to share, otherwise the longest.
  size_t dim = 0;
  if (dims_[0].size < 4 * pool.threads()) {
    for (size_t d = 1; d < dims_.size(); ++d) {
      if (dims_[d].size > dims_[dim].size) dim = d;
    }
  }
  const int64_t each = std::max<int64_t>(bytes_ / dims_[dim].size, 1);
  int64_t grain = std::max<int64_t>(kPartBytes / each, 1);
  if (dim == transposed_ || dim + 1 == dims_.size()) grain = (grain + kLine - 1) / kLine * kLine;
  pool.For(dims_[dim].size, grain, [&](int64_t begin, int64_t end) {
    RunPart(static_cast<char*>(to), static_cast<const char*>(from), dim, begin, end);
  });
}

tensor::Dims ByteStrides(const tensor::Shape& shape, int width) {
  tensor::Dims strides = tensor::RowMajorStrides(shape);
  for (int64_t& s : strides) s *= width;
  return strides;
}

void FillElements(void* to, const void* value, int64_t n, int width, WorkPool& pool) {
  const StridedCopy fill(tensor::Shape{n}, tensor::Dims{width}, tensor::Dims{0}, width);
  fill.Run(to, value, pool);
}

}  // namespace megalith::kernels
