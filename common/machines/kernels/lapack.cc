#include "common/machines/kernels/lapack.h"

#include <array>

#include "common/machines/kernels/lapack_call.h"

namespace megalith::kernels {
namespace {

template <typename T>
constexpr bool kReal = std::is_floating_point_v<T>;
template <typename T>
using ComplexOf = std::complex<typename RealOfT<T>::type>;

constexpr int kAsk = -1;  // for a size of work arrays

// Nothing beyond LapackRoom.
template <typename T>
struct NoMore {
  NoMore(const LapackState&, Pieces*) {}
};

struct Geqrf {
  static constexpr std::string_view kOperands = "Tmn", kOutputs = "Tmn Tk";
  static constexpr std::array<int64_t, 0> kFlags = {};
  template <typename T>
  struct More {
    More(const LapackState& s, Pieces* p) : tau(p->Take<T>(s.k())) {}
    T* tau;
  };
  template <typename T>
  static void Query(const LapackRoutines<T>& f, LapackState* s) {
    const int m = s->m(), n = s->n();
    int info = 0;
    T work{};
    f.geqrf(&m, &n, nullptr, &m, nullptr, &work, &kAsk, &info);
    s->work = WorkSize(work);
  }
  template <typename T>
  static void Run(const LapackRoutines<T>& f, const LapackState& s, const LapackRoom<T>& r,
                  const More<T>& more, const LapackItem& item) {
    const int m = s.m(), n = s.n();
    int info = 0;
    f.geqrf(&m, &n, r.a, &m, more.tau, r.work, &s.work, &info);
    item.Store(0, m, n, r.a, m);
    item.StoreVector(1, s.k(), more.tau);
  }
};

struct Orgqr {
  static constexpr std::string_view kOperands = "Tmn Tr", kOutputs = "Tmn";
  static constexpr std::array<int64_t, 0> kFlags = {};
  template <typename T>
  using More = NoMore<T>;
  static int Count(const LapackState& s) { return static_cast<int>(s.in[1].shape.back()); }
  static Status Check(const LapackState& s) {
    if (Count(s) <= s.n() && s.n() <= s.m()) return OkStatus();
    return InvalidArgument(
        "orgqr wants at most as many reflectors as columns, and no more than "
        "rows of these");
  }
  template <typename T>
  static void Query(const LapackRoutines<T>& f, LapackState* s) {
    const int m = s->m(), n = s->n(), k = Count(*s);
    int info = 0;
    T work{};
    f.orgqr(&m, &n, &k, nullptr, &m, nullptr, &work, &kAsk, &info);
    s->work = WorkSize(work);
  }
  template <typename T>
  static void Run(const LapackRoutines<T>& f, const LapackState& s, const LapackRoom<T>& r,
                  const More<T>&, const LapackItem& item) {
    const int m = s.m(), n = s.n(), k = Count(s);
    int info = 0;
    f.orgqr(&m, &n, &k, r.a, &m, item.In<T>(1), r.work, &s.work, &info);
    item.Store(0, m, n, r.a, m);
  }
};

struct Geqp3 {
  static constexpr std::string_view kOperands = "Tmn In", kOutputs = "Tmn In Tk";
  static constexpr std::array<int64_t, 0> kFlags = {};
  template <typename T>
  struct More {
    More(const LapackState& s, Pieces* p) : tau(p->Take<T>(s.k())), pivots(p->Take<int>(s.n())) {}
    T* tau;
    int* pivots;
  };
  template <typename T>
  static void Call(const LapackRoutines<T>& f, const LapackState& s, T* a, int* pivots, T* tau,
                   T* work, int lwork, typename RealOfT<T>::type* rwork) {
    const int m = s.m(), n = s.n();
    int info = 0;
    if constexpr (kReal<T>) {
      f.geqp3(&m, &n, a, &m, pivots, tau, work, &lwork, &info);
    } else {
      f.geqp3_c(&m, &n, a, &m, pivots, tau, work, &lwork, rwork, &info);
    }
  }
  template <typename T>
  static void Query(const LapackRoutines<T>& f, LapackState* s) {
    LapackAnswer<T> answer;
    Call<T>(f, *s, nullptr, nullptr, nullptr, &answer.work, kAsk, &answer.rwork);
    s->work = WorkSize(answer.work);
    s->rwork = kReal<T> ? 0 : 2 * s->n();
  }
  template <typename T>
  static void Run(const LapackRoutines<T>& f, const LapackState& s, const LapackRoom<T>& r,
                  const More<T>& more, const LapackItem& item) {
    std::copy_n(item.In<int>(1), s.n(), more.pivots);
    Call<T>(f, s, r.a, more.pivots, more.tau, r.work, s.work, r.rwork);
    item.Store(0, s.m(), s.n(), r.a, s.m());
    item.StoreVector(1, s.n(), more.pivots);
    item.StoreVector(2, s.k(), more.tau);
  }
};

Status WantSquare(const LapackState& s) {
  if (s.m() == s.n()) return OkStatus();
  return InvalidArgument(StrCat("wanted square matrices, got ", s.m(), " by ", s.n()));
}

struct Gehrd {
  static constexpr std::string_view kOperands = "Tmn", kOutputs = "Tmn Th I";
  static constexpr std::array<int64_t, 0> kFlags = {};
  static Status Check(const LapackState& s) { return WantSquare(s); }
  template <typename T>
  struct More {
    More(const LapackState& s, Pieces* p) : tau(p->Take<T>(s.n())) {}
    T* tau;
  };
  template <typename T>
  static void Query(const LapackRoutines<T>& f, LapackState* s) {
    const int n = s->n(), low = 1;
    int info = 0;
    T work{};
    f.gehrd(&n, &low, &n, nullptr, &n, nullptr, &work, &kAsk, &info);
    s->work = WorkSize(work);
  }
  template <typename T>
  static void Run(const LapackRoutines<T>& f, const LapackState& s, const LapackRoom<T>& r,
                  const More<T>& more, const LapackItem& item) {
    const int n = s.n(), low = 1;
    int info = 0;
    f.gehrd(&n, &low, &n, r.a, &n, more.tau, r.work, &s.work, &info);
    if (!item.Good(2, info)) return;
    item.Store(0, n, n, r.a, n);
    item.StoreVector(1, n - 1, more.tau);
  }
};

struct Sytrd {
  static constexpr std::string_view kOperands = "Tmn", kOutputs = "Tmn Rn Rh Th I";
  static constexpr std::array<int64_t, 1> kFlags = {1};
  static Status Check(const LapackState& s) { return WantSquare(s); }
  template <typename T>
  struct More {
    using R = typename RealOfT<T>::type;
    More(const LapackState& s, Pieces* p)
        : d(p->Take<R>(s.n())), e(p->Take<R>(s.n())), tau(p->Take<T>(s.n())) {}
    R* d;
    R* e;
    T* tau;
  };
  template <typename T>
  static void Query(const LapackRoutines<T>& f, LapackState* s) {
    const int n = s->n();
    int info = 0;
    T work{};
    f.sytrd("L", &n, nullptr, &n, nullptr, nullptr, nullptr, &work, &kAsk, &info, 1);
    s->work = WorkSize(work);
  }
  template <typename T>
  static void Run(const LapackRoutines<T>& f, const LapackState& s, const LapackRoom<T>& r,
                  const More<T>& more, const LapackItem& item) {
    const int n = s.n();
    int info = 0;
    f.sytrd(s.flags[0] != 0 ? "L" : "U", &n, r.a, &n, more.d, more.e, more.tau, r.work, &s.work,
            &info, 1);
    if (!item.Good(4, info)) return;
    item.Store(0, n, n, r.a, n);
    item.StoreVector(1, n, more.d);
    item.StoreVector(2, n - 1, more.e);
    item.StoreVector(3, n - 1, more.tau);
  }
};

struct Syevd {
  static constexpr std::string_view kOperands = "Tmn", kOutputs = "Tmn Rn I";
  static constexpr std::array<int64_t, 1> kFlags = {1};
  static Status Check(const LapackState& s) { return WantSquare(s); }
  template <typename T>
  struct More {
    using R = typename RealOfT<T>::type;
    More(const LapackState& s, Pieces* p) : values(p->Take<R>(s.n())) {}
    R* values;
  };
  template <typename T>
  static int Call(const LapackRoutines<T>& f, bool lower, int n, const LapackRoom<T>& r,
                  typename RealOfT<T>::type* values, int work, int rwork, int iwork) {
    const char* uplo = lower ? "L" : "U";
    int info = 0;
    if constexpr (kReal<T>) {
      f.syevd("V", uplo, &n, r.a, &n, values, r.work, &work, r.iwork, &iwork, &info, 1, 1);
    } else {
      f.syevd_c("V", uplo, &n, r.a, &n, values, r.work, &work, r.rwork, &rwork, r.iwork, &iwork,
                &info, 1, 1);
    }
    return info;
  }
  template <typename T>
  static void Query(const LapackRoutines<T>& f, LapackState* s) {
    LapackAnswer<T> answer;
    Call<T>(f, true, s->n(), answer.room, nullptr, kAsk, kAsk, kAsk);
    s->work = WorkSize(answer.work);
    s->rwork = kReal<T> ? 0 : WorkSize(answer.rwork);
    s->iwork = answer.iwork;
  }
  template <typename T>
  static void Run(const LapackRoutines<T>& f, const LapackState& s, const LapackRoom<T>& r,
                  const More<T>& more, const LapackItem& item) {
    const int n = s.n();
    const bool lower = s.flags[0] != 0;
    bool finite = true;
    for (int j = 0; j < n; ++j) {
      const int64_t at = static_cast<int64_t>(j) * n;
      finite = finite && (lower ? IsFinite(r.a + at + j, n - j) : IsFinite(r.a + at, j + 1));
    }
    const int info =
        finite ? Call<T>(f, lower, n, r, more.values, s.work, s.rwork, s.iwork) : kNotFinite;
    if (!item.Good(2, info)) return;
    item.Store(0, n, n, r.a, n);
    item.StoreVector(1, n, more.values);
  }
};

// xGESDD and xGESVD have the same results.
template <bool divide>
struct Svd {
  static constexpr std::string_view kOperands = "Tmn", kOutputs = "Rk Tmp Tqn I";
  static constexpr std::array<int64_t, 1> kFlags = {2};
  static const char* Job(const LapackState& s) {
    return s.flags[0] == 0 ? "N" : s.flags[0] == 1 ? "S" : "A";
  }
  static int64_t Columns(const LapackState& s) { return s.flags[0] == 2 ? s.m() : s.k(); }
  static int64_t Rows(const LapackState& s) { return s.flags[0] == 2 ? s.n() : s.k(); }
  template <typename T>
  struct More {
    using R = typename RealOfT<T>::type;
    More(const LapackState& s, Pieces* p)
        : values(p->Take<R>(s.k())),
          u(p->Take<T>(s.flags[0] == 0 ? 0 : s.m() * Columns(s))),
          vt(p->Take<T>(s.flags[0] == 0 ? 0 : s.n() * Rows(s))) {}
    R* values;
    T* u;
    T* vt;
  };
  template <typename T>
  static int Call(const LapackRoutines<T>& f, const LapackState& s, const LapackRoom<T>& r,
                  const More<T>& more, int work) {
    const int m = s.m(), n = s.n(), ldvt = static_cast<int>(Rows(s));
    const char* job = Job(s);
    int info = 0;
    if constexpr (divide && kReal<T>) {
      f.gesdd(job, &m, &n, r.a, &m, more.values, more.u, &m, more.vt, &ldvt, r.work, &work, r.iwork,
              &info, 1);
    } else if constexpr (divide) {
      f.gesdd_c(job, &m, &n, r.a, &m, more.values, more.u, &m, more.vt, &ldvt, r.work, &work,
                r.rwork, r.iwork, &info, 1);
    } else if constexpr (kReal<T>) {
      f.gesvd(job, job, &m, &n, r.a, &m, more.values, more.u, &m, more.vt, &ldvt, r.work, &work,
              &info, 1, 1);
    } else {
      f.gesvd_c(job, job, &m, &n, r.a, &m, more.values, more.u, &m, more.vt, &ldvt, r.work, &work,
                r.rwork, &info, 1, 1);
    }
    return info;
  }
  template <typename T>
  static void Query(const LapackRoutines<T>& f, LapackState* s) {
    Pieces none(nullptr);
    LapackAnswer<T> answer;
    Call<T>(f, *s, answer.room, More<T>(*s, &none), kAsk);
    s->work = WorkSize(answer.work);
    s->iwork = divide ? 8 * s->k() : 0;
    if (kReal<T>) return;
    const int k = s->k(), most = std::max(s->m(), s->n());
    s->rwork = divide ? std::max(5 * k * k + 7 * k, 2 * most * k + 2 * k * k + k) : 5 * k;
  }
  template <typename T>
  static void Run(const LapackRoutines<T>& f, const LapackState& s, const LapackRoom<T>& r,
                  const More<T>& more, const LapackItem& item) {
    const bool finite = IsFinite(r.a, s.a.rows * s.a.columns);
    if (!item.Good(3, finite ? Call<T>(f, s, r, more, s.work) : kNotFinite)) return;
    item.StoreVector(0, s.k(), more.values);
    if (s.flags[0] == 0) return;
    item.Store(1, s.m(), Columns(s), more.u, s.m());
    item.Store(2, Rows(s), s.n(), more.vt, Rows(s));
  }
};

// Eigenvalues of a real matrix come in two arrays, those of a complex one in `re`.
template <typename T>
struct Values {
  Values(const LapackState& s, Pieces* p)
      : re(p->Take<T>(s.n())), im(p->Take<T>(kReal<T> ? s.n() : 0)) {}
  void Store(const LapackItem& item, int n, size_t whole, size_t parts) const {
    if (ComplexOf<T>* to = item.template Out<ComplexOf<T>>(whole)) {
      for (int i = 0; i < n; ++i) {
        if constexpr (kReal<T>) {
          to[i] = {re[i], im[i]};
        } else {
          to[i] = re[i];
        }
      }
    }
    if constexpr (kReal<T>) {
      item.StoreVector(parts, n, re);
      item.StoreVector(parts + 1, n, im);
    }
  }
  T* re;
  T* im;
};

struct Geev {
  static constexpr std::string_view kOperands = "Tmn", kOutputs = "Cn Rn Rn Cmn Cmn I";
  static constexpr std::array<int64_t, 2> kFlags = {1, 1};
  static Status Check(const LapackState& s) { return WantSquare(s); }
  template <typename T>
  struct More {
    More(const LapackState& s, Pieces* p)
        : values(s, p),
          left(p->Take<T>(s.flags[0] != 0 ? s.a.rows * s.a.rows : 0)),
          right(p->Take<T>(s.flags[1] != 0 ? s.a.rows * s.a.rows : 0)) {}
    Values<T> values;
    T* left;
    T* right;
  };
  template <typename T>
  static int Call(const LapackRoutines<T>& f, const LapackState& s, const LapackRoom<T>& r,
                  const More<T>& more, int work) {
    const int n = s.n();
    const char* left = s.flags[0] != 0 ? "V" : "N";
    const char* right = s.flags[1] != 0 ? "V" : "N";
    int info = 0;
    if constexpr (kReal<T>) {
      f.geev(left, right, &n, r.a, &n, more.values.re, more.values.im, more.left, &n, more.right,
             &n, r.work, &work, &info, 1, 1);
    } else {
      f.geev_c(left, right, &n, r.a, &n, more.values.re, more.left, &n, more.right, &n, r.work,
               &work, r.rwork, &info, 1, 1);
    }
    return info;
  }
  template <typename T>
  static void Query(const LapackRoutines<T>& f, LapackState* s) {
    Pieces none(nullptr);
    LapackAnswer<T> answer;
    Call<T>(f, *s, answer.room, More<T>(*s, &none), kAsk);
    s->work = WorkSize(answer.work);
    s->rwork = kReal<T> ? 0 : 2 * s->n();
  }
  // Of a real matrix, the vectors of a conjugate pair are the real and the imaginary part of one.
  template <typename T>
  static void StoreVectors(const LapackItem& item, size_t output, int n, const T* vectors,
                           const Values<T>& values) {
    ComplexOf<T>* to = item.template Out<ComplexOf<T>>(output);
    if (to == nullptr) return;
    const auto at = [&](int i, int j) { return vectors[static_cast<int64_t>(j) * n + i]; };
    for (int j = 0; j < n; ++j) {
      bool pair = false;
      if constexpr (kReal<T>) pair = j + 1 < n && values.im[j] != 0;
      for (int i = 0; i < n; ++i) {
        ComplexOf<T>* place = to + static_cast<int64_t>(i) * n + j;
        if constexpr (kReal<T>) {
          place[0] = {at(i, j), pair ? at(i, j + 1) : T{}};
          if (pair) place[1] = std::conj(place[0]);
        } else {
          place[0] = at(i, j);
        }
      }
      if (pair) ++j;
    }
  }
  template <typename T>
  static void Run(const LapackRoutines<T>& f, const LapackState& s, const LapackRoom<T>& r,
                  const More<T>& more, const LapackItem& item) {
    const int n = s.n();
    const bool finite = IsFinite(r.a, s.a.rows * s.a.columns);
    if (!item.Good(5, finite ? Call<T>(f, s, r, more, s.work) : kNotFinite)) return;
    more.values.Store(item, n, 0, 1);
    if (s.flags[0] != 0) StoreVectors(item, 3, n, more.left, more.values);
    if (s.flags[1] != 0) StoreVectors(item, 4, n, more.right, more.values);
  }
};

struct Gees {
  static constexpr std::string_view kOperands = "Tmn", kOutputs = "Tmn Tmn Cn Rn Rn I";
  static constexpr std::array<int64_t, 1> kFlags = {1};
  static Status Check(const LapackState& s) { return WantSquare(s); }
  template <typename T>
  struct More {
    More(const LapackState& s, Pieces* p)
        : values(s, p), z(p->Take<T>(s.flags[0] != 0 ? s.a.rows * s.a.rows : 0)) {}
    Values<T> values;
    T* z;
  };
  template <typename T>
  static int Call(const LapackRoutines<T>& f, const LapackState& s, const LapackRoom<T>& r,
                  const More<T>& more, int work) {
    const int n = s.n();
    const char* job = s.flags[0] != 0 ? "V" : "N";
    int info = 0, selected = 0;
    if constexpr (kReal<T>) {
      f.gees(job, "N", nullptr, &n, r.a, &n, &selected, more.values.re, more.values.im, more.z, &n,
             r.work, &work, nullptr, &info, 1, 1);
    } else {
      f.gees_c(job, "N", nullptr, &n, r.a, &n, &selected, more.values.re, more.z, &n, r.work, &work,
               r.rwork, nullptr, &info, 1, 1);
    }
    return info;
  }
  template <typename T>
  static void Query(const LapackRoutines<T>& f, LapackState* s) {
    Pieces none(nullptr);
    LapackAnswer<T> answer;
    Call<T>(f, *s, answer.room, More<T>(*s, &none), kAsk);
    s->work = WorkSize(answer.work);
    s->rwork = kReal<T> ? 0 : s->n();
  }
  template <typename T>
  static void Run(const LapackRoutines<T>& f, const LapackState& s, const LapackRoom<T>& r,
                  const More<T>& more, const LapackItem& item) {
    const int n = s.n();
    const bool finite = IsFinite(r.a, s.a.rows * s.a.columns);
    if (!item.Good(5, finite ? Call<T>(f, s, r, more, s.work) : kNotFinite)) return;
    item.Store(0, n, n, r.a, n);
    if (s.flags[0] != 0) item.Store(1, n, n, more.z, n);
    more.values.Store(item, n, 2, 3);
  }
};

template <typename Routine>
Result<PreparedKernel> Prepare(std::string_view params, std::span<const ArraySpec> in,
                               std::span<const ArraySpec> out) {
  ASSIGN_OR_RETURN(
      std::shared_ptr<LapackState> state,
      ReadLapack(params, in, out, Routine::kOperands, Routine::kFlags, Routine::kOutputs));
  if constexpr (requires { Routine::Check(*state); }) RETURN_IF_ERROR(Routine::Check(*state));
  return MakeLapackKernel<Routine>(std::move(state));
}

}  // namespace

const LibraryKernel kGeqrfKernel = {"lapack.geqrf", Prepare<Geqrf>};
const LibraryKernel kOrgqrKernel = {"lapack.orgqr", Prepare<Orgqr>};
const LibraryKernel kGeqp3Kernel = {"lapack.geqp3", Prepare<Geqp3>};
const LibraryKernel kGehrdKernel = {"lapack.gehrd", Prepare<Gehrd>};
const LibraryKernel kSytrdKernel = {"lapack.sytrd", Prepare<Sytrd>};
const LibraryKernel kSyevdKernel = {"lapack.syevd", Prepare<Syevd>};
const LibraryKernel kGesddKernel = {"lapack.gesdd", Prepare<Svd<true>>};
const LibraryKernel kGesvdKernel = {"lapack.gesvd", Prepare<Svd<false>>};
const LibraryKernel kGeevKernel = {"lapack.geev", Prepare<Geev>};
const LibraryKernel kGeesKernel = {"lapack.gees", Prepare<Gees>};

}  // namespace megalith::kernels
