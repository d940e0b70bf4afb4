// Operations and regions of MLIR text.
#include <algorithm>

#include "common/programs/stablehlo/text.h"
#include "common/programs/stablehlo/text_format.h"

namespace megalith::stablehlo {

Result<ValueId> OpParser::ParseOperand() {
  if (peek().kind != TokenKind::kValue) return Wanted("an operand (%name)");
  const Token t = Take();
  const auto it = names_.find(t.text);
  if (it == names_.end()) {
    return ErrorAt(t, StrCat("value %", Printable(t.text, 40), " is not defined here"));
  }
  uint32_t index = 0;
  if (peek().kind == TokenKind::kHash) {
    const Token number = Take();
    const auto n = ParseUint(number.text);
    if (!n || *n >= it->second.count) {
      return ErrorAt(number,
                     StrCat("%", Printable(t.text, 40), " has ", it->second.count, " results"));
    }
    index = static_cast<uint32_t>(*n);
  } else if (it->second.count != 1) {
    return ErrorAt(t, StrCat("%", Printable(t.text, 40), " has ", it->second.count,
                             " results: say which (#n)"));
  }
  return it->second.first + index;
}

Status OpParser::ParseOperands(Op* op) {
  if (peek().kind != TokenKind::kValue) return OkStatus();
  do {
    ASSIGN_OR_RETURN(const ValueId v, ParseOperand());
    op->operands.push_back(v);
  } while (TakeIf(","));
  return OkStatus();
}

Status OpParser::CheckOperandTypes(const Op& op, std::span<const TensorType> written,
                                   const Token& at) const {
  if (written.size() != op.operands.size()) {
    return ErrorAt(at, StrCat(op.name(), " has ", op.operands.size(), " operands, but ",
                              written.size(), " operand types are given"));
  }
  for (size_t i = 0; i < written.size(); ++i) {
    const TensorType& actual = TypeOf(op.operands[i]);
    if (!(actual == written[i])) {
      return ErrorAt(at, StrCat(op.name(), ": operand ", i, " is written as ", written[i].Text(),
                                " but has type ", actual.Text()));
    }
  }
  return OkStatus();
}

Status OpParser::Define(std::string_view name, ValueId first, uint32_t count, const Token& at) {
  const auto [it, fresh] = names_.try_emplace(name, Name{first, count});
  if (!fresh) return ErrorAt(at, StrCat("value %", Printable(name, 40), " is already defined"));
  undo_.back().emplace_back(name, Name{});
  return OkStatus();
}

Result<const OpDef*> OpParser::Lookup(std::string_view name, const Token& at) const {
  if (const OpDef* def = FindOp(name)) {
    if (def->refusal.empty()) return def;
    return Unimplemented(ErrorAt(at, StrCat(name, ": ", def->refusal)).message());
  }
  return Unimplemented(
      ErrorAt(at, StrCat("operation ", Printable(name, 60), " is not supported")).message());
}

Status OpParser::CountOp(const Token& at) {
  if (++ops_ > limits_.max_ops) {
    return ResourceExhausted(
        ErrorAt(at, StrCat("more than max_ops = ", limits_.max_ops, " operations")).message());
  }
  if (func_->types.size() > limits_.max_values) {
    return ResourceExhausted(
        ErrorAt(at, StrCat("more than max_values = ", limits_.max_values, " values")).message());
  }
  return OkStatus();
}

Status OpParser::ParseOp(Region* region) {
  struct ResultName {
    Token at;
    uint32_t count;
  };
  std::vector<ResultName> result_names;
  uint64_t wanted = 0;
  if (peek().kind == TokenKind::kValue) {
    do {
      if (peek().kind != TokenKind::kValue) return Wanted("a result name");
      ResultName r{Take(), 1};
      if (TakeIf(":")) {
        const Token number = peek();
        ASSIGN_OR_RETURN(const int64_t n, ParseInt());
        if (n < 1 || static_cast<uint64_t>(n) > limits_.max_values)
          return ErrorAt(number, "bad number of results");
        r.count = static_cast<uint32_t>(n);
      }
      wanted += r.count;
      result_names.push_back(r);
    } while (TakeIf(","));
    RETURN_IF_ERROR(Expect("="));
  }
  const Token at = peek();
  RETURN_IF_ERROR(CountOp(at));
  Op op;
  op.line = at.line;
  std::vector<TensorType> result_types;
  if (at.kind == TokenKind::kString) {
    Take();
    const std::string name = Unescape(at.text);
    ASSIGN_OR_RETURN(op.def, Lookup(name, at));
    RETURN_IF_ERROR(ParseGenericOp(&op, &result_types));
  } else if (at.kind == TokenKind::kWord) {
    Take();
    RETURN_IF_ERROR(ParseOpBody(&op, at.text, at, &result_types));
  } else {
    return Wanted("an operation");
  }
  RETURN_IF_ERROR(SkipLocation());
  if (!result_names.empty() && wanted != result_types.size()) {
    return ErrorAt(at, StrCat(op.name(), " has ", result_types.size(), " results, but ", wanted,
                              " are named"));
  }
  op.first_result = static_cast<ValueId>(func_->types.size());
  op.num_results = static_cast<uint32_t>(result_types.size());
  for (TensorType& t : result_types) func_->AddValue(std::move(t));
  ValueId next = op.first_result;
  for (const ResultName& r : result_names) {
    RETURN_IF_ERROR(Define(r.at.text, next, r.count, r.at));
    next += r.count;
  }
  region->ops.push_back(std::move(op));
  return OkStatus();
}

Status OpParser::ParseOpBody(Op* op, std::string_view name, const Token& at,
                             std::vector<TensorType>* result_types) {
  if (name.find('.') == std::string_view::npos) {  // the default dialect inside a function is func
    ASSIGN_OR_RETURN(op->def, Lookup(StrCat("func.", name), at));
  } else {
    ASSIGN_OR_RETURN(op->def, Lookup(name, at));
  }
  if (op->def->text != nullptr) return op->def->text->parse(*this, op, result_types);
  if (op->def->format.empty()) {
    return ErrorAt(at, StrCat(op->name(), " has no pretty form; write \"", op->name(), "\"(...)"));
  }
  return ParseFormat(*this, op, result_types);
}

Status OpParser::ParseGenericOp(Op* op, std::vector<TensorType>* result_types) {
  RETURN_IF_ERROR(Expect("("));
  RETURN_IF_ERROR(ParseOperands(op));
  RETURN_IF_ERROR(Expect(")"));
  if (At("[")) return Unimplemented(Error("successor blocks are not supported").message());
  if (TakeIf("<")) {
    RETURN_IF_ERROR(ParseOptionalDict(op));
    RETURN_IF_ERROR(Expect(">"));
  }
  if (TakeIf("(")) {
    do {
      Region region;
      RETURN_IF_ERROR(ParseRegion(&region));
      op->regions.push_back(std::move(region));
    } while (TakeIf(","));
    RETURN_IF_ERROR(Expect(")"));
  }
  RETURN_IF_ERROR(ParseOptionalDict(op));
  RETURN_IF_ERROR(Expect(":"));
  const Token at = peek();
  ASSIGN_OR_RETURN(FuncType type, ParseFuncType());
  RETURN_IF_ERROR(CheckOperandTypes(*op, type.inputs, at));
  *result_types = std::move(type.results);
  return OkStatus();
}

Result<std::pair<std::string_view, TensorType>> OpParser::ParseTypedName() {
  if (peek().kind != TokenKind::kValue) return Wanted("an argument name");
  const Token name = Take();
  RETURN_IF_ERROR(Expect(":"));
  ASSIGN_OR_RETURN(TensorType type, ParseType());
  RETURN_IF_ERROR(SkipLocation());
  return std::pair(name.text, std::move(type));
}

Status OpParser::ParseRegion(Region* region) {
  RETURN_IF_ERROR(Expect("{"));
  std::vector<std::pair<std::string_view, TensorType>> args;
  if (peek().kind == TokenKind::kBlock) {
    Take();
    if (TakeIf("(")) {
      if (!At(")")) {
        do {
          ASSIGN_OR_RETURN(auto arg, ParseTypedName());
          args.push_back(std::move(arg));
        } while (TakeIf(","));
      }
      RETURN_IF_ERROR(Expect(")"));
    }
    RETURN_IF_ERROR(Expect(":"));
  }
  return ParseRegionBody(std::move(args), region);
}

Status OpParser::ParseRegionBody(std::vector<std::pair<std::string_view, TensorType>> args,
                                 Region* region) {
  const Nesting nesting(this);
  RETURN_IF_ERROR(CheckDepth());
  undo_.emplace_back();
  for (auto& [name, type] : args) {
    const ValueId v = func_->AddValue(std::move(type));
    region->args.push_back(v);
    RETURN_IF_ERROR(Define(name, v, 1, peek()));
  }
  while (!At("}")) {
    if (peek().kind == TokenKind::kBlock) {
      return Unimplemented(Error("regions with more than one block are not supported").message());
    }
    if (peek().kind == TokenKind::kEnd) return Wanted("'}'");
    RETURN_IF_ERROR(ParseOp(region));
  }
  Take();
  for (const auto& [name, old] : undo_.back()) names_.erase(name);
  undo_.pop_back();
  return OkStatus();
}

Result<Region> OpParser::OneOpRegion(std::string_view op_name, TensorType type, const Token& at) {
  Op inner;
  ASSIGN_OR_RETURN(inner.def, Lookup(op_name, at));
  if (inner.def->operands != 2 || inner.def->regions != 0 || inner.def->type_rule == nullptr) {
    return ErrorAt(at, StrCat(Printable(op_name, 60), " is not a binary operation"));
  }
  ASSIGN_OR_RETURN(const OpDef* terminator, Lookup("stablehlo.return", at));
  Region region;
  region.args = {func_->AddValue(type), func_->AddValue(type)};
  inner.operands = region.args;
  inner.line = at.line;
  std::vector<TensorType> types;
  const Status inferred = inner.def->type_rule(TypeQuery{inner, *func_, nullptr, {}}, &types);
  if (!inferred.ok()) return ErrorAt(at, StrCat(op_name, ": ", inferred.message()));
  if (types.size() != 1) return ErrorAt(at, StrCat(op_name, " does not have one result"));
  inner.first_result = func_->AddValue(std::move(types[0]));
  inner.num_results = 1;
  Op ret;
  ret.def = terminator;
  ret.line = at.line;
  ret.operands = {inner.first_result};
  region.ops.push_back(std::move(inner));
  region.ops.push_back(std::move(ret));
  return region;
}

}  // namespace megalith::stablehlo
