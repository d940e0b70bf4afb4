// Which sub-graphs of a layout a container loads: `layout_filters` of agent.conf (spec
// agent-service.md, section 6).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/fleet/agent/expression.h"
#include "common/foundation/base/status.h"

namespace megalith::agent {

// Filters "match;condition", of which the first that matches and holds accepts. A match is a
// regular expression without look-around, anchored at its start, in which `{x}` stands for digits
// that the condition knows as x. In both, ${shard_id} and ${shard_num} stand for the container's.
// Immutable.
class LayoutFilters {
 public:
  // A filter without a condition holds always. Errors: kInvalidArgument  with the filter.
  static Result<LayoutFilters> Parse(const std::vector<std::string>& filters, int64_t shard_id,
                                     int64_t num_shard);
  LayoutFilters();  // accepts everything
  ~LayoutFilters();
  LayoutFilters(LayoutFilters&&) noexcept;
  LayoutFilters& operator=(LayoutFilters&&) noexcept;

  // Without filters everything is accepted. A condition that cannot be evaluated does not hold.
  bool Accepts(std::string_view sub_graph) const;
  // As the reference shows them: "ps_(?P<i>\d+);i % 2 == 0".
  std::vector<std::string> Texts() const;

 private:
  struct Filter;
  std::vector<std::unique_ptr<const Filter>> filters_;
};

}  // namespace megalith::agent
