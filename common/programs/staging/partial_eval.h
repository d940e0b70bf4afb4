// Partial evaluation: splitting a trace into what can run now and what must wait.
#pragma once

#include <optional>
#include <vector>

#include "common/programs/ir/builder.h"

namespace megalith::staging {

// Sends every equation that needs no unknown value to `known`, every other one to `unknown`, where
// values of `known` may be used as residuals. Rules that emit through it are thereby partially
// evaluated.
class SplitBuilder final : public ir::Builder {
 public:
  SplitBuilder(ir::Builder& known, ir::Builder& unknown)
      : Builder(known.session()), known_(known), unknown_(unknown) {}
  bool IsUnknown(const ir::Value& v) const { return unknown_.Owns(v); }
  // Constants are known.
  ir::Value Const(const tensor::Tensor& value, bool weak = false) override {
    return known_.Const(value, weak);
  }
  ir::Value Scalar(const ir::Literal& literal) override { return known_.Scalar(literal); }

 protected:
  std::vector<ir::Value> Process(const ir::OpDef& op, std::shared_ptr<const ir::Params> params,
                                 std::span<const ir::Value> operands) override;

 private:
  ir::Builder& known_;
  ir::Builder& unknown_;
};

// Where a later half gets a residual from: the first half gives it (own), or it is an input or a
// constant of the whole.
struct Residual {
  int input = -1;
  std::optional<tensor::Tensor> constant;
  bool own() const { return input < 0 && !constant; }
};

// Values of residuals: the next of `given` for own ones, inputs, and constants made in `b`.
std::vector<ir::Value> ResidualValues(ir::Builder& b, const std::vector<Residual>& residuals,
                                      std::span<const ir::Value> given,
                                      std::span<const ir::Value> inputs);

struct KnownUnknown {
  ir::JaxprPtr known;    // known inputs -> known outputs, then own residuals
  ir::JaxprPtr unknown;  // residuals, then unknown inputs -> unknown outputs
  std::vector<bool> unknown_outs;
  std::vector<Residual> residuals;  // `input` counts known inputs
};

// Splits a nested program by which of its inputs are unknown. Residuals that are known inputs whose
// `forward` entry (one per input of `jaxpr`; empty: none) is true are not repeated among the
// outputs of `known`, nor are constants if `forward` is given at all. Outputs whose `instantiate`
// entry is true are unknown in any case.
Result<KnownUnknown> PartialEval(ir::Session& session, const ir::JaxprPtr& jaxpr,
                                 const std::vector<bool>& unknown_ins,
                                 const std::vector<bool>& forward = {},
                                 const std::vector<bool>& instantiate = {});

struct SplitJaxprs {
  ir::JaxprPtr known;   // known inputs -> known outputs, then residuals
  ir::JaxprPtr staged;  // residuals, then instantiated inputs -> instantiated outputs
  std::vector<bool> unknown_outs;
  std::vector<bool> inst_outs;
  size_t num_res = 0;
};

// Splits by policy, for rematerialisation: known values that the staged side needs are residuals if
// the policy lets them be saved, otherwise they are computed on both sides.
Result<SplitJaxprs> SplitByPolicy(ir::Session& session, const ir::JaxprPtr& jaxpr,
                                  const std::vector<bool>& unknown_ins,
                                  const std::vector<bool>& inst_ins,
                                  const std::vector<bool>& ensure_unknown_outs,
                                  const std::vector<bool>& ensure_inst_outs, ir::SavePolicy policy);

}  // namespace megalith::staging
