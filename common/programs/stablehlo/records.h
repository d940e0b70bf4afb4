// The fields of the attribute records, once: equality, text and byte encodings are all made from
// these lists.
#pragma once

#include "common/programs/stablehlo/attr.h"

namespace megalith::stablehlo {

// Calls visit(name, field) for each field in the order of the text. R is the record type, const or
// not; fields are Dims, int64_t, bool, double, PrecisionType or AccuracyMode.
template <typename R, typename Visit>
void VisitFields(R& r, const Visit& visit) {
  using T = std::remove_const_t<R>;
  if constexpr (std::is_same_v<T, GatherDims>) {
    visit("offset_dims", r.offset_dims);
    visit("collapsed_slice_dims", r.collapsed_slice_dims);
    visit("operand_batching_dims", r.operand_batching_dims);
    visit("start_indices_batching_dims", r.start_indices_batching_dims);
    visit("start_index_map", r.start_index_map);
    visit("index_vector_dim", r.index_vector_dim);
  } else if constexpr (std::is_same_v<T, ScatterDims>) {
    visit("update_window_dims", r.update_window_dims);
    visit("inserted_window_dims", r.inserted_window_dims);
    visit("input_batching_dims", r.input_batching_dims);
    visit("scatter_indices_batching_dims", r.scatter_indices_batching_dims);
    visit("scatter_dims_to_operand_dims", r.scatter_dims_to_operand_dims);
    visit("index_vector_dim", r.index_vector_dim);
  } else if constexpr (std::is_same_v<T, DotDims>) {
    visit("lhs_batching_dimensions", r.lhs_batch);
    visit("rhs_batching_dimensions", r.rhs_batch);
    visit("lhs_contracting_dimensions", r.lhs_contract);
    visit("rhs_contracting_dimensions", r.rhs_contract);
  } else if constexpr (std::is_same_v<T, ConvDims>) {
    visit("input_batch_dimension", r.input_batch);
    visit("input_feature_dimension", r.input_feature);
    visit("input_spatial_dimensions", r.input_spatial);
    visit("kernel_input_feature_dimension", r.kernel_input_feature);
    visit("kernel_output_feature_dimension", r.kernel_output_feature);
    visit("kernel_spatial_dimensions", r.kernel_spatial);
    visit("output_batch_dimension", r.output_batch);
    visit("output_feature_dimension", r.output_feature);
    visit("output_spatial_dimensions", r.output_spatial);
  } else if constexpr (std::is_same_v<T, DotAlgorithm>) {
    visit("lhs_precision_type", r.lhs);
    visit("rhs_precision_type", r.rhs);
    visit("accumulation_type", r.accumulation);
    visit("lhs_component_count", r.lhs_components);
    visit("rhs_component_count", r.rhs_components);
    visit("num_primitive_operations", r.primitive_operations);
    visit("allow_imprecise_accumulation", r.allow_imprecise);
  } else if constexpr (std::is_same_v<T, ChannelHandle>) {
    visit("handle", r.handle);
    visit("type", r.type);
  } else if constexpr (std::is_same_v<T, ResultAccuracy>) {
    visit("atol", r.atol);
    visit("rtol", r.rtol);
    visit("ulps", r.ulps);
    visit("mode", r.mode);
  } else {
    static_assert(std::is_same_v<T, OperandAlias>);
    visit("output_tuple_indices", r.output_tuple_indices);
    visit("operand_index", r.operand_index);
    visit("operand_tuple_indices", r.operand_tuple_indices);
  }
}

// Calls visit(record) with the record `attr` holds; false if it is not of a record kind.
template <typename Visit>
bool VisitRecord(const Attr& attr, const Visit& visit) {
  switch (attr.kind()) {
    case AttrKind::kGather:
      visit(attr.AsGather());
      return true;
    case AttrKind::kScatter:
      visit(attr.AsScatter());
      return true;
    case AttrKind::kDot:
      visit(attr.AsDot());
      return true;
    case AttrKind::kConv:
      visit(attr.AsConv());
      return true;
    case AttrKind::kDotAlgorithm:
      visit(attr.AsDotAlgorithm());
      return true;
    case AttrKind::kChannel:
      visit(attr.AsChannel());
      return true;
    case AttrKind::kResultAccuracy:
      visit(attr.AsResultAccuracy());
      return true;
    case AttrKind::kOperandAlias:
      visit(attr.AsOperandAlias());
      return true;
    default:
      return false;
  }
}

// Calls make(record) with an empty record of this kind; false if the kind is not one of a record.
// For readers.
template <typename Make>
bool MakeRecord(AttrKind kind, const Make& make) {
  switch (kind) {
    case AttrKind::kGather:
      make(GatherDims());
      return true;
    case AttrKind::kScatter:
      make(ScatterDims());
      return true;
    case AttrKind::kDot:
      make(DotDims());
      return true;
    case AttrKind::kConv:
      make(ConvDims());
      return true;
    case AttrKind::kDotAlgorithm:
      make(DotAlgorithm());
      return true;
    case AttrKind::kChannel:
      make(ChannelHandle());
      return true;
    case AttrKind::kResultAccuracy:
      make(ResultAccuracy());
      return true;
    case AttrKind::kOperandAlias:
      make(OperandAlias());
      return true;
    default:
      return false;
  }
}

}  // namespace megalith::stablehlo
