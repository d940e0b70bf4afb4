// dense<...>: constants as splats, nested lists or hexadecimal strings.
#include <charconv>
#include <cstring>

#include "common/foundation/base/bytes.h"
#include "common/programs/stablehlo/text.h"

namespace megalith::stablehlo {
namespace {

// Reads the elements between the angle brackets once the type is known.
class DenseReader {
 public:
  DenseReader(std::string_view text, const Token& start, const TensorType& type, Tensor* out)
      : lexer_(text, start.offset, start.line), type_(type), out_(out) {}

  // A nested list, which must have the type's shape.
  Status List(size_t dim) {
    if (dim == type_.rank()) return Element();
    const Token open = lexer_.peek();
    if (!TakeIf("["))
      return Wanted(StrCat("'[' (", type_.Text(), " has ", type_.rank(), " dimensions)"));
    const int64_t want = type_.shape[dim];
    int64_t got = 0;
    if (!TakeIf("]")) {
      do {
        if (got == want) return lexer_.ErrorAt(lexer_.peek().offset, TooMany(dim));
        RETURN_IF_ERROR(List(dim + 1));
        ++got;
      } while (TakeIf(","));
      if (!TakeIf("]")) return Wanted("',' or ']'");
    }
    if (got != want) {
      return lexer_.ErrorAt(open.offset, StrCat("list has ", got, " elements, dimension ", dim,
                                                " of ", type_.Text(), " has ", want));
    }
    return OkStatus();
  }

  Status Element() {
    if (tensor::IsComplex(type_.dtype)) {
      if (!TakeIf("(")) return Wanted("'('");
      RETURN_IF_ERROR(Part(tensor::RealPart(type_.dtype), 0));
      if (!TakeIf(",")) return Wanted("','");
      RETURN_IF_ERROR(Part(tensor::RealPart(type_.dtype), 1));
      if (!TakeIf(")")) return Wanted("')'");
    } else if (tensor::IsFloat(type_.dtype)) {
      RETURN_IF_ERROR(Part(type_.dtype, 0));
    } else if (type_.dtype == DType::kBool) {
      const bool yes = TakeIf("true");
      if (!yes && !TakeIf("false")) return Wanted("true or false");
      out_->SetInt(next_, yes ? 1 : 0);
    } else {
      RETURN_IF_ERROR(Integer());
    }
    ++next_;
    return OkStatus();
  }

  // Nothing but the closing bracket is left.
  Status End() { return TakeIf(">") ? OkStatus() : Wanted("'>'"); }

 private:
  bool TakeIf(std::string_view text) {
    const Token& t = lexer_.peek();
    if ((t.kind != TokenKind::kPunct && t.kind != TokenKind::kWord) || t.text != text) return false;
    lexer_.Take();
    return true;
  }
  Status Wanted(std::string_view what) const {
    return lexer_.ErrorAt(lexer_.peek().offset, StrCat("expected ", what, ", got '",
                                                       Printable(lexer_.peek().text, 40), "'"));
  }
  std::string TooMany(size_t dim) const {
    return StrCat("more than the ", type_.shape[dim], " elements of dimension ", dim, " of ",
                  type_.Text());
  }

  Status Integer() {
    const Token start = lexer_.peek();
    const bool negative = TakeIf("-");
    const Token t = lexer_.peek();
    if (t.kind != TokenKind::kInteger) return Wanted("an integer");
    lexer_.Take();
    const bool hex = t.text.starts_with("0x");
    const std::string_view digits = hex ? t.text.substr(2) : t.text;
    uint64_t magnitude = 0;
    const auto r =
        std::from_chars(digits.data(), digits.data() + digits.size(), magnitude, hex ? 16 : 10);
    const int bits = tensor::BitWidth(type_.dtype);
    const bool is_signed = tensor::IsSigned(type_.dtype);
    // Hexadecimal digits may give the bit pattern of a negative number.
    const uint64_t top = uint64_t{1} << (bits - 1);
    const uint64_t most =
        negative ? (is_signed ? top : 0) : (is_signed && !hex ? top - 1 : top - 1 + top);
    if (r.ec != std::errc() || magnitude > most) {
      return lexer_.ErrorAt(start.offset,
                            StrCat("integer does not fit into ", tensor::MlirName(type_.dtype)));
    }
    out_->SetInt(next_, static_cast<int64_t>(negative ? uint64_t{0} - magnitude : magnitude));
    return OkStatus();
  }

  // One float, or one half of a complex number (`half` 0 or 1).
  Status Part(DType dtype, int64_t half) {
    const Token start = lexer_.peek();
    const bool negative = TakeIf("-");
    const Token t = lexer_.peek();
    const size_t width = static_cast<size_t>(tensor::ByteWidth(dtype));
    const size_t stride = static_cast<size_t>(tensor::ByteWidth(type_.dtype));
    char* p = static_cast<char*>(out_->mutable_data()) + static_cast<size_t>(next_) * stride +
              static_cast<size_t>(half) * width;
    if (t.kind == TokenKind::kInteger && t.text.starts_with("0x") && !negative) {
      lexer_.Take();
      uint64_t bits = 0;
      const auto r = std::from_chars(t.text.data() + 2, t.text.data() + t.text.size(), bits, 16);
      const int info_bits = tensor::BitWidth(dtype);
      if (r.ec != std::errc() || (info_bits < 64 && (bits >> info_bits) != 0)) {
        return lexer_.ErrorAt(start.offset,
                              StrCat("bit pattern does not fit into ", tensor::MlirName(dtype)));
      }
      std::memcpy(p, &bits, width);
      return OkStatus();
    }
    if (t.kind != TokenKind::kFloat)
      return Wanted("a floating-point number or a bit pattern (0x...)");
    lexer_.Take();
    const char* end = t.text.data() + t.text.size();
    double v = 0;
    const auto r = std::from_chars(t.text.data(), end, v);
    if (r.ec == std::errc::result_out_of_range) {
      v = t.text.find('-') == std::string_view::npos ? std::numeric_limits<double>::infinity()
                                                     : 0.0;
    } else if (r.ec != std::errc()) {
      return lexer_.ErrorAt(start.offset, "malformed floating-point number");
    }
    if (negative) v = -v;
    if (dtype == DType::kF64) {
      std::memcpy(p, &v, 8);
    } else if (dtype == DType::kF32) {
      const float f = static_cast<float>(v);
      std::memcpy(p, &f, 4);
    } else {
      const uint16_t bits = tensor::EncodeSmallFloat(dtype, v);
      std::memcpy(p, &bits, width);
    }
    return OkStatus();
  }

  Lexer lexer_;
  const TensorType& type_;
  Tensor* out_;
  int64_t next_ = 0;
};

// The element bytes that the digits of dense<"0x..."> stand for. One element means a splat;
// booleans are one byte each or eight to a byte.
Status ReadHex(std::string_view digits, const TensorType& type, Dense* dense) {
  if (!digits.starts_with("0x"))
    return InvalidArgument("expected 0x at the start of a hexadecimal constant");
  const auto bytes = HexDecode(digits.substr(2));
  if (!bytes) return InvalidArgument("expected an even number of hexadecimal digits");
  const size_t width = static_cast<size_t>(tensor::ByteWidth(type.dtype));
  const auto n = static_cast<size_t>(ElementCount(type));
  std::string data(AsText(*bytes));
  const bool packed_bools =
      type.dtype == DType::kBool && data.size() != n && data.size() == (n + 7) / 8;
  if (packed_bools) {
    std::string wide(n, '\0');
    for (size_t i = 0; i < n; ++i)
      wide[i] = static_cast<char>((static_cast<uint8_t>(data[i / 8]) >> (i % 8)) & 1);
    data = std::move(wide);
  } else if (type.dtype == DType::kBool) {
    for (char& c : data) c = c != 0 ? 1 : 0;
  }
  if (data.size() == width && n != 1) {
    dense->splat = true;
    ASSIGN_OR_RETURN(dense->data, Tensor::FromBytes(type.dtype, Shape{}, data));
    return OkStatus();
  }
  if (data.size() != n * width) {
    return InvalidArgument(
        StrCat("constant has ", data.size(), " bytes, ", type.Text(), " needs ", n * width));
  }
  ASSIGN_OR_RETURN(Tensor t, Tensor::FromBytes(type.dtype, type.shape, data));
  if (tensor::IsInteger(type.dtype) && tensor::BitWidth(type.dtype) < 8) {
    for (int64_t i = 0; i < t.size(); ++i)
      t.SetInt(i, t.IntAt(i));  // the unused bits may hold anything
  }
  const bool is_index = dense->is_index;
  *dense = Attr::OfTensor(t).AsDense();
  dense->is_index = is_index;
  return OkStatus();
}

}  // namespace

Result<Attr> OpParser::ParseDenseAttr() {
  const Token word = Take();
  RETURN_IF_ERROR(Expect("<"));
  const Token start = peek();
  while (!At(">")) {  // the type comes last: find it first
    if (peek().kind == TokenKind::kEnd || peek().kind == TokenKind::kBad)
      return Wanted("'>' after dense<");
    Take();
  }
  Take();
  RETURN_IF_ERROR(Expect(":"));
  Dense dense;
  if (!TakeIf("tensor")) {
    if (At("vector")) return Unimplemented(Error("vector constants are not supported").message());
    return Wanted("a tensor type");
  }
  ASSIGN_OR_RETURN(dense.type, ParseShapedType(true, &dense.is_index));
  const TensorType& type = dense.type;
  if (start.kind == TokenKind::kString) {
    const Status s = ReadHex(start.text, type, &dense);
    if (!s.ok()) return ErrorAt(start, s.message());
    return Attr::OfDense(std::move(dense));
  }
  const int64_t n = ElementCount(type);
  const bool is_list = start.kind == TokenKind::kPunct && start.text == "[";
  if (start.text == ">" && start.kind == TokenKind::kPunct) {
    if (n != 0) return ErrorAt(start, StrCat("no elements given for ", type.Text()));
    ASSIGN_OR_RETURN(dense.data, Tensor::Create(type.dtype, type.shape));
    return Attr::OfDense(std::move(dense));
  }
  if (!is_list) {
    if (n == 0)
      return ErrorAt(start, StrCat("elements given for ", type.Text(), ", which has none"));
    dense.splat = true;
    ASSIGN_OR_RETURN(dense.data, Tensor::Create(type.dtype, Shape{}));
    DenseReader reader(lexer_.text(), start, type, &dense.data);
    RETURN_IF_ERROR(reader.Element());
    RETURN_IF_ERROR(reader.End());
    return Attr::OfDense(std::move(dense));
  }
  // A list cannot name more elements than it has bytes.
  if (n > static_cast<int64_t>(peek().offset - word.offset)) {
    return ErrorAt(start, StrCat("list is too short for ", type.Text()));
  }
  ASSIGN_OR_RETURN(Tensor all, Tensor::Create(type.dtype, type.shape));
  DenseReader reader(lexer_.text(), start, type, &all);
  RETURN_IF_ERROR(reader.List(0));
  RETURN_IF_ERROR(reader.End());
  Dense out = Attr::OfTensor(all).AsDense();
  out.is_index = dense.is_index;
  return Attr::OfDense(std::move(out));
}

}  // namespace megalith::stablehlo
