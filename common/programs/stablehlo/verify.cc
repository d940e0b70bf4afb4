#include "common/programs/stablehlo/verify.h"

#include <algorithm>
#include <unordered_map>

#include "common/programs/stablehlo/op_def.h"
#include "common/programs/stablehlo/rules.h"

namespace megalith::stablehlo {
namespace {

Status CheckArity(const Op& op) {
  const OpDef& def = *op.def;
  const auto wanted = [](int count, bool more) { return StrCat(more ? "at least " : "", count); };
  const auto n = static_cast<int>(op.operands.size());
  if (n < def.operands || (!def.more_operands && n != def.operands)) {
    return InvalidArgument(
        StrCat(n, " operands, wanted ", wanted(def.operands, def.more_operands)));
  }
  const auto r = static_cast<int>(op.regions.size());
  if (r < def.regions || (!def.more_regions && r != def.regions)) {
    return InvalidArgument(StrCat(r, " regions, wanted ", wanted(def.regions, def.more_regions)));
  }
  return OkStatus();
}

Status CheckAttrs(const Op& op) {
  for (const AttrSpec& spec : op.def->attrs) {
    const Attr& a = op.attr(spec.name);
    if (!a.present()) {
      if (spec.required) return InvalidArgument(StrCat("attribute '", spec.name, "' is missing"));
      continue;
    }
    if (a.kind() != spec.kind) {
      return InvalidArgument(StrCat("attribute '", spec.name, "' is ", KindName(a.kind()),
                                    ", wanted ", KindName(spec.kind)));
    }
    if (a.kind() == AttrKind::kEnum && a.enum_id() != spec.enum_id) {
      return InvalidArgument(StrCat("attribute '", spec.name, "' is a ",
                                    InfoOf(a.enum_id()).mnemonic, ", wanted ",
                                    InfoOf(spec.enum_id).mnemonic));
    }
  }
  return OkStatus();
}

// Walks one function, keeping track of which values are in scope.
class FuncVerifier {
 public:
  FuncVerifier(const Module& module, const Func& func, const Limits& limits)
      : module_(module), func_(func), limits_(limits), state_(func.types.size(), kUndefined) {}

  Status Run() {
    RETURN_IF_ERROR(CheckTypes());
    if (!func_.arg_attrs.empty() && func_.arg_attrs.size() != func_.body.args.size()) {
      return InvalidArgument(StrCat("@", func_.name, ": ", func_.arg_attrs.size(),
                                    " argument attributes for ", func_.body.args.size(),
                                    " arguments"));
    }
    RETURN_IF_ERROR(CheckRegion(func_.body, "func.return", 1).Annotate(StrCat("@", func_.name)));
    std::vector<TensorType> returned;
    for (const ValueId v : func_.body.ops.back().operands) returned.push_back(func_.type(v));
    if (returned != func_.results) {
      return InvalidArgument(
          StrCat("@", func_.name, " returns other types than its signature says"));
    }
    return OkStatus();
  }

 private:
  enum State : uint8_t { kUndefined, kInScope, kClosed };

  Status CheckTypes() {
    for (size_t v = 0; v < func_.types.size(); ++v) {
      const TensorType& t = func_.types[v];
      if (t.is_token) continue;
      const auto negative = std::ranges::find_if(t.shape, [](int64_t d) { return d < 0; });
      if (t.dtype == DType::kInvalid || tensor::MlirName(t.dtype).empty() ||
          negative != t.shape.end()) {
        return InvalidArgument(
            StrCat("@", func_.name, ": value ", v, " has the invalid type ", t.Text()));
      }
      const int64_t n = ElementCount(t);
      if (n < 0 || n > limits_.max_elements || ByteCount(t) < 0 || t.rank() > limits_.max_rank) {
        return ResourceExhausted(StrCat("@", func_.name, ": a value of type ", t.Text(),
                                        " exceeds max_elements = ", limits_.max_elements,
                                        " or max_rank = ", limits_.max_rank));
      }
    }
    return OkStatus();
  }

  Status DefineValue(ValueId v) {
    if (v >= state_.size())
      return InvalidArgument(StrCat("value ", v, " is not in the table of types"));
    if (state_[v] != kUndefined) return InvalidArgument(StrCat("value ", v, " is defined twice"));
    state_[v] = kInScope;
    return OkStatus();
  }

  Status CheckOp(const Op& op, uint32_t depth) {
    RETURN_IF_ERROR(CheckArity(op));
    RETURN_IF_ERROR(CheckAttrs(op));
    for (const ValueId v : op.operands) {
      if (v >= state_.size() || state_[v] != kInScope) {
        return InvalidArgument(StrCat("value ", v, " is used where it is not defined"));
      }
    }
    for (size_t i = 0; i < op.regions.size(); ++i) {
      RETURN_IF_ERROR(
          CheckRegion(op.regions[i], "stablehlo.return", depth + 1).Annotate(StrCat("region ", i)));
    }
    std::vector<TensorType> declared, inferred;
    for (uint32_t i = 0; i < op.num_results; ++i) {
      RETURN_IF_ERROR(DefineValue(op.result(i)));
      declared.push_back(func_.type(op.result(i)));
    }
    if (op.def->type_rule == nullptr) return Unimplemented(std::string(op.def->refusal));
    RETURN_IF_ERROR(op.def->type_rule(TypeQuery{op, func_, &module_, declared}, &inferred));
    if (inferred.size() != declared.size()) {
      return InvalidArgument(StrCat(declared.size(), " results, wanted ", inferred.size()));
    }
    for (size_t i = 0; i < inferred.size(); ++i) {
      if (!(inferred[i] == declared[i])) {
        return InvalidArgument(StrCat("result ", i, " has type ", declared[i].Text(), ", wanted ",
                                      inferred[i].Text()));
      }
    }
    return OkStatus();
  }

  Status CheckRegion(const Region& region, std::string_view terminator, uint32_t depth) {
    if (depth > limits_.max_nesting) {
      return ResourceExhausted(
          StrCat("regions are nested deeper than max_nesting = ", limits_.max_nesting));
    }
    for (const ValueId v : region.args) RETURN_IF_ERROR(DefineValue(v));
    if (region.ops.empty()) return InvalidArgument("the region is empty, wanted a terminator");
    for (size_t i = 0; i < region.ops.size(); ++i) {
      const Op& op = region.ops[i];
      if (op.def == nullptr)
        return InvalidArgument(StrCat("op ", i, " has no row in the op table"));
      const bool last = i + 1 == region.ops.size();
      Status s = CheckOp(op, depth);
      if (s.ok() && last != op.def->has(kTerminator)) {
        s = InvalidArgument(last ? "the last operation of a region must be a terminator"
                                 : "a terminator may only stand at the end of a region");
      }
      if (s.ok() && last && op.name() != terminator)
        s = InvalidArgument(StrCat("wanted ", terminator));
      if (!s.ok()) {
        return s.Annotate(
            StrCat("op ", i, " (", op.name(), op.line > 0 ? StrCat(", line ", op.line) : "", ")"));
      }
    }
    Close(region);
    return OkStatus();
  }

  void Close(const Region& region) {
    if (&region == &func_.body) return;
    for (const ValueId v : region.args) state_[v] = kClosed;
    for (const Op& op : region.ops) {
      for (uint32_t i = 0; i < op.num_results; ++i) state_[op.result(i)] = kClosed;
    }
  }

  const Module& module_;
  const Func& func_;
  const Limits& limits_;
  std::vector<State> state_;
};

// Depth of calls below each function, by depth-first search without recursion on the C stack; an
// error names a function that reaches itself.
Status CheckCallGraph(const Module& module, const Limits& limits) {
  std::unordered_map<const Func*, std::vector<const Func*>> callees;
  for (const Func& f : module.funcs()) {
    auto& list = callees[&f];
    ForEachOp(f.body, [&](const Op& op) {
      for (const NamedAttr& a : op.attrs) {
        if (a.value.kind() != AttrKind::kSymbol || !op.def->has(kCallsFunction)) continue;
        if (const Func* callee = module.Find(a.value.AsText())) list.push_back(callee);
      }
    });
    std::ranges::sort(list);
    list.erase(std::unique(list.begin(), list.end()), list.end());
  }
  std::unordered_map<const Func*, uint32_t> depth;  // of finished functions; 0 while on the path
  struct Frame {
    const Func* func;
    size_t next = 0;
    uint32_t deepest = 0;
  };
  for (const Func& root : module.funcs()) {
    if (depth.contains(&root)) continue;
    std::vector<Frame> path = {{&root}};
    depth[&root] = 0;
    while (!path.empty()) {
      Frame& top = path.back();
      const auto& list = callees[top.func];
      if (top.next < list.size()) {
        const Func* callee = list[top.next++];
        const auto [it, fresh] = depth.try_emplace(callee, 0);
        if (fresh) {
          path.push_back({callee});
        } else if (it->second == 0) {
          return InvalidArgument(
              StrCat("@", callee->name, " calls itself (by way of @", top.func->name, ")"));
        } else {
          top.deepest = std::max(top.deepest, it->second);
        }
        continue;
      }
      const uint32_t mine = top.deepest + 1;
      if (mine > limits.max_call_depth) {
        return ResourceExhausted(
            StrCat("@", top.func->name,
                   ": calls are nested deeper than max_call_depth = ", limits.max_call_depth));
      }
      depth[top.func] = mine;
      path.pop_back();
      if (!path.empty()) path.back().deepest = std::max(path.back().deepest, mine);
    }
  }
  return OkStatus();
}

}  // namespace

Status VerifyOp(const Op& op, const Func& func, const Module* module,
                std::span<const TensorType> declared, std::vector<TensorType>* results) {
  RETURN_IF_ERROR(CheckArity(op));
  RETURN_IF_ERROR(CheckAttrs(op));
  if (op.def->type_rule == nullptr) return Unimplemented(std::string(op.def->refusal));
  RETURN_IF_ERROR(op.def->type_rule(TypeQuery{op, func, module, declared}, results));
  if (declared.empty()) return OkStatus();
  if (results->size() != declared.size()) {
    return InvalidArgument(
        StrCat(declared.size(), " result types are given, wanted ", results->size()));
  }
  for (size_t i = 0; i < declared.size(); ++i) {
    if (!((*results)[i] == declared[i])) {
      return InvalidArgument(StrCat("result ", i, " has type ", declared[i].Text(), ", wanted ",
                                    (*results)[i].Text()));
    }
  }
  return OkStatus();
}

Status Verify(const Module& module, const Limits& limits) {
  uint64_t ops = 0;
  for (const Func& f : module.funcs()) {
    RETURN_IF_ERROR(FuncVerifier(module, f, limits).Run());
    ForEachOp(f.body, [&](const Op&) { ++ops; });
  }
  if (ops > limits.max_ops) {
    return ResourceExhausted(
        StrCat("the module has ", ops, " operations, more than max_ops = ", limits.max_ops));
  }
  return CheckCallGraph(module, limits);
}

}  // namespace megalith::stablehlo
