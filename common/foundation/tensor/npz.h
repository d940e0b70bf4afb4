// NumPy's .npz files: zip archives of .npy files, stored or deflated.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/foundation/base/status.h"
#include "common/foundation/tensor/npy.h"
#include "common/foundation/tensor/tensor.h"

namespace megalith::tensor {

// Names (without ".npy") and arrays, in the archive's order.
using NamedTensors = std::vector<std::pair<std::string, Tensor>>;

// Reads by the archive's directory; checks sizes and CRC-32 of every member. `options.max_bytes`
// bounds all arrays together, however well they are compressed. Errors: kInvalidArgument  no zip
// archive, damaged or truncated, with the member's name; kUnimplemented  encryption or
//   another compression; kResourceExhausted; those of ParseNpy.
Result<NamedTensors> ParseNpz(std::string_view file, const NpyOptions& options = {});

// Errors: kInvalidArgument  two arrays of one name, or an archive above 4 GiB; those of EncodeNpy.
Result<std::string> EncodeNpz(const NamedTensors& tensors, bool compress);

}  // namespace megalith::tensor
