// Memory for arrays.
#pragma once

#include <cstddef>

namespace megalith {

// Memory of `bytes` bytes aligned to 64, not initialised; null if there is none. Give it back with
// std::free. Where an array spans several pages of 2 MiB the system is asked for such: handing out
// memory in pages of 4 KiB takes it longer than filling them takes us.
void* AllocateArray(size_t bytes);

}  // namespace megalith
