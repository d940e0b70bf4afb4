// The models of a server: which versions the file system offers, which of them are wanted, loading
// and unloading them without a gap (tf-serving.md section 4).
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "common/foundation/base/clock.h"
#include "common/foundation/base/file_system.h"
#include "common/foundation/base/thread_pool.h"
#include "common/learning/serving/folder_loader.h"

namespace megalith::serving {

// Which of the versions in a model's folder are to be served.
struct VersionPolicy {
  enum class Kind : uint8_t {
    kLatest = 0,      // the `count` highest
    kAll = 1,         // every one
    kSpecific = 2,    // those of `versions` that exist
    kLatestOnce = 3,  // the highest at the first look; later ones are not loaded (Monolith)
  };
  Kind kind = Kind::kLatest;
  uint32_t count = 1;
  std::set<int64_t> versions;
  friend bool operator==(const VersionPolicy&, const VersionPolicy&) = default;
};

struct ModelConfig {
  std::string name;
  std::string base_path;  // absolute
  std::string platform;   // "tensorflow" or "megalith": the same
  VersionPolicy policy;
  std::map<std::string, int64_t> labels;
};

// Numbers are those of ModelVersionStatus.State (persistent: owned by TensorFlow Serving).
enum class VersionState : int {
  kUnknown = 0,
  kStart = 10,
  kLoading = 20,
  kAvailable = 30,
  kUnloading = 40,
  kEnd = 50,
};

struct VersionStatus {
  int64_t version = 0;
  VersionState state = VersionState::kUnknown;
  Status status;
};

// Which version of a model a request means.
struct ServableRequest {
  std::string name;
  std::optional<int64_t> version;
  std::optional<std::string> label;
};

// Folders below `base_path` whose names are numbers, by number; of two with one number the later
// name wins. A file stands for itself, its version is when it was written, in seconds: replacing it
// makes a new version. Errors: those of FileSystem::Stat and List.
Result<std::map<int64_t, std::string>> ListVersions(FileSystem& files,
                                                    const std::string& base_path);

// The models that a directory holds: itself, if there are versions in it; else each folder in it
// that has versions, and each program in it. Errors: kNotFound  there is none; those of FileSystem.
Result<std::vector<ModelConfig>> FindModels(FileSystem& files, const std::string& directory);

// Those of `offered` that `policy` asks for; `held` is what kLatestOnce settled on before.
std::set<int64_t> ChooseVersions(const VersionPolicy& policy,
                                 const std::map<int64_t, std::string>& offered,
                                 std::optional<int64_t> held);

struct ManagerOptions {
  // Of the file system; zero: looked at once; negative: never.
  std::chrono::milliseconds poll_interval{1000};
  uint32_t load_threads = 1;
  uint32_t max_load_retries = 5;
  std::chrono::milliseconds load_retry_interval{60'000};
  bool labels_for_unavailable = false;
};

// Thread-safe. Owns one thread that looks at folders and decides, and some that load. A version
// that is to go is given to no new request; its memory goes with the last request that holds it.
class ModelManager {
 public:
  // `files` and `clock` outlive the manager.
  ModelManager(ManagerOptions options, std::unique_ptr<Loader> loader, FileSystem& files,
               const Clock& clock);
  // Cancels loads and waits for those that run.
  ~ModelManager();

  // Makes `models` the whole truth: others are unloaded. Returns once every newly named model has
  // an available version. After an error of the checks nothing has changed.
  // Errors: kInvalidArgument     two of one name, a relative base_path, a platform that is empty,
  //                              unknown or changed;
  //         kFailedPrecondition  a label for a version that is not available;
  //         kUnknown             a new model's first version could not be loaded;
  //         those of `cancellation`, while it waits: the models stay configured.
  Status Configure(std::vector<ModelConfig> models, const Cancellation& cancellation);

  // Errors: kInvalidArgument  no name, an unknown label; kNotFound  no such model, or the version
  // is not available; kUnavailable  a label before any configuration. Texts: section 3.1.
  Result<std::shared_ptr<const Servable>> Find(const ServableRequest& request) const;

  // All versions that were ever known, highest first; of one number only if it is given.
  // Errors: kNotFound, with the texts of section 3.5.
  Result<std::vector<VersionStatus>> StatusOf(const std::string& name,
                                              std::optional<int64_t> version) const;

  // What the last Configure was given.
  std::vector<ModelConfig> models() const;

 private:
  struct Version {
    VersionState state = VersionState::kStart;
    Status status;
    bool wanted = false;
    bool failed = false;  // stays so while wanted
    std::string path;
    std::shared_ptr<const Servable> servable;  // while available
    std::weak_ptr<const Servable> leaving;     // while unloading
    std::shared_ptr<Cancellation> load;        // while loading
  };
  struct Model {
    ModelConfig config;
    bool configured = true;
    bool looked_at = false;       // its folder, since it was configured
    std::optional<int64_t> held;  // by kLatestOnce
    std::map<int64_t, Version> versions;
  };

  void Loop();
  void Poll();                                        // requires not mu_
  bool Act();                                         // requires mu_; true if something changed
  bool ActOn(const std::string& name, Model* model);  // requires mu_
  void StartLoad(const std::string& name, int64_t number, Version* version);  // requires mu_
  void RunLoad(const std::string& name, int64_t number, const std::string& path,
               const std::shared_ptr<Cancellation>& cancellation);
  Status Check(const std::vector<ModelConfig>& models) const;  // requires mu_
  Status CheckLabels(const ModelConfig& model) const;          // requires mu_
  Status WaitFor(const std::vector<std::string>& names, const Cancellation& cancellation);
  const Version* FindVersion(const std::string& name, int64_t version) const;  // requires mu_

  const ManagerOptions options_;
  const std::unique_ptr<Loader> loader_;
  FileSystem& files_;
  const Clock& clock_;
  mutable std::mutex mu_;
  std::mutex configure_mu_;  // held by who configures
  std::condition_variable wake_;
  std::condition_variable changed_;
  bool stopping_ = false;                // guarded by mu_
  bool look_ = false;                    // guarded by mu_; look at the folders now
  bool configured_ = false;              // guarded by mu_
  std::map<std::string, Model> models_;  // guarded by mu_; those of before too
  std::vector<ModelConfig> config_;      // guarded by mu_
  std::unique_ptr<ThreadPool> loaders_;
  std::thread thread_;
};

}  // namespace megalith::serving
