// The places where the original's executed code is a defect or a trap, and what is done about each
// in either Compatibility (embedding-tables.md section 13; the numbers are its).
#pragma once

#include <span>
#include <string_view>

namespace megalith::embedding {

struct Quirk {
  int number = 0;
  std::string_view original;
  std::string_view monolith;
  std::string_view corrected;  // empty: as monolith
};

// Those of rows, combiners and fids, by number; other libraries keep their own.
std::span<const Quirk> Quirks();

}  // namespace megalith::embedding
