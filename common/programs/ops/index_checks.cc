#include "common/programs/ops/index_checks.h"

#include <algorithm>

#include "common/foundation/base/strings.h"

namespace megalith::ops {

using tensor::TupleText;

Status IndexChecks::Sorted(const Dims& dims, std::string_view name) const {
  if (std::is_sorted(dims.begin(), dims.end())) return OkStatus();
  return TypeError(StrCat(name, " in ", op, " op must be sorted; got ", TupleText(dims)));
}

Status IndexChecks::Unique(const Dims& dims, std::string_view name) const {
  Dims sorted = dims;
  std::sort(sorted.begin(), sorted.end());
  if (std::adjacent_find(sorted.begin(), sorted.end()) == sorted.end()) return OkStatus();
  return TypeError(StrCat(name, " in ", op, " op must not repeat; got: ", TupleText(dims), "."));
}

Status IndexChecks::InRange(const Dims& dims, std::string_view name, int64_t rank) const {
  for (const int64_t d : dims) {
    if (d >= 0 && d < rank) continue;
    return TypeError(StrCat("Invalid ", name, " set in ", op, " op; valid range is [0, ", rank,
                            "); got: ", d, "."));
  }
  return OkStatus();
}

Status IndexChecks::Disjoint(const NamedDims& a, const NamedDims& b) const {
  for (const int64_t d : a.dims) {
    if (!ir::Contains(b.dims, d)) continue;
    return TypeError(StrCat(a.name, " and ", b.name, " in ", op, " op must be disjoint; got: ",
                            TupleText(a.dims), " and ", TupleText(b.dims), "."));
  }
  return OkStatus();
}

Status IndexChecks::IndexVector(const Aval& indices, std::string_view what) const {
  if (indices.rank() > 0) return OkStatus();
  return TypeError(
      StrCat(what, " dimension must be within [0, rank(indices) + 1). rank(indices) is 0 and ", op,
             " index leaf dimension is -1."));
}

Status IndexChecks::IndexMap(const Dims& map, std::string_view name, const Aval& indices,
                             int64_t rank) const {
  const size_t last = indices.rank() - 1;
  if (static_cast<int64_t>(map.size()) != indices.shape[last]) {
    return TypeError(StrCat(title, " op has ", map.size(), " elements in ", name,
                            " and the bound of dimension "
                            "index_vector_dim=",
                            last, " of indices is ", indices.shape[last],
                            ". These two numbers must be equal."));
  }
  for (size_t i = 0; i < map.size(); ++i) {
    if (map[i] >= 0 && map[i] < rank) continue;
    return TypeError(StrCat("Invalid ", name, op == "scatter" ? " mapping" : "", "; domain is [0, ",
                            rank, "), got: ", i, "->", map[i], "."));
  }
  return Unique(map, name);
}

Status IndexChecks::Batching(const Aval& x, const Aval& indices, const NamedDims& of_operand,
                             const NamedDims& of_indices, const NamedDims& removed,
                             const NamedDims& map) const {
  RETURN_IF_ERROR(Unique(of_operand.dims, of_operand.name));
  RETURN_IF_ERROR(Sorted(of_operand.dims, of_operand.name));
  RETURN_IF_ERROR(InRange(of_operand.dims, of_operand.name, static_cast<int64_t>(x.rank())));
  RETURN_IF_ERROR(Disjoint(removed, of_operand));
  RETURN_IF_ERROR(Disjoint(map, of_operand));
  RETURN_IF_ERROR(Unique(of_indices.dims, of_indices.name));
  RETURN_IF_ERROR(InRange(of_indices.dims, of_indices.name, static_cast<int64_t>(indices.rank())));
  if (ir::Contains(of_indices.dims, static_cast<int64_t>(indices.rank()) - 1)) {
    return TypeError(
        StrCat(title, " op cannot have the index vector dimension as a batching dimension; got ",
               TupleText(of_indices.dims), "."));
  }
  if (of_operand.dims.size() != of_indices.dims.size()) {
    return TypeError(StrCat(title, " op requires equal numbers of ", of_operand.name, " and ",
                            of_indices.name, ", got ", TupleText(of_operand.dims), " and ",
                            TupleText(of_indices.dims), "."));
  }
  Shape operand_shape;
  Shape indices_shape;
  for (size_t i = 0; i < of_operand.dims.size(); ++i) {
    operand_shape.push_back(x.shape[static_cast<size_t>(of_operand.dims[i])]);
    indices_shape.push_back(indices.shape[static_cast<size_t>(of_indices.dims[i])]);
  }
  if (operand_shape == indices_shape) return OkStatus();
  return TypeError(
      StrCat(title,
             " op requires operand batching dimensions and indices batching dimensions to have "
             "the same shape, got ",
             TupleText(operand_shape), " and ", TupleText(indices_shape), "."));
}

}  // namespace megalith::ops
