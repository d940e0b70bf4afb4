// Attributes as MLIR prints them.
#include <cctype>
#include <cstring>

#include "common/foundation/base/bytes.h"
#include "common/programs/stablehlo/float_text.h"
#include "common/programs/stablehlo/records.h"
#include "common/programs/stablehlo/text.h"

namespace megalith::stablehlo {
namespace {

// Constants with more elements than this are written as one hexadecimal string, as MLIR does.
constexpr int64_t kMaxListedElements = 100;

bool IsWord(std::string_view s) {
  if (s.empty() || (!std::isalpha(static_cast<unsigned char>(s[0])) && s[0] != '_')) return false;
  for (const char c : s) {
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '_' && c != '$' && c != '.')
      return false;
  }
  return true;
}

void AppendQuoted(std::string_view s, std::string* out) {
  *out += '"';
  for (const char c : s) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\\') {
      *out += "\\\\";
    } else if (byte >= 0x20 && byte < 0x7F && c != '"') {
      *out += c;
    } else {
      constexpr std::string_view kHex = "0123456789ABCDEF";
      StrAppend(out, '\\', kHex[byte >> 4], kHex[byte & 15]);
    }
  }
  *out += '"';
}

void AppendFloatAt(DType dtype, const char* p, std::string* out) {
  uint64_t bits = 0;
  std::memcpy(&bits, p, static_cast<size_t>(tensor::ByteWidth(dtype)));
  AppendFloatText(dtype, bits, out);
}

void AppendElement(const Tensor& t, int64_t i, std::string* out) {
  const DType dtype = t.dtype();
  const char* p = static_cast<const char*>(t.data()) + i * tensor::ByteWidth(dtype);
  if (tensor::IsComplex(dtype)) {
    const DType part = tensor::RealPart(dtype);
    *out += '(';
    AppendFloatAt(part, p, out);
    *out += ',';
    AppendFloatAt(part, p + tensor::ByteWidth(part), out);
    *out += ')';
  } else if (tensor::IsFloat(dtype)) {
    AppendFloatAt(dtype, p, out);
  } else if (dtype == DType::kBool) {
    *out += t.IntAt(i) != 0 ? "true" : "false";
  } else if (tensor::IsUnsigned(dtype)) {
    StrAppend(out, static_cast<uint64_t>(t.IntAt(i)));
  } else {
    StrAppend(out, t.IntAt(i));
  }
}

void AppendList(const Tensor& t, size_t dim, int64_t* next, std::string* out) {
  if (dim == t.rank()) return AppendElement(t, (*next)++, out);
  *out += '[';
  for (int64_t i = 0; i < t.shape()[dim]; ++i) {
    if (i > 0) *out += ", ";
    AppendList(t, dim + 1, next, out);
  }
  *out += ']';
}

void AppendDense(const Dense& d, std::string* out) {
  *out += "dense<";
  const int64_t n = ElementCount(d.type);
  if (n == 0) {
  } else if (d.splat) {
    AppendElement(d.data, 0, out);
  } else if (n > kMaxListedElements) {
    *out += "\"0x";
    constexpr std::string_view kHex = "0123456789ABCDEF";
    for (const uint8_t b : AsBytes(d.data.bytes())) {
      *out += kHex[b >> 4];
      *out += kHex[b & 15];
    }
    *out += '"';
  } else {
    int64_t next = 0;
    AppendList(d.data, 0, &next, out);
  }
  *out += "> : ";
  if (!d.is_index) {
    *out += d.type.Text();
    return;
  }
  *out += "tensor<";
  for (const int64_t dim : d.type.shape) StrAppend(out, dim, "x");
  *out += "index>";
}

std::string DoubleText(double v) {
  std::string text;
  uint64_t bits = 0;
  std::memcpy(&bits, &v, 8);
  AppendFloatText(DType::kF64, bits, &text);
  return text;
}

// Writes "name = value, ..." of a record. MLIR leaves out empty lists and zeros of the dimension
// numbers and of the accuracy, and nothing of the others.
class FieldPrinter {
 public:
  FieldPrinter(bool all, std::string* out) : all_(all), out_(out) {}
  void operator()(std::string_view name, const Dims& v) {
    if (!all_ && v.empty()) return;
    Key(name);
    PrintDims(v, out_);
  }
  void operator()(std::string_view name, int64_t v) {
    if (all_ || v != 0) Value(name, v);
  }
  void operator()(std::string_view name, bool v) { Value(name, v); }
  void operator()(std::string_view name, double v) {
    if (all_ || v != 0) Value(name, DoubleText(v));
  }
  void operator()(std::string_view name, PrecisionType v) {
    Value(name, v.tf32 ? std::string("tf32") : ScalarTypeText(v.dtype));
  }
  void operator()(std::string_view name, AccuracyMode v) {
    Value(name, StrCat("#stablehlo.result_accuracy_mode<",
                       Attr::Enum(EnumId::kAccuracyMode, static_cast<int>(v)).EnumName(), ">"));
  }

 private:
  void Key(std::string_view name) {
    StrAppend(out_, first_ ? "" : ", ", name, " = ");
    first_ = false;
  }
  template <typename T>
  void Value(std::string_view name, const T& v) {
    Key(name);
    StrAppend(out_, v);
  }

  bool all_;
  std::string* out_;
  bool first_ = true;
};

void AppendConvSide(std::string_view first, std::string_view second, int64_t first_at,
                    int64_t second_at, const Dims& spatial, std::string* out) {
  *out += '[';
  const auto n = static_cast<int64_t>(spatial.size()) + 2;
  for (int64_t i = 0; i < n; ++i) {
    if (i > 0) *out += ", ";
    if (i == first_at) {
      *out += first;
    } else if (i == second_at) {
      *out += second;
    } else {
      for (size_t s = 0; s < spatial.size(); ++s) {
        if (spatial[s] == i) StrAppend(out, s);
      }
    }
  }
  *out += ']';
}

void AppendConv(const ConvDims& d, std::string* out) {
  *out += "#stablehlo.conv<";
  AppendConvSide("b", "f", d.input_batch, d.input_feature, d.input_spatial, out);
  *out += 'x';
  AppendConvSide("i", "o", d.kernel_input_feature, d.kernel_output_feature, d.kernel_spatial, out);
  *out += "->";
  AppendConvSide("b", "f", d.output_batch, d.output_feature, d.output_spatial, out);
  *out += '>';
}

void AppendRecord(const Attr& attr, std::string* out) {
  if (attr.kind() == AttrKind::kConv) return AppendConv(attr.AsConv(), out);
  StrAppend(out, "#stablehlo.", RecordName(attr.kind()), "<");
  const bool all = attr.kind() == AttrKind::kDotAlgorithm || attr.kind() == AttrKind::kChannel ||
                   attr.kind() == AttrKind::kOperandAlias;
  FieldPrinter print(all, out);
  VisitRecord(attr, [&](const auto& record) {
    VisitFields(record, [&](std::string_view name, const auto& field) { print(name, field); });
  });
  *out += '>';
}

void AppendFuncType(const FuncType& f, std::string* out) {
  const auto list = [&](const std::vector<TensorType>& types) {
    for (size_t i = 0; i < types.size(); ++i) StrAppend(out, i > 0 ? ", " : "", types[i].Text());
  };
  *out += '(';
  list(f.inputs);
  *out += ") -> ";
  const bool parens = f.results.size() != 1;
  if (parens) *out += '(';
  list(f.results);
  if (parens) *out += ')';
}

// Scalars whose type may be left out in lists.
void AppendNumber(const Attr& attr, bool elide, std::string* out) {
  const DType dtype = attr.dtype();
  if (attr.kind() == AttrKind::kFloat) {
    Tensor t = *Tensor::Create(dtype, Shape{});
    t.SetDouble(0, attr.AsFloat());
    AppendElement(t, 0, out);
    if (!elide || dtype != DType::kF64) StrAppend(out, " : ", ScalarTypeText(dtype));
    return;
  }
  if (dtype != DType::kInvalid && tensor::IsUnsigned(dtype)) {
    StrAppend(out, static_cast<uint64_t>(attr.AsInt()));
  } else {
    StrAppend(out, attr.AsInt());
  }
  if (dtype == DType::kInvalid) {
    *out += " : index";
  } else if (!elide || dtype != DType::kI64) {
    StrAppend(out, " : ", ScalarTypeText(dtype));
  }
}

void AppendArray(const Attr& attr, std::string* out) {
  const bool bools = attr.kind() == AttrKind::kBools;
  *out += bools ? "array<i1" : "array<i64";
  bool first = true;
  for (const int64_t v : attr.AsInts()) {
    *out += first ? ": " : ", ";
    first = false;
    if (bools) {
      *out += v != 0 ? "true" : "false";
    } else {
      StrAppend(out, v);
    }
  }
  *out += '>';
}

void AppendEnum(const Attr& attr, std::string* out) {
  const EnumInfo& info = InfoOf(attr.enum_id());
  if (info.id == EnumId::kAccuracyMode) {
    StrAppend(out, "#stablehlo.", info.mnemonic, "<", attr.EnumName(), ">");
  } else {
    StrAppend(out, "#stablehlo<", info.mnemonic, " ", attr.EnumName(), ">");
  }
}

}  // namespace

std::string ScalarTypeText(DType dtype) { return std::string(tensor::MlirName(dtype)); }

void PrintDims(std::span<const int64_t> dims, std::string* out) {
  *out += '[';
  for (size_t i = 0; i < dims.size(); ++i) StrAppend(out, i > 0 ? ", " : "", dims[i]);
  *out += ']';
}

void PrintSymbol(std::string_view name, std::string* out) {
  *out += '@';
  if (IsWord(name)) {
    *out += name;
  } else {
    AppendQuoted(name, out);
  }
}

void PrintDict(const AttrDict& dict, std::string* out) {
  *out += '{';
  bool first = true;
  for (const NamedAttr& a : dict) {
    if (!first) *out += ", ";
    first = false;
    if (IsWord(a.name)) {
      *out += a.name;
    } else {
      AppendQuoted(a.name, out);
    }
    if (a.value.kind() == AttrKind::kUnit) continue;
    *out += " = ";
    PrintAttribute(a.value, false, out);
  }
  *out += '}';
}

void PrintAttribute(const Attr& attr, bool elide_i64, std::string* out) {
  switch (attr.kind()) {
    case AttrKind::kNone:
      return;
    case AttrKind::kUnit:
      *out += "unit";
      return;
    case AttrKind::kBool:
      *out += attr.AsBool() ? "true" : "false";
      return;
    case AttrKind::kInt:
    case AttrKind::kFloat:
      return AppendNumber(attr, elide_i64, out);
    case AttrKind::kString:
      return AppendQuoted(attr.AsText(), out);
    case AttrKind::kSymbol:
      return PrintSymbol(attr.AsText(), out);
    case AttrKind::kOpaque:
      *out += attr.AsText();
      return;
    case AttrKind::kType:
      *out += attr.is_scalar_type() ? ScalarTypeText(attr.dtype()) : attr.AsType().Text();
      return;
    case AttrKind::kFuncType:
      return AppendFuncType(attr.AsFuncType(), out);
    case AttrKind::kInts:
    case AttrKind::kBools:
      return AppendArray(attr, out);
    case AttrKind::kDense:
      return AppendDense(attr.AsDense(), out);
    case AttrKind::kEnum:
      return AppendEnum(attr, out);
    case AttrKind::kDict:
      return PrintDict(attr.AsDict(), out);
    case AttrKind::kList: {
      *out += '[';
      bool first = true;
      for (const Attr& a : attr.AsList()) {
        if (!first) *out += ", ";
        first = false;
        PrintAttribute(a, true, out);
      }
      *out += ']';
      return;
    }
    default:
      return AppendRecord(attr, out);
  }
}

}  // namespace megalith::stablehlo
