// The package container and the registry, with a backend that returns its inputs.
#include <gtest/gtest.h>

#include "common/foundation/base/strings.h"
#include "common/machines/runtime/package.h"

namespace megalith::runtime {
namespace {

Package Sample() {
  Package p;
  p.backend = "echo";
  p.backend_version = "3";
  p.target = "any";
  p.key = "00ff";
  p.signature.inputs = {{DType::kF32, {2, 3}}, {DType::kI32, {}}};
  p.signature.outputs = {{DType::kC128, {0}}};
  p.cost = {1.5, 2, 3, 4, 5, 6};
  p.sections = {{"program", "some bytes"}, {"options", ""}, {"data", std::string(1000, 'x')}};
  return p;
}

class EchoBackend : public Backend {
 public:
  std::string_view name() const override { return "echo"; }
  std::string_view version() const override { return "3"; }
  std::string target() const override { return "any"; }
  Result<std::string> Compile(std::string_view, const CompileOptions&,
                              const Progress&) const override {
    return EncodePackage(Sample());
  }
  Result<std::shared_ptr<const Executable>> Load(std::string_view, Origin) const override {
    return Unimplemented("echo");
  }
};

class EchoExecutable : public Executable {
 public:
  const Signature& signature() const override { return signature_; }
  const std::string& key() const override { return key_; }
  std::string_view backend() const override { return "echo"; }
  const CostSummary& cost() const override { return cost_; }

 protected:
  Result<std::vector<Tensor>> RunChecked(std::span<const Tensor> inputs,
                                         const RunOptions&) const override {
    return std::vector<Tensor>(inputs.begin(), inputs.end());
  }

 private:
  Signature signature_ = Sample().signature;
  CostSummary cost_;
  std::string key_;
};

TEST(PackageTest, RoundTrips) {
  const Package p = Sample();
  const auto decoded = DecodePackage(EncodePackage(p));
  ASSERT_TRUE(decoded.ok()) << decoded.status().ToString();
  EXPECT_EQ(decoded->backend, p.backend);
  EXPECT_EQ(decoded->backend_version, p.backend_version);
  EXPECT_EQ(decoded->target, p.target);
  EXPECT_EQ(decoded->key, p.key);
  EXPECT_EQ(decoded->signature, p.signature);
  EXPECT_EQ(decoded->cost, p.cost);
  ASSERT_EQ(decoded->sections.size(), 3u);
  EXPECT_EQ(*decoded->Find("program"), "some bytes");
  EXPECT_EQ(*decoded->Find("options"), "");
  EXPECT_EQ(decoded->Find("nothing").status().code(), Code::kDataLoss);
  EXPECT_EQ(EncodePackage(*decoded), EncodePackage(p));
}

TEST(PackageTest, EveryDamagedByteIsNoticedAndNamed) {
  const std::string good = EncodePackage(Sample());
  const size_t data_start = good.size() - 1000;
  const size_t program_start = data_start - 10;
  for (size_t i = 0; i < good.size(); i = i < program_start + 40 ? i + 1 : i + 97) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 0x20);
    const auto decoded = DecodePackage(bad);
    ASSERT_FALSE(decoded.ok()) << "byte " << i;
    const bool version = i >= 8 && i < 12;
    EXPECT_EQ(decoded.status().code(), version ? Code::kFailedPrecondition : Code::kDataLoss)
        << "byte " << i;
    const std::string& message = decoded.status().message();
    if (i >= data_start) {
      EXPECT_NE(message.find("'data'"), std::string::npos) << message;
    } else if (i >= program_start) {
      EXPECT_NE(message.find("'program'"), std::string::npos) << message;
    } else if (i >= 12) {
      EXPECT_NE(message.find("'header'"), std::string::npos) << message;
    }
  }
}

TEST(PackageTest, EveryTruncationIsNoticed) {
  const std::string good = EncodePackage(Sample());
  for (size_t n = 0; n < good.size(); n = n < 400 ? n + 1 : n + 53) {
    EXPECT_EQ(DecodePackage(good.substr(0, n)).status().code(), Code::kDataLoss) << n;
  }
  EXPECT_EQ(DecodePackage(good + "x").status().code(), Code::kDataLoss);
}

TEST(PackageTest, IsRefusedByOtherBackendsVersionsAndTargets) {
  const EchoBackend backend;
  EXPECT_TRUE(CheckMadeBy(Sample(), backend).ok());
  for (std::string Package::* field :
       {&Package::backend, &Package::backend_version, &Package::target}) {
    Package p = Sample();
    p.*field += "x";
    EXPECT_EQ(CheckMadeBy(p, backend).code(), Code::kFailedPrecondition);
  }
}

TEST(ExecutableTest, ChecksInputs) {
  const EchoExecutable e;
  const Tensor good = *Tensor::Create(DType::kF32, {2, 3});
  const Tensor scalar = *Tensor::Create(DType::kI32, {});
  EXPECT_TRUE(e.Run(std::vector<Tensor>{good, scalar}).ok());
  EXPECT_EQ(e.Run(std::vector<Tensor>{good}).status().message(), "got 1 inputs, wanted 2");
  EXPECT_EQ(e.Run(std::vector<Tensor>{good, good}).status().message(),
            "input 1 is f32[2,3], wanted i32[]");
  EXPECT_EQ(e.Run(std::vector<Tensor>{scalar, scalar}).status().code(), Code::kInvalidArgument);
}

TEST(BackendRegistryTest, FindsByName) {
  BackendRegistry registry;
  EXPECT_TRUE(registry.Add(std::make_shared<EchoBackend>()).ok());
  EXPECT_EQ(registry.Add(std::make_shared<EchoBackend>()).code(), Code::kAlreadyExists);
  EXPECT_TRUE(registry.Find("echo").ok());
  const auto missing = registry.Find("gpu");
  EXPECT_EQ(missing.status().code(), Code::kNotFound);
  EXPECT_NE(missing.status().message().find("echo"), std::string::npos);
}

TEST(KeyTest, DependsOnEveryPart) {
  const EchoBackend backend;
  CompileOptions options;
  const std::string key = KeyOf("program", options, backend);
  EXPECT_EQ(key.size(), 64u);
  EXPECT_EQ(KeyOf("program", options, backend), key);
  EXPECT_NE(KeyOf("programs", options, backend), key);
  options.settings["max_steps"] = "3";
  EXPECT_NE(KeyOf("program", options, backend), key);
  options.settings.clear();
  options.key = "ignored";
  EXPECT_EQ(KeyOf("program", options, backend), key);
}

}  // namespace
}  // namespace megalith::runtime
