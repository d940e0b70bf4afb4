#include "common/machines/codegen/passes/pass_cases.h"

namespace megalith::codegen {
namespace {

constexpr PassCase kCases[] = {
    {"reduce_complex_sum", R"((%x: tensor<3x5xcomplex<f32>>, %i: tensor<complex<f32>>) -> tensor<3xcomplex<f32>> {
      %r = stablehlo.reduce(%x init: %i) applies stablehlo.add across dimensions = [1] : (tensor<3x5xcomplex<f32>>, tensor<complex<f32>>) -> tensor<3xcomplex<f32>>
      return %r : tensor<3xcomplex<f32>> })"},
    {"window_complex_sum", R"((%x: tensor<9xcomplex<f64>>, %i: tensor<complex<f64>>) -> tensor<7xcomplex<f64>> {
      %r = "stablehlo.reduce_window"(%x, %i) <{window_dimensions = array<i64: 3>}> ({
        ^bb0(%a: tensor<complex<f64>>, %b: tensor<complex<f64>>):
          %s = stablehlo.add %a, %b : tensor<complex<f64>>
          stablehlo.return %s : tensor<complex<f64>>
        }) : (tensor<9xcomplex<f64>>, tensor<complex<f64>>) -> tensor<7xcomplex<f64>>
      return %r : tensor<7xcomplex<f64>> })"},
    {"reduce_truths", R"((%x: tensor<3x5xi1>, %i: tensor<i1>) -> (tensor<3xi1>, tensor<5xi1>) {
      %r = stablehlo.reduce(%x init: %i) applies stablehlo.maximum across dimensions = [1] : (tensor<3x5xi1>, tensor<i1>) -> tensor<3xi1>
      %s = stablehlo.reduce(%x init: %i) applies stablehlo.minimum across dimensions = [0] : (tensor<3x5xi1>, tensor<i1>) -> tensor<5xi1>
      return %r, %s : tensor<3xi1>, tensor<5xi1> })"},
    {"window_truths", R"((%x: tensor<9xi1>, %i: tensor<i1>) -> tensor<7xi1> {
      %r = "stablehlo.reduce_window"(%x, %i) <{window_dimensions = array<i64: 3>}> ({
        ^bb0(%a: tensor<i1>, %b: tensor<i1>):
          %s = stablehlo.maximum %a, %b : tensor<i1>
          stablehlo.return %s : tensor<i1>
        }) : (tensor<9xi1>, tensor<i1>) -> tensor<7xi1>
      return %r : tensor<7xi1> })"},
    {"reduce_narrow", R"((%x: tensor<3x5xi4>, %i: tensor<i4>, %y: tensor<3x5xf8E4M3FN>, %j: tensor<f8E4M3FN>)
        -> (tensor<3xi4>, tensor<3xi4>, tensor<3xf8E4M3FN>) {
      %r = stablehlo.reduce(%x init: %i) applies stablehlo.add across dimensions = [1] : (tensor<3x5xi4>, tensor<i4>) -> tensor<3xi4>
      %s = stablehlo.reduce(%x init: %i) applies stablehlo.multiply across dimensions = [1] : (tensor<3x5xi4>, tensor<i4>) -> tensor<3xi4>
      %t = stablehlo.reduce(%y init: %j) applies stablehlo.maximum across dimensions = [1] : (tensor<3x5xf8E4M3FN>, tensor<f8E4M3FN>) -> tensor<3xf8E4M3FN>
      return %r, %s, %t : tensor<3xi4>, tensor<3xi4>, tensor<3xf8E4M3FN> })"},
    {"window_narrow", R"((%x: tensor<9xui2>, %i: tensor<ui2>) -> tensor<7xui2> {
      %r = "stablehlo.reduce_window"(%x, %i) <{window_dimensions = array<i64: 3>}> ({
        ^bb0(%a: tensor<ui2>, %b: tensor<ui2>):
          %s = stablehlo.add %a, %b : tensor<ui2>
          stablehlo.return %s : tensor<ui2>
        }) : (tensor<9xui2>, tensor<ui2>) -> tensor<7xui2>
      return %r : tensor<7xui2> })"},
    {"dot_algorithm", R"((%x: tensor<4x6xf32>, %y: tensor<6x5xf32>) -> (tensor<4x5xf32>, tensor<4x5xf32>) {
      %r = stablehlo.dot_general %x, %y, contracting_dims = [1] x [0], algorithm = <lhs_precision_type = bf16, rhs_precision_type = bf16, accumulation_type = f32, lhs_component_count = 1, rhs_component_count = 1, num_primitive_operations = 1, allow_imprecise_accumulation = false> : (tensor<4x6xf32>, tensor<6x5xf32>) -> tensor<4x5xf32>
      %s = stablehlo.dot_general %x, %y, contracting_dims = [1] x [0], algorithm = <lhs_precision_type = bf16, rhs_precision_type = bf16, accumulation_type = f32, lhs_component_count = 1, rhs_component_count = 1, num_primitive_operations = 3, allow_imprecise_accumulation = false> : (tensor<4x6xf32>, tensor<6x5xf32>) -> tensor<4x5xf32>
      return %r, %s : tensor<4x5xf32>, tensor<4x5xf32> })"},
    {"dot_narrow", R"((%x: tensor<4x6xf8E4M3FN>, %y: tensor<6x5xf8E5M2>, %a: tensor<4x6xi4>, %b: tensor<6x5xi4>)
        -> (tensor<4x5xf32>, tensor<4x5xf8E5M2>, tensor<4x5xi32>, tensor<4x5xi4>) {
      %r = stablehlo.dot_general %x, %y, contracting_dims = [1] x [0] : (tensor<4x6xf8E4M3FN>, tensor<6x5xf8E5M2>) -> tensor<4x5xf32>
      %s = stablehlo.dot_general %x, %y, contracting_dims = [1] x [0] : (tensor<4x6xf8E4M3FN>, tensor<6x5xf8E5M2>) -> tensor<4x5xf8E5M2>
      %t = stablehlo.dot_general %a, %b, contracting_dims = [1] x [0] : (tensor<4x6xi4>, tensor<6x5xi4>) -> tensor<4x5xi32>
      %u = stablehlo.dot_general %a, %b, contracting_dims = [1] x [0] : (tensor<4x6xi4>, tensor<6x5xi4>) -> tensor<4x5xi4>
      return %r, %s, %t, %u : tensor<4x5xf32>, tensor<4x5xf8E5M2>, tensor<4x5xi32>, tensor<4x5xi4> })"},
    {"convolution_narrow", R"((%x: tensor<1x8x2xf8E4M3FN>, %k: tensor<3x2x4xf8E4M3FN>) -> tensor<1x6x4xf32> {
      %r = stablehlo.convolution(%x, %k) dim_numbers = [b, 0, f]x[0, i, o]->[b, 0, f], window = {} {batch_group_count = 1 : i64, feature_group_count = 1 : i64} : (tensor<1x8x2xf8E4M3FN>, tensor<3x2x4xf8E4M3FN>) -> tensor<1x6x4xf32>
      return %r : tensor<1x6x4xf32> })"},
    {"scatter_subtract", R"((%x: tensor<8xf32>, %i: tensor<3x1xi32>, %u: tensor<3xf32>, %y: tensor<8xui8>, %v: tensor<3xui8>)
        -> (tensor<8xf32>, tensor<8xui8>) {
      %r = "stablehlo.scatter"(%x, %i, %u) <{scatter_dimension_numbers = #stablehlo.scatter<inserted_window_dims = [0], scatter_dims_to_operand_dims = [0], index_vector_dim = 1>}> ({
        ^bb0(%a: tensor<f32>, %b: tensor<f32>):
          %s = stablehlo.subtract %a, %b : tensor<f32>
          stablehlo.return %s : tensor<f32>
        }) : (tensor<8xf32>, tensor<3x1xi32>, tensor<3xf32>) -> tensor<8xf32>
      %t = "stablehlo.scatter"(%y, %i, %v) <{scatter_dimension_numbers = #stablehlo.scatter<inserted_window_dims = [0], scatter_dims_to_operand_dims = [0], index_vector_dim = 1>}> ({
        ^bb0(%a: tensor<ui8>, %b: tensor<ui8>):
          %s = stablehlo.subtract %a, %b : tensor<ui8>
          stablehlo.return %s : tensor<ui8>
        }) : (tensor<8xui8>, tensor<3x1xi32>, tensor<3xui8>) -> tensor<8xui8>
      return %r, %t : tensor<8xf32>, tensor<8xui8> })"},
    {"reduce_split", R"((%x: tensor<3x5xf32>, %y: tensor<3x5xi32>, %i: tensor<f32>, %j: tensor<i32>) -> (tensor<3xf32>, tensor<3xi32>) {
      %r:2 = "stablehlo.reduce"(%x, %y, %i, %j) <{dimensions = array<i64: 1>}> ({
        ^bb0(%a: tensor<f32>, %b: tensor<i32>, %c: tensor<f32>, %d: tensor<i32>):
          %s = stablehlo.maximum %a, %c : tensor<f32>
          %t = stablehlo.add %d, %b : tensor<i32>
          stablehlo.return %s, %t : tensor<f32>, tensor<i32>
        }) : (tensor<3x5xf32>, tensor<3x5xi32>, tensor<f32>, tensor<i32>) -> (tensor<3xf32>, tensor<3xi32>)
      return %r#0, %r#1 : tensor<3xf32>, tensor<3xi32> })"},
    {"window_split", R"((%x: tensor<9xf32>, %y: tensor<9xi32>, %i: tensor<f32>, %j: tensor<i32>) -> (tensor<7xf32>, tensor<7xi32>) {
      %r:2 = "stablehlo.reduce_window"(%x, %y, %i, %j) <{window_dimensions = array<i64: 3>}> ({
        ^bb0(%a: tensor<f32>, %b: tensor<i32>, %c: tensor<f32>, %d: tensor<i32>):
          %s = stablehlo.maximum %a, %c : tensor<f32>
          %t = stablehlo.add %b, %d : tensor<i32>
          stablehlo.return %s, %t : tensor<f32>, tensor<i32>
        }) : (tensor<9xf32>, tensor<9xi32>, tensor<f32>, tensor<i32>) -> (tensor<7xf32>, tensor<7xi32>)
      return %r#0, %r#1 : tensor<7xf32>, tensor<7xi32> })"},
    {"scatter_split", R"((%x: tensor<8xf32>, %y: tensor<8xi32>, %i: tensor<3x1xi32>, %u: tensor<3xf32>, %v: tensor<3xi32>)
        -> (tensor<8xf32>, tensor<8xi32>) {
      %r:2 = "stablehlo.scatter"(%x, %y, %i, %u, %v) <{scatter_dimension_numbers = #stablehlo.scatter<inserted_window_dims = [0], scatter_dims_to_operand_dims = [0], index_vector_dim = 1>}> ({
        ^bb0(%a: tensor<f32>, %b: tensor<i32>, %c: tensor<f32>, %d: tensor<i32>):
          %t = stablehlo.add %b, %d : tensor<i32>
          stablehlo.return %c, %t : tensor<f32>, tensor<i32>
        }) : (tensor<8xf32>, tensor<8xi32>, tensor<3x1xi32>, tensor<3xf32>, tensor<3xi32>) -> (tensor<8xf32>, tensor<8xi32>)
      return %r#0, %r#1 : tensor<8xf32>, tensor<8xi32> })"},
    // Functions a x + b one after the other: the order counts, and the number of elements is no
    // power of two.
    {"reduce_tree", R"((%x: tensor<3x77x5xi32>, %y: tensor<3x77x5xi32>, %i: tensor<i32>, %j: tensor<i32>)
        -> (tensor<3x5xi32>, tensor<3x5xi32>, tensor<77xi32>, tensor<77xi32>, tensor<i32>, tensor<i32>) {
      %r:2 = "stablehlo.reduce"(%x, %y, %i, %j) <{dimensions = array<i64: 1>}> ({
        ^bb0(%a: tensor<i32>, %b: tensor<i32>, %c: tensor<i32>, %d: tensor<i32>):
          %s = stablehlo.multiply %a, %c : tensor<i32>
          %t = stablehlo.multiply %c, %b : tensor<i32>
          %u = stablehlo.add %t, %d : tensor<i32>
          stablehlo.return %s, %u : tensor<i32>, tensor<i32>
        }) : (tensor<3x77x5xi32>, tensor<3x77x5xi32>, tensor<i32>, tensor<i32>) -> (tensor<3x5xi32>, tensor<3x5xi32>)
      %v:2 = "stablehlo.reduce"(%x, %y, %i, %j) <{dimensions = array<i64: 0, 2>}> ({
        ^bb0(%a: tensor<i32>, %b: tensor<i32>, %c: tensor<i32>, %d: tensor<i32>):
          %s = stablehlo.multiply %a, %c : tensor<i32>
          %t = stablehlo.multiply %c, %b : tensor<i32>
          %u = stablehlo.add %t, %d : tensor<i32>
          stablehlo.return %s, %u : tensor<i32>, tensor<i32>
        }) : (tensor<3x77x5xi32>, tensor<3x77x5xi32>, tensor<i32>, tensor<i32>) -> (tensor<77xi32>, tensor<77xi32>)
      %w:2 = "stablehlo.reduce"(%x, %y, %i, %j) <{dimensions = array<i64: 0, 1, 2>}> ({
        ^bb0(%a: tensor<i32>, %b: tensor<i32>, %c: tensor<i32>, %d: tensor<i32>):
          %s = stablehlo.multiply %a, %c : tensor<i32>
          %t = stablehlo.multiply %c, %b : tensor<i32>
          %u = stablehlo.add %t, %d : tensor<i32>
          stablehlo.return %s, %u : tensor<i32>, tensor<i32>
        }) : (tensor<3x77x5xi32>, tensor<3x77x5xi32>, tensor<i32>, tensor<i32>) -> (tensor<i32>, tensor<i32>)
      return %r#0, %r#1, %v#0, %v#1, %w#0, %w#1 : tensor<3x5xi32>, tensor<3x5xi32>, tensor<77xi32>, tensor<77xi32>, tensor<i32>, tensor<i32> })"},
    {"window_prefixes", R"((%x: tensor<3x37xi32>, %y: tensor<3x37xi32>, %i: tensor<i32>, %j: tensor<i32>)
        -> (tensor<3x37xi32>, tensor<3x37xi32>, tensor<3x37xi32>, tensor<3x37xi32>) {
      %r:2 = "stablehlo.reduce_window"(%x, %y, %i, %j) <{window_dimensions = array<i64: 1, 37>, padding = dense<[[0, 0], [36, 0]]> : tensor<2x2xi64>}> ({
        ^bb0(%a: tensor<i32>, %b: tensor<i32>, %c: tensor<i32>, %d: tensor<i32>):
          %s = stablehlo.multiply %a, %c : tensor<i32>
          %t = stablehlo.multiply %c, %b : tensor<i32>
          %u = stablehlo.add %t, %d : tensor<i32>
          stablehlo.return %s, %u : tensor<i32>, tensor<i32>
        }) : (tensor<3x37xi32>, tensor<3x37xi32>, tensor<i32>, tensor<i32>) -> (tensor<3x37xi32>, tensor<3x37xi32>)
      %v:2 = "stablehlo.reduce_window"(%x, %y, %i, %j) <{window_dimensions = array<i64: 1, 37>, padding = dense<[[0, 0], [0, 36]]> : tensor<2x2xi64>}> ({
        ^bb0(%a: tensor<i32>, %b: tensor<i32>, %c: tensor<i32>, %d: tensor<i32>):
          %s = stablehlo.multiply %a, %c : tensor<i32>
          %t = stablehlo.multiply %c, %b : tensor<i32>
          %u = stablehlo.add %t, %d : tensor<i32>
          stablehlo.return %s, %u : tensor<i32>, tensor<i32>
        }) : (tensor<3x37xi32>, tensor<3x37xi32>, tensor<i32>, tensor<i32>) -> (tensor<3x37xi32>, tensor<3x37xi32>)
      return %r#0, %r#1, %v#0, %v#1 : tensor<3x37xi32>, tensor<3x37xi32>, tensor<3x37xi32>, tensor<3x37xi32> })"},
    {"window_positions", R"((%x: tensor<9x8xf32>, %i: tensor<f32>) -> (tensor<5x3xf32>, tensor<7x7xf32>) {
      %r = "stablehlo.reduce_window"(%x, %i) <{window_dimensions = array<i64: 3, 2>, window_strides = array<i64: 2, 3>, window_dilations = array<i64: 1, 2>, padding = dense<[[1, 1], [1, 0]]> : tensor<2x2xi64>}> ({
        ^bb0(%a: tensor<f32>, %b: tensor<f32>):
          %h = stablehlo.constant dense<5.0e-01> : tensor<f32>
          %s = stablehlo.multiply %b, %h : tensor<f32>
          %t = stablehlo.subtract %s, %a : tensor<f32>
          stablehlo.return %t : tensor<f32>
        }) : (tensor<9x8xf32>, tensor<f32>) -> tensor<5x3xf32>
      %v = "stablehlo.reduce_window"(%x, %i) <{window_dimensions = array<i64: 3, 2>, padding = dense<[[-1, 1], [0, 0]]> : tensor<2x2xi64>}> ({
        ^bb0(%a: tensor<f32>, %b: tensor<f32>):
          %h = stablehlo.constant dense<5.0e-01> : tensor<f32>
          %s = stablehlo.multiply %b, %h : tensor<f32>
          %t = stablehlo.subtract %s, %a : tensor<f32>
          stablehlo.return %t : tensor<f32>
        }) : (tensor<9x8xf32>, tensor<f32>) -> tensor<7x7xf32>
      return %r, %v : tensor<5x3xf32>, tensor<7x7xf32> })"},
    {"scatter_apart", R"((%x: tensor<8x4xf32>, %u: tensor<3x4xf32>) -> tensor<8x4xf32> {
      %i = stablehlo.constant dense<[[6], [9], [0]]> : tensor<3x1xi32>
      %r = "stablehlo.scatter"(%x, %i, %u) <{scatter_dimension_numbers = #stablehlo.scatter<update_window_dims = [1], inserted_window_dims = [0], scatter_dims_to_operand_dims = [0], index_vector_dim = 1>, unique_indices = true}> ({
        ^bb0(%a: tensor<f32>, %b: tensor<f32>):
          %s = stablehlo.abs %a : tensor<f32>
          %t = stablehlo.maximum %s, %b : tensor<f32>
          stablehlo.return %t : tensor<f32>
        }) : (tensor<8x4xf32>, tensor<3x1xi32>, tensor<3x4xf32>) -> tensor<8x4xf32>
      return %r : tensor<8x4xf32> })"},
    {"sort_keys", R"((%x: tensor<3x9xi32>, %y: tensor<3x9xi32>) -> (tensor<3x9xi32>, tensor<3x9xi32>) {
      %r:2 = "stablehlo.sort"(%x, %y) <{dimension = 1 : i64, is_stable = true}> ({
        ^bb0(%a: tensor<i32>, %b: tensor<i32>, %c: tensor<i32>, %d: tensor<i32>):
          %p = stablehlo.xor %a, %c : tensor<i32>
          %q = stablehlo.xor %b, %d : tensor<i32>
          %t = stablehlo.compare LT, %q, %p, SIGNED : (tensor<i32>, tensor<i32>) -> tensor<i1>
          stablehlo.return %t : tensor<i1>
        }) : (tensor<3x9xi32>, tensor<3x9xi32>) -> (tensor<3x9xi32>, tensor<3x9xi32>)
      return %r#0, %r#1 : tensor<3x9xi32>, tensor<3x9xi32> })"},
};

}  // namespace

std::span<const PassCase> KernelCases() { return kCases; }

}  // namespace megalith::codegen
