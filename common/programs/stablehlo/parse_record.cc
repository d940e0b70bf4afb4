// The attributes of the stablehlo and chlo dialects: enumerations and dimension-number records.
#include "common/programs/stablehlo/records.h"
#include "common/programs/stablehlo/text.h"

namespace megalith::stablehlo {

template <typename Field>
Status OpParser::ParseFields(const Field& field) {
  RETURN_IF_ERROR(Expect("<"));
  if (TakeIf(">")) return OkStatus();
  do {
    if (peek().kind != TokenKind::kWord) return Wanted("a field name");
    const Token key = Take();
    RETURN_IF_ERROR(Expect("="));
    ASSIGN_OR_RETURN(const bool known, field(key.text));
    if (!known) return ErrorAt(key, StrCat("unknown field '", Printable(key.text, 40), "'"));
  } while (TakeIf(","));
  return Expect(">");
}

// Fields of every type a record has.
Status OpParser::ReadField(Dims* v) {
  ASSIGN_OR_RETURN(*v, ParseDims());
  return OkStatus();
}
Status OpParser::ReadField(int64_t* v) {
  ASSIGN_OR_RETURN(*v, ParseInt());
  return OkStatus();
}
Status OpParser::ReadField(bool* v) {
  ASSIGN_OR_RETURN(*v, ParseBool());
  return OkStatus();
}
Status OpParser::ReadField(double* v) {
  ASSIGN_OR_RETURN(*v, ParseFloat());
  return OkStatus();
}
Status OpParser::ReadField(PrecisionType* v) {
  v->tf32 = TakeIf("tf32");
  if (v->tf32) return OkStatus();
  ASSIGN_OR_RETURN(v->dtype, ParseElementType());
  return OkStatus();
}
Status OpParser::ReadField(AccuracyMode* v) {
  const Token at = peek();
  ASSIGN_OR_RETURN(const Attr mode, ParseAttr());
  if (mode.kind() != AttrKind::kEnum || mode.enum_id() != EnumId::kAccuracyMode) {
    return ErrorAt(at, "expected #stablehlo.result_accuracy_mode<...>");
  }
  *v = static_cast<AccuracyMode>(mode.AsEnum());
  return OkStatus();
}

Result<Attr> OpParser::ParseStablehloAttr(std::string_view name, const Token& at) {
  if (const EnumInfo* info = FindEnum(name)) {
    RETURN_IF_ERROR(Expect("<"));
    ASSIGN_OR_RETURN(Attr value, ParseEnumWord(info->id));
    RETURN_IF_ERROR(Expect(">"));
    return value;
  }
  return ParseRecord(name, at);
}

Result<Attr> OpParser::ParseRecord(std::string_view name, const Token& at) {
  if (name == RecordName(AttrKind::kConv)) {
    RETURN_IF_ERROR(Expect("<"));
    if (At("raw"))
      return Unimplemented(Error("raw convolution dimension numbers are not supported").message());
    ASSIGN_OR_RETURN(ConvDims d, ParseConvDims());
    RETURN_IF_ERROR(Expect(">"));
    return Attr::Of(std::move(d));
  }
  for (int k = 0; k <= static_cast<int>(AttrKind::kOpaque); ++k) {
    const auto kind = static_cast<AttrKind>(k);
    if (RecordName(kind) == name && !name.empty()) return ParseRecordBody(kind);
  }
  return Unimplemented(
      ErrorAt(at, StrCat("attribute #stablehlo.", Printable(name, 40), " is not supported"))
          .message());
}

// <key = value, ...>
Result<Attr> OpParser::ParseRecordBody(AttrKind kind) {
  Result<Attr> out = Attr();
  MakeRecord(kind, [&](auto record) {
    const Status s = ParseFields([&](std::string_view key) -> Result<bool> {
      bool found = false;
      Status read;
      VisitFields(record, [&](std::string_view name, auto& field) {
        if (name != key) return;
        found = true;
        read = ReadField(&field);
      });
      if (!read.ok()) return read;
      return found;
    });
    out = s.ok() ? Result<Attr>(Attr::Of(std::move(record))) : Result<Attr>(s);
  });
  return out;
}

// [b, 0, 1, f]x[0, 1, i, o]->[b, 0, 1, f]
Result<ConvDims> OpParser::ParseConvDims() {
  ConvDims d;
  // Reads one side: where its two letters and its spatial dimensions stand.
  const auto side = [&](std::string_view first, std::string_view second, int64_t* first_at,
                        int64_t* second_at, Dims* spatial) -> Status {
    const Token open = peek();
    RETURN_IF_ERROR(Expect("["));
    *first_at = *second_at = -1;
    std::vector<int64_t> where;  // by spatial number
    size_t seen = 0;
    int64_t position = 0;
    do {
      const Token t = peek();
      if (TakeIf(first)) {
        *first_at = position;
      } else if (TakeIf(second)) {
        *second_at = position;
      } else if (t.kind == TokenKind::kInteger) {
        ASSIGN_OR_RETURN(const int64_t number, ParseInt());
        if (number < 0 || number >= static_cast<int64_t>(limits_.max_rank)) {
          return ErrorAt(t, "spatial dimension number out of range");
        }
        if (where.size() <= static_cast<size_t>(number))
          where.resize(static_cast<size_t>(number) + 1, -1);
        if (where[static_cast<size_t>(number)] >= 0)
          return ErrorAt(t, "spatial dimension is given twice");
        where[static_cast<size_t>(number)] = position;
        ++seen;
      } else {
        return Wanted(StrCat("'", first, "', '", second, "' or a spatial dimension"));
      }
      ++position;
    } while (TakeIf(","));
    RETURN_IF_ERROR(Expect("]"));
    if (*first_at < 0 || *second_at < 0 || seen != where.size() ||
        static_cast<size_t>(position) != seen + 2) {
      return ErrorAt(open, "convolution dimension numbers must name each dimension once");
    }
    *spatial = Dims(std::span<const int64_t>(where));
    return OkStatus();
  };
  RETURN_IF_ERROR(side("b", "f", &d.input_batch, &d.input_feature, &d.input_spatial));
  RETURN_IF_ERROR(Expect("x"));
  RETURN_IF_ERROR(
      side("i", "o", &d.kernel_input_feature, &d.kernel_output_feature, &d.kernel_spatial));
  RETURN_IF_ERROR(Expect("->"));
  RETURN_IF_ERROR(side("b", "f", &d.output_batch, &d.output_feature, &d.output_spatial));
  return d;
}

}  // namespace megalith::stablehlo
