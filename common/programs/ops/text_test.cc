// Texts that need whole primitives to be read.
#include <gtest/gtest.h>

#include <string>

#include "common/programs/ir/parse.h"
#include "common/programs/ir/print.h"
#include "common/programs/ops/registry.h"

namespace megalith::ops {
namespace {

// Named tuples write their programs out in full; the definitions in front say that both equations
// share them.
TEST(ParseTextTest, ProgramsInNamedTuplesStayShared) {
  const std::string text =
      R"(let jaxpr = { lambda ; a:f32[] b:f32[]. let c:f32[] = mul a b in (c,) } in
let jaxpr1 = { lambda ; d:f32[] e:f32[]. let f:f32[] = div e d in (f,) } in
{ lambda ; g:f32[] h:f32[]. let
    i:f32[] = custom_linear_solve[
      const_lengths=_LinearSolveTuple(matvec=1, vecmat=0, solve=1, transpose_solve=0)
      jaxprs=_LinearSolveTuple(matvec={ lambda ; a:f32[] b:f32[]. let c:f32[] = mul a b in (c,) }, vecmat=None, solve={ lambda ; a:f32[] b:f32[]. let c:f32[] = div b a in (c,) }, transpose_solve=None)
    ] g g h
    j:f32[] = custom_linear_solve[
      const_lengths=_LinearSolveTuple(matvec=1, vecmat=0, solve=1, transpose_solve=0)
      jaxprs=_LinearSolveTuple(matvec={ lambda ; a:f32[] b:f32[]. let c:f32[] = mul a b in (c,) }, vecmat=None, solve={ lambda ; a:f32[] b:f32[]. let c:f32[] = div b a in (c,) }, transpose_solve=None)
    ] g g i
  in (j,) })";
  const Result<ir::JaxprPtr> parsed = ir::ParseJaxpr(text, ops::AllOps());
  ASSERT_TRUE(parsed.ok()) << parsed.status().ToString();
  EXPECT_EQ(ir::Print(*parsed), text);
}

}  // namespace
}  // namespace megalith::ops
