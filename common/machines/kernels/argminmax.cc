// Elements are compared as signed integers whose order is theirs, NaN above everything. A line is
// looked at in blocks: only the greatest key of each is made, and its place is looked up once, in
// the best block.
#include "common/machines/kernels/argminmax.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

#include "common/foundation/base/strings.h"
#include "common/machines/kernels/isa.h"
#include "common/machines/kernels/parallel.h"
#include "common/machines/kernels/params.h"

namespace megalith::kernels {
namespace {

constexpr int64_t kBlock = 2048;
constexpr int64_t kLanes = 256;
constexpr int64_t kSplitLength = 1 << 17;  // longer lines are shared over threads
constexpr int kMaxParts = 64;
constexpr int64_t kPollElements = 1 << 22;

struct ArgState {
  LineLayout lines;
  bool smallest = false;
  bool values = false;  // out[0] are the elements
  int width = 4;
  int index_width = 4;
  Status (*run)(const ArgState&, const KernelCall&) = nullptr;
  uint64_t empty_value = 0;  // bits of the element an empty dimension gives
  int64_t results = 0;
};

void StoreIndex(void* to, int64_t at, int width, int64_t index) {
  switch (width) {
    case 1:
      static_cast<int8_t*>(to)[at] = static_cast<int8_t>(index);
      return;
    case 2:
      static_cast<int16_t*>(to)[at] = static_cast<int16_t>(index);
      return;
    case 4:
      static_cast<int32_t*>(to)[at] = static_cast<int32_t>(index);
      return;
    default:
      static_cast<int64_t*>(to)[at] = index;
  }
}

// Keys of elements stored as unsigned integers U; floats have an infinity.
template <typename U, bool is_signed, U infinity>
struct ArgKey {
  using Bits = U;
  using Key = std::make_signed_t<U>;
  static constexpr bool kIsFloat = infinity != 0;
  static constexpr U kSign = static_cast<U>(U{1} << (8 * sizeof(U) - 1));
  static constexpr Key kMost = std::numeric_limits<Key>::max();

  template <bool smallest>
  [[gnu::always_inline]] static Key Of(U u) {
    if constexpr (kIsFloat) {
      const U magnitude = static_cast<U>(u & static_cast<U>(~kSign));
      // -0 becomes 0.
      Key key = static_cast<Key>((u & kSign) != 0 ? static_cast<U>(U{0} - magnitude) : magnitude);
      if constexpr (smallest) key = static_cast<Key>(-key);
      return magnitude > infinity ? kMost : key;
    } else {
      const Key key = static_cast<Key>(is_signed ? u : static_cast<U>(u ^ kSign));
      return smallest ? static_cast<Key>(~key) : key;
    }
  }
};

template <typename K, bool smallest>
class Finder {
 public:
  using U = typename K::Bits;
  using Key = typename K::Key;
  struct Best {
    Key key = std::numeric_limits<Key>::min();
    int64_t index = 0;
  };

  Finder(const ArgState& s, const KernelCall& call)
      : s_(s), call_(call), in_(static_cast<const U*>(call.in[0])) {}

  Status Run() {
    if (s_.lines.inner > 1) return RunColumns();
    const int64_t threads = call_.pool.threads();
    if (s_.lines.outer < threads && s_.lines.length > kSplitLength) {
      for (int64_t o = 0; o < s_.lines.outer; ++o) {
        RETURN_IF_ERROR(call_.Poll());
        SplitLine(o);
      }
      return OkStatus();
    }
    FirstError error;
    const int64_t grain = std::max<int64_t>(65536 / s_.lines.length, 1);
    call_.pool.For(s_.lines.outer, grain, [&](int64_t begin, int64_t end) {
      int64_t since_poll = 0;
      for (int64_t o = begin; o < end && !error.failed(); ++o) {
        if ((since_poll += s_.lines.length) > kPollElements) {
          since_poll = 0;
          const Status status = call_.Poll();
          if (!status.ok()) return error.Set(status);
        }
        Store(o, In(o * s_.lines.length, s_.lines.length));
      }
    });
    return error.Take();
  }

 private:
  // The best of n > 0 neighbours; its index counts from `first`.
  Best In(int64_t first, int64_t n) const {
    const U* p = in_ + first;
    Key best = 0;
    int64_t best_block = 0;
    int64_t index = 0;
    OnBestIsa([&]() __attribute__((always_inline)) {
      best = K::template Of<smallest>(p[0]);
      for (int64_t at = 0; at < n; at += kBlock) {
        const int64_t end = std::min(at + kBlock, n);
        Key most = best;
        for (int64_t i = at; i < end; ++i) {
          const Key key = K::template Of<smallest>(p[i]);
          most = key > most ? key : most;
        }
        if (most > best) {
          best = most;
          best_block = at;
        }
      }
      index = best_block;
      while (K::template Of<smallest>(p[index]) != best) ++index;
    });
    return {best, index};
  }

  void SplitLine(int64_t line) {
    const int64_t n = s_.lines.length;
    const int64_t parts = std::min<int64_t>(call_.pool.threads(), kMaxParts);
    Best found[kMaxParts];
    call_.pool.For(parts, 1, [&](int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end; ++p) {
        const int64_t first = n * p / parts;
        found[p] = In(line * n + first, n * (p + 1) / parts - first);
        found[p].index += first;
      }
    });
    Best best = found[0];
    for (int64_t p = 1; p < parts; ++p) {
      if (found[p].key > best.key) best = found[p];
    }
    Store(line, best);
  }

  Status RunColumns() {
    const LineLayout& l = s_.lines;
    const int64_t blocks = (l.inner + kLanes - 1) / kLanes;
    const int64_t grain = std::max<int64_t>(32768 / (std::min(l.inner, kLanes) * l.length), 1);
    FirstError error;
    call_.pool.For(l.outer * blocks, grain, [&](int64_t begin, int64_t end) {
      Key best[kLanes];
      int32_t index[kLanes];
      int64_t since_poll = 0;
      for (int64_t b = begin; b < end && !error.failed(); ++b) {
        const int64_t lane = b % blocks * kLanes;
        const int64_t n = std::min(kLanes, l.inner - lane);
        const int64_t outer = b / blocks;
        if ((since_poll += n * l.length) > kPollElements) {
          since_poll = 0;
          const Status status = call_.Poll();
          if (!status.ok()) return error.Set(status);
        }
        const U* p = in_ + outer * l.length * l.inner + lane;
        OnBestIsa([&]() __attribute__((always_inline)) {
          for (int64_t i = 0; i < n; ++i) {
            best[i] = K::template Of<smallest>(p[i]);
            index[i] = 0;
          }
          for (int64_t r = 1; r < l.length; ++r) {
            const U* row = p + r * l.inner;
            for (int64_t i = 0; i < n; ++i) {
              const Key key = K::template Of<smallest>(row[i]);
              index[i] = key > best[i] ? static_cast<int32_t>(r) : index[i];
              best[i] = key > best[i] ? key : best[i];
            }
          }
        });
        for (int64_t i = 0; i < n; ++i) Store(outer * l.inner + lane + i, {best[i], index[i]});
      }
    });
    return error.Take();
  }

  void Store(int64_t result, const Best& best) const {
    StoreIndex(call_.out[s_.values ? 1 : 0], result, s_.index_width, best.index);
    if (!s_.values) return;
    const LineLayout& l = s_.lines;
    const U* line = in_ + result / l.inner * l.length * l.inner + result % l.inner;
    int64_t index = best.index;
    if (K::kIsFloat && best.key == 0) {
      for (index = l.length - 1; K::template Of<smallest>(line[index * l.inner]) != 0;) --index;
    }
    static_cast<U*>(call_.out[0])[result] = line[index * l.inner];
  }

  const ArgState& s_;
  const KernelCall& call_;
  const U* in_;
};

template <typename K>
Status RunAs(const ArgState& s, const KernelCall& call) {
  return s.smallest ? Finder<K, true>(s, call).Run() : Finder<K, false>(s, call).Run();
}

Status RunArg(const void* state, const KernelCall& call) {
  const ArgState& s = *static_cast<const ArgState*>(state);
  if (s.results == 0) return OkStatus();
  if (s.lines.length > 0) return s.run(s, call);
  for (int64_t i = 0; i < s.results; ++i) {
    StoreIndex(call.out[s.values ? 1 : 0], i, s.index_width, 0);
    if (s.values) {
      std::memcpy(static_cast<char*>(call.out[0]) + i * s.width, &s.empty_value,
                  static_cast<size_t>(s.width));
    }
  }
  return OkStatus();
}

// The worst element: the lowest for the greatest, infinity or the highest for the smallest.
template <typename U, bool is_signed, U infinity>
void Use(ArgState* s) {
  using K = ArgKey<U, is_signed, infinity>;
  s->run = RunAs<K>;
  const U low = K::kIsFloat ? static_cast<U>(infinity | K::kSign) : is_signed ? K::kSign : U{0};
  const U high = K::kIsFloat ? infinity : static_cast<U>(is_signed ? ~K::kSign : ~U{0});
  s->empty_value = s->smallest ? high : low;
}

bool UseType(DType dtype, ArgState* s) {
  switch (dtype) {
    case DType::kBool:
      Use<uint8_t, false, 0>(s);
      if (s->smallest) s->empty_value = 1;
      return true;
    case DType::kU8:
      return Use<uint8_t, false, 0>(s), true;
    case DType::kI8:
      return Use<uint8_t, true, 0>(s), true;
    case DType::kU16:
      return Use<uint16_t, false, 0>(s), true;
    case DType::kI16:
      return Use<uint16_t, true, 0>(s), true;
    case DType::kU32:
      return Use<uint32_t, false, 0>(s), true;
    case DType::kI32:
      return Use<uint32_t, true, 0>(s), true;
    case DType::kU64:
      return Use<uint64_t, false, 0>(s), true;
    case DType::kI64:
      return Use<uint64_t, true, 0>(s), true;
    case DType::kF16:
      return Use<uint16_t, true, 0x7C00>(s), true;
    case DType::kBF16:
      return Use<uint16_t, true, 0x7F80>(s), true;
    case DType::kF32:
      return Use<uint32_t, true, 0x7F800000>(s), true;
    case DType::kF64:
      return Use<uint64_t, true, 0x7FF0000000000000>(s), true;
    default:
      return false;
  }
}

Result<PreparedKernel> PrepareArg(std::string_view params, std::span<const ArraySpec> in,
                                  std::span<const ArraySpec> out) {
  const bool values = out.size() == 2;
  RETURN_IF_ERROR(CheckArrays("argminmax", in, 1, out, values ? 2 : 1));
  ASSIGN_OR_RETURN(ParamReader reader, ParamReader::Create("argminmax", params));
  ASSIGN_OR_RETURN(const int64_t dim,
                   reader.Next("dimension", 0, static_cast<int64_t>(in[0].shape.size()) - 1));
  ASSIGN_OR_RETURN(const int64_t smallest, reader.Next("smallest", 0, 1));
  RETURN_IF_ERROR(reader.Done());
  Shape rest = in[0].shape;
  rest.erase(static_cast<size_t>(dim));
  for (const ArraySpec& a : out) {
    if (!(a.shape == rest)) return InvalidArgument("argminmax: a result has the wrong shape");
  }
  const DType index = out.back().dtype;
  if ((values && out[0].dtype != in[0].dtype) || !tensor::IsInteger(index))
    return InvalidArgument("argminmax: a result has the wrong type");
  auto s = std::make_shared<ArgState>();
  s->smallest = smallest != 0;
  s->values = values;
  s->width = tensor::ByteWidth(in[0].dtype);
  s->index_width = tensor::ByteWidth(index);
  s->results = Elements(rest);
  s->lines = LinesAlong(in[0].shape, static_cast<size_t>(dim));
  if (!UseType(in[0].dtype, s.get()))
    return Unimplemented(StrCat("argminmax: elements of type ", tensor::Name(in[0].dtype)));
  // Positions must fit, also into the 32 bits they are counted in.
  const int bits = std::min(tensor::BitWidth(index) - (tensor::IsSigned(index) ? 1 : 0), 31);
  if (s->lines.length - 1 > (int64_t{1} << bits) - 1)
    return Unimplemented("argminmax: positions do not fit the result's type");
  PreparedKernel kernel;
  kernel.state = std::move(s);
  kernel.run = RunArg;
  return kernel;
}

}  // namespace

const LibraryKernel kArgMinMaxKernel = {"argminmax", PrepareArg};

}  // namespace megalith::kernels
