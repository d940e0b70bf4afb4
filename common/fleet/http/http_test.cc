#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <future>
#include <mutex>
#include <thread>

#include "common/fleet/http/gzip.h"
#include "common/fleet/http/server.h"
#include "common/fleet/http/testing/raw_client.h"
#include "common/foundation/base/strings.h"

namespace megalith::http {
namespace {

using ::megalith::testing::HttpAnswer;
using ::megalith::testing::RawHttpClient;
using std::chrono::milliseconds;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

Response Plain(int status, std::string_view text) {
  return {.status = status, .headers = {{"Content-Type", "text/plain"}}, .body = std::string(text)};
}

// Says what it was asked. "/throw" throws; "/wait" waits until it is released or cancelled.
class HttpTest : public ::testing::Test {
 protected:
  void Start(ServerOptions options = {}) {
    auto server = Server::Start(
        options,
        [this](const Request& request, const Cancellation& cancellation) {
          return Answer(request, cancellation);
        },
        Plain);
    ASSERT_TRUE(server.ok()) << server.status().ToString();
    server_ = *std::move(server);
  }

  Response Answer(const Request& request, const Cancellation& cancellation) {
    if (request.path == "/throw") throw std::runtime_error("as asked");
    if (request.path == "/wait") {
      std::unique_lock<std::mutex> lock(mu_);
      ++waiting_;
      changed_.notify_all();
      while (!released_ && cancellation.Check().ok()) changed_.wait_for(lock, milliseconds(1));
      ended_ = cancellation.Check();
      --waiting_;
      changed_.notify_all();
      return Plain(200, cancellation.Check().ToString());
    }
    return Plain(200, StrCat(request.method, " ", request.path, " ", request.query, " ",
                             request.header("X-Name"), " ", request.body));
  }

  void AwaitWaiting(int n) {
    std::unique_lock<std::mutex> lock(mu_);
    changed_.wait(lock, [this, n] { return waiting_ == n; });
  }
  void ReleaseAll() {
    const std::lock_guard<std::mutex> lock(mu_);
    released_ = true;
    changed_.notify_all();
  }

  std::mutex mu_;
  std::condition_variable changed_;
  int waiting_ = 0;
  bool released_ = false;
  Status ended_;
  std::unique_ptr<Server> server_;
};

TEST_F(HttpTest, OneConnectionServesManyRequests) {
  Start();
  RawHttpClient client(server_->address());
  for (int i = 0; i < 3; ++i) {
    const auto answer = client.Ask("POST", "/a/b?c=d", "body", "x-name: Ada\r\n");
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, 200);
    EXPECT_EQ(answer->body, "POST /a/b c=d Ada body");
    EXPECT_EQ(answer->headers.at("content-type"), "text/plain");
  }
}

TEST_F(HttpTest, RequestsThatArriveTogetherAreAnsweredInOrder) {
  Start();
  RawHttpClient client(server_->address());
  client.Send("GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(client.Receive().value_or(HttpAnswer()).body, HasSubstr("/1"));
  EXPECT_THAT(client.Receive().value_or(HttpAnswer()).body, HasSubstr("/2"));
}

TEST_F(HttpTest, ChunkedBodiesAndContinueAreUnderstood) {
  Start();
  RawHttpClient client(server_->address());
  client.Send(
      "POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
      "Expect: 100-continue\r\n\r\n");
  EXPECT_EQ(client.Receive().value_or(HttpAnswer()).status, 100);
  client.Send("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
  EXPECT_THAT(client.Receive().value_or(HttpAnswer()).body, HasSubstr("abcde"));
}

TEST_F(HttpTest, ABodyBeyondTheLimitIsRefusedBeforeItIsSent) {
  Start({.max_body_bytes = 100});
  RawHttpClient client(server_->address());
  client.Send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000000\r\n\r\n");
  const auto answer = client.Receive();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 413);
  EXPECT_EQ(answer->body, "the body is longer than 100 bytes");
}

TEST_F(HttpTest, AChunkedBodyBeyondTheLimitIsRefused) {
  Start({.max_body_bytes = 100});
  RawHttpClient client(server_->address());
  client.Send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
  client.Send(StrCat("80\r\n", std::string(128, 'a'), "\r\n"));
  EXPECT_EQ(client.Receive().value_or(HttpAnswer()).status, 413);
}

TEST_F(HttpTest, BodiesOfAllRequestsTogetherAreBounded) {
  Start({.max_buffered_bytes = 1000});
  RawHttpClient holder(server_->address());
  holder.Send(
      StrCat("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n", std::string(999, 'a')));
  std::optional<HttpAnswer> refused;
  do {
    RawHttpClient other(server_->address());
    refused = other.Ask("POST", "/", std::string(500, 'b'));
    ASSERT_TRUE(refused);
  } while (refused->status == 200);  // until the bytes of the first have arrived
  EXPECT_EQ(refused->status, 503);
  holder.Send("a");
  EXPECT_EQ(holder.Receive().value_or(HttpAnswer()).status, 200);
}

TEST_F(HttpTest, HeadersBeyondTheLimitAreRefused) {
  Start();
  RawHttpClient client(server_->address());
  client.Send(StrCat("GET / HTTP/1.1\r\nX: ", std::string(100'000, 'a'), "\r\n\r\n"));
  EXPECT_EQ(client.Receive().value_or(HttpAnswer()).status, 431);
}

TEST_F(HttpTest, WhatIsNoHttpIsRefused) {
  Start();
  RawHttpClient client(server_->address());
  client.Send("\x16\x03\x01 no http\r\n\r\n");
  EXPECT_EQ(client.Receive().value_or(HttpAnswer()).status, 400);
  client.AwaitClose();
}

TEST_F(HttpTest, AHandlerThatThrowsAnswers500) {
  Start();
  RawHttpClient client(server_->address());
  const auto answer = client.Ask("GET", "/throw");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 500);
  EXPECT_THAT(answer->body, HasSubstr("as asked"));
}

TEST_F(HttpTest, WhoSendsSlowlyIsClosedAndHurtsNobody) {
  Start({.threads = 1, .max_connections = 1000, .header = milliseconds(200)});
  std::vector<std::unique_ptr<RawHttpClient>> slow;
  for (int i = 0; i < 50; ++i) {
    slow.push_back(std::make_unique<RawHttpClient>(server_->address()));
    slow.back()->Send("POST / HTTP/1.1\r\nX: ");
  }
  RawHttpClient client(server_->address());
  EXPECT_EQ(client.Ask("GET", "/").value_or(HttpAnswer()).status, 200);
  for (const auto& one : slow) one->AwaitClose();
  EXPECT_EQ(client.Ask("GET", "/").value_or(HttpAnswer()).status, 200);
}

TEST_F(HttpTest, SlowConnectionsMakeRoomForNewOnes) {
  Start({.max_connections = 10});
  std::vector<std::unique_ptr<RawHttpClient>> slow;
  for (int i = 0; i < 40; ++i) {
    slow.push_back(std::make_unique<RawHttpClient>(server_->address()));
    slow.back()->Send("POST / HTTP/1.1\r\nX: ");
  }
  RawHttpClient client(server_->address());
  EXPECT_EQ(client.Ask("GET", "/").value_or(HttpAnswer()).status, 200);
  for (int i = 0; i < 30; ++i) slow[static_cast<size_t>(i)]->AwaitClose();
}

TEST_F(HttpTest, MoreRequestsThanMayWaitAreRefused) {
  Start({.threads = 1, .max_queued = 1});
  RawHttpClient running(server_->address());
  running.Send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
  AwaitWaiting(1);
  // Of two more one waits, the other is refused.
  const auto ask = [this] {
    RawHttpClient client(server_->address());
    const int status = client.Ask("GET", "/wait").value_or(HttpAnswer()).status;
    ReleaseAll();
    return status;
  };
  auto one = std::async(std::launch::async, ask), other = std::async(std::launch::async, ask);
  EXPECT_THAT((std::vector{one.get(), other.get()}), UnorderedElementsAre(200, 429));
}

TEST_F(HttpTest, AClientThatGoesAwayCancelsItsRequest) {
  Start();
  {
    RawHttpClient client(server_->address());
    client.Send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
    AwaitWaiting(1);
  }
  AwaitWaiting(0);
  EXPECT_EQ(ended_.code(), Code::kCancelled);
}

TEST_F(HttpTest, HandlersHaveADeadline) {
  Start({.request = milliseconds(20)});
  RawHttpClient client(server_->address());
  EXPECT_THAT(client.Ask("GET", "/wait").value_or(HttpAnswer()).body,
              HasSubstr("DEADLINE_EXCEEDED"));
}

TEST_F(HttpTest, ADrainAnswersWhatRunsAndClosesTheRest) {
  Start();
  RawHttpClient idle(server_->address()), running(server_->address());
  running.Send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
  AwaitWaiting(1);
  std::thread drain([this] { server_->Drain(milliseconds(60'000)); });
  idle.AwaitClose();
  ReleaseAll();
  const auto answer = running.Receive();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(answer->headers.at("connection"), "close");
  running.AwaitClose();
  drain.join();
  EXPECT_FALSE(RawHttpClient(server_->address()).connected());
}

TEST_F(HttpTest, ADrainWithoutPatienceCancelsWhatRuns) {
  Start();
  RawHttpClient running(server_->address());
  running.Send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
  AwaitWaiting(1);
  server_->Drain(milliseconds(0));
  EXPECT_EQ(ended_.code(), Code::kCancelled);
}

TEST_F(HttpTest, ADrainWithoutConnectionsStopsListening) {
  for (int i = 0; i < 20; ++i) {
    Start();
    server_->Drain(milliseconds(60'000));
    EXPECT_FALSE(RawHttpClient(server_->address()).connected());
  }
}

// With and without IPv6 on the machine.
TEST_F(HttpTest, EveryAddressIsListenedOn) {
  Start({.listen = "[::]:0"});
  RawHttpClient client(server_->address());
  EXPECT_EQ(client.Ask("GET", "/").value_or(HttpAnswer()).status, 200);
}

TEST_F(HttpTest, AnAddressThatIsTakenIsAnError) {
  Start();
  const auto second = Server::Start({.listen = server_->address()}, nullptr, Plain);
  EXPECT_EQ(second.status().code(), Code::kUnavailable);
  EXPECT_EQ(Server::Start({.listen = "nowhere"}, nullptr, Plain).status().code(),
            Code::kInvalidArgument);
}

std::string Gzip(const std::string& bytes) {
  z_stream stream = {};
  EXPECT_EQ(deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(bytes.size() + 1000, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

TEST_F(HttpTest, CompressedBodiesAreInflated) {
  Start();
  RawHttpClient client(server_->address());
  const auto answer = client.Ask("POST", "/", Gzip("hello"), "Content-Encoding: gzip\r\n");
  ASSERT_TRUE(answer);
  EXPECT_THAT(answer->body, HasSubstr("hello"));
}

TEST_F(HttpTest, ABodyThatInflatesBeyondTheLimitIsRefused) {
  Start({.max_body_bytes = 1 << 20});
  RawHttpClient client(server_->address());
  const auto answer =
      client.Ask("POST", "/", Gzip(std::string(100 << 20, 'a')), "Content-Encoding: gzip\r\n");
  EXPECT_EQ(answer.value_or(HttpAnswer()).status, 413);
}

TEST(InflateTest, StreamsThatAreCutOrDamagedAreRefused) {
  const std::string whole = Gzip("some text that is compressed");
  EXPECT_EQ(*Inflate(whole, 1000), "some text that is compressed");
  for (size_t n = 0; n < whole.size(); ++n) {
    EXPECT_EQ(Inflate(whole.substr(0, n), 1000).status().code(), Code::kInvalidArgument) << n;
  }
  EXPECT_EQ(Inflate("no gzip", 1000).status().code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace megalith::http
