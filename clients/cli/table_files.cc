#include "clients/cli/table_files.h"

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <unordered_map>

#include "clients/cli/table_rows.h"
#include "clients/cli/table_server.h"
#include "common/foundation/base/sha256.h"
#include "common/foundation/base/strings.h"
#include "common/learning/embedding/checkpoint/checkpoint_view.h"
#include "common/learning/embedding/checkpoint/compact.h"
#include "common/learning/embedding/checkpoint/file_names.h"
#include "common/learning/embedding/checkpoint/publish.h"
#include "common/learning/embedding/checkpoint/reshard.h"

namespace megalith::cli {
namespace {

using embedding::CheckpointView;
using embedding::EntryView;
using embedding::Fid;
using embedding::StagedFile;
using Json = nlohmann::json;

constexpr int64_t kDefaultLimit = 10;
constexpr size_t kIdsPerCall = 4096;

// The head of a .npy file of version 1.0 (numpy.lib.format).
std::string NpyHead(std::string_view dtype, const std::string& shape) {
  constexpr size_t kFixedBytes = 10;
  constexpr size_t kAlignment = 64;
  std::string text =
      StrCat("{'descr': '", dtype, "', 'fortran_order': False, 'shape': (", shape, "), }");
  text.append(kAlignment - (kFixedBytes + text.size() + 1) % kAlignment, ' ');
  text += '\n';
  std::string head("\x93NUMPY\x01\x00", 8);
  head += static_cast<char>(text.size() & 0xff);
  head += static_cast<char>(text.size() >> 8);
  return head + text;
}

template <typename T>
std::string_view Raw(const T* values, size_t count) {
  return {reinterpret_cast<const char*>(values), count * sizeof(T)};
}

struct Shape {
  uint64_t rows = 0;
  size_t dim = 0;
};

// Hands every row to `row`, each time in the same order.
using Rows = std::function<Status(const std::function<Status(Fid, std::string_view entry)>& row)>;

// Rows and dims of a table. Errors: kDataLoss  rows of different lengths.
Result<Shape> ShapeOf(Session& session, const Rows& rows) {
  Shape shape;
  RETURN_IF_ERROR(rows([&](Fid fid, std::string_view entry) -> Status {
    if (shape.rows % 4096 == 0) RETURN_IF_ERROR(session.CheckCancelled());
    ASSIGN_OR_RETURN(const EntryView row, embedding::ViewEntry(entry));
    if (shape.rows++ == 0) shape.dim = row.values.size();
    if (row.values.size() == shape.dim) return OkStatus();
    return DataLoss(
        StrCat("row ", fid, " has ", row.values.size(), " values, those before it ", shape.dim));
  }));
  return shape;
}

Status ExportNpy(Session& session, const Rows& rows, const std::string& name, const Shape& shape) {
  Rng rng(EntropySeed());
  ASSIGN_OR_RETURN(const auto ids,
                   StagedFile::Create(session.files(), StrCat(name, ".ids.npy"), rng));
  ASSIGN_OR_RETURN(const auto values,
                   StagedFile::Create(session.files(), StrCat(name, ".values.npy"), rng));
  RETURN_IF_ERROR(ids->Append(NpyHead("<i8", StrCat(shape.rows, ","))));
  RETURN_IF_ERROR(values->Append(NpyHead("<f4", StrCat(shape.rows, ", ", shape.dim))));
  RETURN_IF_ERROR(rows([&](Fid fid, std::string_view entry) -> Status {
    ASSIGN_OR_RETURN(const EntryView row, embedding::ViewEntry(entry));
    RETURN_IF_ERROR(ids->Append(Raw(&fid, 1)));
    return values->Append(Raw(row.values.data(), row.values.size()));
  }));
  RETURN_IF_ERROR(ids->Publish());
  return values->Publish();
}

Status ExportTsv(Session& session, const Rows& rows, const std::string& name, const Shape& shape) {
  Rng rng(EntropySeed());
  ASSIGN_OR_RETURN(const auto out, StagedFile::Create(session.files(), StrCat(name, ".tsv"), rng));
  std::string line = "id\tupdate_time";
  for (size_t i = 0; i < shape.dim; ++i) StrAppend(&line, "\tv", i);
  RETURN_IF_ERROR(out->Append(line + "\n"));
  RETURN_IF_ERROR(rows([&](Fid fid, std::string_view entry) -> Status {
    ASSIGN_OR_RETURN(const EntryView row, embedding::ViewEntry(entry));
    line = StrCat(fid, "\t", row.timestamp);
    for (const float value : row.values) StrAppend(&line, "\t", value);
    return out->Append(line + "\n");
  }));
  return out->Publish();
}

// All rows of the servers' table, by id.
Result<std::vector<std::pair<Fid, std::string>>> FetchRows(Session& session,
                                                           const std::string& table) {
  ASSIGN_OR_RETURN(const TableServer server, TableServer::Of(session));
  ASSIGN_OR_RETURN(const std::vector<Fid> fids, server.Ids(table));
  std::vector<std::pair<Fid, std::string>> out;
  for (size_t from = 0; from < fids.size(); from += kIdsPerCall) {
    const auto some = std::span(fids).subspan(from, std::min(kIdsPerCall, fids.size() - from));
    ASSIGN_OR_RETURN(std::vector<std::string> rows, server.Entries(table, some));
    for (size_t i = 0; i < some.size(); ++i) {
      if (!rows[i].empty()) out.emplace_back(some[i], std::move(rows[i]));
    }
  }
  return out;
}

// Digests of rows by id.
using Digests = std::unordered_map<Fid, uint64_t>;

// Of what a row says, however it is written.
uint64_t DigestOf(const EntryView& row) {
  std::string text(Raw(row.values.data(), row.values.size()));
  for (const embedding::NamedState& state : row.state) {
    StrAppend(&text, "|", state.optimizer);
    for (const auto& array : state.arrays) text += Raw(array.values.data(), array.values.size());
  }
  StrAppend(&text, "|", row.timestamp);
  const Sha256Digest digest = Sha256::Of(text);
  uint64_t out = 0;
  for (size_t i = 0; i < sizeof(out); ++i) out = out << 8 | digest.bytes[i];
  return out;
}

Result<Digests> DigestsOf(Session& session, CheckpointView& view, const std::string& table) {
  Digests out;
  const std::vector<std::string> names = view.Tables();
  if (std::find(names.begin(), names.end(), table) == names.end()) return out;
  RETURN_IF_ERROR(view.Scan(table, [&](Fid fid, std::string_view entry) -> Status {
    if (out.size() % 4096 == 0) RETURN_IF_ERROR(session.CheckCancelled());
    ASSIGN_OR_RETURN(const EntryView row, embedding::ViewEntry(entry));
    out[fid] = DigestOf(row);
    return OkStatus();
  }));
  return out;
}

// What two tables have in common and what not.
struct Difference {
  uint64_t equal = 0;
  std::vector<Fid> only_left, only_right, changed;
  uint64_t surplus = 0;  // rows of a server that were not asked for
  bool any() const {
    return !only_left.empty() || !only_right.empty() || !changed.empty() || surplus != 0;
  }
};

Difference Compare(const Digests& left, const Digests& right) {
  Difference out;
  for (const auto& [fid, digest] : left) {
    const auto other = right.find(fid);
    if (other == right.end()) {
      out.only_left.push_back(fid);
    } else if (other->second != digest) {
      out.changed.push_back(fid);
    } else {
      ++out.equal;
    }
  }
  for (const auto& [fid, digest] : right) {
    if (!left.contains(fid)) out.only_right.push_back(fid);
  }
  for (std::vector<Fid>* fids : {&out.only_left, &out.only_right, &out.changed})
    std::sort(fids->begin(), fids->end());
  return out;
}

// The server's rows of the ids that the checkpoint has.
Result<Digests> DigestsOf(const TableServer& server, const std::string& table,
                          const Digests& wanted) {
  std::vector<Fid> fids;
  for (const auto& [fid, digest] : wanted) fids.push_back(fid);
  Digests out;
  for (size_t from = 0; from < fids.size(); from += kIdsPerCall) {
    const auto some = std::span(fids).subspan(from, std::min(kIdsPerCall, fids.size() - from));
    ASSIGN_OR_RETURN(const std::vector<std::string> rows, server.Entries(table, some));
    for (size_t i = 0; i < some.size(); ++i) {
      if (rows[i].empty()) continue;
      ASSIGN_OR_RETURN(const EntryView row, embedding::ViewEntry(rows[i]));
      out[some[i]] = DigestOf(row);
    }
  }
  return out;
}

Result<std::map<std::string, Difference>> DiffWithServer(Session& session, CheckpointView& left,
                                                         const std::string& only) {
  ASSIGN_OR_RETURN(const TableServer server, TableServer::Of(session));
  ASSIGN_OR_RETURN(const std::vector<ServerTable> tables, server.List());
  std::map<std::string, uint64_t> rows_of;
  for (const ServerTable& table : tables) rows_of[table.name] = table.rows;
  std::set<std::string> names;
  for (const std::string& name : left.Tables()) names.insert(name);
  for (const auto& [name, rows] : rows_of) names.insert(name);
  std::map<std::string, Difference> out;
  for (const std::string& name : names) {
    if (!only.empty() && name != only) continue;
    ASSIGN_OR_RETURN(const Digests mine, DigestsOf(session, left, name));
    Digests theirs;
    if (rows_of.contains(name)) {
      ASSIGN_OR_RETURN(theirs, DigestsOf(server, name, mine));
    }
    Difference& difference = out[name] = Compare(mine, theirs);
    const uint64_t rows = rows_of.contains(name) ? rows_of[name] : 0;
    difference.surplus = rows > theirs.size() ? rows - theirs.size() : 0;
  }
  return out;
}

Result<std::map<std::string, Difference>> DiffWithFiles(Session& session, CheckpointView& left,
                                                        const std::string& path,
                                                        const std::string& only) {
  ASSIGN_OR_RETURN(CheckpointView right, CheckpointView::Open(session.files(), path));
  std::set<std::string> names;
  for (const std::string& name : left.Tables()) names.insert(name);
  for (const std::string& name : right.Tables()) names.insert(name);
  std::map<std::string, Difference> out;
  for (const std::string& name : names) {
    if (!only.empty() && name != only) continue;
    ASSIGN_OR_RETURN(const Digests mine, DigestsOf(session, left, name));
    ASSIGN_OR_RETURN(const Digests theirs, DigestsOf(session, right, name));
    out[name] = Compare(mine, theirs);
  }
  return out;
}

std::string SomeIds(std::string_view what, const std::vector<Fid>& fids, size_t limit) {
  if (fids.empty()) return "";
  const std::vector<Fid> some(fids.begin(),
                              fids.begin() + static_cast<ptrdiff_t>(std::min(limit, fids.size())));
  return StrCat("\n  ", what, ": ", fids.size(), " (", Join(some, ", "),
                some.size() < fids.size() ? ", ...)" : ")");
}

}  // namespace

Status RunTableExport(Session& session, const Arguments& arguments) {
  const std::string& table = arguments.positional()[0];
  std::optional<CheckpointView> view;
  std::vector<std::pair<Fid, std::string>> fetched;
  Rows rows;
  if (arguments.Has("checkpoint")) {
    ASSIGN_OR_RETURN(view, CheckpointView::Open(session.files(), arguments.Get("checkpoint")));
    rows = [&](const auto& row) { return view->Scan(table, row); };
  } else {
    ASSIGN_OR_RETURN(fetched, FetchRows(session, table));
    rows = [&](const auto& row) -> Status {
      for (const auto& [fid, entry] : fetched) RETURN_IF_ERROR(row(fid, entry));
      return OkStatus();
    };
  }
  ASSIGN_OR_RETURN(const Shape shape, ShapeOf(session, rows));
  const std::string name = arguments.Get("out", embedding::SingleTableBase(table));
  const bool tsv = arguments.Get("format", "npy") == "tsv";
  RETURN_IF_ERROR(tsv ? ExportTsv(session, rows, name, shape)
                      : ExportNpy(session, rows, name, shape));
  session.Print(Json{{"rows", shape.rows}, {"dim", shape.dim}}.dump(),
                StrCat(shape.rows, " rows of ", shape.dim, " values in ", name,
                       tsv ? ".tsv" : ".ids.npy and .values.npy"));
  return OkStatus();
}

Status RunTableDiff(Session& session, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const int64_t limit, arguments.GetPositive("limit", kDefaultLimit));
  const auto& paths = arguments.positional();
  ASSIGN_OR_RETURN(CheckpointView left, CheckpointView::Open(session.files(), paths[0]));
  const std::string only = arguments.Get("table");
  ASSIGN_OR_RETURN(const auto differences, paths.size() > 1
                                               ? DiffWithFiles(session, left, paths[1], only)
                                               : DiffWithServer(session, left, only));
  if (!only.empty() && differences.empty())
    return NotFound(StrCat("neither side has a table '", Printable(only), "'"));
  Json json = Json::object();
  std::string text;
  bool differ = false;
  const auto shown = static_cast<size_t>(limit);
  for (const auto& [name, d] : differences) {
    differ = differ || d.any();
    json[name] = {{"equal", d.equal},
                  {"only_left", d.only_left.size()},
                  {"only_right", d.only_right.size() + d.surplus},
                  {"changed", d.changed.size()}};
    StrAppend(&text, text.empty() ? "" : "\n", name, ": ", d.equal, " equal",
              SomeIds("only on the left", d.only_left, shown),
              SomeIds("only on the right", d.only_right, shown),
              SomeIds("different", d.changed, shown));
    if (d.surplus != 0) StrAppend(&text, "\n  only on the server: ", d.surplus);
  }
  session.Print(Json{{"equal", !differ}, {"tables", json}}.dump(), text);
  return differ ? Status(Code::kAborted, "the tables differ") : OkStatus();
}

Status RunTableReshard(Session& session, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const std::optional<int64_t> servers, arguments.GetInt("servers"));
  ASSIGN_OR_RETURN(const std::optional<int64_t> shards, arguments.GetInt("shards"));
  if (!servers) return InvalidArgument("flag --servers is missing: how many servers there will be");
  if (*servers < 1 || *servers > embedding::kMaxShards)
    return InvalidArgument(StrCat("flag --servers expects 1 to ", embedding::kMaxShards));
  if (shards && (*shards < 1 || *shards > embedding::kMaxShards))
    return InvalidArgument(StrCat("flag --shards expects 1 to ", embedding::kMaxShards));
  ASSIGN_OR_RETURN(const CheckpointView view,
                   CheckpointView::Open(session.files(), arguments.positional()[0]));
  if (!view.deltas().empty()) {
    return FailedPrecondition(
        StrCat("'", view.prefix(), "' has ", view.deltas().size(),
               " deltas, which would be lost; run `megalithctl table compact` first"));
  }
  embedding::ReshardOptions options{.servers = static_cast<uint32_t>(*servers),
                                    .shards = std::nullopt};
  if (shards) options.shards = static_cast<uint32_t>(*shards);
  Rng rng(EntropySeed());
  ASSIGN_OR_RETURN(const embedding::ReshardReport report,
                   embedding::Reshard(session.files(), view.source().directory,
                                      arguments.positional()[1], options, rng));
  if (!report.filters_left.empty())
    session.Note(StrCat("hash filters cannot be divided and were left behind: ",
                        Join(report.filters_left, ", ")));
  if (view.source().ours) {
    session.Note(
        "watermarks, dense variables and configurations were left behind; servers that restore the "
        "checkpoint as it "
        "is keep them");
  }
  session.Print(Json{{"servers_before", report.servers_before},
                     {"servers", *servers},
                     {"rows", report.rows},
                     {"tables", report.tables},
                     {"filters_left", report.filters_left}}
                    .dump(),
                StrCat(report.rows, " rows of ", report.tables.size(), " tables moved from ",
                       report.servers_before, " servers to ", *servers));
  return OkStatus();
}

Status RunTableCompact(Session& session, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const CheckpointView view,
                   CheckpointView::Open(session.files(), arguments.positional()[0]));
  embedding::CompactOptions options;
  options.files = &session.files();
  options.base = view.prefix();
  const size_t slash = view.prefix().rfind('/');
  options.directory = slash == std::string::npos ? "." : view.prefix().substr(0, slash);
  ASSIGN_OR_RETURN(const embedding::CompactReport report, embedding::CompactCheckpoint(options));
  for (const std::string& note : report.notes) session.Note(note);
  session.Print(
      Json{{"checkpoint", report.prefix}, {"deltas", report.deltas}, {"rows", report.rows}}.dump(),
      report.deltas == 0 ? std::string("there are no deltas; nothing was done")
                         : StrCat(report.deltas, " deltas and their base are ", report.prefix, ", ",
                                  report.rows, " rows"));
  return OkStatus();
}

}  // namespace megalith::cli
