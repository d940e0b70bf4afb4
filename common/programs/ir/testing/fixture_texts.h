// The programs of the oracle records, for tests: every text that JAX printed.
#pragma once

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "common/foundation/base/file_system.h"
#include "common/foundation/base/strings.h"

namespace megalith::ir::testing {

struct FixtureText {
  std::string id;  // of the record, with ":source" or ":result"
  std::string text;
};

// Sources and results of all records, in the order of their files.
inline std::vector<FixtureText> FixtureTexts() {
  std::vector<FixtureText> out;
  const std::string directory = StrCat(MEGALITH_SOURCE_DIR, "/conformance/fixtures/jax");
  const auto files = RealFileSystem().List(directory);
  EXPECT_TRUE(files.ok()) << files.status().ToString();
  if (!files.ok()) return out;
  for (const FileInfo& file : *files) {
    if (!file.name.ends_with(".jsonl")) continue;
    const std::string content = *RealFileSystem().Read(JoinPath(directory, file.name));
    for (const std::string_view line : Split(content, '\n')) {
      if (line.empty()) continue;
      const auto json = nlohmann::json::parse(line);
      const std::string id = json.at("id");
      out.push_back({id + ":source", json.at("jaxpr")});
      if (json.contains("result_jaxpr")) out.push_back({id + ":result", json.at("result_jaxpr")});
    }
  }
  EXPECT_GT(out.size(), 500u);
  return out;
}

}  // namespace megalith::ir::testing
