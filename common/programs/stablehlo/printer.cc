// Operations, regions, functions and modules as MLIR prints them, with its rules for naming values.
#include "common/programs/stablehlo/printer.h"

#include <algorithm>

#include "common/programs/stablehlo/text.h"
#include "common/programs/stablehlo/text_format.h"

namespace megalith::stablehlo {

// MLIR numbers a region completely before it looks at the regions inside, which then continue its
// counters.
struct OpPrinter::Naming {
  uint32_t next_value = 0;
  uint32_t next_argument = 0;
  uint32_t next_conflict = 0;
  std::vector<std::string> added;  // to used_, by this region
};

std::string OpPrinter::Unique(std::string name, Naming* naming) {
  if (used_.contains(name)) {
    std::string probe;
    do {
      probe = StrCat(name, "_", naming->next_conflict++);
    } while (used_.contains(probe));
    name = std::move(probe);
  }
  used_.insert(name);
  naming->added.push_back(name);
  return "%" + name;
}

void OpPrinter::NameOp(const Op& op, Naming* naming) {
  if (op.num_results == 0) return;
  std::string_view hints = op.def->result_names;
  std::string base;
  if (!hints.empty()) {
    if (op.def->has(kConstantLike)) {  // c for integers and booleans, cst for the rest
      const DType dtype = func_->type(op.result()).dtype;
      hints = tensor::IsInteger(dtype) || dtype == DType::kBool ? "c" : "cst";
    }
    for (uint32_t i = 0; i < op.num_results; ++i) {
      const size_t comma = hints.find(',');
      names_[op.result(i)] = Unique(std::string(hints.substr(0, comma)), naming);
      hints.remove_prefix(comma == std::string_view::npos ? hints.size() : comma + 1);
    }
    return;
  }
  base = StrCat("%", naming->next_value++);
  for (uint32_t i = 0; i < op.num_results; ++i) {
    names_[op.result(i)] = op.num_results == 1 ? base : StrCat(base, "#", i);
  }
}

void OpPrinter::NameRegion(const Region& region, const Op* parent, Naming naming) {
  const std::string_view special =
      parent != nullptr ? parent->def->region_arg_name : std::string_view();
  for (const ValueId arg : region.args) {
    names_[arg] = Unique(
        special.empty() ? StrCat("arg", naming.next_argument++) : std::string(special), &naming);
  }
  for (const Op& op : region.ops) NameOp(op, &naming);
  const std::vector<std::string> added = std::move(naming.added);
  for (const Op& op : region.ops) {
    for (const Region& inner : op.regions) {
      Naming child = naming;
      child.added.clear();
      NameRegion(inner, &op, std::move(child));
    }
  }
  for (const std::string& name : added) used_.erase(name);
}

void OpPrinter::NewLine() {
  *out_ += '\n';
  out_->append(static_cast<size_t>(indent_), ' ');
}

void OpPrinter::Operand(ValueId v) { *out_ += names_[v]; }

void OpPrinter::Operands(std::span<const ValueId> values) {
  for (size_t i = 0; i < values.size(); ++i) {
    if (i > 0) *out_ += ", ";
    Operand(values[i]);
  }
}

void OpPrinter::ResultNames(const Op& op) {
  if (op.num_results == 0) return;
  const std::string& first = names_[op.result()];
  if (op.num_results > 1 && op.def->result_names.empty()) {
    StrAppend(out_, std::string_view(first).substr(0, first.find('#')), ":", op.num_results);
  } else {
    for (uint32_t i = 0; i < op.num_results; ++i)
      StrAppend(out_, i > 0 ? ", " : "", names_[op.result(i)]);
  }
  *out_ += " = ";
}

void OpPrinter::Dict(const AttrDict& dict) { PrintDict(dict, out_); }

void OpPrinter::OptionalDict(const Op& op, std::span<const std::string_view> elsewhere) {
  AttrDict rest;
  for (const NamedAttr& a : op.attrs) {
    if (std::ranges::find(elsewhere, std::string_view(a.name)) != elsewhere.end()) continue;
    const AttrSpec* spec = op.def->FindAttr(a.name);
    if (spec != nullptr && spec->elided && spec->fallback(op, *func_) == a.value) continue;
    rest.push_back(a);
  }
  if (rest.empty()) return;
  *out_ += ' ';
  Dict(rest);
}

void OpPrinter::Types(std::span<const ValueId> values) {
  for (size_t i = 0; i < values.size(); ++i)
    StrAppend(out_, i > 0 ? ", " : "", func_->type(values[i]).Text());
}

void OpPrinter::ResultTypes(const Op& op) {
  for (uint32_t i = 0; i < op.num_results; ++i)
    StrAppend(out_, i > 0 ? ", " : "", func_->type(op.result(i)).Text());
}

void OpPrinter::FunctionalType(const Op& op) {
  *out_ += '(';
  Types(op.operands);
  *out_ += ") -> ";
  if (op.num_results != 1) *out_ += '(';
  ResultTypes(op);
  if (op.num_results != 1) *out_ += ')';
}

void OpPrinter::RegionArgs(std::span<const ValueId> args) {
  for (size_t i = 0; i < args.size(); ++i) {
    StrAppend(out_, i > 0 ? ", " : "", names_[args[i]], ": ", func_->type(args[i]).Text());
  }
}

void OpPrinter::PrintAttr(const Attr& attr, bool elide_i64) {
  PrintAttribute(attr, elide_i64, out_);
}

void OpPrinter::PrintRegion(const Region& region, bool header) {
  *out_ += '{';
  if (header && !region.args.empty()) {
    NewLine();
    *out_ += "^bb0(";
    RegionArgs(region.args);
    *out_ += "):";
  }
  ++region_depth_;
  indent_ += 2;
  for (const Op& op : region.ops) {
    NewLine();
    PrintOp(op);
  }
  indent_ -= 2;
  --region_depth_;
  NewLine();
  *out_ += '}';
}

void OpPrinter::GenericOp(const Op& op) {
  StrAppend(out_, '"', op.name(), "\"(");
  Operands(op.operands);
  *out_ += ')';
  AttrDict inherent, discardable;
  for (const NamedAttr& a : op.attrs)
    (op.def->FindAttr(a.name) != nullptr ? inherent : discardable).push_back(a);
  if (!inherent.empty()) {
    *out_ += " <";
    Dict(inherent);
    *out_ += '>';
  }
  if (!op.regions.empty()) {
    *out_ += " (";
    for (size_t i = 0; i < op.regions.size(); ++i) {
      if (i > 0) *out_ += ", ";
      PrintRegion(op.regions[i], true);
    }
    *out_ += ')';
  }
  if (!discardable.empty()) {
    *out_ += ' ';
    Dict(discardable);
  }
  *out_ += " : ";
  FunctionalType(op);
}

void OpPrinter::PrintOp(const Op& op) {
  ResultNames(op);
  if (op.def->text == nullptr && op.def->format.empty()) return GenericOp(op);
  std::string_view name = op.name();
  if (region_depth_ == 1 && name.starts_with("func.")) name.remove_prefix(5);
  *out_ += name;
  if (op.def->text != nullptr) {
    op.def->text->print(*this, op);
  } else {
    PrintFormat(*this, op);
  }
}

void OpPrinter::PrintFunc(const Func& func) {
  func_ = &func;
  names_.assign(func.types.size(), std::string());
  used_.clear();
  NameRegion(func.body, nullptr, Naming{});
  *out_ += "func.func ";
  if (func.visibility == Visibility::kPublic) *out_ += "public ";
  if (func.visibility == Visibility::kPrivate) *out_ += "private ";
  if (func.visibility == Visibility::kNested) *out_ += "nested ";
  PrintSymbol(func.name, out_);
  *out_ += '(';
  for (size_t i = 0; i < func.body.args.size(); ++i) {
    const ValueId arg = func.body.args[i];
    StrAppend(out_, i > 0 ? ", " : "", names_[arg], ": ", func.type(arg).Text());
    if (i < func.arg_attrs.size() && !func.arg_attrs[i].empty()) {
      *out_ += ' ';
      Dict(func.arg_attrs[i]);
    }
  }
  *out_ += ')';
  const auto attrs_of = [&](size_t i) -> const AttrDict* {
    return i < func.result_attrs.size() && !func.result_attrs[i].empty() ? &func.result_attrs[i]
                                                                         : nullptr;
  };
  if (!func.results.empty()) {
    const bool parens = func.results.size() != 1 || attrs_of(0) != nullptr;
    *out_ += parens ? " -> (" : " -> ";
    for (size_t i = 0; i < func.results.size(); ++i) {
      StrAppend(out_, i > 0 ? ", " : "", func.results[i].Text());
      if (attrs_of(i) != nullptr) {
        *out_ += ' ';
        Dict(*attrs_of(i));
      }
    }
    if (parens) *out_ += ')';
  }
  if (!func.attrs.empty()) {
    *out_ += " attributes ";
    Dict(func.attrs);
  }
  *out_ += ' ';
  PrintRegion(func.body, false);
}

void OpPrinter::PrintModule(const Module& module) {
  *out_ += "module ";
  if (!module.name.empty()) {
    PrintSymbol(module.name, out_);
    *out_ += ' ';
  }
  if (!module.attrs.empty()) {
    *out_ += "attributes ";
    Dict(module.attrs);
    *out_ += ' ';
  }
  *out_ += '{';
  indent_ = 2;
  for (const std::string& d : module.declarations) {
    NewLine();
    *out_ += d;
  }
  for (const Func& f : module.funcs()) {
    NewLine();
    PrintFunc(f);
  }
  *out_ += "\n}\n";
}

std::string PrintModule(const Module& module) {
  std::string out;
  OpPrinter(&out).PrintModule(module);
  return out;
}

}  // namespace megalith::stablehlo
