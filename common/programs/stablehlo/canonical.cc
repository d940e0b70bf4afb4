// Works on a graph: values are numbers, nodes are ops with their operands as such numbers, and each
// region keeps a table of the pure nodes it has so that an equal one is found instead of added. The
// graph is written out depth-first from what the regions return.
#include "common/programs/stablehlo/canonical.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "common/foundation/base/sha256.h"
#include "common/foundation/base/strings.h"
#include "common/programs/stablehlo/canonical_rules.h"
#include "common/programs/stablehlo/codec.h"
#include "common/programs/stablehlo/op_def.h"

namespace megalith::stablehlo {
namespace {

using Val = uint32_t;  // a value of the graph

struct GraphRegion;

struct Node {
  const OpDef* def = nullptr;
  std::vector<Val> operands;
  AttrDict attrs;
  std::vector<GraphRegion*> regions;
  Val first_result = 0;
  uint32_t num_results = 0;
  bool effect = false;  // it, or an op in its regions, does more than compute results
  bool met = false;     // its place in the canonical order is being, or has been, found
  GraphRegion* home = nullptr;
};

struct GraphRegion {
  GraphRegion* parent = nullptr;
  std::vector<Val> args;
  std::vector<Node*> nodes;  // in the order they were met
  std::vector<Val> returns;
  std::unordered_map<std::string, Node*> known;  // pure nodes by content
  std::unordered_map<std::string, std::vector<Val>> known_calls;
  // Set when the region is complete: nodes in canonical order, and values of outer regions in the
  // order of first use.
  std::vector<Node*> order;
  std::vector<Val> captured;
};

class Graph {
 public:
  Graph(const Module& module, const Limits& limits) : module_(module), limits_(limits) {}

  Result<Module> Run(const Func& entry) {
    GraphRegion* root = NewRegion(nullptr);
    root_ = root;
    values_.reserve(entry.types.size());
    std::vector<Val> env(entry.types.size(), kUnset);
    for (const ValueId v : entry.body.args) {
      env[v] = NewValue(entry.type(v), nullptr, root);
      root->args.push_back(env[v]);
    }
    RETURN_IF_ERROR(Import(entry.body, entry, &env, root, &root->returns));
    Finish(root);
    Module out;
    Func f;
    f.name = "main";
    f.visibility = Visibility::kPublic;
    number_.assign(values_.size(), kNoValue);
    f.types.reserve(values_.size());
    func_ = &f;
    Emit(*root, &f.body, FindOp("func.return"));
    f.results = entry.results;
    RETURN_IF_ERROR(internal::StatusOf(out.AddFunc(std::move(f))));
    return out;
  }

 private:
  static constexpr Val kUnset = UINT32_MAX;
  struct Value {
    TensorType type;
    Node* node;         // null for region arguments
    GraphRegion* home;  // where it is defined
  };

  GraphRegion* NewRegion(GraphRegion* parent) {
    regions_.push_back(std::make_unique<GraphRegion>());
    regions_.back()->parent = parent;
    return regions_.back().get();
  }
  Val NewValue(TensorType type, Node* node, GraphRegion* home) {
    values_.push_back({std::move(type), node, home});
    return static_cast<Val>(values_.size() - 1);
  }

  Status Import(const Region& region, const Func& func, std::vector<Val>* env, GraphRegion* into,
                std::vector<Val>* returns);
  Status ImportOp(const Op& op, const Func& func, std::vector<Val>* env, GraphRegion* into);
  Status ImportCallee(const Op& op, std::string_view name, const Func& func, std::vector<Val>* env,
                      GraphRegion* into);
  // The node for an op with these contents, an existing one if it is pure and known.
  Node* Intern(Node node, std::vector<TensorType> types, GraphRegion* into);
  std::string ContentOf(const Node& node, const std::vector<TensorType>& types) const;
  void AppendContent(const GraphRegion& region, std::string* out) const;
  void Finish(GraphRegion* region);
  // Takes the nodes' attributes along.
  void Emit(const GraphRegion& region, Region* out, const OpDef* terminator);

  const Module& module_;
  const Limits& limits_;
  GraphRegion* root_ = nullptr;
  std::vector<std::unique_ptr<GraphRegion>> regions_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::vector<Value> values_;
  uint64_t imported_ = 0;
  Func* func_ = nullptr;
  std::vector<ValueId> number_;  // of each value, in the module that is written
};

Status Graph::Import(const Region& region, const Func& func, std::vector<Val>* env,
                     GraphRegion* into, std::vector<Val>* returns) {
  for (const Op& op : region.ops) {
    if (op.def->has(kTerminator)) {
      for (const ValueId v : op.operands) returns->push_back((*env)[v]);
      return OkStatus();
    }
    RETURN_IF_ERROR(ImportOp(op, func, env, into));
  }
  return Internal("region without a terminator");
}

Status Graph::ImportCallee(const Op& op, std::string_view name, const Func& func,
                           std::vector<Val>* env, GraphRegion* into) {
  const Func* callee = module_.Find(name);
  if (callee == nullptr)
    return InvalidArgument(StrCat("@", func.name, " calls @", name, ", which does not exist"));
  // The same call in the same region gives the same values, unless it has effects.
  std::string key(name);
  for (const ValueId v : op.operands) StrAppend(&key, ' ', (*env)[v]);
  auto known = into->known_calls.find(key);
  if (known == into->known_calls.end()) {
    std::vector<Val> inner(callee->types.size(), kUnset);
    for (size_t i = 0; i < op.operands.size(); ++i)
      inner[callee->body.args[i]] = (*env)[op.operands[i]];
    std::vector<Val> results;
    const size_t before = into->nodes.size();
    RETURN_IF_ERROR(Import(callee->body, *callee, &inner, into, &results));
    const bool mergeable =
        std::none_of(into->nodes.begin() + static_cast<std::ptrdiff_t>(before), into->nodes.end(),
                     [](const Node* n) { return n->effect || n->def->has(kIndeterminate); });
    if (!mergeable) {
      for (uint32_t i = 0; i < op.num_results; ++i) (*env)[op.result(i)] = results[i];
      return OkStatus();
    }
    known = into->known_calls.emplace(std::move(key), std::move(results)).first;
  }
  for (uint32_t i = 0; i < op.num_results; ++i) (*env)[op.result(i)] = known->second[i];
  return OkStatus();
}

Status Graph::ImportOp(const Op& op, const Func& func, std::vector<Val>* env, GraphRegion* into) {
  if (++imported_ > 16 * limits_.max_ops) {
    return ResourceExhausted(
        StrCat("inlining visits more than 16 * max_ops = ", 16 * limits_.max_ops, " operations"));
  }
  if (IsNoOp(op, func)) {
    for (uint32_t i = 0; i < op.num_results; ++i) (*env)[op.result(i)] = (*env)[op.operands[i]];
    return OkStatus();
  }
  ASSIGN_OR_RETURN(CanonicalOp canonical, CanonicalOf(op, func));
  if (!canonical.callee.empty()) return ImportCallee(op, canonical.callee, func, env, into);
  Node node;
  node.def = canonical.def;
  node.attrs = std::move(canonical.attrs);
  node.effect = !node.def->has(kPure) && !canonical.no_effect;
  node.operands.reserve(canonical.operands.size());
  for (const RespelledOperand& s : canonical.operands) {
    if (!s.constant.present()) {
      node.operands.push_back((*env)[op.operands[s.operand]]);
      continue;
    }
    Node constant;
    constant.def = FindOp("stablehlo.constant");
    SetAttr(&constant.attrs, "value", s.constant);
    node.operands.push_back(
        Intern(std::move(constant), {s.constant.AsDense().type}, root_)->first_result);
  }
  for (const Region& r : op.regions) {
    GraphRegion* inner = NewRegion(into);
    for (const ValueId v : r.args) {
      (*env)[v] = NewValue(func.type(v), nullptr, inner);
      inner->args.push_back((*env)[v]);
    }
    RETURN_IF_ERROR(Import(r, func, env, inner, &inner->returns));
    Finish(inner);
    for (const Node* n : inner->nodes) node.effect = node.effect || n->effect;
    node.regions.push_back(inner);
  }
  std::vector<TensorType> types;
  types.reserve(op.num_results);
  for (uint32_t i = 0; i < op.num_results; ++i) types.push_back(func.type(op.result(i)));
  const Node* interned =
      Intern(std::move(node), std::move(types), op.def->has(kConstantLike) ? root_ : into);
  for (uint32_t i = 0; i < op.num_results; ++i) (*env)[op.result(i)] = interned->first_result + i;
  if (nodes_.size() > limits_.max_ops) {
    return ResourceExhausted(
        StrCat("inlining gives more than max_ops = ", limits_.max_ops, " operations"));
  }
  return OkStatus();
}

Node* Graph::Intern(Node node, std::vector<TensorType> types, GraphRegion* into) {
  std::string key;
  const bool mergeable = !node.effect && !node.def->has(kIndeterminate);
  if (mergeable) {
    key = ContentOf(node, types);
    if (const auto it = into->known.find(key); it != into->known.end()) return it->second;
  }
  nodes_.push_back(std::make_unique<Node>(std::move(node)));
  Node* added = nodes_.back().get();
  added->home = into;
  added->num_results = static_cast<uint32_t>(types.size());
  added->first_result = static_cast<Val>(values_.size());
  for (TensorType& t : types) NewValue(std::move(t), added, into);
  into->nodes.push_back(added);
  if (mergeable) into->known.emplace(std::move(key), added);
  return added;
}

// Bytes that two nodes share exactly if they compute the same: op, attributes, types, operands, and
// the contents of their regions with values defined inside numbered in canonical order. Long
// contents are hashed.
std::string Graph::ContentOf(const Node& node, const std::vector<TensorType>& types) const {
  std::string out;
  out.reserve(192);
  out += node.def->name;
  out += '\0';
  EncodeVarint(node.operands.size(), &out);
  for (const Val v : node.operands) EncodeVarint(v, &out);
  EncodeDict(node.attrs, &out);
  for (const TensorType& t : types) EncodeType(t, &out);
  for (const GraphRegion* r : node.regions) AppendContent(*r, &out);
  if (out.size() <= 128) return out;
  const Sha256Digest digest = Sha256::Of(out);
  return std::string(reinterpret_cast<const char*>(digest.bytes.data()), digest.bytes.size());
}

void Graph::AppendContent(const GraphRegion& region, std::string* out) const {
  // Inner values are numbered from the top of the value space down, so that they never meet an
  // outer one.
  std::unordered_map<Val, uint64_t> local;
  const auto define = [&](Val v) {
    local.emplace(v, UINT64_MAX - local.size());
    EncodeType(values_[v].type, out);
  };
  const auto use = [&](Val v) {
    const auto it = local.find(v);
    EncodeVarint(it == local.end() ? v : it->second, out);
  };
  const auto write = [&](auto&& self, const GraphRegion& r) -> void {
    EncodeVarint(r.args.size(), out);
    for (const Val v : r.args) define(v);
    EncodeVarint(r.order.size(), out);
    for (const Node* n : r.order) {
      *out += n->def->name;
      *out += '\0';
      EncodeVarint(n->operands.size(), out);
      for (const Val v : n->operands) use(v);
      EncodeDict(n->attrs, out);
      for (const GraphRegion* inner : n->regions) self(self, *inner);
      EncodeVarint(n->num_results, out);
      for (uint32_t i = 0; i < n->num_results; ++i) define(n->first_result + i);
    }
    EncodeVarint(r.returns.size(), out);
    for (const Val v : r.returns) use(v);
  };
  write(write, region);
}

// Depth-first from the effects, in their order, and then from what the region returns.
void Graph::Finish(GraphRegion* region) {
  std::unordered_map<Val, bool> seen_outside;
  // Goes through the values a node needs: operands, then what its regions take from outside of
  // them.
  struct Visit {
    Node* node;
    size_t operand = 0;
    size_t inner = 0;     // region
    size_t captured = 0;  // of that region

    std::optional<Val> Next() {
      if (operand < node->operands.size()) return node->operands[operand++];
      for (; inner < node->regions.size(); ++inner, captured = 0) {
        if (captured < node->regions[inner]->captured.size())
          return node->regions[inner]->captured[captured++];
      }
      return std::nullopt;
    }
  };
  std::vector<Visit> stack;
  const auto visit = [&](Val v) {
    if (values_[v].home != region) {
      if (seen_outside.emplace(v, true).second) region->captured.push_back(v);
      return;
    }
    if (Node* n = values_[v].node; n != nullptr && !n->met) {
      n->met = true;
      stack.push_back({n});
    }
  };
  const auto drain = [&] {
    while (!stack.empty()) {
      if (const auto v = stack.back().Next()) {
        visit(*v);
        continue;
      }
      region->order.push_back(stack.back().node);
      stack.pop_back();
    }
  };
  for (Node* n : region->nodes) {
    if (!n->effect) continue;
    if (!n->met) {
      n->met = true;
      stack.push_back({n});
    }
    drain();
  }
  for (const Val v : region->returns) {
    visit(v);
    drain();
  }
  region->known.clear();
  region->known_calls.clear();
}

void Graph::Emit(const GraphRegion& region, Region* out, const OpDef* terminator) {
  for (const Val v : region.args) {
    number_[v] = func_->AddValue(values_[v].type);
    out->args.push_back(number_[v]);
  }
  out->ops.reserve(region.order.size() + 1);
  for (Node* n : region.order) {
    Op op;
    op.def = n->def;
    op.attrs = std::move(n->attrs);
    op.operands.reserve(n->operands.size());
    for (const Val v : n->operands) op.operands.push_back(number_[v]);
    for (const GraphRegion* r : n->regions) {
      op.regions.emplace_back();
      Emit(*r, &op.regions.back(), FindOp("stablehlo.return"));
    }
    op.first_result = static_cast<ValueId>(func_->types.size());
    op.num_results = n->num_results;
    for (uint32_t i = 0; i < n->num_results; ++i) {
      number_[n->first_result + i] = func_->AddValue(values_[n->first_result + i].type);
    }
    out->ops.push_back(std::move(op));
  }
  Op ret;
  ret.def = terminator;
  for (const Val v : region.returns) ret.operands.push_back(number_[v]);
  out->ops.push_back(std::move(ret));
}

}  // namespace

Result<Module> Canonicalize(const Module& module, const Limits& limits) {
  ASSIGN_OR_RETURN(const Func* entry, module.Entry());
  return Graph(module, limits).Run(*entry);
}

Result<std::string> CanonicalBytes(const Module& module, const Limits& limits) {
  ASSIGN_OR_RETURN(const Module canonical, Canonicalize(module, limits));
  return EncodeModule(canonical);
}

}  // namespace megalith::stablehlo
