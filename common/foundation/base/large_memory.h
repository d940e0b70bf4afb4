// Memory for arrays.
#pragma once

#include <cstddef>

namespace megalith {

// Memory of `bytes` bytes aligned to 64, not initialised; null if there is none. Give it back with
// std::free. Where an array spans several pages of 2 MiB the system is asked for such: handing out
// memory in pages of 4 KiB takes it longer than filling them takes us.
void* AllocateArray(size_t bytes);

enum class Pages { kSmall, kLarge };

// Zeroed memory at a multiple of 2 MiB, which the system hands out as it is touched; null if there
// is none. With Pages::kLarge it is asked for in pages of 2 MiB: random reads over small ones spend
// much of their time on address translation. Give it back with UnmapZeroed and the same `bytes`.
void* MapZeroed(size_t bytes, Pages pages);
void UnmapZeroed(void* memory, size_t bytes);  // null: nothing

}  // namespace megalith
