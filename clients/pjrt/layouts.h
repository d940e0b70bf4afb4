// Orders of dimensions in memory that users choose for arrays (jax.experimental.layout).
//
// An array with an order is held as the row-major tensor of its dimensions in that order, the
// slowest first: that shape is its stored one. So whatever moves bytes, moves the right ones, and
// engines know of no orders. A program that names orders begins and ends with transpositions, which
// backends fold into what reads and writes there.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/foundation/base/status.h"
#include "common/foundation/tensor/shape.h"
#include "common/programs/stablehlo/module.h"

namespace megalith::pjrt {

// Dimensions, the fastest first. Empty: row-major, and no other list says so.
using Order = tensor::Dims;

// Errors: kInvalidArgument (no permutation of `rank` dimensions).
Result<Order> OrderOf(std::span<const int64_t> minor_to_major, size_t rank);
// Also of row-major arrays, as the interface wants it.
tensor::Dims MinorToMajor(const Order& order, size_t rank);
// XLA's notation: "{0,1}".
std::string LayoutText(const Order& order, size_t rank);

// `values` of dimensions (sizes, strides, starts) in the sequence in which they are stored, and
// back.
tensor::Dims Stored(const tensor::Dims& values, const Order& order);
tensor::Dims Logical(const tensor::Dims& values, const Order& order);
// The order of an array of arrays, which lie one behind the other.
Order Stacked(const Order& order);

// Of the arguments and results of a program, one for each, or none if all are row-major.
struct Orders {
  std::vector<Order> inputs, outputs;

  bool empty() const { return inputs.empty() && outputs.empty(); }
  const Order& input(size_t i) const { return At(inputs, i); }
  const Order& output(size_t i) const { return At(outputs, i); }

 private:
  static const Order& At(const std::vector<Order>& orders, size_t i);
};

// What the attributes `mhlo.layout_mode` of a program's entry ask for.
struct LayoutModes {
  Orders orders;
  std::vector<bool> free_outputs;  // those whose order the compiler may choose; empty if none
};
// An argument whose order may be chosen is row-major. Errors: kInvalidArgument (malformed, or no
// permutation), kUnimplemented (tiles).
Result<LayoutModes> LayoutModesOf(const stablehlo::Func& entry);

// The orders, with those of free outputs as the values lie that they are made from: what
// transpositions, elementwise operations and LayoutConstraint make of the arguments' orders.
Orders ChooseOrders(const stablehlo::Module& module, const LayoutModes& modes);

// The same program on stored arrays. Requires orders that fit the entry's arguments and results.
Status StoreInOrders(const Orders& orders, stablehlo::Module* module);

}  // namespace megalith::pjrt
