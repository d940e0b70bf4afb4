#include "common/machines/kernels/dot.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "common/foundation/base/strings.h"
#include "common/machines/kernels/gemm.h"

namespace megalith::kernels {
namespace {

// Several dimensions as one: its size and the distance between neighbours.
struct Merged {
  int64_t size = 1, stride = 0;
};

std::optional<Merged> Merge(const Shape& shape, const Dims& strides,
                            std::span<const int64_t> dims) {
  Merged merged;
  for (auto it = dims.rbegin(); it != dims.rend(); ++it) {
    const int64_t size = shape[static_cast<size_t>(*it)];
    const int64_t stride = strides[static_cast<size_t>(*it)];
    if (size == 1) continue;
    if (merged.size == 1) {
      merged = {size, stride};
      continue;
    }
    if (merged.size != 0 && size != 0 && stride != merged.size * merged.stride) return std::nullopt;
    merged.size *= size;
  }
  return merged;
}

Dims FreeDims(size_t rank, const Dims& batch, const Dims& contract) {
  Dims free;
  for (size_t i = 0; i < rank; ++i) {
    const auto d = static_cast<int64_t>(i);
    const bool used = std::find(batch.begin(), batch.end(), d) != batch.end() ||
                      std::find(contract.begin(), contract.end(), d) != contract.end();
    if (!used) free.push_back(d);
  }
  return free;
}

struct DotState {
  GemmProblem problem;
  int64_t epilogue_row = 1;
  bool swapped = false;  // a column vector on the right became a row vector on the left
};

// Largest offset + 1 that an operand is read at; -1 if that does not fit.
int64_t Extent(std::initializer_list<std::pair<int64_t, int64_t>> size_and_stride) {
  int64_t extent = 1;
  for (const auto& [size, stride] : size_and_stride) {
    int64_t reach = 0;
    if (size == 0) return 0;
    if (__builtin_mul_overflow(size - 1, stride, &reach) ||
        __builtin_add_overflow(extent, reach, &extent)) {
      return -1;
    }
  }
  return extent;
}

Status CheckOperand(std::string_view name, const ArraySpec& spec, int64_t extent) {
  const std::optional<int64_t> elements = tensor::NumElements(spec.shape);
  if (extent >= 0 && elements && extent <= *elements) return OkStatus();
  return InvalidArgument(StrCat("dot reads past the end of its ", name, " of shape [",
                                tensor::DimsText(spec.shape), "]"));
}

Status CheckParams(const DotParams& p, std::span<const ArraySpec> in,
                   std::span<const ArraySpec> out) {
  if (in.size() != 2 || out.size() != 1) {
    return InvalidArgument(
        StrCat("dot has two operands and one result, got ", in.size(), " and ", out.size()));
  }
  for (const int64_t x : {p.batch, p.inner, p.m, p.n, p.k, p.lhs_batch, p.lhs_inner, p.lhs_row,
                          p.lhs_col, p.rhs_batch, p.rhs_inner, p.rhs_row, p.rhs_col}) {
    if (x < 0) return InvalidArgument(StrCat("dot has a negative parameter: ", x));
  }
  RETURN_IF_ERROR(CheckOperand(
      "lhs", in[0],
      Extent(
          {{p.batch, p.lhs_batch}, {p.inner, p.lhs_inner}, {p.m, p.lhs_row}, {p.k, p.lhs_col}})));
  RETURN_IF_ERROR(CheckOperand(
      "rhs", in[1],
      Extent(
          {{p.batch, p.rhs_batch}, {p.inner, p.rhs_inner}, {p.k, p.rhs_row}, {p.n, p.rhs_col}})));
  const std::optional<int64_t> size = tensor::NumElements(Shape{p.batch, p.inner, p.m, p.n});
  if (!size || size != tensor::NumElements(out[0].shape)) {
    return InvalidArgument(StrCat("dot makes [", p.batch, ",", p.inner, ",", p.m, ",", p.n,
                                  "], its result has shape [", tensor::DimsText(out[0].shape),
                                  "]"));
  }
  return OkStatus();
}

// A matrix times a column is a row times the transposed matrix: the result is the same memory, and
// rows are what the inner loops are good at.
void SwapSides(GemmProblem* p) {
  std::swap(p->lhs, p->rhs);
  std::swap(p->lhs.row_stride, p->lhs.col_stride);
  std::swap(p->rhs.row_stride, p->rhs.col_stride);
  std::swap(p->m, p->n);
}

Status RunDot(const void* state, const KernelCall& call) {
  const auto& s = *static_cast<const DotState*>(state);
  const void* lhs = call.in[s.swapped ? 1 : 0];
  const void* rhs = call.in[s.swapped ? 0 : 1];
  return RunGemm(s.problem, lhs, rhs, call.out[0], s.epilogue_row, call);
}

Result<PreparedKernel> PrepareDot(std::string_view params, std::span<const ArraySpec> in,
                                  std::span<const ArraySpec> out) {
  ASSIGN_OR_RETURN(const std::vector<int64_t> v, UnpackParams(params));
  if (v.size() != 13) return InvalidArgument(StrCat("dot has 13 parameters, got ", v.size()));
  const DotParams p = {v[0], v[1], v[2], v[3],  v[4],  v[5], v[6],
                       v[7], v[8], v[9], v[10], v[11], v[12]};
  RETURN_IF_ERROR(CheckParams(p, in, out));
  auto state = std::make_shared<DotState>();
  GemmProblem& g = state->problem;
  g = {.batch = p.batch,
       .inner = p.inner,
       .m = p.m,
       .n = p.n,
       .k = p.k,
       .lhs = {in[0].dtype, p.lhs_batch, p.lhs_inner, p.lhs_row, p.lhs_col},
       .rhs = {in[1].dtype, p.rhs_batch, p.rhs_inner, p.rhs_row, p.rhs_col},
       .out = out[0].dtype};
  RETURN_IF_ERROR(CheckGemm(g));
  // A batch of products with one right-hand side is one product of more rows.
  if (g.inner == 1 && g.rhs.batch_stride == 0 && g.batch > 1 &&
      g.lhs.batch_stride == g.m * g.lhs.row_stride) {
    g.m *= g.batch;
    g.batch = 1;
  }
  if (g.n == 1 && g.m > 1) {
    SwapSides(&g);
    state->swapped = true;
  }
  // A row of the result that spans several of the product's has no place in the tiles.
  state->epilogue_row = std::max<int64_t>(out[0].shape.empty() ? 1 : out[0].shape.back(), 1);
  const int64_t row = state->epilogue_row;
  PreparedKernel kernel;
  kernel.takes_epilogue = g.n % row == 0;
  kernel.state = std::move(state);
  kernel.run = RunDot;
  return kernel;
}

}  // namespace

std::string DotParams::Pack() const {
  const int64_t v[] = {batch,   inner,   m,         n,         k,       lhs_batch, lhs_inner,
                       lhs_row, lhs_col, rhs_batch, rhs_inner, rhs_row, rhs_col};
  return PackParams(v);
}

std::optional<DotParams> CanonicalDot(const Shape& lhs, const Shape& rhs,
                                      const DotDimensions& dims) {
  const Dims ls = tensor::RowMajorStrides(lhs);
  const Dims rs = tensor::RowMajorStrides(rhs);
  // Contracted dimensions may be summed over in any order, the same one on both sides.
  std::vector<size_t> order(dims.lhs_contract.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return dims.lhs_contract[a] < dims.lhs_contract[b]; });
  Dims lhs_contract, rhs_contract;
  for (const size_t i : order) {
    lhs_contract.push_back(dims.lhs_contract[i]);
    rhs_contract.push_back(dims.rhs_contract[i]);
  }
  const auto lk = Merge(lhs, ls, lhs_contract);
  const auto rk = Merge(rhs, rs, rhs_contract);
  const auto lf = Merge(lhs, ls, FreeDims(lhs.size(), dims.lhs_batch, dims.lhs_contract));
  const auto rf = Merge(rhs, rs, FreeDims(rhs.size(), dims.rhs_batch, dims.rhs_contract));
  if (!lk || !rk || !lf || !rf) return std::nullopt;
  const std::span<const int64_t> lhs_batch = dims.lhs_batch, rhs_batch = dims.rhs_batch;
  for (size_t outer = lhs_batch.size() + 1; outer-- > 0;) {
    const auto lb = Merge(lhs, ls, lhs_batch.first(outer));
    const auto rb = Merge(rhs, rs, rhs_batch.first(outer));
    const auto li = Merge(lhs, ls, lhs_batch.subspan(outer));
    const auto ri = Merge(rhs, rs, rhs_batch.subspan(outer));
    if (!lb || !rb || !li || !ri) continue;
    return DotParams{lb->size,   li->size,   lf->size,   rf->size,   lk->size,
                     lb->stride, li->stride, lf->stride, lk->stride, rb->stride,
                     ri->stride, rk->stride, rf->stride};
  }
  return std::nullopt;
}

const LibraryKernel kDotKernel = {"dot", PrepareDot};

}  // namespace megalith::kernels
