#include "common/machines/runtime/executable.h"

#include "common/foundation/base/strings.h"

namespace megalith::runtime {

Status CheckTensors(std::span<const Tensor> tensors, std::span<const TensorSpec> specs,
                    std::string_view what) {
  if (tensors.size() != specs.size()) {
    return InvalidArgument(StrCat("got ", tensors.size(), " ", what, "s, wanted ", specs.size()));
  }
  for (size_t i = 0; i < specs.size(); ++i) {
    if (tensors[i].dtype() == specs[i].dtype && tensors[i].shape() == specs[i].shape) continue;
    return InvalidArgument(StrCat(what, " ", i, " is ", tensors[i].TypeText(), ", wanted ",
                                  tensor::TypeText(specs[i].dtype, specs[i].shape)));
  }
  return OkStatus();
}

Result<std::vector<Tensor>> Executable::Run(std::span<const Tensor> inputs,
                                            const RunOptions& options) const {
  RETURN_IF_ERROR(CheckTensors(inputs, signature().inputs, "input"));
  return RunChecked(inputs, options);
}

Result<std::vector<Tensor>> Executable::RunTaking(std::vector<Tensor> inputs,
                                                  const RunOptions& options) const {
  RETURN_IF_ERROR(CheckTensors(inputs, signature().inputs, "input"));
  return RunTakingChecked(std::move(inputs), options);
}

}  // namespace megalith::runtime
