// What the plugin's client looks for in this library.
#include "clients/pjrt/remote_options.h"
#include "clients/pjrt_remote/remote_engine.h"

extern "C" __attribute__((visibility("default")))
const megalith::pjrt::RemoteLibrary MegalithPjrtRemote = {
    .build = megalith::pjrt::kRemoteBuild, .make = &megalith::pjrt::MakeRemoteEngine};
