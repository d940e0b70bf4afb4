// The library kernel "convolution": stablehlo.convolution in any layout, with any padding, stride,
// dilation, reversal and grouping; so also the gradients of convolutions, which are convolutions.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/machines/kernels/library.h"

namespace megalith::kernels {

// Of one spatial dimension.
struct ConvWindow {
  int64_t stride = 1, pad_low = 0, pad_high = 0, base_dilation = 1, window_dilation = 1;
  bool reversal = false;
};

// Operands: input, kernel; one result. The type products are computed in follows GemmProblem
// (gemm.h). As parameters, all persistent (never change, append only): the number of spatial
// dimensions r; input batch, feature and r spatial dimensions; kernel input feature, output feature
// and r spatial ones; output batch, feature and r spatial ones; r times stride, pad_low, pad_high,
// base_dilation, window_dilation, reversal; feature_groups; batch_groups.
struct ConvParams {
  int64_t input_batch = 0, input_feature = 0;
  std::vector<int64_t> input_spatial;
  int64_t kernel_input_feature = 0, kernel_output_feature = 0;
  std::vector<int64_t> kernel_spatial;
  int64_t output_batch = 0, output_feature = 0;
  std::vector<int64_t> output_spatial;
  std::vector<ConvWindow> window;
  int64_t feature_groups = 1, batch_groups = 1;

  std::string Pack() const;
};

// Sums run over the window and the input features, neither packed nor laid out as a matrix: each
// tap of the window (or each input feature) is a matrix product on the operands where they lie. The
// kernel is copied to scratch if its output features are not neighbours, the result if its are not;
// operands that are not f32, f64, i32, u32, i64 or u64, or differ in type, are converted in
// scratch.
extern const LibraryKernel kConvolutionKernel;

}  // namespace megalith::kernels
