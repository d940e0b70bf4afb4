// The service behind tests and benchmarks of this library.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>

#include "common/fleet/rpc/service.h"
#include "megalith/testing/v1/echo.pb.h"

namespace megalith::rpc::testing {

namespace v1 = megalith::testing::v1;

inline constexpr char kEchoServiceName[] = "megalith.testing.v1.EchoService";

// A gate at which handlers wait, and counters of what they did. Shared with the test, outlives the
// service.
class Gate {
 public:
  // Blocks until Open, or until the call is cancelled.
  Status Wait(const Call& call);
  void Open();
  // Blocks until `n` handlers have arrived at Wait.
  void AwaitArrivals(int n);

  std::atomic<int> started{0};    // handlers that have begun
  std::atomic<int> finished{0};   // handlers that are about to return
  std::atomic<int> cancelled{0};  // handlers that saw their call cancelled

 private:
  std::mutex mu_;
  std::condition_variable changed_;
  int arrivals_ = 0;   // guarded by mu_
  bool open_ = false;  // guarded by mu_
};

class EchoService final : public Service {
 public:
  explicit EchoService(Gate* gate, ServiceThreads threads = {});

  Result<v1::EchoResponse> Echo(const v1::EchoRequest& request, const Call& call);
  // Answers requests that ask for nothing but their text.
  Result<std::optional<v1::EchoResponse>> QuickEcho(const v1::EchoRequest& request,
                                                    const Call& call);
  Status Count(const v1::EchoRequest& request, Writer<v1::EchoResponse>& writer, const Call& call);
  Result<v1::EchoResponse> Join(Reader<v1::EchoRequest>& reader, const Call& call);
  Status Chat(Reader<v1::EchoRequest>& reader, Writer<v1::EchoResponse>& writer, const Call& call);

 private:
  Gate* const gate_;
};

}  // namespace megalith::rpc::testing
