#include "common/programs/stablehlo/kernels/library_calls.h"

namespace megalith::stablehlo {
namespace {

// The first two are what JAX's default lowerings call; the others are ours, for what JAX knows on
// its own platforms only.
constexpr LibraryCall kCalls[] = {
    {"Qr", PrepareQr},
    {"ProductOfElementaryHouseholderReflectors", PrepareReflectorProduct},
    {"megalith.geqp3", PreparePivotedQr},
    {"megalith.tridiagonal", PrepareTridiagonal},
    {"megalith.hessenberg", PrepareHessenberg},
    {"megalith.eigh", PrepareEigh},
    {"megalith.svd", PrepareSvd},
    {"megalith.eig", PrepareEig},
    {"megalith.schur", PrepareSchur},
};

}  // namespace

const LibraryCall* FindLibraryCall(std::string_view target) {
  for (const LibraryCall& call : kCalls) {
    if (call.target == target) return &call;
  }
  return nullptr;
}

}  // namespace megalith::stablehlo
