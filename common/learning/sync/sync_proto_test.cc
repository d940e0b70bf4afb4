#include "common/learning/sync/sync_proto.h"

#include <gmock/gmock.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <gtest/gtest.h>

#include <cmath>

#include "common/foundation/base/rng.h"
#include "common/foundation/base/strings.h"
#include "monolith/native_training/runtime/parameter_sync/parameter_sync.pb.h"

namespace megalith::sync {
namespace {

using tensorflow::TensorProto;
using tensorflow::serving::PredictRequest;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::vector<TableDim> kTables = {{"A", 2}, {"B", 1}};

Push Golden(WireForm form) {
  return {.model = "m:ps_0",
          .signature = form == WireForm::kSingle ? "hashtable_assign"
                                                 : "MonolithMultiHashTable_0/raw_assign",
          .form = form,
          .tables = {{.table = "A", .dim = 2, .fids = {1, 2}, .values = {1, 2, 3, 4}},
                     {.table = "B", .dim = 1, .fids = {7}, .values = {5}}}};
}

std::string Bytes(const PredictRequest& request) {
  std::string bytes;
  google::protobuf::io::StringOutputStream stream(&bytes);
  google::protobuf::io::CodedOutputStream coded(&stream);
  coded.SetSerializationDeterministic(true);
  request.SerializeToCodedStream(&coded);
  coded.Trim();
  return bytes;
}

// A message, byte by byte: tag, length, content.
std::string Field(char number, const std::string& content) {
  return StrCat(static_cast<char>(number << 3 | 2), static_cast<char>(content.size()), content);
}
std::string Dims(std::initializer_list<char> sizes) {
  std::string shape;
  for (const char size : sizes) {
    shape += Field(2, size == 0 ? std::string() : std::string{8, size});
  }
  return Field(2, shape);
}
std::string Tensor(char dtype, const std::string& shape, const std::string& values) {
  return std::string{8, dtype} + shape + values;
}
std::string Input(const std::string& name, const std::string& tensor) {
  return Field(2, Field(1, name) + Field(2, tensor));
}
std::string Floats(std::initializer_list<float> values) {
  std::string bytes;
  for (const float v : values) bytes.append(reinterpret_cast<const char*>(&v), 4);
  return Field(5, bytes);
}
std::string Int64s(std::initializer_list<char> values) {
  return Field(10, std::string(values.begin(), values.end()));
}

// parameter-sync.md section 8.5. Maps are written in the order of their keys here.
TEST(SyncProtoGoldenTest, SingleTablesAreMonolithsBytes) {
  const std::string want = Field(1, Field(1, "m:ps_0") + Field(3, "hashtable_assign")) +
                           Input("A_id", Tensor(9, Dims({2}), Int64s({1, 2}))) +
                           Input("A_value", Tensor(1, Dims({2, 2}), Floats({1, 2, 3, 4}))) +
                           Input("B_id", Tensor(9, Dims({1}), Int64s({7}))) +
                           Input("B_value", Tensor(1, Dims({1, 1}), Floats({5})));
  EXPECT_EQ(Bytes(ToPredictRequest(Golden(WireForm::kSingle))), want);
}

TEST(SyncProtoGoldenTest, NativeTablesAreMonolithsBytes) {
  const std::string want =
      Field(1, Field(1, "m:ps_0") + Field(3, "MonolithMultiHashTable_0/raw_assign")) +
      Input("flat_value", Tensor(1, Dims({5}), Floats({1, 2, 3, 4, 5}))) +
      Input("id", Tensor(9, Dims({3}), Int64s({1, 2, 7}))) +
      Input("id_split", Tensor(9, Dims({3}), Int64s({0, 2, 3})));
  EXPECT_EQ(Bytes(ToPredictRequest(Golden(WireForm::kNative))), want);
}

TEST(SyncProtoGoldenTest, TablesWithoutRowsHaveShapesOfZero) {
  Push push = Golden(WireForm::kSingle);
  push.tables[0].fids.clear();
  push.tables[0].values.clear();
  const PredictRequest single = ToPredictRequest(push);
  EXPECT_EQ(single.inputs().at("A_id").tensor_shape().dim(0).size(), 0);
  EXPECT_EQ(single.inputs().at("A_id").dtype(), tensorflow::DT_INT64);
  EXPECT_EQ(single.inputs().at("A_value").tensor_shape().dim(0).size(), 0);
  EXPECT_EQ(single.inputs().at("A_value").tensor_shape().dim(1).size(), 2);
  push.form = WireForm::kNative;
  EXPECT_THAT(ToPredictRequest(push).inputs().at("id_split").int64_val(), ElementsAre(0, 0, 1));
}

TEST(SyncProtoTest, WhatIsWrittenIsRead) {
  for (const WireForm form : {WireForm::kSingle, WireForm::kNative}) {
    PredictRequest request = ToPredictRequest(Golden(form));
    for (const bool content : {false, true}) {
      if (content) {
        for (auto& [name, tensor] : *request.mutable_inputs()) {
          tensor.set_tensor_content(
              tensor.dtype() == tensorflow::DT_FLOAT
                  ? std::string(reinterpret_cast<const char*>(tensor.float_val().data()),
                                static_cast<size_t>(tensor.float_val_size()) * 4)
                  : std::string(reinterpret_cast<const char*>(tensor.int64_val().data()),
                                static_cast<size_t>(tensor.int64_val_size()) * 8));
          tensor.clear_float_val();
          tensor.clear_int64_val();
        }
      }
      const auto rows = form == WireForm::kSingle ? ParseSingleAssign(request, kTables)
                                                  : ParseNativeAssign(request, kTables);
      ASSERT_TRUE(rows.ok()) << rows.status().ToString();
      ASSERT_EQ(rows->size(), 2U);
      EXPECT_THAT((*rows)[0].fids, ElementsAre(1, 2));
      EXPECT_THAT((*rows)[0].values, ElementsAre(1, 2, 3, 4));
      EXPECT_THAT((*rows)[1].fids, ElementsAre(7));
      EXPECT_THAT((*rows)[1].values, ElementsAre(5));
    }
  }
}

TEST(SyncProtoTest, WhatDoesNotFitIsRefusedAndSaysWhy) {
  struct Case {
    WireForm form;
    std::string input;
    std::function<void(TensorProto&)> damage;
    std::string says;
  };
  const auto dim = [](int i, int64_t size) {
    return [i, size](TensorProto& t) { t.mutable_tensor_shape()->mutable_dim(i)->set_size(size); };
  };
  const Case cases[] = {
      {WireForm::kNative, "id_split", [](TensorProto& t) { t.set_int64_val(0, 1); }, "from 0"},
      {WireForm::kNative, "id_split", [](TensorProto& t) { t.set_int64_val(1, 9); }, "id_split"},
      {WireForm::kNative, "id_split", [](TensorProto& t) { t.set_int64_val(1, -1); }, "id_split"},
      {WireForm::kNative, "id_split", [](TensorProto& t) { t.set_int64_val(2, 2); }, "id_split"},
      {WireForm::kNative, "id_split", dim(0, 4), "expected shape [3], got [4]"},
      {WireForm::kNative, "flat_value", dim(0, 6), "expected shape [5], got [6]"},
      {WireForm::kNative, "flat_value", [](TensorProto& t) { t.mutable_float_val()->RemoveLast(); },
       "4 values"},
      {WireForm::kNative, "flat_value", [](TensorProto& t) { t.set_float_val(4, NAN); },
       "table 'B': value 0 of row 0 is not finite"},
      {WireForm::kNative, "id", dim(0, INT64_MAX), "values"},
      {WireForm::kNative, "id", dim(0, -1), "dimension of -1"},
      {WireForm::kNative, "id", [](TensorProto& t) { t.set_dtype(tensorflow::DT_FLOAT); },
       "wanted DT_INT64"},
      {WireForm::kNative, "id",
       [](TensorProto& t) { t.mutable_tensor_shape()->set_unknown_rank(true); }, "rank"},
      {WireForm::kNative, "id", [](TensorProto& t) { t.set_tensor_content("12345"); }, "5 bytes"},
      {WireForm::kSingle, "A_value", dim(1, 3), "expected shape [2,2], got [2,3]"},
      {WireForm::kSingle, "A_value", dim(0, INT64_MAX), "expected shape"},
      {WireForm::kSingle, "A_id", dim(0, 1), "2 values for a shape of 1"},
  };
  for (const Case& c : cases) {
    PredictRequest request = ToPredictRequest(Golden(c.form));
    c.damage((*request.mutable_inputs())[c.input]);
    const auto rows = c.form == WireForm::kSingle ? ParseSingleAssign(request, kTables)
                                                  : ParseNativeAssign(request, kTables);
    EXPECT_EQ(rows.status().code(), Code::kInvalidArgument) << c.input << " " << c.says;
    EXPECT_THAT(rows.status().message(), HasSubstr(c.says));
  }
  for (const char* missing : {"A_id", "A_value", "B_id", "B_value"}) {
    PredictRequest request = ToPredictRequest(Golden(WireForm::kSingle));
    request.mutable_inputs()->erase(missing);
    EXPECT_THAT(ParseSingleAssign(request, kTables).status().message(), HasSubstr(missing));
  }
}

// Whatever arrives, it is refused or understood: no crash, and rows that fit their tables.
TEST(SyncProtoTest, DamagedMessagesAreRefusedOrUnderstood) {
  const uint64_t seed = EntropySeed();
  SCOPED_TRACE(StrCat("seed ", seed));
  Rng rng(seed);
  int understood = 0;
  for (int round = 0; round < 20'000; ++round) {
    const WireForm form = rng.Below(2) == 0 ? WireForm::kSingle : WireForm::kNative;
    std::string bytes = ToPredictRequest(Golden(form)).SerializeAsString();
    for (uint64_t n = 1 + rng.Below(3); n-- > 0;) {
      bytes[rng.Below(bytes.size())] = static_cast<char>(rng.Next());
    }
    if (rng.Below(8) == 0) bytes.resize(rng.Below(bytes.size()));
    PredictRequest request;
    if (!request.ParseFromString(bytes)) continue;
    (void)ParseSingleLookup(request, kTables, 1000);
    (void)ParseNativeLookup(request, kTables, 1000);
    const auto rows = form == WireForm::kSingle ? ParseSingleAssign(request, kTables)
                                                : ParseNativeAssign(request, kTables);
    if (!rows.ok()) continue;
    ++understood;
    for (const TableRows& of_table : *rows) {
      ASSERT_EQ(of_table.values.size(), of_table.fids.size() * static_cast<size_t>(of_table.dim));
    }
  }
  EXPECT_GT(understood, 0);
}

// Parts are cut by the size of Monolith's own message.
TEST(SyncProtoTest, SizesAreThoseOfPushRequest) {
  const uint64_t seed = EntropySeed();
  SCOPED_TRACE(StrCat("seed ", seed));
  Rng rng(seed);
  for (int round = 0; round < 50; ++round) {
    PushSpec spec{.model = std::string(rng.Below(200), 'm'),
                  .timeout = std::chrono::milliseconds(rng.Below(100'000))};
    Push push;
    monolith::parameter_sync::PushRequest want;
    want.set_model_name(spec.model);
    want.set_signature_name(spec.WireSignature());
    want.set_timeout_in_ms(spec.timeout.count());
    for (uint64_t t = rng.Below(4); t-- > 0;) {
      TableRows rows{.table = std::string(1 + rng.Below(150), 't'),
                     .dim = static_cast<int64_t>(1 + rng.Below(200)),
                     .fids = {},
                     .values = {}};
      auto* table = want.add_delta_hash_tables();
      table->set_unique_id(rows.table);
      table->set_dim_size(static_cast<int32_t>(rows.dim));
      for (uint64_t n = rng.Below(50); n-- > 0;) {
        rows.fids.push_back(static_cast<Fid>(rng.Next() >> rng.Below(64)));
        table->add_fids(rows.fids.back());
        for (int64_t d = 0; d < rows.dim; ++d) table->add_embeddings(1);
      }
      push.tables.push_back(std::move(rows));
    }
    EXPECT_EQ(PushRequestBytes(spec, push), static_cast<int64_t>(want.ByteSizeLong()));
  }
}

TEST(SyncProtoTest, AnswersAreThoseOfTheSignatures) {
  const std::vector<TableRows> rows = Golden(WireForm::kSingle).tables;
  tensorflow::serving::PredictResponse single;
  FillSingleRows(rows, &single);
  EXPECT_THAT(single.outputs().at("A").float_val(), ElementsAre(1, 2, 3, 4));
  EXPECT_EQ(single.outputs().at("A").tensor_shape().dim(1).size(), 2);
  tensorflow::serving::PredictResponse native;
  FillNativeRows(rows, &native);
  EXPECT_THAT(native.outputs().at("flat_emb").float_val(), ElementsAre(1, 2, 3, 4, 5));
  EXPECT_FALSE(InstanceOf(native).has_value());
  FillInstance(UINT64_MAX, &native);
  EXPECT_EQ(InstanceOf(native), UINT64_MAX);
}

}  // namespace
}  // namespace megalith::sync
