// Programs that call functions of the host, driven as a host does.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "clients/pjrt/host_callbacks.h"
#include "clients/pjrt/testing/plugin_host.h"

namespace megalith::pjrt {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// What a host does: function 1 notes its operand, 2 doubles, 3 fails; others there are none.
struct FakeHost {
  std::mutex mu;
  std::map<uint64_t, int> holds;
  std::vector<float> noted;
};
FakeHost host;

// An interpreter's lock: functions take it, and the thread of a test may have it.
std::mutex interpreter;
thread_local bool has_lock = false;
int HasLock() { return has_lock ? 1 : 0; }
void* Unlock() {
  has_lock = false;
  interpreter.unlock();
  return &host;
}
void Lock(void* unlocked) {
  EXPECT_EQ(unlocked, &host);
  interpreter.lock();
  has_lock = true;
}

int Hold(uint64_t id) {
  if (id < 1 || id > 3) return 0;
  const std::lock_guard lock(host.mu);
  ++host.holds[id];
  return 1;
}
void Release(uint64_t id) {
  const std::lock_guard lock(host.mu);
  if (--host.holds[id] == 0) host.holds.erase(id);
}
int Call(uint64_t id, const MegalithHostArray* in, size_t num_in, const MegalithHostArray* out,
         size_t num_out, char* error, size_t error_size) {
  const std::lock_guard interpreted(interpreter);
  if (id == 3) {
    std::strncpy(error, "ValueError: no such luck", error_size);
    return 1;
  }
  if (num_in != 1 || num_out != id - 1) {
    std::strncpy(error, "other arrays", error_size);
    return 2;
  }
  const std::lock_guard lock(host.mu);
  const size_t n = in[0].bytes / sizeof(float);
  const auto* from = static_cast<const float*>(in[0].data);
  for (size_t i = 0; i < n; ++i) {
    if (id == 1) {
      host.noted.push_back(from[i]);
    } else {
      static_cast<float*>(out[0].data)[i] = 2 * from[i];
    }
  }
  return 0;
}

void Offer(const MegalithHostCallbacks* table) {
  void* shim = dlopen(MEGALITH_PJRT_LIBRARY, RTLD_NOW | RTLD_LOCAL);
  reinterpret_cast<void (*)(const MegalithHostCallbacks*)>(dlsym(shim, "MegalithSetHostCallbacks"))(
      table);
}

class HostCallbacksTest : public PluginHost {
 protected:
  void SetUp() override {
    ASSERT_EQ(Open({}), "");
    host.holds.clear();
    host.noted.clear();
    const MegalithHostCallbacks table{sizeof(table), Hold, Release, Call, HasLock, Unlock, Lock};
    Offer(&table);
  }
  void TearDown() override {
    PluginHost::TearDown();
    EXPECT_TRUE(host.holds.empty());
    Offer(nullptr);
  }

  // Runs and waits. The error of the launch, or of what it made.
  std::string RunAndWait(abi::LoadedExecutable* program, abi::Buffer* argument,
                         abi::Buffer** result) {
    std::vector<abi::Buffer*> results;
    const std::string error = Run(program, {argument}, &results);
    if (!error.empty()) return error;
    *result = results[0];
    auto ready = New<abi::Buffer_ReadyEvent_Args>();
    ready.buffer = results[0];
    EXPECT_CALL_OK(Buffer_ReadyEvent, ready);
    auto await = New<abi::Event_Await_Args>();
    await.event = ready.event;
    const std::string text = TextOf(Table().Event_Await(&await));
    DestroyEvent(ready.event);
    return text;
  }
};

std::string Calling(const std::string& body) {
  return "module @jit_calls {\n  func.func public @main(%arg0: tensor<2xf32>) -> (tensor<2xf32>) "
         "{\n" +
         body + "  }\n}\n";
}
std::string Note(const std::string& operand) {
  return "    stablehlo.custom_call @megalith.host_call(" + operand +
         ") {api_version = 4 : i32, has_side_effect = true, mhlo.backend_config = {id = 1 : ui64}} "
         ": (tensor<2xf32>) -> ()\n";
}
std::string Double(const std::string& result, const std::string& operand, int id) {
  return "    " + result + " = stablehlo.custom_call @megalith.host_call(" + operand +
         ") {api_version = 4 : i32, mhlo.backend_config = {id = " + std::to_string(id) +
         " : ui64}} : (tensor<2xf32>) -> tensor<2xf32>\n";
}

TEST_F(HostCallbacksTest, AreCalledInTheOrderOfTheProgram) {
  abi::LoadedExecutable* program = nullptr;
  ASSERT_EQ(Compile(Calling(Note("%arg0") + Double("%0", "%arg0", 2) +
                            "    %1 = stablehlo.add %0, %arg0 : tensor<2xf32>\n" + Note("%1") +
                            Note("%0") + "    return %1 : tensor<2xf32>\n"),
                    &program),
            "");
  EXPECT_THAT(host.holds, ElementsAre(testing::Pair(1, 3), testing::Pair(2, 1)));
  abi::Buffer* a = PutFloats({1, 2});
  abi::Buffer* result = nullptr;
  ASSERT_EQ(RunAndWait(program, a, &result), "");
  EXPECT_THAT(Get<float>(result), ElementsAre(3, 6));
  EXPECT_THAT(host.noted, ElementsAre(1, 2, 3, 6, 2, 4));
  for (abi::Buffer* b : {a, result}) Destroy(b);
  Destroy(program);
}

TEST_F(HostCallbacksTest, ThatFailGiveTheirTextAsTheErrorOfTheResults) {
  abi::LoadedExecutable* program = nullptr;
  ASSERT_EQ(
      Compile(Calling(Double("%0", "%arg0", 3) + "    return %0 : tensor<2xf32>\n"), &program), "");
  abi::Buffer* a = PutFloats({1, 2});
  abi::Buffer* result = nullptr;
  EXPECT_THAT(RunAndWait(program, a, &result), HasSubstr("13: ValueError: no such luck"));
  Destroy(a);
  Destroy(result);
  Destroy(program);
}

TEST_F(HostCallbacksTest, ThatTheHostDoesNotHaveAreRefusedWhenCompiling) {
  abi::LoadedExecutable* program = nullptr;
  const std::string body = Double("%0", "%arg0", 4) + "    return %0 : tensor<2xf32>\n";
  EXPECT_THAT(Compile(Calling(body), &program), HasSubstr("calls function 4"));
  Offer(nullptr);
  EXPECT_THAT(
      Compile(Calling(Double("%0", "%arg0", 2) + "    return %0 : tensor<2xf32>\n"), &program),
      HasSubstr("calls function 2"));
}

TEST_F(HostCallbacksTest, AreNotCalledOnceTheHostHasWithdrawnThem) {
  abi::LoadedExecutable* program = nullptr;
  ASSERT_EQ(
      Compile(Calling(Double("%0", "%arg0", 2) + "    return %0 : tensor<2xf32>\n"), &program), "");
  Offer(nullptr);
  abi::Buffer* a = PutFloats({1, 2});
  abi::Buffer* result = nullptr;
  EXPECT_THAT(RunAndWait(program, a, &result), HasSubstr("does not offer its functions any more"));
  Destroy(a);
  Destroy(result);
  Destroy(program);
  host.holds.clear();  // nobody to tell
}

TEST_F(HostCallbacksTest, AreNotKeptFromTheLockByWhoWaitsForThem) {
  abi::LoadedExecutable* program = nullptr;
  ASSERT_EQ(
      Compile(Calling(Double("%0", "%arg0", 2) + "    return %0 : tensor<2xf32>\n"), &program), "");
  abi::Buffer* a = PutFloats({1, 2});
  std::vector<abi::Buffer*> results;
  interpreter.lock();
  has_lock = true;
  ASSERT_EQ(Run(program, {a}, &results), "");
  auto pointer = New<abi::Buffer_UnsafePointer_Args>();
  pointer.buffer = results[0];
  EXPECT_CALL_OK(Buffer_UnsafePointer, pointer);
  ASSERT_TRUE(has_lock);
  Unlock();
  EXPECT_THAT(Get<float>(results[0]), ElementsAre(2, 4));
  for (abi::Buffer* b : {a, results[0]}) Destroy(b);
  Destroy(program);
}

TEST_F(HostCallbacksTest, KeepAProgramFromBeingStored) {
  abi::LoadedExecutable* program = nullptr;
  ASSERT_EQ(Compile(Calling(Note("%arg0") + "    return %arg0 : tensor<2xf32>\n"), &program), "");
  auto get = New<abi::LoadedExecutable_GetExecutable_Args>();
  get.loaded_executable = program;
  EXPECT_CALL_OK(LoadedExecutable_GetExecutable, get);
  auto serialize = New<abi::Executable_Serialize_Args>();
  serialize.executable = get.executable;
  EXPECT_THAT(TextOf(Table().Executable_Serialize(&serialize)), HasSubstr("cannot be stored"));
  auto destroy = New<abi::Executable_Destroy_Args>();
  destroy.executable = get.executable;
  EXPECT_CALL_OK(Executable_Destroy, destroy);
  Destroy(program);
}

}  // namespace
}  // namespace megalith::pjrt
