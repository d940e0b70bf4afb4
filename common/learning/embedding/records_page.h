// The tables of docs/optimizers.md, printed from the records.
#pragma once

#include <string>

namespace megalith::embedding {

std::string RecordsMarkdown();

}  // namespace megalith::embedding
