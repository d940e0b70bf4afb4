// Turns a relocatable object into bytes that run at any address.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/foundation/base/status.h"

namespace megalith::codegen {

// An object's code and constants laid out in one run of bytes, to be placed at multiples of 64.
struct LinkedObject {
  std::string bytes;
  std::vector<uint64_t> entries;  // where the wanted functions start
};

// Lays out the loaded sections of an x86-64 ELF object, code first, and applies its relocations.
// Errors: kInternal if the object refers to anything that is not inside it (a library function),
// needs its own address or writable memory, or is not what LLVM writes.
Result<LinkedObject> LinkObject(std::string_view object,
                                std::span<const std::string> entry_symbols);

}  // namespace megalith::codegen
