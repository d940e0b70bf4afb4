// For tests only: small programs, each of which makes one rule fire.
#pragma once

#include <span>
#include <string_view>

namespace megalith::codegen {

struct PassCase {
  std::string_view rule;     // must fire at least once
  std::string_view program;  // the arguments and body of @main: "(%x: tensor<f32>) -> ... { ... }"
};

std::span<const PassCase> ArithmeticCases();
std::span<const PassCase> ShapeCases();
std::span<const PassCase> ControlCases();
std::span<const PassCase> LayoutCases();
std::span<const PassCase> KernelCases();

}  // namespace megalith::codegen
