#include "common/learning/embedding/embedding_proto.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include "common/foundation/base/rng.h"
#include "common/learning/embedding/compressors/compressor.h"
#include "common/learning/embedding/initializers/initializer.h"
#include "common/learning/embedding/optimizers/optimizer.h"
#include "common/learning/embedding/row_layout.h"

namespace megalith::embedding {
namespace {

namespace proto = ::monolith::hash_table;
using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

proto::EmbeddingHashTableConfig Parse(const std::string& text) {
  proto::EmbeddingHashTableConfig out;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &out)) << text;
  return out;
}

double DefaultOf(const FieldDescriptor& field) {
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_FLOAT:
      return field.default_value_float();
    case FieldDescriptor::CPPTYPE_INT32:
      return field.default_value_int32();
    case FieldDescriptor::CPPTYPE_INT64:
      return static_cast<double>(field.default_value_int64());
    default:
      return field.default_value_bool() ? 1 : 0;
  }
}

// Every member of the message's oneof is a record, field by field.
template <typename Def>
void ExpectSameAsRecords(const Descriptor& message, std::span<const Def* const> records) {
  const auto* const choice = message.FindOneofByName("type");
  ASSERT_NE(choice, nullptr);
  EXPECT_EQ(static_cast<size_t>(choice->field_count()), records.size());
  for (const Def* record : records) {
    SCOPED_TRACE(std::string(record->name));
    const FieldDescriptor* const member = message.FindFieldByNumber(record->config_number);
    ASSERT_NE(member, nullptr);
    EXPECT_EQ(member->name(), record->name);
    const Descriptor& fields = *member->message_type();
    EXPECT_EQ(static_cast<size_t>(fields.field_count()), record->fields.size() + 1);
    EXPECT_EQ(fields.FindFieldByNumber(1)->name(), "dim_size");
    for (const FieldDef& def : record->fields) {
      const FieldDescriptor* const field = fields.FindFieldByNumber(def.number);
      ASSERT_NE(field, nullptr) << def.name;
      EXPECT_EQ(field->name(), def.name);
      EXPECT_EQ(field->cpp_type() == FieldDescriptor::CPPTYPE_FLOAT, def.kind == FieldKind::kFloat);
      EXPECT_EQ(field->cpp_type() == FieldDescriptor::CPPTYPE_BOOL, def.kind == FieldKind::kBool);
      const double ours =
          def.kind == FieldKind::kFloat ? static_cast<float>(def.default_value) : def.default_value;
      EXPECT_EQ(ours, DefaultOf(*field)) << def.name;
    }
  }
}

TEST(EmbeddingProtoTest, RecordsAreTheMembersOfMonolithsMessages) {
  ExpectSameAsRecords(*proto::OptimizerConfig::descriptor(), Optimizers());
  ExpectSameAsRecords(*proto::InitializerConfig::descriptor(), Initializers());
  ExpectSameAsRecords(*proto::FloatCompressorConfig::descriptor(), Compressors());
}

TEST(EmbeddingProtoTest, StatesAreTheFieldsOfMonolithsDumps) {
  const Descriptor& dumps = *proto::SingleOptimizerDump::descriptor();
  size_t with_dump = 0;
  for (const OptimizerDef* record : Optimizers()) {
    if (record->dump_number == 0) continue;
    SCOPED_TRACE(std::string(record->name));
    ++with_dump;
    const FieldDescriptor* const member = dumps.FindFieldByNumber(record->dump_number);
    ASSERT_NE(member, nullptr);
    EXPECT_EQ(member->name(), record->name);
    EXPECT_EQ(static_cast<size_t>(member->message_type()->field_count()), record->state.size());
    for (const StateDef& state : record->state) {
      const FieldDescriptor* const field = member->message_type()->FindFieldByNumber(state.number);
      ASSERT_NE(field, nullptr) << state.name;
      EXPECT_EQ(field->name(), state.name);
      EXPECT_EQ(field->is_repeated(), state.kind == StateKind::kPerElement);
      EXPECT_EQ(field->cpp_type(), state.kind == StateKind::kInt64
                                       ? FieldDescriptor::CPPTYPE_INT64
                                       : FieldDescriptor::CPPTYPE_FLOAT);
    }
  }
  EXPECT_EQ(static_cast<size_t>(dumps.FindOneofByName("type")->field_count()), with_dump);
}

// Protobuf's own writer and our codec produce the same bytes, and read each other's.
TEST(EmbeddingProtoTest, DumpsAreProtobufsBytesForEveryOptimizer) {
  TableConfig config;
  for (const OptimizerDef* record : Optimizers()) {
    SegmentConfig segment{.dim = std::min<int64_t>(record->max_dim, 3),
                          .initializer = {.name = "random_uniform"},
                          .optimizer = {.name = std::string(record->name)}};
    if (record->compensate) segment.optimizer.base = {{.name = "adam"}};
    config.segments.push_back(std::move(segment));
  }
  const auto layout = *RowLayout::Make(config);
  std::vector<std::byte> row(layout->payload_bytes());
  const Fid fid = INT64_MIN + 5;
  layout->Init(fid, row.data());
  Rng rng(1);
  std::vector<float> gradient(static_cast<size_t>(layout->dim()));
  for (float& g : gradient) g = static_cast<float>(rng.Normal());
  const std::vector<float> rates(static_cast<size_t>(layout->slices()), 0.1F);
  layout->Step({.gradient = gradient, .learning_rates = rates, .global_step = 300}, row.data());
  std::string ours;
  layout->AppendEntryDump(&fid, 4000000000, row.data(), ours);
  proto::EntryDump message;
  ASSERT_TRUE(message.ParseFromString(ours));
  EXPECT_EQ(message.id(), fid);
  EXPECT_EQ(message.last_update_ts_sec(), 4000000000);
  EXPECT_EQ(message.opt().dump_size(), static_cast<int>(config.segments.size()) - 1);
  EXPECT_EQ(message.SerializeAsString(), ours);
  std::vector<std::byte> restored(row.size());
  ASSERT_TRUE(layout->ParseEntryDump(message.SerializeAsString(), restored.data()).ok());
  EXPECT_EQ(restored, row);
}

TEST(EmbeddingProtoTest, AConfigurationComesBackAsItWas) {
  for (const OptimizerDef* record : Optimizers()) {
    if (record->compensate) continue;
    for (const Sample& sample : record->samples) {
      TableConfig config{.segments = {{.dim = 4,
                                       .initializer = {"random_uniform", {{"minval", -1}}},
                                       .optimizer = {.name = std::string(record->name)},
                                       .compressor = {"one_bit", {{"step_size", 7}}},
                                       .stochastic_rounding_float16 = true},
                                      {.dim = 1}},
                         .kind = EntryKind::kServing,
                         .compatibility = Compatibility::kMonolith,
                         .initial_capacity = 1000,
                         .skip_zero_embedding = true,
                         .expire = {.default_days = 3, .days_of_slot = {{5, 1}, {32767, 0}}}};
      for (const Sample::Setting& s : sample.settings) {
        if (s.name.empty()) continue;
        config.segments[0].optimizer.fields.emplace_back(s.name, static_cast<float>(s.value));
      }
      const auto message = TableConfigToProto(config, {.enabled = true, .every_hours = 12});
      ASSERT_TRUE(message.ok()) << message.status().ToString();
      EvictionTimer timer;
      const auto back = TableConfigFromProto(*message, &timer);
      ASSERT_TRUE(back.ok()) << back.status().ToString();
      EXPECT_TRUE(timer.enabled);
      EXPECT_EQ(timer.every_hours, 12);
      EXPECT_EQ(TableConfigToProto(*back, timer)->SerializeAsString(),
                message->SerializeAsString());
      EXPECT_EQ(back->segments[0].optimizer.name, config.segments[0].optimizer.name);
      EXPECT_EQ(back->segments[0].optimizer.fields.size(),
                config.segments[0].optimizer.fields.size());
      EXPECT_EQ(back->expire.days_of_slot, config.expire.days_of_slot);
      EXPECT_TRUE(RowLayout::Make(*back).ok());
    }
  }
}

constexpr char kSegment[] =
    "dim_size: 2 init_config { ones {} } opt_config { adagrad { initial_accumulator_value: 1 } }";

TEST(EmbeddingProtoTest, UnsetFieldsAreTheRecordsAndTheModeIsMonoliths) {
  const auto config =
      TableConfigFromProto(Parse(StrCat("cuckoo {} entry_config { segments { ", kSegment, " } }")));
  ASSERT_TRUE(config.ok()) << config.status().ToString();
  EXPECT_EQ(config->compatibility, Compatibility::kMonolith);
  EXPECT_EQ(config->kind, EntryKind::kTraining);
  EXPECT_EQ(config->initial_capacity, 1U);
  EXPECT_EQ(config->expire.default_days, 36500U);
  EXPECT_EQ(config->segments[0].dim, 2);
  EXPECT_EQ(config->segments[0].compressor.name, "fp32");
  EXPECT_THAT(config->segments[0].optimizer.fields,
              ElementsAre(Pair("initial_accumulator_value", 1)));
}

TEST(EmbeddingProtoTest, RefusesWhatIsNotSet) {
  const auto refusal = [](const std::string& text) {
    return TableConfigFromProto(Parse(text)).status();
  };
  EXPECT_THAT(refusal("").message(), HasSubstr("cuckoo"));
  EXPECT_THAT(refusal("cuckoo {} entry_config { entry_type: UNKNOWN }").message(),
              HasSubstr("UNKNOWN"));
  EXPECT_THAT(refusal("cuckoo {} entry_config { segments { dim_size: 1 opt_config { sgd {} } } }")
                  .message(),
              HasSubstr("segment 0: a segment of a training table needs init_config"));
  EXPECT_THAT(refusal("cuckoo {} entry_config { segments { dim_size: 1 init_config { } "
                      "opt_config { sgd {} } } }")
                  .message(),
              HasSubstr("the initializer is not set; wanted one of zeros"));
  EXPECT_THAT(
      refusal(StrCat("cuckoo {} entry_config { segments { ", kSegment, " comp_config {} } }"))
          .message(),
      HasSubstr("the compressor is not set"));
  EXPECT_THAT(
      refusal(StrCat("cuckoo {} entry_config { entry_type: SERVING segments { ", kSegment, " } }"))
          .message(),
      HasSubstr("needs comp_config"));
  EXPECT_EQ(refusal("cuckoo {} entry_config { segments { dim_size: 1 init_config { zeros {} } "
                    "opt_config { dc { lambda_: 1 } } } }")
                .code(),
            Code::kUnimplemented);
  EXPECT_THAT(
      refusal("cuckoo {} slot_expire_time_config { slot_expire_times { slot: 32768 } }").message(),
      HasSubstr("slot 32768"));
}

TEST(EmbeddingProtoTest, RefusesWhatTheMessageCannotHold) {
  const auto refusal = [](RuleConfig optimizer) {
    return TableConfigToProto({.segments = {{.dim = 1, .optimizer = std::move(optimizer)}}})
        .status();
  };
  EXPECT_EQ(refusal({.name = "dc", .base = {{.name = "sgd"}}}).code(), Code::kUnimplemented);
  EXPECT_EQ(refusal({.name = "adagard"}).code(), Code::kInvalidArgument);
  EXPECT_EQ(refusal({"adagrad", {{"hessian_compression_times", 1e10}}}).code(),
            Code::kInvalidArgument);
}

TEST(EmbeddingProtoTest, TablesComeInTheOrderOfTheirNames) {
  proto::MultiEmbeddingHashTableConfig multi;
  for (const char* name : {"b", "a"}) {
    multi.add_names(name);
    *multi.add_configs() = Parse(StrCat("cuckoo {} entry_config { segments { ", kSegment, " } }"));
  }
  const auto tables = TableConfigsFromProto(multi);
  ASSERT_TRUE(tables.ok()) << tables.status().ToString();
  const auto back = TableConfigsToProto(*tables);
  ASSERT_TRUE(back.ok());
  EXPECT_THAT(back->names(), ElementsAre("a", "b"));
  multi.set_names(1, "b");
  EXPECT_THAT(TableConfigsFromProto(multi).status().message(), HasSubstr("'b' appears twice"));
  multi.set_names(1, "");
  EXPECT_FALSE(TableConfigsFromProto(multi).ok());
  multi.mutable_names()->RemoveLast();
  EXPECT_FALSE(TableConfigsFromProto(multi).ok());
}

TEST(EmbeddingProtoTest, ThresholdsComeBackAsTheyWere) {
  const OccurrenceThresholds thresholds{.default_threshold = 2, .threshold_of_slot = {{9, 4}}};
  const auto message = OccurrenceThresholdsToProto(thresholds);
  const auto back = OccurrenceThresholdsFromProto(message);
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(back->default_threshold, 2U);
  EXPECT_THAT(back->threshold_of_slot, ElementsAre(Pair(9, 4)));
  auto wrong = message;
  wrong.mutable_slot_occurrence_thresholds(0)->set_slot(1U << 20);
  EXPECT_FALSE(OccurrenceThresholdsFromProto(wrong).ok());
}

}  // namespace
}  // namespace megalith::embedding
