#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "common/foundation/base/host_calls.h"
#include "common/foundation/base/strings.h"
#include "common/programs/spmd/unroll.h"
#include "common/programs/stablehlo/canonical.h"
#include "common/programs/stablehlo/evaluate.h"
#include "common/programs/stablehlo/parser.h"

namespace megalith::spmd {
namespace {

using stablehlo::DType;
using tensor::Tensor;
using testing::ElementsAre;
using testing::HasSubstr;

// A program on four devices: `body` maps a part tensor<2xf32> of %arg0 to a value of type `local`,
// and the parts together are of type `whole`.
std::string Program(std::string_view body, std::string_view local = "tensor<2xf32>",
                    std::string_view whole = "tensor<8xf32>") {
  return StrCat(R"(
module @jit_f {
  sdy.mesh @mesh = <["x"=4]>
  func.func public @main(%arg0: tensor<8xf32> {sdy.sharding = #sdy.sharding<@mesh, [{"x"}]>}) -> ()",
                whole, R"() {
    %0 = "sdy.manual_computation"(%arg0) <{
        in_shardings = #sdy.sharding_per_value<[<@mesh, [{"x"}]>]>,
        manual_axes = #sdy<manual_axes{"x"}>,
        out_shardings = #sdy.sharding_per_value<[<@mesh, [{"x"}]>]>}> ({
    ^bb0(%x: tensor<2xf32>):
)",
                body, R"(
      "stablehlo.return"(%r) : ()",
                local, R"() -> ()
    }) : (tensor<8xf32>) -> )",
                whole, R"(
    return %0 : )",
                whole, R"(
  }
})");
}

// Of inputs 0, 1, ..., 7.
Result<std::vector<float>> ResultOf(const std::string& text) {
  ASSIGN_OR_RETURN(const stablehlo::Module module, stablehlo::ParseModule(text));
  ASSIGN_OR_RETURN(const Unrolled unrolled, Unroll(module, 4));
  ASSIGN_OR_RETURN(const stablehlo::Module canonical, stablehlo::Canonicalize(unrolled.module));
  ASSIGN_OR_RETURN(Tensor x, Tensor::Create(DType::kF32, {8}));
  for (int64_t i = 0; i < 8; ++i) x.SetDouble(i, static_cast<double>(i));
  ASSIGN_OR_RETURN(const std::vector<Tensor> out, stablehlo::Evaluate(canonical, std::vector{x}));
  const std::span<const float> values = out[0].As<float>();
  return std::vector<float>(values.begin(), values.end());
}

#define EXPECT_GIVES(text, matcher)                        \
  do {                                                     \
    const Result<std::vector<float>> got = ResultOf(text); \
    ASSERT_TRUE(got.ok()) << got.status().ToString();      \
    EXPECT_THAT(*got, matcher);                            \
  } while (false)

constexpr std::string_view kPairs = "replica_groups = dense<[[0, 2], [1, 3]]> : tensor<2x2xi64>";
constexpr std::string_view kAll = "replica_groups = dense<[[0, 1, 2, 3]]> : tensor<1x4xi64>";
constexpr std::string_view kSum = R"( ({
      ^bb1(%a: tensor<f32>, %b: tensor<f32>):
        %s = stablehlo.add %a, %b : tensor<f32>
        stablehlo.return %s : tensor<f32>
      }))";

TEST(Unroll, SumsOverGroups) {
  EXPECT_GIVES(Program(StrCat("%r = \"stablehlo.all_reduce\"(%x) <{", kPairs, "}>", kSum,
                              " : (tensor<2xf32>) -> tensor<2xf32>")),
               ElementsAre(4, 6, 8, 10, 4, 6, 8, 10));
}

// vmap over a named axis annotates scalars, too.
TEST(Unroll, SumsScalarsThatAreAnnotated) {
  EXPECT_GIVES(Program(StrCat("%r = \"stablehlo.all_reduce\"(%x) <{", kPairs, R"(}> ({
      ^bb1(%a: tensor<f32>, %b: tensor<f32>):
        %c = sdy.sharding_constraint %a <@mesh, []> : tensor<f32>
        %s = stablehlo.add %c, %b : tensor<f32>
        stablehlo.return %s : tensor<f32>
      }) : (tensor<2xf32>) -> tensor<2xf32>)")),
               ElementsAre(4, 6, 8, 10, 4, 6, 8, 10));
}

TEST(Unroll, GathersAndScatters) {
  EXPECT_GIVES(Program(StrCat("%r = \"stablehlo.all_gather\"(%x) <{all_gather_dim = 0 : i64, ",
                              kPairs, "}> : (tensor<2xf32>) -> tensor<4xf32>"),
                       "tensor<4xf32>", "tensor<16xf32>"),
               ElementsAre(0, 1, 4, 5, 2, 3, 6, 7, 0, 1, 4, 5, 2, 3, 6, 7));
  EXPECT_GIVES(
      Program(StrCat("%r = \"stablehlo.reduce_scatter\"(%x) <{scatter_dimension = 0 : i64, ",
                     kPairs, "}>", kSum, " : (tensor<2xf32>) -> tensor<1xf32>"),
              "tensor<1xf32>", "tensor<4xf32>"),
      ElementsAre(4, 8, 6, 10));
}

TEST(Unroll, ExchangesParts) {
  EXPECT_GIVES(Program(StrCat("%r = \"stablehlo.all_to_all\"(%x) <{concat_dimension = 0 : i64, "
                              "split_dimension = 0 : i64, split_count = 2 : i64, ",
                              kPairs, "}> : (tensor<2xf32>) -> tensor<2xf32>")),
               ElementsAre(0, 4, 2, 6, 1, 5, 3, 7));
  EXPECT_GIVES(Program("%r = \"stablehlo.collective_permute\"(%x) <{source_target_pairs = "
                       "dense<[[0, 1], [1, 0], [3, 2]]> : tensor<3x2xi64>}> : (tensor<2xf32>) -> "
                       "tensor<2xf32>"),
               ElementsAre(2, 3, 0, 1, 6, 7, 0, 0));
}

TEST(Unroll, TellsDevicesApart) {
  EXPECT_GIVES(Program(R"(%p = stablehlo.partition_id : tensor<ui32>
      %f = stablehlo.convert %p : (tensor<ui32>) -> tensor<f32>
      %r = stablehlo.broadcast_in_dim %f, dims = [] : (tensor<f32>) -> tensor<2xf32>)"),
               ElementsAre(0, 0, 1, 1, 2, 2, 3, 3));
}

TEST(Unroll, GoesThroughLoopsTogether) {
  EXPECT_GIVES(Program(StrCat(R"(%c = stablehlo.constant dense<0> : tensor<i32>
      %l:2 = stablehlo.while(%i = %c, %v = %x) : tensor<i32>, tensor<2xf32>
      cond {
        %n = stablehlo.constant dense<2> : tensor<i32>
        %t = stablehlo.compare LT, %i, %n, SIGNED : (tensor<i32>, tensor<i32>) -> tensor<i1>
        stablehlo.return %t : tensor<i1>
      } do {
        %o = stablehlo.constant dense<1> : tensor<i32>
        %j = stablehlo.add %i, %o : tensor<i32>
        %w = "stablehlo.all_reduce"(%v) <{)",
                              kAll, "}>", kSum, R"( : (tensor<2xf32>) -> tensor<2xf32>
        stablehlo.return %j, %w : tensor<i32>, tensor<2xf32>
      }
      %r = stablehlo.add %l#1, %x : tensor<2xf32>)")),
               ElementsAre(48, 65, 50, 67, 52, 69, 54, 71));
}

TEST(Unroll, SaysWhereResultsLie) {
  const auto module = stablehlo::ParseModule(R"(
module {
  sdy.mesh @mesh = <["x"=2, "y"=2]>
  func.func public @main(%a: tensor<4x6xf32> {sdy.sharding = #sdy.sharding<@mesh, [{"x"}, {}]>})
      -> (tensor<4x6xf32>, tensor<4x6xf32> {sdy.sharding = #sdy.sharding<@mesh, [{}, {"y"}]>},
          tensor<6x4xf32>) {
    %0 = stablehlo.add %a, %a : tensor<4x6xf32>
    %1 = stablehlo.transpose %0, dims = [1, 0] : (tensor<4x6xf32>) -> tensor<6x4xf32>
    return %0, %0, %1 : tensor<4x6xf32>, tensor<4x6xf32>, tensor<6x4xf32>
  }
})");
  ASSERT_TRUE(module.ok()) << module.status().ToString();
  const auto unrolled = Unroll(*module, 4);
  ASSERT_TRUE(unrolled.ok()) << unrolled.status().ToString();
  EXPECT_EQ(unrolled->inputs[0].Parts(0), 2);
  EXPECT_EQ(unrolled->outputs[0].Parts(0), 2);  // like what it was made from
  EXPECT_EQ(unrolled->outputs[1].Parts(1), 2);
  EXPECT_EQ(unrolled->outputs[2].Parts(0), 1);  // transposed
  EXPECT_EQ(unrolled->outputs[2].Parts(1), 2);
  const auto part = PartOf(unrolled->outputs[1], {4, 6}, 3);
  ASSERT_TRUE(part.ok());
  EXPECT_EQ(part->start, (Dims{0, 3}));
  EXPECT_EQ(part->shape, (Shape{4, 3}));
}

// A constraint inside of a manual computation names the axes that are not manual.
TEST(Unroll, SaysWhereFreeAxesOfManualResultsLie) {
  const auto module = stablehlo::ParseModule(R"(
module {
  sdy.mesh @mesh = <["x"=2, "y"=2]>
  func.func public @main(%arg0: tensor<8xf32>) -> tensor<8xf32> {
    %0 = "sdy.manual_computation"(%arg0) <{
        in_shardings = #sdy.sharding_per_value<[<@mesh, [{?}]>]>,
        manual_axes = #sdy<manual_axes{"y"}>,
        out_shardings = #sdy.sharding_per_value<[<@mesh, [{?}]>]>}> ({
    ^bb0(%v: tensor<8xf32>):
      %s = stablehlo.multiply %v, %v : tensor<8xf32>
      %c = sdy.sharding_constraint %s <@mesh, [{"x"}]> : tensor<8xf32>
      "stablehlo.return"(%c) : (tensor<8xf32>) -> ()
    }) : (tensor<8xf32>) -> tensor<8xf32>
    return %0 : tensor<8xf32>
  }
})");
  ASSERT_TRUE(module.ok()) << module.status().ToString();
  const auto unrolled = Unroll(*module, 4);
  ASSERT_TRUE(unrolled.ok()) << unrolled.status().ToString();
  EXPECT_EQ(unrolled->outputs[0].Parts(0), 2);
  EXPECT_EQ(unrolled->outputs[0].PartOf(0, 3), 1);
}

TEST(Unroll, UnderstandsWhatWasExportedBeforeShardy) {
  const auto module = stablehlo::ParseModule(R"(
module {
  func.func public @main(%a: tensor<4x6xf32> {mhlo.sharding = "{devices=[1,2,2]<=[4] last_tile_dim_replicate}"})
      -> (tensor<4x6xf32>, tensor<4x6xf32> {mhlo.sharding = "{devices=[4,1]<=[4]}"}) {
    %0 = stablehlo.add %a, %a : tensor<4x6xf32>
    %1 = stablehlo.custom_call @Sharding(%0) {mhlo.sharding = "{devices=[2,2]<=[2,2]T(1,0)}"} : (tensor<4x6xf32>) -> tensor<4x6xf32>
    return %1, %0 : tensor<4x6xf32>, tensor<4x6xf32>
  }
})");
  ASSERT_TRUE(module.ok()) << module.status().ToString();
  const auto unrolled = Unroll(*module, 4);
  ASSERT_TRUE(unrolled.ok()) << unrolled.status().ToString();
  EXPECT_EQ(unrolled->inputs[0].Parts(1), 2);
  EXPECT_EQ(unrolled->inputs[0].PartOf(1, 2), 1);
  EXPECT_EQ(unrolled->outputs[0].PartOf(0, 1), 1);  // devices 0, 2, 1, 3
  EXPECT_EQ(unrolled->outputs[0].PartOf(1, 2), 1);
  EXPECT_EQ(unrolled->outputs[1].Parts(0), 4);
}

// Every device's part is a term of the result; a second program takes the terms apart again.
// Notes the elements it is given.
class Listener final : public HostCalls {
 public:
  Status Call(uint64_t, std::span<const Array> in, std::span<const Array>) const override {
    std::string& line = lines.emplace_back();
    for (const Array& a : in) {
      for (uint64_t i = 0; i < a.bytes / 4; ++i) {
        StrAppend(&line, " ", static_cast<const float*>(a.data)[i]);
      }
    }
    return OkStatus();
  }
  mutable std::vector<std::string> lines;
};

constexpr std::string_view kListen =
    "{api_version = 4 : i32, has_side_effect = true, mhlo.backend_config = {id = 1 : ui64";

TEST(Unroll, CallsTheHostForEveryDeviceOfAManualComputation) {
  const Listener listener;
  const HostCalls::Scope scope(&listener);
  EXPECT_GIVES(Program(StrCat("stablehlo.custom_call @megalith.host_call(%x) ", kListen,
                              "}} : (tensor<2xf32>) -> ()\n%r = stablehlo.negate %x : "
                              "tensor<2xf32>")),
               ElementsAre(0, -1, -2, -3, -4, -5, -6, -7));
  EXPECT_THAT(listener.lines, ElementsAre(" 0 1", " 2 3", " 4 5", " 6 7"));
}

TEST(Unroll, CallsTheHostOnceWithWholeArraysOrPerDeviceWithParts) {
  const auto program = [](std::string_view flag) {
    return StrCat(R"(
module @jit_f {
  sdy.mesh @mesh = <["x"=4]>
  func.func public @main(%arg0: tensor<8xf32> {sdy.sharding = #sdy.sharding<@mesh, [{"x"}]>})
      -> tensor<8xf32> {
    %0 = stablehlo.add %arg0, %arg0 : tensor<8xf32>
    %1 = stablehlo.reshape %0 : (tensor<8xf32>) -> tensor<1x8xf32>
    stablehlo.custom_call @megalith.host_call(%1) )",
                  kListen, flag, R"(}} : (tensor<1x8xf32>) -> ()
    %2 = stablehlo.slice %arg0 [0:4] : (tensor<8xf32>) -> tensor<4xf32>
    stablehlo.custom_call @megalith.host_call(%2) )",
                  kListen, R"(}} : (tensor<4xf32>) -> ()
    return %0 : tensor<8xf32>
  }
})");
  };
  const Listener listener;
  const HostCalls::Scope scope(&listener);
  EXPECT_GIVES(program(""), ElementsAre(0, 2, 4, 6, 8, 10, 12, 14));
  EXPECT_THAT(listener.lines, ElementsAre(" 0 2 4 6 8 10 12 14", " 0 1 2 3"));
  listener.lines.clear();
  EXPECT_GIVES(program(", partitioned = true"), ElementsAre(0, 2, 4, 6, 8, 10, 12, 14));
  EXPECT_THAT(listener.lines, ElementsAre(" 0 2", " 4 6", " 8 10", " 12 14", " 0 1 2 3"));
}

TEST(Unroll, KeepsTheTermsOfSums) {
  const auto module = stablehlo::ParseModule(R"(
module {
  sdy.mesh @mesh = <["x"=4]>
  func.func public @main(%a: tensor<8xf32> {sdy.sharding = #sdy.sharding<@mesh, [{"x"}]>})
      -> (tensor<2xf32> {sdy.sharding = #sdy.sharding<@mesh, [{}], unreduced={"x"}>}, tensor<2xf32>,
          tensor<8xf32>) {
    %0 = "sdy.manual_computation"(%a) <{
        in_shardings = #sdy.sharding_per_value<[<@mesh, [{"x"}]>]>,
        manual_axes = #sdy<manual_axes{"x"}>,
        out_shardings = #sdy.sharding_per_value<[<@mesh, [{}], unreduced={"x"}>]>}> ({
    ^bb0(%x: tensor<2xf32>):
      "stablehlo.return"(%x) : (tensor<2xf32>) -> ()
    }) : (tensor<8xf32>) -> tensor<2xf32>
    %1 = "sdy.manual_computation"(%0) <{
        in_shardings = #sdy.sharding_per_value<[<@mesh, [{}], unreduced={"x"}>]>,
        manual_axes = #sdy<manual_axes{"x"}>,
        out_shardings = #sdy.sharding_per_value<[<@mesh, [{"x"}]>]>}> ({
    ^bb0(%x: tensor<2xf32>):
      "stablehlo.return"(%x) : (tensor<2xf32>) -> ()
    }) : (tensor<2xf32>) -> tensor<8xf32>
    return %0, %0, %1 : tensor<2xf32>, tensor<2xf32>, tensor<8xf32>
  }
})");
  ASSERT_TRUE(module.ok()) << module.status().ToString();
  const auto unrolled = Unroll(*module, 4);
  ASSERT_TRUE(unrolled.ok()) << unrolled.status().ToString();
  EXPECT_EQ(unrolled->outputs[0].Terms(), 4);
  EXPECT_EQ(unrolled->outputs[0].TermOf(2), 2);
  Tensor x = *Tensor::Create(DType::kF32, {8});
  for (int64_t i = 0; i < 8; ++i) x.SetDouble(i, static_cast<double>(i));
  const auto out = stablehlo::Evaluate(unrolled->module, std::vector{x});
  ASSERT_TRUE(out.ok()) << out.status().ToString();
  EXPECT_EQ((*out)[0].shape(), (Shape{4, 2}));
  EXPECT_THAT((*out)[0].As<float>(), ElementsAre(0, 1, 2, 3, 4, 5, 6, 7));
  EXPECT_THAT((*out)[1].As<float>(), ElementsAre(12, 16));
  EXPECT_THAT((*out)[2].As<float>(), ElementsAre(0, 1, 2, 3, 4, 5, 6, 7));
}

// `pmap` with `out_axes=None` of what differs.
TEST(Unroll, KeepsVersionsThatAreDeclaredEqual) {
  const auto module = stablehlo::ParseModule(R"(
module {
  sdy.mesh @mesh = <["x"=2]>
  func.func public @main(%a: tensor<4xf32> {sdy.sharding = #sdy.sharding<@mesh, [{"x"}]>})
      -> (tensor<2xf32>, tensor<2xf32>, tensor<f32>) {
    %one = stablehlo.constant dense<1.0> : tensor<f32>
    %0:2 = "sdy.manual_computation"(%a) <{
        in_shardings = #sdy.sharding_per_value<[<@mesh, [{"x"}]>]>,
        manual_axes = #sdy<manual_axes{"x"}>,
        out_shardings = #sdy.sharding_per_value<[<@mesh, [{}]>, <@mesh, []>]>}> ({
    ^bb0(%v: tensor<2xf32>):
      "stablehlo.return"(%v, %one) : (tensor<2xf32>, tensor<f32>) -> ()
    }) : (tensor<4xf32>) -> (tensor<2xf32>, tensor<f32>)
    %1 = stablehlo.negate %0#0 : tensor<2xf32>
    return %0#0, %1, %0#1 : tensor<2xf32>, tensor<2xf32>, tensor<f32>
  }
})");
  ASSERT_TRUE(module.ok()) << module.status().ToString();
  const auto unrolled = Unroll(*module, 2);
  ASSERT_TRUE(unrolled.ok()) << unrolled.status().ToString();
  EXPECT_TRUE(unrolled->outputs[0].IsReplicated());
  EXPECT_EQ(unrolled->outputs[0].Terms(), 1);
  EXPECT_EQ(unrolled->stored[0].Terms(), 2);
  EXPECT_EQ(unrolled->stored[0].TermOf(1), 1);
  EXPECT_EQ(unrolled->stored[1].Terms(), 1);
  EXPECT_EQ(unrolled->stored[2].Terms(), 1);  // the same value on both
  Tensor a = *Tensor::Create(DType::kF32, {4});
  for (int64_t i = 0; i < 4; ++i) a.SetDouble(i, static_cast<double>(i));
  const auto out = stablehlo::Evaluate(unrolled->module, std::vector{a});
  ASSERT_TRUE(out.ok()) << out.status().ToString();
  EXPECT_EQ((*out)[0].shape(), (tensor::Shape{2, 2}));
  EXPECT_THAT((*out)[0].As<float>(), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT((*out)[1].As<float>(), ElementsAre(0, -1));
}

TEST(Unroll, SplitsProductsIntoTerms) {
  const auto module = stablehlo::ParseModule(R"(
module {
  sdy.mesh @mesh = <["x"=2]>
  func.func public @main(%a: tensor<2x2xf32>, %s: tensor<2xf32> {sdy.sharding = #sdy.sharding<@mesh, [{}], unreduced={"x"}>})
      -> (tensor<2x2xf32> {sdy.sharding = #sdy.sharding<@mesh, [{}, {}], unreduced={"x"}>}, tensor<2xf32>) {
    %0 = stablehlo.dot_general %a, %a, contracting_dims = [1] x [0] : (tensor<2x2xf32>, tensor<2x2xf32>) -> tensor<2x2xf32>
    %1 = sdy.sharding_constraint %0 <@mesh, [{}, {}], unreduced={"x"}> : tensor<2x2xf32>
    return %1, %s : tensor<2x2xf32>, tensor<2xf32>
  }
})");
  ASSERT_TRUE(module.ok()) << module.status().ToString();
  const auto unrolled = Unroll(*module, 2);
  ASSERT_TRUE(unrolled.ok()) << unrolled.status().ToString();
  Tensor a = *Tensor::Create(DType::kF32, {2, 2});
  for (int64_t i = 0; i < 4; ++i) a.SetDouble(i, static_cast<double>(i));
  const auto out = stablehlo::Evaluate(unrolled->module, std::vector{a, a});
  ASSERT_TRUE(out.ok()) << out.status().ToString();
  EXPECT_THAT((*out)[0].As<float>(), ElementsAre(0, 0, 0, 2, 2, 3, 6, 9));
  EXPECT_THAT((*out)[1].As<float>(), ElementsAre(2, 4));
}

TEST(Unroll, TellsWhereValuesLieThatAreAskedFor) {
  const auto module = stablehlo::ParseModule(R"(
module @jit_f {
  sdy.mesh @mesh = <["x"=2]>
  func.func public @main(%arg0: tensor<4x6xf32> {sdy.sharding = #sdy.sharding<@mesh, [{"x"}, {}]>},
      %arg1: tensor<8xf32>) -> tensor<6x4xf32> {
    %0 = stablehlo.transpose %arg0, dims = [1, 0] : (tensor<4x6xf32>) -> tensor<6x4xf32>
    "stablehlo.custom_call"(%0) {call_target_name = "megalith.inspect_sharding", api_version = 4 : i32,
        has_side_effect = true, mhlo.backend_config = {id = 7 : ui64}} : (tensor<6x4xf32>) -> ()
    "stablehlo.custom_call"(%arg1) {call_target_name = "megalith.inspect_sharding", api_version = 4 : i32,
        has_side_effect = true, mhlo.backend_config = {id = 8 : ui64}} : (tensor<8xf32>) -> ()
    return %0 : tensor<6x4xf32>
  }
})");
  ASSERT_TRUE(module.ok()) << module.status().ToString();
  const auto unrolled = Unroll(*module, 2);
  ASSERT_TRUE(unrolled.ok()) << unrolled.status().ToString();
  ASSERT_EQ(unrolled->inspections.size(), 2u);
  EXPECT_EQ(unrolled->inspections[0].id, 7u);
  EXPECT_EQ(unrolled->inspections[0].rank, 2u);
  EXPECT_EQ(unrolled->inspections[0].sharding.Parts(1), 2);
  EXPECT_EQ(unrolled->inspections[1].id, 8u);
  EXPECT_TRUE(unrolled->inspections[1].sharding.IsReplicated());
  EXPECT_EQ(unrolled->module.CountOps(), 2u);
}

TEST(Unroll, ResultsOfCallsThatCanBeSplitLieLikeTheirOperand) {
  const auto module = stablehlo::ParseModule(R"(
module @jit_f {
  sdy.mesh @mesh = <["x"=2]>
  func.func public @main(%arg0: tensor<4x6x2xf32> {sdy.sharding = #sdy.sharding<@mesh, [{"x"}, {}, {}]>})
      -> (tensor<4x6x2xf32>, tensor<4x2xf32>, tensor<4x6x2xf32>) {
    %0:2 = stablehlo.custom_call @pair(%arg0) {mhlo.frontend_attributes = {num_batch_dims = "1"}}
        : (tensor<4x6x2xf32>) -> (tensor<4x6x2xf32>, tensor<4x2xf32>)
    %1 = stablehlo.custom_call @LayoutConstraint(%arg0) : (tensor<4x6x2xf32>) -> tensor<4x6x2xf32>
    return %0#0, %0#1, %1 : tensor<4x6x2xf32>, tensor<4x2xf32>, tensor<4x6x2xf32>
  }
})");
  ASSERT_TRUE(module.ok()) << module.status().ToString();
  const auto unrolled = Unroll(*module, 2);
  ASSERT_TRUE(unrolled.ok()) << unrolled.status().ToString();
  for (const Sharding& s : unrolled->outputs) {
    EXPECT_EQ(s.Parts(0), 2);
    EXPECT_EQ(s.Parts(1), 1);
  }
}

TEST(Unroll, RefusesWhatDoesNotFit) {
  const auto error = [](const std::string& text) {
    const Result<std::vector<float>> got = ResultOf(text);
    return got.ok() ? std::string("no error") : got.status().ToString();
  };
  EXPECT_THAT(error(Program("%r = stablehlo.slice %x [0:1] : (tensor<2xf32>) -> tensor<1xf32>",
                            "tensor<1xf32>")),
              HasSubstr("is assembled to tensor<4xf32>, wanted tensor<8xf32>"));
  EXPECT_THAT(error(Program(StrCat("%r = \"stablehlo.all_reduce\"(%x) <{replica_groups = "
                                   "dense<[[0, 9]]> : tensor<1x2xi64>}>",
                                   kSum, " : (tensor<2xf32>) -> tensor<2xf32>"))),
              HasSubstr("device 9 of 4"));
}

TEST(Unroll, RefusesMeshesThatDoNotFit) {
  // The program of four devices with another mesh.
  const auto error = [](std::string_view mesh, std::string_view of_results = "<@mesh, [{\"x\"}]>") {
    std::string text = Program("%r = stablehlo.add %x, %x : tensor<2xf32>");
    const auto replace = [&](std::string_view what, std::string_view with) {
      const size_t at = text.rfind(what);
      text.replace(at, what.size(), with);
    };
    replace("<@mesh, [{\"x\"}]>", of_results);
    replace("<[\"x\"=4]>", mesh);
    const Result<std::vector<float>> got = ResultOf(text);
    return got.ok() ? std::string("no error") : got.status().ToString();
  };
  EXPECT_EQ(error("<[\"x\"=4], device_ids=[3, 1, 0, 2]>"), "no error");
  EXPECT_THAT(error("<[\"x\"=4], device_ids=[0, 1, 2, 4]>"), HasSubstr("names device 4"));
  EXPECT_THAT(error("<[\"x\"=4], device_ids=[0, 1, 2, -1]>"), HasSubstr("INVALID_ARGUMENT"));
  EXPECT_THAT(error("<[\"x\"=4], device_ids=[0, 1, 2, 2]>"), HasSubstr("names device 2 twice"));
  EXPECT_THAT(error("<[\"x\"=8]>"), HasSubstr("a mesh of 8 devices in a program for 4"));
  EXPECT_THAT(
      error("<[\"x\"=4]>\n  sdy.mesh @other = <[\"x\"=2, \"y\"=2]>", "<@other, [{\"x\", \"y\"}]>"),
      HasSubstr("over two meshes"));
}

TEST(ParseSharding, ReadsWhatShardyWrites) {
  Mesh mesh{"mesh", {{"x", 4}, {"y", 2}}, {}};
  const auto s =
      ParseSharding(R"(#sdy.sharding<@mesh, [{"x":(2)2, ?}p1, {}], replicated={"y"}>)", {mesh}, 2);
  ASSERT_TRUE(s.ok()) << s.status().ToString();
  EXPECT_EQ(s->Parts(0), 2);
  EXPECT_EQ(s->PartOf(0, 2), 1);  // x = 1: the inner half of its outer half
  EXPECT_EQ(s->PartOf(0, 4), 0);
  const auto inlined =
      ParseSharding(R"(#sdy.sharding<mesh<["a"=2], device_ids=[1, 0]>, [{"a"}]>)", {}, 1);
  ASSERT_TRUE(inlined.ok()) << inlined.status().ToString();
  EXPECT_EQ(inlined->PartOf(0, 0), 1);
  for (const std::string_view bad :
       {"", "#sdy.sharding<@other, [{}]>", R"(#sdy.sharding<@mesh, [{"z"}]>)",
        "#sdy.sharding<@mesh, [{}, {}, {}]>", R"(#sdy.sharding<@mesh, [{"x":(3)2}]>)",
        "#sdy.sharding<@mesh, [{}]", R"(#sdy.sharding<mesh<["a"=99999999999]>, [{}]>)"}) {
    EXPECT_FALSE(ParseSharding(bad, {mesh}, 2).ok()) << bad;
  }
}

TEST(ParseHloSharding, ReadsWhatXlaWrites) {
  const auto listed = ParseHloSharding("{devices=[2,2]3,1,2,0}", 2, 4);
  ASSERT_TRUE(listed.ok()) << listed.status().ToString();
  EXPECT_EQ(listed->PartOf(0, 3), 0);
  EXPECT_EQ(listed->PartOf(1, 0), 1);
  for (const std::string_view everywhere :
       {"{replicated}", "{maximal device=1}", "{devices=[1,4]<=[4] last_tile_dims={replicated}}"}) {
    const auto s = ParseHloSharding(everywhere, 1, 4);
    ASSERT_TRUE(s.ok()) << everywhere << ": " << s.status().ToString();
    EXPECT_TRUE(s->IsReplicated()) << everywhere;
  }
  for (const std::string_view bad :
       {"", "{", "{replicated", "{devices=[2]}", "{devices=[2]0,9}", "{devices=[2,1]0,1,2}",
        "{devices=[99999999999]<=[4]}", "{devices=[4]<=[2,2]T(0,0)}", "{devices=[4]<=[2,2]T(1)}",
        "{devices=[0]<=[0]}", "{devices=[2,2]<=[4]} x", "{manual}",
        "{devices=[1,4]<=[4] last_tile_dims={manual}}"}) {
    EXPECT_FALSE(ParseHloSharding(bad, 1, 4).ok()) << bad;
  }
}

}  // namespace
}  // namespace megalith::spmd
