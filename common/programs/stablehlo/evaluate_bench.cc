// How fast the reference evaluator is, on one core: prints one line per program. Run a release
// build:
//   cmake --preset release && cmake --build build/release --target stablehlo_evaluate_bench
#include <chrono>
#include <cstdio>
#include <string>

#include "common/foundation/base/strings.h"
#include "common/programs/stablehlo/cost.h"
#include "common/programs/stablehlo/evaluate.h"
#include "common/programs/stablehlo/parser.h"

namespace megalith::stablehlo {
namespace {

void Measure(const char* name, const std::string& text) {
  const auto module = ParseModule(text);
  if (!module.ok()) {
    std::printf("%-34s %s\n", name, module.status().ToString().c_str());
    return;
  }
  const Plan plan = *Plan::Create(*module);
  std::vector<Tensor> inputs;
  for (const TensorType& t : plan.input_types()) {
    Tensor x = *Tensor::Create(t.dtype, t.shape);
    for (int64_t i = 0; i < x.size(); ++i)
      x.SetDouble(i, static_cast<double>((i * 7919) % 1000) / 500.0 - 1.0);
    inputs.push_back(std::move(x));
  }
  const auto seconds = [&] {
    const auto start = std::chrono::steady_clock::now();
    const auto out = plan.Run(inputs);
    if (!out.ok()) std::printf("%s\n", out.status().ToString().c_str());
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  double best = seconds();
  for (double total = best; total < 1.0;) {
    const double s = seconds();
    best = std::min(best, s);
    total += s;
  }
  const OpCost cost = EstimateCost(*module)->total;
  std::printf("%-34s %10.3f ms %8.2f GFLOP/s %8.2f GB/s\n", name, best * 1e3,
              cost.flops / best / 1e9, cost.bytes / best / 1e9);
}

std::string Main(const std::string& args, const std::string& result, const std::string& body) {
  return StrCat("func.func public @main(", args, ") -> ", result, " {\n", body, "\n}");
}

std::string Dot(int64_t n, const std::string& type) {
  const std::string t = StrCat("tensor<", n, "x", n, "x", type, ">");
  return Main(StrCat("%a: ", t, ", %b: ", t), t,
              StrCat("%0 = stablehlo.dot_general %a, %b, contracting_dims = [1] x [0] : (", t, ", ",
                     t, ") -> ", t, "\nreturn %0 : ", t));
}

std::string Unary(const std::string& op, const std::string& type) {
  return Main(StrCat("%a: ", type), type,
              StrCat("%0 = ", op, " %a : ", type, "\nreturn %0 : ", type));
}

std::string Sum(const std::string& type, const std::string& dims, const std::string& result) {
  return Main(
      StrCat("%a: ", type), result,
      StrCat("%z = stablehlo.constant dense<0.0> : tensor<f32>\n"
             "%0 = stablehlo.reduce(%a init: %z) applies stablehlo.add across dimensions = ",
             dims, " : (", type, ", tensor<f32>) -> ", result, "\nreturn %0 : ", result));
}

constexpr const char* kScan = R"(
func.func public @main(%x: tensor<1000x4096xf32>) -> tensor<1000x4096xf32> {
  %zero = stablehlo.constant dense<0> : tensor<i32>
  %one = stablehlo.constant dense<1> : tensor<i32>
  %n = stablehlo.constant dense<1000> : tensor<i32>
  %init = stablehlo.constant dense<0.0> : tensor<4096xf32>
  %ys = stablehlo.constant dense<0.0> : tensor<1000x4096xf32>
  %0:4 = stablehlo.while(%i = %zero, %c = %init, %xs = %x, %out = %ys) : tensor<i32>, tensor<4096xf32>, tensor<1000x4096xf32>, tensor<1000x4096xf32>
  cond {
    %1 = stablehlo.compare LT, %i, %n, SIGNED : (tensor<i32>, tensor<i32>) -> tensor<i1>
    stablehlo.return %1 : tensor<i1>
  } do {
    %1 = stablehlo.dynamic_slice %xs, %i, %zero, sizes = [1, 4096] : (tensor<1000x4096xf32>, tensor<i32>, tensor<i32>) -> tensor<1x4096xf32>
    %2 = stablehlo.reshape %1 : (tensor<1x4096xf32>) -> tensor<4096xf32>
    %3 = stablehlo.add %c, %2 : tensor<4096xf32>
    %4 = stablehlo.reshape %3 : (tensor<4096xf32>) -> tensor<1x4096xf32>
    %5 = stablehlo.dynamic_update_slice %out, %4, %i, %zero : (tensor<1000x4096xf32>, tensor<1x4096xf32>, tensor<i32>, tensor<i32>) -> tensor<1000x4096xf32>
    %6 = stablehlo.add %i, %one : tensor<i32>
    stablehlo.return %6, %3, %xs, %5 : tensor<i32>, tensor<4096xf32>, tensor<1000x4096xf32>, tensor<1000x4096xf32>
  }
  return %0#3 : tensor<1000x4096xf32>
})";

constexpr const char* kLoop = R"(
func.func public @main() -> tensor<i32> {
  %zero = stablehlo.constant dense<0> : tensor<i32>
  %one = stablehlo.constant dense<1> : tensor<i32>
  %n = stablehlo.constant dense<100000> : tensor<i32>
  %0 = stablehlo.while(%i = %zero) : tensor<i32>
  cond {
    %1 = stablehlo.compare LT, %i, %n, SIGNED : (tensor<i32>, tensor<i32>) -> tensor<i1>
    stablehlo.return %1 : tensor<i1>
  } do {
    %1 = stablehlo.add %i, %one : tensor<i32>
    stablehlo.return %1 : tensor<i32>
  }
  return %0 : tensor<i32>
})";

constexpr const char* kSort = R"(
func.func public @main(%x: tensor<1000000xf32>) -> tensor<1000000xf32> {
  %0 = "stablehlo.sort"(%x) <{dimension = 0 : i64, is_stable = true}> ({
  ^bb0(%a: tensor<f32>, %b: tensor<f32>):
    %1 = stablehlo.compare LT, %a, %b, TOTALORDER : (tensor<f32>, tensor<f32>) -> tensor<i1>
    stablehlo.return %1 : tensor<i1>
  }) : (tensor<1000000xf32>) -> tensor<1000000xf32>
  return %0 : tensor<1000000xf32>
})";

constexpr const char* kScatter = R"(
func.func public @main(%x: tensor<100000x16xf32>, %i: tensor<50000x1xi32>, %u: tensor<50000x16xf32>) -> tensor<100000x16xf32> {
  %0 = "stablehlo.scatter"(%x, %i, %u) <{scatter_dimension_numbers = #stablehlo.scatter<update_window_dims = [1], inserted_window_dims = [0], scatter_dims_to_operand_dims = [0], index_vector_dim = 1>}> ({
  ^bb0(%a: tensor<f32>, %b: tensor<f32>):
    %1 = stablehlo.add %a, %b : tensor<f32>
    stablehlo.return %1 : tensor<f32>
  }) : (tensor<100000x16xf32>, tensor<50000x1xi32>, tensor<50000x16xf32>) -> tensor<100000x16xf32>
  return %0 : tensor<100000x16xf32>
})";

constexpr const char* kCumsum = R"(
func.func public @main(%x: tensor<1000000xf32>) -> tensor<1000000xf32> {
  %z = stablehlo.constant dense<0.0> : tensor<f32>
  %0 = "stablehlo.reduce_window"(%x, %z) <{padding = dense<[[999999, 0]]> : tensor<1x2xi64>, window_dimensions = array<i64: 1000000>}> ({
  ^bb0(%a: tensor<f32>, %b: tensor<f32>):
    %1 = stablehlo.add %a, %b : tensor<f32>
    stablehlo.return %1 : tensor<f32>
  }) : (tensor<1000000xf32>, tensor<f32>) -> tensor<1000000xf32>
  return %0 : tensor<1000000xf32>
})";

constexpr const char* kConv = R"(
func.func public @main(%x: tensor<4x56x56x64xf32>, %k: tensor<3x3x64x64xf32>) -> tensor<4x56x56x64xf32> {
  %0 = stablehlo.convolution(%x, %k) dim_numbers = [b, 0, 1, f]x[0, 1, i, o]->[b, 0, 1, f], window = {pad = [[1, 1], [1, 1]]} {batch_group_count = 1 : i64, feature_group_count = 1 : i64} : (tensor<4x56x56x64xf32>, tensor<3x3x64x64xf32>) -> tensor<4x56x56x64xf32>
  return %0 : tensor<4x56x56x64xf32>
})";

constexpr const char* kPool = R"(
func.func public @main(%x: tensor<4x112x112x64xf32>) -> tensor<4x56x56x64xf32> {
  %z = stablehlo.constant dense<0xFF800000> : tensor<f32>
  %0 = "stablehlo.reduce_window"(%x, %z) <{window_dimensions = array<i64: 1, 2, 2, 1>, window_strides = array<i64: 1, 2, 2, 1>}> ({
  ^bb0(%a: tensor<f32>, %b: tensor<f32>):
    %1 = stablehlo.maximum %a, %b : tensor<f32>
    stablehlo.return %1 : tensor<f32>
  }) : (tensor<4x112x112x64xf32>, tensor<f32>) -> tensor<4x56x56x64xf32>
  return %0 : tensor<4x56x56x64xf32>
})";

}  // namespace
}  // namespace megalith::stablehlo

int main() {
  using namespace megalith::stablehlo;  // NOLINT: a table of calls
  Measure("dot f32 512", Dot(512, "f32"));
  Measure("dot f64 512", Dot(512, "f64"));
  Measure("dot bf16 512", Dot(512, "bf16"));
  Measure("dot i32 512", Dot(512, "i32"));
  Measure("dot c64 256", Dot(256, "complex<f32>"));
  Measure("dot f32 16", Dot(16, "f32"));
  Measure("conv 4x56x56x64 3x3x64 f32", kConv);
  Measure("max pool 4x112x112x64 f32", kPool);
  Measure("negate 1M f32", Unary("stablehlo.negate", "tensor<1000000xf32>"));
  Measure("tanh 1M f32", Unary("stablehlo.tanh", "tensor<1000000xf32>"));
  Measure("exponential 1M bf16", Unary("stablehlo.exponential", "tensor<1000000xbf16>"));
  Measure("sum rows 1000x1000 f32", Sum("tensor<1000x1000xf32>", "[1]", "tensor<1000xf32>"));
  Measure("sum columns 1000x1000 f32", Sum("tensor<1000x1000xf32>", "[0]", "tensor<1000xf32>"));
  Measure("sum all 1000x1000 f32", Sum("tensor<1000x1000xf32>", "[0, 1]", "tensor<f32>"));
  Measure("sum rows 100000x10 f32", Sum("tensor<100000x10xf32>", "[1]", "tensor<100000xf32>"));
  Measure("cumsum 1M f32", kCumsum);
  Measure("sort 1M f32", kSort);
  Measure("scatter-add 50000 rows of 16", kScatter);
  Measure("scan 1000 steps over 16 MB", kScan);
  Measure("empty loop 100000 steps", kLoop);
  return 0;
}
