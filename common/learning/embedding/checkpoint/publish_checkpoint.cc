#include <chrono>
#include <thread>
#include <utility>

#include "common/foundation/base/file_lock.h"
#include "common/foundation/base/strings.h"
#include "common/learning/embedding/checkpoint/checkpoint_source.h"
#include "common/learning/embedding/checkpoint/delta_files.h"
#include "common/learning/embedding/checkpoint/file_names.h"
#include "common/learning/embedding/checkpoint/manifest.h"
#include "common/learning/embedding/checkpoint/state_files.h"
#include "common/learning/embedding/checkpoint/table_checkpoint.h"

namespace megalith::embedding {
namespace {

constexpr int kLockAttempts = 2000;
constexpr std::chrono::milliseconds kLockPause{5};

// Servers that finish at the same time publish one after the other, so that the last one sees all.
Result<std::unique_ptr<DirectoryLock>> Lock(const std::string& directory) {
  Status last;
  for (int attempt = 0; attempt < kLockAttempts; ++attempt) {
    Result<std::unique_ptr<DirectoryLock>> lock = DirectoryLock::Acquire(directory);
    if (lock.ok() || lock.status().code() != Code::kFailedPrecondition) return lock;
    last = lock.status();
    std::this_thread::sleep_for(kLockPause);
  }
  return Unavailable(
      StrCat("another server publishes and does not come to an end: ", last.message()));
}

RowCounts CountsOf(const std::map<uint32_t, FoundManifest>& parts) {
  RowCounts out;
  for (const auto& [server, part] : parts) {
    if (part.manifest.layout == TableLayout::kNative) {
      for (const auto& [name, table] : part.manifest.tables)
        out.by_feature[name] += static_cast<int64_t>(table.rows);
    } else {
      for (const auto& [slot, rows] : part.manifest.rows_of_slot) out.by_slot[slot] += rows;
    }
  }
  return out;
}

// Of saves that came to no end: their marker has not been touched for long, and they are older than
// what was just published.
void RemoveAbandoned(FileSystem& files, const std::string& directory, int64_t now_nanos,
                     const std::string& published) {
  constexpr int64_t kLongNanos = int64_t{3600} * 1'000'000'000;
  constexpr std::string_view kAssets = ".assets";
  const Result<std::vector<FileInfo>> listing = files.List(directory);
  if (!listing.ok()) return;
  for (const FileInfo& entry : *listing) {
    if (!entry.is_directory || !entry.name.ends_with(kAssets)) continue;
    std::string prefix = JoinPath(directory, entry.name);
    prefix.resize(prefix.size() - kAssets.size());
    const Result<std::vector<FileInfo>> inside = files.List(AssetDirectory(prefix));
    if (!inside.ok() || prefix == published) continue;
    bool abandoned = false;
    for (const FileInfo& file : *inside) {
      abandoned = abandoned || (file.name.starts_with(MarkerName(std::nullopt)) &&
                                now_nanos - file.modified_unix_nanos > kLongNanos);
    }
    if (abandoned) (void)RemoveCheckpoint(files, prefix);
  }
}

bool AllThere(const std::map<uint32_t, FoundManifest>& parts) {
  return !parts.empty() && parts.size() == parts.begin()->second.manifest.servers;
}

}  // namespace

Result<PublishReport> PublishCheckpoint(FileSystem& files, const Clock& clock,
                                        const std::string& directory, int64_t step,
                                        const RetentionRules& retention) {
  const std::string prefix = CheckpointPrefix(directory, step);
  ASSIGN_OR_RETURN(const std::unique_ptr<DirectoryLock> lock, Lock(directory));
  ASSIGN_OR_RETURN(const auto parts, ReadManifests(files, AssetDirectory(prefix)));
  PublishReport report;
  if (!AllThere(parts)) return report;
  const double now = static_cast<double>(clock.UnixNanos()) * 1e-9;
  ASSIGN_OR_RETURN(const auto list, ReadCheckpointList(files, directory));
  ASSIGN_OR_RETURN(const auto read_state, ReadMonolithState(files, directory));
  MonolithState state = read_state.value_or(MonolithState{});
  const RetentionDecision decision =
      Retain(list.value_or(CheckpointList{}), prefix, now, state.exempt, retention);
  RETURN_IF_ERROR(WriteRowCounts(files, directory, step, CountsOf(parts)));
  RETURN_IF_ERROR(WriteCheckpointList(files, directory, decision.kept));
  state.last_save = static_cast<int64_t>(now);
  state.table_type = parts.begin()->second.manifest.layout == TableLayout::kNative
                         ? HashTableType::kNativeMulti
                         : HashTableType::kSingle;
  RETURN_IF_ERROR(WriteMonolithState(files, directory, state));
  report.published = true;
  for (const std::string& old : decision.remove) {
    // What cannot be removed is not listed any more and harms nobody.
    if (RemoveCheckpoint(files, old).ok()) report.removed.push_back(old);
    const Result<int64_t> old_step = StepOf(old);
    if (old_step.ok()) (void)files.Remove(JoinPath(directory, StrCat("ckpt.info-", *old_step)));
  }
  RemoveAbandoned(files, directory, clock.UnixNanos(), prefix);
  return report;
}

namespace {

Result<CheckpointHead> HeadOf(FileSystem& files, const CheckpointChoice& choice) {
  ASSIGN_OR_RETURN(const CheckpointSource base,
                   OpenCheckpoint(files, AssetDirectory(choice.prefix)));
  std::vector<std::string> notes;
  ASSIGN_OR_RETURN(
      const std::vector<FoundDelta> deltas,
      FindDeltas(files, choice.prefix, base, {}, [](const std::string&) { return false; }, &notes));
  return CheckpointHead{.base_step = choice.step,
                        .step = deltas.empty() ? choice.step : deltas.back().step};
}

}  // namespace

Result<std::vector<CheckpointHead>> FindHeads(FileSystem& files, const std::string& directory,
                                              size_t at_most) {
  std::vector<CheckpointHead> out;
  ASSIGN_OR_RETURN(const auto list, ReadCheckpointList(files, directory));
  if (!list || list->newest.empty()) return out;
  ASSIGN_OR_RETURN(const auto choices, ChooseCheckpoints(files, directory));
  for (const CheckpointChoice& choice : choices) {
    if (out.size() == at_most) break;
    const Result<CheckpointHead> head = HeadOf(files, choice);
    if (!head.ok() && out.empty()) return head.status();
    if (head.ok()) out.push_back(*head);
  }
  return out;
}

}  // namespace megalith::embedding
