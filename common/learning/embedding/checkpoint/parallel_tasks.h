// Independent tasks on a few threads; the first error stops those that have not begun.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include "common/foundation/base/status.h"

namespace megalith::embedding {

// Runs task(0) to task(count - 1), each once, on at most `threads` threads, the caller's among
// them. Returns the error of the task with the lowest number among those that failed.
Status RunTasks(size_t count, uint32_t threads, const std::function<Status(size_t)>& task);

}  // namespace megalith::embedding
