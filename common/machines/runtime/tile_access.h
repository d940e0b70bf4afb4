// How the tile interpreter reaches memory: an access of a kernel, taken apart into what changes
// from step to step and what changes from lane to lane.
#pragma once

#include <cstdint>
#include <vector>

#include "common/machines/runtime/loop.h"

namespace megalith::runtime {

// A term of an address that is read from memory.
struct TileTerm {
  LoopBuffer buffer = 0;
  DType dtype = DType::kI32;
  int64_t offset = 0;
  std::vector<int64_t> seq;    // strides along the dimensions that are stepped through
  std::vector<int64_t> lanes;  // along TileAccess::lanes
  int64_t max = 0;
  int64_t stride = 0;
  bool per_lane = false;  // of an array kept once per lane (TileAccess::spread)
};

// A run of lane dimensions along which the address moves evenly.
struct TileLaneDim {
  int64_t extent = 1;
  int64_t stride = 0;
  int64_t begin = 0, end = 0;  // guard: where memory is read
};

struct TileGuard {
  uint32_t seq = 0;
  int64_t begin = 0, end = 0;
};

enum class TileForm : uint8_t {
  kUniform,  // all lanes at one place
  kLinear,   // lane i at base + i * stride
  kRows,     // anything else
};

struct TileAccess {
  LoopBuffer buffer = 0;
  DType dtype = DType::kInvalid;
  int width = 1;  // bytes of an element
  int64_t offset = 0;
  std::vector<int64_t> seq;
  std::vector<TileLaneDim> lanes;  // outermost first; empty for kUniform
  std::vector<TileTerm> terms;
  std::vector<TileGuard> guards;
  TileForm form = TileForm::kUniform;
  int64_t stride = 0;  // of kLinear
  // Element e of lane i of an array kept once per lane is at e * spread + i; the lanes share the
  // array, and `spread` is 1, otherwise.
  bool per_lane = false;
  int64_t spread = 1;
  int64_t term_spread = 1;  // the same for terms
};

// The dimensions of a stage, told apart.
struct TileDims {
  std::vector<uint32_t> seq;     // numbers of the dimensions that are stepped through, in order
  std::vector<uint32_t> lanes;   // of those the lanes run over, outermost first
  std::vector<int64_t> extents;  // of all, by number
  // Buffers from this number on are kept once per lane, for `spread` lanes.
  LoopBuffer per_lane_from = UINT32_MAX;
  int64_t spread = 1;
};

TileAccess MakeTileAccess(const LoopAccess& access, const TileDims& dims);

// Where the interpreter is.
struct TilePlace {
  void* const* buffers;  // arguments, then locals
  const int64_t* seq;    // positions
  int64_t lane = 0;      // first lane of the tile
  int64_t count = 0;     // lanes of the tile
};

// False where a guard on a dimension stepped through keeps the whole tile from memory.
inline bool Reads(const TileAccess& access, const TilePlace& place) {
  for (const TileGuard& guard : access.guards) {
    const int64_t at = place.seq[guard.seq];
    if (at < guard.begin || at >= guard.end) return false;
  }
  return true;
}

// The first lane's element if the lanes of this tile are evenly spaced; null if they are not.
// `stride` is then their distance in elements. Requires Reads().
char* EvenLanes(const TileAccess& access, const TilePlace& place, int64_t* stride);

// Copies the elements of the tile's lanes to `out`, `fill` (bits) where a guard keeps from memory.
void GatherLanes(const TileAccess& access, const TilePlace& place, uint64_t fill, void* out);
// Puts `fill` (bits of an element of `width` bytes) in place of those lanes of `out` only that a
// guard keeps from memory.
void FillOutside(const TileAccess& access, const TilePlace& place, int width, uint64_t fill,
                 void* out);
// Puts the elements of the tile's lanes in place.
void ScatterLanes(const TileAccess& access, const TilePlace& place, const void* values);

// to[i] = from[i * stride], and the reverse.
void GatherStrided(int width, const void* from, int64_t stride, int64_t n, void* to);
void ScatterStrided(int width, const void* from, int64_t stride, int64_t n, void* to);

}  // namespace megalith::runtime
