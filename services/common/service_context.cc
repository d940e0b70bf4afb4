#include "services/common/service_context.h"

#include "common/fleet/cache/key.h"
#include "common/foundation/base/strings.h"
#include "common/foundation/telemetry/log.h"

namespace megalith::services {
namespace {

// Enough to tell what happened; what a caller sent must not fill the ledger.
constexpr size_t kMaxText = 2000;

void Shorten(std::string* text) {
  if (text->size() > kMaxText || FindInvalidUtf8(*text)) *text = Printable(*text, kMaxText);
}

}  // namespace

Result<std::string_view> OpenPackage(const cache::FleetKey& fleet_key, std::string_view service,
                                     std::string_view key, std::string_view bytes) {
  Result<std::string_view> package = fleet_key.Open(key, bytes);
  if (package.ok()) return package;
  static telemetry::LogSampler sampler(1);
  if (const auto verdict = sampler.Admit(); verdict.admit) {
    telemetry::Log(telemetry::Level::warn, "package_refused",
                   {{"service", service},
                    {"key", Printable(key, 64)},
                    {"error", package.status().ToString()},
                    {"suppressed", verdict.suppressed}});
  }
  return package;
}

void WarnWithoutFleetKey(const ServiceContext& context, std::string_view service) {
  if (context.fleet_key.present()) return;
  telemetry::Log(telemetry::Level::warn, "fleet_key_absent", {{"service", service}});
}

std::optional<uint64_t> Recorder::Record(const rpc::Call& call, ledger::Entry entry) const {
  entry.service = service_;
  entry.trace_id = call.trace_id();
  Shorten(&entry.decision);
  Shorten(&entry.outcome);
  for (auto& [name, value] : entry.evidence) Shorten(&value);
  if (!cache::ParseKey(entry.key).ok()) entry.key.clear();
  const Result<ledger::Appended> appended = ledger_.AppendLater(std::move(entry));
  if (appended.ok()) return appended->sequence;
  static telemetry::LogSampler sampler(1);
  const auto verdict = sampler.Admit();
  if (verdict.admit) {
    telemetry::Log(telemetry::Level::error, "ledger_append_failed",
                   {{"error", appended.status().ToString()}, {"suppressed", verdict.suppressed}});
  }
  return std::nullopt;
}

}  // namespace megalith::services
