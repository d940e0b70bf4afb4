// What every optimizer promises, run from the records: a new one is tested without new code.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "common/foundation/base/rng.h"
#include "common/learning/embedding/optimizers/optimizer.h"
#include "common/learning/embedding/row_layout.h"

namespace megalith::embedding {
namespace {

using Row = std::vector<std::byte>;

constexpr uint64_t kSeed = 20240607;

struct Case {
  RuleConfig rule;
  Compatibility compatibility;
  int64_t dim;
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << c.rule.name << " " << CompatibilityName(c.compatibility) << " dim " << c.dim;
  for (const auto& [name, value] : c.rule.fields) *out << " " << name << "=" << value;
}

std::vector<RuleConfig> Rules(const OptimizerDef& def) {
  std::vector<RuleConfig> out;
  for (size_t i = 0; i <= def.samples.size(); ++i) {
    RuleConfig rule{.name = std::string(def.name)};
    if (def.compensate) rule.base = {{.name = "adagrad"}};
    for (const Sample::Setting& s : i == 0 ? Sample{}.settings : def.samples[i - 1].settings) {
      if (!s.name.empty()) rule.fields.emplace_back(s.name, s.value);
    }
    out.push_back(std::move(rule));
  }
  return out;
}

std::vector<Case> Cases() {
  std::vector<Case> out;
  for (const OptimizerDef* def : Optimizers()) {
    for (const RuleConfig& rule : Rules(*def)) {
      for (const Compatibility c : {Compatibility::kMonolith, Compatibility::kCorrected}) {
        for (const int64_t dim : {1, 7, 8, 9, 16, 17, 64, 100}) {
          if (dim <= def->max_dim) out.push_back({rule, c, dim});
        }
      }
    }
  }
  return out;
}

const OptimizerDef& DefOf(const Case& c) {
  return **FindRecord(Optimizers(), c.rule.name, "optimizer");
}

std::unique_ptr<RowLayout> LayoutOf(const Case& c, int segments = 1) {
  const SegmentConfig segment{
      .dim = c.dim,
      .initializer = {.name = "random_uniform"},
      .optimizer = c.rule,
  };
  Result<std::unique_ptr<RowLayout>> layout = RowLayout::Make(
      {.segments = std::vector<SegmentConfig>(static_cast<size_t>(segments), segment),
       .compatibility = c.compatibility});
  EXPECT_TRUE(layout.ok()) << layout.status().ToString();
  return *std::move(layout);
}

class Trainer {
 public:
  explicit Trainer(const RowLayout& layout) : layout_(layout), rng_(kSeed) {}

  std::vector<float> Vector(double scale) {
    std::vector<float> out(static_cast<size_t>(layout_.dim()));
    for (float& x : out) x = static_cast<float>(scale * rng_.Normal());
    return out;
  }

  StepOutcome Step(const std::vector<float>& gradient, float rate, std::byte* payload) {
    const std::vector<float> rates(static_cast<size_t>(layout_.slices()), rate);
    const std::vector<float> snapshot = Vector(0.1);
    return layout_.Step({.gradient = gradient,
                         .learning_rates = rates,
                         .global_step = ++step_,
                         .snapshot = snapshot},
                        payload);
  }

  void Steps(int count, std::byte* payload) {
    for (int i = 0; i < count; ++i) Step(Vector(1), 0.05F, payload);
  }

 private:
  const RowLayout& layout_;
  Rng rng_;
  int64_t step_ = 0;
};

Row NewRow(const RowLayout& layout) {
  Row row(layout.payload_bytes());
  layout.Init(42, row.data());
  return row;
}

bool AllFinite(const RowLayout& layout, const Row& row) {
  for (const float w : layout.Weights(row.data())) {
    if (!std::isfinite(w)) return false;
  }
  for (const NamedState& state : layout.State(row.data())) {
    for (const NamedState::Array& array : state.arrays) {
      for (const double x : array.values) {
        if (!std::isfinite(x)) return false;
      }
    }
  }
  return true;
}

std::string DumpOf(const RowLayout& layout, const Row& row) {
  const Fid fid = 42;
  std::string dump;
  layout.AppendEntryDump(&fid, 17, row.data(), dump);
  return dump;
}

class OptimizerProperties : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override { RecordProperty("seed", static_cast<int>(kSeed)); }
};

TEST_P(OptimizerProperties, RunsOnAsDumpedAndRestored) {
  const auto layout = LayoutOf(GetParam());
  Trainer trainer(*layout);
  Row row = NewRow(*layout);
  trainer.Steps(3, row.data());
  const std::string dump = DumpOf(*layout, row);
  Row restored(layout->payload_bytes(), std::byte{0xFF});
  const Result<RowLayout::ParsedEntry> parsed = layout->ParseEntryDump(dump, restored.data());
  ASSERT_TRUE(parsed.ok()) << parsed.status().ToString();
  EXPECT_EQ(parsed->fid, 42);
  EXPECT_EQ(parsed->timestamp, 17);
  EXPECT_EQ(restored, row);
  EXPECT_EQ(DumpOf(*layout, restored), dump);
  Trainer other = trainer;
  trainer.Steps(3, row.data());
  other.Steps(3, restored.data());
  EXPECT_EQ(restored, row);
}

TEST_P(OptimizerProperties, OrdinaryStepsChangeTheRowAndAreNotGuarded) {
  const auto layout = LayoutOf(GetParam());
  Trainer trainer(*layout);
  Row row = NewRow(*layout);
  const Row before = row;
  EXPECT_FALSE(trainer.Step(trainer.Vector(1), 0.05F, row.data()).guarded);
  EXPECT_NE(row, before);
  EXPECT_TRUE(AllFinite(*layout, row));
}

TEST_P(OptimizerProperties, NoInputLeavesANumberThatIsNotFinite) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  const auto layout = LayoutOf(GetParam());
  for (const float size : {0.0F, 1e-45F, 1e-20F, 1.0F, 1e15F, 1e19F, 3e38F, kInf, kNan}) {
    for (const float rate : {0.0F, 1e-45F, 0.1F, -0.1F, 1e4F, 3e38F, kInf, kNan}) {
      Trainer trainer(*layout);
      Row row = NewRow(*layout);
      for (const float sign : {1.0F, -1.0F, -1.0F, 1.0F}) {
        std::vector<float> gradient(static_cast<size_t>(layout->dim()), sign * size);
        gradient.back() = 0.5F;
        trainer.Step(gradient, rate, row.data());
        ASSERT_TRUE(AllFinite(*layout, row)) << "gradient " << sign * size << ", rate " << rate;
      }
    }
  }
}

TEST_P(OptimizerProperties, EveryVectorLevelGivesTheSameBits) {
  const OptimizerDef& def = DefOf(GetParam());
  if (!def.step) return;  // a wrapper; its base has the step
  const Result<Params> params = BindFields(GetParam().rule, def.fields);
  ASSERT_TRUE(params.ok());
  const auto layout = LayoutOf(GetParam());
  Trainer trainer(*layout);
  Row row = NewRow(*layout);
  trainer.Steps(2, row.data());
  const std::vector<float> gradient = trainer.Vector(1);
  std::vector<Row> results;
  for (int level = 0; level <= static_cast<int>(MachineVectorLevel()); ++level) {
    Row copy = row;
    def.step.at[level]({.weights = reinterpret_cast<float*>(copy.data()),
                        .gradient = gradient.data(),
                        .state = copy.data() + layout->dim() * static_cast<int64_t>(sizeof(float)),
                        .dim = layout->dim(),
                        .learning_rate = 0.05F,
                        .global_step = 9,
                        .monolith = GetParam().compatibility == Compatibility::kMonolith,
                        .params = &*params});
    results.push_back(std::move(copy));
  }
  for (const Row& result : results) EXPECT_EQ(result, results[0]);
}

// Whole groups of eight elements, and the others one by one, step as rows of their own do.
TEST_P(OptimizerProperties, ElementsStepIndependently) {
  const Case& c = GetParam();
  if (DefOf(c).whole_row) return;
  const auto layout = LayoutOf(c);
  Trainer trainer(*layout);
  Row row = NewRow(*layout);
  const std::vector<float> start = layout->Weights(row.data());
  const std::vector<float> gradient = trainer.Vector(1);
  const std::vector<float> snapshot = trainer.Vector(0.1);
  const std::vector<float> rate = {0.05F};
  const auto step = [&](const RowLayout& of, int64_t from, std::byte* payload) {
    const auto part = [&](const std::vector<float>& all) {
      return std::span(all).subspan(static_cast<size_t>(from), static_cast<size_t>(of.dim()));
    };
    of.Step({.gradient = part(gradient),
             .learning_rates = rate,
             .global_step = 5,
             .snapshot = part(snapshot)},
            payload);
  };
  for (int i = 0; i < 3; ++i) step(*layout, 0, row.data());
  const std::vector<float> whole = layout->Weights(row.data());
  for (int64_t at = 0; at < c.dim;) {
    const int64_t size = at + kLanes <= c.dim ? kLanes : 1;
    const auto part = LayoutOf({c.rule, c.compatibility, size});
    Row own = NewRow(*part);
    part->Assign(start.data() + at, own.data());
    for (int i = 0; i < 3; ++i) step(*part, at, own.data());
    const std::vector<float> weights = part->Weights(own.data());
    for (int64_t i = 0; i < size; ++i) {
      EXPECT_EQ(weights[static_cast<size_t>(i)], whole[static_cast<size_t>(at + i)]) << at + i;
    }
    at += size;
  }
}

TEST_P(OptimizerProperties, SegmentsOfOneRowStepAsRowsOfTheirOwn) {
  const auto one = LayoutOf(GetParam());
  const auto two = LayoutOf(GetParam(), 2);
  Trainer trainer(*two);
  Row both = NewRow(*two);
  const std::vector<float> start = two->Weights(both.data());
  const std::vector<float> gradient = trainer.Vector(1);
  const std::vector<float> rates = {0.05F, 0.1F};
  two->Step({.gradient = gradient, .learning_rates = rates, .global_step = 5}, both.data());
  const std::vector<float> stepped = two->Weights(both.data());
  const std::vector<NamedState> states = two->State(both.data());
  for (size_t s = 0; s < 2; ++s) {
    const size_t dim = static_cast<size_t>(one->dim());
    Row own = NewRow(*one);
    one->Assign(start.data() + s * dim, own.data());
    one->Step({.gradient = std::span(gradient).subspan(s * dim, dim),
               .learning_rates = std::span(rates).subspan(s, 1),
               .global_step = 5},
              own.data());
    EXPECT_TRUE(
        std::ranges::equal(one->Weights(own.data()), std::span(stepped).subspan(s * dim, dim)));
    const NamedState state = one->State(own.data())[0];
    ASSERT_EQ(state.arrays.size(), states[s].arrays.size());
    for (size_t i = 0; i < state.arrays.size(); ++i) {
      EXPECT_EQ(state.arrays[i].values, states[s].arrays[i].values) << state.arrays[i].name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(AllRecords, OptimizerProperties, ::testing::ValuesIn(Cases()));

TEST(OptimizerRecordsTest, NumbersAndNamesAreUniqueAndFieldsFit) {
  std::vector<std::string_view> names;
  std::vector<int> configs;
  std::vector<int> dumps;
  for (const OptimizerDef* def : Optimizers()) {
    names.push_back(def->name);
    configs.push_back(def->config_number);
    if (def->dump_number != 0) dumps.push_back(def->dump_number);
    EXPECT_LE(def->fields.size(), static_cast<size_t>(kMaxFields));
    EXPECT_NE(static_cast<bool>(def->step), static_cast<bool>(def->compensate)) << def->name;
    EXPECT_FALSE(def->spec.empty()) << def->name;
    EXPECT_TRUE(def->state.empty() || def->dump_number != 0) << def->name << " loses its state";
    for (const StateDef& state : def->state) EXPECT_LT(state.number, 16) << def->name;
  }
  for (auto* numbers : {&configs, &dumps}) {
    std::ranges::sort(*numbers);
    EXPECT_EQ(std::ranges::adjacent_find(*numbers), numbers->end());
  }
  std::ranges::sort(names);
  EXPECT_EQ(std::ranges::adjacent_find(names), names.end());
  EXPECT_EQ(names.size(), 15U);
}

}  // namespace
}  // namespace megalith::embedding
