// One form for all spellings of a program: what cache keys are made from, and what is compiled.
#pragma once

#include <string>

#include "common/programs/stablehlo/module.h"
#include "common/programs/stablehlo/parser.h"

namespace megalith::stablehlo {

// The same program as one public function @main:
// * calls and composites inlined; a composite that names a chlo op we have becomes that op,
// chlo.square, chlo.tan and
//   chlo.atan become the StableHLO ops that artifacts have in their place;
// * names, locations, module and function attributes, and attributes without meaning gone; defaults
// written out;
// * ops that do nothing removed (a convert to the same type, a full slice, a collective or a
// sharding on one device);
// * constants in the outermost region, each value once; equal pure ops of one region once; ops
// nobody needs removed;
// * ops in the order in which the results need them, which depends on nothing but the data flow and
// the order of
//   effects.
// So renaming values and functions and reordering independent ops do not change it, nor does
// inlining by the producer. It evaluates to the same numbers. Applying it twice is applying it
// once.
//
// Requires a module that Verify accepts. Errors: kInvalidArgument (no entry function),
// kUnimplemented (a custom call with called computations), kResourceExhausted (inlining gives more
// than limits.max_ops ops). Cost: linear in the size after inlining.
Result<Module> Canonicalize(const Module& module, const Limits& limits = {});

// EncodeModule(Canonicalize(module)): equal for programs with one canonical form. DecodeModule
// (codec.h) gives the canonical module back.
Result<std::string> CanonicalBytes(const Module& module, const Limits& limits = {});

}  // namespace megalith::stablehlo
