// megalithctl trace: transform programs and print what comes out.
#include <nlohmann/json.hpp>

#include "clients/cli/families.h"
#include "clients/cli/program_input.h"
#include "clients/cli/reports.h"
#include "clients/cli/session.h"
#include "common/fleet/stubs/program_clients.h"
#include "common/foundation/base/bytes.h"
#include "common/foundation/base/strings.h"

namespace megalith::cli {
namespace {

using Json = nlohmann::json;
namespace v1 = trace::v1;

// One traced program, whichever of the two calls made it.
struct Emitted {
  std::string content;  // text or bytes
  Json json;
  std::string summary;
};

template <typename Response>
void Describe(const std::string& name, const Response& response, Emitted* out) {
  Json steps = Json::array();
  out->summary = StrCat("key      ", response.key(), "\ntypes    ",
                        SignatureText(response.in_avals(), response.out_avals()));
  for (const v1::TransformStep& s : response.steps()) {
    steps.push_back({{"transform", s.transform()},
                     {"eqns_in", s.eqns_in()},
                     {"eqns_out", s.eqns_out()},
                     {"seconds", s.seconds()}});
    StrAppend(&out->summary, "\nstep     ", s.transform(), ": ", s.eqns_in(), " -> ", s.eqns_out(),
              " equations, ", SecondsText(s.seconds()));
  }
  StrAppend(&out->summary, "\ntimings  ", TimingsText(response.timings()));
  out->json = {{"program", name},
               {"key", response.key()},
               {"key_components", ComponentsJson(response.key_components())},
               {"inputs", TypesJson(response.in_avals())},
               {"outputs", TypesJson(response.out_avals())},
               {"steps", steps},
               {"timings", TimingsJson(response.timings())},
               {"ids", IdsJson(response.ids())}};
}

Result<Emitted> EmitModule(const stubs::TraceClient& client, const v1::LowerRequest& request,
                           const std::string& name, const rpc::CallOptions& options) {
  ASSIGN_OR_RETURN(const v1::LowerResponse response, client.Lower(request, options));
  Emitted out;
  Describe(name, response, &out);
  out.content = response.stablehlo_text();
  out.json["canonical_digest"] = response.canonical_digest();
  return out;
}

Result<Emitted> EmitProgram(const stubs::TraceClient& client, v1::TraceRequest request,
                            bool as_bytes, const std::string& name,
                            const rpc::CallOptions& options) {
  request.mutable_options()->set_omit_text(as_bytes);
  request.mutable_options()->set_omit_program(!as_bytes);
  ASSIGN_OR_RETURN(const v1::TraceResponse response, client.Trace(request, options));
  if (as_bytes && response.program_bytes().empty())
    return Unimplemented("the fleet does not answer with program bytes");
  Emitted out;
  Describe(name, response, &out);
  out.content = as_bytes ? response.program_bytes() : response.jaxpr_text();
  return out;
}

Result<Emitted> TraceOne(Session& session, const Arguments& arguments, const std::string& word) {
  ASSIGN_OR_RETURN(const ProgramInput input, ReadProgram(session, arguments, word));
  if (input.form == ProgramInput::Form::kKey) {
    return InvalidArgument(
        StrCat("'", Printable(word), "' is a key; trace takes jaxprs and StableHLO"));
  }
  ASSIGN_OR_RETURN(auto channel, session.Fleet());
  ASSIGN_OR_RETURN(const rpc::CallOptions options, session.CallOptions());
  const stubs::TraceClient client(std::move(channel));
  const auto complete = [&](auto request) -> Result<decltype(request)> {
    if (arguments.Has("arg_type"))
      RETURN_IF_ERROR(SetArgumentTypes(arguments, request.mutable_arguments()));
    ASSIGN_OR_RETURN(const int64_t width, arguments.GetPositive("width", 80));
    if (arguments.Has("width"))
      request.mutable_options()->mutable_print()->set_width(
          static_cast<uint32_t>(std::min<int64_t>(width, UINT32_MAX)));
    return request;
  };
  const auto bar = session.Progress(StrCat("trace ", word));
  bar->Update(0, "");
  const std::string emit = arguments.Get("emit", "text");
  if (emit == "stablehlo") {
    ASSIGN_OR_RETURN(const v1::LowerRequest request, complete(input.RequestOf<v1::LowerRequest>()));
    return EmitModule(client, request, word, options);
  }
  ASSIGN_OR_RETURN(v1::TraceRequest request, complete(input.RequestOf<v1::TraceRequest>()));
  return EmitProgram(client, std::move(request), emit == "proto", word, options);
}

// The content goes to the file or, without one, to standard output alone, so that it can be piped
// on.
Status Deliver(Session& session, const Arguments& arguments, const Emitted& emitted) {
  const std::string path = arguments.Get("out");
  if (!path.empty()) {
    RETURN_IF_ERROR(session.files().WriteAtomically(
        path, emitted.content + (arguments.Get("emit") == "proto" ? "" : "\n")));
    if (!session.json()) session.Print("", StrCat(emitted.summary, "\nwrote    ", path));
    return OkStatus();
  }
  if (session.json()) return OkStatus();
  session.Write(emitted.content);
  if (arguments.Get("emit") != "proto" && !emitted.content.ends_with('\n')) session.Write("\n");
  session.Note(emitted.summary);
  return OkStatus();
}

Status RunTrace(Session& session, const Arguments& arguments) {
  const std::vector<std::string>& words = arguments.positional();
  if (arguments.Has("out") && words.size() > 1)
    return InvalidArgument(StrCat("flag --out takes one program, got ", words.size()));
  Json programs = Json::array();
  for (const std::string& word : words) {
    Result<Emitted> emitted = TraceOne(session, arguments, word);
    if (!emitted.ok()) return emitted.status().Annotate(StrCat("program '", Printable(word), "'"));
    if (words.size() > 1) session.Note(StrCat("# ", word));
    RETURN_IF_ERROR(Deliver(session, arguments, *emitted));
    if (!arguments.Has("out")) {
      const bool bytes = arguments.Get("emit") == "proto";
      emitted->json[bytes ? "content_base64" : "content"] =
          bytes ? Base64Encode(AsBytes(emitted->content)) : emitted->content;
    }
    programs.push_back(std::move(emitted->json));
  }
  if (session.json()) session.Print(Json{{"programs", programs}}.dump(), "");
  return OkStatus();
}

constexpr auto kOwnFlags = std::to_array<FlagDef>({
    {.name = "arg_type",
     .value_name = "TYPE",
     .help = "type of an argument of the transformed program, f32[3,4] or f32[]~ (weak), in order",
     .repeated = true},
    {.name = "emit",
     .value_name = "FORM",
     .help = "what to print; default: text",
     .words = "text stablehlo proto"},
    {.name = "width", .value_name = "N", .help = "columns of the text; default: 80"},
    {.name = "out",
     .value_name = "FILE",
     .help = "write there instead of standard output",
     .letter = 'o'},
});
constexpr auto kFlags = JoinFlags(kTraceFlags, kPolicyFlags, kOwnFlags);

constexpr CommandDef kCommands[] = {
    {.name = "trace",
     .positional = "PROGRAM...",
     .min_positional = 1,
     .max_positional = -1,
     .help =
         "Apply transforms to programs and print the result, as jaxpr text, StableHLO or "
         "bytes. PROGRAM is a file "
         "with jaxpr text or StableHLO (text, a portable artifact, an export of JAX), '-' for "
         "standard input, or a .pb file that --emit=proto wrote. StableHLO is raised to a jaxpr "
         "first, unless --emit=stablehlo wants it as it is. Key, "
         "steps and timings go "
         "to standard error, or to standard output with --out.",
     .flags = kFlags,
     .run = RunTrace,
     .examples = "megalithctl trace f.jaxpr --transform grad --transform jit\n"
                 "megalithctl trace f.jaxpr --transform 'vmap:in_axes=0,None;axis_size=8' --emit "
                 "stablehlo -o f.mlir\n"
                 "megalithctl trace - --arg-type f32[] --json < f.jaxpr"},
};

}  // namespace

std::span<const CommandDef> TraceCommands() { return kCommands; }

}  // namespace megalith::cli
