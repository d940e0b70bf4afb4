#include "common/learning/embedding/table_config.h"

namespace megalith::embedding {

std::string_view CompatibilityName(Compatibility compatibility) {
  return compatibility == Compatibility::kMonolith ? "monolith" : "corrected";
}

}  // namespace megalith::embedding
