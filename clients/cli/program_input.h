// What PROGRAM on a command line means, and the flags that go with it.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "clients/cli/array_spec.h"
#include "clients/cli/command.h"
#include "common/foundation/base/status.h"
#include "megalith/compile/v1/compile.pb.h"
#include "megalith/trace/v1/trace.pb.h"

namespace megalith::cli {

class Session;

inline constexpr std::array kTraceFlags = std::to_array<FlagDef>({
    {.name = "transform",
     .value_name = "T",
     .help = "a transform, innermost first: jit, grad:argnums=0,1, "
             "vmap:in_axes=0,None;axis_size=3, ...",
     .repeated = true},
    {.name = "const",
     .value_name = "ARRAY",
     .help = "values of the program's constvars, in order",
     .repeated = true},
    {.name = "rule",
     .value_name = "FILE",
     .help = "JSON with rules of custom functions, in order of the calls",
     .repeated = true},
    {.name = "fun_name",
     .value_name = "NAME",
     .help = "name of the source function; default: <lambda>"},
    {.name = "x64", .value_name = "", .help = "64-bit mode: i64 and f64 stay what they are"},
    {.name = "trace_option",
     .value_name = "NAME=TEXT",
     .help = "an option of the trace service",
     .repeated = true},
});
inline constexpr std::array kPolicyFlags = std::to_array<FlagDef>({
    {.name = "policy",
     .value_name = "POLICY",
     .help = "what to do with unknown options",
     .words = "strict hardened"},
});
inline constexpr std::array kCompileFlags = std::to_array<FlagDef>({
    {.name = "target",
     .value_name = "TARGET",
     .help = "what to compile for; default: the service's"},
    {.name = "option",
     .value_name = "NAME=TEXT",
     .help = "an option of the compiler",
     .repeated = true},
    {.name = "ignore_cache", .value_name = "", .help = "compile even if the cache has the result"},
    {.name = "priority",
     .value_name = "PRIORITY",
     .help = "who waits for the compilation; default: interactive",
     .words = "interactive batch background"},
    {.name = "client",
     .value_name = "NAME",
     .help = "for whom it is: clients take turns in the compile queue"},
});

struct ProgramInput {
  enum class Form { kSource, kStablehlo, kKey };
  Form form = Form::kSource;
  std::string name;  // as the user wrote it
  // Form::kSource and Form::kStablehlo, with its stack and options.
  trace::v1::ProgramSource source;
  std::vector<trace::v1::Transform> stack;
  trace::v1::TraceOptions trace_options;
  // Form::kKey.
  std::string key;

  // True for a program that has to be traced before it is compiled: everything but a StableHLO
  // program without transforms.
  bool NeedsTrace() const {
    return form == Form::kSource ||
           (form == Form::kStablehlo && (!stack.empty() || !trace_options.extra().empty()));
  }
  // The program of Form::kStablehlo as the compile service takes it.
  void SetProgramOf(compile::v1::CompileRequest* request) const;

  // For Trace and Lower.
  template <typename Request>
  Request RequestOf() const {
    Request request;
    *request.mutable_source() = source;
    for (const trace::v1::Transform& t : stack) *request.add_stack() = t;
    *request.mutable_options() = trace_options;
    return request;
  }
};

// Reads what `word` names: "-" is standard input; 64 hexadecimal digits without a file of that name
// are a key; portable artifacts and jax.export's files are known by their bytes; ".pb" is what
// `trace --emit=proto` wrote; ".mlir" and what looks like a module are StableHLO; everything else
// is jaxpr text. Errors: kInvalidArgument  a wrong
// flag, a transform of a program that cannot have one, a file that is empty; kNotFound;
// kResourceExhausted.
Result<ProgramInput> ReadProgram(Session& session, const Arguments& arguments,
                                 const std::string& word);

// The arrays of the flags --arg. Numbers without a type have 64 bits where the program has types of
// its own, so that they lose nothing on the way; elsewhere as --x64 says.
Result<std::vector<ArrayValue>> ReadProgramArguments(Session& session, const Arguments& arguments,
                                                     const ProgramInput& input);

// The flags of kCompileFlags and kPolicyFlags.
Result<compile::v1::CompileOptions> CompileOptionsOf(const Arguments& arguments);

// The flag --arg_type, whose values stand for the arguments. Errors: kInvalidArgument.
Status SetArgumentTypes(const Arguments& arguments, trace::v1::ArgumentTypes* out);

}  // namespace megalith::cli
