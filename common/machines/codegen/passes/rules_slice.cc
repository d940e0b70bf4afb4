// Slices, concatenations and padding.
#include "common/machines/codegen/passes/match.h"
#include "common/machines/codegen/passes/rule.h"

namespace megalith::codegen {
namespace {

struct Bounds {
  Dims start, limit, strides;
};

Bounds BoundsOf(const Node& n) {
  return {Dims(n.ints("start_indices")), Dims(n.ints("limit_indices")), Dims(n.ints("strides"))};
}

AttrDict SliceAttrs(const Bounds& b) {
  AttrDict attrs;
  attrs.push_back({"limit_indices", Attr::Ints(b.limit)});
  attrs.push_back({"start_indices", Attr::Ints(b.start)});
  attrs.push_back({"strides", Attr::Ints(b.strides)});
  return attrs;
}

bool IsFull(const Bounds& b, const Shape& shape) {
  for (size_t i = 0; i < shape.size(); ++i) {
    if (b.start[i] != 0 || b.limit[i] != shape[i] || b.strides[i] != 1) return false;
  }
  return true;
}

bool SliceSplat(Graph& g, Node& n) {
  const Tensor* t = SplatOf(g, g.operand(n, 0));
  if (t == nullptr) return false;
  g.Replace(n, g.Splat(g.result_type(n), *t));
  return true;
}

bool SliceFull(Graph& g, Node& n) {
  if (!(g.operand_type(n, 0) == g.result_type(n))) return false;
  g.Replace(n, g.operand(n, 0));
  return true;
}

bool SliceTwice(Graph& g, Node& n) {
  const Node* inner = g.DefOfKind(g.operand(n, 0), OpKind::kSlice);
  if (inner == nullptr) return false;
  const Bounds a = BoundsOf(*inner);
  Bounds b = BoundsOf(n);
  for (size_t i = 0; i < b.start.size(); ++i) {
    const int64_t size = g.result_type(n).shape[i];
    b.start[i] = a.start[i] + b.start[i] * a.strides[i];
    b.strides[i] *= a.strides[i];
    b.limit[i] = size == 0 ? b.start[i] : b.start[i] + (size - 1) * b.strides[i] + 1;
    if (b.start[i] > a.limit[i]) b.start[i] = b.limit[i] = a.limit[i];
  }
  g.Become(n, OpKind::kSlice, {g.operand(*inner, 0)}, SliceAttrs(b));
  return true;
}

// Slices before repeating.
bool SliceOfBroadcast(Graph& g, Node& n) {
  const Node* spread = g.DefOfKind(g.operand(n, 0), OpKind::kBroadcastInDim);
  if (spread == nullptr) return false;
  const Bounds b = BoundsOf(n);
  const auto dims = Dims(spread->ints("broadcast_dimensions"));
  ValueId x = g.operand(*spread, 0);
  const TensorType in = g.type(x);
  Bounds inner;
  TensorType small{in.dtype, Shape{}};
  for (size_t i = 0; i < in.rank(); ++i) {
    const auto d = static_cast<size_t>(dims[i]);
    const bool repeated = in.shape[i] == 1;
    inner.start.push_back(repeated ? 0 : b.start[d]);
    inner.limit.push_back(repeated ? 1 : b.limit[d]);
    inner.strides.push_back(repeated ? 1 : b.strides[d]);
    small.shape.push_back(repeated ? 1 : g.result_type(n).shape[d]);
  }
  if (!IsFull(inner, in.shape)) x = g.Emit(n, OpKind::kSlice, {x}, SliceAttrs(inner), small);
  g.Become(n, OpKind::kBroadcastInDim, {x}, IntsAttr("broadcast_dimensions", dims));
  return true;
}

bool SliceOfIota(Graph& g, Node& n) {
  const Node* iota = g.DefOfKind(g.operand(n, 0), OpKind::kIota);
  if (iota == nullptr) return false;
  const auto dim = static_cast<size_t>(iota->attr("iota_dimension").AsInt());
  if (n.ints("start_indices")[dim] != 0 || n.ints("strides")[dim] != 1) return false;
  AttrDict attrs = iota->attrs;
  g.Become(n, OpKind::kIota, {}, std::move(attrs));
  return true;
}

// A slice that lies in one of the parts.
bool SliceOfConcatenation(Graph& g, Node& n) {
  const Node* joined = g.DefOfKind(g.operand(n, 0), OpKind::kConcatenate);
  if (joined == nullptr || stablehlo::ElementCount(g.result_type(n)) == 0) return false;
  const auto d = static_cast<size_t>(joined->attr("dimension").AsInt());
  Bounds b = BoundsOf(n);
  const int64_t last = b.start[d] + (g.result_type(n).shape[d] - 1) * b.strides[d];
  int64_t begin = 0;
  for (uint32_t i = 0; i < joined->num_operands; ++i) {
    const int64_t size = g.operand_type(*joined, i).shape[d];
    if (b.start[d] >= begin && last < begin + size) {
      b.start[d] -= begin;
      b.limit[d] = last - begin + 1;
      g.Become(n, OpKind::kSlice, {g.operand(*joined, i)}, SliceAttrs(b));
      return true;
    }
    begin += size;
  }
  return false;
}

// A slice that sees only data, or only padding.
bool SliceOfPad(Graph& g, Node& n) {
  const Node* pad = g.DefOfKind(g.operand(n, 0), OpKind::kPad);
  if (pad == nullptr || stablehlo::ElementCount(g.result_type(n)) == 0) return false;
  const Shape& shape = g.operand_type(*pad, 0).shape;
  Bounds b = BoundsOf(n);
  bool data = true;
  for (size_t i = 0; i < shape.size(); ++i) {
    const int64_t low = pad->ints("edge_padding_low")[i];
    const int64_t interior = pad->ints("interior_padding")[i];
    const int64_t last = b.start[i] + (g.result_type(n).shape[i] - 1) * b.strides[i];
    const int64_t end = low + (shape[i] == 0 ? 0 : (shape[i] - 1) * (interior + 1) + 1);
    if (last < low || b.start[i] >= end) {
      const ValueId value = g.operand(*pad, 1);
      g.Become(n, OpKind::kBroadcastInDim, {value}, IntsAttr("broadcast_dimensions", {}));
      return true;
    }
    data = data && interior == 0 && b.start[i] >= low && last < end;
    b.start[i] -= low;
    b.limit[i] = last - low + 1;
  }
  if (!data) return false;
  g.Become(n, OpKind::kSlice, {g.operand(*pad, 0)}, SliceAttrs(b));
  return true;
}

// --- concatenate ---

bool JoinOne(Graph& g, Node& n) {
  if (n.num_operands != 1) return false;
  g.Replace(n, g.operand(n, 0));
  return true;
}

bool JoinDropsEmpty(Graph& g, Node& n) {
  const auto d = static_cast<size_t>(n.attr("dimension").AsInt());
  if (g.result_type(n).shape[d] == 0) return false;
  std::vector<ValueId> kept;
  for (uint32_t i = 0; i < n.num_operands; ++i) {
    if (g.operand_type(n, i).shape[d] != 0) kept.push_back(g.operand(n, i));
  }
  if (kept.size() == n.num_operands) return false;
  g.SetOperands(n, kept);
  return true;
}

bool JoinNested(Graph& g, Node& n) {
  std::vector<ValueId> flat;
  for (uint32_t i = 0; i < n.num_operands; ++i) {
    const ValueId v = g.operand(n, i);
    const Node* inner = g.DefOfKind(v, OpKind::kConcatenate);
    const bool merge = inner != nullptr && g.use_count(v) == 1 &&
                       inner->attr("dimension").AsInt() == n.attr("dimension").AsInt();
    if (!merge) flat.push_back(v);
    for (uint32_t k = 0; merge && k < inner->num_operands; ++k)
      flat.push_back(g.operand(*inner, k));
  }
  if (flat.size() == n.num_operands) return false;
  g.SetOperands(n, flat);
  return true;
}

// Parts that follow each other in one array are one part of it.
bool JoinAdjacentSlices(Graph& g, Node& n) {
  const auto d = static_cast<size_t>(n.attr("dimension").AsInt());
  for (uint32_t i = 0; i + 1 < n.num_operands; ++i) {
    const Node* a = g.DefOfKind(g.operand(n, i), OpKind::kSlice);
    const Node* b = g.DefOfKind(g.operand(n, i + 1), OpKind::kSlice);
    if (a == nullptr || b == nullptr || g.operand(*a, 0) != g.operand(*b, 0)) continue;
    Bounds merged = BoundsOf(*a);
    const Bounds second = BoundsOf(*b);
    bool adjacent = merged.strides == second.strides && merged.strides[d] == 1 &&
                    merged.limit[d] == second.start[d];
    for (size_t k = 0; adjacent && k < merged.start.size(); ++k) {
      adjacent =
          k == d || (merged.start[k] == second.start[k] && merged.limit[k] == second.limit[k]);
    }
    if (!adjacent) continue;
    merged.limit[d] = second.limit[d];
    TensorType type = g.operand_type(n, i);
    type.shape[d] += g.operand_type(n, i + 1).shape[d];
    std::vector<ValueId> operands = g.operands(n);
    operands[i] = g.Emit(n, OpKind::kSlice, {g.operand(*a, 0)}, SliceAttrs(merged), type);
    operands.erase(operands.begin() + i + 1);
    g.SetOperands(n, operands);
    return true;
  }
  return false;
}

bool JoinSplats(Graph& g, Node& n) {
  const Tensor* first = SplatOf(g, g.operand(n, 0));
  if (first == nullptr) return false;
  for (uint32_t i = 1; i < n.num_operands; ++i) {
    const Tensor* t = SplatOf(g, g.operand(n, i));
    if (t == nullptr || t->bytes() != first->bytes()) return false;
  }
  g.Replace(n, g.Splat(g.result_type(n), *first));
  return true;
}

// --- pad ---

struct Padding {
  Dims low, high, interior;
};
Padding PaddingOf(const Node& n) {
  return {Dims(n.ints("edge_padding_low")), Dims(n.ints("edge_padding_high")),
          Dims(n.ints("interior_padding"))};
}

bool PadNothing(Graph& g, Node& n) {
  const Padding p = PaddingOf(n);
  for (size_t i = 0; i < p.low.size(); ++i) {
    const bool gaps = p.interior[i] != 0 && g.operand_type(n, 0).shape[i] > 1;
    if (p.low[i] != 0 || p.high[i] != 0 || gaps) return false;
  }
  g.Replace(n, g.operand(n, 0));
  return true;
}

bool PadSplat(Graph& g, Node& n) {
  const Tensor* x = SplatOf(g, g.operand(n, 0));
  const Tensor* value = SplatOf(g, g.operand(n, 1));
  if (x == nullptr || value == nullptr || x->bytes() != value->bytes()) return false;
  g.Replace(n, g.Splat(g.result_type(n), *x));
  return true;
}

bool PadEmpty(Graph& g, Node& n) {
  if (stablehlo::ElementCount(g.operand_type(n, 0)) != 0) return false;
  g.Become(n, OpKind::kBroadcastInDim, {g.operand(n, 1)}, IntsAttr("broadcast_dimensions", {}));
  return true;
}

bool PadTwice(Graph& g, Node& n) {
  const Node* inner = g.DefOfKind(g.operand(n, 0), OpKind::kPad);
  if (inner == nullptr || g.operand(*inner, 1) != g.operand(n, 1)) return false;
  Padding a = PaddingOf(*inner);
  const Padding b = PaddingOf(n);
  for (size_t i = 0; i < a.low.size(); ++i) {
    const bool negative = a.low[i] < 0 || a.high[i] < 0 || b.low[i] < 0 || b.high[i] < 0;
    if (negative || b.interior[i] != 0) return false;
    a.low[i] += b.low[i];
    a.high[i] += b.high[i];
  }
  AttrDict attrs;
  attrs.push_back({"edge_padding_high", Attr::Ints(a.high)});
  attrs.push_back({"edge_padding_low", Attr::Ints(a.low)});
  attrs.push_back({"interior_padding", Attr::Ints(a.interior)});
  g.Become(n, OpKind::kPad, {g.operand(*inner, 0), g.operand(n, 1)}, std::move(attrs));
  return true;
}

// Padding by less than nothing cuts off.
bool PadNegative(Graph& g, Node& n) {
  const Padding p = PaddingOf(n);
  const Shape& shape = g.operand_type(n, 0).shape;
  Bounds b;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (p.low[i] > 0 || p.high[i] > 0 || p.interior[i] != 0) return false;
    b.start.push_back(-p.low[i]);
    b.limit.push_back(shape[i] + p.high[i]);
    b.strides.push_back(1);
    if (b.limit[i] < b.start[i]) return false;
  }
  g.Become(n, OpKind::kSlice, {g.operand(n, 0)}, SliceAttrs(b));
  return true;
}

constexpr Rule kRules[] = {
    {"slice_splat", OpKind::kSlice, SliceSplat},
    {"slice_full", OpKind::kSlice, SliceFull},
    {"slice_twice", OpKind::kSlice, SliceTwice},
    {"slice_broadcast", OpKind::kSlice, SliceOfBroadcast},
    {"slice_iota", OpKind::kSlice, SliceOfIota},
    {"slice_concatenation", OpKind::kSlice, SliceOfConcatenation},
    {"slice_pad", OpKind::kSlice, SliceOfPad},
    {"concatenate_one", OpKind::kConcatenate, JoinOne},
    {"concatenate_empty", OpKind::kConcatenate, JoinDropsEmpty},
    {"concatenate_splats", OpKind::kConcatenate, JoinSplats},
    {"concatenate_nested", OpKind::kConcatenate, JoinNested},
    {"concatenate_slices", OpKind::kConcatenate, JoinAdjacentSlices},
    {"pad_nothing", OpKind::kPad, PadNothing},
    {"pad_splat", OpKind::kPad, PadSplat},
    {"pad_empty", OpKind::kPad, PadEmpty},
    {"pad_twice", OpKind::kPad, PadTwice},
    {"pad_negative", OpKind::kPad, PadNegative},
};

}  // namespace

std::span<const Rule> SliceRules() { return kRules; }

}  // namespace megalith::codegen
