// What happens to checkpoints when files are damaged, the disk is full or the machine stops.
#include <atomic>

#include "common/learning/embedding/checkpoint/state_files.h"
#include "common/learning/embedding/checkpoint/testing/checkpoint_fixture.h"
#include "tests/support/faulty_files.h"

namespace megalith::embedding {
namespace {

using ::testing::AnyOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// A disk with room for so many bytes of files that grow.
class SmallDisk final : public FileSystem {
 public:
  explicit SmallDisk(int64_t bytes) : left_(bytes) {}
  Result<std::string> Read(const std::string& path, uint64_t max_bytes) override {
    return real_.Read(path, max_bytes);
  }
  Result<std::unique_ptr<ByteSource>> OpenRead(const std::string& path) override {
    return real_.OpenRead(path);
  }
  Status WriteAtomically(const std::string& path, std::string_view bytes) override {
    RETURN_IF_ERROR(Take(path, bytes.size()));
    return real_.WriteAtomically(path, bytes);
  }
  Status WritePrivately(const std::string& path, std::string_view bytes) override {
    return real_.WritePrivately(path, bytes);
  }
  Result<std::unique_ptr<AppendFile>> OpenAppend(const std::string& path) override {
    ASSIGN_OR_RETURN(std::unique_ptr<AppendFile> file, real_.OpenAppend(path));
    return std::unique_ptr<AppendFile>(std::make_unique<File>(*this, path, std::move(file)));
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
  int64_t left() const { return left_.load(); }

 private:
  class File final : public AppendFile {
   public:
    File(SmallDisk& disk, std::string path, std::unique_ptr<AppendFile> file)
        : disk_(disk), path_(std::move(path)), file_(std::move(file)) {}
    Status Append(std::string_view bytes) override {
      RETURN_IF_ERROR(disk_.Take(path_, bytes.size()));
      return file_->Append(bytes);
    }
    Status Sync() override { return file_->Sync(); }

   private:
    SmallDisk& disk_;
    const std::string path_;
    std::unique_ptr<AppendFile> file_;
  };
  Status Take(const std::string& path, size_t bytes) {
    if (left_.fetch_sub(static_cast<int64_t>(bytes)) >= static_cast<int64_t>(bytes))
      return OkStatus();
    return ResourceExhausted(StrCat("cannot write '", path, "': no space left on device"));
  }
  FileSystem& real_ = RealFileSystem();
  std::atomic<int64_t> left_;
};

class CheckpointFaultsTest : public CheckpointTest {
 protected:
  CheckpointFaultsTest() {
    TableSet::Options options;
    options.filter.thresholds.default_threshold = 1;
    options.filter.capacity = 400;
    options.filter.splits = 5;
    set_ = MakeSet({{"a", ConfigOf({"adagrad"}, 4)}, {"b", ConfigOf({"ftrl"}, 2)}}, options);
    Grow();
  }
  void Grow() {
    for (const char* name : {"a", "b"})
      for (int i = 0; i < 3; ++i) Train(**set_->Get(name), 0, 40, rng_);
  }
  std::string Assets(int64_t step) const {
    return JoinPath(Dir(), StrCat("model.ckpt-", step, ".assets"));
  }

  std::unique_ptr<TableSet> set_;
};

TEST_F(CheckpointFaultsTest, DamageOfAnyFileIsToldWithItsPlaceAndTheOneBeforeIsUsed) {
  ASSERT_TRUE(SaveTables(*set_, Save(1)).ok());
  const Content before = ContentOf(*set_);
  Grow();
  for (const TableLayout layout : {TableLayout::kNative, TableLayout::kSingle}) {
    SaveOptions save = Save(layout == TableLayout::kNative ? 2 : 3);
    save.layout = layout;
    save.shards = 2;
    ASSERT_TRUE(SaveTables(*set_, save).ok());
    for (const std::string& name : FilesIn(Assets(save.step))) {
      SCOPED_TRACE(name);
      const std::string path = JoinPath(Assets(save.step), name);
      const std::string bytes = *RealFileSystem().Read(path);
      for (int trial = 0; trial < 8; ++trial) {
        if (bytes.empty()) continue;
        const size_t at = rng_.Below(bytes.size());
        if (trial == 0) {
          ASSERT_TRUE(RealFileSystem().Remove(path).ok());
        } else if (trial % 2 == 0) {
          ASSERT_TRUE(RealFileSystem().Truncate(path, at).ok());
        } else {
          Flip(path, at);
        }
        RestoreOptions only = Restore();
        only.fall_back = false;
        const auto refused = RestoreTables(*MakeSet({}), only);
        EXPECT_FALSE(refused.ok() && refused->found) << "at " << at;
        if (!refused.ok()) {
          EXPECT_THAT(refused.status().message(), HasSubstr(name));
          EXPECT_THAT(refused.status().message(),
                      AnyOf(HasSubstr("offset"), HasSubstr("missing"), HasSubstr("No such file")));
        }
        RestoreOptions older = Restore();
        older.prefix = "";
        RestoreReport report;
        const Content content = Restored(older, &report);
        EXPECT_NE(report.step, save.step);
        EXPECT_THAT(report.notes, Contains(HasSubstr(name)));
        EXPECT_EQ(content, report.step == 1 ? before : ContentOf(*set_));
        ASSERT_TRUE(RealFileSystem().WriteAtomically(path, bytes).ok());
      }
    }
    EXPECT_EQ(Restored(Restore()), ContentOf(*set_));
  }
}

TEST_F(CheckpointFaultsTest, DamageIsRepairedFromTheSidecar) {
  SaveOptions save = Save(1);
  save.sidecar = durability::SidecarOptions{};
  ASSERT_TRUE(SaveTables(*set_, save).ok());
  for (const std::string& name : FilesIn(Assets(1))) {
    SCOPED_TRACE(name);
    const std::string path = JoinPath(Assets(1), name);
    const std::string bytes = *RealFileSystem().Read(path);
    if (bytes.empty()) continue;
    Flip(path, rng_.Below(bytes.size()));
    RestoreReport report;
    EXPECT_EQ(Restored(Restore(), &report), ContentOf(*set_));
    if (!name.starts_with("megalith_sidecar")) {
      EXPECT_THAT(report.notes, Contains(HasSubstr("repaired " + name)));
      EXPECT_EQ(*RealFileSystem().Read(path), bytes);
    } else {
      ASSERT_TRUE(RealFileSystem().WriteAtomically(path, bytes).ok());
    }
  }
}

TEST_F(CheckpointFaultsTest, ACrashAnywhereInASaveLeavesOneWholeCheckpoint) {
  using Crash = testing::FaultyFiles::Crash;
  const auto old = MakeSet({{"t", ConfigOf({"sgd"}, 1)}});
  Train(**old->Get("t"), 0, 3, rng_);
  const auto fresh = MakeSet({{"t", ConfigOf({"sgd"}, 1)}});
  Train(**fresh->Get("t"), 2, 9, rng_);
  uint64_t operations = 0;
  for (bool finished = false; !finished; ++operations) {
    for (const Crash crash : {Crash::kBefore, Crash::kTorn, Crash::kAfter}) {
      SCOPED_TRACE(StrCat("operations ", operations));
      TempDirectory directory;
      SaveOptions save = Save(1);
      save.directory = directory.path();
      ASSERT_TRUE(SaveTables(*old, save).ok());
      testing::FaultyFiles files;
      files.CrashAfter(operations, crash);
      save.step = 2;
      save.files = &files;
      const auto saved = SaveTables(*fresh, save);
      finished = !files.crashed();
      RestoreOptions restore = Restore();
      restore.directory = directory.path();
      RestoreReport report;
      const Content content = Restored(restore, &report);
      EXPECT_EQ(content, ContentOf(report.step == 1 ? *old : *fresh));
      EXPECT_TRUE(report.step == 2 || !saved.ok());
      // A new process saves on.
      save.step = 3;
      save.files = &RealFileSystem();
      ASSERT_TRUE(SaveTables(*fresh, save).ok());
      EXPECT_EQ(Restored(restore), ContentOf(*fresh));
    }
  }
  EXPECT_GT(operations, 8u);
}

TEST_F(CheckpointFaultsTest, ACrashInTheFirstSaveMeansStartingEmpty) {
  for (uint64_t operations = 0;; ++operations) {
    TempDirectory directory;
    testing::FaultyFiles files;
    files.CrashAfter(operations, testing::FaultyFiles::Crash::kBefore);
    SaveOptions save = Save(5);
    save.directory = directory.path();
    save.files = &files;
    const auto saved = SaveTables(*set_, save);
    RestoreOptions restore = Restore();
    restore.directory = directory.path();
    const auto set = MakeSet({});
    const auto restored = RestoreTables(*set, restore);
    ASSERT_TRUE(restored.ok()) << operations << ": " << restored.status().ToString();
    EXPECT_EQ(ContentOf(*set), restored->found ? ContentOf(*set_) : Content());
    if (saved.ok()) break;
  }
}

TEST_F(CheckpointFaultsTest, AFullDiskIsToldAndLeavesNoTrace) {
  ASSERT_TRUE(SaveTables(*set_, Save(1)).ok());
  const Content before = ContentOf(*set_);
  SmallDisk large(1 << 30);
  SaveOptions save = Save(2);
  save.files = &large;
  ASSERT_TRUE(SaveTables(*set_, save).ok());
  const int64_t needed = (1 << 30) - large.left();
  const std::vector<std::string> there = FilesIn(Dir());
  for (int64_t room = 0; room < needed - 600; room += needed / 23) {
    SmallDisk disk(room);
    save.step = 3;
    save.files = &disk;
    const auto saved = SaveTables(*set_, save);
    EXPECT_EQ(saved.status().code(), Code::kResourceExhausted) << saved.status().ToString();
    EXPECT_THAT(saved.status().message(), HasSubstr("no space left"));
    EXPECT_EQ(FilesIn(Dir()), there);
    RestoreReport report;
    EXPECT_EQ(Restored(Restore(), &report), before);
    EXPECT_EQ(report.step, 2);
  }
}

}  // namespace
}  // namespace megalith::embedding
