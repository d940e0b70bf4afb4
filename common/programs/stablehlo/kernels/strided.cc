#include "common/programs/stablehlo/kernels/strided.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

namespace megalith::stablehlo {
namespace {

struct Dim {
  int64_t size, to, from;
};

struct Wide {
  uint64_t words[2];
};

template <typename T>
void CopyRun(char* to, int64_t to_stride, const char* from, int64_t from_stride, int64_t n) {
  constexpr auto kWidth = static_cast<int64_t>(sizeof(T));
  if (to_stride == kWidth && from_stride == kWidth) {
    std::memcpy(to, from, static_cast<size_t>(n) * sizeof(T));
  } else if (to_stride == kWidth && from_stride == 0) {
    T v;
    std::memcpy(&v, from, sizeof(T));
    std::fill_n(reinterpret_cast<T*>(to), n, v);
  } else {
    for (int64_t i = 0; i < n; ++i) {
      std::memcpy(to + i * to_stride, from + i * from_stride, sizeof(T));
    }
  }
}

// The two innermost dimensions, where the source runs along the outer one: tiles that fit the cache
// on both sides.
template <typename T>
void CopyTiles(char* to, const char* from, const Dim& outer, const Dim& inner) {
  constexpr int64_t kTile = 16;
  for (int64_t i0 = 0; i0 < outer.size; i0 += kTile) {
    const int64_t i1 = std::min(i0 + kTile, outer.size);
    for (int64_t j0 = 0; j0 < inner.size; j0 += kTile) {
      const int64_t j1 = std::min(j0 + kTile, inner.size);
      for (int64_t i = i0; i < i1; ++i) {
        char* t = to + i * outer.to;
        const char* f = from + i * outer.from;
        for (int64_t j = j0; j < j1; ++j)
          std::memcpy(t + j * inner.to, f + j * inner.from, sizeof(T));
      }
    }
  }
}

template <typename T>
void CopyDims(char* to, const char* from, const std::vector<Dim>& dims) {
  const size_t rank = dims.size();
  if (rank == 0) {
    std::memcpy(to, from, sizeof(T));
    return;
  }
  const bool tiles = rank >= 2 && std::abs(dims[rank - 1].from) > std::abs(dims[rank - 2].from) &&
                     dims[rank - 2].from != 0 && dims[rank - 1].size > 4 && dims[rank - 2].size > 4;
  const size_t loops = rank - (tiles ? 2 : 1);
  std::vector<int64_t> index(loops, 0);
  while (true) {
    if (tiles) {
      CopyTiles<T>(to, from, dims[rank - 2], dims[rank - 1]);
    } else {
      CopyRun<T>(to, dims[rank - 1].to, from, dims[rank - 1].from, dims[rank - 1].size);
    }
    size_t d = loops;
    while (d > 0) {
      --d;
      to += dims[d].to;
      from += dims[d].from;
      if (++index[d] < dims[d].size) break;
      to -= dims[d].to * dims[d].size;
      from -= dims[d].from * dims[d].size;
      index[d] = 0;
      if (d == 0) return;
    }
    if (loops == 0) return;
  }
}

}  // namespace

Dims ByteStrides(const Shape& shape, int width) {
  Dims strides = tensor::RowMajorStrides(shape);
  for (int64_t& s : strides) s *= width;
  return strides;
}

void StridedCopy(void* to, const Dims& to_strides, const void* from, const Dims& from_strides,
                 const Shape& shape, int width) {
  std::vector<Dim> dims;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] == 0) return;
    if (shape[i] == 1) continue;
    const Dim d{shape[i], to_strides[i], from_strides[i]};
    if (!dims.empty() && dims.back().to == d.to * d.size && dims.back().from == d.from * d.size) {
      dims.back() = {dims.back().size * d.size, d.to, d.from};
    } else {
      dims.push_back(d);
    }
  }
  char* t = static_cast<char*>(to);
  const char* f = static_cast<const char*>(from);
  switch (width) {
    case 1:
      return CopyDims<uint8_t>(t, f, dims);
    case 2:
      return CopyDims<uint16_t>(t, f, dims);
    case 4:
      return CopyDims<uint32_t>(t, f, dims);
    case 8:
      return CopyDims<uint64_t>(t, f, dims);
    default:
      return CopyDims<Wide>(t, f, dims);
  }
}

void Fill(void* to, const void* value, int64_t n, int width) {
  char* t = static_cast<char*>(to);
  const char* v = static_cast<const char*>(value);
  switch (width) {
    case 1:
      return CopyRun<uint8_t>(t, 1, v, 0, n);
    case 2:
      return CopyRun<uint16_t>(t, 2, v, 0, n);
    case 4:
      return CopyRun<uint32_t>(t, 4, v, 0, n);
    case 8:
      return CopyRun<uint64_t>(t, 8, v, 0, n);
    default:
      return CopyRun<Wide>(t, 16, v, 0, n);
  }
}

}  // namespace megalith::stablehlo
