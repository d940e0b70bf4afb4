// What the control-flow primitives share: splitting operand lists, merging by masks, mapping over a
// leading axis.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "common/programs/ops/rules.h"
#include "common/programs/staging/jaxpr_ops.h"

namespace megalith::ops {

using ir::JaxprPtr;
using Bits = std::vector<bool>;

template <typename T>
std::vector<T> Slice(std::span<const T> v, size_t begin, size_t end) {
  return std::vector<T>(v.begin() + static_cast<int64_t>(begin),
                        v.begin() + static_cast<int64_t>(end));
}
template <typename T>
std::vector<T> Slice(const std::vector<T>& v, size_t begin, size_t end) {
  return Slice(std::span<const T>(v), begin, end);
}
inline Bits Slice(const Bits& v, size_t begin, size_t end) {
  return Bits(v.begin() + static_cast<int64_t>(begin), v.begin() + static_cast<int64_t>(end));
}

template <typename T>
void Append(std::vector<T>* out, const std::vector<T>& more) {
  out->insert(out->end(), more.begin(), more.end());
}

inline Bits Concat(std::initializer_list<Bits> parts) {
  Bits out;
  for (const Bits& p : parts) out.insert(out.end(), p.begin(), p.end());
  return out;
}

inline size_t Count(const Bits& bits) {
  return static_cast<size_t>(std::count(bits.begin(), bits.end(), true));
}
inline bool Any(const Bits& bits) { return Count(bits) > 0; }
inline Bits Or(const Bits& a, const Bits& b) {
  Bits out(a.size());
  for (size_t i = 0; i < a.size(); ++i) out[i] = a[i] || b[i];
  return out;
}
inline Bits Not(Bits bits) {
  bits.flip();
  return bits;
}

template <typename T>
std::vector<T> Where(std::span<const T> values, const Bits& keep) {
  std::vector<T> out;
  for (size_t i = 0; i < values.size(); ++i) {
    if (keep[i]) out.push_back(values[i]);
  }
  return out;
}
template <typename T>
std::vector<T> Where(const std::vector<T>& values, const Bits& keep) {
  return Where(std::span<const T>(values), keep);
}

// Tangents of inner programs, given back per output: the next one where `nonzero`, a symbolic zero
// elsewhere.
inline std::vector<Value> Spread(const Bits& nonzero, std::span<const Value> values) {
  std::vector<Value> out;
  size_t next = 0;
  for (const bool nz : nonzero) out.push_back(nz ? values[next++] : Value());
  return out;
}

// The type of one element along the leading axis, and of `length` elements.
inline Aval Unstacked(const Aval& a) {
  Aval out = a;
  if (!out.shape.empty()) out.shape.erase(0);
  return out;
}
inline Aval Stacked(const Aval& a, int64_t length) {
  Aval out = a;
  out.shape.insert(0, length);
  return out;
}

// "f32[3],i32[]"
std::string AvalsText(std::span<const Aval> avals);

// Positions begin..end-1.
inline std::vector<size_t> Positions(size_t begin, size_t end) {
  std::vector<size_t> out;
  for (size_t i = begin; i < end; ++i) out.push_back(i);
  return out;
}

ParamValue BoolTuple(const Bits& bits);

}  // namespace megalith::ops
