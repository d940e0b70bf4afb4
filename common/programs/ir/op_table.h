// Primitives by name.
#pragma once

#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace megalith::ir {

struct OpDef;

// Built once from the families of programs/ops (or from a test's own records); immutable
// afterwards, so it may be shared by any number of threads. Borrows the records, which are
// constants.
class OpTable {
 public:
  explicit OpTable(std::span<const std::span<const OpDef>> families);
  // nullptr if there is no such primitive.
  const OpDef* Find(std::string_view name) const;
  // In family order.
  const std::vector<const OpDef*>& all() const { return all_; }

 private:
  std::vector<const OpDef*> all_;
  std::unordered_map<std::string_view, const OpDef*> by_name_;
};

}  // namespace megalith::ir
