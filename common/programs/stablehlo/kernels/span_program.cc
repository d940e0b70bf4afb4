#include "common/programs/stablehlo/kernels/span_program.h"

#include <algorithm>
#include <cstring>

#include "common/programs/stablehlo/kernels/strided.h"
#include "common/programs/stablehlo/op_def.h"

namespace megalith::stablehlo {

const SpanKernel* SpanProgram::OneBinaryStep() const {
  const bool one = steps.size() == 1 && results.size() == 1 && num_arguments == 2 &&
                   steps[0].num_in == 2 && steps[0].in[0] == 0 && steps[0].in[1] == 1 &&
                   results[0] == steps[0].out;
  return one ? &steps[0].kernel : nullptr;
}

int SpanProgram::ReturnedArgument() const {
  if (results.size() != 1 || registers[results[0]].source != Source::kArgument) return -1;
  return static_cast<int>(registers[results[0]].index);
}

const Op* OneOpBody(const Region& region) {
  if (region.ops.size() != 2 || region.args.size() != 2) return nullptr;
  const Op& op = region.ops[0];
  const bool direct = op.operands == region.args && region.ops[1].operands.size() == 1 &&
                      region.ops[1].operands[0] == op.first_result;
  return direct && op.def->has(kElementwise) ? &op : nullptr;
}

SpanRunner::SpanRunner(const SpanProgram& program, const Frame& frame, int64_t lanes)
    : program_(program), lanes_(std::max<int64_t>(lanes, 1)) {
  const auto bytes = [&](const SpanProgram::Register& r) {
    const size_t raw =
        static_cast<size_t>(lanes_) * static_cast<size_t>(tensor::ByteWidth(r.dtype));
    return (raw + 63) / 64 * 64;
  };
  size_t total = 64;
  for (const SpanProgram::Register& r : program.registers) {
    if (r.source != SpanProgram::Source::kArgument) total += bytes(r);
  }
  storage_.resize(total);
  where_.assign(program.registers.size(), nullptr);
  char* next = storage_.data() + (64 - reinterpret_cast<uintptr_t>(storage_.data()) % 64);
  for (uint32_t i = 0; i < program.registers.size(); ++i) {
    const SpanProgram::Register& r = program.registers[i];
    if (r.source == SpanProgram::Source::kArgument) {
      arguments_.emplace_back(i, r.index);
      continue;
    }
    where_[i] = next;
    if (r.source != SpanProgram::Source::kComputed) {
      const Tensor& value =
          r.source == SpanProgram::Source::kConstant ? r.constant : frame.slots[r.index];
      Fill(next, value.data(), lanes_, tensor::ByteWidth(r.dtype));
    }
    next += bytes(r);
  }
  // A computed register may live in its result's memory, since results do not overlap arguments;
  // the second result with the same register, and results that are arguments or constants, are
  // copied.
  for (uint32_t k = 0; k < program.results.size(); ++k) {
    const uint32_t r = program.results[k];
    const bool taken = std::ranges::any_of(direct_, [&](const auto& d) { return d.first == r; });
    const bool computed = program.registers[r].source == SpanProgram::Source::kComputed;
    (computed && !taken ? direct_ : copied_).emplace_back(r, k);
  }
}

void SpanRunner::Run(const void* const* arguments, void* const* results, int64_t n) {
  for (const auto& [r, argument] : arguments_) where_[r] = const_cast<void*>(arguments[argument]);
  for (const auto& [r, result] : direct_) where_[r] = results[result];
  for (const SpanProgram::Step& step : program_.steps) {
    const void* in[kMaxSpanOperands] = {};
    for (uint32_t k = 0; k < step.num_in; ++k) in[k] = where_[step.in[k]];
    step.kernel(in, where_[step.out], n);
  }
  for (const auto& [r, result] : copied_) {
    std::memcpy(results[result], where_[r],
                static_cast<size_t>(n * tensor::ByteWidth(program_.registers[r].dtype)));
  }
}

}  // namespace megalith::stablehlo
