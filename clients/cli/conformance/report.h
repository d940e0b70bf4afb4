// What a conformance run found, whatever it ran.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace megalith::conformance {

// One level on which one record failed: "record", "error", "text", "dag" or "values".
struct Failure {
  std::string id;
  std::string level;
  std::string reason;
};

// Which levels one record passed; nullopt: the level does not apply to it.
struct Outcome {
  std::optional<bool> error;
  std::optional<bool> text;
  std::optional<bool> dag;
  std::optional<bool> values;
  std::vector<Failure> failures;
};

// Counts of one family; nullopt: no record of the family has the level.
struct FamilyReport {
  int64_t cases = 0;
  std::optional<int64_t> error;
  std::optional<int64_t> text;
  std::optional<int64_t> dag;
  std::optional<int64_t> values;
  std::vector<Failure> failures;

  void Add(const Outcome& outcome);
};

using Reports = std::map<std::string, FamilyReport>;

}  // namespace megalith::conformance
