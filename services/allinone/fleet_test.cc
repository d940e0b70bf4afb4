// The services together, over in-process channels and over sockets, with engines that only the
// tests understand.
#include "services/allinone/fleet.h"
#include "megalith/compile/v1/compile.pb.h"
#include "megalith/execute/v1/execute.pb.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "common/fleet/cache/fleet_key.h"
#include "common/fleet/ledger/ledger.h"
#include "common/fleet/stubs/cache_client.h"
#include "common/fleet/stubs/ledger_client.h"
#include "common/fleet/stubs/program_clients.h"
#include "common/foundation/base/strings.h"
#include "common/foundation/tensor/tensor_proto.h"
#include "monolith/agent_service/agent_service.pb.h"
#include "tests/support/fake_engines.h"
#include "tests/support/zookeeper_server.h"

namespace megalith::services {
namespace {

using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

tensor::Tensor Vector(std::initializer_list<double> values) {
  tensor::Tensor t = *tensor::Tensor::Create(tensor::DType::kF32,
                                             tensor::Shape{static_cast<int64_t>(values.size())});
  int64_t i = 0;
  for (const double v : values) t.SetDouble(i++, v);
  return t;
}

execute::v1::ExecuteRequest ChainRequest(const std::string& text, const tensor::Tensor& argument) {
  execute::v1::ExecuteRequest request;
  request.mutable_chain()->mutable_source()->set_jaxpr_text(text);
  *request.add_arguments()->mutable_tensor() = tensor::TensorToProto(argument);
  return request;
}

execute::v1::ExecuteRequest KeyRequest(const std::string& key, const tensor::Tensor& argument) {
  execute::v1::ExecuteRequest request;
  request.set_key(key);
  *request.add_arguments()->mutable_tensor() = tensor::TensorToProto(argument);
  return request;
}

compile::v1::CompileRequest CompileOf(const std::string& text) {
  compile::v1::CompileRequest request;
  request.set_stablehlo_text(text);
  return request;
}

class FleetTest : public ::testing::Test {
 protected:
  void SetUp() override { Start({}); }
  void Start(EmbeddedFleet::Options options) {
    fleet_.reset();
    if (options.process.listen.size() == 1 && options.process.listen[0] == "127.0.0.1:0" &&
        options.fleet.transport == Transport::kInProcess) {
      options.process.listen.clear();
    }
    options.data_directory = directory_.path();
    auto fleet = EmbeddedFleet::Start(std::move(options), testing::FakeEngines(&world_));
    ASSERT_TRUE(fleet.ok()) << fleet.status().ToString();
    fleet_ = *std::move(fleet);
    execute_ = std::make_unique<stubs::ExecuteClient>(fleet_->channel());
    compile_ = std::make_unique<stubs::CompileClient>(fleet_->channel());
    trace_ = std::make_unique<stubs::TraceClient>(fleet_->channel());
    cache_ = std::make_unique<stubs::CacheClient>(fleet_->channel());
    ledger_ = std::make_unique<stubs::LedgerClient>(fleet_->channel());
  }
  std::vector<double> Values(const execute::v1::ExecuteResponse& response) {
    const tensor::Tensor t = *tensor::TensorFromProto(response.results(0).tensor());
    std::vector<double> out;
    for (int64_t i = 0; i < t.size(); ++i) out.push_back(t.DoubleAt(i));
    return out;
  }

  TempDirectory directory_;
  testing::FakeWorld world_;
  std::unique_ptr<EmbeddedFleet> fleet_;
  std::unique_ptr<stubs::ExecuteClient> execute_;
  std::unique_ptr<stubs::CompileClient> compile_;
  std::unique_ptr<stubs::TraceClient> trace_;
  std::unique_ptr<stubs::CacheClient> cache_;
  std::unique_ptr<stubs::LedgerClient> ledger_;
};

TEST_F(FleetTest, OneCallTakesAProgramToItsResult) {
  const auto response = execute_->Execute(ChainRequest("mul 2 3", Vector({1, 2, 3})));
  ASSERT_TRUE(response.ok()) << response.status().ToString();
  EXPECT_THAT(Values(*response), ElementsAre(2, 4, 6));
  const auto by_key = execute_->Execute(KeyRequest(response->key(), Vector({5, 6, 7})));
  EXPECT_THAT(Values(*by_key), ElementsAre(10, 12, 14));
  EXPECT_EQ(world_.traces.load(), 1);
  EXPECT_EQ(world_.compilations.load(), 1);
  EXPECT_EQ(world_.loads.load(), 1);
}

TEST_F(FleetTest, SecondChainCallGoesStraightToTheExecutable) {
  ASSERT_TRUE(execute_->Execute(ChainRequest("mul 2 3", Vector({1, 2, 3}))).ok());
  ASSERT_TRUE(execute_->Execute(ChainRequest("mul 2 3", Vector({4, 5, 6}))).ok());
  EXPECT_EQ(world_.traces.load(), 1);
  EXPECT_EQ(world_.compilations.load(), 1);
}

TEST_F(FleetTest, EveryServiceLeavesEvidenceUnderOneTraceId) {
  const auto response = execute_->Execute(ChainRequest("mul 2 3", Vector({1, 2, 3})));
  ASSERT_TRUE(ledger_->Verify()->intact);
  const auto entries = *ledger_->Query({.trace_id = response->ids().trace_id()}, 100);
  std::vector<std::string> who;
  for (const ledger::Entry& e : entries) who.push_back(StrCat(e.service, ":", e.decision));
  EXPECT_THAT(who, ElementsAre("trace:trace", "cache:store", "compile:miss", "execute:load",
                               "execute:run"));
  ASSERT_EQ(response->ids().ledger_sequences_size(), 1);
  EXPECT_EQ(response->ids().ledger_sequences(0), entries.back().sequence);
}

TEST_F(FleetTest, RestartedFleetFindsCompiledPrograms) {
  const std::string key = execute_->Execute(ChainRequest("mul 2 3", Vector({1, 2, 3})))->key();
  Start({});
  EXPECT_THAT(Values(*execute_->Execute(KeyRequest(key, Vector({1, 2, 3})))), ElementsAre(2, 4, 6));
  EXPECT_EQ(world_.compilations.load(), 1);
  EXPECT_EQ(compile_->Compile(CompileOf("mul 2 3"), nullptr)->cache(),
            compile::v1::CACHE_OUTCOME_HIT);
}

TEST_F(FleetTest, EvictedProgramIsCompiledAgainBehindAChain) {
  const std::string key = execute_->Execute(ChainRequest("mul 2 3", Vector({1, 2, 3})))->key();
  EXPECT_TRUE(*execute_->Unload(key));
  ASSERT_EQ(cache_->Evict({key}, std::nullopt)->removed, 1u);
  EXPECT_EQ(execute_->Execute(KeyRequest(key, Vector({1, 2, 3}))).status().code(), Code::kNotFound);
  EXPECT_TRUE(execute_->Execute(ChainRequest("mul 2 3", Vector({1, 2, 3}))).ok());
  EXPECT_EQ(world_.compilations.load(), 2);
}

TEST_F(FleetTest, CompileStreamsProgressThenTheResult) {
  std::vector<std::string> stages;
  const auto result = compile_->Compile(CompileOf("mul 3 4"), [&](const compile::v1::Progress& p) {
    if (stages.empty() || stages.back() != p.stage()) stages.push_back(p.stage());
  });
  EXPECT_THAT(stages, ElementsAre("parse", "lookup", "compile", "store"));
  EXPECT_EQ(result->cache(), compile::v1::CACHE_OUTCOME_MISS);
  EXPECT_EQ(result->signature().inputs(0).dims(0), 4);
  EXPECT_EQ(result->cost().flops(), 4);
  EXPECT_EQ(result->package(), "");
  EXPECT_EQ(cache::WithoutSeal(*compile_->GetExecutable(result->key())), "package mul 3 4");
  EXPECT_EQ(compile_->GetExecutable(std::string(64, '0')).status().code(), Code::kNotFound);
}

TEST_F(FleetTest, IgnoreCacheCompilesAgain) {
  auto request = CompileOf("mul 3 4");
  ASSERT_TRUE(compile_->Compile(request, nullptr).ok());
  request.mutable_options()->set_ignore_cache(true);
  request.set_return_package(true);
  const auto result = compile_->Compile(request, nullptr);
  EXPECT_EQ(result->cache(), compile::v1::CACHE_OUTCOME_IGNORED);
  EXPECT_EQ(cache::WithoutSeal(result->package()), "package mul 3 4");
  EXPECT_EQ(world_.compilations.load(), 2);
}

TEST_F(FleetTest, OptionsAndTargetsSeparateKeys) {
  auto request = CompileOf("mul 3 4");
  const std::string plain = compile_->Compile(request, nullptr)->key();
  request.mutable_options()->set_target("other");
  const std::string other = compile_->Compile(request, nullptr)->key();
  EXPECT_NE(plain, other);
  const auto explanation = *cache_->Explain(plain, other);
  ASSERT_THAT(explanation.differences, SizeIs(1));
  EXPECT_EQ(explanation.differences[0].name, "target");
}

TEST_F(FleetTest, DamagedPackageIsRepaired) {
  const std::string key = compile_->Compile(CompileOf("mul 3 4"), nullptr)->key();
  fleet_.reset();
  const std::string path = StrCat(directory_.path(), "/cache/objects/", key.substr(0, 2), "/", key);
  const auto damage = [&] {
    ASSERT_TRUE(RealFileSystem().Truncate(path, RealFileSystem().Stat(path)->size - 1).ok());
  };
  // From its sidecar: nobody notices.
  damage();
  Start({});
  EXPECT_EQ(compile_->Compile(CompileOf("mul 3 4"), nullptr)->cache(),
            compile::v1::CACHE_OUTCOME_HIT);
  EXPECT_EQ(world_.compilations.load(), 1);
  // Without one it is compiled again.
  fleet_.reset();
  damage();
  const std::string sidecar =
      StrCat(directory_.path(), "/cache/sidecars/", key.substr(0, 2), "/", key);
  ASSERT_TRUE(RealFileSystem().Remove(sidecar).ok());
  Start({});
  // A scrub may have put it away before the request came.
  EXPECT_THAT(compile_->Compile(CompileOf("mul 3 4"), nullptr)->cache(),
              AnyOf(compile::v1::CACHE_OUTCOME_REPAIRED, compile::v1::CACHE_OUTCOME_MISS));
  EXPECT_EQ(world_.compilations.load(), 2);
  EXPECT_EQ(compile_->Compile(CompileOf("mul 3 4"), nullptr)->cache(),
            compile::v1::CACHE_OUTCOME_HIT);
}

TEST_F(FleetTest, ManyCallersShareOneCompilation) {
  std::vector<std::thread> callers;
  std::atomic<int> shared{0};
  for (int i = 0; i < 6; ++i) {
    callers.emplace_back([&] {
      const auto result = compile_->Compile(CompileOf("slow 1"), nullptr);
      ASSERT_TRUE(result.ok()) << result.status().ToString();
      if (result->cache() != compile::v1::CACHE_OUTCOME_MISS) ++shared;
    });
  }
  while (world_.compilations.load() == 0) std::this_thread::yield();
  world_.release_slow = true;
  for (std::thread& t : callers) t.join();
  EXPECT_EQ(world_.compilations.load(), 1);
  EXPECT_EQ(shared.load(), 5);
}

TEST_F(FleetTest, CancelledCompilationStops) {
  Cancellation cancellation;
  rpc::CallOptions options{.timeout = std::chrono::milliseconds(100)};
  EXPECT_EQ(compile_->Compile(CompileOf("slow 1"), nullptr, options).status().code(),
            Code::kDeadlineExceeded);
  fleet_.reset();  // waits for the handler, which must have given up
}

TEST_F(FleetTest, ErrorsKeepClassAndPositionThroughTheChain) {
  const Status status = execute_->Execute(ChainRequest("fail", Vector({1}))).status();
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_EQ(status.python_class(), "TypeError");
  EXPECT_THAT(status.message(), HasSubstr("line 2, column 5"));
}

TEST_F(FleetTest, ArgumentsAreChecked) {
  const std::string key = compile_->Compile(CompileOf("mul 2 3"), nullptr)->key();
  EXPECT_THAT(execute_->Execute(KeyRequest(key, Vector({1}))).status().message(),
              HasSubstr("argument 0 expects f32[3], got f32[1]"));
  execute::v1::ExecuteRequest none;
  none.set_key(key);
  EXPECT_THAT(execute_->Execute(none).status().message(), HasSubstr("takes 1 arguments, got 0"));
  EXPECT_THAT(execute_->Execute({}).status().message(), HasSubstr("names no program"));
  none.add_arguments();
  EXPECT_THAT(execute_->Execute(none).status().message(), HasSubstr("argument 0 has neither"));
  none.mutable_arguments(0)->set_buffer("nope");
  EXPECT_EQ(execute_->Execute(none).status().code(), Code::kNotFound);
}

TEST_F(FleetTest, BuffersStayWithTheService) {
  const std::string key = compile_->Compile(CompileOf("mul 2 3"), nullptr)->key();
  const auto x = *execute_->PutBuffer(Vector({1, 2, 3}));
  execute::v1::ExecuteRequest request;
  request.set_key(key);
  request.add_arguments()->set_buffer(x.handle());
  request.set_return_buffers(true);
  std::string handle;
  for (int i = 0; i < 3; ++i) {
    const auto response = *execute_->Execute(request);
    handle = response.results(0).buffer().handle();
    EXPECT_EQ(response.results(0).buffer().type().dims(0), 3);
    request.mutable_arguments(0)->set_buffer(handle);
  }
  EXPECT_TRUE(execute_->GetBuffer(handle)->BitEquals(Vector({8, 16, 24})));
  EXPECT_EQ(*execute_->FreeBuffers({handle, x.handle(), "nope"}), 2u);
  EXPECT_EQ(execute_->GetBuffer(handle).status().code(), Code::kNotFound);
}

TEST_F(FleetTest, LargeTensorsTravelInChunks) {
  EmbeddedFleet::Options options;
  options.process.max_request_bytes = 2 << 20;
  options.process.max_response_bytes = 2 << 20;
  Start(std::move(options));
  tensor::Tensor big = *tensor::Tensor::Create(tensor::DType::kF32, tensor::Shape{1'000'000});
  big.SetDouble(999'999, 7);
  const auto info = execute_->PutBuffer(big);
  ASSERT_TRUE(info.ok()) << info.status().ToString();
  EXPECT_TRUE(execute_->GetBuffer(info->handle())->BitEquals(big));
}

TEST_F(FleetTest, BufferBudgetIsNamed) {
  EmbeddedFleet::Options options;
  options.fleet.execute.max_buffer_bytes = 20;
  options.fleet.execute.max_tensor_bytes = 16;
  Start(std::move(options));
  ASSERT_TRUE(execute_->PutBuffer(Vector({1, 2, 3})).ok());
  EXPECT_THAT(execute_->PutBuffer(Vector({1, 2, 3})).status().message(),
              HasSubstr("max_buffer_bytes is 20"));
  EXPECT_EQ(execute_->PutBuffer(Vector({1, 2, 3, 4, 5})).status().code(), Code::kResourceExhausted);
}

TEST_F(FleetTest, StreamGoesOnAfterAFailedRequest) {
  const std::string key = compile_->Compile(CompileOf("mul 2 3"), nullptr)->key();
  auto stream = execute_->OpenStream();
  execute::v1::ExecuteStreamRequest item;
  item.set_id(1);
  *item.mutable_request() = KeyRequest(key, Vector({1}));
  ASSERT_TRUE(stream.Write(item).ok());
  item.set_id(2);
  *item.mutable_request() = KeyRequest(key, Vector({1, 2, 3}));
  ASSERT_TRUE(stream.Write(item).ok());
  stream.WritesDone();
  const auto first = **stream.Read();
  EXPECT_EQ(first.id(), 1u);
  EXPECT_EQ(first.error().code(), static_cast<uint32_t>(Code::kInvalidArgument));
  EXPECT_THAT(first.error().detail().message(), HasSubstr("argument 0 expects"));
  const auto second = **stream.Read();
  EXPECT_EQ(second.id(), 2u);
  EXPECT_THAT(Values(second.response()), ElementsAre(2, 4, 6));
  EXPECT_FALSE(stream.Read()->has_value());
}

TEST_F(FleetTest, QuickProgramsRunTheSame) {
  const std::string key = compile_->Compile(CompileOf("mul 2 3"), nullptr)->key();
  world_.quick = true;
  EXPECT_FALSE(execute_->Load(key)->was_loaded());
  EXPECT_TRUE(execute_->Load(key)->was_loaded());
  EXPECT_THAT(Values(*execute_->Execute(KeyRequest(key, Vector({1, 2, 3})))), ElementsAre(2, 4, 6));
  EXPECT_FALSE(execute_->Execute(KeyRequest(key, Vector({1}))).ok());
}

TEST_F(FleetTest, LeastRecentlyUsedProgramMakesRoom) {
  EmbeddedFleet::Options options;
  options.fleet.execute.max_loaded_programs = 1;
  Start(std::move(options));
  const std::string a = compile_->Compile(CompileOf("mul 2 3"), nullptr)->key();
  const std::string b = compile_->Compile(CompileOf("mul 5 3"), nullptr)->key();
  for (const auto& key : {a, b, a}) ASSERT_TRUE(execute_->Load(key).ok());
  EXPECT_EQ(world_.loads.load(), 3);
}

TEST_F(FleetTest, EqualTraceRequestsAreAnsweredFromMemory) {
  trace::v1::TraceRequest request;
  request.mutable_source()->set_jaxpr_text("mul 2 3");
  const auto first = *trace_->Trace(request);
  const auto second = *trace_->Trace(request);
  EXPECT_EQ(second.jaxpr_text(), "mul 2 3");
  EXPECT_EQ(world_.traces.load(), 1);
  EXPECT_NE(first.ids().trace_id(), second.ids().trace_id());
  ASSERT_TRUE(ledger_->Verify()->intact);
  const auto entries = *ledger_->Query({.trace_id = second.ids().trace_id()}, 10);
  EXPECT_EQ(entries[0].decision, "use result of an equal request");
}

TEST_F(FleetTest, PolicyDecidesAboutUnknownOptions) {
  trace::v1::TraceRequest request;
  request.mutable_source()->set_jaxpr_text("mul 2 3");
  (*request.mutable_options()->mutable_extra())["newer"] = "1";
  EXPECT_THAT(trace_->Trace(request).status().message(), HasSubstr("unknown option 'newer'"));
  request.mutable_options()->set_policy(common::v1::POLICY_HARDENED);
  EXPECT_TRUE(trace_->Trace(request).ok());
}

TEST_F(FleetTest, TraceLimitsAreNamed) {
  EmbeddedFleet::Options options;
  options.fleet.trace.max_program_bytes = 10;
  options.fleet.trace.max_transforms = 1;
  Start(std::move(options));
  trace::v1::TraceRequest request;
  EXPECT_THAT(trace_->Trace(request).status().message(), HasSubstr("carries no program"));
  request.mutable_source()->set_jaxpr_text("mul 2 3333333333");
  EXPECT_THAT(trace_->Trace(request).status().message(), HasSubstr("max_program_bytes is 10"));
  request.mutable_source()->set_jaxpr_text("mul 2 3");
  request.add_stack();
  EXPECT_THAT(trace_->Trace(request).status().message(),
              HasSubstr("transform 0 of the stack is none"));
  request.mutable_stack(0)->mutable_jit();
  request.add_stack()->mutable_jit();
  EXPECT_THAT(trace_->Trace(request).status().message(), HasSubstr("max_transforms is 1"));
}

TEST_F(FleetTest, SocketsCarryTheSameCalls) {
  EmbeddedFleet::Options options;
  options.fleet.transport = Transport::kTcp;
  options.process.listen = {"127.0.0.1:0"};
  Start(std::move(options));
  const auto response = execute_->Execute(ChainRequest("mul 2 3", Vector({1, 2, 3})));
  ASSERT_TRUE(response.ok()) << response.status().ToString();
  const stubs::ExecuteClient outside(*rpc::Channel::Dial(fleet_->server().addresses()[0], {}));
  EXPECT_THAT(Values(*outside.Execute(KeyRequest(response->key(), Vector({1, 1, 1})))),
              ElementsAre(2, 2, 2));
}

TEST_F(FleetTest, CacheThatCannotStoreDoesNotStopTheAnswer) {
  EmbeddedFleet::Options options;
  options.fleet.cache.max_disk_bytes = 10;
  Start(std::move(options));
  const auto compiled = *compile_->Compile(CompileOf("mul 2 3"), nullptr);
  EXPECT_EQ(compiled.cache(), compile::v1::CACHE_OUTCOME_NOT_STORED);
  EXPECT_EQ(cache::WithoutSeal(compiled.package()), "package mul 2 3");
  EXPECT_THAT(Values(*execute_->Execute(ChainRequest("mul 2 3", Vector({1, 2, 3})))),
              ElementsAre(2, 4, 6));
}

TEST_F(FleetTest, AgentIsServedWhenItHasAConfiguration) {
  namespace pb = monolith::serving::agent_service;
  const auto heart_beat = [this] {
    return rpc::UnaryMethod<pb::HeartBeatRequest, pb::HeartBeatResponse>(
        fleet_->channel(), "monolith.serving.agent_service.AgentService", "HeartBeat")({});
  };
  EXPECT_EQ(heart_beat().status().code(), Code::kUnimplemented);
  testing::ZooKeeperServer zookeeper;
  TempDirectory folder;
  EmbeddedFleet::Options options;
  options.fleet.agent.conf = JoinPath(folder.path(), "agent.conf");
  ASSERT_TRUE(RealFileSystem()
                  .WriteAtomically(options.fleet.agent.conf,
                                   StrCat("bzid b\nbase_name m\ndeploy_type entry\nzk_servers ",
                                          zookeeper.address(), "\n"))
                  .ok());
  Start(std::move(options));
  EXPECT_TRUE(heart_beat().ok());
  EXPECT_THAT(zookeeper.Children("/b/service/m/entry:0"), SizeIs(1));
  fleet_.reset();  // before its ZooKeeper
}

}  // namespace
}  // namespace megalith::services
