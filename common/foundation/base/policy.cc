#include "common/foundation/base/policy.h"

#include <cstddef>

namespace megalith {
namespace {

using Q = PolicyQuestion;
using A = PolicyAnswer;

constexpr PolicyRow kTable[] = {
    {Q::kUnknownOption, "unknown_option", A::kRefuse, A::kAdmitAsKey,
     "a misspelt option must not be ignored silently; during a rollout, clients may be newer than "
     "servers"},
    {Q::kUnknownVersion, "unknown_version", A::kRefuse, A::kAdmitAsKey,
     "a newer minor version may mean something else by the same words"},
    {Q::kUnknownTargetFeature, "unknown_target_feature", A::kRefuse, A::kAdmitAsKey,
     "code for an unknown processor may run slower than it could, but not wrongly"},
    {Q::kUnknownKeyComponent, "unknown_key_component", A::kRefuse, A::kAdmitAsKey,
     "a longer key can only separate more programs, never mix two of them"},
    {Q::kDamagedEntry, "damaged_entry", A::kRepair, A::kRepair,
     "a checksum proves the damage, and recomputing gives the same bytes"},
};
static_assert(sizeof(kTable) / sizeof(kTable[0]) == kNumPolicyQuestions);

}  // namespace

std::span<const PolicyRow> PolicyTable() { return kTable; }

PolicyAnswer Ask(Policy policy, PolicyQuestion question) {
  const PolicyRow& row = kTable[static_cast<size_t>(question)];
  return policy == Policy::kStrict ? row.strict : row.hardened;
}

std::string_view PolicyName(Policy policy) {
  return policy == Policy::kStrict ? "strict" : "hardened";
}

std::string_view AnswerName(PolicyAnswer answer) {
  constexpr std::string_view kNames[] = {"refuse", "admit_as_key", "repair"};
  return kNames[static_cast<size_t>(answer)];
}

}  // namespace megalith
