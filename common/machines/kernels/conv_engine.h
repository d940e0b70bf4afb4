// A convolution of one element type on strided memory, as blocks of matrix products.
#pragma once

#include <cstdint>
#include <vector>

#include "common/machines/kernels/library.h"

namespace megalith::kernels {

// One spatial dimension: output position o and tap k meet input position
// (o * stride + k * window_dilation - pad_low) / base_dilation if that divides and is in range.
// Distances in elements; the kernel's is negative if it is reversed.
struct ConvSpatial {
  int64_t in_size = 0, out_size = 0, taps = 0;
  int64_t in_step = 0, out_step = 0, kernel_step = 0;
  int64_t stride = 1, pad_low = 0, base_dilation = 1, window_dilation = 1;
};

// Output features are neighbours in the kernel and in the result, unless RowsAreColumns. One of the
// two group counts is 1.
struct ConvShape {
  int64_t batch = 0;  // of the result
  int64_t in_batch_step = 0, out_batch_step = 0;
  int64_t features = 0, outputs = 0;  // of one group
  int64_t in_feature_step = 0, kernel_feature_step = 0;
  int64_t kernel_output_step = 1, out_feature_step = 1;
  int64_t feature_groups = 1, batch_groups = 1;
  std::vector<ConvSpatial> spatial;
};

// How the loops are assigned to rows and depth of matrix products; found once per shape.
struct ConvLoops {
  int rows = -1;   // the spatial dimension whose output positions are rows; -1: the batch
  int depth = -1;  // the spatial dimension whose taps are summed over; -1: the input features
  // With them: taps of this dimension, where those follow one another as features do. -1: none.
  int merged = -1;
  bool depthwise = false;   // one feature in, one out, per group: no product at all
  bool transposed = false;  // products have a row per output feature, a column per position
};
ConvLoops PlanConv(ConvShape* shape);

// True if the positions of the last dimension are neighbours in input and result, so that they can
// be columns of products: then output features need not be neighbours anywhere.
bool RowsAreColumns(const ConvShape& shape);

// T is float, double, uint32_t or uint64_t. `kernel` points at the first tap (the last one in
// memory along reversed dimensions). `add`: to what is in `out`.
template <typename T>
void RunConv(const ConvShape& shape, const ConvLoops& loops, const T* in, const T* kernel, T* out,
             bool add, const KernelCall& call);

}  // namespace megalith::kernels
