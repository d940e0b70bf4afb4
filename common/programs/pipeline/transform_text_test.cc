#include "common/programs/pipeline/transform_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "common/foundation/base/strings.h"

namespace megalith::pipeline {
namespace {

using ::testing::HasSubstr;

std::string Parsed(std::string_view text) {
  const Result<Transform> t = ParseTransform(text);
  return t.ok() ? t->Text() : t.status().ToString();
}

TEST(TransformTextTest, ReadsEveryTransformWithItsDefaults) {
  for (const std::string_view name : TransformNames()) {
    const bool needs_primals = name == "vjp" || name == "linear_transpose";
    const auto t =
        ParseTransform(needs_primals ? StrCat(name, ":num_primals=2") : std::string(name));
    ASSERT_TRUE(t.ok()) << t.status().ToString();
    Transform defaults{.name = std::string(name)};
    if (needs_primals) defaults.num_primals = 2;
    EXPECT_EQ(t->Text(), defaults.Text());
  }
}

TEST(TransformTextTest, ReadsFields) {
  EXPECT_EQ(Parsed("grad:argnums=1"), "grad(argnums=1)");
  EXPECT_EQ(Parsed("grad:argnums=0,1"), "grad(argnums=[0,1])");
  EXPECT_EQ(Parsed("grad:argnums=[-1]"), "grad(argnums=[-1])");
  EXPECT_EQ(Parsed("value_and_grad:argnums=0,has_aux"), "value_and_grad(argnums=0, has_aux=True)");
  EXPECT_EQ(Parsed("value_and_grad:argnums=0,2,has_aux=true"),
            "value_and_grad(argnums=[0,2], has_aux=True)");
  EXPECT_EQ(Parsed("vmap:in_axes=0,None;out_axes=0;axis_size=3;axis_name=i"),
            "vmap(in_axes=[0,None], out_axes=0, axis_name=i, axis_size=3)");
  EXPECT_EQ(Parsed("vmap:in_axes=None,out_axes=None,axis_size=3"),
            "vmap(in_axes=None, out_axes=None, axis_size=3)");
  EXPECT_EQ(Parsed(" vmap : in_axes = ( 0 , ) "), "vmap(in_axes=[0], out_axes=0)");
  EXPECT_EQ(Parsed("linear_transpose:num_primals=2"), "linear_transpose(num_primals=2)");
  EXPECT_EQ(Parsed("checkpoint:policy=dots_saveable,prevent_cse=false"),
            "checkpoint(policy=dots_saveable, prevent_cse=False)");
}

TEST(TransformTextTest, ReadsWhatTextPrints) {
  for (const char* text : {"jit()", "hessian(argnums=[0,1])",
                           "vmap(in_axes=[0,None], out_axes=1, axis_name=i, axis_size=3)",
                           "checkpoint(policy=None, prevent_cse=True)", "vjp(num_primals=3)",
                           "grad(argnums=0, has_aux=True)"}) {
    EXPECT_EQ(Parsed(text), text);
  }
}

TEST(TransformTextTest, NamesOfAxesCannotPassForOtherFields) {
  EXPECT_EQ(Parsed("vmap:axis_name='i'"), "vmap(in_axes=0, out_axes=0, axis_name=i)");
  const char* odd = "vmap(in_axes=0, out_axes=0, axis_name=\"i) grad(argnums=0\")";
  EXPECT_EQ(Parsed("vmap:axis_name='i) grad(argnums=0'"), odd);
  EXPECT_EQ(Parsed(odd), odd);
}

TEST(TransformTextTest, NamesThePlaceOfAnError) {
  const std::pair<const char*, const char*> kCases[] = {
      {"", "column 1: expects the name of a transform"},
      {"gard", "column 1: unknown transform 'gard'; did you mean 'grad'?"},
      {"quux", "column 1: unknown transform 'quux'; there are jit, grad"},
      {"grad:argnum=1", "column 6: grad has no field 'argnum'; did you mean 'argnums'?"},
      {"jit:x", "column 5: jit has no field 'x'; it has none"},
      {"grad:argnums", "column 13: expects '=' and a value of argnums"},
      {"grad:argnums=0,x", "column 16: expects a whole number, got 'x'"},
      {"grad:argnums=0,has_aux,argnums=1", "column 24: argnums is given twice"},
      {"grad:", "column 6: expects a field of grad"},
      {"grad(argnums=0", "column 15: expects ')'"},
      {"grad:argnums=[0 1]", "column 17: expects ',' or ']'"},
      {"grad:argnums=", "column 14: expects a value"},
      {"grad x", "column 6: unexpected 'x'"},
      {"vmap:axis_size=-1", "column 16: expects a size, got -1"},
      {"vmap:in_axes=0,b", "column 16: expects an axis or None, got 'b'"},
      {"vjp", "column 4: vjp needs num_primals, as in 'vjp:num_primals=1'"},
      {"checkpoint:prevent_cse=maybe", "column 24: expects true or false, got 'maybe'"},
      {"vmap:axis_name='i", "column 16: the quote is not closed"},
      {"checkpoint:policy=[a,b]", "column 20: expects a policy's name, not a list"},
  };
  for (const auto& [text, message] : kCases) EXPECT_THAT(Parsed(text), HasSubstr(message)) << text;
  EXPECT_THAT(Parsed(std::string(5000, 'g')), HasSubstr("at most 4096 bytes"));
}

}  // namespace
}  // namespace megalith::pipeline
