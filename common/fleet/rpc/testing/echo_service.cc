#include "common/fleet/rpc/testing/echo_service.h"

#include <chrono>
#include <stdexcept>

#include "common/foundation/base/strings.h"

namespace megalith::rpc::testing {

Status Gate::Wait(const Call& call) {
  std::unique_lock<std::mutex> lock(mu_);
  ++arrivals_;
  changed_.notify_all();
  while (!open_) {
    if (const Status alive = call.Check(); !alive.ok()) {
      cancelled.fetch_add(1);
      return alive;
    }
    changed_.wait_for(lock, std::chrono::milliseconds(5));
  }
  return OkStatus();
}

void Gate::Open() {
  const std::lock_guard<std::mutex> lock(mu_);
  open_ = true;
  changed_.notify_all();
}

void Gate::AwaitArrivals(int n) {
  std::unique_lock<std::mutex> lock(mu_);
  changed_.wait(lock, [this, n] { return arrivals_ >= n; });
}

EchoService::EchoService(Gate* gate, ServiceThreads threads)
    : Service(kEchoServiceName, threads), gate_(gate) {
  Unary("Echo", this, &EchoService::Echo);
  Unary("EchoOnce", this, &EchoService::Echo);
  Unary("EchoQuick", this, &EchoService::Echo, &EchoService::QuickEcho);
  ServerStream("Count", this, &EchoService::Count);
  ClientStream("Join", this, &EchoService::Join);
  BidiStream("Chat", this, &EchoService::Chat);
}

Result<v1::EchoResponse> EchoService::Echo(const v1::EchoRequest& request, const Call& call) {
  if (gate_ != nullptr) gate_->started.fetch_add(1);
  if (request.block()) RETURN_IF_ERROR(gate_->Wait(call));
  if (request.raise()) throw std::runtime_error("thrown on request");
  if (request.fail_code() != 0) {
    return Status::WithClass(static_cast<Code>(request.fail_code()), request.fail_class(),
                             request.text());
  }
  v1::EchoResponse response;
  response.set_text(request.text());
  if (request.pad_bytes() > 0) response.set_pad(std::string(request.pad_bytes(), '\0'));
  response.set_trace_id(call.trace_id());
  if (const auto left = call.cancellation().Left()) {
    response.set_left_ms(std::chrono::duration_cast<std::chrono::milliseconds>(*left).count());
  }
  response.set_identity(call.peer_identity());
  if (gate_ != nullptr) gate_->finished.fetch_add(1);
  return response;
}

Result<std::optional<v1::EchoResponse>> EchoService::QuickEcho(const v1::EchoRequest& request,
                                                               const Call& call) {
  if (request.block() || request.pad_bytes() > 0) return std::optional<v1::EchoResponse>();
  ASSIGN_OR_RETURN(v1::EchoResponse response, Echo(request, call));
  return std::optional<v1::EchoResponse>(std::move(response));
}

Status EchoService::Count(const v1::EchoRequest& request, Writer<v1::EchoResponse>& writer,
                          const Call& call) {
  for (uint32_t i = 0; i < request.repeat(); ++i) {
    v1::EchoResponse response;
    response.set_text(StrCat(request.text(), i));
    response.set_pad(std::string(request.pad_bytes(), '\0'));
    if (const Status written = writer.Write(response); !written.ok()) {
      if (gate_ != nullptr) gate_->cancelled.fetch_add(1);
      return written;
    }
  }
  if (request.block()) RETURN_IF_ERROR(gate_->Wait(call));
  if (request.fail_code() != 0)
    return Status(static_cast<Code>(request.fail_code()), request.text());
  return OkStatus();
}

Result<v1::EchoResponse> EchoService::Join(Reader<v1::EchoRequest>& reader, const Call&) {
  v1::EchoResponse response;
  while (true) {
    ASSIGN_OR_RETURN(const std::optional<v1::EchoRequest> request, reader.Read());
    if (!request) return response;
    response.mutable_text()->append(request->text());
  }
}

Status EchoService::Chat(Reader<v1::EchoRequest>& reader, Writer<v1::EchoResponse>& writer,
                         const Call&) {
  while (true) {
    ASSIGN_OR_RETURN(const std::optional<v1::EchoRequest> request, reader.Read());
    if (!request) return OkStatus();
    v1::EchoResponse response;
    response.set_text(request->text());
    RETURN_IF_ERROR(writer.Write(response));
  }
}

}  // namespace megalith::rpc::testing
