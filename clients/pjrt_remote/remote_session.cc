#include "clients/pjrt_remote/remote_session.h"

#include <algorithm>
#include <utility>

#include "common/fleet/rpc/codec.h"
#include "common/foundation/base/strings.h"
#include "common/foundation/base/thread_pool.h"
#include "common/foundation/tensor/tensor_proto.h"

namespace megalith::pjrt {

namespace v1 = execute::v1;

namespace {

constexpr size_t kChunkBytes = 1 << 20;
// Tensors up to this size are sent by the thread that puts them.
constexpr size_t kSmallBytes = 64 << 10;
// A host that launches faster than the executor runs waits at so many launches.
constexpr int kMostRuns = 256;
// A session lasts as long as its client.
constexpr std::chrono::hours kForever{24 * 365 * 10};

Status Lost(const std::string& address, const Status& why) {
  return Unavailable(StrCat("the executor at ", address, " is gone (",
                            why.ok() ? "it ended the session" : why.message(),
                            "); arrays that lived there are lost, make them again. The next call "
                            "connects again"));
}

}  // namespace

Result<std::shared_ptr<RemoteSession>> RemoteSession::Open(
    const std::shared_ptr<rpc::Channel>& channel, std::chrono::milliseconds timeout) {
  std::shared_ptr<RemoteSession> session(new RemoteSession(channel->target()));
  const auto method =
      channel->Resolve("megalith.execute.v1.ExecuteService", "Session",
                       v1::SessionRequest::descriptor(), v1::SessionResponse::descriptor());
  session->stream_ = channel->Open(*method, {.timeout = kForever});
  // The reader keeps the session until the stream has ended.
  session->reader_ = std::thread([session] { session->ReadLoop(); });
  session->writer_ = std::thread([s = session.get()] { s->WriteLoop(); });
  struct Hello {
    std::mutex mu;
    std::condition_variable came;
    bool done = false;
    Status status;
    std::string version;
  };
  const auto hello = std::make_shared<Hello>();
  v1::SessionRequest open;
  open.mutable_open();
  session->Send(std::move(open), [hello](Result<const v1::SessionResponse*> answer) {
    const std::lock_guard lock(hello->mu);
    hello->done = true;
    hello->status = answer.status();
    if (answer.ok()) hello->version = (*answer)->opened().version();
    hello->came.notify_all();
    return true;
  });
  Status status;
  {
    std::unique_lock lock(hello->mu);
    if (!hello->came.wait_for(lock, timeout, [&] { return hello->done; })) {
      status = DeadlineExceeded("no answer in time");
    } else {
      status = hello->status;
      session->version_ = hello->version;
    }
  }
  if (!status.ok()) {
    session->Close();
    return status;
  }
  return session;
}

RemoteSession::~RemoteSession() { Close(); }

void RemoteSession::Close() {
  {
    const std::lock_guard lock(out_mu_);
    stop_ = true;
  }
  out_changed_.notify_all();
  stream_->Cancel();
  for (std::thread* t : {&writer_, &reader_}) {
    if (t->get_id() == std::this_thread::get_id()) {
      t->detach();  // the reader, on its way out, was the last to hold the session
    } else if (t->joinable()) {
      t->join();
    }
  }
}

Status RemoteSession::status() const {
  const std::lock_guard lock(mu_);
  return status_;
}

void RemoteSession::Send(v1::SessionRequest request, Handler handler) {
  // Ids are given and requests are queued in any order of each other; who needs an order between
  // two requests sends them one after the other.
  bool ended = false;
  Status status;
  {
    const std::lock_guard lock(mu_);
    request.set_id(next_id_++);
    ended = ended_;
    status = status_;
    if (!ended && handler) handlers_.emplace(request.id(), std::move(handler));
  }
  if (ended) {
    if (handler) handler(status);
    return;
  }
  Queue({std::move(request), {}});
}

void RemoteSession::SendRun(v1::SessionRequest request, Handler handler) {
  {
    std::unique_lock lock(mu_);
    if (std::this_thread::get_id() != reader_id_.load()) {
      changed_.wait(lock, [this] { return runs_ < kMostRuns || ended_; });
    }
    ++runs_;
  }
  Send(std::move(request),
       [this, handler = std::move(handler)](Result<const v1::SessionResponse*> answer) {
         {
           const std::lock_guard lock(mu_);
           --runs_;
         }
         changed_.notify_one();
         return handler(std::move(answer));
       });
}

void RemoteSession::Put(uint64_t number, const tensor::Tensor& tensor) {
  Item item;
  item.request.mutable_put()->set_buffer(number);
  *item.request.mutable_put()->mutable_type() =
      tensor::TypeToProto({tensor.dtype(), tensor.shape(), false});
  item.tensor = tensor;
  Queue(std::move(item));
}

// A message of its own would cost more than most launches. The writer is woken once per kFreeWait,
// not for each number.
void RemoteSession::FreeBuffer(uint64_t number) {
  const std::lock_guard lock(out_mu_);
  if (stop_) return;
  freed_.push_back(number);
  if (watching_freed_ && freed_.size() < kMostFreed) return;
  watching_freed_ = true;
  out_changed_.notify_all();
}

// The operation of a request stands, and what was freed goes with it. Requires out_mu_.
void RemoteSession::TakeFreed(v1::SessionRequest* request) {
  for (const uint64_t number : freed_) request->add_freed(number);
  freed_.clear();
}

void RemoteSession::FreeProgram(uint64_t number) {
  v1::SessionRequest request;
  request.mutable_free()->add_programs(number);
  Send(std::move(request), nullptr);
}

// Writes at once if nobody else does and nothing waits: a hop to the writer costs more than a small
// message. The reader never writes, since a write may wait for the executor, which may wait for the
// reader. Frees can wait too: they follow what comes next.
void RemoteSession::Queue(Item item) {
  std::unique_lock lock(out_mu_);
  if (stop_) return;
  TakeFreed(&item.request);
  const bool later = writing_ || !queue_.empty() || item.tensor.byte_size() > kSmallBytes ||
                     std::this_thread::get_id() == reader_id_.load();
  if (later) {
    queue_.push_back(std::move(item));
    if (!writing_) out_changed_.notify_all();
    return;
  }
  writing_ = true;
  lock.unlock();
  Write(item);
  lock.lock();
  writing_ = false;
  if (!queue_.empty()) out_changed_.notify_all();
}

void RemoteSession::WriteLoop() {
  SetThreadName("pjrt-write");
  std::unique_lock lock(out_mu_);
  const auto has_work = [this] { return stop_ || (!writing_ && !queue_.empty()); };
  while (true) {
    if (!watching_freed_) {
      out_changed_.wait(lock, [&] { return has_work() || watching_freed_; });
    }
    if (watching_freed_ && !has_work()) {
      out_changed_.wait_for(lock, kFreeWait, [&] {
        return has_work() || (!writing_ && freed_.size() >= kMostFreed);
      });
    }
    if (stop_) break;
    if (watching_freed_ && !has_work()) {
      // None came along to take them. Without new ones the writer sleeps again.
      watching_freed_ = !freed_.empty();
      if (freed_.empty() || writing_) continue;
      Item item;
      item.request.mutable_free();
      TakeFreed(&item.request);
      queue_.push_back(std::move(item));
    }
    if (!has_work()) continue;
    const Item item = std::move(queue_.front());
    queue_.pop_front();
    writing_ = true;
    lock.unlock();
    Write(item);
    lock.lock();
    writing_ = false;
  }
  std::deque<Item> rest;
  rest.swap(queue_);
  lock.unlock();
}

bool RemoteSession::WriteRequest(const v1::SessionRequest& request) {
  grpc::ByteBuffer bytes;
  if (const Status s = rpc::SerializeMessage(request, &bytes); !s.ok()) {
    v1::SessionResponse failed;
    failed.set_id(request.id());
    failed.mutable_error()->set_code(static_cast<uint32_t>(s.code()));
    failed.mutable_error()->mutable_detail()->set_message(std::string(s.message()));
    Deliver(failed);
    return false;
  }
  // That a write fails shows to the reader too, which ends the session.
  return stream_->Write(bytes);
}

void RemoteSession::Write(const Item& item) {
  if (!item.tensor.valid()) {
    (void)WriteRequest(item.request);
    return;
  }
  const std::string_view bytes = item.tensor.bytes();
  v1::SessionRequest piece = item.request;
  size_t at = 0;
  do {
    const std::string_view data = bytes.substr(at, kChunkBytes);
    piece.mutable_put()->set_data(data.data(), data.size());
    at += data.size();
    piece.mutable_put()->set_last(at == bytes.size());
    if (!WriteRequest(piece)) return;
    piece.mutable_put()->clear_type();
    piece.clear_freed();
  } while (at < bytes.size());
}

void RemoteSession::Deliver(const v1::SessionResponse& response) {
  Handler handler;
  {
    const std::lock_guard lock(mu_);
    const auto at = handlers_.find(response.id());
    if (at == handlers_.end()) return;
    handler = at->second;
  }
  bool last = false;
  if (response.has_error()) {
    last = handler(Status(static_cast<Code>(std::min(response.error().code(), 16u)),
                          response.error().detail().message()));
  } else {
    last = handler(&response);
  }
  if (!last) return;
  const std::lock_guard lock(mu_);
  handlers_.erase(response.id());
}

void RemoteSession::ReadLoop() {
  SetThreadName("pjrt-read");
  reader_id_.store(std::this_thread::get_id());
  Status end;
  while (true) {
    grpc::ByteBuffer bytes;
    if (!stream_->Read(&bytes)) {
      end = stream_->Finish();
      break;
    }
    v1::SessionResponse response;
    if (const Status parsed = rpc::ParseMessage(bytes, &response); !parsed.ok()) {
      end = DataLoss(parsed.message());
      stream_->Cancel();
      break;
    }
    Deliver(response);
  }
  End(Lost(address_, end));
}

void RemoteSession::End(Status status) {
  std::unordered_map<uint64_t, Handler> waiting;
  {
    const std::lock_guard lock(mu_);
    ended_ = true;
    status_ = status;
    waiting.swap(handlers_);
  }
  {
    // What has not been sent never will be; the host gets its memory back.
    std::deque<Item> rest;
    const std::lock_guard lock(out_mu_);
    stop_ = true;
    rest.swap(queue_);
  }
  out_changed_.notify_all();
  changed_.notify_all();
  for (const auto& [id, handler] : waiting) handler(status);
}

}  // namespace megalith::pjrt
