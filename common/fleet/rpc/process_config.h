// Settings that every server process has.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "common/fleet/rpc/channel.h"
#include "common/fleet/rpc/server.h"
#include "common/foundation/config/field.h"
#include "common/foundation/telemetry/log.h"

namespace megalith::rpc {

struct ProcessConfig {
  std::vector<std::string> listen = {"127.0.0.1:0"};
  std::string port_file;
  std::string metrics_listen = "127.0.0.1:0";
  std::string tls_certificate_file;
  std::string tls_key_file;
  std::string tls_client_ca_file;
  std::string client_ca_file;
  std::string client_certificate_file;
  std::string client_key_file;
  int64_t max_request_bytes = 64ll << 20;
  int64_t max_response_bytes = 64ll << 20;
  std::chrono::milliseconds default_deadline{60'000};
  std::chrono::milliseconds lame_duck{0};
  std::chrono::milliseconds drain{10'000};
  int32_t threads = 4;
  int32_t max_queued = 1000;
  int32_t max_streams = 16;
  std::string discovery;
  std::string discovery_auth;
  std::chrono::milliseconds discovery_session{10'000};
  std::string advertise;
  std::string discovery_file;
  std::chrono::milliseconds discovery_poll{2000};
  telemetry::Level log_level = telemetry::Level::info;
  telemetry::LogFormat log_format = telemetry::LogFormat::kText;
  std::string log_file;
  int32_t access_log_per_second = 10;
};

std::span<const config::ConfigField<ProcessConfig>> ProcessFields();

ServerOptions ServerOptionsOf(const ProcessConfig& config);
ServiceThreads ThreadsOf(const ProcessConfig& config);
// For calls to other processes of the fleet.
ChannelOptions ChannelOptionsOf(const ProcessConfig& config, telemetry::MetricRegistry& metrics);

}  // namespace megalith::rpc
