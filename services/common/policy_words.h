// Policy as a configuration field and on the wire.
#pragma once

#include <string_view>

#include "common/foundation/base/policy.h"
#include "common/foundation/config/field.h"
#include "megalith/common/v1/common.pb.h"

namespace megalith::config {

template <>
struct EnumWords<Policy> {
  static constexpr std::string_view kWords[] = {"strict", "hardened"};
};

}  // namespace megalith::config

namespace megalith::services {

// The policy a request asks for, or the service's own.
inline Policy PolicyOf(common::v1::Policy requested, Policy own) {
  if (requested == common::v1::POLICY_STRICT) return Policy::kStrict;
  if (requested == common::v1::POLICY_HARDENED) return Policy::kHardened;
  return own;
}

}  // namespace megalith::services
