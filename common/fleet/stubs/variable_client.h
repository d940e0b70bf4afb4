// The client of dense variables whose rows (of axis 0) are divided among parameter servers.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/fleet/stubs/shard_calls.h"
#include "common/foundation/base/status.h"
#include "common/learning/embedding/server/dense_store.h"
#include "common/learning/embedding/server/value_format.h"
#include "common/learning/embedding/table_client.h"

namespace megalith::stubs {

struct VariableClientOptions {
  ShardCalls::Options calls;
  embedding::ValueFormat format = embedding::ValueFormat::kFp32;
  std::string client_id;  // empty: a random one. Never used again by another run
};

// What a variable is, as a whole.
struct VariableSpec {
  std::vector<int64_t> shape;  // a scalar has none and lives on the first server
  embedding::RuleConfig optimizer{.name = "sgd"};
  embedding::Compatibility compatibility = embedding::Compatibility::kCorrected;
};

struct VariableGradient {
  std::string name;
  std::span<const float> values;       // of the whole variable
  std::optional<float> learning_rate;  // else as configured, warm-up included
};

// Server i holds the rows that embedding::RowsOfPart gives part i. Thread-safe.
class VariableClient {
 public:
  // One channel for each server, in order. Errors: kInvalidArgument  none.
  static Result<std::unique_ptr<VariableClient>> Make(
      std::vector<std::shared_ptr<rpc::Channel>> servers, VariableClientOptions options);
  ~VariableClient();

  // Errors of all: those of the first server that fails, with its number; kNotFound  a variable;
  // kInvalidArgument  values that do not have the variable's size; kFailedPrecondition  its rows
  // are divided otherwise than among these servers.

  // `initial` of the whole variable; empty: zeros. A variable that has the configuration stays as
  // it is, with its values. Errors: kAlreadyExists  it has another.
  Status Create(const std::string& name, const VariableSpec& spec, std::span<const float> initial,
                const Cancellation& cancellation);
  // One that some servers have dropped already is dropped from the others.
  Status Drop(const std::string& name, const Cancellation& cancellation);
  Result<std::vector<int64_t>> Shape(const std::string& name, const Cancellation& cancellation);

  // The whole variable. Each part is read between steps; parts of different servers may be of
  // different steps while somebody takes one.
  Result<std::vector<float>> Read(const std::string& name, const Cancellation& cancellation);

  // One step of each variable. Every server takes its part as a whole and once, however often it is
  // sent; after an error some may have taken theirs (see ApplyOptions::ticket; update_time has no
  // meaning). Returns elements clipped and steps left out because of values that are not finite.
  Result<int64_t> Apply(std::span<const VariableGradient> gradients,
                        const embedding::ApplyOptions& options, const Cancellation& cancellation);
  // Overwrites values, keeps optimizer state. Once, as Apply.
  Status Assign(const std::string& name, std::span<const float> values,
                const Cancellation& cancellation);

  const std::string& client_id() const { return options_.client_id; }

 private:
  struct Server;
  // Elements of one row, and how many rows.
  struct Size {
    std::vector<int64_t> shape;
    int64_t rows = 0;
    int64_t row = 0;
    int64_t elements() const { return rows * row; }
  };
  VariableClient(std::vector<std::shared_ptr<rpc::Channel>> servers, VariableClientOptions options);
  static Result<Size> SizeOf(const std::vector<int64_t>& shape);
  // As the servers say, the first time.
  Result<Size> Known(const std::string& name, const Cancellation& cancellation);
  Result<Size> Ask(const std::string& name, const Cancellation& cancellation);
  // The elements of server `s`.
  std::span<const float> PartOf(std::span<const float> values, const Size& size, size_t s) const;
  void Forget(const std::string& name);

  const VariableClientOptions options_;
  std::vector<std::unique_ptr<Server>> servers_;
  std::mutex mu_;
  std::map<std::string, Size> known_;  // guarded by mu_
  ShardCalls calls_;                   // ends first: its calls use the servers
};

}  // namespace megalith::stubs
