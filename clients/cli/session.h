// What a command works with: the fleet, files, output.
#pragma once

#include <cstdint>
#include <functional>
#include <istream>
#include <memory>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "clients/cli/command.h"
#include "common/fleet/rpc/channel.h"
#include "common/fleet/rpc/dial.h"
#include "common/foundation/base/cancellation.h"
#include "common/foundation/base/file_system.h"
#include "common/foundation/base/status.h"
#include "services/allinone/fleet.h"

namespace megalith::cli {

// A table for people: columns as wide as they need, no lines drawn.
class TextTable {
 public:
  explicit TextTable(std::vector<std::string> header) { rows_.push_back(std::move(header)); }
  void Add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  std::string Render() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

// One line on a terminal that shows how far the work is; nothing anywhere else. Not thread-safe.
class ProgressBar {
 public:
  // `out` must outlive the bar; `enabled` says whether it is a terminal that a person looks at.
  ProgressBar(std::ostream& out, bool enabled, std::string label)
      : out_(out), enabled_(enabled), label_(std::move(label)) {}
  // Wipes the line.
  ~ProgressBar();
  // `fraction` from 0 to 1; redraws only if something changes.
  void Update(double fraction, std::string_view note);

 private:
  std::ostream& out_;
  const bool enabled_;
  const std::string label_;
  std::string shown_;
};

// Made once per run of the program. Not thread-safe.
class Session {
 public:
  struct Environment {
    std::ostream* out = nullptr;  // results
    std::ostream* err = nullptr;  // progress and errors
    bool err_is_terminal = false;
    FileSystem* files = nullptr;
    const Cancellation* cancellation = nullptr;  // Ctrl-C; may be nullptr
    services::Engines engines;                   // of the fleet inside this process
    std::span<const CommandDef* const> commands;
    std::istream* in = nullptr;  // standard input; may be nullptr: empty
  };
  Session(Environment environment, const Arguments& arguments)
      : environment_(std::move(environment)), arguments_(arguments) {}

  // The fleet at --address, or one that is started inside this process at the first call.
  // Errors: those of the TLS files or of starting.
  Result<std::shared_ptr<rpc::Channel>> Fleet();
  // The servers at --address, which may be several, divided by commas, or all tasks of a target
  // (rpc::DialShards). Errors: as Fleet;
  // kInvalidArgument without an address.
  Result<std::vector<std::shared_ptr<rpc::Channel>>> Servers();
  // nullptr unless the fleet runs inside this process.
  services::EmbeddedFleet* embedded() { return embedded_.get(); }
  // Deadline and cancellation of outgoing calls. Errors: a wrong --timeout_ms.
  Result<rpc::CallOptions> CallOptions() const;
  // TLS and discovery of this command, for rpc::Dial.
  rpc::DialOptions DialOptions() const;

  bool json() const { return arguments_.Has("json"); }
  // Prints `json` (one document) or `text`, as the user asked; adds the line end.
  void Print(std::string_view json, std::string_view text);
  // Raw bytes, for results that are files.
  void Write(std::string_view bytes) { *environment_.out << bytes; }
  // A remark beside the result, for people: to standard error, not with --json or --quiet.
  void Note(std::string_view text);
  std::unique_ptr<ProgressBar> Progress(std::string label);
  // All of standard input. Errors: kResourceExhausted  more than `max_bytes`.
  Result<std::string> ReadInput(uint64_t max_bytes);
  // What was printed becomes visible now, for commands that go on.
  void Flush() { environment_.out->flush(); }
  // Of the user; lives as long as the session.
  const Cancellation& cancellation() const {
    return environment_.cancellation == nullptr ? never_ : *environment_.cancellation;
  }
  // OK until the user cancels.
  Status CheckCancelled() const;

  FileSystem& files() { return *environment_.files; }
  std::span<const CommandDef* const> commands() const { return environment_.commands; }

 private:
  const Environment environment_;
  const Arguments& arguments_;
  const Cancellation never_;
  std::unique_ptr<services::EmbeddedFleet> embedded_;
  std::shared_ptr<rpc::Channel> channel_;
};

// Every command, in the order of help. To add a family: one file with its rows, one line in
// registry.cc.
std::span<const CommandDef* const> AllCommands();

// Runs the program; returns its exit code.
int RunCli(std::span<const std::string> words, Session::Environment environment);

}  // namespace megalith::cli
