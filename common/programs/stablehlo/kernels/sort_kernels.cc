// stablehlo.sort and chlo.top_k.
//
// A stable bottom-up merge sort of positions. Where the comparator is `f(a) < f(b)` for one operand
// (a plain comparison, or JAX's comparison of floats with -0 and NaN made uniform), f is computed
// once per element and plain keys are compared; otherwise the comparator runs for every comparison.
// Any comparator terminates and stays in bounds, also one that is no order.
#include <algorithm>
#include <bit>
#include <cstring>
#include <numeric>

#include "common/foundation/base/strings.h"
#include "common/programs/stablehlo/kernels/prepare.h"
#include "common/programs/stablehlo/kernels/region_body.h"
#include "common/programs/stablehlo/kernels/span_loops.h"
#include "common/programs/stablehlo/kernels/strided.h"
#include "common/programs/stablehlo/op_def.h"

namespace megalith::stablehlo {
namespace {

// Sorts `order`, using `spare` of the same size. `less(a, b)` says whether position a must stand
// before position b, or fails.
template <typename Less>
Status MergeSort(std::vector<int64_t>* order, std::vector<int64_t>* spare, const Run& run,
                 const Less& less) {
  const auto n = static_cast<int64_t>(order->size());
  constexpr int64_t kBlock = 8;  // insertion sort below this length
  for (int64_t low = 0; low < n; low += kBlock) {
    const int64_t high = std::min(low + kBlock, n);
    for (int64_t i = low + 1; i < high; ++i) {
      const int64_t v = (*order)[static_cast<size_t>(i)];
      int64_t at = i;
      for (; at > low; --at) {
        ASSIGN_OR_RETURN(const bool before, less(v, (*order)[static_cast<size_t>(at - 1)]));
        if (!before) break;
        (*order)[static_cast<size_t>(at)] = (*order)[static_cast<size_t>(at - 1)];
      }
      (*order)[static_cast<size_t>(at)] = v;
    }
  }
  for (int64_t width = kBlock; width < n; width *= 2) {
    const int64_t* from = order->data();
    int64_t* to = spare->data();
    for (int64_t low = 0; low < n; low += 2 * width) {
      const int64_t middle = std::min(low + width, n);
      const int64_t high = std::min(low + 2 * width, n);
      int64_t a = low;
      int64_t b = middle;
      for (int64_t k = low; k < high; ++k) {
        bool take_right = a == middle;
        if (!take_right && b < high) {
          ASSIGN_OR_RETURN(take_right, less(from[b], from[a]));
        }
        to[k] = take_right ? from[b++] : from[a++];
      }
      if (low % (1 << 16) == 0) RETURN_IF_ERROR(run.Poll());
    }
    order->swap(*spare);
  }
  return OkStatus();
}

// The comparator split into a key per element and a comparison of keys.
struct KeyedComparator {
  size_t operand = 0;                      // whose elements make the key
  std::shared_ptr<const SpanProgram> key;  // one argument; null if the element is the key
  DType dtype = DType::kInvalid;           // of the key
  bool descending = false;
  bool total_order = false;
};

// Follows the two sides of the final comparison down to the arguments and checks that they do the
// same steps.
class SideMatcher {
 public:
  explicit SideMatcher(const SpanProgram& p) : p_(p), step_of_(p.registers.size(), -1) {
    for (size_t i = 0; i < p.steps.size(); ++i) step_of_[p.steps[i].out] = static_cast<int>(i);
  }

  // Left register a and right register b compute the same function of argument 2k and of 2k + 1.
  bool Match(uint32_t a, uint32_t b) {
    const SpanProgram::Register& ra = p_.registers[a];
    const SpanProgram::Register& rb = p_.registers[b];
    if (++visits_ > 1000 || ra.source != rb.source || ra.dtype != rb.dtype) return false;
    switch (ra.source) {
      case SpanProgram::Source::kArgument:
        if (ra.index % 2 != 0 || rb.index != ra.index + 1 ||
            (operand_ >= 0 && operand_ != ra.index / 2))
          return false;
        operand_ = ra.index / 2;
        return true;
      case SpanProgram::Source::kConstant:
        return ra.constant.BitEquals(rb.constant);
      case SpanProgram::Source::kCaptured:
        return false;
      case SpanProgram::Source::kComputed:
        break;
    }
    const SpanProgram::Step& sa = p_.steps[static_cast<size_t>(step_of_[a])];
    const SpanProgram::Step& sb = p_.steps[static_cast<size_t>(step_of_[b])];
    if (sa.kernel.fn != sb.kernel.fn || sa.kernel.params != nullptr ||
        sb.kernel.params != nullptr || sa.num_in != sb.num_in) {
      return false;
    }
    for (uint32_t i = 0; i < sa.num_in; ++i) {
      if (!Match(sa.in[i], sb.in[i])) return false;
    }
    return true;
  }

  int64_t operand() const { return operand_; }

  // The program that computes register `root`, which depends on one argument only.
  std::shared_ptr<const SpanProgram> Extract(uint32_t root) const {
    auto out = std::make_shared<SpanProgram>(p_);
    out->results = {root};
    out->num_arguments = 1;
    std::vector<bool> needed(p_.registers.size(), false);
    needed[root] = true;
    for (size_t i = p_.steps.size(); i-- > 0;) {
      if (!needed[p_.steps[i].out]) continue;
      for (uint32_t k = 0; k < p_.steps[i].num_in; ++k) needed[p_.steps[i].in[k]] = true;
    }
    std::erase_if(out->steps, [&](const SpanProgram::Step& s) { return !needed[s.out]; });
    for (SpanProgram::Register& r : out->registers) {
      if (r.source == SpanProgram::Source::kArgument)
        r.index = 0;  // the kept steps read one argument only
    }
    return out;
  }

 private:
  const SpanProgram& p_;
  std::vector<int> step_of_;
  int64_t operand_ = -1;
  int visits_ = 0;
};

std::optional<KeyedComparator> FindKey(const Region& region, const SpanProgram& program) {
  // The last op must be the comparison that is returned.
  if (region.ops.size() < 2 || program.steps.empty() || program.results.size() != 1)
    return std::nullopt;
  const Op& compare = region.ops[region.ops.size() - 2];
  const Attr& direction = compare.attr("comparison_direction");
  if (!direction.present() || region.ops.back().operands[0] != compare.first_result)
    return std::nullopt;
  const auto d = static_cast<CompareDirection>(direction.AsEnum());
  if (d != CompareDirection::kLt && d != CompareDirection::kGt) return std::nullopt;
  const SpanProgram::Step& last = program.steps.back();
  if (last.out != program.results[0] || last.num_in != 2) return std::nullopt;
  SideMatcher matcher(program);
  if (!matcher.Match(last.in[0], last.in[1])) return std::nullopt;
  const DType key_dtype = program.registers[last.in[0]].dtype;
  const bool is_element = program.registers[last.in[0]].source == SpanProgram::Source::kArgument;
  if (!is_element && ComputeType(key_dtype) != key_dtype) return std::nullopt;
  KeyedComparator key;
  key.operand = static_cast<size_t>(matcher.operand());
  key.dtype = key_dtype;
  key.descending = d == CompareDirection::kGt;
  const Attr& type = compare.attr("compare_type");
  key.total_order = type.present() && type.AsEnum() == static_cast<int>(CompareType::kTotalOrder);
  if (!is_element) {
    key.key = matcher.Extract(last.in[0]);
  }
  return key;
}

// Calls `visit` with the elements of the key array as their own type.
template <typename Visit>
Status VisitKeys(DType dtype, const void* keys, const Visit& visit) {
  switch (dtype) {
    case DType::kBool:
    case DType::kU8:
      return visit(static_cast<const uint8_t*>(keys));
    case DType::kI8:
      return visit(static_cast<const int8_t*>(keys));
    case DType::kI16:
      return visit(static_cast<const int16_t*>(keys));
    case DType::kU16:
      return visit(static_cast<const uint16_t*>(keys));
    case DType::kI32:
      return visit(static_cast<const int32_t*>(keys));
    case DType::kU32:
      return visit(static_cast<const uint32_t*>(keys));
    case DType::kI64:
      return visit(static_cast<const int64_t*>(keys));
    case DType::kU64:
      return visit(static_cast<const uint64_t*>(keys));
    case DType::kF32:
      return visit(static_cast<const float*>(keys));
    case DType::kF64:
      return visit(static_cast<const double*>(keys));
    default:
      return Internal("sort keys of an unexpected type");
  }
}

template <typename T>
Status SortByKeys(const T* keys, bool descending, std::vector<int64_t>* order,
                  std::vector<int64_t>* spare, const Run& run) {
  if (descending) {
    return MergeSort(order, spare, run,
                     [&](int64_t a, int64_t b) -> Result<bool> { return keys[a] > keys[b]; });
  }
  return MergeSort(order, spare, run,
                   [&](int64_t a, int64_t b) -> Result<bool> { return keys[a] < keys[b]; });
}

// Integers in the total order of the floats they are made from.
template <typename I>
void TotalOrderKeys(void* keys, int64_t n) {
  I* p = static_cast<I*>(keys);
  constexpr I kMax = std::numeric_limits<I>::max();
  for (int64_t i = 0; i < n; ++i) p[i] = p[i] < 0 ? static_cast<I>(p[i] ^ kMax) : p[i];
}

struct SortPlan {
  RegionBody body;
  std::optional<KeyedComparator> key;
  Shape shape;
  std::vector<DType> dtypes;
  int64_t outer = 1, length = 1, inner = 1;
};

class LineSorter {
 public:
  LineSorter(const SortPlan& p, Run& run, Frame& frame)
      : p_(p),
        run_(run),
        body_(p.body, run, frame, 1),
        order_(static_cast<size_t>(p.length)),
        spare_(static_cast<size_t>(p.length)),
        arguments_(2 * p.dtypes.size()) {
    if (p.key && p.key->key != nullptr)
      keyer_ = std::make_unique<SpanRunner>(*p.key->key, frame, kChunk);
    if (p.key) keys_.resize(static_cast<size_t>(p.length * tensor::ByteWidth(p.key->dtype)));
  }

  // columns[k] holds the line's elements of operand k, one after the other. Gives the new order of
  // positions.
  Result<const std::vector<int64_t>*> Sort(const std::vector<const char*>& columns) {
    std::iota(order_.begin(), order_.end(), 0);
    if (p_.key) {
      RETURN_IF_ERROR(SortKeyed(columns[p_.key->operand]));
      return &order_;
    }
    const auto less = [&](int64_t a, int64_t b) -> Result<bool> {
      for (size_t k = 0; k < columns.size(); ++k) {
        const int width = tensor::ByteWidth(p_.dtypes[k]);
        arguments_[2 * k] = columns[k] + a * width;
        arguments_[2 * k + 1] = columns[k] + b * width;
      }
      uint8_t before = 0;
      void* result = &before;
      RETURN_IF_ERROR(body_.Apply(arguments_.data(), &result, 1));
      return before != 0;
    };
    RETURN_IF_ERROR(MergeSort(&order_, &spare_, run_, less));
    return &order_;
  }

 private:
  static constexpr int64_t kChunk = 256;

  Status SortKeyed(const char* column) {
    const KeyedComparator& key = *p_.key;
    const int in_width = tensor::ByteWidth(p_.dtypes[key.operand]);
    const int key_width = tensor::ByteWidth(key.dtype);
    DType dtype = ComputeType(key.dtype);
    if (dtype != key.dtype && keyer_ == nullptr) {
      keys_.resize(static_cast<size_t>(p_.length * tensor::ByteWidth(dtype)));
      DecodeChunk(key.dtype, column, keys_.data(), p_.length);
    } else if (keyer_ == nullptr) {
      std::memcpy(keys_.data(), column, keys_.size());
    } else {
      for (int64_t at = 0; at < p_.length; at += kChunk) {
        const void* in = column + at * in_width;
        void* out = keys_.data() + at * key_width;
        keyer_->Run(&in, &out, std::min(kChunk, p_.length - at));
      }
    }
    if (key.total_order && dtype == DType::kF32) {
      TotalOrderKeys<int32_t>(keys_.data(), p_.length);
      dtype = DType::kI32;
    } else if (key.total_order && dtype == DType::kF64) {
      TotalOrderKeys<int64_t>(keys_.data(), p_.length);
      dtype = DType::kI64;
    }
    return VisitKeys(dtype, keys_.data(), [&](const auto* keys) {
      return SortByKeys(keys, key.descending, &order_, &spare_, run_);
    });
  }

  const SortPlan& p_;
  Run& run_;
  BodyRunner body_;
  std::vector<int64_t> order_, spare_;
  std::vector<const void*> arguments_;
  std::unique_ptr<SpanRunner> keyer_;
  std::vector<char> keys_;
};

void Permute(const char* column, const std::vector<int64_t>& order, int width, char* to,
             int64_t to_stride) {
  for (size_t i = 0; i < order.size(); ++i) {
    std::memcpy(to + static_cast<int64_t>(i) * to_stride, column + order[i] * width,
                static_cast<size_t>(width));
  }
}

Status RunSort(const SortPlan& p, KernelCall& call) {
  const size_t n = p.dtypes.size();
  for (size_t k = 0; k < n; ++k) {
    ASSIGN_OR_RETURN(call.out[k], call.run.Allocate({p.dtypes[k], p.shape}));
  }
  if (call.out[0].size() == 0) return OkStatus();
  LineSorter sorter(p, call.run, call.frame);
  std::vector<std::vector<char>> lines(n);
  std::vector<const char*> columns(n);
  for (int64_t o = 0; o < p.outer; ++o) {
    for (int64_t i = 0; i < p.inner; ++i) {
      const int64_t first = o * p.length * p.inner + i;
      for (size_t k = 0; k < n; ++k) {
        const int width = tensor::ByteWidth(p.dtypes[k]);
        columns[k] = static_cast<const char*>(call.in[k].data()) + first * width;
        if (p.inner == 1) continue;
        lines[k].resize(static_cast<size_t>(p.length * width));
        StridedCopy(lines[k].data(), {width}, columns[k], {p.inner * width}, {p.length}, width);
        columns[k] = lines[k].data();
      }
      ASSIGN_OR_RETURN(const std::vector<int64_t>* order, sorter.Sort(columns));
      for (size_t k = 0; k < n; ++k) {
        const int width = tensor::ByteWidth(p.dtypes[k]);
        Permute(columns[k], *order, width,
                static_cast<char*>(call.out[k].mutable_data()) + first * width, p.inner * width);
      }
    }
    RETURN_IF_ERROR(call.run.Poll());
  }
  return OkStatus();
}

// --- top_k ---

// Keys whose descending order is that of top_k: integers by value, floats in total order (NaN
// first).
Status TopKOrder(const Tensor& in, int64_t first, int64_t length, std::vector<int64_t>* order,
                 std::vector<int64_t>* spare, std::vector<char>* keys, const Run& run) {
  std::iota(order->begin(), order->end(), 0);
  const DType storage = in.dtype();
  DType dtype = ComputeType(storage);
  keys->resize(static_cast<size_t>(length * tensor::ByteWidth(dtype)));
  DecodeChunk(storage, static_cast<const char*>(in.data()) + first * tensor::ByteWidth(storage),
              keys->data(), length);
  if (dtype == DType::kF32) {
    TotalOrderKeys<int32_t>(keys->data(), length);
    dtype = DType::kI32;
  } else if (dtype == DType::kF64) {
    TotalOrderKeys<int64_t>(keys->data(), length);
    dtype = DType::kI64;
  }
  return VisitKeys(dtype, keys->data(),
                   [&](const auto* k) { return SortByKeys(k, true, order, spare, run); });
}

}  // namespace

Result<Kernel> PrepareSort(Planner& planner, const Op& op) {
  auto p = std::make_shared<SortPlan>();
  ASSIGN_OR_RETURN(p->body, MakeBody(planner, op.regions[0]));
  if (p->body.program != nullptr) p->key = FindKey(op.regions[0], *p->body.program);
  p->shape = planner.operand(op, 0).shape;
  for (size_t i = 0; i < op.operands.size(); ++i) p->dtypes.push_back(planner.operand(op, i).dtype);
  const auto rank = static_cast<int64_t>(p->shape.size());
  const int64_t written = op.attr_or_default("dimension", planner.func()).AsInt();
  const auto dim = static_cast<size_t>(written < 0 ? written + rank : written);
  for (size_t i = 0; i < p->shape.size(); ++i)
    (i < dim ? p->outer : i > dim ? p->inner : p->length) *= p->shape[i];
  return Kernel{[p](KernelCall& call) { return RunSort(*p, call); }};
}

Result<Kernel> PrepareTopK(Planner& planner, const Op& op) {
  const TensorType values = planner.result(op, 0);
  const TensorType indices = planner.result(op, 1);
  const int64_t length = planner.operand(op, 0).shape.back();
  const int64_t k = values.shape.back();
  return Kernel{[values, indices, length, k](KernelCall& call) -> Status {
    const Tensor& in = call.in[0];
    ASSIGN_OR_RETURN(call.out[0], call.run.Allocate(values));
    ASSIGN_OR_RETURN(call.out[1], call.run.Allocate(indices));
    if (call.out[0].size() == 0) return OkStatus();
    std::vector<int64_t> order(static_cast<size_t>(length)), spare(static_cast<size_t>(length));
    std::vector<char> keys;
    const int width = tensor::ByteWidth(values.dtype);
    char* to = static_cast<char*>(call.out[0].mutable_data());
    int32_t* positions = static_cast<int32_t*>(call.out[1].mutable_data());
    for (int64_t line = 0; line < in.size() / length; ++line) {
      RETURN_IF_ERROR(TopKOrder(in, line * length, length, &order, &spare, &keys, call.run));
      const char* from = static_cast<const char*>(in.data()) + line * length * width;
      for (int64_t i = 0; i < k; ++i) {
        const int64_t source = order[static_cast<size_t>(i)];
        std::memcpy(to + (line * k + i) * width, from + source * width, static_cast<size_t>(width));
        positions[line * k + i] = static_cast<int32_t>(source);
      }
    }
    return OkStatus();
  }};
}

}  // namespace megalith::stablehlo
