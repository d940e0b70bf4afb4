// The routines of each instruction set; tiles.cc chooses among them.
#pragma once

#include <span>

#include "common/machines/kernels/tiles.h"

namespace megalith::kernels {

// What one instruction set offers; each gives nullptr for what it does not have.
struct TileSet {
  std::string_view name;
  TileFn (*basic)(ScalarOp op, DType operand, DType result);
  TileFn (*math)(ScalarOp op, DType operand);
  TileFn (*convert)(DType from, DType to);
  TileFn (*round_to)();
  TileFn (*reduce)(ScalarOp op, DType type);
};

// The sets this processor can run, the best last.
std::span<const TileSet> TileSetsHere();
// As FindTileFn, in one of them; the operation must accept the operand.
TileFn FindIn(const TileSet& set, ScalarOp op, DType operand, DType result);

namespace tiles_sse2 {
TileFn FindBasic(ScalarOp op, DType operand, DType result);
TileFn FindMath(ScalarOp op, DType operand);
TileFn FindConvert(DType from, DType to);
TileFn FindRoundTo();
TileFn FindReduce(ScalarOp op, DType type);
}  // namespace tiles_sse2
namespace tiles_avx2 {
TileFn FindBasic(ScalarOp op, DType operand, DType result);
TileFn FindMath(ScalarOp op, DType operand);
TileFn FindConvert(DType from, DType to);
TileFn FindRoundTo();
TileFn FindReduce(ScalarOp op, DType type);
}  // namespace tiles_avx2
namespace tiles_avx512 {
TileFn FindBasic(ScalarOp op, DType operand, DType result);
TileFn FindMath(ScalarOp op, DType operand);
TileFn FindConvert(DType from, DType to);
TileFn FindRoundTo();
TileFn FindReduce(ScalarOp op, DType type);
}  // namespace tiles_avx512

}  // namespace megalith::kernels
