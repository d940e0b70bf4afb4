// Tracing: a Builder records equations and becomes a jaxpr.
#pragma once

#include <any>
#include <deque>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "common/foundation/base/cancellation.h"
#include "common/foundation/base/status.h"
#include "common/programs/ir/jaxpr.h"
#include "common/programs/ir/op_def.h"
#include "common/programs/ir/op_table.h"
#include "common/programs/ir/value.h"

namespace megalith::ir {

struct SessionLimits {
  uint64_t max_eqns = 4'000'000;  // equations emitted over the whole session
  int max_depth = 128;            // nesting of jaxprs
};

// One application of a transform stack: owns every Value made during it and remembers transformed
// sub-jaxprs, so that a body used twice is transformed once and stays one object (which is what
// makes `let` sharing in text). Not thread-safe; one per request.
class Session {
 public:
  explicit Session(const OpTable& ops, SessionLimits limits = {},
                   const Cancellation* cancel = nullptr)
      : ops_(&ops), limits_(limits), cancel_(cancel) {}
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  const OpTable& ops() const { return *ops_; }
  const SessionLimits& limits() const { return limits_; }
  // 64-bit types are on: what JAX calls an integer without saying more then has 64 bits.
  bool x64() const { return x64_; }
  void set_x64(bool on) { x64_ = on; }

  // The remembered result for an object (a jaxpr, mostly) under a key that spells out everything
  // else the result depends on.
  template <typename T>
  const T* Find(const JaxprPtr& jaxpr, const std::string& key) const {
    return FindFor<T>(jaxpr.get(), key);
  }
  template <typename T>
  const T& Remember(const JaxprPtr& jaxpr, const std::string& key, T result) {
    return RememberFor(jaxpr, key, std::move(result));
  }
  template <typename T>
  const T* FindFor(const void* object, const std::string& key) const {
    const auto it = memo_.find({object, key});
    return it == memo_.end() ? nullptr : std::any_cast<T>(&it->second.second);
  }
  template <typename T>
  const T& RememberFor(std::shared_ptr<const void> object, const std::string& key, T result) {
    auto& slot = memo_[{object.get(), key}];
    slot = {std::move(object), std::any(std::move(result))};
    return *std::any_cast<T>(&slot.second);
  }

  // Counts equations against the limit and polls cancellation.
  Status Charge(uint64_t eqns);
  uint64_t emitted() const { return emitted_; }

  internal::ValueNode* NewNode() { return &nodes_.emplace_back(); }
  Value Lit(const Literal& literal);

 private:
  const OpTable* ops_;
  SessionLimits limits_;
  const Cancellation* cancel_;
  bool x64_ = false;
  uint64_t emitted_ = 0;
  std::deque<internal::ValueNode> nodes_;
  std::map<std::pair<const void*, std::string>, std::pair<std::shared_ptr<const void>, std::any>>
      memo_;
};

using NamedParams = std::initializer_list<std::pair<std::string_view, ParamValue>>;

// Records equations. Errors are sticky: the first one is kept, later emissions return placeholder
// values and record nothing, and status() or Finish() reports it; so rules need no error handling
// of their own. Not thread-safe.
//
// Emitting runs the primitive's type rule, drops equations that only forward an operand and folds
// those the primitive's record says are folded while tracing.
class Builder {
 public:
  explicit Builder(Session& session) : session_(&session) {}
  virtual ~Builder() = default;
  Builder(const Builder&) = delete;
  Builder& operator=(const Builder&) = delete;

  Session& session() const { return *session_; }

  Value Input(const Aval& aval);
  // An array constant: a constvar with its value, one per storage. Rank-0 tensors become literals.
  virtual Value Const(const tensor::Tensor& value, bool weak = false);
  // A number written into the equations that use it.
  Value Lit(const Literal& literal) { return session_->Lit(literal); }
  // A rank-0 array that equations of this builder would make if they did not fold away: here it is
  // written as a literal, but another builder that uses it captures it, as it would capture their
  // result.
  virtual Value Scalar(const Literal& literal);

  // Emits one equation and returns its results.
  std::vector<Value> Emit(const OpDef& op, Params params, std::span<const Value> operands);
  std::vector<Value> Emit(const OpDef& op, std::shared_ptr<const Params> params,
                          std::span<const Value> operands);
  // By name, with the parameters that differ from their defaults; for primitives of one result.
  Value Emit1(std::string_view op, std::initializer_list<Value> operands, NamedParams params = {});
  Value Emit1(std::string_view op, std::span<const Value> operands, NamedParams params = {});
  std::vector<Value> EmitN(std::string_view op, std::span<const Value> operands,
                           NamedParams params = {});

  // Evaluates a jaxpr by emitting its equations here (inlining it). `consts` are its open
  // constvars.
  std::vector<Value> Inline(const Jaxpr& jaxpr, std::span<const Value> consts,
                            std::span<const Value> inputs);
  // The same for a closed jaxpr: its constants become constants here.
  std::vector<Value> Inline(const ClosedJaxpr& closed, std::span<const Value> inputs);
  // Values of all constvars of a jaxpr whose open ones are `consts`: the others become constants
  // here.
  std::vector<Value> BindConsts(const Jaxpr& jaxpr, std::span<const Value> consts);
  // The value of a constant of this builder; nullptr if `v` is none.
  const tensor::Tensor* ConstantValue(const Value& v) const;

  // Records an error if none is recorded yet.
  void Fail(Status status);
  const Status& status() const { return status_; }
  bool ok() const { return status_.ok(); }
  // A placeholder of the given type, for rules that had to Fail.
  Value Poison(const Aval& aval);

  // The order of captured values. JAX's tracing appends a constant when it is first used; its
  // partial evaluation finds constants by a search from the outputs. Both orders show in operands
  // and texts.
  enum class CaptureOrder : uint8_t { kFirstUse, kSearch };

  // The jaxpr of everything emitted, or with `remove_dead` of what the outputs need. Values of
  // other builders become its open constvars, given in `captured`; with a null `captured` they are
  // an error. Constants of this builder follow, with their values, in order of first use. The
  // builder is empty afterwards.
  Result<JaxprPtr> Finish(std::span<const Value> outs, std::vector<Value>* captured = nullptr,
                          bool remove_dead = false, CaptureOrder order = CaptureOrder::kFirstUse);

  // True if the value was made here.
  bool Owns(const Value& v) const { return v.owner() == this; }
  size_t num_eqns() const { return eqns_.size(); }

 protected:
  // Where an equation goes; the base class records it here.
  virtual std::vector<Value> Process(const OpDef& op, std::shared_ptr<const Params> params,
                                     std::span<const Value> operands);

 private:
  struct PendingEqn {
    const OpDef* op;
    std::shared_ptr<const Params> params;
    uint32_t first_operand;
    uint32_t num_operands;
    uint32_t first_result;
    uint32_t num_results;
  };
  bool OwnsVar(const Value& v) const { return Owns(v) && !v.is_literal(); }
  // True if a use here makes the value an open constvar.
  bool Captures(const Value& v) const { return v.owner() != nullptr && !Owns(v); }
  Value NewVar(const Aval& aval);
  std::vector<Value> CapturesBySearch(std::span<const Value> outs) const;
  std::vector<bool> LiveEqns(std::span<const Value> outs, bool remove_dead) const;

  Session* session_;
  Status status_;
  std::vector<Value> vars_;  // by variable index
  std::vector<uint32_t> inputs_;
  std::unordered_map<uint32_t, tensor::Tensor> constants_;                // by variable index
  std::map<std::pair<const void*, std::string>, Value> constant_values_;  // by storage and type
  std::vector<PendingEqn> eqns_;
  std::vector<Value> operands_;  // pool
};

}  // namespace megalith::ir
