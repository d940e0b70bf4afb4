// Bodies of reductions, scatters and sorts, which are written for scalars, on whole arrays.
#pragma once

#include <span>
#include <unordered_map>
#include <vector>

#include "common/machines/codegen/passes/graph.h"

namespace megalith::codegen {

// How many operations a body consists of (at least 1) if all of them are elementwise and on
// scalars, and they are not too many; 0 of any other body.
uint32_t ElementwiseOps(const Graph& graph, const Block& body);

// A scalar, of the same element everywhere.
ValueId SpreadScalar(Graph& graph, Node& at, ValueId scalar, const Shape& shape);

// Values of a body whose arguments are arrays of one shape, element by element; operations are
// emitted before `at` as they are needed. Requires ElementwiseOps(body) > 0.
class BodyOnArrays {
 public:
  BodyOnArrays(Graph& graph, Node& at, const Block& body, std::span<const ValueId> args,
               const Shape& shape);
  ValueId Of(ValueId v);
  // What the body returns.
  std::vector<ValueId> Results();

 private:
  Graph& graph_;
  Node& at_;
  const Block& body_;
  const Shape shape_;
  std::unordered_map<ValueId, ValueId> known_;
};

}  // namespace megalith::codegen
