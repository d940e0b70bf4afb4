// Checks of gather and scatter dimension numbers, with JAX's messages.
#pragma once

#include <string_view>

#include "common/programs/ops/rules.h"

namespace megalith::ops {

struct NamedDims {
  const Dims& dims;
  std::string_view name;
};

// All errors are TypeErrors.
struct IndexChecks {
  std::string_view title;  // "Gather", as sentences start
  std::string_view op;     // "gather"

  Status Sorted(const Dims& dims, std::string_view name) const;
  Status Unique(const Dims& dims, std::string_view name) const;
  Status InRange(const Dims& dims, std::string_view name, int64_t rank) const;
  Status Disjoint(const NamedDims& a, const NamedDims& b) const;
  // Indices must have a last dimension: the index vector.
  Status IndexVector(const Aval& indices, std::string_view what) const;
  // One distinct operand dimension for each element of the index vector.
  Status IndexMap(const Dims& map, std::string_view name, const Aval& indices, int64_t rank) const;
  // Batching dimensions of operand and indices: paired, equal in size, and not used otherwise.
  Status Batching(const Aval& x, const Aval& indices, const NamedDims& of_operand,
                  const NamedDims& of_indices, const NamedDims& removed,
                  const NamedDims& map) const;
};

}  // namespace megalith::ops
