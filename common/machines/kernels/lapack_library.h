// The machine's LAPACK: OpenBLAS, opened when it is first asked for. For kernels/*.cc only.
#pragma once

#include <complex>
#include <cstddef>
#include <type_traits>

namespace megalith::kernels {

template <typename T>
struct RealOfT {
  using type = T;
};
template <typename R>
struct RealOfT<std::complex<R>> {
  using type = R;
};

// Routines of one element type with the interface of Fortran: everything by address, the lengths of
// texts last. Complex ones have other parameters in places, so those have two names, of which the
// fitting one is set.
template <typename T>
struct LapackRoutines {
  using R = typename RealOfT<T>::type;
  using I = const int*;
  using C = const char*;
  using L = size_t;
  void (*geqrf)(I m, I n, T* a, I lda, T* tau, T* work, I lwork, int* info) = nullptr;
  void (*orgqr)(I m, I n, I k, T* a, I lda, const T* tau, T* work, I lwork, int* info) = nullptr;
  void (*gehrd)(I n, I low, I high, T* a, I lda, T* tau, T* work, I lwork, int* info) = nullptr;
  void (*sytrd)(C uplo, I n, T* a, I lda, R* d, R* e, T* tau, T* work, I lwork, int* info,
                L) = nullptr;

  void (*geqp3)(I m, I n, T* a, I lda, int* jpvt, T* tau, T* work, I lwork, int* info) = nullptr;
  void (*geqp3_c)(I m, I n, T* a, I lda, int* jpvt, T* tau, T* work, I lwork, R* rwork,
                  int* info) = nullptr;
  void (*gesdd)(C job, I m, I n, T* a, I lda, R* s, T* u, I ldu, T* vt, I ldvt, T* work, I lwork,
                int* iwork, int* info, L) = nullptr;
  void (*gesdd_c)(C job, I m, I n, T* a, I lda, R* s, T* u, I ldu, T* vt, I ldvt, T* work, I lwork,
                  R* rwork, int* iwork, int* info, L) = nullptr;
  void (*gesvd)(C jobu, C jobvt, I m, I n, T* a, I lda, R* s, T* u, I ldu, T* vt, I ldvt, T* work,
                I lwork, int* info, L, L) = nullptr;
  void (*gesvd_c)(C jobu, C jobvt, I m, I n, T* a, I lda, R* s, T* u, I ldu, T* vt, I ldvt, T* work,
                  I lwork, R* rwork, int* info, L, L) = nullptr;
  void (*syevd)(C job, C uplo, I n, T* a, I lda, R* w, T* work, I lwork, int* iwork, I liwork,
                int* info, L, L) = nullptr;
  void (*syevd_c)(C job, C uplo, I n, T* a, I lda, R* w, T* work, I lwork, R* rwork, I lrwork,
                  int* iwork, I liwork, int* info, L, L) = nullptr;
  void (*geev)(C left, C right, I n, T* a, I lda, T* wr, T* wi, T* vl, I ldvl, T* vr, I ldvr,
               T* work, I lwork, int* info, L, L) = nullptr;
  void (*geev_c)(C left, C right, I n, T* a, I lda, T* w, T* vl, I ldvl, T* vr, I ldvr, T* work,
                 I lwork, R* rwork, int* info, L, L) = nullptr;
  void (*gees)(C job, C sort, void* select, I n, T* a, I lda, int* sdim, T* wr, T* wi, T* vs,
               I ldvs, T* work, I lwork, int* bwork, int* info, L, L) = nullptr;
  void (*gees_c)(C job, C sort, void* select, I n, T* a, I lda, int* sdim, T* w, T* vs, I ldvs,
                 T* work, I lwork, R* rwork, int* bwork, int* info, L, L) = nullptr;
};

// nullptr if there is no OpenBLAS, or one without some of the routines, or MEGALITH_LAPACK=0. It
// works on the calling thread alone. Any thread; the first call takes some milliseconds.
template <typename T>
const LapackRoutines<T>* FindLapack();

}  // namespace megalith::kernels
