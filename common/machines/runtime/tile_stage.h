// A stage of a kernel made ready for the tile interpreter: what loop_tiles.cc runs and
// tile_stage.cc prepares.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "common/machines/kernels/tiles.h"
#include "common/machines/runtime/tile_access.h"

namespace megalith::runtime {

// Registers are numbered over all stages. A register is an array of lanes, or, if all lanes hold
// one value, a splat block of kernels::kSplatBytes.
struct TileRegister {
  uint64_t place = 0;  // bytes into scratch; or number of the block in TileLayout::constants
  bool constant = false;
};

enum class TileStepKind : uint8_t { kCompute, kLoad, kIndex };

struct TileStep {
  TileStepKind kind = TileStepKind::kCompute;
  bool splat = false;  // the result is a splat
  uint8_t width = 1;   // bytes of an element of the result
  DType type = DType::kInvalid;
  uint32_t splats = 0;  // operands that are
  uint32_t reg = 0;     // result
  uint32_t in[3] = {0, 0, 0};
  uint64_t imm = 0;              // of a load: its fill
  kernels::TileFn fn = nullptr;  // kCompute; kLoad of a narrow float: decodes
  uint32_t access = 0;           // kLoad
  uint64_t raw = 0;              // kLoad that decodes: where the elements are gathered, in scratch
  // kIndex: a dimension stepped through (number in TileStage::dims.seq), or else one of the lanes,
  // with that many lanes to a position.
  bool of_lanes = false;
  uint32_t seq = 0;
  int64_t inner = 1, extent = 1;
  int32_t direct_store = -1;  // kCompute: the store whose place takes the result at once
};

struct TileReduction {
  uint32_t value = 0;  // register
  bool splat = false;
  uint8_t width = 1;
  uint64_t acc = 0;   // in scratch: one element per lane
  uint32_t init = 0;  // register: a splat
  kernels::TileFn fn = nullptr, copy = nullptr;
  kernels::TileFn all = nullptr;  // combines an array; may be missing
};

struct TileStoreStep {
  TileAccess to;
  uint32_t value = 0;  // a register, or a reduction
  bool splat = false;
  bool direct = false;             // the last step wrote it
  kernels::TileFn copy = nullptr;  // copies or encodes
  uint64_t raw = 0;                // in scratch: where elements stand before they are scattered
};

struct TileStage {
  TileDims dims;
  // Positions in dims.seq: [0, first) are set before the stage, [first, reduced) are stepped
  // through for each result, [reduced, end) within a result.
  uint32_t first = 0, reduced = 0;
  std::vector<int64_t> seq_extents;
  bool horizontal = false;  // the lanes are reduced to one value
  int64_t lanes = 0;        // extent of the lane space; 0: given by the caller
  int64_t row = 0;          // lanes to a row of the access with the shortest; 0: no rows
  std::vector<TileAccess> loads;
  std::vector<TileStep> steps;
  std::vector<TileReduction> reductions;
  std::vector<TileStoreStep> stores;
};

// How scratch is laid out, and what is the same in every run.
struct TileLayout {
  int64_t tile = 512;       // most lanes of a tile
  bool outer_lanes = true;  // lanes run over the outer points
  bool single = false;      // there is one point: nothing is repeated for lanes that are not there
  uint32_t buffers = 0;
  std::vector<uint64_t> locals;  // in scratch
  std::vector<TileRegister> registers;
  struct alignas(64) Block {
    unsigned char bytes[kernels::kSplatBytes];
  };
  std::vector<Block> constants;
  uint64_t pointers = 0;      // in scratch: where each register is
  uint64_t buffer_table = 0;  // in scratch: arguments, then locals
  uint64_t scratch_bytes = 0;
};

// Appends the registers and scratch the stage needs to `layout`, whose locals are placed.
TileStage PrepareStage(const LoopKernel& kernel, const LoopStage& stage, TileLayout* layout);

}  // namespace megalith::runtime
