#include "common/programs/ops/coverage.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "common/programs/ops/registry.h"

namespace megalith::ops {
namespace {

TEST(CoverageTest, DocumentIsUpToDate) {
  const std::string path = MEGALITH_SOURCE_DIR "/docs/ops.md";
  const std::string want = CoverageMarkdown(AllOps());
  if (std::getenv("MEGALITH_UPDATE_GOLDEN") != nullptr) std::ofstream(path) << want;
  std::ifstream file(path);
  std::stringstream have;
  have << file.rdbuf();
  EXPECT_TRUE(have.str() == want) << path
                                  << " is stale; run this test with MEGALITH_UPDATE_GOLDEN=1";
}

}  // namespace
}  // namespace megalith::ops
