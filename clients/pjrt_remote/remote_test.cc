// The plugin on a fleet: a real process on a unix socket, which is also killed and started again.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

#include "clients/pjrt/testing/plugin_host.h"
#include "common/foundation/base/file_system.h"
#include "tests/support/child_process.h"

namespace megalith::pjrt {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// 4 MB: arrays above what travels inline.
constexpr std::string_view kTwice = R"(
module @jit_twice {
  func.func public @main(%arg0: tensor<1048576xf32>) -> (tensor<1048576xf32>) {
    %0 = stablehlo.add %arg0, %arg0 : tensor<1048576xf32>
    return %0 : tensor<1048576xf32>
  }
}
)";
constexpr int64_t kMany = 1 << 20;

class RemoteTest : public PluginHost {
 protected:
  void StartFleet() {
    auto server = megalith::testing::StartServer(
        MEGALITH_BINARY, directory_.path(),
        {"--listen=" + address(), "--data_dir=" + JoinPath(directory_.path(), "data"),
         "--log_level=warn"});
    ASSERT_TRUE(server.ok()) << server.status().ToString();
    server_ = *std::move(server);
  }
  // Without a trace: no drained calls, no cache.
  void KillFleet() {
    server_.process->Signal(SIGKILL);
    ASSERT_TRUE(server_.process->Wait(std::chrono::seconds(60)));
    (void)RealFileSystem().Remove(JoinPath(directory_.path(), "socket"));
  }
  std::string address() const { return "unix:" + JoinPath(directory_.path(), "socket"); }
  std::string Connect(const std::string& timeout_ms = "60000") {
    return Open({{"address", address()}, {"connect_timeout_ms", timeout_ms}});
  }
  abi::Buffer* PutMany(float value) {
    const std::vector<float> v(kMany, value);
    abi::Event* released = nullptr;
    abi::Buffer* const buffer = Put(v.data(), {kMany}, abi::kF32, {}, 0, &released);
    Await(released);
    return buffer;
  }

  TempDirectory directory_;
  megalith::testing::ServerProcess server_;
};

TEST_F(RemoteTest, RunsAProgram) {
  StartFleet();
  ASSERT_EQ(Connect(), "");
  AddsTwoArrays();
}

TEST_F(RemoteTest, RunsOnResultsThatAreStillBeingMade) {
  StartFleet();
  ASSERT_EQ(Connect(), "");
  abi::LoadedExecutable* twice = nullptr;
  ASSERT_EQ(Compile(kTwice, &twice), "");
  abi::Buffer* x = PutMany(1);
  for (int i = 0; i < 20; ++i) {
    std::vector<abi::Buffer*> results;
    ASSERT_EQ(Run(twice, {x}, &results), "");
    Destroy(x);
    x = results[0];
  }
  const std::vector<float> out = Get<float>(x);
  ASSERT_EQ(out.size(), static_cast<size_t>(kMany));
  EXPECT_EQ(out[kMany - 1], 1048576.0F);
  Destroy(x);
  Destroy(twice);
}

TEST_F(RemoteTest, TakesWhatIsDonated) {
  StartFleet();
  ASSERT_EQ(Connect(), "");
  abi::LoadedExecutable* donate = nullptr;
  ASSERT_EQ(Compile(kDonate, &donate), "");
  abi::Buffer* a = PutFloats({1, 2, 3});
  abi::Buffer* b = PutFloats({1, 1, 1});
  std::vector<abi::Buffer*> first, second;
  ASSERT_EQ(Run(donate, {a, b}, &first), "");
  ASSERT_EQ(Run(donate, {first[0], b}, &second), "");
  EXPECT_TRUE(IsDeleted(a));
  EXPECT_TRUE(IsDeleted(first[0]));
  EXPECT_THAT(Get<float>(second[0]), ElementsAre(3, 4, 5));
  for (abi::Buffer* buffer : {a, b, first[0], second[0]}) Destroy(buffer);
  Destroy(donate);
}

// The executor may write into the array; whatever the client still has must not change.
TEST_F(RemoteTest, UpdatesWhatIsDonated) {
  StartFleet();
  ASSERT_EQ(Connect(), "");
  abi::LoadedExecutable* update = nullptr;
  ASSERT_EQ(Compile(kUpdate, &update), "");
  const std::vector<float> ones(6400, 1);
  abi::Buffer* a = Put(ones.data(), {100, 64}, abi::kF32);
  abi::Buffer* row = Put(ones.data(), {1, 64}, abi::kF32);
  std::vector<abi::Buffer*> first, second;
  ASSERT_EQ(Run(update, {a, row}, &first), "");
  EXPECT_EQ(Get<float>(first[0])[64], 2);
  ASSERT_EQ(Run(update, {first[0], row}, &second), "");
  EXPECT_TRUE(IsDeleted(first[0]));
  const std::vector<float> got = Get<float>(second[0]);
  EXPECT_EQ(got[63], 1);
  EXPECT_EQ(got[64], 3);
  EXPECT_EQ(ones[64], 1);
  for (abi::Buffer* buffer : {a, row, first[0], second[0]}) Destroy(buffer);
  Destroy(update);
}

TEST_F(RemoteTest, SaysWhatIsWrongWithAProgram) {
  StartFleet();
  ASSERT_EQ(Connect(), "");
  abi::LoadedExecutable* none = nullptr;
  EXPECT_THAT(Compile("module { nonsense }", &none), HasSubstr("nonsense"));
}

TEST_F(RemoteTest, NamesTheAddressIfNobodyAnswers) {
  const std::string error = Connect("100");
  EXPECT_THAT(error, HasSubstr("14: nobody answers at unix:"));
  EXPECT_THAT(error, HasSubstr("MEGALITH_ADDRESS"));
}

TEST_F(RemoteTest, GoesOnAfterTheExecutorWasKilled) {
  StartFleet();
  ASSERT_EQ(Connect(), "");
  abi::LoadedExecutable* twice = nullptr;
  ASSERT_EQ(Compile(kTwice, &twice), "");
  abi::Buffer* x = PutMany(1);
  std::vector<abi::Buffer*> before;
  ASSERT_EQ(Run(twice, {x}, &before), "");
  EXPECT_EQ(ErrorOf(before[0]), "");

  KillFleet();
  // The program's result lived there.
  std::vector<float> out(kMany);
  auto get = New<abi::Buffer_ToHostBuffer_Args>();
  get.src = before[0];
  get.dst = out.data();
  get.dst_size = kMany * sizeof(float);
  EXPECT_CALL_OK(Buffer_ToHostBuffer, get);
  auto await = New<abi::Event_Await_Args>();
  await.event = get.event;
  const std::string gone = TextOf(Table().Event_Await(&await));
  EXPECT_THAT(gone, HasSubstr("14: the executor at unix:"));
  EXPECT_THAT(gone, HasSubstr("make them again"));
  DestroyEvent(get.event);

  StartFleet();
  std::vector<abi::Buffer*> lost, after;
  ASSERT_EQ(Run(twice, {x}, &lost), "");
  EXPECT_THAT(ErrorOf(lost[0]), HasSubstr("is gone"));
  abi::Buffer* y = PutMany(2);
  ASSERT_EQ(Run(twice, {y}, &after), "");
  EXPECT_EQ(Get<float>(after[0])[5], 4.0F);
  for (abi::Buffer* buffer : {x, y, before[0], lost[0], after[0]}) Destroy(buffer);
  Destroy(twice);
}

// The executor is stopped first, so that nothing of what is sent can have arrived whole.
TEST_F(RemoteTest, TransfersUnderWayAreLostWithTheExecutor) {
  StartFleet();
  ASSERT_EQ(Connect(), "");
  abi::LoadedExecutable* twice = nullptr;
  ASSERT_EQ(Compile(kTwice, &twice), "");
  server_.process->Signal(SIGSTOP);
  const std::vector<float> ones(kMany, 1);
  std::vector<abi::Buffer*> sent;
  std::vector<abi::Event*> released(4);
  for (abi::Event*& event : released)
    sent.push_back(Put(ones.data(), {kMany}, abi::kF32, {}, 0, &event));
  std::vector<abi::Buffer*> lost, after;
  ASSERT_EQ(Run(twice, {sent.back()}, &lost), "");
  KillFleet();
  EXPECT_THAT(ErrorOf(lost[0]), HasSubstr("is gone"));
  // The host's memory is its own again.
  for (abi::Event* event : released) Await(event);

  StartFleet();
  abi::Buffer* y = PutMany(2);
  ASSERT_EQ(Run(twice, {y}, &after), "");
  EXPECT_EQ(Get<float>(after[0])[5], 4.0F);
  for (abi::Buffer* buffer : sent) Destroy(buffer);
  for (abi::Buffer* buffer : {y, lost[0], after[0]}) Destroy(buffer);
  Destroy(twice);
}

}  // namespace
}  // namespace megalith::pjrt
