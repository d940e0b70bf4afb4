// fft: discrete Fourier transforms over the last dimensions.
#include <algorithm>

#include "common/foundation/base/strings.h"
#include "common/programs/ops/families.h"
#include "common/programs/ops/lower.h"
#include "common/programs/ops/rules.h"

namespace megalith::ops {
namespace {

using tensor::TupleText;

// Persistent in programs: the numbers that text shows.
enum FftKind : int64_t { kFft = 0, kIfft = 1, kRfft = 2, kIrfft = 3 };

Types FftType(const TypeArgs& a) {
  const Aval& x = a.operands[0];
  const Dims lengths = a.params.Ints("fft_lengths");
  const int64_t kind = a.params.Int("fft_type");
  const size_t n = lengths.size();
  if (kind < kFft || kind > kIrfft) return ValueError(StrCat("Unknown FFT type '", kind, "'"));
  if (n > x.rank()) {
    return ValueError(StrCat("FFT input shape ", TupleText(x.shape),
                             " must have at least as many input dimensions as fft_lengths ",
                             TupleText(lengths), "."));
  }
  if (n < 1 || n > 3)
    return ValueError(StrCat("FFT over ", n, " dimensions: there must be 1, 2 or 3"));
  for (const int64_t d : lengths) {
    if (d < 0)
      return ValueError(StrCat("fft_lengths must be nonnegative, got ", TupleText(lengths)));
  }
  Shape shape = x.shape;
  const size_t first = x.rank() - n;
  const auto minor_dims_equal = [&](size_t count) {
    for (size_t i = 0; i < count; ++i) {
      if (x.shape[first + i] != lengths[i]) return false;
    }
    return true;
  };
  if (kind == kRfft) {
    if (x.dtype != DType::kF32 && x.dtype != DType::kF64) {
      return ValueError(StrCat("RFFT input must be float32 or float64, got ", DTypeText(x.dtype)));
    }
    if (!minor_dims_equal(n)) {
      return ValueError(StrCat("RFFT input shape ", TupleText(x.shape),
                               " minor dimensions must be equal to "
                               "fft_lengths ",
                               TupleText(lengths)));
    }
    shape[x.rank() - 1] = lengths[n - 1] / 2 + 1;
    return std::vector<Aval>{Aval{tensor::ComplexOf(x.dtype), x.weak_type, shape}};
  }
  if (!tensor::IsComplex(x.dtype)) {
    return ValueError(StrCat(kind == kIrfft ? "IRFFT" : "FFT",
                             " input must be complex64 or complex128, got ", DTypeText(x.dtype)));
  }
  if (kind == kIrfft) {
    // JAX leaves the last size to the compiler, which wants exactly the half spectrum.
    if (!minor_dims_equal(n - 1) || x.shape[x.rank() - 1] != lengths[n - 1] / 2 + 1) {
      return ValueError(StrCat("IRFFT input shape ", TupleText(x.shape),
                               " minor dimensions must be equal to all "
                               "except the last fft_length, got fft_lengths=",
                               TupleText(lengths)));
    }
    shape[x.rank() - 1] = lengths[n - 1];
    return std::vector<Aval>{Aval{tensor::RealPart(x.dtype), x.weak_type, shape}};
  }
  if (!minor_dims_equal(n)) {
    return ValueError(StrCat("FFT input shape ", TupleText(x.shape),
                             " minor dimensions must be equal to fft_lengths ",
                             TupleText(lengths)));
  }
  return std::vector<Aval>{x};
}

// lax.fft, which JAX jits.
Value Fft(Builder& b, Value x, int64_t kind, const Dims& lengths) {
  return EmitJit(b, "fft", StrCat(kind, TupleText(lengths)), {&x, 1},
                 [&](Builder& inner, std::span<const Value> in) {
                   return inner.EmitN("fft", in,
                                      {{"fft_type", ParamValue::Int(kind)},
                                       {"fft_lengths", ParamValue::Ints(lengths)}});
                 })[0];
}

// Weights of the half spectrum: 1 for the frequencies that are their own conjugates, 2 for the
// others, which stand for two. Shaped to broadcast against arrays of rank `rank`.
Value HalfSpectrumMask(Builder& b, DType dtype, int64_t half, int64_t length, size_t rank) {
  const auto set_one = [&](Value mask, int64_t at) {
    const Value one = ir::Full(b, Shape{1}, dtype, 1);
    const Value index =
        b.Lit(Literal::Int(b.session().x64() ? DType::kI64 : DType::kI32, at, /*weak=*/true));
    return b.Emit1("dynamic_update_slice", {mask, one, index});
  };
  Value mask = ir::Full(b, Shape{half}, dtype, 2);
  mask = set_one(mask, 0);
  if (length % 2 == 0) mask = set_one(mask, half - 1);
  return ir::ExpandDims(b, mask, ir::Range(static_cast<int64_t>(rank) - 1));
}

double Product(const Dims& lengths) {
  double n = 1;
  for (const int64_t d : lengths) n *= static_cast<double>(d);
  return n;
}

Value TransposeRfft(Builder& b, Value ct, const Dims& lengths) {
  return EmitJit(b, "_rfft_transpose", TupleText(lengths), {&ct, 1},
                 [&](Builder& inner, std::span<const Value> in) {
                   const Value t = in[0];
                   const Value mask = HalfSpectrumMask(inner, t.dtype(), t.shape()[t.rank() - 1],
                                                       lengths.back(), t.rank());
                   const Value conj = ir::Conj(inner, t);
                   const Value weighted = ir::Div(inner, conj, mask);
                   const Value spectrum = Fft(inner, weighted, kIrfft, lengths);
                   const Value scale =
                       ir::ScalarOf(inner, spectrum.dtype(), Product(lengths), /*weak=*/true);
                   return std::vector<Value>{ir::Mul(inner, scale, spectrum)};
                 })[0];
}

// The scaled spectrum of the cotangent; conjugated, as JAX's convention for complex gradients asks.
Value TransposeIrfft(Builder& b, Value ct, const Dims& lengths) {
  const Value x = Fft(b, ct, kRfft, lengths);
  if (!b.ok()) return x;
  const Value mask =
      HalfSpectrumMask(b, x.dtype(), x.shape()[x.rank() - 1], lengths.back(), x.rank());
  const Value scale = ir::ScalarOf(b, x.dtype(), 1.0 / Product(lengths), /*weak=*/true);
  const Value scaled = ir::Mul(b, scale, mask);
  const Value weighted = ir::Mul(b, scaled, x);
  return ir::Conj(b, weighted);
}

std::vector<Value> TransposeFft(Builder& b, const TransposeArgs& a) {
  const int64_t kind = a.params.Int("fft_type");
  const Dims lengths = a.params.Ints("fft_lengths");
  const Value& ct = a.cotangents[0];
  if (kind == kRfft) return {TransposeRfft(b, ct, lengths)};
  if (kind == kIrfft) return {TransposeIrfft(b, ct, lengths)};
  return {Fft(b, ct, kind, lengths)};
}

BatchResult BatchFft(Builder& b, const BatchArgs& a) {
  const Value x = ir::MoveAxis(b, a.values[0], a.dims[0], 0);
  return {{Fft(b, x, a.params.Int("fft_type"), a.params.Ints("fft_lengths"))}, {0}};
}

Status LowerFft(LowerContext& c) {
  const auto kind = static_cast<stablehlo::FftType>(c.params().Int("fft_type"));
  c.Out(c.b().Fft(c.in(0), kind, c.params().Ints("fft_lengths")));
  return OkStatus();
}

// ---- records ----

using Type = ParamSpec::Type;

constexpr ParamSpec kFftParams[] = {{"fft_lengths", Type::kInts}, {"fft_type", Type::kInt}};

constexpr Sample kFftSamples[] = {
    {"{ lambda ; a:c64[3,5]. let b:c64[3,5] = OP[fft_lengths=(5,) fft_type=0] a in (b,) }"},
    {"{ lambda ; a:c64[4,3]. let b:c64[4,3] = OP[fft_lengths=(4, 3) fft_type=1] a in (b,) }"},
    {"{ lambda ; a:f32[2,5]. let b:c64[2,3] = OP[fft_lengths=(5,) fft_type=2] a in (b,) }"},
    {"{ lambda ; a:f32[4,6]. let b:c64[4,4] = OP[fft_lengths=(4, 6) fft_type=2] a in (b,) }"},
    {"{ lambda ; a:c64[2,3]. let b:f32[2,4] = OP[fft_lengths=(4,) fft_type=3] a in (b,) }"},
};

constexpr OpDef kOps[] = {
    {.name = "fft",
     .arity = 1,
     .params = kFftParams,
     .accepts = ir::kAcceptsInexact,
     .tier = 2,
     .type_rule = FftType,
     .jvp = ir::JvpLinear(),
     .transpose = TransposeFft,
     .batch = ir::BatchFull(BatchFft),
     .lower = LowerFft,
     .spec = "primitives.md#fft",
     .samples = kFftSamples},
};

}  // namespace

std::span<const OpDef> FftOps() { return kOps; }

}  // namespace megalith::ops
