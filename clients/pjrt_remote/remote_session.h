// One stream to an executor: requests go out in order, answers find who waits for them.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>

#include "common/fleet/rpc/channel.h"
#include "common/foundation/tensor/tensor.h"
#include "megalith/execute/v1/execute.pb.h"

namespace megalith::pjrt {

// Lives from Open until the stream ends; never comes back to life. Thread-safe. Answers are handed
// over on a thread of the session's, which must not be made to wait for another answer.
class RemoteSession {
 public:
  // Called with each answer to a request, true once there will be no more; with an error, the last.
  using Handler = std::function<bool(Result<const execute::v1::SessionResponse*>)>;

  // Waits until the executor answers. Errors: kUnavailable, kDeadlineExceeded and those of the
  // call.
  static Result<std::shared_ptr<RemoteSession>> Open(const std::shared_ptr<rpc::Channel>& channel,
                                                     std::chrono::milliseconds timeout);
  ~RemoteSession();

  // Ends the stream and joins the threads. Not from a handler.
  void Close();
  // OK, or what ended the stream.
  Status status() const;
  // "megalith 0.1.0" of the executor.
  const std::string& version() const { return version_; }

  // A number that names nothing yet.
  uint64_t NewNumber() { return next_number_.fetch_add(1, std::memory_order_relaxed); }

  // Sends a request, whose id it sets. `handler` may be empty: answers are ignored then.
  void Send(execute::v1::SessionRequest request, Handler handler);
  // Like Send; waits first while many runs are unanswered, unless on the session's own thread.
  void SendRun(execute::v1::SessionRequest request, Handler handler);
  // Sends a tensor in pieces, from a thread of the session's if it is large; `tensor` is held until
  // then.
  void Put(uint64_t number, const tensor::Tensor& tensor);
  // The number goes along with the next request, or by itself within kFreeWait.
  void FreeBuffer(uint64_t number);
  void FreeProgram(uint64_t number);

 private:
  // A request, or a tensor to be sent in pieces.
  struct Item {
    execute::v1::SessionRequest request;
    tensor::Tensor tensor;
  };

  static constexpr std::chrono::milliseconds kFreeWait{5};
  // Numbers that wait at most.
  static constexpr size_t kMostFreed = 1000;

  explicit RemoteSession(std::string address) : address_(std::move(address)) {}
  void Queue(Item item);
  void TakeFreed(execute::v1::SessionRequest* request);
  void Write(const Item& item);
  bool WriteRequest(const execute::v1::SessionRequest& request);
  void ReadLoop();
  void WriteLoop();
  void Deliver(const execute::v1::SessionResponse& response);
  void End(Status status);

  const std::string address_;
  std::string version_;
  std::unique_ptr<rpc::internal::ClientStream> stream_;
  std::atomic<uint64_t> next_number_{1};
  std::atomic<std::thread::id> reader_id_{};

  std::mutex out_mu_;  // guards what follows
  std::condition_variable out_changed_;
  std::deque<Item> queue_;
  std::vector<uint64_t> freed_;  // buffers whose end the executor has not been told
  bool watching_freed_ = false;  // the writer will look at them
  bool writing_ = false;         // somebody is in Write
  bool stop_ = false;

  mutable std::mutex mu_;  // guards what follows
  std::condition_variable changed_;
  std::unordered_map<uint64_t, Handler> handlers_;  // by id of the request
  uint64_t next_id_ = 1;
  int runs_ = 0;  // unanswered
  bool ended_ = false;
  Status status_;

  std::thread reader_, writer_;
};

}  // namespace megalith::pjrt
