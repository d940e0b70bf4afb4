// Kernels that move elements: constants, broadcasts, transpositions, slices, padding.
#include <algorithm>
#include <cstring>

#include "common/foundation/base/strings.h"
#include "common/foundation/tensor/narrow.h"
#include "common/programs/stablehlo/kernels/prepare.h"
#include "common/programs/stablehlo/kernels/strided.h"
#include "common/programs/stablehlo/op_def.h"

namespace megalith::stablehlo {
namespace {

// A copy whose strides and offsets are known in advance.
struct CopySpec {
  TensorType out;
  Shape shape;    // of what is copied
  Dims to, from;  // byte strides
  int64_t to_offset = 0, from_offset = 0;
  int width = 1;
};

Kernel CopyKernel(CopySpec spec) {
  return Kernel{[spec = std::move(spec)](KernelCall& call) -> Status {
    ASSIGN_OR_RETURN(call.out[0], call.run.Allocate(spec.out));
    StridedCopy(static_cast<char*>(call.out[0].mutable_data()) + spec.to_offset, spec.to,
                static_cast<const char*>(call.in[0].data()) + spec.from_offset, spec.from,
                spec.shape, spec.width);
    return OkStatus();
  }};
}

// Start index i of a dynamic slice, clamped so that the slice fits.
int64_t ClampedStart(const Tensor& index, int64_t dim, int64_t size) {
  const int64_t most = dim - size;
  if (index.dtype() == DType::kU64) {
    const auto v = static_cast<uint64_t>(index.IntAt(0));
    return v > static_cast<uint64_t>(most) ? most : static_cast<int64_t>(v);
  }
  return std::clamp<int64_t>(index.IntAt(0), 0, most);
}

template <typename T>
void FillIota(Tensor* out, int64_t outer, int64_t length, int64_t inner) {
  T* p = static_cast<T*>(out->mutable_data());
  for (int64_t o = 0; o < outer; ++o) {
    for (int64_t i = 0; i < length; ++i) {
      std::fill_n(p, inner, static_cast<T>(i));
      p += inner;
    }
  }
}

// One value per position along the iota dimension, through the tensor's own rounding, repeated.
void FillIotaSlow(Tensor* out, int64_t outer, int64_t length, int64_t inner) {
  const int width = tensor::ByteWidth(out->dtype());
  Tensor value = *Tensor::Create(out->dtype(), Shape{});
  const bool is_int = tensor::IsInteger(out->dtype());
  char* base = static_cast<char*>(out->mutable_data());
  for (int64_t i = 0; i < length; ++i) {
    if (is_int) {
      value.SetInt(0, i);
    } else {
      value.SetDouble(0, static_cast<double>(i));
    }
    for (int64_t o = 0; o < outer; ++o)
      Fill(base + (o * length + i) * inner * width, value.data(), inner, width);
  }
}

}  // namespace

Result<Kernel> PrepareConstant(Planner&, const Op& op) {
  // The planner keeps constants out of the schedule; this runs only where one is returned by a
  // scalar region.
  const Dense dense = op.attr("value").AsDense();
  return Kernel{[dense](KernelCall& call) -> Status {
    ASSIGN_OR_RETURN(call.out[0], dense.Materialize(call.run.max_bytes_per_value));
    return OkStatus();
  }};
}

Result<Kernel> PrepareIota(Planner& planner, const Op& op) {
  const TensorType type = planner.result(op);
  const auto dim = static_cast<size_t>(op.attr("iota_dimension").AsInt());
  int64_t outer = 1;
  int64_t inner = 1;
  for (size_t i = 0; i < type.rank(); ++i)
    (i < dim ? outer : inner) *= i == dim ? 1 : type.shape[i];
  const int64_t length = type.shape[dim];
  return Kernel{[type, outer, length, inner](KernelCall& call) -> Status {
    ASSIGN_OR_RETURN(call.out[0], call.run.Allocate(type));
    if (call.out[0].size() == 0) return OkStatus();
    switch (type.dtype) {
      case DType::kI32:
      case DType::kU32:
        FillIota<int32_t>(&call.out[0], outer, length, inner);
        break;
      case DType::kI64:
      case DType::kU64:
        FillIota<int64_t>(&call.out[0], outer, length, inner);
        break;
      case DType::kF32:
        FillIota<float>(&call.out[0], outer, length, inner);
        break;
      case DType::kF64:
        FillIota<double>(&call.out[0], outer, length, inner);
        break;
      default:
        FillIotaSlow(&call.out[0], outer, length, inner);
    }
    return OkStatus();
  }};
}

Result<Kernel> PrepareBroadcast(Planner& planner, const Op& op) {
  const TensorType& in = planner.operand(op, 0);
  CopySpec spec;
  spec.out = planner.result(op);
  spec.shape = spec.out.shape;
  spec.width = tensor::ByteWidth(in.dtype);
  spec.to = ByteStrides(spec.shape, spec.width);
  spec.from = Dims(spec.shape.size(), 0);
  const Dims strides = ByteStrides(in.shape, spec.width);
  const auto dims = op.attr("broadcast_dimensions").AsInts();
  for (size_t i = 0; i < dims.size(); ++i) {
    if (in.shape[i] != 1) spec.from[static_cast<size_t>(dims[i])] = strides[i];
  }
  if (in.shape == spec.out.shape && spec.from == spec.to) return PrepareIdentity(planner, op);
  return CopyKernel(std::move(spec));
}

Result<Kernel> PrepareReshape(Planner& planner, const Op& op) {
  const Shape shape = planner.result(op).shape;
  return Kernel{[shape](KernelCall& call) -> Status {
    call.out[0] = call.in[0].Reshaped(shape);
    return OkStatus();
  }};
}

// Same bytes, another type: elements of another width are the same memory cut differently
// (little-endian).
Result<Kernel> PrepareBitcast(Planner& planner, const Op& op) {
  const TensorType type = planner.result(op);
  const DType from = planner.operand(op, 0).dtype;
  if (tensor::BitWidth(type.dtype) == tensor::BitWidth(from) && type.dtype != DType::kBool) {
    return Kernel{[type](KernelCall& call) -> Status {
      call.out[0] = call.in[0].Reinterpreted(type.dtype);
      return tensor::IsNarrow(type.dtype) ? tensor::ExtendNarrow(&call.out[0]) : OkStatus();
    }};
  }
  if (tensor::IsNarrow(type.dtype) || tensor::IsNarrow(from)) {
    return Kernel{[type](KernelCall& call) -> Status {
      ASSIGN_OR_RETURN(call.out[0], call.run.Allocate(type));
      if (call.out[0].size() == 0) return OkStatus();
      std::memset(call.out[0].mutable_data(), 0, call.out[0].byte_size());
      tensor::RecutBits(call.in[0], &call.out[0]);
      return OkStatus();
    }};
  }
  return Kernel{[type](KernelCall& call) -> Status {
    ASSIGN_OR_RETURN(call.out[0], call.run.Allocate(type));
    std::memcpy(call.out[0].mutable_data(), call.in[0].data(), call.out[0].byte_size());
    return OkStatus();
  }};
}

Result<Kernel> PrepareTranspose(Planner& planner, const Op& op) {
  const TensorType& in = planner.operand(op, 0);
  CopySpec spec;
  spec.out = planner.result(op);
  spec.shape = spec.out.shape;
  spec.width = tensor::ByteWidth(in.dtype);
  spec.to = ByteStrides(spec.shape, spec.width);
  const Dims strides = ByteStrides(in.shape, spec.width);
  for (const int64_t d : op.attr("permutation").AsInts())
    spec.from.push_back(strides[static_cast<size_t>(d)]);
  return CopyKernel(std::move(spec));
}

Result<Kernel> PrepareReverse(Planner& planner, const Op& op) {
  CopySpec spec;
  spec.out = planner.result(op);
  spec.shape = spec.out.shape;
  spec.width = tensor::ByteWidth(spec.out.dtype);
  spec.to = ByteStrides(spec.shape, spec.width);
  spec.from = spec.to;
  for (const int64_t dim : op.attr("dimensions").AsInts()) {
    const auto d = static_cast<size_t>(dim);
    spec.from_offset += spec.to[d] * std::max<int64_t>(spec.shape[d] - 1, 0);
    spec.from[d] = -spec.to[d];
  }
  return CopyKernel(std::move(spec));
}

Result<Kernel> PrepareSlice(Planner& planner, const Op& op) {
  const TensorType& in = planner.operand(op, 0);
  CopySpec spec;
  spec.out = planner.result(op);
  spec.shape = spec.out.shape;
  spec.width = tensor::ByteWidth(in.dtype);
  spec.to = ByteStrides(spec.shape, spec.width);
  const Dims strides = ByteStrides(in.shape, spec.width);
  const auto start = op.attr("start_indices").AsInts();
  const auto steps = op.attr("strides").AsInts();
  for (size_t i = 0; i < in.rank(); ++i) {
    spec.from_offset += start[i] * strides[i];
    spec.from.push_back(spec.shape[i] > 1 ? strides[i] * steps[i] : 0);
  }
  if (ElementCount(spec.out) == 0) spec.from_offset = 0;
  return CopyKernel(std::move(spec));
}

Result<Kernel> PrepareDynamicSlice(Planner& planner, const Op& op) {
  const TensorType in = planner.operand(op, 0);
  const TensorType out = planner.result(op);
  const int width = tensor::ByteWidth(in.dtype);
  const Dims from = ByteStrides(in.shape, width);
  const Dims to = ByteStrides(out.shape, width);
  return Kernel{[in, out, width, from, to](KernelCall& call) -> Status {
    ASSIGN_OR_RETURN(call.out[0], call.run.Allocate(out));
    if (call.out[0].size() == 0) return OkStatus();
    int64_t offset = 0;
    for (size_t i = 0; i < in.rank(); ++i)
      offset += ClampedStart(call.in[i + 1], in.shape[i], out.shape[i]) * from[i];
    StridedCopy(call.out[0].mutable_data(), to,
                static_cast<const char*>(call.in[0].data()) + offset, from, out.shape, width);
    return OkStatus();
  }};
}

Result<Kernel> PrepareDynamicUpdateSlice(Planner& planner, const Op& op) {
  const TensorType in = planner.operand(op, 0);
  const TensorType update = planner.operand(op, 1);
  const int width = tensor::ByteWidth(in.dtype);
  const Dims to = ByteStrides(in.shape, width);
  const Dims from = ByteStrides(update.shape, width);
  return Kernel{[in, update, width, from, to](KernelCall& call) -> Status {
    Tensor out = std::move(call.in[0]);
    RETURN_IF_ERROR(out.MakeUnique());
    if (call.in[1].size() > 0) {
      int64_t offset = 0;
      for (size_t i = 0; i < in.rank(); ++i) {
        offset += ClampedStart(call.in[i + 2], in.shape[i], update.shape[i]) * to[i];
      }
      StridedCopy(static_cast<char*>(out.mutable_data()) + offset, to, call.in[1].data(), from,
                  update.shape, width);
    }
    call.out[0] = std::move(out);
    return OkStatus();
  }};
}

Result<Kernel> PrepareConcatenate(Planner& planner, const Op& op) {
  const TensorType out = planner.result(op);
  const auto dim = static_cast<size_t>(op.attr("dimension").AsInt());
  const int width = tensor::ByteWidth(out.dtype);
  const Dims to = ByteStrides(out.shape, width);
  return Kernel{[out, dim, width, to](KernelCall& call) -> Status {
    ASSIGN_OR_RETURN(call.out[0], call.run.Allocate(out));
    char* base = static_cast<char*>(call.out[0].mutable_data());
    for (const Tensor& t : call.in) {
      StridedCopy(base, to, t.data(), ByteStrides(t.shape(), width), t.shape(), width);
      base += t.shape()[dim] * to[dim];
    }
    return OkStatus();
  }};
}

Result<Kernel> PreparePad(Planner& planner, const Op& op) {
  const TensorType in = planner.operand(op, 0);
  CopySpec spec;
  spec.out = planner.result(op);
  spec.width = tensor::ByteWidth(in.dtype);
  const Dims to = ByteStrides(spec.out.shape, spec.width);
  const Dims from = ByteStrides(in.shape, spec.width);
  const auto low = op.attr("edge_padding_low").AsInts();
  const auto interior = op.attr("interior_padding").AsInts();
  // Negative edges cut elements off: copy those whose place is inside the result.
  for (size_t i = 0; i < in.rank(); ++i) {
    const int64_t step = interior[i] + 1;
    const int64_t first = low[i] < 0 ? (-low[i] + step - 1) / step : 0;
    // Largest index with low + index * step < size.
    const int64_t room = spec.out.shape[i] - 1 - low[i];
    const int64_t last = room < 0 ? -1 : std::min(in.shape[i] - 1, room / step);
    const int64_t count = std::max<int64_t>(last - first + 1, 0);
    spec.shape.push_back(count);
    spec.to.push_back(count > 1 ? to[i] * step : 0);
    spec.from.push_back(from[i]);
    if (count > 0) {
      spec.to_offset += (low[i] + first * step) * to[i];
      spec.from_offset += first * from[i];
    }
  }
  if (tensor::NumElements(spec.shape).value_or(0) == 0) spec.to_offset = spec.from_offset = 0;
  return Kernel{[spec](KernelCall& call) -> Status {
    ASSIGN_OR_RETURN(call.out[0], call.run.Allocate(spec.out));
    char* base = static_cast<char*>(call.out[0].mutable_data());
    Fill(base, call.in[1].data(), call.out[0].size(), spec.width);
    StridedCopy(base + spec.to_offset, spec.to,
                static_cast<const char*>(call.in[0].data()) + spec.from_offset, spec.from,
                spec.shape, spec.width);
    return OkStatus();
  }};
}

Result<Kernel> PrepareGetDimensionSize(Planner& planner, const Op& op) {
  const auto dim = static_cast<size_t>(op.attr("dimension").AsInt());
  const int64_t size = planner.operand(op, 0).shape[dim];
  return Kernel{[size](KernelCall& call) -> Status {
    call.out[0] = Tensor::Scalar(DType::kI32, size);
    return OkStatus();
  }};
}

}  // namespace megalith::stablehlo
