// What gather, scatter and the dynamic slices share: dimension numbers, out-of-bounds modes, and
// emission of gathers and scatters as lax.gather and lax.scatter_add emit them.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "common/programs/ir/emit.h"
#include "common/programs/ops/rules.h"

namespace megalith::ops {

// How slices of the operand relate to index vectors (the last dimension of the indices) and the
// result.
struct GatherNumbers {
  ir::IntTuple offset_dims;
  ir::IntTuple collapsed_slice_dims;
  ir::IntTuple start_index_map;
  ir::IntTuple operand_batching_dims = {};
  ir::IntTuple start_indices_batching_dims = {};
};
// The same seen from a scatter: its updates are what the gather would give.
struct ScatterNumbers {
  ir::IntTuple update_window_dims;
  ir::IntTuple inserted_window_dims;
  ir::IntTuple scatter_dims_to_operand_dims;
  ir::IntTuple operand_batching_dims = {};
  ir::IntTuple scatter_indices_batching_dims = {};
};
GatherNumbers InverseOf(const ScatterNumbers& s);
ScatterNumbers InverseOf(const GatherNumbers& g);

Result<GatherNumbers> ParseGatherNumbers(const ParamValue& v);
Result<ScatterNumbers> ParseScatterNumbers(const ParamValue& v);
ParamValue GatherNumbersParam(const GatherNumbers& g);
ParamValue ScatterNumbersParam(const ScatterNumbers& s);
// Of equations whose types have been checked.
GatherNumbers GatherNumbersOf(const Params& params);
ScatterNumbers ScatterNumbersOf(const Params& params);

// What becomes of slices that do not lie inside the operand.
enum class IndexMode : uint8_t { kClip, kFillOrDrop, kPromiseInBounds };
// Errors: NotImplementedError for other modes.
Result<IndexMode> ParseMode(const Params& params);
IndexMode ModeOf(const Params& params);

struct IndexOptions {
  IndexMode mode = IndexMode::kPromiseInBounds;
  bool sorted = false;
  bool unique = false;
  ParamValue fill_value =
      {};  // of gathers with mode kFillOrDrop; None: what lax chooses for the dtype
};
// The options of an equation.
IndexOptions OptionsOf(const Params& params);

Value Gather(Builder& b, Value x, Value indices, const GatherNumbers& numbers,
             const Dims& slice_sizes, const IndexOptions& options);
// `op` is "scatter", "scatter-add", ...
Value Scatter(Builder& b, std::string_view op, Value x, Value indices, Value updates,
              const ScatterNumbers& numbers, const IndexOptions& options);

// Slice sizes of the gather that undoes a scatter of updates of this shape into an operand of rank
// `rank`.
Dims UpdateSliceSizes(const ScatterNumbers& numbers, size_t rank, const Shape& updates);

// The signed integer type in which JAX computes with positions in an array of this shape.
DType IndexTypeOf(const Dims& shape);
// A rank-1 constant of that type. Requires values of its range.
Value IndexVector(Builder& b, DType dtype, const Dims& values);

// lax's batching rules of gather and scatter, for values and their batch dimensions.
BatchResult BatchGather(Builder& b, std::span<const Value> values, std::span<const int> dims,
                        int64_t size, const GatherNumbers& numbers, const Dims& slice_sizes,
                        const IndexOptions& options);
BatchResult BatchScatter(Builder& b, const OpDef& op, Params params, std::span<const Value> values,
                         std::span<const int> dims, int64_t size, const ScatterNumbers& numbers);

// The scalar program `{ lambda ; a b. let c = OP a b in (c,) }` by which a scatter combines old and
// new elements. One object per primitive and dtype in the whole process, so that texts show it as
// shared just as JAX does. Thread-safe.
const ir::JaxprPtr& CombinerJaxpr(const OpDef& op, DType dtype);
// The primitive a scatter combines elements with: "add" for "scatter-add"; empty for "scatter".
std::string_view CombinerName(std::string_view scatter_op);

}  // namespace megalith::ops
