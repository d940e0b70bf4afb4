#include "common/foundation/tensor/npy.h"

#include <algorithm>
#include <cctype>
#include <vector>

#include "common/foundation/base/bytes.h"
#include "common/foundation/base/strings.h"

namespace megalith::tensor {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr size_t kMaxHeaderBytes = 64 << 10;
constexpr size_t kMaxRank = 64;
constexpr std::string_view kFloat0Descr = "[('float0', '|V0')]";

// descr codes of NumPy's own types; byte order is a separate character.
struct Code {
  DType dtype;
  std::string_view code;
};
constexpr Code kCodes[] = {
    {DType::kBool, "b1"}, {DType::kI8, "i1"},    {DType::kI16, "i2"},    {DType::kI32, "i4"},
    {DType::kI64, "i8"},  {DType::kU8, "u1"},    {DType::kU16, "u2"},    {DType::kU32, "u4"},
    {DType::kU64, "u8"},  {DType::kF16, "f2"},   {DType::kF32, "f4"},    {DType::kF64, "f8"},
    {DType::kC64, "c8"},  {DType::kC128, "c16"}, {DType::kF8E5M2, "f1"},
};

struct Header {
  std::string descr;  // the quoted text, or the list of a structured type
  bool fortran_order = false;
  Shape shape;
};

// Reads the Python dictionary that numpy.save writes: three keys in any order, literal values, an
// optional trailing comma. Not a Python parser.
class HeaderReader {
 public:
  explicit HeaderReader(std::string_view text) : text_(text) {}

  Result<Header> Read() {
    Header header;
    bool seen[3] = {};
    RETURN_IF_ERROR(Expect('{'));
    while (!Take('}')) {
      ASSIGN_OR_RETURN(const std::string key, Quoted());
      RETURN_IF_ERROR(Expect(':'));
      int which = 0;
      if (key == "descr") {
        ASSIGN_OR_RETURN(header.descr, Descr());
      } else if (key == "fortran_order") {
        which = 1;
        ASSIGN_OR_RETURN(header.fortran_order, Bool());
      } else if (key == "shape") {
        which = 2;
        ASSIGN_OR_RETURN(header.shape, Tuple());
      } else {
        return Wrong(StrCat("has unknown key '", Printable(key), "'"));
      }
      if (seen[which]) return Wrong(StrCat("has key '", key, "' twice"));
      seen[which] = true;
      if (!Take(',')) {
        RETURN_IF_ERROR(Expect('}'));
        break;
      }
    }
    Blanks();
    if (at_ != text_.size()) return Wrong("goes on after the dictionary");
    if (!seen[0] || !seen[1] || !seen[2]) return Wrong("lacks descr, fortran_order or shape");
    return header;
  }

 private:
  Status Wrong(std::string_view what) const {
    return InvalidArgument(StrCat(".npy header ", what, " (offset ", at_, ")"));
  }
  void Blanks() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
  }
  bool Take(char c) {
    Blanks();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  Status Expect(char c) { return Take(c) ? OkStatus() : Wrong(StrCat("expects '", c, "'")); }

  Result<std::string> Quoted() {
    Blanks();
    const char quote = at_ < text_.size() ? text_[at_] : '\0';
    if (quote != '\'' && quote != '"') return Wrong("expects a quoted text");
    const size_t end = text_.find(quote, at_ + 1);
    if (end == std::string_view::npos) return Wrong("has a text without its closing quote");
    std::string out(text_.substr(at_ + 1, end - at_ - 1));
    at_ = end + 1;
    return out;
  }
  // A quoted text, or everything up to the bracket that closes a list.
  Result<std::string> Descr() {
    Blanks();
    if (at_ >= text_.size() || text_[at_] != '[') return Quoted();
    int depth = 0;
    const size_t start = at_;
    while (at_ < text_.size()) {
      const char c = text_[at_++];
      if (c == '[' || c == '(') ++depth;
      if (c == ']' || c == ')') --depth;
      if (depth == 0) return std::string(text_.substr(start, at_ - start));
    }
    return Wrong("has a list without its end");
  }
  Result<bool> Bool() {
    Blanks();
    for (const auto& [word, value] : {std::pair{"True", true}, std::pair{"False", false}}) {
      if (text_.substr(at_).starts_with(word)) {
        at_ += std::string_view(word).size();
        return value;
      }
    }
    return Wrong("expects True or False");
  }
  Result<Shape> Tuple() {
    RETURN_IF_ERROR(Expect('('));
    Shape shape;
    while (!Take(')')) {
      Blanks();
      const size_t start = at_;
      while (at_ < text_.size() && std::isdigit(static_cast<unsigned char>(text_[at_]))) ++at_;
      const auto size = ParseInt(text_.substr(start, at_ - start));
      if (!size) return Wrong("expects a size");
      if (shape.size() == kMaxRank) return Wrong(StrCat("has more than ", kMaxRank, " dimensions"));
      shape.push_back(*size);
      if (!Take(',')) {
        RETURN_IF_ERROR(Expect(')'));
        break;
      }
    }
    return shape;
  }

  std::string_view text_;
  size_t at_ = 0;
};

struct Element {
  DType dtype = DType::kInvalid;
  bool big_endian = false;
};

Result<Element> ElementOf(const std::string& descr, const NpyOptions& options) {
  if (descr == kFloat0Descr) return Element{.dtype = DType::kFloat0};
  if (const auto named = DTypeFromNumpyName(descr); named && !IsKey(*named))
    return Element{.dtype = *named};
  std::string_view code = descr;
  const bool has_order =
      !code.empty() && std::string_view("<>|=").find(code[0]) != std::string_view::npos;
  const bool big_endian = has_order && code[0] == '>';
  if (has_order) code.remove_prefix(1);
  if (code == "V2") return Element{.dtype = DType::kBF16, .big_endian = big_endian};
  if (code == "V1") {
    if (options.void_dtype && ByteWidth(*options.void_dtype) == 1)
      return Element{.dtype = *options.void_dtype};
    return InvalidArgument(
        ".npy has one-byte void elements, which may be any 8-bit type: name the dtype");
  }
  for (const Code& c : kCodes) {
    if (c.code == code) return Element{.dtype = c.dtype, .big_endian = big_endian};
  }
  return Unimplemented(StrCat(".npy element type ", Printable(descr), " is not supported"));
}

// Reverses each run of `width` bytes.
void SwapBytes(std::string* bytes, size_t width) {
  for (size_t i = 0; i + width <= bytes->size(); i += width) {
    std::reverse(bytes->begin() + static_cast<ptrdiff_t>(i),
                 bytes->begin() + static_cast<ptrdiff_t>(i + width));
  }
}

// Column-major elements in row-major order.
std::string RowMajor(std::string_view bytes, const Shape& shape, size_t width) {
  std::string out(bytes.size(), '\0');
  std::vector<int64_t> index(shape.size(), 0);
  std::vector<size_t> strides(shape.size(), width);
  for (size_t d = 1; d < shape.size(); ++d)
    strides[d] = strides[d - 1] * static_cast<size_t>(shape[d - 1]);
  for (size_t to = 0; to < out.size(); to += width) {
    size_t from = 0;
    for (size_t d = 0; d < shape.size(); ++d) from += static_cast<size_t>(index[d]) * strides[d];
    std::memcpy(out.data() + to, bytes.data() + from, width);
    for (size_t d = shape.size(); d-- > 0;) {
      if (++index[d] < shape[d]) break;
      index[d] = 0;
    }
  }
  return out;
}

// Splits magic, version and header from the elements.
Result<Header> ReadHeader(std::string_view file, std::string_view* elements) {
  if (!file.starts_with(kMagic)) return InvalidArgument("file does not start as a .npy file does");
  ByteReader r(file.substr(kMagic.size()));
  const auto cut = [](const Status&) { return InvalidArgument(".npy file ends in its header"); };
  const Result<uint8_t> major = r.U8();
  const Result<uint8_t> minor = r.U8();
  if (!minor.ok()) return cut(minor.status());
  if (*major < 1 || *major > 3 || *minor != 0) {
    return Unimplemented(StrCat(".npy version ", *major, ".", *minor, " is not supported"));
  }
  uint64_t size = 0;
  if (*major == 1) {
    const Result<uint8_t> low = r.U8();
    const Result<uint8_t> high = r.U8();
    if (!high.ok()) return cut(high.status());
    size = static_cast<uint64_t>(*low) | static_cast<uint64_t>(*high) << 8;
  } else {
    const Result<uint32_t> n = r.U32();
    if (!n.ok()) return cut(n.status());
    size = *n;
  }
  if (size > kMaxHeaderBytes)
    return InvalidArgument(
        StrCat(".npy header claims ", size, " bytes, the limit is ", kMaxHeaderBytes));
  const Result<std::string_view> text = r.Raw(size);
  if (!text.ok()) return cut(text.status());
  *elements = file.substr(kMagic.size() + r.offset());
  return HeaderReader(*text).Read();
}

}  // namespace

Result<Tensor> ParseNpy(std::string_view file, const NpyOptions& options) {
  std::string_view elements;
  ASSIGN_OR_RETURN(const Header header, ReadHeader(file, &elements));
  ASSIGN_OR_RETURN(const Element element, ElementOf(header.descr, options));
  const std::optional<int64_t> count = NumElements(header.shape);
  const auto width = static_cast<size_t>(ByteWidth(element.dtype));
  if (!count || (width > 0 && static_cast<uint64_t>(*count) > options.max_bytes / width)) {
    return ResourceExhausted(StrCat(".npy array ", TypeText(element.dtype, header.shape),
                                    " is above the limit of ", options.max_bytes, " bytes"));
  }
  const uint64_t expected = static_cast<uint64_t>(*count) * width;
  if (elements.size() != expected) {
    return InvalidArgument(StrCat(".npy file has ", elements.size(), " bytes of elements, ",
                                  TypeText(element.dtype, header.shape), " needs ", expected));
  }
  if (!element.big_endian && !(header.fortran_order && header.shape.size() > 1)) {
    return Tensor::FromBytes(element.dtype, header.shape, elements);
  }
  std::string bytes(elements);
  if (element.big_endian) SwapBytes(&bytes, IsComplex(element.dtype) ? width / 2 : width);
  if (header.fortran_order && header.shape.size() > 1) bytes = RowMajor(bytes, header.shape, width);
  return Tensor::FromBytes(element.dtype, header.shape, bytes);
}

Result<std::string> EncodeNpy(const Tensor& tensor) {
  if (IsKey(tensor.dtype())) {
    return Unimplemented(
        StrCat(".npy has no form for ", Name(tensor.dtype()), "; save the key's u32 words"));
  }
  std::string descr = StrCat("'", NumpyName(tensor.dtype()), "'");
  for (const Code& c : kCodes) {
    if (c.dtype == tensor.dtype() && c.dtype != DType::kF8E5M2) {
      descr = StrCat("'", ByteWidth(c.dtype) == 1 ? "|" : "<", c.code, "'");
    }
  }
  if (IsFloat0(tensor.dtype())) descr = kFloat0Descr;
  std::string header = StrCat(
      "{'descr': ", descr, ", 'fortran_order': False, 'shape': ", TupleText(tensor.shape()), ", }");
  // The elements start at a multiple of 64, as NumPy aligns them.
  const size_t unpadded = kMagic.size() + 4 + header.size() + 1;
  header.append((64 - unpadded % 64) % 64, ' ');
  header += '\n';
  std::string out(kMagic);
  out += std::string("\x01\x00", 2);
  out += static_cast<char>(header.size() & 0xff);
  out += static_cast<char>(header.size() >> 8);
  out += header;
  out += tensor.bytes();
  return out;
}

}  // namespace megalith::tensor
