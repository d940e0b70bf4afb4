// Dense variables: arrays of float32 with optimizer state, by name, each wholly or a range of its
// rows (axis 0) in one server.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/foundation/base/status.h"
#include "common/learning/embedding/gradients.h"
#include "common/learning/embedding/optimizers/optimizer.h"
#include "common/learning/embedding/table_config.h"

namespace megalith::embedding {

// What a variable is.
struct DenseConfig {
  std::vector<int64_t> shape;  // of the whole variable; a scalar has none
  // The rows that this server holds: [row_begin, row_end) of axis 0. A scalar is one row.
  int64_t row_begin = 0;
  int64_t row_end = 0;
  RuleConfig optimizer{.name = "sgd"};
  Compatibility compatibility = Compatibility::kCorrected;
  bool operator==(const DenseConfig&) const = default;
};

// The rows of axis 0 that part `index` of `parts` holds: as even as can be, earlier ones larger.
struct RowRange {
  int64_t begin = 0;
  int64_t end = 0;
};
RowRange RowsOfPart(int64_t rows, int index, int parts);

// The values and state of a variable at one moment; immutable.
struct DenseState {
  std::vector<float> values;
  std::vector<std::byte> state;  // the optimizer's, row by row or, if rows are independent, at once
  int64_t updates = 0;           // steps and assignments so far
};

// One gradient step of a variable.
struct DenseGradient {
  std::span<const float> values;  // of the rows held
  float learning_rate = 0;
  bool has_learning_rate = false;  // else as configured, warm-up included
  int64_t global_step = 0;
  NonFinite non_finite = NonFinite::kReject;
};

// Threads: every method may be called concurrently; steps of one variable are taken one after the
// other, and readers see whole steps. Cost of reading: a pointer. A step copies the variable only
// if somebody still reads the moment before.
class DenseStore {
 public:
  struct Options {
    uint64_t max_bytes = UINT64_MAX;  // of values and state of all variables
    size_t max_variables = 1 << 16;
  };
  explicit DenseStore(Options options) : options_(options) {}

  // `initial` are the values of the rows held; empty: zeros.
  // Errors: kAlreadyExists  the name with another configuration (with the same nothing happens);
  //         kInvalidArgument  shape, range, optimizer, initial values; kResourceExhausted.
  Status Create(const std::string& name, const DenseConfig& config, std::span<const float> initial);

  // Errors: kNotFound.
  Status Drop(const std::string& name);

  struct Variable {
    DenseConfig config;
    std::shared_ptr<const DenseState> state;
  };
  // Errors: kNotFound.
  Result<Variable> Get(std::string_view name) const;
  // All, by name, each as it is when it is reached. Under a gate that keeps writers out: at one
  // moment, and quick.
  std::map<std::string, Variable> Snapshot() const;

  // All that can fail of a step: Apply then succeeds while the variable exists.
  // Errors: kNotFound; kInvalidArgument  the size, a value that is not finite under kReject.
  Status Check(const std::string& name, const DenseGradient& gradient) const;
  struct StepReport {
    int64_t non_finite = 0;  // elements clipped; under kSkip 1 for the whole step, not taken
    bool guarded = false;    // some element took no step: a learning rate or denominator of zero
    int64_t updates = 0;
  };
  Result<StepReport> Apply(const std::string& name, const DenseGradient& gradient);

  // Overwrites the rows held, keeps optimizer state. Errors: as Check.
  Status Assign(const std::string& name, std::span<const float> values);

  // Every variable in bytes (docs/formats/dense-variables.md), and back.
  static std::string Encode(const std::map<std::string, Variable>& variables);
  // Replaces all variables. Errors: kDataLoss  the bytes are damaged; those of Create. Nothing has
  // changed then.
  Status Restore(std::string_view bytes);
  // The two halves of Restore: all that can fail, and the replacement, which takes microseconds.
  Result<std::function<void()>> PrepareRestore(std::string_view bytes);

  uint64_t bytes() const;

 private:
  struct Entry;
  Result<std::shared_ptr<Entry>> Find(std::string_view name) const;
  static Result<std::shared_ptr<Entry>> MakeEntry(const DenseConfig& config,
                                                  std::span<const float> initial, uint64_t room);

  const Options options_;
  mutable std::shared_mutex mu_;
  std::map<std::string, std::shared_ptr<Entry>, std::less<>> entries_;  // guarded by mu_
  uint64_t bytes_ = 0;                                                  // guarded by mu_
};

}  // namespace megalith::embedding
