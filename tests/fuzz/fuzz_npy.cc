// .npy and .npz: whatever the bytes, a tensor that can be written and read back, or an error.
#include <cstdint>
#include <string_view>

#include "common/foundation/tensor/npy.h"
#include "common/foundation/tensor/npz.h"

using megalith::tensor::NpyOptions;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view file(reinterpret_cast<const char*>(data), size);
  const NpyOptions options{.max_bytes = 1 << 20, .void_dtype = megalith::tensor::DType::kF8E4M3FN};
  if (const auto tensor = megalith::tensor::ParseNpy(file, options); tensor.ok()) {
    const auto written = megalith::tensor::EncodeNpy(*tensor);
    CHECK(written.ok());
    const auto back = megalith::tensor::ParseNpy(*written, options);
    CHECK(back.ok() && back->BitEquals(*tensor));
  }
  (void)megalith::tensor::ParseNpz(file, options);
  return 0;
}
