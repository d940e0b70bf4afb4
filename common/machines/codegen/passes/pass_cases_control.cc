#include "common/machines/codegen/passes/pass_cases.h"

namespace megalith::codegen {
namespace {

constexpr PassCase kCases[] = {
    {"if_constant", R"((%x: tensor<f32>) -> tensor<f32> {
      %c = stablehlo.constant dense<false> : tensor<i1>
      %r = "stablehlo.if"(%c) ({
          %a = stablehlo.sine %x : tensor<f32>
          stablehlo.return %a : tensor<f32>
        }, {
          %a = stablehlo.cosine %x : tensor<f32>
          stablehlo.return %a : tensor<f32>
        }) : (tensor<i1>) -> tensor<f32>
      return %r : tensor<f32> })"},
    {"if_agree", R"((%x: tensor<f32>, %p: tensor<i1>) -> (tensor<f32>, tensor<f32>) {
      %r:2 = "stablehlo.if"(%p) ({
          %a = stablehlo.sine %x : tensor<f32>
          stablehlo.return %a, %x : tensor<f32>, tensor<f32>
        }, {
          %a = stablehlo.cosine %x : tensor<f32>
          stablehlo.return %a, %x : tensor<f32>, tensor<f32>
        }) : (tensor<i1>) -> (tensor<f32>, tensor<f32>)
      return %r#0, %r#1 : tensor<f32>, tensor<f32> })"},
    {"if_unused", R"((%x: tensor<f32>, %p: tensor<i1>) -> tensor<f32> {
      %r:2 = "stablehlo.if"(%p) ({
          %a = stablehlo.sine %x : tensor<f32>
          %b = stablehlo.tanh %x : tensor<f32>
          stablehlo.return %a, %b : tensor<f32>, tensor<f32>
        }, {
          %a = stablehlo.cosine %x : tensor<f32>
          stablehlo.return %x, %a : tensor<f32>, tensor<f32>
        }) : (tensor<i1>) -> (tensor<f32>, tensor<f32>)
      return %r#1 : tensor<f32> })"},
    {"case_constant", R"((%x: tensor<f32>) -> (tensor<f32>, tensor<f32>) {
      %c = stablehlo.constant dense<-1> : tensor<i32>
      %d = stablehlo.constant dense<0> : tensor<i32>
      %r = "stablehlo.case"(%c) ({
          %a = stablehlo.sine %x : tensor<f32>
          stablehlo.return %a : tensor<f32>
        }, {
          %a = stablehlo.cosine %x : tensor<f32>
          stablehlo.return %a : tensor<f32>
        }) : (tensor<i32>) -> tensor<f32>
      %s = "stablehlo.case"(%d) ({
          %p = stablehlo.compare LT, %x, %x : (tensor<f32>, tensor<f32>) -> tensor<i1>
          %a = "stablehlo.if"(%p) ({
              stablehlo.return %r : tensor<f32>
            }, {
              stablehlo.return %x : tensor<f32>
            }) : (tensor<i1>) -> tensor<f32>
          stablehlo.return %a : tensor<f32>
        }, {
          stablehlo.return %x : tensor<f32>
        }) : (tensor<i32>) -> tensor<f32>
      return %r, %s : tensor<f32>, tensor<f32> })"},
    {"case_agree", R"((%x: tensor<f32>, %p: tensor<i32>) -> (tensor<f32>, tensor<f32>) {
      %r:2 = "stablehlo.case"(%p) ({
          %a = stablehlo.sine %x : tensor<f32>
          stablehlo.return %a, %x : tensor<f32>, tensor<f32>
        }, {
          %a = stablehlo.cosine %x : tensor<f32>
          stablehlo.return %a, %x : tensor<f32>, tensor<f32>
        }) : (tensor<i32>) -> (tensor<f32>, tensor<f32>)
      return %r#0, %r#1 : tensor<f32>, tensor<f32> })"},
    {"case_unused", R"((%x: tensor<f32>, %p: tensor<i32>) -> tensor<f32> {
      %r:2 = "stablehlo.case"(%p) ({
          %a = stablehlo.sine %x : tensor<f32>
          %b = stablehlo.tanh %x : tensor<f32>
          stablehlo.return %a, %b : tensor<f32>, tensor<f32>
        }, {
          %a = stablehlo.cosine %x : tensor<f32>
          stablehlo.return %x, %a : tensor<f32>, tensor<f32>
        }) : (tensor<i32>) -> (tensor<f32>, tensor<f32>)
      return %r#0 : tensor<f32> })"},
    {"while_never", R"((%x: tensor<f32>) -> tensor<f32> {
      %f = stablehlo.constant dense<false> : tensor<i1>
      %r = stablehlo.while(%a = %x) : tensor<f32>
        cond { stablehlo.return %f : tensor<i1> }
        do { %b = stablehlo.sine %a : tensor<f32>
          stablehlo.return %b : tensor<f32> }
      return %r : tensor<f32> })"},
    {"barrier", R"((%x: tensor<f32>, %y: tensor<f32>) -> (tensor<f32>, tensor<f32>) {
      %r:2 = stablehlo.optimization_barrier %x, %y : tensor<f32>, tensor<f32>
      return %r#1, %r#0 : tensor<f32>, tensor<f32> })"},
};

}  // namespace

std::span<const PassCase> ControlCases() { return kCases; }

}  // namespace megalith::codegen
