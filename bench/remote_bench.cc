// Small calls of the plugin on a fleet. To be read beside the bare echo of execute_bench: the echo
// is no part of this program, because a process cannot hold two copies of generated protobuf code
// on one shared libprotobuf.
//   megalith --listen=unix:/tmp/megalith.sock &
//   remote_bench unix:/tmp/megalith.sock [ROUNDS]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "clients/pjrt/testing/plugin_host.h"

namespace megalith::pjrt {
namespace {

class Bench : public PluginHost {
 public:
  void TestBody() override {}

  int Main(const std::string& address, int rounds) {
    std::string error = Open({{"address", address}});
    abi::LoadedExecutable* add = nullptr;
    if (error.empty()) error = Compile(kAdd, &add);
    if (!error.empty()) {
      std::fprintf(stderr, "%s\n", error.c_str());
      return 1;
    }
    abi::Buffer* const a = PutFloats({1, 2, 3});
    const auto launch = [&](int times) {
      std::vector<abi::Buffer*> results, last;
      for (int i = 0; i < times; ++i) {
        Run(add, {last.empty() ? a : last[0], a}, &results);
        if (!last.empty()) Destroy(last[0]);
        last = results;
      }
      Get<float>(last[0]);
      Destroy(last[0]);
    };
    const auto time = [&](int launches, std::vector<double>* seconds) {
      for (int i = 0; i < 200; ++i) {
        const auto start = std::chrono::steady_clock::now();
        launch(launches);
        seconds->push_back(
            std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
      }
    };
    std::vector<double> one, eight;
    time(1, &one);
    one.clear();
    for (int r = 0; r < rounds; ++r) {
      time(1, &one);
      time(8, &eight);
    }
    const auto print = [](const char* name, std::vector<double> seconds) {
      std::sort(seconds.begin(), seconds.end());
      std::printf("%-28s %8.1f us\n", name, seconds[seconds.size() / 2] * 1e6);
    };
    print("launch and fetch", one);
    print("8 launches in a row, fetch", eight);
    Destroy(a);
    Destroy(add);
    TearDown();
    return 0;
  }
};

}  // namespace
}  // namespace megalith::pjrt

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: remote_bench ADDRESS [ROUNDS]\n");
    return 2;
  }
  return megalith::pjrt::Bench().Main(argv[1], argc > 2 ? std::max(1, std::atoi(argv[2])) : 20);
}
