#include "common/programs/pipeline/jacobian.h"

#include <algorithm>

#include "common/foundation/base/strings.h"
#include "common/programs/autodiff/jvp.h"
#include "common/programs/autodiff/linearize.h"
#include "common/programs/autodiff/transpose.h"
#include "common/programs/batching/batching.h"
#include "common/programs/ir/emit.h"
#include "common/programs/staging/jaxpr_ops.h"

namespace megalith::pipeline {
namespace {

using ir::Aval;
using ir::Builder;
using ir::Dims;
using ir::DType;
using ir::ParamValue;
using ir::Shape;
using ir::Value;
using Avals = std::vector<Aval>;
using Values = std::vector<Value>;

// The common dtype of inexact types, as jnp.result_type gives it.
DType ResultType(const Avals& avals) {
  bool complex = false;
  DType real = DType::kInvalid;
  for (const Aval& a : avals) {
    complex = complex || tensor::IsComplex(a.dtype);
    const DType d = tensor::RealPart(a.dtype);
    if (real == DType::kInvalid || real == d) {
      real = d;
    } else if (tensor::BitWidth(real) == tensor::BitWidth(d)) {
      real = DType::kF32;  // f16 with bf16
    } else if (tensor::BitWidth(d) > tensor::BitWidth(real)) {
      real = d;
    }
  }
  if (!complex) return real;
  return real == DType::kF64 ? DType::kC128 : DType::kC64;
}

int64_t Size(const Aval& a) { return tensor::NumElements(a.shape).value_or(0); }

// Of all together, or more than any array can have.
int64_t TotalSize(const Avals& avals) {
  constexpr int64_t kTooMany = int64_t{1} << 61;
  int64_t n = 0;
  for (const Aval& a : avals) n = std::min(n, kTooMany) + Size(a);
  return n;
}

// Converts to the example's type. `placed` keeps the equation even where nothing changes: JAX gives
// the standard basis a sharding of its own.
Value DowncastLike(Builder& b, Value x, const Aval& example, bool placed) {
  if (tensor::IsComplex(x.dtype()) && !tensor::IsComplex(example.dtype)) x = b.Emit1("real", {x});
  return b.Emit1("convert_element_type", {x},
                 {{"new_dtype", ParamValue::Type(example.dtype)},
                  {"weak_type", ParamValue::Bool(example.weak_type)},
                  {"placed", ParamValue::Bool(placed)}});
}

// Cuts `x` along `axis` into pieces for `leaves` and gives each piece the leaf's shape in place of
// that axis and the type of `example`. Without an example `x` is the standard basis, and each piece
// takes its leaf's type.
Values Unravel(Builder& b, Value x, size_t axis, const Avals& leaves, const Aval* example) {
  Dims sizes;
  for (const Aval& leaf : leaves) sizes.push_back(Size(leaf));
  const Values parts = b.EmitN("split", std::vector<Value>{x},
                               {{"axis", ParamValue::Int(static_cast<int64_t>(axis))},
                                {"sizes", ir::IntTuple::Numpy(sizes).Param()}});
  Values out;
  if (!b.ok()) return out;
  for (size_t i = 0; i < leaves.size(); ++i) {
    Shape shape;
    for (size_t d = 0; d < axis; ++d) shape.push_back(x.shape()[d]);
    for (const int64_t d : leaves[i].shape) shape.push_back(d);
    for (size_t d = axis + 1; d < x.rank(); ++d) shape.push_back(x.shape()[d]);
    const Value reshaped = ir::Reshape(b, parts[i], shape);
    out.push_back(
        DowncastLike(b, reshaped, example != nullptr ? *example : leaves[i], example == nullptr));
  }
  return out;
}

// All directions of the space of `leaves`: one array per leaf with the direction as leading
// dimension.
Values StandardBasis(Builder& b, const Avals& leaves) {
  if (leaves.empty()) {
    b.Fail(ValueError("at least one array or dtype is required"));
    return {};
  }
  const int64_t n = TotalSize(leaves);
  const Shape square{n, n};
  const DType index = b.session().x64() ? DType::kI64 : DType::kI32;
  const Value rows = ir::Iota(b, index, square, 0);
  const Value columns = ir::Iota(b, index, square, 1);
  const Value shifted = ir::Add(b, rows, b.Lit(ir::Literal::Int(index, 0)));
  const Value diagonal = b.Emit1("eq", {shifted, columns});
  const Value basis = ir::ConvertElementType(b, diagonal, ResultType(leaves));
  return Unravel(b, basis, 1, leaves, nullptr);
}

}  // namespace

Result<std::vector<size_t>> ResolveArgnums(const Transform& t, size_t num_args) {
  std::vector<size_t> out;
  const auto n = static_cast<int64_t>(num_args);
  int64_t most = INT64_MIN;
  for (const int64_t a : t.argnums) most = std::max(most, a);
  if (t.argnums.empty()) return TypeError("argnums must not be empty");
  if (most >= n) {
    return TypeError(
        StrCat("differentiating with respect to argnums=", t.argnums_is_list ? "(" : "",
               Join(t.argnums, ", "), t.argnums_is_list ? ")" : "", " requires at least ", most + 1,
               " positional arguments to be passed by the caller, but got only ", n,
               " positional arguments."));
  }
  for (const int64_t a : t.argnums) {
    if (a < -n)
      return ValueError(
          StrCat("argnums ", a, " is out of bounds for ", n, " positional arguments"));
    const auto i = static_cast<size_t>(a < 0 ? a + n : a);
    if (std::find(out.begin(), out.end(), i) != out.end())
      return ValueError("argnums name an argument twice");
    out.push_back(i);
  }
  return out;
}

Result<Values> EmitJacfwd(Builder& b, const Transform& t, const Callee& f,
                          std::span<const Value> args) {
  ASSIGN_OR_RETURN(const std::vector<size_t> argnums, ResolveArgnums(t, args.size()));
  Avals leaves;
  for (const size_t i : argnums) leaves.push_back(args[i].aval());
  const Values basis = StandardBasis(b, leaves);
  RETURN_IF_ERROR(b.status());
  const Values constants = b.BindConsts(*f.jaxpr, f.captured);
  // The JVP as a program of constants, primals and one direction, then mapped over directions.
  Builder push(b.session());
  Values consts;
  for (const Value& c : constants) consts.push_back(push.Input(c.aval()));
  Values primals;
  for (const Value& v : args) primals.push_back(push.Input(v.aval()));
  Values tangents(args.size());
  for (const size_t i : argnums) tangents[i] = push.Input(args[i].aval().Tangent());
  const ir::JvpResult jvp = autodiff::EvalJvp(push, *f.jaxpr, consts, primals, tangents);
  RETURN_IF_ERROR(push.status());
  const size_t num_outs = jvp.primals.size();
  Values outs = jvp.primals;
  for (size_t i = 0; i < num_outs; ++i) {
    outs.push_back(ir::InstantiateZeros(push, jvp.tangents[i], jvp.primals[i].aval()));
  }
  ASSIGN_OR_RETURN(const ir::JaxprPtr jaxpr, push.Finish(outs));
  Values inputs = constants;
  inputs.insert(inputs.end(), args.begin(), args.end());
  std::vector<int> dims(inputs.size(), ir::kUnmapped);
  inputs.insert(inputs.end(), basis.begin(), basis.end());
  dims.resize(inputs.size(), 0);
  const int64_t size = TotalSize(leaves);
  const ir::BatchResult r =
      batching::EvalBatched(b, *jaxpr, {}, inputs, dims, ir::AxisData{"", size});
  RETURN_IF_ERROR(b.status());
  Values jacobians;
  for (size_t i = 0; i < num_outs; ++i) {
    const Value& tangent = r.values[num_outs + i];
    const int from = r.dims[num_outs + i];
    const auto last = static_cast<int>(tangent.rank()) - (from == ir::kUnmapped ? 0 : 1);
    jacobians.push_back(batching::MatchAxis(b, tangent, from, last, size));
  }
  Values out;
  for (size_t i = 0; i < num_outs; ++i) {
    const Aval y = r.values[i].aval();
    const Values parts = Unravel(b, jacobians[i], jacobians[i].rank() - 1, leaves, &y);
    out.insert(out.end(), parts.begin(), parts.end());
  }
  RETURN_IF_ERROR(b.status());
  return out;
}

Result<Values> EmitJacrev(Builder& b, const Transform& t, const Callee& f,
                          std::span<const Value> args) {
  ASSIGN_OR_RETURN(const std::vector<size_t> argnums, ResolveArgnums(t, args.size()));
  std::vector<bool> wanted(args.size(), false);
  for (const size_t i : argnums) wanted[i] = true;
  const Values consts = b.BindConsts(*f.jaxpr, f.captured);
  Values ys;
  ASSIGN_OR_RETURN(const autodiff::LinearMap map,
                   autodiff::Linearize(b, *f.jaxpr, consts, args, wanted, &ys));
  Avals y_avals;
  for (const Value& y : ys) y_avals.push_back(y.aval());
  const Values basis = StandardBasis(b, y_avals);
  RETURN_IF_ERROR(b.status());
  // The pullback as a program of residuals and cotangents, then mapped over directions.
  Builder pull(b.session());
  Values residuals;
  for (const Value& r : map.residuals) residuals.push_back(pull.Input(r.aval()));
  Values all_cts;
  Values cts;
  for (size_t i = 0; i < ys.size(); ++i) {
    all_cts.push_back(pull.Input(y_avals[i].Tangent()));
    if (map.nonzero_out[i]) cts.push_back(all_cts.back());
  }
  std::vector<ir::LinearOperand> inputs;
  for (const ir::VarId v : map.jaxpr->invars())
    inputs.push_back({Value(), map.jaxpr->aval(v), true});
  Values in_cts = autodiff::BackwardPass(pull, *map.jaxpr, residuals, inputs, cts);
  RETURN_IF_ERROR(pull.status());
  for (size_t i = 0; i < in_cts.size(); ++i) {
    if (!in_cts[i]) in_cts[i] = ir::Zeros(pull, inputs[i].aval);
  }
  ASSIGN_OR_RETURN(const ir::JaxprPtr jaxpr, pull.Finish(in_cts));
  Values operands = map.residuals;
  std::vector<int> dims(operands.size(), ir::kUnmapped);
  operands.insert(operands.end(), basis.begin(), basis.end());
  dims.resize(operands.size(), 0);
  const int64_t size = TotalSize(y_avals);
  ir::BatchResult r = batching::EvalBatched(b, *jaxpr, {}, operands, dims, ir::AxisData{"", size});
  RETURN_IF_ERROR(b.status());
  for (size_t i = 0; i < r.values.size(); ++i)
    r.values[i] = batching::MatchAxis(b, r.values[i], r.dims[i], 0, size);
  // Arguments outside, outputs inside while emitting; the result lists outputs outside.
  std::vector<Values> by_arg(args.size());
  size_t next = 0;
  std::vector<Value> per_arg(args.size());
  for (size_t i = 0; i < args.size(); ++i) {
    if (wanted[i]) per_arg[i] = r.values[next++];
  }
  for (const size_t i : argnums) {
    const Aval example = args[i].aval();
    by_arg[i] = Unravel(b, per_arg[i], 0, y_avals, &example);
  }
  RETURN_IF_ERROR(b.status());
  Values out;
  for (size_t y = 0; y < ys.size(); ++y) {
    for (const size_t i : argnums) out.push_back(by_arg[i][y]);
  }
  return out;
}

}  // namespace megalith::pipeline
