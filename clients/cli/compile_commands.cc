// megalithctl compile: from StableHLO, or from a program with transforms, to an executable in the
// cache.
#include <nlohmann/json.hpp>

#include "clients/cli/families.h"
#include "clients/cli/program_calls.h"
#include "clients/cli/program_input.h"
#include "clients/cli/reports.h"
#include "clients/cli/session.h"
#include "common/fleet/cache/fleet_key.h"
#include "common/foundation/base/strings.h"
#include "common/machines/runtime/package.h"

namespace megalith::cli {
namespace {

using Json = nlohmann::json;

// Asks the compiler for what the flags want explained; false if that is nothing. Code is only there
// to be shown if it is made at once.
bool ExplainInto(const Arguments& arguments, compile::v1::CompileOptions* options) {
  const bool ir = arguments.Has("ir"), assembly = arguments.Has("assembly");
  if (!arguments.Has("explain") && !ir && !assembly) return false;
  std::string words = "passes,plan";
  if (ir) StrAppend(&words, ",ir");
  if (assembly) StrAppend(&words, ",assembly");
  (*options->mutable_extra())["explain"] = words;
  if (ir || assembly) (*options->mutable_extra())["tier"] = "1";
  return true;
}

Status RunCompile(Session& session, const Arguments& arguments) {
  const std::string& word = arguments.positional()[0];
  ASSIGN_OR_RETURN(const ProgramInput input, ReadProgram(session, arguments, word));
  if (input.form == ProgramInput::Form::kKey)
    return InvalidArgument("a key names what is compiled already");
  trace::v1::ArgumentTypes types;
  if (input.NeedsTrace()) RETURN_IF_ERROR(SetArgumentTypes(arguments, &types));
  ASSIGN_OR_RETURN(compile::v1::CompileOptions compile_options, CompileOptionsOf(arguments));
  const bool explain = ExplainInto(arguments, &compile_options);
  ASSIGN_OR_RETURN(const ProgramCalls calls, ProgramCalls::Open(session));
  ASSIGN_OR_RETURN(
      const ProgramCalls::Compiled done,
      calls.Compile(input, arguments.Has("arg_type") ? &types : nullptr, compile_options));
  const std::string path = arguments.Get("out");
  std::string explanation;
  if (!path.empty() || explain) {
    ASSIGN_OR_RETURN(const std::string bytes, calls.Package(done.result));
    if (!path.empty()) RETURN_IF_ERROR(session.files().WriteAtomically(path, bytes));
    if (explain) {
      ASSIGN_OR_RETURN(const runtime::Package package,
                       runtime::DecodePackage(cache::WithoutSeal(bytes)));
      ASSIGN_OR_RETURN(explanation, package.Find("explain"));
    }
  }
  Json json = CompileJson(done.result);
  json["program"] = word;
  std::string text = CompileText(done.result);
  if (!done.trace_key.empty()) {
    json["trace_key"] = done.trace_key;
    json["trace_timings"] = TimingsJson(done.trace_timings);
    StrAppend(&text, "\ntrace key  ", done.trace_key, "\ntrace      ",
              TimingsText(done.trace_timings));
  }
  if (!path.empty()) StrAppend(&text, "\nwrote      ", path);
  if (explain) {
    json["explain"] = explanation;
    StrAppend(&text, "\n", explanation, "\ntime by kernel of a run: megalithctl run ",
              done.result.key(), " --arg ... --profile FILE");
  }
  session.Print(json.dump(), text);
  return OkStatus();
}

constexpr auto kOwnFlags = std::to_array<FlagDef>({
    {.name = "arg_type",
     .value_name = "TYPE",
     .help = "type of an argument of the transformed program, f32[3,4] or f32[]~ (weak), in order",
     .repeated = true},
    {.name = "out",
     .value_name = "FILE",
     .help = "write the executable package there",
     .letter = 'o'},
    {.name = "explain",
     .value_name = "",
     .help = "show the program before and after each pass, fused kernels with their costs, memory, "
             "steps and buffers; what a run spends where: run --profile"},
    {.name = "ir", .value_name = "", .help = "with explain: LLVM IR of each kernel as well"},
    {.name = "assembly", .value_name = "", .help = "with explain: machine code of each kernel"},
});
constexpr auto kFlags = JoinFlags(kCompileFlags, kTraceFlags, kPolicyFlags, kOwnFlags);

constexpr CommandDef kCommands[] = {
    {.name = "compile",
     .positional = "FILE.mlir|PROGRAM",
     .min_positional = 1,
     .max_positional = 1,
     .help = "Compile StableHLO, or a jaxpr that is traced first, and print key, signature, cost "
             "and whether it was "
             "cached. The executable stays in the cache; `megalithctl run KEY` runs it.",
     .flags = kFlags,
     .run = RunCompile,
     .examples = "megalithctl compile f.mlir --target reference\n"
                 "megalithctl compile f.jaxpr --transform grad --json\n"
                 "megalithctl compile f.mlir --explain --assembly\n"
                 "megalithctl trace f.jaxpr --emit stablehlo | megalithctl compile -"},
};

}  // namespace

std::span<const CommandDef> CompileCommands() { return kCommands; }

}  // namespace megalith::cli
