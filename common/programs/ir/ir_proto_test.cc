// The wire form: nothing is lost, nothing that is wrong gets in, and what gets in is bounded.
#include "common/programs/ir/ir_proto.h"

#include <gmock/gmock.h>
#include <google/protobuf/stubs/logging.h>
#include <gtest/gtest.h>

#include <functional>

#include "common/foundation/base/clock.h"
#include "common/foundation/base/strings.h"
#include "common/foundation/tensor/tensor_proto.h"
#include "common/programs/ir/compare.h"
#include "common/programs/ir/parse.h"
#include "common/programs/ir/print.h"
#include "common/programs/ir/testing/fixture_texts.h"
#include "common/programs/ops/registry.h"
#include "common/programs/pipeline/pipeline.h"

namespace megalith::ir {
namespace {

using ::testing::HasSubstr;

// The wire form of a jaxpr. Open constvars get zeros.
v1::Program Encode(const JaxprPtr& jaxpr) {
  Program program;
  program.closed.jaxpr = jaxpr;
  for (const VarId v : jaxpr->constvars()) {
    program.closed.consts.push_back(
        *tensor::Tensor::Create(jaxpr->aval(v).dtype, jaxpr->aval(v).shape));
  }
  Session session(ops::AllOps());
  const auto proto = ProgramToProto(session, program);
  EXPECT_TRUE(proto.ok()) << proto.status().ToString();
  return proto.ok() ? *proto : v1::Program();
}

v1::Program Encode(std::string_view text) {
  const auto parsed = ParseJaxpr(text, ops::AllOps());
  EXPECT_TRUE(parsed.ok()) << parsed.status().ToString();
  return parsed.ok() ? Encode(*parsed) : v1::Program();
}

std::string ErrorOf(const v1::Program& proto, const ProtoLimits& limits = {}) {
  const auto decoded = ProgramFromProto(proto, ops::AllOps(), limits);
  return decoded.ok() ? "no error" : decoded.status().ToString();
}

constexpr std::string_view kSmall =
    "{ lambda a:f32[2]; b:f32[3,2] c:bool[]. let\n"
    "    d:f32[2] = reduce_sum[axes=(np.int64(0),) out_sharding=None] b\n"
    "    e:f32[2] = jit[name=f jaxpr={ lambda ; d:f32[2] f:f32[2]. let e:f32[2] = mul d 1.5:f32[] "
    "in (e,) }] d a\n"
    "    g:i32[] = convert_element_type[new_dtype=int32 weak_type=False] c\n"
    "    h:f32[2] = cond[branches=({ lambda ; i:f32[2]. let j:f32[2] = neg i in (j,) } { lambda ; "
    "k:f32[2]. let l:f32[2] = sin k in (l,) })] g e\n"
    "  in (h, 2:i32[]) }";

// Some jaxpr in the program has a namesake, which shows in text and is not sent.
bool NamesAreShared(const Jaxpr& jaxpr) {
  if (jaxpr.namesake() != &jaxpr) return true;
  for (const Eqn& eqn : jaxpr.eqns()) {
    for (const ParamValue& v : eqn.params->values()) {
      if (v.kind() == ParamValue::Kind::kJaxpr && NamesAreShared(*v.AsJaxpr())) return true;
      for (const ParamValue& e : v.elements()) {
        if (e.kind() == ParamValue::Kind::kJaxpr && NamesAreShared(*e.AsJaxpr())) return true;
      }
    }
  }
  return false;
}

TEST(IrProtoTest, EveryFixtureIsAFixedPoint) {
  for (const testing::FixtureText& t : testing::FixtureTexts()) {
    const auto parsed = ParseJaxpr(t.text, ops::AllOps(), {.guess_dropped = true});
    ASSERT_TRUE(parsed.ok()) << t.id;
    const v1::Program proto = Encode(*parsed);
    const auto decoded = ProgramFromProto(proto, ops::AllOps());
    ASSERT_TRUE(decoded.ok()) << t.id << ": " << decoded.status().ToString();
    const JaxprPtr& jaxpr = decoded->program.closed.jaxpr;
    EXPECT_TRUE(SameDag(**parsed, *jaxpr)) << t.id;
    // Which jaxprs share their variables is no part of the wire form: print both without it.
    EXPECT_EQ(Encode(jaxpr).SerializeAsString(), proto.SerializeAsString()) << t.id;
    EXPECT_TRUE(Print(jaxpr) == t.text || NamesAreShared(**parsed)) << t.id << "\n" << Print(jaxpr);
  }
}

TEST(IrProtoTest, CarriesWhatTextLoses) {
  JaxprAssembler out;
  const Aval weak{DType::kF32, true, {}};
  const auto table =
      *tensor::Tensor::FromBytes(DType::kF32, {2}, std::string_view("\0\0\x80?\0\0\0@", 8));
  out.AddConst(Aval{DType::kF32, false, {2}}, table);
  const VarId x = out.AddInput(weak);
  const Atom literal = out.AddLiteral(Literal::Float(DType::kF32, 0.1, /*weak=*/true));
  const OpDef* mul = ops::AllOps().Find("mul");
  const VarId y = out.AddEqn(mul, std::make_shared<const Params>(*mul),
                             std::vector{Atom::Var(x), literal}, std::vector{weak});
  out.SetOuts({Atom::Var(y)});
  const JaxprPtr jaxpr = out.Finish();
  Session session(ops::AllOps());
  const auto proto = ProgramToProto(session, {{jaxpr, {table}}, "f"});
  ASSERT_TRUE(proto.ok());
  const auto decoded = ProgramFromProto(*proto, ops::AllOps());
  ASSERT_TRUE(decoded.ok()) << decoded.status().ToString();
  EXPECT_EQ(decoded->program.fun_name, "f");
  EXPECT_TRUE(decoded->program.closed.consts.at(0).BitEquals(table));
  EXPECT_TRUE(decoded->program.closed.jaxpr->InAvals()[0].weak_type);
  EXPECT_THAT(Print(decoded->program.closed.jaxpr), HasSubstr("mul b 0.1:f32[]"));
  EXPECT_EQ(CanonicalBytes(decoded->program.closed), CanonicalBytes({jaxpr, {table}}));
}

TEST(IrProtoTest, EveryNanKeepsItsBits) {
  for (const uint32_t bits : {0x7fc00000u, 0xffc00000u, 0xff800017u, 0x7fffffffu}) {
    JaxprAssembler out;
    const auto nan = *tensor::Tensor::FromBytes(
        DType::kF32, {}, {reinterpret_cast<const char*>(&bits), sizeof bits});
    out.SetOuts({out.AddLiteral(Literal::FromTensor(nan, /*weak=*/true))});
    const v1::Program proto = Encode(out.Finish());
    const auto decoded = ProgramFromProto(proto, ops::AllOps());
    ASSERT_TRUE(decoded.ok()) << decoded.status().ToString();
    EXPECT_EQ(Encode(decoded->program.closed.jaxpr).SerializeAsString(), proto.SerializeAsString());
    EXPECT_EQ(Print(decoded->program.closed.jaxpr), "{ lambda ; . let  in (nan:f32[],) }");
  }
}

// ---- what is refused ----

struct Damage {
  std::string_view what;
  std::function<void(v1::Program*)> apply;
  std::string_view says;
};

v1::Jaxpr* Main(v1::Program* p) { return p->mutable_jaxprs(static_cast<int>(p->main())); }
v1::NamedParam* ParamOf(v1::Program* p, int eqn, std::string_view name) {
  for (v1::NamedParam& param : *Main(p)->mutable_eqns(eqn)->mutable_params()) {
    if (param.name() == name) return &param;
  }
  ADD_FAILURE() << name;
  return nullptr;
}

TEST(IrProtoTest, WrongStructureIsRefused) {
  const Damage cases[] = {
      {"version", [](auto* p) { p->set_version(2); },
       "program has format version 2, this build reads version 1"},
      {"no jaxprs", [](auto* p) { p->clear_jaxprs(); }, "main is jaxpr 3, which does not exist"},
      {"main", [](auto* p) { p->set_main(4'000'000'000); },
       "main is jaxpr 4000000000, which does not exist"},
      {"constants", [](auto* p) { p->clear_consts(); }, "main has 0 constants, its jaxpr needs 1"},
      {"more constants", [](auto* p) { *p->add_consts() = p->consts(0); },
       "main has 2 constants, its jaxpr needs 1"},
      {"name", [](auto* p) { p->set_fun_name("\xff"); }, "fun_name is not UTF-8"},
      {"a type too many", [](auto* p) { *Main(p)->add_vars() = Main(p)->vars(0); },
       "jaxpr 3: has types for 8 variables but defines 7"},
      {"a type too few", [](auto* p) { Main(p)->mutable_vars()->RemoveLast(); },
       "has types for 6 variables but defines 7"},
      {"counts that wrap",
       [](auto* p) {
         Main(p)->set_num_invars(UINT32_MAX);
         Main(p)->set_num_constvars(4);
       },
       "variables but defines"},
      {"results", [](auto* p) { Main(p)->mutable_eqns(0)->set_num_results(UINT32_MAX); },
       "variables but defines"},
      {"constant values",
       [](auto* p) {
         for (int i = 0; i < 2; ++i) *Main(p)->add_const_values() = p->consts(0);
       },
       "has more constant values than constvars"},
      {"type of a constant",
       [](auto* p) {
         *Main(p)->add_const_values() =
             tensor::TensorToProto(*tensor::Tensor::Create(DType::kI32, {2}));
       },
       "constant 0 is i32[2], its variable f32[2]"},
      {"variable", [](auto* p) { Main(p)->mutable_eqns(0)->mutable_operands(0)->set_var(3); },
       "eqn 0 (reduce_sum): variable 3 is not defined yet"},
      {"output", [](auto* p) { Main(p)->mutable_outs(0)->set_var(UINT32_MAX); },
       "variable 4294967295 is not defined yet"},
      {"no atom", [](auto* p) { Main(p)->mutable_outs(0)->clear_kind(); },
       "operand is neither variable nor literal"},
      {"literal's rank",
       [](auto* p) {
         *Main(p)->mutable_outs(1)->mutable_literal()->mutable_value() =
             tensor::TensorToProto(*tensor::Tensor::Create(DType::kI32, {1}));
       },
       "literal of type i32[1] is no scalar"},
      {"literal's digits",
       [](auto* p) { Main(p)->mutable_outs(1)->mutable_literal()->set_python_value(2); },
       "literal's python_value does not round to its value"},
      {"primitive", [](auto* p) { Main(p)->mutable_eqns(0)->set_primitive("frob\n"); },
       "primitive 'frob\\x0a' is not supported"},
      {"operands", [](auto* p) { Main(p)->mutable_eqns(0)->clear_operands(); },
       "takes 1 operands, got 0"},
      {"parameter", [](auto* p) { ParamOf(p, 0, "axes")->set_name("axis"); },
       "unknown parameter 'axis'"},
      {"parameter's type", [](auto* p) { ParamOf(p, 0, "axes")->mutable_value()->set_text("x"); },
       "parameter 'axes' of reduce_sum"},
      {"parameter without value", [](auto* p) { ParamOf(p, 0, "axes")->clear_value(); },
       "a parameter has no value that this build knows"},
      {"parameter twice",
       [](auto* p) { *Main(p)->mutable_eqns(0)->add_params() = Main(p)->eqns(0).params(0); },
       "parameters are not sorted by name"},
      {"dtype", [](auto* p) { ParamOf(p, 2, "new_dtype")->mutable_value()->set_dtype("int33"); },
       "unknown dtype 'int33'"},
      {"text", [](auto* p) { ParamOf(p, 1, "name")->mutable_value()->set_text("\xff"); },
       "parameter text is not UTF-8"},
      {"named tuple",
       [](auto* p) {
         ParamOf(p, 0, "axes")->mutable_value()->mutable_named_tuple()->add_fields("x");
       },
       "named tuple has 1 fields and 0 elements"},
      {"jaxpr of itself", [](auto* p) { ParamOf(p, 1, "jaxpr")->mutable_value()->set_jaxpr(3); },
       "refers to jaxpr 3, which is not defined before it"},
      {"jaxpr further on",
       [](auto* p) {
         *p->add_jaxprs() = p->jaxprs(0);
         ParamOf(p, 1, "jaxpr")->mutable_value()->set_jaxpr(4);
       },
       "refers to jaxpr 4, which is not defined before it"},
      {"rule", [](auto* p) { ParamOf(p, 1, "name")->mutable_value()->set_custom_rule(0); },
       "refers to rule 0, which does not exist"},
      {"rule without kind", [](auto* p) { p->add_rules(); },
       "rule 0: is of no kind that this build knows"},
      {"rule's jaxpr", [](auto* p) { p->add_rules()->mutable_jvp()->mutable_jvp()->set_jaxpr(9); },
       "rule 0: jvp is jaxpr 9, which does not exist"},
      {"dims", [](auto* p) { Main(p)->mutable_vars(1)->set_dims(0, -1); }, "jaxpr 3"},
  };
  for (const Damage& c : cases) {
    v1::Program proto = Encode(kSmall);
    ASSERT_EQ(proto.main(), 3u);
    ASSERT_EQ(ErrorOf(proto), "no error");
    c.apply(&proto);
    EXPECT_THAT(ErrorOf(proto), HasSubstr(c.says)) << c.what;
  }
}

// Whatever bytes decode, encode again to themselves, or are refused cleanly.
TEST(IrProtoTest, EveryBeginningAndEveryFlippedBitIsReadOrRefused) {
  const std::string bytes = Encode(kSmall).SerializeAsString();
  google::protobuf::LogSilencer quiet;
  const auto feed = [](const std::string& damaged) {
    v1::Program proto;
    if (!proto.ParseFromString(damaged)) return;
    const auto decoded = ProgramFromProto(proto, ops::AllOps());
    if (!decoded.ok()) {
      EXPECT_NE(decoded.status().code(), Code::kInternal) << decoded.status().ToString();
      return;
    }
    EXPECT_FALSE(PrintWithin(1 << 20, decoded->program.closed.jaxpr).status().code() ==
                 Code::kInternal);
  };
  for (size_t n = 0; n < bytes.size(); ++n) feed(bytes.substr(0, n));
  for (size_t at = 0; at < bytes.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = bytes;
      damaged[at] = static_cast<char>(damaged[at] ^ (1 << bit));
      feed(damaged);
    }
  }
}

// ---- limits ----

// Each jaxpr calls the one before it `calls` times.
v1::Program Tower(int levels, int calls) {
  v1::Program proto = Encode(
      "{ lambda ; a:f32[]. let b:f32[] = jit[name=f jaxpr={ lambda ; c:f32[]. let d:f32[] = sin c "
      "in (d,) }] a in (b,) }");
  const v1::Jaxpr one = proto.jaxprs(1);
  proto.mutable_jaxprs()->RemoveLast();
  for (int level = 1; level < levels; ++level) {
    v1::Jaxpr& jaxpr = *proto.add_jaxprs();
    jaxpr = one;
    while (jaxpr.eqns_size() < calls) {
      *jaxpr.add_eqns() = one.eqns(0);
      *jaxpr.add_vars() = one.vars(1);
    }
    for (v1::Eqn& eqn : *jaxpr.mutable_eqns()) {
      for (v1::NamedParam& p : *eqn.mutable_params()) {
        if (p.name() == "jaxpr") p.mutable_value()->set_jaxpr(static_cast<uint32_t>(level - 1));
      }
    }
  }
  proto.set_main(static_cast<uint32_t>(levels - 1));
  return proto;
}

TEST(IrProtoTest, NestingIsLimited) {
  EXPECT_EQ(ErrorOf(Tower(100, 1)), "no error");
  EXPECT_THAT(ErrorOf(Tower(101, 1)),
              HasSubstr("jaxpr 100: jaxprs are nested deeper than 100 levels (limit max_depth)"));
  EXPECT_THAT(ErrorOf(Tower(20'000, 1)), HasSubstr("(limit max_depth)"));
}

TEST(IrProtoTest, EquationsAndRulesAreLimited) {
  EXPECT_THAT(ErrorOf(Tower(3, 5), {.max_eqns = 10}),
              HasSubstr("program has more than 10 equations (limit max_eqns)"));
  v1::Program proto = Encode(kSmall);
  for (int i = 0; i < 3; ++i) proto.add_rules();
  EXPECT_THAT(ErrorOf(proto, {.max_rules = 2}),
              HasSubstr("program has 3 custom rules, the limit max_rules is 2"));
}

TEST(IrProtoTest, TuplesAreLimited) {
  v1::Program proto = Encode(kSmall);
  v1::Param* value = ParamOf(&proto, 0, "axes")->mutable_value();
  for (int i = 0; i < 40; ++i) value = value->mutable_tuple()->add_elements();
  value->set_none(true);
  EXPECT_THAT(ErrorOf(proto),
              HasSubstr("a parameter is nested deeper than 32 levels (limit max_value_depth)"));
}

// 2^90 calls in a few kilobytes: everything that walks a program must meet each jaxpr a bounded
// number of times.
TEST(IrProtoTest, SharingDoesNotMultiplyTheWork) {
  const v1::Program proto = Tower(90, 2);
  const auto decoded = ProgramFromProto(proto, ops::AllOps());
  ASSERT_TRUE(decoded.ok()) << decoded.status().ToString();
  EXPECT_EQ(Encode(decoded->program.closed.jaxpr).SerializeAsString(), proto.SerializeAsString());
  EXPECT_EQ(PrintWithin(1 << 20, decoded->program.closed.jaxpr).status().code(),
            Code::kResourceExhausted);
  EXPECT_TRUE(SameDag(*decoded->program.closed.jaxpr, *decoded->program.closed.jaxpr));
  EXPECT_LT(CanonicalBytes(decoded->program.closed).size(), 1'000'000u);
  pipeline::Source source;
  source.jaxpr = decoded->program.closed.jaxpr;
  const auto program = pipeline::Load(source);
  ASSERT_TRUE(program.ok()) << program.status().ToString();
  for (const std::string_view name :
       {"jit", "grad", "jvp", "vmap", "checkpoint", "linearize", "hessian"}) {
    pipeline::Transform t{.name = std::string(name)};
    t.axis_size = 3;
    const auto traced = pipeline::Apply(*program, {t});
    EXPECT_TRUE(traced.ok()) << name << ": " << traced.status().ToString();
    EXPECT_TRUE(traced.ok() && pipeline::LowerToStablehlo(traced->program).ok()) << name;
  }
}

}  // namespace
}  // namespace megalith::ir
