#include "services/execute/profile_proto.h"

namespace megalith::services {

execute::v1::RunProfile ProfileToProto(const runtime::RunProfile& profile) {
  execute::v1::RunProfile proto;
  for (const runtime::KernelProfile& k : profile.kernels) {
    execute::v1::KernelProfile& kernel = *proto.add_kernels();
    kernel.set_name(k.name);
    kernel.set_kind(k.kind);
    kernel.set_tier(k.tier);
    kernel.set_shapes(k.shapes);
    kernel.set_bytes(k.bytes);
    kernel.set_flops(k.flops);
    kernel.set_threads(static_cast<uint32_t>(k.threads));
    kernel.set_calls(k.calls);
    kernel.set_seconds(k.seconds);
  }
  for (const runtime::RunEvent& e : profile.events) {
    execute::v1::RunEvent& event = *proto.add_events();
    event.set_kernel(e.kernel);
    event.set_worker(static_cast<uint32_t>(e.worker));
    event.set_begin_ns(e.begin_ns);
    event.set_end_ns(e.end_ns);
  }
  proto.set_events_left_out(profile.left_out);
  proto.set_seconds(profile.seconds);
  return proto;
}

}  // namespace megalith::services
