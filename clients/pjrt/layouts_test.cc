// Orders of dimensions that a host chooses: what it is told, and where the elements lie.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "clients/pjrt/testing/plugin_host.h"

namespace megalith::pjrt {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::string_view kDouble = R"(
module @jit_double {
  func.func public @main(%arg0: tensor<2x3xf32> {mhlo.layout_mode = "{0,1}"})
      -> (tensor<2x3xf32> {mhlo.layout_mode = "{0,1}"}, tensor<3x2xf32>) {
    %0 = stablehlo.add %arg0, %arg0 : tensor<2x3xf32>
    %1 = stablehlo.transpose %arg0, dims = [1, 0] : (tensor<2x3xf32>) -> tensor<3x2xf32>
    return %0, %1 : tensor<2x3xf32>, tensor<3x2xf32>
  }
}
)";

// The first result is a transposition, the second lies as a constraint says, the third as a
// transposed argument that was doubled by a function.
constexpr std::string_view kAuto = R"(
module @jit_auto {
  func.func public @main(%arg0: tensor<2x3x4xf32>)
      -> (tensor<4x2x3xf32> {mhlo.layout_mode = "auto"}, tensor<2x3x4xf32> {mhlo.layout_mode = "auto"},
          tensor<4x3x2xf32> {mhlo.layout_mode = "auto"}, tensor<2x12xf32> {mhlo.layout_mode = "auto"}) {
    %0 = stablehlo.transpose %arg0, dims = [2, 0, 1] : (tensor<2x3x4xf32>) -> tensor<4x2x3xf32>
    %1 = stablehlo.custom_call @LayoutConstraint(%arg0) {operand_layouts = [dense<[2, 1, 0]> : tensor<3xindex>],
        result_layouts = [dense<[1, 0, 2]> : tensor<3xindex>]} : (tensor<2x3x4xf32>) -> tensor<2x3x4xf32>
    %2 = stablehlo.transpose %arg0, dims = [2, 1, 0] : (tensor<2x3x4xf32>) -> tensor<4x3x2xf32>
    %3 = func.call @double(%2) : (tensor<4x3x2xf32>) -> tensor<4x3x2xf32>
    %4 = stablehlo.reshape %arg0 : (tensor<2x3x4xf32>) -> tensor<2x12xf32>
    return %0, %1, %3, %4 : tensor<4x2x3xf32>, tensor<2x3x4xf32>, tensor<4x3x2xf32>, tensor<2x12xf32>
  }
  func.func private @double(%arg0: tensor<4x3x2xf32>) -> tensor<4x3x2xf32> {
    %0 = stablehlo.add %arg0, %arg0 : tensor<4x3x2xf32>
    return %0 : tensor<4x3x2xf32>
  }
}
)";

constexpr std::string_view kTwoDevices = R"(
module @jit_two attributes {mhlo.num_partitions = 2 : i32} {
  sdy.mesh @mesh = <["x"=2]>
  func.func public @main(%arg0: tensor<4x3xf32> {mhlo.layout_mode = "{0,1}", sdy.sharding = #sdy.sharding<@mesh, [{"x"}, {}]>})
      -> (tensor<3x4xf32> {mhlo.layout_mode = "{0,1}", sdy.sharding = #sdy.sharding<@mesh, [{}, {"x"}]>}) {
    %0 = stablehlo.transpose %arg0, dims = [1, 0] : (tensor<4x3xf32>) -> tensor<3x4xf32>
    return %0 : tensor<3x4xf32>
  }
}
)";
constexpr std::string_view kTwoPartitions("\x1a\x02\x28\x02", 4);  // xla.CompileOptionsProto

class LayoutsTest : public PluginHost {
 protected:
  void SetUp() override { ASSERT_EQ(Open({{"num_devices", "2"}}), ""); }

  static const abi::LayoutsExtension& Extension() {
    const abi::Extension* e = Table().extension_start;
    while (e != nullptr && e->type != abi::kLayoutsExtension) e = e->next;
    EXPECT_NE(e, nullptr);
    return *reinterpret_cast<const abi::LayoutsExtension*>(e);
  }
  static std::string TextOfLayout(abi::MemoryLayout* layout) {
    auto serialize = New<abi::Layouts_MemoryLayout_Serialize_Args>();
    serialize.layout = layout;
    EXPECT_EQ(TextOf(Extension().Layouts_MemoryLayout_Serialize(&serialize)), "");
    std::string text(serialize.serialized_bytes, serialize.serialized_bytes_size);
    serialize.serialized_layout_deleter(serialize.serialized_layout);
    return text;
  }
  static std::string LayoutOf(abi::Buffer* buffer) {
    auto layout = New<abi::Layouts_Buffer_MemoryLayout_Args>();
    layout.buffer = buffer;
    EXPECT_EQ(TextOf(Extension().Layouts_Buffer_MemoryLayout(&layout)), "");
    std::string text = TextOfLayout(layout.layout);
    auto destroy = New<abi::Layouts_MemoryLayout_Destroy_Args>();
    destroy.layout = layout.layout;
    EXPECT_EQ(TextOf(Extension().Layouts_MemoryLayout_Destroy(&destroy)), "");
    return text;
  }
  static abi::Executable* DescriptionOf(abi::LoadedExecutable* loaded) {
    auto get = New<abi::LoadedExecutable_GetExecutable_Args>();
    get.loaded_executable = loaded;
    EXPECT_CALL_OK(LoadedExecutable_GetExecutable, get);
    return get.executable;
  }
  static void DestroyDescription(abi::Executable* executable) {
    auto destroy = New<abi::Executable_Destroy_Args>();
    destroy.executable = executable;
    EXPECT_CALL_OK(Executable_Destroy, destroy);
  }
  // Of the arguments, a bar, and of the results.
  static std::vector<std::string> LayoutsOf(abi::LoadedExecutable* loaded) {
    abi::Executable* const executable = DescriptionOf(loaded);
    auto in = New<abi::Layouts_Executable_GetParameterLayouts_Args>();
    in.executable = executable;
    EXPECT_EQ(TextOf(Extension().Layouts_Executable_GetParameterLayouts(&in)), "");
    auto out = New<abi::Layouts_Executable_GetOutputLayouts_Args>();
    out.executable = executable;
    EXPECT_EQ(TextOf(Extension().Layouts_Executable_GetOutputLayouts(&out)), "");
    std::vector<std::string> texts;
    for (size_t i = 0; i < in.num_parameters; ++i) texts.push_back(TextOfLayout(in.layouts[i]));
    texts.push_back("|");
    for (size_t i = 0; i < out.num_outputs; ++i) texts.push_back(TextOfLayout(out.layouts[i]));
    DestroyDescription(executable);
    return texts;
  }
  // The elements as they lie in memory.
  std::vector<float> Raw(abi::Buffer* buffer) {
    auto size = New<abi::Buffer_OnDeviceSizeInBytes_Args>();
    size.buffer = buffer;
    EXPECT_CALL_OK(Buffer_OnDeviceSizeInBytes, size);
    std::vector<float> out(size.on_device_size_in_bytes / sizeof(float));
    auto copy = New<abi::Buffer_CopyRawToHost_Args>();
    copy.buffer = buffer;
    copy.dst = out.data();
    copy.transfer_size = size.on_device_size_in_bytes;
    EXPECT_CALL_OK(Buffer_CopyRawToHost, copy);
    Await(copy.event);
    auto pointer = New<abi::Buffer_OpaqueDeviceMemoryDataPointer_Args>();
    pointer.buffer = buffer;
    EXPECT_CALL_OK(Buffer_OpaqueDeviceMemoryDataPointer, pointer);
    const auto* seen = static_cast<const float*>(pointer.device_memory_ptr);
    EXPECT_EQ(out, std::vector<float>(seen, seen + out.size()));
    return out;
  }
  static abi::Buffer_MemoryLayout Layout(const std::vector<int64_t>& minor_to_major) {
    abi::Buffer_MemoryLayout layout{};
    layout.struct_size = sizeof(layout);
    layout.type = abi::kLayoutTiled;
    layout.tiled.struct_size = sizeof(layout.tiled);
    layout.tiled.minor_to_major = minor_to_major.data();
    layout.tiled.minor_to_major_size = minor_to_major.size();
    return layout;
  }
  std::string PutIn(const std::vector<float>& v, std::vector<int64_t> dims,
                    abi::Buffer_MemoryLayout layout, abi::Buffer** out, size_t device = 0) {
    auto put = New<abi::Client_BufferFromHostBuffer_Args>();
    put.client = client_;
    put.data = v.data();
    put.type = abi::kF32;
    put.dims = dims.data();
    put.num_dims = dims.size();
    put.memory = MemoryOf(device);
    put.device_layout = &layout;
    std::string error = TextOf(Table().Client_BufferFromHostBuffer(&put));
    if (error.empty()) DestroyEvent(put.done_with_host_buffer);
    *out = put.buffer;
    return error;
  }

  const std::vector<int64_t> column_major_ = {0, 1};
  const std::vector<float> six_ = {1, 2, 3, 4, 5, 6};
};

TEST_F(LayoutsTest, ArraysOfAHostLieAsItAsks) {
  abi::Buffer* a = nullptr;
  ASSERT_EQ(PutIn(six_, {2, 3}, Layout(column_major_), &a), "");
  EXPECT_EQ(LayoutOf(a), "{0,1}");
  EXPECT_THAT(Raw(a), ElementsAre(1, 4, 2, 5, 3, 6));
  EXPECT_EQ(Get<float>(a), six_);
  auto layout = New<abi::Buffer_GetMemoryLayout_Args>();
  layout.buffer = a;
  EXPECT_CALL_OK(Buffer_GetMemoryLayout, layout);
  EXPECT_EQ(layout.layout.tiled.minor_to_major[0], 0);

  std::vector<float> out(6);
  abi::Buffer_MemoryLayout wanted = Layout(column_major_);
  auto get = New<abi::Buffer_ToHostBuffer_Args>();
  get.src = a;
  get.dst = out.data();
  get.dst_size = 24;
  get.host_layout = &wanted;
  EXPECT_CALL_OK(Buffer_ToHostBuffer, get);
  Await(get.event);
  EXPECT_THAT(out, ElementsAre(1, 4, 2, 5, 3, 6));

  auto copy = New<abi::Buffer_CopyToMemory_Args>();
  copy.buffer = a;
  copy.dst_memory = MemoryOf(1);
  EXPECT_CALL_OK(Buffer_CopyToMemory, copy);
  EXPECT_EQ(LayoutOf(copy.dst_buffer), "{0,1}");
  EXPECT_EQ(Get<float>(copy.dst_buffer), six_);
  Destroy(a);
  Destroy(copy.dst_buffer);
}

TEST_F(LayoutsTest, StridesOfADenseArrayAreALayout) {
  const std::vector<int64_t> strides = {4, 8};
  abi::Buffer_MemoryLayout layout{};
  layout.type = abi::kLayoutStrides;
  layout.strides.byte_strides = strides.data();
  layout.strides.num_byte_strides = 2;
  abi::Buffer* a = nullptr;
  ASSERT_EQ(PutIn(six_, {2, 3}, layout, &a), "");
  EXPECT_EQ(LayoutOf(a), "{0,1}");
  EXPECT_EQ(Get<float>(a), six_);
  Destroy(a);
  const std::vector<int64_t> gaps = {4, 16};
  layout.strides.byte_strides = gaps.data();
  EXPECT_THAT(PutIn(six_, {2, 3}, layout, &a), HasSubstr("leave gaps"));
}

TEST_F(LayoutsTest, RefusesWhatIsNoOrder) {
  abi::Buffer* none = nullptr;
  const std::vector<int64_t> twice = {0, 0}, few = {0}, far = {0, 2};
  for (const auto* order : {&twice, &few, &far}) {
    EXPECT_THAT(PutIn(six_, {2, 3}, Layout(*order), &none), HasSubstr("no permutation"));
  }
  abi::Buffer_MemoryLayout tiles = Layout(column_major_);
  tiles.tiled.num_tiles = 1;
  EXPECT_THAT(PutIn(six_, {2, 3}, tiles, &none), HasSubstr("tiled layouts are not kept"));
  abi::LoadedExecutable* nothing = nullptr;
  for (const auto& [mode, reason] :
       std::vector<std::pair<std::string, std::string>>{{"{0,0}", "no permutation"},
                                                        {"{1}", "no permutation"},
                                                        {"{0,1", "malformed"},
                                                        {"{a,1}", "malformed"},
                                                        {"{0,1,}", "malformed"},
                                                        {"{99999999999999999999,1}", "malformed"},
                                                        {"", "malformed"},
                                                        {"{0,1:T(8,128)}", "has tiles"}}) {
    std::string text(kDouble);
    text.replace(text.find("{0,1}"), 5, mode);
    EXPECT_THAT(Compile(text, &nothing), HasSubstr(reason)) << mode;
  }
}

TEST_F(LayoutsTest, ProgramsTakeAndGiveTheOrdersTheyName) {
  abi::LoadedExecutable* twice = nullptr;
  ASSERT_EQ(Compile(kDouble, &twice), "");
  EXPECT_THAT(LayoutsOf(twice), ElementsAre("{0,1}", "|", "{0,1}", "{1,0}"));
  abi::Buffer *a = nullptr, *row_major = Put(six_.data(), {2, 3}, abi::kF32);
  ASSERT_EQ(PutIn(six_, {2, 3}, Layout(column_major_), &a), "");
  for (abi::Buffer* argument : {a, row_major}) {  // the second is copied
    std::vector<abi::Buffer*> results;
    ASSERT_EQ(Run(twice, {argument}, &results, 2), "");
    EXPECT_EQ(LayoutOf(results[0]), "{0,1}");
    EXPECT_THAT(Raw(results[0]), ElementsAre(2, 8, 4, 10, 6, 12));
    EXPECT_THAT(Get<float>(results[0]), ElementsAre(2, 4, 6, 8, 10, 12));
    EXPECT_EQ(LayoutOf(results[1]), "{1,0}");
    EXPECT_THAT(Raw(results[1]), ElementsAre(1, 4, 2, 5, 3, 6));
    for (abi::Buffer* r : results) Destroy(r);
  }
  Destroy(a);
  Destroy(row_major);
  Destroy(twice);
}

TEST_F(LayoutsTest, ProgramsThatNameNoneTakeAnyOrder) {
  constexpr std::string_view kNegate = R"(
    func.func @main(%arg0: tensor<2x3xf32>) -> tensor<2x3xf32> {
      %0 = stablehlo.negate %arg0 : tensor<2x3xf32>
      return %0 : tensor<2x3xf32>
    })";
  abi::LoadedExecutable* negate = nullptr;
  ASSERT_EQ(Compile(kNegate, &negate), "");
  abi::Buffer* a = nullptr;
  ASSERT_EQ(PutIn(six_, {2, 3}, Layout(column_major_), &a), "");
  std::vector<abi::Buffer*> results;
  ASSERT_EQ(Run(negate, {a}, &results), "");
  EXPECT_EQ(LayoutOf(results[0]), "{1,0}");
  EXPECT_THAT(Get<float>(results[0]), ElementsAre(-1, -2, -3, -4, -5, -6));
  Destroy(a);
  Destroy(results[0]);
  Destroy(negate);
}

TEST_F(LayoutsTest, FreeResultsLieAsTheyAreMade) {
  abi::LoadedExecutable* program = nullptr;
  ASSERT_EQ(Compile(kAuto, &program), "");
  EXPECT_THAT(LayoutsOf(program),
              ElementsAre("{2,1,0}", "|", "{0,2,1}", "{1,0,2}", "{0,1,2}", "{1,0}"));
  std::vector<float> v(24);
  for (size_t i = 0; i < v.size(); ++i) v[i] = static_cast<float>(i);
  abi::Buffer* a = Put(v.data(), {2, 3, 4}, abi::kF32);
  std::vector<abi::Buffer*> results;
  ASSERT_EQ(Run(program, {a}, &results, 4), "");
  EXPECT_EQ(Raw(results[0]), v);  // nothing moved
  EXPECT_THAT(Get<float>(results[0])[1], 4.0F);
  EXPECT_EQ(Get<float>(results[1]), v);
  EXPECT_EQ(Raw(results[2])[23], 46.0F);
  for (abi::Buffer* r : results) Destroy(r);
  Destroy(a);
  Destroy(program);
}

TEST_F(LayoutsTest, SerializedExecutablesKeepThem) {
  abi::LoadedExecutable* twice = nullptr;
  ASSERT_EQ(Compile(kDouble, &twice), "");
  abi::Executable* const executable = DescriptionOf(twice);
  auto serialize = New<abi::Executable_Serialize_Args>();
  serialize.executable = executable;
  EXPECT_CALL_OK(Executable_Serialize, serialize);
  const std::string bytes(serialize.serialized_bytes, serialize.serialized_bytes_size);
  serialize.serialized_executable_deleter(serialize.serialized_executable);
  DestroyDescription(executable);
  auto load = New<abi::Executable_DeserializeAndLoad_Args>();
  load.client = client_;
  load.serialized_executable = bytes.data();
  load.serialized_executable_size = bytes.size();
  EXPECT_CALL_OK(Executable_DeserializeAndLoad, load);
  EXPECT_EQ(LayoutsOf(load.loaded_executable), LayoutsOf(twice));
  Destroy(load.loaded_executable);
  Destroy(twice);
}

TEST_F(LayoutsTest, PartsOnSeveralDevicesHaveThem) {
  abi::LoadedExecutable* program = nullptr;
  ASSERT_EQ(Compile(kTwoDevices, &program, std::string(kTwoPartitions)), "");
  EXPECT_THAT(LayoutsOf(program), ElementsAre("{0,1}", "|", "{0,1}"));
  std::vector<abi::Buffer*> parts(2);
  const std::vector<float> other = {7, 8, 9, 10, 11, 12};
  ASSERT_EQ(PutIn(six_, {2, 3}, Layout(column_major_), &parts[0], 0), "");
  ASSERT_EQ(PutIn(other, {2, 3}, Layout(column_major_), &parts[1], 1), "");
  auto options = New<abi::ExecuteOptions>();
  auto execute = New<abi::LoadedExecutable_Execute_Args>();
  execute.executable = program;
  execute.options = &options;
  abi::Buffer* const* const lists[] = {&parts[0], &parts[1]};
  execute.argument_lists = lists;
  execute.num_devices = 2;
  execute.num_args = 1;
  std::vector<abi::Buffer*> results(2);
  abi::Buffer** const output_lists[] = {&results[0], &results[1]};
  execute.output_lists = output_lists;
  EXPECT_CALL_OK(LoadedExecutable_Execute, execute);
  EXPECT_EQ(LayoutOf(results[1]), "{0,1}");
  EXPECT_EQ(Raw(results[0]), six_);
  EXPECT_EQ(Raw(results[1]), other);
  EXPECT_THAT(Get<float>(results[1]), ElementsAre(7, 10, 8, 11, 9, 12));
  for (abi::Buffer* b : {parts[0], parts[1], results[0], results[1]}) Destroy(b);
  Destroy(program);
}

TEST_F(LayoutsTest, PiecesFillAnArrayAsItLies) {
  auto spec = New<abi::ShapeSpec>();
  const int64_t dims[] = {2, 3};
  spec.dims = dims;
  spec.num_dims = 2;
  spec.element_type = abi::kF32;
  abi::Buffer_MemoryLayout layout = Layout(column_major_);
  abi::Buffer_MemoryLayout* layouts[] = {&layout};
  auto create = New<abi::Client_CreateBuffersForAsyncHostToDevice_Args>();
  create.client = client_;
  create.shape_specs = &spec;
  create.num_shape_specs = 1;
  create.device_layouts = layouts;
  create.num_device_layouts = 1;
  create.memory = MemoryOf(0);
  EXPECT_CALL_OK(Client_CreateBuffersForAsyncHostToDevice, create);
  auto retrieve = New<abi::AsyncHostToDeviceTransferManager_RetrieveBuffer_Args>();
  retrieve.transfer_manager = create.transfer_manager;
  EXPECT_CALL_OK(AsyncHostToDeviceTransferManager_RetrieveBuffer, retrieve);
  auto send = New<abi::AsyncHostToDeviceTransferManager_TransferLiteral_Args>();
  send.transfer_manager = create.transfer_manager;
  send.data = six_.data();
  EXPECT_CALL_OK(AsyncHostToDeviceTransferManager_TransferLiteral, send);
  DestroyEvent(send.done_with_h2d_transfer);
  EXPECT_THAT(Raw(retrieve.buffer_out), ElementsAre(1, 4, 2, 5, 3, 6));
  EXPECT_EQ(Get<float>(retrieve.buffer_out), six_);
  auto destroy = New<abi::AsyncHostToDeviceTransferManager_Destroy_Args>();
  destroy.transfer_manager = create.transfer_manager;
  EXPECT_CALL_OK(AsyncHostToDeviceTransferManager_Destroy, destroy);
  Destroy(retrieve.buffer_out);
}

TEST_F(LayoutsTest, HostsGetTheProgramInTheirForm) {
  abi::LoadedExecutable* twice = nullptr;
  ASSERT_EQ(Compile(kDouble, &twice), "");
  abi::Executable* const executable = DescriptionOf(twice);
  auto program = New<abi::Program>();
  auto ask = New<abi::Executable_OptimizedProgram_Args>();
  ask.executable = executable;
  ask.program = &program;
  EXPECT_CALL_OK(Executable_OptimizedProgram, ask);
  EXPECT_EQ(std::string(program.format, program.format_size), "hlo_with_config");
  std::string bytes(program.code_size, '\0');
  program.code = bytes.data();
  EXPECT_CALL_OK(Executable_OptimizedProgram, ask);
  for (const char* part : {"jit_double", "add", "transpose", "bitcast"}) {
    EXPECT_THAT(bytes, HasSubstr(part));
  }
  program.code_size = 3;
  EXPECT_THAT(TextOf(Table().Executable_OptimizedProgram(&ask)), HasSubstr("room for 3"));
  DestroyDescription(executable);
  Destroy(twice);
}

}  // namespace
}  // namespace megalith::pjrt
