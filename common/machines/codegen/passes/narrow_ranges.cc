// What integers can be, and what follows from it.
//
// One walk forward: constants, iotas and the counters of counted loops are known, and arithmetic
// passes on what cannot wrap. So the indices a scan makes are known to be inside of their arrays:
// comparisons with 0 and with sizes, clamps and wrap-around of negative indices go.
#include <algorithm>
#include <limits>

#include "common/machines/codegen/passes/match.h"
#include "common/machines/codegen/passes/pass.h"

namespace megalith::codegen {
namespace {

using stablehlo::CompareDirection;
using Wide = __int128;

// All elements are in [low, high]. Unknown if low > high.
struct Range {
  int64_t low = 1;
  int64_t high = 0;
  bool known() const { return low <= high; }
};

class Ranges {
 public:
  explicit Ranges(Graph& g) : g_(g) {}

  void Walk(Block& b) {
    for (Node* n = b.first; n != nullptr;) {
      Node* next = n->next;
      if (n->kind == OpKind::kWhile) EnterLoop(*n);
      for (Block* inner : n->regions) Walk(*inner);
      if (!Rewrite(*n) && n->num_results == 1) Set(n->first_result, RangeOf(*n));
      n = next;
    }
  }

 private:
  static bool Tracked(DType d) { return IsWholeInt(d) || d == DType::kBool; }

  Range Get(ValueId v) const { return v < ranges_.size() ? ranges_[v] : Range{}; }

  void Set(ValueId v, Range r) {
    if (!r.known()) return;
    if (v >= ranges_.size()) ranges_.resize(v + 64);
    ranges_[v] = r;
  }

  // The range of numbers of a type; unknown for u64, whose upper half is not tracked.
  static Range OfType(DType d) {
    if (d == DType::kBool) return {0, 1};
    if (d == DType::kU64) return {0, std::numeric_limits<int64_t>::max()};
    return {LowestOf(d), HighestOf(d)};
  }

  // [low, high] if the type holds it: the operation does not wrap.
  static Range Fitting(DType d, Wide low, Wide high) {
    const Range type = OfType(d);
    if (low < type.low || high > type.high) return {};
    return {static_cast<int64_t>(low), static_cast<int64_t>(high)};
  }

  void EnterLoop(const Node& loop) {
    const Attr& turns = loop.attr(kTripCountAttr);
    if (!turns.present() || !loop.attr(kInductionAttr).present()) return;
    const auto i = static_cast<size_t>(loop.attr(kInductionAttr).AsInt());
    const Wide start = loop.attr(kInductionStartAttr).AsInt();
    const Wide step = loop.attr(kInductionStepAttr).AsInt();
    const Wide last = start + (static_cast<Wide>(turns.AsInt()) - 1) * step;
    const ValueId arg = loop.regions[1]->args[i];
    Set(arg, Fitting(g_.dtype(arg), std::min(start, last), std::max(start, last)));
    const Wide end = last + step;
    Set(loop.regions[0]->args[i],
        Fitting(g_.dtype(arg), std::min(start, end), std::max(start, end)));
  }

  Range OfConstant(const Node& n) const {
    const Dense& d = n.attrs[0].value.AsDense();
    if (d.data.size() == 0 || d.data.size() > 4096 || !Tracked(d.type.dtype)) return {};
    Range r{std::numeric_limits<int64_t>::max(), std::numeric_limits<int64_t>::min()};
    for (int64_t i = 0; i < d.data.size(); ++i) {
      const int64_t x = d.data.IntAt(i);
      if (x < 0 && tensor::IsUnsigned(d.type.dtype)) return {};
      r.low = std::min(r.low, x);
      r.high = std::max(r.high, x);
    }
    return r;
  }

  Range Union(const Node& n, uint32_t first, uint32_t last) const {
    Range r = Get(g_.operand(n, first));
    for (uint32_t i = first + 1; i <= last && r.known(); ++i) {
      const Range other = Get(g_.operand(n, i));
      if (!other.known()) return {};
      r = {std::min(r.low, other.low), std::max(r.high, other.high)};
    }
    return r;
  }

  Range OfBinary(const Node& n, DType d) const {
    const Range a = Get(g_.operand(n, 0));
    const Range b = Get(g_.operand(n, 1));
    if (n.kind == OpKind::kAnd && d != DType::kBool) {  // keeps no more than a mask lets through
      if (b.known() && b.low >= 0)
        return {0, a.known() && a.low >= 0 ? std::min(a.high, b.high) : b.high};
      return a.known() && a.low >= 0 ? Range{0, a.high} : Range{};
    }
    if (n.kind == OpKind::kRemainder && b.known() && b.low > 0) {
      const bool positive = tensor::IsUnsigned(d) || (a.known() && a.low >= 0);
      return {positive ? 0 : 1 - b.high, b.high - 1};
    }
    if (!a.known() || !b.known()) return {};
    switch (n.kind) {
      case OpKind::kAdd:
        return Fitting(d, static_cast<Wide>(a.low) + b.low, static_cast<Wide>(a.high) + b.high);
      case OpKind::kSubtract:
        return Fitting(d, static_cast<Wide>(a.low) - b.high, static_cast<Wide>(a.high) - b.low);
      case OpKind::kMultiply: {
        const Wide corners[] = {static_cast<Wide>(a.low) * b.low, static_cast<Wide>(a.low) * b.high,
                                static_cast<Wide>(a.high) * b.low,
                                static_cast<Wide>(a.high) * b.high};
        return Fitting(d, *std::ranges::min_element(corners), *std::ranges::max_element(corners));
      }
      case OpKind::kDivide:
        return a.low >= 0 && b.low > 0 ? Range{a.low / b.high, a.high / b.low} : Range{};
      case OpKind::kMaximum:
        return {std::max(a.low, b.low), std::max(a.high, b.high)};
      case OpKind::kMinimum:
        return {std::min(a.low, b.low), std::min(a.high, b.high)};
      default:
        return {};
    }
  }

  Range RangeOf(const Node& n) const {
    const TensorType& type = g_.result_type(n);
    if (type.is_token || !Tracked(type.dtype)) return {};
    switch (n.kind) {
      case OpKind::kConstant:
        return OfConstant(n);
      case OpKind::kIota: {
        const auto dim = static_cast<size_t>(n.attr("iota_dimension").AsInt());
        return Fitting(type.dtype, 0, std::max<int64_t>(type.shape[dim], 1) - 1);
      }
      case OpKind::kBroadcastInDim:
      case OpKind::kReshape:
      case OpKind::kTranspose:
      case OpKind::kReverse:
      case OpKind::kSlice:
      case OpKind::kDynamicSlice:
      case OpKind::kGather:
        return Get(g_.operand(n, 0));
      case OpKind::kConcatenate:
        return Union(n, 0, n.num_operands - 1);
      case OpKind::kPad:
      case OpKind::kDynamicUpdateSlice:
        return Union(n, 0, 1);
      case OpKind::kSelect:
        return Union(n, 1, 2);
      case OpKind::kConvert:
        return OfConvert(n, type.dtype);
      case OpKind::kClamp: {
        const Range low = Get(g_.operand(n, 0));
        const Range high = Get(g_.operand(n, 2));
        if (!low.known() || !high.known()) return {};
        return {std::min(low.low, high.low), high.high};
      }
      case OpKind::kAbs: {
        const Range x = Get(g_.operand(n, 0));
        return x.known() && x.low >= 0 ? x : Range{};
      }
      default:
        return n.num_operands == 2 && n.def->span != nullptr ? OfBinary(n, type.dtype) : Range{};
    }
  }

  Range OfConvert(const Node& n, DType to) const {
    const DType from = g_.operand_type(n, 0).dtype;
    if (to == DType::kBool || !Tracked(from)) return {};
    Range x = Get(g_.operand(n, 0));
    if (!x.known() && from != DType::kU64) x = OfType(from);
    return x.known() ? Fitting(to, x.low, x.high) : Range{};
  }

  // --- what follows ---

  bool ReplaceBy(Node& n, uint32_t operand) {
    if (!(g_.operand_type(n, operand) == g_.result_type(n))) return false;
    g_.Replace(n, g_.operand(n, operand));
    ++g_.rewrites;
    return true;
  }

  bool Decide(Node& n, bool value) {
    g_.Replace(n, g_.SplatInt(g_.result_type(n), value ? 1 : 0));
    ++g_.rewrites;
    return true;
  }

  bool RewriteCompare(Node& n, Range a, Range b) {
    switch (static_cast<CompareDirection>(n.attr("comparison_direction").AsEnum())) {
      case CompareDirection::kLt:
        return a.high < b.low ? Decide(n, true) : a.low >= b.high && Decide(n, false);
      case CompareDirection::kLe:
        return a.high <= b.low ? Decide(n, true) : a.low > b.high && Decide(n, false);
      case CompareDirection::kGt:
        return a.low > b.high ? Decide(n, true) : a.high <= b.low && Decide(n, false);
      case CompareDirection::kGe:
        return a.low >= b.high ? Decide(n, true) : a.high < b.low && Decide(n, false);
      case CompareDirection::kEq:
        return (a.high < b.low || a.low > b.high) && Decide(n, false);
      case CompareDirection::kNe:
        return (a.high < b.low || a.low > b.high) && Decide(n, true);
    }
    return false;
  }

  bool Rewrite(Node& n) {
    if (n.kind == OpKind::kScatter && n.num_operands == 3) {
      const Range at = Get(g_.operand(n, 1));
      if (!at.known() || !ScatterInside(g_, n, at.low, at.high)) return false;
      ++g_.rewrites;
      return true;
    }
    if (n.num_results != 1 || n.num_operands == 0 || g_.operand_type(n, 0).is_token ||
        !Tracked(g_.operand_type(n, 0).dtype)) {
      return false;
    }
    const Range a = Get(g_.operand(n, 0));
    const Range b = n.num_operands > 1 ? Get(g_.operand(n, 1)) : Range{};
    const bool both = a.known() && b.known();
    switch (n.kind) {
      case OpKind::kSelect:  // by a comparison that has been decided
        if (const auto p = IntSplat(g_, g_.operand(n, 0))) return ReplaceBy(n, *p != 0 ? 1 : 2);
        return false;
      case OpKind::kCompare:
        return both && RewriteCompare(n, a, b);
      case OpKind::kMaximum:
        if (both && a.low >= b.high) return ReplaceBy(n, 0);
        return both && b.low >= a.high && ReplaceBy(n, 1);
      case OpKind::kMinimum:
        if (both && a.high <= b.low) return ReplaceBy(n, 0);
        return both && b.high <= a.low && ReplaceBy(n, 1);
      case OpKind::kClamp: {
        const Range c = Get(g_.operand(n, 2));
        return both && c.known() && b.low >= a.high && b.high <= c.low && ReplaceBy(n, 1);
      }
      case OpKind::kRemainder:
        return both && a.low >= 0 && a.high < b.low && ReplaceBy(n, 0);
      case OpKind::kAnd:  // with all the bits there are
        return both && b.low == b.high && (b.low & (b.low + 1)) == 0 && a.low >= 0 &&
               a.high <= b.low && ReplaceBy(n, 0);
      case OpKind::kAbs:
        return a.known() && a.low >= 0 && ReplaceBy(n, 0);
      default:
        return false;
    }
  }

  Graph& g_;
  std::vector<Range> ranges_;
};

}  // namespace

Status NarrowRanges(PassContext& context) {
  Ranges(context.graph).Walk(context.graph.body());
  return OkStatus();
}

}  // namespace megalith::codegen
