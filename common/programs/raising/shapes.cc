// Constants, and operations that move elements.
#include "common/programs/raising/context.h"

namespace megalith::raising {
namespace {

Status RaiseConstant(RaiseContext& c) {
  const Attr value = c.attr("value");
  const stablehlo::Dense& dense = value.AsDense();
  // A splat stays one element and a broadcast.
  if (dense.splat && c.out_type().rank() > 0) {
    c.Out(ir::Broadcast(c.b(), c.b().Const(dense.data), Dims(c.out_type().shape)));
    return OkStatus();
  }
  ASSIGN_OR_RETURN(const tensor::Tensor t, dense.Materialize());
  c.Out(c.b().Const(t));
  return OkStatus();
}

Status RaiseIota(RaiseContext& c) {
  c.Out(ir::Iota(c.b(), c.out_type().dtype, c.out_type().shape, c.attr("iota_dimension").AsInt()));
  return OkStatus();
}

Status RaiseBroadcast(RaiseContext& c) {
  c.Out(ir::BroadcastInDim(c.b(), c.in(0), c.out_type().shape, c.ints("broadcast_dimensions")));
  return OkStatus();
}

Status RaiseReshape(RaiseContext& c) {
  c.Out(ir::Reshape(c.b(), c.in(0), c.out_type().shape));
  return OkStatus();
}

Status RaiseTranspose(RaiseContext& c) {
  c.Out(ir::Transpose(c.b(), c.in(0), c.ints("permutation")));
  return OkStatus();
}

Status RaiseReverse(RaiseContext& c) {
  c.Out(ir::Rev(c.b(), c.in(0), c.ints("dimensions")));
  return OkStatus();
}

Status RaiseSlice(RaiseContext& c) {
  c.Out(ir::Slice(c.b(), c.in(0), c.ints("start_indices"), c.ints("limit_indices"),
                  c.ints("strides")));
  return OkStatus();
}

Status RaiseDynamicSlice(RaiseContext& c) {
  c.Out(c.b().Emit1("dynamic_slice", c.ins(),
                    {{"slice_sizes", ParamValue::Ints(c.ints("slice_sizes"))}}));
  return OkStatus();
}

Status RaiseConcatenate(RaiseContext& c) {
  c.Out(ir::Concatenate(c.b(), c.ins(), c.attr("dimension").AsInt()));
  return OkStatus();
}

Status RaisePad(RaiseContext& c) {
  const Dims low = c.ints("edge_padding_low");
  const Dims high = c.ints("edge_padding_high");
  const Dims interior = c.ints("interior_padding");
  std::vector<ir::Padding> config;
  for (size_t i = 0; i < low.size(); ++i) config.push_back({low[i], high[i], interior[i]});
  c.Out(ir::Pad(c.b(), c.in(0), c.in(1), config));
  return OkStatus();
}

Status RaiseDimensionSize(RaiseContext& c) {
  const auto dimension = static_cast<size_t>(c.attr("dimension").AsInt());
  c.Out(c.b().Lit(ir::Literal::Int(DType::kI32, c.in(0).shape()[dimension])));
  return OkStatus();
}

constexpr RaiseDef kRules[] = {
    {"stablehlo.constant", RaiseConstant},
    {"stablehlo.iota", RaiseIota},
    {"stablehlo.broadcast_in_dim", RaiseBroadcast},
    {"stablehlo.reshape", RaiseReshape},
    {"stablehlo.transpose", RaiseTranspose},
    {"stablehlo.reverse", RaiseReverse},
    {"stablehlo.slice", RaiseSlice},
    {"stablehlo.dynamic_slice", RaiseDynamicSlice},
    {"stablehlo.dynamic_update_slice", RaiseTo<"dynamic_update_slice">},
    {"stablehlo.concatenate", RaiseConcatenate},
    {"stablehlo.pad", RaisePad},
    {"stablehlo.get_dimension_size", RaiseDimensionSize},
};

}  // namespace

std::span<const RaiseDef> ShapeRules() { return kRules; }

}  // namespace megalith::raising
