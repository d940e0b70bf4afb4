#include "common/machines/codegen/library_ops.h"

namespace megalith::codegen {

Result<std::optional<LibraryCall>> LibraryCallFor(
    const stablehlo::Op&, const stablehlo::Func&,
    const std::unordered_map<stablehlo::ValueId, const stablehlo::Op*>&) {
  return std::optional<LibraryCall>();
}

}  // namespace megalith::codegen
