// Combiners: how the rows of a sample's ids become one input of the model, and how the input's
// gradient goes back to the rows (embedding-tables.md section 9).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "common/foundation/base/status.h"

namespace megalith::embedding {

// The ids of a batch: sample b has those from splits[b] to splits[b + 1]. Starts at 0, ascends; a
// sample may have none.
struct Bags {
  std::span<const int64_t> splits;  // batch + 1
  int64_t dim = 0;                  // floats per row, at least 1
  int64_t batch() const { return static_cast<int64_t>(splits.size()) - 1; }
};

// One rule of combining. Rows and gradients are row-major, in the order of ids.
struct CombinerDef {
  std::string_view name;
  bool takes_limit = false;  // first_n
  // `out` and `gradient` have batch * OutputWidth floats; both functions write all of theirs.
  void (*forward)(const Bags& bags, int64_t limit, const float* rows, float* out);
  void (*backward)(const Bags& bags, int64_t limit, const float* rows, const float* gradient,
                   float* row_gradients);
};

// sum      the sum of the rows
// mean     the sum times 1/n; zeros for no rows (quirk 10: the original gives NaN)
// sqrtn    the root of the sum of squares, element by element
// first_n  the first `limit` rows one after the other, zeros behind them; the rest is dropped
std::span<const CombinerDef> Combiners();

// A rule with its limit. Thread-safe.
class Combiner {
 public:
  // `limit` is for first_n alone, 0 for the others.
  // Errors: kInvalidArgument  an unknown name; a limit below 1 where one is needed, or one where
  //                           none is.
  static Result<Combiner> Make(std::string_view name, int64_t limit = 0);

  // Floats per sample.
  int64_t OutputWidth(int64_t dim) const { return def_->takes_limit ? limit_ * dim : dim; }

  // Errors: kInvalidArgument  splits that do not ascend from 0, or spans of another size than they
  //                           say.
  Status Forward(const Bags& bags, std::span<const float> rows, std::span<float> out) const;
  Status Backward(const Bags& bags, std::span<const float> rows, std::span<const float> gradient,
                  std::span<float> row_gradients) const;

 private:
  Combiner(const CombinerDef* def, int64_t limit) : def_(def), limit_(limit) {}
  Status CheckSizes(const Bags& bags, size_t rows, size_t outputs) const;

  const CombinerDef* def_;
  int64_t limit_;
};

}  // namespace megalith::embedding
