#include "common/machines/kernels/lapack_library.h"

#include <dlfcn.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "common/foundation/base/strings.h"
#include "common/machines/kernels/isa.h"

namespace megalith::kernels {
namespace {

constexpr const char* kFile = "libopenblas.so.0";
// What it needs, in this order. A package may carry all three beside this code, which is linked to
// look there; OpenBLAS is not, and would look in the system's folders only.
constexpr const char* kNeeded[] = {"libquadmath.so.0", "libgfortran.so.5"};

// The kernels OpenBLAS is told to use. Left to itself it looks for models it knows and takes slower
// kernels on processors that are younger than it.
const char* CoreType() {
  switch (MachineIsa()) {
    case Isa::kAvx512:
      return "OPENBLAS_CORETYPE=SkylakeX";
    case Isa::kAvx2:
      return "OPENBLAS_CORETYPE=Haswell";
    default:
      return nullptr;
  }
}

// OpenBLAS reads its environment while it is loaded. A list of our own takes the place of the
// process's for that long: setenv would move entries that other threads may be reading. What the
// user has set stays.
void* OpenWithEnvironment() {
  static std::vector<char*> list;
  std::vector<const char*> added = {"OPENBLAS_NUM_THREADS=1"};
  if (const char* core = CoreType(); core != nullptr) added.push_back(core);
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    list.push_back(*entry);
    if (std::string_view(*entry).starts_with("OPENBLAS_CORETYPE=")) added.resize(1);
  }
  for (const char* entry : added) list.push_back(const_cast<char*>(entry));
  list.push_back(nullptr);
  char** const old = environ;
  __atomic_store_n(&environ, list.data(), __ATOMIC_SEQ_CST);
  void* handle = dlopen(kFile, RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    for (const char* needed : kNeeded) dlopen(needed, RTLD_NOW | RTLD_LOCAL);
    handle = dlopen(kFile, RTLD_NOW | RTLD_LOCAL);
  }
  __atomic_store_n(&environ, old, __ATOMIC_SEQ_CST);
  return handle;
}

void* Library() {
  static void* const handle = []() -> void* {
    const char* wanted = std::getenv("MEGALITH_LAPACK");
    if (wanted != nullptr && std::string_view(wanted) == "0") return nullptr;
    void* opened = OpenWithEnvironment();
    if (opened == nullptr) return nullptr;
    const auto set_threads =
        reinterpret_cast<void (*)(int)>(dlsym(opened, "openblas_set_num_threads"));
    if (set_threads == nullptr) return nullptr;
    set_threads(1);
    return opened;
  }();
  return handle;
}

template <typename T>
constexpr char kPrefix = 's';
template <>
constexpr char kPrefix<double> = 'd';
template <>
constexpr char kPrefix<std::complex<float>> = 'c';
template <>
constexpr char kPrefix<std::complex<double>> = 'z';

template <typename T>
class Binder {
 public:
  template <typename Function>
  void Bind(std::string_view name, Function** out) {
    void* const found = dlsym(Library(), StrCat(kPrefix<T>, name, "_").c_str());
    complete_ = complete_ && found != nullptr;
    *out = reinterpret_cast<Function*>(found);
  }
  bool complete() const { return complete_; }

 private:
  bool complete_ = true;
};

template <typename T>
bool BindAll(LapackRoutines<T>* out) {
  Binder<T> b;
  b.Bind("geqrf", &out->geqrf);
  b.Bind("gehrd", &out->gehrd);
  if constexpr (std::is_floating_point_v<T>) {
    b.Bind("orgqr", &out->orgqr);
    b.Bind("sytrd", &out->sytrd);
    b.Bind("geqp3", &out->geqp3);
    b.Bind("gesdd", &out->gesdd);
    b.Bind("gesvd", &out->gesvd);
    b.Bind("syevd", &out->syevd);
    b.Bind("geev", &out->geev);
    b.Bind("gees", &out->gees);
  } else {
    b.Bind("ungqr", &out->orgqr);
    b.Bind("hetrd", &out->sytrd);
    b.Bind("geqp3", &out->geqp3_c);
    b.Bind("gesdd", &out->gesdd_c);
    b.Bind("gesvd", &out->gesvd_c);
    b.Bind("heevd", &out->syevd_c);
    b.Bind("geev", &out->geev_c);
    b.Bind("gees", &out->gees_c);
  }
  return b.complete();
}

}  // namespace

template <typename T>
const LapackRoutines<T>* FindLapack() {
  static const LapackRoutines<T>* const found = []() -> const LapackRoutines<T>* {
    static LapackRoutines<T> routines;
    if (Library() == nullptr || !BindAll(&routines)) return nullptr;
    return &routines;
  }();
  return found;
}

template const LapackRoutines<float>* FindLapack();
template const LapackRoutines<double>* FindLapack();
template const LapackRoutines<std::complex<float>>* FindLapack();
template const LapackRoutines<std::complex<double>>* FindLapack();

}  // namespace megalith::kernels
