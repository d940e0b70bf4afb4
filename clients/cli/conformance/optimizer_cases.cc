#include "clients/cli/conformance/optimizer_cases.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "common/foundation/base/strings.h"
#include "common/learning/embedding/learning_rate.h"
#include "common/learning/embedding/optimizers/optimizer.h"
#include "common/learning/embedding/row_layout.h"

namespace megalith::conformance {
namespace {

using Json = nlohmann::ordered_json;
using embedding::Compatibility;
using embedding::NamedState;
using embedding::RowLayout;

constexpr std::string_view kSchema = "sparse-optimizer-golden/";
constexpr embedding::Fid kFid = 1;

struct Tolerance {
  double relative = 0;
  double absolute = 0;
};

Status Missing(std::string_view key) {
  return InvalidArgument(StrCat("field '", key, "' is missing or of another type"));
}

Result<double> Number(const Json& json, const char* key) {
  const auto it = json.find(key);
  if (it == json.end()) return Missing(key);
  if (it->is_boolean()) return it->get<bool>() ? 1.0 : 0.0;
  if (!it->is_number()) return Missing(key);
  return it->get<double>();
}

// A list of numbers, or one number.
Result<std::vector<double>> Numbers(const Json& json, std::string_view key) {
  if (json.is_number()) return std::vector<double>{json.get<double>()};
  if (!json.is_array()) return Missing(key);
  std::vector<double> out;
  for (const Json& x : json) {
    if (!x.is_number()) return Missing(key);
    out.push_back(x.get<double>());
  }
  return out;
}

Result<std::vector<float>> Floats(const Json& json, const char* key) {
  const auto it = json.find(key);
  if (it == json.end()) return Missing(key);
  ASSIGN_OR_RETURN(const std::vector<double> numbers, Numbers(*it, key));
  return std::vector<float>(numbers.begin(), numbers.end());
}

Result<embedding::RuleConfig> RuleOf(const std::string& name, const Json& config) {
  embedding::RuleConfig out{.name = name};
  for (const auto& [key, value] : config.items()) {
    if (key == "base") {
      if (!value.is_object() || value.size() != 1) return Missing("config.base");
      ASSIGN_OR_RETURN(embedding::RuleConfig base,
                       RuleOf(value.items().begin().key(), value.items().begin().value()));
      out.base.push_back(std::move(base));
      continue;
    }
    ASSIGN_OR_RETURN(const double number, Number(config, key.c_str()));
    out.fields.emplace_back(key, number);
  }
  return out;
}

Status CompareNumbers(std::string_view what, const std::vector<double>& got,
                      const std::vector<double>& want, Tolerance tolerance) {
  if (got.size() != want.size()) {
    return InvalidArgument(StrCat(what, " has ", got.size(), " numbers, wanted ", want.size()));
  }
  for (size_t i = 0; i < got.size(); ++i) {
    const double allowed = tolerance.absolute + tolerance.relative * std::fabs(want[i]);
    if (std::fabs(got[i] - want[i]) <= allowed) continue;
    return InvalidArgument(StrCat(what, "[", i, "] is ", got[i], ", wanted ", want[i]));
  }
  return OkStatus();
}

Status CompareState(const NamedState& got, const Json& want, Tolerance tolerance) {
  for (const auto& [name, value] : want.items()) {
    const auto found = std::ranges::find(got.arrays, name, &NamedState::Array::name);
    if (found == got.arrays.end()) return InvalidArgument(StrCat("there is no state '", name, "'"));
    ASSIGN_OR_RETURN(const std::vector<double> numbers, Numbers(value, name));
    RETURN_IF_ERROR(CompareNumbers(name, found->values, numbers, tolerance));
  }
  return OkStatus();
}

Status CompareRow(const RowLayout& layout, const std::byte* row, const Json& want_weights,
                  const Json& want_state, Tolerance tolerance) {
  const std::vector<float> weights = layout.Weights(row);
  ASSIGN_OR_RETURN(const std::vector<double> wanted, Numbers(want_weights, "weights"));
  RETURN_IF_ERROR(CompareNumbers("weights", {weights.begin(), weights.end()}, wanted, tolerance));
  return CompareState(layout.State(row)[0], want_state, tolerance);
}

void AppendVarint(uint64_t value, std::string* out) {
  for (; value >= 0x80; value >>= 7) *out += static_cast<char>(value | 0x80);
  *out += static_cast<char>(value);
}

void AppendBytes(int field, std::string_view bytes, std::string* out) {
  AppendVarint(static_cast<uint64_t>(field) << 3 | 2, out);
  AppendVarint(bytes.size(), out);
  *out += bytes;
}

// Monolith's EntryDump of a row with that state: how state enters a row from outside.
Result<std::string> DumpOf(const embedding::OptimizerDef& optimizer, const Json& state) {
  std::string body;
  for (const embedding::StateDef& def : optimizer.state) {
    const auto it = state.find(def.name);
    if (it == state.end()) continue;
    ASSIGN_OR_RETURN(const std::vector<double> numbers, Numbers(*it, def.name));
    for (const double x : numbers) {
      if (def.kind == embedding::StateKind::kInt64) {
        AppendVarint(static_cast<uint64_t>(def.number) << 3, &body);
        AppendVarint(static_cast<uint64_t>(static_cast<int64_t>(x)), &body);
      } else {
        AppendVarint(static_cast<uint64_t>(def.number) << 3 | 5, &body);
        const auto bits = std::bit_cast<uint32_t>(static_cast<float>(x));
        body.append(reinterpret_cast<const char*>(&bits), sizeof(bits));
      }
    }
  }
  std::string single;
  AppendBytes(optimizer.dump_number, body, &single);
  std::string opt;
  AppendBytes(1, single, &opt);
  std::string out = "\x09";
  out.append(reinterpret_cast<const char*>(&kFid), sizeof(kFid));
  AppendBytes(3, opt, &out);
  return out;
}

Status RunSteps(const RowLayout& layout, const Json& steps, Tolerance tolerance, std::byte* row) {
  for (size_t i = 0; i < steps.size(); ++i) {
    const Json& step = steps[i];
    ASSIGN_OR_RETURN(const std::vector<float> gradient, Floats(step, "grad"));
    ASSIGN_OR_RETURN(const double rate, Number(step, "lr"));
    ASSIGN_OR_RETURN(const double global_step, Number(step, "global_step"));
    std::vector<float> snapshot;
    if (step.contains("snapshot")) {
      ASSIGN_OR_RETURN(snapshot, Floats(step, "snapshot"));
    }
    const auto dim = static_cast<size_t>(layout.dim());
    if (gradient.size() != dim || (!snapshot.empty() && snapshot.size() != dim)) {
      return InvalidArgument(StrCat("step ", i, ": the gradient or snapshot is not of the dim"));
    }
    const auto learning_rate = static_cast<float>(rate);
    layout.Step({.gradient = gradient,
                 .learning_rates = {&learning_rate, 1},
                 .global_step = static_cast<int64_t>(global_step),
                 .snapshot = snapshot},
                row);
    if (!step.contains("weights") || !step.contains("state")) return Missing("weights or state");
    RETURN_IF_ERROR(CompareRow(layout, row, step["weights"], step["state"], tolerance)
                        .Annotate(StrCat("step ", i)));
  }
  return OkStatus();
}

Status RunCase(const Json& json, Compatibility compatibility, Tolerance tolerance) {
  for (const char* key : {"optimizer", "config", "initial_weights", "initial_state", "steps"}) {
    if (!json.contains(key)) return Missing(key);
  }
  if (!json["optimizer"].is_string() || !json["config"].is_object()) return Missing("config");
  ASSIGN_OR_RETURN(const double dim, Number(json, "dim"));
  embedding::SegmentConfig segment{.dim = static_cast<int64_t>(dim)};
  ASSIGN_OR_RETURN(segment.optimizer, RuleOf(json["optimizer"].get<std::string>(), json["config"]));
  const embedding::RuleConfig& inner =
      segment.optimizer.base.empty() ? segment.optimizer : segment.optimizer.base[0];
  ASSIGN_OR_RETURN(const embedding::OptimizerDef* optimizer,
                   embedding::FindRecord(embedding::Optimizers(), inner.name, "optimizer"));
  ASSIGN_OR_RETURN(const auto layout,
                   RowLayout::Make({.segments = {segment}, .compatibility = compatibility}));
  std::vector<std::byte> row(layout->payload_bytes());
  if (json.value("state_source", "init") == "restored") {
    ASSIGN_OR_RETURN(const std::string dump, DumpOf(*optimizer, json["initial_state"]));
    RETURN_IF_ERROR(layout->ParseEntryDump(dump, row.data()).Annotate("initial_state"));
  } else {
    layout->Init(kFid, row.data());
  }
  ASSIGN_OR_RETURN(const std::vector<float> weights, Floats(json, "initial_weights"));
  if (weights.size() != static_cast<size_t>(layout->dim())) return Missing("initial_weights");
  layout->Assign(weights.data(), row.data());
  RETURN_IF_ERROR(
      CompareRow(*layout, row.data(), json["initial_weights"], json["initial_state"], tolerance)
          .Annotate("before the first step"));
  return RunSteps(*layout, json["steps"], tolerance, row.data());
}

Status RunSchedule(const Json& json, Tolerance tolerance) {
  ASSIGN_OR_RETURN(const double initial, Number(json, "initial"));
  ASSIGN_OR_RETURN(const double end, Number(json, "end"));
  ASSIGN_OR_RETURN(const double steps, Number(json, "decay_steps"));
  ASSIGN_OR_RETURN(const double power, Number(json, "power"));
  ASSIGN_OR_RETURN(const double cycle, Number(json, "cycle"));
  const embedding::PolynomialDecay schedule{.initial = static_cast<float>(initial),
                                            .end = static_cast<float>(end),
                                            .decay_steps = static_cast<int64_t>(steps),
                                            .power = static_cast<float>(power),
                                            .cycle = cycle != 0};
  RETURN_IF_ERROR(Check(schedule));
  if (!json.contains("points")) return Missing("points");
  for (const Json& point : json["points"]) {
    ASSIGN_OR_RETURN(const std::vector<double> pair, Numbers(point, "points"));
    if (pair.size() != 2) return Missing("points");
    const float got = RateAt(schedule, static_cast<int64_t>(pair[0]));
    RETURN_IF_ERROR(CompareNumbers(StrCat("rate at step ", pair[0]), {got}, {pair[1]}, tolerance));
  }
  return OkStatus();
}

void Count(const Status& status, const std::string& id, FamilyReport* report) {
  Outcome outcome{.values = status.ok()};
  if (!status.ok()) outcome.failures.push_back({id, "values", status.ToString()});
  report->Add(outcome);
}

}  // namespace

bool IsOptimizerCases(std::string_view text) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return false;
  const auto schema = json.find("schema");
  return schema != json.end() && schema->is_string() &&
         schema->get<std::string>().starts_with(kSchema);
}

Result<Reports> RunOptimizerCases(std::string_view text) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("cases") || !json.contains("tolerance") ||
      !json["tolerance"].is_object()) {
    return InvalidArgument("the file has no optimizer cases: wanted 'cases' and 'tolerance'");
  }
  ASSIGN_OR_RETURN(const double relative, Number(json["tolerance"], "rtol"));
  ASSIGN_OR_RETURN(const double absolute, Number(json["tolerance"], "atol"));
  const Tolerance tolerance{relative, absolute};
  Reports out;
  for (const Json& c : json["cases"]) {
    if (!c.is_object()) return Missing("cases");
    const std::string name = c.value("name", "?");
    const std::string modes = c.value("compatibility", "both");
    for (const auto mode : {Compatibility::kMonolith, Compatibility::kCorrected}) {
      const std::string_view mode_name = CompatibilityName(mode);
      if (modes != "both" && modes != mode_name) continue;
      const std::string family = StrCat("optimizers/", mode_name);
      Count(RunCase(c, mode, tolerance), StrCat(family, "/", name), &out[family]);
    }
  }
  size_t index = 0;
  for (const Json& s : json.value("schedules", Json::array())) {
    Count(RunSchedule(s, tolerance), StrCat("schedules/", index++), &out["schedules"]);
  }
  return out;
}

}  // namespace megalith::conformance
