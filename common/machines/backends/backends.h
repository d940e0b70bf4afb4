// Every backend of this build. To add one: its library, and one line in backends.cc.
#pragma once

#include <memory>

#include "common/machines/runtime/backend.h"

namespace megalith::machines {

// In the order of preference: the first one is the default target.
std::shared_ptr<const runtime::BackendRegistry> AllBackends();

}  // namespace megalith::machines
