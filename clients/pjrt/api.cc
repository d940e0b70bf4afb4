// The table that a host gets.
#include <cstddef>

#include "clients/pjrt/calls.h"
#include "clients/pjrt/host_callbacks.h"

namespace megalith::pjrt {
namespace {

const abi::Api kApi = {.struct_size = sizeof(abi::Api),
                       .extension_start = nullptr,
                       .version = {.struct_size = sizeof(abi::Api_Version),
                                   .extension_start = nullptr,
                                   .major_version = abi::kMajorVersion,
                                   .minor_version = abi::kMinorVersion},
#define MEGALITH_PJRT_ENTRY(name) .name = &name,
                       MEGALITH_PJRT_FUNCTIONS(MEGALITH_PJRT_ENTRY)
#undef MEGALITH_PJRT_ENTRY
};

}  // namespace
}  // namespace megalith::pjrt

// What the shim asks for.
extern "C" __attribute__((visibility("default"))) const void* MegalithPjrtApi() {
  return &megalith::pjrt::kApi;
}

extern "C" __attribute__((visibility("default"))) void MegalithPjrtHostCallbacks(
    const MegalithHostCallbacks* table) {
  megalith::pjrt::ProcessHostCallbacks().Set(table);
}
