// The <words> of format strings: type suffixes and the attributes with a syntax of their own.
#include <algorithm>

#include "common/programs/stablehlo/text_format.h"

namespace megalith::stablehlo {
namespace {

using Types = std::vector<TensorType>;

// --- type suffixes ---

Status ParseFunctional(OpParser& p, Op* op, Types* results) {
  const Token at = p.peek();
  ASSIGN_OR_RETURN(FuncType type, p.ParseFuncType());
  RETURN_IF_ERROR(p.CheckOperandTypes(*op, type.inputs, at));
  *results = std::move(type.results);
  return OkStatus();
}

void PrintFunctional(OpPrinter& p, const Op& op) { p.FunctionalType(op); }

// One type for all operands and the result; the functional form where they differ.
Status ParseSame(OpParser& p, Op* op, Types* results) {
  if (p.At("(")) return ParseFunctional(p, op, results);
  const Token at = p.peek();
  ASSIGN_OR_RETURN(TensorType type, p.ParseType());
  const Types all(op->operands.size(), type);
  RETURN_IF_ERROR(p.CheckOperandTypes(*op, all, at));
  results->push_back(std::move(type));
  return OkStatus();
}

void PrintSame(OpPrinter& p, const Op& op) {
  const TensorType& result = p.func().type(op.result());
  for (const ValueId v : op.operands) {
    if (!(p.func().type(v) == result)) return p.FunctionalType(op);
  }
  p.ResultTypes(op);
}

// Predicate type, branch type.
Status ParseSelect(OpParser& p, Op* op, Types* results) {
  if (p.At("(")) return ParseFunctional(p, op, results);
  const Token at = p.peek();
  Types written;
  RETURN_IF_ERROR(p.ParseTypeList(&written));
  if (written.size() == 1) written.push_back(written[0]);
  if (written.size() != 2)
    return p.ErrorAt(at, "expected the types of the predicate and of the result");
  const Types all = {written[0], written[1], written[1]};
  RETURN_IF_ERROR(p.CheckOperandTypes(*op, all, at));
  results->push_back(written[1]);
  return OkStatus();
}

void PrintSelect(OpPrinter& p, const Op& op) {
  const Func& f = p.func();
  if (!(f.type(op.operands[1]) == f.type(op.result())) ||
      !(f.type(op.operands[2]) == f.type(op.result()))) {
    return p.FunctionalType(op);
  }
  p.Types(std::span(op.operands).first(1));
  p.Write(", ");
  p.ResultTypes(op);
}

// The result type of stablehlo.complex, whose parts follow from it.
Status ParseComplex(OpParser& p, Op* op, Types* results) {
  if (p.At("(")) return ParseFunctional(p, op, results);
  const Token at = p.peek();
  ASSIGN_OR_RETURN(TensorType type, p.ParseType());
  if (!tensor::IsComplex(type.dtype))
    return p.ErrorAt(at, StrCat("expected a complex type, got ", type.Text()));
  const Types all(op->operands.size(), type.With(tensor::RealPart(type.dtype)));
  RETURN_IF_ERROR(p.CheckOperandTypes(*op, all, at));
  results->push_back(std::move(type));
  return OkStatus();
}

void PrintComplex(OpPrinter& p, const Op& op) { p.ResultTypes(op); }

// Result types only.
Status ParseResults(OpParser& p, Op*, Types* results) { return p.ParseTypeList(results); }
void PrintResults(OpPrinter& p, const Op& op) { p.ResultTypes(op); }

// The types of the operands, which are those of the results.
Status ParsePairwise(OpParser& p, Op* op, Types* results) {
  const Token at = p.peek();
  RETURN_IF_ERROR(p.ParseTypeList(results));
  return p.CheckOperandTypes(*op, *results, at);
}
void PrintPairwise(OpPrinter& p, const Op& op) { p.ResultTypes(op); }

// T, T -> T: chlo's form, one type per operand and no parentheses; several results are in
// parentheses.
Status ParseChlo(OpParser& p, Op* op, Types* results) {
  const Token at = p.peek();
  Types operands;
  RETURN_IF_ERROR(p.ParseTypeList(&operands));
  RETURN_IF_ERROR(p.CheckOperandTypes(*op, operands, at));
  RETURN_IF_ERROR(p.Expect("->"));
  if (!p.TakeIf("(")) return p.ParseTypeList(results);
  RETURN_IF_ERROR(p.ParseTypeList(results));
  return p.Expect(")");
}
void PrintChlo(OpPrinter& p, const Op& op) {
  p.Types(op.operands);
  p.Write(op.num_results == 1 ? " -> " : " -> (");
  p.ResultTypes(op);
  if (op.num_results != 1) p.Write(")");
}

// --- [0:4:2, 1:3] ---

constexpr std::string_view kSliceAttrs[] = {"start_indices", "limit_indices", "strides"};

Status ParseSlices(OpParser& p, Op* op, Types*) {
  Dims start, limit, strides;
  RETURN_IF_ERROR(p.Expect("["));
  if (!p.TakeIf("]")) {
    do {
      ASSIGN_OR_RETURN(const int64_t a, p.ParseInt());
      RETURN_IF_ERROR(p.Expect(":"));
      ASSIGN_OR_RETURN(const int64_t b, p.ParseInt());
      int64_t step = 1;
      if (p.TakeIf(":")) {
        ASSIGN_OR_RETURN(step, p.ParseInt());
      }
      start.push_back(a);
      limit.push_back(b);
      strides.push_back(step);
    } while (p.TakeIf(","));
    RETURN_IF_ERROR(p.Expect("]"));
  }
  SetAttr(&op->attrs, "start_indices", Attr::Ints(start));
  SetAttr(&op->attrs, "limit_indices", Attr::Ints(limit));
  SetAttr(&op->attrs, "strides", Attr::Ints(strides));
  return OkStatus();
}

void PrintSlices(OpPrinter& p, const Op& op) {
  const auto start = op.attr("start_indices").AsInts();
  const auto limit = op.attr("limit_indices").AsInts();
  const auto strides = op.attr("strides").AsInts();
  p.Write("[");
  for (size_t i = 0; i < start.size(); ++i) {
    StrAppend(&p.out(), i > 0 ? ", " : "", start[i], ":", limit[i]);
    if (strides[i] != 1) StrAppend(&p.out(), ":", strides[i]);
  }
  p.Write("]");
}

// --- batching_dims = [0] x [0], contracting_dims = [2] x [1] ---

constexpr std::string_view kDotAttrs[] = {"dot_dimension_numbers"};

Status ParseDot(OpParser& p, Op* op, Types*) {
  DotDims d;
  const auto pair = [&](Dims* lhs, Dims* rhs) -> Status {
    p.Take();
    RETURN_IF_ERROR(p.Expect("="));
    ASSIGN_OR_RETURN(*lhs, p.ParseDims());
    RETURN_IF_ERROR(p.Expect("x"));
    ASSIGN_OR_RETURN(*rhs, p.ParseDims());
    return OkStatus();
  };
  if (p.At("batching_dims") || p.At("batch_dims")) {
    RETURN_IF_ERROR(pair(&d.lhs_batch, &d.rhs_batch));
    RETURN_IF_ERROR(p.Expect(","));
  }
  if (!p.At("contracting_dims")) return p.Wanted("'contracting_dims'");
  RETURN_IF_ERROR(pair(&d.lhs_contract, &d.rhs_contract));
  SetAttr(&op->attrs, "dot_dimension_numbers", Attr::Of(d));
  return OkStatus();
}

void PrintDot(OpPrinter& p, const Op& op) {
  const DotDims& d = op.attr("dot_dimension_numbers").AsDot();
  const auto pair = [&](std::string_view word, const Dims& lhs, const Dims& rhs) {
    StrAppend(&p.out(), word, " = ");
    PrintDims(lhs, &p.out());
    p.Write(" x ");
    PrintDims(rhs, &p.out());
  };
  if (!d.lhs_batch.empty()) {
    pair("batching_dims", d.lhs_batch, d.rhs_batch);
    p.Write(", ");
  }
  pair("contracting_dims", d.lhs_contract, d.rhs_contract);
}

// --- , precision = [DEFAULT, HIGHEST], algorithm = <...> ---

constexpr std::string_view kPrecisionAttrs[] = {"precision_config", "algorithm"};

Status ParsePrecision(OpParser& p, Op* op, Types*) {
  while (p.TakeIf(",")) {
    if (p.TakeIf("precision")) {
      RETURN_IF_ERROR(p.Expect("="));
      RETURN_IF_ERROR(p.Expect("["));
      std::vector<Attr> list;
      if (!p.TakeIf("]")) {
        do {
          ASSIGN_OR_RETURN(Attr a, p.ParseEnumWord(EnumId::kPrecision));
          list.push_back(std::move(a));
        } while (p.TakeIf(","));
        RETURN_IF_ERROR(p.Expect("]"));
      }
      SetAttr(&op->attrs, "precision_config", Attr::List(std::move(list)));
    } else if (p.TakeIf("algorithm")) {
      RETURN_IF_ERROR(p.Expect("="));
      ASSIGN_OR_RETURN(Attr a, p.ParseRecordBody(AttrKind::kDotAlgorithm));
      SetAttr(&op->attrs, "algorithm", std::move(a));
    } else {
      return p.Wanted("'precision' or 'algorithm'");
    }
  }
  return OkStatus();
}

void PrintPrecision(OpPrinter& p, const Op& op) {
  if (const Attr& config = op.attr("precision_config"); config.present()) {
    p.Write(", precision = [");
    bool first = true;
    for (const Attr& a : config.AsList()) {
      StrAppend(&p.out(), first ? "" : ", ", a.EnumName());
      first = false;
    }
    p.Write("]");
  }
  if (const Attr& algorithm = op.attr("algorithm"); algorithm.present()) {
    std::string text;
    PrintAttribute(algorithm, false, &text);  // #stablehlo.dot_algorithm<...>
    StrAppend(&p.out(), ", algorithm = ", std::string_view(text).substr(text.find('<')));
  }
}

// --- convolution: [b, 0, f]x[0, i, o]->[b, 0, f] and {stride = [1], pad = [[0, 0]], ...} ---

constexpr std::string_view kConvAttrs[] = {"dimension_numbers"};

Status ParseConvNumbers(OpParser& p, Op* op, Types*) {
  ASSIGN_OR_RETURN(ConvDims d, p.ParseConvDims());
  SetAttr(&op->attrs, "dimension_numbers", Attr::Of(std::move(d)));
  return OkStatus();
}

void PrintConvNumbers(OpPrinter& p, const Op& op) {
  std::string text;
  PrintAttribute(op.attr("dimension_numbers"), false, &text);  // #stablehlo.conv<...>
  const std::string_view body = std::string_view(text).substr(text.find('<') + 1);
  p.Write(body.substr(0, body.size() - 1));
}

constexpr std::string_view kWindowAttrs[] = {"window_strides", "padding", "lhs_dilation",
                                             "rhs_dilation", "window_reversal"};

// [[0, 1], [2, 3]] as a tensor of two columns.
Result<Attr> ParsePadding(OpParser& p) {
  Dims flat;
  RETURN_IF_ERROR(p.Expect("["));
  if (!p.TakeIf("]")) {
    do {
      const Token at = p.peek();
      ASSIGN_OR_RETURN(const Dims pair, p.ParseDims());
      if (pair.size() != 2) return p.ErrorAt(at, "expected [low, high]");
      flat.push_back(pair[0]);
      flat.push_back(pair[1]);
    } while (p.TakeIf(","));
    RETURN_IF_ERROR(p.Expect("]"));
  }
  ASSIGN_OR_RETURN(Tensor t,
                   Tensor::Create(DType::kI64, Shape{static_cast<int64_t>(flat.size() / 2), 2}));
  for (size_t i = 0; i < flat.size(); ++i) t.SetInt(static_cast<int64_t>(i), flat[i]);
  return Attr::OfTensor(t);
}

Status ParseWindow(OpParser& p, Op* op, Types*) {
  RETURN_IF_ERROR(p.Expect("{"));
  if (p.TakeIf("}")) return OkStatus();
  do {
    const Token key = p.peek();
    std::string_view name;
    if (key.text == "stride") name = "window_strides";
    if (key.text == "pad") name = "padding";
    if (key.text == "lhs_dilate") name = "lhs_dilation";
    if (key.text == "rhs_dilate") name = "rhs_dilation";
    if (key.text == "reverse") name = "window_reversal";
    if (name.empty()) return p.Wanted("stride, pad, lhs_dilate, rhs_dilate or reverse");
    if (op->attr(name).present()) return p.Error("window attribute is given twice");
    p.Take();
    RETURN_IF_ERROR(p.Expect("="));
    if (name == "padding") {
      ASSIGN_OR_RETURN(Attr padding, ParsePadding(p));
      SetAttr(&op->attrs, name, std::move(padding));
    } else if (name == "window_reversal") {
      const Token at = p.peek();
      ASSIGN_OR_RETURN(const Attr list, p.ParseAttr());
      if (list.kind() != AttrKind::kList) return p.ErrorAt(at, "expected a list of true and false");
      std::unique_ptr<bool[]> flags(new bool[list.AsList().size()]);
      size_t n = 0;
      for (const Attr& a : list.AsList()) {
        if (a.kind() != AttrKind::kBool && a.kind() != AttrKind::kInt)
          return p.ErrorAt(at, "expected true or false");
        flags[n++] = a.AsBool();
      }
      SetAttr(&op->attrs, name, Attr::Bools(std::span<const bool>(flags.get(), n)));
    } else {
      ASSIGN_OR_RETURN(const Dims dims, p.ParseDims());
      SetAttr(&op->attrs, name, Attr::Ints(dims));
    }
  } while (p.TakeIf(","));
  return p.Expect("}");
}

void PrintWindow(OpPrinter& p, const Op& op) {
  bool first = true;
  const auto key = [&](std::string_view word) {
    StrAppend(&p.out(), first ? "" : ", ", word, " = ");
    first = false;
  };
  const auto ints = [&](std::string_view word, std::string_view name) {
    const Attr& a = op.attr(name);
    if (!a.present()) return;
    key(word);
    PrintDims(a.AsInts(), &p.out());
  };
  p.Write("{");
  ints("stride", "window_strides");
  if (const Attr& padding = op.attr("padding"); padding.present()) {
    key("pad");
    p.Write("[");
    const Dense& d = padding.AsDense();
    const int64_t rows = d.type.shape[0];
    for (int64_t i = 0; i < rows; ++i) {
      const int64_t low = d.splat ? d.data.IntAt(0) : d.data.IntAt(2 * i);
      const int64_t high = d.splat ? low : d.data.IntAt(2 * i + 1);
      StrAppend(&p.out(), i > 0 ? ", [" : "[", low, ", ", high, "]");
    }
    p.Write("]");
  }
  ints("lhs_dilate", "lhs_dilation");
  ints("rhs_dilate", "rhs_dilation");
  if (const Attr& reversal = op.attr("window_reversal"); reversal.present()) {
    key("reverse");
    p.Write("[");
    bool inner_first = true;
    for (const int64_t b : reversal.AsInts()) {
      StrAppend(&p.out(), inner_first ? "" : ", ", b != 0);
      inner_first = false;
    }
    p.Write("]");
  }
  p.Write("}");
}

// --- e5m10 ---

constexpr std::string_view kFormatAttrs[] = {"exponent_bits", "mantissa_bits"};

Status ParseBits(OpParser& p, Op* op, Types*) {
  const Token word = p.peek();
  const size_t m = word.text.find('m');
  if (word.kind != TokenKind::kWord || !word.text.starts_with('e') || m == std::string_view::npos) {
    return p.Wanted("a float format such as e5m10");
  }
  const auto exponent = megalith::ParseInt(word.text.substr(1, m - 1));
  const auto mantissa = megalith::ParseInt(word.text.substr(m + 1));
  if (!exponent || !mantissa) return p.Wanted("a float format such as e5m10");
  p.Take();
  SetAttr(&op->attrs, "exponent_bits", Attr::Int(*exponent, DType::kI32));
  SetAttr(&op->attrs, "mantissa_bits", Attr::Int(*mantissa, DType::kI32));
  return OkStatus();
}

void PrintBits(OpPrinter& p, const Op& op) {
  StrAppend(&p.out(), "e", op.attr("exponent_bits").AsInt(), "m", op.attr("mantissa_bits").AsInt());
}

// --- @target of custom_call, a string written as a symbol ---

constexpr std::string_view kTargetAttrs[] = {"call_target_name"};

Status ParseTarget(OpParser& p, Op* op, Types*) {
  ASSIGN_OR_RETURN(const std::string name, p.ParseSymbol());
  SetAttr(&op->attrs, "call_target_name", Attr::String(name));
  return OkStatus();
}
void PrintTarget(OpPrinter& p, const Op& op) {
  PrintSymbol(op.attr("call_target_name").AsText(), &p.out());
}

// --- <@mesh, [{}]> of sdy.sharding_constraint: any bracketed text ---

constexpr std::string_view kShardingAttrs[] = {"sharding"};

Status ParseSharding(OpParser& p, Op* op, Types*) {
  if (!p.At("<")) return p.Wanted("'<'");
  ASSIGN_OR_RETURN(const std::string body, p.BalancedText());
  SetAttr(&op->attrs, "sharding", Attr::Opaque(StrCat("#sdy.sharding", body)));
  return OkStatus();
}
void PrintSharding(OpPrinter& p, const Op& op) {
  p.Write(std::string_view(op.attr("sharding").AsText())
              .substr(std::string_view("#sdy.sharding").size()));
}

constexpr Directive kDirectives[] = {
    {"func", {}, ParseFunctional, PrintFunctional},
    {"same", {}, ParseSame, PrintSame},
    {"select", {}, ParseSelect, PrintSelect},
    {"complex", {}, ParseComplex, PrintComplex},
    {"results", {}, ParseResults, PrintResults},
    {"pairwise", {}, ParsePairwise, PrintPairwise},
    {"chlo", {}, ParseChlo, PrintChlo},
    {"slices", kSliceAttrs, ParseSlices, PrintSlices},
    {"dot", kDotAttrs, ParseDot, PrintDot},
    {"precision", kPrecisionAttrs, ParsePrecision, PrintPrecision},
    {"conv", kConvAttrs, ParseConvNumbers, PrintConvNumbers},
    {"window", kWindowAttrs, ParseWindow, PrintWindow},
    {"bits", kFormatAttrs, ParseBits, PrintBits},
    {"target", kTargetAttrs, ParseTarget, PrintTarget},
    {"sharding", kShardingAttrs, ParseSharding, PrintSharding},
};

}  // namespace

const Directive* FindDirective(std::string_view name) {
  const auto it = std::ranges::find(kDirectives, name, &Directive::name);
  return it == std::end(kDirectives) ? nullptr : &*it;
}

}  // namespace megalith::stablehlo
