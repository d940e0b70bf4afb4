// What tests of commands share.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "clients/cli/session.h"
#include "common/foundation/base/file_system.h"
#include "tests/support/fake_engines.h"

namespace megalith::cli {

using Json = nlohmann::json;

// Runs commands on a fleet with fake engines, or with the real ones if a derived class says so.
class CliTest : public ::testing::Test {
 protected:
  // Runs a command against one data directory and keeps what it printed.
  int Run(std::vector<std::string> words, bool terminal = false) {
    if (!words.empty() && words[0] != "help" && with_data_)
      words.push_back("--data_dir=" + data_.path());
    out_.str("");
    err_.str("");
    return RunCli(words, {.out = &out_,
                          .err = &err_,
                          .err_is_terminal = terminal,
                          .files = &RealFileSystem(),
                          .cancellation = nullptr,
                          .engines = Engines(),
                          .commands = AllCommands(),
                          .in = &in_});
  }
  void SetInput(const std::string& text) {
    in_.clear();
    in_.str(text);
  }
  virtual services::Engines Engines() { return testing::FakeEngines(&world_); }
  std::string Out() const { return out_.str(); }
  std::string Err() const { return err_.str(); }
  Json OutJson() const { return Json::parse(out_.str()); }
  std::string WriteFile(const std::string& name, const std::string& text) {
    const std::string path = JoinPath(files_.path(), name);
    CHECK(RealFileSystem().WriteAtomically(path, text).ok());
    return path;
  }

  testing::FakeWorld world_;
  TempDirectory data_;
  TempDirectory files_;
  bool with_data_ = true;
  std::istringstream in_;
  std::ostringstream out_;
  std::ostringstream err_;
};

}  // namespace megalith::cli
