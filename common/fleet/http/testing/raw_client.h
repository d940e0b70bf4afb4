// A client that sends whatever bytes a test wants, as slowly as it wants.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace megalith::testing {

struct HttpAnswer {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
};

// One connection. Not thread-safe.
class RawHttpClient {
 public:
  // `address` is 127.0.0.1:port. connected() is false if nobody listens there.
  explicit RawHttpClient(const std::string& address);
  ~RawHttpClient();
  RawHttpClient(const RawHttpClient&) = delete;
  RawHttpClient& operator=(const RawHttpClient&) = delete;

  bool connected() const { return fd_ >= 0; }
  // False if the server has closed.
  bool Send(std::string_view bytes);
  // The next answer; nullopt if the server closes before it is complete.
  std::optional<HttpAnswer> Receive();
  // A request and its answer. `headers` are whole lines.
  std::optional<HttpAnswer> Ask(std::string_view method, std::string_view target,
                                std::string_view body = "", std::string_view headers = "");
  // Waits until the server closes; drops what it sends.
  void AwaitClose();
  void Close();

 private:
  bool More();

  int fd_ = -1;
  std::string received_;
};

}  // namespace megalith::testing
