#include <gmock/gmock.h>
#include <grpcpp/channel.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/impl/client_unary_call.h>
#include <gtest/gtest.h>

#include <thread>

#include "common/fleet/discovery/registry.h"
#include "common/fleet/rpc/channel.h"
#include "common/fleet/rpc/server.h"
#include "common/fleet/rpc/status.h"
#include "common/fleet/rpc/testing/echo_service.h"
#include "common/fleet/rpc/testing/test_certificates.h"
#include "common/foundation/base/strings.h"
#include "common/foundation/telemetry/metric_table.h"
#include "google/rpc/status.pb.h"
#include "grpc/health/v1/health.pb.h"
#include "megalith/common/v1/common.pb.h"

namespace megalith::rpc {
namespace {

using testing::EchoService;
using ::testing::ElementsAre;
using testing::Gate;
using ::testing::HasSubstr;
using testing::kEchoServiceName;
namespace v1 = ::megalith::testing::v1;
using EchoMethod = UnaryMethod<v1::EchoRequest, v1::EchoResponse>;
using EchoStream = StreamMethod<v1::EchoRequest, v1::EchoResponse>;

v1::EchoRequest Request(const std::string& text) {
  v1::EchoRequest request;
  request.set_text(text);
  return request;
}

class RpcTest : public ::testing::Test {
 protected:
  void StartServer(ServerOptions options = {.listen = {"127.0.0.1:0"}},
                   ServiceThreads threads = {}) {
    std::vector<std::unique_ptr<Service>> services;
    services.push_back(std::make_unique<EchoService>(&gate_, threads));
    auto server = Server::Start(options, std::move(services), metrics_);
    ASSERT_TRUE(server.ok()) << server.status().ToString();
    server_ = *std::move(server);
    channel_ = Channel::Wrap(server_->InProcessChannel(), {});
  }
  std::shared_ptr<Channel> Dial(const ChannelOptions& options = {}) {
    return *Channel::Dial(server_->addresses()[0], options);
  }
  EchoMethod Echo(const char* method = "Echo") { return {channel_, kEchoServiceName, method}; }
  EchoStream StreamOf(const char* method) { return {channel_, kEchoServiceName, method}; }
  uint64_t Handled(const char* method, const char* code) {
    return metrics_.GetCounter(telemetry::kRpcHandled, {kEchoServiceName, method, code}).value();
  }
  // Sends bytes that need not be a message.
  grpc::Status SendRaw(const std::string& path, const std::string& bytes) {
    const grpc::Slice slice(bytes);
    const grpc::ByteBuffer request(&slice, 1);
    grpc::ByteBuffer response;
    grpc::ClientContext context;
    return grpc::internal::BlockingUnaryCall<grpc::ByteBuffer, grpc::ByteBuffer>(
        server_->InProcessChannel().get(),
        grpc::internal::RpcMethod(path.c_str(), grpc::internal::RpcMethod::NORMAL_RPC), &context,
        request, &response);
  }

  Gate gate_;
  telemetry::MetricRegistry metrics_;
  discovery::MemoryRegistry registry_;
  std::unique_ptr<Server> server_;
  std::shared_ptr<Channel> channel_;
};

TEST_F(RpcTest, UnaryCallsWorkInProcessAndOverTcp) {
  StartServer();
  EXPECT_EQ(Echo()(Request("a"))->text(), "a");
  EXPECT_EQ(EchoMethod(Dial(), kEchoServiceName, "Echo")(Request("b"))->text(), "b");
  EXPECT_EQ(Echo("EchoQuick")(Request("c"))->text(), "c");
  EXPECT_EQ(Handled("Echo", "OK"), 2u);
  EXPECT_EQ(Handled("EchoQuick", "OK"), 1u);
  EXPECT_EQ(metrics_.GetHistogram(telemetry::kRpcSeconds, {kEchoServiceName, "Echo"}).total(), 2u);
}

TEST_F(RpcTest, UnixSocketsServeBesideTcp) {
  const TempDirectory directory;
  StartServer({.listen = {"127.0.0.1:0", "unix:" + JoinPath(directory.path(), "s")}});
  for (const std::string& address : server_->addresses()) {
    EXPECT_EQ(
        EchoMethod(*Channel::Dial(address, {}), kEchoServiceName, "Echo")(Request("x"))->text(),
        "x")
        << address;
  }
}

TEST_F(RpcTest, TakenPortIsAnErrorThatNamesIt) {
  StartServer();
  telemetry::MetricRegistry metrics;
  const auto second = Server::Start({.listen = server_->addresses()}, {}, metrics);
  EXPECT_EQ(second.status().code(), Code::kUnavailable);
  EXPECT_THAT(second.status().message(), HasSubstr(server_->addresses()[0]));
}

TEST_F(RpcTest, ErrorsKeepCodeClassAndMessage) {
  StartServer();
  v1::EchoRequest request = Request("line 3, column 14: add expects equal dtypes");
  request.set_fail_code(3);
  request.set_fail_class("TypeError");
  const Status status = Echo()(request).status();
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_EQ(status.python_class(), "TypeError");
  EXPECT_EQ(status.message(), request.text());
  EXPECT_EQ(Handled("Echo", "INVALID_ARGUMENT"), 1u);
}

TEST(RpcStatusTest, DetailsCarryPositionAndTraceId) {
  const grpc::Status wire = ToGrpc(TypeError("in rule f: line 3, column 14: no"), "abc");
  google::rpc::Status details;
  ASSERT_TRUE(details.ParseFromString(wire.error_details()));
  common::v1::ErrorDetail detail;
  ASSERT_TRUE(details.details(0).UnpackTo(&detail));
  EXPECT_EQ(detail.line(), 3u);
  EXPECT_EQ(detail.column(), 14u);
  EXPECT_EQ(detail.trace_id(), "abc");
  EXPECT_EQ(PositionIn("line x, line 7 and line 8, column 9").line, 8u);
  EXPECT_EQ(PositionIn("deadline 7").line, 0u);
}

TEST(RpcStatusTest, LongAndBrokenMessagesStillFitIntoMetadata) {
  const grpc::Status longer = ToGrpc(Internal(std::string(100'000, 'x')), "");
  EXPECT_LT(longer.error_message().size() + longer.error_details().size(), 8000u);
  std::string umlauts;
  for (int i = 0; i < 1000; ++i) umlauts += "\xC3\xA4";
  EXPECT_EQ(FindInvalidUtf8(ToGrpc(Internal("x" + umlauts), "").error_message()), std::nullopt);
  EXPECT_EQ(FromGrpc(ToGrpc(Internal("a\xff"), "")).message(), "a\\xff");
}

TEST_F(RpcTest, ExceptionsBecomeInternal) {
  StartServer();
  v1::EchoRequest request;
  request.set_raise(true);
  const Status status = Echo()(request).status();
  EXPECT_EQ(status.code(), Code::kInternal);
  EXPECT_THAT(status.message(), HasSubstr("thrown on request"));
}

TEST_F(RpcTest, BytesThatAreNoMessageAreInvalidArguments) {
  StartServer();
  const std::string path = StrCat("/", kEchoServiceName, "/Echo");
  grpc::Status status = SendRaw(path, "\xff\xff\xff");
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(),
              HasSubstr("no message of type megalith.testing.v1.EchoRequest"));
  status = SendRaw(path, std::string("\x0a\x02\xc3\x28", 4));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("EchoRequest.text is not UTF-8"));
  EXPECT_EQ(Echo()(Request("alive"))->text(), "alive");
}

TEST_F(RpcTest, UnknownMethodsAreUnimplemented) {
  StartServer();
  EXPECT_EQ(SendRaw(StrCat("/", kEchoServiceName, "/Nope"), "").error_code(),
            grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_EQ(SendRaw("/nope.Nope/Nope", "").error_code(), grpc::StatusCode::UNIMPLEMENTED);
}

TEST_F(RpcTest, SizeLimitsAreNamed) {
  StartServer({.listen = {"127.0.0.1:0"}, .max_request_bytes = 1000, .max_response_bytes = 1000});
  const Status large = Echo()(Request(std::string(2000, 'x'))).status();
  EXPECT_EQ(large.code(), Code::kResourceExhausted);
  EXPECT_THAT(large.message(), HasSubstr("1000"));
  for (const char* method : {"Echo", "EchoQuick"}) {
    v1::EchoRequest request;
    request.set_pad_bytes(2000);
    const Status response = Echo(method)(request).status();
    EXPECT_EQ(response.code(), Code::kResourceExhausted);
    EXPECT_THAT(response.message(), HasSubstr("max_response_bytes is 1000"));
  }
}

TEST_F(RpcTest, FullQueueRefusesAtOnce) {
  StartServer({.listen = {"127.0.0.1:0"}}, {.unary = 1, .max_queued = 1, .max_streams = 1});
  v1::EchoRequest blocking;
  blocking.set_block(true);
  std::atomic<int> refused{0};
  std::atomic<int> served{0};
  std::vector<std::thread> callers;
  const auto call = [&] {
    const Status status = Echo("EchoOnce")(blocking).status();
    if (status.ok()) {
      ++served;
    } else {
      EXPECT_EQ(status.code(), Code::kResourceExhausted);
      EXPECT_THAT(status.message(), HasSubstr("queue of pool"));
      ++refused;
    }
  };
  callers.emplace_back(call);
  gate_.AwaitArrivals(1);
  // One runs, one waits, eight find the queue full.
  for (int i = 0; i < 9; ++i) callers.emplace_back(call);
  while (refused.load() < 8) std::this_thread::yield();
  gate_.Open();
  for (std::thread& t : callers) t.join();
  EXPECT_EQ(served.load(), 2);
  EXPECT_EQ(metrics_.GetCounter(telemetry::kRpcRejected, {"queue_full"}).value(), 8u);
}

TEST_F(RpcTest, DeadlinesReachTheHandler) {
  StartServer({.listen = {"127.0.0.1:0"}, .default_deadline = std::chrono::milliseconds(7000)});
  const auto given = Echo()(Request("x"), {.timeout = std::chrono::milliseconds(3000)});
  EXPECT_GT(given->left_ms(), 0);
  EXPECT_LE(given->left_ms(), 3000);
  // gRPC's own client sets no deadline: the server's default applies.
  v1::EchoResponse response;
  grpc::Slice slice(Request("y").SerializeAsString());
  grpc::ByteBuffer in(&slice, 1);
  grpc::ByteBuffer out;
  grpc::ClientContext context;
  const std::string path = StrCat("/", kEchoServiceName, "/Echo");
  ASSERT_TRUE((grpc::internal::BlockingUnaryCall<grpc::ByteBuffer, grpc::ByteBuffer>(
                   server_->InProcessChannel().get(),
                   grpc::internal::RpcMethod(path.c_str(), grpc::internal::RpcMethod::NORMAL_RPC),
                   &context, in, &out))
                  .ok());
  ASSERT_TRUE(ParseMessage(out, &response).ok());
  EXPECT_GT(response.left_ms(), 3000);
  EXPECT_LE(response.left_ms(), 7000);
}

TEST_F(RpcTest, HandlerSeesTheDeadlinePass) {
  StartServer();
  v1::EchoRequest request;
  request.set_block(true);
  const Status status =
      Echo("EchoOnce")(request, {.timeout = std::chrono::milliseconds(50)}).status();
  EXPECT_EQ(status.code(), Code::kDeadlineExceeded);
  server_.reset();
  EXPECT_EQ(gate_.cancelled.load(), 1);
}

TEST_F(RpcTest, CancellationReachesTheHandler) {
  StartServer();
  v1::EchoRequest request;
  request.set_block(true);
  Cancellation cancellation;
  std::thread caller([&] {
    EXPECT_EQ(Echo("EchoOnce")(request, {.cancellation = &cancellation}).status().code(),
              Code::kCancelled);
  });
  gate_.AwaitArrivals(1);
  cancellation.Cancel();
  caller.join();
  server_.reset();
  EXPECT_EQ(gate_.cancelled.load(), 1);
}

TEST_F(RpcTest, TraceIdsTravel) {
  StartServer();
  Rng rng(3);
  const telemetry::TraceContext trace = telemetry::TraceContext::Generate(rng);
  EXPECT_EQ(Echo()(Request("x"), {.trace = trace})->trace_id(), trace.TraceIdText());
  const Call parent;
  EXPECT_EQ(Echo()(Request("x"), {.parent = &parent})->trace_id(), parent.trace_id());
  EXPECT_EQ(Echo()(Request("x"))->trace_id().size(), 32u);
}

TEST_F(RpcTest, ServerStreamsDeliverInOrder) {
  StartServer();
  v1::EchoRequest request = Request("n");
  request.set_repeat(100);
  auto stream = *StreamOf("Count").Start(request);
  for (int i = 0; i < 100; ++i) EXPECT_EQ((*stream.Read())->text(), StrCat("n", i));
  EXPECT_FALSE(stream.Read()->has_value());
}

TEST_F(RpcTest, ServerStreamsEndWithTheirError) {
  StartServer();
  v1::EchoRequest request = Request("no more");
  request.set_repeat(1);
  request.set_fail_code(static_cast<uint32_t>(Code::kDataLoss));
  auto stream = *StreamOf("Count").Start(request);
  EXPECT_TRUE(stream.Read()->has_value());
  EXPECT_EQ(stream.Read().status().ToString(), "DATA_LOSS: no more");
}

TEST_F(RpcTest, ClientStreamsAreJoined) {
  StartServer();
  auto stream = StreamOf("Join").Open();
  for (const char* text : {"a", "b", "c"}) ASSERT_TRUE(stream.Write(Request(text)).ok());
  EXPECT_EQ(stream.Close()->text(), "abc");
}

TEST_F(RpcTest, BidiStreamsAnswerEachMessage) {
  StartServer();
  auto stream = StreamOf("Chat").Open();
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(stream.Write(Request(StrCat(i))).ok());
    EXPECT_EQ((*stream.Read())->text(), StrCat(i));
  }
  stream.WritesDone();
  EXPECT_FALSE(stream.Read()->has_value());
}

TEST_F(RpcTest, DroppedStreamsCancelTheHandler) {
  StartServer();
  {
    v1::EchoRequest request;
    request.set_block(true);
    auto stream = *StreamOf("Count").Start(request);
    gate_.AwaitArrivals(1);
  }
  server_.reset();
  EXPECT_EQ(gate_.cancelled.load(), 1);
}

TEST_F(RpcTest, ReaderThatNeverReadsIsCutOffAtTheDeadline) {
  StartServer();
  v1::EchoRequest request;
  request.set_repeat(100);
  request.set_pad_bytes(1 << 20);
  const auto dialled = Dial();
  const EchoStream count(dialled, kEchoServiceName, "Count");
  auto stream = *count.Start(request, {.timeout = std::chrono::milliseconds(300)});
  ASSERT_TRUE(stream.Read().ok());
  server_->Drain(std::chrono::seconds(30));
  EXPECT_GE(gate_.cancelled.load(), 1);
}

TEST_F(RpcTest, StreamsBeyondTheThreadsAreRefused) {
  StartServer({.listen = {"127.0.0.1:0"}}, {.unary = 1, .max_queued = 1, .max_streams = 1});
  auto first = StreamOf("Chat").Open();
  ASSERT_TRUE(first.Write(Request("x")).ok());
  ASSERT_TRUE(first.Read().ok());
  auto second = StreamOf("Chat").Open({.timeout = std::chrono::milliseconds(5000)});
  auto third = StreamOf("Chat").Open({.timeout = std::chrono::milliseconds(5000)});
  // One of them waits for the thread, the other is refused.
  const auto outcome = [](Stream<v1::EchoRequest, v1::EchoResponse>& s) {
    return s.Read().status().code();
  };
  std::thread end_first([&] { first.WritesDone(); });
  second.WritesDone();
  third.WritesDone();
  const Code a = outcome(second);
  const Code b = outcome(third);
  end_first.join();
  EXPECT_TRUE(a == Code::kOk || a == Code::kResourceExhausted);
  EXPECT_TRUE(b == Code::kOk || b == Code::kResourceExhausted);
}

TEST_F(RpcTest, GarbageInStreamsIsAnInvalidArgument) {
  StartServer();
  for (const char* method : {"Count", "Join", "Chat"}) {
    const auto record = channel_->Resolve(kEchoServiceName, method, v1::EchoRequest::descriptor(),
                                          v1::EchoResponse::descriptor());
    const auto stream = channel_->Open(*record, {});
    const grpc::Slice slice(std::string("\xff\xff"));
    stream->Write(grpc::ByteBuffer(&slice, 1));
    stream->WritesDone();
    EXPECT_EQ(stream->Finish().code(), Code::kInvalidArgument) << method;
  }
  const auto record = channel_->Resolve(kEchoServiceName, "Count", v1::EchoRequest::descriptor(),
                                        v1::EchoResponse::descriptor());
  const auto empty = channel_->Open(*record, {});
  empty->WritesDone();
  EXPECT_THAT(empty->Finish().message(), HasSubstr("carried no request"));
}

TEST_F(RpcTest, IdempotentCallsAreRetriedOthersAreNot) {
  StartServer();
  telemetry::MetricRegistry client_metrics;
  channel_ =
      Channel::Wrap(server_->InProcessChannel(),
                    {.retry = {.max_attempts = 3, .initial_backoff = std::chrono::milliseconds(1)},
                     .seed = 1,
                     .metrics = &client_metrics});
  v1::EchoRequest request = Request("down");
  request.set_fail_code(static_cast<uint32_t>(Code::kUnavailable));
  EXPECT_EQ(Echo("Echo")(request).status().code(), Code::kUnavailable);
  EXPECT_EQ(gate_.started.load(), 3);
  EXPECT_EQ(Echo("EchoOnce")(request).status().code(), Code::kUnavailable);
  EXPECT_EQ(gate_.started.load(), 4);
  request.set_fail_code(static_cast<uint32_t>(Code::kInternal));
  EXPECT_EQ(Echo("Echo")(request).status().code(), Code::kInternal);
  EXPECT_EQ(gate_.started.load(), 5);
  EXPECT_EQ(
      client_metrics.GetCounter(telemetry::kClientRetries, {kEchoServiceName, "Echo"}).value(), 2u);
  EXPECT_EQ(
      client_metrics.GetCounter(telemetry::kClientCalls, {kEchoServiceName, "Echo", "UNAVAILABLE"})
          .value(),
      1u);
}

TEST_F(RpcTest, RetriesRespectTheDeadline) {
  StartServer();
  channel_ = Channel::Wrap(server_->InProcessChannel(),
                           {.retry = {.max_attempts = 1000,
                                      .initial_backoff = std::chrono::milliseconds(500),
                                      .max_backoff = std::chrono::milliseconds(500)}});
  v1::EchoRequest request = Request("down");
  request.set_fail_code(static_cast<uint32_t>(Code::kUnavailable));
  // The error is the server's, not "deadline exceeded": the pause would not have fitted.
  EXPECT_EQ(Echo()(request, {.timeout = std::chrono::milliseconds(200)}).status().code(),
            Code::kUnavailable);
  EXPECT_EQ(gate_.started.load(), 1);
}

TEST(RetryTest, BackoffGrowsIsCappedAndJittered) {
  Rng rng(1);
  const RetryPolicy policy{.max_attempts = 9,
                           .initial_backoff = std::chrono::milliseconds(10),
                           .max_backoff = std::chrono::milliseconds(40),
                           .multiplier = 2};
  const int64_t caps_ms[] = {10, 20, 40, 40};
  for (int attempt = 1; attempt <= 4; ++attempt) {
    for (int i = 0; i < 100; ++i) {
      const auto pause = BackoffAfter(policy, attempt, rng);
      EXPECT_GE(pause, std::chrono::milliseconds(caps_ms[attempt - 1]) / 2);
      EXPECT_LE(pause, std::chrono::milliseconds(caps_ms[attempt - 1]));
    }
  }
}

TEST_F(RpcTest, DiscoveredReplicasAreUsedInTurnAndReplaced) {
  StartServer();
  Gate other_gate;
  telemetry::MetricRegistry other_metrics;
  std::vector<std::unique_ptr<Service>> services;
  services.push_back(std::make_unique<EchoService>(&other_gate));
  const auto other =
      *Server::Start({.listen = {"127.0.0.1:0"}}, std::move(services), other_metrics);

  channel_ = *Channel::Discover(registry_, "testing", {.retry = {.max_attempts = 1}});
  EXPECT_THAT(Echo()(Request("x")).status().message(), HasSubstr("no replica of 'testing'"));
  auto first = *registry_.Register({"testing", server_->addresses()[0]});
  auto second = *registry_.Register({"testing", other->addresses()[0]});
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(Echo()(Request("x")).ok());
  EXPECT_EQ(gate_.started.load(), 5);
  EXPECT_EQ(other_gate.started.load(), 5);
  second.reset();
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(Echo()(Request("x")).ok());
  EXPECT_EQ(gate_.started.load(), 9);
}

TEST_F(RpcTest, RetriesFindTheReplicaThatIsLeft) {
  StartServer();
  // Nobody listens on port 1.
  const auto dead = *registry_.Register({"testing", "127.0.0.1:1"});
  const auto alive = *registry_.Register({"testing", server_->addresses()[0]});
  channel_ = *Channel::Discover(registry_, "testing",
                                {.retry = {.initial_backoff = std::chrono::milliseconds(1)}});
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(Echo()(Request("x")).ok());
}

TEST_F(RpcTest, HealthFollowsReadiness) {
  StartServer();
  const auto health = [this](const std::string& service) {
    grpc::health::v1::HealthCheckRequest request;
    request.set_service(service);
    const grpc::Slice slice(request.SerializeAsString());
    const grpc::ByteBuffer in(&slice, 1);
    grpc::ByteBuffer out;
    grpc::ClientContext context;
    EXPECT_TRUE((grpc::internal::BlockingUnaryCall<grpc::ByteBuffer, grpc::ByteBuffer>(
                     server_->InProcessChannel().get(),
                     grpc::internal::RpcMethod("/grpc.health.v1.Health/Check",
                                               grpc::internal::RpcMethod::NORMAL_RPC),
                     &context, in, &out))
                    .ok());
    grpc::health::v1::HealthCheckResponse response;
    EXPECT_TRUE(ParseMessage(out, &response).ok());
    return response.status();
  };
  EXPECT_EQ(health(""), grpc::health::v1::HealthCheckResponse::SERVING);
  EXPECT_EQ(health(kEchoServiceName), grpc::health::v1::HealthCheckResponse::SERVING);
  server_->StopReadiness();
  EXPECT_EQ(health(kEchoServiceName), grpc::health::v1::HealthCheckResponse::NOT_SERVING);
}

TEST_F(RpcTest, DrainFinishesRunningCallsAndRefusesNewOnes) {
  StartServer();
  const auto dialled = Dial();
  const EchoMethod echo(dialled, kEchoServiceName, "EchoOnce");
  v1::EchoRequest request = Request("kept");
  request.set_block(true);
  std::thread caller([&] { EXPECT_EQ(echo(request)->text(), "kept"); });
  gate_.AwaitArrivals(1);
  Server::DrainReport report;
  std::thread drainer([&] { report = server_->Drain(std::chrono::seconds(30)); });
  while (echo(Request("late"), {.timeout = std::chrono::milliseconds(200)}).ok()) {
  }
  gate_.Open();
  caller.join();
  drainer.join();
  EXPECT_EQ(report.calls_cancelled, 0u);
  EXPECT_EQ(echo(Request("after")).status().code(), Code::kUnavailable);
}

TEST_F(RpcTest, DrainCancelsWhatOutlivesItsPatience) {
  StartServer();
  v1::EchoRequest request;
  request.set_block(true);
  std::thread caller([&] { EXPECT_FALSE(Echo("EchoOnce")(request).ok()); });
  gate_.AwaitArrivals(1);
  const Server::DrainReport report = server_->Drain(std::chrono::milliseconds(20));
  caller.join();
  EXPECT_EQ(report.calls_cancelled, 1u);
  EXPECT_EQ(gate_.cancelled.load(), 1);
}

class TlsTest : public RpcTest {
 protected:
  std::string Put(const std::string& name, const std::string& text) {
    const std::string path = JoinPath(directory_.path(), name);
    CHECK(RealFileSystem().WriteAtomically(path, text).ok());
    return path;
  }
  void SetUp() override {
    ca_ = Put("ca.pem", authority_.pem());
    const testing::Certificate server = authority_.Issue("fleet.test");
    server_tls_.certificate_file = Put("server.pem", server.certificate_pem);
    server_tls_.key_file = Put("server.key", server.key_pem);
  }
  Result<v1::EchoResponse> Call(const ClientTls& tls) {
    const auto channel =
        Channel::Dial(server_->addresses()[0], {.tls = tls, .retry = {.max_attempts = 1}});
    if (!channel.ok()) return channel.status();
    return EchoMethod(*channel, kEchoServiceName, "Echo")(Request("x"));
  }

  TempDirectory directory_;
  testing::TestAuthority authority_;
  std::string ca_;
  ServerTls server_tls_;
};

TEST_F(TlsTest, EncryptsAndChecksTheServer) {
  StartServer({.listen = {"127.0.0.1:0"}, .tls = server_tls_});
  for (const char* name : {"", "fleet.test"}) {
    const auto response = Call({.ca_file = ca_, .server_name = name});
    EXPECT_TRUE(response.ok()) << name << ": " << response.status().ToString();
  }
  EXPECT_FALSE(Call({}).ok());
  EXPECT_FALSE(Call({.ca_file = ca_, .server_name = "other.test"}).ok());
  EXPECT_FALSE(Call({.ca_file = Put("other.pem", testing::TestAuthority().pem())}).ok());
}

TEST_F(TlsTest, MutualTlsRefusesStrangersAndNamesTheCaller) {
  server_tls_.client_ca_file = ca_;
  StartServer({.listen = {"127.0.0.1:0"}, .tls = server_tls_});
  EXPECT_FALSE(Call({.ca_file = ca_}).ok());
  const testing::Certificate client = authority_.Issue("trainer-7");
  const auto response = Call({.ca_file = ca_,
                              .certificate_file = Put("c.pem", client.certificate_pem),
                              .key_file = Put("c.key", client.key_pem)});
  ASSERT_TRUE(response.ok()) << response.status().ToString();
  EXPECT_THAT(response->identity(), HasSubstr("trainer-7"));
}

TEST_F(TlsTest, IncompleteFilesAreErrors) {
  telemetry::MetricRegistry metrics;
  EXPECT_EQ(Server::Start({.tls = {.key_file = "x"}}, {}, metrics).status().code(),
            Code::kInvalidArgument);
  EXPECT_EQ(Server::Start({.tls = {.client_ca_file = "x"}}, {}, metrics).status().code(),
            Code::kInvalidArgument);
  EXPECT_EQ(Server::Start({.tls = {.certificate_file = "/nope", .key_file = "/nope"}}, {}, metrics)
                .status()
                .code(),
            Code::kNotFound);
  EXPECT_EQ(Channel::Dial("x:1", {.tls = {.certificate_file = "x"}}).status().code(),
            Code::kInvalidArgument);
}

}  // namespace
}  // namespace megalith::rpc
