// Makes a failing program small.
#pragma once

#include <functional>
#include <string>

#include "tests/property/random_program.h"

namespace megalith::property {

// `program` with as much left out as it can do without for `fails` to hold: one output kept,
// operations replaced by an input with the value they had, or by an operand of their type, and
// nothing that is not used. `fails` must hold for `program`; it is asked at most `max_tries` times.
RandomProgram Shrink(RandomProgram program, const std::function<bool(const RandomProgram&)>& fails,
                     int max_tries);

// The program and its inputs, for people.
std::string ProgramText(const RandomProgram& program);

}  // namespace megalith::property
