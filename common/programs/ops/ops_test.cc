// Every primitive's record against itself: types, text, derivatives, batching and lowering of its
// samples.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "common/foundation/base/strings.h"
#include "common/programs/ir/compare.h"
#include "common/programs/ir/parse.h"
#include "common/programs/ir/print.h"
#include "common/programs/ops/registry.h"
#include "common/programs/ops/sample_runner.h"

namespace megalith::ops {
namespace {

using ir::DType;
using ir::JaxprPtr;
using ir::OpDef;

constexpr DType kDTypes[] = {DType::kBool, DType::kI8,  DType::kI32, DType::kI64,
                             DType::kU8,   DType::kU32, DType::kF16, DType::kBF16,
                             DType::kF32,  DType::kF64, DType::kC64};

// One sample of one primitive. gtest prints it by name.
struct Case {
  const OpDef* op;
  size_t index;

  const ir::Sample& sample() const { return op->samples[index]; }
  friend void PrintTo(const Case& c, std::ostream* os) {
    *os << c.op->name << " sample " << c.index;
  }
};

std::vector<Case> AllCases() {
  std::vector<Case> out;
  for (const OpDef* op : AllOps().all()) {
    for (size_t i = 0; i < op->samples.size(); ++i) out.push_back({op, i});
  }
  return out;
}

std::string CaseName(const testing::TestParamInfo<Case>& info) {
  std::string name = StrCat(info.param.op->name, "_", info.param.index);
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

bool HasInexact(const std::vector<ir::Aval>& avals) {
  return std::any_of(avals.begin(), avals.end(),
                     [](const ir::Aval& a) { return tensor::IsInexact(a.dtype); });
}

bool IsPrecise(const ir::Jaxpr& jaxpr) {
  const auto precise = [](const ir::Aval& a) {
    return !tensor::IsInexact(a.dtype) || tensor::RealPart(a.dtype) == DType::kF64;
  };
  const std::vector<ir::Aval> ins = jaxpr.InAvals();
  const std::vector<ir::Aval> outs = jaxpr.OutAvals();
  return std::all_of(ins.begin(), ins.end(), precise) &&
         std::all_of(outs.begin(), outs.end(), precise);
}

class SampleTest : public testing::TestWithParam<Case> {
 protected:
  const OpDef& op() const { return *GetParam().op; }
  const ir::Sample& sample() const { return GetParam().sample(); }

  // The sample at a dtype; null if it cannot be had or the primitive refuses it.
  JaxprPtr Load(DType dtype) const {
    const std::string text = Instantiate(sample(), op().name, dtype);
    if (text.empty()) return nullptr;
    Result<JaxprPtr> loaded = LoadSample(text);
    return loaded.ok() ? *loaded : nullptr;
  }
  // In f64 if the sample can be had so, for derivatives; as it stands otherwise.
  JaxprPtr LoadPrecise() const {
    const JaxprPtr precise = Load(DType::kF64);
    return precise ? precise : Load(DType::kF32);
  }

  bool CanCheckSlope(const ir::Jaxpr& jaxpr) const {
    return sample().has_slope && op().lower != nullptr &&
           op().jvp.kind != ir::JvpRule::Kind::kMissing && HasInexact(jaxpr.InAvals()) &&
           HasInexact(jaxpr.OutAvals()) && IsPrecise(jaxpr);
  }

  // What a transform says of a primitive without the rule it needs, and nothing else.
  static void ExpectRefused(const Status& status) {
    EXPECT_EQ(status.code(), Code::kUnimplemented) << status.ToString();
    EXPECT_EQ(status.python_class(), "NotImplementedError") << status.ToString();
  }
  // Where no slope can be compared, differentiating still gives a program that type-checks, or
  // refuses.
  static void ExpectJvpOrRefusal(const JaxprPtr& jaxpr) {
    const Result<JaxprPtr> jvp = JvpOf(jaxpr);
    if (!jvp.ok()) ExpectRefused(jvp.status());
  }

  // Fixed by the case, so that a failure can be repeated alone.
  Rng rng_{SeedOfCase()};

 private:
  uint64_t SeedOfCase() const {
    uint64_t seed = GetParam().index + 1;
    for (const char c : GetParam().op->name)
      seed = seed * 1099511628211ull + static_cast<uint8_t>(c);
    return seed;
  }
};

TEST_P(SampleTest, TypeChecks) {
  const Result<JaxprPtr> loaded = LoadSample(Instantiate(sample(), op().name, DType::kF32));
  EXPECT_TRUE(loaded.ok()) << loaded.status().ToString();
}

TEST_P(SampleTest, PrintsWhatItParses) {
  const JaxprPtr jaxpr = Load(DType::kF32);
  ASSERT_NE(jaxpr, nullptr);
  const std::string text = ir::Print(jaxpr);
  const Result<JaxprPtr> again = ir::ParseJaxpr(text, AllOps());
  ASSERT_TRUE(again.ok()) << again.status().ToString() << "\n" << text;
  EXPECT_EQ(ir::Print(*again), text);
  EXPECT_TRUE(ir::SameDag(*jaxpr, **again)) << text;
}

TEST_P(SampleTest, RefusesOtherDTypesWithTypeError) {
  for (const DType dtype : kDTypes) {
    const std::string text = Instantiate(sample(), op().name, dtype);
    if (text.empty()) continue;
    const Result<JaxprPtr> loaded = LoadSample(text);
    if (loaded.ok()) continue;
    const std::string& kind = loaded.status().python_class();
    // JaxprTypeError: the type rule gives another type than the sample's binder.
    EXPECT_TRUE(kind == "TypeError" || kind == "ValueError" || kind == "JaxprTypeError")
        << text << ": " << loaded.status().ToString();
  }
}

TEST_P(SampleTest, RunsForEveryDTypeItAccepts) {
  if (op().lower == nullptr) {
    const JaxprPtr jaxpr = Load(DType::kF32);
    ASSERT_NE(jaxpr, nullptr);
    return ExpectRefused(Evaluate(jaxpr, DrawInputs(*jaxpr, sample().domain, rng_)).status());
  }
  for (const DType dtype : kDTypes) {
    const JaxprPtr jaxpr = Load(dtype);
    if (jaxpr == nullptr) continue;
    const Tensors inputs = DrawInputs(*jaxpr, sample().domain, rng_);
    const Result<Tensors> outs = Evaluate(jaxpr, inputs);
    // Some primitives accept by type what they cannot be lowered for (argmax of complex numbers).
    if (!outs.ok() && outs.status().python_class() == "TypeError") continue;
    if (!outs.ok() && outs.status().python_class() == "ValueError") continue;
    EXPECT_TRUE(outs.ok()) << ir::Print(jaxpr) << "\n" << outs.status().ToString();
  }
}

// The JVP of `jaxpr` beside central differences, at a random point of the domain in a random
// direction. Tangents that `jaxpr` takes itself, if it is a JVP, are drawn like primals.
void ExpectSlope(const JaxprPtr& jaxpr, ir::Domain domain, Rng& rng, double tolerance) {
  constexpr double kStep = 1e-5;
  const Result<JaxprPtr> jvp = JvpOf(jaxpr);
  if (!jvp.ok() && jvp.status().code() == Code::kUnimplemented) return;
  ASSERT_TRUE(jvp.ok()) << jvp.status().ToString();
  const Tensors x = DrawInputs(*jaxpr, domain, rng);
  Tensors both = x;
  Tensors forward = x;
  Tensors backward = x;
  for (size_t i = 0; i < x.size(); ++i) {
    if (!tensor::IsInexact(x[i].dtype())) continue;
    both.push_back(Draw({x[i].dtype(), false, x[i].shape()}, ir::Domain::kReal, rng));
    forward[i] = Moved(x[i], both.back(), kStep);
    backward[i] = Moved(x[i], both.back(), -kStep);
  }
  const Result<Tensors> got = Evaluate(*jvp, both);
  ASSERT_TRUE(got.ok()) << ir::Print(*jvp) << "\n" << got.status().ToString();
  const Result<Tensors> up = Evaluate(jaxpr, forward);
  const Result<Tensors> down = Evaluate(jaxpr, backward);
  ASSERT_TRUE(up.ok() && down.ok());
  size_t next = up->size();
  for (size_t i = 0; i < up->size(); ++i) {
    if (!tensor::IsInexact((*up)[i].dtype())) continue;
    const Tensor slope =
        Moved(Moved((*up)[i], (*up)[i], 1 / (2 * kStep) - 1), (*down)[i], -1 / (2 * kStep));
    EXPECT_LT(Distance((*got)[next], slope), tolerance)
        << "result " << i << "\n"
        << ir::Print(*jvp) << "\nwant " << tensor::ValueText(slope) << "\ngot  "
        << tensor::ValueText((*got)[next]);
    ++next;
  }
}

// The error of a central difference is kStep^2 / 6 times a third derivative, and eps / kStep from
// rounding.
TEST_P(SampleTest, JvpAgreesWithFiniteDifferences) {
  const JaxprPtr jaxpr = LoadPrecise();
  ASSERT_NE(jaxpr, nullptr);
  if (!CanCheckSlope(*jaxpr)) return ExpectJvpOrRefusal(jaxpr);
  ExpectSlope(jaxpr, sample().domain, rng_, 1e-6);
}

TEST_P(SampleTest, JvpOfJvpAgreesWithFiniteDifferences) {
  const JaxprPtr jaxpr = LoadPrecise();
  ASSERT_NE(jaxpr, nullptr);
  if (!CanCheckSlope(*jaxpr)) return ExpectJvpOrRefusal(jaxpr);
  const Result<JaxprPtr> jvp = JvpOf(jaxpr);
  if (!jvp.ok() && jvp.status().code() == Code::kUnimplemented) return ExpectRefused(jvp.status());
  ASSERT_TRUE(jvp.ok()) << jvp.status().ToString();
  ExpectSlope(*jvp, sample().domain, rng_, 1e-5);
}

TEST_P(SampleTest, VjpIsTheTransposeOfJvp) {
  const JaxprPtr jaxpr = LoadPrecise();
  ASSERT_NE(jaxpr, nullptr);
  if (op().lower == nullptr || op().jvp.kind == ir::JvpRule::Kind::kMissing ||
      !HasInexact(jaxpr->InAvals()) || !HasInexact(jaxpr->OutAvals()) || !sample().has_slope) {
    return ExpectJvpOrRefusal(jaxpr);
  }
  const Result<JaxprPtr> jvp = JvpOf(jaxpr);
  if (!jvp.ok() && jvp.status().code() == Code::kUnimplemented) return ExpectRefused(jvp.status());
  ASSERT_TRUE(jvp.ok()) << jvp.status().ToString();
  const Result<JaxprPtr> vjp = VjpOf(jaxpr);
  if (!vjp.ok() && vjp.status().code() == Code::kUnimplemented) return ExpectRefused(vjp.status());
  // JAX's words for loops of unknown length, and for JVPs that are not linear equation by equation.
  if (!vjp.ok() && vjp.status().message().find("everse-mode") != std::string::npos) {
    EXPECT_EQ(vjp.status().python_class(), "ValueError") << vjp.status().ToString();
    return;
  }
  ASSERT_TRUE(vjp.ok()) << vjp.status().ToString();
  const Tensors x = DrawInputs(*jaxpr, sample().domain, rng_);
  Tensors with_t = x;
  Tensors with_ct = x;
  Tensors t;
  Tensors ct;
  for (const Tensor& each : x) {
    if (!tensor::IsInexact(each.dtype())) continue;
    t.push_back(Draw({each.dtype(), false, each.shape()}, ir::Domain::kReal, rng_));
    with_t.push_back(t.back());
  }
  size_t outs = 0;
  for (const ir::Aval& a : jaxpr->OutAvals()) {
    ++outs;
    if (!tensor::IsInexact(a.dtype)) continue;
    ct.push_back(Draw(a, ir::Domain::kReal, rng_));
    with_ct.push_back(ct.back());
  }
  const Result<Tensors> pushed = Evaluate(*jvp, with_t);
  const Result<Tensors> pulled = Evaluate(*vjp, with_ct);
  ASSERT_TRUE(pushed.ok()) << pushed.status().ToString();
  ASSERT_TRUE(pulled.ok()) << ir::Print(*vjp) << "\n" << pulled.status().ToString();
  const double forward =
      Pairing(ct, Tensors(pushed->begin() + static_cast<int64_t>(outs), pushed->end()));
  const double backward = Pairing(*pulled, t);
  const double eps = IsPrecise(*jaxpr) ? 1e-11 : 1e-4;
  EXPECT_NEAR(forward, backward, eps * std::max(1.0, std::abs(forward))) << ir::Print(*vjp);
}

TEST_P(SampleTest, VmapAgreesWithALoop) {
  constexpr int64_t kSize = 3;
  const JaxprPtr jaxpr = Load(DType::kF32);
  ASSERT_NE(jaxpr, nullptr);
  const std::vector<ir::Aval> avals = jaxpr->InAvals();
  if (op().batch.kind == ir::BatchRule::Kind::kMissing && !avals.empty()) {
    return ExpectRefused(VmapOf(jaxpr, std::vector<int>(avals.size(), 0), kSize).status());
  }
  if (op().lower == nullptr) return;
  // All mapped first, all mapped last, and each operand mapped alone.
  std::vector<std::vector<int>> patterns(2 + avals.size(),
                                         std::vector<int>(avals.size(), ir::kUnmapped));
  for (size_t i = 0; i < avals.size(); ++i) {
    patterns[0][i] = 0;
    patterns[1][i] = static_cast<int>(avals[i].rank());
    patterns[2 + i][i] = static_cast<int>(rng_.Below(avals[i].rank() + 1));
  }
  for (const std::vector<int>& dims : patterns) {
    const Result<JaxprPtr> batched = VmapOf(jaxpr, dims, kSize);
    if (!batched.ok() && batched.status().code() == Code::kUnimplemented) continue;
    ASSERT_TRUE(batched.ok()) << batched.status().ToString();
    const Tensors inputs = DrawInputs(**batched, sample().domain, rng_);
    const Result<Tensors> got = Evaluate(*batched, inputs);
    ASSERT_TRUE(got.ok()) << ir::Print(*batched) << "\n" << got.status().ToString();
    std::vector<Tensors> rows(got->size());
    for (int64_t k = 0; k < kSize; ++k) {
      Tensors one;
      for (size_t i = 0; i < inputs.size(); ++i) {
        one.push_back(dims[i] == ir::kUnmapped ? inputs[i] : TakeAlong(inputs[i], dims[i], k));
      }
      const Result<Tensors> outs = Evaluate(jaxpr, one);
      ASSERT_TRUE(outs.ok()) << outs.status().ToString();
      for (size_t r = 0; r < rows.size(); ++r) rows[r].push_back((*outs)[r]);
    }
    for (size_t r = 0; r < rows.size(); ++r) {
      EXPECT_LT(Distance((*got)[r], Stack(rows[r])), 1e-5)
          << ir::Print(*batched) << "\nwant " << tensor::ValueText(Stack(rows[r])) << "\ngot  "
          << tensor::ValueText((*got)[r]);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(AllRows, SampleTest, testing::ValuesIn(AllCases()), CaseName);

}  // namespace
}  // namespace megalith::ops
