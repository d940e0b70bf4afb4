// Copies new versions of the rough-sort model from where they are delivered to where model servers
// look for them (spec agent-service.md, section 10).
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "common/fleet/agent/config.h"
#include "common/foundation/base/clock.h"
#include "common/foundation/base/file_system.h"
#include "common/foundation/base/status.h"

namespace megalith::agent {

struct ModelManagerOptions {
  std::string model_name;    // versions of models whose names begin so count
  std::string source_path;   // delivered: {model}@{version}/{model}/{sub_model}/{version}/...
  std::string receive_path;  // served: {model}/{sub_model}/{version}/...
  std::chrono::milliseconds interval{30'000};
  std::chrono::milliseconds first_interval{10'000};  // until the first version is there
  std::chrono::milliseconds wait_limit{1'200'000};   // after which its absence is told as an error
  size_t keep_versions = 5;
  FileSystem* files = &RealFileSystem();  // outlive the manager, as below
  const Clock* clock = &RealClock();
};

// A delivery is complete once a file "{model}@{version}.write.done" lies beside it; while it is
// read, a file "{model}@{version}.read.lock" does. Of several the one with the last text as version
// counts, and only if it comes after what was copied before. All sub-models appear at once, each
// under its final name only when it is whole. Thread-safe after Start.
class ModelManager {
 public:
  // Empties receive_path. Errors: kFailedPrecondition  paths that are missing, or of which one
  // holds the other; those of FileSystem::RemoveTree.
  static Result<std::unique_ptr<ModelManager>> Make(ModelManagerOptions options);
  ~ModelManager();

  // Looks once: copies what is new, and removes what is too old. Returns how many versions were
  // copied. Errors: the first one met; nothing of its version is visible then.
  Result<int> LoopOnce();
  // Looks at once and every interval until the end.
  void Start();
  // Whether a first version is there.
  bool ready() const;

 private:
  struct Delivery {
    std::string model, version, directory;  // the directory's name
  };
  explicit ModelManager(ModelManagerOptions options) : options_(std::move(options)) {}
  Result<std::vector<Delivery>> Complete() const;
  Status CopyVersion(const Delivery& delivery, std::vector<std::string>* made);
  Status CopyTree(const std::string& from, const std::string& to, int depth);
  Status CopyFile(const std::string& from, const std::string& to);
  void DropOld(const std::string& model);
  void Loop();

  const ModelManagerOptions options_;
  // Versions copied, oldest first, with their directories; of the thread that looks.
  std::map<std::string, std::vector<std::pair<std::string, std::vector<std::string>>>> copied_;
  mutable std::mutex mu_;
  std::condition_variable wake_;
  bool ready_ = false;     // guarded by mu_
  bool stopping_ = false;  // guarded by mu_
  std::thread thread_;
};

// What agent.conf asks for; nullptr if it names no rough-sort model. Errors: those of Make.
Result<std::unique_ptr<ModelManager>> MakeModelManager(const AgentConfig& config);

}  // namespace megalith::agent
