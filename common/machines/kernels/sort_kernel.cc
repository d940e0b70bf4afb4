// Lines are sorted by radix (radix.h): the elements themselves, in the result, where there is one
// array, otherwise keys with positions beside them.
#include "common/machines/kernels/sort_kernel.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "common/foundation/base/strings.h"
#include "common/machines/kernels/parallel.h"
#include "common/machines/kernels/params.h"
#include "common/machines/kernels/radix.h"
#include "common/machines/kernels/sort_keys.h"
#include "common/machines/kernels/strided.h"

namespace megalith::kernels {
namespace {

constexpr int64_t kMaxSlots = 64;
constexpr int64_t kMaxSlotBytes = int64_t{64} << 20;  // of all slots but the first

struct Key {
  size_t operand = 0;
  KeyOptions options;
  const KeyOps* ops = nullptr;
};

enum class Way : uint8_t {
  kElements,  // one array: its elements
  kPacked,    // 32-bit keys and positions
  kIndexed,   // 64-bit keys and positions
};

// By operand: lines that are neighbours in memory to scratch and back.
struct BlockCopies {
  std::vector<StridedCopy> out_of, into;
};

struct SortState {
  std::vector<Key> keys;
  std::vector<int> widths;  // bytes per element, by operand
  LineLayout lines;
  Way way = Way::kIndexed;
  bool plain_floats = false;  // a line may have no order
  int64_t block = 1;          // lines that are neighbours in memory, copied out together
  int64_t work_bytes = 0;     // of a slot's room for sorting
  int64_t lines_bytes = 0;    // of a slot's room for copies of lines, operands and results each
  int64_t slots = 1;
  BlockCopies whole, rest;  // of a block, and of the last one if that is smaller

  int64_t slot_bytes() const { return work_bytes + 2 * lines_bytes; }
};

// The reference arrangement of a line the comparator gives no order.
template <typename Less>
void MergeSort(uint32_t* order, uint32_t* spare, int64_t n, const Less& less) {
  constexpr int64_t kBlock = 8;
  std::iota(order, order + n, 0);
  uint32_t* const result = order;
  for (int64_t low = 0; low < n; low += kBlock) {
    for (int64_t i = low + 1; i < std::min(low + kBlock, n); ++i) {
      const uint32_t v = order[i];
      int64_t at = i;
      for (; at > low && less(v, order[at - 1]); --at) order[at] = order[at - 1];
      order[at] = v;
    }
  }
  for (int64_t width = kBlock; width < n; width *= 2) {
    for (int64_t low = 0; low < n; low += 2 * width) {
      const int64_t middle = std::min(low + width, n);
      const int64_t high = std::min(low + 2 * width, n);
      int64_t a = low;
      int64_t b = middle;
      for (int64_t k = low; k < high; ++k) {
        const bool right = a == middle || (b < high && less(order[b], order[a]));
        spare[k] = right ? order[b++] : order[a++];
      }
    }
    std::swap(order, spare);
  }
  if (order != result) std::copy_n(order, n, result);
}

// to[i] = from[index(i)].
template <typename Index>
void GatherColumn(const void* from, void* to, int64_t n, int width, const Index& index) {
  const auto copy = [&]<typename T>(T*) {
    const T* f = static_cast<const T*>(from);
    T* t = static_cast<T*>(to);
    for (int64_t i = 0; i < n; ++i) t[i] = f[index(i)];
  };
  struct Wide {
    uint64_t words[2];
  };
  switch (width) {
    case 1:
      return copy(static_cast<uint8_t*>(nullptr));
    case 2:
      return copy(static_cast<uint16_t*>(nullptr));
    case 4:
      return copy(static_cast<uint32_t*>(nullptr));
    case 8:
      return copy(static_cast<uint64_t*>(nullptr));
    default:
      return copy(static_cast<Wide*>(nullptr));
  }
}

// Sorts lines with the room of one slot. `together`: each line over the pool.
class LineSorter {
 public:
  LineSorter(const SortState& s, const KernelCall& call, char* slot, bool together)
      : s_(s),
        call_(call),
        together_(together),
        work_(slot),
        lines_(slot + s.work_bytes),
        columns_(s.widths.size()),
        results_(s.widths.size()) {}

  // Block `at` of all blocks of lines.
  Status SortBlock(int64_t at) {
    const LineLayout& l = s_.lines;
    const int64_t per_outer = (l.inner + s_.block - 1) / s_.block;
    const int64_t outer = at / per_outer;
    const int64_t inner = at % per_outer * s_.block;
    const int64_t first = outer * l.length * l.inner + inner;
    if (l.inner == 1) return SortLineAt(first);
    const int64_t count = std::min(s_.block, l.inner - inner);
    const BlockCopies& copies = count == s_.block ? s_.whole : s_.rest;
    int64_t room = 0;
    for (size_t k = 0; k < columns_.size(); ++k) {
      copies.out_of[k].Run(lines_ + room, In(k, first));
      columns_[k] = lines_ + room;
      results_[k] = lines_ + s_.lines_bytes + room;
      room += (s_.block * l.length * s_.widths[k] + 63) / 64 * 64;
    }
    for (int64_t b = 0; b < count; ++b) {
      RETURN_IF_ERROR(SortLine());
      for (size_t k = 0; k < columns_.size(); ++k) {
        columns_[k] += l.length * s_.widths[k];
        results_[k] += l.length * s_.widths[k];
      }
    }
    for (size_t k = 0; k < columns_.size(); ++k)
      copies.into[k].Run(Out(k, first), results_[k] - count * l.length * s_.widths[k]);
    return OkStatus();
  }

 private:
  const char* In(size_t k, int64_t element) const {
    return static_cast<const char*>(call_.in[k]) + element * s_.widths[k];
  }
  char* Out(size_t k, int64_t element) const {
    return static_cast<char*>(call_.out[k]) + element * s_.widths[k];
  }

  Status SortLineAt(int64_t first) {
    for (size_t k = 0; k < columns_.size(); ++k) {
      columns_[k] = In(k, first);
      results_[k] = Out(k, first);
    }
    return SortLine();
  }

  Status SortLine() {
    switch (s_.way) {
      case Way::kElements:
        return SortElements();
      case Way::kPacked:
        return SortPacked();
      case Way::kIndexed:
        break;
    }
    return SortIndexed();
  }

  Status SortElements() {
    const Key& key = s_.keys[0];
    switch (key.ops->bits) {
      case 8:
        return SortElementsOf<uint8_t>(key);
      case 16:
        return SortElementsOf<uint16_t>(key);
      case 32:
        return SortElementsOf<uint32_t>(key);
      default:
        return SortElementsOf<uint64_t>(key);
    }
  }

  template <typename U>
  Status SortElementsOf(const Key& key) {
    const int64_t n = s_.lines.length;
    U* out = reinterpret_cast<U*>(results_[0]);
    const U* in = reinterpret_cast<const U*>(columns_[0]);
    ASSIGN_OR_RETURN(const KeyFindings found,
                     SortMade(out, n, 0, key.ops->bits, NeedsOrder(key), together_, call_,
                              [&](int64_t begin, int64_t count, U* to) {
                                return key.ops->encode(in + begin, count, key.options, to);
                              }));
    if (found.nan && NeedsOrder(key)) return SortUnordered();
    ForParts([&](int64_t begin, int64_t end) {
      key.ops->decode(out + begin, end - begin, key.options, out + begin);
    });
    if (found.merged) key.ops->restore(in, n, key.options, out);
    return OkStatus();
  }

  static bool NeedsOrder(const Key& key) { return key.options.order == SortOrder::kPlain; }

  Status SortPacked() {
    const Key& key = s_.keys[0];
    auto* packed = reinterpret_cast<uint64_t*>(work_);
    const char* column = columns_[key.operand];
    const int width = s_.widths[key.operand];
    ASSIGN_OR_RETURN(const KeyFindings found,
                     SortMade(packed, s_.lines.length, 32, 32 + key.ops->bits, NeedsOrder(key),
                              together_, call_, [&](int64_t begin, int64_t count, uint64_t* to) {
                                const KeyFindings f =
                                    key.ops->pack(column + begin * width, count, key.options, to);
                                for (int64_t i = 0; i < count; ++i)
                                  to[i] += static_cast<uint64_t>(begin);
                                return f;
                              }));
    if (found.nan && NeedsOrder(key)) return SortUnordered();
    char* result = results_[key.operand];
    ForParts([&](int64_t begin, int64_t end) {
      key.ops->unpack(packed + begin, end - begin, key.options, result + begin * width);
    });
    if (found.merged) key.ops->restore(column, s_.lines.length, key.options, result);
    Permute(key.operand, [&](int64_t i) { return static_cast<uint32_t>(packed[i]); });
    return OkStatus();
  }

  // Keys first, first + 1... as far as they fit into 64 bits: the number of the next one.
  size_t GroupEnd(size_t first) const {
    int bits = 0;
    size_t end = first;
    while (end < s_.keys.size() && bits + s_.keys[end].ops->bits <= 64)
      bits += s_.keys[end++].ops->bits;
    return end;
  }

  // Sets the keys of elements that have positions.
  KeyFindings SetKeys(size_t first, size_t end, KeyedIndex* elements, int64_t count) const {
    KeyFindings found;
    for (int64_t i = 0; i < count; ++i) elements[i].key = 0;
    for (size_t k = first; k < end; ++k) {
      const Key& key = s_.keys[k];
      const KeyFindings f = key.ops->append(columns_[key.operand], count, key.options, elements);
      found.nan = found.nan || (f.nan && NeedsOrder(key));
    }
    return found;
  }

  Status SortIndexed() {
    const int64_t n = s_.lines.length;
    auto* elements = reinterpret_cast<KeyedIndex*>(work_);
    const size_t end = GroupEnd(0);
    ASSIGN_OR_RETURN(const KeyFindings found,
                     SortMade(elements, n, 0, 64, true, together_, call_,
                              [&](int64_t begin, int64_t count, KeyedIndex* to) {
                                for (int64_t i = 0; i < count; ++i)
                                  to[i] = {0, static_cast<uint64_t>(begin + i)};
                                return SetKeys(0, end, to, count);
                              }));
    if (found.nan || !SortEqual(end, elements, n)) return SortUnordered();
    Permute(columns_.size(), [&](int64_t i) { return elements[i].index; });
    return OkStatus();
  }

  // Sorts elements with equal keys by keys `first` and later. False if one of them is unordered.
  bool SortEqual(size_t first, KeyedIndex* elements, int64_t n) const {
    if (first == s_.keys.size()) return true;
    const size_t end = GroupEnd(first);
    for (int64_t begin = 0, next = 0; begin < n; begin = next) {
      const uint64_t key = elements[begin].key;
      for (next = begin; next < n && elements[next].key == key;) ++next;
      if (next - begin == 1) continue;
      if (SetKeys(first, end, elements + begin, next - begin).nan) return false;
      radix::SortRange(elements + begin, next - begin, 64, 128, true);
      if (!SortEqual(end, elements + begin, next - begin)) return false;
    }
    return true;
  }

  Status SortUnordered() {
    auto* order = reinterpret_cast<uint32_t*>(work_);
    MergeSort(order, order + s_.lines.length, s_.lines.length, [&](uint32_t a, uint32_t b) {
      for (const Key& key : s_.keys) {
        const void* column = columns_[key.operand];
        if (key.ops->before(column, a, b, key.options)) return true;
        if (!key.ops->equal(column, a, b, key.options)) return false;
      }
      return false;
    });
    Permute(columns_.size(), [&](int64_t i) { return order[i]; });
    return OkStatus();
  }

  // Calls part(begin, end) for parts of a line, over the pool if lines are sorted so.
  template <typename Part>
  void ForParts(const Part& part) const {
    if (!together_) return part(0, s_.lines.length);
    call_.pool.For(s_.lines.length, 1 << 15, part);
  }

  // Writes every operand but `done` in the order found.
  template <typename Index>
  void Permute(size_t done, const Index& index) {
    for (size_t k = 0; k < columns_.size(); ++k) {
      if (k == done) continue;
      ForParts([&](int64_t begin, int64_t end) {
        GatherColumn(columns_[k], results_[k] + begin * s_.widths[k], end - begin, s_.widths[k],
                     [&](int64_t i) { return index(begin + i); });
      });
    }
  }

  const SortState& s_;
  const KernelCall& call_;
  const bool together_;
  char* const work_;
  char* const lines_;
  std::vector<const char*> columns_;
  std::vector<char*> results_;
};

Status RunSort(const void* state, const KernelCall& call) {
  const SortState& s = *static_cast<const SortState*>(state);
  if (s.lines.outer == 0) return OkStatus();
  char* scratch = static_cast<char*>(call.scratch);
  const int64_t blocks = s.lines.outer * ((s.lines.inner + s.block - 1) / s.block);
  const int64_t slots = std::min({s.slots, blocks, int64_t{4} * call.pool.threads()});
  if (blocks == 1 || (slots < call.pool.threads() && s.lines.length >= radix::kParallelLength)) {
    LineSorter sorter(s, call, scratch, true);
    for (int64_t b = 0; b < blocks; ++b) {
      RETURN_IF_ERROR(call.Poll());
      RETURN_IF_ERROR(sorter.SortBlock(b));
    }
    return OkStatus();
  }
  FirstError error;
  call.pool.For(slots, 1, [&](int64_t begin, int64_t end) {
    for (int64_t slot = begin; slot < end; ++slot) {
      LineSorter sorter(s, call, scratch + slot * s.slot_bytes(), false);
      for (int64_t b = blocks * slot / slots; b < blocks * (slot + 1) / slots; ++b) {
        if (error.failed()) return;
        Status status = call.Poll();
        if (status.ok()) status = sorter.SortBlock(b);
        if (!status.ok()) return error.Set(status);
      }
    }
  });
  return error.Take();
}

BlockCopies CopiesOf(const SortState& s, int64_t count) {
  const int64_t n = s.lines.length;
  BlockCopies copies;
  for (const int w : s.widths) {
    const Dims lines{w * n, w};
    const Dims array{w, w * s.lines.inner};
    copies.out_of.emplace_back(Shape{count, n}, lines, array, w);
    copies.into.emplace_back(Shape{n, count}, Dims{array[1], array[0]}, Dims{lines[1], lines[0]},
                             w);
  }
  return copies;
}

void PlanScratch(SortState* s, std::span<const ArraySpec> in) {
  const int64_t n = s->lines.length;
  const auto aligned = [](int64_t bytes) { return (bytes + 63) / 64 * 64; };
  const int element = s->way == Way::kElements ? 0 : s->way == Way::kPacked ? 8 : 16;
  s->work_bytes = aligned(n * std::max(element, s->plain_floats ? 8 : 0));  // SortUnordered's: 8
  if (s->lines.inner > 1) {
    s->block = std::min<int64_t>(s->lines.inner, 16);
    s->whole = CopiesOf(*s, s->block);
    s->rest = CopiesOf(*s, s->lines.inner % s->block);
    for (const int w : s->widths) s->lines_bytes += aligned(s->block * n * w);
  }
  const int64_t rows = Elements(in[0]) == 0 ? 1 : s->lines.outer * s->lines.inner;
  s->slots = std::clamp<int64_t>(kMaxSlotBytes / std::max<int64_t>(s->slot_bytes(), 1), 1,
                                 std::min(kMaxSlots, std::max<int64_t>(rows, 1)));
}

Result<PreparedKernel> PrepareSort(std::string_view params, std::span<const ArraySpec> in,
                                   std::span<const ArraySpec> out) {
  if (in.empty()) return InvalidArgument("sort: no operands");
  RETURN_IF_ERROR(CheckArrays("sort", in, in.size(), out, in.size()));
  auto s = std::make_shared<SortState>();
  const auto rank = static_cast<int64_t>(in[0].shape.size());
  ASSIGN_OR_RETURN(ParamReader reader, ParamReader::Create("sort", params));
  ASSIGN_OR_RETURN(const int64_t dim, reader.Next("dimension", 0, rank - 1));
  ASSIGN_OR_RETURN(const int64_t keys, reader.Next("number of keys", 1, 64));
  for (size_t k = 0; k < in.size(); ++k) {
    RETURN_IF_ERROR(CheckSame("sort: operand and result", in[k], out[k]));
    if (in[k].shape != in[0].shape) return InvalidArgument("sort: operands differ in shape");
    s->widths.push_back(tensor::ByteWidth(in[k].dtype));
  }
  int bits = 0;
  for (int64_t i = 0; i < keys; ++i) {
    Key key;
    ASSIGN_OR_RETURN(const int64_t operand,
                     reader.Next("operand of a key", 0, static_cast<int64_t>(in.size()) - 1));
    ASSIGN_OR_RETURN(const int64_t order, reader.Next("order", 0, kNumSortOrders - 1));
    ASSIGN_OR_RETURN(const int64_t descending, reader.Next("descending", 0, 1));
    key.operand = static_cast<size_t>(operand);
    key.options = {static_cast<SortOrder>(order), descending != 0};
    key.ops = FindKeyOps(in[key.operand].dtype);
    if (key.ops == nullptr) {
      return Unimplemented(StrCat("sort: keys of type ", tensor::Name(in[key.operand].dtype)));
    }
    bits += key.ops->bits;
    s->plain_floats =
        s->plain_floats || (key.ops->is_float && key.options.order == SortOrder::kPlain);
    s->keys.push_back(key);
  }
  RETURN_IF_ERROR(reader.Done());
  s->lines = LinesAlong(in[0].shape, static_cast<size_t>(dim));
  if (s->lines.length > UINT32_MAX) return Unimplemented("sort: more than 2^32 - 1 elements");
  if (keys == 1 && bits <= 32) s->way = Way::kPacked;
  if (keys == 1 && in.size() == 1) s->way = Way::kElements;
  PlanScratch(s.get(), in);
  PreparedKernel kernel;
  kernel.scratch_bytes = static_cast<uint64_t>(s->slots * s->slot_bytes());
  kernel.state = std::move(s);
  kernel.run = RunSort;
  return kernel;
}

}  // namespace

const LibraryKernel kSortKernel = {"sort", PrepareSort};

}  // namespace megalith::kernels
