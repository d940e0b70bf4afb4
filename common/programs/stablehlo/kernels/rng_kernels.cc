// Random bits: threefry2x32 (Salmon et al. 2011, 20 rounds) and philox4x32 (10 rounds), in the
// order XLA produces them.
#include <array>
#include <cmath>
#include <cstring>
#include <numbers>

#include "common/programs/stablehlo/kernels/prepare.h"
#include "common/programs/stablehlo/op_def.h"

namespace megalith::stablehlo {
namespace {

using Pair = std::array<uint32_t, 2>;
using Quad = std::array<uint32_t, 4>;

Pair Halves(uint64_t v) { return {static_cast<uint32_t>(v), static_cast<uint32_t>(v >> 32)}; }

Pair ThreeFry(Pair key, Pair x) {
  constexpr int kRotations[2][4] = {{13, 15, 26, 6}, {17, 29, 16, 24}};
  const uint32_t ks[3] = {key[0], key[1], key[0] ^ key[1] ^ 0x1BD11BDAu};
  x[0] += ks[0];
  x[1] += ks[1];
  for (uint32_t i = 0; i < 5; ++i) {
    for (const int r : kRotations[i % 2]) {
      x[0] += x[1];
      x[1] = (x[1] << r) | (x[1] >> (32 - r));
      x[1] ^= x[0];
    }
    x[0] += ks[(i + 1) % 3];
    x[1] += ks[(i + 2) % 3] + i + 1;
  }
  return x;
}

Quad Philox(Quad c, Pair key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53u} * c[0];
    const uint64_t p1 = uint64_t{0xCD9E8D57u} * c[2];
    c = {static_cast<uint32_t>(p1 >> 32) ^ c[1] ^ key[0], static_cast<uint32_t>(p1),
         static_cast<uint32_t>(p0 >> 32) ^ c[3] ^ key[1], static_cast<uint32_t>(p0)};
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  return c;
}

// The low bits of `bits` as element i.
void StoreBits(uint64_t bits, int64_t i, Tensor* t) {
  const auto width = static_cast<size_t>(tensor::ByteWidth(t->dtype()));
  if (tensor::IsInteger(t->dtype())) {
    t->SetInt(i, static_cast<int64_t>(bits));
  } else {
    std::memcpy(static_cast<char*>(t->mutable_data()) + static_cast<size_t>(i) * width, &bits,
                width);
  }
}

// Elements of 64 bits: one block each. Narrower ones: the two words of a block go to two elements
// that are neighbours along one dimension, the first of even size, or else the largest, whose last
// element then has no partner. Returns how far the counter moved.
uint64_t FillThreeFry(uint64_t key, uint64_t counter, Tensor* out) {
  const Pair k = Halves(key);
  const int64_t n = out->size();
  if (tensor::BitWidth(out->dtype()) == 64) {
    for (int64_t i = 0; i < n; ++i) {
      const Pair x = ThreeFry(k, Halves(counter + static_cast<uint64_t>(i)));
      StoreBits((uint64_t{x[1]} << 32) | x[0], i, out);
    }
    return static_cast<uint64_t>(n);
  }
  const Shape shape = out->rank() == 0 ? Shape{1} : out->shape();
  size_t dim = shape.size();
  for (size_t d = 0; d < shape.size() && dim == shape.size(); ++d) {
    if (shape[d] % 2 == 0) dim = d;
  }
  if (dim == shape.size()) {
    dim = 0;
    for (size_t d = 1; d < shape.size(); ++d) {
      if (shape[d] > shape[dim]) dim = d;
    }
  }
  int64_t outer = 1;
  int64_t inner = 1;
  for (size_t d = 0; d < shape.size(); ++d) (d < dim ? outer : inner) *= d == dim ? 1 : shape[d];
  const int64_t pairs = (shape[dim] + 1) / 2;
  uint64_t block = 0;
  for (int64_t o = 0; o < outer; ++o) {
    for (int64_t p = 0; p < pairs; ++p) {
      for (int64_t i = 0; i < inner; ++i, ++block) {
        const Pair x = ThreeFry(k, Halves(counter + block));
        const int64_t first = (o * shape[dim] + 2 * p) * inner + i;
        StoreBits(x[0], first, out);
        if (2 * p + 1 < shape[dim]) StoreBits(x[1], first + inner, out);
      }
    }
  }
  return block;
}

// A 128-bit counter, one block of four words per step. Returns the steps taken.
uint64_t FillPhilox(uint64_t key, uint64_t low, uint64_t high, Tensor* out) {
  const Pair k = Halves(key);
  const bool wide = tensor::BitWidth(out->dtype()) == 64;
  const int64_t per_block = wide ? 2 : 4;
  uint64_t block = 0;
  for (int64_t i = 0; i < out->size(); i += per_block, ++block) {
    const uint64_t counter = low + block;
    const Pair l = Halves(counter);
    const Pair h = Halves(high + (counter < low ? 1 : 0));
    const Quad x = Philox({l[0], l[1], h[0], h[1]}, k);
    for (int64_t j = 0; j < per_block && i + j < out->size(); ++j) {
      const auto w = static_cast<size_t>(j);
      StoreBits(wide ? (uint64_t{x[2 * w + 1]} << 32) | x[2 * w] : x[w], i + j, out);
    }
  }
  return block;
}

}  // namespace

Result<Kernel> PrepareRngBitGenerator(Planner& planner, const Op& op) {
  const auto algorithm = static_cast<RngAlgorithm>(op.attr("rng_algorithm").AsEnum());
  const TensorType bits = planner.result(op, 1);
  return Kernel{[algorithm, bits](KernelCall& call) -> Status {
    Tensor state = std::move(call.in[0]);
    RETURN_IF_ERROR(state.MakeUnique());
    ASSIGN_OR_RETURN(call.out[1], call.run.Allocate(bits));
    uint64_t* words = static_cast<uint64_t*>(state.mutable_data());
    if (algorithm == RngAlgorithm::kThreeFry) {
      words[1] += FillThreeFry(words[0], words[1], &call.out[1]);
    } else {
      // With two words of state the key is the high half of the counter, too.
      const bool long_state = state.size() == 3;
      const uint64_t low = words[1];
      words[1] += FillPhilox(words[0], low, long_state ? words[2] : words[0], &call.out[1]);
      if (long_state && words[1] < low) ++words[2];
    }
    call.out[0] = std::move(state);
    return OkStatus();
  }};
}

// Numbers whose source the specification leaves open: threefry of a fixed key and of how many such
// ops ran before, so that a program gives the same numbers every time it runs.
Result<Kernel> PrepareRng(Planner& planner, const Op& op) {
  const TensorType type = planner.result(op);
  const bool normal =
      op.attr("rng_distribution").AsEnum() == static_cast<int>(RngDistribution::kNormal);
  return Kernel{[type, normal](KernelCall& call) -> Status {
    ASSIGN_OR_RETURN(call.out[0], call.run.Allocate(type));
    const uint64_t stream = ++call.run.random_draws;
    const bool is_int = tensor::IsInteger(type.dtype) || type.dtype == DType::kBool;
    const double a = call.in[0].DoubleAt(0);
    const double b = call.in[1].DoubleAt(0);
    const int64_t low = is_int ? call.in[0].IntAt(0) : 0;
    const uint64_t range =
        is_int ? static_cast<uint64_t>(call.in[1].IntAt(0)) - static_cast<uint64_t>(low) : 0;
    for (int64_t i = 0; i < call.out[0].size(); ++i) {
      const Pair x = ThreeFry(Halves(stream), Halves(static_cast<uint64_t>(i)));
      const uint64_t bits = (uint64_t{x[1]} << 32) | x[0];
      if (is_int) {
        call.out[0].SetInt(
            i, static_cast<int64_t>(static_cast<uint64_t>(low) + (range == 0 ? 0 : bits % range)));
        continue;
      }
      const int digits = type.dtype == DType::kF64 ? 53 : 24;
      const double u = std::ldexp(static_cast<double>(bits >> (64 - digits)), -digits);  // [0, 1)
      if (!normal) {
        call.out[0].SetDouble(i, a + u * (b - a));
        continue;
      }
      const Pair y = ThreeFry(
          Halves(stream), {static_cast<uint32_t>(i), static_cast<uint32_t>(i >> 32) ^ 0x80000000u});
      const double v = std::ldexp(static_cast<double>((uint64_t{y[1]} << 32) | y[0]), -64);
      call.out[0].SetDouble(
          i, a + b * std::sqrt(-2 * std::log1p(-u)) * std::cos(2 * std::numbers::pi * v));
    }
    return OkStatus();
  }};
}

}  // namespace megalith::stablehlo
