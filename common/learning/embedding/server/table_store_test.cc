#include "common/learning/embedding/server/table_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <thread>

#include "common/foundation/base/rng.h"
#include "common/foundation/base/strings.h"
#include "common/learning/embedding/checkpoint/manifest.h"
#include "common/learning/embedding/server/checkpoint_schedule.h"

namespace megalith::embedding {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

const Cancellation kForever;

// The real file system until the machine stops: from then on nothing is written any more. What is
// being appended at that moment is there by half.
class StoppingFiles final : public FileSystem {
 public:
  void StopAfter(int64_t changes) { left_ = changes; }
  bool stopped() const { return left_ < 0; }

  Result<std::string> Read(const std::string& path, uint64_t max_bytes) override {
    return real_.Read(path, max_bytes);
  }
  Result<std::unique_ptr<ByteSource>> OpenRead(const std::string& path) override {
    return real_.OpenRead(path);
  }
  Status WriteAtomically(const std::string& path, std::string_view bytes) override {
    RETURN_IF_ERROR(Step());
    return real_.WriteAtomically(path, bytes);
  }
  Status WritePrivately(const std::string& path, std::string_view bytes) override {
    RETURN_IF_ERROR(Step());
    return real_.WritePrivately(path, bytes);
  }
  Result<std::unique_ptr<AppendFile>> OpenAppend(const std::string& path) override {
    ASSIGN_OR_RETURN(auto file, real_.OpenAppend(path));
    return std::unique_ptr<AppendFile>(std::make_unique<File>(this, std::move(file)));
  }
  Status Truncate(const std::string& path, uint64_t size) override {
    RETURN_IF_ERROR(Step());
    return real_.Truncate(path, size);
  }
  Status Rename(const std::string& from, const std::string& to) override {
    RETURN_IF_ERROR(Step());
    return real_.Rename(from, to);
  }
  Status Remove(const std::string& path) override {
    RETURN_IF_ERROR(Step());
    return real_.Remove(path);
  }
  Status MakeDirectory(const std::string& path) override {
    RETURN_IF_ERROR(Step());
    return real_.MakeDirectory(path);
  }
  Result<std::vector<FileInfo>> List(const std::string& path) override { return real_.List(path); }
  Result<FileInfo> Stat(const std::string& path) override { return real_.Stat(path); }
  Status RemoveTree(const std::string& path) override {
    RETURN_IF_ERROR(Step());
    return real_.RemoveTree(path);
  }

 private:
  class File final : public AppendFile {
   public:
    File(StoppingFiles* files, std::unique_ptr<AppendFile> file)
        : files_(files), file_(std::move(file)) {}
    Status Append(std::string_view bytes) override {
      const bool was_stopped = files_->stopped();
      const Status step = files_->Step();
      if (step.ok()) return file_->Append(bytes);
      if (!was_stopped) (void)file_->Append(bytes.substr(0, bytes.size() / 2));
      return step;
    }
    Status Sync() override {
      RETURN_IF_ERROR(files_->Step());
      return file_->Sync();
    }

   private:
    StoppingFiles* const files_;
    std::unique_ptr<AppendFile> file_;
  };
  Status Step() {
    if (--left_ >= 0) return OkStatus();
    return Unavailable("the machine has stopped");
  }

  FileSystem& real_ = RealFileSystem();
  std::atomic<int64_t> left_{INT64_MAX};
};

TableConfig Sgd(uint32_t expire_days = 36'500) {
  TableConfig config;
  config.segments.push_back({.dim = 1, .optimizer = {.name = "sgd"}});
  config.expire.default_days = expire_days;
  return config;
}

// A store of one table "t" of rows of one value, and changes that add to a row.
class TableStoreTest : public ::testing::Test {
 protected:
  TableStore::Options Options() {
    TableStore::Options options;
    options.tables.filter = filter_;
    options.log_directory = log_ ? In("log") : "";
    options.log_segment_bytes = 256;
    options.checkpoint_directory = In("checkpoints");
    options.placement = placement_;
    options.max_changed_rows = 1000;
    options.deltas.max_changed_share = 1;
    options.files = &files_;
    return options;
  }
  std::string In(const std::string& name) const { return JoinPath(directory_.path(), name); }

  Result<TableStore::OpenReport> TryOpen() {
    store_.reset();
    auto made = TableStore::Make(Options());
    RETURN_IF_ERROR(made.status());
    store_ = *std::move(made);
    return store_->Open([this](std::string_view record) { return Again(record); });
  }
  void Open() {
    const auto opened = TryOpen();
    ASSERT_TRUE(opened.ok()) << opened.status().ToString();
    ASSERT_TRUE(Create().ok());
  }
  Status Create() {
    TableStore::Change change;
    change.catalog = true;
    change.record = [] { return std::string("c"); };
    change.run = [this] { return store_->tables().Create("t", config_); };
    return store_->Make(change, kForever).status();
  }
  // 'a', id, value, time, sequence of the client "c" (0: no id).
  TableStore::Change AddOf(std::string_view record) {
    TableStore::Change change;
    uint64_t words[4];
    std::memcpy(words, record.data() + 1, sizeof(words));
    if (words[3] != 0) {
      change.client = "c";
      change.sequence = words[3];
    }
    change.tables = {"t"};
    change.record = [record = std::string(record)] { return record; };
    change.run = [this, id = static_cast<Fid>(words[0]), value = static_cast<float>(words[1]),
                  time = static_cast<int64_t>(words[2])]() -> Status {
      ASSIGN_OR_RETURN(const auto table, store_->tables().Get("t"));
      return table->AssignAdd(std::span(&id, 1), std::span(&value, 1), time).status();
    };
    return change;
  }
  static std::string AddRecord(uint64_t id, uint64_t value, uint64_t time, uint64_t sequence) {
    const uint64_t words[4] = {id, value, time, sequence};
    return StrCat("a", std::string(reinterpret_cast<const char*>(words), sizeof(words)));
  }
  Result<bool> Add(uint64_t id, uint64_t value, uint64_t sequence = 0, uint64_t time = 1) {
    const std::string record = AddRecord(id, value, time, sequence);
    return store_->Make(AddOf(record), kForever);
  }
  void MustAdd(uint64_t id, uint64_t value, uint64_t sequence = 0, uint64_t time = 1) {
    const auto added = Add(id, value, sequence, time);
    ASSERT_TRUE(added.ok()) << added.status().ToString();
    EXPECT_TRUE(*added);
  }
  Status Again(std::string_view record) {
    if (record[0] == 'm') return again_(record);
    if (record[0] == 'n') return store_->tables().Create(std::string(record), config_);
    if (record[0] == 'c') return store_->tables().Create("t", config_);
    if (record[0] == 'd') return store_->dense().Assign("w", std::vector<float>{2});
    return store_->MakeAgain(AddOf(record));
  }
  float Row(Fid id) {
    float value = -1;
    const auto table = store_->tables().Get("t");
    if (!table.ok()) return -2;
    EXPECT_TRUE((*table)->Lookup(std::span(&id, 1), std::span(&value, 1)).ok());
    return value;
  }
  SaveReport Save(int64_t step, TableStore::SaveMode mode = TableStore::SaveMode::kWhole) {
    const auto saved = store_->Save({.step = step, .mode = mode, .sidecar = {}}, kForever);
    EXPECT_TRUE(saved.ok()) << saved.status().ToString();
    if (!saved.ok()) return {};
    EXPECT_TRUE(saved->log_cut.ok()) << saved->log_cut.ToString();
    return saved->report;
  }
  Result<RestoreReport> Restore(std::optional<int64_t> step = {}, bool merge = false) {
    return store_->Restore({.step = step, .merge = merge, .tables = {}, .slots = {}}, kForever);
  }
  uint64_t LogFiles() const {
    uint64_t count = 0;
    const std::vector<FileInfo> files = *RealFileSystem().List(In("log"));
    for (const FileInfo& file : files) {
      count += file.name.starts_with("log-") ? 1 : 0;
    }
    return count;
  }

  TempDirectory directory_;
  StoppingFiles files_;
  FilterConfig filter_;
  TableConfig config_ = Sgd();
  Placement placement_;
  bool log_ = true;
  std::function<Status(std::string_view record)> again_;  // of records that begin with 'm'
  std::unique_ptr<TableStore> store_;
};

TEST_F(TableStoreTest, WholeCheckpointsDeltasAndTheLogMakeOneState) {
  Open();
  uint64_t sequence = 0;
  for (int64_t step = 1; step <= 6; ++step) {
    for (uint64_t id = 0; id < 5; ++id) MustAdd(id + static_cast<uint64_t>(step), 1, ++sequence);
    const auto mode = step % 3 == 1 ? TableStore::SaveMode::kWhole : TableStore::SaveMode::kDelta;
    const SaveReport saved = Save(step, mode);
    EXPECT_EQ(saved.delta, step % 3 != 1);
    EXPECT_TRUE(saved.published);
    MustAdd(100, 1, ++sequence);
    if (step == 5) {
      const float row = Row(5);
      Open();
      EXPECT_EQ(Row(5), row);
      // The first after a start is whole.
      const auto refused =
          store_->Save({.step = 6, .mode = TableStore::SaveMode::kDelta, .sidecar = {}}, kForever);
      EXPECT_EQ(refused.status().code(), Code::kFailedPrecondition);
      EXPECT_THAT(refused.status().message(), HasSubstr("save a whole checkpoint"));
      break;
    }
  }
  EXPECT_EQ(Row(100), 5);
  for (uint64_t i = 1; i <= sequence; ++i) EXPECT_FALSE(*Add(1, 1, i)) << i;
}

TEST_F(TableStoreTest, ADamagedNewestCheckpointLosesNothingWithTheLog) {
  Open();
  for (int i = 0; i < 20; ++i) MustAdd(1, 1);
  Save(1);
  for (int i = 0; i < 20; ++i) MustAdd(1, 1);
  Save(2, TableStore::SaveMode::kDelta);
  for (int i = 0; i < 20; ++i) MustAdd(1, 1);
  const uint64_t before = LogFiles();
  Save(3);
  // What the chain before needs stays, and no more.
  EXPECT_LT(LogFiles(), before);
  for (int i = 0; i < 20; ++i) MustAdd(1, 1);
  for (const char* damaged : {"model.ckpt-3.assets", "model.ckpt-1.delta-2"}) {
    store_.reset();
    ASSERT_TRUE(
        files_.Remove(JoinPath(JoinPath(In("checkpoints"), damaged), ManifestName({}))).ok());
    const auto opened = TryOpen();
    if (std::string_view(damaged) == "model.ckpt-3.assets") {
      ASSERT_TRUE(opened.ok()) << opened.status().ToString();
      EXPECT_EQ(Row(1), 80);
    } else {
      // Two are damaged: rather no start than a start without acknowledged changes.
      EXPECT_EQ(opened.status().code(), Code::kDataLoss);
    }
  }
}

TEST_F(TableStoreTest, ChangesOfManyTablesThatOverlapAreReplayedToTheSameRows) {
  // What a change makes of a row depends on what those before it have made: 3 * row + its number,
  // modulo 2^20, in some of eight tables, in an order of its own.
  constexpr int kTables = 8;
  constexpr int kChanges = 120;
  const uint64_t seed = EntropySeed();
  std::cout << "seed " << seed << "\n";
  const auto change_of = [this](std::string_view record) {
    const std::vector<std::string_view> words = Split(record, ' ');
    const float number = static_cast<float>(*ParseUint(words[1]));
    TableStore::Change change;
    change.client = "m";
    change.sequence = *ParseUint(words[1]);
    auto names = std::make_shared<std::vector<std::string>>();
    for (size_t i = 2; i < words.size(); ++i) names->emplace_back(words[i]);
    for (const std::string& name : *names) change.tables.push_back(name);
    change.record = [record = std::string(record)] { return record; };
    change.check = [] { return OkStatus(); };
    change.part = [this, number, names](size_t i) {
      const auto table = *store_->tables().Get((*names)[i]);
      for (Fid id = 0; id < 3; ++id) {
        float value = 0;
        EXPECT_TRUE(table->Lookup(std::span(&id, 1), std::span(&value, 1)).ok());
        value = std::fmod(3 * value + number, 1048576.0F);
        EXPECT_TRUE(table->Assign(std::span(&id, 1), std::span(&value, 1), 1).ok());
      }
    };
    return change;
  };
  const auto rows = [this] {
    std::vector<float> out;
    for (const auto& [name, table] : store_->tables().Tables()) {
      const Fid ids[] = {0, 1, 2};
      float values[3];
      EXPECT_TRUE(table->Lookup(ids, values).ok());
      out.insert(out.end(), values, values + 3);
    }
    return out;
  };
  again_ = [&](std::string_view record) { return store_->MakeAgain(change_of(record)); };
  Open();
  for (int t = 0; t < kTables; ++t) {
    TableStore::Change create;
    create.catalog = true;
    create.record = [t] { return StrCat("n", t); };
    create.run = [this, t] { return store_->tables().Create(StrCat("n", t), config_); };
    ASSERT_TRUE(store_->Make(create, kForever).ok());
  }
  std::atomic<uint64_t> next{1};
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      Rng rng(seed + static_cast<uint64_t>(thread));
      for (int i = 0; i < kChanges; ++i) {
        const uint64_t number = next.fetch_add(1);
        std::string record = StrCat("m ", number);
        const uint64_t first = rng.Below(kTables);
        for (uint64_t k = 0; k <= rng.Below(kTables); ++k)
          StrAppend(&record, " n", (first + k * 3) % kTables);
        const auto made = store_->Make(change_of(record), kForever);
        EXPECT_TRUE(made.ok() && *made);
        if (thread == 0 && i % 50 == 25) Save(i, TableStore::SaveMode::kEither);
      }
    });
  }
  for (std::thread& t : threads) t.join();
  const std::vector<float> live = rows();
  Open();
  EXPECT_EQ(rows(), live);
  for (uint64_t number = 1; number < next; ++number) {
    const auto again = store_->Make(change_of(StrCat("m ", number, " n1")), kForever);
    EXPECT_TRUE(again.ok() && !*again) << number;
  }
}

TEST_F(TableStoreTest, ARestoreTakesItsPlaceInTheLog) {
  Open();
  ASSERT_TRUE(store_->dense().Create("w", {.shape = {1}, .row_begin = 0, .row_end = 1}, {}).ok());
  MustAdd(1, 1, 1);
  MustAdd(2, 1, 2);
  Save(1);
  MustAdd(1, 10, 3);
  ASSERT_TRUE(store_->dense().Assign("w", std::vector<float>{9}).ok());
  const auto restored = Restore();
  ASSERT_TRUE(restored.ok()) << restored.status().ToString();
  for (int look = 0; look < 3; ++look) {
    EXPECT_EQ(Row(1), look == 2 ? 101 : 1) << look;
    EXPECT_EQ(store_->dense().Get("w")->state->values[0], 0);
    EXPECT_FALSE(*Add(1, 7, 2)) << "restored with its mark";
    if (look == 1) MustAdd(1, 100, 3);
    if (look < 2) Open();
  }
  // Merged rows overwrite and others stay.
  MustAdd(5, 5);
  ASSERT_TRUE(Restore(1, true).ok());
  for (int look = 0; look < 2; ++look) {
    EXPECT_EQ(Row(1), 1);
    EXPECT_EQ(Row(5), 5);
    Open();
  }
}

TEST_F(TableStoreTest, ACrashInARestoreLeavesTheStateBeforeOrTheOneAfter) {
  for (const bool merge : {false, true}) {
    for (int64_t steps = 0;; ++steps) {
      SCOPED_TRACE(StrCat("merge ", merge, ", the machine stops after ", steps, " changes"));
      std::filesystem::remove_all(directory_.path());
      std::filesystem::create_directory(directory_.path());
      files_.StopAfter(INT64_MAX);
      ASSERT_NO_FATAL_FAILURE(Open());
      MustAdd(1, 1, 1);
      Save(1);
      MustAdd(1, 10, 2);
      MustAdd(2, 10, 3);
      files_.StopAfter(steps);
      const auto restored = Restore({}, merge);
      const bool stopped = files_.stopped();
      EXPECT_EQ(restored.ok(), !stopped);
      files_.StopAfter(INT64_MAX);
      ASSERT_NO_FATAL_FAILURE(Open());
      const bool is_new = Row(1) == 1;
      EXPECT_TRUE(is_new || Row(1) == 11) << Row(1);
      EXPECT_EQ(Row(2), is_new && !merge ? 0 : 10);
      if (!stopped) {
        EXPECT_TRUE(is_new);
        EXPECT_GT(steps, 1);
        break;
      }
      // The marks are those of the rows.
      EXPECT_EQ(*Add(1, 10, 2), is_new && !merge);
      EXPECT_EQ(Row(1), is_new && merge ? 1 : 11);
    }
  }
}

TEST_F(TableStoreTest, ARestoreThatFailsChangesNothing) {
  log_ = false;
  placement_ = {.server = 0, .servers = 2};
  Open();
  ASSERT_TRUE(store_->dense().Create("w", {.shape = {2}, .row_begin = 0, .row_end = 1}, {}).ok());
  MustAdd(2, 1, 1);
  Save(1);
  placement_ = {.server = 1, .servers = 2};
  Open();
  Save(1);
  // Among three servers the variable would be divided otherwise.
  placement_ = {.server = 2, .servers = 3};
  store_.reset();
  store_ = *TableStore::Make(Options());
  ASSERT_TRUE(Create().ok());
  MustAdd(2, 5, 1);
  EXPECT_EQ(Restore().status().code(), Code::kFailedPrecondition);
  EXPECT_EQ(Row(2), 5);
  EXPECT_FALSE(*Add(2, 5, 1));
}

TEST_F(TableStoreTest, AnUpdateUnderWayIsNotAppliedOverItsOwnMark) {
  Open();
  MustAdd(1, 1, 1);
  MustAdd(1, 10, 2);
  Save(2);
  // Back before the second, which a client then sends again; while it is on its way, forward again.
  std::filesystem::rename(In("checkpoints"), In("aside"));
  std::filesystem::remove_all(In("log"));
  Open();
  std::filesystem::rename(In("aside"), In("checkpoints"));
  MustAdd(1, 1, 1);
  TableStore::Change change = AddOf(AddRecord(1, 10, 1, 2));
  change.record = [this]() -> Result<std::string> {
    EXPECT_TRUE(Restore().ok());
    return AddRecord(1, 10, 1, 2);
  };
  const auto made = store_->Make(change, kForever);
  ASSERT_TRUE(made.ok()) << made.status().ToString();
  EXPECT_FALSE(*made);
  EXPECT_EQ(Row(1), 11);
}

TEST_F(TableStoreTest, ALogThatDoesNotGoOnFromTheCheckpointIsRefused) {
  Open();
  MustAdd(1, 1);
  log_ = false;
  Open();
  MustAdd(1, 5);
  Save(1);
  log_ = true;
  const auto opened = TryOpen();
  EXPECT_EQ(opened.status().code(), Code::kFailedPrecondition);
  EXPECT_THAT(opened.status().message(), HasSubstr("put the log aside"));
  // Aside, a new one begins at the checkpoint, and goes on from it after a crash.
  store_.reset();
  std::filesystem::rename(In("log"), In("aside"));
  Open();
  MustAdd(1, 2);
  Open();
  EXPECT_EQ(Row(1), 7);
  // As after a save, which counts in the new log.
  Save(2);
  MustAdd(1, 1);
  Open();
  EXPECT_EQ(Row(1), 8);
  // The old one has nothing to do with that.
  store_.reset();
  std::filesystem::rename(In("log"), In("newer"));
  std::filesystem::rename(In("aside"), In("log"));
  EXPECT_EQ(TryOpen().status().code(), Code::kFailedPrecondition);
}

TEST_F(TableStoreTest, WithALogExpiredRowsAreSavedSoThatChangesFindThem) {
  config_ = Sgd(1);
  Open();
  MustAdd(1, 1, 0, 100);
  MustAdd(2, 1, 0, 100 + 5 * 86'400);
  EXPECT_EQ(Save(1).expired_rows, 0u);
  MustAdd(1, 1, 0, 100 + 5 * 86'400);
  EXPECT_EQ(Row(1), 2);
  Open();
  EXPECT_EQ(Row(1), 2);
}

TEST_F(TableStoreTest, TheLogOfAServerThatSavedFirstIsCutOnceTheOthersHaveSaved) {
  const auto save_other = [this](int64_t step) {
    const auto set = *TableSet::Make({});
    SaveOptions options{.directory = In("checkpoints"), .step = step};
    options.placement = {.server = 1, .servers = 2};
    const auto saved = SaveTables(*set, options);
    EXPECT_TRUE(saved.ok() && saved->published);
  };
  placement_ = {.server = 0, .servers = 2};
  Open();
  for (int64_t step = 1; step <= 4; ++step) {
    for (int i = 0; i < 20; ++i) MustAdd(2, 1);
    const uint64_t before = LogFiles();
    EXPECT_FALSE(Save(step).published);
    // At the third the second is whole, and the first is the one before.
    EXPECT_EQ(LogFiles() < before, step >= 3) << step;
    save_other(step);
  }
  // A delta that the other has not saved is of no use yet.
  MustAdd(2, 1);
  const SaveReport delta = Save(5, TableStore::SaveMode::kDelta);
  EXPECT_TRUE(delta.delta);
  EXPECT_FALSE(delta.published);
  Open();
  EXPECT_EQ(Row(2), 81);
}

TEST_F(TableStoreTest, VariablesAndFilterAreOfTheMomentOfTheRows) {
  log_ = false;
  filter_.thresholds.default_threshold = 2;
  filter_.capacity = 1000;
  Open();
  ASSERT_TRUE(store_->dense().Create("w", {.shape = {1}, .row_begin = 0, .row_end = 1}, {}).ok());
  MustAdd(1, 1);
  std::atomic<bool> changed{false};
  TableStore::Listener listener;
  std::thread writer;
  listener.at_moment = [&] {
    // Waits at the gate until the moment is over.
    writer = std::thread([&] {
      MustAdd(1, 1);
      (void)store_->dense().Assign("w", std::vector<float>{9});
      changed = true;
    });
  };
  store_->Listen(listener);
  Save(1);
  writer.join();
  EXPECT_TRUE(changed);
  Open();
  EXPECT_EQ(store_->dense().Get("w")->state->values[0], 0);
  // Counted once, not twice: the next is the second.
  MustAdd(1, 1);
  EXPECT_EQ(Row(1), 0);
  MustAdd(1, 4);
  EXPECT_EQ(Row(1), 4);
}

class SteppedClock final : public Clock {
 public:
  std::chrono::nanoseconds Monotonic() const override { return std::chrono::seconds(now); }
  int64_t UnixNanos() const override { return now * 1'000'000'000; }
  int64_t now = 1000;
};

TEST(CheckpointScheduleTest, SavesOnceInEverySlotAndWholeEveryFewSlots) {
  SteppedClock clock;
  std::vector<CheckpointSchedule::Slot> slots;
  CheckpointSchedule schedule(
      {.interval = std::chrono::seconds(10), .whole_every = 3, .clock = &clock},
      [&](const CheckpointSchedule::Slot& slot, const Cancellation&) { slots.push_back(slot); },
      /*start=*/false);
  for (const int64_t now : {1001, 1009, 1010, 1015, 1005, 1020, 1049, 1050}) {
    clock.now = now;
    schedule.Tick();
  }
  using Slot = CheckpointSchedule::Slot;
  EXPECT_THAT(slots, ::testing::ElementsAre(Slot{1010, false}, Slot{1020, true}, Slot{1040, false},
                                            Slot{1050, true}));
}

}  // namespace
}  // namespace megalith::embedding
