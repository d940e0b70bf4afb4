// Exports around the fixtures' artifacts, built here byte by byte.
#include "common/programs/stablehlo/artifact/jax_export.h"

#include <gtest/gtest.h>

#include <cstring>

#include "common/programs/stablehlo/canonical.h"
#include "common/programs/stablehlo/evaluate.h"
#include "common/programs/stablehlo/parser.h"
#include "common/programs/stablehlo/test_util.h"

namespace megalith::stablehlo::artifact {
namespace {

// Tables of a FlatBuffer in which everything follows what refers to it.
class FlatWriter {
 public:
  FlatWriter() { Put<uint32_t>(0); }  // the root, set by Finish

  // A vtable and a table whose fields are 4 bytes each, zero until they are set; gives where the
  // table is.
  size_t Table(std::initializer_list<int> slots) {
    int last = 0;
    for (const int s : slots) last = std::max(last, s);
    const size_t vtable = out_.size();
    Put<uint16_t>(static_cast<uint16_t>(4 + 2 * (last + 1)));
    Put<uint16_t>(static_cast<uint16_t>(4 + 4 * slots.size()));
    for (int s = 0; s <= last; ++s) {
      uint16_t at = 0, next = 4;
      for (const int have : slots) {
        if (have == s) at = next;
        next = static_cast<uint16_t>(next + 4);
      }
      Put<uint16_t>(at);
    }
    const size_t table = out_.size();
    Put<int32_t>(static_cast<int32_t>(table - vtable));
    for (size_t i = 0; i < slots.size(); ++i) Put<uint32_t>(0);
    return table;
  }
  // Field number `i` of the table's list of slots.
  void Set(size_t table, size_t i, uint32_t value) { Store(table + 4 + 4 * i, value); }
  // The field refers to what is written next.
  void SetNext(size_t table, size_t i) { PointToNext(table + 4 + 4 * i); }
  void PointTo(size_t at, size_t target) { Store(at, static_cast<uint32_t>(target - at)); }
  void PointToNext(size_t at) { PointTo(at, out_.size()); }
  void Bytes(std::string_view bytes) {
    Put<uint32_t>(static_cast<uint32_t>(bytes.size()));
    out_ += bytes;
  }
  // A vector of so many offsets; gives where the first is.
  size_t Offsets(size_t n) {
    Put<uint32_t>(static_cast<uint32_t>(n));
    const size_t first = out_.size();
    for (size_t i = 0; i < n; ++i) Put<uint32_t>(0);
    return first;
  }
  void Numbers(const std::vector<uint16_t>& v) {
    Put<uint32_t>(static_cast<uint32_t>(v.size()));
    for (const uint16_t x : v) Put<uint16_t>(x);
  }
  std::string Finish(size_t root) {
    Store(0, static_cast<uint32_t>(root));
    return out_;
  }

 private:
  template <typename T>
  void Put(T v) {
    char bytes[sizeof(T)];
    std::memcpy(bytes, &v, sizeof(T));
    out_.append(bytes, sizeof(T));
  }
  void Store(size_t at, uint32_t v) { std::memcpy(out_.data() + at, &v, 4); }

  std::string out_;
};

struct Aval {
  std::vector<std::string> shape;
  uint8_t dtype = 10;  // f32
};

struct Parts {
  std::string artifact;
  std::vector<Aval> inputs, outputs;
  std::vector<std::string> platforms = {"cpu"};
  std::vector<uint16_t> kept;
  uint32_t version = 3, convention = 10, devices = 1;
  int ordered_effects = 0;
  bool no_platform_check = false;
};

std::string Build(const Parts& p) {
  FlatWriter w;
  const size_t root = w.Table({0, 1, 3, 5, 9, 10, 12, 13, 14, 15, 18});
  w.Set(root, 0, p.version);
  w.SetNext(root, 1);
  w.Bytes("f");
  const auto avals = [&](size_t field, const std::vector<Aval>& list) {
    w.SetNext(root, field);
    const size_t first = w.Offsets(list.size());
    for (size_t i = 0; i < list.size(); ++i) {
      const size_t table = w.Table({1, 2});
      w.PointTo(first + 4 * i, table);
      w.Set(table, 1, list[i].dtype);
      w.SetNext(table, 0);
      const size_t dims = w.Offsets(list[i].shape.size());
      for (size_t d = 0; d < list[i].shape.size(); ++d) {
        w.PointToNext(dims + 4 * d);
        w.Bytes(list[i].shape[d]);
      }
    }
  };
  avals(2, p.inputs);
  avals(3, p.outputs);
  w.SetNext(root, 4);
  const size_t platforms = w.Offsets(p.platforms.size());
  for (size_t i = 0; i < p.platforms.size(); ++i) {
    w.PointToNext(platforms + 4 * i);
    w.Bytes(p.platforms[i]);
  }
  w.SetNext(root, 5);
  w.Offsets(static_cast<size_t>(p.ordered_effects));
  w.SetNext(root, 6);
  const size_t checks = w.Offsets(p.no_platform_check ? 1 : 0);
  if (p.no_platform_check) {
    const size_t table = w.Table({0});
    w.PointTo(checks, table);
  }
  w.SetNext(root, 7);
  w.Bytes(p.artifact);
  w.Set(root, 8, p.convention);
  w.SetNext(root, 9);
  w.Numbers(p.kept);
  w.Set(root, 10, p.devices);
  return w.Finish(root);
}

std::string ArtifactOf(std::string_view text) {
  const auto module = stablehlo::ParseModule(text);
  EXPECT_TRUE(module.ok()) << module.status().ToString();
  const auto bytes = WriteArtifact(*module);
  EXPECT_TRUE(bytes.ok()) << bytes.status().ToString();
  return bytes.ok() ? *bytes : "";
}

constexpr std::string_view kNegate =
    "func.func public @main(%a: tensor<2xf32>) -> tensor<2xf32> { %0 = stablehlo.negate %a : "
    "tensor<2xf32> return %0 : tensor<2xf32> }";
constexpr std::string_view kChoose =
    "func.func public @main(%p: tensor<i32> {jax.global_constant = \"_platform_index\"}, %a: "
    "tensor<2xf32>) -> tensor<2xf32> { %0 = \"stablehlo.case\"(%p) ({ stablehlo.return %a : "
    "tensor<2xf32> }, { %1 = stablehlo.negate %a : tensor<2xf32> stablehlo.return %1 : "
    "tensor<2xf32> }) : (tensor<i32>) -> tensor<2xf32> return %0 : tensor<2xf32> }";

Parts Negate() {
  return {.artifact = ArtifactOf(kNegate), .inputs = {{{"2"}}}, .outputs = {{{"2"}}}, .kept = {0}};
}

Status StatusOf(const Parts& parts) { return ReadExport(Build(parts)).status(); }

TEST(ReadExportTest, ReadsTheFunction) {
  const std::string bytes = Build(Negate());
  EXPECT_TRUE(LooksLikeExport(bytes));
  const auto read = ReadExport(bytes);
  ASSERT_TRUE(read.ok()) << read.status().ToString();
  EXPECT_EQ(read->function_name, "f");
  EXPECT_EQ(read->platforms, std::vector<std::string>{"cpu"});
  EXPECT_EQ(*stablehlo::CanonicalBytes(read->module),
            *stablehlo::CanonicalBytes(*stablehlo::ParseModule(kNegate)));
}

TEST(ReadExportTest, DroppedArgumentsAreTakenAndIgnored) {
  Parts parts = Negate();
  parts.inputs = {{{"3", "4"}, 4}, {{"2"}}, {{}, 0}};
  parts.kept = {1};
  const auto read = ReadExport(Build(parts));
  ASSERT_TRUE(read.ok()) << read.status().ToString();
  const auto types = (*read->module.Entry())->input_types();
  ASSERT_EQ(types.size(), 3u);
  EXPECT_EQ(types[0].Text(), "tensor<3x4xi64>");
  EXPECT_EQ(types[2].Text(), "tensor<i1>");
}

TEST(ReadExportTest, CodeOfOurPlatformIsTaken) {
  Parts parts = Negate();
  parts.artifact = ArtifactOf(kChoose);
  const auto x = stablehlo::MakeTensor(stablehlo::DType::kF32, {2}, {1, 2});
  for (const auto& [platforms, want] :
       {std::pair<std::vector<std::string>, double>{{"cpu", "tpu"}, 1}, {{"tpu", "cpu"}, -1}}) {
    parts.platforms = platforms;
    const auto read = ReadExport(Build(parts));
    ASSERT_TRUE(read.ok()) << read.status().ToString();
    const auto out = Evaluate(read->module, {&x, 1});
    ASSERT_TRUE(out.ok()) << out.status().ToString();
    EXPECT_EQ((*out)[0].DoubleAt(0), want);
  }
}

TEST(ReadExportTest, OtherPlatformsAreRefusedUnlessTheCheckIsOff) {
  Parts parts = Negate();
  parts.platforms = {"tpu"};
  EXPECT_EQ(StatusOf(parts).code(), Code::kFailedPrecondition);
  parts.no_platform_check = true;
  EXPECT_TRUE(StatusOf(parts).ok()) << StatusOf(parts).ToString();
}

TEST(ReadExportTest, WhatCannotRunIsRefusedInASentence) {
  const auto refused = [](Parts parts, Code code, std::string_view word) {
    const Status s = StatusOf(parts);
    EXPECT_EQ(s.code(), code) << s.ToString();
    EXPECT_NE(s.message().find(word), std::string::npos) << s.message();
  };
  Parts p = Negate();
  p.inputs = {{{"a"}}};
  refused(p, Code::kUnimplemented, "symbolic dimensions");
  p = Negate();
  p.ordered_effects = 1;
  refused(p, Code::kUnimplemented, "ordered effects");
  p = Negate();
  p.devices = 8;
  refused(p, Code::kUnimplemented, "8 devices");
  p = Negate();
  p.version = 99;
  refused(p, Code::kFailedPrecondition, "serialization version 99");
  p = Negate();
  p.convention = 11;
  refused(p, Code::kFailedPrecondition, "calling convention 11");
  p = Negate();
  p.inputs = {{{"3"}}};
  refused(p, Code::kInvalidArgument, "tensor<3xf32>");
  p = Negate();
  p.outputs = {};
  refused(p, Code::kInvalidArgument, "results");
  p = Negate();
  p.kept = {1};
  refused(p, Code::kInvalidArgument, "keeps argument 1");
  p = Negate();
  p.platforms = {"cpu", "tpu"};
  refused(p, Code::kInvalidArgument, "platforms");
}

TEST(ReadExportTest, DamageIsRefusedOrHarmless) {
  const std::string good = Build(Negate());
  for (size_t n = 0; n < good.size(); ++n) {
    const auto read = ReadExport(std::string_view(good).substr(0, n));
    if (!read.ok()) {
      EXPECT_FALSE(read.status().message().empty()) << n;
    }
  }
  std::string bytes = good;
  for (size_t i = 0; i < bytes.size(); ++i) {
    for (const char change : {'\x01', '\x10', '\x80', '\xff'}) {
      bytes[i] = static_cast<char>(good[i] ^ change);
      const auto read = ReadExport(bytes);
      if (!read.ok()) {
        EXPECT_NE(read.status().code(), Code::kInternal) << i;
      }
    }
    bytes[i] = good[i];
  }
}

TEST(ReadArtifactOrExportTest, TellsThemApart) {
  EXPECT_TRUE(ReadArtifactOrExport(ArtifactOf(kNegate)).ok());
  EXPECT_TRUE(ReadArtifactOrExport(Build(Negate())).ok());
  EXPECT_EQ(ReadArtifactOrExport("neither").status().code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace megalith::stablehlo::artifact
