// Rows of tf-serving.md section 2.2: what TensorFlow's decoder was seen to do.
#include "common/learning/serving/tensor_value_proto.h"

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include "common/foundation/base/strings.h"

namespace megalith::serving {
namespace {

using tensorflow::TensorProto;

constexpr uint64_t kLimit = 1 << 20;

TensorProto Parse(const std::string& text) {
  TensorProto out;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &out)) << text;
  return out;
}

std::string Show(const Result<Value>& value) {
  if (!value.ok()) return std::string(CodeName(value.status().code()));
  if (value->dtype == DataType::kString)
    return StrCat("[", Join(value->strings, "|"), "] of [", tensor::DimsText(value->shape()), "]");
  return StrCat(value->tensor.TypeText(), " ", tensor::ValueText(value->tensor));
}

struct Row {
  const char* proto;
  const char* want;
};

constexpr char kFour[] = " tensor_shape { dim { size: 4 } }";

TEST(DecodeTensorTest, DoesWhatTensorFlowDoes) {
  const Row rows[] = {
      {"dtype: DT_FLOAT float_val: [7, 8]", "f32[4] [7, 8, 8, 8]"},
      {"dtype: DT_FLOAT", "f32[4] [0, 0, 0, 0]"},
      {"dtype: DT_INT32 int_val: [1, 2, 3, 4, 5, 6]", "i32[4] [1, 2, 3, 4]"},
      {"dtype: DT_FLOAT int_val: [1, 2, 3, 4]", "f32[4] [0, 0, 0, 0]"},
      {"dtype: DT_INT8 int_val: [300, -1]", "i8[4] [44, -1, -1, -1]"},
      {"dtype: DT_INT4 int_val: [-2, 7]", "i4[4] [-2, 7, 7, 7]"},
      {"dtype: DT_HALF half_val: [15360]", "f16[4] [1.0, 1.0, 1.0, 1.0]"},
      {"dtype: DT_BFLOAT16 half_val: [16256]", "bf16[4] [1.0, 1.0, 1.0, 1.0]"},
      {"dtype: DT_UINT64 uint64_val: [18446744073709551615]",
       "u64[4] [18446744073709551615, 18446744073709551615, 18446744073709551615, "
       "18446744073709551615]"},
      {"dtype: DT_BOOL bool_val: [true, false]", "bool[4] [True, False, False, False]"},
      {"dtype: DT_STRING string_val: 'a' string_val: 'bc'", "[a|bc|bc|bc] of [4]"},
      {"dtype: DT_STRING", "[|||] of [4]"},
      {"dtype: DT_STRING tensor_content: '\\001\\002\\000\\001abcd'", "[a|bc||d] of [4]"},
      {"dtype: DT_STRING tensor_content: '\\001\\002\\000\\001abc'", "INVALID_ARGUMENT"},
      {"dtype: DT_UINT8 tensor_content: '\\001\\002\\003\\004' int_val: 9", "u8[4] [1, 2, 3, 4]"},
      {"dtype: DT_UINT8 tensor_content: '\\001\\002\\003'", "INVALID_ARGUMENT"},
      {"dtype: DT_INVALID float_val: 1", "INVALID_ARGUMENT"},
      {"dtype: DT_VARIANT", "INVALID_ARGUMENT"},
  };
  for (const Row& row : rows)
    EXPECT_EQ(Show(DecodeTensor(Parse(StrCat(row.proto, kFour)), kLimit)), row.want) << row.proto;
}

TEST(DecodeTensorTest, AnOddPartOfAComplexNumberIsDropped) {
  const Result<Value> value =
      DecodeTensor(Parse(StrCat("dtype: DT_COMPLEX64 scomplex_val: [1, 2, 3]", kFour)), kLimit);
  ASSERT_TRUE(value.ok());
  for (int64_t i = 0; i < 4; ++i) EXPECT_EQ(value->tensor.ComplexAt(i), std::complex<double>(1, 2));
}

TEST(DecodeTensorTest, ShapesAreScalarsOrEmptyAsTheySay) {
  const Row rows[] = {
      {"dtype: DT_INT64 int64_val: 5", "i64[] 5"},
      {"dtype: DT_INT64 int64_val: 5 tensor_shape { unknown_rank: true dim { size: 9 } }",
       "i64[] 5"},
      {"dtype: DT_INT64 int64_val: 5 tensor_shape { dim { } dim { size: 3 } }",
       "i64[0,3] empty i64[0,3]"},
      {"dtype: DT_INT64 tensor_shape { dim { size: -1 } }", "INVALID_ARGUMENT"},
  };
  for (const Row& row : rows)
    EXPECT_EQ(Show(DecodeTensor(Parse(row.proto), kLimit)), row.want) << row.proto;
}

TEST(DecodeTensorTest, FewBytesCannotAskForMuchMemory) {
  for (const char* proto :
       {"dtype: DT_FLOAT float_val: 1 tensor_shape { dim { size: 4611686018427387904 } }",
        "dtype: DT_FLOAT tensor_shape { dim { size: 4294967296 } dim { size: 4294967296 } }",
        "dtype: DT_STRING string_val: '' tensor_shape { dim { size: 1000000000 } }",
        "dtype: DT_STRING string_val: '0123456789012345678901234567890123456789012345678901234567' "
        "tensor_shape { dim { size: 20000 } }"})
    EXPECT_EQ(Show(DecodeTensor(Parse(proto), kLimit)), "RESOURCE_EXHAUSTED") << proto;
}

TEST(EncodeTensorTest, BothFormsReadBackEqual) {
  for (const char* proto :
       {"dtype: DT_FLOAT float_val: [1, 2, 3, 4]", "dtype: DT_INT4 int_val: [-8, 7, 0, 1]",
        "dtype: DT_HALF half_val: [15360, 1, 2, 3]", "dtype: DT_BOOL bool_val: [true, false]",
        "dtype: DT_STRING string_val: 'a' string_val: '' string_val: 'xyz'",
        "dtype: DT_COMPLEX128 dcomplex_val: [1, 2, 3, 4, 5, 6, 7, 8]",
        "dtype: DT_FLOAT8_E5M2 float8_val: 'abcd'", "dtype: DT_UINT32 uint32_val: [4294967295]"}) {
    const Result<Value> value = DecodeTensor(Parse(StrCat(proto, kFour)), kLimit);
    ASSERT_TRUE(value.ok()) << proto;
    for (const bool as_content : {false, true}) {
      TensorProto again;
      EncodeTensor(*value, as_content, &again);
      EXPECT_EQ(again.tensor_content().empty(), !as_content);
      EXPECT_EQ(Show(DecodeTensor(again, kLimit)), Show(value)) << proto;
    }
  }
}

}  // namespace
}  // namespace megalith::serving
