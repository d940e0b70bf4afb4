#include "common/machines/runtime/tile_access.h"

#include <algorithm>
#include <cstring>

namespace megalith::runtime {
namespace {

int64_t Dot(const std::vector<int64_t>& strides, const int64_t* positions) {
  int64_t sum = 0;
  for (size_t i = 0; i < strides.size(); ++i) sum += strides[i] * positions[i];
  return sum;
}

template <typename T>
int64_t Clamped(const void* base, int64_t at, int64_t max) {
  T value;
  std::memcpy(&value, static_cast<const char*>(base) + at * static_cast<int64_t>(sizeof(T)),
              sizeof(T));
  if constexpr (std::is_unsigned_v<T>) {
    return static_cast<int64_t>(std::min<uint64_t>(value, static_cast<uint64_t>(max)));
  } else {
    return std::clamp<int64_t>(value, 0, max);
  }
}

// What the element at `at` of the term's array adds to the address.
int64_t TermValue(const TileTerm& term, const TilePlace& place, int64_t at) {
  const void* base = place.buffers[term.buffer];
  switch (term.dtype) {
    case DType::kI8:
      return Clamped<int8_t>(base, at, term.max) * term.stride;
    case DType::kI16:
      return Clamped<int16_t>(base, at, term.max) * term.stride;
    case DType::kI32:
      return Clamped<int32_t>(base, at, term.max) * term.stride;
    case DType::kI64:
      return Clamped<int64_t>(base, at, term.max) * term.stride;
    case DType::kU8:
      return Clamped<uint8_t>(base, at, term.max) * term.stride;
    case DType::kU16:
      return Clamped<uint16_t>(base, at, term.max) * term.stride;
    case DType::kU32:
      return Clamped<uint32_t>(base, at, term.max) * term.stride;
    case DType::kU64:
      return Clamped<uint64_t>(base, at, term.max) * term.stride;
    default:
      return 0;
  }
}

bool MovesWithLanes(const TileTerm& term) {
  return term.per_lane ||
         std::any_of(term.lanes.begin(), term.lanes.end(), [](int64_t s) { return s != 0; });
}

// True if lane dimension `d` and the one inside it can be walked as one.
bool Merges(const TileAccess& a, size_t d) {
  const TileLaneDim& outer = a.lanes[d];
  const TileLaneDim& inner = a.lanes[d + 1];
  if (inner.begin > 0 || inner.end < inner.extent) return false;
  if (outer.begin > 0 || outer.end < outer.extent) return false;
  if (outer.stride != inner.stride * inner.extent) return false;
  return std::all_of(a.terms.begin(), a.terms.end(), [&](const TileTerm& t) {
    return t.lanes[d] == t.lanes[d + 1] * inner.extent;
  });
}

void Drop(TileAccess& a, size_t d) {
  a.lanes.erase(a.lanes.begin() + static_cast<int64_t>(d));
  for (TileTerm& t : a.terms) t.lanes.erase(t.lanes.begin() + static_cast<int64_t>(d));
}

void Collapse(TileAccess& a) {
  for (size_t d = a.lanes.size(); d-- > 0;) {
    const TileLaneDim& dim = a.lanes[d];
    if (dim.extent == 1 && dim.begin <= 0 && dim.end >= 1) Drop(a, d);
  }
  for (size_t d = a.lanes.size(); d-- > 1;) {
    if (!Merges(a, d - 1)) continue;
    TileLaneDim& outer = a.lanes[d - 1];
    const TileLaneDim inner = a.lanes[d];
    outer.extent *= inner.extent;
    outer.stride = inner.stride;
    outer.begin = 0;
    outer.end = outer.extent;
    for (TileTerm& t : a.terms) t.lanes[d - 1] = t.lanes[d];
    Drop(a, d);
  }
}

TileForm FormOf(const TileAccess& a) {
  if (a.lanes.size() > 1 || std::any_of(a.terms.begin(), a.terms.end(), MovesWithLanes)) {
    return TileForm::kRows;
  }
  const TileLaneDim& dim = a.lanes[0];
  if (dim.begin > 0 || dim.end < dim.extent) return TileForm::kRows;
  return dim.stride == 0 ? TileForm::kUniform : TileForm::kLinear;
}

// The address of lane 0 without terms that move with the lanes.
int64_t Base(const TileAccess& a, const TilePlace& place) {
  int64_t at = a.offset + Dot(a.seq, place.seq);
  for (const TileTerm& term : a.terms) {
    if (a.form == TileForm::kRows && MovesWithLanes(term)) continue;
    at += TermValue(term, place, term.offset + Dot(term.seq, place.seq));
  }
  return at;
}

// Calls segment(done, count, at, inside, position) for runs of lanes along the innermost lane
// dimension: `at` is the address of the first without moving terms, `position` that of its lane
// dimensions.
template <typename F>
void WalkRows(const TileAccess& a, const TilePlace& place, F&& segment) {
  int64_t position[kMaxLoopDims] = {};
  const size_t dims = a.lanes.size();
  int64_t rest = place.lane;
  for (size_t d = dims; d-- > 0;) {
    position[d] = rest % a.lanes[d].extent;
    rest /= a.lanes[d].extent;
  }
  const TileLaneDim inner = a.lanes[dims - 1];
  int64_t& x = position[dims - 1];
  const int64_t base = Base(a, place);
  int64_t done = 0;
  while (done < place.count) {
    bool inside = true;
    int64_t at = base;
    for (size_t d = 0; d + 1 < dims; ++d) {
      inside &= position[d] >= a.lanes[d].begin && position[d] < a.lanes[d].end;
      at += position[d] * a.lanes[d].stride;
    }
    while (x < inner.extent && done < place.count) {
      int64_t until = inner.extent;
      bool read = inside;
      if (inside && x < inner.begin) {
        read = false;
        until = std::min(inner.begin, inner.extent);
      } else if (inside && x < inner.end) {
        until = std::min(inner.end, inner.extent);
      } else if (inside) {
        read = false;
      }
      const int64_t count = std::min(until - x, place.count - done);
      segment(done, count, at + x * inner.stride, read, position);
      x += count;
      done += count;
    }
    x = 0;
    for (size_t d = dims - 1; d-- > 0;) {
      if (++position[d] < a.lanes[d].extent) break;
      position[d] = 0;
    }
  }
}

// The terms that move with the lanes, at element `j` of a segment.
int64_t MovingTerms(const TileAccess& a, const TilePlace& place, const int64_t* position,
                    int64_t done, int64_t j) {
  int64_t sum = 0;
  for (const TileTerm& term : a.terms) {
    if (!MovesWithLanes(term)) continue;
    int64_t at =
        term.offset + Dot(term.seq, place.seq) + Dot(term.lanes, position) + j * term.lanes.back();
    if (term.per_lane) at = at * a.term_spread + done + j;
    sum += TermValue(term, place, at);
  }
  return sum;
}

bool TermsMoveInside(const TileAccess& a) {
  return std::any_of(a.terms.begin(), a.terms.end(),
                     [](const TileTerm& t) { return t.per_lane || t.lanes.back() != 0; });
}

template <typename T>
void GatherOf(const void* from, int64_t stride, int64_t n, void* to) {
  const char* source = static_cast<const char*>(from);
  T* out = static_cast<T*>(to);
  const int64_t step = stride * static_cast<int64_t>(sizeof(T));
  for (int64_t i = 0; i < n; ++i) std::memcpy(&out[i], source + i * step, sizeof(T));
}
template <typename T>
void ScatterOf(const void* from, int64_t stride, int64_t n, void* to) {
  const T* in = static_cast<const T*>(from);
  char* target = static_cast<char*>(to);
  const int64_t step = stride * static_cast<int64_t>(sizeof(T));
  for (int64_t i = 0; i < n; ++i) std::memcpy(target + i * step, &in[i], sizeof(T));
}

// Moves the lanes of a tile of kRows: move(memory, stride, count, done, inside).
template <typename F>
void MoveRows(const TileAccess& a, const TilePlace& place, F&& move) {
  char* memory = static_cast<char*>(place.buffers[a.buffer]);
  const int64_t lane_step = a.per_lane ? 1 : 0;
  const int64_t stride = a.lanes.back().stride * a.spread + lane_step;
  const bool by_element = TermsMoveInside(a);
  WalkRows(a, place, [&](int64_t done, int64_t count, int64_t at, bool inside, const int64_t* p) {
    if (!inside) {
      move(nullptr, 0, count, done);
      return;
    }
    const int64_t step = by_element ? 1 : count;
    for (int64_t j = 0; j < count; j += step) {
      const int64_t here = at + j * a.lanes.back().stride + MovingTerms(a, place, p, done, j);
      move(memory + (here * a.spread + (done + j) * lane_step) * a.width, stride, step, done + j);
    }
  });
}

// Rows without guards and moving terms, in two lane dimensions: most of what is broadcast along
// short rows. False if the access is not of that kind.
bool GatherPlainRows(const TileAccess& a, const TilePlace& place, char* to) {
  if (a.lanes.size() != 2 || a.per_lane) return false;
  const TileLaneDim& outer = a.lanes[0];
  const TileLaneDim& inner = a.lanes[1];
  if (outer.begin > 0 || outer.end < outer.extent) return false;
  if (inner.begin > 0 || inner.end < inner.extent) return false;
  if (std::any_of(a.terms.begin(), a.terms.end(), MovesWithLanes)) return false;
  const char* memory = static_cast<const char*>(place.buffers[a.buffer]) + Base(a, place) * a.width;
  int64_t row = place.lane / inner.extent, x = place.lane % inner.extent;
  // A pattern that repeats is copied from where it stands already.
  const int64_t fresh = outer.stride == 0 ? std::min(inner.extent, place.count) : place.count;
  int64_t done = 0;
  while (done < fresh) {
    const int64_t count = std::min(inner.extent - x, fresh - done);
    GatherStrided(a.width, memory + (row * outer.stride + x * inner.stride) * a.width, inner.stride,
                  count, to + done * a.width);
    done += count;
    x = 0;
    ++row;
  }
  while (done < place.count) {
    const int64_t count = std::min(done, place.count - done);
    std::memcpy(to + done * a.width, to, static_cast<size_t>(count * a.width));
    done += count;
  }
  return true;
}

}  // namespace

TileAccess MakeTileAccess(const LoopAccess& access, const TileDims& dims) {
  TileAccess a;
  a.buffer = access.buffer;
  a.dtype = access.dtype;
  a.width = tensor::ByteWidth(access.dtype);
  a.offset = access.offset;
  a.per_lane = access.buffer >= dims.per_lane_from;
  a.spread = a.per_lane ? dims.spread : 1;
  a.term_spread = dims.spread;
  for (const uint32_t d : dims.seq) a.seq.push_back(access.strides[d]);
  for (const uint32_t d : dims.lanes) {
    a.lanes.push_back({dims.extents[d], access.strides[d], 0, dims.extents[d]});
  }
  for (const LoopIndexTerm& t : access.terms) {
    TileTerm term{t.buffer, t.dtype, t.offset, {},
                  {},       t.max,   t.stride, t.buffer >= dims.per_lane_from};
    for (const uint32_t d : dims.seq) term.seq.push_back(t.strides[d]);
    for (const uint32_t d : dims.lanes) term.lanes.push_back(t.strides[d]);
    a.terms.push_back(std::move(term));
  }
  for (const LoopGuard& guard : access.guards) {
    for (uint32_t i = 0; i < dims.seq.size(); ++i) {
      if (dims.seq[i] == guard.dim) a.guards.push_back({i, guard.begin, guard.end});
    }
    for (uint32_t i = 0; i < dims.lanes.size(); ++i) {
      if (dims.lanes[i] != guard.dim) continue;
      a.lanes[i].begin = std::max(a.lanes[i].begin, guard.begin);
      a.lanes[i].end = std::min(a.lanes[i].end, guard.end);
    }
  }
  Collapse(a);
  if (a.lanes.empty()) {  // a place for terms kept once per lane
    a.lanes.push_back({1, 0, 0, 1});
    for (TileTerm& t : a.terms) t.lanes.push_back(0);
  }
  a.form = FormOf(a);
  if (a.form == TileForm::kUniform) a.lanes.clear();
  if (a.form == TileForm::kLinear) a.stride = a.lanes[0].stride;
  return a;
}

char* EvenLanes(const TileAccess& a, const TilePlace& place, int64_t* stride) {
  char* memory = static_cast<char*>(place.buffers[a.buffer]);
  if (a.form != TileForm::kRows) {
    *stride = a.stride * a.spread + (a.per_lane ? 1 : 0);
    return memory + (Base(a, place) + place.lane * a.stride) * a.spread * a.width;
  }
  char* found = nullptr;
  const TileLaneDim& inner = a.lanes.back();
  if (place.lane % inner.extent + place.count > inner.extent || TermsMoveInside(a)) return nullptr;
  MoveRows(a, place, [&](char* from, int64_t step, int64_t count, int64_t) {
    if (count != place.count) return;
    found = from;
    *stride = step;
  });
  return found;
}

namespace {

// n copies of one element, doubling what is there: memcpy is vectorised in every build.
void Repeat(int width, const void* from, int64_t n, void* to) {
  auto* bytes = static_cast<char*>(to);
  char element[8];  // `from` may lie in `to`
  std::memcpy(element, from, static_cast<size_t>(width));
  std::memcpy(bytes, element, static_cast<size_t>(width));
  const int64_t size = n * width;
  for (int64_t done = width; done < size; done *= 2) {
    std::memcpy(bytes + done, bytes, static_cast<size_t>(std::min(done, size - done)));
  }
}

}  // namespace

void GatherStrided(int width, const void* from, int64_t stride, int64_t n, void* to) {
  if (n <= 0) return;
  if (stride == 1) {
    std::memcpy(to, from, static_cast<size_t>(n * width));
    return;
  }
  if (stride == 0) return Repeat(width, from, n, to);
  switch (width) {
    case 1:
      return GatherOf<uint8_t>(from, stride, n, to);
    case 2:
      return GatherOf<uint16_t>(from, stride, n, to);
    case 4:
      return GatherOf<uint32_t>(from, stride, n, to);
    default:
      return GatherOf<uint64_t>(from, stride, n, to);
  }
}

void ScatterStrided(int width, const void* from, int64_t stride, int64_t n, void* to) {
  switch (width) {
    case 1:
      return ScatterOf<uint8_t>(from, stride, n, to);
    case 2:
      return ScatterOf<uint16_t>(from, stride, n, to);
    case 4:
      return ScatterOf<uint32_t>(from, stride, n, to);
    default:
      return ScatterOf<uint64_t>(from, stride, n, to);
  }
}

void GatherLanes(const TileAccess& a, const TilePlace& place, uint64_t fill, void* out) {
  char* to = static_cast<char*>(out);
  if (!Reads(a, place)) {
    GatherStrided(a.width, &fill, 0, place.count, to);
    return;
  }
  if (a.form != TileForm::kRows) {
    int64_t stride = 0;
    const char* from = EvenLanes(a, place, &stride);
    GatherStrided(a.width, from, stride, place.count, to);
    return;
  }
  if (GatherPlainRows(a, place, to)) return;
  MoveRows(a, place, [&](const char* from, int64_t stride, int64_t count, int64_t done) {
    const void* source = from == nullptr ? static_cast<const void*>(&fill) : from;
    GatherStrided(a.width, source, stride, count, to + done * a.width);
  });
}

void FillOutside(const TileAccess& a, const TilePlace& place, int width, uint64_t fill, void* out) {
  if (!Reads(a, place)) {
    GatherStrided(width, &fill, 0, place.count, out);
    return;
  }
  if (a.form != TileForm::kRows) return;
  MoveRows(a, place, [&](const char* from, int64_t, int64_t count, int64_t done) {
    if (from == nullptr) {
      GatherStrided(width, &fill, 0, count, static_cast<char*>(out) + done * width);
    }
  });
}

void ScatterLanes(const TileAccess& a, const TilePlace& place, const void* values) {
  const char* from = static_cast<const char*>(values);
  if (a.form != TileForm::kRows) {
    int64_t stride = 0;
    char* to = EvenLanes(a, place, &stride);
    ScatterStrided(a.width, from, stride, place.count, to);
    return;
  }
  MoveRows(a, place, [&](char* to, int64_t stride, int64_t count, int64_t done) {
    ScatterStrided(a.width, from + done * a.width, stride, count, to);
  });
}

}  // namespace megalith::runtime
