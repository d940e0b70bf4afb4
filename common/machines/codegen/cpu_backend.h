// The backend "cpu": fused kernels and library calls, machine code where it pays.
#pragma once

#include <memory>

#include "common/machines/runtime/backend.h"

namespace megalith::codegen {

std::shared_ptr<const runtime::Backend> MakeCpuBackend();

}  // namespace megalith::codegen
