// megalithctl run: a program, a stack and arguments in, results out.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>

#include "clients/cli/array_text.h"
#include "clients/cli/families.h"
#include "clients/cli/latencies.h"
#include "clients/cli/profile_report.h"
#include "clients/cli/program_calls.h"
#include "clients/cli/reports.h"
#include "clients/cli/session.h"
#include "common/fleet/stubs/ledger_client.h"
#include "common/foundation/base/clock.h"
#include "common/foundation/base/strings.h"
#include "common/foundation/tensor/tensor_proto.h"

namespace megalith::cli {
namespace {

using Json = nlohmann::json;
using tensor::Tensor;

// Arrays with more elements are left out of the JSON document; a file takes them whole.
constexpr int64_t kMaxJsonElements = 1000;
constexpr size_t kMaxExplainedEntries = 100;

Json NumberJson(double v) {
  if (std::isnan(v)) return "nan";
  if (std::isinf(v)) return v < 0 ? "-inf" : "inf";
  return v;
}

Json ElementJson(const Tensor& t, int64_t i) {
  if (tensor::IsBool(t.dtype())) return t.IntAt(i) != 0;
  if (t.dtype() == tensor::DType::kU64) return static_cast<uint64_t>(t.IntAt(i));
  if (tensor::IsInteger(t.dtype())) return t.IntAt(i);
  if (tensor::IsFloat(t.dtype())) return NumberJson(t.DoubleAt(i));
  if (tensor::IsComplex(t.dtype()))
    return Json::array({NumberJson(t.ComplexAt(i).real()), NumberJson(t.ComplexAt(i).imag())});
  return nullptr;
}

Json NestedJson(const Tensor& t, size_t dim, int64_t* next) {
  if (dim == t.rank()) return ElementJson(t, (*next)++);
  Json out = Json::array();
  for (int64_t i = 0; i < t.shape()[dim]; ++i) out.push_back(NestedJson(t, dim + 1, next));
  return out;
}

Json ResultJson(const Tensor& t) {
  Json out = {{"dtype", tensor::Name(t.dtype())},
              {"shape", std::vector<int64_t>(t.shape().begin(), t.shape().end())}};
  int64_t next = 0;
  if (t.size() <= kMaxJsonElements) out["values"] = NestedJson(t, 0, &next);
  return out;
}

// The request of the first run; afterwards its answer's key serves.
Result<execute::v1::ExecuteRequest> FirstRequest(const Arguments& arguments,
                                                 const ProgramInput& input,
                                                 const std::vector<ArrayValue>& values) {
  execute::v1::ExecuteRequest request;
  ASSIGN_OR_RETURN(const compile::v1::CompileOptions compile_options, CompileOptionsOf(arguments));
  if (input.form == ProgramInput::Form::kKey) {
    request.set_key(input.key);
  } else {
    execute::v1::ProgramChain* chain = request.mutable_chain();
    *chain->mutable_source() = input.source;
    for (const trace::v1::Transform& t : input.stack) *chain->add_stack() = t;
    *chain->mutable_trace_options() = input.trace_options;
    *chain->mutable_compile_options() = compile_options;
    for (const ArrayValue& v : values) chain->add_weak_arguments(v.weak_type);
  }
  return request;
}

// Where the time went: the service's own timings, then every ledger entry of the request.
struct Explanation {
  Json json;
  std::string text;
};

Result<Explanation> Explain(const ProgramCalls& calls,
                            const execute::v1::ExecuteResponse& response) {
  Explanation out;
  out.json = {{"timings", TimingsJson(response.timings())},
              {"ids", IdsJson(response.ids())},
              {"ledger", Json::array()}};
  out.text = StrCat("trace id ", response.ids().trace_id(), "\ntimings  ",
                    TimingsText(response.timings()));
  ASSIGN_OR_RETURN(const auto entries, stubs::LedgerClient(calls.channel())
                                           .Query({.trace_id = response.ids().trace_id()},
                                                  kMaxExplainedEntries, calls.options()));
  TextTable table({"service", "what", "decision", "outcome", "evidence"});
  for (const ledger::Entry& e : entries) {
    Json evidence = Json::object();
    std::vector<std::string> words;
    for (const auto& [name, value] : e.evidence) {
      evidence[name] = value;
      words.push_back(StrCat(name, " ", Printable(value, 40)));
    }
    out.json["ledger"].push_back({{"service", e.service},
                                  {"kind", ledger::KindName(e.kind)},
                                  {"decision", e.decision},
                                  {"outcome", e.outcome},
                                  {"key", e.key},
                                  {"evidence", evidence}});
    table.Add({e.service, std::string(ledger::KindName(e.kind)), e.decision,
               Printable(e.outcome, 40), Join(words, ", ")});
  }
  StrAppend(&out.text, "\n",
            entries.empty() ? "the ledger has no entry of this request: nothing was decided"
                            : table.Render());
  return out;
}

// `repeat` - 1 further runs by key; the first one is given.
Status Repeat(Session& session, const ProgramCalls& calls, execute::v1::ExecuteRequest request,
              const std::string& key, int64_t repeat, Latencies* latencies) {
  request.clear_chain();
  request.set_key(key);
  const auto bar = session.Progress("run");
  for (int64_t i = 1; i < repeat; ++i) {
    RETURN_IF_ERROR(session.CheckCancelled());
    const Stopwatch stopwatch;
    RETURN_IF_ERROR(Execute(calls, request));
    latencies->Add(stopwatch.Seconds());
    bar->Update(static_cast<double>(i) / static_cast<double>(repeat),
                StrCat(i + 1, " of ", repeat));
  }
  return OkStatus();
}

// One more run by key, with every kernel timed.
Result<execute::v1::RunProfile> Profile(const ProgramCalls& calls,
                                        execute::v1::ExecuteRequest request,
                                        const std::string& key) {
  request.clear_chain();
  request.set_key(key);
  request.set_profile(true);
  ASSIGN_OR_RETURN(Ran ran, Execute(calls, request));
  return std::move(*ran.response.mutable_profile());
}

std::string ResultsText(const std::vector<Tensor>& results) {
  std::string out;
  for (size_t i = 0; i < results.size(); ++i) {
    StrAppend(&out, out.empty() ? "" : "\n", "# ", i, ": ", results[i].TypeText(), "\n",
              ArrayText(results[i]));
  }
  return results.empty() ? "# no results" : out;
}

Status RunRun(Session& session, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const ProgramInput input,
                   ReadProgram(session, arguments, arguments.positional()[0]));
  ASSIGN_OR_RETURN(const int64_t repeat, arguments.GetPositive("repeat", 1));
  ASSIGN_OR_RETURN(const std::vector<ArrayValue> values,
                   ReadProgramArguments(session, arguments, input));
  ASSIGN_OR_RETURN(const ProgramCalls calls, ProgramCalls::Open(session));
  const Stopwatch stopwatch;
  ASSIGN_OR_RETURN(execute::v1::ExecuteRequest request, FirstRequest(arguments, input, values));
  ASSIGN_OR_RETURN(const RequestArguments request_arguments, RequestArguments::Make(calls, values));
  request_arguments.AddTo(&request);
  ASSIGN_OR_RETURN(const Ran ran, Execute(calls, request));
  const double first_seconds = stopwatch.Seconds();

  Json json = {{"key", ran.response.key()}, {"seconds", first_seconds}};
  std::string note =
      StrCat("key      ", ran.response.key(), "\nfirst    ", SecondsText(first_seconds));
  if (repeat > 1) {
    Latencies latencies;
    RETURN_IF_ERROR(Repeat(session, calls, request, ran.response.key(), repeat, &latencies));
    json["repeat"] = latencies.ToJson();
    StrAppend(&note, "\nrepeated ", latencies.Text());
  }
  if (arguments.Has("explain")) {
    ASSIGN_OR_RETURN(Explanation explanation, Explain(calls, ran.response));
    json["explain"] = std::move(explanation.json);
    StrAppend(&note, "\n", explanation.text);
  }
  std::string table;
  if (const std::string path = arguments.Get("profile"); !path.empty()) {
    ASSIGN_OR_RETURN(const execute::v1::RunProfile profile,
                     Profile(calls, request, ran.response.key()));
    RETURN_IF_ERROR(
        session.files().WriteAtomically(path, ChromeTrace(profile, arguments.positional()[0])));
    json["profile"] = ProfileJson(profile);
    json["profile"]["file"] = path;
    table = ProfileTable(profile);
    StrAppend(&note, "\nwrote    ", path, ": open it at https://ui.perfetto.dev");
  }
  const std::string path = arguments.Get("out");
  if (!path.empty()) {
    RETURN_IF_ERROR(WriteArrays(path, ran.results, session.files()));
    StrAppend(&note, "\nwrote    ", path);
    json["out"] = path;
  }
  json["results"] = Json::array();
  for (const Tensor& t : ran.results) json["results"].push_back(ResultJson(t));
  std::string text = path.empty() ? ResultsText(ran.results) : "";
  if (!table.empty()) StrAppend(&text, text.empty() ? "" : "\n", table);
  if (session.json() || !text.empty()) session.Print(json.dump(), text);
  session.Note(note);
  return OkStatus();
}

constexpr auto kOwnFlags = std::to_array<FlagDef>({
    {.name = "arg",
     .value_name = "ARRAY",
     .help =
         "an argument, in order: x.npy, x.npz[:NAME], f32[2,3]:ones|zeros|iota|NUMBER|LIST, 1.5",
     .repeated = true},
    {.name = "out",
     .value_name = "FILE",
     .help = "write the results to a .npy or .npz file",
     .letter = 'o'},
    {.name = "repeat", .value_name = "N", .help = "run N times and print how long it takes"},
    {.name = "explain",
     .value_name = "",
     .help = "print where the time went and what came from a cache"},
    {.name = "profile",
     .value_name = "FILE",
     .help = "after the other runs, run once more with every kernel timed: print time by kernel, "
             "and write a trace that Perfetto opens"},
});
constexpr auto kFlags = JoinFlags(kOwnFlags, kTraceFlags, kPolicyFlags, kCompileFlags);

constexpr CommandDef kCommands[] = {
    {.name = "run",
     .positional = "KEY|PROGRAM",
     .min_positional = 1,
     .max_positional = 1,
     .help = "Run a program on arrays and print the results. PROGRAM is jaxpr text or StableHLO in "
             "any form, "
             "which is traced and "
             "compiled first; KEY is what compile printed. Results go to standard output, or to a "
             "file with --out; key "
             "and timings go to standard error.",
     .flags = kFlags,
     .run = RunRun,
     .examples = "megalithctl run f.jaxpr --transform grad --arg x.npy\n"
                 "megalithctl run f.mlir --arg 'f32[2,3]:iota' --arg 'f32[]:0.5' -o out.npz\n"
                 "megalithctl run f.jaxexport --transform grad --arg x.npy\n"
                 "megalithctl run f.jaxpr --arg 1.5 --repeat 100 --explain\n"
                 "megalithctl run f.mlir --arg 'f32[1000000]:iota' --repeat 5 --profile f.json"},
};

}  // namespace

std::span<const CommandDef> RunCommands() { return kCommands; }

}  // namespace megalith::cli
