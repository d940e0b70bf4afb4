#include "clients/cli/conformance/report.h"

namespace megalith::conformance {
namespace {

void Count(const std::optional<bool>& passed, std::optional<int64_t>* total) {
  if (passed) *total = total->value_or(0) + (*passed ? 1 : 0);
}

}  // namespace

void FamilyReport::Add(const Outcome& outcome) {
  ++cases;
  Count(outcome.error, &error);
  Count(outcome.text, &text);
  Count(outcome.dag, &dag);
  Count(outcome.values, &values);
  failures.insert(failures.end(), outcome.failures.begin(), outcome.failures.end());
}

}  // namespace megalith::conformance
