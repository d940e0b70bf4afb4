#include "common/fleet/rpc/channel.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>
#include <grpcpp/channel.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/impl/client_unary_call.h>
#include <grpcpp/support/client_callback.h>
#include <grpcpp/support/sync_stream.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <stop_token>
#include <thread>

#include "common/fleet/rpc/internal/trace_ids.h"
#include "common/fleet/rpc/status.h"
#include "common/foundation/base/strings.h"
#include "common/foundation/base/thread_pool.h"
#include "common/foundation/telemetry/metric_table.h"

namespace megalith::rpc {
namespace {

using grpc::ByteBuffer;
using grpc::internal::RpcMethod;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::system_clock;

constexpr milliseconds kCancellationPoll{20};
// Two ends of a call may disagree by this much on when its deadline is.
constexpr milliseconds kDeadlineSkew{20};

using GrpcChannel = std::shared_ptr<grpc::Channel>;

// One replica and what is remembered of it. Thread-safe.
struct Connection {
  explicit Connection(GrpcChannel c) : channel(std::move(c)) {}
  const GrpcChannel channel;
  std::atomic<bool> was_ready{false};
};
using ConnectionList = std::shared_ptr<const std::vector<std::shared_ptr<Connection>>>;

// Whether a call has a chance. One whose connection was there and is not any more counts as dead
// until it is back: a call would only find out that nobody listens. Begins to connect.
bool MayServe(Connection& connection) {
  const grpc_connectivity_state state = connection.channel->GetState(/*try_to_connect=*/true);
  if (state != GRPC_CHANNEL_READY) {
    return state != GRPC_CHANNEL_TRANSIENT_FAILURE && !connection.was_ready.load();
  }
  connection.was_ready.store(true);
  return true;
}

// The tightest of the given deadlines; the channel's default only if there is no other.
system_clock::time_point DeadlineFor(const CallOptions& options, milliseconds default_timeout) {
  std::optional<nanoseconds> left;
  const auto tighten = [&left](std::optional<nanoseconds> other) {
    if (other && (!left || *other < *left)) left = other;
  };
  tighten(options.timeout);
  if (options.parent != nullptr) tighten(options.parent->cancellation().Left());
  if (options.cancellation != nullptr) tighten(options.cancellation->Left());
  return system_clock::now() + std::chrono::duration_cast<system_clock::duration>(
                                   left.value_or(nanoseconds(default_timeout)));
}

std::unique_ptr<grpc::ClientContext> MakeContext(const CallOptions& options,
                                                 system_clock::time_point deadline) {
  std::unique_ptr<grpc::ClientContext> context;
  if (options.parent != nullptr && options.parent->context() != nullptr) {
    context = grpc::ClientContext::FromCallbackServerContext(*options.parent->context());
  } else {
    context = std::make_unique<grpc::ClientContext>();
  }
  context->set_deadline(deadline);
  const telemetry::TraceContext trace = options.trace ? *options.trace
                                        : options.parent != nullptr
                                            ? internal::ChildTrace(options.parent->trace())
                                            : internal::FreshTrace();
  context->AddMetadata(internal::kTraceParentKey, trace.ToHeader());
  return context;
}

// OK, kCancelled or kDeadlineExceeded of whoever made the call.
Status CheckCaller(const CallOptions& options) {
  if (options.parent != nullptr) RETURN_IF_ERROR(options.parent->Check());
  if (options.cancellation != nullptr) RETURN_IF_ERROR(options.cancellation->Check());
  return OkStatus();
}

// Sleeps, but not longer than the caller wants an answer.
void Pause(nanoseconds pause, const CallOptions& options) {
  const auto end = std::chrono::steady_clock::now() + pause;
  while (CheckCaller(options).ok()) {
    const auto left = end - std::chrono::steady_clock::now();
    if (left.count() <= 0) return;
    std::this_thread::sleep_for(std::min<nanoseconds>(left, kCancellationPoll));
  }
}

// A call that gRPC's server code cancelled by itself, because it is shutting down, looks to gRPC as
// if the caller had cancelled it; to the caller the server is gone. A handler that answers
// CANCELLED sends details; it may have seen gRPC cancel the call at the deadline before its own
// clock reached that.
Status OutcomeOf(const grpc::Status& status, bool caller_cancelled,
                 system_clock::time_point deadline) {
  if (status.error_code() != grpc::StatusCode::CANCELLED || caller_cancelled)
    return FromGrpc(status);
  if (system_clock::now() + kDeadlineSkew >= deadline)
    return DeadlineExceeded("the call's deadline passed before the work was done");
  if (!status.error_details().empty()) return FromGrpc(status);
  return Unavailable("the server ended the call; it may be shutting down");
}

// Makes the call and looks at the caller's cancellation while it waits.
grpc::Status CancellableUnary(grpc::Channel* channel, const RpcMethod& method,
                              grpc::ClientContext* context, const ByteBuffer& request,
                              ByteBuffer* response, const Cancellation& cancellation) {
  std::mutex mu;
  std::condition_variable changed;
  std::optional<grpc::Status> outcome;
  grpc::internal::CallbackUnaryCall<ByteBuffer, ByteBuffer>(
      channel, method, context, &request, response, [&](grpc::Status status) {
        const std::lock_guard<std::mutex> lock(mu);
        outcome = std::move(status);
        changed.notify_all();
      });
  std::unique_lock<std::mutex> lock(mu);
  while (!changed.wait_for(lock, kCancellationPoll, [&outcome] { return outcome.has_value(); })) {
    if (cancellation.cancelled()) context->TryCancel();
  }
  return *outcome;
}

class BlockingStream final : public internal::ClientStream {
 public:
  BlockingStream(GrpcChannel channel, const RpcMethod& method,
                 std::unique_ptr<grpc::ClientContext> context, const CallOptions& options)
      : parent_(options.parent),
        cancellation_(options.cancellation),
        channel_(std::move(channel)),
        context_(std::move(context)),
        stream_(grpc::internal::ClientReaderWriterFactory<ByteBuffer, ByteBuffer>::Create(
            channel_.get(), method, context_.get())) {
    // A blocked Read does not look at the cancellation; who waits for a long compilation may go.
    if (cancellation_ != nullptr)
      watcher_ = std::jthread([this](const std::stop_token& stop) { Watch(stop); });
  }
  bool Write(const ByteBuffer& message) override {
    FollowCaller();
    return stream_->Write(message);
  }
  void WritesDone() override {
    if (!half_closed_.exchange(true)) stream_->WritesDone();
  }
  bool Read(ByteBuffer* message) override {
    FollowCaller();
    return stream_->Read(message);
  }
  Status Finish() override {
    const std::lock_guard<std::mutex> lock(mu_);
    if (!status_) {
      ByteBuffer ignored;
      while (stream_->Read(&ignored)) {
      }
      status_ = OutcomeOf(stream_->Finish(),
                          cancelled_.load() || (parent_ != nullptr && parent_->cancelled()),
                          context_->deadline());
    }
    return *status_;
  }
  void Cancel() override {
    cancelled_.store(true);
    context_->TryCancel();
  }

 private:
  void FollowCaller() {
    if (cancellation_ != nullptr && cancellation_->cancelled()) Cancel();
  }
  void Watch(const std::stop_token& stop) {
    SetThreadName("rpc-cancel");
    std::mutex mu;
    std::condition_variable_any woken;
    std::unique_lock<std::mutex> lock(mu);
    while (!cancelled_.load()) {
      woken.wait_for(lock, stop, kCancellationPoll, [] { return false; });
      if (stop.stop_requested()) return;
      FollowCaller();
    }
  }

  const Call* const parent_;
  const Cancellation* const cancellation_;
  const GrpcChannel channel_;
  const std::unique_ptr<grpc::ClientContext> context_;
  const std::unique_ptr<grpc::ClientReaderWriter<ByteBuffer, ByteBuffer>> stream_;
  std::atomic<bool> half_closed_{false};
  std::atomic<bool> cancelled_{false};
  std::mutex mu_;
  std::optional<Status> status_;  // guarded by mu_
  std::jthread watcher_;          // last: it uses the rest
};

// A stream that could not be opened.
class FailedStream final : public internal::ClientStream {
 public:
  explicit FailedStream(Status status) : status_(std::move(status)) {}
  bool Write(const ByteBuffer&) override { return false; }
  void WritesDone() override {}
  bool Read(ByteBuffer*) override { return false; }
  Status Finish() override { return status_; }
  void Cancel() override {}

 private:
  const Status status_;
};

grpc::ChannelArguments ArgumentsFor(const ChannelOptions& options) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(
      static_cast<int>(std::min<uint64_t>(options.max_response_bytes, INT32_MAX)));
  arguments.SetMaxSendMessageSize(-1);
  if (!options.tls.server_name.empty()) arguments.SetSslTargetNameOverride(options.tls.server_name);
  // gRPC's own pause of a second between attempts to connect would outlast our retries.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 50);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 2000);
  return arguments;
}

}  // namespace

struct Channel::Impl {
  explicit Impl(const ChannelOptions& options)
      : options(options), rng(options.seed != 0 ? options.seed : EntropySeed()) {}

  ConnectionList Connections() {
    const std::lock_guard<std::mutex> lock(mu);
    return connections;
  }

  // The next replica, passing over those that are known to be down while there are others. nullptr
  // if there is none.
  GrpcChannel Pick() {
    const ConnectionList list = Connections();
    if (list->empty()) return nullptr;
    if (list->size() == 1) return list->front()->channel;
    const size_t start = next.fetch_add(1, std::memory_order_relaxed);
    for (size_t i = 0; i < list->size(); ++i) {
      Connection& candidate = *(*list)[(start + i) % list->size()];
      if (MayServe(candidate)) return candidate.channel;
    }
    return (*list)[start % list->size()]->channel;
  }

  Status NoReplica(const std::string& target) const {
    std::string message = StrCat("no replica of '", target, "' is registered");
    if (const auto age = registry == nullptr ? std::nullopt : registry->Staleness(); age) {
      StrAppend(&message, "; the list is ",
                std::chrono::duration_cast<std::chrono::seconds>(*age).count(),
                " s old, because discovery cannot be reached");
    }
    return Unavailable(std::move(message));
  }

  nanoseconds Backoff(int attempt) {
    const std::lock_guard<std::mutex> lock(mu);
    return BackoffAfter(options.retry, attempt, rng);
  }

  // Keeps the connections of replicas that stay.
  void SetReplicas(const discovery::Snapshot& snapshot) {
    const std::lock_guard<std::mutex> lock(mu);
    std::map<std::string, std::shared_ptr<Connection>> fresh;
    auto list = std::make_shared<std::vector<std::shared_ptr<Connection>>>();
    for (const discovery::Endpoint& e : *snapshot) {
      const auto at = by_address.find(e.address);
      auto connection = at != by_address.end()
                            ? at->second
                            : std::make_shared<Connection>(grpc::CreateCustomChannel(
                                  e.address, credentials, ArgumentsFor(options)));
      list->push_back(connection);
      fresh.emplace(e.address, std::move(connection));
    }
    by_address = std::move(fresh);
    connections = std::move(list);
  }

  const ChannelOptions options;
  std::shared_ptr<grpc::ChannelCredentials> credentials;
  std::atomic<size_t> next{0};
  std::mutex mu;
  Rng rng;  // guarded by mu, as the next two
  ConnectionList connections = std::make_shared<const std::vector<std::shared_ptr<Connection>>>();
  std::map<std::string, std::shared_ptr<Connection>> by_address;
  std::shared_ptr<discovery::Registry> owned_registry;
  const discovery::Registry* registry = nullptr;  // of discovered replicas
  std::unique_ptr<discovery::Handle> watch;       // last: its callback uses the rest
};

Channel::Channel(std::string target, const ChannelOptions& options)
    : target_(std::move(target)), impl_(std::make_unique<Impl>(options)) {
  CaptureProtobufLog();
}

Channel::~Channel() { impl_->watch.reset(); }

Result<std::shared_ptr<Channel>> Channel::Dial(const std::string& address,
                                               const ChannelOptions& options, FileSystem& files) {
  std::shared_ptr<Channel> channel = Unbound(address, options);
  RETURN_IF_ERROR(channel->BindAddress(address, files));
  return channel;
}

Result<std::shared_ptr<Channel>> Channel::Discover(discovery::Registry& registry,
                                                   const std::string& service,
                                                   const ChannelOptions& options,
                                                   FileSystem& files) {
  std::shared_ptr<Channel> channel(new Channel(service, options));
  Impl* impl = channel->impl_.get();
  impl->registry = &registry;
  ASSIGN_OR_RETURN(impl->credentials, MakeChannelCredentials(options.tls, files));
  ASSIGN_OR_RETURN(impl->watch, registry.Watch(service, [impl](const discovery::Snapshot& s) {
    impl->SetReplicas(s);
  }));
  return channel;
}

Result<std::shared_ptr<Channel>> Channel::Discover(std::shared_ptr<discovery::Registry> registry,
                                                   const std::string& service,
                                                   const ChannelOptions& options,
                                                   FileSystem& files) {
  ASSIGN_OR_RETURN(auto channel, Discover(*registry, service, options, files));
  channel->impl_->owned_registry = std::move(registry);
  return channel;
}

ReplicaView Channel::replicas() const {
  const auto is_down = [](const Connection& connection) {
    const grpc_connectivity_state state = connection.channel->GetState(/*try_to_connect=*/false);
    return state == GRPC_CHANNEL_TRANSIENT_FAILURE ||
           (state != GRPC_CHANNEL_READY && connection.was_ready.load());
  };
  ReplicaView view;
  const std::lock_guard<std::mutex> lock(impl_->mu);
  if (impl_->registry == nullptr) {
    for (const auto& connection : *impl_->connections)
      view.replicas.push_back({.address = target_, .down = is_down(*connection)});
    return view;
  }
  for (const auto& [address, connection] : impl_->by_address)
    view.replicas.push_back({.address = address, .down = is_down(*connection)});
  view.stale = impl_->registry->Staleness();
  return view;
}

std::shared_ptr<Channel> Channel::Wrap(std::shared_ptr<grpc::Channel> wrapped,
                                       const ChannelOptions& options) {
  std::shared_ptr<Channel> channel = Unbound("in-process", options);
  channel->Bind(std::move(wrapped));
  return channel;
}

std::shared_ptr<Channel> Channel::Unbound(const std::string& name, const ChannelOptions& options) {
  return std::shared_ptr<Channel>(new Channel(name, options));
}

void Channel::Bind(std::shared_ptr<grpc::Channel> channel) {
  const std::lock_guard<std::mutex> lock(impl_->mu);
  impl_->connections = std::make_shared<const std::vector<std::shared_ptr<Connection>>>(
      1, std::make_shared<Connection>(std::move(channel)));
}

Status Channel::BindAddress(const std::string& address, FileSystem& files) {
  ASSIGN_OR_RETURN(const auto credentials, MakeChannelCredentials(impl_->options.tls, files));
  Bind(grpc::CreateCustomChannel(address, credentials, ArgumentsFor(impl_->options)));
  return OkStatus();
}

std::shared_ptr<const internal::ClientMethod> Channel::Resolve(
    std::string_view service, std::string_view method, const google::protobuf::Descriptor* request,
    const google::protobuf::Descriptor* response) const {
  const google::protobuf::MethodDescriptor* declared =
      google::protobuf::DescriptorPool::generated_pool()->FindMethodByName(
          StrCat(service, ".", method));
  CHECK(declared != nullptr && declared->input_type() == request &&
        declared->output_type() == response);
  auto out = std::make_shared<internal::ClientMethod>();
  out->path = StrCat("/", service, "/", method);
  out->idempotent = declared->options().idempotency_level() !=
                    google::protobuf::MethodOptions::IDEMPOTENCY_UNKNOWN;
  if (telemetry::MetricRegistry* const metrics = impl_->options.metrics; metrics != nullptr) {
    for (size_t code = 0; code < out->calls.size(); ++code) {
      out->calls[code] = &metrics->GetCounter(telemetry::kClientCalls,
                                              {service, method, CodeName(static_cast<Code>(code))});
    }
    out->retries = &metrics->GetCounter(telemetry::kClientRetries, {service, method});
  }
  return out;
}

Status Channel::Attempt(const internal::ClientMethod& method, const ByteBuffer& request,
                        ByteBuffer* response, const CallOptions& options,
                        system_clock::time_point deadline) {
  const GrpcChannel channel = impl_->Pick();
  if (channel == nullptr) return impl_->NoReplica(target_);
  const std::unique_ptr<grpc::ClientContext> context = MakeContext(options, deadline);
  const RpcMethod rpc_method(method.path.c_str(), RpcMethod::NORMAL_RPC);
  const grpc::Status status =
      options.cancellation != nullptr
          ? CancellableUnary(channel.get(), rpc_method, context.get(), request, response,
                             *options.cancellation)
          : grpc::internal::BlockingUnaryCall<ByteBuffer, ByteBuffer>(
                channel.get(), rpc_method, context.get(), request, response);
  return OutcomeOf(status, CheckCaller(options).code() == Code::kCancelled, deadline);
}

Status Channel::Unary(const internal::ClientMethod& method, const ByteBuffer& request,
                      ByteBuffer* response, const CallOptions& options) {
  const system_clock::time_point deadline = DeadlineFor(options, impl_->options.default_timeout);
  const int max_attempts = method.idempotent ? std::max(1, impl_->options.retry.max_attempts) : 1;
  Status status;
  for (int attempt = 1;; ++attempt) {
    status = CheckCaller(options);
    if (!status.ok()) break;
    status = Attempt(method, request, response, options, deadline);
    if (attempt >= max_attempts || !IsRetryable(status.code())) break;
    const nanoseconds pause = impl_->Backoff(attempt);
    // A retry that could not end in time would only hide the real error.
    if (system_clock::now() + pause >= deadline) break;
    if (method.retries != nullptr) method.retries->Add();
    Pause(pause, options);
  }
  if (telemetry::Counter* const calls = method.calls[static_cast<size_t>(status.code())];
      calls != nullptr) {
    calls->Add();
  }
  return status;
}

std::unique_ptr<internal::ClientStream> Channel::Open(const internal::ClientMethod& method,
                                                      const CallOptions& options) {
  if (const Status status = CheckCaller(options); !status.ok())
    return std::make_unique<FailedStream>(status);
  GrpcChannel channel = impl_->Pick();
  if (channel == nullptr) return std::make_unique<FailedStream>(impl_->NoReplica(target_));
  return std::make_unique<BlockingStream>(
      std::move(channel), RpcMethod(method.path.c_str(), RpcMethod::BIDI_STREAMING),
      MakeContext(options, DeadlineFor(options, impl_->options.default_timeout)), options);
}

}  // namespace megalith::rpc
