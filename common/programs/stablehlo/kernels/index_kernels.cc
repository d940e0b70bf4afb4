// stablehlo.gather and stablehlo.scatter.
//
// Index vectors that point outside are clamped by gather so that the slice fits; scatter drops the
// whole window. Windows are visited in the order of the indices, so that of several updates of one
// element the last one is applied last.
#include <algorithm>
#include <cstring>

#include "common/programs/stablehlo/kernels/prepare.h"
#include "common/programs/stablehlo/kernels/region_body.h"
#include "common/programs/stablehlo/kernels/strided.h"
#include "common/programs/stablehlo/op_def.h"

namespace megalith::stablehlo {
namespace {

bool Contains(const Dims& dims, int64_t d) {
  return std::find(dims.begin(), dims.end(), d) != dims.end();
}

// How positions of the batch (one window each) name places in the operand.
struct Indexing {
  Shape operand;
  Dims window;         // window size by operand dimension; 1 for dropped and batching ones
  Shape batch;         // sizes of the batch dimensions
  Dims batch_strides;  // of the indices array, by batch dimension (elements)
  int64_t vector_stride = 0;
  Dims index_map;  // operand dimension of each index component
  // Operand dimensions that follow a batch dimension: pairs (operand dimension, batch position).
  std::vector<std::pair<size_t, size_t>> batched;
};

Indexing MakeIndexing(const TensorType& operand, const TensorType& indices, int64_t vector_dim,
                      const Dims& map, const Dims& operand_batch, const Dims& indices_batch) {
  Indexing x;
  x.operand = operand.shape;
  x.window = Dims(operand.rank(), 1);
  x.index_map = map;
  const Dims strides = tensor::RowMajorStrides(indices.shape);
  std::vector<int64_t> position_of(indices.rank() + 1,
                                   -1);  // batch position of each dimension of the indices
  for (size_t i = 0; i < indices.rank(); ++i) {
    if (static_cast<int64_t>(i) == vector_dim) continue;
    position_of[i] = static_cast<int64_t>(x.batch.size());
    x.batch.push_back(indices.shape[i]);
    x.batch_strides.push_back(strides[i]);
  }
  if (vector_dim < static_cast<int64_t>(indices.rank()))
    x.vector_stride = strides[static_cast<size_t>(vector_dim)];
  for (size_t i = 0; i < operand_batch.size(); ++i) {
    x.batched.emplace_back(static_cast<size_t>(operand_batch[i]),
                           static_cast<size_t>(position_of[static_cast<size_t>(indices_batch[i])]));
  }
  return x;
}

int64_t IndexAt(const Tensor& indices, int64_t i) {
  switch (indices.dtype()) {
    case DType::kI32:
      return indices.As<int32_t>()[static_cast<size_t>(i)];
    case DType::kI64:
      return indices.As<int64_t>()[static_cast<size_t>(i)];
    case DType::kU64: {
      const uint64_t v = indices.As<uint64_t>()[static_cast<size_t>(i)];
      return v > static_cast<uint64_t>(INT64_MAX) ? INT64_MAX : static_cast<int64_t>(v);
    }
    default:
      return indices.IntAt(i);
  }
}

// Where the window of one batch position starts, per operand dimension.
void StartOf(const Indexing& x, const Tensor& indices, const std::vector<int64_t>& batch,
             std::vector<int64_t>* start) {
  std::ranges::fill(*start, 0);
  int64_t at = 0;
  for (size_t i = 0; i < batch.size(); ++i) at += batch[i] * x.batch_strides[i];
  for (size_t k = 0; k < x.index_map.size(); ++k) {
    (*start)[static_cast<size_t>(x.index_map[k])] =
        IndexAt(indices, at + static_cast<int64_t>(k) * x.vector_stride);
  }
  for (const auto& [dim, position] : x.batched) (*start)[dim] = batch[position];
}

bool Next(const Shape& shape, std::vector<int64_t>* index) {
  for (size_t d = shape.size(); d-- > 0;) {
    if (++(*index)[d] < shape[d]) return true;
    (*index)[d] = 0;
  }
  return false;
}

// Strides of the array side (the gathered result, or the updates), split into batch and window
// dimensions.
struct ArraySide {
  Dims batch_strides;   // by batch position
  Dims window_strides;  // by operand dimension; 0 for dropped ones
};

ArraySide SplitArray(const Shape& shape, const Dims& window_dims, const Dims& dropped,
                     const Dims& operand_batch, size_t operand_rank) {
  ArraySide side;
  const Dims strides = tensor::RowMajorStrides(shape);
  for (size_t i = 0; i < shape.size(); ++i) {
    if (!Contains(window_dims, static_cast<int64_t>(i))) side.batch_strides.push_back(strides[i]);
  }
  side.window_strides = Dims(operand_rank, 0);
  size_t next = 0;
  for (size_t d = 0; d < operand_rank; ++d) {
    const auto dim = static_cast<int64_t>(d);
    if (Contains(dropped, dim) || Contains(operand_batch, dim)) continue;
    side.window_strides[d] = strides[static_cast<size_t>(window_dims[next++])];
  }
  return side;
}

struct GatherPlan {
  Indexing x;
  ArraySide side;
  TensorType out;
  int width = 1;
  Dims from, to;  // byte strides of a window in the operand and in the result
};

Status RunGather(const GatherPlan& p, KernelCall& call) {
  ASSIGN_OR_RETURN(call.out[0], call.run.Allocate(p.out));
  if (call.out[0].size() == 0) return OkStatus();
  const char* in = static_cast<const char*>(call.in[0].data());
  char* out = static_cast<char*>(call.out[0].mutable_data());
  std::vector<int64_t> batch(p.x.batch.size(), 0), start(p.x.operand.size(), 0);
  const int64_t elements = tensor::NumElements(p.x.window).value_or(0);
  const bool one_element = elements == 1;
  if (elements == 0)
    std::memset(out, 0, call.out[0].byte_size());  // empty slices that are collapsed away
  uint64_t count = 0;
  do {
    StartOf(p.x, call.in[1], batch, &start);
    int64_t offset = 0;
    for (size_t d = 0; d < start.size(); ++d) {
      offset += std::clamp<int64_t>(start[d], 0, p.x.operand[d] - p.x.window[d]) * p.from[d];
    }
    int64_t to = 0;
    for (size_t i = 0; i < batch.size(); ++i) to += batch[i] * p.side.batch_strides[i];
    if (one_element) {
      std::memcpy(out + to * p.width, in + offset, static_cast<size_t>(p.width));
    } else {
      StridedCopy(out + to * p.width, p.to, in + offset, p.from, p.x.window, p.width);
    }
    if (++count % 16384 == 0) RETURN_IF_ERROR(call.run.Poll());
  } while (Next(p.x.batch, &batch));
  return OkStatus();
}

struct ScatterPlan {
  Indexing x;
  ArraySide side;
  std::vector<TensorType> out;
  size_t count = 0;
  RegionBody body;
  bool assigns = false;  // the body returns the update
  Dims operand_strides;  // elements
  // The window as rows: outer shape, and a run of `run` elements that are contiguous on both sides
  // (or single ones).
  Shape outer;
  Dims outer_to, outer_from;
  int64_t run = 1, run_to = 1, run_from = 1;
};

// Applies windows one after the other.
class WindowWriter {
 public:
  WindowWriter(const ScatterPlan& p, std::span<const Tensor> updates, std::span<Tensor> out,
               BodyRunner* body)
      : p_(p),
        updates_(updates),
        out_(out),
        body_(body),
        index_(p.outer.size(), 0),
        arguments_(2 * p.count),
        results_(p.count) {}

  // `to` and `from` are element offsets of the window's corner in the operand and in the updates.
  Status Apply(int64_t to, int64_t from) {
    do {
      int64_t t = to;
      int64_t f = from;
      for (size_t d = 0; d < index_.size(); ++d) {
        t += index_[d] * p_.outer_to[d];
        f += index_[d] * p_.outer_from[d];
      }
      for (int64_t at = 0; at < p_.run; at += body_->lanes()) {
        RETURN_IF_ERROR(
            Piece(t + at * p_.run_to, f + at * p_.run_from, std::min(body_->lanes(), p_.run - at)));
      }
    } while (Next(p_.outer, &index_));
    return OkStatus();
  }

 private:
  Status Piece(int64_t to, int64_t from, int64_t n) {
    for (size_t k = 0; k < p_.count; ++k) {
      const int width = tensor::ByteWidth(p_.out[k].dtype);
      results_[k] = static_cast<char*>(out_[k].mutable_data()) + to * width;
      arguments_[k] = results_[k];
      arguments_[p_.count + k] = static_cast<const char*>(updates_[k].data()) + from * width;
      if (p_.assigns)
        std::memcpy(results_[k], arguments_[p_.count + k], static_cast<size_t>(n * width));
    }
    return p_.assigns ? OkStatus() : body_->Apply(arguments_.data(), results_.data(), n);
  }

  const ScatterPlan& p_;
  std::span<const Tensor> updates_;
  std::span<Tensor> out_;
  BodyRunner* body_;
  std::vector<int64_t> index_;
  std::vector<const void*> arguments_;
  std::vector<void*> results_;
};

Status RunScatter(const ScatterPlan& p, KernelCall& call) {
  for (size_t k = 0; k < p.count; ++k) {
    Tensor t = std::move(call.in[k]);
    RETURN_IF_ERROR(t.MakeUnique());
    call.out[k] = std::move(t);
  }
  const Tensor& indices = call.in[p.count];
  const std::span<const Tensor> updates = call.in.subspan(p.count + 1);
  if (updates[0].size() == 0 || call.out[0].size() == 0) return OkStatus();
  BodyRunner body(p.body, call.run, call.frame,
                  std::min<int64_t>(p.run_to == 1 && p.run_from == 1 ? p.run : 1, 1024));
  WindowWriter writer(p, updates, call.out, &body);
  std::vector<int64_t> batch(p.x.batch.size(), 0), start(p.x.operand.size(), 0);
  uint64_t count = 0;
  do {
    StartOf(p.x, indices, batch, &start);
    bool fits = true;
    int64_t to = 0;
    for (size_t d = 0; d < start.size(); ++d) {
      fits = fits && start[d] >= 0 && start[d] <= p.x.operand[d] - p.x.window[d];
      if (fits) to += start[d] * p.operand_strides[d];
    }
    if (fits) {
      int64_t from = 0;
      for (size_t i = 0; i < batch.size(); ++i) from += batch[i] * p.side.batch_strides[i];
      RETURN_IF_ERROR(writer.Apply(to, from));
    }
    if (++count % 4096 == 0) RETURN_IF_ERROR(call.run.Poll());
  } while (Next(p.x.batch, &batch));
  return OkStatus();
}

// Splits the window into an innermost run and the dimensions around it.
void SplitRuns(ScatterPlan* p) {
  std::vector<size_t> dims;
  for (size_t d = 0; d < p->x.window.size(); ++d) {
    if (p->x.window[d] != 1) dims.push_back(d);
  }
  if (dims.empty()) return;
  const size_t last = dims.back();
  dims.pop_back();
  p->run = p->x.window[last];
  p->run_to = p->operand_strides[last];
  p->run_from = p->side.window_strides[last];
  while (!dims.empty() && p->run_to == 1 && p->run_from == 1 &&
         p->operand_strides[dims.back()] == p->run &&
         p->side.window_strides[dims.back()] == p->run) {
    p->run *= p->x.window[dims.back()];
    dims.pop_back();
  }
  for (const size_t d : dims) {
    p->outer.push_back(p->x.window[d]);
    p->outer_to.push_back(p->operand_strides[d]);
    p->outer_from.push_back(p->side.window_strides[d]);
  }
}

}  // namespace

Result<Kernel> PrepareGather(Planner& planner, const Op& op) {
  const GatherDims& d = op.attr("dimension_numbers").AsGather();
  auto p = std::make_shared<GatherPlan>();
  const TensorType& operand = planner.operand(op, 0);
  p->out = planner.result(op);
  p->width = tensor::ByteWidth(operand.dtype);
  p->x = MakeIndexing(operand, planner.operand(op, 1), d.index_vector_dim, d.start_index_map,
                      d.operand_batching_dims, d.start_indices_batching_dims);
  p->x.window = Dims(op.attr("slice_sizes").AsInts());
  p->side = SplitArray(p->out.shape, d.offset_dims, d.collapsed_slice_dims, d.operand_batching_dims,
                       operand.rank());
  p->from = ByteStrides(operand.shape, p->width);
  p->to = p->side.window_strides;
  for (int64_t& s : p->to) s *= p->width;
  return Kernel{[p](KernelCall& call) { return RunGather(*p, call); }};
}

Result<Kernel> PrepareScatter(Planner& planner, const Op& op) {
  const ScatterDims& d = op.attr("scatter_dimension_numbers").AsScatter();
  auto p = std::make_shared<ScatterPlan>();
  p->count = op.operands.size() / 2;
  const TensorType& operand = planner.operand(op, 0);
  const TensorType& updates = planner.operand(op, p->count + 1);
  for (uint32_t i = 0; i < op.num_results; ++i) p->out.push_back(planner.result(op, i));
  ASSIGN_OR_RETURN(p->body, MakeBody(planner, op.regions[0]));
  p->assigns =
      p->count == 1 && p->body.program != nullptr && p->body.program->ReturnedArgument() == 1;
  p->x = MakeIndexing(operand, planner.operand(op, p->count), d.index_vector_dim,
                      d.scatter_dims_to_operand_dims, d.input_batching_dims,
                      d.scatter_indices_batching_dims);
  p->side = SplitArray(updates.shape, d.update_window_dims, d.inserted_window_dims,
                       d.input_batching_dims, operand.rank());
  size_t next = 0;
  for (size_t i = 0; i < operand.rank(); ++i) {
    const auto dim = static_cast<int64_t>(i);
    if (Contains(d.inserted_window_dims, dim) || Contains(d.input_batching_dims, dim)) continue;
    p->x.window[i] = updates.shape[static_cast<size_t>(d.update_window_dims[next++])];
  }
  p->operand_strides = tensor::RowMajorStrides(operand.shape);
  SplitRuns(p.get());
  return Kernel{[p](KernelCall& call) { return RunScatter(*p, call); }};
}

}  // namespace megalith::stablehlo
