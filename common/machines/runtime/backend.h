// What turns programs into executables, and the list of those there are.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/machines/runtime/executable.h"

namespace megalith::runtime {

struct CompileOptions {
  // Options of the backend by name; it refuses names and values it does not know. Part of the key.
  std::map<std::string, std::string> settings;
  std::string key;  // kept in the package; usually KeyOf of the same arguments
  const Cancellation* cancellation = nullptr;  // asked between stages, and within long ones
  // Compiling ends with kResourceExhausted when what it has made takes more than this.
  uint64_t memory_budget_bytes = UINT64_MAX;
};

// Whose package it is.
enum class Origin : uint8_t {
  // Of this process, its user, or a compiler of its fleet: machine code in it is run.
  kOwn = 0,
  // Of anybody. Its plan or program is checked and run like others; machine code in it is not, and
  // what a run computes with is cleared first, so that it sees nothing that others have left there.
  kStranger = 1,
};

// Told the stage that begins ("verify", "canonicalize", "emit") and the part of the work done, 0
// to 1. Called from the compiling thread.
using Progress = std::function<void(std::string_view stage, double done)>;

// Thread-safe: any number of Compile and Load calls at once.
class Backend {
 public:
  virtual ~Backend() = default;

  virtual std::string_view name() const = 0;  // "reference"; never changes
  virtual std::string_view version()
      const = 0;  // changes whenever packages made before must not be used any more
  virtual std::string target()
      const = 0;  // the machine packages are for: "any", "x86-64 avx2", "sm_90"
  // False if Compile would refuse the setting whatever its value; what then happens is the caller's
  // policy.
  virtual bool HasSetting(std::string_view) const { return true; }

  // `program` is StableHLO: MLIR text, or a module in the canonical byte encoding. Gives a package
  // (package.h). Errors: kInvalidArgument (not a valid program, unknown setting), kUnimplemented
  // (names the op), kResourceExhausted, kCancelled, kDeadlineExceeded.
  virtual Result<std::string> Compile(std::string_view program, const CompileOptions& options,
                                      const Progress& progress) const = 0;

  // Errors: kDataLoss (damaged; names the section), kFailedPrecondition (made by another backend or
  // version, or for another target).
  virtual Result<std::shared_ptr<const Executable>> Load(std::string_view package,
                                                         Origin origin = Origin::kOwn) const = 0;
};

// Where the result of compiling `canonical_program` (canonical bytes) belongs in a cache: a SHA-256
// in hexadecimal of the program, the settings, and the backend's name, version and target.
std::string KeyOf(std::string_view canonical_program, const CompileOptions& options,
                  const Backend& backend);

// Backends by name, in the order they were added. Filled once at start, then shared for reading.
class BackendRegistry {
 public:
  // kAlreadyExists if there is one of that name.
  Status Add(std::shared_ptr<const Backend> backend);
  // kNotFound, listing the names there are.
  Result<std::shared_ptr<const Backend>> Find(std::string_view name) const;
  std::vector<std::string> Names() const;

 private:
  std::vector<std::shared_ptr<const Backend>> backends_;
};

}  // namespace megalith::runtime
