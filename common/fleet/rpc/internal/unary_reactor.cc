#include "common/fleet/rpc/internal/unary_reactor.h"

#include <grpcpp/server_context.h>

#include "common/fleet/rpc/status.h"
#include "common/foundation/base/strings.h"
#include "common/foundation/base/thread_pool.h"

namespace megalith::rpc::internal {
namespace {

// gRPC's default reactor carries the status; a reactor of our own would cost a hop to one more
// thread per call for its OnDone. Cancellation is asked for (Call does so) instead of being told.
class UnaryCall {
 public:
  UnaryCall(const MethodRecord& method, const UnaryBody& body, grpc::CallbackServerContext* context,
            const grpc::ByteBuffer* request, grpc::ByteBuffer* response,
            grpc::ServerUnaryReactor* reactor)
      : method_(method),
        body_(body),
        reactor_(reactor),
        request_(request),
        response_(response),
        arrived_(method.core->clock.Monotonic()),
        call_(context, method.core->default_deadline, method.core->clock) {}

  // The pool's queue is the only place where a call waits.
  void Start() {
    if (const Status refused = RecordStart(method_, call_); !refused.ok()) {
      End(refused);
      return;
    }
    if (body_.quick != nullptr && request_->Length() <= Service::kMaxQuickBytes && TryQuick())
      return;
    const Status queued = Enqueue(method_, [this] { Run(); });
    if (!queued.ok()) End(queued);
  }

 private:
  void Run() {
    if (const Status dead = CheckBeforeRun(method_, call_); !dead.ok()) {
      End(dead);
      return;
    }
    EndChecked(Guarded([this] { return body_.run(*request_, response_, call_); }));
  }

  // True if the call has ended.
  bool TryQuick() {
    bool answered = false;
    const Status status = Guarded([this, &answered]() -> Status {
      ASSIGN_OR_RETURN(answered, body_.quick(*request_, response_, call_));
      return OkStatus();
    });
    if (status.ok() && !answered) return false;
    EndChecked(status);
    return true;
  }

  void EndChecked(const Status& status) {
    if (status.ok() && response_->Length() > method_.core->max_response_bytes) {
      End(ResourceExhausted(StrCat("response has ", response_->Length(),
                                   " bytes, the limit max_response_bytes is ",
                                   method_.core->max_response_bytes,
                                   "; use the streaming form of the method or ask for less")));
      return;
    }
    End(status);
  }

  // Deletes this object. Nothing that belongs to gRPC may be touched after Finish.
  void End(const Status& status) {
    RecordEnd(method_, call_, status, arrived_,
              {.request_bytes = request_->Length(), .response_bytes = response_->Length()});
    grpc::Status wire = status.ok() ? grpc::Status::OK : ToGrpc(status, call_.trace_id());
    grpc::ServerUnaryReactor* const reactor = reactor_;
    ServerCore* const core = method_.core;
    delete this;
    reactor->Finish(std::move(wire));
    core->active.fetch_sub(1);
  }

  const MethodRecord& method_;
  const UnaryBody& body_;
  grpc::ServerUnaryReactor* const reactor_;
  const grpc::ByteBuffer* const request_;
  grpc::ByteBuffer* const response_;
  const std::chrono::nanoseconds arrived_;
  Call call_;
};

}  // namespace

grpc::ServerUnaryReactor* StartUnary(const MethodRecord& method, const UnaryBody& body,
                                     grpc::CallbackServerContext* context,
                                     const grpc::ByteBuffer* request, grpc::ByteBuffer* response) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  (new UnaryCall(method, body, context, request, response, reactor))->Start();
  return reactor;
}

}  // namespace megalith::rpc::internal
