// What a signature runs.
#pragma once

#include <cstdint>
#include <vector>

#include "common/foundation/base/cancellation.h"
#include "common/learning/serving/value.h"

namespace megalith::serving {

// Type of one argument or result. Dimension -1 stands for the number of rows of a request, and only
// at position 0.
struct ProgramType {
  DataType dtype = DataType::kInvalid;
  std::vector<int64_t> dims;
  friend bool operator==(const ProgramType&, const ProgramType&) = default;
};

// A function of tensors. Thread-safe: runs may overlap.
class Program {
 public:
  virtual ~Program() = default;
  virtual const std::vector<ProgramType>& inputs() const = 0;
  virtual const std::vector<ProgramType>& outputs() const = 0;
  // `arguments` have the types of inputs(), with one number of rows; results have those of
  // outputs(). Errors: those of the program and of `cancellation`.
  virtual Result<std::vector<Value>> Run(std::vector<Value> arguments,
                                         const Cancellation& cancellation) const = 0;
};

}  // namespace megalith::serving
