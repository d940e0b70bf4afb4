#include "common/programs/ops/factor_lowering.h"

#include "common/programs/ops/factor_programs.h"
#include "common/programs/ops/lower.h"

namespace megalith::ops {
namespace {

// ---- library calls ----

// A target that JAX's own lowerings call: the original interface, with an empty configuration.
Values CallLibrary(LowerContext& c, std::string_view target,
                   const std::vector<TensorType>& results) {
  stablehlo::AttrDict attrs;
  SetAttr(&attrs, "backend_config", stablehlo::Attr::String(""));
  return c.b().CustomCall(target, c.ins(), results, std::move(attrs));
}

// A target of ours: typed, with flags in the dictionary that typed calls carry.
Values CallOurs(LowerContext& c, std::string_view target, const std::vector<TensorType>& results,
                std::initializer_list<std::pair<std::string_view, bool>> flags = {}) {
  stablehlo::AttrDict config;
  for (const auto& [name, value] : flags) SetAttr(&config, name, stablehlo::Attr::Bool(value));
  stablehlo::AttrDict attrs;
  SetAttr(&attrs, "api_version", stablehlo::Attr::Int(4, DType::kI32));
  SetAttr(&attrs, "mhlo.backend_config", stablehlo::Attr::Dict(std::move(config)));
  return c.b().CustomCall(target, c.ins(), results, std::move(attrs));
}

std::vector<TensorType> ResultTypes(const LowerContext& c) {
  std::vector<TensorType> out;
  for (size_t i = 0; i < c.out_avals().size(); ++i) out.push_back(c.out_type(i));
  return out;
}

// Refuses a choice of some of the eigenvalues or singular values, as JAX does off its accelerators.
Status CheckWhole(const LowerContext& c, int64_t count, std::string_view message) {
  const ParamValue& subset = c.params()["subset_by_index"];
  if (subset.is_none() || subset.AsInts() == Dims{0, count}) return OkStatus();
  return NotImplementedError(std::string(message));
}

bool IsText(const ParamValue& v, std::string_view text) {
  return v.kind() == ParamValue::Kind::kText && v.AsText() == text;
}

}  // namespace

Status LowerLu(LowerContext& c) {
  c.Out(c.Traced(c.ins(), c.in_avals(),
                 [](Builder& b, std::span<const Value> v) { return LuProgram(b, v[0]); }));
  return OkStatus();
}

Status LowerPivots(LowerContext& c) {
  const int64_t size = c.params().Int("permutation_size");
  c.Out(c.Traced(c.ins(), c.in_avals(), [size](Builder& b, std::span<const Value> v) {
    return std::vector<Value>{PivotsToPermutation(b, v[0], size)};
  }));
  return OkStatus();
}

Status LowerQr(LowerContext& c) {
  c.Out(c.Traced(c.ins(), c.in_avals(), [&c](Builder& b, std::span<const Value> v) {
    return QrProgram(b, v[0], c.params());
  }));
  return OkStatus();
}

Status LowerGeqrf(LowerContext& c) {
  c.Out(CallLibrary(c, "Qr", ResultTypes(c)));
  return OkStatus();
}

Status LowerHouseholderProduct(LowerContext& c) {
  c.Out(CallLibrary(c, "ProductOfElementaryHouseholderReflectors", ResultTypes(c)));
  return OkStatus();
}

Status LowerCholeskyUpdate(LowerContext& c) {
  c.Out(c.Traced(c.ins(), c.in_avals(), [](Builder& b, std::span<const Value> v) {
    return std::vector<Value>{CholeskyUpdateProgram(b, v[0], v[1])};
  }));
  return OkStatus();
}

Status LowerSymmetricProduct(LowerContext& c) {
  const double alpha = c.params()["alpha"].AsFloat();
  const double beta = c.params()["beta"].AsFloat();
  c.Out(c.Traced(c.ins(), c.in_avals(), [alpha, beta](Builder& b, std::span<const Value> v) {
    return std::vector<Value>{SymmetricProductProgram(b, v[0], v[1], alpha, beta)};
  }));
  return OkStatus();
}

Status LowerGeqp3(LowerContext& c) {
  c.Out(CallOurs(c, "megalith.geqp3", ResultTypes(c)));
  return OkStatus();
}

Status LowerTridiagonal(LowerContext& c) {
  c.Out(CallOurs(c, "megalith.tridiagonal", ResultTypes(c), {{"lower", c.params().Bool("lower")}}));
  return OkStatus();
}

Status LowerHessenberg(LowerContext& c) {
  c.Out(CallOurs(c, "megalith.hessenberg", ResultTypes(c)));
  return OkStatus();
}

// Eigenvalues come sorted whether that is asked for or not.
Status LowerEigh(LowerContext& c) {
  const Shape& shape = c.in_aval(0).shape;
  RETURN_IF_ERROR(
      CheckWhole(c, shape[shape.size() - 1], "subset_by_index not supported on CPU and GPU"));
  const ParamValue& algorithm = c.params()["algorithm"];
  if (IsText(algorithm, "EighImplementation.QDWH")) {
    return NotImplementedError("QDWH implementation is only supported on TPU");
  }
  if (IsText(algorithm, "EighImplementation.JACOBI")) {
    return NotImplementedError("Jacobi implementation is not supported on CPU");
  }
  c.Out(CallOurs(c, "megalith.eigh", ResultTypes(c), {{"lower", c.params().Bool("lower")}}));
  return OkStatus();
}

Status LowerSvd(LowerContext& c) {
  const Shape& shape = c.in_aval(0).shape;
  const int64_t k = std::min(shape[shape.size() - 1], shape[shape.size() - 2]);
  RETURN_IF_ERROR(CheckWhole(c, k, "subset_by_index not implemented for CPU and GPU"));
  const ParamValue& algorithm = c.params()["algorithm"];
  if (IsText(algorithm, "SvdAlgorithm.JACOBI") || IsText(algorithm, "SvdAlgorithm.POLAR")) {
    return NotImplementedError("The SVD Jacobi and Polar algorithms are not implemented on CPU.");
  }
  c.Out(CallOurs(c, "megalith.svd", ResultTypes(c),
                 {{"full_matrices", c.params().Bool("full_matrices")}}));
  return OkStatus();
}

Status LowerEig(LowerContext& c) {
  const Values results = CallOurs(c, "megalith.eig", ResultTypes(c),
                                  {{"left", c.params().Bool("compute_left_eigenvectors")},
                                   {"right", c.params().Bool("compute_right_eigenvectors")}});
  c.Out(results);
  return OkStatus();
}

Status LowerSchur(LowerContext& c) {
  if (c.params().Bool("sort_eig_vals")) {
    return NotImplementedError("The sort feature of LAPACK's gees routine is not implemented.");
  }
  c.Out(CallOurs(c, "megalith.schur", ResultTypes(c)));
  return OkStatus();
}

}  // namespace megalith::ops
