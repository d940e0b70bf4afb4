// Bodies that are not one operation, written out on whole arrays: reductions as trees, windows
// position by position, running windows as prefix sums, scatters whose updates do not meet.
//
// Elements keep their order, so that the body must be associative (as StableHLO wants it) but need
// not be commutative.
#include <algorithm>
#include <bit>
#include <optional>

#include "common/machines/codegen/passes/body_on_arrays.h"
#include "common/machines/codegen/passes/match.h"
#include "common/machines/codegen/passes/rule.h"

namespace megalith::codegen {
namespace {

using stablehlo::GatherDims;
using stablehlo::ScatterDims;
using Values = std::vector<ValueId>;

// Operations that one rewriting may make.
constexpr int64_t kMostOps = 3000;

// Each result is one commutative operation on the pair of arguments it belongs to.
bool IsCommutativeBody(const Graph& g, const Block& body) {
  const uint32_t count = body.last->num_operands;
  for (uint32_t i = 0; i < count; ++i) {
    const Node* n = g.def(g.operand(*body.last, i));
    if (n == nullptr || n->num_operands != 2 || !IsCommutative(g, *n)) return false;
    const ValueId x = g.operand(*n, 0), y = g.operand(*n, 1);
    const ValueId a = body.args[i], b = body.args[count + i];
    if (!(x == a && y == b) && !(x == b && y == a)) return false;
  }
  return true;
}

ValueId Slice(Graph& g, Node& at, ValueId x, size_t dim, int64_t start, int64_t count,
              int64_t stride) {
  TensorType type = g.type(x);
  if (start == 0 && stride == 1 && count == type.shape[dim]) return x;
  Dims starts(type.rank(), 0), limits = type.shape, strides(type.rank(), 1);
  starts[dim] = start;
  limits[dim] = start + (count - 1) * stride + 1;
  strides[dim] = stride;
  AttrDict attrs;
  SetAttr(&attrs, "limit_indices", Attr::Ints(limits));
  SetAttr(&attrs, "start_indices", Attr::Ints(starts));
  SetAttr(&attrs, "strides", Attr::Ints(strides));
  type.shape[dim] = count;
  return g.Emit(at, OpKind::kSlice, {x}, std::move(attrs), std::move(type));
}

ValueId Concatenate(Graph& g, Node& at, std::span<const ValueId> parts, size_t dim) {
  TensorType type = g.type(parts[0]);
  type.shape[dim] = 0;
  for (const ValueId v : parts) type.shape[dim] += g.shape(v)[dim];
  AttrDict attrs;
  SetAttr(&attrs, "dimension", Attr::Int(static_cast<int64_t>(dim)));
  return g.Emit(at, OpKind::kConcatenate, parts, std::move(attrs), std::move(type));
}

ValueId Reshape(Graph& g, Node& at, ValueId x, const Shape& shape) {
  if (g.shape(x) == shape) return x;
  return g.Emit(at, OpKind::kReshape, {x}, {}, {g.dtype(x), shape});
}

// A body and the place where it is written out.
struct Writer {
  Graph& g;
  Node& at;
  const Block& body;

  // body(a, b).
  Values Combine(const Values& a, const Values& b) const {
    Values args = a;
    args.insert(args.end(), b.begin(), b.end());
    return BodyOnArrays(g, at, body, args, g.shape(a[0])).Results();
  }
  Values SliceAll(const Values& xs, size_t dim, int64_t start, int64_t count,
                  int64_t stride) const {
    Values out;
    for (const ValueId x : xs) out.push_back(Slice(g, at, x, dim, start, count, stride));
    return out;
  }
  Values ConcatenateAll(const Values& a, const Values& b, size_t dim) const {
    Values out;
    for (size_t k = 0; k < a.size(); ++k) {
      const ValueId parts[] = {a[k], b[k]};
      out.push_back(Concatenate(g, at, parts, dim));
    }
    return out;
  }
  Values ReshapeAll(const Values& xs, const Shape& shape) const {
    Values out;
    for (const ValueId x : xs) out.push_back(Reshape(g, at, x, shape));
    return out;
  }

  // All elements along `dim`, which stays with size 1.
  Values ReduceAlong(Values xs, size_t dim, int64_t fan, bool any_order) const {
    for (int64_t n = g.shape(xs[0])[dim]; n > 1; n = g.shape(xs[0])[dim]) {
      const int64_t parts = std::min(fan, n);
      const int64_t each = n / parts, rest = n % parts;
      const auto part = [&](int64_t i) {
        return any_order ? SliceAll(xs, dim, i * each, each, 1) : SliceAll(xs, dim, i, each, parts);
      };
      Values sum = part(0);
      for (int64_t i = 1; i < parts; ++i) sum = Combine(sum, part(i));
      if (rest > 0) {
        Values last = SliceAll(xs, dim, n - rest, 1, 1);
        for (int64_t i = 1; i < rest; ++i) {
          last = Combine(last, SliceAll(xs, dim, n - rest + i, 1, 1));
        }
        sum = each == 1 ? Combine(sum, last) : ConcatenateAll(sum, last, dim);
      }
      xs = std::move(sum);
    }
    return xs;
  }

  // Element i becomes what elements 0 to i combine to, or, in `reverse`, i to the last.
  Values Prefixes(const Values& xs, size_t dim, bool reverse) const {
    const int64_t n = g.shape(xs[0])[dim];
    if (n == 1) return xs;
    // Pairs that end where prefixes of half as many elements do; the other prefixes take one more.
    const int64_t half = n / 2, skip = reverse ? n % 2 : 0;
    const Values pairs =
        Combine(SliceAll(xs, dim, skip, half, 2), SliceAll(xs, dim, skip + 1, half, 2));
    const Values sums = Prefixes(pairs, dim, reverse);
    const int64_t others = n - half;  // of them the first (last) is an element as it is
    Values ends;
    if (!reverse) {
      ends = SliceAll(xs, dim, 0, 1, 1);
      if (others > 1) {
        const Values more =
            Combine(SliceAll(sums, dim, 0, others - 1, 1), SliceAll(xs, dim, 2, others - 1, 2));
        ends = ConcatenateAll(ends, more, dim);
      }
      return Interleave(ends, sums, dim);
    }
    ends = SliceAll(xs, dim, n - 1, 1, 1);
    if (others > 1) {
      const Values more = Combine(SliceAll(xs, dim, 1 - skip, others - 1, 2),
                                  SliceAll(sums, dim, half - others + 1, others - 1, 1));
      ends = ConcatenateAll(more, ends, dim);
    }
    return skip == 1 ? Interleave(ends, sums, dim) : Interleave(sums, ends, dim);
  }

  // a0 b0 a1 b1 ...; `a` may have one element more.
  Values Interleave(const Values& a, const Values& b, size_t dim) const {
    const int64_t n = g.shape(b[0])[dim];
    const int64_t more = g.shape(a[0])[dim] - n;
    Shape pair, line = g.shape(b[0]);
    line[dim] = 2 * n;
    for (size_t d = 0; d < line.size(); ++d) {
      pair.push_back(d == dim ? n : line[d]);
      if (d == dim) pair.push_back(1);
    }
    Values out =
        ConcatenateAll(ReshapeAll(SliceAll(a, dim, 0, n, 1), pair), ReshapeAll(b, pair), dim + 1);
    out = ReshapeAll(out, line);
    return more == 0 ? out : ConcatenateAll(out, SliceAll(a, dim, n, 1, 1), dim);
  }
};

// Operands, initial values and body of a reduction or window.
struct Reduction {
  uint32_t count = 0;
  uint32_t ops = 0;  // of the body; 0: it cannot be written out
  Values operands, inits;
};

Reduction ReductionOf(const Graph& g, const Node& n) {
  Reduction r;
  r.count = n.num_operands / 2;
  const Block& body = *n.regions[0];
  for (uint32_t i = 0; i < r.count; ++i) {
    r.operands.push_back(g.operand(n, i));
    r.inits.push_back(g.operand(n, r.count + i));
    // Sums in a wider type than that of the elements are the evaluator's.
    const DType dtype = g.operand_type(n, i).dtype;
    if (g.dtype(n.result(i)) != dtype || g.dtype(body.args[i]) != dtype) return r;
  }
  if (stablehlo::ElementCount(g.result_type(n)) == 0) return r;
  if (stablehlo::ElementCount(g.operand_type(n, 0)) == 0) return r;
  r.ops = ElementwiseOps(g, body);
  return r;
}

// The reductions that fused kernels know, and products of complex numbers: in another order other
// ones of these leave the range of their type.
bool IsPlain(const Graph& g, const Node& n) {
  const OpKind kind = n.num_operands == 2 ? BodyKind(g, *n.regions[0]) : OpKind::kOther;
  switch (kind) {
    case OpKind::kMultiply:
      return true;
    case OpKind::kAdd:
    case OpKind::kMaximum:
    case OpKind::kMinimum:
    case OpKind::kAnd:
    case OpKind::kOr:
    case OpKind::kXor:
      return !tensor::IsComplex(g.operand_type(n, 0).dtype);
    default:
      return false;
  }
}

// Position of the largest or smallest element, the earlier of equal ones: there is a kernel.
bool IsArgReduction(const Graph& g, const Node& n) {
  const auto dims = n.ints("dimensions");
  if (n.num_operands != 4 || dims.size() != 1) return false;
  const Node* iota = g.DefOfKind(g.operand(n, 1), OpKind::kIota);
  if (iota == nullptr || iota->attr("iota_dimension").AsInt() != dims[0]) return false;
  const Block& body = *n.regions[0];
  const Node* value = g.DefOfKind(g.operand(*body.last, 0), OpKind::kSelect);
  const Node* index = g.DefOfKind(g.operand(*body.last, 1), OpKind::kSelect);
  if (value == nullptr || index == nullptr) return false;
  const Node* either = g.DefOfKind(g.operand(*index, 0), OpKind::kOr);
  return either != nullptr && g.operand(*either, 0) == g.operand(*value, 0);
}

void ReplaceAll(Graph& g, Node& n, const Values& with) {
  for (uint32_t i = 0; i < n.num_results; ++i) g.ReplaceUses(n.result(i), with[i]);
  g.Erase(n);
}

// Several reductions, windows or scatters in one that do not look at each other.
bool SplitIndependent(Graph& g, Node& n) {
  const uint32_t count = n.num_results;
  const bool scatters = n.kind == OpKind::kScatter;
  const Block& body = *n.regions[0];
  if (count < 2) return false;
  std::vector<OpKind> kinds;  // kReturn: the second argument as it is
  for (uint32_t i = 0; i < count; ++i) {
    const ValueId result = g.operand(*body.last, i), a = body.args[i], b = body.args[count + i];
    if (g.dtype(a) != g.dtype(n.result(i)) || g.operand_type(n, i).dtype != g.dtype(a)) {
      return false;
    }
    const Node* combine = g.def(result);
    if (scatters && result == b) {
      kinds.push_back(OpKind::kReturn);
      continue;
    }
    if (combine == nullptr || combine->block != &body || combine->num_operands != 2 ||
        combine->kind == OpKind::kCompare || combine->kind == OpKind::kOther) {
      return false;
    }
    const ValueId x = g.operand(*combine, 0), y = g.operand(*combine, 1);
    const bool swapped = IsCommutative(g, *combine) && x == b && y == a;
    if (!swapped && !(x == a && y == b)) return false;
    kinds.push_back(combine->kind);
  }
  Values results;
  for (uint32_t i = 0; i < count; ++i) {
    const TensorType type = g.type(n.result(i)), scalar{type.dtype, Shape{}};
    Values operands = {g.operand(n, i)};
    if (scatters) operands.push_back(g.operand(n, count));
    operands.push_back(g.operand(n, count + (scatters ? 1 : 0) + i));
    Block* own = kinds[i] == OpKind::kReturn ? g.AddBlockOfArg({scalar, scalar}, 1)
                                             : g.AddBlock({scalar, scalar}, kinds[i]);
    results.push_back(
        g.EmitNode(n, *n.def, operands, n.attrs, std::span(&type, 1), {own}).first_result);
  }
  ReplaceAll(g, n, results);
  return true;
}

bool ReduceByTree(Graph& g, Node& n) {
  if (IsPlain(g, n) || IsArgReduction(g, n)) return false;
  const Reduction r = ReductionOf(g, n);
  if (r.ops == 0) return false;
  const Shape& from = g.operand_type(n, 0).shape;
  Dims dims = Dims(n.ints("dimensions"));
  std::ranges::sort(dims);
  const int64_t fan = r.ops <= 16 ? 8 : r.ops <= 40 ? 4 : 2;
  int64_t ops = 0;
  for (const int64_t d : dims) {
    for (int64_t left = from[static_cast<size_t>(d)]; left > 1; left = (left + fan - 1) / fan) {
      ops += 2 * fan * r.ops;
    }
  }
  if (ops > kMostOps) return false;
  const Writer w{g, n, *n.regions[0]};
  Values xs = r.operands;
  // Neighbours that are all reduced are one dimension.
  Shape shape;
  std::vector<bool> reduced;
  for (size_t i = 0; i < from.size(); ++i) {
    const bool now = Contains(dims, static_cast<int64_t>(i));
    if (now && !reduced.empty() && reduced.back()) {
      shape[shape.size() - 1] *= from[i];
      continue;
    }
    shape.push_back(from[i]);
    reduced.push_back(now);
  }
  xs = w.ReshapeAll(xs, shape);
  const bool any_order = IsCommutativeBody(g, *n.regions[0]);
  for (size_t d = shape.size(); d-- > 0;) {
    if (reduced[d]) xs = w.ReduceAlong(std::move(xs), d, fan, any_order);
  }
  const Shape to = g.result_type(n).shape;
  Values inits;
  for (const ValueId v : r.inits) inits.push_back(SpreadScalar(g, n, v, to));
  ReplaceAll(g, n, w.Combine(inits, w.ReshapeAll(xs, to)));
  return true;
}

// The window along one dimension.
struct WindowDim {
  int64_t size = 1, stride = 1, low = 0, high = 0, spread = 1;
};

// Empty if it has holes between elements.
std::vector<WindowDim> WindowOf(const Graph& g, const Node& n) {
  const size_t rank = g.operand_type(n, 0).rank();
  std::vector<WindowDim> window(rank);
  const auto read = [&](std::string_view name, int64_t WindowDim::* field) {
    const Attr& attr = n.attr(name);
    for (size_t i = 0; attr.present() && i < rank; ++i) window[i].*field = attr.AsInts()[i];
  };
  read("window_dimensions", &WindowDim::size);
  read("window_strides", &WindowDim::stride);
  read("window_dilations", &WindowDim::spread);
  const Attr& holes = n.attr("base_dilations");
  if (holes.present() && std::ranges::any_of(holes.AsInts(), [](int64_t d) { return d != 1; })) {
    return {};
  }
  if (const Attr& padding = n.attr("padding"); padding.present()) {
    const auto t = padding.AsDense().Materialize();
    if (!t.ok()) return {};
    for (size_t i = 0; i < rank; ++i) {
      window[i].low = t->IntAt(static_cast<int64_t>(2 * i));
      window[i].high = t->IntAt(static_cast<int64_t>(2 * i + 1));
    }
  }
  return window;
}

// The dimension along which the window covers everything up to, or from, the element it gives; -1.
int64_t RunningDim(const std::vector<WindowDim>& window, const Shape& shape, bool* reverse) {
  int64_t dim = -1;
  for (size_t i = 0; i < window.size(); ++i) {
    const WindowDim& w = window[i];
    if (w.size == 1 && w.stride == 1 && w.low == 0 && w.high == 0) continue;
    const bool whole = w.size == shape[i] && w.stride == 1 && w.spread == 1;
    const bool from_first = w.low == w.size - 1 && w.high == 0;
    const bool to_last = w.high == w.size - 1 && w.low == 0;
    if (dim >= 0 || !whole || from_first == to_last) return -1;
    dim = static_cast<int64_t>(i);
    *reverse = to_last;
  }
  return dim;
}

bool WindowByPrefixes(Graph& g, Node& n) {
  if (IsPlain(g, n)) return false;
  const Reduction r = ReductionOf(g, n);
  const Shape& shape = g.operand_type(n, 0).shape;
  bool reverse = false;
  const int64_t d = RunningDim(WindowOf(g, n), shape, &reverse);
  // The evaluator has the initial value next to the last element then, not before the first.
  constexpr int64_t kShort = 16;
  const int64_t least = reverse ? 2 : kShort + 1;
  if (r.ops == 0 || d < 0 || shape[static_cast<size_t>(d)] < least) return false;
  const auto dim = static_cast<size_t>(d);
  const int64_t size = shape[dim];
  const int64_t levels = std::bit_width(static_cast<uint64_t>(size));
  if (levels * (2 * r.ops + 12 * r.count) > kMostOps) return false;
  const Writer w{g, n, *n.regions[0]};
  // The initial value goes before the first element.
  Values first = w.SliceAll(r.operands, dim, reverse ? size - 1 : 0, 1, 1);
  const Values rest = w.SliceAll(r.operands, dim, reverse ? 0 : 1, size - 1, 1);
  Values inits;
  for (const ValueId v : r.inits) inits.push_back(SpreadScalar(g, n, v, g.shape(first[0])));
  first = w.Combine(inits, first);
  const Values all =
      reverse ? w.ConcatenateAll(rest, first, dim) : w.ConcatenateAll(first, rest, dim);
  ReplaceAll(g, n, w.Prefixes(all, dim, reverse));
  return true;
}

// Steps through the positions of a window, row-major; false after the last.
bool NextPosition(const std::vector<WindowDim>& window, Dims* at) {
  for (size_t d = window.size(); d-- > 0;) {
    if (++(*at)[d] < window[d].size) return true;
    (*at)[d] = 0;
  }
  return false;
}

// Truth of [begin, end) along `dim`.
ValueId Between(Graph& g, Node& at, const Shape& shape, size_t dim, int64_t begin, int64_t end) {
  const TensorType index{DType::kI32, shape}, truth{DType::kBool, shape};
  AttrDict attrs;
  SetAttr(&attrs, "iota_dimension", Attr::Int(static_cast<int64_t>(dim)));
  const ValueId i = g.Emit(at, OpKind::kIota, {}, std::move(attrs), index);
  const auto compare = [&](stablehlo::CompareDirection direction, int64_t with) {
    AttrDict how;
    SetAttr(&how, "comparison_direction", Attr::Of(direction));
    return g.Emit(at, OpKind::kCompare, {i, g.SplatInt(index, with)}, std::move(how), truth);
  };
  const ValueId low = compare(stablehlo::CompareDirection::kGe, begin);
  const ValueId high = compare(stablehlo::CompareDirection::kLt, end);
  return g.Emit(at, OpKind::kAnd, {low, high}, {}, truth);
}

// `x` with what the window's padding adds or crops.
ValueId Padded(Graph& g, Node& at, ValueId x, ValueId init, const std::vector<WindowDim>& window) {
  const auto has_none = [](const WindowDim& w) { return w.low == 0 && w.high == 0; };
  if (std::ranges::all_of(window, has_none)) return x;
  TensorType type = g.type(x);
  Dims low, high;
  for (size_t d = 0; d < window.size(); ++d) {
    low.push_back(window[d].low);
    high.push_back(window[d].high);
    type.shape[d] += window[d].low + window[d].high;
  }
  AttrDict attrs;
  SetAttr(&attrs, "edge_padding_low", Attr::Ints(low));
  SetAttr(&attrs, "edge_padding_high", Attr::Ints(high));
  SetAttr(&attrs, "interior_padding", Attr::Ints(Dims(window.size(), 0)));
  return g.Emit(at, OpKind::kPad, {x, init}, std::move(attrs), type);
}

// Padding takes no part.
bool WindowByPositions(Graph& g, Node& n) {
  if (IsPlain(g, n)) return false;
  const Reduction r = ReductionOf(g, n);
  const std::vector<WindowDim> window = WindowOf(g, n);
  if (r.ops == 0 || window.empty()) return false;
  constexpr int64_t kMostPositions = 64;
  const Shape& from = g.operand_type(n, 0).shape;
  const Shape to = g.result_type(n).shape;
  int64_t positions = 1;
  for (size_t d = 0; d < window.size(); ++d) {
    const WindowDim& w = window[d];
    if (w.size == 0 || from[d] + w.low + w.high < 1 || (positions *= w.size) > kMostPositions) {
      return false;
    }
  }
  if (positions * (r.ops + 2 * r.count) > kMostOps / 2) return false;
  const Writer w{g, n, *n.regions[0]};
  Values padded, sums;
  for (uint32_t k = 0; k < r.count; ++k) {
    padded.push_back(Padded(g, n, r.operands[k], r.inits[k], window));
    sums.push_back(SpreadScalar(g, n, r.inits[k], to));
  }
  Dims at(window.size(), 0);
  do {
    Values xs = padded;
    ValueId inside = kNoValue;
    bool any = true;
    for (size_t d = 0; d < window.size(); ++d) {
      const int64_t shift = at[d] * window[d].spread;
      const int64_t stride = window[d].stride;
      xs = w.SliceAll(xs, d, shift, to[d], stride);
      // Result o sees element o * stride + shift - low.
      const int64_t before = window[d].low - shift, after = from[d] + before;
      const int64_t begin = before <= 0 ? 0 : (before + stride - 1) / stride;
      const int64_t end = after <= 0 ? 0 : std::min(to[d], (after + stride - 1) / stride);
      any = any && begin < end;
      if (!any || (begin == 0 && end == to[d])) continue;
      const ValueId here = Between(g, n, to, d, begin, end);
      inside = inside == kNoValue ? here
                                  : g.Emit(n, OpKind::kAnd, {inside, here}, {}, {DType::kBool, to});
    }
    if (!any) continue;
    const Values next = w.Combine(sums, xs);
    for (uint32_t k = 0; k < r.count; ++k) {
      sums[k] = inside == kNoValue
                    ? next[k]
                    : g.Emit(n, OpKind::kSelect, {inside, next[k], sums[k]}, {}, g.type(next[k]));
    }
  } while (NextPosition(window, &at));
  ReplaceAll(g, n, sums);
  return true;
}

// True if `indices` are constants in [0, most].
bool AreInside(const Graph& g, ValueId indices, int64_t most) {
  const Dense* dense = g.ConstantOf(indices);
  if (dense == nullptr) return false;
  for (int64_t i = 0; i < dense->data.size(); ++i) {
    if (dense->data.IntAt(i) < 0 || dense->data.IntAt(i) > most) return false;
  }
  return true;
}

// The gather of what a scatter writes over; not valid if parts of windows may lie outside.
std::optional<AttrDict> GatherOfScatter(const Graph& g, const Node& n) {
  const ScatterDims& s = n.attr("scatter_dimension_numbers").AsScatter();
  const Shape& operand = g.operand_type(n, 0).shape;
  const uint32_t count = (n.num_operands - 1) / 2;
  const Shape& update = g.operand_type(n, count + 1).shape;
  Dims sizes;
  size_t next = 0;
  for (size_t d = 0; d < operand.size(); ++d) {
    const auto dim = static_cast<int64_t>(d);
    const bool single =
        Contains(s.inserted_window_dims, dim) || Contains(s.input_batching_dims, dim);
    sizes.push_back(single ? 1 : update[static_cast<size_t>(s.update_window_dims[next++])]);
    const bool moved = Contains(s.scatter_dims_to_operand_dims, dim);
    const bool whole =
        sizes[d] == 1 || !moved || AreInside(g, g.operand(n, count), operand[d] - sizes[d]);
    if (operand[d] == 0 || !whole) return std::nullopt;
  }
  GatherDims gather;
  gather.offset_dims = s.update_window_dims;
  gather.collapsed_slice_dims = s.inserted_window_dims;
  gather.operand_batching_dims = s.input_batching_dims;
  gather.start_indices_batching_dims = s.scatter_indices_batching_dims;
  gather.start_index_map = s.scatter_dims_to_operand_dims;
  gather.index_vector_dim = s.index_vector_dim;
  AttrDict attrs;
  SetAttr(&attrs, "dimension_numbers", Attr::Of(std::move(gather)));
  SetAttr(&attrs, "indices_are_sorted", Attr::Bool(false));
  SetAttr(&attrs, "slice_sizes", Attr::Ints(sizes));
  return attrs;
}

// Where no element is written twice, reading, computing and writing are three operations.
bool ScatterApart(Graph& g, Node& n) {
  const Attr& unique = n.attr("unique_indices");
  const Block& body = *n.regions[0];
  const uint32_t count = (n.num_operands - 1) / 2;
  if (!unique.present() || !unique.AsBool()) return false;
  const bool complex = tensor::IsComplex(g.operand_type(n, 0).dtype);
  const bool plain = count == 1 && ((IsPlain(g, n) && !complex) || body.first == body.last);
  if (plain || ElementwiseOps(g, body) == 0) return false;
  for (uint32_t k = 0; k < count; ++k) {
    if (g.dtype(body.args[k]) != g.operand_type(n, k).dtype) return false;
  }
  const std::optional<AttrDict> attrs = GatherOfScatter(g, n);
  const TensorType update = g.operand_type(n, count + 1);
  if (!attrs || stablehlo::ElementCount(update) == 0) return false;
  const ValueId indices = g.operand(n, count);
  Values args;
  for (uint32_t k = 0; k < count; ++k) {
    const TensorType type{g.operand_type(n, k).dtype, update.shape};
    args.push_back(g.Emit(n, OpKind::kGather, {g.operand(n, k), indices}, *attrs, type));
  }
  for (uint32_t k = 0; k < count; ++k) args.push_back(g.operand(n, count + 1 + k));
  const Values updates = BodyOnArrays(g, n, body, args, update.shape).Results();
  Values results;
  for (uint32_t k = 0; k < count; ++k) {
    const TensorType type = g.operand_type(n, k);
    const TensorType scalar{type.dtype, Shape{}};
    const ValueId operands[] = {g.operand(n, k), indices, updates[k]};
    results.push_back(g.EmitNode(n, *n.def, operands, n.attrs, std::span(&type, 1),
                                 {g.AddBlockOfArg({scalar, scalar}, 1)})
                          .first_result);
  }
  ReplaceAll(g, n, results);
  return true;
}

constexpr Rule kRules[] = {
    {"reduce_split", OpKind::kReduce, SplitIndependent},
    {"window_split", OpKind::kReduceWindow, SplitIndependent},
    {"scatter_split", OpKind::kScatter, SplitIndependent},
    {"reduce_tree", OpKind::kReduce, ReduceByTree, Keeps::kTerms},
    {"window_prefixes", OpKind::kReduceWindow, WindowByPrefixes, Keeps::kTerms},
    {"window_positions", OpKind::kReduceWindow, WindowByPositions},
    {"scatter_apart", OpKind::kScatter, ScatterApart},
};

}  // namespace

std::span<const Rule> BodyRules() { return kRules; }

}  // namespace megalith::codegen
