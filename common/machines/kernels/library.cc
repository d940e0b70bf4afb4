#include "common/machines/kernels/library.h"

#include <cstring>

#include "common/foundation/base/strings.h"

namespace megalith::kernels {

const LibraryKernel* FindLibraryKernel(std::string_view name) {
  for (const LibraryKernel* kernel : AllLibraryKernels()) {
    if (kernel->name == name) return kernel;
  }
  return nullptr;
}

std::string PackParams(std::span<const int64_t> values) {
  std::string bytes(values.size() * sizeof(int64_t), '\0');
  if (!values.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

Result<std::vector<int64_t>> UnpackParams(std::string_view params) {
  if (params.size() % sizeof(int64_t) != 0) {
    return InvalidArgument(
        StrCat("kernel parameters have ", params.size(), " bytes, wanted a multiple of 8"));
  }
  std::vector<int64_t> values(params.size() / sizeof(int64_t));
  if (!values.empty()) std::memcpy(values.data(), params.data(), params.size());
  return values;
}

}  // namespace megalith::kernels
