// top_k. A row is read in chunks; elements better than the worst of the best k so far are
// candidates, cut back to k whenever their room is full. Where k is a good part of the row it is
// sorted as a whole.
#include <algorithm>
#include <cstring>

#include "common/foundation/base/strings.h"
#include "common/machines/kernels/isa.h"
#include "common/machines/kernels/parallel.h"
#include "common/machines/kernels/params.h"
#include "common/machines/kernels/radix.h"
#include "common/machines/kernels/sort_kernel.h"
#include "common/machines/kernels/sort_keys.h"

namespace megalith::kernels {
namespace {

constexpr int64_t kChunk = 512;
constexpr int64_t kMaxSlots = 64;
constexpr int64_t kMaxSlotBytes = int64_t{64} << 20;
constexpr int64_t kSplitLength = 1 << 16;  // longer rows are shared over threads
constexpr KeyOptions kBestFirst = {SortOrder::kTotal, true};

struct TopKState {
  const KeyOps* ops = nullptr;
  int width = 4;
  int64_t rows = 0, length = 0, k = 0;
  bool sorts = false;  // whole rows
  int64_t room = 0;    // elements of a slot
  int64_t slots = 1;
  Status (*run)(const TopKState&, const KernelCall&) = nullptr;
};

// Elements as candidates: keys (of type U) and positions that order as top_k wants, no two of them
// equal.
template <typename U>
class Selector {
 public:
  using E = std::conditional_t<sizeof(U) == 8, KeyedIndex, uint64_t>;

  Selector(const TopKState& s, const KernelCall& call, E* room) : s_(s), call_(call), room_(room) {}

  // Candidates of elements [begin, end) of a row to `to`: the best k, or all if there are fewer.
  // Returns how many; they are in no order. `to` has room for s.room elements.
  int64_t Select(const char* row, int64_t begin, int64_t end, E* to) const {
    U keys[kChunk];
    int64_t count = 0;
    bool full = false;
    U worst = 0;
    for (int64_t at = begin; at < end; at += kChunk) {
      const int64_t n = std::min(kChunk, end - at);
      s_.ops->encode(row + at * s_.width, n, kBestFirst, keys);
      if (!full) {
        for (int64_t i = 0; i < n; ++i) to[count + i] = Candidate(keys[i], at + i);
        count += n;
      } else {
        // Elements equal to the worst of the best come too late to be among them.
        bool any = false;
        OnBestIsa([&]() __attribute__((always_inline)) {
          U least = keys[0];
          for (int64_t i = 1; i < n; ++i) least = keys[i] < least ? keys[i] : least;
          any = least < worst;
        });
        if (!any) continue;
        for (int64_t i = 0; i < n; ++i) {
          to[count] = Candidate(keys[i], at + i);
          count += keys[i] < worst;
        }
      }
      if (count > s_.k && (!full || count + kChunk > s_.room)) {
        count = Cut(to, count);
        worst = static_cast<U>(KeyOf(to[s_.k - 1]));
        full = true;
      }
    }
    return Cut(to, count);
  }

  int64_t Cut(E* to, int64_t count) const {
    if (count <= s_.k) return count;
    std::nth_element(to, to + s_.k - 1, to + count);
    return s_.k;
  }

  Status Row(int64_t r) const {
    const char* row = RowAt(r);
    if (!s_.sorts) {
      const int64_t count = Select(row, 0, s_.length, room_);
      std::sort(room_, room_ + count);
      Store(r, room_);
      return OkStatus();
    }
    constexpr int kLow = std::is_same_v<E, KeyedIndex> ? 0 : 32;
    RETURN_IF_ERROR(SortMade(room_, s_.length, kLow, kLow + s_.ops->bits, false, s_.rows == 1,
                             call_,
                             [&](int64_t begin, int64_t count, E* to) {
                               Load(row, begin, count, to);
                               return KeyFindings();
                             })
                        .status());
    Store(r, room_);
    return OkStatus();
  }

  // A long row over the pool; `rooms` is the room of all slots.
  void SplitRow(int64_t r, E* rooms) const {
    const int64_t parts = std::min<int64_t>(call_.pool.threads(), s_.slots);
    int64_t counts[kMaxSlots];
    call_.pool.For(parts, 1, [&](int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end; ++p) {
        counts[p] = Select(RowAt(r), s_.length * p / parts, s_.length * (p + 1) / parts,
                           rooms + p * s_.room);
      }
    });
    int64_t count = counts[0];
    for (int64_t p = 1; p < parts; ++p) {  // a slot has room for two lists
      std::copy_n(rooms + p * s_.room, counts[p], rooms + count);
      count = Cut(rooms, count + counts[p]);
    }
    std::sort(rooms, rooms + count);
    Store(r, rooms);
  }

 private:
  const char* RowAt(int64_t r) const {
    return static_cast<const char*>(call_.in[0]) + r * s_.length * s_.width;
  }

  static E Candidate(U key, int64_t index) {
    if constexpr (sizeof(U) == 8) {
      return {key, static_cast<uint64_t>(index)};
    } else {
      return uint64_t{key} << 32 | static_cast<uint64_t>(index);
    }
  }
  static uint64_t KeyOf(const E& e) {
    if constexpr (sizeof(U) == 8) {
      return e.key;
    } else {
      return e >> 32;
    }
  }

  void Load(const char* row, int64_t at, int64_t n, E* to) const {
    if constexpr (std::is_same_v<E, KeyedIndex>) {
      for (int64_t i = 0; i < n; ++i) to[i] = {0, static_cast<uint64_t>(i)};
      s_.ops->append(row + at * s_.width, n, kBestFirst, to);
      for (int64_t i = 0; i < n; ++i) to[i].index += static_cast<uint64_t>(at);
    } else {
      s_.ops->pack(row + at * s_.width, n, kBestFirst, to);
      for (int64_t i = 0; i < n; ++i) to[i] += static_cast<uint64_t>(at);
    }
  }

  void Store(int64_t r, const E* best) const {
    const char* row = RowAt(r);
    char* values = static_cast<char*>(call_.out[0]) + r * s_.k * s_.width;
    auto* positions = static_cast<int32_t*>(call_.out[1]) + r * s_.k;
    for (int64_t i = 0; i < s_.k; ++i) {
      uint32_t index = 0;
      if constexpr (std::is_same_v<E, KeyedIndex>) {
        index = static_cast<uint32_t>(best[i].index);
      } else {
        index = static_cast<uint32_t>(best[i]);
      }
      positions[i] = static_cast<int32_t>(index);
      std::memcpy(values + i * s_.width, row + int64_t{index} * s_.width,
                  static_cast<size_t>(s_.width));
    }
  }

  const TopKState& s_;
  const KernelCall& call_;
  E* const room_;
};

template <typename U>
Status RunAs(const TopKState& s, const KernelCall& call) {
  using E = typename Selector<U>::E;
  E* rooms = static_cast<E*>(call.scratch);
  const int64_t threads = call.pool.threads();
  if (s.rows < threads && !s.sorts && s.slots > 1 && s.length >= kSplitLength) {
    const Selector<U> selector(s, call, rooms);
    for (int64_t r = 0; r < s.rows; ++r) {
      RETURN_IF_ERROR(call.Poll());
      selector.SplitRow(r, rooms);
    }
    return OkStatus();
  }
  const int64_t slots = std::min({s.slots, s.rows, 4 * threads});
  FirstError error;
  call.pool.For(slots, 1, [&](int64_t begin, int64_t end) {
    for (int64_t slot = begin; slot < end; ++slot) {
      const Selector<U> selector(s, call, rooms + slot * s.room);
      for (int64_t r = s.rows * slot / slots; r < s.rows * (slot + 1) / slots; ++r) {
        if (error.failed()) return;
        Status status = call.Poll();
        if (status.ok()) status = selector.Row(r);
        if (!status.ok()) return error.Set(status);
      }
    }
  });
  return error.Take();
}

Status RunTopK(const void* state, const KernelCall& call) {
  const TopKState& s = *static_cast<const TopKState*>(state);
  return s.rows == 0 || s.k == 0 ? OkStatus() : s.run(s, call);
}

Result<PreparedKernel> PrepareTopK(std::string_view params, std::span<const ArraySpec> in,
                                   std::span<const ArraySpec> out) {
  RETURN_IF_ERROR(CheckArrays("top_k", in, 1, out, 2));
  if (!params.empty()) return InvalidArgument("top_k: wanted no parameters");
  const size_t rank = in[0].shape.size();
  if (rank == 0 || out[0].shape.size() != rank) return InvalidArgument("top_k: ranks do not fit");
  Shape shape = in[0].shape;
  shape[rank - 1] = out[0].shape[rank - 1];
  if (!(out[0].shape == shape) || !(out[1].shape == shape) || out[0].dtype != in[0].dtype ||
      out[1].dtype != DType::kI32 || shape.back() > in[0].shape.back()) {
    return InvalidArgument("top_k: the results do not fit the operand");
  }
  auto s = std::make_shared<TopKState>();
  s->ops = FindKeyOps(in[0].dtype);
  if (s->ops == nullptr || in[0].shape.back() > INT32_MAX)
    return Unimplemented(StrCat("top_k: elements of type ", tensor::Name(in[0].dtype)));
  s->width = tensor::ByteWidth(in[0].dtype);
  s->length = in[0].shape.back();
  s->k = shape.back();
  s->rows = Elements(out[0]) == 0 ? 0 : Elements(out[0]) / s->k;
  s->sorts = s->length <= 256 || s->k >= s->length / 8;
  s->room = s->sorts ? s->length : std::max(2 * s->k, 4 * kChunk) + 2 * kChunk;
  const bool packed = s->ops->bits <= 32;
  s->run = s->ops->bits == 8    ? RunAs<uint8_t>
           : s->ops->bits == 16 ? RunAs<uint16_t>
           : packed             ? RunAs<uint32_t>
                                : RunAs<uint64_t>;
  const int64_t room_bytes = s->room * (packed ? 8 : 16);
  s->slots = std::clamp<int64_t>(kMaxSlotBytes / std::max<int64_t>(room_bytes, 1), 1, kMaxSlots);
  PreparedKernel kernel;
  kernel.scratch_bytes = static_cast<uint64_t>(s->slots * room_bytes);
  kernel.state = std::move(s);
  kernel.run = RunTopK;
  return kernel;
}

}  // namespace

const LibraryKernel kTopKKernel = {"top_k", PrepareTopK};

}  // namespace megalith::kernels
