#include "common/programs/ops/precision.h"

#include "common/foundation/base/strings.h"

namespace megalith::ops {

Result<std::vector<stablehlo::Precision>> PrecisionOf(const Params& params) {
  using stablehlo::Precision;
  const ParamValue& given = params["precision"];
  if (given.is_none()) return std::vector<Precision>(2, Precision::kDefault);
  std::vector<Precision> out;
  for (size_t i = 0; i < 2; ++i) {
    const std::string& name = given.is_sequence() && i < given.elements().size()
                                  ? given.elements()[i].AsText()
                                  : given.AsText();
    if (name == "Precision.DEFAULT" || name == "DEFAULT") {
      out.push_back(Precision::kDefault);
    } else if (name == "Precision.HIGH" || name == "HIGH") {
      out.push_back(Precision::kHigh);
    } else if (name == "Precision.HIGHEST" || name == "HIGHEST") {
      out.push_back(Precision::kHighest);
    } else {
      return NotImplementedError(StrCat(params.op()->name, " with precision ",
                                        Printable(given.PythonText()), " is not supported"));
    }
  }
  return out;
}

}  // namespace megalith::ops
