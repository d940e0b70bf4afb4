#include "common/fleet/stubs/coordination_client.h"

#include <utility>

#include "common/foundation/base/rng.h"
#include "common/foundation/base/strings.h"
#include "megalith/table/v1/table.pb.h"

namespace megalith::stubs {

namespace v1 = table::v1;

namespace {

constexpr char kService[] = "megalith.table.v1.CoordinationService";
// Of calls that do not wait for others.
constexpr std::chrono::milliseconds kShort{30'000};

CoordinationClientOptions Named(CoordinationClientOptions options) {
  if (options.seed == 0) options.seed = EntropySeed();
  if (options.name.empty()) options.name = RandomClientId(options.seed);
  return options;
}

}  // namespace

struct CoordinationClient::Methods {
  explicit Methods(const std::shared_ptr<rpc::Channel>& c)
      : barrier(c, kService, "Barrier"),
        push(c, kService, "Push"),
        pop(c, kService, "Pop"),
        close(c, kService, "CloseQueue"),
        remove(c, kService, "Remove") {}
  rpc::UnaryMethod<v1::BarrierRequest, v1::BarrierResponse> barrier;
  rpc::UnaryMethod<v1::PushRequest, v1::PushResponse> push;
  rpc::UnaryMethod<v1::PopRequest, v1::PopResponse> pop;
  rpc::UnaryMethod<v1::CloseQueueRequest, v1::CloseQueueResponse> close;
  rpc::UnaryMethod<v1::RemoveRequest, v1::RemoveResponse> remove;
};

CoordinationClient::CoordinationClient(std::shared_ptr<rpc::Channel> server,
                                       CoordinationClientOptions options)
    : options_(Named(std::move(options))), methods_(std::make_unique<Methods>(server)) {}

CoordinationClient::~CoordinationClient() = default;

std::shared_ptr<CoordinationClient::Counter> CoordinationClient::CounterOf(const std::string& key) {
  const std::lock_guard<std::mutex> lock(mu_);
  std::shared_ptr<Counter>& counter = counters_[key];
  if (counter == nullptr) counter = std::make_shared<Counter>();
  return counter;
}

Status CoordinationClient::Retry(std::chrono::milliseconds timeout,
                                 const Cancellation& cancellation,
                                 const std::function<Status(const rpc::CallOptions&)>& attempt) {
  return RetryCall({.timeout = timeout,
                    .attempt_timeout = options_.attempt_timeout,
                    .retry = options_.retry,
                    .threads = 1,
                    .seed = options_.seed},
                   cancellation, attempt);
}

Status CoordinationClient::Barrier(const std::string& name, uint32_t participants,
                                   std::chrono::milliseconds timeout,
                                   const Cancellation& cancellation) {
  const std::shared_ptr<Counter> rounds = CounterOf(StrCat("barrier ", name));
  const std::lock_guard<std::mutex> turn(rounds->mu);
  v1::BarrierRequest request;
  request.set_name(name);
  request.set_round(rounds->next);
  request.set_participants(participants);
  request.set_participant(options_.name);
  RETURN_IF_ERROR(Retry(timeout, cancellation, [&](const rpc::CallOptions& call) {
    return methods_->barrier(request, call).status();
  }));
  ++rounds->next;
  return OkStatus();
}

Status CoordinationClient::Push(const std::string& queue, uint64_t capacity, std::string item,
                                std::chrono::milliseconds timeout,
                                const Cancellation& cancellation) {
  const std::shared_ptr<Counter> pushed = CounterOf(StrCat("push ", queue));
  const std::lock_guard<std::mutex> turn(pushed->mu);
  v1::PushRequest request;
  request.set_queue(queue);
  request.set_capacity(capacity);
  request.set_producer(options_.name);
  // A number of its own even if it fails: under the same one another item would count as this one.
  request.set_sequence(++pushed->next);
  request.set_item(std::move(item));
  return Retry(timeout, cancellation, [&](const rpc::CallOptions& call) {
    return methods_->push(request, call).status();
  });
}

Result<std::string> CoordinationClient::Pop(const std::string& queue,
                                            std::chrono::milliseconds timeout,
                                            const Cancellation& cancellation) {
  const std::shared_ptr<Counter> popped = CounterOf(StrCat("pop ", queue));
  const std::lock_guard<std::mutex> turn(popped->mu);
  v1::PopRequest request;
  request.set_queue(queue);
  request.set_consumer(options_.name);
  request.set_sequence(popped->next + 1);
  std::string item;
  RETURN_IF_ERROR(Retry(timeout, cancellation, [&](const rpc::CallOptions& call) -> Status {
    ASSIGN_OR_RETURN(v1::PopResponse response, methods_->pop(request, call));
    item = std::move(*response.mutable_item());
    return OkStatus();
  }));
  ++popped->next;
  return item;
}

Status CoordinationClient::CloseQueue(const std::string& queue, const Cancellation& cancellation) {
  v1::CloseQueueRequest request;
  request.set_queue(queue);
  return Retry(kShort, cancellation, [&](const rpc::CallOptions& call) {
    return methods_->close(request, call).status();
  });
}

Status CoordinationClient::Remove(const std::string& name, const Cancellation& cancellation) {
  v1::RemoveRequest request;
  request.set_name(name);
  RETURN_IF_ERROR(Retry(kShort, cancellation, [&](const rpc::CallOptions& call) {
    return methods_->remove(request, call).status();
  }));
  const std::lock_guard<std::mutex> lock(mu_);
  for (const char* what : {"barrier ", "push ", "pop "}) counters_.erase(StrCat(what, name));
  return OkStatus();
}

}  // namespace megalith::stubs
