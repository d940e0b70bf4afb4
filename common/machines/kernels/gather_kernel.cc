// Windows that are contiguous on both sides (rows of a table) are copied in vectors, their first
// lines fetched ahead.
#include <algorithm>
#include <cstring>

#include "common/machines/kernels/index_kernels.h"
#include "common/machines/kernels/index_plan.h"
#include "common/machines/kernels/isa.h"
#include "common/machines/kernels/parallel.h"
#include "common/machines/kernels/streaming.h"
#include "common/machines/kernels/strided.h"

namespace megalith::kernels {
namespace {

constexpr int64_t kChunk = 512;  // windows whose offsets are computed together
constexpr int64_t kAhead = 16;   // windows
constexpr int64_t kPartBytes = 64 << 10;

struct GatherState {
  explicit GatherState(IndexPlan p) : plan(std::move(p)) {}
  IndexPlan plan;
  StridedCopy window;
  int64_t row = 0;  // bytes, if windows are rows that lie one after the other in the result
};

template <typename T>
[[gnu::always_inline]] inline void CopyOnes(const char* from, const int64_t* offsets, int64_t n,
                                            char* to) {
  for (int64_t i = 0; i < n; ++i)
    std::memcpy(to + i * static_cast<int64_t>(sizeof(T)), from + offsets[i], sizeof(T));
}

[[gnu::always_inline]] inline void CopyRows(const char* from, const int64_t* offsets, int64_t n,
                                            int64_t row, bool stream, char* to) {
  for (int64_t i = 0; i < n; ++i, to += row) {
    const char* ahead = from + offsets[std::min(i + kAhead, n - 1)];
    for (int64_t at = 0; at < std::min<int64_t>(row, 512); at += 64) __builtin_prefetch(ahead + at);
    const char* source = from + offsets[i];
    if (stream) {
      StreamLines(to, source, row);
    } else if (row % 32 == 0 && row <= 1024) {
      for (int64_t at = 0; at < row; at += 32) std::memcpy(to + at, source + at, 32);
    } else {
      std::memcpy(to, source, static_cast<size_t>(row));
    }
  }
}

void CopyChunk(const char* from, const int64_t* offsets, int64_t n, int64_t row, bool stream,
               char* to) {
  OnBestIsa<Isa::kAvx2>([&]() __attribute__((always_inline)) {
    switch (row) {
      case 1:
        return CopyOnes<uint8_t>(from, offsets, n, to);
      case 2:
        return CopyOnes<uint16_t>(from, offsets, n, to);
      case 4:
        return CopyOnes<uint32_t>(from, offsets, n, to);
      case 8:
        return CopyOnes<uint64_t>(from, offsets, n, to);
      default:
        return CopyRows(from, offsets, n, row, stream, to);
    }
  });
}

Status RunGather(const void* state, const KernelCall& call) {
  const GatherState& s = *static_cast<const GatherState*>(state);
  if (s.window.bytes() == 0) return OkStatus();
  const char* from = static_cast<const char*>(call.in[0]);
  char* to = static_cast<char*>(call.out[0]);
  if (s.plan.count() == 1) {  // a dynamic slice in disguise
    int64_t offset = 0;
    s.plan.Offsets(call.in[1], 0, 1, false, &offset);
    s.window.Run(to, from + offset, call.pool);
    return OkStatus();
  }
  const bool stream = s.row > 0 && s.row % 64 == 0 && reinterpret_cast<uintptr_t>(to) % 64 == 0 &&
                      s.row * s.plan.count() >= kStreamingBytes;
  FirstError error;
  const int64_t grain = std::max<int64_t>(kPartBytes / s.window.bytes(), 1);
  call.pool.For(s.plan.count(), grain, [&](int64_t begin, int64_t end) {
    int64_t offsets[kChunk];
    int64_t since_poll = 0;
    for (int64_t at = begin; at < end; at += kChunk) {
      if (error.failed()) return;
      const int64_t n = std::min(kChunk, end - at);
      if ((since_poll += n * s.window.bytes()) > (8 << 20)) {
        since_poll = 0;
        const Status status = call.Poll();
        if (!status.ok()) return error.Set(status);
      }
      s.plan.Offsets(call.in[1], at, n, false, offsets);
      if (s.row > 0) {
        CopyChunk(from, offsets, n, s.row, stream, to + at * s.row);
        continue;
      }
      for (int64_t i = 0; i < n; ++i)
        s.window.Run(to + s.plan.ArrayOffset(at + i), from + offsets[i]);
    }
    if (stream) FinishStreaming();
  });
  return error.Take();
}

Result<PreparedKernel> PrepareGather(std::string_view params, std::span<const ArraySpec> in,
                                     std::span<const ArraySpec> out) {
  RETURN_IF_ERROR(CheckArrays("gather", in, 2, out, 1));
  ASSIGN_OR_RETURN(ParamReader reader, ParamReader::Create("gather", params));
  const auto rank = static_cast<int64_t>(in[0].shape.size());
  const auto indices_rank = static_cast<int64_t>(in[1].shape.size());
  IndexDims d;
  ASSIGN_OR_RETURN(d.offset_dims,
                   reader.NextDims("offset_dims", static_cast<int64_t>(out[0].shape.size())));
  ASSIGN_OR_RETURN(d.collapsed, reader.NextDims("collapsed_slice_dims", rank));
  ASSIGN_OR_RETURN(d.operand_batching, reader.NextDims("operand_batching_dims", rank));
  ASSIGN_OR_RETURN(d.indices_batching,
                   reader.NextDims("start_indices_batching_dims", indices_rank));
  ASSIGN_OR_RETURN(d.index_map, reader.NextDims("start_index_map", rank));
  ASSIGN_OR_RETURN(d.index_vector_dim, reader.Next("index_vector_dim", 0, indices_rank));
  ASSIGN_OR_RETURN(const Dims sizes, reader.NextList("slice_sizes", rank, 0, INT64_MAX));
  RETURN_IF_ERROR(reader.Done());
  if (static_cast<int64_t>(sizes.size()) != rank)
    return InvalidArgument("gather: slice_sizes does not fit the operand");
  ASSIGN_OR_RETURN(IndexPlan plan, IndexPlan::Create("gather", d, in[0], in[1], out[0], sizes));
  auto s = std::make_shared<GatherState>(std::move(plan));
  const int width = tensor::ByteWidth(in[0].dtype);
  if (Elements(out[0]) > 0) {
    s->window =
        StridedCopy(s->plan.window(), s->plan.array_strides(), s->plan.operand_strides(), width);
    // Rows follow each other if the array offset of the last is where a row would be.
    if (s->window.contiguous() &&
        s->plan.ArrayOffset(s->plan.count() - 1) == (s->plan.count() - 1) * s->window.bytes()) {
      s->row = s->window.bytes();
    }
  }
  PreparedKernel kernel;
  kernel.state = std::move(s);
  kernel.run = RunGather;
  return kernel;
}

}  // namespace

const LibraryKernel kGatherKernel = {"gather", PrepareGather};

}  // namespace megalith::kernels
