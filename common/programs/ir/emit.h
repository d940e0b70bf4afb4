// The small vocabulary in which rules and engines speak: one function per thing JAX's lax layer
// does above primitives.
//
// Each emits what lax emits for the same call, including what lax leaves out (a reshape to the same
// shape, a transpose by the identity, a conversion to the same type). Errors stick to the builder.
#pragma once

#include <complex>
#include <span>
#include <string_view>

#include "common/programs/ir/builder.h"

namespace megalith::ir {

// ---- constants ----
// A scalar literal of x's dtype; of a weak scalar x it is a Python number, weak too.
Value ScalarLike(Builder& b, Value x, double value);
Value ScalarOf(Builder& b, DType dtype, double value, bool weak = false);
// The same with x's weakness, whatever its rank.
Value WeakScalarLike(Builder& b, Value x, double value);
// An array filled with one value; of rank 0 it is a literal.
Value Full(Builder& b, const Shape& shape, DType dtype, double value, bool weak = false);
Value FullLike(Builder& b, Value x, double value);
// Zeros of a type; a float0 type gives float0 zeros.
Value Zeros(Builder& b, const Aval& aval);
// The tangent itself, or zeros in place of a symbolic zero of a value of type `primal`.
Value InstantiateZeros(Builder& b, Value tangent, const Aval& primal);

// ---- elementwise ----
// Any elementwise primitive without parameters, by name.
Value Unary(Builder& b, std::string_view op, Value x);
Value Binary(Builder& b, std::string_view op, Value x, Value y);
Value Add(Builder& b, Value x, Value y);
Value Sub(Builder& b, Value x, Value y);
Value Mul(Builder& b, Value x, Value y);
Value Div(Builder& b, Value x, Value y);
Value Neg(Builder& b, Value x);
// Sum of tangents or cotangents; an empty Value is a zero.
Value AddTangents(Builder& b, Value x, Value y);
Value Select(Builder& b, Value pred, Value on_true, Value on_false);
Value ConvertElementType(Builder& b, Value x, DType dtype, bool weak = false);
Value IntegerPow(Builder& b, Value x, int64_t y);
Value Conj(Builder& b, Value x);

// ---- shapes ----
Value BroadcastInDim(Builder& b, Value x, const Shape& shape, const IntTuple& broadcast_dimensions);
// New leading dimensions.
Value Broadcast(Builder& b, Value x, const Dims& sizes);
Value ExpandDims(Builder& b, Value x, const Dims& dimensions);
Value Reshape(Builder& b, Value x, const Shape& shape);
// The same after a permutation of x's dimensions.
Value Reshape(Builder& b, Value x, const Shape& shape, const Dims& dimensions);
Value Squeeze(Builder& b, Value x, const Dims& dimensions);
Value Transpose(Builder& b, Value x, const Dims& permutation);
Value MoveAxis(Builder& b, Value x, int64_t from, int64_t to);
Value ReduceSum(Builder& b, Value x, const Dims& axes);
// Without strides the parameter is None.
Value Slice(Builder& b, Value x, const IntTuple& start, const Dims& limit,
            const IntTuple& strides = {});
Value Iota(Builder& b, DType dtype, const Shape& shape, int64_t dimension);
Value Rev(Builder& b, Value x, const Dims& dimensions);
// A single operand is returned as it is.
Value Concatenate(Builder& b, std::span<const Value> xs, int64_t dimension);
std::vector<Value> Split(Builder& b, Value x, const Dims& sizes, int64_t axis);
// What pad adds to one dimension: before, after and between elements; the first two may be
// negative.
struct Padding {
  int64_t low = 0;
  int64_t high = 0;
  int64_t interior = 0;
};
Value Pad(Builder& b, Value x, Value padding_value, std::span<const Padding> config);
// The same, each element of `config` being (low, high, interior).
Value Pad(Builder& b, Value x, Value padding_value, std::span<const IntTuple> config);

// ---- products ----
// Dimensions of a dot_general: pairs that are summed over, and pairs that run along.
struct DotDims {
  Dims lhs_contract;
  Dims rhs_contract;
  Dims lhs_batch = {};
  Dims rhs_batch = {};
};
ParamValue DotDimsParam(const DotDims& dims);
// The matrix product x y of rank-2 arrays, or of stacks of them with equal leading dimensions.
Value MatMul(Builder& b, Value x, Value y);
Value DotGeneral(Builder& b, Value x, Value y, const DotDims& dims, ParamValue precision = {},
                 ParamValue preferred_element_type = {});

// ---- batching ----
// A new dimension of `size` at `axis`, filled by copies.
Value BroadcastAxis(Builder& b, Value x, int64_t size, int64_t axis);
// x with its batch dimension first; an unmapped x is broadcast.
Value BatchAtFront(Builder& b, Value x, int dim, int64_t size);

// Integers 0..n-1.
Dims Range(int64_t n);
Dims Range(int64_t begin, int64_t end);
// Every element plus `by`.
Dims Shifted(std::span<const int64_t> dims, int64_t by);
// Dimensions of an array as they are called once it has a batch dimension at `batch_dim`.
Dims PastBatchDim(std::span<const int64_t> dims, int64_t batch_dim);
// a ++ b.
Dims Concat(std::span<const int64_t> a, std::span<const int64_t> b);
// `dims` without those at the positions (not values) listed.
Dims Without(std::span<const int64_t> dims, std::span<const int64_t> positions);
bool Contains(std::span<const int64_t> dims, int64_t d);
// The permutation p' with p'[p[i]] = i.
Dims InversePermutation(std::span<const int64_t> p);

}  // namespace megalith::ir
