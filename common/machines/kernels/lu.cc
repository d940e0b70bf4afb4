#include "common/machines/kernels/lu.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <type_traits>
#include <vector>

#include "common/machines/kernels/gemm.h"
#include "common/machines/kernels/isa.h"
#include "common/machines/kernels/matrix_batch.h"
#include "common/machines/kernels/matrix_scalar.h"

namespace megalith::kernels {
namespace {

constexpr int64_t kBlock = 64;
constexpr int64_t kNarrow = 8;     // columns of a panel that are eliminated one by one
constexpr int64_t kSmall = 4096;   // elements of a matrix that is computed in the wide type
constexpr int64_t kColumns = 64;   // of the rest that a thread takes at a time, at least
constexpr int64_t kTile = 16;      // of transposed copies
constexpr int64_t kMaxSlots = 16;  // matrices at work at the same time

// What pivots are chosen by, as an integer that grows with it; NaN is the largest.
template <typename T>
[[gnu::always_inline]] inline auto Magnitude(T x) {
  if constexpr (std::is_same_v<T, float>) {
    return std::bit_cast<int32_t>(x) & INT32_MAX;
  } else if constexpr (std::is_same_v<T, double>) {
    return std::bit_cast<int64_t>(x) & INT64_MAX;
  } else {
    return Magnitude(std::abs(x.real()) + std::abs(x.imag()));
  }
}

// Columns of a matrix, each contiguous: column j begins at data + j * rows.
template <typename T>
struct Panel {
  T* data;
  int64_t rows;
  T* column(int64_t j) const { return data + j * rows; }
};

// Columns [first, last) of the panel, whose rows before `first` are done, one after another. Row
// exchanges reach over these columns only and are noted in `pivots`, counted from 0.
template <typename T>
void FactorNarrow(const Panel<T>& p, int64_t first, int64_t last, int32_t* pivots, int32_t* info) {
  OnBestIsa([=] __attribute__((always_inline)) {
    const int64_t m = p.rows;
    for (int64_t j = first; j < std::min(last, m); ++j) {
      T* column = p.column(j);
      auto largest = Magnitude(column[j]);
      for (int64_t i = j + 1; i < m; ++i) largest = std::max(largest, Magnitude(column[i]));
      int64_t pivot = j;
      while (Magnitude(column[pivot]) != largest) ++pivot;
      pivots[j] = static_cast<int32_t>(pivot);
      if (column[pivot] == T{}) {
        if (*info == 0) *info = static_cast<int32_t>(j + 1);
        continue;
      }
      for (int64_t c = first; c < last; ++c) std::swap(p.column(c)[j], p.column(c)[pivot]);
      const T diagonal = column[j];
      for (int64_t i = j + 1; i < m; ++i) column[i] /= diagonal;
      for (int64_t c = j + 1; c < last; ++c) {
        T* other = p.column(c);
        const T factor = other[j];
        for (int64_t i = j + 1; i < m; ++i) other[i] -= Times(factor, column[i]);
      }
    }
  });
}

// Exchanges rows as pivots [first, last) say, in columns [from, to).
template <typename T>
void ExchangeRows(const Panel<T>& p, const int32_t* pivots, int64_t first, int64_t last,
                  int64_t from, int64_t to) {
  for (int64_t c = from; c < to; ++c) {
    T* column = p.column(c);
    for (int64_t j = first; j < last; ++j) std::swap(column[j], column[pivots[j]]);
  }
}

// The same by halves: products do most of the work. Columns [first, last).
template <typename T>
void FactorPanel(const Panel<T>& p, int64_t first, int64_t last, int32_t* pivots, int32_t* info) {
  const int64_t end = std::min(last, p.rows);  // of the columns that have a pivot
  if (kComplex<T> || last - first <= kNarrow || end - first <= kNarrow) {
    return FactorNarrow(p, first, last, pivots, info);
  }
  if constexpr (!kComplex<T>) {
    const int64_t middle = first + (end - first + kNarrow) / (2 * kNarrow) * kNarrow;
    FactorPanel(p, first, middle, pivots, info);
    ExchangeRows(p, pivots, first, middle, middle, last);
    for (int64_t c = middle; c < last; ++c) {
      T* column = p.column(c);
      for (int64_t j = first; j < middle; ++j) {
        const T* left = p.column(j);
        const T factor = column[j];
        for (int64_t i = j + 1; i < middle; ++i) column[i] -= factor * left[i];
      }
    }
    SubtractProduct(last - middle, p.rows - middle, middle - first,
                    {p.column(middle) + first, p.rows, 1}, {p.column(first) + middle, p.rows, 1},
                    p.column(middle) + middle, p.rows);
    FactorPanel(p, middle, last, pivots, info);
    ExchangeRows(p, pivots, middle, end, first, middle);
  }
}

// to[j * to_row + i] = from[i * from_row + j], converting.
template <typename From, typename To>
void Transpose(int64_t rows, int64_t columns, const From* from, int64_t from_row, To* to,
               int64_t to_row) {
  for (int64_t i0 = 0; i0 < rows; i0 += kTile) {
    for (int64_t j0 = 0; j0 < columns; j0 += kTile) {
      for (int64_t j = j0; j < std::min(columns, j0 + kTile); ++j) {
        for (int64_t i = i0; i < std::min(rows, i0 + kTile); ++i) {
          to[j * to_row + i] = static_cast<To>(from[i * from_row + j]);
        }
      }
    }
  }
}

// A matrix with rows in memory, and what is found out about it.
template <typename T>
struct Lu {
  int64_t m, n;
  T* a;
  int32_t* pivots;  // counted from 1 in the end
  int32_t info = 0;
};

// The columns right of a panel of `size` columns at `at`: rows exchanged, the panel's rows solved,
// the rest updated.
template <typename T>
void UpdateColumns(const Lu<T>& lu, int64_t at, int64_t size, int64_t begin, int64_t end) {
  const int64_t n = lu.n;
  T* const a = lu.a;
  for (int64_t j = at; j < at + size; ++j) {
    const int64_t other = lu.pivots[j];
    if (other != j) std::swap_ranges(a + j * n + begin, a + j * n + end, a + other * n + begin);
  }
  for (int64_t i0 = at; i0 < at + size; i0 += kNarrow) {
    const int64_t rows = std::min(kNarrow, at + size - i0);
    SubtractProduct(rows, end - begin, i0 - at, {a + i0 * n + at, n, 1}, {a + at * n + begin, n, 1},
                    a + i0 * n + begin, n);
    OnBestIsa([=] __attribute__((always_inline)) {
      for (int64_t i = i0 + 1; i < i0 + rows; ++i) {
        for (int64_t j = i0; j < i; ++j) {
          const T factor = a[i * n + j];
          for (int64_t c = begin; c < end; ++c) a[i * n + c] -= factor * a[j * n + c];
        }
      }
    });
  }
  const int64_t below = at + size;
  SubtractProduct(lu.m - below, end - begin, size, {a + below * n + at, n, 1},
                  {a + at * n + begin, n, 1}, a + below * n + begin, n);
}

template <typename T>
void FactorBlocks(Lu<T>* lu, T* work, const KernelCall& call) {
  const int64_t m = lu->m, n = lu->n;
  const int64_t steps = std::min(m, n);
  for (int64_t at = 0; at < steps && call.Poll().ok(); at += kBlock) {
    const int64_t size = std::min(kBlock, steps - at);
    const Panel<T> panel = {work, m - at};
    T* const corner = lu->a + at * n + at;
    Transpose(m - at, size, corner, n, work, m - at);
    int32_t info = 0;
    FactorPanel(panel, 0, size, lu->pivots + at, &info);
    if (info != 0 && lu->info == 0) lu->info = info + static_cast<int32_t>(at);
    Transpose(size, m - at, work, m - at, corner, n);
    for (int64_t j = at; j < at + size; ++j) {
      const int64_t other = lu->pivots[j] += static_cast<int32_t>(at);
      if (other != j) std::swap_ranges(lu->a + j * n, lu->a + j * n + at, lu->a + other * n);
    }
    const int64_t right = n - at - size;
    call.pool.For((right + kColumns - 1) / kColumns, 1, [&](int64_t begin, int64_t end) {
      UpdateColumns(*lu, at, size, at + size + begin * kColumns,
                    std::min(n, at + size + end * kColumns));
    });
  }
}

template <typename T, typename W>
void FactorWhole(Lu<T>* lu, W* work) {
  Transpose(lu->m, lu->n, lu->a, lu->n, work, lu->m);
  FactorPanel(Panel<W>{work, lu->m}, 0, lu->n, lu->pivots, &lu->info);
  Transpose(lu->n, lu->m, work, lu->m, lu->a, lu->n);
}

struct LuState {
  MatrixBatch matrices;
  int64_t slots = 1;
  uint64_t slot_bytes = 0;
};

bool IsSmall(const MatrixBatch& s) { return s.rows * s.columns <= kSmall; }

Status RunLu(const void* state, const KernelCall& call) {
  const auto& s = *static_cast<const LuState*>(state);
  const int64_t m = s.matrices.rows, n = s.matrices.columns, k = std::min(m, n);
  auto* const pivots = static_cast<int32_t*>(call.out[1]);
  auto* const infos = static_cast<int32_t*>(call.out[2]);
  if (k == 0) {
    std::fill_n(infos, s.matrices.batch, 0);
    return OkStatus();
  }
  VisitMatrixType(s.matrices.dtype, [&]<typename T>(T*) {
    ForEachMatrix(call, s.matrices.batch, s.slots, [&](int64_t b, int64_t slot) {
      const T* in = static_cast<const T*>(call.in[0]) + b * m * n;
      Lu<T> lu = {m, n, static_cast<T*>(call.out[0]) + b * m * n, pivots + b * k};
      if (in != lu.a) std::copy_n(in, m * n, lu.a);
      void* work = static_cast<char*>(call.scratch) + static_cast<uint64_t>(slot) * s.slot_bytes;
      if (IsSmall(s.matrices)) {
        FactorWhole(&lu, static_cast<Wide<T>*>(work));
      } else if constexpr (kComplex<T>) {
        FactorWhole(&lu, static_cast<T*>(work));
      } else {
        FactorBlocks(&lu, static_cast<T*>(work), call);
      }
      for (int64_t j = 0; j < k; ++j) ++lu.pivots[j];
      infos[b] = lu.info;
    });
  });
  return call.Poll();
}

Result<PreparedKernel> PrepareLu(std::string_view params, std::span<const ArraySpec> in,
                                 std::span<const ArraySpec> out) {
  if (!params.empty()) return InvalidArgument("lu has no parameters");
  if (in.size() != 1 || out.size() != 3 || !SameSpec(in[0], out[0])) {
    return InvalidArgument("lu has one operand and three results, the first like it");
  }
  auto state = std::make_shared<LuState>();
  ASSIGN_OR_RETURN(state->matrices, ReadMatrixBatch(in[0]));
  const MatrixBatch& a = state->matrices;
  const Shape batch = BatchDims(in[0].shape);
  Shape pivots = batch;
  pivots.push_back(std::min(a.rows, a.columns));
  if (!SameSpec(out[1], {DType::kI32, pivots}) || !SameSpec(out[2], {DType::kI32, batch})) {
    return InvalidArgument("lu has one pivot per row and one code per matrix");
  }
  if (a.rows > INT32_MAX) return Unimplemented("lu of matrices with 2^31 rows");
  PreparedKernel kernel;
  kernel.in_place = 1;
  const bool real_blocks = !tensor::IsComplex(a.dtype) && !IsSmall(a);
  const auto width = static_cast<uint64_t>(IsSmall(a) && !tensor::IsComplex(a.dtype) ? 8
                                           : IsSmall(a)                              ? 16
                                                        : tensor::ByteWidth(a.dtype));
  const int64_t columns = real_blocks ? std::min(kBlock, a.columns) : a.columns;
  state->slot_bytes = (static_cast<uint64_t>(a.rows * columns) * width + 63) / 64 * 64;
  state->slots = std::clamp<int64_t>(a.batch, 1, kMaxSlots);
  kernel.scratch_bytes = state->slot_bytes * static_cast<uint64_t>(state->slots);
  kernel.state = std::move(state);
  kernel.run = RunLu;
  return kernel;
}

}  // namespace

const LibraryKernel kLuKernel = {"lu", PrepareLu};

}  // namespace megalith::kernels
