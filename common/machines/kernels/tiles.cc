#include "common/machines/kernels/tiles.h"

#include "common/machines/kernels/isa.h"
#include "common/machines/kernels/tile_sets.h"

namespace megalith::kernels {
namespace {

constexpr TileSet kSets[] = {
    {"sse2", tiles_sse2::FindBasic, tiles_sse2::FindMath, tiles_sse2::FindConvert,
     tiles_sse2::FindRoundTo, tiles_sse2::FindReduce},
    {"avx2", tiles_avx2::FindBasic, tiles_avx2::FindMath, tiles_avx2::FindConvert,
     tiles_avx2::FindRoundTo, tiles_avx2::FindReduce},
    {"avx512", tiles_avx512::FindBasic, tiles_avx512::FindMath, tiles_avx512::FindConvert,
     tiles_avx512::FindRoundTo, tiles_avx512::FindReduce},
};

// Sets are in the order of Isa, and compiled for its levels.
const TileSet& Chosen() {
  static const TileSet& set = kSets[static_cast<size_t>(MachineIsa())];
  return set;
}

}  // namespace

std::span<const TileSet> TileSetsHere() {
  return {kSets, static_cast<size_t>(&Chosen() - kSets) + 1};
}

TileFn FindIn(const TileSet& set, ScalarOp op, DType operand, DType result) {
  if (op == ScalarOp::kConvert) return set.convert(operand, result);
  if (op == ScalarOp::kRoundTo) return set.round_to();
  if (const TileFn fn = set.math(op, operand)) return fn;
  return set.basic(op, operand, result);
}

TileFn FindTileFn(ScalarOp op, DType operand, DType result) {
  const ScalarOpInfo* info = FindScalarOp(op);
  if (info == nullptr || info->shape == ScalarShape::kSource || !Accepts(*info, operand)) {
    return nullptr;
  }
  return FindIn(Chosen(), op, operand, result);
}

TileFn FindReduceFn(ScalarOp op, DType type) { return Chosen().reduce(op, type); }

TileFn FindDecodeFn(DType storage) {
  if (storage != DType::kBF16 && storage != DType::kF16) return nullptr;
  return Chosen().convert(storage, DType::kF32);
}
TileFn FindEncodeFn(DType storage) {
  if (storage != DType::kBF16 && storage != DType::kF16) return nullptr;
  return Chosen().convert(DType::kF32, storage);
}

std::string_view TileInstructionSet() { return Chosen().name; }

}  // namespace megalith::kernels
