// Strict and hardened mode: what to do with what this build does not know. Every difference between
// the two modes is a row of this table.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace megalith {

// strict: refuse what is not understood, so that a mistake shows at once. hardened: keep serving
// through version skew; what is not understood can at most cost a cache hit.
enum class Policy : uint8_t { kStrict = 0, kHardened = 1 };

enum class PolicyQuestion : uint8_t {
  kUnknownOption,         // a request has an option whose name this build does not know
  kUnknownVersion,        // a program or artifact names a newer minor version than this build knows
  kUnknownTargetFeature,  // a target names a processor feature that this build does not know
  kUnknownKeyComponent,   // a cache entry's key has a component that its kind does not list
  kDamagedEntry,          // a stored entry failed its checksum
};
inline constexpr int kNumPolicyQuestions = 5;

enum class PolicyAnswer : uint8_t {
  kRefuse,      // an error to the caller
  kAdmitAsKey,  // goes on; the unknown thing only becomes part of the cache key
  kRepair,      // goes on; the entry is dropped and computed again, with an entry in the ledger
};

struct PolicyRow {
  PolicyQuestion question;
  std::string_view name;  // for ledgers and documentation
  PolicyAnswer strict;
  PolicyAnswer hardened;
  std::string_view reason;
};

std::span<const PolicyRow> PolicyTable();
PolicyAnswer Ask(Policy policy, PolicyQuestion question);
// "strict", "hardened".
std::string_view PolicyName(Policy policy);
// "refuse", "admit_as_key", "repair".
std::string_view AnswerName(PolicyAnswer answer);

}  // namespace megalith
