#include "common/fleet/http/testing/raw_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/foundation/base/strings.h"

namespace megalith::testing {

RawHttpClient::RawHttpClient(const std::string& address) {
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  to.sin_port =
      htons(static_cast<uint16_t>(ParseUint(address.substr(address.rfind(':') + 1)).value_or(0)));
  fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (::connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) != 0) Close();
}

RawHttpClient::~RawHttpClient() { Close(); }

void RawHttpClient::Close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

bool RawHttpClient::Send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

bool RawHttpClient::More() {
  char piece[64 << 10];
  const ssize_t n = ::recv(fd_, piece, sizeof(piece), 0);
  if (n <= 0) return false;
  received_.append(piece, static_cast<size_t>(n));
  return true;
}

std::optional<HttpAnswer> RawHttpClient::Receive() {
  size_t end = std::string::npos;
  while ((end = received_.find("\r\n\r\n")) == std::string::npos)
    if (!More()) return std::nullopt;
  HttpAnswer out;
  const std::string head = received_.substr(0, end);
  received_.erase(0, end + 4);
  const auto lines = Split(head, '\n');
  const auto words = Split(Trim(lines[0]), ' ');
  if (words.size() > 1) out.status = static_cast<int>(ParseInt(words[1]).value_or(0));
  for (size_t i = 1; i < lines.size(); ++i) {
    const size_t colon = lines[i].find(':');
    if (colon == std::string_view::npos) continue;
    out.headers[AsciiLower(lines[i].substr(0, colon))] = Trim(lines[i].substr(colon + 1));
  }
  const size_t length = ParseUint(out.headers["content-length"]).value_or(0);
  while (received_.size() < length)
    if (!More()) return std::nullopt;
  out.body = received_.substr(0, length);
  received_.erase(0, length);
  return out;
}

std::optional<HttpAnswer> RawHttpClient::Ask(std::string_view method, std::string_view target,
                                             std::string_view body, std::string_view headers) {
  Send(StrCat(method, " ", target, " HTTP/1.1\r\nHost: localhost\r\nContent-Length: ", body.size(),
              "\r\n", headers, "\r\n", body));
  return Receive();
}

void RawHttpClient::AwaitClose() {
  while (More()) received_.clear();
}

}  // namespace megalith::testing
