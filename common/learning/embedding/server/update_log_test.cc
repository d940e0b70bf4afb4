#include "common/learning/embedding/server/update_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "common/foundation/base/strings.h"

namespace megalith::embedding {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

// Refuses to grow files beyond a size, as a full disk does, and keeps half of what it refuses.
class FullDisk final : public FileSystem {
 public:
  std::atomic<bool> full{false};

  Result<std::string> Read(const std::string& path, uint64_t max_bytes) override {
    return real_.Read(path, max_bytes);
  }
  Result<std::unique_ptr<ByteSource>> OpenRead(const std::string& path) override {
    return real_.OpenRead(path);
  }
  Status WriteAtomically(const std::string& path, std::string_view bytes) override {
    return real_.WriteAtomically(path, bytes);
  }
  Status WritePrivately(const std::string& path, std::string_view bytes) override {
    return real_.WritePrivately(path, bytes);
  }
  Result<std::unique_ptr<AppendFile>> OpenAppend(const std::string& path) override {
    ASSIGN_OR_RETURN(auto file, real_.OpenAppend(path));
    return std::unique_ptr<AppendFile>(std::make_unique<File>(this, std::move(file)));
  }
  Status Truncate(const std::string& path, uint64_t size) override {
    return real_.Truncate(path, size);
  }
  Status Rename(const std::string& from, const std::string& to) override {
    return real_.Rename(from, to);
  }
  Status Remove(const std::string& path) override { return real_.Remove(path); }
  Status MakeDirectory(const std::string& path) override { return real_.MakeDirectory(path); }
  Result<std::vector<FileInfo>> List(const std::string& path) override { return real_.List(path); }
  Result<FileInfo> Stat(const std::string& path) override { return real_.Stat(path); }
  Status RemoveTree(const std::string& path) override { return real_.RemoveTree(path); }

 private:
  class File final : public AppendFile {
   public:
    File(FullDisk* disk, std::unique_ptr<AppendFile> file) : disk_(disk), file_(std::move(file)) {}
    Status Append(std::string_view bytes) override {
      if (!disk_->full) return file_->Append(bytes);
      RETURN_IF_ERROR(file_->Append(bytes.substr(0, bytes.size() / 2)));
      return ResourceExhausted("no space left on device");
    }
    Status Sync() override { return file_->Sync(); }

   private:
    FullDisk* disk_;
    std::unique_ptr<AppendFile> file_;
  };
  FileSystem& real_ = RealFileSystem();
};

class UpdateLogTest : public ::testing::Test {
 protected:
  Status Open(uint64_t checkpointed = 0, uint64_t segment_bytes = 64 << 20) {
    log_.reset();
    records_.clear();
    auto log = UpdateLog::Open(
        {.directory = JoinPath(directory_.path(), "log"),
         .segment_bytes = segment_bytes,
         .checkpointed = checkpointed},
        disk_,
        [this](uint64_t number, std::string_view record) {
          records_.push_back(StrCat(number, ":", record));
          return OkStatus();
        },
        &opened_);
    if (!log.ok()) return log.status();
    log_ = *std::move(log);
    return OkStatus();
  }
  void Write(std::string_view record) { ASSERT_TRUE(log_->Wait(log_->Append(record)).ok()); }
  std::vector<std::string> Files() {
    std::vector<std::string> out;
    const auto files = *RealFileSystem().List(JoinPath(directory_.path(), "log"));
    for (const FileInfo& file : files) {
      if (file.name.starts_with("log-")) {
        out.push_back(JoinPath(JoinPath(directory_.path(), "log"), file.name));
      }
    }
    return out;
  }
  void Overwrite(const std::string& path, const std::string& content) {
    ASSERT_TRUE(RealFileSystem().WriteAtomically(path, content).ok());
  }

  TempDirectory directory_;
  FullDisk disk_;
  std::unique_ptr<UpdateLog> log_;
  UpdateLog::Opened opened_;
  std::vector<std::string> records_;
};

TEST_F(UpdateLogTest, WhatWasWrittenIsReplayedInOrder) {
  ASSERT_TRUE(Open().ok());
  Write("one");
  log_->Append("two");
  Write("");
  ASSERT_TRUE(Open().ok());
  EXPECT_THAT(records_, ElementsAre("1:one", "2:two", "3:"));
  Write("four");
  ASSERT_TRUE(Open(2).ok());
  EXPECT_THAT(records_, ElementsAre("3:", "4:four"));
  EXPECT_EQ(opened_.skipped, 2u);
  EXPECT_EQ(log_->last(), 4u);
}

TEST_F(UpdateLogTest, ManyThreadsShareWritesToTheDevice) {
  ASSERT_TRUE(Open().ok());
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([this, t] {
      for (int i = 0; i < 50; ++i) {
        const uint64_t number = log_->Append(StrCat(t, "-", i));
        EXPECT_TRUE(log_->Wait(number).ok());
        EXPECT_GE(log_->durable(), number);
      }
    });
  }
  for (std::thread& t : threads) t.join();
  ASSERT_TRUE(Open().ok());
  EXPECT_THAT(records_, SizeIs(200));
}

TEST_F(UpdateLogTest, ATornEndIsDroppedAndWritingGoesOn) {
  ASSERT_TRUE(Open().ok());
  Write("one");
  const size_t whole = RealFileSystem().Read(Files()[0])->size();
  Write("two");
  const std::string content = *RealFileSystem().Read(Files()[0]);
  for (size_t size = whole; size < content.size(); ++size) {
    log_.reset();
    Overwrite(Files()[0], content.substr(0, size));
    ASSERT_TRUE(Open().ok()) << size;
    EXPECT_THAT(records_, ElementsAre("1:one")) << size;
    EXPECT_EQ(opened_.torn_bytes, size - whole);
  }
  Write("again");
  ASSERT_TRUE(Open().ok());
  EXPECT_THAT(records_, ElementsAre("1:one", "2:again"));
}

TEST_F(UpdateLogTest, ADamagedMiddleIsRefusedWithFileAndOffset) {
  ASSERT_TRUE(Open().ok());
  Write("one");
  Write("two");
  const size_t three = RealFileSystem().Read(Files()[0])->size();
  Write("three");
  log_.reset();
  const std::string path = Files()[0];
  const std::string content = *RealFileSystem().Read(path);
  for (size_t at = 0; at < three; ++at) {
    std::string bad = content;
    bad[at] = static_cast<char>(bad[at] ^ 0x10);
    Overwrite(path, bad);
    const Status status = Open();
    EXPECT_EQ(status.code(), Code::kDataLoss) << at;
    EXPECT_THAT(status.message(), HasSubstr(path)) << at;
    EXPECT_THAT(status.message(), HasSubstr("offset")) << at;
  }
}

TEST_F(UpdateLogTest, FilesFollowEachOtherAndGoWithTheCheckpoint) {
  ASSERT_TRUE(Open(0, 100).ok());
  for (int i = 1; i <= 20; ++i) Write(StrCat("record ", i));
  const size_t files = Files().size();
  EXPECT_GT(files, 5u);
  ASSERT_TRUE(log_->Truncate(10).ok());
  EXPECT_LT(Files().size(), files);
  ASSERT_TRUE(Open(10, 100).ok());
  EXPECT_THAT(records_, SizeIs(10));
  EXPECT_EQ(Open(0, 100).code(), Code::kDataLoss);
  ASSERT_TRUE(Open(10, 100).ok());
  log_.reset();
  ASSERT_TRUE(RealFileSystem().Remove(Files()[1]).ok());
  const Status gap = Open(10, 100);
  EXPECT_EQ(gap.code(), Code::kDataLoss);
  EXPECT_THAT(gap.message(), HasSubstr("missing"));
}

TEST_F(UpdateLogTest, ACheckpointNewerThanTheLogTakesTheNumbersOn) {
  ASSERT_TRUE(Open().ok());
  Write("one");
  ASSERT_TRUE(Open(7).ok());
  Write("eight");
  ASSERT_TRUE(Open(7).ok());
  EXPECT_THAT(records_, ElementsAre("8:eight"));
  EXPECT_EQ(Open(0).code(), Code::kDataLoss);
}

TEST_F(UpdateLogTest, AFullDiskIsToldAndNothingIsLostWhenThereIsRoomAgain) {
  ASSERT_TRUE(Open().ok());
  Write("one");
  disk_.full = true;
  const uint64_t two = log_->Append("two");
  EXPECT_EQ(log_->Wait(two).code(), Code::kResourceExhausted);
  EXPECT_EQ(log_->Ready().code(), Code::kResourceExhausted);
  EXPECT_EQ(log_->durable(), 1u);
  disk_.full = false;
  EXPECT_TRUE(log_->Ready().ok());
  EXPECT_TRUE(log_->Wait(two).ok());
  Write("three");
  ASSERT_TRUE(Open().ok());
  EXPECT_THAT(records_, ElementsAre("1:one", "2:two", "3:three"));
}

TEST_F(UpdateLogTest, OneProcessAtATimeUsesADirectory) {
  ASSERT_TRUE(Open().ok());
  UpdateLog::Opened opened;
  const auto second = UpdateLog::Open(
      {.directory = JoinPath(directory_.path(), "log")}, disk_,
      [](uint64_t, std::string_view) { return OkStatus(); }, &opened);
  EXPECT_EQ(second.status().code(), Code::kFailedPrecondition);
}

}  // namespace
}  // namespace megalith::embedding
