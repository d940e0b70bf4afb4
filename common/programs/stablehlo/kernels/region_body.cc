#include "common/programs/stablehlo/kernels/region_body.h"

#include <algorithm>
#include <cstring>
#include <optional>

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

namespace {

// The body of result i alone, if that is one op on arguments i and n + i: of those two, in this
// order.
std::optional<Region> BodyOfOne(const Region& region, size_t i) {
  const size_t n = region.args.size() / 2;
  const ValueId a = region.args[i], b = region.args[n + i];
  const ValueId result = region.ops.back().operands[i];
  const auto op = std::ranges::find_if(region.ops, [&](const Op& o) {
    return o.num_results == 1 && o.first_result == result && o.def->has(kElementwise);
  });
  if (op == region.ops.end() || op->operands.size() != 2) return std::nullopt;
  const bool swapped = op->def->has(kCommutative) && op->operands[0] == b && op->operands[1] == a;
  if (!swapped && !(op->operands[0] == a && op->operands[1] == b)) return std::nullopt;
  Region one;
  one.args = {a, b};
  one.ops = {*op, region.ops.back()};
  one.ops[0].operands = one.args;
  one.ops[1].operands = {result};
  return one;
}

// Makes a one-op body on narrow floats compute in f32.
Status WidenFold(const Region& region, Fold* fold) {
  RegionBody& body = fold->body;
  const Op* op = OneOpBody(region);
  if (op == nullptr || body.one_step == nullptr || !tensor::IsFloat(body.results[0]) ||
      ComputeType(body.results[0]) == body.results[0]) {
    return OkStatus();
  }
  auto program = std::make_shared<SpanProgram>(*body.program);
  for (SpanProgram::Register& r : program->registers) r.dtype = DType::kF32;
  const DType operands[] = {DType::kF32, DType::kF32};
  ASSIGN_OR_RETURN(program->steps[0].kernel,
                   op->def->span(*op, std::span<const DType>(operands), DType::kF32));
  body.arguments = {DType::kF32, DType::kF32};
  body.results = {DType::kF32};
  body.one_step = &program->steps[0].kernel;
  body.program = std::move(program);
  fold->widened = true;
  return OkStatus();
}

}  // namespace

Result<std::vector<Fold>> MakeFolds(Planner& planner, const Region& region) {
  const size_t n = region.args.size() / 2;
  std::vector<Region> bodies;
  for (size_t i = 0; i < n; ++i) {
    std::optional<Region> one = BodyOfOne(region, i);
    if (!one) break;
    bodies.push_back(*std::move(one));
  }
  std::vector<Fold> folds(bodies.size() == n ? n : 1);
  for (size_t i = 0; i < folds.size(); ++i) {
    const Region& body = bodies.size() == n ? bodies[i] : region;
    folds[i].first = i;
    folds[i].count = n / folds.size();
    ASSIGN_OR_RETURN(folds[i].body, MakeBody(planner, body));
    RETURN_IF_ERROR(WidenFold(body, &folds[i]));
  }
  return folds;
}

Status RunFold(const Fold& fold, KernelCall& call, const RunArrays& run) {
  const size_t arrays = call.in.size() / 2;
  const auto in = call.in.subspan(fold.first, fold.count);
  const auto inits = call.in.subspan(arrays + fold.first, fold.count);
  const auto out = call.out.subspan(fold.first, fold.count);
  if (!fold.widened) return run(in, inits, out);
  const auto allocate = [&](const Tensor& like) {
    return call.run.Allocate({DType::kF32, like.shape()});
  };
  const DType narrow = out[0].dtype();
  Tensor wide[2], result;
  const Tensor* given[] = {&in[0], &inits[0]};
  for (size_t k = 0; k < 2; ++k) {
    ASSIGN_OR_RETURN(wide[k], allocate(*given[k]));
    DecodeChunk(narrow, given[k]->data(), wide[k].mutable_data(), given[k]->size());
  }
  ASSIGN_OR_RETURN(result, allocate(out[0]));
  RETURN_IF_ERROR(run(std::span(wide, 1), std::span(wide + 1, 1), std::span(&result, 1)));
  EncodeChunk(narrow, result.data(), out[0].mutable_data(), result.size());
  return OkStatus();
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
