// The walk over a canonical function.
#pragma once

#include <unordered_map>
#include <vector>

#include "common/programs/raising/context.h"

namespace megalith::raising {

// Holds what each value of the function is at the moment: inside a region some values stand for
// others. Not thread-safe; one per program.
class Raiser {
 public:
  Raiser(const stablehlo::Func& func, ir::Session& session);

  ir::Session& session() const { return *session_; }
  const stablehlo::Func& func() const { return *func_; }
  const Value& ValueOf(ValueId v) const { return env_[v]; }
  bool used(ValueId v) const { return used_[v]; }
  const stablehlo::Op* Definition(ValueId v) const { return definitions_[v]; }

  // The first error, as it is to be reported; builders may hold what caused it.
  const Status& status() const { return status_; }

  // Emits a region and gives what it returns. Errors go to the builder, and into status().
  Values Emit(Builder& b, const stablehlo::Region& region, std::span<const Value> args);
  // The same while the values `ids` are others.
  Values EmitOver(Builder& b, const stablehlo::Region& region, std::span<const Value> args,
                  std::span<const ValueId> ids, std::span<const Value> values);

 private:
  Status EmitOp(Builder& b, const stablehlo::Op& op);
  void Index(const stablehlo::Region& region);

  const stablehlo::Func* func_;
  ir::Session* session_;
  std::unordered_map<std::string_view, RaiseRule> rules_;
  Status status_;
  Values env_;
  std::vector<bool> used_;
  std::vector<const stablehlo::Op*> definitions_;
};

}  // namespace megalith::raising
