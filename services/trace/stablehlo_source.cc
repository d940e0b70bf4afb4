#include "services/trace/stablehlo_source.h"

#include <algorithm>

#include "common/foundation/base/strings.h"
#include "common/programs/stablehlo/artifact/jax_export.h"
#include "common/programs/stablehlo/parser.h"

namespace megalith::services {

namespace v1 = trace::v1;

bool IsStablehlo(const v1::ProgramSource& source) {
  return source.form_case() == v1::ProgramSource::kStablehloText ||
         source.form_case() == v1::ProgramSource::kStablehloArtifact;
}

Result<stablehlo::Module> ModuleFromProto(const v1::ProgramSource& source,
                                          const ir::ParseLimits& limits) {
  if (!source.in_avals().empty() || !source.consts().empty() || !source.rules().empty()) {
    return InvalidArgument(
        "in_avals, consts and rules belong to jaxpr_text; a StableHLO program carries its own");
  }
  stablehlo::Limits bounds;
  bounds.max_text_bytes = std::min(bounds.max_text_bytes, limits.max_bytes);
  bounds.max_ops = std::min(bounds.max_ops, limits.max_eqns);
  if (source.form_case() == v1::ProgramSource::kStablehloText)
    return stablehlo::ParseModule(source.stablehlo_text(), {.limits = bounds});
  stablehlo::artifact::ExportOptions options;
  options.artifact.limits = bounds;
  return stablehlo::artifact::ReadArtifactOrExport(source.stablehlo_artifact(), options);
}

bool IsIdentity(std::span<const pipeline::Transform> stack) {
  return std::ranges::all_of(stack, [](const auto& t) { return t.name == "jit"; });
}

ir::Aval AvalOf(const stablehlo::TensorType& type) {
  if (type.is_token) return {.dtype = tensor::DType::kBool, .weak_type = false, .shape = {0}};
  return {.dtype = type.dtype, .weak_type = false, .shape = type.shape};
}

Status CheckArgumentTypes(std::span<const ir::Aval> given, const stablehlo::Func& entry) {
  const std::vector<stablehlo::TensorType> types = entry.input_types();
  if (given.size() != types.size()) {
    return InvalidArgument(
        StrCat("the request types ", given.size(), " arguments, the program takes ", types.size()));
  }
  for (size_t i = 0; i < types.size(); ++i) {
    const ir::Aval own = AvalOf(types[i]);
    if (given[i].dtype != own.dtype || given[i].shape != own.shape) {
      return InvalidArgument(StrCat("argument ", i, " is ", given[i].Text(),
                                    " in the request, the program takes ", own.Text()));
    }
  }
  return OkStatus();
}

}  // namespace megalith::services
