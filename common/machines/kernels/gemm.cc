#include "common/machines/kernels/gemm.h"

#include <algorithm>
#include <atomic>
#include <type_traits>
#include <utility>

#include "common/foundation/base/strings.h"
#include "common/machines/kernels/element_convert.h"
#include "common/machines/kernels/gemm_blocks.h"

namespace megalith::kernels {
namespace {

constexpr int64_t kDepth = 192;          // of packed panels
constexpr int64_t kPanelRowBytes = 768;  // of packed rows of lhs, over kDepth: 144 KiB
constexpr int64_t kTileRows = 32;        // of a tile of sums that are converted at the end
constexpr int64_t kTileCols = 128;
constexpr int64_t kFewRows = 64;   // below, packing rhs anew for every tile of rows costs too much
constexpr int64_t kMaxCols = 128;  // bytes of a row of a register tile, on any machine
constexpr int64_t kDotsBelowRows = 4;     // few rows: rhs is not worth transposing
constexpr uint64_t kStride = 512 * 1024;  // rhs spread wider than this is packed
constexpr double kGrainFlops = 2e6;       // some 20 us of one core
constexpr int64_t kEpilogueElements = 16384;

int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }
int64_t RoundUp(int64_t a, int64_t b) { return CeilDiv(a, b) * b; }

// One real matrix: a whole operand, or the real or imaginary parts of one.
template <typename T>
struct Matrix {
  const char* data = nullptr;
  int64_t element_bytes = 0;
  int64_t row = 0, col = 0;
  ReadRun<T> read = nullptr;  // nullptr: elements are T
  bool negate = false;

  const char* at(int64_t r, int64_t c) const { return data + (r * row + c * col) * element_bytes; }
  const T* native(int64_t r, int64_t c) const {
    return reinterpret_cast<const T*>(data) + r * row + c * col;
  }
  Matrix Transposed() const {
    Matrix t = *this;
    std::swap(t.row, t.col);
    return t;
  }
};

// The sum of lhs * rhs over up to two pairs (complex products).
template <typename T>
struct Terms {
  Matrix<T> lhs[2], rhs[2];
  int count = 1;
};

template <typename T>
struct Plan {
  const GemmProblem& p;
  const GemmKernels<T>& kernels;
  const void* lhs;
  const void* rhs;
  void* out;
  const KernelCall& call;
  int64_t epilogue_row;
  WriteRun<T> write = nullptr;  // nullptr: sums go straight to the result
  bool complex = false;
  int64_t products = p.batch * p.inner;
  std::atomic<bool> stopped{false};

  Matrix<T> Part(const GemmOperand& o, const void* data, int64_t batch, int part) const {
    Matrix<T> m;
    const bool pair = tensor::IsComplex(o.dtype);
    const DType type = tensor::RealPart(o.dtype);
    const int64_t step = pair ? 2 : 1;
    m.element_bytes = tensor::ByteWidth(type);
    m.row = o.row_stride * step;
    m.col = o.col_stride * step;
    m.data =
        static_cast<const char*>(data) +
        (((batch / p.inner) * o.batch_stride + (batch % p.inner) * o.inner_stride) * step + part) *
            m.element_bytes;
    m.read = IsStoredAs<T>(type) ? nullptr : ReaderOf<T>(type);
    return m;
  }

  // The products that make up the real (0) or imaginary (1) part of the result.
  Terms<T> TermsOf(int64_t batch, int part) const {
    Terms<T> t;
    if (!complex) {
      t.lhs[0] = Part(p.lhs, lhs, batch, 0);
      t.rhs[0] = Part(p.rhs, rhs, batch, 0);
      return t;
    }
    t.count = 2;
    t.lhs[0] = Part(p.lhs, lhs, batch, 0);
    t.rhs[0] = Part(p.rhs, rhs, batch, part);
    t.lhs[1] = Part(p.lhs, lhs, batch, 1);
    t.rhs[1] = Part(p.rhs, rhs, batch, 1 - part);
    t.lhs[1].negate = part == 0;
    return t;
  }

  // True if the caller gave up; asked between pieces of some milliseconds.
  bool Stopped() {
    if (stopped.load(std::memory_order_relaxed)) return true;
    if (call.Poll().ok()) return false;
    stopped.store(true, std::memory_order_relaxed);
    return true;
  }

  void Finish(int64_t row_begin, int64_t row_end) const {
    if (call.epilogue == nullptr) return;
    const int64_t per_row = p.n / epilogue_row;
    call.epilogue->run(call.epilogue->arg, row_begin * per_row, row_end * per_row);
  }
};

// Packs `count` rows of `m`, starting at (r0, c0), k elements of each, into a panel of `width`
// interleaved rows, the missing ones zero.
template <typename T>
void PackPanel(const GemmKernels<T>& kernels, const Matrix<T>& m, int64_t r0, int64_t c0,
               int64_t count, int64_t width, int64_t k, T* to) {
  if (m.row == 1 && m.read == nullptr) {
    kernels.copy(m.native(r0, c0), m.col, count, width, k, to);
  } else if (m.row == 1) {
    for (int64_t p = 0; p < k; ++p) {
      T* row = to + p * width;
      m.read(m.at(r0, c0 + p), 1, count, row);
      std::fill(row + count, row + width, T{});
    }
  } else if (m.read == nullptr && m.col == 1) {
    kernels.transpose(m.native(r0, c0), m.row, count, width, k, to);
  } else {
    T run[kDepth];
    for (int64_t i = 0; i < width; ++i) {
      if (i >= count) {
        std::fill_n(run, k, T{});
      } else if (m.read != nullptr) {
        m.read(m.at(r0 + i, c0), m.col, k, run);
      } else {
        const T* from = m.native(r0 + i, c0);
        for (int64_t p = 0; p < k; ++p) run[p] = from[p * m.col];
      }
      for (int64_t p = 0; p < k; ++p) to[p * width + i] = run[p];
    }
  }
  if (m.negate) {
    for (int64_t p = 0; p < k * width; ++p) to[p] = T{} - to[p];
  }
}

// What a thread packs into, on its stack: 184 KiB, whatever the product.
template <typename T>
struct alignas(64) Workspace {
  static constexpr int64_t kRows = kPanelRowBytes / sizeof(T);
  T lhs[kRows * kDepth];
  T rhs[kMaxCols / sizeof(T) * kDepth];
  T sums[kTileRows * kTileCols];
};

// Rows i0.. of lhs, columns p0.. of it, as panels or where they lie.
template <typename T>
void UseLhs(const GemmKernels<T>& kernels, const Matrix<T>& lhs, int64_t i0, int64_t p0, bool pack,
            Workspace<T>& w, GemmBlock<T>* g) {
  const int64_t rows = kernels.rows;
  if (!pack) {
    g->a = lhs.native(i0, p0);
    g->a_group = rows * lhs.row;
    g->a_row = lhs.row;
    g->a_col = lhs.col;
    return;
  }
  for (int64_t i = 0; i < g->m; i += rows) {
    PackPanel(kernels, lhs, i0 + i, p0, std::min(rows, g->m - i), rows, g->k, w.lhs + i * g->k);
  }
  g->a = w.lhs;
  g->a_group = rows * g->k;
  g->a_row = 1;
  g->a_col = rows;
}

// Runs block `g`; between its rows the next panel of rhs is fetched: rows p0.., columns [j0, j0 +
// n). Its rows lie too far apart for what processors fetch by themselves.
template <typename T>
void BlockAndFetch(const GemmKernels<T>& kernels, GemmBlock<T> g, const Matrix<T>& rhs, int64_t p0,
                   int64_t j0, int64_t n) {
  if (n == 0 || g.m <= kernels.rows || rhs.col != 1) return kernels.block(g);
  const int64_t m = g.m;
  const int64_t fetch = CeilDiv(g.k, CeilDiv(m, kernels.rows));
  for (int64_t i = 0, p = 0; i < m; i += kernels.rows) {
    for (const int64_t end = std::min(g.k, p + fetch); p < end; ++p) {
      const char* line = rhs.at(p0 + p, j0);
      for (int64_t b = 0; b < n * rhs.element_bytes; b += 64) __builtin_prefetch(line + b, 0, 2);
    }
    g.m = std::min(kernels.rows, m - i);
    kernels.block(g);
    g.a += g.a_group;
    g.c += kernels.rows * g.c_row;
  }
}

// Rows [i0, i0 + m) by columns [j0, j0 + n) of the sum of `terms`, into c.
template <typename T>
void MultiplyTile(const GemmKernels<T>& kernels, const Terms<T>& terms, int64_t depth, int64_t i0,
                  int64_t m, int64_t j0, int64_t n, Workspace<T>& w, T* c, int64_t c_row,
                  bool add = false) {
  const int64_t cols = kernels.cols;
  GemmBlock<T> g = {.m = m, .c_row = c_row, .add = add};
  for (int t = 0; t < terms.count; ++t) {
    const Matrix<T>& lhs = terms.lhs[t];
    const Matrix<T>& rhs = terms.rhs[t];
    const bool native_lhs = lhs.read == nullptr && !lhs.negate;
    if (m < kDotsBelowRows && native_lhs && rhs.read == nullptr && lhs.col == 1 && rhs.row == 1) {
      g.k = depth;
      g.n = n;
      g.a = lhs.native(i0, 0);
      g.a_row = lhs.row;
      g.b = rhs.native(0, j0);
      g.b_group = rhs.col;
      g.c = c;
      kernels.dots(g);
      g.add = true;
      continue;
    }
    // Packing pays once the packed rows meet a second column panel, and the rhs rows enough tiles.
    const bool pack_lhs = !native_lhs || (n >= 4 * cols && m >= kernels.rows);
    const bool pack_rhs = rhs.read != nullptr || rhs.col != 1 ||
                          (m >= 4 * kernels.rows && rhs.row * kDepth * sizeof(T) > kStride);
    for (int64_t p0 = 0; p0 < depth; p0 += kDepth) {
      g.k = std::min(kDepth, depth - p0);
      UseLhs(kernels, lhs, i0, p0, pack_lhs, w, &g);
      if (!pack_rhs) {
        g.n = n;
        g.b = rhs.native(p0, j0);
        g.b_row = rhs.row;
        g.b_group = cols;
        g.c = c;
        kernels.block(g);
      } else {
        const Matrix<T> columns = rhs.Transposed();
        for (int64_t j = 0; j < n; j += cols) {
          g.n = std::min(cols, n - j);
          PackPanel(kernels, columns, j0 + j, p0, g.n, cols, g.k, w.rhs);
          g.b = w.rhs;
          g.b_row = cols;
          g.b_group = cols;
          g.c = c + j;
          const int64_t next = std::min(j + cols, n);
          BlockAndFetch(kernels, g, rhs, p0, j0 + next, std::min(cols, n - next));
        }
      }
      g.add = true;
    }
  }
  if (g.add) return;
  for (int64_t i = 0; i < m; ++i) std::fill_n(c + i * c_row, n, T{});
}

// The same for a result that is not made of T: the sums are kept aside and converted.
template <typename T>
void MultiplyAndConvert(const Plan<T>& plan, int64_t batch, int64_t i0, int64_t m, int64_t j0,
                        int64_t n, Workspace<T>& w) {
  const int64_t width = tensor::ByteWidth(plan.p.out);
  for (int part = 0; part < (plan.complex ? 2 : 1); ++part) {
    MultiplyTile(plan.kernels, plan.TermsOf(batch, part), plan.p.k, i0, m, j0, n, w, w.sums,
                 kTileCols);
    for (int64_t i = 0; i < m; ++i) {
      const T* from = w.sums + i * kTileCols;
      char* to =
          static_cast<char*>(plan.out) + ((batch * plan.p.m + i0 + i) * plan.p.n + j0) * width;
      if (!plan.complex) {
        plan.write(from, n, to);
      } else if (plan.write == nullptr) {
        T* pairs = reinterpret_cast<T*>(to) + part;
        for (int64_t j = 0; j < n; ++j) pairs[2 * j] = from[j];
      } else {  // f64 sums of a c64 result
        float* pairs = reinterpret_cast<float*>(to) + part;
        for (int64_t j = 0; j < n; ++j) pairs[2 * j] = static_cast<float>(from[j]);
      }
    }
  }
}

// How the result is cut: tiles of at most rows x cols.
struct Tiling {
  int64_t rows, cols, row_tiles, col_tiles, grain;
};

template <typename T>
Tiling ChooseTiles(const Plan<T>& plan) {
  const GemmProblem& p = plan.p;
  Tiling t;
  const bool converts = plan.write != nullptr || plan.complex;
  const double flops = 2.0 * static_cast<double>(p.m) * static_cast<double>(p.n) *
                       static_cast<double>(std::max<int64_t>(p.k, 1));
  const int64_t threads = plan.call.pool.threads();
  const bool split = flops * static_cast<double>(plan.products) > kGrainFlops && threads > 1;
  int64_t max_rows = converts ? kTileRows : Workspace<T>::kRows;
  if (split) {
    const int64_t share = CeilDiv(plan.products * p.m, 2 * threads);
    max_rows = std::min(max_rows, std::max(kFewRows, share));
  }
  max_rows = max_rows / plan.kernels.rows * plan.kernels.rows;
  t.rows = RoundUp(CeilDiv(p.m, CeilDiv(p.m, max_rows)), plan.kernels.rows);
  t.row_tiles = CeilDiv(p.m, t.rows);
  int64_t col_tiles = 1;
  const int64_t tiles = plan.products * t.row_tiles;
  if (split && tiles < 2 * threads && tiles % threads != 0) {
    col_tiles = CeilDiv(3 * threads, tiles);
  }
  const int64_t unit = (p.m == 1 ? 4 : 1) * plan.kernels.cols;
  t.cols = std::min(RoundUp(CeilDiv(p.n, col_tiles), unit), converts ? kTileCols : p.n);
  t.col_tiles = CeilDiv(p.n, t.cols);
  const double tile = flops / static_cast<double>(t.row_tiles * t.col_tiles);
  t.grain = static_cast<int64_t>(std::max(1.0, kGrainFlops / tile));
  return t;
}

template <typename T>
void RunTiles(Plan<T>& plan) {
  const GemmProblem& p = plan.p;
  const Tiling t = ChooseTiles(plan);
  const bool converts = plan.write != nullptr || plan.complex;
  plan.call.pool.For(
      plan.products * t.row_tiles * t.col_tiles, t.grain, [&](int64_t begin, int64_t end) {
        Workspace<T> w;
        for (int64_t item = begin; item < end; ++item) {
          if ((item == begin || t.grain == 1) && plan.Stopped()) return;
          const int64_t row_tile = item / t.col_tiles;
          const int64_t batch = row_tile / t.row_tiles;
          const int64_t i0 = row_tile % t.row_tiles * t.rows;
          const int64_t j0 = item % t.col_tiles * t.cols;
          const int64_t m = std::min(t.rows, p.m - i0);
          const int64_t n = std::min(t.cols, p.n - j0);
          if (converts) {
            MultiplyAndConvert(plan, batch, i0, m, j0, n, w);
          } else {
            T* c = static_cast<T*>(plan.out) + (batch * p.m + i0) * p.n + j0;
            MultiplyTile(plan.kernels, plan.TermsOf(batch, 0), p.k, i0, m, j0, n, w, c, p.n);
          }
          if (t.col_tiles == 1) plan.Finish(batch * p.m + i0, batch * p.m + i0 + m);
        }
      });
  if (t.col_tiles == 1 || plan.call.epilogue == nullptr) return;
  plan.call.pool.For(plan.products * p.m, CeilDiv(kEpilogueElements, p.n),
                     [&](int64_t begin, int64_t end) { plan.Finish(begin, end); });
}

template <typename T>
Status Run(const GemmProblem& p, const void* lhs, const void* rhs, void* out, int64_t epilogue_row,
           const KernelCall& call) {
  Plan<T> plan = {.p = p,
                  .kernels = GemmKernelsFor<T>(p.isa),
                  .lhs = lhs,
                  .rhs = rhs,
                  .out = out,
                  .call = call,
                  .epilogue_row = epilogue_row};
  plan.complex = tensor::IsComplex(p.out);
  const DType part = tensor::RealPart(p.out);
  plan.write = IsStoredAs<T>(part) ? nullptr : WriterOf<T>(part);
  RunTiles(plan);
  if (!plan.stopped) return OkStatus();
  RETURN_IF_ERROR(call.Poll());
  return Cancelled("the caller cancelled the request");
}

template <typename T>
void Subtract(int64_t m, int64_t n, int64_t k, StridedMatrix<T> a, StridedMatrix<T> b, T* c,
              int64_t c_row) {
  const GemmKernels<T>& kernels = GemmKernelsFor<T>(MachineIsa());
  const auto matrix = [](const StridedMatrix<T>& s) {
    Matrix<T> out;
    out.data = reinterpret_cast<const char*>(s.data);
    out.element_bytes = sizeof(T);
    out.row = s.row;
    out.col = s.col;
    return out;
  };
  if (n == 1 && a.col == 1 && b.row == 1) {  // a matrix times a vector, where both lie
    T sums[kDepth];
    for (int64_t i = 0; i < m; i += kDepth) {
      const int64_t rows = std::min(kDepth, m - i);
      kernels.dots({.m = 1,
                    .n = rows,
                    .k = k,
                    .a = b.data,
                    .b = a.data + i * a.row,
                    .b_group = a.row,
                    .c = sums});
      for (int64_t r = 0; r < rows; ++r) c[(i + r) * c_row] -= sums[r];
    }
    return;
  }
  Terms<T> terms;
  terms.lhs[0] = matrix(a);
  terms.rhs[0] = matrix(b);
  terms.lhs[0].negate = true;
  Workspace<T> w;
  const int64_t rows = Workspace<T>::kRows / kernels.rows * kernels.rows;
  for (int64_t i = 0; i < m; i += rows) {
    MultiplyTile(kernels, terms, k, i, std::min(rows, m - i), 0, n, w, c + i * c_row, c_row, true);
  }
}

}  // namespace

void SubtractProduct(int64_t m, int64_t n, int64_t k, StridedMatrix<float> a,
                     StridedMatrix<float> b, float* c, int64_t c_row) {
  Subtract(m, n, k, a, b, c, c_row);
}
void SubtractProduct(int64_t m, int64_t n, int64_t k, StridedMatrix<double> a,
                     StridedMatrix<double> b, double* c, int64_t c_row) {
  Subtract(m, n, k, a, b, c, c_row);
}

Status CheckGemm(const GemmProblem& p) {
  return CheckProductTypes(p.lhs.dtype, p.rhs.dtype, p.out);
}

Status RunGemm(const GemmProblem& p, const void* lhs, const void* rhs, void* out,
               int64_t epilogue_row, const KernelCall& call) {
  if (p.batch == 0 || p.inner == 0 || p.m == 0 || p.n == 0) return OkStatus();
  return VisitProductType(ProductType(p.lhs.dtype, p.rhs.dtype, p.out), [&]<typename T>(T*) {
    return Run<T>(p, lhs, rhs, out, epilogue_row, call);
  });
}

}  // namespace megalith::kernels
