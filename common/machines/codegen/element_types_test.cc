// Elements that registers cannot hold as they are: complex numbers, integers of less than a byte
// and floats of a byte or less. Both tiers against the reference evaluator.
#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <limits>

#include "common/foundation/base/strings.h"
#include "common/machines/codegen/cpu_backend.h"
#include "common/machines/codegen/lower.h"
#include "common/machines/codegen/passes/passes.h"
#include "common/machines/runtime/package.h"
#include "common/programs/stablehlo/canonical.h"
#include "common/programs/stablehlo/evaluate.h"
#include "common/programs/stablehlo/parser.h"
#include "common/programs/stablehlo/printer.h"

namespace megalith::codegen {
namespace {

using tensor::DType;
using tensor::Tensor;

constexpr DType kNarrowFloats[] = {DType::kF4E2M1FN,      DType::kF8E3M4,    DType::kF8E4M3,
                                   DType::kF8E4M3B11FNUZ, DType::kF8E4M3FN,  DType::kF8E4M3FNUZ,
                                   DType::kF8E5M2,        DType::kF8E5M2FNUZ};
constexpr DType kNarrowInts[] = {DType::kI2, DType::kI4, DType::kU2, DType::kU4};

stablehlo::Module ParseMain(std::string_view program) {
  const auto parsed =
      stablehlo::ParseModule(StrCat("module @m {\n func.func public @main", program, "\n}\n"));
  EXPECT_TRUE(parsed.ok()) << parsed.status().ToString() << program;
  return *stablehlo::Canonicalize(*parsed);
}

// Ops that only the evaluator runs.
std::vector<std::string> Evaluated(stablehlo::Module module) {
  EXPECT_TRUE(RunPasses(&module, {}).ok());
  LowerOptions options;
  options.find_kernel = kernels::FindLibraryKernel;
  LowerReport report;
  EXPECT_TRUE(Lower(module, options, &report).ok() || !report.evaluated.empty());
  return report.evaluated;
}

// The results of both tiers, and first of the evaluator.
std::vector<std::vector<Tensor>> RunEverywhere(const stablehlo::Module& module,
                                               const std::vector<Tensor>& inputs) {
  std::vector<std::vector<Tensor>> results;
  auto want = stablehlo::Evaluate(module, inputs);
  EXPECT_TRUE(want.ok()) << want.status().ToString();
  if (!want.ok()) return results;
  results.push_back(*std::move(want));
  const auto backend = MakeCpuBackend();
  for (const std::string_view tier : {"0", "1"}) {
    runtime::CompileOptions options;
    options.settings["tier"] = tier;
    const auto package = backend->Compile(stablehlo::PrintModule(module), options, nullptr);
    EXPECT_TRUE(package.ok()) << package.status().ToString();
    if (!package.ok()) return results;
    const auto executable = backend->Load(*package);
    EXPECT_TRUE(executable.ok()) << executable.status().ToString();
    auto got = (*executable)->Run(inputs, {});
    EXPECT_TRUE(got.ok()) << got.status().ToString();
    if (got.ok()) results.push_back(*std::move(got));
  }
  return results;
}

// Same bits, but for which NaN it is.
void ExpectEqualElements(std::string_view program, const std::vector<Tensor>& inputs) {
  const stablehlo::Module module = ParseMain(program);
  EXPECT_EQ(Evaluated(module), std::vector<std::string>()) << program;
  const auto results = RunEverywhere(module, inputs);
  for (size_t r = 1; r < results.size(); ++r) {
    for (size_t k = 0; k < results[0].size(); ++k) {
      const Tensor &want = results[0][k], &got = results[r][k];
      ASSERT_EQ(got.TypeText(), want.TypeText());
      for (int64_t i = 0; i < want.size(); ++i) {
        if (tensor::IsFloat(want.dtype())) {
          const double x = got.DoubleAt(i), y = want.DoubleAt(i);
          if (std::isnan(x) && std::isnan(y)) continue;
          EXPECT_EQ(x, y) << program << "tier " << r - 1 << " element " << i;
          EXPECT_EQ(std::signbit(x), std::signbit(y)) << program << "element " << i;
        } else {
          EXPECT_EQ(got.IntAt(i), want.IntAt(i)) << program << "tier " << r - 1 << " element " << i;
        }
      }
    }
  }
}

std::string TypeOf(DType dtype, int64_t n) {
  return StrCat("tensor<", n, "x", tensor::MlirName(dtype), ">");
}

// Every code of the type.
Tensor AllCodes(DType dtype) {
  const int64_t n = int64_t{1} << tensor::BitWidth(dtype);
  Tensor t = *Tensor::Create(dtype, {n});
  auto* bytes = static_cast<uint8_t*>(t.mutable_data());
  for (int64_t i = 0; i < n; ++i) {
    if (tensor::IsInteger(dtype)) {
      t.SetInt(i, tensor::IsSigned(dtype) ? i - n / 2 : i);
    } else {
      bytes[i] = static_cast<uint8_t>(i);
    }
  }
  return t;
}

// Numbers of the type, what lies between two of them, and what is next to that; too large and too
// small ones.
Tensor NumbersAround(DType dtype, DType wide) {
  const Tensor codes = AllCodes(dtype);
  std::vector<double> values = {0.0, -0.0, std::nan(""), HUGE_VAL, -HUGE_VAL, 1e30, -1e30, 1e-30};
  for (int64_t i = 0; i < codes.size(); ++i) {
    const double v = codes.DoubleAt(i), next = codes.DoubleAt((i + 1) % codes.size());
    const double middle = (v + next) / 2;
    for (const double x : {v, middle}) {
      if (wide == DType::kF32) {
        const auto f = static_cast<float>(x);
        values.insert(values.end(),
                      {f, std::nextafterf(f, HUGE_VALF), std::nextafterf(f, -HUGE_VALF)});
      } else {
        values.insert(values.end(), {x, std::nextafter(x, HUGE_VAL), std::nextafter(x, -HUGE_VAL)});
      }
    }
  }
  Tensor t = *Tensor::Create(wide, {static_cast<int64_t>(values.size())});
  for (size_t i = 0; i < values.size(); ++i) t.SetDouble(static_cast<int64_t>(i), values[i]);
  return t;
}

std::string Convert(DType from, DType to, int64_t n) {
  const std::string a = TypeOf(from, n), b = TypeOf(to, n);
  return StrCat("(%x: ", a, ") -> ", b, " {\n  %r = stablehlo.convert %x : (", a, ") -> ", b,
                "\n  return %r : ", b, "\n}");
}

TEST(NarrowFloatTest, EveryCodeConvertsToWiderTypes) {
  for (const DType d : kNarrowFloats) {
    const Tensor codes = AllCodes(d);
    for (const DType to : {DType::kF32, DType::kF64, DType::kBF16, DType::kI32, DType::kI4}) {
      ExpectEqualElements(Convert(d, to, codes.size()), {codes});
    }
  }
}

TEST(NarrowFloatTest, ConversionsRoundToNearestEven) {
  for (const DType d : kNarrowFloats) {
    for (const DType wide : {DType::kF32, DType::kF64}) {
      const Tensor values = NumbersAround(d, wide);
      ExpectEqualElements(Convert(wide, d, values.size()), {values});
    }
  }
}

TEST(NarrowFloatTest, ArithmeticRoundsEveryResult) {
  for (const DType d : kNarrowFloats) {
    const Tensor x = AllCodes(d);
    Tensor y = AllCodes(d);
    auto* bytes = static_cast<uint8_t*>(y.mutable_data());
    const auto n = static_cast<uint64_t>(y.size());
    for (uint64_t i = 0; i < n; ++i) bytes[i] = static_cast<uint8_t>((i * 37 + 11) % n);
    const std::string t = TypeOf(d, x.size()), p = TypeOf(DType::kBool, x.size());
    ExpectEqualElements(
        StrCat("(%x: ", t, ", %y: ", t, ") -> (", t, ", ", t, ", ", p, ") {\n",
               "  %a = stablehlo.add %x, %y : ", t, "\n  %m = stablehlo.multiply %a, %y : ", t,
               "\n  %c = stablehlo.compare LT, %x, %m, FLOAT : (", t, ", ", t, ") -> ", p,
               "\n  %s = stablehlo.select %c, %x, %m : ", p, ", ", t,
               "\n  %n = stablehlo.negate %s : ", t, "\n  %b = stablehlo.maximum %n, %y : ", t,
               "\n  return %m, %b, %c : ", t, ", ", t, ", ", p, "\n}"),
        {x, y});
  }
}

TEST(NarrowIntTest, ArithmeticWraps) {
  for (const DType d : kNarrowInts) {
    const Tensor x = AllCodes(d);
    Tensor y = AllCodes(d);
    for (int64_t i = 0; i < y.size(); ++i) y.SetInt(i, x.IntAt((i * 7 + 3) % x.size()));
    const std::string t = TypeOf(d, x.size());
    std::string body, results, types;
    int count = 0;
    for (const std::string_view op : {"add", "subtract", "multiply", "divide", "remainder", "and",
                                      "xor", "maximum", "shift_left"}) {
      StrAppend(&body, "  %r", count, " = stablehlo.", op, " %x, %y : ", t, "\n");
      StrAppend(&results, count > 0 ? ", " : "", "%r", count);
      StrAppend(&types, count > 0 ? ", " : "", t);
      ++count;
    }
    ExpectEqualElements(StrCat("(%x: ", t, ", %y: ", t, ") -> (", types, ") {\n", body, "  return ",
                               results, " : ", types, "\n}"),
                        {x, y});
  }
}

TEST(NarrowIntTest, ConversionsSaturateFromFloatsAndWrapFromIntegers) {
  Tensor reals = *Tensor::Create(DType::kF32, {12});
  Tensor ints = *Tensor::Create(DType::kI32, {12});
  const double kReals[] = {0,    -0.5, 1.9, 7.9,   8.1,      -8.9,
                           -9.2, 15.5, 200, -1e30, HUGE_VAL, std::nan("")};
  for (int64_t i = 0; i < 12; ++i) {
    reals.SetDouble(i, kReals[i]);
    ints.SetInt(i, i * 5 - 23);
  }
  for (const DType d : kNarrowInts) {
    ExpectEqualElements(Convert(DType::kF32, d, 12), {reals});
    ExpectEqualElements(Convert(DType::kI32, d, 12), {ints});
    const Tensor codes = AllCodes(d);
    ExpectEqualElements(Convert(d, DType::kF32, codes.size()), {codes});
    ExpectEqualElements(Convert(d, DType::kBF16, codes.size()), {codes});
  }
}

TEST(TotalOrderTest, ComparesZerosAndNans) {
  Tensor x = *Tensor::Create(DType::kF32, {64}), y = x;
  const float kValues[] = {0.0f,          -0.0f,         1, -1, HUGE_VALF, -HUGE_VALF,
                           std::nanf(""), -std::nanf("")};
  for (int64_t i = 0; i < 64; ++i) {
    static_cast<float*>(x.mutable_data())[i] = kValues[i / 8];
    static_cast<float*>(y.mutable_data())[i] = kValues[i % 8];
  }
  for (const std::string_view direction : {"EQ", "NE", "LT", "LE", "GT", "GE"}) {
    ExpectEqualElements(
        StrCat("(%x: tensor<64xf32>, %y: tensor<64xf32>) -> tensor<64xi1> {\n  %r = "
               "stablehlo.compare ",
               direction,
               ", %x, %y, TOTALORDER : (tensor<64xf32>, tensor<64xf32>) -> "
               "tensor<64xi1>\n  return %r : tensor<64xi1>\n}"),
        {x, y});
  }
}

// --- complex numbers ---

Tensor ComplexGrid(DType dtype) {
  std::vector<double> parts = {0.0,  -0.0, 1.0,    -1.0,     0.5,       -0.75,        3.25, -20.0,
                               50.0, 1e-8, 1.0001, HUGE_VAL, -HUGE_VAL, std::nan(""), -2.5};
  if (dtype == DType::kC128) parts.insert(parts.end(), {1e-200, 1e200, -1e-300});
  const size_t n = parts.size();
  Tensor t = *Tensor::Create(dtype, {static_cast<int64_t>(n * n)});
  for (size_t i = 0; i < n * n; ++i) {
    t.SetComplex(static_cast<int64_t>(i), {parts[i / n], parts[i % n]});
  }
  return t;
}

// Within `ulps` of the modulus; infinities and NaN where the evaluator has them.
void ExpectNearComplex(std::string_view program, const std::vector<Tensor>& inputs, double ulps) {
  const stablehlo::Module module = ParseMain(program);
  EXPECT_EQ(Evaluated(module), std::vector<std::string>()) << program;
  const auto results = RunEverywhere(module, inputs);
  for (size_t r = 1; r < results.size(); ++r) {
    const Tensor &want = results[0][0], &got = results[r][0];
    const bool wide = want.dtype() == DType::kC128 || want.dtype() == DType::kF64;
    const double eps = wide ? 0x1p-52 : 0x1p-23;
    for (int64_t i = 0; i < want.size(); ++i) {
      const bool real = tensor::IsFloat(want.dtype());
      const std::complex<double> w = real ? want.DoubleAt(i) : want.ComplexAt(i);
      const std::complex<double> g = real ? got.DoubleAt(i) : got.ComplexAt(i);
      const auto fits = [&](double a, double b) {
        if (std::isnan(b)) return std::isnan(a);
        if (std::isinf(b) || std::isnan(a) || std::isinf(a)) return a == b;
        const double size = std::isfinite(std::abs(w)) ? std::abs(w) : std::fabs(b);
        return std::fabs(a - b) <= ulps * eps * size + (wide ? 1e-320 : 1e-44);
      };
      const auto show = [](std::complex<double> z) {
        return StrCat(z.real(), " + ", z.imag(), "i");
      };
      EXPECT_TRUE(fits(g.real(), w.real()) && fits(g.imag(), w.imag()))
          << program << "tier " << r - 1 << ": f("
          << show(inputs[0].ComplexAt(i % inputs[0].size())) << ") is " << show(w) << ", got "
          << show(g);
    }
  }
}

class ComplexTest : public testing::TestWithParam<DType> {};
INSTANTIATE_TEST_SUITE_P(Types, ComplexTest, testing::Values(DType::kC64, DType::kC128),
                         [](const auto& info) { return std::string(tensor::Name(info.param)); });

TEST_P(ComplexTest, FunctionsFollowTheEvaluator) {
  const Tensor x = ComplexGrid(GetParam());
  const std::string t = TypeOf(GetParam(), x.size());
  for (const std::string_view op :
       {"cbrt", "exponential", "exponential_minus_one", "log", "log_plus_one", "logistic", "rsqrt",
        "sign", "sqrt", "tan", "tanh"}) {
    ExpectNearComplex(StrCat("(%x: ", t, ") -> ", t, " {\n  %r = stablehlo.", op, " %x : ", t,
                             "\n  return %r : ", t, "\n}"),
                      {x}, 4);
  }
  const std::string real = TypeOf(tensor::RealPart(GetParam()), x.size());
  ExpectNearComplex(StrCat("(%x: ", t, ") -> ", real, " {\n  %r = stablehlo.abs %x : (", t, ") -> ",
                           real, "\n  return %r : ", real, "\n}"),
                    {x}, 4);
}

TEST_P(ComplexTest, OperationsOnTwoFollowTheEvaluator) {
  const Tensor x = ComplexGrid(GetParam());
  Tensor y = ComplexGrid(GetParam());
  for (int64_t i = 0; i < y.size(); ++i) y.SetComplex(i, x.ComplexAt((i * 31 + 7) % x.size()));
  const std::string t = TypeOf(GetParam(), x.size());
  for (const std::string_view op : {"divide", "maximum", "minimum"}) {
    ExpectNearComplex(StrCat("(%x: ", t, ", %y: ", t, ") -> ", t, " {\n  %r = stablehlo.", op,
                             " %x, %y : ", t, "\n  return %r : ", t, "\n}"),
                      {x, y}, 4);
  }
}

}  // namespace
}  // namespace megalith::codegen
