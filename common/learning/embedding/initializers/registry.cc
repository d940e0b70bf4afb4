// Every initializer, by name.
#include <array>

#include "common/learning/embedding/initializers/initializer.h"

namespace megalith::embedding {

extern const InitializerDef kConstants;
extern const InitializerDef kOnes;
extern const InitializerDef kRandomUniform;
extern const InitializerDef kZeros;

std::span<const InitializerDef* const> Initializers() {
  static constexpr std::array kAll = {&kZeros, &kRandomUniform, &kOnes, &kConstants};
  return kAll;
}

}  // namespace megalith::embedding
