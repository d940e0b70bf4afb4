// Runs oracle records through a fleet and counts on which levels the answers agree.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "clients/cli/conformance/record.h"
#include "common/fleet/rpc/channel.h"
#include "common/fleet/stubs/program_clients.h"
#include "megalith/compile/v1/compile.pb.h"

namespace megalith::conformance {

// One level on which one record failed: "record", "error", "text", "dag" or "values".
struct Failure {
  std::string id;
  std::string level;
  std::string reason;
};

// Which levels one record passed; nullopt: the level does not apply to it.
struct Outcome {
  std::optional<bool> error;
  std::optional<bool> text;
  std::optional<bool> dag;
  std::optional<bool> values;
  std::vector<Failure> failures;
};

// Counts of one family; nullopt: no record of the family has the level.
struct FamilyReport {
  int64_t cases = 0;
  std::optional<int64_t> error;
  std::optional<int64_t> text;
  std::optional<int64_t> dag;
  std::optional<int64_t> values;
  std::vector<Failure> failures;

  void Add(const Outcome& outcome);
};

// Thread-safe.
class Runner {
 public:
  Runner(const std::shared_ptr<rpc::Channel>& channel, rpc::CallOptions options,
         compile::v1::CompileOptions compile);

  // Reads, executes, and only then reads what is expected. `where` names a record that cannot be
  // read.
  Outcome Run(std::string_view line, std::string_view where) const;

 private:
  // What the fleet made of a record. A program that traces but does not run still has a text.
  struct Answer {
    Result<std::string> text;
    Result<std::vector<tensor::Tensor>> outputs;  // the same error if there is no text
  };
  Answer Ask(const Record& record) const;
  Result<std::vector<tensor::Tensor>> Execute(const Record& record,
                                              const trace::v1::TraceRequest& request,
                                              const trace::v1::TraceResponse& traced) const;

  const stubs::TraceClient trace_;
  const stubs::CompileClient compile_;
  const stubs::ExecuteClient execute_;
  const rpc::CallOptions options_;
  const compile::v1::CompileOptions compile_options_;
};

// One record of a file.
struct Line {
  std::string family;  // from the record, or the file's name if that cannot be read
  std::string where;   // "lax.jsonl:12"
  std::string text;
};

// All records on `threads` threads; `on_done` is called after each, on some thread, one at a time.
std::map<std::string, FamilyReport> RunAll(const Runner& runner, const std::vector<Line>& lines,
                                           int threads,
                                           const std::function<void(size_t done)>& on_done);

}  // namespace megalith::conformance
