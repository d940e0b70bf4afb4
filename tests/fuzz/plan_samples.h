// What the harnesses of compiled programs share: plans and packages made when the harness starts,
// damage to them as the input says, and a run of what is still accepted.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/machines/runtime/executable.h"
#include "common/machines/runtime/package.h"
#include "common/machines/runtime/plan.h"

namespace megalith::fuzz {

// The package of a small random program (tests/property), without machine code; of odd numbers, one
// that is given its inputs. Cheap after the first call with the same number.
const runtime::Package& SamplePackage(uint8_t number);

// `bytes` changed by every four bytes of `edits`: a place (two bytes, scaled to the size), what to
// do there, and with which value.
std::string Damaged(std::string bytes, std::string_view edits);

// True if arrays, loops and trip counts are small enough to run in a moment.
bool IsSmall(const runtime::Plan& plan);
// Runs `executable` on zeros, kept and given, for a fifth of a second at most. Any error is an
// answer.
void RunOnZeros(const runtime::Executable& executable);
std::vector<tensor::Tensor> Zeros(const runtime::Signature& signature);

}  // namespace megalith::fuzz
