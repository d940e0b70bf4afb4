// The attributes of the stablehlo and chlo dialects: enumerations and dimension-number records.
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

namespace {

// A field of a record that is a list of integers or one integer.
struct DimsField {
  std::string_view name;
  Dims* dims = nullptr;
  int64_t* number = nullptr;
};

}  // namespace

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
  const auto dims_record = [&](std::span<const DimsField> fields) -> Status {
    return ParseFields([&](std::string_view key) -> Result<bool> {
      for (const DimsField& f : fields) {
        if (f.name != key) continue;
        if (f.dims != nullptr) {
          ASSIGN_OR_RETURN(*f.dims, ParseDims());
        } else {
          ASSIGN_OR_RETURN(*f.number, ParseInt());
        }
        return true;
      }
      return false;
    });
  };
  if (name == "gather") {
    GatherDims d;
    const DimsField fields[] = {{"offset_dims", &d.offset_dims},
                                {"collapsed_slice_dims", &d.collapsed_slice_dims},
                                {"operand_batching_dims", &d.operand_batching_dims},
                                {"start_indices_batching_dims", &d.start_indices_batching_dims},
                                {"start_index_map", &d.start_index_map},
                                {"index_vector_dim", nullptr, &d.index_vector_dim}};
    RETURN_IF_ERROR(dims_record(fields));
    return Attr::Of(d);
  }
  if (name == "scatter") {
    ScatterDims d;
    const DimsField fields[] = {{"update_window_dims", &d.update_window_dims},
                                {"inserted_window_dims", &d.inserted_window_dims},
                                {"input_batching_dims", &d.input_batching_dims},
                                {"scatter_indices_batching_dims", &d.scatter_indices_batching_dims},
                                {"scatter_dims_to_operand_dims", &d.scatter_dims_to_operand_dims},
                                {"index_vector_dim", nullptr, &d.index_vector_dim}};
    RETURN_IF_ERROR(dims_record(fields));
    return Attr::Of(d);
  }
  if (name == "dot") {
    DotDims d;
    const DimsField fields[] = {{"lhs_batching_dimensions", &d.lhs_batch},
                                {"rhs_batching_dimensions", &d.rhs_batch},
                                {"lhs_contracting_dimensions", &d.lhs_contract},
                                {"rhs_contracting_dimensions", &d.rhs_contract}};
    RETURN_IF_ERROR(dims_record(fields));
    return Attr::Of(d);
  }
  if (name == "channel_handle") {
    ChannelHandle c;
    const DimsField fields[] = {{"handle", nullptr, &c.handle}, {"type", nullptr, &c.type}};
    RETURN_IF_ERROR(dims_record(fields));
    return Attr::Of(c);
  }
  if (name == "output_operand_alias") {
    OperandAlias a;
    const DimsField fields[] = {{"output_tuple_indices", &a.output_tuple_indices},
                                {"operand_index", nullptr, &a.operand_index},
                                {"operand_tuple_indices", &a.operand_tuple_indices}};
    RETURN_IF_ERROR(dims_record(fields));
    return Attr::Of(a);
  }
  if (name == "conv") {
    RETURN_IF_ERROR(Expect("<"));
    if (At("raw")) return Unimplemented(Error("raw convolution dimension numbers are not supported").message());
    ASSIGN_OR_RETURN(ConvDims d, ParseConvDims());
    RETURN_IF_ERROR(Expect(">"));
    return Attr::Of(std::move(d));
  }
  if (name == "dot_algorithm") return ParseDotAlgorithm();
  if (name == "result_accuracy") {
    ResultAccuracy r;
    RETURN_IF_ERROR(ParseFields([&](std::string_view key) -> Result<bool> {
      if (key == "atol") {
        ASSIGN_OR_RETURN(r.atol, ParseFloat());
      } else if (key == "rtol") {
        ASSIGN_OR_RETURN(r.rtol, ParseFloat());
      } else if (key == "ulps") {
        ASSIGN_OR_RETURN(r.ulps, ParseInt());
      } else if (key == "mode") {
        const Token mode_at = peek();
        ASSIGN_OR_RETURN(const Attr mode, ParseAttr());
        if (mode.kind() != AttrKind::kEnum || mode.enum_id() != EnumId::kAccuracyMode) {
          return ErrorAt(mode_at, "expected #stablehlo.result_accuracy_mode<...>");
        }
        r.mode = static_cast<AccuracyMode>(mode.AsEnum());
      } else {
        return false;
      }
      return true;
    }));
    return Attr::Of(r);
  }
  return Unimplemented(ErrorAt(at, StrCat("attribute #stablehlo.", Printable(name, 40), " is not supported")).message());
}

// <lhs_precision_type = bf16, ...>
Result<Attr> OpParser::ParseDotAlgorithm() {
  DotAlgorithm a;
  const auto element = [&](DType* dtype, bool* tf32) -> Status {
    *tf32 = TakeIf("tf32");
    if (!*tf32) {
      ASSIGN_OR_RETURN(*dtype, ParseElementType());
    }
    return OkStatus();
  };
  RETURN_IF_ERROR(ParseFields([&](std::string_view key) -> Result<bool> {
    if (key == "lhs_precision_type") {
      RETURN_IF_ERROR(element(&a.lhs, &a.lhs_tf32));
    } else if (key == "rhs_precision_type") {
      RETURN_IF_ERROR(element(&a.rhs, &a.rhs_tf32));
    } else if (key == "accumulation_type") {
      RETURN_IF_ERROR(element(&a.accumulation, &a.accumulation_tf32));
    } else if (key == "lhs_component_count") {
      ASSIGN_OR_RETURN(a.lhs_components, ParseInt());
    } else if (key == "rhs_component_count") {
      ASSIGN_OR_RETURN(a.rhs_components, ParseInt());
    } else if (key == "num_primitive_operations") {
      ASSIGN_OR_RETURN(a.primitive_operations, ParseInt());
    } else if (key == "allow_imprecise_accumulation") {
      ASSIGN_OR_RETURN(a.allow_imprecise, ParseBool());
    } else {
      return false;
    }
    return true;
  }));
  return Attr::Of(a);
}

// [b, 0, 1, f]x[0, 1, i, o]->[b, 0, 1, f]
Result<ConvDims> OpParser::ParseConvDims() {
  ConvDims d;
  // Reads one side: where its two letters and its spatial dimensions stand.
  const auto side = [&](std::string_view first, std::string_view second, int64_t* first_at, int64_t* second_at,
                        Dims* spatial) -> Status {
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
        if (where.size() <= static_cast<size_t>(number)) where.resize(static_cast<size_t>(number) + 1, -1);
        if (where[static_cast<size_t>(number)] >= 0) return ErrorAt(t, "spatial dimension is given twice");
        where[static_cast<size_t>(number)] = position;
        ++seen;
      } else {
        return Wanted(StrCat("'", first, "', '", second, "' or a spatial dimension"));
      }
      ++position;
    } while (TakeIf(","));
    RETURN_IF_ERROR(Expect("]"));
    if (*first_at < 0 || *second_at < 0 || seen != where.size() || static_cast<size_t>(position) != seen + 2) {
      return ErrorAt(open, "convolution dimension numbers must name each dimension once");
    }
    *spatial = Dims(std::span<const int64_t>(where));
    return OkStatus();
  };
  RETURN_IF_ERROR(side("b", "f", &d.input_batch, &d.input_feature, &d.input_spatial));
  RETURN_IF_ERROR(Expect("x"));
  RETURN_IF_ERROR(side("i", "o", &d.kernel_input_feature, &d.kernel_output_feature, &d.kernel_spatial));
  RETURN_IF_ERROR(Expect("->"));
  RETURN_IF_ERROR(side("b", "f", &d.output_batch, &d.output_feature, &d.output_spatial));
  return d;
}

}  // namespace megalith::stablehlo
