// Modules and functions of MLIR text; ParseModule.
#include <utility>

#include "common/programs/stablehlo/text.h"
#include "common/programs/stablehlo/verify.h"

namespace megalith::stablehlo {

Status OpParser::SkipLocation() {
  if (!At("loc")) return OkStatus();
  Take();
  if (!At("(")) return Wanted("'('");
  return internal::StatusOf(BalancedText());
}

Result<Module> OpParser::ParseTopLevel() {
  Module module;
  bool has_module = false;
  while (peek().kind != TokenKind::kEnd) {
    const Token& t = peek();
    if (t.kind == TokenKind::kHash) {
      RETURN_IF_ERROR(ParseAlias());
      continue;
    }
    const bool generic = t.kind == TokenKind::kString && t.text == "builtin.module";
    if (generic || At("module") || At("builtin.module")) {
      if (has_module) return Error("expected one module");
      if (!module.funcs().empty()) return Error("a module after functions outside of it");
      has_module = true;
      if (generic) {
        RETURN_IF_ERROR(ParseGenericModule(&module));
      } else {
        Take();
        if (peek().kind == TokenKind::kSymbol) {
          ASSIGN_OR_RETURN(module.name, ParseSymbol());
        }
        if (TakeIf("attributes")) {
          ASSIGN_OR_RETURN(module.attrs, ParseDict());
        }
        RETURN_IF_ERROR(ParseModuleBody(&module));
      }
      RETURN_IF_ERROR(SkipLocation());
      continue;
    }
    if (has_module) return Wanted("the end of the text");
    RETURN_IF_ERROR(ParseTopLevelOp(&module));  // functions without a module around them
  }
  if (!has_module && module.funcs().empty())
    return Error("the text holds no module and no function");
  return module;
}

Status OpParser::ParseAlias() {
  const Token name = Take();
  RETURN_IF_ERROR(Expect("="));
  ASSIGN_OR_RETURN(Attr value, ParseAttr());
  if (!aliases_.emplace(std::string(name.text), std::move(value)).second) {
    return ErrorAt(name,
                   StrCat("attribute alias #", Printable(name.text, 40), " is defined twice"));
  }
  return OkStatus();
}

Status OpParser::ParseModuleBody(Module* module) {
  RETURN_IF_ERROR(Expect("{"));
  while (!At("}")) {
    if (peek().kind == TokenKind::kEnd) return Wanted("'}'");
    RETURN_IF_ERROR(ParseTopLevelOp(module));
  }
  Take();
  return OkStatus();
}

Status OpParser::ParseGenericModule(Module* module) {
  Take();
  RETURN_IF_ERROR(Expect("("));
  RETURN_IF_ERROR(Expect(")"));
  const auto merge = [&]() -> Status {
    ASSIGN_OR_RETURN(AttrDict dict, ParseDict());
    for (NamedAttr& a : dict) {
      if (a.name == "sym_name" && a.value.kind() == AttrKind::kString) {
        module->name = a.value.AsText();
      } else {
        SetAttr(&module->attrs, a.name, std::move(a.value));
      }
    }
    return OkStatus();
  };
  if (TakeIf("<")) {
    RETURN_IF_ERROR(merge());
    RETURN_IF_ERROR(Expect(">"));
  }
  RETURN_IF_ERROR(Expect("("));
  if (!At("{")) return Wanted("'{'");
  RETURN_IF_ERROR(ParseModuleBody(module));
  RETURN_IF_ERROR(Expect(")"));
  if (At("{")) RETURN_IF_ERROR(merge());
  RETURN_IF_ERROR(Expect(":"));
  return internal::StatusOf(ParseFuncType());
}

Status OpParser::ParseTopLevelOp(Module* module) {
  const Token& t = peek();
  if (t.kind == TokenKind::kString && t.text == "func.func") {
    RETURN_IF_ERROR(ParseGenericFunc(module));
  } else if (At("func.func")) {
    RETURN_IF_ERROR(ParseFunc(module));
  } else if (t.kind == TokenKind::kBlock) {  // "builtin.module"() ({ ^bb0: ... })
    Take();
    return Expect(":");
  } else if (t.kind == TokenKind::kWord && t.text.starts_with("sdy.")) {
    RETURN_IF_ERROR(ParseDeclaration(module));
  } else if (t.kind == TokenKind::kWord || t.kind == TokenKind::kString) {
    return Unimplemented(
        Error(StrCat("operation ", Printable(t.text, 60), " is not supported in a module"))
            .message());
  } else {
    return Wanted("a function");
  }
  return SkipLocation();
}

// sdy.mesh @name = <["a"=2]>: kept as text.
Status OpParser::ParseDeclaration(Module* module) {
  const Token word = Take();
  if (word.text != "sdy.mesh") {
    return Unimplemented(
        ErrorAt(word, StrCat("operation ", word.text, " is not supported")).message());
  }
  ASSIGN_OR_RETURN(const std::string name, ParseSymbol());
  RETURN_IF_ERROR(Expect("="));
  if (!At("<")) return Wanted("'<'");
  ASSIGN_OR_RETURN(const std::string body, BalancedText());
  std::string text = "sdy.mesh ";
  PrintSymbol(name, &text);
  StrAppend(&text, " = ", body);
  module->declarations.push_back(std::move(text));
  return OkStatus();
}

Status OpParser::ParseFuncResults(Func* func) {
  if (!TakeIf("->")) return OkStatus();
  const auto one = [&]() -> Status {
    ASSIGN_OR_RETURN(TensorType type, ParseType());
    func->results.push_back(std::move(type));
    AttrDict attrs;
    if (At("{")) {
      ASSIGN_OR_RETURN(attrs, ParseDict());
    }
    func->result_attrs.push_back(std::move(attrs));
    return OkStatus();
  };
  if (TakeIf("(")) {
    if (TakeIf(")")) return OkStatus();
    do {
      RETURN_IF_ERROR(one());
    } while (TakeIf(","));
    return Expect(")");
  }
  ASSIGN_OR_RETURN(TensorType type, ParseType());  // no attributes without parentheses
  func->results.push_back(std::move(type));
  func->result_attrs.emplace_back();
  return OkStatus();
}

Status OpParser::ParseFunc(Module* module) {
  const Token word = Take();
  Func func;
  func.line = word.line;
  if (TakeIf("public")) {
    func.visibility = Visibility::kPublic;
  } else if (TakeIf("private")) {
    func.visibility = Visibility::kPrivate;
  } else if (TakeIf("nested")) {
    func.visibility = Visibility::kNested;
  }
  const Token name_at = peek();
  ASSIGN_OR_RETURN(func.name, ParseSymbol());
  RETURN_IF_ERROR(Expect("("));
  std::vector<std::pair<std::string_view, TensorType>> args;
  if (!TakeIf(")")) {
    if (At("tensor"))
      return Unimplemented(Error("functions without a body are not supported").message());
    do {
      ASSIGN_OR_RETURN(auto arg, ParseTypedName());
      args.push_back(std::move(arg));
      AttrDict attrs;
      if (At("{")) {
        ASSIGN_OR_RETURN(attrs, ParseDict());
      }
      RETURN_IF_ERROR(SkipLocation());
      func.arg_attrs.push_back(std::move(attrs));
    } while (TakeIf(","));
    RETURN_IF_ERROR(Expect(")"));
  }
  RETURN_IF_ERROR(ParseFuncResults(&func));
  if (TakeIf("attributes")) {
    ASSIGN_OR_RETURN(func.attrs, ParseDict());
  }
  if (!At("{")) return Unimplemented(Wanted("a function body").message());
  Take();
  func_ = &func;
  names_.clear();
  undo_.clear();
  RETURN_IF_ERROR(ParseRegionBody(std::move(args), &func.body));
  func_ = nullptr;
  const Status added = internal::StatusOf(module->AddFunc(std::move(func)));
  return added.ok() ? added : ErrorAt(name_at, added.message());
}

Status OpParser::ParseGenericFunc(Module* module) {
  const Token word = Take();
  Func func;
  func.line = word.line;
  RETURN_IF_ERROR(Expect("("));
  RETURN_IF_ERROR(Expect(")"));
  AttrDict props;
  if (TakeIf("<")) {
    ASSIGN_OR_RETURN(props, ParseDict());
    RETURN_IF_ERROR(Expect(">"));
  }
  func_ = &func;
  names_.clear();
  undo_.clear();
  RETURN_IF_ERROR(Expect("("));
  RETURN_IF_ERROR(ParseRegion(&func.body));
  RETURN_IF_ERROR(Expect(")"));
  func_ = nullptr;
  if (At("{")) {
    ASSIGN_OR_RETURN(const AttrDict more, ParseDict());
    for (const NamedAttr& a : more) SetAttr(&props, a.name, a.value);
  }
  RETURN_IF_ERROR(Expect(":"));
  RETURN_IF_ERROR(ParseFuncType());
  for (NamedAttr& a : props) {
    const auto dicts = [&](std::vector<AttrDict>* out) {
      for (const Attr& d : a.value.AsList()) {
        out->push_back(d.kind() == AttrKind::kDict ? d.AsDict() : AttrDict{});
      }
    };
    if (a.name == "sym_name" && a.value.kind() == AttrKind::kString) {
      func.name = a.value.AsText();
    } else if (a.name == "function_type" && a.value.kind() == AttrKind::kFuncType) {
      func.results = a.value.AsFuncType().results;
    } else if (a.name == "sym_visibility" && a.value.kind() == AttrKind::kString) {
      const std::string& v = a.value.AsText();
      func.visibility = v == "public"    ? Visibility::kPublic
                        : v == "private" ? Visibility::kPrivate
                        : v == "nested"  ? Visibility::kNested
                                         : Visibility::kUnspecified;
    } else if (a.name == "arg_attrs" && a.value.kind() == AttrKind::kList) {
      dicts(&func.arg_attrs);
    } else if (a.name == "res_attrs" && a.value.kind() == AttrKind::kList) {
      dicts(&func.result_attrs);
    } else {
      SetAttr(&func.attrs, a.name, a.value);
    }
  }
  if (func.name.empty()) return ErrorAt(word, "func.func without sym_name");
  func.arg_attrs.resize(func.body.args.size());
  func.result_attrs.resize(func.results.size());
  const Status added = internal::StatusOf(module->AddFunc(std::move(func)));
  return added.ok() ? added : ErrorAt(word, added.message());
}

Result<Module> ParseModule(std::string_view text, const ParseOptions& options) {
  if (text.size() > options.limits.max_text_bytes) {
    return ResourceExhausted(
        StrCat("the program has ", text.size(),
               " bytes, more than max_text_bytes = ", options.limits.max_text_bytes));
  }
  OpParser parser(text, options.limits);
  if (const auto bad = FindInvalidUtf8(text)) {
    return Lexer(text, text.size()).ErrorAt(*bad, "the text is not UTF-8");
  }
  ASSIGN_OR_RETURN(Module module, parser.ParseTopLevel());
  if (options.verify) {
    RETURN_IF_ERROR(Verify(module, options.limits));
  }
  return module;
}

}  // namespace megalith::stablehlo
