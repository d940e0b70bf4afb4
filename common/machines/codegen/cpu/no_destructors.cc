// LLVM's tables live as long as the process: its static objects are made while this library is
// opened, on a thread of its own, and a process that ends at that moment would destroy some of them
// beside their makers. So the library, which is never closed, registers no destructors; it binds
// this name to itself and hides it.
#include <cxxabi.h>

extern "C" __attribute__((visibility("hidden"))) int __cxa_atexit(void (*)(void*), void*,
                                                                  void*) noexcept {
  return 0;
}
