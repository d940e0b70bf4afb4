#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>

#include "common/machines/kernels/kernel_testing.h"
#include "common/machines/kernels/strided.h"

namespace megalith::kernels {
namespace {

constexpr DType kWidths[] = {DType::kU8, DType::kBF16, DType::kF32, DType::kF64, DType::kC128};

char* At(Tensor* t, int64_t i) {
  return static_cast<char*>(t->mutable_data()) + i * tensor::ByteWidth(t->dtype());
}
const char* At(const Tensor& t, int64_t i) {
  return static_cast<const char*>(t.data()) + i * tensor::ByteWidth(t.dtype());
}

struct Piece {
  Dims sizes;
  int64_t to;
  Dims to_strides;
  int64_t from;
  Dims from_strides;
};

std::vector<int64_t> Params(bool fills, const std::vector<Piece>& pieces) {
  std::vector<int64_t> p{fills};
  const auto list = [&](const Dims& d) {
    p.push_back(static_cast<int64_t>(d.size()));
    p.insert(p.end(), d.begin(), d.end());
  };
  for (const Piece& piece : pieces) {
    list(piece.sizes);
    p.push_back(piece.to);
    list(piece.to_strides);
    p.push_back(piece.from);
    list(piece.from_strides);
  }
  return p;
}

void CopyPlainly(const Piece& p, const Tensor& from, Tensor* to) {
  const int64_t n = *tensor::NumElements(p.sizes);
  const Dims strides = tensor::RowMajorStrides(p.sizes);
  for (int64_t e = 0; e < n; ++e) {
    int64_t t = p.to;
    int64_t f = p.from;
    for (size_t d = 0; d < p.sizes.size(); ++d) {
      const int64_t i = e / strides[d] % p.sizes[d];
      t += i * p.to_strides[d];
      f += i * p.from_strides[d];
    }
    std::memcpy(At(to, t), At(from, f), static_cast<size_t>(tensor::ByteWidth(to->dtype())));
  }
}

TEST(StridedCopyTest, TransposesEveryShapeAndWidth) {
  std::mt19937_64 rng(1);
  const Shape shapes[] = {{},           {7},         {5, 9},      {64, 64},    {65, 130},
                          {300, 20},    {2, 3, 4},   {16, 1, 40}, {3, 70, 66}, {17, 33, 5},
                          {4, 5, 6, 7}, {1, 128, 2}, {700, 900},  {2, 0, 3},   {33, 2, 2, 35}};
  for (const DType dtype : kWidths) {
    for (const Shape& shape : shapes) {
      std::vector<size_t> perm(shape.size());
      for (size_t i = 0; i < perm.size(); ++i) perm[i] = i;
      do {
        const Tensor in = RandomTensor(dtype, shape, rng, false);
        const Dims strides = tensor::RowMajorStrides(shape);
        Piece p;
        for (const size_t d : perm) {
          p.sizes.push_back(shape[d]);
          p.from_strides.push_back(strides[d]);
        }
        p.to = p.from = 0;
        p.to_strides = tensor::RowMajorStrides(p.sizes);
        const auto got = RunKernel("strided_copy", Params(false, {p}), {in}, {{dtype, p.sizes}}, 2);
        ASSERT_TRUE(got.ok()) << got.status().ToString();
        Tensor want = *Tensor::Create(dtype, p.sizes);
        CopyPlainly(p, in, &want);
        ASSERT_TRUE((*got)[0].bytes() == want.bytes())
            << tensor::Name(dtype) << tensor::DimsText(shape) << " to "
            << tensor::DimsText(p.sizes);
      } while (shape.size() < 4 && std::next_permutation(perm.begin(), perm.end()));
    }
  }
}

TEST(StridedCopyTest, SlicesReversesBroadcastsAndPads) {
  std::mt19937_64 rng(2);
  for (const DType dtype : kWidths) {
    for (int round = 0; round < 300; ++round) {
      Shape shape;
      const size_t rank = 1 + rng() % 4;
      for (size_t d = 0; d < rank; ++d) shape.push_back(static_cast<int64_t>(1 + rng() % 20));
      const Tensor in = RandomTensor(dtype, shape, rng, false);
      const Dims strides = tensor::RowMajorStrides(shape);
      Piece p;
      Shape out;
      p.to = p.from = 0;
      std::vector<std::pair<int64_t, int64_t>> places;  // start and step in the result
      for (size_t d = 0; d < rank; ++d) {
        const auto start = static_cast<int64_t>(rng() % static_cast<uint64_t>(shape[d]));
        const auto step = static_cast<int64_t>(1 + rng() % 3);
        const int64_t n = (shape[d] - start + step - 1) / step;
        const bool reversed = rng() % 3 == 0;
        const bool broadcast = rng() % 5 == 0;
        p.sizes.push_back(n);
        p.from += (start + (reversed && !broadcast ? (n - 1) * step : 0)) * strides[d];
        p.from_strides.push_back(broadcast ? 0 : (reversed ? -step : step) * strides[d]);
        places.emplace_back(rng() % 3, 1 + rng() % 2);
        out.push_back(places[d].first + (n - 1) * places[d].second + 1 +
                      static_cast<int64_t>(rng() % 3));
      }
      const Dims to_strides = tensor::RowMajorStrides(out);
      for (size_t d = 0; d < rank; ++d) {
        p.to += places[d].first * to_strides[d];
        p.to_strides.push_back(places[d].second * to_strides[d]);
      }
      const Tensor value = RandomTensor(dtype, Shape{}, rng, false);
      const auto got = RunKernel("strided_copy", Params(true, {p}), {in, value}, {{dtype, out}}, 2);
      ASSERT_TRUE(got.ok()) << got.status().ToString();
      Tensor want = *Tensor::Create(dtype, out);
      for (int64_t i = 0; i < want.size(); ++i)
        std::memcpy(At(&want, i), value.data(), static_cast<size_t>(tensor::ByteWidth(dtype)));
      CopyPlainly(p, in, &want);
      ASSERT_TRUE((*got)[0].bytes() == want.bytes()) << "round " << round;
    }
  }
}

TEST(StridedCopyTest, Concatenates) {
  std::mt19937_64 rng(3);
  for (const DType dtype : kWidths) {
    const Tensor a = RandomTensor(dtype, Shape{3, 4, 5}, rng, false);
    const Tensor b = RandomTensor(dtype, Shape{3, 2, 5}, rng, false);
    const std::vector<Piece> pieces = {{{3, 4, 5}, 0, {30, 5, 1}, 0, {20, 5, 1}},
                                       {{3, 2, 5}, 20, {30, 5, 1}, 0, {10, 5, 1}}};
    const auto got =
        RunKernel("strided_copy", Params(false, pieces), {a, b}, {{dtype, Shape{3, 6, 5}}});
    ASSERT_TRUE(got.ok());
    Tensor want = *Tensor::Create(dtype, Shape{3, 6, 5});
    CopyPlainly(pieces[0], a, &want);
    CopyPlainly(pieces[1], b, &want);
    EXPECT_TRUE((*got)[0].bytes() == want.bytes());
  }
}

TEST(StridedCopyTest, RefusesWhatReachesOutside) {
  const ArraySpec in{DType::kF32, Shape{4, 6}};
  const ArraySpec out{DType::kF32, Shape{6, 4}};
  const Piece good{{6, 4}, 0, {4, 1}, 0, {1, 6}};
  EXPECT_TRUE(PrepareByName("strided_copy", Params(false, {good}), {in}, {out}).ok());
  const std::vector<int64_t> params = Params(false, {good});
  for (size_t cut = 0; cut < params.size(); ++cut) {
    EXPECT_FALSE(PrepareByName("strided_copy",
                               {params.begin(), params.begin() + static_cast<int64_t>(cut)}, {in},
                               {out})
                     .ok());
  }
  for (size_t at = 0; at < params.size(); ++at) {
    for (const int64_t v : {int64_t{-1}, int64_t{100}, INT64_MAX, INT64_MIN}) {
      std::vector<int64_t> bad = params;
      bad[at] = v;
      EXPECT_FALSE(PrepareByName("strided_copy", bad, {in}, {out}).ok()) << at << " is " << v;
    }
  }
  EXPECT_FALSE(PrepareByName("strided_copy", params, {{DType::kF64, in.shape}}, {out}).ok());
  EXPECT_FALSE(PrepareByName("strided_copy", Params(true, {}), {in}, {out}).ok());
}

TEST(FillTest, RepeatsAnElementOfAnyWidth) {
  std::mt19937_64 rng(4);
  for (const DType dtype : kWidths) {
    for (const int64_t n : {0, 1, 3, 16, 1000, 300000}) {
      const Tensor value = RandomTensor(dtype, Shape{}, rng, false);
      const auto got = RunKernel("fill", {}, {value}, {{dtype, Shape{n}}}, 3);
      ASSERT_TRUE(got.ok());
      bool all = true;
      for (int64_t i = 0; i < n; ++i) {
        all = all && std::memcmp(At((*got)[0], i), value.data(),
                                 static_cast<size_t>(tensor::ByteWidth(dtype))) == 0;
      }
      EXPECT_TRUE(all);
    }
  }
}

TEST(DynamicSliceTest, ClampsStartsOfEveryType) {
  std::mt19937_64 rng(5);
  for (const DType dtype : kWidths) {
    for (const DType index : {DType::kI8, DType::kU8, DType::kI16, DType::kU16, DType::kI32,
                              DType::kU32, DType::kI64, DType::kU64}) {
      for (int round = 0; round < 30; ++round) {
        const Shape shape{9, 1, 14};
        const Shape slice{static_cast<int64_t>(rng() % 10), 1, static_cast<int64_t>(rng() % 15)};
        const Tensor in = RandomTensor(dtype, shape, rng, false);
        const Tensor update = RandomTensor(dtype, slice, rng, false);
        std::vector<Tensor> starts;
        int64_t clamped[3];
        for (size_t d = 0; d < 3; ++d) {
          starts.push_back(*Tensor::Create(index, Shape{}));
          const int64_t wanted = tensor::IsSigned(index) ? static_cast<int64_t>(rng() % 30) - 10
                                                         : static_cast<int64_t>(rng() % 30);
          starts.back().SetInt(0, wanted);
          clamped[d] = std::clamp<int64_t>(wanted, 0, shape[d] - slice[d]);
        }
        const Dims strides = tensor::RowMajorStrides(shape);
        const int64_t offset = clamped[0] * strides[0] + clamped[2] * strides[2];
        const auto got =
            RunKernel("dynamic_slice", {}, {in, starts[0], starts[1], starts[2]}, {{dtype, slice}});
        ASSERT_TRUE(got.ok()) << got.status().ToString();
        Tensor want = *Tensor::Create(dtype, slice);
        const Piece cut{slice, 0, tensor::RowMajorStrides(slice), offset, strides};
        CopyPlainly(cut, in, &want);
        EXPECT_TRUE((*got)[0].bytes() == want.bytes());
        const auto updated =
            RunKernel("dynamic_update_slice", {}, {in, update, starts[0], starts[1], starts[2]},
                      {SpecOf(in)}, 1, round % 2 == 0);
        ASSERT_TRUE(updated.ok());
        want = *Tensor::FromBytes(dtype, shape, in.bytes());
        const Piece put{slice, offset, strides, 0, tensor::RowMajorStrides(slice)};
        CopyPlainly(put, update, &want);
        EXPECT_TRUE((*updated)[0].bytes() == want.bytes());
      }
    }
  }
}

TEST(DynamicSliceTest, RefusesWhatDoesNotFit) {
  const ArraySpec in{DType::kF32, Shape{4, 6}};
  const ArraySpec i{DType::kI32, Shape{}};
  EXPECT_TRUE(PrepareByName("dynamic_slice", {}, {in, i, i}, {in}).ok());
  EXPECT_FALSE(PrepareByName("dynamic_slice", {1}, {in, i, i}, {in}).ok());
  EXPECT_FALSE(PrepareByName("dynamic_slice", {}, {in, i}, {in}).ok());
  EXPECT_FALSE(PrepareByName("dynamic_slice", {}, {in, i, in}, {in}).ok());
  EXPECT_FALSE(PrepareByName("dynamic_slice", {}, {in, i, i}, {{DType::kF32, Shape{4, 7}}}).ok());
  EXPECT_FALSE(PrepareByName("dynamic_slice", {}, {}, {in}).ok());
  EXPECT_FALSE(PrepareByName("dynamic_update_slice", {}, {in}, {in}).ok());
  EXPECT_FALSE(PrepareByName("dynamic_update_slice", {}, {in, in, i}, {in}).ok());
}

// --- random bits ---

std::array<uint32_t, 2> ThreeFry(uint64_t key, uint64_t counter) {
  const uint32_t k[3] = {
      static_cast<uint32_t>(key), static_cast<uint32_t>(key >> 32),
      static_cast<uint32_t>(key) ^ static_cast<uint32_t>(key >> 32) ^ 0x1BD11BDAu};
  constexpr int kRotations[] = {13, 15, 26, 6, 17, 29, 16, 24};
  uint32_t a = static_cast<uint32_t>(counter) + k[0];
  uint32_t b = static_cast<uint32_t>(counter >> 32) + k[1];
  for (uint32_t round = 0; round < 20; ++round) {
    a += b;
    b = std::rotl(b, kRotations[round % 8]) ^ a;
    if (round % 4 != 3) continue;
    const uint32_t i = round / 4;
    a += k[(i + 1) % 3];
    b += k[(i + 2) % 3] + i + 1;
  }
  return {a, b};
}

std::array<uint32_t, 4> Philox(uint64_t key, uint64_t low, uint64_t high) {
  uint32_t c[4] = {static_cast<uint32_t>(low), static_cast<uint32_t>(low >> 32),
                   static_cast<uint32_t>(high), static_cast<uint32_t>(high >> 32)};
  auto k0 = static_cast<uint32_t>(key);
  auto k1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t p = 0xD2511F53ull * c[0];
    const uint64_t q = 0xCD9E8D57ull * c[2];
    const uint32_t next[4] = {static_cast<uint32_t>(q >> 32) ^ c[1] ^ k0, static_cast<uint32_t>(q),
                              static_cast<uint32_t>(p >> 32) ^ c[3] ^ k1, static_cast<uint32_t>(p)};
    std::copy(next, next + 4, c);
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {c[0], c[1], c[2], c[3]};
}

Tensor State(const std::vector<uint64_t>& words) {
  Tensor t = *Tensor::Create(DType::kU64, Shape{static_cast<int64_t>(words.size())});
  std::ranges::copy(words, t.MutableAs<uint64_t>().begin());
  return t;
}

TEST(RngBitsTest, ThreeFryPairsElementsAlongOneDimension) {
  struct Lines {
    Shape shape;
    size_t dim;
  };
  const Lines cases[] = {{{}, 0},           {{1}, 0},        {{7}, 0},    {{1000}, 0},
                         {{3, 6}, 1},       {{4, 5}, 0},     {{3, 5}, 1}, {{5, 3, 3}, 0},
                         {{3, 9, 4, 5}, 2}, {{20001, 3}, 0}, {{2, 0}, 0}};
  for (const Lines& c : cases) {
    for (const DType dtype : {DType::kU8, DType::kI16, DType::kU32, DType::kF32}) {
      const uint64_t key = 0x123456789ABCDEFull, counter = 0xFFFFFFFFFFull;
      const auto got = RunKernel("rng_bit_generator", {0}, {State({key, counter})},
                                 {{DType::kU64, Shape{2}}, {dtype, c.shape}}, 3);
      ASSERT_TRUE(got.ok()) << got.status().ToString();
      const Shape shape = c.shape.empty() ? Shape{1} : c.shape;
      Tensor want = *Tensor::Create(dtype, shape);
      int64_t outer = 1, inner = 1;
      for (size_t d = 0; d < shape.size(); ++d)
        (d < c.dim ? outer : inner) *= d == c.dim ? 1 : shape[d];
      uint64_t block = 0;
      for (int64_t o = 0; o < outer; ++o) {
        for (int64_t p = 0; p < (shape[c.dim] + 1) / 2; ++p) {
          for (int64_t i = 0; i < inner; ++i, ++block) {
            const auto x = ThreeFry(key, counter + block);
            for (int64_t half = 0; half < 2 && 2 * p + half < shape[c.dim]; ++half) {
              std::memcpy(At(&want, (o * shape[c.dim] + 2 * p + half) * inner + i),
                          &x[static_cast<size_t>(half)],
                          static_cast<size_t>(tensor::ByteWidth(dtype)));
            }
          }
        }
      }
      EXPECT_TRUE((*got)[1].bytes() == want.bytes()) << tensor::DimsText(c.shape);
      EXPECT_EQ((*got)[0].As<uint64_t>()[0], key);
      EXPECT_EQ((*got)[0].As<uint64_t>()[1], counter + block);
    }
  }
}

TEST(RngBitsTest, WideElementsTakeABlockOfThreeFryEach) {
  for (const int64_t n : {0, 1, 65, 9000}) {
    const auto got = RunKernel("rng_bit_generator", {0}, {State({7, 9})},
                               {{DType::kU64, Shape{2}}, {DType::kU64, Shape{n}}}, 2);
    ASSERT_TRUE(got.ok());
    for (int64_t i = 0; i < n; ++i) {
      const auto x = ThreeFry(7, 9 + static_cast<uint64_t>(i));
      ASSERT_EQ((*got)[1].As<uint64_t>()[static_cast<size_t>(i)], uint64_t{x[1]} << 32 | x[0]);
    }
    EXPECT_EQ((*got)[0].As<uint64_t>()[1], 9 + static_cast<uint64_t>(n));
  }
}

TEST(RngBitsTest, PhiloxCountsIn128Bits) {
  for (const std::vector<uint64_t>& words :
       {std::vector<uint64_t>{5, 6, 7}, {5, 6}, {5, UINT64_MAX - 3, 9}, {5, UINT64_MAX - 3}}) {
    for (const DType dtype : {DType::kU8, DType::kU16, DType::kU32, DType::kU64}) {
      for (const int64_t n : {0, 1, 2, 3, 30, 20001}) {
        const auto got = RunKernel(
            "rng_bit_generator", {1}, {State(words)},
            {{DType::kU64, Shape{static_cast<int64_t>(words.size())}}, {dtype, Shape{n}}}, 3);
        ASSERT_TRUE(got.ok());
        const int64_t per_block = dtype == DType::kU64 ? 2 : 4;
        uint64_t low = words[1];
        uint64_t high = words.size() == 3 ? words[2] : words[0];
        for (int64_t i = 0; i < n; i += per_block) {
          const auto x = Philox(words[0], low, high);
          high += ++low == 0 ? 1 : 0;
          for (int64_t j = 0; j < per_block && i + j < n; ++j) {
            const auto at = static_cast<size_t>(j);
            const uint64_t bits =
                dtype == DType::kU64 ? uint64_t{x[2 * at + 1]} << 32 | x[2 * at] : x[at];
            ASSERT_EQ(std::memcmp(At((*got)[1], i + j), &bits,
                                  static_cast<size_t>(tensor::ByteWidth(dtype))),
                      0);
          }
        }
        EXPECT_EQ((*got)[0].As<uint64_t>()[1], low);
        if (words.size() == 3) {
          EXPECT_EQ((*got)[0].As<uint64_t>()[2], high);
        }
      }
    }
  }
}

TEST(RngBitsTest, RefusesWhatDoesNotFit) {
  const ArraySpec state{DType::kU64, Shape{2}};
  const ArraySpec bits{DType::kU32, Shape{5}};
  EXPECT_TRUE(PrepareByName("rng_bit_generator", {0}, {state}, {state, bits}).ok());
  EXPECT_FALSE(PrepareByName("rng_bit_generator", {}, {state}, {state, bits}).ok());
  EXPECT_FALSE(PrepareByName("rng_bit_generator", {2}, {state}, {state, bits}).ok());
  EXPECT_FALSE(PrepareByName("rng_bit_generator", {0, 0}, {state}, {state, bits}).ok());
  EXPECT_FALSE(PrepareByName("rng_bit_generator", {0}, {bits}, {bits, bits}).ok());
  const ArraySpec three{DType::kU64, Shape{3}};
  EXPECT_FALSE(PrepareByName("rng_bit_generator", {0}, {three}, {three, bits}).ok());
  const ArraySpec complex{DType::kC64, Shape{3}};
  EXPECT_FALSE(PrepareByName("rng_bit_generator", {0}, {state}, {state, complex}).ok());
}

}  // namespace
}  // namespace megalith::kernels
