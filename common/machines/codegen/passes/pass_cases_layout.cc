#include "common/machines/codegen/passes/pass_cases.h"

namespace megalith::codegen {
namespace {

constexpr PassCase kCases[] = {
    {"dot_transpose", R"((%x: tensor<5x4xf32>, %y: tensor<5x6xf32>, %z: tensor<3x5x4x2xf32>)
        -> (tensor<4x6xf32>, tensor<4x3x2x6xf32>) {
      %t = stablehlo.transpose %x, dims = [1, 0] : (tensor<5x4xf32>) -> tensor<4x5xf32>
      %r = stablehlo.dot_general %t, %y, contracting_dims = [1] x [0] : (tensor<4x5xf32>, tensor<5x6xf32>) -> tensor<4x6xf32>
      %u = stablehlo.transpose %z, dims = [2, 0, 1, 3] : (tensor<3x5x4x2xf32>) -> tensor<4x3x5x2xf32>
      %s = stablehlo.dot_general %u, %y, contracting_dims = [2] x [0] : (tensor<4x3x5x2xf32>, tensor<5x6xf32>) -> tensor<4x3x2x6xf32>
      return %r, %s : tensor<4x6xf32>, tensor<4x3x2x6xf32> })"},
    {"transpose_dot", R"((%x: tensor<7x4x5xf32>, %y: tensor<7x5x6xf32>) -> tensor<7x6x4xf32> {
      %r = stablehlo.dot_general %x, %y, batching_dims = [0] x [0], contracting_dims = [2] x [1], precision = [HIGHEST, DEFAULT] : (tensor<7x4x5xf32>, tensor<7x5x6xf32>) -> tensor<7x4x6xf32>
      %t = stablehlo.transpose %r, dims = [0, 2, 1] : (tensor<7x4x6xf32>) -> tensor<7x6x4xf32>
      return %t : tensor<7x6x4xf32> })"},
    {"dot_ones",
     R"((%x: tensor<1x4x5x1xf32>, %y: tensor<5x6x1x1xf32>) -> (tensor<1x4x6xf32>, tensor<1x4x5x5x6xf32>) {
      %r = stablehlo.dot_general %x, %y, batching_dims = [0] x [2], contracting_dims = [2, 3] x [0, 3] : (tensor<1x4x5x1xf32>, tensor<5x6x1x1xf32>) -> tensor<1x4x6xf32>
      %s = stablehlo.dot_general %x, %y, batching_dims = [0] x [2], contracting_dims = [3] x [3] : (tensor<1x4x5x1xf32>, tensor<5x6x1x1xf32>) -> tensor<1x4x5x5x6xf32>
      return %r, %s : tensor<1x4x6xf32>, tensor<1x4x5x5x6xf32> })"},
    {"dot_outer",
     R"((%x: tensor<4xf32>, %y: tensor<6xf32>, %a: tensor<3x4xi32>, %b: tensor<2x3xi32>)
        -> (tensor<4x6xf32>, tensor<3x4x2xi32>) {
      %r = stablehlo.dot_general %x, %y, contracting_dims = [] x [] : (tensor<4xf32>, tensor<6xf32>) -> tensor<4x6xf32>
      %s = stablehlo.dot_general %a, %b, batching_dims = [0] x [1], contracting_dims = [] x [] : (tensor<3x4xi32>, tensor<2x3xi32>) -> tensor<3x4x2xi32>
      return %r, %s : tensor<4x6xf32>, tensor<3x4x2xi32> })"},
    {"dot_vectors",
     R"((%x: tensor<4x5x7xf32>, %y: tensor<5x7x4xf32>, %a: tensor<4xi32>) -> (tensor<7xf32>, tensor<i32>) {
      %r = stablehlo.dot_general %x, %y, batching_dims = [2] x [1], contracting_dims = [0, 1] x [2, 0] : (tensor<4x5x7xf32>, tensor<5x7x4xf32>) -> tensor<7xf32>
      %s = stablehlo.dot_general %a, %a, contracting_dims = [0] x [0] : (tensor<4xi32>, tensor<4xi32>) -> tensor<i32>
      return %r, %s : tensor<7xf32>, tensor<i32> })"},
    {"dot_parts",
     R"((%x: tensor<5xf32>, %y: tensor<6x5xf32>, %w: tensor<5x9xf32>, %v: tensor<2x9x5xf32>, %h: tensor<2x5xf32>)
        -> (tensor<3xf32>, tensor<6xf32>, tensor<5x2xf32>, tensor<4x2xf32>, tensor<6x3xf32>, tensor<6x6xf32>) {
      %a = stablehlo.slice %w [0:5, 6:9] : (tensor<5x9xf32>) -> tensor<5x3xf32>
      %b = stablehlo.slice %w [0:5, 0:6] : (tensor<5x9xf32>) -> tensor<5x6xf32>
      %0 = stablehlo.dot_general %x, %a, contracting_dims = [0] x [0] : (tensor<5xf32>, tensor<5x3xf32>) -> tensor<3xf32>
      %1 = stablehlo.dot_general %x, %b, contracting_dims = [0] x [0] : (tensor<5xf32>, tensor<5x6xf32>) -> tensor<6xf32>
      %c = stablehlo.slice %v [0:2, 0:5, 0:5] : (tensor<2x9x5xf32>) -> tensor<2x5x5xf32>
      %d = stablehlo.slice %v [0:2, 5:9, 0:5] : (tensor<2x9x5xf32>) -> tensor<2x4x5xf32>
      %2 = stablehlo.dot_general %c, %h, batching_dims = [0] x [0], contracting_dims = [2] x [1] : (tensor<2x5x5xf32>, tensor<2x5xf32>) -> tensor<2x5xf32>
      %3 = stablehlo.dot_general %d, %h, batching_dims = [0] x [0], contracting_dims = [2] x [1] : (tensor<2x4x5xf32>, tensor<2x5xf32>) -> tensor<2x4xf32>
      %4 = stablehlo.transpose %2, dims = [1, 0] : (tensor<2x5xf32>) -> tensor<5x2xf32>
      %5 = stablehlo.transpose %3, dims = [1, 0] : (tensor<2x4xf32>) -> tensor<4x2xf32>
      %6 = stablehlo.dot_general %y, %a, contracting_dims = [1] x [0] : (tensor<6x5xf32>, tensor<5x3xf32>) -> tensor<6x3xf32>
      %7 = stablehlo.dot_general %y, %b, contracting_dims = [1] x [0] : (tensor<6x5xf32>, tensor<5x6xf32>) -> tensor<6x6xf32>
      return %0, %1, %4, %5, %6, %7 : tensor<3xf32>, tensor<6xf32>, tensor<5x2xf32>, tensor<4x2xf32>, tensor<6x3xf32>, tensor<6x6xf32> })"},
    {"sink_transpose",
     R"((%x: tensor<4x5xf32>, %y: tensor<4x5xf32>, %b: tensor<4xf32>, %p: tensor<i1>) -> tensor<5x4xf32> {
      %t = stablehlo.transpose %x, dims = [1, 0] : (tensor<4x5xf32>) -> tensor<5x4xf32>
      %u = stablehlo.transpose %y, dims = [1, 0] : (tensor<4x5xf32>) -> tensor<5x4xf32>
      %s = stablehlo.add %t, %u : tensor<5x4xf32>
      %c = stablehlo.broadcast_in_dim %b, dims = [1] : (tensor<4xf32>) -> tensor<5x4xf32>
      %m = stablehlo.multiply %s, %c : tensor<5x4xf32>
      %i = stablehlo.iota dim = 0 : tensor<5x4xf32>
      %n = stablehlo.subtract %m, %i : tensor<5x4xf32>
      %k = stablehlo.constant dense<2.0> : tensor<5x4xf32>
      %o = stablehlo.select %p, %n, %k : tensor<i1>, tensor<5x4xf32>
      return %o : tensor<5x4xf32> })"},
    {"transpose_free", R"((%x: tensor<5xf32>, %y: tensor<4xf32>) -> tensor<4x5xf32> {
      %t = stablehlo.broadcast_in_dim %x, dims = [0] : (tensor<5xf32>) -> tensor<5x4xf32>
      %u = stablehlo.broadcast_in_dim %y, dims = [1] : (tensor<4xf32>) -> tensor<5x4xf32>
      %i = stablehlo.iota dim = 1 : tensor<5x4xf32>
      %m = stablehlo.multiply %t, %u : tensor<5x4xf32>
      %a = stablehlo.add %m, %i : tensor<5x4xf32>
      %r = stablehlo.transpose %a, dims = [1, 0] : (tensor<5x4xf32>) -> tensor<4x5xf32>
      return %r : tensor<4x5xf32> })"},
    {"sink_broadcast",
     R"((%x: tensor<5xf32>, %y: tensor<5xf32>) -> (tensor<5x4xf32>, tensor<5x4xi1>) {
      %t = stablehlo.broadcast_in_dim %x, dims = [0] : (tensor<5xf32>) -> tensor<5x4xf32>
      %u = stablehlo.broadcast_in_dim %y, dims = [0] : (tensor<5xf32>) -> tensor<5x4xf32>
      %k = stablehlo.constant dense<2.0> : tensor<5x4xf32>
      %s = stablehlo.add %t, %u : tensor<5x4xf32>
      %r = stablehlo.multiply %s, %k : tensor<5x4xf32>
      %c = stablehlo.compare LT, %r, %t : (tensor<5x4xf32>, tensor<5x4xf32>) -> tensor<5x4xi1>
      return %r, %c : tensor<5x4xf32>, tensor<5x4xi1> })"},
    {"reshape_round_trip", R"((%x: tensor<6x4xf32>, %y: tensor<6x4xf32>) -> tensor<6x4xf32> {
      %t = stablehlo.reshape %x : (tensor<6x4xf32>) -> tensor<24xf32>
      %u = stablehlo.reshape %y : (tensor<6x4xf32>) -> tensor<24xf32>
      %s = stablehlo.add %t, %u : tensor<24xf32>
      %r = stablehlo.reshape %s : (tensor<24xf32>) -> tensor<6x4xf32>
      return %r : tensor<6x4xf32> })"},
    {"reduce_transpose", R"((%x: tensor<6x4x3xf32>) -> (tensor<4xf32>, tensor<6x3xf32>) {
      %z = stablehlo.constant dense<0.0> : tensor<f32>
      %t = stablehlo.transpose %x, dims = [2, 1, 0] : (tensor<6x4x3xf32>) -> tensor<3x4x6xf32>
      %r = stablehlo.reduce(%t init: %z) applies stablehlo.add across dimensions = [0, 2] : (tensor<3x4x6xf32>, tensor<f32>) -> tensor<4xf32>
      %u = stablehlo.transpose %x, dims = [0, 2, 1] : (tensor<6x4x3xf32>) -> tensor<6x3x4xf32>
      %s = stablehlo.reduce(%u init: %z) applies stablehlo.maximum across dimensions = [2] : (tensor<6x3x4xf32>, tensor<f32>) -> tensor<6x3xf32>
      return %r, %s : tensor<4xf32>, tensor<6x3xf32> })"},
    {"multiply_shift", R"((%x: tensor<8xi8>, %y: tensor<8xui32>) -> (tensor<8xi8>, tensor<8xui32>) {
      %c = stablehlo.constant dense<4> : tensor<8xi8>
      %d = stablehlo.constant dense<2147483648> : tensor<8xui32>
      %r = stablehlo.multiply %x, %c : tensor<8xi8>
      %s = stablehlo.multiply %y, %d : tensor<8xui32>
      return %r, %s : tensor<8xi8>, tensor<8xui32> })"},
    {"divide_shift", R"((%x: tensor<8xui8>, %y: tensor<8xi8>) -> (tensor<8xui8>, tensor<8xi8>) {
      %c = stablehlo.constant dense<4> : tensor<8xui8>
      %d = stablehlo.constant dense<4> : tensor<8xi8>
      %r = stablehlo.divide %x, %c : tensor<8xui8>
      %s = stablehlo.divide %y, %d : tensor<8xi8>
      return %r, %s : tensor<8xui8>, tensor<8xi8> })"},
    {"remainder_mask", R"((%x: tensor<8xui8>, %y: tensor<8xi8>) -> (tensor<8xui8>, tensor<8xi8>) {
      %c = stablehlo.constant dense<16> : tensor<8xui8>
      %d = stablehlo.constant dense<16> : tensor<8xi8>
      %r = stablehlo.remainder %x, %c : tensor<8xui8>
      %s = stablehlo.remainder %y, %d : tensor<8xi8>
      return %r, %s : tensor<8xui8>, tensor<8xi8> })"},
};

}  // namespace

std::span<const PassCase> LayoutCases() { return kCases; }

}  // namespace megalith::codegen
