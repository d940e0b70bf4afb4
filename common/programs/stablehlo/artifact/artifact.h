// StableHLO portable artifacts: programs as VHLO operations in MLIR bytecode, which JAX and every
// other producer of StableHLO writes and reads (docs/formats/stablehlo-artifact.md).
#pragma once

#include <string>
#include <string_view>

#include "common/programs/stablehlo/artifact/vhlo_table.h"
#include "common/programs/stablehlo/module.h"
#include "common/programs/stablehlo/parser.h"

namespace megalith::stablehlo::artifact {

// True if the bytes begin as MLIR bytecode does.
bool LooksLikeArtifact(std::string_view bytes);

struct ReadOptions {
  stablehlo::Limits limits;
  // Check the result with stablehlo::Verify.
  bool verify = true;
};

// The module in an artifact of any version from 0.9.0 on. Text of the same module (ParseModule)
// gives an equal module, locations aside. What only says how data lies on several devices is kept
// as text or dropped. Memory and time: linear in bytes.size(). Thread-safe.
// Errors, with the offset or the function, operation and location: kInvalidArgument (damaged, or
// not a valid program), kUnimplemented (an op, attribute or type that this library does not have,
// dynamic dimensions, quantized types, several devices), kFailedPrecondition (a newer format),
// kResourceExhausted (a limit).
Result<stablehlo::Module> ReadArtifact(std::string_view bytes, const ReadOptions& options = {});

struct WriteOptions {
  // Of VHLO: the oldest reader that is to understand the artifact.
  Version version = 1'013'000;
};

// An artifact that ReadArtifact and jaxlib read. Locations are unknown, and so is what lies where
// on several devices. Requires a module that Verify accepts.
// Errors: kInvalidArgument (a version outside kOldestVersion to kNewestVersion),
// kFailedPrecondition (an op, attribute or type that this version does not have), kUnimplemented
// (chlo ops that have no portable form).
Result<std::string> WriteArtifact(const stablehlo::Module& module,
                                  const WriteOptions& options = {});

}  // namespace megalith::stablehlo::artifact
