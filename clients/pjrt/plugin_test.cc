// Drives the plugin as a host does: through the shim, by the table alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "clients/pjrt/testing/plugin_host.h"

namespace megalith::pjrt {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Counts to a number that no estimate knows, so that the launch goes to the device's queue.
constexpr std::string_view kLong = R"(
module @jit_long {
  func.func public @main(%arg0: tensor<512x512xf32>) -> (tensor<512x512xf32>) {
    %0 = stablehlo.dot_general %arg0, %arg0, contracting_dims = [1] x [0]
        : (tensor<512x512xf32>, tensor<512x512xf32>) -> tensor<512x512xf32>
    %1 = stablehlo.dot_general %0, %arg0, contracting_dims = [1] x [0]
        : (tensor<512x512xf32>, tensor<512x512xf32>) -> tensor<512x512xf32>
    return %1 : tensor<512x512xf32>
  }
}
)";

class PluginTest : public PluginHost {
 protected:
  void SetUp() override { ASSERT_EQ(Open({{"num_devices", "2"}}), ""); }
};

TEST(Table, HasEverySlot) {
  EXPECT_EQ(Table().struct_size, 1064u);
  EXPECT_EQ(Table().version.minor_version, 90);
  const auto* slots = reinterpret_cast<void* const*>(reinterpret_cast<const char*>(&Table()) + 40);
  for (int i = 0; i < 128; ++i) EXPECT_NE(slots[i], nullptr) << i;
}

TEST_F(PluginTest, RunsAProgram) { AddsTwoArrays(); }

TEST_F(PluginTest, HasResultsOfSmallProgramsOnReturn) {
  abi::LoadedExecutable* add = nullptr;
  ASSERT_EQ(Compile(kAdd, &add), "");
  abi::Buffer* a = PutFloats({1, 2, 3});
  std::vector<abi::Buffer*> results;
  ASSERT_EQ(Run(add, {a, a}, &results), "");
  std::vector<abi::Event*> events;
  for (abi::Buffer* buffer : {a, results[0]}) {
    auto ready = New<abi::Buffer_ReadyEvent_Args>();
    ready.buffer = buffer;
    EXPECT_CALL_OK(Buffer_ReadyEvent, ready);
    events.push_back(ready.event);
  }
  for (abi::Event* event : events) {
    int called = 0;
    auto on_ready = New<abi::Event_OnReady_Args>();
    on_ready.event = event;
    on_ready.callback = [](abi::Error* error, void* n) {
      EXPECT_EQ(TextOf(error), "");
      ++*static_cast<int*>(n);
    };
    on_ready.user_arg = &called;
    EXPECT_CALL_OK(Event_OnReady, on_ready);
    EXPECT_EQ(called, 1);
    DestroyEvent(event);
  }
  for (abi::Buffer* buffer : {a, results[0]}) Destroy(buffer);
  Destroy(add);
}

TEST_F(PluginTest, RunsLongProgramsBesideTheCaller) {
  abi::LoadedExecutable* dot = nullptr;
  ASSERT_EQ(Compile(kLong, &dot), "");
  std::vector<float> ones(512 * 512, 1.0F / 512);
  abi::Buffer* a = Put(ones.data(), {512, 512}, abi::kF32);
  std::vector<abi::Buffer*> results;
  ASSERT_EQ(Run(dot, {a}, &results), "");
  // The host lets go of the argument and the program before the result is there.
  Destroy(a);
  Destroy(dot);
  std::atomic<int> called{0};
  auto ready = New<abi::Buffer_ReadyEvent_Args>();
  ready.buffer = results[0];
  EXPECT_CALL_OK(Buffer_ReadyEvent, ready);
  auto on_ready = New<abi::Event_OnReady_Args>();
  on_ready.event = ready.event;
  on_ready.callback = [](abi::Error* error, void* n) {
    EXPECT_EQ(TextOf(error), "");
    ++*static_cast<std::atomic<int>*>(n);
  };
  on_ready.user_arg = &called;
  EXPECT_CALL_OK(Event_OnReady, on_ready);
  DestroyEvent(ready.event);
  EXPECT_FLOAT_EQ(Get<float>(results[0])[7], 1.0F / 512);
  while (called == 0) std::this_thread::yield();
  EXPECT_EQ(called, 1);
  Destroy(results[0]);
}

TEST_F(PluginTest, KeepsElementsOfAnyLayout) {
  const std::vector<int32_t> v = {1, 2, 3, 4, 5, 6};
  abi::Buffer* transposed = Put(v.data(), {3, 2}, abi::kS32, {4, 12});
  EXPECT_THAT(Get<int32_t>(transposed), ElementsAre(1, 4, 2, 5, 3, 6));
  abi::Buffer* backwards = Put(v.data() + 5, {6}, abi::kS32, {-4});
  EXPECT_THAT(Get<int32_t>(backwards), ElementsAre(6, 5, 4, 3, 2, 1));
  abi::Buffer* spread = Put(v.data(), {2, 2}, abi::kS32, {12, 8});
  EXPECT_THAT(Get<int32_t>(spread), ElementsAre(1, 3, 4, 6));
  abi::Buffer* empty = Put(v.data(), {0, 3}, abi::kS32, {12, 4});
  EXPECT_THAT(Get<int32_t>(empty), ElementsAre());

  std::vector<int32_t> columns(6);
  auto get = New<abi::Buffer_ToHostBuffer_Args>();
  get.src = transposed;
  abi::Buffer_MemoryLayout layout{};
  layout.struct_size = sizeof(layout);
  const int64_t order[] = {0, 1};
  layout.tiled.minor_to_major = order;
  layout.tiled.minor_to_major_size = 2;
  get.host_layout = &layout;
  get.dst = columns.data();
  get.dst_size = 24;
  EXPECT_CALL_OK(Buffer_ToHostBuffer, get);
  Await(get.event);
  EXPECT_THAT(columns, ElementsAre(1, 2, 3, 4, 5, 6));
  for (abi::Buffer* b : {transposed, backwards, spread, empty}) Destroy(b);
}

// NumPy keeps zeros above the four bits of a negative int4.
TEST_F(PluginTest, TakesNarrowElementsByTheirLowBits) {
  std::vector<int8_t> v(8192, 0x0E);
  v[1] = 3;
  abi::Buffer* small = Put(v.data(), {4}, abi::kS4);
  EXPECT_THAT(Get<int8_t>(small), ElementsAre(-2, 3, -2, -2));
  abi::Buffer* large = Put(v.data(), {8192}, abi::kS4, {1});
  EXPECT_EQ(Get<int8_t>(large)[8191], -2);
  for (abi::Buffer* b : {small, large}) Destroy(b);
}

TEST_F(PluginTest, TakesBooleansOfAnyByte) {
  std::vector<uint8_t> v(8192, 171);
  v[1] = 0;
  abi::Buffer* small = Put(v.data(), {2}, abi::kPred);
  EXPECT_THAT(Get<uint8_t>(small), ElementsAre(1, 0));
  abi::Buffer* large = Put(v.data(), {8192}, abi::kPred, {1});
  EXPECT_EQ(Get<uint8_t>(large)[8191], 1);
  EXPECT_EQ(v[0], 171);
  for (abi::Buffer* b : {small, large}) Destroy(b);
}

TEST_F(PluginTest, BorrowsLargeArraysUntilTheyDie) {
  std::vector<float> v(100000, 2);
  abi::Event* released = nullptr;
  abi::Buffer* a = Put(v.data(), {100000}, abi::kF32, {4}, 0, &released);
  auto pointer = New<abi::Buffer_UnsafePointer_Args>();
  pointer.buffer = a;
  EXPECT_CALL_OK(Buffer_UnsafePointer, pointer);
  EXPECT_EQ(pointer.buffer_pointer, v.data());
  auto ready = New<abi::Event_IsReady_Args>();
  ready.event = released;
  EXPECT_CALL_OK(Event_IsReady, ready);
  EXPECT_FALSE(ready.is_ready);
  Destroy(a);
  EXPECT_CALL_OK(Event_IsReady, ready);
  EXPECT_TRUE(ready.is_ready);
  DestroyEvent(released);
}

TEST_F(PluginTest, TakesWhatIsDonated) {
  abi::LoadedExecutable* donate = nullptr;
  ASSERT_EQ(Compile(kDonate, &donate), "");
  abi::Buffer* a = PutFloats({1, 2, 3});
  abi::Buffer* b = PutFloats({10, 20, 30});
  std::vector<abi::Buffer*> results, none;
  EXPECT_THAT(Run(donate, {a, a}, &none),
              HasSubstr("argument 0 is donated but is also argument 1"));
  EXPECT_FALSE(IsDeleted(a));
  ASSERT_EQ(Run(donate, {a, b}, &results), "");
  EXPECT_TRUE(IsDeleted(a));
  EXPECT_FALSE(IsDeleted(b));
  EXPECT_THAT(Get<float>(results[0]), ElementsAre(11, 22, 33));
  EXPECT_THAT(Run(donate, {a, b}, &none), HasSubstr("was deleted or donated"));
  for (abi::Buffer* buffer : {a, b, results[0]}) Destroy(buffer);
  Destroy(donate);
}

class DonationTest : public PluginTest {
 protected:
  void SetUp() override {
    PluginTest::SetUp();
    ASSERT_EQ(Compile(kUpdate, &update_), "");
    row_ = Filled(1, 1);
  }
  void TearDown() override {
    Destroy(row_);
    Destroy(update_);
    PluginTest::TearDown();
  }
  // A copy of the engine's own, unlike what is borrowed from the host.
  abi::Buffer* Filled(int64_t rows, float value) {
    const std::vector<float> host(static_cast<size_t>(rows) * 64, value);
    auto put = New<abi::Client_BufferFromHostBuffer_Args>();
    const int64_t dims[] = {rows, 64};
    put.client = client_;
    put.data = host.data();
    put.type = abi::kF32;
    put.dims = dims;
    put.num_dims = 2;
    put.host_buffer_semantics = abi::kImmutableOnlyDuringCall;
    put.memory = MemoryOf(0);
    EXPECT_CALL_OK(Client_BufferFromHostBuffer, put);
    DestroyEvent(put.done_with_host_buffer);
    return put.buffer;
  }
  static const void* PlaceOf(abi::Buffer* buffer) {
    EXPECT_EQ(ErrorOf(buffer), "");
    auto pointer = New<abi::Buffer_UnsafePointer_Args>();
    pointer.buffer = buffer;
    EXPECT_CALL_OK(Buffer_UnsafePointer, pointer);
    return pointer.buffer_pointer;
  }
  // The result, of whose elements the first of rows 1 and 2 are checked.
  abi::Buffer* Update(abi::Buffer* a, float wanted) {
    std::vector<abi::Buffer*> results;
    EXPECT_EQ(Run(update_, {a, row_}, &results), "");
    const std::vector<float> got = Get<float>(results[0]);
    EXPECT_EQ(got[64], wanted);
    EXPECT_EQ(got[128], 1);
    return results[0];
  }
  int64_t BytesInUse() {
    auto stats = New<abi::Device_MemoryStats_Args>();
    stats.device = devices_[0];
    EXPECT_CALL_OK(Device_MemoryStats, stats);
    return stats.bytes_in_use;
  }
  abi::LoadedExecutable* update_ = nullptr;
  abi::Buffer* row_ = nullptr;
};

TEST_F(DonationTest, ResultsHaveTheMemoryOfWhatIsDonated) {
  abi::Buffer* a = Filled(100, 1);
  const void* const place = PlaceOf(a);
  const int64_t bytes = BytesInUse();
  abi::Buffer* b = Update(a, 2);
  EXPECT_TRUE(IsDeleted(a));
  EXPECT_EQ(PlaceOf(b), place);
  EXPECT_EQ(BytesInUse(), bytes);
  abi::Buffer* c = Update(b, 3);
  EXPECT_EQ(PlaceOf(c), place);
  for (abi::Buffer* buffer : {a, b, c}) Destroy(buffer);
}

TEST_F(DonationTest, WhatIsBorrowedFromTheHostIsCopied) {
  std::vector<float> host(6400, 1);
  abi::Buffer* a = Put(host.data(), {100, 64}, abi::kF32);
  EXPECT_EQ(PlaceOf(a), host.data());
  abi::Buffer* b = Update(a, 2);
  EXPECT_TRUE(IsDeleted(a));
  EXPECT_NE(PlaceOf(b), host.data());
  EXPECT_EQ(host[64], 1);
  for (abi::Buffer* buffer : {a, b}) Destroy(buffer);
}

TEST_F(DonationTest, WhatTheHostKeepsIsCopied) {
  abi::Buffer* a = Filled(100, 1);
  auto options = New<abi::ExecuteOptions>();
  const int64_t kept = 0;
  options.non_donatable_input_indices = &kept;
  options.num_non_donatable_input_indices = 1;
  abi::Buffer* const arguments[] = {a, row_};
  abi::Buffer* const* const lists[] = {arguments};
  abi::Buffer* b = nullptr;
  abi::Buffer** const output_lists[] = {&b};
  auto execute = New<abi::LoadedExecutable_Execute_Args>();
  execute.executable = update_;
  execute.options = &options;
  execute.argument_lists = lists;
  execute.num_devices = 1;
  execute.num_args = 2;
  execute.output_lists = output_lists;
  EXPECT_CALL_OK(LoadedExecutable_Execute, execute);
  EXPECT_FALSE(IsDeleted(a));
  EXPECT_EQ(Get<float>(a)[64], 1);
  EXPECT_EQ(Get<float>(b)[64], 2);
  for (abi::Buffer* buffer : {a, b}) Destroy(buffer);
}

TEST_F(DonationTest, WhatHasExternalReferencesIsCopied) {
  abi::Buffer* a = Filled(100, 1);
  auto increase = New<abi::Buffer_IncreaseExternalReferenceCount_Args>();
  increase.buffer = a;
  EXPECT_CALL_OK(Buffer_IncreaseExternalReferenceCount, increase);
  const auto* const elements = static_cast<const float*>(PlaceOf(a));
  abi::Buffer* b = Update(a, 2);
  EXPECT_NE(PlaceOf(b), elements);
  EXPECT_EQ(elements[64], 1);
  auto decrease = New<abi::Buffer_DecreaseExternalReferenceCount_Args>();
  decrease.buffer = a;
  EXPECT_CALL_OK(Buffer_DecreaseExternalReferenceCount, decrease);
  // Of a reference that is gone nothing is left.
  increase.buffer = decrease.buffer = b;
  EXPECT_CALL_OK(Buffer_IncreaseExternalReferenceCount, increase);
  const void* const place = PlaceOf(b);
  EXPECT_CALL_OK(Buffer_DecreaseExternalReferenceCount, decrease);
  abi::Buffer* c = Update(b, 3);
  EXPECT_EQ(PlaceOf(c), place);
  for (abi::Buffer* buffer : {a, b, c}) Destroy(buffer);
}

TEST_F(DonationTest, IsInTheMemoryStatistics) {
  auto get = New<abi::LoadedExecutable_GetExecutable_Args>();
  get.loaded_executable = update_;
  EXPECT_CALL_OK(LoadedExecutable_GetExecutable, get);
  auto stats = New<abi::Executable_GetCompiledMemoryStats_Args>();
  stats.executable = get.executable;
  EXPECT_CALL_OK(Executable_GetCompiledMemoryStats, stats);
  EXPECT_EQ(stats.alias_size_in_bytes, 25600);
  EXPECT_EQ(stats.output_size_in_bytes, 25600);
  EXPECT_EQ(stats.argument_size_in_bytes, 25600 + 256);
  EXPECT_EQ(stats.temp_size_in_bytes, 256);  // the new row
  auto destroy = New<abi::Executable_Destroy_Args>();
  destroy.executable = get.executable;
  EXPECT_CALL_OK(Executable_Destroy, destroy);
}

// xla.CompileOptionsProto with `compiler_options={name: value}`.
std::string WithOption(const std::string& name, const std::string& value) {
  const auto sized = [](char tag, const std::string& bytes) {
    return std::string({tag, static_cast<char>(bytes.size())}) + bytes;
  };
  return sized(0x3a, sized(0x0a, name) + sized(0x12, sized(0x0a, value)));
}

TEST_F(PluginTest, ChecksOptionsOfXlaWithoutObeyingThem) {
  abi::LoadedExecutable* add = nullptr;
  EXPECT_THAT(Compile(kAdd, &add, WithOption("invalid_key", "1")),
              HasSubstr("No such compile option: 'invalid_key'"));
  EXPECT_THAT(Compile(kAdd, &add, WithOption("xla_embed_ir_in_executable", "maybe")),
              HasSubstr("'maybe' is not a valid bool value."));
  ASSERT_EQ(Compile(kAdd, &add, WithOption("xla_embed_ir_in_executable", "true")), "");
  Destroy(add);
}

TEST_F(PluginTest, RefusesWhatItDoesNotUnderstand) {
  abi::LoadedExecutable* none = nullptr;
  EXPECT_THAT(Compile("module { func.func @main( }", &none), HasSubstr("3: "));
  EXPECT_THAT(Compile("ML\xefR\x01 no artifact", &none), testing::Not(""));
  abi::LoadedExecutable* add = nullptr;
  ASSERT_EQ(Compile(kAdd, &add), "");
  abi::Buffer* a = PutFloats({1, 2, 3});
  abi::Buffer* four = PutFloats({1, 2, 3, 4});
  std::vector<abi::Buffer*> results;
  EXPECT_THAT(Run(add, {a}, &results), HasSubstr("takes 2 arguments"));
  EXPECT_THAT(Run(add, {a, four}, &results), HasSubstr("argument 1 is f32[4]"));
  EXPECT_EQ(results[0], nullptr);

  auto create = New<abi::Client_Create_Args>();
  abi::NamedValue option{};
  option.name = "colour";
  option.name_size = 6;
  create.create_options = &option;
  create.num_options = 1;
  EXPECT_THAT(TextOf(Table().Client_Create(&create)), HasSubstr("unknown client option 'colour'"));
  Destroy(a);
  Destroy(four);
  Destroy(add);
}

TEST_F(PluginTest, SerializesExecutables) {
  abi::LoadedExecutable* add = nullptr;
  ASSERT_EQ(Compile(kAdd, &add), "");
  auto get = New<abi::LoadedExecutable_GetExecutable_Args>();
  get.loaded_executable = add;
  EXPECT_CALL_OK(LoadedExecutable_GetExecutable, get);
  Destroy(add);  // its description outlives it
  auto serialize = New<abi::Executable_Serialize_Args>();
  serialize.executable = get.executable;
  EXPECT_CALL_OK(Executable_Serialize, serialize);
  std::string bytes(serialize.serialized_bytes, serialize.serialized_bytes_size);
  serialize.serialized_executable_deleter(serialize.serialized_executable);
  auto destroy = New<abi::Executable_Destroy_Args>();
  destroy.executable = get.executable;
  EXPECT_CALL_OK(Executable_Destroy, destroy);

  auto load = New<abi::Executable_DeserializeAndLoad_Args>();
  load.client = client_;
  load.serialized_executable = bytes.data();
  load.serialized_executable_size = bytes.size();
  EXPECT_CALL_OK(Executable_DeserializeAndLoad, load);
  abi::Buffer* a = PutFloats({1, 2, 3});
  std::vector<abi::Buffer*> results;
  ASSERT_EQ(Run(load.loaded_executable, {a, a}, &results), "");
  EXPECT_THAT(Get<float>(results[0]), ElementsAre(2, 4, 6));
  Destroy(a);
  Destroy(results[0]);
  Destroy(load.loaded_executable);

  for (const size_t size : {size_t{0}, size_t{7}, size_t{20}, bytes.size() / 2, bytes.size() - 1}) {
    load.serialized_executable_size = size;
    EXPECT_NE(TextOf(Table().Executable_DeserializeAndLoad(&load)), "") << size;
  }
}

TEST_F(PluginTest, MovesArraysBetweenDevicesAndInPieces) {
  abi::Buffer* a = PutFloats({1, 2, 3});
  auto copy = New<abi::Buffer_CopyToMemory_Args>();
  copy.buffer = a;
  copy.dst_memory = MemoryOf(1);
  EXPECT_CALL_OK(Buffer_CopyToMemory, copy);
  auto device = New<abi::Buffer_Device_Args>();
  device.buffer = copy.dst_buffer;
  EXPECT_CALL_OK(Buffer_Device, device);
  EXPECT_EQ(device.device, devices_[1]);
  EXPECT_THAT(Get<float>(copy.dst_buffer), ElementsAre(1, 2, 3));

  auto spec = New<abi::ShapeSpec>();
  const int64_t four[] = {4};
  spec.dims = four;
  spec.num_dims = 1;
  spec.element_type = abi::kS32;
  auto create = New<abi::Client_CreateBuffersForAsyncHostToDevice_Args>();
  create.client = client_;
  create.shape_specs = &spec;
  create.num_shape_specs = 1;
  create.memory = MemoryOf(0);
  EXPECT_CALL_OK(Client_CreateBuffersForAsyncHostToDevice, create);
  auto retrieve = New<abi::AsyncHostToDeviceTransferManager_RetrieveBuffer_Args>();
  retrieve.transfer_manager = create.transfer_manager;
  EXPECT_CALL_OK(AsyncHostToDeviceTransferManager_RetrieveBuffer, retrieve);
  const int32_t data[] = {5, 6, 7, 8};
  for (int piece = 0; piece < 2; ++piece) {
    auto send = New<abi::AsyncHostToDeviceTransferManager_TransferData_Args>();
    send.transfer_manager = create.transfer_manager;
    send.data = data + 2 * piece;
    send.offset = 8 * piece;
    send.transfer_size = 8;
    send.is_last_transfer = piece == 1;
    EXPECT_CALL_OK(AsyncHostToDeviceTransferManager_TransferData, send);
    DestroyEvent(send.done_with_h2d_transfer);
  }
  EXPECT_THAT(Get<int32_t>(retrieve.buffer_out), ElementsAre(5, 6, 7, 8));
  auto destroy = New<abi::AsyncHostToDeviceTransferManager_Destroy_Args>();
  destroy.transfer_manager = create.transfer_manager;
  EXPECT_CALL_OK(AsyncHostToDeviceTransferManager_Destroy, destroy);
  for (abi::Buffer* b : {a, copy.dst_buffer, retrieve.buffer_out}) Destroy(b);
}

}  // namespace
}  // namespace megalith::pjrt
