// The functions of the table, by family; api.cc puts them together.
#pragma once

#include <string_view>

#include "clients/pjrt/abi.h"
#include "clients/pjrt/event.h"

namespace megalith::pjrt {

// Defines one function of the table: `args` is what the host sent; returns a Status, which becomes
// an error object. No exception may reach the host; std::bad_alloc becomes kResourceExhausted.
#define MEGALITH_PJRT_CALL(name)                                                                   \
  static Status Do##name(abi::name##_Args& args);                                                  \
  abi::Error* name(void* args) { return Guard(&Do##name, *static_cast<abi::name##_Args*>(args)); } \
  static Status Do##name([[maybe_unused]] abi::name##_Args& args)

template <typename Args>
abi::Error* Guard(Status (*f)(Args&), Args& args) noexcept {
  try {
    return ToError(f(args));
  } catch (const std::bad_alloc&) {
    return ToError(ResourceExhausted("out of memory in the plugin"));
  } catch (const std::exception& e) {
    return ToError(Internal(e.what()));
  }
}

#define MEGALITH_PJRT_DECLARE(name) abi::Error* name(void* args);
MEGALITH_PJRT_FUNCTIONS(MEGALITH_PJRT_DECLARE)
MEGALITH_PJRT_LAYOUTS_FUNCTIONS(MEGALITH_PJRT_DECLARE)
#undef MEGALITH_PJRT_DECLARE

// True if the host's struct is long enough to have `field`, which hosts of other versions may lack.
#define MEGALITH_PJRT_HAS(args, field)                                                          \
  ((args).struct_size >= static_cast<size_t>(reinterpret_cast<const char*>(&(args).field + 1) - \
                                             reinterpret_cast<const char*>(&(args))))

// Gives the host a text, which lives as long as what `text` is a part of.
inline void SetText(std::string_view text, const char** data, size_t* size) {
  *data = text.data();
  *size = text.size();
}

}  // namespace megalith::pjrt
