// Gather and scatter with StableHLO's dimension numbers. Index arrays have any integer type.
#pragma once

#include "common/machines/kernels/library.h"

namespace megalith::kernels {

// "gather": in[0] the operand (any elements), in[1] the indices; out[0]. params: lists offset_dims,
// collapsed_slice_dims, operand_batching_dims, start_indices_batching_dims, start_index_map, then
// index_vector_dim, then the list slice_sizes. Starts are clamped so that slices fit.
extern const LibraryKernel kGatherKernel;

// "scatter": in[0] the operand, in[1] the indices, in[2] the updates; out[0], which may be in[0] in
// place. params: lists update_window_dims, inserted_window_dims, input_batching_dims,
// scatter_indices_batching_dims, scatter_dims_to_operand_dims, then index_vector_dim, then the
// CombineKind (combine.h; first the operand's element, then the update's). kReplace takes any
// elements, kAdd also complex ones. Updates whose window does not fit are dropped; updates of one
// element are applied in the order of the indices, whatever the number of threads. bf16 and f16
// compute in f32 and round after every update.
extern const LibraryKernel kScatterKernel;

}  // namespace megalith::kernels
