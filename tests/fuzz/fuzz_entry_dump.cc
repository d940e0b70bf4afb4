// Rows of checkpoint files from any bytes, read by a table that has every kind of state: what can
// be read is written and read again as the same row, and the row takes steps.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/learning/embedding/row_layout.h"

namespace {

using namespace megalith::embedding;

std::unique_ptr<RowLayout> Layout(EntryKind kind) {
  return *RowLayout::Make({.segments = {{.dim = 2, .optimizer = {.name = "ftrl"}},
                                        {.dim = 1, .optimizer = {.name = "batch_softmax"}},
                                        {.dim = 1, .optimizer = {.name = "moving_average"}},
                                        {.dim = 2,
                                         .initializer = {.name = "random_uniform"},
                                         .optimizer = {.name = "adam"},
                                         .compressor = {.name = "fp16"}},
                                        {.dim = 2,
                                         .optimizer = {.name = "dynamic_wd_adagrad"},
                                         .compressor = {.name = "fixed_r8"}}},
                           .kind = kind});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto training = Layout(EntryKind::kTraining);
  static const auto serving = Layout(EntryKind::kServing);
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  std::vector<std::byte> row(training->payload_bytes());
  std::vector<std::byte> served(serving->payload_bytes());
  const auto entry = training->ParseEntryDump(bytes, row.data());
  // A serving table ignores state, so it reads all that a training table does.
  CHECK(serving->ParseEntryDump(bytes, served.data()).ok() || !entry.ok());
  if (!entry.ok()) return 0;
  std::string dump;
  training->AppendEntryDump(&entry->fid, static_cast<uint32_t>(entry->timestamp), row.data(), dump);
  std::vector<std::byte> again(row.size());
  CHECK(training->ParseEntryDump(dump, again.data()).ok());
  CHECK(again == row);
  const std::vector<float> gradient(static_cast<size_t>(training->dim()), 0.5F);
  const std::vector<float> rates(static_cast<size_t>(training->slices()), 0.1F);
  for (int64_t step = 0; step < 3; ++step) {
    training->Step({.gradient = gradient, .learning_rates = rates, .global_step = step},
                   row.data());
  }
  return 0;
}
