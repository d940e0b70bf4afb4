#include "common/programs/stablehlo/artifact/vhlo_table.h"

#include <algorithm>
#include <charconv>

#include "common/foundation/base/strings.h"

namespace megalith::stablehlo::artifact {
namespace {

constexpr Version kNewest = UINT32_MAX;

// Names, revisions and orders are those of the format (persistent: never change, add only).
constexpr VhloOp kRows[] = {
    {"abs", {{1, 9'000, kNewest, ""}}},
    {"add", {{1, 9'000, kNewest, ""}}},
    {"after_all", {{1, 9'000, kNewest, ""}}},
    {"all_gather",
     {{1, 9'000, 1'004'000, "all_gather_dim,channel_id,replica_groups,use_global_device_ids"},
      {2, 1'005'000, kNewest, "all_gather_dim,channel_id,replica_groups,use_global_device_ids"}}},
    {"all_reduce",
     {{1, 9'000, 1'004'000, "channel_id,replica_groups,use_global_device_ids"},
      {2, 1'005'000, kNewest, "channel_id,replica_groups,use_global_device_ids"}}},
    {"all_to_all",
     {{1, 9'000, 1'004'000,
       "channel_id,concat_dimension,replica_groups,split_count,split_dimension"},
      {2, 1'005'000, kNewest,
       "channel_id,concat_dimension,replica_groups,split_count,split_dimension"}}},
    {"and", {{1, 9'000, kNewest, ""}}},
    {"async_done", {{1, 1'015'000, kNewest, ""}}},
    {"async_start", {{1, 1'015'000, kNewest, ""}}},
    {"atan2", {{1, 9'000, kNewest, ""}}},
    {"batch_norm_grad", {{1, 9'000, kNewest, "epsilon,feature_index"}}},
    {"batch_norm_inference", {{1, 9'000, kNewest, "epsilon,feature_index"}}},
    {"batch_norm_training", {{1, 9'000, kNewest, "epsilon,feature_index"}}},
    {"bitcast_convert", {{1, 9'000, kNewest, ""}}},
    {"broadcast", {{1, 9'000, kNewest, "broadcast_sizes"}}},
    {"broadcast_in_dim", {{1, 9'000, kNewest, "broadcast_dimensions"}}},
    {"call", {{1, 9'000, kNewest, "callee"}}},
    {"case", {{1, 9'000, kNewest, ""}}},
    {"cbrt", {{1, 9'000, 1'009'000, ""}, {2, 1'010'000, kNewest, "result_accuracy"}}},
    {"ceil", {{1, 9'000, kNewest, ""}}},
    {"cholesky", {{1, 9'000, kNewest, "lower"}}},
    {"clamp", {{1, 9'000, kNewest, ""}}},
    {"collective_broadcast",
     {{1, 16'000, 1'019'000, "channel_id,replica_groups"},
      {2, 1'020'000, kNewest, "channel_id,has_dynamic_root,replica_groups"}}},
    {"collective_permute", {{1, 9'000, kNewest, "channel_id,source_target_pairs"}}},
    {"collective_reduce",
     {{1, 1'019'000, kNewest, "channel_id,has_dynamic_root,replica_groups,use_global_device_ids"}}},
    {"compare", {{1, 9'000, kNewest, "compare_type,comparison_direction"}}},
    {"complex", {{1, 9'000, kNewest, ""}}},
    {"composite",
     {{1, 19'000, 1'013'000, "composite_attributes,decomposition,name,version"},
      {2, 1'014'000, kNewest, "composite_attributes,decomposition,name,version"}}},
    {"concatenate", {{1, 9'000, kNewest, "dimension"}}},
    {"constant", {{1, 9'000, kNewest, "value"}}},
    {"convert", {{1, 9'000, kNewest, ""}}},
    {"convolution",
     {{1, 9'000, kNewest,
       "batch_group_count,feature_group_count,input_batch_dimension,input_feature_dimension,input_"
       "spatial_dimensions,kernel_input_feature_dimension,kernel_output_feature_dimension,kernel_"
       "spatial_dimensions,lhs_dilation,output_batch_dimension,output_feature_dimension,output_"
       "spatial_dimensions,padding,precision_config,rhs_dilation,window_reversal,window_strides"}}},
    {"cosine", {{1, 9'000, 1'009'000, ""}, {2, 1'010'000, kNewest, "result_accuracy"}}},
    {"count_leading_zeros", {{1, 9'000, kNewest, ""}}},
    {"create_token", {{1, 9'000, kNewest, ""}}},
    {"cross-replica-sum", {{1, 9'000, kNewest, "replica_groups"}}},
    {"custom_call",
     {{1, 9'000, 1'017'000,
       "api_version,backend_config,call_target_name,called_computations,has_side_effect,operand_"
       "layouts,output_operand_aliases,result_layouts"},
      {2, 1'018'000, kNewest,
       "api_version,backend_config,call_target_name,called_computations,has_side_effect,operand_"
       "layouts,output_operand_aliases,result_layouts,result_tilings"}}},
    {"divide", {{1, 9'000, kNewest, ""}}},
    {"dot", {{1, 9'000, kNewest, "precision_config"}}},
    {"dot_general",
     {{1, 9'000, 1'005'000,
       "lhs_batching_dimensions,lhs_contracting_dimensions,precision_config,rhs_batching_"
       "dimensions,rhs_contracting_dimensions"},
      {2, 1'006'000, kNewest,
       "accumulation_type,allow_imprecise_accumulation,lhs_batching_dimensions,lhs_component_count,"
       "lhs_contracting_dimensions,lhs_precision_type,num_primitive_operations,precision_config,"
       "rhs_batching_dimensions,rhs_component_count,rhs_contracting_dimensions,rhs_precision_"
       "type"}}},
    {"dynamic_broadcast_in_dim",
     {{1, 9'000, kNewest,
       "broadcast_dimensions,known_expanding_dimensions,known_nonexpanding_dimensions"}}},
    {"dynamic_conv",
     {{1, 9'000, 19'000,
       "batch_group_count,feature_group_count,input_batch_dimension,input_feature_dimension,input_"
       "spatial_dimensions,kernel_input_feature_dimension,kernel_output_feature_dimension,kernel_"
       "spatial_dimensions,lhs_dilation,output_batch_dimension,output_feature_dimension,output_"
       "spatial_dimensions,padding,precision_config,rhs_dilation,window_reversal,window_strides"},
      {2, 20'000, kNewest,
       "batch_group_count,feature_group_count,input_batch_dimension,input_feature_dimension,input_"
       "spatial_dimensions,kernel_input_feature_dimension,kernel_output_feature_dimension,kernel_"
       "spatial_dimensions,lhs_dilation,output_batch_dimension,output_feature_dimension,output_"
       "spatial_dimensions,precision_config,rhs_dilation,window_reversal,window_strides"}}},
    {"dynamic_gather",
     {{1, 9'000, 1'000'000,
       "collapsed_slice_dims,index_vector_dim,indices_are_sorted,offset_dims,start_index_map"},
      {2, 1'001'000, kNewest,
       "collapsed_slice_dims,index_vector_dim,indices_are_sorted,offset_dims,operand_batching_dims,"
       "start_index_map,start_indices_batching_dims"}}},
    {"dynamic_iota", {{1, 9'000, kNewest, "iota_dimension"}}},
    {"dynamic_pad", {{1, 9'000, kNewest, ""}}},
    {"dynamic_reshape", {{1, 9'000, kNewest, ""}}},
    {"dynamic_slice", {{1, 9'000, kNewest, "slice_sizes"}}},
    {"dynamic_update_slice", {{1, 9'000, kNewest, ""}}},
    {"einsum", {{1, 9'000, kNewest, "einsum_config"}}},
    {"exponential", {{1, 9'000, 1'008'000, ""}, {2, 1'009'000, kNewest, "result_accuracy"}}},
    {"exponential_minus_one",
     {{1, 9'000, 1'009'000, ""}, {2, 1'010'000, kNewest, "result_accuracy"}}},
    {"fft", {{1, 9'000, kNewest, "fft_length,fft_type"}}},
    {"floor", {{1, 9'000, kNewest, ""}}},
    {"func", {{1, 9'000, kNewest, "arg_attrs,function_type,res_attrs,sym_name,sym_visibility"}}},
    {"gather",
     {{1, 9'000, 1'000'000,
       "collapsed_slice_dims,index_vector_dim,indices_are_sorted,offset_dims,slice_sizes,start_"
       "index_map"},
      {2, 1'001'000, kNewest,
       "collapsed_slice_dims,index_vector_dim,indices_are_sorted,offset_dims,operand_batching_dims,"
       "slice_sizes,start_index_map,start_indices_batching_dims"}}},
    {"get_dimension_size", {{1, 9'000, kNewest, "dimension"}}},
    {"get_tuple_element", {{1, 9'000, kNewest, "index"}}},
    {"if", {{1, 9'000, kNewest, ""}}},
    {"imag", {{1, 9'000, kNewest, ""}}},
    {"infeed", {{1, 9'000, kNewest, "infeed_config,layout"}}},
    {"iota", {{1, 9'000, kNewest, "iota_dimension"}}},
    {"is_finite", {{1, 9'000, kNewest, ""}}},
    {"log", {{1, 9'000, 1'009'000, ""}, {2, 1'010'000, kNewest, "result_accuracy"}}},
    {"log_plus_one", {{1, 9'000, 1'009'000, ""}, {2, 1'010'000, kNewest, "result_accuracy"}}},
    {"logistic", {{1, 9'000, 1'009'000, ""}, {2, 1'010'000, kNewest, "result_accuracy"}}},
    {"map", {{1, 9'000, kNewest, "dimensions"}}},
    {"maximum", {{1, 9'000, kNewest, ""}}},
    {"minimum", {{1, 9'000, kNewest, ""}}},
    {"multiply", {{1, 9'000, kNewest, ""}}},
    {"negate", {{1, 9'000, kNewest, ""}}},
    {"not", {{1, 9'000, kNewest, ""}}},
    {"optimization_barrier", {{1, 9'000, kNewest, ""}}},
    {"or", {{1, 9'000, kNewest, ""}}},
    {"outfeed", {{1, 9'000, kNewest, "outfeed_config"}}},
    {"pad", {{1, 9'000, kNewest, "edge_padding_high,edge_padding_low,interior_padding"}}},
    {"partition_id", {{1, 9'000, kNewest, ""}}},
    {"popcnt", {{1, 9'000, kNewest, ""}}},
    {"power", {{1, 9'000, kNewest, ""}}},
    {"real", {{1, 9'000, kNewest, ""}}},
    {"real_dynamic_slice", {{1, 9'000, kNewest, ""}}},
    {"recv",
     {{1, 9'000, 1'011'000, "channel_id,channel_type,is_host_transfer"},
      {2, 1'012'000, kNewest, "channel_id,channel_type,is_host_transfer,source_target_pairs"}}},
    {"reduce", {{1, 9'000, kNewest, "dimensions"}}},
    {"reduce_precision", {{1, 9'000, kNewest, "exponent_bits,mantissa_bits"}}},
    {"reduce_scatter",
     {{1, 9'000, kNewest, "channel_id,replica_groups,scatter_dimension,use_global_device_ids"}}},
    {"reduce_window",
     {{1, 9'000, kNewest,
       "base_dilations,padding,window_dilations,window_dimensions,window_strides"}}},
    {"remainder", {{1, 9'000, kNewest, ""}}},
    {"replica_id", {{1, 9'000, kNewest, ""}}},
    {"reshape", {{1, 9'000, kNewest, ""}}},
    {"return", {{1, 9'000, kNewest, ""}}},
    {"reverse", {{1, 9'000, kNewest, "dimensions"}}},
    {"rng", {{1, 9'000, kNewest, "rng_distribution"}}},
    {"rng_bit_generator", {{1, 9'000, kNewest, "rng_algorithm"}}},
    {"round_nearest_afz", {{1, 9'000, kNewest, ""}}},
    {"round_nearest_even", {{1, 9'000, kNewest, ""}}},
    {"rsqrt", {{1, 9'000, 1'009'000, ""}, {2, 1'010'000, kNewest, "result_accuracy"}}},
    {"scatter",
     {{1, 9'000, 1'000'000,
       "index_vector_dim,indices_are_sorted,inserted_window_dims,scatter_dims_to_operand_dims,"
       "unique_indices,update_window_dims"},
      {2, 1'001'000, kNewest,
       "index_vector_dim,indices_are_sorted,input_batching_dims,inserted_window_dims,scatter_dims_"
       "to_operand_dims,scatter_indices_batching_dims,unique_indices,update_window_dims"}}},
    {"select", {{1, 9'000, kNewest, ""}}},
    {"select_and_scatter", {{1, 9'000, kNewest, "padding,window_dimensions,window_strides"}}},
    {"send",
     {{1, 9'000, 1'011'000, "channel_id,channel_type,is_host_transfer"},
      {2, 1'012'000, kNewest, "channel_id,channel_type,is_host_transfer,source_target_pairs"}}},
    {"set_dimension_size", {{1, 9'000, kNewest, "dimension"}}},
    {"shift_left", {{1, 9'000, kNewest, ""}}},
    {"shift_right_arithmetic", {{1, 9'000, kNewest, ""}}},
    {"shift_right_logical", {{1, 9'000, kNewest, ""}}},
    {"sign", {{1, 9'000, kNewest, ""}}},
    {"sine", {{1, 9'000, 1'009'000, ""}, {2, 1'010'000, kNewest, "result_accuracy"}}},
    {"slice", {{1, 9'000, kNewest, "limit_indices,start_indices,strides"}}},
    {"sort", {{1, 9'000, kNewest, "dimension,is_stable"}}},
    {"sqrt", {{1, 9'000, 1'009'000, ""}, {2, 1'010'000, kNewest, "result_accuracy"}}},
    {"subtract", {{1, 9'000, kNewest, ""}}},
    {"tan", {{1, 1'004'000, 1'009'000, ""}, {2, 1'010'000, kNewest, "result_accuracy"}}},
    {"tanh", {{1, 9'000, 1'009'000, ""}, {2, 1'010'000, kNewest, "result_accuracy"}}},
    {"torch_index_select", {{1, 9'000, kNewest, "batch_dims,dim"}}},
    {"transpose", {{1, 9'000, kNewest, "permutation"}}},
    {"triangular_solve", {{1, 9'000, kNewest, "left_side,lower,transpose_a,unit_diagonal"}}},
    {"tuple", {{1, 9'000, kNewest, ""}}},
    {"unary_einsum", {{1, 9'000, kNewest, "einsum_config"}}},
    {"uniform_dequantize", {{1, 9'000, kNewest, ""}}},
    {"uniform_quantize", {{1, 9'000, kNewest, ""}}},
    {"while", {{1, 9'000, kNewest, ""}}},
    {"xor", {{1, 9'000, kNewest, ""}}},
};

}  // namespace

std::string VersionText(Version v) {
  return StrCat(v / 1'000'000, ".", v / 1'000 % 1'000, ".", v % 1'000);
}

Result<Version> ParseVersion(std::string_view text) {
  Version out = 0;
  const char* p = text.data();
  const char* end = p + text.size();
  for (int part = 0; part < 3; ++part) {
    uint32_t n = 0;
    const auto r = std::from_chars(p, end, n);
    const bool last = part == 2;
    if (r.ec != std::errc() || n > 999 || (last ? r.ptr != end : r.ptr == end || *r.ptr != '.'))
      return InvalidArgument(StrCat("'", Printable(text, 40), "' is no version such as 1.13.7"));
    out = out * 1'000 + n;
    p = last ? r.ptr : r.ptr + 1;
  }
  return out;
}

bool Revision::Has(std::string_view field) const {
  return !ForEachField([&](std::string_view name) {
            return name == field ? InvalidArgument("") : OkStatus();
          }).ok();
}

const Revision* VhloOp::Find(int number) const {
  for (const Revision& r : revisions) {
    if (r.number == number && number != 0) return &r;
  }
  return nullptr;
}

const Revision* VhloOp::At(Version version) const {
  for (const Revision& r : revisions) {
    const bool valid = r.since / 1'000 <= version / 1'000 && version / 1'000 <= r.until / 1'000;
    if (r.number != 0 && valid) return &r;
  }
  return nullptr;
}

std::string VhloOp::StablehloName() const {
  return name == "call" ? "func.call" : StrCat("stablehlo.", name);
}

const VhloOp* FindVhloOp(std::string_view name) {
  const auto at = std::ranges::lower_bound(kRows, name, {}, &VhloOp::name);
  return at != std::end(kRows) && at->name == name ? &*at : nullptr;
}

std::span<const VhloOp> AllVhloOps() { return kRows; }

}  // namespace megalith::stablehlo::artifact
