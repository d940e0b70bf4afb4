// Control flow whose course is decided when the program runs: lax.scan, while_loop, cond, switch,
// fori_loop, map.
//
// Bodies are functions of their own. They may use arrays of the functions around them.
#pragma once

#include <initializer_list>
#include <optional>
#include <vector>

#include "common/programs/tracing/function.h"

namespace megalith::tracing {

// One or several arrays: an Array, a number, {a, b}, a tuple, or Arrays.
class Leaves {
 public:
  Leaves() = default;
  Leaves(std::initializer_list<Array> arrays) : arrays_(arrays) {}  // NOLINT: implicit by design
  template <typename T>
    requires requires(const T& t, Arrays* out) { Tree<T>::Flatten(t, out); }
  Leaves(const T& tree) {  // NOLINT: implicit by design
    Tree<T>::Flatten(tree, &arrays_);
  }
  const Arrays& arrays() const { return arrays_; }

 private:
  Arrays arrays_;
};

struct ScanOptions {
  std::optional<int64_t> length = {};  // needed when there are no xs
  bool reverse = false;
  int64_t unroll = 1;
};

// Runs `body` (carry..., x...) -> (carry..., y...) for every element of xs along their leading
// dimension. Gives the last carry, then the ys, stacked. A weakly typed initial carry takes the
// type the body gives. Errors (in the trace): TypeError if the carry changes its type; ValueError
// for lengths that differ.
Outputs Scan(const Function& body, const Leaves& init, const Leaves& xs = {},
             ScanOptions options = {}, Place where = Place::current());

// Runs `body` (carry...) -> (carry...) while `cond` (carry...) holds; reverse-mode differentiation
// is not possible.
Outputs WhileLoop(const Function& cond, const Function& body, const Leaves& init,
                  Place where = Place::current());

// body(i, carry...) for i from lower to upper - 1: a scan if both are numbers, otherwise a while
// loop.
Outputs ForiLoop(Operand lower, Operand upper, const Function& body, const Leaves& init);

// true_fn or false_fn of the operands; both give the same types.
Outputs Cond(Operand pred, const Function& true_fn, const Function& false_fn,
             const Leaves& operands = {});

// branches[index], the index clamped to those there are.
Outputs Switch(Operand index, const std::vector<Function>& branches, const Leaves& operands = {});

// `f` of every element along the leading dimension, one after the other.
Outputs Map(const Function& f, const Leaves& xs, Place where = Place::current());

}  // namespace megalith::tracing
