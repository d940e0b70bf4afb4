// Reading the flat list of numbers a library kernel takes as parameters, and checks that all
// kernels share. Parameters may come from a damaged package: nothing here trusts them.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "common/foundation/base/status.h"
#include "common/machines/kernels/library.h"

namespace megalith::kernels {

// Takes numbers from the front. After the first failure every further call fails, too.
class ParamReader {
 public:
  // `kernel` names the kernel in messages.
  static Result<ParamReader> Create(std::string_view kernel, std::string_view params);

  // The next number, which must be in [low, high].
  Result<int64_t> Next(std::string_view what, int64_t low, int64_t high);
  // A list preceded by its length (at most `most` numbers, each in [low, high]).
  Result<Dims> NextList(std::string_view what, int64_t most, int64_t low, int64_t high);
  // A list of different dimensions of an array of `rank`.
  Result<Dims> NextDims(std::string_view what, int64_t rank);
  // kInvalidArgument if numbers are left.
  Status Done() const;

 private:
  ParamReader(std::string_view kernel, std::vector<int64_t> values)
      : kernel_(kernel), values_(std::move(values)) {}
  std::string_view kernel_;
  std::vector<int64_t> values_;
  size_t next_ = 0;
};

// kInvalidArgument unless there are so many operands and results, every shape is not negative and
// the number of its bytes fits into 63 bits; kUnimplemented for elements without bytes and for more
// than kMaxRank dimensions.
inline constexpr size_t kMaxRank = 16;
Status CheckArrays(std::string_view kernel, std::span<const ArraySpec> in, size_t num_in,
                   std::span<const ArraySpec> out, size_t num_out);
// kInvalidArgument unless both have the same dtype and shape.
Status CheckSame(std::string_view what, const ArraySpec& a, const ArraySpec& b);

// Number of elements of a shape that passed CheckArrays.
int64_t Elements(const Shape& shape);
inline int64_t Elements(const ArraySpec& a) { return Elements(a.shape); }
int64_t Bytes(const ArraySpec& a);

// A shape seen as [outer, length, inner] around one dimension. Without elements all are 0.
struct LineLayout {
  int64_t outer = 1, length = 1, inner = 1;
};
LineLayout LinesAlong(const Shape& shape, size_t dim);

}  // namespace megalith::kernels
