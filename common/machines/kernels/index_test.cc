#include <gtest/gtest.h>

#include <algorithm>

#include "common/machines/kernels/kernel_testing.h"

namespace megalith::kernels {
namespace {

// Dimension numbers in the words of gather; `window` by operand dimension.
struct Case {
  Shape operand, indices;
  Dims offset, collapsed, operand_batch, indices_batch, map;
  int64_t vector_dim;
  Dims window;
};

const Case kCases[] = {
    // Rows of a table, short and long.
    {{50, 8}, {30, 1}, {1}, {0}, {}, {}, {0}, 1, {1, 8}},
    {{50, 33}, {7, 5, 1}, {2}, {0}, {}, {}, {0}, 2, {1, 33}},
    {{9, 3, 4}, {20}, {1, 2}, {0}, {}, {}, {0}, 1, {1, 3, 4}},
    // Elements.
    {{40}, {25, 1}, {}, {0}, {}, {}, {0}, 1, {1}},
    {{6, 7}, {600, 2}, {}, {0, 1}, {}, {}, {0, 1}, 1, {1, 1}},
    {{6, 7}, {2, 60}, {}, {0, 1}, {}, {}, {1, 0}, 0, {1, 1}},
    // Columns, and windows that may overlap.
    {{6, 11}, {9, 1}, {0}, {1}, {}, {}, {1}, 1, {6, 1}},
    {{10, 12}, {15, 2}, {1, 2}, {}, {}, {}, {0, 1}, 1, {3, 4}},
    {{10, 12}, {3, 2, 4}, {0, 3}, {}, {}, {}, {1, 0}, 1, {2, 5}},
    {{5, 6, 7}, {4, 3, 1}, {1}, {0, 2}, {}, {}, {2}, 2, {1, 4, 1}},
    // Batching dimensions.
    {{4, 9, 5}, {4, 6, 1}, {2}, {1}, {0}, {0}, {1}, 2, {1, 1, 5}},
    {{3, 8, 4}, {6, 4, 3, 1}, {}, {1}, {0, 2}, {2, 1}, {1}, 3, {1, 1, 1}},
    // One window, a scalar index; nothing at all.
    {{10, 10}, {2}, {0, 1}, {}, {}, {}, {0, 1}, 0, {4, 10}},
    {{5, 3}, {0, 1}, {1}, {0}, {}, {}, {0}, 1, {1, 3}},
    {{5, 0}, {4, 1}, {1}, {0}, {}, {}, {0}, 1, {1, 0}},
    {{7}, {3, 0}, {1}, {}, {}, {}, {}, 1, {7}},
    // Many rows, so that threads share them.
    {{1000, 16}, {9000, 1}, {1}, {0}, {}, {}, {0}, 1, {1, 16}},
};

bool Has(const Dims& dims, size_t d) {
  return std::find(dims.begin(), dims.end(), static_cast<int64_t>(d)) != dims.end();
}

Shape ArrayShape(const Case& c) {
  Dims batch, window;
  for (size_t i = 0; i < c.indices.size(); ++i) {
    if (static_cast<int64_t>(i) != c.vector_dim) batch.push_back(c.indices[i]);
  }
  for (size_t i = 0; i < c.operand.size(); ++i) {
    if (!Has(c.collapsed, i) && !Has(c.operand_batch, i)) window.push_back(c.window[i]);
  }
  Shape shape;
  size_t b = 0, w = 0;
  for (size_t i = 0; i < batch.size() + window.size(); ++i)
    shape.push_back(Has(c.offset, i) ? window[w++] : batch[b++]);
  return shape;
}

// Calls visit(array element, operand element, window fits, operand element of the clamped window)
// for every element of the array, in the order of the specification: all of one index vector before
// the next.
template <typename Visit>
void ForEach(const Case& c, const Tensor& indices, const Visit& visit) {
  const Shape shape = ArrayShape(c);
  const Dims strides = tensor::RowMajorStrides(c.operand);
  const Dims index_strides = tensor::RowMajorStrides(c.indices);
  const int64_t n = *tensor::NumElements(shape);
  for (int64_t e = 0; e < n; ++e) {
    Dims batch, offset;
    const Dims array_strides = tensor::RowMajorStrides(shape);
    for (size_t i = 0; i < shape.size(); ++i)
      (Has(c.offset, i) ? offset : batch).push_back(e / array_strides[i] % shape[i]);
    int64_t at = 0;
    size_t b = 0;
    Dims batch_of_dim(c.indices.size(), 0);
    for (size_t i = 0; i < c.indices.size(); ++i) {
      if (static_cast<int64_t>(i) == c.vector_dim) continue;
      batch_of_dim[i] = batch[b];
      at += batch[b++] * index_strides[i];
    }
    Dims start(c.operand.size(), 0);
    for (size_t k = 0; k < c.map.size(); ++k) {
      const int64_t step = c.vector_dim < static_cast<int64_t>(c.indices.size())
                               ? index_strides[static_cast<size_t>(c.vector_dim)]
                               : 0;
      start[static_cast<size_t>(c.map[k])] = indices.IntAt(at + static_cast<int64_t>(k) * step);
    }
    for (size_t k = 0; k < c.operand_batch.size(); ++k) {
      start[static_cast<size_t>(c.operand_batch[k])] =
          batch_of_dim[static_cast<size_t>(c.indices_batch[k])];
    }
    bool fits = true;
    int64_t clamped = 0;
    size_t w = 0;
    for (size_t d = 0; d < c.operand.size(); ++d) {
      const int64_t limit = c.operand[d] - c.window[d];
      fits = fits && start[d] >= 0 && start[d] <= limit;
      const int64_t inside = Has(c.collapsed, d) || Has(c.operand_batch, d) ? 0 : offset[w++];
      clamped += (std::clamp<int64_t>(start[d], 0, limit) + inside) * strides[d];
    }
    visit(e, fits, clamped);
  }
}

void Append(std::vector<int64_t>* params, const Dims& list) {
  params->push_back(static_cast<int64_t>(list.size()));
  params->insert(params->end(), list.begin(), list.end());
}

std::vector<int64_t> Params(const Case& c, bool gather, CombineKind kind = CombineKind::kReplace) {
  std::vector<int64_t> p;
  for (const Dims& list : {c.offset, c.collapsed, c.operand_batch, c.indices_batch, c.map})
    Append(&p, list);
  p.push_back(c.vector_dim);
  if (gather) {
    Append(&p, c.window);
  } else {
    p.push_back(static_cast<int64_t>(kind));
  }
  return p;
}

Tensor RandomIndices(DType dtype, const Case& c, std::mt19937_64& rng) {
  Tensor t = *Tensor::Create(dtype, c.indices);
  for (int64_t i = 0; i < t.size(); ++i) {
    const auto v = static_cast<int64_t>(rng() % 60) - (tensor::IsSigned(dtype) ? 8 : 0);
    t.SetInt(i, rng() % 50 == 0      ? static_cast<int64_t>(rng())
                : c.operand[0] > 500 ? v * 17
                                     : v % 14);
  }
  return t;
}

TEST(GatherTest, EqualsTheSpecificationForEveryElementAndIndexType) {
  std::mt19937_64 rng(1);
  for (const Case& c : kCases) {
    for (const DType index : {DType::kI32, DType::kI64, DType::kU32, DType::kU64, DType::kI8,
                              DType::kU8, DType::kI16, DType::kU16}) {
      for (const DType dtype :
           {DType::kBool, DType::kBF16, DType::kF32, DType::kF64, DType::kC128}) {
        const Tensor operand = RandomTensor(dtype, c.operand, rng);
        const Tensor indices = RandomIndices(index, c, rng);
        const Shape shape = ArrayShape(c);
        const auto got =
            RunKernel("gather", Params(c, true), {operand, indices}, {{dtype, shape}}, 3);
        ASSERT_TRUE(got.ok()) << got.status().ToString() << " case " << &c - kCases;
        Tensor want = *Tensor::Create(dtype, shape);
        const int w = tensor::ByteWidth(dtype);
        // u64 indices beyond i64 are great, not negative.
        Tensor as_signed = *Tensor::Create(DType::kI64, c.indices);
        for (int64_t i = 0; i < indices.size(); ++i) {
          const int64_t v = indices.IntAt(i);
          as_signed.SetInt(i, index == DType::kU64 && v < 0 ? INT64_MAX : v);
        }
        ForEach(c, as_signed, [&](int64_t e, bool, int64_t at) {
          std::memcpy(static_cast<char*>(want.mutable_data()) + e * w,
                      static_cast<const char*>(operand.data()) + at * w, static_cast<size_t>(w));
        });
        ASSERT_TRUE((*got)[0].bytes() == want.bytes())
            << "case " << &c - kCases << " " << tensor::Name(dtype) << " " << tensor::Name(index);
      }
    }
  }
}

TEST(ScatterTest, EqualsTheSpecificationForEveryCombination) {
  std::mt19937_64 rng(2);
  constexpr DType kTypes[] = {DType::kBool, DType::kI8,  DType::kU8,  DType::kI16, DType::kU16,
                              DType::kI32,  DType::kU32, DType::kI64, DType::kU64, DType::kBF16,
                              DType::kF16,  DType::kF32, DType::kF64};
  for (const Case& c : kCases) {
    for (const DType dtype : kTypes) {
      for (int64_t k = 0; k < kNumCombineKinds; ++k) {
        const auto kind = static_cast<CombineKind>(k);
        if (tensor::IsFloat(dtype) && k >= static_cast<int64_t>(CombineKind::kAnd)) continue;
        const Tensor operand = RandomTensor(dtype, c.operand, rng);
        const Tensor indices = RandomIndices(DType::kI32, c, rng);
        const Tensor updates = RandomTensor(dtype, ArrayShape(c), rng);
        const bool in_place = rng() % 2 == 0;
        const auto got = RunKernel("scatter", Params(c, false, kind), {operand, indices, updates},
                                   {SpecOf(operand)}, rng() % 2 == 0 ? 1 : 3, in_place);
        ASSERT_TRUE(got.ok()) << got.status().ToString() << " case " << &c - kCases;
        Tensor want = *Tensor::FromBytes(dtype, c.operand, operand.bytes());
        // The array is in the order of the batch only if window dimensions come last; apply by
        // batch position otherwise.
        std::vector<std::pair<int64_t, std::pair<int64_t, int64_t>>> steps;
        const Shape shape = updates.shape();
        const Dims strides = tensor::RowMajorStrides(shape);
        ForEach(c, indices, [&](int64_t e, bool fits, int64_t at) {
          int64_t b = 0;
          for (size_t i = 0; i < shape.size(); ++i) {
            if (!Has(c.offset, i)) b = b * shape[i] + e / strides[i] % shape[i];
          }
          if (fits) steps.push_back({b, {at, e}});
        });
        std::ranges::stable_sort(steps, {}, [](const auto& s) { return s.first; });
        for (const auto& [b, step] : steps)
          CombineAt(kind, &want, step.first, updates, step.second);
        ASSERT_TRUE(SameElements((*got)[0], want))
            << "case " << &c - kCases << " " << tensor::Name(dtype) << " combination " << k;
      }
    }
  }
}

TEST(ScatterTest, AddsAndReplacesComplexElements) {
  std::mt19937_64 rng(3);
  for (const Case& c : kCases) {
    for (const DType dtype : {DType::kC64, DType::kC128}) {
      for (const CombineKind kind : {CombineKind::kAdd, CombineKind::kReplace}) {
        const Tensor operand = RandomTensor(dtype, c.operand, rng);
        const Tensor indices = RandomIndices(DType::kI32, c, rng);
        const Tensor updates = RandomTensor(dtype, ArrayShape(c), rng);
        const auto all = RunKernel("scatter", Params(c, false, kind), {operand, indices, updates},
                                   {SpecOf(operand)}, 2);
        ASSERT_TRUE(all.ok());
        // The same with bytes: replacing 16 bytes, or with parts one after the other.
        if (kind == CombineKind::kReplace || c.window.size() != 2 || c.window[1] < 2) continue;
        Tensor want = *Tensor::FromBytes(dtype, c.operand, operand.bytes());
        if (dtype == DType::kC64) {
          auto* w = static_cast<std::complex<float>*>(want.mutable_data());
          const auto u = updates.As<std::complex<float>>();
          if (c.offset != Dims{1}) continue;
          ForEach(c, indices, [&](int64_t e, bool fits, int64_t at) {
            if (fits) w[at] += u[static_cast<size_t>(e)];
          });
          EXPECT_TRUE((*all)[0].bytes() == want.bytes());
        }
      }
    }
  }
}

TEST(ScatterTest, DoesNotDependOnTheNumberOfThreads) {
  std::mt19937_64 rng(4);
  const Case& c = kCases[std::size(kCases) - 1];
  const Tensor operand = RandomTensor(DType::kF32, c.operand, rng, false);
  const Tensor indices = RandomIndices(DType::kI32, c, rng);
  const Tensor updates = RandomTensor(DType::kF32, ArrayShape(c), rng, false);
  const auto params = Params(c, false, CombineKind::kAdd);
  const auto one = RunKernel("scatter", params, {operand, indices, updates}, {SpecOf(operand)}, 1);
  ASSERT_TRUE(one.ok());
  for (const int threads : {2, 3, 7}) {
    const auto many =
        RunKernel("scatter", params, {operand, indices, updates}, {SpecOf(operand)}, threads, true);
    ASSERT_TRUE(many.ok());
    EXPECT_TRUE((*one)[0].bytes() == (*many)[0].bytes());
  }
}

TEST(IndexKernelsTest, RefuseDamagedParameters) {
  std::mt19937_64 rng(5);
  for (const Case& c : kCases) {
    const ArraySpec operand{DType::kF32, c.operand};
    const ArraySpec indices{DType::kI32, c.indices};
    const ArraySpec array{DType::kF32, ArrayShape(c)};
    for (const bool gather : {true, false}) {
      const std::vector<int64_t> good = Params(c, gather);
      const auto prepare = [&](const std::vector<int64_t>& params) {
        return gather ? PrepareByName("gather", params, {operand, indices}, {array})
                      : PrepareByName("scatter", params, {operand, indices, array}, {operand});
      };
      ASSERT_TRUE(prepare(good).ok());
      for (size_t cut = 0; cut < good.size(); ++cut)
        EXPECT_FALSE(prepare({good.begin(), good.begin() + static_cast<int64_t>(cut)}).ok());
      // Any change is refused or makes a kernel that stays inside its arrays.
      for (size_t at = 0; at < good.size(); ++at) {
        for (const int64_t v : {int64_t{-1}, int64_t{0}, int64_t{1}, int64_t{2}, int64_t{3},
                                int64_t{1000}, INT64_MAX, INT64_MIN}) {
          std::vector<int64_t> bad = good;
          bad[at] = v;
          if (!prepare(bad).ok()) continue;
          const Tensor x = RandomTensor(DType::kF32, c.operand, rng);
          const Tensor i = RandomIndices(DType::kI32, c, rng);
          const Tensor a = RandomTensor(DType::kF32, array.shape, rng);
          const auto got = gather ? RunKernel("gather", bad, {x, i}, {array})
                                  : RunKernel("scatter", bad, {x, i, a}, {operand});
          EXPECT_TRUE(got.ok());
        }
      }
    }
  }
}

}  // namespace
}  // namespace megalith::kernels
