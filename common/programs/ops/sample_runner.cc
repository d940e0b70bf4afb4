#include "common/programs/ops/sample_runner.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "common/foundation/base/strings.h"
#include "common/foundation/tensor/physical.h"
#include "common/programs/autodiff/jvp.h"
#include "common/programs/autodiff/linearize.h"
#include "common/programs/autodiff/transpose.h"
#include "common/programs/batching/batching.h"
#include "common/programs/ir/check.h"
#include "common/programs/ir/emit.h"
#include "common/programs/ir/parse.h"
#include "common/programs/lowering/lowering.h"
#include "common/programs/ops/registry.h"
#include "common/programs/stablehlo/evaluate.h"
#include "common/programs/stablehlo/verify.h"

namespace megalith::ops {

using ir::Aval;
using ir::Builder;
using ir::Domain;
using ir::DType;
using ir::JaxprPtr;
using ir::Value;

namespace {

std::string ReplaceAll(std::string text, std::string_view from, std::string_view to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
  return text;
}

// "0.5:f32[]" rather than a binder such as "a:f32[]".
bool HasFloatLiteral(std::string_view text) {
  for (size_t at = text.find(":f32[]"); at != std::string_view::npos;
       at = text.find(":f32[]", at + 1)) {
    if (at > 0 && text[at - 1] >= '0' && text[at - 1] <= '9') return true;
  }
  return false;
}

std::vector<Value> Inputs(Builder& b, const ir::Jaxpr& jaxpr) {
  std::vector<Value> out;
  for (const ir::VarId v : jaxpr.invars()) out.push_back(b.Input(jaxpr.aval(v)));
  return out;
}

}  // namespace

std::string Instantiate(const ir::Sample& sample, std::string_view op, DType dtype) {
  std::string text(sample.program);
  if (dtype != DType::kF32) {
    const bool has_complex = text.find("c64") != std::string::npos;
    if (text.find("64[") != std::string::npos && !has_complex) return "";
    if (has_complex && dtype != DType::kF64) return "";
    if (HasFloatLiteral(text) && !tensor::IsFloat(dtype)) return "";
    text = ReplaceAll(text, "c64", "c128");
    text = ReplaceAll(text, "complex64", "complex128");
    text = ReplaceAll(text, "f32", tensor::Name(dtype));
    text = ReplaceAll(text, "float32", tensor::NumpyName(dtype));
  }
  return ReplaceAll(text, "= OP", StrCat("= ", op));
}

Result<JaxprPtr> LoadSample(const std::string& text) {
  ASSIGN_OR_RETURN(const JaxprPtr parsed, ir::ParseJaxpr(text, AllOps()));
  ASSIGN_OR_RETURN(const ir::ClosedJaxpr checked, ir::CheckProgram(ir::Closed(parsed)));
  return checked.jaxpr;
}

namespace {

double DrawFloat(Domain domain, Rng& rng) {
  const double u = rng.Uniform();
  switch (domain) {
    case Domain::kPositive:
      return 0.3 + 2.2 * u;
    case Domain::kUnit:
      return 0.05 + 0.9 * u;
    case Domain::kAboveOne:
      return 1.1 + 1.9 * u;
    case Domain::kNonZero:
      return (rng.Below(2) == 0 ? -1 : 1) * (0.4 + 1.6 * u);
    case Domain::kSmallInt:
      return static_cast<double>(rng.Below(7));
    case Domain::kReal:
    case Domain::kIndex:
      break;
  }
  return 4 * u - 2;
}

int64_t DrawInt(DType dtype, Domain domain, Rng& rng) {
  const auto below = [&rng](uint64_t bound) { return static_cast<int64_t>(rng.Below(bound)); };
  if (tensor::IsBool(dtype)) return below(2);
  const bool can_be_negative = tensor::IsSigned(dtype);
  const int64_t most = tensor::BitWidth(dtype) <= 2 ? 1 : 5;
  switch (domain) {
    case Domain::kPositive:
      return 1 + below(static_cast<uint64_t>(most));
    case Domain::kUnit:
      return below(2);
    case Domain::kAboveOne:
      return most == 1 ? 1 : 2 + below(4);
    case Domain::kNonZero:
      return (can_be_negative && below(2) == 0 ? -1 : 1) * (1 + below(static_cast<uint64_t>(most)));
    case Domain::kSmallInt:
      return below(7) % (most + 2);
    case Domain::kIndex:
      return below(3) % (most + 1);
    case Domain::kReal:
      break;
  }
  return can_be_negative ? below(static_cast<uint64_t>(2 * most)) - most
                         : below(static_cast<uint64_t>(most + 1));
}

}  // namespace

Tensor Draw(const Aval& aval, Domain domain, Rng& rng) {
  Tensor t = *Tensor::Create(aval.dtype, aval.shape);
  if (tensor::IsKey(aval.dtype)) {
    auto* bytes = static_cast<uint8_t*>(t.mutable_data());
    for (size_t i = 0; i < t.byte_size(); ++i) bytes[i] = static_cast<uint8_t>(rng.Next());
    return t;
  }
  for (int64_t i = 0; i < t.size() && !tensor::IsFloat0(aval.dtype); ++i) {
    if (tensor::IsComplex(aval.dtype)) {
      const double real = DrawFloat(domain, rng);
      t.SetComplex(i, {real, DrawFloat(domain, rng)});
    } else if (tensor::IsFloat(aval.dtype)) {
      t.SetDouble(i, DrawFloat(domain, rng));
    } else {
      t.SetInt(i, DrawInt(aval.dtype, domain, rng));
    }
  }
  return t;
}

Tensors DrawInputs(const ir::Jaxpr& jaxpr, Domain domain, Rng& rng) {
  Tensors out;
  for (const ir::VarId v : jaxpr.invars()) out.push_back(Draw(jaxpr.aval(v), domain, rng));
  return out;
}

Result<Tensors> Evaluate(const JaxprPtr& jaxpr, const Tensors& inputs) {
  ASSIGN_OR_RETURN(const stablehlo::Module module,
                   lowering::Lower({ir::Closed(jaxpr), "f"}, AllOps()));
  RETURN_IF_ERROR(stablehlo::Verify(module).Annotate("lowered module"));
  Tensors physical;
  for (const Tensor& t : inputs) physical.push_back(tensor::ToPhysical(t));
  ASSIGN_OR_RETURN(Tensors results, stablehlo::Evaluate(module, physical));
  const std::vector<Aval> avals = jaxpr->OutAvals();
  for (size_t i = 0; i < results.size(); ++i) {
    ASSIGN_OR_RETURN(results[i],
                     tensor::FromPhysical(results[i], {avals[i].dtype, avals[i].shape, false}));
  }
  return results;
}

Result<JaxprPtr> JvpOf(const JaxprPtr& jaxpr) {
  ir::Session session(AllOps());
  Builder b(session);
  const std::vector<Value> primals = Inputs(b, *jaxpr);
  std::vector<Value> tangents;
  for (const Value& x : primals) {
    tangents.push_back(tensor::IsInexact(x.dtype()) ? b.Input(x.aval().Tangent()) : Value());
  }
  const ir::JvpResult results = autodiff::EvalJvp(b, *jaxpr, {}, primals, tangents);
  RETURN_IF_ERROR(b.status());
  std::vector<Value> outs = results.primals;
  for (size_t i = 0; i < results.primals.size(); ++i) {
    if (!tensor::IsInexact(results.primals[i].dtype())) continue;
    outs.push_back(ir::InstantiateZeros(b, results.tangents[i], results.primals[i].aval()));
  }
  return b.Finish(outs);
}

Result<JaxprPtr> VjpOf(const JaxprPtr& jaxpr) {
  ir::Session session(AllOps());
  Builder b(session);
  const std::vector<Value> primals = Inputs(b, *jaxpr);
  std::vector<bool> wanted;
  for (const Value& x : primals) wanted.push_back(tensor::IsInexact(x.dtype()));
  std::vector<Value> given;
  for (const Aval& a : jaxpr->OutAvals())
    given.push_back(tensor::IsInexact(a.dtype) ? b.Input(a.Tangent()) : Value());
  std::vector<Value> primal_outs;
  ASSIGN_OR_RETURN(const autodiff::LinearMap map,
                   autodiff::Linearize(b, *jaxpr, {}, primals, wanted, &primal_outs));
  std::vector<Value> cts;
  for (size_t i = 0; i < given.size(); ++i) {
    if (map.nonzero_out[i]) cts.push_back(given[i]);
  }
  std::vector<ir::LinearOperand> inputs;
  for (const ir::VarId v : map.jaxpr->invars())
    inputs.push_back({Value(), map.jaxpr->aval(v), true});
  const std::vector<Value> results =
      autodiff::BackwardPass(b, *map.jaxpr, map.residuals, inputs, cts);
  RETURN_IF_ERROR(b.status());
  std::vector<Value> outs;
  size_t next = 0;
  for (size_t i = 0; i < primals.size(); ++i) {
    if (wanted[i]) outs.push_back(ir::InstantiateZeros(b, results[next++], primals[i].aval()));
  }
  return b.Finish(outs);
}

Result<JaxprPtr> VmapOf(const JaxprPtr& jaxpr, const std::vector<int>& in_dims, int64_t size) {
  ir::Session session(AllOps());
  const std::vector<batching::OutDim> at_front(jaxpr->outs().size(),
                                               {batching::OutDim::Kind::kAt, 0});
  ASSIGN_OR_RETURN(const batching::BatchedJaxpr batched,
                   batching::BatchJaxprTo(session, jaxpr, in_dims,
                                          ir::AxisData{.name = {}, .size = size}, at_front));
  return batched.jaxpr;
}

Tensor TakeAlong(const Tensor& t, int dim, int64_t i) {
  tensor::Shape shape = t.shape();
  const auto at = static_cast<size_t>(dim);
  int64_t inner = 1;
  for (size_t d = at + 1; d < shape.size(); ++d) inner *= shape[d];
  const int64_t size = shape[at];
  shape.erase(at);
  Tensor out = *Tensor::Create(t.dtype(), shape);
  const auto width = static_cast<int64_t>(tensor::ByteWidth(t.dtype()));
  const int64_t run = inner * width;
  const int64_t runs = run == 0 ? 0 : static_cast<int64_t>(out.byte_size()) / run;
  for (int64_t r = 0; r < runs; ++r) {
    std::memcpy(static_cast<char*>(out.mutable_data()) + r * run,
                static_cast<const char*>(t.data()) + (r * size + i) * run,
                static_cast<size_t>(run));
  }
  return out;
}

Tensor Stack(const Tensors& parts) {
  tensor::Shape shape = parts[0].shape();
  shape.insert(0, static_cast<int64_t>(parts.size()));
  Tensor out = *Tensor::Create(parts[0].dtype(), shape);
  size_t at = 0;
  for (const Tensor& p : parts) {
    if (p.byte_size() > 0)
      std::memcpy(static_cast<char*>(out.mutable_data()) + at, p.data(), p.byte_size());
    at += p.byte_size();
  }
  return out;
}

Tensor Moved(const Tensor& x, const Tensor& direction, double scale) {
  Tensor out = *Tensor::Create(x.dtype(), x.shape());
  for (int64_t i = 0; i < x.size(); ++i) {
    if (tensor::IsComplex(x.dtype())) {
      out.SetComplex(i, x.ComplexAt(i) + scale * direction.ComplexAt(i));
    } else {
      out.SetDouble(i, x.DoubleAt(i) + scale * direction.DoubleAt(i));
    }
  }
  return out;
}

double Pairing(const Tensors& a, const Tensors& b) {
  double sum = 0;
  for (size_t k = 0; k < a.size(); ++k) {
    for (int64_t i = 0; i < a[k].size(); ++i) sum += (a[k].ComplexAt(i) * b[k].ComplexAt(i)).real();
  }
  return sum;
}

double Distance(const Tensor& a, const Tensor& b) {
  constexpr double kFar = std::numeric_limits<double>::infinity();
  if (a.dtype() != b.dtype() || !(a.shape() == b.shape())) return kFar;
  if (!tensor::IsInexact(a.dtype())) return a.bytes() == b.bytes() ? 0 : kFar;
  double difference = 0;
  double magnitude = 1;
  const auto compare = [&](double x, double y) {
    if (x == y || (std::isnan(x) && std::isnan(y))) return;
    const double d = std::abs(x - y);
    difference = std::isnan(d) ? kFar : std::max(difference, d);
    magnitude = std::max({magnitude, std::abs(x), std::abs(y)});
  };
  for (int64_t i = 0; i < a.size(); ++i) {
    compare(a.ComplexAt(i).real(), b.ComplexAt(i).real());
    compare(a.ComplexAt(i).imag(), b.ComplexAt(i).imag());
  }
  return difference / magnitude;
}

}  // namespace megalith::ops
