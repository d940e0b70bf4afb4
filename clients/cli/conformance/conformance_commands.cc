// megalithctl conformance: holds a fleet against the answers of an oracle.
#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "clients/cli/conformance/optimizer_cases.h"
#include "clients/cli/conformance/runner.h"
#include "clients/cli/families.h"
#include "clients/cli/program_input.h"
#include "clients/cli/session.h"
#include "common/foundation/base/strings.h"

namespace megalith::cli {
namespace {

using Json = nlohmann::ordered_json;
using conformance::Reports;

constexpr uint64_t kMaxFileBytes = 4ull << 30;
constexpr int kMaxDirectoryDepth = 32;
constexpr size_t kShownFailures = 20;

// Paths of all *.jsonl files at or under `path`, sorted.
Status FindFiles(FileSystem& files, const std::string& path, int depth,
                 std::vector<std::string>* out) {
  ASSIGN_OR_RETURN(const FileInfo info, files.Stat(path));
  if (!info.is_directory) {
    out->push_back(path);
    return OkStatus();
  }
  if (depth > kMaxDirectoryDepth)
    return ResourceExhausted(StrCat(Printable(path), " is nested too deeply"));
  ASSIGN_OR_RETURN(const std::vector<FileInfo> entries, files.List(path));
  for (const FileInfo& e : entries) {
    if (!e.is_directory && !e.name.ends_with(".jsonl")) continue;
    RETURN_IF_ERROR(FindFiles(files, JoinPath(path, e.name), depth + 1, out));
  }
  return OkStatus();
}

// Every record of the files, blank lines aside. A record that cannot be read counts for the family
// its file names.
Result<std::vector<conformance::Line>> ReadLines(FileSystem& files,
                                                 const std::vector<std::string>& paths,
                                                 const std::string& family) {
  std::vector<conformance::Line> out;
  for (const std::string& path : paths) {
    const std::string name = path.substr(path.rfind('/') + 1);
    ASSIGN_OR_RETURN(const std::string content, files.Read(path, kMaxFileBytes));
    size_t number = 0;
    for (const std::string_view line : Split(content, '\n')) {
      ++number;
      if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
      const Result<conformance::Record> record = conformance::ReadRecord(line);
      const std::string of = record.ok() ? record->family : name.substr(0, name.rfind('.'));
      if (!family.empty() && of != family) continue;
      out.push_back({of, StrCat(name, ":", number), std::string(line)});
    }
  }
  if (out.empty())
    return NotFound("no records found; --cases wants a directory with *.jsonl files");
  return out;
}

Json Level(const std::optional<int64_t>& count) { return count ? Json(*count) : Json(nullptr); }

Json ReportJson(const Reports& reports) {
  Json families = Json::object();
  for (const auto& [name, r] : reports) {
    Json failures = Json::array();
    for (const conformance::Failure& f : r.failures) {
      failures.push_back({{"id", f.id}, {"level", f.level}, {"reason", Printable(f.reason, 2000)}});
    }
    Json family = {{"cases", r.cases},
                   {"text", Level(r.text)},
                   {"dag", Level(r.dag)},
                   {"values", Level(r.values)}};
    if (r.error) family["error"] = *r.error;
    family["failures"] = std::move(failures);
    families[name] = std::move(family);
  }
  return {{"families", families}};
}

std::string Cell(const std::optional<int64_t>& count) { return count ? StrCat(*count) : "-"; }

std::string ReportText(const Reports& reports) {
  TextTable table({"family", "cases", "text", "dag", "values", "error"});
  std::vector<std::string> lines;
  for (const auto& [name, r] : reports) {
    table.Add({name, StrCat(r.cases), Cell(r.text), Cell(r.dag), Cell(r.values), Cell(r.error)});
    for (const conformance::Failure& f : r.failures) {
      if (f.level != "text")
        lines.push_back(StrCat("FAIL ", f.id, " (", f.level, "): ", Printable(f.reason, 300)));
    }
  }
  std::string out = table.Render();
  for (size_t i = 0; i < std::min(lines.size(), kShownFailures); ++i)
    StrAppend(&out, "\n", lines[i]);
  if (lines.size() > kShownFailures) {
    StrAppend(&out, "\n... and ", lines.size() - kShownFailures, " more; --json FILE has them all");
  }
  return out;
}

// The ids in a file of lines "id reason"; '#' begins a comment.
Result<std::set<std::string>> ReadKnown(FileSystem& files, const std::string& path) {
  std::set<std::string> out;
  if (path.empty()) return out;
  ASSIGN_OR_RETURN(const std::string content, files.Read(path, kMaxFileBytes));
  for (const std::string_view line : Split(content, '\n')) {
    if (line.empty() || line[0] == '#') continue;
    out.emplace(line.substr(0, line.find(' ')));
  }
  return out;
}

// Records that failed on a level other than text are those that are known to, no more and no fewer.
Status Verdict(const Reports& reports, const std::set<std::string>& known) {
  std::set<std::string> failed;
  for (const auto& [name, r] : reports) {
    for (const conformance::Failure& f : r.failures) {
      if (f.level != "text") failed.insert(f.id);
    }
  }
  std::vector<std::string> surprises;
  std::ranges::set_difference(failed, known, std::back_inserter(surprises));
  if (!surprises.empty()) {
    return Status(Code::kAborted,
                  StrCat(surprises.size(), " records fail on the levels error, dag or values"));
  }
  std::ranges::set_difference(known, failed, std::back_inserter(surprises));
  if (surprises.empty()) return OkStatus();
  return Status(Code::kAborted, StrCat("records that are known to fail pass or are absent: ",
                                       Join(surprises, ", ")));
}

// Writes what was found and judges it.
Status Conclude(Session& session, const Arguments& arguments, const Reports& reports,
                const std::set<std::string>& known) {
  if (arguments.Has("json")) {
    RETURN_IF_ERROR(
        session.files().WriteAtomically(arguments.Get("json"), ReportJson(reports).dump(1) + "\n"));
  }
  session.Write(ReportText(reports) + "\n");
  return Verdict(reports, known);
}

// The optimizer cases of a file, which need no fleet; nullopt if the file is of another kind.
Result<std::optional<Reports>> RunLocally(FileSystem& files, const Arguments& arguments) {
  const std::string path = arguments.Get("cases");
  if (!path.ends_with(".json")) return std::optional<Reports>();
  ASSIGN_OR_RETURN(const std::string content, files.Read(path, kMaxFileBytes));
  if (!conformance::IsOptimizerCases(content)) return std::optional<Reports>();
  ASSIGN_OR_RETURN(Reports reports, conformance::RunOptimizerCases(content));
  const std::string family = arguments.Get("family");
  std::erase_if(reports, [&](const auto& r) { return !family.empty() && r.first != family; });
  if (reports.empty()) return NotFound(StrCat("no cases of family ", Printable(family)));
  return std::optional<Reports>(std::move(reports));
}

Status RunConformance(Session& session, const Arguments& arguments) {
  if (!arguments.Has("cases"))
    return InvalidArgument("flag --cases is required: a directory with *.jsonl files");
  ASSIGN_OR_RETURN(const std::optional<int64_t> threads, arguments.GetInt("threads"));
  if (threads && (*threads < 1 || *threads > 256))
    return InvalidArgument("flag --threads expects 1 to 256");
  ASSIGN_OR_RETURN(const std::set<std::string> known,
                   ReadKnown(session.files(), arguments.Get("known")));
  ASSIGN_OR_RETURN(const std::optional<Reports> local, RunLocally(session.files(), arguments));
  if (local) return Conclude(session, arguments, *local, known);
  std::vector<std::string> paths;
  RETURN_IF_ERROR(FindFiles(session.files(), arguments.Get("cases"), 0, &paths));
  ASSIGN_OR_RETURN(const std::vector<conformance::Line> lines,
                   ReadLines(session.files(), paths, arguments.Get("family")));
  ASSIGN_OR_RETURN(auto channel, session.Fleet());
  ASSIGN_OR_RETURN(const rpc::CallOptions options, session.CallOptions());
  ASSIGN_OR_RETURN(const compile::v1::CompileOptions compile, CompileOptionsOf(arguments));
  const conformance::Runner runner(channel, options, compile);
  const auto bar = session.Progress("conformance");
  const Reports reports =
      RunAll(runner, lines,
             static_cast<int>(threads.value_or(std::max(1U, std::thread::hardware_concurrency()))),
             [&](size_t done) {
               bar->Update(static_cast<double>(done) / static_cast<double>(lines.size()),
                           StrCat(done, " of ", lines.size()));
             });
  if (options.cancellation != nullptr) RETURN_IF_ERROR(options.cancellation->Check());
  return Conclude(session, arguments, reports, known);
}

constexpr std::array kOwnFlags = std::to_array<FlagDef>({
    {.name = "cases",
     .value_name = "DIR",
     .help = "directory (or file) with *.jsonl records, or a .json file of optimizer cases; "
             "required"},
    {.name = "family", .value_name = "NAME", .help = "only records of this family"},
    {.name = "json", .value_name = "FILE", .help = "write the whole report there"},
    {.name = "known", .value_name = "FILE", .help = "ids of records that must fail, one per line"},
    {.name = "threads",
     .value_name = "N",
     .help = "records at the same time; default: one per processor"},
});
constexpr auto kFlags = JoinFlags(kOwnFlags, kPolicyFlags, kCompileFlags);

constexpr CommandDef kCommands[] = {
    {.name = "conformance",
     .positional = "",
     .min_positional = 0,
     .max_positional = 0,
     .help =
         "Run oracle records through trace, compile and execute and count on which levels the "
         "answers agree. Cases of sparse optimizers need no fleet: each runs on a table's row, in "
         "each mode it names. Exit "
         "code 1 if a record fails on another level than text and is not known to.",
     .flags = kFlags,
     .run = RunConformance},
};

}  // namespace

std::span<const CommandDef> ConformanceCommands() { return kCommands; }

}  // namespace megalith::cli
