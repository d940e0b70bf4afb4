#include "common/machines/codegen/custom_calls.h"

#include "common/machines/codegen/effects.h"
#include "common/machines/kernels/library.h"
#include "common/programs/stablehlo/host_calls.h"
#include "common/programs/stablehlo/lapack_calls.h"
#include "common/programs/stablehlo/op_def.h"

namespace megalith::codegen {
namespace {

using stablehlo::Attr;
using stablehlo::AttrKind;
using stablehlo::Func;
using stablehlo::LapackCall;
using stablehlo::LapackRoutine;
using stablehlo::Op;
using Params = std::vector<int64_t>;

// ---- lapack_*_ffi ----

Params PotrfParams(const LapackCall& c, bool) { return {c.option(0) == 'L' ? 1 : 0}; }
Params TrsmParams(const LapackCall& c, bool) {
  const int64_t transpose = c.option(2) == 'N' ? 0 : c.option(2) == 'T' ? 1 : 2;
  return {c.option(0) == 'L', c.option(1) == 'L', c.option(3) == 'U', transpose};
}
Params NoParams(const LapackCall&, bool) { return {}; }
Params GeqrfParams(const LapackCall&, bool) { return {0, 1}; }
Params OrgqrParams(const LapackCall&, bool) { return {0}; }
Params Geqp3Params(const LapackCall&, bool) { return {0, 1, 2}; }
Params SvdParams(const LapackCall& c, bool) {
  if (c.option(0) == 'N') return {0, 1, -1, -1, 4};
  return {c.option(0) == 'A' ? 2 : 1, 1, 2, 3, 4};
}
Params SyevdParams(const LapackCall& c, bool) {
  return {c.option(1) == 'L', c.option(0) == 'V' ? 0 : -1, 1, 2};
}
Params GeevParams(const LapackCall& c, bool complex) {
  const int64_t left = c.option(0) == 'V', right = c.option(1) == 'V';
  if (complex) return {left, right, 0, -1, -1, 1, 2, 3};
  return {left, right, -1, 0, 1, 2, 3, 4};
}
Params GeesParams(const LapackCall& c, bool complex) {
  const int64_t vectors = c.option(0) == 'V';
  if (complex) return {vectors, 0, 1, 2, -1, -1, 4};
  return {vectors, 0, 1, -1, 2, 3, 5};
}
Params GehrdParams(const LapackCall&, bool) { return {0, 1, 2}; }
Params SytrdParams(const LapackCall& c, bool) { return {c.option(0) == 'L', 0, 1, 2, 3, 4}; }

struct LapackKernelRow {
  LapackRoutine routine;
  std::string_view kernel;
  Params (*params)(const LapackCall& call, bool complex);
};
constexpr LapackKernelRow kLapackRows[] = {
    {LapackRoutine::kPotrf, "cholesky", PotrfParams},
    {LapackRoutine::kGetrf, "lu", NoParams},
    {LapackRoutine::kTrsm, "triangular_solve", TrsmParams},
    {LapackRoutine::kGeqrf, "lapack.geqrf", GeqrfParams},
    {LapackRoutine::kGeqp3, "lapack.geqp3", Geqp3Params},
    {LapackRoutine::kOrgqr, "lapack.orgqr", OrgqrParams},
    {LapackRoutine::kGesdd, "lapack.gesdd", SvdParams},
    {LapackRoutine::kGesvd, "lapack.gesvd", SvdParams},
    {LapackRoutine::kSyevd, "lapack.syevd", SyevdParams},
    {LapackRoutine::kGeev, "lapack.geev", GeevParams},
    {LapackRoutine::kGees, "lapack.gees", GeesParams},
    {LapackRoutine::kGehrd, "lapack.gehrd", GehrdParams},
    {LapackRoutine::kSytrd, "lapack.sytrd", SytrdParams},
};

std::optional<LibraryCall> LapackLibraryCall(const Op& op, const Func& func) {
  std::vector<stablehlo::TensorType> results;
  for (uint32_t i = 0; i < op.num_results; ++i) results.push_back(func.type(op.result(i)));
  const Result<LapackCall> call = stablehlo::ReadLapackCall(op, func, results);
  if (!call.ok()) return std::nullopt;
  for (const LapackKernelRow& row : kLapackRows) {
    if (row.routine != call->row->routine) continue;
    const bool complex = tensor::IsComplex(func.type(op.operands[0]).dtype);
    return LibraryCall{std::string(row.kernel), kernels::PackParams(row.params(*call, complex)),
                       op.operands};
  }
  return std::nullopt;
}

// ---- our own, and those of JAX's default lowerings ----

bool Flag(const Op& op, std::string_view name) {
  const Attr& config = op.attr("mhlo.backend_config");
  if (config.kind() != AttrKind::kDict) return false;
  const Attr& value = stablehlo::FindAttr(config.AsDict(), name);
  return value.kind() == AttrKind::kBool && value.AsBool();
}

Params OwnQr(const Op&) { return {0, 1}; }
Params OwnProduct(const Op&) { return {0}; }
Params OwnPivotedQr(const Op&) { return {0, 1, 2}; }
Params OwnTridiagonal(const Op& op) { return {Flag(op, "lower"), 0, 1, 2, 3, -1}; }
Params OwnHessenberg(const Op&) { return {0, 1, -1}; }
Params OwnEigh(const Op& op) { return {Flag(op, "lower"), 0, 1, -1}; }
Params OwnSvd(const Op& op) {
  if (op.num_results == 1) return {0, 0, -1, -1, -1};
  return {Flag(op, "full_matrices") ? 2 : 1, 0, 1, 2, -1};
}
Params OwnEig(const Op& op) {
  const int64_t left = Flag(op, "left"), right = Flag(op, "right");
  return {left, right, 0, -1, -1, left != 0 ? 1 : -1, right != 0 ? 1 + left : -1, -1};
}
Params OwnSchur(const Op& op) {
  const int64_t vectors = op.num_results > 1 ? 1 : 0;
  return {vectors, 0, vectors != 0 ? 1 : -1, -1, -1, -1, -1};
}

struct OwnRow {
  std::string_view target, kernel;
  Params (*params)(const Op& op);
};
constexpr OwnRow kOwnRows[] = {
    {"Qr", "lapack.geqrf", OwnQr},
    {"ProductOfElementaryHouseholderReflectors", "lapack.orgqr", OwnProduct},
    {"megalith.geqp3", "lapack.geqp3", OwnPivotedQr},
    {"megalith.tridiagonal", "lapack.sytrd", OwnTridiagonal},
    {"megalith.hessenberg", "lapack.gehrd", OwnHessenberg},
    {"megalith.eigh", "lapack.syevd", OwnEigh},
    {"megalith.svd", "lapack.gesdd", OwnSvd},
    {"megalith.eig", "lapack.geev", OwnEig},
    {"megalith.schur", "lapack.gees", OwnSchur},
};

}  // namespace

std::optional<LibraryCall> CustomLibraryCall(const Op& op, const Func& func) {
  const std::string& target = op.attr("call_target_name").AsText();
  if (stablehlo::FindLapackRow(target) != nullptr) return LapackLibraryCall(op, func);
  if (stablehlo::IsHostCall(op)) {
    const Result<uint64_t> id = stablehlo::HostCallId(op);
    if (!id.ok()) return std::nullopt;
    const Params params = {static_cast<int64_t>(*id)};
    return LibraryCall{std::string(kHostCallKernel.name), kernels::PackParams(params), op.operands};
  }
  for (const OwnRow& row : kOwnRows) {
    if (row.target != target) continue;
    return LibraryCall{std::string(row.kernel), kernels::PackParams(row.params(op)), op.operands};
  }
  return std::nullopt;
}

}  // namespace megalith::codegen
