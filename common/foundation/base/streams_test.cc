#include <gtest/gtest.h>

#include <vector>

#include "common/foundation/base/byte_stream.h"
#include "common/foundation/base/crc32c.h"
#include "common/foundation/base/file_system.h"
#include "common/foundation/base/rng.h"
#include "common/foundation/base/strings.h"

namespace megalith {
namespace {

// RFC 3720, appendix B.4.
TEST(Crc32cTest, KnownAnswers) {
  std::string ascending;
  for (int i = 0; i < 32; ++i) ascending += static_cast<char>(i);
  EXPECT_EQ(Crc32c(""), 0u);
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(Crc32c(std::string(32, '\xff')), 0x62a8ab43u);
  EXPECT_EQ(Crc32c(ascending), 0x46dd794eu);
  EXPECT_EQ(Crc32c("123456789"), 0xe3069283u);
}

TEST(Crc32cTest, InstructionAndTableAgreeForEveryLengthAndSplit) {
  const uint64_t seed = 6;
  SCOPED_TRACE(StrCat("seed ", seed));
  Rng rng(seed);
  std::string bytes;
  for (int n = 0; n < 100; ++n) {
    const uint32_t whole = Crc32c(bytes);
    EXPECT_EQ(whole, internal::ExtendCrc32cPortable(0, bytes)) << "length " << n;
    for (size_t cut = 0; cut <= bytes.size(); ++cut) {
      const std::string_view text = bytes;
      EXPECT_EQ(ExtendCrc32c(Crc32c(text.substr(0, cut)), text.substr(cut)), whole);
    }
    bytes += static_cast<char>(rng.Next());
  }
}

TEST(Crc32cTest, UnmaskingUndoesMasking) {
  EXPECT_EQ(MaskCrc32c(0), 0xa282ead8u);
  for (const uint32_t crc : {0u, 1u, 0x8a9136aau, 0xffffffffu})
    EXPECT_EQ(UnmaskCrc32c(MaskCrc32c(crc)), crc);
}

TEST(BufferedSinkTest, GathersSmallPiecesAndPassesLargeOnesOn) {
  struct Pieces final : ByteSink {
    std::vector<std::string> seen;
    Status Append(std::string_view bytes) override {
      seen.emplace_back(bytes);
      return OkStatus();
    }
  } pieces;
  BufferedSink sink(&pieces, 4);
  for (const std::string_view piece : {"ab", "cd", "e", "fghij", "k"})
    ASSERT_TRUE(sink.Append(piece).ok());
  ASSERT_TRUE(sink.Flush().ok());
  ASSERT_TRUE(sink.Flush().ok());
  EXPECT_EQ(pieces.seen, (std::vector<std::string>{"abcd", "e", "fghij", "k"}));
}

TEST(OpenReadTest, GivesAFileInPieces) {
  const TempDirectory directory;
  const std::string path = JoinPath(directory.path(), "file");
  FileSystem& files = RealFileSystem();
  ASSERT_TRUE(files.WriteAtomically(path, "hello world").ok());
  auto source = files.OpenRead(path);
  ASSERT_TRUE(source.ok());
  char buffer[8];
  EXPECT_EQ(*(*source)->Read(buffer), 8u);
  EXPECT_EQ(std::string_view(buffer, 8), "hello wo");
  EXPECT_EQ(*(*source)->Read(buffer), 3u);
  EXPECT_EQ(std::string_view(buffer, 3), "rld");
  EXPECT_EQ(*(*source)->Read(buffer), 0u);
}

TEST(OpenReadTest, NamesAPathThatIsNotThereOrNoFile) {
  const TempDirectory directory;
  FileSystem& files = RealFileSystem();
  EXPECT_EQ(files.OpenRead(JoinPath(directory.path(), "none")).status().code(), Code::kNotFound);
  auto folder = files.OpenRead(directory.path());
  char buffer[8];
  EXPECT_FALSE(folder.ok() && (*folder)->Read(buffer).ok());
}

}  // namespace
}  // namespace megalith
