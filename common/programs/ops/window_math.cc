#include "common/programs/ops/window_math.h"

#include <algorithm>

#include "common/foundation/base/strings.h"

namespace megalith::ops {

int64_t DilateDim(int64_t size, int64_t dilation) {
  if (size == 0) return 0;
  const __int128 dilated = 1 + __int128{dilation} * (size - 1);
  return static_cast<int64_t>(std::min<__int128>(dilated, kMaxWindowNumber + 1));
}

Shape DilateShape(const Shape& shape, const Dims& dilation) {
  Shape out;
  for (size_t i = 0; i < shape.size(); ++i) out.push_back(DilateDim(shape[i], dilation[i]));
  return out;
}

int64_t StrideDim(int64_t size, int64_t window, int64_t stride) {
  return size < window ? 0 : (size - window) / stride + 1;
}

Result<Pads> ParsePads(const ParamValue& padding) {
  Pads out;
  for (const ParamValue& pair : padding.elements()) {
    bool good = pair.is_sequence() && pair.elements().size() == 2;
    for (const ParamValue& v : pair.elements()) good = good && v.kind() == ParamValue::Kind::kInt;
    if (!good) {
      return TypeError(StrCat("padding must hold (low, high) for every dimension, got ",
                              Printable(padding.PythonText())));
    }
    const Dims lo_hi = pair.AsInts();
    for (const int64_t v : lo_hi) {
      if (v > kMaxWindowNumber || v < -kMaxWindowNumber) {
        return ValueError("padding must be between -2^60 and 2^60");
      }
    }
    out.low.push_back(lo_hi[0]);
    out.high.push_back(lo_hi[1]);
  }
  return out;
}

Pads PadsOf(const Params& params) { return *ParsePads(params["padding"]); }

ParamValue PadsParam(const Pads& pads) {
  ir::ParamValues out;
  for (size_t i = 0; i < pads.low.size(); ++i)
    out.push_back(ParamValue::Ints(Dims{pads.low[i], pads.high[i]}));
  return ParamValue::Tuple(std::move(out));
}

Dims InterleavedPads(const Pads& pads) {
  Dims out;
  for (size_t i = 0; i < pads.low.size(); ++i) {
    out.push_back(pads.low[i]);
    out.push_back(pads.high[i]);
  }
  return out;
}

Status CheckWindowNumbers(std::string_view op, std::string_view what, const Dims& values,
                          int64_t least) {
  for (const int64_t v : values) {
    if (v >= least && v <= kMaxWindowNumber) continue;
    return TypeError(StrCat(op, " ", what, " must have every element be ",
                            least == 0 ? "nonnegative" : "strictly positive", ", got ",
                            tensor::TupleText(values), "."));
  }
  return OkStatus();
}

}  // namespace megalith::ops
