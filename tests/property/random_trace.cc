#include "tests/property/random_trace.h"

#include <algorithm>

#include "common/foundation/base/strings.h"
#include "common/programs/pipeline/pipeline.h"
#include "common/programs/stablehlo/verify.h"
#include "common/programs/tracing/tracing.h"

namespace megalith::property {
namespace {

using tracing::Array;
using tracing::Arrays;
using tracing::Function;
using tracing::Outputs;

constexpr int64_t kMostElements = 400;

// What a function made so far. A function may be traced several times, so every choice comes from
// a generator of numbers that starts anew with each call.
class Body {
 public:
  Body(uint64_t seed, int depth) : rng_(seed), depth_(depth) {}

  Arrays Run(const Arrays& args) {
    scope_ = args;
    for (int64_t i = Between(rng_, 1, depth_ == 0 ? 14 : 4); i > 0; --i) Step();
    Arrays out = {scope_.back()};
    if (OneIn(rng_, 3)) out.push_back(Any());
    return out;
  }
  // As Run, but with results like `args`.
  Arrays RunLike(const Arrays& args) {
    Run(args);
    Arrays out;
    for (const Array& a : args) out.push_back(Like(Any(), a));
    return out;
  }

 private:
  Array Any() { return OneIn(rng_, 2) ? scope_.back() : scope_[rng_.Below(scope_.size())]; }
  static int64_t Size(const Array& a) { return *tensor::NumElements(a.shape()); }
  void Keep(const Array& a) {
    if (Size(a) <= kMostElements) scope_.push_back(a);
  }
  // Something computed from `x` with the type of `like`.
  static Array Like(const Array& x, const Array& like) {
    const Array fits = x.shape() == like.shape() ? x : Mean(x);
    return AsType(tracing::BroadcastTo(fits, like.shape()), like.dtype());
  }
  int64_t AxisOf(const Array& x) {
    return static_cast<int64_t>(rng_.Below(static_cast<uint64_t>(x.rank())));
  }

  void Step();
  void Unary();
  void Binary();
  void Reduction();
  void Movement();
  void Product();
  void Indexing();
  void Network();
  void Control();
  void Nested();

  Rng rng_;
  int depth_;
  Arrays scope_;
};

Function Inner(uint64_t seed, int depth) {
  return Function("inner", [seed, depth](Arrays args) { return Body(seed, depth).RunLike(args); });
}

void Body::Step() {
  switch (rng_.Below(depth_ < 2 ? 12 : 10)) {
    case 0:
    case 1:
      return Unary();
    case 2:
    case 3:
      return Binary();
    case 4:
      return Reduction();
    case 5:
    case 6:
      return Movement();
    case 7:
      return Product();
    case 8:
      return Indexing();
    case 9:
      return Network();
    case 10:
      return Control();
    default:
      return Nested();
  }
}

void Body::Unary() {
  const Array x = Any();
  switch (rng_.Below(14)) {
    case 0:
      return Keep(Sin(x));
    case 1:
      return Keep(Cos(x));
    case 2:
      return Keep(Tanh(x));
    case 3:
      return Keep(Exp(tracing::Minimum(x, 3.0)));
    case 4:
      return Keep(Log1p(tracing::lax::Abs(x)));
    case 5:
      return Keep(Sqrt(tracing::Square(x) + 1.0));
    case 6:
      return Keep(tracing::Rsqrt(tracing::Square(x) + 1.0));
    case 7:
      return Keep(-x);
    case 8:
      return Keep(tracing::Erf(x));
    case 9:
      return Keep(tracing::Square(x));
    case 10:
      return Keep(tracing::Expm1(tracing::Minimum(x, 2.0)));
    case 11:
      return Keep(tracing::lax::IntegerPow(x, 3));
    case 12:
      return Keep(AsType(AsType(x, DType::kBF16), DType::kF32));
    default:
      return Keep(tracing::Floor(x));
  }
}

void Body::Binary() {
  const Array x = Any();
  Array y = Any();
  if (!(y.shape() == x.shape()) && y.rank() != 0)
    y = OneIn(rng_, 2) || Size(y) == 0 ? Mean(y) : Max(y);
  switch (rng_.Below(9)) {
    case 0:
    case 1:
      return Keep(x + y);
    case 2:
      return Keep(x - y);
    case 3:
    case 4:
      return Keep(x * y);
    case 5:
      return Keep(x / (tracing::Square(y) + 0.5));
    case 6:
      return Keep(tracing::Maximum(x, y));
    case 7:
      return Keep(tracing::Where(x > y, x, y * 2.0));
    default:
      return Keep(tracing::Atan2(x, y + 2.0));
  }
}

void Body::Reduction() {
  const Array x = Any();
  if (x.rank() == 0 || Size(x) == 0) return;  // there is no largest element of nothing
  const int64_t axis = AxisOf(x);
  const bool keep = OneIn(rng_, 2);
  switch (rng_.Below(8)) {
    case 0:
    case 1:
      return Keep(Sum(x, axis, keep));
    case 2:
      return Keep(x - Mean(x, axis, tracing::kKeepDims));
    case 3:
      return Keep(x / (1.0 + Max(tracing::lax::Abs(x), axis, tracing::kKeepDims)));
    case 4:
      return Keep(Min(x, axis, keep));
    case 5:
      return Keep(Cumsum(x, axis));
    case 6:
      return Keep(Sort(x, axis));
    default:
      return Keep(AsType(Argmax(x, axis), DType::kF32));
  }
}

void Body::Movement() {
  const Array x = Any();
  if (x.rank() == 0) return Keep(tracing::BroadcastTo(x, {Between(rng_, 1, 5)}));
  const int64_t axis = AxisOf(x);
  switch (rng_.Below(7)) {
    case 0:
      return Keep(tracing::Transpose(x));
    case 1:
      return Keep(tracing::Ravel(x));
    case 2:
      return Keep(tracing::Flip(x, axis));
    case 3:
      return Keep(tracing::Concatenate({x, x * 0.5}, axis));
    case 4:
      return Keep(tracing::ExpandDims(x, axis));
    case 5:
      return Keep(tracing::Stack({x, Sin(x)}, axis));
    default:
      return Keep(tracing::Slice(x, {{OneIn(rng_, 2) ? 0 : 1, {}, Between(rng_, 1, 2)}}));
  }
}

void Body::Product() {
  const Array x = Any();
  if (x.rank() == 1) return Keep(OneIn(rng_, 2) ? Dot(x, Cos(x)) : Outer(x, x + 1.0));
  if (x.rank() != 2) return;
  const Array y = Tanh(x);
  return Keep(OneIn(rng_, 2) ? Matmul(x, tracing::Transpose(y))
                             : tracing::Einsum("ij,ik->jk", {x, y}));
}

void Body::Indexing() {
  const Array x = Any();
  if (x.rank() == 0 || Size(x) == 0) return;
  const int64_t rows = x.shape()[0];
  const Array at = AsType(tracing::Square(Mean(x)) * 2.0, DType::kI32);
  switch (rng_.Below(3)) {
    case 0:
      return Keep(tracing::DynamicIndex(x, at));
    case 1:
      return Keep(Take(x, tracing::Remainder(tracing::Arange(4) * 3 + at, rows), 0));
    default: {
      Arrays starts(static_cast<size_t>(x.rank()), at);
      tensor::Shape one = x.shape();
      one[0] = 1;
      return Keep(tracing::DynamicUpdateSlice(
          x, tracing::BroadcastTo(AsType(Sum(x), x.dtype()), one), starts));
    }
  }
}

void Body::Network() {
  const Array x = Any();
  if (x.rank() == 0) return Keep(tracing::Sigmoid(x));
  switch (rng_.Below(6)) {
    case 0:
      return Keep(tracing::Softmax(x));
    case 1:
      return Keep(tracing::LogSoftmax(x));
    case 2:
      return Keep(tracing::Gelu(x));
    case 3:
      return Keep(tracing::LogSumExp(x, -1));
    case 4:
      return Keep(tracing::Relu(x));
    default:
      return Keep(tracing::Softplus(x));
  }
}

void Body::Control() {
  const Array x = Any();
  const uint64_t seed = rng_.Next();
  const int depth = depth_ + 1;
  const auto inner = [=](const Arrays& args) { return Body(seed, depth).RunLike(args); };
  switch (rng_.Below(4)) {
    case 0: {
      if (x.rank() == 0 || Size(x) == 0) return;
      const Array init = Sum(x, 0);
      const auto out = Scan(Function("body",
                                     [inner](Array carry, Array row) {
                                       const Array next = inner({carry, row})[0];
                                       return std::pair(tracing::Tanh(next), next * 0.5);
                                     }),
                            init, x, {.reverse = OneIn(rng_, 3)});
      Keep(out[0]);
      return Keep(out[1]);
    }
    case 1:
      return Keep(ForiLoop(0, Between(rng_, 0, 4),
                           Function("body",
                                    [inner](Array i, Array carry) {
                                      return inner({carry})[0] + AsType(i, DType::kF32);
                                    }),
                           x)[0]);
    case 2:
      return Keep(Cond(Mean(x) > 0.0, Function("yes", [inner](Array a) { return inner({a})[0]; }),
                       Function("no", [](Array a) { return a * 2.0; }), x)[0]);
    default:
      return Keep(Switch(AsType(Mean(x), DType::kI32),
                         {Function("first", [inner](Array a) { return inner({a})[0]; }),
                          Function("second", [](Array a) { return Sin(a); }),
                          Function("third", [](Array a) { return a; })},
                         x)[0]);
  }
}

void Body::Nested() {
  const Array x = Any();
  const Function f = Inner(rng_.Next(), depth_ + 1);
  const Function one("one", [f](Array a) { return Array(f(a)); });
  switch (rng_.Below(4)) {
    case 0:
      return Keep(Jit(one)(x));
    case 1:
      return Keep(Checkpoint(one)(x));
    case 2:
      return x.rank() > 0 && Size(x) > 0 ? Keep(Vmap(one)(x)) : Keep(Jit(one)(x));
    default:
      return Keep(Jvp(one)(x, Cos(x))[1]);
  }
}

// One transform around a function of `args`; what it takes then.
Function Around(Rng& rng, Function f, std::vector<tracing::Aval>* args) {
  const size_t n = args->size();
  const Function sum("loss", [f](Arrays a) {
    Array total = Array(0.0);
    const auto results = f.Call(a);
    for (const Array& x : results.arrays()) total = total + AsType(Sum(x), DType::kF32);
    return total;
  });
  const auto twice = [&] {
    const std::vector<tracing::Aval> more = *args;
    args->insert(args->end(), more.begin(), more.end());
  };
  switch (rng.Below(8)) {
    case 0:
      return Jit(f);
    case 1: {
      const int64_t size = Between(rng, 1, 3);
      for (tracing::Aval& a : *args) a.shape.insert(0, size);
      return Vmap(f);
    }
    case 2:
      twice();
      return Jvp(f);
    case 3:
      return Grad(sum);
    case 4:
      return ValueAndGrad(sum, {.argnums = {static_cast<int64_t>(rng.Below(n))}});
    case 5:
      args->push_back(tracing::F32());
      return Vjp(sum, static_cast<int64_t>(n));
    case 6:
      return Jacfwd(sum);
    default:
      return Checkpoint(f);
  }
}

}  // namespace

Result<RandomProgram> MakeRandomTrace(uint64_t seed) {
  Rng rng(seed);
  std::vector<tracing::Aval> args;
  for (int64_t i = Between(rng, 1, 3); i > 0; --i) {
    args.push_back(tracing::TypeOf(DType::kF32, RandomShape(rng, rng.Below(4), 40)));
  }
  const uint64_t body = rng.Next();
  Function f("f", [body](Arrays a) { return Body(body, 0).Run(a); });
  for (uint64_t i = rng.Below(4); i > 0; --i) f = Around(rng, f, &args);
  RandomProgram out;
  out.seed = seed;
  const auto failed = [&](const Status& s) {
    return Internal(StrCat("seed ", seed, ": ", s.ToString()));
  };
  const auto program = MakeJaxpr(f, args);
  if (!program.ok()) return failed(program.status());
  auto module = pipeline::LowerToStablehlo(*program);
  if (!module.ok()) return failed(module.status());
  if (const Status s = stablehlo::Verify(*module); !s.ok()) return failed(s);
  out.module = *std::move(module);
  ASSIGN_OR_RETURN(const stablehlo::Func* entry, out.module.Entry());
  const Mood mood = OneIn(rng, 3) ? RandomMood(rng) : Mood::kTame;
  for (const stablehlo::TensorType& t : entry->input_types()) {
    out.inputs.push_back(RandomTensor(rng, t.dtype, t.shape, mood));
  }
  return out;
}

Result<RandomProgram> MakeAnyProgram(uint64_t seed, const ProgramOptions& options) {
  return seed % 5 == 0 ? MakeRandomTrace(seed) : MakeRandomProgram(seed, options);
}

}  // namespace megalith::property
