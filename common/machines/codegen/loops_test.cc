// Loops of all kinds, run by the reference evaluator, by steps and as one function each.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "common/foundation/base/cancellation.h"
#include "common/foundation/base/strings.h"
#include "common/machines/codegen/cpu/emit.h"
#include "common/machines/codegen/cpu_backend.h"
#include "common/machines/kernels/work_pool.h"
#include "common/machines/runtime/cpu/code_image.h"
#include "common/machines/runtime/package.h"
#include "common/machines/runtime/plan_runner.h"
#include "common/programs/stablehlo/evaluate.h"
#include "common/programs/stablehlo/parser.h"

namespace megalith::codegen {
namespace {

using runtime::CodeImage;
using runtime::CodeKind;
using runtime::CompileOptions;
using runtime::Package;
using tensor::DType;
using tensor::Tensor;

struct LoopCase {
  std::string_view name;
  std::string_view program;  // what follows "func.func public @main"
  int whiles = 1;            // that become functions
};

// Programs of many shapes for one text: $ stands for them.
std::string With(std::string_view text, std::string_view what) {
  std::string out;
  for (const char c : text) {
    if (c == '$') {
      out += what;
    } else {
      out += c;
    }
  }
  return out;
}

constexpr LoopCase kCases[] = {
    {"no_turn", R"((%n: tensor<i32>) -> (tensor<i32>, tensor<f32>) {
      %x = stablehlo.constant dense<1.5> : tensor<f32>
      %z = stablehlo.constant dense<0> : tensor<i32>
      %r:2 = stablehlo.while(%i = %n, %a = %x) : tensor<i32>, tensor<f32>
        cond { %p = stablehlo.compare LT, %i, %z, SIGNED : (tensor<i32>, tensor<i32>) -> tensor<i1>
          stablehlo.return %p : tensor<i1> }
        do { %b = stablehlo.sine %a : tensor<f32>
          %one = stablehlo.constant dense<1> : tensor<i32>
          %j = stablehlo.add %i, %one : tensor<i32>
          stablehlo.return %j, %b : tensor<i32>, tensor<f32> }
      return %r#0, %r#1 : tensor<i32>, tensor<f32> })"},
    {"one_turn", R"((%n: tensor<i32>) -> (tensor<i32>, tensor<f32>) {
      %x = stablehlo.constant dense<1.5> : tensor<f32>
      %r:2 = stablehlo.while(%i = %n, %a = %x) : tensor<i32>, tensor<f32>
        cond { %p = stablehlo.compare EQ, %i, %n, SIGNED : (tensor<i32>, tensor<i32>) -> tensor<i1>
          stablehlo.return %p : tensor<i1> }
        do { %b = stablehlo.sine %a : tensor<f32>
          %one = stablehlo.constant dense<1> : tensor<i32>
          %j = stablehlo.add %i, %one : tensor<i32>
          stablehlo.return %j, %b : tensor<i32>, tensor<f32> }
      return %r#0, %r#1 : tensor<i32>, tensor<f32> })"},
    // Newton's iteration for a square root, until it no longer moves much.
    {"ends_by_its_data", R"((%v: tensor<f64>) -> (tensor<f64>, tensor<i64>) {
      %zero = stablehlo.constant dense<0> : tensor<i64>
      %one = stablehlo.constant dense<1> : tensor<i64>
      %half = stablehlo.constant dense<0.5> : tensor<f64>
      %eps = stablehlo.constant dense<1.0e-9> : tensor<f64>
      %r:3 = stablehlo.while(%x = %v, %d = %v, %n = %zero) : tensor<f64>, tensor<f64>, tensor<i64>
        cond { %p = stablehlo.compare GT, %d, %eps : (tensor<f64>, tensor<f64>) -> tensor<i1>
          stablehlo.return %p : tensor<i1> }
        do { %q = stablehlo.divide %v, %x : tensor<f64>
          %s = stablehlo.add %x, %q : tensor<f64>
          %y = stablehlo.multiply %s, %half : tensor<f64>
          %e = stablehlo.subtract %x, %y : tensor<f64>
          %a = stablehlo.abs %e : tensor<f64>
          %m = stablehlo.add %n, %one : tensor<i64>
          stablehlo.return %y, %a, %m : tensor<f64>, tensor<f64>, tensor<i64> }
      return %r#0, %r#2 : tensor<f64>, tensor<i64> })"},
    {"nested", R"((%n: tensor<i32>) -> tensor<i32> {
      %zero = stablehlo.constant dense<0> : tensor<i32>
      %one = stablehlo.constant dense<1> : tensor<i32>
      %two = stablehlo.constant dense<2> : tensor<i32>
      %three = stablehlo.constant dense<3> : tensor<i32>
      %r:2 = stablehlo.while(%i = %one, %best = %zero) : tensor<i32>, tensor<i32>
        cond { %p = stablehlo.compare LT, %i, %n, SIGNED : (tensor<i32>, tensor<i32>) -> tensor<i1>
          stablehlo.return %p : tensor<i1> }
        do { %c:2 = stablehlo.while(%at = %i, %k = %zero) : tensor<i32>, tensor<i32>
            cond { %p = stablehlo.compare GT, %at, %one, SIGNED : (tensor<i32>, tensor<i32>) -> tensor<i1>
              stablehlo.return %p : tensor<i1> }
            do { %m = stablehlo.remainder %at, %two : tensor<i32>
              %even = stablehlo.compare EQ, %m, %zero, SIGNED : (tensor<i32>, tensor<i32>) -> tensor<i1>
              %h = stablehlo.divide %at, %two : tensor<i32>
              %t = stablehlo.multiply %at, %three : tensor<i32>
              %u = stablehlo.add %t, %one : tensor<i32>
              %w = stablehlo.select %even, %h, %u : tensor<i1>, tensor<i32>
              %l = stablehlo.add %k, %one : tensor<i32>
              stablehlo.return %w, %l : tensor<i32>, tensor<i32> }
          %b = stablehlo.maximum %best, %c#1 : tensor<i32>
          %j = stablehlo.add %i, %one : tensor<i32>
          stablehlo.return %j, %b : tensor<i32>, tensor<i32> }
      return %r#1 : tensor<i32> })"},
    {"counted_around_counted", R"((%x: tensor<5xf32>) -> tensor<5xf32> {
      %zero = stablehlo.constant dense<0> : tensor<i32>
      %one = stablehlo.constant dense<1> : tensor<i32>
      %n = stablehlo.constant dense<27> : tensor<i32>
      %k = stablehlo.constant dense<0.75> : tensor<5xf32>
      %r:2 = stablehlo.while(%i = %zero, %a = %x) : tensor<i32>, tensor<5xf32>
        cond { %p = stablehlo.compare LT, %i, %n, SIGNED : (tensor<i32>, tensor<i32>) -> tensor<i1>
          stablehlo.return %p : tensor<i1> }
        do { %c:2 = stablehlo.while(%j = %zero, %b = %a) : tensor<i32>, tensor<5xf32>
            cond { %p = stablehlo.compare LT, %j, %n, SIGNED : (tensor<i32>, tensor<i32>) -> tensor<i1>
              stablehlo.return %p : tensor<i1> }
            do { %s = stablehlo.multiply %b, %k : tensor<5xf32>
              %f = stablehlo.convert %i : (tensor<i32>) -> tensor<f32>
              %w = stablehlo.broadcast_in_dim %f, dims = [] : (tensor<f32>) -> tensor<5xf32>
              %t = stablehlo.add %s, %w : tensor<5xf32>
              %l = stablehlo.add %j, %one : tensor<i32>
              stablehlo.return %l, %t : tensor<i32>, tensor<5xf32> }
          %j = stablehlo.add %i, %one : tensor<i32>
          stablehlo.return %j, %c#1 : tensor<i32>, tensor<5xf32> }
      return %r#1 : tensor<5xf32> })"},
    // a, b, c = b, c, a with a number of bytes that no vector divides, and the same of scalars.
    {"swaps",
     R"((%x: tensor<37xi8>, %y: tensor<37xi8>, %z: tensor<37xi8>, %s: tensor<f32>, %t: tensor<f32>)
        -> (tensor<37xi8>, tensor<37xi8>, tensor<37xi8>, tensor<f32>, tensor<f32>) {
      %zero = stablehlo.constant dense<0> : tensor<i32>
      %one = stablehlo.constant dense<1> : tensor<i32>
      %n = stablehlo.constant dense<41> : tensor<i32>
      %r:6 = stablehlo.while(%i = %zero, %a = %x, %b = %y, %c = %z, %u = %s, %v = %t) : tensor<i32>, tensor<37xi8>, tensor<37xi8>, tensor<37xi8>, tensor<f32>, tensor<f32>
        cond { %p = stablehlo.compare LT, %i, %n, SIGNED : (tensor<i32>, tensor<i32>) -> tensor<i1>
          stablehlo.return %p : tensor<i1> }
        do { %j = stablehlo.add %i, %one : tensor<i32>
          stablehlo.return %j, %b, %c, %a, %v, %u : tensor<i32>, tensor<37xi8>, tensor<37xi8>, tensor<37xi8>, tensor<f32>, tensor<f32> }
      return %r#1, %r#2, %r#3, %r#4, %r#5 : tensor<37xi8>, tensor<37xi8>, tensor<37xi8>, tensor<f32>, tensor<f32> })"},
    // The sum of the array as it was is written into it.
    {"reads_what_it_overwrites", R"((%x: tensor<9xf32>) -> (tensor<9xf32>, tensor<9xf32>) {
      %zero = stablehlo.constant dense<0> : tensor<i32>
      %one = stablehlo.constant dense<1> : tensor<i32>
      %n = stablehlo.constant dense<9> : tensor<i32>
      %f0 = stablehlo.constant dense<0.0> : tensor<f32>
      %r:3 = stablehlo.while(%i = %zero, %a = %x, %old = %x) : tensor<i32>, tensor<9xf32>, tensor<9xf32>
        cond { %p = stablehlo.compare LT, %i, %n, SIGNED : (tensor<i32>, tensor<i32>) -> tensor<i1>
          stablehlo.return %p : tensor<i1> }
        do { %s = stablehlo.reduce(%a init: %f0) applies stablehlo.add across dimensions = [0] : (tensor<9xf32>, tensor<f32>) -> tensor<f32>
          %t = stablehlo.tanh %s : tensor<f32>
          %u = stablehlo.reshape %t : (tensor<f32>) -> tensor<1xf32>
          %b = stablehlo.dynamic_update_slice %a, %u, %i : (tensor<9xf32>, tensor<1xf32>, tensor<i32>) -> tensor<9xf32>
          %c = stablehlo.add %a, %b : tensor<9xf32>
          %j = stablehlo.add %i, %one : tensor<i32>
          stablehlo.return %j, %b, %c : tensor<i32>, tensor<9xf32>, tensor<9xf32> }
      return %r#1, %r#2 : tensor<9xf32>, tensor<9xf32> })"},
    // Slices that begin before and after the array, by a captured distance.
    {"slices_clamp", R"((%x: tensor<6x5xf32>, %d: tensor<i32>) -> tensor<6x5xf32> {
      %zero = stablehlo.constant dense<0> : tensor<i32>
      %one = stablehlo.constant dense<1> : tensor<i32>
      %n = stablehlo.constant dense<8> : tensor<i32>
      %r:2 = stablehlo.while(%i = %zero, %a = %x) : tensor<i32>, tensor<6x5xf32>
        cond { %p = stablehlo.compare LT, %i, %n, SIGNED : (tensor<i32>, tensor<i32>) -> tensor<i1>
          stablehlo.return %p : tensor<i1> }
        do { %k = stablehlo.subtract %i, %d : tensor<i32>
          %s = stablehlo.dynamic_slice %a, %k, %i, sizes = [2, 3] : (tensor<6x5xf32>, tensor<i32>, tensor<i32>) -> tensor<2x3xf32>
          %t = stablehlo.cosine %s : tensor<2x3xf32>
          %b = stablehlo.dynamic_update_slice %a, %t, %i, %k : (tensor<6x5xf32>, tensor<2x3xf32>, tensor<i32>, tensor<i32>) -> tensor<6x5xf32>
          %j = stablehlo.add %i, %one : tensor<i32>
          stablehlo.return %j, %b : tensor<i32>, tensor<6x5xf32> }
      return %r#1 : tensor<6x5xf32> })"},
    {"branches", R"((%x: tensor<33xf32>) -> (tensor<33xf32>, tensor<i32>) {
      %zero = stablehlo.constant dense<0> : tensor<i32>
      %one = stablehlo.constant dense<1> : tensor<i32>
      %three = stablehlo.constant dense<3> : tensor<i32>
      %five = stablehlo.constant dense<5> : tensor<i32>
      %n = stablehlo.constant dense<20> : tensor<i32>
      %r:3 = stablehlo.while(%i = %zero, %a = %x, %k = %zero) : tensor<i32>, tensor<33xf32>, tensor<i32>
        cond { %p = stablehlo.compare LT, %i, %n, SIGNED : (tensor<i32>, tensor<i32>) -> tensor<i1>
          stablehlo.return %p : tensor<i1> }
        do { %m = stablehlo.remainder %i, %five : tensor<i32>
          %c:2 = "stablehlo.case"(%m) ({
              %s = stablehlo.sine %a : tensor<33xf32>
              stablehlo.return %s, %k : tensor<33xf32>, tensor<i32>
            }, {
              %s = stablehlo.negate %a : tensor<33xf32>
              %l = stablehlo.add %k, %i : tensor<i32>
              stablehlo.return %s, %l : tensor<33xf32>, tensor<i32>
            }, {
              stablehlo.return %a, %i : tensor<33xf32>, tensor<i32>
            }) : (tensor<i32>) -> (tensor<33xf32>, tensor<i32>)
          %q = stablehlo.compare LT, %m, %three, SIGNED : (tensor<i32>, tensor<i32>) -> tensor<i1>
          %d = "stablehlo.if"(%q) ({
              %s = stablehlo.abs %c#0 : tensor<33xf32>
              stablehlo.return %s : tensor<33xf32>
            }, {
              %s = stablehlo.add %c#0, %x : tensor<33xf32>
              stablehlo.return %s : tensor<33xf32>
            }) : (tensor<i1>) -> tensor<33xf32>
          %j = stablehlo.add %i, %one : tensor<i32>
          stablehlo.return %j, %d, %c#1 : tensor<i32>, tensor<33xf32>, tensor<i32> }
      return %r#1, %r#2 : tensor<33xf32>, tensor<i32> })"},
    // A condition that is a value of the turn before, and scalars of narrow types.
    {"narrow_scalars",
     R"((%n: tensor<ui8>, %x: tensor<bf16>, %y: tensor<f16>) -> (tensor<ui8>, tensor<bf16>, tensor<f16>, tensor<i1>, tensor<ui64>) {
      %one = stablehlo.constant dense<1> : tensor<ui8>
      %zero = stablehlo.constant dense<0> : tensor<ui8>
      %true = stablehlo.constant dense<true> : tensor<i1>
      %big = stablehlo.constant dense<9223372036854775809> : tensor<ui64>
      %r:5 = stablehlo.while(%i = %n, %a = %x, %b = %y, %go = %true, %u = %big) : tensor<ui8>, tensor<bf16>, tensor<f16>, tensor<i1>, tensor<ui64>
        cond { stablehlo.return %go : tensor<i1> }
        do { %j = stablehlo.subtract %i, %one : tensor<ui8>
          %c = stablehlo.multiply %a, %a : tensor<bf16>
          %d = stablehlo.add %b, %b : tensor<f16>
          %p = stablehlo.compare NE, %j, %zero, UNSIGNED : (tensor<ui8>, tensor<ui8>) -> tensor<i1>
          %v = stablehlo.multiply %u, %u : tensor<ui64>
          stablehlo.return %j, %c, %d, %p, %v : tensor<ui8>, tensor<bf16>, tensor<f16>, tensor<i1>, tensor<ui64> }
      return %r#0, %r#1, %r#2, %r#3, %r#4 : tensor<ui8>, tensor<bf16>, tensor<f16>, tensor<i1>, tensor<ui64> })"},
    {"nothing_carried_changes_size",
     R"((%x: tensor<0xf32>, %n: tensor<i32>) -> (tensor<0xf32>, tensor<i32>) {
      %one = stablehlo.constant dense<1> : tensor<i32>
      %ten = stablehlo.constant dense<10> : tensor<i32>
      %r:2 = stablehlo.while(%a = %x, %i = %n) : tensor<0xf32>, tensor<i32>
        cond { %p = stablehlo.compare LT, %i, %ten, SIGNED : (tensor<i32>, tensor<i32>) -> tensor<i1>
          stablehlo.return %p : tensor<i1> }
        do { %b = stablehlo.sine %a : tensor<0xf32>
          %j = stablehlo.add %i, %one : tensor<i32>
          stablehlo.return %b, %j : tensor<0xf32>, tensor<i32> }
      return %r#0, %r#1 : tensor<0xf32>, tensor<i32> })"},
};

// h = tanh(product of h and w) * 0.5 + h, so that nothing grows; $ is the product.
constexpr std::string_view kRecurrence = R"(
      %zero = stablehlo.constant dense<0> : tensor<i32>
      %one = stablehlo.constant dense<1> : tensor<i32>
      %n = stablehlo.constant dense<5> : tensor<i32>
      %r:2 = stablehlo.while(%i = %zero, %h = %x) : tensor<i32>, tensor<H>
        cond { %p = stablehlo.compare LT, %i, %n, SIGNED : (tensor<i32>, tensor<i32>) -> tensor<i1>
          stablehlo.return %p : tensor<i1> }
        do { %d = stablehlo.dot_general PRODUCT
          %t = stablehlo.tanh %d : tensor<H>
          %j = stablehlo.add %i, %one : tensor<i32>
          stablehlo.return %j, %t : tensor<i32>, tensor<H> }
      return %r#1 : tensor<H> })";

struct DotCase {
  std::string_view h, w;  // types of the state and of the matrix
  std::string_view product;
};
constexpr DotCase kDots[] = {
    {"64xf32", "64x64xf32", "%h, %w, contracting_dims = [0] x [0]"},
    {"64xf32", "64x64xf32", "%h, %w, contracting_dims = [0] x [1]"},
    {"96xf32", "96x96xf32", "%h, %w, contracting_dims = [0] x [0]"},
    {"96xf32", "96x96xf32", "%w, %h, contracting_dims = [1] x [0]"},
    {"96xf32", "96x96xf32", "%w, %h, contracting_dims = [0] x [0]"},
    {"128xf32", "128x128xf32", "%h, %w, contracting_dims = [0] x [0]"},
    {"7xf32", "7x7xf32", "%h, %w, contracting_dims = [0] x [0]"},
    {"7xf64", "7x7xf64", "%h, %w, contracting_dims = [0] x [1]"},
    {"37xf64", "37x37xf64", "%h, %w, contracting_dims = [0] x [0]"},
    {"1xf32", "1x1xf32", "%h, %w, contracting_dims = [0] x [0]"},
    {"5x19xf32", "19x19xf32", "%h, %w, contracting_dims = [1] x [0]"},
    {"5x19xf32", "19x19xf32", "%h, %w, contracting_dims = [1] x [1]"},
    {"9x3xf64", "3x3xf64", "%h, %w, contracting_dims = [1] x [0]"},
    {"6x40xf32", "6x6xf32", "%w, %h, contracting_dims = [1] x [0]"},
    {"3x4x17xf32", "3x17x17xf32",
     "%h, %w, batching_dims = [0] x [0], contracting_dims = [2] x [1]"},
    {"2x3x4x5xf64", "2x3x5x5xf64",
     "%h, %w, batching_dims = [0, 1] x [0, 1], contracting_dims = [3] x [3]"},
};

std::string ProgramOf(const DotCase& c) {
  std::string text;
  for (size_t i = 0; i < kRecurrence.size(); ++i) {
    const std::string_view rest = kRecurrence.substr(i);
    if (rest.starts_with("tensor<H>")) {
      StrAppend(&text, "tensor<", c.h, ">");
      i += 8;
    } else if (rest.starts_with("PRODUCT")) {
      const bool first = c.product.starts_with("%h");
      StrAppend(&text, c.product, " : (tensor<", first ? c.h : c.w, ">, tensor<", first ? c.w : c.h,
                ">) -> tensor<", c.h, ">");
      i += 6;
    } else {
      text += kRecurrence[i];
    }
  }
  return StrCat("(%x: tensor<", c.h, ">, %w: tensor<", c.w, ">) -> tensor<", c.h, "> {", text);
}

stablehlo::Module Parse(std::string_view program) {
  auto module = stablehlo::ParseModule(StrCat("module {\n func.func public @main", program, "\n}"));
  EXPECT_TRUE(module.ok()) << module.status().ToString();
  return *std::move(module);
}

std::string TextOf(std::string_view program) {
  return StrCat("module {\n func.func public @main", program, "\n}");
}

Tensor Numbers(const stablehlo::TensorType& type) {
  Tensor t = *Tensor::Create(type.dtype, type.shape);
  for (int64_t i = 0; i < t.size(); ++i) {
    if (tensor::IsFloat(type.dtype)) {
      t.SetDouble(i, 0.125 * static_cast<double>((i * 7) % 13 - 6) + 0.0625);
    } else {
      t.SetDouble(i, static_cast<double>((i * 7) % 13 + 3));
    }
  }
  return t;
}

std::vector<Tensor> InputsOf(const stablehlo::Module& module) {
  std::vector<Tensor> inputs;
  for (const stablehlo::TensorType& t : (*module.Entry())->input_types()) {
    inputs.push_back(Numbers(t));
  }
  return inputs;
}

std::string Compile(std::string_view text, std::string_view tier) {
  CompileOptions options;
  options.settings["tier"] = tier;
  auto package = MakeCpuBackend()->Compile(text, options, nullptr);
  EXPECT_TRUE(package.ok()) << package.status().ToString();
  return package.ok() ? *std::move(package) : "";
}

std::shared_ptr<const runtime::Executable> Load(std::string_view package) {
  auto executable = MakeCpuBackend()->Load(package);
  EXPECT_TRUE(executable.ok()) << executable.status().ToString();
  return executable.ok() ? *std::move(executable) : nullptr;
}

int CompiledLoops(std::string_view package) {
  const auto p = runtime::DecodePackage(package);
  const auto section = p->Find("code");
  if (!section.ok()) return 0;
  const auto image = runtime::DecodeCodeImage(*section);
  int n = 0;
  for (const CodeImage::Entry& e : image->entries) n += e.kind == CodeKind::kWhile ? 1 : 0;
  return n;
}

// Sums may be added up in another order: a few ulps of the largest.
void ExpectSame(const Tensor& got, const Tensor& wanted) {
  ASSERT_EQ(got.TypeText(), wanted.TypeText());
  double largest = 1e-3;
  for (int64_t i = 0; i < wanted.size(); ++i) {
    largest = std::max(largest, std::abs(wanted.DoubleAt(i)));
  }
  const double bound = tensor::IsFloat(wanted.dtype()) ? 1e-5 * largest : 0;
  for (int64_t i = 0; i < wanted.size(); ++i) {
    EXPECT_NEAR(got.DoubleAt(i), wanted.DoubleAt(i), bound) << "element " << i;
  }
}

void CheckTiers(std::string_view program, int whiles) {
  const stablehlo::Module module = Parse(program);
  const std::vector<Tensor> inputs = InputsOf(module);
  const auto wanted = stablehlo::Evaluate(module, inputs);
  ASSERT_TRUE(wanted.ok()) << wanted.status().ToString();
  for (const std::string_view tier : {"0", "1"}) {
    SCOPED_TRACE(StrCat("tier ", tier));
    const std::string package = Compile(TextOf(program), tier);
    ASSERT_FALSE(package.empty());
    if (tier == "1") {
      EXPECT_EQ(CompiledLoops(package), whiles);
    }
    const auto executable = Load(package);
    ASSERT_NE(executable, nullptr);
    for (int run = 0; run < 2; ++run) {
      const auto got = executable->Run(inputs);
      ASSERT_TRUE(got.ok()) << got.status().ToString();
      ASSERT_EQ(got->size(), wanted->size());
      for (size_t i = 0; i < got->size(); ++i) {
        SCOPED_TRACE(StrCat("result ", i));
        ExpectSame((*got)[i], (*wanted)[i]);
      }
    }
  }
}

TEST(LoopsTest, TiersAgreeWithTheEvaluator) {
  for (const LoopCase& c : kCases) {
    SCOPED_TRACE(std::string(c.name));
    CheckTiers(c.program, c.whiles);
  }
}

TEST(LoopsTest, ProductsAreMadeInsideOfTheFunction) {
  for (const DotCase& c : kDots) {
    SCOPED_TRACE(StrCat(c.h, " ", c.product));
    CheckTiers(ProgramOf(c), 1);
  }
}

// Code for older processors, run on this one.
TEST(LoopsTest, FunctionsForOtherProcessorsAgreeToo) {
  std::vector<std::string> programs;
  for (const LoopCase& c : kCases) programs.emplace_back(c.program);
  for (const DotCase& c : kDots) programs.push_back(ProgramOf(c));
  const std::string here = runtime::ProcessorTarget();
  for (const std::string_view target :
       {"x86-64", "x86-64 sse3 ssse3 sse4.1 sse4.2 popcnt avx avx2 fma f16c bmi bmi2"}) {
    if (!runtime::TargetSuffices(here, target)) continue;
    for (const std::string& program : programs) {
      SCOPED_TRACE(StrCat(target, ": ", program));
      const stablehlo::Module module = Parse(program);
      const Package package = *runtime::DecodePackage(Compile(TextOf(program), "0"));
      const runtime::Plan plan = *runtime::DecodePlan(*package.Find("plan"));
      EmitOptions options;
      options.target = target;
      const auto image = EmitPlan(plan, options);
      ASSERT_TRUE(image.ok()) << image.status().ToString();
      const auto runner =
          *runtime::PlanRunner::Create(plan, kernels::FindLibraryKernel, kernels::ProcessPool());
      runner->UseCode(*runtime::LoadedCode::Load(*image));
      const std::vector<Tensor> inputs = InputsOf(module);
      const auto got = runner->Run(inputs, {});
      ASSERT_TRUE(got.ok()) << got.status().ToString();
      const std::vector<Tensor> wanted = *stablehlo::Evaluate(module, inputs);
      for (size_t i = 0; i < wanted.size(); ++i) ExpectSame((*got)[i], wanted[i]);
    }
  }
}

// while (true) x = sin(x)
constexpr std::string_view kEndless = R"((%x: tensor<$f32>, %go: tensor<i1>) -> tensor<$f32> {
      %r:2 = stablehlo.while(%a = %x, %p = %go) : tensor<$f32>, tensor<i1>
        cond { stablehlo.return %p : tensor<i1> }
        do { %b = stablehlo.sine %a : tensor<$f32>
          %q = stablehlo.or %p, %go : tensor<i1>
          stablehlo.return %b, %q : tensor<$f32>, tensor<i1> }
      return %r#0 : tensor<$f32> })";

TEST(LoopsTest, EndlessLoopsCanBeCancelled) {
  for (const std::string_view shape : {"", "1000x"}) {
    const std::string program = With(kEndless, shape);
    for (const std::string_view tier : {"0", "1"}) {
      const auto executable = Load(Compile(TextOf(program), tier));
      ASSERT_NE(executable, nullptr);
      Cancellation cancellation;
      runtime::RunOptions options;
      options.cancellation = &cancellation;
      std::thread canceller([&] { cancellation.Cancel(); });
      std::vector<Tensor> inputs = InputsOf(Parse(program));
      inputs[1].SetDouble(0, 1);
      EXPECT_EQ(executable->Run(inputs, options).status().code(), Code::kCancelled);
      canceller.join();
    }
  }
}

TEST(LoopsTest, ADeadlineEndsAnEndlessLoopInsideOfACountedOne) {
  constexpr std::string_view kProgram = R"((%x: tensor<f32>) -> tensor<f32> {
      %zero = stablehlo.constant dense<0> : tensor<i32>
      %one = stablehlo.constant dense<1> : tensor<i32>
      %n = stablehlo.constant dense<3> : tensor<i32>
      %high = stablehlo.constant dense<2.0> : tensor<f32>
      %r:2 = stablehlo.while(%i = %zero, %a = %x) : tensor<i32>, tensor<f32>
        cond { %p = stablehlo.compare LT, %i, %n, SIGNED : (tensor<i32>, tensor<i32>) -> tensor<i1>
          stablehlo.return %p : tensor<i1> }
        do { %c = stablehlo.while(%b = %a) : tensor<f32>
            cond { %p = stablehlo.compare LT, %b, %high : (tensor<f32>, tensor<f32>) -> tensor<i1>
              stablehlo.return %p : tensor<i1> }
            do { %s = stablehlo.sine %b : tensor<f32>
              stablehlo.return %s : tensor<f32> }
          %j = stablehlo.add %i, %one : tensor<i32>
          stablehlo.return %j, %c : tensor<i32>, tensor<f32> }
      return %r#1 : tensor<f32> })";
  for (const std::string_view tier : {"0", "1"}) {
    const auto executable = Load(Compile(TextOf(kProgram), tier));
    ASSERT_NE(executable, nullptr);
    const Cancellation cancellation(RealClock().Monotonic() + std::chrono::milliseconds(20));
    runtime::RunOptions options;
    options.cancellation = &cancellation;
    const auto got = executable->Run(InputsOf(Parse(kProgram)), options);
    EXPECT_EQ(got.status().code(), Code::kDeadlineExceeded);
  }
}

// x = (x + i) ^ 1 for i = 0 ... 2999999; $ is the bound.
constexpr std::string_view kLong =
    R"((%n: tensor<i64>, %many: tensor<i64>) -> (tensor<i64>, tensor<i64>) {
      %zero = stablehlo.constant dense<0> : tensor<i64>
      %one = stablehlo.constant dense<1> : tensor<i64>
      %bound = stablehlo.constant dense<3000000> : tensor<i64>
      %r:2 = stablehlo.while(%i = %zero, %a = %n) : tensor<i64>, tensor<i64>
        cond { %p = stablehlo.compare LT, %i, $, SIGNED : (tensor<i64>, tensor<i64>) -> tensor<i1>
          stablehlo.return %p : tensor<i1> }
        do { %b = stablehlo.add %a, %i : tensor<i64>
          %c = stablehlo.xor %b, %one : tensor<i64>
          %j = stablehlo.add %i, %one : tensor<i64>
          stablehlo.return %j, %c : tensor<i64>, tensor<i64> }
      return %r#0, %r#1 : tensor<i64>, tensor<i64> })";

std::vector<Tensor> LongInputs() {
  std::vector<Tensor> inputs = {*Tensor::Create(DType::kI64, {}), *Tensor::Create(DType::kI64, {})};
  inputs[0].SetDouble(0, 12);
  inputs[1].SetDouble(0, 3e6);
  return inputs;
}

void ExpectLongResult(const Result<std::vector<Tensor>>& got) {
  int64_t wanted = 12;
  for (int64_t i = 0; i < 3000000; ++i) wanted = (wanted + i) ^ 1;
  ASSERT_TRUE(got.ok()) << got.status().ToString();
  EXPECT_EQ((*got)[0].DoubleAt(0), 3e6);
  EXPECT_EQ((*got)[1].DoubleAt(0), static_cast<double>(wanted));
}

// The function asks whether to stop, and goes on.
TEST(LoopsTest, LongLoopsGoOnWhenNobodyStopsThem) {
  for (const std::string_view bound : {"%bound", "%many"}) {
    const auto executable = Load(Compile(TextOf(With(kLong, bound)), "1"));
    ASSERT_NE(executable, nullptr);
    ExpectLongResult(executable->Run(LongInputs()));
  }
}

TEST(LoopsTest, FunctionsTakeOverBetweenTurns) {
  for (const std::string_view bound : {"%bound", "%many"}) {
    const std::string text = TextOf(With(kLong, bound));
    const Package package = *runtime::DecodePackage(Compile(text, "1"));
    const runtime::CodeImage image = *runtime::DecodeCodeImage(*package.Find("code"));
    const auto runner =
        *runtime::PlanRunner::Create(*runtime::DecodePlan(*package.Find("plan")),
                                     kernels::FindLibraryKernel, kernels::ProcessPool());
    int asked = 0;
    runner->OnLongLoop([&] {
      ++asked;
      runner->UseCode(*runtime::LoadedCode::Load(image));
    });
    ExpectLongResult(runner->Run(LongInputs(), {}));
    EXPECT_EQ(asked, 1);
    ExpectLongResult(runner->Run(LongInputs(), {}));
    EXPECT_EQ(asked, 1);
  }
}

TEST(LoopsTest, LongRunsAskForCodeInTheBackground) {
  const auto executable = Load(Compile(TextOf(With(kLong, "%many")), "auto"));
  ASSERT_NE(executable, nullptr);
  for (int run = 0; run < 3; ++run) ExpectLongResult(executable->Run(LongInputs()));
}

TEST(LoopsTest, PackagesCarryTheFunctionsOfLoops) {
  const LoopCase& c = kCases[3];
  const std::string package = Compile(TextOf(c.program), "1");
  EXPECT_EQ(CompiledLoops(package), c.whiles);
  EXPECT_EQ(package, Compile(TextOf(c.program), "1"));
  // Every byte of the code is checked before any of it runs.
  const Package p = *runtime::DecodePackage(package);
  const std::string_view code = *p.Find("code");
  const size_t at = package.find(code);
  ASSERT_NE(at, std::string::npos);
  for (size_t i = at; i < at + code.size(); i += 61) {
    std::string damaged = package;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x20);
    EXPECT_EQ(MakeCpuBackend()->Load(damaged).status().code(), Code::kDataLoss) << i;
  }
}

TEST(LoopsTest, WorkWithoutTheirFunctions) {
  // As if executable memory could not be had: the same package, its code left out.
  const LoopCase& c = kCases[3];
  const stablehlo::Module module = Parse(c.program);
  Package p = *runtime::DecodePackage(Compile(TextOf(c.program), "1"));
  std::erase_if(p.sections, [](const auto& s) { return s.name == "code"; });
  const auto executable = Load(runtime::EncodePackage(p));
  ASSERT_NE(executable, nullptr);
  const auto got = executable->Run(InputsOf(module));
  ASSERT_TRUE(got.ok()) << got.status().ToString();
  ExpectSame((*got)[0], (*stablehlo::Evaluate(module, InputsOf(module)))[0]);
}

}  // namespace
}  // namespace megalith::codegen
