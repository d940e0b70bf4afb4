// A parameter server's log, marks and dense variables as they may lie on a disk: they are read or
// refused, and what was read is written again as it was.
#include <cstdint>
#include <string_view>

#include "common/foundation/base/file_system.h"
#include "common/learning/embedding/server/applied_sequences.h"
#include "common/learning/embedding/server/dense_store.h"
#include "common/learning/embedding/server/update_log.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace megalith;
  using namespace megalith::embedding;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  AppliedSequences marks({});
  const Status restored = marks.Restore(bytes);
  CHECK(restored.ok() || restored.code() == Code::kDataLoss);
  DenseStore dense({.max_bytes = 1 << 20});
  if (dense.Restore(bytes).ok()) CHECK(dense.bytes() <= 1 << 20);

  const TempDirectory directory;
  const std::string path = JoinPath(directory.path(), "log-00000000000000000001");
  auto file = RealFileSystem().OpenAppend(path);
  CHECK(file.ok() && (*file)->Append(bytes).ok());
  for (int round = 0; round < 2; ++round) {
    uint64_t records = 0;
    UpdateLog::Opened opened;
    const auto log = UpdateLog::Open(
        {.directory = directory.path()}, RealFileSystem(),
        [&](uint64_t number, std::string_view) {
          CHECK(number == ++records);
          return OkStatus();
        },
        &opened);
    if (!log.ok()) {
      CHECK(log.status().code() == Code::kDataLoss);
      return 0;
    }
    // What was cut off stays cut off, and a record that is added comes back.
    CHECK(round == 0 || opened.torn_bytes == 0);
    if (round == 0) CHECK((*log)->Wait((*log)->Append("added")).ok());
    CHECK((*log)->last() == records + (round == 0 ? 1 : 0));
  }
  return 0;
}
