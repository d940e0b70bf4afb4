// Shared by the files that read and write MLIR text; not for users of the library (they want
// parser.h, printer.h).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "common/foundation/base/strings.h"
#include "common/programs/stablehlo/lexer.h"
#include "common/programs/stablehlo/module.h"
#include "common/programs/stablehlo/op_def.h"
#include "common/programs/stablehlo/parser.h"

namespace megalith::stablehlo {

// Recursive descent over one text. Each method reads one construct at the current token, or returns
// an error with line and column and leaves the position undefined.
class OpParser {
 public:
  OpParser(std::string_view text, const Limits& limits) : lexer_(text), limits_(limits) {}

  Result<Module> ParseTopLevel();

  // --- tokens ---
  const Token& peek() const { return lexer_.peek(); }
  Token Take() { return lexer_.Take(); }
  bool At(std::string_view text) const {  // punctuation or word
    const Token& t = peek();
    return (t.kind == TokenKind::kPunct || t.kind == TokenKind::kWord) && t.text == text;
  }
  bool TakeIf(std::string_view text) {
    if (!At(text)) return false;
    lexer_.Drop();
    return true;
  }
  Status Expect(std::string_view text);
  // An error at the current token; "expected X, got Y".
  Status Error(std::string_view message) const { return lexer_.ErrorAt(peek().offset, message); }
  Status ErrorAt(const Token& token, std::string_view message) const {
    return lexer_.ErrorAt(token.offset, message);
  }
  Status Wanted(std::string_view what) const;
  const Limits& limits() const { return limits_; }

  // --- types and attributes (parse_attr.cc, parse_dense.cc) ---
  Result<TensorType> ParseType();                      // tensor<...> or !stablehlo.token
  Result<FuncType> ParseFuncType();                    // (T, T) -> T or (T) -> (T, T)
  Status ParseTypeList(std::vector<TensorType>* out);  // T, T, T (at least one)
  Result<DType> ParseElementType();                    // f32, complex<f64>
  Result<int64_t> ParseInt();                          // with optional minus
  Result<bool> ParseBool();
  Result<double> ParseFloat();
  Result<Dims> ParseDims();           // [1, -2, 3]
  Result<std::string> ParseSymbol();  // @name
  Result<Attr> ParseAttr();
  Result<AttrDict> ParseDict();           // { ... }, braces included
  Result<std::string> BalancedText();     // a bracketed construct as it stands, brackets included
  Result<Attr> ParseEnumWord(EnumId id);  // EQ
  Result<ConvDims> ParseConvDims();       // [b, 0, f]x[0, i, o]->[b, 0, f]
  Result<Attr> ParseRecordBody(AttrKind kind);  // <lhs_precision_type = bf16, ...>
  // `{...}` if there is one, merged into op->attrs.
  Status ParseOptionalDict(Op* op);
  // Turns the value given in the text for attribute `spec` into the kind the op wants (an integer
  // list written as dense<...>, for example).
  Result<Attr> Conform(const AttrSpec& spec, Attr value, const Token& at) const;

  // --- operations (parse_op.cc) ---
  Result<ValueId> ParseOperand();  // %x, %x#1
  Status ParseOperands(Op* op);    // %x, %y; possibly none
  // Checks that operand i has the written type.
  Status CheckOperandTypes(const Op& op, std::span<const TensorType> written,
                           const Token& at) const;
  // Opens a scope, declares the arguments, parses operations up to and including '}' and closes the
  // scope.
  Status ParseRegionBody(std::vector<std::pair<std::string_view, TensorType>> args, Region* region);
  // A whole region with braces and optional ^bb0 header.
  Status ParseRegion(Region* region);
  // %x: type, as in block headers; the type's location is dropped.
  Result<std::pair<std::string_view, TensorType>> ParseTypedName();
  // Region of one two-operand op applied to its two scalar arguments, as `applies stablehlo.add`
  // says.
  Result<Region> OneOpRegion(std::string_view op_name, TensorType type, const Token& at);
  const TensorType& TypeOf(ValueId v) const { return func_->types[v]; }
  const Func& func() const { return *func_; }

 private:
  // Depth guard for everything that recurses on input.
  struct Nesting {
    explicit Nesting(OpParser* parser) : p(parser) { ++p->depth_; }
    ~Nesting() { --p->depth_; }
    OpParser* p;
  };
  Status CheckDepth() const;

  struct Name {
    ValueId first = kNoValue;
    uint32_t count = 0;
  };

  Status ParseModuleBody(Module* module);
  Status ParseTopLevelOp(Module* module);
  Status ParseAlias();
  Status ParseGenericModule(Module* module);
  Status ParseFunc(Module* module);
  Status ParseGenericFunc(Module* module);
  Status ParseFuncResults(Func* func);
  Status ParseDeclaration(Module* module);
  Status SkipLocation();  // loc(...), if there is one

  Status ParseOp(Region* region);
  Status ParseOpBody(Op* op, std::string_view name, const Token& at,
                     std::vector<TensorType>* result_types);
  Status ParseGenericOp(Op* op, std::vector<TensorType>* result_types);
  Status Define(std::string_view name, ValueId first, uint32_t count, const Token& at);
  Result<const OpDef*> Lookup(std::string_view name, const Token& at) const;
  Status CountOp(const Token& at);

  Result<Attr> ParseNumberAttr();
  Result<Attr> ParseHashAttr();
  Result<Attr> ParseStablehloAttr(std::string_view name, const Token& at);
  Result<Attr> ParseRecord(std::string_view name, const Token& at);
  Result<Attr> ParseArrayAttr();  // array<i64: ...>
  Result<Attr> ParseListAttr();   // [ ... ]
  Result<Attr> ParseDenseAttr();
  Result<TensorType> ParseShapedType(bool allow_index, bool* is_index);  // after the word tensor
  Status ParseShapePrefix(Shape* shape);                                 // 4x5x
  // key = value, ... > where `field` reads the value of the key it is given, or answers false.
  template <typename Field>
  Status ParseFields(const Field& field);
  Status ReadField(Dims* v);
  Status ReadField(int64_t* v);
  Status ReadField(bool* v);
  Status ReadField(double* v);
  Status ReadField(PrecisionType* v);
  Status ReadField(AccuracyMode* v);

  Lexer lexer_;
  Limits limits_;
  uint32_t depth_ = 0;
  uint64_t ops_ = 0;
  Func* func_ = nullptr;
  std::unordered_map<std::string_view, Name> names_;
  // What each open scope added or replaced, to be undone when it ends.
  std::vector<std::vector<std::pair<std::string_view, Name>>> undo_;
  std::unordered_map<std::string, Attr> aliases_;
};

// Writes one module. Not thread-safe; one per print.
class OpPrinter {
 public:
  explicit OpPrinter(std::string* out) : out_(out) {}

  void PrintModule(const Module& module);

  std::string& out() { return *out_; }
  void Write(std::string_view s) { *out_ += s; }
  void NewLine();
  void Operand(ValueId v);
  void Operands(std::span<const ValueId> values);  // comma-separated
  void ResultNames(const Op& op);
  void Dict(const AttrDict& dict);  // {a = 1}
  // Attributes of `op` that are in the text nowhere else; with a leading blank, nothing if there
  // are none.
  void OptionalDict(const Op& op, std::span<const std::string_view> elsewhere);
  void FunctionalType(const Op& op);  // (T, T) -> T
  void Types(std::span<const ValueId> values);
  void ResultTypes(const Op& op);                  // T, T
  void RegionArgs(std::span<const ValueId> args);  // %a: T, %b: T
  // { newline, operations, } at the current indentation; `header` prints ^bb0(...) if there are
  // arguments.
  void PrintRegion(const Region& region, bool header);
  void GenericOp(const Op& op);
  void PrintAttr(const Attr& attr, bool elide_i64 = false);
  const Func& func() const { return *func_; }

 private:
  struct Naming;  // counters and names in scope while values are numbered

  void PrintFunc(const Func& func);
  void PrintOp(const Op& op);
  void NameRegion(const Region& region, const Op* parent, Naming naming);
  void NameOp(const Op& op, Naming* naming);
  std::string Unique(std::string name, Naming* naming);

  std::string* out_;
  const Func* func_ = nullptr;
  int indent_ = 0;
  int region_depth_ = 0;            // 1 directly inside a function
  std::vector<std::string> names_;  // by value, '%' included; "%0#1" for later results
  std::unordered_set<std::string> used_;
};

// Attribute text as MLIR prints it.
void PrintAttribute(const Attr& attr, bool elide_i64, std::string* out);
void PrintDict(const AttrDict& dict, std::string* out);
void PrintSymbol(std::string_view name, std::string* out);
void PrintDims(std::span<const int64_t> dims, std::string* out);  // [1, 2]
std::string ScalarTypeText(DType dtype);

}  // namespace megalith::stablehlo
