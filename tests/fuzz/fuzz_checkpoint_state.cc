// Text files of checkpoints from any bytes: what can be read is written and read again as the same.
#include <cstdint>
#include <string_view>

#include "common/learning/embedding/checkpoint/file_names.h"
#include "common/learning/embedding/checkpoint/retention.h"
#include "common/learning/embedding/checkpoint/state_proto.h"

namespace {

using namespace megalith::embedding;

template <typename T>
void RoundTrip(std::string_view text, megalith::Result<T> (*parse)(std::string_view)) {
  const megalith::Result<T> read = parse(text);
  if (!read.ok()) {
    CHECK(read.status().code() == megalith::Code::kDataLoss);
    return;
  }
  // Texts and not values are compared: a time may be NaN.
  const std::string written = ToText(*read);
  const megalith::Result<T> again = parse(written);
  CHECK(again.ok() && ToText(*again) == written);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  RoundTrip<CheckpointList>(text, &ParseCheckpointList);
  RoundTrip<MonolithState>(text, &ParseMonolithState);
  RoundTrip<RowCounts>(text, &ParseRowCounts);
  RoundTrip<ExportList>(text, &ParseExportList);
  (void)StepOf(text);
  (void)ParseShardFileName(text, text.substr(0, size / 2));
  const auto list = ParseCheckpointList(text);
  if (list.ok()) {
    const RetentionDecision decision = Retain(*list, "model.ckpt-99", 5, {"model.ckpt-10"}, {});
    CHECK(decision.kept.all.size() == decision.kept.timestamps.size());
    CHECK(!decision.kept.all.empty());
  }
  return 0;
}
