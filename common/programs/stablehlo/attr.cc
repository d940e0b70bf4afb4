#include "common/programs/stablehlo/attr.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <variant>

#include "common/foundation/base/strings.h"
#include "common/programs/stablehlo/records.h"

namespace megalith::stablehlo {

struct Attr::Payload {
  std::variant<std::string, TensorType, FuncType, std::vector<int64_t>, Dense, AttrDict,
               std::vector<Attr>, GatherDims, ScatterDims, DotDims, ConvDims, DotAlgorithm,
               ChannelHandle, ResultAccuracy, OperandAlias>
      v;
};

template <typename T>
Attr Attr::Make(AttrKind kind, T value) {
  Attr a;
  a.kind_ = kind;
  auto payload = std::make_shared<Payload>();
  payload->v = std::move(value);
  a.payload_ = std::move(payload);
  return a;
}

template <typename T>
const T& Attr::Get() const {
  CHECK(payload_ != nullptr);
  const T* v = std::get_if<T>(&payload_->v);
  CHECK(v != nullptr);
  return *v;
}

Attr Attr::Unit() {
  Attr a;
  a.kind_ = AttrKind::kUnit;
  return a;
}

Attr Attr::Bool(bool v) {
  Attr a;
  a.kind_ = AttrKind::kBool;
  a.scalar_ = v ? 1 : 0;
  return a;
}

Attr Attr::Int(int64_t v, DType dtype) {
  Attr a;
  a.kind_ = AttrKind::kInt;
  a.dtype_ = dtype;
  a.scalar_ = v;
  return a;
}

Attr Attr::Float(double v, DType dtype) {
  Attr a;
  a.kind_ = AttrKind::kFloat;
  a.dtype_ = dtype;
  std::memcpy(&a.scalar_, &v, sizeof(v));
  return a;
}

double Attr::AsFloat() const {
  double v = 0;
  std::memcpy(&v, &scalar_, sizeof(v));
  return v;
}

Attr Attr::String(std::string_view v) { return Make(AttrKind::kString, std::string(v)); }
Attr Attr::Symbol(std::string_view name) { return Make(AttrKind::kSymbol, std::string(name)); }
Attr Attr::Opaque(std::string_view text) { return Make(AttrKind::kOpaque, std::string(text)); }
Attr Attr::Type(TensorType type) { return Make(AttrKind::kType, std::move(type)); }
Attr Attr::Function(FuncType type) { return Make(AttrKind::kFuncType, std::move(type)); }

Attr Attr::ScalarType(DType dtype) {
  Attr a = Make(AttrKind::kType, TensorType::Scalar(dtype));
  a.dtype_ = dtype;
  a.scalar_ = 1;
  return a;
}

Attr Attr::Ints(std::span<const int64_t> v) {
  return Make(AttrKind::kInts, std::vector<int64_t>(v.begin(), v.end()));
}

Attr Attr::Bools(std::span<const bool> v) {
  return Make(AttrKind::kBools, std::vector<int64_t>(v.begin(), v.end()));
}

Attr Attr::OfDense(Dense v) { return Make(AttrKind::kDense, std::move(v)); }

Attr Attr::OfTensor(const Tensor& t) {
  Dense d;
  d.type = {t.dtype(), t.shape()};
  const size_t width = static_cast<size_t>(tensor::ByteWidth(t.dtype()));
  const std::string_view bytes = t.bytes();
  bool splat = t.size() > 0;
  for (size_t at = width; splat && at < bytes.size(); at += width) {
    splat = std::memcmp(bytes.data(), bytes.data() + at, width) == 0;
  }
  d.splat = splat;
  if (!splat) {
    d.data = t;
  } else if (t.size() == 1) {
    d.data = t.Reshaped(Shape{});
  } else {
    d.data = *Tensor::FromBytes(t.dtype(), Shape{}, bytes.substr(0, width));
  }
  return OfDense(std::move(d));
}

Attr Attr::Enum(EnumId id, int value) {
  Attr a;
  a.kind_ = AttrKind::kEnum;
  a.scalar_ = (static_cast<int64_t>(id) << 8) | value;
  return a;
}

Attr Attr::Of(GatherDims v) { return Make(AttrKind::kGather, std::move(v)); }
Attr Attr::Of(ScatterDims v) { return Make(AttrKind::kScatter, std::move(v)); }
Attr Attr::Of(DotDims v) { return Make(AttrKind::kDot, std::move(v)); }
Attr Attr::Of(ConvDims v) { return Make(AttrKind::kConv, std::move(v)); }
Attr Attr::Of(DotAlgorithm v) { return Make(AttrKind::kDotAlgorithm, v); }
Attr Attr::Of(ChannelHandle v) { return Make(AttrKind::kChannel, v); }
Attr Attr::Of(ResultAccuracy v) { return Make(AttrKind::kResultAccuracy, v); }
Attr Attr::Of(OperandAlias v) { return Make(AttrKind::kOperandAlias, std::move(v)); }

Attr Attr::Dict(AttrDict v) {
  std::sort(v.begin(), v.end(),
            [](const NamedAttr& a, const NamedAttr& b) { return a.name < b.name; });
  return Make(AttrKind::kDict, std::move(v));
}

Attr Attr::List(std::vector<Attr> v) { return Make(AttrKind::kList, std::move(v)); }

const std::string& Attr::AsText() const { return Get<std::string>(); }
const TensorType& Attr::AsType() const { return Get<TensorType>(); }
const FuncType& Attr::AsFuncType() const { return Get<FuncType>(); }
std::span<const int64_t> Attr::AsInts() const { return Get<std::vector<int64_t>>(); }
const Dense& Attr::AsDense() const { return Get<Dense>(); }
const AttrDict& Attr::AsDict() const { return Get<AttrDict>(); }
const std::vector<Attr>& Attr::AsList() const { return Get<std::vector<Attr>>(); }
const GatherDims& Attr::AsGather() const { return Get<GatherDims>(); }
const ScatterDims& Attr::AsScatter() const { return Get<ScatterDims>(); }
const DotDims& Attr::AsDot() const { return Get<DotDims>(); }
const ConvDims& Attr::AsConv() const { return Get<ConvDims>(); }
const DotAlgorithm& Attr::AsDotAlgorithm() const { return Get<DotAlgorithm>(); }
const ChannelHandle& Attr::AsChannel() const { return Get<ChannelHandle>(); }
const ResultAccuracy& Attr::AsResultAccuracy() const { return Get<ResultAccuracy>(); }
const OperandAlias& Attr::AsOperandAlias() const { return Get<OperandAlias>(); }

namespace {

constexpr EnumValueInfo kDirections[] = {{"EQ", 0}, {"NE", 1}, {"GE", 2},
                                         {"GT", 3}, {"LE", 4}, {"LT", 5}};
constexpr EnumValueInfo kCompareTypes[] = {
    {"NOTYPE", 0}, {"FLOAT", 1}, {"TOTALORDER", 2}, {"SIGNED", 3}, {"UNSIGNED", 4}};
constexpr EnumValueInfo kPrecisions[] = {{"DEFAULT", 0}, {"HIGH", 1}, {"HIGHEST", 2}};
constexpr EnumValueInfo kFftTypes[] = {{"FFT", 0}, {"IFFT", 1}, {"RFFT", 2}, {"IRFFT", 3}};
constexpr EnumValueInfo kTransposes[] = {
    {"TRANSPOSE_INVALID", 0}, {"NO_TRANSPOSE", 1}, {"TRANSPOSE", 2}, {"ADJOINT", 3}};
constexpr EnumValueInfo kDistributions[] = {{"UNIFORM", 1}, {"NORMAL", 2}};
constexpr EnumValueInfo kAlgorithms[] = {{"DEFAULT", 0}, {"THREE_FRY", 1}, {"PHILOX", 2}};
constexpr EnumValueInfo kAccuracyModes[] = {{"DEFAULT", 0}, {"HIGHEST", 1}, {"TOLERANCE", 2}};

constexpr EnumInfo kEnums[] = {
    {EnumId::kCompareDirection, "comparison_direction", kDirections},
    {EnumId::kCompareType, "comparison_type", kCompareTypes},
    {EnumId::kPrecision, "precision", kPrecisions},
    {EnumId::kFftType, "fft_type", kFftTypes},
    {EnumId::kTransposeA, "transpose", kTransposes},
    {EnumId::kRngDistribution, "rng_distribution", kDistributions},
    {EnumId::kRngAlgorithm, "rng_algorithm", kAlgorithms},
    {EnumId::kAccuracyMode, "result_accuracy_mode", kAccuracyModes},
};

bool SameDense(const Dense& a, const Dense& b) {
  return a.type == b.type && a.splat == b.splat && a.is_index == b.is_index &&
         a.data.bytes() == b.data.bytes();
}

bool SameDict(const AttrDict& a, const AttrDict& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i].name != b[i].name || !(a[i].value == b[i].value)) return false;
  }
  return true;
}

// Field by field: the fields of `a` are collected as pointers, then met in the same order in `b`.
template <typename R>
bool SameRecord(const R& a, const R& b) {
  std::vector<const void*> fields;
  VisitFields(a, [&](std::string_view, const auto& f) { fields.push_back(&f); });
  size_t next = 0;
  bool same = true;
  VisitFields(b, [&](std::string_view, const auto& f) {
    same = same && f == *static_cast<std::remove_reference_t<decltype(f)>*>(fields[next++]);
  });
  return same;
}

}  // namespace

const EnumInfo& InfoOf(EnumId id) { return kEnums[static_cast<size_t>(id)]; }

const EnumInfo* FindEnum(std::string_view mnemonic) {
  for (const EnumInfo& info : kEnums) {
    if (info.mnemonic == mnemonic) return &info;
  }
  return nullptr;
}

std::string_view Attr::EnumName() const {
  for (const EnumValueInfo& v : InfoOf(enum_id()).values) {
    if (v.value == AsEnum()) return v.name;
  }
  return "?";
}

bool operator==(const Attr& a, const Attr& b) {
  if (a.kind_ != b.kind_ || a.dtype_ != b.dtype_ || a.scalar_ != b.scalar_) return false;
  if (a.payload_ == b.payload_) return true;
  if (a.payload_ == nullptr || b.payload_ == nullptr) return false;
  switch (a.kind_) {
    case AttrKind::kString:
    case AttrKind::kSymbol:
    case AttrKind::kOpaque:
      return a.AsText() == b.AsText();
    case AttrKind::kType:
      return a.AsType() == b.AsType();
    case AttrKind::kFuncType:
      return a.AsFuncType().inputs == b.AsFuncType().inputs &&
             a.AsFuncType().results == b.AsFuncType().results;
    case AttrKind::kInts:
    case AttrKind::kBools:
      return std::ranges::equal(a.AsInts(), b.AsInts());
    case AttrKind::kDense:
      return SameDense(a.AsDense(), b.AsDense());
    case AttrKind::kDict:
      return SameDict(a.AsDict(), b.AsDict());
    case AttrKind::kList:
      return a.AsList() == b.AsList();
    default:
      break;
  }
  bool same = true;
  VisitRecord(a, [&](const auto& record) {
    using R = std::remove_cvref_t<decltype(record)>;
    VisitRecord(b, [&](const auto& other) {
      if constexpr (std::is_same_v<R, std::remove_cvref_t<decltype(other)>>)
        same = SameRecord(record, other);
    });
  });
  return same;
}

Result<Tensor> Dense::Materialize(uint64_t max_bytes) const {
  if (!splat) return data;
  ASSIGN_OR_RETURN(Tensor out, Tensor::CreateUninitialized(type.dtype, type.shape, max_bytes));
  const size_t width = static_cast<size_t>(tensor::ByteWidth(type.dtype));
  const size_t total = out.byte_size();
  if (total == 0) return out;
  char* p = static_cast<char*>(out.mutable_data());
  std::memcpy(p, data.data(), width);
  for (size_t done = width; done < total;) {  // doubling
    const size_t n = std::min(done, total - done);
    std::memcpy(p + done, p, n);
    done += n;
  }
  return out;
}

const Attr& FindAttr(const AttrDict& dict, std::string_view name) {
  static const Attr kAbsent;
  for (const NamedAttr& a : dict) {
    if (a.name == name) return a.value;
  }
  return kAbsent;
}

void SetAttr(AttrDict* dict, std::string_view name, Attr value) {
  auto at = std::lower_bound(dict->begin(), dict->end(), name,
                             [](const NamedAttr& a, std::string_view n) { return a.name < n; });
  const bool found = at != dict->end() && at->name == name;
  if (!value.present()) {
    if (found) dict->erase(at);
  } else if (found) {
    at->value = std::move(value);
  } else {
    dict->insert(at, NamedAttr{std::string(name), std::move(value)});
  }
}

std::string_view KindName(AttrKind kind) {
  switch (kind) {
    case AttrKind::kNone:
      return "nothing";
    case AttrKind::kUnit:
      return "unit";
    case AttrKind::kBool:
      return "bool";
    case AttrKind::kInt:
      return "integer";
    case AttrKind::kFloat:
      return "float";
    case AttrKind::kString:
      return "string";
    case AttrKind::kSymbol:
      return "symbol";
    case AttrKind::kType:
      return "type";
    case AttrKind::kFuncType:
      return "function type";
    case AttrKind::kInts:
      return "integer array";
    case AttrKind::kBools:
      return "bool array";
    case AttrKind::kDense:
      return "dense elements";
    case AttrKind::kEnum:
      return "enumeration";
    case AttrKind::kDict:
      return "dictionary";
    case AttrKind::kList:
      return "list";
    case AttrKind::kGather:
      return "gather dimension numbers";
    case AttrKind::kScatter:
      return "scatter dimension numbers";
    case AttrKind::kDot:
      return "dot dimension numbers";
    case AttrKind::kConv:
      return "convolution dimension numbers";
    case AttrKind::kDotAlgorithm:
      return "dot algorithm";
    case AttrKind::kChannel:
      return "channel handle";
    case AttrKind::kResultAccuracy:
      return "result accuracy";
    case AttrKind::kOperandAlias:
      return "output operand alias";
    case AttrKind::kOpaque:
      return "opaque";
  }
  return "?";
}

std::string_view RecordName(AttrKind kind) {
  switch (kind) {
    case AttrKind::kGather:
      return "gather";
    case AttrKind::kScatter:
      return "scatter";
    case AttrKind::kDot:
      return "dot";
    case AttrKind::kConv:
      return "conv";
    case AttrKind::kDotAlgorithm:
      return "dot_algorithm";
    case AttrKind::kChannel:
      return "channel_handle";
    case AttrKind::kResultAccuracy:
      return "result_accuracy";
    case AttrKind::kOperandAlias:
      return "output_operand_alias";
    default:
      return "";
  }
}

std::string TensorType::Text() const {
  if (is_token) return "!stablehlo.token";
  if (dtype == DType::kInvalid) return "<invalid>";
  std::string out = "tensor<";
  for (const int64_t d : shape) StrAppend(&out, d, "x");
  StrAppend(&out, tensor::MlirName(dtype), ">");
  return out;
}

int64_t ElementCount(const TensorType& type) {
  if (type.is_token) return 0;
  return tensor::NumElements(type.shape).value_or(-1);
}

int64_t ByteCount(const TensorType& type) {
  const int64_t n = ElementCount(type);
  if (n < 0) return -1;
  int64_t bytes = 0;
  if (__builtin_mul_overflow(n, static_cast<int64_t>(tensor::ByteWidth(type.dtype)), &bytes))
    return -1;
  return bytes;
}

}  // namespace megalith::stablehlo
