// agent.conf and what is read from it: nothing crashes, whatever the file holds and includes, and
// what is accepted can be used.
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "common/fleet/agent/config.h"
#include "common/fleet/agent/expression.h"
#include "common/fleet/agent/layout_filter.h"
#include "common/fleet/agent/serving_command.h"
#include "common/fleet/agent/serving_text.h"

namespace {

using namespace megalith;

// The one file there is; it may include itself.
class OneFile final : public FileSystem {
 public:
  explicit OneFile(std::string_view text) : text_(text) {}
  Result<std::string> Read(const std::string& path, uint64_t max_bytes) override {
    if (path != "a") return NotFound("no such file");
    if (text_.size() > max_bytes) return ResourceExhausted("too large");
    return text_;
  }
  Result<std::unique_ptr<ByteSource>> OpenRead(const std::string&) override { return None(); }
  Status WriteAtomically(const std::string&, std::string_view) override { return None(); }
  Status WritePrivately(const std::string&, std::string_view) override { return None(); }
  Result<std::unique_ptr<AppendFile>> OpenAppend(const std::string&) override { return None(); }
  Status Truncate(const std::string&, uint64_t) override { return None(); }
  Status Rename(const std::string&, const std::string&) override { return None(); }
  Status Remove(const std::string&) override { return None(); }
  Status MakeDirectory(const std::string&) override { return None(); }
  Result<std::vector<FileInfo>> List(const std::string&) override { return None(); }
  Result<FileInfo> Stat(const std::string&) override { return None(); }
  Status RemoveTree(const std::string&) override { return None(); }

 private:
  static Status None() { return Unimplemented("not here"); }
  const std::string text_;
};

void Use(const agent::AgentConfig& config) {
  CHECK(config.num_ps >= 0 && config.num_shard >= 1);
  CHECK(config.agent_port > 0 && config.agent_port <= 65535);
  for (const std::string& server : agent::ServerTypes(config)) {
    const agent::ServingFiles files{"b", "m", "p"};
    CHECK(!agent::ServingCommand(config, server, files).empty());
    CHECK(!agent::MegalithCommand(config, server, files).empty());
    // As many models as a file may ask for make the harness slow, and nothing else.
    if (config.num_ps > 100) continue;
    const auto models = agent::ModelsOf(config, server);
    if (models.ok()) (void)agent::ModelConfigText(*models);
  }
  CHECK(!agent::PlatformConfigText(config).empty());
  const auto filters =
      agent::LayoutFilters::Parse(config.layout_filters, config.shard_id, config.num_shard);
  if (!filters.ok()) return;
  for (const char* sub_graph : {"entry", "ps_0", "ps_12", ""}) (void)filters->Accepts(sub_graph);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  OneFile files(text);
  const agent::HostFacts host{.free_port = [] { return 9999; }, .ipv4 = "10.0.0.9", .ipv6 = ""};
  const agent::Environment environment = {{"SHARD_ID", "0"}, {"MY_POD_NAME", "pod"}};
  if (const auto config = agent::LoadAgentConfig("a", environment, host, files); config.ok()) {
    Use(*config);
  }
  if (const auto number = agent::EvaluateNumber(text)) CHECK(*number == *number);
  if (const auto expression = agent::Expression::Parse(text); expression.ok()) {
    (void)expression->Evaluate();
  }
  if (const auto filters = agent::LayoutFilters::Parse({std::string(text)}, 1, 2); filters.ok()) {
    (void)filters->Accepts(text.substr(0, 64));
    (void)filters->Accepts("ps_12");
  }
  return 0;
}
