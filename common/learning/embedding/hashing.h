// Random numbers without state: the same words in give the same word out, on every thread.
#pragma once

#include <cstdint>

namespace megalith::embedding {

// A bijection of 64-bit words whose output bits each depend on all input bits (the finalizer of
// splitmix64, Steele et al. 2014).
inline uint64_t Mix(uint64_t x) {
  x += 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

// A word that depends on both.
inline uint64_t Mix(uint64_t a, uint64_t b) { return Mix(Mix(a) ^ b); }

}  // namespace megalith::embedding
