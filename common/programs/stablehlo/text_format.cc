#include "common/programs/stablehlo/text_format.h"

#include <cctype>

namespace megalith::stablehlo {
namespace {

bool IsNameChar(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

// One element of a format string.
struct Piece {
  enum Kind {
    kOperand,
    kOperandsFrom,
    kAttr,
    kDict,
    kGroup,
    kDirective,
    kWord,
    kPunct,
    kBlank
  } kind;
  std::string_view text;  // attribute, directive, word or group content
  size_t number = 0;      // operand
};

// Cuts the first piece off `format`.
Piece NextPiece(std::string_view* format) {
  const std::string_view f = *format;
  const auto name_end = [&](size_t at) {
    while (at < f.size() && IsNameChar(f[at])) ++at;
    return at;
  };
  Piece p{Piece::kPunct, f.substr(0, 1)};
  size_t used = 1;
  if (f[0] == ' ') {
    p.kind = Piece::kBlank;
  } else if (f[0] == '$') {
    const bool digit = f[1] != '*';
    p.number = digit ? static_cast<size_t>(f[1] - '0') : 0;
    const bool many = !digit || (f.size() > 2 && f[2] == '*');
    p.kind = many ? Piece::kOperandsFrom : Piece::kOperand;
    used = digit && many ? 3 : 2;
  } else if (f[0] == '@') {
    used = name_end(1);
    p = {Piece::kAttr, f.substr(1, used - 1)};
  } else if (f[0] == '{') {
    p.kind = Piece::kDict;
    used = 2;
  } else if (f[0] == '[') {
    used = f.find(']') + 1;
    p = {Piece::kGroup, f.substr(1, used - 2)};
  } else if (f[0] == '<') {
    used = f.find('>') + 1;
    p = {Piece::kDirective, f.substr(1, used - 2)};
  } else if (IsNameChar(f[0])) {
    used = name_end(0);
    p = {Piece::kWord, f.substr(0, used)};
  }
  format->remove_prefix(used);
  return p;
}

std::string_view FirstAttr(std::string_view format) {
  while (!format.empty()) {
    const Piece p = NextPiece(&format);
    if (p.kind == Piece::kAttr) return p.text;
  }
  return {};
}

Result<Attr> ParseAttrValue(OpParser& parser, const AttrSpec& spec) {
  switch (spec.kind) {
    case AttrKind::kInts: {
      ASSIGN_OR_RETURN(const Dims dims, parser.ParseDims());
      return Attr::Ints(dims);
    }
    case AttrKind::kInt: {
      ASSIGN_OR_RETURN(const int64_t v, parser.ParseInt());
      return Attr::Int(v);
    }
    case AttrKind::kBool: {
      ASSIGN_OR_RETURN(const bool v, parser.ParseBool());
      return Attr::Bool(v);
    }
    case AttrKind::kEnum:
      return parser.ParseEnumWord(spec.enum_id);
    default: {
      const Token at = parser.peek();
      ASSIGN_OR_RETURN(Attr v, parser.ParseAttr());
      return parser.Conform(spec, std::move(v), at);
    }
  }
}

void PrintAttrValue(OpPrinter& printer, const Attr& attr) {
  switch (attr.kind()) {
    case AttrKind::kInts:
      PrintDims(attr.AsInts(), &printer.out());
      return;
    case AttrKind::kInt:
      StrAppend(&printer.out(), attr.AsInt());
      return;
    case AttrKind::kEnum:
      printer.Write(attr.EnumName());
      return;
    default:
      printer.PrintAttr(attr);
  }
}

Status ParsePieces(OpParser& parser, std::string_view format, Op* op,
                   std::vector<TensorType>* result_types) {
  while (!format.empty()) {
    const Piece p = NextPiece(&format);
    switch (p.kind) {
      case Piece::kBlank:
        break;
      case Piece::kOperand: {
        ASSIGN_OR_RETURN(const ValueId v, parser.ParseOperand());
        op->operands.push_back(v);
        break;
      }
      case Piece::kOperandsFrom: {
        // A comma after the list belongs to the format, which the list may have to give back: it is
        // skipped there.
        bool comma = parser.peek().kind != TokenKind::kValue;
        // MLIR prints the comma after an empty list too, "%x, , sizes = []", which it does not read
        // itself.
        if (comma && format.starts_with(',')) parser.TakeIf(",");
        while (parser.peek().kind == TokenKind::kValue) {
          ASSIGN_OR_RETURN(const ValueId v, parser.ParseOperand());
          op->operands.push_back(v);
          comma = parser.TakeIf(",");
          if (!comma) break;
        }
        if (comma && format.starts_with(',')) {
          format.remove_prefix(1);
        } else if (comma && !op->operands.empty() && op->operands.size() > p.number) {
          return parser.Wanted("an operand (%name)");
        }
        break;
      }
      case Piece::kAttr: {
        const AttrSpec* spec = op->def->FindAttr(p.text);
        CHECK(spec != nullptr);
        ASSIGN_OR_RETURN(Attr v, ParseAttrValue(parser, *spec));
        SetAttr(&op->attrs, p.text, std::move(v));
        break;
      }
      case Piece::kDict:
        RETURN_IF_ERROR(parser.ParseOptionalDict(op));
        break;
      case Piece::kGroup: {
        std::string_view group = p.text;
        const Piece first = NextPiece(&group);
        if (parser.At(first.text)) RETURN_IF_ERROR(ParsePieces(parser, p.text, op, result_types));
        break;
      }
      case Piece::kDirective: {
        const Directive* d = FindDirective(p.text);
        CHECK(d != nullptr);
        RETURN_IF_ERROR(d->parse(parser, op, result_types));
        break;
      }
      case Piece::kWord:
      case Piece::kPunct:
        RETURN_IF_ERROR(parser.Expect(p.text));
        break;
    }
  }
  return OkStatus();
}

void CollectShown(std::string_view format, std::vector<std::string_view>* shown) {
  while (!format.empty()) {
    const Piece p = NextPiece(&format);
    if (p.kind == Piece::kAttr) shown->push_back(p.text);
    if (p.kind == Piece::kGroup) CollectShown(p.text, shown);
    if (p.kind == Piece::kDirective) {
      for (const std::string_view a : FindDirective(p.text)->attrs) shown->push_back(a);
    }
  }
}

void PrintPieces(OpPrinter& printer, std::string_view format, const Op& op) {
  while (!format.empty()) {
    const Piece p = NextPiece(&format);
    switch (p.kind) {
      case Piece::kOperand:
        printer.Operand(op.operands[p.number]);
        break;
      case Piece::kOperandsFrom:
        if (op.operands.size() > p.number) {
          printer.Operands(std::span(op.operands).subspan(p.number));
        } else if (format.starts_with(", ")) {
          format.remove_prefix(2);
        }
        break;
      case Piece::kAttr:
        PrintAttrValue(printer, op.attr(p.text));
        break;
      case Piece::kDict: {
        std::vector<std::string_view> shown;
        CollectShown(op.def->format, &shown);
        printer.OptionalDict(op, shown);
        break;
      }
      case Piece::kGroup:
        if (op.attr(FirstAttr(p.text)).present()) PrintPieces(printer, p.text, op);
        break;
      case Piece::kDirective:
        FindDirective(p.text)->print(printer, op);
        break;
      case Piece::kBlank:
      case Piece::kWord:
      case Piece::kPunct:
        printer.Write(p.text);
        break;
    }
  }
}

}  // namespace

Status ParseFormat(OpParser& parser, Op* op, std::vector<TensorType>* result_types) {
  return ParsePieces(parser, op->def->format, op, result_types);
}

void PrintFormat(OpPrinter& printer, const Op& op) { PrintPieces(printer, op.def->format, op); }

}  // namespace megalith::stablehlo
