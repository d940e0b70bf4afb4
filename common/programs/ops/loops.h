// Loops that rules emit.
#pragma once

#include <functional>
#include <vector>

#include "common/programs/ops/rules.h"

namespace megalith::ops {

// Emits part of a loop; it may use values of the builder around the loop.
using LoopFn = std::function<std::vector<Value>(Builder&, std::span<const Value> carry)>;

// Emits `while`: what lax.while_loop emits for these functions. `cond` gives one truth value, `body` the next carry.
std::vector<Value> WhileLoop(Builder& b, const std::vector<Value>& init, const LoopFn& cond, const LoopFn& body);

// A nested program of `fn`, traced for inputs of the types of `like`; values of other builders it uses become leading
// inputs and are appended to `consts`.
Result<ir::JaxprPtr> TraceNested(ir::Session& session, std::span<const Value> like, const LoopFn& fn,
                                 std::vector<Value>* consts);

}  // namespace megalith::ops
