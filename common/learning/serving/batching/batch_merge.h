// Arguments of several requests as those of one, and its results back (tf-serving.md section 5.2).
#pragma once

#include <cstdint>
#include <vector>

#include "common/learning/serving/value.h"

namespace megalith::serving {

// Rows [begin, end) of each of `arguments`.
struct BatchPart {
  const std::vector<Value>* arguments = nullptr;
  int64_t begin = 0;
  int64_t end = 0;
};

// The rows of all parts, in order, then the first row of the last part as often as it takes to have
// `rows`. With `pad`, dimensions but the first that differ are filled up to the largest with the
// first element of each tensor. Requires at least one part, with at least one row each.
// Errors: kFailedPrecondition  shapes differ, without `pad`, or ranks do; kResourceExhausted.
Result<std::vector<Value>> MergeArguments(const std::vector<BatchPart>& parts, int64_t rows,
                                          bool pad);

// Rows [begin, end) of each value. Errors: kResourceExhausted.
Result<std::vector<Value>> RowsOfResults(const std::vector<Value>& values, int64_t begin,
                                         int64_t end);

// Each result, its rows of all pieces one after the other. Errors: kResourceExhausted.
Result<std::vector<Value>> JoinResults(const std::vector<std::vector<Value>>& pieces);

}  // namespace megalith::serving
