// Programs from files: StableHLO that a backend compiles when a model is loaded.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "common/learning/serving/program.h"
#include "common/machines/runtime/backend.h"

namespace megalith::serving {

// What is in `bytes`: a jax.export blob, a portable artifact, StableHLO text, or an executable
// package (whose plan is run, but no machine code in it). The code goes through the first backend
// of `backends`. Of no type has a dimension -1. Thread-safe.
// Errors: those of stablehlo::artifact::ReadArtifactOrExport, ParseModule and of the backend;
// kUnimplemented  an argument or result of a type that TensorFlow Serving cannot carry.
Result<std::shared_ptr<const Program>> LoadProgram(std::string_view bytes,
                                                   const runtime::BackendRegistry& backends,
                                                   const Cancellation& cancellation);

// True for bytes that LoadProgram takes for a program, as far as their beginning tells.
bool LooksLikeProgram(std::string_view bytes);

// A program whose rows do not depend on each other, for any number of rows: batches are filled up
// with copies of the last row, or cut. `program` takes and gives `rows` of them in dimension 0 of
// every argument with true in `batched` and of every result.
// Errors: kInvalidArgument  arguments or results that are not so.
Result<std::shared_ptr<const Program>> MakeRowwise(std::shared_ptr<const Program> program,
                                                   const std::vector<bool>& batched);

}  // namespace megalith::serving
