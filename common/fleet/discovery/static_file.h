// A registry that reads a file: one line per service, `name = address, address`, with `#` comments.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "common/fleet/discovery/registry.h"
#include "common/foundation/base/file_system.h"

namespace megalith::discovery {

// Read-only: Register returns kUnimplemented. The file is read again by Reload, or every `poll` if
// that is not zero. A file that no longer parses or can no longer be read leaves the last good
// content in use.
class StaticFileRegistry final : public Registry {
 public:
  // `files` must outlive the registry.
  // Errors: those of reading the file; kInvalidArgument with the line for a file that does not
  // parse.
  static Result<std::unique_ptr<StaticFileRegistry>> Open(const std::string& path,
                                                          FileSystem& files,
                                                          std::chrono::milliseconds poll);
  ~StaticFileRegistry() override;

  Result<std::unique_ptr<Handle>> Register(const Endpoint& endpoint) override;
  Result<Snapshot> Lookup(const std::string& service) override;
  Result<std::unique_ptr<Handle>> Watch(const std::string& service,
                                        std::function<void(const Snapshot&)> on_change) override;

  // Reads the file now and tells watchers of services whose replicas changed.
  Status Reload();

 private:
  using Content = std::map<std::string, Snapshot>;
  StaticFileRegistry(std::string path, FileSystem& files) : path_(std::move(path)), files_(files) {}
  static Result<Content> Parse(std::string_view text);
  Snapshot Current(const std::string& service);
  void PollLoop(std::chrono::milliseconds poll);

  const std::string path_;
  FileSystem& files_;
  WatchList watches_;
  std::mutex mu_;
  Content content_;   // guarded by mu_
  std::string text_;  // guarded by mu_; what content_ was parsed from
  std::mutex poll_mu_;
  std::condition_variable stop_;
  bool stopping_ = false;  // guarded by poll_mu_
  std::thread poller_;
};

}  // namespace megalith::discovery
