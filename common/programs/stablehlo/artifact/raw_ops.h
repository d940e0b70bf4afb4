// The tree of operations in the IR section; not for users of the library.
#pragma once

#include "common/programs/stablehlo/artifact/container.h"

namespace megalith::stablehlo::artifact {

// Id of a section that holds the regions of an isolated operation (persistent: never change).
inline constexpr uint8_t kNestedSection = 4;

// Bits that say which parts an operation has (persistent: never change).
enum OpMask : uint8_t {
  kHasDictionary = 0x01,
  kHasResults = 0x02,
  kHasOperands = 0x04,
  kHasSuccessors = 0x08,
  kHasRegions = 0x10,
  kHasUseOrders = 0x20,
  kHasProperties = 0x40,
};

// Reads `in`, the payload of the section, into file->top. The rest of `file` is filled. Errors: as
// ReadContainer.
Status ReadRawOps(Cursor in, const stablehlo::Limits& limits, Container* file);

}  // namespace megalith::stablehlo::artifact
