#include "common/machines/kernels/lapack_call.h"

#include <map>

namespace megalith::kernels {
namespace {

std::vector<std::string_view> Words(std::string_view text) {
  std::vector<std::string_view> out;
  while (!text.empty()) {
    const size_t end = std::min(text.find(' '), text.size());
    out.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

// The spec that a word asks for.
ArraySpec SpecOfWord(std::string_view word, DType element, const Shape& batch,
                     std::map<char, int64_t>& sizes) {
  ArraySpec spec{DType::kI32, batch};
  if (word[0] == 'T') spec.dtype = element;
  if (word[0] == 'R') spec.dtype = tensor::RealPart(element);
  if (word[0] == 'C') {
    spec.dtype = tensor::RealPart(element) == DType::kF64 ? DType::kC128 : DType::kC64;
  }
  for (const char d : word.substr(1)) spec.shape.push_back(sizes[d]);
  return spec;
}

std::string Text(const ArraySpec& spec) {
  return StrCat(tensor::Name(spec.dtype), "[", tensor::DimsText(spec.shape), "]");
}

}  // namespace

Result<std::shared_ptr<LapackState>> ReadLapack(
    std::string_view params, std::span<const ArraySpec> in, std::span<const ArraySpec> out,
    std::string_view operands, std::span<const int64_t> flag_limits, std::string_view outputs) {
  ASSIGN_OR_RETURN(const std::vector<int64_t> v, UnpackParams(params));
  const std::vector<std::string_view> in_words = Words(operands), out_words = Words(outputs);
  if (v.size() != flag_limits.size() + out_words.size() || in.size() != in_words.size()) {
    return InvalidArgument(StrCat(v.size(), " parameters and ", in.size(), " operands, wanted ",
                                  flag_limits.size() + out_words.size(), " and ", in_words.size()));
  }
  auto s = std::make_shared<LapackState>();
  ASSIGN_OR_RETURN(s->a, ReadMatrixBatch(in[0]));
  s->batch = BatchDims(in[0].shape);
  s->in.assign(in.begin(), in.end());
  s->out.assign(out.begin(), out.end());
  for (size_t i = 0; i < flag_limits.size(); ++i) {
    if (v[i] < 0 || v[i] > flag_limits[i]) return InvalidArgument(StrCat("flag ", i, " is ", v[i]));
    s->flags.push_back(v[i]);
  }
  const int64_t m = s->a.rows, n = s->a.columns, k = std::min(m, n);
  if (k == 0) return Unimplemented("matrices without elements");
  if (m > INT32_MAX / n / 8) return Unimplemented("matrices too large for LAPACK");
  const bool all = !s->flags.empty() && s->flags[0] == 2;
  std::map<char, int64_t> sizes = {{'m', m},     {'n', n},           {'k', k},
                                   {'h', n - 1}, {'p', all ? m : k}, {'q', all ? n : k}};
  if (in.size() > 1 && !in[1].shape.empty()) sizes['r'] = in[1].shape[in[1].shape.size() - 1];
  for (size_t i = 0; i < in.size(); ++i) {
    const ArraySpec want = SpecOfWord(in_words[i], s->a.dtype, s->batch, sizes);
    if (!SameSpec(in[i], want)) {
      return InvalidArgument(StrCat("operand ", i, " is ", Text(in[i]), ", wanted ", Text(want)));
    }
  }
  for (size_t i = 0; i < out_words.size(); ++i) {
    const int64_t r = v[flag_limits.size() + i];
    s->result_of.push_back(r);
    if (r == -1) continue;
    if (r < 0 || r >= static_cast<int64_t>(out.size())) {
      return InvalidArgument(StrCat("there is no result ", r));
    }
    const ArraySpec want = SpecOfWord(out_words[i], s->a.dtype, s->batch, sizes);
    const ArraySpec& found = out[static_cast<size_t>(r)];
    if (!SameSpec(found, want)) {
      return InvalidArgument(StrCat("result ", r, " is ", Text(found), ", wanted ", Text(want)));
    }
  }
  // The others are filled, each with as many elements per matrix.
  for (const ArraySpec& spec : out) {
    const bool known = tensor::IsInexact(spec.dtype) ? tensor::ByteWidth(spec.dtype) >= 4
                                                     : spec.dtype == DType::kI32;
    bool fits = known && spec.shape.size() >= s->batch.size() &&
                tensor::NumElements(spec.shape).has_value();
    for (size_t d = 0; fits && d < s->batch.size(); ++d) fits = spec.shape[d] == s->batch[d];
    if (!fits) return InvalidArgument(StrCat("a result is ", Text(spec)));
  }
  return s;
}

}  // namespace megalith::kernels
