// Schemas of others: generated code writes the bytes that their owners' programs write.
#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include "common/foundation/base/bytes.h"
#include "common/foundation/base/strings.h"
#include "common/learning/embedding/dump/dump_messages.h"
#include "monolith/native_training/monolith_checkpoint_state.pb.h"
#include "monolith/native_training/multi_hash_table_ops.pb.h"
#include "monolith/native_training/runtime/hash_table/embedding_hash_table.pb.h"
#include "monolith/native_training/runtime/parameter_sync/parameter_sync.pb.h"
#include "tensorflow/python/training/checkpoint_state.pb.h"
#include "tensorflow_serving/apis/predict.pb.h"

namespace megalith {
namespace {

namespace table = ::monolith::hash_table;
using google::protobuf::DescriptorPool;

std::string Bytes(std::string_view text) {
  std::string digits;
  for (const char c : text)
    if (c != ' ') digits += c;
  return std::string(AsText(HexDecode(digits).value()));
}

// Byte vector A of checkpoint-format.md, section 4.
TEST(InteropSchemasTest, ARowIsWrittenAsInTheSpecification) {
  table::EntryDump entry;
  entry.set_id((int64_t{7} << 48) | 5);
  for (const float v : {1.0f, -0.5f, 0.25f}) entry.add_num(v);
  table::FtrlOptimizerDump* ftrl = entry.mutable_opt()->add_dump()->mutable_ftrl();
  ftrl->add_zero(0.25f);
  ftrl->add_norm(1.5f);
  table::AdagradOptimizerDump* adagrad = entry.mutable_opt()->add_dump()->mutable_adagrad();
  adagrad->add_norm(0.1f);
  adagrad->add_norm(2.0f);
  entry.set_last_update_ts_sec(1622716114);
  EXPECT_EQ(entry.SerializeAsString(),
            Bytes("09 05 00 00 00 00 00 07 00 15 00 00 80 3f 15 00 00 00 bf 15 00 00 80 3e 1a 1c "
                  "0a 0c 1a 0a 0d 00 00 80 3e 15 00 00 c0 3f 0a 0c 0a 0a 0d cd cc cc 3d 0d 00 00 "
                  "00 40 20 d2 dd e2 85 06"));
}

TEST(InteropSchemasTest, GeneratedCodeAndOursAgreeOnDumpMessages) {
  table::HashFilterSplitMetaDump meta;
  meta.set_failure_count(3);
  meta.set_total_size(60);
  meta.set_num_elements(1);
  meta.set_fill_rate(1.2);
  table::SlidingHashFilterMetaDump* sliding = meta.mutable_sliding_hash_filter_meta();
  sliding->set_split_num(7);
  sliding->set_max_forward_step(2);
  sliding->set_max_backward_step(5);
  sliding->set_max_step(16);
  sliding->set_head(0);
  sliding->set_head_increment(300);
  sliding->set_failure_count(0);
  EXPECT_EQ(meta.SerializeAsString(),
            embedding::Encode(embedding::FilterSplitMeta{
                .failure_count = 3,
                .total_size = 60,
                .num_elements = 1,
                .fill_rate = 1.2,
                .sliding = embedding::SlidingFilterMeta{.split_num = 7,
                                                        .max_forward_step = 2,
                                                        .max_backward_step = 5,
                                                        .max_step = 16,
                                                        .head_increment = 300}}));
  table::HashFilterSplitDataDump data;
  data.set_offset(0);
  for (const uint32_t cell : {0u, 300u, 65535u}) data.add_data(cell);
  EXPECT_EQ(data.SerializeAsString(),
            embedding::Encode(embedding::FilterSplitData{.cells = {0, 300, 65535}}));
  table::MultiHashTableMetadata tables;
  tables.set_table_name("fc_slot_7");
  tables.set_num_entries(300);
  EXPECT_EQ(tables.SerializeAsString(), embedding::Encode(embedding::MultiTableMeta{
                                            .table_name = "fc_slot_7", .num_entries = 300}));
}

TEST(InteropSchemasTest, DefaultsAreTheOwners) {
  EXPECT_EQ(table::EntryConfig().entry_type(), table::EntryConfig::TRAINING);
  EXPECT_EQ(table::EmbeddingHashTableConfig().entry_type(),
            table::EmbeddingHashTableConfig::PACKED);
  EXPECT_EQ(table::SlotExpireTimeConfig().default_expire_time(), 36500u);
  EXPECT_EQ(table::GroupFtrlOptimizerConfig().beta(), 1.0f);
  EXPECT_EQ(table::AdamOptimizerConfig().beta2(), 0.99f);
  EXPECT_EQ(table::RandomUniformInitializerConfig().minval(), -0.05f);
  EXPECT_EQ(table::FloatCompressorConfig::OneBit().step_size(), 200);
  EXPECT_EQ(::monolith::parameter_sync::ClientConfig::TargetExtraInfo().replica_id(), -1);
  EXPECT_EQ(::monolith::parameter_sync::PushRequest().timeout_in_ms(), 1000);
}

TEST(InteropSchemasTest, MethodsHaveTheOwnersNames) {
  const DescriptorPool& pool = *DescriptorPool::generated_pool();
  const auto* predict = pool.FindMethodByName("tensorflow.serving.PredictionService.Predict");
  ASSERT_NE(predict, nullptr);
  EXPECT_EQ(predict->input_type()->full_name(), "tensorflow.serving.PredictRequest");
  EXPECT_EQ(predict->service()->method_count(), 5);
  const auto* models = pool.FindServiceByName("tensorflow.serving.ModelService");
  ASSERT_NE(models, nullptr);
  EXPECT_EQ(models->method_count(), 2);
}

// Numeric lists of proto3 are packed, those of Monolith's proto2 files are not.
TEST(InteropSchemasTest, PackingIsTheOwners) {
  tensorflow::TensorProto tensor;
  tensor.set_dtype(tensorflow::DT_INT64);
  tensor.add_int64_val(1);
  tensor.add_int64_val(2);
  EXPECT_EQ(tensor.SerializeAsString(), Bytes("08 09 52 02 01 02"));
  ::monolith::parameter_sync::PushRequest::DeltaEmbeddingHashTable delta;
  delta.add_fids(1);
  delta.add_fids(2);
  EXPECT_EQ(delta.SerializeAsString(), Bytes("18 01 18 02"));
}

}  // namespace
}  // namespace megalith
