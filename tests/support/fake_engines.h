// Engines for tests of services: a language of one word, so that what is tested is the service and
// not the compiler.
//
// Program text: "mul <factor> <n>" takes f32[n] and gives it times the factor. "fail" does not
// parse (line 2, column 5). "slow <n>" compiles until cancelled or released; "stuck <n>" until
// released only, as a code generator in the middle of a kernel; "bad <n>" waits for its release and
// fails; "big <n>" takes n bytes to compile. Lowering a program gives its own text.
#pragma once

#include <atomic>

#include "services/allinone/fleet.h"

namespace megalith::testing {

// What the engines did; shared with the test, outlives them.
struct FakeWorld {
  std::atomic<int> traces{0};
  std::atomic<int> compilations{0};
  std::atomic<int> loads{0};
  std::atomic<int> runs{0};
  std::atomic<bool> quick{false};
  std::atomic<bool> release_slow{false};
  std::atomic<bool> release_stuck{false};
  std::atomic<int> stuck{0};  // compilers that wait for that
};

// Of a fleet in one process; `world` outlives it.
services::Engines FakeEngines(FakeWorld* world);

}  // namespace megalith::testing
