#include "common/programs/stablehlo/lapack_calls.h"

#include <algorithm>
#include <map>

#include "common/foundation/base/strings.h"
#include "common/programs/stablehlo/kernels/library_calls.h"

namespace megalith::stablehlo {
namespace {

constexpr LapackRow kRows[] = {
    {LapackRoutine::kPotrf, "potrf", "potrf", "Tnn", "Tnn I", "", "uplo:LU", PreparePotrf},
    {LapackRoutine::kGetrf, "getrf", "getrf", "Tmn", "Tmn Ik I", "", "", PrepareGetrf},
    {LapackRoutine::kTrsm, "trsm", "trsm", "Tnn Tab", "Tab", "",
     "side:LR uplo:LU trans_x:NTC diag:NU", PrepareTrsm},
    {LapackRoutine::kGeqrf, "geqrf", "geqrf", "Tmn", "Tmn Tk", "", "", PrepareQr},
    {LapackRoutine::kGeqp3, "geqp3", "geqp3", "Tmn In", "Tmn In Tk", "", "", PreparePivotedQr},
    {LapackRoutine::kOrgqr, "orgqr", "ungqr", "Tmn Ta", "Tmn", "", "", PrepareReflectorProduct},
    {LapackRoutine::kGesdd, "gesdd", "gesdd", "Tmn", "Tmn Rk Tmp Tqn I", "", "mode:ASN",
     PrepareGesvd},
    {LapackRoutine::kGesvd, "gesvd", "gesvd", "Tmn", "Tmn Rk Tmp Tqn I", "", "mode:ASN",
     PrepareGesvd},
    {LapackRoutine::kSyevd, "syevd", "heevd", "Tnn", "Tnn Rn I", "", "mode:VN uplo:LU",
     PrepareSyevd},
    {LapackRoutine::kGeev, "geev", "geev", "Tnn", "Tn Tn Cnn Cnn I", "Tn Cnn Cnn I",
     "compute_left:VN compute_right:VN", PrepareGeev},
    {LapackRoutine::kGees, "gees", "gees", "Tnn", "Tnn Tnn Tn Tn I I", "Tnn Tnn Tn I I",
     "mode:VN sort:N", PrepareGees},
    {LapackRoutine::kGehrd, "gehrd", "gehrd", "Tnn", "Tnn Th I", "", "", PrepareGehrd},
    {LapackRoutine::kSytrd, "sytrd", "hetrd", "Tnn", "Tnn Rn Rh Th I", "", "uplo:LU", PrepareSytrd},
    {LapackRoutine::kGtsv, "gtsv", "gtsv", "Tn Tn Tn Tna", "Tn Tn Tn Tna I", "", "", PrepareGtsv},
};

struct Letter {
  char letter;
  DType dtype;
};
constexpr Letter kLetters[] = {
    {'s', DType::kF32}, {'d', DType::kF64}, {'c', DType::kC64}, {'z', DType::kC128}};

struct Target {
  const LapackRow* row = nullptr;
  DType dtype = DType::kInvalid;
};

Target ParseTarget(std::string_view text) {
  constexpr std::string_view kBefore = "lapack_", kAfter = "_ffi";
  if (!text.starts_with(kBefore) || !text.ends_with(kAfter) ||
      text.size() <= kBefore.size() + kAfter.size() + 1) {
    return {};
  }
  const char letter = text[kBefore.size()];
  const std::string_view name =
      text.substr(kBefore.size() + 1, text.size() - kBefore.size() - kAfter.size() - 1);
  for (const Letter& l : kLetters) {
    if (l.letter != letter) continue;
    for (const LapackRow& row : kRows) {
      if (name == (tensor::IsComplex(l.dtype) ? row.complex : row.real)) return {&row, l.dtype};
    }
  }
  return {};
}

// Calls `visit(word)` for the words of a list separated by spaces, until one fails.
template <typename Visit>
Status ForEachWord(std::string_view words, const Visit& visit) {
  while (!words.empty()) {
    const size_t end = std::min(words.find(' '), words.size());
    RETURN_IF_ERROR(visit(words.substr(0, end)));
    words.remove_prefix(std::min(end + 1, words.size()));
  }
  return OkStatus();
}

class Reader {
 public:
  Reader(const Op& op, const Func& func, std::span<const TensorType> results)
      : op_(op), func_(func), results_(results) {}

  Result<LapackCall> Read() {
    const Target target = ParseTarget(op_.attr("call_target_name").AsText());
    CHECK(target.row != nullptr);
    dtype_ = target.dtype;
    call_.row = target.row;
    RETURN_IF_ERROR(ReadOptions());
    RETURN_IF_ERROR(ReadOperands());
    RETURN_IF_ERROR(CheckResults());
    RETURN_IF_ERROR(CheckLayouts("operand", "operand_layouts", op_.operands.size()));
    RETURN_IF_ERROR(CheckLayouts("result", "result_layouts", results_.size()));
    return std::move(call_);
  }

 private:
  const TensorType& operand(size_t i) const { return func_.type(op_.operands[i]); }
  const TensorType& TypeOf(std::string_view what, size_t i) const {
    return what == "operand" ? operand(i) : results_[i];
  }

  Status ReadOptions() {
    const Attr& config = op_.attr("mhlo.backend_config");
    if (config.kind() != AttrKind::kDict) {
      return InvalidArgument("wanted a dictionary mhlo.backend_config");
    }
    config_ = &config.AsDict();
    size_t known = 0;
    RETURN_IF_ERROR(ForEachWord(call_.row->options, [&](std::string_view word) -> Status {
      const size_t colon = word.find(':');
      const std::string_view name = word.substr(0, colon), values = word.substr(colon + 1);
      const Attr& value = FindAttr(*config_, name);
      if (value.kind() != AttrKind::kInt) {
        return InvalidArgument(StrCat("mhlo.backend_config has no number ", name));
      }
      const int64_t v = value.AsInt();
      if (v < 0 || v > 127 || values.find(static_cast<char>(v)) == std::string_view::npos) {
        std::vector<std::string> wanted;
        for (const char c : values) wanted.push_back(StrCat(static_cast<int>(c), " (", c, ")"));
        return InvalidArgument(StrCat(name, " is ", v, ", wanted ", Join(wanted, " or ")));
      }
      call_.options.push_back(static_cast<char>(v));
      ++known;
      return OkStatus();
    }));
    if (call_.row->routine == LapackRoutine::kGehrd) known += 2;  // low and high: see ReadOperands
    if (config_->size() == known) return OkStatus();
    return InvalidArgument(
        StrCat("mhlo.backend_config has ", config_->size(), " entries, wanted ", known));
  }

  Status ReadOperands() {
    size_t count = 0;
    RETURN_IF_ERROR(ForEachWord(call_.row->operands, [&](std::string_view) -> Status {
      ++count;
      return OkStatus();
    }));
    if (op_.operands.size() != count) {
      return InvalidArgument(StrCat(op_.operands.size(), " operands, wanted ", count));
    }
    size_t i = 0;
    RETURN_IF_ERROR(ForEachWord(call_.row->operands, [&](std::string_view word) -> Status {
      const size_t rank = word.size() - 1;
      const TensorType& type = operand(i);
      if (type.is_token || type.rank() < rank) {
        return InvalidArgument(
            StrCat("operand ", i, " has type ", type.Text(), ", wanted a rank of at least ", rank));
      }
      if (i == 0) call_.batch = Shape(std::span(type.shape).first(type.rank() - rank));
      for (size_t d = 0; d < rank; ++d) {
        const int64_t size = type.shape[type.rank() - rank + d];
        sizes_.try_emplace(word[1 + d], size);
      }
      return WantType("operand", i++, word);
    }));
    return Relations();
  }

  // What sizes have to do with each other, and those that follow.
  Status Relations() {
    const int64_t n = sizes_['n'];
    sizes_.try_emplace('m', n);
    const int64_t m = sizes_['m'];
    sizes_['k'] = std::min(m, n);
    sizes_['h'] = std::max<int64_t>(n - 1, 0);
    const bool full = !call_.options.empty() && call_.option(0) == 'A';
    sizes_['p'] = full ? m : sizes_['k'];
    sizes_['q'] = full ? n : sizes_['k'];
    switch (call_.row->routine) {
      case LapackRoutine::kTrsm:
        if (sizes_[call_.option(0) == 'L' ? 'a' : 'b'] != n) {
          return InvalidArgument(StrCat("operand 1 has type ", operand(1).Text(),
                                        ", which does not fit ", operand(0).Text()));
        }
        return OkStatus();
      case LapackRoutine::kOrgqr:
        if (sizes_['a'] > n || n > m) {
          return InvalidArgument(StrCat("no product of reflectors for ", operand(0).Text(), " and ",
                                        operand(1).Text()));
        }
        return OkStatus();
      case LapackRoutine::kGehrd:
        RETURN_IF_ERROR(WantNumber("low", 1));
        return WantNumber("high", n);
      default:
        return OkStatus();
    }
  }

  Status WantNumber(std::string_view name, int64_t want) const {
    const Attr& value = FindAttr(*config_, name);
    if (value.kind() == AttrKind::kInt && value.AsInt() == want) return OkStatus();
    return InvalidArgument(value.kind() == AttrKind::kInt
                               ? StrCat(name, " is ", value.AsInt(), ", wanted ", want)
                               : StrCat("mhlo.backend_config has no number ", name));
  }

  Status CheckResults() {
    const LapackRow& row = *call_.row;
    const bool complex = tensor::IsComplex(dtype_) && !row.complex_results.empty();
    const std::string_view words = complex ? row.complex_results : row.results;
    const auto count = static_cast<size_t>(std::ranges::count(words, ' ')) + 1;
    if (results_.size() != count) {
      return InvalidArgument(StrCat(results_.size(), " results, wanted ", count));
    }
    // Without vectors their arrays may be of either size.
    const bool svd = row.routine == LapackRoutine::kGesdd || row.routine == LapackRoutine::kGesvd;
    if (svd && call_.option(0) == 'N' && results_[3].rank() == call_.batch.size() + 2 &&
        results_[2].rank() == results_[3].rank()) {
      const size_t rows = call_.batch.size();
      if (results_[2].shape[rows + 1] == sizes_['m']) sizes_['p'] = sizes_['m'];
      if (results_[3].shape[rows] == sizes_['n']) sizes_['q'] = sizes_['n'];
    }
    size_t i = 0;
    return ForEachWord(words, [&](std::string_view word) { return WantType("result", i++, word); });
  }

  Status WantType(std::string_view what, size_t i, std::string_view word) {
    TensorType want{DType::kI32, call_.batch};
    if (word[0] == 'T') want.dtype = dtype_;
    if (word[0] == 'R') want.dtype = tensor::RealPart(dtype_);
    if (word[0] == 'C') {
      want.dtype = tensor::RealPart(dtype_) == DType::kF64 ? DType::kC128 : DType::kC64;
    }
    for (const char letter : word.substr(1)) want.shape.push_back(sizes_[letter]);
    const TensorType& found = TypeOf(what, i);
    if (found == want) return OkStatus();
    return InvalidArgument(
        StrCat(what, " ", i, " has type ", found.Text(), ", wanted ", want.Text()));
  }

  // Arrays of matrices are column-major, all others row-major.
  Status CheckLayouts(std::string_view what, std::string_view attr, size_t count) const {
    const Attr& list = op_.attr(attr);
    if (list.kind() != AttrKind::kList || list.AsList().size() != count) {
      return InvalidArgument(StrCat("wanted ", count, " ", attr));
    }
    for (size_t i = 0; i < count; ++i) {
      const auto rank = static_cast<int64_t>(TypeOf(what, i).rank());
      const bool matrices = TypeOf(what, i).rank() == call_.batch.size() + 2;
      Dims want;
      for (int64_t d = rank; d-- > 0;) want.push_back(d);
      if (matrices) std::swap(want[0], want[1]);
      const Attr& layout = list.AsList()[i];
      bool same = layout.kind() == AttrKind::kDense &&
                  ElementCount(layout.AsDense().type) == rank &&
                  tensor::IsInteger(layout.AsDense().type.dtype);
      Dims found;
      for (int64_t d = 0; same && d < rank; ++d) {
        const Dense& dense = layout.AsDense();
        found.push_back(dense.data.IntAt(dense.splat ? 0 : d));
      }
      same = same && found == want;
      if (!same) {
        return InvalidArgument(StrCat(what, " ", i, " has layout [", Join(found, ", "),
                                      "], wanted [", Join(want, ", "), "]"));
      }
    }
    return OkStatus();
  }

  const Op& op_;
  const Func& func_;
  std::span<const TensorType> results_;
  const AttrDict* config_ = nullptr;
  DType dtype_ = DType::kInvalid;
  std::map<char, int64_t> sizes_;
  LapackCall call_;
};

}  // namespace

std::span<const LapackRow> LapackRows() { return kRows; }

const LapackRow* FindLapackRow(std::string_view target) { return ParseTarget(target).row; }

Result<LapackCall> ReadLapackCall(const Op& op, const Func& func,
                                  std::span<const TensorType> results) {
  return Reader(op, func, results).Read();
}

Result<LapackCall> ReadLapackCall(Planner& planner, const Op& op) {
  const std::vector<TensorType> results(
      planner.func().types.begin() + op.first_result,
      planner.func().types.begin() + op.first_result + op.num_results);
  return ReadLapackCall(op, planner.func(), results);
}

}  // namespace megalith::stablehlo
