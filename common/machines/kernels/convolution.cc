#include "common/machines/kernels/convolution.h"

#include <algorithm>
#include <numeric>

#include "common/foundation/base/strings.h"
#include "common/machines/kernels/conv_engine.h"
#include "common/machines/kernels/element_convert.h"

namespace megalith::kernels {
namespace {

constexpr size_t kMaxSpatial = 8;
constexpr uint64_t kAlign = 64;

// An operand seen in the order the loops want: sizes, and steps in elements.
struct View {
  DType dtype = DType::kInvalid;
  std::vector<int64_t> sizes, steps;
  int64_t start = 0;  // where element 0 is
  int64_t elements() const {
    return std::accumulate(sizes.begin(), sizes.end(), int64_t{1}, std::multiplies<>());
  }
  int64_t last_step() const { return sizes.back() == 1 ? 1 : steps.back(); }
};

View ViewOf(const ArraySpec& spec, const std::vector<int64_t>& order) {
  View v;
  v.dtype = spec.dtype;
  const Dims strides = tensor::RowMajorStrides(spec.shape);
  for (const int64_t d : order) {
    v.sizes.push_back(spec.shape[static_cast<size_t>(d)]);
    v.steps.push_back(strides[static_cast<size_t>(d)]);
  }
  return v;
}

std::vector<int64_t> DenseSteps(const std::vector<int64_t>& sizes) {
  std::vector<int64_t> steps(sizes.size(), 1);
  for (size_t i = sizes.size(); i-- > 1;) steps[i - 1] = steps[i] * sizes[i];
  return steps;
}

// The same elements in the order of memory; requires a view of all of them.
View AsItLies(const View& v) {
  std::vector<size_t> order(v.sizes.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, [&](size_t a, size_t b) { return v.steps[a] > v.steps[b]; });
  View lies;
  lies.dtype = v.dtype;
  for (const size_t d : order) {
    lies.sizes.push_back(v.sizes[d]);
    lies.steps.push_back(v.steps[d]);
  }
  return lies;
}

struct ConvState {
  // [batch, spatial, feature], [spatial, in, out], [batch, spatial, feature]; as they are given.
  View in, kernel, out;
  DType product = DType::kInvalid;
  bool complex = false;
  // Whether the loops run on copies, dense and of the product type; and whether those are in the
  // order above, for the sake of the loops, or as the array lies.
  bool copy_in = false, copy_kernel = false, copy_out = false;
  bool order_in = false, order_kernel = false, order_out = false;
  View copied_in, copied_kernel, copied_out;
  int64_t kernel_offset = 0;  // of the first tap, if dimensions are reversed
  ConvShape shape;
  ConvLoops loops;
  uint64_t in_bytes = 0, kernel_bytes = 0, out_bytes = 0;  // of one plane of a copy
};

// Calls body(row, offset) for all rows of the last dimension that `begin`..`end` count.
template <typename Body>
void ForRows(const View& v, int64_t begin, int64_t end, const Body& body) {
  for (int64_t row = begin; row < end; ++row) {
    int64_t rest = row, offset = v.start;
    for (size_t d = v.sizes.size() - 1; d-- > 0;) {
      offset += rest % v.sizes[d] * v.steps[d];
      rest /= v.sizes[d];
    }
    body(row, offset);
  }
}

int64_t RowCount(const View& v) { return v.sizes.back() == 0 ? 0 : v.elements() / v.sizes.back(); }
int64_t RowGrain(const View& v) {
  return std::max<int64_t>(1, 16384 / std::max<int64_t>(v.sizes.back(), 1));
}

// A dense copy of one part of `data` as T, negated if asked.
template <typename T>
void Gather(const View& v, const void* data, int part, bool negate, T* to, const KernelCall& call) {
  const DType type = tensor::RealPart(v.dtype);
  const int64_t width = tensor::ByteWidth(type);
  const int64_t parts = tensor::IsComplex(v.dtype) ? 2 : 1;
  const ReadRun<T> read = IsStoredAs<T>(type) ? nullptr : ReaderOf<T>(type);
  const int64_t size = v.sizes.back();
  const int64_t step = v.steps.back() * parts;
  call.pool.For(RowCount(v), RowGrain(v), [&](int64_t begin, int64_t end) {
    ForRows(v, begin, end, [&](int64_t row, int64_t offset) {
      const char* from = static_cast<const char*>(data) + (offset * parts + part) * width;
      T* run = to + row * size;
      if (read != nullptr) {
        read(from, step, size, run);
      } else {
        const T* same = reinterpret_cast<const T*>(from);
        for (int64_t i = 0; i < size; ++i) run[i] = same[i * step];
      }
      if (negate) {
        for (int64_t i = 0; i < size; ++i) run[i] = T{} - run[i];
      }
    });
  });
}

// The other way: `planes` (one, or real and imaginary part) into the result.
template <typename T>
void Scatter(const View& v, const T* const* planes, void* data, const KernelCall& call) {
  const DType type = tensor::RealPart(v.dtype);
  const int64_t width = tensor::ByteWidth(type);
  const int parts = tensor::IsComplex(v.dtype) ? 2 : 1;
  const bool same = IsStoredAs<T>(type);
  const WriteRun<T> write = same ? nullptr : WriterOf<T>(type);
  const int64_t size = v.sizes.back();
  call.pool.For(RowCount(v), RowGrain(v), [&](int64_t begin, int64_t end) {
    ForRows(v, begin, end, [&](int64_t row, int64_t offset) {
      for (int part = 0; part < parts; ++part) {
        const T* run = planes[part] + row * size;
        char* to = static_cast<char*>(data) + (offset * parts + part) * width;
        const int64_t step = v.steps.back() * parts;
        if (same) {
          T* elements = reinterpret_cast<T*>(to);
          for (int64_t i = 0; i < size; ++i) elements[i * step] = run[i];
        } else if (step == 1) {
          write(run, size, to);
        } else {
          for (int64_t i = 0; i < size; ++i) write(run + i, 1, to + i * step * width);
        }
      }
    });
  });
}

template <typename T>
Status Run(const ConvState& s, const KernelCall& call) {
  char* scratch = static_cast<char*>(call.scratch);
  const auto take = [&](uint64_t bytes) {
    T* plane = reinterpret_cast<T*>(scratch);
    scratch += bytes;
    return plane;
  };
  const int parts = s.complex ? 2 : 1;
  const T* in[2] = {static_cast<const T*>(call.in[0]), nullptr};
  const T* kernel[3] = {static_cast<const T*>(call.in[1]), nullptr, nullptr};
  T* out[2] = {static_cast<T*>(call.out[0]), nullptr};
  for (int part = 0; part < parts && s.copy_in; ++part) {
    T* plane = take(s.in_bytes);
    Gather(s.copied_in, call.in[0], part, false, plane, call);
    in[part] = plane;
  }
  // The third is the imaginary part negated: products of two imaginary parts count so.
  for (int part = 0; part < (s.complex ? 3 : 1) && s.copy_kernel; ++part) {
    T* plane = take(s.kernel_bytes);
    Gather(s.copied_kernel, call.in[1], std::min(part, 1), part == 2, plane, call);
    kernel[part] = plane;
  }
  for (int part = 0; part < parts && s.copy_out; ++part) out[part] = take(s.out_bytes);
  const auto convolve = [&](int i, int k, int o, bool add) {
    RunConv<T>(s.shape, s.loops, in[i], kernel[k] + s.kernel_offset, out[o], add, call);
  };
  convolve(0, 0, 0, false);
  if (s.complex) {
    convolve(1, 2, 0, true);
    convolve(0, 1, 1, false);
    convolve(1, 0, 1, true);
  }
  if (s.copy_out) {
    const T* planes[2] = {out[0], out[1]};
    Scatter(s.copied_out, planes, call.out[0], call);
  }
  return call.Poll();
}

Status RunConvolution(const void* state, const KernelCall& call) {
  const auto& s = *static_cast<const ConvState*>(state);
  if (s.out.elements() == 0) return OkStatus();
  return VisitProductType(s.product, [&]<typename T>(T*) { return Run<T>(s, call); });
}

// ---- parameters ----

// Takes numbers from the front of a list that may be too short.
class Numbers {
 public:
  explicit Numbers(const std::vector<int64_t>& values) : values_(values) {}
  int64_t Next() { return at_ < values_.size() ? values_[at_++] : (short_ = true, 0); }
  std::vector<int64_t> Next(size_t n) {
    std::vector<int64_t> out;
    for (size_t i = 0; i < n; ++i) out.push_back(Next());
    return out;
  }
  bool done() const { return !short_ && at_ == values_.size(); }

 private:
  const std::vector<int64_t>& values_;
  size_t at_ = 0;
  bool short_ = false;
};

Result<ConvParams> Unpack(std::string_view bytes) {
  ASSIGN_OR_RETURN(const std::vector<int64_t> values, UnpackParams(bytes));
  Numbers n(values);
  const int64_t rank = n.Next();
  if (rank < 0 || rank > static_cast<int64_t>(kMaxSpatial)) {
    return InvalidArgument(StrCat("convolution of ", rank, " spatial dimensions, at most ",
                                  kMaxSpatial, " are supported"));
  }
  const auto r = static_cast<size_t>(rank);
  ConvParams p;
  p.input_batch = n.Next();
  p.input_feature = n.Next();
  p.input_spatial = n.Next(r);
  p.kernel_input_feature = n.Next();
  p.kernel_output_feature = n.Next();
  p.kernel_spatial = n.Next(r);
  p.output_batch = n.Next();
  p.output_feature = n.Next();
  p.output_spatial = n.Next(r);
  for (size_t i = 0; i < r; ++i) {
    ConvWindow w;
    w.stride = n.Next();
    w.pad_low = n.Next();
    w.pad_high = n.Next();
    w.base_dilation = n.Next();
    w.window_dilation = n.Next();
    w.reversal = n.Next() != 0;
    p.window.push_back(w);
  }
  p.feature_groups = n.Next();
  p.batch_groups = n.Next();
  if (!n.done()) return InvalidArgument("parameters of convolution have the wrong length");
  return p;
}

// The dimensions first, middle..., last; which must be a permutation.
Result<std::vector<int64_t>> Order(const ArraySpec& spec, std::vector<int64_t> order) {
  std::vector<int64_t> sorted = order;
  std::sort(sorted.begin(), sorted.end());
  bool good = sorted.size() == spec.shape.size() && tensor::NumElements(spec.shape).has_value();
  for (size_t i = 0; i < sorted.size(); ++i) good = good && sorted[i] == static_cast<int64_t>(i);
  if (!good) {
    return InvalidArgument(StrCat("dimension numbers of convolution do not fit an operand of [",
                                  tensor::DimsText(spec.shape), "]"));
  }
  return order;
}

std::vector<int64_t> Join(std::vector<int64_t> list, std::initializer_list<int64_t> more) {
  list.insert(list.end(), more);
  return list;
}

std::vector<int64_t> Surround(int64_t first, const std::vector<int64_t>& middle, int64_t last) {
  std::vector<int64_t> out = {first};
  out.insert(out.end(), middle.begin(), middle.end());
  out.push_back(last);
  return out;
}

// Positions of a window: -1 if a number is out of range or the sums do not fit.
int64_t OutputSize(const ConvWindow& w, int64_t in, int64_t taps) {
  constexpr int64_t kLimit = int64_t{1} << 31;
  for (const int64_t x : {w.stride, w.base_dilation, w.window_dilation}) {
    if (x < 1 || x > kLimit) return -1;
  }
  for (const int64_t x : {w.pad_low, w.pad_high}) {
    if (x < -kLimit || x > kLimit) return -1;
  }
  if (in > kLimit || taps > kLimit) return -1;
  __int128 size = in == 0 ? 0 : static_cast<__int128>(in - 1) * w.base_dilation + 1;
  size += w.pad_low + w.pad_high;
  const __int128 window = taps == 0 ? 0 : static_cast<__int128>(taps - 1) * w.window_dilation + 1;
  if (size < 0) return -1;
  if (size == 0 || window > size) return 0;
  const __int128 positions = (size - window) / w.stride + 1;
  return positions > kLimit ? -1 : static_cast<int64_t>(positions);
}

Status CheckSizes(const ConvParams& p, const ConvState& s) {
  const size_t last = p.window.size() + 1;
  const auto misfit = [](std::string_view what) {
    return InvalidArgument(StrCat("convolution: ", what, " do not fit"));
  };
  if (p.feature_groups < 1 || p.batch_groups < 1 || (p.feature_groups > 1 && p.batch_groups > 1)) {
    return misfit("group counts");
  }
  const int64_t outputs = s.kernel.sizes[last];
  if (s.in.sizes[last] != s.kernel.sizes[last - 1] * p.feature_groups ||
      outputs % (p.feature_groups * p.batch_groups) != 0 || s.out.sizes[last] != outputs) {
    return misfit("features");
  }
  if (s.in.sizes[0] % p.batch_groups != 0 || s.out.sizes[0] != s.in.sizes[0] / p.batch_groups) {
    return misfit("batches");
  }
  for (size_t i = 0; i < p.window.size(); ++i) {
    if (OutputSize(p.window[i], s.in.sizes[i + 1], s.kernel.sizes[i]) != s.out.sizes[i + 1]) {
      return misfit(StrCat("sizes of spatial dimension ", i));
    }
  }
  return OkStatus();
}

// The shape of the loops, on copies or on what is given.
void FillShape(const ConvParams& p, ConvState* s) {
  const auto steps = [](const View& v, bool in_order) {
    return in_order ? DenseSteps(v.sizes) : v.steps;
  };
  const std::vector<int64_t> in = steps(s->in, s->order_in);
  const std::vector<int64_t> kernel = steps(s->kernel, s->order_kernel);
  const std::vector<int64_t> out = steps(s->out, s->order_out);
  const size_t rank = p.window.size();
  ConvShape& c = s->shape;
  c = {};
  s->kernel_offset = 0;
  c.batch = s->out.sizes[0];
  c.in_batch_step = in[0];
  c.out_batch_step = out[0];
  c.features = s->kernel.sizes[rank];
  c.outputs = s->kernel.sizes[rank + 1] / (p.feature_groups * p.batch_groups);
  c.in_feature_step = in[rank + 1];
  c.kernel_feature_step = kernel[rank];
  c.kernel_output_step = s->kernel.sizes[rank + 1] == 1 ? 1 : kernel[rank + 1];
  c.out_feature_step = s->out.sizes[rank + 1] == 1 ? 1 : out[rank + 1];
  c.feature_groups = p.feature_groups;
  c.batch_groups = p.batch_groups;
  for (size_t i = 0; i < rank; ++i) {
    const ConvWindow& w = p.window[i];
    ConvSpatial d = {s->in.sizes[i + 1], s->out.sizes[i + 1], s->kernel.sizes[i], in[i + 1],
                     out[i + 1],         kernel[i],           w.stride,           w.pad_low,
                     w.base_dilation,    w.window_dilation};
    if (w.reversal && d.taps > 0 && !s->order_kernel) {
      s->kernel_offset += (d.taps - 1) * d.kernel_step;
      d.kernel_step = -d.kernel_step;
    }
    c.spatial.push_back(d);
  }
}

// The loops, and the arrays whose order is changed for them. Except for complex numbers, which are
// taken apart, element types have no say: a sum is the same whether its terms were converted here
// or before.
void ChooseLoops(const ConvParams& p, ConvState* s) {
  s->order_in = s->order_kernel = s->order_out = s->complex;
  FillShape(p, s);
  if (!s->complex) {
    // All as they lie: positions as columns if only that saves copying features together.
    const bool together = s->kernel.last_step() == 1 && s->out.last_step() == 1;
    if (!together && RowsAreColumns(s->shape)) {
      s->loops = PlanConv(&s->shape);
      return;
    }
    s->order_kernel = s->kernel.last_step() != 1;
    s->order_out = s->out.last_step() != 1;
    FillShape(p, s);
  }
  s->shape.kernel_output_step = s->shape.out_feature_step = 1;
  s->loops = PlanConv(&s->shape);
}

void ChooseCopies(const ConvParams& p, ConvState* s) {
  s->product = ProductType(s->in.dtype, s->kernel.dtype, s->out.dtype);
  s->complex = tensor::IsComplex(s->out.dtype);
  ChooseLoops(p, s);
  const auto converted = [&](DType d) {
    return VisitProductType(s->product, [&]<typename T>(T*) { return !IsStoredAs<T>(d); });
  };
  s->copy_in = s->order_in || converted(s->in.dtype);
  s->copy_kernel = s->order_kernel || converted(s->kernel.dtype);
  s->copy_out = s->order_out || converted(s->out.dtype);
  s->copied_in = s->order_in ? s->in : AsItLies(s->in);
  s->copied_out = s->order_out ? s->out : AsItLies(s->out);
  s->copied_kernel = s->order_kernel ? s->kernel : AsItLies(s->kernel);
  for (size_t i = 0; i < p.window.size() && s->order_kernel; ++i) {
    View& v = s->copied_kernel;  // reversed dimensions backwards, from `start`
    if (!p.window[i].reversal || v.sizes[i] == 0) continue;
    v.start += (v.sizes[i] - 1) * v.steps[i];
    v.steps[i] = -v.steps[i];
  }
  const auto width = static_cast<uint64_t>(tensor::ByteWidth(s->product));
  const auto bytes = [&](const View& v) {
    return (static_cast<uint64_t>(v.elements()) * width + kAlign - 1) / kAlign * kAlign;
  };
  s->in_bytes = bytes(s->in);
  s->kernel_bytes = bytes(s->kernel);
  s->out_bytes = bytes(s->out);
}

Result<PreparedKernel> PrepareConvolution(std::string_view params, std::span<const ArraySpec> in,
                                          std::span<const ArraySpec> out) {
  ASSIGN_OR_RETURN(const ConvParams p, Unpack(params));
  if (in.size() != 2 || out.size() != 1) {
    return InvalidArgument("convolution has two operands and one result");
  }
  RETURN_IF_ERROR(CheckProductTypes(in[0].dtype, in[1].dtype, out[0].dtype));
  auto state = std::make_shared<ConvState>();
  ASSIGN_OR_RETURN(const auto in_order,
                   Order(in[0], Surround(p.input_batch, p.input_spatial, p.input_feature)));
  ASSIGN_OR_RETURN(
      const auto kernel_order,
      Order(in[1], Join(p.kernel_spatial, {p.kernel_input_feature, p.kernel_output_feature})));
  ASSIGN_OR_RETURN(const auto out_order,
                   Order(out[0], Surround(p.output_batch, p.output_spatial, p.output_feature)));
  state->in = ViewOf(in[0], in_order);
  state->kernel = ViewOf(in[1], kernel_order);
  state->out = ViewOf(out[0], out_order);
  RETURN_IF_ERROR(CheckSizes(p, *state));
  ChooseCopies(p, state.get());
  PreparedKernel kernel;
  const uint64_t parts = state->complex ? 2 : 1;
  if (state->copy_in) kernel.scratch_bytes += parts * state->in_bytes;
  if (state->copy_kernel) kernel.scratch_bytes += (state->complex ? 3 : 1) * state->kernel_bytes;
  if (state->copy_out) kernel.scratch_bytes += parts * state->out_bytes;
  kernel.state = std::move(state);
  kernel.run = RunConvolution;
  return kernel;
}

}  // namespace

std::string ConvParams::Pack() const {
  std::vector<int64_t> v = {static_cast<int64_t>(window.size())};
  const auto put = [&](const std::vector<int64_t>& list) {
    v.insert(v.end(), list.begin(), list.end());
  };
  put({input_batch, input_feature});
  put(input_spatial);
  put({kernel_input_feature, kernel_output_feature});
  put(kernel_spatial);
  put({output_batch, output_feature});
  put(output_spatial);
  for (const ConvWindow& w : window) {
    put({w.stride, w.pad_low, w.pad_high, w.base_dilation, w.window_dilation, w.reversal});
  }
  put({feature_groups, batch_groups});
  return PackParams(v);
}

const LibraryKernel kConvolutionKernel = {"convolution", PrepareConvolution};

}  // namespace megalith::kernels
