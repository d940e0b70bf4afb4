// Sort keys: elements of every type as unsigned integers whose order is the comparator's.
#pragma once

#include <cstdint>

#include "common/foundation/tensor/dtype.h"
#include "common/machines/kernels/radix.h"

namespace megalith::kernels {

using tensor::DType;

// How a comparator sees its elements. Appears in packages (persistent: never change, append only).
enum class SortOrder : uint8_t {
  kPlain = 0,    // as < does: zeros are equal, NaN is unordered
  kUniform = 1,  // as JAX sorts floats: zeros are equal, NaNs are equal and greater than infinity
  kTotal = 2,    // the total order of floats, by sign and bits
};
inline constexpr int64_t kNumSortOrders = 3;

struct KeyOptions {
  SortOrder order = SortOrder::kPlain;
  bool descending = false;
};

// The functions of one element type. Keys have `bits` bits.
struct KeyOps {
  int bits;
  bool is_float;
  // keys[i] (an array of integers of `bits` bits) is the key of column[i]; may be in place.
  KeyFindings (*encode)(const void* column, int64_t n, KeyOptions options, void* keys);
  void (*decode)(const void* keys, int64_t n, KeyOptions options, void* column);
  // packed[i] = key << 32 | i, for at most 32 bits.
  KeyFindings (*pack)(const void* column, int64_t n, KeyOptions options, uint64_t* packed);
  void (*unpack)(const uint64_t* packed, int64_t n, KeyOptions options, void* column);
  // elements[i].key = elements[i].key << bits | key of column[elements[i].index].
  KeyFindings (*append)(const void* column, int64_t n, KeyOptions options, KeyedIndex* elements);
  // `sorted` holds decoded keys; puts back, in their first order, what `merged` speaks of.
  void (*restore)(const void* column, int64_t n, KeyOptions options, void* sorted);
  // What the comparator says of two elements; for lines that have no order.
  bool (*before)(const void* column, int64_t a, int64_t b, KeyOptions options);
  bool (*equal)(const void* column, int64_t a, int64_t b, KeyOptions options);
};

// nullptr for types that are no keys.
const KeyOps* FindKeyOps(DType dtype);

}  // namespace megalith::kernels
