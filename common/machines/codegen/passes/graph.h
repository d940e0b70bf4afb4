// A function in a form that passes edit in place: operations linked in order, values with lists of
// their uses.
//
// Import takes a function apart and Export puts it together again, both by moving; in between
// nothing is copied. Nodes and regions keep their addresses. All constants stand at the head of the
// outermost region, equal ones once, so a constant may be used anywhere. Every edit that could make
// another rewrite possible queues the nodes around it (Pop). Not thread-safe.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/machines/codegen/passes/op_kind.h"
#include "common/programs/stablehlo/module.h"

namespace megalith::codegen {

using stablehlo::Attr;
using stablehlo::AttrDict;
using stablehlo::Dense;
using stablehlo::kNoValue;
using stablehlo::TensorType;
using stablehlo::ValueId;
using tensor::Dims;
using tensor::DType;
using tensor::Shape;
using tensor::Tensor;

struct Block;

// One operation. Change operands, position and life through Graph only; attributes freely.
struct Node {
  const stablehlo::OpDef* def = nullptr;
  OpKind kind = OpKind::kOther;
  bool dead = false;
  bool queued = false;
  bool effect = false;  // it, or an op in its regions, does more than compute results; terminators
  uint32_t first_use = 0;
  uint32_t num_operands = 0;
  ValueId first_result = kNoValue;
  uint32_t num_results = 0;
  uint32_t line = 0;
  Block* block = nullptr;
  Node* prev = nullptr;
  Node* next = nullptr;
  AttrDict attrs;
  std::vector<Block*> regions;

  ValueId result(uint32_t i = 0) const { return first_result + i; }
  const Attr& attr(std::string_view name) const { return stablehlo::FindAttr(attrs, name); }
  std::span<const int64_t> ints(std::string_view name) const { return attr(name).AsInts(); }
};

// One region: arguments and nodes, the last of which is the terminator.
struct Block {
  Node* owner = nullptr;  // null for the function's body
  uint32_t depth = 0;     // 0 for the function's body
  std::vector<ValueId> args;
  Node* first = nullptr;
  Node* last = nullptr;
};

// A vector whose elements never move.
template <typename T>
class StableVector {
 public:
  size_t size() const { return size_; }
  T& operator[](size_t i) { return chunks_[i / kChunk][i % kChunk]; }
  const T& operator[](size_t i) const { return chunks_[i / kChunk][i % kChunk]; }
  T& push_back(T value) {
    if (size_ == chunks_.size() * kChunk) chunks_.push_back(std::make_unique<T[]>(kChunk));
    T& at = (*this)[size_++];
    at = std::move(value);
    return at;
  }

 private:
  static constexpr size_t kChunk = 128;
  size_t size_ = 0;
  std::vector<std::unique_ptr<T[]>> chunks_;
};

class Graph {
 public:
  // Takes the operations and types out of `func`, which is then good only for Export. Requires a
  // function that Verify accepts.
  explicit Graph(stablehlo::Func* func);
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  // Moves everything back, values numbered anew in order of definition. The graph is empty then.
  void Export();
  // The same by copying, for looking at a graph in the middle of its passes.
  stablehlo::Func Copy() const;

  // --- reading
  Block& body() { return *body_; }
  const TensorType& type(ValueId v) const { return types_[v]; }
  const Shape& shape(ValueId v) const { return types_[v].shape; }
  DType dtype(ValueId v) const { return types_[v].dtype; }
  // The node that defines a value; null for arguments of regions and of the function.
  Node* def(ValueId v) const { return values_[v].def; }
  // The node, if it is of this kind.
  Node* DefOfKind(ValueId v, OpKind kind) const {
    Node* n = values_[v].def;
    return n != nullptr && n->kind == kind ? n : nullptr;
  }
  // Where a value is defined.
  Block* home(ValueId v) const { return values_[v].home; }
  // Position of a value among the results of its node, or the arguments of its block.
  uint32_t index(ValueId v) const { return values_[v].index; }
  uint32_t use_count(ValueId v) const { return values_[v].use_count; }
  ValueId operand(const Node& n, uint32_t i) const { return uses_[n.first_use + i].value; }
  std::vector<ValueId> operands(const Node& n) const;
  const TensorType& operand_type(const Node& n, uint32_t i) const { return type(operand(n, i)); }
  const TensorType& result_type(const Node& n) const { return type(n.first_result); }
  // Live operations, terminators included.
  uint64_t live() const { return live_; }
  // Calls visit(node, operand index) for each use; the visitor must not edit.
  template <typename Visit>
  void ForEachUse(ValueId v, const Visit& visit) const {
    for (uint32_t u = values_[v].first_use; u != kNoUse; u = uses_[u].next) {
      visit(uses_[u].user, u - uses_[u].user->first_use);
    }
  }
  // The only user of a value; null if there are none or several uses.
  Node* OnlyUser(ValueId v) const {
    return values_[v].use_count == 1 ? uses_[values_[v].first_use].user : nullptr;
  }
  // True if nobody needs the node: it has no effect and no result is used.
  bool IsUnused(const Node& n) const;
  // True if a value defined in `outer` may be used in `inner`.
  static bool Encloses(const Block* outer, const Block* inner);
  // The value of a constant; null if `v` is none.
  const Dense* ConstantOf(ValueId v) const {
    const Node* n = values_[v].def;
    return n != nullptr && n->kind == OpKind::kConstant ? &n->attrs[0].value.AsDense() : nullptr;
  }

  // --- editing
  void SetOperand(Node& n, uint32_t i, ValueId v);
  void SetOperands(Node& n, std::span<const ValueId> values);
  void SetOperands(Node& n, std::initializer_list<ValueId> values) {
    SetOperands(n, std::span(values.begin(), values.size()));
  }
  void ReplaceUses(ValueId from, ValueId to);
  // Replaces the only result of `n` and erases it.
  void Replace(Node& n, ValueId with);
  // Requires that no result is used. Nodes it alone kept alive are queued, and erased by Pop.
  void Erase(Node& n);
  // A new node before `at`, with one result.
  ValueId Emit(Node& at, OpKind kind, std::span<const ValueId> operands, AttrDict attrs,
               TensorType type);
  ValueId Emit(Node& at, OpKind kind, std::initializer_list<ValueId> operands, AttrDict attrs,
               TensorType type) {
    return Emit(at, kind, std::span(operands.begin(), operands.size()), std::move(attrs),
                std::move(type));
  }
  // A new node before `at` with the contents given; regions are adopted.
  Node& EmitNode(Node& at, const stablehlo::OpDef& def, std::span<const ValueId> operands,
                 AttrDict attrs, std::span<const TensorType> results,
                 std::vector<Block*> regions = {});
  // A region to give to EmitNode: arguments of these types, of which the first two go into an
  // operation whose result is returned.
  Block* AddBlock(std::initializer_list<TensorType> args, OpKind op);
  // A region that returns argument `returned`.
  Block* AddBlockOfArg(std::initializer_list<TensorType> args, size_t returned);
  // Makes another operation of a node without regions; its results and their types stay.
  void Become(Node& n, OpKind kind, std::span<const ValueId> operands, AttrDict attrs = {});
  void Become(Node& n, OpKind kind, std::initializer_list<ValueId> operands, AttrDict attrs = {}) {
    Become(n, kind, std::span(operands.begin(), operands.size()), std::move(attrs));
  }
  void MoveBefore(Node& n, Node& at);
  // Changes the type of a result, or of an argument. The caller answers for the uses.
  void SetType(ValueId v, TensorType type) { types_[v] = std::move(type); }
  // The constant of these elements, at the head of the function.
  ValueId Constant(Attr dense);
  ValueId Constant(const Tensor& t) { return Constant(Attr::OfTensor(t)); }
  // All elements the same; `scalar` has one.
  ValueId Splat(TensorType type, const Tensor& scalar);
  ValueId SplatInt(const TensorType& type, int64_t value);
  ValueId SplatDouble(const TensorType& type, double value);
  // Drops result and operand positions of a node with several results (while, case) where
  // keep[i] is false; dropped results must be unused. Operands go with results if `with_operands`.
  void KeepResults(Node& n, const std::vector<bool>& keep, bool with_operands);
  // Gives a `while` one more carried value, the last; its body returns `next`, or
  // for kNoValue the argument. Old ids of results are dead afterwards.
  void AddCarried(Node& loop, ValueId init, ValueId next);
  // One more argument of a block, the last.
  ValueId AddArg(Block& b, TensorType type);
  // Drops arguments, which must be unused, of a block.
  void KeepArgs(Block& b, const std::vector<bool>& keep);
  // Moves the nodes of `b`, except its terminator, before `at`; gives what the terminator returns.
  std::vector<ValueId> Inline(Block& b, Node& at);

  // --- the queue of nodes to look at
  void Queue(Node& n) {
    if (n.queued || n.dead) return;
    n.queued = true;
    queue_.push_back(&n);
  }
  // All nodes, so that Pop gives them in program order.
  void QueueAll();
  // The next node that is alive and needed; unneeded ones are erased on the way. Null at the end.
  Node* Pop();
  // Counts a rewrite; passes report the sum.
  uint64_t rewrites = 0;

 private:
  static constexpr uint32_t kNoUse = UINT32_MAX;
  struct Use {
    ValueId value;
    uint32_t prev, next;
    Node* user;
  };
  struct Value {
    Node* def = nullptr;
    Block* home = nullptr;
    uint32_t index = 0;
    uint32_t first_use = kNoUse;
    uint32_t use_count = 0;
  };

  void ImportRegion(stablehlo::Region& region, Block* into, std::vector<ValueId>* number);
  void ImportOp(stablehlo::Op& op, Block* into, std::vector<ValueId>* number);
  template <typename AttrsOf>
  void ExportRegion(const Block& b, stablehlo::Region* out, stablehlo::Func* func,
                    std::vector<ValueId>* number, const AttrsOf& attrs_of) const;
  Block* NewBlock(Node* owner);
  Block* BlockWithArgs(std::initializer_list<TensorType> args);
  void AddReturn(Block* b, ValueId value);
  ValueId NewValue(TensorType type, Node* def, Block* home, uint32_t index);
  void AddOperands(Node& n, std::span<const ValueId> values);
  void DropOperands(Node& n);
  void LinkUse(uint32_t u, ValueId v);
  void UnlinkUse(uint32_t u);
  void LinkBefore(Node& n, Node* at, Block* block);  // at the end if `at` is null
  void Unlink(Node& n);
  void EraseBlock(Block& b);
  void SetDepths(const Node& n);  // of its regions, from its own
  Node* FindConstant(const Dense& d, uint64_t* hash);

  stablehlo::Func* func_;
  Block* body_ = nullptr;
  StableVector<Node> nodes_;
  StableVector<Block> blocks_;
  StableVector<TensorType> types_;
  std::vector<Value> values_;
  std::vector<Use> uses_;
  std::vector<Node*> queue_;
  std::unordered_multimap<uint64_t, Node*> constants_;
  Node* last_constant_ = nullptr;
  uint64_t live_ = 0;
};

}  // namespace megalith::codegen
