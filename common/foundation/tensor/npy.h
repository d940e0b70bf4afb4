// NumPy's .npy files (format versions 1.0 to 3.0).
//
// Types beyond NumPy's own are written by their ml_dtypes name ('bfloat16', 'float8_e4m3fn'), which
// numpy.load reads once ml_dtypes is imported. numpy.save writes them as void: '<V2' is read as
// bf16, '<f1' as f8_e5m2, and '|V1' as the dtype the caller names. float0 has JAX's structured
// descr. Keys have no form of their own: save their words.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/foundation/base/status.h"
#include "common/foundation/tensor/dtype.h"
#include "common/foundation/tensor/tensor.h"

namespace megalith::tensor {

struct NpyOptions {
  uint64_t max_bytes = uint64_t{1} << 32;  // of one array's elements
  std::optional<DType> void_dtype;         // what one-byte void elements are
};

// Fortran order is turned into row-major, big-endian into little-endian.
// Errors: kInvalidArgument  no .npy file, a header that is not exactly what NumPy writes, missing
// or surplus bytes, bools
//   other than 0 and 1; kUnimplemented  structured, object, text and date types, by name;
//   kResourceExhausted  max_bytes.
Result<Tensor> ParseNpy(std::string_view file, const NpyOptions& options = {});

// Errors: kUnimplemented  keys.
Result<std::string> EncodeNpy(const Tensor& tensor);

}  // namespace megalith::tensor
