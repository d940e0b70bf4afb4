// megalithctl convert: StableHLO from one form to another, without a fleet.
#include <nlohmann/json.hpp>

#include "clients/cli/families.h"
#include "clients/cli/program_input.h"
#include "clients/cli/session.h"
#include "common/foundation/base/bytes.h"
#include "common/foundation/base/strings.h"
#include "common/programs/stablehlo/artifact/jax_export.h"
#include "common/programs/stablehlo/parser.h"
#include "common/programs/stablehlo/printer.h"

namespace megalith::cli {
namespace {

using Json = nlohmann::json;

Result<std::string> Emit(const Arguments& arguments, const stablehlo::Module& module,
                         bool as_artifact) {
  if (!as_artifact) return stablehlo::PrintModule(module);
  stablehlo::artifact::WriteOptions options;
  if (arguments.Has("version")) {
    ASSIGN_OR_RETURN(
        options.version,
        stablehlo::artifact::ParseVersion(arguments.Get("version")).Annotate("--version"));
  }
  return stablehlo::artifact::WriteArtifact(module, options);
}

Status RunConvert(Session& session, const Arguments& arguments) {
  const std::string& word = arguments.positional()[0];
  ASSIGN_OR_RETURN(const ProgramInput input, ReadProgram(session, arguments, word));
  if (input.form != ProgramInput::Form::kStablehlo)
    return InvalidArgument(StrCat("'", Printable(word), "' is no StableHLO"));
  const trace::v1::ProgramSource& source = input.source;
  const bool was_text = source.stablehlo_artifact().empty();
  ASSIGN_OR_RETURN(const stablehlo::Module module,
                   was_text
                       ? stablehlo::ParseModule(source.stablehlo_text())
                       : stablehlo::artifact::ReadArtifactOrExport(source.stablehlo_artifact()));
  const bool versioned = arguments.Has("version");
  const bool as_artifact =
      arguments.Get("emit", was_text || versioned ? "artifact" : "text") == "artifact";
  if (versioned && !as_artifact)
    return InvalidArgument("--version is of artifacts; text has none: leave out --emit text");
  ASSIGN_OR_RETURN(const std::string content, Emit(arguments, module, as_artifact));
  const std::string path = arguments.Get("out");
  if (!path.empty()) RETURN_IF_ERROR(session.files().WriteAtomically(path, content));
  if (session.json()) {
    Json json = {{"program", word}, {"bytes", content.size()}};
    if (path.empty() && as_artifact) json["content_base64"] = Base64Encode(AsBytes(content));
    if (path.empty() && !as_artifact) json["content"] = content;
    session.Print(json.dump(), "");
  } else if (path.empty()) {
    session.Write(content);
  } else {
    session.Print("", StrCat("wrote    ", path, " (", content.size(), " bytes)"));
  }
  return OkStatus();
}

constexpr auto kFlags = std::to_array<FlagDef>({
    {.name = "emit",
     .value_name = "FORM",
     .help = "what to write; default: an artifact for text and with --version, else text",
     .words = "text artifact"},
    {.name = "version",
     .value_name = "VERSION",
     .help = "of StableHLO that is to read the artifact, 0.9.0 or newer; default: 1.13.0"},
    {.name = "out",
     .value_name = "FILE",
     .help = "write there instead of standard output",
     .letter = 'o'},
});

constexpr CommandDef kCommands[] = {
    {.name = "convert",
     .positional = "PROGRAM",
     .min_positional = 1,
     .max_positional = 1,
     .help = "Write StableHLO in another form: text as a portable artifact that JAX and other "
             "readers of StableHLO take, an artifact or a file of jax.export as text. Needs no "
             "fleet.",
     .flags = kFlags,
     .run = RunConvert,
     .examples = "megalithctl convert f.mlirbc\n"
                 "megalithctl convert f.mlir --version 1.9.0 -o f.mlirbc\n"
                 "megalithctl convert f.jaxexport --emit artifact -o f.mlirbc"},
};

}  // namespace

std::span<const CommandDef> ConvertCommands() { return kCommands; }

}  // namespace megalith::cli
