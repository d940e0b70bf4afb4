// Runs the fuzz harness in ordinary builds: over its seeds, the fixtures, and random mutations of
// both.
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "common/foundation/base/file_system.h"
#include "common/foundation/base/rng.h"
#include "common/foundation/base/strings.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace megalith {
namespace {

void Feed(const std::string& text) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(text.data()), text.size());
}

std::vector<std::string> Corpus() {
  std::vector<std::string> texts;
  const std::string root = MEGALITH_SOURCE_DIR;
  for (const std::string& directory :
       {root + "/tests/fuzz/seeds/stablehlo_text", root + "/conformance/fixtures/stablehlo"}) {
    const auto files = RealFileSystem().List(directory);
    EXPECT_TRUE(files.ok()) << files.status().ToString();
    if (!files.ok()) continue;
    for (const FileInfo& f : *files) {
      if (f.name.ends_with(".txt") || f.name.ends_with(".mlir"))
        texts.push_back(*RealFileSystem().Read(JoinPath(directory, f.name)));
    }
  }
  return texts;
}

// Deletes, repeats, swaps or overwrites a piece, or puts in one from another text.
std::string Mutate(std::string text, const std::vector<std::string>& corpus, Rng& rng) {
  const uint64_t edits = 1 + rng.Below(4);
  for (uint64_t e = 0; e < edits && !text.empty(); ++e) {
    const size_t at = rng.Below(text.size());
    const size_t n = 1 + rng.Below(rng.Below(8) == 0 ? 200 : 8);
    const std::string& other = corpus[rng.Below(corpus.size())];
    static const std::vector<std::string> kWords = {"-1",
                                                    "0",
                                                    "1",
                                                    "9223372036854775807",
                                                    "18446744073709551616",
                                                    "nan",
                                                    "0x7FC00000",
                                                    "[",
                                                    "]",
                                                    "{",
                                                    "}",
                                                    "<",
                                                    ">",
                                                    "tensor<",
                                                    "x",
                                                    "?",
                                                    "i1",
                                                    "i64",
                                                    "f32",
                                                    "bf16",
                                                    "complex<f32>",
                                                    "dense<",
                                                    "array<i64: ",
                                                    "%0",
                                                    "%arg0",
                                                    "#0",
                                                    "@main",
                                                    "stablehlo.",
                                                    "return",
                                                    "true",
                                                    ",",
                                                    "\"",
                                                    "^bb0",
                                                    "\xff",
                                                    "\n",
                                                    "loc(",
                                                    "//",
                                                    "-",
                                                    "1e999",
                                                    "4x",
                                                    "0x"};
    switch (rng.Below(6)) {
      case 0:
        text.erase(at, n);
        break;
      case 1:
        text.insert(at, text.substr(at, n));
        break;
      case 2:
        text[at] = static_cast<char>(rng.Below(256));
        break;
      case 3:
        text.insert(at, other.substr(rng.Below(other.size()), n * 4));
        break;
      default:
        text.replace(at, rng.Below(3) == 0 ? 0 : n, kWords[rng.Below(kWords.size())]);
        break;
    }
  }
  return text;
}

TEST(StablehloTextFuzzTest, SeedsAndFixturesHold) {
  const auto corpus = Corpus();
  ASSERT_GT(corpus.size(), 50u);
  for (const std::string& text : corpus) Feed(text);
}

TEST(StablehloTextFuzzTest, MutationsHold) {
  const auto corpus = Corpus();
  ASSERT_FALSE(corpus.empty());
  const uint64_t seed = 20240611;
  SCOPED_TRACE(StrCat("seed ", seed));
  Rng rng(seed);
  const auto start = std::chrono::steady_clock::now();
  // A fixed number of inputs, so that every run is the same; fewer on a slow machine (sanitizers).
  for (int i = 0; i < 20000; ++i) {
    if (std::chrono::steady_clock::now() - start > std::chrono::seconds(10)) break;
    const std::string& base = corpus[rng.Below(corpus.size())];
    if (base.size() > 8000) continue;
    Feed(Mutate(base, corpus, rng));
  }
}

}  // namespace
}  // namespace megalith
