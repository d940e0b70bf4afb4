#include "clients/pjrt/layouts.h"

#include <algorithm>
#include <charconv>
#include <numeric>
#include <utility>

#include "common/foundation/base/strings.h"
#include "common/programs/stablehlo/op_def.h"

namespace megalith::pjrt {
namespace {

using stablehlo::Attr;
using stablehlo::AttrDict;
using stablehlo::AttrKind;
using stablehlo::Func;
using stablehlo::Module;
using stablehlo::Op;
using stablehlo::TensorType;
using stablehlo::ValueId;
using tensor::Dims;

// Operations that ChooseOrders looks at, those of functions once per call.
constexpr size_t kMostVisits = 1'000'000;
constexpr int kDeepestCalls = 64;

Order RowMajorOrder(size_t rank) {
  Order order;
  for (size_t d = rank; d-- > 0;) order.push_back(static_cast<int64_t>(d));
  return order;
}

// "{1,0}". Behind the numbers XLA may name the bits of an element, which are not packed here, and
// tiles.
Result<Order> ParseLayout(std::string_view text, size_t rank) {
  const Status malformed = InvalidArgument(
      StrCat("layout '", Printable(text), "' of an array of rank ", rank, " is malformed"));
  if (!text.starts_with('{') || !text.ends_with('}')) return malformed;
  const std::string_view inside = text.substr(1, text.size() - 2);
  const std::string_view numbers = inside.substr(0, inside.find(':'));
  const std::string_view rest = inside.substr(std::min(inside.size(), numbers.size() + 1));
  if (rest.find('T') != std::string_view::npos) {
    return Unimplemented(StrCat("layout '", Printable(text), "' has tiles; here arrays lie dense"));
  }
  std::vector<int64_t> order;
  for (const std::string_view item : Split(numbers, ',')) {
    if (numbers.empty()) break;
    int64_t d = 0;
    const auto [stop, error] = std::from_chars(item.data(), item.data() + item.size(), d);
    if (error != std::errc() || stop != item.data() + item.size()) return malformed;
    order.push_back(d);
  }
  return OrderOf(order, rank);
}

// Finds how values of functions lie if nothing is copied.
class OrderFinder {
 public:
  explicit OrderFinder(const Module& module) : module_(module) {}

  // Of what `func` returns, given how its arguments lie.
  std::vector<Order> Returned(const Func& func, const std::vector<Order>& arguments) {
    std::vector<Order> orders(func.types.size());
    for (size_t i = 0; i < arguments.size() && i < func.body.args.size(); ++i) {
      const ValueId v = func.body.args[i];
      if (arguments[i].size() == func.type(v).rank()) orders[v] = arguments[i];
    }
    std::vector<Order> returned;
    for (const Op& op : func.body.ops) {
      if (op.def->has(stablehlo::kTerminator)) {
        for (const ValueId v : op.operands) returned.push_back(orders[v]);
        break;
      }
      if (++visits_ > kMostVisits) break;
      Visit(func, op, &orders);
    }
    returned.resize(func.results.size());
    return returned;
  }

 private:
  void Visit(const Func& func, const Op& op, std::vector<Order>* orders) {
    if (op.def->has(stablehlo::kCallsFunction) && op.regions.empty()) {
      return Call(op, orders);
    }
    if (op.num_results != 1 || op.operands.empty()) return;
    Order& made = (*orders)[op.result()];
    const size_t rank = func.type(op.result()).rank();
    if (op.name() == "stablehlo.transpose") {
      made = Transposed((*orders)[op.operands[0]], op.attr("permutation").AsInts());
    } else if (op.name() == "stablehlo.custom_call") {
      made = OfCustomCall(op, (*orders)[op.operands[0]], rank);
    } else if (op.def->has(stablehlo::kElementwise) || op.def->has(stablehlo::kIdentity)) {
      for (const ValueId v : op.operands) {
        if (made.empty() && func.type(v).rank() == rank) made = (*orders)[v];
      }
    }
  }

  void Call(const Op& op, std::vector<Order>* orders) {
    const Func* callee = nullptr;
    for (const stablehlo::NamedAttr& a : op.attrs) {
      if (a.value.kind() == AttrKind::kSymbol && callee == nullptr) {
        callee = module_.Find(a.value.AsText());
      }
    }
    if (callee == nullptr || depth_ >= kDeepestCalls) return;
    ++depth_;
    std::vector<Order> arguments;
    for (const ValueId v : op.operands) arguments.push_back((*orders)[v]);
    std::vector<Order> returned = Returned(*callee, arguments);
    --depth_;
    for (uint32_t r = 0; r < op.num_results && r < returned.size(); ++r) {
      (*orders)[op.result(r)] = std::move(returned[r]);
    }
  }

  static Order Normal(std::span<const int64_t> order, size_t rank, const Order& otherwise) {
    Result<Order> normal = OrderOf(order, rank);
    return normal.ok() ? *std::move(normal) : otherwise;
  }

  static Order Transposed(const Order& operand, std::span<const int64_t> permutation) {
    const size_t rank = permutation.size();
    const Order from = MinorToMajor(operand, rank);
    std::vector<int64_t> result_dim(rank);  // by dimension of the operand
    for (size_t j = 0; j < rank; ++j) {
      result_dim[static_cast<size_t>(permutation[j])] = static_cast<int64_t>(j);
    }
    Order made;
    for (const int64_t d : from) made.push_back(result_dim[static_cast<size_t>(d)]);
    return Normal(made, rank, Order());
  }

  static Order OfCustomCall(const Op& op, const Order& operand, size_t rank) {
    const std::string& target = op.attr("call_target_name").AsText();
    if (target == "Sharding") return operand;
    if (target != "LayoutConstraint") return Order();
    const Attr& layouts = op.attr("result_layouts");
    if (layouts.kind() != AttrKind::kList || layouts.AsList().size() != 1) return operand;
    const Attr& layout = layouts.AsList()[0];
    if (layout.kind() != AttrKind::kDense) return operand;
    const stablehlo::Dense& dense = layout.AsDense();
    if (stablehlo::ElementCount(dense.type) != static_cast<int64_t>(rank)) return operand;
    std::vector<int64_t> order;
    for (size_t i = 0; i < rank; ++i) {
      order.push_back(dense.data.IntAt(dense.splat ? 0 : static_cast<int64_t>(i)));
    }
    return Normal(order, rank, operand);
  }

  const Module& module_;
  size_t visits_ = 0;
  int depth_ = 0;
};

Op Transpose(ValueId operand, ValueId result, const Dims& permutation) {
  Op op;
  op.def = stablehlo::FindOp("stablehlo.transpose");
  op.operands = {operand};
  op.first_result = result;
  op.num_results = 1;
  SetAttr(&op.attrs, "permutation", Attr::Ints(permutation));
  return op;
}

Dims Positions(size_t rank) {
  Dims positions;
  for (size_t d = 0; d < rank; ++d) positions.push_back(static_cast<int64_t>(d));
  return positions;
}

TensorType StoredType(const TensorType& type, const Order& order) {
  TensorType stored = type;
  stored.shape = Stored(type.shape, order);
  return stored;
}

}  // namespace

Result<Order> OrderOf(std::span<const int64_t> minor_to_major, size_t rank) {
  std::vector<bool> seen(rank, false);
  bool sound = minor_to_major.size() == rank;
  for (const int64_t d : minor_to_major) {
    sound = sound && d >= 0 && static_cast<size_t>(d) < rank && !seen[static_cast<size_t>(d)];
    if (sound) seen[static_cast<size_t>(d)] = true;
  }
  if (!sound) {
    return InvalidArgument(
        StrCat("a layout of an array of rank ", rank, " is no permutation of its dimensions"));
  }
  Order order(minor_to_major);
  return order == RowMajorOrder(rank) ? Order() : order;
}

Dims MinorToMajor(const Order& order, size_t rank) {
  return order.empty() ? RowMajorOrder(rank) : order;
}

std::string LayoutText(const Order& order, size_t rank) {
  std::string text = "{";
  for (const int64_t d : MinorToMajor(order, rank)) StrAppend(&text, text == "{" ? "" : ",", d);
  return text + "}";
}

Dims Stored(const Dims& values, const Order& order) {
  if (order.empty()) return values;
  Dims stored;
  for (size_t i = order.size(); i-- > 0;) stored.push_back(values[static_cast<size_t>(order[i])]);
  return stored;
}

Dims Logical(const Dims& values, const Order& order) {
  if (order.empty()) return values;
  Dims logical(order.size(), 0);
  for (size_t i = 0; i < order.size(); ++i) {
    logical[static_cast<size_t>(order[order.size() - 1 - i])] = values[i];
  }
  return logical;
}

Order Stacked(const Order& order) {
  if (order.empty()) return order;
  Order stacked;
  for (const int64_t d : order) stacked.push_back(d + 1);
  stacked.push_back(0);
  return stacked;
}

const Order& Orders::At(const std::vector<Order>& orders, size_t i) {
  static const Order kRowMajor;
  return i < orders.size() ? orders[i] : kRowMajor;
}

Result<LayoutModes> LayoutModesOf(const Func& entry) {
  LayoutModes modes;
  const auto mode = [](const std::vector<AttrDict>& attrs, size_t i) -> std::string_view {
    if (i >= attrs.size()) return "default";
    const Attr& a = stablehlo::FindAttr(attrs[i], "mhlo.layout_mode");
    return a.kind() == AttrKind::kString ? std::string_view(a.AsText()) : "default";
  };
  for (size_t i = 0; i < entry.body.args.size(); ++i) {
    const std::string_view text = mode(entry.arg_attrs, i);
    if (text == "default" || text == "auto") continue;
    ASSIGN_OR_RETURN(
        Order order,
        ParseLayout(text, entry.type(entry.body.args[i]).rank()).Annotate(StrCat("argument ", i)));
    if (order.empty()) continue;
    modes.orders.inputs.resize(entry.body.args.size());
    modes.orders.inputs[i] = std::move(order);
  }
  for (size_t i = 0; i < entry.results.size(); ++i) {
    const std::string_view text = mode(entry.result_attrs, i);
    if (text == "default") continue;
    if (text == "auto") {
      modes.free_outputs.resize(entry.results.size(), false);
      modes.free_outputs[i] = true;
      continue;
    }
    ASSIGN_OR_RETURN(Order order,
                     ParseLayout(text, entry.results[i].rank()).Annotate(StrCat("result ", i)));
    if (order.empty()) continue;
    modes.orders.outputs.resize(entry.results.size());
    modes.orders.outputs[i] = std::move(order);
  }
  return modes;
}

Orders ChooseOrders(const Module& module, const LayoutModes& modes) {
  Orders orders = modes.orders;
  const Result<const Func*> entry = module.Entry();
  if (modes.free_outputs.empty() || !entry.ok()) return orders;
  std::vector<Order> lie = OrderFinder(module).Returned(**entry, orders.inputs);
  for (size_t i = 0; i < modes.free_outputs.size(); ++i) {
    if (!modes.free_outputs[i] || i >= lie.size() || lie[i].empty()) continue;
    orders.outputs.resize(modes.free_outputs.size());
    orders.outputs[i] = std::move(lie[i]);
  }
  return orders;
}

Status StoreInOrders(const Orders& orders, Module* module) {
  ASSIGN_OR_RETURN(const Func* const entry, module->Entry());
  const auto i = static_cast<size_t>(entry - module->funcs().data());
  Func& func = module->mutable_funcs()[i];
  std::vector<Op> first;
  for (size_t a = 0; a < func.body.args.size(); ++a) {
    const Order& order = orders.input(a);
    if (order.empty()) continue;
    const ValueId logical = func.body.args[a];
    func.body.args[a] = func.AddValue(StoredType(func.type(logical), order));
    first.push_back(Transpose(func.body.args[a], logical, Logical(Positions(order.size()), order)));
  }
  func.body.ops.insert(func.body.ops.begin(), std::make_move_iterator(first.begin()),
                       std::make_move_iterator(first.end()));
  std::vector<Op> last;
  Op& end = func.body.ops.back();
  for (size_t r = 0; r < end.operands.size(); ++r) {
    const Order& order = orders.output(r);
    if (order.empty()) continue;
    func.results[r] = StoredType(func.results[r], order);
    const ValueId stored = func.AddValue(func.results[r]);
    last.push_back(Transpose(end.operands[r], stored, Stored(Positions(order.size()), order)));
    end.operands[r] = stored;
  }
  func.body.ops.insert(func.body.ops.end() - 1, std::make_move_iterator(last.begin()),
                       std::make_move_iterator(last.end()));
  return OkStatus();
}

}  // namespace megalith::pjrt
