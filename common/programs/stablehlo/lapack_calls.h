// The custom calls that JAX's own CPU lowerings make: `lapack_<type><routine>_ffi`. Which there
// are, what they are called with, and how a call's types and configuration are read.
//
// Matrices of such calls are column-major in memory; the layouts in the attributes say so. Arrays
// here are logical, and layouts are only checked.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "common/foundation/base/status.h"
#include "common/programs/stablehlo/kernels/prepare.h"
#include "common/programs/stablehlo/module.h"

namespace megalith::stablehlo {

enum class LapackRoutine : uint8_t {
  kPotrf,
  kGetrf,
  kTrsm,
  kGeqrf,
  kGeqp3,
  kOrgqr,
  kGesdd,
  kGesvd,
  kSyevd,
  kGeev,
  kGees,
  kGehrd,
  kSytrd,
  kGtsv,
};

// One routine; the call targets of its four element types share the row.
struct LapackRow {
  LapackRoutine routine;
  std::string_view real, complex;  // names within targets: "syevd", "heevd"
  // Types: a letter for the elements (T those of the call, R their real part, C their complex one,
  // I i32), then one per dimension after the batch. m and n are the sizes of the first operand, k
  // the smaller one, h is n - 1; p and q depend on the configuration; others stand for any size.
  std::string_view operands;
  std::string_view results, complex_results;  // the latter empty: as for real elements
  // The letters of the configuration in order, each with the values it may have: "uplo:LU".
  std::string_view options;
  PrepareRule* prepare;
};

// A call whose types and configuration are right.
struct LapackCall {
  const LapackRow* row = nullptr;
  Shape batch;
  std::vector<char> options;  // in the order of the row
  char option(size_t i) const { return options[i]; }
};

std::span<const LapackRow> LapackRows();
// nullptr unless `target` names a routine and an element type.
const LapackRow* FindLapackRow(std::string_view target);

// Requires an op that is a custom call of such a target; `results` are its result types. Errors:
// kInvalidArgument (number or types of operands or results, layouts, a value of the configuration
// that is missing or unknown: says which one, found and wanted).
Result<LapackCall> ReadLapackCall(const Op& op, const Func& func,
                                  std::span<const TensorType> results);
// The same while kernels are made.
Result<LapackCall> ReadLapackCall(Planner& planner, const Op& op);

}  // namespace megalith::stablehlo
