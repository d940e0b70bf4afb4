#include "common/learning/embedding/checkpoint/row_loader.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "common/foundation/base/strings.h"
#include "common/learning/records/wire.h"

namespace megalith::embedding {
namespace {

constexpr size_t kRowsPerLoad = 512;

// "About zero" of section 6; values that cannot be read are for the row's parser to refuse.
bool IsZeroEntry(std::string_view entry) {
  double norm = 0;
  records::WireReader in(entry);
  std::vector<float> values;
  while (in.Next()) {
    if (in.field().number != 2) continue;
    values.clear();
    if (!AppendFloats(in.field(), &values).ok()) return false;
    for (const float v : values) norm += static_cast<double>(v) * v;
  }
  return in.status().ok() && norm < std::numeric_limits<float>::min();
}

}  // namespace

RowLoader::RowLoader(Table& table, std::string name, const RestoreOptions& options,
                     const std::set<uint32_t>& slots, bool resharded)
    : table_(table),
      name_(std::move(name)),
      options_(options),
      slots_(slots),
      resharded_(resharded) {}

bool RowLoader::Wanted(Fid fid) const {
  if (resharded_ &&
      static_cast<uint32_t>(ShardOf(fid, static_cast<int>(options_.placement.servers))) !=
          options_.placement.server.value_or(0))
    return false;
  return slots_.empty() || slots_.contains(static_cast<uint32_t>(SlotV2(fid)));
}

Status RowLoader::AddRow(std::string_view entry) {
  if (resharded_ || !slots_.empty()) {
    ASSIGN_OR_RETURN(const Fid fid, FidOfEntry(entry));
    if (!Wanted(fid)) {
      ++skipped;
      return OkStatus();
    }
  }
  if (table_.config().skip_zero_embedding && IsZeroEntry(entry)) {
    ++skipped;
    return OkStatus();
  }
  const size_t bytes = table_.layout().payload_bytes();
  payloads_.resize((fids_.size() + 1) * bytes);
  const Result<RowLayout::ParsedEntry> parsed =
      table_.layout().ParseEntryDump(entry, payloads_.data() + fids_.size() * bytes);
  if (!parsed.ok()) {
    payloads_.resize(fids_.size() * bytes);
    const Status status = parsed.status().Annotate(StrCat("table '", name_, "'"));
    return status.code() == Code::kInvalidArgument ? FailedPrecondition(status.message()) : status;
  }
  fids_.push_back(parsed->fid);
  timestamps_.push_back(
      static_cast<uint32_t>(std::clamp<int64_t>(parsed->timestamp, 0, UINT32_MAX)));
  return fids_.size() < kRowsPerLoad ? OkStatus() : Flush();
}

Status RowLoader::Flush() {
  if (options_.cancellation != nullptr) RETURN_IF_ERROR(options_.cancellation->Check());
  RETURN_IF_ERROR(
      table_.Load(fids_, timestamps_, payloads_).Annotate(StrCat("table '", name_, "'")));
  rows += fids_.size();
  fids_.clear();
  timestamps_.clear();
  payloads_.clear();
  return OkStatus();
}

}  // namespace megalith::embedding
