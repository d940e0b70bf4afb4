#include "clients/cli/profile_report.h"

#include <algorithm>
#include <cstdio>
#include <set>
#include <vector>

#include "clients/cli/reports.h"
#include "clients/cli/session.h"
#include "common/foundation/base/strings.h"

namespace megalith::cli {
namespace {

using Json = nlohmann::json;
using execute::v1::KernelProfile;
using execute::v1::RunEvent;
using execute::v1::RunProfile;

constexpr int kProcess = 1;
constexpr size_t kNameWidth = 60;

std::vector<const KernelProfile*> DearestFirst(const RunProfile& profile) {
  std::vector<const KernelProfile*> kernels;
  for (const KernelProfile& k : profile.kernels()) kernels.push_back(&k);
  std::stable_sort(kernels.begin(), kernels.end(),
                   [](const auto* a, const auto* b) { return a->seconds() > b->seconds(); });
  return kernels;
}

// Billions of `amount` per second; 0 if nothing is known.
double Rate(double amount, const KernelProfile& k) {
  return k.seconds() > 0 ? amount * static_cast<double>(k.calls()) / k.seconds() / 1e9 : 0;
}

std::string RateText(double rate) {
  if (rate <= 0) return "-";
  char text[32];
  std::snprintf(text, sizeof text, "%.2f", rate);
  return text;
}

double Share(const KernelProfile& k, const RunProfile& profile) {
  return profile.seconds() > 0 ? k.seconds() / profile.seconds() : 0;
}

std::string PercentText(double share) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f%%", 100 * share);
  return text;
}

Json Named(const char* what, uint32_t thread, const std::string& name) {
  return {
      {"ph", "M"}, {"name", what}, {"pid", kProcess}, {"tid", thread}, {"args", {{"name", name}}}};
}

}  // namespace

std::string ProfileTable(const RunProfile& profile) {
  TextTable table(
      {"kernel", "kind", "tier", "calls", "total", "mean", "share", "GB/s", "GFLOP/s", "threads"});
  double kernels = 0;
  for (const KernelProfile* k : DearestFirst(profile)) {
    kernels += k->seconds();
    table.Add({Printable(k->name(), kNameWidth), k->kind(), k->tier(), StrCat(k->calls()),
               SecondsText(k->seconds()),
               SecondsText(k->seconds() / static_cast<double>(std::max<uint64_t>(k->calls(), 1))),
               PercentText(Share(*k, profile)), RateText(Rate(k->bytes(), *k)),
               RateText(Rate(k->flops(), *k)), StrCat(k->threads())});
  }
  const double rest = std::max(0.0, profile.seconds() - kernels);
  return StrCat(table.Render(), "\nrun ", SecondsText(profile.seconds()), ", outside of kernels ",
                SecondsText(rest), ", ", profile.events_size(), " events",
                profile.events_left_out() == 0
                    ? std::string()
                    : StrCat(", ", profile.events_left_out(), " further calls only counted"));
}

Json ProfileJson(const RunProfile& profile) {
  Json kernels = Json::array();
  for (const KernelProfile* k : DearestFirst(profile)) {
    kernels.push_back({{"name", k->name()},
                       {"kind", k->kind()},
                       {"tier", k->tier()},
                       {"shapes", k->shapes()},
                       {"calls", k->calls()},
                       {"seconds", k->seconds()},
                       {"share", Share(*k, profile)},
                       {"bytes", k->bytes()},
                       {"flops", k->flops()},
                       {"gigabytes_per_second", Rate(k->bytes(), *k)},
                       {"gigaflops_per_second", Rate(k->flops(), *k)},
                       {"threads", k->threads()}});
  }
  return {{"seconds", profile.seconds()},
          {"events_left_out", profile.events_left_out()},
          {"kernels", kernels}};
}

std::string ChromeTrace(const RunProfile& profile, const std::string& program) {
  Json events = Json::array();
  events.push_back(Named("process_name", 0, program));
  std::set<uint32_t> workers = {0};
  for (const RunEvent& e : profile.events()) workers.insert(e.worker());
  for (const uint32_t w : workers)
    events.push_back(Named("thread_name", w, w == 0 ? "run" : StrCat("helper ", w)));
  for (const RunEvent& e : profile.events()) {
    if (e.kernel() >= static_cast<uint32_t>(profile.kernels_size())) continue;
    const KernelProfile& k = profile.kernels(static_cast<int>(e.kernel()));
    events.push_back({{"ph", "X"},
                      {"name", k.name()},
                      {"cat", k.kind()},
                      {"pid", kProcess},
                      {"tid", e.worker()},
                      {"ts", static_cast<double>(e.begin_ns()) / 1e3},
                      {"dur", static_cast<double>(e.end_ns() - e.begin_ns()) / 1e3},
                      {"args",
                       {{"kind", k.kind()},
                        {"tier", k.tier()},
                        {"shapes", k.shapes()},
                        {"bytes", k.bytes()},
                        {"flops", k.flops()},
                        {"threads", k.threads()}}}});
  }
  return Json{
      {"displayTimeUnit", "ns"}, {"traceEvents", events}, {"otherData", ProfileJson(profile)}}
      .dump(-1, ' ', /*ensure_ascii=*/true, Json::error_handler_t::replace);
}

}  // namespace megalith::cli
