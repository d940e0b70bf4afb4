// What the kernels of lapack.h share: their parameters, the memory of one matrix, and ways between
// rows and columns. For lapack*.cc only.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "common/machines/kernels/lapack_library.h"
#include "common/machines/kernels/matrix_batch.h"

namespace megalith::kernels {

inline constexpr int kNotFinite = -4;  // the info code of xGESDD and of JAX's geev

// One prepared kernel.
struct LapackState {
  MatrixBatch a;
  Shape batch;
  std::vector<int64_t> flags;
  std::vector<int64_t> result_of;  // output -> result or -1
  std::vector<ArraySpec> in, out;
  int64_t slots = 1;
  uint64_t slot_bytes = 0;
  int work = 0, rwork = 0, iwork = 0;  // sizes LAPACK asks for
  int m() const { return static_cast<int>(a.rows); }
  int n() const { return static_cast<int>(a.columns); }
  int k() const { return std::min(m(), n()); }
};

// Takes pieces of a block one after the other; without a block it only counts.
class Pieces {
 public:
  explicit Pieces(void* block) : block_(static_cast<char*>(block)) {}
  template <typename U>
  U* Take(int64_t count) {
    void* at = block_ == nullptr ? nullptr : block_ + used_;
    used_ += (static_cast<uint64_t>(std::max<int64_t>(count, 1)) * sizeof(U) + 63) / 64 * 64;
    return static_cast<U*>(at);
  }
  uint64_t used() const { return used_; }

 private:
  char* block_;
  uint64_t used_ = 0;
};

// What every routine is given: the matrix by columns and its work arrays.
template <typename T>
struct LapackRoom {
  using R = typename RealOfT<T>::type;
  LapackRoom(const LapackState& s, Pieces* p)
      : a(p->Take<T>(s.a.rows * s.a.columns)),
        work(p->Take<T>(s.work)),
        rwork(p->Take<R>(s.rwork)),
        iwork(p->Take<int>(s.iwork)) {}
  // For asking how large work arrays must be.
  LapackRoom(T* answer, R* real_answer, int* int_answer)
      : a(nullptr), work(answer), rwork(real_answer), iwork(int_answer) {}
  T* a;
  T* work;
  R* rwork;
  int* iwork;
};

// Where routines write the sizes they ask for.
template <typename T>
struct LapackAnswer {
  using R = typename RealOfT<T>::type;
  T work{};
  R rwork{};
  int iwork = 0;
  LapackRoom<T> room{&work, &rwork, &iwork};
};

// to[j * to_row + i] = from[i * from_row + j].
template <typename T>
void TransposeCopy(int64_t rows, int64_t columns, const T* from, int64_t from_row, T* to,
                   int64_t to_row) {
  constexpr int64_t kTile = 16;
  for (int64_t i0 = 0; i0 < rows; i0 += kTile) {
    for (int64_t j0 = 0; j0 < columns; j0 += kTile) {
      for (int64_t j = j0; j < std::min(columns, j0 + kTile); ++j) {
        for (int64_t i = i0; i < std::min(rows, i0 + kTile); ++i) {
          to[j * to_row + i] = from[i * from_row + j];
        }
      }
    }
  }
}

// The arrays of one matrix of the batch.
class LapackItem {
 public:
  LapackItem(const LapackState& s, const KernelCall& call, int64_t item)
      : s_(s), call_(call), item_(item) {}

  int64_t SizeOf(const ArraySpec& spec) const {
    int64_t size = 1;
    for (size_t d = s_.batch.size(); d < spec.shape.size(); ++d) size *= spec.shape[d];
    return size;
  }
  template <typename U>
  const U* In(size_t i) const {
    return static_cast<const U*>(call_.in[i]) + item_ * SizeOf(s_.in[i]);
  }
  // nullptr if no result takes the output.
  template <typename U>
  U* Out(size_t output) const {
    const int64_t r = s_.result_of[output];
    if (r < 0) return nullptr;
    return static_cast<U*>(call_.out[r]) + item_ * SizeOf(s_.out[static_cast<size_t>(r)]);
  }
  template <typename T>
  void Load(T* a) const {
    TransposeCopy(s_.a.rows, s_.a.columns, In<T>(0), s_.a.columns, a, s_.a.rows);
  }
  // Rows by columns with leading dimension `ld`.
  template <typename T>
  void Store(size_t output, int64_t rows, int64_t columns, const T* by_columns, int64_t ld) const {
    if (T* to = Out<T>(output)) TransposeCopy(columns, rows, by_columns, ld, to, columns);
  }
  template <typename U>
  void StoreVector(size_t output, int64_t count, const U* values) const {
    if (U* to = Out<U>(output)) std::copy_n(values, count, to);
  }
  // Every result zero, or NaN where it is inexact.
  void Fill(bool nan) const {
    for (size_t r = 0; r < s_.out.size(); ++r) {
      const int64_t size = SizeOf(s_.out[r]);
      const auto fill = [&](auto* data, auto value) {
        std::fill_n(data + item_ * size, size, value);
      };
      constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
      void* data = call_.out[r];
      if (!tensor::IsInexact(s_.out[r].dtype)) {
        fill(static_cast<int32_t*>(data), int32_t{0});
      } else {
        VisitMatrixType(s_.out[r].dtype, [&]<typename U>(U*) {
          using V = typename RealOfT<U>::type;
          const V value = nan ? static_cast<V>(kNan) : V{};
          if constexpr (std::is_same_v<U, V>) {
            fill(static_cast<U*>(data), value);
          } else {
            fill(static_cast<U*>(data), U(value, value));
          }
        });
      }
    }
  }
  // Notes the code under `output`; true if it is 0, otherwise the results become NaN.
  bool Good(size_t output, int info) const {
    if (info != 0) Fill(true);
    if (int32_t* to = Out<int32_t>(output)) *to = info;
    return info == 0;
  }

 private:
  const LapackState& s_;
  const KernelCall& call_;
  int64_t item_;
};

inline bool FinitePart(float v) { return std::isfinite(v); }
inline bool FinitePart(double v) { return std::isfinite(v); }
template <typename R>
bool FinitePart(std::complex<R> v) {
  return std::isfinite(v.real()) && std::isfinite(v.imag());
}

template <typename T>
bool IsFinite(const T* values, int64_t count) {
  bool finite = true;
  for (int64_t i = 0; i < count; ++i) finite = finite && FinitePart(values[i]);
  return finite;
}

// Reads parameters and types. `operands` and `outputs` are words, a letter for elements (T, R, C,
// or I for i32) and one per dimension: m, n, k, h = n - 1, r for any size, p and q of singular
// vectors, which follow from the first flag. Errors: those of LibraryKernel::prepare,
// kUnimplemented for what LAPACK does not do.
Result<std::shared_ptr<LapackState>> ReadLapack(
    std::string_view params, std::span<const ArraySpec> in, std::span<const ArraySpec> out,
    std::string_view operands, std::span<const int64_t> flag_limits, std::string_view outputs);

// A kernel that calls Routine::Run for every matrix. Routine::Query sets the sizes of work arrays,
// Routine::More<T> holds further ones.
template <typename Routine>
Result<PreparedKernel> MakeLapackKernel(std::shared_ptr<LapackState> state) {
  return VisitMatrixType(state->a.dtype, [&]<typename T>(T*) -> Result<PreparedKernel> {
    const LapackRoutines<T>* const routines = FindLapack<T>();
    if (routines == nullptr) return Unimplemented("there is no LAPACK");
    Routine::Query(*routines, state.get());
    Pieces pieces(nullptr);
    const LapackRoom<T> room(*state, &pieces);
    typename Routine::template More<T> more(*state, &pieces);
    constexpr uint64_t kMostBytes = uint64_t{64} << 20;
    state->slot_bytes = pieces.used();
    const auto fitting = static_cast<int64_t>(kMostBytes / state->slot_bytes);
    state->slots =
        std::clamp<int64_t>(std::min<int64_t>(fitting, 8), 1, std::max<int64_t>(state->a.batch, 1));
    PreparedKernel kernel;
    kernel.scratch_bytes = state->slot_bytes * static_cast<uint64_t>(state->slots);
    kernel.state = state;
    kernel.run = [](const void* opaque, const KernelCall& call) -> Status {
      const auto& s = *static_cast<const LapackState*>(opaque);
      ForEachMatrix(call, s.a.batch, s.slots, [&](int64_t index, int64_t slot) {
        Pieces own(static_cast<char*>(call.scratch) + static_cast<uint64_t>(slot) * s.slot_bytes);
        const LapackRoom<T> mine(s, &own);
        const typename Routine::template More<T> rest(s, &own);
        const LapackItem item(s, call, index);
        item.Fill(false);
        item.Load(mine.a);
        Routine::Run(*FindLapack<T>(), s, mine, rest, item);
      });
      return call.Poll();
    };
    return kernel;
  });
}

// The size that LAPACK wrote into an element of the work array, rounded up: it may have lost
// digits.
template <typename T>
int WorkSize(T answer) {
  const double size = static_cast<double>(std::real(answer));
  return static_cast<int>(std::ceil(size * (1 + 0x1p-20))) + 1;
}

}  // namespace megalith::kernels
