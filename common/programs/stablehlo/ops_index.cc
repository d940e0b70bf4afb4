// Operations that index with computed positions: gather, scatter.
#include <algorithm>

#include "common/programs/stablehlo/cost.h"
#include "common/programs/stablehlo/kernels/prepare.h"
#include "common/programs/stablehlo/rules.h"

namespace megalith::stablehlo {
namespace {

constexpr AttrSpec kGatherAttrs[] = {
    {.name = "dimension_numbers", .kind = AttrKind::kGather, .required = true},
    {.name = "indices_are_sorted", .kind = AttrKind::kBool, .fallback = BoolDefault<false>},
    {.name = "slice_sizes", .kind = AttrKind::kInts, .required = true},
};
constexpr AttrSpec kScatterAttrs[] = {
    {.name = "indices_are_sorted", .kind = AttrKind::kBool, .fallback = BoolDefault<false>},
    {.name = "scatter_dimension_numbers", .kind = AttrKind::kScatter, .required = true},
    {.name = "unique_indices", .kind = AttrKind::kBool, .fallback = BoolDefault<false>},
};

Status WantSorted(std::string_view what, const Dims& dims) {
  if (std::is_sorted(dims.begin(), dims.end())) return OkStatus();
  return InvalidArgument(
      StrCat(what, " must be in increasing order, got ", tensor::DimsText(dims)));
}

// What gather and scatter have in common: how an index vector names a position of the operand, and
// which dimensions of operand and indices are batched together.
Status CheckIndexing(const TensorType& operand, const TensorType& indices, const Dims& dropped,
                     std::string_view dropped_name, const Dims& operand_batch,
                     const Dims& indices_batch, const Dims& index_map, int64_t vector_dim) {
  const auto rank = static_cast<int64_t>(operand.rank());
  const auto indices_rank = static_cast<int64_t>(indices.rank());
  if (indices.is_token || !tensor::IsInteger(indices.dtype)) {
    return InvalidArgument(
        StrCat("indices have type ", indices.Text(), ", wanted integer elements"));
  }
  if (vector_dim < 0 || vector_dim > indices_rank) {
    return InvalidArgument(
        StrCat("index_vector_dim is ", vector_dim, ", wanted [0, ", indices_rank, "]"));
  }
  const int64_t vector_size =
      vector_dim < indices_rank ? indices.shape[static_cast<size_t>(vector_dim)] : 1;
  if (static_cast<int64_t>(index_map.size()) != vector_size) {
    return InvalidArgument(StrCat("the index map has ", index_map.size(),
                                  " entries, index vectors have ", vector_size));
  }
  Dims gone = dropped;
  for (const int64_t d : operand_batch) gone.push_back(d);
  RETURN_IF_ERROR(WantDims(dropped_name, gone, -1, rank, true));
  RETURN_IF_ERROR(WantSorted(dropped_name, dropped));
  RETURN_IF_ERROR(WantSorted("operand batching dims", operand_batch));
  Dims mapped = index_map;
  for (const int64_t d : operand_batch) mapped.push_back(d);
  RETURN_IF_ERROR(WantDims("index map", mapped, -1, rank, true));
  RETURN_IF_ERROR(WantDims("indices batching dims", indices_batch,
                           static_cast<int64_t>(operand_batch.size()), indices_rank, true));
  for (size_t i = 0; i < indices_batch.size(); ++i) {
    const int64_t d = indices_batch[i];
    if (d == vector_dim) return InvalidArgument("indices batching dims name index_vector_dim");
    if (indices.shape[static_cast<size_t>(d)] !=
        operand.shape[static_cast<size_t>(operand_batch[i])]) {
      return InvalidArgument("batched dimensions of operand and indices differ in size");
    }
  }
  return OkStatus();
}

bool Contains(const Dims& dims, int64_t d) {
  return std::find(dims.begin(), dims.end(), d) != dims.end();
}

Status GatherRule(const TypeQuery& q, Types* results) {
  RETURN_IF_ERROR(WantDType(q, 0, kAnyOk));
  const TensorType& in = q.operand(0);
  const TensorType& indices = q.operand(1);
  const GatherDims& d = q.op.attr("dimension_numbers").AsGather();
  const auto sizes = q.op.attr("slice_sizes").AsInts();
  RETURN_IF_ERROR(CheckIndexing(in, indices, d.collapsed_slice_dims, "collapsed_slice_dims",
                                d.operand_batching_dims, d.start_indices_batching_dims,
                                d.start_index_map, d.index_vector_dim));
  if (sizes.size() != in.rank()) {
    return InvalidArgument(
        StrCat("slice_sizes has ", sizes.size(), " entries, wanted ", in.rank()));
  }
  Dims window;  // sizes of the window dimensions that stay
  for (size_t i = 0; i < sizes.size(); ++i) {
    const auto dim = static_cast<int64_t>(i);
    const bool gone =
        Contains(d.collapsed_slice_dims, dim) || Contains(d.operand_batching_dims, dim);
    if (sizes[i] < 0 || sizes[i] > in.shape[i] || (gone && sizes[i] > 1)) {
      return InvalidArgument(StrCat("slice_sizes[", i, "] is ", sizes[i], ", wanted [0, ",
                                    gone ? int64_t{1} : in.shape[i], "]"));
    }
    if (!gone) window.push_back(sizes[i]);
  }
  const int64_t batch_rank = static_cast<int64_t>(indices.rank()) -
                             (d.index_vector_dim < static_cast<int64_t>(indices.rank()) ? 1 : 0);
  const int64_t rank = batch_rank + static_cast<int64_t>(window.size());
  RETURN_IF_ERROR(
      WantDims("offset_dims", d.offset_dims, static_cast<int64_t>(window.size()), rank, true));
  RETURN_IF_ERROR(WantSorted("offset_dims", d.offset_dims));
  TensorType out{in.dtype, Shape{}};
  size_t next_window = 0;
  int64_t next_batch = 0;
  for (int64_t i = 0; i < rank; ++i) {
    if (Contains(d.offset_dims, i)) {
      out.shape.push_back(window[next_window++]);
      continue;
    }
    if (next_batch == d.index_vector_dim) ++next_batch;
    out.shape.push_back(indices.shape[static_cast<size_t>(next_batch++)]);
  }
  results->push_back(std::move(out));
  return OkStatus();
}

// One input with its updates.
Status CheckUpdates(const TensorType& in, const TensorType& indices, const TensorType& updates,
                    const ScatterDims& d) {
  if (updates.is_token || updates.dtype != in.dtype) {
    return InvalidArgument(
        StrCat("updates have type ", updates.Text(), ", wanted elements of ", in.Text()));
  }
  const int64_t batch_rank = static_cast<int64_t>(indices.rank()) -
                             (d.index_vector_dim < static_cast<int64_t>(indices.rank()) ? 1 : 0);
  const int64_t rank = batch_rank + static_cast<int64_t>(d.update_window_dims.size());
  if (static_cast<int64_t>(updates.rank()) != rank) {
    return InvalidArgument(StrCat("updates have type ", updates.Text(), ", wanted rank ", rank));
  }
  RETURN_IF_ERROR(WantDims("update_window_dims", d.update_window_dims, -1, rank, true));
  RETURN_IF_ERROR(WantSorted("update_window_dims", d.update_window_dims));
  if (d.update_window_dims.size() + d.inserted_window_dims.size() + d.input_batching_dims.size() !=
      in.rank()) {
    return InvalidArgument(StrCat(
        "window, inserted and batching dimensions do not add up to the rank of ", in.Text()));
  }
  size_t window = 0;
  for (size_t i = 0; i < in.rank(); ++i) {
    const auto dim = static_cast<int64_t>(i);
    if (Contains(d.inserted_window_dims, dim) || Contains(d.input_batching_dims, dim)) continue;
    const int64_t size = updates.shape[static_cast<size_t>(d.update_window_dims[window++])];
    if (size > in.shape[i]) {
      return InvalidArgument(
          StrCat("update window of ", size, " does not fit into dimension ", i, " of ", in.Text()));
    }
  }
  int64_t next_batch = 0;
  for (int64_t i = 0; i < rank; ++i) {
    if (Contains(d.update_window_dims, i)) continue;
    if (next_batch == d.index_vector_dim) ++next_batch;
    const int64_t want = indices.shape[static_cast<size_t>(next_batch++)];
    if (updates.shape[static_cast<size_t>(i)] != want) {
      return InvalidArgument(StrCat("dimension ", i, " of updates is ",
                                    updates.shape[static_cast<size_t>(i)], ", the indices have ",
                                    want));
    }
  }
  return OkStatus();
}

Status ScatterRule(const TypeQuery& q, Types* results) {
  if (q.num_operands() % 2 != 1)
    return InvalidArgument("wanted inputs, indices and as many updates as inputs");
  const size_t n = q.num_operands() / 2;
  const ScatterDims& d = q.op.attr("scatter_dimension_numbers").AsScatter();
  const TensorType& indices = q.operand(n);
  Types scalars;
  for (size_t i = 0; i < n; ++i) {
    RETURN_IF_ERROR(WantDType(q, i, kAnyOk));
    RETURN_IF_ERROR(WantSameShape(q, i));
    RETURN_IF_ERROR(CheckIndexing(q.operand(i), indices, d.inserted_window_dims,
                                  "inserted_window_dims", d.input_batching_dims,
                                  d.scatter_indices_batching_dims, d.scatter_dims_to_operand_dims,
                                  d.index_vector_dim));
    RETURN_IF_ERROR(CheckUpdates(q.operand(i), indices, q.operand(n + 1 + i), d));
    scalars.push_back(TensorType::Scalar(q.operand(i).dtype));
  }
  for (size_t i = 1; i < n; ++i) {
    if (!(q.operand(n + 1 + i).shape == q.operand(n + 1).shape))
      return InvalidArgument("updates differ in shape");
  }
  Types args = scalars;
  args.insert(args.end(), scalars.begin(), scalars.end());
  RETURN_IF_ERROR(WantRegion(q, 0, "the update computation", args, scalars));
  for (size_t i = 0; i < n; ++i) results->push_back(q.operand(i));
  return OkStatus();
}

void ScatterCost(const Op& op, const Func& func, OpCost* cost) {
  cost->flops = static_cast<double>(ElementCount(func.type(op.operands.back())));
}
void MoveCost(const Op&, const Func&, OpCost* cost) { cost->flops = 0; }

constexpr OpDef kRows[] = {
    {.name = "stablehlo.gather",
     .operands = 2,
     .attrs = kGatherAttrs,
     .traits = kPure,
     .type_rule = GatherRule,
     .prepare = PrepareGather,
     .cost = MoveCost},
    {.name = "stablehlo.scatter",
     .operands = 3,
     .more_operands = true,
     .regions = 1,
     .attrs = kScatterAttrs,
     .traits = kPure | kUpdatesInPlace,
     .type_rule = ScatterRule,
     .prepare = PrepareScatter,
     .cost = ScatterCost},
};

}  // namespace

std::span<const OpDef> IndexOps() { return kRows; }

}  // namespace megalith::stablehlo
