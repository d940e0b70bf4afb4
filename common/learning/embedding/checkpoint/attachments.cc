#include "common/learning/embedding/checkpoint/attachments.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include "common/foundation/base/strings.h"
#include "common/learning/embedding/checkpoint/publish.h"
#include "common/learning/records/record_file.h"
#include "common/learning/records/record_stream.h"
#include "common/learning/records/wire.h"

namespace megalith::embedding {
namespace {

// Persistent: never change.
constexpr uint32_t kName = 1;       // of a blob; absent: the watermark
constexpr uint32_t kRemaining = 2;  // bytes of the same blob in the records that follow
constexpr uint32_t kBytes = 3;
// Of one record, far below what readers take.
constexpr size_t kPieceBytes = 16 << 20;

Status WriteBlob(records::RecordWriter& out, const std::string* name, std::string_view bytes) {
  do {
    const std::string_view piece = bytes.substr(0, kPieceBytes);
    bytes.remove_prefix(piece.size());
    std::string record;
    records::WireWriter writer(&record);
    if (name != nullptr) writer.Bytes(kName, *name);
    writer.Varint(kRemaining, bytes.size());
    writer.Bytes(kBytes, piece);
    RETURN_IF_ERROR(out.Write(record));
  } while (!bytes.empty());
  return OkStatus();
}

struct Piece {
  std::optional<std::string> name;
  uint64_t remaining = 0;
  std::string_view bytes;
};

Result<Piece> ParsePiece(std::string_view record) {
  Piece out;
  records::WireReader in(record);
  while (in.Next()) {
    const records::WireField& field = in.field();
    if (field.number == kRemaining) {
      RETURN_IF_ERROR(ExpectType(field, records::WireType::kVarint));
      out.remaining = field.value;
    } else if (field.number == kName || field.number == kBytes) {
      RETURN_IF_ERROR(ExpectType(field, records::WireType::kBytes));
      if (field.number == kName) {
        out.name = std::string(field.bytes);
      } else {
        out.bytes = field.bytes;
      }
    }
  }
  RETURN_IF_ERROR(in.status());
  return out;
}

}  // namespace

Status WriteAttachments(FileSystem& files, const std::string& path, const Attachments& attachments,
                        Rng& rng) {
  ASSIGN_OR_RETURN(const std::unique_ptr<StagedFile> file, StagedFile::Create(files, path, rng));
  records::RecordWriter out(file.get());
  RETURN_IF_ERROR(WriteBlob(out, nullptr, attachments.watermark));
  for (const auto& [name, blob] : attachments.blobs)
    RETURN_IF_ERROR(WriteBlob(out, &name, blob == nullptr ? std::string_view() : *blob));
  for (const auto& [name, encode] : attachments.encoders)
    RETURN_IF_ERROR(WriteBlob(out, &name, encode()));
  return file->Publish();
}

Result<Attachments> ReadAttachments(FileSystem& files, const std::string& path) {
  ASSIGN_OR_RETURN(const auto file, OpenRecords(files, path, records::Compression::kNone));
  std::map<std::string, std::string> blobs;
  Attachments out;
  std::optional<std::string> open;  // the blob that goes on
  uint64_t expected = 0;            // bytes of it that are missing
  while (true) {
    const std::string where =
        StrCat("'", path, "' offset ", file->offset(), " (record ", file->record(), ")");
    ASSIGN_OR_RETURN(const std::optional<std::string_view> record, file->Next());
    if (!record) {
      if (expected == 0) break;
      return DataLoss(StrCat(where, ": the file ends ", expected, " bytes before its last part"));
    }
    ASSIGN_OR_RETURN(const Piece piece, ParsePiece(*record).Annotate(where));
    if (expected != 0 && (piece.name != open || piece.bytes.size() + piece.remaining != expected)) {
      return DataLoss(StrCat(where, ": does not continue the part before it"));
    }
    (piece.name ? blobs[*piece.name] : out.watermark).append(piece.bytes);
    open = piece.name;
    expected = piece.remaining;
  }
  for (auto& [name, bytes] : blobs)
    out.blobs.emplace(name, std::make_shared<const std::string>(std::move(bytes)));
  return out;
}

}  // namespace megalith::embedding
