#include "clients/cli/reports.h"

#include <cmath>
#include <cstdio>

#include "common/foundation/base/strings.h"

namespace megalith::cli {
namespace {

using Json = nlohmann::json;

std::string Number(double value, std::string_view unit) {
  char buffer[64];
  const int digits = std::fabs(value) >= 100 ? 0 : std::fabs(value) >= 10 ? 1 : 2;
  const int n = std::snprintf(buffer, sizeof(buffer), "%.*f", digits, value);
  return StrCat(std::string_view(buffer, static_cast<size_t>(n)), unit);
}

}  // namespace

std::string SecondsText(double seconds) {
  if (seconds >= 1) return Number(seconds, " s");
  return seconds >= 1e-3 ? Number(seconds * 1e3, " ms") : Number(seconds * 1e6, " us");
}

std::string CountText(double count) {
  if (count < 1000) return StrCat(static_cast<int64_t>(count));
  constexpr std::string_view kUnits[] = {" k", " M", " G", " T", " P"};
  size_t unit = 0;
  double value = count / 1000;
  while (value >= 1000 && unit + 1 < std::size(kUnits)) {
    value /= 1000;
    ++unit;
  }
  return Number(value, kUnits[unit]);
}

std::string TypeText(const common::v1::TypeProto& type) {
  return StrCat(type.dtype(), "[", Join(type.dims(), ","), "]", type.weak_type() ? "~" : "");
}

std::string SignatureText(const Types& inputs, const Types& outputs) {
  const auto list = [](const Types& types) {
    std::vector<std::string> texts;
    for (const common::v1::TypeProto& t : types) texts.push_back(TypeText(t));
    return StrCat("(", Join(texts, ", "), ")");
  };
  return StrCat(list(inputs), " -> ", list(outputs));
}

std::string TimingsText(const TimingList& timings) {
  std::vector<std::string> texts;
  for (const common::v1::Timing& t : timings)
    texts.push_back(StrCat(t.name(), " ", SecondsText(t.seconds())));
  return Join(texts, ", ");
}

std::string OutcomeText(compile::v1::CacheOutcome outcome) {
  constexpr std::string_view kPrefix = "cache_outcome_";
  const std::string name = AsciiLower(compile::v1::CacheOutcome_Name(outcome));
  return name.starts_with(kPrefix) ? name.substr(kPrefix.size())
                                   : StrCat("unknown outcome ", static_cast<int>(outcome));
}

Json TypesJson(const Types& types) {
  Json out = Json::array();
  for (const common::v1::TypeProto& t : types)
    out.push_back({{"dtype", t.dtype()},
                   {"shape", std::vector<int64_t>(t.dims().begin(), t.dims().end())},
                   {"weak_type", t.weak_type()}});
  return out;
}

Json TimingsJson(const TimingList& timings) {
  Json out = Json::array();
  for (const common::v1::Timing& t : timings)
    out.push_back({{"name", t.name()}, {"seconds", t.seconds()}});
  return out;
}

Json ComponentsJson(
    const google::protobuf::RepeatedPtrField<common::v1::KeyComponent>& components) {
  Json out = Json::array();
  for (const common::v1::KeyComponent& c : components) {
    Json json = {{"name", c.name()}, {"digest", c.digest()}};
    if (!c.text().empty()) json["text"] = c.text();
    out.push_back(std::move(json));
  }
  return out;
}

Json IdsJson(const common::v1::RequestIds& ids) {
  return {{"trace_id", ids.trace_id()},
          {"ledger_sequences",
           std::vector<uint64_t>(ids.ledger_sequences().begin(), ids.ledger_sequences().end())}};
}

Json CompileJson(const compile::v1::CompileResult& result) {
  const compile::v1::CostEstimate& cost = result.cost();
  return {{"key", result.key()},
          {"key_components", ComponentsJson(result.key_components())},
          {"inputs", TypesJson(result.signature().inputs())},
          {"outputs", TypesJson(result.signature().outputs())},
          {"cost",
           {{"flops", cost.flops()},
            {"transcendentals", cost.transcendentals()},
            {"bytes_accessed", cost.bytes_accessed()},
            {"peak_bytes", cost.peak_bytes()}}},
          {"cache", OutcomeText(result.cache())},
          {"timings", TimingsJson(result.timings())},
          {"ids", IdsJson(result.ids())}};
}

std::string CompileText(const compile::v1::CompileResult& result) {
  const compile::v1::CostEstimate& cost = result.cost();
  return StrCat("key        ", result.key(), "\nsignature  ",
                SignatureText(result.signature().inputs(), result.signature().outputs()),
                "\ncost       ", CountText(cost.flops()), " flops, ",
                CountText(cost.transcendentals()), " transcendentals, ",
                CountText(cost.bytes_accessed()), " bytes accessed, ", CountText(cost.peak_bytes()),
                " bytes at peak\ncache      ", OutcomeText(result.cache()), "\ntimings    ",
                TimingsText(result.timings()));
}

}  // namespace megalith::cli
