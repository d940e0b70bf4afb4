// Arrays on the command line: files, or types with values.
//
//   x.npy                    the array of a file
//   x.npz, x.npz:name        all arrays of an archive in its order, or one of them
//   f32[2,3]:zeros           also ones, iota (0, 1, 2, ... in row-major order)
//   f32[2,3]:1.5             that number everywhere
//   f32[2,2]:[[1,2],[3,4]]   nested lists; "nan", "inf" and "-inf" in quotes; complex numbers as
//   [re,im],
//                            keys as their words
//   f32[2,3]:@x.npy          the array of a file, which must have that type
//   1.5, [1,2,3]             as Python: a number is weakly typed, a list is not
//
// A "~" after a type makes it weak.
#pragma once

#include <string_view>
#include <vector>

#include "common/foundation/base/file_system.h"
#include "common/foundation/base/status.h"
#include "common/foundation/tensor/array_type.h"
#include "common/foundation/tensor/tensor.h"

namespace megalith::cli {

struct ArrayValue {
  tensor::Tensor tensor;
  bool weak_type = false;
};

// "f32[2,3]", "bool[]", "i32" for a scalar, "f32[]~" for a weak one. Errors: kInvalidArgument.
Result<tensor::ArrayType> ParseArrayType(std::string_view text);

// The arrays that one word names, usually one. `x64`: Python numbers have 64 bits.
// Errors: kInvalidArgument  another form, values that do not fit the type, a damaged file;
// kNotFound; those of ParseNpy and ParseNpz. The message begins with the word.
Result<std::vector<ArrayValue>> ReadArrays(std::string_view word, FileSystem& files, bool x64);

// A file of arrays by its name: .npz for any number (arr_0, arr_1, ...), .npy for one. Keys are
// written as words. Errors: kInvalidArgument  another name, or .npy for several arrays; those of
// writing.
Status WriteArrays(const std::string& path, const std::vector<tensor::Tensor>& arrays,
                   FileSystem& files);

}  // namespace megalith::cli
