// Loops that rules emit.
#pragma once

#include <functional>
#include <vector>

#include "common/programs/ops/rules.h"

namespace megalith::ops {

// Emits part of a loop; it may use values of the builder around the loop.
using LoopFn = std::function<std::vector<Value>(Builder&, std::span<const Value> carry)>;

// Emits `while`: what lax.while_loop emits for these functions. `cond` gives one truth value,
// `body` the next carry.
std::vector<Value> WhileLoop(Builder& b, const std::vector<Value>& init, const LoopFn& cond,
                             const LoopFn& body);

// One round of a counted loop: `i` is the number of the round, weakly typed.
using CountedFn =
    std::function<std::vector<Value>(Builder&, Value i, std::span<const Value> carry)>;

// Emits `scan`: what lax.fori_loop(0, trips, ...) emits. Values of `b` that the body uses become
// constants of the loop.
std::vector<Value> CountedLoop(Builder& b, int64_t trips, const std::vector<Value>& init,
                               const CountedFn& body);

// Emits `scan` over the leading dimension of `xs`, which is `length`: `body` gets the carry and one
// element of each, and gives the next carry and elements of the results. Returns the last carry,
// then the results.
std::vector<Value> EmitScan(Builder& b, int64_t length, const std::vector<Value>& init,
                            const std::vector<Value>& xs, bool reverse, int64_t unroll,
                            const LoopFn& body);

// A nested program of `fn`, traced for inputs of the types of `like`; values of other builders it
// uses become leading inputs and are appended to `consts`.
Result<ir::JaxprPtr> TraceNested(ir::Session& session, std::span<const Value> like,
                                 const LoopFn& fn, std::vector<Value>* consts);

}  // namespace megalith::ops
