#include "common/programs/stablehlo/rules.h"

#include <algorithm>

namespace megalith::stablehlo {

bool Matches(DType dtype, uint32_t mask) {
  return ((mask & kBoolOk) != 0 && dtype == DType::kBool) ||
         ((mask & kIntOk) != 0 && tensor::IsInteger(dtype)) ||
         ((mask & kFloatOk) != 0 && tensor::IsFloat(dtype)) ||
         ((mask & kComplexOk) != 0 && tensor::IsComplex(dtype));
}

std::string MaskText(uint32_t mask) {
  std::vector<std::string_view> words;
  if ((mask & kBoolOk) != 0) words.push_back("boolean");
  if ((mask & kIntOk) != 0) words.push_back("integer");
  if ((mask & kFloatOk) != 0) words.push_back("float");
  if ((mask & kComplexOk) != 0) words.push_back("complex");
  return Join(words, " or ");
}

Status WantDType(const TypeQuery& q, size_t operand, uint32_t mask) {
  const TensorType& t = q.operand(operand);
  if (!t.is_token && Matches(t.dtype, mask)) return OkStatus();
  return InvalidArgument(StrCat("operand ", operand, " has type ", t.Text(), ", wanted ",
                                MaskText(mask), " elements"));
}

Status WantSameType(const TypeQuery& q, size_t i) {
  if (q.operand(i) == q.operand(0)) return OkStatus();
  return InvalidArgument(StrCat("operand ", i, " has type ", q.operand(i).Text(),
                                ", wanted that of operand 0, ", q.operand(0).Text()));
}

Status WantSameShape(const TypeQuery& q, size_t i) {
  if (!q.operand(i).is_token && q.operand(i).shape == q.operand(0).shape) return OkStatus();
  return InvalidArgument(StrCat("operand ", i, " has type ", q.operand(i).Text(),
                                ", wanted the shape of operand 0, ", q.operand(0).Text()));
}

Status WantIndexScalars(const TypeQuery& q, size_t from) {
  for (size_t i = from; i < q.num_operands(); ++i) {
    const TensorType& t = q.operand(i);
    if (t.is_token || t.rank() != 0 || !tensor::IsInteger(t.dtype)) {
      return InvalidArgument(
          StrCat("operand ", i, " has type ", t.Text(), ", wanted an integer scalar"));
    }
    if (!(t == q.operand(from))) {
      return InvalidArgument(StrCat("operand ", i, " has type ", t.Text(),
                                    ", wanted that of operand ", from, ", ",
                                    q.operand(from).Text()));
    }
  }
  return OkStatus();
}

Status WantDeclared(const TypeQuery& q, size_t count) {
  if (q.declared.size() == count) return OkStatus();
  return InvalidArgument(StrCat(q.declared.size(), " result types are given, wanted ", count));
}

Status WantDims(std::string_view what, std::span<const int64_t> dims, int64_t want, int64_t rank,
                bool distinct) {
  if (want >= 0 && static_cast<int64_t>(dims.size()) != want) {
    return InvalidArgument(StrCat(what, " has ", dims.size(), " entries, wanted ", want));
  }
  for (size_t i = 0; i < dims.size(); ++i) {
    if (dims[i] < 0 || dims[i] >= rank) {
      return InvalidArgument(
          StrCat(what, "[", i, "] is ", dims[i], ", wanted a dimension in [0, ", rank, ")"));
    }
    if (distinct && std::find(dims.begin(), dims.begin() + static_cast<std::ptrdiff_t>(i),
                              dims[i]) != dims.begin() + static_cast<std::ptrdiff_t>(i)) {
      return InvalidArgument(StrCat(what, " names dimension ", dims[i], " twice"));
    }
  }
  return OkStatus();
}

RegionTypes TypesOf(const Region& region, const Func& func) {
  RegionTypes t;
  for (const ValueId v : region.args) t.args.push_back(func.type(v));
  if (!region.ops.empty()) {
    for (const ValueId v : region.ops.back().operands) t.results.push_back(func.type(v));
  }
  return t;
}

namespace {
std::string TypesText(const Types& types) {
  std::string out = "(";
  for (size_t i = 0; i < types.size(); ++i) StrAppend(&out, i > 0 ? ", " : "", types[i].Text());
  return out + ")";
}
}  // namespace

Status WantRegion(const TypeQuery& q, size_t index, std::string_view what, const Types& args,
                  const Types& results) {
  const RegionTypes got = TypesOf(q.op.regions[index], q.func);
  if (got.args != args) {
    return InvalidArgument(
        StrCat(what, " takes ", TypesText(got.args), ", wanted ", TypesText(args)));
  }
  if (got.results != results) {
    return InvalidArgument(
        StrCat(what, " returns ", TypesText(got.results), ", wanted ", TypesText(results)));
  }
  return OkStatus();
}

bool IsIota(const Attr& ints) {
  int64_t next = 0;
  return std::ranges::all_of(ints.AsInts(), [&](int64_t v) { return v == next++; });
}

Attr OnesPerDim(const Op& op, const Func& func) {
  return Attr::Ints(std::vector<int64_t>(func.type(op.operands[0]).rank(), 1));
}

Attr NoPadding(const Op& op, const Func& func) {
  return Attr::OfTensor(*Tensor::Create(
      DType::kI64, Shape{static_cast<int64_t>(func.type(op.operands[0]).rank()), 2}));
}

Attr DefaultPrecision(const Op&, const Func&) {
  return Attr::List({Attr::Of(Precision::kDefault), Attr::Of(Precision::kDefault)});
}

Status ReadPadding(const Attr& padding, int64_t rank,
                   std::vector<std::pair<int64_t, int64_t>>* out) {
  out->assign(static_cast<size_t>(rank), {0, 0});
  if (!padding.present()) return OkStatus();
  const Dense& d = padding.AsDense();
  if (!tensor::IsInteger(d.type.dtype) || d.type.rank() != 2 || d.type.shape[0] != rank ||
      d.type.shape[1] != 2) {
    return InvalidArgument(
        StrCat("padding has type ", d.type.Text(), ", wanted tensor<", rank, "x2xi64>"));
  }
  for (int64_t i = 0; i < rank; ++i) {
    (*out)[static_cast<size_t>(i)] = {d.data.IntAt(d.splat ? 0 : 2 * i),
                                      d.data.IntAt(d.splat ? 0 : 2 * i + 1)};
  }
  return OkStatus();
}

namespace {
// Size after putting dilation - 1 holes between neighbours; nullopt on overflow.
std::optional<int64_t> Dilated(int64_t size, int64_t dilation) {
  if (size == 0) return 0;
  int64_t out = 0;
  if (__builtin_mul_overflow(size - 1, dilation, &out) ||
      __builtin_add_overflow(out, int64_t{1}, &out)) {
    return std::nullopt;
  }
  return out;
}
}  // namespace

Result<int64_t> WindowOutput(const WindowDim& w, int64_t input) {
  if (w.size < 0 || w.stride < 1 || w.base_dilation < 1 || w.window_dilation < 1 ||
      !IsModest(w.pad_low) || !IsModest(w.pad_high)) {
    return InvalidArgument(StrCat("window size ", w.size, ", stride ", w.stride, ", dilations ",
                                  w.base_dilation, " and ", w.window_dilation, ", padding ",
                                  w.pad_low, " and ", w.pad_high, ": out of range"));
  }
  const auto base = Dilated(input, w.base_dilation);
  const auto window = Dilated(w.size, w.window_dilation);
  int64_t padded = 0;
  if (!base || !window || __builtin_add_overflow(*base, w.pad_low, &padded) ||
      __builtin_add_overflow(padded, w.pad_high, &padded)) {
    return InvalidArgument("the padded and dilated size does not fit into 64 bits");
  }
  if (padded < *window || padded <= 0) return int64_t{0};
  return (padded - *window) / w.stride + 1;
}

std::optional<Recurrence> FindRecurrence(std::span<const WindowDim> window, const Shape& input) {
  std::optional<Recurrence> found;
  for (size_t i = 0; i < window.size(); ++i) {
    const WindowDim& w = window[i];
    if (w.stride != 1 || w.base_dilation != 1 || w.window_dilation != 1) return std::nullopt;
    if (w.size == 1 && w.pad_low == 0 && w.pad_high == 0) continue;
    const bool forward = w.pad_low == input[i] - 1 && w.pad_high == 0;
    const bool backward = w.pad_high == input[i] - 1 && w.pad_low == 0;
    if (found || w.size != input[i] || (!forward && !backward)) return std::nullopt;
    found = Recurrence{i, !forward};
  }
  return found;
}

Result<std::vector<WindowDim>> ReadWindow(const Op& op, const Func& func) {
  const auto rank = static_cast<int64_t>(func.type(op.operands[0]).rank());
  std::vector<WindowDim> out(static_cast<size_t>(rank));
  const auto read = [&](std::string_view name, int64_t WindowDim::* field) -> Status {
    const Attr a = op.attr_or_default(name, func);
    if (!a.present()) return OkStatus();
    if (static_cast<int64_t>(a.AsInts().size()) != rank) {
      return InvalidArgument(StrCat(name, " has ", a.AsInts().size(), " entries, wanted ", rank));
    }
    for (size_t i = 0; i < out.size(); ++i) out[i].*field = a.AsInts()[i];
    return OkStatus();
  };
  RETURN_IF_ERROR(read("window_dimensions", &WindowDim::size));
  RETURN_IF_ERROR(read("window_strides", &WindowDim::stride));
  RETURN_IF_ERROR(read("base_dilations", &WindowDim::base_dilation));
  RETURN_IF_ERROR(read("window_dilations", &WindowDim::window_dilation));
  std::vector<std::pair<int64_t, int64_t>> padding;
  RETURN_IF_ERROR(ReadPadding(op.attr("padding"), rank, &padding));
  for (size_t i = 0; i < out.size(); ++i) {
    out[i].pad_low = padding[i].first;
    out[i].pad_high = padding[i].second;
  }
  return out;
}

}  // namespace megalith::stablehlo
