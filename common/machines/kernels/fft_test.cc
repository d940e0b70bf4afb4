#include "common/machines/kernels/fft.h"

#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <cstring>
#include <numbers>
#include <random>
#include <type_traits>
#include <vector>

#include "common/machines/kernels/fft_lanes.h"
#include "common/machines/kernels/kernel_test_util.h"

namespace megalith::kernels {
namespace {

using testing::MakeRun;
using c128 = std::complex<double>;
using wide = std::complex<long double>;

// The definition, along one dimension of a grid.
void Definition(std::vector<wide>* grid, int64_t outer, int64_t n, int64_t inner, bool inverse) {
  std::vector<wide> roots;
  for (int64_t k = 0; k < n; ++k) {
    const long double angle = (inverse ? 2 : -2) * std::numbers::pi_v<long double> *
                              static_cast<long double>(k) / static_cast<long double>(n);
    roots.emplace_back(std::cos(angle), std::sin(angle));
  }
  std::vector<wide> line(static_cast<size_t>(n));
  for (int64_t o = 0; o < outer * inner; ++o) {
    wide* at = grid->data() + o / inner * n * inner + o % inner;
    for (int64_t k = 0; k < n; ++k) {
      wide sum = 0;
      for (int64_t i = 0; i < n; ++i) sum += at[i * inner] * roots[static_cast<size_t>(i * k % n)];
      line[static_cast<size_t>(k)] = inverse ? sum / static_cast<long double>(n) : sum;
    }
    for (int64_t k = 0; k < n; ++k) at[k * inner] = line[static_cast<size_t>(k)];
  }
}

struct Case {
  FftKind kind;
  int64_t batch;
  std::vector<int64_t> lengths;
};

std::string Params(const Case& c) {
  std::vector<int64_t> v = {static_cast<int64_t>(c.kind), static_cast<int64_t>(c.lengths.size())};
  v.insert(v.end(), c.lengths.begin(), c.lengths.end());
  return PackParams(v);
}

// A random result of the given kind and what it is the transform of. For IRFFT the full spectrum is
// that of a real signal, so that its half defines it.
template <typename T>
void Check(const Case& c) {
  SCOPED_TRACE(::testing::Message() << "kind " << static_cast<int>(c.kind) << " batch " << c.batch
                                    << " of " << ::testing::PrintToString(c.lengths));
  const size_t rank = c.lengths.size();
  int64_t points = c.batch;
  for (const int64_t n : c.lengths) points *= n;
  const int64_t n = c.lengths.back(), half = n / 2 + 1, rows = points / n;
  const bool real_in = c.kind == FftKind::kRfft, real_out = c.kind == FftKind::kIrfft;
  const bool inverse = c.kind == FftKind::kIfft || real_out;
  std::mt19937 rng(static_cast<uint32_t>(points));
  std::uniform_real_distribution<float> d(-1, 1);
  std::vector<wide> x(static_cast<size_t>(points));
  for (wide& v : x) v = wide(d(rng), real_in || real_out ? 0 : d(rng));
  const auto transform = [&](bool backwards) {
    int64_t outer = c.batch;
    for (size_t i = 0; i < rank; ++i) {
      int64_t inner = 1;
      for (size_t j = i + 1; j < rank; ++j) inner *= c.lengths[j];
      Definition(&x, outer, c.lengths[i], inner, backwards);
      outer *= c.lengths[i];
    }
  };
  if (real_out) transform(false);
  const DType complex = std::is_same_v<T, float> ? DType::kC64 : DType::kC128;
  Shape in = {c.batch}, out = {c.batch};
  for (const int64_t l : c.lengths) {
    in.push_back(l);
    out.push_back(l);
  }
  if (real_out) in[rank] = half;
  if (real_in) out[rank] = half;
  Result<testing::KernelRun> run =
      MakeRun("fft", Params(c), {{real_in ? tensor::RealPart(complex) : complex, in}},
              {{real_out ? tensor::RealPart(complex) : complex, out}});
  ASSERT_TRUE(run.ok()) << run.status().ToString();
  T* operand = run->operand<T>(0);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t i = 0; i < (real_out ? half : n); ++i) {
      const wide v = x[static_cast<size_t>(r * n + i)];
      if (real_in) {
        operand[r * n + i] = static_cast<T>(v.real());
      } else {
        const int64_t at = r * (real_out ? half : n) + i;
        operand[2 * at] = static_cast<T>(v.real());
        operand[2 * at + 1] = static_cast<T>(v.imag());
      }
    }
  }
  ASSERT_TRUE(run->Run(ProcessPool()).ok());
  transform(inverse);
  long double error = 0, size = 0;
  const T* result = run->result<T>(0);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t i = 0; i < (real_in ? half : n); ++i) {
      const int64_t at = r * (real_in ? half : n) + i;
      const wide got = real_out ? wide(result[at]) : wide(result[2 * at], result[2 * at + 1]);
      const wide want = x[static_cast<size_t>(r * n + i)];
      error += std::norm(got - want);
      size += std::norm(want);
    }
  }
  const double eps = std::is_same_v<T, float> ? 0x1p-24 : 0x1p-53;
  ASSERT_LE(std::sqrt(error / size), eps * 3 * (2 + std::log2(static_cast<double>(points))));
}

template <typename T>
void CheckAll() {
  for (int kind = 0; kind < 4; ++kind) {
    for (const int64_t batch : {1, 3, 21}) {
      for (const int64_t n :
           {1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 15, 16, 21, 30, 35, 49, 64, 97, 100, 210, 256}) {
        Check<T>({static_cast<FftKind>(kind), batch, {n}});
        if (::testing::Test::HasFatalFailure()) return;
      }
    }
    for (const int64_t n : {1021, 1080, 2048}) {
      Check<T>({static_cast<FftKind>(kind), 1, {n}});
      if (::testing::Test::HasFatalFailure()) return;
    }
    for (const std::vector<int64_t>& lengths :
         {std::vector<int64_t>{8, 8}, {5, 12}, {11, 6}, {3, 4, 5}, {6, 11, 2}, {1, 16, 9}}) {
      Check<T>({static_cast<FftKind>(kind), 2, lengths});
      if (::testing::Test::HasFatalFailure()) return;
    }
  }
}

TEST(FftTest, EqualsDefinitionForF32) { CheckAll<float>(); }
TEST(FftTest, EqualsDefinitionForF64) { CheckAll<double>(); }

// A shifted impulse has a known transform, at any length.
TEST(FftTest, TransformsLongImpulse) {
  for (const int64_t n : {int64_t{1} << 16, int64_t{1} << 20, int64_t{1} << 21, int64_t{100003}}) {
    auto run = MakeRun("fft", PackParams(std::vector<int64_t>{0, 1, n}), {{DType::kC64, {n}}},
                       {{DType::kC64, {n}}});
    ASSERT_TRUE(run.ok()) << run.status().ToString();
    float* x = run->operand<float>(0);
    std::fill_n(x, 2 * n, 0.0F);
    x[6] = 1;
    ASSERT_TRUE(run->Run(ProcessPool()).ok());
    const float* y = run->result<float>(0);
    double worst = 0;
    for (int64_t k = 0; k < n; ++k) {
      const double angle =
          -2 * std::numbers::pi * static_cast<double>(3 * k % n) / static_cast<double>(n);
      worst = std::max(
          {worst, std::abs(y[2 * k] - std::cos(angle)), std::abs(y[2 * k + 1] - std::sin(angle))});
    }
    EXPECT_LE(worst, 1e-6) << n;
  }
}

TEST(FftTest, LongLinesNeedNoScratch) {
  const Shape shape = {int64_t{1} << 16};
  auto run = MakeRun("fft", PackParams(std::vector<int64_t>{0, 1, shape[0]}),
                     {{DType::kC64, shape}}, {{DType::kC64, shape}});
  ASSERT_TRUE(run.ok()) << run.status().ToString();
  EXPECT_EQ(run->kernel.scratch_bytes, 0U);
  EXPECT_EQ(run->kernel.in_place, 0U);
}

TEST(FftTest, WorksInPlace) {
  for (const int64_t n : {16, 97, 3969}) {
    auto run = MakeRun("fft", PackParams(std::vector<int64_t>{1, 2, 3, n}), {{DType::kC64, {3, n}}},
                       {{DType::kC64, {3, n}}});
    ASSERT_TRUE(run.ok());
    ASSERT_EQ(run->kernel.in_place, 1U);
    for (int64_t i = 0; i < 6 * n; ++i) run->operand<float>(0)[i] = static_cast<float>(i % 13);
    ASSERT_TRUE(run->Run(ProcessPool()).ok());
    const void* in[] = {run->in[0].data()};
    void* out[] = {run->in[0].data()};
    const KernelCall call = {in, out, run->scratch.data(), ProcessPool()};
    ASSERT_TRUE(run->kernel.run(run->kernel.state.get(), call).ok());
    EXPECT_EQ(std::memcmp(run->in[0].data(), run->out[0].data(), static_cast<size_t>(24 * n)), 0);
  }
}

// All instruction sets agree on whole lines.
template <typename T>
void CompareLanes() {
  for (int level = 0; level <= static_cast<int>(MachineIsa()); ++level) {
    const FftLanes<T>& lanes = FftLanesFor<T>(static_cast<Isa>(level));
    LineFft<T> plan;
    const T one[] = {1, 0};
    plan.n = 2;
    plan.pass_count = 1;
    plan.passes[0] = {2, 1, 1, one};
    std::vector<T> data;
    for (int i = 0; i < 4 * lanes.lanes; ++i) data.push_back(static_cast<T>(i + 1));
    LineLayout rows;
    rows.n = rows.count = 2;
    rows.line = 2;
    rows.step = 1;
    alignas(64) T a[64], b[64];
    lanes.load(rows, data.data(), lanes.lanes, a);
    const T* done = lanes.transform(plan, a, a, b);
    std::vector<T> out(data.size());
    lanes.store(rows, done, lanes.lanes, T{1}, out.data());
    for (size_t i = 0; i < out.size(); i += 4) {
      EXPECT_EQ(out[i], data[i] + data[i + 2]);
      EXPECT_EQ(out[i + 1], data[i + 1] + data[i + 3]);
      EXPECT_EQ(out[i + 2], data[i] - data[i + 2]);
      EXPECT_EQ(out[i + 3], data[i + 1] - data[i + 3]);
    }
  }
}

TEST(FftLanesTest, EveryInstructionSetTransforms) {
  CompareLanes<float>();
  CompareLanes<double>();
}

TEST(FftTest, RefusesWhatDoesNotFit) {
  const ArraySpec c = {DType::kC64, {2, 8}}, r = {DType::kF32, {2, 8}}, h = {DType::kC64, {2, 5}},
                  d = {DType::kC128, {2, 8}};
  const auto code = [](std::vector<int64_t> v, const ArraySpec& in, const ArraySpec& out) {
    return MakeRun("fft", PackParams(v), {in}, {out}).status().code();
  };
  EXPECT_EQ(code({0, 1, 8}, c, c), Code::kOk);
  EXPECT_EQ(code({2, 1, 8}, r, h), Code::kOk);
  EXPECT_EQ(code({3, 1, 8}, h, r), Code::kOk);
  EXPECT_EQ(code({3, 1, 9}, h, r), Code::kInvalidArgument);
  EXPECT_EQ(code({4, 1, 8}, c, c), Code::kInvalidArgument);
  EXPECT_EQ(code({0, 1, 7}, c, c), Code::kInvalidArgument);
  EXPECT_EQ(code({0, 2, 8}, c, c), Code::kInvalidArgument);
  EXPECT_EQ(code({0, 3, 1, 2, 8}, c, c), Code::kInvalidArgument);
  EXPECT_EQ(code({0, 1, -8}, c, c), Code::kInvalidArgument);
  EXPECT_EQ(code({0, 1, 8}, r, c), Code::kInvalidArgument);
  EXPECT_EQ(code({0, 1, 8}, c, d), Code::kInvalidArgument);
  EXPECT_EQ(code({0, 1, 0}, {DType::kC64, {0}}, {DType::kC64, {0}}), Code::kUnimplemented);
  EXPECT_EQ(code({}, c, c), Code::kInvalidArgument);
}

}  // namespace
}  // namespace megalith::kernels
