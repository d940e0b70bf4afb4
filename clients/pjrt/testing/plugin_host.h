// Drives the plugin as a host does: through the shim, by the table alone. For tests.
#pragma once

#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "clients/pjrt/abi.h"

namespace megalith::pjrt {

inline constexpr std::string_view kAdd = R"(
module @jit_add {
  func.func public @main(%arg0: tensor<3xf32>, %arg1: tensor<3xf32>) -> (tensor<3xf32>) {
    %0 = stablehlo.add %arg0, %arg1 : tensor<3xf32>
    return %0 : tensor<3xf32>
  }
}
)";

inline constexpr std::string_view kDonate = R"(
module @jit_donate {
  func.func public @main(%arg0: tensor<3xf32> {tf.aliasing_output = 0 : i32}, %arg1: tensor<3xf32>)
      -> (tensor<3xf32>) {
    %0 = stablehlo.add %arg0, %arg1 : tensor<3xf32>
    return %0 : tensor<3xf32>
  }
}
)";

// Row 1 of a large array becomes what it was plus something.
inline constexpr std::string_view kUpdate = R"(
module @jit_update {
  func.func public @main(%arg0: tensor<100x64xf32> {tf.aliasing_output = 0 : i32},
      %arg1: tensor<1x64xf32>) -> (tensor<100x64xf32>) {
    %one = stablehlo.constant dense<1> : tensor<i32>
    %zero = stablehlo.constant dense<0> : tensor<i32>
    %0 = stablehlo.slice %arg0 [1:2, 0:64] : (tensor<100x64xf32>) -> tensor<1x64xf32>
    %1 = stablehlo.add %0, %arg1 : tensor<1x64xf32>
    %2 = stablehlo.dynamic_update_slice %arg0, %1, %one, %zero
        : (tensor<100x64xf32>, tensor<1x64xf32>, tensor<i32>, tensor<i32>) -> tensor<100x64xf32>
    return %2 : tensor<100x64xf32>
  }
}
)";

inline const abi::Api& Table() {
  static const abi::Api* const api = [] {
    void* shim = dlopen(MEGALITH_PJRT_LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (shim == nullptr) {
      ADD_FAILURE() << dlerror();
      std::abort();
    }
    const auto get = reinterpret_cast<const void* (*)()>(dlsym(shim, "GetPjrtApi"));
    return static_cast<const abi::Api*>(get());
  }();
  return *api;
}

template <typename Args>
Args New() {
  Args args{};
  args.struct_size = sizeof(Args);
  return args;
}

// The text of an error, which is destroyed; empty for none.
inline std::string TextOf(abi::Error* error) {
  if (error == nullptr) return "";
  auto message = New<abi::Error_Message_Args>();
  message.error = error;
  Table().Error_Message(&message);
  auto code = New<abi::Error_GetCode_Args>();
  code.error = error;
  Table().Error_GetCode(&code);
  std::string text = std::to_string(code.code) + ": ";
  text.append(message.message, message.message_size);
  auto destroy = New<abi::Error_Destroy_Args>();
  destroy.error = error;
  Table().Error_Destroy(&destroy);
  return text;
}

#define EXPECT_CALL_OK(name, args) EXPECT_EQ(TextOf(Table().name(&(args))), "")

// A client of the plugin, and what a host does with it.
class PluginHost : public ::testing::Test {
 protected:
  // Makes the client; returns the error.
  std::string Open(const std::vector<std::pair<std::string, std::string>>& options) {
    std::vector<abi::NamedValue> values;
    for (const auto& [name, value] : options) {
      abi::NamedValue v{};
      v.struct_size = sizeof(v);
      v.name = name.data();
      v.name_size = name.size();
      v.type = abi::kNamedString;
      v.string_value = value.data();
      v.value_size = value.size();
      values.push_back(v);
    }
    auto create = New<abi::Client_Create_Args>();
    create.create_options = values.data();
    create.num_options = values.size();
    std::string error = TextOf(Table().Client_Create(&create));
    if (!error.empty()) return error;
    client_ = create.client;
    auto list = New<abi::Client_Devices_Args>();
    list.client = client_;
    EXPECT_CALL_OK(Client_Devices, list);
    devices_.assign(list.devices, list.devices + list.num_devices);
    return error;
  }
  void TearDown() override {
    if (client_ == nullptr) return;
    auto destroy = New<abi::Client_Destroy_Args>();
    destroy.client = client_;
    EXPECT_CALL_OK(Client_Destroy, destroy);
  }

  std::string Compile(std::string_view text, abi::LoadedExecutable** out,
                      const std::string& options = "") {
    auto program = New<abi::Program>();
    program.code = text.data();
    program.code_size = text.size();
    program.format = "mlir";
    program.format_size = 4;
    auto compile = New<abi::Client_Compile_Args>();
    compile.client = client_;
    compile.program = &program;
    compile.compile_options = options.data();
    compile.compile_options_size = options.size();
    const std::string error = TextOf(Table().Client_Compile(&compile));
    *out = compile.executable;
    return error;
  }

  abi::Memory* MemoryOf(size_t device) {
    auto memory = New<abi::Device_DefaultMemory_Args>();
    memory.device = devices_[device];
    EXPECT_CALL_OK(Device_DefaultMemory, memory);
    return memory.memory;
  }

  abi::Buffer* Put(const void* data, std::vector<int64_t> dims, abi::Buffer_Type type,
                   std::vector<int64_t> strides = {}, size_t device = 0,
                   abi::Event** released = nullptr) {
    auto put = New<abi::Client_BufferFromHostBuffer_Args>();
    put.client = client_;
    put.data = data;
    put.type = type;
    put.dims = dims.data();
    put.num_dims = dims.size();
    put.byte_strides = strides.data();
    put.num_byte_strides = strides.size();
    put.host_buffer_semantics = abi::kImmutableZeroCopy;
    put.memory = MemoryOf(device);
    EXPECT_CALL_OK(Client_BufferFromHostBuffer, put);
    if (released != nullptr) {
      *released = put.done_with_host_buffer;
    } else {
      DestroyEvent(put.done_with_host_buffer);
    }
    return put.buffer;
  }
  abi::Buffer* PutFloats(const std::vector<float>& v) {
    return Put(v.data(), {static_cast<int64_t>(v.size())}, abi::kF32);
  }

  void Await(abi::Event* event) {
    auto await = New<abi::Event_Await_Args>();
    await.event = event;
    EXPECT_CALL_OK(Event_Await, await);
    DestroyEvent(event);
  }
  static void DestroyEvent(abi::Event* event) {
    auto destroy = New<abi::Event_Destroy_Args>();
    destroy.event = event;
    EXPECT_CALL_OK(Event_Destroy, destroy);
  }
  static void Destroy(abi::Buffer* buffer) {
    auto destroy = New<abi::Buffer_Destroy_Args>();
    destroy.buffer = buffer;
    EXPECT_CALL_OK(Buffer_Destroy, destroy);
  }
  static void Destroy(abi::LoadedExecutable* executable) {
    auto destroy = New<abi::LoadedExecutable_Destroy_Args>();
    destroy.executable = executable;
    EXPECT_CALL_OK(LoadedExecutable_Destroy, destroy);
  }

  // Row-major elements.
  template <typename T>
  std::vector<T> Get(abi::Buffer* buffer) {
    auto ask = New<abi::Buffer_ToHostBuffer_Args>();
    ask.src = buffer;
    EXPECT_CALL_OK(Buffer_ToHostBuffer, ask);
    if (ask.event != nullptr) DestroyEvent(ask.event);
    std::vector<T> out(ask.dst_size / sizeof(T));
    if (out.empty()) return out;
    auto get = New<abi::Buffer_ToHostBuffer_Args>();
    get.src = buffer;
    get.dst = out.data();
    get.dst_size = ask.dst_size;
    EXPECT_CALL_OK(Buffer_ToHostBuffer, get);
    Await(get.event);
    return out;
  }

  // The error of waiting for an array; empty if it comes to be.
  static std::string ErrorOf(abi::Buffer* buffer) {
    auto ready = New<abi::Buffer_ReadyEvent_Args>();
    ready.buffer = buffer;
    EXPECT_CALL_OK(Buffer_ReadyEvent, ready);
    auto await = New<abi::Event_Await_Args>();
    await.event = ready.event;
    std::string error = TextOf(Table().Event_Await(&await));
    DestroyEvent(ready.event);
    return error;
  }

  std::string Run(abi::LoadedExecutable* executable, std::vector<abi::Buffer*> arguments,
                  std::vector<abi::Buffer*>* results, size_t outputs = 1) {
    auto options = New<abi::ExecuteOptions>();
    auto execute = New<abi::LoadedExecutable_Execute_Args>();
    execute.executable = executable;
    execute.options = &options;
    abi::Buffer* const* const lists[] = {arguments.data()};
    execute.argument_lists = lists;
    execute.num_devices = 1;
    execute.num_args = arguments.size();
    results->assign(outputs, nullptr);
    abi::Buffer** const output_lists[] = {results->data()};
    execute.output_lists = output_lists;
    abi::Event* done = nullptr;
    execute.device_complete_events = &done;
    const std::string error = TextOf(Table().LoadedExecutable_Execute(&execute));
    if (done != nullptr) DestroyEvent(done);
    return error;
  }

  static bool IsDeleted(abi::Buffer* buffer) {
    auto deleted = New<abi::Buffer_IsDeleted_Args>();
    deleted.buffer = buffer;
    EXPECT_CALL_OK(Buffer_IsDeleted, deleted);
    return deleted.is_deleted;
  }

  // Compiles kAdd, runs it and looks at what it gives.
  void AddsTwoArrays() {
    abi::LoadedExecutable* add = nullptr;
    ASSERT_EQ(Compile(kAdd, &add), "");
    abi::Buffer* a = PutFloats({1, 2, 3});
    abi::Buffer* b = PutFloats({10, 20, 30});
    std::vector<abi::Buffer*> results;
    ASSERT_EQ(Run(add, {a, b}, &results), "");
    EXPECT_THAT(Get<float>(results[0]), ::testing::ElementsAre(11, 22, 33));
    for (abi::Buffer* buffer : {a, b, results[0]}) Destroy(buffer);
    Destroy(add);
  }

  abi::Client* client_ = nullptr;
  std::vector<abi::Device*> devices_;
};

}  // namespace megalith::pjrt
