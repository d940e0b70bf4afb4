#include "common/learning/embedding/server/rendezvous.h"

#include <chrono>
#include <utility>

#include "common/foundation/base/strings.h"

namespace megalith::embedding {
namespace {

// How soon who waits notices that its caller has gone.
constexpr std::chrono::milliseconds kPollInterval{20};
// Producers, and consumers, of one queue.
constexpr size_t kMaxPeers = 100'000;

Status CheckName(std::string_view what, const std::string& name) {
  if (!name.empty() && name.size() <= Rendezvous::kMaxNameBytes) return OkStatus();
  return InvalidArgument(StrCat("the name of a ", what, " has 1 to ", Rendezvous::kMaxNameBytes,
                                " bytes, got ", name.size()));
}

Status CheckPeer(std::string_view what, const std::string& name, uint64_t sequence) {
  RETURN_IF_ERROR(CheckName(what, name));
  if (sequence == 0) return InvalidArgument("sequences count from 1, got 0");
  return OkStatus();
}

Status TooOld(std::string_view what, const std::string& name, uint64_t sequence, uint64_t latest) {
  return Status(Code::kOutOfRange, StrCat("sequence ", sequence, " of ", what, " '",
                                          Printable(name), "' is below its latest, ", latest));
}

}  // namespace

Status Rendezvous::Arrive(const std::string& name, uint64_t round, uint32_t participants,
                          const std::string& participant, const Cancellation& cancellation) {
  RETURN_IF_ERROR(CheckName("barrier", name));
  RETURN_IF_ERROR(CheckName("participant", participant));
  if (participants == 0) return InvalidArgument("a barrier has at least one participant, got 0");
  std::unique_lock<std::mutex> lock(mu_);
  if (!barriers_.contains(name) && barriers_.size() >= options_.max_names) {
    return ResourceExhausted(
        StrCat("there are ", options_.max_names, " barriers; remove those that are done"));
  }
  std::shared_ptr<Barrier>& slot = barriers_[name];
  if (slot == nullptr) slot = std::make_shared<Barrier>();
  const std::shared_ptr<Barrier> barrier = slot;
  if (round < barrier->round) return OkStatus();  // it is complete; the answer was lost
  if (round > barrier->round) {
    return FailedPrecondition(StrCat("barrier '", Printable(name), "' is in round ", barrier->round,
                                     ", not yet in ", round));
  }
  if (barrier->arrived.empty()) barrier->participants = participants;
  if (barrier->participants != participants) {
    return FailedPrecondition(StrCat("round ", round, " of barrier '", Printable(name), "' has ",
                                     barrier->participants, " participants, not ", participants));
  }
  barrier->arrived.insert(participant);
  if (barrier->arrived.size() == participants) {
    ++barrier->round;
    barrier->arrived.clear();
    barrier->changed.notify_all();
    return OkStatus();
  }
  while (barrier->round == round) {
    if (barrier->removed) {
      return Cancelled(StrCat("barrier '", Printable(name), "' was removed"));
    }
    if (const Status caller = cancellation.Check(); !caller.ok()) {
      return caller.Annotate(StrCat(barrier->arrived.size(), " of ", participants,
                                    " have arrived at barrier '", Printable(name), "'"));
    }
    barrier->changed.wait_for(lock, kPollInterval);
  }
  return OkStatus();
}

Result<std::shared_ptr<Rendezvous::Queue>> Rendezvous::QueueOf(const std::string& name) {
  RETURN_IF_ERROR(CheckName("queue", name));
  if (const auto found = queues_.find(name); found != queues_.end()) return found->second;
  if (queues_.size() >= options_.max_names) {
    return ResourceExhausted(
        StrCat("there are ", options_.max_names, " queues; remove those that are done"));
  }
  return queues_[name] = std::make_shared<Queue>();
}

Status Rendezvous::Push(const std::string& name, uint64_t capacity, const std::string& producer,
                        uint64_t sequence, std::string item, const Cancellation& cancellation) {
  RETURN_IF_ERROR(CheckPeer("producer", producer, sequence));
  if (capacity == 0) return InvalidArgument("a queue holds at least one item, got capacity 0");
  std::unique_lock<std::mutex> lock(mu_);
  ASSIGN_OR_RETURN(const std::shared_ptr<Queue> queue, QueueOf(name));
  while (true) {
    const auto known = queue->pushed.find(producer);
    const uint64_t latest = known == queue->pushed.end() ? 0 : known->second;
    if (sequence == latest) return OkStatus();
    if (sequence < latest) return TooOld("producer", producer, sequence, latest);
    if (queue->removed) return Cancelled(StrCat("queue '", Printable(name), "' was removed"));
    if (queue->closed) {
      return FailedPrecondition(StrCat("queue '", Printable(name), "' is closed"));
    }
    if (latest == 0 && queue->pushed.size() >= kMaxPeers) {
      return ResourceExhausted(StrCat("queue '", Printable(name), "' has ", kMaxPeers,
                                      " producers; keep a producer's name for its lifetime"));
    }
    if (queue->items.size() < capacity) break;
    RETURN_IF_ERROR(cancellation.Check());
    queue->changed.wait_for(lock, kPollInterval);
  }
  if (item.size() > options_.max_queued_bytes - queued_bytes_) {
    return ResourceExhausted(StrCat("all queues together hold ", queued_bytes_, " bytes, at most ",
                                    options_.max_queued_bytes, " are admitted"));
  }
  queued_bytes_ += item.size();
  queue->pushed[producer] = sequence;
  queue->items.push_back(std::move(item));
  queue->changed.notify_all();
  return OkStatus();
}

Result<std::string> Rendezvous::Pop(const std::string& name, const std::string& consumer,
                                    uint64_t sequence, const Cancellation& cancellation) {
  RETURN_IF_ERROR(CheckPeer("consumer", consumer, sequence));
  std::unique_lock<std::mutex> lock(mu_);
  ASSIGN_OR_RETURN(const std::shared_ptr<Queue> queue, QueueOf(name));
  while (true) {
    if (const auto known = queue->taken.find(consumer); known != queue->taken.end()) {
      if (sequence == known->second.sequence) return known->second.item;
      if (sequence < known->second.sequence) {
        return TooOld("consumer", consumer, sequence, known->second.sequence);
      }
    } else if (queue->taken.size() >= kMaxPeers) {
      return ResourceExhausted(StrCat("queue '", Printable(name), "' has ", kMaxPeers,
                                      " consumers; keep a consumer's name for its lifetime"));
    }
    if (queue->removed) return Cancelled(StrCat("queue '", Printable(name), "' was removed"));
    if (!queue->items.empty()) break;
    if (queue->closed) {
      return Status(Code::kOutOfRange, StrCat("queue '", Printable(name), "' is closed and empty"));
    }
    RETURN_IF_ERROR(cancellation.Check());
    queue->changed.wait_for(lock, kPollInterval);
  }
  // The item counts until the consumer asks for the next one: it may ask for this one again.
  Queue::Taken& taken = queue->taken[consumer];
  queued_bytes_ -= taken.item.size();
  taken = {.sequence = sequence, .item = std::move(queue->items.front())};
  queue->items.pop_front();
  queue->changed.notify_all();
  return taken.item;
}

Status Rendezvous::Close(const std::string& name) {
  const std::lock_guard<std::mutex> lock(mu_);
  ASSIGN_OR_RETURN(const std::shared_ptr<Queue> queue, QueueOf(name));
  queue->closed = true;
  queue->changed.notify_all();
  return OkStatus();
}

void Rendezvous::Remove(const std::string& name) {
  const std::lock_guard<std::mutex> lock(mu_);
  if (const auto found = barriers_.find(name); found != barriers_.end()) {
    found->second->removed = true;
    found->second->changed.notify_all();
    barriers_.erase(found);
  }
  if (const auto found = queues_.find(name); found != queues_.end()) {
    Queue& queue = *found->second;
    for (const std::string& item : queue.items) queued_bytes_ -= item.size();
    for (const auto& [consumer, taken] : queue.taken) queued_bytes_ -= taken.item.size();
    queue.items.clear();
    queue.taken.clear();
    queue.removed = true;
    queue.changed.notify_all();
    queues_.erase(found);
  }
}

}  // namespace megalith::embedding
