#include "common/fleet/agent/layout_filter.h"

#include <re2/re2.h>

#include <algorithm>
#include <utility>

#include "common/foundation/base/strings.h"

namespace megalith::agent {
namespace {

constexpr int kMaxGroups = 32;
constexpr int64_t kMaxRegexBytes = 1 << 20;  // that a filter's automaton may take

std::string Replace(std::string text, std::string_view what, const std::string& by) {
  for (size_t at = 0; (at = text.find(what, at)) != text.npos; at += by.size()) {
    text.replace(at, what.size(), by);
  }
  return text;
}

// "{x}" becomes "(?P<x>\d+)"; other braces stay, "\d{2}" for example.
std::string ToRegex(std::string_view match) {
  std::string out;
  while (!match.empty()) {
    const size_t begin = match.find('{');
    const size_t end = begin == match.npos ? match.npos : match.find('}', begin);
    if (end == match.npos) break;
    const std::string_view name = match.substr(begin + 1, end - begin - 1);
    const bool repetition = name.find_first_not_of("0123456789,") == name.npos;
    StrAppend(&out, match.substr(0, begin));
    if (repetition) {
      StrAppend(&out, "{", name, "}");
    } else {
      StrAppend(&out, "(?P<", name, ">\\d+)");
    }
    match.remove_prefix(end + 1);
  }
  StrAppend(&out, match);
  return out;
}

}  // namespace

struct LayoutFilters::Filter {
  Filter(const std::string& regex, const RE2::Options& options) : match(regex, options) {}
  RE2 match;
  std::string condition_text;
  Expression condition;
  std::vector<int> groups;  // of the names that the condition knows
};

LayoutFilters::LayoutFilters() = default;
LayoutFilters::~LayoutFilters() = default;
LayoutFilters::LayoutFilters(LayoutFilters&&) noexcept = default;
LayoutFilters& LayoutFilters::operator=(LayoutFilters&&) noexcept = default;

Result<LayoutFilters> LayoutFilters::Parse(const std::vector<std::string>& filters,
                                           int64_t shard_id, int64_t num_shard) {
  LayoutFilters out;
  for (const std::string& raw : filters) {
    std::string text = Replace(raw, "${shard_id}", StrCat(std::max<int64_t>(shard_id, 0)));
    text = Replace(std::move(text), "${shard_num}", StrCat(std::max<int64_t>(num_shard, 1)));
    const std::string where = StrCat("layout filter '", Printable(raw), "'");
    const size_t semicolon = text.find(';');
    RE2::Options options;
    options.set_log_errors(false);
    options.set_max_mem(kMaxRegexBytes);
    auto filter = std::make_unique<Filter>(
        ToRegex(std::string_view(text).substr(0, std::min(semicolon, text.size()))), options);
    if (!filter->match.ok()) {
      return InvalidArgument(StrCat(where, ": ", Printable(filter->match.error())));
    }
    if (filter->match.NumberOfCapturingGroups() >= kMaxGroups) {
      return InvalidArgument(StrCat(where, ": has more than ", kMaxGroups - 1, " groups"));
    }
    std::vector<std::string> names;
    for (const auto& [name, group] : filter->match.NamedCapturingGroups()) {
      names.push_back(name);
      filter->groups.push_back(group);
    }
    filter->condition_text = semicolon == text.npos ? "True" : text.substr(semicolon + 1);
    auto condition = Expression::Parse(filter->condition_text, names);
    if (!condition.ok()) return condition.status().Annotate(where);
    filter->condition = *std::move(condition);
    out.filters_.push_back(std::move(filter));
  }
  return out;
}

bool LayoutFilters::Accepts(std::string_view sub_graph) const {
  if (filters_.empty()) return true;
  const re2::StringPiece text(sub_graph.data(), sub_graph.size());
  for (const auto& filter : filters_) {
    re2::StringPiece groups[kMaxGroups];
    const int count = filter->match.NumberOfCapturingGroups() + 1;
    if (!filter->match.Match(text, 0, text.size(), RE2::ANCHOR_START, groups, count)) continue;
    std::vector<int64_t> values;
    for (const int group : filter->groups) {
      const auto value = ParseInt(std::string_view(groups[group].data(), groups[group].size()));
      if (!value) break;
      values.push_back(*value);
    }
    if (values.size() != filter->groups.size()) continue;
    const auto holds = filter->condition.Evaluate(values);
    if (holds.ok() && holds->truth()) return true;
  }
  return false;
}

std::vector<std::string> LayoutFilters::Texts() const {
  std::vector<std::string> out;
  for (const auto& filter : filters_) {
    out.push_back(StrCat(filter->match.pattern(), ";", filter->condition_text));
  }
  return out;
}

}  // namespace megalith::agent
