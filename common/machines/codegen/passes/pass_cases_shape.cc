#include "common/machines/codegen/passes/pass_cases.h"

namespace megalith::codegen {
namespace {

constexpr PassCase kCases[] = {
    {"reshape_splat", R"((%x: tensor<2x4xf32>) -> tensor<2x4xf32> {
      %c = stablehlo.constant dense<2.0> : tensor<8xf32>
      %r = stablehlo.reshape %c : (tensor<8xf32>) -> tensor<2x4xf32>
      %s = stablehlo.add %x, %r : tensor<2x4xf32>
      return %s : tensor<2x4xf32> })"},
    {"reshape_constant", R"((%x: tensor<2x2xf32>) -> tensor<2x2xf32> {
      %c = stablehlo.constant dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32>
      %r = stablehlo.reshape %c : (tensor<4xf32>) -> tensor<2x2xf32>
      %s = stablehlo.add %x, %r : tensor<2x2xf32>
      return %s : tensor<2x2xf32> })"},
    {"reshape_nothing", R"((%x: tensor<2x4xf32>) -> tensor<2x4xf32> {
      %r = stablehlo.reshape %x : (tensor<2x4xf32>) -> tensor<8xf32>
      %s = stablehlo.reshape %r : (tensor<8xf32>) -> tensor<2x4xf32>
      return %s : tensor<2x4xf32> })"},
    {"reshape_twice", R"((%x: tensor<2x4xf32>) -> tensor<4x2xf32> {
      %r = stablehlo.reshape %x : (tensor<2x4xf32>) -> tensor<8xf32>
      %s = stablehlo.reshape %r : (tensor<8xf32>) -> tensor<4x2xf32>
      return %s : tensor<4x2xf32> })"},
    {"reshape_broadcast", R"((%x: tensor<3xf32>, %y: tensor<f32>)
        -> (tensor<8x1x3xf32>, tensor<4x6xf32>, tensor<6x4xf32>) {
      %r = stablehlo.broadcast_in_dim %x, dims = [2] : (tensor<3xf32>) -> tensor<2x4x3xf32>
      %s = stablehlo.reshape %r : (tensor<2x4x3xf32>) -> tensor<8x1x3xf32>
      %t = stablehlo.broadcast_in_dim %y, dims = [] : (tensor<f32>) -> tensor<2x4x3xf32>
      %u = stablehlo.reshape %t : (tensor<2x4x3xf32>) -> tensor<4x6xf32>
      %v = stablehlo.reshape %r : (tensor<2x4x3xf32>) -> tensor<6x4xf32>
      return %s, %u, %v : tensor<8x1x3xf32>, tensor<4x6xf32>, tensor<6x4xf32> })"},
    {"transpose_splat", R"((%x: tensor<4x2xf32>) -> tensor<4x2xf32> {
      %c = stablehlo.constant dense<2.0> : tensor<2x4xf32>
      %r = stablehlo.transpose %c, dims = [1, 0] : (tensor<2x4xf32>) -> tensor<4x2xf32>
      %s = stablehlo.add %x, %r : tensor<4x2xf32>
      return %s : tensor<4x2xf32> })"},
    {"transpose_nothing", R"((%x: tensor<2x4xf32>) -> tensor<2x4xf32> {
      %r = stablehlo.transpose %x, dims = [1, 0] : (tensor<2x4xf32>) -> tensor<4x2xf32>
      %s = stablehlo.transpose %r, dims = [1, 0] : (tensor<4x2xf32>) -> tensor<2x4xf32>
      return %s : tensor<2x4xf32> })"},
    {"transpose_twice", R"((%x: tensor<2x4x3xf32>) -> tensor<4x2x3xf32> {
      %r = stablehlo.transpose %x, dims = [2, 0, 1] : (tensor<2x4x3xf32>) -> tensor<3x2x4xf32>
      %s = stablehlo.transpose %r, dims = [2, 1, 0] : (tensor<3x2x4xf32>) -> tensor<4x2x3xf32>
      return %s : tensor<4x2x3xf32> })"},
    {"transpose_ones", R"((%x: tensor<2x1x3xf32>) -> tensor<1x2x3xf32> {
      %r = stablehlo.transpose %x, dims = [1, 0, 2] : (tensor<2x1x3xf32>) -> tensor<1x2x3xf32>
      return %r : tensor<1x2x3xf32> })"},
    {"transpose_broadcast", R"((%x: tensor<2x3xf32>) -> tensor<3x4x2xf32> {
      %r = stablehlo.broadcast_in_dim %x, dims = [0, 2] : (tensor<2x3xf32>) -> tensor<2x4x3xf32>
      %s = stablehlo.transpose %r, dims = [2, 1, 0] : (tensor<2x4x3xf32>) -> tensor<3x4x2xf32>
      return %s : tensor<3x4x2xf32> })"},
    {"transpose_iota", R"((%x: tensor<4x2xi32>) -> tensor<4x2xi32> {
      %r = stablehlo.iota dim = 1 : tensor<2x4xi32>
      %s = stablehlo.transpose %r, dims = [1, 0] : (tensor<2x4xi32>) -> tensor<4x2xi32>
      %t = stablehlo.add %x, %s : tensor<4x2xi32>
      return %t : tensor<4x2xi32> })"},
    {"broadcast_splat", R"((%x: tensor<8xf32>) -> tensor<8xf32> {
      %c = stablehlo.constant dense<2.0> : tensor<f32>
      %r = stablehlo.broadcast_in_dim %c, dims = [] : (tensor<f32>) -> tensor<8xf32>
      %s = stablehlo.add %x, %r : tensor<8xf32>
      return %s : tensor<8xf32> })"},
    {"broadcast_nothing", R"((%x: tensor<2x3xf32>) -> tensor<2x3xf32> {
      %r = stablehlo.transpose %x, dims = [1, 0] : (tensor<2x3xf32>) -> tensor<3x2xf32>
      %s = stablehlo.broadcast_in_dim %r, dims = [1, 0] : (tensor<3x2xf32>) -> tensor<2x3xf32>
      return %s : tensor<2x3xf32> })"},
    {"broadcast_twice", R"((%x: tensor<3xf32>) -> tensor<4x3x2xf32> {
      %r = stablehlo.broadcast_in_dim %x, dims = [1] : (tensor<3xf32>) -> tensor<2x3xf32>
      %s = stablehlo.broadcast_in_dim %r, dims = [2, 1] : (tensor<2x3xf32>) -> tensor<4x3x2xf32>
      return %s : tensor<4x3x2xf32> })"},
    {"broadcast_all", R"((%x: tensor<3xf32>) -> tensor<3x1xf32> {
      %r = stablehlo.broadcast_in_dim %x, dims = [0] : (tensor<3xf32>) -> tensor<3x1xf32>
      return %r : tensor<3x1xf32> })"},
    {"broadcast_transpose", R"((%x: tensor<2x3xf32>) -> tensor<4x3x2xf32> {
      %r = stablehlo.transpose %x, dims = [1, 0] : (tensor<2x3xf32>) -> tensor<3x2xf32>
      %s = stablehlo.broadcast_in_dim %r, dims = [1, 2] : (tensor<3x2xf32>) -> tensor<4x3x2xf32>
      return %s : tensor<4x3x2xf32> })"},
    {"broadcast_reshape", R"((%x: tensor<3xf32>) -> tensor<3x4xf32> {
      %r = stablehlo.reshape %x : (tensor<3xf32>) -> tensor<3x1xf32>
      %s = stablehlo.broadcast_in_dim %r, dims = [0, 1] : (tensor<3x1xf32>) -> tensor<3x4xf32>
      return %s : tensor<3x4xf32> })"},
    {"broadcast_drop_ones", R"((%x: tensor<3x1xf32>) -> tensor<3x4xf32> {
      %s = stablehlo.broadcast_in_dim %x, dims = [0, 1] : (tensor<3x1xf32>) -> tensor<3x4xf32>
      return %s : tensor<3x4xf32> })"},
    {"reverse_splat", R"((%x: tensor<8xf32>) -> tensor<8xf32> {
      %c = stablehlo.constant dense<2.0> : tensor<8xf32>
      %r = stablehlo.reverse %c, dims = [0] : tensor<8xf32>
      %s = stablehlo.add %x, %r : tensor<8xf32>
      return %s : tensor<8xf32> })"},
    {"reverse_twice", R"((%x: tensor<2x3x4xf32>) -> tensor<2x3x4xf32> {
      %r = stablehlo.reverse %x, dims = [0, 1] : tensor<2x3x4xf32>
      %s = stablehlo.reverse %r, dims = [1, 2] : tensor<2x3x4xf32>
      return %s : tensor<2x3x4xf32> })"},
    {"reverse_same",
     R"((%x: tensor<3xf32>, %y: tensor<2x1xf32>) -> (tensor<3x4xf32>, tensor<2x1xf32>) {
      %r = stablehlo.broadcast_in_dim %x, dims = [0] : (tensor<3xf32>) -> tensor<3x4xf32>
      %s = stablehlo.reverse %r, dims = [0, 1] : tensor<3x4xf32>
      %t = stablehlo.reverse %y, dims = [0, 1] : tensor<2x1xf32>
      return %s, %t : tensor<3x4xf32>, tensor<2x1xf32> })"},
    {"iota_one", R"((%x: tensor<1x4xi32>) -> tensor<1x4xi32> {
      %r = stablehlo.iota dim = 0 : tensor<1x4xi32>
      %s = stablehlo.add %x, %r : tensor<1x4xi32>
      return %s : tensor<1x4xi32> })"},
    {"dimension_size", R"((%x: tensor<1x4xi32>) -> tensor<i32> {
      %r = stablehlo.get_dimension_size %x, dim = 1 : (tensor<1x4xi32>) -> tensor<i32>
      return %r : tensor<i32> })"},

    {"slice_splat", R"((%x: tensor<4xf32>) -> tensor<4xf32> {
      %c = stablehlo.constant dense<2.0> : tensor<8xf32>
      %r = stablehlo.slice %c [0:8:2] : (tensor<8xf32>) -> tensor<4xf32>
      %s = stablehlo.add %x, %r : tensor<4xf32>
      return %s : tensor<4xf32> })"},
    {"slice_full", R"((%x: tensor<8xf32>, %y: tensor<4xf32>) -> tensor<8xf32> {
      %j = stablehlo.concatenate %x, %y, dim = 0 : (tensor<8xf32>, tensor<4xf32>) -> tensor<12xf32>
      %r = stablehlo.slice %j [0:8] : (tensor<12xf32>) -> tensor<8xf32>
      return %r : tensor<8xf32> })"},
    {"slice_twice", R"((%x: tensor<20x5xf32>) -> (tensor<3x2xf32>, tensor<0x2xf32>) {
      %r = stablehlo.slice %x [1:18:2, 1:4] : (tensor<20x5xf32>) -> tensor<9x3xf32>
      %s = stablehlo.slice %r [2:8:2, 1:3] : (tensor<9x3xf32>) -> tensor<3x2xf32>
      %t = stablehlo.slice %r [9:9:2, 1:3] : (tensor<9x3xf32>) -> tensor<0x2xf32>
      return %s, %t : tensor<3x2xf32>, tensor<0x2xf32> })"},
    {"slice_broadcast", R"((%x: tensor<8x1xf32>, %y: tensor<3x8xf32>)
        -> (tensor<2x3x2xf32>, tensor<4x2x2xf32>) {
      %r = stablehlo.broadcast_in_dim %x, dims = [1, 2] : (tensor<8x1xf32>) -> tensor<4x8x3xf32>
      %s = stablehlo.slice %r [1:3, 2:7:2, 0:2] : (tensor<4x8x3xf32>) -> tensor<2x3x2xf32>
      %t = stablehlo.broadcast_in_dim %y, dims = [2, 1] : (tensor<3x8xf32>) -> tensor<4x8x3xf32>
      %u = stablehlo.slice %t [0:4, 2:6:2, 0:2] : (tensor<4x8x3xf32>) -> tensor<4x2x2xf32>
      return %s, %u : tensor<2x3x2xf32>, tensor<4x2x2xf32> })"},
    {"slice_iota", R"((%x: tensor<2x3xi32>) -> tensor<2x3xi32> {
      %r = stablehlo.iota dim = 1 : tensor<4x8xi32>
      %s = stablehlo.slice %r [1:4:2, 0:3] : (tensor<4x8xi32>) -> tensor<2x3xi32>
      %t = stablehlo.add %s, %x : tensor<2x3xi32>
      return %t : tensor<2x3xi32> })"},
    {"slice_concatenation", R"((%x: tensor<2x3xf32>, %y: tensor<2x5xf32>)
        -> (tensor<1x2xf32>, tensor<2x4xf32>) {
      %j = stablehlo.concatenate %x, %y, dim = 1 : (tensor<2x3xf32>, tensor<2x5xf32>) -> tensor<2x8xf32>
      %r = stablehlo.slice %j [0:1, 4:8:2] : (tensor<2x8xf32>) -> tensor<1x2xf32>
      %s = stablehlo.slice %j [0:2, 1:5] : (tensor<2x8xf32>) -> tensor<2x4xf32>
      return %r, %s : tensor<1x2xf32>, tensor<2x4xf32> })"},
    {"slice_pad",
     R"((%x: tensor<4xf32>, %v: tensor<f32>) -> (tensor<3xf32>, tensor<2xf32>, tensor<4xf32>) {
      %p = stablehlo.pad %x, %v, low = [2], high = [3], interior = [0] : (tensor<4xf32>, tensor<f32>) -> tensor<9xf32>
      %r = stablehlo.slice %p [3:6] : (tensor<9xf32>) -> tensor<3xf32>
      %s = stablehlo.slice %p [0:2] : (tensor<9xf32>) -> tensor<2xf32>
      %t = stablehlo.slice %p [1:5] : (tensor<9xf32>) -> tensor<4xf32>
      return %r, %s, %t : tensor<3xf32>, tensor<2xf32>, tensor<4xf32> })"},
    {"concatenate_one", R"((%x: tensor<3xf32>, %y: tensor<0xf32>) -> tensor<3xf32> {
      %j = stablehlo.concatenate %y, %x, dim = 0 : (tensor<0xf32>, tensor<3xf32>) -> tensor<3xf32>
      return %j : tensor<3xf32> })"},
    {"concatenate_empty", R"((%x: tensor<3xf32>, %y: tensor<0xf32>) -> tensor<6xf32> {
      %j = stablehlo.concatenate %x, %y, %x, dim = 0 : (tensor<3xf32>, tensor<0xf32>, tensor<3xf32>) -> tensor<6xf32>
      return %j : tensor<6xf32> })"},
    {"concatenate_splats", R"((%x: tensor<6xf32>) -> tensor<6xf32> {
      %c = stablehlo.constant dense<1.0> : tensor<2xf32>
      %d = stablehlo.constant dense<1.0> : tensor<4xf32>
      %j = stablehlo.concatenate %c, %d, dim = 0 : (tensor<2xf32>, tensor<4xf32>) -> tensor<6xf32>
      %k = stablehlo.add %j, %x : tensor<6xf32>
      return %k : tensor<6xf32> })"},
    {"concatenate_nested", R"((%x: tensor<2xf32>, %y: tensor<3xf32>) -> tensor<10xf32> {
      %a = stablehlo.concatenate %x, %y, dim = 0 : (tensor<2xf32>, tensor<3xf32>) -> tensor<5xf32>
      %b = stablehlo.concatenate %y, %a, %x, dim = 0 : (tensor<3xf32>, tensor<5xf32>, tensor<2xf32>) -> tensor<10xf32>
      return %b : tensor<10xf32> })"},
    {"concatenate_slices", R"((%x: tensor<3x8xf32>) -> tensor<3x6xf32> {
      %a = stablehlo.slice %x [0:3, 1:3] : (tensor<3x8xf32>) -> tensor<3x2xf32>
      %b = stablehlo.slice %x [0:3, 3:7] : (tensor<3x8xf32>) -> tensor<3x4xf32>
      %j = stablehlo.concatenate %a, %b, dim = 1 : (tensor<3x2xf32>, tensor<3x4xf32>) -> tensor<3x6xf32>
      return %j : tensor<3x6xf32> })"},
    {"pad_nothing", R"((%x: tensor<1xf32>, %v: tensor<f32>) -> tensor<1xf32> {
      %p = stablehlo.pad %x, %v, low = [0], high = [0], interior = [3] : (tensor<1xf32>, tensor<f32>) -> tensor<1xf32>
      return %p : tensor<1xf32> })"},
    {"pad_splat", R"((%x: tensor<6xf32>) -> tensor<6xf32> {
      %c = stablehlo.constant dense<1.0> : tensor<3xf32>
      %v = stablehlo.constant dense<1.0> : tensor<f32>
      %p = stablehlo.pad %c, %v, low = [2], high = [1], interior = [0] : (tensor<3xf32>, tensor<f32>) -> tensor<6xf32>
      %k = stablehlo.add %p, %x : tensor<6xf32>
      return %k : tensor<6xf32> })"},
    {"pad_empty", R"((%x: tensor<0xf32>, %v: tensor<f32>) -> tensor<3xf32> {
      %p = stablehlo.pad %x, %v, low = [2], high = [1], interior = [0] : (tensor<0xf32>, tensor<f32>) -> tensor<3xf32>
      return %p : tensor<3xf32> })"},
    {"pad_twice", R"((%x: tensor<3xf32>, %v: tensor<f32>) -> tensor<11xf32> {
      %p = stablehlo.pad %x, %v, low = [2], high = [1], interior = [1] : (tensor<3xf32>, tensor<f32>) -> tensor<8xf32>
      %q = stablehlo.pad %p, %v, low = [1], high = [2], interior = [0] : (tensor<8xf32>, tensor<f32>) -> tensor<11xf32>
      return %q : tensor<11xf32> })"},
    {"pad_negative", R"((%x: tensor<8xf32>, %v: tensor<f32>) -> tensor<5xf32> {
      %p = stablehlo.pad %x, %v, low = [-1], high = [-2], interior = [0] : (tensor<8xf32>, tensor<f32>) -> tensor<5xf32>
      return %p : tensor<5xf32> })"},

    {"dynamic_slice_splat", R"((%x: tensor<2xf32>, %i: tensor<i32>) -> tensor<2xf32> {
      %c = stablehlo.constant dense<2.0> : tensor<8xf32>
      %r = stablehlo.dynamic_slice %c, %i, sizes = [2] : (tensor<8xf32>, tensor<i32>) -> tensor<2xf32>
      %s = stablehlo.add %r, %x : tensor<2xf32>
      return %s : tensor<2xf32> })"},
    {"dynamic_slice_full", R"((%x: tensor<8xf32>, %i: tensor<i32>) -> tensor<8xf32> {
      %r = stablehlo.dynamic_slice %x, %i, sizes = [8] : (tensor<8xf32>, tensor<i32>) -> tensor<8xf32>
      return %r : tensor<8xf32> })"},
    {"dynamic_slice_constant", R"((%x: tensor<8x4xf32>) -> (tensor<2x1xf32>, tensor<2x1xf32>) {
      %i = stablehlo.constant dense<7> : tensor<i32>
      %j = stablehlo.constant dense<-3> : tensor<i32>
      %k = stablehlo.constant dense<18446744073709551615> : tensor<ui64>
      %r = stablehlo.dynamic_slice %x, %i, %j, sizes = [2, 1] : (tensor<8x4xf32>, tensor<i32>, tensor<i32>) -> tensor<2x1xf32>
      %s = stablehlo.dynamic_slice %x, %k, %k, sizes = [2, 1] : (tensor<8x4xf32>, tensor<ui64>, tensor<ui64>) -> tensor<2x1xf32>
      return %r, %s : tensor<2x1xf32>, tensor<2x1xf32> })"},
    {"dynamic_slice_update",
     R"((%x: tensor<8xf32>, %u: tensor<2xf32>, %i: tensor<i32>) -> tensor<2xf32> {
      %d = stablehlo.dynamic_update_slice %x, %u, %i : (tensor<8xf32>, tensor<2xf32>, tensor<i32>) -> tensor<8xf32>
      %r = stablehlo.dynamic_slice %d, %i, sizes = [2] : (tensor<8xf32>, tensor<i32>) -> tensor<2xf32>
      return %r : tensor<2xf32> })"},
    {"dynamic_slice_trim", R"((%x: tensor<8x4xf32>, %i: tensor<i32>) -> tensor<1x4xf32> {
      %r = stablehlo.dynamic_slice %x, %i, %i, sizes = [1, 4] : (tensor<8x4xf32>, tensor<i32>, tensor<i32>) -> tensor<1x4xf32>
      return %r : tensor<1x4xf32> })"},
    {"update_all", R"((%x: tensor<8xf32>, %u: tensor<8xf32>, %i: tensor<i32>) -> tensor<8xf32> {
      %d = stablehlo.dynamic_update_slice %x, %u, %i : (tensor<8xf32>, tensor<8xf32>, tensor<i32>) -> tensor<8xf32>
      return %d : tensor<8xf32> })"},
    {"update_nothing", R"((%x: tensor<8xf32>, %u: tensor<0xf32>, %i: tensor<i32>) -> tensor<8xf32> {
      %d = stablehlo.dynamic_update_slice %x, %u, %i : (tensor<8xf32>, tensor<0xf32>, tensor<i32>) -> tensor<8xf32>
      return %d : tensor<8xf32> })"},
    {"update_twice",
     R"((%x: tensor<8xf32>, %u: tensor<2xf32>, %v: tensor<2xf32>, %i: tensor<i32>) -> tensor<8xf32> {
      %d = stablehlo.dynamic_update_slice %x, %u, %i : (tensor<8xf32>, tensor<2xf32>, tensor<i32>) -> tensor<8xf32>
      %e = stablehlo.dynamic_update_slice %d, %v, %i : (tensor<8xf32>, tensor<2xf32>, tensor<i32>) -> tensor<8xf32>
      return %e : tensor<8xf32> })"},
    {"update_trim",
     R"((%x: tensor<8x4xf32>, %u: tensor<1x4xf32>, %i: tensor<i32>) -> tensor<8x4xf32> {
      %d = stablehlo.dynamic_update_slice %x, %u, %i, %i : (tensor<8x4xf32>, tensor<1x4xf32>, tensor<i32>, tensor<i32>) -> tensor<8x4xf32>
      return %d : tensor<8x4xf32> })"},
    {"gather_splat", R"((%i: tensor<2x1xi32>, %x: tensor<2xf32>) -> tensor<2xf32> {
      %c = stablehlo.constant dense<2.0> : tensor<8xf32>
      %r = "stablehlo.gather"(%c, %i) <{dimension_numbers = #stablehlo.gather<collapsed_slice_dims = [0], start_index_map = [0], index_vector_dim = 1>, slice_sizes = array<i64: 1>}> : (tensor<8xf32>, tensor<2x1xi32>) -> tensor<2xf32>
      %s = stablehlo.add %r, %x : tensor<2xf32>
      return %s : tensor<2xf32> })"},
    {"gather_one",
     R"((%x: tensor<8x4x5xf32>, %i: tensor<2xi32>, %j: tensor<1xi32>, %k: tensor<1x1xui8>)
        -> (tensor<4xf32>, tensor<4x3xf32>, tensor<1x8x1x5xf32>) {
      %r = "stablehlo.gather"(%x, %i) <{dimension_numbers = #stablehlo.gather<offset_dims = [0], collapsed_slice_dims = [0, 2], start_index_map = [2, 0], index_vector_dim = 0>, slice_sizes = array<i64: 1, 4, 1>}> : (tensor<8x4x5xf32>, tensor<2xi32>) -> tensor<4xf32>
      %s = "stablehlo.gather"(%x, %j) <{dimension_numbers = #stablehlo.gather<offset_dims = [0, 1], collapsed_slice_dims = [0], start_index_map = [0], index_vector_dim = 0>, slice_sizes = array<i64: 1, 4, 3>}> : (tensor<8x4x5xf32>, tensor<1xi32>) -> tensor<4x3xf32>
      %t = "stablehlo.gather"(%x, %k) <{dimension_numbers = #stablehlo.gather<offset_dims = [1, 2, 3], start_index_map = [1], index_vector_dim = 1>, slice_sizes = array<i64: 8, 1, 5>}> : (tensor<8x4x5xf32>, tensor<1x1xui8>) -> tensor<1x8x1x5xf32>
      return %r, %s, %t : tensor<4xf32>, tensor<4x3xf32>, tensor<1x8x1x5xf32> })"},
    {"scatter_one", R"((%x: tensor<8x4xf32>, %u: tensor<4xf32>, %v: tensor<1x1xf32>)
        -> (tensor<8x4xf32>, tensor<8x4xf32>, tensor<8x4xf32>) {
      %i = stablehlo.constant dense<7> : tensor<1xi32>
      %o = stablehlo.constant dense<8> : tensor<1xi32>
      %j = stablehlo.constant dense<[3, 2]> : tensor<2xi32>
      %r = "stablehlo.scatter"(%x, %i, %u) <{scatter_dimension_numbers = #stablehlo.scatter<update_window_dims = [0], inserted_window_dims = [0], scatter_dims_to_operand_dims = [0]>}> ({
        ^bb0(%a: tensor<f32>, %b: tensor<f32>):
          stablehlo.return %b : tensor<f32>
        }) : (tensor<8x4xf32>, tensor<1xi32>, tensor<4xf32>) -> tensor<8x4xf32>
      %s = "stablehlo.scatter"(%x, %j, %v) <{scatter_dimension_numbers = #stablehlo.scatter<update_window_dims = [0, 1], scatter_dims_to_operand_dims = [1, 0]>}> ({
        ^bb0(%a: tensor<f32>, %b: tensor<f32>):
          stablehlo.return %b : tensor<f32>
        }) : (tensor<8x4xf32>, tensor<2xi32>, tensor<1x1xf32>) -> tensor<8x4xf32>
      %t = "stablehlo.scatter"(%x, %o, %u) <{scatter_dimension_numbers = #stablehlo.scatter<update_window_dims = [0], inserted_window_dims = [0], scatter_dims_to_operand_dims = [0]>}> ({
        ^bb0(%a: tensor<f32>, %b: tensor<f32>):
          stablehlo.return %b : tensor<f32>
        }) : (tensor<8x4xf32>, tensor<1xi32>, tensor<4xf32>) -> tensor<8x4xf32>
      return %r, %s, %t : tensor<8x4xf32>, tensor<8x4xf32>, tensor<8x4xf32> })"},

    {"reduce_ones", R"((%x: tensor<8x1xf32>, %y: tensor<8x1x3xf32>, %z: tensor<1xi32>)
        -> (tensor<8xf32>, tensor<3xf32>, tensor<8x1xf32>, tensor<i32>) {
      %c = stablehlo.constant dense<0.0> : tensor<f32>
      %d = stablehlo.constant dense<5> : tensor<i32>
      %m = stablehlo.constant dense<0xFF800000> : tensor<f32>
      %r = stablehlo.reduce(%x init: %c) applies stablehlo.add across dimensions = [1] : (tensor<8x1xf32>, tensor<f32>) -> tensor<8xf32>
      %s = stablehlo.reduce(%y init: %m) applies stablehlo.maximum across dimensions = [0, 1] : (tensor<8x1x3xf32>, tensor<f32>) -> tensor<3xf32>
      %t = stablehlo.reduce(%x init: %c) applies stablehlo.multiply across dimensions = [] : (tensor<8x1xf32>, tensor<f32>) -> tensor<8x1xf32>
      %u = stablehlo.reduce(%z init: %d) applies stablehlo.xor across dimensions = [0] : (tensor<1xi32>, tensor<i32>) -> tensor<i32>
      return %r, %s, %t, %u : tensor<8xf32>, tensor<3xf32>, tensor<8x1xf32>, tensor<i32> })"},
    {"sort_unused",
     R"((%x: tensor<8xi32>, %y: tensor<8xf32>, %z: tensor<8xi32>) -> (tensor<8xi32>, tensor<8xi32>) {
      %r:3 = "stablehlo.sort"(%x, %y, %z) <{dimension = 0 : i64, is_stable = true}> ({
        ^bb0(%a: tensor<i32>, %b: tensor<i32>, %c: tensor<f32>, %d: tensor<f32>, %e: tensor<i32>, %f: tensor<i32>):
          %p = stablehlo.compare LT, %a, %b : (tensor<i32>, tensor<i32>) -> tensor<i1>
          stablehlo.return %p : tensor<i1>
        }) : (tensor<8xi32>, tensor<8xf32>, tensor<8xi32>) -> (tensor<8xi32>, tensor<8xf32>, tensor<8xi32>)
      return %r#0, %r#2 : tensor<8xi32>, tensor<8xi32> })"},
    {"reduce_splat", R"((%x: tensor<3xi1>) -> tensor<3xi1> {
      %t = stablehlo.constant dense<true> : tensor<i1>
      %m = stablehlo.constant dense<true> : tensor<3x4xi1>
      %r = stablehlo.reduce(%m init: %t) applies stablehlo.and across dimensions = [1] : (tensor<3x4xi1>, tensor<i1>) -> tensor<3xi1>
      %s = stablehlo.and %r, %x : tensor<3xi1>
      return %s : tensor<3xi1> })"},
    {"reduce_repeated",
     R"((%x: tensor<8x3xf32>, %y: tensor<f32>) -> (tensor<3xf32>, tensor<3xf32>) {
      %m = stablehlo.constant dense<1.0> : tensor<f32>
      %b = stablehlo.broadcast_in_dim %x, dims = [2, 1] : (tensor<8x3xf32>) -> tensor<4x3x8xf32>
      %r = stablehlo.reduce(%b init: %m) applies stablehlo.maximum across dimensions = [0, 2] : (tensor<4x3x8xf32>, tensor<f32>) -> tensor<3xf32>
      %c = stablehlo.broadcast_in_dim %y, dims = [] : (tensor<f32>) -> tensor<4x3xf32>
      %s = stablehlo.reduce(%c init: %m) applies stablehlo.minimum across dimensions = [0] : (tensor<4x3xf32>, tensor<f32>) -> tensor<3xf32>
      return %r, %s : tensor<3xf32>, tensor<3xf32> })"},
};

}  // namespace

std::span<const PassCase> ShapeCases() { return kCases; }

}  // namespace megalith::codegen
