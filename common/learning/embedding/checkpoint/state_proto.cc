#include "common/learning/embedding/checkpoint/state_proto.h"

#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/text_format.h>

#include "common/foundation/base/strings.h"
#include "monolith/native_training/model_export/export.pb.h"
#include "monolith/native_training/monolith_checkpoint_state.pb.h"
#include "monolith/native_training/proto/ckpt_info.pb.h"
#include "tensorflow/python/training/checkpoint_state.pb.h"

namespace megalith::embedding {
namespace {

using google::protobuf::TextFormat;
using ::monolith::native_training::MonolithCheckpointState;

// Keeps the first error; protobuf counts lines and columns from 0.
class FirstError final : public google::protobuf::io::ErrorCollector {
 public:
  void AddError(int line, int column, const std::string& message) override {
    if (text_.empty())
      text_ = StrCat("line ", line + 1, ", column ", column + 1, ": ", Printable(message, 200));
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

template <typename Message>
Result<Message> Parse(std::string_view text) {
  FirstError error;
  TextFormat::Parser parser;
  parser.RecordErrorsTo(&error);
  parser.AllowUnknownField(true);
  Message message;
  if (!parser.ParseFromString(std::string(text), &message)) return DataLoss(error.text());
  return message;
}

template <typename Message>
std::string Print(const Message& message) {
  std::string out;
  CHECK(TextFormat::PrintToString(message, &out));
  return out;
}

}  // namespace

std::string ToText(const CheckpointList& list) {
  tensorflow::CheckpointState message;
  message.set_model_checkpoint_path(list.newest);
  for (const std::string& path : list.all) message.add_all_model_checkpoint_paths(path);
  for (const double time : list.timestamps) message.add_all_model_checkpoint_timestamps(time);
  message.set_last_preserved_timestamp(list.last_preserved);
  return Print(message);
}

std::string ToText(const MonolithState& state) {
  MonolithCheckpointState message;
  for (const std::string& path : state.exempt) message.add_exempt_model_checkpoint_paths(path);
  message.set_last_checkpoint_save_timestamp(state.last_save);
  message.set_builtin_hash_table_type(
      static_cast<MonolithCheckpointState::HashTableType>(state.table_type));
  return Print(message);
}

std::string ToText(const RowCounts& counts) {
  ::monolith::CkptInfo message;
  for (const auto& [slot, rows] : counts.by_slot) (*message.mutable_slot_counts())[slot] = rows;
  for (const auto& [feature, rows] : counts.by_feature)
    (*message.mutable_feature_counts())[feature] = rows;
  return Print(message);
}

std::string ToText(const ExportList& exports) {
  ::monolith::model_export::ServingModelState message;
  for (const ExportList::Export& one : exports.exports) {
    auto* entry = message.add_entries();
    entry->set_export_dir(one.directory);
    entry->set_global_step(one.step);
  }
  return Print(message);
}

Result<CheckpointList> ParseCheckpointList(std::string_view text) {
  ASSIGN_OR_RETURN(const auto message, Parse<tensorflow::CheckpointState>(text));
  CheckpointList out;
  out.newest = message.model_checkpoint_path();
  out.all.assign(message.all_model_checkpoint_paths().begin(),
                 message.all_model_checkpoint_paths().end());
  out.timestamps.assign(message.all_model_checkpoint_timestamps().begin(),
                        message.all_model_checkpoint_timestamps().end());
  out.last_preserved = message.last_preserved_timestamp();
  return out;
}

Result<MonolithState> ParseMonolithState(std::string_view text) {
  ASSIGN_OR_RETURN(const auto message, Parse<MonolithCheckpointState>(text));
  MonolithState out;
  out.exempt.assign(message.exempt_model_checkpoint_paths().begin(),
                    message.exempt_model_checkpoint_paths().end());
  out.last_save = message.last_checkpoint_save_timestamp();
  out.table_type = static_cast<HashTableType>(message.builtin_hash_table_type());
  return out;
}

Result<RowCounts> ParseRowCounts(std::string_view text) {
  ASSIGN_OR_RETURN(const auto message, Parse<::monolith::CkptInfo>(text));
  RowCounts out;
  for (const auto& [slot, rows] : message.slot_counts()) out.by_slot[slot] = rows;
  for (const auto& [feature, rows] : message.feature_counts()) out.by_feature[feature] = rows;
  return out;
}

Result<ExportList> ParseExportList(std::string_view text) {
  ASSIGN_OR_RETURN(const auto message, Parse<::monolith::model_export::ServingModelState>(text));
  ExportList out;
  for (const auto& entry : message.entries())
    out.exports.push_back({.directory = entry.export_dir(), .step = entry.global_step()});
  return out;
}

}  // namespace megalith::embedding
