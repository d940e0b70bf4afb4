// The table that a host gets.
#include <cstddef>

#include "clients/pjrt/calls.h"
#include "clients/pjrt/host_callbacks.h"

namespace megalith::pjrt {
namespace {

#define MEGALITH_PJRT_ENTRY(name) .name = &name,
// The host only reads it, but the interface has no const here.
abi::LayoutsExtension layouts_extension = {.base = {.struct_size = sizeof(abi::LayoutsExtension),
                                                    .type = abi::kLayoutsExtension,
                                                    .next = nullptr},
                                           MEGALITH_PJRT_LAYOUTS_FUNCTIONS(MEGALITH_PJRT_ENTRY)};

const abi::Api kApi = {.struct_size = sizeof(abi::Api),
                       .extension_start = &layouts_extension.base,
                       .version = {.struct_size = sizeof(abi::Api_Version),
                                   .extension_start = nullptr,
                                   .major_version = abi::kMajorVersion,
                                   .minor_version = abi::kMinorVersion},
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
