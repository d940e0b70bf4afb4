// Kernels as bytes and as text, and what is refused.
#include "common/machines/runtime/loop.h"

#include <gtest/gtest.h>

#include "common/machines/runtime/loop_testing.h"

namespace megalith::runtime {
namespace {

std::string Encoded(const LoopKernel& kernel) {
  ByteWriter out;
  EncodeLoopKernel(kernel, &out);
  return out.Take();
}

// out[i] = in[i] + in[i] over four f32.
LoopKernel Doubling() {
  LoopKernel k;
  k.name = "doubling";
  k.buffers = 2;
  k.outer = {4};
  LoopStage stage;
  stage.loads.push_back({.buffer = 0, .dtype = DType::kF32, .offset = 0, .strides = {1}});
  stage.instrs.push_back({ScalarOp::kLoad, DType::kF32, {}, 0});
  stage.instrs.push_back({ScalarOp::kAdd, DType::kF32, {0, 0, 0}, 0});
  stage.stores.push_back({{.buffer = 1, .dtype = DType::kF32, .offset = 0, .strides = {1}}, 1});
  k.stages.push_back(stage);
  return k;
}
const std::vector<LoopBufferSize> kSizes = {{16}, {16}};

TEST(LoopTest, BytesRoundTrip) {
  Rng rng(1);
  for (int i = 0; i < 300; ++i) {
    const LoopKernel kernel = MakeRandomLoop(rng).kernel;
    const std::string bytes = Encoded(kernel);
    ByteReader in(bytes);
    const auto decoded = DecodeLoopKernel(&in);
    ASSERT_TRUE(decoded.ok()) << decoded.status().ToString();
    EXPECT_EQ(in.left(), 0u);
    EXPECT_EQ(Encoded(*decoded), bytes);
    EXPECT_EQ(decoded->stages, kernel.stages);
    EXPECT_EQ(decoded->locals, kernel.locals);
  }
}

TEST(LoopTest, CutBytesAreRefused) {
  Rng rng(2);
  for (int i = 0; i < 20; ++i) {
    const std::string bytes = Encoded(MakeRandomLoop(rng).kernel);
    for (size_t size = 0; size < bytes.size(); ++size) {
      const std::string cut = bytes.substr(0, size);
      ByteReader in(cut);
      ASSERT_EQ(DecodeLoopKernel(&in).status().code(), Code::kDataLoss) << size;
    }
  }
}

// Whatever survives decoding and checking with a byte changed must be safe to run.
TEST(LoopTest, FlippedBytesAreRefusedOrHarmless) {
  Rng rng(3);
  int accepted = 0;
  for (int i = 0; i < 60; ++i) {
    RandomLoop loop = MakeRandomLoop(rng);
    const std::string bytes = Encoded(loop.kernel);
    for (int flip = 0; flip < 40; ++flip) {
      std::string damaged = bytes;
      damaged[rng.Below(bytes.size())] ^= static_cast<char>(1 + rng.Below(255));
      ByteReader in(damaged);
      const auto kernel = DecodeLoopKernel(&in);
      if (!kernel.ok() || !CheckLoopKernel(*kernel, loop.arguments.Sizes()).ok()) continue;
      if (kernel->OuterPoints() > 100000 || kernel->PointCost() > 1e6) continue;
      ++accepted;
      LoopArguments arguments = loop.arguments;
      const auto points = std::min<int64_t>(kernel->OuterPoints(), 8);
      RunByPoint(*kernel, arguments.Pointers().data(), 0, points);
    }
  }
  EXPECT_GT(accepted, 0);
}

TEST(LoopTest, TextNamesEverything) {
  EXPECT_EQ(LoopText(Doubling()),
            "kernel \"doubling\" args 2 locals [] outer [4] vector outer\n"
            "stage\n"
            "  %0:f32 = load f32 arg0 + 0 [1]\n"
            "  %1:f32 = add %0, %0\n"
            "  store %1 to f32 arg1 + 0 [1]\n");
}

TEST(LoopTest, AcceptsWhatIsInRange) {
  const Status status = CheckLoopKernel(Doubling(), kSizes);
  EXPECT_TRUE(status.ok()) << status.ToString();
}

// The start is stored even then.
TEST(LoopTest, RefusesReductionsOverNothingThatStoreOutside) {
  LoopKernel k = Doubling();
  k.vector_outer = false;
  k.outer = {};
  LoopStage& stage = k.stages[0];
  stage.dims = {{0, true}};
  stage.reductions = {{ReduceKind::kSum, 1, 0}};
  stage.stores[0].value = 0;
  stage.stores[0].to.strides = {0};
  EXPECT_TRUE(CheckLoopKernel(k, kSizes).ok()) << CheckLoopKernel(k, kSizes).ToString();
  stage.stores[0].to.offset = 4;
  EXPECT_EQ(CheckLoopKernel(k, kSizes).code(), Code::kInvalidArgument);
}

// Each changes one thing in a good kernel.
TEST(LoopTest, RefusesWhatIsNot) {
  struct Case {
    const char* what;
    void (*spoil)(LoopKernel&);
  };
  const Case cases[] = {
      {"buffer too small", [](LoopKernel& k) { k.outer = {5}; }},
      {"negative address", [](LoopKernel& k) { k.stages[0].loads[0].offset = -1; }},
      {"huge stride", [](LoopKernel& k) { k.stages[0].loads[0].strides = {INT64_MAX}; }},
      {"strides missing", [](LoopKernel& k) { k.stages[0].loads[0].strides = {}; }},
      {"no such buffer", [](LoopKernel& k) { k.stages[0].stores[0].to.buffer = 2; }},
      {"operand of itself", [](LoopKernel& k) { k.stages[0].instrs[1].in[1] = 1; }},
      {"no such op", [](LoopKernel& k) { k.stages[0].instrs[1].op = static_cast<ScalarOp>(9); }},
      {"type of result", [](LoopKernel& k) { k.stages[0].instrs[1].type = DType::kI32; }},
      {"type of load", [](LoopKernel& k) { k.stages[0].instrs[0].type = DType::kF64; }},
      {"stored type", [](LoopKernel& k) { k.stages[0].stores[0].to.dtype = DType::kI32; }},
      {"guarded store", [](LoopKernel& k) { k.stages[0].stores[0].to.guards = {{0, 0, 1}}; }},
      {"no vector dimension", [](LoopKernel& k) { k.vector_outer = false; }},
      {"extent below zero", [](LoopKernel& k) { k.outer = {-1}; }},
      {"too many dimensions", [](LoopKernel& k) { k.outer.assign(17, 1); }},
      {"too many points", [](LoopKernel& k) { k.outer.assign(3, int64_t{1} << 40); }},
      {"reduction without dimension",
       [](LoopKernel& k) { k.stages[0].reductions = {{ReduceKind::kSum, 1, 0}}; }},
      {"wide constant",
       [](LoopKernel& k) {
         k.stages[0].instrs[1] = {ScalarOp::kConstant, DType::kF32, {}, uint64_t{1} << 32};
       }},
      {"index beyond its array",
       [](LoopKernel& k) { k.stages[0].loads[0].terms = {{0, DType::kI32, 4, {0}, 0, 0}}; }},
      {"index that leads outside",
       [](LoopKernel& k) { k.stages[0].loads[0].terms = {{0, DType::kI32, 0, {0}, 1, 1}}; }},
  };
  for (const Case& c : cases) {
    LoopKernel kernel = Doubling();
    c.spoil(kernel);
    EXPECT_EQ(CheckLoopKernel(kernel, kSizes).code(), Code::kInvalidArgument) << c.what;
  }
}

TEST(LoopTest, CostGrowsWithWork) {
  LoopKernel dearer = Doubling();
  dearer.stages[0].instrs[1] = {ScalarOp::kExp, DType::kF32, {0, 0, 0}, 0};
  EXPECT_GT(dearer.PointCost(), Doubling().PointCost());
}

}  // namespace
}  // namespace megalith::runtime
