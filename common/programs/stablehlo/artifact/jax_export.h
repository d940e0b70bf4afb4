// What jax.export.Exported.serialize() writes: a portable artifact with the calling convention of
// the function it came from (docs/formats/stablehlo-artifact.md).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/foundation/base/status.h"
#include "common/programs/stablehlo/artifact/artifact.h"
#include "common/programs/stablehlo/module.h"

namespace megalith::stablehlo::artifact {

// True if the bytes are a FlatBuffer that holds a portable artifact where an export has it.
bool LooksLikeExport(std::string_view bytes);

struct ExportOptions {
  ReadOptions artifact;
  // Names of the platform that the program will run on. Of an export for several, it takes the code
  // of the first name here that the export has.
  std::vector<std::string> platforms = {"megalith", "cpu"};
};

struct Export {
  std::string function_name;
  // Those it was made for.
  std::vector<std::string> platforms;
  // @main takes the function's flat arguments, those it does not use included, and gives its flat
  // results. PRNG keys are their u32 words, float0 is i1.
  stablehlo::Module module;
};

// Reads and checks an export. Errors: those of ReadArtifact; kInvalidArgument (arguments or results
// that contradict @main), kFailedPrecondition (a version of the format or of the calling convention
// that is not known, another platform), kUnimplemented (symbolic dimensions, ordered effects,
// several devices).
Result<Export> ReadExport(std::string_view bytes, const ExportOptions& options = {});

// The module in a portable artifact or in an export, whichever the bytes are. Errors: those of
// ReadArtifact and ReadExport; kInvalidArgument (neither).
Result<stablehlo::Module> ReadArtifactOrExport(std::string_view bytes,
                                               const ExportOptions& options = {});

}  // namespace megalith::stablehlo::artifact
