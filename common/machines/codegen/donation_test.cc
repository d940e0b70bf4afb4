// Which results lie in inputs that are given away, and that programs give the same whether an input
// is given or not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/foundation/base/strings.h"
#include "common/machines/codegen/cpu_backend.h"
#include "common/machines/runtime/package.h"
#include "common/machines/runtime/plan.h"
#include "common/programs/stablehlo/evaluate.h"
#include "common/programs/stablehlo/parser.h"

namespace megalith::codegen {
namespace {

using runtime::Executable;
using runtime::Plan;
using tensor::DType;
using tensor::Shape;
using tensor::Tensor;
using ::testing::HasSubstr;

constexpr uint32_t kNoOutput = UINT32_MAX;

struct Compiled {
  std::shared_ptr<const Executable> executable;
  Plan plan;
};

Result<Compiled> Compile(std::string_view text, std::string_view donate, std::string_view tier) {
  const auto backend = MakeCpuBackend();
  runtime::CompileOptions options;
  options.settings = {{"donate", std::string(donate)}, {"tier", std::string(tier)}};
  ASSIGN_OR_RETURN(const std::string package, backend->Compile(text, options, nullptr));
  Compiled made;
  ASSIGN_OR_RETURN(made.executable, backend->Load(package));
  ASSIGN_OR_RETURN(const runtime::Package parts, runtime::DecodePackage(package));
  ASSIGN_OR_RETURN(const std::string_view plan, parts.Find("plan"));
  ASSIGN_OR_RETURN(made.plan, runtime::DecodePlan(plan));
  return made;
}

// Small whole numbers, different in every input: sums and products of them are exact.
std::vector<Tensor> InputsOf(const Executable& executable) {
  std::vector<Tensor> inputs;
  for (const runtime::TensorSpec& spec : executable.signature().inputs) {
    Tensor t = *Tensor::Create(spec.dtype, spec.shape);
    const auto salt = static_cast<int64_t>(inputs.size());
    for (int64_t i = 0; i < t.size(); ++i) t.SetDouble(i, static_cast<double>((i * 5 + salt) % 7));
    inputs.push_back(std::move(t));
  }
  return inputs;
}

std::vector<Tensor> Copies(const std::vector<Tensor>& tensors) {
  std::vector<Tensor> out;
  for (const Tensor& t : tensors)
    out.push_back(*Tensor::FromBytes(t.dtype(), t.shape(), t.bytes()));
  return out;
}

void ExpectEqual(const std::vector<Tensor>& got, const std::vector<Tensor>& wanted) {
  ASSERT_EQ(got.size(), wanted.size());
  for (size_t i = 0; i < got.size(); ++i)
    EXPECT_TRUE(got[i].BitEquals(wanted[i])) << "output " << i;
}

struct DonationCase {
  std::string_view name;
  std::string_view donate;
  // For each output the input whose memory it has, or kNoOutput.
  std::vector<uint32_t> lies_in;
  int copies = 0;  // steps of the plan
  std::string_view program;
};

const DonationCase kCases[] = {
    {"elementwise", "0:0", {0}, 0, R"((%x: tensor<64x32xf32>, %y: tensor<64x32xf32>)
        -> tensor<64x32xf32> {
      %s = stablehlo.add %x, %y : tensor<64x32xf32>
      %r = stablehlo.multiply %s, %x : tensor<64x32xf32>
      return %r : tensor<64x32xf32> })"},
    {"without_a_wish", "1", {1}, 0, R"((%x: tensor<64xf32>, %y: tensor<64xf32>) -> tensor<64xf32> {
      %r = stablehlo.add %x, %y : tensor<64xf32>
      return %r : tensor<64xf32> })"},
    {"two_swapped", "0:1,1:0", {1, 0}, 0, R"((%x: tensor<64xf32>, %y: tensor<64xf32>)
        -> (tensor<64xf32>, tensor<64xf32>) {
      %a = stablehlo.add %y, %y : tensor<64xf32>
      %b = stablehlo.multiply %x, %x : tensor<64xf32>
      return %a, %b : tensor<64xf32>, tensor<64xf32> })"},
    {"scatter", "0:0", {0}, 0, R"((%x: tensor<50x4xf32>, %i: tensor<6x1xi32>, %u: tensor<6x4xf32>)
        -> tensor<50x4xf32> {
      %r = "stablehlo.scatter"(%x, %i, %u) <{indices_are_sorted = false,
          scatter_dimension_numbers = #stablehlo.scatter<update_window_dims = [1],
            inserted_window_dims = [0], scatter_dims_to_operand_dims = [0], index_vector_dim = 1>,
          unique_indices = false}> ({
        ^bb0(%p: tensor<f32>, %q: tensor<f32>):
          %s = stablehlo.add %p, %q : tensor<f32>
          stablehlo.return %s : tensor<f32>
      }) : (tensor<50x4xf32>, tensor<6x1xi32>, tensor<6x4xf32>) -> tensor<50x4xf32>
      return %r : tensor<50x4xf32> })"},
    {"dynamic_update_slice", "0:0", {0}, 0, R"((%x: tensor<50x4xf32>, %u: tensor<3x4xf32>,
        %i: tensor<i32>, %j: tensor<i32>) -> tensor<50x4xf32> {
      %r = stablehlo.dynamic_update_slice %x, %u, %i, %j
          : (tensor<50x4xf32>, tensor<3x4xf32>, tensor<i32>, tensor<i32>) -> tensor<50x4xf32>
      return %r : tensor<50x4xf32> })"},
    {"update_that_reads_what_it_overwrites", "0:0", {0}, 0, R"((%x: tensor<50x4xf32>,
        %u: tensor<3x4xf32>, %i: tensor<i32>) -> tensor<50x4xf32> {
      %zero = stablehlo.constant dense<0> : tensor<i32>
      %o = stablehlo.slice %x [1:4, 0:4] : (tensor<50x4xf32>) -> tensor<3x4xf32>
      %s = stablehlo.add %o, %u : tensor<3x4xf32>
      %r = stablehlo.dynamic_update_slice %x, %s, %i, %zero
          : (tensor<50x4xf32>, tensor<3x4xf32>, tensor<i32>, tensor<i32>) -> tensor<50x4xf32>
      return %r : tensor<50x4xf32> })"},
    // The copy is that of the counter, a constant at first.
    {"carried_by_a_loop", "0:0", {0}, 1, R"((%x: tensor<64xf32>, %n: tensor<i32>)
        -> tensor<64xf32> {
      %zero = stablehlo.constant dense<0> : tensor<i32>
      %one = stablehlo.constant dense<1> : tensor<i32>
      %r:2 = stablehlo.while(%a = %x, %i = %zero) : tensor<64xf32>, tensor<i32>
        cond { %p = stablehlo.compare LT, %i, %n, SIGNED : (tensor<i32>, tensor<i32>) -> tensor<i1>
          stablehlo.return %p : tensor<i1> }
        do { %b = stablehlo.add %a, %a : tensor<64xf32>
          %j = stablehlo.add %i, %one : tensor<i32>
          stablehlo.return %b, %j : tensor<64xf32>, tensor<i32> }
      return %r#0 : tensor<64xf32> })"},
    {"as_it_is", "0:1", {kNoOutput, 0}, 0, R"((%x: tensor<64xf32>)
        -> (tensor<64xf32>, tensor<64xf32>) {
      %r = stablehlo.add %x, %x : tensor<64xf32>
      return %r, %x : tensor<64xf32>, tensor<64xf32> })"},
    {"as_it_is_twice", "0", {0, kNoOutput}, 1, R"((%x: tensor<64xf32>)
        -> (tensor<64xf32>, tensor<64xf32>) {
      return %x, %x : tensor<64xf32>, tensor<64xf32> })"},
    // The product cannot be where its operand is, but the next one can.
    {"once_it_has_been_read", "0:0", {0}, 0, R"((%x: tensor<32x32xf32>, %w: tensor<32x32xf32>)
        -> tensor<32x32xf32> {
      %a = stablehlo.dot_general %x, %w, contracting_dims = [1] x [0]
          : (tensor<32x32xf32>, tensor<32x32xf32>) -> tensor<32x32xf32>
      %b = stablehlo.dot_general %a, %w, contracting_dims = [1] x [0]
          : (tensor<32x32xf32>, tensor<32x32xf32>) -> tensor<32x32xf32>
      return %b : tensor<32x32xf32> })"},
    // The new %w is made after the last product with the old one, which stands behind it.
    {"after_others_have_read_it", "1:0", {1, kNoOutput}, 0, R"((%x: tensor<32x32xf32>,
        %w: tensor<32x32xf32>) -> (tensor<32x32xf32>, tensor<32x32xf32>) {
      %n = stablehlo.add %w, %x : tensor<32x32xf32>
      %a = stablehlo.dot_general %x, %w, contracting_dims = [1] x [0]
          : (tensor<32x32xf32>, tensor<32x32xf32>) -> tensor<32x32xf32>
      return %n, %a : tensor<32x32xf32>, tensor<32x32xf32> })"},
    {"not_if_read_for_what_follows", "0:0", {kNoOutput, kNoOutput}, 0, R"((%x: tensor<32x32xf32>)
        -> (tensor<32x32xf32>, tensor<32x32xf32>) {
      %a = stablehlo.dot_general %x, %x, contracting_dims = [1] x [0]
          : (tensor<32x32xf32>, tensor<32x32xf32>) -> tensor<32x32xf32>
      %b = stablehlo.dot_general %a, %x, contracting_dims = [1] x [0]
          : (tensor<32x32xf32>, tensor<32x32xf32>) -> tensor<32x32xf32>
      return %a, %b : tensor<32x32xf32>, tensor<32x32xf32> })"},
    {"as_another_type", "0:0", {0}, 0, R"((%x: tensor<64x2xi32>) -> tensor<128xf32> {
      %a = stablehlo.convert %x : (tensor<64x2xi32>) -> tensor<64x2xf32>
      %r = stablehlo.reshape %a : (tensor<64x2xf32>) -> tensor<128xf32>
      return %r : tensor<128xf32> })"},
    {"not_as_a_wider_type", "0:0", {kNoOutput}, 0, R"((%x: tensor<64x2xi16>) -> tensor<64xf32> {
      %s = stablehlo.slice %x [0:64, 0:1] : (tensor<64x2xi16>) -> tensor<64x1xi16>
      %a = stablehlo.convert %s : (tensor<64x1xi16>) -> tensor<64x1xf32>
      %r = stablehlo.reshape %a : (tensor<64x1xf32>) -> tensor<64xf32>
      return %r : tensor<64xf32> })"},
    {"empty", "0:0", {kNoOutput}, 0, R"((%x: tensor<0xf32>) -> tensor<0xf32> {
      %r = stablehlo.add %x, %x : tensor<0xf32>
      return %r : tensor<0xf32> })"},
};

class DonationTest : public ::testing::TestWithParam<std::tuple<DonationCase, const char*>> {
 protected:
  const DonationCase& Case() const { return std::get<0>(GetParam()); }
  std::string Text() const {
    return StrCat("module { func.func public @main", Case().program, " }");
  }
  void SetUp() override {
    auto made = Compile(Text(), Case().donate, std::get<1>(GetParam()));
    ASSERT_TRUE(made.ok()) << made.status().ToString();
    made_ = *std::move(made);
    inputs_ = InputsOf(*made_.executable);
    wanted_ = *stablehlo::Evaluate(*stablehlo::ParseModule(Text()), inputs_);
  }
  Compiled made_;
  std::vector<Tensor> inputs_, wanted_;
};

TEST_P(DonationTest, ResultsLieInInputsThatAreGiven) {
  std::vector<Tensor> given = Copies(inputs_);
  std::vector<const void*> places;
  for (const Tensor& t : given) places.push_back(t.data());
  const auto got = made_.executable->RunTaking(std::move(given));
  ASSERT_TRUE(got.ok()) << got.status().ToString();
  ExpectEqual(*got, wanted_);
  uint64_t bytes = 0;
  for (size_t i = 0; i < got->size(); ++i) {
    const uint32_t input = Case().lies_in[i];
    const auto found = std::ranges::find(places, (*got)[i].data());
    if (input != kNoOutput) {
      EXPECT_EQ((*got)[i].data(), places[input]) << "output " << i;
      bytes += (*got)[i].byte_size();
    } else if ((*got)[i].byte_size() > 0) {
      EXPECT_EQ(found, places.end()) << "output " << i;
    }
    EXPECT_TRUE((*got)[i].unique()) << "output " << i;
  }
  EXPECT_EQ(made_.executable->donated_bytes(), bytes);
  EXPECT_EQ(std::ranges::count(made_.plan.entry.steps, runtime::StepKind::kCopy,
                               &runtime::PlanStep::kind),
            Case().copies);
}

TEST_P(DonationTest, InputsThatAreNotGivenStayAsTheyAre) {
  const std::vector<Tensor> before = Copies(inputs_);
  for (int i = 0; i < 2; ++i) {
    const auto got = made_.executable->Run(inputs_);
    ASSERT_TRUE(got.ok()) << got.status().ToString();
    ExpectEqual(*got, wanted_);
    ExpectEqual(inputs_, before);
  }
}

TEST_P(DonationTest, InputsThatOthersHoldStayAsTheyAre) {
  const std::vector<Tensor> before = Copies(inputs_);
  const auto got = made_.executable->RunTaking(inputs_);  // a copy of the vector, not of elements
  ASSERT_TRUE(got.ok()) << got.status().ToString();
  ExpectEqual(*got, wanted_);
  ExpectEqual(inputs_, before);
}

TEST_P(DonationTest, MemoryOfOthersStaysAsItIs) {
  const std::vector<Tensor> before = Copies(inputs_);
  std::vector<Tensor> views;
  for (const Tensor& t : inputs_) {
    views.push_back(Tensor::View(t.dtype(), t.shape(), t.data(), std::make_shared<int>(0)));
  }
  const auto got = made_.executable->RunTaking(std::move(views));
  ASSERT_TRUE(got.ok()) << got.status().ToString();
  ExpectEqual(*got, wanted_);
  ExpectEqual(inputs_, before);
}

INSTANTIATE_TEST_SUITE_P(
    All, DonationTest, ::testing::Combine(::testing::ValuesIn(kCases), ::testing::Values("0", "1")),
    [](const auto& info) {
      return StrCat(std::get<0>(info.param).name, "_tier", std::get<1>(info.param));
    });

// One array for two inputs: each sees what the caller gave, not what the other has become.
TEST(DonationsTest, OneArrayMayBeGivenTwice) {
  const auto made = Compile(R"(module { func.func public @main(%x: tensor<64xf32>,
      %y: tensor<64xf32>) -> (tensor<64xf32>, tensor<64xf32>) {
    %a = stablehlo.add %x, %x : tensor<64xf32>
    %b = stablehlo.multiply %a, %y : tensor<64xf32>
    return %a, %b : tensor<64xf32>, tensor<64xf32> } })",
                            "0:0,1:1", "0");
  ASSERT_TRUE(made.ok()) << made.status().ToString();
  std::vector<Tensor> given = {InputsOf(*made->executable)[0]};
  const Tensor before = *Tensor::FromBytes(DType::kF32, {64}, given[0].bytes());
  given.push_back(given[0]);
  const auto got = *made->executable->RunTaking(std::move(given));
  for (int64_t i = 0; i < 64; ++i) {
    EXPECT_EQ(got[0].DoubleAt(i), 2 * before.DoubleAt(i));
    EXPECT_EQ(got[1].DoubleAt(i), 2 * before.DoubleAt(i) * before.DoubleAt(i));
  }
}

// A chain of products needs two arrays beside its input; one of them can be the input, and one the
// result.
TEST(DonationsTest, TemporariesLieInInputsThatHaveBeenRead) {
  std::string body;
  for (int i = 0; i < 5; ++i) {
    StrAppend(&body, "%p", i + 1, " = stablehlo.dot_general %p", i,
              ", %w, contracting_dims = [1] x [0] : (tensor<32x32xf32>, tensor<32x32xf32>) -> "
              "tensor<32x32xf32>\n");
  }
  const std::string text = StrCat(
      "module { func.func public @main(%p0: tensor<32x32xf32>, %w: tensor<32x32xf32>) -> "
      "tensor<16xf32> {\n",
      body,
      "%s = stablehlo.slice %p5 [0:1, 0:16] : (tensor<32x32xf32>) -> "
      "tensor<1x16xf32>\n%r = stablehlo.reshape %s : (tensor<1x16xf32>) -> "
      "tensor<16xf32>\nreturn %r : tensor<16xf32> } }");
  const auto without = Compile(text, "", "0"), with = Compile(text, "0", "0");
  ASSERT_TRUE(without.ok() && with.ok());
  EXPECT_EQ(without->plan.arena_bytes, 2 * 32 * 32 * sizeof(float));
  EXPECT_EQ(with->plan.arena_bytes, 32 * 32 * sizeof(float));
  EXPECT_THAT(PlanText(with->plan), HasSubstr("temporaries lie in input 0"));
  const std::vector<Tensor> inputs = InputsOf(*with->executable);
  const auto wanted = *without->executable->Run(inputs);
  ExpectEqual(*with->executable->Run(inputs), wanted);
  ExpectEqual(*with->executable->RunTaking(Copies(inputs)), wanted);
}

// With every parameter of a training step given, no result needs memory of its own.
TEST(DonationsTest, NewParametersLieWhereTheOldOnesDid) {
  const auto made = Compile(R"(module { func.func public @main(%w: tensor<8x32xf32>,
      %v: tensor<32x4xf32>, %x: tensor<16x8xf32>, %y: tensor<16x4xf32>)
      -> (tensor<8x32xf32>, tensor<32x4xf32>) {
    %h = stablehlo.dot_general %x, %w, contracting_dims = [1] x [0]
        : (tensor<16x8xf32>, tensor<8x32xf32>) -> tensor<16x32xf32>
    %o = stablehlo.dot_general %h, %v, contracting_dims = [1] x [0]
        : (tensor<16x32xf32>, tensor<32x4xf32>) -> tensor<16x4xf32>
    %d = stablehlo.subtract %o, %y : tensor<16x4xf32>
    %dv = stablehlo.dot_general %h, %d, contracting_dims = [0] x [0]
        : (tensor<16x32xf32>, tensor<16x4xf32>) -> tensor<32x4xf32>
    %nv = stablehlo.subtract %v, %dv : tensor<32x4xf32>
    %dh = stablehlo.dot_general %d, %v, contracting_dims = [1] x [1]
        : (tensor<16x4xf32>, tensor<32x4xf32>) -> tensor<16x32xf32>
    %dw = stablehlo.dot_general %x, %dh, contracting_dims = [0] x [0]
        : (tensor<16x8xf32>, tensor<16x32xf32>) -> tensor<8x32xf32>
    %nw = stablehlo.subtract %w, %dw : tensor<8x32xf32>
    return %nw, %nv : tensor<8x32xf32>, tensor<32x4xf32> } })",
                            "0:0,1:1", "0");
  ASSERT_TRUE(made.ok()) << made.status().ToString();
  EXPECT_EQ(made->executable->donated_bytes(), (8 * 32 + 32 * 4) * sizeof(float));
}

TEST(DonationsTest, WhatTheSameKernelCopiesIsNotOverwrittenBefore) {
  for (const std::string_view tier : {"0", "1"}) {
    const auto made = Compile(R"(
module {
  func.func public @main(%x: tensor<7xf64>, %y: tensor<7xf64>) -> (tensor<7xf64>, tensor<7xcomplex<f64>>) {
    %0 = stablehlo.subtract %x, %y : tensor<7xf64>
    %1 = stablehlo.complex %0, %x : tensor<7xcomplex<f64>>
    return %0, %1 : tensor<7xf64>, tensor<7xcomplex<f64>>
  }
})",
                              "0", tier);
    ASSERT_TRUE(made.ok()) << made.status().ToString();
    const std::vector<Tensor> inputs = InputsOf(*made->executable);
    const auto wanted = made->executable->Run(inputs);
    const auto got = made->executable->RunTaking(Copies(inputs));
    ASSERT_TRUE(wanted.ok() && got.ok());
    ExpectEqual(*got, *wanted);
    EXPECT_EQ((*got)[1].ComplexAt(1).imag(), 5);
  }
}

TEST(DonationsTest, WrongSettingsAreRefused) {
  const std::string text =
      "module { func.func public @main(%x: tensor<4xf32>) -> tensor<4xf32> {\n"
      "return %x : tensor<4xf32> } }";
  for (const std::string_view donate : {"1", "0:1", "0,0", "x", "0:", ",", "0:0:0", "-1"}) {
    EXPECT_EQ(Compile(text, donate, "0").status().code(), Code::kInvalidArgument) << donate;
  }
  EXPECT_TRUE(Compile(text, "", "0").ok());
}

}  // namespace
}  // namespace megalith::codegen
