// The functions of the chlo dialect. f32 computes in double where the C library has no float
// version.
#include "common/foundation/tensor/small_float.h"
#include "common/programs/stablehlo/kernels/span_loops.h"
#include "common/programs/stablehlo/kernels/special_math.h"
#include "common/programs/stablehlo/op_def.h"

namespace megalith::stablehlo {
namespace {

template <double (*function)(double)>
struct Of1 {
  template <typename T>
  static T Apply(T a) {
    return static_cast<T>(function(a));
  }
};
template <double (*function)(double, double)>
struct Of2 {
  template <typename T>
  static T Apply(T a, T b) {
    return static_cast<T>(function(a, b));
  }
};

// C library functions with float, double and complex versions; complex64 goes through complex128.
struct AcosF {
  template <typename T>
  static T Apply(T a) {
    return std::acos(a);
  }
  static c64 Apply(c64 a) { return c64(std::acos(c128(a))); }
};
struct AcoshF {
  template <typename T>
  static T Apply(T a) {
    return std::acosh(a);
  }
  static c64 Apply(c64 a) { return c64(std::acosh(c128(a))); }
};
struct AsinF {
  template <typename T>
  static T Apply(T a) {
    return std::asin(a);
  }
  static c64 Apply(c64 a) { return c64(std::asin(c128(a))); }
};
struct AsinhF {
  template <typename T>
  static T Apply(T a) {
    return std::asinh(a);
  }
  static c64 Apply(c64 a) { return c64(std::asinh(c128(a))); }
};
struct AtanF {
  template <typename T>
  static T Apply(T a) {
    return std::atan(a);
  }
  static c64 Apply(c64 a) { return c64(std::atan(c128(a))); }
};
struct AtanhF {
  template <typename T>
  static T Apply(T a) {
    return std::atanh(a);
  }
  static c64 Apply(c64 a) { return c64(std::atanh(c128(a))); }
};
struct CoshF {
  template <typename T>
  static T Apply(T a) {
    return std::cosh(a);
  }
  static c64 Apply(c64 a) { return c64(std::cosh(c128(a))); }
};
struct SinhF {
  template <typename T>
  static T Apply(T a) {
    return std::sinh(a);
  }
  static c64 Apply(c64 a) { return c64(std::sinh(c128(a))); }
};
struct ErfF {
  template <typename T>
  static T Apply(T a) {
    return std::erf(a);
  }
};
struct ErfcF {
  template <typename T>
  static T Apply(T a) {
    return std::erfc(a);
  }
};
struct NextAfterF {
  template <typename T>
  static T Apply(T a, T b) {
    return std::nextafter(a, b);
  }
};

template <typename F>
SpanFn InexactLoops(DType d) {
  if (const SpanFn fn = FloatLoops<F, 1>(d)) return fn;
  return ComplexLoops<F, 1>(d);
}

// next_after of floats of 16 bits or fewer steps in their own format: the next bit pattern in the
// direction of b.
void NextAfterNarrow(const void* const* in, void* out, int64_t n, const void* raw) {
  const DType d = *static_cast<const DType*>(raw);
  const int width = tensor::ByteWidth(d);
  const auto load = [&](const void* p, int64_t i) -> uint16_t {
    return width == 2 ? static_cast<const uint16_t*>(p)[i] : static_cast<const uint8_t*>(p)[i];
  };
  for (int64_t i = 0; i < n; ++i) {
    const uint16_t a = load(in[0], i);
    const uint16_t b = load(in[1], i);
    const double va = tensor::DecodeSmallFloat(d, a);
    const double vb = tensor::DecodeSmallFloat(d, b);
    const auto sign = static_cast<uint16_t>(1u << (tensor::BitWidth(d) - 1));
    uint16_t next = b;
    if (va != va) {
      next = a;
    } else if (vb != vb || va == vb) {
      next = b;
    } else if (va == 0) {
      next = static_cast<uint16_t>((vb < 0 ? sign : 0) | 1);
    } else {
      next = static_cast<uint16_t>((va < vb) == (va > 0) ? a + 1 : a - 1);
    }
    if (width == 2) {
      static_cast<uint16_t*>(out)[i] = next;
    } else {
      static_cast<uint8_t*>(out)[i] = static_cast<uint8_t>(next);
    }
  }
}

}  // namespace

Result<SpanKernel> SpanAcos(const Op& op, std::span<const DType> operands, DType result) {
  return FindLoop(op, operands, result, InexactLoops<AcosF>);
}
Result<SpanKernel> SpanAcosh(const Op& op, std::span<const DType> operands, DType result) {
  return FindLoop(op, operands, result, InexactLoops<AcoshF>);
}
Result<SpanKernel> SpanAsin(const Op& op, std::span<const DType> operands, DType result) {
  return FindLoop(op, operands, result, InexactLoops<AsinF>);
}
Result<SpanKernel> SpanAsinh(const Op& op, std::span<const DType> operands, DType result) {
  return FindLoop(op, operands, result, InexactLoops<AsinhF>);
}
Result<SpanKernel> SpanAtan(const Op& op, std::span<const DType> operands, DType result) {
  return FindLoop(op, operands, result, InexactLoops<AtanF>);
}
Result<SpanKernel> SpanAtanh(const Op& op, std::span<const DType> operands, DType result) {
  return FindLoop(op, operands, result, InexactLoops<AtanhF>);
}
Result<SpanKernel> SpanCosh(const Op& op, std::span<const DType> operands, DType result) {
  return FindLoop(op, operands, result, InexactLoops<CoshF>);
}
Result<SpanKernel> SpanSinh(const Op& op, std::span<const DType> operands, DType result) {
  return FindLoop(op, operands, result, InexactLoops<SinhF>);
}
Result<SpanKernel> SpanErf(const Op& op, std::span<const DType> operands, DType result) {
  return FindLoop(op, operands, result, FloatLoops<ErfF, 1>);
}
Result<SpanKernel> SpanErfc(const Op& op, std::span<const DType> operands, DType result) {
  return FindLoop(op, operands, result, FloatLoops<ErfcF, 1>);
}
Result<SpanKernel> SpanErfInv(const Op& op, std::span<const DType> operands, DType result) {
  return FindLoop(op, operands, result, FloatLoops<Of1<ErfInv>, 1>);
}
Result<SpanKernel> SpanLgamma(const Op& op, std::span<const DType> operands, DType result) {
  return FindLoop(op, operands, result, FloatLoops<Of1<LogGamma>, 1>);
}
Result<SpanKernel> SpanDigamma(const Op& op, std::span<const DType> operands, DType result) {
  return FindLoop(op, operands, result, FloatLoops<Of1<Digamma>, 1>);
}
Result<SpanKernel> SpanBesselI1e(const Op& op, std::span<const DType> operands, DType result) {
  return FindLoop(op, operands, result, FloatLoops<Of1<BesselI1e>, 1>);
}
Result<SpanKernel> SpanZeta(const Op& op, std::span<const DType> operands, DType result) {
  return FindLoop(op, operands, result, FloatLoops<Of2<Zeta>, 2>);
}
Result<SpanKernel> SpanPolygamma(const Op& op, std::span<const DType> operands, DType result) {
  return FindLoop(op, operands, result, FloatLoops<Of2<Polygamma>, 2>);
}
Result<SpanKernel> SpanNextAfter(const Op& op, std::span<const DType> operands, DType result) {
  if (tensor::BitWidth(operands[0]) <= 16) {
    return SpanKernel{NextAfterNarrow, std::make_shared<const DType>(operands[0])};
  }
  return FindLoop(op, operands, result, FloatLoops<NextAfterF, 2>);
}

}  // namespace megalith::stablehlo
