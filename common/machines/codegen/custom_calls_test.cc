// Factorizations as JAX writes them for CPUs, on the evaluator and on the cpu backend: what their
// results satisfy, for every target and element type.
#include "common/machines/codegen/custom_calls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <complex>
#include <limits>
#include <random>

#include "common/foundation/base/strings.h"
#include "common/machines/codegen/cpu_backend.h"
#include "common/programs/stablehlo/evaluate.h"
#include "common/programs/stablehlo/lapack_calls.h"
#include "common/programs/stablehlo/parser.h"

namespace megalith::codegen {
namespace {

using stablehlo::TensorType;
using tensor::DType;
using tensor::Shape;
using tensor::Tensor;
using ::testing::HasSubstr;
using C = std::complex<double>;

constexpr int64_t kBatch = 2;

// A matrix of one batch element, in double.
struct Mat {
  int64_t m = 0, n = 0;
  std::vector<C> v;
  Mat(int64_t rows, int64_t columns) : m(rows), n(columns), v(static_cast<size_t>(m * n)) {}
  C& operator()(int64_t i, int64_t j) { return v[static_cast<size_t>(i * n + j)]; }
  C operator()(int64_t i, int64_t j) const { return v[static_cast<size_t>(i * n + j)]; }
};

Mat Product(const Mat& a, const Mat& b) {
  Mat out(a.m, b.n);
  for (int64_t i = 0; i < a.m; ++i) {
    for (int64_t k = 0; k < a.n; ++k) {
      for (int64_t j = 0; j < b.n; ++j) out(i, j) += a(i, k) * b(k, j);
    }
  }
  return out;
}
Mat Adjoint(const Mat& a) {
  Mat out(a.n, a.m);
  for (int64_t i = 0; i < a.m; ++i) {
    for (int64_t j = 0; j < a.n; ++j) out(j, i) = std::conj(a(i, j));
  }
  return out;
}
Mat Diagonal(const Mat& values, int64_t m, int64_t n) {
  Mat out(m, n);
  for (int64_t i = 0; i < values.n; ++i) out(i, i) = values(0, i);
  return out;
}
Mat Identity(int64_t n) {
  Mat out(n, n);
  for (int64_t i = 0; i < n; ++i) out(i, i) = 1;
  return out;
}
// Elements with i - j in [low, high].
Mat Band(const Mat& a, int64_t low, int64_t high) {
  Mat out = a;
  for (int64_t i = 0; i < a.m; ++i) {
    for (int64_t j = 0; j < a.n; ++j) {
      if (i - j < low || i - j > high) out(i, j) = 0;
    }
  }
  return out;
}
Mat Lower(const Mat& a) { return Band(a, 0, a.m); }
Mat Upper(const Mat& a) { return Band(a, -a.n, 0); }

double Distance(const Mat& a, const Mat& b) {
  EXPECT_EQ(a.m, b.m);
  EXPECT_EQ(a.n, b.n);
  double most = 0;
  for (size_t i = 0; i < a.v.size(); ++i) most = std::max(most, std::abs(a.v[i] - b.v[i]));
  return most;
}

// The matrix (or vector, as a row) `index` of a tensor with one batch dimension.
Mat At(const Tensor& t, int64_t index) {
  const Shape& s = t.shape();
  const int64_t n = s.size() > 1 ? s[s.size() - 1] : 1;
  const int64_t m = s.size() > 2 ? s[1] : 1;
  Mat out(m, n);
  for (int64_t i = 0; i < m * n; ++i)
    out.v[static_cast<size_t>(i)] = t.ComplexAt(index * m * n + i);
  return out;
}

struct Elements {
  DType dtype;
  char letter;
};
constexpr Elements kElements[] = {
    {DType::kF32, 's'}, {DType::kF64, 'd'}, {DType::kC64, 'c'}, {DType::kC128, 'z'}};

Tensor Random(DType dtype, const Shape& shape, uint32_t seed) {
  std::mt19937 rng(seed);
  std::uniform_real_distribution<double> d(-1, 1);
  Tensor t = *Tensor::Create(dtype, shape);
  for (int64_t i = 0; i < t.size(); ++i) {
    const double re = d(rng), im = d(rng);
    if (tensor::IsComplex(dtype)) {
      t.SetComplex(i, {re, im});
    } else {
      t.SetDouble(i, re);
    }
  }
  return t;
}
// Random and hermitian, `shift` added to the diagonal.
Tensor Hermitian(DType dtype, int64_t n, double shift) {
  Tensor t = Random(dtype, {kBatch, n, n}, 7);
  for (int64_t b = 0; b < kBatch; ++b) {
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j <= i; ++j) {
        const int64_t at = b * n * n;
        C v = t.ComplexAt(at + i * n + j);
        if (i == j) v = v.real() + shift;
        if (tensor::IsComplex(dtype)) {
          t.SetComplex(at + i * n + j, v);
          t.SetComplex(at + j * n + i, std::conj(v));
        } else {
          t.SetDouble(at + i * n + j, v.real());
          t.SetDouble(at + j * n + i, v.real());
        }
      }
    }
  }
  return t;
}

std::string Layouts(const std::vector<TensorType>& types, size_t matrix_rank) {
  std::vector<std::string> out;
  for (const TensorType& t : types) {
    std::vector<int64_t> order;
    for (auto d = static_cast<int64_t>(t.rank()); d-- > 0;) order.push_back(d);
    if (t.rank() == matrix_rank) std::swap(order[0], order[1]);
    out.push_back(order.empty()       ? "dense<> : tensor<0xindex>"
                  : order.size() == 1 ? "dense<0> : tensor<1xindex>"
                                      : StrCat("dense<[", Join(order, ", "), "]> : tensor<",
                                               order.size(), "xindex>"));
  }
  return Join(out, ", ");
}

// The program of one call in JAX's spelling, whose results are those of the call.
std::string Text(std::string_view target, std::string_view config,
                 const std::vector<TensorType>& in, const std::vector<TensorType>& out) {
  std::vector<std::string> args, names, in_types, out_types, results;
  for (size_t i = 0; i < in.size(); ++i) {
    names.push_back(StrCat("%arg", i));
    in_types.push_back(in[i].Text());
    args.push_back(StrCat(names.back(), ": ", in_types.back()));
  }
  for (size_t i = 0; i < out.size(); ++i) {
    out_types.push_back(out[i].Text());
    results.push_back(out.size() == 1 ? "%0" : StrCat("%0#", i));
  }
  size_t rank = 0;
  for (const TensorType& t : in) rank = std::max(rank, t.rank());
  return StrCat("module @jit_f attributes {mhlo.num_partitions = 1 : i32} {\n",
                "  func.func public @main(", Join(args, ", "), ") -> (", Join(out_types, ", "),
                ") {\n    %0", out.size() == 1 ? "" : StrCat(":", out.size()),
                " = stablehlo.custom_call @", target, "(", Join(names, ", "),
                ") {backend_config = \"\", mhlo.backend_config = {", config,
                "}, mhlo.frontend_attributes = {num_batch_dims = \"1\"}, operand_layouts = [",
                Layouts(in, rank), "], output_operand_aliases = [], result_layouts = [",
                Layouts(out, rank), "]} : (", Join(in_types, ", "), ") -> (", Join(out_types, ", "),
                ")\n    return ", Join(results, ", "), " : ", Join(out_types, ", "), "\n  }\n}\n");
}

using Results = std::vector<Tensor>;

Result<Results> RunOnCpu(const std::string& text, const Results& inputs) {
  runtime::CompileOptions options;
  options.settings["tier"] = "0";
  const auto backend = MakeCpuBackend();
  ASSIGN_OR_RETURN(const std::string package, backend->Compile(text, options, {}));
  ASSIGN_OR_RETURN(const auto executable, backend->Load(package));
  return executable->Run(inputs);
}

Result<Results> RunOnEvaluator(const std::string& text, const Results& inputs) {
  ASSIGN_OR_RETURN(const stablehlo::Module module, stablehlo::ParseModule(text));
  return stablehlo::Evaluate(module, inputs);
}

// A call with one batch dimension of kBatch.
struct Call {
  std::string_view routine;  // "syevd"; of complex elements "heevd"
  std::string_view config;
  Results inputs;
  std::vector<TensorType> out;
};

// Runs a call on both machines and hands their results to `check`.
template <typename Check>
void OnBoth(const Call& call, char letter, const Check& check) {
  std::vector<TensorType> in;
  for (const Tensor& t : call.inputs) in.push_back({t.dtype(), t.shape()});
  const std::string text =
      Text(StrCat("lapack_", letter, call.routine, "_ffi"), call.config, in, call.out);
  for (const bool cpu : {false, true}) {
    SCOPED_TRACE(StrCat(cpu ? "cpu " : "evaluator ", letter, call.routine, " {", call.config,
                        "} of ", in[0].Text()));
    const Result<Results> results =
        cpu ? RunOnCpu(text, call.inputs) : RunOnEvaluator(text, call.inputs);
    ASSERT_TRUE(results.ok()) << results.status().ToString() << "\n" << text;
    check(*results);
  }
}

double Tolerance(DType dtype, int64_t n) {
  return (tensor::RealPart(dtype) == DType::kF32 ? 0x1p-23 : 0x1p-52) * 60 *
         static_cast<double>(n + 4);
}

TensorType Of(DType dtype, std::initializer_list<int64_t> dims) {
  TensorType t{dtype, Shape{kBatch}};
  for (const int64_t d : dims) t.shape.push_back(d);
  return t;
}
const TensorType kInfo{DType::kI32, Shape{kBatch}};

void ExpectInfo(const Tensor& info, int64_t want) {
  for (int64_t b = 0; b < kBatch; ++b) EXPECT_EQ(info.IntAt(b), want);
}

TEST(CustomCallsTest, PotrfFactorsTheTriangleItIsToldAndKeepsTheOther) {
  for (const auto& [dtype, letter] : kElements) {
    for (const int64_t n : {1, 5, 70, 130}) {
      const Tensor a = Hermitian(dtype, n, static_cast<double>(n));
      for (const bool lower : {true, false}) {
        OnBoth({"potrf",
                lower ? "uplo = 76 : ui8" : "uplo = 85 : ui8",
                {a},
                {Of(dtype, {n, n}), kInfo}},
               letter, [&](const Results& r) {
                 ExpectInfo(r[1], 0);
                 for (int64_t b = 0; b < kBatch; ++b) {
                   const Mat f = At(r[0], b);
                   const Mat l = lower ? Lower(f) : Adjoint(Upper(f));
                   EXPECT_LT(Distance(Product(l, Adjoint(l)), At(a, b)),
                             Tolerance(dtype, n) * static_cast<double>(n));
                   const int64_t low = lower ? -n : 1, high = lower ? -1 : n;
                   EXPECT_EQ(Distance(Band(f, low, high), Band(At(a, b), low, high)), 0);
                 }
               });
      }
    }
  }
}

TEST(CustomCallsTest, PotrfSaysWhichMinorIsNotPositive) {
  for (const auto& [dtype, letter] : kElements) {
    Tensor a = Hermitian(dtype, 70, 70);
    a.SetDouble(66 * 70 + 66, -1);
    OnBoth({"potrf", "uplo = 76 : ui8", {a}, {Of(dtype, {70, 70}), kInfo}}, letter,
           [&](const Results& r) {
             EXPECT_EQ(r[1].IntAt(0), 67);
             EXPECT_EQ(r[1].IntAt(1), 0);
           });
  }
}

TEST(CustomCallsTest, GetrfPivotsFromOne) {
  for (const auto& [dtype, letter] : kElements) {
    for (const auto& [m, n] : {std::pair<int64_t, int64_t>{1, 1},
                               {4, 4},
                               {5, 3},
                               {3, 5},
                               {70, 70},
                               {150, 90},
                               {90, 150},
                               {200, 200}}) {
      const Tensor a = Random(dtype, {kBatch, m, n}, 3);
      const int64_t k = std::min(m, n);
      OnBoth({"getrf", "", {a}, {Of(dtype, {m, n}), Of(DType::kI32, {k}), kInfo}}, letter,
             [&](const Results& r) {
               ExpectInfo(r[2], 0);
               for (int64_t b = 0; b < kBatch; ++b) {
                 const Mat f = At(r[0], b);
                 Mat l(m, k), u(k, n), pa = At(a, b);
                 for (int64_t i = 0; i < m; ++i) {
                   for (int64_t j = 0; j < n; ++j) {
                     if (j < k && i >= j) l(i, j) = i == j ? C(1) : f(i, j);
                     if (i < k && j >= i) u(i, j) = f(i, j);
                   }
                 }
                 for (int64_t i = 0; i < k; ++i) {
                   const int64_t p = r[1].IntAt(b * k + i) - 1;
                   ASSERT_GE(p, i);
                   ASSERT_LT(p, m);
                   for (int64_t j = 0; j < n; ++j) std::swap(pa(i, j), pa(p, j));
                 }
                 EXPECT_LT(Distance(Product(l, u), pa), Tolerance(dtype, k));
               }
             });
    }
  }
}

TEST(CustomCallsTest, GetrfOfSingularMatricesNamesTheColumn) {
  for (const auto& [dtype, letter] : kElements) {
    for (const int64_t n : {3, 80}) {
      Tensor a = Random(dtype, {kBatch, n, n}, 3);
      for (int64_t b = 0; b < kBatch; ++b) {
        for (int64_t i = 0; i < n; ++i) a.SetDouble((b * n + i) * n + 1, 0);
      }
      OnBoth({"getrf", "", {a}, {Of(dtype, {n, n}), Of(DType::kI32, {n}), kInfo}}, letter,
             [&](const Results& r) {
               ExpectInfo(r[2], 2);
               EXPECT_EQ(r[1].IntAt(1), 2);
             });
    }
  }
}

TEST(CustomCallsTest, GetrfTakesNanForTheLargest) {
  for (const auto& [dtype, letter] : kElements) {
    Tensor a = Random(dtype, {kBatch, 4, 4}, 3);
    a.SetDouble(2 * 4, std::numeric_limits<double>::quiet_NaN());
    OnBoth({"getrf", "", {a}, {Of(dtype, {4, 4}), Of(DType::kI32, {4}), kInfo}}, letter,
           [&](const Results& r) {
             EXPECT_EQ(r[1].IntAt(0), 3);
             EXPECT_TRUE(std::isnan(r[0].DoubleAt(0)));
             EXPECT_FALSE(std::isnan(r[0].DoubleAt(16)));
           });
  }
}

TEST(CustomCallsTest, TrsmSolvesFromBothSides) {
  for (const auto& [dtype, letter] : kElements) {
    for (const int64_t n : {3, 70}) {
      const Tensor a = Hermitian(dtype, n, static_cast<double>(n));
      for (int choice = 0; choice < 24; ++choice) {
        const bool left = choice % 2 == 0, lower = choice / 2 % 2 == 0, unit = choice / 4 % 2 == 0;
        const char trans = "NTC"[choice / 8];
        const Tensor x = Random(dtype, left ? Shape{kBatch, n, 5} : Shape{kBatch, 5, n}, 9);
        const std::string config =
            StrCat("diag = ", unit ? 85 : 78, " : ui8, side = ", left ? 76 : 82,
                   " : ui8, trans_x = ", static_cast<int>(trans),
                   " : ui8, uplo = ", lower ? 76 : 85, " : ui8");
        // Scaled so that solutions stay near 1.
        Tensor scaled = *Tensor::FromBytes(dtype, a.shape(), a.bytes());
        for (int64_t i = 0; i < a.size(); ++i) {
          const C v = a.ComplexAt(i) / static_cast<double>(n);
          if (tensor::IsComplex(dtype)) {
            scaled.SetComplex(i, v);
          } else {
            scaled.SetDouble(i, v.real());
          }
        }
        OnBoth({"trsm", config, {scaled, x}, {{dtype, x.shape()}}}, letter, [&](const Results& r) {
          for (int64_t b = 0; b < kBatch; ++b) {
            Mat t = lower ? Lower(At(scaled, b)) : Upper(At(scaled, b));
            for (int64_t i = 0; i < n && unit; ++i) t(i, i) = 1;
            if (trans != 'N') t = Adjoint(t);
            for (C& v : t.v) v = trans == 'T' ? std::conj(v) : v;
            const Mat y = At(r[0], b);
            EXPECT_LT(Distance(left ? Product(t, y) : Product(y, t), At(x, b)),
                      Tolerance(dtype, n));
          }
        });
      }
    }
  }
}

// The product of the reflectors that orgqr makes of geqrf's results, and R.
TEST(CustomCallsTest, GeqrfAndOrgqrGiveTheMatrixBack) {
  for (const auto& [dtype, letter] : kElements) {
    for (const auto& [m, n] : {std::pair<int64_t, int64_t>{1, 1}, {6, 4}, {80, 70}}) {
      const Tensor a = Random(dtype, {kBatch, m, n}, 5);
      const bool complex = tensor::IsComplex(dtype);
      OnBoth({"geqrf", "", {a}, {Of(dtype, {m, n}), Of(dtype, {n})}}, letter,
             [&](const Results& r) {
               OnBoth({complex ? "ungqr" : "orgqr", "", {r[0], r[1]}, {Of(dtype, {m, n})}}, letter,
                      [&](const Results& q) {
                        for (int64_t b = 0; b < kBatch; ++b) {
                          const Mat u = Upper(At(r[0], b)), whole = At(q[0], b);
                          Mat top(n, n);
                          for (int64_t i = 0; i < n * n; ++i) {
                            top.v[static_cast<size_t>(i)] = u.v[static_cast<size_t>(i)];
                          }
                          EXPECT_LT(Distance(Product(whole, top), At(a, b)), Tolerance(dtype, n));
                          EXPECT_LT(Distance(Product(Adjoint(whole), whole), Identity(n)),
                                    Tolerance(dtype, n));
                        }
                      });
             });
    }
  }
}

TEST(CustomCallsTest, Geqp3PutsTheLargestColumnsFirst) {
  for (const auto& [dtype, letter] : kElements) {
    const int64_t m = 6, n = 9;
    const Tensor a = Random(dtype, {kBatch, m, n}, 5);
    Tensor free = *Tensor::Create(DType::kI32, {kBatch, n});
    OnBoth({"geqp3", "", {a, free}, {Of(dtype, {m, n}), Of(DType::kI32, {n}), Of(dtype, {m})}},
           letter, [&](const Results& r) {
             for (int64_t b = 0; b < kBatch; ++b) {
               const Mat f = At(r[0], b);
               std::vector<bool> seen(n);
               for (int64_t j = 0; j < n; ++j) {
                 const int64_t p = r[1].IntAt(b * n + j);
                 ASSERT_TRUE(p >= 1 && p <= n && !seen[static_cast<size_t>(p - 1)]);
                 seen[static_cast<size_t>(p - 1)] = true;
                 if (j > 0 && j < m) {
                   EXPECT_GE(std::abs(f(j - 1, j - 1)), std::abs(f(j, j)) * .999);
                 }
               }
             }
           });
  }
}

TEST(CustomCallsTest, SingularValuesAndVectorsGiveTheMatrixBack) {
  for (const auto& [dtype, letter] : kElements) {
    for (const auto& [m, n] : {std::pair<int64_t, int64_t>{1, 1}, {6, 4}, {4, 6}, {60, 40}}) {
      const Tensor a = Random(dtype, {kBatch, m, n}, 5);
      const int64_t k = std::min(m, n);
      const DType real = tensor::RealPart(dtype);
      for (const std::string_view routine : {"gesdd", "gesvd"}) {
        for (const char mode : {'A', 'S', 'N'}) {
          const int64_t p = mode == 'A' ? m : k, q = mode == 'A' ? n : k;
          OnBoth({routine,
                  StrCat("mode = ", static_cast<int>(mode), " : ui8"),
                  {a},
                  {Of(dtype, {m, n}), Of(real, {k}), Of(dtype, {m, p}), Of(dtype, {q, n}), kInfo}},
                 letter, [&, m = m, n = n](const Results& r) {
                   ExpectInfo(r[4], 0);
                   for (int64_t b = 0; b < kBatch; ++b) {
                     const Mat s = At(r[1], b);
                     double sum = 0, want = 0;
                     for (const C& v : s.v) sum += std::norm(v);
                     for (const C& v : At(a, b).v) want += std::norm(v);
                     EXPECT_NEAR(sum, want, Tolerance(dtype, m) * want);
                     if (mode == 'N') continue;
                     const Mat u = At(r[2], b), vh = At(r[3], b);
                     EXPECT_LT(Distance(Product(Product(u, Diagonal(s, p, q)), vh), At(a, b)),
                               Tolerance(dtype, m));
                     EXPECT_LT(Distance(Product(Adjoint(u), u), Identity(p)), Tolerance(dtype, m));
                     EXPECT_LT(Distance(Product(vh, Adjoint(vh)), Identity(q)),
                               Tolerance(dtype, m));
                   }
                 });
        }
      }
    }
  }
}

TEST(CustomCallsTest, SyevdReadsOneTriangleAndSorts) {
  for (const auto& [dtype, letter] : kElements) {
    const bool complex = tensor::IsComplex(dtype);
    for (const int64_t n : {1, 6, 60}) {
      const Tensor a = Hermitian(dtype, n, 0);
      for (const bool lower : {true, false}) {
        Tensor half = *Tensor::FromBytes(dtype, a.shape(), a.bytes());
        for (int64_t i = 0; i < n * n; ++i) {
          if (lower ? i % n > i / n : i % n < i / n) half.SetDouble(i, 99);
        }
        OnBoth({complex ? "heevd" : "syevd",
                lower ? "mode = 86 : ui8, uplo = 76 : ui8" : "mode = 86 : ui8, uplo = 85 : ui8",
                {half},
                {Of(dtype, {n, n}), Of(tensor::RealPart(dtype), {n}), kInfo}},
               letter, [&](const Results& r) {
                 ExpectInfo(r[2], 0);
                 for (int64_t b = 0; b < kBatch; ++b) {
                   const Mat v = At(r[0], b), w = At(r[1], b);
                   EXPECT_LT(Distance(Product(At(a, b), v), Product(v, Diagonal(w, n, n))),
                             Tolerance(dtype, n));
                   for (int64_t i = 1; i < n; ++i) EXPECT_LE(w(0, i - 1).real(), w(0, i).real());
                 }
               });
      }
    }
  }
}

TEST(CustomCallsTest, GeevFindsVectorsOfBothSides) {
  for (const auto& [dtype, letter] : kElements) {
    const bool complex = tensor::IsComplex(dtype);
    const DType wide = tensor::RealPart(dtype) == DType::kF64 ? DType::kC128 : DType::kC64;
    for (const int64_t n : {1, 7, 40}) {
      const Tensor a = Random(dtype, {kBatch, n, n}, 11);
      std::vector<TensorType> out = {Of(dtype, {n}), Of(wide, {n, n}), Of(wide, {n, n}), kInfo};
      if (!complex) out.insert(out.begin(), Of(dtype, {n}));
      OnBoth({"geev", "compute_left = 86 : ui8, compute_right = 86 : ui8", {a}, out}, letter,
             [&](const Results& r) {
               const size_t after = complex ? 1 : 2;
               ExpectInfo(r[after + 2], 0);
               for (int64_t b = 0; b < kBatch; ++b) {
                 Mat w = At(r[0], b);
                 for (int64_t i = 0; i < n && !complex; ++i) w(0, i) += C(0, 1) * At(r[1], b)(0, i);
                 const Mat left = At(r[after], b), right = At(r[after + 1], b), d = At(a, b);
                 const Mat lambda = Diagonal(w, n, n);
                 EXPECT_LT(Distance(Product(d, right), Product(right, lambda)),
                           Tolerance(dtype, n));
                 EXPECT_LT(Distance(Product(Adjoint(left), d), Product(lambda, Adjoint(left))),
                           Tolerance(dtype, n));
               }
             });
    }
  }
}

TEST(CustomCallsTest, GeesGivesASchurForm) {
  for (const auto& [dtype, letter] : kElements) {
    const bool complex = tensor::IsComplex(dtype);
    for (const int64_t n : {1, 7, 40}) {
      const Tensor a = Random(dtype, {kBatch, n, n}, 11);
      std::vector<TensorType> out = {Of(dtype, {n, n}), Of(dtype, {n, n}), Of(dtype, {n}), kInfo,
                                     kInfo};
      if (!complex) out.insert(out.begin() + 2, Of(dtype, {n}));
      OnBoth({"gees", "mode = 86 : ui8, sort = 78 : ui8", {a}, out}, letter, [&](const Results& r) {
        ExpectInfo(r.back(), 0);
        for (int64_t b = 0; b < kBatch; ++b) {
          const Mat s = At(r[0], b), z = At(r[1], b);
          EXPECT_LT(Distance(Product(Product(z, s), Adjoint(z)), At(a, b)), Tolerance(dtype, n));
          EXPECT_EQ(Distance(Band(s, complex ? 1 : 2, n), Mat(n, n)), 0);
        }
      });
    }
  }
}

TEST(CustomCallsTest, GehrdKeepsTheTrace) {
  for (const auto& [dtype, letter] : kElements) {
    const int64_t n = 40;
    const Tensor a = Random(dtype, {kBatch, n, n}, 11);
    OnBoth({"gehrd",
            "high = 40 : i32, low = 1 : i32",
            {a},
            {Of(dtype, {n, n}), Of(dtype, {n - 1}), kInfo}},
           letter, [&](const Results& r) {
             ExpectInfo(r[2], 0);
             for (int64_t b = 0; b < kBatch; ++b) {
               const Mat h = Band(At(r[0], b), -n, 1), d = At(a, b);
               C trace = 0;
               double size = 0, want = 0;
               for (int64_t i = 0; i < n; ++i) trace += h(i, i) - d(i, i);
               for (const C& v : h.v) size += std::norm(v);
               for (const C& v : d.v) want += std::norm(v);
               EXPECT_LT(std::abs(trace), Tolerance(dtype, n));
               EXPECT_NEAR(size, want, Tolerance(dtype, n) * want);
             }
           });
  }
}

TEST(CustomCallsTest, SytrdKeepsTheNorm) {
  for (const auto& [dtype, letter] : kElements) {
    const int64_t n = 40;
    const DType real = tensor::RealPart(dtype);
    const Tensor a = Hermitian(dtype, n, 0);
    for (const std::string_view config : {"uplo = 76 : ui8", "uplo = 85 : ui8"}) {
      OnBoth({tensor::IsComplex(dtype) ? "hetrd" : "sytrd",
              config,
              {a},
              {Of(dtype, {n, n}), Of(real, {n}), Of(real, {n - 1}), Of(dtype, {n - 1}), kInfo}},
             letter, [&](const Results& r) {
               ExpectInfo(r[4], 0);
               for (int64_t b = 0; b < kBatch; ++b) {
                 double size = 0, want = 0;
                 for (const C& v : At(r[1], b).v) size += std::norm(v);
                 for (const C& v : At(r[2], b).v) size += 2 * std::norm(v);
                 for (const C& v : At(a, b).v) want += std::norm(v);
                 EXPECT_NEAR(size, want, Tolerance(dtype, n) * want);
               }
             });
    }
  }
}

TEST(CustomCallsTest, GtsvSolvesTridiagonalSystems) {
  for (const auto& [dtype, letter] : kElements) {
    for (const int64_t n : {1, 2, 3, 30}) {
      const Tensor dl = Random(dtype, {kBatch, n}, 1), d = Random(dtype, {kBatch, n}, 2),
                   du = Random(dtype, {kBatch, n}, 3), x = Random(dtype, {kBatch, n, 2}, 4);
      // b = T x, so that x is what comes back.
      Tensor b = *Tensor::Create(dtype, x.shape());
      double most = 0;
      for (int64_t i = 0; i < kBatch; ++i) {
        Mat t(n, n);
        for (int64_t j = 0; j < n; ++j) {
          t(j, j) = At(d, i)(0, j);
          if (j > 0) t(j, j - 1) = At(dl, i)(0, j);
          if (j + 1 < n) t(j, j + 1) = At(du, i)(0, j);
        }
        const Mat y = Product(t, At(x, i));
        for (int64_t j = 0; j < 2 * n; ++j) {
          const C v = y.v[static_cast<size_t>(j)];
          most = std::max(most, std::abs(v));
          if (tensor::IsComplex(dtype)) {
            b.SetComplex(i * 2 * n + j, v);
          } else {
            b.SetDouble(i * 2 * n + j, v.real());
          }
        }
      }
      OnBoth({"gtsv",
              "",
              {dl, d, du, b},
              {Of(dtype, {n}), Of(dtype, {n}), Of(dtype, {n}), Of(dtype, {n, 2}), kInfo}},
             letter, [&](const Results& r) {
               ExpectInfo(r[4], 0);
               for (int64_t i = 0; i < kBatch; ++i) {
                 EXPECT_LT(Distance(At(r[3], i), At(x, i)), Tolerance(dtype, n) * 200);
               }
             });
    }
  }
}

TEST(CustomCallsTest, WhatIsNotFiniteHasACode) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  for (const auto& [dtype, letter] : kElements) {
    Tensor a = Hermitian(dtype, 4, 0);
    a.SetDouble(5, kNan);
    OnBoth({tensor::IsComplex(dtype) ? "heevd" : "syevd",
            "mode = 86 : ui8, uplo = 76 : ui8",
            {a},
            {Of(dtype, {4, 4}), Of(tensor::RealPart(dtype), {4}), kInfo}},
           letter, [&](const Results& r) {
             EXPECT_EQ(r[2].IntAt(0), -4);
             EXPECT_TRUE(std::isnan(r[1].DoubleAt(0)));
             EXPECT_EQ(r[2].IntAt(1), 0);
             EXPECT_FALSE(std::isnan(r[1].DoubleAt(4)));
           });
  }
}

TEST(CustomCallsTest, EmptyMatricesHaveEmptyFactors) {
  const Tensor a = *Tensor::Create(DType::kF32, {kBatch, 0, 3});
  OnBoth({"getrf", "", {a}, {Of(DType::kF32, {0, 3}), Of(DType::kI32, {0}), kInfo}}, 's',
         [&](const Results& r) { ExpectInfo(r[2], 0); });
  OnBoth({"geqrf", "", {a}, {Of(DType::kF32, {0, 3}), Of(DType::kF32, {0})}}, 's',
         [&](const Results& r) { EXPECT_EQ(r[0].size(), 0); });
}

// ---- what is refused ----

std::string Potrf(std::string_view config) {
  return Text("lapack_spotrf_ffi", config, {Of(DType::kF32, {3, 3})},
              {Of(DType::kF32, {3, 3}), kInfo});
}
std::string Refusal(const std::string& text) {
  const auto module = stablehlo::ParseModule(text);
  return module.ok() ? std::string("accepted") : module.status().message();
}

TEST(CustomCallsTest, RefusesUnknownValuesOfTheConfiguration) {
  EXPECT_EQ(Refusal(Potrf("uplo = 76 : ui8")), "accepted");
  EXPECT_THAT(Refusal(Potrf("uplo = 77 : ui8")), HasSubstr("uplo is 77, wanted 76 (L) or 85 (U)"));
  EXPECT_THAT(Refusal(Potrf("")), HasSubstr("mhlo.backend_config has no number uplo"));
  EXPECT_THAT(Refusal(Potrf("diag = 85 : ui8, uplo = 76 : ui8")),
              HasSubstr("mhlo.backend_config has 2 entries, wanted 1"));
}

TEST(CustomCallsTest, RefusesOtherTypesAndLayouts) {
  EXPECT_THAT(Refusal(Text("lapack_dpotrf_ffi", "uplo = 76 : ui8", {Of(DType::kF32, {3, 3})},
                           {Of(DType::kF32, {3, 3}), kInfo})),
              HasSubstr("operand 0 has type tensor<2x3x3xf32>, wanted tensor<2x3x3xf64>"));
  EXPECT_THAT(Refusal(Text("lapack_spotrf_ffi", "uplo = 76 : ui8", {Of(DType::kF32, {3, 4})},
                           {Of(DType::kF32, {3, 4}), kInfo})),
              HasSubstr("operand 0 has type tensor<2x3x4xf32>, wanted tensor<2x3x3xf32>"));
  EXPECT_THAT(Refusal(Text("lapack_sgetrf_ffi", "", {Of(DType::kF32, {3, 4})},
                           {Of(DType::kF32, {3, 4}), Of(DType::kI32, {4}), kInfo})),
              HasSubstr("result 1 has type tensor<2x4xi32>, wanted tensor<2x3xi32>"));
  std::string text = Potrf("uplo = 76 : ui8");
  text.replace(text.find("[1, 2, 0]"), 9, "[2, 1, 0]");
  EXPECT_THAT(Refusal(text), HasSubstr("operand 0 has layout [2, 1, 0], wanted [1, 2, 0]"));
}

TEST(CustomCallsTest, EveryRowHasFourTargets) {
  for (const stablehlo::LapackRow& row : stablehlo::LapackRows()) {
    for (const auto& [dtype, letter] : kElements) {
      const std::string_view name = tensor::IsComplex(dtype) ? row.complex : row.real;
      EXPECT_EQ(stablehlo::FindLapackRow(StrCat("lapack_", letter, name, "_ffi")), &row);
    }
  }
  EXPECT_EQ(stablehlo::FindLapackRow("lapack_sheevd_ffi"), nullptr);
  EXPECT_EQ(stablehlo::FindLapackRow("lapack_xpotrf_ffi"), nullptr);
}

}  // namespace
}  // namespace megalith::codegen
