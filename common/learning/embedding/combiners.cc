#include "common/learning/embedding/combiners.h"

#include <algorithm>
#include <cmath>

#include "common/foundation/base/strings.h"

namespace megalith::embedding {
namespace {

// Calls of(b, n, first row, output) for every sample.
template <typename Row, typename Out, typename Of>
void EachBag(const Bags& bags, int64_t width, Row* rows, Out* outputs, Of of) {
  for (int64_t b = 0; b < bags.batch(); ++b) {
    const int64_t begin = bags.splits[static_cast<size_t>(b)];
    const int64_t count = bags.splits[static_cast<size_t>(b) + 1] - begin;
    of(count, rows + begin * bags.dim, outputs + b * width);
  }
}

void AddRows(int64_t count, int64_t dim, const float* rows, float* out) {
  std::fill_n(out, dim, 0.0F);
  for (int64_t r = 0; r < count; ++r) {
    for (int64_t i = 0; i < dim; ++i) out[i] += rows[r * dim + i];
  }
}

void CopyToRows(int64_t count, int64_t dim, float factor, const float* gradient, float* rows) {
  for (int64_t r = 0; r < count; ++r) {
    for (int64_t i = 0; i < dim; ++i) rows[r * dim + i] = gradient[i] * factor;
  }
}

void Sum(const Bags& bags, int64_t, const float* rows, float* out) {
  EachBag(bags, bags.dim, rows, out,
          [&](int64_t n, const float* from, float* to) { AddRows(n, bags.dim, from, to); });
}

void SumBack(const Bags& bags, int64_t, const float*, const float* gradient, float* row_gradients) {
  EachBag(bags, bags.dim, row_gradients, gradient,
          [&](int64_t n, float* to, const float* from) { CopyToRows(n, bags.dim, 1, from, to); });
}

float InverseOf(int64_t count) { return count == 0 ? 0.0F : 1.0F / static_cast<float>(count); }

void Mean(const Bags& bags, int64_t, const float* rows, float* out) {
  EachBag(bags, bags.dim, rows, out, [&](int64_t n, const float* from, float* to) {
    AddRows(n, bags.dim, from, to);
    for (int64_t i = 0; i < bags.dim; ++i) to[i] *= InverseOf(n);
  });
}

void MeanBack(const Bags& bags, int64_t, const float*, const float* gradient,
              float* row_gradients) {
  EachBag(bags, bags.dim, row_gradients, gradient, [&](int64_t n, float* to, const float* from) {
    CopyToRows(n, bags.dim, InverseOf(n), from, to);
  });
}

void SqrtN(const Bags& bags, int64_t, const float* rows, float* out) {
  EachBag(bags, bags.dim, rows, out, [&](int64_t n, const float* from, float* to) {
    std::fill_n(to, bags.dim, 0.0F);
    for (int64_t r = 0; r < n; ++r) {
      for (int64_t i = 0; i < bags.dim; ++i) {
        to[i] += from[r * bags.dim + i] * from[r * bags.dim + i];
      }
    }
    for (int64_t i = 0; i < bags.dim; ++i) to[i] = std::sqrt(to[i]);
  });
}

// d sqrt(sum x^2) / dx = x / sqrt(sum x^2), and 0 where all x are.
void SqrtNBack(const Bags& bags, int64_t, const float* rows, const float* gradient,
               float* row_gradients) {
  EachBag(bags, bags.dim, row_gradients, gradient, [&](int64_t n, float* to, const float* from) {
    const float* const values = rows + (to - row_gradients);
    for (int64_t i = 0; i < bags.dim; ++i) {
      float squares = 0;
      for (int64_t r = 0; r < n; ++r)
        squares += values[r * bags.dim + i] * values[r * bags.dim + i];
      const float factor = squares == 0 ? 0.0F : from[i] / std::sqrt(squares);
      for (int64_t r = 0; r < n; ++r) to[r * bags.dim + i] = values[r * bags.dim + i] * factor;
    }
  });
}

void FirstN(const Bags& bags, int64_t limit, const float* rows, float* out) {
  EachBag(bags, limit * bags.dim, rows, out, [&](int64_t n, const float* from, float* to) {
    const int64_t kept = std::min(n, limit) * bags.dim;
    std::copy_n(from, kept, to);
    std::fill_n(to + kept, limit * bags.dim - kept, 0.0F);
  });
}

void FirstNBack(const Bags& bags, int64_t limit, const float*, const float* gradient,
                float* row_gradients) {
  EachBag(bags, limit * bags.dim, row_gradients, gradient,
          [&](int64_t n, float* to, const float* from) {
            const int64_t kept = std::min(n, limit) * bags.dim;
            std::copy_n(from, kept, to);
            std::fill_n(to + kept, n * bags.dim - kept, 0.0F);
          });
}

constexpr CombinerDef kCombiners[] = {
    {.name = "sum", .forward = Sum, .backward = SumBack},
    {.name = "mean", .forward = Mean, .backward = MeanBack},
    {.name = "sqrtn", .forward = SqrtN, .backward = SqrtNBack},
    {.name = "first_n", .takes_limit = true, .forward = FirstN, .backward = FirstNBack},
};

Status CheckSplits(const Bags& bags) {
  if (bags.dim < 1) return InvalidArgument(StrCat("dim is ", bags.dim, ", wanted 1 or more"));
  if (bags.splits.empty() || bags.splits[0] != 0) {
    return InvalidArgument("splits must start with 0");
  }
  if (!std::ranges::is_sorted(bags.splits)) return InvalidArgument("splits must not descend");
  return OkStatus();
}

// Whether `size` is a * b * c, none of which is negative.
bool IsProduct(size_t size, int64_t a, int64_t b, int64_t c) {
  int64_t product = 0;
  return !__builtin_mul_overflow(a, b, &product) && !__builtin_mul_overflow(product, c, &product) &&
         size == static_cast<size_t>(product);
}

}  // namespace

std::span<const CombinerDef> Combiners() { return kCombiners; }

Result<Combiner> Combiner::Make(std::string_view name, int64_t limit) {
  const auto found = std::ranges::find(kCombiners, name, &CombinerDef::name);
  if (found == std::end(kCombiners)) {
    return InvalidArgument(
        StrCat("unknown combiner '", Printable(name), "'; known are sum, mean, sqrtn and first_n"));
  }
  if (found->takes_limit ? limit < 1 : limit != 0) {
    return InvalidArgument(StrCat("combiner '", name, "' takes ",
                                  found->takes_limit ? "a limit of 1 or more" : "no limit",
                                  ", got ", limit));
  }
  return Combiner(found, limit);
}

Status Combiner::CheckSizes(const Bags& bags, size_t rows, size_t outputs) const {
  RETURN_IF_ERROR(CheckSplits(bags));
  if (!IsProduct(rows, bags.splits.back(), bags.dim, 1)) {
    return InvalidArgument(StrCat("the rows have ", rows, " floats, wanted ", bags.splits.back(),
                                  " rows of ", bags.dim));
  }
  if (!IsProduct(outputs, bags.batch(), bags.dim, def_->takes_limit ? limit_ : 1)) {
    return InvalidArgument(StrCat("the combined rows have ", outputs, " floats, wanted ",
                                  bags.batch(), " samples of ", def_->takes_limit ? limit_ : 1,
                                  " rows of ", bags.dim));
  }
  return OkStatus();
}

Status Combiner::Forward(const Bags& bags, std::span<const float> rows,
                         std::span<float> out) const {
  RETURN_IF_ERROR(CheckSizes(bags, rows.size(), out.size()));
  def_->forward(bags, limit_, rows.data(), out.data());
  return OkStatus();
}

Status Combiner::Backward(const Bags& bags, std::span<const float> rows,
                          std::span<const float> gradient, std::span<float> row_gradients) const {
  RETURN_IF_ERROR(CheckSizes(bags, rows.size(), gradient.size()));
  if (row_gradients.size() != rows.size()) {
    return InvalidArgument(StrCat("the gradients of rows have ", row_gradients.size(),
                                  " floats, the rows ", rows.size()));
  }
  def_->backward(bags, limit_, rows.data(), gradient.data(), row_gradients.data());
  return OkStatus();
}

}  // namespace megalith::embedding
