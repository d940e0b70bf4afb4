#include "common/programs/stablehlo/kernels/region_body.h"

#include <cstring>

#include "common/programs/stablehlo/kernels/span_loops.h"
#include "common/programs/stablehlo/op_def.h"

namespace megalith::stablehlo {

Result<RegionBody> MakeBody(Planner& planner, const Region& region) {
  RegionBody body;
  for (const ValueId v : region.args) body.arguments.push_back(planner.type(v).dtype);
  for (const ValueId v : region.ops.back().operands) body.results.push_back(planner.type(v).dtype);
  ASSIGN_OR_RETURN(body.program, planner.CompileSpan(region));
  if (body.program == nullptr) {
    ASSIGN_OR_RETURN(body.plan, planner.PlanRegion(region));
    return body;
  }
  body.one_step = body.program->OneBinaryStep();
  const Op* op = OneOpBody(region);
  body.commutative = body.one_step != nullptr && op != nullptr && op->def->has(kCommutative);
  return body;
}

Result<RegionBody> WidenBody(const RegionBody& body, const Region& region, bool* widened) {
  *widened = false;
  const Op* op = OneOpBody(region);
  if (op == nullptr || body.one_step == nullptr || !tensor::IsFloat(body.results[0]) ||
      ComputeType(body.results[0]) == body.results[0]) {
    return body;
  }
  auto program = std::make_shared<SpanProgram>(*body.program);
  for (SpanProgram::Register& r : program->registers) r.dtype = DType::kF32;
  const DType operands[] = {DType::kF32, DType::kF32};
  ASSIGN_OR_RETURN(program->steps[0].kernel,
                   op->def->span(*op, std::span<const DType>(operands), DType::kF32));
  RegionBody wide = body;
  wide.arguments = {DType::kF32, DType::kF32};
  wide.results = {DType::kF32};
  wide.one_step = &program->steps[0].kernel;
  wide.program = std::move(program);
  *widened = true;
  return wide;
}

BodyRunner::BodyRunner(const RegionBody& body, Run& run, Frame& frame, int64_t lanes)
    : body_(body), run_(run), frame_(frame), lanes_(lanes) {
  if (body.program != nullptr) runner_ = std::make_unique<SpanRunner>(*body.program, frame, lanes);
  if (body.one_step != nullptr) return;
  size_t total = 0;
  for (const DType d : body.results) total += static_cast<size_t>(lanes * tensor::ByteWidth(d));
  scratch_.resize(total);
  char* next = scratch_.data();
  for (const DType d : body.results) {
    scratch_results_.push_back(next);
    next += lanes * tensor::ByteWidth(d);
  }
}

Status BodyRunner::Apply(const void* const* arguments, void* const* results, int64_t n) {
  if (body_.one_step != nullptr) {
    (*body_.one_step)(arguments, results[0], n);
    return OkStatus();
  }
  if (runner_ != nullptr) {
    runner_->Run(arguments, scratch_results_.data(), n);
  } else {
    RETURN_IF_ERROR(Interpret(arguments, scratch_results_.data(), n));
  }
  for (size_t i = 0; i < scratch_results_.size(); ++i) {
    std::memcpy(results[i], scratch_results_[i],
                static_cast<size_t>(n * tensor::ByteWidth(body_.results[i])));
  }
  return OkStatus();
}

// One element at a time, as scalar tensors through the planned region.
Status BodyRunner::Interpret(const void* const* arguments, void* const* results, int64_t n) {
  std::vector<Tensor> args(body_.arguments.size());
  std::vector<Tensor> out;
  for (int64_t i = 0; i < n; ++i) {
    for (size_t k = 0; k < args.size(); ++k) {
      const auto width = static_cast<size_t>(tensor::ByteWidth(body_.arguments[k]));
      ASSIGN_OR_RETURN(args[k], Tensor::CreateUninitialized(body_.arguments[k], Shape{}));
      std::memcpy(args[k].mutable_data(),
                  static_cast<const char*>(arguments[k]) + static_cast<size_t>(i) * width, width);
    }
    out.clear();
    RETURN_IF_ERROR(RunRegion(*body_.plan, run_, frame_, args, &out));
    for (size_t k = 0; k < out.size(); ++k) {
      const auto width = static_cast<size_t>(tensor::ByteWidth(body_.results[k]));
      std::memcpy(static_cast<char*>(results[k]) + static_cast<size_t>(i) * width, out[k].data(),
                  width);
    }
  }
  return OkStatus();
}

}  // namespace megalith::stablehlo
