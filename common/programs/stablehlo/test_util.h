// For tests only: programs with inputs and expected outputs in JSON, and comparison within
// tolerances.
#pragma once

#include <string>
#include <vector>

#include "common/programs/stablehlo/module.h"

namespace megalith::stablehlo {

struct NumericCase {
  std::vector<Tensor> inputs, outputs;
  double rtol = 0, atol = 0;
};

// The whole file; a test failure and "" if it cannot be read.
std::string ReadFileOrFail(const std::string& path);

// {"inputs": [{"dtype", "shape", "data"}], "outputs": [...], "rtol", "atol"}: data row-major,
// nested or flat lists, complex numbers as [re, im], booleans true/false, non-finite numbers as
// "nan", "inf", "-inf". dtype names are numpy's.
NumericCase ParseNumericCase(const std::string& json);

// One case of a .case file (conformance/cases/stablehlo/make_cases.py says how they look).
struct CaseFileEntry {
  std::string name, program;
  NumericCase numbers;
};
std::vector<CaseFileEntry> ReadCaseFile(const std::string& path);

// "" if `got` equals `want`: dtype and shape exactly, floats within atol * max(1, max |want|) +
// rtol * |want|, NaN equal to NaN, infinities by sign, everything else exactly. Otherwise says
// where they differ.
std::string Difference(const Tensor& got, const Tensor& want, double rtol, double atol);

// A tensor of one or more dimensions from doubles (or integers, booleans as 0 and 1).
Tensor MakeTensor(DType dtype, const Shape& shape, const std::vector<double>& values);

// Names (without directory and extension) of the files in `directory` that end in `suffix`, sorted.
std::vector<std::string> NamesIn(const std::string& directory, const std::string& suffix);

}  // namespace megalith::stablehlo
