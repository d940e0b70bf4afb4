#include "common/learning/embedding/cold/rocks_store.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <map>
#include <vector>

#include "common/foundation/base/rng.h"

namespace megalith::embedding {
namespace {

constexpr size_t kPayloadBytes = 24;

std::vector<std::byte> PayloadOf(Fid fid, uint32_t version) {
  std::vector<std::byte> payload(kPayloadBytes);
  for (size_t i = 0; i < kPayloadBytes; ++i) {
    payload[i] = static_cast<std::byte>(static_cast<uint64_t>(fid) * 7 + version * 13 + i);
  }
  return payload;
}

class RocksStoreTest : public testing::Test {
 protected:
  std::unique_ptr<ColdStore> Open(ColdTierConfig config = {}, const std::string& table = "t") {
    if (config.directory.empty()) config.directory = table;
    auto store = RocksStores(directory_.path(), RealFileSystem())(table, config, kPayloadBytes);
    EXPECT_TRUE(store.ok()) << store.status().ToString();
    return store.ok() ? *std::move(store) : nullptr;
  }
  Status Write(ColdStore& store, const std::vector<Fid>& fids, uint32_t version) {
    std::vector<std::byte> payloads;
    for (const Fid fid : fids) {
      const std::vector<std::byte> payload = PayloadOf(fid, version);
      payloads.insert(payloads.end(), payload.begin(), payload.end());
    }
    const std::vector<uint32_t> times(fids.size(), version);
    return store.Write(fids, times, payloads.data(), kPayloadBytes);
  }
  // Versions of the fids that have a row, whose payloads are those of the version.
  std::map<Fid, uint32_t> Read(const ColdStore& store, const std::vector<Fid>& fids) {
    std::map<Fid, uint32_t> found;
    const Status read =
        store.Read(fids, [&](size_t i, uint32_t timestamp, const std::byte* payload) {
          found[fids[i]] = timestamp;
          EXPECT_EQ(std::memcmp(payload, PayloadOf(fids[i], timestamp).data(), kPayloadBytes), 0);
        });
    EXPECT_TRUE(read.ok()) << read.ToString();
    return found;
  }
  static std::vector<Fid> Sequence(Fid from, Fid to) {
    std::vector<Fid> fids;
    for (Fid fid = from; fid < to; ++fid) fids.push_back(fid);
    return fids;
  }

  TempDirectory directory_;
};

TEST_F(RocksStoreTest, KeysAreABijection) {
  Rng rng(3);
  for (int i = 0; i < 10000; ++i) {
    const auto fid = static_cast<Fid>(rng.Next());
    ASSERT_EQ(FidOfColdKey(ColdKey(fid)), fid);
  }
}

TEST_F(RocksStoreTest, ReadsWhatWasWrittenLast) {
  const auto store = Open();
  const std::vector<Fid> fids = Sequence(-500, 1500);
  ASSERT_TRUE(Write(*store, fids, 1).ok());
  ASSERT_TRUE(Write(*store, Sequence(0, 100), 2).ok());
  ASSERT_TRUE(store->Erase(Sequence(100, 200)).ok());
  std::map<Fid, uint32_t> wanted;
  for (const Fid fid : fids) {
    if (fid < 100 || fid >= 200) wanted[fid] = fid >= 0 && fid < 100 ? 2 : 1;
  }
  EXPECT_EQ(Read(*store, Sequence(-600, 1600)), wanted);
}

TEST_F(RocksStoreTest, AViewIsOfItsMomentInTheOrderOfKeys) {
  const auto store = Open();
  ASSERT_TRUE(Write(*store, Sequence(0, 1000), 1).ok());
  const auto view = store->Take();
  ASSERT_TRUE(Write(*store, Sequence(500, 1500), 2).ok());
  ASSERT_TRUE(store->Clear().ok());
  EXPECT_TRUE(Read(*store, Sequence(0, 1500)).empty());
  uint64_t last = 0;
  size_t rows = 0;
  ASSERT_TRUE(view->Walk(0,
                         [&](uint64_t key, uint32_t timestamp, const std::byte*) {
                           EXPECT_TRUE(rows == 0 || key > last);
                           EXPECT_EQ(timestamp, 1u);
                           EXPECT_LT(FidOfColdKey(key), 1000);
                           last = key;
                           ++rows;
                           return true;
                         })
                  .ok());
  EXPECT_EQ(rows, 1000u);
  rows = 0;
  ASSERT_TRUE(view->Walk(last,
                         [&](uint64_t key, uint32_t, const std::byte*) {
                           EXPECT_EQ(key, last);
                           ++rows;
                           return true;
                         })
                  .ok());
  EXPECT_EQ(rows, 1u);
}

TEST_F(RocksStoreTest, IsEmptyWhenItIsOpened) {
  {
    const auto store = Open();
    ASSERT_TRUE(Write(*store, Sequence(0, 1000), 1).ok());
  }
  EXPECT_TRUE(Read(*Open(), Sequence(0, 1000)).empty());
}

TEST_F(RocksStoreTest, LeavesWhatAnotherStoreOfTheTableHasOpen) {
  const auto one = Open();
  ASSERT_TRUE(Write(*one, Sequence(0, 1000), 1).ok());
  const auto two = Open();
  ASSERT_TRUE(Write(*two, Sequence(0, 1000), 2).ok());
  EXPECT_EQ(Read(*one, {5}).at(5), 1u);
  EXPECT_EQ(Read(*two, {5}).at(5), 2u);
}

TEST_F(RocksStoreTest, RemovesWhatAnEarlierProcessLeft) {
  Open().reset();
  const std::string left = directory_.path() + "/t/rows-7";
  ASSERT_TRUE(RealFileSystem().MakeDirectory(left).ok());
  ASSERT_TRUE(RealFileSystem().WriteAtomically(left + "/000004.sst", "of a killed process").ok());
  const auto store = Open();
  EXPECT_EQ(RealFileSystem().Stat(left).status().code(), Code::kNotFound);
}

TEST_F(RocksStoreTest, RefusesTheDirectoryOfAnotherTable) {
  const auto store = Open({.directory = "shared"}, "one");
  const OpenColdStoreOf open = RocksStores(directory_.path(), RealFileSystem());
  const auto other = open("two", {.directory = "shared"}, kPayloadBytes);
  EXPECT_EQ(other.status().code(), Code::kFailedPrecondition);
  EXPECT_NE(other.status().message().find("table one"), std::string::npos)
      << other.status().ToString();
}

TEST_F(RocksStoreTest, RefusesADirectoryWithOtherFilesAndLeavesThem) {
  const std::string path = directory_.path() + "/photos";
  ASSERT_TRUE(RealFileSystem().MakeDirectory(path).ok());
  ASSERT_TRUE(RealFileSystem().WriteAtomically(path + "/cat.jpg", "a cat").ok());
  const OpenColdStoreOf open = RocksStores(directory_.path(), RealFileSystem());
  EXPECT_EQ(open("t", {.directory = "photos"}, kPayloadBytes).status().code(),
            Code::kFailedPrecondition);
  EXPECT_EQ(*RealFileSystem().Read(path + "/cat.jpg"), "a cat");
}

TEST_F(RocksStoreTest, RefusesNamesThatLeadElsewhere) {
  const OpenColdStoreOf open = RocksStores(directory_.path(), RealFileSystem());
  for (const char* name : {"", "..", "a/../b", "/a", "a//b", "a/", "a b", "."}) {
    EXPECT_EQ(open("t", {.directory = name}, kPayloadBytes).status().code(), Code::kInvalidArgument)
        << name;
  }
}

// Rows that the limit does not let through stay readable until then written ones are.
TEST_F(RocksStoreTest, AFullDiskIsAnErrorAndLosesNothingThatWasWritten) {
  const auto store = Open({.cache_bytes = 1 << 20, .max_disk_bytes = 4 << 20});
  std::vector<Fid> written;
  Status status;
  for (Fid from = 0; status.ok() && from < 2'000'000; from += 1000) {
    status = Write(*store, Sequence(from, from + 1000), 1);
    if (status.ok()) {
      for (const Fid fid : Sequence(from, from + 1000)) written.push_back(fid);
    }
  }
  EXPECT_EQ(status.code(), Code::kResourceExhausted) << status.ToString();
  EXPECT_EQ(Read(*store, written).size(), written.size());
}

TEST_F(RocksStoreTest, ADamagedFileIsAnErrorAndNoOtherRow) {
  const auto store = Open({.cache_bytes = 1 << 20});
  const std::vector<Fid> fids = Sequence(0, 200'000);
  for (size_t at = 0; at < fids.size(); at += 1000) {
    ASSERT_TRUE(Write(*store,
                      {fids.begin() + static_cast<int64_t>(at),
                       fids.begin() + static_cast<int64_t>(at) + 1000},
                      1)
                    .ok());
  }
  const std::string path = directory_.path() + "/t/rows-0";
  int damaged = 0;
  const Result<std::vector<FileInfo>> files = RealFileSystem().List(path);
  for (const FileInfo& file : *files) {
    if (!file.name.ends_with(".sst")) continue;
    std::fstream bytes(path + "/" + file.name, std::ios::in | std::ios::out | std::ios::binary);
    const std::vector<char> noise(file.size / 2, '\x5a');
    bytes.seekp(static_cast<std::streamoff>(file.size / 8));
    bytes.write(noise.data(), static_cast<std::streamsize>(noise.size()));
    ++damaged;
  }
  ASSERT_GT(damaged, 0);
  size_t rows = 0;
  const Status read =
      store->Read(fids, [&](size_t i, uint32_t timestamp, const std::byte* payload) {
        EXPECT_EQ(timestamp, 1u);
        EXPECT_EQ(std::memcmp(payload, PayloadOf(fids[i], 1).data(), kPayloadBytes), 0);
        ++rows;
      });
  EXPECT_EQ(read.code(), Code::kDataLoss) << read.ToString();
  EXPECT_LT(rows, fids.size());
}

}  // namespace
}  // namespace megalith::embedding
