// Configuration of the trace service.
#pragma once

#include <cstdint>

#include "common/foundation/base/policy.h"
#include "common/foundation/config/field.h"
#include "services/common/policy_words.h"

namespace megalith::services {

struct TraceServiceConfig {
  Policy policy = Policy::kStrict;
  int64_t max_program_bytes = 64ll << 20;
  int64_t max_equations = 2'000'000;
  int32_t max_depth = 100;
  int32_t max_transforms = 32;
  int32_t max_cached_results = 64;
  int64_t max_cached_result_bytes = 1 << 20;
};

inline constexpr config::ConfigField<TraceServiceConfig> kTraceServiceFields[] = {
    config::Field<&TraceServiceConfig::policy>(
        "policy", "what to do with unknown options and versions by default"),
    config::Field<&TraceServiceConfig::max_program_bytes>("max_program_bytes",
                                                          "largest accepted program text or proto"),
    config::Field<&TraceServiceConfig::max_equations>(
        "max_equations", "equations of a program or of its transformed form"),
    // A thread's stack of 8 MiB holds about 2500 levels of every pass.
    config::Field<&TraceServiceConfig::max_depth>("max_depth", "nesting of programs in parameters")
        .Range(1, 1000),
    config::Field<&TraceServiceConfig::max_transforms>("max_transforms", "transforms in one stack")
        .Range(0, 1000),
    config::Field<&TraceServiceConfig::max_cached_results>(
        "max_cached_results", "answers kept for requests that come again")
        .Range(0, 1'000'000),
    config::Field<&TraceServiceConfig::max_cached_result_bytes>("max_cached_result_bytes",
                                                                "largest answer that is kept"),
};

}  // namespace megalith::services
