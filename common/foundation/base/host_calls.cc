#include "common/foundation/base/host_calls.h"

#include <utility>

namespace megalith {
namespace {

thread_local const HostCalls* offered = nullptr;

}  // namespace

HostCalls::Scope::Scope(const HostCalls* calls) : before_(std::exchange(offered, calls)) {}
HostCalls::Scope::~Scope() { offered = before_; }

const HostCalls* HostCalls::Offered() { return offered; }

}  // namespace megalith
