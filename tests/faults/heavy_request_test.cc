// The fleet with its real engines under requests that are damaged, wrong or heavy: each gets the
// status that says so, nothing stays behind, and work that nobody waits for ends.
#include <gmock/gmock.h>
#include <google/protobuf/stubs/logging.h>
#include <gtest/gtest.h>

#include <thread>

#include "common/fleet/stubs/cache_client.h"
#include "common/fleet/stubs/program_clients.h"
#include "common/foundation/base/clock.h"
#include "common/foundation/base/rng.h"
#include "common/foundation/base/strings.h"
#include "common/foundation/telemetry/metric_table.h"
#include "common/foundation/tensor/tensor_proto.h"
#include "megalith/compile/v1/compile.pb.h"
#include "megalith/execute/v1/execute.pb.h"
#include "megalith/trace/v1/trace.pb.h"
#include "services/allinone/engines.h"

namespace megalith {
namespace {

using execute::v1::ExecuteRequest;
using std::chrono::milliseconds;

constexpr const char* kSine = "{ lambda ; a:f32[3]. let b:f32[3] = sin a in (b,) }";
// Runs until it is stopped.
constexpr const char* kForever =
    "{ lambda ; a:f32[3]. let\n"
    "    b:f32[3] = while[\n"
    "      body_jaxpr={ lambda ; c:f32[3]. let d:f32[3] = mul c 0.5:f32[] in (d,) }\n"
    "      body_nconsts=0\n"
    "      cond_jaxpr={ lambda ; e:f32[3]. let  in (True:bool[],) }\n"
    "      cond_nconsts=0\n"
    "    ] a\n"
    "  in (b,) }";

std::string Chain(int eqns) {
  std::string text = "{ lambda ; v0:f32[3]. let\n";
  for (int i = 0; i < eqns; ++i) {
    StrAppend(&text, "    v", i + 1, ":f32[3] = ", i % 2 == 0 ? "sin" : "tanh", " v", i, "\n");
  }
  return StrCat(text, "    s:f32[] = reduce_sum[axes=(0,) out_sharding=None] v", eqns,
                "\n  in (s,) }");
}

ExecuteRequest RequestOf(const std::string& text, const tensor::Shape& shape = {3}) {
  ExecuteRequest request;
  request.mutable_chain()->mutable_source()->set_jaxpr_text(text);
  *request.add_arguments()->mutable_tensor() =
      tensor::TensorToProto(*tensor::Tensor::Create(tensor::DType::kF32, shape));
  return request;
}

trace::v1::TraceRequest TraceOf(const std::string& text) {
  trace::v1::TraceRequest request;
  request.mutable_source()->set_jaxpr_text(text);
  return request;
}

class HeavyRequestTest : public ::testing::Test {
 protected:
  HeavyRequestTest() {
    auto fleet = services::EmbeddedFleet::Start({}, services::RealEngines());
    CHECK(fleet.ok());
    fleet_ = *std::move(fleet);
    execute_ = std::make_unique<stubs::ExecuteClient>(fleet_->channel());
    trace_ = std::make_unique<stubs::TraceClient>(fleet_->channel());
    compile_ = std::make_unique<stubs::CompileClient>(fleet_->channel());
  }

  double Gauge(const telemetry::MetricDef& def) { return fleet_->metrics().GetGauge(def).value(); }
  uint64_t CacheEntries() { return stubs::CacheClient(fleet_->channel()).Stat({})->stats.entries; }

  // Waits until all handlers have returned; a handler that goes on runs into the test's time limit.
  void WaitUntilIdle() {
    while (Gauge(telemetry::kRpcInFlight) > 0) std::this_thread::sleep_for(milliseconds(5));
  }

  void ExpectServing() {
    const auto answer = execute_->Execute(RequestOf(kSine));
    EXPECT_TRUE(answer.ok()) << answer.status().ToString();
  }

  std::unique_ptr<services::EmbeddedFleet> fleet_;
  std::unique_ptr<stubs::ExecuteClient> execute_;
  std::unique_ptr<stubs::TraceClient> trace_;
  std::unique_ptr<stubs::CompileClient> compile_;
};

struct WrongRequest {
  std::string_view what;
  ExecuteRequest request;
  Code code;
};

TEST_F(HeavyRequestTest, WrongRequestsLeaveNothingBehind) {
  std::vector<WrongRequest> cases = {
      {"no program", {}, Code::kInvalidArgument},
      {"text", RequestOf("{ lambda"), Code::kInvalidArgument},
      {"types", RequestOf("{ lambda ; a:f32[3]. let b:f32[2] = sin a in (b,) }"),
       Code::kInvalidArgument},
      {"primitive", RequestOf("{ lambda ; a:f32[3]. let b:f32[3] = frob a in (b,) }"),
       Code::kUnimplemented},
      {"shape of the argument", RequestOf(kSine, {4}), Code::kInvalidArgument},
      {"constants", RequestOf("{ lambda a:f32[2]; b:f32[3]. let  in (b,) }"),
       Code::kInvalidArgument},
  };
  cases.push_back({"transform", RequestOf(kSine), Code::kInvalidArgument});
  cases.back().request.mutable_chain()->add_stack()->mutable_grad();
  cases.push_back({"transform of no kind", RequestOf(kSine), Code::kInvalidArgument});
  cases.back().request.mutable_chain()->add_stack();
  cases.push_back({"stack", RequestOf(kSine), Code::kResourceExhausted});
  for (int i = 0; i < 1000; ++i) cases.back().request.mutable_chain()->add_stack()->mutable_jit();
  cases.push_back({"doubling inputs", RequestOf(kSine), Code::kInvalidArgument});
  for (int i = 0; i < 32; ++i) cases.back().request.mutable_chain()->add_stack()->mutable_jvp();
  cases.push_back({"argument", RequestOf(kSine), Code::kInvalidArgument});
  cases.back().request.mutable_arguments(0)->mutable_tensor()->set_data("x");
  cases.push_back({"number of arguments", RequestOf(kSine), Code::kInvalidArgument});
  *cases.back().request.add_arguments() = cases.back().request.arguments(0);
  cases.push_back({"buffer", RequestOf(kSine), Code::kNotFound});
  cases.back().request.mutable_arguments(0)->set_buffer("none");
  cases.push_back({"key", RequestOf(kSine), Code::kNotFound});
  cases.back().request.set_key(std::string(64, 'a'));
  for (WrongRequest& c : cases) {
    c.request.set_return_buffers(true);
    const auto answer = execute_->Execute(c.request);
    EXPECT_EQ(answer.status().code(), c.code) << c.what << ": " << answer.status().ToString();
  }
  EXPECT_EQ(CacheEntries(), 0u);
  EXPECT_EQ(Gauge(telemetry::kBuffers), 0);
  EXPECT_EQ(Gauge(telemetry::kBufferBytes), 0);
  ExpectServing();
}

// Pieces and mutations of good requests: whatever still parses is answered as any other.
TEST_F(HeavyRequestTest, DamagedRequestsAreAnswered) {
  google::protobuf::LogSilencer quiet;
  Rng rng(5);
  const std::string good = RequestOf(kSine).SerializeAsString();
  size_t sent = 0;
  for (int i = 0; i < 400; ++i) {
    std::string bytes = good;
    if (i % 2 == 0) {
      bytes.resize(rng.Below(bytes.size()));
    } else {
      bytes[rng.Below(bytes.size())] = static_cast<char>(rng.Next());
    }
    ExecuteRequest request;
    if (!request.ParseFromString(bytes)) continue;
    ++sent;
    const Code code = execute_->Execute(request).status().code();
    EXPECT_TRUE(code == Code::kOk || code == Code::kInvalidArgument || code == Code::kNotFound ||
                code == Code::kUnimplemented || code == Code::kResourceExhausted)
        << CodeName(code) << "\n"
        << request.ShortDebugString();
  }
  EXPECT_GT(sent, 50u);
  EXPECT_EQ(Gauge(telemetry::kBuffers), 0);
  ExpectServing();
}

TEST_F(HeavyRequestTest, DeadlinesEndTracing) {
  trace::v1::TraceRequest request = TraceOf(Chain(20'000));
  request.add_stack()->mutable_hessian();
  const auto answer = trace_->Trace(request, {.timeout = milliseconds(1)});
  EXPECT_EQ(answer.status().code(), Code::kDeadlineExceeded) << answer.status().ToString();
  WaitUntilIdle();
  ExpectServing();
}

TEST_F(HeavyRequestTest, DeadlinesEndCompiling) {
  trace::v1::LowerRequest lower;
  lower.mutable_source()->set_jaxpr_text(Chain(20'000));
  const auto lowered = trace_->Lower(lower);
  ASSERT_TRUE(lowered.ok()) << lowered.status().ToString();
  compile::v1::CompileRequest request;
  request.set_stablehlo_text(lowered->stablehlo_text());
  const auto answer = compile_->Compile(request, {}, {.timeout = milliseconds(1)});
  EXPECT_EQ(answer.status().code(), Code::kDeadlineExceeded) << answer.status().ToString();
  WaitUntilIdle();
  EXPECT_EQ(CacheEntries(), 0u);
  ExpectServing();
}

TEST_F(HeavyRequestTest, DeadlinesEndRuns) {
  const auto answer = execute_->Execute(RequestOf(kForever), {.timeout = milliseconds(300)});
  EXPECT_EQ(answer.status().code(), Code::kDeadlineExceeded) << answer.status().ToString();
  WaitUntilIdle();
  EXPECT_EQ(Gauge(telemetry::kBuffers), 0);
  ExpectServing();
}

TEST_F(HeavyRequestTest, CallersThatGoAwayEndTheirRuns) {
  Cancellation cancellation;
  std::thread caller([&] {
    const auto answer = execute_->Execute(RequestOf(kForever), {.cancellation = &cancellation});
    EXPECT_EQ(answer.status().code(), Code::kCancelled) << answer.status().ToString();
  });
  std::this_thread::sleep_for(milliseconds(300));
  EXPECT_GT(Gauge(telemetry::kRpcInFlight), 0);
  cancellation.Cancel();
  caller.join();
  WaitUntilIdle();
  ExpectServing();
}

TEST_F(HeavyRequestTest, CallersThatGoAwayEndTheirTracing) {
  Cancellation cancellation;
  trace::v1::TraceRequest request = TraceOf(Chain(50'000));
  for (int i = 0; i < 4; ++i) request.add_stack()->mutable_jvp();
  std::thread caller([&] {
    const auto answer = trace_->Trace(request, {.cancellation = &cancellation});
    EXPECT_EQ(answer.status().code(), Code::kCancelled) << answer.status().ToString();
  });
  std::this_thread::sleep_for(milliseconds(100));
  cancellation.Cancel();
  caller.join();
  WaitUntilIdle();
  ExpectServing();
}

}  // namespace
}  // namespace megalith
