// The library that a host process loads. It exports GetPjrtApi, and a function for the Python package,
// and opens the client beside it in a symbol scope of its own: a Python process may hold other
// copies of what the client links (protobuf, abseil, gRPC), and neither side may see the other's.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static const void* api = NULL;
static void (*set_callbacks)(const void*) = NULL;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static const char kClient[] = "libmegalith_pjrt_client.so";

static void Open(void) {
  Dl_info self;
  char path[4096];
  if (dladdr((void*)&Open, &self) == 0 || self.dli_fname == NULL) {
    fprintf(stderr, "megalith: the plugin cannot tell where it was loaded from\n");
    return;
  }
  const char* slash = strrchr(self.dli_fname, '/');
  const int folder = slash == NULL ? 0 : (int)(slash - self.dli_fname) + 1;
  const int n = snprintf(path, sizeof(path), "%.*s%s", folder, self.dli_fname, kClient);
  if (n < 0 || (size_t)n >= sizeof(path)) {
    fprintf(stderr, "megalith: the path of the plugin is too long\n");
    return;
  }
#ifdef MEGALITH_SANITIZED  // the sanitizers' own symbols must be shared
  void* client = dlopen(path, RTLD_NOW | RTLD_LOCAL);
#else
  void* client = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
#endif
  if (client == NULL) {
    fprintf(stderr, "megalith: cannot open the client of the plugin: %s\n", dlerror());
    return;
  }
  const void* (*get)(void) = (const void* (*)(void))dlsym(client, "MegalithPjrtApi");
  if (get == NULL) {
    fprintf(stderr, "megalith: %s is not the client of this plugin\n", path);
    return;
  }
  set_callbacks = (void (*)(const void*))dlsym(client, "MegalithPjrtHostCallbacks");
  api = get();
}

// The table of functions, for as long as the process lives; NULL, with a line on stderr, if the
// client cannot be opened. Thread-safe.
__attribute__((visibility("default"))) const void* GetPjrtApi(void) {
  pthread_once(&once, Open);
  return api;
}

// Offers the host's functions to its programs: a struct MegalithHostCallbacks (host_callbacks.h), or
// NULL, which returns when none is running any more. Thread-safe.
__attribute__((visibility("default"))) void MegalithSetHostCallbacks(const void* table) {
  pthread_once(&once, Open);
  if (set_callbacks != NULL) set_callbacks(table);
}
