// Runs oracle records through a fleet and counts on which levels the answers agree.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "clients/cli/conformance/record.h"
#include "clients/cli/conformance/report.h"
#include "common/fleet/rpc/channel.h"
#include "common/fleet/stubs/program_clients.h"
#include "megalith/compile/v1/compile.pb.h"

namespace megalith::conformance {

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
Reports RunAll(const Runner& runner, const std::vector<Line>& lines, int threads,
               const std::function<void(size_t done)>& on_done);

}  // namespace megalith::conformance
