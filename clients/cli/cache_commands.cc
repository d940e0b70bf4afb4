// megalithctl cache ...: look into the content-addressed store.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "clients/cli/families.h"
#include "clients/cli/session.h"
#include "common/fleet/stubs/cache_client.h"
#include "common/foundation/base/strings.h"

namespace megalith::cli {
namespace {

using Json = nlohmann::json;

// Values at the shell are files; this bounds what is read into memory.
constexpr uint64_t kMaxFileBytes = uint64_t{4} << 30;

Result<std::unique_ptr<stubs::CacheClient>> Client(Session& session) {
  ASSIGN_OR_RETURN(auto channel, session.Fleet());
  return std::make_unique<stubs::CacheClient>(std::move(channel));
}

Json ComponentJson(const cache::Component& c) {
  Json json = {{"name", c.name}, {"digest", c.digest.Hex()}};
  if (!c.text.empty()) json["text"] = c.text;
  return json;
}

Json InfoJson(const cache::EntryInfo& info) {
  Json components = Json::array();
  for (const cache::Component& c : info.key.components) components.push_back(ComponentJson(c));
  return {{"key", info.key.Hex()},           {"kind", info.key.kind},
          {"value_bytes", info.value_bytes}, {"created_unix_nanos", info.created_unix_nanos},
          {"in_memory", info.in_memory},     {"components", components}};
}

// The component's text, or its digest if it has none that people could read.
std::string Shown(const std::optional<cache::Component>& c) {
  if (!c) return "(absent)";
  const std::string_view text = Trim(c->text);
  const bool readable = std::all_of(text.begin(), text.end(), [](char b) {
    return b == '\n' || static_cast<unsigned char>(b) >= 0x20;
  });
  return text.empty() || !readable ? StrCat("sha256:", c->digest.Hex().substr(0, 16))
                                   : Printable(text, 200);
}

Status RunGet(Session& session, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const auto client, Client(session));
  ASSIGN_OR_RETURN(const auto options, session.CallOptions());
  ASSIGN_OR_RETURN(const cache::Entry entry, client->Get(arguments.positional()[0], options));
  const std::string path = arguments.Get("out");
  if (path.empty() && !session.json()) {
    session.Write(*entry.value);
    return OkStatus();
  }
  if (!path.empty()) RETURN_IF_ERROR(session.files().WriteAtomically(path, *entry.value));
  const cache::EntryInfo info{.key = entry.key,
                              .created_unix_nanos = entry.created_unix_nanos,
                              .value_bytes = entry.value->size(),
                              .in_memory = entry.from_memory};
  session.Print(InfoJson(info).dump(), StrCat("wrote ", entry.value->size(), " bytes to ", path));
  return OkStatus();
}

Result<cache::Key> KeyFromFlags(Session& session, const Arguments& arguments) {
  cache::KeyBuilder builder(arguments.Get("kind", "file"));
  std::vector<std::string> seen;
  for (const std::string& component : arguments.GetAll("component")) {
    const size_t equals = component.find('=');
    if (equals == std::string::npos || equals == 0) {
      return InvalidArgument(StrCat("flag --component expects NAME=TEXT or NAME=@FILE, got '",
                                    Printable(component), "'"));
    }
    const std::string name = component.substr(0, equals);
    if (std::find(seen.begin(), seen.end(), name) != seen.end())
      return InvalidArgument(StrCat("component '", name, "' is given twice"));
    seen.push_back(name);
    std::string value = component.substr(equals + 1);
    if (value.starts_with("@")) {
      ASSIGN_OR_RETURN(value, session.files().Read(value.substr(1), kMaxFileBytes));
    }
    builder.Add(name, value);
  }
  return builder.Build();
}

Status RunPut(Session& session, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const cache::Key key, KeyFromFlags(session, arguments));
  ASSIGN_OR_RETURN(const std::string value,
                   session.files().Read(arguments.positional()[0], kMaxFileBytes));
  ASSIGN_OR_RETURN(const auto client, Client(session));
  ASSIGN_OR_RETURN(const auto options, session.CallOptions());
  ASSIGN_OR_RETURN(const bool present, client->Put(key, value, options));
  session.Print(Json{{"key", key.Hex()}, {"already_present", present}}.dump(), key.Hex());
  return OkStatus();
}

Status RunStat(Session& session, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const auto client, Client(session));
  ASSIGN_OR_RETURN(const auto options, session.CallOptions());
  ASSIGN_OR_RETURN(const stubs::CacheStatus status, client->Stat(arguments.positional(), options));
  const cache::Stats& s = status.stats;
  Json json = {{"entries", s.entries},
               {"disk_bytes", s.disk_bytes},
               {"sidecar_bytes", s.sidecar_bytes},
               {"max_disk_bytes", status.options.max_disk_bytes},
               {"memory_entries", s.memory_entries},
               {"memory_bytes", s.memory_bytes},
               {"max_memory_bytes", status.options.max_memory_bytes},
               {"memory_hits", s.memory_hits},
               {"disk_hits", s.disk_hits},
               {"misses", s.misses},
               {"corrupt", s.corrupt},
               {"repaired", s.repaired},
               {"evictions", s.evictions},
               {"found", Json::array()}};
  TextTable table({"tier", "entries", "bytes", "budget", "hits"});
  table.Add({"disk", StrCat(s.entries), StrCat(s.disk_bytes), StrCat(status.options.max_disk_bytes),
             StrCat(s.disk_hits)});
  table.Add({"memory", StrCat(s.memory_entries), StrCat(s.memory_bytes),
             StrCat(status.options.max_memory_bytes), StrCat(s.memory_hits)});
  std::string text =
      StrCat(table.Render(), "\nmisses ", s.misses, ", corrupt ", s.corrupt, ", repaired ",
             s.repaired, ", evictions ", s.evictions, ", sidecars ", s.sidecar_bytes, " bytes");
  for (const cache::EntryInfo& info : status.found) {
    json["found"].push_back(InfoJson(info));
    StrAppend(&text, "\n", info.key.Hex(), " ", info.key.kind, " ", info.value_bytes, " bytes");
    for (const cache::Component& c : info.key.components)
      StrAppend(&text, "\n  ", c.name, " = ", Shown(c));
  }
  session.Print(json.dump(), text);
  if (status.found.size() < arguments.positional().size())
    return NotFound("some keys have no entry");
  return OkStatus();
}

Status RunMissing(Session& session, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const auto client, Client(session));
  ASSIGN_OR_RETURN(const auto options, session.CallOptions());
  ASSIGN_OR_RETURN(const std::vector<std::string> missing,
                   client->FindMissing(arguments.positional(), options));
  session.Print(Json{{"missing", missing}}.dump(), Join(missing, "\n"));
  return OkStatus();
}

Status RunEvict(Session& session, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const std::optional<int64_t> down_to, arguments.GetInt("down_to_bytes"));
  if (!down_to && arguments.positional().empty())
    return InvalidArgument("evict what? Give keys or --down_to_bytes");
  if (down_to && *down_to < 0) return InvalidArgument("flag --down_to_bytes expects at least 0");
  ASSIGN_OR_RETURN(const auto client, Client(session));
  ASSIGN_OR_RETURN(const auto options, session.CallOptions());
  std::optional<uint64_t> bytes;
  if (down_to) bytes = static_cast<uint64_t>(*down_to);
  ASSIGN_OR_RETURN(const cache::Evicted evicted,
                   client->Evict(arguments.positional(), bytes, options));
  session.Print(Json{{"removed", evicted.removed}, {"freed_bytes", evicted.freed_bytes}}.dump(),
                StrCat("removed ", evicted.removed, " entries, ", evicted.freed_bytes, " bytes"));
  return OkStatus();
}

// The key that `trace --json` or `compile --json` has written down.
Result<cache::EntryInfo> InfoFromFile(Session& session, const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, session.files().Read(path, kMaxFileBytes));
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_object() && json.contains("programs") && json["programs"].is_array() &&
      json["programs"].size() == 1)
    json = Json(json["programs"][0]);
  const Status wrong = InvalidArgument(StrCat(
      "'", Printable(path), "' is neither a key nor the --json answer of one trace or compile"));
  if (!json.is_object() || !json.contains("key_components") || !json["key_components"].is_array() ||
      !json.contains("key"))
    return wrong;
  cache::EntryInfo info;
  for (const Json& c : json["key_components"]) {
    if (!c.is_object() || !c.value("name", Json()).is_string() ||
        !c.value("digest", Json()).is_string())
      return wrong;
    const Result<Sha256Digest> digest = cache::ParseKey(c["digest"].get<std::string>());
    if (!digest.ok()) return wrong;
    const Json component_text = c.value("text", Json(""));
    info.key.components.push_back(
        {.name = c["name"],
         .digest = *digest,
         .text = component_text.is_string() ? component_text.get<std::string>() : ""});
  }
  if (!json["key"].is_string()) return wrong;
  const Result<Sha256Digest> key = cache::ParseKey(json["key"].get<std::string>());
  if (!key.ok()) return wrong;
  info.key.digest = *key;
  return info;
}

Result<cache::EntryInfo> InfoOf(Session& session, const stubs::CacheClient& client,
                                const std::string& word) {
  if (!cache::ParseKey(word).ok()) return InfoFromFile(session, word);
  ASSIGN_OR_RETURN(const auto options, session.CallOptions());
  ASSIGN_OR_RETURN(stubs::CacheStatus status, client.Stat({word}, options));
  if (status.found.empty()) return NotFound(StrCat("no entry has the key ", word));
  return std::move(status.found[0]);
}

Status RunExplain(Session& session, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const auto client, Client(session));
  stubs::CacheExplanation explanation;
  ASSIGN_OR_RETURN(explanation.left, InfoOf(session, *client, arguments.positional()[0]));
  ASSIGN_OR_RETURN(explanation.right, InfoOf(session, *client, arguments.positional()[1]));
  // Files do not say what kind of thing their key names.
  if (explanation.left.key.kind.empty() || explanation.right.key.kind.empty())
    explanation.left.key.kind = explanation.right.key.kind = "";
  explanation.differences = cache::Explain(explanation.left.key, explanation.right.key);
  Json differences = Json::array();
  TextTable table({"component", "left", "right"});
  for (const cache::Difference& d : explanation.differences) {
    Json json = {{"name", d.name}};
    if (d.left) json["left"] = ComponentJson(*d.left);
    if (d.right) json["right"] = ComponentJson(*d.right);
    differences.push_back(std::move(json));
    table.Add({d.name, Shown(d.left), Shown(d.right)});
  }
  const Json json = {{"left", InfoJson(explanation.left)},
                     {"right", InfoJson(explanation.right)},
                     {"differences", differences}};
  session.Print(json.dump(),
                explanation.differences.empty() ? "the keys are equal" : table.Render());
  return OkStatus();
}

Json ProofJson(const stubs::ScrubReport::Proof& p) {
  return {{"key", p.key},
          {"unix_nanos", p.unix_nanos},
          {"repaired", p.repaired},
          {"reason", p.reason},
          {"source", p.source},
          {"failure", p.failure},
          {"sha256_before", p.sha256_before},
          {"sha256_after", p.sha256_after},
          {"bytes_before", p.bytes_before},
          {"bytes_after", p.bytes_after},
          {"symbol_bytes", p.symbol_bytes},
          {"source_symbols", p.source_symbols},
          {"damaged_symbols", p.damaged_symbols},
          {"unverifiable_symbols", p.unverifiable_symbols},
          {"used_repair_symbols", p.used_repair_symbols},
          {"damaged_repair_symbols", p.damaged_repair_symbols},
          {"proof_file", p.proof_file},
          {"quarantine_file", p.quarantine_file}};
}

Json ReportJson(const stubs::ScrubReport& r) {
  Json proofs = Json::array();
  for (const stubs::ScrubReport::Proof& p : r.proofs) proofs.push_back(ProofJson(p));
  return {{"state", r.state},
          {"pass", r.pass},
          {"stopped", r.stopped},
          {"entries_total", r.entries_total},
          {"entries_done", r.entries_done},
          {"bytes_done", r.bytes_done},
          {"good", r.good},
          {"repaired", r.repaired},
          {"quarantined", r.quarantined},
          {"sidecars_written", r.sidecars_written},
          {"unreadable", r.unreadable},
          {"gone", r.gone},
          {"started_unix_nanos", r.started_unix_nanos},
          {"ended_unix_nanos", r.ended_unix_nanos},
          {"proofs", proofs}};
}

std::string ReportText(const stubs::ScrubReport& r) {
  std::string out =
      StrCat("pass ", r.pass, " ", r.state, r.stopped ? " (stopped)" : "", ": ", r.entries_done,
             " of ", r.entries_total, " entries, ", r.bytes_done, " bytes\ngood ", r.good,
             ", repaired ", r.repaired, ", quarantined ", r.quarantined, ", sidecars written ",
             r.sidecars_written, ", unreadable ", r.unreadable, ", gone ", r.gone);
  for (const stubs::ScrubReport::Proof& p : r.proofs) {
    StrAppend(&out, "\n", p.repaired ? "repaired " : "quarantined ", p.key, "\n  ", p.reason);
    if (!p.failure.empty()) StrAppend(&out, "\n  not restored: ", p.failure);
    if (p.repaired) StrAppend(&out, "\n  from the ", p.source);
    if (p.source == "sidecar") {
      StrAppend(&out, ": symbols [", p.damaged_symbols, "] of ", p.source_symbols, " (",
                p.symbol_bytes, " bytes each) damaged, repair symbols [", p.used_repair_symbols,
                "] used");
    }
    StrAppend(&out, "\n  before ", p.sha256_before);
    if (p.repaired) StrAppend(&out, "\n  after  ", p.sha256_after);
    if (!p.quarantine_file.empty()) StrAppend(&out, "\n  moved to ", p.quarantine_file);
    if (!p.proof_file.empty()) StrAppend(&out, "\n  proof ", p.proof_file);
  }
  return out;
}

Result<stubs::ScrubReport> Scrub(Session& session, const Arguments& arguments) {
  std::optional<stubs::ScrubAction> action;
  constexpr std::pair<std::string_view, stubs::ScrubAction> kActions[] = {
      {"status", stubs::ScrubAction::kNone},
      {"pause", stubs::ScrubAction::kPause},
      {"resume", stubs::ScrubAction::kResume},
      {"stop", stubs::ScrubAction::kStop}};
  for (const auto& [flag, meaning] : kActions) {
    if (!arguments.Has(flag)) continue;
    if (action) return InvalidArgument("give one of --status, --pause, --resume and --stop");
    action = meaning;
  }
  uint64_t rate = 0;
  if (arguments.Has("rate")) {
    ASSIGN_OR_RETURN(const int64_t given, arguments.GetPositive("rate", 1));
    rate = static_cast<uint64_t>(given);
  }
  ASSIGN_OR_RETURN(const auto client, Client(session));
  ASSIGN_OR_RETURN(const auto options, session.CallOptions());
  if (action) return client->ControlScrub(*action, rate, options);
  const std::unique_ptr<ProgressBar> bar = session.Progress("scrub");
  const auto show = [&](const stubs::ScrubReport& r) {
    if (r.entries_total == 0) return;
    bar->Update(static_cast<double>(r.entries_done) / static_cast<double>(r.entries_total),
                StrCat(r.entries_done, "/", r.entries_total, " entries, ", r.repaired,
                       " repaired, ", r.quarantined, " quarantined"));
  };
  // A pass may take longer than the service lets a call take; it is followed by the next call then.
  while (true) {
    Result<stubs::ScrubReport> report = client->Scrub(rate, show, options);
    if (report.status().code() != Code::kDeadlineExceeded || arguments.Has("timeout_ms"))
      return report;
    RETURN_IF_ERROR(session.CheckCancelled());
    ASSIGN_OR_RETURN(stubs::ScrubReport now,
                     client->ControlScrub(stubs::ScrubAction::kNone, 0, options));
    if (now.state == "idle") return now;
  }
}

Status RunScrub(Session& session, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const stubs::ScrubReport report, Scrub(session, arguments));
  session.Print(ReportJson(report).dump(), ReportText(report));
  return OkStatus();
}

constexpr FlagDef kGetFlags[] = {{.name = "out",
                                  .value_name = "FILE",
                                  .help = "write the value there; default: standard output"}};
constexpr FlagDef kPutFlags[] = {
    {.name = "kind", .value_name = "KIND", .help = "what kind of thing it is; default: file"},
    {.name = "component",
     .value_name = "NAME=TEXT",
     .help = "a component of the key; NAME=@FILE takes a file",
     .words = "",
     .repeated = true},
};
constexpr FlagDef kEvictFlags[] = {
    {.name = "down_to_bytes",
     .value_name = "N",
     .help = "remove least recently used entries down to this size"},
};

constexpr FlagDef kScrubFlags[] = {
    {.name = "rate",
     .value_name = "BYTES",
     .help = "read at most so many bytes per second; default: scrub_bytes_per_second"},
    {.name = "status", .value_name = "", .help = "only say how far the scrub is"},
    {.name = "pause", .value_name = "", .help = "let the scrub wait until --resume"},
    {.name = "resume", .value_name = "", .help = "let a paused scrub go on"},
    {.name = "stop", .value_name = "", .help = "end the scrub that is under way"},
};

constexpr CommandDef kCommands[] = {
    {.name = "cache get",
     .positional = "KEY",
     .min_positional = 1,
     .max_positional = 1,
     .help = "Print or save an entry's value. With --json and --out, its description is printed.",
     .flags = kGetFlags,
     .run = RunGet},
    {.name = "cache put",
     .positional = "FILE",
     .min_positional = 1,
     .max_positional = 1,
     .help = "Store a file under the key that the components give, and print the key.",
     .flags = kPutFlags,
     .run = RunPut},
    {.name = "cache stat",
     .positional = "[KEY...]",
     .min_positional = 0,
     .max_positional = -1,
     .help = "Print totals and describe the given keys. Exit code 4 if one has no entry.",
     .flags = {},
     .run = RunStat},
    {.name = "cache missing",
     .positional = "KEY...",
     .min_positional = 1,
     .max_positional = -1,
     .help = "Print which of the keys have no entry.",
     .flags = {},
     .run = RunMissing},
    {.name = "cache evict",
     .positional = "[KEY...]",
     .min_positional = 0,
     .max_positional = -1,
     .help = "Remove entries.",
     .flags = kEvictFlags,
     .run = RunEvict},
    {.name = "cache scrub",
     .positional = "",
     .min_positional = 0,
     .max_positional = 0,
     .help = "Check every entry and its sidecar, restore what is damaged, put aside what cannot be "
             "restored, and print the proofs. A scrub that is under way is followed; it goes on if "
             "this command is interrupted.",
     .flags = kScrubFlags,
     .run = RunScrub,
     .examples = "megalithctl cache scrub\n"
                 "megalithctl cache scrub --rate 1000000\n"
                 "megalithctl cache scrub --status --json"},
    {.name = "cache explain",
     .positional = "KEY|FILE KEY|FILE",
     .min_positional = 2,
     .max_positional = 2,
     .help = "Say in which components two keys differ. A file is what trace or compile printed "
             "with --json; keys of "
             "traces are in no cache.",
     .flags = {},
     .run = RunExplain,
     .examples = "megalithctl compile f.jaxpr --json > a.json\n"
                 "megalithctl compile f.jaxpr --transform grad --json > b.json\n"
                 "megalithctl cache explain a.json b.json"},
};

}  // namespace

std::span<const CommandDef> CacheCommands() { return kCommands; }

}  // namespace megalith::cli
