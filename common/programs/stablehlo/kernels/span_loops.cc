#include "common/programs/stablehlo/kernels/span_loops.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "common/foundation/tensor/small_float.h"
#include "common/programs/stablehlo/op_def.h"

namespace megalith::stablehlo {
namespace {

using tensor::BF16;
using tensor::F16;

// Values of all bit patterns of a float of at most 8 bits.
const std::array<float, 256>& SmallFloatTable(DType d) {
  static const std::array<std::array<float, 256>, tensor::kNumDTypes> tables = [] {
    std::array<std::array<float, 256>, tensor::kNumDTypes> t{};
    for (int i = 1; i < tensor::kNumDTypes; ++i) {
      const auto dtype = static_cast<DType>(i);
      if (!tensor::IsFloat(dtype) || tensor::BitWidth(dtype) > 8) continue;
      for (int bits = 0; bits < (1 << tensor::BitWidth(dtype)); ++bits) {
        t[static_cast<size_t>(i)][static_cast<size_t>(bits)] =
            static_cast<float>(tensor::DecodeSmallFloat(dtype, static_cast<uint16_t>(bits)));
      }
    }
    return t;
  }();
  return tables[static_cast<size_t>(d)];
}

struct WidenParams {
  SpanKernel inner;
  size_t count = 0;
  DType operands[kMaxSpanOperands] = {};
  DType result = DType::kInvalid;
};

void WidenSpan(const void* const* in, void* out, int64_t n, const void* raw) {
  constexpr int64_t kChunk = 256;
  const WidenParams& p = *static_cast<const WidenParams*>(raw);
  alignas(64) char buffers[kMaxSpanOperands + 1][kChunk * 16];
  for (int64_t at = 0; at < n; at += kChunk) {
    const int64_t m = std::min(kChunk, n - at);
    const void* chunk_in[kMaxSpanOperands] = {};
    for (size_t k = 0; k < p.count; ++k) {
      const char* from = static_cast<const char*>(in[k]) + at * tensor::ByteWidth(p.operands[k]);
      chunk_in[k] = from;
      if (ComputeType(p.operands[k]) != p.operands[k]) {
        DecodeChunk(p.operands[k], from, buffers[k], m);
        chunk_in[k] = buffers[k];
      }
    }
    char* to = static_cast<char*>(out) + at * tensor::ByteWidth(p.result);
    if (ComputeType(p.result) == p.result) {
      p.inner(chunk_in, to, m);
    } else {
      p.inner(chunk_in, buffers[kMaxSpanOperands], m);
      EncodeChunk(p.result, buffers[kMaxSpanOperands], to, m);
    }
  }
}

}  // namespace

DType ComputeType(DType d) {
  switch (d) {
    case DType::kI2:
    case DType::kI4:
      return DType::kI8;
    case DType::kU2:
    case DType::kU4:
      return DType::kU8;
    default:
      return tensor::IsFloat(d) && tensor::BitWidth(d) < 32 ? DType::kF32 : d;
  }
}

void DecodeChunk(DType storage, const void* from, void* to, int64_t n) {
  float* out = static_cast<float*>(to);
  if (storage == DType::kBF16) {
    const BF16* in = static_cast<const BF16*>(from);
    for (int64_t i = 0; i < n; ++i) out[i] = static_cast<float>(in[i]);
  } else if (storage == DType::kF16) {
    const F16* in = static_cast<const F16*>(from);
    for (int64_t i = 0; i < n; ++i) out[i] = static_cast<float>(in[i]);
  } else if (tensor::IsFloat(storage) && tensor::BitWidth(storage) <= 8) {
    const auto& table = SmallFloatTable(storage);
    const uint8_t* in = static_cast<const uint8_t*>(from);
    for (int64_t i = 0; i < n; ++i) out[i] = table[in[i]];
  } else {  // narrow integers are stored as their 8-bit value; other types compute as they are
            // stored
    std::memcpy(to, from, static_cast<size_t>(n * tensor::ByteWidth(storage)));
  }
}

void EncodeChunk(DType storage, const void* from, void* to, int64_t n) {
  const float* in = static_cast<const float*>(from);
  if (storage == DType::kBF16) {
    BF16* out = static_cast<BF16*>(to);
    for (int64_t i = 0; i < n; ++i) out[i] = BF16(in[i]);
  } else if (storage == DType::kF16) {
    F16* out = static_cast<F16*>(to);
    for (int64_t i = 0; i < n; ++i) out[i] = F16(in[i]);
  } else if (tensor::IsFloat(storage) && tensor::BitWidth(storage) <= 8) {
    uint8_t* out = static_cast<uint8_t*>(to);
    for (int64_t i = 0; i < n; ++i)
      out[i] = static_cast<uint8_t>(tensor::EncodeSmallFloat(storage, in[i]));
  } else if (tensor::IsInteger(storage) && tensor::BitWidth(storage) < 8) {
    const int unused = 8 - tensor::BitWidth(storage);
    const uint8_t* bytes = static_cast<const uint8_t*>(from);
    uint8_t* out = static_cast<uint8_t*>(to);
    const bool is_signed = tensor::IsSigned(storage);
    for (int64_t i = 0; i < n; ++i) {  // cut to the width, then extend again
      const auto top = static_cast<uint8_t>(bytes[i] << unused);
      out[i] = is_signed ? static_cast<uint8_t>(static_cast<int8_t>(top) >> unused)
                         : static_cast<uint8_t>(top >> unused);
    }
  } else {
    std::memcpy(to, from, static_cast<size_t>(n * tensor::ByteWidth(storage)));
  }
}

SpanKernel Widen(SpanKernel inner, std::span<const DType> operands, DType result) {
  bool narrow = ComputeType(result) != result;
  for (const DType d : operands) narrow = narrow || ComputeType(d) != d;
  if (!narrow) return inner;
  auto params = std::make_shared<WidenParams>();
  params->inner = std::move(inner);
  params->count = operands.size();
  std::copy(operands.begin(), operands.end(), params->operands);
  params->result = result;
  return SpanKernel{WidenSpan, std::move(params)};
}

Result<SpanKernel> FindLoop(const Op& op, std::span<const DType> operands, DType result,
                            SpanFn (*find)(DType)) {
  const SpanFn fn = find(ComputeType(operands[0]));
  if (fn == nullptr) {
    return Unimplemented(
        StrCat(op.name(), " is not supported for ", tensor::MlirName(operands[0]), " elements"));
  }
  return Widen(SpanKernel{fn, nullptr}, operands, result);
}

}  // namespace megalith::stablehlo
