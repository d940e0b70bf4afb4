// A small HTTP/1.1 server for answers that fit in memory. Nothing that a client sends, or does not
// send, takes more than a stated share of the process: headers, bodies, connections, waiting
// requests and all times are bounded.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/foundation/base/cancellation.h"
#include "common/foundation/base/clock.h"
#include "common/foundation/base/status.h"

namespace megalith::http {

// Names in any case, in the order in which they came.
using Headers = std::vector<std::pair<std::string, std::string>>;

struct Request {
  std::string method;  // "GET"
  std::string path;    // of the target, without what follows '?'; not decoded
  std::string query;   // what follows '?'
  Headers headers;
  std::string body;  // inflated, if it came as gzip

  // The first value of that header; empty if there is none.
  std::string_view header(std::string_view name) const;
};

struct Response {
  int status = 200;
  Headers headers;  // Content-Length and Connection are the server's
  std::string body;
};

// Answers one request; called on the server's threads, several at a time. `cancellation` ends with
// the request's deadline, or when the client closes the connection.
using Handler = std::function<Response(const Request& request, const Cancellation& cancellation)>;
// The answer to what the handler did not: 400 no HTTP, 413 body too large, 429 and 503 too much at
// once, 431 headers too large, 500 the handler threw. Who is too slow is answered nothing.
using Refusal = std::function<Response(int status, std::string_view sentence)>;

struct ServerOptions {
  std::string listen = "127.0.0.1:0";  // host:port; port 0 picks a free one
  std::string name = "http";           // of the threads; at most 8 characters
  size_t threads = 4;                  // handlers that run at the same time
  size_t max_queued = 1000;            // requests that wait for one of them
  size_t max_connections = 1000;       // beyond it the one that has been idle longest is closed
  uint32_t max_header_bytes = 16 << 10;
  uint64_t max_body_bytes = 64ull << 20;      // of one request, inflated too
  uint64_t max_buffered_bytes = 1ull << 30;   // of the bodies of all requests that are not answered
  std::chrono::milliseconds idle{60'000};     // a connection without a request
  std::chrono::milliseconds header{10'000};   // from a request's first byte to its last header
  std::chrono::milliseconds body{60'000};     // from there to the end of the body
  std::chrono::milliseconds request{30'000};  // the deadline of handlers
  std::chrono::milliseconds write{60'000};    // for a client to take the answer
};

// Owns one thread for all sockets and those of the handlers. Thread-safe.
class Server {
 public:
  // `clock` outlives the server. Errors: kInvalidArgument  `listen` is no host:port; kUnavailable
  // the address cannot be bound, by name.
  static Result<std::unique_ptr<Server>> Start(const ServerOptions& options, Handler handler,
                                               Refusal refusal, const Clock& clock = RealClock());
  // Drains with no patience.
  ~Server();

  // host:port with the port that was bound.
  const std::string& address() const;

  // Accepts no more connections, closes those without a request, waits up to `patience` for the
  // answers of the others, cancels the rest. The second call returns at once.
  void Drain(std::chrono::milliseconds patience);

 private:
  struct Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace megalith::http
