// Holds keys of small programs against conformance/golden/keys. A key that changes makes every
// cache start anew, so a change must be meant: MEGALITH_UPDATE_GOLDEN=1 writes the files again
// (docs/formats/keys.md).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "clients/cli/program_input.h"
#include "clients/cli/session.h"
#include "common/fleet/stubs/program_clients.h"
#include "common/foundation/base/file_system.h"
#include "common/foundation/base/strings.h"
#include "services/allinone/engines.h"
#include "tests/support/cli_fixture.h"

namespace megalith::cli {
namespace {

const std::string kDirectory = StrCat(MEGALITH_SOURCE_DIR, "/conformance/golden/keys");

// One file: what the keys are of, then the keys.
struct Golden {
  std::string input;  // everything before "-- keys"
  std::string form;   // "jaxpr" or "mlir"
  std::string program;
  std::vector<std::string> flags;  // of the command line
};

Golden ParseGolden(const std::string& text) {
  Golden g;
  g.input = text.substr(0, text.find("-- keys\n"));
  std::string section;
  for (const std::string_view line : Split(g.input, '\n')) {
    if (line.starts_with("-- ")) {
      section = std::string(line.substr(3));
      if (section != "flags") g.form = section;
    } else if (section == "flags" && !line.empty()) {
      g.flags.emplace_back(line);
    } else if (!section.empty() && section != "flags") {
      StrAppend(&g.program, line, "\n");
    }
  }
  return g;
}

class GoldenKeysTest : public CliTest {
 protected:
  services::Engines Engines() override { return services::RealEngines(); }

  // "trace <key>" and a line per component.
  static std::string KeyText(const std::string& name, const Json& answer) {
    std::string out = StrCat(name, " ", answer["key"].get<std::string>(), "\n");
    for (const Json& c : answer["key_components"]) {
      const std::string text(Trim(c.value("text", "")));
      const bool readable = !text.empty() && std::all_of(text.begin(), text.end(), [](char b) {
        return static_cast<unsigned char>(b) >= 0x20;
      });
      StrAppend(&out, "  ", c["name"].get<std::string>(), " ",
                readable ? text : "sha256:" + c["digest"].get<std::string>(), "\n");
    }
    return out;
  }

  Json Answer(std::vector<std::string> words, const Golden& g) {
    words.insert(words.end(), g.flags.begin(), g.flags.end());
    words.push_back("--json");
    EXPECT_EQ(Run(words), 0) << Err();
    return OutJson();
  }

  std::string Keys(const Golden& g) {
    const std::string path = WriteFile(g.form == "mlir" ? "p.mlir" : "p.jaxpr", g.program);
    std::string out;
    if (g.form != "mlir") {
      for (const auto& [name, emit] : {std::pair{"trace", "text"}, std::pair{"lower", "stablehlo"}})
        out += KeyText(name, Answer({"trace", path, "--emit", emit}, g)["programs"][0]);
    }
    return out + KeyText("executable", Answer({"compile", path, "--target", "reference"}, g));
  }
};

TEST_F(GoldenKeysTest, KeysAreWhatTheyWere) {
  const bool update = std::getenv("MEGALITH_UPDATE_GOLDEN") != nullptr;
  const auto files = RealFileSystem().List(kDirectory);
  ASSERT_TRUE(files.ok()) << files.status().ToString();
  int programs = 0;
  for (const FileInfo& file : *files) {
    if (!file.name.ends_with(".golden")) continue;
    ++programs;
    const std::string path = JoinPath(kDirectory, file.name);
    const std::string text = *RealFileSystem().Read(path);
    const Golden golden = ParseGolden(text);
    const std::string now = StrCat(golden.input, "-- keys\n", Keys(golden));
    if (update) {
      ASSERT_TRUE(RealFileSystem().WriteAtomically(path, now).ok());
    } else {
      EXPECT_EQ(text, now)
          << file.name << ": if the change is meant, run the test with MEGALITH_UPDATE_GOLDEN=1";
    }
  }
  EXPECT_GE(programs, 6);
}

// What must not change a key, and what must.
TEST_F(GoldenKeysTest, OnlyTheMeaningCounts) {
  const auto key = [&](const std::string& program) {
    return Answer({"compile", WriteFile("p.mlir", program)}, {})["key"].get<std::string>();
  };
  const std::string plain = key(
      "func.func public @main(%arg0: tensor<2xf32>) -> tensor<2xf32> {\n"
      "  %0 = stablehlo.sine %arg0 : tensor<2xf32>\n  %1 = stablehlo.cosine %arg0 : tensor<2xf32>\n"
      "  %2 = stablehlo.add %0, %1 : tensor<2xf32>\n  return %2 : tensor<2xf32>\n}\n");
  EXPECT_EQ(plain,
            key("module @jit_f {\n  func.func public @main(%x: tensor<2xf32>) -> tensor<2xf32> {\n"
                "    %c = stablehlo.cosine %x : tensor<2xf32>\n    %s = stablehlo.sine %x : "
                "tensor<2xf32>\n"
                "    %unused = stablehlo.exponential %x : tensor<2xf32>\n"
                "    %r = stablehlo.add %s, %c : tensor<2xf32>\n    return %r : tensor<2xf32>\n  "
                "}\n}\n"));
  EXPECT_NE(plain,
            key("func.func public @main(%arg0: tensor<2xf32>) -> tensor<2xf32> {\n"
                "  %0 = stablehlo.sine %arg0 : tensor<2xf32>\n  %1 = stablehlo.cosine %arg0 : "
                "tensor<2xf32>\n"
                "  %2 = stablehlo.add %1, %0 : tensor<2xf32>\n  return %2 : tensor<2xf32>\n}\n"));
}

}  // namespace
}  // namespace megalith::cli
