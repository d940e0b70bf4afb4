#include "common/learning/embedding/checkpoint/entry_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "common/foundation/base/strings.h"
#include "common/learning/embedding/checkpoint/reshard.h"
#include "common/learning/records/wire.h"

namespace megalith::embedding {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

std::string Row(Fid fid, float value) {
  std::string out;
  records::WireWriter writer(&out);
  writer.Fixed64(1, static_cast<uint64_t>(fid));
  writer.Float(2, value);
  writer.Varint(4, 1622716114);
  return out;
}

using Rows = std::multiset<std::string>;
using Tables = std::map<std::string, Rows>;

class EntryFilesTest : public ::testing::Test {
 protected:
  std::string At(const std::string& name) const { return JoinPath(directory_.path(), name); }

  // Writes the tables into one shard; in a single table all rows are in table "".
  void WriteShard(const std::string& directory, const std::string& base, ShardName shard,
                  TableLayout layout, const Tables& tables) {
    ASSERT_TRUE(files_.MakeDirectory(directory).ok());
    auto writer = EntryShardWriter::Create(files_, directory, base, shard, layout, rng_);
    ASSERT_TRUE(writer.ok());
    for (const auto& [name, rows] : tables) {
      if (layout == TableLayout::kNative) {
        ASSERT_TRUE((*writer)->BeginTable(name).ok());
      }
      for (const std::string& row : rows) ASSERT_TRUE((*writer)->Write(row).ok());
    }
    ASSERT_TRUE((*writer)->Publish().ok());
  }

  static Status ReadAll(EntryShardReader& reader, Tables* tables) {
    while (true) {
      ASSIGN_OR_RETURN(const auto table, reader.NextTable());
      if (!table) return OkStatus();
      Rows& rows = (*tables)[std::string(*table)];
      while (true) {
        ASSIGN_OR_RETURN(const auto row, reader.NextRow());
        if (!row) break;
        rows.emplace(*row);
      }
    }
  }

  // All rows of a base name, whatever shard they are in.
  Result<Tables> ReadBase(const std::string& directory, const std::string& base,
                          TableLayout layout) {
    ASSIGN_OR_RETURN(const auto paths, FindShards(files_, directory, base));
    Tables out;
    for (uint32_t i = 0; i < paths.size(); ++i) {
      ASSIGN_OR_RETURN(const auto reader,
                       EntryShardReader::Open(files_, directory, base,
                                              {i, static_cast<uint32_t>(paths.size())}, layout));
      RETURN_IF_ERROR(ReadAll(*reader, &out));
    }
    return out;
  }

  TempDirectory directory_;
  FileSystem& files_ = RealFileSystem();
  Rng rng_{3};
};

TEST_F(EntryFilesTest, SingleTablesComeBack) {
  const Tables tables = {{"", {Row(1, 1.0f), Row(-5, 2.0f)}}};
  WriteShard(At("a"), "t_0", {0, 2}, TableLayout::kSingle, tables);
  WriteShard(At("a"), "t_0", {1, 2}, TableLayout::kSingle, {});
  EXPECT_EQ(files_.Stat(At("a/t_0-00001-of-00002"))->size, 0u);
  EXPECT_EQ(*ReadBase(At("a"), "t_0", TableLayout::kSingle), tables);
}

TEST_F(EntryFilesTest, NativeTablesComeBackWithThoseThatAreEmpty) {
  const Tables tables = {{"fc_slot_1", {Row(1, 1.0f), Row(2, 2.0f)}},
                         {"fc_slot_2", {}},
                         {"fc_slot_3", {Row(3, 3.0f)}}};
  const std::string base = NativeTableBase(0);
  WriteShard(At("a"), base, {0, 1}, TableLayout::kNative, tables);
  EXPECT_EQ(*ReadBase(At("a"), base, TableLayout::kNative), tables);
  EXPECT_THAT(*CountNativeRows(files_, At("a"), base),
              ElementsAre(Pair("fc_slot_1", 2), Pair("fc_slot_2", 0), Pair("fc_slot_3", 1)));
}

TEST_F(EntryFilesTest, TablesThatNobodyWantsAreSkipped) {
  const std::string base = NativeTableBase(0);
  WriteShard(At("a"), base, {0, 1}, TableLayout::kNative,
             {{"x", {Row(1, 1.0f), Row(2, 2.0f)}}, {"y", {Row(3, 3.0f)}}});
  auto reader = EntryShardReader::Open(files_, At("a"), base, {0, 1}, TableLayout::kNative);
  ASSERT_TRUE(reader.ok());
  EXPECT_EQ((*reader)->NextTable()->value(), "x");
  ASSERT_TRUE((*reader)->NextRow().ok());
  EXPECT_EQ((*reader)->NextTable()->value(), "y");
  EXPECT_EQ(*FidOfEntry((*reader)->NextRow()->value()), 3);
  EXPECT_THAT((*reader)->Where(), HasSubstr("' uncompressed offset 72 (record 2)"));
  EXPECT_FALSE((*reader)->NextRow()->has_value());
  EXPECT_FALSE((*reader)->NextTable()->has_value());
}

TEST_F(EntryFilesTest, NamesMustAscend) {
  ASSERT_TRUE(files_.MakeDirectory(At("a")).ok());
  auto writer =
      EntryShardWriter::Create(files_, At("a"), "n_0", {0, 1}, TableLayout::kNative, rng_);
  ASSERT_TRUE((*writer)->BeginTable("b").ok());
  EXPECT_EQ((*writer)->BeginTable("b").code(), Code::kInvalidArgument);
  EXPECT_EQ((*writer)->BeginTable("a").code(), Code::kInvalidArgument);
  writer->reset();
  EXPECT_TRUE(files_.List(At("a"))->empty());
}

TEST_F(EntryFilesTest, AnEntryFileThatEndsEarlyIsDamaged) {
  const std::string base = NativeTableBase(0);
  WriteShard(At("a"), base, {0, 1}, TableLayout::kNative, {{"x", {Row(1, 1.0f), Row(2, 2.0f)}}});
  WriteShard(At("b"), base, {0, 1}, TableLayout::kNative, {{"x", {Row(1, 1.0f)}}});
  const std::string name = ShardFileName(base, 0, 1);
  ASSERT_TRUE(files_.WriteAtomically(At("a/" + name), *files_.Read(At("b/" + name))).ok());
  const Status status = ReadBase(At("a"), base, TableLayout::kNative).status();
  EXPECT_EQ(status.code(), Code::kDataLoss);
  EXPECT_THAT(status.message(), HasSubstr("ends 1 rows before"));
  EXPECT_THAT(status.message(), HasSubstr("table 'x'"));
}

TEST_F(EntryFilesTest, FidsAreFoundAnywhereInARow) {
  EXPECT_EQ(*FidOfEntry(Row(-7, 1.0f)), -7);
  std::string late;
  records::WireWriter writer(&late);
  writer.Float(2, 1.0f);
  writer.Fixed64(1, 9);
  EXPECT_EQ(*FidOfEntry(late), 9);
  EXPECT_EQ(FidOfEntry("").status().code(), Code::kDataLoss);
  EXPECT_EQ(FidOfEntry("\x08\x01").status().code(), Code::kDataLoss);
  EXPECT_EQ(FidOfEntry("\x09\x01").status().code(), Code::kDataLoss);
}

TEST_F(EntryFilesTest, AnInventoryTellsTablesServersAndFilters) {
  WriteShard(At("a"), "MonolithHashTable_ab_0", {0, 1}, TableLayout::kSingle, {});
  WriteShard(At("a"), "MonolithHashTable_ab_11", {0, 1}, TableLayout::kSingle, {});
  WriteShard(At("a"), "MonolithHashTable_ab_2", {0, 1}, TableLayout::kSingle, {});
  WriteShard(At("a"), NativeTableBase(std::nullopt), {0, 1}, TableLayout::kNative, {});
  WriteShard(At("a"), HashFilterBase(0), {0, 1}, TableLayout::kSingle, {});
  ASSERT_TRUE(files_.WriteAtomically(At("a/x-00000-of-00001-tmp-5"), "").ok());
  const auto inventory = TakeInventory(files_, At("a"));
  ASSERT_TRUE(inventory.ok());
  EXPECT_THAT(inventory->filters, ElementsAre("hash_filter_0"));
  ASSERT_EQ(inventory->tables.size(), 2u);
  EXPECT_EQ(inventory->tables[0].stem, "MonolithHashTable_ab");
  EXPECT_THAT(inventory->tables[0].servers, ElementsAre(0, 2, 11));
  EXPECT_EQ(inventory->tables[1].stem, "MonolithMultiHashTable");
  EXPECT_EQ(inventory->tables[1].layout, TableLayout::kNative);
  EXPECT_THAT(inventory->tables[1].Bases(), ElementsAre("MonolithMultiHashTable_"));
}

class ReshardTest : public EntryFilesTest {
 protected:
  // A checkpoint of two single tables and a native one on `servers` servers.
  void MakeCheckpoint(uint32_t servers, uint32_t shards) {
    Rng rng(11);
    std::map<std::pair<std::string, uint32_t>, Tables> content;  // by base name and shard
    for (uint32_t server = 0; server < servers; ++server) {
      for (uint32_t shard = 0; shard < shards; ++shard) {
        content[{StrCat("s_", server), shard}][""];
        content[{StrCat("t_", server), shard}][""];
        Tables& native = content[{NativeTableBase(server), shard}];
        native["fc_slot_1"];
        // A table that only one server knows.
        if (server == 0) native["fc_slot_2"];
      }
    }
    for (int i = 0; i < 2000; ++i) {
      const auto fid = static_cast<Fid>(rng.Next());
      const auto server = static_cast<uint32_t>(ShardOf(fid, static_cast<int>(servers)));
      const auto shard = static_cast<uint32_t>(rng.Below(shards));
      const std::string row = Row(fid, static_cast<float>(i));
      for (const std::string table : {"s", "t"}) {
        if (table == "t" && i % 3 == 0) continue;
        content[{StrCat(table, "_", server), shard}][""].insert(row);
        all_[table].insert(row);
      }
      content[{NativeTableBase(server), shard}]["fc_slot_1"].insert(row);
      all_["fc_slot_1"].insert(row);
    }
    for (const auto& [place, tables] : content) {
      const auto layout = tables.contains("") ? TableLayout::kSingle : TableLayout::kNative;
      WriteShard(At("old"), place.first, {place.second, shards}, layout, tables);
    }
    WriteShard(At("old"), HashFilterBase(0), {0, 1}, TableLayout::kSingle, {});
  }

  Result<ReshardReport> Run(const ReshardOptions& options, const std::string& to = "new") {
    return Reshard(files_, At("old"), At(to), options, rng_);
  }

  std::map<std::string, Rows> all_;  // rows of the whole checkpoint, by table
};

TEST_F(ReshardTest, EveryRowIsOnceOnTheServerOfItsFid) {
  MakeCheckpoint(3, 2);
  for (const uint32_t servers : {1u, 2u, 5u}) {
    const std::string to = StrCat("new", servers);
    const auto report = Run({.servers = servers}, to);
    ASSERT_TRUE(report.ok()) << report.status().ToString();
    EXPECT_EQ(report->servers_before, 3u);
    EXPECT_THAT(report->tables, ElementsAre("MonolithMultiHashTable", "s", "t"));
    EXPECT_THAT(report->filters_left, ElementsAre("hash_filter_0"));
    std::map<std::string, Rows> found;
    uint64_t rows = 0;
    for (uint32_t server = 0; server < servers; ++server) {
      for (const std::string table : {"s", "t", "MonolithMultiHashTable"}) {
        const bool native = table.size() > 1;
        const auto read = ReadBase(At(to), StrCat(table, "_", server),
                                   native ? TableLayout::kNative : TableLayout::kSingle);
        ASSERT_TRUE(read.ok()) << read.status().ToString();
        EXPECT_EQ(read->size(), native ? 2u : 1u);
        for (const auto& [name, some] : *read) {
          for (const std::string& row : some) {
            EXPECT_EQ(ShardOf(*FidOfEntry(row), static_cast<int>(servers)),
                      static_cast<int>(server));
            found[native ? name : table].insert(row);
            ++rows;
          }
        }
      }
    }
    EXPECT_EQ(found, all_);
    EXPECT_EQ(report->rows, rows);
  }
}

// Files are written for some servers at a time, so that few are open.
TEST_F(ReshardTest, ManyServersAreWrittenInSeveralPasses) {
  Rows rows;
  for (Fid fid = 0; fid < 200; ++fid) rows.insert(Row(fid, 1.0f));
  WriteShard(At("old"), "t_0", {0, 1}, TableLayout::kSingle, {{"", rows}});
  const auto report = Run({.servers = 66});
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  EXPECT_EQ(report->rows, 200u);
  EXPECT_EQ((*ReadBase(At("new"), "t_65", TableLayout::kSingle))[""],
            (Rows{Row(65, 1.0f), Row(131, 1.0f), Row(197, 1.0f)}));
}

TEST_F(ReshardTest, ThereAndBackIsTheSameCheckpoint) {
  MakeCheckpoint(3, 1);
  ASSERT_TRUE(Run({.servers = 4, .shards = 2}).ok());
  ASSERT_TRUE(Reshard(files_, At("new"), At("back"), {.servers = 3, .shards = 1}, rng_).ok());
  for (uint32_t server = 0; server < 3; ++server) {
    const std::string base = StrCat("s_", server);
    EXPECT_EQ(*ReadBase(At("back"), base, TableLayout::kSingle),
              *ReadBase(At("old"), base, TableLayout::kSingle));
  }
}

TEST_F(ReshardTest, ATableThatIsNotDistributedBecomesSo) {
  WriteShard(At("old"), "MonolithHashTable_ab", {0, 1}, TableLayout::kSingle,
             {{"", {Row(0, 0.0f), Row(1, 1.0f), Row(3, 3.0f)}}});
  WriteShard(At("old"), NativeTableBase(std::nullopt), {0, 1}, TableLayout::kNative,
             {{"x", {Row(5, 5.0f)}}});
  const auto report = Run({.servers = 2});
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  EXPECT_EQ(report->servers_before, 1u);
  EXPECT_EQ(*ReadBase(At("new"), "MonolithHashTable_ab_1", TableLayout::kSingle),
            (Tables{{"", {Row(1, 1.0f), Row(3, 3.0f)}}}));
  EXPECT_EQ(*ReadBase(At("new"), NativeTableBase(1), TableLayout::kNative),
            (Tables{{"x", {Row(5, 5.0f)}}}));
}

TEST_F(ReshardTest, IncompleteCheckpointsAreRefused) {
  MakeCheckpoint(3, 1);
  EXPECT_EQ(Run({.servers = 0}).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(Run({.servers = 2, .shards = 0}).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(Reshard(files_, At("none"), At("new"), {}, rng_).status().code(), Code::kNotFound);
  ASSERT_TRUE(files_.MakeDirectory(At("empty")).ok());
  EXPECT_EQ(Reshard(files_, At("empty"), At("new"), {}, rng_).status().code(), Code::kNotFound);
  EXPECT_EQ(Run({.servers = 2}, "old").status().code(), Code::kFailedPrecondition);

  ASSERT_TRUE(files_.Remove(At("old/t_1-00000-of-00001")).ok());
  EXPECT_THAT(Run({.servers = 2}).status().message(),
              HasSubstr("table 't' has files of server 2, but none of server 1"));
  ASSERT_TRUE(files_.Remove(At("old/t_2-00000-of-00001")).ok());
  EXPECT_THAT(Run({.servers = 2}).status().message(), HasSubstr("is on 3 servers, 't' on 1"));
  ASSERT_TRUE(files_.Remove(At("old/MonolithMultiHashTable_0-00000-of-00001")).ok());
  EXPECT_THAT(Run({.servers = 2}).status().message(),
              HasSubstr("but none of 'MonolithMultiHashTable_0'"));
}

TEST_F(ReshardTest, DamageLeavesNothingBehind) {
  MakeCheckpoint(2, 1);
  const std::string path = At("old/s_1-00000-of-00001");
  std::string bytes = *files_.Read(path);
  bytes[bytes.size() / 2] ^= 1;
  ASSERT_TRUE(files_.WriteAtomically(path, bytes).ok());
  const Status status = Run({.servers = 3}).status();
  EXPECT_EQ(status.code(), Code::kDataLoss);
  EXPECT_THAT(status.message(), HasSubstr(StrCat("'", path, "' offset ")));
  EXPECT_EQ(files_.Stat(At("new")).status().code(), Code::kNotFound);
}

}  // namespace
}  // namespace megalith::embedding
