#include "common/machines/codegen/comparators.h"

#include <cmath>

#include "common/machines/codegen/kernel_builder.h"
#include "common/programs/stablehlo/op_def.h"

namespace megalith::codegen {
namespace {

using kernels::SortOrder;
using stablehlo::CompareDirection;
using stablehlo::CompareType;
using stablehlo::Region;
using Definitions = std::unordered_map<ValueId, const Op*>;

// Looks at the values of a region by what defines them.
class Matcher {
 public:
  Matcher(const Region& body, const Func& func, const Definitions& definitions)
      : body_(body), func_(func), definitions_(definitions) {}

  // The op of this name that defines `v`, or null.
  const Op* Match(ValueId v, std::string_view name) const {
    const auto it = definitions_.find(v);
    return it != definitions_.end() && it->second->def->name == name ? it->second : nullptr;
  }
  const Op* MatchCompare(ValueId v, CompareDirection direction) const {
    const Op* op = Match(v, "stablehlo.compare");
    return op != nullptr && DirectionOf(*op) == direction ? op : nullptr;
  }
  static CompareDirection DirectionOf(const Op& op) {
    return static_cast<CompareDirection>(op.attr("comparison_direction").AsEnum());
  }
  static bool IsTotal(const Op& op) {
    const stablehlo::Attr& type = op.attr("compare_type");
    return type.present() && static_cast<CompareType>(type.AsEnum()) == CompareType::kTotalOrder;
  }
  // The number of the region's argument, or -1.
  int64_t ArgumentNumber(ValueId v) const {
    for (size_t i = 0; i < body_.args.size(); ++i) {
      if (body_.args[i] == v) return static_cast<int64_t>(i);
    }
    return -1;
  }
  // The element of a floating-point constant, or nothing.
  std::optional<double> FloatConstant(ValueId v) const {
    const Op* op = Match(v, "stablehlo.constant");
    if (op == nullptr || !IsSplat(*op) || !tensor::IsFloat(func_.type(v).dtype)) return {};
    return op->attr("value").AsDense().data.DoubleAt(0);
  }
  bool IsFloatValue(ValueId v) const { return tensor::IsFloat(func_.type(v).dtype); }

 private:
  const Region& body_;
  const Func& func_;
  const Definitions& definitions_;
};

// One side of a comparison: an argument as it is, or with zeros and NaNs made equal.
struct Side {
  int64_t argument = -1;
  bool uniform = false;
};

// select(x == 0, 0, x), or x.
int64_t WithoutNegativeZero(const Matcher& m, ValueId v, bool* found) {
  const Op* select = m.Match(v, "stablehlo.select");
  if (select == nullptr) return m.ArgumentNumber(v);
  const Op* equal = m.MatchCompare(select->operands[0], CompareDirection::kEq);
  const ValueId x = select->operands[2];
  const auto zero = m.FloatConstant(select->operands[1]);
  if (equal == nullptr || !zero || *zero != 0 || std::signbit(*zero)) return -1;
  const auto against = m.FloatConstant(equal->operands[1]);
  if (equal->operands[0] != x || !against || *against != 0) return -1;
  *found = true;
  return m.ArgumentNumber(x);
}

Side SideOf(const Matcher& m, ValueId v) {
  if (const int64_t a = m.ArgumentNumber(v); a >= 0) return {a, false};
  const Op* select = m.Match(v, "stablehlo.select");
  if (select == nullptr) return {};
  const Op* nan = m.MatchCompare(select->operands[0], CompareDirection::kNe);
  const auto filled = m.FloatConstant(select->operands[1]);
  if (nan == nullptr || !filled || !std::isnan(*filled) || std::signbit(*filled)) return {};
  const int64_t tested = m.ArgumentNumber(nan->operands[0]);
  bool zeros = false;
  const int64_t inner = WithoutNegativeZero(m, select->operands[2], &zeros);
  if (tested < 0 || nan->operands[1] != nan->operands[0] || inner != tested || !zeros) return {};
  return {tested, true};
}

// compare(direction, side of a, side of b) of one pair of arguments.
std::optional<SortKey> KeyOf(const Matcher& m, const Op& compare, bool* swapped) {
  const Side left = SideOf(m, compare.operands[0]), right = SideOf(m, compare.operands[1]);
  if (left.argument < 0 || right.argument < 0 || left.uniform != right.uniform ||
      left.argument / 2 != right.argument / 2 || left.argument == right.argument) {
    return std::nullopt;
  }
  const bool is_float = m.IsFloatValue(compare.operands[0]);
  SortKey key;
  key.operand = left.argument / 2;
  if (is_float && Matcher::IsTotal(compare)) {
    key.order = left.uniform ? SortOrder::kUniform : SortOrder::kTotal;
  } else if (left.uniform) {
    return std::nullopt;
  }
  *swapped = left.argument > right.argument;
  return key;
}

// Adds the keys of `v` ("a comes before b"): one comparison, or less | (equal & rest).
bool AddKeys(const Matcher& m, ValueId v, std::vector<SortKey>* keys, int depth) {
  constexpr int kMaxKeys = 64;
  if (depth > kMaxKeys) return false;
  if (const Op* compare = m.Match(v, "stablehlo.compare")) {
    const CompareDirection d = Matcher::DirectionOf(*compare);
    if (d != CompareDirection::kLt && d != CompareDirection::kGt) return false;
    bool swapped = false;
    std::optional<SortKey> key = KeyOf(m, *compare, &swapped);
    if (!key.has_value()) return false;
    key->descending = (d == CompareDirection::kGt) != swapped;
    keys->push_back(*key);
    return true;
  }
  const Op* either = m.Match(v, "stablehlo.or");
  if (either == nullptr) return false;
  for (const size_t first : {size_t{0}, size_t{1}}) {
    const Op* both = m.Match(either->operands[1 - first], "stablehlo.and");
    if (both == nullptr) continue;
    for (const size_t tie : {size_t{0}, size_t{1}}) {
      const Op* equal = m.MatchCompare(both->operands[tie], CompareDirection::kEq);
      if (equal == nullptr) continue;
      bool swapped = false;
      const std::optional<SortKey> tied = KeyOf(m, *equal, &swapped);
      const size_t before = keys->size();
      if (!tied.has_value() || !AddKeys(m, either->operands[first], keys, depth + 1) ||
          keys->size() != before + 1 || keys->back().operand != tied->operand ||
          keys->back().order != tied->order) {
        keys->resize(before);
        continue;
      }
      return AddKeys(m, both->operands[1 - tie], keys, depth + 1);
    }
  }
  return false;
}

// True if no element of the type loses against `t`: the least one, or the greatest for `smallest`.
bool IsWorst(const tensor::Tensor& t, bool smallest) {
  const DType type = t.dtype();
  if (tensor::IsFloat(type)) {
    return std::isinf(t.DoubleAt(0)) && std::signbit(t.DoubleAt(0)) != smallest;
  }
  const int bits = tensor::BitWidth(type);
  if (type == DType::kBool) return t.IntAt(0) == (smallest ? 1 : 0);
  const uint64_t ones = bits == 64 ? UINT64_MAX : (uint64_t{1} << bits) - 1;
  if (tensor::IsUnsigned(type)) {
    return static_cast<uint64_t>(t.IntAt(0)) == (smallest ? ones : 0);
  }
  const auto greatest = static_cast<int64_t>(ones >> 1);
  return tensor::IsSigned(type) && t.IntAt(0) == (smallest ? greatest : -greatest - 1);
}

}  // namespace

std::optional<std::vector<SortKey>> KeysOf(const Op& op, const Func& func,
                                           const Definitions& definitions) {
  const Region& body = op.regions[0];
  const Matcher m(body, func, definitions);
  std::vector<SortKey> keys;
  if (!AddKeys(m, body.ops.back().operands[0], &keys, 0)) return std::nullopt;
  return keys;
}

std::optional<ArgReduce> ArgReduceOf(const Op& op, const Func& func,
                                     const Definitions& definitions) {
  if (op.num_results != 2 || op.operands.size() != 4) return std::nullopt;
  const auto dims = op.attr("dimensions").AsInts();
  const Op* iota = nullptr;
  if (const auto it = definitions.find(op.operands[1]); it != definitions.end()) iota = it->second;
  if (dims.size() != 1 || iota == nullptr || iota->def->name != "stablehlo.iota" ||
      iota->attr("iota_dimension").AsInt() != dims[0]) {
    return std::nullopt;
  }
  const Region& body = op.regions[0];
  const Matcher m(body, func, definitions);
  const ValueId x = body.args[0], i = body.args[1], y = body.args[2], j = body.args[3];
  const Op& end = body.ops.back();
  const Op* value = m.Match(end.operands[0], "stablehlo.select");
  const Op* index = m.Match(end.operands[1], "stablehlo.select");
  if (value == nullptr || index == nullptr || value->operands[1] != x || value->operands[2] != y ||
      index->operands[1] != i || index->operands[2] != j) {
    return std::nullopt;
  }
  // Better: x > y, or x is NaN (integers have none).
  const Op* better = m.Match(value->operands[0], "stablehlo.compare");
  if (better == nullptr) {
    const Op* either = m.Match(value->operands[0], "stablehlo.or");
    if (either == nullptr) return std::nullopt;
    const Op* nan = m.MatchCompare(either->operands[1], CompareDirection::kNe);
    if (nan == nullptr || nan->operands[0] != x || nan->operands[1] != x) return std::nullopt;
    better = m.Match(either->operands[0], "stablehlo.compare");
  } else if (m.IsFloatValue(x)) {
    return std::nullopt;
  }
  if (better == nullptr || better->operands[0] != x || better->operands[1] != y ||
      Matcher::IsTotal(*better)) {
    return std::nullopt;
  }
  const CompareDirection d = Matcher::DirectionOf(*better);
  if (d != CompareDirection::kGt && d != CompareDirection::kLt) return std::nullopt;
  // Or equal and earlier.
  const Op* either = m.Match(index->operands[0], "stablehlo.or");
  if (either == nullptr || either->operands[0] != value->operands[0]) return std::nullopt;
  const Op* tie = m.Match(either->operands[1], "stablehlo.and");
  if (tie == nullptr) return std::nullopt;
  const Op* equal = m.MatchCompare(tie->operands[0], CompareDirection::kEq);
  const Op* earlier = m.MatchCompare(tie->operands[1], CompareDirection::kLt);
  if (equal == nullptr || earlier == nullptr || equal->operands[0] != x ||
      equal->operands[1] != y || earlier->operands[0] != i || earlier->operands[1] != j) {
    return std::nullopt;
  }
  // The kernel starts from the worst element, at position 0.
  const Op* worst = m.Match(op.operands[2], "stablehlo.constant");
  const Op* first = m.Match(op.operands[3], "stablehlo.constant");
  const bool smallest = d == CompareDirection::kLt;
  if (worst == nullptr || first == nullptr || !IsSplat(*worst) || !IsSplat(*first) ||
      first->attr("value").AsDense().data.IntAt(0) != 0 ||
      !IsWorst(worst->attr("value").AsDense().data, smallest)) {
    return std::nullopt;
  }
  return ArgReduce{dims[0], smallest};
}

}  // namespace megalith::codegen
