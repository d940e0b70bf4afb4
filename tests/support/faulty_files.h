// A file system that stops working in the middle of things, as a machine does that loses power.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/foundation/base/file_system.h"

namespace megalith::testing {

// Passes everything on to the real file system until the crash. Thread-safe.
class FaultyFiles final : public FileSystem {
 public:
  // What is left of the operation that the crash hits.
  enum class Crash : uint8_t {
    kBefore,  // nothing happened
    kTorn,    // of an atomic write, half of it under the temporary name
    kAfter,   // it is done, but nobody was told
  };

  // Lets `operations` changes happen and crashes at the next one. From then on nothing changes any
  // more; reading goes on.
  void CrashAfter(uint64_t operations, Crash crash) {
    crash_ = crash;
    left_ = static_cast<int64_t>(operations);
  }
  bool crashed() const { return left_.load() < 0; }

  Result<std::string> Read(const std::string& path, uint64_t max_bytes) override {
    return real_.Read(path, max_bytes);
  }
  Result<std::unique_ptr<ByteSource>> OpenRead(const std::string& path) override {
    return real_.OpenRead(path);
  }
  Status WriteAtomically(const std::string& path, std::string_view bytes) override;
  Status WritePrivately(const std::string& path, std::string_view bytes) override;
  Result<std::unique_ptr<AppendFile>> OpenAppend(const std::string& path) override {
    return real_.OpenAppend(path);
  }
  Status Truncate(const std::string& path, uint64_t size) override;
  Status Rename(const std::string& from, const std::string& to) override;
  Status Remove(const std::string& path) override;
  Status MakeDirectory(const std::string& path) override;
  Result<std::vector<FileInfo>> List(const std::string& path) override { return real_.List(path); }
  Result<FileInfo> Stat(const std::string& path) override { return real_.Stat(path); }
  Status RemoveTree(const std::string& path) override;

 private:
  // Whether the operation may happen; `dying` is set if it is the one that the crash hits.
  bool Admit(bool* dying);
  template <typename Operation>
  Status Change(const Operation& operation);

  FileSystem& real_ = RealFileSystem();
  std::atomic<int64_t> left_{INT64_MAX};
  Crash crash_ = Crash::kBefore;
};

}  // namespace megalith::testing
