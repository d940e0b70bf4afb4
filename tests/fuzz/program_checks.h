// What the harnesses of programs share: a stack chosen by bytes, and everything behind a loaded
// program under small limits.
#pragma once

#include <string_view>
#include <vector>

#include "common/foundation/base/cancellation.h"
#include "common/programs/pipeline/pipeline.h"

namespace megalith::fuzz {

// Bytes in front of a program that choose its stack.
inline constexpr size_t kStackBytes = 4;

// Up to three transforms: the first byte says how many, the others which.
std::vector<pipeline::Transform> StackFromBytes(std::string_view bytes);

// Limits that let one input end soon. `cancel` must outlive the options.
pipeline::TraceOptions SmallOptions(const Cancellation* cancel);

// A deadline of half a second from now.
Cancellation ShortDeadline();

// Transforms, prints, reads back, lowers, makes canonical and plans. Nothing may crash, hang or
// contradict itself.
void CheckProgram(const ir::Program& program, const std::vector<pipeline::Transform>& stack,
                  const pipeline::TraceOptions& options);

}  // namespace megalith::fuzz
