#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "common/foundation/base/cancellation.h"
#include "common/foundation/base/file_lock.h"
#include "common/foundation/base/file_system.h"
#include "common/foundation/base/large_memory.h"
#include "common/foundation/base/policy.h"
#include "common/foundation/base/strings.h"
#include "common/foundation/base/version.h"

namespace megalith {
namespace {

TEST(VersionTest, IsThatOfTheProject) { EXPECT_EQ(kVersion, MEGALITH_PROJECT_VERSION); }

TEST(PolicyTest, RowsStandAtTheirQuestion) {
  const auto table = PolicyTable();
  for (size_t i = 0; i < table.size(); ++i) EXPECT_EQ(static_cast<size_t>(table[i].question), i);
  EXPECT_EQ(Ask(Policy::kStrict, PolicyQuestion::kUnknownOption), PolicyAnswer::kRefuse);
  EXPECT_EQ(Ask(Policy::kHardened, PolicyQuestion::kUnknownOption), PolicyAnswer::kAdmitAsKey);
}

TEST(DirectoryLockTest, SecondHolderIsRefusedAndToldWho) {
  const TempDirectory directory;
  auto first = DirectoryLock::Acquire(directory.path());
  ASSERT_TRUE(first.ok());
  const auto second = DirectoryLock::Acquire(directory.path());
  EXPECT_EQ(second.status().code(), Code::kFailedPrecondition);
  EXPECT_THAT(second.status().message(), ::testing::HasSubstr(StrCat("process ", ::getpid())));
  first->reset();
  EXPECT_TRUE(DirectoryLock::Acquire(directory.path()).ok());
  EXPECT_FALSE(DirectoryLock::Acquire("/nonexistent/x").ok());
}

TEST(CancellationTest, AsksItsPoll) {
  bool gone = false;
  const Cancellation c(
      std::nullopt, RealClock(), [](const void* p) { return *static_cast<const bool*>(p); }, &gone);
  EXPECT_TRUE(c.Check().ok());
  gone = true;
  EXPECT_EQ(c.Check().code(), Code::kCancelled);
}

TEST(LargeMemoryTest, ArraysAreAlignedAndWhole) {
  for (const size_t bytes : {size_t{0}, size_t{1}, size_t{4095}, (size_t{4} << 20) + 3}) {
    auto* p = static_cast<char*>(AllocateArray(bytes));
    ASSERT_NE(p, nullptr);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(p) % 64, 0u);
    std::memset(p, 7, bytes);
    EXPECT_EQ(std::count(p, p + bytes, 7), static_cast<std::ptrdiff_t>(bytes));
    std::free(p);
  }
  EXPECT_EQ(AllocateArray(SIZE_MAX), nullptr);
}

}  // namespace
}  // namespace megalith
