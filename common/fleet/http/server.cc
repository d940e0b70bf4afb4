#include "common/fleet/http/server.h"

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include "common/fleet/http/gzip.h"
#include "common/foundation/base/strings.h"
#include "common/foundation/base/thread_pool.h"

namespace megalith::http {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace wire = boost::beast::http;
using Tcp = asio::ip::tcp;
using ErrorCode = boost::system::error_code;

// Read at once; what comes with the headers and does not belong to them waits here.
constexpr size_t kReadBytes = 64 << 10;
// After an answer that ends a connection, what the client still sends is thrown away for so long:
// closing at once would make its system forget the answer.
constexpr std::chrono::milliseconds kLinger{2'000};
constexpr size_t kLingerBytes = 64 << 20;
constexpr std::chrono::milliseconds kAcceptRetry{100};
constexpr char kContinue[] = "HTTP/1.1 100 Continue\r\n\r\n";

std::string_view View(boost::beast::string_view text) { return {text.data(), text.size()}; }

}  // namespace

std::string_view Request::header(std::string_view name) const {
  for (const auto& [key, value] : headers)
    if (key.size() == name.size() && AsciiLower(key) == AsciiLower(name)) return value;
  return {};
}

struct Server::Impl {
  class Session;

  Impl(const ServerOptions& o, Handler h, Refusal r, const Clock& c)
      : options(o),
        handler(std::move(h)),
        refusal(std::move(r)),
        clock(c),
        pool(o.name, o.threads, o.max_queued) {}

  Status Listen();
  // Makes the acceptor listen.
  ErrorCode Bind(const std::string& host, int64_t port);
  void Accept();
  void Welcome(Tcp::socket socket);
  void Run();
  std::vector<std::shared_ptr<Session>> Sessions();
  void Drain(std::chrono::milliseconds patience);
  // Bytes of bodies; false if there are too many already.
  bool Reserve(uint64_t bytes) {
    if (buffered.fetch_add(bytes) + bytes <= options.max_buffered_bytes) return true;
    buffered.fetch_sub(bytes);
    return false;
  }

  const ServerOptions options;
  const Handler handler;
  const Refusal refusal;
  const Clock& clock;
  std::string address;
  std::atomic<uint64_t> buffered{0};
  bool draining = false;  // of the I/O thread
  std::mutex mu;
  std::condition_variable changed;
  std::map<Session*, std::weak_ptr<Session>> sessions;  // guarded by mu
  bool drained = false;                                 // guarded by mu
  // Sessions live in the handlers of `io`, which goes before what they use.
  asio::io_context io{1};
  Tcp::acceptor acceptor{io};
  asio::steady_timer retry{io};
  std::thread thread;
  ThreadPool pool;
};

// One connection. Everything but Answer runs on the I/O thread; the handlers that wait for its
// socket own it.
class Server::Impl::Session : public std::enable_shared_from_this<Session> {
 public:
  enum class State : uint8_t { kIdle, kReading, kRunning, kWriting };

  Session(Tcp::socket socket, Impl& server)
      : server_(server), stream_(std::move(socket)), buffer_(2 * kReadBytes) {}
  ~Session() {
    Release();
    const std::lock_guard<std::mutex> lock(server_.mu);
    server_.sessions.erase(this);
    server_.changed.notify_all();
  }

  State state() const { return state_; }
  std::chrono::nanoseconds since() const { return since_; }

  void Start() {
    Enter(State::kIdle);
    if (buffer_.size() > 0) return ReadHeader();
    stream_.expires_after(server_.options.idle);
    stream_.async_read_some(buffer_.prepare(kReadBytes),
                            [self = shared_from_this()](const ErrorCode& error, size_t bytes) {
                              if (error) return;
                              self->buffer_.commit(bytes);
                              self->ReadHeader();
                            });
  }

  // Answers without a request and ends.
  void Refuse(int status, std::string_view sentence) {
    Write(server_.refusal(status, sentence), /*keep_alive=*/false);
  }

  void Close() {
    if (cancellation_) cancellation_->Cancel();
    ErrorCode ignored;
    if (state_ != State::kRunning) stream_.socket().close(ignored);
  }

 private:
  void Enter(State state) {
    state_ = state;
    since_ = server_.clock.Monotonic();
  }
  void Release() {
    server_.buffered.fetch_sub(reserved_);
    reserved_ = 0;
  }
  // False after a refusal.
  bool Reserve(uint64_t bytes) {
    if (!server_.Reserve(bytes)) return false;
    reserved_ += bytes;
    return true;
  }

  void ReadHeader() {
    Enter(State::kReading);
    parser_.emplace();
    parser_->header_limit(server_.options.max_header_bytes);
    parser_->body_limit(server_.options.max_body_bytes);
    stream_.expires_after(server_.options.header);
    wire::async_read_header(stream_, buffer_, *parser_,
                            [self = shared_from_this()](const ErrorCode& error, size_t) {
                              if (error) return self->RefuseFor(error);
                              self->stream_.expires_after(self->server_.options.body);
                              self->ReadBody();
                            });
  }

  // Errors of the network end the connection, those of the client are answered.
  void RefuseFor(const ErrorCode& error) {
    if (error == wire::error::end_of_stream || error == wire::error::partial_message) return;
    if (error == wire::error::body_limit) {
      return Refuse(413,
                    StrCat("the body is longer than ", server_.options.max_body_bytes, " bytes"));
    }
    if (error == wire::error::header_limit || error == wire::error::buffer_overflow) {
      return Refuse(
          431, StrCat("the headers are longer than ", server_.options.max_header_bytes, " bytes"));
    }
    if (error.category() == wire::make_error_code(wire::error::bad_method).category())
      Refuse(400, StrCat("this is no HTTP request: ", error.message()));
  }

  void ReadBody() {
    if (parser_->is_done()) return Answer();
    const auto expect = parser_->get().find(wire::field::expect);
    if (!continued_ && expect != parser_->get().end() &&
        AsciiLower(View(expect->value())) == "100-continue") {
      continued_ = true;
      asio::async_write(stream_, asio::buffer(kContinue, sizeof(kContinue) - 1),
                        [self = shared_from_this()](const ErrorCode& error, size_t) {
                          if (!error) self->ReadBody();
                        });
      return;
    }
    wire::async_read_some(
        stream_, buffer_, *parser_, [self = shared_from_this()](const ErrorCode& error, size_t) {
          if (error) return self->RefuseFor(error);
          const uint64_t size = self->parser_->get().body().size();
          if (!self->Reserve(size - self->reserved_)) {
            return self->Refuse(503,
                                "requests that are being read fill the memory that they "
                                "may have; try again");
          }
          self->ReadBody();
        });
  }

  Request TakeRequest() {
    auto message = parser_->release();
    Request out;
    out.method = View(message.method_string());
    std::string_view target = View(message.target());
    if (const size_t scheme = target.find("://");
        scheme != std::string_view::npos && !target.starts_with('/')) {
      const size_t slash = target.find('/', scheme + 3);
      target = slash == std::string_view::npos ? "/" : target.substr(slash);
    }
    const size_t question = target.find('?');
    out.path = target.substr(0, question);
    if (question != std::string_view::npos) out.query = target.substr(question + 1);
    for (const auto& field : message)
      out.headers.emplace_back(View(field.name_string()), View(field.value()));
    keep_alive_ = message.keep_alive();
    head_ = message.method() == wire::verb::head;
    out.body = std::move(message.body());
    return out;
  }

  // Hands the request to a thread and watches whether the client stays.
  void Answer() {
    Enter(State::kRunning);
    stream_.expires_never();
    cancellation_ = std::make_shared<Cancellation>(
        server_.clock.Monotonic() + server_.options.request, server_.clock);
    auto request = std::make_shared<Request>(TakeRequest());
    const Status queued = server_.pool.Submit([self = shared_from_this(), request] {
      Response response = self->Compute(request.get());
      *request = Request();
      asio::post(self->server_.io, [self, response = std::move(response)]() mutable {
        self->Finish(std::move(response));
      });
    });
    if (!queued.ok()) return Finish(server_.refusal(429, queued.message()));
    stream_.socket().async_wait(Tcp::socket::wait_read,
                                [self = shared_from_this()](const ErrorCode& error) {
                                  ErrorCode gone;
                                  if (error || self->state_ != State::kRunning) return;
                                  if (self->stream_.socket().available(gone) == 0 || gone)
                                    self->cancellation_->Cancel();
                                });
  }

  Response Compute(Request* request) {
    try {
      if (AsciiLower(request->header("Content-Encoding")) == "gzip") {
        Result<std::string> body = Inflate(request->body, server_.options.max_body_bytes);
        if (!body.ok()) {
          return server_.refusal(body.status().code() == Code::kInvalidArgument ? 400 : 413,
                                 body.status().message());
        }
        request->body = *std::move(body);
      }
      return server_.handler(*request, *cancellation_);
    } catch (const std::exception& e) {
      return server_.refusal(500, StrCat("the request failed inside the server: ", e.what()));
    }
  }

  void Finish(Response response) {
    ErrorCode ignored;
    stream_.socket().cancel(ignored);  // the watch for the client's end
    Release();
    Write(std::move(response), keep_alive_ && !server_.draining);
  }

  void Write(Response response, bool keep_alive) {
    Enter(State::kWriting);
    response_.emplace();
    response_->version(11);
    response_->result(static_cast<unsigned>(response.status));
    for (const auto& [name, value] : response.headers) response_->insert(name, value);
    response_->keep_alive(keep_alive);
    response_->content_length(response.body.size());
    if (!head_) response_->body() = std::move(response.body);
    stream_.expires_after(server_.options.write);
    wire::async_write(stream_, *response_,
                      [self = shared_from_this(), keep_alive](const ErrorCode& error, size_t) {
                        self->response_.reset();
                        self->cancellation_.reset();
                        self->continued_ = false;
                        if (error) return;
                        if (keep_alive && !self->server_.draining) return self->Start();
                        self->Linger();
                      });
  }

  void Linger() {
    ErrorCode error;
    stream_.socket().shutdown(Tcp::socket::shutdown_send, error);
    if (error) return;
    buffer_.clear();
    stream_.expires_after(kLinger);
    DropRest(0);
  }

  void DropRest(size_t dropped) {
    if (dropped > kLingerBytes) return;
    stream_.async_read_some(buffer_.prepare(kReadBytes),
                            [self = shared_from_this(), dropped](const ErrorCode& error, size_t n) {
                              if (!error) self->DropRest(dropped + n);
                            });
  }

  Impl& server_;
  beast::tcp_stream stream_;
  beast::flat_buffer buffer_;
  State state_ = State::kIdle;
  std::chrono::nanoseconds since_{0};
  std::optional<wire::request_parser<wire::string_body>> parser_;
  std::optional<wire::response<wire::string_body>> response_;
  std::shared_ptr<Cancellation> cancellation_;  // while a request runs
  uint64_t reserved_ = 0;
  bool keep_alive_ = false;
  bool head_ = false;
  bool continued_ = false;
};

Status Server::Impl::Listen() {
  const size_t colon = options.listen.rfind(':');
  const std::optional<int64_t> port =
      colon == std::string::npos ? std::nullopt : ParseInt(options.listen.substr(colon + 1));
  if (!port || *port < 0 || *port > 65535) {
    return InvalidArgument(
        StrCat("an address to listen on is host:port, got '", Printable(options.listen), "'"));
  }
  std::string host = options.listen.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  ErrorCode error = Bind(host, *port);
  // Every address, where there is no IPv6.
  if (error && host == "::") error = Bind("0.0.0.0", *port);
  if (error) return Unavailable(StrCat("cannot listen on ", options.listen, ": ", error.message()));
  address = StrCat(options.listen.substr(0, colon), ":", acceptor.local_endpoint().port());
  return OkStatus();
}

ErrorCode Server::Impl::Bind(const std::string& host, int64_t port) {
  ErrorCode error, ignored;
  acceptor.close(ignored);
  Tcp::resolver resolver(io);
  const auto found = resolver.resolve(host, StrCat(port), Tcp::resolver::passive, error);
  if (error) return error;
  if (found.empty()) return asio::error::host_not_found;
  const Tcp::endpoint endpoint = found.begin()->endpoint();
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(asio::socket_base::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  return error;
}

void Server::Impl::Accept() {
  acceptor.async_accept([this](const ErrorCode& error, Tcp::socket socket) {
    if (draining || error == asio::error::operation_aborted) return;
    if (!error) {
      Welcome(std::move(socket));
      return Accept();
    }
    // Out of descriptors, say: others give theirs back.
    retry.expires_after(kAcceptRetry);
    retry.async_wait([this](const ErrorCode& stopped) {
      if (!stopped) Accept();
    });
  });
}

void Server::Impl::Welcome(Tcp::socket socket) {
  ErrorCode ignored;
  socket.set_option(Tcp::no_delay(true), ignored);
  const std::vector<std::shared_ptr<Session>> others = Sessions();
  const auto session = std::make_shared<Session>(std::move(socket), *this);
  {
    const std::lock_guard<std::mutex> lock(mu);
    sessions.emplace(session.get(), session);
  }
  if (others.size() >= options.max_connections) {
    // Those that wait for their client make room, the oldest first.
    Session* oldest = nullptr;
    for (const auto& other : others) {
      const bool waits =
          other->state() == Session::State::kIdle || other->state() == Session::State::kReading;
      if (waits && (oldest == nullptr || other->since() < oldest->since())) oldest = other.get();
    }
    if (oldest == nullptr)
      return session->Refuse(503, "the server has as many connections as it may; try again");
    oldest->Close();
  }
  session->Start();
}

std::vector<std::shared_ptr<Server::Impl::Session>> Server::Impl::Sessions() {
  std::vector<std::shared_ptr<Session>> out;
  const std::lock_guard<std::mutex> lock(mu);
  for (const auto& [pointer, session] : sessions)
    if (auto held = session.lock()) out.push_back(std::move(held));
  return out;
}

void Server::Impl::Run() {
  SetThreadName(options.name + "-io");
  while (true) {
    try {
      io.run();
      return;
    } catch (const std::exception&) {
      // Want of memory for one connection: its handler is gone, and it with that; the others go on.
    }
  }
}

void Server::Impl::Drain(std::chrono::milliseconds patience) {
  {
    const std::lock_guard<std::mutex> lock(mu);
    if (drained) return;
    drained = true;
  }
  asio::post(io, [this] {
    draining = true;
    ErrorCode ignored;
    acceptor.close(ignored);
    retry.cancel(ignored);
    for (const auto& session : Sessions())
      if (session->state() == Session::State::kIdle) session->Close();
  });
  {
    std::unique_lock<std::mutex> lock(mu);
    changed.wait_for(lock, patience, [this] { return sessions.empty(); });
  }
  asio::post(io, [this] {
    for (const auto& session : Sessions()) session->Close();
  });
  pool.Shutdown();
  io.stop();
  if (thread.joinable()) thread.join();
  // Without connections the thread may have stopped before it came to that.
  ErrorCode ignored;
  acceptor.close(ignored);
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Server::~Server() { Drain(std::chrono::milliseconds(0)); }

Result<std::unique_ptr<Server>> Server::Start(const ServerOptions& options, Handler handler,
                                              Refusal refusal, const Clock& clock) {
  auto impl = std::make_unique<Impl>(options, std::move(handler), std::move(refusal), clock);
  try {
    RETURN_IF_ERROR(impl->Listen());
    impl->Accept();
    impl->thread = std::thread([server = impl.get()] { server->Run(); });
  } catch (const std::exception& e) {
    return Unavailable(StrCat("cannot listen on ", options.listen, ": ", e.what()));
  }
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

const std::string& Server::address() const { return impl_->address; }

void Server::Drain(std::chrono::milliseconds patience) { impl_->Drain(patience); }

}  // namespace megalith::http
