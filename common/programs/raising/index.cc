// Gathers and scatters.
#include "common/programs/ops/indexing.h"
#include "common/programs/raising/context.h"

namespace megalith::raising {
namespace {

using ops::IndexMode;

// Primitives keep the components of an index in the last dimension. Gives the indices so, and
// moves positions in them that lie behind the vectors.
Value VectorsLast(RaiseContext& c, const Value& indices, int64_t at, Dims* dims) {
  if (at == static_cast<int64_t>(indices.rank())) {
    Shape shape = indices.shape();
    shape.push_back(1);
    return ir::Reshape(c.b(), indices, shape);
  }
  for (int64_t& d : *dims) d -= d > at ? 1 : 0;
  return ir::MoveAxis(c.b(), indices, at, static_cast<int64_t>(indices.rank()) - 1);
}

// Starts are clamped so that every slice lies inside.
Status RaiseGather(RaiseContext& c) {
  const Attr attr = c.attr("dimension_numbers");
  const stablehlo::GatherDims& g = attr.AsGather();
  Dims batching = g.start_indices_batching_dims;
  const Value indices = VectorsLast(c, c.in(1), g.index_vector_dim, &batching);
  RETURN_IF_ERROR(c.b().status());
  c.Out(ops::Gather(
      c.b(), c.in(0), indices,
      {g.offset_dims, g.collapsed_slice_dims, g.start_index_map, g.operand_batching_dims, batching},
      c.ints("slice_sizes"), {.mode = IndexMode::kClip, .sorted = c.flag("indices_are_sorted")}));
  return OkStatus();
}

struct Combiner {
  std::string_view op;
  std::string_view primitive;
};
constexpr Combiner kCombiners[] = {{"stablehlo.add", "scatter-add"},
                                   {"stablehlo.multiply", "scatter-mul"},
                                   {"stablehlo.minimum", "scatter-min"},
                                   {"stablehlo.maximum", "scatter-max"}};

// The primitive that updates elements as the body does; "" if there is none.
std::string_view ScatterFor(const stablehlo::Region& body, bool of_truths) {
  if (Returns(body, body.args[1])) return "scatter";
  const stablehlo::Op* op = BinaryBody(body, body.args[0], body.args[1]);
  if (op == nullptr || of_truths) return "";
  for (const Combiner& c : kCombiners) {
    if (c.op == op->name()) return c.primitive;
  }
  return op->name() == "stablehlo.subtract" && op->operands[0] == body.args[0] ? "scatter-sub" : "";
}

// Updates outside are dropped.
Status RaiseScatter(RaiseContext& c) {
  if (c.num_operands() != 3) return c.Refuse("of several arrays has no primitive");
  const std::string_view primitive =
      ScatterFor(c.op().regions[0], tensor::IsBool(c.in_type(0).dtype));
  if (primitive.empty()) return c.Refuse("with this update function has no primitive");
  const Attr attr = c.attr("scatter_dimension_numbers");
  const stablehlo::ScatterDims& s = attr.AsScatter();
  Dims batching = s.scatter_indices_batching_dims;
  const Value indices = VectorsLast(c, c.in(1), s.index_vector_dim, &batching);
  RETURN_IF_ERROR(c.b().status());
  c.Out(ops::Scatter(c.b(), primitive, c.in(0), indices, c.in(2),
                     {s.update_window_dims, s.inserted_window_dims, s.scatter_dims_to_operand_dims,
                      s.input_batching_dims, batching},
                     {.mode = IndexMode::kFillOrDrop,
                      .sorted = c.flag("indices_are_sorted"),
                      .unique = c.flag("unique_indices")}));
  return OkStatus();
}

constexpr RaiseDef kRules[] = {
    {"stablehlo.gather", RaiseGather},
    {"stablehlo.scatter", RaiseScatter},
};

}  // namespace

std::span<const RaiseDef> IndexRules() { return kRules; }

}  // namespace megalith::raising
