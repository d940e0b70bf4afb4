// The Layouts extension: in which order the dimensions of arrays lie in memory.
#include <string>

#include "clients/pjrt/calls.h"
#include "clients/pjrt/executable.h"

namespace megalith::pjrt::abi {

struct SerializedLayout {};  // the bytes belong to the layout

}  // namespace megalith::pjrt::abi

namespace megalith::pjrt {
MEGALITH_PJRT_CALL(Layouts_MemoryLayout_Destroy) {
  delete args.layout;
  return OkStatus();
}

MEGALITH_PJRT_CALL(Layouts_MemoryLayout_Serialize) {
  SetText(args.layout->text, &args.serialized_bytes, &args.serialized_bytes_size);
  args.serialized_layout = new abi::SerializedLayout;
  args.serialized_layout_deleter = [](abi::SerializedLayout* s) { delete s; };
  return OkStatus();
}

MEGALITH_PJRT_CALL(Layouts_Client_GetDefaultLayout) {
  args.layout = new abi::MemoryLayout{LayoutText({}, args.num_dims)};
  return OkStatus();
}

MEGALITH_PJRT_CALL(Layouts_Buffer_MemoryLayout) {
  const abi::Buffer& b = *args.buffer;
  const size_t rank = b.token ? 0 : b.spec.shape.size();
  args.layout = new abi::MemoryLayout{LayoutText(b.order == nullptr ? Order() : *b.order, rank)};
  return OkStatus();
}

MEGALITH_PJRT_CALL(Layouts_Topology_GetDefaultLayout) {
  args.layout = new abi::MemoryLayout{LayoutText({}, args.num_dims)};
  return OkStatus();
}

MEGALITH_PJRT_CALL(Layouts_Executable_GetOutputLayouts) {
  args.num_outputs = args.executable->info->output_layouts.size();
  args.layouts = args.executable->info->output_layout_pointers.data();
  return OkStatus();
}

MEGALITH_PJRT_CALL(Layouts_Executable_GetParameterLayouts) {
  args.num_parameters = args.executable->info->input_layouts.size();
  args.layouts = args.executable->info->input_layout_pointers.data();
  return OkStatus();
}

}  // namespace megalith::pjrt
