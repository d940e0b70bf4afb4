// What clients can make a fleet run: programs, and nothing else. Hostile packages through the cache
// and through sessions, on the real engines.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/fleet/cache/fleet_key.h"
#include "common/fleet/rpc/channel.h"
#include "common/fleet/stubs/cache_client.h"
#include "common/fleet/stubs/program_clients.h"
#include "common/foundation/base/strings.h"
#include "common/foundation/tensor/tensor_proto.h"
#include "common/machines/runtime/cpu/code_image.h"
#include "common/machines/runtime/package.h"
#include "megalith/compile/v1/compile.pb.h"
#include "megalith/execute/v1/execute.pb.h"
#include "services/allinone/engines.h"

namespace megalith::services {
namespace {

using runtime::Package;
using tensor::DType;
using tensor::Tensor;
using ::testing::Each;
using ::testing::HasSubstr;

using SessionCall = rpc::Stream<execute::v1::SessionRequest, execute::v1::SessionResponse>;

std::string Program(std::string_view operation) {
  return StrCat(R"(
module {
  func.func public @main(%x: tensor<4xf32>) -> tensor<4xf32> {
    %r = stablehlo.)",
                operation, R"( %x, %x : tensor<4xf32>
    return %r : tensor<4xf32>
  }
})");
}

Tensor Threes() {
  Tensor t = *Tensor::Create(DType::kF32, {4});
  for (int64_t i = 0; i < t.size(); ++i) t.SetDouble(i, 3);
  return t;
}

std::vector<double> Values(const Tensor& t) {
  std::vector<double> out;
  for (int64_t i = 0; i < t.size(); ++i) out.push_back(t.DoubleAt(i));
  return out;
}

class TrustTest : public ::testing::Test {
 protected:
  void SetUp() override { Start(/*seal=*/true); }
  void Start(bool seal) {
    fleet_.reset();
    EmbeddedFleet::Options options;
    options.process.listen.clear();
    options.data_directory = directory_.path();
    options.seal_packages = seal;
    auto fleet = EmbeddedFleet::Start(std::move(options), RealEngines());
    ASSERT_TRUE(fleet.ok()) << fleet.status().ToString();
    fleet_ = *std::move(fleet);
  }

  compile::v1::CompileResult Compile(const std::string& text, bool with_package = true) {
    compile::v1::CompileRequest request;
    request.set_stablehlo_text(text);
    request.set_return_package(with_package);
    request.mutable_options()->set_target("cpu");
    (*request.mutable_options()->mutable_extra())["tier"] = "1";
    auto result = stubs::CompileClient(fleet_->channel()).Compile(request, nullptr);
    EXPECT_TRUE(result.ok()) << result.status().ToString();
    return *std::move(result);
  }
  Result<std::vector<double>> Run(const std::string& key) {
    execute::v1::ExecuteRequest request;
    request.set_key(key);
    *request.add_arguments()->mutable_tensor() = tensor::TensorToProto(Threes());
    ASSIGN_OR_RETURN(const auto response, stubs::ExecuteClient(fleet_->channel()).Execute(request));
    ASSIGN_OR_RETURN(const Tensor t, tensor::TensorFromProto(response.results(0).tensor()));
    return Values(t);
  }
  // The answer to a run of `package` in a session of its own.
  Result<std::vector<double>> RunInSession(const std::string& key, const std::string& package) {
    const rpc::StreamMethod<execute::v1::SessionRequest, execute::v1::SessionResponse> method(
        fleet_->channel(), "megalith.execute.v1.ExecuteService", "Session");
    SessionCall session = method.Open();
    execute::v1::SessionRequest load;
    load.mutable_load()->set_program(1);
    load.mutable_load()->set_key(key);
    load.mutable_load()->set_package(package);
    RETURN_IF_ERROR(session.Write(load));
    execute::v1::SessionRequest run;
    run.mutable_run()->set_program(1);
    *run.mutable_run()->add_arguments()->mutable_tensor() = tensor::TensorToProto(Threes());
    run.mutable_run()->add_results(7);
    run.mutable_run()->set_inline_bytes(1024);
    RETURN_IF_ERROR(session.Write(run));
    session.WritesDone();
    ASSIGN_OR_RETURN(const auto answer, session.Read());
    if (!answer.has_value()) return Internal("the session ended");
    if (answer->has_error()) {
      return Status(static_cast<Code>(answer->error().code()), answer->error().detail().message());
    }
    ASSIGN_OR_RETURN(const Tensor t,
                     Tensor::FromBytes(DType::kF32, {4}, answer->ran().results(0).data()));
    return Values(t);
  }
  // Puts `value` in place of what the cache has for the key.
  void Replace(const compile::v1::CompileResult& compiled, const std::string& value) {
    const stubs::CacheClient cache(fleet_->channel());
    const auto entry = cache.Get(compiled.key());
    ASSERT_TRUE(entry.ok()) << entry.status().ToString();
    ASSERT_TRUE(cache.Evict({compiled.key()}, std::nullopt).ok());
    ASSERT_TRUE(cache.Put(entry->key, value).ok());
    ASSERT_EQ(*cache.Get(compiled.key())->value, value);
    (void)stubs::ExecuteClient(fleet_->channel()).Unload(compiled.key());
  }
  // The package with code that ends the process when it is run, complete but for the seal.
  static std::string Deadly(const compile::v1::CompileResult& compiled) {
    Package package = *runtime::DecodePackage(cache::WithoutSeal(compiled.package()));
    bool changed = false;
    for (Package::Section& section : package.sections) {
      if (section.name != "code") continue;
      runtime::CodeImage image = *runtime::DecodeCodeImage(section.bytes);
      for (size_t i = 0; i < image.bytes.size(); ++i) {
        image.bytes[i] = i % 2 == 0 ? '\x0f' : '\x0b';  // ud2
      }
      section.bytes = runtime::EncodeCodeImage(image);
      changed = true;
    }
    EXPECT_TRUE(changed);
    return runtime::EncodePackage(package);
  }

  TempDirectory directory_;
  std::unique_ptr<EmbeddedFleet> fleet_;
};

TEST_F(TrustTest, PackagesOfTheFleetRunInSessions) {
  const auto compiled = Compile(Program("add"));
  const auto values = RunInSession(compiled.key(), compiled.package());
  ASSERT_TRUE(values.ok()) << values.status().ToString();
  EXPECT_THAT(*values, Each(6.0));
}

TEST_F(TrustTest, SessionsRefuseCodeThatAClientWrote) {
  const auto compiled = Compile(Program("add"));
  const auto values = RunInSession(compiled.key(), Deadly(compiled));
  EXPECT_EQ(values.status().code(), Code::kDataLoss);
  EXPECT_THAT(values.status().message(), HasSubstr("no seal"));
  // With the seal of another package.
  const std::string seal = compiled.package().substr(compiled.package().size() - cache::kSealBytes);
  EXPECT_THAT(RunInSession(compiled.key(), Deadly(compiled) + seal).status().message(),
              HasSubstr("not that of this fleet"));
}

TEST_F(TrustTest, CodeThatAClientPutIntoTheCacheIsNotRun) {
  const auto compiled = Compile(Program("add"));
  Replace(compiled, Deadly(compiled));
  EXPECT_EQ(Run(compiled.key()).status().code(), Code::kDataLoss);
}

// Whoever compiles the program next gets what its compiler makes.
TEST_F(TrustTest, WhatAClientPutIntoTheCacheIsCompiledAgain) {
  const auto compiled = Compile(Program("add"));
  Replace(compiled, Deadly(compiled));
  const auto again = Compile(Program("add"));
  EXPECT_EQ(again.key(), compiled.key());
  EXPECT_EQ(again.cache(), compile::v1::CACHE_OUTCOME_REPAIRED);
  EXPECT_THAT(*Run(compiled.key()), Each(6.0));
  EXPECT_EQ(Compile(Program("add")).cache(), compile::v1::CACHE_OUTCOME_HIT);
}

// Results of other callers would be wrong.
TEST_F(TrustTest, ThePackageOfAnotherProgramDoesNotPassForOne) {
  const auto sum = Compile(Program("add"));
  const auto product = Compile(Program("multiply"));
  Replace(sum, product.package());
  EXPECT_EQ(Run(sum.key()).status().code(), Code::kDataLoss);
  EXPECT_EQ(RunInSession(sum.key(), product.package()).status().code(), Code::kDataLoss);
  EXPECT_EQ(Compile(Program("add")).cache(), compile::v1::CACHE_OUTCOME_REPAIRED);
  EXPECT_THAT(*Run(sum.key()), Each(6.0));
}

// Also a caller who has run the chain before, and so skips the compile service.
TEST_F(TrustTest, ChainsSurviveWhatAClientPutIntoTheCache) {
  const auto compiled = Compile(Program("add"));
  execute::v1::ExecuteRequest request;
  request.mutable_chain()->mutable_source()->set_stablehlo_text(Program("add"));
  request.mutable_chain()->mutable_compile_options()->set_target("cpu");
  (*request.mutable_chain()->mutable_compile_options()->mutable_extra())["tier"] = "1";
  *request.add_arguments()->mutable_tensor() = tensor::TensorToProto(Threes());
  const stubs::ExecuteClient execute(fleet_->channel());
  for (int i = 0; i < 2; ++i) {
    const auto response = execute.Execute(request);
    ASSERT_TRUE(response.ok()) << response.status().ToString();
    EXPECT_EQ(response->key(), compiled.key());
    EXPECT_THAT(Values(*tensor::TensorFromProto(response->results(0).tensor())), Each(6.0));
    Replace(compiled, Deadly(compiled));
  }
}

TEST_F(TrustTest, AfterARestartTheFleetsOwnPackagesAreHits) {
  const auto compiled = Compile(Program("add"));
  Start(/*seal=*/true);
  EXPECT_THAT(*Run(compiled.key()), Each(6.0));
  EXPECT_EQ(Compile(Program("add")).cache(), compile::v1::CACHE_OUTCOME_HIT);
}

// Without a secret nobody can tell whose a package is: the plan runs, the code in it does not.
TEST_F(TrustTest, WithoutAKeyNoCodeOfPackagesIsRun) {
  Start(/*seal=*/false);
  const auto compiled = Compile(Program("add"));
  EXPECT_EQ(cache::WithoutSeal(compiled.package()), compiled.package());
  const auto values = RunInSession(compiled.key(), Deadly(compiled));
  ASSERT_TRUE(values.ok()) << values.status().ToString();
  EXPECT_THAT(*values, Each(6.0));
  Replace(compiled, Deadly(compiled));
  EXPECT_THAT(*Run(compiled.key()), Each(6.0));
}

// Nor is a client's word for it enough: a fleet that has lost its key makes its packages again.
TEST_F(TrustTest, AnotherKeyMakesEverythingAnew) {
  const auto compiled = Compile(Program("add"));
  fleet_.reset();
  ASSERT_TRUE(RealFileSystem().Remove(JoinPath(directory_.path(), "fleet.key")).ok());
  Start(/*seal=*/true);
  EXPECT_EQ(RunInSession(compiled.key(), compiled.package()).status().code(), Code::kDataLoss);
  EXPECT_EQ(Compile(Program("add")).cache(), compile::v1::CACHE_OUTCOME_REPAIRED);
  EXPECT_THAT(*Run(compiled.key()), Each(6.0));
}

}  // namespace
}  // namespace megalith::services
