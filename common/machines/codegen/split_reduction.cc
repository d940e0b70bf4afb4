#include "common/machines/codegen/split_reduction.h"

#include <algorithm>
#include <bit>
#include <limits>

namespace megalith::codegen {
namespace {

using kernels::ScalarOp;
using runtime::LoopAccess;
using runtime::LoopKernel;
using runtime::LoopStage;
using runtime::ReduceKind;
using tensor::DType;

// Fewer elements than this are faster added up where they are.
constexpr int64_t kLeastElements = 1 << 17;
// With this many independent results there is enough to share.
constexpr int64_t kManyResults = 128;
constexpr int64_t kMostParts = 16;

uint64_t SmallestBits(DType type) {
  if (type == DType::kF32) {
    return std::bit_cast<uint32_t>(-std::numeric_limits<float>::infinity());
  }
  if (type == DType::kF64) {
    return std::bit_cast<uint64_t>(-std::numeric_limits<double>::infinity());
  }
  if (!tensor::IsSigned(type)) return 0;
  return uint64_t{1} << (tensor::ByteWidth(type) * 8 - 1);
}

uint64_t OnesBits(DType type) {
  if (type == DType::kBool) return 1;
  const int bits = tensor::ByteWidth(type) * 8;
  return bits == 64 ? UINT64_MAX : (uint64_t{1} << bits) - 1;
}

uint64_t LargestBits(DType type) {
  if (type == DType::kF32) return std::bit_cast<uint32_t>(std::numeric_limits<float>::infinity());
  if (type == DType::kF64) return std::bit_cast<uint64_t>(std::numeric_limits<double>::infinity());
  if (!tensor::IsSigned(type)) return OnesBits(type);
  return OnesBits(type) >> 1;
}

uint64_t OneBits(DType type) {
  if (type == DType::kF32) return std::bit_cast<uint32_t>(1.0F);
  if (type == DType::kF64) return std::bit_cast<uint64_t>(1.0);
  return 1;
}

// What changes nothing when it is combined.
uint64_t IdentityBits(ReduceKind kind, DType type) {
  switch (kind) {
    case ReduceKind::kProduct:
      return OneBits(type);
    case ReduceKind::kMaximum:
      return SmallestBits(type);
    case ReduceKind::kMinimum:
      return LargestBits(type);
    case ReduceKind::kAnd:
      return OnesBits(type);
    default:
      return 0;
  }
}

}  // namespace

int64_t PartsOf(const LoopKernel& kernel) {
  const LoopStage& stage = kernel.stages[0];
  if (stage.reductions.size() != 1 || stage.stores.size() != 1 || stage.dims.empty()) return 1;
  int64_t inner = 1;
  for (const runtime::LoopDim& d : stage.dims) inner *= d.extent;
  const int64_t outer = kernel.OuterPoints();
  if (outer == 0 || outer >= kManyResults || inner * outer < kLeastElements) return 1;
  // Positions along the split dimension must matter to addresses only.
  const auto split = static_cast<uint32_t>(kernel.outer.size());
  for (const LoopAccess& a : stage.loads) {
    for (const runtime::LoopGuard& g : a.guards) {
      if (g.dim == split) return 1;
    }
  }
  for (const runtime::LoopInstr& i : stage.instrs) {
    if (i.op == ScalarOp::kIndex && i.imm >= split) return 1;
  }
  for (int64_t parts = std::min(kMostParts, stage.dims[0].extent); parts > 1; --parts) {
    if (stage.dims[0].extent % parts == 0) return parts;
  }
  return 1;
}

LoopKernel SplitReduction(int64_t parts, DType type, LoopKernel* kernel) {
  LoopStage& stage = kernel->stages[0];
  const auto split = static_cast<int64_t>(kernel->outer.size());
  const int64_t results = kernel->OuterPoints();

  LoopKernel rest;
  rest.name = kernel->name + " rest";
  rest.buffers = 2;
  rest.outer = kernel->outer;
  rest.vector_outer = results > 1;
  LoopStage& last = rest.stages.emplace_back();
  last.dims = {{parts, true}};
  LoopAccess load{0, type, 0, {}, {}, {}, 0};
  int64_t stride = results;
  for (const int64_t extent : kernel->outer) {
    stride /= extent;
    load.strides.push_back(stride);
  }
  load.strides.push_back(results);
  last.loads = {load};
  last.instrs = {{ScalarOp::kLoad, type, {0, 0, 0}, 0}};
  last.reductions = {{stage.reductions[0].kind, 0, stage.reductions[0].init}};
  runtime::LoopStore store = stage.stores[0];
  store.to.buffer = 1;
  store.to.strides.resize(kernel->outer.size());
  store.to.strides.push_back(0);
  last.stores = {store};

  stage.dims[0].extent /= parts;
  const int64_t length = stage.dims[0].extent;
  const auto part_dim = [&](std::vector<int64_t>* strides) {
    strides->insert(strides->begin(), (*strides)[static_cast<size_t>(split)] * length);
  };
  for (LoopAccess& a : stage.loads) {
    part_dim(&a.strides);
    for (runtime::LoopIndexTerm& t : a.terms) part_dim(&t.strides);
    for (runtime::LoopGuard& g : a.guards) ++g.dim;
  }
  for (runtime::LoopInstr& i : stage.instrs) {
    if (i.op == ScalarOp::kIndex) ++i.imm;
  }
  stage.reductions[0].init = IdentityBits(stage.reductions[0].kind, type);
  LoopAccess& to = stage.stores[0].to;
  to.dtype = type;
  to.offset = 0;
  to.strides.assign(1 + kernel->outer.size() + stage.dims.size(), 0);
  for (size_t d = 0; d <= kernel->outer.size(); ++d) {
    to.strides[d] = d == 0 ? results : load.strides[d - 1];
  }
  kernel->outer.insert(kernel->outer.begin(), parts);
  return rest;
}

}  // namespace megalith::codegen
