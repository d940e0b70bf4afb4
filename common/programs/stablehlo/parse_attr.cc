// Types and attributes of MLIR text.
#include <charconv>
#include <utility>

#include "common/programs/stablehlo/text.h"

namespace megalith::stablehlo {

Status OpParser::CheckDepth() const {
  if (depth_ <= limits_.max_nesting) return OkStatus();
  return ResourceExhausted(
      lexer_
          .ErrorAt(peek().offset,
                   StrCat("nesting is deeper than max_nesting = ", limits_.max_nesting))
          .message());
}

Status OpParser::Wanted(std::string_view what) const {
  const Token& t = peek();
  if (t.kind == TokenKind::kEnd)
    return Error(StrCat("expected ", what, ", got the end of the text"));
  if (t.kind == TokenKind::kBad && t.text.starts_with('"'))
    return Error("string is not closed on its line");
  return Error(StrCat("expected ", what, ", got '", Printable(t.text, 40), "'"));
}

Status OpParser::Expect(std::string_view text) {
  if (TakeIf(text)) return OkStatus();
  return Wanted(StrCat("'", text, "'"));
}

// --- types ---

Status OpParser::ParseShapePrefix(Shape* shape) {
  std::string_view rest = lexer_.rest();
  size_t used = 0;
  while (used < rest.size()) {
    if (rest[used] == '?') {
      return Unimplemented(
          Error("dynamic dimension '?': only static shapes are supported").message());
    }
    if (rest[used] == '*')
      return Unimplemented(Error("unranked tensors are not supported").message());
    size_t end = used;
    while (end < rest.size() && rest[end] >= '0' && rest[end] <= '9') ++end;
    if (end == used || end >= rest.size() || rest[end] != 'x') break;
    int64_t dim = 0;
    const auto r = std::from_chars(rest.data() + used, rest.data() + end, dim);
    if (r.ec != std::errc()) return Error("dimension does not fit into 64 bits");
    if (shape->size() >= limits_.max_rank) {
      return ResourceExhausted(
          Error(StrCat("rank exceeds max_rank = ", limits_.max_rank)).message());
    }
    shape->push_back(dim);
    used = end + 1;
  }
  if (used > 0) lexer_.Skip(used);
  return OkStatus();
}

Result<DType> OpParser::ParseElementType() {
  if (peek().kind != TokenKind::kWord) {
    if (peek().kind == TokenKind::kBang) {
      return Unimplemented(
          Error(StrCat("element type !", Printable(peek().text, 40), " is not supported"))
              .message());
    }
    return Wanted("an element type");
  }
  const Token word = Take();
  if (word.text == "complex") {
    RETURN_IF_ERROR(Expect("<"));
    const Token inner = Take();
    const auto complex = tensor::DTypeFromMlirName(StrCat("complex<", inner.text, ">"));
    if (!complex) return ErrorAt(inner, "expected f32 or f64 as the parts of a complex number");
    RETURN_IF_ERROR(Expect(">"));
    return *complex;
  }
  const auto dtype = tensor::DTypeFromMlirName(word.text);
  if (!dtype) return ErrorAt(word, StrCat("unknown element type '", Printable(word.text, 40), "'"));
  return *dtype;
}

Result<TensorType> OpParser::ParseShapedType(bool allow_index, bool* is_index) {
  RETURN_IF_ERROR(Expect("<"));
  TensorType type;
  RETURN_IF_ERROR(ParseShapePrefix(&type.shape));
  if (allow_index && TakeIf("index")) {
    *is_index = true;
    type.dtype = DType::kI64;
  } else {
    ASSIGN_OR_RETURN(type.dtype, ParseElementType());
  }
  if (At(",")) {
    return Unimplemented(
        Error("tensor encodings (sparse or bounded types) are not supported").message());
  }
  const Token close = peek();
  RETURN_IF_ERROR(Expect(">"));
  const int64_t n = ElementCount(type);
  if (n < 0 || n > limits_.max_elements || ByteCount(type) < 0) {
    return ResourceExhausted(
        ErrorAt(close, StrCat("type ", type.Text(),
                              " has more than max_elements = ", limits_.max_elements, " elements"))
            .message());
  }
  return type;
}

Result<TensorType> OpParser::ParseType() {
  if (peek().kind == TokenKind::kBang) {
    const Token t = Take();
    if (t.text == "stablehlo.token" || t.text == "mhlo.token") return TensorType::Token();
    return Unimplemented(
        ErrorAt(t, StrCat("type !", Printable(t.text, 40), " is not supported")).message());
  }
  if (At("tensor")) {
    Take();
    return ParseShapedType(false, nullptr);
  }
  if (At("tuple") || At("memref") || At("vector")) {
    return Unimplemented(Error(StrCat("type ", peek().text, " is not supported")).message());
  }
  return Wanted("a tensor type");
}

Status OpParser::ParseTypeList(std::vector<TensorType>* out) {
  do {
    ASSIGN_OR_RETURN(TensorType t, ParseType());
    out->push_back(std::move(t));
  } while (TakeIf(","));
  return OkStatus();
}

Result<FuncType> OpParser::ParseFuncType() {
  FuncType f;
  RETURN_IF_ERROR(Expect("("));
  if (!At(")")) RETURN_IF_ERROR(ParseTypeList(&f.inputs));
  RETURN_IF_ERROR(Expect(")"));
  RETURN_IF_ERROR(Expect("->"));
  if (TakeIf("(")) {
    if (!At(")")) RETURN_IF_ERROR(ParseTypeList(&f.results));
    RETURN_IF_ERROR(Expect(")"));
  } else {
    ASSIGN_OR_RETURN(TensorType t, ParseType());
    f.results.push_back(std::move(t));
  }
  return f;
}

// --- scalars and lists ---

Result<int64_t> OpParser::ParseInt() {
  const Token start = peek();
  const bool negative = TakeIf("-");
  if (peek().kind != TokenKind::kInteger) return Wanted("an integer");
  const Token t = Take();
  std::string_view digits = t.text;
  int base = 10;
  if (digits.starts_with("0x")) {
    digits.remove_prefix(2);
    base = 16;
  }
  uint64_t magnitude = 0;
  const auto r = std::from_chars(digits.data(), digits.data() + digits.size(), magnitude, base);
  const uint64_t limit = negative ? uint64_t{1} << 63 : UINT64_MAX;
  if (r.ec != std::errc() || magnitude > limit)
    return ErrorAt(start, "integer does not fit into 64 bits");
  return static_cast<int64_t>(negative ? uint64_t{0} - magnitude : magnitude);
}

Result<bool> OpParser::ParseBool() {
  if (TakeIf("true")) return true;
  if (TakeIf("false")) return false;
  return Wanted("true or false");
}

Result<double> OpParser::ParseFloat() {
  const bool negative = TakeIf("-");
  if (peek().kind != TokenKind::kFloat) return Wanted("a floating-point number");
  const Token t = Take();
  double v = 0;
  const auto r = std::from_chars(t.text.data(), t.text.data() + t.text.size(), v);
  if (r.ec == std::errc::result_out_of_range) {
    // Too large or too small: from_chars leaves v alone. A negative exponent means it is too small.
    v = t.text.find("e-") != std::string_view::npos || t.text.find("E-") != std::string_view::npos
            ? 0.0
            : std::numeric_limits<double>::infinity();
  } else if (r.ec != std::errc()) {
    return ErrorAt(t, "malformed floating-point number");
  }
  return negative ? -v : v;
}

Result<Dims> OpParser::ParseDims() {
  Dims dims;
  RETURN_IF_ERROR(Expect("["));
  if (TakeIf("]")) return dims;
  do {
    ASSIGN_OR_RETURN(const int64_t v, ParseInt());
    dims.push_back(v);
  } while (TakeIf(","));
  RETURN_IF_ERROR(Expect("]"));
  return dims;
}

Result<std::string> OpParser::ParseSymbol() {
  if (peek().kind != TokenKind::kSymbol) return Wanted("a symbol (@name)");
  const Token t = Take();
  return t.quoted ? Unescape(t.text) : std::string(t.text);
}

// --- attributes ---

Result<AttrDict> OpParser::ParseDict() {
  AttrDict dict;
  RETURN_IF_ERROR(Expect("{"));
  if (TakeIf("}")) return dict;
  do {
    const Token key = peek();
    if (key.kind != TokenKind::kWord && key.kind != TokenKind::kString)
      return Wanted("an attribute name");
    Take();
    const std::string name =
        key.kind == TokenKind::kString ? Unescape(key.text) : std::string(key.text);
    Attr value = Attr::Unit();
    if (TakeIf("=")) {
      ASSIGN_OR_RETURN(value, ParseAttr());
    }
    if (stablehlo::FindAttr(dict, name).present())
      return ErrorAt(key, StrCat("attribute '", name, "' is given twice"));
    SetAttr(&dict, name, std::move(value));
  } while (TakeIf(","));
  RETURN_IF_ERROR(Expect("}"));
  return dict;
}

Result<Attr> OpParser::ParseListAttr() {
  std::vector<Attr> list;
  RETURN_IF_ERROR(Expect("["));
  if (TakeIf("]")) return Attr::List({});
  do {
    ASSIGN_OR_RETURN(Attr a, ParseAttr());
    list.push_back(std::move(a));
  } while (TakeIf(","));
  RETURN_IF_ERROR(Expect("]"));
  return Attr::List(std::move(list));
}

Result<Attr> OpParser::ParseArrayAttr() {
  RETURN_IF_ERROR(Expect("array"));
  RETURN_IF_ERROR(Expect("<"));
  const Token type = peek();
  ASSIGN_OR_RETURN(const DType dtype, ParseElementType());
  const bool bools = dtype == DType::kBool;
  if (!bools && !tensor::IsInteger(dtype))
    return ErrorAt(type, "expected i1 or an integer type in array<...>");
  std::vector<int64_t> values;
  if (TakeIf(":")) {
    do {
      if (bools) {
        ASSIGN_OR_RETURN(const bool b, ParseBool());
        values.push_back(b ? 1 : 0);
      } else {
        ASSIGN_OR_RETURN(const int64_t v, ParseInt());
        values.push_back(v);
      }
    } while (TakeIf(","));
  }
  RETURN_IF_ERROR(Expect(">"));
  if (!bools) return Attr::Ints(values);
  std::unique_ptr<bool[]> flags(new bool[values.size()]);
  for (size_t i = 0; i < values.size(); ++i) flags[i] = values[i] != 0;
  return Attr::Bools(std::span<const bool>(flags.get(), values.size()));
}

Result<Attr> OpParser::ParseNumberAttr() {
  const Token start = peek();
  const bool negative = TakeIf("-");
  const Token number = peek();
  const auto typed = [&](DType otherwise) -> Result<DType> {
    if (!TakeIf(":")) return otherwise;
    if (TakeIf("index")) return DType::kInvalid;  // how Attr::Int says `index`
    return ParseElementType();
  };
  if (number.kind == TokenKind::kFloat) {
    ASSIGN_OR_RETURN(const double magnitude, ParseFloat());
    ASSIGN_OR_RETURN(const DType dtype, typed(DType::kF64));
    if (!tensor::IsFloat(dtype))
      return ErrorAt(start, "floating-point value with a type that is not a float");
    return Attr::Float(negative ? -magnitude : magnitude, dtype);
  }
  if (number.kind != TokenKind::kInteger) return Wanted("a number");
  ASSIGN_OR_RETURN(const int64_t magnitude, ParseInt());
  ASSIGN_OR_RETURN(const DType dtype, typed(DType::kI64));
  if (tensor::IsFloat(dtype)) {
    if (negative || !number.text.starts_with("0x"))
      return ErrorAt(start, "integer where a float is wanted");
    Tensor bits = *Tensor::Create(dtype, Shape{});
    std::memcpy(bits.mutable_data(), &magnitude, static_cast<size_t>(tensor::ByteWidth(dtype)));
    return Attr::Float(bits.DoubleAt(0), dtype);
  }
  return Attr::Int(
      negative ? static_cast<int64_t>(uint64_t{0} - static_cast<uint64_t>(magnitude)) : magnitude,
      dtype);
}

Result<std::string> OpParser::BalancedText() {
  const size_t start = peek().offset;
  size_t end = start;
  int64_t depth = 0;
  do {
    if (peek().kind == TokenKind::kEnd) return Wanted("a closing bracket");
    const Token t = Take();
    end = t.offset + t.text.size() + (t.kind == TokenKind::kString ? 2 : 0);
    if (t.kind != TokenKind::kPunct || t.text.size() != 1) continue;
    if (std::string_view("([{<").find(t.text[0]) != std::string_view::npos) ++depth;
    if (std::string_view(")]}>").find(t.text[0]) != std::string_view::npos) --depth;
  } while (depth > 0);
  return std::string(lexer_.text().substr(start, end - start));
}

Result<Attr> OpParser::ParseEnumWord(EnumId id) {
  if (peek().kind != TokenKind::kWord) return Wanted("an enumeration value");
  const Token word = Take();
  for (const EnumValueInfo& v : InfoOf(id).values) {
    if (v.name == word.text) return Attr::Enum(id, v.value);
  }
  return ErrorAt(
      word, StrCat("'", Printable(word.text, 40), "' is not a value of ", InfoOf(id).mnemonic));
}

Result<Attr> OpParser::ParseHashAttr() {
  const Token hash = Take();
  if (hash.text == "stablehlo" || hash.text == "chlo" ||
      hash.text == "mhlo") {  // #stablehlo<precision DEFAULT>
    RETURN_IF_ERROR(Expect("<"));
    const Token word = Take();
    Attr value;
    if (const EnumInfo* info = FindEnum(word.text); info != nullptr && !At("<")) {
      ASSIGN_OR_RETURN(value, ParseEnumWord(info->id));
    } else {
      ASSIGN_OR_RETURN(value, ParseStablehloAttr(word.text, word));
    }
    RETURN_IF_ERROR(Expect(">"));
    return value;
  }
  const size_t dot = hash.text.find('.');
  const bool pretty = hash.text == "sdy" && At("<");  // #sdy<manual_axes{"x"}>
  if (dot != std::string_view::npos || pretty) {
    const std::string_view dialect = hash.text.substr(0, dot);
    if (dialect == "stablehlo" || dialect == "chlo")
      return ParseStablehloAttr(hash.text.substr(dot + 1), hash);
    std::string text = StrCat("#", hash.text);
    if (At("<")) {
      ASSIGN_OR_RETURN(const std::string body, BalancedText());
      text += body;
    }
    return Attr::Opaque(text);
  }
  const auto alias = aliases_.find(std::string(hash.text));
  if (alias == aliases_.end()) {
    return ErrorAt(hash, StrCat("attribute alias #", Printable(hash.text, 40),
                                " is not defined before its use"));
  }
  return alias->second;
}

Result<Attr> OpParser::ParseAttr() {
  const Nesting nesting(this);
  RETURN_IF_ERROR(CheckDepth());
  const Token& t = peek();
  switch (t.kind) {
    case TokenKind::kString: {
      const Attr value = Attr::String(Unescape(Take().text));
      if (TakeIf(":")) RETURN_IF_ERROR(ParseAttr());  // a typed string: the type says nothing
      return value;
    }
    case TokenKind::kSymbol: {
      ASSIGN_OR_RETURN(std::string name, ParseSymbol());
      if (At(":"))
        return Unimplemented(Error("nested symbols (@a::@b) are not supported").message());
      return Attr::Symbol(name);
    }
    case TokenKind::kInteger:
    case TokenKind::kFloat:
      return ParseNumberAttr();
    case TokenKind::kHash:
      return ParseHashAttr();
    case TokenKind::kBang: {
      ASSIGN_OR_RETURN(TensorType type, ParseType());
      return Attr::Type(std::move(type));
    }
    case TokenKind::kPunct:
      if (t.text == "[") return ParseListAttr();
      if (t.text == "{") {
        ASSIGN_OR_RETURN(AttrDict dict, ParseDict());
        return Attr::Dict(std::move(dict));
      }
      if (t.text == "-") return ParseNumberAttr();
      if (t.text == "(") {
        ASSIGN_OR_RETURN(FuncType type, ParseFuncType());
        return Attr::Function(std::move(type));
      }
      return Wanted("an attribute");
    case TokenKind::kWord:
      break;
    default:
      return Wanted("an attribute");
  }
  if (t.text == "true" || t.text == "false") return Attr::Bool(Take().text == "true");
  if (t.text == "unit") {
    Take();
    return Attr::Unit();
  }
  if (t.text == "dense") return ParseDenseAttr();
  if (t.text == "array") return ParseArrayAttr();
  if (t.text == "tensor") {
    ASSIGN_OR_RETURN(TensorType type, ParseType());
    return Attr::Type(std::move(type));
  }
  if (t.text == "dense_resource" || t.text == "sparse") {
    return Unimplemented(Error(StrCat(t.text, "<...> is not supported")).message());
  }
  if (t.text == "loc" || t.text == "affine_map") {
    const Token word = Take();
    ASSIGN_OR_RETURN(const std::string body, BalancedText());
    return Attr::Opaque(StrCat(word.text, body));
  }
  ASSIGN_OR_RETURN(const DType dtype, ParseElementType());
  return Attr::ScalarType(dtype);
}

Status OpParser::ParseOptionalDict(Op* op) {
  if (!At("{")) return OkStatus();
  const Token open = peek();
  ASSIGN_OR_RETURN(AttrDict dict, ParseDict());
  for (NamedAttr& a : dict) {
    if (op->attr(a.name).present())
      return ErrorAt(open, StrCat("attribute '", a.name, "' is given twice"));
    if (const AttrSpec* spec = op->def->FindAttr(a.name)) {
      ASSIGN_OR_RETURN(a.value, Conform(*spec, std::move(a.value), open));
    }
    SetAttr(&op->attrs, a.name, std::move(a.value));
  }
  return OkStatus();
}

Result<Attr> OpParser::Conform(const AttrSpec& spec, Attr value, const Token& at) const {
  const bool wants_array = spec.kind == AttrKind::kInts || spec.kind == AttrKind::kBools;
  if (wants_array && value.kind() == AttrKind::kDense) {
    const Dense& dense = value.AsDense();
    const bool bools = dense.type.dtype == DType::kBool;
    if (dense.type.rank() > 1 || bools != (spec.kind == AttrKind::kBools) ||
        (!bools && !tensor::IsInteger(dense.type.dtype))) {
      return ErrorAt(at, StrCat("attribute '", spec.name, "' wants ", KindName(spec.kind), ", got ",
                                dense.type.Text()));
    }
    ASSIGN_OR_RETURN(const Tensor all, dense.Materialize(uint64_t{1} << 20));
    std::vector<int64_t> ints;
    std::unique_ptr<bool[]> flags(new bool[static_cast<size_t>(all.size())]);
    for (int64_t i = 0; i < all.size(); ++i) {
      ints.push_back(all.IntAt(i));
      flags[static_cast<size_t>(i)] = all.IntAt(i) != 0;
    }
    return bools ? Attr::Bools(std::span<const bool>(flags.get(), ints.size())) : Attr::Ints(ints);
  }
  if (spec.kind == AttrKind::kInts && value.kind() == AttrKind::kList) {  // [] or [1, 2]
    std::vector<int64_t> ints;
    for (const Attr& a : value.AsList()) {
      if (a.kind() != AttrKind::kInt)
        return ErrorAt(at, StrCat("attribute '", spec.name, "' wants integers"));
      ints.push_back(a.AsInt());
    }
    return Attr::Ints(ints);
  }
  if (value.kind() != spec.kind) {
    return ErrorAt(at, StrCat("attribute '", spec.name, "' wants ", KindName(spec.kind), ", got ",
                              KindName(value.kind())));
  }
  return value;
}

}  // namespace megalith::stablehlo
