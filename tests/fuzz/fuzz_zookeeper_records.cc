// Node values and paths that anybody may have written: nothing crashes, and what is read is written
// again to the same record.
#include <cstdint>
#include <string_view>

#include "common/fleet/discovery/zookeeper/records.h"

namespace {

using namespace megalith::discovery;

template <typename Record>
void Check(std::string_view text) {
  const auto record = ReadRecord<Record>(text);
  if (!record.ok()) return;
  const std::string written = WriteRecord(*record);
  const auto again = ReadRecord<Record>(written);
  CHECK(again.ok());
  // Numbers that are none differ from themselves, hence bytes are compared.
  CHECK(WriteRecord(*again) == written);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  Check<ReplicaMeta>(text);
  Check<ModelMeta>(text);
  Check<ResourceSpec>(text);
  Check<PublishMeta>(text);
  Check<SavedModelDeployConfig>(text);
  Check<ContainerServiceInfo>(text);
  if (const auto json = ParsePythonJson(text); json.ok()) {
    const std::string dumped = DumpPythonJson(*json);
    const auto again = ParsePythonJson(dumped);
    CHECK(again.ok() && DumpPythonJson(*again) == dumped);
  }
  if (const auto path = ParseReplicaPath(text)) {
    CHECK(path->task >= 0 && path->replica.value_or(0) >= 0);
  }
  return 0;
}
