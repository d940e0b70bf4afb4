#include "common/machines/codegen/passes/pass_cases.h"

namespace megalith::codegen {
namespace {

constexpr PassCase kCases[] = {
    {"add_constant_right", R"((%x: tensor<8xf32>) -> tensor<8xf32> {
      %c = stablehlo.constant dense<2.0> : tensor<8xf32>
      %r = stablehlo.add %c, %x : tensor<8xf32>
      return %r : tensor<8xf32> })"},
    {"add_zero", R"((%x: tensor<8xf32>, %y: tensor<8xi32>) -> (tensor<8xf32>, tensor<8xi32>) {
      %c = stablehlo.constant dense<-0.0> : tensor<8xf32>
      %d = stablehlo.constant dense<0> : tensor<8xi32>
      %r = stablehlo.add %x, %c : tensor<8xf32>
      %s = stablehlo.add %d, %y : tensor<8xi32>
      return %r, %s : tensor<8xf32>, tensor<8xi32> })"},
    {"add_positive_zero",
     R"((%x: tensor<8xf32>, %y: tensor<2x8xf32>) -> (tensor<8xf32>, tensor<8xf32>, tensor<8xf32>) {
      %c = stablehlo.constant dense<0.0> : tensor<8xf32>
      %z = stablehlo.constant dense<0.0> : tensor<f32>
      %a = stablehlo.multiply %x, %x : tensor<8xf32>
      %r = stablehlo.add %a, %c : tensor<8xf32>
      %s = stablehlo.add %x, %c : tensor<8xf32>
      %b = stablehlo.reduce(%y init: %z) applies stablehlo.add across dimensions = [0] : (tensor<2x8xf32>, tensor<f32>) -> tensor<8xf32>
      %d = stablehlo.add %b, %x : tensor<8xf32>
      %t = stablehlo.add %d, %c : tensor<8xf32>
      return %r, %s, %t : tensor<8xf32>, tensor<8xf32>, tensor<8xf32> })"},
    {"subtract_zero", R"((%x: tensor<8xf32>, %y: tensor<8xui8>) -> (tensor<8xf32>, tensor<8xui8>) {
      %c = stablehlo.constant dense<0.0> : tensor<8xf32>
      %m = stablehlo.constant dense<-0.0> : tensor<8xf32>
      %d = stablehlo.constant dense<0> : tensor<8xui8>
      %r = stablehlo.subtract %x, %c : tensor<8xf32>
      %t = stablehlo.subtract %r, %m : tensor<8xf32>
      %s = stablehlo.subtract %y, %d : tensor<8xui8>
      return %t, %s : tensor<8xf32>, tensor<8xui8> })"},
    {"subtract_self", R"((%x: tensor<8xf32>, %y: tensor<8xi32>) -> (tensor<8xf32>, tensor<8xi32>) {
      %r = stablehlo.subtract %x, %x : tensor<8xf32>
      %s = stablehlo.subtract %y, %y : tensor<8xi32>
      return %r, %s : tensor<8xf32>, tensor<8xi32> })"},
    {"add_negated", R"((%x: tensor<8xf32>, %y: tensor<8xf32>) -> tensor<8xf32> {
      %n = stablehlo.negate %x : tensor<8xf32>
      %r = stablehlo.add %n, %y : tensor<8xf32>
      return %r : tensor<8xf32> })"},
    {"subtract_negated", R"((%x: tensor<8xf32>, %y: tensor<8xf32>) -> tensor<8xf32> {
      %n = stablehlo.negate %y : tensor<8xf32>
      %r = stablehlo.subtract %x, %n : tensor<8xf32>
      return %r : tensor<8xf32> })"},
    {"subtract_constant", R"((%x: tensor<8xui8>) -> tensor<8xui8> {
      %c = stablehlo.constant dense<3> : tensor<8xui8>
      %r = stablehlo.subtract %x, %c : tensor<8xui8>
      return %r : tensor<8xui8> })"},
    {"add_gather_constants", R"((%x: tensor<8xi8>) -> tensor<8xi8> {
      %c = stablehlo.constant dense<100> : tensor<8xi8>
      %d = stablehlo.constant dense<90> : tensor<8xi8>
      %r = stablehlo.add %x, %c : tensor<8xi8>
      %s = stablehlo.add %r, %d : tensor<8xi8>
      return %s : tensor<8xi8> })"},
    {"add_to_difference", R"((%x: tensor<8xi8>) -> tensor<8xi8> {
      %c = stablehlo.constant dense<100> : tensor<8xi8>
      %d = stablehlo.constant dense<90> : tensor<8xi8>
      %r = stablehlo.subtract %c, %x : tensor<8xi8>
      %s = stablehlo.add %r, %d : tensor<8xi8>
      return %s : tensor<8xi8> })"},
    {"multiply_gather_constants", R"((%x: tensor<8xi8>) -> tensor<8xi8> {
      %c = stablehlo.constant dense<100> : tensor<8xi8>
      %d = stablehlo.constant dense<90> : tensor<8xi8>
      %r = stablehlo.multiply %x, %c : tensor<8xi8>
      %s = stablehlo.multiply %r, %d : tensor<8xi8>
      return %s : tensor<8xi8> })"},
    {"subtract_term", R"((%x: tensor<8xi8>, %y: tensor<8xi8>) -> tensor<8xi8> {
      %r = stablehlo.add %x, %y : tensor<8xi8>
      %s = stablehlo.subtract %r, %x : tensor<8xi8>
      return %s : tensor<8xi8> })"},
    {"negate_twice", R"((%x: tensor<8xf32>) -> tensor<8xf32> {
      %r = stablehlo.negate %x : tensor<8xf32>
      %s = stablehlo.negate %r : tensor<8xf32>
      return %s : tensor<8xf32> })"},
    {"negate_difference", R"((%x: tensor<8xi32>, %y: tensor<8xi32>, %z: tensor<8xf32>)
        -> (tensor<8xi32>, tensor<8xf32>) {
      %r = stablehlo.subtract %x, %y : tensor<8xi32>
      %s = stablehlo.negate %r : tensor<8xi32>
      %t = stablehlo.subtract %z, %z : tensor<8xf32>
      %u = stablehlo.negate %t : tensor<8xf32>
      return %s, %u : tensor<8xi32>, tensor<8xf32> })"},
    {"multiply_constant_right", R"((%x: tensor<8xf16>) -> tensor<8xf16> {
      %c = stablehlo.constant dense<3.0> : tensor<8xf16>
      %r = stablehlo.multiply %c, %x : tensor<8xf16>
      return %r : tensor<8xf16> })"},
    {"multiply_one", R"((%x: tensor<8xf32>, %z: tensor<8xcomplex<f32>>)
        -> (tensor<8xf32>, tensor<8xcomplex<f32>>) {
      %c = stablehlo.constant dense<1.0> : tensor<8xf32>
      %r = stablehlo.multiply %x, %c : tensor<8xf32>
      %d = stablehlo.constant dense<(1.0, 0.0)> : tensor<8xcomplex<f32>>
      %s = stablehlo.multiply %z, %d : tensor<8xcomplex<f32>>
      return %r, %s : tensor<8xf32>, tensor<8xcomplex<f32>> })"},
    {"multiply_zero", R"((%x: tensor<8xf32>, %y: tensor<8xi32>) -> (tensor<8xf32>, tensor<8xi32>) {
      %c = stablehlo.constant dense<0.0> : tensor<8xf32>
      %d = stablehlo.constant dense<0> : tensor<8xi32>
      %r = stablehlo.multiply %x, %c : tensor<8xf32>
      %s = stablehlo.multiply %y, %d : tensor<8xi32>
      return %r, %s : tensor<8xf32>, tensor<8xi32> })"},
    {"multiply_minus_one", R"((%x: tensor<8xf32>) -> tensor<8xf32> {
      %c = stablehlo.constant dense<-1.0> : tensor<8xf32>
      %r = stablehlo.multiply %x, %c : tensor<8xf32>
      return %r : tensor<8xf32> })"},
    {"multiply_signs_cancel", R"((%x: tensor<8xf32>, %y: tensor<8xf32>)
        -> (tensor<8xf32>, tensor<8xf32>) {
      %a = stablehlo.negate %x : tensor<8xf32>
      %b = stablehlo.negate %y : tensor<8xf32>
      %r = stablehlo.multiply %a, %b : tensor<8xf32>
      %c = stablehlo.abs %x : tensor<8xf32>
      %s = stablehlo.multiply %c, %c : tensor<8xf32>
      return %r, %s : tensor<8xf32>, tensor<8xf32> })"},
    {"divide_one", R"((%x: tensor<8xf32>, %y: tensor<8xi32>) -> (tensor<8xf32>, tensor<8xi32>) {
      %c = stablehlo.constant dense<1.0> : tensor<8xf32>
      %d = stablehlo.constant dense<1> : tensor<8xi32>
      %r = stablehlo.divide %x, %c : tensor<8xf32>
      %s = stablehlo.divide %y, %d : tensor<8xi32>
      return %r, %s : tensor<8xf32>, tensor<8xi32> })"},
    {"divide_signs_cancel", R"((%x: tensor<8xf32>, %y: tensor<8xf32>) -> tensor<8xf32> {
      %a = stablehlo.negate %x : tensor<8xf32>
      %b = stablehlo.negate %y : tensor<8xf32>
      %r = stablehlo.divide %a, %b : tensor<8xf32>
      return %r : tensor<8xf32> })"},
    {"divide_power_of_two", R"((%x: tensor<8xf32>, %y: tensor<8xf16>, %z: tensor<8xbf16>)
        -> (tensor<8xf32>, tensor<8xf16>, tensor<8xbf16>) {
      %c = stablehlo.constant dense<8.0> : tensor<8xf32>
      %d = stablehlo.constant dense<-0.25> : tensor<8xf16>
      %e = stablehlo.constant dense<16.0> : tensor<8xbf16>
      %r = stablehlo.divide %x, %c : tensor<8xf32>
      %s = stablehlo.divide %y, %d : tensor<8xf16>
      %t = stablehlo.divide %z, %e : tensor<8xbf16>
      return %r, %s, %t : tensor<8xf32>, tensor<8xf16>, tensor<8xbf16> })"},
    {"remainder_one", R"((%x: tensor<8xi32>, %y: tensor<8xf32>) -> (tensor<8xi32>, tensor<8xf32>) {
      %c = stablehlo.constant dense<-1> : tensor<8xi32>
      %d = stablehlo.constant dense<1.0> : tensor<8xf32>
      %r = stablehlo.remainder %x, %c : tensor<8xi32>
      %s = stablehlo.remainder %y, %d : tensor<8xf32>
      return %r, %s : tensor<8xi32>, tensor<8xf32> })"},
    {"power_trivial", R"((%x: tensor<8xf32>) -> (tensor<8xf32>, tensor<8xf32>) {
      %c = stablehlo.constant dense<1.0> : tensor<8xf32>
      %d = stablehlo.constant dense<-0.0> : tensor<8xf32>
      %r = stablehlo.power %x, %c : tensor<8xf32>
      %s = stablehlo.power %x, %d : tensor<8xf32>
      return %r, %s : tensor<8xf32>, tensor<8xf32> })"},
    {"power_small", R"((%x: tensor<8xi8>) -> (tensor<8xi8>, tensor<8xi8>, tensor<8xi8>) {
      %a = stablehlo.constant dense<2> : tensor<8xi8>
      %b = stablehlo.constant dense<3> : tensor<8xi8>
      %c = stablehlo.constant dense<4> : tensor<8xi8>
      %r = stablehlo.power %x, %a : tensor<8xi8>
      %s = stablehlo.power %x, %b : tensor<8xi8>
      %t = stablehlo.power %x, %c : tensor<8xi8>
      return %r, %s, %t : tensor<8xi8>, tensor<8xi8>, tensor<8xi8> })"},
    {"power_square", R"((%x: tensor<8xf32>) -> (tensor<8xf32>, tensor<8xf32>) {
      %c = stablehlo.constant dense<2.0> : tensor<8xf32>
      %d = stablehlo.constant dense<-1.0> : tensor<8xf32>
      %r = stablehlo.power %x, %c : tensor<8xf32>
      %s = stablehlo.power %x, %d : tensor<8xf32>
      return %r, %s : tensor<8xf32>, tensor<8xf32> })"},
    {"divide_constant", R"((%x: tensor<8xf32>) -> tensor<8xf32> {
      %c = stablehlo.constant dense<3.0> : tensor<8xf32>
      %r = stablehlo.divide %x, %c : tensor<8xf32>
      return %r : tensor<8xf32> })"},
    {"maximum_constant_right", R"((%x: tensor<8xf32>) -> tensor<8xf32> {
      %c = stablehlo.constant dense<0.0> : tensor<8xf32>
      %r = stablehlo.maximum %c, %x : tensor<8xf32>
      return %r : tensor<8xf32> })"},
    {"minimum_constant_right", R"((%x: tensor<8xf32>) -> tensor<8xf32> {
      %c = stablehlo.constant dense<0.0> : tensor<8xf32>
      %r = stablehlo.minimum %c, %x : tensor<8xf32>
      return %r : tensor<8xf32> })"},
    {"maximum_self", R"((%x: tensor<8xf32>) -> tensor<8xf32> {
      %r = stablehlo.maximum %x, %x : tensor<8xf32>
      return %r : tensor<8xf32> })"},
    {"minimum_self", R"((%x: tensor<8xcomplex<f32>>) -> tensor<8xcomplex<f32>> {
      %r = stablehlo.minimum %x, %x : tensor<8xcomplex<f32>>
      return %r : tensor<8xcomplex<f32>> })"},
    {"maximum_bound", R"((%x: tensor<8xf32>, %y: tensor<8xui8>, %z: tensor<8xi32>)
        -> (tensor<8xf32>, tensor<8xui8>, tensor<8xi32>) {
      %c = stablehlo.constant dense<0xFF800000> : tensor<8xf32>
      %d = stablehlo.constant dense<0> : tensor<8xui8>
      %e = stablehlo.constant dense<2147483647> : tensor<8xi32>
      %r = stablehlo.maximum %c, %x : tensor<8xf32>
      %s = stablehlo.maximum %y, %d : tensor<8xui8>
      %t = stablehlo.maximum %z, %e : tensor<8xi32>
      return %r, %s, %t : tensor<8xf32>, tensor<8xui8>, tensor<8xi32> })"},
    {"minimum_bound", R"((%x: tensor<8xf32>, %y: tensor<8xui8>, %z: tensor<8xi1>)
        -> (tensor<8xf32>, tensor<8xui8>, tensor<8xi1>) {
      %c = stablehlo.constant dense<0x7F800000> : tensor<8xf32>
      %d = stablehlo.constant dense<255> : tensor<8xui8>
      %e = stablehlo.constant dense<true> : tensor<8xi1>
      %r = stablehlo.minimum %c, %x : tensor<8xf32>
      %s = stablehlo.minimum %y, %d : tensor<8xui8>
      %t = stablehlo.minimum %z, %e : tensor<8xi1>
      return %r, %s, %t : tensor<8xf32>, tensor<8xui8>, tensor<8xi1> })"},
    {"maximum_absorbs", R"((%x: tensor<8xf32>, %y: tensor<8xf32>) -> tensor<8xf32> {
      %r = stablehlo.maximum %x, %y : tensor<8xf32>
      %s = stablehlo.maximum %y, %r : tensor<8xf32>
      return %s : tensor<8xf32> })"},
    {"minimum_absorbs", R"((%x: tensor<8xf32>, %y: tensor<8xf32>) -> tensor<8xf32> {
      %r = stablehlo.minimum %x, %y : tensor<8xf32>
      %s = stablehlo.minimum %r, %x : tensor<8xf32>
      return %s : tensor<8xf32> })"},
    {"maximum_gather_constants", R"((%x: tensor<8xi8>) -> tensor<8xi8> {
      %c = stablehlo.constant dense<3> : tensor<8xi8>
      %d = stablehlo.constant dense<-9> : tensor<8xi8>
      %r = stablehlo.maximum %x, %c : tensor<8xi8>
      %s = stablehlo.maximum %r, %d : tensor<8xi8>
      return %s : tensor<8xi8> })"},
    {"minimum_gather_constants", R"((%x: tensor<8xi8>) -> tensor<8xi8> {
      %c = stablehlo.constant dense<3> : tensor<8xi8>
      %d = stablehlo.constant dense<-9> : tensor<8xi8>
      %r = stablehlo.minimum %x, %c : tensor<8xi8>
      %s = stablehlo.minimum %r, %d : tensor<8xi8>
      return %s : tensor<8xi8> })"},
    {"abs_twice", R"((%x: tensor<8xf32>) -> tensor<8xf32> {
      %r = stablehlo.abs %x : tensor<8xf32>
      %s = stablehlo.abs %r : tensor<8xf32>
      return %s : tensor<8xf32> })"},
    {"abs_negated", R"((%x: tensor<8xf32>, %y: tensor<8xui8>) -> (tensor<8xf32>, tensor<8xui8>) {
      %r = stablehlo.negate %x : tensor<8xf32>
      %s = stablehlo.abs %r : tensor<8xf32>
      %t = stablehlo.negate %y : tensor<8xui8>
      %u = stablehlo.abs %t : tensor<8xui8>
      return %s, %u : tensor<8xf32>, tensor<8xui8> })"},
    {"abs_unsigned", R"((%x: tensor<8xui8>) -> tensor<8xui8> {
      %r = stablehlo.abs %x : tensor<8xui8>
      return %r : tensor<8xui8> })"},
    {"sign_twice", R"((%x: tensor<8xf32>) -> tensor<8xf32> {
      %r = stablehlo.sign %x : tensor<8xf32>
      %s = stablehlo.sign %r : tensor<8xf32>
      return %s : tensor<8xf32> })"},
    {"floor_twice", R"((%x: tensor<8xf32>) -> tensor<8xf32> {
      %r = stablehlo.floor %x : tensor<8xf32>
      %s = stablehlo.floor %r : tensor<8xf32>
      return %s : tensor<8xf32> })"},
    {"ceil_twice", R"((%x: tensor<8xf32>) -> tensor<8xf32> {
      %r = stablehlo.ceil %x : tensor<8xf32>
      %s = stablehlo.ceil %r : tensor<8xf32>
      return %s : tensor<8xf32> })"},
    {"clamp_nothing", R"((%x: tensor<8xf32>, %y: tensor<8xi8>) -> (tensor<8xf32>, tensor<8xi8>) {
      %a = stablehlo.constant dense<0xFF800000> : tensor<f32>
      %b = stablehlo.constant dense<0x7F800000> : tensor<f32>
      %c = stablehlo.constant dense<-128> : tensor<i8>
      %d = stablehlo.constant dense<127> : tensor<8xi8>
      %e = stablehlo.constant dense<-128> : tensor<8xi8>
      %r = stablehlo.clamp %a, %x, %b : (tensor<f32>, tensor<8xf32>, tensor<f32>) -> tensor<8xf32>
      %s = stablehlo.clamp %e, %y, %d : tensor<8xi8>
      return %r, %s : tensor<8xf32>, tensor<8xi8> })"},
    {"clamp_point", R"((%y: tensor<8xi8>) -> tensor<8xi8> {
      %c = stablehlo.constant dense<5> : tensor<i8>
      %s = stablehlo.clamp %c, %y, %c : (tensor<i8>, tensor<8xi8>, tensor<i8>) -> tensor<8xi8>
      return %s : tensor<8xi8> })"},
    {"clamp_twice", R"((%x: tensor<8xf32>) -> tensor<8xf32> {
      %a = stablehlo.constant dense<-1.0> : tensor<f32>
      %b = stablehlo.constant dense<1.0> : tensor<f32>
      %r = stablehlo.clamp %a, %x, %b : (tensor<f32>, tensor<8xf32>, tensor<f32>) -> tensor<8xf32>
      %s = stablehlo.clamp %a, %r, %b : (tensor<f32>, tensor<8xf32>, tensor<f32>) -> tensor<8xf32>
      return %s : tensor<8xf32> })"},
    {"real_of_complex", R"((%x: tensor<8xf32>, %y: tensor<8xf32>) -> tensor<8xf32> {
      %r = stablehlo.complex %x, %y : tensor<8xcomplex<f32>>
      %s = stablehlo.real %r : (tensor<8xcomplex<f32>>) -> tensor<8xf32>
      return %s : tensor<8xf32> })"},
    {"imag_of_complex", R"((%x: tensor<8xf32>, %y: tensor<8xf32>) -> tensor<8xf32> {
      %r = stablehlo.complex %x, %y : tensor<8xcomplex<f32>>
      %s = stablehlo.imag %r : (tensor<8xcomplex<f32>>) -> tensor<8xf32>
      return %s : tensor<8xf32> })"},
    {"complex_of_parts", R"((%x: tensor<8xcomplex<f32>>) -> tensor<8xcomplex<f32>> {
      %r = stablehlo.real %x : (tensor<8xcomplex<f32>>) -> tensor<8xf32>
      %i = stablehlo.imag %x : (tensor<8xcomplex<f32>>) -> tensor<8xf32>
      %s = stablehlo.complex %r, %i : tensor<8xcomplex<f32>>
      return %s : tensor<8xcomplex<f32>> })"},
    {"and_constant_right", R"((%x: tensor<8xi8>) -> tensor<8xi8> {
      %c = stablehlo.constant dense<15> : tensor<8xi8>
      %r = stablehlo.and %c, %x : tensor<8xi8>
      return %r : tensor<8xi8> })"},
    {"or_constant_right", R"((%x: tensor<8xi8>) -> tensor<8xi8> {
      %c = stablehlo.constant dense<15> : tensor<8xi8>
      %r = stablehlo.or %c, %x : tensor<8xi8>
      return %r : tensor<8xi8> })"},
    {"xor_constant_right", R"((%x: tensor<8xi8>) -> tensor<8xi8> {
      %c = stablehlo.constant dense<15> : tensor<8xi8>
      %r = stablehlo.xor %c, %x : tensor<8xi8>
      return %r : tensor<8xi8> })"},
    {"and_self", R"((%x: tensor<8xi8>) -> tensor<8xi8> {
      %r = stablehlo.and %x, %x : tensor<8xi8>
      return %r : tensor<8xi8> })"},
    {"or_self", R"((%x: tensor<8xi1>) -> tensor<8xi1> {
      %r = stablehlo.or %x, %x : tensor<8xi1>
      return %r : tensor<8xi1> })"},
    {"xor_self", R"((%x: tensor<8xi8>) -> tensor<8xi8> {
      %r = stablehlo.xor %x, %x : tensor<8xi8>
      return %r : tensor<8xi8> })"},
    {"and_zeros", R"((%x: tensor<8xi1>) -> tensor<8xi1> {
      %c = stablehlo.constant dense<false> : tensor<8xi1>
      %r = stablehlo.and %x, %c : tensor<8xi1>
      return %r : tensor<8xi1> })"},
    {"or_zeros", R"((%x: tensor<8xi1>) -> tensor<8xi1> {
      %c = stablehlo.constant dense<false> : tensor<8xi1>
      %r = stablehlo.or %x, %c : tensor<8xi1>
      return %r : tensor<8xi1> })"},
    {"xor_zeros", R"((%x: tensor<8xi1>) -> tensor<8xi1> {
      %c = stablehlo.constant dense<false> : tensor<8xi1>
      %r = stablehlo.xor %x, %c : tensor<8xi1>
      return %r : tensor<8xi1> })"},
    {"and_ones", R"((%x: tensor<8xui8>) -> tensor<8xui8> {
      %c = stablehlo.constant dense<255> : tensor<8xui8>
      %r = stablehlo.and %x, %c : tensor<8xui8>
      return %r : tensor<8xui8> })"},
    {"or_ones", R"((%x: tensor<8xi8>) -> tensor<8xi8> {
      %c = stablehlo.constant dense<-1> : tensor<8xi8>
      %r = stablehlo.or %x, %c : tensor<8xi8>
      return %r : tensor<8xi8> })"},
    {"xor_ones", R"((%x: tensor<8xi1>) -> tensor<8xi1> {
      %c = stablehlo.constant dense<true> : tensor<8xi1>
      %r = stablehlo.xor %x, %c : tensor<8xi1>
      return %r : tensor<8xi1> })"},
    {"and_complement", R"((%x: tensor<8xi8>) -> tensor<8xi8> {
      %n = stablehlo.not %x : tensor<8xi8>
      %r = stablehlo.and %x, %n : tensor<8xi8>
      return %r : tensor<8xi8> })"},
    {"or_complement", R"((%x: tensor<8xui8>) -> tensor<8xui8> {
      %n = stablehlo.not %x : tensor<8xui8>
      %r = stablehlo.or %n, %x : tensor<8xui8>
      return %r : tensor<8xui8> })"},
    {"xor_complement", R"((%x: tensor<8xi1>) -> tensor<8xi1> {
      %n = stablehlo.not %x : tensor<8xi1>
      %r = stablehlo.xor %n, %x : tensor<8xi1>
      return %r : tensor<8xi1> })"},
    {"and_absorb", R"((%x: tensor<8xi8>, %y: tensor<8xi8>) -> (tensor<8xi8>, tensor<8xi8>) {
      %n = stablehlo.or %x, %y : tensor<8xi8>
      %r = stablehlo.and %x, %n : tensor<8xi8>
      %m = stablehlo.and %x, %y : tensor<8xi8>
      %s = stablehlo.and %m, %y : tensor<8xi8>
      return %r, %s : tensor<8xi8>, tensor<8xi8> })"},
    {"or_absorb", R"((%x: tensor<8xi8>, %y: tensor<8xi8>) -> tensor<8xi8> {
      %n = stablehlo.and %x, %y : tensor<8xi8>
      %r = stablehlo.or %n, %y : tensor<8xi8>
      return %r : tensor<8xi8> })"},
    {"and_gather_constants", R"((%x: tensor<8xi8>) -> tensor<8xi8> {
      %c = stablehlo.constant dense<15> : tensor<8xi8>
      %d = stablehlo.constant dense<51> : tensor<8xi8>
      %r = stablehlo.and %c, %x : tensor<8xi8>
      %s = stablehlo.and %r, %d : tensor<8xi8>
      return %s : tensor<8xi8> })"},
    {"or_gather_constants", R"((%x: tensor<8xi8>) -> tensor<8xi8> {
      %c = stablehlo.constant dense<15> : tensor<8xi8>
      %d = stablehlo.constant dense<51> : tensor<8xi8>
      %r = stablehlo.or %c, %x : tensor<8xi8>
      %s = stablehlo.or %r, %d : tensor<8xi8>
      return %s : tensor<8xi8> })"},
    {"xor_gather_constants", R"((%x: tensor<8xi8>) -> tensor<8xi8> {
      %c = stablehlo.constant dense<15> : tensor<8xi8>
      %d = stablehlo.constant dense<51> : tensor<8xi8>
      %r = stablehlo.xor %c, %x : tensor<8xi8>
      %s = stablehlo.xor %r, %d : tensor<8xi8>
      return %s : tensor<8xi8> })"},
    {"not_twice", R"((%x: tensor<8xi8>) -> tensor<8xi8> {
      %r = stablehlo.not %x : tensor<8xi8>
      %s = stablehlo.not %r : tensor<8xi8>
      return %s : tensor<8xi8> })"},
    {"not_compare", R"((%x: tensor<8xf32>, %y: tensor<8xf32>, %a: tensor<8xi8>, %b: tensor<8xi8>)
        -> (tensor<8xi1>, tensor<8xi1>, tensor<8xi1>) {
      %p = stablehlo.compare LT, %x, %y, FLOAT : (tensor<8xf32>, tensor<8xf32>) -> tensor<8xi1>
      %q = stablehlo.compare EQ, %x, %y, FLOAT : (tensor<8xf32>, tensor<8xf32>) -> tensor<8xi1>
      %r = stablehlo.compare GE, %a, %b, SIGNED : (tensor<8xi8>, tensor<8xi8>) -> tensor<8xi1>
      %s = stablehlo.not %p : tensor<8xi1>
      %t = stablehlo.not %q : tensor<8xi1>
      %u = stablehlo.not %r : tensor<8xi1>
      return %s, %t, %u : tensor<8xi1>, tensor<8xi1>, tensor<8xi1> })"},
    {"compare_constant_right", R"((%x: tensor<8xf32>) -> (tensor<8xi1>, tensor<8xi1>) {
      %c = stablehlo.constant dense<0.0> : tensor<8xf32>
      %p = stablehlo.compare LT, %c, %x, FLOAT : (tensor<8xf32>, tensor<8xf32>) -> tensor<8xi1>
      %q = stablehlo.compare GE, %c, %x, TOTALORDER : (tensor<8xf32>, tensor<8xf32>) -> tensor<8xi1>
      return %p, %q : tensor<8xi1>, tensor<8xi1> })"},
    {"compare_self", R"((%x: tensor<8xf32>, %a: tensor<8xi8>) -> (tensor<8xi1>, tensor<8xi1>) {
      %p = stablehlo.compare EQ, %x, %x, FLOAT : (tensor<8xf32>, tensor<8xf32>) -> tensor<8xi1>
      %q = stablehlo.compare GE, %a, %a, SIGNED : (tensor<8xi8>, tensor<8xi8>) -> tensor<8xi1>
      return %p, %q : tensor<8xi1>, tensor<8xi1> })"},
    {"compare_bound", R"((%a: tensor<8xui8>, %b: tensor<8xi8>) -> (tensor<8xi1>, tensor<8xi1>) {
      %c = stablehlo.constant dense<0> : tensor<8xui8>
      %d = stablehlo.constant dense<127> : tensor<8xi8>
      %p = stablehlo.compare LT, %a, %c, UNSIGNED : (tensor<8xui8>, tensor<8xui8>) -> tensor<8xi1>
      %q = stablehlo.compare LE, %b, %d, SIGNED : (tensor<8xi8>, tensor<8xi8>) -> tensor<8xi1>
      return %p, %q : tensor<8xi1>, tensor<8xi1> })"},
    {"compare_boolean", R"((%a: tensor<8xi1>) -> (tensor<8xi1>, tensor<8xi1>) {
      %c = stablehlo.constant dense<0> : tensor<8xi32>
      %d = stablehlo.constant dense<true> : tensor<8xi1>
      %b = stablehlo.convert %a : (tensor<8xi1>) -> tensor<8xi32>
      %p = stablehlo.compare EQ, %b, %c, SIGNED : (tensor<8xi32>, tensor<8xi32>) -> tensor<8xi1>
      %q = stablehlo.compare EQ, %a, %d, UNSIGNED : (tensor<8xi1>, tensor<8xi1>) -> tensor<8xi1>
      return %p, %q : tensor<8xi1>, tensor<8xi1> })"},
    {"compare_sum", R"((%a: tensor<8xi8>) -> tensor<8xi1> {
      %c = stablehlo.constant dense<100> : tensor<8xi8>
      %d = stablehlo.constant dense<-100> : tensor<8xi8>
      %s = stablehlo.add %a, %c : tensor<8xi8>
      %p = stablehlo.compare NE, %s, %d, SIGNED : (tensor<8xi8>, tensor<8xi8>) -> tensor<8xi1>
      return %p : tensor<8xi1> })"},
    {"select_constant", R"((%x: tensor<8xf32>, %y: tensor<8xf32>) -> tensor<8xf32> {
      %c = stablehlo.constant dense<false> : tensor<i1>
      %r = stablehlo.select %c, %x, %y : tensor<i1>, tensor<8xf32>
      return %r : tensor<8xf32> })"},
    {"select_same", R"((%p: tensor<8xi1>, %x: tensor<8xf32>) -> tensor<8xf32> {
      %r = stablehlo.select %p, %x, %x : tensor<8xi1>, tensor<8xf32>
      return %r : tensor<8xf32> })"},
    {"select_not", R"((%p: tensor<8xi1>, %x: tensor<8xf32>, %y: tensor<8xf32>) -> tensor<8xf32> {
      %n = stablehlo.not %p : tensor<8xi1>
      %r = stablehlo.select %n, %x, %y : tensor<8xi1>, tensor<8xf32>
      return %r : tensor<8xf32> })"},
    {"select_boolean", R"((%p: tensor<8xi1>, %x: tensor<8xi1>)
        -> (tensor<8xi1>, tensor<8xi1>, tensor<8xi1>, tensor<8xi1>) {
      %t = stablehlo.constant dense<true> : tensor<8xi1>
      %f = stablehlo.constant dense<false> : tensor<8xi1>
      %a = stablehlo.select %p, %t, %f : tensor<8xi1>, tensor<8xi1>
      %b = stablehlo.select %p, %f, %t : tensor<8xi1>, tensor<8xi1>
      %c = stablehlo.select %p, %t, %x : tensor<8xi1>, tensor<8xi1>
      %d = stablehlo.select %p, %x, %f : tensor<8xi1>, tensor<8xi1>
      return %a, %b, %c, %d : tensor<8xi1>, tensor<8xi1>, tensor<8xi1>, tensor<8xi1> })"},
    {"select_nested", R"((%p: tensor<8xi1>, %x: tensor<8xf32>, %y: tensor<8xf32>) -> tensor<8xf32> {
      %n = stablehlo.negate %x : tensor<8xf32>
      %r = stablehlo.select %p, %x, %y : tensor<8xi1>, tensor<8xf32>
      %s = stablehlo.select %p, %n, %r : tensor<8xi1>, tensor<8xf32>
      return %s : tensor<8xf32> })"},
    {"select_uniform", R"((%p: tensor<i1>, %x: tensor<8xf32>, %y: tensor<8xf32>) -> tensor<8xf32> {
      %q = stablehlo.broadcast_in_dim %p, dims = [] : (tensor<i1>) -> tensor<8xi1>
      %r = stablehlo.select %q, %x, %y : tensor<8xi1>, tensor<8xf32>
      return %r : tensor<8xf32> })"},
    {"convert_twice",
     R"((%a: tensor<8xbf16>, %b: tensor<8xi8>, %c: tensor<8xf32>, %d: tensor<8xi32>)
        -> (tensor<8xbf16>, tensor<8xf64>, tensor<8xf32>, tensor<8xui8>, tensor<8xi8>) {
      %0 = stablehlo.convert %a : (tensor<8xbf16>) -> tensor<8xf32>
      %1 = stablehlo.convert %0 : (tensor<8xf32>) -> tensor<8xbf16>
      %2 = stablehlo.convert %b : (tensor<8xi8>) -> tensor<8xf32>
      %3 = stablehlo.convert %2 : (tensor<8xf32>) -> tensor<8xf64>
      %4 = stablehlo.convert %c : (tensor<8xf32>) -> tensor<8xbf16>
      %5 = stablehlo.convert %4 : (tensor<8xbf16>) -> tensor<8xf32>
      %6 = stablehlo.convert %d : (tensor<8xi32>) -> tensor<8xi64>
      %7 = stablehlo.convert %6 : (tensor<8xi64>) -> tensor<8xui8>
      %8 = stablehlo.convert %d : (tensor<8xi32>) -> tensor<8xf64>
      %9 = stablehlo.convert %8 : (tensor<8xf64>) -> tensor<8xi8>
      return %1, %3, %5, %7, %9 : tensor<8xbf16>, tensor<8xf64>, tensor<8xf32>, tensor<8xui8>,
          tensor<8xi8> })"},
    {"bitcast_twice", R"((%a: tensor<8xf32>) -> (tensor<8xf32>, tensor<8xui32>) {
      %0 = stablehlo.bitcast_convert %a : (tensor<8xf32>) -> tensor<8xi32>
      %1 = stablehlo.bitcast_convert %0 : (tensor<8xi32>) -> tensor<8xf32>
      %2 = stablehlo.bitcast_convert %0 : (tensor<8xi32>) -> tensor<8xui32>
      return %1, %2 : tensor<8xf32>, tensor<8xui32> })"},
    {"reduce_precision_nothing", R"((%a: tensor<8xf32>, %b: tensor<8xbf16>)
        -> (tensor<8xf32>, tensor<8xbf16>, tensor<8xf32>) {
      %0 = stablehlo.reduce_precision %a, format = e8m23 : tensor<8xf32>
      %1 = stablehlo.reduce_precision %b, format = e8m7 : tensor<8xbf16>
      %2 = stablehlo.reduce_precision %a, format = e8m7 : tensor<8xf32>
      return %0, %1, %2 : tensor<8xf32>, tensor<8xbf16>, tensor<8xf32> })"},
};

}  // namespace

std::span<const PassCase> ArithmeticCases() { return kCases; }

}  // namespace megalith::codegen
