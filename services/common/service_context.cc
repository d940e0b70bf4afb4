#include "services/common/service_context.h"

#include "common/foundation/telemetry/log.h"

namespace megalith::services {

std::optional<uint64_t> Recorder::Record(const rpc::Call& call, ledger::Entry entry) const {
  entry.service = service_;
  entry.trace_id = call.trace_id();
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
