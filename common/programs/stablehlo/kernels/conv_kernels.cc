// stablehlo.convolution, as a matrix product: the input values each output position sees are laid
// out as the rows of a matrix (a piece at a time), which is multiplied by the kernel.
#include <algorithm>
#include <cstring>

#include "common/programs/stablehlo/kernels/gemm.h"
#include "common/programs/stablehlo/kernels/prepare.h"
#include "common/programs/stablehlo/kernels/product.h"
#include "common/programs/stablehlo/op_def.h"
#include "common/programs/stablehlo/rules.h"

namespace megalith::stablehlo {
namespace {

struct ConvPlan {
  TensorType out;
  std::vector<WindowDim> window;
  Dims input_order, kernel_order,
      output_order;  // [batch, spatial, feature], [spatial, in, out], [batch, spatial, feature]
  Shape input_spatial, output_spatial;
  int64_t batch = 0, features = 0, outputs = 0;  // of input, input and output
  int64_t groups = 1, batch_groups = 1;
  int64_t window_size = 1;
  DType product = DType::kF32;
};

// Offsets (in elements, without the batch) of the input pixels that the window at output position
// `at` covers, -1 for padding and holes.
void CoveredPixels(const ConvPlan& p, const std::vector<int64_t>& at,
                   std::vector<int64_t>* pixels) {
  const size_t rank = p.window.size();
  std::vector<int64_t> k(rank, 0);
  for (int64_t w = 0; w < p.window_size; ++w) {
    int64_t offset = 0;
    for (size_t d = 0; d < rank && offset >= 0; ++d) {
      const WindowDim& dim = p.window[d];
      const int64_t step = dim.reversal ? dim.size - 1 - k[d] : k[d];
      const int64_t place = at[d] * dim.stride + step * dim.window_dilation - dim.pad_low;
      const bool hole = place < 0 || place % dim.base_dilation != 0 ||
                        place / dim.base_dilation >= p.input_spatial[d];
      offset = hole ? -1 : offset * p.input_spatial[d] + place / dim.base_dilation;
    }
    (*pixels)[static_cast<size_t>(w)] = offset < 0 ? -1 : offset * p.features;
    for (size_t d = rank; d-- > 0;) {
      if (++k[d] < p.window[d].size) break;
      k[d] = 0;
    }
  }
}

template <typename T>
Status Convolve(const ConvPlan& p, const T* input, const T* kernel, T* out, const Run& run) {
  const int64_t group_features = p.features / p.groups;
  const int64_t splits = p.groups * p.batch_groups;  // at most one of them is not 1
  const int64_t group_outputs = p.outputs / splits;
  const int64_t depth = p.window_size * group_features;
  const int64_t out_batch = p.batch / p.batch_groups;
  const int64_t positions = tensor::NumElements(p.output_spatial).value_or(0);
  const int64_t image = tensor::NumElements(p.input_spatial).value_or(0) * p.features;
  const int64_t piece =
      std::clamp<int64_t>((int64_t{1} << 18) / std::max<int64_t>(depth, 1), 1, 4096);
  std::vector<T> rows(static_cast<size_t>(std::min(piece, positions) * depth));
  std::vector<int64_t> pixels(static_cast<size_t>(p.window_size));
  std::vector<int64_t> at(p.window.size(), 0);
  for (int64_t first = 0; first < positions; first += piece) {
    const int64_t count = std::min(piece, positions - first);
    std::vector<std::vector<int64_t>> covered;
    for (int64_t i = 0; i < count; ++i) {
      CoveredPixels(p, at, &pixels);
      covered.push_back(pixels);
      for (size_t d = at.size(); d-- > 0;) {
        if (++at[d] < p.output_spatial[d]) break;
        at[d] = 0;
      }
    }
    for (int64_t b = 0; b < out_batch; ++b) {
      for (int64_t g = 0; g < splits; ++g) {
        const int64_t source = p.batch_groups > 1 ? g * out_batch + b : b;
        const T* base = input + source * image + (p.groups > 1 ? g * group_features : 0);
        T* row = rows.data();
        for (int64_t i = 0; i < count; ++i) {
          for (const int64_t pixel : covered[static_cast<size_t>(i)]) {
            if (pixel >= 0) {
              std::copy_n(base + pixel, group_features, row);
            } else {
              std::fill_n(row, group_features, T(0));
            }
            row += group_features;
          }
        }
        RETURN_IF_ERROR(Gemm<T>(
            count, group_outputs, depth, rows.data(), depth, kernel + g * group_outputs, p.outputs,
            out + (b * positions + first) * p.outputs + g * group_outputs, p.outputs, run));
      }
    }
  }
  return OkStatus();
}

Status RunConvolution(const ConvPlan& p, KernelCall& call) {
  if (ElementCount(p.out) == 0) {
    ASSIGN_OR_RETURN(call.out[0], call.run.Allocate(p.out));
    return OkStatus();
  }
  if (call.in[0].size() == 0 || call.in[1].size() == 0) {  // sums of nothing
    ASSIGN_OR_RETURN(call.out[0],
                     Tensor::Create(p.out.dtype, p.out.shape, call.run.max_bytes_per_value));
    return OkStatus();
  }
  ASSIGN_OR_RETURN(const Planes input,
                   ToPlanes(call.in[0], p.input_order, p.product, DType::kInvalid, call.run));
  ASSIGN_OR_RETURN(const Planes kernel,
                   ToPlanes(call.in[1], p.kernel_order, p.product, DType::kInvalid, call.run));
  Shape shape;  // [batch, spatial, feature]
  for (const int64_t d : p.output_order) shape.push_back(p.out.shape[static_cast<size_t>(d)]);
  const auto multiply = [&](const Tensor& a, const Tensor& b, Tensor* c) {
    return VisitProductType(p.product, [&]<typename T>(T*) -> Status {
      return Convolve<T>(p, static_cast<const T*>(a.data()), static_cast<const T*>(b.data()),
                         static_cast<T*>(c->mutable_data()), call.run);
    });
  };
  ASSIGN_OR_RETURN(Planes out,
                   MultiplyPlanes(input, kernel, {p.product, shape}, call.run, multiply));
  ASSIGN_OR_RETURN(call.out[0], FromPlanes(std::move(out), shape, p.output_order, p.out, call.run));
  return OkStatus();
}

}  // namespace

Result<Kernel> PrepareConvolution(Planner& planner, const Op& op) {
  const ConvDims& d = op.attr("dimension_numbers").AsConv();
  const TensorType& input = planner.operand(op, 0);
  const TensorType& kernel = planner.operand(op, 1);
  auto p = std::make_shared<ConvPlan>();
  p->out = planner.result(op);
  ASSIGN_OR_RETURN(p->window, ReadConvWindow(op, planner.func()));
  p->product = ProductType(input.dtype, kernel.dtype, p->out.dtype);
  p->input_order.push_back(d.input_batch);
  p->output_order.push_back(d.output_batch);
  for (size_t i = 0; i < d.input_spatial.size(); ++i) {
    p->input_order.push_back(d.input_spatial[i]);
    p->kernel_order.push_back(d.kernel_spatial[i]);
    p->output_order.push_back(d.output_spatial[i]);
    p->input_spatial.push_back(input.shape[static_cast<size_t>(d.input_spatial[i])]);
    p->output_spatial.push_back(p->out.shape[static_cast<size_t>(d.output_spatial[i])]);
    p->window_size *= p->window[i].size;
  }
  p->input_order.push_back(d.input_feature);
  p->output_order.push_back(d.output_feature);
  p->kernel_order.push_back(d.kernel_input_feature);
  p->kernel_order.push_back(d.kernel_output_feature);
  p->batch = input.shape[static_cast<size_t>(d.input_batch)];
  p->features = input.shape[static_cast<size_t>(d.input_feature)];
  p->outputs = p->out.shape[static_cast<size_t>(d.output_feature)];
  p->groups = op.attr("feature_group_count").AsInt();
  p->batch_groups = op.attr("batch_group_count").AsInt();
  return Kernel{[p](KernelCall& call) { return RunConvolution(*p, call); }};
}

}  // namespace megalith::stablehlo
