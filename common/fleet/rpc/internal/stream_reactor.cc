#include "common/fleet/rpc/internal/stream_reactor.h"

#include <grpcpp/server_context.h>

#include <condition_variable>
#include <mutex>
#include <optional>

#include "common/fleet/rpc/status.h"
#include "common/foundation/base/strings.h"
#include "common/foundation/base/thread_pool.h"

namespace megalith::rpc::internal {
namespace {

// A handler's thread on one side, gRPC's callbacks on the other. At most one read and one write are
// pending; no lock is held while gRPC is called, because the next callback may run at once on
// another thread.
class StreamReactor final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
                            public RawStream {
 public:
  StreamReactor(const MethodRecord& method, const StreamBody& body,
                grpc::CallbackServerContext* context)
      : method_(method),
        body_(body),
        arrived_(method.core->clock.Monotonic()),
        call_(context, method.core->default_deadline, method.core->clock) {}

  void Start() {
    if (const Status refused = RecordStart(method_, call_); !refused.ok()) {
      End(refused);
      return;
    }
    const Status queued = Enqueue(method_, [this] { Run(); });
    if (!queued.ok()) End(queued);
  }

  Result<std::optional<grpc::ByteBuffer>> Read() override {
    {
      const std::lock_guard<std::mutex> lock(mu_);
      if (read_state_ == ReadState::kEnded) return std::optional<grpc::ByteBuffer>();
      // A read that an earlier deadline left behind is still gRPC's.
      if (read_state_ == ReadState::kPending)
        return DeadlineExceeded("the stream's deadline has passed");
      read_state_ = ReadState::kPending;
    }
    StartRead(&incoming_);
    std::unique_lock<std::mutex> lock(mu_);
    RETURN_IF_ERROR(
        Await(lock, &read_done_, [this] { return read_state_ != ReadState::kPending; }));
    if (read_state_ == ReadState::kEnded) {
      if (cancelled_) return Cancelled("the caller cancelled the stream");
      return std::optional<grpc::ByteBuffer>();
    }
    sizes_.request_bytes += incoming_.Length();
    std::optional<grpc::ByteBuffer> message(std::move(incoming_));
    incoming_.Clear();
    return message;
  }

  Status Write(grpc::ByteBuffer message) override {
    if (message.Length() > method_.core->max_response_bytes) {
      return ResourceExhausted(StrCat("message has ", message.Length(),
                                      " bytes, the limit max_response_bytes is ",
                                      method_.core->max_response_bytes));
    }
    {
      std::unique_lock<std::mutex> lock(mu_);
      RETURN_IF_ERROR(Await(lock, &write_done_, [this] { return !write_pending_; }));
      if (write_failed_) return Cancelled("the caller cancelled the stream");
      sizes_.response_bytes += message.Length();
      outgoing_ = std::move(message);
      write_pending_ = true;
    }
    StartWrite(&outgoing_);
    return OkStatus();
  }

 private:
  enum class ReadState { kIdle, kPending, kArrived, kEnded };

  void Run() {
    if (const Status dead = CheckBeforeRun(method_, call_); !dead.ok()) {
      End(dead);
      return;
    }
    const Status status = Guarded([this] { return body_(*this, call_); });
    DrainWrite();
    End(status);
  }

  // Finish may not overtake a write. A caller that does not read past the deadline is cut off,
  // which ends the write.
  void DrainWrite() {
    std::unique_lock<std::mutex> lock(mu_);
    if (Await(lock, &write_done_, [this] { return !write_pending_; }).ok()) return;
    lock.unlock();
    call_.context()->TryCancel();
    lock.lock();
    write_done_.wait(lock, [this] { return !write_pending_; });
  }

  // Waits for `ready` or the deadline; what is pending when the caller cancels is completed by
  // gRPC. Requires mu_.
  template <typename Ready>
  Status Await(std::unique_lock<std::mutex>& lock, std::condition_variable* changed,
               const Ready& ready) {
    while (!ready()) {
      const std::chrono::nanoseconds left =
          call_.cancellation().Left().value_or(std::chrono::hours(1));
      if (left.count() == 0) return call_.Check();
      changed->wait_for(lock, left);
    }
    return OkStatus();
  }

  void OnReadDone(bool ok) override {
    const std::lock_guard<std::mutex> lock(mu_);
    read_state_ = ok ? ReadState::kArrived : ReadState::kEnded;
    read_done_.notify_all();
  }

  void OnWriteDone(bool ok) override {
    const std::lock_guard<std::mutex> lock(mu_);
    write_pending_ = false;
    if (!ok) write_failed_ = true;
    write_done_.notify_all();
  }

  void OnCancel() override {
    call_.cancellation().Cancel();
    const std::lock_guard<std::mutex> lock(mu_);
    cancelled_ = true;
    read_done_.notify_all();
    write_done_.notify_all();
  }

  void End(const Status& status) {
    RecordEnd(method_, call_, status, arrived_, sizes_);
    grpc::Status wire = status.ok() ? grpc::Status::OK : ToGrpc(status, call_.trace_id());
    {
      const std::lock_guard<std::mutex> lock(mu_);
      ended_ = true;
    }
    ServerCore* const core = method_.core;
    Finish(std::move(wire));
    core->active.fetch_sub(1);
  }

  void OnDone() override {
    {
      // Orders the destruction behind the work of the pool's thread.
      const std::lock_guard<std::mutex> lock(mu_);
      CHECK(ended_);
    }
    delete this;
  }

  const MethodRecord& method_;
  const StreamBody& body_;
  const std::chrono::nanoseconds arrived_;
  Call call_;
  CallSizes sizes_;            // of the handler's thread
  grpc::ByteBuffer incoming_;  // of gRPC while a read is pending
  grpc::ByteBuffer outgoing_;  // of gRPC while a write is pending

  std::mutex mu_;
  // Of their own: who waits for a message is not woken by the end of a write.
  std::condition_variable read_done_;
  std::condition_variable write_done_;
  ReadState read_state_ = ReadState::kIdle;  // guarded by mu_
  bool write_pending_ = false;               // guarded by mu_
  bool write_failed_ = false;                // guarded by mu_
  bool cancelled_ = false;                   // guarded by mu_
  bool ended_ = false;                       // guarded by mu_
};

}  // namespace

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* StartStream(
    const MethodRecord& method, const StreamBody& body, grpc::CallbackServerContext* context) {
  auto* reactor = new StreamReactor(method, body, context);
  reactor->Start();
  return reactor;
}

}  // namespace megalith::rpc::internal
