// What transforms promise each other, on the fixtures' programs in f64: derivatives against
// differences, reverse mode against forward mode, maps against loops, and transforms that change
// nothing.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>

#include "common/foundation/base/rng.h"
#include "common/foundation/base/strings.h"
#include "common/programs/ir/testing/fixture_texts.h"
#include "common/programs/pipeline/pipeline.h"
#include "common/programs/stablehlo/evaluate.h"

namespace megalith::pipeline {
namespace {

using tensor::DType;
using tensor::Shape;
using tensor::Tensor;
using Tensors = std::vector<Tensor>;

constexpr uint64_t kSeed = 20250311;

struct Case {
  std::string id;
  bool has_slope =
      true;  // the derivative is that of the function, which is smooth at the arguments
  ir::Program program;
  Tensors primals;
  Tensors tangents;
  Tensors cotangents;
};

Tensor Random(const ir::Aval& aval, double low, double high, Rng& rng) {
  Tensor t = *Tensor::Create(aval.dtype, aval.shape);
  for (int64_t i = 0; i < t.size(); ++i) t.SetDouble(i, low + (high - low) * rng.Uniform());
  return t;
}

std::string InDouble(std::string text) {
  for (const auto& [from, to] : {std::pair("f32", "f64"), std::pair("float32", "float64")}) {
    for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at))
      text.replace(at, std::strlen(from), to);
  }
  return text;
}

Result<Tensors> RunStack(const ir::Program& program, const std::vector<Transform>& stack,
                         const Tensors& args) {
  TraceOptions options;
  options.x64 = true;
  options.arg_avals.emplace();
  for (const Tensor& t : args) options.arg_avals->push_back({t.dtype(), false, t.shape()});
  ASSIGN_OR_RETURN(const Traced traced, Apply(program, stack, options));
  ASSIGN_OR_RETURN(const stablehlo::Module module, LowerToStablehlo(traced.program, options));
  return stablehlo::Evaluate(module, args);
}

bool AllFinite(const Tensors& tensors) {
  for (const Tensor& t : tensors) {
    for (int64_t i = 0; i < t.size(); ++i) {
      if (!std::isfinite(t.DoubleAt(i))) return false;
    }
  }
  return true;
}

bool AllF64(const std::vector<ir::Aval>& avals) {
  for (const ir::Aval& a : avals) {
    if (a.dtype != DType::kF64 || tensor::NumElements(a.shape) > 200) return false;
  }
  return !avals.empty();
}

// False for functions that jump, and for those whose derivative is on purpose another one.
bool HasSlope(std::string_view text) {
  for (const std::string_view word : {"reduce_precision", "bf16", "f16", "stop_gradient"}) {
    if (text.find(word) != std::string_view::npos) return false;
  }
  return true;
}

// The fixtures' sources from f64 to f64, small enough to be run many times, with arguments at which
// they are finite.
std::vector<Case> MakeCases() {
  std::vector<Case> out;
  Rng rng(kSeed);
  for (const auto& t : ir::testing::FixtureTexts()) {
    if (!t.id.ends_with(":source") || t.text.size() > 2500) continue;
    if (t.id.starts_with("errors/")) continue;                  // what JAX refuses
    if (t.text.find("custom_") != std::string::npos) continue;  // their rules are not in the text
    const auto program = Load({.text = InDouble(t.text)}, {.x64 = true});
    if (!program.ok() || program->closed.jaxpr->constvars().size() > 0) continue;
    const std::vector<ir::Aval> ins = program->closed.jaxpr->InAvals();
    const std::vector<ir::Aval> outs = program->closed.jaxpr->OutAvals();
    if (!AllF64(ins) || !AllF64(outs)) continue;
    Case c{t.id, HasSlope(t.text), *program, {}, {}, {}};
    for (const ir::Aval& a : ins) c.primals.push_back(Random(a, 0.25, 0.75, rng));
    for (const ir::Aval& a : ins) c.tangents.push_back(Random(a, -1, 1, rng));
    for (const ir::Aval& a : outs) c.cotangents.push_back(Random(a, -1, 1, rng));
    const auto value = RunStack(*program, {}, c.primals);
    if (value.ok() && AllFinite(*value)) out.push_back(std::move(c));
  }
  return out;
}

const std::vector<Case>& Cases() {
  static const std::vector<Case> cases = MakeCases();
  return cases;
}

Tensors Concat(Tensors a, const Tensors& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}
Tensors Last(const Tensors& all, size_t n) {
  return Tensors(all.end() - static_cast<int64_t>(n), all.end());
}

// True if the transform does not exist for the program: a rule is missing, or it is a loop that
// cannot be run backwards.
bool Unimplemented(const Result<Tensors>& r) {
  if (r.ok() || r.status().code() == Code::kUnimplemented) return !r.ok();
  const std::string& message = r.status().message();
  return message.find("Reverse-mode differentiation does not work for lax.while") !=
             std::string::npos ||
         message.find("Betainc gradient with respect to a and b not supported") !=
             std::string::npos;
}

void ExpectClose(const Tensors& got, const Tensors& want, double tolerance,
                 const std::string& what) {
  ASSERT_EQ(got.size(), want.size()) << what;
  for (size_t k = 0; k < got.size(); ++k) {
    ASSERT_EQ(got[k].TypeText(), want[k].TypeText()) << what;
    double scale = 1;
    for (int64_t i = 0; i < want[k].size(); ++i)
      scale = std::max(scale, std::abs(want[k].DoubleAt(i)));
    for (int64_t i = 0; i < got[k].size(); ++i) {
      ASSERT_NEAR(got[k].DoubleAt(i), want[k].DoubleAt(i), tolerance * scale)
          << what << " output " << k << " at " << i;
    }
  }
}

// Both stacks on their arguments give the same; counts the programs for which both have rules.
struct Pair {
  std::vector<Transform> left, right;
  std::function<Tensors(const Case&)> left_args, right_args;
  // What of the outputs to compare.
  std::function<Tensors(const Case&, const Tensors&)> left_outs, right_outs;
};
Tensors Whole(const Case&, const Tensors& outs) { return outs; }
Tensors Primals(const Case& c) { return c.primals; }

void ExpectEqual(std::string_view what, const Pair& p, size_t least) {
  size_t compared = 0;
  for (const Case& c : Cases()) {
    const auto left = RunStack(c.program, p.left, p.left_args(c));
    const auto right = RunStack(c.program, p.right, p.right_args(c));
    if (Unimplemented(left) || Unimplemented(right)) continue;
    ASSERT_TRUE(left.ok()) << what << " " << c.id << ": " << left.status().ToString();
    ASSERT_TRUE(right.ok()) << what << " " << c.id << ": " << right.status().ToString();
    const Tensors got = p.left_outs(c, *left);
    const Tensors want = p.right_outs(c, *right);
    if (!AllFinite(want)) continue;
    ++compared;
    // Sums of the same terms in another order, amplified by at most what the solvers' conditions
    // allow.
    ExpectClose(got, want, 1e-9, StrCat(what, " of ", c.id));
  }
  EXPECT_GE(compared, least) << what;
}

Transform Vjp(const Case& c) {
  return {.name = "vjp", .num_primals = static_cast<int64_t>(c.primals.size())};
}
Tensors Tangents(const Case& c, const Tensors& outs) { return Last(outs, c.cotangents.size()); }
Tensors WithTangents(const Case& c) { return Concat(c.primals, c.tangents); }

TEST(TransformPropertyTest, ThereAreProgramsToTry) { EXPECT_GE(Cases().size(), 40u); }

TEST(TransformPropertyTest, JitChangesNothing) {
  ExpectEqual("jit", {{{.name = "jit"}}, {}, Primals, Primals, Whole, Whole}, 40);
}

TEST(TransformPropertyTest, CheckpointChangesNothing) {
  ExpectEqual("checkpoint", {{{.name = "checkpoint"}}, {}, Primals, Primals, Whole, Whole}, 40);
}

TEST(TransformPropertyTest, LinearizeIsJvp) {
  ExpectEqual(
      "linearize",
      {{{.name = "linearize"}}, {{.name = "jvp"}}, WithTangents, WithTangents, Whole, Whole}, 30);
}

TEST(TransformPropertyTest, JvpOfACheckpointIsJvp) {
  ExpectEqual("checkpoint, jvp",
              {{{.name = "checkpoint"}, {.name = "jvp"}},
               {{.name = "jvp"}},
               WithTangents,
               WithTangents,
               Whole,
               Whole},
              30);
}

TEST(TransformPropertyTest, JvpIsTheLimitOfDifferences) {
  constexpr double kStep = 1e-6;
  size_t compared = 0;
  for (const Case& c : Cases()) {
    const auto jvp = RunStack(c.program, {{.name = "jvp"}}, WithTangents(c));
    if (Unimplemented(jvp) || !c.has_slope) continue;
    ASSERT_TRUE(jvp.ok()) << c.id << ": " << jvp.status().ToString();
    const Tensors slope = Tangents(c, *jvp);
    if (!AllFinite(slope)) continue;
    Tensors sides[2];
    for (const int side : {0, 1}) {
      Tensors moved;
      for (size_t k = 0; k < c.primals.size(); ++k) {
        Tensor t = *Tensor::Create(DType::kF64, c.primals[k].shape());
        for (int64_t i = 0; i < t.size(); ++i) {
          t.SetDouble(i, c.primals[k].DoubleAt(i) +
                             (side == 0 ? -kStep : kStep) * c.tangents[k].DoubleAt(i));
        }
        moved.push_back(std::move(t));
      }
      sides[side] = *RunStack(c.program, {}, moved);
    }
    Tensors difference;
    for (size_t k = 0; k < sides[0].size(); ++k) {
      Tensor t = *Tensor::Create(DType::kF64, sides[0][k].shape());
      for (int64_t i = 0; i < t.size(); ++i) {
        t.SetDouble(i, (sides[1][k].DoubleAt(i) - sides[0][k].DoubleAt(i)) / (2 * kStep));
      }
      difference.push_back(std::move(t));
    }
    ++compared;
    // The third derivative's share is kStep^2; rounding of the difference is 1e-16 / kStep times
    // the value.
    ExpectClose(slope, difference, 1e-6, StrCat("jvp of ", c.id));
  }
  EXPECT_GE(compared, 30u);
}

double Dot(const Tensors& a, const Tensors& b) {
  double sum = 0;
  for (size_t k = 0; k < a.size(); ++k) {
    for (int64_t i = 0; i < a[k].size(); ++i) sum += a[k].DoubleAt(i) * b[k].DoubleAt(i);
  }
  return sum;
}

// <ct, J v> = <J^T ct, v>, also through jit and checkpoint.
TEST(TransformPropertyTest, VjpIsTheTransposeOfJvp) {
  size_t compared = 0;
  for (const Case& c : Cases()) {
    const auto jvp = RunStack(c.program, {{.name = "jvp"}}, WithTangents(c));
    if (Unimplemented(jvp) || !c.has_slope)
      continue;  // tangents that are rounded are no linear map
    ASSERT_TRUE(jvp.ok()) << c.id;
    for (const std::vector<Transform>& below : {std::vector<Transform>{},
                                                {{.name = "jit"}},
                                                {{.name = "checkpoint"}},
                                                {{.name = "checkpoint"}, {.name = "jit"}}}) {
      std::vector<Transform> stack = below;
      stack.push_back(Vjp(c));
      const auto vjp = RunStack(c.program, stack, Concat(c.primals, c.cotangents));
      if (Unimplemented(vjp)) continue;
      ASSERT_TRUE(vjp.ok()) << c.id << ": " << vjp.status().ToString();
      const double forward = Dot(c.cotangents, Tangents(c, *jvp));
      if (!std::isfinite(forward)) continue;
      ++compared;
      ASSERT_NEAR(Dot(Last(*vjp, c.primals.size()), c.tangents), forward,
                  1e-9 * std::max(1.0, std::abs(forward)))
          << c.id;
    }
  }
  EXPECT_GE(compared, 100u);
}

Tensors ZerosLike(const Tensors& tensors) {
  Tensors out;
  for (const Tensor& t : tensors) out.push_back(*Tensor::Create(t.dtype(), t.shape()));
  return out;
}

// d/dx <ct, J(x) v>, once as jvp of vjp and once as vjp of jvp.
TEST(TransformPropertyTest, ForwardOverReverseIsReverseOverForward) {
  size_t compared = 0;
  for (const Case& c : Cases()) {
    const size_t n = c.primals.size();
    const auto fr = RunStack(
        c.program, {Vjp(c), {.name = "jvp"}},
        Concat(Concat(c.primals, c.cotangents), Concat(c.tangents, ZerosLike(c.cotangents))));
    Transform outer{.name = "vjp", .num_primals = static_cast<int64_t>(2 * n)};
    const auto rf = RunStack(
        c.program, {{.name = "jvp"}, outer},
        Concat(Concat(c.primals, c.tangents), Concat(ZerosLike(c.cotangents), c.cotangents)));
    if (Unimplemented(fr) || Unimplemented(rf)) continue;
    ASSERT_TRUE(fr.ok()) << c.id << ": " << fr.status().ToString();
    ASSERT_TRUE(rf.ok()) << c.id << ": " << rf.status().ToString();
    const Tensors left = Last(*fr, n);
    const Tensors both = Last(*rf, 2 * n);
    const Tensors right(both.begin(), both.begin() + static_cast<int64_t>(n));
    if (!AllFinite(right)) continue;
    ++compared;
    ExpectClose(left, right, 1e-8, c.id);
  }
  EXPECT_GE(compared, 30u);
}

// The programs of a batch one after the other.
TEST(TransformPropertyTest, VmapIsALoop) {
  constexpr int64_t kSize = 3;
  Rng rng(kSeed + 1);
  size_t compared = 0;
  for (const Case& c : Cases()) {
    std::vector<Tensors> single(kSize, c.primals);
    Tensors batch;
    for (size_t k = 0; k < c.primals.size(); ++k) {
      Shape shape = c.primals[k].shape();
      shape.insert(0, kSize);
      batch.push_back(Random({DType::kF64, false, shape}, 0.25, 0.75, rng));
      const int64_t n = c.primals[k].size();
      for (int64_t i = 0; i < kSize; ++i) {
        Tensor t = *Tensor::Create(DType::kF64, c.primals[k].shape());
        for (int64_t e = 0; e < n; ++e) t.SetDouble(e, batch.back().DoubleAt(i * n + e));
        single[static_cast<size_t>(i)][k] = t;
      }
    }
    const auto mapped = RunStack(c.program, {{.name = "vmap"}}, batch);
    if (Unimplemented(mapped)) continue;
    ASSERT_TRUE(mapped.ok()) << c.id << ": " << mapped.status().ToString();
    for (int64_t i = 0; i < kSize; ++i) {
      const auto one = RunStack(c.program, {}, single[static_cast<size_t>(i)]);
      ASSERT_TRUE(one.ok()) << c.id;
      if (!AllFinite(*one)) continue;
      Tensors slice;
      for (size_t k = 0; k < one->size(); ++k) {
        Tensor t = *Tensor::Create(DType::kF64, (*one)[k].shape());
        for (int64_t e = 0; e < t.size(); ++e)
          t.SetDouble(e, (*mapped)[k].DoubleAt(i * t.size() + e));
        slice.push_back(std::move(t));
      }
      ++compared;
      ExpectClose(slice, *one, 1e-9, StrCat("vmap of ", c.id));
    }
  }
  EXPECT_GE(compared, 90u);
}

}  // namespace
}  // namespace megalith::pipeline
