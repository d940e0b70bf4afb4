// megalithctl ledger ...: read the evidence and check it.
#include <ctime>
#include <nlohmann/json.hpp>

#include "clients/cli/families.h"
#include "clients/cli/session.h"
#include "common/fleet/stubs/ledger_client.h"
#include "common/foundation/base/strings.h"

namespace megalith::cli {
namespace {

using Json = nlohmann::json;

constexpr int64_t kDefaultLimit = 100;

Result<std::unique_ptr<stubs::LedgerClient>> Client(Session& session) {
  ASSIGN_OR_RETURN(auto channel, session.Fleet());
  return std::make_unique<stubs::LedgerClient>(std::move(channel));
}

std::string TimeText(int64_t unix_nanos) {
  const std::time_t seconds = static_cast<std::time_t>(unix_nanos / 1'000'000'000);
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char buffer[40];
  return {buffer, std::strftime(buffer, sizeof(buffer), "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

Json EntryJson(const ledger::Entry& e) {
  Json inputs = Json::object();
  for (const auto& [name, digest] : e.inputs) inputs[name] = digest.Hex();
  Json evidence = Json::object();
  for (const auto& [name, value] : e.evidence) evidence[name] = value;
  return {{"sequence", e.sequence},
          {"unix_nanos", e.unix_nanos},
          {"service", e.service},
          {"kind", ledger::KindName(e.kind)},
          {"trace_id", e.trace_id},
          {"inputs", inputs},
          {"policy", e.policy},
          {"alternatives", e.alternatives},
          {"decision", e.decision},
          {"outcome", e.outcome},
          {"evidence", evidence},
          {"key", e.key},
          {"previous_sha256", e.previous_hash.Hex()},
          {"sha256", e.hash.Hex()}};
}

// Nanoseconds, or whole seconds with the suffix "s", since the Unix epoch.
Result<int64_t> TimeOf(std::string_view flag, const std::string& text) {
  const bool seconds = text.ends_with("s");
  const auto value = ParseInt(seconds ? std::string_view(text).substr(0, text.size() - 1)
                                      : std::string_view(text));
  if (!value || (seconds && (*value > INT64_MAX / 1'000'000'000 || *value < 0))) {
    return InvalidArgument(
        StrCat("flag --", flag, " expects nanoseconds or seconds ('1700000000s') since 1970, got '",
               Printable(text), "'"));
  }
  return seconds ? *value * 1'000'000'000 : *value;
}

Result<ledger::Filter> FilterOf(const Arguments& arguments) {
  ledger::Filter filter;
  for (int k = 1; k < ledger::kNumKinds; ++k) {
    if (arguments.Get("kind") == ledger::KindName(static_cast<ledger::Kind>(k)))
      filter.kind = static_cast<ledger::Kind>(k);
  }
  filter.service = arguments.Get("service");
  filter.trace_id = arguments.Get("trace_id");
  filter.key = arguments.Get("key");
  if (arguments.Has("since")) {
    ASSIGN_OR_RETURN(filter.since_unix_nanos, TimeOf("since", arguments.Get("since")));
  }
  if (arguments.Has("until")) {
    ASSIGN_OR_RETURN(filter.until_unix_nanos, TimeOf("until", arguments.Get("until")));
  }
  return filter;
}

Status RunQuery(Session& session, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const ledger::Filter filter, FilterOf(arguments));
  ASSIGN_OR_RETURN(const std::optional<int64_t> limit, arguments.GetInt("limit"));
  if (limit && *limit < 1) return InvalidArgument("flag --limit expects at least 1");
  ASSIGN_OR_RETURN(const auto client, Client(session));
  ASSIGN_OR_RETURN(const auto options, session.CallOptions());
  ASSIGN_OR_RETURN(
      const auto entries,
      client->Query(filter, static_cast<size_t>(limit.value_or(kDefaultLimit)), options));
  Json json = Json::array();
  TextTable table({"seq", "time", "service", "kind", "decision", "outcome", "trace id"});
  for (const ledger::Entry& e : entries) {
    json.push_back(EntryJson(e));
    table.Add({StrCat(e.sequence), TimeText(e.unix_nanos), e.service,
               std::string(ledger::KindName(e.kind)), e.decision, Printable(e.outcome, 60),
               e.trace_id});
  }
  session.Print(Json{{"entries", json}}.dump(), table.Render());
  return OkStatus();
}

Status RunVerify(Session& session, const Arguments&) {
  ASSIGN_OR_RETURN(const auto client, Client(session));
  ASSIGN_OR_RETURN(const auto options, session.CallOptions());
  ASSIGN_OR_RETURN(const ledger::VerifyReport report, client->Verify(options));
  Json json = {
      {"intact", report.intact}, {"entries", report.entries}, {"head_sha256", report.head.Hex()}};
  if (!report.intact) {
    json["broken"] = {{"sequence", report.broken_sequence},
                      {"segment", report.broken_segment},
                      {"offset", report.broken_offset},
                      {"reason", report.reason}};
  }
  session.Print(json.dump(), StrCat(report.intact ? "intact, " : "BROKEN after ", report.entries,
                                    " entries, head ", report.head.Hex()));
  if (report.intact) return OkStatus();
  return Status(Code::kAborted,
                StrCat("entry ", report.broken_sequence, " in ", report.broken_segment,
                       " at offset ", report.broken_offset, ": ", report.reason));
}

constexpr FlagDef kQueryFlags[] = {
    {.name = "kind",
     .value_name = "KIND",
     .help = "only entries of this kind",
     .words = "transform lower compile cache execute repair lifecycle"},
    {.name = "service", .value_name = "NAME", .help = "only entries of this service"},
    {.name = "trace_id", .value_name = "ID", .help = "only entries of this request"},
    {.name = "key", .value_name = "KEY", .help = "only entries about this content key"},
    {.name = "since",
     .value_name = "TIME",
     .help = "only entries at or after; nanoseconds since 1970, or seconds with 's'"},
    {.name = "until", .value_name = "TIME", .help = "only entries before"},
    {.name = "limit", .value_name = "N", .help = "at most so many entries; default 100"},
};

constexpr CommandDef kCommands[] = {
    {.name = "ledger query",
     .positional = "",
     .min_positional = 0,
     .max_positional = 0,
     .help = "Print entries, oldest first. --json gives every field.",
     .flags = kQueryFlags,
     .run = RunQuery},
    {.name = "ledger verify",
     .positional = "",
     .min_positional = 0,
     .max_positional = 0,
     .help = "Check every hash of the ledger. Exit code 1 if the chain is broken, with the place.",
     .flags = {},
     .run = RunVerify},
};

}  // namespace

std::span<const CommandDef> LedgerCommands() { return kCommands; }

}  // namespace megalith::cli
