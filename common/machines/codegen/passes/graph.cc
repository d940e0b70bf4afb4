#include "common/machines/codegen/passes/graph.h"

#include <algorithm>
#include <utility>

#include "common/machines/codegen/passes/hash.h"

namespace megalith::codegen {

using stablehlo::Func;
using stablehlo::Op;
using stablehlo::Region;

namespace {

// True if the operation itself, whatever its regions hold, does more than compute results.
bool DoesMore(const Node& n) {
  if (n.def->has(stablehlo::kPure) && !n.def->has(stablehlo::kCallsFunction)) return false;
  if (n.def->FindAttr("has_side_effect") == nullptr) return true;
  const Attr& declared = n.attr("has_side_effect");
  return declared.present() && declared.AsBool();
}

}  // namespace

// --- in and out ---

Graph::Graph(Func* func) : func_(func) {
  std::vector<ValueId> number(func->types.size(), kNoValue);
  values_.reserve(func->types.size() + func->types.size() / 4);
  uses_.reserve(2 * func->types.size());
  body_ = NewBlock(nullptr);
  ImportRegion(func->body, body_, &number);
  func->types.clear();
}

void Graph::ImportRegion(Region& region, Block* into, std::vector<ValueId>* number) {
  into->args.reserve(region.args.size());
  for (const ValueId v : region.args) {
    const auto index = static_cast<uint32_t>(into->args.size());
    (*number)[v] = NewValue(std::move(func_->types[v]), nullptr, into, index);
    into->args.push_back((*number)[v]);
  }
  for (Op& op : region.ops) ImportOp(op, into, number);
  region.args.clear();
  region.ops.clear();
}

void Graph::ImportOp(Op& op, Block* into, std::vector<ValueId>* number) {
  const OpKind kind = KindOf(*op.def);
  if (kind == OpKind::kConstant) {
    (*number)[op.first_result] = Constant(op.attr("value"));
    return;
  }
  Node& n = nodes_.push_back(Node{});
  n.def = op.def;
  n.kind = kind;
  n.line = op.line;
  n.attrs = std::move(op.attrs);
  n.effect = DoesMore(n);
  for (ValueId& v : op.operands) v = (*number)[v];
  AddOperands(n, op.operands);
  for (Region& r : op.regions) {
    Block* b = NewBlock(&n);
    b->depth = into->depth + 1;
    n.regions.push_back(b);
    ImportRegion(r, b, number);
    for (const Node* inner = b->first; inner != b->last; inner = inner->next) {
      n.effect = n.effect || inner->effect;
    }
  }
  n.num_results = op.num_results;
  n.first_result = static_cast<ValueId>(values_.size());
  for (uint32_t i = 0; i < op.num_results; ++i) {
    (*number)[op.result(i)] = NewValue(std::move(func_->types[op.result(i)]), &n, into, i);
  }
  LinkBefore(n, nullptr, into);
}

template <typename AttrsOf>
void Graph::ExportRegion(const Block& b, Region* out, Func* func, std::vector<ValueId>* number,
                         const AttrsOf& attrs_of) const {
  const auto define = [&](ValueId v) {
    (*number)[v] = func->AddValue(types_[v]);
    return (*number)[v];
  };
  for (const ValueId v : b.args) out->args.push_back(define(v));
  size_t count = 0;
  for (const Node* n = b.first; n != nullptr; n = n->next) ++count;
  out->ops.reserve(count);
  for (Node* n = b.first; n != nullptr; n = n->next) {
    Op& op = out->ops.emplace_back();
    op.def = n->def;
    op.line = n->line;
    op.attrs = attrs_of(*n);
    op.operands.resize(n->num_operands);
    for (uint32_t i = 0; i < n->num_operands; ++i) op.operands[i] = (*number)[operand(*n, i)];
    op.regions.resize(n->regions.size());
    for (size_t i = 0; i < n->regions.size(); ++i) {
      ExportRegion(*n->regions[i], &op.regions[i], func, number, attrs_of);
    }
    op.num_results = n->num_results;
    op.first_result = static_cast<ValueId>(func->types.size());
    for (uint32_t i = 0; i < n->num_results; ++i) define(n->result(i));
  }
}

void Graph::Export() {
  std::vector<ValueId> number(values_.size(), kNoValue);
  func_->types.reserve(values_.size());
  ExportRegion(*body_, &func_->body, func_, &number, [](Node& n) { return std::move(n.attrs); });
}

Func Graph::Copy() const {
  Func out;
  out.name = func_->name;
  out.visibility = func_->visibility;
  out.results = func_->results;
  out.arg_attrs = func_->arg_attrs;
  out.result_attrs = func_->result_attrs;
  out.attrs = func_->attrs;
  std::vector<ValueId> number(values_.size(), kNoValue);
  ExportRegion(*body_, &out.body, &out, &number, [](Node& n) { return n.attrs; });
  return out;
}

// --- values, uses, order ---

Block* Graph::NewBlock(Node* owner) {
  Block& b = blocks_.push_back(Block{});
  b.owner = owner;
  return &b;
}

ValueId Graph::NewValue(TensorType type, Node* def, Block* home, uint32_t index) {
  types_.push_back(std::move(type));
  values_.push_back({def, home, index});
  return static_cast<ValueId>(values_.size() - 1);
}

void Graph::LinkUse(uint32_t u, ValueId v) {
  Value& value = values_[v];
  Use& use = uses_[u];
  use.value = v;
  use.prev = kNoUse;
  use.next = value.first_use;
  if (use.next != kNoUse) uses_[use.next].prev = u;
  value.first_use = u;
  ++value.use_count;
}

void Graph::UnlinkUse(uint32_t u) {
  const Use& use = uses_[u];
  Value& value = values_[use.value];
  if (use.prev != kNoUse) {
    uses_[use.prev].next = use.next;
  } else {
    value.first_use = use.next;
  }
  if (use.next != kNoUse) uses_[use.next].prev = use.prev;
  --value.use_count;
  // A value with one use left may be fused into it, one without uses is not needed.
  if (value.use_count > 1) return;
  if (value.def != nullptr) Queue(*value.def);
  if (value.def == nullptr && value.home->owner != nullptr) Queue(*value.home->owner);
  if (value.use_count == 1) Queue(*uses_[value.first_use].user);
}

void Graph::AddOperands(Node& n, std::span<const ValueId> values) {
  n.first_use = static_cast<uint32_t>(uses_.size());
  n.num_operands = static_cast<uint32_t>(values.size());
  for (const ValueId v : values) {
    uses_.push_back({v, kNoUse, kNoUse, &n});
    LinkUse(static_cast<uint32_t>(uses_.size() - 1), v);
  }
}

void Graph::DropOperands(Node& n) {
  for (uint32_t i = 0; i < n.num_operands; ++i) UnlinkUse(n.first_use + i);
  n.num_operands = 0;
}

void Graph::LinkBefore(Node& n, Node* at, Block* block) {
  n.block = block;
  n.next = at;
  n.prev = at != nullptr ? at->prev : block->last;
  (n.prev != nullptr ? n.prev->next : block->first) = &n;
  (at != nullptr ? at->prev : block->last) = &n;
  for (uint32_t i = 0; i < n.num_results; ++i) values_[n.result(i)].home = block;
  ++live_;
}

void Graph::Unlink(Node& n) {
  if (&n == last_constant_) last_constant_ = n.prev;
  (n.prev != nullptr ? n.prev->next : n.block->first) = n.next;
  (n.next != nullptr ? n.next->prev : n.block->last) = n.prev;
  n.prev = n.next = nullptr;
  --live_;
}

std::vector<ValueId> Graph::operands(const Node& n) const {
  std::vector<ValueId> out(n.num_operands);
  for (uint32_t i = 0; i < n.num_operands; ++i) out[i] = operand(n, i);
  return out;
}

bool Graph::IsUnused(const Node& n) const {
  if (n.effect) return false;
  for (uint32_t i = 0; i < n.num_results; ++i) {
    if (values_[n.result(i)].use_count != 0) return false;
  }
  return true;
}

bool Graph::Encloses(const Block* outer, const Block* inner) {
  while (inner->depth > outer->depth) inner = inner->owner->block;
  return inner == outer;
}

// --- editing ---

void Graph::SetOperand(Node& n, uint32_t i, ValueId v) {
  if (operand(n, i) == v) return;
  UnlinkUse(n.first_use + i);
  LinkUse(n.first_use + i, v);
  Queue(n);
}

void Graph::SetOperands(Node& n, std::span<const ValueId> values) {
  const uint32_t old_first = n.first_use;
  const uint32_t old_count = n.num_operands;
  AddOperands(n, values);
  for (uint32_t i = 0; i < old_count; ++i) UnlinkUse(old_first + i);
  Queue(n);
}

void Graph::ReplaceUses(ValueId from, ValueId to) {
  if (from == to) return;
  while (values_[from].first_use != kNoUse) {
    const uint32_t u = values_[from].first_use;
    Node* user = uses_[u].user;
    UnlinkUse(u);
    LinkUse(u, to);
    Queue(*user);
  }
}

void Graph::Replace(Node& n, ValueId with) {
  ReplaceUses(n.first_result, with);
  Erase(n);
}

void Graph::EraseBlock(Block& b) {
  for (Node* n = b.first; n != nullptr;) {
    Node* next = n->next;
    DropOperands(*n);
    for (Block* inner : n->regions) EraseBlock(*inner);
    n->dead = true;
    --live_;
    n = next;
  }
  b.first = b.last = nullptr;
}

void Graph::Erase(Node& n) {
  if (n.kind == OpKind::kConstant) {
    uint64_t hash = 0;
    FindConstant(n.attrs[0].value.AsDense(), &hash);
    for (auto [it, end] = constants_.equal_range(hash); it != end; ++it) {
      if (it->second != &n) continue;
      constants_.erase(it);
      break;
    }
  }
  n.dead = true;  // first, so that nothing queues it
  DropOperands(n);
  for (Block* b : n.regions) EraseBlock(*b);
  Unlink(n);
}

Node& Graph::EmitNode(Node& at, const stablehlo::OpDef& def, std::span<const ValueId> operands,
                      AttrDict attrs, std::span<const TensorType> results,
                      std::vector<Block*> regions) {
  Node& n = nodes_.push_back(Node{});
  n.def = &def;
  n.kind = KindOf(def);
  n.line = at.line;
  n.attrs = std::move(attrs);
  n.regions = std::move(regions);
  n.effect = DoesMore(n);
  for (Block* b : n.regions) {
    b->owner = &n;
    for (const Node* inner = b->first; inner != b->last; inner = inner->next) {
      n.effect = n.effect || inner->effect;
    }
  }
  AddOperands(n, operands);
  n.num_results = static_cast<uint32_t>(results.size());
  n.first_result = static_cast<ValueId>(values_.size());
  for (uint32_t i = 0; i < n.num_results; ++i) NewValue(results[i], &n, at.block, i);
  LinkBefore(n, &at, at.block);
  SetDepths(n);
  Queue(n);
  return n;
}

Block* Graph::AddBlock(std::initializer_list<TensorType> args, OpKind op) {
  Block* b = BlockWithArgs(args);
  Node& combine = nodes_.push_back(Node{});
  combine.kind = op;
  combine.def = &DefOf(op);
  AddOperands(combine, std::span(b->args.data(), 2));
  combine.num_results = 1;
  combine.first_result = NewValue(*args.begin(), &combine, b, 0);
  LinkBefore(combine, nullptr, b);
  AddReturn(b, combine.first_result);
  return b;
}

Block* Graph::AddBlockOfArg(std::initializer_list<TensorType> args, size_t returned) {
  Block* b = BlockWithArgs(args);
  AddReturn(b, b->args[returned]);
  return b;
}

Block* Graph::BlockWithArgs(std::initializer_list<TensorType> args) {
  Block* b = NewBlock(nullptr);
  for (const TensorType& type : args) AddArg(*b, type);
  return b;
}

ValueId Graph::AddArg(Block& b, TensorType type) {
  const ValueId v = NewValue(std::move(type), nullptr, &b, static_cast<uint32_t>(b.args.size()));
  b.args.push_back(v);
  return v;
}

void Graph::AddReturn(Block* b, ValueId value) {
  Node& end = nodes_.push_back(Node{});
  end.kind = OpKind::kReturn;
  end.def = &DefOf(OpKind::kReturn);
  end.effect = true;
  AddOperands(end, std::span(&value, 1));
  LinkBefore(end, nullptr, b);
}

ValueId Graph::Emit(Node& at, OpKind kind, std::span<const ValueId> operands, AttrDict attrs,
                    TensorType type) {
  return EmitNode(at, DefOf(kind), operands, std::move(attrs), std::span(&type, 1)).first_result;
}

void Graph::Become(Node& n, OpKind kind, std::span<const ValueId> operands, AttrDict attrs) {
  n.kind = kind;
  n.def = &DefOf(kind);
  n.attrs = std::move(attrs);
  SetOperands(n, operands);
  for (uint32_t i = 0; i < n.num_results; ++i) {
    ForEachUse(n.result(i), [&](Node* user, uint32_t) { Queue(*user); });
  }
}

void Graph::SetDepths(const Node& n) {
  for (Block* b : n.regions) {
    b->depth = n.block->depth + 1;
    for (const Node* m = b->first; m != nullptr; m = m->next) SetDepths(*m);
  }
}

void Graph::MoveBefore(Node& n, Node& at) {
  Unlink(n);
  LinkBefore(n, &at, at.block);
  SetDepths(n);
}

Node* Graph::FindConstant(const Dense& d, uint64_t* hash) {
  *hash = HashDense(d);
  for (auto [it, end] = constants_.equal_range(*hash); it != end; ++it) {
    const Dense& other = it->second->attrs[0].value.AsDense();
    if (other.type == d.type && other.splat == d.splat && other.data.bytes() == d.data.bytes()) {
      return it->second;
    }
  }
  return nullptr;
}

ValueId Graph::Constant(Attr dense) {
  const Dense& d = dense.AsDense();
  uint64_t hash = 0;
  if (const Node* known = FindConstant(d, &hash)) return known->first_result;
  TensorType type = d.type;
  Node& n = nodes_.push_back(Node{});
  n.kind = OpKind::kConstant;
  n.def = &DefOf(n.kind);
  n.attrs.push_back({"value", std::move(dense)});
  n.first_use = static_cast<uint32_t>(uses_.size());
  n.num_results = 1;
  n.first_result = NewValue(std::move(type), &n, body_, 0);
  LinkBefore(n, last_constant_ != nullptr ? last_constant_->next : body_->first, body_);
  last_constant_ = &n;
  constants_.emplace(hash, &n);
  return n.first_result;
}

ValueId Graph::Splat(TensorType type, const Tensor& scalar) {
  return Constant(Attr::OfDense(
      {std::move(type), scalar.rank() == 0 ? scalar : scalar.Reshaped(Shape{}), true, false}));
}

ValueId Graph::SplatInt(const TensorType& type, int64_t value) {
  return Splat(type, Tensor::Scalar(type.dtype, value));
}

ValueId Graph::SplatDouble(const TensorType& type, double value) {
  return Splat(type, Tensor::Scalar(type.dtype, value));
}

void Graph::KeepResults(Node& n, const std::vector<bool>& keep, bool with_operands) {
  // Results are consecutive, so the ones that stay are new values.
  const ValueId old_first = n.first_result;
  const uint32_t old_count = n.num_results;
  std::vector<ValueId> operands;
  n.first_result = static_cast<ValueId>(values_.size());
  n.num_results = 0;
  for (uint32_t i = 0; i < old_count; ++i) {
    if (with_operands && keep[i]) operands.push_back(operand(n, i));
    if (!keep[i]) continue;
    NewValue(types_[old_first + i], &n, n.block, n.num_results++);
    ReplaceUses(old_first + i, static_cast<ValueId>(values_.size() - 1));
  }
  if (with_operands) SetOperands(n, operands);
  Queue(n);
}

void Graph::AddCarried(Node& loop, ValueId init, ValueId next) {
  const TensorType type = types_[init];
  std::vector<ValueId> inits = operands(loop);
  inits.push_back(init);
  SetOperands(loop, inits);
  for (Block* b : loop.regions) {
    b->args.push_back(NewValue(type, nullptr, b, static_cast<uint32_t>(b->args.size())));
  }
  std::vector<ValueId> returned = operands(*loop.regions[1]->last);
  returned.push_back(next != kNoValue ? next : loop.regions[1]->args.back());
  SetOperands(*loop.regions[1]->last, returned);
  const ValueId old_first = loop.first_result;
  const uint32_t count = loop.num_results;
  loop.first_result = static_cast<ValueId>(values_.size());
  loop.num_results = count + 1;
  for (uint32_t i = 0; i < count; ++i) NewValue(types_[old_first + i], &loop, loop.block, i);
  NewValue(type, &loop, loop.block, count);
  for (uint32_t i = 0; i < count; ++i) ReplaceUses(old_first + i, loop.result(i));
}

void Graph::KeepArgs(Block& b, const std::vector<bool>& keep) {
  std::vector<ValueId> args;
  for (size_t i = 0; i < b.args.size(); ++i) {
    if (!keep[i]) continue;
    values_[b.args[i]].index = static_cast<uint32_t>(args.size());
    args.push_back(b.args[i]);
  }
  b.args = std::move(args);
}

std::vector<ValueId> Graph::Inline(Block& b, Node& at) {
  std::vector<ValueId> returned = operands(*b.last);
  for (Node* n = b.first; n != b.last;) {
    Node* next = n->next;
    MoveBefore(*n, at);
    Queue(*n);
    n = next;
  }
  return returned;
}

// --- the queue ---

void Graph::QueueAll() {
  const auto add = [&](auto&& self, Block& b) -> void {
    for (Node* n = b.last; n != nullptr; n = n->prev) {
      Queue(*n);
      for (size_t i = n->regions.size(); i > 0; --i) self(self, *n->regions[i - 1]);
    }
  };
  add(add, *body_);
}

Node* Graph::Pop() {
  while (!queue_.empty()) {
    Node* n = queue_.back();
    queue_.pop_back();
    n->queued = false;
    if (n->dead) continue;
    if (!IsUnused(*n)) return n;
    Erase(*n);
    ++rewrites;
  }
  return nullptr;
}

}  // namespace megalith::codegen
