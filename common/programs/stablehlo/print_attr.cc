// Attributes as MLIR prints them.
#include <cctype>
#include <cstring>

#include "common/foundation/base/bytes.h"
#include "common/programs/stablehlo/float_text.h"
#include "common/programs/stablehlo/text.h"

namespace megalith::stablehlo {
namespace {

// Constants with more elements than this are written as one hexadecimal string, as MLIR does.
constexpr int64_t kMaxListedElements = 100;

bool IsWord(std::string_view s) {
  if (s.empty() || (!std::isalpha(static_cast<unsigned char>(s[0])) && s[0] != '_')) return false;
  for (const char c : s) {
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '_' && c != '$' && c != '.') return false;
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

// Writes "name = value" pieces of a record, leaving out empty lists and zeros as MLIR does.
class Fields {
 public:
  explicit Fields(std::string* out) : out_(out) {}
  void List(std::string_view name, const Dims& dims) {
    if (dims.empty()) return;
    Key(name);
    PrintDims(dims, out_);
  }
  void NonZero(std::string_view name, int64_t v) {
    if (v != 0) Always(name, v);
  }
  template <typename T>
  void Always(std::string_view name, const T& v) {
    Key(name);
    StrAppend(out_, v);
  }
  void Key(std::string_view name) {
    StrAppend(out_, first_ ? "" : ", ", name, " = ");
    first_ = false;
  }

 private:
  std::string* out_;
  bool first_ = true;
};

void AppendGather(const GatherDims& d, std::string* out) {
  *out += "#stablehlo.gather<";
  Fields f(out);
  f.List("offset_dims", d.offset_dims);
  f.List("collapsed_slice_dims", d.collapsed_slice_dims);
  f.List("operand_batching_dims", d.operand_batching_dims);
  f.List("start_indices_batching_dims", d.start_indices_batching_dims);
  f.List("start_index_map", d.start_index_map);
  f.NonZero("index_vector_dim", d.index_vector_dim);
  *out += '>';
}

void AppendScatter(const ScatterDims& d, std::string* out) {
  *out += "#stablehlo.scatter<";
  Fields f(out);
  f.List("update_window_dims", d.update_window_dims);
  f.List("inserted_window_dims", d.inserted_window_dims);
  f.List("input_batching_dims", d.input_batching_dims);
  f.List("scatter_indices_batching_dims", d.scatter_indices_batching_dims);
  f.List("scatter_dims_to_operand_dims", d.scatter_dims_to_operand_dims);
  f.NonZero("index_vector_dim", d.index_vector_dim);
  *out += '>';
}

void AppendDot(const DotDims& d, std::string* out) {
  *out += "#stablehlo.dot<";
  Fields f(out);
  f.List("lhs_batching_dimensions", d.lhs_batch);
  f.List("rhs_batching_dimensions", d.rhs_batch);
  f.List("lhs_contracting_dimensions", d.lhs_contract);
  f.List("rhs_contracting_dimensions", d.rhs_contract);
  *out += '>';
}

void AppendConvSide(std::string_view first, std::string_view second, int64_t first_at, int64_t second_at,
                    const Dims& spatial, std::string* out) {
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

void AppendDotAlgorithm(const DotAlgorithm& a, std::string* out) {
  const auto type = [](DType dtype, bool tf32) { return tf32 ? std::string("tf32") : ScalarTypeText(dtype); };
  *out += "#stablehlo.dot_algorithm<";
  Fields f(out);
  f.Always("lhs_precision_type", type(a.lhs, a.lhs_tf32));
  f.Always("rhs_precision_type", type(a.rhs, a.rhs_tf32));
  f.Always("accumulation_type", type(a.accumulation, a.accumulation_tf32));
  f.Always("lhs_component_count", a.lhs_components);
  f.Always("rhs_component_count", a.rhs_components);
  f.Always("num_primitive_operations", a.primitive_operations);
  f.Always("allow_imprecise_accumulation", a.allow_imprecise);
  *out += '>';
}

void AppendAccuracy(const ResultAccuracy& r, std::string* out) {
  const auto number = [](double v) {
    std::string text;
    uint64_t bits = 0;
    std::memcpy(&bits, &v, 8);
    AppendFloatText(DType::kF64, bits, &text);
    return text;
  };
  *out += "#stablehlo.result_accuracy<";
  Fields f(out);
  if (r.atol != 0) f.Always("atol", number(r.atol));
  if (r.rtol != 0) f.Always("rtol", number(r.rtol));
  f.NonZero("ulps", r.ulps);
  f.Key("mode");
  StrAppend(out, "#stablehlo.result_accuracy_mode<",
            Attr::Enum(EnumId::kAccuracyMode, static_cast<int>(r.mode)).EnumName(), ">>");
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
    case AttrKind::kNone: return;
    case AttrKind::kUnit: *out += "unit"; return;
    case AttrKind::kBool: *out += attr.AsBool() ? "true" : "false"; return;
    case AttrKind::kInt:
    case AttrKind::kFloat: return AppendNumber(attr, elide_i64, out);
    case AttrKind::kString: return AppendQuoted(attr.AsText(), out);
    case AttrKind::kSymbol: return PrintSymbol(attr.AsText(), out);
    case AttrKind::kOpaque: *out += attr.AsText(); return;
    case AttrKind::kType:
      *out += attr.is_scalar_type() ? ScalarTypeText(attr.dtype()) : attr.AsType().Text();
      return;
    case AttrKind::kFuncType: return AppendFuncType(attr.AsFuncType(), out);
    case AttrKind::kInts:
    case AttrKind::kBools: return AppendArray(attr, out);
    case AttrKind::kDense: return AppendDense(attr.AsDense(), out);
    case AttrKind::kEnum: return AppendEnum(attr, out);
    case AttrKind::kDict: return PrintDict(attr.AsDict(), out);
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
    case AttrKind::kGather: return AppendGather(attr.AsGather(), out);
    case AttrKind::kScatter: return AppendScatter(attr.AsScatter(), out);
    case AttrKind::kDot: return AppendDot(attr.AsDot(), out);
    case AttrKind::kConv: return AppendConv(attr.AsConv(), out);
    case AttrKind::kDotAlgorithm: return AppendDotAlgorithm(attr.AsDotAlgorithm(), out);
    case AttrKind::kChannel:
      StrAppend(out, "#stablehlo.channel_handle<handle = ", attr.AsChannel().handle,
                ", type = ", attr.AsChannel().type, ">");
      return;
    case AttrKind::kResultAccuracy: return AppendAccuracy(attr.AsResultAccuracy(), out);
    case AttrKind::kOperandAlias: {
      const OperandAlias& a = attr.AsOperandAlias();
      *out += "#stablehlo.output_operand_alias<output_tuple_indices = ";
      PrintDims(a.output_tuple_indices, out);
      StrAppend(out, ", operand_index = ", a.operand_index, ", operand_tuple_indices = ");
      PrintDims(a.operand_tuple_indices, out);
      *out += '>';
      return;
    }
  }
}

}  // namespace megalith::stablehlo
