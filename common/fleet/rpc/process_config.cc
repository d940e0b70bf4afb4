#include "common/fleet/rpc/process_config.h"

namespace megalith::config {

template <>
struct EnumWords<telemetry::Level> {
  static constexpr std::string_view kWords[] = {"debug", "info", "warn", "error"};
};
template <>
struct EnumWords<telemetry::LogFormat> {
  static constexpr std::string_view kWords[] = {"text", "json"};
};

}  // namespace megalith::config

namespace megalith::rpc {
namespace {

using config::Field;
using C = ProcessConfig;

constexpr int64_t kMaxMessageBytesLimit = 2'147'483'647;  // protobuf's and gRPC's
constexpr int64_t kDayMs = 86'400'000;

constexpr config::ConfigField<ProcessConfig> kFields[] = {
    Field<&C::listen>("listen",
                      "addresses to serve on: host:port (port 0 picks a free one) or unix:/path"),
    Field<&C::port_file>(
        "port_file",
        "written once calls are accepted: one address per line, then the metrics address"),
    Field<&C::metrics_listen>("metrics_listen",
                              "host:port of /metrics; port 0 picks a free one, empty means none"),
    Field<&C::tls_certificate_file>("tls_certificate_file",
                                    "PEM certificate chain; with tls_key_file turns TLS on"),
    Field<&C::tls_key_file>("tls_key_file", "PEM private key of tls_certificate_file"),
    Field<&C::tls_client_ca_file>(
        "tls_client_ca_file",
        "PEM certificates of the authority that callers must have one of: mutual TLS"),
    Field<&C::client_ca_file>("client_ca_file",
                              "PEM authority that other services' certificates must have"),
    Field<&C::client_certificate_file>("client_certificate_file",
                                       "PEM certificate shown to other services"),
    Field<&C::client_key_file>("client_key_file", "PEM private key of client_certificate_file"),
    Field<&C::max_request_bytes>("max_request_bytes", "largest accepted request message")
        .Range(1024, kMaxMessageBytesLimit),
    Field<&C::max_response_bytes>("max_response_bytes", "largest response message")
        .Range(1024, kMaxMessageBytesLimit),
    Field<&C::default_deadline>("default_deadline_ms", "deadline of calls whose caller sets none")
        .Range(1, kDayMs),
    Field<&C::lame_duck>("lame_duck_ms",
                         "on SIGTERM, time between failing readiness and refusing calls")
        .Range(0, kDayMs),
    Field<&C::drain>("drain_ms", "on SIGTERM, time that running calls get to finish")
        .Range(0, kDayMs),
    Field<&C::threads>("threads", "threads that run unary calls, per service").Range(1, 1024),
    Field<&C::max_queued>("max_queued", "unary calls that may wait for a thread, per service")
        .Range(1, 1'000'000),
    Field<&C::max_streams>("max_streams", "streaming calls at the same time, per service")
        .Range(1, 1024),
    Field<&C::discovery>("discovery",
                         "where services find each other: zk://host:port,host:port/chroot; empty: "
                         "discovery_file, or this process alone"),
    Field<&C::discovery_auth>("discovery_auth",
                              "user:password for ZooKeeper (digest); empty: what ZK_AUTH says")
        .Secret(),
    Field<&C::discovery_session>(
        "discovery_session_ms",
        "how long ZooKeeper keeps this process listed after it has fallen silent")
        .Range(1000, kDayMs),
    Field<&C::advertise>("advertise",
                         "host:port at which other services reach this one, told to ZooKeeper; "
                         "empty: the first address it listens on"),
    Field<&C::discovery_file>("discovery_file",
                              "file that tells where other services are: 'name = address, ...'"),
    Field<&C::discovery_poll>("discovery_poll_ms", "how often discovery_file is read again")
        .Range(10, kDayMs),
    Field<&C::log_level>("log_level", "least severe entries to log"),
    Field<&C::log_format>("log_format", "form of a log line"),
    Field<&C::log_file>("log_file", "log there, with rotation, instead of to stderr"),
    Field<&C::access_log_per_second>("access_log_per_second",
                                     "most per-request log lines per second and kind")
        .Range(0, 1'000'000),
};

}  // namespace

std::span<const config::ConfigField<ProcessConfig>> ProcessFields() { return kFields; }

ServerOptions ServerOptionsOf(const ProcessConfig& config) {
  return {.listen = config.listen,
          .tls = {.certificate_file = config.tls_certificate_file,
                  .key_file = config.tls_key_file,
                  .client_ca_file = config.tls_client_ca_file},
          .max_request_bytes = static_cast<uint64_t>(config.max_request_bytes),
          .max_response_bytes = static_cast<uint64_t>(config.max_response_bytes),
          .default_deadline = config.default_deadline,
          .access_log_per_second = static_cast<uint32_t>(config.access_log_per_second)};
}

ServiceThreads ThreadsOf(const ProcessConfig& config) {
  return {.unary = static_cast<size_t>(config.threads),
          .max_queued = static_cast<size_t>(config.max_queued),
          .max_streams = static_cast<size_t>(config.max_streams)};
}

ChannelOptions ChannelOptionsOf(const ProcessConfig& config, telemetry::MetricRegistry& metrics) {
  return {.tls = {.ca_file = config.client_ca_file,
                  .certificate_file = config.client_certificate_file,
                  .key_file = config.client_key_file,
                  .server_name = ""},
          .default_timeout = config.default_deadline,
          .metrics = &metrics};
}

}  // namespace megalith::rpc
