#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "common/foundation/base/file_system.h"
#include "common/foundation/base/strings.h"
#include "common/foundation/telemetry/backend/metrics_server.h"
#include "common/foundation/telemetry/backend/spdlog_sink.h"
#include "common/foundation/telemetry/metric_table.h"

namespace megalith::telemetry {
namespace {

using ::testing::HasSubstr;

// The body that an HTTP server on 127.0.0.1 answers to GET path.
std::string HttpGet(const std::string& address, const std::string& path) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<uint16_t>(*ParseInt(address.substr(address.rfind(':') + 1))));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::string answer;
  if (::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof(to)) == 0) {
    const std::string request = StrCat("GET ", path, " HTTP/1.0\r\nHost: localhost\r\n\r\n");
    EXPECT_EQ(::send(fd, request.data(), request.size(), 0), static_cast<ssize_t>(request.size()));
    char buffer[4096];
    ssize_t n = 0;
    while ((n = ::recv(fd, buffer, sizeof(buffer), 0)) > 0)
      answer.append(buffer, static_cast<size_t>(n));
  }
  ::close(fd);
  const size_t body = answer.find("\r\n\r\n");
  return body == std::string::npos ? "" : answer.substr(body + 4);
}

// One cell of every metric of the table, so that what promtool sees is everything we may ever
// export.
void FillEveryMetric(MetricRegistry& registry) {
  for (const MetricDef* m : Metrics()) {
    size_t labels = 0;
    while (labels < m->labels.size() && !m->labels[labels].empty()) ++labels;
    const auto with = [&](auto get) {
      if (labels == 0) get({});
      if (labels == 1) get({"a"});
      if (labels == 2) get({"a", "b\"\n"});
      if (labels == 3) get({"a", "b", "c"});
    };
    using Labels = std::initializer_list<std::string_view>;
    if (m->kind == MetricKind::kCounter) with([&](Labels l) { registry.GetCounter(*m, l).Add(2); });
    if (m->kind == MetricKind::kGauge) with([&](Labels l) { registry.GetGauge(*m, l).Set(1.5); });
    if (m->kind == MetricKind::kHistogram)
      with([&](Labels l) { registry.GetHistogram(*m, l).Observe(0.01); });
  }
}

TEST(MetricsServerTest, ServesTheRegistryOnAFreePort) {
  MetricRegistry registry;
  registry.GetCounter(kCacheLookups, {"miss"}).Add(5);
  const auto server = MetricsServer::Start("127.0.0.1:0", registry);
  ASSERT_TRUE(server.ok()) << server.status().ToString();
  EXPECT_THAT(HttpGet((*server)->address(), "/metrics"),
              HasSubstr("megalith_cache_lookups_total{result=\"miss\"} 5"));
}

TEST(MetricsServerTest, TakenPortIsAnError) {
  MetricRegistry registry;
  const auto first = MetricsServer::Start("127.0.0.1:0", registry);
  ASSERT_TRUE(first.ok());
  const auto second = MetricsServer::Start((*first)->address(), registry);
  EXPECT_EQ(second.status().code(), Code::kUnavailable);
}

TEST(MetricsServerTest, PromtoolAcceptsEveryMetricOfTheTable) {
  MetricRegistry registry;
  FillEveryMetric(registry);
  const TempDirectory directory;
  const std::string path = JoinPath(directory.path(), "metrics.txt");
  ASSERT_TRUE(RealFileSystem().WriteAtomically(path, RenderMetrics(registry)).ok());
  EXPECT_EQ(std::system(StrCat("promtool check metrics < ", path).c_str()), 0)
      << RenderMetrics(registry);
}

TEST(SpdlogSinkTest, WritesJsonLinesToAFileThatRotates) {
  const TempDirectory directory;
  const std::string path = JoinPath(directory.path(), "x.log");
  {
    const auto sink = MakeSpdlogSink({.file = path, .max_file_bytes = 1000, .max_files = 2});
    ASSERT_TRUE(sink.ok());
    for (int i = 0; i < 20; ++i) {
      const LogField fields[] = {{"i", i}, {"percent", "%v {}"}};
      (*sink)->Write({.unix_nanos = 0, .level = Level::info, .event = "e", .fields = fields});
    }
  }
  const auto files = RealFileSystem().List(directory.path());
  ASSERT_TRUE(files.ok());
  EXPECT_GT(files->size(), 1u);
  EXPECT_THAT(*RealFileSystem().Read(path),
              HasSubstr("\"event\":\"e\",\"i\":19,\"percent\":\"%v {}\"}\n"));
}

TEST(SpdlogSinkTest, UnwritableFileIsAnError) {
  EXPECT_EQ(MakeSpdlogSink({.file = "/proc/nope/x.log"}).status().code(), Code::kUnavailable);
}

}  // namespace
}  // namespace megalith::telemetry
