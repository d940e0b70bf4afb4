// Questions that rules ask about values.
#pragma once

#include <cstdint>
#include <optional>

#include "common/machines/codegen/passes/graph.h"

namespace megalith::codegen {

// The element of a constant that has only one distinct element; null otherwise. Rank 0.
const Tensor* SplatOf(const Graph& g, ValueId v);
// The same as an integer (of an integer or boolean constant) or a real number (of a float one).
std::optional<int64_t> IntSplat(const Graph& g, ValueId v);
std::optional<double> FloatSplat(const Graph& g, ValueId v);
bool IsIntSplat(const Graph& g, ValueId v, int64_t value);
// Tells -0 from 0.
bool IsFloatSplat(const Graph& g, ValueId v, double value);
// An integer, boolean or real constant of this number, zero of either sign.
bool IsNumberSplat(const Graph& g, ValueId v, double value);

// Least and greatest value of an integer type of at least 8 bits; u64 as the bits of i64.
int64_t LowestOf(DType d);
int64_t HighestOf(DType d);
// Integers whose storage is as wide as they are, and so wraps as they do.
inline bool IsWholeInt(DType d) { return tensor::IsInteger(d) && tensor::BitWidth(d) >= 8; }
// Complete bits set: the identity of `and`.
bool IsAllOnes(const Graph& g, ValueId v);

inline AttrDict IntsAttr(std::string_view name, std::span<const int64_t> values) {
  AttrDict attrs;
  attrs.push_back({std::string(name), Attr::Ints(values)});
  return attrs;
}

// Position of `d` in `dims`, or -1.
inline int64_t Find(std::span<const int64_t> dims, int64_t d) {
  for (size_t i = 0; i < dims.size(); ++i) {
    if (dims[i] == d) return static_cast<int64_t>(i);
  }
  return -1;
}
inline bool Contains(std::span<const int64_t> dims, int64_t d) { return Find(dims, d) >= 0; }

// The shape without dimensions of size 1.
Shape Squeezed(const Shape& shape);

// True if exchanging the operands changes nothing. Which of two complex numbers is the larger depends
// on their order where a part is NaN.
bool IsCommutative(const Graph& g, const Node& n);

// If the region is one operation on its two arguments in order, its kind; kOther if not. For
// commutative operations the arguments may be exchanged.
OpKind BodyKind(const Graph& g, const Block& b);

// Makes a dynamic_update_slice of a scatter that writes one window as it is, if it does and the
// window is known to be inside: `low` and `high` bound all the indices it reads.
bool ScatterInside(Graph& g, Node& n, int64_t low, int64_t high);

}  // namespace megalith::codegen
