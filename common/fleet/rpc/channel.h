// The client side: a channel to one address or to all replicas of a name, and typed methods on it.
//
//   rpc::UnaryMethod<v1::TraceRequest, v1::TraceResponse> trace(channel,
//   "megalith.trace.v1.TraceService", "Trace"); ASSIGN_OR_RETURN(const v1::TraceResponse response,
//   trace(request, {.parent = &call}));
#pragma once

#include <grpcpp/client_context.h>
#include <grpcpp/support/byte_buffer.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/fleet/discovery/registry.h"
#include "common/fleet/rpc/call.h"
#include "common/fleet/rpc/codec.h"
#include "common/fleet/rpc/retry.h"
#include "common/fleet/rpc/tls.h"
#include "common/foundation/base/cancellation.h"
#include "common/foundation/base/file_system.h"
#include "common/foundation/base/status.h"
#include "common/foundation/telemetry/metrics.h"

namespace grpc {
class Channel;
}
namespace google::protobuf {
class Descriptor;
}

namespace megalith::rpc {

struct ChannelOptions {
  ClientTls tls;
  std::chrono::milliseconds default_timeout{60'000};  // of calls that set none and have no parent
  uint64_t max_response_bytes = 256ull << 20;         // larger responses are refused
  RetryPolicy retry;
  uint64_t seed = 0;  // of the jitter; 0 takes one from the operating system
  telemetry::MetricRegistry* metrics =
      nullptr;  // counts calls and retries if given; outlives the channel
};

// What one outgoing call adds. The tightest of all deadlines counts.
struct CallOptions {
  std::optional<std::chrono::milliseconds> timeout;
  // The call in whose service this one is made: its deadline, cancellation and trace id travel on.
  const Call* parent = nullptr;
  // The same for callers that serve no call. Ends a call within 20 ms. A stream that has one must
  // end before it does.
  const Cancellation* cancellation = nullptr;
  std::optional<telemetry::TraceContext> trace;
};

namespace internal {

// One method of a channel: names, whether it may be retried (idempotency_level in the proto), its
// counters (nullptr without a registry), looked up once.
struct ClientMethod {
  std::string path;
  bool idempotent = false;
  std::array<telemetry::Counter*, 17> calls{};  // by code
  telemetry::Counter* retries = nullptr;
};

// One streaming call, untyped. One thread may read while another writes.
class ClientStream {
 public:
  virtual ~ClientStream() = default;
  virtual bool Write(const grpc::ByteBuffer& message) = 0;
  virtual void WritesDone() = 0;
  virtual bool Read(grpc::ByteBuffer* message) = 0;
  // After Read or Write has returned false, or after Cancel. Idempotent.
  virtual Status Finish() = 0;
  virtual void Cancel() = 0;
};

}  // namespace internal

// What a channel knows of its replicas at one moment.
struct ReplicaView {
  struct Replica {
    std::string address;  // the channel's target if it is not discovered
    bool down = false;    // its connection failed and is being tried again
  };
  std::vector<Replica> replicas;
  // Set while the list is not known to be current: its age.
  std::optional<std::chrono::nanoseconds> stale;
};

// Thread-safe. Connections are made when needed and kept; a connection that is lost is made again.
class Channel {
 public:
  // "host:port" or "unix:/path". Errors: those of the TLS files. That nobody listens shows in
  // calls, as kUnavailable.
  static Result<std::shared_ptr<Channel>> Dial(const std::string& address,
                                               const ChannelOptions& options,
                                               FileSystem& files = RealFileSystem());
  // All replicas that `registry` lists for `service`, in turn; those whose connection failed or was
  // lost are passed over while there are others, until it is back. Calls in flight survive changes
  // of the list. `registry` must outlive the channel.
  static Result<std::shared_ptr<Channel>> Discover(discovery::Registry& registry,
                                                   const std::string& service,
                                                   const ChannelOptions& options,
                                                   FileSystem& files = RealFileSystem());
  // The same, keeping the registry as long as the channel lives.
  static Result<std::shared_ptr<Channel>> Discover(std::shared_ptr<discovery::Registry> registry,
                                                   const std::string& service,
                                                   const ChannelOptions& options,
                                                   FileSystem& files = RealFileSystem());
  // A channel that exists already, such as Server::InProcessChannel().
  static std::shared_ptr<Channel> Wrap(std::shared_ptr<grpc::Channel> channel,
                                       const ChannelOptions& options);
  // A channel whose target is not there yet: calls fail with kUnavailable until Bind.
  static std::shared_ptr<Channel> Unbound(const std::string& name, const ChannelOptions& options);
  ~Channel();

  // Gives an unbound channel its target; calls in flight keep theirs.
  void Bind(std::shared_ptr<grpc::Channel> channel);
  Status BindAddress(const std::string& address, FileSystem& files = RealFileSystem());

  // The untyped calls behind the method classes below.
  std::shared_ptr<const internal::ClientMethod> Resolve(
      std::string_view service, std::string_view method,
      const google::protobuf::Descriptor* request,
      const google::protobuf::Descriptor* response) const;
  Status Unary(const internal::ClientMethod& method, const grpc::ByteBuffer& request,
               grpc::ByteBuffer* response, const CallOptions& options);
  std::unique_ptr<internal::ClientStream> Open(const internal::ClientMethod& method,
                                               const CallOptions& options);

  // Address or name, for messages.
  const std::string& target() const { return target_; }
  // Where calls go now.
  ReplicaView replicas() const;

 private:
  struct Impl;
  Channel(std::string target, const ChannelOptions& options);
  Status Attempt(const internal::ClientMethod& method, const grpc::ByteBuffer& request,
                 grpc::ByteBuffer* response, const CallOptions& options,
                 std::chrono::system_clock::time_point deadline);

  const std::string target_;
  std::unique_ptr<Impl> impl_;
};

// A unary method of a channel. Calls with idempotency_level set are retried under the channel's
// policy while the deadline allows; others are tried once. Errors: those of the method (with their
// Python class), kUnavailable, kDeadlineExceeded, kCancelled; kDataLoss  the answer does not parse.
// Thread-safe.
template <typename Request, typename Response>
class UnaryMethod {
 public:
  UnaryMethod(std::shared_ptr<Channel> channel, std::string_view service, std::string_view method)
      : channel_(std::move(channel)),
        method_(channel_->Resolve(service, method, Request::descriptor(), Response::descriptor())) {
  }

  Result<Response> operator()(const Request& request, const CallOptions& options = {}) const {
    grpc::ByteBuffer in;
    grpc::ByteBuffer out;
    RETURN_IF_ERROR(SerializeMessage(request, &in));
    RETURN_IF_ERROR(channel_->Unary(*method_, in, &out, options));
    Response response;
    const Status parsed = ParseMessage(out, &response);
    if (!parsed.ok()) return DataLoss(parsed.message());
    return response;
  }

 private:
  std::shared_ptr<Channel> channel_;
  std::shared_ptr<const internal::ClientMethod> method_;
};

// A streaming call in progress. Destroying one that has not ended cancels it. One thread may read
// while another writes.
template <typename Request, typename Response>
class Stream {
 public:
  explicit Stream(std::unique_ptr<internal::ClientStream> raw) : raw_(std::move(raw)) {}
  Stream(Stream&&) noexcept = default;
  Stream& operator=(Stream&&) noexcept = default;
  ~Stream() {
    if (raw_ == nullptr) return;
    raw_->Cancel();
    (void)raw_->Finish();
  }

  // Fails with what ended the stream.
  Status Write(const Request& request) {
    grpc::ByteBuffer bytes;
    RETURN_IF_ERROR(SerializeMessage(request, &bytes));
    if (raw_->Write(bytes)) return OkStatus();
    const Status status = raw_->Finish();
    return status.ok() ? Unavailable("the server ended the stream before it had read everything")
                       : status;
  }
  void WritesDone() { raw_->WritesDone(); }

  // nullopt after the last message of a stream that ended well.
  Result<std::optional<Response>> Read() {
    grpc::ByteBuffer bytes;
    if (!raw_->Read(&bytes)) {
      RETURN_IF_ERROR(raw_->Finish());
      return std::optional<Response>();
    }
    std::optional<Response> response(std::in_place);
    const Status parsed = ParseMessage(bytes, &*response);
    if (!parsed.ok()) return DataLoss(parsed.message());
    return response;
  }

  // Half-closes and reads the single answer of a client-streaming method.
  Result<Response> Close() {
    WritesDone();
    ASSIGN_OR_RETURN(std::optional<Response> response, Read());
    if (!response) return Internal("the server ended the call without a response");
    return *std::move(response);
  }

  void Cancel() { raw_->Cancel(); }

 private:
  std::unique_ptr<internal::ClientStream> raw_;
};

// A streaming method, whatever its direction. Not retried. Thread-safe.
template <typename Request, typename Response>
class StreamMethod {
 public:
  StreamMethod(std::shared_ptr<Channel> channel, std::string_view service, std::string_view method)
      : channel_(std::move(channel)),
        method_(channel_->Resolve(service, method, Request::descriptor(), Response::descriptor())) {
  }

  Stream<Request, Response> Open(const CallOptions& options = {}) const {
    return Stream<Request, Response>(channel_->Open(*method_, options));
  }
  // For server-streaming methods: sends the one request.
  Result<Stream<Request, Response>> Start(const Request& request,
                                          const CallOptions& options = {}) const {
    Stream<Request, Response> stream = Open(options);
    RETURN_IF_ERROR(stream.Write(request));
    stream.WritesDone();
    return stream;
  }

 private:
  std::shared_ptr<Channel> channel_;
  std::shared_ptr<const internal::ClientMethod> method_;
};

}  // namespace megalith::rpc
