// trace, compile, run and bench, with fake engines for what is the command's own and with the real
// ones end to end.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "clients/cli/array_spec.h"
#include "clients/cli/command.h"
#include "common/fleet/cache/fleet_key.h"
#include "common/foundation/base/sha256.h"
#include "common/foundation/base/strings.h"
#include "common/foundation/tensor/npy.h"
#include "common/programs/pipeline/transform.h"
#include "services/allinone/engines.h"
#include "tests/support/cli_fixture.h"

namespace megalith::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kSine[] =
    "{ lambda ; a:f32[3]. let\n    b:f32[3] = sin a\n    c:f32[] = reduce_sum[axes=(0,) "
    "out_sharding=None] b\n"
    "  in (c,) }\n";

class FakeCommandsTest : public CliTest {};

TEST_F(FakeCommandsTest, TracePrintsTheProgramAloneOnStandardOutput) {
  const std::string program = WriteFile("p", "mul 2 3");
  ASSERT_EQ(Run({"trace", program}), 0) << Err();
  EXPECT_EQ(Out(), "mul 2 3\n");
  EXPECT_THAT(Err(), AllOf(HasSubstr("key "), HasSubstr("step     fake: 1 -> 1 equations")));
  ASSERT_EQ(Run({"trace", program, "--quiet"}), 0);
  EXPECT_EQ(Err(), "");
  SetInput("mul 4 5");
  ASSERT_EQ(Run({"trace", "-", "--emit=stablehlo"}), 0) << Err();
  EXPECT_EQ(Out(), "mul 4 5\n");
}

TEST_F(FakeCommandsTest, TraceWritesFilesAndJson) {
  const std::string program = WriteFile("p", "mul 2 3");
  const std::string out = JoinPath(files_.path(), "out");
  ASSERT_EQ(Run({"trace", program, "-o", out}), 0) << Err();
  EXPECT_EQ(*RealFileSystem().Read(out), "mul 2 3\n");
  EXPECT_THAT(Out(), HasSubstr("wrote    " + out));
  ASSERT_EQ(Run({"trace", program, program, "--json"}), 0) << Err();
  ASSERT_EQ(OutJson()["programs"].size(), 2u);
  EXPECT_EQ(OutJson()["programs"][1]["content"], "mul 2 3");
  EXPECT_EQ(OutJson()["programs"][0]["steps"][0]["eqns_out"], 1);
  EXPECT_EQ(Run({"trace", program, program, "-o", out}), 3);
  EXPECT_THAT(Err(), HasSubstr("flag --out takes one program, got 2"));
}

TEST_F(FakeCommandsTest, WrongProgramsAreNamed) {
  EXPECT_EQ(Run({"trace", "/nonexistent"}), 4);
  EXPECT_THAT(Err(), HasSubstr("program '/nonexistent'"));
  EXPECT_EQ(Run({"trace", WriteFile("empty", " \n")}), 3);
  EXPECT_THAT(Err(), HasSubstr("is empty"));
  EXPECT_EQ(Run({"trace", WriteFile("binary", "{ \xff")}), 3);
  EXPECT_THAT(Err(), HasSubstr("byte 2 is not UTF-8"));
  EXPECT_EQ(Run({"trace", WriteFile("bad", "oops")}), 3);
  EXPECT_THAT(Err(), HasSubstr("line 2, column 5: no such word 'oops'"));
  EXPECT_EQ(Run({"trace", std::string(64, 'a')}), 3);
  EXPECT_THAT(Err(), HasSubstr("is a key; trace takes jaxprs and StableHLO"));
  EXPECT_EQ(Run({"compile", WriteFile("m.mlir", "mul 2 3"), "--const", "1"}), 3);
  EXPECT_THAT(Err(), HasSubstr("flag --const needs a jaxpr"));
  EXPECT_EQ(Run({"compile", std::string(64, 'a')}), 3);
}

TEST_F(FakeCommandsTest, WrongFlagsAreNamed) {
  const std::string program = WriteFile("p", "mul 2 3");
  EXPECT_EQ(Run({"trace", program, "--transform", "gard"}), 3);
  EXPECT_THAT(
      Err(),
      HasSubstr("--transform 'gard': column 1: unknown transform 'gard'; did you mean 'grad'?"));
  EXPECT_EQ(Run({"trace", program, "--transform", "vmap:in_axes=0,x"}), 3);
  EXPECT_THAT(Err(), HasSubstr("column 16: expects an axis or None, got 'x'"));
  EXPECT_EQ(Run({"trace", program, "--arg-type", "q7[2]"}), 3);
  EXPECT_THAT(Err(), HasSubstr("--arg_type: type 'q7[2]'"));
  EXPECT_EQ(Run({"trace", program, "--emit", "hlo"}), 2);
  EXPECT_EQ(Run({"trace", program, "-x"}), 2);
  EXPECT_THAT(Err(), HasSubstr("has no flag -x"));
  EXPECT_EQ(Run({"trace", program, "--trace_option", "a"}), 3);
  EXPECT_THAT(Err(), HasSubstr("expects NAME=TEXT"));
  EXPECT_EQ(Run({"trace", program, "--trace_option", "a=1"}), 3);
  EXPECT_THAT(Err(), HasSubstr("unknown option 'a'"));
  EXPECT_EQ(Run({"trace", program, "--trace_option", "a=1", "--policy", "hardened"}), 0) << Err();
  EXPECT_EQ(Run({"trace", program, "--rule", WriteFile("r.json", "[{\"kind\":\"custom\"}]")}), 3);
  EXPECT_THAT(Err(), HasSubstr("rule 0: field 'kind' is custom_jvp or custom_vjp, got 'custom'"));
  EXPECT_EQ(Run({"run", program, "--repeat", "0"}), 3);
  EXPECT_EQ(Run({"bench", program, "--seconds", "never"}), 3);
}

TEST_F(FakeCommandsTest, ScrubRepairsPackagesAndWhatItPutsAsideIsCompiledAgain) {
  const std::string module = WriteFile("m.mlir", "mul 2 3");
  ASSERT_EQ(Run({"compile", module, "--json"}), 0) << Err();
  const std::string key = OutJson()["key"];
  ASSERT_EQ(Run({"cache", "scrub", "--json"}), 0) << Err();
  EXPECT_EQ(OutJson()["entries_done"], 1);
  const auto path = [&](const char* folder) {
    return StrCat(data_.path(), "/cache/", folder, "/", key.substr(0, 2), "/", key);
  };
  const std::string whole = *RealFileSystem().Read(path("objects"));
  std::string damaged = whole;
  damaged.replace(50, 40, 40, '!');
  ASSERT_TRUE(RealFileSystem().WriteAtomically(path("objects"), damaged).ok());
  ASSERT_EQ(Run({"cache", "scrub", "--rate", "100000000"}, /*terminal=*/true), 0) << Err();
  EXPECT_THAT(Out(), AllOf(HasSubstr("repaired 1"), HasSubstr(StrCat("repaired ", key)),
                           HasSubstr(Sha256::Of(whole).Hex())));
  EXPECT_EQ(*RealFileSystem().Read(path("objects")), whole);
  ASSERT_EQ(Run({"compile", module, "--json"}), 0);
  EXPECT_EQ(OutJson()["cache"], "hit");

  ASSERT_TRUE(RealFileSystem().WriteAtomically(path("objects"), damaged).ok());
  ASSERT_TRUE(RealFileSystem().Truncate(path("sidecars"), 100).ok());
  ASSERT_EQ(Run({"cache", "scrub", "--json"}), 0) << Err();
  EXPECT_EQ(OutJson()["quarantined"], 1);
  EXPECT_EQ(OutJson()["proofs"][0]["key"], key);
  EXPECT_EQ(*RealFileSystem().Read(OutJson()["proofs"][0]["quarantine_file"]), damaged);
  const int compilations = world_.compilations.load();
  ASSERT_EQ(Run({"compile", module, "--json"}), 0) << Err();
  EXPECT_EQ(OutJson()["cache"], "miss");
  EXPECT_EQ(world_.compilations.load(), compilations + 1);
  ASSERT_EQ(Run({"ledger", "query", "--kind", "repair", "--json"}), 0);
  EXPECT_EQ(OutJson()["entries"][0]["decision"], "repair entry");
  EXPECT_EQ(OutJson()["entries"][1]["decision"], "quarantine entry");
}

TEST_F(FakeCommandsTest, ScrubIsControlledByOneFlagAtATime) {
  ASSERT_EQ(Run({"cache", "scrub", "--status", "--json"}), 0) << Err();
  EXPECT_EQ(OutJson()["state"], "idle");
  EXPECT_EQ(OutJson()["pass"], 0);
  EXPECT_EQ(Run({"cache", "scrub", "--pause"}), 0);
  EXPECT_EQ(Run({"cache", "scrub", "--pause", "--stop"}), 3);
  EXPECT_THAT(Err(), HasSubstr("give one of --status"));
  EXPECT_EQ(Run({"cache", "scrub", "--rate", "0"}), 3);
}

TEST_F(FakeCommandsTest, CompileTellsTheKeyAndWhetherItWasCached) {
  const std::string module = WriteFile("m.mlir", "mul 2 3");
  ASSERT_EQ(Run({"compile", module, "--json"}), 0) << Err();
  EXPECT_EQ(OutJson()["cache"], "miss");
  EXPECT_EQ(OutJson()["inputs"][0]["shape"], Json::array({3}));
  const std::string key = OutJson()["key"];
  const std::string package = JoinPath(files_.path(), "package");
  ASSERT_EQ(Run({"compile", module, "-o", package}, /*terminal=*/true), 0) << Err();
  EXPECT_THAT(Out(), AllOf(HasSubstr(key), HasSubstr("hit"), HasSubstr("(f32[3]) -> (f32[3])")));
  EXPECT_THAT(Err(), HasSubstr("lookup"));
  EXPECT_EQ(cache::WithoutSeal(*RealFileSystem().Read(package)), "package mul 2 3");
  ASSERT_EQ(Run({"compile", module, "--ignore_cache", "--json"}), 0);
  EXPECT_EQ(OutJson()["cache"], "ignored");
  ASSERT_EQ(Run({"compile", module, "--option", "a=1", "--json"}), 0) << Err();
  EXPECT_NE(OutJson()["key"], key);
}

TEST_F(FakeCommandsTest, RunTakesArraysAndGivesArrays) {
  const std::string program = WriteFile("p", "mul 2 3");
  ASSERT_EQ(Run({"run", program, "--arg", "f32[3]:iota"}), 0) << Err();
  EXPECT_EQ(Out(), "# 0: f32[3]\n[0. 2. 4.]\n");
  const std::string out = JoinPath(files_.path(), "out.npz");
  ASSERT_EQ(Run({"run", program, "--arg", "[1.5,2,3]", "-o", out}), 0) << Err();
  EXPECT_EQ(Out(), "");
  ASSERT_EQ(Run({"run", program, "--arg", out + ":arr_0", "--json"}), 0) << Err();
  EXPECT_EQ(OutJson()["results"][0]["values"], Json::array({6.0, 8.0, 12.0}));
  const std::string key = OutJson()["key"];
  ASSERT_EQ(Run({"run", key, "--arg", out, "--repeat", "5", "--json"}), 0) << Err();
  EXPECT_EQ(OutJson()["repeat"]["count"], 4);
  EXPECT_EQ(Run({"run", key, "--arg", "f32[4]:iota"}), 3);
  EXPECT_THAT(Err(), HasSubstr("argument 0 expects f32[3], got f32[4]"));
  EXPECT_EQ(Run({"run", key, "--arg", "i32[3]:iota"}), 3);
  EXPECT_THAT(Err(), HasSubstr("argument 0 expects f32[3], got i32[3]"));
  EXPECT_EQ(Run({"run", std::string(64, '0'), "--arg", "1"}), 4);
  const std::string bytes = *tensor::EncodeNpy(tensor::Tensor::Scalar(tensor::DType::kF32, 1.0));
  EXPECT_EQ(Run({"run", key, "--arg", WriteFile("short.npy", bytes.substr(0, bytes.size() - 2))}),
            3);
  EXPECT_THAT(Err(), HasSubstr("short.npy'"));
  EXPECT_EQ(Run({"run", program, "--arg", "f32[3]:iota", "-o", JoinPath(files_.path(), "out.txt")}),
            3);
}

TEST_F(FakeCommandsTest, RunExplainsFromTheLedger) {
  const std::string program = WriteFile("p", "mul 2 3");
  ASSERT_EQ(Run({"run", program, "--arg", "f32[3]:ones", "--explain", "--json"}), 0) << Err();
  std::vector<std::string> decisions;
  const Json ledger = OutJson()["explain"]["ledger"];
  for (const Json& e : ledger)
    decisions.push_back(
        StrCat(e["service"].get<std::string>(), " ", e["decision"].get<std::string>()));
  EXPECT_THAT(decisions, ::testing::ElementsAre("trace trace", "cache store", "compile miss",
                                                "execute load", "execute run"));
  ASSERT_EQ(Run({"run", program, "--arg", "f32[3]:ones", "--explain"}), 0);
  EXPECT_THAT(Err(), AllOf(HasSubstr("compile"), HasSubstr("hit")));
}

TEST_F(FakeCommandsTest, LargeArgumentsTravelAsBuffers) {
  const std::string program = WriteFile("p", "mul 2 5000000");
  ASSERT_EQ(Run({"run", program, "--arg", "f32[5000000]:ones", "--json"}), 0) << Err();
  EXPECT_EQ(OutJson()["results"][0]["shape"], Json::array({5000000}));
  EXPECT_FALSE(OutJson()["results"][0].contains("values"));
  const std::string large = WriteFile("large", "mul 3 20000000");
  ASSERT_EQ(Run({"run", large, "--arg", "f32[20000000]:ones"}), 0) << Err();
  EXPECT_EQ(Out(), "# 0: f32[20000000]\n[3. 3. 3. ... 3. 3. 3.]\n");
}

TEST_F(FakeCommandsTest, BenchMeasuresEveryPhase) {
  const std::string program = WriteFile("p", "mul 2 3");
  ASSERT_EQ(Run({"bench", program, "--seconds", "0.02", "--concurrency", "3", "--json"}), 0)
      << Err();
  std::vector<std::string> phases;
  const Json document = OutJson();
  for (const Json& p : document["phases"]) {
    phases.push_back(StrCat(p["phase"].get<std::string>(), " ", p["cache"].get<std::string>(), " ",
                            p["callers"].get<int>()));
    EXPECT_EQ(p["errors"], 0);
    EXPECT_GT(p["calls_per_second"], 0);
    EXPECT_LE(p["latency"]["p50"], p["latency"]["p99"]);
  }
  EXPECT_THAT(phases, ::testing::ElementsAre("trace cold 1", "trace warm 3", "compile cold 1",
                                             "compile warm 3", "execute cold 1", "execute warm 3"));
  ASSERT_EQ(Run({"bench", document["key"].get<std::string>(), "--seconds", "0.01"}), 0) << Err();
  EXPECT_THAT(Out(), AllOf(HasSubstr("execute  warm"), Not(HasSubstr("compile"))));
}

TEST_F(FakeCommandsTest, CancellingEndsALongCompilation) {
  Cancellation interrupt;
  std::jthread user([&interrupt] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    interrupt.Cancel();
  });
  std::ostringstream out;
  std::ostringstream err;
  const std::vector<std::string> words = {"compile", WriteFile("slow.mlir", "slow 1")};
  EXPECT_EQ(RunCli(words, {.out = &out,
                           .err = &err,
                           .files = &RealFileSystem(),
                           .cancellation = &interrupt,
                           .engines = testing::FakeEngines(&world_),
                           .commands = AllCommands()}),
            5);
  EXPECT_EQ(err.str(), "megalithctl: cancelled\n");
}

TEST_F(FakeCommandsTest, HelpHasExamplesOfEveryProgramCommand) {
  with_data_ = false;
  for (const char* command : {"trace", "compile", "run", "bench"}) {
    ASSERT_EQ(Run({command, "--help"}), 0);
    EXPECT_THAT(Out(), AllOf(HasSubstr("Examples:\n  megalithctl "), HasSubstr("--transform=T")));
  }
}

TEST_F(FakeCommandsTest, ProfileIsATableAndATrace) {
  const std::string program = WriteFile("p", "mul 2 2");
  const std::string file = JoinPath(files_.path(), "trace.json");
  ASSERT_EQ(Run({"run", program, "--arg", "f32[2]:ones", "--profile", file}), 0) << Err();
  EXPECT_THAT(Out(), AllOf(HasSubstr("[2. 2.]"), HasSubstr("kernel  kind  tier  calls")));
  EXPECT_THAT(Err(), HasSubstr("wrote    " + file));
  EXPECT_EQ(world_.runs.load(), 2);
  const Json trace = Json::parse(*RealFileSystem().Read(file));
  std::vector<std::string> tracks;
  for (const Json& e : trace["traceEvents"]) {
    if (e["name"] == "thread_name") tracks.push_back(e["args"]["name"]);
    if (e["ph"] != "X") continue;
    EXPECT_EQ(e["name"], "mul");
    EXPECT_EQ(e["tid"], 1);
    EXPECT_DOUBLE_EQ(e["ts"], 0.01);
    EXPECT_DOUBLE_EQ(e["dur"], 0.01);
    EXPECT_EQ(e["args"]["bytes"], 8);
  }
  EXPECT_THAT(tracks, ::testing::ElementsAre("run", "helper 1"));
  ASSERT_EQ(Run({"run", program, "--arg", "f32[2]:ones", "--profile", file, "--json"}), 0) << Err();
  EXPECT_EQ(OutJson()["profile"]["kernels"][0]["calls"], 1);
}

class RealCommandsTest : public CliTest {
 protected:
  services::Engines Engines() override { return services::RealEngines(); }
};

TEST_F(RealCommandsTest, GradientsComeOutAsJaxWritesThem) {
  const std::string program = WriteFile("f.jaxpr", kSine);
  ASSERT_EQ(Run({"trace", program, "--transform", "grad"}), 0) << Err();
  EXPECT_EQ(Out(),
            "{ lambda ; a:f32[3]. let\n    b:f32[3] = sin a\n    c:f32[3] = cos a\n"
            "    _:f32[] = reduce_sum[axes=(0,) out_sharding=None] b\n    d:f32[3] = "
            "broadcast_in_dim 1.0:f32[]\n"
            "    e:f32[3] = mul d c\n  in (e,) }\n");
  ASSERT_EQ(Run({"run", program, "--transform", "grad", "--arg", "f32[3]:zeros"}), 0) << Err();
  EXPECT_EQ(Out(), "# 0: f32[3]\n[1. 1. 1.]\n");
  ASSERT_EQ(
      Run({"run", program, "--transform", "vmap:in_axes=1", "--arg", "f32[3,2]:zeros", "--json"}),
      0)
      << Err();
  EXPECT_EQ(OutJson()["results"][0]["values"], Json::array({0.0, 0.0}));
}

TEST_F(RealCommandsTest, EveryTransformReachesTheService) {
  const std::string program = WriteFile("f.jaxpr", kSine);
  for (const std::string_view name : pipeline::TransformNames()) {
    const bool needs_primals = name == "vjp" || name == "linear_transpose";
    const std::string text = needs_primals ? StrCat(name, ":num_primals=1") : std::string(name);
    const int exit_code = Run({"trace", program, "--transform", text, "--json", "--arg-type",
                               "f32[3]", "--arg-type", "f32[3]"});
    // Most take one argument; what matters is that none is unknown.
    EXPECT_THAT(Err(),
                AllOf(Not(HasSubstr("none that this build knows")), Not(HasSubstr("unknown"))))
        << text;
    EXPECT_TRUE(exit_code == 0 || exit_code == 3) << text << Err();
  }
}

TEST_F(RealCommandsTest, ProgramsTravelAsBytes) {
  const std::string bytes = JoinPath(files_.path(), "f.pb");
  ASSERT_EQ(Run({"trace", WriteFile("f.jaxpr", kSine), "--emit", "proto", "-o", bytes}), 0)
      << Err();
  ASSERT_EQ(Run({"run", bytes, "--transform", "grad", "--arg", "f32[3]:zeros"}), 0) << Err();
  EXPECT_EQ(Out(), "# 0: f32[3]\n[1. 1. 1.]\n");
}

TEST_F(RealCommandsTest, ModulesArePipedOn) {
  ASSERT_EQ(Run({"trace", WriteFile("f.jaxpr", kSine), "--emit", "stablehlo"}), 0) << Err();
  SetInput(Out());
  ASSERT_EQ(Run({"run", "-", "--arg", "f32[3]:zeros"}), 0) << Err();
  EXPECT_EQ(Out(), "# 0: f32[]\n0.0\n");
}

TEST_F(RealCommandsTest, ModulesAreConverted) {
  const std::string text = WriteFile("f.mlir", R"(
module {
  func.func public @main(%x: tensor<3xf32>) -> tensor<3xf32> {
    %r = stablehlo.tanh %x : tensor<3xf32>
    return %r : tensor<3xf32>
  }
})");
  with_data_ = false;
  ASSERT_EQ(Run({"convert", text}), 0) << Err();
  const std::string newest = WriteFile("f.mlirbc", Out());
  EXPECT_TRUE(Out().starts_with("ML\xefR"));
  ASSERT_EQ(Run({"convert", newest}), 0) << Err();
  const std::string again = Out();
  EXPECT_THAT(again, HasSubstr("stablehlo.tanh %arg0 : tensor<3xf32>"));
  // A version asks for an artifact, whatever comes in.
  ASSERT_EQ(Run({"convert", newest, "--version", "1.0.0"}), 0) << Err();
  EXPECT_THAT(Out(), HasSubstr("StableHLO_v1.0.0"));
  const std::string old = WriteFile("old.mlirbc", Out());
  ASSERT_EQ(Run({"convert", old}), 0) << Err();
  EXPECT_EQ(Out(), again);
  EXPECT_EQ(Run({"convert", text, "--version", "1.0.0", "--emit", "text"}), 3);
  EXPECT_THAT(Err(), HasSubstr("--version is of artifacts"));
  EXPECT_EQ(Run({"convert", text, "--version", "99.0.0"}), 3);
  EXPECT_EQ(Run({"convert", WriteFile("cut", std::string("ML\xefR\x0d", 5))}), 3);
}

// As in JAX a number has no type of its own.
TEST_F(RealCommandsTest, NumbersTakeTheTypesOfTheProgram) {
  const std::string half = WriteFile("half.mlir", R"(
module {
  func.func public @main(%x: tensor<f32>, %y: tensor<f64>) -> (tensor<f32>, tensor<f64>) {
    return %x, %y : tensor<f32>, tensor<f64>
  }
})");
  ASSERT_EQ(Run({"run", half, "--arg", "1", "--arg", "0.1", "--json"}), 0) << Err();
  EXPECT_EQ(OutJson()["results"][0]["dtype"], "f32");
  EXPECT_EQ(OutJson()["results"][0]["values"], 1.0);
  EXPECT_EQ(OutJson()["results"][1]["values"], 0.1);  // all its digits
  const std::string key = OutJson()["key"];
  ASSERT_EQ(Run({"run", key, "--arg", "2", "--arg", "3", "--repeat", "3"}), 0) << Err();
  EXPECT_EQ(Out(), "# 0: f32[]\n2.0\n# 1: f64[]\n3.0\n");
  const std::string sine =
      WriteFile("sine.jaxpr", "{ lambda ; a:f32[]. let b:f32[] = sin a in (b,) }");
  ASSERT_EQ(Run({"run", sine, "--arg", "0"}), 0) << Err();
  EXPECT_EQ(Out(), "# 0: f32[]\n0.0\n");
  ASSERT_EQ(Run({"run", sine, "--arg", "0", "--transform", "grad"}), 0) << Err();
  EXPECT_EQ(Out(), "# 0: f32[]\n1.0\n");
}

TEST_F(RealCommandsTest, NumbersWithATypeKeepIt) {
  const std::string sine = WriteFile("sine.mlir", R"(
module {
  func.func public @main(%x: tensor<f32>) -> tensor<f32> {
    %r = stablehlo.sine %x : tensor<f32>
    return %r : tensor<f32>
  }
})");
  EXPECT_EQ(Run({"run", sine, "--arg", "i32[]:1"}), 3);
  EXPECT_THAT(Err(), HasSubstr("argument 0 expects f32[], got i32[]"));
  const std::string byte = WriteFile("byte.mlir", R"(
module {
  func.func public @main(%x: tensor<i8>) -> tensor<i8> {
    return %x : tensor<i8>
  }
})");
  EXPECT_EQ(Run({"run", byte, "--arg", "300"}), 3);
  EXPECT_THAT(Err(), HasSubstr("the number 300 does not fit i8"));
  EXPECT_EQ(Run({"run", byte, "--arg", "1.0"}), 3);
  EXPECT_THAT(Err(), HasSubstr("argument 0 expects i8[], got f64[]"));
}

TEST_F(RealCommandsTest, ConstantsAndRulesAreAttached) {
  const std::string constant =
      WriteFile("c.jaxpr", "{ lambda a:f32[2]; b:f32[2]. let c:f32[2] = mul a b in (c,) }");
  ASSERT_EQ(Run({"run", constant, "--const", "f32[2]:[2,3]", "--arg", "f32[2]:ones"}), 0) << Err();
  EXPECT_EQ(Out(), "# 0: f32[2]\n[2. 3.]\n");
  const std::string custom = WriteFile(
      "r.jaxpr",
      "{ lambda ; a:f32[]. let b:f32[] = custom_vjp_call[\n    name=cv\n    bwd=<lambda>\n"
      "    call_jaxpr={ lambda ; c:f32[]. let d:f32[] = sin c in (d,) }\n    fwd=<lambda>\n    "
      "symbolic_zeros=False\n  ] a in (b,) }");
  const std::string rule = WriteFile("rule.json", R"([{"kind": "custom_vjp", "name": "cv",
      "fwd_jaxpr": "{ lambda ; a:f32[]. let b:f32[] = sin a in (b,) }", "fwd_consts": [], "num_res": 1, "input_fwds": [0],
      "bwd_jaxpr": "{ lambda ; a:f32[] b:f32[]. let c:f32[] = mul b 10.0:f32[] in (c,) }", "bwd_consts": [], "bwd_zeros": [false]}])");
  ASSERT_EQ(Run({"run", custom, "--rule", rule, "--transform", "grad", "--arg", "f32:1.0"}), 0)
      << Err();
  EXPECT_EQ(Out(), "# 0: f32[]\n10.0\n");
}

TEST_F(RealCommandsTest, KeysAreExplained) {
  const std::string program = WriteFile("f.jaxpr", kSine);
  const auto compile = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"compile", program, "--json"});
    EXPECT_EQ(Run(more), 0) << Err();
    return OutJson()["key"].get<std::string>();
  };
  const std::string plain = compile({});
  const std::string grad = compile({"--transform", "grad"});
  EXPECT_EQ(compile({"--fun_name", "other"}), plain);
  ASSERT_EQ(Run({"cache", "explain", plain, grad, "--json"}), 0) << Err();
  ASSERT_EQ(OutJson()["differences"].size(), 1u);
  EXPECT_EQ(OutJson()["differences"][0]["name"], "program");
  ASSERT_EQ(Run({"cache", "explain", plain, plain}), 0);
  EXPECT_EQ(Trim(Out()), "the keys are equal");

  ASSERT_EQ(Run({"trace", program, "--json"}), 0);
  const std::string left = WriteFile("left.json", Out());
  ASSERT_EQ(Run({"trace", program, "--transform", "grad", "--json"}), 0);
  const std::string right = WriteFile("right.json", Out());
  ASSERT_EQ(Run({"cache", "explain", left, right}), 0) << Err();
  EXPECT_THAT(Out(),
              AllOf(HasSubstr("transforms"), HasSubstr("grad(argnums=0)"), Not(HasSubstr("x64"))));
  EXPECT_EQ(Run({"cache", "explain", left, program}), 3);
  EXPECT_THAT(Err(), HasSubstr("neither a key nor the --json answer"));
}

TEST_F(RealCommandsTest, UnknownCompilerOptionsAreRefusedOrPartOfTheKey) {
  const std::string program = WriteFile("f.jaxpr", kSine);
  EXPECT_EQ(Run({"compile", program, "--option", "fast=1"}), 3);
  EXPECT_THAT(Err(), HasSubstr("backend cpu has no option 'fast'; policy is strict"));
  ASSERT_EQ(Run({"compile", program, "--json"}), 0) << Err();
  const std::string plain = OutJson()["key"];
  ASSERT_EQ(Run({"compile", program, "--option", "fast=1", "--policy", "hardened", "--json"}), 0)
      << Err();
  const std::string hardened = OutJson()["key"];
  ASSERT_EQ(Run({"cache", "explain", plain, hardened, "--json"}), 0);
  EXPECT_EQ(OutJson()["differences"][0]["right"]["text"], "fast=1\n");
  // The entry is there now; a strict caller does not get it all the same.
  EXPECT_EQ(Run({"compile", program, "--option", "fast=1"}), 3);
}

}  // namespace
}  // namespace megalith::cli
