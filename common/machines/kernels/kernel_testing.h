// Running library kernels in tests and benchmarks.
#pragma once

#include <cmath>
#include <memory>
#include <new>
#include <random>
#include <string>
#include <vector>

#include "common/foundation/base/strings.h"
#include "common/foundation/tensor/tensor.h"
#include "common/machines/kernels/combine.h"
#include "common/machines/kernels/library.h"

namespace megalith::kernels {

using tensor::Tensor;

inline ArraySpec SpecOf(const Tensor& t) { return {t.dtype(), t.shape()}; }

inline Result<PreparedKernel> PrepareByName(std::string_view name,
                                            const std::vector<int64_t>& params,
                                            const std::vector<ArraySpec>& in,
                                            const std::vector<ArraySpec>& out) {
  const LibraryKernel* kernel = FindLibraryKernel(name);
  if (kernel == nullptr) return NotFound(StrCat("kernel ", name));
  return kernel->prepare(PackParams(params), in, out);
}

// 64-byte aligned room.
struct ScratchRoom {
  explicit ScratchRoom(uint64_t bytes)
      : data(bytes == 0 ? nullptr : ::operator new(bytes, std::align_val_t{64})) {}
  ~ScratchRoom() {
    if (data != nullptr) ::operator delete(data, std::align_val_t{64});
  }
  ScratchRoom(const ScratchRoom&) = delete;
  ScratchRoom& operator=(const ScratchRoom&) = delete;
  void* data;
};

inline Status CallKernel(const PreparedKernel& kernel, const std::vector<const void*>& in,
                         const std::vector<void*>& out, void* scratch, WorkPool& pool,
                         const Cancellation* cancellation = nullptr) {
  const KernelCall call{in.data(), out.data(), scratch, pool, cancellation};
  return kernel.run(kernel.state.get(), call);
}

// Prepares and runs. Results are fresh; with `in_place` out[0] is a copy of in[0] that the kernel
// updates, which it must allow.
inline Result<std::vector<Tensor>> RunKernel(std::string_view name,
                                             const std::vector<int64_t>& params,
                                             const std::vector<Tensor>& in,
                                             const std::vector<ArraySpec>& out, int threads = 1,
                                             bool in_place = false) {
  std::vector<ArraySpec> specs;
  std::vector<const void*> from;
  for (const Tensor& t : in) {
    specs.push_back(SpecOf(t));
    from.push_back(t.data());
  }
  ASSIGN_OR_RETURN(const PreparedKernel kernel, PrepareByName(name, params, specs, out));
  std::vector<Tensor> results;
  std::vector<void*> to;
  for (const ArraySpec& spec : out) {
    ASSIGN_OR_RETURN(Tensor t, Tensor::CreateUninitialized(spec.dtype, spec.shape));
    std::memset(t.mutable_data(), 0xAB, t.byte_size());
    results.push_back(std::move(t));
    to.push_back(results.back().mutable_data());
  }
  if (in_place) {
    if ((kernel.in_place & 1) == 0) return FailedPrecondition("the kernel is not in place");
    std::memcpy(to[0], from[0], results[0].byte_size());
    from[0] = to[0];
  }
  const ScratchRoom scratch(kernel.scratch_bytes);
  WorkPool pool(threads);
  RETURN_IF_ERROR(CallKernel(kernel, from, to, scratch.data, pool));
  return results;
}

// Random elements of any type. Floats: normal numbers with zeros of both signs, infinities and NaNs
// of several kinds strewn in if `special`; integers small enough to meet again if `special`.
inline Tensor RandomTensor(DType dtype, const Shape& shape, std::mt19937_64& rng,
                           bool special = true) {
  Tensor t = *Tensor::Create(dtype, shape);
  std::normal_distribution<double> normal;
  for (int64_t i = 0; i < t.size(); ++i) {
    if (dtype == DType::kBool) {
      static_cast<uint8_t*>(t.mutable_data())[i] = rng() % 2;
    } else if (tensor::IsInteger(dtype)) {
      const auto v = static_cast<int64_t>(rng() >> (rng() % 64));
      t.SetInt(i, special ? v % 7 - (tensor::IsSigned(dtype) ? 3 : 0) : v);
    } else if (tensor::IsFloat(dtype)) {
      constexpr double kInfinity = std::numeric_limits<double>::infinity();
      constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
      const double kinds[] = {0.0, -0.0, kInfinity, -kInfinity, kNan, -kNan, 1.0, -1.0};
      t.SetDouble(i, special && rng() % 3 == 0 ? kinds[rng() % 8] : normal(rng));
    } else {
      for (int k = 0; k < tensor::ByteWidth(dtype) / 4; ++k) {
        const auto v = static_cast<float>(normal(rng));
        std::memcpy(static_cast<char*>(t.mutable_data()) + i * tensor::ByteWidth(dtype) + 4 * k, &v,
                    4);
      }
    }
  }
  return t;
}

// to[at] = to[at] combined with from[e], by the definition; narrow floats round.
inline void CombineAt(CombineKind kind, Tensor* to, int64_t at, const Tensor& from, int64_t e) {
  const int w = tensor::ByteWidth(to->dtype());
  char* t = static_cast<char*>(to->mutable_data()) + at * w;
  const char* f = static_cast<const char*>(from.data()) + e * w;
  const DType dtype = to->dtype();
  if (kind == CombineKind::kReplace) {
    std::memcpy(t, f, static_cast<size_t>(w));
  } else if (tensor::IsFloat(dtype)) {
    const double a = to->DoubleAt(at);
    const double b = from.DoubleAt(e);
    const auto pick = [&](bool first) {
      if (!first) std::memcpy(t, f, static_cast<size_t>(w));
    };
    if (kind == CombineKind::kMaximum || kind == CombineKind::kMinimum) {
      const bool maximum = kind == CombineKind::kMaximum;
      if (std::isnan(a) || std::isnan(b)) return pick(std::isnan(a));
      if (a == b) return pick(std::signbit(a) != maximum);
      return pick((a > b) == maximum);
    }
    const bool wide = dtype == DType::kF64;
    const double r = kind == CombineKind::kAdd ? a + b : a * b;
    const float s = kind == CombineKind::kAdd ? static_cast<float>(a) + static_cast<float>(b)
                                              : static_cast<float>(a) * static_cast<float>(b);
    to->SetDouble(at, wide ? r : s);
  } else {
    const int64_t a = to->IntAt(at);
    const int64_t b = from.IntAt(e);
    const bool is_u64 = dtype == DType::kU64;
    const bool less = is_u64 ? static_cast<uint64_t>(a) < static_cast<uint64_t>(b) : a < b;
    const bool logical = dtype == DType::kBool;
    switch (kind) {
      case CombineKind::kAdd:
        return to->SetInt(at, logical ? a | b : static_cast<int64_t>(uint64_t(a) + uint64_t(b)));
      case CombineKind::kMultiply:
        return to->SetInt(at, static_cast<int64_t>(uint64_t(a) * uint64_t(b)));
      case CombineKind::kMinimum:
        return to->SetInt(at, less ? a : b);
      case CombineKind::kMaximum:
        return to->SetInt(at, less ? b : a);
      case CombineKind::kAnd:
        return to->SetInt(at, a & b);
      case CombineKind::kOr:
        return to->SetInt(at, a | b);
      default:
        return to->SetInt(at, a ^ b);
    }
  }
}

// The same bytes, but for the kind of NaN: arithmetic on two NaNs gives either.
inline bool SameElements(const Tensor& a, const Tensor& b) {
  if (a.dtype() != b.dtype() || !(a.shape() == b.shape())) return false;
  if (a.bytes() == b.bytes()) return true;
  if (!tensor::IsFloat(a.dtype())) return false;
  const auto width = static_cast<size_t>(tensor::ByteWidth(a.dtype()));
  for (int64_t i = 0; i < a.size(); ++i) {
    if (std::isnan(a.DoubleAt(i)) && std::isnan(b.DoubleAt(i))) continue;
    const size_t at = static_cast<size_t>(i) * width;
    if (a.bytes().substr(at, width) != b.bytes().substr(at, width)) return false;
  }
  return true;
}

}  // namespace megalith::kernels
