#include "clients/pjrt/remote_library.h"

#include <dlfcn.h>

#include <string_view>

#include "common/foundation/base/strings.h"

namespace megalith::pjrt {
namespace {

constexpr char kFile[] = "libmegalith_pjrt_remote.so";

Result<const RemoteLibrary*> Open() {
  Dl_info self;
  if (dladdr(reinterpret_cast<const void*>(&Open), &self) == 0 || self.dli_fname == nullptr) {
    return Internal("the plugin cannot tell where it was loaded from");
  }
  const std::string_view own = self.dli_fname;
  const size_t slash = own.rfind('/');
  const std::string path = StrCat(slash == own.npos ? "" : own.substr(0, slash + 1), kFile);
  // In a symbol scope of its own, for the reasons that shim.c gives.
#ifdef MEGALITH_SANITIZED
  void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
#else
  void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
#endif
  if (library == nullptr) {
    const char* const why = dlerror();
    return NotFound(StrCat("the remote mode needs ", kFile,
                           " beside the plugin: ", why == nullptr ? "it cannot be opened" : why));
  }
  const auto* const found = static_cast<const RemoteLibrary*>(dlsym(library, "MegalithPjrtRemote"));
  if (found == nullptr || std::string_view(found->build) != kRemoteBuild) {
    return NotFound(StrCat(path, " is of another build than the plugin; install both together"));
  }
  return found;
}

}  // namespace

Result<std::shared_ptr<Engine>> OpenRemoteEngine(const RemoteOptions& options) {
  static const Result<const RemoteLibrary*> library = Open();
  RETURN_IF_ERROR(library.status());
  return (*library)->make(options);
}

}  // namespace megalith::pjrt
