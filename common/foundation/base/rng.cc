#include "common/foundation/base/rng.h"

#include <bit>
#include <cmath>
#include <random>

namespace megalith {

Rng::Rng(uint64_t seed) {
  for (uint64_t& s : s_) {
    seed += 0x9E3779B97F4A7C15ull;
    uint64_t z = seed;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    s = z ^ (z >> 31);
  }
}

uint64_t Rng::Next() {
  const uint64_t result = std::rotl(s_[1] * 5, 7) * 9;
  const uint64_t t = s_[1] << 17;
  s_[2] ^= s_[0];
  s_[3] ^= s_[1];
  s_[1] ^= s_[2];
  s_[0] ^= s_[3];
  s_[2] ^= t;
  s_[3] = std::rotl(s_[3], 45);
  return result;
}

uint64_t Rng::Below(uint64_t bound) {
  // Rejection keeps the distribution exact (Lemire 2019).
  while (true) {
    const unsigned __int128 product = static_cast<unsigned __int128>(Next()) * bound;
    const auto low = static_cast<uint64_t>(product);
    if (low >= bound || low >= (0 - bound) % bound) return static_cast<uint64_t>(product >> 64);
  }
}

double Rng::Normal() {
  double u = Uniform();
  while (u == 0.0) u = Uniform();
  return std::sqrt(-2.0 * std::log(u)) * std::cos(6.283185307179586 * Uniform());
}

uint64_t EntropySeed() {
  std::random_device device;
  return static_cast<uint64_t>(device()) << 32 | device();
}

}  // namespace megalith
