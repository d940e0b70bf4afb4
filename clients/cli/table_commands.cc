// megalithctl table ...: tables of a server, or of a checkpoint that lies on disk.
#include <algorithm>
#include <chrono>
#include <cstring>
#include <nlohmann/json.hpp>

#include "clients/cli/families.h"
#include "clients/cli/session.h"
#include "clients/cli/table_files.h"
#include "clients/cli/table_rows.h"
#include "clients/cli/table_server.h"
#include "common/foundation/base/clock.h"
#include "common/foundation/base/strings.h"
#include "common/learning/embedding/checkpoint/checkpoint_view.h"
#include "common/learning/embedding/checkpoint/manifest.h"

namespace megalith::cli {
namespace {

using embedding::CheckpointView;
using embedding::EntryView;
using embedding::Fid;
using Json = nlohmann::json;

// What a table of a checkpoint is made of, in a line.
std::string SegmentsText(const embedding::TableConfig& config) {
  std::string out;
  for (const embedding::SegmentConfig& segment : config.segments)
    StrAppend(&out, out.empty() ? "" : " ", segment.dim, ":", segment.optimizer.name);
  return out;
}

std::string CountText(const std::optional<uint64_t>& rows) {
  return rows ? StrCat(*rows) : std::string("-");
}

Status ListOfCheckpoint(Session& session, const std::string& path) {
  ASSIGN_OR_RETURN(const CheckpointView view, CheckpointView::Open(session.files(), path));
  Json tables = Json::array();
  TextTable text({"table", "rows", "servers", "layout", "segments"});
  for (const auto& [name, table] : view.source().tables) {
    const bool native = table.layout == embedding::TableLayout::kNative;
    Json row = {{"name", name},
                {"servers", view.source().servers},
                {"layout", native ? "native" : "single"}};
    row["rows"] = table.rows ? Json(*table.rows) : Json(nullptr);
    if (table.config) row["segments"] = SegmentsText(*table.config);
    tables.push_back(std::move(row));
    text.Add({name, CountText(table.rows), StrCat(view.source().servers),
              native ? "native" : "single", table.config ? SegmentsText(*table.config) : "-"});
  }
  for (const std::string& note : view.notes()) session.Note(note);
  session.Print(Json{{"checkpoint", view.prefix()},
                     {"step", view.step()},
                     {"deltas", view.deltas().size()},
                     {"tables", tables}}
                    .dump(),
                StrCat(text.Render(), view.deltas().empty()
                                          ? ""
                                          : StrCat("\nrows are those of the base; ",
                                                   view.deltas().size(), " deltas follow it")));
  return OkStatus();
}

Status RunList(Session& session, const Arguments& arguments) {
  if (arguments.Has("checkpoint")) return ListOfCheckpoint(session, arguments.Get("checkpoint"));
  ASSIGN_OR_RETURN(const TableServer server, TableServer::Of(session));
  ASSIGN_OR_RETURN(const std::vector<ServerTable> tables, server.List());
  Json json = Json::array();
  TextTable text({"table", "rows", "dim"});
  for (const ServerTable& table : tables) {
    json.push_back({{"name", table.name}, {"rows", table.rows}, {"dim", table.dim}});
    text.Add({table.name, StrCat(table.rows), StrCat(table.dim)});
  }
  session.Print(Json{{"tables", json}}.dump(), text.Render());
  return OkStatus();
}

Json PartsJson(const std::map<uint32_t, embedding::FoundManifest>& manifests) {
  Json parts = Json::array();
  for (const auto& [server, part] : manifests) {
    uint64_t bytes = 0;
    for (const auto& [name, file] : part.manifest.files) bytes += file.bytes;
    parts.push_back({{"server", server},
                     {"files", part.manifest.files.size()},
                     {"bytes", bytes},
                     {"saved_unix_nanos", part.manifest.unix_nanos},
                     {"manifest_sha256", part.digest.Hex()}});
  }
  return parts;
}

Status StatOfCheckpoint(Session& session, const Arguments& arguments) {
  ASSIGN_OR_RETURN(CheckpointView view,
                   CheckpointView::Open(session.files(), arguments.Get("checkpoint")));
  Json json = {{"checkpoint", view.prefix()},
               {"step", view.step()},
               {"servers", view.source().servers},
               {"written_by", view.source().ours ? "megalith" : "monolith"},
               {"parts", PartsJson(view.source().manifests)},
               {"filters", view.source().filters},
               {"notes", view.notes()}};
  std::string text =
      StrCat("checkpoint  ", view.prefix(), "\nstep        ", view.step(), "\nwritten by  ",
             view.source().ours ? "megalith" : "monolith", "\nservers     ", view.source().servers);
  for (const Json& part : json["parts"]) {
    StrAppend(&text, "\n  server ", part["server"].get<uint32_t>(), ": ",
              part["files"].get<size_t>(), " files, ", part["bytes"].get<uint64_t>(),
              " bytes, saved ",
              SecondsText(part["saved_unix_nanos"].get<int64_t>() / 1'000'000'000));
  }
  json["deltas"] = Json::array();
  for (const embedding::FoundDelta& delta : view.deltas()) {
    json["deltas"].push_back({{"step", delta.step}, {"parts", PartsJson(delta.manifests)}});
    uint64_t rows = 0;
    for (const auto& [server, part] : delta.manifests)
      for (const auto& [name, table] : part.manifest.tables) rows += table.rows;
    StrAppend(&text, "\ndelta       step ", delta.step, ", ", rows, " rows");
  }
  for (const auto& [name, table] : view.source().tables) {
    StrAppend(&text, "\ntable ", name, ": ", CountText(table.rows), " rows\n");
    if (table.config) text += embedding::PrintTableConfig(*table.config, "  ");
    if (text.ends_with('\n')) text.pop_back();
  }
  for (const std::string& note : view.notes()) session.Note(note);
  if (arguments.Has("verify")) {
    ASSIGN_OR_RETURN(const uint64_t files, view.Verify());
    json["verified_files"] = files;
    StrAppend(&text, "\nverified    ", files, " files are as they were written");
  }
  session.Print(json.dump(), text);
  return OkStatus();
}

Json ColdJson(const ServerTable::Cold& cold) {
  return {{"hot_rows", cold.hot_rows},        {"cold_rows", cold.cold_rows},
          {"hot_bytes", cold.hot_bytes},      {"disk_bytes", cold.disk_bytes},
          {"cache_bytes", cold.cache_bytes},  {"cold_lookups", cold.lookups},
          {"cold_hits", cold.hits},           {"promotions", cold.promotions},
          {"demotions", cold.demotions},      {"read_errors", cold.read_errors},
          {"write_errors", cold.write_errors}};
}

Status RunStat(Session& session, const Arguments& arguments) {
  if (arguments.Has("checkpoint")) return StatOfCheckpoint(session, arguments);
  if (arguments.Has("verify"))
    return InvalidArgument("flag --verify is for checkpoints: it needs --checkpoint");
  ASSIGN_OR_RETURN(const TableServer server, TableServer::Of(session));
  ASSIGN_OR_RETURN(const std::vector<ServerTable> tables, server.Stats());
  Json json = Json::array();
  TextTable text({"table", "rows", "bytes", "lookups", "hit rate", "updates", "evicted", "newest"});
  TextTable cold({"two tiers", "hot rows", "hot bytes", "cold rows", "disk bytes", "from memory",
                  "promoted", "demoted", "errors"});
  int cold_tables = 0;
  for (const ServerTable& table : tables) {
    const double rate = table.lookups == 0
                            ? 0
                            : static_cast<double>(table.hits) / static_cast<double>(table.lookups);
    json.push_back({{"name", table.name},
                    {"rows", table.rows},
                    {"bytes", table.bytes},
                    {"lookups", table.lookups},
                    {"hits", table.hits},
                    {"updates", table.updates},
                    {"evicted", table.evicted},
                    {"max_update_time", table.max_update_time}});
    text.Add({table.name, StrCat(table.rows), StrCat(table.bytes), StrCat(table.lookups),
              StrCat(static_cast<int>(rate * 1000) / 10.0, "%"), StrCat(table.updates),
              StrCat(table.evicted), SecondsText(table.max_update_time)});
    if (!table.cold) continue;
    ++cold_tables;
    json.back()["cold"] = ColdJson(*table.cold);
    const ServerTable::Cold& tier = *table.cold;
    const double in_memory = table.lookups == 0 ? 0
                                                : 1 - static_cast<double>(tier.lookups) /
                                                          static_cast<double>(table.lookups);
    cold.Add({table.name, StrCat(tier.hot_rows), StrCat(tier.hot_bytes), StrCat(tier.cold_rows),
              StrCat(tier.disk_bytes), StrCat(static_cast<int>(in_memory * 1000) / 10.0, "%"),
              StrCat(tier.promotions), StrCat(tier.demotions),
              StrCat(tier.read_errors + tier.write_errors)});
  }
  std::string tiers;
  if (cold_tables > 0) tiers = StrCat("\n", cold.Render());
  session.Print(Json{{"tables", json}}.dump(), text.Render() + tiers);
  return OkStatus();
}

// Rows of ids as EntryDumps; empty where there is none.
Result<std::vector<std::string>> RowsOf(Session& session, const Arguments& arguments,
                                        const std::string& table, const std::vector<Fid>& fids) {
  if (!arguments.Has("checkpoint")) {
    ASSIGN_OR_RETURN(const TableServer server, TableServer::Of(session));
    return server.Entries(table, fids);
  }
  ASSIGN_OR_RETURN(CheckpointView view,
                   CheckpointView::Open(session.files(), arguments.Get("checkpoint")));
  std::vector<std::string> rows;
  for (const Fid fid : fids) {
    RETURN_IF_ERROR(session.CheckCancelled());
    ASSIGN_OR_RETURN(const std::optional<std::string> row, view.Find(table, fid));
    rows.push_back(row.value_or(""));
  }
  return rows;
}

Status RunGet(Session& session, const Arguments& arguments) {
  const std::string& table = arguments.positional()[0];
  ASSIGN_OR_RETURN(const std::vector<Fid> fids,
                   ParseFids(std::span(arguments.positional()).subspan(1)));
  ASSIGN_OR_RETURN(const std::vector<std::string> rows, RowsOf(session, arguments, table, fids));
  Json json = Json::array();
  std::string text;
  bool any = false;
  for (size_t i = 0; i < fids.size(); ++i) {
    if (i != 0) text += '\n';
    if (rows[i].empty()) {
      json.push_back({{"id", fids[i]}, {"values", nullptr}});
      StrAppend(&text, "id ", fids[i], ": no row");
      continue;
    }
    any = true;
    ASSIGN_OR_RETURN(const EntryView entry, embedding::ViewEntry(rows[i]));
    json.push_back(EntryJson(fids[i], entry));
    text += EntryText(fids[i], entry);
  }
  if (!any) return NotFound(StrCat("table '", table, "' has no row of ", Join(fids, ", ")));
  session.Print(Json{{"table", table}, {"rows", json}}.dump(), text);
  return OkStatus();
}

Status RunPut(Session& session, const Arguments& arguments) {
  std::vector<Fid> fids;
  std::vector<float> values;
  for (const std::string& word : std::span(arguments.positional()).subspan(1)) {
    ASSIGN_OR_RETURN(const RowToPut row, ParseRow(word));
    fids.push_back(row.fid);
    values.insert(values.end(), row.values.begin(), row.values.end());
  }
  ASSIGN_OR_RETURN(const std::optional<int64_t> time, arguments.GetInt("time"));
  ASSIGN_OR_RETURN(const TableServer server, TableServer::Of(session));
  ASSIGN_OR_RETURN(const int64_t written,
                   server.Assign(arguments.positional()[0], fids, values,
                                 time.value_or(RealClock().UnixNanos() / 1'000'000'000)));
  session.Print(Json{{"written", written}}.dump(), StrCat(written, " rows written"));
  return OkStatus();
}

Status RunEvict(Session& session, const Arguments& arguments) {
  const std::string& table = arguments.positional()[0];
  ASSIGN_OR_RETURN(const std::vector<Fid> fids,
                   ParseFids(std::span(arguments.positional()).subspan(1)));
  ASSIGN_OR_RETURN(const std::optional<int64_t> now, arguments.GetInt("now"));
  if (now && !fids.empty())
    return InvalidArgument("flag --now is for rows that have expired; ids are dropped in any case");
  ASSIGN_OR_RETURN(const TableServer server, TableServer::Of(session));
  ASSIGN_OR_RETURN(const int64_t dropped,
                   fids.empty() ? server.Evict(table, now) : server.Erase(table, fids));
  session.Print(Json{{"dropped", dropped}}.dump(), StrCat(dropped, " rows dropped"));
  return OkStatus();
}

Status RunCreate(Session& session, const Arguments& arguments) {
  const std::string& table = arguments.positional()[0];
  const std::vector<std::string> segments = arguments.GetAll("segment");
  if (segments.empty()) {
    return InvalidArgument("--segment is missing, such as --segment=16,optimizer=adagrad");
  }
  ASSIGN_OR_RETURN(const std::optional<int64_t> budget, arguments.GetInt("memory_budget"));
  if (budget && *budget < 1) return InvalidArgument("--memory_budget is in bytes, 1 or more");
  ASSIGN_OR_RETURN(const TableServer server, TableServer::Of(session));
  RETURN_IF_ERROR(server.Create(table, segments, arguments.Has("serving"), budget));
  session.Print(Json{{"created", table}}.dump(), StrCat("table '", table, "' is there"));
  return OkStatus();
}

Status RunSave(Session& session, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const std::optional<int64_t> step, arguments.GetInt("step"));
  ASSIGN_OR_RETURN(const std::optional<int64_t> percent, arguments.GetInt("sidecar_percent"));
  if (!step.has_value() || *step < 0) {
    return InvalidArgument("--step is missing or negative: the number of the checkpoint");
  }
  if (percent.value_or(0) < 0 || percent.value_or(0) > 100) {
    return InvalidArgument("--sidecar_percent is 0 to 100");
  }
  ASSIGN_OR_RETURN(const TableServer server, TableServer::Of(session));
  bool delta = arguments.Has("delta");
  Result<SavedTables> result = server.Save(*step, percent.value_or(0), delta);
  if (delta && result.status().code() == Code::kFailedPrecondition) {
    session.Note(result.status().message());
    delta = false;
    result = server.Save(*step, percent.value_or(0), delta);
  }
  ASSIGN_OR_RETURN(const SavedTables saved, std::move(result));
  const std::string then = saved.published ? "" : "; other servers have yet to save their part";
  session.Print(
      Json{{"checkpoint", saved.prefix},
           {"published", saved.published},
           {"delta", delta},
           {"erased_rows", saved.erased_rows},
           {"rows", saved.rows},
           {"expired_rows", saved.expired_rows},
           {"bytes", saved.bytes}}
          .dump(),
      StrCat(saved.rows, delta ? " changed rows (" : " rows (", saved.bytes, " bytes) saved to ",
             saved.prefix, ", ", delta ? saved.erased_rows : saved.expired_rows,
             delta ? " are gone" : " expired left out", then));
  return OkStatus();
}

Status RunRestore(Session& session, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const std::optional<int64_t> step, arguments.GetInt("step"));
  ASSIGN_OR_RETURN(const TableServer server, TableServer::Of(session));
  ASSIGN_OR_RETURN(const RestoredTables restored,
                   server.Restore(step, arguments.Has("merge"), arguments.GetAll("table")));
  if (!restored.found) return NotFound("the server's checkpoint_dir has no checkpoint");
  std::string text = StrCat(restored.rows, " rows of ", restored.tables.size(), " tables (",
                            Join(restored.tables, ", "), ") restored from ", restored.prefix);
  for (const std::string& note : restored.notes) text += StrCat("\n", note);
  session.Print(Json{{"checkpoint", restored.prefix},
                     {"step", restored.step},
                     {"rows", restored.rows},
                     {"tables", restored.tables},
                     {"notes", restored.notes}}
                    .dump(),
                text);
  return OkStatus();
}

constexpr FlagDef kCheckpoint = {.name = "checkpoint",
                                 .value_name = "PATH",
                                 .help =
                                     "a checkpoint on disk instead of a server: a model's "
                                     "directory (its newest is meant), a prefix like "
                                     "DIR/model.ckpt-12, or an asset directory; Monolith's too"};
constexpr FlagDef kCheckpointOnly[] = {kCheckpoint};
constexpr FlagDef kStatFlags[] = {
    kCheckpoint,
    {.name = "verify", .value_name = "", .help = "hold every file against its digest"}};
constexpr FlagDef kCreateFlags[] = {
    {.name = "segment",
     .value_name = "SEGMENT",
     .help = "DIM[,optimizer=NAME][,optimizer.FIELD=NUMBER], also initializer and compressor "
             "(docs/optimizers.md); again for each segment of the row",
     .repeated = true},
    {.name = "serving", .value_name = "", .help = "compressed values without optimizer state"},
    {.name = "memory_budget",
     .value_name = "BYTES",
     .help = "of rows and index in memory; rows beyond it lie on the server's disk (cold_dir)"}};
constexpr FlagDef kSaveFlags[] = {
    {.name = "step", .value_name = "N", .help = "number of the checkpoint"},
    {.name = "delta",
     .value_name = "",
     .help = "rows that changed since the last save; all rows where a server cannot tell"},
    {.name = "sidecar_percent",
     .value_name = "P",
     .help = "share of the files that can be repaired when damaged; default 0"}};
constexpr FlagDef kRestoreFlags[] = {
    {.name = "step", .value_name = "N", .help = "which; default the newest that is whole"},
    {.name = "merge", .value_name = "", .help = "keep rows that the checkpoint does not have"},
    {.name = "table", .value_name = "NAME", .help = "only this table", .repeated = true}};
constexpr FlagDef kPutFlags[] = {
    {.name = "time", .value_name = "SECONDS", .help = "update time since 1970; default now"}};
constexpr FlagDef kEvictFlags[] = {
    {.name = "now",
     .value_name = "SECONDS",
     .help = "time since 1970 that rows expire by; default the newest update time of the table"}};
constexpr FlagDef kExportFlags[] = {
    {.name = "checkpoint",
     .value_name = "PATH",
     .help = "the checkpoint; see table ls. Without it the rows of servers at --address, which are "
             "held in memory and are of no single moment while changes go on"},
    {.name = "out",
     .value_name = "NAME",
     .help = "NAME.ids.npy and NAME.values.npy, or NAME.tsv; default the table's name",
     .letter = 'o'},
    {.name = "format", .value_name = "FORMAT", .help = "default npy", .words = "npy tsv"}};
constexpr FlagDef kDiffFlags[] = {
    {.name = "table", .value_name = "NAME", .help = "only this table"},
    {.name = "limit",
     .value_name = "N",
     .help = "name at most so many ids of each kind; default 10"}};
constexpr FlagDef kReshardFlags[] = {
    {.name = "servers", .value_name = "M", .help = "of the new checkpoint"},
    {.name = "shards",
     .value_name = "N",
     .help = "files of each table and server; default as they are"}};

constexpr CommandDef kCommands[] = {
    {.name = "table ls",
     .help =
         "List tables with their rows. --checkpoint lists those of a checkpoint, without a server.",
     .flags = kCheckpointOnly,
     .run = RunList,
     .examples = "megalithctl table ls --checkpoint=/models/ctr"},
    {.name = "table stat",
     .help = "Print numbers of each table, or what a checkpoint is made of. With --verify damage "
             "is exit code 1, with "
             "file and offset.",
     .flags = kStatFlags,
     .run = RunStat},
    {.name = "table get",
     .positional = "TABLE ID [ID...]",
     .min_positional = 2,
     .max_positional = -1,
     .help = "Print rows with their optimizer state. An ID is a number or SLOT:SIGNATURE.",
     .flags = kCheckpointOnly,
     .run = RunGet,
     .examples = "megalithctl table get user 7:123 --checkpoint=/models/ctr"},
    {.name = "table put",
     .positional = "TABLE ID=VALUE,VALUE,... [ID=...]",
     .min_positional = 2,
     .max_positional = -1,
     .help = "Overwrite values of rows; optimizer state stays, new rows get a fresh one.",
     .flags = kPutFlags,
     .run = RunPut},
    {.name = "table evict",
     .positional = "TABLE [ID...]",
     .min_positional = 1,
     .max_positional = -1,
     .help = "Drop the rows of these ids, or without ids those that have expired.",
     .flags = kEvictFlags,
     .run = RunEvict},
    {.name = "table create",
     .positional = "TABLE",
     .min_positional = 1,
     .max_positional = 1,
     .help = "Make a table on the server. The same table again changes nothing.",
     .flags = kCreateFlags,
     .run = RunCreate,
     .examples = "megalithctl table create user "
                 "--segment=16,optimizer=adagrad,optimizer.learning_rate=0.05,"
                 "initializer=random_uniform --address=ps0:7010,ps1:7010"},
    {.name = "table save",
     .help = "Save the tables of all servers, each as they are at a moment, into their "
             "checkpoint_dir.",
     .flags = kSaveFlags,
     .run = RunSave,
     .examples = "megalithctl table save --step=1200 --address=ps0:7010,ps1:7010"},
    {.name = "table restore",
     .help = "Put a checkpoint of the server's checkpoint_dir in place of its tables.",
     .flags = kRestoreFlags,
     .run = RunRestore},
    {.name = "table reshard",
     .positional = "CHECKPOINT TO",
     .min_positional = 2,
     .max_positional = 2,
     .help = "Write a checkpoint's tables for another number of servers, each row on server id mod "
             "M. Servers can also "
             "restore a checkpoint of another number by themselves.",
     .flags = kReshardFlags,
     .run = RunTableReshard,
     .examples = "megalithctl table reshard /models/ctr/model.ckpt-12 "
                 "/models/wide/model.ckpt-12.assets --servers=8"},
    {.name = "table diff",
     .positional = "CHECKPOINT [CHECKPOINT]",
     .min_positional = 1,
     .max_positional = 2,
     .help = "Compare the rows of two checkpoints, or of one with the server at --address. Exit "
             "code 1 if they differ.",
     .flags = kDiffFlags,
     .run = RunTableDiff},
    {.name = "table export",
     .positional = "TABLE",
     .min_positional = 1,
     .max_positional = 1,
     .help =
         "Write ids and values of a table, of a checkpoint or of servers, as NumPy arrays or as "
         "text.",
     .flags = kExportFlags,
     .run = RunTableExport},
    {.name = "table compact",
     .positional = "CHECKPOINT",
     .min_positional = 1,
     .max_positional = 1,
     .help = "Make a whole checkpoint of a base and its deltas. Not while a server is saving.",
     .flags = {},
     .run = RunTableCompact},
};

}  // namespace

std::span<const CommandDef> TableCommands() { return kCommands; }

}  // namespace megalith::cli
