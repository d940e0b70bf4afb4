// Runs a fuzz harness without libFuzzer: on every seed, then on mutations of them for two seconds.
// The random seed is fixed, so that a failure repeats.
//
//   fuzz_<name> [DIRECTORY_OF_SEEDS [SECONDS [RANDOM_SEED]]]
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "common/foundation/base/file_system.h"
#include "common/foundation/base/rng.h"
#include "common/foundation/base/strings.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace megalith {
namespace {

constexpr uint64_t kSeed = 20260704;
constexpr uint64_t kSeconds = 2;
constexpr size_t kMaxBytes = 4096;

void RunOne(const std::string& input) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(input.data()), input.size());
}

// One small change: a flipped bit, a byte, a run removed, repeated or taken from another seed.
void Mutate(std::string* input, const std::vector<std::string>& seeds, Rng& rng) {
  const size_t at = input->empty() ? 0 : rng.Below(input->size());
  const size_t n = 1 + rng.Below(8);
  switch (rng.Below(6)) {
    case 0:
      if (!input->empty()) (*input)[at] = static_cast<char>((*input)[at] ^ (1 << rng.Below(8)));
      break;
    case 1:
      if (!input->empty()) (*input)[at] = static_cast<char>(rng.Next());
      break;
    case 2:
      input->erase(at, n);
      break;
    case 3:
      input->insert(at, input->substr(at, n));
      break;
    case 4:
      input->insert(at, n, static_cast<char>(rng.Next()));
      break;
    default:
      if (!seeds.empty()) {
        const std::string& other = seeds[rng.Below(seeds.size())];
        if (!other.empty()) input->insert(at, other.substr(rng.Below(other.size()), 8 * n));
      }
  }
  if (input->size() > kMaxBytes) input->resize(kMaxBytes);
}

int Run(const std::string& directory, uint64_t seconds, uint64_t random_seed) {
  std::vector<std::string> seeds;
  const auto listing = RealFileSystem().List(directory);
  if (listing.ok()) {
    for (const FileInfo& file : *listing)
      seeds.push_back(*RealFileSystem().Read(JoinPath(directory, file.name)));
  }
  for (const std::string& seed : seeds) RunOne(seed);
  Rng rng(random_seed);
  uint64_t runs = 0;
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  while (std::chrono::steady_clock::now() < end) {
    std::string input = seeds.empty() ? std::string() : seeds[rng.Below(seeds.size())];
    for (uint64_t i = 0; i <= rng.Below(8); ++i) Mutate(&input, seeds, rng);
    RunOne(input);
    ++runs;
  }
  std::printf("%llu mutations of %zu seeds, random seed %llu\n",
              static_cast<unsigned long long>(runs), seeds.size(),
              static_cast<unsigned long long>(random_seed));
  return 0;
}

}  // namespace
}  // namespace megalith

int main(int argc, char** argv) {
  const auto number = [&](int i, uint64_t fallback) {
    return i < argc ? megalith::ParseUint(argv[i]).value_or(fallback) : fallback;
  };
  return megalith::Run(argc > 1 ? argv[1] : "", number(2, megalith::kSeconds),
                       number(3, megalith::kSeed));
}
